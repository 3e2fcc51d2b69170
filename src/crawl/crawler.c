/*
 * crawler: the life of a crawler, from opening to the last job's end.
 *
 * In: settings, catalog, store, loop and pool of whoever runs it. Out: a crawler with its sources,
 * requester and memory, whose queue runner.c works through from then on; its settings change while
 * it runs, its jobs do not. Loop thread. It may be freed once dz_crawler_stop has said so, or when
 * it could not be opened. Odd: opening blocks, on the calling thread.
 */
#include <stdlib.h>

#include "crawl/runner_int.h"

#define JOBS_MAX 8u
#define NEWS_MS 500
#define STOP_POLL_MS 5

static const struct dz_log_ctx ctx = {.room = "crawl", .what = "jobs"};

static void complain(void *arg, const struct dz_err *e)
{
    (void)arg;
    dz_log_err(&ctx, DZ_WARN, e, "a source cannot be used");
}

static enum dz_code open_fetch(struct dz_crawler *c, struct dz_err *err)
{
    const struct dz_conf *conf = c->env.conf;
    DZ_AUTO(dz_buf_done) struct dz_buf dir;
    dz_buf_init(&dir, 8192);
    dz_buf_putf(&dir, "%s/cache/http", conf->data_dir);
    struct dz_fetch_options o = {
        .cache_dir = conf->sources.http_cache_max_entries ? dz_buf_cstr(&dir) : NULL,
        .cache_entries_max = conf->sources.http_cache_max_entries,
        .cache_ttl_ms = conf->sources.http_cache_ttl_ms,
        .user_agent = conf->sources.user_agent && conf->sources.user_agent[0]
                          ? conf->sources.user_agent
                          : "dozo/" DZ_VERSION,
        .connect_timeout_ms = conf->sources.connect_timeout_ms,
        .read_timeout_ms = conf->sources.read_timeout_ms,
        .ask_slot = c->shared ? crawl_pace_ask : NULL,
        .slot_arg = c,
    };
    return dz_fetch_new(c->env.loop, &o, &c->env.fetch, err);
}

/* Readers see a collection before its first crawl. A source whose tables cannot be had is refused
 * again by each of its jobs. */
static void ensure_collections(const struct dz_crawler *c, const struct dz_source *s)
{
    struct dz_err err;
    if (dz_source_info_of(s)->enabled && crawl_collections_ensure(c->env.catalog, s, &err) != DZ_OK)
        dz_log_err(&ctx, DZ_WARN, &err, "collections cannot be filled");
}

static enum dz_code open_crawler(struct dz_crawler *c, struct dz_err *err)
{
    const char *data_dir = c->env.conf->data_dir;
    DZ_TRY(dz_make_run_dir(data_dir, err));
    DZ_TRY(crawl_owner_new(data_dir, c->owner, sizeof(c->owner), &c->owner_fd, err));
    /* Jobs of a crawler that was killed do not wait for the ends of their leases. */
    DZ_TRY(crawl_owner_take_back(c->env.catalog, data_dir, err));
    DZ_TRY(dz_sources_load(c->env.conf, complain, NULL, &c->env.sources, err));
    for (size_t i = 0; i < dz_sources_count(c->env.sources); i++)
        ensure_collections(c, dz_sources_at(c->env.sources, i));
    DZ_TRY(open_fetch(c, err));
    return crawl_memory_open(&c->env, &c->memory, err);
}

enum dz_code dz_crawler_new(const struct dz_crawler_options *o, struct dz_crawler **ret_c,
                            struct dz_err *err)
{
    struct dz_crawler *c = dz_new(struct dz_crawler);
    c->o = *o;
    c->o.jobs_max = o->jobs_max ? o->jobs_max : JOBS_MAX;
    c->owner_fd = -1;
    c->lease_ms = o->conf->crawl.job_lease_ms;
    c->shared = dz_catalog_can_wait(o->catalog);
    c->env = (struct crawl_env){.loop = o->loop,
                                .conf = dz_conf_ref(o->conf),
                                .catalog = o->catalog,
                                .store = o->store,
                                .pool = o->pool};
    enum dz_code code = open_crawler(c, err);
    if (code != DZ_OK) {
        dz_crawler_free(&c);
        return code;
    }
    if (o->schedule) {
        crawl_schedule_read(c);
        crawl_schedule_ensure(c);
    }
    crawl_look_soon(c, 0);
    crawl_leases_begin(c);
    *ret_c = c;
    return DZ_OK;
}

void dz_crawler_poke(struct dz_crawler *c)
{
    crawl_leases_renew(c);
    crawl_look_soon(c, 0);
}

static void on_news(struct dz_loop *l, struct dz_timer *t)
{
    struct dz_crawler *c = dz_container(t, struct dz_crawler, poke);
    (void)l;
    if (!c->stopping)
        dz_crawler_poke(c);
}

/* A renewal is a write, which is not made for each of many news. */
void dz_crawler_news(struct dz_crawler *c)
{
    crawl_look_soon(c, 0);
    if (c->poke.at == 0)
        dz_timer_set(c->env.loop, &c->poke, NEWS_MS, on_news);
}

void dz_crawler_set_conf(struct dz_crawler *c, struct dz_conf *conf)
{
    struct dz_sources *fresh = NULL;
    struct dz_err err;
    if (c->stopping)
        return;
    if (dz_sources_load(conf, complain, NULL, &fresh, &err) != DZ_OK) {
        dz_log_err(&ctx, DZ_WARN, &err, "sources not read again; the old ones stay");
        return;
    }
    dz_sources_free(&c->env.sources);
    c->env.sources = fresh;
    dz_conf_unref(&c->env.conf);
    c->env.conf = dz_conf_ref(conf);
    if (c->o.schedule) {
        crawl_schedule_read(c);
        crawl_schedule_ensure(c);
    }
    crawl_look_soon(c, 0);
}

static void on_stop_poll(struct dz_loop *l, struct dz_timer *t)
{
    struct dz_crawler *c = dz_container(t, struct dz_crawler, stop_poll);
    bool busy = c->running_n > 0 || c->taking || c->adding || c->call_works > 0 ||
                c->asks_out > 0 || crawl_memory_is_busy(c->memory);
    if (busy) {
        dz_timer_set(l, t, STOP_POLL_MS, on_stop_poll);
        return;
    }
    c->stopped = true;
    crawl_memory_rest(c->memory);
    dz_catalog_unlock(&c->env.lock);
    c->on_stopped(c->on_stopped_arg);
}

void dz_crawler_stop(struct dz_crawler *c, void (*stopped)(void *arg), void *arg)
{
    if (c->stopping)
        return;
    c->stopping = true;
    c->on_stopped = stopped;
    c->on_stopped_arg = arg;
    dz_timer_stop(c->env.loop, &c->look);
    dz_timer_stop(c->env.loop, &c->poke);
    dz_timer_stop(c->env.loop, &c->ensure);
    crawl_jobs_stop(c);
    dz_timer_set(c->env.loop, &c->stop_poll, 0, on_stop_poll);
}

void dz_crawler_free(struct dz_crawler **cc)
{
    struct dz_crawler *c = dz_take(cc);
    if (!c)
        return;
    dz_assert(c->running_n == 0 && !c->taking && !c->adding);
    c->stopping = true; /* pings that end here look for nothing */
    dz_timer_stop(c->env.loop, &c->look);
    dz_timer_stop(c->env.loop, &c->ensure);
    dz_timer_stop(c->env.loop, &c->renew);
    dz_timer_stop(c->env.loop, &c->progress);
    dz_timer_stop(c->env.loop, &c->stop_poll);
    dz_timer_stop(c->env.loop, &c->poke);
    dz_fetch_free(&c->env.fetch);
    crawl_pace_free(c);
    crawl_memory_close(&c->memory);
    crawl_schedule_free(c);
    dz_sources_free(&c->env.sources);
    crawl_owner_end(c->env.conf->data_dir, c->owner, &c->owner_fd);
    dz_conf_unref(&c->env.conf);
    dz_catalog_unlock(&c->env.lock);
    free(c);
}
