/*
 * sqlite_conn: the SQLite backend: connections, their statements, transactions.
 *
 * In: the open database's path, texts. Out: connections that are strict and durable, results of
 * single steps, errors in the house's codes. WAL: readers see the last commit and never wait for
 * the writer, who begins with BEGIN IMMEDIATE so that two writers meet at its start and not
 * half-way. Any thread; a connection serves one at a time, and readers are opened when they are
 * first needed. Odd: a database that was moved away while in use is noticed and left alone; and out
 * of memory or disk, even in a SELECT, SQLite may end the transaction by itself.
 */
#include "catalog/sqlite_int.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

struct statement {
    struct dz_sql_stmt base;
    sqlite3_stmt *st;
};

static struct dz_sqlite_conn *own(struct dz_sql_conn *c)
{
    return (struct dz_sqlite_conn *)c;
}

static sqlite3_stmt *inner(struct dz_sql_stmt *st)
{
    return ((struct statement *)st)->st;
}

/* ---- connections -------------------------------------------------------------------------------
 */

static enum dz_code code_of(int extended)
{
    switch (extended & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return DZ_UNAVAILABLE;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
        return DZ_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return DZ_CORRUPT;
    case SQLITE_CONSTRAINT:
        return extended == SQLITE_CONSTRAINT_CHECK ? DZ_CORRUPT : DZ_CONFLICT;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return DZ_IO;
    case SQLITE_TOOBIG:
        return DZ_TOO_LARGE;
    default:
        return DZ_INTERNAL;
    }
}

enum dz_code dz_sqlite_fail(const struct dz_sqlite_conn *c, struct dz_err *err)
{
    int extended = sqlite3_extended_errcode(c->db), native = sqlite3_system_errno(c->db);
    enum dz_code code = code_of(extended);
    const char *hint = "";
    if (code == DZ_UNAVAILABLE)
        hint = ": another dozo process is writing";
    else if (code == DZ_CORRUPT && (extended & 0xff) != SQLITE_NOTADB)
        hint = ": the catalog is damaged, see `dozo check`";
    if (code == DZ_IO && native)
        return dz_fail_errno(err, code, native, "%s: %s", c->base.d->name, sqlite3_errmsg(c->db));
    code = dz_fail(err, code, "%s: %s%s", c->base.d->name, sqlite3_errmsg(c->db), hint);
    if (err)
        err->native = extended;
    return code;
}

static enum dz_code set_up(const struct dz_sqlite *d, bool reader, struct dz_sqlite_conn *c,
                           struct dz_err *err)
{
    static const char common[] =
        "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; "
        "PRAGMA synchronous = FULL; PRAGMA cache_size = -8000";
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_timeout(c->db, d->write_wait_ms);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (sqlite3_exec(c->db, common, NULL, NULL, NULL) != SQLITE_OK ||
        (reader && sqlite3_exec(c->db, "PRAGMA query_only = ON", NULL, NULL, NULL) != SQLITE_OK))
        return dz_sqlite_fail(c, err);
    return DZ_OK;
}

/* A file that was removed or replaced still reads as it was, for ever: others write another one. */
enum dz_code dz_sqlite_in_place(const struct dz_sqlite_conn *c, struct dz_err *err)
{
    int moved = 0;
    if (sqlite3_file_control(c->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved)
        return dz_fail(err, DZ_UNAVAILABLE,
                       "%.160s was removed or replaced while in use; put it back, or start again",
                       c->base.d->name);
    return DZ_OK;
}

/* A journal without its database is what is left when the database was moved away while in use.
 * SQLite would make a new one and delete the journal, and with it what was written last. */
static enum dz_code check_journal(const struct dz_sqlite *d, struct dz_err *err)
{
    struct stat st;
    if (d->memory || lstat(d->base.name, &st) == 0 || errno != ENOENT)
        return DZ_OK;
    DZ_AUTO(dz_buf_done) struct dz_buf wal;
    dz_buf_init(&wal, 2 * DZ_TEXT_MAX);
    dz_buf_put(&wal, dz_str_of(d->base.name));
    dz_buf_put(&wal, DZ_S("-wal"));
    if (stat(dz_buf_cstr(&wal), &st) < 0 || st.st_size == 0)
        return DZ_OK;
    return dz_fail(err, DZ_UNAVAILABLE,
                   "%.160s is not there, but its journal (-wal) is: put the file back, or remove "
                   "the journal to begin anew",
                   d->base.name);
}

enum dz_code dz_sqlite_open_conn(struct dz_sqlite *d, bool reader, struct dz_sqlite_conn *c,
                                 struct dz_err *err)
{
    c->base.b = &dz_sql_sqlite;
    c->base.d = &d->base;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (reader ? 0 : SQLITE_OPEN_CREATE) |
                (d->memory ? SQLITE_OPEN_URI : 0);
    enum dz_code code = DZ_OK;
    DZ_TRY(check_journal(d, err));
    if (sqlite3_open_v2(d->target, &c->db, flags, NULL) != SQLITE_OK) {
        dz_assert(c->db);
        code = dz_sqlite_fail(c, err);
    }
    if (code == DZ_OK)
        code = set_up(d, reader, c, err);
    if (code != DZ_OK)
        dz_sqlite_close_conn(c);
    return code;
}

void dz_sqlite_close_conn(struct dz_sqlite_conn *c)
{
    if (!c->db)
        return;
    dz_sql_conn_forget(&c->base);
    sqlite3_stmt *const fixed[] = {c->begin, c->begin_write, c->commit, c->version};
    for (size_t i = 0; i < DZ_LEN(fixed); i++)
        sqlite3_finalize(fixed[i]);
    /* Closing the last connection would write the journal into the file that was moved away and
     * delete it, under the hands of those who use the file that stands there now. */
    if (dz_sqlite_in_place(c, NULL) != DZ_OK)
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    int rc = sqlite3_close(c->db);
    dz_assert(rc == SQLITE_OK);
    *c = (struct dz_sqlite_conn){0};
}

/* ---- statements --------------------------------------------------------------------------------
 */

dz_str dz_sqlite_text(sqlite3_stmt *st, int at)
{
    const unsigned char *p = sqlite3_column_text(st, at);
    return (dz_str){(const char *)p, p ? (size_t)sqlite3_column_bytes(st, at) : 0};
}

static enum dz_code prepare_inner(struct dz_sqlite_conn *c, dz_str text, sqlite3_stmt **st,
                                  struct dz_err *err)
{
    return sqlite3_prepare_v3(c->db, text.p, (int)text.n, SQLITE_PREPARE_PERSISTENT, st, NULL) ==
                   SQLITE_OK
               ? DZ_OK
               : dz_sqlite_fail(c, err);
}

static enum dz_code prepare(struct dz_sql_conn *c, dz_str text, struct dz_sql_stmt **ret_st,
                            struct dz_err *err)
{
    sqlite3_stmt *st = NULL;
    DZ_TRY(prepare_inner(own(c), text, &st, err));
    struct statement *s = dz_new(struct statement);
    s->base.b = &dz_sql_sqlite;
    s->base.c = c;
    s->st = st;
    *ret_st = &s->base;
    return DZ_OK;
}

static void finalize(struct dz_sql_stmt *st)
{
    sqlite3_finalize(inner(st));
    free(st);
}

static enum dz_code step_inner(struct dz_sqlite_conn *c, sqlite3_stmt *st, bool *ret_row,
                               struct dz_err *err)
{
    if (dz_fault("query"))
        return dz_fail(err, DZ_IO, "%s: injected fault", c->base.d->name);
    int rc = sqlite3_step(st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return dz_sqlite_fail(c, err);
    *ret_row = rc == SQLITE_ROW;
    return DZ_OK;
}

static enum dz_code step(struct dz_sql_stmt *st, bool *ret_row, struct dz_err *err)
{
    return step_inner(own(st->c), inner(st), ret_row, err);
}

static void reset(struct dz_sql_stmt *st)
{
    st->many = st->later = false;
    sqlite3_reset(inner(st));
    sqlite3_clear_bindings(inner(st));
}

static void bind_int(struct dz_sql_stmt *st, int at, int64_t n)
{
    int rc = sqlite3_bind_int64(inner(st), at, n);
    dz_assert(rc == SQLITE_OK);
}

static void bind_real(struct dz_sql_stmt *st, int at, double x)
{
    int rc = sqlite3_bind_double(inner(st), at, x);
    dz_assert(rc == SQLITE_OK);
}

static void bind_str(struct dz_sql_stmt *st, int at, dz_str s)
{
    int rc = sqlite3_bind_text(inner(st), at, s.p, (int)s.n, SQLITE_STATIC);
    dz_assert(rc == SQLITE_OK);
}

static void bind_blob(struct dz_sql_stmt *st, int at, dz_str bytes)
{
    int rc = sqlite3_bind_blob(inner(st), at, bytes.p, (int)bytes.n, SQLITE_STATIC);
    dz_assert(rc == SQLITE_OK);
}

static void bind_null(struct dz_sql_stmt *st, int at)
{
    int rc = sqlite3_bind_null(inner(st), at);
    dz_assert(rc == SQLITE_OK);
}

static int64_t column_int(struct dz_sql_stmt *st, int at)
{
    return sqlite3_column_int64(inner(st), at);
}

static double column_real(struct dz_sql_stmt *st, int at)
{
    return sqlite3_column_double(inner(st), at);
}

static dz_str column_str(struct dz_sql_stmt *st, int at)
{
    return dz_sqlite_text(inner(st), at);
}

static dz_str column_blob(struct dz_sql_stmt *st, int at)
{
    const void *p = sqlite3_column_blob(inner(st), at);
    return (dz_str){p, p ? (size_t)sqlite3_column_bytes(inner(st), at) : 0};
}

static bool column_is_null(struct dz_sql_stmt *st, int at)
{
    return sqlite3_column_type(inner(st), at) == SQLITE_NULL;
}

static int64_t changes(struct dz_sql_conn *c)
{
    return sqlite3_changes64(own(c)->db);
}

static enum dz_code script(struct dz_sql_conn *c, const char *text, struct dz_err *err)
{
    if (dz_fault("query"))
        return dz_fail(err, DZ_IO, "%s: injected fault", c->d->name);
    return sqlite3_exec(own(c)->db, text, NULL, NULL, NULL) == SQLITE_OK
               ? DZ_OK
               : dz_sqlite_fail(own(c), err);
}

/* ---- transactions ------------------------------------------------------------------------------
 */

/* One of the connection's fixed statements; its first column. */
static enum dz_code run_fixed(struct dz_sqlite_conn *c, sqlite3_stmt **st, const char *text,
                              int64_t *ret_n, struct dz_err *err)
{
    bool row = false;
    if (!*st)
        DZ_TRY(prepare_inner(c, dz_str_of(text), st, err));
    enum dz_code code = step_inner(c, *st, &row, err);
    if (code == DZ_OK && ret_n)
        *ret_n = row ? sqlite3_column_int64(*st, 0) : 0;
    sqlite3_reset(*st);
    return code;
}

static void reader_put(struct dz_sqlite *d, struct dz_sqlite_conn *c)
{
    pthread_mutex_lock(&d->readers_lock);
    d->reader_busy[c - d->readers] = false;
    pthread_cond_signal(&d->reader_free);
    pthread_mutex_unlock(&d->readers_lock);
}

static enum dz_code reader_take(struct dz_sqlite *d, struct dz_sqlite_conn **ret_c,
                                struct dz_err *err)
{
    pthread_mutex_lock(&d->readers_lock);
    size_t at;
    for (;;) {
        for (at = 0; at < DZ_SQLITE_READERS && d->reader_busy[at]; at++)
            continue;
        if (at < DZ_SQLITE_READERS)
            break;
        pthread_cond_wait(&d->reader_free, &d->readers_lock);
    }
    d->reader_busy[at] = true;
    pthread_mutex_unlock(&d->readers_lock);
    enum dz_code code = DZ_OK;
    if (!d->readers[at].db)
        code = dz_sqlite_open_conn(d, true, &d->readers[at], err);
    if (code != DZ_OK)
        reader_put(d, &d->readers[at]);
    else
        *ret_c = &d->readers[at];
    return code;
}

static enum dz_code read_begin(struct dz_sql *base, enum dz_sql_read kind,
                               struct dz_sql_conn **ret_c, struct dz_err *err)
{
    struct dz_sqlite *d = (struct dz_sqlite *)base;
    struct dz_sqlite_conn *c;
    DZ_TRY(reader_take(d, &c, err));
    enum dz_code code = DZ_OK;
    if (kind == DZ_SQL_SNAPSHOT)
        code = run_fixed(c, &c->begin, "BEGIN", NULL, err);
    if (code == DZ_OK)
        *ret_c = &c->base;
    else
        reader_put(d, c);
    return code;
}

/* ThreadSanitizer does not know pthread_mutex_clocklock and would see a lock that nobody took. */
#if defined(__SANITIZE_THREAD__)
#define BY_WALL_CLOCK 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BY_WALL_CLOCK 1
#endif
#endif

#ifdef BY_WALL_CLOCK
#define WAIT_CLOCK CLOCK_REALTIME
#define lock_until(lock, until) pthread_mutex_timedlock(lock, until)
#else
#define WAIT_CLOCK CLOCK_MONOTONIC
#define lock_until(lock, until) pthread_mutex_clocklock(lock, WAIT_CLOCK, until)
#endif

static enum dz_code write_begin(struct dz_sql *base, enum dz_sql_write kind,
                                struct dz_sql_conn **ret_c, struct dz_err *err)
{
    (void)kind;
    struct dz_sqlite *d = (struct dz_sqlite *)base;
    struct timespec until;
    clock_gettime(WAIT_CLOCK, &until);
    until.tv_sec += d->write_wait_ms / 1000;
    until.tv_nsec += d->write_wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int rc = lock_until(&d->write_lock, &until);
    dz_assert(rc != EDEADLK);
    if (rc != 0)
        return dz_fail(err, DZ_UNAVAILABLE, "%s: another thread of this process is writing",
                       base->name);
    struct dz_sqlite_conn *c = &d->write;
    enum dz_code code = dz_sqlite_in_place(c, err);
    if (code == DZ_OK)
        code = run_fixed(c, &c->begin_write, "BEGIN IMMEDIATE", NULL, err);
    if (code == DZ_OK)
        *ret_c = &c->base;
    else
        pthread_mutex_unlock(&d->write_lock);
    return code;
}

static enum dz_code commit(struct dz_sql_conn *c, struct dz_err *err)
{
    return run_fixed(own(c), &own(c)->commit, "COMMIT", NULL, err);
}

static bool is_open(const struct dz_sql_conn *c)
{
    return !sqlite3_get_autocommit(((const struct dz_sqlite_conn *)c)->db);
}

static void end(struct dz_sql_conn *c)
{
    struct dz_sqlite *d = (struct dz_sqlite *)c->d;
    if (is_open(c))
        sqlite3_exec(own(c)->db, "ROLLBACK", NULL, NULL, NULL);
    if (own(c) == &d->write)
        pthread_mutex_unlock(&d->write_lock);
    else
        reader_put(d, own(c));
}

static enum dz_code version(struct dz_sql *base, int64_t *ret_version, struct dz_err *err)
{
    struct dz_sqlite *d = (struct dz_sqlite *)base;
    if (!d->poll.db)
        DZ_TRY(dz_sqlite_open_conn(d, true, &d->poll, err));
    DZ_TRY(dz_sqlite_in_place(&d->poll, err));
    return run_fixed(&d->poll, &d->poll.version, "PRAGMA data_version", ret_version, err);
}

const struct dz_sql_backend dz_sql_sqlite = {
    .name = "sqlite",
    .dialect = DZ_SQL_SQLITE,
    .migrations = dz_sqlite_migrations,
    .migrations_n = DZ_SQL_SCHEMA,
    .open = dz_sqlite_open,
    .close = dz_sqlite_close,
    .read_begin = read_begin,
    .write_begin = write_begin,
    .commit = commit,
    .end = end,
    .is_open = is_open,
    .prepare = prepare,
    .finalize = finalize,
    .bind_int = bind_int,
    .bind_real = bind_real,
    .bind_str = bind_str,
    .bind_blob = bind_blob,
    .bind_null = bind_null,
    .step = step,
    .column_int = column_int,
    .column_real = column_real,
    .column_str = column_str,
    .column_blob = column_blob,
    .column_is_null = column_is_null,
    .reset = reset,
    .changes = changes,
    .script = script,
    .schema_version = dz_sqlite_schema_version,
    .schema_begin = dz_sqlite_schema_begin,
    .version = version,
    .copy_before = dz_sqlite_copy_before,
    .check = dz_sqlite_check,
};
