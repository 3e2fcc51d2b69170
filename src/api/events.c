/*
 * events: GET /api/events, the states of downloads as a stream of server-sent events.
 *
 * Each answer is a source that waits (http.h) and takes whole events from the feed. While anybody
 * listens, each loop that has listeners looks at the clock four times a second: when somebody has
 * said that downloads moved, or nobody has for a while, one worker reads the catalog's queue, puts
 * it into the feed and tells the loops, which wake their listeners. Nobody listens: nothing runs.
 * A listener's memory is one event at a time; who falls behind the kept ones gets a snapshot.
 */
#include "api/nagato_int.h"

#include "api/feed.h"

#include <errno.h>

#define LISTENERS_MAX 1000u
#define IDS_MAX 100u
#define TICK_MS 250  /* also the least time between two looks */
#define POLL_MS 1000 /* nobody said anything: another program may have changed the queue */
#define LOOK_SHARE 8 /* of this many parts of the time at most one goes to looking */
#define BEAT_MS 15000
#define RETRY_S 30
#define ARENA_MAX (256 * DZ_MIB)

struct listener {
    struct dz_http_source source;
    struct listener *prev, *next;
    struct dz_http_req *req;
    struct event_loop *el;
    struct feed_reader reader;
    struct dz_body *body; /* what `rest` lies in; NULL: static */
    dz_str rest;          /* of the event that is on its way */
    bool beat;            /* a comment is due, so that nobody takes the silence for the end */
};

struct event_loop { /* a loop's listeners; that loop's thread but where it says */
    struct api_loop *loop;
    struct listener *first;
    struct dz_timer tick;
    int64_t beat_ms;
    struct dz_msg msg;
    bool posted;  /* msg is on its way; under events.lock */
    bool listens; /* has a listener; under events.lock */
};

struct events {
    struct dz_api *api;
    struct feed *feed;
    atomic_uint listeners_n, history; /* how many ended ones there are at most */
    struct dz_work work;              /* one look at a time */
    bool news;                        /* of it */
    int64_t took_ms;

    pthread_mutex_t lock;
    bool dirty, looking;
    int64_t looked_ms, cost_ms; /* the last look: its begin, what it took */
    struct event_loop *loops[API_LOOPS_MAX];
    size_t loops_n;
};

static int64_t now_ms(void)
{
    return dz_mono_ns() / 1000000;
}

/* ---- looking; worker ------------------------------------------------------------------------- */

static void look_run(struct dz_work *w)
{
    struct events *e = dz_container(w, struct events, work);
    static struct dz_log_gate gate;
    static const struct dz_log_ctx ctx = {.room = "api", .what = "events"};
    struct dz_arena *a = dz_arena_new(ARENA_MAX);
    struct dz_job_rec *v = NULL;
    size_t n = 0;
    struct dz_err err = {0};
    int64_t begin_ms = now_ms();
    enum dz_code code =
        dz_catalog_jobs_of(dz_library_catalog(e->api->library), DZ_S(DZ_JOB_DOWNLOAD),
                           atomic_load(&e->history), a, &v, &n, &err);
    e->news = code == DZ_OK && feed_update(e->feed, v, n);
    if (code != DZ_OK && dz_log_gate_pass(&gate, 10000))
        dz_log_err(&ctx, DZ_WARN, &err, "the queue of downloads cannot be read");
    dz_arena_free(&a);
    e->took_ms = now_ms() - begin_ms;
}

/* Still on the worker, which has let go of w: the next look may begin. */
static void look_done(struct dz_work *w)
{
    struct events *e = dz_container(w, struct events, work);
    bool news = e->news;
    pthread_mutex_lock(&e->api->lock); /* loops end under it */
    pthread_mutex_lock(&e->lock);
    e->looking = false;
    e->cost_ms = e->took_ms;
    for (size_t i = 0; i < e->loops_n && news; i++) {
        struct event_loop *el = e->loops[i];
        if (!el->listens || el->posted || !el->loop->loop)
            continue;
        el->posted = true;
        dz_loop_post(el->loop->loop, &el->msg);
    }
    pthread_mutex_unlock(&e->lock);
    pthread_mutex_unlock(&e->api->lock);
}

/* A look now, if it is time for one. Any thread. */
static void look_maybe(struct events *e)
{
    int64_t now = now_ms();
    pthread_mutex_lock(&e->lock);
    int64_t wait_ms = e->dirty ? TICK_MS : POLL_MS;
    if (wait_ms < e->cost_ms * LOOK_SHARE)
        wait_ms = e->cost_ms * LOOK_SHARE;
    bool due = !e->looking && now - e->looked_ms >= wait_ms;
    if (due) {
        e->looking = true;
        e->dirty = false;
        e->looked_ms = now;
    }
    pthread_mutex_unlock(&e->lock);
    if (!due || dz_pool_submit(e->api->pool, &e->work, NULL) == DZ_OK)
        return;
    pthread_mutex_lock(&e->lock); /* the workers are busy: with the next tick */
    e->looking = false;
    e->dirty = true;
    pthread_mutex_unlock(&e->lock);
}

void events_dirty(struct dz_api *a)
{
    struct events *e = a->events;
    if (atomic_load(&e->listeners_n) == 0)
        return;
    pthread_mutex_lock(&e->lock);
    e->dirty = true;
    pthread_mutex_unlock(&e->lock);
    look_maybe(e);
}

/* ---- a loop's listeners ---------------------------------------------------------------------- */

static void wake_all(struct event_loop *el, bool beat)
{
    for (struct listener *x = el->first; x; x = x->next) {
        x->beat |= beat;
        dz_http_source_wake(x->req);
    }
}

static void on_news(struct dz_loop *l, struct dz_msg *m)
{
    struct event_loop *el = dz_container(m, struct event_loop, msg);
    struct events *e = el->loop->api->events;
    (void)l;
    pthread_mutex_lock(&e->lock);
    el->posted = false;
    pthread_mutex_unlock(&e->lock);
    wake_all(el, false);
}

static void on_tick(struct dz_loop *l, struct dz_timer *t)
{
    struct event_loop *el = dz_container(t, struct event_loop, tick);
    struct events *e = el->loop->api->events;
    int64_t now = dz_loop_now_ms(l);
    if (now - el->beat_ms >= BEAT_MS) {
        el->beat_ms = now;
        wake_all(el, true);
    }
    atomic_store(&e->history, view_of(el->first->req)->conf->downloads.history);
    look_maybe(e);
    dz_timer_set(l, t, TICK_MS, on_tick);
}

static void set_listens(struct event_loop *el, bool listens)
{
    struct events *e = el->loop->api->events;
    pthread_mutex_lock(&e->lock);
    el->listens = listens;
    pthread_mutex_unlock(&e->lock);
}

static struct event_loop *event_loop_of(struct dz_http_req *r)
{
    struct api_loop *al = r->loop_app;
    struct events *e = al->api->events;
    if (al->events)
        return al->events;
    struct event_loop *el = dz_new(struct event_loop);
    el->loop = al;
    el->msg.fn = on_news;
    al->events = el;
    pthread_mutex_lock(&e->lock);
    dz_assert(e->loops_n < DZ_LEN(e->loops));
    e->loops[e->loops_n++] = el;
    pthread_mutex_unlock(&e->lock);
    return el;
}

static void join(struct event_loop *el, struct listener *x)
{
    x->el = el;
    x->next = el->first;
    if (x->next)
        x->next->prev = x;
    el->first = x;
    if (x->next)
        return;
    el->beat_ms = dz_loop_now_ms(x->req->loop);
    set_listens(el, true);
    dz_timer_set(x->req->loop, &el->tick, TICK_MS, on_tick);
}

static void leave(struct listener *x)
{
    struct event_loop *el = x->el;
    if (x->next)
        x->next->prev = x->prev;
    if (x->prev)
        x->prev->next = x->next;
    else
        el->first = x->next;
    if (el->first)
        return;
    set_listens(el, false);
    dz_timer_stop(x->req->loop, &el->tick);
}

/* ---- one listener ---------------------------------------------------------------------------- */

/* The next thing to say; false: there is nothing. */
static bool next_words(struct listener *x, bool *ret_lost)
{
    dz_body_unref(&x->body);
    x->body = feed_next(x->el->loop->api->events->feed, &x->reader, ret_lost);
    if (x->body)
        x->rest = (dz_str){x->body->p, x->body->n};
    else if (x->beat)
        x->rest = DZ_S(": still here\n\n");
    x->beat = false;
    return x->rest.n > 0;
}

static ssize_t listener_read(struct dz_http_source *source, char *p, size_t n)
{
    struct listener *x = dz_container(source, struct listener, source);
    bool lost = false;
    if (x->rest.n == 0 && dz_http_is_ending(x->req))
        return 0;
    if (x->rest.n == 0 && !next_words(x, &lost))
        return lost ? -EFBIG : -EAGAIN;
    n = n < x->rest.n ? n : x->rest.n;
    memcpy(p, x->rest.p, n);
    x->rest = dz_str_sub(x->rest, n, x->rest.n);
    return (ssize_t)n;
}

static void listener_free(struct dz_http_source **source)
{
    struct listener *x = dz_container(dz_take(source), struct listener, source);
    struct events *e = x->el->loop->api->events;
    leave(x);
    feed_reader_done(e->feed, &x->reader);
    dz_body_unref(&x->body);
    atomic_fetch_sub(&e->listeners_n, 1);
    free(x);
}

static bool is_among(const dz_str *v, size_t n, dz_str s)
{
    for (size_t i = 0; i < n; i++)
        if (dz_str_eq(v[i], s))
            return true;
    return false;
}

/* Every ids and ids[] of the query, each once; false: too many. */
static bool read_ids(struct dz_http_req *r, const dz_str **ret_ids, size_t *ret_n)
{
    dz_str *v = dz_arena_alloc(dz_http_arena(r), IDS_MAX * sizeof(*v));
    dz_str rest = r->query, name, value;
    size_t n = 0;
    while (dz_http_query_next(r, &rest, &name, &value)) {
        bool is_id = dz_str_eq(name, DZ_S("ids")) || dz_str_eq(name, DZ_S("ids[]"));
        if (!is_id || is_among(v, n, value))
            continue;
        if (n == IDS_MAX)
            return false;
        v[n++] = value;
    }
    *ret_ids = n > 0 ? v : NULL;
    *ret_n = n;
    return true;
}

void handle_api_events(struct dz_http_req *r)
{
    struct dz_api *a = r->app;
    struct events *e = a->events;
    const dz_str *ids;
    size_t ids_n;
    if (!read_ids(r, &ids, &ids_n)) {
        nagato_text(r, 400, 0, DZ_S("Only 100 ids can be followed in one stream"));
        return;
    }
    if (atomic_fetch_add(&e->listeners_n, 1) >= LISTENERS_MAX) {
        atomic_fetch_sub(&e->listeners_n, 1);
        nagato_text(r, 503, RETRY_S, DZ_S("Too many listen to events now; try again"));
        return;
    }
    struct listener *x = dz_new(struct listener);
    x->source = (struct dz_http_source){listener_read, listener_free};
    x->req = r;
    x->rest = DZ_S("retry: 2000\n\n"); /* milliseconds after which a client comes back */
    feed_reader_init(e->feed, &x->reader, dz_http_header(r, DZ_S("last-event-id")), ids, ids_n);
    join(event_loop_of(r), x);
    atomic_store(&e->history, view_of(r)->conf->downloads.history);
    static const struct dz_http_header_line lines[] = {
        {{"X-Accel-Buffering", 17}, {"no", 2}}, /* what proxies of the nginx kind listen to */
        {{"X-Content-Type-Options", 22}, {"nosniff", 7}}};
    struct dz_http_meta m = {.content_type = DZ_S("text/event-stream"),
                             .cache_control = NO_STORE,
                             .last_modified_s = -1,
                             .extra = lines,
                             .extra_n = DZ_LEN(lines)};
    dz_http_reply_source(r, &m, &x->source);
    events_dirty(a);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct events *events_new(struct dz_api *a)
{
    struct events *e = dz_new(struct events);
    e->api = a;
    e->feed = feed_new(dz_random_u64());
    e->work.run = look_run;
    e->work.done = look_done;
    e->looked_ms = -POLL_MS;
    pthread_mutex_init(&e->lock, NULL);
    return e;
}

void events_free(struct events **ep)
{
    struct events *e = dz_take(ep);
    if (!e)
        return;
    dz_assert(atomic_load(&e->listeners_n) == 0);
    for (size_t i = 0; i < e->loops_n; i++)
        free(e->loops[i]);
    feed_free(&e->feed);
    pthread_mutex_destroy(&e->lock);
    free(e);
}
