/*
 * collection_int: what the files of collections share.
 *
 * How a column is stored, and the SQL texts of a collection, which are made from its declaration
 * and are the same for every driver: names are quoted, parameters are $1, $2 … in the order in
 * which they stand. Pure; any thread.
 */
#pragma once

#include "catalog/catalog_int.h"

#define DZ_COLLECTION_SOURCE_MAX 100u
#define DZ_COLLECTION_SQL_MAX (256u * 1024)

/* DZ_VALUE_TEXT, DZ_VALUE_INT or DZ_VALUE_REAL. */
int dz_collection_stored_as(const struct dz_collection_column *c);
bool dz_collection_value_eq(const struct dz_collection_value *a,
                            const struct dz_collection_value *b);

/* Whether a table that was made for `old` can become one for `c`: DZ_CONFLICT names the field. */
DZ_MUST enum dz_code dz_collection_check_change(const struct dz_collection *old,
                                                const struct dz_collection *c, struct dz_err *err);
/* DZ_NPOS: there is no such column. */
size_t dz_collection_find_column(const struct dz_collection *c, dz_str name);

/* ---- SQL texts: appended ------------------------------------------------------------------------
 */

/* Types of columns as the driver names them. */
struct dz_collection_dialect {
    const char *integer, *real, *text;
    const char *table_end; /* what stands behind CREATE TABLE (…) */
};
void dz_collection_sql_create(const struct dz_collection *c, const struct dz_collection_dialect *d,
                              struct dz_buf *sql);
/* For a table that has rows. */
void dz_collection_sql_add_column(const struct dz_collection *c, size_t column,
                                  const struct dz_collection_dialect *d, struct dz_buf *sql);
/* Index i: those of unique tuples, then those that queries need; two may be the same. False: there
 * are no more. The name is that of the table and of what the index holds. */
struct dz_collection_index {
    bool unique;
    struct dz_buf name, sql; /* set up by the caller */
};
bool dz_collection_sql_index(const struct dz_collection *c, size_t i,
                             struct dz_collection_index *ret_index);
void dz_collection_sql_insert(const struct dz_collection *c, struct dz_buf *sql);
/* $1 … are values of the given columns, the last one is the key. */
void dz_collection_sql_update(const struct dz_collection *c, const bool *given, struct dz_buf *sql);
/* All columns of the row whose columns of these fields equal $1 …. */
void dz_collection_sql_find(const struct dz_collection *c, const struct dz_collection_tuple *by,
                            struct dz_buf *sql);
/* One row of n columns: whether a row has $1, …, $n. */
void dz_collection_sql_seen(const struct dz_collection *c, size_t column, size_t n,
                            struct dz_buf *sql);
/* The wanted columns, in their order, for an ask of a range; its parameters in the order of
 * dz_collection_sql_range_values. */
void dz_collection_sql_range(const struct dz_collection *c, const struct dz_collection_ask *ask,
                             struct dz_buf *sql);
/* How many there are; v has room for DZ_COLLECTION_PARAMS_MAX. */
#define DZ_COLLECTION_PARAMS_MAX (4u + 2 * DZ_COLLECTION_TUPLE_MAX)
size_t dz_collection_sql_range_values(const struct dz_collection *c,
                                      const struct dz_collection_ask *ask,
                                      struct dz_collection_value *v);
/* The wanted columns of the rows with the keys $1 … $n, in this order, and behind them which of the
 * keys it is. */
void dz_collection_sql_by_keys(const struct dz_collection *c, const bool *wanted, size_t n,
                               struct dz_buf *sql);
