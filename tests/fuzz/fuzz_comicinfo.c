/*
 * fuzz_comicinfo: ComicInfo.xml.
 *
 * In: bytes taken as the file. What comes out is UTF-8 and trimmed, numbers are -1 or more.
 */
#include "media/media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dz_arena *a = dz_arena_new(256 * 1024);
    struct dz_comicinfo c;
    struct dz_err err = {0};
    if (dz_comicinfo_parse((dz_str){(const char *)data, size}, a, &c, &err) == DZ_OK) {
        const dz_str texts[] = {c.title,     c.series,     c.number, c.summary, c.writer,
                                c.penciller, c.translator, c.genre,  c.tags,    c.web,
                                c.language,  c.age_rating, c.manga};
        for (size_t i = 0; i < DZ_LEN(texts); i++)
            dz_assert(dz_str_is_utf8(texts[i]) && dz_str_trim(texts[i]).n == texts[i].n);
        dz_assert(c.volume >= -1 && c.count >= -1 && c.year >= -1 && c.month >= -1 && c.day >= -1);
    } else {
        dz_assert(err.text[0] != '\0');
    }
    dz_arena_free(&a);
    return 0;
}
