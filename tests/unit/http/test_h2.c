/*
 * test_h2: HTTP/2 without a socket: nghttp2's client talks to the server; late replies, limits,
 * windows, time, the end.
 */
#include "h2_frames.h"

#include <nghttp2/nghttp2.h>

/* ---- a client that behaves ------------------------------------------------------------------- */

#define REPLIES 600
struct reply {
    int status, informational;
    struct dz_buf head, body;
    bool ended, reset;
    uint32_t code;
};
struct client {
    nghttp2_session *session;
    struct dz_http_test_conn *t;
    size_t seen; /* of the output */
    struct reply reply[REPLIES];
    bool goaway;
    uint32_t goaway_code;
    const char *upload;
    size_t upload_n;
};

static struct reply *reply_of(struct client *c, int32_t id)
{
    assert_true(id / 2 < REPLIES);
    return &c->reply[id / 2];
}

static int got_field(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t name_n,
                     const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    (void)s, (void)flags;
    struct reply *r = reply_of(user, f->hd.stream_id);
    dz_str n = {(const char *)name, name_n}, v = {(const char *)value, value_n};
    uint64_t status;
    if (dz_str_eq(n, DZ_S(":status"))) {
        must(dz_str_u64(v, 599, &status, err));
        r->informational = status < 200 ? (int)status : r->informational;
        r->status = (int)status;
    }
    dz_buf_put(&r->head, n);
    dz_buf_put(&r->head, DZ_S(": "));
    dz_buf_put(&r->head, v);
    dz_buf_put(&r->head, DZ_S("\r\n"));
    return 0;
}

static int got_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                    void *user)
{
    (void)s, (void)flags;
    dz_buf_put(&reply_of(user, id)->body, (dz_str){(const char *)p, n});
    return 0;
}

static int got_frame(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
    (void)s;
    struct client *c = user;
    if (f->hd.type == GOAWAY) {
        c->goaway = true;
        c->goaway_code = f->goaway.error_code;
    } else if ((f->hd.type == DATA || f->hd.type == HEADERS) && (f->hd.flags & END_STREAM)) {
        reply_of(c, f->hd.stream_id)->ended = true;
    } else if (f->hd.type == RST) {
        reply_of(c, f->hd.stream_id)->reset = true;
        reply_of(c, f->hd.stream_id)->code = f->rst_stream.error_code;
    }
    return 0;
}

static void pump(struct client *c)
{
    for (;;) {
        const uint8_t *p;
        ssize_t n = nghttp2_session_mem_send(c->session, &p);
        assert_true(n >= 0);
        if (n > 0)
            dz_http_test_push(c->t, (dz_str){(const char *)p, (size_t)n}, false);
        dz_str out = dz_http_test_output(c->t);
        if (n == 0 && out.n == c->seen)
            return;
        while (c->seen < out.n) {
            ssize_t took = nghttp2_session_mem_recv(c->session, (const uint8_t *)out.p + c->seen,
                                                    out.n - c->seen);
            assert_true(took > 0);
            c->seen += (size_t)took;
        }
    }
}

/* Also turns the loop until no answer is late. */
static void settle(struct client *c)
{
    pump(c);
    for (int i = 0; i < 20; i++) {
        dz_http_test_feed(c->t, (dz_str){0}, false);
        pump(c);
        dz_loop_turn(rig.loop, 0);
    }
    pump(c);
}

static struct client *client_new(uint32_t window)
{
    struct client *c = dz_new(struct client);
    for (size_t i = 0; i < REPLIES; i++) {
        dz_buf_init(&c->reply[i].head, 1 << 20);
        dz_buf_init(&c->reply[i].body, 1 << 24);
    }
    nghttp2_session_callbacks *callbacks;
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, got_field);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, got_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, got_frame);
    assert_int_equal(nghttp2_session_client_new(&c->session, callbacks, c), 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
    assert_int_equal(nghttp2_submit_settings(c->session, 0, &entry, window ? 1 : 0), 0);
    c->t = open_h2();
    return c;
}

static void client_free(struct client **c)
{
    struct client *gone = dz_take(c);
    for (size_t i = 0; i < REPLIES; i++) {
        dz_buf_done(&gone->reply[i].head);
        dz_buf_done(&gone->reply[i].body);
    }
    nghttp2_session_del(gone->session);
    dz_http_test_free(&gone->t);
    free(gone);
}

static ssize_t upload(nghttp2_session *s, int32_t id, uint8_t *to, size_t n, uint32_t *flags,
                      nghttp2_data_source *source, void *user)
{
    (void)s, (void)id, (void)source;
    struct client *c = user;
    if (n > c->upload_n)
        n = c->upload_n;
    if (n > 0)
        memcpy(to, c->upload, n);
    c->upload += n;
    c->upload_n -= n;
    if (c->upload_n == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), 0};
}

/* A request with one more field, when name is not NULL; body p NULL: none. */
static int32_t request(struct client *c, const char *method, const char *path, const char *name,
                       const char *value, dz_str body)
{
    nghttp2_nv fields[] = {field(":method", method), field(":scheme", "https"),
                           field(":path", path), field(":authority", "a"),
                           field(name ? name : "x", value ? value : "y")};
    nghttp2_data_provider content = {{0}, upload};
    if (body.p) {
        c->upload = body.p;
        c->upload_n = body.n;
    }
    int32_t id =
        nghttp2_submit_request(c->session, NULL, fields, 5, body.p ? &content : NULL, NULL);
    assert_true(id > 0);
    return id;
}

static struct reply *get(struct client *c, const char *path, const char *name, const char *value)
{
    int32_t id = request(c, "GET", path, name, value, (dz_str){0});
    settle(c);
    return reply_of(c, id);
}

static void assert_has(const struct reply *r, const char *line)
{
    if (dz_str_find(dz_buf_str(&r->head), dz_str_of(line)) == DZ_NPOS)
        fail_msg("\"%s\" is not in \"%.*s\"", line, DZ_STR_FMT(dz_buf_str(&r->head)));
}

static void assert_file(const struct reply *r, size_t from, size_t n)
{
    assert_true(r->ended);
    assert_int_equal(r->body.n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(r->body.p[i], rig_file_byte(from + i));
}

static void answers(void **state)
{
    (void)state;
    DZ_AUTO(client_free) struct client *c = client_new(0);
    struct reply *r = get(c, "/hello", NULL, NULL);
    assert_int_equal(r->status, 200);
    assert_text(dz_buf_str(&r->body), "hello world");
    assert_has(r, "date: " RIG_DATE "\r\n");
    assert_has(r, "content-length: 11\r\n");
    assert_has(r, "etag: \"h1\"\r\n");
    assert_has(r, "x-extra: kept\r\n");
    assert_int_equal(dz_str_find(dz_buf_str(&r->head), DZ_S("onnection")), DZ_NPOS);
    r = get(c, "/hello", "if-none-match", "\"h1\"");
    assert_true(r->status == 304 && r->ended && r->body.n == 0);
    assert_file(get(c, "/file", NULL, NULL), 0, RIG_FILE_BYTES);
    r = get(c, "/file", "range", "bytes=70000-80000");
    assert_int_equal(r->status, 206);
    assert_file(r, 70000, 10001);
    r = get(c, "/file", "range", "bytes=0-9,9990-9999");
    assert_int_equal(r->status, 206);
    DZ_AUTO(dz_buf_done) struct dz_buf line;
    dz_buf_init(&line, 100);
    dz_buf_putf(&line, "content-length: %zu\r\n", r->body.n);
    assert_has(r, dz_buf_cstr(&line));
    assert_int_equal(get(c, "/file", "range", "bytes=999999-")->status, 416);
    assert_int_equal(get(c, "/nowhere", NULL, NULL)->status, 404);
    assert_int_equal(get(c, "/no-content", NULL, NULL)->status, 204);
    r = get(c, "/redirect", NULL, NULL);
    assert_has(r, "location: /hello  X-Evil: 1\r\n");
    assert_int_equal(get(c, "/never", NULL, NULL)->status, 500);
    assert_text(dz_buf_str(&get(c, "/twice", NULL, NULL)->body), "once");
    assert_text(dz_buf_str(&get(c, "/defer-now", NULL, NULL)->body), "at once");
    assert_text(dz_buf_str(&get(c, "/late/x", "x-tag", "t")->body), "/late/xt");
    r = get(c, "/text", "accept-encoding", "gzip");
    assert_has(r, "content-encoding: gzip\r\n");
    r = get(c, "/show?q=a%20b", NULL, NULL);
    assert_text(dz_buf_str(&r->body), "route=show\nmethod=GET\npath=/show\nquery=q=a%20b\nhost=a\n"
                                      "ip=192.0.2.1\nhttps=yes\nq=a b\n");
    int32_t id = request(c, "HEAD", "/file", NULL, NULL, (dz_str){0});
    settle(c);
    assert_true(reply_of(c, id)->ended && reply_of(c, id)->body.n == 0);
    assert_has(reply_of(c, id), "content-length: 100000\r\n");
    id = request(c, "BREW", "/hello", NULL, NULL, (dz_str){0});
    settle(c);
    assert_int_equal(reply_of(c, id)->status, 501);
    assert_int_equal(get(c, "/hello", "host", "b")->status, 400);
    assert_int_equal(get(c, "/hello", "expect", "x")->status, 417);
}

/* Bytes in and out in all sizes; the 256 KiB do not fit the windows at once. */
static void uploads(void **state)
{
    (void)state;
    static char big[256 * 1024 * 3];
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = rig_file_byte(i);
    static const size_t sizes[] = {0, 1, 16384, 65536, 300000, sizeof(big)};
    DZ_AUTO(client_free) struct client *c = client_new(0);
    for (size_t i = 0; i < DZ_LEN(sizes); i++) {
        int32_t id =
            request(c, "POST", i % 2 ? "/late/up" : "/echo", NULL, NULL, (dz_str){big, sizes[i]});
        settle(c);
        struct reply *r = reply_of(c, id);
        size_t head = i % 2 ? 8 : 0;
        assert_int_equal(r->status, 200);
        assert_int_equal(r->body.n, sizes[i] + head);
        if (sizes[i] > 0)
            assert_memory_equal(r->body.p + head, big, sizes[i]);
    }
    int32_t id = request(c, "POST", "/echo", "expect", "100-continue", (dz_str){big, 10});
    settle(c);
    assert_int_equal(reply_of(c, id)->status, 200);
}

static void limits(void **state) /* 413, 414, 431, 6.5.2, 10.5.1 */
{
    (void)state;
    rig_open(&(struct dz_http_options){.max_body_bytes = 1000, .max_header_bytes = 2000});
    static char big[20000];
    struct client *c = client_new(0);
    int32_t id = request(c, "POST", "/echo", "content-length", "1001", (dz_str){big, 1001});
    settle(c);
    assert_int_equal(reply_of(c, id)->status, 413);
    id = request(c, "POST", "/echo", NULL, NULL, (dz_str){big, 20000});
    settle(c);
    assert_int_equal(reply_of(c, id)->status, 413);
    memset(big, 'a', sizeof(big) - 1);
    big[0] = '/';
    big[2500] = 0;
    assert_int_equal(get(c, big, NULL, NULL)->status, 414);
    assert_int_equal(get(c, "/hello", "x-a", big)->status, 431);
    assert_int_equal(get(c, "/hello", "cookie", big)->status, 431);
    big[2500] = 'a';
    big[8000] = 0;
    assert_int_equal(get(c, "/hello", "x-a", big)->status, 431);
    assert_int_equal(get(c, "/hello", NULL, NULL)->status, 200);
    client_free(&c);
    /* A short block that stands for a long list. */
    DZ_AUTO(dz_buf_done) struct dz_buf b, block;
    dz_buf_init(&b, 1 << 20);
    dz_buf_init(&block, 1 << 20);
    put_start(&b);
    put_fields(&block, GET_HELLO);
    dz_buf_put(&block, DZ_S("\x40\x01x\x64")); /* indexed: 100 bytes */
    for (int i = 0; i < 100; i++)
        dz_buf_putc(&block, 'v');
    for (int i = 0; i < 4000; i++)
        dz_buf_putc(&block, '\xBE');
    put_frame(&b, HEADERS, ENDS, 1, dz_buf_str(&block));
    expect("a bomb of HPACK", dz_buf_str(&b), "G11");
    /* 101 fields, few bytes. */
    dz_buf_clear(&b);
    dz_buf_clear(&block);
    put_start(&b);
    put_fields(&block, GET_HELLO);
    for (int i = 0; i < 101; i++)
        put_fields(&block, "x\0y\0");
    put_frame(&b, HEADERS, ENDS, 1, dz_buf_str(&block));
    expect("too many fields", dz_buf_str(&b), "H1 D1.");
    assert_none_wrong();
    rig_close();
}

/* RFC 9110 10.1.1 and 15.6.4 over HTTP/2: what is said before the body has come. */
static int32_t announce(struct client *c, const char *method, const char *path, const char *expect)
{
    nghttp2_nv fields[] = {field(":method", method), field(":scheme", "https"),
                           field(":path", path), field(":authority", "a"), field("expect", expect)};
    int32_t id = nghttp2_submit_headers(c->session, NGHTTP2_FLAG_NONE, -1, NULL, fields,
                                        *expect ? 5 : 4, NULL);
    assert_true(id > 0);
    settle(c);
    return id;
}

static void follow_up(struct client *c, int32_t id, dz_str body)
{
    nghttp2_data_provider content = {{0}, upload};
    c->upload = body.p;
    c->upload_n = body.n;
    (void)nghttp2_submit_data(c->session, NGHTTP2_FLAG_END_STREAM, id, &content);
    settle(c);
}

static void expectations(void **state)
{
    (void)state;
    rig_open(NULL);
    struct client *c = client_new(0);
    int32_t id = announce(c, "POST", "/echo", "100-continue");
    assert_int_equal(reply_of(c, id)->informational, 100);
    assert_false(reply_of(c, id)->ended);
    follow_up(c, id, DZ_S("content"));
    assert_int_equal(reply_of(c, id)->status, 200);
    assert_text(dz_buf_str(&reply_of(c, id)->body), "content");
    id = announce(c, "POST", "/echo", "");
    assert_int_equal(reply_of(c, id)->status, 0);
    follow_up(c, id, DZ_S("x"));
    assert_int_equal(reply_of(c, id)->status, 200);
    assert_int_equal(reply_of(c, id)->informational, 0);
    /* A final answer in place of 100. */
    static const struct {
        const char *method, *path, *expect;
        int status;
    } refused[] = {{"POST", "/echo", "tea", 417},
                   {"POST", "/hello", "100-continue", 405},
                   {"BREW", "/echo", "100-continue", 501}};
    for (size_t i = 0; i < DZ_LEN(refused); i++) {
        id = announce(c, refused[i].method, refused[i].path, refused[i].expect);
        assert_int_equal(reply_of(c, id)->status, refused[i].status);
        assert_int_equal(reply_of(c, id)->informational, 0);
        assert_true(reply_of(c, id)->ended);
    }
    client_free(&c);
    rig_close();
}

static void bodies_of_a_lane(void **state) /* 503: all unfinished bodies together are too much */
{
    (void)state;
    rig_open(&(struct dz_http_options){.body_timeout_ms = 40, .idle_timeout_ms = 60000});
    struct client *c = client_new(0);
    settle(c);
    struct dz_http_lane *lane = rig.server->test_lanes;
    lane->bodies_bytes = HTTP_BODIES_BYTES - 10;
    int32_t fits = request(c, "POST", "/echo", NULL, NULL, DZ_S("0123456789"));
    settle(c);
    assert_int_equal(reply_of(c, fits)->status, 200);
    int32_t id = request(c, "POST", "/echo", NULL, NULL, DZ_S("0123456789a"));
    settle(c);
    assert_int_equal(reply_of(c, id)->status, 503);
    assert_has(reply_of(c, id), "cache-control: no-store\r\n");
    assert_int_equal(lane->bodies_bytes, HTTP_BODIES_BYTES - 10);
    lane->bodies_bytes = 0;
    id = request(c, "POST", "/echo", NULL, NULL, DZ_S("0123456789a"));
    settle(c);
    assert_int_equal(reply_of(c, id)->status, 200);
    /* A body that stops on its way: 408, and the connection goes on. */
    id = announce(c, "POST", "/echo", "100-continue");
    while (!reply_of(c, id)->ended) {
        dz_loop_turn(rig.loop, 5);
        settle(c);
    }
    assert_int_equal(reply_of(c, id)->informational, 100);
    assert_int_equal(reply_of(c, id)->status, 408);
    assert_int_equal(get(c, "/hello", NULL, NULL)->status, 200);
    client_free(&c);
    rig_close();
}

static void many_streams(void **state) /* 5.1.2 */
{
    (void)state;
    DZ_AUTO(client_free) struct client *c = client_new(0);
    for (int i = 0; i < 250; i++)
        request(c, "GET", i % 2 ? "/late/x" : "/hello", NULL, NULL, (dz_str){0});
    settle(c);
    for (int32_t id = 1; id < 500; id += 2)
        assert_int_equal(reply_of(c, id)->status, 200);
    /* A client that does not keep to it. */
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 1 << 20);
    dz_buf_put(&b, DZ_S(PREFACE));
    put_frame(&b, SETTINGS, 0, 0, (dz_str){0});
    for (uint32_t id = 1; id <= 2 * 129; id += 2)
        put_headers(&b, id, END_HEADERS, POST_ECHO);
    expect("5.1.2 before our SETTINGS are acknowledged", dz_buf_str(&b), "R257:7");
    dz_buf_clear(&b);
    put_start(&b);
    for (uint32_t id = 1; id <= 2 * 129; id += 2)
        put_headers(&b, id, END_HEADERS, POST_ECHO);
    expect("5.1.2 after that", dz_buf_str(&b), "G1");
    assert_none_wrong();
}

static void windows(void **state) /* 6.9 */
{
    (void)state;
    /* A byte at a time: the client gives windows back as it reads. */
    DZ_AUTO(client_free) struct client *c = client_new(1);
    int32_t id = request(c, "GET", "/hello", NULL, NULL, (dz_str){0});
    settle(c);
    assert_text(dz_buf_str(&reply_of(c, id)->body), "hello world");
    /* 6.9.2: a change of the initial window makes those of open streams negative, and back. */
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 1 << 16);
    struct dz_http_test_conn *t = open_h2();
    put_start(&b);
    put_headers(&b, 1, ENDS, PSEUDO("GET", "/file") ":authority\0a\0");
    dz_http_test_feed(t, dz_buf_str(&b), false);
    size_t first = dz_http_test_output(t).n;
    assert_true(first > 65535 && first < 66500);
    dz_buf_clear(&b);
    put_frame(&b, SETTINGS, 0, 0, DZ_S("\0\x04\0\0\0\x0A"));
    put_frame(&b, UPDATE, 0, 0, DZ_S("\0\x01\0\0"));
    put_frame(&b, UPDATE, 0, 1, DZ_S("\0\0\xFF\xF5")); /* up to 0 */
    dz_http_test_feed(t, dz_buf_str(&b), false);
    dz_str more = dz_http_test_output(t);
    assert_string_equal(told(dz_str_sub(more, first, more.n)), "");
    dz_buf_clear(&b);
    put_frame(&b, UPDATE, 0, 1, DZ_S("\0\0\0\x05"));
    first = more.n;
    dz_http_test_feed(t, dz_buf_str(&b), false);
    more = dz_http_test_output(t);
    assert_int_equal(more.n - first, 9 + 5);
    dz_http_test_free(&t);
}

static void short_writes(void **state)
{
    (void)state;
    for (size_t limit = 1; limit < 20000; limit *= 7) {
        DZ_AUTO(client_free) struct client *c = client_new(0);
        dz_http_test_write_limit(c->t, limit);
        int32_t file = request(c, "GET", "/file", NULL, NULL, (dz_str){0});
        int32_t hello = request(c, "GET", "/hello", NULL, NULL, (dz_str){0});
        settle(c);
        assert_file(reply_of(c, file), 0, RIG_FILE_BYTES);
        assert_text(dz_buf_str(&reply_of(c, hello)->body), "hello world");
    }
}

/* ---- late replies, resets, the end ----------------------------------------------------------- */

static struct dz_http_req *parked[600];
static size_t parked_n;

static void park(struct dz_http_req *r)
{
    dz_http_defer(r);
    parked[parked_n++] = r;
}

static void wake(void)
{
    for (size_t i = 0; i < parked_n; i++)
        dz_http_reply_text(parked[i], 200, DZ_S("text/plain"), (dz_str){0}, parked[i]->path);
    parked_n = 0;
}

static void push(struct client *c) /* without waiting for late replies */
{
    const uint8_t *p;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(c->session, &p)) > 0)
        dz_http_test_push(c->t, (dz_str){(const char *)p, (size_t)n}, false);
}

static void late_replies(void **state)
{
    (void)state;
    rig_open(&(struct dz_http_options){.fallback = park});
    struct client *c = client_new(0);
    for (int i = 0; i < 100; i++)
        request(c, "GET", "/p", NULL, NULL, (dz_str){0});
    push(c);
    assert_int_equal(parked_n, 100);
    /* Reset by the client: its reply falls on nothing. */
    nghttp2_submit_rst_stream(c->session, 0, 7, NGHTTP2_CANCEL);
    push(c);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(dz_http_is_gone(parked[i]), i == 3);
    wake();
    settle(c);
    for (int32_t id = 1; id < 200; id += 2)
        assert_int_equal(reply_of(c, id)->status, id == 7 ? 0 : 200);
    /* The connection goes before the replies come. */
    for (int i = 0; i < 5; i++)
        request(c, "GET", "/p", NULL, NULL, (dz_str){0});
    push(c);
    assert_int_equal(parked_n, 5);
    client_free(&c);
    for (size_t i = 0; i < 5; i++)
        assert_true(dz_http_is_gone(parked[i]));
    wake();
    /* A connection error while handlers work. */
    c = client_new(0);
    request(c, "GET", "/p", NULL, NULL, (dz_str){0});
    push(c);
    dz_http_test_push(c->t, DZ_S("\0\0\x01\x06\0\0\0\0\0x"), false);
    assert_true(dz_http_is_gone(parked[0]));
    wake();
    client_free(&c);
    rig_close();
}

/* CVE-2023-44487 at its root: a reset gives no room for more handlers than streams may be open. */
static void resets_while_handlers_work(void **state)
{
    (void)state;
    rig_open(&(struct dz_http_options){.fallback = park});
    struct client *c = client_new(0);
    settle(c);
    for (int32_t round = 0; round < 4; round++) {
        for (int32_t i = 0; i < 128; i++)
            request(c, "GET", "/p", NULL, NULL, (dz_str){0});
        push(c);
        assert_int_equal(parked_n, round < 2 ? 128 * (round + 1) : 256);
        for (int32_t i = 0; i < 128 && round < 3; i++)
            nghttp2_submit_rst_stream(c->session, 0, 256 * round + 2 * i + 1, NGHTTP2_CANCEL);
        push(c);
    }
    /* What came meanwhile was read once there was room: the last round is alive. */
    assert_int_equal(parked_n, 256);
    wake();
    for (int i = 0; i < 10; i++) { /* settle() would wait for the handlers */
        dz_loop_turn(rig.loop, 0);
        dz_http_test_push(c->t, (dz_str){0}, false);
    }
    assert_int_equal(parked_n, 128);
    wake();
    settle(c);
    assert_false(dz_http_test_closed(c->t) || c->goaway);
    for (int32_t i = 0; i < 128; i++)
        assert_int_equal(reply_of(c, 256 * 3 + 2 * i + 1)->status, 200);
    client_free(&c);
    rig_close();
}

/* Turned pages: half of what is asked for is not wanted any more. Never a flood. */
static void cancelled_images(void **state)
{
    (void)state;
    rig_open(NULL);
    for (int visitor = 0; visitor < 8; visitor++) {
        struct client *c = client_new(1000);
        for (int32_t i = 0, id; i < 250; i++) {
            id = request(c, "GET", i % 2 ? "/file" : "/hello", NULL, NULL, (dz_str){0});
            push(c);
            if (i % 2)
                nghttp2_submit_rst_stream(c->session, 0, id, NGHTTP2_CANCEL);
            settle(c);
            assert_true(i % 2 || reply_of(c, id)->status == 200);
        }
        assert_false(c->goaway);
        client_free(&c);
    }
    /* Three thousand visits through one proxy within one period, a third of them cut off. */
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 1 << 20);
    put_start(&b);
    put_frame(&b, SETTINGS, 0, 0, DZ_S("\0\x04\0\0\x04\0"));
    for (uint32_t id = 1; id < 9000; id += 6) {
        put_headers(&b, id, ENDS, GET_HELLO);
        put_headers(&b, id + 2, ENDS, GET_HELLO);
        put_headers(&b, id + 4, ENDS, PSEUDO("GET", "/file") ":authority\0a\0");
        put_frame(&b, RST, 0, id + 4, DZ_S("\0\0\0\x08"));
    }
    struct dz_http_test_conn *t = open_h2();
    for (size_t at = 0; at < b.n; at += 1200)
        dz_http_test_feed(t, dz_str_sub(dz_buf_str(&b), at, at + 1200), false);
    assert_false(dz_http_test_closed(t));
    assert_int_equal(rig.server->test_lanes->counters.parse_errors, 0);
    dz_http_test_free(&t);
    rig_close();
}

static void stop(void **state) /* 6.8 */
{
    (void)state;
    rig_open(&(struct dz_http_options){.fallback = park});
    struct client *c = client_new(0);
    settle(c);
    struct dz_http_lane *lane = rig.server->test_lanes;
    lane->stopping = true;
    dz_http_conn_stop(lane->conns); /* idle */
    pump(c);
    assert_true(c->goaway && c->goaway_code == 0 && dz_http_test_closed(c->t));
    lane->stopping = false;
    client_free(&c);
    c = client_new(0);
    request(c, "GET", "/p", NULL, NULL, (dz_str){0});
    push(c);
    lane->stopping = true;
    dz_http_conn_stop(lane->conns); /* busy */
    assert_false(dz_http_test_closed(c->t));
    wake();
    settle(c);
    assert_true(c->goaway && c->goaway_code == 0 && dz_http_test_closed(c->t));
    assert_int_equal(reply_of(c, 1)->status, 200);
    lane->stopping = false;
    client_free(&c);
    rig_close();
}

static void wait_closed(struct dz_http_test_conn *t)
{
    while (!dz_http_test_closed(t))
        dz_loop_turn(rig.loop, 5);
}

static void timeouts(void **state)
{
    (void)state;
    rig_open(&(struct dz_http_options){
        .header_timeout_ms = 40, .body_timeout_ms = 40, .idle_timeout_ms = 60});
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 1 << 16);
#define TIMED(want)                                                                                \
    do {                                                                                           \
        struct dz_http_test_conn *t = open_h2();                                                   \
        dz_http_test_push(t, dz_buf_str(&b), false);                                               \
        wait_closed(t);                                                                            \
        assert_string_equal(told(dz_http_test_output(t)), want);                                   \
        dz_http_test_free(&t);                                                                     \
    } while (0)
    TIMED("G1"); /* says nothing */
    dz_buf_put(&b, DZ_S(PREFACE));
    TIMED("G1"); /* no SETTINGS */
    put_frame(&b, SETTINGS, 0, 0, (dz_str){0});
    TIMED("G4"); /* 6.5.3: ours are never acknowledged */
    put_headers(&b, 1, ENDS, GET_HELLO);
    TIMED("H1 D1. G4");
    START;
    TIMED("G0"); /* idle */
    put_headers(&b, 1, END_STREAM, GET_HELLO);
    TIMED("G1"); /* a header block that does not end */
    START;
    dz_buf_put(&b, DZ_S("\0\0\x08"));
    TIMED("G1"); /* nor a frame */
    START;
    put_headers(&b, 1, END_HEADERS, POST_ECHO);
    TIMED("H1 D1. R1:0 G0"); /* a body that does not come: 408 */
    START;
    SEND(SETTINGS, 0, 0, DZ_S("\0\x04\0\0\0\x01"));
    put_headers(&b, 1, ENDS, GET_HELLO);
    TIMED("H1 D1 R1:8 G0"); /* a window that does not open */
    START;
    put_headers(&b, 1, ENDS, GET_HELLO);
    struct dz_http_test_conn *t = open_h2();
    dz_http_test_write_limit(t, 0);
    dz_http_test_push(t, dz_buf_str(&b), false);
    wait_closed(t); /* nobody reads */
    dz_http_test_free(&t);
    rig_close();
}

static void half_closed(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 1 << 16);
    put_start(&b);
    put_headers(&b, 1, ENDS, PSEUDO("GET", "/late/x") ":authority\0a\0");
    put_headers(&b, 3, END_HEADERS, POST_ECHO);
    struct dz_http_test_conn *t = open_h2();
    dz_http_test_feed(t, dz_buf_str(&b), true);
    dz_http_test_feed(t, (dz_str){0}, true);
    assert_string_equal(told(dz_http_test_output(t)), "R3:8 H1 D1.");
    assert_true(dz_http_test_closed(t));
    dz_http_test_free(&t);
}

/* ---- content made while it is sent ----------------------------------------------------------- */

struct counted {
    struct dz_http_source source;
    size_t left;
    bool breaks;
};
static unsigned sources_freed;

static ssize_t counted_read(struct dz_http_source *source, char *p, size_t n)
{
    struct counted *s = dz_container(source, struct counted, source);
    if (s->left == 0)
        return s->breaks ? -5 : 0;
    if (n > s->left)
        n = s->left;
    memset(p, 's', n);
    s->left -= n;
    return (ssize_t)n;
}

static void counted_free(struct dz_http_source **source)
{
    struct counted *s = dz_container(dz_take(source), struct counted, source);
    sources_freed++;
    free(s);
}

static void on_source(struct dz_http_req *r)
{
    struct counted *s = dz_new(struct counted);
    *s =
        (struct counted){{counted_read, counted_free}, 200000, dz_str_eq(r->path, DZ_S("/breaks"))};
    struct dz_http_meta m = {.content_type = DZ_S("image/x"), .last_modified_s = -1};
    dz_http_reply_source(r, &m, &s->source);
}

static unsigned accesses, majors;
static void on_access(void *app, const struct dz_http_req *r, int status, uint64_t bytes,
                      int64_t ns)
{
    (void)app, (void)ns, (void)bytes, (void)status;
    accesses++;
    majors += r->version_major;
}

static void sources(void **state)
{
    (void)state;
    rig_open(&(struct dz_http_options){.fallback = on_source, .access = on_access});
    sources_freed = accesses = majors = 0;
    struct client *c = client_new(0);
    struct reply *r = get(c, "/source", NULL, NULL);
    assert_true(r->status == 200 && r->ended && r->body.n == 200000);
    r = get(c, "/breaks", NULL, NULL);
    assert_true(r->reset && r->code == NGHTTP2_INTERNAL_ERROR);
    int32_t id = request(c, "HEAD", "/source", NULL, NULL, (dz_str){0});
    settle(c);
    assert_true(reply_of(c, id)->ended && reply_of(c, id)->body.n == 0);
    assert_int_equal(sources_freed, 3);
    client_free(&c);
    c = client_new(1); /* cut in the middle */
    request(c, "GET", "/source", NULL, NULL, (dz_str){0});
    push(c);
    client_free(&c);
    assert_int_equal(sources_freed, 4);
    assert_int_equal(accesses, 4);
    assert_int_equal(majors, 8);
    rig_close();
}

int main(void)
{
#define RIGGED(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        RIGGED(answers),
        RIGGED(uploads),
        cmocka_unit_test(expectations),
        cmocka_unit_test(bodies_of_a_lane),
        cmocka_unit_test(limits),
        RIGGED(many_streams),
        RIGGED(windows),
        RIGGED(short_writes),
        cmocka_unit_test(late_replies),
        cmocka_unit_test(resets_while_handlers_work),
        cmocka_unit_test(cancelled_images),
        cmocka_unit_test(stop),
        cmocka_unit_test(timeouts),
        RIGGED(half_closed),
        cmocka_unit_test(sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
