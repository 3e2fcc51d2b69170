/*
 * tls_wire: a connection's socket with TLS (OpenSSL) on it.
 *
 * In: readiness of the socket. Out: the handshake, then the same bytes and negated errnos that
 * wire.c gives, so that the machine above does not know. Plain bytes leave as records of up to 16
 * KiB: a header block waits in `held` for the body behind it. With kernel TLS the kernel encrypts,
 * and sending goes through the plain wire. The lane's thread only; OpenSSL's error queue is empty
 * between calls. The odd things: input may lie inside OpenSSL while the socket is quiet, so a
 * connection that waits for input then stands in a queue of the lane, which one message works off;
 * and a record that the socket did not take whole must be offered to OpenSSL again with the same
 * length, whatever the bytes, because it is encrypted already.
 */
#include "http/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define RECORD_BYTES ((size_t)SSL3_RT_MAX_PLAIN_LENGTH)
/* Records without data before one with data: key updates (RFC 8446 4.6.3 sets no limit), hellos of
 * a new handshake that is refused. OpenSSL would deal with them as long as the socket has more,
 * while no other connection of the lane has its turn. */
#define EMPTY_RECORDS_MAX 32

struct dz_http_tls {
    struct dz_http_conn *conn;
    SSL *ssl;
    struct dz_http_tls_set *set;     /* until the handshake is over */
    struct dz_http_tls *prev, *next; /* in the lane's queue */
    bool queued;
    bool ready;    /* the handshake is over */
    bool broken;   /* nothing more can be said or heard */
    bool finished; /* close_notify was sent */
    bool kernel;   /* encrypts what is sent */
    bool dry;      /* the last read found nothing more */
    bool read_wants_out, write_wants_in;
    uint8_t records;     /* of the client's, since its last data was read */
    size_t record_bytes; /* of a record at most; less when the client asked for it (RFC 6066 4) */
    size_t retry_n;      /* length of the write that OpenSSL wants to see again; 0: none */
    size_t held_n;       /* plain bytes taken that wait for those behind them */
    char *held;          /* RECORD_BYTES, or NULL */
    uint64_t arrived;    /* of conn->sent, at the last look */
};

static struct dz_http_tls *tls_of(struct dz_http_conn *c)
{
    return c->wire_data;
}

const struct dz_http_tls_set *dz_http_tls_set_of(const SSL *ssl)
{
    const struct dz_http_tls *t = SSL_get_app_data(ssl);
    return t->set;
}

/* ---- the queue of those whose input epoll does not know of ----------------------------------- */

static void leave_queue(struct dz_http_tls *t)
{
    struct dz_http_lane *lane = t->conn->lane;
    if (!t->queued)
        return;
    *(t->prev ? &t->prev->next : &lane->tls_first) = t->next;
    *(t->next ? &t->next->prev : &lane->tls_last) = t->prev;
    t->prev = t->next = NULL;
    t->queued = false;
    lane->tls_queued--;
}

/* Those that queue again while this runs have their turn after the loop has looked at its sockets.
 */
static void work_off(struct dz_loop *l, struct dz_msg *m)
{
    (void)l;
    struct dz_http_lane *lane = dz_container(m, struct dz_http_lane, tls_msg);
    lane->tls_posted = false;
    for (size_t n = lane->tls_queued; n > 0 && lane->tls_first; n--) {
        struct dz_http_tls *t = lane->tls_first;
        leave_queue(t);
        dz_http_conn_event(t->conn, EPOLLIN);
    }
}

static void enter_queue(struct dz_http_tls *t)
{
    struct dz_http_lane *lane = t->conn->lane;
    if (t->queued)
        return;
    t->queued = true;
    t->prev = lane->tls_last;
    *(t->prev ? &t->prev->next : &lane->tls_first) = t;
    lane->tls_last = t;
    lane->tls_queued++;
    if (lane->tls_posted)
        return;
    lane->tls_posted = true;
    lane->tls_msg.fn = work_off;
    dz_loop_post(lane->loop, &lane->tls_msg);
}

/* ---- life ------------------------------------------------------------------------------------ */

bool dz_http_tls_open(struct dz_http_conn *c, int fd)
{
    struct dz_http_tls_set *set = dz_http_tls_set_current(c->lane->server);
    SSL *ssl = set ? SSL_new(set->ctx[0]) : NULL;
    if (!ssl || SSL_set_fd(ssl, fd) != 1) {
        ERR_clear_error();
        SSL_free(ssl);
        dz_http_tls_set_unref(&set);
        return false;
    }
    struct dz_http_tls *t = dz_new(struct dz_http_tls);
    t->conn = c;
    t->ssl = ssl;
    t->set = set;
    SSL_set_accept_state(ssl);
    SSL_set_app_data(ssl, t);
    c->wire_data = t;
    c->encrypted = true;
    return true;
}

/* What is left is a plain socket. */
static void strip(struct dz_http_conn *c)
{
    struct dz_http_tls *gone = dz_take((struct dz_http_tls **)&c->wire_data);
    leave_queue(gone);
    SSL_free(gone->ssl);
    ERR_clear_error();
    dz_http_tls_set_unref(&gone->set);
    dz_freep(&gone->held);
    dz_freep(&gone);
    c->wire = &dz_http_socket_wire;
    c->encrypted = c->more = false;
}

/* RFC 8446 6.1; not waited for: who has the whole answer does not need it. */
static void say_goodbye(struct dz_http_tls *t)
{
    if (!t->ready || t->broken || t->finished)
        return;
    t->finished = true;
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
}

/* ---- handshake ------------------------------------------------------------------------------- */

/* Every record after the handshake. What was received counts as the end then, which is what makes
 * OpenSSL stop reading. */
static void on_record(int sent, int version, int type, const void *p, size_t n, SSL *ssl, void *arg)
{
    (void)version;
    (void)p;
    (void)n;
    struct dz_http_tls *t = arg;
    if (sent || type != SSL3_RT_HEADER)
        return;
    if (t->records <= EMPTY_RECORDS_MAX)
        t->records++;
    else
        SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN);
}

static void shaken(struct dz_http_conn *c)
{
    struct dz_http_tls *t = tls_of(c);
    t->ready = true;
    dz_http_tls_set_unref(&t->set);
    SSL_set_msg_callback(t->ssl, on_record);
    SSL_set_msg_callback_arg(t->ssl, t);
    t->kernel = BIO_get_ktls_send(SSL_get_wbio(t->ssl)) != 0;
    unsigned small = SSL_SESSION_get_max_fragment_length(SSL_get0_session(t->ssl));
    t->record_bytes = small ? (size_t)256 << small : RECORD_BYTES;
    const unsigned char *protocol;
    unsigned protocol_n;
    SSL_get0_alpn_selected(t->ssl, &protocol, &protocol_n);
    if (protocol_n == 2) /* "h2" is the only one so short */
        dz_http_h2_begin(c);
    dz_http_conn_event(c, EPOLLIN); /* the first request may have come with the handshake */
}

/* OpenSSL has sent its alert. Unread bytes are drained, so that the client gets to see it. */
static void not_shaken(struct dz_http_conn *c, int how)
{
    unsigned long first = ERR_peek_error();
    const char *why = ERR_reason_error_string(first);
    bool plain = ERR_GET_LIB(first) == ERR_LIB_SSL && ERR_GET_REASON(first) == SSL_R_HTTP_REQUEST;
    dz_log(&(struct dz_log_ctx){.room = "http", .what = "tls"}, DZ_DEBUG,
           "handshake with %.*s failed: %s", c->ip_n, c->ip, why ? why : "the client went away");
    strip(c);
    if (plain) {
        c->busy++;
        dz_http_refuse(c, NULL, 400, "the plain HTTP request was sent to HTTPS port");
        c->busy--;
    } else if (how == SSL_ERROR_SSL) {
        dz_http_count(&c->lane->counters.parse_errors, 1);
        c->state = CONN_WRITE;
        c->linger = true;
    } else {
        dz_http_drop(c);
        return;
    }
    dz_http_settle(c);
}

static void shake(struct dz_http_conn *c)
{
    struct dz_http_tls *t = tls_of(c);
    ERR_clear_error();
    int got = SSL_do_handshake(t->ssl);
    if (got == 1) {
        shaken(c);
        return;
    }
    int how = SSL_get_error(t->ssl, got);
    if (how == SSL_ERROR_WANT_READ)
        dz_watch_set(c->lane->loop, &c->watch, EPOLLIN);
    else if (how == SSL_ERROR_WANT_WRITE)
        dz_watch_set(c->lane->loop, &c->watch, EPOLLOUT);
    else
        not_shaken(c, how);
}

void dz_http_tls_event(struct dz_loop *l, struct dz_watch *w, uint32_t events)
{
    (void)l;
    struct dz_http_conn *c = dz_container(w, struct dz_http_conn, watch);
    struct dz_http_tls *t = tls_of(c);
    if (t && !t->ready) {
        shake(c);
        return;
    }
    if (t && t->read_wants_out && (events & EPOLLOUT))
        events |= EPOLLIN;
    if (t && t->write_wants_in && (events & EPOLLIN))
        events |= EPOLLOUT;
    dz_http_conn_event(c, events);
}

/* ---- reading --------------------------------------------------------------------------------- */

static ssize_t tls_recv(struct dz_http_conn *c, void *p, size_t n)
{
    struct dz_http_tls *t = tls_of(c);
    if (t->broken)
        return -ECONNRESET;
    size_t got;
    ERR_clear_error();
    errno = 0;
    t->read_wants_out = false;
    t->dry = !SSL_read_ex(t->ssl, p, n, &got);
    c->more = !t->dry && SSL_has_pending(t->ssl);
    if (!t->dry) {
        t->records = 0;
        return (ssize_t)got;
    }
    int native = errno;
    switch (SSL_get_error(t->ssl, 0)) {
    case SSL_ERROR_WANT_WRITE:
        t->read_wants_out = true;
        return -EAGAIN;
    case SSL_ERROR_WANT_READ:
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN: /* close_notify, or an end without one: the length says if it was
                                   too early */
        return 0;
    case SSL_ERROR_SYSCALL:
        t->broken = true;
        return native ? -native : 0;
    default:
        t->broken = true;
        ERR_clear_error();
        return -EPROTO;
    }
}

static bool tls_readable(struct dz_http_conn *c)
{
    struct dz_http_tls *t = tls_of(c);
    char byte;
    if (!t->ready || t->broken)
        return !t->broken && dz_http_socket_wire.readable(c);
    ERR_clear_error();
    bool yes = SSL_peek(t->ssl, &byte, 1) > 0;
    ERR_clear_error();
    t->dry = t->dry && !yes;
    if (yes) /* what was looked at lies in here now, and the socket may be quiet */
        enter_queue(t);
    return yes;
}

static void tls_arm(struct dz_http_conn *c, uint32_t events)
{
    struct dz_http_tls *t = tls_of(c);
    if ((events & EPOLLIN) && !t->dry && SSL_has_pending(t->ssl))
        enter_queue(t);
    else
        leave_queue(t);
    uint32_t real = events;
    if (t->read_wants_out && (events & EPOLLIN))
        real = (real & ~(uint32_t)EPOLLIN) | EPOLLOUT;
    if (t->write_wants_in && (events & EPOLLOUT))
        real = (real & ~(uint32_t)EPOLLOUT) | EPOLLIN;
    dz_watch_set(c->lane->loop, &c->watch, real);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Bytes that one call was given and that are not taken yet. */
struct given {
    const struct iovec *iov;
    size_t at, left;
};

static void copy_given(const struct given *g, char *to, size_t n)
{
    size_t at = g->at;
    for (const struct iovec *v = g->iov; n > 0; v++, at = 0) {
        size_t step = v->iov_len - at < n ? v->iov_len - at : n;
        memcpy(to, (const char *)v->iov_base + at, step);
        to += step;
        n -= step;
    }
}

static void skip_given(struct given *g, size_t n)
{
    g->left -= n;
    g->at += n;
    while (g->left > 0 && g->at >= g->iov->iov_len) {
        g->at -= g->iov->iov_len;
        g->iov++;
    }
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Gives OpenSSL one record: the held bytes, then the caller's; p has them one behind the other. How
 * many of the caller's were taken. */
static ssize_t put_record(struct dz_http_tls *t, const char *p, size_t n)
{
    size_t got;
    ERR_clear_error();
    errno = 0;
    t->write_wants_in = false;
    if (SSL_write_ex(t->ssl, p, n, &got)) {
        t->retry_n = 0;
        size_t held = least(got, t->held_n);
        t->held_n -= held;
        if (t->held_n > 0)
            memmove(t->held, t->held + held, t->held_n);
        else
            dz_freep(&t->held);
        return (ssize_t)(got - held);
    }
    int native = errno;
    switch (SSL_get_error(t->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
        t->write_wants_in = true;
        t->retry_n = n;
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        t->retry_n = n;
        return -EAGAIN;
    default:
        t->broken = true;
        ERR_clear_error();
        return native ? -native : -EPIPE;
    }
}

/* How long the next record is, with `left` bytes behind the held ones; a begun one keeps its
 * length: who was told to come back comes with the same bytes, or with more behind them. */
static size_t record_length(const struct dz_http_tls *t, size_t left)
{
    dz_assert(t->held_n + left >= t->retry_n);
    return t->retry_n ? t->retry_n : least(t->record_bytes, t->held_n + left);
}

static ssize_t send_given(struct dz_http_tls *t, const struct given *g)
{
    size_t n = record_length(t, g->left);
    if (t->held_n == 0 && g->iov->iov_len - g->at >= n)
        return put_record(t, (const char *)g->iov->iov_base + g->at, n);
    char part[RECORD_BYTES];
    if (t->held_n > 0)
        memcpy(part, t->held, t->held_n);
    copy_given(g, part + t->held_n, n - t->held_n);
    return put_record(t, part, n);
}

static void hold(struct dz_http_tls *t, struct given *g)
{
    if (!t->held)
        t->held = dz_alloc(RECORD_BYTES);
    copy_given(g, t->held + t->held_n, g->left);
    t->held_n += g->left;
    g->left = 0;
}

static ssize_t tls_send(struct dz_http_conn *c, const struct iovec *iov, size_t n, bool more)
{
    struct dz_http_tls *t = tls_of(c);
    if (t->broken)
        return -EPIPE;
    if (t->kernel)
        return dz_http_socket_wire.send(c, iov, n, more);
    struct given g = {.iov = iov};
    for (size_t i = 0; i < n; i++)
        g.left += iov[i].iov_len;
    size_t total = g.left;
    while (g.left > 0 && total - g.left < HTTP_FILE_TURN_BYTES) {
        if (more && t->retry_n == 0 && t->held_n + g.left < t->record_bytes) {
            hold(t, &g);
            break;
        }
        ssize_t got = send_given(t, &g);
        if (got < 0)
            return g.left < total ? (ssize_t)(total - g.left) : got;
        skip_given(&g, (size_t)got);
    }
    return (ssize_t)(total - g.left);
}

static ssize_t tls_send_file(struct dz_http_conn *c, const struct dz_file *f, uint64_t at, size_t n)
{
    struct dz_http_tls *t = tls_of(c);
    if (t->broken)
        return -EPIPE;
    if (t->kernel)
        return dz_http_socket_wire.send_file(c, f, at, n);
    size_t taken = 0;
    while (taken < n) {
        char part[RECORD_BYTES];
        size_t k = record_length(t, n - taken);
        memset(part, 0, t->retry_n); /* the file may be shorter now, its record is not */
        if (t->held_n > 0)
            memcpy(part, t->held, t->held_n);
        ssize_t got = pread(f->fd, part + t->held_n, k - t->held_n, (off_t)(at + taken));
        if (got <= 0)
            return taken > 0 ? (ssize_t)taken : got < 0 ? -errno : 0;
        if (t->retry_n == 0)
            k = t->held_n + (size_t)got;
        got = put_record(t, part, k);
        if (got < 0)
            return taken > 0 ? (ssize_t)taken : got;
        taken += (size_t)got;
    }
    return (ssize_t)taken;
}

/* The kernel counts encrypted bytes, a little more than the plain ones. So what arrived is bounded
 * below, and never goes back. */
static uint64_t tls_unsent(struct dz_http_conn *c)
{
    struct dz_http_tls *t = tls_of(c);
    uint64_t waits = dz_http_socket_wire.unsent(c) + t->held_n;
    uint64_t arrived = waits < c->sent ? c->sent - waits : 0;
    if (arrived > t->arrived)
        t->arrived = arrived;
    return c->sent - t->arrived;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void tls_finish(struct dz_http_conn *c)
{
    say_goodbye(tls_of(c));
    dz_http_socket_wire.finish(c);
}

static void tls_close(struct dz_http_conn *c)
{
    struct dz_http_tls *t = tls_of(c);
    /* Only its timer drops a connection with no time running, and in a handshake nobody else counts
     * that. */
    if (!t->ready && c->timed == TIMED_NOT && !c->aborted)
        dz_http_count(&c->lane->counters.timeouts, 1);
    if (!c->aborted)
        say_goodbye(t);
    strip(c);
    dz_http_socket_wire.close(c);
}

const struct dz_http_wire dz_http_tls_wire = {
    .recv = tls_recv,
    .send = tls_send,
    .send_file = tls_send_file,
    .unsent = tls_unsent,
    .readable = tls_readable,
    .arm = tls_arm,
    .finish = tls_finish,
    .close = tls_close,
};
