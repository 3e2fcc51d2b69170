/*
 * wire: a connection's socket.
 *
 * Thin and without decisions: what the kernel answers is passed on as bytes or a negated errno.
 * Non-blocking; SIGPIPE is blocked in the threads of lanes, because sendfile has no flag against
 * it.
 */
#include "http/http_int.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <unistd.h>

static ssize_t socket_recv(struct dz_http_conn *c, void *p, size_t n)
{
    ssize_t got;
    do
        got = recv(c->watch.fd, p, n, 0);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static ssize_t socket_send(struct dz_http_conn *c, const struct iovec *iov, size_t n, bool more)
{
    int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
    ssize_t got;
    do {
        if (n == 1) {
            got = send(c->watch.fd, iov->iov_base, iov->iov_len, flags);
        } else {
            struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n};
            got = sendmsg(c->watch.fd, &m, flags);
        }
    } while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

/* For files that sendfile does not take. */
static ssize_t copy_file(struct dz_http_conn *c, const struct dz_file *f, uint64_t at, size_t n)
{
    char part[16 * 1024];
    ssize_t got = pread(f->fd, part, n < sizeof(part) ? n : sizeof(part), (off_t)at);
    if (got <= 0)
        return got < 0 ? -errno : 0;
    struct iovec iov = {part, (size_t)got};
    return socket_send(c, &iov, 1, false);
}

static ssize_t socket_send_file(struct dz_http_conn *c, const struct dz_file *f, uint64_t at,
                                size_t n)
{
    ssize_t got;
    off_t from = (off_t)at;
    do
        got = sendfile(c->watch.fd, f->fd, &from, n);
    while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EINVAL || errno == ENOSYS))
        return copy_file(c, f, at, n);
    return got < 0 ? -errno : got;
}

static uint64_t socket_unsent(struct dz_http_conn *c)
{
    int n = 0;
    return ioctl(c->watch.fd, SIOCOUTQ, &n) == 0 && n > 0 ? (uint64_t)n : 0;
}

static bool socket_readable(struct dz_http_conn *c)
{
    char byte;
    return recv(c->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool dz_http_has_left(const struct dz_http_req *r)
{
    if (dz_http_is_gone(r))
        return true;
    const struct dz_http_conn *c = r->conn;
    struct pollfd p = {.fd = c->watch.fd, .events = POLLRDHUP};
    return !c->h2 && c->watch.fn && poll(&p, 1, 0) == 1;
}

static void socket_arm(struct dz_http_conn *c, uint32_t events)
{
    dz_watch_set(c->lane->loop, &c->watch, events);
}

static void socket_finish(struct dz_http_conn *c)
{
    (void)shutdown(c->watch.fd, SHUT_WR);
}

static void socket_close(struct dz_http_conn *c)
{
    if (c->aborted) { /* nobody takes the rest: let the kernel forget it at once */
        struct linger none = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(c->watch.fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    }
    dz_watch_del(c->lane->loop, &c->watch);
    dz_closep(&c->watch.fd);
}

const struct dz_http_wire dz_http_socket_wire = {
    .recv = socket_recv,
    .send = socket_send,
    .send_file = socket_send_file,
    .unsent = socket_unsent,
    .readable = socket_readable,
    .arm = socket_arm,
    .finish = socket_finish,
    .close = socket_close,
};
