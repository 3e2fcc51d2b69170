/*
 * test_verify: planted faults are found, counts are mended, and what cannot be mended is still told
 * afterwards.
 */
#include "catalog/sqlite_int.h"
#include "catalog/test_records.h"

#include <fcntl.h>

struct fixture {
    char folder[64];
    struct dz_catalog *c;
    int64_t series_id;
    struct dz_buf lines;
};

static int set_up(void **state)
{
    struct fixture *f = dz_new(struct fixture);
    make_folder(f->folder);
    dz_buf_init(&f->lines, DZ_MIB);
    must(dz_catalog_open("sqlite", f->folder, "", &f->c, err));
    f->series_id = put_one(f->c, "s", "1", 1, 3, 1);
    put_one(f->c, "s", "2", 2, 3, 2);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    dz_catalog_close(&f->c);
    drop_folder(f->folder);
    dz_buf_done(&f->lines);
    free(f);
    return 0;
}

static void plant(struct fixture *f, const char *sql)
{
    char path[96], *text = NULL;
    sqlite3 *db = NULL;
    snprintf(path, sizeof(path), "%s/dozo.db", f->folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
        fail_msg("%s: %s", sql, text);
    sqlite3_close(db);
}

static void note(void *arg, const char *text)
{
    struct fixture *f = arg;
    dz_buf_put(&f->lines, dz_str_of(text));
    dz_buf_putc(&f->lines, '\n');
}

/* Problems left; the lines of this run only are in f->lines. */
static uint64_t verify(struct fixture *f, bool repair)
{
    uint64_t left;
    dz_buf_clear(&f->lines);
    must(dz_catalog_verify(f->c, repair, note, f, &left, err));
    return left;
}

static void assert_said(struct fixture *f, const char *what)
{
    if (!strstr(dz_buf_cstr(&f->lines), what))
        fail_msg("\"%s\" is not in:\n%s", what, dz_buf_cstr(&f->lines));
}

static void a_sound_catalog_is_silent(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(verify(f, false), 0);
    assert_int_equal(verify(f, true), 0);
    assert_int_equal(f->lines.n, 0);
}

static void wrong_counts_are_mended(void **state)
{
    struct fixture *f = *state;
    plant(f, "UPDATE blob SET refs = 9 WHERE id = 1; UPDATE blob SET refs = 0 WHERE id = 2; "
             "UPDATE series SET chapters_n = 5");
    assert_int_equal(verify(f, false), 3);
    assert_said(f, "is counted 9 times and used 1 times\n");
    assert_said(f, "is counted 0 times and used 2 times\n");
    assert_said(f, "series \"s\" counts 5 chapters and has 2\n");
    assert_int_equal(verify(f, true), 0);
    assert_said(f, "is counted 9 times and used 1 times: mended\n");
    assert_said(f, "series \"s\" counts 5 chapters and has 2: mended\n");
    assert_int_equal(verify(f, false), 0);
    assert_int_equal(f->lines.n, 0);
    put_one(f->c, "s", "2", 2, 1, 9);
    assert_int_equal(verify(f, false), 0);
}

static void parts_are_counted(void **state)
{
    struct fixture *f = *state;
    struct dz_part_rec p = {.url = DZ_S("u"), .blob = blob_of(1)};
    must(dz_catalog_part_put(f->c, DZ_S("x"), DZ_S("1"), &p, 1, err));
    assert_int_equal(verify(f, false), 0);
    plant(f, "UPDATE blob SET refs = 1");
    assert_true(verify(f, false) > 0);
    assert_said(f, "is counted 1 times and used 2 times\n");
    assert_int_equal(verify(f, true), 0);
    plant(f, "DELETE FROM part");
    assert_int_equal(verify(f, false), 1);
    assert_said(f, "is counted 2 times and used 1 times\n");
}

static void a_count_that_is_too_low_points_at_the_check(void **state)
{
    struct fixture *f = *state;
    struct dz_batch *b = NULL;
    struct dz_page_rec v[64];
    int64_t id;
    bool changed;
    plant(f, "UPDATE blob SET refs = 0");
    struct dz_chapter_rec ch = chapter_of("1", 1, pages_of(v, 1, 1), 1);
    must(dz_batch_begin(f->c, &b, err));
    const char *text =
        refused(dz_batch_chapter(b, f->series_id, &ch, &id, &changed, err), DZ_CORRUPT);
    assert_non_null(strstr(text, "dozo check"));
    dz_batch_rollback(&b);
    /* A blob that is in use is not dropped, whatever its count says. */
    struct dz_sha256 sha = blob_of(1).sha;
    must(dz_batch_begin(f->c, &b, err));
    refused(dz_batch_blob_drop(b, &sha, err), DZ_CONFLICT);
    must(dz_batch_commit(&b, NULL, err));
    assert_int_equal(verify(f, true), 0);
}

static void lost_rows_stay_a_problem(void **state)
{
    struct fixture *f = *state;
    plant(f, "PRAGMA foreign_keys = OFF; DELETE FROM blob WHERE id = 1");
    assert_int_equal(verify(f, false), 1);
    assert_said(f, "a row of page refers to a row of blob that is not there\n");
    assert_int_equal(verify(f, true), 1);
}

static void a_damaged_index_is_found(void **state)
{
    struct fixture *f = *state;
    dz_catalog_close(&f->c);
    /* The index keeps its sequence numbers, but is said to hold series ids. */
    plant(f, "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = "
             "'CREATE INDEX change_seq ON change (series_id)' WHERE name = 'change_seq'");
    must(dz_catalog_open("sqlite", f->folder, "", &f->c, err));
    assert_true(verify(f, true) > 0);
    assert_said(f, "database integrity: ");
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_sound_catalog_is_silent), CASE(wrong_counts_are_mended),
        CASE(parts_are_counted),         CASE(a_count_that_is_too_low_points_at_the_check),
        CASE(lost_rows_stay_a_problem),  CASE(a_damaged_index_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
