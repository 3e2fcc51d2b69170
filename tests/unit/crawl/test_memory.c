/*
 * memory: what is set is there at once, reaches the catalog in order, expires, and survives a
 * close.
 */
#include "rig.h"

static struct crawl_env env;
static struct crawl_memory *m;

static void open_it(void)
{
    env = (struct crawl_env){.loop = rig.loop, .pool = rig.pool, .catalog = rig.catalog};
    must(crawl_memory_open(&env, &m, err));
}

static void close_it(void)
{
    while (crawl_memory_is_busy(m))
        rig_turn();
    crawl_memory_close(&m);
}

/* What memory says; NULL: nothing. */
static const char *get(const char *source, const char *name)
{
    static char text[256];
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, sizeof(text) - 1);
    if (!crawl_memory_get(m, dz_str_of(source), dz_str_of(name), &b))
        return NULL;
    snprintf(text, sizeof(text), "%.*s", (int)b.n, b.p);
    return text;
}

static void set(const char *source, const char *name, const char *json, int64_t expires_ms)
{
    crawl_memory_set(m, dz_str_of(source), dz_str_of(name), dz_str_of(json), expires_ms);
}

/* Rows in the catalog whose names begin so. */
static size_t stored(const char *prefix)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_crawl_state_rec *v = NULL;
    size_t n = 0;
    must(dz_catalog_state_list(rig.catalog, (dz_str){NULL, 0}, dz_str_of(prefix), dz_now_ms(), a,
                               &v, &n, err));
    return n;
}

static void test_at_once_and_later(void **state)
{
    (void)state;
    open_it();
    set("a", "x", "1", 0);
    assert_string_equal(get("a", "x"), "1");
    assert_null(get("b", "x"));
    assert_null(get("a", "y"));
    /* The last one of many wins, also where several writes are made meanwhile. */
    for (int i = 0; i < 500; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        set("a", "x", text, 0);
        set("a", "gone", i % 2 ? "" : text, 0);
        if (i % 50 == 0)
            rig_turn();
    }
    assert_string_equal(get("a", "x"), "499");
    assert_null(get("a", "gone"));
    close_it();
    open_it();
    assert_string_equal(get("a", "x"), "499");
    assert_null(get("a", "gone"));
    close_it();
}

static void test_expiry(void **state)
{
    (void)state;
    open_it();
    int64_t now_ms = dz_now_ms();
    set("a", "old", "1", now_ms - 1);
    set("a", "new", "2", now_ms + 3600 * 1000);
    assert_null(get("a", "old"));
    assert_string_equal(get("a", "new"), "2");
    close_it();
    open_it();
    assert_null(get("a", "old"));
    assert_string_equal(get("a", "new"), "2");
    close_it();
}

static void test_later_goes_with_the_next(void **state)
{
    (void)state;
    open_it();
    crawl_memory_set_later(m, DZ_S("a"), DZ_S("later"), DZ_S("1"));
    assert_false(crawl_memory_is_busy(m));
    assert_string_equal(get("a", "later"), "1");
    assert_int_equal(stored("later"), 0);
    set("a", "soon", "2", 0);
    while (crawl_memory_is_busy(m))
        rig_turn();
    assert_int_equal(stored("later"), 1);
    assert_int_equal(stored("soon"), 1);
    /* What says nothing new is not written. */
    set("a", "soon", "2", 0);
    crawl_memory_set_later(m, DZ_S("a"), DZ_S("later"), DZ_S("1"));
    assert_false(crawl_memory_is_busy(m));
    /* The close writes what is left. */
    crawl_memory_set_later(m, DZ_S("a"), DZ_S("later"), DZ_S("3"));
    close_it();
    open_it();
    assert_string_equal(get("a", "later"), "3");
    close_it();
}

/* What another crawler has written, which this one has not seen yet. */
static void put_there(const char *name, const char *json)
{
    struct dz_crawl_state_rec r = {
        .source = DZ_S("a"), .name = dz_str_of(name), .value = dz_str_of(json)};
    must(dz_catalog_state_put(rig.catalog, &r, 1, dz_now_ms(), err));
}

static struct crawl_memory_news read_news(void)
{
    struct crawl_memory_news news = {.writes = crawl_memory_writes(m)};
    crawl_memory_read(rig.catalog, DZ_S("a"), &news);
    return news;
}

static void test_news_of_others(void **state)
{
    (void)state;
    open_it();
    set("a", "ours", "1", 0);
    while (crawl_memory_is_busy(m))
        rig_turn();
    put_there("ours", "2");
    put_there("kv/theirs", "3");
    assert_null(get("a", "kv/theirs"));
    struct crawl_memory_news news = read_news();
    crawl_memory_set_later(m, DZ_S("a"), DZ_S("ours"), DZ_S("4"));
    crawl_memory_take(m, &news);
    assert_string_equal(get("a", "kv/theirs"), "3");
    assert_string_equal(get("a", "ours"), "4"); /* not written yet: newer than what was read */
    /* What was read before a write of ours is not taken. */
    news = read_news();
    set("a", "soon", "5", 0);
    while (crawl_memory_is_busy(m))
        rig_turn();
    put_there("kv/theirs", "6");
    crawl_memory_take(m, &news);
    assert_string_equal(get("a", "kv/theirs"), "3");
    assert_string_equal(get("a", "ours"), "4");
    news = read_news();
    crawl_memory_take(m, &news);
    assert_string_equal(get("a", "kv/theirs"), "6");
    close_it();
}

static void test_limits(void **state)
{
    (void)state;
    open_it();
    char *large = dz_alloc(DZ_CRAWL_STATE_MAX + 1);
    memset(large, '1', DZ_CRAWL_STATE_MAX + 1);
    crawl_memory_set(m, DZ_S("a"), DZ_S("large"), (dz_str){large, DZ_CRAWL_STATE_MAX + 1}, 0);
    assert_null(get("a", "large"));
    /* A name that is too long is no name. */
    crawl_memory_set(m, DZ_S("a"), (dz_str){large, 5000}, DZ_S("1"), 0);
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 16);
    assert_false(crawl_memory_get(m, DZ_S("a"), (dz_str){large, 5000}, &b));
    free(large);
    close_it();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_at_once_and_later, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(test_expiry, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(test_later_goes_with_the_next, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(test_news_of_others, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(test_limits, rig_setup, rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
