/*
 * proxy: stands between a client and a server, and does what a server does that dies, comes back,
 * or is there and says nothing.
 *
 * One thread moves bytes between pairs of sockets. A test sets how it behaves; proxy_set returns
 * when that is so.
 */
#pragma once

#include "servers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum proxy_how {
    PROXY_PASSES,
    PROXY_IS_GONE,   /* nobody listens, all connections are closed */
    PROXY_IS_SILENT, /* connections are taken and kept; nothing is passed on */
    PROXY_ENDS,
};

enum { PROXY_PAIRS = 64 };

struct proxy {
    uint16_t to_port, port;
    int listener, wake;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t done;
    enum proxy_how want, is;
    int pairs[PROXY_PAIRS][2];
    size_t n;
    unsigned taken; /* connections so far */
};

static inline void proxy_listen(struct proxy *x)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(x->port)};
    socklen_t n = sizeof(a);
    int on = 1;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    x->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(x->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(x->listener, (struct sockaddr *)&a, n) < 0 || listen(x->listener, 64) < 0 ||
        getsockname(x->listener, (struct sockaddr *)&a, &n) < 0)
        dz_panic(__FILE__, __LINE__, "the proxy cannot listen");
    x->port = ntohs(a.sin_port);
}

static inline void proxy_drop(struct proxy *x, size_t at)
{
    close(x->pairs[at][0]);
    close(x->pairs[at][1]);
    x->n--;
    memcpy(x->pairs[at], x->pairs[x->n], sizeof(x->pairs[at]));
}

static inline void proxy_take(struct proxy *x)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(x->to_port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int client = accept4(x->listener, NULL, NULL, SOCK_CLOEXEC);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    x->taken++;
    if (client < 0 || x->n == PROXY_PAIRS || connect(server, (struct sockaddr *)&a, sizeof(a)) < 0)
        dz_panic(__FILE__, __LINE__, "the proxy cannot connect");
    x->pairs[x->n][0] = client;
    x->pairs[x->n++][1] = server;
}

/* False: one side has closed. */
static inline bool proxy_move(int from, int to)
{
    char piece[65536];
    ssize_t n = recv(from, piece, sizeof(piece), MSG_DONTWAIT);
    if (n <= 0)
        return false;
    return send(to, piece, (size_t)n, MSG_NOSIGNAL) == n;
}

static inline void proxy_become(struct proxy *x)
{
    pthread_mutex_lock(&x->lock);
    if (x->want != x->is) {
        bool gone = x->want == PROXY_IS_GONE || x->want == PROXY_ENDS;
        while (gone && x->n > 0)
            proxy_drop(x, 0);
        if (gone)
            dz_closep(&x->listener);
        else if (x->listener < 0)
            proxy_listen(x);
        x->is = x->want;
        pthread_cond_signal(&x->done);
    }
    pthread_mutex_unlock(&x->lock);
}

static inline void *proxy_run(void *arg)
{
    struct proxy *x = arg;
    while (x->is != PROXY_ENDS) {
        struct pollfd v[2 + 2 * PROXY_PAIRS] = {{.fd = x->wake, .events = POLLIN},
                                                {.fd = x->listener, .events = POLLIN}};
        size_t n = x->n;
        for (size_t i = 0; i < 2 * n; i++)
            v[2 + i] = (struct pollfd){.fd = x->pairs[i / 2][i % 2], .events = POLLIN};
        /* Silent: whoever knocks waits where the kernel lets him wait. */
        (void)poll(v, x->is == PROXY_PASSES ? 2 + 2 * n : 1, -1);
        eventfd_t woken;
        if (v[0].revents)
            (void)eventfd_read(x->wake, &woken);
        else if (x->is == PROXY_PASSES) {
            for (size_t i = n; i-- > 0;)
                if ((v[2 + 2 * i].revents && !proxy_move(v[2 + 2 * i].fd, v[3 + 2 * i].fd)) ||
                    (v[3 + 2 * i].revents && !proxy_move(v[3 + 2 * i].fd, v[2 + 2 * i].fd)))
                    proxy_drop(x, i);
            if (v[1].revents)
                proxy_take(x);
        }
        proxy_become(x);
    }
    return NULL;
}

static inline void proxy_set(struct proxy *x, enum proxy_how how)
{
    pthread_mutex_lock(&x->lock);
    x->want = how;
    (void)eventfd_write(x->wake, 1);
    while (x->is != how)
        pthread_cond_wait(&x->done, &x->lock);
    pthread_mutex_unlock(&x->lock);
}

/* In front of the server `name` of this run, which listens on 127.0.0.1; uri is the way through
 * it. */
static inline void proxy_start(struct proxy *x, const char *name, char *uri, size_t size)
{
    dz_str server = dz_str_of(server_uri(name));
    size_t at = dz_str_find(server, DZ_S("127.0.0.1:"));
    uint64_t port = 0;
    assert_true(at != DZ_NPOS);
    dz_str rest = dz_str_sub(server, at + 10, server.n);
    size_t digits = dz_str_chr(rest, '/');
    must(dz_str_u64(dz_str_sub(rest, 0, digits), 65535, &port, err));
    *x = (struct proxy){.to_port = (uint16_t)port, .listener = -1};
    x->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->done, NULL);
    proxy_listen(x);
    assert_int_equal(pthread_create(&x->thread, NULL, proxy_run, x), 0);
    rest = dz_str_sub(rest, digits, rest.n);
    (void)snprintf(uri, size, "%.*s127.0.0.1:%u%.*s", (int)at, server.p, x->port, DZ_STR_FMT(rest));
}

static inline void proxy_stop(struct proxy *x)
{
    proxy_set(x, PROXY_ENDS);
    pthread_join(x->thread, NULL);
    close(x->wake);
    pthread_cond_destroy(&x->done);
    pthread_mutex_destroy(&x->lock);
}
