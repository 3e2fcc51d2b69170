/*
 * crawl_retile: what it costs to put the tiles of a page in order, beside what libjpeg alone costs.
 *
 * In: nothing; it paints a page of the usual size. Out: one JSON line with medians of CPU time. The
 * two ways take turns in one process, so that both meet the same machine. What libjpeg does here is
 * the least that anybody can do with it: all rows decoded into one block, and that encoded with the
 * same quality. Run by bench/crawl.py.
 */
#include <stdio.h>

#include <jpeglib.h>
#include <stdlib.h>
#include <time.h>

#include "media/media.h"

#define WIDTH 874u
#define HEIGHT 1285u
#define ROUNDS 41
#define QUALITY 75
#define COLUMNS 10u
#define ROWS 15u
#define GAP 10u
#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Soft shades with hard edges and a little grain, as a page that was scanned. */
static struct dz_raster paint(void)
{
    struct dz_raster r = {.width = WIDTH, .height = HEIGHT, .rgb = dz_alloc(WIDTH * HEIGHT * 3)};
    uint32_t noise = 1;
    for (uint32_t y = 0; y < HEIGHT; y++)
        for (uint32_t x = 0; x < WIDTH; x++) {
            noise = noise * 1664525u + 1013904223u;
            bool line = x % 97 < 3 || y % 131 < 3 || (x + y) % 61 < 2;
            uint32_t shade = line ? 20 : 120 + (x * y / 4096) % 120;
            memset(r.rgb + ((size_t)y * WIDTH + x) * 3, (int)(shade + (noise >> 28)), 3);
        }
    return r;
}

static void library_decode(dz_str jpeg, struct dz_raster *r)
{
    struct jpeg_decompress_struct d = {0};
    struct jpeg_error_mgr e;
    d.err = jpeg_std_error(&e);
    jpeg_create_decompress(&d);
    jpeg_mem_src(&d, (const unsigned char *)jpeg.p, jpeg.n);
    (void)jpeg_read_header(&d, TRUE);
    (void)jpeg_start_decompress(&d);
    r->width = d.output_width;
    r->height = d.output_height;
    r->rgb = dz_alloc((size_t)r->width * r->height * 3);
    while (d.output_scanline < d.output_height) {
        JSAMPROW row = r->rgb + (size_t)d.output_scanline * r->width * 3;
        (void)jpeg_read_scanlines(&d, &row, 1);
    }
    (void)jpeg_finish_decompress(&d);
    jpeg_destroy_decompress(&d);
}

static void library_encode(const struct dz_raster *r)
{
    struct jpeg_compress_struct c = {0};
    struct jpeg_error_mgr e;
    unsigned char *bytes = NULL;
    unsigned long n = 0;
    c.err = jpeg_std_error(&e);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &bytes, &n);
    c.image_width = r->width;
    c.image_height = r->height;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, QUALITY, TRUE);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row = r->rgb + (size_t)c.next_scanline * r->width * 3;
        (void)jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    free(bytes);
}

/* One decode of the page, and one encode of it or, with `small`, of the picture without gaps. */
static double library_us(dz_str jpeg, const struct dz_raster *small)
{
    double begun = cpu_us();
    struct dz_raster r;
    library_decode(jpeg, &r);
    library_encode(small ? small : &r);
    dz_raster_done(&r);
    return cpu_us() - begun;
}

static enum dz_code put_in_order(dz_str jpeg, const struct dz_retile *how, struct dz_raster *ret_r,
                                 struct dz_err *err)
{
    struct dz_raster r;
    DZ_TRY(dz_jpeg_decode(jpeg, &r, err));
    enum dz_code code = dz_retile(&r, how, ret_r, err);
    dz_raster_done(&r);
    return code;
}

static double dozo_us(dz_str jpeg, const struct dz_retile *how)
{
    double begun = cpu_us();
    struct dz_err err;
    struct dz_raster r;
    DZ_AUTO(dz_buf_done) struct dz_buf out;
    dz_buf_init(&out, 64 * DZ_MIB);
    if (put_in_order(jpeg, how, &r, &err) != DZ_OK ||
        dz_jpeg_encode(&r, QUALITY, &out, &err) != DZ_OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    dz_raster_done(&r);
    return cpu_us() - begun;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, ROUNDS, sizeof(*v), by_value);
    return v[ROUNDS / 2];
}

int main(void)
{
    struct dz_err err;
    uint32_t key[(COLUMNS - 2) * (ROWS - 2)];
    for (uint32_t i = 0; i < DZ_LEN(key); i++)
        key[i] = (i * 37 + 11) % (uint32_t)DZ_LEN(key);
    struct dz_retile how = {
        .columns = COLUMNS, .rows = ROWS, .gap = GAP, .key = key, .key_n = DZ_LEN(key)};
    struct dz_raster page = paint(), small;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 64 * DZ_MIB);
    if (dz_jpeg_encode(&page, QUALITY, &b, &err) != DZ_OK ||
        put_in_order(dz_buf_str(&b), &how, &small, &err) != DZ_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    double dozo[ROUNDS], whole[ROUNDS], less[ROUNDS], ratio_whole[ROUNDS], ratio_small[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        whole[i] = library_us(dz_buf_str(&b), NULL);
        dozo[i] = dozo_us(dz_buf_str(&b), &how);
        less[i] = library_us(dz_buf_str(&b), &small);
        ratio_whole[i] = dozo[i] / whole[i];
        ratio_small[i] = dozo[i] / less[i];
    }
    printf("{\"width\": %u, \"height\": %u, \"rounds\": %d, \"dozo_us\": %.0f, \"whole_us\": %.0f, "
           "\"small_us\": %.0f, \"ratio_whole\": %.3f, \"ratio_small\": %.3f, \"bytes\": %zu, "
           "\"library\": \"" TEXT_OF(LIBJPEG_TURBO_VERSION) "\"}\n",
           WIDTH, HEIGHT, ROUNDS, median(dozo), median(whole), median(less), median(ratio_whole),
           median(ratio_small), b.n);
    dz_raster_done(&page);
    dz_raster_done(&small);
    return 0;
}
