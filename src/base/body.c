/*
 * body: what caches and responses share between threads: immutable bytes, and open files.
 *
 * In: a size, or a descriptor that is taken over. Out: a counted object with one reference. Its
 * maker fills it before it is shared; from then on nobody writes, and the last unref, on any
 * thread, frees the bytes or closes the descriptor. The count is the only thing that changes.
 */
#include "base/base_int.h"

#include <unistd.h>

/* Whoever refs holds a ref already, so nothing needs to be ordered here; drop() orders. */
static void hold(atomic_uint *refs)
{
    unsigned before = atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
    dz_assert(before > 0 && before < UINT32_MAX / 2);
}

/* True for the last one. Release: our reads come before the end of the object; acquire: the thread
 * that ends it sees everybody's release. */
static bool drop(atomic_uint *refs)
{
    unsigned before = atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel);
    dz_assert(before > 0);
    return before == 1;
}

static struct dz_body *body_in(void *p, size_t n)
{
    struct dz_body *b = p;
    atomic_init(&b->refs, 1);
    b->head_n = 0;
    b->n = n;
    return b;
}

struct dz_body *dz_body_new(size_t n)
{
    dz_assert(n <= SIZE_MAX - sizeof(struct dz_body));
    return body_in(dz_alloc(sizeof(struct dz_body) + n), n);
}

enum dz_code dz_body_try(size_t n, struct dz_body **ret_b, struct dz_err *err)
{
    if (n > SIZE_MAX - sizeof(struct dz_body))
        return dz_fail(err, DZ_FULL, "no memory for %zu bytes", n);
    void *p = NULL;
    DZ_TRY(dz_try_alloc(sizeof(struct dz_body) + n, &p, err));
    *ret_b = body_in(p, n);
    return DZ_OK;
}

struct dz_body *dz_body_ref(struct dz_body *b)
{
    hold(&b->refs);
    return b;
}

void dz_body_unref(struct dz_body **b)
{
    if (*b && drop(&(*b)->refs))
        free(*b);
    *b = NULL;
}

struct dz_file *dz_file_new(int take_fd, uint64_t bytes)
{
    dz_assert(take_fd >= 0);
    struct dz_file *f = dz_new(struct dz_file);
    atomic_init(&f->refs, 1);
    f->fd = take_fd;
    f->bytes = bytes;
    return f;
}

struct dz_file *dz_file_ref(struct dz_file *f)
{
    hold(&f->refs);
    return f;
}

void dz_file_unref(struct dz_file **f)
{
    if (*f && drop(&(*f)->refs)) {
        close((*f)->fd);
        free(*f);
    }
    *f = NULL;
}
