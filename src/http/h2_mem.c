/*
 * h2_mem: memory for nghttp2's sessions.
 *
 * In: what nghttp2 asks for. Out: malloc's, but for one size. A session has a buffer for one frame
 * of 16 KiB from its first to its last moment and mostly writes a few hundred bytes of it: headers,
 * since content is copied elsewhere. From malloc it lies where the handshake's buffers were, which
 * is memory in use; here it has pages of its own, and those that are never written cost nothing.
 * That is 12 KiB for each idle connection. Any thread; nghttp2 frees.
 *
 * The odd thing: nghttp2 does not say the size when it frees. So pages begin at a page's beginning,
 * and what malloc gives never does.
 */
#include "http/h2_int.h"

#include <stdlib.h>
#include <sys/mman.h>

#define PAGE_BYTES ((size_t)4096)
#define PAGES_BYTES (5 * PAGE_BYTES)
#define PAGED_MIN ((size_t)16 * 1024) /* and up to PAGES_BYTES */

static bool is_paged(const void *p)
{
    return ((uintptr_t)p & (PAGE_BYTES - 1)) == 0;
}

static void *from_heap(size_t n)
{
    void *p = dz_alloc(n);
    if (DZ_LIKELY(!is_paged(p)))
        return p;
    void *other = from_heap(n); /* p is held, so this is another place */
    free(p);
    return other;
}

static void *take(size_t n, void *user)
{
    (void)user;
    if (n < PAGED_MIN || n > PAGES_BYTES)
        return from_heap(n);
    void *p = mmap(NULL, PAGES_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED ? p : from_heap(n);
}

static void give(void *p, void *user)
{
    (void)user;
    if (!p || !is_paged(p)) {
        free(p);
        return;
    }
    int rc = munmap(p, PAGES_BYTES);
    dz_assert(rc == 0);
}

static void *take_zeroed(size_t n, size_t each, void *user)
{
    dz_assert(each == 0 || n <= SIZE_MAX / each);
    void *p = take(n * each, user);
    memset(p, 0, n * each);
    return p;
}

static void *resize(void *p, size_t n, void *user)
{
    if (!p)
        return take(n, user);
    void *bigger;
    if (is_paged(p)) {
        bigger = take(n, user);
        memcpy(bigger, p, n < PAGES_BYTES ? n : PAGES_BYTES);
        give(p, user);
        return bigger;
    }
    p = dz_realloc(p, n);
    if (DZ_LIKELY(!is_paged(p)))
        return p;
    bigger = from_heap(n);
    memcpy(bigger, p, n);
    free(p);
    return bigger;
}

nghttp2_mem dz_http_h2_mem = {
    .malloc = take, .free = give, .calloc = take_zeroed, .realloc = resize};
