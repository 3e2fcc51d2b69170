/*
 * downloads: submitting, states, cancelling, retrying and forgetting downloads
 * (contracts/nagato.md 4 and 5).
 *
 * A download is a row of the catalog's jobs, which the back's runner takes. Submitting needs a
 * source, so the back does it: everything is resolved before anything is queued. All else is read
 * and written here, by workers; the back is only told to look, so that it acts at once.
 */
#include "api/nagato_int.h"
#include "api/ops.h"

#define ID_CHARACTERS 22u

#define KIND DZ_S(DZ_JOB_DOWNLOAD)

/* ---- submitting ------------------------------------------------------------------------------ */

static void got_one_id(struct ask *a)
{
    const json_t *ids = json_object_get(a->value, "ids");
    struct dz_json j;
    if (json_array_size(ids) != 1) {
        ask_reply_nonsense(a);
        return;
    }
    ask_json(a, &j);
    put_json(&j, json_array_get(ids, 0));
    ask_reply(a, 202);
}

static void got_ids(struct ask *a)
{
    const json_t *ids = json_object_get(a->value, "ids");
    struct dz_json j;
    if (!json_is_array(ids)) {
        ask_reply_nonsense(a);
        return;
    }
    ask_json(a, &j);
    put_json(&j, ids);
    ask_reply(a, 202);
}

static void submit(struct ask *a, ask_next_fn *next)
{
    json_t *refs = json_array();
    for (size_t i = 0; i < a->refs_n; i++)
        json_array_append_new(refs, json_ref(&a->refs[i]));
    ask_more_time(a, a->refs_n);
    ask_call(a, "download",
             json_pack("{sosb}", "refs", refs, "add_mark", ask_flag(a, DZ_S("addMark"))), next);
}

static void selected_chapter(struct ask *a)
{
    submit(a, got_one_id);
}

void handle_api_download_chapter(struct dz_http_req *r)
{
    struct ask *a = ask_new(r);
    if (a)
        ask_ref_local(a, "chapter_id", false, selected_chapter);
}

static void selected_chapters(struct ask *a)
{
    if (a->refs_n > 0) {
        submit(a, got_ids);
        return;
    }
    dz_buf_put(&a->out, DZ_S("[]"));
    ask_reply(a, 202);
}

void handle_api_download_chapters(struct dz_http_req *r)
{
    struct ask *a = ask_new(r);
    if (a)
        ask_refs(a, false, selected_chapters);
}

void handle_api_download_new(struct dz_http_req *r)
{
    struct ask *a = ask_new(r);
    json_t *args = a ? ask_ref_args(a) : NULL;
    if (args)
        ask_call(a, "download_new", args, got_ids);
}

static void selected_site(struct ask *a)
{
    json_t *args = json_pack("{sb}", "all", true);
    if (a->sites_n > 0)
        json_object_set_new(args, "site", json_of(a->sites[0]));
    ask_call(a, "download_new", args, got_ids);
}

void handle_api_download_allnew(struct dz_http_req *r)
{
    struct ask *a = ask_new(r);
    if (a)
        ask_site(a, false, selected_site);
}

/* ---- what a request names -------------------------------------------------------------------- */

struct named {
    dz_str *ids; /* NULL: no ids were given */
    size_t n;
    struct dz_job_rec *jobs; /* of those that are there, in their order */
    size_t jobs_n;
    size_t history; /* how many ended ones are listed */
};

/* No other text can be one, whatever bytes a path or a query brought. */
static bool is_download_id(dz_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              c == '-' || c == '_'))
            return false;
    }
    return s.n == ID_CHARACTERS;
}

static enum dz_code find_named(struct ask *a, struct named *m, struct dz_err *err)
{
    dz_str *targets = dz_arena_alloc(a->arena, (m->n + 1) * sizeof(*targets));
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        if (is_download_id(m->ids[i]))
            targets[n++] = m->ids[i];
    if (n == 0)
        return DZ_OK;
    return dz_catalog_jobs_find(a->catalog, KIND, targets, n, a->arena, &m->jobs, &m->jobs_n, err);
}

/* ids of the query, else those of a JSON array. */
static enum dz_code read_named(struct ask *a, struct named *m)
{
    json_t *body = NULL;
    m->ids = ask_ids(a, &m->n);
    if (!m->ids)
        DZ_TRY(ask_body(a, &body));
    return body ? ask_ids_of(a, body, &m->ids, &m->n) : DZ_OK;
}

static const struct dz_job_rec *job_of(const struct named *m, dz_str id, size_t *at)
{
    if (*at < m->jobs_n && dz_str_eq(m->jobs[*at].target, id))
        return &m->jobs[(*at)++];
    return NULL;
}

static struct ask *begin(struct dz_http_req *r)
{
    struct ask *a = ask_new(r);
    if (!a)
        return NULL;
    struct named *m = a->own = dz_arena_alloc(a->arena, sizeof(*m));
    *m = (struct named){.history = view_of(r)->conf->downloads.history};
    return a;
}

/* The one of the path; answered with 404 when there is none. */
static enum dz_code find_one(struct ask *a, struct dz_err *err)
{
    struct named *m = a->own;
    m->ids = &a->req->capture[0];
    m->n = 1;
    DZ_TRY(find_named(a, m, err));
    return m->jobs_n > 0 ? DZ_OK
                         : ask_refuse(a, 404, "No download registered with the id ", m->ids[0], "");
}

/* ---- states ---------------------------------------------------------------------------------- */

static enum dz_code write_state(struct ask *a, struct dz_err *err)
{
    struct dz_json j;
    DZ_TRY(find_one(a, err));
    ask_json(a, &j);
    download_state_put(&j, &((struct named *)a->own)->jobs[0]);
    return DZ_OK;
}

void handle_api_dl_state(struct dz_http_req *r)
{
    struct ask *a = begin(r);
    if (a)
        ask_work(a, write_state, ask_reply_written);
}

static enum dz_code write_states(struct ask *a, struct dz_err *err)
{
    struct named *m = a->own;
    struct dz_json j;
    size_t at = 0;
    m->ids = ask_ids(a, &m->n);
    if (m->ids)
        DZ_TRY(find_named(a, m, err));
    else
        DZ_TRY(
            dz_catalog_jobs_of(a->catalog, KIND, m->history, a->arena, &m->jobs, &m->jobs_n, err));
    ask_json(a, &j);
    dz_json_object(&j);
    for (size_t i = 0; i < m->n; i++) {
        const struct dz_job_rec *job = job_of(m, m->ids[i], &at);
        dz_json_key(&j, m->ids[i]);
        if (job)
            download_state_put(&j, job);
        else
            dz_json_null(&j);
    }
    for (size_t i = 0; i < m->jobs_n && !m->ids; i++) {
        dz_json_key(&j, m->jobs[i].target);
        download_state_put(&j, &m->jobs[i]);
    }
    dz_json_end(&j);
    return DZ_OK;
}

void handle_api_dl_states(struct dz_http_req *r)
{
    struct ask *a = begin(r);
    if (a)
        ask_work(a, write_states, ask_reply_written);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

/* The answer is written; the runner hears at once of what has changed, when there is one. */
static void look_and_reply(struct ask *a)
{
    events_dirty(a->api);
    a->lenient = true;
    ask_call(a, "look", NULL, ask_reply_written);
}

/* All jobs at once; *ret_asked: whether each will end for this, and was not to end before. */
static enum dz_code cancel(struct ask *a, const struct named *m, bool **ret_asked,
                           struct dz_err *err)
{
    int64_t *ids = dz_arena_alloc(a->arena, (m->jobs_n + 1) * sizeof(*ids));
    bool *asked = dz_arena_alloc(a->arena, (m->jobs_n + 1) * sizeof(*asked));
    for (size_t i = 0; i < m->jobs_n; i++)
        ids[i] = m->jobs[i].id;
    DZ_TRY(dz_catalog_jobs_cancel(a->catalog, ids, m->jobs_n, dz_now_ms(), asked, err));
    for (size_t i = 0; i < m->jobs_n; i++)
        asked[i] &= !m->jobs[i].cancel_asked;
    *ret_asked = asked;
    return DZ_OK;
}

static enum dz_code cancel_one(struct ask *a, struct dz_err *err)
{
    bool *asked;
    struct dz_json j;
    DZ_TRY(find_one(a, err));
    DZ_TRY(cancel(a, a->own, &asked, err));
    ask_json(a, &j);
    dz_json_bool(&j, asked[0]);
    return DZ_OK;
}

void handle_api_cancel_download(struct dz_http_req *r)
{
    struct ask *a = begin(r);
    if (a)
        ask_work(a, cancel_one, look_and_reply);
}

static enum dz_code cancel_named(struct ask *a, struct dz_err *err)
{
    struct named *m = a->own;
    struct dz_json j;
    bool *asked;
    size_t at = 0;
    DZ_TRY(read_named(a, m));
    if (!m->ids)
        return ask_refuse(a, 400, "Missing ids of downloads to cancel", DZ_S(""), "");
    DZ_TRY(find_named(a, m, err));
    DZ_TRY(cancel(a, m, &asked, err));
    ask_json(a, &j);
    dz_json_object(&j);
    for (size_t i = 0; i < m->n; i++) {
        const struct dz_job_rec *job = job_of(m, m->ids[i], &at);
        dz_json_key(&j, m->ids[i]);
        dz_json_bool(&j, job && asked[job - m->jobs]);
    }
    dz_json_end(&j);
    return DZ_OK;
}

void handle_api_cancel_downloads(struct dz_http_req *r)
{
    struct ask *a = begin(r);
    if (a)
        ask_work(a, cancel_named, look_and_reply);
}

/* ---- once more, and forgetting --------------------------------------------------------------- */

static void write_count(struct ask *a, enum dz_json_style style, dz_str name, size_t n)
{
    struct dz_json j;
    dz_buf_clear(&a->out);
    dz_json_init(&j, &a->out, style, true);
    dz_json_object(&j);
    dz_json_key(&j, name);
    dz_json_int(&j, (int64_t)n);
    dz_json_end(&j);
}

static enum dz_code retry(struct ask *a, struct dz_err *err)
{
    struct named *m = a->own;
    size_t n = 0;
    DZ_TRY(read_named(a, m));
    if (!m->ids && a->req->body.n > 0)
        return ask_not_json(a); /* not taken for all */
    DZ_TRY(find_named(a, m, err));
    int64_t *ids = dz_arena_alloc(a->arena, (m->jobs_n + 1) * sizeof(*ids));
    for (size_t i = 0; i < m->jobs_n; i++)
        ids[i] = m->jobs[i].id;
    if (!m->ids || m->jobs_n > 0)
        DZ_TRY(dz_catalog_jobs_retry(a->catalog, KIND, ids, m->jobs_n, dz_now_ms(), &n, err));
    write_count(a, DZ_JSON_PYTHON, DZ_S("retried"), n);
    return DZ_OK;
}

void handle_api_download_retry(struct dz_http_req *r)
{
    struct ask *a = begin(r);
    if (a)
        ask_work(a, retry, look_and_reply);
}

/* The button of the page: back to it. */
static void go_back(struct ask *a)
{
    static const struct dz_http_header_line to = {{"Location", 8}, {"/-/downloads", 12}};
    dz_buf_clear(&a->out);
    events_dirty(a->api);
    ask_reply_as(a, 303, DZ_S("text/plain; charset=utf-8"), &to, 1);
}

static void look_and_go_back(struct ask *a)
{
    a->lenient = true;
    ask_call(a, "look", NULL, go_back);
}

void handle_downloads_retry(struct dz_http_req *r)
{
    if (answered_for_shelf_host(r) || api_write_refused(r))
        return;
    struct ask *a = begin(r);
    if (a)
        ask_work(a, retry, look_and_go_back);
}

/* Compact and with a line feed, as the original's framework writes it. */
static enum dz_code forget(struct ask *a, struct dz_err *err)
{
    size_t n = 0;
    DZ_TRY(dz_catalog_jobs_forget(a->catalog, KIND, &n, err));
    write_count(a, DZ_JSON_COMPACT, DZ_S("deleted"), n);
    dz_buf_putc(&a->out, '\n');
    return DZ_OK;
}

static void reply_forgotten(struct ask *a)
{
    events_dirty(a->api);
    ask_reply_written(a);
}

void handle_api_delete_history(struct dz_http_req *r)
{
    struct ask *a = begin(r);
    if (a)
        ask_work(a, forget, reply_forgotten);
}
