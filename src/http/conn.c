/*
 * conn: the life of an HTTP/1.1 connection.
 *
 * In: readiness of a wire and timers. Out: bytes for serve.c, interest, time-outs, the end. A
 * connection moves between the states of enum dz_http_conn_state; dz_http_settle() is the one place
 * that looks at where it came to rest and chooses input buffer, timer and interest for it. Nothing
 * frees a connection while `busy` is set. The lane's thread only.
 */
#include "http/http_int.h"

#include <errno.h>

#define SPARE_CONNS_MAX 1024
#define SCRATCH_MAX 64
#define OWN_INPUT_MIN ((size_t)1024)

/* ---- life ------------------------------------------------------------------------------------ */

struct dz_http_conn *dz_http_conn_new(struct dz_http_lane *lane, const struct dz_http_wire *wire)
{
    struct dz_http_conn *c = lane->spare;
    if (c) {
        lane->spare = c->next;
        lane->spare_n--;
        memset(c, 0, sizeof(*c));
    } else {
        c = dz_new(struct dz_http_conn);
    }
    c->lane = lane;
    c->wire = wire;
    c->next = lane->conns;
    if (c->next)
        c->next->prev = c;
    lane->conns = c;
    return c;
}

void dz_http_input_free(struct dz_http_lane *lane, struct dz_http_in **in)
{
    struct dz_http_in *gone = dz_take(in);
    if (!gone)
        return;
    if (gone->pooled && lane->scratch_n < SCRATCH_MAX) {
        gone->next = lane->scratch;
        lane->scratch = gone;
        lane->scratch_n++;
    } else {
        dz_freep(&gone);
    }
}

static struct dz_http_in *scratch_take(struct dz_http_lane *lane)
{
    struct dz_http_in *in = lane->scratch;
    if (in) {
        lane->scratch = in->next;
        lane->scratch_n--;
    } else {
        in = dz_alloc(sizeof(*in) + HTTP_SCRATCH_BYTES);
        in->cap = HTTP_SCRATCH_BYTES;
        in->pooled = true;
    }
    in->at = in->n = 0;
    return in;
}

static void forget_resume(struct dz_http_conn *c)
{
    if (!c->resuming)
        return;
    struct dz_http_conn **at = &c->lane->resume;
    while (*at != c)
        at = &(*at)->resume_next;
    *at = c->resume_next;
    c->resuming = false;
}

static void conn_free(struct dz_http_conn *c)
{
    struct dz_http_lane *lane = c->lane;
    dz_assert(c->gone && !c->request && !c->busy);
    dz_http_upload_free(c);
    dz_http_h2_free(c);
    dz_http_input_free(lane, &c->in);
    forget_resume(c);
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        lane->conns = c->next;
    if (lane->spare_n < SPARE_CONNS_MAX) {
        c->next = lane->spare;
        lane->spare = c;
        lane->spare_n++;
    } else {
        dz_freep(&c);
    }
}

void dz_http_conns_free_spare(struct dz_http_lane *lane)
{
    while (lane->spare) {
        struct dz_http_conn *c = lane->spare;
        lane->spare = c->next;
        dz_freep(&c);
    }
    while (lane->scratch) {
        struct dz_http_in *in = lane->scratch;
        lane->scratch = in->next;
        dz_freep(&in);
    }
    dz_http_h2_lane_free(&lane->h2);
}

/* Gives the wire back and forgets what was to be written; the request of a handler stays until it
 * is replied to. */
static void hang_up(struct dz_http_conn *c)
{
    if (c->gone)
        return;
    struct dz_http_lane *lane = c->lane;
    c->gone = true;
    dz_timer_stop(lane->loop, &c->timer);
    c->wire->close(c);
    dz_http_sends_free(c);
    dz_http_stream_over(c);
    dz_http_body_lost(c);
    if (c->h2)
        dz_http_h2_lost(c);
    if (c->refused) {
        lane->refused_n--;
    } else {
        lane->conns_n--;
        atomic_fetch_sub_explicit(&lane->server->open, 1, memory_order_relaxed);
        atomic_store_explicit(&lane->counters.open, lane->conns_n, memory_order_relaxed);
    }
}

/* The end of a connection, whatever it was doing. It may be freed by this. */
void dz_http_drop(struct dz_http_conn *c)
{
    hang_up(c);
    if (c->state == CONN_HANDLE || (c->h2 && dz_http_h2_owes(c)))
        return;
    c->state = CONN_CLOSED;
    if (!c->busy)
        conn_free(c);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Room for more behind what is there; the parser refuses long before the limit is passed. */
static void make_room(struct dz_http_conn *c)
{
    struct dz_http_in *in = c->in;
    if (!in) {
        c->in = scratch_take(c->lane);
        return;
    }
    if (in->at > 0) {
        memmove(in->p, in->p + in->at, in->n - in->at);
        in->n -= in->at;
        in->at = 0;
    }
    if (in->n < in->cap)
        return;
    size_t cap = in->cap * 2;
    if (in->pooled) { /* its size is fixed */
        struct dz_http_in *bigger = dz_alloc(sizeof(*in) + cap);
        *bigger = (struct dz_http_in){.cap = cap, .n = in->n};
        memcpy(bigger->p, in->p, in->n);
        dz_http_input_free(c->lane, &c->in);
        c->in = bigger;
    } else {
        c->in = dz_realloc(in, sizeof(*in) + cap);
        c->in->cap = cap;
    }
}

static ssize_t receive(struct dz_http_conn *c, void *p, size_t n)
{
    ssize_t got = c->wire->recv(c, p, n);
    if (got > 0)
        dz_http_count(&c->lane->counters.bytes_in, (size_t)got);
    return got;
}

/* Whether a request has begun; the empty line that some clients put behind a body is none. */
static bool has_request_bytes(const struct dz_http_conn *c)
{
    size_t n = c->in ? c->in->n - c->in->at : 0;
    return n > 0 && !dz_str_starts(DZ_S("\r\n"), (dz_str){c->in->p + c->in->at, n});
}

/* Nothing to read: the end of the input, an error, or not now. True when it was dealt with. */
static bool nothing_read(struct dz_http_conn *c, ssize_t got)
{
    if (DZ_LIKELY(got > 0))
        return false;
    if (got == -EAGAIN) {
        dz_http_settle(c);
        return true;
    }
    if (got == 0 && (c->state == CONN_BODY || has_request_bytes(c))) {
        c->busy++;
        dz_http_refuse(c, NULL, 400, "the connection ended inside a request");
        c->busy--;
        c->linger = false;
        dz_http_settle(c);
        return true;
    }
    dz_http_drop(c);
    return true;
}

static void read_head(struct dz_http_conn *c)
{
    make_room(c);
    struct dz_http_in *in = c->in;
    size_t had = in->n - in->at;
    size_t from = in->n;
    ssize_t got = receive(c, in->p + in->n, in->cap - in->n);
    if (nothing_read(c, got))
        return;
    in->n += (size_t)got;
    /* A line that goes on says nothing new to the parser, but it judges the very first bytes by
     * themselves. */
    if (had > 2 && in->n - in->at < HTTP_LIMIT(c->lane->server, max_header_bytes) &&
        !memchr(in->p + from, '\n', (size_t)got)) {
        dz_http_settle(c);
        return;
    }
    dz_http_run(c);
}

static void read_body(struct dz_http_conn *c)
{
    struct dz_http_upload *up = c->upload;
    if (up->chunked) {
        make_room(c);
        ssize_t got = receive(c, c->in->p + c->in->n, c->in->cap - c->in->n);
        if (nothing_read(c, got))
            return;
        c->in->n += (size_t)got;
        c->busy++;
        dz_http_feed_chunked(c);
        c->busy--;
    } else {
        size_t want = up->left < 4 * HTTP_SCRATCH_BYTES ? (size_t)up->left : 4 * HTTP_SCRATCH_BYTES;
        (void)dz_buf_reserve(&up->body, want); /* its max is the length */
        ssize_t got = receive(c, up->body.p + up->body.n, want);
        if (nothing_read(c, got))
            return;
        up->body.n += (size_t)got;
        up->left -= (size_t)got;
        up->seen += (size_t)got;
        c->busy++;
        if (dz_http_body_fits(c) && up->left == 0)
            dz_http_body_whole(c);
        c->busy--;
    }
    if (c->state == CONN_READ && c->in)
        dz_http_run(c);
    else
        dz_http_settle(c);
}

/* A body that its handler takes. */
static void read_streamed(struct dz_http_conn *c)
{
    make_room(c);
    ssize_t got = receive(c, c->in->p + c->in->n, c->in->cap - c->in->n);
    if (got == -EAGAIN) {
        dz_http_settle(c);
        return;
    }
    if (got < 0) {
        dz_http_drop(c);
        return;
    }
    c->in->n += (size_t)got;
    if (got == 0)
        dz_http_body_lost(c);
    else
        dz_http_body_feed(c);
    dz_http_settle(c);
}

static void while_taking(struct dz_http_conn *c, uint32_t events)
{
    if (c->send && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) && !dz_http_write_rest(c))
        dz_http_drop(c);
    else if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        read_streamed(c);
    else
        dz_http_settle(c);
}

static void read_linger(struct dz_http_conn *c)
{
    make_room(c);
    ssize_t got = receive(c, c->in->p, c->in->cap);
    if (got > 0)
        c->lingered += (uint32_t)got;
    if ((got <= 0 && got != -EAGAIN) || c->lingered > HTTP_LINGER_BYTES)
        dz_http_drop(c);
    else
        dz_http_settle(c);
}

static void on_writable(struct dz_http_conn *c)
{
    if (!dz_http_write_rest(c)) {
        dz_http_drop(c);
        return;
    }
    if (c->streaming && !c->send) {
        c->busy++;
        dz_http_stream_more(c);
        c->busy--;
    }
    if (!c->send && !c->streaming && c->state == CONN_WRITE && !c->close_after) {
        c->state = CONN_READ;
        if (c->in) {
            dz_http_run(c);
            return;
        }
    }
    dz_http_settle(c);
}

/* The answer's source has nothing to send. A client that closed its side may still want content
 * that ends; what goes on for ever has nobody left to end it. */
static void while_waiting(struct dz_http_conn *c, uint32_t events)
{
    uint32_t over = EPOLLERR | EPOLLHUP | (dz_http_stream_is_endless(c) ? EPOLLRDHUP : 0u);
    if (events & over)
        dz_http_drop(c);
}

void dz_http_conn_event(struct dz_http_conn *c, uint32_t events)
{
    if (c->h2 && c->state == CONN_READ) {
        dz_http_h2_event(c, events);
        return;
    }
    if (c->state == CONN_HANDLE && dz_http_body_wanted(c)) {
        while_taking(c, events);
        return;
    }
    if (c->state == CONN_HANDLE) {
        /* Level-triggered: look away until the reply is there. A half-closed client still waits for
         * it. */
        if (events & (EPOLLERR | EPOLLHUP))
            hang_up(c);
        else
            c->wire->arm(c, 0);
        return;
    }
    if (c->resuming && c->state == CONN_READ && c->in) {
        /* What lies there comes first: the end of the input behind it must not cut it short. */
        forget_resume(c);
        dz_http_run(c);
        return;
    }
    if (dz_http_stream_waits(c)) {
        while_waiting(c, events);
        return;
    }
    if ((c->send || c->streaming) && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
        on_writable(c);
        return; /* c may be gone; what is readable shows up again */
    }
    switch ((enum dz_http_conn_state)c->state) {
    case CONN_READ:
        read_head(c);
        break;
    case CONN_BODY:
        read_body(c);
        break;
    case CONN_LINGER:
        read_linger(c);
        break;
    case CONN_WRITE:
    case CONN_HANDLE:
    case CONN_CLOSED:
        break;
    }
}

/* ---- rest ------------------------------------------------------------------------------------ */

/* A waiting connection keeps no more input bytes than it has. */
static void tidy_input(struct dz_http_conn *c)
{
    struct dz_http_in *in = c->in;
    if (!in || c->request)
        return; /* the request's slices point into it */
    if (in->at == in->n) {
        dz_http_input_free(c->lane, &c->in);
        return;
    }
    if (!in->pooled)
        return;
    size_t n = in->n - in->at, cap = OWN_INPUT_MIN;
    while (cap < n + n / 2)
        cap *= 2;
    struct dz_http_in *own = dz_alloc(sizeof(*own) + cap);
    *own = (struct dz_http_in){.cap = cap, .n = n};
    memcpy(own->p, in->p + in->at, n);
    dz_http_input_free(c->lane, &c->in);
    c->in = own;
}

static int64_t least_bytes(int64_t ms)
{
    int64_t n = ms * HTTP_MIN_RATE / 1000;
    return n > 0 ? n : 1;
}

static void on_timer(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    struct dz_http_conn *c = dz_container(t, struct dz_http_conn, timer);
    struct dz_http_server *s = c->lane->server;
    uint64_t least = (uint64_t)least_bytes(HTTP_LIMIT(s, body_timeout_ms));
    uint8_t timed = c->timed;
    c->timed = TIMED_NOT;
    switch ((enum dz_http_conn_state)c->state) {
    case CONN_HANDLE:
        if (!dz_http_body_wanted(c))
            return;
        if (timed == TIMED_BODY && c->upload->seen < least)
            dz_http_body_end(c, 408, "the request body did not arrive in time");
        c->upload->seen = 0;
        dz_http_settle(c);
        return;
    case CONN_CLOSED:
        return;
    case CONN_READ:
        if (!has_request_bytes(c))
            break;
        if (c->resuming) /* nobody has looked at it yet */
            return;
        c->busy++;
        dz_http_refuse(c, NULL, 408, "the request head did not arrive in time");
        c->busy--;
        dz_http_settle(c);
        return;
    case CONN_BODY:
        if (timed != TIMED_BODY || c->upload->seen >= least) {
            c->upload->seen = 0;
            dz_http_settle(c);
            return;
        }
        c->busy++;
        dz_http_refuse(c, NULL, 408, "the request body did not arrive in time");
        c->busy--;
        dz_http_settle(c);
        return;
    case CONN_WRITE: {
        uint64_t arrived = c->sent - c->wire->unsent(c);
        if (timed != TIMED_WRITE || arrived - c->sent_seen >= least) {
            c->sent_seen = arrived;
            dz_http_settle(c);
            return;
        }
        dz_http_count(&c->lane->counters.timeouts, 1);
        c->aborted = true;
        break;
    }
    case CONN_LINGER:
        break;
    }
    dz_http_drop(c);
}

/* Sets the timer for what is waited for, once; an idle one is moved on with every request. */
static void set_timer(struct dz_http_conn *c, uint8_t timed)
{
    if (c->timed == timed && timed != TIMED_IDLE)
        return;
    const struct dz_http_server *s = c->lane->server;
    int64_t ms = timed == TIMED_IDLE     ? HTTP_LIMIT(s, idle_timeout_ms)
                 : timed == TIMED_HEAD   ? HTTP_LIMIT(s, header_timeout_ms)
                 : timed == TIMED_LINGER ? HTTP_LINGER_MS
                                         : HTTP_LIMIT(s, body_timeout_ms);
    c->timed = timed;
    dz_timer_set(c->lane->loop, &c->timer, ms, on_timer);
}

void dz_http_linger(struct dz_http_conn *c)
{
    if (c->state != CONN_LINGER) {
        c->state = CONN_LINGER;
        dz_http_input_free(c->lane, &c->in);
        c->wire->finish(c);
    }
    set_timer(c, TIMED_LINGER);
    c->wire->arm(c, EPOLLIN);
}

/* No timer, since nothing is owed in either direction. */
static void settle_waiting(struct dz_http_conn *c)
{
    bool endless = dz_http_stream_is_endless(c);
    if (endless && c->lane->stopping) { /* it was asked, or has begun since */
        dz_http_drop(c);
        return;
    }
    dz_timer_stop(c->lane->loop, &c->timer);
    c->timed = TIMED_NOT;
    c->wire->arm(c, endless ? EPOLLRDHUP : 0);
}

/* Interest stays as it is until something happens, unless the handler takes the body. */
static void settle_handled(struct dz_http_conn *c)
{
    if (c->gone || !c->upload || !c->upload->sink)
        return;
    if (c->upload->paused) {
        dz_timer_stop(c->lane->loop, &c->timer);
        c->timed = TIMED_NOT;
        c->wire->arm(c, c->send ? EPOLLOUT : 0u);
        return;
    }
    set_timer(c, TIMED_BODY);
    c->wire->arm(c, EPOLLIN | (c->send ? EPOLLOUT : 0u));
}

void dz_http_settle(struct dz_http_conn *c)
{
    if (c->busy)
        return;
    if (c->state == CONN_CLOSED) {
        conn_free(c);
        return;
    }
    if (c->h2 && c->state == CONN_READ) {
        dz_http_h2_settle(c);
        return;
    }
    bool unread = c->in && c->in->at < c->in->n;
    tidy_input(c);
    if (c->state == CONN_HANDLE) {
        settle_handled(c);
        return;
    }
    if (c->state == CONN_READ && c->send)
        c->state = CONN_WRITE;
    if (c->state == CONN_WRITE && !c->send && !c->streaming) {
        if (c->linger || unread)
            dz_http_linger(c);
        else
            dz_http_drop(c);
        return;
    }
    if (c->state == CONN_READ && !c->in && c->lane->stopping) {
        dz_http_drop(c);
        return;
    }
    if (dz_http_stream_waits(c)) {
        settle_waiting(c);
        return;
    }
    switch ((enum dz_http_conn_state)c->state) {
    case CONN_READ:
        if (c->in || c->timed != TIMED_HEAD)
            set_timer(c, c->in ? TIMED_HEAD : TIMED_IDLE);
        c->wire->arm(c, EPOLLIN);
        break;
    case CONN_BODY:
        set_timer(c, TIMED_BODY);
        c->wire->arm(c, EPOLLIN | (c->send ? EPOLLOUT : 0u));
        break;
    case CONN_WRITE:
        set_timer(c, TIMED_WRITE);
        c->wire->arm(c, EPOLLOUT);
        break;
    default:
        dz_http_linger(c);
        break;
    }
}

void dz_http_conn_begin(struct dz_http_conn *c)
{
    set_timer(c, TIMED_HEAD);
}

void dz_http_conn_stop(struct dz_http_conn *c)
{
    if (c->h2 && c->state == CONN_READ) {
        dz_http_h2_stop(c);
        return;
    }
    if (dz_http_stream_waits(c) && dz_http_stream_is_endless(c)) {
        (void)dz_http_stream_wake(c);
        dz_http_resume_soon(c); /* not now: handlers of requests behind it may run */
        return;
    }
    /* A request that has arrived and that nobody has read yet is still answered. */
    if (c->state == CONN_READ && !c->in && !c->wire->readable(c))
        dz_http_drop(c);
}

void dz_http_conn_cut(struct dz_http_conn *c)
{
    c->aborted = true;
    dz_http_drop(c);
}

void dz_http_conn_refuse_full(struct dz_http_conn *c)
{
    c->busy++;
    dz_http_refuse(c, NULL, 503, "too many connections");
    c->busy--;
    dz_http_settle(c);
}
