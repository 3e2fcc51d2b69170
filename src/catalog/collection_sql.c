/*
 * collection_sql: the SQL texts of a collection.
 *
 * In: a declaration, and what is asked of it. Out: one statement, appended to a buffer, in words
 * that SQLite and PostgreSQL share; what differs comes as a dialect. Pure; any thread. Names of
 * columns are checked when a declaration is parsed and quoted here, so that one may be called
 * "select". Parameters stand in the order of their numbers, which is how SQLite counts them.
 */
#include "catalog/collection_int.h"

static void put_name(struct dz_buf *sql, dz_str name)
{
    dz_buf_putc(sql, '"');
    dz_buf_put(sql, name);
    dz_buf_putc(sql, '"');
}

static void put_param(struct dz_buf *sql, size_t *n)
{
    dz_buf_putf(sql, "$%zu", ++*n);
}

static const struct dz_collection_column *column_of(const struct dz_collection *c, size_t field)
{
    return &c->columns[c->fields[field].column];
}

/* "name" = $n */
static void put_equal(const struct dz_collection *c, size_t field, const char *op, size_t *n,
                      struct dz_buf *sql)
{
    put_name(sql, column_of(c, field)->name);
    dz_buf_putf(sql, " %s ", op);
    put_param(sql, n);
}

static void put_type(const struct dz_collection_column *col, const struct dz_collection_dialect *d,
                     struct dz_buf *sql)
{
    int kind = dz_collection_stored_as(col);
    put_name(sql, col->name);
    dz_buf_putf(sql, " %s%s",
                kind == DZ_VALUE_TEXT   ? d->text
                : kind == DZ_VALUE_REAL ? d->real
                                        : d->integer,
                col->not_null ? " NOT NULL" : "");
}

void dz_collection_sql_create(const struct dz_collection *c, const struct dz_collection_dialect *d,
                              struct dz_buf *sql)
{
    dz_buf_put(sql, DZ_S("CREATE TABLE "));
    put_name(sql, c->table);
    for (size_t i = 0; i < c->columns_n; i++) {
        dz_buf_put(sql, i ? DZ_S(", ") : DZ_S(" ("));
        put_type(&c->columns[i], d, sql);
        if (i == c->fields[c->key].column)
            dz_buf_put(sql, DZ_S(" PRIMARY KEY"));
    }
    dz_buf_putf(sql, ")%s", d->table_end);
}

void dz_collection_sql_add_column(const struct dz_collection *c, size_t column,
                                  const struct dz_collection_dialect *d, struct dz_buf *sql)
{
    const struct dz_collection_column *col = &c->columns[column];
    dz_buf_put(sql, DZ_S("ALTER TABLE "));
    put_name(sql, c->table);
    dz_buf_put(sql, DZ_S(" ADD COLUMN "));
    put_type(col, d, sql);
    if (!col->not_null)
        return;
    bool text = dz_collection_stored_as(col) == DZ_VALUE_TEXT;
    dz_buf_putf(sql, " DEFAULT %s", col->list ? "'[]'" : text ? "''" : "0");
}

/* ---- indexes -----------------------------------------------------------------------------------
 */

/* Columns of an index, each once. */
struct columns {
    size_t v[2 * DZ_COLLECTION_TUPLE_MAX], n;
};

static void add_column(const struct dz_collection *c, size_t field, struct columns *to)
{
    size_t column = c->fields[field].column;
    for (size_t i = 0; i < to->n; i++)
        if (to->v[i] == column)
            return;
    to->v[to->n++] = column;
}

/* What query q sorts by behind `first` (DZ_NPOS: nothing), down to the key. */
static struct columns columns_of(const struct dz_collection *c, const struct dz_collection_query *q,
                                 size_t first)
{
    struct columns to = {.n = 0};
    if (first != DZ_NPOS)
        add_column(c, first, &to);
    for (size_t i = 0; i < q->order.n; i++)
        add_column(c, q->order.fields[i], &to);
    add_column(c, c->key, &to);
    return to;
}

/* Index `i` of a query: that of its order, that of its range when it sorts by something else, and
 * without a range those of its filters. */
static bool query_index(const struct dz_collection *c, const struct dz_collection_query *q,
                        size_t *i, struct columns *ret_to)
{
    bool range = q->range_field != DZ_NPOS;
    if (q->order.n > 0 && (*i)-- == 0) {
        *ret_to = columns_of(c, q, DZ_NPOS);
        return true;
    }
    if (range && (q->order.n == 0 || q->order.fields[0] != q->range_field) && (*i)-- == 0) {
        *ret_to = columns_of(c, q, q->range_field);
        return true;
    }
    if (range || *i >= q->filter.n) {
        *i -= range ? 0 : q->filter.n;
        return false;
    }
    *ret_to = columns_of(c, q, q->filter.fields[*i]);
    return true;
}

/* By what it holds, so that a changed declaration keeps what it still needs. */
static void put_index_name(const struct dz_collection *c, bool unique, const struct columns *v,
                           struct dz_buf *name)
{
    enum { DIGEST = 4 };
    DZ_AUTO(dz_buf_done) struct dz_buf words;
    char hex[2 * DIGEST];
    dz_buf_init(&words, DZ_COLLECTION_SQL_MAX);
    for (size_t i = 0; i < v->n; i++) {
        dz_buf_put(&words, c->columns[v->v[i]].name);
        dz_buf_putc(&words, ',');
    }
    struct dz_sha256 sha = dz_sha256_of(dz_buf_str(&words));
    dz_hex(sha.b, DIGEST, hex);
    dz_buf_put(name, c->table);
    dz_buf_put(name, unique ? DZ_S("_u") : DZ_S("_i"));
    dz_buf_put(name, (dz_str){hex, sizeof(hex)});
}

static void put_index(const struct dz_collection *c, const struct columns *v,
                      struct dz_collection_index *to)
{
    dz_buf_clear(&to->name);
    dz_buf_clear(&to->sql);
    put_index_name(c, to->unique, v, &to->name);
    dz_buf_put(&to->sql, to->unique ? DZ_S("CREATE UNIQUE INDEX IF NOT EXISTS ")
                                    : DZ_S("CREATE INDEX IF NOT EXISTS "));
    put_name(&to->sql, dz_buf_str(&to->name));
    dz_buf_put(&to->sql, DZ_S(" ON "));
    put_name(&to->sql, c->table);
    for (size_t i = 0; i < v->n; i++) {
        dz_buf_put(&to->sql, i ? DZ_S(", ") : DZ_S(" ("));
        put_name(&to->sql, c->columns[v->v[i]].name);
    }
    dz_buf_putc(&to->sql, ')');
}

bool dz_collection_sql_index(const struct dz_collection *c, size_t i,
                             struct dz_collection_index *ret_index)
{
    struct columns v = {.n = 0};
    ret_index->unique = i < c->unique_n;
    if (ret_index->unique) {
        for (size_t k = 0; k < c->unique[i].n; k++)
            add_column(c, c->unique[i].fields[k], &v);
        put_index(c, &v, ret_index);
        return true;
    }
    i -= c->unique_n;
    for (size_t q = 0; q < c->queries_n; q++)
        if (query_index(c, &c->queries[q], &i, &v)) {
            put_index(c, &v, ret_index);
            return true;
        }
    return false;
}

/* ---- rows --------------------------------------------------------------------------------------
 */

void dz_collection_sql_insert(const struct dz_collection *c, struct dz_buf *sql)
{
    size_t n = 0;
    dz_buf_put(sql, DZ_S("INSERT INTO "));
    put_name(sql, c->table);
    for (size_t i = 0; i < c->columns_n; i++) {
        dz_buf_put(sql, i ? DZ_S(", ") : DZ_S(" ("));
        put_name(sql, c->columns[i].name);
    }
    dz_buf_put(sql, DZ_S(") VALUES ("));
    for (size_t i = 0; i < c->columns_n; i++) {
        if (i)
            dz_buf_put(sql, DZ_S(", "));
        put_param(sql, &n);
    }
    dz_buf_putc(sql, ')');
}

void dz_collection_sql_update(const struct dz_collection *c, const bool *given, struct dz_buf *sql)
{
    size_t n = 0;
    dz_buf_put(sql, DZ_S("UPDATE "));
    put_name(sql, c->table);
    for (size_t i = 0; i < c->columns_n; i++) {
        if (!given[i])
            continue;
        dz_buf_put(sql, n ? DZ_S(", ") : DZ_S(" SET "));
        put_name(sql, c->columns[i].name);
        dz_buf_put(sql, DZ_S(" = "));
        put_param(sql, &n);
    }
    dz_buf_put(sql, DZ_S(" WHERE "));
    put_equal(c, c->key, "=", &n, sql);
}

/* "SELECT " and columns; returns how many. wanted NULL: all. */
static size_t put_wanted(const struct dz_collection *c, const bool *wanted, struct dz_buf *sql)
{
    size_t n = 0;
    dz_buf_put(sql, DZ_S("SELECT "));
    for (size_t i = 0; i < c->columns_n; i++) {
        if (wanted && !wanted[i])
            continue;
        if (n++)
            dz_buf_put(sql, DZ_S(", "));
        put_name(sql, c->columns[i].name);
    }
    return n;
}

static void put_from(const struct dz_collection *c, struct dz_buf *sql)
{
    dz_buf_put(sql, DZ_S(" FROM "));
    put_name(sql, c->table);
}

static void put_select(const struct dz_collection *c, const bool *wanted, struct dz_buf *sql)
{
    if (put_wanted(c, wanted, sql) == 0)
        dz_buf_putc(sql, '1');
    put_from(c, sql);
}

void dz_collection_sql_find(const struct dz_collection *c, const struct dz_collection_tuple *by,
                            struct dz_buf *sql)
{
    size_t n = 0;
    put_select(c, NULL, sql);
    for (size_t i = 0; i < by->n; i++) {
        dz_buf_put(sql, i ? DZ_S(" AND ") : DZ_S(" WHERE "));
        put_equal(c, by->fields[i], "=", &n, sql);
    }
}

/* CASE "key" WHEN $1 THEN 1 … END */
static void put_which(const struct dz_collection *c, size_t n, struct dz_buf *sql)
{
    dz_buf_put(sql, DZ_S("CASE "));
    put_name(sql, column_of(c, c->key)->name);
    for (size_t i = 0; i < n;) {
        dz_buf_put(sql, DZ_S(" WHEN "));
        put_param(sql, &i);
        dz_buf_putf(sql, " THEN %zu", i);
    }
    dz_buf_put(sql, DZ_S(" END"));
}

static void put_one(const struct dz_collection *c, const bool *wanted, struct dz_buf *sql)
{
    size_t n = 0;
    if (put_wanted(c, wanted, sql) > 0)
        dz_buf_put(sql, DZ_S(", "));
    dz_buf_putc(sql, '1');
    put_from(c, sql);
    dz_buf_put(sql, DZ_S(" WHERE "));
    put_equal(c, c->key, "=", &n, sql);
}

void dz_collection_sql_by_keys(const struct dz_collection *c, const bool *wanted, size_t n,
                               struct dz_buf *sql)
{
    if (n == 1) {
        put_one(c, wanted, sql);
        return;
    }
    size_t columns = put_wanted(c, wanted, sql);
    if (columns > 0)
        dz_buf_put(sql, DZ_S(", "));
    put_which(c, n, sql);
    put_from(c, sql);
    dz_buf_put(sql, DZ_S(" WHERE "));
    put_name(sql, column_of(c, c->key)->name);
    for (size_t i = 0; i < n;) {
        dz_buf_put(sql, i ? DZ_S(", ") : DZ_S(" IN ("));
        put_param(sql, &i);
    }
    dz_buf_putf(sql, ") ORDER BY %zu", columns + 1);
}

void dz_collection_sql_seen(const struct dz_collection *c, size_t column, size_t n,
                            struct dz_buf *sql)
{
    for (size_t i = 0; i < n;) {
        dz_buf_put(sql, i ? DZ_S(", ") : DZ_S("SELECT "));
        dz_buf_put(sql, DZ_S("EXISTS (SELECT 1"));
        put_from(c, sql);
        dz_buf_put(sql, DZ_S(" WHERE "));
        put_name(sql, c->columns[column].name);
        dz_buf_put(sql, DZ_S(" = "));
        put_param(sql, &i);
        dz_buf_putc(sql, ')');
    }
}

/* ---- a range -----------------------------------------------------------------------------------
 */

/* Whether the key has to be added to make an order of all rows. */
static bool adds_key(const struct dz_collection *c, const struct dz_collection_ask *ask)
{
    for (size_t i = 0; i < ask->order_n; i++)
        if (c->fields[ask->order[i]].column == c->fields[c->key].column)
            return false;
    return true;
}

/* The order's columns and then the key's, each followed by `behind`. */
static void put_order(const struct dz_collection *c, const struct dz_collection_ask *ask,
                      dz_str behind, struct dz_buf *sql)
{
    for (size_t i = 0; i < ask->order_n + adds_key(c, ask); i++) {
        if (i)
            dz_buf_put(sql, DZ_S(", "));
        put_name(sql, column_of(c, i < ask->order_n ? ask->order[i] : c->key)->name);
        dz_buf_put(sql, behind);
    }
}

static void put_and(bool *any, struct dz_buf *sql)
{
    dz_buf_put(sql, *any ? DZ_S(" AND ") : DZ_S(" WHERE "));
    *any = true;
}

static void put_bounds(const struct dz_collection *c, const struct dz_collection_ask *ask,
                       size_t *n, bool *any, struct dz_buf *sql)
{
    if (ask->from && ask->from->value.kind != DZ_VALUE_NULL) {
        put_and(any, sql);
        put_equal(c, ask->from->field, ">=", n, sql);
    }
    if (ask->to && ask->to->value.kind != DZ_VALUE_NULL) {
        put_and(any, sql);
        put_equal(c, ask->to->field, "<", n, sql);
    }
    for (size_t i = 0; i < ask->filters_n; i++) {
        put_and(any, sql);
        if (ask->filters[i].value.kind != DZ_VALUE_NULL) {
            put_equal(c, ask->filters[i].field, "=", n, sql);
        } else {
            put_name(sql, column_of(c, ask->filters[i].field)->name);
            dz_buf_put(sql, DZ_S(" IS NULL"));
        }
    }
}

void dz_collection_sql_range(const struct dz_collection *c, const struct dz_collection_ask *ask,
                             struct dz_buf *sql)
{
    size_t n = 0;
    bool any = false;
    put_select(c, ask->wanted, sql);
    put_bounds(c, ask, &n, &any, sql);
    if (ask->after) {
        put_and(&any, sql);
        dz_buf_putc(sql, '(');
        put_order(c, ask, DZ_S(""), sql);
        dz_buf_put(sql, ask->descending ? DZ_S(") < (") : DZ_S(") > ("));
        for (size_t i = 0; i < ask->order_n + adds_key(c, ask); i++) {
            if (i)
                dz_buf_put(sql, DZ_S(", "));
            put_param(sql, &n);
        }
        dz_buf_putc(sql, ')');
    }
    dz_buf_put(sql, DZ_S(" ORDER BY "));
    put_order(c, ask, ask->descending ? DZ_S(" DESC") : DZ_S(""), sql);
    if (ask->limit) {
        dz_buf_put(sql, DZ_S(" LIMIT "));
        put_param(sql, &n);
    }
}

static void add_value(const struct dz_collection_value *v, struct dz_collection_value *to,
                      size_t *n)
{
    if (v->kind != DZ_VALUE_NULL)
        to[(*n)++] = *v;
}

size_t dz_collection_sql_range_values(const struct dz_collection *c,
                                      const struct dz_collection_ask *ask,
                                      struct dz_collection_value *v)
{
    size_t n = 0;
    if (ask->from)
        add_value(&ask->from->value, v, &n);
    if (ask->to)
        add_value(&ask->to->value, v, &n);
    for (size_t i = 0; i < ask->filters_n; i++)
        add_value(&ask->filters[i].value, v, &n);
    for (size_t i = 0; ask->after && i < ask->order_n + adds_key(c, ask); i++)
        v[n++] = ask->after[i];
    if (ask->limit)
        v[n++] = (struct dz_collection_value){
            .kind = DZ_VALUE_INT, .n = ask->limit < INT64_MAX ? (int64_t)ask->limit : INT64_MAX};
    return n;
}
