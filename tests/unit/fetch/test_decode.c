/* fetch: content codings, and what stands behind their end, in pieces of any size. */
#include "test.h"

#include "fetch/fetch_int.h"

#include <string.h>
#include <zlib.h>

static size_t pack(const char *text, char *to, size_t room)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)text,
                  .avail_in = (uInt)strlen(text),
                  .next_out = (Bytef *)to,
                  .avail_out = (uInt)room};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t n = z.total_out;
    deflateEnd(&z);
    return n;
}

static bool give(void *arg, dz_str content)
{
    dz_buf_put(arg, content);
    return true;
}

/* What comes out when the bytes come `step` at a time; NULL: they are wrong or not whole. */
static const char *unpacked(dz_str packed, size_t step, struct dz_buf *out)
{
    struct dz_fetch_decoder *d = dz_fetch_decoder_new(DZ_S("gzip"));
    bool wrong = false, good = true;
    dz_buf_clear(out);
    for (size_t at = 0; at < packed.n && good; at += step)
        good = dz_fetch_decode(d, dz_str_sub(packed, at, at + step), give, out, &wrong);
    good = good && dz_fetch_decoder_is_whole(d);
    dz_fetch_decoder_free(&d);
    return good ? dz_buf_cstr(out) : NULL;
}

static void what_follows_a_member_adds_nothing(void **state)
{
    (void)state;
    char packed[400];
    DZ_AUTO(dz_buf_done) struct dz_buf out;
    dz_buf_init(&out, DZ_MIB);
    size_t n = pack("hello world", packed, sizeof(packed));
    memcpy(packed + n, "padding", 7);
    for (size_t step = 1; step <= n + 7; step++) {
        const char *text = unpacked((dz_str){packed, n + 7}, step, &out);
        assert_non_null(text);
        assert_string_equal(text, "hello world");
    }
    n += pack(" and more", packed + n, sizeof(packed) - n);
    memset(packed + n, 0, 9);
    for (size_t step = 1; step <= n + 9; step++) {
        const char *text = unpacked((dz_str){packed, n + 9}, step, &out);
        assert_non_null(text);
        assert_string_equal(text, "hello world and more");
    }
    assert_null(unpacked((dz_str){packed, n - 1}, n, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_follows_a_member_adds_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
