/*
 * sql_collection: the tables of collections.
 *
 * In: declarations and checked values from collection.c. Out: tables, rows, answers. A declaration
 * becomes a table in one transaction; before a table that is there gets columns a SQLite file is
 * copied. Records of one call are one exclusive transaction; each is compared with the row of its
 * key and the rows of its unique tuples first, so that nothing is ever refused half-way by an
 * index. Rows are read from one moment, one after another, never as a list. Any thread. Statements
 * are made from the declaration and kept prepared by their text.
 */
#include "catalog/collection_int.h"
#include "catalog/sql_int.h"

#include <stdlib.h>

static const struct dz_collection_dialect dialects[] = {
    [DZ_SQL_SQLITE] = {"INTEGER", "REAL", "TEXT", " STRICT"},
    [DZ_SQL_POSTGRES] = {"BIGINT", "DOUBLE PRECISION", "TEXT COLLATE \"C\"", ""},
};

/* ---- values ------------------------------------------------------------------------------------
 */

static void bind(struct dz_sql_stmt *st, int at, const struct dz_collection_value *v)
{
    switch (v->kind) {
    case DZ_VALUE_INT:
        dz_sql_bind_int(st, at, v->n);
        break;
    case DZ_VALUE_REAL:
        dz_sql_bind_real(st, at, v->x);
        break;
    case DZ_VALUE_TEXT:
        dz_sql_bind_str(st, at, v->s);
        break;
    case DZ_VALUE_NULL:
        dz_sql_bind_null(st, at);
        break;
    }
}

/* Good until the statement's next step. */
static struct dz_collection_value column(struct dz_sql_stmt *st, int at,
                                         const struct dz_collection_column *col)
{
    struct dz_collection_value v = {.kind = DZ_VALUE_NULL};
    if (dz_sql_is_null(st, at))
        return v;
    switch (dz_collection_stored_as(col)) {
    case DZ_VALUE_INT:
        v.kind = DZ_VALUE_INT;
        v.n = dz_sql_int(st, at);
        break;
    case DZ_VALUE_REAL:
        v.kind = DZ_VALUE_REAL;
        v.x = dz_sql_real(st, at);
        break;
    default:
        v.kind = DZ_VALUE_TEXT;
        v.s = dz_sql_str(st, at);
        break;
    }
    return v;
}

/* The wanted columns of the row at hand, null for the others. wanted NULL: all. */
static void read_columns(const struct dz_collection *c, const bool *wanted, struct dz_sql_stmt *st,
                         struct dz_collection_value *to)
{
    int at = 0;
    for (size_t i = 0; i < c->columns_n; i++)
        to[i] = !wanted || wanted[i] ? column(st, at++, &c->columns[i])
                                     : (struct dz_collection_value){.kind = DZ_VALUE_NULL};
}

static struct dz_collection_value *new_row(const struct dz_collection *c)
{
    return dz_alloc(c->columns_n * sizeof(struct dz_collection_value));
}

/* ---- declarations ------------------------------------------------------------------------------
 */

/* What the catalog keeps of one; declaration n = 0: it was never ensured. */
struct kept {
    struct dz_buf declaration;
    int64_t version;
};

static enum dz_code read_kept(struct dz_sql_conn *c, const struct dz_collection *coll,
                              struct kept *to, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    dz_buf_clear(&to->declaration);
    DZ_TRY(dz_sql_get(c, DZ_SQL_COLLECTION, &st, err));
    dz_sql_bind_str(st, 1, coll->source);
    dz_sql_bind_str(st, 2, coll->name);
    DZ_TRY(dz_sql_row(c, st, &row, err));
    if (row) {
        dz_buf_put(&to->declaration, dz_sql_str(st, 0));
        to->version = dz_sql_int(st, 1);
    }
    return DZ_OK;
}

static void kept_init(struct kept *k)
{
    dz_buf_init(&k->declaration, 2 * (size_t)DZ_COLLECTION_JSON_MAX);
    k->version = 0;
}

static void kept_done(struct kept *k)
{
    dz_buf_done(&k->declaration);
}

static enum dz_code look_kept(struct dz_sql *d, const struct dz_collection *coll, struct kept *to,
                              struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_TRY(dz_sql_reading_begin(&r, d, DZ_SQL_ONE, err));
    return read_kept(r.c, coll, to, err);
}

/* What became of a call that asked the table, after its transaction: a database says no more than
 * that a statement went wrong when there is no such table. */
static enum dz_code outcome(struct dz_sql *d, const struct dz_collection *coll, enum dz_code code,
                            struct dz_err *err)
{
    DZ_AUTO(kept_done) struct kept kept;
    kept_init(&kept);
    if (code == DZ_INTERNAL && look_kept(d, coll, &kept, NULL) == DZ_OK && kept.version == 0)
        return dz_fail(err, DZ_NOT_FOUND, "there is no collection %.*s of %.*s in the catalog",
                       DZ_STR_FMT(coll->name), DZ_STR_FMT(coll->source));
    return code;
}

static void index_init(struct dz_collection_index *x)
{
    dz_buf_init(&x->name, DZ_COLLECTION_SQL_MAX);
    dz_buf_init(&x->sql, DZ_COLLECTION_SQL_MAX);
}

static void index_done(struct dz_collection_index *x)
{
    dz_buf_done(&x->name);
    dz_buf_done(&x->sql);
}

static bool has_index(const struct dz_collection *c, dz_str name)
{
    DZ_AUTO(index_done) struct dz_collection_index x;
    index_init(&x);
    for (size_t i = 0; dz_collection_sql_index(c, i, &x); i++)
        if (dz_str_eq(dz_buf_str(&x.name), name))
            return true;
    return false;
}

static enum dz_code make_indexes(struct dz_sql_conn *c, const struct dz_collection *coll,
                                 struct dz_err *err)
{
    DZ_AUTO(index_done) struct dz_collection_index x;
    index_init(&x);
    for (size_t i = 0; dz_collection_sql_index(coll, i, &x); i++) {
        enum dz_code code = dz_sql_script(c, &x.sql, err);
        if (code == DZ_CONFLICT && x.unique)
            return dz_wrap(err, code, "unique: rows that are there break it");
        DZ_TRY(code);
    }
    return DZ_OK;
}

/* Those that the old declaration needed and the new one does not. */
static enum dz_code drop_indexes(struct dz_sql_conn *c, const struct dz_collection *old,
                                 const struct dz_collection *coll, struct dz_err *err)
{
    DZ_AUTO(index_done) struct dz_collection_index x;
    DZ_AUTO(dz_buf_done) struct dz_buf sql;
    index_init(&x);
    dz_buf_init(&sql, DZ_COLLECTION_SQL_MAX);
    for (size_t i = 0; dz_collection_sql_index(old, i, &x); i++) {
        if (has_index(coll, dz_buf_str(&x.name)))
            continue;
        dz_buf_clear(&sql);
        dz_buf_putf(&sql, "DROP INDEX IF EXISTS \"%s\"", dz_buf_cstr(&x.name));
        DZ_TRY(dz_sql_script(c, &sql, err));
    }
    return DZ_OK;
}

static enum dz_code make_table(struct dz_sql_conn *c, const struct dz_collection *coll,
                               struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf sql;
    dz_buf_init(&sql, DZ_COLLECTION_SQL_MAX);
    dz_collection_sql_create(coll, &dialects[c->b->dialect], &sql);
    DZ_TRY(dz_sql_script(c, &sql, err));
    return make_indexes(c, coll, err);
}

static bool is_new_column(const struct dz_collection *old, const struct dz_collection_column *col)
{
    return dz_collection_find_column(old, col->name) == DZ_NPOS;
}

static enum dz_code add_columns(struct dz_sql_conn *c, const struct dz_collection *old,
                                const struct dz_collection *coll, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf sql;
    dz_buf_init(&sql, DZ_COLLECTION_SQL_MAX);
    for (size_t i = 0; i < coll->columns_n; i++) {
        if (!is_new_column(old, &coll->columns[i]))
            continue;
        dz_buf_clear(&sql);
        dz_collection_sql_add_column(coll, i, &dialects[c->b->dialect], &sql);
        DZ_TRY(dz_sql_script(c, &sql, err));
    }
    return DZ_OK;
}

/* What rows that were there have in columns that are never null; and whether there are new ones. */
static bool note_columns(const struct dz_collection *old, const struct dz_collection *coll,
                         char note[248])
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    bool any = false;
    dz_buf_init(&b, DZ_COLLECTION_SQL_MAX);
    for (size_t i = 0; i < coll->columns_n; i++) {
        const struct dz_collection_column *col = &coll->columns[i];
        if (!is_new_column(old, col))
            continue;
        any = true;
        if (col->not_null)
            dz_buf_putf(&b, "%s%.*s", b.n ? ", " : "", DZ_STR_FMT(coll->fields[col->field].name));
    }
    if (b.n > 0)
        (void)snprintf(note, 248, "%.*s: \"\" or 0 in records that were there already: %.100s",
                       DZ_STR_FMT(coll->name), dz_buf_cstr(&b));
    return any;
}

static enum dz_code change_table(struct dz_sql_conn *c, const struct dz_collection *old,
                                 const struct dz_collection *coll, int64_t version,
                                 struct dz_collection_ensured *to, struct dz_err *err)
{
    char what[2 * DZ_COLLECTION_NAME_MAX];
    DZ_TRY(dz_collection_check_change(old, coll, err));
    (void)snprintf(what, sizeof(what), "%.*s-%lld", DZ_STR_FMT(coll->name), (long long)version + 1);
    if (note_columns(old, coll, to->note) && c->b->copy_before)
        DZ_TRY(c->b->copy_before(c->d, what, err));
    DZ_TRY(add_columns(c, old, coll, err));
    DZ_TRY(drop_indexes(c, old, coll, err));
    return make_indexes(c, coll, err);
}

static enum dz_code keep(struct dz_sql_conn *c, const struct dz_collection *coll,
                         struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(c, DZ_SQL_COLLECTION_SET, &st, err));
    dz_sql_bind_str(st, 1, coll->source);
    dz_sql_bind_str(st, 2, coll->name);
    dz_sql_bind_str(st, 3, coll->declaration);
    dz_sql_bind_str(st, 4, coll->table);
    dz_sql_bind_int(st, 5, dz_now_ms());
    return dz_sql_run(c, st, err);
}

/* Under the write lock: another process may have been quicker. */
static enum dz_code ensure(struct dz_sql_conn *c, const struct dz_collection *coll,
                           struct dz_collection_ensured *to, struct dz_err *err)
{
    DZ_AUTO(dz_collection_unref) struct dz_collection *old = NULL;
    DZ_AUTO(kept_done) struct kept kept;
    kept_init(&kept);
    *to = (struct dz_collection_ensured){0};
    DZ_TRY(read_kept(c, coll, &kept, err));
    if (dz_str_eq(dz_buf_str(&kept.declaration), coll->declaration))
        return DZ_OK;
    to->changed = true;
    to->created = kept.version == 0;
    if (to->created) {
        DZ_TRY(make_table(c, coll, err));
    } else {
        DZ_TRY(dz_collection_parse(coll->source, dz_buf_str(&kept.declaration), &old, err));
        DZ_TRY(change_table(c, old, coll, kept.version, to, err));
    }
    return keep(c, coll, err);
}

enum dz_code dz_sql_collection_ensure(void *self, const struct dz_collection *coll,
                                      struct dz_collection_ensured *ret_ensured, struct dz_err *err)
{
    struct dz_collection_ensured done = {0};
    DZ_AUTO(kept_done) struct kept kept;
    kept_init(&kept);
    DZ_TRY(look_kept(self, coll, &kept, err));
    if (!dz_str_eq(dz_buf_str(&kept.declaration), coll->declaration)) {
        struct dz_sql_writing w = {.d = self, .kind = DZ_SQL_EXCLUSIVE};
        enum dz_code code;
        do {
            code = dz_sql_writing_begin(&w);
            if (code == DZ_OK)
                code = ensure(w.c, coll, &done, &w.err);
        } while (dz_sql_writing_again(&w, &code, err));
        DZ_TRY(code);
    }
    *ret_ensured = done;
    return DZ_OK;
}

static enum dz_code read_rec(struct dz_sql_stmt *st, struct dz_text_pool *pool, void *ret_rec,
                             struct dz_err *err)
{
    struct dz_collection_rec r = {.rows_rev = (uint64_t)dz_sql_int(st, 3)};
    DZ_TRY(dz_sql_copy_str(st, 0, pool, &r.source, err));
    DZ_TRY(dz_sql_copy_str(st, 1, pool, &r.name, err));
    DZ_TRY(dz_sql_copy_str(st, 2, pool, &r.declaration, err));
    *(struct dz_collection_rec *)ret_rec = r;
    return DZ_OK;
}

enum dz_code dz_sql_collections(void *self, struct dz_arena *a, struct dz_collection_rec **ret_v,
                                size_t *ret_n, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_get(r.c, DZ_SQL_COLLECTIONS, &st, err));
    return dz_sql_list(r.c, st, a, sizeof(**ret_v), read_rec, ret_v, ret_n, err);
}

enum dz_code dz_sql_collections_rev(void *self, uint64_t *ret_rev, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    int64_t rev = 0;
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_one(r.c, DZ_SQL_COLLECTIONS_REV, &rev, err));
    *ret_rev = (uint64_t)rev;
    return DZ_OK;
}

/* ---- put ---------------------------------------------------------------------------------------
 */

struct putting {
    struct dz_sql_conn *c;
    const struct dz_collection *coll;
    const struct dz_collection_put *put;
    struct dz_collection_value *row; /* one that was found */
    struct dz_sql_stmt *found;       /* which holds its texts */
    struct dz_buf sql;
    bool wrote;
};

/* Its text may be the next to lose its place: it is not touched again. */
static void forget_found(struct putting *p)
{
    dz_sql_reset(&p->found);
    p->found = NULL;
}

static void putting_done(struct putting *p)
{
    forget_found(p);
    dz_buf_done(&p->sql);
    free(p->row);
}

static size_t column_of(const struct putting *p, size_t field)
{
    return p->coll->fields[field].column;
}

/* The row that has these values in the columns of the fields, into p->row. */
static enum dz_code find(struct putting *p, const struct dz_collection_tuple *by,
                         const struct dz_collection_value *values, bool *ret_found,
                         struct dz_err *err)
{
    forget_found(p);
    dz_buf_clear(&p->sql);
    dz_collection_sql_find(p->coll, by, &p->sql);
    DZ_TRY(dz_sql_get_made(p->c, &p->sql, &p->found, err));
    for (size_t i = 0; i < by->n; i++)
        bind(p->found, (int)i + 1, &values[column_of(p, by->fields[i])]);
    DZ_TRY(dz_sql_row(p->c, p->found, ret_found, err));
    if (*ret_found)
        read_columns(p->coll, NULL, p->found, p->row);
    return DZ_OK;
}

static bool is_named_unique(const struct putting *p, size_t column)
{
    for (size_t i = 0; i < p->coll->unique_n; i++)
        for (size_t k = 0; k < p->coll->unique[i].n; k++)
            if (column_of(p, p->coll->unique[i].fields[k]) == column)
                return true;
    return false;
}

/* Whether the row that was found says all that the record does. */
static bool is_same(const struct putting *p, const struct dz_collection_value *values,
                    const bool *given)
{
    for (size_t i = 0; i < p->coll->columns_n; i++) {
        bool counts =
            p->put->replace ? given[i] : values[i].kind != DZ_VALUE_NULL && !is_named_unique(p, i);
        if (counts && !dz_collection_value_eq(&values[i], &p->row[i]))
            return false;
    }
    return true;
}

static enum dz_code write_row(struct putting *p, const struct dz_collection_value *values,
                              const bool *given, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    int at = 0;
    forget_found(p);
    dz_buf_clear(&p->sql);
    if (given)
        dz_collection_sql_update(p->coll, given, &p->sql);
    else
        dz_collection_sql_insert(p->coll, &p->sql);
    DZ_TRY(dz_sql_get_made(p->c, &p->sql, &st, err));
    for (size_t i = 0; i < p->coll->columns_n; i++)
        if (!given || given[i])
            bind(st, ++at, &values[i]);
    if (given)
        bind(st, ++at, &values[column_of(p, p->coll->key)]);
    p->wrote = true;
    return dz_sql_send(p->c, st, err);
}

/* A row of another key with one of the record's unique tuples, into p->row. Records always give
 * what is unique: it is never null. */
static enum dz_code find_unique(struct putting *p, const struct dz_collection_value *values,
                                bool *ret_found, struct dz_err *err)
{
    size_t key = column_of(p, p->coll->key);
    bool found = false;
    for (size_t i = 0; i < p->coll->unique_n; i++) {
        DZ_TRY(find(p, &p->coll->unique[i], values, &found, err));
        if (found && !dz_collection_value_eq(&p->row[key], &values[key])) {
            *ret_found = true;
            return DZ_OK;
        }
    }
    *ret_found = false;
    return DZ_OK;
}

static enum dz_code put_record(struct putting *p, size_t i, enum dz_put_result *ret_v,
                               struct dz_err *err)
{
    const struct dz_collection_tuple by_key = {&p->coll->key, 1};
    const struct dz_collection_value *values = &p->put->values[i * p->coll->columns_n];
    const bool *given = &p->put->given[i * p->coll->columns_n];
    bool found = false, clash = false;
    DZ_TRY(find(p, &by_key, values, &found, err));
    if (found && is_same(p, values, given)) {
        *ret_v = DZ_PUT_SAME;
        return DZ_OK;
    }
    clash = found && !p->put->replace;
    if (!clash)
        DZ_TRY(find_unique(p, values, &clash, err));
    if (clash) {
        *ret_v = DZ_PUT_CLASH;
        p->put->clash(p->put->arg, i, p->row);
        return DZ_OK;
    }
    *ret_v = found ? DZ_PUT_REPLACED : DZ_PUT_NEW;
    return write_row(p, values, found ? given : NULL, err);
}

static enum dz_code touch(struct putting *p, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(p->c, DZ_SQL_COLLECTION_TOUCH, &st, err));
    dz_sql_bind_str(st, 1, p->coll->source);
    dz_sql_bind_str(st, 2, p->coll->name);
    dz_sql_bind_int(st, 3, dz_now_ms());
    return dz_sql_run(p->c, st, err);
}

static enum dz_code put_all(struct dz_sql_conn *c, const struct dz_collection *coll,
                            const struct dz_collection_put *put, enum dz_put_result *ret_v,
                            struct dz_err *err)
{
    DZ_AUTO(putting_done)
    struct putting p = {.c = c, .coll = coll, .put = put, .row = new_row(coll)};
    dz_buf_init(&p.sql, DZ_COLLECTION_SQL_MAX);
    for (size_t i = 0; i < put->n; i++)
        DZ_TRY(put_record(&p, i, &ret_v[i], err));
    return p.wrote ? touch(&p, err) : DZ_OK;
}

enum dz_code dz_sql_collection_put(void *self, const struct dz_collection *coll,
                                   const struct dz_collection_put *put, enum dz_put_result *ret_v,
                                   struct dz_err *err)
{
    struct dz_sql_writing w = {.d = self, .kind = DZ_SQL_EXCLUSIVE};
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        if (code == DZ_OK)
            code = put_all(w.c, coll, put, ret_v, &w.err);
    } while (dz_sql_writing_again(&w, &code, err));
    return outcome(self, coll, code, err);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static enum dz_code seen(struct dz_sql *d, const struct dz_collection *coll, size_t col,
                         const struct dz_collection_value *v, size_t n, bool *ret,
                         struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_buf_done) struct dz_buf sql;
    const size_t at_once = d->b->dialect == DZ_SQL_SQLITE || n == 1 ? 1 : DZ_SQL_IDS;
    dz_buf_init(&sql, DZ_COLLECTION_SQL_MAX);
    dz_collection_sql_seen(coll, col, at_once, &sql);
    DZ_TRY(dz_sql_reading_begin(&r, d, n > at_once ? DZ_SQL_SNAPSHOT : DZ_SQL_ONE, err));
    for (size_t i = 0; i < n; i += at_once) {
        DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
        bool row = false;
        DZ_TRY(dz_sql_get_made(r.c, &sql, &st, err));
        for (size_t k = 0; k < at_once && i + k < n; k++)
            bind(st, (int)k + 1,
                 &v[i + k]); /* null equals nothing, and so does what is not bound */
        DZ_TRY(dz_sql_row(r.c, st, &row, err));
        for (size_t k = 0; k < at_once && i + k < n; k++)
            ret[i + k] = row && dz_sql_int(st, (int)k) != 0;
    }
    return DZ_OK;
}

enum dz_code dz_sql_collection_seen(void *self, const struct dz_collection *coll, size_t col,
                                    const struct dz_collection_value *v, size_t n, bool *ret,
                                    struct dz_err *err)
{
    return outcome(self, coll, seen(self, coll, col, v, n, ret, err), err);
}

struct reading {
    struct dz_sql_conn *c;
    const struct dz_collection *coll;
    const struct dz_collection_ask *ask;
    struct dz_collection_value *row;
    struct dz_buf sql;
    dz_collection_row_fn *fn;
    void *arg;
};

static void reading_done(struct reading *r)
{
    dz_buf_done(&r->sql);
    free(r->row);
}

static bool same_key(const void *v, size_t i, size_t k)
{
    const struct dz_collection_value *keys = v;
    return keys[i].kind != DZ_VALUE_NULL && dz_collection_value_eq(&keys[i], &keys[k]);
}

/* The rows of n keys from `at` on, which come in their order. */
static enum dz_code read_some_keys(struct reading *r, struct dz_sql_stmt *st,
                                   const struct dz_collection_value *keys, size_t at, size_t n,
                                   struct dz_err *err)
{
    int which = 0;
    for (size_t i = 0; i < r->coll->columns_n; i++)
        which += !r->ask->wanted || r->ask->wanted[i];
    for (size_t i = 0; i < n; i++)
        bind(st, (int)i + 1, &keys[at + i]); /* null equals nothing */
    for (size_t next = 0;; next++) {
        bool row = false;
        DZ_TRY(dz_sql_row(r->c, st, &row, err));
        size_t of = row ? (size_t)dz_sql_int(st, which) - 1 : n;
        for (; next < of; next++)
            DZ_TRY(r->fn(r->arg, at + next, NULL, err));
        if (!row)
            return DZ_OK;
        read_columns(r->coll, r->ask->wanted, st, r->row);
        DZ_TRY(r->fn(r->arg, at + next, r->row, err));
    }
}

/* Two statements at most, which are bound anew each time. */
static enum dz_code read_keys(struct reading *r, const struct dz_collection_value *keys,
                              struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    size_t made = 0;
    for (size_t i = 0, n; i < r->ask->keys_n; i += n) {
        n = dz_sql_group(r->c, keys, i, r->ask->keys_n, same_key);
        size_t params = n == 1 ? 1 : DZ_SQL_IDS;
        dz_sql_reset(&st);
        if (params != made) {
            dz_buf_clear(&r->sql);
            dz_collection_sql_by_keys(r->coll, r->ask->wanted, params, &r->sql);
            DZ_TRY(dz_sql_get_made(r->c, &r->sql, &st, err));
            made = params;
        }
        DZ_TRY(read_some_keys(r, st, keys, i, n, err));
    }
    return DZ_OK;
}

static enum dz_code read_range(struct reading *r, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    struct dz_collection_value params[DZ_COLLECTION_PARAMS_MAX];
    dz_collection_sql_range(r->coll, r->ask, &r->sql);
    size_t n = dz_collection_sql_range_values(r->coll, r->ask, params);
    DZ_TRY(dz_sql_get_made(r->c, &r->sql, &st, err));
    for (size_t i = 0; i < n; i++)
        bind(st, (int)i + 1, &params[i]);
    for (size_t at = 0;; at++) {
        bool row = false;
        DZ_TRY(dz_sql_row(r->c, st, &row, err));
        if (!row)
            return DZ_OK;
        read_columns(r->coll, r->ask->wanted, st, r->row);
        DZ_TRY(r->fn(r->arg, at, r->row, err));
    }
}

static enum dz_code rows(struct dz_sql *d, struct reading *r,
                         const struct dz_collection_value *keys, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading of = {0};
    bool several = r->ask->by_keys && r->ask->keys_n > 1;
    DZ_TRY(dz_sql_reading_begin(&of, d, several ? DZ_SQL_SNAPSHOT : DZ_SQL_ONE, err));
    r->c = of.c;
    return r->ask->by_keys ? read_keys(r, keys, err) : read_range(r, err);
}

enum dz_code dz_sql_collection_rows(void *self, const struct dz_collection *coll,
                                    const struct dz_collection_ask *ask,
                                    const struct dz_collection_value *keys,
                                    dz_collection_row_fn *fn, void *arg, struct dz_err *err)
{
    DZ_AUTO(reading_done)
    struct reading r = {.coll = coll, .ask = ask, .row = new_row(coll), .fn = fn, .arg = arg};
    dz_buf_init(&r.sql, DZ_COLLECTION_SQL_MAX);
    return outcome(self, coll, rows(self, &r, keys, err), err);
}
