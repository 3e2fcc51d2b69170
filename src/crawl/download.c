/*
 * download: one chapter from a site, or from the library, to a result on disk.
 *
 * In: what the row of a job says. Out: an archive or a folder of pages under its name, and one
 * `ended`. A chapter that is whole in the library is taken from there without asking anybody; else
 * its source names the pages, or hands over files of its own. One thing is under way at a time
 * (`busy`), and every end goes through `next`, which comes back from the loop. Loop thread, but for
 * what the functions run_… do on workers while the loop waits for them. Odd: what has come stays
 * when an attempt fails, for the next one; only a stop that says so removes it.
 */
#include <stdlib.h>

#include "crawl/download_int.h"

#define ARENA_MAX (256 * DZ_MIB)
#define LIBRARY_MAX (2 * DZ_GIB)
#define BUSY_LOOK_MS 500 /* while another process makes the same thing */
#define BUSY_LOOKS_MAX 120u
#define BUSY_AGAIN_MS 20000

enum step { STEP_OPEN, STEP_ASK, STEP_SAVE, STEP_CLOSE, STEP_END };
enum busy { BUSY_NOT, BUSY_WORK, BUSY_CALL, BUSY_PAGES };

struct crawl_download {
    struct crawl_download_spec s;
    struct dz_conf *conf; /* as it was at the start: workers read it */
    struct dz_arena *arena;
    struct download_args args;
    struct download_place place;
    const char *label; /* for messages: source and file */
    enum step step;
    enum busy busy;
    bool stopping, forget, there, published;
    bool forgets;   /* of the closing worker, which `forget` may change beside */
    unsigned looks; /* in vain, for an end of somebody else's work */
    struct dz_timer soon;
    struct dz_source_fail fail; /* the first one */
    struct crawl_download_progress progress;
    uint64_t requests;
    char *path;

    struct dz_work work;
    void (*worked)(struct crawl_download *d);
    enum dz_code work_code;
    struct dz_err work_err;
    atomic_bool work_stop;

    struct dz_source_env env;
    struct dz_source_run *run;
    json_t *call_args;
    struct crawl_keeper *keeper;
    struct crawl_pages *pages;

    const struct crawl_kept *kept; /* in reading order */
    dz_str *names;                 /* of them in the result */
    size_t kept_n;
    bool in_store; /* kept are blobs of the library */

    struct download_own *own; /* what the source hands over; NULL: it names pages */
    const dz_str *own_names;
};

static void step(struct crawl_download *d);

static void on_soon(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    step(dz_container(t, struct crawl_download, soon));
}

static void next(struct crawl_download *d, enum step to)
{
    d->step = to;
    dz_timer_set(d->s.env->loop, &d->soon, 0, on_soon);
}

static void fail(struct crawl_download *d, enum dz_source_kind kind, const char *fmt, ...)
    DZ_PRINTF(3, 4);
static void fail(struct crawl_download *d, enum dz_source_kind kind, const char *fmt, ...)
{
    if (d->fail.kind != DZ_SOURCE_OK)
        return;
    char words[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    d->fail.kind = kind;
    snprintf(d->fail.text, sizeof(d->fail.text), "%s: %s", d->label, words);
    snprintf(d->fail.message, sizeof(d->fail.message), "%s", words);
}

static void fail_as(struct crawl_download *d, const struct dz_source_fail *f)
{
    if (d->fail.kind == DZ_SOURCE_OK)
        d->fail = *f;
}

static void tell(struct crawl_download *d)
{
    if (d->s.progress)
        d->s.progress(d->s.arg, &d->progress);
}

static void note(struct crawl_download *d, const char *text)
{
    if (d->s.note)
        d->s.note(d->s.arg, text);
}

/* ---- work ------------------------------------------------------------------------------------ */

static void on_worked(struct dz_work *w)
{
    struct crawl_download *d = dz_container(w, struct crawl_download, work);
    d->busy = BUSY_NOT;
    d->worked(d);
}

static void work(struct crawl_download *d, void (*run)(struct dz_work *w),
                 void (*worked)(struct crawl_download *d))
{
    d->busy = BUSY_WORK;
    d->worked = worked;
    d->work_code = DZ_OK;
    d->work = (struct dz_work){.run = run, .home = d->s.env->loop, .done = on_worked};
    struct dz_err err; /* work_code and work_err are the worker's from here on */
    if (dz_pool_submit(d->s.env->pool, &d->work, &err) == DZ_OK)
        return;
    d->busy = BUSY_NOT;
    fail(d, crawl_kind_of_code(err.code), "%s", err.text);
    /* The folder of the work stays, as after a failure; its lock goes with the download. */
    next(d, STEP_END);
}

/* ---- opening: folders, and what the library has ---------------------------------------------- */

static bool are_there(const struct crawl_env *env, const struct dz_chapter_rec *c)
{
    for (size_t i = 0; i < c->pages_n; i++) {
        struct dz_blob_stat stat;
        if (dz_store_stat(env->store, &c->pages[i].blob.sha, &stat, NULL) != DZ_OK)
            return false;
    }
    return c->pages_n > 0;
}

static void take_chapter(struct crawl_download *d, const struct dz_chapter_rec *c)
{
    struct crawl_kept *v = dz_arena_alloc(d->arena, c->pages_n * sizeof(*v));
    d->progress.bytes = 0;
    for (size_t i = 0; i < c->pages_n; i++) {
        v[i] = (struct crawl_kept){.at = (uint32_t)i, .blob = c->pages[i].blob};
        v[i].blob.mime = dz_arena_str(d->arena, v[i].blob.mime);
        d->progress.bytes += v[i].blob.bytes;
    }
    d->kept = v;
    d->kept_n = c->pages_n;
    d->in_store = true;
}

/* Only a chapter without gaps: one that a repair took pages out of has lost its stamp. */
static enum dz_code look_in_library(struct crawl_download *d, struct dz_err *err)
{
    const struct crawl_env *env = d->s.env;
    int64_t id;
    if (!env->catalog)
        return DZ_OK;
    enum dz_code code =
        dz_catalog_series_find(env->catalog, d->s.source_id, d->args.series, &id, err);
    if (code == DZ_NOT_FOUND)
        return DZ_OK;
    DZ_TRY(code);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(LIBRARY_MAX);
    struct dz_series_full full;
    code = dz_catalog_load(env->catalog, id, a, &full, err);
    if (code == DZ_NOT_FOUND)
        return DZ_OK;
    DZ_TRY(code);
    for (size_t i = 0; i < full.chapters_n; i++) {
        const struct dz_chapter_rec *c = &full.chapters[i];
        if (dz_str_eq(c->source_id, d->args.chapter) && c->origin_stamp.n > 0 && are_there(env, c))
            take_chapter(d, c);
    }
    return DZ_OK;
}

static bool has(const struct crawl_download *d, enum dz_source_fn fn)
{
    return d->s.source && dz_source_info_of(d->s.source)->has[fn];
}

static void run_open(struct dz_work *w)
{
    struct crawl_download *d = dz_container(w, struct crawl_download, work);
    d->work_code = look_in_library(d, &d->work_err);
    if (d->work_code == DZ_OK)
        d->work_code = download_place_open(&d->place, d->s.destination, d->s.source_id, &d->args,
                                           d->in_store || has(d, DZ_FN_DOWNLOAD), d->s.since_ms,
                                           &d->there, &d->path, &d->work_err);
}

/* Somebody else makes the same thing: what he leaves is taken over, but one that has been halted is
 * not waited for without end. */
static bool waits_for_other(struct crawl_download *d)
{
    if (d->work_code != DZ_CONFLICT || d->stopping)
        return false;
    if (++d->looks > BUSY_LOOKS_MAX) {
        fail(d, DZ_SOURCE_UNAVAILABLE, "%s", d->work_err.text);
        d->fail.retry_after_ms = BUSY_AGAIN_MS;
        return false;
    }
    if (d->looks == 1)
        note(d, d->work_err.text);
    download_place_close(&d->place, false, false);
    dz_timer_set(d->s.env->loop, &d->soon, BUSY_LOOK_MS, on_soon);
    return true;
}

static void on_opened(struct crawl_download *d)
{
    if (waits_for_other(d))
        return;
    if (d->work_code != DZ_OK)
        fail(d, crawl_kind_of_code(d->work_code), "%s", d->work_err.text);
    if (d->work_code != DZ_OK || d->there || d->stopping) {
        next(d, STEP_CLOSE);
        return;
    }
    if (d->in_store) {
        d->progress.done = d->progress.listed = d->kept_n;
        tell(d);
    }
    next(d, d->in_store ? STEP_SAVE : STEP_ASK);
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void call(struct crawl_download *d, enum dz_source_fn fn, dz_source_done_fn *done)
{
    struct dz_err err;
    d->busy = BUSY_CALL;
    d->call_args = json_pack("[s%]", d->args.chapter.p, d->args.chapter.n);
    enum dz_code code = dz_source_run_new(d->s.source, &d->env, NULL, &d->run, &err);
    if (code == DZ_OK)
        code = dz_source_run_call(d->run, fn, d->call_args, done, d, &err);
    if (code == DZ_OK)
        return;
    d->busy = BUSY_NOT;
    fail(d, crawl_kind_of_code(code), "%s", err.text);
    next(d, STEP_CLOSE);
}

/* false: the call has failed, or nobody waits for it any more. */
static bool called(struct crawl_download *d, const struct dz_source_result *res)
{
    d->busy = BUSY_NOT;
    d->requests += res->requests;
    if (res->fail)
        fail_as(d, res->fail);
    if (!res->fail && !d->stopping)
        return true;
    next(d, STEP_CLOSE);
    return false;
}

static void say_difference(struct crawl_download *d, size_t n)
{
    char text[128];
    if (d->args.pages == 0 || d->args.pages == n)
        return;
    snprintf(text, sizeof(text), "the site declares %u pages and has %zu", d->args.pages, n);
    note(d, text);
}

static void on_pages(void *arg, const struct dz_source_fail *f, const struct crawl_kept *v,
                     size_t n)
{
    struct crawl_download *d = arg;
    d->busy = BUSY_NOT;
    d->requests += crawl_pages_requests(d->pages);
    if (f)
        fail_as(d, f);
    d->kept = v;
    d->kept_n = n;
    next(d, f || d->stopping ? STEP_CLOSE : STEP_SAVE);
}

static void on_recalled(void *arg, uint64_t n, uint64_t bytes)
{
    struct crawl_download *d = arg;
    d->progress.done += n;
    d->progress.bytes += bytes;
    tell(d);
}

static void on_page(void *arg, uint64_t done, uint64_t total, uint64_t bytes)
{
    (void)total;
    struct crawl_download *d = arg;
    d->progress.done = done;
    d->progress.bytes += bytes;
    tell(d);
}

static void on_note(void *arg, const char *text)
{
    note(arg, text);
}

static void on_list(void *arg, const struct dz_source_result *res)
{
    struct crawl_download *d = arg;
    if (!called(d, res))
        return;
    size_t n = json_array_size(res->value);
    say_difference(d, n);
    d->progress.listed = n;
    struct crawl_folder_spec folder = {d->place.pages, d->place.journal, d->place.width};
    d->keeper = crawl_keep_folder(&folder);
    struct crawl_pages_spec spec = {
        .env = d->s.env,
        .source = d->s.source,
        .keeper = d->keeper,
        .list = res->value,
        .label = dz_str_of(d->label),
        .page_delay_ms = d->conf->downloads.page_delay_ms,
        .any_bytes = true,
        .recalled = on_recalled,
        .progress = on_page,
        .note = on_note,
        .ended = on_pages,
        .arg = d,
    };
    d->busy = BUSY_PAGES;
    d->pages = crawl_pages_new(&spec);
}

/* ---- files that the source makes itself ------------------------------------------------------ */

static void own_ended(struct crawl_download *d)
{
    struct crawl_kept *v = NULL;
    dz_str *names = NULL;
    struct dz_err err;
    enum dz_code code = download_own_list(d->own, d->arena, &v, &names, &d->kept_n, &err);
    if (code != DZ_OK)
        fail(d, crawl_kind_of_code(code), "%s", err.text);
    else
        say_difference(d, d->kept_n);
    d->kept = v;
    d->own_names = names;
    next(d, d->fail.kind != DZ_SOURCE_OK || d->stopping ? STEP_CLOSE : STEP_SAVE);
}

static void on_own_kept(void *arg, uint64_t bytes)
{
    struct crawl_download *d = arg;
    d->progress.done++;
    d->progress.bytes += bytes;
    tell(d);
    if (d->busy == BUSY_NOT && !download_own_waits(d->own))
        own_ended(d);
}

static enum dz_code sink_archive(void *arg, dz_str name, dz_str bytes, struct dz_err *err)
{
    struct crawl_download *d = arg;
    return download_own_add(d->own, name, bytes, err);
}

static const struct dz_source_sink sink = {.archive = sink_archive};

static void on_own_called(void *arg, const struct dz_source_result *res)
{
    struct crawl_download *d = arg;
    d->busy = BUSY_NOT;
    d->requests += res->requests;
    if (res->fail)
        fail_as(d, res->fail);
    if (!download_own_waits(d->own))
        own_ended(d);
}

static void ask(struct crawl_download *d)
{
    if (!d->s.source) {
        fail(d, DZ_SOURCE_UNSUPPORTED, "there is no such source, or the settings switch it off");
        next(d, STEP_CLOSE);
    } else if (has(d, DZ_FN_DOWNLOAD)) {
        struct crawl_folder_spec folder = {d->place.pages, d->place.journal, d->place.width};
        d->keeper = crawl_keep_folder(&folder);
        d->own = download_own_new(d->s.env, d->keeper, on_own_kept, d);
        call(d, DZ_FN_DOWNLOAD, on_own_called);
    } else if (has(d, DZ_FN_PAGES)) {
        call(d, DZ_FN_PAGES, on_list);
    } else {
        fail(d, DZ_SOURCE_UNSUPPORTED, "the source has no pages()");
        next(d, STEP_CLOSE);
    }
}

/* ---- saving ---------------------------------------------------------------------------------- */

/* Counted from 1 in the result, whatever was left out between. DZ_CONFLICT: two with one name. */
static enum dz_code name_all(struct crawl_download *d, struct dz_err *err)
{
    DZ_AUTO(dz_map_done) struct dz_map taken;
    dz_map_init(&taken);
    d->names = dz_arena_alloc(d->arena, d->kept_n * sizeof(*d->names));
    for (size_t i = 0; i < d->kept_n; i++) {
        DZ_AUTO(dz_buf_done) struct dz_buf name;
        dz_buf_init(&name, DZ_KIB);
        dz_media_page_name((uint32_t)i, d->place.width, d->kept[i].blob.mime, &name);
        bool own = d->own_names && d->own_names[i].n > 0;
        d->names[i] = own ? d->own_names[i] : dz_arena_str(d->arena, dz_buf_str(&name));
        if (dz_map_set(&taken, d->names[i], d))
            return dz_fail(err, DZ_PARSE, "the source names two files \"%.*s\"",
                           DZ_STR_FMT(d->names[i]));
    }
    return DZ_OK;
}

static enum dz_code save(struct crawl_download *d, struct dz_err *err)
{
    DZ_TRY(name_all(d, err));
    struct download_save s = {
        .env = d->s.env,
        .conf = d->conf,
        .args = &d->args,
        .place = &d->place,
        .v = d->kept,
        .names = d->names,
        .n = d->kept_n,
        .in_store = d->in_store,
        .stop = &d->work_stop,
    };
    return download_save(&s, &d->path, err);
}

static enum dz_code put_mark(struct crawl_download *d, struct dz_err *err)
{
    struct dz_mark_rec mark = {.source = d->s.source_id,
                               .chapter = d->args.chapter,
                               .series = d->args.series,
                               .mark = DZ_MARK_DOWNLOADED};
    if (!d->args.add_mark || !d->s.env->catalog || d->args.series.n == 0)
        return DZ_OK;
    return dz_catalog_marks_put(d->s.env->catalog, &mark, 1, err);
}

static void run_save(struct dz_work *w)
{
    struct crawl_download *d = dz_container(w, struct crawl_download, work);
    if (!d->path)
        d->work_code = save(d, &d->work_err);
    d->published = d->path != NULL;
    if (d->work_code == DZ_OK)
        d->work_code = put_mark(d, &d->work_err);
}

static void on_saved(struct crawl_download *d)
{
    if (d->work_code != DZ_OK)
        fail(d, crawl_kind_of_code(d->work_code), "%s", d->work_err.text);
    next(d, STEP_CLOSE);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void run_close(struct dz_work *w)
{
    struct crawl_download *d = dz_container(w, struct crawl_download, work);
    download_place_close(&d->place, d->forgets, d->published);
}

static void on_closed(struct crawl_download *d)
{
    next(d, STEP_END);
}

static void close_place(struct crawl_download *d)
{
    /* After a failure what came stays, if it can be found again. */
    d->forgets = d->published || d->forget;
    work(d, run_close, on_closed);
}

static void end(struct crawl_download *d)
{
    bool worked = d->published || d->there;
    if (worked && d->fail.kind == DZ_SOURCE_CANCELLED)
        d->fail.kind = DZ_SOURCE_OK; /* the stop came too late */
    if (worked && d->fail.kind == DZ_SOURCE_OK && d->kept_n > 0) {
        d->progress.done = d->progress.total = d->progress.listed = d->kept_n;
        tell(d);
    }
    d->s.ended(d->s.arg, d->fail.kind == DZ_SOURCE_OK ? NULL : &d->fail);
}

static void step(struct crawl_download *d)
{
    if (d->busy != BUSY_NOT || download_own_waits(d->own))
        return;
    bool early = d->step == STEP_OPEN || d->step == STEP_ASK || d->step == STEP_SAVE;
    if (d->stopping && early && !d->published)
        d->step = d->step == STEP_OPEN ? STEP_END : STEP_CLOSE;
    switch (d->step) {
    case STEP_OPEN:
        work(d, run_open, on_opened);
        break;
    case STEP_ASK:
        ask(d);
        break;
    case STEP_SAVE:
        d->progress.phase = DZ_S("saving");
        tell(d);
        work(d, run_save, on_saved);
        break;
    case STEP_CLOSE:
        if (d->there && d->args.add_mark && !d->published && d->fail.kind == DZ_SOURCE_OK)
            work(d, run_save, on_saved); /* the mark that a death left out */
        else
            close_place(d);
        break;
    case STEP_END:
        end(d);
        break;
    }
}

static bool kv_get(void *arg, dz_str source, dz_str key, struct dz_buf *out)
{
    struct crawl_download *d = arg;
    return d->s.run_env.kv_get(d->s.run_env.arg, source, key, out);
}

static void kv_set(void *arg, dz_str source, dz_str key, dz_str json, int64_t expires_s)
{
    struct crawl_download *d = arg;
    d->s.run_env.kv_set(d->s.run_env.arg, source, key, json, expires_s);
}

static void run_log(void *arg, enum dz_level level, dz_str text)
{
    struct crawl_download *d = arg;
    d->s.run_env.log(d->s.run_env.arg, level, text);
}

struct crawl_download *crawl_download_new(const struct crawl_download_spec *s)
{
    struct crawl_download *d = dz_new(struct crawl_download);
    d->s = *s;
    d->conf = dz_conf_ref(s->env->conf);
    d->arena = dz_arena_new(ARENA_MAX);
    d->s.source_id = dz_arena_str(d->arena, s->source_id);
    d->s.destination = dz_arena_dup(d->arena, dz_str_of(s->destination));
    d->s.source = s->source ? dz_source_ref(s->source) : NULL;
    d->fail.retry_after_ms = -1;
    d->place.lock_fd = -1;
    d->env = (struct dz_source_env){
        .loop = s->env->loop,
        .fetch = s->env->fetch,
        .kv_get = s->run_env.kv_get ? kv_get : NULL,
        .kv_set = s->run_env.kv_set ? kv_set : NULL,
        .log = s->run_env.log ? run_log : NULL,
        .sink = &sink,
        .arg = d,
    };
    d->label = dz_arena_dup(d->arena, s->source_id);
    struct dz_err err;
    if (download_args_read(s->args, &d->args, &err) != DZ_OK) {
        fail(d, DZ_SOURCE_PARSE, "%s", err.text);
        next(d, STEP_END);
        return d;
    }
    dz_str file = dz_str_sub(d->args.file, 0, 150);
    d->label =
        dz_arena_printf(d->arena, "%.*s: %.*s", DZ_STR_FMT(s->source_id), DZ_STR_FMT(file)).p;
    d->progress.total = d->args.pages;
    next(d, STEP_OPEN);
    return d;
}

void crawl_download_stop(struct crawl_download *d, bool forget)
{
    d->forget |= forget;
    if (d->stopping)
        return;
    d->stopping = true;
    atomic_store(&d->work_stop, true);
    fail(d, DZ_SOURCE_CANCELLED, "stopped");
    if (d->busy == BUSY_CALL)
        dz_source_run_free(&d->run); /* its end comes before this returns */
    else if (d->busy == BUSY_PAGES)
        crawl_pages_stop(d->pages);
    else if (d->busy == BUSY_NOT && !download_own_waits(d->own))
        next(d, d->step);
}

const char *crawl_download_path(const struct crawl_download *d)
{
    return d->path;
}

bool crawl_download_was_there(const struct crawl_download *d)
{
    return d->there;
}

uint64_t crawl_download_requests(const struct crawl_download *d)
{
    return d->requests;
}

void crawl_download_free(struct crawl_download **dd)
{
    struct crawl_download *d = dz_take(dd);
    if (!d)
        return;
    dz_assert(d->busy == BUSY_NOT && !download_own_waits(d->own));
    dz_timer_stop(d->s.env->loop, &d->soon);
    dz_source_run_free(&d->run);
    crawl_pages_free(&d->pages);
    crawl_keeper_free(&d->keeper);
    download_place_close(&d->place, false, false);
    download_own_free(&d->own);
    json_decref(d->call_args);
    json_decref(d->args.json);
    dz_source_unref(&d->s.source);
    dz_arena_free(&d->arena);
    dz_conf_unref(&d->conf);
    free(d->path);
    free(d);
}
