/*
 * loop: one epoll loop a thread, timers, messages between threads, and a pool of workers for what
 * may block.
 *
 * A loop and everything that hangs on it belong to the thread that runs it; only dz_loop_post() and
 * dz_loop_stop() may be called from elsewhere. Watchers are level-triggered. Callbacks may remove
 * any watcher or timer, their own included. The clock of a loop is read once a turn; tests may set
 * it.
 */
#pragma once

#include "base/base.h"

#include <sys/epoll.h>

struct dz_loop;
struct dz_watch;
struct dz_timer;

/* ---- loop ------------------------------------------------------------------------------------ */

DZ_MUST enum dz_code dz_loop_new(struct dz_loop **ret_l, struct dz_err *err);
void dz_loop_free(struct dz_loop **l); /* not while it runs; messages not yet delivered are dropped
                                          after `drop` */
void dz_loop_run(struct dz_loop *l); /* until dz_loop_stop(); makes the calling thread the owner */
/* one turn, for tests: -1 waits for an event or timer */
void dz_loop_turn(struct dz_loop *l, int timeout_ms);
/* any thread, also a signal handler; before the run: it ends at once */
void dz_loop_stop(struct dz_loop *l);
bool dz_loop_is_owner(const struct dz_loop *l);

int64_t dz_loop_now_ms(const struct dz_loop *l); /* monotonic, read once a turn */
int64_t dz_loop_now_ns(const struct dz_loop *l); /* the same reading */
int64_t dz_loop_wall_s(const struct dz_loop *l); /* Unix seconds, read once a turn */
/* RFC 9110 date of dz_loop_wall_s(): 29 characters and a NUL, kept up to date once a second. */
const char *dz_loop_http_date(const struct dz_loop *l);

/* ---- descriptors ----------------------------------------------------------------------------- */

/* events: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLRDHUP as they came. */
typedef void dz_watch_fn(struct dz_loop *l, struct dz_watch *w, uint32_t events);

/* Embedded in its user's struct; the user gets back to it with dz_container(). */
struct dz_watch {
    int fd;
    uint32_t events; /* what is armed; 0 while not added */
    dz_watch_fn *fn;
};
#define dz_container(ptr, T, member) ((T *)(void *)((char *)(ptr)-offsetof(T, member)))

/* fd is borrowed; w is zeroed or was removed before. DZ_IO when epoll refuses. */
DZ_MUST enum dz_code dz_watch_add(struct dz_loop *l, struct dz_watch *w, int fd, uint32_t events,
                                  dz_watch_fn *fn, struct dz_err *err);
/* No system call when nothing changes. events 0 pauses: EPOLLERR and EPOLLHUP still come, but only
 * once. */
void dz_watch_set(struct dz_loop *l, struct dz_watch *w, uint32_t events);
/* After this no callback for w comes, even one already collected this turn; its memory may be freed
 * or used again. Call it before closing fd. Safe on a zeroed watch. */
void dz_watch_del(struct dz_loop *l, struct dz_watch *w);

/* ---- timers ---------------------------------------------------------------------------------- */

typedef void dz_timer_fn(struct dz_loop *l, struct dz_timer *t);

/* Embedded; zeroed is idle. Setting a running timer moves it. Cheap to set often: a timer that is
 * moved to a later time stays where it is in the heap and is moved when it comes up. */
struct dz_timer {
    int64_t due_ms;
    int64_t queued_ms;
    size_t at; /* place in the heap + 1; 0 when idle */
    dz_timer_fn *fn;
};
/* Counted from dz_loop_now_ms(). Set from a timer's callback, after_ms is at least 1, so that the
 * turn ends. */
void dz_timer_set(struct dz_loop *l, struct dz_timer *t, int64_t after_ms, dz_timer_fn *fn);
void dz_timer_stop(struct dz_loop *l, struct dz_timer *t);

/* ---- messages -------------------------------------------------------------------------------- */

/* Embedded in what is sent; ownership goes with the message. fn runs on the loop's thread, in order
 * of posting. */
struct dz_msg {
    struct dz_msg *next;
    void (*fn)(struct dz_loop *l, struct dz_msg *m);
    void (*drop)(
        struct dz_msg *m); /* frees an undelivered message when the loop ends; may be NULL */
};
void dz_loop_post(struct dz_loop *l, struct dz_msg *m); /* any thread; one eventfd write a batch */

/* Runs once at the end of every turn, for batching (flush what this turn gathered). NULL clears it.
 */
void dz_loop_set_turn_end(struct dz_loop *l, void (*fn)(struct dz_loop *l, void *arg), void *arg);

/* ---- signals --------------------------------------------------------------------------------- */

/* Delivers the listed signals (blocked in all threads by the caller before any starts) to fn on
 * this loop. */
DZ_MUST enum dz_code dz_loop_signals(struct dz_loop *l, const int *signals, size_t n,
                                     void (*fn)(struct dz_loop *l, int signal, void *arg),
                                     void *arg, struct dz_err *err);

/* ---- workers --------------------------------------------------------------------------------- */

/* A fixed set of threads over one bounded queue. Work that was taken is always run, and its done is
 * called exactly once: when the home loop ends before it came to it, from dz_loop_free(). */
struct dz_pool;
struct dz_work {
    struct dz_work *next;
    void (*run)(struct dz_work *w);  /* on a worker; may block */
    struct dz_loop *home;            /* where done runs; NULL: done runs on the worker */
    void (*done)(struct dz_work *w); /* frees w or hands it on */
    struct dz_msg msg;
};
DZ_MUST enum dz_code dz_pool_new(unsigned threads, size_t queue_max, struct dz_pool **ret_p,
                                 struct dz_err *err);
/* Takes w unless it answers DZ_FULL (queue full or pool closing): then w is still the caller's. Any
 * thread. */
DZ_MUST enum dz_code dz_pool_submit(struct dz_pool *p, struct dz_work *w, struct dz_err *err);
/* Refuses new work, finishes what is queued, joins. The loops that are `home` must still exist. */
void dz_pool_close(struct dz_pool **p);
