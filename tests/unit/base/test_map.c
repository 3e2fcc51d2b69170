/* map: SipHash against another implementation's values, and the map against a plain array. */
#include "test.h"

#include "base/base_int.h"

#include <stdio.h>

/* Byte i of each message is 7i+3. The values are those of CPython 3.11's hash() of bytes, which is
 * SipHash-1-3 too; its key is all zeros under PYTHONHASHSEED=0 and the one below under
 * PYTHONHASHSEED=1. */
static const struct {
    size_t n;
    uint64_t zero_key, other_key;
} vectors[] = {
    {1, 0x486b06067755d7c9, 0x9243a0bed771da38},  {7, 0x8a715eaaf55549aa, 0xa43f46106d9ee69e},
    {8, 0x36c186f0aa4cdbeb, 0x6c51eb30d2c47d84},  {9, 0x5176191e3d24cbff, 0x929e7bc2d914a9f1},
    {15, 0x19ed3f1b38f7e4e2, 0xedd0edafe288ba9b}, {16, 0xd1c94d62751d7b7b, 0xdc0e2d5ecce30f8d},
    {17, 0xbe5161a723042d60, 0x4f5b77d5888369b7}, {63, 0x42ed5c087e0bfe5d, 0x825679fab67db983},
};

static void hashes(void **state)
{
    (void)state;
    static const unsigned char zero_key[16] = {0};
    static const unsigned char other_key[16] = {0x29, 0x23, 0xbe, 0x84, 0xe1, 0x6c, 0xd6, 0xae,
                                                0x52, 0x90, 0x49, 0xf1, 0xf1, 0xbb, 0xe9, 0xeb};
    char message[64];
    for (size_t i = 0; i < sizeof(message); i++)
        message[i] = (char)(i * 7 + 3);
    for (size_t i = 0; i < DZ_LEN(vectors); i++) {
        dz_str s = {message, vectors[i].n};
        assert_true(dz_siphash13(zero_key, s) == vectors[i].zero_key);
        assert_true(dz_siphash13(other_key, s) == vectors[i].other_key);
    }
    assert_true(dz_hash(DZ_S("a")) == dz_hash(DZ_S("a")));
    assert_true(dz_hash(DZ_S("a")) != dz_hash(DZ_S("b")));
    assert_true(dz_hash((dz_str){NULL, 0}) == dz_hash(DZ_S("")));
}

static void is_a_map(void **state)
{
    (void)state;
    struct dz_map m DZ_AUTO(dz_map_done);
    dz_map_init(&m);
    int one = 1, two = 2;
    assert_null(dz_map_get(&m, DZ_S("a")));
    assert_null(dz_map_del(&m, DZ_S("a")));
    assert_null(dz_map_set(&m, DZ_S("a"), &one));
    assert_null(dz_map_set(&m, (dz_str){NULL, 0}, &two));
    assert_ptr_equal(dz_map_get(&m, DZ_S("")), &two);
    assert_ptr_equal(dz_map_set(&m, DZ_S("a"), &two), &one);
    assert_int_equal(m.count, 2);
    assert_ptr_equal(dz_map_del(&m, DZ_S("a")), &two);
    assert_null(dz_map_get(&m, DZ_S("a")));
    assert_int_equal(m.count, 1);
}

static void keeps_the_newest_key(void **state)
{
    (void)state;
    struct dz_map m DZ_AUTO(dz_map_done);
    dz_map_init(&m);
    int value = 0;
    char *old = dz_strdup("key");
    dz_map_set(&m, dz_str_of(old), &value);
    dz_map_set(&m, DZ_S("key"), &value);
    memset(old, '?', 3);
    free(old);
    assert_ptr_equal(dz_map_get(&m, DZ_S("key")), &value);
}

enum { KEYS = 2000 };
static char names[KEYS][16];
static int values[KEYS];
static bool there[KEYS];

static void check_all(const struct dz_map *m)
{
    size_t count = 0, seen = 0, at = 0;
    for (int i = 0; i < KEYS; i++) {
        void *want = there[i] ? &values[i] : NULL;
        assert_ptr_equal(dz_map_get(m, dz_str_of(names[i])), want);
        count += there[i];
    }
    assert_int_equal(m->count, count);
    assert_true(m->count * 10 <= m->cap * 7);
    dz_str key;
    void *value;
    while (dz_map_next(m, &at, &key, &value)) {
        size_t i = (size_t)((int *)value - values);
        assert_true(there[i] && dz_str_eq(key, dz_str_of(names[i])));
        seen++;
    }
    assert_int_equal(seen, count);
}

/* Sets and removes in an order that depends on nothing but this generator, against a plain
 * array. */
static void agrees_with_an_array(void **state)
{
    (void)state;
    struct dz_map m DZ_AUTO(dz_map_done);
    dz_map_init(&m);
    for (int i = 0; i < KEYS; i++)
        snprintf(names[i], sizeof(names[i]), "k%d", i);
    uint32_t x = 12345;
    for (int round = 0; round < 60000; round++) {
        x = x * 1664525 + 1013904223;
        size_t i = (x >> 8) % KEYS;
        /* Waves: mostly sets, then mostly removals, so that long runs form and are taken apart. */
        bool removes = (x >> 24) % 4 < (round / 10000 % 2 ? 3u : 1u);
        void *before = there[i] ? &values[i] : NULL;
        if (removes)
            assert_ptr_equal(dz_map_del(&m, dz_str_of(names[i])), before);
        else
            assert_ptr_equal(dz_map_set(&m, dz_str_of(names[i]), &values[i]), before);
        there[i] = !removes;
        if (round % 5000 == 0)
            check_all(&m);
    }
    check_all(&m);
    size_t cap = m.cap;
    for (int i = 0; i < KEYS; i++)
        dz_map_del(&m, dz_str_of(names[i]));
    memset(there, 0, sizeof(there));
    check_all(&m);
    assert_int_equal(m.cap, cap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes),
        cmocka_unit_test(is_a_map),
        cmocka_unit_test(keeps_the_newest_key),
        cmocka_unit_test(agrees_with_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
