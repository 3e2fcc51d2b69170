/*
 * server: options, life of a server, and its lanes.
 *
 * dz_http_start makes one loop and one thread a lane; dz_http_end tells each lane to finish and
 * joins; dz_http_stop frees, which is another step because workers may still owe results to the
 * loops. Options are copied and then only read, but for the limits, which are atomics that any
 * thread may change. The stop waits for deferred requests even after the grace period, because
 * their replies will come to memory that must still be there.
 */
#include "http/accept.h"
#include "http/http_int.h"
#include "http/tls.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

/* A handler that never replies must not hold a stop for ever: after this its lane is left as it is.
 * */
#define ABANDON_MS 30000
#define STOP_LOOK_MS 20

/* ---- options --------------------------------------------------------------------------------- */

static void set_limits(struct dz_http_limits *to, const struct dz_http_options *o)
{
#define SET(name, fallback)                                                                        \
    atomic_store_explicit(&to->name, o->name ? o->name : (fallback), memory_order_relaxed)
    SET(max_connections, 20000);
    SET(header_timeout_ms, 10000);
    SET(body_timeout_ms, 30000);
    SET(idle_timeout_ms, 75000);
    SET(graceful_timeout_ms, 3000);
    SET(max_header_bytes, 16 * DZ_KIB);
    SET(max_body_bytes, 64 * DZ_MIB);
#undef SET
}

static char **copy_texts(const char *const *texts)
{
    size_t n = 0;
    while (texts && texts[n])
        n++;
    if (n == 0)
        return NULL;
    char **copy = dz_zalloc((n + 1) * sizeof(*copy));
    for (size_t i = 0; i < n; i++)
        copy[i] = dz_strdup(texts[i]);
    return copy;
}

static void server_free(struct dz_http_server **s)
{
    struct dz_http_server *gone = dz_take(s);
    if (!gone)
        return;
    while (gone->test_lanes) {
        struct dz_http_lane *lane = gone->test_lanes;
        gone->test_lanes = lane->next;
        if (gone->o.loop_stop)
            gone->o.loop_stop(gone->o.app, lane->loop_app);
        dz_http_lane_free(&lane);
    }
    dz_http_listeners_close(gone);
    dz_http_passed_free(gone);
    dz_http_tls_set_unref(&gone->tls);
    pthread_mutex_destroy(&gone->tls_lock);
    pthread_mutex_destroy(&gone->accept_lock);
    dz_closep(&gone->spare_fd);
    dz_closep(&gone->null_fd);
    dz_http_routes_free(&gone->routes);
    dz_freep(&gone->trust);
    for (char **o = gone->cors_origins; o && *o; o++)
        dz_freep(o);
    dz_freep(&gone->cors_origins);
    dz_freep(&gone->cors_expose);
    dz_freep(&gone->lanes);
    dz_freep(&gone);
}

enum dz_code dz_http_server_new(const struct dz_http_options *o, struct dz_http_server **ret_s,
                                struct dz_err *err)
{
    DZ_AUTO(server_free) struct dz_http_server *s = dz_new(struct dz_http_server);
    pthread_mutex_init(&s->tls_lock, NULL);
    pthread_mutex_init(&s->accept_lock, NULL);
    s->null_fd = s->spare_fd = -1;
    s->abandon_ms = ABANDON_MS;
    dz_http_passed_take(s);
    s->o = *o;
    s->o.trusted_proxies = NULL;
    s->o.cors_origins = NULL;
    set_limits(&s->limits, o);
    DZ_TRY(dz_http_trust_new(o->trusted_proxies, &s->trust, err));
    s->routes = dz_http_routes_new(o->routes, o->routes_n);
    s->cors_origins = copy_texts(o->cors_origins);
    for (char **text = s->cors_origins; text && *text; text++)
        s->cors_any |= dz_str_eq(dz_str_of(*text), DZ_S("*"));
    s->cors_expose = dz_str_dup(o->cors_expose);
    *ret_s = dz_take(&s);
    return DZ_OK;
}

void dz_http_update(struct dz_http_server *s, const struct dz_http_options *o)
{
    set_limits(&s->limits, o);
}

/* ---- lanes ----------------------------------------------------------------------------------- */

struct dz_http_lane *dz_http_lane_new(struct dz_http_server *s, struct dz_loop *l, unsigned index)
{
    struct dz_http_lane *lane = dz_new(struct dz_http_lane);
    lane->server = s;
    lane->loop = l;
    lane->next_id = (uint64_t)index << 48; /* ids differ between lanes */
    lane->batch = dz_alloc(HTTP_BATCH_BYTES);
    lane->memos = dz_zalloc(HTTP_MEMOS * sizeof(*lane->memos));
    for (size_t i = 0; i < HTTP_STATUS_LINES; i++)
        lane->line[i].wall_s = -1;
    dz_http_counters_init(&lane->counters, s->o.routes_n);
    return lane;
}

void dz_http_lane_free(struct dz_http_lane **lane)
{
    struct dz_http_lane *gone = dz_take(lane);
    if (!gone)
        return;
    dz_assert(!gone->conns);
    dz_http_conns_free_spare(gone);
    dz_http_coders_free(&gone->coders);
    while (gone->requests) {
        struct dz_http_request *q = gone->requests;
        gone->requests = q->next;
        dz_arena_free(&q->arena);
        dz_buf_done(&q->lines);
        dz_freep(&q);
    }
    dz_http_counters_done(&gone->counters);
    dz_freep(&gone->acceptors);
    dz_freep(&gone->batch);
    dz_freep(&gone->memos);
    dz_freep(&gone);
}

struct dz_http_request *dz_http_request_take(struct dz_http_lane *lane)
{
    struct dz_http_request *q = lane->requests;
    if (DZ_LIKELY(q)) {
        lane->requests = q->next;
        return q;
    }
    q = dz_new(struct dz_http_request);
    dz_buf_init(&q->lines, HTTP_LINES_BYTES * 2);
    return q;
}

void dz_http_request_give(struct dz_http_lane *lane, struct dz_http_request *q)
{
    if (q->arena)
        dz_arena_reset(q->arena);
    if (DZ_UNLIKELY(q->lines.full || q->lines.cap > HTTP_LINES_BYTES / 4))
        dz_buf_done(&q->lines);
    q->conn = NULL;
    q->added = (dz_str){0};
    q->in_handler = q->deferred = q->replied = q->close = false;
    q->next = lane->requests;
    lane->requests = q;
}

dz_str dz_http_status_line(struct dz_http_lane *lane, int status)
{
    struct dz_http_status_line *line = &lane->line[(unsigned)status % HTTP_STATUS_LINES];
    int64_t wall_s = dz_loop_wall_s(lane->loop);
    if (DZ_UNLIKELY(line->wall_s != wall_s || line->status != status)) {
        int n = snprintf(line->text, sizeof(line->text), "HTTP/1.1 %d %s\r\nDate: %s\r\n", status,
                         dz_http_reason(status), dz_loop_http_date(lane->loop));
        dz_assert(n > 0 && (size_t)n < sizeof(line->text));
        line->n = (uint32_t)n;
        line->status = status;
        line->wall_s = wall_s;
    }
    return (dz_str){line->text, line->n};
}

/* ---- start ----------------------------------------------------------------------------------- */

static void *lane_main(void *arg)
{
    struct dz_http_lane *lane = arg;
    struct dz_http_server *s = lane->server;
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    (void)pthread_setname_np(pthread_self(), "dozo-http");
    if (s->o.loop_start)
        lane->loop_app = s->o.loop_start(s->o.app, lane->loop);
    dz_loop_run(lane->loop);
    if (s->o.loop_stop && lane->deferred_n == 0)
        s->o.loop_stop(s->o.app, lane->loop_app);
    return NULL;
}

enum dz_code dz_http_start(struct dz_http_server *s, unsigned loops, struct dz_err *err)
{
    dz_assert(loops > 0 && !s->started);
    DZ_TRY(dz_http_spare_open(s, err));
    s->lanes = dz_zalloc(loops * sizeof(struct dz_http_lane *));
    for (; s->lanes_n < loops; s->lanes_n++) {
        struct dz_loop *l;
        DZ_TRY(dz_loop_new(&l, err));
        s->lanes[s->lanes_n] = dz_http_lane_new(s, l, s->lanes_n);
    }
    for (unsigned i = 0; i < loops; i++)
        DZ_TRY(dz_http_lane_listen(s->lanes[i], i, loops, err));
    s->started = true;
    for (unsigned i = 0; i < loops; i++) {
        struct dz_http_lane *lane = s->lanes[i];
        int native = pthread_create(&lane->thread, NULL, lane_main, lane);
        if (native != 0)
            return dz_fail_errno(err, DZ_IO, native, "cannot start the thread of HTTP loop %u", i);
        lane->running = true;
    }
    return DZ_OK;
}

/* ---- stop ------------------------------------------------------------------------------------ */

static void each_conn(struct dz_http_lane *lane, void (*fn)(struct dz_http_conn *c))
{
    struct dz_http_conn *c = lane->conns;
    while (c) {
        struct dz_http_conn *next =
            c->next; /* fn runs no handler, so it frees no other connection */
        fn(c);
        c = next;
    }
}

/* Looks again and again until nothing is left to wait for. */
static void stop_look(struct dz_loop *l, struct dz_timer *t)
{
    struct dz_http_lane *lane = dz_container(t, struct dz_http_lane, stop_timer);
    int64_t over_ms = dz_loop_now_ms(l) - lane->stop_at_ms;
    if (over_ms >= 0 && !lane->cut) {
        lane->cut = true;
        each_conn(lane, dz_http_conn_cut);
    }
    if ((!lane->conns && lane->deferred_n == 0) || over_ms > lane->server->abandon_ms) {
        dz_loop_stop(l);
        return;
    }
    dz_timer_set(l, t, STOP_LOOK_MS, stop_look);
}

static void stop_lane(struct dz_loop *l, struct dz_msg *m)
{
    struct dz_http_lane *lane = dz_container(m, struct dz_http_lane, stop_msg);
    dz_http_lane_deafen(lane);
    lane->stopping = true;
    lane->stop_at_ms = dz_loop_now_ms(l) + HTTP_LIMIT(lane->server, graceful_timeout_ms);
    each_conn(lane, dz_http_conn_stop);
    stop_look(l, &lane->stop_timer);
}

/* A lane whose handlers still owe replies keeps its memory: the late reply must find it. */
static void free_lane(struct dz_http_lane *lane)
{
    if (lane->deferred_n > 0) {
        dz_log(&(struct dz_log_ctx){.room = "http", .what = "stop"}, DZ_WARN,
               "%zu requests were never replied to; their memory is left behind", lane->deferred_n);
        return;
    }
    dz_http_lane_deafen(lane);
    each_conn(lane, dz_http_conn_cut);
    dz_loop_free(&lane->loop);
    dz_http_lane_free(&lane);
}

void dz_http_end(struct dz_http_server *s)
{
    for (unsigned i = 0; s && i < s->lanes_n; i++) {
        struct dz_http_lane *lane = s->lanes[i];
        if (!lane->running)
            continue;
        lane->stop_msg.fn = stop_lane;
        dz_loop_post(lane->loop, &lane->stop_msg);
    }
    for (unsigned i = 0; s && i < s->lanes_n; i++) {
        if (s->lanes[i]->running)
            (void)pthread_join(s->lanes[i]->thread, NULL);
        s->lanes[i]->running = false;
    }
}

void dz_http_stop(struct dz_http_server **s)
{
    dz_http_end(*s);
    struct dz_http_server *gone = dz_take(s);
    if (!gone)
        return;
    bool owed = false;
    for (unsigned i = 0; i < gone->lanes_n; i++) {
        owed |= gone->lanes[i]->deferred_n > 0;
        free_lane(gone->lanes[i]);
    }
    if (owed) /* the server stays behind with its lane, but nobody listens */
        dz_http_listeners_close(gone);
    else
        server_free(&gone);
}
