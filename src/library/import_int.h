/*
 * import_int: what the files of the import share.
 *
 * plan.c walks the given paths and says what is a chapter; known.c is what the catalog holds
 * already of earlier imports; chapter.c reads the pages of one folder or archive into the store;
 * import.c runs the whole and decides ids, keys and orders; komizip.c, nagato.c, nagato_conf.c and
 * kvm48.c take over from other services. One thread, one run, freed at its end.
 */
#pragma once

#include <jansson.h>

#include "library/library_int.h"

/* Raised when an unchanged input would be stored differently by a newer importer. */
#define IMPORT_VERSION 1

#define IMPORT_SOURCE "local"
#define IMPORT_PAGE_BYTES_MAX (256 * DZ_MIB) /* one page */
#define IMPORT_COMICINFO_BYTES_MAX DZ_MIB
#define PLAN_DEPTH_MAX 32u
#define PLAN_ENTRIES_MAX 1000000u
#define PLAN_BYTES_MAX (16 * DZ_GIB) /* memory for names: a million of the longest paths fit */

/* ---- telling --------------------------------------------------------------------------------- */

struct import_teller {
    const struct dz_import_options *o;
    struct dz_import_result *result; /* warnings and errors are counted here */
    uint64_t done, total;            /* bytes of input */
};
void import_tell(struct import_teller *t, int kind, const char *path, const char *entry,
                 const char *text);
bool import_stopped(const struct import_teller *t);

/* ---- plan.c ---------------------------------------------------------------------------------- */

struct plan_file { /* an image in a folder */
    char *name;    /* as on disk */
    uint64_t bytes;
    int64_t mtime_ns;
};

/* One folder of images or one archive: one chapter. Texts are UTF-8; "" when not said. */
struct plan_unit {
    bool is_archive;
    bool is_given;    /* an archive that was named itself, not found in a folder */
    char *path;       /* absolute, bytes of the file system */
    char *shown;      /* the given path, or below it: for messages */
    dz_str origin;    /* path as a text */
    dz_str source_id; /* relative to the folder that names the series */
    dz_str name;      /* last component, without an archive's extension */
    dz_str series, volume, number, title; /* by the names of the file and its folders */
    uint32_t position, siblings;          /* from 1, among the units with the same series name */
    struct plan_file *files;              /* a folder's images, natural order */
    size_t files_n;
    char *comicinfo; /* a folder's ComicInfo.xml; NULL: none */
    uint64_t bytes;
    int64_t mtime_s;
    dz_str stamp;
};

struct plan {
    struct dz_arena *arena;
    const char *data_dir;
    struct plan_unit **units;
    size_t n, cap;
    uint64_t bytes;
    size_t entries;
    struct dz_map units_seen; /* device and inode */
};
void plan_init(struct plan *p, const char *data_dir); /* data_dir is never entered */
void plan_done(struct plan *p);
/* Adds what lies at or below a path, in natural order. What cannot be used is told. */
void plan_add(struct plan *p, const char *given, struct import_teller *t);
void plan_finish(struct plan *p); /* positions, after the last path */
/* Whether the link at path ends inside root (absolute, resolved, "" for "/"); tells when not. */
bool plan_link_stays(const char *root, const char *path, const char *shown,
                     struct import_teller *t);

/* ---- known.c --------------------------------------------------------------------------------- */

struct known_series;
struct known_chapter {
    struct known_series *series;
    int64_t id;
    dz_str source_id, key, origin, stamp, number, volume;
    double sort;
    struct dz_sha256 pages; /* over the digests of its pages, in order */
};
struct known_series {
    struct dz_series_rec rec; /* rec.id 0: not stored yet */
    struct dz_map by_source_id, by_key, by_number;
    bool restarts;     /* chapter numbers begin again in each volume */
    double volume_min; /* the lowest volume with numbered chapters; 0: none yet */
    double sort_max;
    bool touched; /* by this run */
};
struct known {
    struct dz_catalog *catalog;
    struct dz_arena *arena;
    struct known_series **series;
    size_t n, cap;
    struct dz_map by_name;   /* source_id of the series */
    struct dz_map by_origin; /* → struct known_chapter */
};
/* Reads all imported series. */
DZ_MUST enum dz_code known_open(struct known *k, struct dz_catalog *catalog, struct dz_err *err);
void known_done(struct known *k);
struct known_series *known_series_of(struct known *k, dz_str title); /* made when it is new */
/* Reads one series again, after somebody else changed it. */
DZ_MUST enum dz_code known_reload(struct known *k, struct known_series *s, struct dz_err *err);
/* Remembers what was just stored, in place of an older chapter with the same source_id. */
void known_put(struct known *k, struct known_series *s, const struct dz_chapter_rec *c);
void known_forget(struct known *k, struct known_chapter *c);
struct dz_sha256 known_pages_digest(const struct dz_page_rec *pages, size_t n);

/* ---- chapter.c ------------------------------------------------------------------------------- */

struct chapter {
    struct dz_arena *arena;
    struct dz_page_rec *pages; /* numbered from 1 in natural order of their names */
    size_t pages_n;
    uint64_t bytes;
    bool has_info;
    struct dz_comicinfo info;
    bool incomplete; /* pages were left out, so that the next run looks again */
};
struct chapter_reader {
    struct dz_store *store;
    struct dz_store_batch *batch;
    struct dz_buf page; /* bytes of the page at hand */
    struct import_teller *teller;
};
void chapter_reader_done(struct chapter_reader *r);
/* Reads and puts the pages of a unit; they are in the store when r->batch is committed.
 * *ret_usable false: told why, nothing is to be stored. An error is one of the store, or
 * DZ_CANCELLED. */
DZ_MUST enum dz_code chapter_read(struct chapter_reader *r, const struct plan_unit *u,
                                  struct chapter *c, bool *ret_usable, struct dz_err *err);

/* ---- import.c -------------------------------------------------------------------------------- */

/* What jansson has read, in the writer's style; false: nested too deep. depth: 0. */
bool import_write_json(struct dz_json *j, const json_t *v, unsigned depth);
/* DZ_BAD_INPUT unless the settings could name a shelf so; NULL is no name either. */
DZ_MUST enum dz_code import_check_shelf(const char *name, struct dz_err *err);
/* Points shelf `name` to a series when it does not yet. */
DZ_MUST enum dz_code import_put_shelf(struct dz_catalog *c, const char *name, int64_t series_id,
                                      struct dz_err *err);
