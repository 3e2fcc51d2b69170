/*
 * migrations: the schema, step by step, and the way from an older file to this binary's.
 *
 * In: the write connection of a database that was just opened. Out: the same database at the newest
 * number, or untouched and an error that says why. Each step is one transaction with its row in
 * schema_version. Before an existing file is changed a copy of it is made while the write lock is
 * held, so that the copy is exactly what the step began with. Odd: the copy is taken through a
 * second connection, because VACUUM INTO does not run inside a transaction.
 */
#include "catalog/sqlite_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID 0x646f7a6f /* "dozo" */

/* clang-format off */
const char *const dz_migrations[] = {
    /* 1 */
    "CREATE TABLE series ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " source TEXT NOT NULL,"
    " source_id TEXT NOT NULL,"
    " title TEXT NOT NULL,"
    " description TEXT NOT NULL,"
    " authors TEXT NOT NULL,"
    " lang TEXT NOT NULL,"
    " status TEXT NOT NULL,"
    " url TEXT NOT NULL,"
    " new_release TEXT NOT NULL,"
    " right_to_left INTEGER NOT NULL CHECK (right_to_left IN (0, 1)),"
    " chapters_n INTEGER NOT NULL DEFAULT 0 CHECK (chapters_n >= 0),"
    " created_s INTEGER NOT NULL,"
    " updated_s INTEGER NOT NULL,"
    " UNIQUE (source, source_id)"
    ") STRICT;"
    "CREATE TABLE chapter ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " series_id INTEGER NOT NULL REFERENCES series (id),"
    " source_id TEXT NOT NULL,"
    " key TEXT NOT NULL,"
    " sort REAL NOT NULL,"
    " number TEXT NOT NULL,"
    " volume TEXT NOT NULL,"
    " title TEXT,"
    " volume_cover INTEGER NOT NULL CHECK (volume_cover IN (0, 1)),"
    " page_count INTEGER NOT NULL CHECK (page_count BETWEEN 0 AND 4294967295),"
    " links TEXT NOT NULL,"
    " meta_extra TEXT NOT NULL,"
    " extra TEXT NOT NULL,"
    " origin TEXT NOT NULL,"
    " origin_stamp TEXT NOT NULL,"
    " created_s INTEGER NOT NULL,"
    " updated_s INTEGER NOT NULL,"
    " UNIQUE (series_id, source_id),"
    " UNIQUE (series_id, key)"
    ") STRICT;"
    "CREATE TABLE blob ("
    " id INTEGER PRIMARY KEY,"
    " sha BLOB NOT NULL UNIQUE CHECK (length(sha) = 32),"
    " bytes INTEGER NOT NULL CHECK (bytes BETWEEN 0 AND 4294967295),"
    " mime TEXT NOT NULL,"
    " width INTEGER NOT NULL CHECK (width BETWEEN 0 AND 4294967295),"
    " height INTEGER NOT NULL CHECK (height BETWEEN 0 AND 4294967295),"
    " refs INTEGER NOT NULL CHECK (refs >= 0)"
    ") STRICT;"
    "CREATE TABLE page ("
    " chapter_id INTEGER NOT NULL REFERENCES chapter (id),"
    " number INTEGER NOT NULL CHECK (number BETWEEN 1 AND 4294967295),"
    " blob_id INTEGER NOT NULL REFERENCES blob (id),"
    " mtime_s INTEGER NOT NULL,"
    " name TEXT NOT NULL,"
    " PRIMARY KEY (chapter_id, number)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX page_blob ON page (blob_id);"
    "CREATE TABLE asset ("
    " series_id INTEGER NOT NULL REFERENCES series (id),"
    " name TEXT NOT NULL,"
    " blob_id INTEGER NOT NULL REFERENCES blob (id),"
    " mtime_s INTEGER NOT NULL,"
    " PRIMARY KEY (series_id, name)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX asset_blob ON asset (blob_id);"
    "CREATE TABLE shelf ("
    " name TEXT PRIMARY KEY NOT NULL,"
    " series_id INTEGER NOT NULL REFERENCES series (id)"
    ") STRICT, WITHOUT ROWID;"
    /* One row a series, no reference to it: the row outlives the series and so tells its end. */
    "CREATE TABLE change ("
    " series_id INTEGER PRIMARY KEY,"
    " seq INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX change_seq ON change (seq);",
    /* 2: which batch wrote the chapter or its pages last, as a number of `change` */
    "ALTER TABLE chapter ADD COLUMN rev INTEGER NOT NULL DEFAULT 0",
    /* 3: what changed in a series is found without reading its chapters */
    "CREATE INDEX chapter_rev ON chapter (series_id, rev)",
    /* 4: jobs, what crawls remember, pages of chapters that are not whole yet. States as in enum
     * dz_job_state; those below 2 are alive. */
    "CREATE TABLE job ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " kind TEXT NOT NULL CHECK (kind <> ''),"
    " source TEXT NOT NULL,"
    " target TEXT NOT NULL,"
    " args TEXT NOT NULL,"
    " state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),"
    " priority INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL CHECK (attempts BETWEEN 0 AND 4294967295),"
    " cancel_asked INTEGER NOT NULL CHECK (cancel_asked IN (0, 1)),"
    " created_ms INTEGER NOT NULL,"
    " run_after_ms INTEGER NOT NULL,"
    " lease_until_ms INTEGER NOT NULL,"
    " started_ms INTEGER NOT NULL,"
    " ended_ms INTEGER NOT NULL,"
    " owner TEXT NOT NULL,"
    " done INTEGER NOT NULL CHECK (done >= 0),"
    " total INTEGER NOT NULL CHECK (total >= 0),"
    " fail_kind TEXT NOT NULL,"
    " fail_text TEXT NOT NULL,"
    " result TEXT NOT NULL,"
    " CHECK ((state = 1) = (owner <> ''))"
    ") STRICT;"
    "CREATE UNIQUE INDEX job_live ON job (kind, source, target) WHERE state < 2;"
    "CREATE INDEX job_queue ON job (priority DESC, run_after_ms, id) WHERE state < 2;"
    "CREATE INDEX job_ended ON job (ended_ms, id) WHERE state >= 2;"
    "CREATE TABLE crawl_state ("
    " source TEXT NOT NULL CHECK (source <> ''),"
    " name TEXT NOT NULL CHECK (name <> ''),"
    " value TEXT NOT NULL CHECK (value <> ''),"
    " updated_ms INTEGER NOT NULL,"
    " expires_ms INTEGER NOT NULL,"
    " UNIQUE (source, name)"
    ") STRICT;"
    "CREATE INDEX crawl_state_expires ON crawl_state (expires_ms) WHERE expires_ms > 0;"
    /* No blob: the page was left out. */
    "CREATE TABLE part ("
    " source TEXT NOT NULL CHECK (source <> ''),"
    " chapter TEXT NOT NULL CHECK (chapter <> ''),"
    " at INTEGER NOT NULL CHECK (at BETWEEN 0 AND 4294967295),"
    " url TEXT NOT NULL,"
    " mtime_s INTEGER NOT NULL,"
    " blob_id INTEGER REFERENCES blob (id),"
    " put_ms INTEGER NOT NULL,"
    " PRIMARY KEY (source, chapter, at)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX part_blob ON part (blob_id)",
    /* 5: downloads: their progress, marks and favourites of readers, and the checksums of blobs
     * that the layout of a ZIP is made of */
    "ALTER TABLE job ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0);"
    "ALTER TABLE job ADD COLUMN phase TEXT NOT NULL DEFAULT '';"
    "CREATE INDEX job_target ON job (kind, target, id);"
    /* Rows of downloads are long: what waits in a queue or a history is judged by indexes alone. */
    "DROP INDEX job_queue;"
    "CREATE INDEX job_queue ON job"
    " (priority DESC, run_after_ms, id, kind, state, lease_until_ms, cancel_asked) WHERE state < 2;"
    "DROP INDEX job_ended;"
    "CREATE INDEX job_ended ON job (ended_ms, id, kind, state) WHERE state >= 2;"
    "CREATE INDEX job_due ON job (run_after_ms, id) WHERE state = 0;"
    "CREATE INDEX job_running ON job (started_ms, id) WHERE state = 1;"
    "CREATE INDEX job_kind_live ON job (kind, id) WHERE state < 2;"
    "CREATE INDEX job_kind_ended ON job (kind, id) WHERE state >= 2;"
    "CREATE INDEX job_kind_age ON job (kind, ended_ms, id) WHERE state >= 2;"
    "ALTER TABLE blob ADD COLUMN crc32 INTEGER CHECK (crc32 BETWEEN 0 AND 4294967295);"
    "CREATE TABLE mark ("
    " source TEXT NOT NULL CHECK (source <> ''),"
    " chapter TEXT NOT NULL CHECK (chapter <> ''),"
    " series TEXT NOT NULL CHECK (series <> ''),"
    " mark TEXT NOT NULL CHECK (mark IN ('D', 'I')),"
    " PRIMARY KEY (source, chapter)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX mark_series ON mark (source, series, chapter, mark);"
    /* The order of ids is the order in which they were added. */
    "CREATE TABLE favourite ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " source TEXT NOT NULL CHECK (source <> ''),"
    " series TEXT NOT NULL CHECK (series <> ''),"
    " created_ms INTEGER NOT NULL,"
    " UNIQUE (source, series)"
    ") STRICT",
    /* 6: collections. version counts the declarations of one, rev those of all together, rows_rev
     * the changes of its rows. */
    "CREATE TABLE collection ("
    " source TEXT NOT NULL CHECK (source <> ''),"
    " name TEXT NOT NULL CHECK (name <> ''),"
    " declaration TEXT NOT NULL CHECK (declaration <> ''),"
    " table_name TEXT NOT NULL UNIQUE,"
    " version INTEGER NOT NULL,"
    " rev INTEGER NOT NULL,"
    " rows_rev INTEGER NOT NULL,"
    " updated_ms INTEGER NOT NULL,"
    " PRIMARY KEY (source, name)"
    ") STRICT, WITHOUT ROWID",
    /* 7: uploads, and which of them were deleted last, for those who hold them in RAM */
    "CREATE TABLE upload ("
    " id TEXT PRIMARY KEY NOT NULL CHECK (id <> ''),"
    " blob_id INTEGER NOT NULL REFERENCES blob (id),"
    " mime TEXT,"
    " sniffed TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX upload_blob ON upload (blob_id);"
    "CREATE TABLE upload_gone ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " id TEXT NOT NULL"
    ") STRICT",
};
/* clang-format on */
const size_t dz_migrations_n = DZ_LEN(dz_migrations);

/* One integer of a text that is used once. */
static enum dz_code ask(struct dz_sq_conn *c, const char *sql, int64_t *ret_n, struct dz_err *err)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(c->db, sql, -1, &st, NULL) != SQLITE_OK)
        return dz_sq_fail(c, err);
    int rc = sqlite3_step(st);
    enum dz_code code = DZ_OK;
    if (rc == SQLITE_ROW)
        *ret_n = sqlite3_column_int64(st, 0);
    else
        code = dz_sq_fail(c, err);
    sqlite3_finalize(st);
    return code;
}

static enum dz_code run(struct dz_sq_conn *c, const char *sql, struct dz_err *err)
{
    if (dz_fault("query"))
        return dz_fail(err, DZ_IO, "%s: injected fault", c->name);
    return sqlite3_exec(c->db, sql, NULL, NULL, NULL) == SQLITE_OK ? DZ_OK : dz_sq_fail(c, err);
}

/* The number that the database stands at; 0: there is nothing in it. */
static enum dz_code version_of(struct dz_sq_conn *c, int64_t *ret_version, struct dz_err *err)
{
    int64_t id = 0, tables = 0;
    DZ_TRY(ask(c, "SELECT count(*) FROM sqlite_schema", &tables, err));
    DZ_TRY(ask(c, "PRAGMA application_id", &id, err));
    if (tables == 0 && id == 0) {
        *ret_version = 0;
        return DZ_OK;
    }
    if (id != APPLICATION_ID)
        return dz_fail(err, DZ_BAD_INPUT, "%s is a database, but not one of dozo", c->name);
    return ask(c, "SELECT max(number) FROM schema_version", ret_version, err);
}

enum dz_code dz_migrate_check(struct dz_sq_conn *c, size_t known, struct dz_err *err)
{
    int64_t version = 0;
    DZ_TRY(version_of(c, &version, err));
    if (version < 0 || (uint64_t)version > known)
        return dz_fail(err, DZ_UNSUPPORTED,
                       "%s was written by a newer dozo (schema %lld, this one knows %zu): "
                       "start that version, or restore a copy",
                       c->name, (long long)version, known);
    return DZ_OK;
}

static enum dz_code vacuum_into(struct dz_sqlite *d, const char *path, struct dz_err *err)
{
    struct dz_sq_conn from = {0};
    /* Not a reader: query_only refuses VACUUM INTO as well. */
    enum dz_code code = dz_sq_open_conn(d, false, &from, err);
    sqlite3_stmt *st = NULL;
    if (code == DZ_OK &&
        (sqlite3_prepare_v2(from.db, "VACUUM INTO ?1", -1, &st, NULL) != SQLITE_OK ||
         sqlite3_bind_text(st, 1, path, -1, SQLITE_STATIC) != SQLITE_OK ||
         sqlite3_step(st) != SQLITE_DONE))
        code = dz_sq_fail(&from, err);
    sqlite3_finalize(st);
    dz_sq_close_conn(&from);
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

enum dz_code dz_sq_copy_before(struct dz_sqlite *d, const char *what, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf path, temporary;
    dz_buf_init(&path, 2 * DZ_TEXT_MAX);
    dz_buf_init(&temporary, 2 * DZ_TEXT_MAX);
    if (d->memory)
        return DZ_OK;
    dz_buf_putf(&path, "%s.before-%s", d->name, what);
    dz_buf_putf(&temporary, "%s.tmp", dz_buf_cstr(&path));
    if (path.full || temporary.full)
        return dz_fail(err, DZ_TOO_LARGE, "the path of the catalog is too long");
    unlink(dz_buf_cstr(&temporary)); /* of an attempt that died */
    enum dz_code code = vacuum_into(d, dz_buf_cstr(&temporary), err);
    if (code == DZ_OK)
        code = settle(d->name, dz_buf_cstr(&temporary), dz_buf_cstr(&path), err);
    if (code == DZ_OK)
        return DZ_OK;
    unlink(dz_buf_cstr(&temporary));
    return dz_wrap(err, code, "the copy before %s", what);
}

static enum dz_code apply(struct dz_sq_conn *c, const char *sql, size_t number, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf note;
    dz_buf_init(&note, 256);
    if (number == 1)
        dz_buf_putf(&note,
                    "PRAGMA application_id = %d; CREATE TABLE schema_version (number INTEGER "
                    "PRIMARY KEY, applied_s INTEGER NOT NULL) STRICT; ",
                    APPLICATION_ID);
    dz_buf_putf(&note, "INSERT INTO schema_version VALUES (%zu, %lld)", number,
                (long long)(dz_now_ms() / 1000));
    enum dz_code code = run(c, sql, err);
    if (code == DZ_OK)
        code = run(c, dz_buf_cstr(&note), err);
    return code == DZ_OK ? DZ_OK : dz_wrap(err, code, "migration %zu", number);
}

/* Another process may have migrated since the last look: everything is asked again under the lock.
 */
static enum dz_code migrate_one(struct dz_sqlite *d, const char *const *list, size_t n,
                                bool *copied, bool *ret_done, struct dz_err *err)
{
    int64_t version = 0;
    DZ_TRY(dz_migrate_check(&d->write, n, err));
    DZ_TRY(version_of(&d->write, &version, err));
    if ((uint64_t)version == n) {
        *ret_done = true;
        return DZ_OK;
    }
    size_t next = (size_t)version + 1;
    if (version > 0 && !*copied) {
        char what[64];
        (void)snprintf(what, sizeof(what), "migration-%zu", next);
        DZ_TRY(dz_sq_copy_before(d, what, err));
        *copied = true;
    }
    DZ_TRY(apply(&d->write, list[version], next, err));
    *ret_done = next == n;
    return dz_sq_run_plain(&d->write, DZ_SQ_COMMIT, err);
}

enum dz_code dz_migrate(struct dz_sqlite *d, const char *const *list, size_t n, struct dz_err *err)
{
    int64_t version = 0;
    DZ_TRY(dz_migrate_check(&d->write, n, err));
    DZ_TRY(version_of(&d->write, &version, err));
    /* A database that is new holds nothing worth a copy. */
    bool copied = version == 0, done = (uint64_t)version == n;
    while (!done) {
        DZ_TRY(dz_sq_write_begin(d, err));
        enum dz_code code = migrate_one(d, list, n, &copied, &done, err);
        dz_sq_write_end(d);
        DZ_TRY(code);
    }
    return DZ_OK;
}
