/*
 * mem: heap memory and panics.
 *
 * In: sizes. Out: heap memory; whoever asked frees it with free(). Any thread, no state. Small
 * allocations abort when memory is gone, because nothing sensible can be done then; sizes that came
 * from outside go through dz_try_alloc and fail with DZ_FULL. A panic is our own bug: it prints the
 * place and the thread's last log events without asking for memory, and aborts.
 */
#include "base/base_int.h"

#include <unistd.h>

void dz_panic(const char *file, int line, const char *fmt, ...)
{
    static _Thread_local bool panicking;
    if (panicking)
        abort();
    panicking = true;
    int fd = dz_log_fd();
    char text[512];
    int head = snprintf(text, sizeof(text), "dozo: panic at %s:%d: ", file, line);
    size_t n = head > 0 ? (size_t)head : 0;
    if (n < sizeof(text)) {
        va_list args;
        va_start(args, fmt);
        vsnprintf(text + n, sizeof(text) - n, fmt, args);
        va_end(args);
    }
    n = strnlen(text, sizeof(text) - 1);
    text[n++] = '\n';
    if (write(fd, text, n) >= 0)
        dz_log_dump_ring(fd);
    abort();
}

void *dz_alloc(size_t n)
{
    void *p = malloc(n ? n : 1);
    if (DZ_UNLIKELY(!p))
        dz_panic(__FILE__, __LINE__, "out of memory: %zu bytes", n);
    return p;
}

void *dz_zalloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    if (DZ_UNLIKELY(!p))
        dz_panic(__FILE__, __LINE__, "out of memory: %zu bytes", n);
    return p;
}

void *dz_realloc(void *p, size_t n)
{
    void *grown = realloc(p, n ? n : 1);
    if (DZ_UNLIKELY(!grown))
        dz_panic(__FILE__, __LINE__, "out of memory: %zu bytes", n);
    return grown;
}

char *dz_strdup(const char *s)
{
    return dz_str_dup(dz_str_of(s));
}

enum dz_code dz_try_alloc(size_t n, void **ret_p, struct dz_err *err)
{
    void *p = dz_fault("alloc") ? NULL : malloc(n ? n : 1);
    if (!p)
        return dz_fail(err, DZ_FULL, "no memory for %zu bytes", n);
    *ret_p = p;
    return DZ_OK;
}

void dz_freep(void *pp)
{
    /* The caller's variable may be of any pointer type: memcpy keeps to the aliasing rules. */
    void *p;
    memcpy(&p, pp, sizeof(p));
    free(p);
    p = NULL;
    memcpy(pp, &p, sizeof(p));
}
