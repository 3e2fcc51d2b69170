/* image: sniffing, sizes and damage of every picture type, with files of real encoders and
 * hand-made headers. */
#include "fixture.h"

static const struct {
    const char *file;
    enum dz_media_type type;
    uint32_t width, height;
    bool finds_every_cut; /* each shorter piece of the file must be refused */
} pictures[] = {
    {"page.jpg", DZ_MEDIA_JPEG, 16, 24, true},   {"progressive.jpg", DZ_MEDIA_JPEG, 16, 24, true},
    {"page.png", DZ_MEDIA_PNG, 16, 24, true},    {"interlaced.png", DZ_MEDIA_PNG, 16, 24, true},
    {"page.gif", DZ_MEDIA_GIF, 16, 24, true},    {"animated.gif", DZ_MEDIA_GIF, 16, 24, true},
    {"lossy.webp", DZ_MEDIA_WEBP, 16, 24, true}, {"lossless.webp", DZ_MEDIA_WEBP, 16, 24, true},
    {"alpha.webp", DZ_MEDIA_WEBP, 16, 24, true}, {"animated.webp", DZ_MEDIA_WEBP, 16, 24, true},
    {"page.avif", DZ_MEDIA_AVIF, 16, 24, true},  {"page.jxl", DZ_MEDIA_JXL, 16, 24, false},
    {"odd.jxl", DZ_MEDIA_JXL, 17, 23, false},    {"container.jxl", DZ_MEDIA_JXL, 16, 24, true},
    {"page.bmp", DZ_MEDIA_BMP, 16, 24, true},    {"page.tif", DZ_MEDIA_TIFF, 16, 24, false},
    {"big.tif", DZ_MEDIA_TIFF, 16, 24, false},
};

static void reads_real_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < DZ_LEN(pictures); i++) {
        struct dz_buf b = fixture(pictures[i].file);
        struct dz_media_info info;
        struct dz_err err = {0};
        if (dz_media_inspect(dz_buf_str(&b), &info, &err) != DZ_OK)
            fail_msg("%s: %s", pictures[i].file, err.text);
        assert_int_equal(info.type, pictures[i].type);
        assert_int_equal(info.width, pictures[i].width);
        assert_int_equal(info.height, pictures[i].height);
        assert_int_equal(dz_media_sniff(dz_str_sub(dz_buf_str(&b), 0, 64)), pictures[i].type);
        dz_buf_done(&b);
    }
}

static void notices_cuts(void **state)
{
    (void)state;
    for (size_t i = 0; i < DZ_LEN(pictures); i++) {
        struct dz_buf b = fixture(pictures[i].file);
        for (size_t n = 0; n < b.n; n++) {
            dz_str part = {exact_copy(dz_str_sub(dz_buf_str(&b), 0, n)), n};
            struct dz_media_info info;
            struct dz_err err = {0};
            enum dz_code code = dz_media_inspect(part, &info, &err);
            if (code == DZ_OK && pictures[i].finds_every_cut)
                fail_msg("%s: cut at %zu of %zu went unnoticed", pictures[i].file, n, b.n);
            if (code != DZ_OK)
                assert_true(code == DZ_PARSE && err.text[0] != '\0');
            free((char *)part.p);
        }
        dz_buf_done(&b);
    }
}

/* Any single wrong byte: no crash, no endless loop, and the answer is well formed. */
static void survives_flips(void **state)
{
    (void)state;
    for (size_t i = 0; i < DZ_LEN(pictures); i++) {
        struct dz_buf b = fixture(pictures[i].file);
        char *p = exact_copy(dz_buf_str(&b));
        for (size_t at = 0; at < b.n; at++) {
            static const unsigned char wrongs[] = {0x00, 0xff, 0x7f, 0x80, 0x01};
            for (size_t k = 0; k < DZ_LEN(wrongs); k++) {
                struct dz_media_info info;
                char was = p[at];
                p[at] = (char)wrongs[k];
                if (dz_media_inspect((dz_str){p, b.n}, &info, NULL) == DZ_OK)
                    assert_true(info.width <= DZ_MEDIA_SIDE_MAX &&
                                info.height <= DZ_MEDIA_SIDE_MAX);
                p[at] = was;
            }
        }
        free(p);
        dz_buf_done(&b);
    }
}

static void expect(dz_str bytes, enum dz_code code, const char *words)
{
    struct dz_media_info info;
    struct dz_err err = {0};
    char *p = exact_copy(bytes);
    enum dz_code got = dz_media_inspect((dz_str){p, bytes.n}, &info, &err);
    free(p);
    if (got != code || strstr(err.text, words) == NULL)
        fail_msg("wanted %s \"%s\", got %s \"%s\"", dz_code_name(code), words, dz_code_name(got),
                 err.text);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    expect(DZ_S(""), DZ_PARSE, "empty file");
    expect(DZ_S("hello"), DZ_PARSE, "not an image");
    expect(DZ_S("\xef\xbb\xbf\n <!doctype html>"), DZ_PARSE, "web page");
    expect(DZ_S("{\"error\":1}"), DZ_PARSE, "JSON");
    expect(DZ_S("PK\3\4xxxx"), DZ_PARSE, "archive");
    expect(DZ_S("%PDF-1.4"), DZ_PARSE, "PDF");
    expect(DZ_S("\0\0\0\0\0"), DZ_PARSE, "zero bytes");
    expect(DZ_S("\0\0\0\x18"
                "ftypheic\0\0\0\0mif1heic"),
           DZ_PARSE, "HEIF");
    expect(DZ_S("BMW is a car and this is a text about it"), DZ_PARSE, "not an image");
    expect(DZ_S("\xff\xd8\xff"), DZ_PARSE, "truncated");
    expect(DZ_S("\xff\xd8\xff\xd9"), DZ_PARSE, "no picture");
    expect(DZ_S("\x89PNG\r\n\x1a\n"), DZ_PARSE, "truncated");
    expect(DZ_S("GIF89a\1\0\1\0\0\0\0;"), DZ_PARSE, "no picture");
    expect(DZ_S("RIFF\4\0\0\0WEBP"), DZ_PARSE, "no picture");
}

#define SOF "\xff\xc0\0\x0b\x08"
#define SOF_TAIL "\1\1\x11\0"
#define SOS "\xff\xda\0\x08\1\1\0\0\x3f\0"

static void jpeg_headers(void **state)
{
    (void)state;
    expect(DZ_S("\xff\xd8" SOF "\0\0\0\x10" SOF_TAIL SOS "x\xff\xd9"), DZ_PARSE, "DNL");
    expect(DZ_S("\xff\xd8" SOF "\0\x10\0\0" SOF_TAIL SOS "x\xff\xd9"), DZ_PARSE, "0 pixels wide");
    expect(DZ_S("\xff\xd8" SOS "x\xff\xd9"), DZ_PARSE, "does not tell its size");
    expect(DZ_S("\xff\xd8\xff\xe0\0\1" SOS), DZ_PARSE, "wrong length");
    expect(DZ_S("\xff\xd8\xff\xe0\0\2zz"), DZ_PARSE, "no marker at byte 6");
    expect(DZ_S("\xff\xd8" SOF "\0\x10\0\x10" SOF_TAIL SOS "xyz"), DZ_PARSE, "in the middle");
    /* A thumbnail's end marker inside APP1 is not the picture's. */
    expect(DZ_S("\xff\xd8\xff\xe1\0\4\xff\xd9" SOF "\0\x10\0\x10" SOF_TAIL SOS "xyz"), DZ_PARSE,
           "in the middle");
}

static void jpeg_tails(void **state)
{
    (void)state;
    struct dz_buf b = fixture("page.jpg");
    struct dz_media_info info;
    b.max = 1 * DZ_MIB;
    for (int i = 0; i < 40000; i++)
        dz_buf_putc(&b, '\0');
    must(dz_media_inspect(dz_buf_str(&b), &info, err));
    assert_int_equal(info.width, 16);
    for (int i = 0; i < 40000; i++)
        dz_buf_putc(&b, 'x');
    assert_int_equal(dz_media_inspect(dz_buf_str(&b), &info, NULL), DZ_PARSE);
    dz_buf_done(&b);

    /* fill bytes between blocks */
    must(dz_media_inspect(
        DZ_S("\xff\xd8\xff\xff" SOF "\0\x07\0\x09" SOF_TAIL "\xff\xff" SOS "x\xff\xd9"), &info,
        err));
    assert_int_equal(info.width, 9);
    assert_int_equal(info.height, 7);
}

static void png_sums(void **state)
{
    (void)state;
    struct dz_buf b = fixture("page.png");
    size_t idat = dz_str_find(dz_buf_str(&b), DZ_S("IDAT"));
    assert_true(idat != DZ_NPOS);
    b.p[idat + 6] ^= 1;
    expect(dz_buf_str(&b), DZ_PARSE, "PNG chunk IDAT has a wrong checksum");
    b.p[idat + 6] ^= 1;
    b.p[17] ^= 1;
    expect(dz_buf_str(&b), DZ_PARSE, "PNG chunk IHDR has a wrong checksum");
    b.p[17] ^= 1;
    dz_buf_put(&b, DZ_S("appended by somebody"));
    struct dz_media_info info;
    must(dz_media_inspect(dz_buf_str(&b), &info, err));
    dz_buf_done(&b);
}

static void put_le(char *p, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        p[i] = (char)(n >> (8 * i));
}

static void bmp_sizes(void **state)
{
    (void)state;
    struct dz_buf b = fixture("page.bmp");
    struct dz_media_info info;
    put_le(b.p + 22, (uint32_t)-24); /* rows from the top down */
    must(dz_media_inspect(dz_buf_str(&b), &info, err));
    assert_int_equal(info.height, 24);
    put_le(b.p + 22, 70000);
    expect(dz_buf_str(&b), DZ_TOO_LARGE, "16 x 70000");
    put_le(b.p + 22, 25);
    expect(dz_buf_str(&b), DZ_PARSE, "truncated");
    put_le(b.p + 22, 0x80000000u);
    expect(dz_buf_str(&b), DZ_TOO_LARGE, "16 x 2147483648");
    put_le(b.p + 22, 24);
    put_le(b.p + 18, (uint32_t)-16);
    expect(dz_buf_str(&b), DZ_PARSE, "-16 x 24");
    dz_buf_done(&b);
}

static void avif_properties(void **state)
{
    (void)state;
    struct dz_buf b = fixture("page.avif");
    struct dz_media_info info;
    size_t pitm = dz_str_find(dz_buf_str(&b), DZ_S("pitm"));
    assert_true(pitm != DZ_NPOS);
    b.p[pitm + 9] ^= 0x40; /* a primary item that nothing is associated with: the largest size */
    must(dz_media_inspect(dz_buf_str(&b), &info, err));
    assert_int_equal(info.width, 16);
    assert_int_equal(info.height, 24);
    size_t ispe = dz_str_find(dz_buf_str(&b), DZ_S("ispe"));
    memcpy(b.p + ispe, "free", 4);
    expect(dz_buf_str(&b), DZ_PARSE, "does not tell its size");
    dz_buf_done(&b);
    assert_int_equal(dz_media_sniff(DZ_S("\0\0\0\x18"
                                         "ftypmif1\0\0\0\0mif1avif")),
                     DZ_MEDIA_AVIF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_real_files), cmocka_unit_test(notices_cuts),
        cmocka_unit_test(survives_flips),   cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(jpeg_headers),     cmocka_unit_test(jpeg_tails),
        cmocka_unit_test(png_sums),         cmocka_unit_test(bmp_sizes),
        cmocka_unit_test(avif_properties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
