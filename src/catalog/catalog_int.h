/*
 * catalog_int: what the files of this room share and nobody else sees.
 *
 * The open catalog behind the wrappers, texts packed into an arena, JSON texts that are passed on
 * member by member, and the ready-made bodies of a shelf. Nothing here locks: each piece belongs to
 * the thread that builds with it.
 */
#pragma once

#include "catalog/catalog.h"

/* ---- driver table ---------------------------------------------------------------------------- */

/* Records on their way to a driver: columns_n values each. */
struct dz_collection_put {
    const struct dz_collection_value *values;
    const bool *given; /* false: the record does not name it; its value is null then */
    size_t n;
    bool replace;
    /* Record i is in the way of this row: a value for each column, good during the call. */
    void (*clash)(void *arg, size_t i, const struct dz_collection_value *row);
    void *arg;
};

/* Contracts are those of the wrappers in catalog.h with the same names. */
struct dz_catalog_driver {
    const char *name; /* as in settings catalog.driver */
    enum dz_code (*open)(const char *data_dir, const char *uri, void **ret_self,
                         struct dz_err *err);
    void (*close)(void *self);
    enum dz_code (*series_ids)(void *self, struct dz_arena *a, int64_t **ret_ids, size_t *ret_n,
                               struct dz_err *err);
    enum dz_code (*series_find)(void *self, dz_str source, dz_str source_id, int64_t *ret_id,
                                struct dz_err *err);
    enum dz_code (*load_since)(void *self, int64_t series_id, const struct dz_snapshot *old,
                               struct dz_arena *a, struct dz_series_full *ret_full,
                               struct dz_err *err);
    enum dz_code (*load_bare)(void *self, int64_t series_id, struct dz_arena *a,
                              struct dz_series_full *ret_full, struct dz_err *err);
    enum dz_code (*shelves)(void *self, struct dz_arena *a, struct dz_shelf_rec **ret_v,
                            size_t *ret_n, struct dz_err *err);
    enum dz_code (*changes)(void *self, uint64_t since, struct dz_arena *a, int64_t **ret_ids,
                            size_t *ret_n, uint64_t *ret_seq, struct dz_err *err);
    enum dz_code (*wait)(void *self, int64_t wait_ms, bool *ret_changed, struct dz_err *err);
    bool (*can_wait)(void *self);
    bool (*is_shared)(void *self);
    /* Of the database; ret_lock NULL: it has none. DZ_CONFLICT: somebody holds it otherwise. */
    enum dz_code (*lock)(void *self, bool exclusive, void **ret_lock, struct dz_err *err);
    enum dz_code (*lock_check)(void *lock, struct dz_err *err);
    void (*unlock)(void *lock);
    enum dz_code (*counts)(void *self, struct dz_catalog_counts *ret_counts, struct dz_err *err);
    enum dz_code (*blobs)(void *self, dz_blob_row_fn *fn, void *arg, struct dz_err *err);
    enum dz_code (*verify)(void *self, bool repair, dz_problem_fn *fn, void *arg,
                           uint64_t *ret_left, struct dz_err *err);
    enum dz_code (*begin)(void *self, void **ret_batch, struct dz_err *err);
    enum dz_code (*put_series)(void *batch, const struct dz_series_rec *s, int64_t *ret_id,
                               struct dz_err *err);
    enum dz_code (*put_chapter)(void *batch, int64_t series_id, const struct dz_chapter_rec *c,
                                int64_t *ret_id, bool *ret_changed, struct dz_err *err);
    enum dz_code (*edit_chapter)(void *batch, const struct dz_chapter_edit *e, bool *ret_changed,
                                 struct dz_err *err);
    enum dz_code (*del_chapter)(void *batch, int64_t chapter_id, struct dz_err *err);
    enum dz_code (*put_asset)(void *batch, int64_t series_id, const struct dz_asset_rec *f,
                              bool *ret_changed, struct dz_err *err);
    enum dz_code (*del_asset)(void *batch, int64_t series_id, dz_str name, struct dz_err *err);
    enum dz_code (*put_shelf)(void *batch, dz_str name, int64_t series_id, struct dz_err *err);
    enum dz_code (*drop_blob)(void *batch, const struct dz_sha256 *sha, struct dz_err *err);
    enum dz_code (*part_del)(void *batch, dz_str source, dz_str chapter, uint32_t at,
                             struct dz_err *err);
    enum dz_code (*parts_del)(void *batch, dz_str source, dz_str chapter, struct dz_err *err);
    /* Frees the batch, also on failure. */
    enum dz_code (*commit)(void *batch, uint64_t *ret_seq, struct dz_err *err);
    void (*rollback)(void *batch);
    /* Two takers, also of two processes, never get one job (PostgreSQL: FOR UPDATE SKIP LOCKED). */
    enum dz_code (*job_add)(void *self, const struct dz_job_rec *j, int64_t now_ms, int64_t *ret_id,
                            bool *ret_new, struct dz_err *err);
    enum dz_code (*job_take)(void *self, const struct dz_job_take *t, struct dz_arena *a,
                             struct dz_job_rec *ret_job, struct dz_err *err);
    enum dz_code (*job_renew)(void *self, int64_t id, dz_str owner, int64_t now_ms,
                              int64_t lease_ms, const struct dz_job_progress *p,
                              struct dz_err *err);
    enum dz_code (*job_end)(void *self, int64_t id, dz_str owner, const struct dz_job_rec *end,
                            int64_t now_ms, struct dz_err *err);
    enum dz_code (*job_cancel)(void *self, int64_t id, int64_t now_ms, bool *ret_asked,
                               struct dz_err *err);
    enum dz_code (*jobs)(void *self, size_t max, struct dz_arena *a, struct dz_job_rec **ret_v,
                         size_t *ret_n, struct dz_err *err);
    enum dz_code (*job_next)(void *self, int64_t *ret_due_ms, struct dz_err *err);
    enum dz_code (*jobs_add)(void *self, const struct dz_job_rec *v, size_t n, int64_t now_ms,
                             int64_t *ret_ids, struct dz_err *err);
    enum dz_code (*jobs_find)(void *self, dz_str kind, const dz_str *targets, size_t n,
                              struct dz_arena *a, struct dz_job_rec **ret_v, size_t *ret_n,
                              struct dz_err *err);
    enum dz_code (*jobs_of)(void *self, dz_str kind, size_t max, struct dz_arena *a,
                            struct dz_job_rec **ret_v, size_t *ret_n, struct dz_err *err);
    enum dz_code (*jobs_cancel)(void *self, const int64_t *ids, size_t n, int64_t now_ms,
                                bool *ret_asked, struct dz_err *err);
    enum dz_code (*jobs_retry)(void *self, dz_str kind, const int64_t *ids, size_t n,
                               int64_t now_ms, size_t *ret_n, struct dz_err *err);
    enum dz_code (*jobs_forget)(void *self, dz_str kind, size_t *ret_n, struct dz_err *err);
    enum dz_code (*jobs_trim)(void *self, dz_str kind, size_t keep, struct dz_err *err);
    enum dz_code (*job_counts)(void *self, uint64_t *ret_counts, struct dz_err *err);
    enum dz_code (*source_counts)(void *self, struct dz_arena *a, struct dz_source_counts **ret_v,
                                  size_t *ret_n, struct dz_err *err);
    enum dz_code (*state_put)(void *self, const struct dz_crawl_state_rec *v, size_t n,
                              int64_t now_ms, struct dz_err *err);
    enum dz_code (*state_list)(void *self, dz_str source, dz_str prefix, int64_t now_ms,
                               struct dz_arena *a, struct dz_crawl_state_rec **ret_v, size_t *ret_n,
                               struct dz_err *err);
    /* Only of those that can wait. */
    enum dz_code (*pace)(void *self, dz_str source, dz_str name, int64_t gap_ms,
                         int64_t *ret_wait_ms, struct dz_err *err);
    enum dz_code (*part_put)(void *self, dz_str source, dz_str chapter, const struct dz_part_rec *v,
                             size_t n, struct dz_err *err);
    enum dz_code (*parts)(void *self, dz_str source, dz_str chapter, struct dz_arena *a,
                          struct dz_part_rec **ret_v, size_t *ret_n, struct dz_err *err);
    enum dz_code (*parts_all)(void *self, dz_part_fn *fn, void *arg, struct dz_err *err);
    enum dz_code (*parts_trim)(void *self, int64_t before_ms, struct dz_err *err);
    enum dz_code (*marks_put)(void *self, const struct dz_mark_rec *v, size_t n,
                              struct dz_err *err);
    enum dz_code (*marks_del)(void *self, const struct dz_mark_rec *v, size_t n,
                              struct dz_err *err);
    enum dz_code (*marks_of)(void *self, dz_str source, const dz_str *chapters, size_t n,
                             struct dz_arena *a, struct dz_mark_rec **ret_v, size_t *ret_n,
                             struct dz_err *err);
    enum dz_code (*marks_of_series)(void *self, dz_str source, dz_str series, struct dz_arena *a,
                                    struct dz_mark_rec **ret_v, size_t *ret_n, struct dz_err *err);
    enum dz_code (*favourite_put)(void *self, dz_str source, dz_str series, int64_t now_ms,
                                  bool *ret_new, struct dz_err *err);
    enum dz_code (*favourite_del)(void *self, dz_str source, dz_str series, bool *ret_was,
                                  struct dz_err *err);
    enum dz_code (*favourites)(void *self, dz_str source, struct dz_arena *a,
                               struct dz_favourite_rec **ret_v, size_t *ret_n, struct dz_err *err);
    enum dz_code (*blob_crcs)(void *self, const struct dz_sha256 *v, size_t n, uint64_t *ret_crcs,
                              struct dz_err *err);
    enum dz_code (*blob_crcs_put)(void *self, const struct dz_sha256 *v, const uint32_t *crcs,
                                  size_t n, struct dz_err *err);
    enum dz_code (*uploads_put)(void *self, const struct dz_upload_rec *v, size_t n, bool *ret_new,
                                struct dz_err *err);
    enum dz_code (*upload_get)(void *self, dz_str id, struct dz_arena *a,
                               struct dz_upload_rec *ret_u, struct dz_err *err);
    enum dz_code (*uploads_del)(void *self, const dz_str *ids, size_t n, bool *ret_was,
                                struct dz_err *err);
    enum dz_code (*uploads_gone)(void *self, uint64_t since, struct dz_arena *a, dz_str **ret_ids,
                                 size_t *ret_n, bool *ret_more, uint64_t *ret_seq,
                                 struct dz_err *err);
    enum dz_code (*uploads_all)(void *self, dz_upload_fn *fn, void *arg, struct dz_err *err);
    enum dz_code (*collection_ensure)(void *self, const struct dz_collection *coll,
                                      struct dz_collection_ensured *ret_ensured,
                                      struct dz_err *err);
    enum dz_code (*collections)(void *self, struct dz_arena *a, struct dz_collection_rec **ret_v,
                                size_t *ret_n, struct dz_err *err);
    enum dz_code (*collections_rev)(void *self, uint64_t *ret_rev, struct dz_err *err);
    enum dz_code (*collection_put)(void *self, const struct dz_collection *coll,
                                   const struct dz_collection_put *put, enum dz_put_result *ret_v,
                                   struct dz_err *err);
    /* Values are of the kind that the field's column has. */
    enum dz_code (*collection_seen)(void *self, const struct dz_collection *coll, size_t column,
                                    const struct dz_collection_value *v, size_t n, bool *ret,
                                    struct dz_err *err);
    /* As dz_collection_row_fn, but a value for each column; ask->wanted has a flag for each column
     * and is not NULL. Keys are NULL, or of the key's kind. */
    enum dz_code (*collection_rows)(void *self, const struct dz_collection *coll,
                                    const struct dz_collection_ask *ask,
                                    const struct dz_collection_value *keys,
                                    dz_collection_row_fn *fn, void *arg, struct dz_err *err);
};
/* data_dir/dozo.db, or the file that uri names; ":memory:" for tests, where reads wait until a
 * batch has ended: a thread that has one open must not read. */
extern const struct dz_catalog_driver dz_catalog_sqlite;
/* The database that uri names, in the first schema of its search_path. */
extern const struct dz_catalog_driver dz_catalog_postgres;

struct dz_catalog {
    const struct dz_catalog_driver *driver;
    void *self;
    char *data_dir;
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
