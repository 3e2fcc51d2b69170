/*
 * rows: packing and unpacking for drivers whose blobs are rows of a database.
 *
 * In: bytes piece by piece, from a client or a crawl. They are hashed, counted and deflated as they
 * come; what leaves deflate goes to memory, and past ROWS_MEMORY_MAX to a file without a name, so
 * that a process never holds a large object. Out: packed pieces of a row become one body, never
 * larger than it may be, whatever the row claims: the cap is on what inflate gives. A spool and an
 * unpack belong to one thread at a time and are freed by whoever made them.
 */
#include "store/rows_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#define PIECE ((size_t)(64 * DZ_KIB)) /* what deflate or inflate gives at once */
#define LEVEL_OF_THE_REST 6           /* auto: of what is not packed already */
#define TEMP_NAME "/.tmp-XXXXXX"

/* ---- names and kinds ------------------------------------------------------------------------- */

void rows_blob_name(const struct dz_sha256 *sha, char dst[64])
{
    dz_hex(sha->b, sizeof(sha->b), dst);
}

bool rows_blob_sha(dz_str name, struct dz_sha256 *ret_sha)
{
    return store_is_digest(name) && dz_unhex(name, ret_sha->b, sizeof(ret_sha->b), NULL) == DZ_OK;
}

bool rows_is_packed(dz_str head)
{
    static const struct {
        uint8_t at, n;
        const char *bytes;
    } marks[] = {
        {0, 3, "\xff\xd8\xff"},       /* JPEG */
        {0, 8, "\x89PNG\r\n\x1a\n"},  /* PNG */
        {0, 4, "GIF8"},               /* GIF */
        {8, 4, "WEBP"},               /* WebP */
        {4, 4, "ftyp"},               /* AVIF, HEIC, MP4, M4A, MOV */
        {0, 2, "\xff\x0a"},           /* JPEG XL, bare */
        {4, 4, "JXL "},               /* JPEG XL, boxed */
        {4, 4, "jP  "},               /* JPEG 2000 */
        {0, 4, "\x1a\x45\xdf\xa3"},   /* Matroska, WebM */
        {0, 4, "OggS"},               /* Ogg */
        {0, 4, "fLaC"},               /* FLAC */
        {0, 3, "ID3"},                /* MP3 */
        {0, 3, "FLV"},                /* Flash video */
        {8, 4, "AVI "},               /* AVI */
        {0, 4, "PK\x03\x04"},         /* ZIP, CBZ, EPUB */
        {0, 2, "\x1f\x8b"},           /* gzip */
        {0, 3, "BZh"},                /* bzip2 */
        {0, 6, "\xfd\x37zXZ\0"},      /* xz */
        {0, 4, "\x28\xb5\x2f\xfd"},   /* Zstandard */
        {0, 6, "7z\xbc\xaf\x27\x1c"}, /* 7z, CB7 */
        {0, 6, "Rar!\x1a\x07"},       /* RAR, CBR */
    };
    for (size_t i = 0; i < DZ_LEN(marks); i++)
        if (head.n >= (size_t)marks[i].at + marks[i].n &&
            memcmp(head.p + marks[i].at, marks[i].bytes, marks[i].n) == 0)
            return true;
    /* MP3 without a tag: the sync word of a frame of layer III. */
    return head.n >= 2 && (unsigned char)head.p[0] == 0xff &&
           ((unsigned char)head.p[1] & 0xe6) == 0xe2;
}

bool rows_type_is_packed(dz_str mime)
{
    static const char *const families[] = {"image/", "video/", "audio/"};
    /* Those of them that are texts or bare samples. */
    static const char *const bare[] = {
        "image/svg+xml", "image/bmp",    "image/x-ms-bmp",
        "image/tiff",    "image/x-icon", "image/vnd.microsoft.icon",
        "audio/wav",     "audio/x-wav",  "audio/vnd.wave",
        "audio/aiff",    "audio/x-aiff", "audio/midi",
    };
    dz_str type = dz_str_trim(dz_str_sub(mime, 0, dz_str_chr(mime, ';')));
    for (size_t i = 0; i < DZ_LEN(bare); i++)
        if (dz_str_eq_nocase(type, dz_str_of(bare[i])))
            return false;
    for (size_t i = 0; i < DZ_LEN(families); i++)
        if (dz_str_eq_nocase(dz_str_sub(type, 0, strlen(families[i])), dz_str_of(families[i])))
            return true;
    return false;
}

/* ---- in -------------------------------------------------------------------------------------- */

struct rows_spool {
    const char *dir;
    int level;
    struct dz_sha256_ctx *hash; /* NULL: known */
    struct dz_blob_stat stat;   /* bytes grow as they come */
    z_stream z;
    bool has_z, ended, declared_packed;
    char head[ROWS_HEAD]; /* until the level is chosen */
    size_t head_n;
    struct dz_buf memory;
    int fd; /* -1: all is in memory */
    uint64_t packed;
};

struct rows_spool *rows_spool_new(const char *dir, int level, const struct dz_blob_stat *known)
{
    struct rows_spool *s = dz_new(struct rows_spool);
    s->dir = *dir ? dir : "/tmp";
    s->level = level;
    s->fd = -1;
    if (known)
        s->stat.sha = known->sha;
    else
        s->hash = dz_sha256_new();
    dz_buf_init(&s->memory, ROWS_MEMORY_MAX);
    return s;
}

void rows_spool_free(struct rows_spool **ps)
{
    struct rows_spool *s = dz_take(ps);
    if (!s)
        return;
    if (s->has_z)
        (void)deflateEnd(&s->z);
    dz_sha256_free(&s->hash);
    dz_buf_done(&s->memory);
    dz_closep(&s->fd);
    free(s);
}

static enum dz_code fail_file(const struct rows_spool *s, const char *verb, struct dz_err *err)
{
    enum dz_code code = errno == ENOSPC || errno == EDQUOT ? DZ_FULL : DZ_IO;
    if (errno == EMFILE || errno == ENFILE)
        code = DZ_UNAVAILABLE;
    return dz_fail_errno(err, code, errno, "%s a temporary file in %s", verb, s->dir);
}

/* Some file systems know no files without a name; there one is made and removed at once. */
static enum dz_code open_file(struct rows_spool *s, struct dz_err *err)
{
    s->fd = open(s->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd >= 0)
        return DZ_OK;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
        return fail_file(s, "make", err);
    DZ_AUTO(dz_buf_done) struct dz_buf path;
    dz_buf_init(&path, 8 * DZ_KIB);
    dz_buf_put(&path, dz_str_of(s->dir));
    dz_buf_put(&path, DZ_S(TEMP_NAME));
    dz_buf_putc(&path, '\0');
    if (path.full)
        return dz_fail(err, DZ_BAD_INPUT, "data_dir is too long");
    s->fd = mkostemp(path.p, O_CLOEXEC);
    if (s->fd < 0)
        return fail_file(s, "make", err);
    (void)unlink(path.p);
    return DZ_OK;
}

static enum dz_code spill(struct rows_spool *s, dz_str packed, struct dz_err *err)
{
    s->packed += packed.n;
    if (s->fd < 0) {
        dz_buf_put(&s->memory, packed);
        if (!s->memory.full)
            return DZ_OK;
        DZ_TRY(open_file(s, err));
        enum dz_code code = dz_write_all(s->fd, dz_buf_str(&s->memory), err);
        dz_buf_done(&s->memory);
        if (code != DZ_OK)
            return dz_wrap(err, code, "temporary file in %s", s->dir);
    }
    enum dz_code code = dz_write_all(s->fd, packed, err);
    return code == DZ_OK ? code : dz_wrap(err, code, "temporary file in %s", s->dir);
}

static enum dz_code pack(struct rows_spool *s, dz_str bytes, int flush, struct dz_err *err)
{
    char out[PIECE];
    s->z.next_in = (Bytef *)(uintptr_t)bytes.p;
    for (;;) {
        if (s->z.avail_in == 0 && bytes.n > 0) {
            s->z.avail_in = bytes.n > DZ_GIB ? (uInt)DZ_GIB : (uInt)bytes.n;
            bytes.n -= s->z.avail_in;
        }
        s->z.next_out = (Bytef *)out;
        s->z.avail_out = sizeof(out);
        int rc = deflate(&s->z, bytes.n > 0 ? Z_NO_FLUSH : flush);
        dz_assert(rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR);
        size_t made = sizeof(out) - s->z.avail_out;
        if (made > 0)
            DZ_TRY(spill(s, (dz_str){out, made}, err));
        if (rc == Z_STREAM_END || (s->z.avail_out > 0 && s->z.avail_in == 0 && bytes.n == 0))
            return DZ_OK;
    }
}

/* The level is chosen when enough is there to tell what it is. */
static enum dz_code start(struct rows_spool *s, dz_str head, struct dz_err *err)
{
    int level = s->level;
    if (level == DZ_STORE_LEVEL_AUTO)
        level = s->declared_packed || rows_is_packed(head) ? 0 : LEVEL_OF_THE_REST;
    if (deflateInit(&s->z, level) != Z_OK)
        return dz_fail(err, DZ_FULL, "no memory to pack an object");
    s->has_z = true;
    return s->head_n ? pack(s, (dz_str){s->head, s->head_n}, Z_NO_FLUSH, err) : DZ_OK;
}

enum dz_code rows_spool_add(struct rows_spool *s, dz_str bytes, struct dz_err *err)
{
    dz_assert(!s->ended);
    if (s->hash)
        dz_sha256_add(s->hash, bytes);
    s->stat.bytes += bytes.n;
    if (!s->has_z) {
        if (s->head_n + bytes.n < ROWS_HEAD) {
            if (bytes.n > 0)
                memcpy(s->head + s->head_n, bytes.p, bytes.n);
            s->head_n += bytes.n;
            return DZ_OK;
        }
        char head[ROWS_HEAD];
        memcpy(head, s->head, s->head_n);
        memcpy(head + s->head_n, bytes.p, ROWS_HEAD - s->head_n);
        DZ_TRY(start(s, (dz_str){head, ROWS_HEAD}, err));
    }
    return pack(s, bytes, Z_NO_FLUSH, err);
}

enum dz_code rows_spool_fill(struct rows_spool *s, dz_store_read_fn *read, void *arg,
                             struct dz_err *err)
{
    for (;;) {
        dz_str piece = {NULL, 0};
        DZ_TRY(read(arg, &piece, err));
        if (piece.n == 0)
            return DZ_OK;
        DZ_TRY(rows_spool_add(s, piece, err));
    }
}

enum dz_code rows_spool_end(struct rows_spool *s, struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    if (!s->ended) {
        if (!s->has_z)
            DZ_TRY(start(s, (dz_str){s->head, s->head_n}, err));
        DZ_TRY(pack(s, (dz_str){"", 0}, Z_FINISH, err));
        (void)deflateEnd(&s->z);
        s->has_z = false;
        s->ended = true;
        if (s->hash)
            s->stat.sha = dz_sha256_end(s->hash);
    }
    s->stat.mtime_s = dz_now_ms() / 1000;
    *ret_stat = s->stat;
    return DZ_OK;
}

uint64_t rows_spool_bytes(const struct rows_spool *s)
{
    dz_assert(s->ended);
    return s->packed;
}

enum dz_code rows_spool_read(const struct rows_spool *s, uint64_t at, void *dst, size_t n,
                             struct dz_err *err)
{
    dz_assert(s->ended && at <= s->packed && n <= s->packed - at);
    if (s->fd < 0) {
        memcpy(dst, s->memory.p + at, n);
        return DZ_OK;
    }
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(s->fd, (char *)dst + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_file(s, "read", err);
        if (got == 0)
            return dz_fail(err, DZ_IO, "a temporary file in %s ends too early", s->dir);
        done += (size_t)got;
    }
    return DZ_OK;
}

enum dz_code rows_put(const struct dz_store_driver *d, void *self, const struct dz_blob_stat *known,
                      dz_store_read_fn *read, void *arg, struct dz_blob_stat *ret_stat,
                      struct dz_err *err)
{
    void *batch = NULL;
    struct dz_blob_stat stat;
    DZ_TRY(d->batch_begin(self, &batch, err));
    enum dz_code code = d->batch_put(batch, known, read, arg, &stat, err);
    if (code == DZ_OK)
        code = d->batch_commit(batch, err);
    d->batch_drop(batch);
    if (code == DZ_OK)
        *ret_stat = stat;
    return code;
}

enum dz_code rows_write_add(void *write, dz_str bytes, struct dz_err *err)
{
    return rows_spool_add(write, bytes, err);
}

void rows_write_declare(void *write, dz_str mime)
{
    struct rows_spool *s = write;
    s->declared_packed = rows_type_is_packed(mime);
}

void rows_write_drop(void *write)
{
    struct rows_spool *s = write;
    rows_spool_free(&s);
}

/* ---- out ------------------------------------------------------------------------------------- */

struct rows_unpack {
    z_stream z;
    bool has_z, ended, keep;
    uint64_t bytes_max, bytes;
    struct dz_sha256_ctx *hash; /* NULL: not wanted */
    struct dz_body *body;       /* n is the room in it */
    size_t room;
    char *scratch;         /* when nothing is kept */
    dz_store_piece_fn *fn; /* NULL: nobody gets it */
    void *arg;
};

struct rows_unpack *rows_unpack_new(uint64_t bytes_max, bool keep, uint64_t hint, bool hash)
{
    struct rows_unpack *u = dz_new(struct rows_unpack);
    u->bytes_max = bytes_max < DZ_STORE_BLOB_MAX ? bytes_max : DZ_STORE_BLOB_MAX;
    u->keep = keep;
    u->room = (size_t)(hint < u->bytes_max ? hint : u->bytes_max);
    if (hash)
        u->hash = dz_sha256_new();
    return u;
}

void rows_unpack_to(struct rows_unpack *u, dz_store_piece_fn *fn, void *arg)
{
    dz_assert(!u->keep);
    u->fn = fn;
    u->arg = arg;
}

void rows_unpack_free(struct rows_unpack **pu)
{
    struct rows_unpack *u = dz_take(pu);
    if (!u)
        return;
    if (u->has_z)
        (void)inflateEnd(&u->z);
    dz_sha256_free(&u->hash);
    dz_body_unref(&u->body);
    free(u->scratch);
    free(u);
}

bool rows_unpack_ended(const struct rows_unpack *u)
{
    return u->ended;
}

static enum dz_code begin(struct rows_unpack *u, struct dz_err *err)
{
    if (u->keep)
        DZ_TRY(dz_body_try(u->room, &u->body, err));
    else
        u->scratch = dz_alloc(PIECE);
    if (inflateInit(&u->z) != Z_OK)
        return dz_fail(err, DZ_FULL, "no memory to unpack an object");
    u->has_z = true;
    return DZ_OK;
}

/* The body has no room for one more byte: a larger one takes its place. */
static enum dz_code grow(struct rows_unpack *u, struct dz_err *err)
{
    size_t room = u->room < PIECE ? PIECE : u->room * 2;
    if (room > u->bytes_max)
        room = (size_t)u->bytes_max;
    struct dz_body *body = NULL;
    DZ_TRY(dz_body_try(room, &body, err));
    memcpy(body->p, u->body->p, (size_t)u->bytes);
    dz_body_unref(&u->body);
    u->body = body;
    u->room = room;
    return DZ_OK;
}

static enum dz_code made(struct rows_unpack *u, char *p, size_t n, char spare, struct dz_err *err)
{
    if (n > u->bytes_max - u->bytes)
        return dz_fail(err, DZ_TOO_LARGE, "it unpacks to more than %llu bytes",
                       (unsigned long long)u->bytes_max);
    if (u->keep && p == NULL) {
        DZ_TRY(grow(u, err));
        p = u->body->p + u->bytes;
        *p = spare;
    }
    if (u->hash)
        dz_sha256_add(u->hash, (dz_str){p, n});
    u->bytes += n;
    return u->fn ? u->fn(u->arg, (dz_str){p, n}, err) : DZ_OK;
}

enum dz_code rows_unpack_add(struct rows_unpack *u, dz_str packed, struct dz_err *err)
{
    if (!u->has_z)
        DZ_TRY(begin(u, err));
    dz_assert(packed.n <= DZ_GIB);
    u->z.next_in = (Bytef *)(uintptr_t)packed.p;
    u->z.avail_in = (uInt)packed.n;
    while (!u->ended) {
        /* A full body is not made larger before there is a byte for it: mostly there is none. */
        char spare = 0, *into = u->keep ? u->body->p + u->bytes : u->scratch;
        size_t room = u->keep ? u->room - (size_t)u->bytes : PIECE;
        bool is_spare = room == 0;
        u->z.next_out = (Bytef *)(is_spare ? &spare : into);
        u->z.avail_out = is_spare ? 1 : (uInt)room;
        int rc = inflate(&u->z, Z_NO_FLUSH);
        size_t n = (is_spare ? 1 : room) - u->z.avail_out;
        if (n > 0)
            DZ_TRY(made(u, is_spare ? NULL : into, n, spare, err));
        if (rc == Z_MEM_ERROR)
            return dz_fail(err, DZ_FULL, "no memory to unpack an object");
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return dz_fail(err, DZ_CORRUPT, "no zlib stream, or a broken one: %s",
                           u->z.msg ? u->z.msg : "it needs a dictionary");
        u->ended = rc == Z_STREAM_END;
        if (n == 0 && u->z.avail_in == 0)
            break;
    }
    return DZ_OK;
}

enum dz_code rows_unpack_end(struct rows_unpack *u, struct dz_blob_stat *ret_stat,
                             struct dz_body **ret_body, struct dz_err *err)
{
    if (!u->ended)
        return dz_fail(err, DZ_CORRUPT, "the zlib stream ends too early");
    if (u->keep && u->bytes < u->room) {
        struct dz_body *body = NULL;
        DZ_TRY(dz_body_try((size_t)u->bytes, &body, err));
        memcpy(body->p, u->body->p, (size_t)u->bytes);
        dz_body_unref(&u->body);
        u->body = body;
    }
    ret_stat->bytes = u->bytes;
    if (u->hash)
        ret_stat->sha = dz_sha256_end(u->hash);
    if (u->keep)
        *ret_body = dz_take(&u->body);
    return DZ_OK;
}
