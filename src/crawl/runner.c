/*
 * runner: jobs from the catalog's queue to their ends.
 *
 * In: rows that are due. Out: passes that run beside each other, leases that are renewed while they
 * do, and one written end for each attempt: done, failed, cancelled, or back in the queue with a
 * growing, jittered wait. Loop thread; every question to the catalog goes to the pool. A job whose
 * lease somebody else has is dropped where it stands, without a word to the catalog. The import
 * lock is held while anything runs, because blobs are put before a row names them.
 */
#include <stdlib.h>

#include "crawl/download_int.h"
#include "crawl/runner_int.h"

#define POLL_MS 2000        /* jobs that other processes have added */
#define LOCKED_WAIT_MS 2000 /* a repair runs */
#define RETRY_FIRST_MS 10000
#define RETRY_FIRST_DOWNLOAD_MS 1000
#define PROGRESS_MS 500 /* between two writes of how far a download is */
#define RENEW_MAX_MS 15000
#define LOOK_MIN_MS 200         /* something is due that is not for us */
#define DEATHS_MAX 5u           /* of crawlers over one job, beside its retries */
#define COMPLAIN_MS (60 * 1000) /* a full disk fails every write */
#define JOB_ARENA_MAX (16 * DZ_MIB)
#define KV_NAME_MAX 1027u

static const struct dz_log_ctx ctx = {.room = "crawl", .what = "jobs"};

static void look(struct dz_crawler *c);

static void on_look(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    look(dz_container(t, struct dz_crawler, look));
}

void crawl_look_soon(struct dz_crawler *c, int64_t after_ms)
{
    if (!c->stopping)
        dz_timer_set(c->env.loop, &c->look, after_ms > 0 ? after_ms : 0, on_look);
}

/* ---- what jobs say --------------------------------------------------------------------------- */

void crawl_tell(struct crawl_job *j, const struct dz_crawl_event *e)
{
    struct dz_crawl_event full = *e;
    full.job = j->rec.id;
    full.source = j->rec.source;
    full.target = j->rec.target;
    full.requests = j->requests;
    full.collects = j->collect != NULL;
    if (j->crawler->o.event)
        j->crawler->o.event(j->crawler->o.arg, &full);
}

void crawl_changed(struct crawl_job *j)
{
    if (j->crawler->o.changed)
        j->crawler->o.changed(j->crawler->o.arg);
}

struct crawl_memory *crawl_job_memory(struct crawl_job *j)
{
    return j->crawler->memory;
}

/* Not in the job's arena: a source may ask a million times. */
static dz_str kv_name(char *text, dz_str key)
{
    size_t n = key.n < KV_NAME_MAX - 3 ? key.n : KV_NAME_MAX - 3;
    memcpy(text, "kv/", 3);
    if (n > 0)
        memcpy(text + 3, key.p, n);
    return (dz_str){text, n + 3};
}

static bool kv_get(void *arg, dz_str source, dz_str key, struct dz_buf *out)
{
    struct crawl_job *j = arg;
    char name[KV_NAME_MAX];
    return crawl_memory_get(j->crawler->memory, source, kv_name(name, key), out);
}

static void kv_set(void *arg, dz_str source, dz_str key, dz_str json, int64_t expires_s)
{
    struct crawl_job *j = arg;
    char text[KV_NAME_MAX];
    dz_str name = kv_name(text, key);
    crawl_memory_set(j->crawler->memory, source, name, json, expires_s > 0 ? expires_s * 1000 : 0);
}

static void source_log(void *arg, enum dz_level level, dz_str text)
{
    struct crawl_job *j = arg;
    struct dz_log_ctx of = {.room = "source", .what = "log", .id = (uint64_t)j->rec.id};
    dz_log(&of, level, "%.*s: %.*s", DZ_STR_FMT(j->rec.source),
           (int)(text.n < 2000 ? text.n : 2000), text.p);
}

void crawl_job_source_env(struct crawl_job *j, struct dz_source_env *ret_env)
{
    *ret_env = (struct dz_source_env){
        .loop = j->env->loop,
        .fetch = j->env->fetch,
        .kv_get = kv_get,
        .kv_set = kv_set,
        .log = source_log,
        .arg = j,
    };
}

static bool is_download(const struct dz_job_rec *j)
{
    return dz_str_eq(j->kind, DZ_S(DZ_JOB_DOWNLOAD));
}

/* The row of a download was written. */
static void tell_jobs(const struct crawl_running *r)
{
    const struct dz_crawler_options *o = &r->job.crawler->o;
    if (is_download(&r->job.rec) && o->jobs)
        o->jobs(o->arg);
}

/* ---- the end of an attempt ------------------------------------------------------------------- */

static void forget(struct dz_crawler *c, struct crawl_running *r)
{
    for (struct crawl_running **at = &c->running; *at; at = &(*at)->next)
        if (*at == r) {
            *at = r->next;
            break;
        }
    c->running_n--;
    crawl_pass_free(&r->job.pass);
    crawl_download_free(&r->job.download);
    crawl_collect_free(&r->job.collect);
    json_decref(r->job.options);
    dz_source_unref(&r->job.source);
    dz_arena_free(&r->job.arena);
    free(r);
}

static void on_end_written(struct dz_work *w)
{
    struct crawl_running *r = dz_container(w, struct crawl_running, end_work);
    struct dz_crawler *c = r->job.crawler;
    struct dz_log_ctx of = {.room = "crawl", .what = "job", .id = (uint64_t)r->job.rec.id};
    if (r->code != DZ_OK && !r->lost)
        dz_log_err(&of, DZ_WARN, &r->err, "its end was not written down");
    if (c->o.only_job > 0)
        c->failed = r->fail.kind != DZ_SOURCE_OK;
    tell_jobs(r);
    /* Only now: a job that is still running would swallow the next one. */
    if (r->fail.kind != DZ_SOURCE_CANCELLED && !is_download(&r->job.rec))
        crawl_schedule_ended(c, r);
    forget(c, r);
    crawl_look_soon(c, 0);
}

static void run_end(struct dz_work *w)
{
    struct crawl_running *r = dz_container(w, struct crawl_running, end_work);
    r->code = dz_catalog_job_end(r->job.env->catalog, r->job.rec.id,
                                 dz_str_of(r->job.crawler->owner), &r->end, dz_now_ms(), &r->err);
}

/* 10 s, 20 s, 40 s … (of downloads, for which somebody waits, 1 s, 2 s …) with up to a half of
 * jitter, at most retry_max, never before the site said. */
static int64_t retry_wait(const struct dz_crawler *c, const struct crawl_running *r)
{
    int64_t first_ms = is_download(&r->job.rec) ? RETRY_FIRST_DOWNLOAD_MS : RETRY_FIRST_MS;
    unsigned n = r->job.rec.attempts > 0 ? r->job.rec.attempts - 1 : 0;
    int64_t max_ms = c->env.conf->crawl.retry_max_ms;
    int64_t wait_ms = n < 20 ? first_ms << n : max_ms;
    wait_ms = wait_ms < max_ms ? wait_ms : max_ms;
    wait_ms += (int64_t)(dz_random_u64() % (uint64_t)(wait_ms / 2 + 1));
    return wait_ms > r->fail.retry_after_ms ? wait_ms : r->fail.retry_after_ms;
}

/* What a site sent may stand in it, cut in the middle of a character: the catalog refuses that, and
 * a job whose end cannot be written is run again and again. */
static dz_str clean(struct dz_arena *a, dz_str text)
{
    char *copy = dz_arena_dup(a, text);
    for (size_t at = 0; at < text.n;) {
        unsigned char c = (unsigned char)copy[at];
        size_t step = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
        bool whole = at + step <= text.n && dz_str_is_utf8(dz_str_sub(text, at, at + step));
        if (!whole)
            copy[at] = '?';
        at += whole ? step : 1;
    }
    return (dz_str){copy, text.n};
}

static dz_str result_of(struct crawl_running *r)
{
    if (r->job.download)
        return crawl_download_result(&r->job);
    if (r->job.collect)
        return crawl_collect_result(&r->job);
    return dz_arena_printf(r->job.arena, "{\"chapters\":%llu,\"pages\":%llu,\"requests\":%llu}",
                           (unsigned long long)r->chapters, (unsigned long long)r->job.done,
                           (unsigned long long)r->job.requests);
}

static void decide(struct dz_crawler *c, struct crawl_running *r)
{
    struct dz_job_rec *e = &r->end;
    const struct dz_source_kind_info *kind = dz_source_kind_of(r->fail.kind);
    e->done = r->job.done;
    e->total = r->job.total;
    e->bytes = r->job.bytes;
    e->result = result_of(r);
    if (r->fail.kind == DZ_SOURCE_OK) {
        /* A pass without news leaves no row of its own: thousands a day would bury the others. */
        bool again = r->chapters == 0 && !r->job.download;
        int64_t wait_ms = again ? crawl_schedule_again_ms(c, r) : -1;
        e->state = wait_ms < 0 ? DZ_JOB_DONE : DZ_JOB_QUEUED;
        e->run_after_ms = dz_now_ms() + wait_ms;
        return;
    }
    e->fail_kind = dz_str_of(kind->name);
    e->fail_text = clean(r->job.arena, dz_str_of(r->fail.text));
    if (r->fail.kind == DZ_SOURCE_CANCELLED) {
        e->state = r->cancelled ? DZ_JOB_CANCELLED : DZ_JOB_QUEUED;
        e->run_after_ms = dz_now_ms();
    } else if (kind->retried && !r->job.settled &&
               r->job.rec.attempts <= c->env.conf->crawl.retries && c->o.only_job == 0) {
        e->state = DZ_JOB_QUEUED;
        e->run_after_ms = dz_now_ms() + retry_wait(c, r);
    } else {
        e->state = DZ_JOB_FAILED;
    }
}

static void end(struct crawl_running *r)
{
    struct dz_crawler *c = r->job.crawler;
    r->ending = true;
    if (r->renewing)
        return; /* on_renewed comes back here */
    decide(c, r);
    dz_str made =
        r->job.download ? dz_str_of(crawl_download_path(r->job.download)) : (dz_str){NULL, 0};
    crawl_tell(&r->job, &(struct dz_crawl_event){
                            .kind = DZ_CRAWL_END,
                            .text = r->end.fail_text,
                            .fail_kind = r->end.fail_kind,
                            .made = made,
                            .done = r->job.done,
                            .total = r->chapters,
                            .records = r->job.collect ? r->chapters : 0,
                        });
    bool cancelled = r->fail.kind == DZ_SOURCE_CANCELLED;
    if (!cancelled && !is_download(&r->job.rec))
        crawl_report(c, r);
    if (cancelled && r->end.state == DZ_JOB_QUEUED)
        /* A stop is no failed attempt: the row waits as if nobody had taken it. */
        r->end.fail_kind = r->end.fail_text = (dz_str){NULL, 0};
    r->end_work = (struct dz_work){.run = run_end, .home = c->env.loop, .done = on_end_written};
    r->code = DZ_OK;
    if (!r->lost && dz_pool_submit(c->env.pool, &r->end_work, &r->err) == DZ_OK)
        return;
    /* Without a written end the lease runs out, and the job is taken again. */
    on_end_written(&r->end_work);
}

static void on_pass_ended(struct crawl_job *j, const struct dz_source_fail *fail)
{
    struct crawl_running *r = dz_container(j, struct crawl_running, job);
    if (fail)
        r->fail = *fail;
    r->chapters = crawl_pass_changed(j->pass);
    end(r);
}

static void on_collected(struct crawl_job *j, const struct dz_source_fail *fail)
{
    dz_container(j, struct crawl_running, job)->chapters = crawl_collect_fresh(j->collect);
    crawl_job_ended(j, fail);
}

void crawl_job_ended(struct crawl_job *j, const struct dz_source_fail *fail)
{
    struct crawl_running *r = dz_container(j, struct crawl_running, job);
    if (fail)
        r->fail = *fail;
    end(r);
}

static void on_progress(struct dz_loop *l, struct dz_timer *t);

void crawl_download_moved(struct crawl_job *j)
{
    struct dz_crawler *c = j->crawler;
    dz_container(j, struct crawl_running, job)->moved = true;
    if (c->progress.at == 0)
        dz_timer_set(c->env.loop, &c->progress, PROGRESS_MS, on_progress);
}

/* ---- leases ---------------------------------------------------------------------------------- */

/* Its end comes by itself, later. */
static void stop_running(struct crawl_running *r)
{
    atomic_store(&r->import_stop, true);
    if (r->job.pass)
        crawl_pass_stop(r->job.pass);
    if (r->job.download)
        crawl_download_stop(r->job.download, r->cancelled);
    if (r->job.follow)
        crawl_follow_stop(&r->job);
    if (r->job.collect)
        crawl_collect_stop(r->job.collect);
}

void crawl_jobs_stop(struct dz_crawler *c)
{
    for (struct crawl_running *r = c->running; r; r = r->next)
        if (!r->ending)
            stop_running(r);
}

static void run_renew(struct dz_work *w)
{
    struct crawl_running *r = dz_container(w, struct crawl_running, renew);
    const struct dz_crawler *c = r->job.crawler;
    r->renew_code =
        dz_catalog_job_renew(c->env.catalog, r->job.rec.id, dz_str_of(c->owner), dz_now_ms(),
                             c->lease_ms, &r->renew_progress, &r->renew_err);
}

static void on_renewed(struct dz_work *w)
{
    struct crawl_running *r = dz_container(w, struct crawl_running, renew);
    struct dz_log_ctx of = {.room = "crawl", .what = "job", .id = (uint64_t)r->job.rec.id};
    r->renewing = false;
    tell_jobs(r);
    if (r->renew_code == DZ_CONFLICT) {
        r->lost = true;
        dz_log_err(&of, DZ_WARN, &r->renew_err, "somebody else has taken it: dropped");
    } else if (r->renew_code == DZ_CANCELLED) {
        r->cancelled = true;
    } else if (r->renew_code != DZ_OK &&
               dz_log_gate_pass(&r->job.crawler->complained_lease, COMPLAIN_MS)) {
        dz_log_err(&of, DZ_WARN, &r->renew_err, "lease not renewed");
    }
    if (r->ending)
        end(r);
    else if (r->lost || r->cancelled)
        stop_running(r);
}

static int64_t renew_every_ms(const struct dz_crawler *c)
{
    int64_t every_ms = c->lease_ms / 4;
    return every_ms < RENEW_MAX_MS ? every_ms : RENEW_MAX_MS;
}

static void renew(struct crawl_running *r)
{
    struct dz_crawler *c = r->job.crawler;
    if (r->renewing || r->ending)
        return;
    r->renew = (struct dz_work){.run = run_renew, .home = c->env.loop, .done = on_renewed};
    r->renew_progress = (struct dz_job_progress){
        .done = r->job.done, .total = r->job.total, .bytes = r->job.bytes, .phase = r->job.phase};
    r->renewing = dz_pool_submit(c->env.pool, &r->renew, NULL) == DZ_OK;
    r->moved &= !r->renewing;
}

void crawl_leases_renew(struct dz_crawler *c)
{
    for (struct crawl_running *r = c->running; r; r = r->next)
        renew(r);
}

static void on_renew(struct dz_loop *l, struct dz_timer *t)
{
    struct dz_crawler *c = dz_container(t, struct dz_crawler, renew);
    crawl_leases_renew(c);
    dz_timer_set(l, t, renew_every_ms(c), on_renew);
}

void crawl_leases_begin(struct dz_crawler *c)
{
    dz_timer_set(c->env.loop, &c->renew, renew_every_ms(c), on_renew);
}

static void on_progress(struct dz_loop *l, struct dz_timer *t)
{
    struct dz_crawler *c = dz_container(t, struct dz_crawler, progress);
    bool more = false;
    for (struct crawl_running *r = c->running; r; r = r->next) {
        if (r->moved)
            renew(r);
        more |= is_download(&r->job.rec);
    }
    if (more)
        dz_timer_set(l, t, PROGRESS_MS, on_progress);
}

/* ---- beginning ------------------------------------------------------------------------------- */

static void refuse(struct crawl_running *r, enum dz_source_kind kind, const char *text)
{
    r->fail.kind = kind;
    snprintf(r->fail.text, sizeof(r->fail.text), "%.*s: %s", DZ_STR_FMT(r->job.rec.source), text);
    end(r);
}

/* The option `paths`, a line each. */
static size_t paths_of(const struct crawl_running *r, const char ***ret_v)
{
    const struct dz_source_info *info = dz_source_info_of(r->job.source);
    dz_str all = {NULL, 0};
    for (size_t i = 0; i < info->options_n; i++)
        if (dz_str_eq(info->options[i].name, DZ_S("paths")))
            all = info->options[i].value;
    size_t max = 1, n = 0;
    for (size_t i = 0; i < all.n; i++)
        max += all.p[i] == '\n';
    const char **v = dz_arena_alloc(r->job.arena, max * sizeof(*v));
    for (size_t at = 0; at < all.n;) {
        dz_str rest = dz_str_sub(all, at, all.n);
        size_t nl = dz_str_chr(rest, '\n');
        size_t len = nl == DZ_NPOS ? rest.n : nl;
        if (len > 0)
            v[n++] = dz_arena_dup(r->job.arena, dz_str_sub(rest, 0, len));
        at += len + 1;
    }
    *ret_v = v;
    return n;
}

static void run_import(struct dz_work *w)
{
    struct crawl_running *r = dz_container(w, struct crawl_running, import_work);
    struct dz_crawler *c = r->job.crawler;
    const char **paths;
    size_t n = paths_of(r, &paths);
    r->code =
        n == 0 ? DZ_OK : c->o.import(c->o.arg, paths, n, &r->import_stop, &r->chapters, &r->err);
}

static void on_imported(struct dz_work *w)
{
    struct crawl_running *r = dz_container(w, struct crawl_running, import_work);
    if (r->code != DZ_OK) {
        r->fail.kind = crawl_kind_of_code(r->code);
        snprintf(r->fail.text, sizeof(r->fail.text), "%s", r->err.text);
    }
    if (r->chapters > 0)
        crawl_changed(&r->job);
    end(r);
}

static void begin(struct crawl_running *r)
{
    struct dz_crawler *c = r->job.crawler;
    crawl_tell(&r->job, &(struct dz_crawl_event){.kind = DZ_CRAWL_BEGIN});
    if (c->stopping) {
        refuse(r, DZ_SOURCE_CANCELLED, "stopped");
        return;
    }
    struct dz_source *s = dz_sources_find(c->env.sources, r->job.rec.source);
    if (is_download(&r->job.rec)) {
        if (s && dz_source_info_of(s)->enabled)
            r->job.source = dz_source_ref(s);
        r->job.download = crawl_download_begin(&r->job);
        return;
    }
    if (!s) {
        refuse(r, DZ_SOURCE_UNSUPPORTED, "there is no such source");
        return;
    }
    r->job.source = dz_source_ref(s);
    const struct dz_source_info *info = dz_source_info_of(s);
    if (!info->enabled) {
        refuse(r, DZ_SOURCE_UNSUPPORTED, "the source is switched off in the settings");
    } else if (dz_str_eq(r->job.rec.kind, DZ_S(CRAWL_FOLLOW))) {
        if (c->calls)
            crawl_follow_begin(&r->job);
        else
            refuse(r, DZ_SOURCE_UNSUPPORTED, "nobody here follows favourites");
    } else if (dz_str_eq(info->id, DZ_S("local"))) {
        r->import_work =
            (struct dz_work){.run = run_import, .home = c->env.loop, .done = on_imported};
        if (!c->o.import)
            refuse(r, DZ_SOURCE_UNSUPPORTED, "nobody here reads folders");
        else if (dz_pool_submit(c->env.pool, &r->import_work, &r->err) != DZ_OK)
            refuse(r, DZ_SOURCE_UNAVAILABLE, r->err.text);
    } else if (info->has[DZ_FN_CHAPTERS] && r->job.rec.target.n > 0) {
        r->job.pass = crawl_pass_new(&r->job, on_pass_ended);
    } else if (info->has[DZ_FN_CRAWL] && r->job.rec.target.n == 0) {
        r->job.collect = crawl_collect_new(&r->job, on_collected);
    } else {
        refuse(r, DZ_SOURCE_UNSUPPORTED, "it does not say how it is crawled without a series");
    }
}

static void read_args(struct crawl_job *j)
{
    json_t *v = json_loadb(j->rec.args.p ? j->rec.args.p : "", j->rec.args.n, 0, NULL);
    j->full = json_is_true(json_object_get(v, "full"));
    json_int_t limit = json_integer_value(json_object_get(v, "limit_pages"));
    j->limit_pages = limit > 0 ? (uint64_t)limit : 0;
    j->options = json_incref(json_object_get(v, "options"));
    json_decref(v);
    const struct dz_crawler_options *o = &j->crawler->o;
    if (o->only_job > 0) {
        j->full = j->full || o->only_full;
        j->limit_pages = o->only_limit_pages;
        json_decref(j->options);
        j->options = json_incref((json_t *)(uintptr_t)o->only_options);
    }
}

/* ---- taking ---------------------------------------------------------------------------------- */

/* As long as jobs run, and again for each that is taken. */
static enum dz_code lock(struct dz_crawler *c, struct dz_err *err)
{
    return c->env.lock ? dz_catalog_lock_again(c->env.lock, err)
                       : dz_catalog_lock(c->env.catalog, false, &c->env.lock, err);
}

static void take(struct dz_crawler *c)
{
    struct dz_job_take t = {
        .kinds = c->take_kinds,
        .kinds_n = c->take_kinds_n,
        .id = c->o.only_job,
        .owner = dz_str_of(c->owner),
        .now_ms = dz_now_ms(),
        .lease_ms = c->lease_ms,
    };
    c->take_code = dz_catalog_job_take(c->env.catalog, &t, c->take_arena, &c->taken, &c->take_err);
    if (c->take_code == DZ_NOT_FOUND &&
        dz_catalog_job_next(c->env.catalog, &c->next_due_ms, NULL) != DZ_OK)
        c->next_due_ms = INT64_MAX;
    if (c->take_code == DZ_OK && c->shared && !is_download(&c->taken))
        crawl_memory_read(c->env.catalog, c->taken.source, &c->take_news);
}

static void run_take(struct dz_work *w)
{
    struct dz_crawler *c = dz_container(w, struct dz_crawler, take_work);
    c->lock_code = lock(c, &c->take_err);
    c->take_code = c->lock_code;
    if (c->lock_code == DZ_OK)
        take(c);
    /* Nothing starts but by taking, so nobody needs it now. */
    if (c->take_code != DZ_OK && c->take_alone)
        dz_catalog_unlock(&c->env.lock);
}

static void idle(struct dz_crawler *c)
{
    if (c->o.only_job > 0 && c->o.idle && c->running_n == 0 && c->pings == 0) {
        void (*fn)(void *, bool) = c->o.idle;
        c->o.idle = NULL;
        fn(c->o.arg, c->failed);
    }
}

/* Our own lease ended while nobody looked: the machine slept, or the catalog was locked. Taking it
 * again was as good as renewing it. */
static bool is_running(const struct dz_crawler *c, int64_t job)
{
    for (const struct crawl_running *r = c->running; r; r = r->next)
        if (r->job.rec.id == job)
            return true;
    return false;
}

static void on_locked(struct dz_crawler *c)
{
    dz_arena_free(&c->take_arena);
    if (!c->told_lock && c->lock_code == DZ_CONFLICT)
        dz_log_err(&ctx, DZ_INFO, &c->take_err, "jobs wait while a repair runs");
    else if (!c->told_lock)
        dz_log_err(&ctx, DZ_WARN, &c->take_err, "jobs wait");
    c->told_lock = true;
    crawl_look_soon(c, LOCKED_WAIT_MS);
}

static void on_taken(struct dz_work *w)
{
    struct dz_crawler *c = dz_container(w, struct dz_crawler, take_work);
    c->taking = false;
    if (c->lock_code != DZ_OK) {
        on_locked(c);
        return;
    }
    c->told_lock = false;
    c->only_taken = c->o.only_job > 0;
    crawl_memory_take(c->memory, &c->take_news);
    if (c->take_code == DZ_OK && is_running(c, c->taken.id)) {
        dz_arena_free(&c->take_arena);
        crawl_look_soon(c, 0);
        return;
    }
    if (c->take_code == DZ_OK) {
        struct crawl_running *r = dz_new(struct crawl_running);
        r->job = (struct crawl_job){
            .crawler = c, .env = &c->env, .arena = dz_take(&c->take_arena), .rec = c->taken};
        r->fail.retry_after_ms = -1;
        r->began_ms = dz_now_ms();
        read_args(&r->job);
        tell_jobs(r);
        r->next = c->running;
        c->running = r;
        c->running_n++;
        crawl_look_soon(c, 0);
        /* Attempts that ended with a word are bounded by `retries`; these ended with a death. */
        if (r->job.rec.attempts > c->env.conf->crawl.retries + DEATHS_MAX)
            refuse(r, DZ_SOURCE_LIMIT, "whoever ran it died or lost it again and again; given up");
        else
            begin(r);
        return;
    }
    dz_arena_free(&c->take_arena);
    if (c->take_code != DZ_NOT_FOUND && dz_log_gate_pass(&c->complained, COMPLAIN_MS))
        dz_log_err(&ctx, DZ_WARN, &c->take_err, "the queue of jobs cannot be read");
    if (c->only_taken) {
        c->failed = true;
        idle(c);
        return;
    }
    int64_t wait_ms = POLL_MS, now_ms = dz_now_ms();
    /* What is due may be of a kind that has to wait: whoever ends looks again. */
    if (c->take_all && c->take_code == DZ_NOT_FOUND && c->next_due_ms < now_ms + POLL_MS)
        wait_ms = c->next_due_ms > now_ms ? c->next_due_ms - now_ms + 1 : LOOK_MIN_MS;
    crawl_look_soon(c, wait_ms);
}

/* Kinds of which one more may run: each has a limit of its own. */
static bool choose_kinds(struct dz_crawler *c)
{
    unsigned downloads = 0;
    for (const struct crawl_running *r = c->running; r; r = r->next)
        downloads += is_download(&r->job.rec);
    bool crawls = c->running_n - downloads < c->o.jobs_max;
    bool more = downloads < c->env.conf->downloads.concurrent;
    c->take_kinds_n = 0;
    c->take_all = crawls && more;
    if (crawls)
        c->take_kinds[c->take_kinds_n++] = DZ_S("crawl");
    if (crawls && c->calls)
        c->take_kinds[c->take_kinds_n++] = DZ_S(CRAWL_FOLLOW);
    if (more)
        c->take_kinds[c->take_kinds_n++] = DZ_S(DZ_JOB_DOWNLOAD);
    return c->take_kinds_n > 0;
}

static void look(struct dz_crawler *c)
{
    bool only_done = c->o.only_job > 0 && c->only_taken;
    if (only_done)
        idle(c);
    if (c->stopping || c->taking || only_done || !choose_kinds(c))
        return;
    c->taking = true;
    c->take_alone = c->running_n == 0;
    c->take_arena = dz_arena_new(JOB_ARENA_MAX);
    c->take_news = (struct crawl_memory_news){.writes = crawl_memory_writes(c->memory)};
    c->take_work = (struct dz_work){.run = run_take, .home = c->env.loop, .done = on_taken};
    if (dz_pool_submit(c->env.pool, &c->take_work, &c->take_err) == DZ_OK)
        return;
    c->taking = false;
    dz_arena_free(&c->take_arena);
    crawl_look_soon(c, POLL_MS);
}
