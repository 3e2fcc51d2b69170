/*
 * errors: lists of errors, and how they look in an answer (section 7.1.2).
 *
 * In: messages, places, paths. Out: JSON in the order message, locations, path, extensions. A list
 * makes its arena with its first error and owns every text; one owner thread. What comes after
 * `max` is counted and told in one last line, so that a hostile document cannot make a long answer.
 */
#include "graphql/graphql_int.h"

#define MESSAGE_BYTES_MAX 1000
#define LOCATIONS_MAX 20u /* of one error */

void dz_gql_errors_init(struct dz_gql_errors *e, uint32_t max)
{
    *e = (struct dz_gql_errors){.max = max};
}

void dz_gql_errors_done(struct dz_gql_errors *e)
{
    dz_arena_free(&e->arena);
    *e = (struct dz_gql_errors){.max = e->max};
}

static struct dz_gql_error *add(struct dz_gql_errors *e, enum dz_code code, const char *fmt,
                                va_list args)
{
    if (e->count == e->max) {
        e->dropped++;
        return NULL;
    }
    if (!e->arena)
        e->arena = dz_arena_new(SIZE_MAX);
    if (e->count++ == 0)
        e->last = &e->first;
    struct dz_gql_error *error = dz_arena_alloc(e->arena, sizeof(*error));
    char text[MESSAGE_BYTES_MAX];
    int n = vsnprintf(text, sizeof(text), fmt, args);
    dz_assert(n >= 0);
    dz_str message = {text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1};
    *error = (struct dz_gql_error){.code = code, .message = dz_arena_str(e->arena, message)};
    *e->last = error;
    e->last = &error->next;
    return error;
}

struct dz_gql_error *gql_errors_new(struct dz_gql_errors *e, enum dz_code code, const char *fmt,
                                    ...)
{
    va_list args;
    va_start(args, fmt);
    struct dz_gql_error *error = add(e, code, fmt, args);
    va_end(args);
    return error;
}

void dz_gql_errors_add(struct dz_gql_errors *e, enum dz_code code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add(e, code, fmt, args);
    va_end(args);
}

void gql_error_at(struct dz_gql_errors *e, struct dz_gql_error *error, struct dz_gql_loc loc)
{
    if (!error || error->locs_n == LOCATIONS_MAX)
        return;
    struct dz_gql_loc *locs = dz_arena_alloc(e->arena, (error->locs_n + 1) * sizeof(*locs));
    if (error->locs_n > 0)
        memcpy(locs, error->locs, error->locs_n * sizeof(*locs));
    locs[error->locs_n++] = loc;
    error->locs = locs;
}

void gql_errors_move(struct dz_gql_errors *from, struct dz_gql_errors *to)
{
    for (const struct dz_gql_error *x = from->first; x; x = x->next) {
        struct dz_gql_error *y = gql_errors_new(to, x->code, "%.*s", DZ_STR_FMT(x->message));
        for (uint32_t i = 0; i < x->locs_n; i++)
            gql_error_at(to, y, x->locs[i]);
    }
    to->dropped += from->dropped;
    dz_gql_errors_done(from);
}

dz_str dz_gql_errors_first(const struct dz_gql_errors *e)
{
    return e->first ? e->first->message : DZ_S("");
}

/* ---- as JSON ----------------------------------------------------------------------------------
 */

struct printer {
    struct dz_buf *out;
    struct dz_json json; /* for single values only */
    bool pretty;
    unsigned depth;
};

static void enter(struct printer *p, char c)
{
    dz_buf_putc(p->out, c);
    p->depth++;
}

static void next(struct printer *p, bool first)
{
    if (!first)
        dz_buf_putc(p->out, ',');
    gql_put_line(p->out, p->pretty, p->depth);
}

static void leave(struct printer *p, char c)
{
    p->depth--;
    gql_put_line(p->out, p->pretty, p->depth);
    dz_buf_putc(p->out, c);
}

static void key(struct printer *p, bool first, const char *name)
{
    next(p, first);
    dz_json_str(&p->json, dz_str_of(name));
    dz_buf_put(p->out, p->pretty ? DZ_S(": ") : DZ_S(":"));
}

static void put_path(struct printer *p, const struct gql_step *step)
{
    unsigned n = 0;
    for (const struct gql_step *s = step; s; s = s->parent)
        n++;
    const struct gql_step **steps = dz_alloc((n ? n : 1) * sizeof(struct gql_step *));
    for (unsigned i = n; i-- > 0; step = step->parent)
        steps[i] = step;
    key(p, false, "path");
    enter(p, '[');
    for (unsigned i = 0; i < n; i++) {
        next(p, i == 0);
        if (steps[i]->key.p)
            dz_json_str(&p->json, steps[i]->key);
        else
            dz_json_int(&p->json, steps[i]->index);
    }
    leave(p, ']');
    free(steps);
}

static void put_error(struct printer *p, const struct dz_gql_error *error, bool codes)
{
    enter(p, '{');
    key(p, true, "message");
    dz_json_str(&p->json, error->message);
    if (error->locs_n > 0) {
        key(p, false, "locations");
        enter(p, '[');
        for (uint32_t i = 0; i < error->locs_n; i++) {
            next(p, i == 0);
            enter(p, '{');
            key(p, true, "line");
            dz_json_int(&p->json, error->locs[i].line);
            key(p, false, "column");
            dz_json_int(&p->json, error->locs[i].column);
            leave(p, '}');
        }
        leave(p, ']');
    }
    if (error->has_path)
        put_path(p, error->path);
    if (codes) {
        key(p, false, "extensions");
        enter(p, '{');
        key(p, true, "code");
        dz_json_str(&p->json, dz_str_of(dz_code_graphql(error->code)));
        leave(p, '}');
    }
    leave(p, '}');
}

void gql_errors_put(const struct dz_gql_errors *e, struct dz_gql_style style, unsigned depth,
                    struct dz_buf *out)
{
    struct printer p = {.out = out, .pretty = style.pretty, .depth = depth};
    dz_json_init(&p.json, out, DZ_JSON_COMPACT, style.ascii);
    enter(&p, '[');
    for (const struct dz_gql_error *error = e->first; error; error = error->next) {
        next(&p, error == e->first);
        put_error(&p, error, style.codes);
    }
    if (e->dropped > 0) {
        char text[64];
        int n = snprintf(text, sizeof(text), "%u more errors are not shown.", e->dropped);
        struct dz_gql_error last = {.code = DZ_TOO_LARGE, .message = {text, (size_t)n}};
        next(&p, !e->first);
        put_error(&p, &last, style.codes);
    }
    leave(&p, ']');
}

void dz_gql_errors_answer(const struct dz_gql_errors *e, struct dz_gql_style style,
                          struct dz_buf *out)
{
    dz_buf_putc(out, '{');
    gql_put_line(out, style.pretty, 1);
    dz_buf_put(out, style.pretty ? DZ_S("\"errors\": ") : DZ_S("\"errors\":"));
    gql_errors_put(e, style, 1, out);
    gql_put_line(out, style.pretty, 0);
    dz_buf_putc(out, '}');
}
