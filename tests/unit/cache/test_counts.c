/*
 * test_counts: windows of rate limits with a clock that the test moves, several limits at once, and
 * how much is kept.
 */
#include "test.h"

#include "cache/cache_int.h"

#include <pthread.h>
#include <stdlib.h>

static struct dz_limit_rule rule_of(const char *text, enum dz_limit_strategy strategy)
{
    static uint64_t ids;
    struct dz_limit_rule r = {.name = "test", .name_n = 4, .strategy = strategy, .id = ++ids};
    must(dz_limits_parse(dz_str_of(text), &r.limits, err));
    return r;
}

static struct dz_limit_ask ask_of(const struct dz_limit_rule *rule, uint64_t who)
{
    struct dz_limit_ask a = {.rule = rule};
    memcpy(a.who, &who, sizeof(who));
    return a;
}

/* One request a step: when, and what is said: allowed, remaining, reset. */
struct step {
    int64_t now_ms;
    bool allowed;
    uint64_t remaining;
    int64_t reset_ms;
};

static void walk(const char *text, enum dz_limit_strategy strategy, const struct step *steps,
                 size_t n)
{
    struct counts *c = counts_new(0);
    struct dz_limit_rule rule = rule_of(text, strategy);
    struct dz_limit_ask ask = ask_of(&rule, 7);
    for (size_t i = 0; i < n; i++) {
        struct dz_limit_verdict v;
        counts_take(c, &ask, steps[i].now_ms, &v);
        if (v.allowed != steps[i].allowed || v.remaining != steps[i].remaining ||
            v.reset_ms != steps[i].reset_ms)
            fail_msg("%s, step %zu: %s %llu %lld", text, i, v.allowed ? "allowed" : "refused",
                     (unsigned long long)v.remaining, (long long)v.reset_ms);
    }
    counts_free(&c);
    assert_null(c);
}
#define WALK(text, strategy, ...)                                                                  \
    walk(text, strategy, (const struct step[]){__VA_ARGS__},                                       \
         sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step))

/* The window begins with the first request, as in the library of the service before this one. */
static void fixed(void **state)
{
    (void)state;
    WALK("1/second", DZ_LIMIT_FIXED, {500, true, 0, 1000}, {501, false, 0, 999},
         {1499, false, 0, 1}, {1500, true, 0, 1000}, {2499, false, 0, 1}, {9000, true, 0, 1000});
    WALK("3/minute", DZ_LIMIT_FIXED, {0, true, 2, 60000}, {59998, true, 1, 2}, {59999, true, 0, 1},
         {59999, false, 0, 1}, {60000, true, 2, 60000}, {60001, true, 1, 59999});
}

/* No stretch of the window's length has more than the limit. */
static void moving(void **state)
{
    (void)state;
    WALK("1/second", DZ_LIMIT_MOVING, {500, true, 0, 1000}, {1499, false, 0, 1},
         {1500, true, 0, 1000});
    WALK("3/minute", DZ_LIMIT_MOVING, {0, true, 2, 60000}, {59998, true, 1, 2}, {59999, true, 0, 1},
         {59999, false, 0, 1}, {60000, true, 0, 59998}, {60001, false, 0, 59997},
         {119998, true, 0, 1}, {119999, true, 0, 1});
}

/* A count that slots make coarse: never above the limit in any window, and not below what a window
 * and a slot less would allow. */
static void moving_slots(void **state)
{
    (void)state;
    enum { COUNT = 100, WINDOW = 10000, N = 4000 };
    struct counts *c = counts_new(0);
    struct dz_limit_rule rule = rule_of("100 per 10 seconds", DZ_LIMIT_MOVING);
    struct dz_limit_ask ask = ask_of(&rule, 1);
    int64_t slot_ms = limit_slot_ms(&rule.limits.v[0]), now_ms = 12345,
            *taken = dz_zalloc(N * sizeof(*taken));
    size_t n = 0;
    uint64_t seed = 1;
    for (int i = 0; i < N; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        now_ms += (int64_t)(seed >> 33) % (i % 500 < 250 ? 20 : 300);
        struct dz_limit_verdict v;
        counts_take(c, &ask, now_ms, &v);
        size_t within = 0, surely = 0;
        for (size_t k = 0; k < n; k++) {
            within += taken[k] > now_ms - WINDOW;
            surely += taken[k] > now_ms - WINDOW - slot_ms;
        }
        assert_true(v.allowed ? within < COUNT : surely >= COUNT);
        if (v.allowed)
            taken[n++] = now_ms;
        assert_true(v.reset_ms > 0 && v.reset_ms <= WINDOW + slot_ms);
    }
    assert_true(n > 1000);
    free(taken);
    counts_free(&c);
}

/* A request that one limit refuses counts for none; the headers tell of the one that takes longest.
 */
static void several(void **state)
{
    (void)state;
    for (int strategy = DZ_LIMIT_FIXED; strategy <= DZ_LIMIT_MOVING; strategy++) {
        struct counts *c = counts_new(0);
        struct dz_limit_rule rule = rule_of("1/second; 3/minute", (enum dz_limit_strategy)strategy);
        struct dz_limit_ask ask = ask_of(&rule, 1);
        static const struct {
            int64_t now_ms;
            bool allowed;
            size_t limit;
            int64_t reset_ms;
        } steps[] = {
            {0, true, 0, 1000},      {1, false, 0, 999},    {999, false, 0, 1},
            {1000, true, 0, 1000},   {1500, false, 0, 500}, {2000, true, 1, 58000},
            {3000, false, 1, 57000}, {59999, false, 1, 1},  {60000, true, 0, 1000},
        };
        for (size_t i = 0; i < DZ_LEN(steps); i++) {
            struct dz_limit_verdict v;
            counts_take(c, &ask, steps[i].now_ms, &v);
            assert_int_equal(v.allowed, steps[i].allowed);
            assert_ptr_equal(v.limit, &rule.limits.v[steps[i].limit]);
            assert_int_equal(v.reset_ms, steps[i].reset_ms);
        }
        counts_free(&c);
    }
}

static void keys_are_apart(void **state)
{
    (void)state;
    struct counts *c = counts_new(0);
    struct dz_limit_rule a = rule_of("1/hour", DZ_LIMIT_FIXED),
                         b = rule_of("1/hour", DZ_LIMIT_FIXED);
    for (uint64_t who = 0; who < 1000; who++) {
        struct dz_limit_verdict v;
        struct dz_limit_ask one = ask_of(&a, who), two = ask_of(&b, who);
        counts_take(c, &one, 5, &v);
        assert_true(v.allowed);
        counts_take(c, &two, 5, &v);
        assert_true(v.allowed);
    }
    assert_int_equal(counts_keys(c), 2000);
    counts_free(&c);
}

/* However many clients come: so many keys and no more; those whose count ends first make room. */
static void bounded(void **state)
{
    (void)state;
    enum { KEYS = 1024 };
    struct counts *c = counts_new(KEYS);
    struct dz_limit_rule brief = rule_of("100/second", DZ_LIMIT_MOVING),
                         hour = rule_of("1/hour", DZ_LIMIT_FIXED);
    struct dz_limit_verdict v;
    for (uint64_t who = 0; who < 64; who++) {
        struct dz_limit_ask ask = ask_of(&hour, who);
        counts_take(c, &ask, 0, &v);
        assert_true(v.allowed);
    }
    for (uint64_t who = 0; who < 200000; who++) {
        struct dz_limit_ask ask = ask_of(&brief, who);
        counts_take(c, &ask, (int64_t)(who / 100), &v);
        assert_true(v.allowed);
    }
    assert_int_equal(counts_keys(c), KEYS);
    for (uint64_t who = 0; who < 64; who++) { /* an hour outlasts the flood */
        struct dz_limit_ask ask = ask_of(&hour, who);
        counts_take(c, &ask, 2000, &v);
        assert_false(v.allowed);
    }
    counts_free(&c);
}

struct crowd {
    pthread_t thread;
    struct counts *counts;
    const struct dz_limit_rule *rule;
    size_t allowed;
};

static void *run(void *arg)
{
    struct crowd *x = arg;
    for (int i = 0; i < 5000; i++) {
        struct dz_limit_verdict v;
        struct dz_limit_ask ask = ask_of(x->rule, (uint64_t)i % 10);
        counts_take(x->counts, &ask, 1000 + i % 3, &v);
        x->allowed += v.allowed;
    }
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    for (int strategy = DZ_LIMIT_FIXED; strategy <= DZ_LIMIT_MOVING; strategy++) {
        struct counts *c = counts_new(0);
        struct dz_limit_rule rule = rule_of("123/hour", (enum dz_limit_strategy)strategy);
        struct crowd x[4];
        size_t allowed = 0;
        for (size_t i = 0; i < DZ_LEN(x); i++) {
            x[i] = (struct crowd){.counts = c, .rule = &rule};
            assert_int_equal(pthread_create(&x[i].thread, NULL, run, &x[i]), 0);
        }
        for (size_t i = 0; i < DZ_LEN(x); i++) {
            pthread_join(x[i].thread, NULL);
            allowed += x[i].allowed;
        }
        assert_int_equal(allowed, 10 * 123);
        counts_free(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed),   cmocka_unit_test(moving),  cmocka_unit_test(moving_slots),
        cmocka_unit_test(several), cmocka_unit_test(bounded), cmocka_unit_test(keys_are_apart),
        cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
