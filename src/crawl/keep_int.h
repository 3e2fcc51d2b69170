/*
 * keep_int: where the pages of one chapter are kept while they come: a const table of functions
 * for each kind of place, and one wrapper in front of them.
 *
 * pages.c fetches and checks pages and does not know where they go. A keeper tells which pages an
 * earlier attempt has left, takes new ones, and makes them last. All calls are made on workers, put
 * from several at once; no other call is under way during recall and sync. The creator frees a
 * keeper after the pages that use it.
 */
#pragma once

#include "crawl/crawl_int.h"

/* A page at its place. */
struct crawl_kept {
    uint32_t at; /* in the source's list, from 0 */
    dz_str url;
    int64_t mtime_s;
    bool dropped;            /* blank: nothing is kept of it */
    struct dz_blob_rec blob; /* sha: of keepers in a store */
    uint32_t crc;            /* CRC-32 of the bytes: of keepers in a folder */
};

struct crawl_keeper;
struct crawl_keeper_type {
    const char *name;
    /* What lies there, in any order, also of other addresses; texts in the arena. Whatever is not
     * whole is left out. Called before anything else. */
    enum dz_code (*recall)(struct crawl_keeper *k, struct dz_arena *a, struct crawl_kept **ret_v,
                           size_t *ret_n, struct dz_err *err);
    /* Takes the bytes of *page, whose blob has size and type already, and fills in the rest. */
    enum dz_code (*put)(struct crawl_keeper *k, struct crawl_kept *page, dz_str bytes,
                        struct dz_err *err);
    /* Pages that were put since the last sync, and dropped ones: from now on recall finds them,
     * also after a power cut. */
    enum dz_code (*sync)(struct crawl_keeper *k, const struct crawl_kept *v, size_t n,
                         struct dz_err *err);
    void (*free)(struct crawl_keeper *k);
};
struct crawl_keeper {
    const struct crawl_keeper_type *type;
};

/* The pages of the list that are kept already, each at most once. */
DZ_MUST enum dz_code crawl_keep_recall(struct crawl_keeper *k, const dz_str *urls, size_t n,
                                       struct dz_arena *a, struct crawl_kept **ret_v, size_t *ret_n,
                                       struct dz_err *err);
void crawl_keeper_free(struct crawl_keeper **k);
/* The last component of an address, which names the file. */
dz_str crawl_url_file(dz_str url);

/* keep_store.c: blobs in the store, and parts in the catalog that count as uses of them. */
struct crawl_keeper *crawl_keep_store(const struct crawl_env *env, dz_str source, dz_str chapter);

/* keep_folder.c: files in a folder, named by their places: 001.jpg. Which address each came from
 * stands in a journal, a JSON object a line; a line that is cut off counts for nothing. */
struct crawl_folder_spec {
    const char *pages;   /* folder of the files; there already */
    const char *journal; /* path of the file, in a folder that is there */
    unsigned width;      /* digits of a name at least */
};
struct crawl_keeper *crawl_keep_folder(const struct crawl_folder_spec *s);
/* An error of the file system as a job has to take it: DZ_FORBIDDEN for what only a person can
 * change, DZ_UNAVAILABLE for a folder that went away. */
enum dz_code crawl_file_code(enum dz_code code, struct dz_err *err);
