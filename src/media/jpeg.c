/*
 * jpeg: pictures between JPEG bytes and RGB rows, over libjpeg.
 *
 * In: hostile bytes, whole. Out: a raster, or the other way a file that equals byte for byte what
 * the service before this one wrote with the same library. Pure, any thread. The library reports
 * errors by a callback that must not return: it jumps back to the function that called it, so these
 * functions hold nothing across a call but what the jump's landing place frees. A warning of the
 * library is damage here: a half grey picture is not what the site has.
 */
#include <stdio.h>

#include <jerror.h>
#include <jpeglib.h>
#include <setjmp.h>

#include "media/media_int.h"

#define DECODER_MEMORY_MAX (512L * 1024 * 1024) /* coefficients of a progressive picture */

/* Scans times pixels: 20 of the largest picture, where cameras and editors write about 10. */
#define SCANNED_PIXELS_MAX (20 * DZ_RASTER_PIXELS_MAX)

struct trouble { /* first member of neither struct: reached through client_data */
    struct jpeg_error_mgr mgr;
    struct jpeg_progress_mgr progress;
    jmp_buf land;
    enum dz_code code;
    char text[JMSG_LENGTH_MAX];
};

void dz_raster_done(struct dz_raster *r)
{
    dz_freep(&r->rgb);
    *r = (struct dz_raster){0};
}

static struct trouble *trouble_of(j_common_ptr c)
{
    return c->client_data;
}

static void on_error(j_common_ptr c)
{
    struct trouble *t = trouble_of(c);
    c->err->format_message(c, t->text);
    bool memory =
        c->err->msg_code == JERR_OUT_OF_MEMORY || c->err->msg_code == JERR_NO_BACKING_STORE;
    if (memory)
        snprintf(t->text, sizeof(t->text), "takes more than %ld MiB of memory",
                 DECODER_MEMORY_MAX >> 20);
    if (t->code == DZ_OK)
        t->code = memory ? DZ_TOO_LARGE : DZ_PARSE;
    longjmp(t->land, 1);
}

static void on_message(j_common_ptr c, int level)
{
    if (level >= 0)
        return; /* traces */
    /* Bytes between segments are common and harmless; the rest means lost pixels. */
    if (c->err->msg_code != JWRN_EXTRANEOUS_DATA)
        on_error(c);
}

static void on_output(j_common_ptr c)
{
    (void)c;
}

static void on_progress(j_common_ptr c)
{
    struct trouble *t = trouble_of(c);
    if (!c->is_decompressor)
        return;
    const struct jpeg_decompress_struct *d = (const struct jpeg_decompress_struct *)c;
    uint64_t pixels = (uint64_t)d->image_width * d->image_height;
    uint64_t by_work = pixels > 0 ? SCANNED_PIXELS_MAX / pixels : DZ_JPEG_SCANS_MAX;
    int max = by_work < DZ_JPEG_SCANS_MAX ? (int)by_work : DZ_JPEG_SCANS_MAX;
    if (d->input_scan_number <= max)
        return;
    t->code = DZ_TOO_LARGE;
    snprintf(t->text, sizeof(t->text), "more than %d scans of %u x %u", max, d->image_width,
             d->image_height);
    longjmp(t->land, 1);
}

static void prepare(struct trouble *t, j_common_ptr c)
{
    c->err = jpeg_std_error(&t->mgr);
    c->client_data = t;
    t->mgr.error_exit = on_error;
    t->mgr.emit_message = on_message;
    t->mgr.output_message = on_output;
    t->progress.progress_monitor = on_progress;
}

/* ---- decoding -------------------------------------------------------------------------------- */

/* Adobe writes CMYK upside down, and nobody else writes it into JPEG. */
static void cmyk_row(const unsigned char *in, unsigned char *rgb, uint32_t width, bool inverted)
{
    for (uint32_t x = 0; x < width; x++, in += 4, rgb += 3) {
        unsigned k = inverted ? in[3] : 255u - in[3];
        for (int i = 0; i < 3; i++) {
            unsigned v = inverted ? in[i] : 255u - in[i];
            rgb[i] = (unsigned char)((v * k + 127) / 255);
        }
    }
}

static enum dz_code decode(struct jpeg_decompress_struct *d, struct trouble *t, dz_str bytes,
                           struct dz_raster *r, unsigned char **cmyk, struct dz_err *err)
{
    if (setjmp(t->land))
        return dz_fail(err, t->code, "JPEG: %s", t->text);
    jpeg_create_decompress(d);
    d->progress = &t->progress;
    d->mem->max_memory_to_use = DECODER_MEMORY_MAX;
    jpeg_mem_src(d, (const unsigned char *)bytes.p, bytes.n);
    (void)jpeg_read_header(d, TRUE);
    if ((uint64_t)d->image_width * d->image_height > DZ_RASTER_PIXELS_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "JPEG of %u x %u has more than %llu pixels",
                       d->image_width, d->image_height, (unsigned long long)DZ_RASTER_PIXELS_MAX);
    bool four = d->jpeg_color_space == JCS_CMYK || d->jpeg_color_space == JCS_YCCK;
    d->out_color_space = four ? JCS_CMYK : JCS_RGB;
    (void)jpeg_start_decompress(d);
    r->width = d->output_width;
    r->height = d->output_height;
    void *rgb;
    DZ_TRY(dz_try_alloc((size_t)r->width * r->height * 3, &rgb, err));
    r->rgb = rgb;
    if (four)
        *cmyk = dz_alloc((size_t)r->width * 4);
    while (d->output_scanline < d->output_height) {
        unsigned char *to = r->rgb + (size_t)d->output_scanline * r->width * 3;
        JSAMPROW row = four ? *cmyk : to;
        (void)jpeg_read_scanlines(d, &row, 1);
        if (four)
            cmyk_row(*cmyk, to, r->width, d->saw_Adobe_marker);
    }
    (void)jpeg_finish_decompress(d);
    return DZ_OK;
}

enum dz_code dz_jpeg_decode(dz_str bytes, struct dz_raster *ret_r, struct dz_err *err)
{
    if (dz_media_sniff(bytes) != DZ_MEDIA_JPEG)
        return dz_fail(err, DZ_UNSUPPORTED, "not a JPEG picture");
    struct jpeg_decompress_struct d = {0};
    struct trouble t = {0};
    struct dz_raster r = {0};
    unsigned char *cmyk = NULL;
    prepare(&t, (j_common_ptr)&d);
    enum dz_code code = decode(&d, &t, bytes, &r, &cmyk, err);
    jpeg_destroy_decompress(&d);
    dz_freep(&cmyk);
    if (code != DZ_OK) {
        dz_raster_done(&r);
        return code;
    }
    *ret_r = r;
    return DZ_OK;
}

/* ---- encoding -------------------------------------------------------------------------------- */

static enum dz_code encode(struct jpeg_compress_struct *c, struct trouble *t,
                           const struct dz_raster *r, int quality, unsigned char **bytes,
                           unsigned long *n, struct dz_err *err)
{
    if (setjmp(t->land))
        return dz_fail(err, DZ_INTERNAL, "JPEG: %s", t->text);
    jpeg_create_compress(c);
    jpeg_mem_dest(c, bytes, n);
    c->image_width = r->width;
    c->image_height = r->height;
    c->input_components = 3;
    c->in_color_space = JCS_RGB;
    jpeg_set_defaults(c);
    jpeg_set_quality(c, quality, TRUE);
    jpeg_start_compress(c, TRUE);
    while (c->next_scanline < c->image_height) {
        JSAMPROW row = r->rgb + (size_t)c->next_scanline * r->width * 3;
        (void)jpeg_write_scanlines(c, &row, 1);
    }
    jpeg_finish_compress(c);
    return DZ_OK;
}

enum dz_code dz_jpeg_encode(const struct dz_raster *r, int quality, struct dz_buf *out,
                            struct dz_err *err)
{
    if (r->width == 0 || r->height == 0 || r->width > JPEG_MAX_DIMENSION ||
        r->height > JPEG_MAX_DIMENSION)
        return dz_fail(err, DZ_BAD_INPUT, "a picture of %u x %u cannot be a JPEG", r->width,
                       r->height);
    struct jpeg_compress_struct c = {0};
    struct trouble t = {0};
    unsigned char *bytes = NULL; /* the library's own, by malloc */
    unsigned long n = 0;
    prepare(&t, (j_common_ptr)&c);
    enum dz_code code = encode(&c, &t, r, quality, &bytes, &n, err);
    jpeg_destroy_compress(&c);
    if (code == DZ_OK) {
        dz_buf_put(out, (dz_str){(const char *)bytes, n});
        if (out->full)
            code = dz_fail(err, DZ_TOO_LARGE, "the picture takes more than %zu bytes", out->max);
    }
    free(bytes);
    return code;
}
