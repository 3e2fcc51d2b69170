/*
 * h2_mem: memory for nghttp2's sessions.
 *
 * In: what nghttp2 asks for. Out: malloc's, but for one size. A session has a buffer for one frame
 * of 16 KiB from its first to its last moment and mostly writes a few hundred bytes of it: headers,
 * since content is copied elsewhere. From malloc it lies where the handshake's buffers were, which
 * is memory in use; here it has pages of its own, and those that are never written cost nothing.
 * That is 6 to 9 KiB for each idle connection. Any thread; nghttp2 frees.
 *
 * The odd thing: nghttp2 does not say the size when it frees. So all such buffers lie in one range
 * of addresses, reserved with the first one and kept for good; reserving is not using. When it is
 * full, or the system refuses so many addresses, malloc does.
 */
#include "http/h2_int.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SLOT_BYTES ((size_t)20 * 1024) /* whole pages */
#define SLOT_MIN ((size_t)16 * 1024)   /* smaller wishes are malloc's */
#define SLOTS ((size_t)50000)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char *_Atomic range; /* NULL: there is none; frees look at it without the lock */
static uint32_t spare[SLOTS];
static size_t spare_n, begun_n; /* given back; taken at least once */

static void reserve(void)
{
    void *p = mmap(NULL, SLOTS * SLOT_BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    range = p != MAP_FAILED ? p : NULL;
}

static bool is_slot(const void *p)
{
    const char *start = range;
    return start && (uintptr_t)p - (uintptr_t)start < SLOTS * SLOT_BYTES;
}

static void *take_slot(void)
{
    (void)pthread_once(&once, reserve);
    size_t at = SLOTS;
    (void)pthread_mutex_lock(&lock);
    if (range && spare_n > 0)
        at = spare[--spare_n];
    else if (range && begun_n < SLOTS)
        at = begun_n++;
    (void)pthread_mutex_unlock(&lock);
    return at < SLOTS ? range + at * SLOT_BYTES : NULL;
}

static void give_slot(char *p)
{
    (void)madvise(p, SLOT_BYTES, MADV_DONTNEED);
    (void)pthread_mutex_lock(&lock);
    spare[spare_n++] = (uint32_t)((size_t)(p - range) / SLOT_BYTES);
    (void)pthread_mutex_unlock(&lock);
}

static void *take(size_t n, void *user)
{
    (void)user;
    void *p = n >= SLOT_MIN && n <= SLOT_BYTES ? take_slot() : NULL;
    return p ? p : dz_alloc(n);
}

static void give(void *p, void *user)
{
    (void)user;
    if (p && is_slot(p))
        give_slot(p);
    else
        free(p);
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
    if (!is_slot(p))
        return dz_realloc(p, n);
    void *moved = dz_alloc(n);
    memcpy(moved, p, n < SLOT_BYTES ? n : SLOT_BYTES);
    give_slot(p);
    return moved;
}

nghttp2_mem dz_http_h2_mem = {
    .malloc = take, .free = give, .calloc = take_zeroed, .realloc = resize};
