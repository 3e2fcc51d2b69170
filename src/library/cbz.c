/*
 * cbz: a chapter of the library as a CBZ file that nobody stores: its pages in reading order, and
 * ComicInfo.xml from what the catalog says.
 *
 * In: a chapter of a snapshot. Out: how long the file is, its name and validators, and what stands
 * at any offset, known before a page is read: a ZIP of stored entries needs of their bytes only the
 * CRC-32. The catalog keeps these; where one is missing, the page is read once and its checksum
 * kept. The file is a function of the catalog and this program, so its ETag is a digest of all that
 * goes into it. Immutable and counted, for any thread; dz_cbz_new blocks.
 */
#include "library/library_int.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define INFO_BYTES_MAX (4 * DZ_MIB)
#define CHUNK_BYTES ((size_t)256 * 1024)
#define PAGE_NAME_MAX 32

struct page {
    struct dz_sha256 sha;
    uint64_t bytes;
};

struct dz_cbz {
    atomic_uint refs;
    struct page *pages;
    size_t pages_n;
    struct dz_buf info; /* the last entry */
    struct dz_zip_plan *plan;
    struct dz_buf name;
    int64_t modified_s;
    char etag[35];
};

/* ---- checksums ------------------------------------------------------------------------------- */

static enum dz_code wrong_length(uint64_t got, uint64_t wanted, struct dz_err *err)
{
    return dz_fail(err, DZ_CORRUPT, "a blob has %llu bytes, the catalog says %llu; run dozo check",
                   (unsigned long long)got, (unsigned long long)wanted);
}

static enum dz_code crc_of_file(const struct dz_file *f, uint32_t *ret_crc, struct dz_err *err)
{
    DZ_AUTO(dz_freep) char *chunk = dz_alloc(CHUNK_BYTES);
    uint32_t crc = 0;
    for (uint64_t at = 0; at < f->bytes;) {
        ssize_t got = pread(f->fd, chunk, CHUNK_BYTES, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return dz_fail_errno(err, DZ_IO, errno, "a blob cannot be read");
        if (got == 0)
            return wrong_length(at, f->bytes, err);
        crc = dz_crc32(crc, (dz_str){chunk, (size_t)got});
        at += (uint64_t)got;
    }
    *ret_crc = crc;
    return DZ_OK;
}

/* Reads the page; crc NULL: only looks whether it is there. */
static enum dz_code look_at(struct dz_library *l, const struct page *p, uint32_t *crc,
                            struct dz_err *err)
{
    DZ_AUTO(dz_file_unref) struct dz_file *file = NULL;
    enum dz_code code = dz_library_file(l, &p->sha, &file, err);
    if (code == DZ_OK) {
        if (file->bytes != p->bytes)
            return wrong_length(file->bytes, p->bytes, err);
        return crc ? crc_of_file(file, crc, err) : DZ_OK;
    }
    if (code != DZ_UNSUPPORTED)
        return code;
    DZ_AUTO(dz_body_unref) struct dz_body *body = dz_library_at_hand(l, &p->sha);
    if (!crc && body)
        return body->n == p->bytes ? DZ_OK : wrong_length(body->n, p->bytes, err);
    if (!crc) {
        struct dz_blob_stat stat;
        DZ_TRY(library_blobs_stat(l->blobs, &p->sha, &stat, err));
        return stat.bytes == p->bytes ? DZ_OK : wrong_length(stat.bytes, p->bytes, err);
    }
    struct dz_blob_ask ask = {.sha = p->sha, .bytes = p->bytes, .keep = true};
    dz_body_unref(&body);
    DZ_TRY(dz_library_fetch(l, &ask, &body, &file, err));
    if (file)
        return crc_of_file(file, crc, err);
    *crc = dz_crc32(0, (dz_str){body->p, body->n});
    return DZ_OK;
}

/* All pages are there, and their checksums in entries. Those that were not known are kept; a
 * catalog that cannot be written now will be told another time. */
static enum dz_code sum_up(struct dz_library *l, const struct dz_cbz *z,
                           struct dz_zip_entry *entries, struct dz_err *err)
{
    size_t n = z->pages_n, new_n = 0;
    DZ_AUTO(dz_freep) struct dz_sha256 *shas = dz_alloc((n + 1) * sizeof *shas);
    DZ_AUTO(dz_freep) uint64_t *known = dz_alloc((n + 1) * sizeof *known);
    DZ_AUTO(dz_freep) uint32_t *crcs = dz_alloc((n + 1) * sizeof *crcs);
    for (size_t i = 0; i < n; i++)
        shas[i] = z->pages[i].sha;
    DZ_TRY(dz_catalog_blob_crcs(l->catalog, shas, n, known, err));
    for (size_t i = 0; i < n; i++) {
        bool is_new = known[i] == UINT64_MAX;
        uint32_t crc = (uint32_t)known[i];
        DZ_TRY(look_at(l, &z->pages[i], is_new ? &crc : NULL, err));
        entries[i].crc = crc;
        if (!is_new)
            continue;
        shas[new_n] = z->pages[i].sha;
        crcs[new_n++] = crc;
    }
    struct dz_err own;
    if (new_n > 0 && dz_catalog_blob_crcs_put(l->catalog, shas, crcs, new_n, &own) != DZ_OK &&
        l->complain)
        l->complain(l->publish_arg, &own);
    return DZ_OK;
}

/* ---- what it says of itself ------------------------------------------------------------------ */

static bool is_address(dz_str s)
{
    return dz_str_starts(s, DZ_S("https://")) || dz_str_starts(s, DZ_S("http://"));
}

static enum dz_code describe(struct dz_cbz *z, const struct dz_snapshot *s,
                             const struct dz_snap_chapter *c, const struct dz_cbz_options *o,
                             struct dz_err *err)
{
    DZ_AUTO(dz_freep) struct dz_comicinfo_page *pages = dz_alloc((z->pages_n + 1) * sizeof *pages);
    for (size_t i = 0; i < z->pages_n; i++) {
        const struct dz_snap_page *p = &c->pages[i];
        pages[i] = (struct dz_comicinfo_page){p->bytes, p->width, p->height};
    }
    uint64_t volume;
    bool whole = dz_str_u64(c->volume, INT32_MAX, &volume, NULL) == DZ_OK;
    struct dz_comicinfo_out info = {
        .title = c->title,
        .series = s->series.title,
        .number = c->number,
        .summary = s->series.description,
        .notes = DZ_S("Made by dozo"),
        .web = is_address(s->series.url) ? s->series.url : (dz_str){0},
        .volume = whole ? (int64_t)volume : -1,
        .year = -1,
        .month = -1,
        .day = -1,
        .writer = s->series.authors,
        .language = s->series.lang,
        .manga = s->series.right_to_left ? DZ_S("YesAndRightToLeft") : (dz_str){0},
        .pages = pages,
        .pages_n = z->pages_n,
        .sizes = o->sizes,
        .is_21 = o->is_21,
    };
    dz_comicinfo_write(&info, &z->info);
    if (z->info.full)
        return dz_fail(err, DZ_TOO_LARGE, "a ComicInfo.xml of over %llu bytes",
                       (unsigned long long)INFO_BYTES_MAX);
    return DZ_OK;
}

static void put_if(struct dz_buf *b, const char *before, dz_str text)
{
    if (text.n == 0)
        return;
    dz_buf_put(b, dz_str_of(before));
    dz_buf_put(b, text);
}

/* "Series Vol. 2 Ch. 10.5 - Title.cbz", which dz_name_parse() takes apart again. */
static void give_name(struct dz_cbz *z, const struct dz_snapshot *s,
                      const struct dz_snap_chapter *c)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 8 * DZ_TEXT_MAX);
    dz_buf_put(&b, s->series.title);
    put_if(&b, " Vol. ", c->volume);
    put_if(&b, " Ch. ", c->number);
    put_if(&b, " - ", c->title);
    if (c->volume.n + c->number.n + c->title.n == 0)
        put_if(&b, " - ", c->key);
    dz_file_name_put(dz_buf_str(&b), DZ_S(".cbz"), &z->name);
}

/* Over everything that a byte of the file depends on. */
static void give_etag(struct dz_cbz *z)
{
    struct dz_sha256_ctx *hash = dz_sha256_new();
    struct dz_zip_piece piece;
    for (uint64_t at = 0; dz_zip_plan_piece(z->plan, at, &piece);
         at += piece.bytes.n > 0 ? piece.bytes.n : piece.n)
        dz_sha256_add(hash, piece.bytes);
    for (size_t i = 0; i < z->pages_n; i++)
        dz_sha256_add(hash, (dz_str){(const char *)z->pages[i].sha.b, sizeof z->pages[i].sha.b});
    dz_sha256_add(hash, dz_buf_str(&z->info));
    struct dz_sha256 sha = dz_sha256_end(hash);
    dz_sha256_free(&hash);
    z->etag[0] = z->etag[33] = '"';
    dz_hex(sha.b, 16, z->etag + 1);
}

/* ---- making ---------------------------------------------------------------------------------- */

static unsigned digits_of(size_t n)
{
    unsigned digits = 1;
    for (; n >= 10; n /= 10)
        digits++;
    return digits;
}

static enum dz_code lay_out(struct dz_library *l, struct dz_cbz *z, const struct dz_snap_chapter *c,
                            struct dz_err *err)
{
    DZ_AUTO(dz_freep) struct dz_zip_entry *entries = dz_alloc((z->pages_n + 1) * sizeof *entries);
    DZ_AUTO(dz_buf_done) struct dz_buf names;
    dz_buf_init(&names, (z->pages_n + 1) * PAGE_NAME_MAX);
    (void)dz_buf_reserve(&names, (z->pages_n + 1) * PAGE_NAME_MAX); /* it does not move then */
    for (size_t i = 0; i < z->pages_n; i++) {
        size_t from = names.n;
        dz_media_page_name((uint32_t)i, digits_of(z->pages_n), dz_str_of(c->pages[i].mime), &names);
        entries[i] = (struct dz_zip_entry){.name = dz_str_sub(dz_buf_str(&names), from, names.n),
                                           .bytes = z->pages[i].bytes};
    }
    DZ_TRY(sum_up(l, z, entries, err));
    entries[z->pages_n] =
        (struct dz_zip_entry){DZ_S("ComicInfo.xml"), z->info.n, dz_crc32(0, dz_buf_str(&z->info))};
    return dz_zip_plan_new(entries, z->pages_n + 1, DZ_S(""), &z->plan, err);
}

enum dz_code dz_cbz_new(struct dz_library *l, const struct dz_snapshot *s,
                        const struct dz_snap_chapter *c, const struct dz_cbz_options *o,
                        struct dz_cbz **ret_z, struct dz_err *err)
{
    DZ_AUTO(dz_cbz_unref) struct dz_cbz *z = dz_new(struct dz_cbz);
    atomic_init(&z->refs, 1);
    dz_buf_init(&z->info, INFO_BYTES_MAX);
    dz_buf_init(&z->name, 256);
    z->pages_n = c->pages_n;
    z->pages = dz_alloc((c->pages_n + 1) * sizeof *z->pages);
    for (size_t i = 0; i < c->pages_n; i++)
        z->pages[i] = (struct page){c->pages[i].sha, c->pages[i].bytes};
    z->modified_s = s->series.updated_s > c->updated_s ? s->series.updated_s : c->updated_s;
    DZ_TRY(describe(z, s, c, o, err));
    DZ_TRY(lay_out(l, z, c, err));
    give_name(z, s, c);
    give_etag(z);
    *ret_z = dz_take(&z);
    return DZ_OK;
}

struct dz_cbz *dz_cbz_ref(struct dz_cbz *z)
{
    atomic_fetch_add_explicit(&z->refs, 1, memory_order_relaxed);
    return z;
}

void dz_cbz_unref(struct dz_cbz **pz)
{
    struct dz_cbz *z = dz_take(pz);
    if (!z || atomic_fetch_sub_explicit(&z->refs, 1, memory_order_acq_rel) > 1)
        return;
    dz_zip_plan_free(&z->plan);
    dz_buf_done(&z->info);
    dz_buf_done(&z->name);
    free(z->pages);
    free(z);
}

/* ---- asking ---------------------------------------------------------------------------------- */

uint64_t dz_cbz_bytes(const struct dz_cbz *z)
{
    return dz_zip_plan_bytes(z->plan);
}

uint64_t dz_cbz_memory(const struct dz_cbz *z)
{
    return sizeof *z + z->pages_n * sizeof *z->pages + z->info.cap + z->name.cap +
           dz_zip_plan_memory(z->plan);
}

dz_str dz_cbz_name(const struct dz_cbz *z)
{
    return dz_buf_str(&z->name);
}

dz_str dz_cbz_etag(const struct dz_cbz *z)
{
    return (dz_str){z->etag, sizeof z->etag - 1};
}

int64_t dz_cbz_modified_s(const struct dz_cbz *z)
{
    return z->modified_s;
}

bool dz_cbz_piece(const struct dz_cbz *z, uint64_t at, struct dz_cbz_piece *ret_piece)
{
    struct dz_zip_piece piece;
    if (!dz_zip_plan_piece(z->plan, at, &piece))
        return false;
    if (piece.bytes.n > 0)
        *ret_piece = (struct dz_cbz_piece){.bytes = piece.bytes};
    else if (piece.entry == z->pages_n)
        *ret_piece = (struct dz_cbz_piece){
            .bytes = dz_str_sub(dz_buf_str(&z->info), (size_t)piece.from, z->info.n)};
    else
        *ret_piece = (struct dz_cbz_piece){.blob = &z->pages[piece.entry].sha,
                                           .blob_bytes = z->pages[piece.entry].bytes,
                                           .from = piece.from,
                                           .n = piece.n};
    return true;
}
