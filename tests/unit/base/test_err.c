/* err: the table is whole; errors are one tidy line that never overflows. */
#include "test.h"

#include "dies.h"

#include <errno.h>

static void has_a_row_for_each_code(void **state)
{
    (void)state;
    for (int i = 0; i < DZ_CODE_COUNT; i++) {
        enum dz_code code = (enum dz_code)i;
        assert_non_null(dz_code_name(code));
        assert_non_null(dz_code_graphql(code));
        int status = dz_code_http_status(code);
        assert_true(code == DZ_OK ? status == 200 : status >= 400 && status <= 507);
    }
    assert_string_equal(dz_code_name(DZ_NOT_FOUND), "not_found");
    assert_string_equal(dz_code_graphql(DZ_NOT_FOUND), "NOT_FOUND");
    assert_int_equal(dz_code_http_status(DZ_NOT_FOUND), 404);
    assert_int_equal(dz_code_http_status(DZ_FULL), 507);
    assert_true(dz_code_retries(DZ_RATE_LIMITED) && dz_code_retries(DZ_UNAVAILABLE) &&
                dz_code_retries(DZ_TIMEOUT) && dz_code_retries(DZ_FULL));
    assert_false(dz_code_retries(DZ_NOT_FOUND) || dz_code_retries(DZ_PARSE));
    assert_string_equal(dz_code_name((enum dz_code)99), "internal");
}

static void is_filled(void **state)
{
    (void)state;
    struct dz_err err = {0};
    assert_int_equal(dz_fail(&err, DZ_PARSE, "line %d", 3), DZ_PARSE);
    assert_int_equal(err.code, DZ_PARSE);
    assert_int_equal(err.native, 0);
    assert_string_equal(err.text, "line 3");
    assert_int_equal(dz_fail_errno(&err, DZ_NOT_FOUND, ENOENT, "open %s", "x"), DZ_NOT_FOUND);
    assert_int_equal(err.native, ENOENT);
    assert_string_equal(err.text, "open x: No such file or directory");
    assert_int_equal(dz_wrap(&err, DZ_IO, "settings"), DZ_NOT_FOUND);
    assert_string_equal(err.text, "settings: open x: No such file or directory");
    assert_int_equal(err.native, ENOENT);
    /* Words that quote the error they go into. */
    dz_fail(&err, DZ_IO, "was: %s", err.text);
    assert_string_equal(err.text, "was: settings: open x: No such file or directory");
    assert_int_equal(dz_fail(NULL, DZ_IO, "x"), DZ_IO);
    assert_int_equal(dz_fail_errno(NULL, DZ_IO, EIO, "x"), DZ_IO);
    assert_int_equal(dz_wrap(NULL, DZ_IO, "x"), DZ_IO);
}

static void is_one_line(void **state)
{
    (void)state;
    struct dz_err err = {0};
    dz_fail(&err, DZ_BAD_INPUT, "bad name \"a\r\nlevel=error\x1b[31m\x7f\"");
    assert_string_equal(err.text, "bad name \"a  level=error [31m \"");
}

/* Each length around the end, with letters of one to four bytes: the cut leaves whole letters. */
static void is_cut_between_letters(void **state)
{
    (void)state;
    static const char *const letters[] = {"a", "\xc3\xa9", "\xe3\x81\x82", "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < DZ_LEN(letters); i++) {
        for (int lead = 0; lead < 8; lead++) {
            struct dz_buf b DZ_AUTO(dz_buf_done);
            dz_buf_init(&b, 2000);
            for (int k = 0; k < lead; k++)
                dz_buf_putc(&b, '.');
            while (b.n < 600)
                dz_buf_put(&b, dz_str_of(letters[i]));
            struct dz_err err = {0};
            dz_fail(&err, DZ_PARSE, "%s", dz_buf_cstr(&b));
            size_t n = strlen(err.text);
            assert_true(n >= sizeof(err.text) - 4 && dz_str_is_utf8(dz_str_of(err.text)));
            dz_wrap(&err, DZ_PARSE, "%.*s", lead, "wrapping");
            assert_true(dz_str_is_utf8(dz_str_of(err.text)));
            dz_fail(&err, DZ_IO, "%.*s", 240, dz_buf_cstr(&b));
            dz_fail_errno(&err, DZ_IO, ENOENT, "%.*s", 244, dz_buf_cstr(&b));
            assert_true(strlen(err.text) < sizeof(err.text));
        }
    }
}

static enum dz_code inner(enum dz_code code)
{
    DZ_TRY(code);
    return DZ_OK;
}

static void is_passed_on(void **state)
{
    (void)state;
    assert_int_equal(inner(DZ_OK), DZ_OK);
    assert_int_equal(inner(DZ_GONE), DZ_GONE);
}

static void fail_with_success(void)
{
    dz_fail(NULL, DZ_OK, "nothing");
}

static void does_not_fail_with_success(void **state)
{
    (void)state;
    assert_true(panics(fail_with_success, "code != DZ_OK"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_a_row_for_each_code),
        cmocka_unit_test(is_filled),
        cmocka_unit_test(is_one_line),
        cmocka_unit_test(is_cut_between_letters),
        cmocka_unit_test(is_passed_on),
        cmocka_unit_test(does_not_fail_with_success),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
