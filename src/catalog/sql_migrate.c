/*
 * sql_migrate: the way from an older database to this binary's schema.
 *
 * In: a database that was just opened. Out: the same one at the newest number, or untouched and an
 * error that says why. Each step is one transaction with its row in schema_version, under the lock
 * of exclusive writers: another process may migrate as well. Before a file that was there is
 * changed a copy of it is made while the lock is held, so that the copy is exactly what the step
 * began with.
 */
#include "catalog/sql_int.h"

enum dz_code dz_sql_migrate_check(struct dz_sql_conn *c, size_t known, struct dz_err *err)
{
    int64_t version = 0;
    DZ_TRY(c->b->schema_version(c, &version, err));
    if (version < 0 || (uint64_t)version > known)
        return dz_fail(err, DZ_UNSUPPORTED,
                       "%s was written by a newer dozo (schema %lld, this one knows %zu): "
                       "start that version, or restore a copy",
                       c->d->name, (long long)version, known);
    return DZ_OK;
}

static enum dz_code apply(struct dz_sql_conn *c, bool first, const char *sql, size_t number,
                          struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf note;
    dz_buf_init(&note, 256);
    dz_buf_putf(&note, "INSERT INTO schema_version VALUES (%zu, %lld)", number,
                (long long)(dz_now_ms() / 1000));
    enum dz_code code = c->b->script(c, sql, err);
    if (code == DZ_OK && first)
        code = c->b->script(c, c->b->schema_begin, err);
    if (code == DZ_OK)
        code = c->b->script(c, dz_buf_cstr(&note), err);
    return code == DZ_OK ? DZ_OK : dz_wrap(err, code, "migration %zu", number);
}

/* Another process may have migrated since the last look: everything is asked again under the lock.
 */
static enum dz_code migrate_one(struct dz_sql_conn *c, const char *const *list, size_t n,
                                bool *copied, bool *ret_done, struct dz_err *err)
{
    int64_t version = 0;
    DZ_TRY(dz_sql_migrate_check(c, n, err));
    DZ_TRY(c->b->schema_version(c, &version, err));
    if ((uint64_t)version == n) {
        *ret_done = true;
        return DZ_OK;
    }
    size_t next = (size_t)version + 1;
    while (next < n && !list[next - 1])
        next++;
    if (version > 0 && !*copied && c->b->copy_before) {
        char what[64];
        (void)snprintf(what, sizeof(what), "migration-%zu", next);
        DZ_TRY(c->b->copy_before(c->d, what, err));
        *copied = true;
    }
    DZ_TRY(apply(c, version == 0, list[next - 1], next, err));
    *ret_done = next == n;
    return DZ_OK;
}

static enum dz_code look(struct dz_sql *d, size_t n, int64_t *ret_version, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_TRY(dz_sql_reading_begin(&r, d, DZ_SQL_SNAPSHOT, err));
    DZ_TRY(dz_sql_migrate_check(r.c, n, err));
    return d->b->schema_version(r.c, ret_version, err);
}

enum dz_code dz_sql_migrate(struct dz_sql *d, const char *const *list, size_t n, struct dz_err *err)
{
    int64_t version = 0;
    DZ_TRY(look(d, n, &version, err));
    /* A database that is new holds nothing worth a copy. */
    bool copied = version == 0, done = (uint64_t)version == n;
    while (!done) {
        struct dz_sql_writing w = {.d = d, .kind = DZ_SQL_EXCLUSIVE};
        enum dz_code code;
        do {
            code = dz_sql_writing_begin(&w);
            if (code == DZ_OK)
                code = migrate_one(w.c, list, n, &copied, &done, &w.err);
        } while (dz_sql_writing_again(&w, &code, err));
        DZ_TRY(code);
    }
    return DZ_OK;
}
