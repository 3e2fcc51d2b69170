/*
 * exif: one text tag out of a JPEG's EXIF block, over libexif.
 *
 * In: the bytes of a JPEG. Out: text in the arena. The library bounds its own reading and gets only
 * the block, not the picture. Pure, any thread.
 */
#include "media/media_int.h"

#include <libexif/exif-data.h>
#include <libexif/exif-utils.h>

#define TEXT_MAX 8192

/* The EXIF block: an APP1 segment that starts with "Exif\0\0", before the first scan. */
static dz_str find_block(dz_str s)
{
    size_t at = 2;
    while (holds(s, at, 4) && at_u8(s, at) == 0xFF) {
        unsigned marker = at_u8(s, at + 1);
        if (marker == 0xFF) { /* fill byte */
            at++;
            continue;
        }
        size_t n = at_be16(s, at + 2);
        if (marker == 0xDA || marker == 0xD9 || n < 2 || !holds(s, at + 2, n))
            break;
        dz_str body = dz_str_sub(s, at + 4, at + 2 + n);
        if (marker == 0xE1 && dz_str_starts(body, (dz_str){"Exif\0\0", 6}))
            return body;
        at += 2 + n;
    }
    return (dz_str){0};
}

enum dz_code dz_exif_text(dz_str jpeg, const char *tag, struct dz_arena *a, dz_str *ret_text,
                          struct dz_err *err)
{
    ExifTag number = exif_tag_from_name(tag);
    if ((int)number == 0)
        return dz_fail(err, DZ_NOT_FOUND, "\"%s\" is no name of an EXIF tag", tag);
    dz_str block = dz_media_sniff(jpeg) == DZ_MEDIA_JPEG ? find_block(jpeg) : (dz_str){0};
    if (block.n == 0)
        return dz_fail(err, DZ_NOT_FOUND, "the picture has no EXIF block");
    ExifData *data = exif_data_new();
    exif_data_unset_option(data, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
    exif_data_load_data(data, (const unsigned char *)block.p, (unsigned)block.n);
    enum dz_code code = DZ_NOT_FOUND;
    for (int ifd = 0; ifd < EXIF_IFD_COUNT && code != DZ_OK; ifd++) {
        const ExifEntry *e = exif_content_get_entry(data->ifd[ifd], number);
        if (!e || e->format != EXIF_FORMAT_ASCII || !e->data || e->size > TEXT_MAX)
            continue;
        dz_str text = {(const char *)e->data, e->size};
        while (text.n > 0 && (text.p[text.n - 1] == 0 || text.p[text.n - 1] == ' '))
            text.n--;
        *ret_text = dz_arena_str(a, text);
        code = DZ_OK;
    }
    exif_data_unref(data);
    if (code != DZ_OK)
        return dz_fail(err, code, "the EXIF block has no text %s", tag);
    return DZ_OK;
}
