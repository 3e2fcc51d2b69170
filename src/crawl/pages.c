/*
 * pages: all pages of one chapter, from the source's list to a keeper that holds them for good.
 *
 * In: what DZ_FN_PAGES returned. Out: the kept pages in reading order, or one failure. The loop
 * asks the fetcher for a few pages ahead; workers check and transform what came and hand it to the
 * keeper; every so many pages, and at every end, the keeper makes them last, so that the next
 * attempt (of this process or another) begins where this one stopped. Everything but `make`,
 * `flush` and `recall` runs on the loop's thread. Odd: a failed or stopped chapter still flushes
 * before it says so.
 */
#include <stdlib.h>

#include "crawl/keep_int.h"

#define FLUSH_EVERY 32u /* pages of a site that is quick */
#define FLUSH_AFTER_MS                                                                             \
    150 /* a page of a slow one waits no longer: it is what would be asked again */
#define RETRY_FIRST_MS 500
#define BROKEN_TRIES 2u /* of a page whose bytes are no picture: an error page may pass */
#define AHEAD_UNKNOWN 4u
/* What the pages on their way may hold, by the largest so far. */
#define AHEAD_BYTES (64 * DZ_MIB)

enum page_state { WAITING, FETCHING, PAUSING, MAKING, MADE, KEPT, FAILED };

struct page {
    struct crawl_pages *all;
    enum page_state state;
    unsigned tries, broken;
    const json_t *spec;
    struct dz_fetch_call *call; /* FETCHING */
    struct dz_timer timer;      /* PAUSING */
    struct dz_body *body;       /* MAKING */
    struct dz_work work;
    enum dz_code code;
    struct dz_err err;
    bool no_key, damaged; /* kept all the same */
    bool not_kept;        /* not the picture is at fault but the place for it */
    struct crawl_kept kept;
};

struct crawl_pages {
    struct crawl_pages_spec s;
    char *label;
    struct dz_arena *arena; /* texts of what recall found, and the result */
    struct page *v;
    size_t n, next;        /* pages before `next` have been started at least once */
    size_t ahead;          /* FETCHING, PAUSING or MAKING */
    size_t done_n, unkept; /* MADE or KEPT; MADE */
    uint64_t requests, biggest;
    bool recalling, recalled, flushing, flush_due, told_key, stopping, ended;
    struct dz_source_fail fail;
    struct dz_work work;     /* recall, then flushes, one at a time */
    struct crawl_kept *some; /* heap: what a flush makes last; arena: what recall found */
    size_t some_n;
    struct dz_err work_err;
    enum dz_code work_code;
    struct dz_timer soon;  /* what may not happen inside a call of the caller */
    struct dz_timer flush; /* runs while a page waits to be kept */
};

static void pump(struct crawl_pages *p);

/* ---- failures -------------------------------------------------------------------------------- */

static void fail(struct crawl_pages *p, enum dz_source_kind kind, int64_t retry_after_ms,
                 const char *fmt, ...) DZ_PRINTF(4, 5);
static void fail(struct crawl_pages *p, enum dz_source_kind kind, int64_t retry_after_ms,
                 const char *fmt, ...)
{
    if (p->fail.kind != DZ_SOURCE_OK)
        return; /* the first one says why */
    p->fail.kind = kind;
    p->fail.retry_after_ms = retry_after_ms;
    va_list args;
    va_start(args, fmt);
    vsnprintf(p->fail.text, sizeof(p->fail.text), fmt, args);
    va_end(args);
}

enum dz_source_kind crawl_kind_of_code(enum dz_code code)
{
    if (code == DZ_CANCELLED)
        return DZ_SOURCE_CANCELLED;
    if (code == DZ_FORBIDDEN)
        return DZ_SOURCE_UNSUPPORTED;
    return dz_code_retries(code) || code == DZ_IO || code == DZ_CONFLICT ? DZ_SOURCE_UNAVAILABLE
                                                                         : DZ_SOURCE_PARSE;
}

/* Pages that wait for the site are let go; those on a worker come back by themselves. What has been
 * asked for already may come and is kept, when the failure is one page's own. */
static void let_go(struct crawl_pages *p)
{
    bool others_may_come = p->fail.kind == DZ_SOURCE_PARSE || p->fail.kind == DZ_SOURCE_NOT_FOUND ||
                           p->fail.kind == DZ_SOURCE_GONE || p->fail.kind == DZ_SOURCE_BAD_URL ||
                           p->fail.kind == DZ_SOURCE_UNSUPPORTED;
    for (size_t i = 0; i < p->n; i++) {
        struct page *g = &p->v[i];
        if (g->state == FETCHING && g->call) {
            if (others_may_come && !p->stopping)
                continue;
            dz_fetch_cancel(g->call); /* its end comes from the loop */
            g->call = NULL;
        } else if (g->state == PAUSING) {
            dz_timer_stop(p->s.env->loop, &g->timer);
            g->state = FAILED;
            p->ahead--;
        }
    }
}

/* ---- recall and flush ------------------------------------------------------------------------ */

static void run_recall(struct dz_work *w)
{
    struct crawl_pages *p = dz_container(w, struct crawl_pages, work);
    dz_str *urls = dz_alloc((p->n ? p->n : 1) * sizeof(*urls));
    for (size_t i = 0; i < p->n; i++)
        urls[i] = p->v[i].kept.url;
    p->work_code =
        crawl_keep_recall(p->s.keeper, urls, p->n, p->arena, &p->some, &p->some_n, &p->work_err);
    free(urls);
}

static void on_recalled(struct dz_work *w)
{
    struct crawl_pages *p = dz_container(w, struct crawl_pages, work);
    p->recalled = true;
    if (p->work_code != DZ_OK)
        fail(p, crawl_kind_of_code(p->work_code), -1, "%s: %s", p->label, p->work_err.text);
    uint64_t bytes = 0;
    for (size_t i = 0; i < p->some_n; i++) {
        struct page *g = &p->v[p->some[i].at];
        dz_str url = g->kept.url;
        g->kept = p->some[i];
        g->kept.url = url;
        g->state = KEPT;
        bytes += g->kept.blob.bytes;
        p->done_n++;
    }
    if (p->some_n > 0 && p->s.recalled)
        p->s.recalled(p->s.arg, p->some_n, bytes);
    p->some = NULL;
    p->some_n = 0;
    pump(p);
}

static void run_flush(struct dz_work *w)
{
    struct crawl_pages *p = dz_container(w, struct crawl_pages, work);
    p->work_code = p->s.keeper->type->sync(p->s.keeper, p->some, p->some_n, &p->work_err);
}

static void flushed(struct crawl_pages *p)
{
    p->flushing = false;
    dz_freep(&p->some);
    p->some_n = 0;
}

static void on_flushed(struct dz_work *w)
{
    struct crawl_pages *p = dz_container(w, struct crawl_pages, work);
    flushed(p);
    if (p->work_code != DZ_OK) {
        fail(p, crawl_kind_of_code(p->work_code), -1, "%s: pages not stored: %s", p->label,
             p->work_err.text);
        let_go(p);
    }
    pump(p);
}

static void submit(struct crawl_pages *p, void (*run)(struct dz_work *),
                   void (*done)(struct dz_work *))
{
    p->work = (struct dz_work){.run = run, .home = p->s.env->loop, .done = done};
    struct dz_err err; /* work_code and work_err are the worker's from here on */
    if (dz_pool_submit(p->s.env->pool, &p->work, &err) == DZ_OK)
        return;
    flushed(p);
    fail(p, DZ_SOURCE_UNAVAILABLE, -1, "%s: %s", p->label, err.text);
    let_go(p);
}

static void flush(struct crawl_pages *p)
{
    p->some = dz_alloc(p->unkept * sizeof(*p->some));
    p->some_n = 0;
    for (size_t i = 0; i < p->n; i++) {
        struct page *g = &p->v[i];
        if (g->state != MADE)
            continue;
        g->state = KEPT;
        p->some[p->some_n++] = g->kept;
    }
    p->unkept = 0;
    p->flush_due = false;
    dz_timer_stop(p->s.env->loop, &p->flush);
    p->flushing = true;
    submit(p, run_flush, on_flushed);
}

/* ---- one page -------------------------------------------------------------------------------- */

/* What a site sends in place of a picture when it means an error. */
static bool is_html(dz_str bytes)
{
    static const char *const starts[] = {"<!doctype html", "<html"};
    dz_str text = dz_str_trim(dz_str_sub(bytes, 0, 256));
    for (size_t i = 0; i < DZ_LEN(starts); i++)
        if (dz_str_eq_nocase(dz_str_sub(text, 0, strlen(starts[i])), dz_str_of(starts[i])))
            return true;
    return false;
}

/* A download has what the site has, also a picture that is none: but only when it came the same
 * way twice, and as it came. */
static bool may_be_damaged(const struct page *g, dz_str bytes)
{
    return g->all->s.any_bytes && crawl_kind_of_code(g->code) == DZ_SOURCE_PARSE &&
           g->broken + 1 >= BROKEN_TRIES && bytes.n > 0 && !is_html(bytes);
}

static void run_make(struct dz_work *w)
{
    struct page *g = dz_container(w, struct page, work);
    struct crawl_pages *p = g->all;
    dz_str came = {g->body->p, g->body->n};
    struct crawl_page_out out;
    g->code = crawl_page_make(came, json_object_get(g->spec, "transform"), &out, &g->err);
    g->damaged = g->code != DZ_OK && may_be_damaged(g, came);
    if (g->damaged)
        out = (struct crawl_page_out){.info.type = dz_media_sniff(came)};
    else if (g->code != DZ_OK)
        return;
    g->no_key = out.no_key;
    g->kept.dropped = out.dropped;
    g->kept.blob = (struct dz_blob_rec){0};
    if (!out.dropped) {
        dz_str kept = out.bytes.n ? dz_buf_str(&out.bytes) : came;
        g->kept.blob = (struct dz_blob_rec){.bytes = kept.n,
                                            .width = out.info.width,
                                            .height = out.info.height,
                                            .mime = dz_str_of(dz_media_mime(out.info.type))};
        g->code = p->s.keeper->type->put(p->s.keeper, &g->kept, kept, &g->err);
        g->not_kept = g->code != DZ_OK;
    }
    dz_buf_done(&out.bytes);
}

static void on_retry(struct dz_loop *l, struct dz_timer *t);

/* Another attempt after a growing wait with jitter, or the end of the chapter. */
static void again(struct page *g, enum dz_source_kind kind, int64_t retry_after_ms,
                  const char *text)
{
    struct crawl_pages *p = g->all;
    bool last = g->tries >= CRAWL_PAGE_TRIES || p->fail.kind != DZ_SOURCE_OK;
    if (last) {
        g->state = FAILED;
        p->ahead--;
        fail(p, kind, retry_after_ms, "%s: page %u: %s", p->label, g->kept.at + 1, text);
        let_go(p);
        pump(p);
        return;
    }
    int64_t wait_ms = RETRY_FIRST_MS << (g->tries - 1);
    wait_ms = wait_ms / 2 + (int64_t)(dz_random_u64() % (uint64_t)wait_ms);
    g->state = PAUSING;
    dz_timer_set(p->s.env->loop, &g->timer, wait_ms, on_retry);
}

static void on_made(struct dz_work *w)
{
    struct page *g = dz_container(w, struct page, work);
    struct crawl_pages *p = g->all;
    dz_body_unref(&g->body);
    if (g->code != DZ_OK) {
        enum dz_source_kind kind = crawl_kind_of_code(g->code);
        if (g->not_kept || (kind == DZ_SOURCE_PARSE && ++g->broken >= BROKEN_TRIES))
            g->tries = CRAWL_PAGE_TRIES; /* asking the site again would not help */
        again(g, kind, -1, g->err.text);
        return;
    }
    g->state = MADE;
    p->ahead--;
    p->done_n++;
    p->unkept++;
    if (g->no_key && !p->told_key) {
        p->told_key = true;
        if (p->s.note)
            p->s.note(p->s.arg, "pages without a key are kept as they came");
    }
    if (g->damaged && p->s.note) {
        char text[320];
        snprintf(text, sizeof(text), "page %u is kept as it came: %s", g->kept.at + 1, g->err.text);
        p->s.note(p->s.arg, text);
    }
    if (p->s.progress)
        p->s.progress(p->s.arg, p->done_n, p->n, g->kept.blob.bytes);
    pump(p);
}

static void make(struct page *g, struct dz_body *body)
{
    g->body = dz_body_ref(body);
    g->state = MAKING;
    g->work = (struct dz_work){.run = run_make, .home = g->all->s.env->loop, .done = on_made};
    if (dz_pool_submit(g->all->s.env->pool, &g->work, &g->err) == DZ_OK)
        return;
    dz_body_unref(&g->body);
    again(g, DZ_SOURCE_UNAVAILABLE, -1, g->err.text);
}

/* Last-Modified of the site, else now. */
static int64_t mtime_of(const struct dz_fetch_res *res)
{
    int64_t now_s = dz_now_ms() / 1000, s = 0;
    for (size_t i = 0; i < res->headers_n; i++)
        if (dz_str_eq(res->headers[i].name, DZ_S("last-modified")) &&
            dz_time_http_parse(res->headers[i].value, now_s, &s, NULL) == DZ_OK && s > 0)
            return s < now_s ? s : now_s;
    return now_s;
}

static void on_fetched(void *arg, struct dz_fetch_res *res)
{
    struct page *g = arg;
    struct crawl_pages *p = g->all;
    g->call = NULL;
    p->requests += res->requests;
    bool came = res->kind == DZ_FETCH_OK && res->status == 200;
    if (p->fail.kind != DZ_SOURCE_OK && (!came || p->stopping)) {
        g->state = FAILED;
        p->ahead--;
        pump(p);
        return;
    }
    if (came) {
        g->kept.mtime_s = mtime_of(res);
        p->biggest = res->body->n > p->biggest ? res->body->n : p->biggest;
        make(g, res->body);
        return;
    }
    char text[320], shown[DZ_URL_SHOWN_MAX];
    enum dz_source_kind kind = dz_source_kind_of_fetch(res);
    if (kind == DZ_SOURCE_OK)
        kind = DZ_SOURCE_UNAVAILABLE; /* an answer, but not the picture */
    if (res->kind == DZ_FETCH_OK)
        snprintf(text, sizeof(text), "the site answered %d for %.200s", res->status,
                 dz_url_show(g->kept.url, shown));
    else
        snprintf(text, sizeof(text), "%s", res->err.text);
    if (!dz_source_kind_of(kind)->retried || res->kind == DZ_FETCH_PAUSED)
        g->tries = CRAWL_PAGE_TRIES; /* asking again would be told the same */
    again(g, kind, res->retry_after_ms, text);
}

void crawl_fetch_picture(const struct crawl_env *env, struct dz_source *source, dz_str url,
                         const json_t *headers, int64_t delay_ms,
                         void (*done)(void *arg, struct dz_fetch_res *res), void *arg,
                         struct dz_fetch_call **ret_call)
{
    struct dz_fetch_header fields[64];
    size_t n = 0;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)headers, name, value)
    {
        if (n < DZ_LEN(fields))
            fields[n++] = (struct dz_fetch_header){dz_str_of(name), dz_json_text(value)};
    }
    struct dz_fetch_req req = {
        .policy = dz_source_policy(source),
        .url = url,
        .headers = fields,
        .headers_n = n,
        .cache = DZ_FETCH_NO_STORE,
        .delay_ms = delay_ms,
        .body_max = CRAWL_PAGE_BYTES_MAX,
        .done = done,
        .arg = arg,
    };
    dz_fetch_start(env->fetch, &req, ret_call);
}

static int64_t delay_of(const struct crawl_pages *p)
{
    int64_t delay_ms = dz_source_info_of(p->s.source)->page_delay_ms;
    return delay_ms > p->s.page_delay_ms ? delay_ms : p->s.page_delay_ms;
}

static void start(struct page *g)
{
    struct crawl_pages *p = g->all;
    g->state = FETCHING;
    g->tries++;
    crawl_fetch_picture(p->s.env, p->s.source, g->kept.url, json_object_get(g->spec, "headers"),
                        delay_of(p), on_fetched, g, &g->call);
}

static void on_retry(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    start(dz_container(t, struct page, timer));
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void end(struct crawl_pages *p)
{
    p->ended = true;
    struct crawl_kept *v = dz_arena_alloc(p->arena, (p->n ? p->n : 1) * sizeof(*v));
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        if (!p->v[i].kept.dropped)
            v[n++] = p->v[i].kept;
    if (n == 0)
        fail(p, DZ_SOURCE_PARSE, -1, "%s: all of its pages are blank", p->label);
    if (p->fail.kind != DZ_SOURCE_OK)
        p->s.ended(p->s.arg, &p->fail, NULL, 0);
    else
        p->s.ended(p->s.arg, NULL, v, n);
}

/* Few until one has shown how large they are; of large ones few at all times. */
static size_t ahead_max(const struct crawl_pages *p)
{
    if (delay_of(p) > 0)
        return 1;
    if (p->biggest == 0)
        return AHEAD_UNKNOWN;
    uint64_t n = AHEAD_BYTES / p->biggest;
    return n < 2 ? 2 : n < CRAWL_PAGES_AHEAD ? (size_t)n : CRAWL_PAGES_AHEAD;
}

static void on_flush_due(struct dz_loop *l, struct dz_timer *t);

/* Starts what may be started, flushes what is due, and ends when there is nothing left to do. The
 * last thing a callback does: `ended` may free p. */
static void pump(struct crawl_pages *p)
{
    if (!p->recalled || p->ended)
        return;
    while (p->fail.kind == DZ_SOURCE_OK && p->next < p->n && p->ahead < ahead_max(p)) {
        struct page *g = &p->v[p->next++];
        if (g->state != WAITING)
            continue;
        p->ahead++;
        start(g);
    }
    bool over = p->ahead == 0 && (p->fail.kind != DZ_SOURCE_OK || p->next == p->n);
    bool due = over || p->flush_due || p->unkept >= FLUSH_EVERY;
    if (!p->flushing && p->unkept > 0 && due)
        flush(p);
    else if (p->unkept > 0 && !p->flush_due && p->flush.at == 0)
        dz_timer_set(p->s.env->loop, &p->flush, FLUSH_AFTER_MS, on_flush_due);
    if (over && !p->flushing)
        end(p);
}

static void on_flush_due(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    struct crawl_pages *p = dz_container(t, struct crawl_pages, flush);
    p->flush_due = true;
    pump(p);
}

static void on_soon(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    struct crawl_pages *p = dz_container(t, struct crawl_pages, soon);
    if (!p->recalled && !p->recalling) {
        p->recalling = p->fail.kind == DZ_SOURCE_OK;
        if (p->recalling)
            submit(p, run_recall, on_recalled);
        if (p->fail.kind == DZ_SOURCE_OK)
            return;
        p->recalled = true; /* nothing is on its way */
    }
    pump(p);
}

struct crawl_pages *crawl_pages_new(const struct crawl_pages_spec *s)
{
    struct crawl_pages *p = dz_new(struct crawl_pages);
    p->s = *s;
    p->s.source = dz_source_ref(s->source);
    p->s.list = json_incref(s->list);
    p->label = dz_str_dup(s->label);
    p->arena = dz_arena_new(64 * DZ_MIB);
    p->fail.retry_after_ms = -1;
    p->n = json_array_size(s->list);
    p->v = dz_zalloc((p->n ? p->n : 1) * sizeof(*p->v));
    for (size_t i = 0; i < p->n; i++) {
        json_t *spec = json_array_get(s->list, i);
        p->v[i] = (struct page){
            .all = p,
            .spec = spec,
            .kept = {.at = (uint32_t)i, .url = dz_json_text_at(spec, "url")},
        };
    }
    if (p->n > DZ_CHAPTER_PAGES_MAX)
        fail(p, DZ_SOURCE_PARSE, -1, "%s: %zu pages, at most %u are taken", p->label, p->n,
             DZ_CHAPTER_PAGES_MAX);
    if (p->n == 0)
        fail(p, DZ_SOURCE_PARSE, -1, "%s: the source names no pages", p->label);
    if (p->fail.kind != DZ_SOURCE_OK)
        p->recalled = true;
    dz_timer_set(s->env->loop, &p->soon, 0, on_soon);
    return p;
}

uint64_t crawl_pages_requests(const struct crawl_pages *p)
{
    return p->requests;
}

void crawl_pages_stop(struct crawl_pages *p)
{
    if (p->ended)
        return;
    p->stopping = true;
    fail(p, DZ_SOURCE_CANCELLED, -1, "%s: stopped", p->label);
    let_go(p);
    dz_timer_set(p->s.env->loop, &p->soon, 0, on_soon);
}

void crawl_pages_free(struct crawl_pages **pp)
{
    struct crawl_pages *p = dz_take(pp);
    if (!p)
        return;
    dz_assert(p->ended);
    dz_timer_stop(p->s.env->loop, &p->soon);
    dz_timer_stop(p->s.env->loop, &p->flush);
    dz_source_unref(&p->s.source);
    json_decref(p->s.list);
    dz_arena_free(&p->arena);
    free(p->label);
    free(p->v);
    free(p);
}
