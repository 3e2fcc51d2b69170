/*
 * test_memory: the memory cache's budget, limits and threads. How well it chooses is in
 * test_ratio.c.
 */
#include "test.h"

#include "cache/cache.h"

#include <pthread.h>
#include <stdlib.h>

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed * 2685821657736338717u;
}

static dz_str key_of(const uint32_t *id)
{
    return (dz_str){(const char *)id, sizeof(*id)};
}

static struct dz_cache *open_cache(uint64_t max_bytes, uint64_t max_entries)
{
    struct dz_cache_options o = {max_bytes, max_entries, 0};
    struct dz_cache *c = NULL;
    must(dz_cache_open("memory", "", &o, &c, err));
    return c;
}

/* ---- budget ---------------------------------------------------------------------------------- */

static void hold_budget(uint64_t max_bytes, uint64_t max_entries, size_t body_max, uint64_t seed)
{
    DZ_AUTO(dz_cache_close) struct dz_cache *c = open_cache(max_bytes, max_entries);
    uint64_t body_bytes = 0, hits = 0;
    for (int i = 0; i < 40000; i++) {
        uint32_t id = (uint32_t)(next_random(&seed) % 2000);
        DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
        switch (next_random(&seed) % 8) {
        case 0:
            dz_cache_del(c, key_of(&id));
            break;
        case 1:
        case 2:
        case 3:
            body = dz_body_new(next_random(&seed) % body_max);
            memset(body->p, (int)id & 0xff, body->n);
            dz_cache_put(c, key_of(&id), body);
            body_bytes += body->n;
            break;
        default:
            if (dz_cache_get(c, key_of(&id), &body)) {
                hits++;
                for (size_t at = 0; at < body->n; at += 97)
                    assert_int_equal((unsigned char)body->p[at], id & 0xff);
            }
        }
        const struct dz_cache_stats *n = dz_cache_stats(c);
        assert_true(n->bytes <= max_bytes);
        assert_true(n->entries <= max_entries);
        assert_true((n->bytes == 0) == (n->entries == 0));
    }
    assert_true(hits > 0 && body_bytes > max_bytes);
    assert_true(dz_cache_stats(c)->evictions > 0);
}

static void test_budget(void **state)
{
    (void)state;
    hold_budget(100000, UINT64_MAX, 1000, 1);
    hold_budget(100000, UINT64_MAX, 20000, 2); /* many are too large */
    hold_budget(1000000, 100, 1000, 3);
    hold_budget(1000000, 7, 100000, 4);
    hold_budget(20 * DZ_MIB, 100000, 200000, 5); /* two shards */
    hold_budget(3000, UINT64_MAX, 300, 6);
}

/* What is counted is at least what the bodies and keys take. */
static void test_counts_overhead(void **state)
{
    (void)state;
    DZ_AUTO(dz_cache_close) struct dz_cache *c = open_cache(DZ_MIB, UINT64_MAX);
    DZ_AUTO(dz_body_unref) struct dz_body *one = dz_body_new(1);
    one->p[0] = 'x';
    for (uint32_t id = 0; id < 100000; id++)
        dz_cache_put(c, key_of(&id), one);
    const struct dz_cache_stats *n = dz_cache_stats(c);
    assert_true(n->bytes / n->entries >= 100);
    assert_true(n->entries >= 5000);
}

static void test_exactly_two(void **state)
{
    (void)state;
    DZ_AUTO(dz_cache_close) struct dz_cache *c = open_cache(256 * DZ_MIB, 2);
    for (uint32_t id = 0; id < 100; id++) {
        DZ_AUTO(dz_body_unref) struct dz_body *body = dz_body_new(10), *got = NULL;
        dz_cache_put(c, key_of(&id), body);
        assert_int_equal(dz_cache_stats(c)->entries, id == 0 ? 1 : 2);
        assert_true(dz_cache_get(c, key_of(&id), &got));
    }
}

static void test_fills_its_entries(void **state)
{
    (void)state;
    DZ_AUTO(dz_cache_close) struct dz_cache *c = open_cache(256 * DZ_MIB, 10000);
    DZ_AUTO(dz_body_unref) struct dz_body *body = dz_body_new(10);
    for (uint32_t id = 0; id < 100000; id++)
        dz_cache_put(c, key_of(&id), body);
    uint64_t entries = dz_cache_stats(c)->entries;
    assert_true(entries > 9900 && entries <= 10000);
}

static void test_survives_eviction(void **state)
{
    (void)state;
    DZ_AUTO(dz_cache_close) struct dz_cache *c = open_cache(100000, UINT64_MAX);
    struct dz_body *held[50] = {NULL};
    for (uint32_t id = 0; id < 50; id++) {
        DZ_AUTO(dz_body_unref) struct dz_body *body = dz_body_new(1000);
        memset(body->p, (int)id, 1000);
        dz_cache_put(c, key_of(&id), body);
        assert_true(dz_cache_get(c, key_of(&id), &held[id]));
    }
    for (uint32_t id = 50; id < 5000; id++) {
        DZ_AUTO(dz_body_unref) struct dz_body *body = dz_body_new(1000);
        memset(body->p, 0xee, 1000);
        dz_cache_put(c, key_of(&id), body);
        dz_cache_put(c, key_of(&id), body);
    }
    for (uint32_t id = 0; id < 50; id++) {
        assert_int_equal((unsigned char)held[id]->p[0], id);
        assert_int_equal((unsigned char)held[id]->p[999], id);
        dz_body_unref(&held[id]);
    }
}

/* ---- threads --------------------------------------------------------------------------------- */

struct hammer {
    struct dz_cache *c;
    uint64_t seed, asked;
    bool broken;
};

static void *hammer_run(void *arg)
{
    struct hammer *h = arg;
    for (int i = 0; i < 40000; i++) {
        uint32_t id = (uint32_t)(next_random(&h->seed) % 600);
        DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
        if (next_random(&h->seed) % 64 == 0) {
            dz_cache_del(h->c, key_of(&id));
        } else if (h->asked++, dz_cache_get(h->c, key_of(&id), &body)) {
            for (size_t at = 0; at < body->n; at += 64)
                h->broken |= (unsigned char)body->p[at] != (id & 0xff);
        } else {
            body = dz_body_new(64 + next_random(&h->seed) % 900);
            memset(body->p, (int)id & 0xff, body->n);
            dz_cache_put(h->c, key_of(&id), body);
        }
        if (i % 1000 == 0)
            (void)dz_cache_stats(h->c);
    }
    return NULL;
}

static void hammer(uint64_t max_bytes, uint64_t max_entries)
{
    DZ_AUTO(dz_cache_close) struct dz_cache *c = open_cache(max_bytes, max_entries);
    struct hammer hammers[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        hammers[i] = (struct hammer){c, i + 1, 0, false};
        assert_int_equal(pthread_create(&threads[i], NULL, hammer_run, &hammers[i]), 0);
    }
    uint64_t asked = 0;
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_false(hammers[i].broken);
        asked += hammers[i].asked;
    }
    const struct dz_cache_stats *n = dz_cache_stats(c);
    assert_int_equal(n->hits + n->misses, asked);
    assert_true(n->bytes <= max_bytes && n->entries <= max_entries);
    assert_true(n->hits > 0 && n->inserts > 0);
}

static void test_threads(void **state)
{
    (void)state;
    hammer(200000, UINT64_MAX);
    hammer(256 * DZ_MIB, UINT64_MAX); /* all shards, nothing leaves */
    hammer(256 * DZ_MIB, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_counts_overhead),
        cmocka_unit_test(test_exactly_two),
        cmocka_unit_test(test_fills_its_entries),
        cmocka_unit_test(test_survives_eviction),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) > 0;
}
