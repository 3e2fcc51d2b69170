/*
 * test_check: every kind of damage planted in a real library, found, told with its place, and
 * repaired.
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab.h"

#include "library/library_int.h"

struct findings {
    struct dz_buf lines; /* "TEXT" or "repaired: TEXT" */
    uint64_t last_done, last_total;
};

static void on_problem(void *arg, bool repaired, const char *text)
{
    struct findings *f = arg;
    if (repaired)
        dz_buf_put(&f->lines, DZ_S("repaired: "));
    dz_buf_put(&f->lines, dz_str_of(text));
    dz_buf_putc(&f->lines, '\n');
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct findings *f = arg;
    assert_true(done <= total);
    f->last_done = done;
    f->last_total = total;
}

static struct dz_check_result check(struct lab *l, struct findings *f, bool repair, bool digests)
{
    struct dz_check_options o = {.repair = repair,
                                 .digests = digests,
                                 .problem = on_problem,
                                 .progress = on_progress,
                                 .arg = f};
    struct dz_check_result r = {0};
    dz_buf_clear(&f->lines);
    must(dz_library_check(l->lib, &o, &r, err));
    (void)dz_buf_cstr(&f->lines);
    return r;
}

static void fill(struct lab *l, struct findings *f)
{
    static const char json[] = "{\"1\": {\"metadata\": {\"title\": null, \"page_count\": 1,"
                               " \"volume\": null, \"volume_cover\": false}}}";
    const struct dz_import_options o = {.shelf = "komi"};
    *f = (struct findings){.last_done = 0};
    dz_buf_init(&f->lines, DZ_MIB);
    lab_init(l, NULL);
    lab_png(l, "S/Ch 1/1.png", 1);
    lab_png(l, "S/Ch 1/2.png", 2);
    lab_png(l, "S/Ch 2/1.png", 3);
    lab_png(l, "S/Ch 2/2.png", 1); /* shared */
    lab_png(l, "cdn/1-01.png", 4);
    lab_png(l, "cdn/vol1.png", 5);
    lab_write(l, "chapters.json", dz_str_of(json));
    lab_import(l, "S", NULL);
    must(lab_komizip(l, "chapters.json", "cdn", &o, err));
}

static void empty(struct lab *l, struct findings *f)
{
    dz_buf_done(&f->lines);
    lab_done(l);
}

/* The blob's file, below data/. */
static const char *blob_name(unsigned seed)
{
    static char name[128];
    struct dz_sha256 sha = dz_sha256_of(lab_picture(seed));
    char hex[64];
    dz_hex(sha.b, 32, hex);
    (void)snprintf(name, sizeof(name), "data/blobs/%.2s/%.62s", hex, hex + 2);
    return name;
}

static void sql(struct lab *l, const char *text)
{
    sqlite3 *db = NULL;
    char *words = NULL;
    assert_int_equal(sqlite3_open(lab_path(l, "data/dozo.db"), &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &words) != SQLITE_OK)
        fail_msg("%s: %s", text, words);
    sqlite3_close(db);
}

static bool said(const struct findings *f, const char *text)
{
    return strstr(f->lines.p, text) != NULL;
}

static void assert_clean(struct lab *l, struct findings *f)
{
    struct dz_check_result r = check(l, f, false, true);
    if (r.problems != 0 || r.leftovers != 0)
        fail_msg("%llu leftovers, %s", (unsigned long long)r.leftovers, f->lines.p);
    lab_assert_whole(l);
}

static void test_clean(void **state)
{
    (void)state;
    struct lab l;
    struct findings f;
    fill(&l, &f);
    struct dz_check_result r = check(&l, &f, false, false);
    assert_int_equal(r.problems, 0);
    assert_int_equal(r.leftovers, 0);
    assert_int_equal(r.blobs, 5);
    assert_int_equal(f.last_done, 5);
    assert_int_equal(f.last_total, 5);
    r = check(&l, &f, true, true);
    assert_int_equal(r.problems, 0);
    assert_clean(&l, &f);
    empty(&l, &f);
}

/* A lost, a cut and a damaged blob; each used by a page, one by two, one by an asset. */
static void test_bytes(void **state)
{
    (void)state;
    struct lab l;
    struct findings f;
    fill(&l, &f);
    assert_int_equal(unlink(lab_path(&l, blob_name(1))), 0);
    assert_int_equal(truncate(lab_path(&l, blob_name(2)), 10), 0);
    lab_write(&l, blob_name(3), DZ_S("rotten"));
    assert_int_equal(truncate(lab_path(&l, blob_name(3)), (off_t)lab_picture(3).n), 0);
    assert_int_equal(unlink(lab_path(&l, blob_name(5))), 0);

    struct dz_check_result r = check(&l, &f, false, false);
    assert_int_equal(r.problems, 4); /* a wrong digest is not looked for */
    assert_int_equal(r.repaired, 0);
    r = check(&l, &f, false, true);
    assert_int_equal(r.problems, 5);
    assert_true(said(&f, "series \"S\", chapter 1, page 1 (1.png): its bytes are not in the store; "
                         "import or crawl the chapter again from "));
    assert_true(said(&f, "chapter 1, page 2 (2.png): its bytes in the store have another size"));
    assert_true(said(&f, "chapter 2, page 1 (1.png): its bytes in the store are damaged"));
    assert_true(said(&f, "chapter 2, page 2 (2.png): its bytes are not in the store"));
    assert_true(said(&f, "series \"komi\", file vol1.png: its bytes are not in the store"));

    r = check(&l, &f, true, true);
    assert_int_equal(r.problems, 5);
    assert_int_equal(r.repaired, 5);
    assert_clean(&l, &f);
    struct dz_catalog_counts counts;
    must(dz_catalog_counts(dz_library_catalog(l.lib), &counts, err));
    assert_int_equal(counts.pages, 1);
    assert_int_equal(counts.assets, 0);
    /* The damaged bytes are still there for people. */
    char name[160];
    dz_str path = dz_str_of(blob_name(3));
    (void)snprintf(name, sizeof(name), "data/damaged/%.2s%.62s", path.p + path.n - 65,
                   path.p + path.n - 62);
    struct stat st;
    assert_int_equal(stat(lab_path(&l, name), &st), 0);
    assert_int_equal(st.st_size, lab_picture(3).n);

    /* And the next import brings all of it back. */
    const struct dz_import_options o = {.shelf = "komi"};
    lab_import(&l, "S", NULL);
    assert_int_equal(l.result.chapters_changed, 2);
    must(lab_komizip(&l, "chapters.json", "cdn", &o, err));
    assert_int_equal(l.result.assets, 1);
    must(dz_catalog_counts(dz_library_catalog(l.lib), &counts, err));
    assert_int_equal(counts.pages, 5);
    lab_reopen(&l);
    assert_clean(&l, &f);
    empty(&l, &f);
}

/* How many blobs of fill a check reads up to this one, in the order of digests. */
static unsigned rank_of(const struct lab *l, unsigned seed)
{
    struct dz_sha256 own = dz_sha256_of(lab_picture(seed));
    unsigned rank = 0;
    for (unsigned other = 1; other <= 5; other++) {
        struct stat st;
        dz_str bytes = lab_picture(other);
        struct dz_sha256 sha = dz_sha256_of(bytes);
        bool is_read =
            stat(lab_path(l, blob_name(other)), &st) == 0 && st.st_size == (off_t)bytes.n;
        rank += is_read && memcmp(sha.b, own.b, sizeof(own.b)) <= 0;
    }
    return rank;
}

/* A check during which one blob cannot be read. */
static struct dz_check_result check_faulty(struct lab *l, struct findings *f, unsigned seed)
{
    char uri[32];
    (void)snprintf(uri, sizeof(uri), "files?get=%u", rank_of(l, seed));
    struct dz_store *whole = l->lib->store, *faulty = NULL;
    must(dz_store_open_with(&dz_store_fault, l->conf->data_dir, uri, &faulty, err));
    l->lib->store = faulty;
    struct dz_check_result r = check(l, f, true, true);
    l->lib->store = whole;
    dz_store_close(&faulty);
    return r;
}

static uint64_t pages_of(struct lab *l)
{
    struct dz_catalog_counts counts;
    must(dz_catalog_counts(dz_library_catalog(l->lib), &counts, err));
    return counts.pages;
}

/* What the disk does not give out now may be whole: a repair tells it and keeps its hands off. */
static void test_unreadable(void **state)
{
    (void)state;
    struct lab l;
    struct findings f;
    fill(&l, &f);
    struct dz_check_result r = check_faulty(&l, &f, 1);
    assert_int_equal(r.problems, 2); /* two pages share it */
    assert_int_equal(r.repaired, 0);
    assert_true(said(&f, "chapter 1, page 1 (1.png): its bytes cannot be read: fault: get "));
    assert_true(said(&f, "chapter 2, page 2 (2.png): its bytes cannot be read: fault: get "));
    assert_int_equal(access(lab_path(&l, blob_name(1)), F_OK), 0);
    assert_int_equal(access(lab_path(&l, "data/damaged"), F_OK), -1);
    assert_int_equal(pages_of(&l), 5);
    r = check_faulty(&l, &f, 5); /* an asset's */
    assert_int_equal(r.problems, 1);
    assert_int_equal(r.repaired, 0);
    assert_true(said(&f, "file vol1.png: its bytes cannot be read: fault: get "));
    assert_clean(&l, &f);

    /* Beside it in the same chapter a page that is damaged: only that one is taken out. */
    lab_write(&l, blob_name(2), DZ_S("rotten"));
    r = check_faulty(&l, &f, 1);
    assert_int_equal(r.problems, 3);
    assert_int_equal(r.repaired, 1);
    assert_int_equal(pages_of(&l), 4);
    lab_reopen(&l);
    assert_clean(&l, &f);
    empty(&l, &f);
}

/* Damaged bytes that cannot be moved are not deleted. */
static void test_cannot_set_aside(void **state)
{
    (void)state;
    struct lab l;
    struct findings f;
    fill(&l, &f);
    lab_write(&l, blob_name(3), DZ_S("rotten"));
    lab_write(&l, "data/damaged", DZ_S("in the way"));
    struct dz_check_result r = check(&l, &f, true, true);
    assert_int_equal(r.problems, 2);
    assert_int_equal(r.repaired, 1);
    assert_true(said(&f, "damaged bytes stay in the store: "));
    assert_true(said(&f, "/data/damaged: Not a directory"));
    assert_int_equal(access(lab_path(&l, blob_name(3)), F_OK), 0);
    lab_remove(&l, "data/damaged");
    r = check(&l, &f, true, true);
    assert_int_equal(r.problems, 0);
    assert_int_equal(access(lab_path(&l, blob_name(3)), F_OK), -1);
    lab_reopen(&l);
    assert_clean(&l, &f);
    empty(&l, &f);
}

/* A link in a blob's place is never followed, but what it points to may be the bytes. */
static void test_link_in_place(void **state)
{
    (void)state;
    struct lab l;
    struct findings f;
    fill(&l, &f);
    lab_write(&l, "elsewhere.png", lab_picture(3));
    assert_int_equal(unlink(lab_path(&l, blob_name(3))), 0);
    assert_int_equal(symlink(lab_path(&l, "elsewhere.png"), lab_path(&l, blob_name(3))), 0);
    struct dz_check_result r = check(&l, &f, true, true);
    assert_int_equal(r.problems, 1);
    assert_int_equal(r.repaired, 0);
    assert_true(said(&f, "its bytes cannot be read: "));
    assert_true(said(&f, "is not a file"));
    assert_int_equal(pages_of(&l), 5);
    empty(&l, &f);
}

static void test_leftovers(void **state)
{
    (void)state;
    struct lab l;
    struct findings f;
    struct dz_blob_stat stat_;
    fill(&l, &f);
    must(dz_store_put_bytes(dz_library_store(l.lib), lab_picture(50), &stat_, err));
    /* A row that nothing names: a chapter that got other pages. */
    lab_png(&l, "S/Ch 1/2.png", 51);
    lab_import(&l, "S", NULL);
    struct dz_check_result r = check(&l, &f, false, true);
    assert_int_equal(r.problems, 0);
    assert_int_equal(r.leftovers, 2);
    r = check(&l, &f, true, true);
    assert_int_equal(r.problems, 0);
    assert_int_equal(r.leftovers, 2);
    assert_int_equal(access(lab_path(&l, blob_name(50)), F_OK), -1);
    assert_int_equal(access(lab_path(&l, blob_name(2)), F_OK), -1);
    assert_clean(&l, &f);
    empty(&l, &f);
}

/* Pages of a chapter under way are no leftovers, and one that was lost is fetched again. */
static void test_parts(void **state)
{
    (void)state;
    struct lab l;
    struct findings f;
    struct dz_blob_stat stat_;
    struct dz_part_rec v[3] = {{.at = 0}, {.at = 1}, {.at = 2}}; /* the last: left out */
    fill(&l, &f);
    for (unsigned i = 0; i < 2; i++) {
        must(dz_store_put_bytes(dz_library_store(l.lib), lab_picture(60 + i), &stat_, err));
        v[i].blob.sha = dz_sha256_of(lab_picture(60 + i));
        v[i].blob.bytes = lab_picture(60 + i).n;
        v[i].blob.mime = DZ_S("image/png");
    }
    must(dz_catalog_part_put(dz_library_catalog(l.lib), DZ_S("x.com"), DZ_S("c9"), v, 3, err));
    struct dz_check_result r = check(&l, &f, true, true);
    assert_int_equal(r.problems + r.leftovers, 0);
    assert_int_equal(access(lab_path(&l, blob_name(61)), F_OK), 0);

    lab_remove(&l, blob_name(61));
    r = check(&l, &f, false, true);
    assert_int_equal(r.problems, 1);
    assert_true(said(&f, "source x.com, unfinished chapter c9, place 1: its bytes are not in the "
                         "store; the next crawl fetches it again"));
    r = check(&l, &f, true, true);
    assert_int_equal(r.problems, 1);
    assert_int_equal(r.repaired, 1);
    assert_clean(&l, &f);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_part_rec *left;
    size_t n;
    must(dz_catalog_parts(dz_library_catalog(l.lib), DZ_S("x.com"), DZ_S("c9"), a, &left, &n, err));
    assert_int_equal(n, 2);
    assert_int_equal(left[1].at, 2);
    empty(&l, &f);
}

static void test_counts(void **state)
{
    (void)state;
    struct lab l;
    struct findings f;
    fill(&l, &f);
    sql(&l, "UPDATE blob SET refs = refs + 5 WHERE id = 1");
    struct dz_check_result r = check(&l, &f, false, false);
    assert_int_equal(r.problems, 1);
    assert_true(said(&f, "is counted"));
    r = check(&l, &f, true, false);
    assert_int_equal(r.problems, 1);
    assert_int_equal(r.repaired, 1);
    assert_true(said(&f, "repaired: blob "));
    assert_clean(&l, &f);
    empty(&l, &f);
}

/* A count that is too low must not cost bytes that are used. */
static void test_count_too_low(void **state)
{
    (void)state;
    struct lab l;
    struct findings f;
    fill(&l, &f);
    sql(&l, "UPDATE blob SET refs = 0");
    struct dz_check_result r = check(&l, &f, true, false);
    assert_int_equal(r.problems, 5);
    assert_int_equal(r.repaired, 5);
    assert_int_equal(r.leftovers, 0);
    assert_clean(&l, &f);
    empty(&l, &f);
}

/* The catalog is wrong about the size, the bytes are right: they are kept. */
static void test_wrong_row(void **state)
{
    (void)state;
    struct lab l;
    struct findings f;
    fill(&l, &f);
    sql(&l, "UPDATE blob SET bytes = bytes + 1 WHERE id = 1");
    struct dz_check_result r = check(&l, &f, true, true);
    assert_true(r.problems > 0);
    assert_int_equal(r.repaired, r.problems);
    assert_clean(&l, &f);
    lab_import(&l, "S", NULL);
    assert_int_equal(l.result.errors, 0);
    assert_clean(&l, &f);
    empty(&l, &f);
}

static void test_lock(void **state)
{
    (void)state;
    struct lab l;
    struct findings f;
    fill(&l, &f);
    int fd = open(lab_path(&l, "data/run/import.lock"), O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_SH), 0); /* an import runs */
    struct dz_check_options o = {.repair = true};
    struct dz_check_result r;
    struct dz_err err = {0};
    assert_int_equal(dz_library_check(l.lib, &o, &r, &err), DZ_UNAVAILABLE);
    assert_non_null(strstr(err.text, "an import or a crawl of the library runs"));
    (void)check(&l, &f, false, false);       /* looking is allowed */
    lab_import(&l, "S", NULL);               /* so is another import */
    assert_int_equal(flock(fd, LOCK_EX), 0); /* a repair runs */
    const struct dz_import_options io = {.shelf = "komi"};
    assert_int_equal(lab_komizip(&l, "chapters.json", "cdn", &io, &err), DZ_UNAVAILABLE);
    close(fd);
    empty(&l, &f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_leftovers),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_count_too_low),
        cmocka_unit_test(test_wrong_row),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_link_in_place),
        cmocka_unit_test(test_cannot_set_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
