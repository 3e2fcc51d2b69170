/*
 * image_box: size and soundness of WebP (RIFF chunks), AVIF and JPEG XL (ISO boxes).
 *
 * As image_raster.c: forward walks inside one slice. The box walker checks that every box of the
 * file lies inside it, which is what finds a download that broke off; the size comes from the few
 * boxes that tell it.
 */
#include "media/media_int.h"

static dz_str slice(dz_str s, size_t at, size_t n)
{
    return (dz_str){s.p + at, n};
}

/* ---- WebP, RFC 9649 -------------------------------------------------------------------------- */

enum webp_found { WEBP_NOTHING, WEBP_SIZE, WEBP_PICTURE };

static enum dz_code webp_chunk(dz_str type, dz_str body, enum webp_found *found, uint32_t *width,
                               uint32_t *height, struct dz_err *err)
{
    if (dz_str_eq(type, DZ_S("VP8X"))) {
        if (body.n < 10)
            return dz_fail(err, DZ_PARSE, "WebP header VP8X is too short");
        *width = at_le24(body, 4) + 1;
        *height = at_le24(body, 7) + 1;
        *found = WEBP_SIZE;
    } else if (dz_str_eq(type, DZ_S("VP8 "))) {
        if (body.n < 10 || at_le24(body, 3) != 0x2a019d)
            return dz_fail(err, DZ_PARSE, "WebP picture VP8 is damaged at its start");
        if (*found == WEBP_NOTHING) {
            *width = at_le16(body, 6) & 0x3fff;
            *height = at_le16(body, 8) & 0x3fff;
        }
        *found = WEBP_PICTURE;
    } else if (dz_str_eq(type, DZ_S("VP8L"))) {
        if (body.n < 5 || at_u8(body, 0) != 0x2f)
            return dz_fail(err, DZ_PARSE, "WebP picture VP8L is damaged at its start");
        if (*found == WEBP_NOTHING) {
            uint32_t bits = at_le32(body, 1);
            *width = (bits & 0x3fff) + 1;
            *height = (bits >> 14 & 0x3fff) + 1;
        }
        *found = WEBP_PICTURE;
    } else if (dz_str_eq(type, DZ_S("ANMF"))) {
        *found = WEBP_PICTURE;
    }
    return DZ_OK;
}

enum dz_code image_webp_size(dz_str s, uint32_t *ret_width, uint32_t *ret_height,
                             struct dz_err *err)
{
    uint64_t end = (uint64_t)at_le32(s, 4) + 8; /* sniffed: 12 bytes are there */
    if (end > s.n)
        return dz_fail(err, DZ_PARSE, "WebP ends in the middle of the picture (truncated)");
    s.n = (size_t)end;
    enum webp_found found = WEBP_NOTHING;
    uint32_t width = 0, height = 0;
    for (size_t at = 12; holds(s, at, 8);) {
        uint32_t length = at_le32(s, at + 4);
        if (!holds(s, at + 8, length))
            return dz_fail(err, DZ_PARSE, "WebP chunk at byte %zu is longer than the file", at);
        DZ_TRY(webp_chunk(slice(s, at, 4), slice(s, at + 8, length), &found, &width, &height, err));
        at += 8 + (size_t)length + (length & 1);
    }
    if (found != WEBP_PICTURE)
        return dz_fail(err, DZ_PARSE, "WebP has no picture in it");
    if (width == 0 || height == 0)
        return dz_fail(err, DZ_PARSE, "WebP gives a size of %u x %u pixels", width, height);
    *ret_width = width;
    *ret_height = height;
    return DZ_OK;
}

/* ---- boxes, ISO 14496-12 4.2 ----------------------------------------------------------------- */

struct box {
    dz_str type, body;
};

/* The box at *at of s, and *at behind it. False at the end, or with *cut when the box is longer
 * than s. */
static bool box_next(dz_str s, size_t *at, struct box *ret_box, bool *cut)
{
    *cut = false;
    if (*at >= s.n)
        return false;
    *cut = true;
    if (!holds(s, *at, 8))
        return false;
    uint64_t size = at_be32(s, *at);
    size_t head = 8;
    if (size == 1) {
        if (!holds(s, *at, 16))
            return false;
        size = at_be64(s, *at + 8);
        head = 16;
    } else if (size == 0) { /* up to the end */
        size = s.n - *at;
    }
    if (size < head || !holds(s, *at, size))
        return false;
    *cut = false;
    *ret_box = (struct box){slice(s, *at + 4, 4), slice(s, *at + head, (size_t)size - head)};
    *at += (size_t)size;
    return true;
}

/* First box of a type among the children in s; its body, or p NULL. */
static dz_str box_find(dz_str s, dz_str type)
{
    struct box b;
    bool cut;
    for (size_t at = 0; box_next(s, &at, &b, &cut);) {
        if (dz_str_eq(b.type, type))
            return b.body;
    }
    return (dz_str){NULL, 0};
}

/* ---- AVIF, ISO 23008-12 (HEIF) --------------------------------------------------------------- */

/* Properties looked at for the primary item; real files have under ten. */
enum { AVIF_PROPERTIES_MAX = 64 };

/* Number of the primary item; false when the box is absent or too short. */
static bool avif_primary(dz_str meta, uint32_t *ret_item)
{
    dz_str pitm = box_find(meta, DZ_S("pitm"));
    if (pitm.n < 6)
        return false;
    bool is_wide = at_u8(pitm, 0) != 0;
    if (is_wide && pitm.n < 8)
        return false;
    *ret_item = is_wide ? at_be32(pitm, 4) : at_be16(pitm, 4);
    return true;
}

/* Property number `want` (from 1) of ipco, when it is a size. */
static bool avif_size_property(dz_str ipco, uint32_t want, uint32_t *width, uint32_t *height)
{
    struct box b;
    bool cut;
    uint32_t number = 0;
    if (want == 0) /* "no property" */
        return false;
    for (size_t at = 0; box_next(ipco, &at, &b, &cut);) {
        if (++number != want)
            continue;
        if (!dz_str_eq(b.type, DZ_S("ispe")) || b.body.n < 12)
            return false;
        *width = at_be32(b.body, 4);
        *height = at_be32(b.body, 8);
        return true;
    }
    return false;
}

/* Looks through ipma for the item and takes the first of its properties that is a size. */
static bool avif_item_size(dz_str ipma, dz_str ipco, uint32_t item, uint32_t *width,
                           uint32_t *height)
{
    if (ipma.n < 8)
        return false;
    bool is_wide_id = at_u8(ipma, 0) != 0;
    bool is_wide_index = at_u8(ipma, 3) & 1;
    uint32_t entries = at_be32(ipma, 4), seen = 0;
    size_t at = 8, id_bytes = is_wide_id ? 4 : 2, index_bytes = is_wide_index ? 2 : 1;
    for (uint32_t i = 0; i < entries && holds(ipma, at, id_bytes + 1); i++) {
        uint32_t id = is_wide_id ? at_be32(ipma, at) : at_be16(ipma, at);
        uint32_t count = at_u8(ipma, at + id_bytes);
        at += id_bytes + 1;
        for (uint32_t k = 0; k < count; k++, at += index_bytes) {
            if (!holds(ipma, at, index_bytes))
                return false;
            if (id != item)
                continue;
            if (++seen > AVIF_PROPERTIES_MAX)
                return false;
            uint32_t want = is_wide_index ? at_be16(ipma, at) & 0x7fff : at_u8(ipma, at) & 0x7f;
            if (avif_size_property(ipco, want, width, height))
                return true;
        }
    }
    return false;
}

/* The largest size of all properties, for files whose associations make no sense. */
static void avif_largest(dz_str ipco, uint32_t *width, uint32_t *height)
{
    struct box b;
    bool cut;
    for (size_t at = 0; box_next(ipco, &at, &b, &cut);) {
        if (!dz_str_eq(b.type, DZ_S("ispe")) || b.body.n < 12)
            continue;
        uint32_t w = at_be32(b.body, 4), h = at_be32(b.body, 8);
        if ((uint64_t)w * h > (uint64_t)*width * *height) {
            *width = w;
            *height = h;
        }
    }
}

/* All boxes of the file lie inside it and there is something to show. */
static enum dz_code boxes_check(dz_str s, const char *format, struct dz_err *err)
{
    struct box b;
    bool cut;
    size_t at = 0;
    while (box_next(s, &at, &b, &cut))
        ;
    if (cut)
        return dz_fail(err, DZ_PARSE, "%s ends in the middle of the picture (truncated)", format);
    return DZ_OK;
}

enum dz_code image_avif_size(dz_str s, uint32_t *ret_width, uint32_t *ret_height,
                             struct dz_err *err)
{
    DZ_TRY(boxes_check(s, "AVIF", err));
    dz_str meta = box_find(s, DZ_S("meta"));
    if (meta.n < 4) {
        if (box_find(s, DZ_S("moov")).p == NULL)
            return dz_fail(err, DZ_PARSE, "AVIF has no picture in it");
        *ret_width = *ret_height = 0; /* a film without a still: its size is not told cheaply */
        return DZ_OK;
    }
    meta = dz_str_sub(meta, 4, meta.n); /* version and flags */
    if (box_find(s, DZ_S("mdat")).p == NULL && box_find(meta, DZ_S("idat")).p == NULL)
        return dz_fail(err, DZ_PARSE, "AVIF ends before the picture (truncated)");
    dz_str iprp = box_find(meta, DZ_S("iprp"));
    dz_str ipco = box_find(iprp, DZ_S("ipco"));
    uint32_t item = 0, width = 0, height = 0;
    if (!avif_primary(meta, &item) ||
        !avif_item_size(box_find(iprp, DZ_S("ipma")), ipco, item, &width, &height))
        avif_largest(ipco, &width, &height);
    if (width == 0 || height == 0)
        return dz_fail(err, DZ_PARSE, "AVIF does not tell its size");
    *ret_width = width;
    *ret_height = height;
    return DZ_OK;
}

/* ---- JPEG XL, ISO 18181-1 (codestream) and -2 (container) ------------------------------------ */

/* Bits of at most the first 16 bytes, lowest first; reading past the end gives zeros and sets
 * `cut`. */
struct bits {
    dz_str s;
    size_t at;
    bool cut;
};

static uint32_t bits_take(struct bits *b, unsigned n)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < n; i++, b->at++) {
        if (b->at / 8 >= b->s.n) {
            b->cut = true;
            return 0;
        }
        value |= (at_u8(b->s, b->at / 8) >> (b->at % 8) & 1) << i;
    }
    return value;
}

static uint32_t jxl_side(struct bits *b)
{
    static const uint8_t widths[4] = {9, 13, 18, 30};
    return bits_take(b, widths[bits_take(b, 2)]) + 1;
}

static enum dz_code jxl_codestream(dz_str s, uint32_t *ret_width, uint32_t *ret_height,
                                   struct dz_err *err)
{
    static const uint8_t ratios[8][2] = {{0, 0}, {1, 1},  {12, 10}, {4, 3},
                                         {3, 2}, {16, 9}, {5, 4},   {2, 1}};
    if (s.n < 2 || at_be16(s, 0) != 0xff0a)
        return dz_fail(err, DZ_PARSE, "JPEG XL has no picture in it");
    struct bits b = {.s = s, .at = 16};
    bool is_small = bits_take(&b, 1);
    uint32_t height = is_small ? (bits_take(&b, 5) + 1) * 8 : jxl_side(&b);
    uint32_t ratio = bits_take(&b, 3), width;
    if (ratio != 0)
        width = (uint32_t)((uint64_t)height * ratios[ratio][0] / ratios[ratio][1]);
    else
        width = is_small ? (bits_take(&b, 5) + 1) * 8 : jxl_side(&b);
    if (b.cut)
        return dz_fail(err, DZ_PARSE, "JPEG XL ends in its header (truncated)");
    *ret_width = width;
    *ret_height = height;
    return DZ_OK;
}

enum dz_code image_jxl_size(dz_str s, uint32_t *ret_width, uint32_t *ret_height, struct dz_err *err)
{
    if (at_u8(s, 0) == 0xff)
        return jxl_codestream(s, ret_width, ret_height, err);
    DZ_TRY(boxes_check(s, "JPEG XL", err));
    dz_str code = box_find(s, DZ_S("jxlc"));
    if (code.p == NULL) { /* in parts: the first begins with a number of 4 bytes */
        code = box_find(s, DZ_S("jxlp"));
        code = dz_str_sub(code, 4, code.n);
    }
    return jxl_codestream(code, ret_width, ret_height, err);
}
