/*
 * sqlite_file: the file of the SQLite backend: opening it, copies of it, whether it is sound.
 *
 * In: a path. Out: an open database in WAL mode, at whatever schema it stands; copies as
 * NAME.before-WHAT. ":memory:" is a database of SQLite's memdb that all connections of one struct
 * dz_sqlite share; it has no WAL, so reads there wait until a batch has ended. Odd: a copy is taken
 * through a connection of its own, because VACUUM INTO does not run inside a transaction.
 */
#include "catalog/sqlite_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define APPLICATION_ID 1685027439 /* "dozo" in four bytes */
#define WORD_(x) #x
#define WORD(x) WORD_(x)

enum { WRITE_WAIT_MS = 30000, JOURNAL_BYTES = 64 * 1024 * 1024 };

/* ---- open and close ----------------------------------------------------------------------------
 */

void dz_sqlite_close(struct dz_sql *base)
{
    struct dz_sqlite *d = (struct dz_sqlite *)base;
    for (size_t i = 0; i < DZ_SQLITE_READERS; i++)
        dz_sqlite_close_conn(&d->readers[i]);
    dz_sqlite_close_conn(&d->poll);
    dz_sqlite_close_conn(&d->write); /* the last one folds the WAL into the file */
    pthread_mutex_destroy(&d->write_lock);
    pthread_mutex_destroy(&d->readers_lock);
    pthread_cond_destroy(&d->reader_free);
    dz_sql_done(&d->base);
    free(d->target);
    free(d);
}

static void closep(struct dz_sqlite **d)
{
    if (*d)
        dz_sqlite_close(&(*d)->base);
}

static struct dz_sqlite *new_self(const char *data_dir, const char *uri)
{
    static atomic_uint memory_serial;
    struct dz_sqlite *d = dz_new(struct dz_sqlite);
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 64 * DZ_KIB);
    d->memory = strcmp(uri, ":memory:") == 0;
    if (d->memory)
        dz_buf_putf(&b, "file:/dozo-%u?vfs=memdb", atomic_fetch_add(&memory_serial, 1));
    else if (*uri)
        dz_buf_put(&b, dz_str_of(uri));
    else
        dz_buf_putf(&b, "%s/dozo.db", data_dir);
    d->target = dz_buf_take(&b, NULL);
    dz_sql_init(&d->base, &dz_sql_sqlite, d->memory ? uri : d->target);
    d->write_wait_ms = WRITE_WAIT_MS;
    pthread_mutexattr_t checked;
    pthread_mutexattr_init(&checked);
    pthread_mutexattr_settype(&checked, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&d->write_lock, &checked);
    pthread_mutexattr_destroy(&checked);
    pthread_mutex_init(&d->readers_lock, NULL);
    pthread_cond_init(&d->reader_free, NULL);
    return d;
}

/* SQLite does not wait by itself when two processes turn one new file into WAL at once. */
static enum dz_code use_wal(struct dz_sqlite *d, struct dz_err *err)
{
    int64_t until = dz_mono_ns() + (int64_t)d->write_wait_ms * 1000000;
    for (;;) {
        sqlite3_stmt *st = NULL;
        bool wal = false;
        if (sqlite3_prepare_v2(d->write.db, "PRAGMA journal_mode = WAL", -1, &st, NULL) ==
                SQLITE_OK &&
            sqlite3_step(st) == SQLITE_ROW)
            wal = dz_str_eq(dz_sqlite_text(st, 0), DZ_S("wal"));
        int rc = sqlite3_finalize(st);
        if (wal)
            break;
        if (rc == SQLITE_OK)
            return dz_fail(err, DZ_IO,
                           "%s: this file system cannot hold a catalog (no shared memory for WAL)",
                           d->base.name);
        if ((rc & 0xff) != SQLITE_BUSY || dz_mono_ns() > until)
            return dz_sqlite_fail(&d->write, err);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 256);
    dz_buf_putf(&b, "PRAGMA journal_size_limit = %d; PRAGMA wal_autocheckpoint = 1000",
                JOURNAL_BYTES);
    if (sqlite3_exec(d->write.db, dz_buf_cstr(&b), NULL, NULL, NULL) != SQLITE_OK)
        return dz_sqlite_fail(&d->write, err);
    return DZ_OK;
}

enum dz_code dz_sqlite_open(const char *data_dir, const char *uri, struct dz_sql **ret_d,
                            struct dz_err *err)
{
    if (!*uri)
        DZ_TRY(dz_mkdirs(data_dir, DZ_DATA_DIR_MODE, err));
    DZ_AUTO(closep) struct dz_sqlite *d = new_self(data_dir, uri);
    DZ_TRY(dz_sqlite_open_conn(d, false, &d->write, err));
    /* Another program's file is left as it is. */
    DZ_TRY(dz_sql_migrate_check(&d->write.base, DZ_SQL_SCHEMA, err));
    if (!d->memory)
        DZ_TRY(use_wal(d, err));
    *ret_d = &dz_take(&d)->base;
    return DZ_OK;
}

/* ---- schema and copies -------------------------------------------------------------------------
 */

const char dz_sqlite_schema_begin[] = "PRAGMA application_id = " WORD(
    APPLICATION_ID) "; CREATE TABLE schema_version (number INTEGER "
                    "PRIMARY KEY, applied_s INTEGER NOT NULL) STRICT";

/* One integer of a text that is used once. */
static enum dz_code ask(const struct dz_sqlite_conn *c, const char *sql, int64_t *ret_n,
                        struct dz_err *err)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(c->db, sql, -1, &st, NULL) != SQLITE_OK)
        return dz_sqlite_fail(c, err);
    int rc = sqlite3_step(st);
    enum dz_code code = DZ_OK;
    if (rc == SQLITE_ROW)
        *ret_n = sqlite3_column_int64(st, 0);
    else
        code = dz_sqlite_fail(c, err);
    sqlite3_finalize(st);
    return code;
}

enum dz_code dz_sqlite_schema_version(struct dz_sql_conn *base, int64_t *ret_version,
                                      struct dz_err *err)
{
    const struct dz_sqlite_conn *c = (const struct dz_sqlite_conn *)base;
    int64_t id = 0, tables = 0;
    DZ_TRY(ask(c, "SELECT count(*) FROM sqlite_schema", &tables, err));
    DZ_TRY(ask(c, "PRAGMA application_id", &id, err));
    if (tables == 0 && id == 0) {
        *ret_version = 0;
        return DZ_OK;
    }
    if (id != APPLICATION_ID)
        return dz_fail(err, DZ_BAD_INPUT, "%s is a database, but not one of dozo", base->d->name);
    return ask(c, "SELECT max(number) FROM schema_version", ret_version, err);
}

static enum dz_code vacuum_into(struct dz_sqlite *d, const char *path, struct dz_err *err)
{
    struct dz_sqlite_conn from = {0};
    /* Not a reader: query_only refuses VACUUM INTO as well. */
    enum dz_code code = dz_sqlite_open_conn(d, false, &from, err);
    sqlite3_stmt *st = NULL;
    if (code == DZ_OK &&
        (sqlite3_prepare_v2(from.db, "VACUUM INTO ?1", -1, &st, NULL) != SQLITE_OK ||
         sqlite3_bind_text(st, 1, path, -1, SQLITE_STATIC) != SQLITE_OK ||
         sqlite3_step(st) != SQLITE_DONE))
        code = dz_sqlite_fail(&from, err);
    sqlite3_finalize(st);
    dz_sqlite_close_conn(&from);
    return code;
}

/* Makes the copy last under its final name, with the rights of the original. */
static enum dz_code settle(const char *name, const char *temporary, const char *path,
                           struct dz_err *err)
{
    struct stat st;
    DZ_AUTO(dz_closep) int fd = open(temporary, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || stat(name, &st) < 0 || fchmod(fd, st.st_mode & 0777) < 0 || fsync(fd) < 0 ||
        rename(temporary, path) < 0)
        return dz_fail_errno(err, DZ_IO, errno, "%s", path);
    const char *slash = strrchr(path, '/');
    char *folder = slash ? dz_str_dup((dz_str){path, (size_t)(slash - path) + 1}) : dz_strdup(".");
    enum dz_code code = dz_fsync_dir(folder, err);
    free(folder);
    return code;
}

enum dz_code dz_sqlite_copy_before(struct dz_sql *base, const char *what, struct dz_err *err)
{
    struct dz_sqlite *d = (struct dz_sqlite *)base;
    DZ_AUTO(dz_buf_done) struct dz_buf path, temporary;
    dz_buf_init(&path, 2 * DZ_TEXT_MAX);
    dz_buf_init(&temporary, 2 * DZ_TEXT_MAX);
    if (d->memory)
        return DZ_OK;
    dz_buf_putf(&path, "%s.before-%s", d->base.name, what);
    dz_buf_putf(&temporary, "%s.tmp", dz_buf_cstr(&path));
    if (path.full || temporary.full)
        return dz_fail(err, DZ_TOO_LARGE, "the path of the catalog is too long");
    unlink(dz_buf_cstr(&temporary)); /* of an attempt that died */
    enum dz_code code = vacuum_into(d, dz_buf_cstr(&temporary), err);
    if (code == DZ_OK)
        code = settle(d->base.name, dz_buf_cstr(&temporary), dz_buf_cstr(&path), err);
    if (code == DZ_OK)
        return DZ_OK;
    unlink(dz_buf_cstr(&temporary));
    return dz_wrap(err, code, "the copy before %s", what);
}

/* ---- soundness ---------------------------------------------------------------------------------
 */

static enum dz_code next(struct dz_sql_conn *c, sqlite3_stmt *st, bool *ret_row, struct dz_err *err)
{
    int rc = sqlite3_step(st);
    *ret_row = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? DZ_OK
                                                 : dz_sqlite_fail((struct dz_sqlite_conn *)c, err);
}

static enum dz_code prepare(struct dz_sql_conn *c, const char *text, sqlite3_stmt **st,
                            struct dz_err *err)
{
    struct dz_sqlite_conn *own = (struct dz_sqlite_conn *)c;
    return sqlite3_prepare_v2(own->db, text, -1, st, NULL) == SQLITE_OK ? DZ_OK
                                                                        : dz_sqlite_fail(own, err);
}

static void finalizep(sqlite3_stmt **st)
{
    sqlite3_finalize(*st);
}

static enum dz_code check_integrity(struct dz_sql_conn *c, dz_problem_fn *fn, void *arg,
                                    struct dz_err *err)
{
    DZ_AUTO(finalizep) sqlite3_stmt *st = NULL;
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, 16 * DZ_KIB);
    DZ_TRY(prepare(c, "PRAGMA integrity_check", &st, err));
    for (;;) {
        bool row = false;
        DZ_TRY(next(c, st, &row, err));
        if (!row)
            return DZ_OK;
        dz_str line = dz_sqlite_text(st, 0);
        if (dz_str_eq(line, DZ_S("ok")))
            continue;
        dz_buf_clear(&text);
        dz_buf_putf(&text, "database integrity: %.500s", line.p ? line.p : "?");
        fn(arg, dz_buf_cstr(&text));
    }
}

static enum dz_code check_foreign_keys(struct dz_sql_conn *c, dz_problem_fn *fn, void *arg,
                                       struct dz_err *err)
{
    DZ_AUTO(finalizep) sqlite3_stmt *st = NULL;
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, 16 * DZ_KIB);
    DZ_TRY(prepare(c, "PRAGMA foreign_key_check", &st, err));
    for (;;) {
        bool row = false;
        DZ_TRY(next(c, st, &row, err));
        if (!row)
            return DZ_OK;
        dz_str child = dz_sqlite_text(st, 0), parent = dz_sqlite_text(st, 2);
        dz_buf_clear(&text);
        dz_buf_putf(&text, "a row of %.60s refers to a row of %.60s that is not there",
                    child.p ? child.p : "?", parent.p ? parent.p : "?");
        fn(arg, dz_buf_cstr(&text));
    }
}

enum dz_code dz_sqlite_check(struct dz_sql_conn *c, dz_problem_fn *fn, void *arg,
                             struct dz_err *err)
{
    DZ_TRY(check_integrity(c, fn, arg, err));
    return check_foreign_keys(c, fn, arg, err);
}
