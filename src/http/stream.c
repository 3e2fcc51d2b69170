/*
 * stream: HTTP/1.1 answers whose content is made while it is sent.
 *
 * In: an answer with a source (http.h). Out: chunks (RFC 9112 7.1), or bytes up to the end of the
 * connection for HTTP/1.0. The first chunk leaves with the header; each later turn of the loop
 * makes a bounded piece more, once everything before it has left. A connection that streams has one
 * chunk buffer, which a short write hands over to the send list and a later turn makes anew. It
 * keeps its request, and with it the arena and the input that slices point into, until the last
 * byte is made or the connection ends; only then the answer is counted and logged. Content of a
 * known length leaves without chunks. A source that has nothing to say waits without a timer until
 * it is woken; conn.c looks whether the peer is still there. The lane's thread only.
 */
#include "http/http_int.h"

#include <errno.h>

/* Room around the content of a chunk: "8000\r\n" before it, "\r\n0\r\n\r\n" behind. */
#define SIZE_ROOM ((size_t)6)
#define TAIL_ROOM ((size_t)7)
_Static_assert(HTTP_CHUNK_BYTES <= 0xFFFF, "a chunk size has four digits");

struct dz_http_streaming {
    struct dz_http_request *q;
    struct dz_http_source *source;
    char *buffer;          /* NULL: not made yet, or a send has it */
    uint64_t bytes, whole; /* made; of content with a known length */
    int status;
    bool chunked, sized;
    bool waits; /* the source said so, and was not woken since */
};

enum made { MADE_ALL_IT_COULD, MADE_SHORT, MADE_LAST, MADE_NOTHING_IT_BROKE };

/* Puts size and line ends around n bytes of content at p; the result is one piece of memory. */
static dz_str framed(char *p, size_t n, bool last)
{
    char *begin = p, *end = p + n;
    if (n > 0) {
        *--begin = '\n';
        *--begin = '\r';
        for (size_t left = n; left > 0; left /= 16)
            *--begin = "0123456789abcdef"[left % 16];
        *end++ = '\r';
        *end++ = '\n';
    }
    if (last) {
        memcpy(end, "0\r\n\r\n", 5);
        end += 5;
    }
    return (dz_str){begin, (size_t)(end - begin)};
}

/* The next chunk. A source that gives less than asked for has done its piece of work; one more read
 * finds out whether that was the end, so that a short content leaves in one write. */
static enum made make_chunk(struct dz_http_streaming *s, dz_str *ret_bytes)
{
    if (!s->buffer)
        s->buffer = dz_alloc(SIZE_ROOM + HTTP_CHUNK_BYTES + TAIL_ROOM);
    char *p = s->buffer + SIZE_ROOM;
    size_t n = 0, room = HTTP_CHUNK_BYTES;
    if (s->sized && s->whole - s->bytes < room)
        room = (size_t)(s->whole - s->bytes);
    ssize_t got = 1;
    for (int reads_short = 0; n < room && reads_short < 2; reads_short++) {
        got = s->source->read(s->source, p + n, room - n);
        if (got <= 0)
            break;
        dz_assert((size_t)got <= room - n);
        n += (size_t)got;
    }
    s->bytes += n;
    s->waits = got == -EAGAIN;
    bool last = s->sized ? s->bytes == s->whole : got == 0;
    if ((got < 0 && !s->waits) || (got == 0 && !last))
        return MADE_NOTHING_IT_BROKE;
    *ret_bytes = s->chunked ? framed(p, n, last) : (dz_str){p, n};
    return last ? MADE_LAST : n < room || s->waits ? MADE_SHORT : MADE_ALL_IT_COULD;
}

static void streaming_free(struct dz_http_streaming **s)
{
    struct dz_http_streaming *gone = dz_take(s);
    if (!gone)
        return;
    dz_http_source_free(&gone->source);
    dz_freep(&gone->buffer);
    dz_freep(&gone);
}

bool dz_http_stream_begin(struct dz_http_request *q, struct dz_http_answer *a,
                          struct dz_http_streaming **ret_s)
{
    struct dz_http_streaming *s = dz_new(struct dz_http_streaming);
    s->q = q;
    s->source = dz_take(&a->take_source);
    s->status = a->status;
    s->sized = a->sized;
    s->whole = a->sized ? a->bytes : 0;
    s->chunked = !s->sized && q->head.version_minor > 0;
    q->close |= !s->sized && !s->chunked;
    dz_str chunk;
    enum made made = make_chunk(s, &chunk);
    if (made == MADE_NOTHING_IT_BROKE) {
        streaming_free(&s);
        return false;
    }
    if (made == MADE_LAST)
        dz_http_source_free(&s->source);
    a->take_heap = dz_take(&s->buffer);
    a->piece[0] = (struct dz_http_piece){chunk.p, 0, chunk.n, false};
    a->pieces_n = 1;
    a->bytes = s->bytes;
    *ret_s = s;
    return true;
}

bool dz_http_stream_is_chunked(const struct dz_http_streaming *s)
{
    return s->chunked;
}

void dz_http_stream_began(struct dz_http_streaming *take_s, struct dz_http_answer *a)
{
    struct dz_http_conn *c = take_s->q->conn;
    if (c->gone || !take_s->source) {
        streaming_free(&take_s);
        return;
    }
    take_s->buffer = dz_take(&a->take_heap);
    c->streaming = take_s;
}

void dz_http_stream_over(struct dz_http_conn *c)
{
    struct dz_http_streaming *s = dz_take(&c->streaming);
    if (!s)
        return;
    struct dz_http_request *q = s->q;
    int status = s->status;
    uint64_t bytes = s->bytes;
    streaming_free(&s); /* its source may use the request's arena */
    dz_http_account(q, status, bytes);
    dz_http_release(q);
}

bool dz_http_stream_waits(const struct dz_http_conn *c)
{
    return c->streaming && c->streaming->waits && !c->send;
}

bool dz_http_stream_is_endless(const struct dz_http_conn *c)
{
    return !c->streaming->sized;
}

bool dz_http_stream_wake(struct dz_http_conn *c)
{
    bool waited = c->streaming && c->streaming->waits;
    if (waited)
        c->streaming->waits = false;
    return waited;
}

void dz_http_stream_more(struct dz_http_conn *c)
{
    struct dz_http_streaming *s = c->streaming;
    uint64_t from = s->bytes;
    enum made made;
    if (s->waits)
        return;
    do {
        dz_str chunk;
        made = make_chunk(s, &chunk);
        if (made == MADE_NOTHING_IT_BROKE) {
            dz_http_conn_cut(c); /* without the last chunk, so that the client notices */
            return;
        }
        struct dz_http_answer a;
        a.body = NULL;
        a.file = NULL;
        a.take_heap = dz_take(&s->buffer);
        struct dz_http_piece piece = {chunk.p, 0, chunk.n, false};
        if (chunk.n > 0)
            dz_http_write_or_keep(c, &piece, 1, &a);
        if (c->gone) { /* and s with it */
            dz_freep(&a.take_heap);
            return;
        }
        s->buffer = a.take_heap;
        if (made == MADE_LAST) {
            dz_http_stream_over(c);
            return;
        }
    } while (!c->send && made != MADE_SHORT && s->bytes - from < HTTP_STREAM_TURN_BYTES);
}

/* ---- content that lies in memory ------------------------------------------------------------- */

struct memory_source {
    struct dz_http_source source;
    char *heap;
    size_t at, n;
};

static ssize_t memory_read(struct dz_http_source *source, char *p, size_t n)
{
    struct memory_source *m = dz_container(source, struct memory_source, source);
    size_t left = m->n - m->at;
    if (n > left)
        n = left;
    if (n > 0)
        memcpy(p, m->heap + m->at, n);
    m->at += n;
    return (ssize_t)n;
}

static void memory_free(struct dz_http_source **source)
{
    struct memory_source *m = dz_container(dz_take(source), struct memory_source, source);
    dz_freep(&m->heap);
    dz_freep(&m);
}

struct dz_http_source *dz_http_memory_source(char *take_heap, size_t n)
{
    struct memory_source *m = dz_new(struct memory_source);
    *m = (struct memory_source){{memory_read, memory_free}, take_heap, 0, n};
    return &m->source;
}

/* ---- several sources, one after the other ---------------------------------------------------- */

struct joined_source {
    struct dz_http_source source;
    size_t at, n;
    struct dz_http_part part[];
};

static ssize_t joined_read(struct dz_http_source *source, char *p, size_t n)
{
    struct joined_source *j = dz_container(source, struct joined_source, source);
    for (; j->at < j->n; j->at++) {
        struct dz_http_part *part = &j->part[j->at];
        if (part->bytes > 0) {
            ssize_t got =
                part->source->read(part->source, p, part->bytes < n ? (size_t)part->bytes : n);
            if (got > 0)
                part->bytes -= (uint64_t)got;
            return got == 0 ? -EIO : got;
        }
        dz_http_source_free(&part->source);
    }
    return 0;
}

static void joined_free(struct dz_http_source **source)
{
    struct joined_source *j = dz_container(dz_take(source), struct joined_source, source);
    for (size_t i = j->at; i < j->n; i++)
        dz_http_source_free(&j->part[i].source);
    dz_freep(&j);
}

struct dz_http_source *dz_http_joined_source(const struct dz_http_part *take_parts, size_t n)
{
    struct joined_source *j = dz_alloc(sizeof(*j) + n * sizeof(j->part[0]));
    j->source = (struct dz_http_source){joined_read, joined_free};
    j->at = 0;
    j->n = n;
    memcpy(j->part, take_parts, n * sizeof(j->part[0]));
    return &j->source;
}
