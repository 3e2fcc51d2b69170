/*
 * passed: listening sockets that the process was started with (sd_listen_fds(3)).
 *
 * In: LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES of the environment. Out: descriptors from 3 on with
 * their names, which listeners take one by one. The variables are read once and removed and the
 * descriptors close on exec, so that a child neither sees nor keeps them. What nobody took is
 * closed with the server. The main thread, before others are made. The odd thing: descriptors are
 * believed only when LISTEN_PID is this process; they belong to somebody else otherwise.
 */
#include "http/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_FD 3
#define PASSED_MAX 1024

static uint64_t number_of(const char *variable, uint64_t max)
{
    uint64_t n = 0;
    const char *text = getenv(variable);
    return text && dz_str_u64(dz_str_of(text), max, &n, NULL) == DZ_OK ? n : 0;
}

void dz_http_passed_take(struct dz_http_server *s)
{
    if (number_of("LISTEN_PID", UINT32_MAX) != (uint64_t)getpid())
        return;
    size_t n = (size_t)number_of("LISTEN_FDS", PASSED_MAX);
    struct dz_cursor names;
    dz_cursor_init(&names, dz_str_of(getenv("LISTEN_FDNAMES")));
    s->passed = dz_zalloc((n + 1) * sizeof(*s->passed));
    for (; s->passed_n < n; s->passed_n++) {
        int fd = FIRST_FD + (int)s->passed_n;
        dz_str name = dz_cursor_until(&names, ':');
        (void)dz_cursor_next(&names);
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
            break; /* there are fewer than was said */
        s->passed[s->passed_n] = (struct dz_http_passed){fd, dz_str_dup(name)};
    }
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
}

void dz_http_passed_free(struct dz_http_server *s)
{
    for (size_t i = 0; i < s->passed_n; i++) {
        dz_closep(&s->passed[i].fd);
        dz_freep(&s->passed[i].name);
    }
    s->passed_n = 0;
    dz_freep(&s->passed);
}

static enum dz_code check(const struct dz_http_passed *p, struct dz_err *err)
{
    int type = 0, listens = 0, on = 1;
    socklen_t n = sizeof(int);
    if (getsockopt(p->fd, SOL_SOCKET, SO_TYPE, &type, &n) != 0 || type != SOCK_STREAM)
        return dz_fail(err, DZ_BAD_INPUT, "the passed descriptor %d (%.40s) is no stream socket",
                       p->fd, p->name);
    if (getsockopt(p->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) != 0 || !listens)
        return dz_fail(err, DZ_BAD_INPUT,
                       "the passed socket %d (%.40s) does not listen; in its unit Accept= must be "
                       "no",
                       p->fd, p->name);
    int flags = fcntl(p->fd, F_GETFL);
    if (flags < 0 || fcntl(p->fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return dz_fail_errno(err, DZ_IO, errno, "cannot set up the passed socket %d (%.40s)", p->fd,
                             p->name);
    /* Accepted sockets inherit it; a UNIX socket has no such thing. */
    (void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return DZ_OK;
}

enum dz_code dz_http_passed_next(struct dz_http_server *s, const char *name, int *ret_fd,
                                 struct dz_err *err)
{
    for (size_t i = 0; i < s->passed_n; i++) {
        struct dz_http_passed *p = &s->passed[i];
        if (p->fd < 0 || (name[0] && strcmp(name, p->name) != 0))
            continue;
        DZ_TRY(check(p, err));
        *ret_fd = p->fd;
        p->fd = -1;
        return DZ_OK;
    }
    *ret_fd = -1;
    return DZ_OK;
}
