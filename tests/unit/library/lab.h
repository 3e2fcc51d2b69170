/*
 * lab: what the tests of this room share: a temporary folder with a library in it, made pictures
 * and archives, and the events of an import as lines.
 */
#pragma once

#include "test.h"

#include "library/library.h"

struct lab {
    char dir[64]; /* removed by lab_done */
    struct dz_conf *conf;
    struct dz_library *lib;
    struct dz_import_result result;
    struct dz_buf events; /* "error PATH: ENTRY: TEXT" lines, the folder's name left out */
};
/* more: further YAML of the settings; may be NULL. */
void lab_init(struct lab *l, const char *more);
void lab_done(struct lab *l);
void lab_reopen(struct lab *l); /* closes the library and opens it again */

const char *lab_path(const struct lab *l, const char *name);         /* static, four at a time */
void lab_write(const struct lab *l, const char *name, dz_str bytes); /* makes folders */
void lab_png(const struct lab *l, const char *name, unsigned seed);
void lab_touch(const struct lab *l, const char *name, int64_t mtime_s);
void lab_remove(const struct lab *l, const char *name); /* with all below it */
/* A whole PNG; every seed other bytes. Static. */
dz_str lab_picture(unsigned seed);

struct lab_entry {
    const char *name;
    dz_str bytes; /* p NULL: picture number `seed` */
    unsigned seed;
};
/* format: "zip", "7zip", "ustar"; entries end with a NULL name. */
void lab_archive(const struct lab *l, const char *name, const char *format,
                 const struct lab_entry *entries);

/* Imports one path below the folder; fails the test on an error of the run. */
void lab_import(struct lab *l, const char *path, const char *series);
enum dz_code lab_import_with(struct lab *l, const char *const *paths, size_t n,
                             const struct dz_import_options *o, struct dz_err *err);
enum dz_code lab_komizip(struct lab *l, const char *json, const char *folder,
                         const struct dz_import_options *o, struct dz_err *err);
uint64_t lab_seq(struct lab *l); /* of the catalog */

/* The stored chapters in reading order, a line each: "SERIES | source_id | key | vN | number |
 * title | pages". */
const char *lab_listing(struct lab *l); /* static */
/* One series by title; the arena is the caller's. */
void lab_series(struct lab *l, const char *title, struct dz_arena *a, struct dz_series_full *ret);
/* Whether every page and asset of the view can be read and has the bytes that its digest names. */
void lab_assert_whole(struct lab *l);
