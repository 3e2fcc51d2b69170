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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_type),
        cmocka_unit_test(by_name),
        cmocka_unit_test(image_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
