/*
 * testing: a connection whose wire is memory.
 *
 * Request bytes go in, answer bytes come out, without a socket. The machine above is the real one;
 * this file plays the kernel: it says when there is something to read or room to write, with short
 * writes as asked.
 */
#include "http/http_int.h"

#include <errno.h>
#include <unistd.h>

#define OUTPUT_MAX ((size_t)256 * 1024 * 1024)
#define WAIT_MS 2000 /* longest wait for a deferred reply */

struct dz_http_test_conn {
    struct dz_http_server *server;
    struct dz_http_lane *lane;
    struct dz_http_conn *conn; /* NULL once closed */
    struct dz_buf in, out;
    size_t in_at;
    bool eof, eof_seen, limited, finished;
    size_t per_write;
    uint32_t armed;
};

static struct dz_http_test_conn *test_of(struct dz_http_conn *c)
{
    return c->wire_data;
}

static ssize_t memory_recv(struct dz_http_conn *c, void *p, size_t n)
{
    struct dz_http_test_conn *t = test_of(c);
    size_t left = t->in.n - t->in_at;
    if (left == 0) {
        t->eof_seen = t->eof;
        return t->eof ? 0 : -EAGAIN;
    }
    if (n > left)
        n = left;
    memcpy(p, t->in.p + t->in_at, n);
    t->in_at += n;
    return (ssize_t)n;
}

static ssize_t memory_send(struct dz_http_conn *c, const struct iovec *iov, size_t n, bool more)
{
    (void)more;
    struct dz_http_test_conn *t = test_of(c);
    size_t room = t->limited ? t->per_write : OUTPUT_MAX, sent = 0;
    dz_assert(!t->finished);
    for (size_t i = 0; i < n && room > 0; i++) {
        size_t step = iov[i].iov_len < room ? iov[i].iov_len : room;
        dz_buf_put(&t->out, (dz_str){iov[i].iov_base, step});
        room -= step;
        sent += step;
    }
    return sent > 0 ? (ssize_t)sent : -EAGAIN;
}

static ssize_t memory_send_file(struct dz_http_conn *c, const struct dz_file *f, uint64_t at,
                                size_t n)
{
    char part[64 * 1024];
    ssize_t got = pread(f->fd, part, n < sizeof(part) ? n : sizeof(part), (off_t)at);
    if (got <= 0)
        return got < 0 ? -errno : 0;
    struct iovec iov = {part, (size_t)got};
    return memory_send(c, &iov, 1, false);
}

static uint64_t memory_unsent(struct dz_http_conn *c)
{
    (void)c;
    return 0;
}

static bool memory_readable(struct dz_http_conn *c)
{
    return test_of(c)->in_at < test_of(c)->in.n;
}

static void memory_arm(struct dz_http_conn *c, uint32_t events)
{
    test_of(c)->armed = events;
}

static void memory_finish(struct dz_http_conn *c)
{
    test_of(c)->finished = true;
}

static void memory_close(struct dz_http_conn *c)
{
    test_of(c)->armed = 0;
    test_of(c)->conn = NULL;
}

static const struct dz_http_wire memory_wire = {
    .recv = memory_recv,
    .send = memory_send,
    .send_file = memory_send_file,
    .unsent = memory_unsent,
    .readable = memory_readable,
    .arm = memory_arm,
    .finish = memory_finish,
    .close = memory_close,
};

static struct dz_http_lane *lane_of(struct dz_http_server *s, struct dz_loop *l)
{
    for (struct dz_http_lane *lane = s->test_lanes; lane; lane = lane->next)
        if (lane->loop == l)
            return lane;
    struct dz_http_lane *lane = dz_http_lane_new(s, l, 0);
    lane->next = s->test_lanes;
    s->test_lanes = lane;
    if (s->o.loop_start)
        lane->loop_app = s->o.loop_start(s->o.app, l);
    return lane;
}

struct dz_http_test_conn *dz_http_test_open(struct dz_http_server *s, struct dz_loop *l)
{
    struct dz_http_test_conn *t = dz_new(struct dz_http_test_conn);
    t->server = s;
    t->lane = lane_of(s, l);
    dz_buf_init(&t->in, OUTPUT_MAX);
    dz_buf_init(&t->out, OUTPUT_MAX);
    struct dz_http_conn *c = dz_http_conn_new(t->lane, &memory_wire);
    c->wire_data = t;
    memcpy(c->ip, "192.0.2.1", 9);
    c->ip_n = 9;
    unsigned char address[16];
    dz_str text;
    c->trusted = dz_http_address((dz_str){c->ip, c->ip_n}, address, &text) &&
                 dz_http_trusts(s->trust, address);
    t->lane->conns_n++;
    atomic_fetch_add(&s->open, 1);
    t->conn = c;
    t->armed = EPOLLIN;
    dz_http_conn_begin(c);
    return t;
}

struct dz_http_test_conn *dz_http_test_open_h2(struct dz_http_server *s, struct dz_loop *l)
{
    struct dz_http_test_conn *t = dz_http_test_open(s, l);
    dz_http_h2_begin(t->conn);
    t->conn->encrypted = true;
    dz_http_settle(t->conn);
    return t;
}

/* One step of the kernel's; false when nothing is ready. */
static bool pump(struct dz_http_test_conn *t)
{
    if (!t->conn)
        return false;
    uint32_t events = 0;
    if ((t->armed & EPOLLIN) && (t->in_at < t->in.n || (t->eof && !t->eof_seen)))
        events |= EPOLLIN;
    if ((t->armed & EPOLLRDHUP) && t->eof)
        events |= EPOLLRDHUP;
    if ((t->armed & EPOLLOUT) && !(t->limited && t->per_write == 0))
        events |= EPOLLOUT;
    if (!events)
        return false;
    dz_http_conn_event(t->conn, events);
    return true;
}

void dz_http_test_push(struct dz_http_test_conn *t, dz_str bytes, bool eof)
{
    if (t->in_at == t->in.n) {
        dz_buf_clear(&t->in);
        t->in_at = 0;
    }
    dz_buf_put(&t->in, bytes);
    t->eof |= eof;
    while (pump(t)) {
    }
}

static bool is_handled(const struct dz_http_conn *c)
{
    if (c->h2)
        return dz_http_h2_owes(c);
    return c->state == CONN_HANDLE || (dz_http_stream_waits(c) && !dz_http_stream_is_endless(c));
}

void dz_http_test_feed(struct dz_http_test_conn *t, dz_str bytes, bool eof)
{
    int64_t until_ms = dz_mono_ns() / 1000000 + WAIT_MS;
    dz_http_test_push(t, bytes, eof);
    while (t->conn && (is_handled(t->conn) || t->conn->resuming) &&
           dz_mono_ns() / 1000000 < until_ms) {
        dz_loop_turn(t->lane->loop, t->conn->resuming ? 0 : 10);
        while (pump(t)) {
        }
    }
}

dz_str dz_http_test_output(struct dz_http_test_conn *t)
{
    return dz_buf_str(&t->out);
}

bool dz_http_test_closed(const struct dz_http_test_conn *t)
{
    return !t->conn || t->finished;
}

void dz_http_test_write_limit(struct dz_http_test_conn *t, size_t bytes_per_write)
{
    t->limited = true;
    t->per_write = bytes_per_write;
}

void dz_http_test_free(struct dz_http_test_conn **t)
{
    struct dz_http_test_conn *gone = dz_take(t);
    if (!gone)
        return;
    if (gone->conn)
        dz_http_conn_cut(gone->conn);
    if (gone->lane->resume_posted) /* its message lies in the lane, which ends before the loop */
        dz_loop_turn(gone->lane->loop, 0);
    dz_buf_done(&gone->in);
    dz_buf_done(&gone->out);
    dz_freep(&gone);
}
