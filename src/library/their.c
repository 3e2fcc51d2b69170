/*
 * their: the SQLite files of other services, opened with care.
 *
 * In: a path. Out: a connection inside a transaction, rows, failures that name the file. What is
 * read is never written: not even the files that SQLite would make beside a database that has a
 * journal, unless there is one to be read. One thread.
 */
#include "library/their_int.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#define CELL_BYTES_MAX (16 * 1024 * 1024)
#define BUSY_WAIT_MS 10000

void their_close(struct their_db *t)
{
    sqlite3_close(t->db);
    t->db = NULL;
}

enum dz_code their_fail(struct their_db *t, struct dz_err *err)
{
    switch (sqlite3_errcode(t->db) & 0xff) {
    case SQLITE_NOTADB:
        return dz_fail(err, DZ_BAD_INPUT, "%s: not a database of SQLite", t->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return dz_fail(err, DZ_UNAVAILABLE, "%s: somebody is writing to it; try again", t->path);
    case SQLITE_READONLY:
        return dz_fail(err, DZ_UNAVAILABLE,
                       "%s: it cannot be written, or a write was cut short: start the service once "
                       "more, or copy the database with what stands beside it to a folder of yours "
                       "and open it with sqlite3",
                       t->path);
    case SQLITE_CORRUPT:
        return dz_fail(err, DZ_CORRUPT, "%s: %s", t->path, sqlite3_errmsg(t->db));
    case SQLITE_FULL:
        return dz_fail(err, DZ_FULL, "%s: %s", t->path, sqlite3_errmsg(t->db));
    default:
        return dz_fail(err, DZ_IO, "%s: %s", t->path, sqlite3_errmsg(t->db));
    }
}

/* Bytes of PATH-wal; -1: there is none. */
static off_t journal_bytes(const char *path)
{
    struct stat st;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, THEIR_PATH_MAX);
    dz_buf_putf(&b, "%s-wal", path);
    return stat(dz_buf_cstr(&b), &st) == 0 ? st.st_size : -1;
}

static bool is_wal(const char *path)
{
    unsigned char head[20] = {0};
    FILE *f = fopen(path, "rbe");
    bool whole = f && fread(head, sizeof(head), 1, f) == 1;
    if (f)
        (void)!fclose(f);
    return whole && head[18] == 2;
}

static enum dz_code open_uri(struct their_db *t, const char *path, const char *how, int flags,
                             struct dz_err *err)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) /* SQLite says "disk I/O error" */
        return dz_fail_errno(err, DZ_BAD_INPUT, EISDIR, "%s", t->path);
    struct dz_buf uri DZ_AUTO(dz_buf_done);
    dz_buf_init(&uri, 4 * THEIR_PATH_MAX);
    dz_buf_put(&uri, DZ_S("file:"));
    for (dz_str rest = dz_str_of(path); rest.n > 0;) {
        size_t slash = dz_str_chr(rest, '/');
        dz_buf_put_url(&uri, dz_str_sub(rest, 0, slash));
        if (slash != DZ_NPOS)
            dz_buf_putc(&uri, '/');
        rest = slash == DZ_NPOS ? (dz_str){NULL, 0} : dz_str_sub(rest, slash + 1, rest.n);
    }
    dz_buf_put(&uri, dz_str_of(how));
    their_close(t);
    if (sqlite3_open_v2(dz_buf_cstr(&uri), &t->db, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        return their_fail(t, err);
    sqlite3_busy_timeout(t->db, BUSY_WAIT_MS);
    sqlite3_limit(t->db, SQLITE_LIMIT_LENGTH, CELL_BYTES_MAX);
    sqlite3_db_config(t->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return their_run(t, "PRAGMA trusted_schema = OFF", err);
}

/* One read transaction for all of it; the second statement is what takes the lock. */
static enum dz_code try_open(struct their_db *t, const char *path, bool immutable,
                             struct dz_err *err)
{
    DZ_TRY(open_uri(t, path, immutable ? "?immutable=1" : "?mode=ro", SQLITE_OPEN_READONLY, err));
    return their_run(t, "BEGIN; SELECT 1 FROM sqlite_master", err);
}

/* A database with a journal needs files for its locks, which SQLite makes where they are not. It
 * is opened so only when there is a journal; one that is empty says nothing, if it comes to that.
 */
enum dz_code their_open(struct their_db *t, struct dz_err *err)
{
    char *path = realpath(t->path, NULL);
    if (!path)
        return dz_fail_errno(err, errno == ENOENT ? DZ_NOT_FOUND : DZ_IO, errno, "%s", t->path);
    off_t journal = journal_bytes(path);
    bool immutable = journal < 0 && is_wal(path);
    enum dz_code code = try_open(t, path, immutable, err);
    if (code == DZ_IO && !immutable && journal == 0)
        code = try_open(t, path, true, err);
    free(path);
    return code;
}

enum dz_code their_open_to_write(struct their_db *t, const char *path, struct dz_err *err)
{
    DZ_TRY(open_uri(t, path, "", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err));
    /* Asked for in a transaction this would be refused. */
    return their_run(t, "PRAGMA synchronous = FULL; PRAGMA journal_mode = WAL; BEGIN IMMEDIATE",
                     err);
}

enum dz_code their_run(struct their_db *t, const char *sql, struct dz_err *err)
{
    return sqlite3_exec(t->db, sql, NULL, NULL, NULL) == SQLITE_OK ? DZ_OK : their_fail(t, err);
}

enum dz_code their_statement(struct their_db *t, const char *sql, sqlite3_stmt **ret_st,
                             struct dz_err *err)
{
    return sqlite3_prepare_v2(t->db, sql, -1, ret_st, NULL) == SQLITE_OK ? DZ_OK
                                                                         : their_fail(t, err);
}

void their_statement_done(sqlite3_stmt **st)
{
    sqlite3_finalize(*st);
}

enum dz_code their_row(struct their_db *t, sqlite3_stmt *st, bool *ret_row, struct dz_err *err)
{
    int rc = sqlite3_step(st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return their_fail(t, err);
    *ret_row = rc == SQLITE_ROW;
    return DZ_OK;
}

enum dz_code their_has_table(struct their_db *t, const char *name, bool *ret_has,
                             struct dz_err *err)
{
    DZ_AUTO(their_statement_done) sqlite3_stmt *st = NULL;
    DZ_TRY(their_statement(t, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", &st,
                           err));
    if (sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC) != SQLITE_OK)
        return their_fail(t, err);
    return their_row(t, st, ret_has, err);
}
