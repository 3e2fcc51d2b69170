/*
 * pool: short texts side by side in an arena, and the table of page types.
 *
 * In: slices that die soon (columns of a statement, another arena). Out: copies that live as long
 * as the arena. One owner thread. The pool takes growing chunks from the arena and never gives them
 * back; the tail of a chunk that is too short for the next text is lost, so a long text gets a
 * piece of its own.
 */
#include "catalog/catalog_int.h"

enum { CHUNK_MIN = 512, CHUNK_MAX = 16 * 1024 };

enum dz_code dz_text_pool_str(struct dz_text_pool *p, dz_str s, dz_str *ret_s, struct dz_err *err)
{
    if (s.n == 0) {
        *ret_s = (dz_str){s.p ? "" : NULL, 0};
        return DZ_OK;
    }
    if (s.n > p->left) {
        if (p->chunk < CHUNK_MAX)
            p->chunk = p->chunk ? p->chunk * 2 : CHUNK_MIN;
        bool own = s.n > p->chunk / 4;
        void *piece;
        DZ_TRY(dz_arena_try(p->arena, own ? s.n : p->chunk, &piece, err));
        if (own) {
            memcpy(piece, s.p, s.n);
            *ret_s = (dz_str){piece, s.n};
            return DZ_OK;
        }
        p->at = piece;
        p->left = p->chunk;
    }
    memcpy(p->at, s.p, s.n);
    *ret_s = (dz_str){p->at, s.n};
    p->at += s.n;
    p->left -= s.n;
    return DZ_OK;
}

/* clang-format off */
static const struct dz_page_type types[] = {
    {{"image/jpeg", 10}, {"jpg", 3}},
    {{"image/png", 9}, {"png", 3}},
    {{"image/webp", 10}, {"webp", 4}},
    {{"image/gif", 9}, {"gif", 3}},
    {{"image/avif", 10}, {"avif", 4}},
    {{"image/jxl", 9}, {"jxl", 3}},
    {{"image/heic", 10}, {"heic", 4}},
    {{"image/bmp", 9}, {"bmp", 3}},
    {{"image/tiff", 10}, {"tif", 3}},
    {{"image/svg+xml", 13}, {"svg", 3}},
};
/* clang-format on */

const struct dz_page_type *dz_page_type_of(dz_str mime)
{
    for (size_t i = 0; i < DZ_LEN(types); i++)
        if (dz_str_eq(types[i].mime, mime))
            return &types[i];
    return NULL;
}
