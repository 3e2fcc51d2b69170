/*
 * pace: the pace of a source at a host, kept by all crawlers that share a database.
 *
 * In: the fetcher's question before a request leaves, on the loop. Out: its answer, after a worker
 * has asked the catalog for the next free moment. While the catalog is away nothing is given out:
 * what a site sent could not be kept, and two crawlers that guess would be twice as fast as the
 * settings say. Where the catalog is a file nobody is asked. Loop thread, but for run_ask.
 */
#include <stdlib.h>

#include "crawl/runner_int.h"

#define AGAIN_MS 1000

struct ask {
    struct dz_work work;
    struct dz_timer again;
    struct dz_crawler *c;
    struct ask *next;
    char *source, *host;
    int64_t gap_ms, wait_ms;
    enum dz_code code;
    struct dz_err err;
};

static const struct dz_log_ctx ctx = {.room = "crawl", .what = "pace"};

static void ask_free(struct ask *a)
{
    for (struct ask **at = &a->c->asks; *at; at = &(*at)->next)
        if (*at == a) {
            *at = a->next;
            break;
        }
    dz_timer_stop(a->c->env.loop, &a->again);
    free(a->source);
    free(a->host);
    free(a);
}

static void run_ask(struct dz_work *w)
{
    struct ask *a = dz_container(w, struct ask, work);
    a->code = dz_catalog_pace(a->c->env.catalog, dz_str_of(a->source), dz_str_of(a->host),
                              a->gap_ms, &a->wait_ms, &a->err);
}

static void on_asked(struct dz_work *w);

static void submit(struct ask *a);

static void on_again(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    submit(dz_container(t, struct ask, again));
}

static void submit(struct ask *a)
{
    if (a->c->stopping)
        return;
    a->work = (struct dz_work){.run = run_ask, .home = a->c->env.loop, .done = on_asked};
    a->c->asks_out++;
    if (dz_pool_submit(a->c->env.pool, &a->work, NULL) == DZ_OK)
        return;
    a->c->asks_out--;
    dz_timer_set(a->c->env.loop, &a->again, AGAIN_MS, on_again);
}

static void on_asked(struct dz_work *w)
{
    struct ask *a = dz_container(w, struct ask, work);
    struct dz_crawler *c = a->c;
    c->asks_out--;
    if (a->code == DZ_OK) {
        dz_fetch_slot(c->env.fetch, dz_str_of(a->source), dz_str_of(a->host), a->wait_ms);
        ask_free(a);
        return;
    }
    if (dz_log_gate_pass(&c->complained_pace, 60 * 1000))
        dz_log_err(&ctx, DZ_WARN, &a->err, "requests to %s wait", a->host);
    dz_timer_set(c->env.loop, &a->again, AGAIN_MS, on_again);
}

void crawl_pace_ask(void *arg, dz_str source, dz_str host, int64_t gap_ms)
{
    struct dz_crawler *c = arg;
    struct ask *a = dz_new(struct ask);
    a->c = c;
    a->source = dz_str_dup(source);
    a->host = dz_str_dup(host);
    a->gap_ms = gap_ms < DZ_PACE_GAP_MAX_MS ? gap_ms : DZ_PACE_GAP_MAX_MS;
    a->next = c->asks;
    c->asks = a;
    submit(a);
}

void crawl_pace_free(struct dz_crawler *c)
{
    while (c->asks)
        ask_free(c->asks);
}
