/*
 * suite_cache: the same cases against every cache driver and, as far as they can hold there,
 * against the Redis that servers share. How well one chooses what to drop is its own affair and is
 * in tests/unit/cache/, as is how Redis is lost and comes back.
 */
#include "servers.h"

#include "cache/cache.h"

#include <stdlib.h>

/* One of two kinds: what this process keeps by itself, and what servers share in a Redis. */
struct fixture {
    const char *driver;
    struct dz_cache *c;
    struct dz_shared_cache *shared;
    char prefix[24]; /* of names in Redis, which others use too */
};

static const char *const driver_names[] = {"memory", "redis"};

static void open_cache(struct fixture *f, struct dz_cache_options o)
{
    dz_cache_close(&f->c);
    must(dz_cache_open(f->driver, "", &o, &f->c, err));
}

static int setup(void **state)
{
    struct fixture *f = dz_new(struct fixture);
    f->driver = *state;
    *state = f;
    if (strcmp(f->driver, "redis") != 0) {
        open_cache(f, (struct dz_cache_options){16 * DZ_MIB, UINT64_MAX, 0});
        return 0;
    }
    struct dz_shared_cache_options o = {
        .uri = server_uri("redis"), .ttl_ms = 60000, .timeout_ms = 10000};
    if (!o.uri)
        return 0;
    (void)snprintf(f->prefix, sizeof(f->prefix), "%016llx:", (unsigned long long)dz_random_u64());
    must(dz_shared_cache_open(&o, &f->shared, err));
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    dz_cache_close(&f->c);
    dz_shared_cache_close(&f->shared);
    dz_clock_set_for_test(-1);
    free(f);
    return 0;
}

/* Of every case: what the driver needs is there. */
static struct fixture *begin(void **state)
{
    struct fixture *f = *state;
    if (!f->c && !f->shared)
        server_is_missing("redis");
    return f;
}

static struct dz_body *body_of(dz_str s)
{
    struct dz_body *b = dz_body_new(s.n);
    if (s.n > 0)
        memcpy(b->p, s.p, s.n);
    return b;
}

/* Static. */
static dz_str name_of(const struct fixture *f, dz_str key)
{
    static char name[128];
    size_t n = strlen(f->prefix);
    memcpy(name, f->prefix, n);
    memcpy(name + n, key.p, key.n);
    return (dz_str){name, n + key.n};
}

static void put(struct fixture *f, dz_str key, dz_str value)
{
    DZ_AUTO(dz_body_unref) struct dz_body *b = body_of(value);
    if (f->shared)
        dz_shared_cache_put(f->shared, name_of(f, key), value, (dz_str){0});
    else
        dz_cache_put(f->c, key, b);
}

static bool get(struct fixture *f, dz_str key, struct dz_body **ret_body)
{
    if (f->shared)
        return dz_shared_cache_get(f->shared, name_of(f, key), NULL, ret_body, NULL);
    return dz_cache_get(f->c, key, ret_body);
}

static void del(struct fixture *f, dz_str key)
{
    dz_str name = name_of(f, key);
    if (f->shared)
        dz_shared_cache_del(f->shared, &name, 1);
    else
        dz_cache_del(f->c, key);
}

static void assert_hit(struct fixture *f, dz_str key, dz_str value)
{
    DZ_AUTO(dz_body_unref) struct dz_body *b = NULL;
    assert_true(get(f, key, &b));
    assert_int_equal(b->n, value.n);
    assert_memory_equal(b->p, value.p, value.n);
}

static void assert_miss(struct fixture *f, dz_str key)
{
    struct dz_body *b = NULL;
    assert_false(get(f, key, &b));
    assert_null(b);
}

static void test_put_get_del(void **state)
{
    struct fixture *f = begin(state);
    assert_miss(f, DZ_S("a"));
    put(f, DZ_S("a"), DZ_S("alpha"));
    put(f, DZ_S("b"), DZ_S("beta"));
    assert_hit(f, DZ_S("a"), DZ_S("alpha"));
    assert_hit(f, DZ_S("b"), DZ_S("beta"));
    del(f, DZ_S("a"));
    del(f, DZ_S("a"));
    assert_miss(f, DZ_S("a"));
    assert_hit(f, DZ_S("b"), DZ_S("beta"));
}

static void test_replace(void **state)
{
    struct fixture *f = begin(state);
    put(f, DZ_S("k"), DZ_S("one"));
    put(f, DZ_S("k"), DZ_S("another"));
    assert_hit(f, DZ_S("k"), DZ_S("another"));
    put(f, DZ_S("k"), DZ_S("x"));
    assert_hit(f, DZ_S("k"), DZ_S("x"));
    if (f->c)
        assert_int_equal(dz_cache_stats(f->c)->entries, 1);
}

static void test_keys(void **state)
{
    struct fixture *f = begin(state);
    char longest[DZ_CACHE_KEY_MAX];
    memset(longest, 'k', sizeof(longest));
    put(f, DZ_S("a\0b"), DZ_S("with a NUL"));
    put(f, DZ_S("a"), DZ_S("short"));
    put(f, DZ_S("\xff\r\n"), DZ_S("any byte"));
    put(f, (dz_str){longest, sizeof(longest)}, DZ_S("longest"));
    assert_miss(f, (dz_str){longest, sizeof(longest) - 1});
    assert_hit(f, DZ_S("a\0b"), DZ_S("with a NUL"));
    assert_miss(f, DZ_S("a\0c"));
    assert_hit(f, DZ_S("a"), DZ_S("short"));
    assert_hit(f, DZ_S("\xff\r\n"), DZ_S("any byte"));
    assert_hit(f, (dz_str){longest, sizeof(longest)}, DZ_S("longest"));
}

static void test_empty(void **state)
{
    struct fixture *f = begin(state);
    put(f, DZ_S("empty"), DZ_S(""));
    assert_hit(f, DZ_S("empty"), DZ_S(""));
}

static void test_head(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_body_unref) struct dz_body *in = body_of(DZ_S("HEADbody")), *out = NULL;
    in->head_n = 4;
    dz_cache_put(f->c, DZ_S("head"), in);
    assert_true(dz_cache_get(f->c, DZ_S("head"), &out));
    assert_int_equal(out->head_n, 4);
    dz_body_unref(&out);
    dz_body_unref(&in);
}

static void test_keeps_nothing(void **state)
{
    struct fixture *f = *state;
    open_cache(f, (struct dz_cache_options){0, UINT64_MAX, 0});
    put(f, DZ_S("a"), DZ_S("alpha"));
    assert_miss(f, DZ_S("a"));
    open_cache(f, (struct dz_cache_options){DZ_MIB, 0, 0});
    put(f, DZ_S("a"), DZ_S("alpha"));
    assert_miss(f, DZ_S("a"));
    assert_int_equal(dz_cache_stats(f->c)->bytes, 0);
}

static void test_too_large(void **state)
{
    struct fixture *f = *state;
    open_cache(f, (struct dz_cache_options){DZ_MIB, UINT64_MAX, 0});
    DZ_AUTO(dz_body_unref) struct dz_body *large = dz_body_new(DZ_MIB / 8 + 1);
    memset(large->p, 'x', large->n);
    dz_cache_put(f->c, DZ_S("k"), large);
    assert_miss(f, DZ_S("k"));
    put(f, DZ_S("k"), DZ_S("old"));
    dz_cache_put(f->c, DZ_S("k"), large); /* not kept, but the old value is gone */
    assert_miss(f, DZ_S("k"));
    assert_int_equal(dz_cache_stats(f->c)->bytes, 0);
}

static void test_ttl(void **state)
{
    struct fixture *f = *state;
    int64_t now_ms = 1700000000000;
    dz_clock_set_for_test(now_ms);
    open_cache(f, (struct dz_cache_options){DZ_MIB, UINT64_MAX, 1000});
    put(f, DZ_S("a"), DZ_S("alpha"));
    dz_clock_set_for_test(now_ms + 999);
    assert_hit(f, DZ_S("a"), DZ_S("alpha"));
    put(f, DZ_S("b"), DZ_S("beta"));
    dz_clock_set_for_test(now_ms + 1000); /* a hit did not make it younger */
    assert_miss(f, DZ_S("a"));
    assert_hit(f, DZ_S("b"), DZ_S("beta"));
    assert_int_equal(dz_cache_stats(f->c)->entries, 1);
    put(f, DZ_S("b"), DZ_S("beta 2")); /* a put does */
    dz_clock_set_for_test(now_ms + 1999);
    assert_hit(f, DZ_S("b"), DZ_S("beta 2"));
    dz_clock_set_for_test(now_ms + 2000);
    assert_miss(f, DZ_S("b"));
    put(f, DZ_S("c"), DZ_S("gamma"));
    dz_clock_set_for_test(now_ms - 3600000); /* the clock was set back */
    assert_miss(f, DZ_S("c"));
}

static void test_bodies_outlive_the_cache(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_body_unref) struct dz_body *b = NULL;
    put(f, DZ_S("a"), DZ_S("alpha"));
    assert_true(dz_cache_get(f->c, DZ_S("a"), &b));
    dz_cache_del(f->c, DZ_S("a"));
    dz_cache_close(&f->c);
    assert_memory_equal(b->p, "alpha", 5);
}

static void test_stats(void **state)
{
    struct fixture *f = *state;
    put(f, DZ_S("a"), DZ_S("alpha"));
    put(f, DZ_S("b"), DZ_S("beta"));
    assert_hit(f, DZ_S("a"), DZ_S("alpha"));
    assert_miss(f, DZ_S("c"));
    assert_miss(f, DZ_S("d"));
    const struct dz_cache_stats *n = dz_cache_stats(f->c);
    assert_int_equal(n->hits, 1);
    assert_int_equal(n->misses, 2);
    assert_int_equal(n->inserts, 2);
    assert_int_equal(n->evictions, 0);
    assert_int_equal(n->errors, 0);
    assert_int_equal(n->entries, 2);
    assert_true(n->bytes > 2 + 9);
    dz_cache_del(f->c, DZ_S("a"));
    dz_cache_del(f->c, DZ_S("b"));
    n = dz_cache_stats(f->c);
    assert_int_equal(n->entries, 0);
    assert_int_equal(n->bytes, 0);
}

static void test_wrong_names(void **state)
{
    struct fixture *f = *state;
    struct dz_cache_options o = {DZ_MIB, UINT64_MAX, 0};
    struct dz_cache *c = NULL;
    struct dz_err why = {0};
    assert_int_equal(dz_cache_open("mammary", "", &o, &c, &why), DZ_BAD_INPUT);
    assert_non_null(strstr(why.text, "\"mammary\""));
    assert_non_null(strstr(why.text, "memory"));
    o.ttl_ms = -1;
    assert_int_equal(dz_cache_open(f->driver, "", &o, &c, &why), DZ_BAD_INPUT);
    assert_null(c);
    dz_cache_close(&c);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        /* these with Redis too */
        cmocka_unit_test(test_put_get_del),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_empty),
        /* these not */
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_keeps_nothing),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_ttl),
        cmocka_unit_test(test_bodies_outlive_the_cache),
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_wrong_names),
    };
    struct CMUnitTest tests[DZ_LEN(cases)];
    int failed = 0;
    for (size_t v = 0; v < DZ_LEN(driver_names); v++) {
        for (size_t i = 0; i < DZ_LEN(cases); i++) {
            tests[i] = cases[i];
            tests[i].setup_func = setup;
            tests[i].teardown_func = teardown;
            tests[i].initial_state = (void *)(uintptr_t)driver_names[v];
        }
        size_t n = v == 0 ? DZ_LEN(cases) : 4;
        failed += _cmocka_run_group_tests(driver_names[v], tests, n, NULL, NULL);
    }
    return failed > 0;
}
