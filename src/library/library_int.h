/*
 * library_int: what the files of this room share.
 *
 * library.c owns struct dz_library, the keeper and the encoder thread; view.c makes views; files.c
 * is the cache of open blobs; blobs.c and spool.c fetch those of a store that is far away; lock.c
 * is the lock that keeps imports and repairs apart; words.c turns names from outside into ids, keys
 * and titles.
 */
#pragma once

#include "library/library.h"

#include <pthread.h>

struct library_blobs;
struct library_files;
struct library_uploads;

struct dz_library {
    struct dz_catalog *catalog;
    struct dz_store *store;
    struct library_files *files;
    struct library_blobs *blobs;    /* of a store without files; else NULL */
    struct dz_shared_cache *shared; /* NULL: none */
    struct library_uploads *uploads;

    pthread_mutex_t lock; /* guards what follows up to `bare` */
    pthread_cond_t wake;
    struct dz_conf *conf;
    struct dz_view *view; /* NULL until the first was built */
    bool poked, lay_anew, stop;
    uint64_t shown;      /* of the catalog, as far as what was published shows it */
    pthread_cond_t news; /* shown has grown */
    char trouble[sizeof(((struct dz_err *)NULL)->text) + 16]; /* "" when the last look worked */

    _Atomic int64_t asked_ms; /* since when the keeper waits for an answer; 0: it does not */

    pthread_cond_t bare; /* a view came that may have lists to encode, or stop */
    pthread_t keeper, encoder, listener;
    bool runs, listens;
    void (*complain)(void *arg, const struct dz_err *e);
    void (*publish)(void *arg, struct dz_view *take_view);
    void *publish_arg;

    /* Keeper only (before it starts: whoever builds the first view). */
    struct dz_arena *scratch;
    uint64_t seq;    /* of the catalog, as far as the view shows it */
    uint64_t built;  /* pages since memory was last given back */
    int64_t *failed; /* series that could not be read; tried again */
    size_t failed_n;
    int64_t failed_again_ms;
};

/* ---- view.c ---------------------------------------------------------------------------------- */

int library_id_cmp(const void *a, const void *b); /* int64_t, for qsort and bsearch */

struct library_view_job {
    struct dz_catalog *catalog;
    struct dz_conf *conf;
    const struct dz_view *old; /* NULL: everything is built */
    const int64_t *changed;    /* series not to be taken from old; ascending */
    size_t changed_n;
    /* Out: series that could not be read and are shown as they were, with the first one's error. */
    int64_t *failed; /* heap, the caller frees */
    size_t failed_n;
    struct dz_err trouble;
    uint64_t pages_built;
};
/* An error is one of the whole catalog; that of one series is only told in the job. */
DZ_MUST enum dz_code library_view_build(struct library_view_job *job, struct dz_view **ret_view,
                                        struct dz_err *err);

/* ---- files.c --------------------------------------------------------------------------------- */

/* max 0: as many as the process's limit of descriptors lets, at most 1,024. */
struct library_files *library_files_new(struct dz_store *store, size_t max);
void library_files_free(struct library_files **f);
DZ_MUST enum dz_code library_files_get(struct library_files *f, const struct dz_sha256 *sha,
                                       struct dz_file **ret_file, struct dz_err *err);
size_t library_files_count(struct library_files *f); /* descriptors held now */

/* ---- spool.c --------------------------------------------------------------------------------- */

struct library_spool;
struct library_spool *library_spool_new(const char *data_dir, uint64_t bytes_max);
void library_spool_free(struct library_spool **s);
/* With one more reference; NULL: it is not here. */
struct dz_file *library_spool_get(struct library_spool *s, const struct dz_sha256 *sha);
/* Writes the bytes of the blob. */
typedef enum dz_code library_fill_fn(void *arg, int fd, struct dz_err *err);
/* Keeps what fn writes, which must be so many bytes (DZ_CORRUPT). DZ_FULL: no room. */
DZ_MUST enum dz_code library_spool_put(struct library_spool *s, const struct dz_sha256 *sha,
                                       uint64_t bytes, library_fill_fn *fn, void *arg,
                                       struct dz_file **ret_file, struct dz_err *err);
void library_spool_stats(struct library_spool *s, uint64_t *ret_bytes, uint64_t *ret_files);

/* ---- blobs.c --------------------------------------------------------------------------------- */

struct library_blobs *library_blobs_new(struct dz_store *store, const char *data_dir,
                                        uint64_t disk_bytes);
void library_blobs_free(struct library_blobs **b);
/* From now on a store that does not answer counts as down until it does. */
DZ_MUST enum dz_code library_blobs_watch(struct library_blobs *b, struct dz_err *err);
/* Before anything is fetched; borrowed, may be NULL. */
void library_blobs_share(struct library_blobs *b, struct dz_cache *ram,
                         struct dz_shared_cache *shared);
/* As dz_library_fetch(). */
DZ_MUST enum dz_code library_blobs_fetch(struct library_blobs *b, const struct dz_blob_ask *ask,
                                         struct dz_body **ret_body, struct dz_file **ret_file,
                                         struct dz_err *err);
/* What is at hand, with one more reference, or NULL; a loop may ask. */
struct dz_file *library_blobs_file(struct library_blobs *b, const struct dz_sha256 *sha);
struct dz_body *library_blobs_body(struct library_blobs *b, const struct dz_sha256 *sha);
DZ_MUST enum dz_code library_blobs_stat(struct library_blobs *b, const struct dz_sha256 *sha,
                                        struct dz_blob_stat *ret_stat, struct dz_err *err);
bool library_blobs_healthy(struct library_blobs *b, char *ret_text);
void library_blobs_stats(struct library_blobs *b, struct dz_library_blob_stats *ret_stats);

/* ---- uploads.c ------------------------------------------------------------------------------- */

struct library_uploads *library_uploads_new(void);
void library_uploads_free(struct library_uploads **q);
void library_uploads_look(struct dz_library *l); /* tells what was deleted; keeper only */

/* ---- lock.c ---------------------------------------------------------------------------------- */

/* dz_catalog_lock, shared by those who put blobs, exclusive for those who remove them.
 * DZ_UNAVAILABLE: somebody holds it otherwise; for shared ones, for a second. */
DZ_MUST enum dz_code library_lock(struct dz_catalog *c, bool exclusive,
                                  struct dz_catalog_lock **ret_lock, struct dz_err *err);
/* Of these blobs, those that nothing names any more: the catalog's rows and the bytes, under the
 * exclusive lock. ret_young counts those that stay because they were put at since_s or later
 * (INT64_MAX: all may go). */
DZ_MUST enum dz_code library_end_blobs(struct dz_library *l, struct dz_catalog_lock *lock,
                                       const struct dz_sha256 *v, size_t n, int64_t since_s,
                                       uint64_t *ret_young, struct dz_err *err);

/* ---- words.c --------------------------------------------------------------------------------- */

/* Bytes of a file system or an archive as a text that fits a catalog field: UTF-8 stays as it
 * is; else bad bytes become U+FFFD and a short digest of the bytes is appended, so that two
 * names stay two. So is one over DZ_TEXT_MAX. */
dz_str library_text(struct dz_arena *a, dz_str bytes);
/* Identity of a series name: ASCII lower case, blanks trimmed and runs of them made one. */
dz_str library_fold(struct dz_arena *a, dz_str name);
/* What a URL may use of a name: letters, digits, '.', '_' and non-ASCII; never '-', '/' or
 * "vol", which the CDN paths give a meaning (contracts/komizip.md 2.3). May be empty. */
dz_str library_slug(struct dz_arena *a, dz_str name);
/* Natural order of paths, folder by folder. */
int library_path_cmp(dz_str a, dz_str b);
/* The number at the front of "10.5", "1-3", "12a". False: there is none. */
bool library_number(dz_str s, double *ret_x);
