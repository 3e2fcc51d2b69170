/*
 * retile: a picture whose inner tiles were shuffled, put in order again; and the white test.
 *
 * In: a raster, a grid, and where each tile belongs. Out: a new raster without the gaps. Pure, any
 * thread. Rectangles are signed and 64 bits wide, so that a grid that does not fit its picture is
 * clipped and never overflows.
 */
#include "media/media_int.h"

#define KEY_MAX 100000u
#define GRID_MIN 3u
#define GRID_MAX 1000u
#define GAP_MAX 1000u

bool dz_raster_is_white(const struct dz_raster *r)
{
    size_t n = (size_t)r->width * r->height * 3;
    if (n == 0)
        return false;
    /* Each byte equals the one before it, and the first is 255. */
    return r->rgb[0] == 0xFF && memcmp(r->rgb, r->rgb + 1, n - 1) == 0;
}

enum dz_code dz_retile_key(dz_str text, struct dz_arena *a, const uint32_t **ret_key, size_t *ret_n,
                           struct dz_err *err)
{
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == ':';
    if (n > KEY_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "a tile key of %zu parts, at most %u", n, KEY_MAX);
    uint32_t *key = dz_arena_alloc(a, n * sizeof(*key));
    for (size_t i = 0; i < n; i++) {
        size_t colon = dz_str_chr(text, ':');
        dz_str part = dz_str_trim(dz_str_sub(text, 0, colon));
        text = dz_str_after(text, colon);
        uint32_t v = 0;
        bool good = part.n > 0 && part.n <= 8;
        for (size_t k = 0; good && k < part.n; k++) {
            char c = part.p[k];
            unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0')
                             : (c | 0x20) >= 'a' && (c | 0x20) <= 'f'
                                 ? (unsigned)((c | 0x20) - 'a') + 10
                                 : 16;
            good = digit < 16;
            v = v << 4 | digit;
        }
        if (!good) {
            dz_str shown = media_short(part);
            return dz_fail(err, DZ_BAD_INPUT,
                           "part %zu of the tile key, \"%.*s\", is no hexadecimal number", i + 1,
                           DZ_STR_FMT(shown));
        }
        key[i] = v;
    }
    *ret_key = key;
    *ret_n = n;
    return DZ_OK;
}

struct box {
    int64_t from_x, from_y, width, height, to_x, to_y;
};

/* Copies a box: clipped to the output; black where the source has nothing. */
static void draw(const struct dz_raster *in, struct dz_raster *out, struct box b)
{
    int64_t left = b.to_x < 0 ? -b.to_x : 0, top = b.to_y < 0 ? -b.to_y : 0;
    int64_t right = b.width < (int64_t)out->width - b.to_x ? b.width : (int64_t)out->width - b.to_x;
    int64_t bottom =
        b.height < (int64_t)out->height - b.to_y ? b.height : (int64_t)out->height - b.to_y;
    if (right <= left)
        return;
    for (int64_t y = top; y < bottom; y++) {
        unsigned char *to = out->rgb + ((b.to_y + y) * (int64_t)out->width + b.to_x + left) * 3;
        int64_t from_y = b.from_y + y, n = right - left, from_x = b.from_x + left;
        int64_t there =
            from_y < 0 || from_y >= (int64_t)in->height ? 0 : (int64_t)in->width - from_x;
        there = there < 0 ? 0 : there > n ? n : there;
        if (there > 0)
            memcpy(to, in->rgb + (from_y * (int64_t)in->width + from_x) * 3, (size_t)there * 3);
        memset(to + there * 3, 0, (size_t)(n - there) * 3);
    }
}

static void draw_edges(const struct dz_raster *in, struct dz_raster *out,
                       const struct dz_retile *how, int64_t tw, int64_t th)
{
    int64_t w = out->width, h = out->height, gap = how->gap;
    int64_t last_column = how->columns - 1, last_row = how->rows - 1;
    int64_t bottom_y = last_row * (th + gap), right_x = last_column * (tw + gap);
    draw(in, out, (struct box){0, 0, w, th, 0, 0});
    draw(in, out, (struct box){0, th + gap, tw, h - 2 * th, 0, th});
    draw(in, out, (struct box){0, bottom_y, w, (int64_t)in->height - bottom_y, 0, last_row * th});
    draw(in, out,
         (struct box){right_x, th + gap, tw + w - (int64_t)how->columns * tw, h - 2 * th,
                      last_column * tw, th});
}

enum dz_code dz_retile(const struct dz_raster *in, const struct dz_retile *how,
                       struct dz_raster *ret_r, struct dz_err *err)
{
    if (how->columns < GRID_MIN || how->columns > GRID_MAX || how->rows < GRID_MIN ||
        how->rows > GRID_MAX || how->gap > GAP_MAX)
        return dz_fail(err, DZ_BAD_INPUT,
                       "a grid of %u x %u tiles with gaps of %u; sides are %u..%u, gaps up to %u",
                       how->columns, how->rows, how->gap, GRID_MIN, GRID_MAX, GAP_MAX);
    int64_t w = (int64_t)in->width - (int64_t)how->gap * (how->columns - 1);
    int64_t h = (int64_t)in->height - (int64_t)how->gap * (how->rows - 1);
    if (w < 0 || h < 0)
        return dz_fail(err, DZ_BAD_INPUT,
                       "a picture of %u x %u is smaller than the gaps of its tiles", in->width,
                       in->height);
    struct dz_raster out = {.width = (uint32_t)w, .height = (uint32_t)h};
    size_t bytes = (size_t)w * (size_t)h * 3;
    if (bytes > 0) {
        void *rgb;
        DZ_TRY(dz_try_alloc(bytes, &rgb, err));
        out.rgb = rgb;
        memset(out.rgb, 0xFF, bytes);
        int64_t tw = w / how->columns, th = h / how->rows;
        draw_edges(in, &out, how, tw, th);
        int64_t inner = how->columns - 2;
        for (size_t i = 0; i < how->key_n; i++) {
            int64_t at = (int64_t)i, k = how->key[i];
            draw(in, &out,
                 (struct box){(at % inner + 1) * (tw + how->gap),
                              (at / inner + 1) * (th + how->gap), tw, th, (k % inner + 1) * tw,
                              (k / inner + 1) * th});
        }
    }
    *ret_r = out;
    return DZ_OK;
}
