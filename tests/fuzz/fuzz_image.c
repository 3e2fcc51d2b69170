/*
 * fuzz_image: sniffing and sizes of pictures.
 *
 * In: bytes taken as a file. Whatever is accepted has a known type and sides inside the limit, and
 * sniffing its first 64 bytes gives the same type as the whole.
 */
#include "media/media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dz_str bytes = {(const char *)data, size};
    struct dz_media_info info;
    struct dz_err err = {0};
    if (dz_media_inspect(bytes, &info, &err) != DZ_OK) {
        dz_assert(err.text[0] != '\0');
        return 0;
    }
    dz_assert(info.type > DZ_MEDIA_UNKNOWN && info.type < DZ_MEDIA_TYPE_COUNT);
    dz_assert(info.width <= DZ_MEDIA_SIDE_MAX && info.height <= DZ_MEDIA_SIDE_MAX);
    if (info.type != DZ_MEDIA_AVIF)
        dz_assert(dz_media_sniff(dz_str_sub(bytes, 0, 64)) == info.type);
    return 0;
}
