/*
 * Texts for people: what a terminal would act on is escaped, wide characters count two columns,
 * cuts keep to the width.
 */
#include "test.h"

#include "cli/cli_int.h"

static struct dz_buf out;

static const char *safe(const char *text, size_t n, size_t columns, size_t expected_columns)
{
    dz_buf_clear(&out);
    assert_int_equal(dz_text_put(&out, (dz_str){text, n}, columns), expected_columns);
    return dz_buf_cstr(&out);
}
#define SAFE(text, columns, expected) safe(text, sizeof(text) - 1, columns, expected)

static void control_bytes_are_escaped(void **state)
{
    (void)state;
    assert_string_equal(SAFE("a\x1b[31mb", SIZE_MAX, 10), "a\\x1b[31mb");
    assert_string_equal(SAFE("a\nb\r\tc\x7f", SIZE_MAX, 19), "a\\x0ab\\x0d\\x09c\\x7f");
    assert_string_equal(SAFE("nul\0.", SIZE_MAX, 8), "nul\\x00.");
    /* CSI as one C1 character, in UTF-8 and as a bare byte */
    assert_string_equal(SAFE("\xc2\x9b", SIZE_MAX, 8), "\\xc2\\x9b");
    assert_string_equal(SAFE("\x9b"
                             "x",
                             SIZE_MAX, 5),
                        "\\x9bx");
    /* overlong, surrogate, cut */
    assert_string_equal(SAFE("\xc0\xaf", SIZE_MAX, 8), "\\xc0\\xaf");
    assert_string_equal(SAFE("\xed\xa0\x80", SIZE_MAX, 12), "\\xed\\xa0\\x80");
    assert_string_equal(SAFE("é\xe3\x81", SIZE_MAX, 9), "é\\xe3\\x81");
    /* right-to-left override, line separator */
    assert_string_equal(SAFE("\xe2\x80\xae"
                             "gpj.exe",
                             SIZE_MAX, 19),
                        "\\xe2\\x80\\xaegpj.exe");
    assert_string_equal(SAFE("\xe2\x80\xa8", SIZE_MAX, 12), "\\xe2\\x80\\xa8");
}

static void widths_are_columns(void **state)
{
    (void)state;
    assert_string_equal(SAFE("", SIZE_MAX, 0), "");
    assert_string_equal(SAFE("abc", SIZE_MAX, 3), "abc");
    assert_string_equal(SAFE("吾輩は猫", SIZE_MAX, 8), "吾輩は猫");
    assert_string_equal(SAFE("e\xcc\x81", SIZE_MAX, 1), "e\xcc\x81"); /* a combining accent */
    assert_string_equal(SAFE("ｶﾞ", SIZE_MAX, 2), "ｶﾞ");               /* half-width */
}

static void cuts_keep_to_the_width(void **state)
{
    (void)state;
    assert_string_equal(SAFE("abcdef", 6, 6), "abcdef");
    assert_string_equal(SAFE("abcdefg", 6, 6), "abc...");
    assert_string_equal(SAFE("abcdefg", 3, 3), "...");
    assert_string_equal(SAFE("abcdefg", 2, 2), "..");
    assert_string_equal(SAFE("abcdefg", 0, 0), "");
    assert_string_equal(SAFE("吾輩は猫である", 14, 14), "吾輩は猫である");
    assert_string_equal(SAFE("吾輩は猫である", 13, 13), "吾輩は猫で...");
    assert_string_equal(SAFE("吾輩は猫である", 12, 11), "吾輩は猫..."); /* no half characters */
    assert_string_equal(SAFE("ab\x1b"
                             "cdef",
                             7, 5),
                        "ab..."); /* no half escapes */
}

static void every_width_holds(void **state)
{
    (void)state;
    static const char text[] = "a吾\x1b輩e\xcc\x81\xff猫abc である.png";
    for (size_t columns = 0; columns < 60; columns++) {
        dz_buf_clear(&out);
        size_t taken = dz_text_put(&out, (dz_str){text, sizeof(text) - 1}, columns);
        assert_true(taken <= columns);
        dz_str written = dz_buf_str(&out);
        dz_buf_cstr(&out);
        struct dz_buf again DZ_AUTO(dz_buf_done);
        dz_buf_init(&again, DZ_KIB);
        assert_int_equal(dz_text_put(&again, written, SIZE_MAX),
                         taken); /* what was said is what is there */
        assert_true(dz_str_eq(dz_buf_str(&again), written));
    }
}

static void counts(void **state)
{
    (void)state;
    dz_buf_clear(&out);
    dz_count_put(&out, 1, "chapter", "chapters");
    dz_buf_putc(&out, '/');
    dz_count_put(&out, 0, "chapter", "chapters");
    assert_string_equal(dz_buf_cstr(&out), "1 chapter/0 chapters");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_bytes_are_escaped),
        cmocka_unit_test(widths_are_columns),
        cmocka_unit_test(cuts_keep_to_the_width),
        cmocka_unit_test(every_width_holds),
        cmocka_unit_test(counts),
    };
    dz_buf_init(&out, DZ_MIB);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    dz_buf_done(&out);
    return failed;
}
