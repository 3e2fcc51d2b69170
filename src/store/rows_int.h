/*
 * rows_int: what drivers share whose blobs are rows or documents of a database.
 *
 * Both layouts are the one of contracts/imoog.md section 4: a name, the bytes as one zlib stream
 * (RFC 1950), the declared type. A blob put by digest has its 64 small hex digits as its name and
 * no type. Here is what has nothing to do with a database: bytes are packed as they come into a
 * spool (rows_spool), and unpacked as they come (rows_unpack). One thread at a time each; nothing
 * here logs.
 */
#pragma once

#include "store/store_int.h"

/* The name of a blob. */
void rows_blob_name(const struct dz_sha256 *sha, char dst[64]);
/* The digest that a blob is named by; false: this is no name of a blob. */
bool rows_blob_sha(dz_str name, struct dz_sha256 *ret_sha);

/* Whether bytes that begin so gain nothing by being packed again: pictures, video, sound, archives.
 * ROWS_HEAD bytes are enough to tell. */
#define ROWS_HEAD 16
bool rows_is_packed(dz_str head);
/* The same by the type that was declared, parameters and case of letters aside. */
bool rows_type_is_packed(dz_str mime);

/* ---- in ---------------------------------------------------------------------------------------
 */

/* Packed bytes on their way into a row: in memory while they are few, else in a file without a
 * name. */
#define ROWS_MEMORY_MAX ((size_t)(128 * DZ_KIB))
struct rows_spool;

/* dir: where the file is made, borrowed until free. level as in struct dz_store_options. known:
 * NULL, or size and digest of what will come, which are then taken as they are. */
struct rows_spool *rows_spool_new(const char *dir, int level, const struct dz_blob_stat *known);
void rows_spool_free(struct rows_spool **s);
/* DZ_FULL, DZ_IO; then only good to be freed. */
DZ_MUST enum dz_code rows_spool_add(struct rows_spool *s, dz_str bytes, struct dz_err *err);
/* All that `read` gives. */
DZ_MUST enum dz_code rows_spool_fill(struct rows_spool *s, dz_store_read_fn *read, void *arg,
                                     struct dz_err *err);
/* No more will come: what was packed, with the time as it is now. May be called again. */
DZ_MUST enum dz_code rows_spool_end(struct rows_spool *s, struct dz_blob_stat *ret_stat,
                                    struct dz_err *err);
/* After the end: how many packed bytes there are, and n of them from `at` on. */
uint64_t rows_spool_bytes(const struct rows_spool *s);
DZ_MUST enum dz_code rows_spool_read(const struct rows_spool *s, uint64_t at, void *dst, size_t n,
                                     struct dz_err *err);

/* Of every driver whose writes are spools and whose put is a batch of one: `put`, with the driver
 * in front, write_add, write_declare and write_drop. */
DZ_MUST enum dz_code rows_put(const struct dz_store_driver *d, void *self,
                              const struct dz_blob_stat *known, dz_store_read_fn *read, void *arg,
                              struct dz_blob_stat *ret_stat, struct dz_err *err);
DZ_MUST enum dz_code rows_write_add(void *write, dz_str bytes, struct dz_err *err);
void rows_write_declare(void *write, dz_str mime);
void rows_write_drop(void *write);

/* ---- out --------------------------------------------------------------------------------------
 */

/* What comes after the end of the stream is passed over, as imoog does. */
struct rows_unpack;

/* keep: a body is made of the bytes, at first with room for `hint`, what the index says (0: not
 * known). hash: their digest is wanted. */
struct rows_unpack *rows_unpack_new(uint64_t bytes_max, bool keep, uint64_t hint, bool hash);
void rows_unpack_free(struct rows_unpack **u);
/* Before the first bytes, of one that keeps nothing: who gets them as they come. */
void rows_unpack_to(struct rows_unpack *u, dz_store_piece_fn *fn, void *arg);
/* DZ_CORRUPT, DZ_TOO_LARGE over bytes_max, DZ_FULL, what fn failed with; then only good to be
 * freed. */
DZ_MUST enum dz_code rows_unpack_add(struct rows_unpack *u, dz_str packed, struct dz_err *err);
bool rows_unpack_ended(const struct rows_unpack *u); /* the stream's end was seen */
/* DZ_CORRUPT when the end was not seen. ret_stat: size, and digest when it was wanted; its time is
 * left alone. ret_body is NULL when nothing was kept. */
DZ_MUST enum dz_code rows_unpack_end(struct rows_unpack *u, struct dz_blob_stat *ret_stat,
                                     struct dz_body **ret_body, struct dz_err *err);
