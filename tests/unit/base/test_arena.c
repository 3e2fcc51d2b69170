/* arena: alignment, limits, reset, and poison where a checker is there to see it. */
#include "test.h"

#include "dies.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISONED(p) __asan_address_is_poisoned(p)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define POISONED(p) __asan_address_is_poisoned(p)
#endif
#endif

static void hands_out(void **state)
{
    (void)state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    unsigned char *pieces[300];
    for (size_t i = 0; i < DZ_LEN(pieces); i++) {
        pieces[i] = dz_arena_alloc(a, i);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)(i & 255), i);
    }
    for (size_t i = 0; i < DZ_LEN(pieces); i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(pieces[i][k], i & 255);
    memset(dz_arena_alloc(a, 500000), 1, 500000);
    assert_true(dz_arena_used(a) >= 500000);
}

static void copies(void **state)
{
    (void)state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    assert_string_equal(dz_arena_dup(a, DZ_S("abc")), "abc");
    assert_string_equal(dz_arena_dup(a, (dz_str){NULL, 0}), "");
    char text[] = "slice";
    dz_str s = dz_arena_str(a, dz_str_of(text));
    text[0] = 'x';
    assert_true(dz_str_eq(s, DZ_S("slice")));
    assert_int_equal(dz_arena_str(a, (dz_str){NULL, 0}).n, 0);
    dz_str f = dz_arena_printf(a, "%05000d", 3);
    assert_int_equal(f.n, 5000);
    assert_int_equal(f.p[4999], '3');
    assert_int_equal(f.p[5000], '\0');
}

static void has_a_limit(void **state)
{
    (void)state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(1024);
    void *p = NULL;
    must(dz_arena_try(a, 1000, &p, err));
    assert_int_equal(dz_arena_used(a), 1008);
    struct dz_err err = {0};
    void *untouched = p;
    assert_int_equal(dz_arena_try(a, 17, &p, &err), DZ_TOO_LARGE);
    assert_int_equal(dz_arena_try(a, SIZE_MAX, &p, &err), DZ_TOO_LARGE);
    assert_int_equal(dz_arena_try(a, SIZE_MAX - 8, &p, &err), DZ_TOO_LARGE);
    assert_ptr_equal(p, untouched);
    must(dz_arena_try(a, 16, &p, err));
    dz_arena_reset(a);
    assert_int_equal(dz_arena_used(a), 0);
    must(dz_arena_try(a, 1024, &p, err));
}

static void ask_too_much(void)
{
    struct dz_arena *a = dz_arena_new(64);
    dz_arena_alloc(a, 65);
}

static void aborts_over_its_limit(void **state)
{
    (void)state;
    assert_true(panics(ask_too_much, "limit of 64"));
}

static void is_used_again(void **state)
{
    (void)state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 200; i++)
            memset(dz_arena_alloc(a, 333), round, 333);
        dz_arena_reset(a);
    }
    struct dz_arena *none = NULL;
    dz_arena_free(&none);
}

static void tells_the_checker(void **state)
{
    (void)state;
#ifdef POISONED
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    char *p = dz_arena_alloc(a, 13);
    assert_false(POISONED(p + 12));
    assert_true(POISONED(p + 13));
    char *q = dz_arena_alloc(a, 16);
    assert_false(POISONED(q));
    assert_true(POISONED(q + 16));
    dz_arena_reset(a);
    assert_true(POISONED(p));
    assert_true(POISONED(q));
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_out),     cmocka_unit_test(copies),
        cmocka_unit_test(has_a_limit),   cmocka_unit_test(aborts_over_its_limit),
        cmocka_unit_test(is_used_again), cmocka_unit_test(tells_the_checker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
