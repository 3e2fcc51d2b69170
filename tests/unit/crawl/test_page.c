/*
 * page: what becomes of the bytes of one answer, with every kind of transform and of picture.
 */
#include "test.h"

#include "crawl/crawl_int.h"

#define RETILE(key)                                                                                \
    "[{\"kind\":\"drop_blank\"},{\"kind\":\"retile\",\"columns\":10,\"rows\":15,\"gap\":10,"       \
    "\"key\":" key "}]"
#define EXIF RETILE("{\"exif\":\"ImageUniqueID\"}")

static struct dz_buf file;

static dz_str fixture(const char *name)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", TEST_PAGES, name);
    dz_buf_done(&file);
    dz_buf_init(&file, DZ_MIB);
    must(dz_file_read(path, &file, err));
    return dz_buf_str(&file);
}

static enum dz_code make(dz_str bytes, const char *transform, struct crawl_page_out *out,
                         struct dz_err *err)
{
    json_t *v = transform ? json_loads(transform, 0, NULL) : NULL;
    assert_true(v || !transform);
    enum dz_code code = crawl_page_make(bytes, v, out, err);
    json_decref(v);
    return code;
}

static void test_tiles_come_in_order(void **state)
{
    (void)state;
    for (int n = 1; n <= 2; n++) {
        char name[32];
        struct crawl_page_out out;
        snprintf(name, sizeof(name), "shuffled-%d.jpg", n);
        must(make(fixture(name), EXIF, &out, err));
        assert_false(out.dropped || out.no_key);
        assert_int_equal(out.info.width, 200);
        assert_int_equal(out.info.height, 300);
        snprintf(name, sizeof(name), "ordered-%d.jpg", n);
        dz_str wanted = fixture(name);
        assert_int_equal(out.bytes.n, wanted.n);
        assert_memory_equal(out.bytes.p, wanted.p, wanted.n);
        dz_buf_done(&out.bytes);
    }
}

static void test_kept_as_it_came(void **state)
{
    (void)state;
    struct crawl_page_out out;
    must(make(fixture("plain.jpg"), EXIF, &out, err));
    assert_true(out.no_key);
    assert_false(out.dropped);
    assert_int_equal(out.bytes.n, 0);
    assert_int_equal(out.info.width, 120);
    /* Without a wish nothing is done, and a blank page is a page. */
    static const char *const names[] = {"shuffled-1.jpg", "blank.jpg", "cover-1.jpg"};
    for (size_t i = 0; i < DZ_LEN(names); i++) {
        must(make(fixture(names[i]), i ? "[]" : NULL, &out, err));
        assert_false(out.no_key || out.dropped);
        assert_int_equal(out.bytes.n, 0);
        assert_int_equal(out.info.type, DZ_MEDIA_JPEG);
    }
}

static void test_blank_is_dropped(void **state)
{
    (void)state;
    struct crawl_page_out out;
    must(make(fixture("blank.jpg"), EXIF, &out, err));
    assert_true(out.dropped);
    assert_int_equal(out.bytes.n, 0);
    must(make(fixture("shuffled-1.jpg"), "[{\"kind\":\"drop_blank\"}]", &out, err));
    assert_false(out.dropped);
    assert_int_equal(out.bytes.n, 0);
}

static void test_keys_of_the_source(void **state)
{
    (void)state;
    struct crawl_page_out out;
    must(make(fixture("plain.jpg"),
              "[{\"kind\":\"retile\",\"columns\":4,\"rows\":4,\"gap\":4,\"key\":[3,2,1,0]}]", &out,
              err));
    assert_false(out.no_key);
    assert_true(out.bytes.n > 0);
    assert_int_equal(out.info.width, 120 - 3 * 4);
    assert_int_equal(out.info.height, 180 - 3 * 4);
    dz_buf_done(&out.bytes);
    must(make(fixture("plain.jpg"),
              "[{\"kind\":\"retile\",\"columns\":4,\"rows\":4,\"gap\":4,\"key\":\"3:2:1:0\"}]",
              &out, err));
    assert_true(out.bytes.n > 0);
    dz_buf_done(&out.bytes);
}

/* Every failure has words and leaves nothing behind (which the sanitizer sees). */
static void test_what_cannot_be_a_page(void **state)
{
    (void)state;
    struct crawl_page_out out;
    struct dz_err err = {0};
    dz_str whole = fixture("shuffled-1.jpg");
    const struct {
        dz_str bytes;
        const char *transform;
    } cases[] = {
        {{"", 0}, NULL},
        {DZ_S("<html><title>Oops</title>"), NULL},
        {DZ_S("{\"ok\":0}"), EXIF},
        {{whole.p, 10}, EXIF},
        {{whole.p, whole.n / 2}, EXIF},
        {whole, RETILE("\"5:xyz\"")},
        {whole, "[{\"kind\":\"swirl\"}]"},
        {whole, "[{\"kind\":\"retile\",\"columns\":4000,\"rows\":4000,\"gap\":9,\"key\":[0]}]"},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        err.text[0] = '\0';
        assert_int_not_equal(make(cases[i].bytes, cases[i].transform, &out, &err), DZ_OK);
        assert_true(strlen(err.text) > 0);
    }
}

static int teardown(void **state)
{
    (void)state;
    dz_buf_done(&file);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_tiles_come_in_order, teardown),
        cmocka_unit_test_teardown(test_kept_as_it_came, teardown),
        cmocka_unit_test_teardown(test_blank_is_dropped, teardown),
        cmocka_unit_test_teardown(test_keys_of_the_source, teardown),
        cmocka_unit_test_teardown(test_what_cannot_be_a_page, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
