/* declare: dozo.source{…} with and without settings, and the list of all sources. */
#include "rig.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct dz_conf *conf_of(const char *yaml)
{
    struct dz_conf *c = NULL;
    must(dz_conf_parse(dz_str_of(yaml), "dozo.yaml", NULL, &c, NULL, err));
    return c;
}

static void bad(const char *yaml, const char *text, enum dz_code code, const char *words)
{
    struct dz_conf *conf = yaml ? conf_of(yaml) : NULL;
    struct dz_source *s = NULL;
    struct dz_err err = {0};
    if (dz_source_load(conf, dz_str_of(text), "source.lua", &s, &err) != code ||
        !strstr(err.text, words))
        fail_msg("%s\n    gave %s: %s\n    not  %s: %s", text, dz_code_name(err.code), err.text,
                 dz_code_name(code), words);
    assert_null(s);
    dz_conf_unref(&conf);
}

#define HEAD "id = \"a.b\", name = \"A\", version = \"1\", api = 1,\n"
#define DECLARE(members) "return dozo.source { " HEAD members " }"

static void test_whole(void **state)
{
    (void)state;
    struct dz_source *s = rig_load(DECLARE(
        "langs = { \"en\" }, match = { \"a.b/\", \"a.b/longer/\" }, hosts = { \"a.b\" },\n"
        "limits = { per_host = 3, rate = \"2/second\", page_delay = 0.5 },\n"
        "options = { base_url = { type = \"string\", default = \"https://c.d:99/x\", help = \"H\" "
        "} },\n"
        "collections = { Thing = { key = \"id\", fields = { { \"id\", \"String!\" } } } },\n"
        "series = function() end, pages = function() end"));
    const struct dz_source_info *i = dz_source_info_of(s);
    assert_string_equal(i->id.p, "a.b");
    assert_true(i->enabled && !i->built_in);
    assert_true(dz_str_eq(i->match[0], DZ_S("a.b/longer/")));
    assert_int_equal(i->hosts_n, 1);
    assert_true(i->has[DZ_FN_SERIES] && i->has[DZ_FN_PAGES] && !i->has[DZ_FN_COVER]);
    assert_int_equal(i->page_delay_ms, 500);
    assert_int_equal(i->options_n, 1);
    assert_true(dz_str_eq(i->options[0].value, DZ_S("https://c.d:99/x")));
    assert_string_equal(
        i->collections.p,
        "[{\"name\":\"Thing\",\"key\":\"id\",\"enums\":[],\"fields\":[{\"name\":\"id\","
        "\"type\":\"String\",\"list\":false,\"not_null\":true}],\"queries\":[]}]");
    assert_non_null(dz_source_policy(s));
    dz_source_unref(&s);
}

static void test_large_list(void **state)
{
    (void)state;
    struct dz_source *s =
        rig_load("local t = {} for i = 1, 200 do t[i] = (\"x\"):rep(500) end\n" DECLARE(
            "options = { words = { type = \"list\", default = t }, none = { type = \"list\" } }"));
    const struct dz_source_info *i = dz_source_info_of(s);
    for (size_t o = 0; o < i->options_n; o++)
        assert_int_equal(i->options[o].value.n,
                         dz_str_eq(i->options[o].name, DZ_S("words")) ? 200 * 501 - 1 : 0);
    dz_source_unref(&s);
}

static void test_settings(void **state)
{
    (void)state;
    struct dz_conf *conf =
        conf_of("sources:\n  a.b:\n    enabled: false\n    n: 5\n    words: [x, y]\n"
                "    every: 5m\n    page_delay: 1.5s\n    rate: 1/second\n"
                "    base_url: http://127.0.0.1:81\n    hosts: [e.f]\n");
    struct dz_source *s = NULL;
    must(dz_source_load(
        conf,
        DZ_S(DECLARE("options = { n = { type = \"integer\", default = 1 }, words = { "
                     "type = \"list\" }, base_url = { type = \"string\", default = "
                     "\"https://a.b\" } }")),
        "source.lua", &s, err));
    const struct dz_source_info *i = dz_source_info_of(s);
    assert_false(i->enabled);
    assert_int_equal(i->every_ms, 300000);
    assert_int_equal(i->page_delay_ms, 1500);
    for (size_t o = 0; o < i->options_n; o++) {
        if (dz_str_eq(i->options[o].name, DZ_S("n")))
            assert_true(dz_str_eq(i->options[o].value, DZ_S("5")));
        if (dz_str_eq(i->options[o].name, DZ_S("words")))
            assert_true(dz_str_eq(i->options[o].value, DZ_S("x\ny")));
    }
    struct dz_source_run *r = NULL;
    struct dz_err err;
    assert_int_equal(dz_source_run_new(s, &rig.env, NULL, &r, &err), DZ_UNSUPPORTED);
    dz_source_unref(&s);
    dz_conf_unref(&conf);
    bad("sources:\n  a.b: { n: five }\n", DECLARE("options = { n = { type = \"integer\" } }"),
        DZ_BAD_INPUT, "sources.a.b.n: expected an integer, got \"five\"");
    bad("sources:\n  a.b: { langage: fr }\n",
        DECLARE("options = { language = { type = \"string\" } }"), DZ_BAD_INPUT,
        "sources.a.b.langage: the source has no such option; did you mean \"language\"?");
}

static void test_wrong(void **state)
{
    (void)state;
    bad(NULL, "", DZ_PARSE, "source.lua: must end with return dozo.source");
    bad(NULL, "return 1", DZ_PARSE, "must end with return dozo.source");
    bad(NULL, "x = = 1", DZ_PARSE, "source.lua:1: unexpected symbol near '='");
    bad(NULL, "\x1bLua", DZ_PARSE, "attempt to load a binary chunk");
    bad(NULL, "\xff", DZ_PARSE, "is not UTF-8");
    bad(NULL, "\nwhile true do end", DZ_FULL, "source.lua:2: ");
    bad(NULL, "local t = {} while true do t[#t + 1] = {} end", DZ_FULL,
        "source.lua:1: uses more than 64 MiB");
    bad(NULL, "log.info(\"x\")", DZ_PARSE, "log.info: only inside a function");
    bad(NULL, "local x = opt.y", DZ_PARSE, "opt: only inside a function");
    bad(NULL, "return dozo.source(1)", DZ_PARSE, "dozo.source: expected a table, got number");
    bad(NULL, "dozo.source {} return dozo.source {}", DZ_PARSE, "called a second time");
    bad(NULL, "return dozo.source {}", DZ_BAD_INPUT, "source.lua:1: id: expected a text, got nil");
    bad(NULL, "\n\nreturn dozo.source { 1 }", DZ_BAD_INPUT, "source.lua:3: dozo.source: a member");
    bad(NULL, "\xEF\xBB\xBF\nreturn dozo.source {}", DZ_BAD_INPUT, "source.lua:2: id: expected");
    bad(NULL, "return dozo.source { 1 }", DZ_BAD_INPUT,
        "a member without a name (a number as key)");
    bad(NULL, "return dozo.source { id = \"../x\" }", DZ_BAD_INPUT, "id: expected letters");
    bad(NULL, "return dozo.source { id = \"a\", api = 2 }", DZ_BAD_INPUT,
        "api: it is written for version 2 of the source API; this dozo speaks version 1");
    bad(NULL, "return dozo.source { id = \"a\" }", DZ_BAD_INPUT, "expected api = 1, got nil");
    bad(NULL, DECLARE("chapter = 1"), DZ_BAD_INPUT, "chapter: expected a function, got an integer");
    bad(NULL, DECLARE("chaptres = function() end"), DZ_BAD_INPUT,
        "unknown member \"chaptres\"; did you mean \"chapters\"?");
    bad(NULL, DECLARE("host = {}"), DZ_BAD_INPUT,
        "unknown member \"host\"; did you mean \"hosts\"?");
    bad(NULL, DECLARE("hosts = \"a.b\""), DZ_BAD_INPUT,
        "hosts: expected a list of texts, got a text");
    bad(NULL, DECLARE("hosts = { \"https://a.b/\" }"), DZ_BAD_INPUT, "is no host name");
    bad(NULL, DECLARE("match = { \"https://a.b/\" }"), DZ_BAD_INPUT, "without the scheme");
    bad(NULL, DECLARE("limits = { rat = 1 }"), DZ_BAD_INPUT, "did you mean \"rate\"?");
    bad(NULL, DECLARE("limits = { rate = \"often\" }"), DZ_BAD_INPUT, "limits.rate: expected");
    bad(NULL, DECLARE("limits = { per_host = 0 }"), DZ_BAD_INPUT, "limits.per_host: expected");
    bad(NULL, DECLARE("options = { rate = { type = \"string\" } }"), DZ_BAD_INPUT,
        "options.rate: ");
    bad(NULL, DECLARE("options = { x = { type = \"text\" } }"), DZ_BAD_INPUT, "options.x: type is");
    bad(NULL, DECLARE("options = { x = { type = \"integer\", default = \"1\" } }"), DZ_BAD_INPUT,
        "options.x: the default is no integer");
    bad(NULL, DECLARE("options = { x = { type = \"string\", default = (\"x\"):rep(9000000) } }"),
        DZ_BAD_INPUT, "options.x: the default has more than 20000 bytes");
}

/* ---- collections ----------------------------------------------------------------------------- */

#define COLLECTION(members) DECLARE("collections = { Thing = { " members " } }")
#define FIELDS "fields = { { \"id\", \"String!\" }, { \"n\", \"Int!\", column = \"number\" } }"

static void test_collections(void **state)
{
    (void)state;
    struct dz_source *s = rig_load(COLLECTION(
        "key = \"id\", description = \"D\", unique = { { \"n\" } },\n"
        "enums = { Kind = { { \"A\", 1 }, { \"B\", 2 } }, Other = { { \"C\", 3 }, description = "
        "\"E\" } },\n"
        "fields = { { \"id\", \"String!\", column = \"c\" }, { \"n\", \"Int!\" }, { \"k\", "
        "\"Kind\" "
        "},\n"
        "{ \"all\", \"[String!]!\" }, { \"url\", \"String!\", template = \"x/{n}\" } },\n"
        "queries = { things = { many = \"ids\", order = { \"n\" } }, thing = { one = \"id\" } }"));
    assert_string_equal(
        dz_source_info_of(s)->collections.p,
        "[{\"name\":\"Thing\",\"description\":\"D\",\"key\":\"id\",\"enums\":[{\"name\":\"Kind\","
        "\"values\":[[\"A\",1],[\"B\",2]]},{\"name\":\"Other\",\"values\":[[\"C\",3]],"
        "\"description\":\"E\"}],\"fields\":[{\"name\":\"id\",\"type\":\"String\",\"list\":false,"
        "\"not_null\":true,\"column\":\"c\"},{\"name\":\"n\",\"type\":\"Int\",\"list\":false,"
        "\"not_null\":true},{\"name\":\"k\",\"type\":\"Kind\",\"list\":false,\"not_null\":false},"
        "{\"name\":\"all\",\"type\":\"String\",\"list\":true,\"items_not_null\":true,\"not_null\":"
        "true},"
        "{\"name\":\"url\","
        "\"type\":\"String\",\"list\":false,\"not_null\":true,\"template\":\"x/{n}\"}],\"unique\":"
        "[[\"n\"]],\"queries\":[{\"one\":\"id\",\"name\":\"thing\"},{\"many\":\"ids\",\"order\":["
        "\"n\"],"
        "\"name\":\"things\"}]}]");
    dz_source_unref(&s);
}

static void test_bad_collections(void **state)
{
    (void)state;
    bad(NULL, DECLARE("collections = { \"A\" }"), DZ_BAD_INPUT, "collections: expected a table");
    bad(NULL, DECLARE("collections = { A = { } }"), DZ_BAD_INPUT, "collections.A: expected");
    bad(NULL, DECLARE("collections = { A = { fields = { } } }"), DZ_BAD_INPUT,
        "collections.A: expected key");
    bad(NULL, COLLECTION("key = \"id\", field = 1"), DZ_BAD_INPUT,
        "collections.Thing: unknown member \"field\"; did you mean \"fields\"?");
    bad(NULL, COLLECTION("key = \"id\""), DZ_BAD_INPUT,
        "collections.Thing.fields: expected a list");
    bad(NULL, COLLECTION("key = \"id\", fields = { { \"id\" } }"), DZ_BAD_INPUT,
        "collections.Thing.fields[1]: expected { \"name\", \"Type!\"");
    bad(NULL, COLLECTION("key = \"id\", fields = { { \"id\", \"!\" } }"), DZ_BAD_INPUT,
        "field id: \"!\" is no type");
    bad(NULL, COLLECTION("key = \"id\", fields = { { \"id\", \"Text!\" } }"), DZ_BAD_INPUT,
        "a.b: collection Thing: field id: type Text is neither");
    bad(NULL, COLLECTION("key = \"x\", " FIELDS), DZ_BAD_INPUT,
        "collection Thing: key: there is no");
    bad(NULL, COLLECTION("key = \"id\", " FIELDS ", queries = { q = { one = \"id\", most = 1 } }"),
        DZ_BAD_INPUT, "query 1: \"most\" is nothing that can be declared");
    bad(NULL, COLLECTION("key = \"id\", " FIELDS ", enums = { E = 1 }"), DZ_BAD_INPUT,
        "collections.Thing.enums: E: expected a table");
    bad(NULL,
        DECLARE("collections = (function() local t = {} for i = 1, 21 do t[\"C\" .. i] = {} "
                "end return t end)()"),
        DZ_BAD_INPUT, "21 of them, at most 20");
    bad(NULL, DECLARE("collections = (function() local t = {} t.a = t return t end)()"),
        DZ_BAD_INPUT, "holds itself");
}

/* ---- all of them ----------------------------------------------------------------------------- */

static unsigned problems;
static char problem_text[300];

static void problem(void *arg, const struct dz_err *e)
{
    (void)arg;
    problems++;
    snprintf(problem_text, sizeof(problem_text), "%s", e->text);
}

static void put_file(const char *path, const char *text)
{
    must(dz_file_write_atomic(path, dz_str_of(text), 0644, err));
}

static void test_all(void **state)
{
    (void)state;
    char dir[] = "/tmp/dozo-sources-XXXXXX", yaml[200], path[200];
    assert_non_null(mkdtemp(dir));
    snprintf(yaml, sizeof(yaml), "sources: { dir: [\"%s\", \"%s/none\"] }\n", dir, dir);
    snprintf(path, sizeof(path), "%s/one.lua", dir);
    put_file(path,
             "return dozo.source { id = \"one\", name = \"1\", version = \"1\", api = 1, match = { "
             "\"a.b/\", \"c.d\" } }");
    snprintf(path, sizeof(path), "%s/bad.lua", dir);
    put_file(path, "oops");
    snprintf(path, sizeof(path), "%s/two", dir);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof(path), "%s/two/source.lua", dir);
    put_file(
        path,
        "return dozo.source { id = \"viz.com\", name = \"Mine\", version = \"1\", api = 1, match = "
        "{ \"a.b/x/\" } }");
    struct dz_conf *conf = conf_of(yaml);
    struct dz_sources *all = NULL;
    must(dz_sources_load(conf, problem, NULL, &all, err));
    assert_int_equal(problems, 1);
    assert_non_null(strstr(problem_text, "/bad.lua: source.lua:1: ")
                        ? problem_text
                        : strstr(problem_text, "bad.lua:1: "));
    assert_non_null(dz_sources_find(all, DZ_S("one")));
    struct dz_source *mine = dz_sources_find(all, DZ_S("viz.com"));
    assert_true(dz_str_eq(dz_source_info_of(mine)->name, DZ_S("Mine")));
    assert_false(dz_source_info_of(mine)->built_in);
    for (size_t i = 1; i < dz_sources_count(all); i++)
        assert_true(dz_str_cmp(dz_source_info_of(dz_sources_at(all, i - 1))->id,
                               dz_source_info_of(dz_sources_at(all, i))->id) < 0);
    assert_ptr_equal(dz_sources_match(all, DZ_S("https://a.b/x/1")), mine);
    assert_ptr_equal(dz_sources_match(all, DZ_S("a.b/y")), dz_sources_find(all, DZ_S("one")));
    static const char *const ours[] = {"ftp+x://c.d", "c.d/",          "http://c.d:80/z", "c.d?x",
                                       "c.d#x",       "https://A.B/y", "https://a.b/"};
    static const char *const others[] = {
        "c.dXX", "https://c.dx/", "c.",         "1x://c.d", "://c.d",
        "",      "x.c.d",         "https:/c.d", "/c.d",     "c.d@evil.example/"};
    for (size_t i = 0; i < DZ_LEN(ours); i++)
        assert_ptr_equal(dz_sources_match(all, dz_str_of(ours[i])),
                         dz_sources_find(all, DZ_S("one")));
    for (size_t i = 0; i < DZ_LEN(others); i++)
        assert_null(dz_sources_match(all, dz_str_of(others[i])));
    assert_ptr_equal(dz_sources_match(all, DZ_S("a.b/x")), mine);
    assert_ptr_equal(dz_sources_match(all, DZ_S("a.b/xx")), dz_sources_find(all, DZ_S("one")));
    assert_ptr_equal(dz_sources_match(all, DZ_S("a.b/X")), dz_sources_find(all, DZ_S("one")));
    dz_sources_free(&all);
    dz_conf_unref(&conf);
    static const char *const files[] = {"one.lua", "bad.lua", "two/source.lua"};
    for (size_t i = 0; i < DZ_LEN(files); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/two", dir);
    rmdir(path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_collections, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_bad_collections, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_large_list, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_settings, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_wrong, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_all, rig_open, rig_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
