/*
 * Tables of jobs and sources as functions of cells and width.
 */
#include "test.h"

#include "cli/cli_int.h"

static const char *table(const char *const *cells, size_t columns_n, size_t n, size_t columns)
{
    static struct dz_buf out;
    struct dz_table t;
    dz_table_init(&t, cells, columns_n);
    for (size_t i = columns_n; i < n; i++)
        dz_table_add(&t, dz_str_of(cells[i]));
    dz_buf_done(&out);
    dz_buf_init(&out, 64 * DZ_KIB);
    dz_table_put(&t, columns, "\n", &out);
    dz_table_done(&t);
    return dz_buf_cstr(&out);
}

static void columns_are_as_wide_as_their_cells(void **state)
{
    (void)state;
    static const char *const cells[] = {"ID", "WHAT", "WHY", "1", "a/b", "", "12", "漢字", "x"};
    assert_string_equal(table(cells, 3, 9, SIZE_MAX), "ID  WHAT  WHY\n"
                                                      "1   a/b\n"
                                                      "12  漢字  x\n");
    assert_string_equal(table(cells, 3, 3, SIZE_MAX), "ID  WHAT  WHY\n");
}

static void the_widest_gives_way(void **state)
{
    (void)state;
    static const char *const cells[] = {"ID", "WHAT",         "WHY",
                                        "1",  "abcdefghijkl", "a long failure of a site"};
    assert_string_equal(table(cells, 3, 6, 34), "ID  WHAT          WHY\n"
                                                "1   abcdefghijkl  a long failur...\n");
    assert_string_equal(table(cells, 3, 6, 20), "ID  WHAT     WHY\n"
                                                "1   abcd...  a lo...\n");
}

static void the_first_column_gives_way_last(void **state)
{
    (void)state;
    static const char *const cells[] = {"SOURCE",           "LAST OK", "HAS",
                                        "peppercarrot.com", "",        "resolve series pages"};
    assert_string_equal(table(cells, 3, 6, 80),
                        "SOURCE            LAST OK  HAS\n"
                        "peppercarrot.com           resolve series pages\n");
    assert_string_equal(table(cells, 3, 6, 30), "SOURCE            HAS\n"
                                                "peppercarrot.com  resolve s...\n");
    assert_string_equal(table(cells, 3, 6, 20), "SOURCE          HAS\n"
                                                "peppercarro...  r...\n");
}

/* Never wider, however narrow. */
static void no_line_is_wider(void **state)
{
    (void)state;
    static const char *const cells[] = {"ID",  "漢字漢字漢字",   "WHY",
                                        "100", "x\x1b[31m\nrow", "why not, then?"};
    for (size_t columns = 1; columns < 60; columns++) {
        struct dz_cursor c;
        dz_cursor_init(&c, dz_str_of(table(cells, 3, 6, columns)));
        while (!dz_cursor_end(&c)) {
            struct dz_buf b DZ_AUTO(dz_buf_done);
            dz_buf_init(&b, 64 * DZ_KIB);
            assert_true(dz_text_put(&b, dz_cursor_until(&c, '\n'), SIZE_MAX) <= columns);
            dz_cursor_next(&c);
        }
    }
    assert_null(strchr(table(cells, 3, 6, 80), '\x1b'));
}

static const char *span(int64_t ms)
{
    static struct dz_buf out;
    dz_buf_done(&out);
    dz_buf_init(&out, 64);
    dz_buf_put_span(&out, ms);
    return dz_buf_cstr(&out);
}

static void spans(void **state)
{
    (void)state;
    assert_string_equal(span(-5), "0 s");
    assert_string_equal(span(119999), "119 s");
    assert_string_equal(span(120000), "2 min");
    assert_string_equal(span(2 * 3600 * 1000 - 1), "119 min");
    assert_string_equal(span(2 * 3600 * 1000), "2 h");
    assert_string_equal(span(INT64_C(47) * 3600 * 1000), "47 h");
    assert_string_equal(span(INT64_C(49) * 3600 * 1000), "2 d");
    assert_string_equal(span(INT64_MAX), "106751991167 d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_cells),
        cmocka_unit_test(the_widest_gives_way),
        cmocka_unit_test(the_first_column_gives_way_last),
        cmocka_unit_test(no_line_is_wider),
        cmocka_unit_test(spans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
