/*
 * files_int: what the two halves of the files driver share: files.c (the folders, single blobs) and
 * files_batch.c (many at once).
 *
 * Layout: ROOT is data_dir/blobs. ROOT/ab/cdef… is a blob (2 + 62 hex digits of its SHA-256),
 * ROOT/.tmp/PID-START-RANDOM is one being written by the process PID that started at START.
 * Functions here report errors with the path.
 */
#pragma once

#include "store/store.h"

#include <sys/types.h>

#define FILES_BLOB_NAME 66 /* "ab/" + 62 digits + NUL */
#define FILES_TEMP_NAME 56 /* ".tmp/" + three numbers + NUL */

struct files {
    char *root;
    int fd;      /* of root */
    mode_t mode; /* of a blob: as the folder is readable */
    uid_t uid;   /* whose the folder is */
    gid_t gid;
    int pid;
    uint64_t pid_start; /* /proc/PID/stat; 0 where there is none */
};

/* A blob under its temporary name. Zeroed with fd -1 it is none; temp_drop removes what is still
 * there. */
struct files_temp {
    struct files *f;
    int fd;
    char name[FILES_TEMP_NAME]; /* "" once renamed */
    struct dz_blob_stat stat;
};

void files_blob_name(const struct dz_sha256 *sha, char dst[FILES_BLOB_NAME]);

/* Whether the blob is there with that size; if so its time of putting becomes now. */
DZ_MUST enum dz_code files_present(struct files *f, const struct dz_blob_stat *want, bool *ret_yes,
                                   struct dz_err *err);

/* An empty one. */
DZ_MUST enum dz_code files_temp_open(struct files *f, struct files_temp *t, struct dz_err *err);
/* Writes all that `read` gives; t->stat is complete after. Nothing is synced. */
DZ_MUST enum dz_code files_temp_write(struct files *f, const struct dz_blob_stat *known,
                                      dz_store_read_fn *read, void *arg, struct files_temp *t,
                                      struct dz_err *err);
DZ_MUST enum dz_code files_temp_sync(struct files_temp *t, struct dz_err *err); /* and closes */
DZ_MUST enum dz_code files_temp_rename(struct files_temp *t, struct dz_err *err);
void files_temp_drop(struct files_temp *t);

/* A blob whose bytes come from outside, one after the other. */
struct files_write {
    struct files_temp t;
    struct dz_sha256_ctx *hash;
    uint64_t started; /* so many bytes are on their way to the disk */
};
enum dz_code files_write_begin(void *self, void **ret_write, struct dz_err *err);
enum dz_code files_write_add(void *write, dz_str bytes, struct dz_err *err);
void files_write_drop(void *write);

/* Makes the names in the folder of blobs that start with this byte last. */
DZ_MUST enum dz_code files_sync_folder(struct files *f, unsigned char first, struct dz_err *err);

enum dz_code files_batch_begin(void *self, void **ret_batch, struct dz_err *err);
enum dz_code files_batch_put(void *batch, const struct dz_blob_stat *known, dz_store_read_fn *read,
                             void *arg, struct dz_blob_stat *ret_stat, struct dz_err *err);
enum dz_code files_batch_commit(void *batch, struct dz_err *err);
enum dz_code files_batch_take(void *batch, void *take_write, struct dz_blob_stat *ret_stat,
                              struct dz_err *err);
void files_batch_drop(void *batch);
