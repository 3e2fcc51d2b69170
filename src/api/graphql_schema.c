/*
 * graphql_schema: what can be asked, put together: queries of collections, and the library.
 *
 * In: the collections of the catalog, and the limits of the settings. Out: an immutable, counted
 * shape: the schema, what its resolvers point to, and the documents that were prepared for it. Two
 * sources may declare what does not go together, such as types of one name: then the later one is
 * left out, with a line in the log, and the rest is served. Made by a worker; used by any thread.
 */
#include "api/graphql_int.h"

#include <stdlib.h>

#define DOCS_BYTES_MAX (8 * DZ_MIB)

static const struct dz_log_ctx ctx = {.room = "api", .what = "graphql"};

static void *ref_doc(void *v)
{
    return dz_gql_doc_ref(v);
}

static void unref_doc(void *v)
{
    struct dz_gql_doc *d = v;
    dz_gql_doc_unref(&d);
}

struct graph_shape *graph_shape_ref(struct graph_shape *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void graph_shape_unref(struct graph_shape **ps)
{
    struct graph_shape *s = dz_take(ps);
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    graph_memo_free(&s->docs);
    dz_gql_schema_unref(&s->schema);
    for (size_t i = 0; i < s->colls_n; i++)
        dz_collection_unref(&s->colls[i].coll);
    dz_arena_free(&s->arena);
    free(s);
}

/* ---- revision ---------------------------------------------------------------------------------
 */

#define KVM48 DZ_S("live.48.cn")

/* contracts/kvm48.md section 5: clients of that service ask for the version of its schema. */
static enum dz_code resolve_revision(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                     struct dz_err *err)
{
    (void)call;
    (void)err;
    dz_gql_str(ret, DZ_S("20190429.1"));
    return DZ_OK;
}

static bool declares_enum(const struct dz_collection *c, dz_str name)
{
    for (size_t i = 0; i < c->enums_n; i++)
        if (dz_str_eq(c->enums[i].name, name))
            return true;
    return false;
}

/* Collections of one source share its enums: the first brings them. */
static bool brings_enums(const struct graph_shape *s, size_t at)
{
    const struct dz_collection *c = s->colls[at].coll;
    for (size_t i = 0; i < at; i++)
        if (dz_str_eq(s->colls[i].coll->source, c->source) && c->enums_n > 0 &&
            declares_enum(s->colls[i].coll, c->enums[0].name))
            return false;
    return true;
}

static enum dz_code build(struct graph_shape *s, struct dz_err *err)
{
    struct dz_gql_builder *b = dz_gql_builder_new();
    struct dz_gql_type *query = dz_gql_add_object(b, "Query", "What can be asked.");
    bool is_kvm48 = false;
    for (size_t i = 0; i < s->colls_n; i++)
        is_kvm48 |= dz_str_eq(s->colls[i].coll->source, KVM48);
    if (is_kvm48)
        dz_gql_add_field(query, "revision", "String!", resolve_revision, NULL,
                         "Version of the queries of live.48.cn.");
    for (size_t i = 0; i < s->colls_n; i++)
        graph_add_collection(b, query, &s->colls[i], brings_enums(s, i), s->arena);
    graph_add_library(b, query);
    dz_gql_old_directive_fields(b);
    dz_gql_describe_schema(b, "Collections of sources, and the library, for reading.");
    return dz_gql_schema_finish(&b, &s->schema, err);
}

static struct graph_shape *shape_new(struct dz_collection *const *colls, size_t n,
                                     const struct dz_gql_limits *limits)
{
    struct graph_shape *s = dz_new(struct graph_shape);
    atomic_init(&s->refs, 1);
    s->limits = *limits;
    s->arena = dz_arena_new(SIZE_MAX);
    s->colls = dz_arena_alloc(s->arena, (n + 1) * sizeof(*s->colls));
    for (size_t i = 0; i < n; i++)
        s->colls[i] = (struct graph_coll){.coll = dz_collection_ref(colls[i]), .at = i};
    s->colls_n = n;
    s->docs = graph_memo_new(DOCS_BYTES_MAX, ref_doc, unref_doc);
    return s;
}

enum dz_code graph_shape_new(struct dz_collection *const *colls, size_t n,
                             const struct dz_gql_limits *limits, struct graph_shape **ret_s,
                             struct dz_err *err)
{
    struct graph_shape *s DZ_AUTO(graph_shape_unref) = shape_new(colls, n, limits);
    enum dz_code code = build(s, err);
    if (code == DZ_OK || n == 0) {
        if (code == DZ_OK)
            *ret_s = dz_take(&s);
        return code;
    }
    /* One after another: what does not go with those before it stays out. */
    struct dz_collection **good = dz_zalloc((n + 1) * sizeof(*good));
    size_t good_n = 0;
    for (size_t i = 0; i < n; i++) {
        struct dz_err why = {0};
        graph_shape_unref(&s);
        good[good_n] = colls[i];
        s = shape_new(good, good_n + 1, limits);
        if (build(s, &why) == DZ_OK)
            good_n++;
        else
            dz_log_err(&ctx, DZ_ERROR, &why, "collection %.*s of %.*s is left out",
                       DZ_STR_FMT(colls[i]->name), DZ_STR_FMT(colls[i]->source));
    }
    graph_shape_unref(&s);
    s = shape_new(good, good_n, limits);
    free(good);
    DZ_TRY(build(s, err));
    *ret_s = dz_take(&s);
    return DZ_OK;
}
