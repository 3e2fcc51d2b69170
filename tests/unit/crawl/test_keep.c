/*
 * keep: one suite for every place that pages are kept in: what was synced is found again, in its
 * place and under a new address of the same file, and what is damaged or gone is not.
 */
#include "rig.h"

#include "crawl/keep_int.h"

#include <stdlib.h>
#include <unistd.h>

#define URL "https://a.example/x/"

struct kind {
    const char *name;
    struct crawl_keeper *(*open)(void);
    /* Takes the bytes of a kept page away. */
    void (*lose)(const struct crawl_kept *page);
};

static struct crawl_env env;
static char pages_dir[128], journal[128];

/* ---- the places ------------------------------------------------------------------------------ */

static struct crawl_keeper *open_store(void)
{
    return crawl_keep_store(&env, DZ_S("s"), DZ_S("c"));
}

static void lose_blob(const struct crawl_kept *page)
{
    must(dz_store_del(rig.store, &page->blob.sha, err));
}

static struct crawl_keeper *open_folder(void)
{
    return crawl_keep_folder(&(struct crawl_folder_spec){pages_dir, journal, 3});
}

static char *file_of(const struct crawl_kept *page)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_KIB);
    dz_buf_putf(&b, "%s/", pages_dir);
    dz_media_page_name(page->at, 3, page->blob.mime, &b);
    return dz_str_dup(dz_buf_str(&b));
}

static void lose_file(const struct crawl_kept *page)
{
    DZ_AUTO(dz_freep) char *path = file_of(page);
    assert_int_equal(unlink(path), 0);
}

static const struct kind kinds[] = {
    {"store", open_store, lose_blob},
    {"folder", open_folder, lose_file},
};

/* ---- the suite ------------------------------------------------------------------------------- */

static const struct kind *kind;

static int setup(void **state)
{
    kind = *state;
    dz_log_init(2, DZ_ERROR, DZ_LOG_TEXT);
    rig_prepare();
    rig_open(NULL);
    snprintf(pages_dir, sizeof(pages_dir), "%s/pages", rig.dir);
    snprintf(journal, sizeof(journal), "%s/journal", rig.dir);
    must(dz_mkdirs(pages_dir, 0700, err));
    env = (struct crawl_env){.catalog = rig.catalog, .store = rig.store};
    return 0;
}

static struct crawl_kept page_at(uint32_t at, const char *url)
{
    return (struct crawl_kept){
        .at = at,
        .url = dz_str_of(url),
        .mtime_s = 1000 + at,
        .blob = {.bytes = 4, .width = 2, .height = 3, .mime = DZ_S("image/png")}};
}

static void put(struct crawl_keeper *k, struct crawl_kept *page, const char *bytes)
{
    page->blob.bytes = strlen(bytes);
    must(k->type->put(k, page, dz_str_of(bytes), err));
    must(k->type->sync(k, page, 1, err));
}

static struct crawl_kept *recall(struct crawl_keeper *k, const dz_str *urls, size_t n,
                                 struct dz_arena *a, size_t *ret_n)
{
    struct crawl_kept *v = NULL;
    must(crawl_keep_recall(k, urls, n, a, &v, ret_n, err));
    return v;
}

#define AT(file)                                                                                   \
    {                                                                                              \
        URL file, sizeof(URL file) - 1                                                             \
    }
static const dz_str urls[] = {AT("1.png"), AT("2.png"), AT("3.png")};

static void test_found_again(void **state)
{
    (void)state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(16 * DZ_MIB);
    DZ_AUTO(crawl_keeper_free) struct crawl_keeper *k = kind->open();
    size_t n;
    (void)recall(k, urls, 3, a, &n);
    assert_int_equal(n, 0);
    struct crawl_kept one = page_at(0, URL "1.png"), three = page_at(2, URL "3.png");
    struct crawl_kept blank = {.at = 1, .url = DZ_S(URL "2.png"), .dropped = true};
    put(k, &three, "ccc");
    put(k, &one, "aaaaa");
    must(k->type->sync(k, &blank, 1, err));
    crawl_keeper_free(&k);
    k = kind->open();
    struct crawl_kept *v = recall(k, urls, 3, a, &n);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(v[i].dropped, v[i].at == 1);
        if (v[i].dropped)
            continue;
        assert_int_equal(v[i].blob.bytes, v[i].at == 0 ? 5 : 3);
        assert_int_equal(v[i].blob.width, 2);
        assert_int_equal(v[i].blob.height, 3);
        assert_true(dz_str_eq(v[i].blob.mime, DZ_S("image/png")));
        assert_int_equal(v[i].mtime_s, 1000 + v[i].at);
    }
}

static void test_other_addresses(void **state)
{
    (void)state;
    static const dz_str moved[] = {DZ_S("https://b.example/y/1.png?sign=2")};
    static const dz_str other[] = {DZ_S(URL "9.png")};
    static const dz_str shifted[] = {DZ_S(URL "0.png"), DZ_S(URL "1.png")};
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(16 * DZ_MIB);
    DZ_AUTO(crawl_keeper_free) struct crawl_keeper *k = kind->open();
    size_t n;
    (void)recall(k, urls, 3, a, &n);
    struct crawl_kept one = page_at(0, URL "1.png");
    put(k, &one, "aaaaa");
    crawl_keeper_free(&k);
    k = kind->open();
    (void)recall(k, moved, 1, a, &n);
    assert_int_equal(n, 1);
    (void)recall(k, other, 1, a, &n);
    assert_int_equal(n, 0);
    (void)recall(k, shifted, 2, a, &n);
    assert_int_equal(n, 0);
    (void)recall(k, NULL, 0, a, &n);
    assert_int_equal(n, 0);
}

static void test_the_last_one_counts(void **state)
{
    (void)state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(16 * DZ_MIB);
    DZ_AUTO(crawl_keeper_free) struct crawl_keeper *k = kind->open();
    size_t n;
    (void)recall(k, urls, 3, a, &n);
    struct crawl_kept old = page_at(0, URL "0.png"), one = page_at(0, URL "1.png");
    put(k, &old, "aaaaa");
    put(k, &one, "bb");
    crawl_keeper_free(&k);
    k = kind->open();
    struct crawl_kept *v = recall(k, urls, 3, a, &n);
    assert_int_equal(n, 1);
    assert_int_equal(v[0].blob.bytes, 2);
}

static void test_lost(void **state)
{
    (void)state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(16 * DZ_MIB);
    DZ_AUTO(crawl_keeper_free) struct crawl_keeper *k = kind->open();
    size_t n;
    (void)recall(k, urls, 3, a, &n);
    struct crawl_kept one = page_at(0, URL "1.png"), two = page_at(1, URL "2.png");
    put(k, &one, "aaaaa");
    put(k, &two, "bbbbb");
    kind->lose(&one);
    crawl_keeper_free(&k);
    k = kind->open();
    struct crawl_kept *v = recall(k, urls, 3, a, &n);
    assert_int_equal(n, 1);
    assert_int_equal(v[0].at, 1);
}

/* ---- only of folders ------------------------------------------------------------------------- */

static void test_damaged_file(void **state)
{
    (void)state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(16 * DZ_MIB);
    DZ_AUTO(crawl_keeper_free) struct crawl_keeper *k = kind->open();
    struct crawl_kept one = page_at(0, URL "1.png"), two = page_at(1, URL "2.png");
    size_t n;
    put(k, &one, "aaaaa");
    put(k, &two, "bbbbb");
    DZ_AUTO(dz_freep) char *first = file_of(&one);
    DZ_AUTO(dz_freep) char *second = file_of(&two);
    must(dz_file_write_atomic(first, DZ_S("aaaab"), 0644, err));
    must(dz_file_write_atomic(second, DZ_S("bbbb"), 0644, err));
    (void)recall(k, urls, 3, a, &n);
    assert_int_equal(n, 0);
}

/* A journal that was cut off anywhere gives what stands before the cut, and takes more behind it.
 */
static void test_torn_journal(void **state)
{
    (void)state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(256 * DZ_MIB);
    DZ_AUTO(crawl_keeper_free) struct crawl_keeper *k = kind->open();
    struct crawl_kept one = page_at(0, URL "1.png"), two = page_at(1, URL "2.png"),
                      three = page_at(2, URL "3.png");
    size_t n;
    put(k, &one, "aaaaa");
    DZ_AUTO(dz_buf_done) struct dz_buf before, whole;
    dz_buf_init(&before, DZ_MIB);
    dz_buf_init(&whole, DZ_MIB);
    must(dz_file_read(journal, &before, err));
    put(k, &two, "bbbbb");
    must(dz_file_read(journal, &whole, err));
    for (size_t cut = 0; cut <= whole.n; cut++) {
        must(dz_file_write_atomic(journal, dz_str_sub(dz_buf_str(&whole), 0, cut), 0644, err));
        (void)recall(k, urls, 3, a, &n);
        size_t least = cut == whole.n ? 2 : cut >= before.n ? 1 : 0;
        assert_true(n >= least && n <= least + 1); /* the newline behind a line may be missing */
        must(k->type->put(k, &three, DZ_S("ccc"), err));
        three.blob.bytes = 3;
        must(k->type->sync(k, &three, 1, err));
        size_t more;
        (void)recall(k, urls, 3, a, &more);
        assert_int_equal(more, n + 1);
    }
}

int main(void)
{
#define of(fn, i)                                                                                  \
    {                                                                                              \
#fn, fn, setup, rig_teardown, (void *)(uintptr_t)&kinds[i]                                 \
    }
#define both(fn) of(fn, 0), of(fn, 1)
    const struct CMUnitTest tests[] = {
        both(test_found_again), both(test_other_addresses), both(test_the_last_one_counts),
        both(test_lost),        of(test_damaged_file, 1),   of(test_torn_journal, 1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
