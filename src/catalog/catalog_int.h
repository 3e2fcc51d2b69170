/*
 * catalog_int: what the files of this room share and nobody else sees.
 *
 * The open catalog behind the wrappers, texts packed into an arena, JSON texts that are passed on
 * member by member, and the ready-made bodies of a shelf. Nothing here locks: each piece belongs to
 * the thread that builds with it.
 */
#pragma once

#include "catalog/catalog.h"

struct dz_catalog {
    const struct dz_catalog_driver *driver;
    void *self;
};

/* ---- checks of what comes from outside ---------------------------------------------------------
 */

enum dz_text_rule {
    DZ_TEXT_BYTES, /* names from file systems, which need not be UTF-8 */
    DZ_TEXT_UTF8,
};
struct dz_text_check {
    const char *field;
    dz_str s;
    size_t max;
    enum dz_text_rule rule;
};
DZ_MUST enum dz_code dz_check_text(const struct dz_text_check *t, struct dz_err *err);
DZ_MUST enum dz_code dz_check_texts(const struct dz_text_check *v, size_t n, struct dz_err *err);
DZ_MUST enum dz_code dz_check_blob(const struct dz_blob_rec *b, struct dz_err *err);
/* An object without the `reserved` names, or nothing. */
DZ_MUST enum dz_code dz_check_json(const char *field, dz_str text, const dz_str *reserved, size_t n,
                                   struct dz_err *err);
/* Not too many of one call. */
DZ_MUST enum dz_code dz_check_records(const char *what, size_t n, struct dz_err *err);
/* Into the years that an HTTP date can say. */
int64_t dz_clip_mtime(int64_t s);
/* The two names of a chapter under way. */
DZ_MUST enum dz_code dz_check_part_of(dz_str source, dz_str chapter, struct dz_err *err);

/* ---- texts packed into an arena ----------------------------------------------------------------
 */

/* A million short names would lose eight bytes each to the arena's rounding; here they lie side by
 * side. */
struct dz_text_pool {
    struct dz_arena *arena;
    char *at;
    size_t left, chunk;
};
/* Copies s; a NULL p stays NULL. DZ_TOO_LARGE over the arena's limit. */
DZ_MUST enum dz_code dz_text_pool_str(struct dz_text_pool *p, dz_str s, dz_str *ret_s,
                                      struct dz_err *err);

/* ---- media types -------------------------------------------------------------------------------
 */

/* A page's type and the extension that CDN names may carry for it besides "jpg". */
struct dz_page_type {
    dz_str mime, extension;
};
const struct dz_page_type *dz_page_type_of(dz_str mime); /* static; NULL when it has no row */

/* ---- JSON texts --------------------------------------------------------------------------------
 */

/* The members of a stored JSON object, one by one, in their order. The text is parsed here and not
 * by a library because numbers must leave as they came (1.0, 1e5, 30 digits). DZ_BAD_INPUT with
 * line and column for whatever is no JSON. */
struct dz_members {
    struct dz_cursor at;
    struct dz_buf key, scratch;
    bool started;
};
void dz_members_init(struct dz_members *m, dz_str object);
void dz_members_done(struct dz_members *m); /* a DZ_AUTO handler */
/* ret_more false: the end, and the other outputs are untouched. ret_key lives until the next call;
 * ret_value is the raw text inside the object. */
DZ_MUST enum dz_code dz_members_next(struct dz_members *m, bool *ret_more, dz_str *ret_key,
                                     dz_str *ret_value, struct dz_err *err);
/* Writes one raw value in the writer's style and alphabet; numbers as they stand. */
DZ_MUST enum dz_code dz_members_put(struct dz_members *m, struct dz_json *j, dz_str value,
                                    struct dz_err *err);
/* The text of a raw JSON string into out; false: it is no string. */
bool dz_members_string(dz_str value, struct dz_buf *out);
/* Checks that text is an object with none of the `reserved` names. */
DZ_MUST enum dz_code dz_members_check(dz_str text, const dz_str *reserved, size_t n,
                                      struct dz_err *err);

/* ---- ready-made bodies -------------------------------------------------------------------------
 */

/* Makes the bodies of one snapshot, chapter by chapter, newest first. */
struct dz_bodies;
DZ_MUST enum dz_code dz_bodies_new(const struct dz_series_rec *series,
                                   const struct dz_link_template *links, size_t links_n,
                                   const struct dz_snapshot *old, struct dz_bodies **ret_b,
                                   struct dz_err *err);
void dz_bodies_free(struct dz_bodies **b);
/* The texts of a chapter that is new: fills in its item_*, and its X-Metadata, which is good until
 * the next call. DZ_TOO_LARGE; DZ_CORRUPT for stored JSON that is none. */
DZ_MUST enum dz_code dz_bodies_chapter(struct dz_bodies *b, const struct dz_chapter_rec *rec,
                                       struct dz_snap_chapter *c, dz_str *ret_x_metadata,
                                       struct dz_err *err);
/* One of the older snapshot, item_* included. */
void dz_bodies_kept(struct dz_bodies *b);
/* The list of all chapters so far and x_chapters into s; item_at of `chapters` becomes final.
 * DZ_TOO_LARGE. */
DZ_MUST enum dz_code dz_bodies_finish(struct dz_bodies *b, struct dz_snapshot *s,
                                      struct dz_snap_chapter *chapters, struct dz_err *err);

/* The order of chapters: by sort, newest first, ties by key. */
static inline int dz_newest_first(double sort_a, dz_str key_a, double sort_b, dz_str key_b)
{
    if (sort_a != sort_b)
        return sort_a < sort_b ? 1 : -1;
    return dz_str_natural_cmp(key_b, key_a);
}
