/*
 * image_raster: size and soundness of JPEG, PNG, GIF, BMP and TIFF.
 *
 * Each function walks the blocks of one format from the front and never reads past the slice; every
 * step moves forward by at least one byte, so the time is linear in the length. A file that ends
 * too early is told apart from one that is wrong, because the reader's remedy differs: download
 * again, or give up.
 */
#include "media/media_int.h"

#include <zlib.h>

/* ---- JPEG, ITU-T T.81 annex B ---------------------------------------------------------------- */

/* Cameras and phones append data behind the picture, so the end marker may lie in the last quarter
 * or 64 KiB. */
enum { JPEG_TAIL_MIN = 64 * 1024 };

static bool jpeg_is_sof(uint32_t marker)
{
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

static bool jpeg_has_end(dz_str s, size_t scan_at)
{
    size_t tail = s.n / 4 > JPEG_TAIL_MIN ? s.n / 4 : JPEG_TAIL_MIN;
    size_t from = s.n > tail ? s.n - tail : 0;
    if (from < scan_at)
        from = scan_at;
    for (size_t at = s.n; at >= from + 2; at--) {
        if (at_u8(s, at - 1) == 0xd9 && at_u8(s, at - 2) == 0xff)
            return true;
    }
    return false;
}

static enum dz_code jpeg_frame(dz_str s, size_t at, uint32_t length, uint32_t *ret_width,
                               uint32_t *ret_height, struct dz_err *err)
{
    if (length < 8)
        return dz_fail(err, DZ_PARSE, "JPEG frame header is too short");
    uint32_t height = at_be16(s, at + 3), width = at_be16(s, at + 5);
    if (height == 0)
        return dz_fail(err, DZ_PARSE,
                       "JPEG does not give its height before the picture (DNL), not supported");
    if (width == 0)
        return dz_fail(err, DZ_PARSE, "JPEG is 0 pixels wide");
    *ret_width = width;
    *ret_height = height;
    return DZ_OK;
}

enum dz_code image_jpeg_size(dz_str s, uint32_t *ret_width, uint32_t *ret_height,
                             struct dz_err *err)
{
    uint32_t width = 0, height = 0;
    size_t at = 2;
    for (;;) {
        if (!holds(s, at, 2))
            return dz_fail(err, DZ_PARSE, "JPEG ends before the picture (truncated)");
        if (at_u8(s, at) != 0xff)
            return dz_fail(err, DZ_PARSE, "JPEG has no marker at byte %zu", at);
        uint32_t marker = at_u8(s, at + 1);
        if (marker == 0xff) { /* fill byte */
            at++;
            continue;
        }
        at += 2;
        if (marker == 0xd9)
            return dz_fail(err, DZ_PARSE, "JPEG has no picture in it");
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8))
            continue;
        if (marker < 0xc0)
            return dz_fail(err, DZ_PARSE, "JPEG has no marker at byte %zu", at - 2);
        if (!holds(s, at, 2))
            return dz_fail(err, DZ_PARSE, "JPEG ends before the picture (truncated)");
        uint32_t length = at_be16(s, at);
        if (length < 2)
            return dz_fail(err, DZ_PARSE, "JPEG block at byte %zu has a wrong length", at);
        if (!holds(s, at, length))
            return dz_fail(err, DZ_PARSE, "JPEG ends before the picture (truncated)");
        if (jpeg_is_sof(marker) && width == 0)
            DZ_TRY(jpeg_frame(s, at, length, &width, &height, err));
        at += length;
        if (marker == 0xda)
            break;
    }
    if (width == 0)
        return dz_fail(err, DZ_PARSE, "JPEG does not tell its size");
    if (!jpeg_has_end(s, at))
        return dz_fail(err, DZ_PARSE, "JPEG ends in the middle of the picture (truncated)");
    *ret_width = width;
    *ret_height = height;
    return DZ_OK;
}

/* ---- PNG, W3C PNG third edition, section 5 --------------------------------------------------- */

static bool png_is_letter(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* at: of the chunk's length field. Lower-case first letter: decoders may do without the chunk, so
 * its sum is not a reason to lose the page. */
static enum dz_code png_chunk_check(dz_str s, size_t at, uint32_t length, struct dz_err *err)
{
    const char *type = s.p + at + 4;
    for (int i = 0; i < 4; i++) {
        if (!png_is_letter((unsigned char)type[i]))
            return dz_fail(err, DZ_PARSE, "PNG is damaged at byte %zu (no chunk there)", at);
    }
    if (length > INT32_MAX)
        return dz_fail(err, DZ_PARSE, "PNG chunk %.4s has a wrong length", type);
    if (!holds(s, at + 8, (uint64_t)length + 4))
        return dz_fail(err, DZ_PARSE, "PNG ends in the middle of chunk %.4s (truncated)", type);
    uint32_t sum = (uint32_t)crc32_z(0, (const Bytef *)type, (z_size_t)length + 4);
    if (sum != at_be32(s, at + 8 + length) && type[0] < 'a')
        return dz_fail(err, DZ_PARSE, "PNG chunk %.4s has a wrong checksum", type);
    return DZ_OK;
}

enum dz_code image_png_size(dz_str s, uint32_t *ret_width, uint32_t *ret_height, struct dz_err *err)
{
    uint32_t width = 0, height = 0;
    bool has_data = false;
    for (size_t at = 8;;) {
        if (!holds(s, at, 8))
            return dz_fail(err, DZ_PARSE, "PNG has no end (truncated)");
        uint32_t length = at_be32(s, at);
        DZ_TRY(png_chunk_check(s, at, length, err));
        dz_str type = {s.p + at + 4, 4};
        if (at == 8) {
            if (!dz_str_eq(type, DZ_S("IHDR")) || length != 13)
                return dz_fail(err, DZ_PARSE, "PNG does not begin with its header IHDR");
            width = at_be32(s, 16);
            height = at_be32(s, 20);
            if (width == 0 || height == 0 || width > INT32_MAX || height > INT32_MAX)
                return dz_fail(err, DZ_PARSE, "PNG gives a size of %u x %u pixels", width, height);
        }
        if (dz_str_eq(type, DZ_S("IDAT")))
            has_data = true;
        if (dz_str_eq(type, DZ_S("IEND")))
            break;
        at += (size_t)length + 12;
    }
    if (!has_data)
        return dz_fail(err, DZ_PARSE, "PNG has no picture in it");
    *ret_width = width;
    *ret_height = height;
    return DZ_OK;
}

/* ---- GIF89a ---------------------------------------------------------------------------------- */

/* Steps over sub-blocks up to and over the empty one; false: the file ends first. */
static bool gif_skip_blocks(dz_str s, size_t *at)
{
    for (;;) {
        if (*at >= s.n)
            return false;
        uint32_t n = at_u8(s, *at);
        *at += 1 + n;
        if (n == 0)
            return true;
    }
}

static size_t gif_colours(uint32_t flags)
{
    return flags & 0x80 ? (size_t)3 << ((flags & 7) + 1) : 0;
}

enum dz_code image_gif_size(dz_str s, uint32_t *ret_width, uint32_t *ret_height, struct dz_err *err)
{
    if (!holds(s, 0, 13))
        return dz_fail(err, DZ_PARSE, "GIF ends in its header (truncated)");
    uint32_t width = at_le16(s, 6), height = at_le16(s, 8), frames = 0;
    size_t at = 13 + gif_colours(at_u8(s, 10));
    for (;;) {
        if (at >= s.n)
            return dz_fail(err, DZ_PARSE, "GIF has no end (truncated)");
        uint32_t kind = at_u8(s, at);
        if (kind == 0x3b)
            break;
        if (kind == 0) { /* stray padding that old tools write and every decoder steps over */
            at++;
            continue;
        }
        if (kind == 0x21) {
            at += 2;
        } else if (kind == 0x2c) {
            if (!holds(s, at, 10))
                return dz_fail(err, DZ_PARSE, "GIF ends in frame %u (truncated)", frames + 1);
            if (frames == 0 && (width == 0 || height == 0)) {
                width = at_le16(s, at + 5);
                height = at_le16(s, at + 7);
            }
            frames++;
            at += 10 + gif_colours(at_u8(s, at + 9)) + 1;
        } else {
            return dz_fail(err, DZ_PARSE, "GIF is damaged at byte %zu (no block there)", at);
        }
        if (!gif_skip_blocks(s, &at))
            return dz_fail(err, DZ_PARSE, "GIF ends in the middle of the picture (truncated)");
    }
    if (frames == 0)
        return dz_fail(err, DZ_PARSE, "GIF has no picture in it");
    if (width == 0 || height == 0)
        return dz_fail(err, DZ_PARSE, "GIF gives a size of %u x %u pixels", width, height);
    *ret_width = width;
    *ret_height = height;
    return DZ_OK;
}

/* ---- BMP ------------------------------------------------------------------------------------- */

enum dz_code image_bmp_size(dz_str s, uint32_t *ret_width, uint32_t *ret_height, struct dz_err *err)
{
    uint32_t header = at_le32(s, 14); /* sniffed: 18 bytes are there */
    bool is_core = header == 12;
    if (!holds(s, 14, header))
        return dz_fail(err, DZ_PARSE, "BMP ends in its header (truncated)");
    int64_t width = is_core ? (int64_t)at_le16(s, 18) : (int32_t)at_le32(s, 18);
    int64_t height = is_core ? (int64_t)at_le16(s, 20) : (int32_t)at_le32(s, 22);
    uint64_t bits = at_le16(s, is_core ? 24 : 28);
    uint32_t packing = is_core || header == 16 ? 0 : at_le32(s, 30);
    uint64_t data_at = at_le32(s, 10);
    if (height < 0) /* rows from the top down */
        height = -height;
    if (width <= 0 || height == 0)
        return dz_fail(err, DZ_PARSE, "BMP gives a size of %lld x %lld pixels", (long long)width,
                       (long long)height);
    if (bits > 32)
        return dz_fail(err, DZ_PARSE, "BMP gives %llu bits for a pixel", (unsigned long long)bits);
    *ret_width = (uint32_t)width;
    *ret_height = (uint32_t)height;
    if (width > DZ_MEDIA_SIDE_MAX || height > DZ_MEDIA_SIDE_MAX)
        return DZ_OK; /* the caller refuses it with better words */
    bool is_plain = packing == 0 || packing == 3 || packing == 6;
    uint64_t need = is_plain ? ((uint64_t)width * bits + 31) / 32 * 4 * (uint64_t)height : 1;
    if (!holds(s, data_at, need))
        return dz_fail(err, DZ_PARSE, "BMP ends in the middle of the picture (truncated)");
    return DZ_OK;
}

/* ---- TIFF 6.0 -------------------------------------------------------------------------------- */

struct tiff {
    dz_str s;
    bool is_big; /* "MM" */
};

static uint32_t tiff_u16(const struct tiff *t, size_t at)
{
    return t->is_big ? at_be16(t->s, at) : at_le16(t->s, at);
}

static uint32_t tiff_u32(const struct tiff *t, size_t at)
{
    return t->is_big ? at_be32(t->s, at) : at_le32(t->s, at);
}

/* Value i of the field at `at`, of type SHORT or LONG; false when it is of another type or outside
 * the file. */
static bool tiff_value(const struct tiff *t, size_t at, uint32_t i, uint32_t *ret_n)
{
    uint32_t type = tiff_u16(t, at + 2), count = tiff_u32(t, at + 4);
    uint64_t size = type == 3 ? 2 : 4;
    if ((type != 3 && type != 4) || i >= count)
        return false;
    uint64_t from = size * count <= 4 ? at + 8 : tiff_u32(t, at + 8);
    if (!holds(t->s, from, size * count))
        return false;
    size_t value_at = (size_t)(from + size * i);
    *ret_n = type == 3 ? tiff_u16(t, value_at) : tiff_u32(t, value_at);
    return true;
}

/* Every strip or tile that the first picture is made of lies inside the file. */
static bool tiff_data_is_there(const struct tiff *t, size_t offsets_at, size_t counts_at)
{
    if (offsets_at == 0 || counts_at == 0)
        return true; /* some writers leave the counts out */
    uint32_t n = tiff_u32(t, offsets_at + 4), from, length;
    for (uint32_t i = 0; i < n; i++) {
        if (!tiff_value(t, offsets_at, i, &from) || !tiff_value(t, counts_at, i, &length) ||
            !holds(t->s, from, length))
            return false;
    }
    return true;
}

enum dz_code image_tiff_size(dz_str s, uint32_t *ret_width, uint32_t *ret_height,
                             struct dz_err *err)
{
    struct tiff t = {.s = s, .is_big = s.p[0] == 'M'};
    if (!holds(s, 0, 8) || !holds(s, tiff_u32(&t, 4), 2))
        return dz_fail(err, DZ_PARSE, "TIFF ends before its directory (truncated)");
    size_t at = tiff_u32(&t, 4);
    uint32_t fields = tiff_u16(&t, at), width = 0, height = 0;
    size_t offsets_at = 0, counts_at = 0;
    at += 2;
    if (!holds(s, at, (uint64_t)fields * 12))
        return dz_fail(err, DZ_PARSE, "TIFF ends in its directory (truncated)");
    for (uint32_t i = 0; i < fields; i++, at += 12) {
        switch (tiff_u16(&t, at)) {
        case 256: /* ImageWidth */
            (void)tiff_value(&t, at, 0, &width);
            break;
        case 257: /* ImageLength */
            (void)tiff_value(&t, at, 0, &height);
            break;
        case 273: /* StripOffsets */
        case 324: /* TileOffsets */
            offsets_at = at;
            break;
        case 279: /* StripByteCounts */
        case 325: /* TileByteCounts */
            counts_at = at;
            break;
        default:
            break;
        }
    }
    if (width == 0 || height == 0)
        return dz_fail(err, DZ_PARSE, "TIFF does not tell its size");
    if (!tiff_data_is_there(&t, offsets_at, counts_at))
        return dz_fail(err, DZ_PARSE, "TIFF ends in the middle of the picture (truncated)");
    *ret_width = width;
    *ret_height = height;
    return DZ_OK;
}
