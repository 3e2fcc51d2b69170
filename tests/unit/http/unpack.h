/*
 * unpack: what a client does with an answer: takes chunks apart and decodes gzip, br and zstd with
 * the libraries' decoders. Faults fail the test.
 */
#pragma once

#include "rig.h"

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

static void ungzip(dz_str in, struct dz_buf *out)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n};
    char part[16384];
    int got;
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    do {
        z.next_out = (Bytef *)part;
        z.avail_out = sizeof(part);
        got = inflate(&z, Z_NO_FLUSH);
        assert_true(got == Z_OK || got == Z_STREAM_END);
        dz_buf_put(out, (dz_str){part, sizeof(part) - z.avail_out});
    } while (got != Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    inflateEnd(&z);
}

static void unbr(dz_str in, struct dz_buf *out)
{
    BrotliDecoderState *s = BrotliDecoderCreateInstance(NULL, NULL, NULL);
    const uint8_t *from = (const uint8_t *)in.p;
    uint8_t part[16384];
    BrotliDecoderResult got;
    do {
        uint8_t *to = part;
        size_t room = sizeof(part);
        got = BrotliDecoderDecompressStream(s, &in.n, &from, &room, &to, NULL);
        dz_buf_put(out, (dz_str){(const char *)part, sizeof(part) - room});
    } while (got == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT);
    assert_int_equal(got, BROTLI_DECODER_RESULT_SUCCESS);
    assert_int_equal(in.n, 0);
    BrotliDecoderDestroyInstance(s);
}

/* As a browser: windows of at most 8 MiB (RFC 9659). */
static void unzstd(dz_str in, struct dz_buf *out)
{
    ZSTD_DCtx *s = ZSTD_createDCtx();
    assert_false(ZSTD_isError(ZSTD_DCtx_setParameter(s, ZSTD_d_windowLogMax, 23)));
    ZSTD_inBuffer from = {in.p, in.n, 0};
    char part[16384];
    size_t left = 1;
    while (left > 0) {
        ZSTD_outBuffer to = {part, sizeof(part), 0};
        size_t had = from.pos;
        left = ZSTD_decompressStream(s, &to, &from);
        assert_false(ZSTD_isError(left));
        dz_buf_put(out, (dz_str){part, to.pos});
        assert_true(left == 0 || to.pos > 0 || from.pos > had);
    }
    assert_int_equal(from.pos, in.n);
    ZSTD_freeDCtx(s);
}

static void unpack(dz_str encoding, dz_str in, struct dz_buf *out)
{
    if (dz_str_eq(encoding, DZ_S("gzip")))
        ungzip(in, out);
    else if (dz_str_eq(encoding, DZ_S("br")))
        unbr(in, out);
    else if (dz_str_eq(encoding, DZ_S("zstd")))
        unzstd(in, out);
    else
        dz_buf_put(out, in);
}

/* RFC 9112 7.1 without extensions and trailers; returns what stands behind the body. */
static __attribute__((unused)) dz_str unchunk(dz_str in, struct dz_buf *out)
{
    for (;;) {
        size_t end = dz_str_find(in, DZ_S("\r\n")), n = 0;
        assert_true(end != DZ_NPOS && end >= 1 && end <= 4);
        for (size_t i = 0; i < end; i++) {
            const char *digits = "0123456789abcdef", *at = strchr(digits, in.p[i]);
            assert_non_null(at);
            n = n * 16 + (size_t)(at - digits);
        }
        in = dz_str_sub(in, end + 2, in.n);
        assert_true(in.n >= n + 2 && in.p[n] == '\r' && in.p[n + 1] == '\n');
        dz_buf_put(out, dz_str_sub(in, 0, n));
        in = dz_str_sub(in, n + 2, in.n);
        if (n == 0)
            return in;
    }
}
