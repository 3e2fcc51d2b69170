/* shape: what functions return, brought into one form; wrong ones name the field. */
#include "test.h"

#include "source/source_int.h"

#include <stdlib.h>

static void good(enum dz_source_fn fn, const char *in, const char *out)
{
    json_t *v = json_loads(in, JSON_DECODE_ANY, NULL), *shaped = NULL;
    struct dz_err err = {0};
    assert_non_null(v);
    if (!src_shape(fn, DZ_S("site"), DZ_S("7"), v, &shaped, &err))
        fail_msg("%s: %s", in, err.text);
    char *text = json_dumps(shaped, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(text, out);
    free(text);
    json_decref(shaped);
    json_decref(v);
}

static void bad(enum dz_source_fn fn, const char *in, const char *words)
{
    json_t *v = json_loads(in, JSON_DECODE_ANY, NULL), *shaped = NULL;
    struct dz_err err = {0};
    assert_non_null(v);
    assert_false(src_shape(fn, DZ_S("site"), DZ_S("7"), v, &shaped, &err));
    assert_string_equal(err.text, words);
    json_decref(v);
}

#define NO_DATE "{\"day\":null,\"month\":null,\"year\":null}"

static void test_series(void **state)
{
    (void)state;
    good(DZ_FN_SERIES, "{\"title\":\"T\"}",
         "{\"id\":\"7\",\"site\":\"site\",\"title\":\"T\",\"alt_titles\":[],\"description\":null,"
         "\"authors\":[],\"artists\":[],\"genres\":[],\"tags\":[],\"lang\":null,\"date\":" NO_DATE
         ",\"rating\":null,\"status\":null,\"url\":null,\"cover\":null}");
    good(DZ_FN_SERIES,
         "{\"cover\":\"https://a.b/"
         "c\",\"status\":\"ongoing\",\"rating\":\"safe\",\"date\":{\"year\":1997.0},"
         "\"links\":{\"al\":[1]},\"lang\":\"ja\",\"tags\":[\"x\"],\"genres\":{},\"authors\":[{"
         "\"name\":"
         "\"A\",\"id\":5}],\"description\":\"D\",\"alt_titles\":{\"fr\":\"U\"},\"title\":\"T\","
         "\"id\":9}",
         "{\"id\":\"9\",\"site\":\"site\",\"title\":\"T\",\"alt_titles\":[{\"fr\":\"U\"}],"
         "\"description\":\"D\",\"authors\":[{\"id\":\"5\",\"name\":\"A\"}],\"artists\":[],"
         "\"genres\":"
         "[],\"tags\":[\"x\"],\"lang\":\"ja\",\"links\":{\"al\":[1]},\"date\":{\"day\":null,"
         "\"month\":"
         "null,\"year\":1997},\"rating\":\"safe\",\"status\":\"ongoing\",\"url\":null,\"cover\":"
         "\"https://a.b/c\"}");
    bad(DZ_FN_SERIES, "{}", "series.title: expected a text, got nil");
    bad(DZ_FN_SERIES, "{\"title\":\"\"}", "series.title: an empty text");
    bad(DZ_FN_SERIES, "{\"title\":\"T\",\"autors\":[]}",
        "series.autors: unknown; did you mean \"authors\"?");
    bad(DZ_FN_SERIES, "{\"title\":\"T\",\"zzzzzzzz\":1}", "series.zzzzzzzz: unknown");
    bad(DZ_FN_SERIES, "{\"title\":\"T\",\"status\":\"done\"}",
        "series.status: expected one of completed, ongoing, hiatus, cancelled, got \"done\"");
    bad(DZ_FN_SERIES, "{\"title\":\"T\",\"authors\":[{\"id\":\"1\"}]}",
        "series.authors[1].name: expected a text, got nil");
    bad(DZ_FN_SERIES, "{\"title\":\"T\",\"url\":\"/x\"}",
        "series.url: expected an absolute address such as https://example.org/, got \"/x\"");
    bad(DZ_FN_SERIES, "[1]", "series: expected a table, got a list");
    bad(DZ_FN_SERIES, "null", "series: expected a table, got nil");
}

static void test_dates(void **state)
{
    (void)state;
    static const char *const kept[] = {
        "{\"day\":29,\"month\":2,\"year\":2024}", "{\"day\":29,\"month\":2,\"year\":null}",
        "{\"day\":31,\"month\":null,\"year\":1}", "{\"day\":null,\"month\":12,\"year\":9999}",
        "{\"day\":30,\"month\":4,\"year\":1900}",
    };
    for (size_t i = 0; i < DZ_LEN(kept); i++) {
        char in[200], out[400];
        snprintf(in, sizeof(in), "{\"date\":%s}", kept[i]);
        snprintf(out, sizeof(out),
                 "{\"id\":\"7\",\"volume\":null,\"chapter\":null,\"title\":null,\"lang\":null,"
                 "\"pages\":null,\"team\":null,\"date\":%s,\"url\":null,\"series\":null}",
                 kept[i]);
        good(DZ_FN_CHAPTER, in, out);
    }
    static const struct {
        const char *date, *shown;
    } refused[] = {
        {"{\"day\":31,\"month\":2,\"year\":2024}", "day = 31, month = 2, year = 2024"},
        {"{\"day\":29,\"month\":2,\"year\":1900}", "day = 29, month = 2, year = 1900"},
        {"{\"day\":99,\"month\":99}", "day = 99, month = 99"},
        {"{\"month\":0}", "month = 0"},
        {"{\"day\":32}", "day = 32"},
        {"{\"year\":0}", "year = 0"},
        {"{\"year\":9223372036854775807}", "year = 9223372036854775807"},
    };
    for (size_t i = 0; i < DZ_LEN(refused); i++) {
        char in[200], words[200];
        snprintf(in, sizeof(in), "[{\"id\":\"1\"},{\"id\":\"2\",\"date\":%s}]", refused[i].date);
        snprintf(words, sizeof(words), "chapters[2].date: the calendar has no { %s }",
                 refused[i].shown);
        bad(DZ_FN_CHAPTERS, in, words);
    }
    bad(DZ_FN_SERIES, "{\"title\":\"T\",\"date\":{\"year\":10000}}",
        "series.date: the calendar has no { year = 10000 }");
}

static void test_chapters(void **state)
{
    (void)state;
    good(DZ_FN_CHAPTERS, "{}", "[]");
    good(
        DZ_FN_CHAPTERS,
        "[{\"id\":1,\"volume\":\"S\",\"chapter\":10.5,\"pages\":3,\"team\":{\"name\":\"N\"}}]",
        "[{\"id\":\"1\",\"volume\":\"S\",\"chapter\":10.5,\"title\":null,\"lang\":null,\"pages\":3,"
        "\"team\":{\"id\":null,\"name\":\"N\",\"site\":null},\"date\":" NO_DATE
        ",\"url\":null,\"series\":null}]");
    bad(DZ_FN_CHAPTERS, "[{\"id\":\"1\"},{\"chapter\":1}]",
        "chapters[2].id: expected a text or an integer, got nil");
    bad(DZ_FN_CHAPTERS, "[{\"id\":\"1\",\"volume\":[1]}]",
        "chapters[1].volume: expected a number, a text or null, got a list");
    bad(DZ_FN_CHAPTERS, "[{\"id\":\"1\",\"pages\":-1}]",
        "chapters[1].pages: expected an integer from 0, got -1");
    bad(DZ_FN_CHAPTERS, "[{\"id\":\"1\",\"pages\":1.5}]",
        "chapters[1].pages: expected an integer from 0, got 1.5");
    bad(DZ_FN_CHAPTERS, "\"x\"", "chapters: expected a list of tables, got a text");
    good(DZ_FN_CHAPTER, "{\"chapter\":1}",
         "{\"id\":\"7\",\"volume\":null,\"chapter\":1,\"title\":null,\"lang\":null,\"pages\":null,"
         "\"team\":null,\"date\":" NO_DATE ",\"url\":null,\"series\":null}");
}

static void test_long_lists(void **state)
{
    (void)state;
    json_t *v = json_array(), *shaped = NULL;
    for (unsigned i = 0; i <= DZ_SOURCE_LIST_MAX; i++)
        json_array_append_new(v, json_null());
    struct dz_err err;
    assert_false(src_shape(DZ_FN_CHAPTERS, DZ_S(""), DZ_S(""), v, &shaped, &err));
    assert_string_equal(err.text, "chapters: a list of 100001, at most 100000");
    json_decref(v);
}

/* One long title is cut between characters; it does not cost the list. */
static void test_long_texts(void **state)
{
    (void)state;
    static const char two[] = "\u00e9";
    struct dz_err err;
    json_t *shaped = NULL;
    char *text = calloc(1, 5000);
    for (size_t i = 1; i + 2 < 5000; i += 2)
        memcpy(text + i, two, 2);
    text[0] = 'x';
    json_t *v = json_pack("[{s:s,s:s},{s:s}]", "id", "1", "title", text, "id", "2");
    assert_true(src_shape(DZ_FN_CHAPTERS, DZ_S(""), DZ_S(""), v, &shaped, &err));
    assert_int_equal(json_array_size(shaped), 2);
    dz_str title = dz_json_text_at(json_array_get(shaped, 0), "title");
    assert_int_equal(title.n, 3999);
    assert_memory_equal(title.p, text, 3999);
    json_decref(shaped);
    json_decref(v);
    v = json_pack("[{s:s}]", "id", text);
    assert_false(src_shape(DZ_FN_CHAPTERS, DZ_S(""), DZ_S(""), v, &shaped, &err));
    assert_string_equal(err.text, "chapters[1].id: a text of 4999 bytes, at most 255");
    json_decref(v);
    free(text);
}

#define PAGE(transform) "[{\"url\":\"https://a.b/1\",\"transform\":" transform "}]"
#define SHAPED(transform) "[{\"url\":\"https://a.b/1\",\"headers\":{},\"transform\":" transform "}]"

static void test_pages(void **state)
{
    (void)state;
    good(DZ_FN_PAGES, "[\"https://a.b/1\"]", SHAPED("[]"));
    good(DZ_FN_PAGES, "[{\"url\":\"https://a.b/1\",\"headers\":{\"Referer\":\"x\"}}]",
         "[{\"url\":\"https://a.b/1\",\"headers\":{\"Referer\":\"x\"},\"transform\":[]}]");
    good(DZ_FN_PAGES, PAGE("{\"kind\":\"drop_blank\"}"), SHAPED("[{\"kind\":\"drop_blank\"}]"));
    good(DZ_FN_PAGES,
         PAGE("[{\"key\":{\"exif\":\"ImageUniqueID\"},\"gap\":10,\"rows\":15,\"columns\":10,"
              "\"kind\":\"retile\"},{\"kind\":\"drop_blank\"}]"),
         SHAPED("[{\"kind\":\"retile\",\"columns\":10,\"rows\":15,\"gap\":10,\"key\":{\"exif\":"
                "\"ImageUniqueID\"}},{\"kind\":\"drop_blank\"}]"));
    good(DZ_FN_PAGES, PAGE("{\"kind\":\"retile\",\"columns\":3,\"rows\":4,\"key\":[1,0]}"),
         SHAPED("[{\"kind\":\"retile\",\"columns\":3,\"rows\":4,\"gap\":0,\"key\":[1,0]}]"));
    bad(DZ_FN_PAGES, PAGE("{\"kind\":\"retile\",\"columns\":2,\"rows\":4,\"key\":[1,0]}"),
        "pages[1].transform.columns: expected an integer from 3 to 1000, got 2");
    bad(DZ_FN_PAGES, PAGE("[{\"kind\":\"retile\",\"columns\":3,\"rows\":4,\"key\":[2]}]"),
        "pages[1].transform[1].key: expected { exif = \"TAG\" }, a list of places of inner tiles "
        "(from 0, below (columns - 2) * (rows - 2)), or a text of them");
    bad(DZ_FN_PAGES, PAGE("{\"kind\":\"rotate\"}"),
        "pages[1].transform: expected a table with kind = \"retile\" or \"drop_blank\"");
    bad(DZ_FN_PAGES, PAGE("\"retile\""),
        "pages[1].transform: expected a table or a list of tables, got a text");
    bad(DZ_FN_PAGES, PAGE("{\"kind\":\"drop_blank\",\"x\":1}"),
        "pages[1].transform: drop_blank has no further members");
    bad(DZ_FN_PAGES,
        PAGE("{\"kind\":\"retile\",\"colums\":3,\"columns\":3,\"rows\":4,\"key\":[0]}"),
        "pages[1].transform: unknown member \"colums\" of a retile");
    bad(DZ_FN_PAGES, "[{\"url\":\"https://a.b/1\",\"headers\":[1]}]",
        "pages[1].headers: expected a table of texts, got a list");
}

static void test_the_rest(void **state)
{
    (void)state;
    good(DZ_FN_RESOLVE, "null", "null");
    good(DZ_FN_RESOLVE, "{\"id\":5,\"kind\":\"series\"}", "{\"kind\":\"series\",\"id\":\"5\"}");
    bad(DZ_FN_RESOLVE, "{\"id\":5,\"kind\":\"manga\"}",
        "resolve.kind: expected one of series, chapter, got \"manga\"");
    good(DZ_FN_COVER, "null", "null");
    good(DZ_FN_STATUS, "null", "{\"next_release\":null}");
    good(DZ_FN_TITLES, "{\"407\":\"A\"}", "{\"407\":\"A\"}");
    good(DZ_FN_TITLES, "[]", "{}");
    bad(DZ_FN_TITLES, "{\"407\":4}", "titles[\"407\"]: expected a text, got an integer");
    good(DZ_FN_VOLUMES, "[{\"volume\":1,\"chapters\":[1,2.5,\"3\"]}]",
         "[{\"volume\":\"1\",\"chapters\":[\"1\",\"2.5\",\"3\"],\"cover\":null}]");
    good(DZ_FN_COVERS, "[{\"volume\":1.0,\"url\":\"https://a.b/1\"}]",
         "[{\"volume\":\"1\",\"url\":\"https://a.b/1\",\"headers\":{}}]");
    bad(DZ_FN_SEARCH, "[{\"title\":\"T\"}]",
        "search[1].id: expected a text or an integer, got nil");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series),     cmocka_unit_test(test_dates),
        cmocka_unit_test(test_chapters),   cmocka_unit_test(test_long_lists),
        cmocka_unit_test(test_long_texts), cmocka_unit_test(test_pages),
        cmocka_unit_test(test_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
