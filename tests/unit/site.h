/*
 * site: what tests that play a web site share: a folder of their own, a socket on the loopback
 * address with a port that the system chooses, and when a request has come whole.
 */
#pragma once

#include "test.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static inline void site_folder(char dir[64])
{
    snprintf(dir, 64, "/tmp/dozo-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
}

static inline int site_remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

/* The folder as well. */
static inline int site_remove(const char *dir)
{
    return nftw(dir, site_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* base: "http://127.0.0.1:PORT" */
static inline int site_listen(char base[64], unsigned *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 100), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *ret_port = ntohs(a.sin_port);
    snprintf(base, 64, "http://127.0.0.1:%u", *ret_port);
    return fd;
}

/* Head and content; text[n] is 0. */
static inline bool site_is_whole(const char *text, size_t n)
{
    const char *end = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
    return end && (!length || (size_t)(text + n - end) >= 4 + strtoul(length + 16, NULL, 10));
}
