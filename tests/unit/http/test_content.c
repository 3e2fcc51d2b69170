/*
 * test_content: content of a known length that is made while it is sent. That it answers as what
 * stands ready does is for test_conformance --made; here is what a source is asked for, and what
 * happens when it does not keep its word.
 */
#include "h2_frames.h"

#include <errno.h>

static struct {
    int alive, opened, logged, status;
    uint64_t from[HTTP_RANGES_MAX], n[HTTP_RANGES_MAX];
    uint64_t bytes, made;
} seen;

struct part {
    struct dz_http_source source;
    uint64_t at, ends; /* where it ends, whatever was asked for */
    bool fails;
};

static ssize_t part_read(struct dz_http_source *source, char *p, size_t n)
{
    struct part *s = dz_container(source, struct part, source);
    if (s->at == s->ends)
        return s->fails ? -EIO : 0;
    if (n > s->ends - s->at)
        n = (size_t)(s->ends - s->at);
    for (size_t i = 0; i < n; i++)
        p[i] = rig_file_byte(s->at++);
    seen.made += n;
    return (ssize_t)n;
}

static void part_free(struct dz_http_source **source)
{
    struct part *s = dz_container(dz_take(source), struct part, source);
    seen.alive--;
    free(s);
}

struct order {
    uint64_t ends;
    int refuse; /* the so-manieth opening fails; 0: none */
    bool fails;
};

static struct dz_http_source *part_open(void *arg, uint64_t from, uint64_t n)
{
    const struct order *o = arg;
    seen.from[seen.opened % HTTP_RANGES_MAX] = from;
    seen.n[seen.opened++ % HTTP_RANGES_MAX] = n;
    if (o->refuse == seen.opened)
        return NULL;
    struct part *s = dz_new(struct part);
    *s = (struct part){{part_read, part_free}, from, o->ends, o->fails};
    seen.alive++;
    return &s->source;
}

static uint64_t number_of(struct dz_http_req *r, const char *name, uint64_t preset)
{
    dz_str value;
    uint64_t n = preset;
    if (dz_http_query(r, dz_str_of(name), &value))
        must(dz_str_u64(value, UINT64_MAX, &n, err));
    return n;
}

/* The archive has n bytes; its sources end at `ends`. */
static void on_archive(struct dz_http_req *r)
{
    uint64_t n = number_of(r, "n", RIG_FILE_BYTES);
    struct order o = {number_of(r, "ends", n), (int)number_of(r, "refuse", 0),
                      number_of(r, "fails", 0) > 0};
    struct dz_http_meta m = {.content_type = DZ_S("text/plain"), /* and still not compressed */
                             .etag = DZ_S("\"a1\""),
                             .last_modified_s = -1,
                             .ranges = true};
    dz_http_reply_content(r, &m, n, part_open, &o);
}

static void on_hello(struct dz_http_req *r)
{
    dz_http_reply_text(r, 200, DZ_S("text/plain"), (dz_str){0}, DZ_S("hello"));
}

static const struct dz_http_route routes[] = {
    {"archive", DZ_HTTP_GET | DZ_HTTP_POST, "/archive", on_archive},
    {"hello", DZ_HTTP_GET, "/hello", on_hello},
};

static void on_access(void *app, const struct dz_http_req *r, int status, uint64_t bytes,
                      int64_t ns)
{
    (void)app, (void)r, (void)ns;
    seen.logged++;
    seen.status = status;
    seen.bytes = bytes;
}

static int setup(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof(seen));
    rig_open_bare(&(struct dz_http_options){
        .routes = routes, .routes_n = DZ_LEN(routes), .access = on_access});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(seen.alive, 0);
    rig_close();
    return 0;
}

static dz_str get(const char *target, const char *fields)
{
    char request[512];
    int n =
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", target, fields);
    assert_true(n > 0 && (size_t)n < sizeof(request));
    seen.opened = 0;
    return ask((dz_str){request, (size_t)n});
}

static void assert_bytes(dz_str got, uint64_t from, uint64_t n)
{
    assert_int_equal(got.n, n);
    for (uint64_t i = 0; i < n; i++)
        if (got.p[i] != rig_file_byte(from + i))
            fail_msg("byte %llu is wrong", (unsigned long long)i);
}

static void whole(void **state)
{
    (void)state;
    dz_str answer = get("/archive", "Accept-Encoding: zstd, gzip\r\n");
    assert_header(answer, "Content-Length", "100000");
    assert_header(answer, "Transfer-Encoding", NULL);
    assert_header(answer, "Content-Encoding", NULL);
    assert_header(answer, "Connection", NULL);
    assert_bytes(body_of(answer), 0, RIG_FILE_BYTES);
    assert_int_equal(seen.opened, 1);
    assert_int_equal(seen.from[0], 0);
    assert_int_equal(seen.n[0], RIG_FILE_BYTES);
    assert_int_equal(seen.bytes, RIG_FILE_BYTES);
    assert_int_equal(seen.logged, 1);
    /* Content of nothing needs no source; POST has no ranges. */
    answer = get("/archive?n=0", "");
    assert_header(answer, "Content-Length", "0");
    assert_int_equal(seen.opened, 0);
    answer = ask(DZ_S("POST /archive?n=9 HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\n\r\n"));
    assert_int_equal(status_of(answer), 200);
    assert_bytes(body_of(answer), 0, 9);
}

static void parts(void **state)
{
    (void)state;
    dz_str answer = get("/archive", "Range: bytes=-7\r\n");
    assert_int_equal(status_of(answer), 206);
    assert_header(answer, "Content-Range", "bytes 99993-99999/100000");
    assert_bytes(body_of(answer), 99993, 7);
    assert_int_equal(seen.from[0], 99993);
    assert_int_equal(seen.n[0], 7);
    /* Each range has a source of its own, in the order of the request. */
    answer = get("/archive", "Range: bytes=90000-90009,10-29\r\nIf-Range: \"a1\"\r\n");
    assert_int_equal(status_of(answer), 206);
    assert_int_equal(seen.opened, 2);
    assert_int_equal(seen.from[0], 90000);
    assert_int_equal(seen.n[0], 10);
    assert_int_equal(seen.from[1], 10);
    assert_int_equal(seen.n[1], 20);
    dz_str body = body_of(answer);
    uint64_t length;
    must(dz_str_u64(header_of(answer, "Content-Length"), 10000, &length, err));
    assert_int_equal(body.n, length);
    for (int i = 0; i < 2; i++) {
        body = dz_str_sub(body, dz_str_find(body, DZ_S("\r\n\r\n")) + 4, body.n);
        assert_bytes(dz_str_sub(body, 0, (size_t)seen.n[i]), seen.from[i], seen.n[i]);
    }
    assert_true(dz_str_ends(body, DZ_S("--\r\n")));
    /* Nothing is opened for what has no content. */
    assert_int_equal(status_of(get("/archive", "If-None-Match: \"a1\"\r\n")), 304);
    assert_int_equal(status_of(get("/archive", "If-Match: \"b\"\r\n")), 412);
    assert_int_equal(status_of(get("/archive", "Range: bytes=100000-\r\n")), 416);
    answer = ask(DZ_S("HEAD /archive HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\n\r\n"));
    assert_header(answer, "Content-Length", "100000");
    assert_int_equal(body_of(answer).n, 0);
    assert_int_equal(seen.opened, 0);
}

/* The client must see that it did not get all, and nobody gets more than was said. */
static void broken_words(void **state)
{
    (void)state;
    static const char *const fails[] = {"", "&fails=1"};
    for (size_t i = 0; i < DZ_LEN(fails); i++) {
        char request[128];
        snprintf(request, sizeof(request),
                 "GET /archive?ends=70000%s HTTP/1.1\r\nHost: a\r\n\r\n"
                 "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
                 fails[i]);
        struct dz_http_test_conn *t = dz_http_test_open(rig.server, rig.loop);
        dz_http_test_feed(t, dz_str_of(request), false);
        assert_true(dz_http_test_closed(t));
        dz_str body = body_of(dz_http_test_output(t));
        assert_bytes(body, 0, body.n);
        assert_true(body.n <= 70000);
        assert_int_equal(seen.alive, 0);
        dz_http_test_free(&t);
        /* A part that ends early does not let the next one begin in its place. */
        dz_str answer = get("/archive?ends=20", "Range: bytes=90000-90009,10-29\r\n");
        assert_int_equal(status_of(answer), 206);
        /* Nothing has left yet. */
        snprintf(request, sizeof(request), "/archive?ends=0%s", fails[i]);
        assert_int_equal(status_of(get(request, "")), 500);
    }
    dz_str answer = get("/archive?n=10&ends=99999", "");
    assert_bytes(body_of(answer), 0, 10);
    answer = get("/archive?ends=99999", "Range: bytes=0-9,1000-1009\r\n");
    assert_header(answer, "Connection", NULL);
    assert_true(dz_str_ends(answer, DZ_S("--\r\n")));
    for (int refused = 1; refused <= 3; refused++) {
        char target[64];
        snprintf(target, sizeof(target), "/archive?refuse=%d", refused);
        answer = get(target, "Range: bytes=0-9,1000-1009,5000-5001\r\n");
        assert_int_equal(status_of(answer), 500);
        assert_header(answer, "Content-Range", NULL);
        assert_int_equal(seen.opened, refused);
        assert_int_equal(seen.alive, 0);
    }
}

/* Whatever the wire takes at a time; the connection goes on behind it. */
static void short_writes(void **state)
{
    (void)state;
    static const char requests[] =
        "GET /archive?n=4000 HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /archive HTTP/1.1\r\nHost: a\r\nRange: bytes=5-40004\r\n\r\n"
        "GET /archive?n=50 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
        "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_true(dz_str_ends(rig_short_writes(DZ_S(requests), 90), DZ_S("hello")));
}

#define ARCHIVE(query) PSEUDO("GET", "/archive" query) ":authority\0a\0"

/* The content of a stream, and how it ended. */
static void assert_stream(dz_str out, uint32_t id, uint64_t from, uint64_t n, bool ends)
{
    DZ_AUTO(dz_buf_done) struct dz_buf body;
    dz_buf_init(&body, 1 << 20);
    bool ended = false, reset = false;
    struct frame f;
    while (next_frame(&out, &f)) {
        if (f.id != id)
            continue;
        if (f.type == DATA)
            dz_buf_put(&body, f.payload);
        ended |= (f.type == DATA || f.type == HEADERS) && f.flags & END_STREAM;
        reset |= f.type == RST;
    }
    assert_int_equal(ended, ends);
    assert_int_equal(reset, !ends);
    if (ends)
        assert_bytes(dz_buf_str(&body), from, n);
}

static void over_http2(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 1 << 20);
    START;
    SEND(SETTINGS, 0, 0, DZ_S("\0\x04\x7F\xFF\xFF\xFF"));
    SEND(UPDATE, 0, 0, DZ_S("\x7F\0\0\0"));
    put_headers(&b, 1, ENDS, ARCHIVE(""));
    put_headers(&b, 3, ENDS, ARCHIVE("") "range\0bytes=10-19\0");
    put_headers(&b, 5, ENDS, ARCHIVE("?ends=70000"));
    put_headers(&b, 7, ENDS, ARCHIVE("?n=10&ends=99999"));
    put_headers(&b, 9, ENDS, ARCHIVE("?n=0"));
    put_headers(&b, 11, ENDS, PSEUDO("HEAD", "/archive") ":authority\0a\0");
    put_headers(&b, 13, ENDS, ARCHIVE("?fails=1&ends=60000"));
    struct dz_http_test_conn *t = open_h2();
    dz_http_test_feed(t, dz_buf_str(&b), false);
    dz_str out = dz_http_test_output(t);
    assert_stream(out, 1, 0, RIG_FILE_BYTES, true);
    assert_stream(out, 3, 10, 10, true);
    assert_stream(out, 5, 0, 0, false);
    assert_stream(out, 7, 0, 10, true);
    assert_stream(out, 9, 0, 0, true);
    assert_stream(out, 11, 0, 0, true);
    assert_stream(out, 13, 0, 0, false);
    assert_int_equal(seen.alive, 0);
    assert_int_equal(seen.logged, 7);
    dz_http_test_free(&t);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(whole), CASE(parts), CASE(broken_words), CASE(short_writes), CASE(over_http2),
    };
    return cmocka_run_group_tests_name("http-content", tests, NULL, NULL);
}
