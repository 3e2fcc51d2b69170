/*
 * sql_work: jobs and what crawls remember.
 *
 * In: what work.c has checked. Out: one short transaction a call, durable on return, beside other
 * writers where the database has several; lists come from a reader. A job is taken by one UPDATE
 * whose WHERE finds it: of two takers, also of two processes, one waits and then sees what the
 * other took (SQLite), or passes over the row that the other holds (PostgreSQL). Every write to a
 * running job names its owner, so that one who lost the lease changes nothing. Any thread.
 */
#include "catalog/sql_int.h"

#define ARGS_AT 4 /* the column of a job */

/* ---- rows --------------------------------------------------------------------------------------
 */

/* What is copied of a JSON object: the members before the first whose value is an object or an
 * array, with the comma behind them; all of it when there is none such. */
static size_t flat_bytes(dz_str args)
{
    size_t comma = 0;
    bool quoted = false;
    for (size_t i = 1; i < args.n; i++) {
        char c = args.p[i];
        if (c == '"')
            quoted = !quoted;
        else if (quoted && c == '\\')
            i++;
        else if (!quoted && c == ',')
            comma = i;
        else if (!quoted && (c == '{' || c == '['))
            return comma + 1;
    }
    return args.n;
}

static enum dz_code read_flat_args(struct dz_sql_stmt *st, struct dz_text_pool *pool,
                                   dz_str *ret_args, struct dz_err *err)
{
    dz_str all = dz_sql_str(st, ARGS_AT);
    size_t n = flat_bytes(all);
    if (n == 1 && all.n > 1) {
        *ret_args = DZ_S("{}");
        return DZ_OK;
    }
    dz_str args;
    DZ_TRY(dz_text_pool_str(pool, (dz_str){all.p, n}, &args, err));
    if (n < all.n)
        ((char *)(uintptr_t)args.p)[args.n - 1] = '}';
    *ret_args = args;
    return DZ_OK;
}

/* All but the args. */
static enum dz_code read_rest(struct dz_sql_stmt *st, struct dz_text_pool *pool, void *ret_job,
                              struct dz_err *err)
{
    struct dz_job_rec j = {
        .id = dz_sql_int(st, 0),
        .state = (enum dz_job_state)dz_sql_int(st, 5),
        .priority = (int32_t)dz_sql_int(st, 6),
        .attempts = (uint32_t)dz_sql_int(st, 7),
        .cancel_asked = dz_sql_int(st, 8) != 0,
        .created_ms = dz_sql_int(st, 9),
        .run_after_ms = dz_sql_int(st, 10),
        .lease_until_ms = dz_sql_int(st, 11),
        .started_ms = dz_sql_int(st, 12),
        .ended_ms = dz_sql_int(st, 13),
        .done = (uint64_t)dz_sql_int(st, 15),
        .total = (uint64_t)dz_sql_int(st, 16),
        .bytes = (uint64_t)dz_sql_int(st, 20),
    };
    dz_str *const to[] = {&j.kind,      &j.source,    &j.target, &j.owner,
                          &j.fail_kind, &j.fail_text, &j.result, &j.phase};
    static const int at[] = {1, 2, 3, 14, 17, 18, 19, 21};
    for (size_t i = 0; i < DZ_LEN(to); i++)
        DZ_TRY(dz_sql_copy_str(st, at[i], pool, to[i], err));
    *(struct dz_job_rec *)ret_job = j;
    return DZ_OK;
}

static enum dz_code read_job(struct dz_sql_stmt *st, struct dz_text_pool *pool, void *ret_job,
                             struct dz_err *err)
{
    struct dz_job_rec *j = ret_job;
    DZ_TRY(read_rest(st, pool, j, err));
    return dz_sql_copy_str(st, ARGS_AT, pool, &j->args, err);
}

static enum dz_code read_listed_job(struct dz_sql_stmt *st, struct dz_text_pool *pool,
                                    void *ret_job, struct dz_err *err)
{
    struct dz_job_rec *j = ret_job;
    DZ_TRY(read_rest(st, pool, j, err));
    return read_flat_args(st, pool, &j->args, err);
}

/* ---- jobs --------------------------------------------------------------------------------------
 */

static enum dz_code find_live(struct dz_sql_conn *c, const struct dz_job_rec *j, int64_t *ret_id,
                              struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sql_get(c, DZ_SQL_JOB_LIVE, &st, err));
    dz_sql_bind_str(st, 1, j->kind);
    dz_sql_bind_str(st, 2, j->source);
    dz_sql_bind_str(st, 3, j->target);
    DZ_TRY(dz_sql_row(c, st, &row, err));
    *ret_id = row ? dz_sql_int(st, 0) : 0;
    return DZ_OK;
}

static enum dz_code sooner(struct dz_sql_conn *c, int64_t id, const struct dz_job_rec *j,
                           struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(c, DZ_SQL_JOB_SOONER, &st, err));
    dz_sql_bind_int(st, 1, id);
    dz_sql_bind_int(st, 2, j->run_after_ms);
    dz_sql_bind_int(st, 3, j->priority);
    return dz_sql_run(c, st, err);
}

/* ret_row false: one of the same names has come to life since the look. */
static enum dz_code add_job(struct dz_sql_conn *c, const struct dz_job_rec *j, int64_t now_ms,
                            bool *ret_row, int64_t *ret_id, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(c, DZ_SQL_JOB_ADD, &st, err));
    dz_sql_bind_str(st, 1, j->kind);
    dz_sql_bind_str(st, 2, j->source);
    dz_sql_bind_str(st, 3, j->target);
    dz_sql_bind_str(st, 4, j->args);
    dz_sql_bind_int(st, 5, j->priority);
    dz_sql_bind_int(st, 6, now_ms);
    dz_sql_bind_int(st, 7, j->run_after_ms);
    return dz_sql_run_id(c, st, ret_row, ret_id, err);
}

static enum dz_code add_once(struct dz_sql_conn *c, const struct dz_job_rec *j, int64_t now_ms,
                             int64_t *ret_id, bool *ret_new, struct dz_err *err)
{
    enum { LOOKS = 100 };
    for (int i = 0; i < LOOKS; i++) {
        int64_t live;
        DZ_TRY(find_live(c, j, &live, err));
        if (live) {
            *ret_id = live;
            *ret_new = false;
            return sooner(c, live, j, err);
        }
        DZ_TRY(add_job(c, j, now_ms, ret_new, ret_id, err));
        if (*ret_new)
            return DZ_OK;
    }
    return dz_fail(err, DZ_UNAVAILABLE, "jobs of %.*s come and go too quickly",
                   (int)(j->kind.n < 60 ? j->kind.n : 60), j->kind.p);
}

static enum dz_code add_all(struct dz_sql_conn *c, const struct dz_job_rec *v, size_t n,
                            int64_t now_ms, int64_t *ids, bool *is_new, struct dz_err *err)
{
    for (size_t i = 0; i < n; i++)
        DZ_TRY(add_once(c, &v[i], now_ms, &ids[i], is_new, err));
    return dz_sql_notify(c, DZ_SQL_NEWS_JOBS, err);
}

/* is_new: of the last one. */
static enum dz_code add_jobs(struct dz_sql *d, const struct dz_job_rec *v, size_t n, int64_t now_ms,
                             int64_t *ids, bool *is_new, struct dz_err *err)
{
    struct dz_sql_writing w = {.d = d, .kind = DZ_SQL_PLAIN, .several = n > 1};
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        if (code == DZ_OK)
            code = add_all(w.c, v, n, now_ms, ids, is_new, &w.err);
    } while (dz_sql_writing_again(&w, &code, err));
    return code;
}

enum dz_code dz_sql_job_add(void *self, const struct dz_job_rec *j, int64_t now_ms, int64_t *ret_id,
                            bool *ret_new, struct dz_err *err)
{
    int64_t id = 0;
    bool is_new = false;
    DZ_TRY(add_jobs(self, j, 1, now_ms, &id, &is_new, err));
    *ret_id = id;
    *ret_new = is_new;
    return DZ_OK;
}

enum dz_code dz_sql_jobs_add(void *self, const struct dz_job_rec *v, size_t n, int64_t now_ms,
                             int64_t *ret_ids, struct dz_err *err)
{
    DZ_AUTO(dz_freep) int64_t *ids = dz_alloc(n * sizeof(*ids));
    bool is_new = false;
    DZ_TRY(add_jobs(self, v, n, now_ms, ids, &is_new, err));
    memcpy(ret_ids, ids, n * sizeof(*ids));
    return DZ_OK;
}

static enum dz_code take(struct dz_sql_conn *c, const struct dz_job_take *t, struct dz_arena *a,
                         struct dz_job_rec *ret_job, bool *ret_row, struct dz_err *err)
{
    enum { FIRST_KIND = 6 };
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    struct dz_text_pool pool = {.arena = a};
    struct dz_sql_stmt *give_up = NULL;
    DZ_TRY(dz_sql_get(c, DZ_SQL_JOB_GIVE_UP, &give_up, err));
    dz_sql_bind_int(give_up, 1, t->now_ms);
    DZ_TRY(dz_sql_send(c, give_up, err));
    DZ_TRY(dz_sql_get(c, DZ_SQL_JOB_TAKE, &st, err));
    dz_sql_bind_int(st, 1, t->now_ms);
    dz_sql_bind_str(st, 2, t->owner);
    dz_sql_bind_int(st, 3, t->now_ms + t->lease_ms);
    dz_sql_bind_int(st, 4, t->id);
    dz_sql_bind_int(st, 5, (int64_t)t->kinds_n);
    for (size_t i = 0; i < t->kinds_n; i++)
        dz_sql_bind_str(st, FIRST_KIND + (int)i, t->kinds[i]);
    bool row = false;
    DZ_TRY(dz_sql_row(c, st, &row, err));
    *ret_row = row;
    if (!row)
        return DZ_OK;
    DZ_TRY(read_job(st, &pool, ret_job, err));
    return dz_sql_row(c, st, &row, err);
}

enum dz_code dz_sql_job_take(void *self, const struct dz_job_take *t, struct dz_arena *a,
                             struct dz_job_rec *ret_job, struct dz_err *err)
{
    struct dz_job_rec job;
    bool row = false;
    struct dz_sql_writing w = {.d = self, .kind = DZ_SQL_PLAIN};
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        if (code == DZ_OK)
            code = take(w.c, t, a, &job, &row, &w.err);
    } while (dz_sql_writing_again(&w, &code, err));
    DZ_TRY(code);
    if (!row && t->id)
        return dz_fail(err, DZ_NOT_FOUND, "job %lld is not there, has ended or is being run",
                       (long long)t->id);
    if (!row)
        return dz_fail(err, DZ_NOT_FOUND, "no job is due");
    *ret_job = job;
    return DZ_OK;
}

static enum dz_code lease_lost(int64_t id, struct dz_err *err)
{
    return dz_fail(err, DZ_CONFLICT, "job %lld is no longer ours", (long long)id);
}

static enum dz_code renew(struct dz_sql_conn *c, int64_t id, dz_str owner, int64_t until_ms,
                          const struct dz_job_progress *p, bool *ret_cancel, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sql_get(c, DZ_SQL_JOB_RENEW, &st, err));
    dz_sql_bind_int(st, 1, id);
    dz_sql_bind_str(st, 2, owner);
    dz_sql_bind_int(st, 3, until_ms);
    dz_sql_bind_int(st, 4, (int64_t)p->done);
    dz_sql_bind_int(st, 5, (int64_t)p->total);
    dz_sql_bind_int(st, 6, (int64_t)p->bytes);
    dz_sql_bind_str(st, 7, p->phase);
    DZ_TRY(dz_sql_row(c, st, &row, err));
    if (!row)
        return lease_lost(id, err);
    *ret_cancel = dz_sql_int(st, 0) != 0;
    return dz_sql_row(c, st, &row, err);
}

enum dz_code dz_sql_job_renew(void *self, int64_t id, dz_str owner, int64_t now_ms,
                              int64_t lease_ms, const struct dz_job_progress *p, struct dz_err *err)
{
    bool cancel = false;
    struct dz_sql_writing w = {.d = self, .kind = DZ_SQL_PLAIN};
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        if (code == DZ_OK)
            code = renew(w.c, id, owner, now_ms + lease_ms, p, &cancel, &w.err);
    } while (dz_sql_writing_again(&w, &code, err));
    DZ_TRY(code);
    return cancel ? dz_fail(err, DZ_CANCELLED, "job %lld was cancelled", (long long)id) : DZ_OK;
}

static enum dz_code end_job(struct dz_sql_conn *c, int64_t id, dz_str owner,
                            const struct dz_job_rec *end, int64_t now_ms, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(c, DZ_SQL_JOB_END, &st, err));
    dz_sql_bind_int(st, 1, id);
    dz_sql_bind_str(st, 2, owner);
    dz_sql_bind_int(st, 3, end->state);
    dz_sql_bind_int(st, 4, end->run_after_ms);
    dz_sql_bind_int(st, 5, now_ms);
    dz_sql_bind_int(st, 6, (int64_t)end->done);
    dz_sql_bind_int(st, 7, (int64_t)end->total);
    dz_sql_bind_str(st, 8, end->fail_kind);
    dz_sql_bind_str(st, 9, end->fail_text);
    dz_sql_bind_str(st, 10, end->result);
    dz_sql_bind_int(st, 11, (int64_t)end->bytes);
    DZ_TRY(dz_sql_run(c, st, err));
    return dz_sql_changes(c) == 1 ? DZ_OK : lease_lost(id, err);
}

enum dz_code dz_sql_job_end(void *self, int64_t id, dz_str owner, const struct dz_job_rec *end,
                            int64_t now_ms, struct dz_err *err)
{
    struct dz_sql_writing w = {.d = self, .kind = DZ_SQL_PLAIN};
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        if (code == DZ_OK)
            code = end_job(w.c, id, owner, end, now_ms, &w.err);
    } while (dz_sql_writing_again(&w, &code, err));
    return code;
}

static enum dz_code cancel(struct dz_sql_conn *c, int64_t id, int64_t now_ms, bool *ret_asked,
                           struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *known = NULL;
    struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sql_get(c, DZ_SQL_JOB_STATE, &known, err));
    dz_sql_bind_int(known, 1, id);
    DZ_TRY(dz_sql_row(c, known, &row, err));
    if (!row)
        return dz_fail(err, DZ_NOT_FOUND, "no job %lld", (long long)id);
    DZ_TRY(dz_sql_get(c, DZ_SQL_JOB_CANCEL, &st, err));
    dz_sql_bind_int(st, 1, now_ms);
    dz_sql_bind_int(st, 2, id);
    DZ_TRY(dz_sql_run(c, st, err));
    *ret_asked = dz_sql_changes(c) == 1;
    return DZ_OK;
}

enum dz_code dz_sql_job_cancel(void *self, int64_t id, int64_t now_ms, bool *ret_asked,
                               struct dz_err *err)
{
    bool asked = false;
    struct dz_sql_writing w = {.d = self, .kind = DZ_SQL_PLAIN};
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        if (code == DZ_OK)
            code = cancel(w.c, id, now_ms, &asked, &w.err);
        if (code == DZ_OK)
            code = dz_sql_notify(w.c, DZ_SQL_NEWS_JOBS, &w.err); /* its owner may hear of it */
    } while (dz_sql_writing_again(&w, &code, err));
    DZ_TRY(code);
    *ret_asked = asked;
    return DZ_OK;
}

static enum dz_code cancel_all(struct dz_sql_conn *c, const int64_t *ids, size_t n, int64_t now_ms,
                               bool *asked, struct dz_err *err)
{
    for (size_t i = 0; i < n; i++) {
        asked[i] = false;
        enum dz_code code = cancel(c, ids[i], now_ms, &asked[i], err);
        if (code != DZ_NOT_FOUND)
            DZ_TRY(code);
    }
    return dz_sql_notify(c, DZ_SQL_NEWS_JOBS, err);
}

enum dz_code dz_sql_jobs_cancel(void *self, const int64_t *ids, size_t n, int64_t now_ms,
                                bool *ret_asked, struct dz_err *err)
{
    DZ_AUTO(dz_freep) bool *asked = dz_alloc(n * sizeof(*asked));
    struct dz_sql_writing w = {.d = self, .kind = DZ_SQL_PLAIN, .several = n > 1};
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        if (code == DZ_OK)
            code = cancel_all(w.c, ids, n, now_ms, asked, &w.err);
    } while (dz_sql_writing_again(&w, &code, err));
    DZ_TRY(code);
    memcpy(ret_asked, asked, n * sizeof(*asked));
    return DZ_OK;
}

/* A number of rows as databases take it. */
static int64_t rows(size_t n)
{
    return n < INT64_MAX ? (int64_t)n : INT64_MAX;
}

enum dz_code dz_sql_jobs(void *self, size_t max, struct dz_arena *a, struct dz_job_rec **ret_v,
                         size_t *ret_n, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_get(r.c, DZ_SQL_JOBS, &st, err));
    dz_sql_bind_int(st, 1, rows(max));
    return dz_sql_list(r.c, st, a, sizeof(**ret_v), read_listed_job, ret_v, ret_n, err);
}

enum dz_code dz_sql_jobs_of(void *self, dz_str kind, size_t max, struct dz_arena *a,
                            struct dz_job_rec **ret_v, size_t *ret_n, struct dz_err *err)
{
    static const enum dz_sql_statement steps[] = {DZ_SQL_JOBS_LIVE, DZ_SQL_JOBS_ENDED};
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_rows_done) struct dz_sql_rows v = {.size = sizeof(**ret_v), .pool.arena = a};
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_SNAPSHOT, err));
    for (size_t i = 0; i < DZ_LEN(steps); i++) {
        DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
        DZ_TRY(dz_sql_get(r.c, steps[i], &st, err));
        dz_sql_bind_str(st, 1, kind);
        if (steps[i] == DZ_SQL_JOBS_ENDED)
            dz_sql_bind_int(st, 2, rows(max));
        DZ_TRY(dz_sql_rows_add(&v, r.c, st, read_listed_job, err));
    }
    return dz_sql_rows_out(&v, ret_v, ret_n, err);
}

enum dz_code dz_sql_jobs_find(void *self, dz_str kind, const dz_str *targets, size_t n,
                              struct dz_arena *a, struct dz_job_rec **ret_v, size_t *ret_n,
                              struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_TRY(dz_sql_reading_begin(&r, self, n > 1 ? DZ_SQL_SNAPSHOT : DZ_SQL_ONE, err));
    const struct dz_sql_each each = {DZ_SQL_JOB_FIND, DZ_SQL_JOBS_FIND, kind, targets, n};
    return dz_sql_list_each(r.c, &each, a, sizeof(**ret_v), read_listed_job, ret_v, ret_n, err);
}

/* id 0: all of the kind. */
static enum dz_code retry(struct dz_sql_conn *c, dz_str kind, int64_t id, int64_t now_ms, size_t *n,
                          struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(c, id ? DZ_SQL_JOB_RETRY : DZ_SQL_JOBS_RETRY, &st, err));
    dz_sql_bind_str(st, 1, kind);
    dz_sql_bind_int(st, 2, now_ms);
    if (id)
        dz_sql_bind_int(st, 3, id);
    DZ_TRY(dz_sql_run(c, st, err));
    *n += (size_t)dz_sql_changes(c);
    return DZ_OK;
}

static enum dz_code retry_all(struct dz_sql_conn *c, dz_str kind, const int64_t *ids, size_t n,
                              int64_t now_ms, size_t *queued, struct dz_err *err)
{
    *queued = 0;
    if (n == 0)
        DZ_TRY(retry(c, kind, 0, now_ms, queued, err));
    for (size_t i = 0; i < n; i++)
        DZ_TRY(retry(c, kind, ids[i], now_ms, queued, err));
    return dz_sql_notify(c, DZ_SQL_NEWS_JOBS, err);
}

enum dz_code dz_sql_jobs_retry(void *self, dz_str kind, const int64_t *ids, size_t n,
                               int64_t now_ms, size_t *ret_n, struct dz_err *err)
{
    size_t queued = 0;
    struct dz_sql_writing w = {.d = self, .kind = DZ_SQL_PLAIN, .several = true, .races = true};
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        if (code == DZ_OK)
            code = retry_all(w.c, kind, ids, n, now_ms, &queued, &w.err);
    } while (dz_sql_writing_again(&w, &code, err));
    DZ_TRY(code);
    *ret_n = queued;
    return DZ_OK;
}

static enum dz_code forget(struct dz_sql_conn *c, dz_str kind, size_t *n, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(c, DZ_SQL_JOBS_FORGET, &st, err));
    dz_sql_bind_str(st, 1, kind);
    DZ_TRY(dz_sql_run(c, st, err));
    *n = (size_t)dz_sql_changes(c);
    return DZ_OK;
}

enum dz_code dz_sql_jobs_forget(void *self, dz_str kind, size_t *ret_n, struct dz_err *err)
{
    size_t n = 0;
    struct dz_sql_writing w = {.d = self, .kind = DZ_SQL_PLAIN, .several = true};
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        if (code == DZ_OK)
            code = forget(w.c, kind, &n, &w.err);
    } while (dz_sql_writing_again(&w, &code, err));
    DZ_TRY(code);
    *ret_n = n;
    return DZ_OK;
}

enum dz_code dz_sql_job_next(void *self, int64_t *ret_due_ms, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_get(r.c, DZ_SQL_JOB_NEXT, &st, err));
    DZ_TRY(dz_sql_row(r.c, st, &row, err));
    bool some = row && !dz_sql_is_null(st, 0);
    *ret_due_ms = some ? dz_sql_int(st, 0) : INT64_MAX;
    return DZ_OK;
}

static enum dz_code trim(struct dz_sql_conn *c, dz_str kind, size_t keep, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(c, kind.n ? DZ_SQL_JOBS_TRIM_KIND : DZ_SQL_JOBS_TRIM, &st, err));
    dz_sql_bind_int(st, 1, rows(keep));
    dz_sql_bind_str(st, 2, kind.n ? kind : DZ_S(DZ_JOB_DOWNLOAD));
    return dz_sql_run(c, st, err);
}

enum dz_code dz_sql_jobs_trim(void *self, dz_str kind, size_t keep, struct dz_err *err)
{
    struct dz_sql_writing w = {.d = self, .kind = DZ_SQL_PLAIN, .several = true};
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        if (code == DZ_OK)
            code = trim(w.c, kind, keep, &w.err);
    } while (dz_sql_writing_again(&w, &code, err));
    return code;
}

enum dz_code dz_sql_job_counts(void *self, uint64_t *ret_counts, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    uint64_t counts[DZ_JOB_STATES] = {0};
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_get(r.c, DZ_SQL_JOB_COUNTS, &st, err));
    for (;;) {
        bool row = false;
        DZ_TRY(dz_sql_row(r.c, st, &row, err));
        if (!row)
            break;
        int64_t state = dz_sql_int(st, 0); /* the schema checks its range */
        if (state >= 0 && state < DZ_JOB_STATES)
            counts[state] = (uint64_t)dz_sql_int(st, 1);
    }
    memcpy(ret_counts, counts, sizeof(counts));
    return DZ_OK;
}

static enum dz_code read_source_count(struct dz_sql_stmt *st, struct dz_text_pool *pool,
                                      void *ret_count, struct dz_err *err)
{
    struct dz_source_counts k = {
        .series = (uint64_t)dz_sql_int(st, 1),
        .chapters = (uint64_t)dz_sql_int(st, 2),
    };
    DZ_TRY(dz_sql_copy_str(st, 0, pool, &k.source, err));
    *(struct dz_source_counts *)ret_count = k;
    return DZ_OK;
}

enum dz_code dz_sql_source_counts(void *self, struct dz_arena *a, struct dz_source_counts **ret_v,
                                  size_t *ret_n, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_get(r.c, DZ_SQL_SOURCE_COUNTS, &st, err));
    return dz_sql_list(r.c, st, a, sizeof(**ret_v), read_source_count, ret_v, ret_n, err);
}

/* ---- what crawls remember ----------------------------------------------------------------------
 */

static enum dz_code put_state(struct dz_sql_conn *c, const struct dz_crawl_state_rec *s,
                              int64_t now_ms, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(c, s->value.n ? DZ_SQL_STATE_SET : DZ_SQL_STATE_DEL, &st, err));
    dz_sql_bind_str(st, 1, s->source);
    dz_sql_bind_str(st, 2, s->name);
    if (s->value.n) {
        dz_sql_bind_str(st, 3, s->value);
        dz_sql_bind_int(st, 4, now_ms);
        dz_sql_bind_int(st, 5, s->expires_ms);
    }
    return dz_sql_send(c, st, err);
}

static enum dz_code put_states(struct dz_sql_conn *c, const struct dz_crawl_state_rec *v, size_t n,
                               int64_t now_ms, struct dz_err *err)
{
    for (size_t i = 0; i < n; i++)
        DZ_TRY(put_state(c, &v[i], now_ms, err));
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(c, DZ_SQL_STATE_EXPIRE, &st, err));
    dz_sql_bind_int(st, 1, now_ms);
    return dz_sql_run(c, st, err);
}

enum dz_code dz_sql_state_put(void *self, const struct dz_crawl_state_rec *v, size_t n,
                              int64_t now_ms, struct dz_err *err)
{
    struct dz_sql_writing w = {.d = self, .kind = DZ_SQL_PLAIN, .several = n > 1};
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        if (code == DZ_OK)
            code = put_states(w.c, v, n, now_ms, &w.err);
    } while (dz_sql_writing_again(&w, &code, err));
    return code;
}

static enum dz_code read_state(struct dz_sql_stmt *st, struct dz_text_pool *pool, void *ret_state,
                               struct dz_err *err)
{
    struct dz_crawl_state_rec s = {
        .updated_ms = dz_sql_int(st, 3),
        .expires_ms = dz_sql_int(st, 4),
    };
    DZ_TRY(dz_sql_copy_str(st, 0, pool, &s.source, err));
    DZ_TRY(dz_sql_copy_str(st, 1, pool, &s.name, err));
    DZ_TRY(dz_sql_copy_str(st, 2, pool, &s.value, err));
    *(struct dz_crawl_state_rec *)ret_state = s;
    return DZ_OK;
}

enum dz_code dz_sql_state_list(void *self, dz_str source, dz_str prefix, int64_t now_ms,
                               struct dz_arena *a, struct dz_crawl_state_rec **ret_v, size_t *ret_n,
                               struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_get(r.c, source.n ? DZ_SQL_STATE_LIST : DZ_SQL_STATE_LIST_ALL, &st, err));
    dz_sql_bind_int(st, 1, now_ms);
    dz_sql_bind_str(st, 2, prefix);
    if (source.n)
        dz_sql_bind_str(st, 3, source);
    return dz_sql_list(r.c, st, a, sizeof(**ret_v), read_state, ret_v, ret_n, err);
}

static enum dz_code pace(struct dz_sql_conn *c, dz_str source, dz_str name, int64_t gap_ms,
                         int64_t *ret_wait_ms, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sql_get(c, DZ_SQL_STATE_PACE, &st, err));
    dz_sql_bind_str(st, 1, source);
    dz_sql_bind_str(st, 2, name);
    dz_sql_bind_int(st, 3, gap_ms);
    DZ_TRY(dz_sql_row(c, st, &row, err));
    dz_assert(row);
    *ret_wait_ms = dz_sql_int(st, 0);
    return dz_sql_row(c, st, &row, err);
}

enum dz_code dz_sql_pace(void *self, dz_str source, dz_str name, int64_t gap_ms,
                         int64_t *ret_wait_ms, struct dz_err *err)
{
    int64_t wait_ms = 0;
    struct dz_sql_writing w = {.d = self, .kind = DZ_SQL_PLAIN};
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        if (code == DZ_OK)
            code = pace(w.c, source, name, gap_ms, &wait_ms, &w.err);
    } while (dz_sql_writing_again(&w, &code, err));
    DZ_TRY(code);
    *ret_wait_ms = wait_ms;
    return DZ_OK;
}
