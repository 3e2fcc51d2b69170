/*
 * download: chapters to disk, now, without a server and without a data folder.
 *
 * In: addresses of chapters or of series. Out: a result for each chapter below the destination, its
 * path on stdout as soon as it is there; progress and what went wrong on stderr, or one JSON object
 * on stdout at the end. Unfinished work lies where a server would have it too, so that the same
 * command, or the server, goes on from there. One loop on the calling thread; chapters come one
 * after another. SIGINT and SIGTERM stop where it stands; a second one ends the process at once.
 */
#include <stdlib.h>

#include "cli/crawl_int.h"

#define JSON_BYTES_MAX (64 * DZ_MIB)
#define TRIES_MAX 3u
#define WAIT_FIRST_MS 1000
#define WAIT_MAX_MS 60000 /* a site that wants more of a pause is not waited for */
#define WORKERS 4u
#define WORK_QUEUE_MAX 4096u

enum { OPT_METHOD, OPT_TO, OPT_AGAIN, OPT_JSON, OPT_QUIET };
static const struct dz_option options[] = {
    [OPT_METHOD] = {"method", "M", DZ_CONF_METHOD_WORDS " (downloads.method)", 0},
    [OPT_TO] = {"to", "DIR", "where to, in place of downloads.destination", 0},
    [OPT_AGAIN] = {"again", NULL, "also chapters that are there already", 0},
    [OPT_JSON] = {"json", NULL, "the results as one JSON object on stdout", 0},
    [OPT_QUIET] = {"quiet", NULL, "only the paths and what went wrong", 0},
    {NULL, NULL, NULL, 0},
};

struct result {
    char *source, *chapter, *path, *fail_kind, *fail_text; /* path or a failure */
    bool was_there;
    uint64_t pages, bytes;
};

struct run {
    struct dz_conf *conf;
    struct dz_sources *sources;
    bool quiet, json, again;
    const char *method, *to;

    struct dz_loop *loop;
    struct dz_pool *pool;
    struct dz_fetch *fetch;
    struct dz_stopper stopper;
    struct dz_progress progress;
    struct dz_timer wait;

    struct dz_asker asker; /* run NULL: nobody is asked */
    struct dz_download *download;
    struct dz_source *source; /* at hand */
    char name[160];           /* of the chapter at hand */
    uint64_t pages, bytes;    /* of it */
    struct dz_source_fail fail;
    char *path;
    bool ended, was_there;

    struct result *results;
    size_t results_n, results_cap;
    uint64_t requests;
    bool failed; /* something beside a chapter did */
};

static bool is_stopped(struct run *r)
{
    return atomic_load(&r->stopper.asked);
}

static void on_stop(void *arg)
{
    struct run *r = arg;
    if (r->download)
        dz_download_stop(r->download);
    else if (r->asker.asking)
        dz_asker_close(&r->asker);
    else
        dz_loop_stop(r->loop);
}

/* ---- one chapter -------------------------------------------------------------------------------
 */

static void on_progress(void *arg, const struct dz_download_state *s)
{
    struct run *r = arg;
    r->pages = s->done;
    r->bytes = s->bytes;
    dz_progress_set(&r->progress, s->done, s->total, r->name);
}

static void on_note(void *arg, const char *text)
{
    struct run *r = arg;
    if (r->quiet)
        return;
    dz_progress_clear(&r->progress);
    dz_say(&dz_cmd_download, "%s: %s", r->name, text);
}

static void on_ended(void *arg, const struct dz_source_fail *fail, const char *path, bool was_there)
{
    struct run *r = arg;
    r->fail = fail ? *fail : (struct dz_source_fail){.retry_after_ms = -1};
    r->path = path && !fail ? dz_strdup(path) : NULL;
    r->was_there = was_there;
    r->ended = true;
    dz_loop_stop(r->loop);
}

static void on_log(void *arg, enum dz_level level, dz_str text)
{
    (void)arg;
    static const struct dz_log_ctx ctx = {.room = "source", .what = "log"};
    dz_log(&ctx, level, "%.*s", (int)(text.n < 2000 ? text.n : 2000), text.p);
}

static enum dz_code try_once(struct run *r, const json_t *chapter, const json_t *series,
                             struct dz_err *err)
{
    struct dz_download_spec spec = {
        .loop = r->loop,
        .pool = r->pool,
        .fetch = r->fetch,
        .conf = r->conf,
        .source = r->source,
        .chapter = chapter,
        .series = series,
        .method = r->method,
        .destination = r->to,
        .again = r->again,
        .progress = on_progress,
        .note = on_note,
        .ended = on_ended,
        .log = on_log,
        .arg = r,
    };
    r->ended = false;
    r->pages = r->bytes = 0;
    r->progress.started = false; /* pages of another chapter do not count for this one's speed */
    r->progress.state.rate = 0;
    DZ_TRY(dz_download_new(&spec, &r->download, err));
    while (!r->ended)
        dz_loop_run(r->loop);
    struct dz_download *d = dz_take(&r->download);
    r->requests += dz_download_requests(d);
    dz_download_free(&d);
    return DZ_OK;
}

static void on_waited(struct dz_loop *l, struct dz_timer *t)
{
    (void)t;
    dz_loop_stop(l);
}

/* Whether it is worth another try, after the pause that was taken. */
static bool wait_for_next(struct run *r, unsigned tries)
{
    int64_t wait_ms = (int64_t)WAIT_FIRST_MS << tries;
    wait_ms = r->fail.retry_after_ms > wait_ms ? r->fail.retry_after_ms : wait_ms;
    if (!dz_source_kind_of(r->fail.kind)->retried || tries + 1 >= TRIES_MAX ||
        wait_ms > WAIT_MAX_MS || is_stopped(r))
        return false;
    dz_progress_clear(&r->progress);
    if (!r->quiet)
        dz_say(&dz_cmd_download, "%s; once more in %lld s", r->fail.text,
               (long long)(wait_ms + 999) / 1000);
    dz_timer_set(r->loop, &r->wait, wait_ms, on_waited);
    dz_loop_run(r->loop);
    dz_timer_stop(r->loop, &r->wait);
    return !is_stopped(r);
}

static void print_path(struct run *r)
{
    DZ_AUTO(dz_buf_done) struct dz_buf line;
    dz_buf_init(&line, DZ_MIB);
    dz_text_put(&line, dz_str_of(r->path), SIZE_MAX);
    dz_buf_putc(&line, '\n');
    dz_print(&line);
    fflush(stdout); /* whoever reads along takes it up now */
}

static void keep_result(struct run *r, const json_t *chapter)
{
    if (r->results_n == r->results_cap) {
        r->results_cap = r->results_cap ? r->results_cap * 2 : 64;
        r->results = dz_realloc(r->results, r->results_cap * sizeof(*r->results));
    }
    bool failed = r->fail.kind != DZ_SOURCE_OK;
    r->results[r->results_n++] = (struct result){
        .source = dz_str_dup(dz_source_info_of(r->source)->id),
        .chapter = dz_str_dup(dz_json_text_at(chapter, "id")),
        .path = dz_take(&r->path),
        .fail_kind = failed ? dz_strdup(dz_source_kind_of(r->fail.kind)->name) : NULL,
        .fail_text = failed ? dz_strdup(r->fail.text) : NULL,
        .was_there = r->was_there,
        .pages = r->pages,
        .bytes = r->bytes,
    };
}

static void say_result(struct run *r)
{
    dz_progress_clear(&r->progress);
    if (r->fail.kind != DZ_SOURCE_OK && !is_stopped(r))
        dz_say(&dz_cmd_download, "%s (%s)", r->fail.text, dz_source_kind_of(r->fail.kind)->name);
    else if (r->was_there && !r->quiet)
        dz_say(&dz_cmd_download, "%s is there already", r->name);
    if (r->path && !r->json)
        print_path(r);
}

static void name_chapter(struct run *r, const json_t *chapter, size_t at, size_t n)
{
    const json_t *number = json_object_get(chapter, "chapter");
    char text[80], of[48] = "";
    if (json_is_integer(number))
        snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(number));
    else if (json_is_real(number))
        snprintf(text, sizeof(text), "%g", json_real_value(number));
    else
        snprintf(text, sizeof(text), "%s",
                 json_is_string(number) ? json_string_value(number)
                                        : json_string_value(json_object_get(chapter, "id")));
    if (n > 1)
        snprintf(of, sizeof(of), " (%zu of %zu)", at + 1, n);
    snprintf(r->name, sizeof(r->name), "chapter %s%s", text, of);
}

/* DZ_BAD_INPUT: what was asked for cannot be; then nothing else of it can either. */
static enum dz_code download(struct run *r, const json_t *chapter, const json_t *series,
                             struct dz_err *err)
{
    unsigned tries = 0;
    dz_progress_set(&r->progress, 0, 0, r->name);
    do
        DZ_TRY(try_once(r, chapter, series, err));
    while (r->fail.kind != DZ_SOURCE_OK && wait_for_next(r, tries++));
    say_result(r);
    keep_result(r, chapter);
    return DZ_OK;
}

/* ---- what is meant ------------------------------------------------------------------------------
 */

/* Infos of a series; of a source that has none to give, its id and a title. */
static enum dz_code ask_series(struct run *r, dz_str id, json_t **ret_series, struct dz_err *err)
{
    if (dz_source_info_of(r->source)->has[DZ_FN_SERIES])
        return dz_asker_ask_text(&r->asker, DZ_FN_SERIES, id, ret_series, err);
    *ret_series = json_pack("{s:s%, s:s%}", "id", id.p, id.n, "title", id.p, id.n);
    return DZ_OK;
}

static enum dz_code ask_chapters(struct run *r, dz_str series, json_t **ret_list,
                                 struct dz_err *err)
{
    return dz_asker_ask(&r->asker, DZ_FN_CHAPTERS, json_pack("[s%, []]", series.p, series.n),
                        ret_list, err);
}

/* One chapter as a list of it. */
static enum dz_code ask_chapter(struct run *r, dz_str id, json_t **ret_list, json_t **ret_series,
                                struct dz_err *err)
{
    json_t *chapter = NULL, *series = NULL;
    if (dz_source_info_of(r->source)->has[DZ_FN_CHAPTER])
        DZ_TRY(dz_asker_ask_text(&r->asker, DZ_FN_CHAPTER, id, &chapter, err));
    else
        chapter = json_pack("{s:s%}", "id", id.p, id.n);
    *ret_list = json_pack("[o]", chapter);
    dz_str of = dz_json_text_at(chapter, "series");
    enum dz_code code = DZ_OK;
    if (of.n == 0)
        code = dz_asker_ask_text(&r->asker, DZ_FN_SERIES_OF, id, &series, err);
    if (code == DZ_OK)
        code = ask_series(r, of.n ? of : dz_json_text(series), ret_series, err);
    json_decref(series);
    return code;
}

static enum dz_code find(struct run *r, dz_str url, json_t **ret_list, json_t **ret_series,
                         struct dz_err *err)
{
    json_t *found = NULL;
    DZ_TRY(dz_asker_ask_text(&r->asker, DZ_FN_RESOLVE, url, &found, err));
    dz_str kind = dz_json_text_at(found, "kind"), id = dz_json_text_at(found, "id");
    enum dz_code code;
    if (dz_str_eq(kind, DZ_S("chapter"))) {
        code = ask_chapter(r, id, ret_list, ret_series, err);
    } else if (dz_str_eq(kind, DZ_S("series"))) {
        code = ask_series(r, id, ret_series, err);
        if (code == DZ_OK)
            code = ask_chapters(r, id, ret_list, err);
    } else {
        code = dz_fail(err, DZ_NOT_FOUND, "%.*s knows no chapter and no series at this address",
                       DZ_STR_FMT(dz_source_info_of(r->source)->id));
    }
    json_decref(found);
    return code;
}

static enum dz_code ask(struct run *r, dz_str url, json_t **ret_list, json_t **ret_series,
                        struct dz_err *err)
{
    DZ_TRY(dz_asker_open(&r->asker, r->loop, r->fetch, r->source, err));
    enum dz_code code = find(r, url, ret_list, ret_series, err);
    dz_asker_close(&r->asker);
    r->requests += r->asker.requests;
    return code;
}

static enum dz_code download_all(struct run *r, const json_t *list, const json_t *series,
                                 struct dz_err *err)
{
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n && !is_stopped(r); i++) {
        const json_t *chapter = json_array_get(list, i);
        name_chapter(r, chapter, i, n);
        DZ_TRY(download(r, chapter, series, err));
        if (i + 1 < n && dz_crawl_is_site(&r->fail))
            return dz_fail(err, DZ_UNAVAILABLE, "the site is not asked for the other %zu chapters",
                           n - i - 1);
    }
    return DZ_OK;
}

static void download_url(struct run *r, const char *url)
{
    json_t *list = NULL, *series = NULL;
    struct dz_err err = {0};
    dz_progress_set(&r->progress, 0, 0, "asking for chapters");
    r->source = dz_sources_match(r->sources, dz_str_of(url));
    enum dz_code code = ask(r, dz_str_of(url), &list, &series, &err);
    if (code != DZ_OK && r->asker.fail.kind != DZ_SOURCE_OK)
        (void)dz_fail(&err, code, "%s", r->asker.fail.text);
    if (code == DZ_OK)
        code = download_all(r, list, series, &err);
    dz_progress_clear(&r->progress);
    if (code != DZ_OK && !is_stopped(r))
        dz_say(&dz_cmd_download, "%s: %s", url, err.text);
    r->failed |= code != DZ_OK;
    json_decref(list);
    json_decref(series);
}

/* ---- results ------------------------------------------------------------------------------------
 */

static void put_json(struct dz_buf *b, const struct run *r, int64_t spent_ms, bool worked)
{
    struct dz_json j;
    dz_json_init(&j, b, DZ_JSON_INDENT4, false);
    dz_json_object(&j);
    dz_member_bool(&j, "ok", worked);
    dz_json_key(&j, DZ_S("chapters"));
    dz_json_array(&j);
    for (size_t i = 0; i < r->results_n; i++) {
        const struct result *t = &r->results[i];
        dz_json_object(&j);
        dz_member_text(&j, "source", dz_str_of(t->source));
        dz_member_text(&j, "chapter", dz_str_of(t->chapter));
        dz_member_text(&j, "path", dz_str_of(t->path));
        dz_member_bool(&j, "was_there", t->was_there);
        dz_member_int(&j, "pages", (int64_t)t->pages);
        dz_member_int(&j, "bytes", (int64_t)t->bytes);
        dz_member_text(&j, "failure", dz_str_of(t->fail_text));
        dz_member_text(&j, "failure_kind", dz_str_of(t->fail_kind));
        dz_json_end(&j);
    }
    dz_json_end(&j);
    dz_member_int(&j, "requests", (int64_t)r->requests);
    dz_member_int(&j, "duration_ms", spent_ms);
    dz_json_end(&j);
    dz_buf_putc(b, '\n');
}

static void say_summary(const struct run *r, int64_t spent_ms)
{
    uint64_t made = 0, there = 0, failed = 0, pages = 0, bytes = 0;
    for (size_t i = 0; i < r->results_n; i++) {
        const struct result *t = &r->results[i];
        failed += t->fail_text != NULL;
        there += t->was_there;
        made += t->path && !t->was_there;
        pages += t->path && !t->was_there ? t->pages : 0;
        bytes += t->path && !t->was_there ? t->bytes : 0;
    }
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_KIB);
    dz_count_put(&b, made, "chapter", "chapters");
    dz_buf_put(&b, DZ_S(", "));
    dz_count_put(&b, pages, "page", "pages");
    dz_buf_put(&b, DZ_S(", "));
    dz_buf_put_size(&b, bytes);
    dz_buf_put(&b, DZ_S(", "));
    dz_count_put(&b, r->requests, "request", "requests");
    dz_buf_putf(&b, " in %.1f s", (double)spent_ms / 1000);
    if (there > 0)
        dz_buf_putf(&b, "; %llu there already", (unsigned long long)there);
    if (failed > 0)
        dz_buf_putf(&b, "; %llu failed", (unsigned long long)failed);
    dz_say(&dz_cmd_download, "%s", dz_buf_cstr(&b));
}

static int finish(struct run *r, int64_t spent_ms)
{
    bool worked = !r->failed && !is_stopped(r);
    for (size_t i = 0; i < r->results_n; i++)
        worked &= r->results[i].fail_text == NULL;
    if (is_stopped(r))
        dz_say(&dz_cmd_download, "stopped; what has come is kept, the same command goes on from "
                                 "here");
    else if (!r->quiet && !r->json)
        say_summary(r, spent_ms);
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, JSON_BYTES_MAX);
    if (r->json)
        put_json(&out, r, spent_ms, worked);
    dz_print(&out);
    return worked ? DZ_EXIT_OK : DZ_EXIT_FAILED;
}

/* ---- the command --------------------------------------------------------------------------------
 */

static enum dz_code open_all(struct run *r, struct dz_err *err)
{
    r->stopper = (struct dz_stopper){.progress = &r->progress, .stop = on_stop, .arg = r};
    DZ_TRY(dz_loop_new(&r->loop, err));
    DZ_TRY(dz_stopper_watch(&r->stopper, r->loop, err));
    DZ_TRY(dz_pool_new(WORKERS, WORK_QUEUE_MAX, &r->pool, err));
    return dz_cli_fetch_new(r->loop, r->conf, &r->fetch, err);
}

static void close_all(struct run *r)
{
    dz_fetch_free(&r->fetch);
    if (r->loop)
        dz_pool_close(&r->pool);
    dz_loop_free(&r->loop);
    for (size_t i = 0; i < r->results_n; i++) {
        struct result *t = &r->results[i];
        char **texts[] = {&t->source, &t->chapter, &t->path, &t->fail_kind, &t->fail_text};
        for (size_t k = 0; k < DZ_LEN(texts); k++)
            dz_freep(texts[k]);
    }
    dz_freep(&r->results);
}

static int download_urls(struct run *r, const char *const *urls, size_t n)
{
    struct dz_err err = {0};
    for (size_t i = 0; i < n; i++)
        if (!dz_sources_match(r->sources, dz_str_of(urls[i])))
            return dz_usage_error(&dz_cmd_download,
                                  "no source knows \"%.200s\"; dozo sources lists what they are "
                                  "for",
                                  urls[i]);
    dz_progress_begin(&r->progress, false, r->quiet);
    if ((r->quiet || r->progress.mode == DZ_PROGRESS_BAR) && r->conf->log.level == DZ_INFO)
        dz_log_set_level(DZ_WARN);
    int64_t begin_ns = dz_mono_ns();
    if (open_all(r, &err) != DZ_OK) {
        dz_say(&dz_cmd_download, "%s", err.text);
        return DZ_EXIT_FAILED;
    }
    for (size_t i = 0; i < n && !is_stopped(r); i++)
        download_url(r, urls[i]);
    return finish(r, (dz_mono_ns() - begin_ns) / 1000000);
}

static void on_problem(void *arg, const struct dz_err *e)
{
    (void)arg;
    dz_say(&dz_cmd_download, "warning: %s", e->text);
}

static int run_download(int argc, char **argv)
{
    struct dz_args a;
    int status;
    if (!dz_args_begin(&dz_cmd_download, argc, argv, &a, &status))
        return status;
    struct run r = {.quiet = a.value[OPT_QUIET] != NULL,
                    .json = a.value[OPT_JSON] != NULL,
                    .again = a.value[OPT_AGAIN] != NULL,
                    .method = a.value[OPT_METHOD],
                    .to = a.value[OPT_TO]};
    enum dz_download_method method;
    struct dz_err err;
    if (a.operands_n == 0) {
        status = dz_usage_error(&dz_cmd_download, "what is to be downloaded?");
    } else if (r.method && !dz_conf_method_find(r.method, &method)) {
        status = dz_usage_error(&dz_cmd_download, "--method \"%.100s\": " DZ_CONF_METHOD_WORDS,
                                r.method);
    } else if (!dz_settings_load(&dz_cmd_download, a.config, &r.conf)) {
        status = DZ_EXIT_FAILED;
    } else if (dz_sources_load(r.conf, on_problem, NULL, &r.sources, &err) != DZ_OK) {
        dz_say(&dz_cmd_download, "%s", err.text);
        status = DZ_EXIT_FAILED;
    } else {
        status = download_urls(&r, a.operands, a.operands_n);
    }
    close_all(&r);
    dz_sources_free(&r.sources);
    dz_conf_unref(&r.conf);
    dz_args_done(&a);
    return status;
}

const struct dz_command dz_cmd_download = {
    .name = "download",
    .summary = "write chapters to disk",
    .usage = "download ADDRESS… [--method M] [--to DIR] [--again]",
    .help = "Writes chapters as CBZ, ZIP or folders of pages. An address is that of a\n"
            "chapter or of a series at a site that a source knows; of a series all chapters\n"
            "are taken, in order. The path of each result is printed as soon as it is there.\n"
            "Names, method and folder are those of the settings (downloads). A chapter that\n"
            "is there already is passed over.\n"
            "\n"
            "No server is needed, and one may run beside it. Ctrl-C stops; what has come is\n"
            "kept, and the same command goes on from there.\n"
            "\n"
            "Exit status: 0 all fine, 1 something failed, 2 wrong use.",
    .options = options,
    .run = run_download,
};
