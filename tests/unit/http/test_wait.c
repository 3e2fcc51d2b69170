/*
 * test_wait: sources that have nothing to say for a while, as those of event streams: when what
 * they say leaves, what ends the wait and what does not.
 */
#include "dial.h"
#include "h2_frames.h"

#include <errno.h>
#include <zlib.h>

#define HEAD_200                                                                                   \
    "HTTP/1.1 200 OK\r\nDate: " RIG_DATE "\r\nTransfer-Encoding: chunked\r\n"                      \
    "Content-Type: text/event-stream\r\n\r\n"

/* Every open source, in the order of the requests. */
struct talk {
    struct dz_http_source source;
    struct dz_http_req *r;
    struct dz_buf text;
    size_t at;
    bool ended, breaks, stubborn; /* stubborn: goes on when it should end */
};
#define TALKS 64
static struct {
    struct talk *talk[TALKS];
    size_t n;
    int alive, logged;
    uint64_t bytes;
} seen;

static ssize_t talk_read(struct dz_http_source *source, char *p, size_t n)
{
    struct talk *s = dz_container(source, struct talk, source);
    size_t left = s->text.n - s->at;
    if (left == 0 && s->breaks)
        return -EIO;
    if (left == 0)
        return s->ended || (dz_http_is_ending(s->r) && !s->stubborn) ? 0 : -EAGAIN;
    n = n < left ? n : left;
    memcpy(p, s->text.p + s->at, n);
    s->at += n;
    return (ssize_t)n;
}

static void talk_free(struct dz_http_source **source)
{
    struct talk *s = dz_container(dz_take(source), struct talk, source);
    for (size_t i = 0; i < seen.n; i++)
        if (seen.talk[i] == s)
            seen.talk[i] = NULL;
    seen.alive--;
    dz_buf_done(&s->text);
    free(s);
}

static void on_talk(struct dz_http_req *r)
{
    struct talk *s = dz_new(struct talk);
    dz_str first;
    s->source = (struct dz_http_source){talk_read, talk_free};
    s->r = r;
    dz_buf_init(&s->text, 1 << 24);
    if (dz_http_query(r, DZ_S("first"), &first))
        dz_buf_put(&s->text, first);
    s->stubborn = dz_http_query(r, DZ_S("stubborn"), &first);
    assert_true(seen.n < TALKS);
    seen.talk[seen.n++] = s;
    seen.alive++;
    struct dz_http_meta m = {.content_type = DZ_S("text/event-stream"), .last_modified_s = -1};
    dz_str type;
    if (dz_http_query(r, DZ_S("type"), &type))
        m.content_type = type;
    dz_http_reply_source(r, &m, &s->source);
}

static void on_hello(struct dz_http_req *r)
{
    dz_http_reply_text(r, 200, DZ_S("text/plain"), (dz_str){0}, DZ_S("hello"));
}

static void on_text(struct dz_http_req *r)
{
    struct dz_buf b;
    dz_buf_init(&b, 1 << 20);
    for (int i = 0; i < 20000; i++)
        dz_buf_put(&b, DZ_S("word "));
    struct dz_http_meta m = {.content_type = DZ_S("text/plain"), .last_modified_s = -1};
    dz_http_reply_buf(r, &m, &b);
}

static const struct dz_http_route routes[] = {
    {"talk", DZ_HTTP_GET, "/talk", on_talk},
    {"hello", DZ_HTTP_GET, "/hello", on_hello},
    {"text", DZ_HTTP_GET, "/text", on_text},
};

static void on_access(void *app, const struct dz_http_req *r, int status, uint64_t bytes,
                      int64_t ns)
{
    (void)app, (void)r, (void)status, (void)ns;
    seen.logged++;
    seen.bytes = bytes;
}

static int setup(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof(seen));
    rig_open_bare(&(struct dz_http_options){.routes = routes,
                                            .routes_n = DZ_LEN(routes),
                                            .access = on_access,
                                            .body_timeout_ms = 50,
                                            .idle_timeout_ms = 20});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(seen.alive, 0);
    rig_close();
    return 0;
}

/* ---- saying something ------------------------------------------------------------------------ */

static void deliver(struct dz_http_test_conn *t)
{
    dz_loop_turn(rig.loop, 0);
    dz_http_test_push(t, (dz_str){0}, false);
}

static void say(struct dz_http_test_conn *t, size_t i, const char *words)
{
    dz_buf_put(&seen.talk[i]->text, dz_str_of(words));
    dz_http_source_wake(seen.talk[i]->r);
    deliver(t);
}

static void end(struct dz_http_test_conn *t, size_t i)
{
    seen.talk[i]->ended = true;
    dz_http_source_wake(seen.talk[i]->r);
    deliver(t);
}

static struct dz_http_test_conn *opened(const char *request)
{
    struct dz_http_test_conn *t = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_push(t, dz_str_of(request), false);
    return t;
}

#define TALK(query) "GET /talk" query " HTTP/1.1\r\nHost: a\r\n\r\n"
#define HELLO "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
#define HELLO_200                                                                                  \
    "HTTP/1.1 200 OK\r\nDate: " RIG_DATE                                                           \
    "\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"

/* ---- HTTP/1.1 -------------------------------------------------------------------------------- */

/* The head leaves at once, each event by itself, the next answer behind the end. */
static void in_order(void **state)
{
    (void)state;
    struct dz_http_test_conn *t = opened(HELLO TALK("") HELLO);
    assert_text(dz_http_test_output(t), HELLO_200 HEAD_200);
    say(t, 0, "data: 1\n\n");
    assert_text(dz_http_test_output(t), HELLO_200 HEAD_200 "9\r\ndata: 1\n\n\r\n");
    say(t, 0, ""); /* nothing after all */
    say(t, 0, "two");
    dz_http_source_wake(seen.talk[0]->r);
    dz_http_source_wake(seen.talk[0]->r);
    deliver(t);
    assert_text(dz_http_test_output(t), HELLO_200 HEAD_200 "9\r\ndata: 1\n\n\r\n3\r\ntwo\r\n");
    assert_int_equal(seen.logged, 1);
    end(t, 0);
    assert_text(dz_http_test_output(t), HELLO_200 HEAD_200 "9\r\ndata: 1\n\n\r\n3\r\ntwo\r\n"
                                                           "0\r\n\r\n" HELLO_200);
    assert_int_equal(seen.logged, 3);
    assert_false(dz_http_test_closed(t));
    dz_http_test_free(&t);
}

/* Every split of the requests, every limit of what is written, with words before the first wait. */
static void every_split(void **state)
{
    (void)state;
    static const char requests[] = HELLO TALK("?first=one") TALK("?first=a") HELLO;
    for (size_t at = 0; at < 2 * sizeof(requests); at++) {
        struct dz_http_test_conn *t = dz_http_test_open(rig.server, rig.loop);
        size_t split = at % sizeof(requests);
        if (at >= sizeof(requests))
            dz_http_test_write_limit(t, 1 + split % 40);
        seen.n = 0;
        dz_http_test_push(t, dz_str_sub(DZ_S(requests), 0, split), false);
        dz_http_test_push(t, dz_str_sub(DZ_S(requests), split, DZ_NPOS), false);
        say(t, 0, "two");
        end(t, 0);
        say(t, 1, "b");
        end(t, 1);
        assert_text(dz_http_test_output(t),
                    HELLO_200 HEAD_200 "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n" HEAD_200
                                       "1\r\na\r\n1\r\nb\r\n0\r\n\r\n" HELLO_200);
        dz_http_test_free(&t);
    }
    /* HTTP/1.0 has the close for an end. */
    seen.n = 0;
    struct dz_http_test_conn *t = opened("GET /talk?first=one HTTP/1.0\r\n\r\n");
    say(t, 0, "two");
    end(t, 0);
    assert_text(body_of(dz_http_test_output(t)), "onetwo");
    assert_true(dz_http_test_closed(t));
    dz_http_test_free(&t);
}

/* A source that breaks while it is asked again cuts the answer. */
static void breaks(void **state)
{
    (void)state;
    struct dz_http_test_conn *t = opened(TALK("?first=one") HELLO);
    seen.talk[0]->breaks = true;
    dz_http_source_wake(seen.talk[0]->r);
    deliver(t);
    assert_text(dz_http_test_output(t), HEAD_200 "3\r\none\r\n");
    assert_true(dz_http_test_closed(t));
    dz_http_test_free(&t);
}

/* The end of the input: nobody will ever say that it is enough. What was said has left. */
static void peer_closes(void **state)
{
    (void)state;
    struct dz_http_test_conn *t = opened(TALK("?first=one"));
    dz_http_test_push(t, DZ_S(HELLO), false); /* bytes alone end nothing */
    assert_int_equal(seen.alive, 1);
    dz_http_test_push(t, (dz_str){0}, true);
    assert_true(dz_http_test_closed(t));
    assert_int_equal(seen.alive, 0);
    assert_int_equal(seen.logged, 1);
    assert_int_equal(seen.bytes, 3);
    assert_text(dz_http_test_output(t), HEAD_200 "3\r\none\r\n");
    dz_http_test_free(&t);
}

/* A client that does not take its events is cut like any other; meanwhile one that has taken all
 * it was told waits on, and so does its connection's time. */
static void time_passes(void **state)
{
    (void)state;
    struct dz_http_test_conn *waits = opened(TALK("?first=one"));
    struct dz_http_test_conn *stuck = opened(TALK("?first=one"));
    dz_http_test_write_limit(stuck, 0);
    say(stuck, 1, "two");
    for (int i = 0; i < 1000 && !dz_http_test_closed(stuck); i++)
        dz_loop_turn(rig.loop, 20);
    assert_true(dz_http_test_closed(stuck));
    assert_int_equal(seen.alive, 1);
    assert_false(dz_http_test_closed(waits));
    say(waits, 0, "two");
    end(waits, 0);
    assert_text(dz_http_test_output(waits), HEAD_200 "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
    for (int i = 0; i < 1000 && !dz_http_test_closed(waits); i++) /* idle now */
        dz_loop_turn(rig.loop, 20);
    assert_true(dz_http_test_closed(waits));
    dz_http_test_free(&waits);
    dz_http_test_free(&stuck);
}

/* Other types may be compressed: what was said before the wait can be read before it ends. */
static void flushes(void **state)
{
    (void)state;
    struct dz_http_test_conn *t =
        opened("GET /talk?type=text/plain&first=one HTTP/1.1\r\nHost: a\r\n"
               "Accept-Encoding: gzip\r\n\r\n");
    assert_header(dz_http_test_output(t), "Content-Encoding", "gzip");
    z_stream z = {0};
    char plain[64];
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_out = (Bytef *)plain;
    z.avail_out = sizeof(plain);
    size_t at = 0;
    static const char *const so_far[] = {"one", "onetwo", "onetwothree"};
    for (size_t i = 0; i < DZ_LEN(so_far); i++) {
        dz_str rest = body_of(dz_http_test_output(t));
        rest = dz_str_sub(rest, at, rest.n);
        while (rest.n > 0) { /* chunk by chunk */
            size_t line = dz_str_find(rest, DZ_S("\r\n"));
            size_t n = strtoul(rest.p, NULL, 16);
            z.next_in = (Bytef *)(uintptr_t)(rest.p + line + 2);
            z.avail_in = (uInt)n;
            assert_int_equal(inflate(&z, Z_SYNC_FLUSH), Z_OK);
            at += line + n + 4;
            rest = dz_str_sub(rest, line + n + 4, rest.n);
        }
        assert_text((dz_str){plain, z.total_out}, so_far[i]);
        if (i + 1 < DZ_LEN(so_far))
            say(t, 0, so_far[i + 1] + strlen(so_far[i]));
    }
    inflateEnd(&z);
    dz_http_test_free(&t);
}

/* Event streams take no encoder from texts that are compressed while sent. */
static void no_encoders(void **state)
{
    (void)state;
    struct dz_http_test_conn *t[HTTP_COMPRESS_SOURCES_MAX + 1];
    for (size_t i = 0; i < DZ_LEN(t); i++) {
        t[i] = opened("GET /talk HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip, br\r\n\r\n");
        assert_header(dz_http_test_output(t[i]), "Content-Encoding", NULL);
    }
    assert_header(ask(DZ_S("GET /text HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")),
                  "Content-Encoding", "gzip");
    for (size_t i = 0; i < DZ_LEN(t); i++)
        dz_http_test_free(&t[i]);
}

/* ---- HTTP/2 ---------------------------------------------------------------------------------- */

#define TALK2(query) PSEUDO("GET", "/talk" query) ":authority\0a\0"

static struct dz_http_test_conn *opened_h2(struct dz_buf *b)
{
    struct dz_http_test_conn *t = open_h2();
    dz_http_test_push(t, dz_buf_str(b), false);
    dz_buf_clear(b);
    return t;
}

static void push(struct dz_http_test_conn *t, struct dz_buf *b)
{
    dz_http_test_push(t, dz_buf_str(b), false);
    dz_buf_clear(b);
    deliver(t);
}

static void many_streams(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 1 << 20);
    START;
    put_headers(&b, 1, ENDS, TALK2(""));
    put_headers(&b, 3, ENDS, TALK2("?first=one"));
    struct dz_http_test_conn *t = opened_h2(&b);
    assert_string_equal(told(dz_http_test_output(t)), "H1 H3 D3");
    put_headers(&b, 5, ENDS, PSEUDO("GET", "/hello") ":authority\0a\0");
    push(t, &b);
    say(t, 0, "x");
    assert_string_equal(told(dz_http_test_output(t)), "H1 H3 D3 H5 D5. D1");
    SEND(RST, 0, 3, DZ_S("\0\0\0\x08"));
    push(t, &b);
    assert_int_equal(seen.alive, 1);
    end(t, 0);
    assert_string_equal(told(dz_http_test_output(t)), "H1 H3 D3 H5 D5. D1 D1.");
    assert_int_equal(seen.alive, 0);
    assert_int_equal(seen.logged, 3);
    dz_http_test_free(&t);
}

/* Every way of a peer to say that it goes ends what would wait for ever, and nothing else. */
static void peer_leaves(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 1 << 20);
    for (int eof = 0; eof < 2; eof++) {
        seen.n = 0;
        START;
        put_headers(&b, 1, ENDS, TALK2("?first=one"));
        put_headers(&b, 3, ENDS, TALK2("?stubborn=1"));
        struct dz_http_test_conn *t = opened_h2(&b);
        assert_string_equal(told(dz_http_test_output(t)), "H1 H3 D1");
        if (!eof)
            SEND(GOAWAY, 0, 0, DZ_S("\0\0\0\0\0\0\0\0"));
        dz_http_test_push(t, dz_buf_str(&b), eof);
        deliver(t);
        const char *got = told(dz_http_test_output(t));
        assert_true(strstr(got, " D1.") && strstr(got, " R3:"));
        assert_int_equal(seen.alive, 0);
        if (eof)
            assert_true(dz_http_test_closed(t));
        dz_http_test_free(&t);
    }
}

/* A stream whose window is closed is reset after a while when it has something to send; one that
 * waits is not. */
static void closed_window(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 1 << 20);
    START;
    SEND(SETTINGS, 0, 0, DZ_S("\0\x04\0\0\0\x03"));
    put_headers(&b, 1, ENDS, TALK2("?first=one"));
    put_headers(&b, 3, ENDS, TALK2("?first=on"));
    struct dz_http_test_conn *t = opened_h2(&b);
    assert_string_equal(told(dz_http_test_output(t)), "H1 H3 D1 D3");
    say(t, 0, "two");
    for (int i = 0; i < 1000 && seen.alive == 2; i++) {
        dz_loop_turn(rig.loop, 20);
        dz_http_test_push(t, (dz_str){0}, false);
    }
    assert_null(seen.talk[0]);
    assert_int_equal(seen.alive, 1);
    say(t, 1, "x");
    const char *got = told(dz_http_test_output(t));
    assert_string_equal(got, "H1 H3 D1 D3 R1:8 D3");
    dz_http_test_free(&t);
}

/* ---- stop ------------------------------------------------------------------------------------ */

/* Over a socket: the stop does not wait for those that would wait for ever. A source that hears of
 * it ends well; one that does not is cut. */
static void graceful_stop(void **state)
{
    (void)state;
    char address[128];
    must(dz_http_listen(rig.server, "127.0.0.1:0", 1, address, err));
    must(dz_http_start(rig.server, 1, err));
    static const char *const requests[] = {TALK("?first=one"), TALK("?first=one&stubborn=1")};
    int fd[2];
    struct dz_buf got[2];
    for (size_t i = 0; i < 2; i++) {
        fd[i] = dial(address, 0);
        must(dz_write_all(fd[i], dz_str_of(requests[i]), err));
        dz_buf_init(&got[i], 1 << 20);
        assert_true(dz_buf_reserve(&got[i], 4096));
        while (dz_str_find(dz_buf_str(&got[i]), DZ_S("one")) == DZ_NPOS) {
            ssize_t n = read(fd[i], got[i].p + got[i].n, 1024);
            assert_true(n > 0);
            got[i].n += (size_t)n;
        }
    }
    pthread_t stopper = dial_begin_stop();
    for (size_t i = 0; i < 2; i++) {
        ssize_t n;
        while ((n = read(fd[i], got[i].p + got[i].n, 1024)) > 0)
            got[i].n += (size_t)n;
        assert_text(dz_buf_str(&got[i]),
                    i ? HEAD_200 "3\r\none\r\n" : HEAD_200 "3\r\none\r\n0\r\n\r\n");
        close(fd[i]);
        dz_buf_done(&got[i]);
    }
    pthread_join(stopper, NULL);
    assert_int_equal(seen.logged, 2);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(in_order),    CASE(every_split),   CASE(breaks),        CASE(peer_closes),
        CASE(time_passes), CASE(flushes),       CASE(no_encoders),   CASE(many_streams),
        CASE(peer_leaves), CASE(closed_window), CASE(graceful_stop),
    };
    return cmocka_run_group_tests_name("http-wait", tests, NULL, NULL);
}
