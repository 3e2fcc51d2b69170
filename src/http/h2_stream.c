/*
 * h2_stream: one stream of an HTTP/2 connection: a request in, an answer out.
 *
 * In: fields and bytes as nghttp2 delivers them, and the answer that serve.c hands over. Out: a
 * head as text, which the parser of HTTP/1.1 reads, so that both protocols have one grammar, the
 * same limits and the same refusals; a gathered body; header fields and DATA frames. A stream lives
 * until nghttp2 has forgotten it and nobody has its request any more, whichever comes last. Streams
 * are kept in the lane for the next requests, with the memory of their texts. The lane's thread
 * only.
 *
 * The odd thing: a body is copied once, from where it lies into the lane's output, because TLS
 * reads it from there; nghttp2's own buffer is used for content that is made while it is sent.
 */
#include "http/h2_int.h"

#include <errno.h>
#include <unistd.h>

#define HEAD_EXTRA 64 /* what the text of a head has that its fields have not: method, version */

/* ---- life ------------------------------------------------------------------------------------ */

struct dz_http_stream *dz_http_stream_new(struct dz_http_h2 *h, int32_t id)
{
    struct dz_http_h2_lane *l = h->conn->lane->h2;
    const struct dz_http_server *server = h->conn->lane->server;
    struct dz_http_stream *s = l->spare;
    if (s) {
        l->spare = s->next;
        l->spare_n--;
    } else {
        s = dz_new(struct dz_http_stream);
    }
    struct dz_buf text = s->text, copied = s->copied;
    memset(s, 0, offsetof(struct dz_http_stream, piece));
    s->text = text;
    s->copied = copied;
    dz_buf_clear(&s->text);
    dz_buf_clear(&s->copied);
    /* The pseudo-fields are there more than once: as they came and in the request line. */
    s->text.max = 3 * (size_t)HTTP_LIMIT(server, max_header_bytes) + HEAD_EXTRA;
    s->copied.max = SIZE_MAX / 4; /* what is put in lies in memory already */
    dz_buf_init(&s->cookies, (size_t)HTTP_LIMIT(server, max_header_bytes));
    dz_buf_init(&s->body, (size_t)HTTP_LIMIT(server, max_body_bytes) + H2_IN_BYTES);
    s->h2 = h;
    s->id = id;
    s->next = h->streams;
    if (s->next)
        s->next->prev = s;
    h->streams = s;
    h->streams_n++;
    h->idle_due_ms = 0; /* it may be over before anybody looks: idling begins anew */
    return s;
}

static void stream_delete(struct dz_http_stream **s)
{
    struct dz_http_stream *gone = dz_take(s);
    dz_buf_done(&gone->text);
    dz_buf_done(&gone->copied);
    dz_freep(&gone);
}

static void set_moving(struct dz_http_stream *s, bool moving)
{
    if (s->moving == moving)
        return;
    s->moving = moving;
    s->aged = false;
    s->seen = 0;
    if (moving)
        s->h2->moving_n++;
    else
        s->h2->moving_n--;
}

static void free_body(struct dz_http_stream *s)
{
    s->h2->conn->lane->bodies_bytes -= s->counted;
    s->counted = 0;
    dz_buf_done(&s->body);
}

static void stream_free(struct dz_http_stream *s)
{
    struct dz_http_h2_lane *l = s->h2->conn->lane->h2;
    free_body(s);
    dz_buf_done(&s->cookies);
    if (s->next)
        s->next->prev = s->prev;
    if (s->prev)
        s->prev->next = s->next;
    else
        s->h2->streams = s->next;
    if (s->text.cap > H2_SPARE_TEXT_BYTES)
        dz_buf_done(&s->text);
    if (s->copied.cap > H2_SPARE_TEXT_BYTES)
        dz_buf_done(&s->copied);
    if (l->spare_n >= H2_SPARE_STREAMS) {
        stream_delete(&s);
        return;
    }
    s->next = l->spare;
    l->spare = s;
    l->spare_n++;
}

void dz_http_stream_free_spare(struct dz_http_h2_lane *l)
{
    while (l->spare) {
        struct dz_http_stream *s = l->spare;
        l->spare = s->next;
        stream_delete(&s);
    }
}

/* The content is sent, or nobody wants it. */
static void drop_answer(struct dz_http_stream *s)
{
    dz_body_unref(&s->answer_body);
    dz_file_unref(&s->file);
    dz_freep(&s->heap);
    s->pieces_n = s->piece_at = 0;
    s->left = 0;
    if (!s->source)
        return;
    dz_http_source_free(&s->source); /* it may use the request's arena */
    struct dz_http_request *q = s->request;
    dz_http_account(q, s->status, s->sent);
    dz_http_release(q);
}

void dz_http_stream_closed(struct dz_http_stream *s)
{
    dz_assert(!s->gone);
    s->gone = true;
    s->h2->streams_n--;
    set_moving(s, false);
    dz_http_stream_body_lost(s);
    bool was_queued = s->queued;
    s->queued = true; /* whoever lets go of the request must not free it yet */
    drop_answer(s);
    s->queued = was_queued;
    if (!s->request && !s->queued)
        stream_free(s);
}

void dz_http_h2_released(struct dz_http_stream *s)
{
    s->request = NULL;
    s->h2->owed--;
    free_body(s);
    if (s->gone && !s->queued)
        stream_free(s);
}

bool dz_http_h2_is_gone(const struct dz_http_stream *s)
{
    return s->gone;
}

/* ---- the head as text ------------------------------------------------------------------------ */

static void refuse_later(struct dz_http_stream *s, uint16_t status, const char *why)
{
    if (s->refused)
        return;
    s->refused = status;
    s->why = why;
}

static void keep_pseudo(struct dz_http_stream *s, struct dz_http_pseudo *to, dz_str value)
{
    to->at = (uint32_t)s->text.n;
    to->n = (uint32_t)value.n;
    to->there = true;
    dz_buf_put(&s->text, value);
    if (s->text.full)
        refuse_later(s, to == &s->path ? 414 : 431,
                     to == &s->path ? "the request target is too long"
                                    : "the header fields are too long");
}

static dz_str pseudo(const struct dz_http_stream *s, const struct dz_http_pseudo *of)
{
    return (dz_str){s->text.p + of->at, of->n};
}

static void put_line(struct dz_http_stream *s, dz_str name, dz_str value)
{
    struct dz_buf *b = &s->text;
    dz_buf_put(b, name);
    dz_buf_put(b, DZ_S(": "));
    dz_buf_put(b, value);
    dz_buf_put(b, DZ_S("\r\n"));
    s->fields_n++;
    if (b->full)
        refuse_later(s, 431, "the header fields are too long");
}

/* RFC 9113 8.3: all pseudo-fields come first, so the request line can be written with the first
 * other field. Room is made before, because slices of the text go into the text. */
static void put_request_line(struct dz_http_stream *s)
{
    struct dz_buf *b = &s->text;
    if (s->head)
        return;
    bool is_connect = dz_str_eq(pseudo(s, &s->method), DZ_S("CONNECT"));
    if (!dz_buf_reserve(b, b->n + s->authority.n + HEAD_EXTRA)) {
        refuse_later(s, 414, "the request target is too long");
        return;
    }
    s->head = (uint32_t)b->n;
    dz_buf_put(b, pseudo(s, &s->method));
    dz_buf_putc(b, ' ');
    dz_buf_put(b, pseudo(s, is_connect && !s->path.there ? &s->authority : &s->path));
    dz_buf_put(b, DZ_S(" HTTP/1.1\r\n"));
    if (s->authority.there)
        put_line(s, DZ_S("host"), pseudo(s, &s->authority));
}

static void put_cookie(struct dz_http_stream *s, dz_str crumb) /* RFC 9113 8.2.3 */
{
    if (s->cookies.n > 0)
        dz_buf_put(&s->cookies, DZ_S("; "));
    dz_buf_put(&s->cookies, crumb);
    if (s->cookies.full)
        refuse_later(s, 431, "the header fields are too long");
}

int dz_http_stream_field(struct dz_http_stream *s, dz_str name, dz_str value)
{
    uint64_t max = HTTP_LIMIT(s->h2->conn->lane->server, max_header_bytes);
    uint64_t all = s->list_bytes + name.n + value.n + 32;
    /* A few bytes on the wire can stand for a long list: more is not even counted on. */
    if (all > H2_LIST_FACTOR * max + H2_IN_BYTES) {
        s->h2->error = NGHTTP2_ENHANCE_YOUR_CALM;
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    s->list_bytes = (uint32_t)all;
    if (s->head_whole || s->refused) /* trailers are counted and dropped */
        return 0;
    if (name.n > 0 && name.p[0] == ':') {
        if (dz_str_eq(name, DZ_S(":method")))
            keep_pseudo(s, &s->method, value);
        else if (dz_str_eq(name, DZ_S(":path")))
            keep_pseudo(s, &s->path, value);
        else if (dz_str_eq(name, DZ_S(":authority")))
            keep_pseudo(s, &s->authority, value);
        else if (dz_str_eq(name, DZ_S(":scheme")) && !dz_str_eq_nocase(value, DZ_S("https")) &&
                 !dz_str_eq_nocase(value, DZ_S("http")))
            refuse_later(s, 400, "the scheme is neither http nor https");
        return 0;
    }
    put_request_line(s);
    if (s->refused)
        return 0;
    if (s->authority.there && dz_str_eq(name, DZ_S("host"))) { /* 8.3.1 */
        if (!dz_str_eq_nocase(value, pseudo(s, &s->authority)))
            refuse_later(s, 400, "the Host field and :authority name different hosts");
        return 0;
    }
    if (dz_str_eq(name, DZ_S("cookie"))) {
        put_cookie(s, value);
        return 0;
    }
    s->has_priority |= dz_str_eq(name, DZ_S("priority"));
    put_line(s, name, value);
    return 0;
}

/* The text is whole: the bytes of the head and nothing more. */
static dz_str finish_head(struct dz_http_stream *s)
{
    put_request_line(s);
    if (s->cookies.n > 0)
        put_line(s, DZ_S("cookie"), dz_buf_str(&s->cookies));
    dz_buf_done(&s->cookies);
    dz_buf_put(&s->text, DZ_S("\r\n"));
    if (s->text.full)
        refuse_later(s, 431, "the header fields are too long");
    return dz_str_sub(dz_buf_str(&s->text), s->head, s->text.n);
}

/* ---- requests -------------------------------------------------------------------------------- */

void dz_http_stream_make_ready(struct dz_http_stream *s)
{
    struct dz_http_h2 *h = s->h2;
    if (s->queued)
        return;
    s->queued = true;
    s->ready_next = NULL;
    *h->ready_last = s;
    h->ready_last = &s->ready_next;
}

/* ---- bodies that handlers take --------------------------------------------------------------- */

static void end_body(struct dz_http_stream *s, int status, const char *why)
{
    struct dz_http_sink *sink = dz_take(&s->sink);
    s->uploading = false;
    set_moving(s, false);
    if (sink)
        sink->end(sink, status, why);
}

void dz_http_stream_body_lost(struct dz_http_stream *s)
{
    end_body(s, 400, "the stream ended inside a request");
}

/* Inside nghttp2: the sink gets it later. */
static bool hold(struct dz_http_stream *s, dz_str bytes)
{
    dz_buf_put(&s->body, bytes); /* has room for the window */
    s->held += bytes.n;
    s->counted += bytes.n;
    s->h2->conn->lane->bodies_bytes += bytes.n;
    if (s->sink && !s->paused)
        dz_http_stream_make_ready(s);
    return false;
}

bool dz_http_stream_data(struct dz_http_stream *s, dz_str bytes)
{
    struct dz_http_lane *lane = s->h2->conn->lane;
    s->seen += bytes.n;
    if (s->lingers) /* for nobody, and its window stays as it is */
        return false;
    if (s->streamed && !s->answered && (s->sink || !s->asked))
        return hold(s, bytes);
    if (s->answered || s->request || s->refused)
        return true;
    if (s->parsed && bytes.n > s->limit - s->body.n) {
        refuse_later(s, 413, "the body is too big");
    } else {
        dz_buf_put(&s->body, bytes);
        s->counted += bytes.n;
        lane->bodies_bytes += bytes.n;
        if (lane->bodies_bytes > HTTP_BODIES_BYTES)
            refuse_later(s, 503, "too many request bodies at once");
    }
    if (s->refused)
        dz_http_stream_make_ready(s);
    return true;
}

static struct dz_http_request *take_request(struct dz_http_stream *s)
{
    struct dz_http_request *q = dz_http_request_take(s->h2->conn->lane);
    q->conn = s->h2->conn;
    q->stream = s;
    s->request = q;
    s->h2->owed++;
    set_moving(s, false);
    return q;
}

static void give_request_back(struct dz_http_stream *s)
{
    struct dz_http_request *q = dz_take(&s->request);
    s->h2->owed--;
    q->stream = NULL;
    dz_http_request_give(s->h2->conn->lane, q);
}

void dz_http_stream_refuse(struct dz_http_stream *s, int status, const char *why)
{
    if (s->streamed) {
        if (status == 408)
            dz_http_count(&s->h2->conn->lane->counters.timeouts, 1);
        end_body(s, status, why);
        return;
    }
    struct dz_http_request *q = take_request(s);
    memset(&q->head, 0, sizeof(q->head));
    dz_http_serve_refusal(q, status, why);
}

static enum dz_http_parsed parse(struct dz_http_stream *s, struct dz_http_request *q)
{
    dz_str head = dz_str_sub(dz_buf_str(&s->text), s->head, s->text.n);
    size_t max = HTTP_LIMIT(s->h2->conn->lane->server, max_header_bytes);
    enum dz_http_parsed got = dz_http_parse_head(head, max, &q->head, q->fields);
    /* nghttp2 lets no line end through; a field that became two would be ours to answer for. */
    if (got == HTTP_WHOLE && (q->head.n != head.n || q->head.fields_n != s->fields_n))
        got = HTTP_MORE;
    if (got == HTTP_MORE) {
        q->head.status = 400;
        q->head.why = "a header field is not valid";
        got = HTTP_BAD;
    }
    return got;
}

static void ask_for_body(struct dz_http_stream *s, bool expects)
{
    set_moving(s, true);
    s->uploading = true;
    if (!expects || s->body.n > 0)
        return;
    nghttp2_nv field = {(uint8_t *)":status", (uint8_t *)"100", 7, 3, NGHTTP2_NV_FLAG_NONE};
    (void)nghttp2_submit_headers(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NULL, &field, 1, NULL);
}

/* Gives the sink what is there. */
static void give_body(struct dz_http_stream *s)
{
    if (!s->asked) {
        s->asked = true;
        if (s->request->head.length > s->max) {
            end_body(s, 413, "the body is too big");
            return;
        }
        if (!s->ended)
            ask_for_body(s, s->request->head.expect_continue);
    }
    if (s->body.n > s->max - s->taken) {
        end_body(s, 413, "the body is too big");
        return;
    }
    if (s->paused && s->body.n > 0)
        return;
    if (s->body.n > 0) {
        s->taken += s->body.n;
        s->paused = !s->sink->data(s->sink, dz_buf_str(&s->body));
        dz_buf_clear(&s->body);
        s->h2->conn->lane->bodies_bytes -= s->counted;
        s->counted = 0;
        (void)nghttp2_session_consume_stream(s->h2->session, s->id, s->held);
        s->held = 0;
    }
    if (s->ended)
        end_body(s, 0, NULL);
    else
        set_moving(s, !s->paused);
}

void dz_http_h2_read_body(struct dz_http_stream *s, struct dz_http_sink *sink, uint64_t max)
{
    dz_assert(!s->asked && !s->sink);
    s->sink = sink;
    s->max = max;
    if (!s->gone)
        dz_http_stream_make_ready(s);
}

void dz_http_h2_body_more(struct dz_http_stream *s)
{
    s->paused = false;
    if (s->sink && !s->gone)
        dz_http_stream_make_ready(s);
}

static void look_at_head(struct dz_http_stream *s)
{
    (void)finish_head(s);
    if (s->refused) {
        dz_http_stream_refuse(s, s->refused, s->why);
        return;
    }
    /* RFC 9218 is for those who say what they want; the others share, since a proxy sends the
     * requests of many. */
    nghttp2_extpri even = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};
    if (!s->has_priority)
        (void)nghttp2_session_change_extpri_stream_priority(s->h2->session, s->id, &even, 0);
    struct dz_http_request *q = take_request(s);
    if (parse(s, q) != HTTP_WHOLE) {
        dz_http_serve_refusal(q, q->head.status, q->head.why);
        return;
    }
    s->parsed = true;
    if (dz_http_is_streamed(q)) {
        s->streamed = true;
        s->body.max = H2_STREAM_WINDOW + 2 * H2_IN_BYTES;
        dz_http_serve(q, (dz_str){0});
        return;
    }
    s->limit = dz_http_body_limit(q);
    if (q->head.length > s->limit || s->body.n > s->limit)
        dz_http_serve_refusal(q, 413, "the body is too big");
    else if (s->ended)
        dz_http_serve(q, dz_buf_str(&s->body));
    else if (dz_http_is_refused_unread(q))
        dz_http_serve(q, (dz_str){0});
    else {
        bool expects = q->head.expect_continue;
        give_request_back(s);
        ask_for_body(s, expects);
    }
}

void dz_http_stream_go_on(struct dz_http_stream *s)
{
    s->queued = false;
    if (s->gone) {
        if (!s->request)
            stream_free(s);
        return;
    }
    if (s->sink)
        give_body(s);
    if (s->answered || s->request)
        return;
    if (!s->parsed) {
        look_at_head(s);
        return;
    }
    if (s->refused) {
        dz_http_stream_refuse(s, s->refused, s->why);
    } else if (s->ended) {
        struct dz_http_request *q = take_request(s);
        enum dz_http_parsed got = parse(s, q); /* the same bytes were parsed before */
        dz_assert(got == HTTP_WHOLE);
        dz_http_serve(q, dz_buf_str(&s->body));
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

static bool is_of_connection(dz_str name) /* RFC 9113 8.2.2 */
{
    switch (name.n) {
    case 7:
        return dz_str_eq(name, DZ_S("upgrade"));
    case 10:
        return dz_str_eq(name, DZ_S("connection")) || dz_str_eq(name, DZ_S("keep-alive"));
    case 16:
        return dz_str_eq(name, DZ_S("proxy-connection"));
    case 17:
        return dz_str_eq(name, DZ_S("transfer-encoding"));
    default:
        return false;
    }
}

static void add_field(struct dz_http_h2_lane *l, size_t *n, dz_str name, dz_str value)
{
    if (*n == l->fields_cap) {
        l->fields_cap = l->fields_cap ? 2 * l->fields_cap : 32;
        l->field = dz_realloc(l->field, l->fields_cap * sizeof(*l->field));
    }
    l->field[(*n)++] = (nghttp2_nv){(uint8_t *)(uintptr_t)name.p, (uint8_t *)(uintptr_t)value.p,
                                    name.n, value.n, NGHTTP2_NV_FLAG_NONE};
}

/* "Name: value\r\n" lines into fields; names go in lower case to l->names, which has the room. */
static void add_lines(struct dz_http_h2_lane *l, size_t *n, dz_str lines)
{
    while (lines.n > 0) {
        const char *end = memchr(lines.p, '\n', lines.n);
        size_t line_n = end ? (size_t)(end - lines.p) : lines.n;
        const char *colon = memchr(lines.p, ':', line_n);
        dz_str name = {lines.p, colon ? (size_t)(colon - lines.p) : 0};
        dz_str value = dz_str_trim(dz_str_sub(lines, name.n + 1, line_n));
        lines = dz_str_sub(lines, line_n + 1, lines.n);
        if (name.n == 0)
            continue;
        char *lower = l->names.p + l->names.n;
        for (size_t i = 0; i < name.n; i++)
            lower[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] | 0x20 : name.p[i]);
        name.p = lower;
        if (is_of_connection(name))
            continue;
        l->names.n += name.n;
        add_field(l, n, name, value);
    }
}

static size_t make_fields(struct dz_http_lane *lane, const struct dz_http_answer *a, char status[4])
{
    struct dz_http_h2_lane *l = lane->h2;
    size_t n = 0;
    dz_buf_clear(&l->names);
    (void)dz_buf_reserve(&l->names, a->lines.n + a->block.n);
    for (int i = 2, code = a->status; i >= 0; i--, code /= 10)
        status[i] = (char)('0' + code % 10);
    add_field(l, &n, DZ_S(":status"), (dz_str){status, 3});
    add_field(l, &n, DZ_S("date"), dz_str_of(dz_loop_http_date(lane->loop)));
    add_lines(l, &n, a->lines);
    add_lines(l, &n, a->block);
    return n;
}

/* Copies what may go away, takes references on the rest. */
static void take_content(struct dz_http_stream *s, struct dz_http_answer *a)
{
    size_t copied = 0;
    for (size_t i = 0; i < a->pieces_n; i++)
        copied += a->piece[i].copy ? (size_t)a->piece[i].n : 0;
    dz_buf_clear(&s->copied);
    if (copied > 0)
        (void)dz_buf_reserve(&s->copied, copied);
    for (size_t i = 0; i < a->pieces_n; i++) {
        if (a->piece[i].n == 0)
            continue;
        struct dz_http_piece *to = &s->piece[s->pieces_n++];
        *to = a->piece[i];
        s->left += to->n;
        if (!to->copy)
            continue;
        to->p = s->copied.p + s->copied.n;
        dz_buf_put(&s->copied, (dz_str){a->piece[i].p, (size_t)to->n});
    }
    s->answer_body = a->body && s->pieces_n > 0 ? dz_body_ref(a->body) : NULL;
    s->file = a->file && s->pieces_n > 0 ? dz_file_ref(a->file) : NULL;
    s->heap = dz_take(&a->take_heap);
    s->source = dz_take(&a->take_source);
    s->sized = s->source && a->sized;
    if (s->sized)
        s->left = a->bytes;
}

static bool is_ending(const struct dz_http_h2 *h)
{
    return h->conn->lane->stopping || h->leaving || h->eof;
}

bool dz_http_h2_is_ending(const struct dz_http_conn *c)
{
    return is_ending(c->h2);
}

static bool resume(struct dz_http_stream *s)
{
    if (s->gone || !s->waits)
        return false;
    s->waits = false;
    set_moving(s, true);
    return nghttp2_session_resume_data(s->h2->session, s->id) == 0;
}

void dz_http_h2_wake(struct dz_http_stream *s)
{
    if (resume(s))
        dz_http_resume_soon(s->h2->conn);
}

void dz_http_streams_end(struct dz_http_h2 *h)
{
    for (struct dz_http_stream *s = h->streams; s; s = s->next)
        if (!s->sized)
            (void)resume(s);
}

static ssize_t read_content(nghttp2_session *session, int32_t id, uint8_t *to, size_t n,
                            uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)id;
    (void)user;
    struct dz_http_stream *s = source->ptr;
    if (!s->source) {
        *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
        if (s->left > n)
            return (ssize_t)n;
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        return (ssize_t)s->left;
    }
    if (s->sized && n > s->left)
        n = (size_t)s->left;
    ssize_t got = s->source->read(s->source, (char *)to, n);
    if (got == -EAGAIN && (s->sized || !is_ending(s->h2))) {
        s->waits = true;
        set_moving(s, false); /* nothing waits to be sent */
        return NGHTTP2_ERR_DEFERRED;
    }
    if (got < 0 || (got == 0 && s->sized))
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* RST_STREAM with INTERNAL_ERROR */
    dz_assert((size_t)got <= n);
    s->left -= s->sized ? (uint64_t)got : 0;
    if (got == 0 || (s->sized && s->left == 0))
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    s->sent += (size_t)got;
    s->seen += (size_t)got;
    s->h2->progress += (size_t)got;
    return got;
}

static bool read_file(const struct dz_file *f, uint64_t at, char *to, size_t n)
{
    while (n > 0) {
        ssize_t got = pread(f->fd, to, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        to += got;
        at += (size_t)got;
        n -= (size_t)got;
    }
    return true;
}

/* n bytes of the pieces, which have them; false: the file is not what it was. */
static bool copy_pieces(struct dz_http_stream *s, char *to, size_t n)
{
    while (n > 0) {
        struct dz_http_piece *x = &s->piece[s->piece_at];
        size_t step = x->n < n ? (size_t)x->n : n;
        if (x->p) {
            memcpy(to, x->p, step);
            x->p += step;
        } else if (!read_file(s->file, x->at, to, step)) {
            return false;
        }
        x->at += step;
        x->n -= step;
        to += step;
        n -= step;
        if (x->n == 0)
            s->piece_at++;
    }
    return true;
}

int dz_http_stream_send_data(nghttp2_session *session, nghttp2_frame *frame,
                             const uint8_t *frame_header, size_t n, nghttp2_data_source *source,
                             void *user)
{
    (void)session;
    (void)frame; /* no padding is asked for */
    struct dz_http_h2 *h = user;
    struct dz_http_h2_lane *l = h->conn->lane->h2;
    struct dz_http_stream *s = source->ptr;
    if (l->out_n + 9 + n > sizeof(l->out)) {
        l->out_full = true;
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    memcpy(l->out + l->out_n, frame_header, 9);
    if (!copy_pieces(s, l->out + l->out_n + 9, n))
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    l->out_n += 9 + n;
    s->left -= n;
    s->sent += n;
    s->seen += n;
    h->progress += n;
    return 0;
}

void dz_http_h2_answer(struct dz_http_request *q, struct dz_http_answer *a)
{
    struct dz_http_stream *s = q->stream;
    struct dz_http_h2 *h = s->h2;
    if (s->gone)
        return;
    char status[4];
    size_t n = make_fields(h->conn->lane, a, status);
    s->answered = true;
    s->uploading = false;
    s->sink = NULL;
    s->status = a->status;
    take_content(s, a);
    set_moving(s, true);
    nghttp2_data_provider content = {{.ptr = s}, read_content};
    bool has_content = s->pieces_n > 0 || s->source;
    if (nghttp2_submit_response(h->session, s->id, h->conn->lane->h2->field, n,
                                has_content ? &content : NULL) != 0) {
        a->take_source = dz_take(&s->source); /* the caller's again */
        (void)nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id,
                                        NGHTTP2_INTERNAL_ERROR);
    }
}

bool dz_http_h2_lasts(const struct dz_http_stream *s)
{
    return s->source != NULL;
}
