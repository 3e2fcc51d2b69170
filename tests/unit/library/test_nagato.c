/*
 * test_nagato: marks, favourites and settings of the service that is replaced.
 *
 * The databases are made with its own CREATE TABLE statements.
 */
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab.h"

#define TABLES                                                                                     \
    "CREATE TABLE chapters (site VARCHAR(255) NOT NULL, id VARCHAR(255) NOT NULL, "                \
    "manga VARCHAR(255) NOT NULL, mark CHAR(1) NOT NULL, PRIMARY KEY (site, id));"                 \
    "CREATE TABLE mangas (site VARCHAR(255) NOT NULL, id VARCHAR(255) NOT NULL, "                  \
    "PRIMARY KEY (site, id));"
#define SOME                                                                                       \
    "INSERT INTO chapters VALUES ('mangadex.org', 'c2', 'm1', 'D'), ('a.org', 'c1', 'm2', 'I'), "  \
    "('mangadex.org', 'c1', 'm1', 'I');"                                                           \
    "INSERT INTO mangas VALUES ('mangadex.org', 'z'), ('a.org', 'm2'), ('mangadex.org', 'm1')"

/* Appends to the file `name`; still open afterwards when ret_db is given. */
static void make(struct lab *l, const char *name, const char *sql, sqlite3 **ret_db)
{
    sqlite3 *db = NULL;
    char *words = NULL;
    assert_int_equal(sqlite3_open(lab_path(l, name), &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &words) != SQLITE_OK)
        fail_msg("%s", words);
    if (ret_db)
        *ret_db = db;
    else
        sqlite3_close(db);
}

struct seen {
    char text[4096]; /* what was told, a line an event */
    atomic_bool *stop;
};

static void on_event(void *arg, const struct dz_import_event *e)
{
    struct seen *s = arg;
    size_t n = strlen(s->text);
    assert_int_equal(e->kind, DZ_IMPORT_ERROR);
    (void)snprintf(s->text + n, sizeof(s->text) - n, "%s: %s\n", e->entry, e->text);
    if (s->stop)
        atomic_store(s->stop, true);
}

static enum dz_code import(struct lab *l, const char *name, struct dz_nagato_result *ret,
                           struct seen *seen, struct dz_err *err)
{
    struct dz_import_options o = {.event = on_event, .arg = seen, .stop = seen->stop};
    memset(seen->text, 0, sizeof(seen->text));
    return dz_library_import_nagato(l->lib, lab_path(l, name), &o, ret, err);
}

static void assert_marks(struct lab *l, const char *site, const char *series, const char *want)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(8 * DZ_MIB);
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    struct dz_mark_rec *v;
    size_t n;
    dz_buf_init(&b, DZ_MIB);
    must(dz_catalog_marks_of_series(dz_library_catalog(l->lib), dz_str_of(site), dz_str_of(series),
                                    a, &v, &n, err));
    for (size_t i = 0; i < n; i++)
        dz_buf_putf(&b, "%s%.*s %c", i ? " " : "", DZ_STR_FMT(v[i].chapter), v[i].mark);
    assert_string_equal(dz_buf_cstr(&b), want);
}

static void test_marks_and_favourites(void **state)
{
    (void)state;
    struct lab l;
    struct seen seen = {0};
    struct dz_nagato_result r;
    struct dz_favourite_rec *v;
    size_t n;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    lab_init(&l, "");
    make(&l, "nagato.db", TABLES SOME, NULL);
    must(import(&l, "nagato.db", &r, &seen, err));
    assert_int_equal(r.marks_new, 3);
    assert_int_equal(r.favourites_new, 3);
    assert_int_equal(r.marks_same + r.marks_kept + r.favourites_same + r.errors, 0);
    assert_marks(&l, "mangadex.org", "m1", "c1 I c2 D");
    assert_marks(&l, "a.org", "m2", "c1 I");
    must(dz_catalog_favourites(dz_library_catalog(l.lib), DZ_S("mangadex.org"), a, &v, &n, err));
    assert_int_equal(n, 2); /* in the order they were added */
    assert_true(dz_str_eq(v[0].series, DZ_S("z")) && dz_str_eq(v[1].series, DZ_S("m1")));

    /* What was said here meanwhile stays. */
    const struct dz_mark_rec other = {DZ_S("mangadex.org"), DZ_S("c1"), DZ_S(""), 'D'};
    must(dz_catalog_marks_put(dz_library_catalog(l.lib), &other, 1, err));
    must(import(&l, "nagato.db", &r, &seen, err));
    assert_int_equal(r.marks_new + r.favourites_new + r.errors, 0);
    assert_int_equal(r.marks_same, 2);
    assert_int_equal(r.marks_kept, 1);
    assert_int_equal(r.favourites_same, 3);
    assert_marks(&l, "mangadex.org", "m1", "c1 D c2 D");
    assert_int_equal(access(lab_path(&l, "nagato.db-wal"), F_OK), -1);
    assert_int_equal(access(lab_path(&l, "nagato.db-shm"), F_OK), -1);
    lab_done(&l);
}

static void test_rows_that_do_not_fit(void **state)
{
    (void)state;
    struct lab l;
    struct seen seen = {0};
    struct dz_nagato_result r;
    lab_init(&l, "");
    make(&l, "nagato.db",
         TABLES "INSERT INTO chapters VALUES ('s', 'good', 'm', 'D'), ('s', 'x', 'm', 'X'), "
                "('s', printf('%.5000c', 'y'), 'm', 'D'), ('s', '', 'm', 'D'), "
                "('s', x'0102', 'm', 'D'), ('s', CAST(x'ff' AS TEXT), 'm', 'D'), "
                "('s', 'y', 'm', 'DI'), ('s', 17, 'm', 'I');"
                "INSERT INTO mangas VALUES ('s', 'm'), (x'00', 'm')",
         NULL);
    must(import(&l, "nagato.db", &r, &seen, err));
    assert_string_equal(seen.text,
                        "chapters row 2: mark \"X\" is neither D nor I: left out\n"
                        "chapters row 3: id is longer than 4096 bytes: left out\n"
                        "chapters row 4: id is empty: left out\n"
                        "chapters row 5: id is no text: left out\n"
                        "chapters row 6: id is not UTF-8, or holds a zero byte: left out\n"
                        "chapters row 7: mark \"DI\" is neither D nor I: left out\n"
                        "mangas row 2: site is no text: left out\n");
    assert_int_equal(r.errors, 7);
    assert_marks(&l, "s", "m", "17 I good D"); /* a column of text makes a text of a number */
    assert_int_equal(r.favourites_new, 1);
    lab_done(&l);
}

/* More than are stored at once, of several sites that alternate. */
static void test_many_marks(void **state)
{
    (void)state;
    struct lab l;
    struct seen seen = {0};
    struct dz_nagato_result r;
    lab_init(&l, "");
    make(&l, "nagato.db",
         TABLES "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) "
                "INSERT INTO chapters SELECT printf('site%d', i % 3), printf('c%d', i), "
                "printf('m%d', i % 7), iif(i % 2, 'D', 'I') FROM n",
         NULL);
    for (int again = 0; again < 2; again++) {
        must(import(&l, "nagato.db", &r, &seen, err));
        assert_int_equal(again ? r.marks_same : r.marks_new, 2500);
        assert_int_equal(again ? r.marks_new : r.marks_same, 0);
    }
    lab_done(&l);
}

/* The service runs, and what it wrote last is in its journal only. */
static void test_a_journal_beside_it(void **state)
{
    (void)state;
    struct lab l;
    struct seen seen = {0};
    struct dz_nagato_result r;
    sqlite3 *db;
    struct stat st;
    lab_init(&l, "");
    make(&l, "nagato.db", "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;" TABLES SOME,
         &db);
    assert_int_equal(stat(lab_path(&l, "nagato.db-wal"), &st), 0);
    assert_true(st.st_size > 0);
    must(import(&l, "nagato.db", &r, &seen, err));
    assert_int_equal(r.marks_new, 3);
    assert_int_equal(sqlite3_exec(db, "DELETE FROM mangas", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db); /* folds the journal into the file */
    assert_int_equal(access(lab_path(&l, "nagato.db-wal"), F_OK), -1);
    must(import(&l, "nagato.db", &r, &seen, err));
    assert_int_equal(r.marks_same, 3);
    assert_int_equal(r.favourites_same, 0);
    assert_int_equal(access(lab_path(&l, "nagato.db-wal"), F_OK), -1);
    assert_int_equal(access(lab_path(&l, "nagato.db-shm"), F_OK), -1);
    lab_done(&l);
}

/* Names that mean something in an address are names like any other. */
static void test_odd_names(void **state)
{
    (void)state;
    struct lab l;
    struct seen seen = {0};
    struct dz_nagato_result r;
    lab_init(&l, "");
    make(&l, "a?mode=rwc#%41.db", TABLES SOME, NULL);
    must(import(&l, "a?mode=rwc#%41.db", &r, &seen, err));
    assert_int_equal(r.marks_new, 3);
    lab_done(&l);
}

static void test_what_is_no_database_of_it(void **state)
{
    (void)state;
    struct lab l;
    struct seen seen = {0};
    struct dz_nagato_result r;
    struct dz_err err = {0};
    lab_init(&l, "");
    assert_int_equal(import(&l, "none.db", &r, &seen, &err), DZ_NOT_FOUND);
    assert_int_equal(access(lab_path(&l, "none.db"), F_OK), -1);
    lab_write(&l, "text.db", DZ_S("this is a text, and a long one: 0123456789012345678901234567"));
    assert_int_equal(import(&l, "text.db", &r, &seen, &err), DZ_BAD_INPUT);
    assert_non_null(strstr(err.text, "not a database"));
    make(&l, "other.db", "CREATE TABLE chapters (x)", NULL);
    assert_int_equal(import(&l, "other.db", &r, &seen, &err), DZ_BAD_INPUT);
    assert_non_null(strstr(err.text, "no table mangas"));
    assert_int_not_equal(import(&l, ".", &r, &seen, &err), DZ_OK);
    make(&l, "columns.db", "CREATE TABLE chapters (x); CREATE TABLE mangas (y)", NULL);
    assert_int_not_equal(import(&l, "columns.db", &r, &seen, &err), DZ_OK);
    assert_non_null(strstr(err.text, "no such column"));
    lab_done(&l);
}

static void test_stopped(void **state)
{
    (void)state;
    struct lab l;
    atomic_bool stop = false;
    struct seen seen = {.stop = &stop};
    struct dz_nagato_result r;
    struct dz_err err = {0};
    lab_init(&l, "");
    make(&l, "nagato.db", TABLES SOME ";INSERT INTO chapters VALUES ('a.org', 'bad', 'm', '?')",
         NULL);
    assert_int_equal(import(&l, "nagato.db", &r, &seen, &err), DZ_CANCELLED);
    assert_int_equal(r.marks_new, 1); /* those of the site at hand */
    atomic_store(&stop, false);
    seen.stop = NULL;
    must(import(&l, "nagato.db", &r, &seen, err));
    assert_int_equal(r.marks_new, 2);
    assert_int_equal(r.marks_same, 1);
    lab_done(&l);
}

/* ---- settings -------------------------------------------------------------------------------- */

static enum dz_code convert(const char *json, struct dz_buf *out, struct dz_err *err)
{
    struct lab l;
    lab_init(&l, "");
    lab_write(&l, "conf.json", dz_str_of(json));
    dz_buf_init(out, DZ_MIB);
    enum dz_code code = dz_library_nagato_settings(lab_path(&l, "conf.json"), out, err);
    lab_done(&l);
    return code;
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks_and_favourites),
        cmocka_unit_test(test_rows_that_do_not_fit),
        cmocka_unit_test(test_many_marks),
        cmocka_unit_test(test_a_journal_beside_it),
        cmocka_unit_test(test_odd_names),
        cmocka_unit_test(test_what_is_no_database_of_it),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_settings_of_a_merged_file),
        cmocka_unit_test(test_settings_of_few_keys),
        cmocka_unit_test(test_settings_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
