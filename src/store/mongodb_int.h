/*
 * mongodb_int: what the parts of the mongodb driver share: mongodb_client.c (the pool, what a
 * failure means, single calls), mongodb_read.c (one row), mongodb_write.c (batches), mongodb.c (the
 * table, lists).
 *
 * Three collections. COLLECTION {_id: name, image: binary or null, mime: string or null} is what
 * imoog has; a row exists when this document does. COLLECTION_dozo {_id: name, sha, bytes, mtime_s}
 * says what a row holds without unpacking it. COLLECTION_dozo_part {_id: name:NUMBER, image} are
 * the pieces of rows that no document can hold; there the row's image is null.
 *
 * Without transactions, order keeps them in step: a row is written index, parts, document, and
 * deleted document, parts, index. So whatever a kill leaves behind has an index document, by which
 * the sweep finds it.
 */
#pragma once

/* The library's header uses names that base/banned.h poisons. */
#include "store/mongodb_calls.h"

#include "store/rows_int.h"

#include <pthread.h>

#define MONGO_DOCUMENT_MAX                                                                         \
    ((size_t)(15 * DZ_MIB)) /* packed bytes in one; MongoDB's limit is 16                          \
                             */
#define MONGO_PART_BYTES ((size_t)(4 * DZ_MIB))
#define MONGO_PART_DIGITS 8

enum mongo_collection { MONGO_ROWS, MONGO_INDEX, MONGO_PARTS, MONGO_COLLECTIONS };

struct mongo {
    mongoc_client_pool_t *pool;
    char *database, *names[MONGO_COLLECTIONS];
    char *place; /* "imoog at db.example:27017"; never the password */
    char *spool_dir;
    int level;
    uint32_t pool_max;
    int64_t acquire_ms, answer_ms;
    mongoc_write_concern_t *concern; /* majority, journal */
    mongoc_read_prefs_t *primary;
    atomic_bool has_server; /* the library's own threads see a server that takes writes */
    atomic_bool stalled;    /* a call ran out of time; until the server is heard of again */
    pthread_mutex_t lock;
    char why[160]; /* under lock: what was wrong when the server was last missed */
};

enum dz_code mongo_connect(struct mongo *m, const struct dz_store_options *o, struct dz_err *err);
void mongo_disconnect(struct mongo *m);

/* A client of the pool with its collections; only good between take and give. Zeroed it is none. */
struct mongo_use {
    struct mongo *m;
    mongoc_client_t *client;
    mongoc_collection_t *at[MONGO_COLLECTIONS];
};
/* DZ_UNAVAILABLE at once while the server is down. */
DZ_MUST enum dz_code mongo_take(struct mongo *m, struct mongo_use *u, struct dz_err *err);
void mongo_give(struct mongo_use *u); /* a DZ_AUTO handler */

/* What a failed call of the library means; what is shown of it names no password. */
enum dz_code mongo_fail(struct mongo *m, const bson_error_t *why, struct dz_err *err,
                        const char *doing);

/* {_id: name}; the caller destroys it. */
bson_t *mongo_key(dz_str name);

/* A document and the cursor that owns it. Zeroed it is none; mongo_found_done frees. */
struct mongo_found {
    mongoc_cursor_t *cursor;
    const bson_t *doc; /* NULL: there is none */
};
void mongo_found_done(struct mongo_found *f); /* a DZ_AUTO handler */
/* The document of that name; only `field` of it besides _id, NULL: all. */
DZ_MUST enum dz_code mongo_find(struct mongo_use *u, enum mongo_collection where, dz_str name,
                                const char *field, struct mongo_found *ret_found,
                                struct dz_err *err);
/* Up to `limit` documents, sorted by _id when `sorted`; the caller goes on with mongo_next. */
DZ_MUST enum dz_code mongo_find_many(struct mongo_use *u, enum mongo_collection where,
                                     const bson_t *filter, const char *field, bool sorted,
                                     int64_t limit, struct mongo_found *ret_found,
                                     struct dz_err *err);
/* The next document, or doc = NULL after the last. */
DZ_MUST enum dz_code mongo_next(struct mongo_use *u, struct mongo_found *f, struct dz_err *err);

/* Inserts all; taken[i] says whether a document of that _id was there before (also one of our own
 * whose answer was lost: *ret_unsure). */
DZ_MUST enum dz_code mongo_insert(struct mongo_use *u, enum mongo_collection where,
                                  const bson_t **docs, size_t n, bool *taken, bool *ret_unsure,
                                  struct dz_err *err);
/* {$set: fields} on the document of that name, made when it is not there and `make` says so. */
DZ_MUST enum dz_code mongo_set(struct mongo_use *u, enum mongo_collection where, dz_str name,
                               const bson_t *fields, bool make, struct dz_err *err);
DZ_MUST enum dz_code mongo_delete(struct mongo_use *u, enum mongo_collection where, dz_str name,
                                  bool *ret_was, struct dz_err *err);

/* ---- rows ------------------------------------------------------------------------------------
 */

/* What the index says. A document that is not as it should be counts as none. */
DZ_MUST enum dz_code mongo_facts(struct mongo_use *u, dz_str name, bool *ret_there,
                                 struct dz_blob_stat *ret_stat, struct dz_err *err);
/* {sha, bytes, mtime_s}, behind what is in `to` already. */
void mongo_put_facts(bson_t *to, const struct dz_blob_stat *stat);
/* The index says so from now on. */
enum dz_code mongo_set_facts(struct mongo_use *u, dz_str name, const struct dz_blob_stat *stat,
                             struct dz_err *err);
bool mongo_read_facts(const bson_t *doc, struct dz_blob_stat *ret_stat);
/* Whether there is a document of that name; the rest of it is not looked at. */
DZ_MUST enum dz_code mongo_exists(struct mongo_use *u, enum mongo_collection where, dz_str name,
                                  bool *ret_yes, struct dz_err *err);
/* The row, its facts from the index, or by unpacking it, which then writes them there. mime lives
 * in the arena; arena and ret_body may be NULL. DZ_NOT_FOUND without a text. */
DZ_MUST enum dz_code mongo_row(struct mongo_use *u, dz_str name, uint64_t bytes_max,
                               struct dz_arena *arena, struct dz_store_named *ret_named,
                               struct dz_body **ret_body, struct dz_err *err);
/* The bytes of the row as they are unpacked, a document in memory at a time; their digest is the
 * caller's to compare. DZ_NOT_FOUND without a text. */
DZ_MUST enum dz_code mongo_read(struct mongo_use *u, dz_str name, uint64_t bytes_max,
                                dz_store_piece_fn *fn, void *arg, struct dz_blob_stat *ret_stat,
                                struct dz_err *err);
/* Document, parts, index. */
DZ_MUST enum dz_code mongo_row_delete(struct mongo_use *u, dz_str name, bool *ret_was,
                                      struct dz_err *err);
/* Parts and index of a row whose document is gone. */
enum dz_code mongo_row_forget(struct mongo_use *u, dz_str name, struct dz_err *err);

/* The _id of a row's part. */
#define MONGO_PART_NAME_MAX (DZ_STORE_NAME_BYTES_MAX + 1 + MONGO_PART_DIGITS)
dz_str mongo_part_name(dz_str name, uint32_t at, char dst[MONGO_PART_NAME_MAX + 1]);

/* ---- writing: the driver's functions of these names ------------------------------------------
 */

enum dz_code mongo_put(void *self, const struct dz_blob_stat *known, dz_store_read_fn *read,
                       void *arg, struct dz_blob_stat *ret_stat, struct dz_err *err);
enum dz_code mongo_batch_begin(void *self, void **ret_batch, struct dz_err *err);
enum dz_code mongo_batch_put(void *batch, const struct dz_blob_stat *known, dz_store_read_fn *read,
                             void *arg, struct dz_blob_stat *ret_stat, struct dz_err *err);
enum dz_code mongo_batch_commit(void *batch, struct dz_err *err);
void mongo_batch_drop(void *batch);
enum dz_code mongo_write_begin(void *self, void **ret_write, struct dz_err *err);
enum dz_code mongo_batch_take(void *batch, void *take_write, struct dz_blob_stat *ret_stat,
                              struct dz_err *err);
enum dz_code mongo_batch_take_named(void *batch, void *write, dz_str name, dz_str mime,
                                    struct dz_blob_stat *ret_stat, bool *ret_new,
                                    struct dz_err *err);
