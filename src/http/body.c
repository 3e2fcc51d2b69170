/*
 * body: bodies that handlers take as they come, over HTTP/1.1 (those of HTTP/2: h2_stream.c).
 *
 * In: what a connection has read behind the head of such a request, and what the sink says. Out:
 * decoded pieces in place, one end. The head was copied, so the connection's input holds nothing
 * but body; while the sink waits nothing is read and no timer runs. The lane's thread only. The
 * sink is never called from inside a call of its handler: both calls here post the connection to
 * the lane's resume list.
 */
#include "http/http_int.h"

/* The sink hears of nothing after this. */
void dz_http_body_end(struct dz_http_conn *c, int status, const char *why)
{
    struct dz_http_upload *up = c->upload;
    struct dz_http_sink *sink = up ? dz_take(&up->sink) : NULL;
    if (!sink)
        return;
    up->whole = status == 0;
    if (status == 408)
        dz_http_count(&c->lane->counters.timeouts, 1);
    sink->end(sink, status, why);
}

void dz_http_body_lost(struct dz_http_conn *c)
{
    dz_http_body_end(c, 400, "the connection ended inside a request");
}

bool dz_http_body_wanted(const struct dz_http_conn *c)
{
    return c->upload && c->upload->sink && !c->upload->paused;
}

static void give(struct dz_http_upload *up, dz_str bytes)
{
    up->taken += bytes.n;
    if (bytes.n > 0)
        up->paused = !up->sink->data(up->sink, bytes);
}

static void feed_length(struct dz_http_conn *c)
{
    struct dz_http_upload *up = c->upload;
    size_t here = c->in ? c->in->n - c->in->at : 0;
    dz_str bytes = {here ? c->in->p + c->in->at : NULL, here < up->left ? here : (size_t)up->left};
    if (bytes.n > 0)
        c->in->at += bytes.n;
    up->left -= bytes.n;
    up->seen += bytes.n;
    give(up, bytes);
    if (up->left == 0)
        dz_http_body_end(c, 0, NULL);
}

static void feed_chunked(struct dz_http_conn *c)
{
    struct dz_http_upload *up = c->upload;
    if (!c->in || c->in->at == c->in->n)
        return;
    uint64_t room = up->max - up->taken;
    dz_buf_clear(&up->body);
    up->body.max = room < SIZE_MAX ? (size_t)room : SIZE_MAX;
    dz_str rest = {c->in->p + c->in->at, c->in->n - c->in->at};
    size_t used = 0;
    enum dz_http_parsed got = dz_http_chunked_feed(&up->chunk, rest, &up->body, &used);
    if (got == HTTP_BAD) {
        dz_http_body_end(c, up->chunk.status, up->chunk.why);
        return;
    }
    c->in->at += used;
    up->seen += used;
    give(up, dz_buf_str(&up->body));
    if (got == HTTP_WHOLE)
        dz_http_body_end(c, 0, NULL);
}

void dz_http_body_feed(struct dz_http_conn *c)
{
    c->busy++;
    if (c->upload->chunked)
        feed_chunked(c);
    else
        feed_length(c);
    if (c->in && c->in->at == c->in->n)
        dz_http_input_free(c->lane, &c->in);
    c->busy--;
}

/* The handler wants it now. */
static void ask(struct dz_http_conn *c)
{
    const struct dz_http_request *q = c->request;
    struct dz_http_upload *up = c->upload;
    up->asked = true;
    if (up->left > up->max) {
        dz_http_body_end(c, 413, "the body is too big");
        return;
    }
    bool here = c->in && c->in->at < c->in->n;
    if (!q->head.expect_continue || here || (!up->chunked && up->left == 0))
        return;
    struct dz_http_piece piece = {"HTTP/1.1 100 Continue\r\n\r\n", 0, 25, true};
    c->busy++;
    dz_http_write_or_keep(c, &piece, 1, NULL);
    c->busy--;
}

void dz_http_body_resume(struct dz_http_conn *c)
{
    if (c->gone) {
        dz_http_body_lost(c);
        return;
    }
    if (!c->upload->asked)
        ask(c);
    if (dz_http_body_wanted(c))
        dz_http_body_feed(c);
    if (c->gone)
        dz_http_body_lost(c);
    else
        dz_http_settle(c);
}

bool dz_http_body_is_left(struct dz_http_conn *c)
{
    struct dz_http_upload *up = c->upload;
    if (!up || !up->streamed || up->whole || c->gone)
        return false;
    up->sink = NULL;
    size_t here = c->in ? c->in->n - c->in->at : 0;
    if (up->chunked || up->left > here)
        return true;
    if (up->left > 0)
        c->in->at += (size_t)up->left;
    up->left = 0;
    up->whole = true;
    return false;
}

void dz_http_read_body(struct dz_http_req *r, struct dz_http_sink *sink, uint64_t max)
{
    struct dz_http_request *q = dz_http_request_of(r);
    struct dz_http_conn *c = q->conn;
    dz_assert(q->deferred && !q->replied);
    if (q->stream) {
        dz_http_h2_read_body(q->stream, sink, max);
    } else {
        if (!c->upload) /* there is none */
            c->upload = dz_zalloc(sizeof(*c->upload));
        dz_assert(!c->upload->asked && !c->upload->sink);
        c->upload->streamed = true;
        c->upload->sink = sink;
        c->upload->max = max;
    }
    dz_http_resume_soon(c);
}

void dz_http_body_more(struct dz_http_req *r)
{
    struct dz_http_request *q = dz_http_request_of(r);
    struct dz_http_conn *c = q->conn;
    if (q->stream) {
        dz_http_h2_body_more(q->stream);
    } else if (c->upload && c->upload->paused) {
        c->upload->paused = false;
        c->upload->seen = 0;
        c->timed = TIMED_NOT; /* its time begins anew */
    }
    dz_http_resume_soon(c);
}
