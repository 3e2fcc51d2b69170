/*
 * loop: the turn of one epoll loop, its clock and its watchers.
 *
 * A turn is: wait, read the clocks, deliver descriptor events, then messages, then timers, then the
 * turn-end hook. Events come before timers so that a request which has arrived is never answered
 * with its own timeout. Everything here runs on the loop's thread; the loop owns its descriptors
 * and the heap array, never a watch, a timer or a message. The odd thing: the batch of events stays
 * reachable during delivery, so that removing a watch can take its event out of the batch and its
 * memory may be used again at once.
 */
#include "loop/loop_int.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum dz_code dz_loop_new(struct dz_loop **ret_l, struct dz_err *err)
{
    DZ_AUTO(dz_loop_free) struct dz_loop *l = dz_new(struct dz_loop);
    l->wake_fd = -1;
    l->wall_s = -1;
    atomic_store(&l->owner, pthread_self());
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0)
        return dz_fail_errno(err, DZ_IO, errno, "cannot create an epoll descriptor");
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->wake_fd < 0)
        return dz_fail_errno(err, DZ_IO, errno, "cannot create an eventfd");
    /* A NULL pointer is nobody's watch: the event only ends the wait. */
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &ev) != 0)
        return dz_fail_errno(err, DZ_IO, errno, "cannot watch the wake-up descriptor of a loop");
    dz_loop_read_clock(l);
    *ret_l = dz_take(&l);
    return DZ_OK;
}

void dz_loop_free(struct dz_loop **l)
{
    struct dz_loop *gone = *l;
    if (!gone)
        return;
    dz_assert(!atomic_load(&gone->running));
    dz_loop_inbox_drop(gone); /* what it calls may still look at *l */
    *l = NULL;
    dz_loop_signals_done(gone);
    dz_closep(&gone->wake_fd);
    dz_closep(&gone->epoll_fd);
    dz_freep(&gone->heap);
    dz_freep(&gone);
}

/* ---- clock ----------------------------------------------------------------------------------- */

void dz_loop_read_clock(struct dz_loop *l)
{
    l->now_ns = dz_mono_ns();
    l->now_ms = l->now_ns / 1000000;
    int64_t wall_s = dz_now_ms() / 1000;
    if (DZ_UNLIKELY(wall_s != l->wall_s)) {
        l->wall_s = wall_s;
        dz_time_http(wall_s, l->http_date);
    }
}

int64_t dz_loop_now_ms(const struct dz_loop *l)
{
    return l->now_ms;
}

int64_t dz_loop_now_ns(const struct dz_loop *l)
{
    return l->now_ns;
}

int64_t dz_loop_wall_s(const struct dz_loop *l)
{
    return l->wall_s;
}

const char *dz_loop_http_date(const struct dz_loop *l)
{
    return l->http_date;
}

/* ---- turn ------------------------------------------------------------------------------------ */

/* The kernel's events into l->batch. At most timeout_ms (-1: for ever), less when a timer is due
 * before, and no wait at all when a message or a stop is there. */
static void collect(struct dz_loop *l, int timeout_ms)
{
    int wait_ms = dz_loop_timer_wait_ms(l);
    if (wait_ms < 0 || (timeout_ms >= 0 && timeout_ms < wait_ms))
        wait_ms = timeout_ms;
    if (wait_ms != 0) {
        /* Say first that we sleep, look at the inbox after; a poster does it the other way
         * round. So either we see the message or the poster sees that it must wake us. Both
         * sides need sequential consistency for that. */
        atomic_store(&l->asleep, true);
        if (!dz_loop_inbox_empty(l) || atomic_load(&l->stop))
            wait_ms = 0;
    }
    int n = epoll_wait(l->epoll_fd, l->batch, LOOP_BATCH, wait_ms);
    /* A process that stood still (SIGSTOP, a debugger) hears so and not of what came meanwhile;
     * that must be seen before its timers, or peers that did their part are cut as too slow. */
    if (DZ_UNLIKELY(n < 0) && errno == EINTR)
        n = epoll_wait(l->epoll_fd, l->batch, LOOP_BATCH, 0);
    int wait_errno = errno;
    atomic_store_explicit(&l->asleep, false, memory_order_relaxed);
    if (DZ_UNLIKELY(n < 0)) {
        if (wait_errno != EINTR)
            dz_panic(__FILE__, __LINE__, "epoll_wait: errno %d", wait_errno);
        n = 0;
    }
    l->batch_at = 0;
    l->batch_n = (size_t)n;
}

static void deliver_events(struct dz_loop *l)
{
    while (l->batch_at < l->batch_n) {
        struct epoll_event ev = l->batch[l->batch_at++];
        struct dz_watch *w = ev.data.ptr;
        if (DZ_LIKELY(w))
            w->fn(l, w, ev.events);
    }
    l->batch_at = l->batch_n = 0;
}

static void turn(struct dz_loop *l, int timeout_ms)
{
    dz_assert(!l->in_turn);
    collect(l, timeout_ms);
    dz_loop_read_clock(l);
    l->in_turn = true;
    deliver_events(l);
    dz_loop_inbox_deliver(l);
    dz_loop_timers_fire(l);
    if (l->turn_end)
        l->turn_end(l, l->turn_end_arg);
    l->in_turn = false;
}

static void begin(struct dz_loop *l)
{
    dz_assert(!atomic_load(&l->running));
    atomic_store(&l->owner, pthread_self());
    atomic_store(&l->running, true);
    dz_loop_read_clock(l);
}

void dz_loop_run(struct dz_loop *l)
{
    begin(l);
    while (!atomic_load_explicit(&l->stop, memory_order_acquire))
        turn(l, -1);
    atomic_store(&l->running, false);
    atomic_store(&l->stop, false);
}

void dz_loop_turn(struct dz_loop *l, int timeout_ms)
{
    begin(l);
    turn(l, timeout_ms);
    atomic_store(&l->running, false);
}

bool dz_loop_is_owner(const struct dz_loop *l)
{
    return pthread_equal(atomic_load_explicit(&l->owner, memory_order_relaxed), pthread_self()) !=
           0;
}

void dz_loop_set_turn_end(struct dz_loop *l, void (*fn)(struct dz_loop *l, void *arg), void *arg)
{
    dz_loop_check_owner(l);
    l->turn_end = fn;
    l->turn_end_arg = arg;
}

/* ---- descriptors ----------------------------------------------------------------------------- */

/* A paused watch stays in epoll, where EPOLLERR and EPOLLHUP cannot be turned off:
 * edge-triggered they come once instead of in every turn. It also makes events non-zero, which
 * is what tells an added watch from an idle one. */
static uint32_t armed(uint32_t events)
{
    return events ? events : (uint32_t)EPOLLET;
}

enum dz_code dz_watch_add(struct dz_loop *l, struct dz_watch *w, int fd, uint32_t events,
                          dz_watch_fn *fn, struct dz_err *err)
{
    dz_loop_check_owner(l);
    dz_assert(fn && w->events == 0);
    struct epoll_event ev = {.events = armed(events), .data.ptr = w};
    if (DZ_UNLIKELY(epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0))
        return dz_fail_errno(err, DZ_IO, errno, "cannot watch descriptor %d", fd);
    w->fd = fd;
    w->events = ev.events;
    w->fn = fn;
    return DZ_OK;
}

void dz_watch_set(struct dz_loop *l, struct dz_watch *w, uint32_t events)
{
    events = armed(events);
    if (w->events == events)
        return;
    dz_loop_check_owner(l);
    dz_assert(w->events != 0);
    struct epoll_event ev = {.events = events, .data.ptr = w};
    /* Changing what is registered takes no memory: it fails only when the descriptor was closed
     * under the watch. */
    if (DZ_UNLIKELY(epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev) != 0))
        dz_panic(__FILE__, __LINE__, "descriptor %d of a watch is not open: errno %d", w->fd,
                 errno);
    w->events = events;
}

void dz_watch_del(struct dz_loop *l, struct dz_watch *w)
{
    if (w->events == 0)
        return;
    dz_loop_check_owner(l);
    /* An error means that the descriptor is closed already, and closing has removed it. */
    (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, &(struct epoll_event){0});
    w->events = 0;
    for (size_t i = l->batch_at; i < l->batch_n; i++) {
        if (l->batch[i].data.ptr == w) {
            l->batch[i].data.ptr = NULL;
            break; /* the kernel reports a descriptor once a batch */
        }
    }
}
