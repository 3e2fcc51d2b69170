/*
 * page: one page between the site and the store.
 *
 * In: the bytes of an answer and the `transform` list of the source. Out: what is kept (those
 * bytes, or a picture put together anew), its type and size, or the word that it is blank. Runs on
 * a worker; the picture in memory is freed before it returns. Odd: a page without a key is kept as
 * it came, for a site that stops shuffling must not stop the crawl; the caller tells so once.
 */
#include "crawl/crawl_int.h"

#define JPEG_QUALITY 75 /* contracts/komizip.md 6.3 */

/* A picture that is decoded at most once, however many transforms look at it. */
struct picture {
    dz_str bytes;
    struct dz_raster raster;
    bool decoded;
};

static enum dz_code decode(struct picture *p, struct dz_err *err)
{
    if (p->decoded)
        return DZ_OK;
    DZ_TRY(dz_jpeg_decode(p->bytes, &p->raster, err));
    p->decoded = true;
    return DZ_OK;
}

static uint32_t number_of(const json_t *step, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(step, name));
    return n > 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
}

/* DZ_NOT_FOUND: the picture has none. */
static enum dz_code key_of(const json_t *key, dz_str jpeg, struct dz_arena *a,
                           struct dz_retile *how, struct dz_err *err)
{
    if (json_is_array(key)) {
        size_t n = json_array_size(key);
        uint32_t *v = dz_arena_alloc(a, (n ? n : 1) * sizeof(*v));
        for (size_t i = 0; i < n; i++)
            v[i] = (uint32_t)json_integer_value(json_array_get(key, i));
        how->key = v;
        how->key_n = n;
        return DZ_OK;
    }
    dz_str text = dz_json_text(key);
    const char *tag = json_string_value(json_object_get(key, "exif"));
    if (tag)
        DZ_TRY(dz_exif_text(jpeg, tag, a, &text, err));
    return dz_retile_key(text, a, &how->key, &how->key_n, err);
}

static enum dz_code retile(struct picture *p, const json_t *step, struct crawl_page_out *out,
                           struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(4 * DZ_MIB);
    struct dz_retile how = {.columns = number_of(step, "columns"),
                            .rows = number_of(step, "rows"),
                            .gap = number_of(step, "gap")};
    enum dz_code code = key_of(json_object_get(step, "key"), p->bytes, a, &how, err);
    if (code == DZ_NOT_FOUND || code == DZ_UNSUPPORTED) {
        out->no_key = true;
        return DZ_OK;
    }
    DZ_TRY(code);
    DZ_TRY(decode(p, err));
    struct dz_raster made;
    DZ_TRY(dz_retile(&p->raster, &how, &made, err));
    dz_raster_done(&p->raster);
    p->raster = made;
    dz_buf_clear(&out->bytes);
    DZ_TRY(dz_jpeg_encode(&made, JPEG_QUALITY, &out->bytes, err));
    out->info.width = made.width;
    out->info.height = made.height;
    return DZ_OK;
}

static enum dz_code apply(struct picture *p, const json_t *step, struct crawl_page_out *out,
                          struct dz_err *err)
{
    const char *kind = json_string_value(json_object_get(step, "kind"));
    if (kind && strcmp(kind, "retile") == 0)
        return retile(p, step, out, err);
    if (kind && strcmp(kind, "drop_blank") == 0) {
        /* Only what can be decoded can be found blank. */
        if (out->info.type != DZ_MEDIA_JPEG)
            return DZ_OK;
        DZ_TRY(decode(p, err));
        out->dropped = dz_raster_is_white(&p->raster);
        return DZ_OK;
    }
    return dz_fail(err, DZ_UNSUPPORTED, "transform \"%s\" is not known", kind ? kind : "");
}

enum dz_code crawl_page_make(dz_str bytes, const json_t *transform, struct crawl_page_out *ret_out,
                             struct dz_err *err)
{
    struct crawl_page_out out = {0};
    dz_buf_init(&out.bytes, CRAWL_PAGE_BYTES_MAX);
    struct picture p = {.bytes = bytes};
    enum dz_code code = dz_media_inspect(bytes, &out.info, err);
    size_t n = json_array_size(transform);
    for (size_t i = 0; i < n && code == DZ_OK && !out.dropped; i++)
        code = apply(&p, json_array_get(transform, i), &out, err);
    dz_raster_done(&p.raster);
    if (code == DZ_OK)
        *ret_out = out;
    else
        dz_buf_done(&out.bytes);
    return code;
}
