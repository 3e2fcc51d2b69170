/*
 * encode: the list of a shelf in all its encodings.
 *
 * In: the plain text. Out: gzip, br and zstd of it, hung into the list one by one with release
 * stores, so that a reader on another thread sees a body whole or not at all; nothing that hangs
 * there is ever taken away again. Short lists are encoded by whoever builds the snapshot, long ones
 * by the library's encoder thread while readers are served already. The last reference frees all.
 * Odd: equal texts give equal bytes, so no time stamp and no number of threads may leak in.
 */
#include "catalog/catalog_int.h"

#include <brotli/encode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define STEP (256 * DZ_KIB) /* between two questions whether it is still wanted */

struct dz_snap_list *dz_snap_list_new(struct dz_body *take_text, dz_str etag)
{
    struct dz_snap_list *l = dz_new(struct dz_snap_list);
    atomic_init(&l->refs, 1);
    atomic_init(&l->encoded, take_text->n < DZ_SNAP_ENCODE_MIN);
    atomic_init(&l->body[DZ_SNAP_IDENTITY], take_text);
    dz_assert(etag.n < sizeof(l->etag));
    memcpy(l->etag, etag.p, etag.n);
    return l;
}

struct dz_snap_list *dz_snap_list_ref(struct dz_snap_list *l)
{
    unsigned before = atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    dz_assert(before > 0);
    return l;
}

void dz_snap_list_unref(struct dz_snap_list **lp)
{
    struct dz_snap_list *l = dz_take(lp);
    if (!l || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < DZ_SNAP_ENCODINGS; i++) {
        struct dz_body *body = dz_snap_list_body(l, (enum dz_snap_encoding)i),
                       *answer = dz_snap_list_answer(l, (enum dz_snap_encoding)i);
        dz_body_unref(&body);
        dz_body_unref(&answer);
    }
    free(l);
}

struct dz_body *dz_snap_list_keep_answer(struct dz_snap_list *l, enum dz_snap_encoding e,
                                         struct dz_body *take_answer)
{
    struct dz_body *there = NULL;
    if (atomic_compare_exchange_strong_explicit(&l->answer[e], &there, take_answer,
                                                memory_order_acq_rel, memory_order_acquire))
        return take_answer;
    dz_body_unref(&take_answer);
    return there;
}

/* ---- the encoders ---------------------------------------------------------------------------- */

/* A text on its way through an encoder; room has the encoder's bound, most of it never touched. */
struct job {
    dz_str in;
    size_t at;
    void *room;
    size_t room_n, out_n;
    dz_snap_wanted_fn *wanted;
    void *arg;
};

/* The next piece of the text; ret_last: nothing is behind it. */
static enum dz_code next_piece(struct job *j, dz_str *ret_piece, bool *ret_last, struct dz_err *err)
{
    if (j->wanted && !j->wanted(j->arg))
        return dz_fail(err, DZ_CANCELLED, "the list is not wanted any more");
    dz_str piece = dz_str_sub(j->in, j->at, j->at + STEP);
    j->at += piece.n;
    *ret_piece = piece;
    *ret_last = j->at == j->in.n;
    return DZ_OK;
}

static enum dz_code no_memory(const char *name, struct dz_err *err)
{
    return dz_fail(err, DZ_FULL, "%s got no memory for the list of a shelf", name);
}

static void gzip_done(z_stream *z)
{
    deflateEnd(z);
}

/* Level 6 as the original has it. */
static enum dz_code gzip(struct job *j, struct dz_err *err)
{
    z_stream z DZ_AUTO(gzip_done) = {0};
    if (deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return no_memory("gzip", err);
    j->room_n = deflateBound(&z, j->in.n);
    DZ_TRY(dz_try_alloc(j->room_n, &j->room, err));
    z.next_out = j->room;
    z.avail_out = (uInt)j->room_n; /* the list's limit fits */
    for (bool last = false; !last;) {
        dz_str piece = {NULL, 0};
        DZ_TRY(next_piece(j, &piece, &last, err));
        z.next_in = (Bytef *)(uintptr_t)piece.p;
        z.avail_in = (uInt)piece.n;
        if (deflate(&z, last ? Z_FINISH : Z_NO_FLUSH) != (last ? Z_STREAM_END : Z_OK))
            return no_memory("gzip", err);
    }
    j->out_n = z.total_out;
    return DZ_OK;
}

static void brotli_done(BrotliEncoderState **s)
{
    if (*s)
        BrotliEncoderDestroyInstance(*s);
}

/* Quality by size: what is made before readers see the change must not keep them waiting, and a
 * long list must be done before the next change comes. */
static enum dz_code brotli(struct job *j, struct dz_err *err)
{
    uint32_t quality = j->in.n <= 4 * DZ_KIB ? 11 : j->in.n <= 256 * DZ_KIB ? 9 : 5;
    DZ_AUTO(brotli_done) BrotliEncoderState *s = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    if (!s)
        return no_memory("brotli", err);
    BrotliEncoderSetParameter(s, BROTLI_PARAM_QUALITY, quality);
    BrotliEncoderSetParameter(s, BROTLI_PARAM_MODE, BROTLI_MODE_TEXT);
    BrotliEncoderSetParameter(s, BROTLI_PARAM_SIZE_HINT, (uint32_t)j->in.n);
    j->room_n = BrotliEncoderMaxCompressedSize(j->in.n);
    DZ_TRY(dz_try_alloc(j->room_n, &j->room, err));
    uint8_t *out = j->room;
    size_t left = j->room_n;
    for (bool last = false; !last;) {
        dz_str piece = {NULL, 0};
        DZ_TRY(next_piece(j, &piece, &last, err));
        const uint8_t *in = (const uint8_t *)piece.p;
        if (!BrotliEncoderCompressStream(s,
                                         last ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_PROCESS,
                                         &piece.n, &in, &left, &out, NULL) ||
            piece.n > 0)
            return no_memory("brotli", err);
    }
    if (!BrotliEncoderIsFinished(s))
        return no_memory("brotli", err);
    j->out_n = j->room_n - left;
    return DZ_OK;
}

static void zstd_done(ZSTD_CCtx **c)
{
    ZSTD_freeCCtx(*c);
}

/* All of these levels keep their window under the 8 MiB that RFC 9659 lets a server use. */
static enum dz_code zstd(struct job *j, struct dz_err *err)
{
    int level = j->in.n <= 4 * DZ_KIB ? 19 : j->in.n <= 256 * DZ_KIB ? 12 : 5;
    DZ_AUTO(zstd_done) ZSTD_CCtx *c = ZSTD_createCCtx();
    if (!c || ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level)) ||
        ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(c, j->in.n)))
        return no_memory("zstd", err);
    j->room_n = ZSTD_compressBound(j->in.n);
    DZ_TRY(dz_try_alloc(j->room_n, &j->room, err));
    ZSTD_outBuffer out = {j->room, j->room_n, 0};
    for (bool last = false; !last;) {
        dz_str piece = {NULL, 0};
        DZ_TRY(next_piece(j, &piece, &last, err));
        ZSTD_inBuffer in = {piece.p, piece.n, 0};
        size_t left = 1;
        while (in.pos < in.size || (last && left > 0)) {
            left = ZSTD_compressStream2(c, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
            if (ZSTD_isError(left))
                return no_memory("zstd", err);
        }
    }
    j->out_n = out.pos;
    return DZ_OK;
}

/* ---- one after the other --------------------------------------------------------------------- */

typedef enum dz_code encoder_fn(struct job *j, struct dz_err *err);

static enum dz_code encode_one(struct dz_snap_list *l, enum dz_snap_encoding e, encoder_fn *encoder,
                               dz_snap_wanted_fn *wanted, void *arg, struct dz_err *err)
{
    const struct dz_body *text = dz_snap_list_body(l, DZ_SNAP_IDENTITY);
    struct job j = {.in = {text->p, text->n}, .wanted = wanted, .arg = arg};
    struct dz_body *made = NULL;
    enum dz_code code = encoder(&j, err);
    if (code == DZ_OK)
        code = dz_body_try(j.out_n, &made, err);
    if (code == DZ_OK) {
        memcpy(made->p, j.room, j.out_n);
        atomic_store_explicit(&l->body[e], made, memory_order_release);
    }
    free(j.room);
    return code;
}

enum dz_code dz_snap_list_encode(struct dz_snap_list *l, dz_snap_wanted_fn *wanted, void *arg,
                                 struct dz_err *err)
{
    static const struct {
        enum dz_snap_encoding encoding;
        encoder_fn *fn;
    } rows[] = {{DZ_SNAP_ZSTD, zstd}, {DZ_SNAP_GZIP, gzip}, {DZ_SNAP_BR, brotli}};
    enum dz_code first = DZ_OK;
    if (dz_snap_list_is_encoded(l))
        return DZ_OK;
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        if (dz_snap_list_body(l, rows[i].encoding))
            continue;
        enum dz_code code =
            encode_one(l, rows[i].encoding, rows[i].fn, wanted, arg, first == DZ_OK ? err : NULL);
        if (code == DZ_CANCELLED)
            return code;
        first = first == DZ_OK ? code : first;
    }
    atomic_store_explicit(&l->encoded, true, memory_order_release);
    return first;
}
