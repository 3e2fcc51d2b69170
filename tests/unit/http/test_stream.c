/*
 * test_stream: content that is made while it is sent: framing, short writes, pipelining, ends of
 * all kinds, the three encodings. Targets say what the source does: n bytes, at most `step` a read,
 * a fault after `fault` bytes.
 */
#include "dial.h"
#include "unpack.h"

#include "http/http_int.h"

#include <errno.h>
#include <unistd.h>

#define HEAD_200 "HTTP/1.1 200 OK\r\nDate: " RIG_DATE "\r\n"
#define MIB5 (5u << 20)

static struct {
    int alive; /* sources that are not freed */
    size_t made;
    int logged, status;
    uint64_t bytes;
    char target[64];
} seen;

/* Words that compress as text does; 'a' all over; or nothing that can be packed. */
enum look { WORDS, SAME, NOISE };

static void content(enum look look, char *p, size_t at, size_t n)
{
    static const char words[] = "the moon over a quiet school was bright and the dragon slept ";
    for (size_t i = 0; i < n; i++, at++) {
        uint64_t x = (at / (look == WORDS ? 7 : 1) + 1) * 0x9E3779B97F4A7C15u;
        x ^= x >> 29;
        p[i] = look == SAME    ? 'a'
               : look == NOISE ? (char)(x * 0xBF58476D1CE4E5B9u >> 56)
                               : words[(x % 9 * 7 + at % 7) % (sizeof(words) - 1)];
    }
}

struct made_source {
    struct dz_http_source source;
    enum look look;
    size_t at, n, step, fault;
};

static ssize_t made_read(struct dz_http_source *source, char *p, size_t n)
{
    struct made_source *m = dz_container(source, struct made_source, source);
    if (m->at >= m->fault)
        return -EIO;
    if (n > m->step)
        n = m->step;
    if (n > m->n - m->at)
        n = m->n - m->at;
    content(m->look, p, m->at, n);
    m->at += n;
    seen.made += n;
    return (ssize_t)n;
}

static void made_free(struct dz_http_source **source)
{
    struct made_source *m = dz_container(dz_take(source), struct made_source, source);
    seen.alive--;
    free(m);
}

static size_t number(struct dz_http_req *r, const char *name, size_t preset)
{
    dz_str value;
    uint64_t n = preset;
    if (dz_http_query(r, dz_str_of(name), &value))
        must(dz_str_u64(value, UINT64_MAX, &n, err));
    return (size_t)n;
}

static void on_made(struct dz_http_req *r)
{
    struct made_source *m = dz_new(struct made_source);
    *m = (struct made_source){.source = {made_read, made_free},
                              .look = (enum look)number(r, "look", WORDS),
                              .n = number(r, "n", 0),
                              .step = number(r, "step", SIZE_MAX),
                              .fault = number(r, "fault", SIZE_MAX)};
    seen.alive++;
    dz_str type;
    if (!dz_http_query(r, DZ_S("type"), &type))
        type = DZ_S("text/plain");
    struct dz_http_meta meta = {.status = (int)number(r, "status", 0),
                                .content_type = type,
                                .etag = DZ_S("\"m1\""),
                                .last_modified_s = -1};
    dz_http_reply_source(r, &meta, &m->source);
}

static void on_buf(struct dz_http_req *r)
{
    size_t n = number(r, "n", 0);
    struct dz_buf b;
    dz_buf_init(&b, 1 << 24);
    assert_true(dz_buf_reserve(&b, n + 1));
    content((enum look)number(r, "look", WORDS), b.p, 0, n);
    b.n = n;
    dz_str type;
    if (!dz_http_query(r, DZ_S("type"), &type))
        type = DZ_S("application/json");
    struct dz_http_meta meta = {.content_type = type,
                                .etag = DZ_S("\"b1\""),
                                .last_modified_s = -1,
                                .cache_control = DZ_S("no-transform")};
    dz_http_reply_buf(r, &meta, &b);
}

struct late {
    struct dz_timer timer;
    struct dz_http_req *r;
};

static void reply_late(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    struct late *late = dz_container(t, struct late, timer);
    struct dz_http_req *r = late->r;
    free(late);
    on_made(r);
}

static void on_late(struct dz_http_req *r)
{
    struct late *late = dz_new(struct late);
    late->r = r;
    dz_http_defer(r);
    dz_timer_set(r->loop, &late->timer, 1, reply_late);
}

static void on_hello(struct dz_http_req *r)
{
    dz_http_reply_text(r, 200, DZ_S("text/plain"), (dz_str){0}, DZ_S("hello"));
}

static const struct dz_http_route routes[] = {
    {"made", DZ_HTTP_GET | DZ_HTTP_POST, "/made", on_made},
    {"buf", DZ_HTTP_GET, "/buf", on_buf},
    {"late", DZ_HTTP_GET, "/late", on_late},
    {"hello", DZ_HTTP_GET, "/hello", on_hello},
};

/* The request must still be whole when its answer is logged. */
static void on_access(void *app, const struct dz_http_req *r, int status, uint64_t bytes,
                      int64_t ns)
{
    (void)app;
    assert_true(ns >= 0);
    seen.logged++;
    seen.status = status;
    seen.bytes = bytes;
    snprintf(seen.target, sizeof(seen.target), "%.*s", DZ_STR_FMT(r->target));
}

static int setup(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof(seen));
    rig_open_bare(&(struct dz_http_options){
        .routes = routes, .routes_n = DZ_LEN(routes), .access = on_access, .body_timeout_ms = 200});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(seen.alive, 0);
    rig_close();
    return 0;
}

/* GET with the fields of `fields`; each line with its CRLF. */
static dz_str get(const char *target, const char *fields)
{
    char request[1024];
    int n =
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", target, fields);
    assert_true(n > 0 && (size_t)n < sizeof(request));
    return ask((dz_str){request, (size_t)n});
}

static void assert_content(dz_str got, enum look look, size_t n)
{
    char *want = dz_alloc(n + 1);
    content(look, want, 0, n);
    assert_int_equal(got.n, n);
    assert_true(n == 0 || memcmp(got.p, want, n) == 0);
    free(want);
}

/* RFC 9112 7.1, byte by byte. */
static void framing(void **state)
{
    (void)state;
    const char *head = HEAD_200 "Transfer-Encoding: chunked\r\nContent-Type: text/plain\r\n"
                                "ETag: \"m1\"\r\nVary: Accept-Encoding\r\n\r\n";
    char want[1024];
    snprintf(want, sizeof(want), "%s0\r\n\r\n", head);
    assert_text(get("/made?n=0", ""), want);
    snprintf(want, sizeof(want), "%s5\r\naaaaa\r\n0\r\n\r\n", head);
    assert_text(get("/made?n=5&look=1", ""), want);
    assert_int_equal(seen.bytes, 5);
    snprintf(want, sizeof(want), "%s10\r\naaaaaaaaaaaaaaaa\r\n0\r\n\r\n", head);
    assert_text(get("/made?n=16&look=1", ""), want);
    /* Two short reads are a turn's work. */
    snprintf(want, sizeof(want), "%s6\r\naaaaaa\r\n4\r\naaaa\r\n0\r\n\r\n", head);
    assert_text(get("/made?n=10&step=3&look=1", ""), want);
    assert_int_equal(seen.bytes, 10);
    /* A full chunk, then the end. */
    dz_str body = body_of(get("/made?n=32768", ""));
    assert_true(dz_str_starts(body, DZ_S("8000\r\n")));
    assert_true(dz_str_ends(body, DZ_S("\r\n0\r\n\r\n")));
    assert_int_equal(body.n, 6 + 32768 + 7);
    assert_int_equal(seen.logged, 5);
}

/* RFC 9112 6.1: no Transfer-Encoding to HTTP/1.0; the close is the end (6.3). */
static void http_1_0(void **state)
{
    (void)state;
    struct dz_http_test_conn *t = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_feed(
        t, DZ_S("GET /made?n=9&step=2&look=1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), false);
    assert_text(dz_http_test_output(t),
                HEAD_200 "Connection: close\r\nContent-Type: text/plain\r\nETag: \"m1\"\r\n"
                         "Vary: Accept-Encoding\r\n\r\naaaaaaaaa");
    assert_true(dz_http_test_closed(t));
    dz_http_test_free(&t);
    t = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_feed(t, DZ_S("GET /made?n=200000 HTTP/1.0\r\nAccept-Encoding: br\r\n\r\n"), false);
    dz_str answer = dz_http_test_output(t);
    assert_header(answer, "Transfer-Encoding", NULL);
    DZ_AUTO(dz_buf_done) struct dz_buf plain;
    dz_buf_init(&plain, 1 << 20);
    unpack(DZ_S("br"), body_of(answer), &plain);
    assert_content(dz_buf_str(&plain), WORDS, 200000);
    dz_http_test_free(&t);
}

/* Whatever the wire takes at a time, the same bytes come. */
static void short_writes(void **state)
{
    (void)state;
    static const char requests[] =
        "GET /made?n=300&step=70 HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /late?n=100&step=33 HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"
        "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /made?n=0 HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /made?n=90000 HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    /* In order, each whole. */
    dz_str rest = rig_short_writes(DZ_S(requests), 130);
    static const size_t lengths[] = {300, 100, 5, 0, 90000, 5};
    for (size_t i = 0; i < DZ_LEN(lengths); i++) {
        DZ_AUTO(dz_buf_done) struct dz_buf body, plain;
        dz_buf_init(&body, 1 << 20);
        dz_buf_init(&plain, 1 << 20);
        dz_str encoding = header_of(rest, "Content-Encoding");
        if (lengths[i] == 5) {
            rest = body_of(rest);
            dz_buf_put(&body, dz_str_sub(rest, 0, 5));
            rest = dz_str_sub(rest, 5, rest.n);
        } else {
            rest = unchunk(body_of(rest), &body);
        }
        unpack(encoding, dz_buf_str(&body), &plain);
        assert_int_equal(plain.n, lengths[i]);
    }
    assert_int_equal(rest.n, 0);
}

/* HEAD and answers without content never read the source. */
static void unread_sources(void **state)
{
    (void)state;
    dz_str answer = ask(DZ_S("HEAD /made?n=70000 HTTP/1.1\r\nHost: a\r\n"
                             "Accept-Encoding: gzip\r\n\r\n"));
    assert_text(answer, HEAD_200 "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n"
                                 "ETag: \"m1-gz\"\r\nVary: Accept-Encoding\r\n\r\n");
    answer = get("/made?n=70000", "If-None-Match: \"m1-zs\"\r\nAccept-Encoding: zstd\r\n");
    assert_text(answer, "HTTP/1.1 304 Not Modified\r\nDate: " RIG_DATE
                        "\r\nETag: \"m1-zs\"\r\nVary: Accept-Encoding\r\n\r\n");
    assert_int_equal(status_of(get("/made?n=70000", "If-Match: \"m1-zs\"\r\n")), 412);
    answer = get("/made?n=70000&status=204", "Accept-Encoding: br\r\n");
    assert_int_equal(status_of(answer), 204);
    assert_header(answer, "Transfer-Encoding", NULL); /* RFC 9112 6.1 */
    assert_header(answer, "Content-Encoding", NULL);
    assert_int_equal(seen.made, 0);
    /* HEAD of a large text that would be compressed on the way. */
    answer = ask(DZ_S("HEAD /buf?n=70000 HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br\r\n\r\n"));
    assert_header(answer, "Content-Encoding", "br");
    assert_header(answer, "Content-Length", NULL);
    assert_int_equal(body_of(answer).n, 0);
    assert_int_equal(seen.logged, 5);
    assert_int_equal(seen.bytes, 0);
}

/* A source that breaks: nothing has left, 500; something has, the client gets no last chunk. */
static void faults(void **state)
{
    (void)state;
    static const char *const encodings[] = {"", "Accept-Encoding: gzip\r\n",
                                            "Accept-Encoding: br\r\n", "Accept-Encoding: zstd\r\n"};
    for (size_t i = 0; i < DZ_LEN(encodings); i++) {
        assert_text(get("/made?n=9&fault=0", encodings[i]),
                    "HTTP/1.1 500 Internal Server Error\r\nDate: " RIG_DATE
                    "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        assert_int_equal(seen.status, 500);
        char request[256];
        snprintf(request, sizeof(request),
                 "GET /made?n=900000&look=2&fault=600000 HTTP/1.1\r\nHost: a\r\n%s\r\n"
                 "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
                 encodings[i]);
        struct dz_http_test_conn *t = dz_http_test_open(rig.server, rig.loop);
        dz_http_test_feed(t, dz_str_of(request), false);
        assert_true(dz_http_test_closed(t));
        dz_str answer = dz_http_test_output(t);
        assert_int_equal(status_of(answer), 200);
        assert_true(answer.n > 400000);
        assert_false(dz_str_ends(answer, DZ_S("\r\n0\r\n\r\n")));
        assert_int_equal(dz_str_find(body_of(answer), DZ_S("HTTP/1.1")), DZ_NPOS);
        assert_int_equal(seen.status, 200);
        assert_true(seen.bytes > 400000 && seen.bytes < 700000);
        assert_true(dz_str_starts(dz_str_of(seen.target), DZ_S("/made?n=900000")));
        dz_http_test_free(&t);
        assert_int_equal(seen.alive, 0);
    }
}

/* A client that does not read costs one chunk, and its source goes when it goes. */
static void gone_clients(void **state)
{
    (void)state;
    struct dz_http_test_conn *t = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_write_limit(t, 0);
    dz_http_test_feed(t, DZ_S("GET /made?n=1000000 HTTP/1.1\r\nHost: a\r\n\r\n"), false);
    assert_int_equal(seen.alive, 1);
    assert_int_equal(seen.made, 32768);
    assert_int_equal(seen.logged, 0);
    dz_http_test_free(&t);
    assert_int_equal(seen.alive, 0);
    assert_int_equal(seen.logged, 1);
    assert_int_equal(seen.bytes, 32768);
    /* Gone before the late reply came. */
    t = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_write_limit(t, 0);
    seen.made = 0;
    dz_http_test_push(t, DZ_S("GET /late?n=1000000 HTTP/1.1\r\nHost: a\r\n\r\n"), false);
    dz_http_test_free(&t);
    for (int i = 0; i < 1000 && seen.logged < 2; i++)
        dz_loop_turn(rig.loop, 10);
    assert_int_equal(seen.logged, 2);
    assert_int_equal(seen.made, 0);
    assert_int_equal(seen.bytes, 0);
}

/* A client that stops reading runs into the timeout of answers. */
static void slow_reader(void **state)
{
    (void)state;
    struct dz_http_test_conn *t = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_write_limit(t, 0);
    dz_http_test_feed(
        t, DZ_S("GET /made?n=1000000 HTTP/1.1\r\nHost: a\r\nAccept-Encoding: zstd\r\n\r\n"), false);
    for (int i = 0; i < 1000 && !dz_http_test_closed(t); i++)
        dz_loop_turn(rig.loop, 20);
    assert_true(dz_http_test_closed(t));
    assert_int_equal(seen.alive, 0);
    assert_int_equal(seen.logged, 1);
    dz_http_test_free(&t);
}

/* Source and buffer, all encodings, sizes around every limit. */
static void encoded(void **state)
{
    (void)state;
    static const char *const names[] = {NULL, "gzip", "br", "zstd"};
    static const unsigned sizes[] = {0, 1, 499, 500, 65535, 65536, 65537, MIB5};
    for (size_t i = 0; i < DZ_LEN(sizes) * DZ_LEN(names) * 3 * 2; i++) {
        unsigned n = sizes[i % DZ_LEN(sizes)];
        const char *name = names[i / DZ_LEN(sizes) % DZ_LEN(names)];
        enum look look = (enum look)(i / DZ_LEN(sizes) / DZ_LEN(names) % 3);
        bool is_buf = i / DZ_LEN(sizes) / DZ_LEN(names) / 3;
        char target[64], fields[64] = "";
        snprintf(target, sizeof(target), "/%s?n=%u&look=%d", is_buf ? "buf" : "made", n, look);
        if (name)
            snprintf(fields, sizeof(fields), "Accept-Encoding: %s\r\n", name);
        dz_str answer = get(target, fields);
        dz_str body = body_of(answer), encoding = header_of(answer, "Content-Encoding");
        bool chunked = header_of(answer, "Transfer-Encoding").p != NULL;
        bool packed = name && (!is_buf || (n >= 500 && (look != NOISE || n > 65536)));
        assert_header(answer, "Content-Encoding", packed ? name : NULL);
        assert_int_equal(chunked, !is_buf || (packed && n > 65536));
        assert_header(answer, "Vary", is_buf && n < 500 ? NULL : "Accept-Encoding");
        DZ_AUTO(dz_buf_done) struct dz_buf bytes, plain;
        dz_buf_init(&bytes, 1 << 24);
        dz_buf_init(&plain, 1 << 24);
        if (chunked)
            assert_int_equal(unchunk(body, &bytes).n, 0);
        else
            dz_buf_put(&bytes, body);
        unpack(encoding, dz_buf_str(&bytes), &plain);
        assert_content(dz_buf_str(&plain), look, n);
        assert_int_equal(seen.bytes, bytes.n);
        if (packed && n > 60000 && look != NOISE)
            assert_true(bytes.n < n / 3);
    }
}

/* Small pieces of a source make no small blocks of a compressor. */
static void small_reads(void **state)
{
    (void)state;
    dz_str answer = get("/made?n=400000&step=900", "Accept-Encoding: gzip\r\n");
    DZ_AUTO(dz_buf_done) struct dz_buf bytes, plain;
    dz_buf_init(&bytes, 1 << 20);
    dz_buf_init(&plain, 1 << 20);
    unchunk(body_of(answer), &bytes);
    unpack(DZ_S("gzip"), dz_buf_str(&bytes), &plain);
    assert_content(dz_buf_str(&plain), WORDS, 400000);
    uint64_t in_small_pieces = seen.bytes;
    get("/made?n=400000", "Accept-Encoding: gzip\r\n");
    assert_true(in_small_pieces < seen.bytes * 21 / 20);
}

static void never_encoded(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "/made?n=70000&type=image/png", "/buf?n=70000&type=image/jpeg",
        "/buf?n=900&type=image/webp", "/made?n=900&type=application/zip", "/made?n=900&status=206"};
    for (size_t i = 0; i < DZ_LEN(targets); i++) {
        dz_str answer = get(targets[i], "Accept-Encoding: gzip, br, zstd, identity;q=0\r\n");
        assert_header(answer, "Content-Encoding", NULL);
        assert_header(answer, "Vary", NULL);
    }
}

/* Only so many encoders are lent to clients that read slowly; one more gets the text as it is. */
static void many_at_once(void **state)
{
    (void)state;
    enum { MAX = HTTP_COMPRESS_SOURCES_MAX };
    struct dz_http_test_conn *t[MAX + 1];
    for (size_t i = 0; i < DZ_LEN(t); i++) {
        t[i] = dz_http_test_open(rig.server, rig.loop);
        dz_http_test_write_limit(t[i], i < MAX ? 0 : 1 << 20);
        dz_http_test_feed(t[i],
                          DZ_S("GET /made?n=1000000&look=2 HTTP/1.1\r\nHost: a\r\n"
                               "Accept-Encoding: zstd\r\n\r\n"
                               "GET /buf?n=80000 HTTP/1.1\r\nHost: a\r\n"
                               "Accept-Encoding: zstd\r\n\r\n"),
                          false);
    }
    assert_int_equal(seen.alive, MAX);
    dz_str answer = dz_http_test_output(t[MAX]);
    assert_header(answer, "Content-Encoding", NULL);
    assert_header(answer, "ETag", "\"m1\"");
    DZ_AUTO(dz_buf_done) struct dz_buf plain;
    dz_buf_init(&plain, 1 << 24);
    answer = unchunk(body_of(answer), &plain);
    assert_content(dz_buf_str(&plain), NOISE, 1000000);
    assert_header(answer, "Content-Encoding", NULL);
    assert_header(answer, "Content-Length", "80000");
    for (size_t i = 0; i < DZ_LEN(t); i++)
        dz_http_test_free(&t[i]);
}

/* The body and the fields of a request stay until the last byte is made. */
static void with_body(void **state)
{
    (void)state;
    struct dz_http_test_conn *t = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_write_limit(t, 999);
    for (int i = 0; i < 3; i++)
        dz_http_test_feed(t,
                          DZ_S("POST /made?n=70000 HTTP/1.1\r\nHost: a\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                               "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"),
                          false);
    assert_int_equal(seen.logged, 6);
    assert_string_equal(seen.target, "/hello");
    assert_false(dz_http_test_closed(t));
    dz_http_test_free(&t);
}

/* Over a socket: what has begun when the server stops still comes whole. */
static void graceful_stop(void **state)
{
    (void)state;
    char address[128];
    must(dz_http_listen(rig.server, "127.0.0.1:0", 1, address, err));
    must(dz_http_start(rig.server, 1, err));
    int fd = dial(address, 0);
    must(dz_write_all(fd, DZ_S("GET /made?n=15000000 HTTP/1.1\r\nHost: a\r\n\r\n"), err));
    assert_true(dz_buf_reserve(&rig.out, 15100000));
    rig.out.n = 1;
    assert_int_equal(read(fd, rig.out.p, 1), 1); /* it has begun */
    pthread_t stopper = dial_begin_stop();
    ssize_t got;
    while ((got = read(fd, rig.out.p + rig.out.n, 15100000 - rig.out.n)) > 0)
        rig.out.n += (size_t)got;
    assert_int_equal(got, 0);
    close(fd);
    pthread_join(stopper, NULL);
    DZ_AUTO(dz_buf_done) struct dz_buf plain;
    dz_buf_init(&plain, 1 << 24);
    assert_int_equal(unchunk(body_of(dz_buf_str(&rig.out)), &plain).n, 0);
    assert_content(dz_buf_str(&plain), WORDS, 15000000);
    assert_int_equal(seen.bytes, 15000000);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(framing),       CASE(http_1_0),      CASE(short_writes), CASE(unread_sources),
        CASE(faults),        CASE(gone_clients),  CASE(slow_reader),  CASE(encoded),
        CASE(small_reads),   CASE(never_encoded), CASE(many_at_once), CASE(with_body),
        CASE(graceful_stop),
    };
    return cmocka_run_group_tests_name("http-stream", tests, NULL, NULL);
}
