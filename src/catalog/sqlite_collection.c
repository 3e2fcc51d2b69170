/*
 * sqlite_collection: the tables of collections, in SQLite.
 *
 * In: declarations and checked values from collection.c. Out: tables, rows, answers. A declaration
 * becomes a table in one transaction; before a table that is there gets columns the file is copied.
 * Records of one call are one transaction; each is compared with the row of its key and the rows of
 * its unique tuples first, so that nothing is ever refused half-way by an index. Rows are read from
 * one read transaction, one after another, never as a list. Any thread. Statements are made from
 * the declaration and kept prepared by their text.
 */
#include "catalog/collection_int.h"
#include "catalog/sqlite_int.h"

static const struct dz_collection_dialect dialect = {"INTEGER", "REAL", "TEXT", " STRICT"};

/* ---- values ------------------------------------------------------------------------------------
 */

static void bind(sqlite3_stmt *st, int at, const struct dz_collection_value *v)
{
    if (v->kind == DZ_VALUE_INT) {
        dz_sq_bind_int(st, at, v->n);
    } else if (v->kind == DZ_VALUE_TEXT) {
        dz_sq_bind_str(st, at, v->s);
    } else {
        int rc = v->kind == DZ_VALUE_REAL ? sqlite3_bind_double(st, at, v->x)
                                          : sqlite3_bind_null(st, at);
        dz_assert(rc == SQLITE_OK);
    }
}

/* Good until the statement's next step. */
static struct dz_collection_value column(sqlite3_stmt *st, int at)
{
    struct dz_collection_value v = {.kind = DZ_VALUE_NULL};
    switch (sqlite3_column_type(st, at)) {
    case SQLITE_INTEGER:
        v.kind = DZ_VALUE_INT;
        v.n = sqlite3_column_int64(st, at);
        break;
    case SQLITE_FLOAT:
        v.kind = DZ_VALUE_REAL;
        v.x = sqlite3_column_double(st, at);
        break;
    case SQLITE_TEXT:
        v.kind = DZ_VALUE_TEXT;
        v.s.p = (const char *)sqlite3_column_text(st, at);
        v.s.n = (size_t)sqlite3_column_bytes(st, at);
        break;
    default:
        break;
    }
    return v;
}

/* The wanted columns of the row at hand, null for the others. wanted NULL: all. */
static void read_columns(const struct dz_collection *c, const bool *wanted, sqlite3_stmt *st,
                         struct dz_collection_value *to)
{
    int at = 0;
    for (size_t i = 0; i < c->columns_n; i++)
        to[i] = !wanted || wanted[i] ? column(st, at++)
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

static enum dz_code read_kept(struct dz_sq_conn *c, const struct dz_collection *coll,
                              struct kept *to, struct dz_err *err)
{
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    bool row = false;
    dz_buf_clear(&to->declaration);
    DZ_TRY(dz_sq_get(c, DZ_SQ_COLLECTION, &st, err));
    dz_sq_bind_str(st, 1, coll->source);
    dz_sq_bind_str(st, 2, coll->name);
    DZ_TRY(dz_sq_row(c, st, &row, err));
    if (row) {
        dz_buf_put(&to->declaration, column(st, 0).s);
        to->version = sqlite3_column_int64(st, 1);
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

static enum dz_code never_ensured(struct dz_sq_conn *c, const struct dz_collection *coll,
                                  enum dz_code code, struct dz_err *err)
{
    DZ_AUTO(kept_done) struct kept kept;
    kept_init(&kept);
    if (code == DZ_INTERNAL && read_kept(c, coll, &kept, NULL) == DZ_OK && kept.version == 0)
        return dz_fail(err, DZ_NOT_FOUND, "there is no collection %.*s of %.*s in the catalog",
                       DZ_STR_FMT(coll->name), DZ_STR_FMT(coll->source));
    return code;
}

/* A statement of a collection's table. */
static enum dz_code get(struct dz_sq_conn *c, const struct dz_collection *coll,
                        const struct dz_buf *sql, sqlite3_stmt **ret_st, struct dz_err *err)
{
    enum dz_code code = dz_sq_get_made(c, sql, ret_st, err);
    return code == DZ_OK ? DZ_OK : never_ensured(c, coll, code, err);
}

static enum dz_code run_text(struct dz_sq_conn *c, struct dz_buf *sql, struct dz_err *err)
{
    if (sql->full)
        return dz_fail(err, DZ_TOO_LARGE, "a statement for a collection is too long");
    if (dz_fault("query"))
        return dz_fail(err, DZ_IO, "%s: injected fault", c->name);
    return sqlite3_exec(c->db, dz_buf_cstr(sql), NULL, NULL, NULL) == SQLITE_OK
               ? DZ_OK
               : dz_sq_fail(c, err);
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

static enum dz_code make_indexes(struct dz_sq_conn *c, const struct dz_collection *coll,
                                 struct dz_err *err)
{
    DZ_AUTO(index_done) struct dz_collection_index x;
    index_init(&x);
    for (size_t i = 0; dz_collection_sql_index(coll, i, &x); i++) {
        enum dz_code code = run_text(c, &x.sql, err);
        if (code == DZ_CONFLICT && x.unique)
            return dz_wrap(err, code, "unique: rows that are there break it");
        DZ_TRY(code);
    }
    return DZ_OK;
}

/* Those that the old declaration needed and the new one does not. */
static enum dz_code drop_indexes(struct dz_sq_conn *c, const struct dz_collection *old,
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
        DZ_TRY(run_text(c, &sql, err));
    }
    return DZ_OK;
}

static enum dz_code make_table(struct dz_sq_conn *c, const struct dz_collection *coll,
                               struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf sql;
    dz_buf_init(&sql, DZ_COLLECTION_SQL_MAX);
    dz_collection_sql_create(coll, &dialect, &sql);
    DZ_TRY(run_text(c, &sql, err));
    return make_indexes(c, coll, err);
}

static bool is_new_column(const struct dz_collection *old, const struct dz_collection_column *col)
{
    return dz_collection_find_column(old, col->name) == DZ_NPOS;
}

static enum dz_code add_columns(struct dz_sq_conn *c, const struct dz_collection *old,
                                const struct dz_collection *coll, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf sql;
    dz_buf_init(&sql, DZ_COLLECTION_SQL_MAX);
    for (size_t i = 0; i < coll->columns_n; i++) {
        if (!is_new_column(old, &coll->columns[i]))
            continue;
        dz_buf_clear(&sql);
        dz_collection_sql_add_column(coll, i, &dialect, &sql);
        DZ_TRY(run_text(c, &sql, err));
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

static enum dz_code change_table(struct dz_sqlite *d, const struct dz_collection *old,
                                 const struct dz_collection *coll, int64_t version,
                                 struct dz_collection_ensured *to, struct dz_err *err)
{
    char what[2 * DZ_COLLECTION_NAME_MAX];
    DZ_TRY(dz_collection_check_change(old, coll, err));
    (void)snprintf(what, sizeof(what), "%.*s-%lld", DZ_STR_FMT(coll->name), (long long)version + 1);
    if (note_columns(old, coll, to->note))
        DZ_TRY(dz_sq_copy_before(d, what, err));
    DZ_TRY(add_columns(&d->write, old, coll, err));
    DZ_TRY(drop_indexes(&d->write, old, coll, err));
    return make_indexes(&d->write, coll, err);
}

static enum dz_code keep(struct dz_sq_conn *c, const struct dz_collection *coll, struct dz_err *err)
{
    sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_get(c, DZ_SQ_COLLECTION_SET, &st, err));
    dz_sq_bind_str(st, 1, coll->source);
    dz_sq_bind_str(st, 2, coll->name);
    dz_sq_bind_str(st, 3, coll->declaration);
    dz_sq_bind_str(st, 4, coll->table);
    dz_sq_bind_int(st, 5, dz_now_ms());
    return dz_sq_run(c, st, err);
}

/* Under the write lock: another process may have been quicker. */
static enum dz_code ensure(struct dz_sqlite *d, const struct dz_collection *coll,
                           struct dz_collection_ensured *to, struct dz_err *err)
{
    DZ_AUTO(dz_collection_unref) struct dz_collection *old = NULL;
    DZ_AUTO(kept_done) struct kept kept;
    kept_init(&kept);
    DZ_TRY(read_kept(&d->write, coll, &kept, err));
    if (dz_str_eq(dz_buf_str(&kept.declaration), coll->declaration))
        return DZ_OK;
    to->changed = true;
    to->created = kept.version == 0;
    if (to->created) {
        DZ_TRY(make_table(&d->write, coll, err));
    } else {
        DZ_TRY(dz_collection_parse(coll->source, dz_buf_str(&kept.declaration), &old, err));
        DZ_TRY(change_table(d, old, coll, kept.version, to, err));
    }
    return keep(&d->write, coll, err);
}

static enum dz_code is_as_kept(struct dz_sqlite *d, const struct dz_collection *coll, bool *ret_is,
                               struct dz_err *err)
{
    DZ_AUTO(dz_sq_reading_done) struct dz_sq_reading r = {0};
    DZ_AUTO(kept_done) struct kept kept;
    kept_init(&kept);
    DZ_TRY(dz_sq_reading_begin(&r, d, err));
    DZ_TRY(read_kept(r.c, coll, &kept, err));
    *ret_is = dz_str_eq(dz_buf_str(&kept.declaration), coll->declaration);
    return DZ_OK;
}

enum dz_code dz_sq_collection_ensure(void *self, const struct dz_collection *coll,
                                     struct dz_collection_ensured *ret_ensured, struct dz_err *err)
{
    struct dz_sqlite *d = self;
    struct dz_collection_ensured done = {0};
    bool same = false;
    DZ_TRY(is_as_kept(d, coll, &same, err));
    if (!same) {
        DZ_TRY(dz_sq_write_begin(d, err));
        DZ_TRY(dz_sq_write_close(d, ensure(d, coll, &done, err), err));
    }
    *ret_ensured = done;
    return DZ_OK;
}

static enum dz_code read_rec(sqlite3_stmt *st, struct dz_text_pool *pool, void *ret_rec,
                             struct dz_err *err)
{
    struct dz_collection_rec r = {.rows_rev = (uint64_t)sqlite3_column_int64(st, 3)};
    DZ_TRY(dz_sq_str(st, 0, pool, &r.source, err));
    DZ_TRY(dz_sq_str(st, 1, pool, &r.name, err));
    DZ_TRY(dz_sq_str(st, 2, pool, &r.declaration, err));
    *(struct dz_collection_rec *)ret_rec = r;
    return DZ_OK;
}

enum dz_code dz_sq_collections(void *self, struct dz_arena *a, struct dz_collection_rec **ret_v,
                               size_t *ret_n, struct dz_err *err)
{
    DZ_AUTO(dz_sq_reading_done) struct dz_sq_reading r = {0};
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_reading_begin(&r, self, err));
    DZ_TRY(dz_sq_get(r.c, DZ_SQ_COLLECTIONS, &st, err));
    return dz_sq_list(r.c, st, a, sizeof(**ret_v), read_rec, ret_v, ret_n, err);
}

enum dz_code dz_sq_collections_rev(void *self, uint64_t *ret_rev, struct dz_err *err)
{
    DZ_AUTO(dz_sq_reading_done) struct dz_sq_reading r = {0};
    int64_t rev = 0;
    DZ_TRY(dz_sq_reading_begin(&r, self, err));
    DZ_TRY(dz_sq_one(r.c, DZ_SQ_COLLECTIONS_REV, 0, &rev, err));
    *ret_rev = (uint64_t)rev;
    return DZ_OK;
}

/* ---- put ---------------------------------------------------------------------------------------
 */

struct putting {
    struct dz_sq_conn *c;
    const struct dz_collection *coll;
    const struct dz_collection_put *put;
    struct dz_collection_value *row; /* one that was found */
    sqlite3_stmt *found;             /* which holds its texts */
    struct dz_buf sql;
    bool wrote;
};

/* Its text may be the next to lose its place: it is not touched again. */
static void forget_found(struct putting *p)
{
    dz_sq_reset(&p->found);
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
    DZ_TRY(get(p->c, p->coll, &p->sql, &p->found, err));
    for (size_t i = 0; i < by->n; i++)
        bind(p->found, (int)i + 1, &values[column_of(p, by->fields[i])]);
    DZ_TRY(dz_sq_row(p->c, p->found, ret_found, err));
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
    sqlite3_stmt *st = NULL;
    int at = 0;
    forget_found(p);
    dz_buf_clear(&p->sql);
    if (given)
        dz_collection_sql_update(p->coll, given, &p->sql);
    else
        dz_collection_sql_insert(p->coll, &p->sql);
    DZ_TRY(get(p->c, p->coll, &p->sql, &st, err));
    for (size_t i = 0; i < p->coll->columns_n; i++)
        if (!given || given[i])
            bind(st, ++at, &values[i]);
    if (given)
        bind(st, ++at, &values[column_of(p, p->coll->key)]);
    p->wrote = true;
    return dz_sq_run(p->c, st, err);
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
    sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_get(p->c, DZ_SQ_COLLECTION_TOUCH, &st, err));
    dz_sq_bind_str(st, 1, p->coll->source);
    dz_sq_bind_str(st, 2, p->coll->name);
    dz_sq_bind_int(st, 3, dz_now_ms());
    return dz_sq_run(p->c, st, err);
}

static enum dz_code put_all(struct dz_sqlite *d, const struct dz_collection *coll,
                            const struct dz_collection_put *put, enum dz_put_result *ret_v,
                            struct dz_err *err)
{
    DZ_AUTO(putting_done)
    struct putting p = {.c = &d->write, .coll = coll, .put = put, .row = new_row(coll)};
    dz_buf_init(&p.sql, DZ_COLLECTION_SQL_MAX);
    for (size_t i = 0; i < put->n; i++)
        DZ_TRY(put_record(&p, i, &ret_v[i], err));
    return p.wrote ? touch(&p, err) : DZ_OK;
}

enum dz_code dz_sq_collection_put(void *self, const struct dz_collection *coll,
                                  const struct dz_collection_put *put, enum dz_put_result *ret_v,
                                  struct dz_err *err)
{
    struct dz_sqlite *d = self;
    DZ_TRY(dz_sq_write_begin(d, err));
    return dz_sq_write_close(d, put_all(d, coll, put, ret_v, err), err);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

enum dz_code dz_sq_collection_seen(void *self, const struct dz_collection *coll, size_t col,
                                   const struct dz_collection_value *v, size_t n, bool *ret,
                                   struct dz_err *err)
{
    DZ_AUTO(dz_sq_reading_done) struct dz_sq_reading r = {0};
    DZ_AUTO(dz_buf_done) struct dz_buf sql;
    dz_buf_init(&sql, DZ_COLLECTION_SQL_MAX);
    dz_collection_sql_seen(coll, col, &sql);
    DZ_TRY(dz_sq_reading_begin(&r, self, err));
    for (size_t i = 0; i < n; i++) {
        DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
        DZ_TRY(get(r.c, coll, &sql, &st, err));
        bind(st, 1, &v[i]); /* null equals nothing */
        DZ_TRY(dz_sq_row(r.c, st, &ret[i], err));
    }
    return DZ_OK;
}

struct reading {
    struct dz_sq_conn *c;
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

/* One statement for all keys, which is bound anew each time. */
static enum dz_code read_keys(struct reading *r, const struct dz_collection_value *keys,
                              struct dz_err *err)
{
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    dz_collection_sql_by_key(r->coll, r->ask->wanted, &r->sql);
    DZ_TRY(get(r->c, r->coll, &r->sql, &st, err));
    for (size_t i = 0; i < r->ask->keys_n; i++) {
        bool row = false;
        sqlite3_reset(st);
        bind(st, 1, &keys[i]); /* null equals nothing */
        DZ_TRY(dz_sq_row(r->c, st, &row, err));
        if (row)
            read_columns(r->coll, r->ask->wanted, st, r->row);
        DZ_TRY(r->fn(r->arg, i, row ? r->row : NULL, err));
    }
    return DZ_OK;
}

static enum dz_code read_range(struct reading *r, struct dz_err *err)
{
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    struct dz_collection_value params[DZ_COLLECTION_PARAMS_MAX];
    dz_collection_sql_range(r->coll, r->ask, &r->sql);
    size_t n = dz_collection_sql_range_values(r->coll, r->ask, params);
    DZ_TRY(get(r->c, r->coll, &r->sql, &st, err));
    for (size_t i = 0; i < n; i++)
        bind(st, (int)i + 1, &params[i]);
    for (size_t at = 0;; at++) {
        bool row = false;
        DZ_TRY(dz_sq_row(r->c, st, &row, err));
        if (!row)
            return DZ_OK;
        read_columns(r->coll, r->ask->wanted, st, r->row);
        DZ_TRY(r->fn(r->arg, at, r->row, err));
    }
}

enum dz_code dz_sq_collection_rows(void *self, const struct dz_collection *coll,
                                   const struct dz_collection_ask *ask,
                                   const struct dz_collection_value *keys, dz_collection_row_fn *fn,
                                   void *arg, struct dz_err *err)
{
    DZ_AUTO(dz_sq_reading_done) struct dz_sq_reading of = {0};
    DZ_AUTO(reading_done)
    struct reading r = {.coll = coll, .ask = ask, .row = new_row(coll), .fn = fn, .arg = arg};
    dz_buf_init(&r.sql, DZ_COLLECTION_SQL_MAX);
    DZ_TRY(dz_sq_reading_begin(&of, self, err));
    r.c = of.c;
    return ask->by_keys ? read_keys(&r, keys, err) : read_range(&r, err);
}
