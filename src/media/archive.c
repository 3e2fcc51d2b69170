/*
 * archive: reads comic archives entry by entry through libarchive.
 *
 * In: a file or bytes in memory, hostile as they come. Out: entries with names in UTF-8, and on
 * request their bytes. What is declared in headers is never trusted: limits count what really was
 * unpacked, and also for entries that the caller passes over where the format has to unpack them.
 * Zip is read by its table of contents, which libarchive reads whole before the first entry; how
 * many bytes it may read for that is limited too (INDEX_BYTES_MAX). libarchive turns names into the
 * locale's character set and would spoil them in the C locale, so each call into it runs under
 * C.UTF-8, for this thread only. One owner; nothing on disk is written. An error of a single entry
 * leaves the archive usable, an error of the archive stays: every further call repeats it.
 */
#include <archive.h>
#include <archive_entry.h>

#include "media/media_int.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define INDEX_BYTES_MAX (16 * DZ_MIB) /* read from the file to find one entry's header */
#define RATIO_FREE_BYTES (16 * DZ_MIB)
#define EMPTY_BLOCKS_MAX 65536 /* in a row, without a byte of data */

const struct dz_archive_limits dz_archive_limits_default = {
    .entries_max = 20000,
    .entry_bytes_max = 256 * DZ_MIB,
    .total_bytes_max = 8 * DZ_GIB,
    .ratio_max = 200,
    .name_bytes_max = 4096,
};

struct dz_archive {
    struct archive *la;
    struct archive_entry *entry; /* libarchive's; the one that was returned last or is pending */
    struct archive_source source;
    struct dz_archive_limits limits;
    uint64_t entries, total_bytes;
    struct dz_buf name;   /* of the current entry */
    struct dz_err failed; /* of the archive as a whole; code DZ_OK: none */
    int pending;          /* libarchive's answer for the header that open() looked at */
    bool has_pending, at_end, is_zip, is_rar, is_rar5;
    struct archive_rar rar;
    bool has_data; /* of the current entry, not yet read */
};

/* ---- locale ---------------------------------------------------------------------------------- */

static locale_t utf8_locale;

static void make_locale(void)
{
    utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static locale_t enter_utf8(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_locale);
    return utf8_locale != (locale_t)0 ? uselocale(utf8_locale) : (locale_t)0;
}

static void leave_utf8(locale_t before)
{
    if (before != (locale_t)0)
        uselocale(before);
}

/* ---- source ---------------------------------------------------------------------------------- */

static la_ssize_t source_read(struct archive *la, void *ctx, const void **ret_p)
{
    struct archive_source *s = ctx;
    size_t n =
        s->bytes - s->at < ARCHIVE_CHUNK_BYTES ? (size_t)(s->bytes - s->at) : ARCHIVE_CHUNK_BYTES;
    if (n > s->may_read) {
        s->read_too_much = true;
        archive_set_error(la, EFBIG, "too much to read");
        return ARCHIVE_FATAL;
    }
    s->may_read -= n;
    *ret_p = s->memory != NULL ? s->memory + s->at : NULL;
    if (s->fd >= 0) {
        ssize_t got;
        do
            got = pread(s->fd, s->chunk, n, (off_t)s->at);
        while (got < 0 && errno == EINTR);
        if (got < 0) {
            s->io_errno = errno;
            archive_set_error(la, errno, "read failed");
            return ARCHIVE_FATAL;
        }
        n = (size_t)got;
        *ret_p = s->chunk;
    }
    s->at += n;
    return (la_ssize_t)n;
}

size_t archive_source_peek(const struct archive_source *s, uint64_t at, char *dst, size_t n)
{
    if (at >= s->bytes)
        return 0;
    if (n > s->bytes - at)
        n = (size_t)(s->bytes - at);
    if (s->fd < 0) {
        memcpy(dst, s->memory + at, n);
        return n;
    }
    ssize_t got = pread(s->fd, dst, n, (off_t)at);
    return got > 0 ? (size_t)got : 0;
}

static la_int64_t source_seek(struct archive *la, void *ctx, la_int64_t offset, int whence)
{
    struct archive_source *s = ctx;
    int64_t base = whence == SEEK_SET ? 0 : (int64_t)(whence == SEEK_CUR ? s->at : s->bytes), to;
    if (__builtin_add_overflow(base, offset, &to) || to < 0 || (uint64_t)to > s->bytes) {
        archive_set_error(la, EINVAL, "an offset points outside the file");
        return ARCHIVE_FATAL;
    }
    s->at = (uint64_t)to;
    return to;
}

static la_int64_t source_skip(struct archive *la, void *ctx, la_int64_t n)
{
    (void)la;
    struct archive_source *s = ctx;
    uint64_t left = s->bytes - s->at, step = n < 0 ? 0 : (uint64_t)n;
    if (step > left)
        step = left;
    s->at += step;
    return (la_int64_t)step;
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* Sticks: the archive cannot be read on after this. */
static enum dz_code give_up(struct dz_archive *a, struct dz_err *err)
{
    if (err != NULL)
        *err = a->failed;
    return a->failed.code;
}

/* The part of a message in front of the entry's name. */
static dz_str shown_name(const struct dz_archive *a)
{
    return media_short(dz_buf_str(&a->name));
}

static bool begins_with(const struct dz_archive *a, dz_str magic)
{
    char head[16];
    dz_str seen = {head, archive_source_peek(&a->source, 0, head, sizeof(head))};
    return dz_str_starts(seen, magic);
}

/* Words for "no format said this is mine". */
static const char *unknown_text(const struct dz_archive *a)
{
    if (a->source.bytes == 0)
        return "empty file";
    if (begins_with(a, DZ_S("PK\3\4")))
        return "zip archive without its table of contents (truncated?)";
    return "not an archive that can be read";
}

/* Fills `e` from what libarchive says about a call that did not succeed. in_entry: while an entry's
 * bytes were read. */
static enum dz_code explain(struct dz_archive *a, bool in_entry, struct dz_err *e)
{
    const char *said = archive_error_string(a->la);
    dz_str text = media_short(dz_str_of(said != NULL ? said : "damaged"));
    dz_str name = shown_name(a);
    if (a->source.io_errno != 0)
        return dz_fail_errno(e, DZ_IO, a->source.io_errno, "archive cannot be read");
    if (a->source.read_too_much)
        return dz_fail(e, DZ_TOO_LARGE, "archive has an index of over %llu bytes",
                       (unsigned long long)INDEX_BYTES_MAX);
    /* libarchive has no error code of its own for this, and its test must not be called before a
     * format was found: it follows a stray pointer then */
    if ((archive_format(a->la) != 0 && archive_read_has_encrypted_entries(a->la) > 0) ||
        dz_str_find(text, DZ_S("ncrypt")) != DZ_NPOS)
        return dz_fail(e, DZ_PARSE, "archive is encrypted");
    if (in_entry)
        return dz_fail(e, DZ_PARSE, "%.*s is damaged: %.*s", DZ_STR_FMT(name), DZ_STR_FMT(text));
    if (a->entries > 0)
        return dz_fail(e, DZ_PARSE, "archive is damaged after %.*s: %.*s", DZ_STR_FMT(name),
                       DZ_STR_FMT(text));
    if (archive_format(a->la) == 0)
        return dz_fail(e, DZ_PARSE, "%s", unknown_text(a));
    return dz_fail(e, DZ_PARSE, "archive is damaged: %.*s", DZ_STR_FMT(text));
}

/* ---- open and close -------------------------------------------------------------------------- */

void dz_archive_close(struct dz_archive **a)
{
    if (*a == NULL)
        return;
    if ((*a)->la != NULL) {
        locale_t before = enter_utf8();
        archive_read_free((*a)->la);
        leave_utf8(before);
    }
    dz_closep(&(*a)->source.fd);
    dz_buf_done(&(*a)->name);
    dz_freep(a);
}

static struct archive *make_reader(struct archive_source *s)
{
    struct archive *la = archive_read_new();
    if (la == NULL)
        return NULL;
    archive_read_support_filter_gzip(la);
    archive_read_support_filter_bzip2(la);
    archive_read_support_filter_lzma(la);
    archive_read_support_filter_xz(la);
    archive_read_support_filter_zstd(la);
    archive_read_support_format_zip_seekable(la);
    archive_read_support_format_7zip(la);
    archive_read_support_format_rar(la);
    archive_read_support_format_rar5(la);
    archive_read_support_format_tar(la);
    archive_read_set_callback_data(la, s);
    archive_read_set_read_callback(la, source_read);
    archive_read_set_seek_callback(la, source_seek);
    archive_read_set_skip_callback(la, source_skip);
    return la;
}

static int next_header(struct dz_archive *a)
{
    locale_t before = enter_utf8();
    a->source.may_read = INDEX_BYTES_MAX;
    int rc = archive_read_next_header(a->la, &a->entry);
    leave_utf8(before);
    return rc;
}

/* Takes the half-made archive, which has its source. */
static enum dz_code start(struct dz_archive *take_a, const struct dz_archive_limits *limits,
                          struct dz_archive **ret_a, struct dz_err *err)
{
    DZ_AUTO(dz_archive_close) struct dz_archive *a = take_a;
    a->limits = *limits;
    dz_buf_init(&a->name, (size_t)limits->name_bytes_max);
    a->la = make_reader(&a->source);
    if (a->la == NULL)
        return dz_fail(err, DZ_FULL, "no memory to read an archive");
    /* The first header is read here, because only then libarchive finds out what the file is. */
    locale_t before = enter_utf8();
    a->source.may_read = INDEX_BYTES_MAX;
    int rc = archive_read_open1(a->la);
    leave_utf8(before);
    if (rc == ARCHIVE_OK || rc == ARCHIVE_WARN)
        rc = next_header(a);
    if (archive_format(a->la) == 0 && begins_with(a, DZ_S("PK\5\6")))
        rc = ARCHIVE_EOF; /* a zip without entries, which libarchive does not know */
    if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN && rc != ARCHIVE_EOF)
        return explain(a, false, err);
    a->pending = rc;
    a->has_pending = true;
    int format = archive_format(a->la) & ARCHIVE_FORMAT_BASE_MASK;
    if (rc == ARCHIVE_EOF && format == ARCHIVE_FORMAT_TAR) /* what is left of a lost download */
        return dz_fail(err, DZ_PARSE, "not an archive: it holds nothing but zeros");
    a->is_zip = format == ARCHIVE_FORMAT_ZIP;
    a->is_rar5 = format == ARCHIVE_FORMAT_RAR_V5;
    a->rar.is_known = a->rar.needs_end = a->is_rar5;
    a->is_rar = a->is_rar5 || format == ARCHIVE_FORMAT_RAR;
    *ret_a = dz_take(&a);
    return DZ_OK;
}

enum dz_code dz_archive_open(const char *path, const struct dz_archive_limits *limits,
                             struct dz_archive **ret_a, struct dz_err *err)
{
    DZ_AUTO(dz_archive_close) struct dz_archive *a = dz_new(struct dz_archive);
    struct stat st;
    a->source.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (a->source.fd < 0)
        return dz_fail_errno(err, errno == ENOENT || errno == ENOTDIR ? DZ_NOT_FOUND : DZ_IO, errno,
                             "archive cannot be opened");
    if (fstat(a->source.fd, &st) != 0)
        return dz_fail_errno(err, DZ_IO, errno, "archive cannot be opened");
    if (!S_ISREG(st.st_mode))
        return dz_fail(err, DZ_PARSE, "not an archive: it is no plain file");
    a->source.bytes = (uint64_t)st.st_size;
    return start(dz_take(&a), limits, ret_a, err);
}

enum dz_code dz_archive_open_memory(dz_str bytes, const struct dz_archive_limits *limits,
                                    struct dz_archive **ret_a, struct dz_err *err)
{
    struct dz_archive *a = dz_new(struct dz_archive);
    a->source.fd = -1;
    a->source.memory = bytes.n > 0 ? bytes.p : "";
    a->source.bytes = bytes.n;
    return start(a, limits, ret_a, err);
}

/* ---- data ------------------------------------------------------------------------------------ */

/* Counts n more unpacked bytes, of which the entry has entry_bytes with them. Over a limit is for
 * the whole archive. */
static enum dz_code count_bytes(struct dz_archive *a, uint64_t n, uint64_t entry_bytes,
                                bool is_wanted)
{
    dz_str name = shown_name(a);
    const struct dz_archive_limits *l = &a->limits;
    a->total_bytes += n;
    if (is_wanted && entry_bytes > l->entry_bytes_max)
        return dz_fail(&a->failed, DZ_TOO_LARGE, "%.*s is over %llu bytes unpacked",
                       DZ_STR_FMT(name), (unsigned long long)l->entry_bytes_max);
    if (a->total_bytes > l->total_bytes_max)
        return dz_fail(&a->failed, DZ_TOO_LARGE, "archive is over %llu bytes unpacked, at %.*s",
                       (unsigned long long)l->total_bytes_max, DZ_STR_FMT(name));
    if (a->total_bytes > RATIO_FREE_BYTES && a->total_bytes / l->ratio_max > a->source.bytes)
        return dz_fail(&a->failed, DZ_TOO_LARGE,
                       "archive unpacks to over %u times its size, at %.*s (a zip bomb?)",
                       l->ratio_max, DZ_STR_FMT(name));
    return DZ_OK;
}

static bool put_zeros(struct dz_buf *out, uint64_t n)
{
    static const char zeros[4096];
    for (; n > 0 && !out->full; n -= n < sizeof(zeros) ? n : sizeof(zeros))
        dz_buf_put(out, (dz_str){zeros, n < sizeof(zeros) ? (size_t)n : sizeof(zeros)});
    return !out->full;
}

/* All blocks of the current entry, which is a regular file, to out or, when out is NULL, to
 * nowhere. */
static enum dz_code read_blocks(struct dz_archive *a, struct dz_buf *out, struct dz_err *err)
{
    uint64_t at = 0, empty = 0;
    uint32_t sum = 0;
    for (;;) {
        const void *p;
        size_t n;
        la_int64_t from;
        int rc = archive_read_data_block(a->la, &p, &n, &from);
        if (rc == ARCHIVE_EOF)
            break;
        if (rc == ARCHIVE_FATAL) {
            explain(a, true, &a->failed);
            return give_up(a, err);
        }
        if (rc != ARCHIVE_OK)
            return explain(a, true, err);
        empty = n > 0 ? 0 : empty + 1;
        if (from < 0 || (uint64_t)from < at || empty > EMPTY_BLOCKS_MAX) {
            dz_str name = shown_name(a);
            return dz_fail(err, DZ_PARSE, "%.*s is damaged: its blocks are out of order",
                           DZ_STR_FMT(name));
        }
        uint64_t hole = (uint64_t)from - at; /* sparse files of tar */
        at = (uint64_t)from + n;
        if (count_bytes(a, hole + n, at, out != NULL) != DZ_OK)
            return give_up(a, err);
        if (out == NULL)
            continue;
        if (put_zeros(out, hole))
            dz_buf_put(out, (dz_str){p, n});
        if (a->rar.has_sum)
            sum = (uint32_t)crc32_z(sum, p, n);
        if (out->full) {
            dz_str name = shown_name(a);
            return dz_fail(err, DZ_TOO_LARGE, "%.*s is over the %zu bytes there is room for",
                           DZ_STR_FMT(name), out->max);
        }
    }
    if (archive_entry_size_is_set(a->entry) && (uint64_t)archive_entry_size(a->entry) != at) {
        dz_str name = shown_name(a);
        return dz_fail(err, DZ_PARSE, "%.*s is damaged: it has %llu bytes instead of %lld",
                       DZ_STR_FMT(name), (unsigned long long)at,
                       (long long)archive_entry_size(a->entry));
    }
    if (out != NULL && a->rar.has_sum && sum != a->rar.sum) {
        dz_str name = shown_name(a);
        return dz_fail(err, DZ_PARSE, "%.*s is damaged: wrong checksum", DZ_STR_FMT(name));
    }
    return DZ_OK;
}

static enum dz_code read_entry(struct dz_archive *a, struct dz_buf *out, struct dz_err *err)
{
    locale_t before = enter_utf8();
    a->source.may_read = UINT64_MAX;
    a->has_data = false;
    bool is_regular = archive_entry_filetype(a->entry) == AE_IFREG;
    enum dz_code code = is_regular ? read_blocks(a, out, err) : DZ_OK;
    leave_utf8(before);
    return code;
}

enum dz_code dz_archive_read(struct dz_archive *a, struct dz_buf *out, struct dz_err *err)
{
    if (a->failed.code != DZ_OK)
        return give_up(a, err);
    dz_assert(a->has_data); /* called once for an entry, after dz_archive_next() */
    size_t had = out->n;
    enum dz_code code = read_entry(a, out, err);
    if (code != DZ_OK)
        out->n = had;
    return code;
}

/* ---- entries --------------------------------------------------------------------------------- */

static enum dz_code take_name(struct dz_archive *a, struct dz_err *err)
{
    const char *raw = archive_entry_pathname(a->entry);
    if (raw == NULL)
        raw = archive_entry_pathname_utf8(a->entry);
    if (raw == NULL || raw[0] == '\0')
        return dz_fail(err, DZ_PARSE, "entry %llu of the archive has no name that can be read",
                       (unsigned long long)a->entries);
    a->name.full = false;
    archive_name_decode(dz_str_of(raw), &a->name);
    if (a->name.full)
        return dz_fail(err, DZ_TOO_LARGE, "entry %llu of the archive has a name of over %u bytes",
                       (unsigned long long)a->entries, a->limits.name_bytes_max);
    for (size_t i = 0; a->is_zip && i < a->name.n; i++) {
        if (a->name.p[i] == '\\') /* written on Windows by tools that knew no better */
            a->name.p[i] = '/';
    }
    return DZ_OK;
}

static enum dz_code take_entry(struct dz_archive *a, struct dz_archive_entry *ret_e,
                               struct dz_err *err)
{
    if (++a->entries > a->limits.entries_max)
        return dz_fail(err, DZ_TOO_LARGE, "archive has more than %llu entries",
                       (unsigned long long)a->limits.entries_max);
    locale_t before = enter_utf8();
    enum dz_code code = take_name(a, err);
    leave_utf8(before);
    DZ_TRY(code);
    dz_str name = dz_buf_str(&a->name), shown = media_short(name);
    if (archive_entry_is_encrypted(a->entry))
        return dz_fail(err, DZ_PARSE, "%.*s is encrypted", DZ_STR_FMT(shown));
    int64_t bytes = archive_entry_size_is_set(a->entry) ? archive_entry_size(a->entry) : -1;
    a->has_data = true;
    if (a->is_rar)
        archive_rar_entry(&a->source, a->is_rar5, (uint64_t)archive_read_header_position(a->la),
                          &a->rar);
    *ret_e = (struct dz_archive_entry){
        .name = name,
        .bytes = bytes >= 0 ? (uint64_t)bytes : UINT64_MAX,
        .is_file = archive_entry_filetype(a->entry) == AE_IFREG && !dz_str_ends(name, DZ_S("/")) &&
                   archive_entry_hardlink(a->entry) == NULL,
    };
    return DZ_OK;
}

enum dz_code dz_archive_next(struct dz_archive *a, bool *ret_has, struct dz_archive_entry *ret_e,
                             struct dz_err *err)
{
    if (a->failed.code != DZ_OK)
        return give_up(a, err);
    /* Zip finds the next entry by its index. The others must unpack what is passed over, so it is
     * counted here. */
    if (a->has_data && !a->is_zip && read_entry(a, NULL, &a->failed) != DZ_OK)
        return give_up(a, err);
    a->has_data = false;
    if (a->at_end) {
        *ret_has = false;
        return DZ_OK;
    }
    int rc = a->has_pending ? a->pending : next_header(a);
    a->has_pending = false;
    if (rc == ARCHIVE_EOF) {
        if (a->is_rar && archive_rar_is_cut(&a->source, a->is_rar5, &a->rar)) {
            dz_str name = a->entries > 0 ? shown_name(a) : DZ_S("its head");
            dz_fail(&a->failed, DZ_PARSE, "archive ends after %.*s (truncated)", DZ_STR_FMT(name));
            return give_up(a, err);
        }
        a->at_end = true;
        *ret_has = false;
        return DZ_OK;
    }
    if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
        explain(a, false, &a->failed);
    else
        (void)take_entry(a, ret_e, &a->failed);
    if (a->failed.code != DZ_OK)
        return give_up(a, err);
    *ret_has = true;
    return DZ_OK;
}
