/*
 * msg: messages to a loop from any thread, and the wake-up.
 *
 * Senders push onto a lock-free list, newest first; the loop takes the whole list at once, once a
 * turn, and turns it round, so messages come in order of posting. A message belongs to the loop
 * from posting until fn or drop has it. A loop that is busy looks into its inbox by itself before
 * it waits again; only one that sleeps is woken, and by the first sender alone: the rest find
 * `asleep` cleared and make no system call.
 */
#include "loop/loop_int.h"

#include <errno.h>
#include <unistd.h>

/* Called in signal handlers too. */
static void wake(struct dz_loop *l)
{
    /* The plain load keeps senders to a busy loop from taking the cache line for writing. */
    if (!atomic_load(&l->asleep) || !atomic_exchange(&l->asleep, false))
        return;
    int saved_errno = errno;
    uint64_t one = 1;
    /* It fails only when the counter is full, after 2^64 wake-ups, and interrupted writes do not
     * happen to it. */
    ssize_t written = write(l->wake_fd, &one, sizeof(one));
    (void)written;
    errno = saved_errno;
}

void dz_loop_post(struct dz_loop *l, struct dz_msg *m)
{
    struct dz_msg *head = atomic_load_explicit(&l->inbox, memory_order_relaxed);
    do
        m->next = head;
    while (!atomic_compare_exchange_weak(&l->inbox, &head, m));
    wake(l);
}

void dz_loop_stop(struct dz_loop *l)
{
    atomic_store(&l->stop, true);
    wake(l);
}

bool dz_loop_inbox_empty(const struct dz_loop *l)
{
    return atomic_load(&l->inbox) == NULL;
}

static struct dz_msg *take_all(struct dz_loop *l)
{
    if (!atomic_load_explicit(&l->inbox, memory_order_relaxed))
        return NULL;
    struct dz_msg *m = atomic_exchange(&l->inbox, NULL);
    struct dz_msg *oldest = NULL;
    while (m) {
        struct dz_msg *next = m->next;
        m->next = oldest;
        oldest = m;
        m = next;
    }
    return oldest;
}

void dz_loop_inbox_deliver(struct dz_loop *l)
{
    struct dz_msg *m = take_all(l);
    while (m) {
        struct dz_msg *next = m->next;
        m->fn(l, m);
        m = next;
    }
}

void dz_loop_inbox_drop(struct dz_loop *l)
{
    struct dz_msg *m;
    while ((m = take_all(l)) != NULL) { /* a drop may post again */
        while (m) {
            struct dz_msg *next = m->next;
            if (m->drop)
                m->drop(m);
            m = next;
        }
    }
}
