/*
 * crawl: one pass over one series, or over a whole source, now: for cron and for people who wait.
 *
 * In: "SOURCE/ID" or an address of the site. Out: chapters in the library, progress and what went
 * wrong on stderr, a summary or one JSON object on stdout. The pass is a job like any other, so a
 * running back and this command never crawl one series at once: while somebody else has the job
 * this one waits for its end and then makes its own pass. One loop on the calling thread. SIGINT
 * and SIGTERM let the job go where it stands; a second one ends the process at once. A running
 * front is told of chapters, at most five times a second.
 */
#include <stdlib.h>
#include <unistd.h>

#include "cli/crawl_int.h"

#define JSON_BYTES_MAX (16 * DZ_MIB)
#define NOTES_MAX 10000u
#define NAME_BYTES_MAX (16 * DZ_KIB)
#define TELL_EVERY_MS 200
#define POLL_MS 500
/* A back that runs beside takes due jobs within seconds: ours is due for others only when we did
 * not get to it. */
#define OURS_FOR_MS 60000
#define TRIES_MAX 60u /* times that a job was neither ours nor anybody's */
#define WORKERS 4u
#define WORK_QUEUE_MAX 4096u
#define JOBS_SEEN 1000u
#define ARENA_MAX (64 * DZ_MIB)

enum { OPT_FULL, OPT_LIMIT, OPT_LEGACY, OPT_OPTION, OPT_JSON, OPT_QUIET };
static const struct dz_option options[] = {
    [OPT_FULL] = {"full", NULL, "ask again for what is kept and for what failed lately", 'f'},
    [OPT_LIMIT] = {"limit-pages", "N", "at most N new chapters, or pages of each list", 'L'},
    [OPT_LEGACY] = {"legacy", NULL, "--option legacy=true (live.48.cn: clubs 4 and 5)", 0},
    [OPT_OPTION] = {"option", "NAME=VALUE", "an option of the source, for this crawl; more with ;",
                    0},
    [OPT_JSON] = {"json", NULL, "the result as one JSON object on stdout", 0},
    [OPT_QUIET] = {"quiet", NULL, "no progress and no summary, only what went wrong", 0},
    {NULL, NULL, NULL, 0},
};

struct note { /* for --json */
    char *kind, *chapter, *text;
};

struct run {
    struct dz_conf *conf;
    struct dz_sources *sources;
    bool quiet, json, full;
    uint64_t limit_pages;
    bool collects;   /* a source with collections, as a whole */
    json_t *options; /* of the source */
    struct dz_buf source, target;

    struct dz_loop *loop;
    struct dz_pool *pool;
    struct dz_catalog *catalog;
    struct dz_store *store;
    struct dz_crawler *crawler; /* NULL between tries */
    struct dz_timer wait, tell;
    bool untold;
    int64_t told_ms;

    int64_t job;
    bool job_is_ours, began, ended;
    struct dz_stopper stopper;
    bool told_waiting, told_repair;
    uint64_t chapters, changed, pages, bytes, requests, records;
    char *fail_kind, *fail_text; /* NULL: it worked */
    bool fail_said;
    struct note *notes;
    size_t notes_n, notes_cap;
    struct dz_progress progress;
};

/* ---- what the crawler tells --------------------------------------------------------------------
 */

static void on_tell(struct dz_loop *l, struct dz_timer *t)
{
    struct run *r = dz_container(t, struct run, tell);
    r->untold = false;
    dz_bus_tell_changed(r->conf->data_dir);
    r->told_ms = dz_loop_now_ms(l);
}

static void on_changed(void *arg)
{
    struct run *r = arg;
    if (r->untold)
        return;
    r->untold = true;
    int64_t wait_ms = r->told_ms + TELL_EVERY_MS - dz_loop_now_ms(r->loop);
    dz_timer_set(r->loop, &r->tell, r->told_ms == 0 || wait_ms < 0 ? 0 : wait_ms, on_tell);
}

static void keep_note(struct run *r, const struct dz_crawl_event *e)
{
    if (!r->json || r->notes_n >= NOTES_MAX)
        return;
    if (r->notes_n == r->notes_cap) {
        r->notes_cap = r->notes_cap ? r->notes_cap * 2 : 16;
        r->notes = dz_realloc(r->notes, r->notes_cap * sizeof(*r->notes));
    }
    r->notes[r->notes_n++] = (struct note){
        .kind = dz_str_dup(e->kind == DZ_CRAWL_NOTE ? DZ_S("note") : e->fail_kind),
        .chapter = e->chapter.n ? dz_str_dup(e->chapter) : NULL,
        .text = dz_str_dup(e->text),
    };
}

static int shown_n(dz_str s)
{
    return (int)(s.n < 4000 ? s.n : 4000);
}

static void begin_chapter(struct run *r, const struct dz_crawl_event *e)
{
    /* Pages of another chapter do not count for this one's speed. */
    r->progress.started = false;
    r->progress.state.rate = 0;
    char name[160];
    snprintf(name, sizeof(name), "chapter %.*s", (int)(e->chapter.n < 100 ? e->chapter.n : 100),
             e->chapter.p);
    dz_progress_set(&r->progress, e->done, e->total, name);
}

static void say_chapter(struct run *r, const struct dz_crawl_event *e)
{
    r->chapters++;
    if (r->progress.mode != DZ_PROGRESS_PLAIN)
        return;
    dz_say(&dz_cmd_crawl, "chapter %.*s: %llu page%s", shown_n(e->chapter), e->chapter.p,
           (unsigned long long)e->total, e->total == 1 ? "" : "s");
}

static void say_trouble(struct run *r, const struct dz_crawl_event *e)
{
    keep_note(r, e);
    if (e->kind == DZ_CRAWL_NOTE && r->quiet)
        return;
    dz_progress_clear(&r->progress);
    if (e->kind == DZ_CRAWL_NOTE)
        dz_say(&dz_cmd_crawl, "chapter %.*s: %.*s", shown_n(e->chapter), e->chapter.p,
               shown_n(e->text), e->text.p);
    else
        dz_say(&dz_cmd_crawl, "%.*s (%.*s)", shown_n(e->text), e->text.p, shown_n(e->fail_kind),
               e->fail_kind.p);
}

static void note_end(struct run *r, const struct dz_crawl_event *e)
{
    r->ended = true;
    r->pages = e->done;
    r->records = e->records;
    if (e->collects)
        r->chapters = r->changed = 0;
    else if (dz_str_eq(e->source, DZ_S("local")))
        r->chapters = e->total; /* an import tells nothing of single ones */
    else
        r->changed = e->total > r->chapters ? e->total - r->chapters : 0;
    if (e->fail_kind.n == 0)
        return;
    r->fail_kind = dz_str_dup(e->fail_kind);
    r->fail_text = dz_str_dup(e->text);
}

static void on_event(void *arg, const struct dz_crawl_event *e)
{
    struct run *r = arg;
    r->requests = e->requests > r->requests ? e->requests : r->requests;
    switch (e->kind) {
    case DZ_CRAWL_BEGIN:
        r->began = true;
        dz_progress_set(&r->progress, 0, 0, r->collects ? "asking" : "asking for chapters");
        break;
    case DZ_CRAWL_CHAPTER:
        begin_chapter(r, e);
        break;
    case DZ_CRAWL_PAGE: {
        char name[160];
        snprintf(name, sizeof(name), "chapter %.*s", (int)(e->chapter.n < 100 ? e->chapter.n : 100),
                 e->chapter.p);
        r->bytes += e->bytes;
        dz_progress_set(&r->progress, e->done, e->total, name);
        break;
    }
    case DZ_CRAWL_CHAPTER_KEPT:
        say_chapter(r, e);
        break;
    case DZ_CRAWL_TROUBLE:
        r->fail_said = true;
        say_trouble(r, e);
        break;
    case DZ_CRAWL_NOTE:
        say_trouble(r, e);
        break;
    case DZ_CRAWL_RECORDS: {
        char name[64];
        snprintf(name, sizeof(name), "pages, %llu new", (unsigned long long)e->records);
        dz_progress_set(&r->progress, e->done, e->total, name);
        break;
    }
    case DZ_CRAWL_END:
        note_end(r, e);
        break;
    }
}

/* ---- one try -----------------------------------------------------------------------------------
 */

static void on_stopped(void *arg)
{
    struct run *r = arg;
    dz_loop_stop(r->loop);
}

static void on_idle(void *arg, bool failed)
{
    (void)failed;
    struct run *r = arg;
    dz_crawler_stop(r->crawler, on_stopped, r);
}

static void on_stop(void *arg)
{
    struct run *r = arg;
    if (r->crawler)
        dz_crawler_stop(r->crawler, on_stopped, r);
    else
        dz_loop_stop(r->loop);
}

static enum dz_code import(void *arg, const char *const *paths, size_t n, atomic_bool *stop,
                           uint64_t *ret_chapters, struct dz_err *err)
{
    struct run *r = arg;
    return dz_cli_import_paths(r->conf, paths, n, stop, ret_chapters, err);
}

/* Runs r->job until it has ended, was stopped, or turned out to be somebody else's. */
static enum dz_code try_once(struct run *r, struct dz_err *err)
{
    struct dz_crawler_options o = {
        .loop = r->loop,
        .conf = r->conf,
        .catalog = r->catalog,
        .store = r->store,
        .pool = r->pool,
        .only_job = r->job,
        .only_full = r->full,
        .only_limit_pages = r->limit_pages,
        .only_options = r->options,
        .changed = on_changed,
        .event = on_event,
        .idle = on_idle,
        .import = import,
        .arg = r,
    };
    DZ_TRY(dz_crawler_new(&o, &r->crawler, err));
    dz_loop_run(r->loop);
    struct dz_crawler *c = dz_take(&r->crawler);
    dz_crawler_free(&c);
    return DZ_OK;
}

static void on_waited(struct dz_loop *l, struct dz_timer *t)
{
    (void)t;
    dz_loop_stop(l);
}

static void pause_a_little(struct run *r)
{
    dz_timer_set(r->loop, &r->wait, POLL_MS, on_waited);
    dz_loop_run(r->loop);
    dz_timer_stop(r->loop, &r->wait);
}

static void say_waiting(struct run *r, const struct dz_job_rec *j)
{
    if (r->told_waiting)
        return;
    r->told_waiting = true;
    dz_say(&dz_cmd_crawl, "another process crawls it right now (job %lld): waiting for its end",
           (long long)j->id);
}

/* Whether somebody runs the job under a lease that holds. One that a killed process left behind is
 * taken back by the crawler. */
static enum dz_code is_taken(struct run *r, bool *ret_taken, struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(ARENA_MAX);
    struct dz_job_rec *v = NULL;
    size_t n = 0;
    DZ_TRY(dz_catalog_jobs(r->catalog, JOBS_SEEN, a, &v, &n, err));
    *ret_taken = false;
    for (size_t i = 0; i < n; i++) {
        if (v[i].id != r->job || v[i].state != DZ_JOB_RUNNING || v[i].lease_until_ms <= dz_now_ms())
            continue;
        if (dz_crawl_owner_is_gone(r->catalog, r->conf->data_dir, v[i].owner))
            continue;
        *ret_taken = true;
        say_waiting(r, &v[i]);
    }
    return DZ_OK;
}

/* The crawler waits by itself as long as a repair runs; a person wants to know why. */
static void look_for_repair(struct run *r)
{
    DZ_AUTO(dz_catalog_unlock) struct dz_catalog_lock *lock = NULL;
    if (!r->told_repair && dz_catalog_lock(r->catalog, false, &lock, NULL) == DZ_CONFLICT) {
        r->told_repair = true;
        dz_say(&dz_cmd_crawl, "a repair of the library runs: waiting for its end");
    }
}

static enum dz_code ask(struct run *r, struct dz_err *err)
{
    struct dz_crawl_ask what = {
        .source = dz_buf_str(&r->source),
        .target = dz_buf_str(&r->target),
        .full = r->full,
        .limit_pages = r->limit_pages,
        .options = r->options,
        .run_after_ms = dz_now_ms() + OURS_FOR_MS,
    };
    int64_t before = r->job;
    bool is_new;
    DZ_TRY(dz_crawl_ask(r->catalog, r->sources, &what, &r->job, &is_new, err));
    r->job_is_ours = is_new || (r->job_is_ours && r->job == before);
    return DZ_OK;
}

static enum dz_code crawl(struct run *r, struct dz_err *err)
{
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        bool taken;
        DZ_TRY(ask(r, err));
        DZ_TRY(is_taken(r, &taken, err));
        if (taken) {
            tries = 0;
        } else {
            look_for_repair(r);
            DZ_TRY(try_once(r, err));
        }
        if (!r->began && !atomic_load(&r->stopper.asked))
            pause_a_little(r);
        if (r->began || atomic_load(&r->stopper.asked))
            return DZ_OK;
    }
    return dz_fail(err, DZ_UNAVAILABLE, "job %lld cannot be taken", (long long)r->job);
}

/* A job that nobody but us has asked for does not wait in the queue for somebody else. */
static void give_up_job(struct run *r)
{
    bool asked;
    struct dz_err err;
    if (!r->job_is_ours || !atomic_load(&r->stopper.asked))
        return;
    enum dz_code code = dz_catalog_job_cancel(r->catalog, r->job, dz_now_ms(), &asked, &err);
    if (code != DZ_OK && code != DZ_NOT_FOUND)
        dz_say(&dz_cmd_crawl, "%s", err.text);
}

/* ---- result ------------------------------------------------------------------------------------
 */

static void put_summary(struct dz_buf *b, const struct run *r, int64_t spent_ms)
{
    dz_text_put(b, dz_buf_str(&r->source), SIZE_MAX);
    if (r->target.n > 0) {
        dz_buf_putc(b, '/');
        dz_text_put(b, dz_buf_str(&r->target), SIZE_MAX);
    }
    dz_buf_put(b, DZ_S(": "));
    if (r->fail_kind) {
        dz_buf_put(b, DZ_S("failed ("));
        dz_text_put(b, dz_str_of(r->fail_kind), SIZE_MAX);
        dz_buf_put(b, DZ_S("); "));
    }
    if (r->collects)
        dz_count_put(b, r->records, "record", "records");
    else
        dz_count_put(b, r->chapters, "chapter", "chapters");
    dz_buf_put(b, DZ_S(" new"));
    if (dz_str_eq(dz_buf_str(&r->source), DZ_S("local"))) { /* no site, and pages are not told */
        dz_buf_putf(b, " in %.1f s\n", (double)spent_ms / 1000);
        return;
    }
    dz_buf_put(b, DZ_S(", "));
    if (r->changed > 0) {
        dz_buf_put_u64(b, r->changed);
        dz_buf_put(b, DZ_S(" changed, "));
    }
    dz_count_put(b, r->pages, "page", "pages");
    dz_buf_put(b, DZ_S(", "));
    if (r->bytes > 0) {
        dz_buf_put_size(b, r->bytes);
        dz_buf_put(b, DZ_S(", "));
    }
    dz_count_put(b, r->requests, "request", "requests");
    dz_buf_putf(b, " in %.1f s\n", (double)spent_ms / 1000);
}

static void put_json(struct dz_buf *b, const struct run *r, int64_t spent_ms, bool worked)
{
    const struct {
        const char *key;
        uint64_t n;
    } figures[] = {
        {"job", (uint64_t)r->job},
        {"chapters_new", r->chapters},
        {"chapters_changed", r->changed},
        {"records_new", r->records},
        {"pages", r->pages},
        {"bytes", r->bytes},
        {"requests", r->requests},
        {"duration_ms", (uint64_t)spent_ms},
    };
    struct dz_json j;
    dz_json_init(&j, b, DZ_JSON_INDENT4, false);
    dz_json_object(&j);
    dz_member_bool(&j, "ok", worked);
    dz_member_text(&j, "source", dz_buf_str(&r->source));
    dz_member_text(&j, "target", r->target.n ? dz_buf_str(&r->target) : (dz_str){NULL, 0});
    for (size_t i = 0; i < DZ_LEN(figures); i++)
        dz_member_int(&j, figures[i].key, (int64_t)figures[i].n);
    dz_member_text(&j, "failure", dz_str_of(r->fail_text));
    dz_member_text(&j, "failure_kind", dz_str_of(r->fail_kind));
    dz_json_key(&j, DZ_S("notes"));
    dz_json_array(&j);
    for (size_t i = 0; i < r->notes_n; i++) {
        dz_json_object(&j);
        dz_member_text(&j, "kind", dz_str_of(r->notes[i].kind));
        dz_member_text(&j, "chapter", dz_str_of(r->notes[i].chapter));
        dz_member_text(&j, "text", dz_str_of(r->notes[i].text));
        dz_json_end(&j);
    }
    dz_json_end(&j);
    dz_json_end(&j);
    dz_buf_putc(b, '\n');
}

static int finish(struct run *r, int64_t spent_ms, enum dz_code code, const struct dz_err *err)
{
    bool stopped = atomic_load(&r->stopper.asked) && (r->fail_kind || !r->ended);
    bool worked = code == DZ_OK && r->ended && !r->fail_kind;
    dz_progress_clear(&r->progress);
    if (code != DZ_OK && !r->fail_text) {
        r->fail_kind = dz_strdup(dz_code_name(code));
        r->fail_text = dz_strdup(err->text);
    }
    if (stopped)
        dz_say(&dz_cmd_crawl,
               "stopped; finished pages are kept, the same command goes on from here");
    else if (r->fail_text && !r->fail_said)
        dz_say(&dz_cmd_crawl, "%s", r->fail_text);
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, JSON_BYTES_MAX);
    if (r->json)
        put_json(&out, r, spent_ms, worked);
    else if (!r->quiet && !stopped)
        put_summary(&out, r, spent_ms);
    dz_print(&out);
    return worked ? DZ_EXIT_OK : DZ_EXIT_FAILED;
}

/* ---- the command -------------------------------------------------------------------------------
 */

static enum dz_code open_all(struct run *r, struct dz_err *err)
{
    const struct dz_conf *c = r->conf;
    r->stopper = (struct dz_stopper){.progress = &r->progress, .stop = on_stop, .arg = r};
    DZ_TRY(dz_loop_new(&r->loop, err));
    DZ_TRY(dz_stopper_watch(&r->stopper, r->loop, err));
    DZ_TRY(dz_make_run_dir(c->data_dir, err));
    DZ_TRY(dz_store_open_conf(c, &r->store, err));
    DZ_TRY(dz_catalog_open(dz_conf_driver_name(c->catalog.driver), c->data_dir, c->catalog.uri,
                           &r->catalog, err));
    return dz_pool_new(WORKERS, WORK_QUEUE_MAX, &r->pool, err);
}

static void close_all(struct run *r)
{
    if (r->loop) {
        dz_timer_stop(r->loop, &r->tell);
        dz_pool_close(&r->pool);
    }
    dz_catalog_close(&r->catalog);
    dz_store_close(&r->store);
    dz_loop_free(&r->loop);
}

/* "A=1;B=2" as values of the source's options. */
static int read_options(struct run *r, bool legacy, const char *option)
{
    const struct dz_source *s = dz_sources_find(r->sources, dz_buf_str(&r->source));
    struct dz_err err = {0};
    r->collects = s && r->target.n == 0 && dz_source_info_of(s)->has[DZ_FN_CRAWL];
    if (!legacy && !option)
        return DZ_EXIT_OK;
    if (!r->collects)
        return dz_usage_error(&dz_cmd_crawl,
                              "--option and --legacy are for sources with collections");
    r->options = json_object();
    enum dz_code code = DZ_OK;
    if (legacy)
        code = dz_crawl_option(s, DZ_S("legacy=true"), r->options, &err);
    for (dz_str rest = dz_str_of(option); rest.n && code == DZ_OK;) {
        size_t end = dz_str_chr(rest, ';');
        code = dz_crawl_option(s, dz_str_sub(rest, 0, end), r->options, &err);
        rest = dz_str_after(rest, end);
    }
    return code == DZ_OK ? DZ_EXIT_OK : dz_usage_error(&dz_cmd_crawl, "%s", err.text);
}

static int crawl_with(struct run *r, const char *what, bool legacy, const char *option)
{
    struct dz_err err = {0};
    int status = dz_crawl_what(r->conf, r->sources, what, &r->source, &r->target);
    if (status != DZ_EXIT_OK)
        return status;
    status = read_options(r, legacy, option);
    if (status != DZ_EXIT_OK)
        return status;
    dz_progress_begin(&r->progress, false, r->quiet);
    if ((r->quiet || r->progress.mode == DZ_PROGRESS_BAR) && r->conf->log.level == DZ_INFO)
        dz_log_set_level(DZ_WARN);
    int64_t begin_ns = dz_mono_ns();
    enum dz_code code = open_all(r, &err);
    if (code == DZ_OK)
        code = crawl(r, &err);
    if (r->catalog)
        give_up_job(r);
    if (r->untold || r->chapters + r->changed + r->records > 0)
        dz_bus_tell_changed(r->conf->data_dir);
    close_all(r);
    if (!r->began && (code == DZ_NOT_FOUND || code == DZ_BAD_INPUT || code == DZ_UNSUPPORTED))
        return dz_usage_error(&dz_cmd_crawl, "%s", err.text);
    return finish(r, (dz_mono_ns() - begin_ns) / 1000000, code, &err);
}

static void forget(struct run *r)
{
    for (size_t i = 0; i < r->notes_n; i++) {
        free(r->notes[i].kind);
        free(r->notes[i].chapter);
        free(r->notes[i].text);
    }
    dz_freep(&r->notes);
    dz_freep(&r->fail_kind);
    dz_freep(&r->fail_text);
    json_decref(r->options);
    dz_buf_done(&r->source);
    dz_buf_done(&r->target);
    dz_sources_free(&r->sources);
    dz_conf_unref(&r->conf);
}

static void on_problem(void *arg, const struct dz_err *e)
{
    (void)arg;
    dz_say(&dz_cmd_crawl, "warning: %s", e->text);
}

static int run_crawl(int argc, char **argv)
{
    struct dz_args a;
    int status;
    if (!dz_args_begin(&dz_cmd_crawl, argc, argv, &a, &status))
        return status;
    struct run r = {.quiet = a.value[OPT_QUIET] != NULL,
                    .json = a.value[OPT_JSON] != NULL,
                    .full = a.value[OPT_FULL] != NULL};
    dz_buf_init(&r.source, DZ_TEXT_MAX);
    dz_buf_init(&r.target, DZ_TEXT_MAX);
    struct dz_err err;
    const char *limit = a.value[OPT_LIMIT];
    bool limit_bad =
        limit && (dz_str_u64(dz_str_of(limit), INT64_MAX, &r.limit_pages, NULL) != DZ_OK ||
                  r.limit_pages == 0);
    if (a.operands_n != 1)
        status = dz_usage_error(&dz_cmd_crawl, a.operands_n ? "one SOURCE/ID at a time"
                                                            : "what is to be crawled?");
    else if (limit_bad)
        status =
            dz_usage_error(&dz_cmd_crawl, "--limit-pages \"%.100s\": a number from 1 on", limit);
    else if (!dz_settings_load(&dz_cmd_crawl, a.config, &r.conf))
        status = DZ_EXIT_FAILED;
    else if (dz_sources_load(r.conf, on_problem, NULL, &r.sources, &err) != DZ_OK) {
        dz_say(&dz_cmd_crawl, "%s", err.text);
        status = DZ_EXIT_FAILED;
    } else {
        status = crawl_with(&r, a.operands[0], a.value[OPT_LEGACY] != NULL, a.value[OPT_OPTION]);
    }
    forget(&r);
    dz_args_done(&a);
    return status;
}

const struct dz_command dz_cmd_crawl = {
    .name = "crawl",
    .summary = "fetch what is new at a site, once",
    .usage = "crawl SOURCE[/ID] [--full] [--limit-pages N] [--option NAME=VALUE]\n"
             "crawl ADDRESS",
    .help = "Asks the site for new chapters of a series and takes them into the library,\n"
            "whole or not at all: dozo crawl viz.com/komi-cant-communicate. An address of a\n"
            "page at the site does as well. A running server shows new chapters at once.\n"
            "Ctrl-C stops; finished pages are kept, and the same command goes on from there.\n"
            "When another dozo crawls the series right now this one waits for its end first.\n"
            "\n"
            "A source that fills collections is crawled as a whole: dozo crawl live.48.cn.\n"
            "What could not be had is told, the rest is kept, and the exit status is 1.\n"
            "\n"
            "Series of shelves are crawled by `dozo serve` too, every crawl.every. `dozo\n"
            "sources` lists the sources, `dozo jobs` what runs.\n"
            "\n"
            "Exit status: 0 all fine, 1 something failed, 2 wrong use.",
    .options = options,
    .run = run_crawl,
};
