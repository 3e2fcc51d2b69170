/*
 * write: from an answer to bytes on the wire.
 *
 * In: an answer's pieces, memory or file. Out: as much as the wire takes at once; the rest waits in
 * the connection's send list, with copies of what may go away and references on what is shared.
 * Small answers of the connection that is being read are gathered in the lane's batch and leave in
 * one write. The lane's thread only.
 */
#include "http/http_int.h"

#include <errno.h>

#define IOV_MAX_HERE 40

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

void dz_http_sends_free(struct dz_http_conn *c)
{
    while (c->send) {
        struct dz_http_send *s = c->send;
        c->send = s->next;
        send_free(&s);
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

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
        if (!piece[i].copy)
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

void dz_http_write_or_keep(struct dz_http_conn *c, struct dz_http_piece *piece, size_t n,
                           struct dz_http_answer *a)
{
    size_t at = 0;
    int wrote = WROTE_SOME;
    if (!c->send)
        wrote = write_out(c, piece, &at, n, a ? a->file : NULL);
    if (wrote == WROTE_SOME)
        keep_rest(c, piece + at, n - at, a);
    else if (wrote == WROTE_NEVER)
        dz_http_drop(c);
}

void dz_http_flush_batch(struct dz_http_lane *lane)
{
    struct dz_http_conn *c = lane->batch_conn;
    size_t n = lane->batch_n;
    lane->batch_n = 0;
    if (n == 0 || c->gone)
        return;
    struct dz_http_piece piece = {lane->batch, 0, n, true};
    dz_http_write_or_keep(c, &piece, 1, NULL);
}

/* The line that is about this connection alone. */
static dz_str hop_line(const struct dz_http_request *q, bool close, bool chunked)
{
    if (DZ_UNLIKELY(chunked))
        return close ? DZ_S("Connection: close\r\nTransfer-Encoding: chunked\r\n")
                     : DZ_S("Transfer-Encoding: chunked\r\n");
    if (close)
        return DZ_S("Connection: close\r\n");
    return DZ_UNLIKELY(q->head.version_minor == 0) ? DZ_S("Connection: keep-alive\r\n")
                                                   : (dz_str){0};
}

static char *copy_to(char *to, dz_str s)
{
    if (s.n > 0)
        memcpy(to, s.p, s.n);
    return to + s.n;
}

static bool into_batch(struct dz_http_conn *c, const struct dz_http_answer *a, dz_str line,
                       dz_str hop)
{
    struct dz_http_lane *lane = c->lane;
    uint64_t total = line.n + hop.n + a->lines.n + a->block.n;
    if (lane->batch_conn != c || c->send)
        return false;
    for (size_t i = 0; i < a->pieces_n; i++) {
        if (!a->piece[i].p && a->piece[i].n > 0)
            return false;
        total += a->piece[i].n;
    }
    if (total > HTTP_SMALL_BYTES)
        return false;
    if (total > HTTP_BATCH_BYTES - lane->batch_n) {
        dz_http_flush_batch(lane);
        if (c->send || c->gone)
            return false;
    }
    char *to = copy_to(copy_to(lane->batch + lane->batch_n, line), hop);
    to = copy_to(copy_to(to, a->lines), a->block);
    for (size_t i = 0; i < a->pieces_n; i++)
        to = copy_to(to, (dz_str){a->piece[i].p, (size_t)a->piece[i].n});
    lane->batch_n += total;
    return true;
}

void dz_http_write_answer(struct dz_http_request *q, struct dz_http_answer *a, bool close,
                          bool chunked)
{
    struct dz_http_conn *c = q->conn;
    struct dz_http_lane *lane = c->lane;
    dz_str line = dz_http_status_line(lane, a->status), hop = hop_line(q, close, chunked);
    if (into_batch(c, a, line, hop))
        return;
    struct dz_http_piece piece[HTTP_PIECES_MAX + 5];
    size_t n = 0;
    if (lane->batch_conn == c && lane->batch_n > 0) {
        piece[n++] = (struct dz_http_piece){lane->batch, 0, lane->batch_n, true};
        lane->batch_n = 0;
    }
    piece[n++] = (struct dz_http_piece){line.p, 0, line.n, true};
    if (hop.n > 0)
        piece[n++] = (struct dz_http_piece){hop.p, 0, hop.n, true};
    if (a->lines.n > 0)
        piece[n++] = (struct dz_http_piece){a->lines.p, 0, a->lines.n, true};
    if (a->block.n > 0)
        piece[n++] = (struct dz_http_piece){a->block.p, 0, a->block.n, false};
    for (size_t i = 0; i < a->pieces_n; i++)
        if (a->piece[i].n >
            0) /* the last piece must have bytes, or "more follows" would be a lie */
            piece[n++] = a->piece[i];
    if (!c->gone)
        dz_http_write_or_keep(c, piece, n, a);
}

bool dz_http_write_rest(struct dz_http_conn *c)
{
    while (c->send) {
        struct dz_http_send *s = c->send;
        int wrote = write_out(c, s->piece, &s->at, s->n, s->file);
        if (wrote != WROTE_ALL)
            return wrote == WROTE_SOME;
        c->send = s->next;
        send_free(&s);
    }
    return true;
}
