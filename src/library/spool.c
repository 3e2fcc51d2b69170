/*
 * spool: large blobs of a store without files, as files of this machine while they are asked for.
 *
 * In: bytes that a worker has fetched. Out: counted descriptors for sendfile. The files lie in
 * data_dir/cache without a name, so that nothing is left behind however the process ends. The
 * budget counts those that are still being sent too: what is asked for least lately goes first, but
 * a file that somebody sends stays, and when such files take all of it there is no room. Any
 * thread; the lock is held for look-ups only.
 */
#include <sys/resource.h>
#include <sys/stat.h>

#include "library/library_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define FILES_MAX 256u
#define FILES_SHARE 8 /* of the process's descriptors */

struct spooled {
    struct dz_sha256 sha;
    struct dz_file *file;
    struct spooled *newer, *older;
};

struct library_spool {
    char *dir;
    uint64_t bytes_max;
    size_t files_max;
    pthread_mutex_t lock; /* guards what follows */
    struct dz_map by_sha;
    struct spooled *newest, *oldest;
    uint64_t bytes, reserved; /* of files; of those being written */
};

static dz_str key_of(const struct dz_sha256 *sha)
{
    return (dz_str){(const char *)sha->b, sizeof(sha->b)};
}

static size_t files_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / FILES_SHARE >= FILES_MAX)
        return FILES_MAX;
    return (size_t)(limit.rlim_cur / FILES_SHARE) + 1;
}

struct library_spool *library_spool_new(const char *data_dir, uint64_t bytes_max)
{
    struct library_spool *s = dz_new(struct library_spool);
    DZ_AUTO(dz_buf_done) struct dz_buf dir;
    dz_buf_init(&dir, 64 * DZ_KIB);
    dz_buf_put(&dir, dz_str_of(data_dir));
    dz_buf_put(&dir, DZ_S("/cache"));
    s->dir = dz_strdup(dz_buf_cstr(&dir));
    s->bytes_max = bytes_max;
    s->files_max = files_max();
    pthread_mutex_init(&s->lock, NULL);
    dz_map_init(&s->by_sha);
    return s;
}

static void unlink_entry(struct library_spool *s, struct spooled *e)
{
    *(e->newer ? &e->newer->older : &s->newest) = e->older;
    *(e->older ? &e->older->newer : &s->oldest) = e->newer;
}

static void link_newest(struct library_spool *s, struct spooled *e)
{
    e->newer = NULL;
    e->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
}

static void forget(struct library_spool *s, struct spooled *e)
{
    unlink_entry(s, e);
    (void)dz_map_del(&s->by_sha, key_of(&e->sha));
    s->bytes -= e->file->bytes;
    dz_file_unref(&e->file);
    free(e);
}

void library_spool_free(struct library_spool **ps)
{
    struct library_spool *s = dz_take(ps);
    if (!s)
        return;
    while (s->oldest)
        forget(s, s->oldest);
    dz_map_done(&s->by_sha);
    pthread_mutex_destroy(&s->lock);
    free(s->dir);
    free(s);
}

struct dz_file *library_spool_get(struct library_spool *s, const struct dz_sha256 *sha)
{
    pthread_mutex_lock(&s->lock);
    struct spooled *e = dz_map_get(&s->by_sha, key_of(sha));
    struct dz_file *file = NULL;
    if (e) {
        unlink_entry(s, e);
        link_newest(s, e);
        file = dz_file_ref(e->file);
    }
    pthread_mutex_unlock(&s->lock);
    return file;
}

/* Files that nobody sends go, the oldest first, until so much more fits. */
static bool reserve(struct library_spool *s, uint64_t bytes)
{
    pthread_mutex_lock(&s->lock);
    struct spooled *e = s->oldest;
    for (;;) {
        bool fits =
            s->bytes + s->reserved + bytes <= s->bytes_max && s->by_sha.count < s->files_max;
        if (fits || !e)
            break;
        struct spooled *newer = e->newer;
        if (atomic_load(&e->file->refs) == 1) /* others come only from here, under the lock */
            forget(s, e);
        e = newer;
    }
    bool fits = s->bytes + s->reserved + bytes <= s->bytes_max && s->by_sha.count < s->files_max;
    if (fits)
        s->reserved += bytes;
    pthread_mutex_unlock(&s->lock);
    return fits;
}

static enum dz_code open_unnamed(const char *dir, int *ret_fd, struct dz_err *err)
{
    DZ_TRY(dz_mkdirs(dir, 0700, err));
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
        DZ_AUTO(dz_buf_done) struct dz_buf path;
        dz_buf_init(&path, 64 * DZ_KIB);
        dz_buf_putf(&path, "%s/.tmp-%016llx", dir, (unsigned long long)dz_random_u64());
        fd = open(dz_buf_cstr(&path), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0)
            (void)unlink(dz_buf_cstr(&path));
    }
    if (fd < 0)
        return dz_fail_errno(err, DZ_IO, errno, "cannot make a file in %.100s", dir);
    *ret_fd = fd;
    return DZ_OK;
}

static enum dz_code fill(struct library_spool *s, uint64_t bytes, library_fill_fn *fn, void *arg,
                         struct dz_file **ret_file, struct dz_err *err)
{
    DZ_AUTO(dz_closep) int fd = -1;
    struct stat st;
    DZ_TRY(open_unnamed(s->dir, &fd, err));
    DZ_TRY(fn(arg, fd, err));
    if (fstat(fd, &st) != 0)
        return dz_fail_errno(err, DZ_IO, errno, "cannot look at a file in %.100s", s->dir);
    if ((uint64_t)st.st_size != bytes)
        return dz_fail(err, DZ_CORRUPT,
                       "a blob has %llu bytes, the catalog says %llu; run dozo check",
                       (unsigned long long)st.st_size, (unsigned long long)bytes);
    *ret_file = dz_file_new(fd, bytes);
    fd = -1;
    return DZ_OK;
}

enum dz_code library_spool_put(struct library_spool *s, const struct dz_sha256 *sha, uint64_t bytes,
                               library_fill_fn *fn, void *arg, struct dz_file **ret_file,
                               struct dz_err *err)
{
    if (!reserve(s, bytes))
        return dz_fail(err, DZ_FULL,
                       "a blob of %llu bytes finds no room in the %llu of cache.disk_bytes",
                       (unsigned long long)bytes, (unsigned long long)s->bytes_max);
    struct dz_file *file = NULL;
    enum dz_code code = fill(s, bytes, fn, arg, &file, err);
    pthread_mutex_lock(&s->lock);
    s->reserved -= bytes;
    if (code == DZ_OK && !dz_map_get(&s->by_sha, key_of(sha))) {
        struct spooled *e = dz_new(struct spooled);
        e->sha = *sha;
        e->file = dz_file_ref(file);
        link_newest(s, e);
        (void)dz_map_set(&s->by_sha, key_of(&e->sha), e);
        s->bytes += bytes;
    }
    pthread_mutex_unlock(&s->lock);
    if (code == DZ_OK)
        *ret_file = file;
    return code;
}

void library_spool_stats(struct library_spool *s, uint64_t *ret_bytes, uint64_t *ret_files)
{
    pthread_mutex_lock(&s->lock);
    *ret_bytes = s->bytes + s->reserved;
    *ret_files = s->by_sha.count;
    pthread_mutex_unlock(&s->lock);
}
