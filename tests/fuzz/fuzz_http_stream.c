/*
 * fuzz_http_stream: content that is made while it is sent. The input says how long the content is,
 * how the source cuts it, how much is read at a time and where it breaks; the rest is the content,
 * over and over; it may wait between two pieces. What comes out of the compressing source must
 * decode to it, a wait must come out when all before it has, and a break must stay a break.
 */
#include "http/http_int.h"

#include <brotli/decode.h>
#include <errno.h>
#include <zlib.h>
#include <zstd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct cut_source {
    struct dz_http_source source;
    dz_str pattern;
    size_t at, n, step, fault;
    unsigned wait_every, reads; /* 0: never */
    bool *alive;
};

static ssize_t cut_read(struct dz_http_source *source, char *p, size_t n)
{
    struct cut_source *s = dz_container(source, struct cut_source, source);
    if (s->wait_every > 0 && ++s->reads % s->wait_every == 0)
        return -EAGAIN;
    if (s->at >= s->fault)
        return -EIO;
    if (n > s->step)
        n = s->step;
    if (n > s->n - s->at)
        n = s->n - s->at;
    for (size_t i = 0; i < n; i++, s->at++)
        p[i] = s->pattern.p[s->at % s->pattern.n];
    return (ssize_t)n;
}

static void cut_free(struct dz_http_source **source)
{
    struct cut_source *s = dz_container(dz_take(source), struct cut_source, source);
    *s->alive = false;
    free(s);
}

static void decode(enum dz_http_encoding how, dz_str in, char *out, size_t room, size_t *ret_n)
{
    *ret_n = room;
    if (how == DZ_HTTP_GZIP) {
        z_stream z = {.next_in = (Bytef *)(uintptr_t)in.p,
                      .avail_in = (uInt)in.n,
                      .next_out = (Bytef *)out,
                      .avail_out = (uInt)room};
        dz_assert(inflateInit2(&z, 15 + 16) == Z_OK && inflate(&z, Z_FINISH) == Z_STREAM_END);
        dz_assert(z.avail_in == 0);
        *ret_n = z.total_out;
        inflateEnd(&z);
    } else if (how == DZ_HTTP_BR) {
        dz_assert(BrotliDecoderDecompress(in.n, (const uint8_t *)in.p, ret_n, (uint8_t *)out) ==
                  BROTLI_DECODER_RESULT_SUCCESS);
    } else {
        *ret_n = ZSTD_decompress(out, room, in.p, in.n);
        dz_assert(!ZSTD_isError(*ret_n));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct dz_http_server *server;
    static struct dz_loop *loop;
    static struct dz_http_lane *lane;
    static char plain[300001];
    if (n < 9 || n > 1 << 16)
        return 0;
    if (!lane) {
        struct dz_http_options o = {0};
        dz_assert(dz_http_server_new(&o, &server, NULL) == DZ_OK);
        dz_assert(dz_loop_new(&loop, NULL) == DZ_OK);
        lane = dz_http_lane_new(server, loop, 0);
    }
    static const enum dz_http_encoding hows[] = {DZ_HTTP_GZIP, DZ_HTTP_BR, DZ_HTTP_ZSTD};
    enum dz_http_encoding how = hows[data[0] % DZ_LEN(hows)];
    bool alive = true, breaks = data[0] & 0x80;
    size_t bytes = (data[1] | (size_t)data[2] << 8 | (size_t)(data[3] & 3) << 16) % 300000;
    size_t read_n = (data[4] | (size_t)data[5] << 8) % 40000 + 1;
    struct cut_source *s = dz_new(struct cut_source);
    *s = (struct cut_source){.source = {cut_read, cut_free},
                             .pattern = {(const char *)data + 8, n - 8},
                             .n = bytes,
                             .step = (data[6] | (size_t)data[7] << 8) + 1u,
                             .fault = breaks ? bytes / 2 : SIZE_MAX,
                             .wait_every = data[0] & 0x40 ? 2 + (data[3] >> 4) : 0,
                             .alive = &alive};
    struct dz_http_source *packed = dz_http_compress_source(lane, how, &s->source);
    DZ_AUTO(dz_buf_done) struct dz_buf out;
    dz_buf_init(&out, 1 << 22);
    ssize_t got;
    do {
        dz_assert(dz_buf_reserve(&out, read_n));
        got = packed->read(packed, out.p + out.n, read_n);
        dz_assert(got <= (ssize_t)read_n && (got != -EAGAIN || s->wait_every > 0));
        out.n += got > 0 ? (size_t)got : 0;
    } while (got > 0 || got == -EAGAIN);
    dz_assert(breaks ? got == -EIO : got == 0 && packed->read(packed, out.p, 1) == 0);
    dz_http_source_free(&packed);
    dz_assert(!alive);
    if (breaks)
        return 0;
    size_t plain_n;
    decode(how, dz_buf_str(&out), plain, sizeof(plain), &plain_n);
    dz_assert(plain_n == bytes);
    for (size_t i = 0; i < bytes; i++)
        dz_assert(plain[i] == (char)data[8 + i % (n - 8)]);
    return 0;
}
