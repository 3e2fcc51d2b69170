/*
 * serve: requests from a connection's input to their handlers, and the replies back.
 *
 * In: bytes that a connection has read. Out: calls of handlers, in order, one at a time a
 * connection; a body is gathered first. A handler replies at once or later; a late reply that
 * leaves unparsed input posts the connection to the lane's resume list instead of running the next
 * handler inside somebody else's. The lane's thread only.
 */
#include "http/http_int.h"

/* ---- answers --------------------------------------------------------------------------------- */

static bool will_close(const struct dz_http_request *q)
{
    return !q->head.keep_alive || q->close || q->conn->lane->stopping;
}

void dz_http_account(struct dz_http_request *q, int status, uint64_t bytes)
{
    struct dz_http_lane *lane = q->conn->lane;
    const struct dz_http_server *s = lane->server;
    lane->answered_ns = dz_mono_ns();
    int64_t ns = lane->answered_ns - q->begin_ns;
    size_t row = q->pub.route ? (size_t)(q->pub.route - s->o.routes) : s->o.routes_n;
    dz_http_count_reply(&lane->counters.rows[row], status, ns);
    if (s->o.access)
        s->o.access(s->o.app, &q->pub, status, bytes, ns);
}

void dz_http_release(struct dz_http_request *q)
{
    struct dz_http_conn *c = q->conn;
    if (q->deferred)
        c->lane->deferred_n--;
    if (q->stream) {
        dz_http_h2_released(q->stream);
        q->stream = NULL;
    } else {
        if (c->request == q)
            c->request = NULL;
        dz_http_upload_free(c);
    }
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
        if (c->h2)
            dz_http_h2_resume(c);
        else if (c->state == CONN_READ && c->in)
            dz_http_run(c);
        else if (c->state == CONN_HANDLE && c->upload && c->upload->sink)
            dz_http_body_resume(c);
        else if (c->streaming)
            dz_http_conn_event(c, EPOLLOUT);
    }
}

void dz_http_resume_soon(struct dz_http_conn *c)
{
    struct dz_http_lane *lane = c->lane;
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
}

void dz_http_source_wake(struct dz_http_req *r)
{
    struct dz_http_request *q = dz_http_request_of(r);
    struct dz_http_conn *c = q->conn;
    if (q->stream)
        dz_http_h2_wake(q->stream);
    else if (c && c->request == q && dz_http_stream_wake(c))
        dz_http_resume_soon(c);
}

bool dz_http_is_ending(const struct dz_http_req *r)
{
    const struct dz_http_conn *c = dz_http_request_of(r)->conn;
    return c->lane->stopping || (c->h2 && dz_http_h2_is_ending(c));
}

/* After a reply that came when its handler had returned. */
static void after_late_reply(struct dz_http_request *q)
{
    struct dz_http_conn *c = q->conn;
    if (q->stream) {
        if (!dz_http_h2_lasts(q->stream))
            dz_http_release(q);
        if (c->gone)
            dz_http_drop(c);
        else
            dz_http_resume_soon(c);
        return;
    }
    if (!c->streaming)
        dz_http_release(q);
    if (c->gone)
        c->state = CONN_CLOSED;
    if (c->state == CONN_READ && !c->send && c->in && c->in->at < c->in->n)
        dz_http_resume_soon(c);
    else
        dz_http_settle(c);
}

/* Header lines that outgrew their buffer are no answer: says so instead. */
static void instead_of_half(struct dz_http_request *q, struct dz_http_answer *a)
{
    a->status = 500;
    a->lines = DZ_S("Content-Length: 0\r\n\r\n");
    a->block = (dz_str){0};
    a->bytes = 0;
    a->pieces_n = 0;
    dz_http_source_free(&a->take_source);
    q->close = true;
}

/* The answer of a stream. A late one leaves at the end of what the loop does now, with others. */
static void answer_stream(struct dz_http_request *q, struct dz_http_answer *a)
{
    struct dz_http_conn *c = q->conn;
    dz_http_h2_answer(q, a);
    free(a->take_heap);
    dz_http_source_free(&a->take_source);
    bool lasts = dz_http_h2_lasts(q->stream);
    if (!lasts)
        dz_http_account(q, a->status, a->pieces_n > 0 ? a->bytes : 0);
    else if (q->deferred) { /* a stop gives it no more time than other answers */
        q->deferred = false;
        c->lane->deferred_n--;
    }
    if (!q->in_handler)
        after_late_reply(q);
}

void dz_http_answer(struct dz_http_request *q, struct dz_http_answer *a)
{
    struct dz_http_conn *c = q->conn;
    q->replied = true;
    if (DZ_UNLIKELY(q->lines.full))
        instead_of_half(q, a);
    if (q->pub.method == DZ_HTTP_HEAD || !dz_http_has_body(a->status)) {
        a->pieces_n = 0;
        dz_http_source_free(&a->take_source);
    }
    if (q->stream) {
        answer_stream(q, a);
        return;
    }
    struct dz_http_streaming *s = NULL;
    if (DZ_UNLIKELY(a->take_source != NULL)) {
        if (c->gone)
            dz_http_source_free(&a->take_source);
        else if (!dz_http_stream_begin(q, a, &s))
            instead_of_half(q, a);
    }
    if (DZ_UNLIKELY(c->upload != NULL) && dz_http_body_is_left(c))
        q->close = c->linger = true;
    bool close = will_close(q);
    c->busy++;
    if (!c->gone)
        dz_http_write_answer(q, a, close, s && dz_http_stream_is_chunked(s));
    if (DZ_UNLIKELY(s != NULL))
        dz_http_stream_began(s, a);
    free(a->take_heap);
    if (close)
        c->close_after = true;
    if (!c->gone)
        c->state = close || c->send || c->streaming ? CONN_WRITE : CONN_READ;
    if (!c->streaming)
        dz_http_account(q, a->status, a->pieces_n > 0 ? a->bytes : 0);
    else if (q->deferred) { /* a stop gives it no more time than other answers */
        q->deferred = false;
        c->lane->deferred_n--;
    }
    c->busy--;
    if (!q->in_handler) /* else the caller of the handler goes on */
        after_late_reply(q);
}

/* ---- requests to handlers -------------------------------------------------------------------- */

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
        .https = c->encrypted,
        .version_major = q->stream ? 2 : 1,
        .version_minor = q->stream ? 0 : q->head.version_minor,
        .conn = c,
        .loop = lane->loop,
        .app = lane->server->o.app,
        .loop_app = lane->loop_app,
    };
    if (c->trusted)
        dz_http_forwarded(lane->server->trust, lane->server->o.forwarded, q);
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

/* A request begins when the loop comes to it: with the turn, or when the answer before it in the
 * same turn was done. One reading of the clock an answer is enough for both. */
static int64_t begin_ns(const struct dz_http_lane *lane)
{
    int64_t turn_ns = dz_loop_now_ns(lane->loop);
    return lane->answered_ns > turn_ns ? lane->answered_ns : turn_ns;
}

/* RFC 9110 14.5: who takes the part for the whole destroys the rest. */
static bool is_partial_put(const struct dz_http_req *r)
{
    return DZ_UNLIKELY(r->method == DZ_HTTP_PUT) && !(r->route->methods & DZ_HTTP_PARTIAL) &&
           dz_http_header(r, DZ_S("content-range")).p;
}

/* Behind the gate: the handler replies or defers. */
static void dispatch(struct dz_http_request *q, unsigned allowed)
{
    if (DZ_UNLIKELY(q->pub.route && is_partial_put(&q->pub)))
        dz_http_reply_error(&q->pub, 400, "Content-Range: a part of it cannot be put");
    else if (DZ_LIKELY(q->pub.route != NULL))
        q->pub.route->handler(&q->pub);
    else
        reply_unrouted(&q->pub, allowed);
}

/* Runs the handler of a complete request, which replies or defers. */
static void call(struct dz_http_request *q, dz_str body)
{
    q->in_handler = true;
    q->begin_ns = begin_ns(q->conn->lane);
    fill(q);
    q->pub.body = body;
    unsigned allowed;
    q->pub.route = route(q, &allowed);
    const struct dz_http_options *o = &q->conn->lane->server->o;
    if (!o->gate || !o->gate(&q->pub))
        dispatch(q, allowed);
    if (DZ_UNLIKELY(!q->replied && !q->deferred)) {
        static struct dz_log_gate gate;
        if (dz_log_gate_pass(&gate, 60000))
            dz_log(&(struct dz_log_ctx){.room = "http", .what = "request", .id = q->pub.id},
                   DZ_ERROR, "the handler of route %s neither replied nor deferred",
                   q->pub.route ? q->pub.route->name : "none");
        dz_http_reply_error(&q->pub, 500, NULL);
    }
    q->in_handler = false;
}

void dz_http_go_on(struct dz_http_req *r)
{
    struct dz_http_request *q = dz_http_request_of(r);
    dz_assert(q->deferred && !q->replied && !q->in_handler);
    unsigned allowed;
    q->pub.route = route(q, &allowed);
    q->conn->busy++;
    q->in_handler = true;
    dispatch(q, allowed);
    q->in_handler = false;
    q->conn->busy--;
    if (q->replied)
        after_late_reply(q);
}

/* Afterwards the state says what became of the request. */
static void handle(struct dz_http_conn *c, struct dz_http_request *q, dz_str body)
{
    c->state = CONN_HANDLE;
    c->request = q;
    c->timed = TIMED_NOT;
    call(q, body);
    if (!q->replied || c->streaming)
        return;
    dz_http_release(q);
    if (c->gone)
        c->state = CONN_CLOSED;
}

void dz_http_serve(struct dz_http_request *q, dz_str body)
{
    call(q, body);
    if (q->replied && !dz_http_h2_lasts(q->stream))
        dz_http_release(q);
}

void dz_http_serve_refusal(struct dz_http_request *q, int status, const char *why)
{
    struct dz_http_counters *counters = &q->conn->lane->counters;
    q->in_handler = true;
    q->begin_ns = begin_ns(q->conn->lane);
    q->head.version_minor = 1;
    fill(q);
    if (status == 408)
        dz_http_count(&counters->timeouts, 1);
    else if (status != 503)
        dz_http_count(&counters->parse_errors, 1);
    dz_http_reply_error(&q->pub, status, why);
    q->in_handler = false;
    dz_http_release(q);
}

static bool is_head(const struct dz_http_upload *up)
{
    return dz_str_starts(dz_str_trim((dz_str){up->head, up->head_n}), DZ_S("HEAD "));
}

void dz_http_refuse(struct dz_http_conn *c, struct dz_http_request *q, int status, const char *why)
{
    if (!q) {
        q = dz_http_request_take(c->lane);
        memset(&q->head, 0, sizeof(q->head));
        if (c->upload && is_head(c->upload)) /* a refused HEAD gets no content either */
            q->head.method = DZ_HTTP_HEAD;
    }
    q->conn = c;
    q->close = true;
    c->state = CONN_HANDLE;
    c->request = q;
    c->linger = true;
    dz_http_serve_refusal(q, status, why);
    if (c->gone)
        c->state = CONN_CLOSED;
    if (c->in)
        c->in->at = c->in->n;
}

/* ---- bodies ---------------------------------------------------------------------------------- */

void dz_http_upload_free(struct dz_http_conn *c)
{
    struct dz_http_upload *gone = dz_take(&c->upload);
    if (!gone)
        return;
    c->lane->bodies_bytes -= gone->counted;
    dz_buf_done(&gone->body);
    dz_freep(&gone);
}

bool dz_http_body_fits(struct dz_http_conn *c)
{
    struct dz_http_upload *up = c->upload;
    c->lane->bodies_bytes += up->body.n - up->counted;
    up->counted = up->body.n;
    if (DZ_LIKELY(c->lane->bodies_bytes <= HTTP_BODIES_BYTES))
        return true;
    dz_http_refuse(c, NULL, 503, "too many request bodies at once");
    return false;
}

uint64_t dz_http_body_limit(const struct dz_http_request *q)
{
    const struct dz_http_server *s = q->conn->lane->server;
    uint64_t max = HTTP_LIMIT(s, max_body_bytes);
    bool unused = (q->head.method & (DZ_HTTP_GET | DZ_HTTP_HEAD | DZ_HTTP_OPTIONS)) != 0;
    return unused && max > HTTP_UNUSED_BODY_MAX ? HTTP_UNUSED_BODY_MAX : max;
}

bool dz_http_is_refused_unread(struct dz_http_request *q)
{
    unsigned allowed;
    fill(q);
    const struct dz_http_route *row = route(q, &allowed);
    return !row && (allowed || q->pub.method == DZ_HTTP_OTHER) && q->pub.method != DZ_HTTP_OPTIONS;
}

bool dz_http_is_streamed(struct dz_http_request *q)
{
    unsigned allowed;
    fill(q);
    const struct dz_http_route *row = route(q, &allowed);
    return row && (row->methods & DZ_HTTP_STREAMED);
}

/* Answers a request that no body can make right (405, 501) without waiting for the body, and
 * closes: what follows may be a body or not, as far as the client knows. */
static bool refused_unread(struct dz_http_conn *c, struct dz_http_request *q)
{
    if (!dz_http_is_refused_unread(q))
        return false;
    q->close = true;
    c->linger = true;
    handle(c, q, (dz_str){0});
    return true;
}

/* Keeps the head of a request whose body is on its way. */
static struct dz_http_upload *keep_head(struct dz_http_conn *c, const struct dz_http_request *q,
                                        dz_str head)
{
    struct dz_http_upload *up = dz_alloc(sizeof(*up) + head.n);
    memset(up, 0, sizeof(*up));
    up->head_n = head.n;
    memcpy(up->head, head.p, head.n);
    up->chunked = q->head.chunked;
    up->left = q->head.length;
    if (up->chunked)
        dz_http_chunked_init(&up->chunk, (uint32_t)HTTP_LIMIT(c->lane->server, max_header_bytes));
    c->upload = up;
    return up;
}

/* The bytes that keep_head() has kept, which were parsed before from another place. */
static void parse_kept(const struct dz_http_upload *up, struct dz_http_request *q)
{
    enum dz_http_parsed got =
        dz_http_parse_head((dz_str){up->head, up->head_n}, up->head_n, &q->head, q->fields);
    dz_assert(got == HTTP_WHOLE);
}

void dz_http_body_whole(struct dz_http_conn *c)
{
    struct dz_http_upload *up = c->upload;
    struct dz_http_request *q = dz_http_request_take(c->lane);
    parse_kept(up, q);
    q->conn = c;
    handle(c, q, dz_buf_str(&up->body));
}

void dz_http_feed_chunked(struct dz_http_conn *c)
{
    struct dz_http_upload *up = c->upload;
    size_t used = 0;
    dz_str rest = {c->in->p + c->in->at, c->in->n - c->in->at};
    enum dz_http_parsed got = dz_http_chunked_feed(&up->chunk, rest, &up->body, &used);
    if (got == HTTP_BAD) {
        dz_http_refuse(c, NULL, up->chunk.status, up->chunk.why);
        return;
    }
    c->in->at += used;
    up->seen += used;
    if (dz_http_body_fits(c) && got == HTTP_WHOLE)
        dz_http_body_whole(c);
}

static void begin_upload(struct dz_http_conn *c, struct dz_http_request *q, dz_str head)
{
    struct dz_http_upload *up = keep_head(c, q, head);
    uint64_t limit = q->head.chunked ? dz_http_body_limit(q) : q->head.length;
    dz_buf_init(&up->body, (size_t)limit);
    c->state = CONN_BODY;
    c->timed = TIMED_NOT;
    bool ask = q->head.expect_continue && c->in->at == c->in->n;
    dz_http_request_give(c->lane, q);
    if (ask) {
        dz_http_flush_batch(c->lane);
        struct dz_http_piece piece = {"HTTP/1.1 100 Continue\r\n\r\n", 0, 25, true};
        if (!c->gone)
            dz_http_write_or_keep(c, &piece, 1, NULL);
        return;
    }
    if (up->chunked) {
        dz_http_feed_chunked(c);
        return;
    }
    dz_buf_put(&up->body, (dz_str){c->in->p + c->in->at, c->in->n - c->in->at});
    up->left -= c->in->n - c->in->at;
    c->in->at = c->in->n;
    (void)dz_http_body_fits(c);
}

/* The head is parsed and taken off the input; its body is here, on its way, or not wanted. */
static void head_whole(struct dz_http_conn *c, struct dz_http_request *q, dz_str head)
{
    struct dz_http_in *in = c->in;
    if (DZ_LIKELY(!q->head.chunked && q->head.length == 0)) {
        handle(c, q, (dz_str){0});
        return;
    }
    if (dz_http_is_streamed(q)) {
        struct dz_http_upload *up = keep_head(c, q, head);
        up->streamed = true;
        parse_kept(up, q);
        handle(c, q, (dz_str){0});
        return;
    }
    if (q->head.length > dz_http_body_limit(q)) {
        dz_http_refuse(c, q, 413, "the body is too big");
        return;
    }
    if (refused_unread(c, q))
        return;
    if (!q->head.chunked && in->n - in->at >= q->head.length) {
        dz_str body = {in->p + in->at, (size_t)q->head.length};
        in->at += body.n;
        handle(c, q, body);
        return;
    }
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
    enum dz_http_parsed got = dz_http_parse_head_like(
        lane->memos, rest, HTTP_LIMIT(lane->server, max_header_bytes), &q->head, q->fields);
    if (got == HTTP_MORE) {
        dz_http_request_give(lane, q);
        return false;
    }
    q->conn = c;
    if (got == HTTP_BAD) {
        dz_http_refuse(c, q, q->head.status, q->head.why);
        return true;
    }
    in->at += q->head.n;
    head_whole(c, q, dz_str_sub(rest, 0, q->head.n));
    return true;
}

void dz_http_run(struct dz_http_conn *c)
{
    struct dz_http_lane *lane = c->lane;
    bool outermost = !lane->batch_conn;
    c->busy++;
    if (outermost)
        lane->batch_conn = c;
    while (c->state == CONN_READ && !c->send && next_request(c)) {
    }
    if (outermost) {
        dz_http_flush_batch(lane);
        lane->batch_conn = NULL;
    }
    c->busy--;
    dz_http_settle(c);
}
