/*
 * test_import: what comes into the library and what does not: idempotence, changes, broken pieces,
 * ComicInfo, identity over several given paths, limits, shelves, stopping.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "lab.h"

#define PICTURE(n) {NULL, 0}, (n)
#define END                                                                                        \
    {                                                                                              \
        NULL, {NULL, 0}, 0                                                                         \
    }

static const struct lab_entry two_pages[] = {{"a/2.png", PICTURE(2)}, {"a/1.png", PICTURE(1)}, END};

static bool told(const struct lab *l, const char *text)
{
    return strstr(l->events.p ? l->events.p : "", text) != NULL;
}

/* ---- once and again -------------------------------------------------------------------------- */

static void test_again(void **state)
{
    (void)state;
    struct lab l;
    lab_init(&l, NULL);
    lab_archive(&l, "S/c1.cbz", "zip", two_pages);
    lab_archive(&l, "S/c2.cb7", "7zip", two_pages);
    lab_archive(&l, "S/c3.cbt", "ustar", two_pages);
    lab_png(&l, "S/c4/1.png", 7);
    lab_import(&l, "S", NULL);
    assert_int_equal(l.result.series, 1);
    assert_int_equal(l.result.chapters_new, 4);
    assert_int_equal(l.result.pages, 7);
    assert_int_equal(l.result.errors + l.result.warnings, 0);
    lab_assert_whole(&l);
    uint64_t seq = lab_seq(&l);

    lab_import(&l, "S", NULL);
    assert_int_equal(l.result.chapters_same, 4);
    assert_int_equal(l.result.chapters_new + l.result.chapters_changed + l.result.pages, 0);
    assert_int_equal(lab_seq(&l), seq);

    /* Only the time is new: read again, found equal, and then remembered. */
    lab_touch(&l, "S/c1.cbz", 1000000000);
    lab_touch(&l, "S/c4/1.png", 1000000000);
    lab_import(&l, "S", NULL);
    assert_int_equal(l.result.chapters_same + l.result.chapters_changed, 4);
    lab_reopen(&l);
    seq = lab_seq(&l);
    lab_import(&l, "S", NULL);
    assert_int_equal(l.result.chapters_same, 4);
    assert_int_equal(lab_seq(&l), seq);
    lab_done(&l);
}

static void test_page_order(void **state)
{
    (void)state;
    struct lab l;
    const struct lab_entry e[] = {{"ch2/1.png", PICTURE(4)},       {"ch1/10.png", PICTURE(3)},
                                  {"ch1/9.png", PICTURE(2)},       {"ch1/1.png", PICTURE(1)},
                                  {"ch1 extra/1.png", PICTURE(5)}, END};
    struct dz_series_full full;
    struct dz_arena *a = dz_arena_new(DZ_GIB);
    lab_init(&l, NULL);
    lab_archive(&l, "S/c1.cbz", "zip", e);
    lab_touch(&l, "S/c1.cbz", 1234567890);
    lab_import(&l, "S", NULL);
    lab_series(&l, "S", a, &full);
    static const unsigned want[] = {1, 2, 3, 5, 4};
    assert_int_equal(full.chapters[0].pages_n, DZ_LEN(want));
    for (size_t i = 0; i < DZ_LEN(want); i++) {
        const struct dz_page_rec *p = &full.chapters[0].pages[i];
        struct dz_sha256 sha = dz_sha256_of(lab_picture(want[i]));
        assert_memory_equal(p->blob.sha.b, sha.b, sizeof(sha.b));
        assert_int_equal(p->number, i + 1);
        assert_int_equal(p->mtime_s, 1234567890);
        assert_int_equal(p->blob.width, 8);
        assert_int_equal(p->blob.height, 6);
        assert_true(dz_str_eq(p->blob.mime, DZ_S("image/png")));
    }
    assert_true(dz_str_eq(full.chapters[0].pages[1].name, DZ_S("9.png")));
    dz_arena_free(&a);
    lab_done(&l);
}

static void test_change(void **state)
{
    (void)state;
    struct lab l;
    lab_init(&l, NULL);
    lab_png(&l, "S/Ch 1/1.png", 1);
    lab_png(&l, "S/Ch 2/1.png", 2);
    lab_import(&l, "S", NULL);
    lab_png(&l, "S/Ch 2/2.png", 3);
    lab_import(&l, "S", NULL);
    assert_int_equal(l.result.chapters_same, 1);
    assert_int_equal(l.result.chapters_changed, 1);
    assert_string_equal(lab_listing(&l),
                        "S | Ch 1 | 1 | . | 1 | . | 1\nS | Ch 2 | 2 | . | 2 | . | 2\n");
    lab_assert_whole(&l);
    lab_done(&l);
}

/* ---- one file, many ways to name it ---------------------------------------------------------- */

static void test_same_file_other_path(void **state)
{
    (void)state;
    static const char *const orders[][4] = {
        {"lib", "lib/Box", "lib/Box/My Comic c1.cbz", "lib/Box/c2.cbz"},
        {"lib/Box/My Comic c1.cbz", "lib/Box/c2.cbz", "lib/Box", "lib"},
    };
    for (size_t i = 0; i < DZ_LEN(orders); i++) {
        struct lab l;
        const struct lab_entry other[] = {{"1.png", PICTURE(9)}, END};
        lab_init(&l, NULL);
        lab_archive(&l, "lib/Box/My Comic c1.cbz", "zip", two_pages);
        lab_archive(&l, "lib/Box/c2.cbz", "zip", other);
        lab_png(&l, "lib/Other/1.png", 4);
        lab_png(&l, "lib/Third/1.png", 5);
        for (size_t k = 0; k < DZ_LEN(orders[i]); k++)
            lab_import(&l, orders[i][k], NULL);
        struct dz_catalog_counts counts;
        must(dz_catalog_counts(dz_library_catalog(l.lib), &counts, err));
        assert_int_equal(counts.chapters, 4);
        lab_done(&l);
    }
}

/* A library that moved: same names, other place. */
static void test_moved_folder(void **state)
{
    (void)state;
    struct lab l;
    lab_init(&l, NULL);
    lab_archive(&l, "old/S/c1.cbz", "zip", two_pages);
    lab_import(&l, "old", NULL);
    assert_int_equal(mkdir(lab_path(&l, "new"), 0755), 0);
    assert_int_equal(rename(lab_path(&l, "old/S"), lab_path(&l, "new/S")), 0);
    lab_import(&l, "new", NULL);
    assert_int_equal(l.result.chapters_new, 0);
    assert_string_equal(lab_listing(&l), "S | c1.cbz | 1 | . | 1 | . | 2\n");
    lab_done(&l);
}

/* Two files of one name in one series: copies are one chapter, different ones are two. */
static void test_same_name_twice(void **state)
{
    (void)state;
    struct lab l;
    const struct lab_entry other[] = {{"1.png", PICTURE(9)}, END};
    lab_init(&l, NULL);
    lab_archive(&l, "a/S/c1.cbz", "zip", two_pages);
    lab_archive(&l, "b/S/c1.cbz", "zip", two_pages);
    lab_archive(&l, "c/S/c1.cbz", "zip", other);
    lab_import(&l, "a", NULL);
    lab_import(&l, "b", NULL);
    assert_int_equal(l.result.chapters_same, 1);
    lab_import(&l, "c", NULL);
    assert_int_equal(l.result.chapters_new, 1);
    for (int round = 0; round < 2; round++) {
        uint64_t seq = lab_seq(&l);
        lab_import(&l, "a", NULL);
        lab_import(&l, "b", NULL);
        lab_import(&l, "c", NULL);
        assert_int_equal(l.result.chapters_same, 1);
        assert_int_equal(lab_seq(&l), seq);
    }
    struct dz_catalog_counts counts;
    must(dz_catalog_counts(dz_library_catalog(l.lib), &counts, err));
    assert_int_equal(counts.chapters, 2);
    lab_done(&l);
}

/* --series moves what was imported under another name. */
static void test_rename_series(void **state)
{
    (void)state;
    struct lab l;
    lab_init(&l, NULL);
    lab_archive(&l, "wrong/c1.cbz", "zip", two_pages);
    lab_import(&l, "wrong", NULL);
    lab_import(&l, "wrong", "Right  Name");
    assert_string_equal(lab_listing(&l), "Right  Name | c1.cbz | 1 | . | 1 | . | 2\n");
    struct dz_view *v = dz_library_view(l.lib);
    assert_int_equal(v->series_n, 1); /* the other one is empty now */
    dz_view_unref(&v);
    lab_import(&l, "wrong", "right name");
    assert_int_equal(l.result.chapters_same, 1);
    lab_import(&l, "wrong", NULL);
    assert_int_equal(l.result.chapters_same, 1);
    lab_done(&l);
}

/* ---- broken pieces --------------------------------------------------------------------------- */

static void test_broken(void **state)
{
    (void)state;
    struct lab l;
    DZ_AUTO(dz_freep) char *cut = dz_str_dup(dz_str_sub(lab_picture(3), 0, 60));
    const struct lab_entry mixed[] = {{"1.png", PICTURE(1)},   {"2.png", {"", 0}, 0},
                                      {"3.png", {cut, 60}, 0}, {"4.jpg", {"GIF? no", 7}, 0},
                                      {"5.png", PICTURE(5)},   END};
    const struct lab_entry hopeless[] = {{"1.png", {"", 0}, 0}, END};
    lab_init(&l, NULL);
    lab_archive(&l, "S/c1.cbz", "zip", mixed);
    lab_archive(&l, "S/c2.cbz", "zip", hopeless);
    lab_write(&l, "S/c3.cbz", DZ_S("this is no archive at all"));
    lab_write(&l, "S/c4.cbz", DZ_S(""));
    lab_archive(&l, "S/c5.cbz", "zip", two_pages);
    lab_write(&l, "S/c6/1.png", DZ_S(""));
    lab_png(&l, "S/c6/2.png", 6);
    lab_archive(&l, "S/c7.cbz", "zip", two_pages);
    struct stat st;
    assert_int_equal(stat(lab_path(&l, "S/c7.cbz"), &st), 0);
    assert_int_equal(truncate(lab_path(&l, "S/c7.cbz"), st.st_size / 2), 0);
    lab_import(&l, "S", NULL);
    assert_string_equal(lab_listing(&l),
                        "S | c1.cbz | 1 | . | 1 | . | 2\nS | c5.cbz | 5 | . | 5 | . | 2\n"
                        "S | c6 | 6 | . | 6 | . | 1\n");
    assert_true(told(&l, "error S/c1.cbz: 2.png: empty file"));
    assert_true(told(&l, "error S/c1.cbz: 3.png: "));
    assert_true(told(&l, "error S/c1.cbz: 4.jpg: not an image"));
    assert_true(told(&l, "error S/c2.cbz: none of its pages can be read"));
    assert_true(told(&l, "error S/c3.cbz: "));
    assert_true(told(&l, "error S/c4.cbz: "));
    assert_true(told(&l, "error S/c6: 1.png: empty file"));
    assert_true(told(&l, "error S/c7.cbz: "));
    lab_assert_whole(&l);
    /* Told every time, and nothing moves. */
    uint64_t seq = lab_seq(&l), errors = l.result.errors;
    lab_import(&l, "S", NULL);
    assert_int_equal(l.result.errors, errors);
    assert_int_equal(lab_seq(&l), seq);
    /* A mended file is taken. */
    lab_png(&l, "S/c6/1.png", 8);
    lab_archive(&l, "S/c3.cbz", "zip", two_pages);
    lab_import(&l, "S", NULL);
    assert_int_equal(l.result.chapters_new, 1);
    assert_int_equal(l.result.chapters_changed, 1);
    lab_done(&l);
}

static void test_hostile_names(void **state)
{
    (void)state;
    struct lab l;
    const struct lab_entry e[] = {{"../../evil.png", PICTURE(1)},
                                  {"/abs.png", PICTURE(2)},
                                  {"__MACOSX/x.png", PICTURE(3)},
                                  {".dot.png", PICTURE(4)},
                                  {"日本語/一.png", PICTURE(5)},
                                  {"a b/<&>\".png", PICTURE(6)},
                                  END};
    lab_init(&l, NULL);
    lab_archive(&l, "S/c1.cbz", "zip", e);
    lab_import(&l, "S", NULL);
    assert_int_equal(l.result.chapters_new, 1);
    assert_int_equal(access(lab_path(&l, "evil.png"), F_OK), -1);
    assert_int_equal(access("/abs.png", F_OK), -1);
    lab_assert_whole(&l);
    lab_done(&l);
}

/* An archive that unpacks to far more than it is: nothing of it is kept, the next one is taken. */
static void test_bomb(void **state)
{
    (void)state;
    enum { BYTES = 64 * 1024 * 1024 };
    struct lab l;
    DZ_AUTO(dz_freep) char *zeros = dz_zalloc(BYTES);
    const struct lab_entry e[] = {{"1.png", PICTURE(1)}, {"2.png", {zeros, BYTES}, 0}, END};
    lab_init(&l, NULL);
    lab_archive(&l, "S/c1.cbz", "zip", e);
    lab_archive(&l, "S/c2.cbz", "zip", two_pages);
    lab_import(&l, "S", NULL);
    assert_int_equal(l.result.errors, 1);
    assert_true(told(&l, "error S/c1.cbz: "));
    assert_string_equal(lab_listing(&l), "S | c2.cbz | 2 | . | 2 | . | 2\n");
    lab_done(&l);
}

/* The library's own folder below the given path is left alone. */
static void test_own_data(void **state)
{
    (void)state;
    struct lab l;
    lab_init(&l, NULL);
    lab_png(&l, "data/blobs/00/x.png", 1);
    lab_png(&l, "S/c1/1.png", 2);
    lab_import(&l, ".", NULL);
    assert_string_equal(lab_listing(&l), "S | c1 | 1 | . | 1 | . | 1\n");
    lab_import(&l, "S/c1/1.png", NULL);
    assert_true(told(&l, "error S/c1/1.png: one image is no chapter"));
    lab_done(&l);
}

static void test_name_twice(void **state)
{
    (void)state;
    struct lab l;
    const struct lab_entry e[] = {{"1.png", PICTURE(1)}, {"1.png", PICTURE(2)}, END};
    struct dz_series_full full;
    struct dz_arena *a = dz_arena_new(DZ_GIB);
    lab_init(&l, NULL);
    lab_archive(&l, "S/c1.cbt", "ustar", e);
    lab_import(&l, "S", NULL);
    assert_true(told(&l, "warning S/c1.cbt: 1.png: is there twice"));
    lab_series(&l, "S", a, &full);
    struct dz_sha256 sha = dz_sha256_of(lab_picture(2));
    assert_int_equal(full.chapters[0].pages_n, 1);
    assert_memory_equal(full.chapters[0].pages[0].blob.sha.b, sha.b, sizeof(sha.b));
    dz_arena_free(&a);
    lab_done(&l);
}

/* ---- ComicInfo ------------------------------------------------------------------------------- */

static void test_comicinfo(void **state)
{
    (void)state;
    static const char xml[] =
        "<?xml version=\"1.0\"?><ComicInfo><Series>True Name</Series><Number>010.5</Number>"
        "<Volume>3</Volume><Title>A &amp; B</Title><Summary>Once.</Summary><Writer>Ann</Writer>"
        "<LanguageISO>ja</LanguageISO><Manga>YesAndRightToLeft</Manga></ComicInfo>";
    struct lab l;
    const struct lab_entry root[] = {
        {"1.png", PICTURE(1)}, {"comicinfo.XML", {xml, sizeof(xml) - 1}, 0}, END};
    const struct lab_entry inner[] = {
        {"x/ComicInfo.xml", {xml, sizeof(xml) - 1}, 0}, {"x/1.png", PICTURE(2)}, END};
    const struct lab_entry foreign[] = {{"x/ComicInfo.xml", {xml, sizeof(xml) - 1}, 0},
                                        {"x/1.png", PICTURE(3)},
                                        {"y/1.png", PICTURE(4)},
                                        END};
    const struct lab_entry bad[] = {
        {"ComicInfo.xml", {"<ComicInfo", 10}, 0}, {"1.png", PICTURE(5)}, END};
    struct dz_series_full full;
    struct dz_arena *a = dz_arena_new(DZ_GIB);
    lab_init(&l, NULL);
    lab_archive(&l, "S/c1.cbz", "zip", root);
    lab_archive(&l, "S/c2.cbz", "zip", inner);
    lab_archive(&l, "S/c3.cbz", "zip", foreign);
    lab_archive(&l, "S/c4.cbz", "zip", bad);
    lab_png(&l, "S/c5/1.png", 6);
    lab_write(&l, "S/c5/ComicInfo.xml", (dz_str){xml, sizeof(xml) - 1});
    lab_import(&l, "S", NULL);
    assert_string_equal(lab_listing(&l), "True Name | c1.cbz | 10.5 | 3 | 10.5 | A & B | 1\n"
                                         "True Name | c2.cbz | 10.5_2 | 3 | 10.5 | A & B | 1\n"
                                         "True Name | c5 | 10.5_3 | 3 | 10.5 | A & B | 1\n"
                                         "S | c3.cbz | 3 | . | 3 | . | 2\n"
                                         "S | c4.cbz | 4 | . | 4 | . | 1\n");
    assert_int_equal(l.result.warnings, 1);
    assert_true(told(&l, "warning S/c4.cbz: ComicInfo.xml: "));
    lab_series(&l, "True Name", a, &full);
    assert_true(dz_str_eq(full.series.description, DZ_S("Once.")));
    assert_true(dz_str_eq(full.series.authors, DZ_S("Ann")));
    assert_true(dz_str_eq(full.series.lang, DZ_S("ja")));
    assert_true(full.series.right_to_left);
    uint64_t seq = lab_seq(&l);
    lab_import(&l, "S", NULL);
    assert_int_equal(l.result.chapters_same, 5);
    assert_int_equal(lab_seq(&l), seq);
    /* A single archive by itself is still the same chapter. */
    lab_import(&l, "S/c1.cbz", NULL);
    assert_int_equal(l.result.chapters_same, 1);
    dz_arena_free(&a);
    lab_done(&l);
}

/* ---- many ------------------------------------------------------------------------------------ */

static void test_many_pages(void **state)
{
    (void)state;
    enum { PAGES = 3000 };
    struct lab l;
    lab_init(&l, NULL);
    DZ_AUTO(dz_freep) struct lab_entry *e = dz_zalloc((PAGES + 1) * sizeof(*e));
    char(*names)[16] = dz_zalloc(PAGES * sizeof(*names));
    for (unsigned i = 0; i < PAGES; i++) {
        (void)snprintf(names[i], sizeof(*names), "%u.png", i + 1);
        e[i] = (struct lab_entry){.name = names[i], .seed = i % 100};
    }
    lab_archive(&l, "S/c1.cbz", "zip", e);
    lab_import(&l, "S", NULL);
    assert_int_equal(l.result.pages, PAGES);
    struct dz_catalog_counts counts;
    must(dz_catalog_counts(dz_library_catalog(l.lib), &counts, err));
    assert_int_equal(counts.blobs, 100);
    lab_assert_whole(&l);
    free(names);
    lab_done(&l);
}

static void test_too_many_pages(void **state)
{
    (void)state;
    enum { PAGES = DZ_CHAPTER_PAGES_MAX + 1 };
    struct lab l;
    lab_init(&l, NULL);
    for (unsigned i = 0; i < PAGES; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "S/c1/%u.png", i);
        lab_write(&l, name, DZ_S(""));
    }
    lab_png(&l, "S/c2/1.png", 1);
    lab_import(&l, "S", NULL);
    assert_int_equal(l.result.errors, 1);
    assert_int_equal(l.result.chapters_new, 1);
    assert_true(told(&l, "error S/c1: 20001 images in one folder, 20000 are allowed"));
    lab_done(&l);
}

/* ---- shelves, stopping, locks ---------------------------------------------------------------- */

static void test_shelf(void **state)
{
    (void)state;
    struct lab l;
    lab_init(&l, NULL);
    lab_png(&l, "A/c1/1.png", 1);
    lab_png(&l, "B/c1/1.png", 2);
    DZ_AUTO(dz_freep) char *a = dz_strdup(lab_path(&l, "A"));
    DZ_AUTO(dz_freep) char *b = dz_strdup(lab_path(&l, "B"));
    const char *const both[] = {a, b};
    struct dz_import_options o = {.shelf = "one"};
    must(lab_import_with(&l, both, 1, &o, err));
    struct dz_view *v = dz_library_view(l.lib);
    const struct dz_view_shelf *s = dz_view_shelf_of(v, DZ_S("one"));
    assert_non_null(s);
    assert_non_null(s->snap);
    assert_true(s->snap->has_shelf);
    dz_view_unref(&v);
    uint64_t seq = lab_seq(&l);
    must(lab_import_with(&l, both, 1, &o, err));
    assert_int_equal(lab_seq(&l), seq);
    must(lab_import_with(&l, both, 2, &o, err));
    assert_true(told(&l, "error one: a shelf shows one series, this import has 2"));

    /* What the settings could not name is refused before anything is read. */
    static const char *const bad[] = {"", "Komi", "-x", "_x", "a b", "a/b", "日"};
    struct dz_err err = {0};
    seq = lab_seq(&l);
    lab_png(&l, "A/c2/1.png", 3);
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        o.shelf = bad[i];
        assert_int_equal(lab_import_with(&l, both, 1, &o, &err), DZ_BAD_INPUT);
        assert_non_null(strstr(err.text, "small letters, digits"));
    }
    assert_int_equal(lab_seq(&l), seq);
    lab_done(&l);
}

static void test_stop(void **state)
{
    (void)state;
    struct lab l;
    atomic_bool stop = true;
    lab_init(&l, NULL);
    lab_png(&l, "S/c1/1.png", 1);
    DZ_AUTO(dz_freep) char *a = dz_strdup(lab_path(&l, "S"));
    const char *const paths[] = {a};
    struct dz_import_options o = {.stop = &stop};
    struct dz_err err;
    assert_int_equal(lab_import_with(&l, paths, 1, &o, &err), DZ_CANCELLED);
    assert_string_equal(lab_listing(&l), "");
    stop = false;
    must(lab_import_with(&l, paths, 1, &o, err));
    assert_int_equal(l.result.chapters_new, 1);
    lab_done(&l);
}

/* Two libraries on one folder, as two processes: keys and series made by the other are seen. */
static void test_other_writer(void **state)
{
    (void)state;
    struct lab l;
    struct dz_library *mine, *other = NULL;
    lab_init(&l, NULL);
    lab_png(&l, "x/S/c1/1.png", 1);
    lab_png(&l, "y/S/Ch 1/1.png", 2);
    must(dz_library_open(l.conf, &other, err));
    lab_import(&l, "x", NULL);
    mine = l.lib;
    l.lib = other;
    lab_import(&l, "y", NULL);
    assert_string_equal(lab_listing(&l),
                        "S | c1 | 1 | . | 1 | . | 1\nS | Ch 1 | 1_2 | . | 1 | . | 1\n");
    l.lib = mine;
    dz_library_close(&other);
    lab_done(&l);
}

/* Somebody else takes the key between our look and our batch. */
struct race {
    struct lab *l;
    struct dz_library *other;
    const char *path;
    bool done;
};

static void import_other(void *arg, const struct dz_import_event *e)
{
    struct race *r = arg;
    const char *const paths[] = {r->path};
    struct dz_import_options o = {.series = "S"};
    struct dz_import_result result;
    if (e->kind != DZ_IMPORT_PAGE || r->done)
        return;
    r->done = true;
    must(dz_library_import(r->other, paths, 1, &o, &result, err));
    assert_int_equal(result.chapters_new, 1);
}

static void test_race(void **state)
{
    (void)state;
    struct lab l;
    struct race r = {.l = &l};
    lab_init(&l, NULL);
    lab_png(&l, "x/S/c1/1.png", 1);
    lab_png(&l, "y/S/Ch 1/1.png", 2);
    must(dz_library_open(l.conf, &r.other, err));
    DZ_AUTO(dz_freep) char *x = dz_strdup(lab_path(&l, "x"));
    DZ_AUTO(dz_freep) char *y = dz_strdup(lab_path(&l, "y"));
    r.path = y;
    const char *const paths[] = {x};
    struct dz_import_options o = {.series = "S", .event = import_other, .arg = &r};
    must(dz_library_import(l.lib, paths, 1, &o, &l.result, err));
    assert_int_equal(l.result.chapters_new, 1);
    assert_int_equal(l.result.errors, 0);
    assert_string_equal(lab_listing(&l),
                        "S | Ch 1 | 1 | . | 1 | . | 1\nS | c1 | 1_2 | . | 1 | . | 1\n");
    dz_library_close(&r.other);
    lab_done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_again),          cmocka_unit_test(test_page_order),
        cmocka_unit_test(test_change),         cmocka_unit_test(test_same_file_other_path),
        cmocka_unit_test(test_moved_folder),   cmocka_unit_test(test_same_name_twice),
        cmocka_unit_test(test_rename_series),  cmocka_unit_test(test_broken),
        cmocka_unit_test(test_hostile_names),  cmocka_unit_test(test_name_twice),
        cmocka_unit_test(test_own_data),       cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_comicinfo),      cmocka_unit_test(test_many_pages),
        cmocka_unit_test(test_too_many_pages), cmocka_unit_test(test_shelf),
        cmocka_unit_test(test_stop),           cmocka_unit_test(test_other_writer),
        cmocka_unit_test(test_race),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
