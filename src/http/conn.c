/*
 * conn: the HTTP/1.1 connection machine.
 *
 * In: readiness of a wire. Out: requests to handlers, answers to the wire. A connection moves between the states of
 * enum dz_http_conn_state; settle() is the one place that looks at where it came to rest and chooses input buffer,
 * timer and interest for it. Answers of one read that are small are gathered in the lane's batch and leave in one
 * write. Everything runs on the lane's thread.
 *
 * The odd thing: handlers run inside run(), and late replies come from anywhere. Nothing frees a connection while
 * `busy` is set; a late reply that leaves unparsed input posts the connection to the lane's resume list instead of
 * running the next handler inside somebody else's.
 */
#include "http/http_int.h"

#include <errno.h>

enum { TIMED_NOT, TIMED_IDLE, TIMED_HEAD, TIMED_BODY, TIMED_WRITE, TIMED_LINGER };

#define SPARE_CONNS_MAX 1024
#define SCRATCH_MAX 64
#define OWN_INPUT_MIN ((size_t)1024)
#define IOV_MAX_HERE 40

static void settle(struct dz_http_conn *c);
static void run(struct dz_http_conn *c);
static void refuse(struct dz_http_conn *c, struct dz_http_request *q, int status, const char *why);

/* ---- life ------------------------------------------------------------------------------------------------------- */

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

static void input_free(struct dz_http_lane *lane, struct dz_http_in **in)
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

static void upload_free(struct dz_http_upload **up)
{
    struct dz_http_upload *gone = dz_take(up);
    if (!gone)
        return;
    dz_buf_done(&gone->body);
    dz_freep(&gone);
}

struct dz_http_send { /* what could not be written at once, in order */
    struct dz_http_send *next;
    struct dz_body *body;
    struct dz_file *file;
    char *heap;
    size_t at, n;
    struct dz_http_piece piece[]; /* then the copied bytes */
};

static void send_free(struct dz_http_send **s)
{
    struct dz_http_send *gone = dz_take(s);
    if (!gone)
        return;
    dz_body_unref(&gone->body);
    dz_file_unref(&gone->file);
    dz_freep(&gone->heap);
    dz_freep(&gone);
}

static void sends_free(struct dz_http_conn *c)
{
    while (c->send) {
        struct dz_http_send *s = c->send;
        c->send = s->next;
        send_free(&s);
    }
}

static void conn_free(struct dz_http_conn *c)
{
    struct dz_http_lane *lane = c->lane;
    dz_assert(!c->request && !c->busy);
    if (c->resuming) {
        struct dz_http_conn **at = &lane->resume;
        while (*at != c)
            at = &(*at)->resume_next;
        *at = c->resume_next;
    }
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
}

/* Gives the wire back and forgets what was to be written; the request of a handler stays until it is replied to. */
static void hang_up(struct dz_http_conn *c)
{
    if (c->gone)
        return;
    struct dz_http_lane *lane = c->lane;
    c->gone = true;
    dz_timer_stop(lane->loop, &c->timer);
    c->wire->close(c);
    sends_free(c);
    if (c->refused) {
        lane->refused_n--;
    } else {
        lane->conns_n--;
        atomic_fetch_sub_explicit(&lane->server->open, 1, memory_order_relaxed);
        atomic_store_explicit(&lane->counters.open, lane->conns_n, memory_order_relaxed);
    }
}

/* The end of a connection, whatever it was doing. It may be freed by this. */
static void drop(struct dz_http_conn *c)
{
    hang_up(c);
    if (c->state == CONN_HANDLE)
        return;
    c->state = CONN_CLOSED;
    upload_free(&c->upload);
    input_free(c->lane, &c->in);
    if (!c->busy)
        conn_free(c);
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

enum { WROTE_ALL, WROTE_SOME, WROTE_NEVER };

static size_t gather(const struct dz_http_piece *piece, size_t n, struct iovec *iov,
                     size_t *ret_total)
{
    size_t k = 0;
    *ret_total = 0;
    for (; k < n && k < IOV_MAX_HERE && piece[k].p; k++) {
        iov[k] = (struct iovec){(void *)(uintptr_t)piece[k].p, (size_t)piece[k].n};
        *ret_total += (size_t)piece[k].n;
    }
    return k;
}

/* Writes piece[*at..n) until done or the wire is full; moves *at and the pieces forward. */
static int write_out(struct dz_http_conn *c, struct dz_http_piece *piece, size_t *at, size_t n,
                     const struct dz_file *file)
{
    uint64_t budget = HTTP_FILE_TURN_BYTES;
    while (*at < n) {
        struct dz_http_piece *x = &piece[*at];
        ssize_t got;
        size_t want;
        if (x->n == 0) {
            ++*at;
            continue;
        }
        if (x->p) {
            struct iovec iov[IOV_MAX_HERE];
            size_t k = gather(x, n - *at, iov, &want);
            got = c->wire->send(c, iov, k, *at + k < n);
        } else {
            want = (size_t)(x->n < budget ? x->n : budget);
            if (want == 0)
                return WROTE_SOME;
            got = c->wire->send_file(c, file, x->at, want);
            if (got == 0)
                return WROTE_NEVER; /* the file became shorter */
        }
        if (got < 0)
            return got == -EAGAIN ? WROTE_SOME : WROTE_NEVER;
        c->sent += (size_t)got;
        dz_http_count(&c->lane->counters.bytes_out, (size_t)got);
        bool is_short = (size_t)got < want;
        if (!x->p)
            budget -= (size_t)got;
        while (got > 0) {
            size_t step = piece[*at].n < (size_t)got ? (size_t)piece[*at].n : (size_t)got;
            if (piece[*at].p)
                piece[*at].p += step;
            piece[*at].at += step;
            piece[*at].n -= step;
            got -= (ssize_t)step;
            if (piece[*at].n == 0)
                ++*at;
        }
        if (is_short)
            return WROTE_SOME;
    }
    return WROTE_ALL;
}

/* Keeps what was not written: copies what may go away, takes references on the rest. */
static void keep_rest(struct dz_http_conn *c, const struct dz_http_piece *piece, size_t n,
                      struct dz_http_answer *a)
{
    size_t copied = 0;
    for (size_t i = 0; i < n; i++)
        copied += piece[i].copy ? (size_t)piece[i].n : 0;
    struct dz_http_send *s = dz_alloc(sizeof(*s) + n * sizeof(s->piece[0]) + copied);
    *s = (struct dz_http_send){.n = n};
    char *to = (char *)&s->piece[n];
    for (size_t i = 0; i < n; i++) {
        s->piece[i] = piece[i];
        if (!piece[i].copy || piece[i].n == 0)
            continue;
        memcpy(to, piece[i].p, piece[i].n);
        s->piece[i].p = to;
        to += piece[i].n;
    }
    if (a) {
        s->body = a->body ? dz_body_ref(a->body) : NULL;
        s->file = a->file ? dz_file_ref(a->file) : NULL;
        s->heap = dz_take(&a->take_heap);
    }
    struct dz_http_send **last = &c->send;
    while (*last)
        last = &(*last)->next;
    *last = s;
}

/* Writes pieces behind whatever waits already. */
static void write_or_keep(struct dz_http_conn *c, struct dz_http_piece *piece, size_t n,
                          struct dz_http_answer *a)
{
    size_t at = 0;
    int wrote = WROTE_SOME;
    if (!c->send)
        wrote = write_out(c, piece, &at, n, a ? a->file : NULL);
    if (wrote == WROTE_SOME)
        keep_rest(c, piece + at, n - at, a);
    else if (wrote == WROTE_NEVER)
        drop(c);
}

static void flush_batch(struct dz_http_lane *lane)
{
    struct dz_http_conn *c = lane->batch_conn;
    size_t n = lane->batch_n;
    lane->batch_n = 0;
    if (n == 0 || c->gone)
        return;
    struct dz_http_piece piece = {lane->batch, 0, n, true};
    write_or_keep(c, &piece, 1, NULL);
}

static void on_writable(struct dz_http_conn *c)
{
    while (c->send) {
        struct dz_http_send *s = c->send;
        int wrote = write_out(c, s->piece, &s->at, s->n, s->file);
        if (wrote == WROTE_NEVER) {
            drop(c);
            return;
        }
        if (wrote == WROTE_SOME)
            break;
        c->send = s->next;
        send_free(&s);
    }
    if (!c->send && c->state == CONN_WRITE && !c->close_after) {
        c->state = CONN_READ;
        if (c->in) {
            run(c);
            return;
        }
    }
    settle(c);
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static bool will_close(const struct dz_http_request *q)
{
    return !q->head.keep_alive || q->close || q->conn->lane->stopping;
}

static void account(struct dz_http_request *q, int status, uint64_t bytes)
{
    const struct dz_http_server *s = q->conn->lane->server;
    int64_t ns = dz_mono_ns() - q->begin_ns;
    size_t row = q->pub.route ? (size_t)(q->pub.route - s->o.routes) : s->o.routes_n;
    dz_http_count_reply(&q->conn->lane->counters.rows[row], status, ns);
    if (s->o.access)
        s->o.access(s->o.app, &q->pub, status, bytes, ns);
}

static void release(struct dz_http_request *q)
{
    struct dz_http_conn *c = q->conn;
    if (q->deferred)
        c->lane->deferred_n--;
    if (c->request == q)
        c->request = NULL;
    upload_free(&c->upload);
    dz_http_request_give(c->lane, q);
}

static void resume_all(struct dz_loop *l, struct dz_msg *m)
{
    (void)l;
    struct dz_http_lane *lane = dz_container(m, struct dz_http_lane, resume_msg);
    lane->resume_posted = false;
    while (lane->resume) {
        struct dz_http_conn *c = lane->resume;
        lane->resume = c->resume_next;
        c->resuming = false;
        if (c->state == CONN_READ && c->in)
            run(c);
    }
}

/* After a reply that came when its handler had returned. */
static void after_late_reply(struct dz_http_conn *c)
{
    struct dz_http_lane *lane = c->lane;
    if (c->gone) {
        c->state = CONN_CLOSED;
        input_free(lane, &c->in);
    }
    if (c->state == CONN_READ && !c->send && c->in && c->in->at < c->in->n) {
        if (!c->resuming) {
            c->resuming = true;
            c->resume_next = lane->resume;
            lane->resume = c;
        }
        if (!lane->resume_posted) {
            lane->resume_posted = true;
            lane->resume_msg.fn = resume_all;
            dz_loop_post(lane->loop, &lane->resume_msg);
        }
        return;
    }
    settle(c);
}

static bool into_batch(struct dz_http_conn *c, const struct dz_http_piece *piece, size_t n)
{
    struct dz_http_lane *lane = c->lane;
    uint64_t total = 0;
    if (lane->batch_conn != c || c->send)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (piece[i].n > 0 && !piece[i].p)
            return false;
        total += piece[i].n;
    }
    if (total > HTTP_SMALL_BYTES)
        return false;
    if (total > HTTP_BATCH_BYTES - lane->batch_n) {
        flush_batch(lane);
        if (c->send || c->gone)
            return false;
    }
    char *to = lane->batch + lane->batch_n;
    for (size_t i = 0; i < n; i++) {
        if (piece[i].n > 0)
            memcpy(to, piece[i].p, piece[i].n);
        to += piece[i].n;
    }
    lane->batch_n += total;
    return true;
}

static void write_answer(struct dz_http_request *q, struct dz_http_answer *a, bool close)
{
    struct dz_http_conn *c = q->conn;
    struct dz_http_lane *lane = c->lane;
    struct dz_http_piece piece[HTTP_PIECES_MAX + 5];
    size_t n = 1; /* [0] is for the batch */
    dz_str line = dz_http_status_line(lane, a->status);
    piece[n++] = (struct dz_http_piece){line.p, 0, line.n, true};
    if (close)
        piece[n++] = (struct dz_http_piece){"Connection: close\r\n", 0, 19, true};
    else if (DZ_UNLIKELY(q->head.version_minor == 0))
        piece[n++] = (struct dz_http_piece){"Connection: keep-alive\r\n", 0, 24, true};
    if (a->lines.n > 0)
        piece[n++] = (struct dz_http_piece){a->lines.p, 0, a->lines.n, true};
    if (a->block.n > 0)
        piece[n++] = (struct dz_http_piece){a->block.p, 0, a->block.n, false};
    for (size_t i = 0; i < a->pieces_n; i++)
        piece[n++] = a->piece[i];
    if (into_batch(c, piece + 1, n - 1))
        return;
    bool with_batch = lane->batch_conn == c && lane->batch_n > 0;
    if (with_batch) {
        piece[0] = (struct dz_http_piece){lane->batch, 0, lane->batch_n, true};
        lane->batch_n = 0;
    }
    if (!c->gone)
        write_or_keep(c, with_batch ? piece : piece + 1, with_batch ? n : n - 1, a);
}

void dz_http_answer(struct dz_http_request *q, struct dz_http_answer *a)
{
    struct dz_http_conn *c = q->conn;
    q->replied = true;
    if (q->pub.method == DZ_HTTP_HEAD || !dz_http_has_body(a->status))
        a->pieces_n = 0;
    bool close = will_close(q);
    c->busy++;
    if (!c->gone)
        write_answer(q, a, close);
    free(a->take_heap);
    if (close)
        c->close_after = true;
    if (!c->gone)
        c->state = close || c->send ? CONN_WRITE : CONN_READ;
    account(q, a->status, a->pieces_n > 0 ? a->bytes : 0);
    c->busy--;
    if (q->in_handler)
        return; /* handle() goes on */
    release(q);
    after_late_reply(c);
}

/* ---- requests to handlers --------------------------------------------------------------------------------------- */

static void fill(struct dz_http_request *q)
{
    struct dz_http_conn *c = q->conn;
    struct dz_http_lane *lane = c->lane;
    struct dz_http_req *r = &q->pub;
    *r = (struct dz_http_req){
        .id = ++lane->next_id,
        .method = q->head.method ? q->head.method : DZ_HTTP_OTHER,
        .method_text = q->head.method_text,
        .target = q->head.target,
        .raw_path = q->head.raw_path,
        .path = q->head.raw_path,
        .query = q->head.query,
        .host = q->head.host,
        .fields = q->fields,
        .fields_n = q->head.fields_n,
        .client_ip = {c->ip, c->ip_n},
        .version_minor = q->head.version_minor,
        .conn = c,
        .loop = lane->loop,
        .app = lane->server->o.app,
        .loop_app = lane->loop_app,
    };
    if (!c->trusted)
        return;
    if (dz_http_has(q, KNOWN_X_FORWARDED_FOR))
        r->client_ip = dz_http_forwarded_for(lane->server->trust, q, r->client_ip);
    struct dz_http_list it = {0};
    dz_str item;
    while (dz_http_known_next(q, KNOWN_X_FORWARDED_PROTO, &it,
                              &item)) /* the last one is the proxy's own word */
        r->https = dz_str_eq_nocase(item, DZ_S("https"));
}

/* The row of the request, with captures; NULL with what the path allows. */
static const struct dz_http_route *route(struct dz_http_request *q, unsigned *ret_allowed)
{
    struct dz_http_req *r = &q->pub;
    const struct dz_http_routes *t = q->conn->lane->server->routes;
    *ret_allowed = 0;
    if (r->raw_path.p[0] != '/') { /* "*" */
        *ret_allowed = dz_http_routes_methods(t);
        return NULL;
    }
    struct dz_http_path path;
    char *decoded = q->head.escaped ? dz_arena_alloc(dz_http_arena(r), r->raw_path.n + 1) : NULL;
    dz_http_path_split(r->raw_path, q->head.escaped, decoded, &path);
    r->path = path.text;
    if (DZ_UNLIKELY(dz_http_is_preflight(q)))
        return dz_http_routes_find(t, (enum dz_http_method)0, &path, r->capture, ret_allowed);
    return dz_http_routes_find(t, r->method, &path, r->capture, ret_allowed);
}

static void reply_unrouted(struct dz_http_req *r, unsigned allowed)
{
    const struct dz_http_server *s = r->conn->lane->server;
    if (r->method == DZ_HTTP_OTHER)
        dz_http_reply_error(r, 501, "this method is not known here");
    else if (r->method == DZ_HTTP_OPTIONS && (allowed || r->raw_path.p[0] == '*'))
        dz_http_reply_options(r, allowed);
    else if (allowed)
        dz_http_reply_not_allowed(r, allowed);
    else if (s->o.fallback)
        s->o.fallback(r);
    else
        dz_http_reply_error(r, 404, NULL);
}

/* Hands a complete request to its handler; afterwards the state says what became of it. */
static void handle(struct dz_http_conn *c, struct dz_http_request *q, dz_str body)
{
    c->state = CONN_HANDLE;
    c->request = q;
    c->timed = TIMED_NOT;
    q->in_handler = true;
    q->begin_ns = dz_mono_ns();
    fill(q);
    q->pub.body = body;
    unsigned allowed;
    q->pub.route = route(q, &allowed);
    if (DZ_LIKELY(q->pub.route))
        q->pub.route->handler(&q->pub);
    else
        reply_unrouted(&q->pub, allowed);
    if (DZ_UNLIKELY(!q->replied && !q->deferred)) {
        static struct dz_log_gate gate;
        if (dz_log_gate_pass(&gate, 60000))
            dz_log(&(struct dz_log_ctx){.room = "http", .what = "request", .id = q->pub.id},
                   DZ_ERROR, "the handler of route %s neither replied nor deferred",
                   q->pub.route ? q->pub.route->name : "none");
        dz_http_reply_error(&q->pub, 500, NULL);
    }
    q->in_handler = false;
    if (!q->replied)
        return;
    release(q);
    if (c->gone)
        c->state = CONN_CLOSED;
}

/* Answers with an error and closes; unread bytes are drained so that the client gets to see it. */
static void refuse(struct dz_http_conn *c, struct dz_http_request *q, int status, const char *why)
{
    if (!q) {
        q = dz_http_request_take(c->lane);
        memset(&q->head, 0, sizeof(q->head));
    }
    q->conn = c;
    q->close = true;
    c->state = CONN_HANDLE;
    c->request = q;
    c->linger = true;
    q->in_handler = true;
    q->begin_ns = dz_mono_ns();
    q->head.version_minor = 1;
    fill(q);
    if (status == 408)
        dz_http_count(&c->lane->counters.timeouts, 1);
    else
        dz_http_count(&c->lane->counters.parse_errors, 1);
    dz_http_reply_error(&q->pub, status, why);
    q->in_handler = false;
    release(q);
    if (c->gone)
        c->state = CONN_CLOSED;
    if (c->in)
        c->in->at = c->in->n;
}

/* ---- bodies ----------------------------------------------------------------------------------------------------- */

static uint64_t body_limit(const struct dz_http_request *q)
{
    const struct dz_http_server *s = q->conn->lane->server;
    uint64_t max = HTTP_LIMIT(s, max_body_bytes);
    bool unused =
        (q->head.method & (DZ_HTTP_GET | DZ_HTTP_HEAD | DZ_HTTP_OPTIONS | DZ_HTTP_DELETE)) != 0;
    return unused && max > HTTP_UNUSED_BODY_MAX ? HTTP_UNUSED_BODY_MAX : max;
}

/* Answers a request that no body can make right (405, 501) without waiting for the body. */
static bool refused_unread(struct dz_http_conn *c, struct dz_http_request *q)
{
    unsigned allowed;
    fill(q);
    const struct dz_http_route *row = route(q, &allowed);
    if (row || (!allowed && q->pub.method != DZ_HTTP_OTHER) || q->pub.method == DZ_HTTP_OPTIONS)
        return false;
    q->close = true;
    c->linger = true;
    handle(c, q, (dz_str){0});
    return true;
}

static void body_whole(struct dz_http_conn *c)
{
    struct dz_http_upload *up = c->upload;
    struct dz_http_request *q = dz_http_request_take(c->lane);
    /* The same bytes were parsed before, from another place. */
    enum dz_http_parsed got =
        dz_http_parse_head((dz_str){up->head, up->head_n}, up->head_n, &q->head, q->fields);
    dz_assert(got == HTTP_WHOLE);
    q->conn = c;
    handle(c, q, dz_buf_str(&up->body));
}

/* Takes what there is of a chunked body. */
static void feed_chunked(struct dz_http_conn *c)
{
    struct dz_http_upload *up = c->upload;
    size_t used = 0;
    dz_str rest = {c->in->p + c->in->at, c->in->n - c->in->at};
    enum dz_http_parsed got = dz_http_chunked_feed(&up->chunk, rest, &up->body, &used);
    if (got == HTTP_BAD) {
        refuse(c, NULL, up->chunk.status, up->chunk.why);
        return;
    }
    c->in->at += used;
    up->seen += used;
    if (got == HTTP_WHOLE)
        body_whole(c);
}

static void begin_upload(struct dz_http_conn *c, struct dz_http_request *q, dz_str head)
{
    struct dz_http_upload *up = dz_alloc(sizeof(*up) + head.n);
    memset(up, 0, sizeof(*up));
    up->head_n = head.n;
    memcpy(up->head, head.p, head.n);
    up->chunked = q->head.chunked;
    uint64_t limit = q->head.chunked ? body_limit(q) : q->head.length;
    dz_buf_init(&up->body, (size_t)limit);
    if (up->chunked)
        dz_http_chunked_init(&up->chunk, (uint32_t)HTTP_LIMIT(c->lane->server, max_header_bytes));
    up->left = q->head.length;
    c->upload = up;
    c->state = CONN_BODY;
    c->timed = TIMED_NOT;
    bool ask = q->head.expect_continue && c->in->at == c->in->n;
    dz_http_request_give(c->lane, q);
    if (ask) {
        flush_batch(c->lane);
        struct dz_http_piece piece = {"HTTP/1.1 100 Continue\r\n\r\n", 0, 25, true};
        if (!c->gone)
            write_or_keep(c, &piece, 1, NULL);
        return;
    }
    if (up->chunked) {
        feed_chunked(c);
        return;
    }
    dz_buf_put(&up->body, (dz_str){c->in->p + c->in->at, c->in->n - c->in->at});
    up->left -= c->in->n - c->in->at;
    c->in->at = c->in->n;
}

/* The head is parsed and taken off the input; its body is here, on its way, or not wanted. */
static void head_whole(struct dz_http_conn *c, struct dz_http_request *q, dz_str head)
{
    struct dz_http_in *in = c->in;
    if (DZ_LIKELY(!q->head.chunked && q->head.length == 0)) {
        handle(c, q, (dz_str){0});
        return;
    }
    if (q->head.length > body_limit(q)) {
        refuse(c, q, 413, "the body is too big");
        return;
    }
    if (!q->head.chunked && in->n - in->at >= q->head.length) {
        dz_str body = {in->p + in->at, (size_t)q->head.length};
        in->at += body.n;
        handle(c, q, body);
        return;
    }
    if (!refused_unread(c, q))
        begin_upload(c, q, head);
}

/* One request off the input; false: it is not whole yet. */
static bool next_request(struct dz_http_conn *c)
{
    struct dz_http_in *in = c->in;
    if (!in || in->at == in->n)
        return false;
    struct dz_http_lane *lane = c->lane;
    struct dz_http_request *q = dz_http_request_take(lane);
    dz_str rest = {in->p + in->at, in->n - in->at};
    enum dz_http_parsed got =
        dz_http_parse_head(rest, HTTP_LIMIT(lane->server, max_header_bytes), &q->head, q->fields);
    if (got == HTTP_MORE) {
        dz_http_request_give(lane, q);
        return false;
    }
    q->conn = c;
    if (got == HTTP_BAD) {
        refuse(c, q, q->head.status, q->head.why);
        return true;
    }
    in->at += q->head.n;
    head_whole(c, q, dz_str_sub(rest, 0, q->head.n));
    return true;
}

/* Serves what the input holds. */
static void run(struct dz_http_conn *c)
{
    struct dz_http_lane *lane = c->lane;
    bool outermost = !lane->batch_conn;
    c->busy++;
    if (outermost)
        lane->batch_conn = c;
    while (c->state == CONN_READ && !c->send && next_request(c)) {
    }
    if (outermost) {
        flush_batch(lane);
        lane->batch_conn = NULL;
    }
    c->busy--;
    settle(c);
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

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
        input_free(c->lane, &c->in);
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

/* Nothing to read: the end of the input, an error, or not now. True when it was dealt with. */
static bool nothing_read(struct dz_http_conn *c, ssize_t got)
{
    if (DZ_LIKELY(got > 0))
        return false;
    if (got == -EAGAIN) {
        settle(c);
        return true;
    }
    if (got == 0 && (c->state == CONN_BODY || (c->in && c->in->at < c->in->n))) {
        c->busy++;
        refuse(c, NULL, 400, "the connection ended inside a request");
        c->busy--;
        c->linger = false;
        settle(c);
        return true;
    }
    drop(c);
    return true;
}

static void read_head(struct dz_http_conn *c)
{
    make_room(c);
    struct dz_http_in *in = c->in;
    bool had = in->n > in->at;
    size_t from = in->n;
    ssize_t got = receive(c, in->p + in->n, in->cap - in->n);
    if (nothing_read(c, got))
        return;
    in->n += (size_t)got;
    /* A line that goes on says nothing new to the parser. */
    if (had && in->n - in->at < HTTP_LIMIT(c->lane->server, max_header_bytes) &&
        !memchr(in->p + from, '\n', (size_t)got)) {
        settle(c);
        return;
    }
    run(c);
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
        feed_chunked(c);
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
        if (up->left == 0) {
            c->busy++;
            body_whole(c);
            c->busy--;
        }
    }
    if (c->state == CONN_READ && c->in)
        run(c);
    else
        settle(c);
}

static void read_linger(struct dz_http_conn *c)
{
    make_room(c);
    ssize_t got = receive(c, c->in->p, c->in->cap);
    if (got > 0)
        c->lingered += (uint32_t)got;
    if ((got <= 0 && got != -EAGAIN) || c->lingered > HTTP_LINGER_BYTES)
        drop(c);
    else
        settle(c);
}

void dz_http_conn_event(struct dz_http_conn *c, uint32_t events)
{
    if (c->state == CONN_HANDLE) {
        /* Level-triggered: look away until the reply is there. A half-closed client still waits for it. */
        if (events & (EPOLLERR | EPOLLHUP))
            hang_up(c);
        else
            c->wire->arm(c, 0);
        return;
    }
    if (c->send && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
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

/* ---- rest -------------------------------------------------------------------------------------------------------------- */

/* A waiting connection keeps no more input bytes than it has. */
static void tidy_input(struct dz_http_conn *c)
{
    struct dz_http_in *in = c->in;
    if (!in || c->state == CONN_HANDLE)
        return; /* the request's slices point into it */
    if (in->at == in->n) {
        input_free(c->lane, &c->in);
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
    input_free(c->lane, &c->in);
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
    case CONN_CLOSED:
        return;
    case CONN_READ:
        if (!c->in)
            break;
        c->busy++;
        refuse(c, NULL, 408, "the request head did not arrive in time");
        c->busy--;
        settle(c);
        return;
    case CONN_BODY:
        if (timed != TIMED_BODY || c->upload->seen >= least) {
            c->upload->seen = 0;
            settle(c);
            return;
        }
        c->busy++;
        refuse(c, NULL, 408, "the request body did not arrive in time");
        c->busy--;
        settle(c);
        return;
    case CONN_WRITE: {
        uint64_t arrived = c->sent - c->wire->unsent(c);
        if (timed != TIMED_WRITE || arrived - c->sent_seen >= least) {
            c->sent_seen = arrived;
            settle(c);
            return;
        }
        dz_http_count(&c->lane->counters.timeouts, 1);
        c->aborted = true;
        break;
    }
    case CONN_LINGER:
        break;
    }
    drop(c);
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

static void rest_lingering(struct dz_http_conn *c)
{
    if (c->state != CONN_LINGER) {
        c->state = CONN_LINGER;
        c->wire->finish(c);
    }
    if (c->gone)
        return;
    set_timer(c, TIMED_LINGER);
    c->wire->arm(c, EPOLLIN);
}

static void settle(struct dz_http_conn *c)
{
    if (c->busy)
        return;
    if (c->state == CONN_CLOSED) {
        conn_free(c);
        return;
    }
    bool unread = c->in && c->in->at < c->in->n;
    tidy_input(c);
    if (c->state == CONN_HANDLE)
        return; /* interest stays as it is until something happens */
    if (c->state == CONN_READ && c->send)
        c->state = CONN_WRITE;
    if (c->state == CONN_WRITE && !c->send) {
        if (c->linger || unread)
            rest_lingering(c);
        else
            drop(c);
        return;
    }
    if (c->state == CONN_READ && !c->in && c->lane->stopping) {
        drop(c);
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
        rest_lingering(c);
        break;
    }
}

void dz_http_conn_begin(struct dz_http_conn *c)
{
    set_timer(c, TIMED_HEAD);
}

void dz_http_conn_stop(struct dz_http_conn *c)
{
    /* A request that has arrived and that nobody has read yet is still answered. */
    if (c->state == CONN_READ && !c->in && !c->wire->readable(c))
        drop(c);
}

void dz_http_conn_cut(struct dz_http_conn *c)
{
    c->aborted = true;
    drop(c);
}

void dz_http_conn_refuse_full(struct dz_http_conn *c)
{
    c->busy++;
    refuse(c, NULL, 503, "too many connections");
    c->busy--;
    settle(c);
}
