/*
 * postgres_int: what the parts of the postgres driver share: postgres.c (open, tables, deletion,
 * lists), postgres_read.c (one row), postgres_pieces.c (its bytes a piece at a time),
 * postgres_write.c (batches).
 *
 * Three tables. TABLE (name, image, mime) is what imoog has, and makes in the same words; a row
 * exists when it is there. TABLE_dozo (name, sha, bytes, mtime_s) says what a row holds without
 * unpacking it; it is written with the row, or when a row that somebody else wrote is read first.
 * TABLE_dozo_part (name, at, image) has the pieces of rows that are too large for one value; there
 * the row's image is null. What imoog deletes leaves its two companions behind: every question asks
 * TABLE, and the sweep removes what has no row.
 */
#pragma once

#include "pg/pg.h"
#include "store/rows_int.h"

#define POSTGRES_ROW_MAX (64 * DZ_MIB) /* packed bytes in one row */
#define POSTGRES_NAMES 32              /* of one question */
#define POSTGRES_PART_BYTES ((size_t)(16 * DZ_MIB))

enum postgres_text {
    PG_FIND,       /* name → mime, has image, index */
    PG_READ,       /* name, bytes_max → the same, and the image unless it is more than that */
    PG_FIND_SHA,   /* sha → name of a row with these bytes */
    PG_PART,       /* name, at → image */
    PG_SLICE,      /* name, from, for → that much of the image, from 1 on */
    PG_PART_SLICE, /* name, at, from, for */
    PG_EXISTS,     /* name */
    PG_EXIST,      /* POSTGRES_NAMES names → those that are there */
    PG_PRESENT,    /* name, bytes → whether row and index are there */
    PG_TOUCH,      /* name, mtime_s */
    PG_ADD,        /* name, image, mime: nothing when the name is taken */
    PG_ADD_NEW,    /* the same: fails then */
    PG_INDEX,      /* name, sha, bytes, mtime_s: whatever was there */
    PG_MEASURED,   /* the same, if the row is still there */
    PG_ADD_PART,   /* name, at, image */
    PG_DEL,        /* name: with index and parts */
    PG_DEL_PARTS,  /* name */
    PG_BLOBS,      /* limit → name, bytes, mtime_s, in order of names */
    PG_BLOBS_ON,   /* limit, name: those after it */
    PG_NAMED,      /* limit → name, mime, index */
    PG_NAMED_ON,
    PG_SWEEP_INDEX, /* made before: those without a row */
    PG_SWEEP_PARTS,
    PG_TEXTS
};

struct postgres {
    struct dz_pg *pg;
    char *table;           /* as in SQL: "public"."my_images" */
    char *texts[PG_TEXTS]; /* for enum postgres_text */
    char *dir;             /* of spools */
    int level;
};

/* Runs one of the texts on a connection of its own. */
DZ_MUST enum dz_code postgres_ask(struct postgres *p, enum postgres_text what,
                                  const struct dz_pg_param *v, size_t n,
                                  struct dz_pg_rows **ret_rows, struct dz_err *err);
/* On this one. */
DZ_MUST enum dz_code postgres_run(struct postgres *p, struct dz_pg_conn *c, enum postgres_text what,
                                  const struct dz_pg_param *v, size_t n,
                                  struct dz_pg_rows **ret_rows, struct dz_err *err);
DZ_MUST enum dz_code postgres_later(struct postgres *p, struct dz_pg_conn *c,
                                    enum postgres_text what, const struct dz_pg_param *v, size_t n,
                                    struct dz_err *err);

/* ---- reading ----------------------------------------------------------------------------------
 */

/* Index columns of a result from `column` on: sha, bytes, mtime_s. False: the row has none, or one
 * that is not as it should be. */
bool postgres_index(const struct dz_pg_rows *rows, size_t row, size_t column,
                    struct dz_blob_stat *ret_stat);
/* The row of that name: facts from the index, or by unpacking it, which then writes them there. The
 * type lives in the arena; arena NULL: not wanted; ret_body NULL: only facts. DZ_NOT_FOUND with a
 * text that does not name it. */
DZ_MUST enum dz_code postgres_row(struct postgres *p, dz_str name, uint64_t bytes_max,
                                  struct dz_arena *arena, struct dz_store_named *ret_named,
                                  struct dz_body **ret_body, struct dz_err *err);
enum dz_code postgres_get(void *self, const struct dz_sha256 *sha, uint64_t bytes_max,
                          struct dz_body **ret_body, struct dz_err *err);
/* postgres_pieces.c */
enum dz_code postgres_read(void *self, const struct dz_sha256 *sha, dz_str name, uint64_t bytes_max,
                           dz_store_piece_fn *fn, void *arg, struct dz_err *err);
/* The index says so from now on; when this fails, the row is measured again next time. */
void postgres_remember(struct postgres *p, dz_str name, const struct dz_blob_stat *stat);
enum dz_code postgres_stat(void *self, const struct dz_sha256 *sha, struct dz_blob_stat *ret_stat,
                           struct dz_err *err);

/* ---- writing: the driver's functions of these names -------------------------------------------
 */

enum dz_code postgres_put(void *self, const struct dz_blob_stat *known, dz_store_read_fn *read,
                          void *arg, struct dz_blob_stat *ret_stat, struct dz_err *err);
enum dz_code postgres_batch_begin(void *self, void **ret_batch, struct dz_err *err);
enum dz_code postgres_batch_put(void *batch, const struct dz_blob_stat *known,
                                dz_store_read_fn *read, void *arg, struct dz_blob_stat *ret_stat,
                                struct dz_err *err);
enum dz_code postgres_batch_commit(void *batch, struct dz_err *err);
void postgres_batch_drop(void *batch);
enum dz_code postgres_write_begin(void *self, void **ret_write, struct dz_err *err);
enum dz_code postgres_batch_take(void *batch, void *take_write, struct dz_blob_stat *ret_stat,
                                 struct dz_err *err);
enum dz_code postgres_batch_expect(void *batch, const dz_str *names, size_t n, struct dz_err *err);
enum dz_code postgres_batch_take_named(void *batch, void *write, dz_str name, dz_str mime,
                                       struct dz_blob_stat *ret_stat, bool *ret_new,
                                       struct dz_err *err);
