/* str: slices compared, searched, read as numbers; natural order; UTF-8; distances. */
#include "test.h"

#include "base/base_int.h"

#include <limits.h>

static void compares(void **state)
{
    (void)state;
    assert_true(dz_str_eq((dz_str){NULL, 0}, DZ_S("")));
    assert_false(dz_str_eq(DZ_S("a"), DZ_S("A")));
    assert_true(dz_str_eq_nocase(DZ_S("ETag-9[z]"), DZ_S("etAG-9[Z]")));
    assert_false(dz_str_eq_nocase(DZ_S("@"), DZ_S("`")));
    assert_false(dz_str_eq_nocase(DZ_S("["), DZ_S("{")));
    assert_int_equal(dz_str_cmp(DZ_S("a"), DZ_S("ab")), -1);
    assert_int_equal(dz_str_cmp(DZ_S("b"), DZ_S("ab")), 1);
    assert_int_equal(dz_str_cmp((dz_str){NULL, 0}, DZ_S("")), 0);
    assert_int_equal(dz_str_cmp(DZ_S("\xff"), DZ_S("a")), 1);
}

static void searches(void **state)
{
    (void)state;
    dz_str s = DZ_S("a/b/c");
    assert_int_equal(dz_str_chr(s, '/'), 1);
    assert_int_equal(dz_str_rchr(s, '/'), 3);
    assert_true(dz_str_chr(s, 'x') == DZ_NPOS);
    assert_true(dz_str_rchr((dz_str){NULL, 0}, 'x') == DZ_NPOS);
    assert_int_equal(dz_str_find(s, DZ_S("b/c")), 2);
    assert_true(dz_str_find(s, DZ_S("c/")) == DZ_NPOS);
    assert_int_equal(dz_str_find((dz_str){NULL, 0}, DZ_S("")), 0);
    assert_true(dz_str_starts(s, DZ_S("a/")) && !dz_str_starts(DZ_S("a"), s));
    assert_true(dz_str_ends(s, DZ_S("/c")) && !dz_str_ends(DZ_S("c"), s));
    assert_true(dz_str_ends(s, (dz_str){NULL, 0}));
}

static void cuts(void **state)
{
    (void)state;
    dz_str s = DZ_S("hello");
    assert_true(dz_str_eq(dz_str_sub(s, 1, 3), DZ_S("el")));
    assert_true(dz_str_eq(dz_str_sub(s, 3, 99), DZ_S("lo")));
    assert_int_equal(dz_str_sub(s, 9, 3).n, 0);
    assert_true(dz_str_eq(dz_str_trim(DZ_S(" \t\r\na b\n ")), DZ_S("a b")));
    assert_int_equal(dz_str_trim(DZ_S(" \r\n")).n, 0);
    assert_true(dz_str_eq(dz_str_clip(DZ_S("abc"), 3), DZ_S("abc")));
    assert_true(dz_str_eq(dz_str_clip(DZ_S("a\u00e9b"), 3), DZ_S("a\u00e9")));
    assert_true(dz_str_eq(dz_str_clip(DZ_S("a\u00e9b"), 2), DZ_S("a")));
    assert_int_equal(dz_str_clip(DZ_S("\U0001F600"), 3).n, 0);
    DZ_AUTO(dz_freep) char *copy = dz_str_dup(dz_str_sub(s, 0, 4));
    assert_string_equal(copy, "hell");
    DZ_AUTO(dz_freep) char *empty = dz_str_dup((dz_str){NULL, 0});
    assert_string_equal(empty, "");
}

static void reads_numbers(void **state)
{
    (void)state;
    uint64_t n = 7;
    must(dz_str_u64(DZ_S("0"), 0, &n, err));
    assert_true(n == 0);
    must(dz_str_u64(DZ_S("18446744073709551615"), UINT64_MAX, &n, err));
    assert_true(n == UINT64_MAX);
    must(dz_str_u64(DZ_S("00042"), 42, &n, err));
    assert_true(n == 42);
    const char *bad[] = {"",    "-1",
                         "+1",  " 1",
                         "1 ",  "1a",
                         "0x1", "18446744073709551616",
                         "101", "99999999999999999999999"};
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        struct dz_err err = {0};
        uint64_t max = strcmp(bad[i], "101") == 0 ? 100 : UINT64_MAX;
        assert_int_equal(dz_str_u64(dz_str_of(bad[i]), max, &n, &err), DZ_BAD_INPUT);
        assert_true(err.text[0]);
        assert_true(n == 42);
    }
}

/* In the order they must have; every pair is compared both ways, which shows the order is total. */
static void orders_naturally(void **state)
{
    (void)state;
    static const char *const sorted[] = {
        "",
        " ",
        "01",
        "1",
        "1.5",
        "2",
        "10",
        "10a",
        "0010b",
        "99999999999999999999",
        "100000000000000000000",
        "A",
        "a",
        "a0",
        "a00",
        "A1",
        "a01",
        "a1",
        "A1b",
        "a2",
        "a10",
        "chapter 9",
        "Chapter 10",
        "chapter 10.5",
        "chapter 11",
        "z",
        "\xc3\xa9",
    };
    for (size_t i = 0; i < DZ_LEN(sorted); i++) {
        for (size_t j = 0; j < DZ_LEN(sorted); j++) {
            int order = dz_str_natural_cmp(dz_str_of(sorted[i]), dz_str_of(sorted[j]));
            int want = i == j ? 0 : i < j ? -1 : 1;
            if (order != want)
                fail_msg("\"%s\" against \"%s\": %d, wanted %d", sorted[i], sorted[j], order, want);
        }
    }
}

static void knows_utf8(void **state)
{
    (void)state;
    assert_true(dz_str_is_utf8((dz_str){NULL, 0}));
    assert_true(dz_str_is_utf8(DZ_S("plain \xc2\x80 \xe3\x81\x82 \xef\xbf\xbf \xf4\x8f\xbf\xbf")));
    static const char *const bad[] = {
        "\x80",             /* a continuation byte alone */
        "\xc0\x80",         /* overlong NUL */
        "\xc1\xbf",         /* overlong */
        "\xe0\x9f\xbf",     /* overlong */
        "\xed\xa0\x80",     /* a surrogate */
        "\xf0\x8f\xbf\xbf", /* overlong */
        "\xf4\x90\x80\x80", /* over U+10FFFF */
        "\xf5\x80\x80\x80",
        "\xff",
        "a\xe3\x81",
        "\xe3\x81z",
        "\xf0\x9f\x98",
    };
    for (size_t i = 0; i < DZ_LEN(bad); i++)
        assert_false(dz_str_is_utf8(dz_str_of(bad[i])));
}

/* Each code point once through the decoder. */
static void decodes_every_code_point(void **state)
{
    (void)state;
    for (int32_t want = 0; want <= 0x10ffff; want++) {
        if (want >= 0xd800 && want <= 0xdfff)
            continue;
        char b[4];
        size_t n = 0;
        if (want < 0x80) {
            b[n++] = (char)want;
        } else {
            size_t tail = want < 0x800 ? 1 : want < 0x10000 ? 2 : 3;
            static const int lead[] = {0, 0xc0, 0xe0, 0xf0};
            b[n++] = (char)(lead[tail] | want >> (6 * tail));
            while (tail-- > 0)
                b[n++] = (char)(0x80 | (want >> (6 * tail) & 0x3f));
        }
        int32_t cp;
        if (dz_utf8_step((dz_str){b, n}, &cp) != n || cp != want)
            fail_msg("U+%04X came back as %d", (unsigned)want, cp);
        if (n > 1)
            assert_true(dz_utf8_step((dz_str){b, n - 1}, &cp) == n - 1 && cp == -1);
    }
}

static void measures_distance(void **state)
{
    (void)state;
    assert_int_equal(dz_str_distance(DZ_S("kitten"), DZ_S("SITTING")), 3);
    assert_int_equal(dz_str_distance(DZ_S(""), DZ_S("abc")), 3);
    assert_int_equal(dz_str_distance(DZ_S("listen"), DZ_S("Listen")), 0);
    char wide[65];
    memset(wide, 'x', sizeof(wide));
    assert_true(dz_str_distance((dz_str){wide, 65}, DZ_S("x")) == UINT_MAX);
    assert_int_equal(dz_str_distance((dz_str){wide, 64}, DZ_S("x")), 63);
}

static void cuts_the_port_off(void **state)
{
    (void)state;
    static const char *const hosts[][2] = {
        {"", ""},
        {"a.example", "a.example"},
        {"a.example:8080", "a.example"},
        {"a.example:", "a.example"},
        {"a.example:http", "a.example:http"},
        {"a:1:2", "a:1:2"},
        {":80", ""},
        {"[::1]", "[::1]"},
        {"[::1]:443", "[::1]"},
        {"[::1]:", "[::1]"},
        {"[::1]443", "[::1]443"},
        {"[::1", "[::1"},
        {"::1", "::1"},
        {"[::1]:4x", "[::1]:4x"},
    };
    for (size_t i = 0; i < DZ_LEN(hosts); i++) {
        dz_str got = dz_str_without_port(dz_str_of(hosts[i][0]));
        if (!dz_str_eq(got, dz_str_of(hosts[i][1])))
            fail_msg("%s: %.*s", hosts[i][0], DZ_STR_FMT(got));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_the_port_off), cmocka_unit_test(compares),
        cmocka_unit_test(searches),          cmocka_unit_test(cuts),
        cmocka_unit_test(reads_numbers),     cmocka_unit_test(orders_naturally),
        cmocka_unit_test(knows_utf8),        cmocka_unit_test(decodes_every_code_point),
        cmocka_unit_test(measures_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
