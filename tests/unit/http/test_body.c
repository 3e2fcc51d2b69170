/*
 * test_body: handlers that take the body as it comes: whole, in pieces, held back, refused early,
 * cut off; over HTTP/1.1 and HTTP/2. What a handler does stands in the query: slow (it pauses after
 * each piece), deny, early (answers with the first piece), max.
 */
#include "h2_frames.h"

#include "http/http_int.h"

struct taker {
    struct dz_http_sink sink;
    struct dz_timer timer;
    struct dz_http_req *r;
    struct dz_buf got;
    bool slow, early, ended;
    int status;
};

static struct {
    int ends, status, pieces, alive;
    size_t bytes;
    bool held; /* nobody goes on by itself */
    struct taker *last;
} seen;

static void reply(struct taker *t)
{
    if (t->status)
        dz_http_reply_error(t->r, t->status, NULL);
    else if (t->got.n > 200)
        dz_http_reply_text(t->r, 200, DZ_S("text/plain"), (dz_str){0}, DZ_S("many"));
    else
        dz_http_reply_text(t->r, 200, DZ_S("text/plain"), (dz_str){0}, dz_buf_str(&t->got));
    dz_buf_done(&t->got);
    free(t);
    seen.alive--;
}

static void on_time(struct dz_loop *l, struct dz_timer *timer)
{
    struct taker *t = dz_container(timer, struct taker, timer);
    if (t->ended || t->early)
        reply(t);
    else if (seen.held)
        dz_timer_set(l, timer, 1, on_time);
    else
        dz_http_body_more(t->r);
}

static bool on_data(struct dz_http_sink *s, dz_str bytes)
{
    struct taker *t = dz_container(s, struct taker, sink);
    assert_true(bytes.n > 0 && !t->ended);
    dz_buf_put(&t->got, bytes);
    seen.pieces++;
    seen.bytes += bytes.n;
    if (t->slow || t->early)
        dz_timer_set(t->r->loop, &t->timer, 0, on_time);
    return !t->slow;
}

static void on_end(struct dz_http_sink *s, int status, const char *why)
{
    struct taker *t = dz_container(s, struct taker, sink);
    assert_false(t->ended);
    assert_int_equal(status == 0, why == NULL);
    t->ended = true;
    t->status = status;
    seen.ends++;
    seen.status = status;
    dz_timer_set(t->r->loop, &t->timer, 0, on_time);
}

static void on_take(struct dz_http_req *r)
{
    dz_str value;
    uint64_t max = UINT64_MAX;
    assert_int_equal(r->body.n, 0);
    if (dz_http_query(r, DZ_S("deny"), &value)) {
        dz_http_reply_text(r, 401, DZ_S("text/plain"), (dz_str){0}, DZ_S("no"));
        return;
    }
    if (dz_http_query(r, DZ_S("max"), &value))
        must(dz_str_u64(value, UINT64_MAX, &max, err));
    struct taker *t = dz_new(struct taker);
    t->sink = (struct dz_http_sink){on_data, on_end};
    t->r = r;
    t->slow = dz_http_query(r, DZ_S("slow"), &value);
    t->early = dz_http_query(r, DZ_S("early"), &value);
    dz_buf_init(&t->got, 1 << 24);
    seen.alive++;
    seen.last = t;
    dz_http_defer(r);
    dz_http_read_body(r, &t->sink, max);
}

static void on_hello(struct dz_http_req *r)
{
    dz_http_reply_text(r, 200, DZ_S("text/plain"), (dz_str){0}, DZ_S("hello"));
}

static const struct dz_http_route routes[] = {
    {"take", DZ_HTTP_POST | DZ_HTTP_PUT | DZ_HTTP_STREAMED, "/take", on_take},
    {"hello", DZ_HTTP_GET, "/hello", on_hello},
};

static int setup(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof(seen));
    rig_open_bare(&(struct dz_http_options){.routes = routes,
                                            .routes_n = DZ_LEN(routes),
                                            .body_timeout_ms = 100,
                                            .max_body_bytes = 10});
    return 0;
}

static int teardown(void **state)
{
    assert_int_equal(seen.alive, 0);
    return rig_teardown(state);
}

#define HEAD(status, n) "HTTP/1.1 " status "\r\nDate: " RIG_DATE "\r\nContent-Length: " n "\r\n"
#define TEXT "Content-Type: text/plain\r\n\r\n"
#define HELLO "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
#define SAID_HELLO HEAD("200 OK", "5") TEXT "hello"
#define LENGTH(query, n) "POST /take" query " HTTP/1.1\r\nHost: x\r\nContent-Length: " n "\r\n\r\n"
#define CHUNKED(query)                                                                             \
    "POST /take" query " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

/* Fed whole, and cut in two at each place. */
static void answers(const char *request, const char *want)
{
    dz_str in = dz_str_of(request);
    for (size_t cut = 0; cut < in.n; cut++) {
        struct dz_http_test_conn *c = dz_http_test_open(rig.server, rig.loop);
        if (cut > 0) {
            dz_http_test_push(c, dz_str_sub(in, 0, cut), false);
            for (int i = 0; i < 5; i++)
                dz_loop_turn(rig.loop, 0);
        }
        dz_http_test_feed(c, dz_str_sub(in, cut, in.n), false);
        dz_str got = dz_http_test_output(c);
        if (!dz_str_eq(got, dz_str_of(want)))
            fail_msg("%s\ncut at %zu\ngot:  %.*s\nwant: %s", request, cut, DZ_STR_FMT(got), want);
        dz_http_test_free(&c);
    }
}

static void bodies(void **state)
{
    (void)state;
    answers(LENGTH("", "20") "12345678901234567890" HELLO,
            HEAD("200 OK", "20") TEXT "12345678901234567890" SAID_HELLO);
    answers(LENGTH("", "0") HELLO, HEAD("200 OK", "0") TEXT SAID_HELLO);
    answers(LENGTH("?slow", "4") "body" HELLO, HEAD("200 OK", "4") TEXT "body" SAID_HELLO);
    answers(CHUNKED("") "4\r\nbody\r\n0\r\n\r\n" HELLO, HEAD("200 OK", "4") TEXT "body" SAID_HELLO);
    answers(CHUNKED("?slow") "2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\nA: b\r\n\r\n" HELLO,
            HEAD("200 OK", "4") TEXT "body" SAID_HELLO);
    answers("POST /take HTTP/1.1\r\nHost: x\r\n\r\n" HELLO, HEAD("200 OK", "0") TEXT SAID_HELLO);
}

static int status_now(struct dz_http_test_conn *c)
{
    dz_str out = dz_http_test_output(c);
    return out.n > 12 ? (out.p[9] - '0') * 100 + (out.p[10] - '0') * 10 + out.p[11] - '0' : 0;
}

static void ends_badly(const char *request, bool eof, int status, int ends)
{
    seen.ends = 0;
    struct dz_http_test_conn *c = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_feed(c, dz_str_of(request), eof);
    int got = status_now(c);
    dz_http_test_free(&c);
    if (got != status || seen.ends != ends)
        fail_msg("%s: %d and %d ends, want %d and %d", request, got, seen.ends, status, ends);
}

static void refused(void **state)
{
    (void)state;
    ends_badly(LENGTH("?max=3", "4"), false, 413, 1); /* nothing of it is waited for */
    ends_badly(CHUNKED("?max=3") "2\r\nab\r\n2\r\n", false, 413, 1);
    ends_badly(CHUNKED("") "zz\r\n", false, 400, 1);
    ends_badly(LENGTH("", "4") "ab", true, 400, 1);
    ends_badly(LENGTH("?deny", "4"), false, 401, 0);
    ends_badly(LENGTH("?early", "40") "ab", false, 200, 0);
    ends_badly("PUT /take HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
               true, 400, 1);
    /* Who has sent all of it keeps the connection. */
    struct dz_http_test_conn *c = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_feed(c, DZ_S(LENGTH("?max=3", "4") "body" HELLO), false);
    assert_int_equal(status_now(c), 413);
    assert_true(dz_str_ends(dz_http_test_output(c), DZ_S(SAID_HELLO)));
    dz_http_test_free(&c);
}

static void asks_to_continue(void **state)
{
    (void)state;
    struct dz_http_test_conn *c = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_push(c,
                      DZ_S("POST /take HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                           "Content-Length: 2\r\n\r\n"),
                      false);
    dz_loop_turn(rig.loop, 0);
    assert_text(dz_http_test_output(c), "HTTP/1.1 100 Continue\r\n\r\n");
    dz_http_test_feed(c, DZ_S("ab"), false);
    assert_text(dz_http_test_output(c),
                "HTTP/1.1 100 Continue\r\n\r\n" HEAD("200 OK", "2") TEXT "ab");
    dz_http_test_free(&c);

    c = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_feed(c,
                      DZ_S("POST /take?deny HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                           "Content-Length: 2\r\n\r\n"),
                      false);
    assert_int_equal(status_now(c), 401);
    dz_http_test_free(&c);
}

/* 256 bytes a second, but not while the handler holds the body back. */
static void stalls(void **state)
{
    (void)state;
    struct dz_http_test_conn *c = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_feed(c, DZ_S(LENGTH("", "400") "ab"), false);
    assert_int_equal(status_now(c), 408);
    dz_http_test_free(&c);

    seen.held = true;
    c = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_push(c, DZ_S(LENGTH("?slow", "4") "ab"), false);
    for (int64_t until_ns = dz_mono_ns() + 300000000; dz_mono_ns() < until_ns;)
        dz_loop_turn(rig.loop, 10);
    assert_int_equal(dz_http_test_output(c).n, 0);
    seen.held = false;
    dz_http_test_feed(c, DZ_S("cd"), false);
    assert_int_equal(status_now(c), 200);
    dz_http_test_free(&c);
}

/* The client is cut off in the middle; before anybody asked; while it is held back. */
static void gone(void **state)
{
    (void)state;
    struct dz_http_test_conn *c = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_push(c, DZ_S(LENGTH("", "4") "ab"), false);
    dz_http_test_free(&c);
    for (int i = 0; i < 5; i++)
        dz_loop_turn(rig.loop, 0);
    assert_int_equal(seen.ends, 1);
    assert_int_equal(seen.status, 400);
    c = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_push(c, DZ_S(LENGTH("?slow", "4") "ab"), false);
    dz_loop_turn(rig.loop, 0);
    dz_http_test_free(&c);
    for (int i = 0; i < 5; i++)
        dz_loop_turn(rig.loop, 5);
    assert_int_equal(seen.ends, 2);
}

#define TAKE(query) PSEUDO("POST", "/take" query) ":authority\0a\0"

static const char *ask_h2(struct dz_buf *b)
{
    struct dz_http_test_conn *c = open_h2();
    dz_http_test_feed(c, dz_buf_str(b), false);
    const char *got = told(dz_http_test_output(c));
    dz_http_test_free(&c);
    return got;
}

static void tells(struct dz_buf *b, const char *want)
{
    const char *got = ask_h2(b);
    if (!strstr(got, want))
        fail_msg("%s is not in %s", want, got);
}

/* The reset comes a moment after the answer, so that clients read that first. */
static void tells_later(struct dz_buf *b, const char *want)
{
    struct dz_http_test_conn *c = open_h2();
    dz_http_test_feed(c, dz_buf_str(b), false);
    const char *got = told(dz_http_test_output(c));
    for (int i = 0; i < 1000 && !strstr(got, want); i++) {
        dz_loop_turn(rig.loop, 10);
        dz_http_test_push(c, (dz_str){0}, false);
        got = told(dz_http_test_output(c));
    }
    if (!strstr(got, want))
        fail_msg("%s is not in %s", want, got);
    dz_http_test_free(&c);
}

static void http2(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 1 << 20);
    static char big[16384];
    START;
    put_headers(&b, 1, END_HEADERS, TAKE(""));
    SEND(DATA, 0, 1, DZ_S("ab"));
    SEND(DATA, END_STREAM, 1, DZ_S("cd"));
    put_headers(&b, 3, ENDS, TAKE(""));
    put_headers(&b, 5, END_HEADERS, TAKE("?slow"));
    SEND(DATA, END_STREAM, 5, DZ_S("abcd"));
    tells(&b, "H1 H3. H5 D1. D5.");
    assert_int_equal(seen.ends, 3);
    assert_int_equal(seen.bytes, 8);

    START;
    put_headers(&b, 1, END_HEADERS, TAKE("?max=3"));
    SEND(DATA, 0, 1, DZ_S("abcd"));
    tells_later(&b, "H1 D1. R1:0");
    assert_int_equal(seen.status, 413);
    START;
    put_headers(&b, 1, END_HEADERS, TAKE("?deny"));
    tells_later(&b, "H1 D1. R1:0"); /* and it is told that nothing more is wanted */
    START;
    put_headers(&b, 1, END_HEADERS, TAKE(""));
    SEND(DATA, 0, 1, DZ_S("abcd"));
    struct dz_http_test_conn *c = open_h2();
    dz_http_test_push(c, dz_buf_str(&b), false);
    dz_buf_clear(&b);
    SEND(RST, 0, 1, DZ_S("\0\0\0\x08"));
    dz_http_test_feed(c, dz_buf_str(&b), false);
    assert_int_equal(seen.status, 400);
    dz_http_test_free(&c);

    /* A sink that waits has no more than the stream's window before it. */
    seen.bytes = 0;
    seen.held = true;
    c = open_h2();
    START;
    put_headers(&b, 1, END_HEADERS, TAKE("?slow"));
    for (int i = 0; i < 15; i++)
        SEND(DATA, 0, 1, ((dz_str){big, sizeof(big)}));
    dz_http_test_push(c, dz_buf_str(&b), false);
    for (int i = 0; i < 20; i++)
        dz_loop_turn(rig.loop, 0);
    assert_true(seen.bytes < 15 * sizeof(big));
    seen.held = false;
    dz_buf_clear(&b);
    SEND(DATA, END_STREAM, 1, DZ_S("x"));
    dz_http_test_feed(c, dz_buf_str(&b), false);
    assert_int_equal(seen.bytes, 15 * sizeof(big) + 1);
    dz_http_test_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(refused, setup, teardown),
        cmocka_unit_test_setup_teardown(asks_to_continue, setup, teardown),
        cmocka_unit_test_setup_teardown(stalls, setup, teardown),
        cmocka_unit_test_setup_teardown(gone, setup, teardown),
        cmocka_unit_test_setup_teardown(http2, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
