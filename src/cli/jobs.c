/*
 * jobs: what is queued, runs and has ended, and ending one.
 *
 * In: rows of the catalog, read anew for each picture. Out: a table as wide as the terminal, or
 * JSON. With --watch a terminal shows a new picture each second, on its second screen so that what
 * was there before comes back; a pipe gets one picture after another. Signals end the watch. One
 * thread; the catalog knows all. A back is only told to look, when a running job is to end.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "catalog/catalog.h"
#include "cli/cli_int.h"
#include "crawl/crawl.h"
#include "library/library.h"

#define ENDED_SHOWN 20u
#define ALL_MAX 100000u
#define OUT_MAX (64 * DZ_MIB)
#define ARENA_MAX (512 * DZ_MIB)
#define TELL_WAIT_MS 2000

enum { OPT_WATCH, OPT_JSON, OPT_ALL, OPT_CANCEL };
static const struct dz_option options[] = {
    [OPT_WATCH] = {"watch", NULL, "a new picture each second until Ctrl-C", 0},
    [OPT_JSON] = {"json", NULL, "one JSON object on stdout; with --watch one a line", 0},
    [OPT_ALL] = {"all", NULL, "all that have ended, not only the latest", 0},
    [OPT_CANCEL] = {"cancel", "ID", "end this job, or take it out of the queue", 0},
    {NULL, NULL, NULL, 0},
};

static atomic_bool stop;

static void on_signal(int signal)
{
    (void)signal;
    atomic_store(&stop, true);
}

/* ---- one picture -------------------------------------------------------------------------------
 */

struct picture {
    struct dz_arena *arena;
    uint64_t counts[DZ_JOB_STATES];
    struct dz_job_rec *v;
    size_t n;
    int64_t now_ms;
};

static enum dz_code look(struct dz_catalog *c, bool all, struct picture *p, struct dz_err *err)
{
    p->now_ms = dz_now_ms();
    DZ_TRY(dz_catalog_job_counts(c, p->counts, err));
    uint64_t live = p->counts[DZ_JOB_QUEUED] + p->counts[DZ_JOB_RUNNING];
    uint64_t max = all || live + ENDED_SHOWN > ALL_MAX ? ALL_MAX : live + ENDED_SHOWN;
    return dz_catalog_jobs(c, (size_t)max, p->arena, &p->v, &p->n, err);
}

/* One whose owner is gone is free for the next. */
static bool is_lost(const struct picture *p, const struct dz_job_rec *j)
{
    return j->state == DZ_JOB_RUNNING && j->lease_until_ms <= p->now_ms;
}

static dz_str state_of(const struct picture *p, const struct dz_job_rec *j)
{
    if (is_lost(p, j))
        return DZ_S("lost");
    if (j->state == DZ_JOB_RUNNING && j->cancel_asked)
        return DZ_S("ending");
    return j->phase.n > 0 ? j->phase : dz_str_of(dz_job_state_name(j->state));
}

static void add_what(struct dz_table *t, const struct dz_job_rec *j)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 16 * DZ_KIB);
    if (!dz_str_eq(j->kind, DZ_S("crawl"))) {
        dz_buf_put(&b, j->kind);
        dz_buf_putc(&b, ' ');
    }
    dz_buf_put(&b, j->source);
    if (j->target.n > 0) {
        dz_buf_putc(&b, '/');
        dz_buf_put(&b, j->target);
    }
    dz_table_add(t, dz_buf_str(&b));
}

/* "3/20, 1.5 MiB" */
static void add_progress(struct dz_table *t, const struct dz_job_rec *j)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 128);
    bool part = j->total > 0 && j->done < j->total;
    if (part || j->done > 0)
        dz_buf_put_u64(&b, j->done);
    if (part) {
        dz_buf_putc(&b, '/');
        dz_buf_put_u64(&b, j->total);
    }
    if (j->bytes > 0) {
        dz_buf_put(&b, b.n > 0 ? DZ_S(", ") : DZ_S(""));
        dz_buf_put_size(&b, j->bytes);
    }
    dz_table_add(t, dz_buf_str(&b));
}

/* "3 min ago", "in 10 s", "now" */
static void add_time(struct dz_table *t, int64_t at_ms, int64_t now_ms)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 128);
    if (at_ms > now_ms) {
        dz_buf_put(&b, DZ_S("in "));
        dz_buf_put_span(&b, at_ms - now_ms + 999);
    } else if (at_ms > 0) {
        dz_buf_put_span(&b, now_ms - at_ms);
        dz_buf_put(&b, DZ_S(" ago"));
    }
    dz_table_add(t, dz_buf_str(&b));
}

static void add_job(struct dz_table *t, const struct picture *p, const struct dz_job_rec *j)
{
    char id[24];
    snprintf(id, sizeof(id), "%lld", (long long)j->id);
    dz_table_add(t, dz_str_of(id));
    dz_table_add(t, state_of(p, j));
    add_what(t, j);
    add_progress(t, j);
    add_time(t, j->started_ms, p->now_ms);
    if (j->state == DZ_JOB_QUEUED && j->run_after_ms <= p->now_ms)
        dz_table_add(t, DZ_S("now"));
    else
        add_time(t, j->state == DZ_JOB_QUEUED ? j->run_after_ms : 0, p->now_ms);
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 16 * DZ_KIB);
    if (j->fail_kind.n > 0) {
        dz_buf_put(&b, j->fail_kind);
        dz_buf_put(&b, DZ_S(": "));
        dz_buf_put(&b, j->fail_text);
    }
    dz_table_add(t, dz_buf_str(&b));
}

static void put_counts(const struct picture *p, const char *line_end, struct dz_buf *out)
{
    for (size_t i = 0; i < DZ_JOB_STATES; i++) {
        if (i > 0)
            dz_buf_put(out, DZ_S(", "));
        dz_buf_put_u64(out, p->counts[i]);
        dz_buf_putf(out, " %s", dz_job_state_name((enum dz_job_state)i));
    }
    dz_buf_put(out, dz_str_of(line_end));
}

/* At most `rows` lines of `columns`; SIZE_MAX: no limit. */
static void put_table(const struct picture *p, size_t columns, size_t rows, const char *line_end,
                      struct dz_buf *out)
{
    static const char *const heads[] = {"ID",      "STATE", "WHAT",   "PAGES",
                                        "STARTED", "NEXT",  "FAILURE"};
    put_counts(p, line_end, out);
    if (p->n == 0)
        return;
    DZ_AUTO(dz_table_done) struct dz_table t;
    dz_table_init(&t, heads, DZ_LEN(heads));
    size_t shown = rows > 3 && p->n > rows - 3 ? rows - 3 : p->n;
    for (size_t i = 0; i < shown; i++)
        add_job(&t, p, &p->v[i]);
    dz_table_put(&t, columns, line_end, out);
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static void put_job(struct dz_json *j, const struct picture *p, const struct dz_job_rec *job)
{
    dz_json_object(j);
    dz_member_int(j, "id", job->id);
    dz_member_text(j, "state", dz_str_of(dz_job_state_name(job->state)));
    dz_member_text(j, "phase", job->phase);
    dz_member_bool(j, "lost", is_lost(p, job));
    dz_member_bool(j, "cancel_asked", job->cancel_asked);
    dz_member_text(j, "kind", job->kind);
    dz_member_text(j, "source", job->source);
    dz_member_text(j, "target", job->target);
    dz_member_int(j, "priority", job->priority);
    dz_member_int(j, "attempts", job->attempts);
    dz_member_int(j, "pages_done", (int64_t)job->done);
    dz_member_int(j, "pages_total", (int64_t)job->total);
    dz_member_int(j, "bytes", (int64_t)job->bytes);
    dz_member_time(j, "created", job->created_ms);
    dz_member_time(j, "run_after", job->run_after_ms);
    dz_member_time(j, "started", job->started_ms);
    dz_member_time(j, "ended", job->ended_ms);
    dz_member_text(j, "owner", job->owner);
    dz_member_text(j, "failure_kind", job->fail_kind);
    dz_member_text(j, "failure", job->fail_text);
    dz_json_key(j, DZ_S("result"));
    if (job->result.n > 0)
        dz_json_raw(j, job->result);
    else
        dz_json_null(j);
    dz_json_end(j);
}

static void put_json(const struct picture *p, bool one_line, struct dz_buf *out)
{
    struct dz_json j;
    dz_json_init(&j, out, one_line ? DZ_JSON_COMPACT : DZ_JSON_INDENT4, false);
    dz_json_object(&j);
    dz_json_key(&j, DZ_S("counts"));
    dz_json_object(&j);
    for (size_t i = 0; i < DZ_JOB_STATES; i++)
        dz_member_int(&j, dz_job_state_name((enum dz_job_state)i), (int64_t)p->counts[i]);
    dz_json_end(&j);
    dz_json_key(&j, DZ_S("jobs"));
    dz_json_array(&j);
    for (size_t i = 0; i < p->n; i++)
        put_job(&j, p, &p->v[i]);
    dz_json_end(&j);
    dz_json_end(&j);
    dz_buf_putc(out, '\n');
}

/* ---- the command -------------------------------------------------------------------------------
 */

static bool is_drawn(const struct dz_args *a)
{
    size_t columns, rows;
    const char *term = getenv("TERM");
    return a->value[OPT_WATCH] && !a->value[OPT_JSON] && dz_terminal_size(&columns, &rows) &&
           term && term[0] && strcmp(term, "dumb") != 0;
}

static enum dz_code show(const struct dz_args *a, struct dz_catalog *c, struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *arena = dz_arena_new(ARENA_MAX);
    struct picture p = {.arena = arena};
    DZ_TRY(look(c, a->value[OPT_ALL] != NULL, &p, err));
    DZ_AUTO(dz_buf_done) struct dz_buf out;
    dz_buf_init(&out, OUT_MAX);
    size_t columns = SIZE_MAX, rows = SIZE_MAX;
    if (a->value[OPT_JSON]) {
        put_json(&p, a->value[OPT_WATCH] != NULL, &out);
    } else if (is_drawn(a)) {
        (void)dz_terminal_size(&columns, &rows);
        dz_buf_put(&out, DZ_S("\x1b[H"));
        put_table(&p, columns, rows, "\x1b[K\r\n", &out);
        dz_buf_put(&out, DZ_S("\x1b[J"));
    } else {
        if (dz_terminal_size(&columns, &rows))
            rows = SIZE_MAX; /* it scrolls */
        put_table(&p, columns, rows, "\n", &out);
        if (a->value[OPT_WATCH])
            dz_buf_putc(&out, '\n');
    }
    if (out.full)
        return dz_fail(err, DZ_TOO_LARGE, "the list is longer than %llu bytes",
                       (unsigned long long)OUT_MAX);
    dz_print(&out);
    return DZ_OK;
}

static enum dz_code watch(const struct dz_args *a, struct dz_catalog *c, struct dz_err *err)
{
    struct sigaction action = {.sa_handler = on_signal}; /* not SA_RESTART: the pause ends */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    bool drawn = is_drawn(a);
    if (drawn)
        (void)!fputs("\x1b[?1049h\x1b[?25l", stdout);
    enum dz_code code = DZ_OK;
    while (!atomic_load(&stop) && code == DZ_OK) {
        code = show(a, c, err);
        if (fflush(stdout) != 0)
            break; /* cli.c says why */
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
    if (drawn)
        (void)!fputs("\x1b[?25h\x1b[?1049l", stdout);
    return code;
}

static void on_told(void *arg, const struct dz_call_result *r)
{
    (void)r;
    dz_loop_stop(arg);
}

/* So that the back hears at once of a job that is to end; one that is away finds out by itself. Of
 * a catalog that wakes backs they hear anyway, also on other machines. */
static void tell_back(const struct dz_conf *conf)
{
    DZ_AUTO(dz_loop_free) struct dz_loop *l = NULL;
    struct dz_call *call = NULL;
    if (dz_loop_new(&l, NULL) == DZ_OK &&
        dz_back_call(l, conf->data_dir, "look", NULL, TELL_WAIT_MS, on_told, l, &call, NULL) ==
            DZ_OK)
        dz_loop_run(l);
}

static int cancel(struct dz_catalog *c, const struct dz_conf *conf, int64_t id)
{
    struct dz_err err;
    bool asked = false;
    enum dz_code code = dz_catalog_job_cancel(c, id, dz_now_ms(), &asked, &err);
    if (code == DZ_NOT_FOUND) {
        dz_say(&dz_cmd_jobs, "there is no job %lld", (long long)id);
    } else if (code != DZ_OK) {
        dz_say(&dz_cmd_jobs, "%s", err.text);
    } else if (!asked) {
        dz_say(&dz_cmd_jobs, "job %lld has ended already", (long long)id);
        code = DZ_CONFLICT;
    } else {
        DZ_AUTO(dz_buf_done) struct dz_buf b;
        DZ_AUTO(dz_arena_free) struct dz_arena *arena = dz_arena_new(ARENA_MAX);
        struct picture p = {.arena = arena};
        bool runs = false;
        if (look(c, false, &p, NULL) == DZ_OK)
            for (size_t i = 0; i < p.n; i++)
                runs = runs || (p.v[i].id == id && p.v[i].state == DZ_JOB_RUNNING);
        if (runs && !dz_catalog_can_wait(c))
            tell_back(conf);
        dz_buf_init(&b, 256);
        dz_buf_putf(&b,
                    runs ? "job %lld is asked to end; finished pages are kept\n"
                         : "job %lld is cancelled\n",
                    (long long)id);
        dz_print(&b);
    }
    return code == DZ_OK ? DZ_EXIT_OK : DZ_EXIT_FAILED;
}

static int jobs_with(const struct dz_args *a, const struct dz_conf *conf, int64_t id)
{
    DZ_AUTO(dz_catalog_close) struct dz_catalog *c = NULL;
    struct dz_err err;
    if (!dz_library_exists(conf)) {
        dz_say(&dz_cmd_jobs, "no library in %s", conf->data_dir);
        return DZ_EXIT_FAILED;
    }
    enum dz_code code = dz_catalog_open(dz_conf_driver_name(conf->catalog.driver), conf->data_dir,
                                        conf->catalog.uri, &c, &err);
    if (code == DZ_OK && id > 0)
        return cancel(c, conf, id);
    if (code == DZ_OK)
        code = a->value[OPT_WATCH] ? watch(a, c, &err) : show(a, c, &err);
    if (code != DZ_OK)
        dz_say(&dz_cmd_jobs, "%s", err.text);
    return code == DZ_OK ? DZ_EXIT_OK : DZ_EXIT_FAILED;
}

static int run_jobs(int argc, char **argv)
{
    struct dz_args a;
    int status;
    if (!dz_args_begin(&dz_cmd_jobs, argc, argv, &a, &status))
        return status;
    struct dz_conf *conf = NULL;
    uint64_t id = 0;
    const char *cancelled = a.value[OPT_CANCEL];
    bool id_bad =
        cancelled && (dz_str_u64(dz_str_of(cancelled), INT64_MAX, &id, NULL) != DZ_OK || id == 0);
    if (a.operands_n > 0)
        status = dz_usage_error(&dz_cmd_jobs, "it takes no \"%.100s\"", a.operands[0]);
    else if (id_bad)
        status = dz_usage_error(&dz_cmd_jobs, "--cancel \"%.100s\": a job has a number", cancelled);
    else if (cancelled && (a.value[OPT_WATCH] || a.value[OPT_ALL] || a.value[OPT_JSON]))
        status = dz_usage_error(&dz_cmd_jobs, "--cancel goes with no other option");
    else
        status = dz_settings_load(&dz_cmd_jobs, a.config, &conf) ? jobs_with(&a, conf, (int64_t)id)
                                                                 : DZ_EXIT_FAILED;
    dz_conf_unref(&conf);
    dz_args_done(&a);
    return status;
}

const struct dz_command dz_cmd_jobs = {
    .name = "jobs",
    .summary = "what is crawled now, next, and how it went",
    .usage = "jobs [--watch] [--all] [--json]\n"
             "jobs --cancel ID",
    .help = "Running jobs first, then queued ones by when they are due, then the latest that\n"
            "have ended. PAGES counts what a job has got so far, of a download its bytes as\n"
            "well. A running job of this machine's server hears of its cancelling at once,\n"
            "one of another process within a quarter of crawl.job_lease, at most 15 s; its\n"
            "finished pages are kept.\n"
            "\n"
            "Exit status: 0 done, 1 failed (also: no such job, or it has ended), 2 wrong\n"
            "use.",
    .options = options,
    .run = run_jobs,
};
