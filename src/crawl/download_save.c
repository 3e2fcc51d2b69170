/*
 * download_save: kept pages become the result: an archive that is written as a stream, or files
 * under their names.
 *
 * In: pages that lie in the folder of the work, or blobs of the store. Out: one result under its
 * name. Sizes and checksums are known before the first byte is written, so that the archive needs
 * no more memory than a page, and equal pages make equal files. What is read is checked against its
 * checksum on the way: a file that somebody has changed does not get in. Blocks: a worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "crawl/download_int.h"

#define FILE_MODE 0644
#define COMICINFO_MAX (4 * DZ_MIB)
#define STEP_BYTES ((size_t)1024 * 1024) /* between two looks at `stop` */

struct saving {
    const struct download_save *s;
    struct dz_zip_entry *entries;
    size_t n;                /* of entries; ComicInfo.xml is the last */
    struct dz_buf comicinfo; /* n = 0: none */
    uint32_t *crcs;
    struct dz_buf page; /* the bytes of entry `at` */
    struct dz_body *body;
    size_t at;
};

/* ---- bytes of pages -------------------------------------------------------------------------- */

static enum dz_code read_file(struct saving *g, const struct crawl_kept *page, dz_str *ret_bytes,
                              struct dz_err *err)
{
    const struct download_place *p = g->s->place;
    DZ_AUTO(dz_buf_done) struct dz_buf path;
    dz_buf_init(&path, 64 * DZ_KIB);
    dz_buf_putf(&path, "%s/", p->pages);
    dz_media_page_name(page->at, p->width, page->blob.mime, &path);
    dz_buf_clear(&g->page);
    enum dz_code code = dz_file_read(dz_buf_cstr(&path), &g->page, err);
    if (code != DZ_OK)
        return crawl_file_code(code, err);
    *ret_bytes = dz_buf_str(&g->page);
    return DZ_OK;
}

static enum dz_code read_page(struct saving *g, size_t i, dz_str *ret_bytes, struct dz_err *err)
{
    const struct crawl_kept *page = &g->s->v[i];
    if (!g->s->in_store)
        return read_file(g, page, ret_bytes, err);
    dz_body_unref(&g->body);
    DZ_TRY(dz_store_get(g->s->env->store, &page->blob.sha, page->blob.bytes, &g->body, err));
    *ret_bytes = (dz_str){g->body->p, g->body->n};
    return DZ_OK;
}

static enum dz_code is_stopped(const struct saving *g, struct dz_err *err)
{
    return atomic_load(g->s->stop) ? dz_fail(err, DZ_CANCELLED, "stopped") : DZ_OK;
}

/* ---- checksums of blobs ---------------------------------------------------------------------- */

static enum dz_code learn_crcs(struct saving *g, struct dz_err *err)
{
    const struct download_save *s = g->s;
    struct dz_sha256 *shas = dz_alloc(s->n * sizeof(*shas));
    uint64_t *known = dz_alloc(s->n * sizeof(*known));
    for (size_t i = 0; i < s->n; i++)
        shas[i] = s->v[i].blob.sha;
    enum dz_code code = dz_catalog_blob_crcs(s->env->catalog, shas, s->n, known, err);
    size_t learnt = 0;
    for (size_t i = 0; i < s->n && code == DZ_OK; i++) {
        if (known[i] != UINT64_MAX) {
            g->crcs[i] = (uint32_t)known[i];
            continue;
        }
        dz_str bytes;
        code = is_stopped(g, err);
        if (code == DZ_OK)
            code = read_page(g, i, &bytes, err);
        if (code == DZ_OK)
            g->crcs[i] = dz_crc32(0, bytes);
        learnt++;
    }
    if (code == DZ_OK && learnt > 0)
        code = dz_catalog_blob_crcs_put(s->env->catalog, shas, g->crcs, s->n, err);
    free(shas);
    free(known);
    return code;
}

/* ---- the archive ----------------------------------------------------------------------------- */

static enum dz_code list_entries(struct saving *g, struct dz_err *err)
{
    const struct download_save *s = g->s;
    for (size_t i = 0; i < s->n; i++)
        g->crcs[i] = s->v[i].crc;
    if (s->in_store)
        DZ_TRY(learn_crcs(g, err));
    for (g->n = 0; g->n < s->n; g->n++)
        g->entries[g->n] =
            (struct dz_zip_entry){s->names[g->n], s->v[g->n].blob.bytes, g->crcs[g->n]};
    if (s->args->method != DZ_DOWNLOAD_COMICINFO)
        return DZ_OK;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(16 * DZ_MIB);
    download_comicinfo(s->args, s->v, s->n, s->conf, a, &g->comicinfo);
    if (g->comicinfo.full)
        return dz_fail(err, DZ_TOO_LARGE, "ComicInfo.xml would be larger than %llu bytes",
                       (unsigned long long)COMICINFO_MAX);
    dz_str text = dz_buf_str(&g->comicinfo);
    g->entries[g->n++] = (struct dz_zip_entry){DZ_S("ComicInfo.xml"), text.n, dz_crc32(0, text)};
    return DZ_OK;
}

/* The whole entry, checked; it is read once, for its pieces come one after another. */
static enum dz_code entry_bytes(struct saving *g, size_t i, dz_str *bytes, struct dz_err *err)
{
    if (i == g->s->n) {
        *bytes = dz_buf_str(&g->comicinfo);
        return DZ_OK;
    }
    if (g->at == i)
        return DZ_OK;
    DZ_TRY(read_page(g, i, bytes, err));
    if (bytes->n != g->entries[i].bytes || dz_crc32(0, *bytes) != g->entries[i].crc)
        return dz_fail(err, DZ_CORRUPT, "page %.*s has changed since it was kept",
                       DZ_STR_FMT(g->entries[i].name));
    g->at = i;
    return DZ_OK;
}

static enum dz_code write_pieces(struct saving *g, const struct dz_zip_plan *plan, int fd,
                                 struct dz_err *err)
{
    uint64_t at = 0;
    dz_str whole = {NULL, 0};
    struct dz_zip_piece piece;
    while (dz_zip_plan_piece(plan, at, &piece)) {
        DZ_TRY(is_stopped(g, err));
        dz_str bytes = piece.bytes;
        if (bytes.n == 0) {
            DZ_TRY(entry_bytes(g, piece.entry, &whole, err));
            size_t n = piece.n < STEP_BYTES ? (size_t)piece.n : STEP_BYTES;
            bytes = dz_str_sub(whole, (size_t)piece.from, (size_t)piece.from + n);
        }
        enum dz_code code = dz_write_all(fd, bytes, err);
        if (code != DZ_OK)
            return crawl_file_code(dz_wrap(err, code, "%s", g->s->place->archive), err);
        at += bytes.n;
    }
    return DZ_OK;
}

static enum dz_code write_archive(struct saving *g, const struct dz_zip_plan *plan,
                                  struct dz_err *err)
{
    const char *path = g->s->place->archive;
    DZ_AUTO(dz_closep)
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0)
        return crawl_file_code(
            dz_fail_errno(err, errno == ENOSPC ? DZ_FULL : DZ_IO, errno, "create %s", path), err);
    DZ_TRY(write_pieces(g, plan, fd, err));
    if ((dz_fault("fsync") ? (errno = EIO, -1) : fsync(fd)) < 0)
        return crawl_file_code(
            dz_fail_errno(err, errno == ENOSPC ? DZ_FULL : DZ_IO, errno, "fsync %s", path), err);
    return DZ_OK;
}

static enum dz_code save_archive(struct saving *g, char **ret_path, struct dz_err *err)
{
    DZ_TRY(list_entries(g, err));
    struct dz_zip_plan *plan = NULL;
    DZ_TRY(dz_zip_plan_new(g->entries, g->n, dz_str_of(g->s->place->comment), &plan, err));
    enum dz_code code = write_archive(g, plan, err);
    dz_zip_plan_free(&plan);
    if (code == DZ_OK)
        code = download_place_publish(g->s->place, ret_path, err);
    if (code != DZ_OK)
        unlink(g->s->place->archive);
    return code;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Blobs become files of the folder that pages wait in. */
static enum dz_code copy_blobs(struct saving *g, struct dz_err *err)
{
    const struct download_place *p = g->s->place;
    for (size_t i = 0; i < g->s->n; i++) {
        dz_str bytes;
        DZ_TRY(is_stopped(g, err));
        DZ_TRY(read_page(g, i, &bytes, err));
        DZ_AUTO(dz_buf_done) struct dz_buf path;
        dz_buf_init(&path, 64 * DZ_KIB);
        dz_buf_putf(&path, "%s/", p->pages);
        dz_media_page_name(g->s->v[i].at, p->width, g->s->v[i].blob.mime, &path);
        enum dz_code code = dz_file_write_atomic(dz_buf_cstr(&path), bytes, FILE_MODE, err);
        if (code != DZ_OK)
            return crawl_file_code(code, err);
    }
    return DZ_OK;
}

enum dz_code download_save(const struct download_save *s, char **ret_path, struct dz_err *err)
{
    struct saving g = {.s = s, .at = SIZE_MAX};
    g.entries = dz_alloc((s->n + 1) * sizeof(*g.entries));
    g.crcs = dz_alloc((s->n + 1) * sizeof(*g.crcs));
    dz_buf_init(&g.page, CRAWL_PAGE_BYTES_MAX);
    dz_buf_init(&g.comicinfo, COMICINFO_MAX);
    enum dz_code code = DZ_OK;
    if (s->args->method != DZ_DOWNLOAD_FILES) {
        code = save_archive(&g, ret_path, err);
    } else {
        if (s->in_store)
            code = copy_blobs(&g, err);
        if (code == DZ_OK)
            code = download_place_publish_files(s->place, s->v, s->names, s->n, ret_path, err);
    }
    dz_body_unref(&g.body);
    dz_buf_done(&g.comicinfo);
    dz_buf_done(&g.page);
    free(g.crcs);
    free(g.entries);
    return code;
}
