/*
 * file: whole files in and out, folders, locks, and writes that do not stop half-way.
 *
 * In: paths and bytes. Out: bytes appended to the caller's buffer, or files that are there whole or
 * not at all, also after a power cut: write, fsync, rename, fsync of the folder. Blocks; call it on
 * a worker or at start, not on a loop. Any thread; nothing is kept. In test builds the Nth read,
 * write, fsync or rename can be made to fail.
 */
#include "base/base_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUN_DIR_MODE 0700
#define PATH_BYTES_MAX (64 * DZ_KIB)

static enum dz_code code_of(int native)
{
    switch (native) {
    case ENOENT:
    case ENOTDIR:
        return DZ_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
        return DZ_FULL;
    default:
        return DZ_IO;
    }
}

static enum dz_code fail_at(struct dz_err *err, int native, const char *verb, const char *path)
{
    return dz_fail_errno(err, code_of(native), native, "%s %s", verb, path);
}

void dz_closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static enum dz_code read_rest(int fd, const char *path, struct dz_buf *b, struct dz_err *err)
{
    enum { STEP = 64 * 1024 };
    for (;;) {
        char probe;
        size_t room = b->cap - b->n;
        if (room == 0 && b->n < b->max) {
            size_t more = b->max - b->n < STEP ? b->max - b->n : STEP;
            dz_buf_reserve(b, more);
            room = b->cap - b->n;
        }
        ssize_t got = dz_fault("read") ? (errno = EIO, -1)
                                       : read(fd, room ? b->p + b->n : &probe, room ? room : 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_at(err, errno, "read", path);
        if (got == 0)
            return DZ_OK;
        if (room == 0)
            return dz_fail(err, DZ_TOO_LARGE, "%s is larger than %zu bytes", path, b->max);
        b->n += (size_t)got;
    }
}

enum dz_code dz_file_read(const char *path, struct dz_buf *b, struct dz_err *err)
{
    DZ_AUTO(dz_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_at(err, errno, "open", path);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return fail_at(err, errno, "stat", path);
    size_t before = b->n;
    if (b->full || (S_ISREG(st.st_mode) && (uint64_t)st.st_size > b->max - b->n))
        return dz_fail(err, DZ_TOO_LARGE, "%s is larger than %zu bytes", path, b->max);
    if (S_ISREG(st.st_mode) && st.st_size > 0)
        dz_buf_reserve(b, (size_t)st.st_size);
    enum dz_code code = read_rest(fd, path, b, err);
    if (code != DZ_OK)
        b->n = before;
    return code;
}

enum dz_code dz_write_all(int fd, dz_str s, struct dz_err *err)
{
    if (dz_fault("write"))
        return dz_fail_errno(err, DZ_IO, EIO, "write");
    while (s.n > 0) {
        ssize_t put = write(fd, s.p, s.n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return dz_fail_errno(err, errno == ENOSPC || errno == EDQUOT ? DZ_FULL : DZ_IO, errno,
                                 "write");
        s = dz_str_sub(s, (size_t)put, s.n);
    }
    return DZ_OK;
}

static int sync_fd(int fd)
{
    if (dz_fault("fsync")) {
        errno = EIO;
        return -1;
    }
    return fsync(fd);
}

enum dz_code dz_fsync_dir(const char *path, struct dz_err *err)
{
    DZ_AUTO(dz_closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail_at(err, errno, "open", path);
    if (sync_fd(fd) < 0)
        return fail_at(err, errno, "fsync", path);
    return DZ_OK;
}

/* Fills the temporary file and makes it last; the caller removes it on failure. */
static enum dz_code fill_file(const char *path, dz_str bytes, int mode, struct dz_err *err)
{
    DZ_AUTO(dz_closep) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return fail_at(err, errno, "create", path);
    enum dz_code code = dz_write_all(fd, bytes, err);
    if (code != DZ_OK)
        return dz_wrap(err, code, "%s", path);
    if (sync_fd(fd) < 0)
        return fail_at(err, errno, "fsync", path);
    int closing = fd;
    fd = -1;
    if (close(closing) < 0)
        return fail_at(err, errno, "close", path);
    return DZ_OK;
}

enum dz_code dz_file_write_atomic(const char *path, dz_str bytes, int mode, struct dz_err *err)
{
    dz_str whole = dz_str_of(path);
    size_t slash = dz_str_rchr(whole, '/');
    dz_str dir = slash == DZ_NPOS ? DZ_S(".") : dz_str_sub(whole, 0, slash ? slash : 1);
    DZ_AUTO(dz_freep) char *folder = dz_str_dup(dir);
    struct dz_buf name DZ_AUTO(dz_buf_done);
    dz_buf_init(&name, dir.n + 64);
    dz_buf_put(&name, dir);
    dz_buf_putf(&name, "/.tmp-%016llx", (unsigned long long)dz_random_u64());
    const char *temporary = dz_buf_cstr(&name);

    enum dz_code code = fill_file(temporary, bytes, mode, err);
    if (code == DZ_OK) {
        int moved = dz_fault("rename") ? (errno = EIO, -1) : rename(temporary, path);
        if (moved == 0)
            return dz_fsync_dir(folder, err);
        code = fail_at(err, errno, "rename to", path);
    }
    unlink(temporary);
    return code;
}

enum dz_code dz_mkdirs(const char *path, int mode, struct dz_err *err)
{
    DZ_AUTO(dz_freep) char *copy = dz_strdup(path);
    size_t n = strlen(copy);
    if (n == 0)
        return dz_fail(err, DZ_BAD_INPUT, "the name of a folder is empty");
    for (size_t i = 1; i <= n; i++) {
        if (copy[i] != '/' && copy[i] != '\0')
            continue;
        char kept = copy[i];
        copy[i] = '\0';
        if (mkdir(copy, (mode_t)mode) < 0) {
            int native = errno;
            struct stat st;
            if (stat(copy, &st) < 0 || !S_ISDIR(st.st_mode))
                return dz_fail_errno(err, native == ENOSPC || native == EDQUOT ? DZ_FULL : DZ_IO,
                                     native == EEXIST ? ENOTDIR : native, "mkdir %s", copy);
        }
        copy[i] = kept;
    }
    return DZ_OK;
}

enum dz_code dz_lock_file(const char *path, bool exclusive, int *ret_fd, struct dz_err *err)
{
    DZ_AUTO(dz_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail_at(err, errno, "open", path);
    if (flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return dz_fail(err, DZ_CONFLICT, "another process holds %s", path);
        return fail_at(err, errno, "lock", path);
    }
    *ret_fd = fd;
    fd = -1;
    return DZ_OK;
}

enum dz_code dz_make_run_dir(const char *data_dir, struct dz_err *err)
{
    struct dz_buf path DZ_AUTO(dz_buf_done);
    dz_buf_init(&path, PATH_BYTES_MAX);
    dz_buf_put(&path, dz_str_of(data_dir));
    dz_buf_put(&path, DZ_S("/run"));
    if (path.full)
        return dz_fail(err, DZ_BAD_INPUT, "data_dir is longer than %zu bytes", path.max);
    DZ_TRY(dz_mkdirs(data_dir, DZ_DATA_DIR_MODE, err));
    return dz_mkdirs(dz_buf_cstr(&path), RUN_DIR_MODE, err);
}
