/*
 * collect: a crawl without a target: one run of the source's `crawl`, which fills its collections.
 *
 * In: a job of a source that has `crawl`. Out: tables as the source declares them, records and
 * archived pages, progress, and one `ended`. What the source emitted is on disk when it hears of
 * it, so that nothing is lost when the job is stopped, killed or fails; where it goes on is in the
 * source's own `store`. Troubles that it tells make the job fail in the end, but settled: it ran to
 * its end, and is not repeated before its time. Loop thread; what blocks goes to the pool.
 */
#include <stdlib.h>

#include "crawl/collect_int.h"

#define COLLECTIONS_N_MAX 20u

/* ---- declarations ---------------------------------------------------------------------------- */

/* The collections of a source, at most COLLECTIONS_N_MAX; the caller unrefs them. */
static enum dz_code parse_all(const struct dz_source_info *info,
                              struct dz_collection *v[COLLECTIONS_N_MAX], size_t *ret_n,
                              struct dz_err *err)
{
    dz_str text = info->collections;
    json_t *list = text.n ? json_loadb(text.p, text.n, 0, NULL) : NULL, *one;
    enum dz_code code = DZ_OK;
    size_t i, n = 0;
    json_array_foreach(list, i, one)
    {
        char *json = json_dumps(one, JSON_COMPACT);
        code = dz_collection_parse(info->id, dz_str_of(json), &v[n], err);
        free(json);
        if (code != DZ_OK || ++n == COLLECTIONS_N_MAX)
            break;
    }
    json_decref(list);
    *ret_n = n;
    return code;
}

static enum dz_code ensure_one(struct dz_catalog *catalog, const struct dz_collection *coll,
                               struct dz_err *err)
{
    static const struct dz_log_ctx ctx = {.room = "crawl", .what = "collections"};
    struct dz_collection_ensured done = {0};
    DZ_TRY(dz_catalog_collection_ensure(catalog, coll, &done, err));
    if (done.created || done.changed)
        dz_log(&ctx, DZ_INFO, "%.*s: collection %.*s %s%s%s", DZ_STR_FMT(coll->source),
               DZ_STR_FMT(coll->name), done.created ? "made" : "changed", done.note[0] ? ": " : "",
               done.note);
    return DZ_OK;
}

enum dz_code crawl_collections_ensure(struct dz_catalog *catalog, const struct dz_source *s,
                                      struct dz_err *err)
{
    struct dz_collection *v[COLLECTIONS_N_MAX] = {0};
    size_t n = 0;
    enum dz_code code = parse_all(dz_source_info_of(s), v, &n, err);
    for (size_t i = 0; i < n; i++) {
        if (code == DZ_OK)
            code = ensure_one(catalog, v[i], err);
        dz_collection_unref(&v[i]);
    }
    return code;
}

enum dz_code dz_crawl_option(const struct dz_source *s, dz_str text, json_t *options,
                             struct dz_err *err)
{
    const struct dz_source_info *info = dz_source_info_of(s);
    size_t eq = dz_str_chr(text, '=');
    dz_str name = dz_str_sub(text, 0, eq), value = dz_str_after(text, eq);
    if (eq == DZ_NPOS || name.n == 0)
        return dz_fail(err, DZ_BAD_INPUT, "\"%.*s\": expected NAME=VALUE",
                       (int)(text.n < 100 ? text.n : 100), text.p);
    for (size_t i = 0; i < info->options_n; i++) {
        const struct dz_source_option *o = &info->options[i];
        if (!dz_str_eq(o->name, name))
            continue;
        /* Where a source may reach was decided when it was loaded. */
        if (dz_str_ends(name, DZ_S("_url")))
            return dz_fail(err, DZ_BAD_INPUT, "%.*s: addresses are a matter of the settings",
                           DZ_STR_FMT(name));
        json_t *v = dz_source_option_value(o, value);
        if (!v)
            return dz_fail(err, DZ_BAD_INPUT, "%.*s: expected %s %.*s, got \"%.*s\"",
                           DZ_STR_FMT(name), o->type.p[0] == 'i' ? "an" : "a", DZ_STR_FMT(o->type),
                           (int)(value.n < 100 ? value.n : 100), value.p);
        json_object_setn_new(options, name.p, name.n, v);
        return DZ_OK;
    }
    return dz_fail(err, DZ_BAD_INPUT, "%.*s has no option \"%.*s\"", DZ_STR_FMT(info->id),
                   (int)(name.n < 100 ? name.n : 100), name.p);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void finish(struct crawl_collect *c)
{
    if (c->untold)
        crawl_changed(c->j);
    if (c->fail.kind == DZ_SOURCE_OK && c->troubles > 0) {
        c->j->settled = true;
        c->fail = c->trouble;
        if (c->troubles > 1)
            snprintf(c->fail.text, sizeof(c->fail.text),
                     "%.*s: %llu things could not be had, the first of them: %.400s",
                     DZ_STR_FMT(c->j->rec.source), (unsigned long long)c->troubles,
                     c->trouble.text);
    }
    c->ended(c->j, c->fail.kind == DZ_SOURCE_OK ? NULL : &c->fail);
}

static void on_soon(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    finish(dz_container(t, struct crawl_collect, soon));
}

static void end_soon(struct crawl_collect *c)
{
    if (c->over && c->works == 0)
        dz_timer_set(c->j->env->loop, &c->soon, 0, on_soon);
}

bool collect_submit(struct crawl_collect *c, struct dz_work *w, struct dz_err *err)
{
    bool taken = dz_pool_submit(c->j->env->pool, w, err) == DZ_OK;
    c->works += taken;
    return taken;
}

void collect_came_back(struct crawl_collect *c)
{
    c->works--;
    end_soon(c);
}

/* The run has ended, or none begins. */
static void over(struct crawl_collect *c)
{
    c->over = true;
    end_soon(c);
}

static void failed(struct crawl_collect *c, enum dz_source_kind kind, const char *text)
{
    c->fail.kind = kind;
    snprintf(c->fail.text, sizeof(c->fail.text), "%s", text);
    over(c);
}

/* ---- the sink -------------------------------------------------------------------------------- */

static void on_ask(void *arg, struct dz_source_ask *take_ask)
{
    struct crawl_collect *c = ((struct crawl_job *)arg)->collect;
    switch (take_ask->kind) {
    case DZ_ASK_EMIT:
        collect_emit(c, take_ask);
        break;
    case DZ_ASK_SEEN:
        collect_seen(c, take_ask);
        break;
    case DZ_ASK_ARCHIVE:
        collect_archive(c, take_ask);
        break;
    }
}

static void on_trouble(void *arg, enum dz_source_kind kind, dz_str text)
{
    struct crawl_job *j = arg;
    struct crawl_collect *c = j->collect;
    struct dz_source_fail fail = {.kind = kind, .retry_after_ms = -1};
    snprintf(fail.text, sizeof(fail.text), "%.*s: %.*s", DZ_STR_FMT(j->rec.source),
             (int)(text.n < 400 ? text.n : 400), text.p);
    if (c->troubles++ == 0)
        c->trouble = fail;
    crawl_tell(j, &(struct dz_crawl_event){.kind = DZ_CRAWL_TROUBLE,
                                           .text = text,
                                           .fail_kind = dz_str_of(dz_source_kind_of(kind)->name)});
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct crawl_job *j = arg;
    struct crawl_collect *c = j->collect;
    j->done = done;
    j->total = total;
    crawl_tell(j, &(struct dz_crawl_event){
                      .kind = DZ_CRAWL_RECORDS, .done = done, .total = total, .records = c->fresh});
    if (c->untold)
        crawl_changed(j);
    c->untold = false;
}

static const struct dz_source_sink sink = {
    .ask = on_ask, .trouble = on_trouble, .progress = on_progress};

/* ---- the run --------------------------------------------------------------------------------- */

static void on_called(void *arg, const struct dz_source_result *res)
{
    struct crawl_job *j = arg;
    j->requests = res->requests;
    if (res->fail)
        j->collect->fail = *res->fail;
    over(j->collect);
}

static void begin_run(struct crawl_collect *c)
{
    struct crawl_job *j = c->j;
    struct dz_err err;
    crawl_job_source_env(j, &c->env);
    c->env.sink = &sink;
    json_t *options = j->options ? json_incref(j->options) : json_object();
    c->args = json_pack("[{s:b, s:I, s:o}]", "full", j->full, "limit_pages",
                        (json_int_t)j->limit_pages, "options", options);
    enum dz_code code = dz_source_run_new(j->source, &c->env, NULL, &c->run, &err);
    if (code == DZ_OK)
        code = dz_source_run_call(c->run, DZ_FN_CRAWL, c->args, on_called, j, &err);
    if (code != DZ_OK)
        failed(c, code == DZ_FULL ? DZ_SOURCE_LIMIT : DZ_SOURCE_PARSE, err.text);
}

/* Once more, beside the one at the start: the settings may have been read again since. */
static void run_ensure(struct dz_work *w)
{
    struct crawl_collect *c = dz_container(w, struct crawl_collect, ensure);
    for (size_t i = 0; i < c->n && c->ensure_code == DZ_OK; i++)
        c->ensure_code = ensure_one(c->j->env->catalog, c->v[i].coll, &c->ensure_err);
}

static void on_ensured(struct dz_work *w)
{
    struct crawl_collect *c = dz_container(w, struct crawl_collect, ensure);
    if (c->stopping)
        failed(c, DZ_SOURCE_CANCELLED, "stopped");
    else if (c->ensure_code != DZ_OK)
        failed(c,
               c->ensure_code == DZ_CONFLICT ? DZ_SOURCE_UNSUPPORTED
                                             : crawl_kind_of_code(c->ensure_code),
               c->ensure_err.text);
    else
        begin_run(c);
    collect_came_back(c);
}

struct crawl_collect *crawl_collect_new(struct crawl_job *j,
                                        void (*ended)(struct crawl_job *j,
                                                      const struct dz_source_fail *fail))
{
    struct crawl_collect *c = dz_new(struct crawl_collect);
    struct dz_collection *v[COLLECTIONS_N_MAX] = {0};
    struct dz_err err;
    size_t n = 0;
    j->collect = c;
    c->j = j;
    c->ended = ended;
    c->fail.retry_after_ms = -1;
    enum dz_code code = parse_all(dz_source_info_of(j->source), v, &n, &err);
    c->v = dz_alloc((n + 1) * sizeof(*c->v));
    for (; c->n < n; c->n++)
        c->v[c->n] = (struct collect_rows){.c = c, .coll = v[c->n]};
    c->ensure = (struct dz_work){.run = run_ensure, .home = j->env->loop, .done = on_ensured};
    if (code != DZ_OK)
        failed(c, DZ_SOURCE_PARSE, err.text);
    else if (!collect_submit(c, &c->ensure, &err))
        failed(c, DZ_SOURCE_UNAVAILABLE, err.text);
    return c;
}

void crawl_collect_stop(struct crawl_collect *c)
{
    c->stopping = true;
    dz_source_run_free(&c->run); /* its end comes inside */
}

void crawl_collect_free(struct crawl_collect **cc)
{
    struct crawl_collect *c = dz_take(cc);
    if (!c)
        return;
    dz_assert(c->works == 0);
    dz_timer_stop(c->j->env->loop, &c->soon);
    dz_source_run_free(&c->run);
    json_decref(c->args);
    for (size_t i = 0; i < c->n; i++)
        dz_collection_unref(&c->v[i].coll);
    free(c->v);
    free(c);
}

uint64_t crawl_collect_fresh(const struct crawl_collect *c)
{
    return c->fresh;
}

dz_str crawl_collect_result(struct crawl_job *j)
{
    const struct crawl_collect *c = j->collect;
    return dz_arena_printf(
        j->arena,
        "{\"records\":%llu,\"same\":%llu,\"clashes\":%llu,\"troubles\":%llu,\"pages\":%llu,"
        "\"requests\":%llu}",
        (unsigned long long)c->fresh, (unsigned long long)c->same, (unsigned long long)c->clashes,
        (unsigned long long)c->troubles, (unsigned long long)j->done,
        (unsigned long long)j->requests);
}
