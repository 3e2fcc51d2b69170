/*
 * schedule: what is crawled again and again, and when.
 *
 * In: shelves and sources of the settings, favourites of the catalog where they are followed, ends
 * of jobs. Out: rows in the queue, added on the pool. The time between two passes counts from the
 * end of one to the start of the next; one that fails again and again is left alone for longer each
 * time, up to crawl.retry_max. Loop thread. Odd: the catalog joins equal jobs, so that several
 * backs with the same settings make one row.
 */
#include <stdlib.h>

#include "crawl/runner_int.h"

#define ENSURE_EVERY_MS (60 * 1000)
#define LIVE_BYTES_MAX (256 * DZ_MIB)
#define ITEM_BYTES_MAX (4 * DZ_TEXT_MAX)
#define BACK_OFF_MAX_MS (INT64_C(30) * 24 * 3600 * 1000) /* beyond: a clock that was set back */

static const struct dz_log_ctx ctx = {.room = "crawl", .what = "schedule"};

/* ---- adding ---------------------------------------------------------------------------------- */

static void add_next(struct dz_crawler *c);
static void follow(struct dz_crawler *c);

/* What a row or something regular is for, as a key: no id holds a zero byte. */
static void put_item(struct dz_buf *out, dz_str source, dz_str target)
{
    dz_buf_put(out, source);
    dz_buf_putc(out, '\0');
    dz_buf_put(out, target);
}

static const char *const kinds[] = {CRAWL_JOB, CRAWL_FOLLOW};

static size_t kind_at(const char *kind)
{
    return strcmp(kind, CRAWL_FOLLOW) == 0;
}

/* The row of the item stays as it is: it runs, comes soon enough, or waits after a failure for as
 * long as the site wants. */
static bool stays(const struct crawl_ask_item *i, const struct dz_map *live)
{
    DZ_AUTO(dz_buf_done) struct dz_buf item;
    dz_buf_init(&item, ITEM_BYTES_MAX);
    put_item(&item, dz_str_of(i->source), dz_str_of(i->target));
    const struct dz_job_rec *j = dz_map_get(live, dz_buf_str(&item));
    if (!j)
        return false;
    bool backs_off = j->fail_kind.n > 0 && j->run_after_ms - dz_now_ms() < BACK_OFF_MAX_MS;
    return j->state == DZ_JOB_RUNNING || i->keeps || backs_off ||
           j->run_after_ms <= i->run_after_ms;
}

/* Rows that run or wait, by what they are for: what has one costs a reader, not a writer. */
static enum dz_code read_live(struct dz_crawler *c, const char *kind, struct dz_arena *a,
                              struct dz_map *live, struct dz_err *err)
{
    struct dz_job_rec *v = NULL;
    size_t n = 0;
    DZ_TRY(dz_catalog_jobs_of(c->env.catalog, dz_str_of(kind), 0, a, &v, &n, err));
    DZ_AUTO(dz_buf_done) struct dz_buf item;
    dz_buf_init(&item, ITEM_BYTES_MAX);
    while (n-- > 0) { /* of several for one thing the first counts */
        dz_buf_clear(&item);
        put_item(&item, v[n].source, v[n].target);
        (void)dz_map_set(live, dz_arena_str(a, dz_buf_str(&item)), &v[n]);
    }
    return DZ_OK;
}

static enum dz_code read_all(struct dz_crawler *c, struct dz_arena *a, struct dz_map *live,
                             struct dz_err *err)
{
    for (size_t k = 0; k < DZ_LEN(kinds); k++)
        DZ_TRY(read_live(c, kinds[k], a, &live[k], err));
    if (!c->favourites_arena)
        return DZ_OK;
    return dz_catalog_favourites(c->env.catalog, (dz_str){NULL, 0}, c->favourites_arena,
                                 &c->favourites, &c->favourites_n, err);
}

static void run_add(struct dz_work *w)
{
    struct dz_crawler *c = dz_container(w, struct dz_crawler, add_work);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(LIVE_BYTES_MAX);
    struct dz_map live[DZ_LEN(kinds)];
    for (size_t k = 0; k < DZ_LEN(kinds); k++)
        dz_map_init(&live[k]);
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
    for (size_t k = 0; k < DZ_LEN(kinds); k++)
        dz_map_done(&live[k]);
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

static void add_item(struct dz_crawler *c, const char *kind, dz_str source, dz_str target,
                     int64_t run_after_ms, bool keeps)
{
    struct crawl_ask_item *i = dz_new(struct crawl_ask_item);
    i->kind = kind;
    i->source = dz_str_dup(source);
    i->target = dz_str_dup(target);
    i->run_after_ms = run_after_ms;
    i->keeps = keeps;
    *(c->asked ? c->asked_last : &c->asked) = i;
    c->asked_last = &i->next;
    add_next(c);
}

/* ---- what is regular ------------------------------------------------------------------------- */

static void put_key(struct dz_buf *out, dz_str kind, dz_str source, dz_str target)
{
    dz_buf_init(out, ITEM_BYTES_MAX);
    dz_buf_put(out, kind);
    dz_buf_putc(out, '\0');
    put_item(out, source, target);
}

static struct crawl_regular *find_in(const struct crawl_regulars *all, dz_str kind, dz_str source,
                                     dz_str target)
{
    DZ_AUTO(dz_buf_done) struct dz_buf key;
    put_key(&key, kind, source, target);
    return dz_map_get(&all->by_key, dz_buf_str(&key));
}

static struct crawl_regular *find(const struct dz_crawler *c, const struct dz_job_rec *j)
{
    return find_in(&c->regular, j->kind, j->source, j->target);
}

static struct crawl_regular *regular_new(const char *kind, dz_str source, dz_str target)
{
    DZ_AUTO(dz_buf_done) struct dz_buf key;
    put_key(&key, dz_str_of(kind), source, target);
    struct crawl_regular *r = dz_alloc(sizeof(*r) + key.n);
    *r = (struct crawl_regular){.kind = kind};
    memcpy(r->key, key.p, key.n);
    r->target = (dz_str){r->key + key.n - target.n, target.n};
    r->source = (dz_str){r->key + strlen(kind) + 1, source.n};
    return r;
}

static dz_str key_of(const struct crawl_regular *r)
{
    return (dz_str){r->key, (size_t)(r->target.p + r->target.n - r->key)};
}

static void add_regular(struct dz_crawler *c, const char *kind, dz_str source, dz_str target,
                        int64_t every_ms)
{
    struct crawl_regulars *all = &c->regular;
    struct crawl_regular *r = find_in(all, dz_str_of(kind), source, target);
    if (!r) {
        r = regular_new(kind, source, target);
        r->every_ms = every_ms;
        r->kept = true;
        *(all->first ? all->last : &all->first) = r;
        all->last = &r->next;
        (void)dz_map_set(&all->by_key, key_of(r), r);
        add_item(c, kind, source, target, dz_now_ms(), true);
    } else if (every_ms < r->every_ms) {
        r->every_ms = every_ms; /* two shelves of one series: the one in a hurry */
    }
}

static bool can_crawl(const struct dz_source *s, enum dz_source_fn fn)
{
    return s && dz_source_info_of(s)->enabled && dz_source_info_of(s)->has[fn];
}

static void free_regular(struct crawl_regulars *all)
{
    for (struct crawl_regular *r = all->first, *next; r; r = next) {
        next = r->next;
        free(r);
    }
    dz_map_done(&all->by_key);
    *all = (struct crawl_regulars){0};
}

/* Its own time (0: none), else its source's, else that of all. */
static int64_t every_of(const struct dz_conf *conf, int64_t own_ms, const struct dz_source *s)
{
    if (own_ms > 0)
        return own_ms;
    int64_t every_ms = dz_source_info_of(s)->every_ms;
    return every_ms > 0 ? every_ms : conf->crawl.every_ms;
}

/* A source that is only shipped asks nobody: its site is crawled for those who name it. */
static bool is_listed(const struct dz_conf *conf, dz_str id)
{
    for (size_t i = 0; i < conf->sources.n; i++)
        if (dz_str_eq(dz_str_of(conf->sources.v[i].id), id))
            return conf->sources.v[i].listed;
    return false;
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
        if (can_crawl(s, DZ_FN_CRAWL) && is_listed(conf, info->id))
            add_regular(c, CRAWL_JOB, info->id, (dz_str){NULL, 0}, every_of(conf, 0, s));
        bool folders = dz_str_eq(info->id, DZ_S("local")) && c->o.import && info->enabled;
        if (folders)
            for (size_t o = 0; o < info->options_n; o++)
                if (dz_str_eq(info->options[o].name, DZ_S("paths")) && info->options[o].value.n)
                    add_regular(c, CRAWL_JOB, info->id, (dz_str){NULL, 0}, every_of(conf, 0, s));
    }
}

void crawl_schedule_read(struct dz_crawler *c)
{
    struct crawl_regulars old = c->regular;
    c->regular = (struct crawl_regulars){0};
    read_conf(c);
    for (struct crawl_regular *g = c->regular.first; g; g = g->next) {
        const struct crawl_regular *was = dz_map_get(&old.by_key, key_of(g));
        if (was)
            g->failures = was->failures;
    }
    free_regular(&old);
}

void crawl_schedule_free(struct dz_crawler *c)
{
    free_regular(&c->regular);
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
    const struct crawl_regular *g = find(c, &r->job.rec);
    /* One that somebody asked for ends where they see it. */
    return g && r->job.rec.args.n == 0 && r->job.rec.priority == 0 ? g->every_ms : -1;
}

void crawl_schedule_ended(struct dz_crawler *c, const struct crawl_running *r)
{
    struct crawl_regular *g = find(c, &r->job.rec);
    if (!g)
        return;
    if (r->fail.kind == DZ_SOURCE_OK)
        g->failures = 0;
    if (r->end.state == DZ_JOB_QUEUED)
        return;
    /* A settled one has done all that could be done: what it could not get keeps nothing back. */
    if (r->fail.kind != DZ_SOURCE_OK && !r->job.settled)
        g->failures++;
    add_item(c, g->kind, g->source, g->target, dz_now_ms() + wait_of(c, g), false);
}

/* ---- favourites ------------------------------------------------------------------------------ */

bool crawl_schedule_has(const struct dz_crawler *c, const struct dz_job_rec *j)
{
    return find(c, j) != NULL;
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

static void forget_unkept(struct crawl_regulars *all)
{
    struct crawl_regular **at = &all->first;
    while (*at) {
        struct crawl_regular *g = *at;
        if (g->kept) {
            at = &g->next;
            continue;
        }
        *at = g->next;
        (void)dz_map_del(&all->by_key, key_of(g));
        free(g);
    }
    all->last = at;
}

/* The favourites as they are now become regular; what is none any more is forgotten. */
static void follow(struct dz_crawler *c)
{
    const struct dz_conf *conf = c->env.conf;
    size_t n = conf->downloads.follow ? c->favourites_n : 0;
    for (struct crawl_regular *g = c->regular.first; g; g = g->next)
        g->kept = strcmp(g->kind, CRAWL_FOLLOW) != 0;
    for (size_t i = 0; i < n; i++) {
        struct crawl_regular *g = find_in(&c->regular, DZ_S(CRAWL_FOLLOW), c->favourites[i].source,
                                          c->favourites[i].series);
        if (g)
            g->kept = true;
    }
    forget_unkept(&c->regular);
    for (size_t i = 0; i < n; i++) {
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
     * that is there already, with its earlier time. One that another back has put off after a
     * failure, of which we know nothing, keeps its own. */
    for (const struct crawl_regular *g = c->regular.first; g; g = g->next)
        add_item(c, g->kind, g->source, g->target, dz_now_ms() + wait_of(c, g), c->shared);
    c->favourites_due = c->env.conf->downloads.follow;
    add_next(c);
    dz_timer_set(c->env.loop, &c->ensure, ENSURE_EVERY_MS, on_ensure);
}

/* ---- asking from outside --------------------------------------------------------------------- */

static char *args_of(const struct dz_crawl_ask *ask)
{
    uint64_t limit = ask->limit_pages < INT64_MAX ? ask->limit_pages : INT64_MAX;
    json_t *o = json_pack("{s:b, s:I}", "full", ask->full, "limit_pages", (json_int_t)limit);
    if (json_object_size(ask->options) > 0)
        json_object_set(o, "options", (json_t *)(uintptr_t)ask->options);
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return text;
}

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
    DZ_AUTO(dz_freep) char *args = args_of(ask);
    int64_t now_ms = dz_now_ms();
    struct dz_job_rec j = {.kind = DZ_S("crawl"),
                           .source = ask->source,
                           .target = target,
                           .args = dz_str_of(args),
                           .priority = 10,
                           .run_after_ms = ask->run_after_ms ? ask->run_after_ms : now_ms};
    return dz_catalog_job_add(c, &j, now_ms, ret_job, ret_new, err);
}
