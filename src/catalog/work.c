/*
 * work: the wrappers for jobs, for what crawls remember and for pages of unfinished chapters.
 *
 * In: calls of crawl, api and commands. Out: the driver's answer. What comes from outside is
 * checked here, once, for every driver, as catalog.c does it for batches. Any thread, but none that
 * has a batch open. Odd: an owner without a name or a lease without length is a bug of the caller,
 * not bad input.
 */
#include "catalog/catalog_int.h"

#define LEASE_MAX_MS (24 * 3600 * INT64_C(1000))

/* ---- jobs --------------------------------------------------------------------------------------
 */

const char *dz_job_state_name(enum dz_job_state s)
{
    static const char *const names[DZ_JOB_STATES] = {"queued", "running", "done", "failed",
                                                     "cancelled"};
    dz_assert(s < DZ_JOB_STATES);
    return names[s];
}

/* Numbers that the database holds as signed. */
static enum dz_code check_progress(const struct dz_job_progress *p, struct dz_err *err)
{
    if (p->done > INT64_MAX || p->total > INT64_MAX || p->bytes > INT64_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "progress of %llu of %llu pages, %llu bytes",
                       (unsigned long long)p->done, (unsigned long long)p->total,
                       (unsigned long long)p->bytes);
    return dz_check_text(&(struct dz_text_check){"phase", p->phase, DZ_TEXT_MAX, DZ_TEXT_UTF8},
                         err);
}

static void assert_lease(dz_str owner, int64_t now_ms, int64_t lease_ms)
{
    dz_assert(owner.n > 0);
    dz_assert(now_ms >= 0 && now_ms <= INT64_MAX - LEASE_MAX_MS);
    dz_assert(lease_ms > 0 && lease_ms <= LEASE_MAX_MS);
}

static enum dz_code check_job(const struct dz_job_rec *j, struct dz_err *err)
{
    const struct dz_text_check v[] = {
        {"kind", j->kind, DZ_TEXT_MAX, DZ_TEXT_UTF8},
        {"source", j->source, DZ_TEXT_MAX, DZ_TEXT_UTF8},
        {"target", j->target, DZ_TEXT_MAX, DZ_TEXT_BYTES},
        {"args", j->args, DZ_LONG_TEXT_MAX, DZ_TEXT_UTF8},
    };
    DZ_TRY(dz_check_texts(v, DZ_LEN(v), err));
    if (j->kind.n == 0)
        return dz_fail(err, DZ_BAD_INPUT, "a job needs a kind");
    return dz_check_json("args", j->args, NULL, 0, err);
}

enum dz_code dz_catalog_job_add(struct dz_catalog *c, const struct dz_job_rec *j, int64_t now_ms,
                                int64_t *ret_id, bool *ret_new, struct dz_err *err)
{
    DZ_TRY(check_job(j, err));
    return c->driver->job_add(c->self, j, now_ms, ret_id, ret_new, err);
}

enum dz_code dz_catalog_jobs_add(struct dz_catalog *c, const struct dz_job_rec *v, size_t n,
                                 int64_t now_ms, int64_t *ret_ids, struct dz_err *err)
{
    DZ_TRY(dz_check_records("jobs", n, err));
    for (size_t i = 0; i < n; i++) {
        enum dz_code code = check_job(&v[i], err);
        if (code != DZ_OK)
            return dz_wrap(err, code, "job %zu of %zu", i + 1, n);
    }
    return n > 0 ? c->driver->jobs_add(c->self, v, n, now_ms, ret_ids, err) : DZ_OK;
}

enum dz_code dz_catalog_job_take(struct dz_catalog *c, const struct dz_job_take *t,
                                 struct dz_arena *a, struct dz_job_rec *ret_job, struct dz_err *err)
{
    dz_assert(t->kinds_n <= DZ_JOB_KINDS_MAX);
    assert_lease(t->owner, t->now_ms, t->lease_ms);
    DZ_TRY(
        dz_check_text(&(struct dz_text_check){"owner", t->owner, DZ_TEXT_MAX, DZ_TEXT_UTF8}, err));
    return c->driver->job_take(c->self, t, a, ret_job, err);
}

enum dz_code dz_catalog_job_renew(struct dz_catalog *c, int64_t id, dz_str owner, int64_t now_ms,
                                  int64_t lease_ms, const struct dz_job_progress *p,
                                  struct dz_err *err)
{
    assert_lease(owner, now_ms, lease_ms);
    DZ_TRY(check_progress(p, err));
    return c->driver->job_renew(c->self, id, owner, now_ms, lease_ms, p, err);
}

enum dz_code dz_catalog_job_end(struct dz_catalog *c, int64_t id, dz_str owner,
                                const struct dz_job_rec *end, int64_t now_ms, struct dz_err *err)
{
    const struct dz_text_check v[] = {
        {"fail_kind", end->fail_kind, DZ_TEXT_MAX, DZ_TEXT_UTF8},
        {"fail_text", end->fail_text, DZ_TEXT_MAX, DZ_TEXT_UTF8},
        {"result", end->result, DZ_LONG_TEXT_MAX, DZ_TEXT_UTF8},
    };
    dz_assert(owner.n > 0 && end->state < DZ_JOB_STATES && end->state != DZ_JOB_RUNNING);
    DZ_TRY(dz_check_texts(v, DZ_LEN(v), err));
    DZ_TRY(dz_check_json("result", end->result, NULL, 0, err));
    const struct dz_job_progress last = {end->done, end->total, end->bytes, {NULL, 0}};
    DZ_TRY(check_progress(&last, err));
    return c->driver->job_end(c->self, id, owner, end, now_ms, err);
}

enum dz_code dz_catalog_job_cancel(struct dz_catalog *c, int64_t id, int64_t now_ms,
                                   bool *ret_asked, struct dz_err *err)
{
    return c->driver->job_cancel(c->self, id, now_ms, ret_asked, err);
}

enum dz_code dz_catalog_jobs(struct dz_catalog *c, size_t max, struct dz_arena *a,
                             struct dz_job_rec **ret_v, size_t *ret_n, struct dz_err *err)
{
    return c->driver->jobs(c->self, max, a, ret_v, ret_n, err);
}

enum dz_code dz_catalog_job_next(struct dz_catalog *c, int64_t *ret_due_ms, struct dz_err *err)
{
    return c->driver->job_next(c->self, ret_due_ms, err);
}

/* Of the calls that are about all jobs of a kind. */
static enum dz_code check_kind(dz_str kind, struct dz_err *err)
{
    DZ_TRY(dz_check_text(&(struct dz_text_check){"kind", kind, DZ_TEXT_MAX, DZ_TEXT_UTF8}, err));
    return kind.n > 0 ? DZ_OK : dz_fail(err, DZ_BAD_INPUT, "jobs of which kind?");
}

enum dz_code dz_catalog_jobs_find(struct dz_catalog *c, dz_str kind, const dz_str *targets,
                                  size_t n, struct dz_arena *a, struct dz_job_rec **ret_v,
                                  size_t *ret_n, struct dz_err *err)
{
    DZ_TRY(check_kind(kind, err));
    DZ_TRY(dz_check_records("targets", n, err));
    for (size_t i = 0; i < n; i++)
        DZ_TRY(dz_check_text(
            &(struct dz_text_check){"target", targets[i], DZ_TEXT_MAX, DZ_TEXT_BYTES}, err));
    return c->driver->jobs_find(c->self, kind, targets, n, a, ret_v, ret_n, err);
}

enum dz_code dz_catalog_jobs_of(struct dz_catalog *c, dz_str kind, size_t max, struct dz_arena *a,
                                struct dz_job_rec **ret_v, size_t *ret_n, struct dz_err *err)
{
    DZ_TRY(check_kind(kind, err));
    return c->driver->jobs_of(c->self, kind, max, a, ret_v, ret_n, err);
}

enum dz_code dz_catalog_jobs_cancel(struct dz_catalog *c, const int64_t *ids, size_t n,
                                    int64_t now_ms, bool *ret_asked, struct dz_err *err)
{
    DZ_TRY(dz_check_records("jobs", n, err));
    return n > 0 ? c->driver->jobs_cancel(c->self, ids, n, now_ms, ret_asked, err) : DZ_OK;
}

enum dz_code dz_catalog_jobs_retry(struct dz_catalog *c, dz_str kind, const int64_t *ids, size_t n,
                                   int64_t now_ms, size_t *ret_n, struct dz_err *err)
{
    DZ_TRY(check_kind(kind, err));
    DZ_TRY(dz_check_records("jobs", n, err));
    for (size_t i = 0; i < n; i++)
        if (ids[i] <= 0)
            return dz_fail(err, DZ_BAD_INPUT, "%lld is no id of a job", (long long)ids[i]);
    return c->driver->jobs_retry(c->self, kind, ids, n, now_ms, ret_n, err);
}

enum dz_code dz_catalog_jobs_forget(struct dz_catalog *c, dz_str kind, size_t *ret_n,
                                    struct dz_err *err)
{
    DZ_TRY(check_kind(kind, err));
    return c->driver->jobs_forget(c->self, kind, ret_n, err);
}

enum dz_code dz_catalog_jobs_trim(struct dz_catalog *c, dz_str kind, size_t keep,
                                  struct dz_err *err)
{
    if (kind.n > 0)
        DZ_TRY(check_kind(kind, err));
    return c->driver->jobs_trim(c->self, kind, keep, err);
}

enum dz_code dz_catalog_job_counts(struct dz_catalog *c, uint64_t *ret_counts, struct dz_err *err)
{
    return c->driver->job_counts(c->self, ret_counts, err);
}

enum dz_code dz_catalog_source_counts(struct dz_catalog *c, struct dz_arena *a,
                                      struct dz_source_counts **ret_v, size_t *ret_n,
                                      struct dz_err *err)
{
    return c->driver->source_counts(c->self, a, ret_v, ret_n, err);
}

/* ---- what crawls remember ----------------------------------------------------------------------
 */

static enum dz_code check_state(const struct dz_crawl_state_rec *s, struct dz_err *err)
{
    const struct dz_text_check v[] = {
        {"source", s->source, DZ_TEXT_MAX, DZ_TEXT_UTF8},
        {"name", s->name, DZ_TEXT_MAX, DZ_TEXT_UTF8},
        {"value", s->value, DZ_CRAWL_STATE_MAX, DZ_TEXT_UTF8},
    };
    DZ_TRY(dz_check_texts(v, DZ_LEN(v), err));
    if (s->source.n == 0 || s->name.n == 0)
        return dz_fail(err, DZ_BAD_INPUT, "what a crawl remembers needs a source and a name");
    if (s->expires_ms < 0)
        return dz_fail(err, DZ_BAD_INPUT, "expires_ms is below 0");
    return DZ_OK;
}

enum dz_code dz_catalog_state_put(struct dz_catalog *c, const struct dz_crawl_state_rec *v,
                                  size_t n, int64_t now_ms, struct dz_err *err)
{
    for (size_t i = 0; i < n; i++) {
        enum dz_code code = check_state(&v[i], err);
        if (code != DZ_OK)
            return dz_wrap(err, code, "state \"%.*s\"",
                           (int)(v[i].name.n < 100 ? v[i].name.n : 100),
                           v[i].name.n ? v[i].name.p : "");
    }
    return n > 0 ? c->driver->state_put(c->self, v, n, now_ms, err) : DZ_OK;
}

enum dz_code dz_catalog_state_list(struct dz_catalog *c, dz_str source, dz_str prefix,
                                   int64_t now_ms, struct dz_arena *a,
                                   struct dz_crawl_state_rec **ret_v, size_t *ret_n,
                                   struct dz_err *err)
{
    const struct dz_text_check v[] = {{"source", source, DZ_TEXT_MAX, DZ_TEXT_UTF8},
                                      {"prefix", prefix, DZ_TEXT_MAX, DZ_TEXT_UTF8}};
    DZ_TRY(dz_check_texts(v, DZ_LEN(v), err));
    return c->driver->state_list(c->self, source, prefix, now_ms, a, ret_v, ret_n, err);
}

enum dz_code dz_catalog_pace(struct dz_catalog *c, dz_str source, dz_str host, int64_t gap_ms,
                             int64_t *ret_wait_ms, struct dz_err *err)
{
    char name[sizeof("pace/") + DZ_PACE_HOST_MAX];
    const struct dz_text_check v[] = {{"source", source, DZ_TEXT_MAX, DZ_TEXT_UTF8},
                                      {"host", host, DZ_PACE_HOST_MAX, DZ_TEXT_UTF8}};
    dz_assert(gap_ms >= 0 && gap_ms <= DZ_PACE_GAP_MAX_MS && dz_catalog_can_wait(c));
    DZ_TRY(dz_check_texts(v, DZ_LEN(v), err));
    int n = snprintf(name, sizeof(name), "pace/%.*s", DZ_STR_FMT(host));
    return c->driver->pace(c->self, source, (dz_str){name, (size_t)n}, gap_ms, ret_wait_ms, err);
}

/* ---- parts -------------------------------------------------------------------------------------
 */

enum dz_code dz_check_part_of(dz_str source, dz_str chapter, struct dz_err *err)
{
    const struct dz_text_check v[] = {{"source", source, DZ_TEXT_MAX, DZ_TEXT_UTF8},
                                      {"chapter", chapter, DZ_TEXT_MAX, DZ_TEXT_BYTES}};
    DZ_TRY(dz_check_texts(v, DZ_LEN(v), err));
    if (source.n == 0 || chapter.n == 0)
        return dz_fail(err, DZ_BAD_INPUT, "a part needs a source and a chapter");
    return DZ_OK;
}

static enum dz_code check_part(const struct dz_part_rec *p, struct dz_err *err)
{
    if (p->at >= DZ_CHAPTER_PAGES_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "a chapter has at most %u pages", DZ_CHAPTER_PAGES_MAX);
    DZ_TRY(
        dz_check_text(&(struct dz_text_check){"url", p->url, DZ_PART_URL_MAX, DZ_TEXT_BYTES}, err));
    return dz_check_blob(&p->blob, err);
}

enum dz_code dz_catalog_part_put(struct dz_catalog *c, dz_str source, dz_str chapter,
                                 const struct dz_part_rec *v, size_t n, struct dz_err *err)
{
    DZ_TRY(dz_check_part_of(source, chapter, err));
    for (size_t i = 0; i < n; i++) {
        enum dz_code code = check_part(&v[i], err);
        if (code != DZ_OK)
            return dz_wrap(err, code, "part %u", v[i].at);
    }
    return n > 0 ? c->driver->part_put(c->self, source, chapter, v, n, err) : DZ_OK;
}

enum dz_code dz_catalog_parts(struct dz_catalog *c, dz_str source, dz_str chapter,
                              struct dz_arena *a, struct dz_part_rec **ret_v, size_t *ret_n,
                              struct dz_err *err)
{
    DZ_TRY(dz_check_part_of(source, chapter, err));
    return c->driver->parts(c->self, source, chapter, a, ret_v, ret_n, err);
}

enum dz_code dz_catalog_parts_all(struct dz_catalog *c, dz_part_fn *fn, void *arg,
                                  struct dz_err *err)
{
    return c->driver->parts_all(c->self, fn, arg, err);
}

enum dz_code dz_catalog_parts_trim(struct dz_catalog *c, int64_t before_ms, struct dz_err *err)
{
    return c->driver->parts_trim(c->self, before_ms, err);
}
