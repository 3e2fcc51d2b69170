/*
 * compress: gzip (zlib) and br (brotli) of one-off texts.
 *
 * In: whole text. Out: a new buffer, or nothing when the result is not smaller. Runs on the loop's
 * thread, so the levels are those of quick answers; what is sent often is compressed once,
 * elsewhere, and prepared.
 */
#include "http/http_int.h"

#include <brotli/encode.h>
#include <zlib.h>

#define GZIP_LEVEL 6
#define BROTLI_LEVEL 4
#define LARGE_TEXT                                                                                 \
    ((size_t)256 *                                                                                 \
     1024) /* above this the lightest level, so that other requests need not wait long */

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

static bool gzip(dz_str in, struct dz_buf *out)
{
    z_stream z = {0};
    int level = in.n > LARGE_TEXT ? 1 : GZIP_LEVEL;
    if (in.n > UINT32_MAX ||
        deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    z.next_in = (Bytef *)(uintptr_t)in.p;
    z.avail_in = (uInt)in.n;
    z.next_out = (Bytef *)out->p;
    z.avail_out = (uInt)in.n;
    bool done = deflate(&z, Z_FINISH) == Z_STREAM_END;
    out->n = z.total_out;
    deflateEnd(&z);
    return done;
}

static bool brotli(dz_str in, struct dz_buf *out)
{
    size_t n = in.n;
    int level = in.n > LARGE_TEXT ? 1 : BROTLI_LEVEL;
    if (!BrotliEncoderCompress(level, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_TEXT, in.n,
                               (const uint8_t *)in.p, &n, (uint8_t *)out->p))
        return false;
    out->n = n;
    return true;
}

bool dz_http_compress(enum dz_http_encoding how, dz_str in, struct dz_buf *out)
{
    dz_buf_init(out, in.n);
    if (in.n > 0 && dz_buf_reserve(out, in.n) &&
        (how == DZ_HTTP_GZIP ? gzip(in, out) : brotli(in, out)) && out->n < in.n)
        return true;
    dz_buf_done(out);
    return false;
}
