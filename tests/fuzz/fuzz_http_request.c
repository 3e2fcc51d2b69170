/*
 * fuzz_http_request: whole connections on the memory wire.
 *
 * In: four bytes that say how the rest is brought in, then what the clients send. The rest is fed
 * three ways. Whole, alone: that is the reference. To two connections at once, in pieces, with
 * short writes, blocked writes, late replies and a little time between them: each must get the same
 * answers, byte for byte. To two more with time-outs, cuts, and a server that stops: what came out
 * must be answers as far as it goes, and everything must end. Every output is read by a strict
 * reader (answers.h). The clock and the random boundary are the target's own (linker: --wrap).
 */
#include "answers.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define FILE_BYTES 1200
#define TEXT_BYTES 600
#define NOTES_MAX 8192
#define CONTROL_BYTES 4

/* ---- clock and random ------------------------------------------------------------------------ */

static int64_t clock_ns = (int64_t)1000 * 1000 * 1000 * 1000;

int64_t __wrap_dz_mono_ns(void);
int64_t __wrap_dz_mono_ns(void)
{
    return clock_ns;
}

/* Boundaries of multipart/byteranges must not differ from run to run. */
uint64_t __wrap_dz_random_u64(void);
uint64_t __wrap_dz_random_u64(void)
{
    return 0x0123456789abcdef;
}

static unsigned seed;

static unsigned below(unsigned n)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % n;
}

/* ---- the server ------------------------------------------------------------------------------ */

struct late {
    struct dz_msg msg;
    struct late *next;
    struct dz_http_req *r;
};

static struct dz_http_server *servers[2];
static struct dz_loop *loop;
static struct dz_body *hello, *file_head, *created;
static struct dz_file *file;
static struct late *held; /* late replies that wait to be let go */
static bool hold;

static void on_hello(struct dz_http_req *r)
{
    dz_http_reply_prepared(r, hello);
}

static void on_file(struct dz_http_req *r)
{
    dz_http_reply_file(r, file_head, file);
}

static void on_created(struct dz_http_req *r)
{
    dz_http_reply_prepared(r, created);
}

static void on_echo(struct dz_http_req *r)
{
    struct dz_buf b;
    dz_buf_init(&b, 1 << 20);
    dz_buf_put(&b, r->body);
    dz_buf_put(&b, r->path);
    dz_buf_put(&b, r->capture[0]);
    dz_buf_put(&b, r->client_ip);
    dz_buf_put(&b, r->host);
    dz_buf_put(&b, r->https ? DZ_S("s") : DZ_S("-"));
    dz_str value;
    if (dz_http_query(r, DZ_S("q"), &value))
        dz_buf_put(&b, value);
    dz_buf_put(&b, dz_http_header(r, DZ_S("X-Echo")));
    struct dz_http_meta m = {
        .content_type = DZ_S("text/plain"), .etag = DZ_S("\"e\""), .last_modified_s = 784111777};
    dz_http_reply_buf(r, &m, &b);
}

/* Text that is compressed as the client likes it. */
static void on_text(struct dz_http_req *r)
{
    struct dz_buf b;
    dz_buf_init(&b, TEXT_BYTES);
    for (size_t i = 0; i < TEXT_BYTES; i++)
        dz_buf_putc(&b, (char)('a' + i % 7));
    struct dz_http_meta m = {.content_type = DZ_S("application/json"), .etag = DZ_S("\"t\"")};
    dz_http_reply_buf(r, &m, &b);
}

static void on_page(struct dz_http_req *r)
{
    bool html = dz_http_wants_html(r);
    dz_http_reply_text(r, html ? 200 : 404, html ? DZ_S("text/html") : DZ_S("application/json"),
                       DZ_S("no-store"), html ? DZ_S("<p>x</p>") : DZ_S("{}"));
}

static void on_redirect(struct dz_http_req *r)
{
    dz_str to;
    if (!dz_http_query(r, DZ_S("to"), &to))
        to = r->path;
    dz_http_reply_redirect(r, 308, to, DZ_S("max-age=1"));
}

static void on_nothing(struct dz_http_req *r)
{
    if (r->method == DZ_HTTP_DELETE)
        dz_http_reply_text(r, 204, (dz_str){0}, (dz_str){0}, (dz_str){0});
    else if (r->method == DZ_HTTP_POST)
        dz_http_reply_not_allowed(r, DZ_HTTP_DELETE | DZ_HTTP_OTHER);
    /* else: a handler that forgets to reply is answered for with 500 */
}

/* Replies twice: the second one must be dropped. */
static void on_twice(struct dz_http_req *r)
{
    dz_http_reply_prepared(r, hello);
    dz_http_reply_prepared(r, created);
}

static void reply_late(struct dz_http_req *r)
{
    if (r->method == DZ_HTTP_PUT)
        on_text(r);
    else if (r->method == DZ_HTTP_GET && r->query.n > 0)
        on_file(r);
    else
        on_echo(r);
}

static void on_late_message(struct dz_loop *l, struct dz_msg *m)
{
    (void)l;
    struct late *late = dz_container(m, struct late, msg);
    struct dz_http_req *r = late->r;
    free(late);
    (void)dz_http_is_gone(r);
    reply_late(r);
}

static void on_late(struct dz_http_req *r)
{
    struct late *late = dz_new(struct late);
    late->r = r;
    late->msg.fn = on_late_message;
    dz_http_defer(r);
    if (hold) {
        late->next = held;
        held = late;
    } else {
        dz_loop_post(r->loop, &late->msg);
    }
}

static void let_go(void)
{
    while (held) {
        struct late *late = held;
        held = late->next;
        dz_loop_post(loop, &late->msg);
    }
}

static bool gate(struct dz_http_req *r)
{
    if (!dz_str_starts(r->path, DZ_S("/gate")))
        return false;
    dz_http_reply_text(r, 403, DZ_S("text/plain"), (dz_str){0}, r->host);
    return true;
}

static void fallback(struct dz_http_req *r)
{
    on_text(r);
}

static void error_body(int status, const char *why, struct dz_buf *out, dz_str *ret_content_type)
{
    if (status == 404)
        return; /* the short text */
    dz_buf_put(out, DZ_S("<h1>"));
    dz_buf_put_html(out, dz_str_of(why ? why : "?"));
    *ret_content_type = DZ_S("text/html");
}

static const struct dz_http_route routes[] = {
    {"hello", DZ_HTTP_GET, "/h", on_hello},
    {"file", DZ_HTTP_GET, "/f", on_file},
    {"created", DZ_HTTP_GET | DZ_HTTP_PUT, "/c", on_created},
    {"echo", DZ_HTTP_GET | DZ_HTTP_POST | DZ_HTTP_OTHER, "/e/{}", on_echo},
    {"late", DZ_HTTP_GET | DZ_HTTP_PUT | DZ_HTTP_POST, "/l/{*}", on_late},
    {"text", DZ_HTTP_GET | DZ_HTTP_PATCH, "/t", on_text},
    {"page", DZ_HTTP_GET, "/p", on_page},
    {"redirect", DZ_HTTP_GET, "/r", on_redirect},
    {"nothing", DZ_HTTP_GET | DZ_HTTP_POST | DZ_HTTP_DELETE, "/n", on_nothing},
    {"twice", DZ_HTTP_GET, "/2", on_twice},
    {"options", DZ_HTTP_OPTIONS, "/o/{}/{*}", on_echo},
};

/* ---- clients --------------------------------------------------------------------------------- */

struct client {
    struct dz_http_test_conn *t;
    dz_str request;
    size_t at;
    size_t per_write; /* SIZE_MAX: no limit */
    bool eof, cut;
    size_t notes_n;
    struct note note[NOTES_MAX];
};

static struct client clients[2];

/* The server's word on each answer, filed with the client that it was for. */
static void take_note(void *app, const struct dz_http_req *r, int status, uint64_t bytes,
                      int64_t ns)
{
    (void)app, (void)bytes, (void)ns;
    for (size_t i = 0; i < DZ_LEN(clients); i++) {
        struct client *c = &clients[i];
        if (!c->t || r->conn->wire_data != c->t)
            continue;
        dz_assert(c->notes_n < NOTES_MAX);
        c->note[c->notes_n++] = (struct note){status, r->method, r->version_minor};
    }
}

static struct dz_http_lane *lane_of(const struct dz_http_server *s)
{
    return s->test_lanes;
}

static void come(struct client *c, struct dz_http_server *s, dz_str request)
{
    memset(c, 0, offsetof(struct client, note));
    c->request = request;
    c->per_write = SIZE_MAX;
    c->t = dz_http_test_open(s, loop);
}

static void limit_writes(struct client *c, size_t per_write)
{
    c->per_write = per_write;
    dz_http_test_write_limit(c->t, per_write);
}

static void feed(struct client *c, size_t n)
{
    dz_http_test_push(c->t, dz_str_sub(c->request, c->at, c->at + n), false);
    c->at += n < c->request.n - c->at ? n : c->request.n - c->at;
}

static void half_close(struct client *c)
{
    if (!c->eof && c->at == c->request.n)
        dz_http_test_push(c->t, (dz_str){0}, true);
    c->eof = c->at == c->request.n;
}

/* A turn of the loop and what follows from it; ms later. */
static void pass(struct client *c, size_t n, int64_t ms)
{
    clock_ns += ms * 1000000;
    dz_loop_turn(loop, 0);
    for (size_t i = 0; i < n; i++)
        dz_http_test_push(c[i].t, (dz_str){0}, false);
}

/* Nothing is held back any more: everything is answered. */
static void finish(struct client *c, size_t n)
{
    hold = false;
    for (size_t i = 0; i < n; i++) {
        limit_writes(&c[i], SIZE_MAX);
        feed(&c[i], SIZE_MAX);
        half_close(&c[i]);
    }
    let_go();
    for (size_t i = 0; i < n; i++) {
        dz_http_test_feed(c[i].t, (dz_str){0}, true);
        dz_assert(dz_http_test_closed(c[i].t)); /* the client has half-closed */
    }
}

static void leave(struct client *c, struct dz_buf *plain)
{
    answers_check(dz_http_test_output(c->t), c->note, c->notes_n, c->cut, plain);
    struct dz_http_test_conn *t = c->t;
    dz_http_test_free(&t); /* a note of a late reply may still come */
    c->t = NULL;
}

/* ---- the three ways -------------------------------------------------------------------------- */

static void whole(struct dz_http_server *s, dz_str request, struct dz_buf *plain)
{
    come(&clients[0], s, request);
    finish(clients, 1);
    if (getenv("FUZZ_STATUSES")) /* for tests/e2e/test_replay.py */
        for (size_t i = 0; i < clients[0].notes_n; i++)
            fprintf(stderr, "status: %d %d\n", clients[0].note[i].status,
                    clients[0].note[i].method == DZ_HTTP_HEAD);
    leave(&clients[0], plain);
}

static void in_pieces(struct dz_http_server *s, dz_str request, const uint8_t *control,
                      dz_str expected)
{
    DZ_AUTO(dz_buf_done) struct dz_buf out;
    dz_buf_init(&out, 1 << 26);
    int64_t spent_ms = 0;
    seed = control[0] * 2654435761u + 1;
    hold = (control[2] & 2) != 0;
    unsigned piece_max = 1 + below(64);
    for (size_t i = 0; i < 2; i++) {
        come(&clients[i], s, request);
        if (control[1] && (i == 0 || (control[2] & 4)))
            limit_writes(&clients[i], control[1]);
    }
    while (clients[0].at < request.n || clients[1].at < request.n) {
        struct client *c = &clients[below(2)];
        feed(c, 1 + below(piece_max));
        unsigned what = below(16);
        if (what == 0)
            limit_writes(c, 0); /* it does not read for a while */
        else if (what == 1)
            limit_writes(c, control[1] ? control[1] : SIZE_MAX);
        else if (what < 5)
            let_go();
        if (what < 8)
            pass(clients, 2, spent_ms < 1000);
        spent_ms += what < 8;
    }
    finish(clients, 2);
    for (size_t i = 0; i < 2; i++) {
        dz_buf_clear(&out);
        leave(&clients[i], &out);
        dz_assert(dz_str_eq(dz_buf_str(&out), expected));
    }
}

static void stop(struct dz_http_server *s)
{
    struct dz_http_lane *lane = lane_of(s);
    lane->stopping = true;
    for (struct dz_http_conn *c = lane->conns, *next; c; c = next) {
        next = c->next;
        dz_http_conn_stop(c);
    }
}

static void reset(struct dz_http_server *s, const struct client *c)
{
    for (struct dz_http_conn *x = lane_of(s)->conns, *next; x; x = next) {
        next = x->next;
        if (x->wire_data == c->t && !x->gone)
            dz_http_conn_event(x, EPOLLIN | EPOLLERR | EPOLLHUP);
    }
}

static void abused(struct dz_http_server *s, dz_str request, const uint8_t *control)
{
    static const int64_t waits_ms[] = {0, 1, 900, 2100, 4000, 11000, 31000, 61000};
    static const size_t rooms[] = {0, 1, 7, 300, SIZE_MAX};
    DZ_AUTO(dz_buf_done) struct dz_buf plain;
    dz_buf_init(&plain, 1 << 26);
    seed = control[3] * 2654435761u + 7;
    hold = (control[3] & 1) != 0;
    unsigned piece_max = 1 + below(2000), patience = 1 + below(8);
    for (size_t i = 0; i < 2; i++) {
        come(&clients[i], s, request);
        clients[i].cut = true;
        limit_writes(&clients[i], rooms[below(DZ_LEN(rooms))]);
    }
    for (unsigned steps = 0; steps < 400; steps++) {
        struct client *c = &clients[below(2)];
        unsigned what = below(32);
        feed(c, 1 + below(piece_max));
        if (what < 6)
            limit_writes(c, rooms[below(DZ_LEN(rooms))]);
        else if (what < 16)
            pass(clients, 2, waits_ms[below(patience)]);
        else if (what < 20)
            let_go();
        else if (what < 22)
            half_close(c);
        else if (what == 22)
            stop(s);
        else if (what == 23)
            reset(s, c);
        else if (what == 24)
            break;
    }
    let_go();
    hold = false;
    for (int i = 0; i < 40; i++) { /* each wait of the server's is shorter than that */
        pass(clients, 2, 61000);
        let_go();
    }
    for (size_t i = 0; i < 2; i++) {
        dz_assert(dz_http_test_closed(clients[i].t) || clients[i].per_write > 0);
        dz_buf_clear(&plain);
        leave(&clients[i], &plain);
    }
    dz_loop_turn(loop, 0);
    lane_of(s)->stopping = false;
    dz_assert(!lane_of(s)->conns && lane_of(s)->deferred_n == 0 && lane_of(s)->bodies_bytes == 0);
}

/* ---- */

static struct dz_http_server *new_server(bool second)
{
    static const char *const trusted[] = {"192.0.2.0/24", "10.0.0.0/8", NULL};
    static const char *const origins[] = {"https://a.example", NULL};
    struct dz_http_options o = {.routes = routes,
                                .routes_n = DZ_LEN(routes),
                                .access = take_note,
                                .max_header_bytes = 600,
                                .max_body_bytes = 2000};
    if (second) {
        o.gate = gate;
        o.fallback = fallback;
        o.error_body = error_body;
    } else {
        o.trusted_proxies = trusted;
        o.cors_origins = origins;
        o.cors_expose = DZ_S("ETag");
    }
    struct dz_http_server *s;
    dz_assert(dz_http_server_new(&o, &s, NULL) == DZ_OK);
    return s;
}

static void begin(void)
{
    dz_log_init(open("/dev/null", O_WRONLY | O_CLOEXEC), DZ_ERROR, DZ_LOG_TEXT);
    dz_clock_set_for_test(1795000000000);
    dz_assert(dz_loop_new(&loop, NULL) == DZ_OK);
    servers[0] = new_server(false);
    servers[1] = new_server(true);
    struct dz_http_header_line extra = {DZ_S("X-Extra"), DZ_S("a\r\nb")};
    struct dz_http_meta m = {.content_type = DZ_S("text/plain"),
                             .etag = DZ_S("\"h1\""),
                             .cache_control = DZ_S("max-age=5"),
                             .last_modified_s = 784111777,
                             .ranges = true,
                             .extra = &extra,
                             .extra_n = 1};
    hello = dz_http_prepare(&m, DZ_S("hello world"), 11);
    file_head = dz_http_prepare(&m, (dz_str){0}, FILE_BYTES);
    struct dz_http_meta plain = {.status = 201, .last_modified_s = -1, .vary_encoding = true};
    created = dz_http_prepare(&plain, (dz_str){0}, 0);
    char bytes[FILE_BYTES];
    memset(bytes, 'f', sizeof(bytes));
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    dz_assert(dz_write_all(fd, (dz_str){bytes, sizeof(bytes)}, NULL) == DZ_OK);
    file = dz_file_new(fd, FILE_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < CONTROL_BYTES || n > 1 << 16)
        return 0;
    if (!loop)
        begin();
    struct dz_http_server *s = servers[data[2] & 1];
    dz_str request = {(const char *)data + CONTROL_BYTES, n - CONTROL_BYTES};
    DZ_AUTO(dz_buf_done) struct dz_buf plain;
    dz_buf_init(&plain, 1 << 26);
    whole(s, request, &plain);
    in_pieces(s, request, data, dz_buf_str(&plain));
    abused(s, request, data);
    return 0;
}
