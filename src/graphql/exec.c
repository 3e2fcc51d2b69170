/*
 * exec: a document → the answer, written depth first straight into a buffer (section 6).
 *
 * In: a document, an operation's name, variables, and resolvers. Out: {"data":…} in a buffer, and a
 * list of errors, which are joined when all is done. One owner thread at a time. There is no tree
 * of values and no recursion: what has begun and not ended is a stack of frames, so that the work
 * can stop after any row and go on later. A null where none may be takes back what was written, up
 * to the nearest place that may be null. What a row costs is its resolvers and its bytes.
 */
#include "graphql/graphql_int.h"

#define DATA_BYTES_MAX (64 * DZ_MIB)
#define ERRORS_MAX 1000u

static const char null_condition[] =
    "Argument \"if\" of non-null type \"Boolean!\" must not be null.";

/* ---- errors ---------------------------------------------------------------------------------- */

/* From the root to what is being worked on. */
static const struct gql_step *path_of(struct dz_gql_exec *x)
{
    const struct gql_step *path = NULL;
    for (uint32_t i = 0; i < x->frames_n; i++) {
        const struct gql_frame *f = &x->frames[i];
        struct gql_step *step = dz_arena_alloc(x->errors.arena, sizeof(*step));
        *step = (struct gql_step){.parent = path, .index = f->at - 1};
        if (!f->is_list)
            step->key = f->plan->fields[f->at - 1].key;
        path = step;
    }
    return path;
}

static void field_error(struct dz_gql_exec *x, const struct gql_plan_field *f, enum dz_code code,
                        const char *words)
{
    struct dz_gql_error *error = gql_errors_new(&x->errors, code, "%s", words);
    if (!error)
        return;
    for (const struct gql_node *n = f->asked.nodes; n; n = n->next)
        gql_error_at(&x->errors, error, n->s->loc);
    error->has_path = true;
    error->path = path_of(x);
}

/* ---- frames ---------------------------------------------------------------------------------- */

static struct gql_frame *push(struct dz_gql_exec *x)
{
    if (x->frames_n == x->frames_cap) {
        x->frames_cap = x->frames_cap ? x->frames_cap * 2 : 16;
        x->frames = dz_realloc(x->frames, x->frames_cap * sizeof(*x->frames));
    }
    return &x->frames[x->frames_n++];
}

static void rows_done(struct dz_gql_rows *rows)
{
    if (rows->done)
        rows->done(rows);
}

static void pop(struct dz_gql_exec *x)
{
    struct gql_frame *f = &x->frames[--x->frames_n];
    if (f->is_list)
        rows_done(&f->rows);
}

/* After a `full` buffer nothing more arrives there, so that a length only ever goes back. */
static void take_back(struct dz_gql_exec *x, size_t mark)
{
    if (x->data.n > mark)
        x->data.n = mark;
}

/* What is being written in the innermost frame is null and must not be: its nearest frame that may
 * be null becomes so. The outermost may. */
static void give_up(struct dz_gql_exec *x)
{
    bool strict = true;
    while (strict && x->frames_n > 0) {
        struct gql_frame *f = &x->frames[x->frames_n - 1];
        take_back(x, f->mark);
        strict = f->strict;
        pop(x);
    }
    dz_json_null(&x->json);
}

static void put_null(struct dz_gql_exec *x, bool strict)
{
    if (strict)
        give_up(x);
    else
        dz_json_null(&x->json);
}

static void separate(struct dz_gql_exec *x, bool first)
{
    if (!first)
        dz_buf_putc(&x->data, ',');
    gql_put_line(&x->data, x->run.style.pretty, x->frames_n + 1);
}

/* The end of an object or a list that has `n` members. */
static void put_end(struct dz_gql_exec *x, char c, uint32_t n)
{
    if (n > 0)
        gql_put_line(&x->data, x->run.style.pretty, x->frames_n);
    dz_buf_putc(&x->data, c);
}

static struct dz_gql_call call_of(struct dz_gql_exec *x, struct gql_plan_field *f, void *object)
{
    return (struct dz_gql_call){object,          x->run.context, f->def->data,
                                f->args->values, x->arena,       &f->asked};
}

static void push_object(struct dz_gql_exec *x, const struct gql_plan *plan, void *object,
                        bool strict, size_t mark)
{
    dz_buf_putc(&x->data, '{');
    struct gql_frame *frame = push(x);
    *frame = (struct gql_frame){.strict = strict, .mark = mark, .plan = plan, .object = object};
    if (DZ_LIKELY(!plan->prepares))
        return;
    for (uint32_t i = 0; i < plan->n; i++) {
        struct gql_plan_field *f = &plan->fields[i];
        if (!f->def->prepare || f->args->bad)
            continue;
        struct dz_gql_call call = call_of(x, f, object);
        f->def->prepare(&call);
    }
}

/* ---- completing values (6.4.3) --------------------------------------------------------------- */

/* The object type of what was given; NULL with an error. */
static const struct dz_gql_type *object_type(struct dz_gql_exec *x, const struct gql_plan_field *f,
                                             const struct dz_gql_type *t,
                                             const struct dz_gql_out *o)
{
    char words[300];
    if (o->kind == DZ_GQL_OUT_OBJECT) {
        const struct dz_gql_type *is = gql_is_abstract(t) ? o->type : t;
        if (is && is->kind == GQL_OBJECT && gql_can_be(t, is))
            return is;
        snprintf(words, sizeof(words),
                 "Abstract type \"%.*s\" must resolve to an Object type at runtime for field "
                 "\"%.*s.%.*s\".",
                 GQL_N(t->name), GQL_N(f->def->parent->name), GQL_N(f->def->name));
    } else {
        snprintf(words, sizeof(words),
                 "Expected an object of type \"%.*s\" for field \"%.*s.%.*s\".", GQL_N(t->name),
                 GQL_N(f->def->parent->name), GQL_N(f->def->name));
    }
    field_error(x, f, DZ_INTERNAL, words);
    return NULL;
}

static void complete_null(struct dz_gql_exec *x, const struct gql_plan_field *f, bool strict)
{
    char words[240];
    if (strict) {
        snprintf(words, sizeof(words), "Cannot return null for non-nullable field %.*s.%.*s.",
                 GQL_N(f->def->parent->name), GQL_N(f->def->name));
        field_error(x, f, DZ_INTERNAL, words);
    }
    put_null(x, strict);
}

static void complete_list(struct dz_gql_exec *x, struct gql_plan_field *f,
                          const struct gql_ref *item, const struct dz_gql_out *o, bool strict)
{
    if (o->kind != DZ_GQL_OUT_LIST) {
        char words[240];
        snprintf(words, sizeof(words),
                 "Expected Iterable, but did not find one for field \"%.*s.%.*s\".",
                 GQL_N(f->def->parent->name), GQL_N(f->def->name));
        field_error(x, f, DZ_INTERNAL, words);
        put_null(x, strict);
        return;
    }
    size_t mark = x->data.n;
    dz_buf_putc(&x->data, '[');
    struct gql_frame *frame = push(x);
    *frame = (struct gql_frame){
        .is_list = true, .strict = strict, .mark = mark, .rows = o->rows, .item = item, .field = f};
}

static void complete(struct dz_gql_exec *x, struct gql_plan_field *f, const struct gql_ref *ref,
                     struct dz_gql_out *o)
{
    bool strict = ref->wrap == GQL_NON_NULL;
    const struct gql_ref *r = gql_nullable(ref);
    bool is_list = r->wrap == GQL_LIST_OF;
    size_t mark = x->data.n;
    if (o->kind == DZ_GQL_OUT_NULL) {
        complete_null(x, f, strict);
    } else if (is_list) {
        complete_list(x, f, r->of, o, strict);
    } else if (gql_is_composite(r->type)) {
        const struct dz_gql_type *t = object_type(x, f, r->type, o);
        const struct gql_plan *plan = t ? gql_plan_below(x, f, t) : NULL;
        if (plan && DZ_UNLIKELY(plan->bad))
            field_error(x, f, DZ_BAD_INPUT, null_condition);
        if (plan && !plan->bad)
            push_object(x, plan, o->object, strict, mark);
        else
            put_null(x, strict);
    } else {
        struct dz_err err;
        enum dz_code code = gql_leaf_out(&x->json, r->type, o, &err);
        if (DZ_UNLIKELY(code != DZ_OK)) {
            take_back(x, mark);
            field_error(x, f, code, err.text);
            put_null(x, strict);
        }
    }
    if (DZ_UNLIKELY(!is_list && o->kind == DZ_GQL_OUT_LIST))
        rows_done(&o->rows);
}

/* ---- one step -------------------------------------------------------------------------------- */

static void step_object(struct dz_gql_exec *x, struct gql_frame *frame)
{
    const struct gql_plan *plan = frame->plan;
    if (frame->at == plan->n) {
        put_end(x, '}', plan->n);
        pop(x);
        return;
    }
    struct gql_plan_field *f = &plan->fields[frame->at];
    separate(x, frame->at++ == 0);
    dz_buf_put(&x->data, f->lead);
    if (f->def == x->doc->schema->typename_field) {
        dz_json_str(&x->json, plan->type->name);
        return;
    }
    /* Not cleared as a whole: this runs for every value of an answer. */
    struct dz_gql_out out;
    struct dz_err err;
    out.kind = DZ_GQL_OUT_NULL;
    err.text[0] = '\0';
    enum dz_code code = DZ_OK;
    if (DZ_UNLIKELY(f->args->bad)) {
        err = *f->args->bad;
        code = err.code;
    } else {
        struct dz_gql_call call = call_of(x, f, frame->object);
        code = f->def->resolve(&call, &out, &err);
    }
    if (DZ_UNLIKELY(code != DZ_OK)) {
        field_error(x, f, code, err.text);
        put_null(x, f->def->ref->wrap == GQL_NON_NULL);
        return;
    }
    complete(x, f, f->def->ref, &out);
}

static void step_list(struct dz_gql_exec *x, struct gql_frame *frame)
{
    struct dz_gql_out out;
    struct dz_err err;
    out.kind = DZ_GQL_OUT_NULL;
    err.text[0] = '\0';
    x->rows_left--;
    frame->at++;
    enum dz_code code = frame->rows.next(&frame->rows, &out, &err);
    if (DZ_UNLIKELY(code != DZ_OK)) {
        field_error(x, frame->field, code, err.text);
        bool strict = frame->strict;
        take_back(x, frame->mark);
        pop(x);
        put_null(x, strict);
        return;
    }
    if (out.kind == DZ_GQL_OUT_END) {
        put_end(x, ']', frame->at - 1);
        pop(x);
        return;
    }
    separate(x, frame->at == 1);
    complete(x, frame->field, frame->item, &out);
}

/* Ends everything that has begun; the data is null. */
static void abandon(struct dz_gql_exec *x)
{
    while (x->frames_n > 0)
        pop(x);
    x->data.full = false;
    x->data.n = x->root_mark;
    dz_json_null(&x->json);
}

bool dz_gql_exec_step(struct dz_gql_exec *x, uint32_t rows, size_t bytes)
{
    x->rows_left = rows ? rows : UINT32_MAX;
    size_t stop = bytes && bytes < SIZE_MAX - x->data.n ? x->data.n + bytes : SIZE_MAX;
    while (x->frames_n > 0 && x->data.n < stop) {
        struct gql_frame *frame = &x->frames[x->frames_n - 1];
        if (frame->is_list && x->rows_left == 0)
            return true;
        if (frame->is_list)
            step_list(x, frame);
        else
            step_object(x, frame);
        if (DZ_UNLIKELY(x->data.full)) {
            gql_errors_new(&x->errors, DZ_TOO_LARGE, "The answer is longer than %zu bytes.",
                           x->data.max);
            abandon(x);
        }
        if (rows == 0)
            x->rows_left = UINT32_MAX;
    }
    return x->frames_n > 0;
}

/* ---- begin and end --------------------------------------------------------------------------- */

static enum dz_code find_operation(const struct dz_gql_doc *d, dz_str name,
                                   const struct gql_definition **ret_o,
                                   struct dz_gql_errors *errors)
{
    const struct gql_definition *o = d->operations;
    if (!o) {
        dz_gql_errors_add(errors, DZ_BAD_INPUT, "Must provide an operation.");
        return DZ_BAD_INPUT;
    }
    if (name.n == 0 && o->next) {
        dz_gql_errors_add(errors, DZ_BAD_INPUT,
                          "Must provide operation name if query contains multiple operations.");
        return DZ_BAD_INPUT;
    }
    while (o && name.n > 0 && !dz_str_eq(o->name, name))
        o = o->next;
    if (!o) {
        dz_gql_errors_add(errors, DZ_BAD_INPUT, "Unknown operation named \"%.*s\".", GQL_N(name));
        return DZ_BAD_INPUT;
    }
    *ret_o = o;
    return DZ_OK;
}

enum dz_code dz_gql_doc_operation(const struct dz_gql_doc *d, dz_str name,
                                  enum dz_gql_operation *ret_kind, struct dz_gql_errors *errors)
{
    const struct gql_definition *o;
    DZ_TRY(find_operation(d, name, &o, errors));
    *ret_kind = o->operation;
    return DZ_OK;
}

/* Why an operation that is valid is not run; NULL: it is. */
static const char *refusal(const struct gql_definition *o)
{
    if (!o->type)
        return o->operation == DZ_GQL_MUTATION ? "Schema is not configured for mutations"
                                               : "Schema is not configured for subscriptions";
    return o->operation == DZ_GQL_SUBSCRIPTION ? "Subscriptions are not supported" : NULL;
}

static void put_data_key(struct dz_buf *out, bool pretty)
{
    gql_put_line(out, pretty, 1);
    dz_buf_put(out, pretty ? DZ_S("\"data\": ") : DZ_S("\"data\":"));
}

static void begin(struct dz_gql_exec *x)
{
    dz_buf_putc(&x->data, '{');
    put_data_key(&x->data, x->run.style.pretty);
    x->root_mark = x->data.n;
    const char *why = refusal(x->operation);
    if (why) {
        struct dz_gql_error *error = gql_errors_new(&x->errors, DZ_UNSUPPORTED, "%s", why);
        if (x->operation->type) /* else it is the schema that lacks something, not this place */
            gql_error_at(&x->errors, error, x->operation->loc);
        dz_json_null(&x->json);
        return;
    }
    const struct gql_plan *plan = gql_plan_root(x);
    if (!plan->bad) {
        push_object(x, plan, x->run.root, false, x->root_mark);
        return;
    }
    struct dz_gql_error *error = gql_errors_new(&x->errors, DZ_BAD_INPUT, "%s", null_condition);
    gql_error_at(&x->errors, error, plan->bad->loc);
    dz_json_null(&x->json);
}

enum dz_code dz_gql_exec_begin(struct dz_gql_doc *d, const struct dz_gql_run *run,
                               struct dz_gql_exec **ret_x, struct dz_gql_errors *errors)
{
    const struct gql_definition *o;
    DZ_TRY(find_operation(d, run->operation, &o, errors));
    struct dz_gql_exec *x DZ_AUTO(dz_gql_exec_end) = dz_new(struct dz_gql_exec);
    x->doc = dz_gql_doc_ref(d);
    x->operation = o;
    x->run = *run;
    x->arena = dz_arena_new(SIZE_MAX);
    x->seen = dz_zalloc((d->fragments_n + 1) * sizeof(*x->seen));
    x->calls = dz_zalloc((d->calls_n + 1) * sizeof(*x->calls));
    dz_map_init(&x->variables);
    /* Room for the frame of an answer that became too large. */
    size_t max = run->data_bytes_max ? run->data_bytes_max : DATA_BYTES_MAX;
    dz_buf_init(&x->data, max < 64 ? 64 : max);
    dz_gql_errors_init(&x->errors, run->errors_max ? run->errors_max : ERRORS_MAX);
    dz_json_init(&x->json, &x->data, DZ_JSON_COMPACT, run->style.ascii);
    DZ_TRY(gql_coerce_variables(x, errors));
    begin(x);
    *ret_x = dz_take(&x);
    return DZ_OK;
}

size_t dz_gql_exec_bytes(const struct dz_gql_exec *x)
{
    return x->data.n;
}

uint32_t dz_gql_exec_errors(const struct dz_gql_exec *x)
{
    return x->errors.count + x->errors.dropped;
}

void dz_gql_exec_take(struct dz_gql_exec *x, struct dz_buf *ret_out)
{
    dz_assert(x->frames_n == 0);
    struct dz_gql_style style = x->run.style;
    dz_buf_done(ret_out);
    if (x->errors.count == 0) {
        *ret_out = x->data;
        dz_buf_init(&x->data, 0);
        ret_out->max = SIZE_MAX / 4;
    } else {
        dz_buf_init(ret_out, SIZE_MAX / 4);
        dz_buf_putc(ret_out, '{');
        gql_put_line(ret_out, style.pretty, 1);
        dz_buf_put(ret_out, style.pretty ? DZ_S("\"errors\": ") : DZ_S("\"errors\":"));
        gql_errors_put(&x->errors, style, 1, ret_out);
        dz_buf_putc(ret_out, ',');
        put_data_key(ret_out, style.pretty);
        dz_buf_put(ret_out, dz_str_sub(dz_buf_str(&x->data), x->root_mark, x->data.n));
    }
    gql_put_line(ret_out, style.pretty, 0);
    dz_buf_putc(ret_out, '}');
}

void dz_gql_exec_end(struct dz_gql_exec **x)
{
    struct dz_gql_exec *old = dz_take(x);
    if (!old)
        return;
    while (old->frames_n > 0)
        pop(old);
    free(old->frames);
    free(old->seen);
    free(old->calls);
    dz_map_done(&old->variables);
    dz_buf_done(&old->data);
    dz_gql_errors_done(&old->errors);
    dz_arena_free(&old->arena);
    dz_gql_doc_unref(&old->doc);
    free(old);
}
