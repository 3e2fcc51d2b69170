/*
 * test_kvm48: data.db of KVM48 into the collection and back.
 *
 * The databases are made with the service's own CREATE TABLE statements.
 */
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/test_collections.h"
#include "their.h"

#define TABLES                                                                                     \
    "CREATE TABLE \"migratehistory\" (\"id\" INTEGER NOT NULL PRIMARY KEY, "                       \
    "\"name\" VARCHAR(255) NOT NULL, \"migrated_at\" DATETIME NOT NULL);"                          \
    "INSERT INTO migratehistory VALUES (1, '001_initial', '2019-04-29 01:02:03.456789');"          \
    "CREATE TABLE \"perfvod\" (\"canon_id\" TEXT NOT NULL PRIMARY KEY, "                           \
    "\"l4c_club_id\" INTEGER NOT NULL, \"l4c_id\" INTEGER NOT NULL, \"title\" TEXT NOT NULL, "     \
    "\"subtitle\" TEXT, \"start_time\" INTEGER NOT NULL, \"sd_stream\" TEXT, \"hd_stream\" TEXT, " \
    "\"fhd_stream\" TEXT);"                                                                        \
    "CREATE UNIQUE INDEX \"perfvod_l4c_id\" ON \"perfvod\" (\"l4c_id\");"
#define SOME                                                                                       \
    "INSERT INTO perfvod VALUES "                                                                  \
    "('324479006241787906', 1, 2777, '剧场公演', '', 1555843500, 'sd', 'hd', 'hd'),"           \
    "('324918581187645440', 2, 2775, 't', NULL, 1555845900, NULL, 'hd', ''),"                      \
    "('foreign', 9, 2773, '', 's', 1555826400, NULL, NULL, NULL);"
#define HAVE                                                                                       \
    "324479006241787906|1|2777|剧场公演||1555843500|sd|hd|hd\n"                                \
    "324918581187645440|2|2775|t|-|1555845900|-|hd|\n"                                             \
    "foreign|9|2773||s|1555826400|-|-|-\n"

static struct rig {
    struct lab l;
    struct dz_collection *coll;
    struct dz_kvm48_result r;
    char told[8192]; /* a line an event */
    bool stops;      /* at the first event */
    atomic_bool stop;
} rig;

static int set_up(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof(rig));
    lab_init(&rig.l, "");
    rig.coll = declared(PERFVOD);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dz_collection_unref(&rig.coll);
    lab_done(&rig.l);
    return 0;
}

static int put_line(void *arg, int n, char **v, char **names)
{
    (void)names;
    for (int i = 0; i < n; i++)
        dz_buf_putf(arg, "%s%s", i ? "|" : "", v[i] ? v[i] : "-");
    dz_buf_putc(arg, '\n');
    return 0;
}

static void assert_file(const char *name, const char *sql, const char *want)
{
    sqlite3 *db = NULL;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_MIB);
    assert_int_equal(sqlite3_open_v2(lab_path(&rig.l, name), &db, SQLITE_OPEN_READONLY, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, put_line, &b, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_string_equal(dz_buf_cstr(&b), want);
}

static void assert_vods(const char *name, const char *want)
{
    assert_file(name, "SELECT * FROM perfvod ORDER BY canon_id", want);
}

static void on_event(void *arg, const struct dz_import_event *e)
{
    struct rig *g = arg;
    size_t n = strlen(g->told);
    (void)snprintf(g->told + n, sizeof(g->told) - n, "%s %s: %s\n",
                   e->kind == DZ_IMPORT_ERROR ? "error" : "warning", e->entry, e->text);
    atomic_store(&g->stop, g->stops);
}

static enum dz_code run(bool is_export, const char *name, struct dz_err *err)
{
    struct dz_import_options o = {.event = on_event, .arg = &rig, .stop = &rig.stop};
    rig.told[0] = '\0';
    return dz_library_kvm48(rig.l.lib, rig.coll, is_export, lab_path(&rig.l, name), &o, &rig.r,
                            err);
}

static enum dz_code import(const char *name, struct dz_err *err)
{
    return run(false, name, err);
}

static enum dz_code export(const char *name, struct dz_err *err) { return run(true, name, err); }

static void assert_counts(uint64_t new, uint64_t same, uint64_t kept, uint64_t errors)
{
    assert_int_equal(rig.r.records_new, new);
    assert_int_equal(rig.r.records_same, same);
    assert_int_equal(rig.r.records_kept, kept);
    assert_int_equal(rig.r.warnings, kept);
    assert_int_equal(rig.r.errors, errors);
}

/* No file of a run that was not finished, and no journal. */
static void assert_no_leftovers(void)
{
    DIR *d = opendir(rig.l.dir);
    for (const struct dirent *e; (e = readdir(d));)
        if (strstr(e->d_name, ".tmp-") || strstr(e->d_name, ".db-"))
            fail_msg("%s was left", e->d_name);
    closedir(d);
}

static enum dz_code count_row(void *arg, size_t at, const struct dz_collection_value *v,
                              struct dz_err *err)
{
    (void)at;
    (void)v;
    (void)err;
    ++*(size_t *)arg;
    return DZ_OK;
}

static size_t rows_here(void)
{
    const struct dz_collection_ask all = {0};
    size_t n = 0;
    must(dz_catalog_collection_rows(dz_library_catalog(rig.l.lib), rig.coll, &all, count_row, &n,
                                    err));
    return n;
}

static void test_there_and_back(void **state)
{
    (void)state;
    make_db(&rig.l, "data.db", "PRAGMA journal_mode = wal;" TABLES SOME, NULL);
    must(import("data.db", err));
    assert_counts(3, 0, 0, 0);
    must(import("data.db", err));
    assert_counts(0, 3, 0, 0);
    assert_int_equal(rows_here(), 3);

    must(export("new.db", err));
    assert_counts(3, 0, 0, 0);
    assert_no_leftovers();
    assert_vods("new.db", HAVE);
    assert_file("new.db",
                "SELECT id, name, migrated_at LIKE '20__-__-__ __:__:__.%' FROM migratehistory",
                "1|001_initial|1\n");
    assert_file("new.db", "PRAGMA journal_mode", "wal\n");
    /* Word for word as the service makes them. */
    assert_file("new.db",
                "SELECT sql FROM sqlite_master WHERE name IN ('perfvod', 'perfvod_l4c_id', "
                "'migratehistory') ORDER BY name",
                "CREATE TABLE \"migratehistory\" (\"id\" INTEGER NOT NULL PRIMARY KEY, \"name\" "
                "VARCHAR(255) NOT NULL, \"migrated_at\" DATETIME NOT NULL)\n"
                "CREATE TABLE \"perfvod\" (\"canon_id\" TEXT NOT NULL PRIMARY KEY, "
                "\"l4c_club_id\" INTEGER NOT NULL, \"l4c_id\" INTEGER NOT NULL, \"title\" TEXT "
                "NOT NULL, \"subtitle\" TEXT, \"start_time\" INTEGER NOT NULL, \"sd_stream\" "
                "TEXT, \"hd_stream\" TEXT, \"fhd_stream\" TEXT)\n"
                "CREATE UNIQUE INDEX \"perfvod_l4c_id\" ON \"perfvod\" (\"l4c_id\")\n");
    must(export("new.db", err));
    assert_counts(0, 3, 0, 0);
    must(export("data.db", err));
    assert_counts(0, 3, 0, 0);
    assert_file("data.db", "SELECT * FROM migratehistory",
                "1|001_initial|2019-04-29 01:02:03.456789\n");
}

static void test_what_is_there_stays(void **state)
{
    (void)state;
    make_db(&rig.l, "data.db", TABLES SOME, NULL);
    must(import("data.db", err));
    make_db(&rig.l, "data.db",
            "UPDATE perfvod SET title = 'other' WHERE canon_id = 'foreign';"
            "DELETE FROM perfvod WHERE l4c_id = 2775;"
            "INSERT INTO perfvod VALUES ('mine', 1, 2775, 't', NULL, 1, NULL, 'hd', NULL)",
            NULL);
    must(import("data.db", err));
    assert_counts(0, 1, 2, 0);
    assert_string_equal(rig.told,
                        "warning perfvod foreign: is known here as something else, which stays\n"
                        "warning perfvod mine: is known here as something else, which stays\n");
    must(export("data.db", err));
    assert_counts(0, 1, 2, 0);
    assert_non_null(strstr(rig.told, "warning perfvod 324918581187645440: is known there as"));
    assert_file("data.db", "SELECT title FROM perfvod WHERE canon_id = 'foreign'", "other\n");
    assert_file("data.db", "SELECT count(*) FROM perfvod", "3\n");
    make_db(&rig.l, "data.db", "DELETE FROM perfvod", NULL);
    must(export("data.db", err));
    assert_vods("data.db", HAVE);
}

static void test_rows_that_cannot_be_used(void **state)
{
    (void)state;
    make_db(&rig.l, "data.db",
            TABLES "INSERT INTO perfvod VALUES ('a', 'x', 1, 't', NULL, 1, NULL, NULL, NULL),"
                   "('b', 1, 2, x'ff', NULL, 1, NULL, NULL, NULL),"
                   "('c', 1, 3, CAST(x'ff' AS TEXT), NULL, 1, NULL, NULL, NULL),"
                   "('d', 1, 4, 't', NULL, 1.5, NULL, NULL, NULL),"
                   "('e', 1, 5, 't', NULL, 9223372036854775807, NULL, NULL, NULL),"
                   "(hex(zeroblob(3000)), 1, 6, 't', NULL, 1, NULL, NULL, NULL)",
            NULL);
    must(import("data.db", err));
    assert_counts(1, 0, 0, 5);
    assert_non_null(strstr(rig.told, "error perfvod a: l4c_club_id is no integer: left out\n"
                                     "error perfvod b: title is no text in UTF-8: left out\n"
                                     "error perfvod c: title is no text in UTF-8: left out\n"
                                     "error perfvod d: start_time is no integer: left out\n"
                                     "error perfvod 00000"));
    assert_int_equal(rows_here(), 1);
}

static void test_many_rows_and_a_stop(void **state)
{
    (void)state;
    make_db(&rig.l, "data.db",
            TABLES
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) "
            "INSERT INTO perfvod SELECT 'id' || i, 1, i, 't', NULL, i, NULL, 'hd', NULL FROM n",
            NULL);
    atomic_store(&rig.stop, true);
    assert_int_equal(import("data.db", NULL), DZ_CANCELLED);
    assert_counts(1000, 0, 0, 0); /* what was taken stays */
    assert_int_equal(export("out.db", NULL), DZ_CANCELLED);
    assert_int_equal(access(lab_path(&rig.l, "out.db"), F_OK), -1);
    assert_no_leftovers();
    make_db(&rig.l, "half.db", TABLES, NULL);
    assert_int_equal(export("half.db", NULL), DZ_CANCELLED);
    assert_vods("half.db", "");
    atomic_store(&rig.stop, false);
    must(import("data.db", err));
    assert_counts(1500, 1000, 0, 0);
    must(export("out.db", err));
    assert_counts(2500, 0, 0, 0);
}

static void test_files_of_others(void **state)
{
    (void)state;
    struct dz_err err = {0};
    make_db(&rig.l, "data.db", TABLES SOME, NULL);
    must(import("data.db", err));
    lab_write(&rig.l, "text.db", DZ_S("this is no database, and longer than a header, too\n"));
    make_db(&rig.l, "other.db", "CREATE TABLE chapters (id TEXT)", NULL);
    make_db(&rig.l, "near.db", "CREATE TABLE perfvod (canon_id TEXT)", NULL);
    static const char *const names[] = {"text.db", "other.db", "near.db"};
    for (size_t i = 0; i < DZ_LEN(names); i++) {
        DZ_AUTO(dz_buf_done) struct dz_buf before, after;
        dz_buf_init(&before, DZ_MIB);
        dz_buf_init(&after, DZ_MIB);
        must(dz_file_read(lab_path(&rig.l, names[i]), &before, err));
        assert_int_equal(import(names[i], &err), DZ_BAD_INPUT);
        assert_non_null(strstr(err.text, names[i]));
        assert_int_equal(export(names[i], &err), DZ_BAD_INPUT);
        must(dz_file_read(lab_path(&rig.l, names[i]), &after, err));
        assert_true(dz_str_eq(dz_buf_str(&before), dz_buf_str(&after)));
    }
    assert_no_leftovers();
    assert_int_equal(import("none.db", &err), DZ_NOT_FOUND);
    assert_int_equal(export("no/folder.db", &err), DZ_IO);
    /* An empty file becomes one, as the service would make it. */
    lab_write(&rig.l, "empty.db", DZ_S(""));
    must(import("empty.db", err));
    must(export("empty.db", err));
    assert_vods("empty.db", HAVE);
    mkdir(lab_path(&rig.l, "folder.db"), 0700);
    assert_int_not_equal(export("folder.db", &err), DZ_OK);
}

static void test_while_the_service_is_there(void **state)
{
    (void)state;
    sqlite3 *db = NULL;
    make_db(&rig.l, "data.db", "PRAGMA journal_mode = wal;" TABLES SOME, &db);
    assert_int_equal(sqlite3_exec(db, "BEGIN; DELETE FROM perfvod", NULL, NULL, NULL), SQLITE_OK);
    must(import("data.db", err)); /* as of its last commit */
    assert_counts(3, 0, 0, 0);
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    must(export("data.db", err));
    assert_counts(3, 0, 0, 0);
    sqlite3_close(db);
    assert_vods("data.db", HAVE);
}

static void test_a_collection_of_another_kind(void **state)
{
    (void)state;
    struct dz_err err = {0};
    make_db(&rig.l, "data.db", TABLES SOME, NULL);
    dz_collection_unref(&rig.coll);
    rig.coll = declared("{'name': 'PerfVOD', 'key': 'id', 'fields': [{'name': 'id', 'type': "
                        "'String', 'not_null': true, 'column': 'canon_id'}, {'name': 'club', "
                        "'type': 'String', 'not_null': true, 'column': 'l4c_club_id'}]}");
    assert_int_equal(import("data.db", &err), DZ_BAD_INPUT);
    assert_non_null(strstr(err.text, "no field for column l4c_club_id of KVM48"));
    assert_int_equal(export("new.db", &err), DZ_BAD_INPUT);
}

static void test_nothing_to_export(void **state)
{
    (void)state;
    struct dz_err err = {0};
    assert_int_equal(export("new.db", &err), DZ_NOT_FOUND);
    assert_int_equal(access(lab_path(&rig.l, "new.db"), F_OK), -1);
    assert_no_leftovers();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_there_and_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_there_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rows_that_cannot_be_used, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_rows_and_a_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_of_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_while_the_service_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_collection_of_another_kind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_to_export, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
