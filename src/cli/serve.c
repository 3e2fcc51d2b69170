/*
 * serve: the front, and the back as its supervised child.
 *
 * Opens library, cache and workers, lays the api over the HTTP server, and runs the control loop on
 * the main thread: signals, the bus, the supervisor, a look at everybody's health once a second.
 * SIGTERM and SIGINT end gracefully, SIGHUP reads the settings anew. Things are closed in the
 * reverse order of who uses whom: threads of the server, back, bus, workers, loops of the server,
 * library, api, cache.
 */
#include "cli/cli.h"
#include "cli/cli_int.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

extern char **environ;

#define WORKERS 8u
#define WORK_QUEUE_MAX 4096u
#define READERS 8u
#define READ_QUEUE_MAX 1024u
#define BACK_STOP_MS 5000
#define FILES_SPARE 256u /* descriptors that no connection gets; fewer where there are few */
#define CONNECTIONS_LEAST 4u
#define MAPPED_BYTES (128 * 1024)

static const struct dz_log_ctx ctx = {.room = "serve"};

struct front {
    const char *config_path;
    struct dz_conf *conf;
    struct dz_library *library;
    struct dz_cache *cache;
    struct dz_shared_cache *shared; /* NULL: nothing is */
    struct dz_pool *pool, *readers; /* readers: of a store without files, else NULL */
    struct dz_api *api;
    struct dz_http_server *server;
    struct dz_loop *control;
    struct dz_bus *bus;
    struct dz_back *back;
    struct dz_timer watch;
    struct dz_certs certs;
    int lock_fd;
    unsigned descriptors; /* open before the first connection */
    bool with_back, was_healthy;
    char **back_argv;

    pthread_mutex_t lock; /* back_stats, read by http loops */
    struct dz_back_stats back_stats;
};

static void publish(void *arg, struct dz_view *take_view)
{
    struct front *f = arg;
    dz_api_publish(f->api, take_view);
}

static void on_changed(void *arg)
{
    struct front *f = arg;
    dz_library_poke(f->library);
}

static void on_jobs(void *arg)
{
    struct front *f = arg;
    dz_api_jobs_moved(f->api);
}

static void read_back(void *arg, struct dz_back_stats *ret_stats)
{
    struct front *f = arg;
    pthread_mutex_lock(&f->lock);
    *ret_stats = f->back_stats;
    pthread_mutex_unlock(&f->lock);
}

/* Once a second: what other threads may ask of the control loop, and what nobody else would say. */
static void on_watch(struct dz_loop *l, struct dz_timer *t)
{
    struct front *f = dz_container(t, struct front, watch);
    if (f->back) {
        struct dz_back_stats now;
        dz_back_stats_of(f->back, &now);
        pthread_mutex_lock(&f->lock);
        f->back_stats = now;
        pthread_mutex_unlock(&f->lock);
    }
    char text[256];
    bool healthy = dz_library_healthy(f->library, text);
    if (!healthy && f->was_healthy)
        dz_log(&ctx, DZ_ERROR, "the catalog cannot be read; serving what is known: %s", text);
    if (healthy && !f->was_healthy)
        dz_log(&ctx, DZ_INFO, "the catalog can be read again");
    f->was_healthy = healthy;
    dz_timer_set(l, t, 1000, on_watch);
}

static enum dz_http_forwarding forwarding(const struct dz_conf *c)
{
    switch (c->http.forwarded) {
    case DZ_FORWARDED_X:
        return DZ_HTTP_FORWARDED_X;
    case DZ_FORWARDED_RFC:
        return DZ_HTTP_FORWARDED;
    default:
        return DZ_HTTP_FORWARDED_ANY;
    }
}

static void fill_http(struct front *f, struct dz_http_options *o)
{
    const struct dz_conf *c = f->conf;
    *o = (struct dz_http_options){
        .max_connections = c->http.max_connections,
        .header_timeout_ms = c->http.header_timeout_ms,
        .body_timeout_ms = c->http.body_timeout_ms,
        .idle_timeout_ms = c->http.idle_timeout_ms,
        .graceful_timeout_ms = c->http.graceful_timeout_ms,
        .max_header_bytes = c->http.max_header_bytes,
        .max_body_bytes = c->http.max_body_bytes,
        .trusted_proxies = (const char *const *)c->http.trusted_proxies.v,
        .forwarded = forwarding(c),
        .cors_origins =
            c->http.cors_origins.n > 0 ? (const char *const *)c->http.cors_origins.v : NULL,
    };
    dz_api_wire(f->api, o);
}

static void log_names(struct dz_buf *names, enum dz_level level, const char *fmt)
{
    struct dz_cursor c;
    dz_cursor_init(&c, dz_buf_str(names));
    while (!dz_cursor_end(&c)) {
        dz_str name = dz_cursor_until(&c, '\n');
        dz_log(&ctx, level, fmt, DZ_STR_FMT(name));
        dz_cursor_next(&c);
    }
}

/* As many descriptors as connections and the files behind them need, up to the hard limit. */
static void raise_file_limit(uint32_t connections)
{
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
        return;
    rlim_t want = (rlim_t)connections + 2048;
    if (rl.rlim_max != RLIM_INFINITY && want > rl.rlim_max)
        want = rl.rlim_max;
    if (rl.rlim_cur >= want)
        return;
    rl.rlim_cur = want;
    if (setrlimit(RLIMIT_NOFILE, &rl) != 0)
        dz_log(&ctx, DZ_WARN, "cannot raise the limit of open files to %lu", (unsigned long)want);
}

static unsigned descriptors_in_use(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

/* Connections must not take the descriptors that answers need: files, the catalog, the back. */
static void fit_connections(struct front *f, struct dz_http_options *o)
{
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) != 0 || rl.rlim_cur == RLIM_INFINITY)
        return;
    rlim_t files = rl.rlim_cur / 8 < FILES_SPARE ? rl.rlim_cur / 8 : FILES_SPARE;
    rlim_t others = f->descriptors + files;
    rlim_t room =
        rl.rlim_cur > others + CONNECTIONS_LEAST ? rl.rlim_cur - others : CONNECTIONS_LEAST;
    if (room >= o->max_connections)
        return;
    dz_log(&ctx, DZ_WARN,
           "the limit of open files (%lu) has room for %lu connections, not for the %u of "
           "http.max_connections",
           (unsigned long)rl.rlim_cur, (unsigned long)room, o->max_connections);
    o->max_connections = (uint32_t)room;
}

/* What can change while serving does; the rest is named. */
static void apply(struct front *f, struct dz_conf *fresh)
{
    struct dz_buf changed, restart;
    struct dz_err err = {0};
    dz_buf_init(&changed, DZ_MIB);
    dz_buf_init(&restart, DZ_MIB);
    (void)dz_conf_diff(f->conf, fresh, &changed, &restart);
    if (changed.n == 0)
        dz_log(&ctx, DZ_INFO, "settings read again; nothing changed");
    log_names(&changed, DZ_INFO, "setting changed: %.*s");
    log_names(&restart, DZ_WARN, "%.*s takes effect after a restart");
    dz_buf_done(&changed);
    dz_buf_done(&restart);

    if (fresh->http.max_connections > f->conf->http.max_connections)
        raise_file_limit(fresh->http.max_connections);
    dz_conf_unref(&f->conf);
    f->conf = dz_conf_ref(fresh);
    dz_log_set_level(fresh->log.level);
    dz_api_warn(fresh);
    if (dz_api_open_access_log(f->api, fresh->http.access_log, &err) != DZ_OK)
        dz_log_err(&ctx, DZ_ERROR, &err, "the access log was not opened anew");
    struct dz_http_options o;
    fill_http(f, &o);
    fit_connections(f, &o);
    dz_http_update(f->server, &o);
    dz_library_set_conf(f->library, fresh);
    dz_certs_reload(&f->certs, fresh);
    if (f->back)
        dz_back_signal(f->back, SIGHUP);
}

static void reload(struct front *f)
{
    struct dz_conf *fresh = NULL;
    struct dz_err err = {0};
    char state[64];
    snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)(dz_mono_ns() / 1000));
    dz_notify(state);
    enum dz_code code = dz_conf_load(f->config_path, environ, &fresh, NULL, &err);
    if (code == DZ_OK)
        code = dz_conf_check_serve(fresh, &err);
    if (code == DZ_OK)
        code = dz_api_check(f->api, fresh, &err);
    if (code == DZ_OK)
        apply(f, fresh);
    else
        dz_log_err(&ctx, DZ_ERROR, &err, "settings not reloaded; the old ones stay");
    dz_conf_unref(&fresh);
    dz_notify("READY=1");
}

static void on_signal(struct dz_loop *l, int signal, void *arg)
{
    if (signal == SIGHUP) {
        reload(arg);
        return;
    }
    dz_log(&ctx, DZ_INFO, "%s: finishing what has begun", signal == SIGTERM ? "SIGTERM" : "SIGINT");
    dz_loop_stop(l);
}

/* The lines that scripts wait for, when all of the start went well; on stdout, and in the log when
 * that goes elsewhere. */
static void say_listening(const struct dz_buf *addresses)
{
    struct dz_cursor c;
    dz_cursor_init(&c, dz_buf_str(addresses));
    while (!dz_cursor_end(&c)) {
        dz_str address = dz_cursor_until(&c, '\n');
        printf("listening on %.*s\n", DZ_STR_FMT(address));
        if (!isatty(STDOUT_FILENO) || !isatty(STDERR_FILENO))
            dz_log(&ctx, DZ_INFO, "listening on %.*s", DZ_STR_FMT(address));
        dz_cursor_next(&c);
    }
    fflush(stdout);
}

/* Where a person looks first; shelves by path, since their host names may not resolve here. */
static void say_where(const struct front *f, const char *address)
{
    if (strstr(address, "unix:"))
        return;
    const char *scheme = strncmp(address, "https://", 8) == 0 ? "" : "http://";
    printf("  read     %s%s/\n", scheme, address);
    struct dz_view *v = dz_library_view(f->library);
    for (size_t i = 0; i < v->shelves_n; i++) {
        const struct dz_view_shelf *s = &v->shelves[i];
        if (!s->snap && s->shown)
            dz_log(&ctx, DZ_INFO, "shelf %s is empty until %s has been crawled or imported",
                   s->name, s->conf->series);
        else if (!s->snap)
            dz_log(&ctx, DZ_WARN, "shelf %s shows nothing yet: import a series with --shelf %s",
                   s->name, s->name);
        printf("  shelf    %s%s/shelf/%s/v1/chapters\n", scheme, address, s->name);
    }
    dz_view_unref(&v);
    printf("  health   %s%s/healthz\n  metrics  %s%s/metrics\n", scheme, address, scheme, address);
    fflush(stdout);
}

/* At most once a minute: what failed for want of memory would fail again at the next change. */
static void complain(void *arg, const struct dz_err *err)
{
    static struct dz_log_gate gate;
    (void)arg;
    if (dz_log_gate_pass(&gate, 60000))
        dz_log_err(&ctx, DZ_WARN, err, "a list stays without some of its encodings");
}

static void on_redis(void *arg, bool lost, const char *why)
{
    (void)arg;
    if (lost)
        dz_log(&ctx, DZ_WARN, "the cache in Redis is lost; going on without: %s", why);
    else
        dz_log(&ctx, DZ_INFO, "the cache in Redis is there again");
}

/* RAM first; what servers share behind it. */
static enum dz_code open_caches(struct front *f, struct dz_err *err)
{
    const struct dz_conf *c = f->conf;
    struct dz_cache_options co = {.max_bytes = c->cache.max_bytes,
                                  .max_entries = c->cache.max_entries,
                                  .ttl_ms = c->cache.ttl_ms};
    DZ_TRY(dz_cache_open("memory", "", &co, &f->cache, err));
    if (c->cache.driver == DZ_DRIVER_REDIS) {
        struct dz_shared_cache_options so = {
            .uri = c->cache.uri, .ttl_ms = c->cache.ttl_ms, .say = on_redis};
        DZ_TRY(dz_shared_cache_open(&so, &f->shared, err));
    }
    dz_library_share(f->library, f->cache, f->shared);
    return DZ_OK;
}

static enum dz_code open_front(struct front *f, struct dz_err *err)
{
    struct dz_conf *c = f->conf;
    DZ_TRY(dz_role_lock(c->data_dir, "front", &f->lock_fd, err));
    DZ_TRY(dz_library_open(c, &f->library, err));
    DZ_TRY(open_caches(f, err));
    DZ_TRY(dz_pool_new(WORKERS, WORK_QUEUE_MAX, &f->pool, err));
    if (c->store.driver != DZ_DRIVER_FILES)
        DZ_TRY(dz_pool_new(READERS, READ_QUEUE_MAX, &f->readers, err));

    struct dz_api_options ao = {.conf = c,
                                .library = f->library,
                                .cache = f->cache,
                                .pool = f->pool,
                                .readers = f->readers,
                                .back = f->with_back ? read_back : NULL,
                                .back_arg = f};
    dz_api_warn(c);
    DZ_TRY(dz_api_new(&ao, &f->api, err));
    struct dz_library_options lo = {.conf = c, .publish = publish, .complain = complain, .arg = f};
    DZ_TRY(dz_library_start(f->library, &lo, err));
    DZ_TRY(dz_api_open_access_log(f->api, c->http.access_log, err));

    struct dz_http_options o;
    fill_http(f, &o);
    DZ_TRY(dz_http_server_new(&o, &f->server, err));
    dz_api_set_server(f->api, f->server);
    f->certs.server = f->server;
    f->certs.conf = &f->conf;
    return dz_certs_load(&f->certs, c, err);
}

/* Listens everywhere, and looks at what passed sockets turned out to be. */
static enum dz_code listen_all(struct front *f, unsigned loops, struct dz_buf *addresses,
                               char *ret_shown, struct dz_err *err)
{
    char address[128];
    bool passed = false;
    for (size_t i = 0; i < f->conf->listen.n; i++) {
        DZ_TRY(dz_http_listen(f->server, f->conf->listen.v[i], loops, address, err));
        passed |= strstr(f->conf->listen.v[i], "systemd:") != NULL;
    }
    for (size_t i = 0; dz_http_listening(f->server, i, address); i++) {
        if (passed)
            DZ_TRY(dz_conf_check_address(f->conf, address, err));
        dz_buf_putf(addresses, "%s\n", address);
        if (strstr(ret_shown, "unix:"))
            memcpy(ret_shown, address, sizeof address);
    }
    for (size_t i = 0; dz_http_passed_unused(f->server, i, address); i++)
        dz_log(&ctx, DZ_WARN,
               "nobody answers on the passed socket %s: no entry of the setting listen names it",
               address);
    return DZ_OK;
}

static enum dz_code start_front(struct front *f, struct dz_err *err)
{
    unsigned loops = f->conf->http.threads;
    if (loops == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        loops = cores < 1 ? 1 : cores > 64 ? 64 : (unsigned)cores;
    }
    char shown[128] = "unix:";
    struct dz_buf addresses DZ_AUTO(dz_buf_done);
    dz_buf_init(&addresses, DZ_MIB);
    DZ_TRY(listen_all(f, loops, &addresses, shown, err));
    DZ_TRY(dz_http_start(f->server, loops, err));

    DZ_TRY(dz_loop_new(&f->control, err));
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    DZ_TRY(dz_loop_signals(f->control, signals, DZ_LEN(signals), on_signal, f, err));
    struct dz_bus_hooks hooks = {.changed = on_changed, .jobs = on_jobs, .arg = f};
    DZ_TRY(dz_bus_open(f->control, f->conf->data_dir, &hooks, &f->bus, err));
    if (f->with_back)
        DZ_TRY(dz_back_supervise(f->control, f->back_argv, &f->back, err));
    f->descriptors = descriptors_in_use();
    struct dz_http_options o;
    fill_http(f, &o);
    fit_connections(f, &o);
    dz_http_update(f->server, &o);
    f->was_healthy = true;
    dz_timer_set(f->control, &f->watch, 0, on_watch);
    dz_certs_watch(&f->certs, f->control);
    say_listening(&addresses);
    say_where(f, shown);
    dz_notify("READY=1");
    return DZ_OK;
}

static void close_front(struct front *f)
{
    dz_http_end(f->server);
    dz_back_stop(&f->back, BACK_STOP_MS);
    dz_bus_close(&f->bus);
    if (f->control) {
        dz_timer_stop(f->control, &f->watch);
        dz_timer_stop(f->control, &f->certs.timer);
    }
    dz_pool_close(&f->readers);
    dz_pool_close(&f->pool);
    dz_http_stop(&f->server); /* its loops are home of what the workers did until now */
    dz_library_close(&f->library);
    dz_api_free(&f->api);
    dz_shared_cache_close(&f->shared);
    dz_cache_close(&f->cache);
    dz_loop_free(&f->control);
    dz_closep(&f->lock_fd);
}

/* Before any thread is made: the control loop takes these through a descriptor. */
static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int run_front(struct dz_conf *conf, const char *config_path, bool with_back)
{
    char *back_argv[] = {"/proc/self/exe",    "serve", "--role", "back", "--config",
                         (char *)config_path, NULL};
    if (!config_path)
        back_argv[4] = NULL;
    struct front f = {.config_path = config_path,
                      .conf = dz_conf_ref(conf),
                      .lock_fd = -1,
                      .with_back = with_back,
                      .back_argv = back_argv};
    pthread_mutex_init(&f.lock, NULL);
    block_signals();
    raise_file_limit(conf->http.max_connections);

    struct dz_err err = {0};
    int status = DZ_EXIT_OK;
    enum dz_code code = dz_conf_check_serve(conf, &err);
    if (code == DZ_OK)
        code = open_front(&f, &err);
    if (code == DZ_OK)
        code = start_front(&f, &err);
    if (code == DZ_OK) {
        dz_loop_run(f.control);
        dz_notify("STOPPING=1");
    } else {
        dz_say(&dz_cmd_serve, "%s", err.text);
        status = DZ_EXIT_FAILED;
    }
    close_front(&f);
    dz_conf_unref(&f.conf);
    pthread_mutex_destroy(&f.lock);
    return status;
}

/* ---- the command ----------------------------------------------------------------------------- */

enum { OPT_ROLE };
static const struct dz_option options[] = {
    [OPT_ROLE] = {"role", "ROLE", "front or back alone; else the front starts a back", 0},
    {NULL, NULL, NULL, 0},
};

static int run(int argc, char **argv)
{
    struct dz_args a;
    int status;
    if (!dz_args_begin(&dz_cmd_serve, argc, argv, &a, &status))
        return status;
    const char *role = a.value[OPT_ROLE];
    bool back = role && strcmp(role, "back") == 0;
    if (role && !back && strcmp(role, "front") != 0) {
        status = dz_usage_error(&dz_cmd_serve, "--role is \"front\" or \"back\", not \"%s\"", role);
    } else if (a.operands_n > 0) {
        status =
            dz_usage_error(&dz_cmd_serve, "takes no operands, but was given \"%s\"", a.operands[0]);
    } else {
        /* Bodies that come in, lists and encoders get pages of their own and give them back at
         * once. glibc begins so, but would move the limit up to the largest buffer that was ever
         * freed, and then each thread's arena grows by such buffers and keeps the room. */
        (void)mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
        struct dz_conf *conf = NULL;
        status = DZ_EXIT_FAILED;
        if (dz_settings_load(&dz_cmd_serve, a.config, &conf))
            status = back ? dz_cli_back(conf, a.config) : run_front(conf, a.config, role == NULL);
        dz_conf_unref(&conf);
    }
    dz_args_done(&a);
    return status;
}

const struct dz_command dz_cmd_serve = {
    .name = "serve",
    .summary = "serve the library over HTTP",
    .usage = "serve [--config FILE] [--role ROLE]",
    .help = "Serves the reader, the shelves and the operator's pages on the addresses of the\n"
            "setting `listen`, and says \"listening on ADDRESS\" for each on standard output.\n"
            "\n"
            "SIGTERM and SIGINT finish what has begun and end; SIGHUP reads the settings and\n"
            "the certificates again.",
    .options = options,
    .run = run,
};
