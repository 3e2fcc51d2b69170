/*
 * files_batch: many blobs for the price of a few syncs.
 *
 * Each blob is written under its temporary name and the system is asked to start writing it to
 * disk, without waiting. Commit waits for all of them, renames them, and makes the names last.
 * There are two ways to wait:
 *   - a few blobs, or any file system: each file, then each touched folder once. At most OPEN_MAX
 *     descriptors are held; past that the oldest file, which had the longest time to reach the
 *     disk, is waited for and closed.
 *   - many blobs on a file system known to do it well: syncfs(2) before the renames and after, two
 *     flushes of the disk in place of hundreds. It also waits for what others wrote there, so it is
 *     not worth it for a few.
 *
 * A write that fails in the background is reported through a descriptor that was open before: that
 * of the file in the first way, that of the root, opened when the batch began, in the second. One
 * owner thread.
 */
#include "store/files_int.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#define OPEN_MAX 64
#define FEW 16 /* up to here each file is synced alone */

struct batch {
    struct files *f;
    struct files_temp **temps; /* pointers, for the map borrows each digest */
    size_t n, cap;
    size_t synced;     /* temps before this one are on disk and closed */
    size_t closed;     /* with syncfs: temps before this one are closed, not synced */
    int whole_fd;      /* for syncfs; -1: not to be used here */
    struct dz_map map; /* digest → struct files_temp */
    bool touched[256]; /* folders to sync */
    bool broken;       /* a sync failed: the system tells once, we until the next commit */
};

static dz_str key_of(const struct dz_sha256 *sha)
{
    return (dz_str){(const char *)sha->b, sizeof(sha->b)};
}

/* syncfs reports writes that failed since Linux 5.8. FUSE and network file systems may not pass it
 * on. */
static bool syncfs_is_safe(int fd)
{
    struct utsname kernel;
    struct statfs fs;
    int major = 0, minor = 0;
    if (uname(&kernel) < 0 || sscanf(kernel.release, "%d.%d", &major, &minor) != 2 ||
        fstatfs(fd, &fs) < 0)
        return false;
    if (major < 5 || (major == 5 && minor < 8))
        return false;
    return fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC ||
           fs.f_type == BTRFS_SUPER_MAGIC || fs.f_type == F2FS_SUPER_MAGIC;
}

/* A descriptor of its own for each round, so that no other batch can take away its error. */
static int open_whole(struct files *f)
{
    DZ_AUTO(dz_closep) int fd = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || !syncfs_is_safe(fd))
        return -1;
    int kept = fd;
    fd = -1;
    return kept;
}

enum dz_code files_batch_begin(void *self, void **ret_batch, struct dz_err *err)
{
    (void)err;
    struct batch *b = dz_new(struct batch);
    b->f = self;
    b->whole_fd = open_whole(b->f);
    dz_map_init(&b->map);
    *ret_batch = b;
    return DZ_OK;
}

static void empty(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        files_temp_drop(b->temps[i]);
        free(b->temps[i]);
    }
    b->n = b->synced = b->closed = 0;
    dz_map_done(&b->map);
    dz_map_init(&b->map);
    memset(b->touched, 0, sizeof(b->touched));
    b->broken = false;
}

void files_batch_drop(void *batch)
{
    struct batch *b = batch;
    empty(b);
    dz_closep(&b->whole_fd);
    dz_map_done(&b->map);
    free(b->temps);
    free(b);
}

/* In this batch, or in the store: then only its folder has to be synced. */
static enum dz_code has(struct batch *b, const struct dz_blob_stat *want, bool *ret_yes,
                        struct dz_err *err)
{
    if (dz_map_get(&b->map, key_of(&want->sha))) {
        *ret_yes = true;
        return DZ_OK;
    }
    DZ_TRY(files_present(b->f, want, ret_yes, err));
    if (*ret_yes)
        b->touched[want->sha.b[0]] = true;
    return DZ_OK;
}

static enum dz_code sync_next(struct batch *b, struct dz_err *err)
{
    enum dz_code code = files_temp_sync(b->temps[b->synced], err);
    b->broken = code != DZ_OK;
    b->synced++;
    return code;
}

static enum dz_code fail_broken(struct dz_err *err)
{
    return dz_fail(err, DZ_IO, "an earlier write of this batch failed");
}

static enum dz_code keep(struct batch *b, const struct files_temp *t, struct dz_err *err)
{
    if (b->n == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 64;
        b->temps = dz_realloc(b->temps, b->cap * sizeof(struct files_temp *));
    }
    struct files_temp *kept = dz_new(struct files_temp);
    *kept = *t;
    b->temps[b->n++] = kept;
    (void)dz_map_set(&b->map, key_of(&kept->stat.sha), kept);
    b->touched[kept->stat.sha.b[0]] = true;
    /* Only a hint: where it is refused, the sync of commit has more to do. */
    (void)sync_file_range(kept->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    if (b->whole_fd < 0)
        return b->n - b->synced > OPEN_MAX ? sync_next(b, err) : DZ_OK;
    if (b->n > FEW) /* from here on the root's descriptor reports for all */
        for (; b->closed < b->n; b->closed++)
            dz_closep(&b->temps[b->closed]->fd);
    return DZ_OK;
}

enum dz_code files_batch_put(void *batch, const struct dz_blob_stat *known, dz_store_read_fn *read,
                             void *arg, struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    struct batch *b = batch;
    bool there = false;
    if (b->broken)
        return fail_broken(err);
    if (known) {
        struct dz_blob_stat want = *known;
        want.mtime_s = dz_now_ms() / 1000;
        DZ_TRY(has(b, &want, &there, err));
        if (there) {
            *ret_stat = want;
            return DZ_OK;
        }
    }
    struct files_temp t;
    DZ_TRY(files_temp_write(b->f, known, read, arg, &t, err));
    enum dz_code code = known ? DZ_OK : has(b, &t.stat, &there, err);
    if (code != DZ_OK || there)
        files_temp_drop(&t);
    else
        code = keep(b, &t, err);
    if (code == DZ_OK)
        *ret_stat = t.stat;
    return code;
}

enum dz_code files_batch_take(void *batch, void *take_write, struct dz_blob_stat *ret_stat,
                              struct dz_err *err)
{
    struct batch *b = batch;
    struct files_write *w = take_write;
    w->t.stat.sha = dz_sha256_end(w->hash);
    w->t.stat.mtime_s = dz_now_ms() / 1000;
    struct dz_blob_stat stat = w->t.stat;
    bool there = false;
    enum dz_code code = b->broken ? fail_broken(err) : has(b, &stat, &there, err);
    if (code == DZ_OK && !there) {
        struct files_temp t = w->t;
        w->t.fd = -1;
        w->t.name[0] = '\0';
        code = keep(b, &t, err);
    }
    files_write_drop(w);
    if (code == DZ_OK)
        *ret_stat = stat;
    return code;
}

static enum dz_code rename_all(struct batch *b, struct dz_err *err)
{
    for (size_t i = 0; i < b->n; i++)
        DZ_TRY(files_temp_rename(b->temps[i], err));
    return DZ_OK;
}

static enum dz_code sync_whole(struct batch *b, struct dz_err *err)
{
    int r = dz_fault("fsync") ? (errno = EIO, -1) : syncfs(b->whole_fd);
    if (r == 0)
        return DZ_OK;
    enum dz_code code = errno == ENOSPC || errno == EDQUOT ? DZ_FULL : DZ_IO;
    return dz_fail_errno(err, code, errno, "sync the file system of %s", b->f->root);
}

static enum dz_code commit(struct batch *b, struct dz_err *err)
{
    if (b->broken)
        return fail_broken(err);
    unsigned folders = 0;
    for (unsigned i = 0; i < 256; i++)
        folders += b->touched[i];
    if (b->whole_fd >= 0 && (b->n > FEW || folders > FEW)) {
        DZ_TRY(sync_whole(b, err));
        DZ_TRY(rename_all(b, err));
        return sync_whole(b, err);
    }
    while (b->synced < b->n)
        DZ_TRY(sync_next(b, err));
    DZ_TRY(rename_all(b, err));
    for (unsigned i = 0; i < 256; i++)
        if (b->touched[i])
            DZ_TRY(files_sync_folder(b->f, (unsigned char)i, err));
    return DZ_OK;
}

enum dz_code files_batch_commit(void *batch, struct dz_err *err)
{
    struct batch *b = batch;
    enum dz_code code = commit(b, err);
    empty(b);
    if (code != DZ_OK && b->whole_fd >= 0) {
        /* The next round must not be told of this round's error. */
        dz_closep(&b->whole_fd);
        b->whole_fd = open_whole(b->f);
    }
    return code;
}
