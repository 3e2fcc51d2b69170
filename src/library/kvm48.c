/*
 * kvm48: data.db of the service that is replaced, in both directions (contracts/kvm48.md 3).
 *
 * In: its SQLite file, which is only read, or the collection PerfVOD of the catalog. Out: records
 * of the collection, a thousand at a time; or a file that the service opens as its own, with the
 * row of its migration, written whole or not at all. What is known on the other side already stays
 * as it is there. Records are found by the names of columns, which the declaration of the source
 * shares with the file. One thread. Odd: clubs are taken as numbers, because the file may hold some
 * that no group is named for.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "library/import_int.h"
#include "library/their_int.h"

enum { ROWS_AT_ONCE = 1000, COLUMNS = 9 };

static const struct {
    const char *name;
    bool is_number, not_null;
} columns[COLUMNS] = {
    {"canon_id", false, true},   {"l4c_club_id", true, true}, {"l4c_id", true, true},
    {"title", false, true},      {"subtitle", false, false},  {"start_time", true, true},
    {"sd_stream", false, false}, {"hd_stream", false, false}, {"fhd_stream", false, false},
};
#define COLUMN_NAMES                                                                               \
    "canon_id, l4c_club_id, l4c_id, title, subtitle, start_time, sd_stream, hd_stream, fhd_stream"

static const char schema[] =
    "CREATE TABLE \"perfvod\" (\"canon_id\" TEXT NOT NULL PRIMARY KEY, "
    "\"l4c_club_id\" INTEGER NOT NULL, \"l4c_id\" INTEGER NOT NULL, \"title\" TEXT NOT NULL, "
    "\"subtitle\" TEXT, \"start_time\" INTEGER NOT NULL, \"sd_stream\" TEXT, \"hd_stream\" TEXT, "
    "\"fhd_stream\" TEXT);"
    "CREATE UNIQUE INDEX \"perfvod_l4c_id\" ON \"perfvod\" (\"l4c_id\")";
/* What the service looks at to know that the table is there. */
static const char history[] =
    "CREATE TABLE IF NOT EXISTS \"migratehistory\" (\"id\" INTEGER NOT NULL PRIMARY KEY, "
    "\"name\" VARCHAR(255) NOT NULL, \"migrated_at\" DATETIME NOT NULL);"
    "INSERT INTO \"migratehistory\" (name, migrated_at) "
    "SELECT '001_initial', strftime('%Y-%m-%d %H:%M:%f', 'now') "
    "WHERE NOT EXISTS (SELECT 1 FROM migratehistory WHERE name = '001_initial')";

struct kvm48 {
    struct dz_library *l;
    const struct dz_collection *coll;
    size_t fields[COLUMNS]; /* of the collection */
    struct their_db db;
    struct import_teller teller;
    struct dz_import_result told; /* where the teller counts */
    struct dz_kvm48_result result;
    json_t *records; /* the rows at hand */
    sqlite3_stmt *find, *insert;
};

/* ---- the collection --------------------------------------------------------------------------
 */

static bool fits(const struct dz_collection *c, size_t field, size_t column)
{
    const struct dz_collection_field *f = &c->fields[field];
    bool number = f->type == DZ_COLLECTION_INT, text = f->type == DZ_COLLECTION_STRING;
    return f->column != DZ_NPOS && !f->list && (columns[column].is_number ? number : text) &&
           dz_str_eq(c->columns[f->column].name, dz_str_of(columns[column].name)) &&
           c->columns[f->column].not_null == columns[column].not_null;
}

static enum dz_code find_fields(struct kvm48 *k, struct dz_err *err)
{
    const struct dz_collection *c = k->coll;
    for (size_t i = 0; i < COLUMNS; i++) {
        size_t f = 0;
        while (f < c->fields_n && !fits(c, f, i))
            f++;
        if (f == c->fields_n)
            return dz_fail(err, DZ_BAD_INPUT,
                           "%.*s: collection %.*s has no field for column %s of KVM48",
                           DZ_STR_FMT(c->source), DZ_STR_FMT(c->name), columns[i].name);
        k->fields[i] = f;
    }
    return DZ_OK;
}

/* Whether it is a file of the service, or holds nothing yet. */
static enum dz_code check_file(struct kvm48 *k, bool *ret_has, struct dz_err *err)
{
    DZ_AUTO(their_statement_done) sqlite3_stmt *st = NULL;
    bool row = false;
    DZ_TRY(their_has_table(&k->db, "perfvod", ret_has, err));
    if (*ret_has && sqlite3_prepare_v2(k->db.db, "SELECT " COLUMN_NAMES " FROM perfvod", -1, &st,
                                       NULL) != SQLITE_OK)
        return dz_fail(err, DZ_BAD_INPUT, "%s: table perfvod is not that of KVM48: %s", k->db.path,
                       sqlite3_errmsg(k->db.db));
    if (*ret_has)
        return DZ_OK;
    DZ_TRY(their_statement(&k->db, "SELECT 1 FROM sqlite_master", &st, err));
    DZ_TRY(their_row(&k->db, st, &row, err));
    if (row)
        return dz_fail(err, DZ_BAD_INPUT, "%s: no table perfvod: this is no database of KVM48",
                       k->db.path);
    return DZ_OK;
}

static void tell(struct kvm48 *k, int kind, dz_str id, const char *words)
{
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_TEXT_MAX);
    dz_buf_putf(&b, "perfvod %.*s", DZ_STR_FMT(dz_str_clip(id, 100)));
    import_tell(&k->teller, kind, k->db.path, dz_buf_cstr(&b), words);
}

static enum dz_code stopped(struct kvm48 *k, struct dz_err *err)
{
    return import_stopped(&k->teller) ? dz_fail(err, DZ_CANCELLED, "stopped") : DZ_OK;
}

/* ---- import ------------------------------------------------------------------------------------
 */

/* New reference; NULL: it is not what the column holds. */
static json_t *cell(sqlite3_stmt *st, size_t i)
{
    int type = sqlite3_column_type(st, (int)i);
    if (type == SQLITE_NULL)
        return columns[i].not_null ? NULL : json_null();
    if (columns[i].is_number)
        return type == SQLITE_INTEGER ? json_integer(sqlite3_column_int64(st, (int)i)) : NULL;
    if (type != SQLITE_TEXT)
        return NULL;
    const char *p = (const char *)sqlite3_column_text(st, (int)i);
    return json_stringn(p ? p : "", (size_t)sqlite3_column_bytes(st, (int)i));
}

/* NULL: it was told. */
static json_t *read_row(struct kvm48 *k, sqlite3_stmt *st)
{
    struct dz_err why = {0};
    json_t *o = json_object();
    for (size_t i = 0; i < COLUMNS && why.code == DZ_OK; i++) {
        dz_str name = k->coll->fields[k->fields[i]].name;
        json_t *v = cell(st, i);
        if (v)
            json_object_setn_new_nocheck(o, name.p, name.n, v);
        else
            (void)dz_fail(&why, DZ_BAD_INPUT, "%s is no %s: left out", columns[i].name,
                          columns[i].is_number ? "integer" : "text in UTF-8");
    }
    if (why.code == DZ_OK && dz_collection_check(k->coll, o, &why) == DZ_OK)
        return o;
    json_decref(o);
    const unsigned char *id = sqlite3_column_text(st, 0);
    tell(k, DZ_IMPORT_ERROR, dz_str_of((const char *)id), why.text);
    return NULL;
}

static enum dz_code store(struct kvm48 *k, struct dz_err *err)
{
    size_t n = json_array_size(k->records);
    enum dz_put_result r[ROWS_AT_ONCE];
    DZ_TRY(dz_catalog_collection_put(k->l->catalog, k->coll, k->records, false, r, NULL, err));
    for (size_t i = 0; i < n; i++) {
        k->result.records_new += r[i] == DZ_PUT_NEW;
        k->result.records_same += r[i] == DZ_PUT_SAME;
        k->result.records_kept += r[i] == DZ_PUT_CLASH;
        const json_t *id =
            json_object_getn(json_array_get(k->records, i), k->coll->fields[k->fields[0]].name.p,
                             k->coll->fields[k->fields[0]].name.n);
        if (r[i] == DZ_PUT_CLASH)
            tell(k, DZ_IMPORT_WARNING, dz_str_of(json_string_value(id)),
                 "is known here as something else, which stays");
    }
    json_array_clear(k->records);
    return stopped(k, err);
}

static enum dz_code import_rows(struct kvm48 *k, struct dz_err *err)
{
    DZ_AUTO(their_statement_done) sqlite3_stmt *st = NULL;
    DZ_TRY(
        their_statement(&k->db, "SELECT " COLUMN_NAMES " FROM perfvod ORDER BY rowid", &st, err));
    for (;;) {
        bool row = false;
        DZ_TRY(their_row(&k->db, st, &row, err));
        if (!row)
            return store(k, err);
        json_t *record = read_row(k, st);
        if (record)
            json_array_append_new(k->records, record);
        if (json_array_size(k->records) == ROWS_AT_ONCE)
            DZ_TRY(store(k, err));
    }
}

static enum dz_code import_all(struct kvm48 *k, struct dz_err *err)
{
    struct dz_collection_ensured ensured;
    bool has;
    DZ_TRY(find_fields(k, err));
    DZ_TRY(their_open(&k->db, err));
    DZ_TRY(check_file(k, &has, err));
    DZ_TRY(dz_catalog_collection_ensure(k->l->catalog, k->coll, &ensured, err));
    if (ensured.note[0])
        import_tell(&k->teller, DZ_IMPORT_WARNING, k->db.path, NULL, ensured.note);
    return has ? import_rows(k, err) : DZ_OK;
}

/* ---- export ------------------------------------------------------------------------------------
 */

static enum dz_code bind(struct kvm48 *k, sqlite3_stmt *st, const struct dz_collection_value *v,
                         struct dz_err *err)
{
    int rc = sqlite3_reset(st);
    for (size_t i = 0; i < COLUMNS && rc == SQLITE_OK; i++) {
        const struct dz_collection_value *value = &v[k->fields[i]];
        int at = (int)i + 1;
        if (value->kind == DZ_VALUE_INT)
            rc = sqlite3_bind_int64(st, at, value->n);
        else if (value->kind == DZ_VALUE_TEXT)
            rc = sqlite3_bind_text(st, at, value->s.n ? value->s.p : "", (int)value->s.n,
                                   SQLITE_STATIC);
        else
            rc = sqlite3_bind_null(st, at);
    }
    return rc == SQLITE_OK ? DZ_OK : their_fail(&k->db, err);
}

static enum dz_code export_row(void *arg, size_t at, const struct dz_collection_value *v,
                               struct dz_err *err)
{
    struct kvm48 *k = arg;
    bool row = false, same = false;
    (void)at;
    DZ_TRY(stopped(k, err));
    DZ_TRY(bind(k, k->find, v, err));
    DZ_TRY(their_row(&k->db, k->find, &row, err));
    same = row && sqlite3_column_int(k->find, 0) != 0;
    if (!row) {
        DZ_TRY(bind(k, k->insert, v, err));
        DZ_TRY(their_row(&k->db, k->insert, &row, err));
        if (sqlite3_changes(k->db.db) == 1) {
            k->result.records_new++;
            return DZ_OK;
        }
    }
    k->result.records_same += same;
    k->result.records_kept += !same;
    if (!same)
        tell(k, DZ_IMPORT_WARNING, v[k->fields[0]].s,
             "is known there as something else, or its l4c_id is: what is there stays");
    return DZ_OK;
}

static enum dz_code export_rows(struct kvm48 *k, struct dz_err *err)
{
    const struct dz_collection_ask all = {0};
    DZ_TRY(their_statement(
        &k->db,
        "SELECT l4c_club_id IS ?2 AND l4c_id IS ?3 AND title IS ?4 AND subtitle IS ?5 AND "
        "start_time IS ?6 AND sd_stream IS ?7 AND hd_stream IS ?8 AND fhd_stream IS ?9 "
        "FROM perfvod WHERE canon_id = ?1",
        &k->find, err));
    DZ_TRY(their_statement(&k->db,
                           "INSERT INTO perfvod (" COLUMN_NAMES ") "
                           "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
                           &k->insert, err));
    return dz_catalog_collection_rows(k->l->catalog, k->coll, &all, export_row, k, err);
}

/* The file at `path`, all in one transaction. */
static enum dz_code write_file(struct kvm48 *k, const char *path, struct dz_err *err)
{
    bool has;
    DZ_TRY(their_open_to_write(&k->db, path, err));
    DZ_TRY(check_file(k, &has, err));
    DZ_TRY(their_run(&k->db, history, err));
    if (!has)
        DZ_TRY(their_run(&k->db, schema, err));
    enum dz_code code = export_rows(k, err);
    sqlite3_finalize(dz_take(&k->find));
    sqlite3_finalize(dz_take(&k->insert));
    return code == DZ_OK ? their_run(&k->db, "COMMIT", err) : code;
}

/* Opened for writing a file of another program would be another one already. */
static enum dz_code merge(struct kvm48 *k, struct dz_err *err)
{
    bool has;
    DZ_TRY(their_open(&k->db, err));
    DZ_TRY(check_file(k, &has, err));
    char *path = realpath(k->db.path, NULL);
    if (!path)
        return dz_fail_errno(err, DZ_IO, errno, "%s", k->db.path);
    enum dz_code code = write_file(k, path, err);
    free(path);
    return code;
}

static void unlink_all(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < DZ_LEN(ends); i++) {
        struct dz_buf b DZ_AUTO(dz_buf_done);
        dz_buf_init(&b, 2 * THEIR_PATH_MAX);
        dz_buf_putf(&b, "%s%s", path, ends[i]);
        unlink(dz_buf_cstr(&b));
    }
}

/* Under another name until it is whole; link does not replace what came meanwhile. */
static enum dz_code make(struct kvm48 *k, struct dz_err *err)
{
    struct dz_buf temporary DZ_AUTO(dz_buf_done), folder DZ_AUTO(dz_buf_done);
    dz_str path = dz_str_of(k->db.path);
    size_t slash = dz_str_rchr(path, '/');
    dz_buf_init(&temporary, THEIR_PATH_MAX);
    dz_buf_init(&folder, THEIR_PATH_MAX);
    dz_buf_put(&folder, slash == DZ_NPOS ? DZ_S("./") : dz_str_sub(path, 0, slash + 1));
    dz_buf_put(&temporary, dz_buf_str(&folder));
    dz_buf_putf(&temporary, ".tmp-%016llx", (unsigned long long)dz_random_u64());
    if (temporary.full)
        return dz_fail(err, DZ_TOO_LARGE, "the path of the file is too long");
    const char *name = dz_buf_cstr(&temporary);
    enum dz_code code = write_file(k, name, err);
    their_close(&k->db);
    if (code == DZ_OK && link(name, k->db.path) < 0)
        code = dz_fail_errno(err, errno == EEXIST ? DZ_CONFLICT : DZ_IO, errno, "%s", k->db.path);
    unlink_all(name);
    return code == DZ_OK ? dz_fsync_dir(dz_buf_cstr(&folder), err) : code;
}

static enum dz_code export_all(struct kvm48 *k, struct dz_err *err)
{
    struct stat st;
    DZ_TRY(find_fields(k, err));
    if (stat(k->db.path, &st) == 0)
        return merge(k, err);
    return errno == ENOENT ? make(k, err) : dz_fail_errno(err, DZ_IO, errno, "%s", k->db.path);
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

enum dz_code dz_library_kvm48(struct dz_library *l, const struct dz_collection *coll,
                              bool is_export, const char *database,
                              const struct dz_import_options *o, struct dz_kvm48_result *ret_result,
                              struct dz_err *err)
{
    struct kvm48 k = {.l = l, .coll = coll, .db.path = database, .records = json_array()};
    k.teller = (struct import_teller){.o = o, .result = &k.told};
    enum dz_code code = is_export ? export_all(&k, err) : import_all(&k, err);
    k.result.errors = k.told.errors;
    k.result.warnings = k.told.warnings;
    *ret_result = k.result;
    their_close(&k.db);
    json_decref(k.records);
    return code;
}
