/* json: the three styles, escapes, numbers as Python writes them, wrong use. */
#include "test.h"

#include "base/base_int.h"
#include "dies.h"

#include <float.h>
#include <jansson.h>
#include <math.h>

static void write_sample(struct dz_json *j)
{
    dz_json_object(j);
    dz_json_key(j, DZ_S("a"));
    dz_json_int(j, 1);
    dz_json_key(j, DZ_S("b"));
    dz_json_array(j);
    dz_json_int(j, INT64_MIN);
    dz_json_object(j);
    dz_json_end(j);
    dz_json_array(j);
    dz_json_end(j);
    dz_json_bool(j, true);
    dz_json_end(j);
    dz_json_key(j, DZ_S("c"));
    dz_json_object(j);
    dz_json_key(j, DZ_S(""));
    dz_json_null(j);
    dz_json_key(j, DZ_S("r"));
    dz_json_raw(j, DZ_S("[0]"));
    dz_json_end(j);
    dz_json_end(j);
}

static void has_styles(void **state)
{
    (void)state;
    static const char *const want[] = {
        [DZ_JSON_COMPACT] = "{\"a\":1,\"b\":[-9223372036854775808,{},[],true],"
                            "\"c\":{\"\":null,\"r\":[0]}}",
        [DZ_JSON_PYTHON] = "{\"a\": 1, \"b\": [-9223372036854775808, {}, [], true], "
                           "\"c\": {\"\": null, \"r\": [0]}}",
        [DZ_JSON_INDENT4] = "{\n"
                            "    \"a\": 1,\n"
                            "    \"b\": [\n"
                            "        -9223372036854775808,\n"
                            "        {},\n"
                            "        [],\n"
                            "        true\n"
                            "    ],\n"
                            "    \"c\": {\n"
                            "        \"\": null,\n"
                            "        \"r\": [0]\n"
                            "    }\n"
                            "}",
    };
    for (size_t i = 0; i < DZ_LEN(want); i++) {
        struct dz_buf b DZ_AUTO(dz_buf_done);
        dz_buf_init(&b, 1000);
        struct dz_json j;
        dz_json_init(&j, &b, (enum dz_json_style)i, false);
        write_sample(&j);
        assert_string_equal(dz_buf_cstr(&b), want[i]);
    }
}

static void check_string(dz_str s, bool ascii, const char *want)
{
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 1000);
    struct dz_json j;
    dz_json_init(&j, &b, DZ_JSON_COMPACT, ascii);
    dz_json_str(&j, s);
    assert_string_equal(dz_buf_cstr(&b), want);
}

static void escapes(void **state)
{
    (void)state;
    dz_str controls = DZ_S("\" \\ / \n\r\t\b\f\x01\x1f\x7f\x00z");
    check_string(controls, false, "\"\\\" \\\\ / \\n\\r\\t\\b\\f\\u0001\\u001f\x7f\\u0000z\"");
    check_string(controls, true, "\"\\\" \\\\ / \\n\\r\\t\\b\\f\\u0001\\u001f\\u007f\\u0000z\"");
    dz_str wide = DZ_S("\xc3\xa9\xe3\x81\x82\xf0\x9f\x98\x80\xe2\x80\xa8.");
    check_string(wide, false, "\"\xc3\xa9\xe3\x81\x82\xf0\x9f\x98\x80\xe2\x80\xa8.\"");
    check_string(wide, true, "\"\\u00e9\\u3042\\ud83d\\ude00\\u2028.\"");
    dz_str bad = DZ_S("a\xff\xe3\x81z\xed\xa0\x80");
    check_string(bad, true, "\"a\\ufffd\\ufffdz\\ufffd\\ufffd\\ufffd\"");
    check_string(DZ_S("\xf0\x9f"), false, "\"\xef\xbf\xbd\"");
    check_string((dz_str){NULL, 0}, false, "\"\"");
}

/* The texts are Python's repr() of the same numbers. */
static void writes_reals(void **state)
{
    (void)state;
    static const struct {
        double x;
        const char *text;
    } cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {10.0, "10.0"},
        {10.5, "10.5"},
        {-1.25, "-1.25"},
        {0.1, "0.1"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.3333333333333333"},
        {100.0, "100.0"},
        {123456789.125, "123456789.125"},
        {0.0001, "0.0001"},
        {0.00001, "1e-05"},
        {0.00012345, "0.00012345"},
        {1.5e-7, "1.5e-07"},
        {1e15, "1000000000000000.0"},
        {1e16, "1e+16"},
        {1.5e16, "1.5e+16"},
        {9007199254740993.0, "9007199254740992.0"},
        {1e22, "1e+22"},
        {1e23, "1e+23"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {2.225073858507201e-308, "2.225073858507201e-308"},
        {5e-324, "5e-324"},
        {1e-323, "1e-323"},
        {5.684341886080802e-14, "5.684341886080802e-14"},
        {1763715635.123, "1763715635.123"},
        {NAN, "null"},
        {INFINITY, "null"},
        {-INFINITY, "null"},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        struct dz_buf b DZ_AUTO(dz_buf_done);
        dz_buf_init(&b, 1000);
        struct dz_json j;
        dz_json_init(&j, &b, DZ_JSON_COMPACT, false);
        dz_json_real(&j, cases[i].x);
        assert_string_equal(dz_buf_cstr(&b), cases[i].text);
    }
}

static void reals_come_back(void **state)
{
    (void)state;
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 50000; i++) {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        double x;
        memcpy(&x, &bits, sizeof(x));
        if (!isfinite(x))
            continue;
        char text[33] = {0};
        size_t n = dz_real_repr(x, text);
        assert_int_equal(n, strlen(text));
        assert_true(n <= 24);
        assert_true(strtod(text, NULL) == x);
    }
}

static void fills_up_once(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 20);
    struct dz_json j;
    dz_json_init(&j, &b, DZ_JSON_COMPACT, false);
    write_sample(&j);
    assert_true(b.full && b.n <= 20);
    assert_int_equal(j.depth, 0);
}

static struct dz_buf scratch;
static struct dz_json wrong;

static void begin_wrong(void)
{
    dz_buf_init(&scratch, 1000);
    dz_json_init(&wrong, &scratch, DZ_JSON_COMPACT, false);
}

static void key_in_array(void)
{
    begin_wrong();
    dz_json_array(&wrong);
    dz_json_key(&wrong, DZ_S("k"));
}

static void value_without_key(void)
{
    begin_wrong();
    dz_json_object(&wrong);
    dz_json_int(&wrong, 1);
}

static void key_without_value(void)
{
    begin_wrong();
    dz_json_object(&wrong);
    dz_json_key(&wrong, DZ_S("k"));
    dz_json_end(&wrong);
}

static void one_end_too_many(void)
{
    begin_wrong();
    dz_json_array(&wrong);
    dz_json_end(&wrong);
    dz_json_end(&wrong);
}

static void too_deep(void)
{
    begin_wrong();
    for (int i = 0; i < 33; i++)
        dz_json_array(&wrong);
}

static void asserts_right_use(void **state)
{
    (void)state;
    assert_true(panics(key_in_array, "assertion failed"));
    assert_true(panics(value_without_key, "assertion failed"));
    assert_true(panics(key_without_value, "assertion failed"));
    assert_true(panics(one_end_too_many, "assertion failed"));
    assert_true(panics(too_deep, "assertion failed"));
}

static void reads_texts(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"\"a\"", "a"}, {"\"\"", ""},      {"10", "10"},   {"10.5", "10.5"}, {"10.0", "10"},
        {"-3.0", "-3"}, {"1e20", "1e+20"}, {"null", NULL}, {"true", NULL},   {"[1]", NULL},
    };
    struct dz_arena *a = dz_arena_new(DZ_MIB);
    for (size_t i = 0; i < DZ_LEN(pairs); i++) {
        json_t *v = json_loads(pairs[i][0], JSON_DECODE_ANY, NULL);
        dz_str s = dz_json_scalar_text(a, v);
        assert_non_null(v);
        assert_int_equal(s.p != NULL, pairs[i][1] != NULL);
        assert_true(!s.p || dz_str_eq(s, dz_str_of(pairs[i][1])));
        json_decref(v);
    }
    dz_arena_free(&a);
    assert_null(dz_json_text(NULL).p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_styles),    cmocka_unit_test(escapes),
        cmocka_unit_test(writes_reals),  cmocka_unit_test(reals_come_back),
        cmocka_unit_test(fills_up_once), cmocka_unit_test(asserts_right_use),
        cmocka_unit_test(reads_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
