/* digest: published SHA-256 values, streaming, hex both ways. */
#include "test.h"

static void check(struct dz_sha256 d, const char *want)
{
    char hex[65] = {0};
    dz_hex(d.b, sizeof(d.b), hex);
    assert_string_equal(hex, want);
}

static const char empty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char million_a[] = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

static void digests(void **state)
{
    (void)state;
    check(dz_sha256_of((dz_str){NULL, 0}), empty);
    check(dz_sha256_of(DZ_S("abc")), abc);
}

static void digests_in_pieces(void **state)
{
    (void)state;
    DZ_AUTO(dz_sha256_free) struct dz_sha256_ctx *c = dz_sha256_new();
    char piece[1000];
    memset(piece, 'a', sizeof(piece));
    dz_sha256_add(c, (dz_str){NULL, 0});
    for (int i = 0; i < 1000; i++)
        dz_sha256_add(c, (dz_str){piece, sizeof(piece)});
    check(dz_sha256_end(c), million_a);
    DZ_AUTO(dz_sha256_free) struct dz_sha256_ctx *none = dz_sha256_new();
    check(dz_sha256_end(none), empty);
}

static void reads_hex(void **state)
{
    (void)state;
    unsigned char b[3] = {9, 9, 9};
    must(dz_unhex(DZ_S("00fFa1"), b, 3, err));
    assert_true(b[0] == 0 && b[1] == 0xff && b[2] == 0xa1);
    static const char *const bad[] = {"",       "00",     "0000000", "00000000",
                                      "00000g", "0x0000", "00 000"};
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        struct dz_err err = {0};
        assert_int_equal(dz_unhex(dz_str_of(bad[i]), b, 3, &err), DZ_BAD_INPUT);
        assert_true(b[0] == 0 && b[1] == 0xff && b[2] == 0xa1);
    }
    must(dz_unhex((dz_str){NULL, 0}, b, 0, err));
}

static void compares(void **state)
{
    (void)state;
    assert_true(dz_equal_const_time(DZ_S("key"), DZ_S("key")));
    assert_false(dz_equal_const_time(DZ_S("key"), DZ_S("kez")));
    assert_false(dz_equal_const_time(DZ_S("key"), DZ_S("keyy")));
    assert_true(dz_equal_const_time((dz_str){NULL, 0}, DZ_S("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests),
        cmocka_unit_test(digests_in_pieces),
        cmocka_unit_test(reads_hex),
        cmocka_unit_test(compares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
