/*
 * h2: an HTTP/2 connection (RFC 9113) on a wire.
 *
 * In: readiness of the wire, late answers, timers. Out: requests that are whole, handed on one
 * after the other once nghttp2 has taken what was read; frames, gathered in the lane's output and
 * written at once, so that many small answers leave together. What the wire does not take is kept,
 * and nothing more is made until it has left. A peer that makes us work for nothing gets GOAWAY
 * with ENHANCE_YOUR_CALM. The lane's thread only. The end of a connection goes through
 * dz_http_drop() as for HTTP/1.1; requests that handlers still have outlive it.
 *
 * The odd thing: nghttp2 does not say where in a frame it stands, and of frames that it ignores it
 * says nothing. So frame headers are followed a second time here, to count frames, to bound the
 * time that a header block may take, and to know what belongs to streams that have ended.
 */
#include "http/h2_int.h"

#include <errno.h>

static const uint32_t flood_max[FLOOD_COUNT] = {
    [FLOOD_RESET] = 1000,  [FLOOD_PING] = 300,  [FLOOD_SETTINGS] = 50, [FLOOD_PRIORITY] = 1000,
    [FLOOD_UPDATE] = 2000, [FLOOD_EMPTY] = 100, [FLOOD_OTHER] = 1000,
};
#define PREFACE_BYTES ((size_t)24)
#define FRAME_HEADER_BYTES 9
#define PRIORITY_UPDATE_TYPE 0x10

static const uint8_t notice_ping[8] = {'d', 'o', 'z', 'o', 's', 't', 'o', 'p'};

/* ---- floods ---------------------------------------------------------------------------------- */

bool dz_http_h2_floods(struct dz_http_h2 *h, enum h2_flood what)
{
    int64_t now_ms = dz_loop_now_ms(h->conn->lane->loop);
    if (now_ms - h->flood_ms >= H2_FLOOD_MS) {
        memset(h->flood, 0, sizeof(h->flood));
        h->data_sent = 0;
        h->answers = 0;
        h->flood_ms = now_ms;
    }
    uint32_t max = flood_max[what];
    if (what == FLOOD_UPDATE)
        max += H2_UPDATES_A_DATA * h->data_sent;
    else if (what == FLOOD_RESET)
        max += H2_RESETS_AN_ANSWER * h->answers;
    else if (what == FLOOD_PRIORITY)
        max += H2_PRIORITIES_AN_ANSWER * h->answers;
    if (++h->flood[what] <= max)
        return false;
    h->error = NGHTTP2_ENHANCE_YOUR_CALM;
    return true;
}

static bool connection_error(struct dz_http_h2 *h, uint32_t error)
{
    h->error = error;
    return true;
}

static struct dz_http_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static uint8_t *recent(struct dz_http_h2 *h, int32_t id)
{
    return &h->recent[((uint32_t)id >> 1) % H2_RECENT];
}

/* RFC 9113 5.1 and 5.1.1: HEADERS and DATA of streams that nghttp2 does not know any more. */
static bool breaks_order(struct dz_http_h2 *h, const nghttp2_frame_hd *hd)
{
    int32_t id = hd->stream_id;
    if (id % 2 == 0 || nghttp2_session_get_stream_user_data(h->session, id))
        return false;
    if (id > h->last_id) {
        if (hd->type != NGHTTP2_HEADERS)
            return false; /* nghttp2 knows idle ones */
        uint32_t steps = ((uint32_t)id - (uint32_t)h->last_id) / 2;
        for (uint32_t i = 0; i < steps && i < H2_RECENT; i++)
            *recent(h, id - 2 * (int32_t)i) = RECENT_NEVER;
        h->last_id = id;
        *recent(h, id) = RECENT_IGNORED; /* until it is opened and ends */
        return false;
    }
    if ((h->last_id - id) / 2 >= H2_RECENT)
        return dz_http_h2_floods(h, FLOOD_OTHER);
    switch (*recent(h, id)) {
    case RECENT_NEVER:
        return connection_error(h, NGHTTP2_PROTOCOL_ERROR);
    case RECENT_ENDED:
        return connection_error(h, NGHTTP2_STREAM_CLOSED);
    default: /* we have reset it, and this was on its way */
        return hd->length < FRAME_HEADER_BYTES && dz_http_h2_floods(h, FLOOD_OTHER);
    }
}

static bool is_too_much(struct dz_http_h2 *h, const nghttp2_frame_hd *hd)
{
    switch (hd->type) {
    case NGHTTP2_HEADERS:
        h->continuations = 0;
        return breaks_order(h, hd);
    case NGHTTP2_DATA:
        return breaks_order(h, hd);
    case NGHTTP2_RST_STREAM: /* some clients answer each DATA frame of a stream that they have reset
                              */
        return dz_http_h2_floods(h,
                                 stream_of(h->session, hd->stream_id) ? FLOOD_RESET : FLOOD_UPDATE);
    case NGHTTP2_PING:
        return dz_http_h2_floods(h, FLOOD_PING);
    case NGHTTP2_SETTINGS:
        return dz_http_h2_floods(h, FLOOD_SETTINGS);
    case NGHTTP2_PRIORITY: /* 6.3; nghttp2 looks at none, since RFC 7540 priorities are off */
        if (hd->stream_id == 0 || hd->length != 5)
            return connection_error(h, hd->stream_id == 0 ? NGHTTP2_PROTOCOL_ERROR
                                                          : NGHTTP2_FRAME_SIZE_ERROR);
        return dz_http_h2_floods(h, FLOOD_PRIORITY);
    case PRIORITY_UPDATE_TYPE:
        return dz_http_h2_floods(h, FLOOD_PRIORITY);
    case NGHTTP2_WINDOW_UPDATE:
        return dz_http_h2_floods(h, FLOOD_UPDATE);
    case NGHTTP2_CONTINUATION:
        return ++h->continuations > H2_CONTINUATIONS_MAX &&
               connection_error(h, NGHTTP2_ENHANCE_YOUR_CALM);
    case NGHTTP2_PUSH_PROMISE:
        return false; /* nghttp2 refuses it */
    default:
        return dz_http_h2_floods(h, FLOOD_OTHER);
    }
}

/* ---- callbacks ------------------------------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct dz_http_stream *s = dz_http_stream_new(user, frame->hd.stream_id);
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, s);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    (void)flags;
    (void)user;
    struct dz_http_stream *s = stream_of(session, frame->hd.stream_id);
    return s ? dz_http_stream_field(s, (dz_str){(const char *)name, name_n},
                                    (dz_str){(const char *)value, value_n})
             : 0;
}

/* RFC 9113 8.2.1: malformed; without this callback nghttp2 would leave the field out. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_n, const uint8_t *value,
                             size_t value_n, uint8_t flags, void *user)
{
    (void)name, (void)name_n, (void)value, (void)value_n, (void)flags, (void)user;
    (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                    NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                         size_t n, void *user)
{
    (void)flags;
    (void)user;
    struct dz_http_stream *s = stream_of(session, id);
    bool taken = !s || dz_http_stream_data(s, (dz_str){(const char *)bytes, n});
    /* The window of the connection is for all of its streams, whatever one of them waits for. */
    int rc = taken ? nghttp2_session_consume(session, id, n)
                   : nghttp2_session_consume_connection(session, n);
    return rc == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static void say_last(struct dz_http_h2 *h)
{
    if (h->last_said)
        return;
    h->last_said = true;
    h->notice_due_ms = 0;
    (void)nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(h->session),
                                NGHTTP2_NO_ERROR, NULL, 0);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct dz_http_h2 *h = user;
    const nghttp2_frame_hd *hd = &frame->hd;
    struct dz_http_stream *s = hd->stream_id > 0 ? stream_of(session, hd->stream_id) : NULL;
    bool ends = (hd->flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (hd->type) {
    case NGHTTP2_DATA:
        if (!ends && hd->length <= frame->data.padlen && dz_http_h2_floods(h, FLOOD_EMPTY))
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        break;
    case NGHTTP2_HEADERS:
        if (s && !s->head_whole) {
            s->head_whole = true;
            dz_http_stream_make_ready(s);
        }
        break;
    case NGHTTP2_RST_STREAM:
        if (s)
            s->was_reset = true;
        return 0;
    case NGHTTP2_SETTINGS:
        if (hd->flags & NGHTTP2_FLAG_ACK)
            h->ack_due_ms = 0;
        h->begun = true;
        return 0;
    case NGHTTP2_GOAWAY: /* it asks nothing more, and waits for what it has asked */
        h->leaving = true;
        dz_http_streams_end(h);
        return 0;
    case NGHTTP2_PING:
        if ((hd->flags & NGHTTP2_FLAG_ACK) && h->notified &&
            memcmp(frame->ping.opaque_data, notice_ping, sizeof(notice_ping)) == 0)
            say_last(h);
        return 0;
    default:
        return 0;
    }
    if (s && ends) {
        s->ended = true;
        dz_http_stream_make_ready(s);
    }
    return 0;
}

/* RFC 9113 8.1: who has the whole answer need not send the rest of the request. Many clients that
 * are sending a body see the reset before the answer and lose that (curl: error 92), so they get a
 * moment, with no more of a window than they have. */
static void end_early(struct dz_http_h2 *h, struct dz_http_stream *s)
{
    if (!s->streamed) {
        (void)nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
        return;
    }
    s->lingers = true;
    if (h->linger_due_ms == 0)
        h->linger_due_ms = dz_loop_now_ms(h->conn->lane->loop) + H2_LINGER_MS;
}

static void end_lingering(struct dz_http_h2 *h)
{
    for (struct dz_http_stream *s = h->streams; s; s = s->next)
        if (s->lingers && !s->gone)
            (void)nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct dz_http_h2 *h = user;
    const nghttp2_frame_hd *hd = &frame->hd;
    if (hd->type == NGHTTP2_RST_STREAM) {
        if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
            (void)dz_http_h2_floods(h, FLOOD_RESET); /* flush() looks at h->error */
        return 0;
    }
    bool last = (hd->flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (hd->type == NGHTTP2_DATA)
        h->data_sent += hd->length >= H2_DATA_WORTH || last;
    else if (hd->type == NGHTTP2_HEADERS)
        h->progress += hd->length;
    else
        return 0;
    h->answers += last;
    struct dz_http_stream *s = stream_of(session, hd->stream_id);
    if (s && last && !s->ended)
        end_early(h, s);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    (void)error;
    struct dz_http_h2 *h = user;
    struct dz_http_stream *s = stream_of(session, id);
    if (!s)
        return 0;
    if (h->last_id - id < 2 * H2_RECENT)
        *recent(h, id) = s->ended || s->was_reset ? RECENT_ENDED : RECENT_IGNORED;
    (void)nghttp2_session_set_stream_user_data(session, id, NULL);
    dz_http_stream_closed(s);
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

static struct dz_http_h2_lane *lane_share(struct dz_http_lane *lane)
{
    if (lane->h2)
        return lane->h2;
    struct dz_http_h2_lane *l = dz_alloc(sizeof(*l));
    memset(l, 0, offsetof(struct dz_http_h2_lane, in));
    dz_buf_init(&l->names, SIZE_MAX / 4); /* as long as the lines of an answer */
    dz_assert(nghttp2_session_callbacks_new(&l->callbacks) == 0 &&
              nghttp2_option_new(&l->option) == 0);
    nghttp2_session_callbacks *c = l->callbacks;
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(c, on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(c, dz_http_stream_send_data);
    nghttp2_option_set_no_auto_window_update(l->option, 1);
    nghttp2_option_set_max_outbound_ack(l->option, H2_ACKS_MAX);
    /* nghttp2 counts a frame header again for each piece that it comes in. */
    nghttp2_option_set_max_continuations(l->option,
                                         (H2_CONTINUATIONS_MAX + 1) * FRAME_HEADER_BYTES);
    nghttp2_option_set_max_deflate_dynamic_table_size(l->option, H2_TABLE_BYTES);
    nghttp2_option_set_max_send_header_block_length(l->option, 2 * HTTP_LINES_BYTES);
    /* Ours count first and say ENHANCE_YOUR_CALM, which nghttp2 does not. */
    nghttp2_option_set_stream_reset_rate_limit(l->option, 10000, 1000);
    nghttp2_option_set_builtin_recv_extension_type(l->option, NGHTTP2_PRIORITY_UPDATE);
    lane->h2 = l;
    return l;
}

void dz_http_h2_lane_free(struct dz_http_h2_lane **l)
{
    struct dz_http_h2_lane *gone = dz_take(l);
    if (!gone)
        return;
    dz_http_stream_free_spare(gone);
    nghttp2_session_callbacks_del(gone->callbacks);
    nghttp2_option_del(gone->option);
    dz_freep(&gone->field);
    dz_buf_done(&gone->names);
    dz_freep(&gone);
}

void dz_http_h2_begin(struct dz_http_conn *c)
{
    struct dz_http_lane *lane = c->lane;
    struct dz_http_h2_lane *l = lane_share(lane);
    struct dz_http_h2 *h = dz_new(struct dz_http_h2);
    h->conn = c;
    h->ready_last = &h->ready;
    dz_buf_init(&h->rest, H2_OUT_BYTES);
    int64_t now_ms = dz_loop_now_ms(lane->loop);
    h->flood_ms = now_ms;
    h->head_due_ms = now_ms + HTTP_LIMIT(lane->server, header_timeout_ms);
    h->ack_due_ms = h->head_due_ms;
    c->h2 = h;
    uint64_t list_max = HTTP_LIMIT(lane->server, max_header_bytes);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
         list_max < UINT32_MAX ? (uint32_t)list_max : UINT32_MAX},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    dz_assert(
        nghttp2_session_server_new3(&h->session, l->callbacks, h, l->option, &dz_http_h2_mem) == 0);
    dz_assert(nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, DZ_LEN(settings)) ==
              0);
    dz_assert(nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                    H2_CONNECTION_WINDOW) == 0);
    dz_http_resume_soon(c);
}

/* From now on all streams are gone; what lies in rest may still leave. */
static void end_session(struct dz_http_h2 *h)
{
    if (!h->session)
        return;
    h->ending = true;
    for (struct dz_http_stream *s = h->ready; s; s = s->ready_next)
        s->queued = false;
    h->ready = NULL;
    h->ready_last = &h->ready;
    struct dz_http_stream *next;
    for (struct dz_http_stream *s = h->streams; s; s = next) {
        next = s->next; /* of s alone: the end of a stream ends no other */
        if (s->gone)
            dz_http_stream_go_on(s); /* it waited for its turn */
        else
            dz_http_stream_closed(s);
    }
    nghttp2_session_del(h->session);
    h->session = NULL;
}

void dz_http_h2_lost(struct dz_http_conn *c)
{
    end_session(c->h2);
    dz_buf_done(&c->h2->rest);
    c->h2->rest_at = 0;
}

bool dz_http_h2_owes(const struct dz_http_conn *c)
{
    return c->h2->owed > 0;
}

void dz_http_h2_free(struct dz_http_conn *c)
{
    struct dz_http_h2 *gone = dz_take(&c->h2);
    if (!gone)
        return;
    dz_assert(!gone->session && !gone->streams);
    dz_buf_done(&gone->rest);
    dz_freep(&gone);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* What the wire does not take is kept. False: the wire is broken. */
static bool write_out(struct dz_http_h2 *h, const char *p, size_t n, size_t *ret_sent)
{
    struct dz_http_conn *c = h->conn;
    struct iovec iov = {(void *)(uintptr_t)p, n};
    ssize_t got = c->wire->send(c, &iov, 1, false);
    if (got < 0 && got != -EAGAIN)
        return false;
    *ret_sent = got > 0 ? (size_t)got : 0;
    c->sent += *ret_sent;
    dz_http_count(&c->lane->counters.bytes_out, *ret_sent);
    return true;
}

/* Frames of nghttp2 into the lane's output, as far as it goes. */
static bool gather(struct dz_http_h2 *h)
{
    struct dz_http_h2_lane *l = h->conn->lane->h2;
    l->out_n = 0;
    l->out_full = false;
    while (!l->out_full) {
        if (l->out_n + H2_FRAME_ROOM > sizeof(l->out)) {
            l->out_full = true;
            break;
        }
        const uint8_t *p;
        ssize_t n = nghttp2_session_mem_send(h->session, &p);
        if (n < 0)
            return false;
        if (n == 0)
            break;
        dz_assert((size_t)n <= sizeof(l->out) - l->out_n);
        memcpy(l->out + l->out_n, p, (size_t)n);
        l->out_n += (size_t)n;
    }
    return true;
}

/* A connection error, 5.4.1: the last frame is GOAWAY. */
static bool fail(struct dz_http_h2 *h, uint32_t error)
{
    struct dz_http_h2_lane *l = h->conn->lane->h2;
    if (!h->session)
        return true;
    if (error != NGHTTP2_NO_ERROR)
        dz_http_count(&h->conn->lane->counters.parse_errors, 1);
    (void)nghttp2_session_terminate_session(h->session, error);
    bool ok = gather(h);
    end_session(h);
    if (!ok)
        return false;
    h->rest.max = SIZE_MAX / 4; /* one last time more than usual */
    dz_buf_put(&h->rest, (dz_str){l->out, l->out_n});
    return true;
}

static bool write_rest(struct dz_http_h2 *h)
{
    size_t n = h->rest.n - h->rest_at, sent;
    if (n == 0)
        return true;
    if (!write_out(h, h->rest.p + h->rest_at, n, &sent))
        return false;
    h->rest_at += sent;
    if (sent == n) {
        dz_buf_done(&h->rest);
        dz_buf_init(&h->rest, H2_OUT_BYTES);
        h->rest_at = 0;
    }
    return true;
}

static bool waits(const struct dz_http_h2 *h)
{
    return h->rest.n > h->rest_at;
}

/* Writes what there is, up to a bounded piece a turn. False: the wire is broken. */
static bool flush(struct dz_http_h2 *h)
{
    struct dz_http_h2_lane *l = h->conn->lane->h2;
    h->want_out = false;
    for (uint64_t written = 0;;) {
        if (!write_rest(h))
            return false;
        if (waits(h) || !h->session)
            return true;
        if (written >= HTTP_FILE_TURN_BYTES) {
            h->want_out = true;
            return true;
        }
        if (!gather(h))
            return fail(h, NGHTTP2_INTERNAL_ERROR);
        size_t sent = 0;
        if (l->out_n == 0)
            return true;
        if (!write_out(h, l->out, l->out_n, &sent))
            return false;
        written += sent;
        if (sent < l->out_n)
            dz_buf_put(&h->rest, (dz_str){l->out + sent, l->out_n - sent});
        if (h->error && !fail(h, h->error)) /* found while frames were made */
            return false;
        if (!l->out_full && !waits(h))
            return true;
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Follows one step of the input. True: the header of a frame ends with p[0]. */
static bool follow(struct dz_http_h2 *h, const uint8_t *p, size_t n, size_t *ret_step)
{
    if (h->prefix_n < PREFACE_BYTES) {
        *ret_step = PREFACE_BYTES - h->prefix_n < n ? PREFACE_BYTES - h->prefix_n : n;
        h->prefix_n = (uint8_t)(h->prefix_n + *ret_step);
        return false;
    }
    if (h->header_n < FRAME_HEADER_BYTES) {
        h->header[h->header_n++] = *p;
        *ret_step = 1;
        if (h->header_n < FRAME_HEADER_BYTES)
            return false;
        h->payload_left =
            (uint32_t)h->header[0] << 16 | (uint32_t)h->header[1] << 8 | (uint32_t)h->header[2];
        return true;
    }
    *ret_step = h->payload_left < n ? h->payload_left : n;
    h->payload_left -= (uint32_t)*ret_step;
    return false;
}

/* Whether a header block or another frame is unfinished bounds its time. */
static void note_frame_end(struct dz_http_h2 *h)
{
    uint8_t type = h->header[3];
    if (h->header_n < FRAME_HEADER_BYTES || h->payload_left > 0)
        return;
    h->header_n = 0;
    h->in_block = (type == NGHTTP2_HEADERS || type == NGHTTP2_CONTINUATION) &&
                  !(h->header[4] & NGHTTP2_FLAG_END_HEADERS);
    if (!h->in_block && h->begun)
        h->head_due_ms = 0;
}

static bool in_frame(const struct dz_http_h2 *h)
{
    if (h->in_block || !h->begun)
        return true;
    return h->header_n > 0 && !(h->header_n == FRAME_HEADER_BYTES && h->header[3] == NGHTTP2_DATA);
}

/* False: nghttp2 or we have had enough; *ret_error says why. */
static bool give(struct dz_http_h2 *h, const uint8_t *p, size_t n, uint32_t *ret_error)
{
    if (n == 0)
        return true;
    ssize_t got = nghttp2_session_mem_recv(h->session, p, n);
    if (got == (ssize_t)n && !h->error)
        return true;
    if (h->error)
        *ret_error = h->error;
    else if (got == NGHTTP2_ERR_FLOODED || got == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
        *ret_error = NGHTTP2_ENHANCE_YOUR_CALM;
    else
        *ret_error =
            got == NGHTTP2_ERR_BAD_CLIENT_MAGIC ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_INTERNAL_ERROR;
    return false;
}

/* What was read. Each frame is looked at before nghttp2 has seen the end of its header, and after
 * it has dealt with all frames before. */
static bool take(struct dz_http_h2 *h, const uint8_t *p, size_t n)
{
    uint32_t error = 0;
    size_t from = 0;
    for (size_t at = 0, step; at < n; at += step) {
        if (follow(h, p + at, n - at, &step)) {
            nghttp2_frame_hd hd = {
                .length = h->payload_left,
                .stream_id =
                    (int32_t)((uint32_t)(h->header[5] & 0x7F) << 24 | (uint32_t)h->header[6] << 16 |
                              (uint32_t)h->header[7] << 8 | (uint32_t)h->header[8]),
                .type = h->header[3],
                .flags = h->header[4]};
            if (!give(h, p + from, at - from, &error))
                return fail(h, error);
            from = at;
            if (is_too_much(h, &hd))
                return fail(h, h->error);
        }
        note_frame_end(h);
    }
    bool had_begun = h->begun;
    if (!give(h, p + from, n - from, &error))
        return fail(h, error);
    if (h->begun && !had_begun)
        h->head_due_ms = 0;
    return true;
}

static void run_ready(struct dz_http_h2 *h)
{
    while (h->ready) {
        struct dz_http_stream *s = h->ready;
        h->ready = s->ready_next;
        if (!h->ready)
            h->ready_last = &h->ready;
        dz_http_stream_go_on(s);
    }
}

static bool wants_input(const struct dz_http_h2 *h)
{
    return h->session && !h->eof && h->owed < H2_OWED_MAX &&
           nghttp2_session_want_read(h->session) &&
           nghttp2_session_get_outbound_queue_size(h->session) < H2_QUEUE_MAX;
}

/* The peer sends no more: what it has asked for is answered, but what it has not finished is
 * nothing. */
static void input_ended(struct dz_http_h2 *h)
{
    h->eof = true;
    dz_http_streams_end(h);
    for (struct dz_http_stream *s = h->streams; s; s = s->next)
        if (!s->gone && !s->ended && !s->answered)
            (void)nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
}

/* False: the wire is broken. */
static bool read_some(struct dz_http_h2 *h)
{
    struct dz_http_conn *c = h->conn;
    struct dz_http_h2_lane *l = c->lane->h2;
    for (unsigned i = 0; i < H2_READS_A_TURN && wants_input(h); i++) {
        ssize_t got = c->wire->recv(c, l->in, sizeof(l->in));
        if (got == -EAGAIN)
            return true;
        if (got < 0)
            return false;
        if (got == 0) {
            input_ended(h);
            return true;
        }
        dz_http_count(&c->lane->counters.bytes_in, (size_t)got);
        if (!take(h, (const uint8_t *)l->in, (size_t)got))
            return false;
        run_ready(h);
        if ((size_t)got < sizeof(l->in) && !c->more)
            return true;
    }
    return true;
}

/* ---- time ------------------------------------------------------------------------------------ */

/* One look at the rates. A stream that its own window holds back is reset; a connection that takes
 * nothing is cut. False: cut it. */
static bool look_at_rates(struct dz_http_h2 *h)
{
    struct dz_http_conn *c = h->conn;
    int64_t ms = HTTP_LIMIT(c->lane->server, body_timeout_ms) * HTTP_MIN_RATE / 1000;
    uint64_t least = ms > 0 ? (uint64_t)ms : 1;
    uint64_t arrived = c->sent - c->wire->unsent(c);
    bool stuck = h->rest_aged && waits(h) && arrived - h->arrived_seen < least;
    h->rest_aged = waits(h);
    h->arrived_seen = arrived;
    bool slow = h->progress - h->progress_seen < least;
    h->progress_seen = h->progress;
    struct dz_http_stream *next;
    for (struct dz_http_stream *s = h->streams; s && h->session; s = next) {
        next = s->next;
        bool too_slow = s->moving && s->aged && s->seen < least;
        s->aged = s->moving;
        s->seen = 0;
        if (!too_slow || s->gone || s->lingers || (s->uploading && !wants_input(h)))
            continue;
        if (s->uploading) {
            dz_http_stream_refuse(s, 408, "the request body did not arrive in time");
        } else if (nghttp2_session_get_stream_remote_window_size(h->session, s->id) <
                   (int64_t)least) {
            dz_http_count(&c->lane->counters.timeouts, 1);
            (void)nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
        } else {
            stuck |= slow;
        }
    }
    return !stuck;
}

static bool passed(int64_t *due_ms, int64_t now_ms)
{
    if (*due_ms == 0 || *due_ms > now_ms)
        return false;
    *due_ms = 0;
    return true;
}

static void on_timer(struct dz_loop *l, struct dz_timer *t)
{
    struct dz_http_conn *c = dz_container(t, struct dz_http_conn, timer);
    struct dz_http_h2 *h = c->h2;
    int64_t now_ms = dz_loop_now_ms(l);
    bool ok = true;
    c->busy++;
    if (passed(&h->rate_due_ms, now_ms) && !look_at_rates(h)) {
        dz_http_count(&c->lane->counters.timeouts, 1);
        c->aborted = true;
        ok = false;
    }
    if (passed(&h->head_due_ms, now_ms)) {
        dz_http_count(&c->lane->counters.timeouts, 1);
        ok = ok && fail(h, NGHTTP2_PROTOCOL_ERROR);
    }
    if (passed(&h->ack_due_ms, now_ms) && h->session) { /* RFC 9113 6.5.3 */
        dz_http_count(&c->lane->counters.timeouts, 1);
        ok = ok && fail(h, NGHTTP2_SETTINGS_TIMEOUT);
    }
    if (passed(&h->idle_due_ms, now_ms))
        ok = ok && fail(h, NGHTTP2_NO_ERROR);
    if (passed(&h->notice_due_ms, now_ms) && h->session)
        say_last(h);
    if (passed(&h->linger_due_ms, now_ms) && h->session)
        end_lingering(h);
    c->busy--;
    if (ok)
        dz_http_h2_settle(c);
    else
        dz_http_drop(c);
}

static void run_for(int64_t *due_ms, bool wanted, int64_t now_ms, int64_t wait_ms)
{
    if (!wanted)
        *due_ms = 0;
    else if (*due_ms == 0)
        *due_ms = now_ms + wait_ms;
}

static void set_timer(struct dz_http_h2 *h)
{
    struct dz_http_conn *c = h->conn;
    const struct dz_http_server *s = c->lane->server;
    int64_t now_ms = dz_loop_now_ms(c->lane->loop), first_ms = 0;
    bool rates = h->moving_n > 0 || waits(h);
    run_for(&h->rate_due_ms, rates, now_ms, HTTP_LIMIT(s, body_timeout_ms));
    run_for(&h->head_due_ms, wants_input(h) && in_frame(h), now_ms,
            HTTP_LIMIT(s, header_timeout_ms));
    run_for(&h->idle_due_ms, h->session && h->streams_n == 0 && !waits(h), now_ms,
            HTTP_LIMIT(s, idle_timeout_ms));
    if (!h->session)
        h->ack_due_ms = h->linger_due_ms = 0;
    const int64_t due_ms[] = {h->rate_due_ms, h->head_due_ms,   h->ack_due_ms,
                              h->idle_due_ms, h->notice_due_ms, h->linger_due_ms};
    for (size_t i = 0; i < DZ_LEN(due_ms); i++)
        if (due_ms[i] > 0 && (first_ms == 0 || due_ms[i] < first_ms))
            first_ms = due_ms[i];
    c->timed = TIMED_NOT;
    if (first_ms == 0)
        dz_timer_stop(c->lane->loop, &c->timer);
    else
        dz_timer_set(c->lane->loop, &c->timer, first_ms > now_ms ? first_ms - now_ms : 0, on_timer);
}

/* ---- rest ------------------------------------------------------------------------------------ */

/* RFC 9113 6.8: says that it will stop, and a round trip later which streams it has still taken. */
static void begin_stop(struct dz_http_h2 *h)
{
    struct dz_http_conn *c = h->conn;
    if (h->stopping || !h->session)
        return;
    h->stopping = true;
    dz_http_streams_end(h);
    if (h->streams_n == 0 && !c->wire->readable(c)) {
        say_last(h);
        return;
    }
    h->notified = true;
    h->notice_due_ms = dz_loop_now_ms(c->lane->loop) + H2_NOTICE_MS;
    (void)nghttp2_submit_shutdown_notice(h->session);
    (void)nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, notice_ping);
}

void dz_http_h2_settle(struct dz_http_conn *c)
{
    struct dz_http_h2 *h = c->h2;
    if (c->busy || c->gone)
        return;
    dz_http_input_free(c->lane, &c->in);
    if (c->lane->stopping)
        begin_stop(h);
    c->busy++;
    run_ready(h); /* what sinks have asked for since */
    bool ok = flush(h);
    c->busy--;
    if (ok && h->session && !h->want_out && !waits(h) && !nghttp2_session_want_read(h->session) &&
        !nghttp2_session_want_write(h->session))
        end_session(h);
    bool over = !ok || (h->eof && h->streams_n == 0 && !waits(h));
    if (over) {
        dz_http_drop(c);
        return;
    }
    if (h->ending && !waits(h)) {
        dz_http_linger(c);
        return;
    }
    set_timer(h);
    c->wire->arm(c, (wants_input(h) ? EPOLLIN : 0u) | (waits(h) || h->want_out ? EPOLLOUT : 0u));
}

void dz_http_h2_event(struct dz_http_conn *c, uint32_t events)
{
    struct dz_http_h2 *h = c->h2;
    bool ok = true;
    c->busy++;
    if (events & (EPOLLERR | EPOLLHUP))
        ok = !h->eof && h->session;
    if (ok && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
        ok = read_some(h);
    c->busy--;
    if (ok)
        dz_http_h2_settle(c);
    else
        dz_http_drop(c);
}

void dz_http_h2_resume(struct dz_http_conn *c)
{
    if (!c->gone) {
        dz_http_settle(c);
        return;
    }
    for (struct dz_http_stream *s = c->h2->streams; s; s = s->next)
        dz_http_stream_body_lost(s);
}

void dz_http_h2_stop(struct dz_http_conn *c)
{
    begin_stop(c->h2);
    dz_http_h2_settle(c);
}
