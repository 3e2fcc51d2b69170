/*
 * test_rows: packing and unpacking of rows, without a database. What is packed is read back with
 * zlib itself, what is unpacked was written with it, so that neither half can hide the other's
 * fault.
 */
#include "place.h"

#include "store/rows_int.h"

#include <zlib.h>

/* Bytes that pack well in one half and not at all in the other. */
static char *mixed(size_t n)
{
    char *p = dz_alloc(n + 1);
    uint64_t seed = 7;
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        p[i] = i < n / 2 ? "abc "[i % 4] : (char)(seed >> 56);
    }
    return p;
}

static void packed_of(struct rows_spool *s, struct dz_buf *out)
{
    dz_buf_init(out, DZ_GIB);
    assert_true(dz_buf_reserve(out, (size_t)rows_spool_bytes(s)));
    out->n = (size_t)rows_spool_bytes(s);
    size_t half = out->n / 2;
    must(rows_spool_read(s, 0, out->p, half, err));
    must(rows_spool_read(s, half, out->p + half, out->n - half, err));
}

static void test_spool(void **state)
{
    struct place *p = *state;
    static const size_t sizes[] = {0, 1, 15, 16, 17, 5000, 200000, 3000000};
    for (int level = -1; level <= 9; level += level < 1 ? 1 : 4) {
        for (size_t i = 0; i < DZ_LEN(sizes); i++) {
            size_t n = sizes[i], step = n > 100000 ? 70000 : 7;
            DZ_AUTO(dz_freep) char *bytes = mixed(n);
            struct dz_blob_stat known = {.sha = dz_sha256_of((dz_str){bytes, n})}, stat;
            DZ_AUTO(rows_spool_free)
            struct rows_spool *s = rows_spool_new(p->dir, level, i % 2 ? &known : NULL);
            for (size_t at = 0; at < n; at += step)
                must(rows_spool_add(s, dz_str_sub((dz_str){bytes, n}, at, at + step), err));
            must(rows_spool_end(s, &stat, err));
            must(rows_spool_end(s, &stat, err));
            assert_int_equal(stat.bytes, n);
            assert_memory_equal(stat.sha.b, known.sha.b, 32);
            DZ_AUTO(dz_buf_done) struct dz_buf packed;
            packed_of(s, &packed);
            assert_true(level != 0 || packed.n > n);
            DZ_AUTO(dz_freep) char *back = dz_alloc(n + 1);
            uLongf back_n = n + 1;
            assert_int_equal(uncompress((Bytef *)back, &back_n, (Bytef *)packed.p, packed.n), Z_OK);
            assert_int_equal(back_n, n);
            assert_memory_equal(back, bytes, n);
        }
    }
    assert_int_equal(place_count(p, "."), 1); /* blobs, of the files store; no file has a name */
}

static void test_auto(void **state)
{
    struct place *p = *state;
    static const dz_str heads[] = {{"\x89PNG\r\n\x1a\n", 8}, {"\xff\xd8\xff\xe0", 4},
                                   {"RIFF....WEBPVP8 ", 16}, {"....ftypavif", 12},
                                   {"PK\x03\x04", 4},        {"<svg xmlns=", 11},
                                   {"plain text", 10},       {"\xff\xfb\x90", 3}};
    char body[4000];
    for (size_t i = 0; i < DZ_LEN(heads); i++) {
        struct dz_blob_stat stat;
        DZ_AUTO(rows_spool_free)
        struct rows_spool *s = rows_spool_new(p->dir, DZ_STORE_LEVEL_AUTO, NULL);
        memset(body, 'a', sizeof(body));
        memcpy(body, heads[i].p, heads[i].n);
        for (size_t at = 0; at < sizeof(body); at += 5)
            must(rows_spool_add(s, dz_str_sub((dz_str){body, sizeof(body)}, at, at + 5), err));
        must(rows_spool_end(s, &stat, err));
        assert_int_equal(rows_spool_bytes(s) < sizeof(body), i == 5 || i == 6);
    }
}

/* A type that was declared counts when the bytes do not tell; it makes nothing packed worse. */
static void test_declared(void **state)
{
    struct place *p = *state;
    static const struct {
        const char *mime;
        bool as_is;
    } rows[] = {
        {"image/png", true},     {"IMAGE/x-new; q=1", true}, {"video/mp4", true},
        {"audio/ogg", true},     {"image/svg+xml", false},   {"Image/SVG+XML;charset=utf-8", false},
        {"image/bmp ;x", false}, {"audio/wav", false},       {"text/plain", false},
        {"imagery/png", false},  {"image", false},           {"", false}};
    static char body[4000];
    for (size_t i = 0; i < DZ_LEN(rows); i++)
        for (int level = DZ_STORE_LEVEL_AUTO; level <= 9; level++) {
            struct dz_blob_stat stat;
            struct rows_spool *s = rows_spool_new(p->dir, level, NULL);
            rows_write_declare(s, dz_str_of(rows[i].mime));
            must(rows_spool_add(s, (dz_str){body, sizeof(body)}, err));
            must(rows_spool_end(s, &stat, err));
            bool as_is = level == DZ_STORE_LEVEL_AUTO ? rows[i].as_is : level == 0;
            assert_int_equal(rows_spool_bytes(s) > sizeof(body), as_is);
            rows_spool_free(&s);
        }
}

static void test_spool_fails(void **state)
{
    struct place *p = *state;
    size_t n = 400000;
    DZ_AUTO(dz_freep) char *bytes = mixed(n);
    DZ_AUTO(rows_spool_free)
    struct rows_spool *s = rows_spool_new(place_path(p, "none"), 0, NULL);
    struct dz_err why = {0};
    assert_int_equal(rows_spool_add(s, (dz_str){bytes, n}, &why), DZ_IO);
    assert_non_null(strstr(why.text, "none"));
}

/* In steps of `step` bytes; then how it ended. */
static enum dz_code unpack(dz_str packed, size_t step, uint64_t bytes_max, uint64_t hint,
                           struct dz_body **ret_body, struct dz_blob_stat *ret_stat)
{
    DZ_AUTO(rows_unpack_free)
    struct rows_unpack *u = rows_unpack_new(bytes_max, ret_body != NULL, hint, true);
    struct dz_err why = {0};
    for (size_t at = 0; at < packed.n; at += step)
        DZ_TRY(rows_unpack_add(u, dz_str_sub(packed, at, at + step), &why));
    return rows_unpack_end(u, ret_stat, ret_body, &why);
}

static void test_unpack(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 5000, 65536, 300000};
    for (int level = 0; level <= 9; level += 3) {
        for (size_t i = 0; i < DZ_LEN(sizes); i++) {
            size_t n = sizes[i];
            DZ_AUTO(dz_freep) char *bytes = mixed(n);
            uLongf packed_n = compressBound(n);
            DZ_AUTO(dz_freep) char *packed = dz_alloc(packed_n + 5);
            assert_int_equal(compress2((Bytef *)packed, &packed_n, (Bytef *)bytes, n, level), Z_OK);
            memcpy(packed + packed_n, "after", 5);
            const uint64_t hints[] = {0, n, n + 1, n / 2, n + 99999};
            for (size_t h = 0; h < DZ_LEN(hints); h++) {
                DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
                struct dz_blob_stat stat;
                dz_str row = {packed, packed_n + (h % 2 ? 5 : 0)};
                size_t step = h == 2 ? 1 : 7777;
                assert_int_equal(unpack(row, step, n, hints[h], &body, &stat), DZ_OK);
                assert_int_equal(body->n, n);
                assert_memory_equal(body->p, bytes, n);
                assert_int_equal(stat.bytes, n);
                struct dz_sha256 want = dz_sha256_of((dz_str){bytes, n});
                assert_memory_equal(stat.sha.b, want.b, 32);
                assert_int_equal(unpack(row, step, n, 0, NULL, &stat), DZ_OK);
                assert_int_equal(stat.bytes, n);
                assert_memory_equal(stat.sha.b, want.b, 32);
            }
            struct dz_blob_stat stat;
            struct dz_body *none = NULL;
            dz_str row = {packed, packed_n};
            if (n > 0) {
                assert_int_equal(unpack(row, 999, n - 1, 0, &none, &stat), DZ_TOO_LARGE);
                assert_int_equal(unpack(row, 999, n - 1, n, NULL, &stat), DZ_TOO_LARGE);
            }
            for (size_t cut = 0; cut < packed_n; cut += packed_n / 9 + 1)
                assert_int_equal(unpack(dz_str_sub(row, 0, cut), 999, n, n, &none, &stat),
                                 DZ_CORRUPT);
            packed[packed_n - 1] ^= 1; /* the checksum */
            assert_int_equal(unpack(row, 999, n, n, &none, &stat), DZ_CORRUPT);
            assert_null(none);
        }
    }
}

static void test_bomb(void **state)
{
    (void)state;
    z_stream z = {0};
    assert_int_equal(deflateInit(&z, 9), Z_OK);
    DZ_AUTO(dz_freep) char *zeros = dz_zalloc(DZ_MIB);
    DZ_AUTO(dz_freep) char *out = dz_alloc(DZ_MIB);
    z.next_out = (Bytef *)out;
    z.avail_out = DZ_MIB;
    for (int i = 0; i < 200; i++) {
        z.next_in = (Bytef *)zeros;
        z.avail_in = DZ_MIB;
        assert_int_equal(deflate(&z, i < 199 ? Z_NO_FLUSH : Z_FINISH),
                         i < 199 ? Z_OK : Z_STREAM_END);
    }
    dz_str row = {out, z.total_out};
    (void)deflateEnd(&z);
    struct dz_blob_stat stat;
    struct dz_body *none = NULL;
    assert_int_equal(unpack(row, row.n, DZ_MIB, 0, &none, &stat), DZ_TOO_LARGE);
    assert_int_equal(unpack(row, row.n, DZ_MIB, 0, NULL, &stat), DZ_TOO_LARGE);
    assert_null(none);
    assert_int_equal(unpack(row, row.n, DZ_GIB, 0, NULL, &stat), DZ_OK);
    assert_int_equal(stat.bytes, 200 * DZ_MIB);
}

static void test_no_stream(void **state)
{
    (void)state;
    static const dz_str rows[] = {{"", 0},
                                  {"plain bytes", 11},
                                  {"\x1f\x8b\x08\0\0\0\0\0", 8},
                                  {"\x78\xbb\x00\x00\x00\x01", 6}, /* wants a dictionary */
                                  {"\x78\x9c", 2}};
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        struct dz_blob_stat stat;
        assert_int_equal(unpack(rows[i], 100, DZ_MIB, 0, NULL, &stat), DZ_CORRUPT);
    }
}

static void test_names(void **state)
{
    (void)state;
    struct dz_sha256 sha = dz_sha256_of(DZ_S("a page")), back;
    char name[64];
    rows_blob_name(&sha, name);
    assert_true(rows_blob_sha((dz_str){name, 64}, &back));
    assert_memory_equal(sha.b, back.b, 32);
    assert_false(rows_blob_sha((dz_str){name, 63}, &back));
    name[9] = 'A';
    assert_false(rows_blob_sha((dz_str){name, 64}, &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_spool, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(test_auto, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(test_declared, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(test_spool_fails, place_setup, place_teardown),
        cmocka_unit_test(test_unpack),
        cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_no_stream),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) > 0;
}
