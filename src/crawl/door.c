/*
 * door: a listening socket in data_dir/run, and who may come in.
 *
 * In: connections of processes on this machine, each checked for its user. Out: descriptors, handed
 * to the owner, who counts its guests in guests_n. Loop thread; the owner embeds the struct. Who is
 * of another user or finds the house full is turned away with a line in the log now and then. The
 * odd thing: a lock of its own may be held besides the socket, because between finding a socket
 * stale and replacing it another process could do the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crawl/crawl_int.h"

#define ACCEPT_BATCH 16
#define ACCEPT_PAUSE_MS 1000
#define COMPLAIN_EVERY_MS 10000

static bool is_allowed(int fd, struct ucred *ret_who)
{
    socklen_t n = sizeof(*ret_who);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret_who, &n) != 0)
        return false;
    return ret_who->uid == 0 || ret_who->uid == geteuid();
}

static void let_in(struct dz_door *d, int take_fd)
{
    static struct dz_log_gate gate_full, gate_user;
    DZ_AUTO(dz_closep) int fd = take_fd;
    struct ucred who = {0};
    if (!is_allowed(fd, &who)) {
        d->dropped++;
        if (dz_log_gate_pass(&gate_user, COMPLAIN_EVERY_MS))
            dz_log(d->log, DZ_WARN, "a process of user %u was turned away", (unsigned)who.uid);
        return;
    }
    if (d->guests_n >= d->guests_max) {
        d->dropped++;
        if (dz_log_gate_pass(&gate_full, COMPLAIN_EVERY_MS))
            dz_log(d->log, DZ_WARN, "pid %d was turned away: %u are connected already",
                   (int)who.pid, d->guests_max);
        return;
    }
    int moved = fd;
    fd = -1;
    d->came(d, moved, (int)who.pid);
}

static void on_pause_over(struct dz_loop *l, struct dz_timer *t)
{
    struct dz_door *d = dz_container(t, struct dz_door, pause);
    dz_watch_set(l, &d->watch, EPOLLIN);
}

static void on_connection(struct dz_loop *l, struct dz_watch *w, uint32_t events)
{
    (void)events;
    struct dz_door *d = dz_container(w, struct dz_door, watch);
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(d->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            let_in(d, fd);
            continue;
        }
        if (errno == EAGAIN)
            return;
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        /* Out of descriptors or memory: the connection stays in the backlog and would wake us for
         * ever. */
        dz_log(d->log, DZ_WARN, "cannot accept: %s", strerrordesc_np(errno));
        dz_watch_set(l, w, 0);
        dz_timer_set(l, &d->pause, ACCEPT_PAUSE_MS, on_pause_over);
        return;
    }
}

void dz_door_init(struct dz_door *d)
{
    d->dir_fd = d->lock_fd = d->listen_fd = -1;
}

enum dz_code dz_door_open(struct dz_door *d, const char *data_dir, const char *lock,
                          struct dz_err *err)
{
    if (lock)
        DZ_TRY(dz_role_lock(data_dir, lock, &d->lock_fd, err));
    DZ_TRY(dz_place_run_dir(data_dir, &d->dir_fd, err));
    DZ_TRY(dz_place_listen(data_dir, d->dir_fd, d->name, &d->listen_fd, err));
    struct stat st;
    if (fstatat(d->dir_fd, d->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        d->socket_ino = st.st_ino;
    return dz_watch_add(d->loop, &d->watch, d->listen_fd, EPOLLIN, on_connection, err);
}

/* Only ours: somebody else may have put another one there. */
static void remove_socket(struct dz_door *d)
{
    struct stat st;
    if (d->socket_ino != 0 && fstatat(d->dir_fd, d->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_ino == d->socket_ino)
        unlinkat(d->dir_fd, d->name, 0);
    d->socket_ino = 0;
}

void dz_door_close(struct dz_door *d)
{
    dz_watch_del(d->loop, &d->watch);
    dz_timer_stop(d->loop, &d->pause);
    remove_socket(d);
    dz_closep(&d->listen_fd);
    dz_closep(&d->dir_fd);
    dz_closep(&d->lock_fd);
}
