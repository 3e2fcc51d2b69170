/*
 * Recorded exchanges: what is read, which one answers, what is noted when none does.
 */
#include "rig.h"

#include "source/replay.h"

static struct replay *replay;
static struct dz_source *source;

struct got {
    unsigned calls;
    enum dz_fetch_kind kind;
    int status;
    int64_t retry_after_ms;
    unsigned requests;
    char body[200], url[200], words[256], type[100];
};

static int open_replay(void **state)
{
    rig_open(state);
    replay = replay_new(rig.loop);
    source = rig_load(SOURCE("options = { cdn_url = { type = 'string', default = "
                             "'https://cdn.example.net/x' } },\n"));
    replay_begin(replay, dz_source_info_of(source), NULL, 0);
    return 0;
}

static int close_replay(void **state)
{
    replay_free(&replay);
    dz_source_unref(&source);
    return rig_close(state);
}

static void add(const char *text)
{
    must(replay_add(replay, "a.http", "/nowhere", dz_str_of(text), false, err));
}

static void done(void *arg, struct dz_fetch_res *res)
{
    struct got *g = arg;
    g->calls++;
    g->kind = res->kind;
    g->status = res->status;
    g->retry_after_ms = res->retry_after_ms;
    g->requests = res->requests;
    snprintf(g->words, sizeof(g->words), "%s", res->err.text);
    snprintf(g->url, sizeof(g->url), "%.*s", DZ_STR_FMT(res->url));
    if (res->body)
        snprintf(g->body, sizeof(g->body), "%.*s", (int)res->body->n, res->body->p);
    for (size_t i = 0; i < res->headers_n; i++)
        if (dz_str_eq(res->headers[i].name, DZ_S("content-type")))
            snprintf(g->type, sizeof(g->type), "%.*s", DZ_STR_FMT(res->headers[i].value));
}

static struct got send(struct dz_fetch_req req)
{
    struct got g = {0};
    req.done = done;
    req.arg = &g;
    replay_send(replay, &req);
    assert_int_equal(g.calls, 0); /* never from inside */
    while (g.calls == 0)
        dz_loop_turn(rig.loop, -1);
    assert_int_equal(g.calls, 1);
    return g;
}

static struct got get(const char *url)
{
    return send((struct dz_fetch_req){.url = dz_str_of(url)});
}

static void answers_are_those_recorded(void **state)
{
    (void)state;
    add("# a remark\r\nGET https://example.org/a?b=1\r\n\r\nHTTP/1.1 200 OK\r\n"
        "Content-Type: text/plain\r\n\r\none\r\ntwo\r\n\r\n### next\r\n"
        "GET https://EXAMPLE.org:443/%61/../b\n\nHTTP/1.1 404 No\n\n###\n"
        "POST https://example.org/a\nX-Key: k\n\na=1&b=2\nHTTP/1.1 201 Created\n"
        "Content-Length: 3\n\n###### still a remark\n");
    struct got g = get("https://example.org/a?b=1");
    assert_int_equal(g.kind, DZ_FETCH_OK);
    assert_int_equal(g.status, 200);
    assert_string_equal(g.body, "one\r\ntwo");
    assert_string_equal(g.type, "text/plain");
    assert_string_equal(g.url, "https://example.org/a?b=1");
    assert_int_equal(g.retry_after_ms, -1);
    g = get("https://example.org/b");
    assert_int_equal(g.status, 404);
    assert_string_equal(g.body, "");
    struct dz_fetch_header key = {DZ_S("x-key"), DZ_S("k")};
    struct dz_fetch_req post = {.method = DZ_S("POST"),
                                .url = DZ_S("https://example.org/a"),
                                .headers = &key,
                                .headers_n = 1,
                                .body = DZ_S("a=1&b=2")};
    g = send(post);
    assert_int_equal(g.status, 201);
    assert_string_equal(g.body, "###");
    assert_int_equal(replay_missing(replay).n, 0);
    post.body = DZ_S("a=2");
    g = send(post);
    assert_int_equal(g.kind, DZ_FETCH_BAD_URL);
    assert_non_null(strstr(g.words, "recorded with another body"));
    post.headers_n = 0;
    g = send(post);
    assert_non_null(strstr(g.words, "recorded with another x-key"));
    g = get("https://example.org/a");
    assert_int_equal(g.kind, DZ_FETCH_BAD_URL);
    assert_string_equal(g.words, "not recorded: GET https://example.org/a");
    assert_true(replay_missing(replay).n > 100);
    for (size_t i = 0; i < replay_count(replay); i++)
        assert_int_equal(replay_at(replay, i)->used, 1);
}

static void one_answer_after_another(void **state)
{
    (void)state;
    add("GET https://example.org/\n\nHTTP/1.1 503 Busy\nRetry-After: 3\n\n###\n"
        "GET https://example.org/\n\nHTTP/1.1 200 OK\n\nnow\n");
    for (int round = 0; round < 2; round++) {
        replay_begin(replay, dz_source_info_of(source), NULL, 0);
        struct got g = get("https://example.org/");
        assert_int_equal(g.status, 503);
        assert_int_equal(g.retry_after_ms, 3000);
        for (int i = 0; i < 3; i++) {
            g = get("https://example.org/");
            assert_int_equal(g.status, 200);
            assert_string_equal(g.body, "now");
        }
    }
}

static void files_of_a_case_come_first(void **state)
{
    (void)state;
    const char *const names[] = {"b.http"};
    add("GET https://example.org/\n\nHTTP/1.1 200 OK\n\ncommon\n");
    must(replay_add(replay, "b.http", "/",
                    DZ_S("GET https://example.org/\n\nHTTP/1.1 200 OK\n\nb\n"), true, err));
    assert_string_equal(get("https://example.org/").body, "common");
    replay_begin(replay, dz_source_info_of(source), names, 1);
    assert_string_equal(get("https://example.org/").body, "b");
    assert_string_equal(get("https://example.org/").body, "b");
}

static void redirects_and_hosts(void **state)
{
    (void)state;
    add("GET https://example.org/a\n\nHTTP/1.1 301 Moved\nLocation: b\n\n###\n"
        "GET https://example.org/b\n\nHTTP/1.1 302 Found\nLocation: //cdn.example.net/c\n\n###\n"
        "GET https://cdn.example.net/c\n\nHTTP/1.1 200 OK\n\nhere\n###\n"
        "GET https://example.org/out\n\nHTTP/1.1 302 Found\nLocation: https://example.net/\n\n###\n"
        "GET https://example.net/\n\nHTTP/1.1 200 OK\n\nsecret\n###\n"
        "GET https://example.org/round\n\nHTTP/1.1 302 Found\nLocation: /round\n\n");
    struct got g = get("https://example.org/a");
    assert_string_equal(g.body, "here");
    assert_string_equal(g.url, "https://cdn.example.net/c");
    assert_int_equal(g.requests, 3);
    g = send((struct dz_fetch_req){.url = DZ_S("https://example.org/a"), .no_redirects = true});
    assert_int_equal(g.status, 301);
    assert_int_equal(get("https://example.org/out").kind, DZ_FETCH_FORBIDDEN);
    assert_int_equal(get("https://example.net/").kind, DZ_FETCH_FORBIDDEN);
    assert_int_equal(get("https://example.org/round").kind, DZ_FETCH_REDIRECTS);
    assert_int_equal(replay_missing(replay).n, 0);
}

static void pauses_count_from_the_answer(void **state)
{
    (void)state;
    add("GET https://example.org/1\n\nHTTP/1.1 429 No\nDate: Fri, 21 Nov 2025 16:20:00 GMT\n"
        "Retry-After: Fri, 21 Nov 2025 16:21:00 GMT\n\n###\n"
        "GET https://example.org/2\n\nHTTP/1.1 429 No\nDate: Fri, 21 Nov 2025 16:20:00 GMT\n"
        "X-RateLimit-Retry-After: 1763742090\n\n###\n"
        "GET https://example.org/3\n\nHTTP/1.1 429 No\nDate: Fri, 21 Nov 2025 16:20:00 GMT\n"
        "X-RateLimit-Retry-After: 1\n\n###\n"
        "GET https://example.org/4\n\nHTTP/1.1 429 No\nRetry-After: soon\n\n");
    assert_int_equal(get("https://example.org/1").retry_after_ms, 60000);
    assert_int_equal(get("https://example.org/2").retry_after_ms, 90000);
    assert_int_equal(get("https://example.org/3").retry_after_ms, 0);
    assert_int_equal(get("https://example.org/4").retry_after_ms, -1);
}

static void connections_that_come_to_nothing(void **state)
{
    (void)state;
    add("GET https://example.org/1\n\n! connect\n\nGET https://example.org/2\n\n! timeout\n"
        "###\nGET https://example.org/3\n\n! broken");
    assert_int_equal(get("https://example.org/1").kind, DZ_FETCH_CONNECT);
    assert_int_equal(get("https://example.org/2").kind, DZ_FETCH_TIMEOUT);
    assert_int_equal(get("https://example.org/3").kind, DZ_FETCH_BROKEN);
}

static void marks(void **state)
{
    (void)state;
    add("### @optional\nGET https://example.org/1\n\nHTTP/1.1 200 OK\n\nx\n###\n"
        "GET https://example.org/2\n\nHTTP/1.1 200 OK\n\nx\n");
    assert_int_equal(replay_count(replay), 2);
    assert_true(replay_at(replay, 0)->optional);
    assert_false(replay_at(replay, 1)->optional);
    assert_int_equal(replay_at(replay, 1)->line, 8);
}

static void what_waits_at_the_end_is_cancelled(void **state)
{
    (void)state;
    struct got a = {0}, b = {0};
    add("GET https://example.org/1\n\nHTTP/1.1 200 OK\n\nx\n");
    struct dz_fetch_req req = {.url = DZ_S("https://example.org/1"), .done = done, .arg = &a};
    replay_send(replay, &req);
    req.arg = &b;
    replay_send(replay, &req);
    replay_free(&replay);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 1);
    assert_int_equal(a.kind, DZ_FETCH_CANCELLED);
    assert_null(replay);
}

static void bad_texts_name_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"x", "a.http:1: expected a request"},
        {"get https://example.org/\n\nHTTP/1.1 200 OK\n", "a.http:1: expected a request"},
        {"\n# x\nGET nowhere\n", "a.http:3: expected a request"},
        {"GET https://example.org/\n", "a.http:2: expected an answer"},
        {"GET https://example.org/\n\nHTTP/1.1 100 Go on\n", "a.http:3: expected an answer"},
        {"GET https://example.org/\nBad field\n", "a.http:2: expected a field"},
        {"GET https://example.org/\n\nHTTP/1.1 200 OK\n: x\n", "a.http:4: expected a field"},
        {"GET https://example.org/\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nx", "1 bytes are left"},
        {"GET https://example.org/\n\nHTTP/1.1 200 OK\nContent-Length: -1\n\nx", "is -1"},
        {"GET https://example.org/\n\nHTTP/1.1 200 OK\n\n< a/b", "a file beside this one"},
        {"GET https://example.org/\n\nHTTP/1.1 200 OK\n\n< gone", "No such file"},
        {"GET https://example.org/\n\n! x", "expected ! connect"},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        struct dz_err err;
        assert_int_equal(
            replay_add(replay, "a.http", "/nowhere", dz_str_of(cases[i].text), false, &err),
            DZ_BAD_INPUT);
        if (!strstr(err.text, cases[i].words))
            fail_msg("%s\n    gave %s", cases[i].text, err.text);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, open_replay, close_replay)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(answers_are_those_recorded),
        CASE(one_answer_after_another),
        CASE(files_of_a_case_come_first),
        CASE(redirects_and_hosts),
        CASE(pauses_count_from_the_answer),
        CASE(connections_that_come_to_nothing),
        CASE(marks),
        CASE(what_waits_at_the_end_is_cancelled),
        CASE(bad_texts_name_their_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
