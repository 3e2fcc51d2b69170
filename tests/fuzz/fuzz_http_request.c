/*
 * fuzz_http_request: whole connections. The first two bytes choose how the rest is cut into pieces
 * and how much the wire takes at a time. The same bytes fed at once must get the same answers, but
 * for a random boundary and for 100 Continue, which depends on what has arrived.
 */
#include "http/http_int.h"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define FILE_BYTES 3000

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
    dz_str value;
    if (dz_http_query(r, DZ_S("q"), &value))
        dz_buf_put(&b, value);
    struct dz_http_meta m = {
        .content_type = DZ_S("text/plain"), .etag = DZ_S("\"e\""), .last_modified_s = 784111777};
    dz_http_reply_buf(r, &m, &b);
}

struct late {
    struct dz_msg msg;
    struct dz_http_req *r;
};

static void reply_late(struct dz_loop *l, struct dz_msg *m)
{
    (void)l;
    struct late *late = dz_container(m, struct late, msg);
    struct dz_http_req *r = late->r;
    free(late);
    on_echo(r);
}

static void on_late(struct dz_http_req *r)
{
    struct late *late = dz_new(struct late);
    late->r = r;
    late->msg.fn = reply_late;
    dz_http_defer(r);
    dz_loop_post(r->loop, &late->msg);
}

static const struct dz_http_route routes[] = {
    {"hello", DZ_HTTP_GET, "/h", on_hello},
    {"file", DZ_HTTP_GET, "/f", on_file},
    {"echo", DZ_HTTP_GET | DZ_HTTP_POST | DZ_HTTP_OTHER, "/e/{}", on_echo},
    {"late", DZ_HTTP_GET | DZ_HTTP_PUT, "/l/{*}", on_late},
};

static void begin(void)
{
    static const char *const trusted[] = {"192.0.2.0/24", "10.0.0.0/8", NULL};
    static const char *const origins[] = {"https://a.example", NULL};
    struct dz_http_options o = {.routes = routes,
                                .routes_n = DZ_LEN(routes),
                                .trusted_proxies = trusted,
                                .cors_origins = origins,
                                .max_header_bytes = 600,
                                .max_body_bytes = 2000};
    dz_clock_set_for_test(1795000000000);
    dz_assert(dz_http_server_new(&o, &server, NULL) == DZ_OK && dz_loop_new(&loop, NULL) == DZ_OK);
    struct dz_http_meta m = {.content_type = DZ_S("text/plain"),
                             .etag = DZ_S("\"h1\""),
                             .cache_control = DZ_S("max-age=5"),
                             .last_modified_s = 784111777,
                             .ranges = true};
    hello = dz_http_prepare(&m, DZ_S("hello world"), 11);
    file_head = dz_http_prepare(&m, (dz_str){0}, FILE_BYTES);
    char bytes[FILE_BYTES];
    memset(bytes, 'f', sizeof(bytes));
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    dz_assert(dz_write_all(fd, (dz_str){bytes, sizeof(bytes)}, NULL) == DZ_OK);
    file = dz_file_new(fd, FILE_BYTES);
}

static void talk(dz_str request, unsigned seed, size_t per_write, struct dz_buf *out,
                 bool *ret_closed)
{
    struct dz_http_test_conn *t = dz_http_test_open(server, loop);
    if (per_write)
        dz_http_test_write_limit(t, per_write);
    for (size_t at = 0; at < request.n;) {
        size_t n = request.n;
        if (seed) {
            seed = seed * 1103515245 + 12345;
            n = (seed >> 16) % ((seed >> 8) % 64 + 1) + 1;
        }
        dz_http_test_feed(t, dz_str_sub(request, at, at + n), false);
        at += n;
    }
    dz_http_test_feed(t, (dz_str){0}, true);
    dz_buf_put(out, dz_http_test_output(t));
    *ret_closed = dz_http_test_closed(t);
    dz_http_test_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2 || n > 1 << 16)
        return 0;
    if (!server)
        begin();
    DZ_AUTO(dz_buf_done) struct dz_buf whole, split;
    dz_buf_init(&whole, 1 << 26);
    dz_buf_init(&split, 1 << 26);
    dz_str request = {(const char *)data + 2, n - 2};
    bool closed_whole, closed_split;
    talk(request, 0, 0, &whole, &closed_whole);
    talk(request, data[0] + 1u, data[1], &split, &closed_split);
    dz_assert(closed_whole && closed_split); /* the client has half-closed */
    dz_assert(whole.n == 0 || dz_str_starts(dz_buf_str(&whole), DZ_S("HTTP/1.1 ")));
    if (dz_str_find(dz_buf_str(&whole), DZ_S("multipart/")) == DZ_NPOS &&
        dz_str_find(dz_buf_str(&split), DZ_S("100 Continue")) == DZ_NPOS)
        dz_assert(dz_str_eq(dz_buf_str(&whole), dz_buf_str(&split)));
    return 0;
}
