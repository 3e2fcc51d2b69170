/*
 * loop_int: the loop's inside, shared by the files of this room only.
 *
 * Everything in struct dz_loop belongs to the thread that runs the loop, but for the part between
 * the two pads: other threads push messages and wake the loop through it, so it has cache lines of
 * its own.
 */
#pragma once

#include "loop/loop.h"

#include <pthread.h>

/* Events taken from the kernel in one turn; what is left over comes in the next turn. */
#define LOOP_BATCH 1024

struct dz_timer_slot {
    int64_t key_ms; /* equals t->queued_ms: the heap is searched without touching the timers */
    struct dz_timer *t;
};

struct dz_loop {
    int epoll_fd;
    int wake_fd; /* eventfd, edge-triggered, never read: each write is one wake-up */
    bool in_turn;
    bool firing; /* timers are being run */

    int64_t now_ns, now_ms;
    int64_t wall_s;
    char http_date[30];

    struct dz_timer_slot *heap; /* four children a node, smallest key first */
    size_t heap_n, heap_cap;

    void (*turn_end)(struct dz_loop *l, void *arg);
    void *turn_end_arg;

    struct dz_watch signal_watch; /* its fd is ours when events != 0 */
    void (*signal_fn)(struct dz_loop *l, int signal, void *arg);
    void *signal_arg;

    size_t batch_at, batch_n; /* the next event to deliver, and the end of the batch */
    struct epoll_event batch[LOOP_BATCH];

    char pad_before[64];
    _Atomic(struct dz_msg *) inbox; /* newest first */
    atomic_bool asleep; /* the loop waits, or is about to, and wants a write to wake_fd */
    atomic_bool stop;
    atomic_bool running;
    _Atomic(pthread_t) owner;
    char pad_after[64];
};

/* Only the owner may touch a loop that runs; one that does not run may be set up or taken down by
 * anybody. */
static inline void dz_loop_check_owner(const struct dz_loop *l)
{
    dz_assert(!atomic_load_explicit(&l->running, memory_order_relaxed) || dz_loop_is_owner(l));
}

/* loop.c */
void dz_loop_read_clock(struct dz_loop *l);

/* timer.c */
/* Until the first timer, by the clock of this turn; -1: there is none. */
int dz_loop_timer_wait_ms(const struct dz_loop *l);
void dz_loop_timers_fire(struct dz_loop *l);

/* msg.c */
bool dz_loop_inbox_empty(const struct dz_loop *l);
/* What is there now; what comes meanwhile waits for the next turn. */
void dz_loop_inbox_deliver(struct dz_loop *l);
void dz_loop_inbox_drop(struct dz_loop *l);

/* signal.c */
void dz_loop_signals_done(struct dz_loop *l);
