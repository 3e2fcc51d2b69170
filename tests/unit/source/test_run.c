/* run: calls of functions, what they are given and give, how they fail, cancelling, waiting. */
#include "rig.h"

#include <stdlib.h>

static void test_values(void **state)
{
    (void)state;
    rig_gives(SOURCE("series_of = function(id) return id .. \"!\" end"), DZ_FN_SERIES_OF, "[\"7\"]",
              "\"7!\"");
    rig_gives(SOURCE("chapter = function(id) return { chapter = 2.0, series = \"s\" } end"),
              DZ_FN_SERIES_OF, "[\"7\"]", "\"s\"");
    rig_gives(SOURCE("resolve = function(url) return \"chapter\", 407 end"), DZ_FN_RESOLVE,
              "[\"https://example.org/407\"]", "{\"kind\":\"chapter\",\"id\":\"407\"}");
    rig_gives(SOURCE("resolve = function(url) end"), DZ_FN_RESOLVE, "[\"x\"]", "null");
    rig_gives(SOURCE("pages = function(id) return { \"https://example.org/1\" } end"), DZ_FN_PAGES,
              "[\"1\"]", "[{\"url\":\"https://example.org/1\",\"headers\":{},\"transform\":[]}]");
    rig_gives(SOURCE("status = function(id) return { next_release = \"7 days\" } end"),
              DZ_FN_STATUS, "[\"1\"]", "{\"next_release\":\"7 days\"}");
}

static void test_locals_stay(void **state)
{
    (void)state;
    struct call c;
    rig_start(&c, "local n = 0\n" SOURCE("series_of = function() n = n + 1 return n end"),
              DZ_FN_SERIES_OF, "[]", NULL);
    rig_wait(&c);
    rig_again(&c, DZ_FN_SERIES_OF, "[]");
    rig_wait(&c);
    assert_string_equal(c.json, "\"2\"");
    rig_end(&c);
}

static void test_bytes(void **state)
{
    (void)state;
    struct call c;
    rig_start(&c, SOURCE("cover = function() return \"\\xff\\xd8\\0x\" end"), DZ_FN_COVER, "[]",
              NULL);
    rig_wait(&c);
    assert_int_equal(c.bytes_n, 4);
    assert_memory_equal(c.bytes, "\xff\xd8\0x", 4);
    rig_end(&c);
}

static void test_kinds(void **state)
{
    (void)state;
    rig_fails(SOURCE("series = function(id)\ndozo.fail(\"gone\", \"no more\") end"), DZ_FN_SERIES,
              "[\"1\"]", DZ_SOURCE_GONE, "test: series: source.lua:4: no more");
    rig_fails(SOURCE("series = function(id)\nerror(\"oops\") end"), DZ_FN_SERIES, "[\"1\"]",
              DZ_SOURCE_PARSE, "test: series: source.lua:4: oops");
    rig_fails(SOURCE("series = function(id)\nreturn id.x.y end"), DZ_FN_SERIES, "[\"1\"]",
              DZ_SOURCE_PARSE, "test: series: source.lua:4: attempt to index a nil value");
    rig_fails(SOURCE("series = function(id)\ndozo.fail(\"goner\", \"no more\") end"), DZ_FN_SERIES,
              "[\"1\"]", DZ_SOURCE_PARSE, "source.lua:4: dozo.fail: \"goner\" is no kind");
    struct call c;
    rig_start(
        &c,
        SOURCE("series = function(id) local ok, e = pcall(dozo.fail, \"rate_limited\", \"later\", "
               "{ retry_after = 1.5 })\nassert(not ok and e.kind == \"rate_limited\" and "
               "e.retry_after == 1.5)\nerror(e) end"),
        DZ_FN_SERIES, "[\"1\"]", NULL);
    rig_wait(&c);
    assert_int_equal(c.kind, DZ_SOURCE_RATE_LIMITED);
    assert_int_equal(c.retry_after_ms, 1500);
    rig_end(&c);
}

static void test_wrong_results(void **state)
{
    (void)state;
    rig_fails(SOURCE("chapters = function()\nreturn { { id = 1 }, { id = 2, volume = {} } } end"),
              DZ_FN_CHAPTERS, "[]", DZ_SOURCE_PARSE,
              "test: chapters: source.lua:3: chapters[2].volume: expected a number, a text or "
              "null, got a table");
    rig_fails(SOURCE("chapters = function() return { { id = print } } end"), DZ_FN_CHAPTERS, "[]",
              DZ_SOURCE_PARSE, "chapters[1].id: expected a text or an integer, got nil");
    rig_fails(SOURCE("chapters = function() return { { id = error } } end"), DZ_FN_CHAPTERS, "[]",
              DZ_SOURCE_PARSE, "source.lua:3: chapters");
    rig_fails(SOURCE("series = function() end"), DZ_FN_SERIES, "[]", DZ_SOURCE_PARSE,
              "series: expected a table, got nil");
    rig_fails(SOURCE("cover = function() return \"\" end"), DZ_FN_COVER, "[]", DZ_SOURCE_PARSE,
              "got an empty text");
    rig_fails(SOURCE("series_of = function() return \"\\xff\" end"), DZ_FN_SERIES_OF, "[]",
              DZ_SOURCE_PARSE, "UTF-8");
}

static void test_refused(void **state)
{
    (void)state;
    struct call c;
    struct dz_err err;
    json_t *args = json_array();
    rig_start(&c, SOURCE("series_of = function() return 1 end, crawl = function() end"),
              DZ_FN_SERIES_OF, "[]", NULL);
    assert_int_equal(dz_source_run_call(c.run, DZ_FN_SERIES_OF, args, NULL, NULL, &err),
                     DZ_CONFLICT);
    rig_wait(&c);
    assert_int_equal(dz_source_run_call(c.run, DZ_FN_PAGES, args, NULL, NULL, &err),
                     DZ_UNSUPPORTED);
    assert_int_equal(dz_source_run_call(c.run, DZ_FN_CRAWL, args, NULL, NULL, &err),
                     DZ_UNSUPPORTED);
    json_decref(args);
    rig_end(&c);
}

/* Nothing is asked for an id that would make another address of the one it is put into. */
static void test_ids(void **state)
{
    (void)state;
    static const char *const bad[] = {"..", ".", "a/../b", "../", "%2E%2e", ".%2e/x"};
    static const char *const good[] = {"...", "a..", "slug/407-9", "%2e%2e%2e", ".a", "/x"};
    char args[64], value[64], resolve[200];
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        snprintf(args, sizeof(args), "[\"%s\"]", bad[i]);
        rig_fails(SOURCE("chapters = function(id) error('called') end"), DZ_FN_CHAPTERS, args,
                  DZ_SOURCE_BAD_URL, "is no id");
        snprintf(resolve, sizeof(resolve), SOURCE("resolve = function() return 'series', '%s' end"),
                 bad[i]);
        rig_fails(resolve, DZ_FN_RESOLVE, "[\"x\"]", DZ_SOURCE_BAD_URL, "is no id");
    }
    for (size_t i = 0; i < DZ_LEN(good); i++) {
        snprintf(args, sizeof(args), "[\"%s\"]", good[i]);
        snprintf(value, sizeof(value), "\"%s\"", good[i]);
        rig_gives(SOURCE("series_of = function(id) return id end"), DZ_FN_SERIES_OF, args, value);
    }
    rig_gives(SOURCE("search = function(text) return {} end"), DZ_FN_SEARCH, "[\"..\"]", "[]");
    rig_fails(SOURCE("resolve = function() return 'series', ('a'):rep(256) end"), DZ_FN_RESOLVE,
              "[\"x\"]", DZ_SOURCE_BAD_URL, "the id in the URL is longer than 255 bytes");
}

static void test_cancel(void **state)
{
    (void)state;
    struct call c;
    rig_start(&c, SOURCE("series_of = function() while true do end end"), DZ_FN_SERIES_OF, "[]",
              NULL);
    dz_loop_turn(rig.loop, 0);
    dz_loop_turn(rig.loop, 0);
    assert_false(c.done);
    dz_source_run_free(&c.run);
    assert_true(c.done);
    assert_int_equal(c.kind, DZ_SOURCE_CANCELLED);
    assert_string_equal(c.text, "test: series_of: cancelled");
    rig_end(&c);
}

static void test_others_go_on(void **state)
{
    (void)state;
    struct call endless, quick;
    rig_start(&endless, SOURCE("series_of = function() while true do end end"), DZ_FN_SERIES_OF,
              "[]", NULL);
    for (int i = 0; i < 3; i++)
        dz_loop_turn(rig.loop, 0);
    rig_start(&quick, SOURCE("series_of = function() return 1 end"), DZ_FN_SERIES_OF, "[]", NULL);
    rig_wait(&quick);
    assert_string_equal(quick.json, "\"1\"");
    assert_false(endless.done);
    rig_end(&quick);
    rig_end(&endless);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static struct {
    struct src_task *task;
    int cancelled, ended;
    struct dz_source_fail failed;
} w;

static void nap_cancel(void *op)
{
    w.cancelled++;
    free(op);
}

static int nap_end(lua_State *L, int status, lua_KContext k)
{
    assert_int_equal(status, LUA_YIELD);
    free((void *)k);
    w.task = NULL;
    lua_pushliteral(L, "woken");
    return 1;
}

static int nap(lua_State *L)
{
    src_can_wait(L, "nap");
    w.task = src_task_of(L);
    return src_wait(L, dz_alloc(1), nap_cancel, nap_end);
}

static void task_ended(void *arg, lua_State *co, int results, const struct dz_source_fail *failed)
{
    assert_ptr_equal(arg, &w);
    w.ended++;
    if (failed) {
        assert_null(co);
        w.failed = *failed;
        return;
    }
    assert_int_equal(results, 2);
    assert_int_equal(lua_tointeger(co, -1), 6);
}

static int fork_task(lua_State *L)
{
    assert_non_null(src_spawn(L, lua_gettop(L) - 1, task_ended, &w));
    return 0;
}

/* The source's own globals, so that the text can call them. */
static void start_with_nap(struct call *c, const char *text, const struct dz_source_budget *budget)
{
    memset(&w, 0, sizeof(w));
    memset(c, 0, sizeof(*c));
    c->source = rig_load(text);
    must(dz_source_run_new(c->source, &rig.env, budget, &c->run, err));
    lua_pushcfunction(c->run->L, nap);
    lua_setglobal(c->run->L, "nap");
    lua_pushcfunction(c->run->L, fork_task);
    lua_setglobal(c->run->L, "fork");
    rig_again(c, DZ_FN_SERIES_OF, "[]");
}

static void until_it_waits(void)
{
    while (!w.task)
        dz_loop_turn(rig.loop, -1);
}

static void test_wait(void **state)
{
    (void)state;
    struct call c;
    start_with_nap(&c, SOURCE("series_of = function() local ok, v = pcall(nap) return v end"),
                   NULL);
    until_it_waits();
    dz_loop_turn(rig.loop, 0);
    assert_false(c.done);
    src_wake(w.task);
    rig_wait(&c);
    assert_string_equal(c.json, "\"woken\"");
    assert_int_equal(w.cancelled, 0);

    rig_again(&c, DZ_FN_SERIES_OF, "[]");
    until_it_waits();
    rig_end(&c);
    assert_int_equal(w.cancelled, 1);
    assert_int_equal(c.kind, DZ_SOURCE_CANCELLED);

    start_with_nap(&c, SOURCE("series_of = function() nap() end"), NULL);
    until_it_waits();
    src_wake(w.task);
    rig_end(&c); /* woken, and ended before it went on */
    assert_int_equal(w.cancelled, 1);
}

static void test_wait_nowhere(void **state)
{
    (void)state;
    static const char *const texts[] = {
        SOURCE("series_of = function()\ntable.sort({ 1, 2, 3 }, function(a, b) nap() end) end"),
        SOURCE("series_of = function()\nstring.gsub(\"x\", \"x\", function(a) nap() end) end"),
        SOURCE(
            "series_of = function()\nreturn tostring(setmetatable({}, { __tostring = nap })) end"),
    };
    for (size_t i = 0; i < DZ_LEN(texts); i++) {
        struct call c;
        start_with_nap(&c, texts[i], NULL);
        rig_wait(&c);
        assert_int_equal(c.kind, DZ_SOURCE_PARSE);
        if (!strstr(c.text, "source.lua:4: ") || !strstr(c.text, "nap: cannot wait here"))
            fail_msg("%s", c.text);
        rig_end(&c);
    }
}

static void test_wall(void **state)
{
    (void)state;
    struct call c;
    start_with_nap(&c, SOURCE("series_of = function()\nnap() end"),
                   &(struct dz_source_budget){.wall_ms = 30});
    rig_wait(&c);
    assert_int_equal(c.kind, DZ_SOURCE_LIMIT);
    assert_string_equal(c.text, "test: series_of: source.lua:4: took longer than 1 s");
    assert_int_equal(w.cancelled, 1);
    struct dz_err err;
    json_t *args = json_array();
    assert_int_equal(dz_source_run_call(c.run, DZ_FN_SERIES_OF, args, NULL, NULL, &err), DZ_FULL);
    json_decref(args);
    rig_end(&c);
}

static void test_tasks(void **state)
{
    (void)state;
    struct call c;
    start_with_nap(&c,
                   SOURCE("series_of = function() fork(function(a, b) return a, a * b end, 2, 3)\n"
                          "fork(function() error(\"broken\") end)\nnap() return \"x\" end"),
                   NULL);
    until_it_waits();
    while (w.ended < 2)
        dz_loop_turn(rig.loop, -1);
    assert_string_equal(w.failed.text, "source.lua:4: broken");
    assert_false(c.done);
    src_wake(w.task);
    rig_wait(&c);
    assert_string_equal(c.json, "\"x\"");
    rig_end(&c);

    /* A budget used up in one task ends the call that waits for it. */
    start_with_nap(
        &c, SOURCE("series_of = function() fork(function() while true do end end)\nnap() end"),
        &(struct dz_source_budget){.instructions = 1000000});
    rig_wait(&c);
    assert_int_equal(c.kind, DZ_SOURCE_LIMIT);
    assert_non_null(strstr(c.text, "test: series_of: source.lua:3: used up its 1 million"));
    assert_int_equal(w.cancelled, 1);
    assert_int_equal(w.ended, 0);
    rig_end(&c);
}

/* ---- the host's modules ---------------------------------------------------------------------- */

static void test_host(void **state)
{
    (void)state;
    rig_gives(SOURCE("options = { n = { type = \"integer\", default = 3 }, l = { type = \"list\", "
                     "default = { \"a\", \"b\" } }, b = { type = \"boolean\", default = true } },\n"
                     "series_of = function() return opt.n + 1 .. opt.l[2] .. tostring(opt.b) end"),
              DZ_FN_SERIES_OF, "[]", "\"4btrue\"");
    rig_fails(SOURCE("series_of = function()\nreturn opt.x end"), DZ_FN_SERIES_OF, "[]",
              DZ_SOURCE_PARSE, "source.lua:4: opt.x: the source declares no such option");
    rig_fails(SOURCE("series_of = function()\nopt.x = 1 end"), DZ_FN_SERIES_OF, "[]",
              DZ_SOURCE_PARSE, "cannot be changed");
    rig_gives(SOURCE("series_of = function() log.info(\"a\", 1, nil) log.warn(\"x\\ny\\xff\") "
                     "return 1 end"),
              DZ_FN_SERIES_OF, "[]", "\"1\"");
    assert_string_equal(rig.log, "1:a 1 nil\n2:x y?\n");
    rig_gives(SOURCE("series_of = function() assert(store.get(\"k\") == nil)\n"
                     "store.set(\"k\", { a = 1, b = { \"x\" } }, 60)\n"
                     "local v = store.get(\"k\") return v.b[1] .. v.a end"),
              DZ_FN_SERIES_OF, "[]", "\"x1\"");
    assert_true(rig.kept_until > dz_loop_wall_s(rig.loop) + 50);
    rig_fails(SOURCE("series_of = function()\nstore.set(\"k\", (\"x\"):rep(100000)) end"),
              DZ_FN_SERIES_OF, "[]", DZ_SOURCE_PARSE,
              "store.set: a value of more than 65536 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_locals_stay, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_bytes, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_kinds, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_wrong_results, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_refused, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_ids, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_cancel, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_others_go_on, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_wait, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_wait_nowhere, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_wall, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_tasks, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_host, rig_open, rig_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
