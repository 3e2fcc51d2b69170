/*
 * test_memory: a batch in which SQLite once gets no memory is kept whole or not at all.
 *
 * SQLite's allocator is replaced by one that refuses its Nth piece. What is hard about it: on such
 * an error, even of a SELECT, SQLite may end the whole transaction by itself, and what is written
 * after that would be durable at once.
 */
#include "catalog/test_records.h"

#include <sqlite3.h>

static sqlite3_mem_methods real;
static unsigned refuse_at; /* counts down; 0: nothing is refused */

static bool refused_now(void)
{
    return refuse_at > 0 && --refuse_at == 0;
}

static void *limited_malloc(int n)
{
    return refused_now() ? NULL : real.xMalloc(n);
}

static void *limited_realloc(void *p, int n)
{
    return refused_now() ? NULL : real.xRealloc(p, n);
}

static enum dz_code put(struct dz_batch *b, int64_t series_id, const char *key, double sort)
{
    struct dz_page_rec v[64];
    struct dz_chapter_rec c = chapter_of(key, sort, pages_of(v, 3, (uint64_t)sort), 3);
    int64_t id;
    bool changed;
    return dz_batch_chapter(b, series_id, &c, &id, &changed, NULL);
}

static size_t chapters_of(struct dz_catalog *c, int64_t series_id)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_series_full full;
    uint64_t left;
    must(dz_catalog_load(c, series_id, a, &full, err));
    must(dz_catalog_verify(c, false, NULL, NULL, &left, err));
    assert_int_equal(left, 0);
    return full.chapters_n;
}

/* True: the Nth piece was refused and a call failed for it. */
static bool refuse_in_a_batch(unsigned n, bool *ret_refused)
{
    char folder[64];
    struct dz_catalog *c = NULL;
    struct dz_batch *b = NULL;
    make_folder(folder);
    must(dz_catalog_open("sqlite", folder, "", &c, err));
    int64_t id = put_one(c, "s", "1", 1, 3, 1);
    must(dz_batch_begin(c, &b, err));
    must(put(b, id, "2", 2));
    refuse_at = n;
    enum dz_code third = put(b, id, "3", 3);
    *ret_refused = refuse_at == 0;
    refuse_at = 0;
    enum dz_code fourth = put(b, id, "4", 4);
    assert_int_equal(chapters_of(c, id), 1); /* nothing shows before the commit */
    enum dz_code kept = dz_batch_commit(&b, NULL, NULL);
    if (kept == DZ_OK)
        assert_int_equal(chapters_of(c, id), 2 + (third == DZ_OK) + (fourth == DZ_OK));
    else
        assert_int_equal(chapters_of(c, id), 1);
    put_one(c, "s", "5", 5, 3, 5); /* and the next batch is a batch again */
    dz_catalog_close(&c);
    drop_folder(folder);
    return third != DZ_OK;
}

static void a_batch_without_memory_is_whole_or_gone(void **state)
{
    unsigned failed = 0;
    bool was_refused = true;
    (void)state;
    for (unsigned n = 1; was_refused; n++)
        failed += refuse_in_a_batch(n, &was_refused);
    assert_true(failed > 5);
}

int main(void)
{
    /* Without SQLite's small pieces of its own every need for memory comes past here. */
    if (sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real) != SQLITE_OK)
        return 1;
    sqlite3_mem_methods limited = real;
    limited.xMalloc = limited_malloc;
    limited.xRealloc = limited_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &limited) != SQLITE_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_without_memory_is_whole_or_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
