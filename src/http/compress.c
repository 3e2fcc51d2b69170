/*
 * compress: gzip (zlib), br (brotli) and zstd of texts that are made for one request.
 *
 * In: whole short texts, or a source of any length. Out: a buffer, or a source whose reads each
 * take in a bounded piece. Everything runs on the loop's thread, so the levels are those of quick
 * answers; what is sent often is compressed once, elsewhere, and prepared. An encoder needs 0.3 to
 * 1 MiB; a lane keeps a few of them, because making one anew costs more than a short text, and
 * lends out only so many at once, because a client that reads slowly keeps one for long.
 */
#include "http/http_int.h"

#include <brotli/encode.h>
#include <errno.h>
#include <zlib.h>
#include <zstd.h>

/* CPU per byte of input and what is left of it, measured on 5 MiB of JSON and of HTML: */
#define GZIP_LEVEL 4        /* 8.4 ns, 0.19 and 0.16; level 6: 16 ns, 0.18 and 0.15 */
#define BROTLI_LEVEL 3      /* 6.5 and 4.7 ns, 0.18 and 0.13; level 4: 8.1 ns, 0.17 and 0.13 */
#define ZSTD_LEVEL_WHOLE 3  /* 64 KiB: 1.6 ns, 0.19 and 0.23; level 1: 1.4 ns, 0.19 and 0.24 */
#define ZSTD_LEVEL_STREAM 1 /* 2.0 ns, 0.18 and 0.17; level 3: 2.4 ns with 1.7 times the memory */
#define BROTLI_WINDOW 18
#define ZSTD_WINDOW_WHOLE 17 /* RFC 9659 3: at most 23 (8 MiB), or browsers refuse it */
/* 0.5 MiB an encoder; 17: 0.9 MiB and 1 (JSON) to 5 % (HTML) less output; 15: 0.3 MiB and as much
 * more. */
#define ZSTD_WINDOW_STREAM 16

#define INPUT_BYTES ((size_t)16 * 1024)
/* Most input that one read takes in: up to 0.5 ms of gzip; 64 KiB made nothing smaller. */
#define WORK_BYTES ((size_t)32 * 1024)
#define WORK_OF_A_READ ((size_t)2048) /* what asking the inner source counts at least */
#define HELD_BYTES ((size_t)64)       /* less room than this is not shown to an encoder */
#define SPARE_CODERS_MAX 2            /* of each kind, kept for the next answer */
#define SPARE_BLOCKS_MAX 6            /* of a brotli encoder */
#define SPARE_BLOCK_MIN ((size_t)16 * 1024)

bool dz_http_is_text_type(dz_str content_type)
{
    dz_str type = dz_str_trim(dz_str_sub(content_type, 0, dz_str_chr(content_type, ';')));
    static const dz_str rows[] = {
        DZ_S("application/json"),      DZ_S("application/javascript"),
        DZ_S("application/xml"),       DZ_S("application/graphql"),
        DZ_S("image/svg+xml"),         DZ_S("application/manifest+json"),
        DZ_S("application/atom+xml"),  DZ_S("application/rss+xml"),
        DZ_S("application/xhtml+xml"),
    };
    if (dz_str_eq_nocase(dz_str_sub(type, 0, 5), DZ_S("text/")))
        return true;
    for (size_t i = 0; i < DZ_LEN(rows); i++)
        if (dz_str_eq_nocase(type, rows[i]))
            return true;
    return dz_str_ends(type, DZ_S("+json"));
}

/* ---- memory of brotli ------------------------------------------------------------------------ */

/* A brotli encoder cannot be used again, so its large blocks are: mapping and clearing them anew
 * took three times as long as a text of 16 KiB. */
struct block {
    struct block *next;
    size_t n;
    _Alignas(16) char p[];
};
struct blocks {
    struct block *spare;
    size_t spare_n;
};

static void *block_take(void *opaque, size_t n)
{
    struct blocks *all = opaque;
    for (struct block **at = &all->spare; *at; at = &(*at)->next) {
        struct block *b = *at;
        if (b->n < n || b->n / 2 > n)
            continue;
        *at = b->next;
        all->spare_n--;
        return b->p;
    }
    struct block *b = dz_alloc(sizeof(*b) + n);
    b->n = n;
    return b->p;
}

static void block_give(void *opaque, void *p)
{
    struct blocks *all = opaque;
    if (!p)
        return;
    struct block *b = dz_container(p, struct block, p);
    if (b->n < SPARE_BLOCK_MIN || all->spare_n == SPARE_BLOCKS_MAX) {
        dz_freep(&b);
        return;
    }
    b->next = all->spare;
    all->spare = b;
    all->spare_n++;
}

static void blocks_free(struct blocks *all)
{
    while (all->spare) {
        struct block *b = all->spare;
        all->spare = b->next;
        dz_freep(&b);
    }
}

/* ---- encoders -------------------------------------------------------------------------------- */

enum kind { KIND_GZIP, KIND_BR, KIND_ZSTD, KIND_COUNT };

struct coder {
    struct coder *next;
    enum kind kind;
    z_stream gzip;
    BrotliEncoderState *br;
    struct blocks blocks;
    ZSTD_CCtx *zstd;
};

struct dz_http_coders {
    struct coder *spare[KIND_COUNT];
    size_t spare_n[KIND_COUNT];
    size_t sources_n; /* compressing sources that there are */
};

enum op { OP_GO_ON, OP_FLUSH, OP_FINISH };

static void coder_free(struct coder **k)
{
    struct coder *gone = dz_take(k);
    if (!gone)
        return;
    if (gone->gzip.state)
        deflateEnd(&gone->gzip);
    BrotliEncoderDestroyInstance(gone->br);
    blocks_free(&gone->blocks);
    ZSTD_freeCCtx(gone->zstd);
    dz_freep(&gone);
}

static struct dz_http_coders *coders_of(struct dz_http_lane *lane)
{
    if (!lane->coders)
        lane->coders = dz_new(struct dz_http_coders);
    return lane->coders;
}

void dz_http_coders_free(struct dz_http_coders **all)
{
    struct dz_http_coders *gone = dz_take(all);
    if (!gone)
        return;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        while (gone->spare[i]) {
            struct coder *k = gone->spare[i];
            gone->spare[i] = k->next;
            coder_free(&k);
        }
    }
    dz_freep(&gone);
}

static bool begin_gzip(struct coder *k)
{
    if (k->gzip.state)
        return deflateReset(&k->gzip) == Z_OK;
    return deflateInit2(&k->gzip, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
}

static bool begin_br(struct coder *k, size_t whole_n)
{
    k->br = BrotliEncoderCreateInstance(block_take, block_give, &k->blocks);
    return k->br && BrotliEncoderSetParameter(k->br, BROTLI_PARAM_QUALITY, BROTLI_LEVEL) &&
           BrotliEncoderSetParameter(k->br, BROTLI_PARAM_LGWIN, BROTLI_WINDOW) &&
           BrotliEncoderSetParameter(k->br, BROTLI_PARAM_MODE, BROTLI_MODE_TEXT) &&
           BrotliEncoderSetParameter(k->br, BROTLI_PARAM_SIZE_HINT, (uint32_t)whole_n);
}

static bool begin_zstd(struct coder *k, size_t whole_n)
{
    if (!k->zstd)
        k->zstd = ZSTD_createCCtx();
    return k->zstd && !ZSTD_isError(ZSTD_CCtx_reset(k->zstd, ZSTD_reset_session_only)) &&
           !ZSTD_isError(
               ZSTD_CCtx_setParameter(k->zstd, ZSTD_c_compressionLevel,
                                      whole_n > 0 ? ZSTD_LEVEL_WHOLE : ZSTD_LEVEL_STREAM)) &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(
               k->zstd, ZSTD_c_windowLog, whole_n > 0 ? ZSTD_WINDOW_WHOLE : ZSTD_WINDOW_STREAM));
}

/* An encoder at its beginning; NULL when there is no memory for it. whole_n 0: not known. */
static struct coder *coder_take(struct dz_http_lane *lane, enum dz_http_encoding how,
                                size_t whole_n)
{
    struct dz_http_coders *all = coders_of(lane);
    enum kind kind = how == DZ_HTTP_GZIP ? KIND_GZIP : how == DZ_HTTP_BR ? KIND_BR : KIND_ZSTD;
    struct coder *k = all->spare[kind];
    if (k) {
        all->spare[kind] = k->next;
        all->spare_n[kind]--;
    } else {
        k = dz_new(struct coder);
        k->kind = kind;
    }
    bool begun = kind == KIND_GZIP ? begin_gzip(k)
                 : kind == KIND_BR ? begin_br(k, whole_n)
                                   : begin_zstd(k, whole_n);
    if (!begun)
        coder_free(&k);
    return k;
}

static void coder_give(struct dz_http_lane *lane, struct coder **k)
{
    struct dz_http_coders *all = lane->coders;
    struct coder *given = dz_take(k);
    if (!given)
        return;
    BrotliEncoderDestroyInstance(given->br);
    given->br = NULL;
    if (all->spare_n[given->kind] == SPARE_CODERS_MAX) {
        coder_free(&given);
        return;
    }
    given->next = all->spare[given->kind];
    all->spare[given->kind] = given;
    all->spare_n[given->kind]++;
}

/* From *in to *out as far as both go; false: it broke. *ret_done: the flush or the end is whole. */
static bool step(struct coder *k, enum op op, dz_str *in, char **out, size_t *room, bool *ret_done)
{
    if (k->kind == KIND_GZIP) {
        static const int flush[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
        k->gzip.next_in = (Bytef *)(uintptr_t)in->p;
        k->gzip.avail_in = (uInt)in->n;
        k->gzip.next_out = (Bytef *)*out;
        k->gzip.avail_out = (uInt)*room;
        int got = deflate(&k->gzip, flush[op]);
        *ret_done = op == OP_FINISH ? got == Z_STREAM_END : k->gzip.avail_out > 0;
        *in = dz_str_sub(*in, in->n - k->gzip.avail_in, in->n);
        *out = (char *)k->gzip.next_out;
        *room = k->gzip.avail_out;
        return got >= Z_OK || got == Z_BUF_ERROR;
    }
    if (k->kind == KIND_BR) {
        static const BrotliEncoderOperation flush[] = {
            BROTLI_OPERATION_PROCESS, BROTLI_OPERATION_FLUSH, BROTLI_OPERATION_FINISH};
        bool ok = BrotliEncoderCompressStream(k->br, flush[op], &in->n, (const uint8_t **)&in->p,
                                              room, (uint8_t **)out, NULL);
        *ret_done = op == OP_FINISH ? BrotliEncoderIsFinished(k->br)
                                    : in->n == 0 && !BrotliEncoderHasMoreOutput(k->br);
        return ok;
    }
    static const ZSTD_EndDirective flush[] = {ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end};
    ZSTD_inBuffer from = {in->p, in->n, 0};
    ZSTD_outBuffer to = {*out, *room, 0};
    size_t left = ZSTD_compressStream2(k->zstd, &to, &from, flush[op]);
    *ret_done = left == 0;
    *in = dz_str_sub(*in, from.pos, in->n);
    *out += to.pos;
    *room -= to.pos;
    return !ZSTD_isError(left);
}

/* ---- whole texts ----------------------------------------------------------------------------- */

bool dz_http_compress(struct dz_http_lane *lane, enum dz_http_encoding how, dz_str in,
                      struct dz_buf *out)
{
    dz_buf_init(out, in.n);
    if (in.n == 0 || in.n > HTTP_COMPRESS_WHOLE_MAX || !dz_buf_reserve(out, in.n))
        return false;
    struct coder *k = coder_take(lane, how, in.n);
    char *to = out->p;
    size_t room = in.n - 1;
    bool done = false;
    bool ok = k && step(k, OP_FINISH, &in, &to, &room, &done) && done;
    coder_give(lane, &k);
    out->n = (size_t)(to - out->p);
    if (!ok)
        dz_buf_done(out);
    return ok;
}

/* ---- a source that compresses another -------------------------------------------------------- */

struct packer {
    struct dz_http_source source;
    struct dz_http_lane *lane;
    struct dz_http_source *inner;
    enum dz_http_encoding how;
    struct coder *coder; /* from the first read to the end */
    enum op op;
    bool ended, fed;        /* has taken something in since the last flush */
    size_t held_at, held_n; /* output that found no room yet */
    char held[HELD_BYTES];
    dz_str rest; /* of input */
    char input[INPUT_BYTES];
};

/* Bytes of the inner source, or its end; a negated errno when it broke. */
static ssize_t take_in(struct packer *s)
{
    ssize_t got = s->inner->read(s->inner, s->input, sizeof(s->input));
    if (got == 0)
        s->op = OP_FINISH;
    if (got > 0)
        s->rest = (dz_str){s->input, (size_t)got};
    return got;
}

static void unhold(struct packer *s, char **to, size_t *room)
{
    size_t n = s->held_n - s->held_at < *room ? s->held_n - s->held_at : *room;
    if (n > 0)
        memcpy(*to, s->held + s->held_at, n);
    s->held_at += n;
    *to += n;
    *room -= n;
}

/* One step. deflate() puts a flush marker anew whenever it runs out of room, for ever when there
 * are but a few bytes each time (an HTTP/2 window of 1), so it gets a little more and the rest
 * waits. */
static bool press(struct packer *s, char **to, size_t *room, bool *ret_done)
{
    if (*room >= HELD_BYTES)
        return step(s->coder, s->op, &s->rest, to, room, ret_done);
    char *end = s->held;
    size_t left = HELD_BYTES;
    if (!step(s->coder, s->op, &s->rest, &end, &left, ret_done))
        return false;
    s->held_at = 0;
    s->held_n = HELD_BYTES - left;
    unhold(s, to, room);
    return true;
}

/* Takes in WORK_BYTES at most. What has gone in by then and shows nothing yet is flushed out, since
 * a read may not end with nothing. */
static ssize_t packer_read(struct dz_http_source *source, char *p, size_t n)
{
    struct packer *s = dz_container(source, struct packer, source);
    if (!s->coder && !s->ended && !(s->coder = coder_take(s->lane, s->how, 0)))
        return -ENOMEM;
    char *to = p;
    size_t room = n, work = 0;
    unhold(s, &to, &room);
    while (room > 0 && !s->ended) {
        if (s->rest.n == 0 && s->op == OP_GO_ON) {
            if (work >= WORK_BYTES && room < n)
                break;
            if (work >= WORK_BYTES) {
                s->op = OP_FLUSH;
            } else {
                ssize_t got = take_in(s);
                if (got == -EAGAIN && !s->fed)
                    return room < n ? (ssize_t)(n - room) : got;
                if (got < 0 && got != -EAGAIN)
                    return got;
                if (got < 0) /* what is there leaves before the wait */
                    s->op = OP_FLUSH;
                else
                    work += (size_t)got + WORK_OF_A_READ;
                s->fed = true;
            }
        }
        bool done;
        if (!press(s, &to, &room, &done))
            return -EIO;
        if (done && s->op == OP_FINISH) {
            s->ended = true;
            coder_give(s->lane, &s->coder);
        } else if (done && s->op == OP_FLUSH) {
            s->op = OP_GO_ON;
            s->fed = false;
            if (room < n)
                break;
            work = 0;
        }
    }
    return (ssize_t)(n - room);
}

static void packer_free(struct dz_http_source **source)
{
    struct packer *s = dz_container(dz_take(source), struct packer, source);
    coder_give(s->lane, &s->coder);
    s->lane->coders->sources_n--;
    dz_http_source_free(&s->inner);
    dz_freep(&s);
}

bool dz_http_may_compress(struct dz_http_lane *lane)
{
    return coders_of(lane)->sources_n < HTTP_COMPRESS_SOURCES_MAX;
}

struct dz_http_source *dz_http_compress_source(struct dz_http_lane *lane, enum dz_http_encoding how,
                                               struct dz_http_source *take_inner)
{
    struct packer *s = dz_alloc(sizeof(*s));
    s->source = (struct dz_http_source){packer_read, packer_free};
    s->lane = lane;
    s->inner = take_inner;
    s->how = how;
    s->coder = NULL;
    s->op = OP_GO_ON;
    s->ended = s->fed = false;
    s->rest = (dz_str){0};
    s->held_at = s->held_n = 0;
    coders_of(lane)->sources_n++;
    return &s->source;
}
