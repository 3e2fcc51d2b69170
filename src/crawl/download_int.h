/*
 * download_int: one chapter as files on disk, as its parts share it.
 *
 * download_args.c turns infos of a source into the row of a job and back; download_place.c knows
 * folders and names; download_save.c makes the archive; download.c walks through the steps, one
 * thing at a time. What place and save do blocks: it runs on a worker while the loop waits.
 */
#pragma once

#include "crawl/keep_int.h"

/* ---- download_args.c: what is to be downloaded -------------------------------------------------
 */

/* The row of a job for a chapter, in the arena: kind, source, target (a new download id) and args
 * as JSON. chapter and series are infos in the shape of contracts/nagato.md 4.1; method as in the
 * settings, NULL: theirs. DZ_BAD_INPUT: the method, or the template of the settings. */
DZ_MUST enum dz_code crawl_download_row(const struct dz_conf *conf, dz_str source,
                                        const json_t *chapter, const json_t *series,
                                        const char *method, bool add_mark, struct dz_arena *a,
                                        struct dz_job_rec *ret_job, struct dz_err *err);

struct download_args {
    dz_str chapter, series; /* ids at the source */
    dz_str file, folder;    /* names of one component each; folder n = 0: none */
    enum dz_download_method method;
    bool add_mark;
    uint32_t pages;                   /* as the site declares; 0: it does not */
    const json_t *info, *series_info; /* objects, or NULL; of json */
    json_t *json;
};
/* Checks what a row says; texts live as long as json, which the caller decrefs. DZ_BAD_INPUT. */
DZ_MUST enum dz_code download_args_read(dz_str json, struct download_args *ret_args,
                                        struct dz_err *err);
/* The members of info and series_info that ComicInfo.xml has a place for. */
void download_comicinfo(const struct download_args *d, const struct crawl_kept *pages, size_t n,
                        const struct dz_conf *conf, struct dz_arena *a, struct dz_buf *out);

/* ---- download_place.c: folders, names, and whose they are -------------------------------------
 */

/* DESTINATION/FOLDER holds the result and, while it is made, a hidden folder named by source,
 * chapter and method, so that whoever downloads the same next finds what is there: `pages` with
 * their files, the journal, an archive that is being written. Held under a lock. */
struct download_place {
    char *comment; /* "dozo SOURCE CHAPTER": in ZIP files, and on folders of files */
    char *folder, *work, *pages, *journal, *archive;
    char *final;     /* `files`: the folder of the result; else NULL until it is published */
    char *file;      /* the result's name without extension */
    const char *ext; /* ".cbz", "" for files */
    int lock_fd;
    bool in_final;  /* pages arrive in `final` itself */
    unsigned width; /* digits of a page's name */
};

/* Makes folders and takes the lock. *ret_there: the result of the same chapter is there and not
 * older than since_ms; then *ret_path (heap) is its path and nothing is made. `apart`: pages get
 * their names only in the end, whatever the method. DZ_CONFLICT: somebody downloads it right now.
 * Errors name the path; DZ_FORBIDDEN: it will not be better next time. */
DZ_MUST enum dz_code download_place_open(struct download_place *p, const char *destination,
                                         dz_str source, const struct download_args *d, bool apart,
                                         int64_t since_ms, bool *ret_there, char **ret_path,
                                         struct dz_err *err);
/* Gives the finished archive at p->archive its name, or the files of the kept pages theirs: a name
 * each. *ret_path: heap. */
DZ_MUST enum dz_code download_place_publish(struct download_place *p, char **ret_path,
                                            struct dz_err *err);
DZ_MUST enum dz_code download_place_publish_files(struct download_place *p,
                                                  const struct crawl_kept *v, const dz_str *names,
                                                  size_t n, char **ret_path, struct dz_err *err);
/* Lets go of the lock, also after a failed open. forget: removes the folder of the work first and,
 * unless the result was published, what of it lies in its place. */
void download_place_close(struct download_place *p, bool forget, bool published);
/* Removes unfinished work that nobody has touched since then. */
void crawl_download_sweep(const char *destination, int64_t before_ms);

/* ---- download_own.c: files that a source hands over --------------------------------------------
 */

struct download_own;
/* kept: after each file, which may have failed; loop. */
struct download_own *download_own_new(const struct crawl_env *env, struct crawl_keeper *keeper,
                                      void (*kept)(void *arg, uint64_t bytes), void *arg);
DZ_MUST enum dz_code download_own_add(struct download_own *o, dz_str name, dz_str bytes,
                                      struct dz_err *err);
bool download_own_waits(const struct download_own *o); /* for the disk; o may be NULL */
/* In the order they came, with the names that the source gave (n = 0: none), which live as long as
 * o; or the first failure. */
DZ_MUST enum dz_code download_own_list(const struct download_own *o, struct dz_arena *a,
                                       struct crawl_kept **ret_v, dz_str **ret_names, size_t *ret_n,
                                       struct dz_err *err);
void download_own_free(struct download_own **o); /* when nothing waits */

/* ---- download_save.c: archives -----------------------------------------------------------------
 */

struct download_save {
    const struct crawl_env *env; /* for pages in the store */
    const struct dz_conf *conf;  /* what a reload does not change */
    const struct download_args *args;
    struct download_place *place;
    const struct crawl_kept *v;
    const dz_str *names; /* of entries */
    size_t n;
    bool in_store; /* the bytes are blobs, their checksums not known yet */
    atomic_bool *stop;
};
/* All bytes of the result under its name, or nothing under any. DZ_CANCELLED soon after *stop was
 * set. *ret_path: heap. */
DZ_MUST enum dz_code download_save(const struct download_save *s, char **ret_path,
                                   struct dz_err *err);

/* ---- download.c ---------------------------------------------------------------------------------
 */

struct crawl_download;
struct crawl_download_progress {
    uint64_t done, total; /* pages; total as the site declares, 0: it does not */
    uint64_t listed;      /* pages in the source's list; 0: not known (yet) */
    uint64_t bytes;       /* of what is done */
    dz_str phase;         /* "saving"; n = 0: pages are fetched */
};
struct crawl_download_spec {
    const struct crawl_env *env;  /* catalog and store NULL: no library is asked */
    struct dz_source_env run_env; /* for runs of the source; sink is the download's own */
    struct dz_source *source;     /* NULL: it is not there, only the library can help */
    dz_str source_id, args;
    const char *destination;
    int64_t since_ms; /* a result that is there and not older counts as done; INT64_MAX: none */
    /* All on the loop. */
    void (*progress)(void *arg, const struct crawl_download_progress *p);
    void (*note)(void *arg, const char *text);
    /* Once, never from inside crawl_download_new. */
    void (*ended)(void *arg, const struct dz_source_fail *fail);
    void *arg;
};
struct crawl_download *crawl_download_new(const struct crawl_download_spec *s);
/* ended comes with DZ_SOURCE_CANCELLED. forget: unfinished work is removed, else it stays for the
 * next attempt. Once the result has its name a stop comes too late. */
void crawl_download_stop(struct crawl_download *d, bool forget);
/* From ended on. */
const char *crawl_download_path(const struct crawl_download *d); /* of the result; NULL: none */
bool crawl_download_was_there(const struct crawl_download *d);
uint64_t crawl_download_requests(const struct crawl_download *d);
void crawl_download_free(struct crawl_download **d);

/* ---- download_job.c: a download as a job -------------------------------------------------------
 */

struct crawl_download *crawl_download_begin(struct crawl_job *j);
dz_str crawl_download_result(struct crawl_job *j); /* {"path": …}, in the job's arena */
