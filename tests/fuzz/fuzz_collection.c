/*
 * fuzz_collection: a declaration of a collection and, behind a zero byte, a record for it.
 *
 * What is accepted has statements that fit into their limit, may become itself, and judges the
 * record.
 */
#include "catalog/collection_int.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_statements(const struct dz_collection *c)
{
    static const struct dz_collection_dialect d = {"INTEGER", "REAL", "TEXT", " STRICT"};
    DZ_AUTO(dz_buf_done) struct dz_buf sql;
    struct dz_collection_index x;
    dz_buf_init(&sql, DZ_COLLECTION_SQL_MAX);
    dz_buf_init(&x.name, DZ_COLLECTION_SQL_MAX);
    dz_buf_init(&x.sql, DZ_COLLECTION_SQL_MAX);
    dz_collection_sql_create(c, &d, &sql);
    dz_assert(!sql.full);
    dz_buf_clear(&sql);
    dz_collection_sql_insert(c, &sql);
    for (size_t i = 0; dz_collection_sql_index(c, i, &x); i++)
        dz_assert(!x.sql.full && !x.name.full);
    for (size_t i = 0; i < c->queries_n; i++) {
        const struct dz_collection_query *q = &c->queries[i];
        struct dz_collection_value v[DZ_COLLECTION_PARAMS_MAX];
        struct dz_collection_bound from = {.value = {.kind = DZ_VALUE_NULL}};
        from.field = q->range_field == DZ_NPOS ? c->key : q->range_field;
        const struct dz_collection_ask ask = {.from = &from,
                                              .order = q->order.fields,
                                              .order_n = q->order.n,
                                              .limit = 1,
                                              .descending = q->exclusive};
        dz_buf_clear(&sql);
        dz_collection_sql_range(c, &ask, &sql);
        dz_assert(!sql.full && dz_collection_sql_range_values(c, &ask, v) == 1);
    }
    dz_buf_done(&x.name);
    dz_buf_done(&x.sql);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dz_str all = {(const char *)data, size};
    size_t zero = dz_str_chr(all, '\0');
    dz_str record = dz_str_after(all, zero);
    struct dz_err err;
    DZ_AUTO(dz_collection_unref) struct dz_collection *c = NULL;
    if (dz_collection_parse(DZ_S("x.org"), dz_str_sub(all, 0, zero), &c, &err) != DZ_OK)
        return 0;
    try_statements(c);
    enum dz_code code = dz_collection_check_change(c, c, &err);
    dz_assert(code == DZ_OK);
    json_t *v = json_loadb(record.n ? record.p : "", record.n, JSON_ALLOW_NUL, NULL);
    if (v && dz_collection_check(c, v, &err) == DZ_OK)
        dz_assert(json_is_object(v) && json_object_size(v) > 0);
    json_decref(v);
    return 0;
}
