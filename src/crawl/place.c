/*
 * place: what lies in data_dir/run: role locks and the socket of the bus.
 *
 * In: a data folder and a name. Out: descriptors, which the caller closes. Blocking, any thread,
 * nothing is kept. The odd thing: a socket address holds 107 bytes of path, and a data folder may
 * be deeper than that. Then the folder is opened and the socket is named through /proc/self/fd/N,
 * which is short.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "crawl/crawl_int.h"

#define PATH_BYTES_MAX (64 * DZ_KIB)

static char *run_path(const char *data_dir, const char *name, const char *ending)
{
    struct dz_buf path DZ_AUTO(dz_buf_done);
    dz_buf_init(&path, PATH_BYTES_MAX);
    dz_buf_put(&path, dz_str_of(data_dir));
    dz_buf_put(&path, DZ_S("/run"));
    if (name) {
        dz_buf_putc(&path, '/');
        dz_buf_put(&path, dz_str_of(name));
        dz_buf_put(&path, dz_str_of(ending));
    }
    return dz_buf_take(&path, NULL);
}

enum dz_code dz_place_run_dir(const char *data_dir, int *ret_dir_fd, struct dz_err *err)
{
    DZ_AUTO(dz_freep) char *path = run_path(data_dir, NULL, NULL);
    DZ_TRY(dz_make_run_dir(data_dir, err));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return dz_fail_errno(err, DZ_IO, errno, "open %s", path);
    *ret_dir_fd = fd;
    return DZ_OK;
}

/* ---- role locks ------------------------------------------------------------------------------ */

/* Who holds the lock, as the file says; 0 when it says nothing, because the holder has only just
 * taken it. */
static uint64_t holder(const char *path)
{
    struct dz_buf text DZ_AUTO(dz_buf_done);
    uint64_t pid = 0;
    dz_buf_init(&text, 24);
    if (dz_file_read(path, &text, NULL) != DZ_OK)
        return 0;
    return dz_str_u64(dz_str_trim(dz_buf_str(&text)), INT32_MAX, &pid, NULL) == DZ_OK ? pid : 0;
}

enum dz_code dz_role_lock(const char *data_dir, const char *name, int *ret_fd, struct dz_err *err)
{
    DZ_TRY(dz_make_run_dir(data_dir, err));
    DZ_AUTO(dz_freep) char *path = run_path(data_dir, name, ".lock");
    DZ_AUTO(dz_closep) int fd = -1;
    enum dz_code code = dz_lock_file(path, true, &fd, err);
    uint64_t pid = code == DZ_CONFLICT ? holder(path) : 0;
    if (pid != 0)
        return dz_fail(err, DZ_CONFLICT, "another dozo process (pid %llu) holds %s",
                       (unsigned long long)pid, path);
    DZ_TRY(code);
    char text[24];
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0)
        return dz_fail_errno(err, DZ_IO, errno, "truncate %s", path);
    code = dz_write_all(fd, (dz_str){text, (size_t)n}, err);
    if (code != DZ_OK)
        return dz_wrap(err, code, "%s", path);
    *ret_fd = fd;
    fd = -1;
    return DZ_OK;
}

/* ---- socket ---------------------------------------------------------------------------------- */

/* By its own path where that fits, so that it can be read in `ss -x`. */
static void address_of(const char *data_dir, int dir_fd, const char *name,
                       struct sockaddr_un *ret_address)
{
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    char *path = ret_address->sun_path;
    size_t cap = sizeof(ret_address->sun_path);
    int n = snprintf(path, cap, "%s/run/%s", data_dir, name);
    if (n < 0 || (size_t)n >= cap)
        n = snprintf(path, cap, "/proc/self/fd/%d/%s", dir_fd, name);
    dz_assert(n > 0 && (size_t)n < cap);
}

static int connect_to(int fd, const struct sockaddr_un *address)
{
    int failed;
    do
        failed = connect(fd, (const struct sockaddr *)(const void *)address, sizeof(*address));
    while (failed != 0 && errno == EINTR);
    return failed;
}

/* Removes a socket that nobody answers on. */
static enum dz_code clear_way(int dir_fd, const char *name, const struct sockaddr_un *address,
                              struct dz_err *err)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT)
            return DZ_OK;
        return dz_fail_errno(err, DZ_IO, errno, "stat run/%s", name);
    }
    if (!S_ISSOCK(st.st_mode))
        return dz_fail(err, DZ_BAD_INPUT,
                       "run/%s of the data folder is in the way: it is no socket", name);
    DZ_AUTO(dz_closep) int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return dz_fail_errno(err, DZ_IO, errno, "cannot make a socket");
    /* EAGAIN: somebody listens, but the backlog is full. */
    if (connect_to(probe, address) == 0 || errno == EAGAIN)
        return dz_fail(err, DZ_CONFLICT,
                       "another dozo process answers on run/%s of the data folder", name);
    if (errno != ECONNREFUSED && errno != ENOENT)
        return dz_fail_errno(err, DZ_IO, errno, "connect to run/%s", name);
    if (unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT)
        return dz_fail_errno(err, DZ_IO, errno, "remove stale run/%s", name);
    return DZ_OK;
}

enum dz_code dz_place_listen(const char *data_dir, int dir_fd, const char *name, int *ret_fd,
                             struct dz_err *err)
{
    struct sockaddr_un address;
    address_of(data_dir, dir_fd, name, &address);
    DZ_TRY(clear_way(dir_fd, name, &address, err));
    DZ_AUTO(dz_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return dz_fail_errno(err, DZ_IO, errno, "cannot make a socket");
    /* The mode set before bind is that of the file (unix(7) on Linux): there is no moment in which
     * it is wider. */
    if (fchmod(fd, 0600) != 0)
        return dz_fail_errno(err, DZ_IO, errno, "chmod of a socket");
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        return dz_fail_errno(err, DZ_IO, errno, "bind run/%s", name);
    if (listen(fd, PLACE_BACKLOG) != 0)
        return dz_fail_errno(err, DZ_IO, errno, "listen on run/%s", name);
    *ret_fd = fd;
    fd = -1;
    return DZ_OK;
}

enum dz_code dz_place_connect(const char *data_dir, const char *name, int64_t wait_ms, int *ret_fd,
                              struct dz_err *err)
{
    DZ_AUTO(dz_freep) char *path = run_path(data_dir, NULL, NULL);
    DZ_AUTO(dz_closep) int dir_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return dz_fail_errno(err, DZ_UNAVAILABLE, errno, "open %s", path);
    DZ_AUTO(dz_closep)
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (wait_ms > 0 ? 0 : SOCK_NONBLOCK), 0);
    if (fd < 0)
        return dz_fail_errno(err, DZ_IO, errno, "cannot make a socket");
    struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) != 0)
        return dz_fail_errno(err, DZ_IO, errno, "cannot bound the wait of a socket");
    struct sockaddr_un address;
    address_of(data_dir, dir_fd, name, &address);
    if (connect_to(fd, &address) != 0)
        return dz_fail_errno(err, DZ_UNAVAILABLE, errno, "connect to %s/%s", path, name);
    *ret_fd = fd;
    fd = -1;
    return DZ_OK;
}
