/*
 * crawl: what crawl(run) is handed, against a sink that the test holds in its hand, and dozo.map.
 */
#include "rig.h"

#include <stdlib.h>

#define CRAWL(body)                                                                                \
    SOURCE(                                                                                        \
        "options = { depth = { type = \"integer\", default = 3 }, deep = { type = \"boolean\", "   \
        "default = false } },\ncrawl = function(run) " body " end")

static struct {
    bool hold; /* asks wait for the test */
    struct dz_source_ask *asked[64];
    size_t asked_n;
    char troubles[512];
    uint64_t done, total;
    unsigned progress;
} sink;

static void put(const char *fmt, ...) DZ_PRINTF(1, 2);
static void put(const char *fmt, ...)
{
    size_t n = strlen(sink.troubles);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sink.troubles + n, sizeof(sink.troubles) - n, fmt, ap);
    va_end(ap);
}

/* A record is new the first time, then the same; "clash" clashes, "full" does not fit. */
static void answer(struct dz_source_ask *a)
{
    struct dz_err err = {0};
    if (a->kind == DZ_ASK_EMIT) {
        const char *id = json_string_value(json_object_get(a->value, "id"));
        if (strcmp(id, "bad") == 0)
            dz_source_answer(a, NULL, dz_fail(&err, DZ_BAD_INPUT, "no field x"), &err);
        else if (strcmp(id, "full") == 0)
            dz_source_answer(a, NULL, dz_fail(&err, DZ_FULL, "the disk is full"), &err);
        else if (strcmp(id, "clash") == 0)
            dz_source_answer(a, json_pack("{s:s, s:{s:s}}", "result", "clash", "old", "id", "o"),
                             DZ_OK, NULL);
        else
            dz_source_answer(a, json_pack("{s:s}", "result", "new"), DZ_OK, NULL);
    } else if (a->kind == DZ_ASK_SEEN) {
        json_t *list = json_array(), *v;
        size_t i;
        json_array_foreach(json_object_get(a->value, "values"), i, v)
            json_array_append_new(list, json_boolean(json_is_integer(v)));
        char *text = json_dumps(json_object_get(a->value, "field"), JSON_ENCODE_ANY);
        put("%s ", text);
        free(text);
        dz_source_answer(a, list, DZ_OK, NULL);
    } else {
        put("%.*s=%.*s ", DZ_STR_FMT(a->name), (int)(a->bytes->n < 20 ? a->bytes->n : 20),
            a->bytes->p);
        dz_source_answer(a, NULL, DZ_OK, NULL);
    }
}

static void on_ask(void *arg, struct dz_source_ask *take_ask)
{
    (void)arg;
    if (!sink.hold) {
        answer(take_ask);
        return;
    }
    assert_true(sink.asked_n < DZ_LEN(sink.asked));
    sink.asked[sink.asked_n++] = take_ask;
}

static void on_trouble(void *arg, enum dz_source_kind kind, dz_str text)
{
    (void)arg;
    put("%s:%.*s ", dz_source_kind_of(kind)->name, DZ_STR_FMT(text));
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    (void)arg;
    sink.done = done;
    sink.total = total;
    sink.progress++;
}

static const struct dz_source_sink table = {
    .ask = on_ask, .trouble = on_trouble, .progress = on_progress};

/* A site that answers everything after a turn of the loop. */
static struct {
    struct dz_fetch_req req;
    struct dz_timer timer;
} site;

static void on_site(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    (void)t;
    struct dz_fetch_res res = {.kind = DZ_FETCH_OK,
                               .status = 200,
                               .url = DZ_S("https://example.org/"),
                               .body = dz_body_new(0),
                               .retry_after_ms = -1,
                               .requests = 1};
    site.req.done(site.req.arg, &res);
    dz_body_unref(&res.body);
}

static void send_one(void *arg, const struct dz_fetch_req *r, struct dz_fetch_call **ret_call)
{
    (void)arg;
    (void)ret_call;
    site.req = *r;
    dz_timer_set(rig.loop, &site.timer, 0, on_site);
}

static int open_rig(void **state)
{
    memset(&sink, 0, sizeof(sink));
    rig_open(state);
    rig.env.sink = &table;
    rig.env.send = send_one;
    return 0;
}

static void works(const char *text, const char *args, const char *said)
{
    struct call c;
    sink.troubles[0] = 0;
    rig_start(&c, text, DZ_FN_CRAWL, args, NULL);
    rig_wait(&c);
    if (c.kind != DZ_SOURCE_OK)
        fail_msg("%s\n%s", text, c.text);
    assert_string_equal(sink.troubles, said);
    rig_end(&c);
}

static void test_answers(void **state)
{
    (void)state;
    works(CRAWL("local r, old = run:emit('T', { id = 'a' }) assert(r == 'new' and old == nil)\n"
                "r, old = run:emit('T', { id = 'clash' }) assert(r == 'clash' and old.id == 'o')"),
          "[{}]", "");
    works(CRAWL("assert(run:seen('T', 7) == true and run:seen('T', 'x') == false)\n"
                "local l = run:seen('T', { n = { 1, 'x', 2 } })\n"
                "assert(#l == 3 and l[1] and not l[2] and l[3])\n"
                "assert(#run:seen('T', { 'x' }) == 1 and run:seen('T', { n = 1 }))"),
          "[{}]", "null null \"n\" null \"n\" ");
    works(CRAWL("run:archive('1/104.html', 'bytes') run:archive('x', '')"), "[{}]",
          "1/104.html=bytes x= ");
    works(CRAWL("run:trouble('gone', 'a\\nb') run:trouble('parse', 'c')"), "[{}]",
          "gone:a b parse:c ");
}

static void test_options(void **state)
{
    (void)state;
    works(CRAWL("assert(run.full == true and run.limit_pages == 2)\n"
                "assert(run.options.deep == true and run.options.depth == 3 and not opt.deep)"),
          "[{\"full\":true,\"limit_pages\":2,\"options\":{\"deep\":true}}]", "");
    works(CRAWL("assert(not run.full and run.options.deep == false)"), "[{}]", "");
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
        enum dz_source_kind kind;
    } rows[] = {
        {CRAWL("run:emit('T', { id = 'bad' })"), "run:emit: no field x", DZ_SOURCE_PARSE},
        {CRAWL("run:emit('T', { id = 'full' })"), "run:emit: the disk is full",
         DZ_SOURCE_UNAVAILABLE},
        {CRAWL("run:emit('T', { f = function() end })"), "run:emit: f: a function cannot become",
         DZ_SOURCE_PARSE},
        {CRAWL("run:seen('T', { a = 1, b = 2 })"), "a table with one field", DZ_SOURCE_PARSE},
        {CRAWL("run:seen('T', { 1.5 })"), "a text or a whole number", DZ_SOURCE_PARSE},
        {CRAWL("run:archive('a/../b', 'x')"), "neither are empty nor begin with", DZ_SOURCE_PARSE},
        {CRAWL("run:archive('/etc/x', 'x')"), "neither are empty", DZ_SOURCE_PARSE},
        {CRAWL("run:archive('.hidden', 'x')"), "neither are empty", DZ_SOURCE_PARSE},
        {CRAWL("run:archive('a//b', 'x')"), "neither are empty", DZ_SOURCE_PARSE},
        {CRAWL("run:archive('a/b/', 'x')"), "neither are empty", DZ_SOURCE_PARSE},
        {CRAWL("run:archive('a\\0b', 'x')"), "neither are empty", DZ_SOURCE_PARSE},
        {CRAWL("run:archive(('a/'):rep(9) .. 'b', 'x')"), "neither are empty", DZ_SOURCE_PARSE},
        {CRAWL("run:archive(('a'):rep(256), 'x')"), "at most 255 bytes", DZ_SOURCE_PARSE},
        {CRAWL("run:trouble('limit', 'x')"), "\"limit\" is no kind of failure", DZ_SOURCE_PARSE},
        {CRAWL("run:progress(-1)"), "numbers from 0 on", DZ_SOURCE_PARSE},
        {CRAWL("table.sort({ 2, 1 }, function() run:emit('T', {}) end)"), "cannot wait here",
         DZ_SOURCE_PARSE},
        {CRAWL("run:archive('a', ('x'):rep(30000000)) run:archive('b', ('y'):rep(30000000))\n"
               "for i = 1, 3 do run:archive('c', ('z'):rep(32000000)) end"),
         "", DZ_SOURCE_OK},
    };
    for (size_t i = 0; i < DZ_LEN(rows); i++)
        if (rows[i].kind == DZ_SOURCE_OK)
            works(rows[i].text, "[{}]",
                  "a=xxxxxxxxxxxxxxxxxxxx b=yyyyyyyyyyyyyyyyyyyy c=zzzzzzzzzzzzzzzzzzzz "
                  "c=zzzzzzzzzzzzzzzzzzzz c=zzzzzzzzzzzzzzzzzzzz ");
        else
            rig_fails(rows[i].text, DZ_FN_CRAWL, "[{}]", rows[i].kind, rows[i].words);
}

/* Answers come in another order, and after the run has ended. */
static void test_waiting(void **state)
{
    (void)state;
    struct call c;
    sink.hold = true;
    rig_start(&c,
              CRAWL("dozo.map({ 'a', 'b', 'clash' }, function(id, i)\n"
                    "assert(run:emit('T', { id = id }) == (i == 3 and 'clash' or 'new'))\n"
                    "run:archive(id, 'x') end, { parallel = 3 })"),
              DZ_FN_CRAWL, "[{}]", NULL);
    while (sink.asked_n < 3)
        dz_loop_turn(rig.loop, -1);
    answer(sink.asked[2]);
    answer(sink.asked[0]);
    while (sink.asked_n < 5)
        dz_loop_turn(rig.loop, -1);
    assert_false(c.done);
    answer(sink.asked[4]);
    dz_source_run_free(&c.run);
    assert_true(c.done && c.kind == DZ_SOURCE_CANCELLED);
    assert_true(sink.asked[1]->ended && sink.asked[3]->ended);
    answer(sink.asked[1]);
    answer(sink.asked[3]);
    rig_end(&c);
}

/* One that is stopped because another failed, while its ask is out. */
static void test_sibling_fails(void **state)
{
    (void)state;
    struct call c;
    sink.hold = true;
    rig_start(&c,
              CRAWL("local ok = pcall(dozo.map, { 'a', 'full' }, function(id)\n"
                    "run:archive('x', ('x'):rep(40)) run:emit('T', { id = id }) end)\n"
                    "assert(not ok) run:trouble('gone', 'still here')"),
              DZ_FN_CRAWL, "[{}]", NULL);
    while (sink.asked_n < 2)
        dz_loop_turn(rig.loop, -1);
    answer(sink.asked[1]);
    while (sink.asked_n < 3)
        dz_loop_turn(rig.loop, -1);
    answer(sink.asked[2]); /* full */
    rig_wait(&c);
    assert_int_equal(c.kind, DZ_SOURCE_OK);
    assert_non_null(strstr(sink.troubles, "gone:still here"));
    answer(sink.asked[0]);
    rig_end(&c);
}

static void test_budgets(void **state)
{
    (void)state;
    const struct dz_source_budget small = {.instructions = 2000000, .requests = 5};
    struct call c;
    /* Ten times the budget, in steps that ask the site. */
    rig_start(&c,
              CRAWL("for i = 1, 20 do for k = 1, 400000 do end http.get('https://example.org/')\n"
                    "log.info('step') run:progress(i, 20) end"),
              DZ_FN_CRAWL, "[{}]", &small);
    rig_wait(&c);
    assert_int_equal(c.kind, DZ_SOURCE_OK);
    assert_true(sink.done == 20 && sink.total == 20 && sink.progress == 20);
    rig_end(&c);
    /* Steps without a request renew nothing. */
    rig_start(&c, CRAWL("while true do for k = 1, 100000 do end run:progress(1) end"), DZ_FN_CRAWL,
              "[{}]", &small);
    rig_wait(&c);
    assert_int_equal(c.kind, DZ_SOURCE_LIMIT);
    assert_non_null(strstr(c.text, "an endless loop?"));
    rig_end(&c);
    rig_start(&c, CRAWL("while true do http.get('https://example.org/') end"), DZ_FN_CRAWL, "[{}]",
              &small);
    rig_wait(&c);
    assert_non_null(strstr(c.text, "sent more than 5 requests"));
    rig_end(&c);
}

static void test_map(void **state)
{
    (void)state;
    works(CRAWL("local now, most = 0, 0\n"
                "local got = dozo.map({ 5, 6, 7, 8 }, function(v, i)\n"
                "now = now + 1 most = math.max(most, now) run:seen('T', 1)\n"
                "http.get('https://example.org/' .. i) now = now - 1\n"
                "if v ~= 6 then return v * i end end, { parallel = 1 })\n"
                "assert(#got == 4 and got[1] == 5 and got[2] == false and got[4] == 32)\n"
                "assert(most == 1 and #dozo.map({}, function() end) == 0)\n"
                "sink = nil"),
          "[{}]", "null null null null ");
    rig_fails(CRAWL("dozo.map({ 1, 2 }, function(v) if v == 2 then dozo.fail('gone', 'no') end "
                    "http.get('https://example.org/') end)"),
              DZ_FN_CRAWL, "[{}]", DZ_SOURCE_GONE, "no");
    rig_fails(CRAWL("dozo.map({ 1 }, function() end, { parallel = 0 })"), DZ_FN_CRAWL, "[{}]",
              DZ_SOURCE_PARSE, "dozo.map: parallel must be");
    rig_fails(CRAWL("dozo.map(1, function() end)"), DZ_FN_CRAWL, "[{}]", DZ_SOURCE_PARSE, "table");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, open_rig, rig_close),
        cmocka_unit_test_setup_teardown(test_options, open_rig, rig_close),
        cmocka_unit_test_setup_teardown(test_refused, open_rig, rig_close),
        cmocka_unit_test_setup_teardown(test_waiting, open_rig, rig_close),
        cmocka_unit_test_setup_teardown(test_sibling_fails, open_rig, rig_close),
        cmocka_unit_test_setup_teardown(test_budgets, open_rig, rig_close),
        cmocka_unit_test_setup_teardown(test_map, open_rig, rig_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
