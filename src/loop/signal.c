/*
 * signal: signals as ordinary callbacks of a loop, through one signalfd.
 *
 * The caller blocks the signals before it starts any thread; they then wait in the kernel until the
 * loop reads them. The callback may do whatever any other callback of the loop may. The descriptor
 * is closed with the loop.
 */
#include "loop/loop_int.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void on_readable(struct dz_loop *l, struct dz_watch *w, uint32_t events)
{
    (void)events;
    struct signalfd_siginfo info[8];
    /* One read a turn: what is left keeps the descriptor readable. */
    ssize_t n = read(w->fd, info, sizeof(info));
    if (n < 0)
        return; /* somebody else took the signal, or EINTR; a signal still pending comes again */
    for (size_t i = 0; i < (size_t)n / sizeof(info[0]); i++)
        l->signal_fn(l, (int)info[i].ssi_signo, l->signal_arg);
}

enum dz_code dz_loop_signals(struct dz_loop *l, const int *signals, size_t n,
                             void (*fn)(struct dz_loop *l, int signal, void *arg), void *arg,
                             struct dz_err *err)
{
    dz_loop_check_owner(l);
    dz_assert(fn && l->signal_watch.events == 0);
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < n; i++)
        if (sigaddset(&set, signals[i]) != 0)
            return dz_fail_errno(err, DZ_BAD_INPUT, errno, "signal %d", signals[i]);
    DZ_AUTO(dz_closep) int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return dz_fail_errno(err, DZ_IO, errno, "cannot create a signalfd");
    DZ_TRY(dz_watch_add(l, &l->signal_watch, fd, EPOLLIN, on_readable, err));
    fd = -1;
    l->signal_fn = fn;
    l->signal_arg = arg;
    return DZ_OK;
}

void dz_loop_signals_done(struct dz_loop *l)
{
    if (l->signal_watch.events == 0)
        return;
    dz_watch_del(l, &l->signal_watch);
    dz_closep(&l->signal_watch.fd);
}
