/*
 * download_place: where a download lies while it is made and when it is done.
 *
 * In: a destination, names of one component each, and whose chapter it is. Out: a locked hidden
 * folder for the work, and in the end a result under a name that was free or belonged to the same
 * chapter: an archive says so in its comment, a folder of pages in an extended attribute (where the
 * file system has none: in a hidden file). Nothing of another chapter is ever written over.
 * Everything blocks: workers. Odd: the lock is on the folder itself, which is removed under it;
 * whoever gets a lock looks whether the folder is still the one of that name.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "crawl/download_int.h"

#define FOLDER_MODE 0755
#define NAMES_MAX 10000u /* "NAME (2)" … */
#define LOCK_TRIES 5u
#define ATTRIBUTE "user.dozo"
#define MARK_FILE ".dozo"
#define WIDTH_UNKNOWN 4u /* contracts/nagato.md 6 */

static enum dz_code fail_at(struct dz_err *err, const char *verb, const char *path)
{
    int native = errno;
    enum dz_code code = native == ENOSPC || native == EDQUOT ? DZ_FULL
                        : native == ENOENT                   ? DZ_UNAVAILABLE
                                                             : DZ_IO;
    return crawl_file_code(dz_fail_errno(err, code, native, "%s %s", verb, path), err);
}

static char *path_of(const char *folder, dz_str name)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_MIB);
    dz_buf_put(&b, dz_str_of(folder));
    dz_buf_putc(&b, '/');
    dz_buf_put(&b, name);
    return dz_str_dup(dz_buf_str(&b));
}

/* ---- whose a result is ----------------------------------------------------------------------- */

static enum dz_code mark_folder(const char *path, const char *comment, struct dz_err *err)
{
    if (setxattr(path, ATTRIBUTE, comment, strlen(comment), 0) == 0)
        return DZ_OK;
    if (errno != ENOTSUP && errno != EPERM && errno != ENOSPC && errno != E2BIG && errno != ERANGE)
        return fail_at(err, "mark", path);
    DZ_AUTO(dz_freep) char *mark = path_of(path, DZ_S(MARK_FILE));
    return crawl_file_code(dz_file_write_atomic(mark, dz_str_of(comment), 0644, err), err);
}

enum mark { MARK_NONE, MARK_OURS, MARK_OTHERS };

static enum mark mark_of(const char *path, const char *comment)
{
    char text[8 * 1024];
    ssize_t n = getxattr(path, ATTRIBUTE, text, sizeof(text));
    if (n >= 0)
        return dz_str_eq((dz_str){text, (size_t)n}, dz_str_of(comment)) ? MARK_OURS : MARK_OTHERS;
    DZ_AUTO(dz_freep) char *mark = path_of(path, DZ_S(MARK_FILE));
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, sizeof(text));
    if (dz_file_read(mark, &b, NULL) != DZ_OK)
        return MARK_NONE;
    return dz_str_eq(dz_buf_str(&b), dz_str_of(comment)) ? MARK_OURS : MARK_OTHERS;
}

static bool is_empty(const char *path)
{
    DIR *d = opendir(path);
    bool empty = d != NULL;
    for (const struct dirent *e; d && (e = readdir(d));)
        empty &= strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    if (d)
        closedir(d);
    return empty;
}

static bool is_ours(const struct download_place *p, const char *path, const struct stat *st)
{
    if (S_ISDIR(st->st_mode))
        return !*p->ext && mark_of(path, p->comment) == MARK_OURS;
    if (!S_ISREG(st->st_mode) || !*p->ext)
        return false;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    dz_str comment;
    return dz_zip_comment_of(path, a, &comment, NULL) == DZ_OK &&
           dz_str_eq(comment, dz_str_of(p->comment));
}

/* The i-th name that the result may have: NAME.ext, NAME (2).ext … */
static char *candidate(const struct download_place *p, unsigned i)
{
    DZ_AUTO(dz_buf_done) struct dz_buf name;
    char ext[64];
    if (i <= 1)
        snprintf(ext, sizeof(ext), "%s", p->ext);
    else
        snprintf(ext, sizeof(ext), " (%u)%s", i, p->ext);
    dz_buf_init(&name, DZ_KIB);
    dz_file_name_put(dz_str_of(p->file), dz_str_of(ext), &name);
    return path_of(p->folder, dz_buf_str(&name));
}

static enum dz_code no_name(const struct download_place *p, struct dz_err *err)
{
    return dz_fail(err, DZ_FORBIDDEN, "%s has %u results of that name already", p->folder,
                   NAMES_MAX);
}

/* The result of the same chapter that is there; NULL: none. */
static char *find_result(const struct download_place *p, int64_t since_ms)
{
    for (unsigned i = 1; i <= NAMES_MAX; i++) {
        DZ_AUTO(dz_freep) char *path = candidate(p, i);
        struct stat st;
        if (lstat(path, &st) != 0)
            return NULL;
        if (!is_ours(p, path, &st))
            continue;
        int64_t at_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
        return at_ms >= since_ms ? dz_take(&path) : NULL;
    }
    return NULL;
}

/* ---- the folder of the work ------------------------------------------------------------------ */

static char *work_name(dz_str source, const struct download_args *d)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_MIB);
    dz_buf_put(&b, source);
    dz_buf_putc(&b, '\0');
    dz_buf_put(&b, d->chapter);
    dz_buf_putc(&b, '\0');
    dz_buf_put_u64(&b, (uint64_t)d->method);
    struct dz_sha256 sum = dz_sha256_of(dz_buf_str(&b));
    char name[6 + 16] = ".dozo-";
    dz_hex(sum.b, 8, name + 6);
    return dz_str_dup((dz_str){name, sizeof(name)});
}

static enum dz_code try_lock(struct download_place *p, bool *ret_locked, struct dz_err *err)
{
    if (mkdir(p->work, FOLDER_MODE) != 0 && errno != EEXIST)
        return fail_at(err, "mkdir", p->work);
    DZ_AUTO(dz_closep) int fd = open(p->work, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return DZ_OK; /* removed a moment ago */
    if (fd < 0)
        return fail_at(err, "open", p->work);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? dz_fail(err, DZ_CONFLICT, "another dozo works in %s right now", p->work)
                   : fail_at(err, "lock", p->work);
    struct stat ours, named;
    if (fstat(fd, &ours) != 0 || lstat(p->work, &named) != 0 || ours.st_ino != named.st_ino)
        return DZ_OK;
    p->lock_fd = fd;
    fd = -1;
    *ret_locked = true;
    return DZ_OK;
}

static enum dz_code lock_work(struct download_place *p, struct dz_err *err)
{
    for (unsigned i = 0; i < LOCK_TRIES; i++) {
        bool locked = false;
        DZ_TRY(try_lock(p, &locked, err));
        if (locked)
            return DZ_OK;
    }
    return dz_fail(err, DZ_CONFLICT, "%s comes and goes", p->work);
}

static bool is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* `files`: the folder of the result. One that this chapter had before is left alone until the end:
 * new pages wait in the folder of the work, as they always do when they are `apart`. */
static enum dz_code open_final(struct download_place *p, bool apart, struct dz_err *err)
{
    for (unsigned i = 1; i <= NAMES_MAX; i++) {
        DZ_AUTO(dz_freep) char *path = candidate(p, i);
        struct stat st;
        if (mkdir(path, FOLDER_MODE) != 0 && errno != EEXIST)
            return fail_at(err, "mkdir", path);
        if (lstat(path, &st) != 0)
            return fail_at(err, "stat", path);
        /* An empty one that is marked waits for its first page. */
        bool empty = S_ISDIR(st.st_mode) && is_empty(path);
        bool is_free = empty && mark_of(path, p->comment) == MARK_NONE;
        if (!is_free && !is_ours(p, path, &st))
            continue;
        if (is_free)
            DZ_TRY(mark_folder(path, p->comment, err));
        p->in_final = !apart && !is_there(p->pages) && (empty || is_there(p->journal));
        p->final = dz_take(&path);
        return DZ_OK;
    }
    return no_name(p, err);
}

/* One at a time in a folder: between the making of a folder and its mark it looks like nobody's. */
static enum dz_code open_final_alone(struct download_place *p, bool apart, struct dz_err *err)
{
    DZ_AUTO(dz_closep) int fd = open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) != 0)
        return fail_at(err, "lock", p->folder);
    return open_final(p, apart, err);
}

static unsigned width_of(uint32_t pages)
{
    if (pages == 0)
        return WIDTH_UNKNOWN;
    unsigned n = 1;
    for (; pages >= 10; pages /= 10)
        n++;
    return n;
}

static enum dz_code open_work(struct download_place *p, bool apart, struct dz_err *err)
{
    DZ_TRY(lock_work(p, err));
    if (!*p->ext)
        DZ_TRY(open_final_alone(p, apart, err));
    if (p->in_final) {
        free(p->pages);
        p->pages = dz_strdup(p->final);
    } else if (mkdir(p->pages, FOLDER_MODE) != 0 && errno != EEXIST) {
        return fail_at(err, "mkdir", p->pages);
    }
    /* Left by one that was killed while it wrote. */
    unlink(p->archive);
    return DZ_OK;
}

enum dz_code download_place_open(struct download_place *p, const char *destination, dz_str source,
                                 const struct download_args *d, bool apart, int64_t since_ms,
                                 bool *ret_there, char **ret_path, struct dz_err *err)
{
    static const char *const exts[DZ_DOWNLOAD_METHODS] = {"", ".zip", ".cbz", ".cbz"};
    *p =
        (struct download_place){.ext = exts[d->method], .lock_fd = -1, .width = width_of(d->pages)};
    DZ_AUTO(dz_buf_done) struct dz_buf comment;
    dz_buf_init(&comment, DZ_MIB);
    dz_buf_put(&comment, DZ_S("dozo "));
    dz_buf_put(&comment, source);
    dz_buf_putc(&comment, ' ');
    dz_buf_put(&comment, d->chapter);
    p->comment = dz_str_dup(dz_buf_str(&comment));
    p->file = dz_str_dup(d->file);
    p->folder = d->folder.n ? path_of(destination, d->folder) : dz_strdup(destination);
    DZ_AUTO(dz_freep) char *name = work_name(source, d);
    p->work = path_of(p->folder, dz_str_of(name));
    p->pages = path_of(p->work, DZ_S("pages"));
    p->journal = path_of(p->work, DZ_S("journal"));
    p->archive = path_of(p->work, DZ_S("archive"));
    /* A result beside which work lies is not finished. */
    *ret_path = since_ms < INT64_MAX && !is_there(p->work) ? find_result(p, since_ms) : NULL;
    *ret_there = *ret_path != NULL;
    if (*ret_there)
        return DZ_OK;
    enum dz_code code = dz_mkdirs(p->folder, FOLDER_MODE, err);
    return code == DZ_OK ? open_work(p, apart, err) : crawl_file_code(code, err);
}

/* ---- the result ------------------------------------------------------------------------------ */

static int move(const char *from, const char *to)
{
    return dz_fault("rename") ? (errno = EIO, -1) : rename(from, to);
}

/* Without writing over anything; errno EEXIST. */
static int move_new(const char *from, const char *to)
{
    if (dz_fault("rename")) {
        errno = EIO;
        return -1;
    }
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
        return -1;
    /* A file system that does not know how: the name is taken by a link, or else in two steps. */
    if (link(from, to) == 0)
        return unlink(from);
    if (errno == EEXIST)
        return -1;
    struct stat st;
    if (lstat(to, &st) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(from, to);
}

enum dz_code download_place_publish(struct download_place *p, char **ret_path, struct dz_err *err)
{
    for (unsigned i = 1; i <= NAMES_MAX; i++) {
        DZ_AUTO(dz_freep) char *path = candidate(p, i);
        struct stat st;
        int moved = move_new(p->archive, path);
        if (moved != 0 && errno != EEXIST)
            return fail_at(err, "rename to", path);
        if (moved != 0 && (lstat(path, &st) != 0 || !is_ours(p, path, &st)))
            continue;
        if (moved != 0 && move(p->archive, path) != 0)
            return fail_at(err, "rename to", path);
        enum dz_code code = dz_fsync_dir(p->folder, err);
        if (code != DZ_OK)
            return crawl_file_code(code, err);
        *ret_path = dz_take(&path);
        return DZ_OK;
    }
    return no_name(p, err);
}

/* What page files and what is on the way to become one are called. */
static bool is_page_name(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    return (digits > 0 && name[digits] == '.') || strncmp(name, ".tmp-", 5) == 0;
}

/* Page files of an earlier time that are no pages of the chapter now. keep NULL: all of them. */
static void remove_pages(const char *folder, const struct dz_map *keep)
{
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d));) {
        if (!is_page_name(e->d_name) || (keep && dz_map_get(keep, dz_str_of(e->d_name))))
            continue;
        unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        closedir(d);
}

static enum dz_code name_pages(const struct download_place *p, const struct crawl_kept *v,
                               const dz_str *names, size_t n, struct dz_err *err)
{
    for (size_t i = 0; i < n; i++) {
        DZ_AUTO(dz_buf_done) struct dz_buf have;
        dz_buf_init(&have, DZ_KIB);
        dz_media_page_name(v[i].at, p->width, v[i].blob.mime, &have);
        DZ_AUTO(dz_freep) char *from = path_of(p->pages, dz_buf_str(&have));
        DZ_AUTO(dz_freep) char *to = path_of(p->final, names[i]);
        if (strcmp(from, to) != 0 && move(from, to) != 0)
            return fail_at(err, "rename to", to);
    }
    return DZ_OK;
}

enum dz_code download_place_publish_files(struct download_place *p, const struct crawl_kept *v,
                                          const dz_str *names, size_t n, char **ret_path,
                                          struct dz_err *err)
{
    DZ_TRY(name_pages(p, v, names, n, err));
    DZ_AUTO(dz_map_done) struct dz_map keep;
    dz_map_init(&keep);
    for (size_t i = 0; i < n; i++)
        dz_map_set(&keep, names[i], p);
    remove_pages(p->final, &keep);
    enum dz_code code = dz_fsync_dir(p->final, err);
    if (code == DZ_OK)
        code = dz_fsync_dir(p->folder, err);
    if (code != DZ_OK)
        return crawl_file_code(code, err);
    *ret_path = dz_strdup(p->final);
    return DZ_OK;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void forget_work(struct download_place *p, bool published)
{
    if (p->in_final && !published) {
        DZ_AUTO(dz_freep) char *mark = path_of(p->final, DZ_S(MARK_FILE));
        remove_pages(p->final, NULL);
        unlink(mark);
        rmdir(p->final);
    }
    if (!p->in_final) {
        remove_pages(p->pages, NULL);
        rmdir(p->pages);
    }
    unlink(p->journal);
    unlink(p->archive);
    rmdir(p->work);
}

void download_place_close(struct download_place *p, bool forget, bool published)
{
    /* Without a journal nobody could go on from it. */
    if (p->lock_fd >= 0 && (forget || !is_there(p->journal)))
        forget_work(p, published);
    dz_closep(&p->lock_fd);
    char **texts[] = {&p->comment, &p->folder,  &p->work,  &p->pages,
                      &p->journal, &p->archive, &p->final, &p->file};
    for (size_t i = 0; i < DZ_LEN(texts); i++)
        dz_freep(texts[i]);
}

/* ---- what nobody came back for --------------------------------------------------------------- */

static bool is_work_name(const char *name)
{
    return strncmp(name, ".dozo-", 6) == 0 && strspn(name + 6, "0123456789abcdef") == 16 &&
           name[6 + 16] == '\0';
}

static void sweep_work(const char *path, int64_t before_ms)
{
    struct download_place p = {.work = dz_strdup(path), .lock_fd = -1};
    p.pages = path_of(path, DZ_S("pages"));
    p.journal = path_of(path, DZ_S("journal"));
    p.archive = path_of(path, DZ_S("archive"));
    struct stat st;
    bool locked = false;
    bool old = lstat(p.journal, &st) == 0 && (int64_t)st.st_mtim.tv_sec * 1000 < before_ms;
    /* Where pages lie under their names already the journal says that they are not all. */
    if (old && is_there(p.pages) && try_lock(&p, &locked, NULL) == DZ_OK && locked)
        forget_work(&p, false);
    download_place_close(&p, false, false);
}

static void sweep_folder(const char *path, int64_t before_ms, bool deeper)
{
    DIR *d = opendir(path);
    for (const struct dirent *e; d && (e = readdir(d));) {
        DZ_AUTO(dz_freep) char *below = path_of(path, dz_str_of(e->d_name));
        struct stat st;
        if (lstat(below, &st) != 0 || !S_ISDIR(st.st_mode))
            continue;
        if (is_work_name(e->d_name))
            sweep_work(below, before_ms);
        else if (deeper && e->d_name[0] != '.')
            sweep_folder(below, before_ms, false);
    }
    if (d)
        closedir(d);
}

void crawl_download_sweep(const char *destination, int64_t before_ms)
{
    sweep_folder(destination, before_ms, true);
}
