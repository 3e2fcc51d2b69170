/* mime: the two tables, and what counts as an extension. */
#include "test.h"

#include "media/media.h"

static void by_type(void **state)
{
    (void)state;
    assert_string_equal(dz_media_mime(DZ_MEDIA_JPEG), "image/jpeg");
    assert_string_equal(dz_media_ext(DZ_MEDIA_JPEG), "jpg");
    assert_string_equal(dz_media_mime(DZ_MEDIA_UNKNOWN), "application/octet-stream");
    assert_string_equal(dz_media_ext(DZ_MEDIA_UNKNOWN), "bin");
    for (int t = 0; t < DZ_MEDIA_TYPE_COUNT; t++) {
        assert_non_null(dz_media_mime((enum dz_media_type)t));
        assert_non_null(dz_media_ext((enum dz_media_type)t));
    }
    assert_string_equal(dz_media_ext(DZ_MEDIA_TYPE_COUNT), "bin");
}

static void by_name(void **state)
{
    (void)state;
    assert_string_equal(dz_media_mime_of_name(DZ_S("407-01.jpg")), "image/jpeg");
    assert_string_equal(dz_media_mime_of_name(DZ_S("a.b/C.TAR.PNG")), "image/png");
    assert_string_equal(dz_media_mime_of_name(DZ_S("x.cbz")), "application/vnd.comicbook+zip");
    assert_string_equal(dz_media_mime_of_name(DZ_S("x.html")), "text/html");
    assert_null(dz_media_mime_of_name(DZ_S("x")));
    assert_null(dz_media_mime_of_name(DZ_S("x.")));
    assert_null(dz_media_mime_of_name(DZ_S(".jpg")));
    assert_null(dz_media_mime_of_name(DZ_S("..jpg")));
    assert_null(dz_media_mime_of_name(DZ_S("a.jpg/x")));
    assert_null(dz_media_mime_of_name(DZ_S("")));
    assert_null(dz_media_mime_of_name(DZ_S("x.jpgg")));
}

static void image_names(void **state)
{
    (void)state;
    assert_true(dz_media_name_is_image(DZ_S("第1話.JPEG")));
    assert_true(dz_media_name_is_image(DZ_S("a.JxL")));
    assert_false(dz_media_name_is_image(DZ_S("a.svg")));
    assert_false(dz_media_name_is_image(DZ_S("a.cbz")));
    assert_false(dz_media_name_is_image(DZ_S("jpg")));
}

static void page_names(void **state)
{
    (void)state;
    static const struct {
        uint32_t at;
        unsigned width;
        const char *mime, *name;
    } cases[] = {{0, 3, "image/jpeg", "001.jpg"}, {119, 3, "image/webp", "120.webp"},
                 {9, 1, "image/png", "10.png"},   {1233, 3, "image/gif", "1234.gif"},
                 {4, 4, "text/html", "0005.png"}, {0, 2, "application/octet-stream", "01.png"},
                 {1, 2, "image/tiff", "02.tiff"}, {0, 1, "", "1.png"}};
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        struct dz_buf b;
        dz_buf_init(&b, 64);
        dz_media_page_name(cases[i].at, cases[i].width, dz_str_of(cases[i].mime), &b);
        assert_string_equal(dz_buf_cstr(&b), cases[i].name);
        dz_buf_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_type),
        cmocka_unit_test(by_name),
        cmocka_unit_test(image_names),
        cmocka_unit_test(page_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
