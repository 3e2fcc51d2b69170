/*
 * back: the whole back role, from settings to exit status.
 *
 * In: settings, signals, the front's word over the bus. Out: a crawler that runs the jobs of the
 * catalog, and a data folder kept in order: unfinished temporaries of the store are swept at start
 * and every hour, on a worker because that reads folders. One loop on the calling thread. A back
 * that the front started ends with it: by the kernel's signal, by the front's "stop", or because
 * the parent is no longer there when the bus ends. One that was started on its own outlives fronts
 * and looks for the next one quietly.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "crawl/call_int.h"
#include "crawl/download_int.h"

#define CONNECT_WAIT_MS 100
#define RETRY_MS 200
#define RETRY_MAX_MS 5000
#define SWEEP_EVERY_MS (3600 * 1000)
#define SWEEP_OLDER_THAN_S 3600
#define WORKERS 4u /* they decode pictures and wait for the disk */
#define WORK_QUEUE_MAX 4096u
#define JOBS_KEPT 10000u
#define NEWS_WAIT_MS 200 /* at a time: bounds how long the end takes */
#define PARTS_KEPT_MS (INT64_C(14) * 24 * 3600 * 1000)

extern char **environ;

struct back {
    struct dz_conf *conf;
    const char *config_path;
    struct dz_loop *loop;
    struct dz_pool *pool;
    struct dz_store *store;
    struct dz_catalog *catalog;
    struct dz_crawler *crawler;
    struct crawl_calls *calls;
    const struct dz_back_hooks *hooks;
    bool stopping;
    int lock_fd;
    pid_t parent; /* 0: started on its own */

    struct dz_link link; /* fd -1: not connected */
    struct dz_timer retry;
    int64_t retry_ms;

    pthread_t listener; /* for what other processes change, where the catalog tells */
    bool listens;
    atomic_bool deaf;        /* it has to end */
    atomic_bool news_on_way; /* from the listener to on_news */
    struct dz_msg news;

    struct dz_conf *fresh; /* settings that were read again last; NULL: conf holds */
    struct dz_timer sweep;
    struct dz_work
        sweep_work; /* on its way from the timer to on_swept, which sets the timer again */
    struct dz_conf *sweep_conf; /* what it goes by; NULL: no sweep is under way */
    enum dz_code sweep_code;
    struct dz_err sweep_err;
    uint64_t swept;
};

#define LOG(level, ...) dz_log(&dz_crawl_back_ctx, level, __VA_ARGS__)

static void on_crawler_stopped(void *arg)
{
    struct back *b = arg;
    dz_loop_stop(b->loop);
}

static void stop(struct back *b, const char *why)
{
    if (b->stopping)
        return;
    b->stopping = true;
    LOG(DZ_INFO, "%s: ending", why);
    crawl_calls_close(&b->calls);
    dz_crawler_stop(b->crawler, on_crawler_stopped, b);
}

static bool parent_is_gone(const struct back *b)
{
    return b->parent != 0 && getppid() != b->parent;
}

/* ---- the bus --------------------------------------------------------------------------------- */

static void on_message(struct dz_link *k, const struct dz_wire_msg *m)
{
    struct back *b = dz_container(k, struct back, link);
    if (m->type == WIRE_PING) {
        dz_wire_put_pong(&k->out, m->n);
        dz_link_flush(k);
    } else if (m->type == WIRE_STOP && b->parent != 0) {
        stop(b, "the front ends");
    }
}

static void on_retry(struct dz_loop *l, struct dz_timer *t);

static void retry_later(struct back *b)
{
    if (parent_is_gone(b)) {
        stop(b, "the front is gone");
        return;
    }
    dz_timer_set(b->loop, &b->retry, b->retry_ms, on_retry);
    b->retry_ms = b->retry_ms * 2 < RETRY_MAX_MS ? b->retry_ms * 2 : RETRY_MAX_MS;
}

static void on_link_end(struct dz_link *k, const struct dz_err *why)
{
    struct back *b = dz_container(k, struct back, link);
    if (why->code == DZ_OK)
        LOG(DZ_INFO, "the front has closed the bus");
    else
        dz_log_err(&dz_crawl_back_ctx, DZ_WARN, why, "bus to the front lost");
    b->retry_ms = RETRY_MS;
    retry_later(b);
}

static enum dz_code connect_bus(struct back *b, struct dz_err *err)
{
    int fd;
    DZ_TRY(dz_place_connect(b->conf->data_dir, BUS_SOCKET, CONNECT_WAIT_MS, &fd, err));
    b->link.got = on_message;
    b->link.ended = on_link_end;
    DZ_TRY(dz_link_open(&b->link, b->loop, fd, LINK_FRAME_TIMEOUT_MS, err));
    dz_wire_put_hello(&b->link.out, "back", (int)getpid());
    dz_link_flush(&b->link);
    return DZ_OK;
}

static void on_retry(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    struct back *b = dz_container(t, struct back, retry);
    struct dz_err err;
    if (connect_bus(b, &err) == DZ_OK) {
        LOG(DZ_INFO, "connected to the front");
        return;
    }
    dz_log_err(&dz_crawl_back_ctx, DZ_DEBUG, &err, "no front yet");
    retry_later(b);
}

/* ---- the crawler ----------------------------------------------------------------------------- */

static void on_changed(void *arg)
{
    struct back *b = arg;
    if (b->link.fd < 0)
        return; /* a front that is away looks at the catalog when it comes */
    dz_wire_put_changed(&b->link.out);
    dz_link_flush(&b->link);
}

static void on_jobs(void *arg)
{
    struct back *b = arg;
    if (b->link.fd < 0)
        return;
    dz_wire_put_jobs(&b->link.out);
    dz_link_flush(&b->link);
}

static void on_event(void *arg, const struct dz_crawl_event *e)
{
    (void)arg;
    struct dz_log_ctx ctx = {.room = "crawl", .what = "job", .id = (uint64_t)e->job};
    char of[256];
    snprintf(of, sizeof(of), "%.*s%s%.*s", (int)(e->source.n < 100 ? e->source.n : 100),
             e->source.p, e->target.n ? "/" : "", (int)(e->target.n < 100 ? e->target.n : 100),
             e->target.p);
    switch (e->kind) {
    case DZ_CRAWL_BEGIN:
        dz_log(&ctx, DZ_DEBUG, "%s: begins", of);
        break;
    case DZ_CRAWL_CHAPTER_KEPT:
        dz_log(&ctx, DZ_INFO, "%s: chapter %.*s with %llu pages", of, DZ_STR_FMT(e->chapter),
               (unsigned long long)e->done);
        break;
    case DZ_CRAWL_TROUBLE:
        dz_log(&ctx, DZ_WARN, "%s: %.*s (%.*s)", of, DZ_STR_FMT(e->text), DZ_STR_FMT(e->fail_kind));
        break;
    case DZ_CRAWL_NOTE:
        dz_log(&ctx, DZ_INFO, "%s: chapter %.*s: %.*s", of, DZ_STR_FMT(e->chapter),
               DZ_STR_FMT(e->text));
        break;
    case DZ_CRAWL_END:
        if (dz_str_eq(e->fail_kind, DZ_S("cancelled")))
            dz_log(&ctx, DZ_INFO, "%s: stopped", of);
        else if (e->fail_kind.n)
            dz_log(&ctx, DZ_WARN, "%s: failed: %.*s", of, DZ_STR_FMT(e->text));
        else if (e->made.n)
            dz_log(&ctx, DZ_INFO, "%s: %.*s with %llu pages", of, DZ_STR_FMT(e->made),
                   (unsigned long long)e->done);
        else
            dz_log(&ctx, e->total ? DZ_INFO : DZ_DEBUG, "%s: done, %llu %s, %llu requests", of,
                   (unsigned long long)e->total, e->collects ? "new records" : "chapters",
                   (unsigned long long)e->requests);
        break;
    case DZ_CRAWL_CHAPTER:
    case DZ_CRAWL_PAGE:
    case DZ_CRAWL_RECORDS:
        break;
    }
}

static enum dz_code on_import(void *arg, const char *const *paths, size_t n, atomic_bool *stop_it,
                              uint64_t *ret_chapters, struct dz_err *err)
{
    struct back *b = arg;
    return b->hooks->import(b->hooks->arg, paths, n, stop_it, ret_chapters, err);
}

static enum dz_code open_crawler(struct back *b, struct dz_err *err)
{
    DZ_TRY(dz_catalog_open(dz_conf_driver_name(b->conf->catalog.driver), b->conf->data_dir,
                           b->conf->catalog.uri, &b->catalog, err));
    struct dz_crawler_options o = {
        .loop = b->loop,
        .conf = b->conf,
        .catalog = b->catalog,
        .store = b->store,
        .pool = b->pool,
        .schedule = true,
        .changed = on_changed,
        .jobs = on_jobs,
        .event = on_event,
        .import = b->hooks && b->hooks->import ? on_import : NULL,
        .arg = b,
    };
    DZ_TRY(dz_crawler_new(&o, &b->crawler, err));
    return crawl_calls_open(b->crawler, &b->calls, err);
}

/* ---- news of other processes ----------------------------------------------------------------- */

static void on_news(struct dz_loop *l, struct dz_msg *m)
{
    (void)l;
    struct back *b = dz_container(m, struct back, news);
    atomic_store(&b->news_on_way, false);
    if (!b->stopping)
        dz_crawler_news(b->crawler);
}

/* What it does not hear of is polled for. */
static void *listen_for_news(void *arg)
{
    struct back *b = arg;
    while (!atomic_load(&b->deaf)) {
        bool changed = false;
        if (dz_catalog_wait(b->catalog, NEWS_WAIT_MS, &changed, NULL) != DZ_OK)
            (void)nanosleep(&(struct timespec){.tv_nsec = NEWS_WAIT_MS * 1000000L}, NULL);
        else if (changed && !atomic_exchange(&b->news_on_way, true))
            dz_loop_post(b->loop, &b->news);
    }
    return NULL;
}

static enum dz_code start_listener(struct back *b, struct dz_err *err)
{
    if (!dz_catalog_can_wait(b->catalog))
        return DZ_OK;
    b->news.fn = on_news;
    int native = pthread_create(&b->listener, NULL, listen_for_news, b);
    b->listens = native == 0;
    return b->listens ? DZ_OK : dz_fail_errno(err, DZ_UNAVAILABLE, native, "start a thread");
}

/* ---- keeping house --------------------------------------------------------------------------- */

static void run_sweep(struct dz_work *w)
{
    struct back *b = dz_container(w, struct back, sweep_work);
    crawl_download_sweep(b->sweep_conf->downloads.destination, dz_now_ms() - PARTS_KEPT_MS);
    b->sweep_code = dz_store_sweep(b->store, SWEEP_OLDER_THAN_S, &b->swept, &b->sweep_err);
    if (b->sweep_code == DZ_OK)
        b->sweep_code =
            dz_catalog_jobs_trim(b->catalog, (dz_str){NULL, 0}, JOBS_KEPT, &b->sweep_err);
    if (b->sweep_code == DZ_OK)
        b->sweep_code = dz_catalog_jobs_trim(b->catalog, DZ_S(DZ_JOB_DOWNLOAD),
                                             b->sweep_conf->downloads.history, &b->sweep_err);
    if (b->sweep_code == DZ_OK)
        b->sweep_code =
            dz_catalog_parts_trim(b->catalog, dz_now_ms() - PARTS_KEPT_MS, &b->sweep_err);
}

static void on_sweep(struct dz_loop *l, struct dz_timer *t);

static void on_swept(struct dz_work *w)
{
    struct back *b = dz_container(w, struct back, sweep_work);
    bool again = b->fresh && b->sweep_conf != b->fresh; /* read while it was under way */
    dz_conf_unref(&b->sweep_conf);
    if (b->sweep_code != DZ_OK)
        dz_log_err(&dz_crawl_back_ctx, DZ_WARN, &b->sweep_err,
                   "the data folder was not put in order");
    else if (b->swept > 0)
        LOG(DZ_INFO, "%llu unfinished files of the store removed", (unsigned long long)b->swept);
    dz_timer_set(b->loop, &b->sweep, again ? 0 : SWEEP_EVERY_MS, on_sweep);
}

static void on_sweep(struct dz_loop *l, struct dz_timer *t)
{
    struct back *b = dz_container(t, struct back, sweep);
    b->sweep_work = (struct dz_work){.run = run_sweep, .home = l, .done = on_swept};
    b->swept = 0;
    b->sweep_conf = dz_conf_ref(b->fresh ? b->fresh : b->conf);
    if (dz_pool_submit(b->pool, &b->sweep_work, NULL) == DZ_OK)
        return;
    dz_conf_unref(&b->sweep_conf);
    dz_timer_set(l, t, SWEEP_EVERY_MS, on_sweep);
}

/* ---- settings and signals -------------------------------------------------------------------- */

static void reload(struct back *b)
{
    struct dz_conf *fresh = NULL;
    struct dz_err err;
    if (dz_conf_load(b->config_path, environ, &fresh, NULL, &err) != DZ_OK) {
        dz_log_err(&dz_crawl_back_ctx, DZ_ERROR, &err,
                   "settings not read again; the old ones stay");
        return;
    }
    /* Store, catalog and data folder are open: they stay as they were at the start. */
    dz_log_set_level(fresh->log.level);
    dz_crawler_set_conf(b->crawler, fresh);
    LOG(DZ_INFO, "settings read again: shelves, sources, downloads and log.level taken over");
    dz_conf_unref(&b->fresh);
    b->fresh = fresh;
    if (!b->sweep_conf) /* the history may be another one */
        dz_timer_set(b->loop, &b->sweep, 0, on_sweep);
}

static void on_signal(struct dz_loop *l, int signal, void *arg)
{
    (void)l;
    struct back *b = arg;
    if (signal == SIGHUP)
        reload(b);
    else if (signal == SIGTERM)
        stop(b, "SIGTERM");
    else if (b->parent == 0)
        stop(b, "SIGINT");
    /* A Ctrl-C reaches the whole group: the front says when a back that it started has to end. */
}

/* ---- the role -------------------------------------------------------------------------------- */

static enum dz_code open_back(struct back *b, struct dz_err *err)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < DZ_LEN(signals); i++)
        sigaddset(&set, signals[i]);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);

    DZ_TRY(dz_role_lock(b->conf->data_dir, "back", &b->lock_fd, err));
    DZ_TRY(dz_store_open_conf(b->conf, &b->store, err));
    DZ_TRY(dz_loop_new(&b->loop, err));
    DZ_TRY(dz_loop_signals(b->loop, signals, DZ_LEN(signals), on_signal, b, err));
    DZ_TRY(dz_pool_new(WORKERS, WORK_QUEUE_MAX, &b->pool, err));
    DZ_TRY(open_crawler(b, err));
    DZ_TRY(start_listener(b, err));
    dz_timer_set(b->loop, &b->retry, 0, on_retry);
    dz_timer_set(b->loop, &b->sweep, 0, on_sweep);
    return DZ_OK;
}

static void close_back(struct back *b)
{
    atomic_store(&b->deaf, true);
    if (b->listens)
        pthread_join(b->listener, NULL);
    if (b->loop) {
        dz_link_close(&b->link);
        dz_timer_stop(b->loop, &b->retry);
        dz_pool_close(&b->pool);
        dz_timer_stop(b->loop, &b->sweep);
        crawl_calls_close(&b->calls);
        dz_crawler_free(&b->crawler);
    }
    dz_loop_free(&b->loop);
    dz_catalog_close(&b->catalog);
    dz_store_close(&b->store);
    dz_conf_unref(&b->fresh);
    dz_conf_unref(&b->sweep_conf); /* of one that the end overtook */
    dz_closep(&b->lock_fd);
}

int dz_back_main(struct dz_conf *conf, const char *config_path, const struct dz_back_hooks *hooks)
{
    struct back b = {.conf = conf,
                     .config_path = config_path,
                     .hooks = hooks,
                     .lock_fd = -1,
                     .retry_ms = RETRY_MS};
    b.link.fd = -1;
    prctl(PR_SET_NAME,
          "dozo-back"); /* executed through /proc/self/exe it would be "exe" to ps and top */
    /* The supervisor asked the kernel for a signal at its end, which nobody else does. */
    int death_signal = 0;
    if (prctl(PR_GET_PDEATHSIG, &death_signal) == 0 && death_signal != 0)
        b.parent = getppid();

    struct dz_err err;
    int status = 0;
    if (open_back(&b, &err) == DZ_OK) {
        LOG(DZ_INFO, "running with pid %d", (int)getpid());
        dz_loop_run(b.loop);
    } else {
        dz_log_err(&dz_crawl_back_ctx, DZ_ERROR, &err, "cannot start the back");
        status = 1;
    }
    close_back(&b);
    return status;
}
