/*
 * graphql_world: the picture that requests are answered from, kept up to date.
 *
 * A request that finds a picture younger than GRAPH_FRESH_MS takes it. The first one after that has
 * a worker look whether declarations or rows have changed, and waits together with all that come
 * meanwhile; only what changed is read again. So an idle server reads nothing, a busy one asks the
 * catalog ten times a second, and whoever stored a row sees it GRAPH_FRESH_MS later at most. When
 * the catalog cannot be read, the last picture is served.
 *
 * The lock guards the members of struct graphql and is never held while anything blocks. Only one
 * check is under way at a time; the check's own members belong to it.
 */
#include "api/graphql_int.h"

#include <stdlib.h>

#define LIST_ARENA_MAX (256 * DZ_MIB)
#define PERSISTED_BYTES_MAX (8 * DZ_MIB)

static const struct dz_log_ctx ctx = {.room = "api", .what = "graphql"};

struct graph_check {
    struct dz_work work;
    struct dz_api *api;
    int64_t began_ms;
};

struct graph_world *graph_world_ref(struct graph_world *w)
{
    atomic_fetch_add_explicit(&w->refs, 1, memory_order_relaxed);
    return w;
}

void graph_world_unref(struct graph_world **pw)
{
    struct graph_world *w = dz_take(pw);
    if (!w || atomic_fetch_sub_explicit(&w->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; w->tables && i < w->shape->colls_n; i++)
        graph_table_unref(&w->tables[i]);
    free(w->tables);
    graph_shape_unref(&w->shape);
    free(w);
}

static void *ref_body(void *v)
{
    return dz_body_ref(v);
}

static void unref_body(void *v)
{
    struct dz_body *b = v;
    dz_body_unref(&b);
}

struct graphql *graphql_new(struct dz_api *a)
{
    struct graphql *q = dz_new(struct graphql);
    pthread_mutex_init(&q->lock, NULL);
    q->persisted = graph_memo_new(PERSISTED_BYTES_MAX, ref_body, unref_body);
    q->check = dz_new(struct graph_check);
    q->check->api = a;
    return q;
}

void graphql_free(struct graphql **pq)
{
    struct graphql *q = dz_take(pq);
    if (!q)
        return;
    dz_assert(!q->waiting);
    graph_world_unref(&q->world);
    graph_memo_free(&q->persisted);
    pthread_mutex_destroy(&q->lock);
    free(q->check);
    free(q);
}

/* ---- a look at the catalog --------------------------------------------------------------------
 */

static struct dz_gql_limits limits_of(const struct dz_conf *c)
{
    struct dz_gql_limits l = dz_gql_limits_default();
    l.bytes_max = (uint32_t)c->graphql.max_bytes;
    l.tokens_max = c->graphql.max_tokens;
    l.depth_max = c->graphql.max_depth;
    l.aliases_max = c->graphql.max_aliases;
    l.fields_max = c->graphql.max_nodes;
    l.no_introspection = !c->graphql.introspection;
    return l;
}

static bool same_limits(const struct dz_gql_limits *a, const struct dz_gql_limits *b)
{
    return a->bytes_max == b->bytes_max && a->tokens_max == b->tokens_max &&
           a->depth_max == b->depth_max && a->aliases_max == b->aliases_max &&
           a->fields_max == b->fields_max && a->no_introspection == b->no_introspection;
}

/* Declarations that cannot be read come from a newer program: they are left out. */
static size_t parse_all(const struct dz_collection_rec *v, size_t n, struct dz_collection **ret)
{
    size_t good = 0;
    for (size_t i = 0; i < n; i++) {
        struct dz_err err = {0};
        if (dz_collection_parse(v[i].source, v[i].declaration, &ret[good], &err) == DZ_OK)
            good++;
        else
            dz_log_err(&ctx, DZ_ERROR, &err, "a collection of the catalog is left out");
    }
    return good;
}

static const struct dz_collection_rec *rec_of(const struct dz_collection_rec *v, size_t n,
                                              const struct dz_collection *c)
{
    for (size_t i = 0; i < n; i++)
        if (dz_str_eq(v[i].source, c->source) && dz_str_eq(v[i].name, c->name))
            return &v[i];
    return NULL;
}

static enum dz_code shape_for(const struct graph_world *old, const struct dz_conf *conf,
                              const struct dz_collection_rec *v, size_t n, uint64_t digest,
                              struct graph_shape **ret_s, struct dz_err *err)
{
    struct dz_gql_limits limits = limits_of(conf);
    if (old && old->digest == digest && same_limits(&old->shape->limits, &limits)) {
        *ret_s = graph_shape_ref(old->shape);
        return DZ_OK;
    }
    struct dz_collection **colls = dz_zalloc((n + 1) * sizeof(*colls));
    size_t colls_n = parse_all(v, n, colls);
    enum dz_code code = graph_shape_new(colls, colls_n, &limits, ret_s, err);
    for (size_t i = 0; i < colls_n; i++)
        dz_collection_unref(&colls[i]);
    free(colls);
    return code;
}

/* Of an older world with the same shape: a table whose rows did not change. */
static struct graph_table *kept_table(const struct graph_world *old, const struct graph_world *w,
                                      size_t at, uint64_t rows_rev)
{
    if (!old || old->shape != w->shape || old->tables[at]->rows_rev != rows_rev)
        return NULL;
    return graph_table_ref(old->tables[at]);
}

static uint64_t digest_of(const struct dz_collection_rec *v, size_t n)
{
    uint64_t d = n;
    for (size_t i = 0; i < n; i++)
        d = d * 0x100000001b3ULL ^ dz_hash(v[i].source) ^ (dz_hash(v[i].name) << 1) ^
            (dz_hash(v[i].declaration) << 2);
    return d;
}

/* *ret_w: a new world, or NULL when the old one is right. */
static enum dz_code look(struct dz_api *api, const struct graph_world *old,
                         const struct dz_conf *conf, struct graph_world **ret_w, struct dz_err *err)
{
    struct dz_arena *arena DZ_AUTO(dz_arena_free) = dz_arena_new(LIST_ARENA_MAX);
    struct dz_catalog *catalog = dz_library_catalog(api->library);
    struct dz_collection_rec *v = NULL;
    size_t n = 0;
    DZ_TRY(dz_catalog_collections(catalog, arena, &v, &n, err));
    struct graph_world *w DZ_AUTO(graph_world_unref) = dz_new(struct graph_world);
    atomic_init(&w->refs, 1);
    w->digest = digest_of(v, n);
    DZ_TRY(shape_for(old, conf, v, n, w->digest, &w->shape, err));
    bool changed = !old || old->shape != w->shape;
    w->tables = dz_zalloc((w->shape->colls_n + 1) * sizeof(*w->tables));
    for (size_t i = 0; i < w->shape->colls_n; i++) {
        const struct dz_collection *c = w->shape->colls[i].coll;
        uint64_t rows_rev = rec_of(v, n, c)->rows_rev;
        w->tables[i] = kept_table(old, w, i, rows_rev);
        if (w->tables[i])
            continue;
        changed = true;
        DZ_TRY(graph_table_read(catalog, c, rows_rev, &w->tables[i], err));
    }
    if (changed)
        *ret_w = dz_take(&w);
    return DZ_OK;
}

static struct dz_view *view_now(struct dz_api *a)
{
    pthread_mutex_lock(&a->lock);
    struct dz_view *v = dz_view_ref(a->view);
    pthread_mutex_unlock(&a->lock);
    return v;
}

static void let_go_on(struct graph_run *waiting)
{
    while (waiting) {
        struct graph_run *g = waiting;
        waiting = g->next;
        if (!api_post(g->loop, &g->msg))
            graph_run_free(g);
    }
}

static void check_run(struct dz_work *work)
{
    struct graph_check *c = dz_container(work, struct graph_check, work);
    struct graphql *q = c->api->graphql;
    static struct dz_log_gate gate;
    struct dz_err err = {0};
    pthread_mutex_lock(&q->lock);
    struct graph_world *old = q->world ? graph_world_ref(q->world) : NULL, *fresh = NULL;
    pthread_mutex_unlock(&q->lock);
    struct dz_view *view = view_now(c->api);
    enum dz_code code = look(c->api, old, view->conf, &fresh, &err);
    dz_view_unref(&view);
    graph_world_unref(&old);
    if (code != DZ_OK && dz_log_gate_pass(&gate, 10000))
        dz_log_err(&ctx, DZ_WARN, &err, "collections cannot be read");
    pthread_mutex_lock(&q->lock);
    if (fresh) {
        old = q->world;
        q->world = fresh;
    }
    q->checked_ms = c->began_ms;
    pthread_mutex_unlock(&q->lock);
    graph_world_unref(&old);
}

/* The check may begin anew as soon as the lock is let go. */
static void check_done(struct dz_work *work)
{
    struct graphql *q = dz_container(work, struct graph_check, work)->api->graphql;
    pthread_mutex_lock(&q->lock);
    struct graph_run *waiting = q->waiting;
    q->waiting = NULL;
    q->is_checking = false;
    for (struct graph_run *g = waiting; g; g = g->next)
        g->world = q->world ? graph_world_ref(q->world) : NULL;
    pthread_mutex_unlock(&q->lock);
    let_go_on(waiting);
}

void graph_world_for(struct graph_run *g)
{
    struct graphql *q = g->api->graphql;
    int64_t now_ms = dz_mono_ns() / 1000000;
    bool wait = false;
    pthread_mutex_lock(&q->lock);
    if (!q->world || now_ms - q->checked_ms > GRAPH_FRESH_MS) {
        if (!q->is_checking) {
            q->check->began_ms = now_ms;
            q->check->work = (struct dz_work){.run = check_run, .done = check_done};
            q->is_checking = dz_pool_submit(g->api->pool, &q->check->work, NULL) == DZ_OK;
        }
        wait = q->is_checking;
        if (wait) {
            g->next = q->waiting;
            q->waiting = g;
            graph_run_defer(g);
        }
    }
    if (!wait && q->world)
        g->world = graph_world_ref(q->world);
    pthread_mutex_unlock(&q->lock);
    if (!wait)
        graph_run_begin(g);
}
