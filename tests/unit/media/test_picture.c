/* picture: decoded pictures: the vectors of contracts/komizip.md 6.5, files that its original
 * wrote, white pages, keys, and pictures made to hurt. */
#include "fixture.h"

/* Of the original's own library (Pillow with the same libjpeg-turbo) over the same pixels. */
#define ENCODED_100X150 "1df97cab2fba72e7698f49239b9f98cdafae3ee531ee57e66e36cdfa39c70326"
#define DECODED_100X150 "5fa1e54f99b459914dce4811d02be6d5bd3f9c53355bccce88f3a4fe52012ae2"
#define RETILED_FILE "2f4aa8af50f5669e1b74a96df509416a99eaa795998fbcbab81aed7d51b735c8"

#define TILES 104

static void source(uint32_t width, uint32_t height, struct dz_raster *r)
{
    *r = (struct dz_raster){width, height, dz_alloc((size_t)width * height * 3)};
    unsigned char *p = r->rgb;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++) {
            *p++ = (unsigned char)x;
            *p++ = (unsigned char)y;
            *p++ = (unsigned char)(7 * x + 13 * y);
        }
}

static void assert_sha(dz_str bytes, const char *want)
{
    char hex[65] = {0};
    struct dz_sha256 sha = dz_sha256_of(bytes);
    dz_hex(sha.b, sizeof(sha.b), hex);
    assert_string_equal(hex, want);
}

static dz_str pixels(const struct dz_raster *r)
{
    return (dz_str){(const char *)r->rgb, (size_t)r->width * r->height * 3};
}

static void keeps_the_vectors(void **state)
{
    (void)state;
    uint32_t p[TILES + 2], identity[TILES], wild[TILES];
    for (uint32_t i = 0; i < TILES; i++) {
        p[i] = wild[i] = (37 * i + 11) % TILES;
        identity[i] = i;
    }
    p[TILES] = 0;
    p[TILES + 1] = 1;
    wild[0] = 200;
    const struct {
        const char *id;
        uint32_t width, height, to_width, to_height;
        const uint32_t *key;
        size_t key_n;
        const char *sha;
    } rows[] = {
        {"V1", 874, 1285, 784, 1145, p, TILES,
         "1f493bb25d40188857039a311a239d24f031fb4c279841ddc0e4070fb4654bd8"},
        {"V2", 890, 1340, 800, 1200, p, TILES,
         "4a0ff1722fdc7f0958427b772f9a65319ea870d6fade3a8b3b109f8c4fb2cd3a"},
        {"V3", 874, 1285, 784, 1145, identity, TILES,
         "f1ad30fcac08666ee2210ebb3dc6babdb7e3b72db34b617125cf2b1a2365b6cb"},
        {"V4", 874, 1285, 784, 1145, p, 50,
         "632d7d86f5496a562b642bd2e828325e1e40024a0d096a8d0e88a90edaecf218"},
        {"V5", 874, 1285, 784, 1145, p, TILES + 2,
         "66cf655452ca5dff8e8da02596838107d30a9d564fd9a889128bb7fed0f58bf6"},
        {"V6", 874, 1285, 784, 1145, wild, TILES,
         "8510c78752c7810bbb1cca0840b65a6a39038bf1b66304978f8ab4879f4828eb"},
        {"V7", 437, 643, 347, 503, p, TILES,
         "db0168b6e87de0aa430ba014a844bc9f1a3c4d5e5d235d570e4d7763c30e86f6"},
        {"V8", 100, 150, 10, 10, p, TILES,
         "bf62819dfe95068960488c62d1629a0bdef59e031c6ab34b259d267752a433e7"},
    };
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        DZ_AUTO(dz_raster_done) struct dz_raster in, out;
        source(rows[i].width, rows[i].height, &in);
        struct dz_retile how = {10, 15, 10, rows[i].key, rows[i].key_n};
        assert_int_equal(dz_retile(&in, &how, &out, NULL), DZ_OK);
        assert_int_equal(out.width, rows[i].to_width);
        assert_int_equal(out.height, rows[i].to_height);
        assert_sha(pixels(&out), rows[i].sha);
    }
}

static void retiles_any_grid(void **state)
{
    (void)state;
    DZ_AUTO(dz_raster_done) struct dz_raster in, out = {0};
    source(40, 40, &in);
    struct dz_err err;
    static const uint32_t wild[] = {UINT32_MAX, 7, 0, 0, 99999};
    for (uint32_t columns = 3; columns < 60; columns += 4)
        for (uint32_t gap = 0; gap < 8; gap++) {
            struct dz_retile how = {columns, 3, gap, wild, DZ_LEN(wild)};
            enum dz_code code = dz_retile(&in, &how, &out, &err);
            bool fits = gap * (columns - 1) <= 40 && gap * 2 <= 40;
            assert_int_equal(code, fits ? DZ_OK : DZ_BAD_INPUT);
            if (fits)
                assert_int_equal(out.width, 40 - gap * (columns - 1));
            dz_raster_done(&out);
        }
    static const struct dz_retile bad[] = {
        {2, 15, 10, wild, 1}, {10, 2, 10, wild, 1}, {1001, 3, 0, wild, 1}, {3, 3, 1001, wild, 1}};
    for (size_t i = 0; i < DZ_LEN(bad); i++)
        assert_int_equal(dz_retile(&in, &bad[i], &out, &err), DZ_BAD_INPUT);
    assert_null(out.rgb);
}

static void writes_what_the_original_wrote(void **state)
{
    (void)state;
    DZ_AUTO(dz_raster_done) struct dz_raster in, back;
    DZ_AUTO(dz_buf_done) struct dz_buf bytes;
    dz_buf_init(&bytes, DZ_MIB);
    source(100, 150, &in);
    assert_int_equal(dz_jpeg_encode(&in, 75, &bytes, NULL), DZ_OK);
    assert_sha(dz_buf_str(&bytes), ENCODED_100X150);
    assert_int_equal(dz_jpeg_decode(dz_buf_str(&bytes), &back, NULL), DZ_OK);
    assert_sha(pixels(&back), DECODED_100X150);

    struct dz_buf small;
    dz_buf_init(&small, 100);
    assert_int_equal(dz_jpeg_encode(&in, 75, &small, NULL), DZ_TOO_LARGE);
    dz_buf_done(&small);
    struct dz_raster none = {0};
    assert_int_equal(dz_jpeg_encode(&none, 75, &bytes, NULL), DZ_BAD_INPUT);
}

static void puts_a_shuffled_file_in_order(void **state)
{
    (void)state;
    struct dz_buf file = fixture("shuffled.jpg");
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    DZ_AUTO(dz_raster_done) struct dz_raster in, out;
    DZ_AUTO(dz_buf_done) struct dz_buf bytes;
    dz_buf_init(&bytes, DZ_MIB);
    dz_str text;
    struct dz_err err;
    assert_int_equal(dz_exif_text(dz_buf_str(&file), "ImageUniqueID", a, &text, &err), DZ_OK);
    assert_true(dz_str_starts(text, DZ_S("b:30:55:")));
    struct dz_retile how = {10, 15, 10, NULL, 0};
    assert_int_equal(dz_retile_key(text, a, &how.key, &how.key_n, &err), DZ_OK);
    assert_int_equal(how.key_n, TILES);
    assert_int_equal(dz_jpeg_decode(dz_buf_str(&file), &in, &err), DZ_OK);
    assert_int_equal(dz_retile(&in, &how, &out, &err), DZ_OK);
    assert_int_equal(dz_jpeg_encode(&out, 75, &bytes, &err), DZ_OK);
    assert_sha(dz_buf_str(&bytes), RETILED_FILE);

    assert_int_equal(dz_exif_text(dz_buf_str(&file), "Model", a, &text, &err), DZ_NOT_FOUND);
    assert_int_equal(dz_exif_text(dz_buf_str(&file), "NoSuchTag", a, &text, &err), DZ_NOT_FOUND);
    size_t whole = dz_str_find(dz_buf_str(&file), (dz_str){"\xFF\xDB", 2});
    for (size_t n = 0; n < whole; n++) /* a cut block is no text and no crash */
        assert_int_equal(
            dz_exif_text(dz_str_sub(dz_buf_str(&file), 0, n), "ImageUniqueID", a, &text, &err),
            DZ_NOT_FOUND);
    dz_buf_done(&file);
    file = fixture("page.jpg");
    assert_int_equal(dz_exif_text(dz_buf_str(&file), "ImageUniqueID", a, &text, &err),
                     DZ_NOT_FOUND);
    dz_buf_done(&file);
}

static void reads_keys(void **state)
{
    (void)state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(16 * DZ_MIB);
    const uint32_t *key;
    size_t n;
    struct dz_err err;
    assert_int_equal(dz_retile_key(DZ_S("0: 1F:ffffffff"), a, &key, &n, &err), DZ_OK);
    assert_int_equal(n, 3);
    assert_int_equal(key[1], 31);
    assert_int_equal(key[2], UINT32_MAX);
    static const char *bad[] = {"", ":", "1:", "1::2", "g", "0x1", "-1", "123456789", "1;2"};
    for (size_t i = 0; i < DZ_LEN(bad); i++)
        assert_int_equal(dz_retile_key(dz_str_of(bad[i]), a, &key, &n, &err), DZ_BAD_INPUT);
    assert_int_equal(dz_retile_key(DZ_S("1:zz"), a, &key, &n, &err), DZ_BAD_INPUT);
    assert_non_null(strstr(err.text, "part 2"));
    assert_non_null(strstr(err.text, "zz"));
    DZ_AUTO(dz_freep) char *colons = dz_alloc(200000);
    memset(colons, ':', 200000);
    assert_int_equal(dz_retile_key((dz_str){colons, 200000}, a, &key, &n, &err), DZ_TOO_LARGE);
}

static void knows_white(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        bool white;
    } rows[] = {{"white.jpg", true},
                {"white-grey.jpg", true},
                {"white-cmyk.jpg", true},
                {"nearly-white.jpg", false},
                {"page.jpg", false}};
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        struct dz_buf file = fixture(rows[i].file);
        DZ_AUTO(dz_raster_done) struct dz_raster r;
        assert_int_equal(dz_jpeg_decode(dz_buf_str(&file), &r, NULL), DZ_OK);
        assert_int_equal(dz_raster_is_white(&r), rows[i].white);
        dz_buf_done(&file);
    }
    struct dz_raster none = {0};
    assert_false(dz_raster_is_white(&none));
    unsigned char pixel[] = {255, 255, 254};
    assert_false(dz_raster_is_white(&(struct dz_raster){1, 1, pixel}));
    unsigned char first[] = {254, 255, 255};
    assert_false(dz_raster_is_white(&(struct dz_raster){1, 1, first}));
}

static void turns_cmyk_to_rgb(void **state)
{
    (void)state;
    struct dz_buf file = fixture("cmyk.jpg");
    DZ_AUTO(dz_raster_done) struct dz_raster r;
    assert_int_equal(dz_jpeg_decode(dz_buf_str(&file), &r, NULL), DZ_OK);
    static const int want[] = {216, 137, 49}; /* of the original's library */
    for (int i = 0; i < 3; i++)
        assert_in_range(r.rgb[i] - want[i] + 2, 0, 4);
    dz_buf_done(&file);
}

static void refuses_damage_and_bombs(void **state)
{
    (void)state;
    struct dz_buf file = fixture("progressive.jpg");
    struct dz_raster r = {0};
    struct dz_err err;
    for (size_t n = 0; n + 2 < file.n; n++)
        assert_int_not_equal(dz_jpeg_decode(dz_str_sub(dz_buf_str(&file), 0, n), &r, &err), DZ_OK);
    assert_null(r.rgb);

    /* 65,500 x 65,500 by its header; the pixels are never asked for. */
    dz_str all = dz_buf_str(&file);
    size_t sof = dz_str_find(all, (dz_str){"\xFF\xC2", 2});
    assert_int_not_equal(sof, DZ_NPOS);
    memcpy(file.p + sof + 5, "\xFF\xDC\xFF\xDC", 4);
    assert_int_equal(dz_jpeg_decode(all, &r, &err), DZ_TOO_LARGE);
    assert_non_null(strstr(err.text, "65500"));
    /* 10,000 x 9,999 without subsampling: 572 MiB of coefficients, before any is read. */
    memcpy(file.p + sof + 5, "\x27\x0F\x27\x10", 4);
    for (size_t i = 0; i < 3; i++)
        file.p[sof + 11 + 3 * i] = 0x11;
    assert_int_equal(dz_jpeg_decode(all, &r, &err), DZ_TOO_LARGE);
    assert_non_null(strstr(err.text, "MiB of memory"));
    dz_buf_done(&file);

    /* One scan, repeated: each would cost a pass over the picture. */
    file = fixture("progressive.jpg");
    all = dz_buf_str(&file);
    size_t sos = dz_str_find(all, (dz_str){"\xFF\xDA", 2});
    size_t next = sos + 2;
    while (!(all.p[next] == '\xFF' && all.p[next + 1] != 0))
        next++;
    DZ_AUTO(dz_buf_done) struct dz_buf bomb;
    dz_buf_init(&bomb, 16 * DZ_MIB);
    dz_buf_put(&bomb, dz_str_sub(all, 0, sos));
    for (int i = 0; i < 5000; i++)
        dz_buf_put(&bomb, dz_str_sub(all, sos, next));
    dz_buf_put(&bomb, dz_str_sub(all, sos, all.n));
    assert_int_not_equal(dz_jpeg_decode(dz_buf_str(&bomb), &r, &err), DZ_OK);
    dz_buf_done(&file);

    assert_int_equal(dz_jpeg_decode(DZ_S("GIF89a"), &r, &err), DZ_UNSUPPORTED);
    assert_int_equal(dz_jpeg_decode((dz_str){0}, &r, &err), DZ_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_vectors),
        cmocka_unit_test(retiles_any_grid),
        cmocka_unit_test(writes_what_the_original_wrote),
        cmocka_unit_test(puts_a_shuffled_file_in_order),
        cmocka_unit_test(reads_keys),
        cmocka_unit_test(knows_white),
        cmocka_unit_test(turns_cmyk_to_rgb),
        cmocka_unit_test(refuses_damage_and_bombs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
