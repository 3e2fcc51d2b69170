/*
 * graphql_table: the rows of a collection in memory, so that a query of them is a probe or a binary
 * search on the loop that got the request: no worker, no database, nothing parsed.
 *
 * In: all rows of a collection, once for each change of them, read by a worker. Out: an immutable,
 * counted table: values row by row, a map of keys, and for each query the rows in its order. A
 * collection over TABLE_MAX bytes becomes a table that only says so. Texts that fields share (a
 * derived one and what it is derived from) are held once.
 */
#include "api/graphql_int.h"

#include <stdlib.h>

#define TABLE_MAX (64 * DZ_MIB)

struct reading {
    const struct dz_collection *coll;
    struct graph_table *t;
    size_t cap, bytes;
    struct dz_buf scratch;
};

static void free_table(struct graph_table *t)
{
    for (size_t i = 0; i < t->orders_n; i++)
        free(t->orders[i]);
    free(t->orders);
    free(t->cells);
    free(t->quoted);
    dz_map_done(&t->by_key);
    dz_arena_free(&t->arena);
    free(t);
}

struct graph_table *graph_table_ref(struct graph_table *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void graph_table_unref(struct graph_table **pt)
{
    struct graph_table *t = dz_take(pt);
    if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1)
        free_table(t);
}

static struct graph_table *table_new(const struct dz_collection *coll, uint64_t rows_rev)
{
    struct graph_table *t = dz_new(struct graph_table);
    atomic_init(&t->refs, 1);
    t->rows_rev = rows_rev;
    t->fields_n = coll->fields_n;
    t->arena = dz_arena_new(SIZE_MAX);
    dz_map_init(&t->by_key);
    return t;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* As JSON; a text that stands in it as it is, as most do, is held only there. */
static void copy_text(struct reading *r, dz_str text, dz_str *ret_text, dz_str *ret_quoted)
{
    struct dz_json j;
    dz_buf_clear(&r->scratch);
    dz_json_init(&j, &r->scratch, DZ_JSON_COMPACT, true);
    dz_json_str(&j, text);
    dz_str quoted = dz_arena_str(r->t->arena, dz_buf_str(&r->scratch));
    dz_str inside = dz_str_sub(quoted, 1, quoted.n - 1);
    bool same = dz_str_eq(inside, text);
    *ret_quoted = quoted;
    *ret_text = same ? inside : dz_arena_str(r->t->arena, text);
    r->bytes += quoted.n + 16 + (same ? 0 : text.n + 16);
}

static void copy_row(struct reading *r, const struct dz_collection_value *v)
{
    struct graph_table *t = r->t;
    struct dz_collection_value *row = &t->cells[t->rows_n * t->fields_n];
    dz_str *quoted = &t->quoted[t->rows_n * t->fields_n];
    for (size_t i = 0; i < t->fields_n; i++) {
        row[i] = v[i];
        quoted[i] = (dz_str){NULL, 0};
        if (v[i].kind != DZ_VALUE_TEXT)
            continue;
        size_t twin = 0;
        while (twin < i && !(v[twin].kind == DZ_VALUE_TEXT && dz_str_eq(v[twin].s, v[i].s)))
            twin++;
        if (twin == i) {
            copy_text(r, v[i].s, &row[i].s, &quoted[i]);
            continue;
        }
        row[i].s = row[twin].s;
        quoted[i] = quoted[twin];
    }
    t->rows_n++;
}

static enum dz_code on_row(void *arg, size_t at, const struct dz_collection_value *v,
                           struct dz_err *err)
{
    struct reading *r = arg;
    struct graph_table *t = r->t;
    size_t row_bytes = t->fields_n * (sizeof(*v) + sizeof(dz_str)), texts = 0;
    (void)at;
    for (size_t i = 0; i < t->fields_n; i++)
        texts += v[i].kind == DZ_VALUE_TEXT ? v[i].s.n + 16 : 0;
    r->bytes += row_bytes;
    if (r->bytes + texts > TABLE_MAX || t->rows_n >= UINT32_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "collection %.*s does not fit into memory",
                       DZ_STR_FMT(r->coll->name));
    if (t->rows_n == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 64;
        t->cells = dz_realloc(t->cells, r->cap * t->fields_n * sizeof(*t->cells));
        t->quoted = dz_realloc(t->quoted, r->cap * t->fields_n * sizeof(*t->quoted));
    }
    copy_row(r, v);
    return DZ_OK;
}

/* ---- keys and orders --------------------------------------------------------------------------
 */

static void map_keys(struct graph_table *t, const struct dz_collection *coll)
{
    for (size_t i = 0; i < t->rows_n; i++) {
        struct dz_collection_value *row = &t->cells[i * t->fields_n];
        const struct dz_collection_value *key = &row[coll->key];
        dz_str text = key->s;
        if (key->kind == DZ_VALUE_INT)
            text = dz_arena_printf(t->arena, "%lld", (long long)key->n);
        (void)dz_map_set(&t->by_key, text, row);
    }
}

/* As the catalog orders: numbers by value, texts by bytes, null first. */
int graph_compare(const struct dz_collection_value *a, const struct dz_collection_value *b)
{
    if (a->kind == DZ_VALUE_TEXT && b->kind == DZ_VALUE_TEXT)
        return dz_str_cmp(a->s, b->s);
    if (a->kind == DZ_VALUE_INT && b->kind == DZ_VALUE_INT)
        return (a->n > b->n) - (a->n < b->n);
    if (a->kind == DZ_VALUE_NULL || b->kind == DZ_VALUE_NULL)
        return (a->kind != DZ_VALUE_NULL) - (b->kind != DZ_VALUE_NULL);
    double x = a->kind == DZ_VALUE_REAL ? a->x : (double)a->n;
    double y = b->kind == DZ_VALUE_REAL ? b->x : (double)b->n;
    return (x > y) - (x < y);
}

struct sorting {
    const struct graph_table *t;
    const struct dz_collection_tuple *order;
    size_t key;
};

static int by_order(const void *a, const void *b, void *arg)
{
    const struct sorting *s = arg;
    const struct dz_collection_value *x = &s->t->cells[*(const uint32_t *)a * s->t->fields_n];
    const struct dz_collection_value *y = &s->t->cells[*(const uint32_t *)b * s->t->fields_n];
    for (size_t i = 0; i < s->order->n; i++) {
        int d = graph_compare(&x[s->order->fields[i]], &y[s->order->fields[i]]);
        if (d != 0)
            return d;
    }
    return graph_compare(&x[s->key], &y[s->key]);
}

static void sort_orders(struct graph_table *t, const struct dz_collection *coll)
{
    t->orders_n = coll->queries_n;
    t->orders = dz_zalloc((t->orders_n + 1) * sizeof(*t->orders));
    for (size_t q = 0; q < t->orders_n; q++) {
        struct sorting s = {t, &coll->queries[q].order, coll->key};
        t->orders[q] = dz_alloc((t->rows_n + 1) * sizeof(uint32_t));
        for (size_t i = 0; i < t->rows_n; i++)
            t->orders[q][i] = (uint32_t)i;
        if (coll->queries[q].one.n == 0)
            qsort_r(t->orders[q], t->rows_n, sizeof(uint32_t), by_order, &s);
    }
}

enum dz_code graph_table_read(struct dz_catalog *c, const struct dz_collection *coll,
                              uint64_t rows_rev, struct graph_table **ret_t, struct dz_err *err)
{
    struct graph_table *t DZ_AUTO(graph_table_unref) = table_new(coll, rows_rev);
    struct reading r = {.coll = coll, .t = t};
    struct dz_collection_ask ask = {0};
    dz_buf_init(&r.scratch, 16 * TABLE_MAX);
    enum dz_code code = dz_catalog_collection_rows(c, coll, &ask, on_row, &r, err);
    dz_buf_done(&r.scratch);
    if (code == DZ_TOO_LARGE) {
        struct graph_table *big = table_new(coll, rows_rev);
        big->is_big = true;
        *ret_t = big;
        return DZ_OK;
    }
    DZ_TRY(code);
    map_keys(t, coll);
    sort_orders(t, coll);
    *ret_t = dz_take(&t);
    return DZ_OK;
}
