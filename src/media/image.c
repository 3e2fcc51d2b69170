/*
 * image: which picture type some bytes are, and the size of a picture without decoding it.
 *
 * In: a whole file in memory, from an upload, an archive or a site, so never to be trusted. Out:
 * type, width and height, or words that tell a person what is wrong. Pure functions, any thread, no
 * memory. This file sniffs and hands over to the one parser of the type; the parsers live in
 * image_raster.c (JPEG, PNG, GIF, BMP, TIFF) and image_box.c (WebP, AVIF, JPEG XL). "Structure"
 * means what makes a cut-off or damaged file show without decompressing anything: a flipped bit
 * inside compressed data is found only where the format has a checksum (PNG).
 */
#include "media/media_int.h"

static bool is_at(dz_str s, size_t at, dz_str magic)
{
    return holds(s, at, magic.n) && memcmp(s.p + at, magic.p, magic.n) == 0;
}

/* ISO 14496-12 4.3: ftyp box with major brand, minor version, compatible brands. */
static bool is_avif(dz_str s)
{
    if (!holds(s, 0, 16) || !is_at(s, 4, DZ_S("ftyp")))
        return false;
    size_t end = at_be32(s, 0) < s.n ? at_be32(s, 0) : s.n;
    for (size_t at = 8; at + 4 <= end; at += 4) {
        if (at != 12 && (is_at(s, at, DZ_S("avif")) || is_at(s, at, DZ_S("avis"))))
            return true;
    }
    return false;
}

/* "BM" alone begins many texts, so the size of the second header must be one that exists. */
static bool is_bmp(dz_str s)
{
    if (!is_at(s, 0, DZ_S("BM")) || !holds(s, 14, 4))
        return false;
    switch (at_le32(s, 14)) {
    case 12:
    case 16:
    case 40:
    case 52:
    case 56:
    case 64:
    case 108:
    case 124:
        return true;
    default:
        return false;
    }
}

enum dz_media_type dz_media_sniff(dz_str s)
{
    if (is_at(s, 0, DZ_S("\xff\xd8\xff")))
        return DZ_MEDIA_JPEG;
    if (is_at(s, 0, DZ_S("\x89PNG\r\n\x1a\n")))
        return DZ_MEDIA_PNG;
    if (is_at(s, 0, DZ_S("GIF87a")) || is_at(s, 0, DZ_S("GIF89a")))
        return DZ_MEDIA_GIF;
    if (is_at(s, 0, DZ_S("RIFF")) && is_at(s, 8, DZ_S("WEBP")))
        return DZ_MEDIA_WEBP;
    if (is_avif(s))
        return DZ_MEDIA_AVIF;
    if (is_at(s, 0, DZ_S("\xff\x0a")) || is_at(s, 0, DZ_S("\0\0\0\x0cJXL \r\n\x87\n")))
        return DZ_MEDIA_JXL;
    if (is_bmp(s))
        return DZ_MEDIA_BMP;
    if (is_at(s, 0, DZ_S("II*\0")) || is_at(s, 0, DZ_S("MM\0*")))
        return DZ_MEDIA_TIFF;
    return DZ_MEDIA_UNKNOWN;
}

/* The commonest wrong things that arrive where a picture is expected. */
static const char *what_instead(dz_str s)
{
    s = dz_str_trim(dz_str_sub(s, is_at(s, 0, DZ_S("\xef\xbb\xbf")) ? 3 : 0, s.n));
    if (is_at(s, 0, DZ_S("<")))
        return "not an image (it looks like a web page or other markup)";
    if (is_at(s, 0, DZ_S("{")) || is_at(s, 0, DZ_S("[")))
        return "not an image (it looks like JSON)";
    if (is_at(s, 0, DZ_S("PK\3\4")) || is_at(s, 0, DZ_S("Rar!\x1a\7")) ||
        is_at(s, 0, DZ_S("7z\xbc\xaf\x27\x1c")))
        return "not an image (it is an archive)";
    if (is_at(s, 0, DZ_S("%PDF-")))
        return "not an image (it is a PDF)";
    if (is_at(s, 4, DZ_S("ftyp")))
        return "not an image that is supported (it is HEIF, MP4 or another film type)";
    if (s.n == 0 || (s.p[0] == '\0' && memcmp(s.p, s.p + 1, s.n - 1) == 0))
        return "not an image (nothing but blanks or zero bytes)";
    return "not an image";
}

static image_size_fn *const size_of_type[DZ_MEDIA_TYPE_COUNT] = {
    [DZ_MEDIA_JPEG] = image_jpeg_size, [DZ_MEDIA_PNG] = image_png_size,
    [DZ_MEDIA_GIF] = image_gif_size,   [DZ_MEDIA_WEBP] = image_webp_size,
    [DZ_MEDIA_AVIF] = image_avif_size, [DZ_MEDIA_JXL] = image_jxl_size,
    [DZ_MEDIA_BMP] = image_bmp_size,   [DZ_MEDIA_TIFF] = image_tiff_size,
};

enum dz_code dz_media_inspect(dz_str bytes, struct dz_media_info *ret_info, struct dz_err *err)
{
    if (bytes.n == 0)
        return dz_fail(err, DZ_PARSE, "empty file");
    struct dz_media_info info = {.type = dz_media_sniff(bytes)};
    if (info.type == DZ_MEDIA_UNKNOWN)
        return dz_fail(err, DZ_PARSE, "%s", what_instead(bytes));
    DZ_TRY(size_of_type[info.type](bytes, &info.width, &info.height, err));
    if (info.width > DZ_MEDIA_SIDE_MAX || info.height > DZ_MEDIA_SIDE_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "the picture is %u x %u pixels; a side may have %u",
                       info.width, info.height, DZ_MEDIA_SIDE_MAX);
    *ret_info = info;
    return DZ_OK;
}
