/*
 * downloads_page: /-/downloads, the queue and what became of it, for the operator.
 *
 * In: the catalog's downloads, read by a worker for each answer (jobs.c). Out: HTML that
 * static/downloads.js keeps as things are by /api/events, and that shows itself anew every few
 * seconds without scripts. Seen by whoever may see /-/jobs. The button that tries a failed one
 * again is there when no token is needed for it, since a form cannot send one.
 */
#include "api/api_int.h"

#include <jansson.h>

#define HTML_MAX (4 * DZ_MIB)
#define ROWS_MAX 200u /* of each section */
#define ARGS_MAX (256 * DZ_KIB)

#define PUT(b, literal) dz_buf_put(b, DZ_S(literal))

struct page {
    struct dz_buf b;
    const struct work_picture *picture;
    const struct dz_conf *conf;
    bool may_retry;
};

struct section {
    const char *heading;
    bool (*has)(const struct dz_job_rec *j);
    void (*put)(struct page *p, const struct dz_job_rec *j);
    bool latest_first;
};

/* ---- rows ------------------------------------------------------------------------------------ */

static void put_pages(struct page *p, const struct dz_job_rec *j)
{
    if (j->total > j->done) {
        dz_buf_put_u64(&p->b, j->done);
        PUT(&p->b, " of ");
        html_number(&p->b, j->total, "page", "pages");
    } else {
        html_number(&p->b, j->done, "page", "pages");
    }
}

/* Its name and where it comes from. */
static void begin_row(struct page *p, const struct dz_job_rec *j)
{
    struct dz_arena *a = dz_arena_new(ARGS_MAX);
    struct download_facts facts;
    download_facts_read(j->args, a, &facts);
    PUT(&p->b, "<tr id=\"d-");
    dz_buf_put_html(&p->b, j->target);
    PUT(&p->b, "\" data-status=\"");
    dz_buf_put(&p->b, dz_str_of(download_state_name(j)));
    PUT(&p->b, "\"><td class=\"what\">");
    dz_buf_put_html(&p->b, facts.file.n > 0 ? facts.file : j->target);
    PUT(&p->b, "<br><span class=\"soft\">");
    html_words(&p->b, j->source);
    PUT(&p->b, "</span></td>");
    dz_arena_free(&a);
}

static void put_running(struct page *p, const struct dz_job_rec *j)
{
    begin_row(p, j);
    PUT(&p->b, "<td class=\"words\"><progress aria-label=\"pages\" max=\"1\"");
    if (j->total > 0) {
        uint64_t done = j->done < j->total ? j->done : j->total;
        uint64_t thousandths = done < UINT64_MAX / 1000 ? done * 1000 / j->total : 1000;
        dz_buf_putf(&p->b, " value=\"%llu.%03llu\"></progress><span class=\"part\">%llu %%</span>",
                    (unsigned long long)(thousandths / 1000),
                    (unsigned long long)(thousandths % 1000),
                    (unsigned long long)(thousandths / 10));
    } else {
        PUT(&p->b, "></progress><span class=\"part\">");
        put_pages(p, j);
        PUT(&p->b, "</span>");
    }
    PUT(&p->b, "</td><td class=\"state running\">");
    dz_buf_put(&p->b, dz_str_eq(j->phase, DZ_S("saving")) ? DZ_S("saving") : DZ_S("running"));
    PUT(&p->b, "</td><td>");
    html_time(&p->b, j->started_ms, p->picture->now_ms, "for ", "");
    PUT(&p->b, "</td></tr>\n");
}

static void put_queued(struct page *p, const struct dz_job_rec *j)
{
    begin_row(p, j);
    PUT(&p->b, "<td class=\"words\">");
    if (j->fail_kind.n > 0) { /* waits for another attempt */
        PUT(&p->b, "<b>");
        dz_buf_put_html(&p->b, j->fail_kind);
        PUT(&p->b, "</b> ");
        html_words(&p->b, j->fail_text);
    }
    PUT(&p->b, "</td><td>");
    if (j->run_after_ms > p->picture->now_ms)
        html_time(&p->b, j->run_after_ms, p->picture->now_ms, "again in ", "");
    else
        html_time(&p->b, j->created_ms, p->picture->now_ms, "for ", "");
    PUT(&p->b, "</td></tr>\n");
}

static void put_retry(struct page *p, dz_str id, const char *words)
{
    PUT(&p->b, "<form method=\"post\" action=\"/-/downloads/retry");
    if (id.n > 0) {
        PUT(&p->b, "?ids=");
        dz_buf_put_html(&p->b, id); /* of characters that addresses have as they are */
    }
    PUT(&p->b, "\"><button>");
    dz_buf_put(&p->b, dz_str_of(words));
    PUT(&p->b, "</button></form>");
}

static void put_failed(struct page *p, const struct dz_job_rec *j)
{
    begin_row(p, j);
    PUT(&p->b, "<td class=\"words\"><b>");
    dz_buf_put_html(&p->b, j->fail_kind);
    PUT(&p->b, "</b> ");
    html_words(&p->b, j->fail_text);
    PUT(&p->b, "</td><td>");
    html_time(&p->b, j->ended_ms, p->picture->now_ms, "", " ago");
    PUT(&p->b, "</td><td>");
    if (p->may_retry)
        put_retry(p, j->target, "Try again");
    PUT(&p->b, "</td></tr>\n");
}

/* Below the destination, which may be given from the working folder on; what lies elsewhere was
 * written under other settings. */
static void put_path(struct page *p, dz_str path)
{
    dz_str folder = dz_str_of(p->conf->downloads.destination);
    while (dz_str_starts(folder, DZ_S("./")))
        folder = dz_str_sub(folder, 2, folder.n);
    while (dz_str_ends(folder, DZ_S("/")))
        folder.n--;
    size_t at = folder.n > 0 ? dz_str_find(path, folder) : DZ_NPOS;
    bool whole_name = at != DZ_NPOS && (at == 0 || folder.p[0] == '/' || path.p[at - 1] == '/');
    if (whole_name && at + folder.n < path.n && path.p[at + folder.n] == '/')
        path = dz_str_sub(path, at + folder.n + 1, path.n);
    dz_buf_put_html(&p->b, path);
}

static void put_complete(struct page *p, const struct dz_job_rec *j)
{
    begin_row(p, j);
    PUT(&p->b, "<td class=\"words\">");
    json_t *result = j->result.n > 0 ? json_loadb(j->result.p, j->result.n, 0, NULL) : NULL;
    const json_t *path = json_object_get(result, "path");
    if (json_is_string(path))
        put_path(p, dz_json_text(path));
    json_decref(result);
    PUT(&p->b, "</td><td>");
    put_pages(p, j);
    PUT(&p->b, ", ");
    dz_buf_put_size(&p->b, j->bytes);
    PUT(&p->b, "</td><td>");
    html_time(&p->b, j->ended_ms, p->picture->now_ms, "", " ago");
    PUT(&p->b, "</td></tr>\n");
}

static void put_cancelled(struct page *p, const struct dz_job_rec *j)
{
    begin_row(p, j);
    PUT(&p->b, "<td class=\"words\"></td><td>");
    html_time(&p->b, j->ended_ms, p->picture->now_ms, "", " ago");
    PUT(&p->b, "</td></tr>\n");
}

/* ---- sections -------------------------------------------------------------------------------- */

static bool is_running(const struct dz_job_rec *j)
{
    return j->state == DZ_JOB_RUNNING;
}
static bool is_queued(const struct dz_job_rec *j)
{
    return j->state == DZ_JOB_QUEUED;
}
static bool is_failed(const struct dz_job_rec *j)
{
    return j->state == DZ_JOB_FAILED;
}
static bool is_complete(const struct dz_job_rec *j)
{
    return j->state == DZ_JOB_DONE;
}
static bool is_cancelled(const struct dz_job_rec *j)
{
    return j->state == DZ_JOB_CANCELLED;
}

static const struct section sections[] = {
    {"Running", is_running, put_running, false},      {"Failed", is_failed, put_failed, true},
    {"Queued", is_queued, put_queued, false},         {"Complete", is_complete, put_complete, true},
    {"Cancelled", is_cancelled, put_cancelled, true},
};

static size_t count(const struct page *p, const struct section *s)
{
    size_t n = 0;
    for (size_t i = 0; i < p->picture->jobs_n; i++)
        n += s->has(&p->picture->jobs[i]);
    return n;
}

static void put_section(struct page *p, const struct section *s)
{
    size_t n = count(p, s), put = 0;
    if (n == 0)
        return;
    PUT(&p->b, "<div class=\"heading\"><h2>");
    dz_buf_put(&p->b, dz_str_of(s->heading));
    PUT(&p->b, " <span class=\"soft\">");
    dz_buf_put_u64(&p->b, n);
    PUT(&p->b, "</span></h2>");
    if (s->has == is_failed && p->may_retry && n > 1)
        put_retry(p, (dz_str){0}, "Try all again");
    PUT(&p->b, "</div>\n<table class=\"rows\"><tbody>\n");
    for (size_t i = 0; i < p->picture->jobs_n && put < ROWS_MAX; i++) {
        const struct dz_job_rec *j =
            &p->picture->jobs[s->latest_first ? p->picture->jobs_n - 1 - i : i];
        if (!s->has(j))
            continue;
        s->put(p, j);
        put++;
    }
    PUT(&p->b, "</tbody></table>\n");
    if (n > put) {
        PUT(&p->b, "<p class=\"soft\">… and ");
        html_number(&p->b, n - put, "other", "others");
        PUT(&p->b, "</p>\n");
    }
}

static void reply_downloads(struct dz_http_req *r, const struct work_picture *picture)
{
    if (picture->code != DZ_OK) {
        struct dz_err err;
        answer_error(r, dz_fail(&err, DZ_UNAVAILABLE, "the queue of downloads cannot be read now"),
                     &err);
        return;
    }
    const struct dz_conf *conf = view_of(r)->conf;
    struct page p = {.picture = picture, .conf = conf, .may_retry = conf->auth.token[0] == '\0'};
    dz_buf_init(&p.b, HTML_MAX);
    html_open(&p.b,
              &(struct page_head){.title = DZ_S("Downloads"), .script = DZ_S("downloads.js")});
    html_top(&p.b, DZ_S(""));
    PUT(&p.b, "<main id=\"main\"><h1>Downloads</h1>\n"
              "<p class=\"soft\"><a href=\"/-/jobs\">all jobs</a></p>\n");
    for (size_t i = 0; i < DZ_LEN(sections); i++)
        put_section(&p, &sections[i]);
    if (picture->jobs_n == 0)
        PUT(&p.b, "<p>Nothing was downloaded yet. <code>POST /api/download/chapter?url=…</code> "
                  "queues a chapter, <code>dozo download URL</code> gets one at once.</p>\n");
    PUT(&p.b, "</main>\n");
    html_close(&p.b, true);
    html_reply_live(r, &p.b);
    dz_buf_done(&p.b);
}

void handle_downloads(struct dz_http_req *r)
{
    if (!answered_for_shelf_host(r))
        work_look(r, DZ_S(DZ_JOB_DOWNLOAD), 0, view_of(r)->conf->downloads.history,
                  reply_downloads);
}
