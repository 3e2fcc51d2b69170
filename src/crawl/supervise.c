/*
 * supervise: keeps the back running as a child of the front.
 *
 * In: an argument list. Out: a process that is started again when it ends, after a growing wait; a
 * line in the log for each start and each end; figures for /metrics. Everything runs on one loop
 * and its thread, which must live as long as the process: the kernel ends the child with the
 * *thread* that started it (PR_SET_PDEATHSIG). The child's end comes through a pidfd, so no SIGCHLD
 * handler is needed and no other child of the process is touched. The odd thing: vfork. The front
 * may be large and has threads; the child shares its memory until exec, so it only makes system
 * calls. The errno of a failed exec comes through a pipe and not through that memory, because some
 * systems and sanitizers make a fork of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crawl/crawl_int.h"

#define STATUS_NOT_STARTED 127

extern char **environ;

const struct dz_log_ctx dz_crawl_back_ctx = {.room = "crawl", .what = "back"};

/* ---- the child ------------------------------------------------------------------------------- */

/* In the child, on the parent's memory: nothing but system calls. */
static void become(char *const *argv, pid_t parent, int say)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* it died before we asked to be told */
        _exit(STATUS_NOT_STARTED);
    struct sigaction plain = {.sa_handler = SIG_DFL};
    for (int s = 1; s < NSIG; s++)
        if (s != SIGKILL && s != SIGSTOP)
            sigaction(s, &plain, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    execv(argv[0], argv);
    int failed = errno;
    (void)!write(say, &failed, sizeof(failed)); /* an empty pipe takes it */
    _exit(STATUS_NOT_STARTED);
}

/* 0 and a pid, or the errno of what failed. All signals are blocked meanwhile: a handler of ours
 * must not run in the child, on memory that is still the parent's. */
static __attribute__((noinline)) int spawn(char *const *argv, pid_t *ret_pid)
{
    sigset_t all, before;
    int failed = 0, ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    pid_t pid = vfork();
    if (pid == 0)
        become(argv, parent, ends[1]);
    int fork_errno = pid < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    dz_closep(&ends[1]);
    while (pid > 0 && read(ends[0], &failed, sizeof(failed)) < 0 && errno == EINTR)
        continue;
    dz_closep(&ends[0]);
    if (fork_errno)
        return fork_errno;
    if (failed) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        return failed;
    }
    *ret_pid = pid;
    return 0;
}

/* ---- starting and ending --------------------------------------------------------------------- */

static void on_end(struct dz_loop *l, struct dz_watch *w, uint32_t events);
static void on_again(struct dz_loop *l, struct dz_timer *t);

static void kill_and_reap(struct dz_back *b)
{
    kill(b->pid, SIGKILL);
    while (waitpid(b->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    dz_closep(&b->pidfd);
    b->pid = 0;
}

static enum dz_code start(struct dz_back *b, struct dz_err *err)
{
    pid_t pid = 0;
    int failed = spawn(b->argv, &pid);
    if (failed)
        return dz_fail_errno(err, DZ_UNAVAILABLE, failed, "cannot start the back (%s)", b->argv[0]);
    b->pid = pid;
    b->starts++;
    b->started_ms = dz_loop_now_ms(b->loop);
    b->pidfd = pidfd_open(pid, 0);
    enum dz_code code = DZ_OK;
    if (b->pidfd < 0)
        code = dz_fail_errno(err, DZ_IO, errno, "cannot watch the back");
    else
        code = dz_watch_add(b->loop, &b->watch, b->pidfd, EPOLLIN, on_end, err);
    if (code != DZ_OK) {
        kill_and_reap(b);
        return code;
    }
    dz_log(&dz_crawl_back_ctx, DZ_INFO, "started with pid %d", b->pid);
    return DZ_OK;
}

static int64_t next_wait_ms(const struct dz_back *b)
{
    int64_t wait_ms = b->wait_ms;
    for (unsigned i = 1; i < b->failures && wait_ms < b->wait_max_ms; i++)
        wait_ms *= 2;
    return wait_ms < b->wait_max_ms ? wait_ms : b->wait_max_ms;
}

static void start_later(struct dz_back *b)
{
    int64_t wait_ms = next_wait_ms(b);
    b->next_ms = dz_loop_now_ms(b->loop) + wait_ms;
    dz_timer_set(b->loop, &b->again, wait_ms, on_again);
}

static void say_end(const struct dz_back *b, const siginfo_t *info)
{
    double wait_s = (double)next_wait_ms(b) / 1000.0;
    if (info->si_code == CLD_EXITED)
        dz_log(&dz_crawl_back_ctx, DZ_WARN, "pid %d ended with status %d; starting again in %g s",
               b->pid, info->si_status, wait_s);
    else
        dz_log(&dz_crawl_back_ctx, DZ_WARN,
               "pid %d was ended by signal %d (%s); starting again in %g s", b->pid,
               info->si_status,
               sigdescr_np(info->si_status) ? sigdescr_np(info->si_status) : "unknown", wait_s);
}

static void on_end(struct dz_loop *l, struct dz_watch *w, uint32_t events)
{
    (void)events;
    struct dz_back *b = dz_container(w, struct dz_back, watch);
    siginfo_t info = {0};
    if (waitid(P_PIDFD, (id_t)b->pidfd, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0)
        return; /* not yet */
    dz_watch_del(l, &b->watch);
    dz_closep(&b->pidfd);
    b->deaths++;
    b->failures = dz_loop_now_ms(l) - b->started_ms >= b->settled_ms ? 1 : b->failures + 1;
    say_end(b, &info);
    b->pid = 0;
    start_later(b);
}

static void on_again(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    struct dz_back *b = dz_container(t, struct dz_back, again);
    struct dz_err err;
    if (start(b, &err) == DZ_OK)
        return;
    b->failures++;
    dz_log_err(&dz_crawl_back_ctx, DZ_ERROR, &err, "trying again in %g s",
               (double)next_wait_ms(b) / 1000.0);
    start_later(b);
}

/* ---- what others call ------------------------------------------------------------------------ */

static char **copy_argv(char *const *argv)
{
    size_t n = 0;
    while (argv[n])
        n++;
    char **copy = dz_zalloc((n + 1) * sizeof(*copy));
    for (size_t i = 0; i < n; i++)
        copy[i] = dz_strdup(argv[i]);
    return copy;
}

enum dz_code dz_back_supervise_with(struct dz_loop *l, char *const *argv, int64_t wait_ms,
                                    int64_t wait_max_ms, int64_t settled_ms, struct dz_back **ret_b,
                                    struct dz_err *err)
{
    struct dz_back *b = dz_new(struct dz_back);
    b->loop = l;
    b->argv = copy_argv(argv);
    b->pidfd = -1;
    b->wait_ms = wait_ms;
    b->wait_max_ms = wait_max_ms;
    b->settled_ms = settled_ms;
    /* A back that cannot be started at all is a broken installation: say so now, not every minute.
     */
    enum dz_code code = start(b, err);
    if (code != DZ_OK) {
        dz_back_stop(&b, 0);
        return code;
    }
    *ret_b = b;
    return DZ_OK;
}

enum dz_code dz_back_supervise(struct dz_loop *l, char *const *argv, struct dz_back **ret_b,
                               struct dz_err *err)
{
    return dz_back_supervise_with(l, argv, BACK_WAIT_MS, BACK_WAIT_MAX_MS, BACK_SETTLED_MS, ret_b,
                                  err);
}

void dz_back_stats_of(const struct dz_back *b, struct dz_back_stats *ret_stats)
{
    int64_t left_ms = b->next_ms - dz_loop_now_ms(b->loop);
    *ret_stats = (struct dz_back_stats){
        .running = b->pid != 0,
        .pid = b->pid,
        .starts = b->starts,
        .deaths = b->deaths,
        .next_start_in_ms = b->pid != 0   ? -1
                            : left_ms > 0 ? left_ms
                                          : 0,
    };
}

void dz_back_signal(struct dz_back *b, int signal)
{
    if (b->pidfd >= 0)
        pidfd_send_signal(b->pidfd, signal, NULL, 0);
}

/* True: the child has ended within wait_ms. */
static bool wait_for_end(int pidfd, int64_t wait_ms)
{
    int64_t end_ms = dz_mono_ns() / 1000000 + wait_ms;
    for (;;) {
        int64_t left_ms = end_ms - dz_mono_ns() / 1000000;
        struct pollfd p = {.fd = pidfd, .events = POLLIN};
        int n = poll(&p, 1, left_ms > 0 ? (int)(left_ms < INT_MAX ? left_ms : INT_MAX) : 0);
        if (n > 0)
            return true;
        if (n == 0 && left_ms <= 0)
            return false;
        if (n < 0 && errno != EINTR)
            return false;
    }
}

void dz_back_stop(struct dz_back **pb, int64_t wait_ms)
{
    struct dz_back *b = *pb;
    if (!b)
        return;
    *pb = NULL;
    dz_timer_stop(b->loop, &b->again);
    dz_watch_del(b->loop, &b->watch);
    if (b->pid != 0) {
        dz_back_signal(b, SIGTERM);
        if (!wait_for_end(b->pidfd, wait_ms))
            dz_log(&dz_crawl_back_ctx, DZ_WARN, "pid %d did not end within %lld ms: killed", b->pid,
                   (long long)wait_ms);
        kill_and_reap(b);
    }
    for (char **arg = b->argv; *arg; arg++)
        free(*arg);
    free(b->argv);
    free(b);
}
