/*
 * test_nagato: requests of the library API that wait: for workers that are busy and for a back that
 * fails, talks nonsense or is not there. dz_back_call() and its cancelling are wrapped by the
 * linker (meson.build): calls are kept here until a test ends them.
 */
#include "rig.h"

#include <jansson.h>

struct dz_call {
    char name[32];
    json_t *args;
    void (*done)(void *arg, const struct dz_call_result *r);
    void *arg;
    bool open;
};

#define CALLS_MAX 512u
static struct dz_call calls[CALLS_MAX];
static unsigned calls_n, cancelled;

enum dz_code __wrap_dz_back_call(struct dz_loop *l, const char *data_dir, const char *name,
                                 json_t *args, int64_t deadline_ms,
                                 void (*done)(void *arg, const struct dz_call_result *r), void *arg,
                                 struct dz_call **ret_call, struct dz_err *err);
void __wrap_dz_back_call_cancel(struct dz_call **c);

enum dz_code __wrap_dz_back_call(struct dz_loop *l, const char *data_dir, const char *name,
                                 json_t *args, int64_t deadline_ms,
                                 void (*done)(void *arg, const struct dz_call_result *r), void *arg,
                                 struct dz_call **ret_call, struct dz_err *err)
{
    (void)err;
    assert_ptr_equal(l, it.loop);
    assert_non_null(data_dir);
    assert_true(deadline_ms > 0 && calls_n < CALLS_MAX);
    struct dz_call *c = &calls[calls_n++];
    *c = (struct dz_call){.args = json_incref(args), .done = done, .arg = arg, .open = true};
    snprintf(c->name, sizeof(c->name), "%s", name);
    *ret_call = c;
    return DZ_OK;
}

void __wrap_dz_back_call_cancel(struct dz_call **pc)
{
    struct dz_call *c = dz_take(pc);
    if (!c)
        return;
    assert_true(c->open);
    c->open = false;
    cancelled++;
}

static void end_call(unsigned i, const struct dz_call_result *r)
{
    assert_true(i < calls_n && calls[i].open);
    calls[i].open = false;
    calls[i].done(calls[i].arg, r);
}

/* The i-th call is answered with this JSON. */
static void back_says(unsigned i, const char *json)
{
    json_t *v = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(v);
    end_call(i, &(struct dz_call_result){.value = v});
    json_decref(v);
}

static void back_fails(unsigned i, enum dz_source_kind kind, int64_t retry_after_ms)
{
    struct dz_source_fail f = {.kind = kind, .retry_after_ms = retry_after_ms};
    snprintf(f.text, sizeof(f.text), "test: words");
    snprintf(f.message, sizeof(f.message), "words");
    end_call(i, &(struct dz_call_result){.fail = &f});
}

static void back_is_away(unsigned i)
{
    struct dz_source_fail f = {.kind = DZ_SOURCE_UNAVAILABLE, .retry_after_ms = -1};
    end_call(i, &(struct dz_call_result){.fail = &f, .unanswered = true});
}

static void begin(unsigned queue_max)
{
    calls_n = cancelled = 0;
    rig_begin(queue_max);
}

static void end(void)
{
    for (unsigned i = 0; i < calls_n; i++) {
        assert_false(calls[i].open);
        json_decref(calls[i].args);
    }
    rig_end();
}

static struct dz_http_test_conn *ask(const char *method, const char *path, const char *body)
{
    struct dz_http_test_conn *c = dz_http_test_open(it.server, it.loop);
    char text[4096];
    int n = snprintf(text, sizeof(text),
                     "%s %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     method, path, strlen(body), body);
    dz_http_test_push(c, (dz_str){text, (size_t)n}, false);
    return c;
}

static void wait_for_calls(unsigned n)
{
    while (calls_n < n)
        dz_loop_turn(it.loop, 10);
    assert_int_equal(calls_n, n);
}

static bool has_line(struct dz_http_test_conn *c, const char *line)
{
    return dz_str_find(rig_answer(c), dz_str_of(line)) != DZ_NPOS;
}

#define INFO "/api/manga/info?site=s&id=1"
#define ANSWER "{\"site\":\"s\",\"id\":\"1\",\"info\":{\"id\":\"1\"}}"

/* ---- statuses -------------------------------------------------------------------------------- */

static void what_failed_decides_on_the_status(void **state)
{
    (void)state;
    static const struct {
        enum dz_source_kind kind;
        int64_t wait_ms;
        int status;
        const char *line;
    } cases[] = {
        {DZ_SOURCE_NOT_FOUND, -1, 404, "\r\n\r\nwords"},
        {DZ_SOURCE_BAD_URL, -1, 400, "\r\n\r\nwords"},
        {DZ_SOURCE_UNAVAILABLE, -1, 500, "\r\n\r\nwords"},
        {DZ_SOURCE_RATE_LIMITED, 1500, 500, "\r\nRetry-After: 2\r\n"},
        {DZ_SOURCE_PARSE, -1, 500, "\r\nX-Content-Type-Options: nosniff\r\n"},
    };
    begin(16);
    for (unsigned i = 0; i < DZ_LEN(cases); i++) {
        struct dz_http_test_conn *c = ask("GET", INFO, "");
        wait_for_calls(i + 1);
        back_fails(i, cases[i].kind, cases[i].wait_ms);
        assert_true(has_line(c, cases[i].line));
        assert_true(has_line(c, "\r\nContent-Type: text/plain; charset=utf-8\r\n"));
        rig_assert_status(&c, cases[i].status, DZ_S("words"));
    }
    struct dz_http_test_conn *c = ask("GET", INFO, "");
    wait_for_calls(calls_n);
    back_is_away(calls_n - 1);
    assert_true(has_line(c, "\r\nRetry-After: 5\r\n"));
    rig_assert_status(&c, 503, (dz_str){NULL, 0});
    end();
}

/* ---- too much -------------------------------------------------------------------------------- */

static void no_worker_is_to_be_had(void **state)
{
    (void)state;
    begin(1);
    atomic_store(&store.closed, true);
    struct dz_http_test_conn *page = rig_ask(it.url[0], "");
    rig_wait_for_reads(1); /* the worker has it */
    struct dz_http_test_conn *queued = ask("GET", "/api/dl_states/agregate", ""),
                             *over = ask("GET", "/api/dl_states/agregate", "");
    assert_int_equal(dz_http_test_output(queued).n, 0);
    assert_true(has_line(over, "\r\nRetry-After: 1\r\n"));
    rig_assert_status(&over, 503, (dz_str){NULL, 0});
    atomic_store(&store.closed, false);
    rig_assert_status(&queued, 200, DZ_S("{}"));
    rig_assert_status(&page, 200, lab_picture(0));
    end();
}

static void more_calls_than_there_may_be(void **state)
{
    (void)state;
    enum { MANY = 128 };
    static struct dz_http_test_conn *c[MANY];
    begin(16);
    for (unsigned i = 0; i < MANY; i++)
        c[i] = ask("GET", INFO, "");
    wait_for_calls(MANY);
    struct dz_http_test_conn *over = ask("GET", INFO, "");
    rig_assert_status(&over, 503, (dz_str){NULL, 0});
    for (unsigned i = 0; i < MANY; i++) {
        back_says(i, ANSWER);
        rig_assert_status(&c[i], 200, DZ_S("{\"id\": \"1\"}"));
    }
    over = ask("GET", INFO, "");
    wait_for_calls(MANY + 1);
    back_says(MANY, ANSWER);
    rig_assert_status(&over, 200, DZ_S("{\"id\": \"1\"}"));
    end();
}

static void who_goes_ends_the_calls(void **state)
{
    (void)state;
    begin(16);
    struct dz_http_test_conn *gone = ask("GET", INFO, ""), *stays = ask("GET", INFO, "");
    wait_for_calls(2);
    dz_http_test_free(&gone);
    while (cancelled == 0)
        dz_loop_turn(it.loop, 10);
    assert_false(calls[0].open);
    assert_true(calls[1].open);
    back_says(1, ANSWER);
    rig_assert_status(&stays, 200, DZ_S("{\"id\": \"1\"}"));
    end();
}

/* ---- several calls --------------------------------------------------------------------------- */

static void favourites_are_asked_about_some_at_a_time(void **state)
{
    (void)state;
    enum { MANY = 20, AT_ONCE = 8 };
    begin(16);
    struct dz_catalog *catalog = dz_library_catalog(it.lab.lib);
    for (int i = 0; i < MANY; i++) {
        char id[16];
        bool is_new;
        snprintf(id, sizeof(id), "f%02d", i);
        must(dz_catalog_favourite_put(catalog, DZ_S("s"), dz_str_of(id), 1, &is_new, err));
    }
    struct dz_http_test_conn *c = ask("GET", "/api/manga/favs?includeInfo=true", "");
    wait_for_calls(1);
    back_says(0, "[{\"id\": \"s\"}]");
    wait_for_calls(1 + AT_ONCE);
    for (unsigned i = 1; i <= MANY; i++) {
        assert_true(calls_n <= i + AT_ONCE);
        assert_string_equal(calls[i].name, "series");
        back_says(i, ANSWER);
    }
    assert_true(has_line(c, "{\"s\": {\"f00\": {\"id\": \"1\"}, \"f01\": "));
    rig_assert_status(&c, 200, (dz_str){NULL, 0});

    /* The first that fails ends the others. */
    c = ask("GET", "/api/manga/favs?includeInfo=true", "");
    unsigned first = calls_n;
    wait_for_calls(first + 1);
    back_says(first, "[{\"id\": \"s\"}]");
    wait_for_calls(first + 1 + AT_ONCE);
    back_fails(first + 4, DZ_SOURCE_PARSE, -1);
    assert_int_equal(cancelled, AT_ONCE - 1);
    rig_assert_status(&c, 500, DZ_S("words"));
    end();
}

static void a_favourite_that_is_gone_hides_no_other(void **state)
{
    (void)state;
    begin(16);
    struct dz_catalog *catalog = dz_library_catalog(it.lab.lib);
    static const struct {
        const char *site, *id;
    } favs[] = {{"s", "a"}, {"s", "b"}, {"s", "c"}, {"t", "d"}, {"u", "e"}};
    for (size_t i = 0; i < DZ_LEN(favs); i++) {
        bool is_new;
        must(dz_catalog_favourite_put(catalog, dz_str_of(favs[i].site), dz_str_of(favs[i].id), 1,
                                      &is_new, err));
    }
    struct dz_http_test_conn *c = ask("GET", "/api/manga/favs?includeInfo=true", "");
    wait_for_calls(1);
    back_says(0, "[{\"id\": \"s\"}, {\"id\": \"t\"}]");
    wait_for_calls(5);
    back_fails(1, DZ_SOURCE_GONE, -1);
    back_says(2, ANSWER);
    back_fails(4, DZ_SOURCE_NOT_FOUND, -1);
    back_fails(3, DZ_SOURCE_NOT_FOUND, -1);
    rig_assert_status(&c, 200,
                      DZ_S("{\"s\": {\"b\": {\"id\": \"1\"}}, \"t\": {}, \"u\": [\"e\"]}"));
    assert_int_equal(cancelled, 0);

    /* Who asks for it alone hears of it. */
    c = ask("GET", "/api/manga/info?site=s&id=a", "");
    wait_for_calls(6);
    back_fails(5, DZ_SOURCE_GONE, -1);
    rig_assert_status(&c, 500, DZ_S("words"));

    /* A back that is away says nothing about what is gone. */
    c = ask("GET", "/api/manga/favs?includeInfo=true", "");
    wait_for_calls(7);
    back_says(6, "[{\"id\": \"s\"}]");
    wait_for_calls(10);
    back_fails(7, DZ_SOURCE_GONE, -1);
    back_is_away(8);
    rig_assert_status(&c, 503, (dz_str){NULL, 0});
    end();
}

/* ---- without a back -------------------------------------------------------------------------- */

static void marks_need_a_back_only_for_what_nobody_knows(void **state)
{
    (void)state;
    begin(16);
    struct dz_http_test_conn *c = ask("GET", "/api/chapter/mark?site=s&id=1", "");
    wait_for_calls(1); /* whether there is such a site */
    back_is_away(0);
    rig_assert_status(&c, 200, DZ_S("null"));

    c = ask("GET", "/api/chapter/mark?site=s&id=1", "");
    wait_for_calls(2);
    back_says(1, "[{\"id\": \"s\"}]");
    rig_assert_status(&c, 200, DZ_S("null"));

    c = ask("GET", "/api/chapter/mark?site=s&id=1", ""); /* known by now */
    rig_assert_status(&c, 200, DZ_S("null"));
    assert_int_equal(calls_n, 2);

    c = ask("PUT", "/api/chapter/mark/IGNORED?site=s&id=1", "");
    wait_for_calls(3);
    assert_string_equal(calls[2].name, "series_of");
    back_is_away(2);
    rig_assert_status(&c, 503, (dz_str){NULL, 0});

    c = ask("PUT", "/api/chapter/mark/IGNORED?site=s&id=1", "");
    wait_for_calls(4);
    back_says(3, "[\"m\"]");
    rig_assert_status(&c, 201, DZ_S(""));
    c = ask("PUT", "/api/chapter/mark/DOWNLOADED?site=s&id=1", "");
    rig_assert_status(&c, 201, DZ_S(""));
    c = ask("GET", "/api/manga/marked?site=s&id=m", "");
    rig_assert_status(&c, 200, DZ_S("{\"1\": \"DOWNLOADED\"}"));
    assert_int_equal(calls_n, 4);

    c = ask("GET", "/api/manga/fav?site=other&id=m", "");
    wait_for_calls(5);
    back_says(4, "[{\"id\": \"s\"}]");
    rig_assert_status(&c, 404, DZ_S("No downloader found for site \"other\""));
    end();
}

/* ---- nonsense -------------------------------------------------------------------------------- */

/* A back of another build, or one that has gone mad: every request is answered. */
static void nonsense_is_answered(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *body;
    } asks[] = {
        {"GET", "/api/sites", ""},
        {"GET", "/api/resource/site?url=x", ""},
        {"GET", "/api/manga/id?url=x", ""},
        {"GET", "/api/chapter/id?url=x", ""},
        {"GET", "/api/manga/info?url=x&includeFav=true", ""},
        {"GET", "/api/chapter/info?url=x&includeMark=true", ""},
        {"GET", "/api/manga/chapters?url=x&includeMarks=true", ""},
        {"GET", "/api/manga/cover?url=x", ""},
        {"GET", "/api/manga/cover?url=x&base64=true", ""},
        {"GET", "/api/manga/favs?includeInfo=true", ""},
        {"GET", "/api/chapter/mark?url=x", ""},
        {"PUT", "/api/chapter/mark/IGNORED?site=s&id=9", ""},
        {"PUT", "/api/chapters/mark/IGNORED", "{\"urls\": [\"x\"]}"},
        {"DELETE", "/api/chapters/mark", "{\"urls\": [\"x\"]}"},
        {"POST", "/api/download/chapter?site=s&id=1", ""},
        {"POST", "/api/download/chapters", "{\"sites\": {\"s\": [\"1\"]}}"},
        {"POST", "/api/download/new?url=x", ""},
        {"POST", "/api/download/allnew", ""},
        {"POST", "/api/cancel/download/aaaaaaaaaaaaaaaaaaaaaa", ""},
        {"POST", "/api/download/retry", ""},
    };
    static const char *const values[] = {
        "null",
        "1",
        "\"\"",
        "[]",
        "{}",
        "[null]",
        "[[]]",
        "[{}]",
        "[{\"id\": 1}]",
        "[\"\"]",
        "{\"site\": 1, \"id\": null}",
        "{\"site\": \"\", \"id\": \"\"}",
        "{\"site\": \"s\", \"id\": \"1\", \"info\": [], \"chapters\": [{}, 1, {\"id\": null}]}",
        "{\"site\": \"s\", \"id\": \"1\", \"info\": null, \"chapters\": {\"id\": 1}, \"ids\": {}}",
        "{\"base64\": 1}",
        "{\"base64\": \"\"}",
        "{\"base64\": \"=\"}",
        "{\"base64\": \"====\"}",
        "{\"base64\": \"a\"}",
        "{\"base64\": \"é é \"}",
        "{\"ids\": [1, null]}",
        "{\"ids\": [[]]}",
        "[{\"site\": \"s\", \"id\": \"1\"}, {\"site\": \"s\"}]",
    };
    begin(16);
    for (size_t i = 0; i < DZ_LEN(asks); i++)
        for (size_t k = 0; k < DZ_LEN(values); k++) {
            struct dz_http_test_conn *c = ask(asks[i].method, asks[i].path, asks[i].body);
            unsigned ended = 0;
            while (dz_http_test_output(c).n == 0) {
                for (; ended < calls_n; ended++)
                    back_says(ended, values[k]);
                dz_loop_turn(it.loop, 1);
            }
            assert_true(dz_str_starts(rig_answer(c), DZ_S("HTTP/1.1 ")));
            dz_http_test_free(&c);
            for (unsigned at = 0; at < calls_n; at++)
                json_decref(calls[at].args);
            calls_n = 0;
        }
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_failed_decides_on_the_status),
        cmocka_unit_test(no_worker_is_to_be_had),
        cmocka_unit_test(more_calls_than_there_may_be),
        cmocka_unit_test(who_goes_ends_the_calls),
        cmocka_unit_test(favourites_are_asked_about_some_at_a_time),
        cmocka_unit_test(a_favourite_that_is_gone_hides_no_other),
        cmocka_unit_test(marks_need_a_back_only_for_what_nobody_knows),
        cmocka_unit_test(nonsense_is_answered),
    };
    dz_log_init(2, DZ_ERROR, DZ_LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
