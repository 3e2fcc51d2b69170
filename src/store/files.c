/*
 * files: one file a blob, data_dir/blobs/ab/cdef….
 *
 * A put writes to a temporary name in blobs/.tmp, hashes as it goes, syncs, renames, syncs the
 * folder. A name that is there therefore always stands for whole bytes that are on disk, but the
 * name itself may not have reached the disk yet when another process made it: so a put that finds
 * its blob there still syncs the folder. The 256 folders are made at open, which spares every later
 * put the question. Nothing ever removes a blob but del and set_aside: not even a put whose last
 * sync failed, because somebody else may have been promised the same bytes. Any thread; no state
 * changes after open.
 */
#include "store/files_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_BYTES (8 * DZ_MIB) /* of a long write that the disk is told of at once */
#define ASIDE_PIECE ((size_t)(256 * DZ_KIB))
#define ASIDE_SAME_MAX 1000u /* blobs of one digest that were set aside */

static enum dz_code fail_at(struct files *f, const char *verb, const char *name, int native,
                            struct dz_err *err)
{
    enum dz_code code = DZ_IO;
    if (native == ENOSPC || native == EDQUOT)
        code = DZ_FULL;
    else if (native == EMFILE || native == ENFILE)
        code = DZ_UNAVAILABLE;
    return dz_fail_errno(err, code, native, "%s %s/%s", verb, f->root, name);
}

static enum dz_code not_found(struct files *f, const char *name, struct dz_err *err)
{
    return dz_fail(err, DZ_NOT_FOUND, "no blob %s/%s", f->root, name);
}

void files_blob_name(const struct dz_sha256 *sha, char dst[FILES_BLOB_NAME])
{
    dz_hex(sha->b, 1, dst);
    dst[2] = '/';
    dz_hex(sha->b + 1, sizeof(sha->b) - 1, dst + 3);
    dst[FILES_BLOB_NAME - 1] = '\0';
}

static void folder_name(unsigned first, char dst[3])
{
    unsigned char byte = (unsigned char)first;
    dz_hex(&byte, 1, dst);
    dst[2] = '\0';
}

/* ---- syncing --------------------------------------------------------------------------------- */

/* 0 or -1 with errno. Some file systems cannot sync a folder and say EINVAL; they have nothing to
 * offer instead. */
static int sync_fd(int fd, bool is_folder)
{
    if (dz_fault("fsync")) {
        errno = EIO;
        return -1;
    }
    int r;
    do
        r = is_folder ? fsync(fd) : fdatasync(fd);
    while (r < 0 && errno == EINTR);
    return r < 0 && is_folder && errno == EINVAL ? 0 : r;
}

static enum dz_code sync_at(struct files *f, const char *name, struct dz_err *err)
{
    DZ_AUTO(dz_closep) int fd = openat(f->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail_at(f, "open", name, errno, err);
    if (sync_fd(fd, true) < 0)
        return fail_at(f, "sync", name, errno, err);
    return DZ_OK;
}

/* The data folder and its parent, which may have been made just now. One that may not be read
 * cannot be synced either; then it was not made by us. */
static enum dz_code sync_above(struct files *f, const char *name, struct dz_err *err)
{
    return faccessat(f->fd, name, R_OK, AT_EACCESS) == 0 ? sync_at(f, name, err) : DZ_OK;
}

enum dz_code files_sync_folder(struct files *f, unsigned char first, struct dz_err *err)
{
    char name[3];
    folder_name(first, name);
    return sync_at(f, name, err);
}

/* ---- who writes a temporary file ------------------------------------------------------------- */

/* When the process started, in clock ticks since boot: tells it from a later one with the same
 * number, which in a container is the rule (every start is process 1). False: no such process, or
 * no /proc. */
static bool pid_start(uint64_t pid, uint64_t *ret_start)
{
    char path[40], text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%llu/stat", (unsigned long long)pid);
    DZ_AUTO(dz_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof(text));
    if (n <= 0)
        return false;
    /* proc(5): "PID (any name) STATE …", the start is field 22. */
    dz_str s = {text, (size_t)n};
    s = dz_str_sub(s, dz_str_rchr(s, ')') + 2, s.n);
    for (int field = 3; field < 22; field++)
        s = dz_str_sub(s, dz_str_chr(s, ' ') + 1, s.n);
    return dz_str_u64(dz_str_sub(s, 0, dz_str_chr(s, ' ')), UINT64_MAX, ret_start, NULL) == DZ_OK;
}

static bool lives(uint64_t pid, uint64_t start)
{
    uint64_t now = 0;
    if (start > 0 && pid_start(pid, &now))
        return now == start;
    return pid <= INT32_MAX && (kill((pid_t)pid, 0) == 0 || errno != ESRCH);
}

/* "PID-START-RANDOM", the last in hex. */
static bool parse_temp(dz_str name, uint64_t *ret_pid, uint64_t *ret_start)
{
    size_t one = dz_str_chr(name, '-'), two = dz_str_rchr(name, '-');
    unsigned char random[8];
    return one != two && dz_str_u64(dz_str_sub(name, 0, one), UINT64_MAX, ret_pid, NULL) == DZ_OK &&
           dz_str_u64(dz_str_sub(name, one + 1, two), UINT64_MAX, ret_start, NULL) == DZ_OK &&
           dz_unhex(dz_str_sub(name, two + 1, name.n), random, sizeof(random), NULL) == DZ_OK;
}

/* ---- open and close -------------------------------------------------------------------------- */

static void files_close(void *self)
{
    struct files *f = self;
    dz_closep(&f->fd);
    free(f->root);
    free(f);
}

static enum dz_code make_folders(struct files *f, struct dz_err *err)
{
    for (unsigned i = 0; i <= 256; i++) {
        char name[8] = ".tmp";
        if (i < 256)
            folder_name(i, name);
        if (mkdirat(f->fd, name, 0755) < 0 && errno != EEXIST)
            return fail_at(f, "create", name, errno, err);
    }
    /* Also when all were there: whoever made them may have died before this line. */
    DZ_TRY(sync_at(f, ".", err));
    DZ_TRY(sync_above(f, "..", err));
    return sync_above(f, "../..", err);
}

static enum dz_code open_root(struct files *f, const char *data_dir, struct dz_err *err)
{
    struct dz_buf root DZ_AUTO(dz_buf_done);
    dz_buf_init(&root, 8 * DZ_KIB);
    dz_buf_put(&root, dz_str_of(data_dir));
    dz_buf_put(&root, DZ_S("/blobs"));
    if (root.full)
        return dz_fail(err, DZ_BAD_INPUT, "data_dir is longer than %zu bytes", root.max);
    f->root = dz_strdup(dz_buf_cstr(&root));
    DZ_TRY(dz_mkdirs(f->root, 0755, err));
    f->fd = open(f->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->fd < 0)
        return dz_fail_errno(err, DZ_IO, errno, "open %s", f->root);
    struct stat st;
    if (fstat(f->fd, &st) < 0)
        return dz_fail_errno(err, DZ_IO, errno, "stat %s", f->root);
    f->mode = st.st_mode & 0666;
    f->uid = st.st_uid;
    f->gid = st.st_gid;
    return make_folders(f, err);
}

static enum dz_code files_open(const struct dz_store_options *o, void **ret_self,
                               struct dz_err *err)
{
    struct files *f = dz_new(struct files);
    f->fd = -1;
    f->pid = getpid();
    if (!pid_start((uint64_t)f->pid, &f->pid_start))
        f->pid_start = 0;
    enum dz_code code = open_root(f, o->data_dir, err);
    if (code != DZ_OK) {
        files_close(f);
        return code;
    }
    *ret_self = f;
    return DZ_OK;
}

/* ---- put ------------------------------------------------------------------------------------- */

enum dz_code files_present(struct files *f, const struct dz_blob_stat *want, bool *ret_yes,
                           struct dz_err *err)
{
    char name[FILES_BLOB_NAME];
    files_blob_name(&want->sha, name);
    struct stat st;
    if (fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno != ENOENT)
            return fail_at(f, "stat", name, errno, err);
        *ret_yes = false;
        return DZ_OK;
    }
    /* A size that differs is damage, which the rename of a whole file mends. */
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != want->bytes) {
        *ret_yes = false;
        return DZ_OK;
    }
    /* A fresh time tells those who collect unreferenced blobs to keep their hands off; it also
     * shows whether the blob was deleted this very moment. Being refused the change (read-only, not
     * the owner) does no harm. */
    *ret_yes = utimensat(f->fd, name, NULL, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
    return DZ_OK;
}

static enum dz_code fill(struct files_temp *t, const struct dz_blob_stat *known,
                         dz_store_read_fn *read, void *arg, struct dz_err *err)
{
    DZ_AUTO(dz_sha256_free) struct dz_sha256_ctx *hash = known ? NULL : dz_sha256_new();
    for (;;) {
        dz_str piece = {NULL, 0};
        DZ_TRY(read(arg, &piece, err));
        if (piece.n == 0)
            break;
        enum dz_code code = dz_write_all(t->fd, piece, err);
        if (code != DZ_OK)
            return dz_wrap(err, code, "%s/%s", t->f->root, t->name);
        if (hash)
            dz_sha256_add(hash, piece);
        t->stat.bytes += piece.n;
    }
    dz_assert(!known || t->stat.bytes == known->bytes);
    t->stat.sha = known ? known->sha : dz_sha256_end(hash);
    t->stat.mtime_s = dz_now_ms() / 1000;
    return DZ_OK;
}

/* An import by root, or under a narrow umask, must leave blobs that the server of this folder can
 * read. Best effort: not every file system knows modes and owners. */
static void belong_to_folder(const struct files *f, int fd)
{
    if (geteuid() == 0 && f->uid != 0)
        (void)!fchown(fd, f->uid, f->gid);
    (void)fchmod(fd, f->mode);
}

enum dz_code files_temp_open(struct files *f, struct files_temp *t, struct dz_err *err)
{
    *t = (struct files_temp){.f = f, .fd = -1};
    (void)snprintf(t->name, sizeof(t->name), ".tmp/%d-%llu-%016llx", f->pid,
                   (unsigned long long)f->pid_start, (unsigned long long)dz_random_u64());
    t->fd = openat(f->fd, t->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (t->fd < 0) {
        enum dz_code code = fail_at(f, "create", t->name, errno, err);
        t->name[0] = '\0';
        return code;
    }
    belong_to_folder(f, t->fd);
    return DZ_OK;
}

enum dz_code files_temp_write(struct files *f, const struct dz_blob_stat *known,
                              dz_store_read_fn *read, void *arg, struct files_temp *t,
                              struct dz_err *err)
{
    DZ_TRY(files_temp_open(f, t, err));
    enum dz_code code = fill(t, known, read, arg, err);
    if (code != DZ_OK)
        files_temp_drop(t);
    return code;
}

enum dz_code files_temp_sync(struct files_temp *t, struct dz_err *err)
{
    if (sync_fd(t->fd, false) < 0)
        return fail_at(t->f, "sync", t->name, errno, err);
    dz_closep(&t->fd);
    return DZ_OK;
}

enum dz_code files_temp_rename(struct files_temp *t, struct dz_err *err)
{
    char name[FILES_BLOB_NAME];
    files_blob_name(&t->stat.sha, name);
    int r = dz_fault("rename") ? (errno = EIO, -1) : renameat(t->f->fd, t->name, t->f->fd, name);
    if (r < 0)
        return fail_at(t->f, "rename to", name, errno, err);
    t->name[0] = '\0';
    return DZ_OK;
}

void files_temp_drop(struct files_temp *t)
{
    dz_closep(&t->fd);
    if (t->name[0])
        (void)unlinkat(t->f->fd, t->name, 0);
    t->name[0] = '\0';
}

enum dz_code files_write_begin(void *self, void **ret_write, struct dz_err *err)
{
    struct files_temp t;
    DZ_TRY(files_temp_open(self, &t, err));
    struct files_write *w = dz_new(struct files_write);
    w->t = t;
    w->hash = dz_sha256_new();
    *ret_write = w;
    return DZ_OK;
}

enum dz_code files_write_add(void *write, dz_str bytes, struct dz_err *err)
{
    struct files_write *w = write;
    enum dz_code code = dz_write_all(w->t.fd, bytes, err);
    if (code != DZ_OK)
        return dz_wrap(err, code, "%s/%s", w->t.f->root, w->t.name);
    dz_sha256_add(w->hash, bytes);
    w->t.stat.bytes += bytes.n;
    if (w->t.stat.bytes - w->started >= START_BYTES) {
        /* Only a hint, so that the sync at the end has little left to wait for. */
        (void)sync_file_range(w->t.fd, (off_t)w->started, (off_t)(w->t.stat.bytes - w->started),
                              SYNC_FILE_RANGE_WRITE);
        w->started = w->t.stat.bytes;
    }
    return DZ_OK;
}

void files_write_drop(void *write)
{
    struct files_write *w = write;
    files_temp_drop(&w->t);
    dz_sha256_free(&w->hash);
    free(w);
}

/* The blob is there: makes its name last. */
static enum dz_code adopt(struct files *f, const struct dz_blob_stat *stat,
                          struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    DZ_TRY(files_sync_folder(f, stat->sha.b[0], err));
    *ret_stat = *stat;
    ret_stat->mtime_s = dz_now_ms() / 1000;
    return DZ_OK;
}

static enum dz_code files_put(void *self, const struct dz_blob_stat *known, dz_store_read_fn *read,
                              void *arg, struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    struct files *f = self;
    bool there = false;
    if (known) {
        DZ_TRY(files_present(f, known, &there, err));
        if (there)
            return adopt(f, known, ret_stat, err);
    }
    DZ_AUTO(files_temp_drop) struct files_temp t = {.f = f, .fd = -1};
    DZ_TRY(files_temp_write(f, known, read, arg, &t, err));
    if (!known) {
        DZ_TRY(files_present(f, &t.stat, &there, err));
        if (there)
            return adopt(f, &t.stat, ret_stat, err);
    }
    DZ_TRY(files_temp_sync(&t, err));
    DZ_TRY(files_temp_rename(&t, err));
    return adopt(f, &t.stat, ret_stat, err);
}

/* ---- reading --------------------------------------------------------------------------------- */

static enum dz_code open_blob(struct files *f, const struct dz_sha256 *sha, int *ret_fd,
                              struct stat *st, struct dz_err *err)
{
    char name[FILES_BLOB_NAME];
    files_blob_name(sha, name);
    DZ_AUTO(dz_closep) int fd = openat(f->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? not_found(f, name, err) : fail_at(f, "open", name, errno, err);
    if (fstat(fd, st) < 0)
        return fail_at(f, "stat", name, errno, err);
    if (!S_ISREG(st->st_mode))
        return dz_fail(err, DZ_CORRUPT, "%s/%s is not a file", f->root, name);
    *ret_fd = fd;
    fd = -1;
    return DZ_OK;
}

static enum dz_code files_open_file(void *self, const struct dz_sha256 *sha, int *ret_fd,
                                    uint64_t *ret_bytes, struct dz_err *err)
{
    struct stat st;
    DZ_TRY(open_blob(self, sha, ret_fd, &st, err));
    *ret_bytes = (uint64_t)st.st_size;
    return DZ_OK;
}

static enum dz_code files_get(void *self, const struct dz_sha256 *sha, uint64_t bytes_max,
                              struct dz_body **ret_body, struct dz_err *err)
{
    struct files *f = self;
    DZ_AUTO(dz_closep) int fd = -1;
    struct stat st;
    DZ_TRY(open_blob(f, sha, &fd, &st, err));
    char name[FILES_BLOB_NAME];
    files_blob_name(sha, name);
    uint64_t bytes = (uint64_t)st.st_size;
    if (bytes > bytes_max)
        return dz_fail(err, DZ_TOO_LARGE, "blob has %llu bytes, %llu are allowed",
                       (unsigned long long)bytes, (unsigned long long)bytes_max);
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    DZ_TRY(dz_body_try(bytes, &body, err));
    for (size_t at = 0; at < bytes;) {
        ssize_t n = dz_fault("read") ? (errno = EIO, -1) : read(fd, body->p + at, bytes - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_at(f, "read", name, errno, err);
        if (n == 0)
            return dz_fail(err, DZ_CORRUPT, "%s/%s shrank while it was read", f->root, name);
        at += (size_t)n;
    }
    *ret_body = dz_take(&body);
    return DZ_OK;
}

static enum dz_code files_stat(void *self, const struct dz_sha256 *sha,
                               struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    struct files *f = self;
    char name[FILES_BLOB_NAME];
    files_blob_name(sha, name);
    struct stat st;
    if (fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? not_found(f, name, err) : fail_at(f, "stat", name, errno, err);
    if (!S_ISREG(st.st_mode))
        return dz_fail(err, DZ_CORRUPT, "%s/%s is not a file", f->root, name);
    *ret_stat = (struct dz_blob_stat){*sha, (uint64_t)st.st_size, st.st_mtime};
    return DZ_OK;
}

/* Not synced: a blob that comes back after a power cut is one that nobody refers to, which `dozo
 * check` finds. */
static enum dz_code files_del(void *self, const struct dz_sha256 *sha, struct dz_err *err)
{
    struct files *f = self;
    char name[FILES_BLOB_NAME];
    files_blob_name(sha, name);
    if (unlinkat(f->fd, name, 0) < 0 && errno != ENOENT)
        return fail_at(f, "delete", name, errno, err);
    return DZ_OK;
}

/* ---- setting aside --------------------------------------------------------------------------- */

/* A place to set a blob aside at. */
struct aside {
    struct files *f;
    const char *folder;
    int fd;
    char name[80]; /* digest and a number */
};

static enum dz_code aside_fail(const struct aside *a, const char *verb, const char *name,
                               struct dz_err *err)
{
    int native = errno;
    return dz_fail_errno(err, native == ENOSPC || native == EDQUOT ? DZ_FULL : DZ_IO, native,
                         "%s %s/%s", verb, a->folder, name);
}

static enum dz_code aside_begin(struct aside *a, const struct dz_sha256 *sha, struct dz_err *err)
{
    DZ_TRY(dz_mkdirs(a->folder, 0755, err));
    a->fd = open(a->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (a->fd < 0)
        return dz_fail_errno(err, DZ_IO, errno, "open %s", a->folder);
    char hex[2 * sizeof(sha->b) + 1] = {0};
    dz_hex(sha->b, sizeof(sha->b), hex);
    for (unsigned n = 0; n < ASIDE_SAME_MAX; n++) {
        struct stat st;
        if (n == 0)
            (void)snprintf(a->name, sizeof(a->name), "%s", hex);
        else
            (void)snprintf(a->name, sizeof(a->name), "%s.%u", hex, n);
        if (fstatat(a->fd, a->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            continue;
        return errno == ENOENT ? DZ_OK : aside_fail(a, "stat", a->name, err);
    }
    return dz_fail(err, DZ_FULL, "%s has %u files %s already", a->folder, ASIDE_SAME_MAX, hex);
}

static enum dz_code copy_fd(struct files *f, const char *name, int from, int to, uint64_t bytes,
                            struct dz_err *err)
{
    DZ_AUTO(dz_freep) char *piece = dz_alloc(ASIDE_PIECE);
    uint64_t done = 0;
    for (;;) {
        ssize_t n = dz_fault("read") ? (errno = EIO, -1) : read(from, piece, ASIDE_PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_at(f, "read", name, errno, err);
        if (n == 0)
            break;
        DZ_TRY(dz_write_all(to, (dz_str){piece, (size_t)n}, err));
        done += (uint64_t)n;
    }
    if (done != bytes)
        return dz_fail(err, DZ_IO, "%s/%s: %llu of %llu bytes came", f->root, name,
                       (unsigned long long)done, (unsigned long long)bytes);
    return DZ_OK;
}

/* To another file system: whole and on disk there before the name here goes. */
static enum dz_code aside_copy(struct aside *a, const char *blob, const struct dz_sha256 *sha,
                               struct dz_err *err)
{
    DZ_AUTO(dz_closep) int from = -1;
    struct stat st;
    DZ_TRY(open_blob(a->f, sha, &from, &st, err));
    char temp[32];
    (void)snprintf(temp, sizeof(temp), ".tmp-%016llx", (unsigned long long)dz_random_u64());
    DZ_AUTO(dz_closep) int to = openat(a->fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (to < 0)
        return aside_fail(a, "create", temp, err);
    enum dz_code code = copy_fd(a->f, blob, from, to, (uint64_t)st.st_size, err);
    if (code == DZ_OK && sync_fd(to, false) < 0)
        code = aside_fail(a, "sync", temp, err);
    if (code == DZ_OK &&
        (dz_fault("rename") ? (errno = EIO, -1) : renameat(a->fd, temp, a->fd, a->name)) < 0)
        code = aside_fail(a, "rename to", a->name, err);
    if (code != DZ_OK) {
        (void)unlinkat(a->fd, temp, 0);
        return code;
    }
    if (sync_fd(a->fd, true) < 0)
        return aside_fail(a, "sync", ".", err);
    return files_del(a->f, sha, err);
}

static enum dz_code files_set_aside(void *self, const struct dz_sha256 *sha, const char *folder,
                                    struct dz_err *err)
{
    struct files *f = self;
    struct aside a = {.f = f, .folder = folder, .fd = -1};
    char blob[FILES_BLOB_NAME];
    files_blob_name(sha, blob);
    enum dz_code code = aside_begin(&a, sha, err);
    DZ_AUTO(dz_closep) int fd = a.fd;
    DZ_TRY(code);
    int r = dz_fault("rename") ? (errno = EIO, -1) : renameat(f->fd, blob, fd, a.name);
    if (r < 0 && errno == EXDEV)
        return aside_copy(&a, blob, sha, err);
    if (r < 0)
        return errno == ENOENT ? not_found(f, blob, err) : aside_fail(&a, "rename to", a.name, err);
    if (sync_fd(fd, true) < 0)
        return aside_fail(&a, "sync", ".", err);
    return files_sync_folder(f, sha->b[0], err);
}

/* ---- walking --------------------------------------------------------------------------------- */

static void closedirp(DIR **dir)
{
    if (*dir)
        closedir(*dir);
    *dir = NULL;
}

/* One folder, open for reading names. */
static enum dz_code open_folder(struct files *f, const char *name, DIR **ret_dir,
                                struct dz_err *err)
{
    DZ_AUTO(dz_closep) int fd = openat(f->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return fail_at(f, "open", name, errno, err);
    fd = -1;
    *ret_dir = dir;
    return DZ_OK;
}

/* DZ_OK with *ret_entry NULL at the end. */
static enum dz_code next_entry(struct files *f, const char *folder, DIR *dir,
                               struct dirent **ret_entry, struct dz_err *err)
{
    errno = 0;
    *ret_entry = readdir(dir);
    return *ret_entry || errno == 0 ? DZ_OK : fail_at(f, "read", folder, errno, err);
}

/* The digest of a blob's file name; upper case and other lengths are not ours. */
static bool parse_blob(unsigned first, dz_str name, struct dz_sha256 *ret_sha)
{
    ret_sha->b[0] = (unsigned char)first;
    if (dz_unhex(name, ret_sha->b + 1, sizeof(ret_sha->b) - 1, NULL) != DZ_OK)
        return false;
    char own[FILES_BLOB_NAME];
    files_blob_name(ret_sha, own);
    return dz_str_eq(name, dz_str_of(own + 3));
}

static enum dz_code list_folder(struct files *f, unsigned first, dz_store_list_fn *fn, void *arg,
                                struct dz_err *err)
{
    char folder[3];
    folder_name(first, folder);
    DZ_AUTO(closedirp) DIR *dir = NULL;
    DZ_TRY(open_folder(f, folder, &dir, err));
    for (;;) {
        struct dirent *entry = NULL;
        DZ_TRY(next_entry(f, folder, dir, &entry, err));
        if (!entry)
            return DZ_OK;
        struct dz_blob_stat blob;
        struct stat st;
        if (!parse_blob(first, dz_str_of(entry->d_name), &blob.sha))
            continue;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno == ENOENT) /* deleted since */
                continue;
            return fail_at(f, "stat", entry->d_name, errno, err);
        }
        if (!S_ISREG(st.st_mode))
            continue;
        blob.bytes = (uint64_t)st.st_size;
        blob.mtime_s = st.st_mtime;
        DZ_TRY(fn(arg, &blob, err));
    }
}

static enum dz_code files_list(void *self, dz_store_list_fn *fn, void *arg, struct dz_err *err)
{
    for (unsigned i = 0; i < 256; i++)
        DZ_TRY(list_folder(self, i, fn, arg, err));
    return DZ_OK;
}

static enum dz_code files_sweep(void *self, int64_t older_than_s, uint64_t *ret_removed,
                                struct dz_err *err)
{
    struct files *f = self;
    DZ_AUTO(closedirp) DIR *dir = NULL;
    DZ_TRY(open_folder(f, ".tmp", &dir, err));
    int64_t newest_s = dz_now_ms() / 1000 - older_than_s;
    uint64_t removed = 0;
    for (;;) {
        struct dirent *entry = NULL;
        DZ_TRY(next_entry(f, ".tmp", dir, &entry, err));
        if (!entry)
            break;
        uint64_t pid, start;
        struct stat st;
        if (!parse_temp(dz_str_of(entry->d_name), &pid, &start) || lives(pid, start))
            continue;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(st.st_mode) || st.st_mtime > newest_s)
            continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) == 0)
            removed++;
        else if (errno != ENOENT)
            return fail_at(f, "delete temporary", entry->d_name, errno, err);
    }
    *ret_removed = removed;
    return DZ_OK;
}

const struct dz_store_driver dz_store_files = {
    .name = "files",
    .digest_trusted = true,
    .open = files_open,
    .close = files_close,
    .put = files_put,
    .get = files_get,
    .stat = files_stat,
    .del = files_del,
    .list = files_list,
    .open_file = files_open_file,
    .sweep = files_sweep,
    .set_aside = files_set_aside,
    .batch_begin = files_batch_begin,
    .batch_put = files_batch_put,
    .batch_commit = files_batch_commit,
    .batch_drop = files_batch_drop,
    .write_begin = files_write_begin,
    .write_add = files_write_add,
    .batch_take = files_batch_take,
    .write_drop = files_write_drop,
};
