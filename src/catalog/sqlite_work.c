/*
 * sqlite_work: jobs and what crawls remember, in SQLite.
 *
 * In: what work.c has checked. Out: one short transaction a call, on the write connection under its
 * lock, durable on return; lists come from a reader. A job is taken by one UPDATE whose WHERE finds
 * it, inside BEGIN IMMEDIATE: of two takers, also of two processes, one waits and then sees what
 * the other took. Every write to a running job names its owner, so that one who lost the lease
 * changes nothing. Any thread.
 */
#include "catalog/sqlite_int.h"

#define ARGS_AT 4 /* the column of a job */

/* ---- rows --------------------------------------------------------------------------------------
 */

/* One statement with integers only. */
static enum dz_code run_int(struct dz_sq_conn *c, enum dz_sq_statement which, int64_t n,
                            struct dz_err *err)
{
    sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_get(c, which, &st, err));
    dz_sq_bind_int(st, 1, n);
    return dz_sq_run(c, st, err);
}

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

static enum dz_code read_flat_args(sqlite3_stmt *st, struct dz_text_pool *pool, dz_str *ret_args,
                                   struct dz_err *err)
{
    dz_str all = {(const char *)sqlite3_column_text(st, ARGS_AT),
                  (size_t)sqlite3_column_bytes(st, ARGS_AT)};
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
static enum dz_code read_rest(sqlite3_stmt *st, struct dz_text_pool *pool, void *ret_job,
                              struct dz_err *err)
{
    struct dz_job_rec j = {
        .id = sqlite3_column_int64(st, 0),
        .state = (enum dz_job_state)sqlite3_column_int(st, 5),
        .priority = (int32_t)sqlite3_column_int64(st, 6),
        .attempts = (uint32_t)sqlite3_column_int64(st, 7),
        .cancel_asked = sqlite3_column_int(st, 8) != 0,
        .created_ms = sqlite3_column_int64(st, 9),
        .run_after_ms = sqlite3_column_int64(st, 10),
        .lease_until_ms = sqlite3_column_int64(st, 11),
        .started_ms = sqlite3_column_int64(st, 12),
        .ended_ms = sqlite3_column_int64(st, 13),
        .done = (uint64_t)sqlite3_column_int64(st, 15),
        .total = (uint64_t)sqlite3_column_int64(st, 16),
        .bytes = (uint64_t)sqlite3_column_int64(st, 20),
    };
    dz_str *const to[] = {&j.kind,      &j.source,    &j.target, &j.owner,
                          &j.fail_kind, &j.fail_text, &j.result, &j.phase};
    static const int at[] = {1, 2, 3, 14, 17, 18, 19, 21};
    for (size_t i = 0; i < DZ_LEN(to); i++)
        DZ_TRY(dz_sq_str(st, at[i], pool, to[i], err));
    *(struct dz_job_rec *)ret_job = j;
    return DZ_OK;
}

static enum dz_code read_job(sqlite3_stmt *st, struct dz_text_pool *pool, void *ret_job,
                             struct dz_err *err)
{
    struct dz_job_rec *j = ret_job;
    DZ_TRY(read_rest(st, pool, j, err));
    return dz_sq_str(st, ARGS_AT, pool, &j->args, err);
}

static enum dz_code read_listed_job(sqlite3_stmt *st, struct dz_text_pool *pool, void *ret_job,
                                    struct dz_err *err)
{
    struct dz_job_rec *j = ret_job;
    DZ_TRY(read_rest(st, pool, j, err));
    return read_flat_args(st, pool, &j->args, err);
}

/* ---- jobs --------------------------------------------------------------------------------------
 */

static enum dz_code find_live(struct dz_sq_conn *c, const struct dz_job_rec *j, int64_t *ret_id,
                              struct dz_err *err)
{
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sq_get(c, DZ_SQ_JOB_LIVE, &st, err));
    dz_sq_bind_str(st, 1, j->kind);
    dz_sq_bind_str(st, 2, j->source);
    dz_sq_bind_str(st, 3, j->target);
    DZ_TRY(dz_sq_row(c, st, &row, err));
    *ret_id = row ? sqlite3_column_int64(st, 0) : 0;
    return DZ_OK;
}

static enum dz_code sooner(struct dz_sq_conn *c, int64_t id, const struct dz_job_rec *j,
                           struct dz_err *err)
{
    sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_get(c, DZ_SQ_JOB_SOONER, &st, err));
    dz_sq_bind_int(st, 1, id);
    dz_sq_bind_int(st, 2, j->run_after_ms);
    dz_sq_bind_int(st, 3, j->priority);
    return dz_sq_run(c, st, err);
}

static enum dz_code add_job(struct dz_sq_conn *c, const struct dz_job_rec *j, int64_t now_ms,
                            int64_t *ret_id, struct dz_err *err)
{
    sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_get(c, DZ_SQ_JOB_ADD, &st, err));
    dz_sq_bind_str(st, 1, j->kind);
    dz_sq_bind_str(st, 2, j->source);
    dz_sq_bind_str(st, 3, j->target);
    dz_sq_bind_str(st, 4, j->args);
    dz_sq_bind_int(st, 5, j->priority);
    dz_sq_bind_int(st, 6, now_ms);
    dz_sq_bind_int(st, 7, j->run_after_ms);
    DZ_TRY(dz_sq_run(c, st, err));
    *ret_id = sqlite3_last_insert_rowid(c->db);
    return DZ_OK;
}

static enum dz_code add_once(struct dz_sq_conn *c, const struct dz_job_rec *j, int64_t now_ms,
                             int64_t *ret_id, bool *ret_new, struct dz_err *err)
{
    int64_t live;
    DZ_TRY(find_live(c, j, &live, err));
    if (live)
        DZ_TRY(sooner(c, live, j, err));
    else
        DZ_TRY(add_job(c, j, now_ms, ret_id, err));
    if (live)
        *ret_id = live;
    *ret_new = !live;
    return DZ_OK;
}

enum dz_code dz_sq_job_add(void *self, const struct dz_job_rec *j, int64_t now_ms, int64_t *ret_id,
                           bool *ret_new, struct dz_err *err)
{
    struct dz_sqlite *d = self;
    int64_t id = 0;
    bool is_new = false;
    DZ_TRY(dz_sq_write_begin(d, err));
    enum dz_code code = add_once(&d->write, j, now_ms, &id, &is_new, err);
    DZ_TRY(dz_sq_write_close(d, code, err));
    *ret_id = id;
    *ret_new = is_new;
    return DZ_OK;
}

enum dz_code dz_sq_jobs_add(void *self, const struct dz_job_rec *v, size_t n, int64_t now_ms,
                            int64_t *ret_ids, struct dz_err *err)
{
    struct dz_sqlite *d = self;
    DZ_AUTO(dz_freep) int64_t *ids = dz_alloc(n * sizeof(*ids));
    enum dz_code code = DZ_OK;
    bool is_new;
    DZ_TRY(dz_sq_write_begin(d, err));
    for (size_t i = 0; i < n && code == DZ_OK; i++)
        code = add_once(&d->write, &v[i], now_ms, &ids[i], &is_new, err);
    DZ_TRY(dz_sq_write_close(d, code, err));
    memcpy(ret_ids, ids, n * sizeof(*ids));
    return DZ_OK;
}

static enum dz_code take(struct dz_sq_conn *c, const struct dz_job_take *t, struct dz_arena *a,
                         struct dz_job_rec *ret_job, bool *ret_row, struct dz_err *err)
{
    enum { FIRST_KIND = 6 };
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    struct dz_text_pool pool = {.arena = a};
    DZ_TRY(run_int(c, DZ_SQ_JOB_GIVE_UP, t->now_ms, err));
    DZ_TRY(dz_sq_get(c, DZ_SQ_JOB_TAKE, &st, err));
    dz_sq_bind_int(st, 1, t->now_ms);
    dz_sq_bind_str(st, 2, t->owner);
    dz_sq_bind_int(st, 3, t->now_ms + t->lease_ms);
    dz_sq_bind_int(st, 4, t->id);
    dz_sq_bind_int(st, 5, (int64_t)t->kinds_n);
    for (size_t i = 0; i < t->kinds_n; i++)
        dz_sq_bind_str(st, FIRST_KIND + (int)i, t->kinds[i]);
    bool row = false;
    DZ_TRY(dz_sq_row(c, st, &row, err));
    *ret_row = row;
    if (!row)
        return DZ_OK;
    DZ_TRY(read_job(st, &pool, ret_job, err));
    return dz_sq_row(c, st, &row, err);
}

enum dz_code dz_sq_job_take(void *self, const struct dz_job_take *t, struct dz_arena *a,
                            struct dz_job_rec *ret_job, struct dz_err *err)
{
    struct dz_sqlite *d = self;
    struct dz_job_rec job;
    bool row = false;
    DZ_TRY(dz_sq_write_begin(d, err));
    DZ_TRY(dz_sq_write_close(d, take(&d->write, t, a, &job, &row, err), err));
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

static enum dz_code renew(struct dz_sq_conn *c, int64_t id, dz_str owner, int64_t until_ms,
                          const struct dz_job_progress *p, bool *ret_cancel, struct dz_err *err)
{
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sq_get(c, DZ_SQ_JOB_RENEW, &st, err));
    dz_sq_bind_int(st, 1, id);
    dz_sq_bind_str(st, 2, owner);
    dz_sq_bind_int(st, 3, until_ms);
    dz_sq_bind_int(st, 4, (int64_t)p->done);
    dz_sq_bind_int(st, 5, (int64_t)p->total);
    dz_sq_bind_int(st, 6, (int64_t)p->bytes);
    dz_sq_bind_str(st, 7, p->phase);
    DZ_TRY(dz_sq_row(c, st, &row, err));
    if (!row)
        return lease_lost(id, err);
    *ret_cancel = sqlite3_column_int(st, 0) != 0;
    return dz_sq_row(c, st, &row, err);
}

enum dz_code dz_sq_job_renew(void *self, int64_t id, dz_str owner, int64_t now_ms, int64_t lease_ms,
                             const struct dz_job_progress *p, struct dz_err *err)
{
    struct dz_sqlite *d = self;
    bool cancel = false;
    DZ_TRY(dz_sq_write_begin(d, err));
    enum dz_code code = renew(&d->write, id, owner, now_ms + lease_ms, p, &cancel, err);
    DZ_TRY(dz_sq_write_close(d, code, err));
    return cancel ? dz_fail(err, DZ_CANCELLED, "job %lld was cancelled", (long long)id) : DZ_OK;
}

static enum dz_code end_job(struct dz_sq_conn *c, int64_t id, dz_str owner,
                            const struct dz_job_rec *end, int64_t now_ms, struct dz_err *err)
{
    sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_get(c, DZ_SQ_JOB_END, &st, err));
    dz_sq_bind_int(st, 1, id);
    dz_sq_bind_str(st, 2, owner);
    dz_sq_bind_int(st, 3, end->state);
    dz_sq_bind_int(st, 4, end->run_after_ms);
    dz_sq_bind_int(st, 5, now_ms);
    dz_sq_bind_int(st, 6, (int64_t)end->done);
    dz_sq_bind_int(st, 7, (int64_t)end->total);
    dz_sq_bind_str(st, 8, end->fail_kind);
    dz_sq_bind_str(st, 9, end->fail_text);
    dz_sq_bind_str(st, 10, end->result);
    dz_sq_bind_int(st, 11, (int64_t)end->bytes);
    DZ_TRY(dz_sq_run(c, st, err));
    return sqlite3_changes(c->db) == 1 ? DZ_OK : lease_lost(id, err);
}

enum dz_code dz_sq_job_end(void *self, int64_t id, dz_str owner, const struct dz_job_rec *end,
                           int64_t now_ms, struct dz_err *err)
{
    struct dz_sqlite *d = self;
    DZ_TRY(dz_sq_write_begin(d, err));
    return dz_sq_write_close(d, end_job(&d->write, id, owner, end, now_ms, err), err);
}

static enum dz_code cancel(struct dz_sq_conn *c, int64_t id, int64_t now_ms, bool *ret_asked,
                           struct dz_err *err)
{
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *known = NULL;
    sqlite3_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sq_get(c, DZ_SQ_JOB_STATE, &known, err));
    dz_sq_bind_int(known, 1, id);
    DZ_TRY(dz_sq_row(c, known, &row, err));
    if (!row)
        return dz_fail(err, DZ_NOT_FOUND, "no job %lld", (long long)id);
    DZ_TRY(dz_sq_get(c, DZ_SQ_JOB_CANCEL, &st, err));
    dz_sq_bind_int(st, 1, now_ms);
    dz_sq_bind_int(st, 2, id);
    DZ_TRY(dz_sq_run(c, st, err));
    *ret_asked = sqlite3_changes(c->db) == 1;
    return DZ_OK;
}

enum dz_code dz_sq_job_cancel(void *self, int64_t id, int64_t now_ms, bool *ret_asked,
                              struct dz_err *err)
{
    struct dz_sqlite *d = self;
    bool asked = false;
    DZ_TRY(dz_sq_write_begin(d, err));
    DZ_TRY(dz_sq_write_close(d, cancel(&d->write, id, now_ms, &asked, err), err));
    *ret_asked = asked;
    return DZ_OK;
}

enum dz_code dz_sq_jobs_cancel(void *self, const int64_t *ids, size_t n, int64_t now_ms,
                               bool *ret_asked, struct dz_err *err)
{
    struct dz_sqlite *d = self;
    DZ_AUTO(dz_freep) bool *asked = dz_alloc(n * sizeof(*asked));
    enum dz_code code = DZ_OK;
    DZ_TRY(dz_sq_write_begin(d, err));
    for (size_t i = 0; i < n && code == DZ_OK; i++) {
        asked[i] = false;
        code = cancel(&d->write, ids[i], now_ms, &asked[i], err);
        if (code == DZ_NOT_FOUND)
            code = DZ_OK;
    }
    DZ_TRY(dz_sq_write_close(d, code, err));
    memcpy(ret_asked, asked, n * sizeof(*asked));
    return DZ_OK;
}

/* A number of rows as SQLite takes it. */
static int64_t rows(size_t n)
{
    return n < INT64_MAX ? (int64_t)n : INT64_MAX;
}

enum dz_code dz_sq_jobs(void *self, size_t max, struct dz_arena *a, struct dz_job_rec **ret_v,
                        size_t *ret_n, struct dz_err *err)
{
    DZ_AUTO(dz_sq_reading_done) struct dz_sq_reading r = {0};
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_reading_begin(&r, self, err));
    DZ_TRY(dz_sq_get(r.c, DZ_SQ_JOBS, &st, err));
    dz_sq_bind_int(st, 1, rows(max));
    return dz_sq_list(r.c, st, a, sizeof(**ret_v), read_listed_job, ret_v, ret_n, err);
}

enum dz_code dz_sq_jobs_of(void *self, dz_str kind, size_t max, struct dz_arena *a,
                           struct dz_job_rec **ret_v, size_t *ret_n, struct dz_err *err)
{
    static const enum dz_sq_statement steps[] = {DZ_SQ_JOBS_LIVE, DZ_SQ_JOBS_ENDED};
    DZ_AUTO(dz_sq_reading_done) struct dz_sq_reading r = {0};
    DZ_AUTO(dz_sq_rows_done) struct dz_sq_rows v = {.size = sizeof(**ret_v), .pool.arena = a};
    DZ_TRY(dz_sq_reading_begin(&r, self, err));
    for (size_t i = 0; i < DZ_LEN(steps); i++) {
        DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
        DZ_TRY(dz_sq_get(r.c, steps[i], &st, err));
        dz_sq_bind_str(st, 1, kind);
        if (steps[i] == DZ_SQ_JOBS_ENDED)
            dz_sq_bind_int(st, 2, rows(max));
        DZ_TRY(dz_sq_rows_add(&v, r.c, st, read_listed_job, err));
    }
    return dz_sq_rows_out(&v, ret_v, ret_n, err);
}

enum dz_code dz_sq_jobs_find(void *self, dz_str kind, const dz_str *targets, size_t n,
                             struct dz_arena *a, struct dz_job_rec **ret_v, size_t *ret_n,
                             struct dz_err *err)
{
    DZ_AUTO(dz_sq_reading_done) struct dz_sq_reading r = {0};
    DZ_TRY(dz_sq_reading_begin(&r, self, err));
    const struct dz_sq_each each = {DZ_SQ_JOB_FIND, kind, targets, n};
    return dz_sq_list_each(r.c, &each, a, sizeof(**ret_v), read_listed_job, ret_v, ret_n, err);
}

/* id 0: all of the kind. */
static enum dz_code retry(struct dz_sq_conn *c, dz_str kind, int64_t id, int64_t now_ms, size_t *n,
                          struct dz_err *err)
{
    sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_get(c, id ? DZ_SQ_JOB_RETRY : DZ_SQ_JOBS_RETRY, &st, err));
    dz_sq_bind_str(st, 1, kind);
    dz_sq_bind_int(st, 2, now_ms);
    if (id)
        dz_sq_bind_int(st, 3, id);
    DZ_TRY(dz_sq_run(c, st, err));
    *n += (size_t)sqlite3_changes(c->db);
    return DZ_OK;
}

enum dz_code dz_sq_jobs_retry(void *self, dz_str kind, const int64_t *ids, size_t n, int64_t now_ms,
                              size_t *ret_n, struct dz_err *err)
{
    struct dz_sqlite *d = self;
    size_t queued = 0;
    enum dz_code code = DZ_OK;
    DZ_TRY(dz_sq_write_begin(d, err));
    if (n == 0)
        code = retry(&d->write, kind, 0, now_ms, &queued, err);
    for (size_t i = 0; i < n && code == DZ_OK; i++)
        code = retry(&d->write, kind, ids[i], now_ms, &queued, err);
    DZ_TRY(dz_sq_write_close(d, code, err));
    *ret_n = queued;
    return DZ_OK;
}

static enum dz_code forget(struct dz_sq_conn *c, dz_str kind, size_t *n, struct dz_err *err)
{
    sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_get(c, DZ_SQ_JOBS_FORGET, &st, err));
    dz_sq_bind_str(st, 1, kind);
    DZ_TRY(dz_sq_run(c, st, err));
    *n = (size_t)sqlite3_changes(c->db);
    return DZ_OK;
}

enum dz_code dz_sq_jobs_forget(void *self, dz_str kind, size_t *ret_n, struct dz_err *err)
{
    struct dz_sqlite *d = self;
    size_t n = 0;
    DZ_TRY(dz_sq_write_begin(d, err));
    DZ_TRY(dz_sq_write_close(d, forget(&d->write, kind, &n, err), err));
    *ret_n = n;
    return DZ_OK;
}

enum dz_code dz_sq_job_next(void *self, int64_t *ret_due_ms, struct dz_err *err)
{
    DZ_AUTO(dz_sq_reading_done) struct dz_sq_reading r = {0};
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sq_reading_begin(&r, self, err));
    DZ_TRY(dz_sq_get(r.c, DZ_SQ_JOB_NEXT, &st, err));
    DZ_TRY(dz_sq_row(r.c, st, &row, err));
    bool some = row && sqlite3_column_type(st, 0) != SQLITE_NULL;
    *ret_due_ms = some ? sqlite3_column_int64(st, 0) : INT64_MAX;
    return DZ_OK;
}

static enum dz_code trim(struct dz_sq_conn *c, dz_str kind, size_t keep, struct dz_err *err)
{
    sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_get(c, kind.n ? DZ_SQ_JOBS_TRIM_KIND : DZ_SQ_JOBS_TRIM, &st, err));
    dz_sq_bind_int(st, 1, rows(keep));
    dz_sq_bind_str(st, 2, kind.n ? kind : DZ_S(DZ_JOB_DOWNLOAD));
    return dz_sq_run(c, st, err);
}

enum dz_code dz_sq_jobs_trim(void *self, dz_str kind, size_t keep, struct dz_err *err)
{
    struct dz_sqlite *d = self;
    DZ_TRY(dz_sq_write_begin(d, err));
    return dz_sq_write_close(d, trim(&d->write, kind, keep, err), err);
}

enum dz_code dz_sq_job_counts(void *self, uint64_t *ret_counts, struct dz_err *err)
{
    DZ_AUTO(dz_sq_reading_done) struct dz_sq_reading r = {0};
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    uint64_t counts[DZ_JOB_STATES] = {0};
    DZ_TRY(dz_sq_reading_begin(&r, self, err));
    DZ_TRY(dz_sq_get(r.c, DZ_SQ_JOB_COUNTS, &st, err));
    for (;;) {
        bool row = false;
        DZ_TRY(dz_sq_row(r.c, st, &row, err));
        if (!row)
            break;
        int state = sqlite3_column_int(st, 0); /* the schema checks its range */
        if (state >= 0 && state < DZ_JOB_STATES)
            counts[state] = (uint64_t)sqlite3_column_int64(st, 1);
    }
    memcpy(ret_counts, counts, sizeof(counts));
    return DZ_OK;
}

static enum dz_code read_source_count(sqlite3_stmt *st, struct dz_text_pool *pool, void *ret_count,
                                      struct dz_err *err)
{
    struct dz_source_counts k = {
        .series = (uint64_t)sqlite3_column_int64(st, 1),
        .chapters = (uint64_t)sqlite3_column_int64(st, 2),
    };
    DZ_TRY(dz_sq_str(st, 0, pool, &k.source, err));
    *(struct dz_source_counts *)ret_count = k;
    return DZ_OK;
}

enum dz_code dz_sq_source_counts(void *self, struct dz_arena *a, struct dz_source_counts **ret_v,
                                 size_t *ret_n, struct dz_err *err)
{
    DZ_AUTO(dz_sq_reading_done) struct dz_sq_reading r = {0};
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_reading_begin(&r, self, err));
    DZ_TRY(dz_sq_get(r.c, DZ_SQ_SOURCE_COUNTS, &st, err));
    return dz_sq_list(r.c, st, a, sizeof(**ret_v), read_source_count, ret_v, ret_n, err);
}

/* ---- what crawls remember ----------------------------------------------------------------------
 */

static enum dz_code put_state(struct dz_sq_conn *c, const struct dz_crawl_state_rec *s,
                              int64_t now_ms, struct dz_err *err)
{
    sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_get(c, s->value.n ? DZ_SQ_STATE_SET : DZ_SQ_STATE_DEL, &st, err));
    dz_sq_bind_str(st, 1, s->source);
    dz_sq_bind_str(st, 2, s->name);
    if (s->value.n) {
        dz_sq_bind_str(st, 3, s->value);
        dz_sq_bind_int(st, 4, now_ms);
        dz_sq_bind_int(st, 5, s->expires_ms);
    }
    return dz_sq_run(c, st, err);
}

enum dz_code dz_sq_state_put(void *self, const struct dz_crawl_state_rec *v, size_t n,
                             int64_t now_ms, struct dz_err *err)
{
    struct dz_sqlite *d = self;
    enum dz_code code = DZ_OK;
    DZ_TRY(dz_sq_write_begin(d, err));
    for (size_t i = 0; i < n && code == DZ_OK; i++)
        code = put_state(&d->write, &v[i], now_ms, err);
    if (code == DZ_OK)
        code = run_int(&d->write, DZ_SQ_STATE_EXPIRE, now_ms, err);
    return dz_sq_write_close(d, code, err);
}

static enum dz_code read_state(sqlite3_stmt *st, struct dz_text_pool *pool, void *ret_state,
                               struct dz_err *err)
{
    struct dz_crawl_state_rec s = {
        .updated_ms = sqlite3_column_int64(st, 3),
        .expires_ms = sqlite3_column_int64(st, 4),
    };
    DZ_TRY(dz_sq_str(st, 0, pool, &s.source, err));
    DZ_TRY(dz_sq_str(st, 1, pool, &s.name, err));
    DZ_TRY(dz_sq_str(st, 2, pool, &s.value, err));
    *(struct dz_crawl_state_rec *)ret_state = s;
    return DZ_OK;
}

enum dz_code dz_sq_state_list(void *self, dz_str source, dz_str prefix, int64_t now_ms,
                              struct dz_arena *a, struct dz_crawl_state_rec **ret_v, size_t *ret_n,
                              struct dz_err *err)
{
    DZ_AUTO(dz_sq_reading_done) struct dz_sq_reading r = {0};
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_reading_begin(&r, self, err));
    DZ_TRY(dz_sq_get(r.c, source.n ? DZ_SQ_STATE_LIST : DZ_SQ_STATE_LIST_ALL, &st, err));
    dz_sq_bind_int(st, 1, now_ms);
    dz_sq_bind_str(st, 2, prefix);
    if (source.n)
        dz_sq_bind_str(st, 3, source);
    return dz_sq_list(r.c, st, a, sizeof(**ret_v), read_state, ret_v, ret_n, err);
}
