/*
 * decode: the content codings of an answer: gzip, br and zstd.
 *
 * In: bytes as the wire brings them. Out: the content, in pieces. Decoded here and not by libcurl,
 * because that one takes a packed body for whole that ends in the middle, as long as it has the
 * length that the site named: half a page. What a coding has no end of is no answer. The loop's
 * thread only.
 */
#include "fetch/fetch_int.h"

#include <brotli/decode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define PIECE_BYTES 65536u
#define ZSTD_WINDOW_LOG 23 /* 8 MiB: the most that RFC 9659 lets a server use */

enum coding { IDENTITY, GZIP, BROTLI, ZSTD };

struct dz_fetch_decoder {
    enum coding coding;
    bool ended;   /* at the end of what is packed; more may follow in gzip */
    bool started; /* some byte came */
    z_stream gzip;
    BrotliDecoderState *brotli;
    ZSTD_DStream *zstd;
};

static bool find_coding(dz_str name, enum coding *ret)
{
    static const struct {
        dz_str name;
        enum coding coding;
    } rows[] = {
        {DZ_S(""), IDENTITY},   {DZ_S("identity"), IDENTITY}, {DZ_S("gzip"), GZIP},
        {DZ_S("x-gzip"), GZIP}, {DZ_S("br"), BROTLI},         {DZ_S("zstd"), ZSTD},
    };
    for (size_t i = 0; i < DZ_LEN(rows); i++)
        if (dz_str_eq_nocase(dz_str_trim(name), rows[i].name)) {
            *ret = rows[i].coding;
            return true;
        }
    return false;
}

struct dz_fetch_decoder *dz_fetch_decoder_new(dz_str coding)
{
    enum coding which;
    if (!find_coding(coding, &which))
        return NULL;
    struct dz_fetch_decoder *d = dz_new(struct dz_fetch_decoder);
    d->coding = which;
    bool good = true;
    if (which == GZIP)
        good = inflateInit2(&d->gzip, 15 + 16) == Z_OK;
    if (which == BROTLI)
        good = (d->brotli = BrotliDecoderCreateInstance(NULL, NULL, NULL)) != NULL;
    if (which == ZSTD)
        good = (d->zstd = ZSTD_createDStream()) != NULL &&
               !ZSTD_isError(ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG));
    if (!good)
        dz_fetch_decoder_free(&d);
    return d;
}

void dz_fetch_decoder_free(struct dz_fetch_decoder **d)
{
    struct dz_fetch_decoder *gone = dz_take(d);
    if (!gone)
        return;
    if (gone->coding == GZIP)
        (void)inflateEnd(&gone->gzip);
    if (gone->brotli)
        BrotliDecoderDestroyInstance(gone->brotli);
    (void)ZSTD_freeDStream(gone->zstd);
    dz_freep(&gone);
}

bool dz_fetch_decoder_is_plain(const struct dz_fetch_decoder *d)
{
    return d->coding == IDENTITY;
}

/* One piece each: takes from *in, gives *n bytes in `to`. False: these are no such bytes. */

static bool unpack_gzip(struct dz_fetch_decoder *d, dz_str *in, char *to, size_t *n)
{
    z_stream *z = &d->gzip;
    *n = 0;
    if (d->ended) { /* another member, or padding that some servers leave */
        if ((unsigned char)in->p[0] != 0x1F) {
            *in = (dz_str){NULL, 0};
            return true;
        }
        d->ended = false;
        if (inflateReset(z) != Z_OK)
            return false;
    }
    z->next_in = (Bytef *)(uintptr_t)in->p;
    z->avail_in = (uInt)in->n;
    z->next_out = (Bytef *)to;
    z->avail_out = PIECE_BYTES;
    int code = inflate(z, Z_NO_FLUSH);
    d->ended = code == Z_STREAM_END;
    *in = dz_str_sub(*in, in->n - z->avail_in, in->n);
    *n = PIECE_BYTES - z->avail_out;
    return code == Z_OK || code == Z_STREAM_END || (code == Z_BUF_ERROR && in->n == 0);
}

static bool unpack_brotli(struct dz_fetch_decoder *d, dz_str *in, char *to, size_t *n)
{
    const uint8_t *from = (const uint8_t *)in->p;
    uint8_t *out = (uint8_t *)to;
    size_t in_n = in->n, room = PIECE_BYTES;
    BrotliDecoderResult code =
        BrotliDecoderDecompressStream(d->brotli, &in_n, &from, &room, &out, NULL);
    d->ended = code == BROTLI_DECODER_RESULT_SUCCESS;
    *in = d->ended ? (dz_str){NULL, 0} : dz_str_sub(*in, in->n - in_n, in->n);
    *n = PIECE_BYTES - room;
    return code != BROTLI_DECODER_RESULT_ERROR;
}

static bool unpack_zstd(struct dz_fetch_decoder *d, dz_str *in, char *to, size_t *n)
{
    ZSTD_inBuffer from = {in->p, in->n, 0};
    ZSTD_outBuffer out = {to, PIECE_BYTES, 0};
    size_t code = ZSTD_decompressStream(d->zstd, &out, &from);
    d->ended = code == 0;
    *in = dz_str_sub(*in, from.pos, in->n);
    *n = out.pos;
    return !ZSTD_isError(code);
}

bool dz_fetch_decode(struct dz_fetch_decoder *d, dz_str in, bool (*give)(void *arg, dz_str content),
                     void *arg, bool *ret_is_wrong)
{
    static _Thread_local char piece[PIECE_BYTES];
    *ret_is_wrong = false;
    d->started |= in.n > 0;
    if (d->coding == IDENTITY) {
        d->ended = true;
        return give(arg, in);
    }
    size_t n = PIECE_BYTES; /* a full piece: more may be inside without further bytes */
    while (in.n > 0 || (n == PIECE_BYTES && !d->ended)) {
        bool good = d->coding == GZIP     ? unpack_gzip(d, &in, piece, &n)
                    : d->coding == BROTLI ? unpack_brotli(d, &in, piece, &n)
                                          : unpack_zstd(d, &in, piece, &n);
        if (!good) {
            *ret_is_wrong = true;
            return false;
        }
        if (n > 0 && !give(arg, (dz_str){piece, n}))
            return false;
    }
    return true;
}

bool dz_fetch_decoder_is_whole(const struct dz_fetch_decoder *d)
{
    return d->coding == IDENTITY || d->ended || !d->started;
}
