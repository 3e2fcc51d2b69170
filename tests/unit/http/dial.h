/*
 * dial: connections to the rig's server over loopback, and its stop while they last.
 */
#pragma once

#include "rig.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

/* address: as dz_http_listen() gave it, of TCP. receive_bytes: of the socket's buffer; 0: as it is.
 * The socket blocks; the caller closes it. */
static __attribute__((unused)) int dial(const char *address, int receive_bytes)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (receive_bytes)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
    uint64_t port;
    dz_str text = dz_str_of(address);
    must(dz_str_u64(dz_str_sub(text, dz_str_rchr(text, ':') + 1, text.n), 65535, &port, err));
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void *dial_stop(void *arg)
{
    (void)arg;
    dz_http_stop(&rig.server);
    return NULL;
}

/* Stops the server on a thread of its own, which the caller joins. */
static __attribute__((unused)) pthread_t dial_begin_stop(void)
{
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, dial_stop, NULL), 0);
    return stopper;
}
