/*
 * sqlite_conn: connections of the SQLite driver, and the statements that each keeps prepared.
 *
 * In: the open database's path. Out: connections that are strict and durable, results of single
 * steps, errors in the house's codes. WAL: readers see the last commit and never wait for the
 * writer. Any thread; a connection serves one at a time, and readers are opened when they are
 * first needed. Odd: a database that was moved away while in use is noticed and left alone.
 */
#include "catalog/sqlite_int.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- connections and statements ----------------------------------------------------------------
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

enum dz_code dz_sq_fail(struct dz_sq_conn *c, struct dz_err *err)
{
    int extended = sqlite3_extended_errcode(c->db), native = sqlite3_system_errno(c->db);
    enum dz_code code = code_of(extended);
    const char *hint = "";
    if (code == DZ_UNAVAILABLE)
        hint = ": another dozo process is writing";
    else if (code == DZ_CORRUPT && (extended & 0xff) != SQLITE_NOTADB)
        hint = ": the catalog is damaged, see `dozo check`";
    if (code == DZ_IO && native)
        return dz_fail_errno(err, code, native, "%s: %s", c->name, sqlite3_errmsg(c->db));
    code = dz_fail(err, code, "%s: %s%s", c->name, sqlite3_errmsg(c->db), hint);
    if (err)
        err->native = extended;
    return code;
}

static enum dz_code set_up(const struct dz_sqlite *d, bool reader, struct dz_sq_conn *c,
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
        return dz_sq_fail(c, err);
    return DZ_OK;
}

/* A file that was removed or replaced still reads as it was, for ever: others write another one. */
enum dz_code dz_sq_in_place(struct dz_sq_conn *c, struct dz_err *err)
{
    int moved = 0;
    if (sqlite3_file_control(c->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved)
        return dz_fail(err, DZ_UNAVAILABLE,
                       "%.160s was removed or replaced while in use; put it back, or start again",
                       c->name);
    return DZ_OK;
}

/* A journal without its database is what is left when the database was moved away while in use.
 * SQLite would make a new one and delete the journal, and with it what was written last. */
static enum dz_code check_journal(const struct dz_sqlite *d, struct dz_err *err)
{
    struct stat st;
    if (d->memory || lstat(d->name, &st) == 0 || errno != ENOENT)
        return DZ_OK;
    DZ_AUTO(dz_buf_done) struct dz_buf wal;
    dz_buf_init(&wal, 2 * DZ_TEXT_MAX);
    dz_buf_put(&wal, dz_str_of(d->name));
    dz_buf_put(&wal, DZ_S("-wal"));
    if (stat(dz_buf_cstr(&wal), &st) < 0 || st.st_size == 0)
        return DZ_OK;
    return dz_fail(err, DZ_UNAVAILABLE,
                   "%.160s is not there, but its journal (-wal) is: put the file back, or remove "
                   "the journal to begin anew",
                   d->name);
}

enum dz_code dz_sq_open_conn(const struct dz_sqlite *d, bool reader, struct dz_sq_conn *c,
                             struct dz_err *err)
{
    c->name = d->name;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (reader ? 0 : SQLITE_OPEN_CREATE) |
                (d->memory ? SQLITE_OPEN_URI : 0);
    enum dz_code code = DZ_OK;
    DZ_TRY(check_journal(d, err));
    if (sqlite3_open_v2(d->target, &c->db, flags, NULL) != SQLITE_OK) {
        dz_assert(c->db);
        code = dz_sq_fail(c, err);
    }
    if (code == DZ_OK)
        code = set_up(d, reader, c, err);
    if (code != DZ_OK)
        dz_sq_close_conn(c);
    return code;
}

void dz_sq_close_conn(struct dz_sq_conn *c)
{
    for (size_t i = 0; i < DZ_LEN(c->statements); i++)
        sqlite3_finalize(c->statements[i]);
    for (size_t i = 0; i < DZ_LEN(c->made); i++) {
        sqlite3_finalize(c->made[i].st);
        free((void *)c->made[i].text.p);
    }
    /* Closing the last connection would write the journal into the file that was moved away and
     * delete it, under the hands of those who use the file that stands there now. */
    if (c->db && dz_sq_in_place(c, NULL) != DZ_OK)
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    int rc = sqlite3_close(c->db);
    dz_assert(rc == SQLITE_OK);
    *c = (struct dz_sq_conn){0};
}

enum dz_code dz_sq_reader_take(struct dz_sqlite *d, struct dz_sq_conn **ret_c, struct dz_err *err)
{
    pthread_mutex_lock(&d->readers_lock);
    size_t at;
    for (;;) {
        for (at = 0; at < DZ_SQ_READERS && d->reader_busy[at]; at++)
            continue;
        if (at < DZ_SQ_READERS)
            break;
        pthread_cond_wait(&d->reader_free, &d->readers_lock);
    }
    d->reader_busy[at] = true;
    pthread_mutex_unlock(&d->readers_lock);
    enum dz_code code = DZ_OK;
    if (!d->readers[at].db)
        code = dz_sq_open_conn(d, true, &d->readers[at], err);
    if (code != DZ_OK)
        dz_sq_reader_put(d, &d->readers[at]);
    else
        *ret_c = &d->readers[at];
    return code;
}

void dz_sq_reader_put(struct dz_sqlite *d, struct dz_sq_conn *c)
{
    pthread_mutex_lock(&d->readers_lock);
    d->reader_busy[c - d->readers] = false;
    pthread_cond_signal(&d->reader_free);
    pthread_mutex_unlock(&d->readers_lock);
}

enum dz_code dz_sq_get(struct dz_sq_conn *c, enum dz_sq_statement which, sqlite3_stmt **ret_st,
                       struct dz_err *err)
{
    sqlite3_stmt **st = &c->statements[which];
    if (!*st && sqlite3_prepare_v3(c->db, dz_sq_texts[which], -1, SQLITE_PREPARE_PERSISTENT, st,
                                   NULL) != SQLITE_OK)
        return dz_sq_fail(c, err);
    *ret_st = *st;
    return DZ_OK;
}

enum dz_code dz_sq_get_made(struct dz_sq_conn *c, const struct dz_buf *text, sqlite3_stmt **ret_st,
                            struct dz_err *err)
{
    struct dz_sq_made *oldest = &c->made[0];
    if (text->full)
        return dz_fail(err, DZ_TOO_LARGE, "a statement for a collection is too long");
    for (size_t i = 0; i < DZ_LEN(c->made); i++) {
        struct dz_sq_made *m = &c->made[i];
        if (m->st && dz_str_eq(m->text, dz_buf_str(text))) {
            m->used = ++c->made_used;
            *ret_st = m->st;
            return DZ_OK;
        }
        if (m->used < oldest->used)
            oldest = m;
    }
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v3(c->db, text->p, (int)text->n, SQLITE_PREPARE_PERSISTENT, &st, NULL) !=
        SQLITE_OK)
        return dz_sq_fail(c, err);
    sqlite3_finalize(oldest->st);
    free((void *)oldest->text.p);
    *oldest = (struct dz_sq_made){{dz_str_dup(dz_buf_str(text)), text->n}, st, ++c->made_used};
    *ret_st = st;
    return DZ_OK;
}

void dz_sq_reset(sqlite3_stmt **st)
{
    if (!*st)
        return;
    sqlite3_reset(*st);
    sqlite3_clear_bindings(*st);
}

enum dz_code dz_sq_row(struct dz_sq_conn *c, sqlite3_stmt *st, bool *ret_row, struct dz_err *err)
{
    if (dz_fault("query"))
        return dz_fail(err, DZ_IO, "%s: injected fault", c->name);
    int rc = sqlite3_step(st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return dz_sq_fail(c, err);
    *ret_row = rc == SQLITE_ROW;
    return DZ_OK;
}

enum dz_code dz_sq_run(struct dz_sq_conn *c, sqlite3_stmt *st, struct dz_err *err)
{
    bool row = false;
    enum dz_code code = dz_sq_row(c, st, &row, err);
    dz_sq_reset(&st);
    return code;
}

enum dz_code dz_sq_run_plain(struct dz_sq_conn *c, enum dz_sq_statement which, struct dz_err *err)
{
    sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_get(c, which, &st, err));
    return dz_sq_run(c, st, err);
}

enum dz_code dz_sq_one(struct dz_sq_conn *c, enum dz_sq_statement which, int64_t fallback,
                       int64_t *ret_n, struct dz_err *err)
{
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sq_get(c, which, &st, err));
    DZ_TRY(dz_sq_row(c, st, &row, err));
    *ret_n = row ? sqlite3_column_int64(st, 0) : fallback;
    return DZ_OK;
}

void dz_sq_bind_int(sqlite3_stmt *st, int at, int64_t n)
{
    int rc = sqlite3_bind_int64(st, at, n);
    dz_assert(rc == SQLITE_OK);
}

void dz_sq_bind_str(sqlite3_stmt *st, int at, dz_str s)
{
    int rc = sqlite3_bind_text(st, at, s.n ? s.p : "", (int)s.n, SQLITE_STATIC);
    dz_assert(rc == SQLITE_OK);
}

void dz_sq_bind_sha(sqlite3_stmt *st, int at, const struct dz_sha256 *sha)
{
    int rc = sqlite3_bind_blob(st, at, sha->b, sizeof(sha->b), SQLITE_STATIC);
    dz_assert(rc == SQLITE_OK);
}
