/*
 * record: what a site answers, written down as exchanges of a test.
 *
 * In: requests that are not recorded yet. Out: the site's answer, as the requester brings it, and
 * at the end its text behind fixtures/recorded.http. What keeps somebody logged in is not written:
 * no field of a request, no Set-Cookie. A redirect becomes one exchange and its target another.
 * Connections that come to nothing are not written either. Loop's thread; what is under way when
 * the recorder ends is cancelled.
 */
#include "source/replay.h"

#include <stdlib.h>

#define TEXT_MAX (256 * DZ_MIB)

struct recorder {
    struct replay *replay;
    struct dz_fetch *fetch;
    struct dz_buf text;
    unsigned n;
};

struct asked { /* one request under way */
    struct recorder *rec;
    void (*done)(void *arg, struct dz_fetch_res *res);
    void *arg;
    char *method, *url;
    struct dz_buf body;
};

enum dz_code record_new(struct replay *replay, struct dz_loop *l, const struct dz_fetch_options *o,
                        struct recorder **ret_r, struct dz_err *err)
{
    struct dz_fetch *fetch;
    DZ_TRY(dz_fetch_new(l, o, &fetch, err));
    struct recorder *r = dz_new(struct recorder);
    r->replay = replay;
    r->fetch = fetch;
    dz_buf_init(&r->text, TEXT_MAX);
    *ret_r = r;
    return DZ_OK;
}

void record_free(struct recorder **rp)
{
    struct recorder *r = dz_take(rp);
    if (!r)
        return;
    dz_fetch_free(&r->fetch);
    dz_buf_done(&r->text);
    free(r);
}

/* Fields about the way of the bytes, which are kept decoded, and those that identify somebody. */
static bool is_left_out(dz_str name)
{
    static const char *const names[] = {"content-encoding",  "content-length", "connection",
                                        "transfer-encoding", "keep-alive",     "set-cookie",
                                        "set-cookie2",       "alt-svc"};
    for (size_t i = 0; i < DZ_LEN(names); i++)
        if (dz_str_eq_nocase(name, dz_str_of(names[i])))
            return true;
    return false;
}

/* Whether the text reads back as it is without its length. */
static bool is_plain(dz_str body)
{
    char last = body.n ? body.p[body.n - 1] : 0;
    return dz_str_is_utf8(body) && last != '\n' && last != '\r' &&
           !dz_str_starts(body, DZ_S("###")) && !dz_str_starts(body, DZ_S("< ")) &&
           dz_str_find(body, DZ_S("\n###")) == DZ_NPOS && !memchr(body.p ? body.p : "", 0, body.n);
}

static void put_answer(struct dz_buf *b, const struct dz_fetch_res *res)
{
    dz_str body = {res->body->p, res->body->n};
    dz_buf_putf(b, "HTTP/1.1 %d\n", res->status);
    for (size_t i = 0; i < res->headers_n; i++) {
        if (is_left_out(res->headers[i].name))
            continue;
        dz_buf_put(b, res->headers[i].name);
        dz_buf_put(b, DZ_S(": "));
        dz_buf_put(b, res->headers[i].value);
        dz_buf_putc(b, '\n');
    }
    if (!is_plain(body))
        dz_buf_putf(b, "Content-Length: %zu\n", body.n);
    dz_buf_putc(b, '\n');
    dz_buf_put(b, body);
    dz_buf_put(b, DZ_S("\n\n"));
}

static void put_request(struct dz_buf *b, const char *method, dz_str url, dz_str body)
{
    char now[21];
    dz_time_iso(dz_now_ms() / 1000, now);
    dz_buf_putf(b, "### recorded %s\n%s ", now, method);
    dz_buf_put(b, url);
    dz_buf_put(b, DZ_S("\n\n"));
    bool plain = is_plain(body) && !dz_str_starts(body, DZ_S("HTTP/")) &&
                 dz_str_find(body, DZ_S("\nHTTP/")) == DZ_NPOS;
    if (body.n && plain) {
        dz_buf_put(b, body);
        dz_buf_putc(b, '\n');
    }
}

static bool is_same_url(dz_str a, dz_str b)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *arena = dz_arena_new(DZ_MIB);
    dz_str x, y;
    return dz_url_normal(a, arena, &x, NULL) == DZ_OK &&
           dz_url_normal(b, arena, &y, NULL) == DZ_OK && dz_str_eq(x, y);
}

static void write_down(struct asked *q, const struct dz_fetch_res *res)
{
    struct recorder *r = q->rec;
    size_t from = r->text.n, known = replay_count(r->replay);
    dz_str url = dz_str_of(q->url);
    const char *method = q->method;
    if (r->text.n == 0)
        dz_buf_putc(&r->text, '\n');
    if (!is_same_url(url, res->url)) {
        put_request(&r->text, method, url, dz_buf_str(&q->body));
        dz_buf_put(&r->text, DZ_S("HTTP/1.1 302\nLocation: "));
        dz_buf_put(&r->text, res->url);
        dz_buf_put(&r->text, DZ_S("\n\n"));
        url = res->url;
        r->n++;
    }
    put_request(&r->text, method, url, dz_buf_str(&q->body));
    put_answer(&r->text, res);
    r->n++;
    struct dz_err err;
    if (!r->text.full &&
        replay_add(r->replay, RECORD_FILE, ".", dz_str_sub(dz_buf_str(&r->text), from, r->text.n),
                   false, &err) == DZ_OK)
        replay_use_from(r->replay, known);
}

static void on_done(void *arg, struct dz_fetch_res *res)
{
    struct asked *q = arg;
    if (res->kind == DZ_FETCH_OK)
        write_down(q, res);
    q->done(q->arg, res);
    dz_buf_done(&q->body);
    free(q->method);
    free(q->url);
    free(q);
}

void record_send(struct recorder *r, const struct dz_fetch_req *req)
{
    struct asked *q = dz_new(struct asked);
    *q = (struct asked){.rec = r,
                        .done = req->done,
                        .arg = req->arg,
                        .method = dz_str_dup(req->method.n ? req->method : DZ_S("GET")),
                        .url = dz_str_dup(req->url)};
    dz_buf_init(&q->body, req->body.n + 1);
    dz_buf_put(&q->body, req->body);
    struct dz_fetch_req mine = *req;
    mine.cache = DZ_FETCH_NO_STORE;
    mine.done = on_done;
    mine.arg = q;
    dz_fetch_start(r->fetch, &mine, NULL);
}

unsigned record_count(const struct recorder *r)
{
    return r->n;
}

enum dz_code record_save(struct recorder *r, const char *folder, struct dz_err *err)
{
    char path[4096];
    if (r->n == 0)
        return DZ_OK;
    if ((size_t)snprintf(path, sizeof(path), "%s/" RECORD_FILE, folder) >= sizeof(path))
        return dz_fail(err, DZ_BAD_INPUT, "the path is too long");
    DZ_AUTO(dz_buf_done) struct dz_buf all;
    dz_buf_init(&all, REPLAY_FILE_MAX);
    enum dz_code code = dz_file_read(path, &all, err);
    if (code != DZ_OK && code != DZ_NOT_FOUND)
        return code;
    dz_buf_put(&all, dz_buf_str(&r->text));
    if (all.full || r->text.full)
        return dz_fail(err, DZ_TOO_LARGE, "%.150s would be larger than %zu bytes", path,
                       REPLAY_FILE_MAX);
    DZ_TRY(dz_mkdirs(folder, 0755, err));
    return dz_file_write_atomic(path, dz_buf_str(&all), 0644, err);
}
