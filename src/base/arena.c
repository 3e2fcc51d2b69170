/*
 * arena: memory for one request or one step, given back all at once.
 *
 * In: sizes. Out: 16-byte aligned pieces that live until dz_arena_reset or dz_arena_free; pieces
 * are never freed singly. One owner thread. Blocks double from 4 KiB to 64 KiB; a piece too large
 * for that gets a block of its own. Under ASan everything not handed out is poisoned, with a gap
 * behind each piece, so that running over the end is caught. Built with DZ_ARENA_MALLOC each piece
 * is a malloc of its own, which valgrind understands.
 */
#include "base/base_int.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) __asan_poison_memory_region((p), (n))
#define UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
enum { GAP = 16 };
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
enum { GAP = 0 };
#endif

enum { BLOCK_MIN = 4 * 1024, BLOCK_MAX = 64 * 1024, ALIGN = 16 };

struct block {
    struct block *older;
    size_t cap;
    _Alignas(ALIGN) char p[];
};

struct dz_arena {
    size_t used, max;
    char *at, *end; /* what is free in the newest block */
    struct block *newest;
    size_t next_cap;
};

static size_t round_up(size_t n)
{
    return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static void enter_block(struct dz_arena *a, struct block *b)
{
    a->newest = b;
    a->at = b->p;
    a->end = b->p + b->cap;
    POISON(b->p, b->cap);
}

static void add_block(struct dz_arena *a, size_t cap)
{
    struct block *b = dz_alloc(sizeof(*b) + cap);
    b->older = a->newest;
    b->cap = cap;
    enter_block(a, b);
}

static void free_block(struct block *b)
{
    UNPOISON(b->p, b->cap);
    free(b);
}

struct dz_arena *dz_arena_new(size_t max_bytes)
{
    struct dz_arena *a = dz_new(struct dz_arena);
    a->max = max_bytes < SIZE_MAX / 4 ? max_bytes : SIZE_MAX / 4;
    a->next_cap = BLOCK_MIN;
    return a;
}

static void free_blocks(struct dz_arena *a, const struct block *keep)
{
    while (a->newest && a->newest != keep) {
        struct block *b = a->newest;
        a->newest = b->older;
        free_block(b);
    }
}

void dz_arena_free(struct dz_arena **a)
{
    if (!*a)
        return;
    free_blocks(*a, NULL);
    free(*a);
    *a = NULL;
}

void dz_arena_reset(struct dz_arena *a)
{
    struct block *first = a->newest;
#ifdef DZ_ARENA_MALLOC
    first = NULL;
#else
    while (first && first->older)
        first = first->older;
    /* A first piece of many megabytes must not stay for the life of a connection. */
    if (first && first->cap > BLOCK_MAX)
        first = NULL;
#endif
    free_blocks(a, first);
    a->used = 0;
    a->at = a->end = NULL;
    a->next_cap = BLOCK_MIN;
    if (first)
        enter_block(a, first);
}

/* The caller has checked n against max. */
static void *give(struct dz_arena *a, size_t n)
{
    size_t whole = round_up(n ? n : 1);
    a->used += whole;
#ifdef DZ_ARENA_MALLOC
    /* Exactly n, so that a checker sees one byte too many. */
    add_block(a, n);
    UNPOISON(a->newest->p, n);
    return a->newest->p;
#else
    if (DZ_UNLIKELY((size_t)(a->end - a->at) < whole + GAP)) {
        size_t cap = a->next_cap;
        if (a->next_cap < BLOCK_MAX)
            a->next_cap *= 2;
        add_block(a, cap > whole + GAP ? cap : whole + GAP);
    }
    char *p = a->at;
    a->at += whole + GAP;
    UNPOISON(p, n);
    return p;
#endif
}

static bool fits(const struct dz_arena *a, size_t n)
{
    return n <= a->max && round_up(n ? n : 1) <= a->max - a->used;
}

void *dz_arena_alloc(struct dz_arena *a, size_t n)
{
    if (DZ_UNLIKELY(a->used > a->max || !fits(a, n)))
        dz_panic(__FILE__, __LINE__, "arena: %zu bytes more than its limit of %zu", n, a->max);
    return give(a, n);
}

enum dz_code dz_arena_try(struct dz_arena *a, size_t n, void **ret_p, struct dz_err *err)
{
    if (a->used > a->max || !fits(a, n))
        return dz_fail(err, DZ_TOO_LARGE, "%zu bytes more than the limit of %zu", n, a->max);
    if (dz_fault("alloc"))
        return dz_fail(err, DZ_FULL, "no memory for %zu bytes", n);
    *ret_p = give(a, n);
    return DZ_OK;
}

char *dz_arena_dup(struct dz_arena *a, dz_str s)
{
    dz_assert(s.n < SIZE_MAX);
    char *p = dz_arena_alloc(a, s.n + 1);
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

dz_str dz_arena_str(struct dz_arena *a, dz_str s)
{
    if (s.n == 0)
        return (dz_str){"", 0};
    char *p = dz_arena_alloc(a, s.n);
    memcpy(p, s.p, s.n);
    return (dz_str){p, s.n};
}

dz_str dz_arena_printf(struct dz_arena *a, const char *fmt, ...)
{
    dz_assert(fmt);
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    dz_assert(n >= 0);
    char *p = dz_arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return (dz_str){p, (size_t)n};
}

size_t dz_arena_used(const struct dz_arena *a)
{
    return a->used;
}
