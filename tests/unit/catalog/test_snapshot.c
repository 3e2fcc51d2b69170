/*
 * test_snapshot: the picture of a series: look-ups, file names of the CDN, cover, ownership.
 */
#include "catalog/test_records.h"

#include <pthread.h>

/* Chapters 407 (pages 1..12 and 100), 207.5 (one png page), 9 (pages 2 and 5); assets beside them.
 */
static struct dz_snapshot *make(void)
{
    static struct dz_page_rec many[64], png[64], gaps[64];
    pages_of(many, 13, 1);
    many[12].number = 100;
    pages_of(png, 1, 50);
    png[0].blob.mime = DZ_S("image/png");
    png[0].blob.width = 70000;
    pages_of(gaps, 2, 60);
    gaps[0].number = 2;
    gaps[1].number = 5;
    gaps[1].blob.mime = DZ_S("x/odd");
    struct dz_chapter_rec chapters[] = {
        chapter_of("407", 407, many, 13),
        chapter_of("207.5", 207.5, png, 1),
        chapter_of("9", 9, gaps, 2),
        chapter_of("0", 0, NULL, 0),
    };
    for (size_t i = 0; i < DZ_LEN(chapters); i++)
        chapters[i].id = (int64_t)i + 100;
    struct dz_asset_rec assets[] = {
        {.name = DZ_S("407-01.jpg"), .blob = blob_of(90)}, /* a page of that name wins */
        {.name = DZ_S("407-zz.jpg"), .blob = blob_of(91)},
        {.name = DZ_S("999-01.jpg"), .blob = blob_of(92)},
        {.name = DZ_S("sub/a.jpg"), .blob = blob_of(93)},
        {.name = DZ_S("vol10.jpg"), .blob = blob_of(94)},
        {.name = DZ_S("vol11.txt"), .blob = blob_of(95)},
        {.name = DZ_S("vol9.jpg"), .blob = blob_of(96)},
        {.name = DZ_S("volume.jpg"), .blob = blob_of(97)},
    };
    assets[5].blob.mime = DZ_S("text/plain");
    struct dz_series_full full = {.series = series_of("komi"),
                                  .chapters = chapters,
                                  .chapters_n = DZ_LEN(chapters),
                                  .assets = assets,
                                  .assets_n = DZ_LEN(assets)};
    struct dz_snapshot *s = NULL;
    must(dz_snapshot_build(&full, false, NULL, 0, &s, err));
    return s;
}

static void look_ups(void **state)
{
    (void)state;
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s = make();
    assert_int_equal(sizeof(struct dz_snap_page), 64);
    assert_int_equal(s->chapters_n, 4);
    assert_int_equal(s->pages_n, 16);
    assert_ptr_equal(dz_snapshot_chapter(s, DZ_S("207.5")), &s->chapters[1]);
    assert_null(dz_snapshot_chapter(s, DZ_S("207")));
    assert_null(dz_snapshot_chapter(s, DZ_S("")));
    assert_ptr_equal(dz_snapshot_chapter_by_id(s, 102), &s->chapters[2]);
    assert_null(dz_snapshot_chapter_by_id(s, 4));
    const struct dz_snap_chapter *c = &s->chapters[0], *gaps = &s->chapters[2];
    for (uint32_t n = 1; n <= 12; n++)
        assert_int_equal(dz_snapshot_page(c, n)->number, n);
    assert_int_equal(dz_snapshot_page(c, 100)->number, 100);
    assert_null(dz_snapshot_page(c, 0));
    assert_null(dz_snapshot_page(c, 13));
    assert_null(dz_snapshot_page(c, UINT32_MAX));
    assert_int_equal(dz_snapshot_page(gaps, 2)->number, 2);
    assert_int_equal(dz_snapshot_page(gaps, 5)->number, 5);
    assert_null(dz_snapshot_page(gaps, 1));
    assert_null(dz_snapshot_page(gaps, 3));
    assert_null(dz_snapshot_page(&s->chapters[3], 1));
    assert_string_equal(s->chapters[1].pages[0].mime, "image/png");
    assert_string_equal(gaps->pages[1].mime, "x/odd");
    assert_int_equal(s->chapters[1].pages[0].width, 65535);
    assert_int_equal(c->pages[3].bytes, 1004);
    assert_true(c->title_null);
}

static void every_file_has_its_own_index(void **state)
{
    (void)state;
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s = make();
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *t = make();
    bool seen[64] = {false};
    for (size_t i = 0; i < s->chapters_n; i++)
        for (size_t k = 0; k < s->chapters[i].pages_n; k++) {
            uint32_t at = s->chapters[i].pages[k].index;
            assert_true(at < 24 && !seen[at]);
            seen[at] = true;
        }
    for (size_t i = 0; i < s->assets_n; i++) {
        assert_true(s->assets[i].file.index < 24 && !seen[s->assets[i].file.index]);
        seen[s->assets[i].file.index] = true;
    }
    assert_true(s->serial != t->serial);
}

static void names_of_the_cdn(void **state)
{
    (void)state;
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s = make();
    static const struct {
        const char *name;
        uint64_t blob;       /* 0: unknown */
        const char *chapter; /* NULL: none */
    } cases[] = {
        {"407-01.jpg", 1, "407"},
        {"407-12.jpg", 12, "407"},
        {"407-100.jpg", 13, "407"},
        {"407-1.jpg", 0, NULL},
        {"407-001.jpg", 0, NULL},
        {"407-012.jpg", 0, NULL},
        {"407-0100.jpg", 0, NULL},
        {"407-00.jpg", 0, NULL},
        {"407-13.jpg", 0, NULL},
        {"407-99999999999.jpg", 0, NULL},
        {"407-4294967297.jpg", 0, NULL},
        {"407-01.JPG", 0, NULL},
        {"407-01.jpeg", 0, NULL},
        {"407-01.png", 0, NULL},
        {"407-01.jpg.jpg", 0, NULL},
        {"407-01", 0, NULL},
        {"407-01.", 0, NULL},
        {"407-.jpg", 0, NULL},
        {"407-+1.jpg", 0, NULL},
        {"407- 1.jpg", 0, NULL},
        {"407--01.jpg", 0, NULL},
        {"407-01/x.jpg", 0, NULL},
        {"-01.jpg", 0, NULL},
        {"-", 0, NULL},
        {"", 0, NULL},
        {"207.5-01.jpg", 50, "207.5"},
        {"207.5-01.png", 50, "207.5"},
        {"207.5-01.gif", 0, NULL},
        {"9-02.jpg", 60, "9"},
        {"9-05.jpg", 61, "9"},
        {"9-05.odd", 0, NULL},
        {"9-01.jpg", 0, NULL},
        {"407-zz.jpg", 91, "407"},
        {"999-01.jpg", 92, NULL},
        {"sub/a.jpg", 93, NULL},
        {"a.jpg", 0, NULL},
        {"vol10.jpg", 94, NULL},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        const struct dz_snap_chapter *untouched = &s->chapters[3], *c = untouched;
        const struct dz_snap_page *p = dz_snapshot_cdn(s, dz_str_of(cases[i].name), &c);
        struct dz_sha256 want = blob_of(cases[i].blob).sha;
        if ((p != NULL) != (cases[i].blob != 0))
            fail_msg("%s is %s", cases[i].name, p ? "there" : "not there");
        if (!p) {
            assert_ptr_equal(c, untouched);
            continue;
        }
        if (memcmp(&p->sha, &want, sizeof(want)) != 0)
            fail_msg("%s is another file", cases[i].name);
        if (cases[i].chapter ? !c || !dz_str_eq(c->key, dz_str_of(cases[i].chapter)) : c != NULL)
            fail_msg("%s is of another chapter", cases[i].name);
        assert_ptr_equal(dz_snapshot_cdn(s, dz_str_of(cases[i].name), NULL), p);
    }
}

static void the_cover_is_that_of_the_newest_volume(void **state)
{
    (void)state;
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s = make();
    assert_ptr_equal(s->cover, &dz_snapshot_asset(s, DZ_S("vol10.jpg"))->file);

    /* Without covers: the first page of the first chapter that has one. */
    struct dz_page_rec v[64], w[64];
    struct dz_chapter_rec chapters[] = {chapter_of("2", 2, pages_of(v, 2, 1), 2),
                                        chapter_of("1", 1, pages_of(w, 2, 10), 2),
                                        chapter_of("0", 0, NULL, 0)};
    struct dz_series_full full = {.chapters = chapters, .chapters_n = 3};
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *t = NULL;
    must(dz_snapshot_build(&full, false, NULL, 0, &t, err));
    assert_ptr_equal(t->cover, &t->chapters[1].pages[0]);

    full.chapters_n = 0;
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *none = NULL;
    must(dz_snapshot_build(&full, false, NULL, 0, &none, err));
    assert_null(none->cover);
    assert_null(dz_snapshot_cdn(none, DZ_S("1-01.jpg"), NULL));
}

static void nothing_is_borrowed(void **state)
{
    (void)state;
    struct dz_snapshot *s = NULL;
    {
        char *key = dz_strdup("12"), *title = dz_strdup("a title"), *mime = dz_strdup("x/y");
        struct dz_page_rec *pages = dz_alloc(sizeof(*pages));
        *pages = (struct dz_page_rec){.number = 1, .blob = blob_of(1)};
        pages->blob.mime = dz_str_of(mime);
        struct dz_chapter_rec c = chapter_of(key, 12, pages, 1);
        c.title = dz_str_of(title);
        struct dz_series_full full = {.series = series_of(title), .chapters = &c, .chapters_n = 1};
        must(dz_snapshot_build(&full, true, NULL, 0, &s, err));
        free(key);
        free(title);
        free(mime);
        free(pages);
    }
    assert_non_null(dz_snapshot_cdn(s, DZ_S("12-01.jpg"), NULL));
    assert_string_equal(s->chapters[0].pages[0].mime, "x/y");
    assert_true(dz_str_eq(s->chapters[0].title, DZ_S("a title")));
    assert_true(dz_str_eq(s->series.title, DZ_S("a title")));
    dz_snapshot_unref(&s);
    assert_null(s);
    dz_snapshot_unref(&s);
}

static void *hold_and_drop(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        struct dz_snapshot *s = dz_snapshot_ref(arg);
        assert_non_null(dz_snapshot_cdn(s, DZ_S("407-01.jpg"), NULL));
        dz_snapshot_unref(&s);
    }
    return NULL;
}

static void threads_share_one(void **state)
{
    (void)state;
    struct dz_snapshot *s = make();
    pthread_t t[4];
    for (size_t i = 0; i < DZ_LEN(t); i++)
        assert_int_equal(pthread_create(&t[i], NULL, hold_and_drop, s), 0);
    for (size_t i = 0; i < DZ_LEN(t); i++)
        pthread_join(t[i], NULL);
    assert_int_equal(atomic_load(&s->refs), 1);
    dz_snapshot_unref(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(look_ups),
        cmocka_unit_test(every_file_has_its_own_index),
        cmocka_unit_test(names_of_the_cdn),
        cmocka_unit_test(the_cover_is_that_of_the_newest_volume),
        cmocka_unit_test(nothing_is_borrowed),
        cmocka_unit_test(threads_share_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
