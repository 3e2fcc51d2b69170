/*
 * call_ask: what a call needs from elsewhere: functions of sources, workers, pictures.
 *
 * In: a question. Out: the step that goes on with its answer, unless the call has ended by then. A
 * call keeps one run for each source that it asked, so that a source may remember what it learnt
 * within the call; the run's time is what is left of the call's. Crawler's loop.
 */
#include <stdlib.h>

#include "crawl/call_int.h"

struct call_run {
    struct call *call; /* NULL: let go */
    struct call_run *next;
    struct crawl_job job; /* as whom the source speaks: its memory, its log */
    struct dz_source_env env;
    struct dz_source_run *run;
};

static void free_run(struct call_run *r)
{
    r->call = NULL;
    dz_source_run_free(&r->run);
    dz_source_unref(&r->job.source);
    free(r);
}

void call_let_go(struct call *c)
{
    struct call_run *r = c->runs;
    c->runs = NULL;
    c->then = NULL;
    while (r) {
        struct call_run *next = r->next;
        free_run(r);
        r = next;
    }
    struct dz_fetch_call *fetch = dz_take(&c->fetch);
    if (fetch)
        dz_fetch_cancel(fetch); /* it comes back, to nobody */
}

/* ---- sources --------------------------------------------------------------------------------- */

static struct call_run *run_of(struct call *c, struct dz_source *s, struct dz_err *err)
{
    for (struct call_run *r = c->runs; r; r = r->next)
        if (r->job.source == s)
            return r;
    struct call_run *r = dz_new(struct call_run);
    r->call = c;
    r->job = (struct crawl_job){.crawler = c->calls->crawler,
                                .env = call_env(c),
                                .rec = {.source = dz_source_info_of(s)->id},
                                .source = dz_source_ref(s)};
    crawl_job_source_env(&r->job, &r->env);
    r->env.fresh_ms = c->inside ? 0 : call_env(c)->conf->sources.http_cache_ttl_ms;
    int64_t left_ms = c->deadline_at_ms - dz_loop_now_ms(c->link.loop);
    /* The deadline ends the run, in its own words; the budget only when that did not. */
    struct dz_source_budget budget = {.wall_ms = (left_ms > 0 ? left_ms : 0) + CALL_GRACE_MS};
    if (dz_source_run_new(s, &r->env, &budget, &r->run, err) != DZ_OK) {
        free_run(r);
        return NULL;
    }
    r->next = c->runs;
    c->runs = r;
    return r;
}

static void on_answer(void *arg, const struct dz_source_result *res)
{
    struct call_run *r = arg;
    struct call *c = r->call;
    if (!c)
        return;
    void (*then)(struct call *, const struct dz_source_result *) = c->then;
    c->then = NULL;
    c->requests += res->requests;
    then(c, res); /* may have freed the run */
}

void call_ask(struct call *c, struct dz_source *s, enum dz_source_fn fn, json_t *take_args,
              void (*then)(struct call *c, const struct dz_source_result *r))
{
    dz_assert(!c->then);
    struct dz_err err = {0};
    struct call_run *r = run_of(c, s, &err);
    if (r && dz_source_run_call(r->run, fn, take_args, on_answer, r, &err) == DZ_OK)
        c->then = then;
    json_decref(take_args);
    if (!c->then)
        call_refuse_words(c, err.code == DZ_UNSUPPORTED ? DZ_SOURCE_UNSUPPORTED : DZ_SOURCE_LIMIT,
                          "%s", err.text);
}

/* ---- workers and pictures -------------------------------------------------------------------- */

static void on_worked(struct dz_work *w)
{
    struct call *c = dz_container(w, struct call, work);
    bool goes_on = c->calls && !c->answered;
    c->crawler->call_works--;
    call_came_back(c);
    if (goes_on)
        c->worked(c);
}

void call_work(struct call *c, void (*run)(struct dz_work *w), void (*then)(struct call *c))
{
    c->work = (struct dz_work){.run = run, .home = call_env(c)->loop, .done = on_worked};
    c->worked = then;
    c->work_code = DZ_OK;
    c->work_err = (struct dz_err){0};
    if (dz_pool_submit(call_env(c)->pool, &c->work, &c->work_err) == DZ_OK) {
        c->under_way++;
        c->crawler->call_works++;
        return;
    }
    call_refuse_err(c, &c->work_err);
}

static void on_fetched(void *arg, struct dz_fetch_res *res)
{
    struct call *c = arg;
    bool goes_on = c->calls && !c->answered;
    c->fetch = NULL;
    call_came_back(c);
    if (goes_on)
        c->fetched(c, res);
}

void call_fetch(struct call *c, struct dz_source *s, dz_str url, const json_t *headers,
                void (*then)(struct call *c, struct dz_fetch_res *res))
{
    c->fetched = then;
    c->under_way++;
    crawl_fetch_picture(call_env(c), s, url, headers, 0, on_fetched, c, &c->fetch);
}
