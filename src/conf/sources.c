/*
 * sources: the sections of sources, from trees into lists of options.
 *
 * The shipped sources are always there with their defaults; a section of another name is a source
 * of the user's own, whose options are declared in its Lua text, so here any scalar and any list of
 * scalars is taken for it. What is common to all sources (rate, hosts …) is checked for both. The
 * array of sources grows by doubling, so a pointer into it is good until the next source is made.
 */
#include "conf/conf_int.h"

#define NAME_BYTES_MAX 63
#define SLIP_BYTES_MIN                                                                             \
    9 /* an id this long that is nearly a shipped one is a slip of the keyboard */
#define SLIP_DISTANCE_MAX 2

static bool is_shipped(const char *id)
{
    for (size_t i = 0; conf_source_ids[i]; i++)
        if (strcmp(conf_source_ids[i], id) == 0)
            return true;
    return false;
}

static bool is_name(dz_str s, const char *besides)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (i == 0 || !strchr(besides, c)))
            return false;
    }
    return s.n > 0 && s.n <= NAME_BYTES_MAX;
}

static struct dz_conf_source *source_get(struct conf_load *l, dz_str id)
{
    struct dz_conf *c = l->c;
    for (size_t i = 0; i < c->sources.n; i++)
        if (dz_str_eq(dz_str_of(c->sources.v[i].id), id))
            return &c->sources.v[i];
    if (c->sources.n == l->sources_cap) {
        size_t cap = l->sources_cap ? 2 * l->sources_cap : 16;
        struct dz_conf_source *v = dz_arena_alloc(l->a, cap * sizeof *v);
        if (c->sources.n)
            memcpy(v, c->sources.v, c->sources.n * sizeof *v);
        c->sources.v = v;
        l->sources_cap = cap;
    }
    struct dz_conf_source *s = &c->sources.v[c->sources.n++];
    *s = (struct dz_conf_source){.id = dz_arena_dup(l->a, id), .enabled = true};
    return s;
}

void conf_put_option(struct conf_load *l, struct dz_conf_source *s, dz_str name, dz_str text)
{
    struct dz_pairs *o = &s->options;
    for (size_t i = 0; i < o->n; i++) {
        if (dz_str_eq(dz_str_of(o->v[i].name), name)) {
            o->v[i].text = dz_arena_dup(l->a, text);
            return;
        }
    }
    if ((o->n & (o->n - 1)) == 0) { /* full at every power of two */
        struct dz_pair *v = dz_arena_alloc(l->a, (o->n ? 2 * o->n : 1) * sizeof *v);
        if (o->n)
            memcpy(v, o->v, o->n * sizeof *v);
        o->v = v;
    }
    o->v[o->n++] = (struct dz_pair){dz_arena_dup(l->a, name), dz_arena_dup(l->a, text)};
}

void conf_sources_preset(struct conf_load *l)
{
    struct conf_at preset = {0};
    for (size_t i = 0; conf_source_ids[i]; i++) {
        dz_str id = dz_str_of(conf_source_ids[i]);
        struct dz_conf_source *s = source_get(l, id);
        for (size_t r = 0; r < conf_rows_n; r++) {
            const struct conf_row *row = &conf_rows[r];
            if (row->where == CONF_SOURCE && dz_str_eq(conf_row_source_id(row), id))
                conf_set_text(l, row, s, dz_str_of(row->preset), preset, row->name);
        }
    }
}

static void unknown_option(struct conf_load *l, const struct dz_conf_source *s, dz_str key,
                           struct conf_at at, const char *path)
{
    struct conf_nearest nearest = {.wanted = key};
    DZ_AUTO(dz_buf_done) struct dz_buf keys;
    dz_buf_init(&keys, DZ_KIB);
    for (size_t i = 0; i < conf_rows_n; i++) {
        const struct conf_row *row = &conf_rows[i];
        if (row->where != CONF_SOURCE || conf_row_source(s->id, conf_row_key(row)) != row)
            continue;
        conf_nearest_offer(&nearest, conf_row_key(row));
        dz_buf_putf(&keys, "%s%.*s", keys.n ? ", " : "", DZ_STR_FMT(conf_row_key(row)));
    }
    if (conf_nearest_good(&nearest))
        conf_fault(l, at, path, "unknown key; did you mean \"%.*s\"?", DZ_STR_FMT(nearest.best));
    else
        conf_fault(l, at, path, "unknown key; %s takes %s", s->id, dz_buf_cstr(&keys));
}

/* A list of scalars as lines; false when it is none. */
static bool join_lines(const struct conf_node *node, struct dz_buf *out)
{
    for (const struct conf_node *i = node->first; i; i = i->next) {
        if (i->kind != CONF_SCALAR || dz_str_chr(i->text, '\n') != DZ_NPOS)
            return false;
        if (i != node->first)
            dz_buf_putc(out, '\n');
        dz_buf_put(out, i->text);
    }
    return true;
}

static void set_own_option(struct conf_load *l, struct dz_conf_source *s,
                           const struct conf_node *node, struct conf_at at, const char *path)
{
    if (!is_name(node->key, "_-.")) {
        conf_fault(l, at, path,
                   "not the name of an option; expected at most %d letters, digits, _, - and dots",
                   NAME_BYTES_MAX);
        return;
    }
    if (conf_node_is_null(node))
        return;
    DZ_AUTO(dz_buf_done) struct dz_buf lines;
    dz_buf_init(&lines, 2 * CONF_FILE_BYTES_MAX);
    if (node->kind == CONF_SCALAR)
        conf_put_option(l, s, node->key, node->text);
    else if (node->kind == CONF_SEQ && join_lines(node, &lines))
        conf_put_option(l, s, node->key, dz_buf_str(&lines));
    else
        conf_fault(l, at, path,
                   "expected a text, a number, true or false, or a list of texts of one line");
}

void conf_set_option(struct conf_load *l, struct dz_conf_source *s, const struct conf_node *node,
                     struct conf_at at, const char *path)
{
    const struct conf_row *row = conf_row_source(s->id, node->key);
    if (row)
        conf_set(l, row, s, node, at, path);
    else if (is_shipped(s->id))
        unknown_option(l, s, node->key, at, path);
    else
        set_own_option(l, s, node, at, path);
}

static bool is_slip(struct conf_load *l, dz_str id, struct conf_at at, const char *path)
{
    for (size_t i = 0; id.n >= SLIP_BYTES_MIN && conf_source_ids[i]; i++) {
        dz_str shipped = dz_str_of(conf_source_ids[i]);
        if (dz_str_eq(id, shipped) || dz_str_distance(id, shipped) > SLIP_DISTANCE_MAX)
            continue;
        conf_fault(l, at, path, "unknown source; did you mean \"%s\"?", conf_source_ids[i]);
        return true;
    }
    return false;
}

void conf_set_source(struct conf_load *l, const struct conf_node *node, struct conf_at at)
{
    const char *path = conf_join(l, "sources", node->key);
    if (!is_name(node->key, "_-.")) {
        conf_fault(l, at, path,
                   "not the id of a source; expected at most %d letters, digits, _, - and dots",
                   NAME_BYTES_MAX);
        return;
    }
    if (is_slip(l, node->key, at, path))
        return;
    if (l->c->sources.n == CONF_SOURCES_MAX) {
        conf_fault(l, at, path, "more than %d sources", CONF_SOURCES_MAX);
        return;
    }
    struct dz_conf_source *s = source_get(l, node->key);
    s->listed = true;
    if (conf_node_is_null(node))
        return;
    for (const struct conf_node *n = node->first; n && !conf_full(l); n = n->next)
        conf_set_option(l, s, n, conf_at_node(at, n), conf_join(l, path, n->key));
}
