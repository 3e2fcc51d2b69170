/*
 * fuzz_http2: bytes of a client that has agreed on HTTP/2. The first two bytes choose how the rest
 * is cut into pieces and how much the wire takes at a time; the preface, an empty SETTINGS frame
 * and an acknowledgement are put in front, so that the fuzzer begins with frames, unless the first
 * byte is 0. Whatever the bytes, what the server says is whole frames, and nothing is left when the
 * connection ends.
 */
#include "http/http_int.h"

#include <errno.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define FILE_BYTES 70000

static struct dz_http_server *server;
static struct dz_loop *loop;
static struct dz_body *hello, *file_head;
static struct dz_file *file;

static void on_hello(struct dz_http_req *r)
{
    dz_http_reply_prepared(r, hello);
}

static void on_file(struct dz_http_req *r)
{
    dz_http_reply_file(r, file_head, file);
}

static void on_echo(struct dz_http_req *r)
{
    struct dz_buf b;
    dz_buf_init(&b, 1 << 20);
    dz_buf_put(&b, r->body);
    dz_buf_put(&b, r->path);
    struct dz_http_meta m = {.content_type = DZ_S("text/plain"), .last_modified_s = -1};
    dz_http_reply_buf(r, &m, &b);
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
    (void)dz_http_is_gone(r);
    on_echo(r);
}

static void on_late(struct dz_http_req *r)
{
    struct late *late = dz_new(struct late);
    late->r = r;
    dz_http_defer(r);
    dz_timer_set(r->loop, &late->timer, 0, reply_late);
}

struct counted {
    struct dz_http_source source;
    struct dz_timer timer;
    struct dz_http_req *r;
    size_t left;
    bool breaks, waits, waited; /* with every other read */
};

static void counted_wake(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    dz_http_source_wake(dz_container(t, struct counted, timer)->r);
}

static ssize_t counted_read(struct dz_http_source *source, char *p, size_t n)
{
    struct counted *s = dz_container(source, struct counted, source);
    s->waited = s->waits && !s->waited;
    if (s->waited) {
        dz_timer_set(loop, &s->timer, 0, counted_wake);
        return -EAGAIN;
    }
    if (n > 5000 && s->waits)
        n = 5000;
    if (n > s->left)
        n = s->left;
    if (n == 0)
        return s->breaks ? -5 : 0;
    memset(p, 's', n);
    s->left -= n;
    return (ssize_t)n;
}

static void counted_free(struct dz_http_source **source)
{
    struct counted *s = dz_container(dz_take(source), struct counted, source);
    dz_timer_stop(loop, &s->timer);
    free(s);
}

static struct dz_http_source *counted_new(struct dz_http_req *r, size_t n)
{
    struct counted *s = dz_new(struct counted);
    *s = (struct counted){.source = {counted_read, counted_free},
                          .r = r,
                          .left = n,
                          .breaks = dz_str_chr(r->query, 'b') != DZ_NPOS,
                          .waits = dz_str_chr(r->query, 'w') != DZ_NPOS};
    return &s->source;
}

/* "b" in the query: it breaks in the end; "w": it waits in between. */
static void on_source(struct dz_http_req *r)
{
    struct dz_http_meta m = {.content_type = DZ_S("image/x"), .last_modified_s = -1};
    dz_http_reply_source(r, &m, counted_new(r, 20000));
}

static struct dz_http_source *open_part(void *arg, uint64_t from, uint64_t n)
{
    (void)from;
    return counted_new(arg, (size_t)n);
}

static void on_content(struct dz_http_req *r)
{
    struct dz_http_meta m = {.etag = DZ_S("\"c1\""), .last_modified_s = -1, .ranges = true};
    dz_http_reply_content(r, &m, 20000, open_part, r);
}

static const struct dz_http_route routes[] = {
    {"hello", DZ_HTTP_GET, "/h", on_hello},
    {"file", DZ_HTTP_GET, "/f", on_file},
    {"source", DZ_HTTP_GET, "/s", on_source},
    {"content", DZ_HTTP_GET, "/c", on_content},
    {"echo", DZ_HTTP_GET | DZ_HTTP_POST | DZ_HTTP_OTHER, "/e/{}", on_echo},
    {"late", DZ_HTTP_GET | DZ_HTTP_PUT, "/l/{*}", on_late},
};

static void begin(void)
{
    struct dz_http_options o = {.routes = routes,
                                .routes_n = DZ_LEN(routes),
                                .max_header_bytes = 600,
                                .max_body_bytes = 2000};
    dz_clock_set_for_test(1795000000000);
    dz_assert(dz_http_server_new(&o, &server, NULL) == DZ_OK && dz_loop_new(&loop, NULL) == DZ_OK);
    struct dz_http_meta m = {.content_type = DZ_S("text/plain"),
                             .etag = DZ_S("\"h1\""),
                             .last_modified_s = 784111777,
                             .ranges = true};
    hello = dz_http_prepare(&m, DZ_S("hello world"), 11);
    file_head = dz_http_prepare(&m, (dz_str){0}, FILE_BYTES);
    static char bytes[FILE_BYTES];
    memset(bytes, 'f', sizeof(bytes));
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    dz_assert(dz_write_all(fd, (dz_str){bytes, sizeof(bytes)}, NULL) == DZ_OK);
    file = dz_file_new(fd, FILE_BYTES);
}

/* Whole frames, none too long; a short write may have cut the last one. */
static void check_frames(dz_str out, bool whole)
{
    while (out.n >= 9) {
        const unsigned char *p = (const unsigned char *)out.p;
        size_t n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
        dz_assert(n <= 1 << 24 && p[3] <= 9);
        if (out.n < 9 + n)
            break;
        out = dz_str_sub(out, 9 + n, out.n);
    }
    dz_assert(out.n == 0 || !whole);
}

/* Not dz_http_test_feed(): that also waits for content that a closed window holds back. */
static void reply_all(struct dz_http_lane *lane)
{
    dz_loop_turn(loop, 0);
    while (lane->deferred_n > 0)
        dz_loop_turn(loop, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2 || n > 1 << 16)
        return 0;
    if (!server)
        begin();
    unsigned seed = data[0];
    struct dz_http_test_conn *t = dz_http_test_open_h2(server, loop);
    struct dz_http_lane *lane = server->test_lanes;
    if (data[1]) /* not a byte at a time: the file alone would be 70,000 turns */
        dz_http_test_write_limit(t, (size_t)data[1] * 29);
    if (seed > 0)
        dz_http_test_push(
            t, DZ_S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\x04\1\0\0\0\0"),
            false);
    dz_str rest = {(const char *)data + 2, n - 2};
    for (size_t at = 0, step; at < rest.n && !dz_http_test_closed(t); at += step) {
        step = rest.n;
        if (seed > 1) {
            seed = seed * 1103515245 + 12345;
            step = (seed >> 16) % ((seed >> 8) % 64 + 1) + 1;
        }
        dz_http_test_push(t, dz_str_sub(rest, at, at + step), false);
        if (seed % 5 == 4)
            reply_all(lane);
    }
    if (data[0] % 3 == 0) { /* or the connection ends with requests open */
        dz_http_test_push(t, (dz_str){0}, true);
        reply_all(lane);
        check_frames(dz_http_test_output(t), !data[1]);
    }
    dz_http_test_free(&t);
    reply_all(lane);
    dz_assert(!lane->conns && lane->bodies_bytes == 0);
    return 0;
}
