/*
 * test_nagato: marks, favourites and settings of the service that is replaced.
 *
 * The databases are made with its own CREATE TABLE statements.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "their.h"

#define TABLES                                                                                     \
    "CREATE TABLE chapters (site VARCHAR(255) NOT NULL, id VARCHAR(255) NOT NULL, "                \
    "manga VARCHAR(255) NOT NULL, mark CHAR(1) NOT NULL, PRIMARY KEY (site, id));"                 \
    "CREATE TABLE mangas (site VARCHAR(255) NOT NULL, id VARCHAR(255) NOT NULL, "                  \
    "PRIMARY KEY (site, id));"
#define SOME                                                                                       \
    "INSERT INTO chapters VALUES ('mangadex.org', 'c2', 'm1', 'D'), ('a.org', 'c1', 'm2', 'I'), "  \
    "('mangadex.org', 'c1', 'm1', 'I');"                                                           \
    "INSERT INTO mangas VALUES ('mangadex.org', 'z'), ('a.org', 'm2'), ('mangadex.org', 'm1')"

/* Of the case at hand. */
static struct rig {
    struct lab l;
    struct dz_nagato_result r;
    char told[4096]; /* a line an event */
    bool stops;      /* at the first event */
    atomic_bool stop;
} rig;

static int set_up(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof(rig));
    lab_init(&rig.l, "");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lab_done(&rig.l);
    return 0;
}

static void on_event(void *arg, const struct dz_import_event *e)
{
    struct rig *g = arg;
    size_t n = strlen(g->told);
    assert_int_equal(e->kind, DZ_IMPORT_ERROR);
    (void)snprintf(g->told + n, sizeof(g->told) - n, "%s: %s\n", e->entry, e->text);
    atomic_store(&g->stop, g->stops);
}

static enum dz_code import(const char *name, struct dz_err *err)
{
    struct dz_import_options o = {.event = on_event, .arg = &rig, .stop = &rig.stop};
    rig.told[0] = '\0';
    atomic_store(&rig.stop, false);
    return dz_library_import_nagato(rig.l.lib, lab_path(&rig.l, name), &o, &rig.r, err);
}

static void assert_marks(const char *site, const char *series, const char *want)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(8 * DZ_MIB);
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    struct dz_mark_rec *v;
    size_t n;
    dz_buf_init(&b, DZ_MIB);
    must(dz_catalog_marks_of_series(dz_library_catalog(rig.l.lib), dz_str_of(site),
                                    dz_str_of(series), a, &v, &n, err));
    for (size_t i = 0; i < n; i++)
        dz_buf_putf(&b, "%s%.*s %c", i ? " " : "", DZ_STR_FMT(v[i].chapter), v[i].mark);
    assert_string_equal(dz_buf_cstr(&b), want);
}

static void test_marks_and_favourites(void **state)
{
    (void)state;
    struct dz_favourite_rec *v;
    size_t n;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    make_db(&rig.l, "nagato.db", TABLES SOME, NULL);
    must(import("nagato.db", err));
    assert_int_equal(rig.r.marks_new, 3);
    assert_int_equal(rig.r.favourites_new, 3);
    assert_int_equal(rig.r.marks_same + rig.r.marks_kept + rig.r.favourites_same + rig.r.errors, 0);
    assert_marks("mangadex.org", "m1", "c1 I c2 D");
    assert_marks("a.org", "m2", "c1 I");
    must(
        dz_catalog_favourites(dz_library_catalog(rig.l.lib), DZ_S("mangadex.org"), a, &v, &n, err));
    assert_int_equal(n, 2); /* in the order they were added */
    assert_true(dz_str_eq(v[0].series, DZ_S("z")) && dz_str_eq(v[1].series, DZ_S("m1")));

    /* What was said here meanwhile stays. */
    const struct dz_mark_rec other = {DZ_S("mangadex.org"), DZ_S("c1"), DZ_S(""), 'D'};
    must(dz_catalog_marks_put(dz_library_catalog(rig.l.lib), &other, 1, err));
    must(import("nagato.db", err));
    assert_int_equal(rig.r.marks_new + rig.r.favourites_new + rig.r.errors, 0);
    assert_int_equal(rig.r.marks_same, 2);
    assert_int_equal(rig.r.marks_kept, 1);
    assert_int_equal(rig.r.favourites_same, 3);
    assert_marks("mangadex.org", "m1", "c1 D c2 D");
    assert_int_equal(access(lab_path(&rig.l, "nagato.db-wal"), F_OK), -1);
    assert_int_equal(access(lab_path(&rig.l, "nagato.db-shm"), F_OK), -1);
}

static void test_rows_that_do_not_fit(void **state)
{
    (void)state;
    make_db(&rig.l, "nagato.db",
            TABLES "INSERT INTO chapters VALUES ('s', 'good', 'm', 'D'), ('s', 'x', 'm', 'X'), "
                   "('s', printf('%.5000c', 'y'), 'm', 'D'), ('s', '', 'm', 'D'), "
                   "('s', x'0102', 'm', 'D'), ('s', CAST(x'ff' AS TEXT), 'm', 'D'), "
                   "('s', 'y', 'm', 'DI'), ('s', 17, 'm', 'I');"
                   "INSERT INTO mangas VALUES ('s', 'm'), (x'00', 'm')",
            NULL);
    must(import("nagato.db", err));
    assert_string_equal(rig.told,
                        "chapters row 2: mark \"X\" is neither D nor I: left out\n"
                        "chapters row 3: id is longer than 4096 bytes: left out\n"
                        "chapters row 4: id is empty: left out\n"
                        "chapters row 5: id is no text: left out\n"
                        "chapters row 6: id is not UTF-8, or holds a zero byte: left out\n"
                        "chapters row 7: mark \"DI\" is neither D nor I: left out\n"
                        "mangas row 2: site is no text: left out\n");
    assert_int_equal(rig.r.errors, 7);
    assert_marks("s", "m", "17 I good D"); /* a column of text makes a text of a number */
    assert_int_equal(rig.r.favourites_new, 1);
}

/* More than are stored at once, of several sites that alternate. */
static void test_many_marks(void **state)
{
    (void)state;
    make_db(&rig.l, "nagato.db",
            TABLES "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) "
                   "INSERT INTO chapters SELECT printf('site%d', i % 3), printf('c%d', i), "
                   "printf('m%d', i % 7), iif(i % 2, 'D', 'I') FROM n",
            NULL);
    for (int again = 0; again < 2; again++) {
        must(import("nagato.db", err));
        assert_int_equal(again ? rig.r.marks_same : rig.r.marks_new, 2500);
        assert_int_equal(again ? rig.r.marks_new : rig.r.marks_same, 0);
    }
}

/* The service runs, and what it wrote last is in its journal only. */
static void test_a_journal_beside_it(void **state)
{
    (void)state;
    sqlite3 *db;
    struct stat st;
    make_db(&rig.l, "nagato.db",
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;" TABLES SOME, &db);
    assert_int_equal(stat(lab_path(&rig.l, "nagato.db-wal"), &st), 0);
    assert_true(st.st_size > 0);
    must(import("nagato.db", err));
    assert_int_equal(rig.r.marks_new, 3);
    assert_int_equal(sqlite3_exec(db, "DELETE FROM mangas", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db); /* folds the journal into the file */
    assert_int_equal(access(lab_path(&rig.l, "nagato.db-wal"), F_OK), -1);
    must(import("nagato.db", err));
    assert_int_equal(rig.r.marks_same, 3);
    assert_int_equal(rig.r.favourites_same, 0);
    assert_int_equal(access(lab_path(&rig.l, "nagato.db-wal"), F_OK), -1);
    assert_int_equal(access(lab_path(&rig.l, "nagato.db-shm"), F_OK), -1);
}

/* Names that mean something in an address are names like any other. */
static void test_odd_names(void **state)
{
    (void)state;
    make_db(&rig.l, "a?mode=rwc#%41.db", TABLES SOME, NULL);
    must(import("a?mode=rwc#%41.db", err));
    assert_int_equal(rig.r.marks_new, 3);
}

static void test_what_is_no_database_of_it(void **state)
{
    (void)state;
    struct dz_err err = {0};
    assert_int_equal(import("none.db", &err), DZ_NOT_FOUND);
    assert_int_equal(access(lab_path(&rig.l, "none.db"), F_OK), -1);
    lab_write(&rig.l, "text.db",
              DZ_S("this is a text, and a long one: 0123456789012345678901234567"));
    assert_int_equal(import("text.db", &err), DZ_BAD_INPUT);
    assert_non_null(strstr(err.text, "not a database"));
    make_db(&rig.l, "other.db", "CREATE TABLE chapters (x)", NULL);
    assert_int_equal(import("other.db", &err), DZ_BAD_INPUT);
    assert_non_null(strstr(err.text, "no table mangas"));
    assert_int_not_equal(import(".", &err), DZ_OK);
    make_db(&rig.l, "columns.db", "CREATE TABLE chapters (x); CREATE TABLE mangas (y)", NULL);
    assert_int_not_equal(import("columns.db", &err), DZ_OK);
    assert_non_null(strstr(err.text, "no such column"));
}

static void test_stopped(void **state)
{
    (void)state;
    struct dz_err err = {0};
    rig.stops = true;
    make_db(&rig.l, "nagato.db",
            TABLES SOME ";INSERT INTO chapters VALUES ('a.org', 'bad', 'm', '?')", NULL);
    assert_int_equal(import("nagato.db", &err), DZ_CANCELLED);
    assert_int_equal(rig.r.marks_new, 1); /* those of the site at hand */
    rig.stops = false;
    must(import("nagato.db", err));
    assert_int_equal(rig.r.marks_new, 2);
    assert_int_equal(rig.r.marks_same, 1);
}

/* ---- settings -------------------------------------------------------------------------------- */

static enum dz_code convert(const char *json, struct dz_buf *out, struct dz_err *err)
{
    lab_write(&rig.l, "conf.json", dz_str_of(json));
    dz_buf_init(out, DZ_MIB);
    return dz_library_nagato_settings(lab_path(&rig.l, "conf.json"), out, err);
}

static const char all_defaults[] =
    "{\"global\": {\"chapters.destination\": \"/data\", "
    "\"chapters.format\": \"${manga} -.- C${chapter} ${title}\", \"chapters.method\": \"cbz\", "
    "\"chapters.pagedelay\": 0, \"mangas.separate\": true}, \"api\": {\"database.path\": "
    "\"nagato.db\", \"requests.cache.maxlen\": 50, \"requests.cache.threshold\": 3600, "
    "\"requests.timeout.connect\": 3.05, \"requests.timeout.read\": 10, "
    "\"compression.cbz.additional_data\": false}, \"downloaders\": {\"mangadex.org\": "
    "{\"language.filter\": \"en\"}, \"www.japscan.ws/lecture-en-ligne/one-piece\": "
    "{\"requests.user-agent\": \"Firefox\"}}}";

static void test_settings_of_a_merged_file(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    must(convert(all_defaults, &b, err));
    static const char want[] = "# From nagato's conf.json, for dozo.yaml.\n"
                               "downloads:\n"
                               "  destination: \"/data\"\n"
                               "  format: \"${manga} -.- C${chapter} ${title}\"\n"
                               "  method: cbz\n"
                               "  separate: true\n"
                               "  page_delay: 0s\n"
                               "  comicinfo_sizes: false\n"
                               "sources:\n"
                               "  connect_timeout: 3050ms\n"
                               "  read_timeout: 10s\n"
                               "  http_cache:\n"
                               "    max_entries: 50\n"
                               "    ttl: 3600s\n"
                               "  mangadex.org:\n"
                               "    language: \"en\"\n"
                               "# nagato answered on";
    assert_memory_equal(dz_buf_cstr(&b), want, sizeof(want) - 1);
    assert_non_null(strstr(b.p, "\"api\" \"database.path\": \"nagato.db\" (the catalog is"));
    assert_non_null(strstr(b.p, "one-piece\" \"requests.user-agent\": \"Firefox\" (a site"));
    DZ_AUTO(dz_conf_unref) struct dz_conf *c = NULL;
    must(dz_conf_parse(dz_buf_str(&b), "t", NULL, &c, NULL, err));
    assert_string_equal(c->downloads.destination, "/data");
    assert_int_equal(c->sources.connect_timeout_ms, 3050);
    assert_int_equal(c->sources.http_cache_max_entries, 50);
}

static void test_settings_of_few_keys(void **state)
{
    (void)state;
    static const struct {
        const char *json, *want; /* a part of the text */
    } cases[] = {
        {"{}", "for dozo.yaml.\n# nagato answered"},
        {"{\"global\": {\"mangas.separate\": false}}", "downloads:\n  separate: false\n#"},
        {"{\"downloaders\": {\"mangadex.org\": {\"chapters.pagedelay\": 0.25}}}",
         "sources:\n  mangadex.org:\n    page_delay: 250ms\n"},
        {"{\"api\": {\"requests.cache.maxlen\": -1}}", "http_cache:\n    max_entries: 0\n"},
        {"{\"api\": {\"requests.cache.threshold\": 59}}",
         "#   \"api\" \"requests.cache.threshold\": 59 (not a number of seconds from 60)"},
        {"{\"global\": {\"chapters.method\": \"file\"}}", "\"file\" (not one of files, zip"},
        {"{\"global\": {\"chapters.destination\": 5}}", ": 5 (not a text)"},
        {"{\"global\": {\"chapters.pagedelay\": true}}", ": true (not a number of seconds)"},
        {"{\"global\": {\"chapters.pagedelay\": 1e300}}", ": 1e+300 (not a number of seconds)"},
        {"{\"global\": {\"mangas.separate\": \"yes\"}}", "(neither true nor false)"},
        {"{\"global\": [1]}", "#   \"global\": [1] (no section)"},
        {"{\"a\\nb\": {\"x\": 1}}", "#   \"a\\nb\": {\"x\":1} (no such section)"},
        {"{\"global\": {\"new\": \"\xe2\x80\xa8x: 1\"}}",
         "\"new\": \"\\u2028x: 1\" (nothing of that name here)"},
        {"{\"downloaders\": {\"mangadex.org\": {\"chapters.format\": \"$id\"}}}",
         "\"chapters.format\": \"$id\" (one setting for all sites)"},
        {"{\"downloaders\": {\"x.org\": 1}}", "#   \"downloaders\" \"x.org\": 1 (no section)"},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        DZ_AUTO(dz_buf_done) struct dz_buf b;
        must(convert(cases[i].json, &b, err));
        if (!strstr(dz_buf_cstr(&b), cases[i].want))
            fail_msg("%s: %s", cases[i].json, dz_buf_cstr(&b));
        DZ_AUTO(dz_conf_unref) struct dz_conf *c = NULL;
        must(dz_conf_parse(dz_buf_str(&b), "t", NULL, &c, NULL, err));
    }
}

static void test_settings_that_cannot_be_read(void **state)
{
    (void)state;
    struct dz_err err = {0};
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    assert_int_equal(convert("{\n\"global\": }", &b, &err), DZ_PARSE);
    assert_non_null(strstr(err.text, "conf.json:2:"));
    assert_int_equal(b.n, 0);
    dz_buf_done(&b);
    assert_int_equal(convert("[]", &b, &err), DZ_BAD_INPUT);
    dz_buf_done(&b);
    dz_buf_init(&b, 10);
    assert_int_equal(dz_library_nagato_settings("/nowhere/conf.json", &b, &err), DZ_NOT_FOUND);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_marks_and_favourites),
        CASE(test_rows_that_do_not_fit),
        CASE(test_many_marks),
        CASE(test_a_journal_beside_it),
        CASE(test_odd_names),
        CASE(test_what_is_no_database_of_it),
        CASE(test_stopped),
        CASE(test_settings_of_a_merged_file),
        CASE(test_settings_of_few_keys),
        CASE(test_settings_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
