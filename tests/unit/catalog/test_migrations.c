/*
 * test_migrations: from an older file to this binary's, with a copy first; and the files that are
 * refused.
 */
#include "catalog/sqlite_int.h"
#include "catalog/test_collections.h"

#include <fcntl.h>

/* The real ones and two that a later binary may bring. */
enum { NOW = 7, LATER = NOW + 2 };

struct fixture {
    char folder[64];
    char path[96];
    char copy[128]; /* before the first that this binary does not know */
    struct dz_arena *a;
};

static int set_up(void **state)
{
    struct fixture *f = dz_new(struct fixture);
    make_folder(f->folder);
    snprintf(f->path, sizeof(f->path), "%s/dozo.db", f->folder);
    assert_int_equal(DZ_SQL_SCHEMA, NOW);
    snprintf(f->copy, sizeof(f->copy), "%s.before-migration-%d", f->path, NOW + 1);
    f->a = dz_arena_new(8 * DZ_MIB);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    drop_folder(f->folder);
    dz_arena_free(&f->a);
    free(f);
    return 0;
}

static struct dz_catalog *open_at(const struct fixture *f, const char *path)
{
    struct dz_catalog *c = NULL;
    must(dz_catalog_open("sqlite", f->folder, path, &c, err));
    return c;
}

static struct dz_sqlite *self_of(struct dz_catalog *c)
{
    return c->self;
}

static size_t chapters_in(struct fixture *f, struct dz_catalog *c)
{
    int64_t id;
    struct dz_series_full full;
    must(dz_catalog_series_find(c, DZ_S("local"), DZ_S("s"), &id, err));
    must(dz_catalog_load(c, id, f->a, &full, err));
    return full.chapters_n;
}

static int64_t ask(struct dz_catalog *c, const char *sql)
{
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_prepare_v2(self_of(c)->write.db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

static void write_file(const char *path, const char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    must(dz_write_all(fd, (dz_str){bytes, n}, err));
    close(fd);
}

static void a_new_file_needs_no_copy(void **state)
{
    struct fixture *f = *state;
    struct dz_catalog *c = open_at(f, "");
    assert_int_equal(ask(c, "SELECT max(number) FROM schema_version"), DZ_SQL_SCHEMA);
    assert_int_equal(ask(c, "SELECT count(*) FROM schema_version"), DZ_SQL_SCHEMA);
    put_one(c, "s", "1", 1, 2, 1);
    dz_catalog_close(&c);
    c = open_at(f, "");
    assert_int_equal(chapters_in(f, c), 1);
    dz_catalog_close(&c);
    assert_int_equal(access(f->copy, F_OK), -1);
}

static void the_folder_is_made(void **state)
{
    struct fixture *f = *state;
    char deep[128];
    struct dz_catalog *c = NULL;
    snprintf(deep, sizeof(deep), "%s/a", f->folder);
    must(dz_catalog_open("sqlite", deep, "", &c, err));
    dz_catalog_close(&c);
    drop_folder(deep);
}

static void the_connections_are_strict_and_durable(void **state)
{
    struct fixture *f = *state;
    struct dz_catalog *c = open_at(f, "");
    assert_int_equal(ask(c, "PRAGMA foreign_keys"), 1);
    assert_int_equal(ask(c, "PRAGMA synchronous"), 2);
    assert_int_equal(ask(c, "PRAGMA trusted_schema"), 0);
    assert_int_equal(ask(c, "PRAGMA cell_size_check"), 1);
    assert_int_equal(ask(c, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    assert_int_equal(ask(c, "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND "
                            "name NOT LIKE 'sqlite_%' AND strict = 0"),
                     0);
    dz_catalog_close(&c);
}

static const char *later_list[LATER];
static const char *const *later(void)
{
    for (size_t i = 0; i < NOW; i++)
        later_list[i] = dz_sqlite_migrations[i];
    later_list[NOW] = "ALTER TABLE series ADD COLUMN note TEXT NOT NULL DEFAULT 'none'";
    later_list[NOW + 1] = "CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT";
    return later_list;
}

static void an_old_file_is_copied_and_migrated(void **state)
{
    struct fixture *f = *state;
    struct dz_catalog *c = open_at(f, "");
    put_one(c, "s", "1", 1, 2, 1);
    chmod(f->path, 0640);
    must(dz_sql_migrate(&self_of(c)->base, later(), LATER, err));
    assert_int_equal(ask(c, "SELECT max(number) FROM schema_version"), LATER);
    assert_int_equal(ask(c, "SELECT count(*) FROM series WHERE note = 'none'"), 1);
    assert_int_equal(ask(c, "SELECT count(*) FROM later"), 0);
    assert_int_equal(chapters_in(f, c), 1);
    must(dz_sql_migrate(&self_of(c)->base, later(), LATER, err)); /* nothing left to do */
    dz_catalog_close(&c);

    /* The copy is a whole catalog of the old number, with the rights of the original. */
    struct stat st;
    assert_int_equal(stat(f->copy, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    struct dz_catalog *old = open_at(f, f->copy);
    assert_int_equal(ask(old, "SELECT max(number) FROM schema_version"), NOW);
    assert_int_equal(chapters_in(f, old), 1);
    dz_catalog_close(&old);
    char other[160];
    snprintf(other, sizeof(other), "%s.before-migration-%d", f->path, LATER);
    assert_int_equal(access(other, F_OK), -1);
    snprintf(other, sizeof(other), "%s.tmp", f->copy);
    assert_int_equal(access(other, F_OK), -1);

    /* And this binary refuses what it does not know, without touching it. */
    const char *text = refused(dz_catalog_open("sqlite", f->folder, "", &c, err), DZ_UNSUPPORTED);
    assert_non_null(strstr(text, f->path));
    assert_non_null(strstr(text, "newer dozo (schema 9, this one knows 7)"));
}

/* A file as the binary of that number left it. */
static void make_old(struct fixture *f, size_t number, const char *content)
{
    DZ_AUTO(dz_buf_done) struct dz_buf sql;
    sqlite3 *db = NULL;
    dz_buf_init(&sql, 64 * DZ_KIB);
    dz_buf_putf(&sql, "PRAGMA application_id = 1685027439; CREATE TABLE schema_version "
                      "(number INTEGER PRIMARY KEY, applied_s INTEGER NOT NULL) STRICT;");
    for (size_t i = 0; i < number; i++)
        dz_buf_putf(&sql, "%s; INSERT INTO schema_version VALUES (%zu, 1);",
                    dz_sqlite_migrations[i], i + 1);
    dz_buf_putf(&sql, "%s", content);
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, dz_buf_cstr(&sql), NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* A file of number 1, with a series of one chapter, comes up as a catalog of today. */
static void a_file_without_revisions_gets_them(void **state)
{
    struct fixture *f = *state;
    static const char content[] =
        "INSERT INTO series VALUES (1, 'local', 's', 's', '', '', '', '', '', '', 0, 1, 1, 1);"
        "INSERT INTO chapter VALUES (1, 1, '1', '1', 1, '1', '', NULL, 0, 0, '', '', '', '', '', "
        "1, 1); INSERT INTO change VALUES (1, 1)";
    make_old(f, 1, content);
    struct dz_catalog *c = open_at(f, "");
    struct dz_series_full full;
    must(dz_catalog_load(c, 1, f->a, &full, err));
    assert_int_equal(full.chapters_n, 1);
    assert_int_equal(full.chapters[0].rev, 0);
    put_one(c, "s", "1", 1, 2, 1);
    must(dz_catalog_load(c, 1, f->a, &full, err));
    assert_int_equal(full.chapters[0].rev, 2);
    dz_catalog_close(&c);
    char copy[128];
    snprintf(copy, sizeof(copy), "%s.before-migration-2", f->path);
    assert_int_equal(access(copy, F_OK), 0);
}

/* A file of number 3 with pages: afterwards jobs and parts work, and the old counts are right. */
static void a_file_without_jobs_gets_them(void **state)
{
    struct fixture *f = *state;
    enum { OLD = 3 };
    static const char content[] =
        "INSERT INTO series VALUES (1, 'local', 's', 's', '', '', '', '', '', '', 0, 1, 1, 1);"
        "INSERT INTO chapter VALUES (1, 1, '1', '1', 1, '1', '', NULL, 0, 0, '', '', '', '', '', "
        "1, 1, 1); INSERT INTO change VALUES (1, 1);"
        "INSERT INTO blob VALUES (1, zeroblob(32), 5, 'image/jpeg', 1, 1, 1);"
        "INSERT INTO page VALUES (1, 1, 1, 0, 'p.jpg')";
    make_old(f, OLD, content);
    struct dz_catalog *c = open_at(f, "");
    struct dz_job_rec job = {.kind = DZ_S("crawl"), .source = DZ_S("x"), .target = DZ_S("y")};
    struct dz_part_rec part = {.url = DZ_S("u"), .blob = {.bytes = 5, .mime = DZ_S("image/jpeg")}};
    int64_t id;
    bool is_new;
    uint64_t left;
    must(dz_catalog_job_add(c, &job, 1, &id, &is_new, err));
    assert_true(is_new);
    must(dz_catalog_part_put(c, DZ_S("x"), DZ_S("1"), &part, 1, err));
    uint64_t crc;
    must(dz_catalog_blob_crcs(c, &part.blob.sha, 1, &crc, err));
    assert_true(crc == UINT64_MAX);
    assert_int_equal(ask(c, "SELECT refs FROM blob WHERE id = 1"), 2);
    must(dz_catalog_verify(c, false, NULL, NULL, &left, err));
    assert_int_equal(left, 0);
    assert_int_equal(chapters_in(f, c), 1);
    dz_catalog_close(&c);
    char copy[128];
    snprintf(copy, sizeof(copy), "%s.before-migration-%d", f->path, OLD + 1);
    assert_int_equal(access(copy, F_OK), 0);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(copy, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "SELECT id FROM job", NULL, NULL, NULL), SQLITE_ERROR);
    assert_int_equal(sqlite3_exec(db, "SELECT rev FROM chapter", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* A file of number 4: its jobs go on, and may be downloads now. */
static void jobs_of_an_old_file_go_on(void **state)
{
    struct fixture *f = *state;
    make_old(f, 4,
             "INSERT INTO job (kind, source, target, args, state, priority, attempts, "
             "cancel_asked, created_ms, run_after_ms, lease_until_ms, started_ms, ended_ms, owner, "
             "done, total, fail_kind, fail_text, result) VALUES "
             "('crawl', 'x', 'y', '', 3, 0, 1, 0, 1, 2, 0, 3, 4, '', 5, 6, 'network', 'no', '')");
    struct dz_catalog *c = open_at(f, "");
    struct dz_job_rec *v;
    size_t n;
    must(dz_catalog_jobs_retry(c, DZ_S("crawl"), NULL, 0, 9, &n, err));
    assert_int_equal(n, 1);
    const struct dz_job_take t = {.owner = DZ_S("me"), .now_ms = 9, .lease_ms = 10};
    const struct dz_job_progress p = {1, 2, 3, DZ_S("saving")};
    struct dz_job_rec j;
    must(dz_catalog_job_take(c, &t, f->a, &j, err));
    assert_int_equal(j.bytes + j.phase.n, 0);
    must(dz_catalog_job_renew(c, j.id, t.owner, 10, 10, &p, err));
    must(dz_catalog_jobs_of(c, DZ_S("crawl"), 9, f->a, &v, &n, err));
    assert_int_equal(n, 1);
    assert_int_equal(v[0].bytes, 3);
    dz_catalog_close(&c);
}

/* A file of number 5 takes collections. */
static void an_old_file_gets_collections(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = declared(PERFVOD);
    struct dz_collection_ensured e;
    enum dz_put_result r;
    make_old(f, 5, "INSERT INTO favourite VALUES (1, 'x', 's', 1)");
    struct dz_catalog *c = open_at(f, "");
    must(dz_catalog_collection_ensure(c, coll, &e, err));
    assert_true(e.created);
    json_t *list = list_of(vod("a", 1, 1, 1));
    must(dz_catalog_collection_put(c, coll, list, false, &r, NULL, err));
    json_decref(list);
    assert_int_equal(r, DZ_PUT_NEW);
    assert_int_equal(ask(c, "SELECT count(*) FROM favourite"), 1);
    dz_catalog_close(&c);
    char copy[128];
    snprintf(copy, sizeof(copy), "%s.before-migration-6", f->path);
    assert_int_equal(access(copy, F_OK), 0);
}

static void a_failing_migration_leaves_the_file_as_it_was(void **state)
{
    struct fixture *f = *state;
    const char *const *list = later();
    later_list[NOW] = "CREATE TABLE later (id INTEGER PRIMARY KEY); INSERT INTO nowhere VALUES (1)";
    struct dz_catalog *c = open_at(f, "");
    put_one(c, "s", "1", 1, 2, 1);
    const char *text = refused(dz_sql_migrate(&self_of(c)->base, list, NOW + 1, err), DZ_INTERNAL);
    assert_non_null(strstr(text, "migration 8: "));
    assert_non_null(strstr(text, "nowhere"));
    assert_int_equal(ask(c, "SELECT max(number) FROM schema_version"), NOW);
    assert_int_equal(ask(c, "SELECT count(*) FROM sqlite_schema WHERE name = 'later'"), 0);
    put_one(c, "s", "2", 2, 2, 1);
    assert_int_equal(chapters_in(f, c), 2);
    dz_catalog_close(&c);
    assert_int_equal(access(f->copy, F_OK), 0);
}

static void without_a_copy_nothing_is_migrated(void **state)
{
    struct fixture *f = *state;
    struct dz_catalog *c = open_at(f, "");
    put_one(c, "s", "1", 1, 2, 1);
    mkdir(f->copy, 0700); /* the copy's name is taken by a folder */
    struct dz_err err = {0};
    assert_int_not_equal(dz_sql_migrate(&self_of(c)->base, later(), LATER, &err), DZ_OK);
    assert_non_null(strstr(err.text, "the copy before migration-8: "));
    assert_int_equal(ask(c, "SELECT max(number) FROM schema_version"), NOW);
    rmdir(f->copy);
    must(dz_sql_migrate(&self_of(c)->base, later(), LATER, err));
    dz_catalog_close(&c);
}

static void what_is_no_catalog_is_refused(void **state)
{
    struct fixture *f = *state;
    struct dz_catalog *c = NULL;
    static char garbage[8192];
    memset(garbage, 'x', sizeof(garbage));
    write_file(f->path, garbage, sizeof(garbage));
    const char *text = refused(dz_catalog_open("sqlite", f->folder, "", &c, err), DZ_CORRUPT);
    assert_non_null(strstr(text, f->path));
    assert_non_null(strstr(text, "not a database"));

    unlink(f->path);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    text = refused(dz_catalog_open("sqlite", f->folder, "", &c, err), DZ_BAD_INPUT);
    assert_non_null(strstr(text, "not one of dozo"));

    unlink(f->path);
    mkdir(f->path, 0700);
    text = refused(dz_catalog_open("sqlite", f->folder, "", &c, err), DZ_IO);
    assert_non_null(strstr(text, f->path));
    rmdir(f->path);
    assert_null(c);
}

static void a_damaged_catalog_says_so(void **state)
{
    struct fixture *f = *state;
    struct dz_catalog *c = open_at(f, "");
    for (unsigned i = 0; i < 20; i++) {
        char key[8];
        snprintf(key, sizeof(key), "%u", i);
        put_one(c, "s", key, i, 60, i * 60);
    }
    dz_catalog_close(&c);
    static char garbage[4096];
    memset(garbage, 0xa5, sizeof(garbage));
    struct stat st;
    int fd = open(f->path, O_WRONLY);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_size > 20 * 4096);
    for (off_t at = 3 * 4096; at < st.st_size; at += 4096) /* all but the schema */
        assert_int_equal(pwrite(fd, garbage, sizeof(garbage), at), sizeof(garbage));
    close(fd);
    struct dz_err err = {0};
    enum dz_code code = dz_catalog_open("sqlite", f->folder, "", &c, &err);
    if (code == DZ_OK) {
        int64_t *ids;
        size_t n;
        struct dz_series_full full;
        code = dz_catalog_series_ids(c, f->a, &ids, &n, &err);
        if (code == DZ_OK)
            code = dz_catalog_load(c, 1, f->a, &full, &err);
    }
    assert_int_equal(code, DZ_CORRUPT);
    assert_non_null(strstr(err.text, f->path));
    assert_non_null(strstr(err.text, "dozo check"));
    dz_catalog_close(&c);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_new_file_needs_no_copy),
        CASE(the_folder_is_made),
        CASE(the_connections_are_strict_and_durable),
        CASE(an_old_file_is_copied_and_migrated),
        CASE(a_file_without_revisions_gets_them),
        CASE(a_file_without_jobs_gets_them),
        CASE(jobs_of_an_old_file_go_on),
        CASE(an_old_file_gets_collections),
        CASE(a_failing_migration_leaves_the_file_as_it_was),
        CASE(without_a_copy_nothing_is_migrated),
        CASE(what_is_no_catalog_is_refused),
        CASE(a_damaged_catalog_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
