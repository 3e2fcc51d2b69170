/*
 * rig: a server with a few routes, for tests that put bytes in and take bytes out. The clock stands
 * still, so equal requests get equal bytes.
 */
#pragma once

#include "test.h"

#include "http/http.h"
#include "loop/loop.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define RIG_WALL_MS 1795000000000 /* Wed, 18 Nov 2026 11:06:40 GMT */
#define RIG_DATE "Wed, 18 Nov 2026 11:06:40 GMT"
#define RIG_MODIFIED "Sun, 06 Nov 1994 08:49:37 GMT"
#define RIG_MODIFIED_S 784111777
#define RIG_WEDNESDAY "Wed, 09 Nov 1994 08:49:37 GMT"
#define RIG_WEDNESDAY_S 784370977
#define RIG_FILE_BYTES 100000

struct rig {
    struct dz_loop *loop;
    struct dz_http_server *server;
    struct dz_body *hello, *empty, *plain, *file_head;
    struct dz_body *weak, *tagged, *wednesday, *one; /* for conditions and ranges */
    struct dz_file *file;
    struct dz_buf out;
    bool made; /* the same answers by dz_http_reply_content() */
};
static struct rig rig;

/* ---- what stands ready ----------------------------------------------------------------------- */

static const struct dz_http_header_line rig_extra = {DZ_S("X-Extra"), DZ_S("kept")};
static const struct dz_http_header_line rig_entity = {DZ_S("X-Entity"), DZ_S("of the content")};
static const struct dz_http_meta rig_full = {.content_type = DZ_S("text/plain"),
                                             .etag = DZ_S("\"h1\""),
                                             .cache_control = DZ_S("max-age=5"),
                                             .last_modified_s = RIG_MODIFIED_S,
                                             .ranges = true,
                                             .extra = &rig_extra,
                                             .extra_n = 1,
                                             .extra_entity = &rig_entity,
                                             .extra_entity_n = 1};
static const struct dz_http_meta rig_weak_meta = {
    .etag = DZ_S("W/\"w1\""), .last_modified_s = -1, .ranges = true};
static const struct dz_http_meta rig_tagged_meta = {
    .etag = DZ_S("\"a,b\\ W/\xC3\xA4\""), .last_modified_s = -1, .ranges = true};
static const struct dz_http_meta rig_dated_meta = {.last_modified_s = RIG_WEDNESDAY_S,
                                                   .ranges = true};
static const struct dz_http_meta rig_bare_meta = {.last_modified_s = -1};

static char rig_file_byte(uint64_t at)
{
    return (char)(at * 31 + at / 251);
}

/* Content that is made: a piece, a wait, a piece. p NULL: as the file has it. */
struct rig_made {
    struct dz_http_source source;
    struct dz_timer timer;
    struct dz_http_req *r;
    const char *p;
    uint64_t at, left;
    bool waited;
};
#define RIG_MADE_STEP ((size_t)3000)

static void rig_made_go_on(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    dz_http_source_wake(dz_container(t, struct rig_made, timer)->r);
}

static ssize_t rig_made_read(struct dz_http_source *source, char *to, size_t n)
{
    struct rig_made *m = dz_container(source, struct rig_made, source);
    m->waited = !m->waited;
    if (m->waited) {
        dz_timer_set(m->r->loop, &m->timer, 0, rig_made_go_on);
        return -EAGAIN;
    }
    n = n < RIG_MADE_STEP ? n : RIG_MADE_STEP;
    n = n < m->left ? n : (size_t)m->left;
    for (size_t i = 0; i < n; i++, m->at++)
        to[i] = m->p ? m->p[m->at] : rig_file_byte(m->at);
    m->left -= n;
    return (ssize_t)n;
}

static void rig_made_free(struct dz_http_source **source)
{
    struct rig_made *m = dz_container(dz_take(source), struct rig_made, source);
    dz_timer_stop(m->r->loop, &m->timer);
    free(m);
}

struct rig_content {
    struct dz_http_req *r;
    const char *p;
};

static struct dz_http_source *rig_made_open(void *arg, uint64_t from, uint64_t n)
{
    const struct rig_content *c = arg;
    struct rig_made *m = dz_new(struct rig_made);
    *m = (struct rig_made){
        .source = {rig_made_read, rig_made_free}, .r = c->r, .p = c->p, .at = from, .left = n};
    return &m->source;
}

static void rig_ready(struct dz_http_req *r, const struct dz_http_meta *m, const char *content,
                      struct dz_body *prepared)
{
    if (rig.made)
        dz_http_reply_content(r, m, strlen(content), rig_made_open,
                              &(struct rig_content){r, content});
    else
        dz_http_reply_prepared(r, prepared);
}

static void rig_hello(struct dz_http_req *r)
{
    rig_ready(r, &rig_full, "hello world", rig.hello);
}

static void rig_empty(struct dz_http_req *r)
{
    rig_ready(r, &rig_full, "", rig.empty);
}

static void rig_plain(struct dz_http_req *r)
{
    rig_ready(r, &rig_bare_meta, "plain", rig.plain);
}

static void rig_file(struct dz_http_req *r)
{
    if (rig.made)
        dz_http_reply_content(r, &rig_full, RIG_FILE_BYTES, rig_made_open,
                              &(struct rig_content){r, NULL});
    else
        dz_http_reply_file(r, rig.file_head, rig.file);
}

static void rig_weak(struct dz_http_req *r)
{
    rig_ready(r, &rig_weak_meta, "hello world", rig.weak);
}

static void rig_tagged(struct dz_http_req *r)
{
    rig_ready(r, &rig_tagged_meta, "hello world", rig.tagged);
}

static void rig_wednesday(struct dz_http_req *r)
{
    rig_ready(r, &rig_dated_meta, "hello world", rig.wednesday);
}

static void rig_one(struct dz_http_req *r)
{
    rig_ready(r, &rig_dated_meta, "x", rig.one);
}

/* ---- other routes ---------------------------------------------------------------------------- */

static void rig_echo(struct dz_http_req *r)
{
    struct dz_buf b;
    dz_buf_init(&b, 1 << 24);
    dz_buf_put(&b, r->body);
    struct dz_http_meta m = {.content_type = DZ_S("application/octet-stream"),
                             .last_modified_s = -1};
    dz_http_reply_buf(r, &m, &b);
}

static void put_line(struct dz_buf *b, const char *name, dz_str value)
{
    dz_buf_put(b, dz_str_of(name));
    dz_buf_putc(b, '=');
    dz_buf_put(b, value);
    dz_buf_putc(b, '\n');
}

/* What the handler sees. */
static void rig_show(struct dz_http_req *r)
{
    struct dz_buf b;
    dz_buf_init(&b, 1 << 20);
    put_line(&b, "route", dz_str_of(r->route ? r->route->name : "none"));
    put_line(&b, "method", r->method_text);
    put_line(&b, "path", r->path);
    put_line(&b, "query", r->query);
    put_line(&b, "host", r->host);
    put_line(&b, "ip", r->client_ip);
    put_line(&b, "https", r->https ? DZ_S("yes") : DZ_S("no"));
    for (size_t i = 0; i < DZ_HTTP_CAPTURES_MAX; i++)
        if (r->capture[i].p)
            put_line(&b, "capture", r->capture[i]);
    dz_str value;
    if (dz_http_query(r, DZ_S("q"), &value))
        put_line(&b, "q", value);
    struct dz_http_meta m = {.content_type = DZ_S("text/x-show"),
                             .content_encoding = DZ_S("identity"), /* never packed */
                             .last_modified_s = -1};
    dz_http_reply_buf(r, &m, &b);
}

static void rig_healthz(struct dz_http_req *r)
{
    dz_http_reply_text(r, 200, DZ_S("text/plain"), DZ_S("no-store"), DZ_S("ok"));
}

/* What the handler sees of a target, without what depends on the way it came. */
static void rig_seen(struct dz_http_req *r)
{
    struct dz_buf b;
    dz_buf_init(&b, 1 << 20);
    const dz_str parts[] = {r->method_text, r->path, r->query, r->host, r->body};
    for (size_t i = 0; i < DZ_LEN(parts); i++) {
        dz_buf_put(&b, i ? DZ_S("|") : DZ_S(""));
        dz_buf_put(&b, parts[i]);
    }
    struct dz_http_meta m = {.content_type = DZ_S("text/x-seen"),
                             .content_encoding = DZ_S("identity"), /* never packed */
                             .last_modified_s = -1};
    dz_http_reply_buf(r, &m, &b);
}

struct rig_late {
    struct dz_timer timer;
    struct dz_http_req *r;
    dz_str path; /* taken before the deferral: must stay valid */
};

static void rig_reply_late(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    struct rig_late *late = dz_container(t, struct rig_late, timer);
    assert_true(dz_str_eq(late->path, late->r->path));
    struct dz_buf b;
    dz_buf_init(&b, 1 << 24);
    dz_buf_put(&b, late->path);
    dz_buf_put(&b, late->r->body);
    dz_buf_put(&b, dz_http_header(late->r, DZ_S("X-Tag")));
    struct dz_http_meta m = {.last_modified_s = -1};
    struct dz_http_req *r = late->r;
    free(late);
    dz_http_reply_buf(r, &m, &b);
}

static void rig_late(struct dz_http_req *r)
{
    struct rig_late *late = dz_new(struct rig_late);
    late->r = r;
    late->path = r->path;
    dz_http_defer(r);
    dz_timer_set(r->loop, &late->timer, 1, rig_reply_late);
}

static void rig_never(struct dz_http_req *r)
{
    (void)r;
}

static void rig_twice(struct dz_http_req *r)
{
    dz_http_reply_text(r, 200, DZ_S("text/plain"), (dz_str){0}, DZ_S("once"));
    dz_http_reply_text(r, 200, DZ_S("text/plain"), (dz_str){0}, DZ_S("twice"));
}

static void rig_defer_now(struct dz_http_req *r)
{
    dz_http_defer(r);
    dz_http_reply_text(r, 200, DZ_S("text/plain"), DZ_S("no-store"), DZ_S("at once"));
}

static void rig_text(struct dz_http_req *r)
{
    struct dz_buf b;
    dz_buf_init(&b, 1 << 20);
    for (int i = 0; i < 200; i++)
        dz_buf_put(&b, DZ_S("all work and no play "));
    struct dz_http_meta m = {.content_type = DZ_S("text/plain; charset=utf-8"),
                             .etag = DZ_S("\"t1\""),
                             .cache_control = DZ_S("max-age=60"),
                             .last_modified_s = -1};
    dz_http_reply_buf(r, &m, &b);
}

static void rig_redirect(struct dz_http_req *r)
{
    dz_http_reply_redirect(r, 307, DZ_S("/hello\r\nX-Evil: 1"), DZ_S("no-cache"));
}

static void rig_no_content(struct dz_http_req *r)
{
    dz_http_reply_text(r, 204, (dz_str){0}, (dz_str){0}, (dz_str){0});
}

static const struct dz_http_route rig_routes[] = {
    {"hello", DZ_HTTP_GET, "/hello", rig_hello},
    {"empty", DZ_HTTP_GET, "/empty", rig_empty},
    {"plain", DZ_HTTP_GET, "/plain", rig_plain},
    {"file", DZ_HTTP_GET, "/file", rig_file},
    {"echo", DZ_HTTP_POST | DZ_HTTP_PUT, "/echo", rig_echo},
    {"show", DZ_HTTP_GET, "/show", rig_show},
    {"show-one", DZ_HTTP_GET, "/show/{}", rig_show},
    {"show-two", DZ_HTTP_GET | DZ_HTTP_DELETE, "/show/{}/{}", rig_show},
    {"show-literal", DZ_HTTP_GET, "/show/me/{}", rig_show},
    {"show-rest", DZ_HTTP_GET, "/rest/{*}", rig_show},
    {"show-put", DZ_HTTP_PUT, "/rest/fixed", rig_show},
    {"late", DZ_HTTP_GET | DZ_HTTP_POST, "/late/{}", rig_late},
    {"never", DZ_HTTP_GET, "/never", rig_never},
    {"twice", DZ_HTTP_GET, "/twice", rig_twice},
    {"defer-now", DZ_HTTP_GET, "/defer-now", rig_defer_now},
    {"text", DZ_HTTP_GET, "/text", rig_text},
    {"redirect", DZ_HTTP_GET, "/redirect", rig_redirect},
    {"no-content", DZ_HTTP_GET, "/no-content", rig_no_content},
    {"any", DZ_HTTP_OTHER, "/any", rig_show},
    {"weak", DZ_HTTP_GET, "/weak", rig_weak},
    {"tagged", DZ_HTTP_GET, "/tagged", rig_tagged},
    {"wednesday", DZ_HTTP_GET, "/wednesday", rig_wednesday},
    {"one", DZ_HTTP_GET, "/one", rig_one},
    {"healthz", DZ_HTTP_GET, "/healthz", rig_healthz},
    {"seen", DZ_HTTP_GET | DZ_HTTP_POST | DZ_HTTP_DELETE | DZ_HTTP_OTHER, "/seen/{*}", rig_seen},
};

static void rig_make_bodies(void)
{
    rig.hello = dz_http_prepare(&rig_full, DZ_S("hello world"), 11);
    rig.empty = dz_http_prepare(&rig_full, DZ_S(""), 0);
    rig.file_head = dz_http_prepare(&rig_full, (dz_str){0}, RIG_FILE_BYTES);
    rig.weak = dz_http_prepare(&rig_weak_meta, DZ_S("hello world"), 11);
    rig.tagged = dz_http_prepare(&rig_tagged_meta, DZ_S("hello world"), 11);
    rig.wednesday = dz_http_prepare(&rig_dated_meta, DZ_S("hello world"), 11);
    rig.one = dz_http_prepare(&rig_dated_meta, DZ_S("x"), 1);
    rig.plain = dz_http_prepare(&rig_bare_meta, DZ_S("plain"), 5);
    int fd = memfd_create("rig", MFD_CLOEXEC);
    char *bytes = dz_alloc(RIG_FILE_BYTES);
    for (uint64_t i = 0; i < RIG_FILE_BYTES; i++)
        bytes[i] = rig_file_byte(i);
    must(dz_write_all(fd, (dz_str){bytes, RIG_FILE_BYTES}, err));
    free(bytes);
    rig.file = dz_file_new(fd, RIG_FILE_BYTES);
}

/* With the routes of the test. */
static __attribute__((unused)) void rig_open_bare(const struct dz_http_options *o)
{
    dz_clock_set_for_test(RIG_WALL_MS);
    must(dz_http_server_new(o, &rig.server, err));
    must(dz_loop_new(&rig.loop, err));
    dz_buf_init(&rig.out, 1 << 24);
}

/* o: limits and lists; routes are the rig's. NULL: defaults. */
static __attribute__((unused)) void rig_open(const struct dz_http_options *o)
{
    struct dz_http_options all = o ? *o : (struct dz_http_options){0};
    all.routes = rig_routes;
    all.routes_n = DZ_LEN(rig_routes);
    rig_open_bare(&all);
    rig_make_bodies();
}

static __attribute__((unused)) void rig_close(void)
{
    dz_http_stop(&rig.server);
    dz_loop_free(&rig.loop);
    dz_buf_done(&rig.out);
    dz_body_unref(&rig.hello);
    dz_body_unref(&rig.empty);
    dz_body_unref(&rig.plain);
    dz_body_unref(&rig.weak);
    dz_body_unref(&rig.tagged);
    dz_body_unref(&rig.wednesday);
    dz_body_unref(&rig.one);
    dz_body_unref(&rig.file_head);
    dz_file_unref(&rig.file);
    dz_clock_set_for_test(-1);
}

static __attribute__((unused)) int rig_setup(void **state)
{
    (void)state;
    rig_open(NULL);
    return 0;
}

static __attribute__((unused)) int rig_teardown(void **state)
{
    (void)state;
    rig_close();
    return 0;
}

/* The answer's bytes to request bytes on a fresh connection; valid until the next call. */
static __attribute__((unused)) dz_str ask(dz_str request)
{
    struct dz_http_test_conn *t = dz_http_test_open(rig.server, rig.loop);
    dz_http_test_feed(t, request, false);
    dz_buf_clear(&rig.out);
    dz_buf_put(&rig.out, dz_http_test_output(t));
    dz_http_test_free(&t);
    return dz_buf_str(&rig.out);
}

/* The answer's bytes when the wire takes all, and that they are the same whatever it takes at a
 * time; the connection goes on behind them. Limits below `each` are all tried. */
static __attribute__((unused)) dz_str rig_short_writes(dz_str requests, size_t each)
{
    dz_buf_clear(&rig.out);
    for (size_t limit = 0; limit < 70000; limit += limit < each ? 1 : 7919) {
        struct dz_http_test_conn *t = dz_http_test_open(rig.server, rig.loop);
        if (limit > 0)
            dz_http_test_write_limit(t, limit);
        dz_http_test_feed(t, requests, false);
        if (limit == 0)
            dz_buf_put(&rig.out, dz_http_test_output(t));
        else if (!dz_str_eq(dz_buf_str(&rig.out), dz_http_test_output(t)))
            fail_msg("limit %zu", limit);
        assert_false(dz_http_test_closed(t));
        dz_http_test_free(&t);
    }
    return dz_buf_str(&rig.out);
}

static __attribute__((unused)) int status_of(dz_str answer)
{
    uint64_t status = 0;
    assert_true(dz_str_starts(answer, DZ_S("HTTP/1.1 ")));
    must(dz_str_u64(dz_str_sub(answer, 9, 12), 599, &status, err));
    return (int)status;
}

static __attribute__((unused)) dz_str body_of(dz_str answer)
{
    size_t at = dz_str_find(answer, DZ_S("\r\n\r\n"));
    assert_true(at != DZ_NPOS);
    return dz_str_sub(answer, at + 4, answer.n);
}

/* Value of a header line, or p = NULL. */
static __attribute__((unused)) dz_str header_of(dz_str answer, const char *name)
{
    dz_str head = dz_str_sub(answer, 0, dz_str_find(answer, DZ_S("\r\n\r\n")) + 2);
    while (head.n > 0) {
        size_t end = dz_str_find(head, DZ_S("\r\n"));
        dz_str line = dz_str_sub(head, 0, end);
        size_t colon = dz_str_find(line, DZ_S(": "));
        if (colon != DZ_NPOS && dz_str_eq(dz_str_sub(line, 0, colon), dz_str_of(name)))
            return dz_str_sub(line, colon + 2, line.n);
        head = dz_str_sub(head, end + 2, head.n);
    }
    return (dz_str){0};
}

static __attribute__((unused)) void assert_text(dz_str got, const char *want)
{
    if (!dz_str_eq(got, dz_str_of(want)))
        fail_msg("got \"%.*s\", want \"%s\"", DZ_STR_FMT(got), want);
}

static __attribute__((unused)) void assert_header(dz_str answer, const char *name, const char *want)
{
    dz_str got = header_of(answer, name);
    if (!want ? got.p != NULL : !dz_str_eq(got, dz_str_of(want)))
        fail_msg("%s is \"%.*s\", want \"%s\"", name, DZ_STR_FMT(got), want ? want : "none");
}
