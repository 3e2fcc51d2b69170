/*
 * jobs: what crawls, as a page for the operator: /-/jobs, and what /metrics says of it.
 *
 * In: the catalog's queue and health records, read by a worker for each answer, because loops do
 * not wait for a database. Out: HTML without a script that shows itself anew every few seconds.
 * Seen by whoever may see /metrics: on every host name but those of shelves. Failure texts hold
 * addresses of sites; what may be a secret in them, queries and user names, is left out.
 */
#include "api/api_int.h"

#include <stdlib.h>

#define HTML_MAX (4 * DZ_MIB)
#define ARENA_MAX (256 * DZ_MIB)
#define LOOKS_MAX 8u
#define PER_PAGE 100u
#define PAGES_MAX 1000u
#define REFRESH_S 5u

#define PUT(b, literal) dz_buf_put(b, DZ_S(literal))

/* ---- a look at the catalog --------------------------------------------------------------------
 */

struct look {
    struct dz_work work;
    struct dz_msg msg;
    struct dz_api *api;
    struct api_loop *loop;
    struct dz_http_req *req;
    struct dz_arena *arena;
    dz_str kind;
    size_t from, jobs_max;
    struct work_picture picture;
    struct dz_err err;
    void (*reply)(struct dz_http_req *r, const struct work_picture *p);
};

static void look_free(struct look *k)
{
    atomic_fetch_sub(&k->api->looks, 1);
    dz_arena_free(&k->arena);
    free(k);
}

static void look_arrive(struct dz_loop *l, struct dz_msg *m)
{
    struct look *k = dz_container(m, struct look, msg);
    static struct dz_log_gate gate;
    static const struct dz_log_ctx ctx = {.room = "api", .what = "jobs"};
    (void)l;
    if (k->picture.code != DZ_OK && dz_log_gate_pass(&gate, 10000))
        dz_log_err(&ctx, DZ_WARN, &k->err, "the queue of jobs cannot be read");
    k->reply(k->req, &k->picture);
    look_free(k);
}

static void look_drop(struct dz_msg *m)
{
    look_free(dz_container(m, struct look, msg));
}

static enum dz_code read_all(struct look *k)
{
    struct dz_catalog *c = dz_library_catalog(k->api->library);
    struct work_picture *p = &k->picture;
    struct dz_crawl_health *health = NULL;
    DZ_TRY(dz_catalog_job_counts(c, p->counts, &k->err));
    DZ_TRY(dz_crawl_health_list(c, p->now_ms, k->arena, &health, &p->health_n, &k->err));
    p->health = health;
    if (k->jobs_max == 0)
        return DZ_OK;
    struct dz_job_rec *v = NULL;
    size_t n = 0;
    if (k->kind.n > 0)
        DZ_TRY(dz_catalog_jobs_of(c, k->kind, k->jobs_max, k->arena, &v, &n, &k->err));
    else
        DZ_TRY(dz_catalog_jobs(c, k->from + k->jobs_max, k->arena, &v, &n, &k->err));
    size_t from = k->from < n ? k->from : n;
    p->jobs = v + from;
    p->jobs_n = n - from;
    return DZ_OK;
}

static void look_run(struct dz_work *w)
{
    struct look *k = dz_container(w, struct look, work);
    k->picture.now_ms = dz_now_ms();
    k->picture.code = read_all(k);
}

/* Still on the worker, which has let go of w. */
static void look_done(struct dz_work *w)
{
    struct look *k = dz_container(w, struct look, work);
    if (!api_post(k->loop, &k->msg))
        look_free(k);
}

void work_look(struct dz_http_req *r, dz_str kind, size_t from, size_t jobs_max,
               void (*reply)(struct dz_http_req *r, const struct work_picture *p))
{
    static const struct work_picture busy = {.code = DZ_UNAVAILABLE};
    struct dz_api *a = r->app;
    if (atomic_fetch_add(&a->looks, 1) >= LOOKS_MAX) {
        atomic_fetch_sub(&a->looks, 1);
        reply(r, &busy);
        return;
    }
    struct look *k = dz_new(struct look);
    k->work.run = look_run;
    k->work.done = look_done;
    k->msg.fn = look_arrive;
    k->msg.drop = look_drop;
    k->api = a;
    k->loop = r->loop_app;
    k->req = r;
    k->arena = dz_arena_new(ARENA_MAX);
    k->kind = kind;
    k->from = from;
    k->jobs_max = jobs_max;
    k->reply = reply;
    if (dz_pool_submit(a->pool, &k->work, NULL) == DZ_OK) {
        dz_http_defer(r); /* the answer comes by message, so not before this */
        return;
    }
    look_free(k);
    reply(r, &busy);
}

/* ---- the list ----------------------------------------------------------------------------------
 */

static void put_state(struct dz_buf *b, const struct dz_job_rec *j, int64_t now_ms)
{
    const char *name = dz_job_state_name(j->state);
    dz_str phase = j->phase;
    if (j->state == DZ_JOB_RUNNING && j->lease_until_ms <= now_ms)
        name = "lost";
    else if (j->state == DZ_JOB_RUNNING && j->cancel_asked)
        name = "ending";
    if (phase.n == 0 || strcmp(name, "running") != 0)
        phase = dz_str_of(name);
    PUT(b, "<td class=\"state ");
    dz_buf_put(b, dz_str_of(name));
    PUT(b, "\">");
    dz_buf_put_html(b, phase);
    PUT(b, "</td>");
}

static void put_when(struct dz_buf *b, const struct dz_job_rec *j, int64_t now_ms)
{
    switch (j->state) {
    case DZ_JOB_RUNNING:
        html_time(b, j->started_ms, now_ms, "for ", "");
        break;
    case DZ_JOB_QUEUED:
        if (j->run_after_ms > now_ms)
            html_time(b, j->run_after_ms, now_ms, "in ", "");
        else
            PUT(b, "now");
        break;
    default:
        html_time(b, j->ended_ms, now_ms, "", " ago");
        break;
    }
}

/* "3/20 pages, 1.5 MiB" */
static void put_progress(struct dz_buf *b, const struct dz_job_rec *j)
{
    if (j->done + j->total > 0) {
        dz_buf_put_u64(b, j->done);
        if (j->total > j->done) {
            dz_buf_putc(b, '/');
            dz_buf_put_u64(b, j->total);
        }
        dz_buf_put(b, j->done == 1 && j->total <= 1 ? DZ_S(" page") : DZ_S(" pages"));
    }
    if (j->bytes > 0) {
        dz_buf_put(b, j->done + j->total > 0 ? DZ_S(", ") : DZ_S(""));
        dz_buf_put_size(b, j->bytes);
    }
}

static void put_job(struct dz_buf *b, const struct dz_job_rec *j, int64_t now_ms)
{
    PUT(b, "<tr><td class=\"soft\">");
    dz_buf_put_u64(b, (uint64_t)j->id);
    PUT(b, "</td>");
    put_state(b, j, now_ms);
    PUT(b, "<td class=\"what\">");
    if (!dz_str_eq(j->kind, DZ_S("crawl"))) {
        dz_buf_put_html(b, j->kind);
        dz_buf_putc(b, ' ');
    }
    html_words(b, j->source);
    if (j->target.n > 0) {
        dz_buf_putc(b, '/');
        html_words(b, j->target);
    }
    PUT(b, "</td><td>");
    put_progress(b, j);
    PUT(b, "</td><td>");
    put_when(b, j, now_ms);
    PUT(b, "</td><td class=\"words\">");
    if (j->fail_kind.n > 0) {
        PUT(b, "<b>");
        dz_buf_put_html(b, j->fail_kind);
        PUT(b, "</b> ");
        html_words(b, j->fail_text);
    }
    PUT(b, "</td></tr>\n");
}

static void put_counts(struct dz_buf *b, const struct work_picture *p)
{
    static const enum dz_job_state order[] = {DZ_JOB_RUNNING, DZ_JOB_QUEUED, DZ_JOB_DONE,
                                              DZ_JOB_FAILED, DZ_JOB_CANCELLED};
    PUT(b, "<p class=\"soft\">");
    for (size_t i = 0; i < DZ_LEN(order); i++) {
        if (i > 0)
            PUT(b, " · ");
        dz_buf_put_u64(b, p->counts[order[i]]);
        dz_buf_putc(b, ' ');
        dz_buf_put(b, dz_str_of(dz_job_state_name(order[i])));
    }
    if (p->health_n > 0)
        PUT(b, " · <a href=\"#sources\">sources</a>");
    PUT(b, " · <a href=\"/-/downloads\">downloads</a>");
    PUT(b, "</p>\n");
}

static void put_jobs(struct dz_buf *b, const struct work_picture *p, uint64_t all)
{
    if (all > 0 && p->jobs_n == 0) {
        PUT(b, "<p>The list is not that long.</p>\n");
        return;
    }
    if (p->jobs_n == 0) {
        PUT(b, "<p>Nothing was ever crawled here. <code>dozo crawl SOURCE/ID</code> does it once, "
               "a shelf in the settings again and again.</p>\n");
        return;
    }
    PUT(b, "<table class=\"rows\"><thead><tr><th>Job</th><th>State</th><th>What</th><th>Got</th>"
           "<th>When</th><th>Last failure</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < p->jobs_n; i++)
        put_job(b, &p->jobs[i], p->now_ms);
    PUT(b, "</tbody></table>\n");
}

/* ---- sources -----------------------------------------------------------------------------------
 */

static void put_pauses(struct dz_buf *b, const struct dz_crawl_health *h, int64_t now_ms)
{
    for (size_t i = 0; i < h->hosts_n; i++) {
        if (h->hosts[i].paused_until_ms <= now_ms)
            continue;
        PUT(b, "<span>");
        dz_buf_put_html(b, h->hosts[i].host);
        PUT(b, " wants to be left alone for ");
        dz_buf_put_span(b, h->hosts[i].paused_until_ms - now_ms + 999);
        PUT(b, "</span> ");
    }
}

static void put_source(struct dz_buf *b, const struct dz_crawl_health *h, int64_t now_ms)
{
    PUT(b, "<tr><td class=\"what\">");
    dz_buf_put_html(b, h->source);
    PUT(b, "</td><td>");
    if (h->last_ok_ms > 0)
        html_time(b, h->last_ok_ms, now_ms, "worked ", " ago");
    else
        PUT(b, "never worked");
    PUT(b, "</td><td>");
    html_number(b, h->requests_total, "request", "requests");
    PUT(b, "</td><td class=\"words\">");
    if (h->last_error_ms > 0) {
        PUT(b, "<b>");
        dz_buf_put_html(b, h->last_kind);
        PUT(b, "</b> ");
        html_time(b, h->last_error_ms, now_ms, "", " ago");
        PUT(b, ": ");
        html_words(b, h->last_text);
        dz_buf_putc(b, ' ');
    }
    put_pauses(b, h, now_ms);
    PUT(b, "</td></tr>\n");
}

static void put_sources(struct dz_buf *b, const struct work_picture *p)
{
    if (p->health_n == 0)
        return;
    PUT(b, "<div class=\"heading\" id=\"sources\"><h2>Sources</h2></div>\n<table "
           "class=\"rows\"><thead><tr>"
           "<th>Source</th><th>Last success</th><th>Asked</th><th>Last failure</th></tr></thead>"
           "<tbody>\n");
    for (size_t i = 0; i < p->health_n; i++)
        put_source(b, &p->health[i], p->now_ms);
    PUT(b, "</tbody></table>\n");
}

/* ---- the page ----------------------------------------------------------------------------------
 */

static uint64_t asked_page(struct dz_http_req *r)
{
    return html_page_of(r, PAGES_MAX);
}

static void reply_jobs(struct dz_http_req *r, const struct work_picture *p)
{
    if (p->code != DZ_OK) {
        struct dz_err err;
        answer_error(r, dz_fail(&err, DZ_UNAVAILABLE, "the queue of jobs cannot be read now"),
                     &err);
        return;
    }
    uint64_t all = 0;
    for (size_t i = 0; i < DZ_JOB_STATES; i++)
        all += p->counts[i];
    uint64_t pages = html_pages_for(all, PER_PAGE);
    struct dz_buf b;
    dz_buf_init(&b, HTML_MAX);
    html_open(&b, &(struct page_head){.title = DZ_S("Jobs"), .refresh_s = REFRESH_S});
    html_top(&b, DZ_S(""));
    PUT(&b, "<main id=\"main\"><h1>Jobs</h1>\n");
    put_counts(&b, p);
    put_jobs(&b, p, all);
    uint64_t page = asked_page(r);
    html_pager(&b, DZ_S("/-/jobs?"), page < pages ? page : pages, pages);
    put_sources(&b, p);
    PUT(&b, "</main>\n");
    html_close(&b, true);
    html_reply_live(r, &b);
    dz_buf_done(&b);
}

void handle_jobs(struct dz_http_req *r)
{
    if (!answered_for_shelf_host(r))
        work_look(r, (dz_str){0}, (size_t)(asked_page(r) - 1) * PER_PAGE, PER_PAGE, reply_jobs);
}
