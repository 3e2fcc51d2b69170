/* buf: growth up to the maximum, whole appends only, escapes for HTML and URLs. */
#include "test.h"

#include "dies.h"

static void grows(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 100000);
    assert_string_equal(dz_buf_cstr(&b), "");
    for (int i = 0; i < 10000; i++)
        dz_buf_put(&b, DZ_S("0123456789"));
    assert_int_equal(b.n, 100000);
    assert_false(b.full);
    for (size_t i = 0; i < b.n; i++)
        assert_int_equal(b.p[i], '0' + (int)(i % 10));
    assert_int_equal(strlen(dz_buf_cstr(&b)), 100000);
    dz_buf_putc(&b, 'x');
    assert_true(b.full);
    assert_int_equal(b.n, 100000);
}

static void stays_full(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 8);
    dz_buf_put(&b, DZ_S("12345"));
    dz_buf_put(&b, DZ_S("6789"));
    assert_true(b.full);
    dz_buf_putc(&b, 'x'); /* would fit, but there is a hole before it */
    dz_buf_putf(&b, "%d", 1);
    dz_buf_put_u64(&b, 2);
    assert_true(dz_str_eq(dz_buf_str(&b), DZ_S("12345")));
    assert_string_equal(dz_buf_cstr(&b), "");
    assert_false(dz_buf_reserve(&b, 1));
    dz_buf_clear(&b);
    assert_true(dz_buf_reserve(&b, 8));
    dz_buf_put(&b, DZ_S("12345678"));
    assert_string_equal(dz_buf_cstr(&b), "12345678");
    assert_false(dz_buf_reserve(&b, SIZE_MAX));
}

static void formats(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 1000);
    dz_buf_putf(&b, "%s", "");
    dz_buf_putf(&b, "%d-%s", 42, "x");
    dz_buf_putf(&b, "%0200d", 7);
    assert_int_equal(b.n, 204);
    assert_memory_equal(b.p, "42-x000", 7);
    assert_int_equal(b.p[203], '7');
    dz_buf_putf(&b, "%0900d", 7);
    assert_true(b.full);
    assert_int_equal(b.n, 204);
    dz_buf_clear(&b);
    dz_buf_put_u64(&b, 0);
    dz_buf_putc(&b, ' ');
    dz_buf_put_u64(&b, UINT64_MAX);
    assert_string_equal(dz_buf_cstr(&b), "0 18446744073709551615");
}

/* Every length around the growth steps, so that a format ends exactly at cap. */
static void formats_at_every_edge(void **state)
{
    (void)state;
    for (int n = 1; n < 300; n++) {
        struct dz_buf b DZ_AUTO(dz_buf_done);
        dz_buf_init(&b, 600);
        dz_buf_putf(&b, "%0*d", n, 1);
        dz_buf_putf(&b, "%0*d", n, 2);
        assert_int_equal(b.n, 2 * n);
        assert_int_equal(b.p[n - 1], '1');
        assert_int_equal(b.p[2 * n - 1], '2');
    }
}

static void is_taken(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 10);
    size_t n = 9;
    char *nothing = dz_buf_take(&b, &n);
    assert_int_equal(n, 0);
    assert_string_equal(nothing, "");
    free(nothing);
    dz_buf_put(&b, DZ_S("hi"));
    char *p = dz_buf_take(&b, NULL);
    assert_string_equal(p, "hi");
    free(p);
    assert_int_equal(b.n, 0);
    dz_buf_put(&b, DZ_S("0123456789"));
    assert_false(b.full);
}

static void escapes_html(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 1000);
    dz_buf_put_html(&b, DZ_S("<a href=\"x\" b='y'>&amp;\t\r\n\x01\x1f \xe3\x81\x82 \xff|\xe3\x81|"
                             "\xef\xbf\xbf</a>"));
    assert_string_equal(dz_buf_cstr(&b),
                        "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;amp;\t\r\n\xef\xbf\xbd"
                        "\xef\xbf\xbd \xe3\x81\x82 \xef\xbf\xbd|\xef\xbf\xbd|\xef\xbf\xbd"
                        "&lt;/a&gt;");
    struct dz_buf small DZ_AUTO(dz_buf_done);
    dz_buf_init(&small, 6);
    dz_buf_put_html(&small, DZ_S("ab<cd"));
    assert_true(small.full);
    assert_int_equal(small.n, 0);
}

static void escapes_urls(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 1000);
    dz_buf_put_url(&b, DZ_S("az-AZ.09_~ /?#%\xe3\x81\x82&=+:@"));
    assert_string_equal(dz_buf_cstr(&b), "az-AZ.09_~%20%2F%3F%23%25%E3%81%82%26%3D%2B%3A%40");
    struct dz_buf small DZ_AUTO(dz_buf_done);
    dz_buf_init(&small, 4);
    dz_buf_put_url(&small, DZ_S("ab/"));
    assert_true(small.full);
    assert_int_equal(small.n, 0);
}

static void take_without_maximum(void)
{
    struct dz_buf b;
    dz_buf_init(&b, SIZE_MAX);
}

static void wants_a_maximum(void **state)
{
    (void)state;
    assert_true(panics(take_without_maximum, "assertion failed: max"));
}

static const char *size(uint64_t bytes)
{
    static char text[32];
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, sizeof(text));
    dz_buf_put_size(&b, bytes);
    (void)snprintf(text, sizeof(text), "%s", dz_buf_cstr(&b));
    return text;
}

static void says_sizes(void **state)
{
    (void)state;
    assert_string_equal(size(0), "0 bytes");
    assert_string_equal(size(1), "1 byte");
    assert_string_equal(size(1023), "1023 bytes");
    assert_string_equal(size(1024), "1.0 KiB");
    assert_string_equal(size(1536), "1.5 KiB");
    assert_string_equal(size(DZ_MIB - 1), "1.0 MiB");
    assert_string_equal(size(DZ_MIB * 1024 / 10), "102.4 MiB");
    assert_string_equal(size(UINT64_MAX), "16.0 EiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_sizes),
        cmocka_unit_test(grows),
        cmocka_unit_test(stays_full),
        cmocka_unit_test(formats),
        cmocka_unit_test(formats_at_every_edge),
        cmocka_unit_test(is_taken),
        cmocka_unit_test(escapes_html),
        cmocka_unit_test(escapes_urls),
        cmocka_unit_test(wants_a_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
