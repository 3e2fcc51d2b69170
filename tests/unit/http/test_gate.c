/*
 * test_gate: a gate that lets requests wait and sends them on later, and lines that it gives to
 * whatever answer comes. The gate's mind stands in the query: wait, refuse, line.
 */
#include "h2_frames.h"

#include "http/http_int.h"

#define STAMP "x-stamp: one\r\nX-Stamp-Two: a b\r\n"

static struct {
    struct dz_http_req *waiting[8];
    size_t n;
    int handled;
} seen;

static bool on_gate(struct dz_http_req *r)
{
    dz_str value;
    if (dz_http_query(r, DZ_S("line"), &value)) {
        dz_http_set_line(r, DZ_S("X-Stamp"), DZ_S("none"));
        dz_http_set_line(r, DZ_S("x-stamp"), DZ_S("one"));
        dz_http_set_line(r, DZ_S("X-Stamp-Two"), DZ_S("a\nb"));
    }
    if (dz_http_query(r, DZ_S("refuse"), &value)) {
        dz_http_reply_text(r, 429, DZ_S("text/plain"), (dz_str){0}, DZ_S("later"));
        return true;
    }
    if (!dz_http_query(r, DZ_S("wait"), &value))
        return false;
    dz_http_defer(r);
    assert_true(seen.n < DZ_LEN(seen.waiting));
    seen.waiting[seen.n++] = r;
    return true;
}

/* The handler waits as well, when asked to. */
static struct dz_timer later;
static struct dz_http_req *slow;

static void on_later(struct dz_loop *l, struct dz_timer *t)
{
    (void)l, (void)t;
    dz_http_reply_text(slow, 200, DZ_S("text/plain"), (dz_str){0}, DZ_S("slow"));
}

static void on_hello(struct dz_http_req *r)
{
    dz_str value;
    seen.handled++;
    if (dz_http_query(r, DZ_S("slow"), &value)) {
        dz_http_defer(r);
        slow = r;
        dz_timer_set(r->loop, &later, 1, on_later);
        return;
    }
    if (dz_http_query(r, DZ_S("long"), &value)) {
        struct dz_buf b;
        dz_buf_init(&b, 1 << 20);
        for (int i = 0; i < 20000; i++)
            dz_buf_put(&b, DZ_S("word "));
        struct dz_http_meta m = {.content_type = DZ_S("text/plain"), .last_modified_s = -1};
        dz_http_reply_buf(r, &m, &b);
        return;
    }
    dz_http_reply_text(r, 200, DZ_S("text/plain"), (dz_str){0}, r->body.n ? r->body : r->path);
}

static const struct dz_http_route routes[] = {
    {"hello", DZ_HTTP_GET | DZ_HTTP_POST | DZ_HTTP_PUT, "/hello/{}", on_hello},
};

static int setup(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof(seen));
    rig_open_bare(
        &(struct dz_http_options){.routes = routes, .routes_n = DZ_LEN(routes), .gate = on_gate});
    return 0;
}

/* Feeding turns the loop until nothing is deferred any more; this sends one on from inside that. */
static void on_turn(struct dz_loop *l, void *arg)
{
    (void)l, (void)arg;
    if (seen.n == 0)
        return;
    struct dz_http_req *r = seen.waiting[0];
    memmove(seen.waiting, seen.waiting + 1, --seen.n * sizeof(seen.waiting[0]));
    dz_http_go_on(r);
}

static void answers(const char *request, const char *want, int handled)
{
    seen.handled = 0;
    dz_loop_set_turn_end(rig.loop, on_turn, NULL);
    struct dz_http_test_conn *c = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_feed(c, dz_str_of(request), false);
    dz_str got = dz_http_test_output(c);
    if (!dz_str_eq(got, dz_str_of(want)))
        fail_msg("%s\ngot:  %.*s\nwant: %s", request, DZ_STR_FMT(got), want);
    assert_int_equal(seen.handled, handled);
    assert_int_equal(seen.n, 0);
    dz_http_test_free(&c);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define HEAD(status, lines, n)                                                                     \
    "HTTP/1.1 " status "\r\nDate: " RIG_DATE "\r\n" lines "Content-Length: " n "\r\n"
#define TEXT "Content-Type: text/plain\r\n\r\n"

static void goes_on(void **state)
{
    (void)state;
    answers(GET("/hello/a"), HEAD("200 OK", "", "8") TEXT "/hello/a", 1);
    answers(GET("/hello/%61?wait"), HEAD("200 OK", "", "8") TEXT "/hello/a", 1);
    answers(GET("/hello/a?wait&slow"), HEAD("200 OK", "", "4") TEXT "slow", 1);
    answers(GET("/hello/a?refuse"), HEAD("429 Too Many Requests", "", "5") TEXT "later", 0);
    answers("POST /hello/a?wait HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody",
            HEAD("200 OK", "", "4") TEXT "body", 1);
    answers("POST /hello/a?wait HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
            "chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
            HEAD("200 OK", "", "4") TEXT "body", 1);
    /* What is decided behind the gate is decided when it goes on. */
    answers("DELETE /hello/a?wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 405 Method Not Allowed\r\nDate: " RIG_DATE
            "\r\nAllow: GET, HEAD, OPTIONS, POST, PUT\r\nContent-Length: 23\r\nContent-Type: "
            "text/plain; charset=utf-8\r\n"
            "Cache-Control: no-store\r\n\r\n405 Method Not Allowed\n",
            0);
}

static void in_order(void **state)
{
    (void)state;
    answers(GET("/hello/1?wait") GET("/hello/2") GET("/hello/3?wait&slow") GET("/hello/4?refuse")
                GET("/hello/5?wait"),
            HEAD("200 OK", "", "8") TEXT "/hello/1" HEAD("200 OK", "", "8") TEXT
            "/hello/2" HEAD("200 OK", "", "4") TEXT "slow" HEAD("429 Too Many Requests", "", "5")
                TEXT "later" HEAD("200 OK", "", "8") TEXT "/hello/5",
            4);
}

static void lines(void **state)
{
    (void)state;
    answers(GET("/hello/a?line"), HEAD("200 OK", STAMP, "8") TEXT "/hello/a", 1);
    answers(GET("/hello/a?line&wait") GET("/hello/b"),
            HEAD("200 OK", STAMP, "8") TEXT "/hello/a" HEAD("200 OK", "", "8") TEXT "/hello/b", 2);
    answers(GET("/hello/a?line&refuse"), HEAD("429 Too Many Requests", STAMP, "5") TEXT "later", 0);
}

/* Whoever left is still gone on for, once. */
static void gone(void **state)
{
    (void)state;
    dz_loop_set_turn_end(rig.loop, NULL, NULL);
    seen.handled = 0;
    struct dz_http_test_conn *c = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_push(
        c, DZ_S("GET /hello/a?wait&long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), true);
    assert_int_equal(seen.n, 1);
    on_turn(rig.loop, NULL);
    assert_int_equal(seen.handled, 1);
    dz_http_test_free(&c);
}

#define ASK(path) PSEUDO("GET", path) ":authority\0a\0"

static void http2(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 1 << 20);
    dz_loop_set_turn_end(rig.loop, on_turn, NULL);
    seen.handled = 0;
    START;
    put_headers(&b, 1, ENDS, ASK("/hello/a?wait&line"));
    put_headers(&b, 3, ENDS, ASK("/hello/b?wait&slow"));
    put_headers(&b, 5, ENDS, ASK("/hello/c?wait&long"));
    put_headers(&b, 7, ENDS, ASK("/hello/d?refuse"));
    put_headers(&b, 9, ENDS, ASK("/hello/e?wait"));
    struct dz_http_test_conn *c = open_h2();
    dz_http_test_push(c, dz_buf_str(&b), false);
    assert_int_equal(seen.n, 4);
    dz_buf_clear(&b);
    SEND(RST, 0, 9, DZ_S("\0\0\0\x08")); /* gone while it waits */
    dz_http_test_feed(c, dz_buf_str(&b), false);
    const char *got = told(dz_http_test_output(c));
    static const char *const want[] = {"H1 ", "D1.", "H3 ", "D3.", "H5 ", "D5 D5", "H7 ", "D7."};
    for (size_t i = 0; i < DZ_LEN(want); i++)
        if (!strstr(got, want[i]))
            fail_msg("%s is not in %s", want[i], got);
    assert_null(strstr(got, "H9"));
    assert_int_equal(seen.handled, 4);
    dz_http_test_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(goes_on, setup, rig_teardown),
        cmocka_unit_test_setup_teardown(in_order, setup, rig_teardown),
        cmocka_unit_test_setup_teardown(lines, setup, rig_teardown),
        cmocka_unit_test_setup_teardown(gone, setup, rig_teardown),
        cmocka_unit_test_setup_teardown(http2, setup, rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
