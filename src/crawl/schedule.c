/*
 * schedule: what is crawled again and again, and when.
 *
 * In: shelves and sources of the settings, favourites of the catalog where they are followed, ends
 * of jobs. Out: rows in the queue, added on the pool.
 * The time between two passes counts from the end of one to the start of the next; one that fails
 * again and again is left alone for longer each time, up to crawl.retry_max. Loop thread. Odd: the
 * catalog joins equal jobs, so that several backs with the same settings make one row.
 */
#include <stdlib.h>

#include "crawl/runner_int.h"

#define ENSURE_EVERY_MS (60 * 1000)
#define LIVE_BYTES_MAX (256 * DZ_MIB)
#define BACK_OFF_MAX_MS (INT64_C(30) * 24 * 3600 * 1000) /* beyond: a clock that was set back */

static const struct dz_log_ctx ctx = {.room = "crawl", .what = "schedule"};

/* ---- adding -------------------------------------------------------------------------------------
 */

static void add_next(struct dz_crawler *c);
static void follow(struct dz_crawler *c);

/* Rows that run or wait: what has one costs a reader, not a writer. */
struct live {
    struct dz_job_rec *v;
    size_t n;
};

static const char *const kinds[] = {CRAWL_JOB, CRAWL_FOLLOW};

static size_t kind_at(const char *kind)
{
    return strcmp(kind, CRAWL_FOLLOW) == 0;
}

/* The row of the item stays as it is: it runs, comes soon enough, or waits after a failure for as
 * long as the site wants. */
static bool stays(const struct crawl_ask_item *i, const struct live *live)
{
    int64_t now_ms = dz_now_ms();
    const struct dz_job_rec *v = live->v;
    for (size_t k = 0; k < live->n; k++) {
        if (!dz_str_eq(v[k].source, dz_str_of(i->source)) ||
            !dz_str_eq(v[k].target, dz_str_of(i->target)))
            continue;
        bool backs_off = v[k].fail_kind.n > 0 && v[k].run_after_ms - now_ms < BACK_OFF_MAX_MS;
        return v[k].state == DZ_JOB_RUNNING || i->keeps || backs_off ||
               v[k].run_after_ms <= i->run_after_ms;
    }
    return false;
}

static enum dz_code read_all(struct dz_crawler *c, struct dz_arena *a, struct live *live,
                             struct dz_err *err)
{
    for (size_t k = 0; k < DZ_LEN(kinds); k++)
        DZ_TRY(dz_catalog_jobs_of(c->env.catalog, dz_str_of(kinds[k]), 0, a, &live[k].v, &live[k].n,
                                  err));
    if (!c->favourites_arena)
        return DZ_OK;
    return dz_catalog_favourites(c->env.catalog, (dz_str){NULL, 0}, c->favourites_arena,
                                 &c->favourites, &c->favourites_n, err);
}

static void run_add(struct dz_work *w)
{
    struct dz_crawler *c = dz_container(w, struct dz_crawler, add_work);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(LIVE_BYTES_MAX);
    struct live live[DZ_LEN(kinds)] = {0};
    c->add_code = read_all(c, a, live, &c->add_err);
    bool away = c->add_code != DZ_OK;
    /* One that the catalog is away for ends it all: on_ensure asks again, and a stop waits. */
    for (struct crawl_ask_item *i = c->adding_list; i && !away; i = i->next) {
        if (stays(i, &live[kind_at(i->kind)]))
            continue;
        struct dz_job_rec j = {.kind = dz_str_of(i->kind),
                               .source = dz_str_of(i->source),
                               .target = dz_str_of(i->target),
                               .run_after_ms = i->run_after_ms};
        int64_t id;
        bool is_new;
        i->code = dz_catalog_job_add(c->env.catalog, &j, dz_now_ms(), &id, &is_new, &i->err);
        away = i->code != DZ_OK && (dz_code_retries(i->code) || i->code == DZ_IO);
    }
}

static void free_items(struct crawl_ask_item *i)
{
    while (i) {
        struct crawl_ask_item *next = i->next;
        free(i->source);
        free(i->target);
        free(i);
        i = next;
    }
}

static void on_added(struct dz_work *w)
{
    struct dz_crawler *c = dz_container(w, struct dz_crawler, add_work);
    if (c->add_code != DZ_OK)
        dz_log_err(&ctx, DZ_WARN, &c->add_err, "what is due was not put into the queue");
    for (const struct crawl_ask_item *i = c->adding_list; i; i = i->next)
        if (i->code != DZ_OK)
            dz_log_err(&ctx, DZ_WARN, &i->err, "%s/%s not put into the queue", i->source,
                       i->target);
    free_items(c->adding_list);
    c->adding_list = NULL;
    c->adding = false;
    if (c->favourites_arena && c->add_code == DZ_OK)
        follow(c);
    dz_arena_free(&c->favourites_arena);
    crawl_look_soon(c, 0);
    add_next(c);
}

static void add_next(struct dz_crawler *c)
{
    if (c->adding || (!c->asked && !c->favourites_due) || c->stopping)
        return;
    if (c->favourites_due)
        c->favourites_arena = dz_arena_new(LIVE_BYTES_MAX);
    c->favourites_due = false;
    c->adding_list = c->asked;
    c->asked = NULL;
    c->adding = true;
    c->add_work = (struct dz_work){.run = run_add, .home = c->env.loop, .done = on_added};
    if (dz_pool_submit(c->env.pool, &c->add_work, NULL) == DZ_OK)
        return;
    /* With the next one: on_ensure asks again. */
    c->adding = false;
    free_items(c->adding_list);
    c->adding_list = NULL;
    dz_arena_free(&c->favourites_arena);
}

void crawl_schedule_add(struct dz_crawler *c, const char *kind, dz_str source, dz_str target,
                        int64_t run_after_ms, bool keeps)
{
    struct crawl_ask_item *i = dz_new(struct crawl_ask_item);
    i->kind = kind;
    i->source = dz_str_dup(source);
    i->target = dz_str_dup(target);
    i->run_after_ms = run_after_ms;
    i->keeps = keeps;
    struct crawl_ask_item **last = &c->asked;
    while (*last)
        last = &(*last)->next;
    *last = i;
    add_next(c);
}

/* ---- what is regular
 * ------------------------------------------------------------------------------ */

static struct crawl_regular *find(const struct dz_crawler *c, dz_str kind, dz_str source,
                                  dz_str target)
{
    for (size_t i = 0; i < c->regular_n; i++)
        if (dz_str_eq(dz_str_of(c->regular[i].kind), kind) &&
            dz_str_eq(dz_str_of(c->regular[i].source), source) &&
            dz_str_eq(dz_str_of(c->regular[i].target), target))
            return &c->regular[i];
    return NULL;
}

static void add_regular(struct dz_crawler *c, const char *kind, dz_str source, dz_str target,
                        int64_t every_ms)
{
    struct crawl_regular *r = find(c, dz_str_of(kind), source, target);
    if (!r) {
        c->regular = dz_realloc(c->regular, (c->regular_n + 1) * sizeof(*c->regular));
        r = &c->regular[c->regular_n++];
        *r = (struct crawl_regular){.kind = kind,
                                    .source = dz_str_dup(source),
                                    .target = dz_str_dup(target),
                                    .every_ms = every_ms};
        crawl_schedule_add(c, kind, source, target, dz_now_ms(), true);
    } else if (every_ms < r->every_ms) {
        r->every_ms = every_ms; /* two shelves of one series: the one in a hurry */
    }
}

static bool can_crawl(const struct dz_source *s, enum dz_source_fn fn)
{
    return s && dz_source_info_of(s)->enabled && dz_source_info_of(s)->has[fn];
}

static void free_regular(struct crawl_regular *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(v[i].source);
        free(v[i].target);
    }
    free(v);
}

/* Its own time (0: none), else its source's, else that of all. */
static int64_t every_of(const struct dz_conf *conf, int64_t own_ms, const struct dz_source *s)
{
    if (own_ms > 0)
        return own_ms;
    int64_t every_ms = dz_source_info_of(s)->every_ms;
    return every_ms > 0 ? every_ms : conf->crawl.every_ms;
}

static void read_conf(struct dz_crawler *c)
{
    const struct dz_conf *conf = c->env.conf;
    for (size_t i = 0; i < conf->shelves_n; i++) {
        const struct dz_conf_shelf *sh = &conf->shelves[i];
        dz_str series = dz_str_of(sh->series);
        size_t slash = dz_str_chr(series, '/');
        if (slash == DZ_NPOS)
            continue;
        dz_str source = dz_str_sub(series, 0, slash), target = dz_str_after(series, slash);
        const struct dz_source *s = dz_sources_find(c->env.sources, source);
        if (target.n > 0 && can_crawl(s, DZ_FN_CHAPTERS))
            add_regular(c, CRAWL_JOB, source, target, every_of(conf, sh->every_ms, s));
        else if (!s || !dz_source_info_of(s)->enabled)
            dz_log(&ctx, DZ_INFO, "shelf %s is not crawled: %s \"%.*s\"", sh->name,
                   s ? "the settings switch off the source" : "there is no source",
                   (int)(source.n < 100 ? source.n : 100), source.p);
    }
    for (size_t i = 0; i < dz_sources_count(c->env.sources); i++) {
        const struct dz_source *s = dz_sources_at(c->env.sources, i);
        const struct dz_source_info *info = dz_source_info_of(s);
        bool folders = dz_str_eq(info->id, DZ_S("local")) && c->o.import && info->enabled;
        if (folders)
            for (size_t o = 0; o < info->options_n; o++)
                if (dz_str_eq(info->options[o].name, DZ_S("paths")) && info->options[o].value.n)
                    add_regular(c, CRAWL_JOB, info->id, (dz_str){NULL, 0}, every_of(conf, 0, s));
    }
}

void crawl_schedule_read(struct dz_crawler *c)
{
    struct crawl_regular *old = c->regular;
    size_t old_n = c->regular_n;
    c->regular = NULL;
    c->regular_n = 0;
    read_conf(c);
    for (size_t i = 0; i < old_n; i++) {
        struct crawl_regular *g =
            find(c, dz_str_of(old[i].kind), dz_str_of(old[i].source), dz_str_of(old[i].target));
        if (g)
            g->failures = old[i].failures;
    }
    free_regular(old, old_n);
}

void crawl_schedule_free(struct dz_crawler *c)
{
    free_regular(c->regular, c->regular_n);
    c->regular = NULL;
    c->regular_n = 0;
    free_items(c->asked);
    c->asked = NULL;
    json_decref(c->follow_told);
    c->follow_told = NULL;
}

/* Longer after each failure in a row. */
static int64_t wait_of(const struct dz_crawler *c, const struct crawl_regular *g)
{
    int64_t max_ms = c->env.conf->crawl.retry_max_ms, wait_ms = g->every_ms;
    max_ms = max_ms > g->every_ms ? max_ms : g->every_ms;
    for (unsigned i = 0; i < g->failures && wait_ms < max_ms; i++)
        wait_ms *= 2;
    return wait_ms < max_ms ? wait_ms : max_ms;
}

int64_t crawl_schedule_again_ms(struct dz_crawler *c, const struct crawl_running *r)
{
    const struct crawl_regular *g = find(c, r->job.rec.kind, r->job.rec.source, r->job.rec.target);
    /* One that somebody asked for ends where they see it. */
    return g && r->job.rec.args.n == 0 && r->job.rec.priority == 0 ? g->every_ms : -1;
}

void crawl_schedule_ended(struct dz_crawler *c, const struct crawl_running *r)
{
    struct crawl_regular *g = find(c, r->job.rec.kind, r->job.rec.source, r->job.rec.target);
    if (!g)
        return;
    if (r->fail.kind == DZ_SOURCE_OK)
        g->failures = 0;
    if (r->end.state == DZ_JOB_QUEUED)
        return;
    if (r->fail.kind != DZ_SOURCE_OK)
        g->failures++;
    crawl_schedule_add(c, g->kind, r->job.rec.source, r->job.rec.target,
                       dz_now_ms() + wait_of(c, g), false);
}

/* ---- favourites ------------------------------------------------------------------------------ */

bool crawl_schedule_has(const struct dz_crawler *c, const struct dz_job_rec *j)
{
    return find(c, j->kind, j->source, j->target) != NULL;
}

/* Once for each source, until it is there. */
static void pass_over(struct dz_crawler *c, dz_str source)
{
    if (!c->follow_told)
        c->follow_told = json_object();
    if (json_object_getn(c->follow_told, source.p, source.n))
        return;
    json_object_setn_new(c->follow_told, source.p, source.n, json_true());
    dz_log(&ctx, DZ_WARN, "favourites of %.*s are not followed: there is no such source",
           DZ_STR_FMT(source));
}

static bool is_favourite(const struct dz_crawler *c, const struct crawl_regular *g)
{
    for (size_t i = 0; i < c->favourites_n; i++)
        if (dz_str_eq(c->favourites[i].source, dz_str_of(g->source)) &&
            dz_str_eq(c->favourites[i].series, dz_str_of(g->target)))
            return true;
    return false;
}

/* The favourites as they are now become regular; what is none any more is forgotten. */
static void follow(struct dz_crawler *c)
{
    const struct dz_conf *conf = c->env.conf;
    size_t kept = 0;
    for (size_t i = 0; i < c->regular_n; i++) {
        struct crawl_regular *g = &c->regular[i];
        if (strcmp(g->kind, CRAWL_FOLLOW) != 0 || (conf->downloads.follow && is_favourite(c, g))) {
            c->regular[kept++] = *g;
            continue;
        }
        free(g->source);
        free(g->target);
    }
    c->regular_n = kept;
    for (size_t i = 0; i < c->favourites_n && conf->downloads.follow; i++) {
        const struct dz_favourite_rec *f = &c->favourites[i];
        const struct dz_source *s = dz_sources_find(c->env.sources, f->source);
        if (can_crawl(s, DZ_FN_CHAPTERS))
            add_regular(c, CRAWL_FOLLOW, f->source, f->series, every_of(conf, 0, s));
        else
            pass_over(c, f->source);
    }
}

static void on_ensure(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    crawl_schedule_ensure(dz_container(t, struct dz_crawler, ensure));
}

void crawl_schedule_ensure(struct dz_crawler *c)
{
    /* A `dozo crawl` or another back may have taken the row and be gone: the catalog keeps a row
     * that is there already, with its earlier time. */
    for (size_t i = 0; i < c->regular_n; i++)
        crawl_schedule_add(c, c->regular[i].kind, dz_str_of(c->regular[i].source),
                           dz_str_of(c->regular[i].target),
                           dz_now_ms() + wait_of(c, &c->regular[i]), false);
    c->favourites_due = c->env.conf->downloads.follow;
    add_next(c);
    dz_timer_set(c->env.loop, &c->ensure, ENSURE_EVERY_MS, on_ensure);
}

/* ---- asking from outside
 * ---------------------------------------------------------------------------- */

enum dz_code dz_crawl_ask(struct dz_catalog *c, const struct dz_sources *sources,
                          const struct dz_crawl_ask *ask, int64_t *ret_job, bool *ret_new,
                          struct dz_err *err)
{
    const struct dz_source *s = dz_sources_find(sources, ask->source);
    if (!s)
        return dz_fail(err, DZ_NOT_FOUND, "there is no source \"%.*s\"",
                       (int)(ask->source.n < 100 ? ask->source.n : 100), ask->source.p);
    const struct dz_source_info *info = dz_source_info_of(s);
    bool local = dz_str_eq(info->id, DZ_S("local"));
    dz_str target = ask->target;
    if (target.n == 0 && !info->has[DZ_FN_CRAWL])
        target = info->only; /* a site with one series needs no id */
    if (!info->enabled)
        return dz_fail(err, DZ_UNSUPPORTED, "the source \"%.*s\" is switched off in the settings",
                       DZ_STR_FMT(info->id));
    if (!local && target.n == 0 && !info->has[DZ_FN_CRAWL])
        return dz_fail(err, DZ_BAD_INPUT, "name a series as well: %.*s/ID", DZ_STR_FMT(info->id));
    if (!local && target.n > 0 && !info->has[DZ_FN_CHAPTERS])
        return dz_fail(err, DZ_UNSUPPORTED, "the source \"%.*s\" has no series",
                       DZ_STR_FMT(info->id));
    char args[96];
    snprintf(args, sizeof(args), "{\"full\":%s,\"limit_pages\":%llu}", ask->full ? "true" : "false",
             (unsigned long long)(ask->limit_pages < INT64_MAX ? ask->limit_pages : INT64_MAX));
    int64_t now_ms = dz_now_ms();
    struct dz_job_rec j = {.kind = DZ_S("crawl"),
                           .source = ask->source,
                           .target = target,
                           .args = dz_str_of(args),
                           .priority = 10,
                           .run_after_ms = ask->run_after_ms ? ask->run_after_ms : now_ms};
    return dz_catalog_job_add(c, &j, now_ms, ret_job, ret_new, err);
}
