/*
 * fuzz_picture: JPEG bytes through key, decoder, retiling and encoder.
 *
 * Small pictures only, so that a run is about parsing and not about pixels; the grid comes from the
 * last bytes.
 */
#include "media/media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dz_str bytes = {(const char *)data, size};
    struct dz_arena *a = dz_arena_new(4 * DZ_MIB);
    struct dz_err err = {0};
    struct dz_media_info info;
    dz_str text;
    struct dz_retile how = {.columns = 10, .rows = 15, .gap = 10};
    if (size >= 3)
        how = (struct dz_retile){data[size - 1], data[size - 2], data[size - 3] % 16, NULL, 0};
    if (dz_exif_text(bytes, "ImageUniqueID", a, &text, &err) == DZ_OK &&
        dz_retile_key(text, a, &how.key, &how.key_n, &err) != DZ_OK)
        dz_assert(err.text[0] != '\0');
    bool small = dz_media_inspect(bytes, &info, &err) != DZ_OK ||
                 (uint64_t)info.width * info.height < 1 << 20;
    struct dz_raster in = {0}, out = {0};
    if (small && dz_jpeg_decode(bytes, &in, &err) == DZ_OK) {
        (void)dz_raster_is_white(&in);
        if ((uint64_t)in.width * in.height < 1 << 20 && how.key_n < 5000 &&
            dz_retile(&in, &how, &out, &err) == DZ_OK && out.width > 0 && out.height > 0) {
            struct dz_buf again;
            dz_buf_init(&again, 16 * DZ_MIB);
            dz_assert(dz_jpeg_encode(&out, 75, &again, &err) == DZ_OK);
            dz_buf_done(&again);
        }
    }
    dz_raster_done(&in);
    dz_raster_done(&out);
    dz_arena_free(&a);
    return 0;
}
