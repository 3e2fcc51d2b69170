/*
 * test_json_text: stored JSON objects pass through member by member, and nothing that is no JSON
 * gets in.
 */
#include "catalog/catalog_int.h"
#include "test.h"

/* Every member of `text` written in compact ASCII. */
static void same_after(const char *text, const char *want)
{
    DZ_AUTO(dz_members_done) struct dz_members m;
    DZ_AUTO(dz_buf_done) struct dz_buf out;
    dz_buf_init(&out, DZ_MIB);
    dz_members_init(&m, dz_str_of(text));
    struct dz_json j;
    dz_json_init(&j, &out, DZ_JSON_COMPACT, true);
    dz_json_object(&j);
    for (;;) {
        bool more;
        dz_str key, value;
        must(dz_members_next(&m, &more, &key, &value, err));
        if (!more)
            break;
        dz_json_key(&j, key);
        must(dz_members_put(&m, &j, value, err));
    }
    dz_json_end(&j);
    assert_string_equal(dz_buf_cstr(&out), want);
}

static void members_keep_order_and_numbers(void **state)
{
    (void)state;
    same_after("{}", "{}");
    same_after(" \t\n{ } \r\n", "{}");
    same_after("{\"z\" : 1 , \"a\" : 2}", "{\"z\":1,\"a\":2}");
    same_after("{\"n\":[1.0,-0,0.10,1e5,1E+400,-2.50e-3,123456789012345678901234567890]}",
               "{\"n\":[1.0,-0,0.10,1e5,1E+400,-2.50e-3,123456789012345678901234567890]}");
    same_after("{\"a\":{\"b\":[true,false,null,[],{}]},\"\":\"\"}",
               "{\"a\":{\"b\":[true,false,null,[],{}]},\"\":\"\"}");
}

static void strings_are_written_anew(void **state)
{
    (void)state;
    same_after("{\"\xc3\xa9\":\"\xe2\x80\x99 \\/ \\u0041\"}", "{\"\\u00e9\":\"\\u2019 / A\"}");
    same_after("{\"a\":\"\xf0\x9f\x98\x80\"}", "{\"a\":\"\\ud83d\\ude00\"}");
    same_after("{\"a\":\"\\ud83d\\uDE00\"}", "{\"a\":\"\\ud83d\\ude00\"}");
    same_after("{\"a\":\"\\u0000\\b\\f\\n\\r\\t\\\"\\\\\"}",
               "{\"a\":\"\\u0000\\b\\f\\n\\r\\t\\\"\\\\\"}");
}

static void what_is_no_json_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "[]",
        "1",
        "\"a\"",
        "null",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":}",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,\"a\":1}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1}x",
        "{\"a\":1}{}",
        "{\"a\" 1}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":1e}",
        "{\"a\":-}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":tru}",
        "{\"a\":nullx}",
        "{\"a\":[1,]}",
        "{\"a\":[1 2]}",
        "{\"a\":[1}",
        "{\"a\":{\"b\":1]}",
        "{\"a\":\"x}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\ud800x\"}",
        "{\"a\":\"\\ud800\\u0041\"}",
        "{\"a\":\"\\udc00\"}",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "{\"\xc3\":1}",
        "\xef\xbb\xbf{}",
    };
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        struct dz_err err = {0};
        enum dz_code code = dz_members_check(dz_str_of(bad[i]), NULL, 0, &err);
        if (code != DZ_BAD_INPUT || !strstr(err.text, "JSON line "))
            fail_msg("%s: %s (%s)", bad[i], dz_code_name(code), err.text);
    }
}

static void errors_say_where(void **state)
{
    (void)state;
    struct dz_err err = {0};
    assert_int_equal(dz_members_check(DZ_S("{\n  \"a\": 1,\n  \"b\" 2}"), NULL, 0, &err),
                     DZ_BAD_INPUT);
    assert_string_equal(err.text, "JSON line 3, column 7: ':' wanted");
}

static void depth_is_limited(void **state)
{
    (void)state;
    char text[256];
    for (unsigned deep = DZ_JSON_DEPTH_MAX - 1; deep <= DZ_JSON_DEPTH_MAX; deep++) {
        struct dz_buf b;
        dz_buf_init(&b, sizeof(text));
        dz_buf_put(&b, DZ_S("{\"a\":"));
        for (unsigned i = 0; i < deep; i++)
            dz_buf_putc(&b, '[');
        for (unsigned i = 0; i < deep; i++)
            dz_buf_putc(&b, ']');
        dz_buf_putc(&b, '}');
        assert_int_equal(dz_members_check(dz_buf_str(&b), NULL, 0, NULL),
                         deep < DZ_JSON_DEPTH_MAX ? DZ_OK : DZ_TOO_LARGE);
        dz_buf_done(&b);
    }
}

static void reserved_names_are_refused(void **state)
{
    (void)state;
    static const dz_str reserved[] = {{"title", 5}};
    struct dz_err err = {0};
    assert_int_equal(dz_members_check(DZ_S("{\"a\":{\"title\":1}}"), reserved, 1, NULL), DZ_OK);
    assert_int_equal(dz_members_check(DZ_S("{\"tit\\u006ce\":1}"), reserved, 1, &err),
                     DZ_BAD_INPUT);
    assert_non_null(strstr(err.text, "\"title\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_keep_order_and_numbers),
        cmocka_unit_test(strings_are_written_anew),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(errors_say_where),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(reserved_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
