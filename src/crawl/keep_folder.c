/*
 * keep_folder: pages of a download: files in a folder, named by their places, and a journal that
 * says which address each came from.
 *
 * In: bytes of pages. Out: files that are there whole or not at all (temporary name, fsync, rename)
 * and a line of the journal for each, appended after the files of a batch are safe. What a line
 * promises is checked when it is read back: size and CRC-32 of the file. Workers; put touches
 * nothing that is shared.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crawl/keep_int.h"

#define JOURNAL_MAX (256 * DZ_MIB)
#define LINE_MAX_BYTES ((size_t)64 * 1024)
#define FILE_MODE 0644

struct keep_folder {
    struct crawl_keeper base;
    char *pages, *journal;
    unsigned width;
};

static struct keep_folder *of(struct crawl_keeper *k)
{
    return dz_container(k, struct keep_folder, base);
}

enum dz_code crawl_file_code(enum dz_code code, struct dz_err *err)
{
    static const int lasting[] = {EACCES, EPERM, EROFS, ENOTDIR, EISDIR, ENAMETOOLONG, ELOOP};
    if (code == DZ_NOT_FOUND)
        code = DZ_UNAVAILABLE; /* a folder that went away */
    for (size_t i = 0; i < DZ_LEN(lasting) && code != DZ_OK; i++)
        if (err->native == lasting[i])
            code = DZ_FORBIDDEN;
    err->code = code;
    return code;
}

static void put_path(const struct keep_folder *f, const struct crawl_kept *page, struct dz_buf *out)
{
    dz_buf_init(out, 64 * DZ_KIB);
    dz_buf_putf(out, "%s/", f->pages);
    dz_media_page_name(page->at, f->width, page->blob.mime, out);
}

/* ---- reading back ---------------------------------------------------------------------------- */

static int64_t int_of(const json_t *line, const char *name)
{
    return json_integer_value(json_object_get(line, name));
}

static dz_str text_of(const json_t *line, const char *name, struct dz_arena *a)
{
    return dz_arena_str(a, dz_json_text_at(line, name));
}

/* false: no line of ours, or one that is cut off. */
static bool read_line(dz_str text, struct dz_arena *a, struct crawl_kept *ret)
{
    json_t *line = json_loadb(text.p, text.n, 0, NULL);
    int64_t at = int_of(line, "at"), bytes = int_of(line, "bytes"), crc = int_of(line, "crc");
    int64_t width = int_of(line, "width"), height = int_of(line, "height");
    bool right = json_is_integer(json_object_get(line, "at")) && at >= 0 &&
                 at < DZ_CHAPTER_PAGES_MAX && bytes >= 0 && crc >= 0 && crc <= UINT32_MAX &&
                 width >= 0 && width <= UINT32_MAX && height >= 0 && height <= UINT32_MAX;
    if (right)
        *ret = (struct crawl_kept){
            .at = (uint32_t)at,
            .url = text_of(line, "url", a),
            .mtime_s = int_of(line, "mtime"),
            .dropped = bytes == 0,
            .blob = {.bytes = (uint64_t)bytes,
                     .width = (uint32_t)width,
                     .height = (uint32_t)height,
                     .mime = text_of(line, "mime", a)},
            .crc = (uint32_t)crc,
        };
    json_decref(line);
    return right;
}

static bool is_whole(const struct keep_folder *f, const struct crawl_kept *page)
{
    if (page->dropped)
        return true;
    DZ_AUTO(dz_buf_done) struct dz_buf path, bytes;
    put_path(f, page, &path);
    dz_buf_init(&bytes, CRAWL_PAGE_BYTES_MAX);
    return dz_file_read(dz_buf_cstr(&path), &bytes, NULL) == DZ_OK && bytes.n == page->blob.bytes &&
           dz_crc32(0, dz_buf_str(&bytes)) == page->crc;
}

static enum dz_code recall(struct crawl_keeper *k, struct dz_arena *a, struct crawl_kept **ret_v,
                           size_t *ret_n, struct dz_err *err)
{
    struct keep_folder *f = of(k);
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, JOURNAL_MAX);
    enum dz_code code = dz_file_read(f->journal, &text, err);
    if (code != DZ_OK && code != DZ_NOT_FOUND)
        return crawl_file_code(code, err);
    struct crawl_kept *v = dz_alloc(DZ_CHAPTER_PAGES_MAX * sizeof(*v));
    bool *has = dz_zalloc(DZ_CHAPTER_PAGES_MAX);
    dz_str rest = dz_buf_str(&text);
    while (rest.n > 0) {
        size_t nl = dz_str_chr(rest, '\n');
        struct crawl_kept page;
        dz_str line = dz_str_sub(rest, 0, nl);
        if (line.n > 0 && line.n <= LINE_MAX_BYTES && read_line(line, a, &page)) {
            has[page.at] = true;
            v[page.at] = page; /* the last one is what the file is now */
        }
        rest = dz_str_after(rest, nl);
    }
    size_t n = 0;
    for (size_t i = 0; i < DZ_CHAPTER_PAGES_MAX; i++)
        if (has[i] && is_whole(f, &v[i]))
            v[n++] = v[i];
    *ret_v = dz_arena_alloc(a, (n ? n : 1) * sizeof(*v));
    memcpy(*ret_v, v, n * sizeof(*v));
    *ret_n = n;
    free(has);
    free(v);
    return DZ_OK;
}

/* ---- keeping --------------------------------------------------------------------------------- */

static enum dz_code put(struct crawl_keeper *k, struct crawl_kept *page, dz_str bytes,
                        struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf path;
    put_path(of(k), page, &path);
    enum dz_code code = dz_file_write_atomic(dz_buf_cstr(&path), bytes, FILE_MODE, err);
    if (code != DZ_OK)
        return crawl_file_code(code, err);
    page->blob.bytes = bytes.n;
    page->crc = dz_crc32(0, bytes);
    return DZ_OK;
}

static void put_line(const struct crawl_kept *page, struct dz_buf *out)
{
    const struct {
        const char *name;
        int64_t n;
    } numbers[] = {
        {"at", page->at},
        {"bytes", (int64_t)page->blob.bytes},
        {"crc", page->crc},
        {"width", page->blob.width},
        {"height", page->blob.height},
        {"mtime", page->mtime_s},
    };
    struct dz_json j;
    dz_buf_putc(out, '\n'); /* in front: a line that was cut off ends there */
    dz_json_init(&j, out, DZ_JSON_COMPACT, true);
    dz_json_object(&j);
    for (size_t i = 0; i < DZ_LEN(numbers); i++) {
        dz_json_key(&j, dz_str_of(numbers[i].name));
        dz_json_int(&j, numbers[i].n);
    }
    dz_json_key(&j, DZ_S("mime"));
    dz_json_str(&j, page->blob.mime);
    dz_json_key(&j, DZ_S("url"));
    dz_json_str(&j, page->url);
    dz_json_end(&j);
}

static enum dz_code append(const char *path, dz_str text, struct dz_err *err)
{
    DZ_AUTO(dz_closep)
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0)
        return dz_fail_errno(err, errno == ENOSPC ? DZ_FULL : DZ_IO, errno, "open %s", path);
    enum dz_code code = dz_write_all(fd, text, err);
    if (code != DZ_OK)
        return dz_wrap(err, code, "%s", path);
    if ((dz_fault("fsync") ? (errno = EIO, -1) : fsync(fd)) < 0)
        return dz_fail_errno(err, DZ_IO, errno, "fsync %s", path);
    return DZ_OK;
}

static enum dz_code sync_pages(struct crawl_keeper *k, const struct crawl_kept *v, size_t n,
                               struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf lines;
    dz_buf_init(&lines, JOURNAL_MAX);
    for (size_t i = 0; i < n; i++)
        put_line(&v[i], &lines);
    dz_buf_putc(&lines, '\n');
    enum dz_code code = append(of(k)->journal, dz_buf_str(&lines), err);
    return code == DZ_OK ? DZ_OK : crawl_file_code(code, err);
}

static void free_keeper(struct crawl_keeper *k)
{
    struct keep_folder *f = of(k);
    free(f->pages);
    free(f->journal);
    free(f);
}

static const struct crawl_keeper_type type = {
    .name = "folder",
    .recall = recall,
    .put = put,
    .sync = sync_pages,
    .free = free_keeper,
};

struct crawl_keeper *crawl_keep_folder(const struct crawl_folder_spec *s)
{
    struct keep_folder *f = dz_new(struct keep_folder);
    f->base.type = &type;
    f->pages = dz_strdup(s->pages);
    f->journal = dz_strdup(s->journal);
    f->width = s->width;
    return &f->base;
}
