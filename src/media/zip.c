/*
 * zip: the layout of a ZIP file of stored entries (APPNOTE.TXT 6.3), made before a byte of them is
 * read: names, sizes and checksums are known, so every byte that is not an entry's own is known
 * too, and how long the file is.
 *
 * In: the entries in order. Out: a plan that says what stands at any offset, either bytes of its
 * own (headers, table of contents) or a stretch of an entry, so that a file can be written as a
 * stream and any part of it be made alone. Equal entries make equal bytes: the date is always
 * 1980-01-01. ZIP64 is used exactly where a number does not fit. A plan is immutable and for any
 * thread.
 */
#include "media/media_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define HEADS_BYTES_MAX (512 * DZ_MIB)
#define FIT16 0xFFFFu /* this value says: look into the ZIP64 fields */
#define FIT32 0xFFFFFFFFu
#define DOS_DATE 0x0021u /* 1980-01-01, the first day there is */
#define FLAG_UTF8 0x0800u
#define NEEDS_PLAIN 10u
#define NEEDS_ZIP64 45u
#define MADE_BY_UNIX 0x0300u /* so that readers take the mode below */
#define MODE (0100644u << 16)
#define END_BYTES 22u

/* Where the header of an entry begins, in the file and in heads, and how long its data is. */
struct place {
    uint64_t at, head_at;
    uint32_t head_n;
    uint64_t data_n;
};

struct dz_zip_plan {
    struct place *places; /* ascending */
    size_t n;
    struct dz_buf heads; /* all local headers, one behind the other */
    struct dz_buf tail;  /* the table of contents and all behind it */
    uint64_t tail_at, bytes;
};

uint32_t dz_crc32(uint32_t crc, dz_str bytes)
{
    return (uint32_t)crc32_z(crc, (const unsigned char *)bytes.p, bytes.n);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void put_le(struct dz_buf *b, uint64_t n, unsigned bytes)
{
    char p[8];
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (char)(n >> (8 * i) & 0xFF);
    dz_buf_put(b, (dz_str){p, bytes});
}

static void put16(struct dz_buf *b, uint64_t n)
{
    put_le(b, n < FIT16 ? n : FIT16, 2);
}

static void put32(struct dz_buf *b, uint64_t n)
{
    put_le(b, n < FIT32 ? n : FIT32, 4);
}

static void put64(struct dz_buf *b, uint64_t n)
{
    put_le(b, n, 8);
}

/* ---- headers --------------------------------------------------------------------------------- */

static bool is_ascii(dz_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

/* What 4.3.7 and 4.3.12 have in common, from the version on. */
static void put_common(struct dz_buf *b, const struct dz_zip_entry *e, bool zip64,
                       uint64_t extra_bytes)
{
    put16(b, zip64 ? NEEDS_ZIP64 : NEEDS_PLAIN);
    put16(b, is_ascii(e->name) ? 0 : FLAG_UTF8);
    put16(b, 0); /* stored */
    put16(b, 0); /* midnight */
    put16(b, DOS_DATE);
    put_le(b, e->crc, 4);
    put32(b, e->bytes);
    put32(b, e->bytes);
    put_le(b, e->name.n, 2);
    put16(b, extra_bytes);
}

/* 4.5.3: sizes both or none, as 4.3.7 wants it for local headers; the offset behind them. */
static void put_zip64(struct dz_buf *b, uint64_t extra_bytes, const uint64_t *sizes,
                      const uint64_t *at)
{
    if (extra_bytes == 0)
        return;
    put16(b, 0x0001);
    put16(b, extra_bytes - 4);
    if (sizes) {
        put64(b, *sizes);
        put64(b, *sizes);
    }
    if (at)
        put64(b, *at);
}

static void put_local(struct dz_buf *b, const struct dz_zip_entry *e)
{
    bool big = e->bytes >= FIT32;
    uint64_t extra = big ? 20 : 0;
    dz_buf_put(b, DZ_S("PK\3\4"));
    put_common(b, e, big, extra);
    dz_buf_put(b, e->name);
    put_zip64(b, extra, big ? &e->bytes : NULL, NULL);
}

static void put_central(struct dz_buf *b, const struct dz_zip_entry *e, uint64_t at)
{
    bool big = e->bytes >= FIT32, far = at >= FIT32;
    uint64_t extra = (big || far ? 4 : 0) + (big ? 16 : 0) + (far ? 8 : 0);
    dz_buf_put(b, DZ_S("PK\1\2"));
    put16(b, MADE_BY_UNIX | (extra ? NEEDS_ZIP64 : NEEDS_PLAIN));
    put_common(b, e, extra > 0, extra);
    put16(b, 0); /* comment */
    put16(b, 0); /* disk */
    put16(b, 0); /* internal attributes */
    put_le(b, MODE, 4);
    put32(b, at);
    dz_buf_put(b, e->name);
    put_zip64(b, extra, big ? &e->bytes : NULL, far ? &at : NULL);
}

/* 4.3.14 to 4.3.16 behind a table of contents of so many bytes. */
static void put_end(struct dz_buf *b, size_t n, uint64_t at, uint64_t bytes, dz_str comment)
{
    if (n >= FIT16 || at >= FIT32 || bytes >= FIT32) {
        dz_buf_put(b, DZ_S("PK\6\6"));
        put64(b, 44);
        put16(b, MADE_BY_UNIX | NEEDS_ZIP64);
        put16(b, NEEDS_ZIP64);
        put32(b, 0);
        put32(b, 0);
        put64(b, n);
        put64(b, n);
        put64(b, bytes);
        put64(b, at);
        dz_buf_put(b, DZ_S("PK\6\7"));
        put32(b, 0);
        put64(b, at + bytes);
        put32(b, 1);
    }
    dz_buf_put(b, DZ_S("PK\5\6"));
    put16(b, 0);
    put16(b, 0);
    put16(b, n);
    put16(b, n);
    put32(b, bytes);
    put32(b, at);
    put_le(b, comment.n, 2);
    dz_buf_put(b, comment);
}

/* ---- the plan -------------------------------------------------------------------------------- */

static enum dz_code check_entry(const struct dz_zip_entry *e, size_t i, struct dz_err *err)
{
    dz_str shown = media_short(e->name);
    if (e->name.n == 0 || e->name.n > DZ_ZIP_NAME_MAX)
        return dz_fail(err, DZ_BAD_INPUT,
                       "entry %zu of a ZIP file has a name of %zu bytes; 1 to %u "
                       "are possible",
                       i + 1, e->name.n, DZ_ZIP_NAME_MAX);
    if (!dz_str_is_utf8(e->name) || dz_str_chr(e->name, '\0') != DZ_NPOS)
        return dz_fail(err, DZ_BAD_INPUT,
                       "entry %zu of a ZIP file has a name that is no UTF-8 text", i + 1);
    if (e->name.p[0] == '/' || e->name.p[e->name.n - 1] == '/') /* the latter is a folder's */
        return dz_fail(err, DZ_BAD_INPUT, "entry %.*s of a ZIP file has a slash at an end",
                       DZ_STR_FMT(shown));
    if (dz_str_chr(e->name, '\\') != DZ_NPOS) /* which many readers take for a slash */
        return dz_fail(err, DZ_BAD_INPUT, "entry %.*s of a ZIP file has a backslash in its name",
                       DZ_STR_FMT(shown));
    if (e->bytes > DZ_ZIP_BYTES_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "entry %.*s of a ZIP file is too large",
                       DZ_STR_FMT(shown));
    return DZ_OK;
}

static enum dz_code check_all(const struct dz_zip_entry *v, size_t n, dz_str comment,
                              struct dz_err *err)
{
    if (n > DZ_ZIP_ENTRIES_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "a ZIP file of %zu entries; at most %u are written", n,
                       DZ_ZIP_ENTRIES_MAX);
    if (comment.n > DZ_ZIP_NAME_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "the comment of a ZIP file has %zu bytes; at most %u fit",
                       comment.n, DZ_ZIP_NAME_MAX);
    if (dz_str_find(comment, DZ_S("PK\5\6")) != DZ_NPOS)
        return dz_fail(err, DZ_BAD_INPUT, "the comment of a ZIP file holds the mark of its end");
    for (size_t i = 0; i < n; i++)
        DZ_TRY(check_entry(&v[i], i, err));
    return DZ_OK;
}

enum dz_code dz_zip_plan_new(const struct dz_zip_entry *v, size_t n, dz_str comment,
                             struct dz_zip_plan **ret_p, struct dz_err *err)
{
    DZ_TRY(check_all(v, n, comment, err));
    DZ_AUTO(dz_zip_plan_free) struct dz_zip_plan *p = dz_new(struct dz_zip_plan);
    dz_buf_init(&p->heads, HEADS_BYTES_MAX);
    dz_buf_init(&p->tail, HEADS_BYTES_MAX);
    p->places = dz_alloc((n + 1) * sizeof *p->places);
    uint64_t at = 0;
    for (; p->n < n; p->n++) {
        size_t before = p->heads.n;
        put_local(&p->heads, &v[p->n]);
        put_central(&p->tail, &v[p->n], at);
        uint32_t head_n = (uint32_t)(p->heads.n - before);
        p->places[p->n] = (struct place){at, before, head_n, v[p->n].bytes};
        at += head_n + v[p->n].bytes;
        if (at > DZ_ZIP_BYTES_MAX)
            return dz_fail(err, DZ_TOO_LARGE, "a ZIP file of over %llu bytes",
                           (unsigned long long)DZ_ZIP_BYTES_MAX);
    }
    put_end(&p->tail, n, at, p->tail.n, comment);
    if (p->heads.full || p->tail.full)
        return dz_fail(err, DZ_TOO_LARGE, "a ZIP file whose names take over %llu bytes",
                       (unsigned long long)HEADS_BYTES_MAX);
    p->tail_at = at;
    p->bytes = at + p->tail.n;
    *ret_p = dz_take(&p);
    return DZ_OK;
}

void dz_zip_plan_free(struct dz_zip_plan **p)
{
    if (!*p)
        return;
    dz_buf_done(&(*p)->heads);
    dz_buf_done(&(*p)->tail);
    free((*p)->places);
    free(*p);
    *p = NULL;
}

uint64_t dz_zip_plan_bytes(const struct dz_zip_plan *p)
{
    return p->bytes;
}

uint64_t dz_zip_plan_memory(const struct dz_zip_plan *p)
{
    return sizeof *p + (p->n + 1) * sizeof *p->places + p->heads.cap + p->tail.cap;
}

bool dz_zip_plan_piece(const struct dz_zip_plan *p, uint64_t at, struct dz_zip_piece *ret)
{
    if (at >= p->bytes)
        return false;
    if (at >= p->tail_at) {
        dz_str rest = dz_str_sub(dz_buf_str(&p->tail), (size_t)(at - p->tail_at), p->tail.n);
        *ret = (struct dz_zip_piece){.bytes = rest};
        return true;
    }
    size_t low = 0, high = p->n; /* the last entry that begins at `at` or before */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (p->places[middle].at <= at)
            low = middle;
        else
            high = middle;
    }
    const struct place *e = &p->places[low];
    uint64_t in = at - e->at;
    if (in < e->head_n)
        *ret = (struct dz_zip_piece){
            .bytes = dz_str_sub(dz_buf_str(&p->heads), e->head_at + in, e->head_at + e->head_n)};
    else
        *ret = (struct dz_zip_piece){
            .entry = low, .from = in - e->head_n, .n = e->data_n - (in - e->head_n)};
    return true;
}

/* ---- the comment of a file ------------------------------------------------------------------- */

/* The end record whose comment ends with the file. */
static bool find_comment(dz_str end, dz_str *ret_comment)
{
    for (size_t i = end.n; i >= END_BYTES; i--) {
        size_t at = i - END_BYTES;
        if (!dz_str_starts(dz_str_sub(end, at, end.n), DZ_S("PK\5\6")))
            continue;
        if (at_le16(end, at + 20) != end.n - i)
            continue;
        *ret_comment = dz_str_sub(end, i, end.n);
        return true;
    }
    return false;
}

enum dz_code dz_zip_comment_of(const char *path, struct dz_arena *a, dz_str *ret,
                               struct dz_err *err)
{
    DZ_AUTO(dz_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    if (fd < 0)
        return dz_fail_errno(err, errno == ENOENT || errno == ENOTDIR ? DZ_NOT_FOUND : DZ_IO, errno,
                             "archive cannot be opened");
    if (fstat(fd, &st) != 0)
        return dz_fail_errno(err, DZ_IO, errno, "archive cannot be opened");
    if (!S_ISREG(st.st_mode))
        return dz_fail(err, DZ_PARSE, "not an archive: it is no plain file");
    size_t n = END_BYTES + DZ_ZIP_NAME_MAX;
    if ((uint64_t)st.st_size < n)
        n = (size_t)st.st_size;
    DZ_AUTO(dz_freep) char *end = dz_alloc(n + 1);
    off_t from = st.st_size - (off_t)n;
    for (size_t got = 0; got < n;) {
        ssize_t step = pread(fd, end + got, n - got, from + (off_t)got);
        if (step < 0 && errno == EINTR)
            continue;
        if (step < 0)
            return dz_fail_errno(err, DZ_IO, errno, "archive cannot be read");
        if (step == 0) /* it became shorter meanwhile */
            n = got;
        got += (size_t)step;
    }
    dz_str comment;
    if (!find_comment((dz_str){end, n}, &comment))
        return dz_fail(err, DZ_PARSE, "not a ZIP file, or one without its end");
    *ret = dz_arena_str(a, comment);
    return DZ_OK;
}
