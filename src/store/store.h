/*
 * store: blobs. Put, get, stat, delete, list; one const table of functions a driver, one wrapper in
 * front of them where limits, the check of digests and counters live once.
 *
 * A blob is immutable and named by the SHA-256 of its bytes. Every call may block on disk or
 * network: call it from a worker or a command, never from a loop's thread (dz_store_open_file of
 * the files driver excepted: one open(2)). All calls are safe from several threads at once, and
 * several processes may share one store. A batch belongs to one thread at a time.
 */
#pragma once

#include "base/base.h"

#define DZ_STORE_BLOB_MAX (2 * DZ_GIB) /* one blob */
#define DZ_STORE_BATCH_MAX 65536       /* blobs in one batch */
#define DZ_STORE_BATCH_NAMED_MAX 1024  /* named objects in one batch */
#define DZ_STORE_NAME_BYTES_MAX 2000   /* of a named object */
#define DZ_STORE_MIME_BYTES_MAX 4096   /* declared type of a named object */
#define DZ_STORE_LEVEL_AUTO (-1)       /* zlib level by what the bytes are */

struct dz_store;
struct dz_conf;

/* What a driver is opened with; each takes what it needs. Texts are borrowed for the call; NULL
 * counts as empty. */
struct dz_store_options {
    const char *data_dir; /* files: the blobs; databases: unnamed temporary files */
    const char *uri;
    const char *table;                 /* postgres */
    const char *database, *collection; /* mongodb */
    uint32_t pool_min, pool_max;       /* 0: the driver's own choice */
    int level;                         /* 0 to 9, or DZ_STORE_LEVEL_AUTO */
    bool for_writing; /* postgres: DZ_FORBIDDEN when the role may not write; false: not looked at */
};

struct dz_blob_stat {
    struct dz_sha256 sha;
    uint64_t bytes;
    int64_t mtime_s; /* when it was last put, also when its bytes were there already */
};

/* An object that has a name of its own besides its bytes: an upload. Never a digest's 64 small hex
 * digits. */
struct dz_store_named {
    dz_str name;
    dz_str mime;   /* as declared; p = NULL: nothing was */
    bool measured; /* stat is known; only in a list it may not be */
    struct dz_blob_stat stat;
};

/* What a put needs from above: bytes piece by piece. ret_piece stays valid until the next call;
 * n = 0 ends. */
typedef enum dz_code dz_store_read_fn(void *arg, dz_str *ret_piece, struct dz_err *err);
/* What a read gives: all bytes in their order, in pieces of any size. */
typedef enum dz_code dz_store_piece_fn(void *arg, dz_str piece, struct dz_err *err);
typedef enum dz_code dz_store_list_fn(void *arg, const struct dz_blob_stat *b, struct dz_err *err);
typedef enum dz_code dz_store_named_fn(void *arg, const struct dz_store_named *n,
                                       struct dz_err *err);

/* Counters since start, for /metrics. */
struct dz_store_stats {
    atomic_uint_fast64_t puts, put_bytes, reads, read_bytes, misses, errors, corrupt;
};

/* A driver. `self` is what open returned. Contracts are those of the wrappers below with the same
 * names. put: `known` is NULL, or the size and digest of what `read` will give, computed by the
 * wrapper; a driver that has the blob then need not read at all. */
struct dz_store_driver {
    const char *name;    /* as in settings store.driver */
    bool digest_trusted; /* get does not read the digest again */
    enum dz_code (*open)(const struct dz_store_options *o, void **ret_self, struct dz_err *err);
    void (*close)(void *self);
    enum dz_code (*put)(void *self, const struct dz_blob_stat *known, dz_store_read_fn *read,
                        void *arg, struct dz_blob_stat *ret_stat, struct dz_err *err);
    enum dz_code (*get)(void *self, const struct dz_sha256 *sha, uint64_t bytes_max,
                        struct dz_body **ret_body, struct dz_err *err);
    enum dz_code (*stat)(void *self, const struct dz_sha256 *sha, struct dz_blob_stat *ret_stat,
                         struct dz_err *err);
    enum dz_code (*del)(void *self, const struct dz_sha256 *sha, struct dz_err *err);
    enum dz_code (*list)(void *self, dz_store_list_fn *fn, void *arg, struct dz_err *err);
    enum dz_code (*open_file)(void *self, const struct dz_sha256 *sha, int *ret_fd,
                              uint64_t *ret_bytes,
                              struct dz_err *err); /* NULL: bodies of this driver are not files */
    enum dz_code (*sweep)(void *self, int64_t older_than_s, uint64_t *ret_removed,
                          struct dz_err *err); /* NULL: none */
    enum dz_code (*set_aside)(void *self, const struct dz_sha256 *sha, const char *folder,
                              struct dz_err *err); /* NULL: bodies of this driver are not files */
    /* Compares the digest itself. NULL: the wrapper makes it of get and named_get. */
    enum dz_code (*read)(void *self, const struct dz_sha256 *sha, dz_str name, uint64_t bytes_max,
                         dz_store_piece_fn *fn, void *arg, struct dz_err *err);
    /* All four NULL: a batch is a row of plain puts. */
    enum dz_code (*batch_begin)(void *self, void **ret_batch, struct dz_err *err);
    enum dz_code (*batch_put)(void *batch, const struct dz_blob_stat *known, dz_store_read_fn *read,
                              void *arg, struct dz_blob_stat *ret_stat, struct dz_err *err);
    enum dz_code (*batch_commit)(void *batch, struct dz_err *err);
    void (*batch_drop)(void *batch);
    /* All four NULL: what is written is gathered in memory first. batch_take frees the write, also
     * on failure; its batch is one of this driver. */
    enum dz_code (*write_begin)(void *self, void **ret_write, struct dz_err *err);
    enum dz_code (*write_add)(void *write, dz_str bytes, struct dz_err *err);
    void (*write_declare)(void *write, dz_str mime); /* NULL: types mean nothing here */
    enum dz_code (*batch_take)(void *batch, void *take_write, struct dz_blob_stat *ret_stat,
                               struct dz_err *err);
    void (*write_drop)(void *write);
    /* All four NULL: no named objects; else the driver has batches and writes too. Names come here
     * checked. batch_take_named frees the write when it took it and when it failed; what was given
     * back with *ret_new = false may be taken again under another name. */
    enum dz_code (*batch_take_named)(void *batch, void *write, dz_str name, dz_str mime,
                                     struct dz_blob_stat *ret_stat, bool *ret_new,
                                     struct dz_err *err);
    /* NULL: nothing is gained by it. */
    enum dz_code (*batch_expect)(void *batch, const dz_str *names, size_t n, struct dz_err *err);
    enum dz_code (*named_get)(void *self, dz_str name, uint64_t bytes_max, struct dz_arena *arena,
                              struct dz_store_named *ret_named, struct dz_body **ret_body,
                              struct dz_err *err);
    enum dz_code (*named_del)(void *self, dz_str name, bool *ret_was, struct dz_err *err);
    enum dz_code (*named_list)(void *self, dz_store_named_fn *fn, void *arg, struct dz_err *err);
};

extern const struct dz_store_driver dz_store_files;    /* data_dir/blobs/ab/cdef… */
extern const struct dz_store_driver dz_store_memory;   /* the reference answer */
extern const struct dz_store_driver dz_store_postgres; /* rows of a table, as imoog has them */
extern const struct dz_store_driver dz_store_mongodb;  /* documents, as imoog has them */
/* uri "DRIVER?OP=N&OP2=M…#URI": passes all to DRIVER, opened with URI, but the Nth call of
 * put|get|stat|del|list fails (…=N), every call waits (delay_ms=N), or reads come short (short=N
 * bytes a piece). For tests; never listed for settings. */
extern const struct dz_store_driver dz_store_fault;

/* Driver by name, or DZ_BAD_INPUT listing the names this binary knows. */
DZ_MUST enum dz_code dz_store_open(const char *driver, const char *data_dir, const char *uri,
                                   struct dz_store **ret_s, struct dz_err *err);
/* The same with a driver that has no name in the settings: dz_store_fault in tests. */
DZ_MUST enum dz_code dz_store_open_with(const struct dz_store_driver *driver, const char *data_dir,
                                        const char *uri, struct dz_store **ret_s,
                                        struct dz_err *err);
/* The same with all that a driver can be told; and as the settings have it. */
DZ_MUST enum dz_code dz_store_open_options(const struct dz_store_driver *driver,
                                           const struct dz_store_options *o,
                                           struct dz_store **ret_s, struct dz_err *err);
DZ_MUST enum dz_code dz_store_open_conf(const struct dz_conf *conf, struct dz_store **ret_s,
                                        struct dz_err *err);
/* By name; NULL with DZ_BAD_INPUT in err, which lists the names. */
const struct dz_store_driver *dz_store_driver_find(dz_str name, struct dz_err *err);
void dz_store_close(struct dz_store **s);
const char *dz_store_name(const struct dz_store *s);

/* Stores the bytes under their digest and returns it; when it is there already nothing is written
 * again. On return the bytes, the name and the folder are synced to disk. A put that fails leaves
 * nothing that a get would find, with one exception: when the disk refused only the last step,
 * syncing the folder, the whole blob may be there (it cannot be taken back, for another process may
 * have put the same bytes). DZ_TOO_LARGE over DZ_STORE_BLOB_MAX, DZ_FULL, DZ_IO, or what `read`
 * failed with. */
DZ_MUST enum dz_code dz_store_put(struct dz_store *s, dz_store_read_fn *read, void *arg,
                                  struct dz_blob_stat *ret_stat, struct dz_err *err);
DZ_MUST enum dz_code dz_store_put_bytes(struct dz_store *s, dz_str bytes,
                                        struct dz_blob_stat *ret_stat, struct dz_err *err);

/* Many puts for the price of a few syncs; one chapter is a good batch. Nothing is promised of a
 * blob of the batch (a get may or may not find it) until commit returned DZ_OK; then all are synced
 * as after dz_store_put. After a failed commit some may be there, each of them whole. Commit
 * empties the batch, which may then be used again; free drops what was not committed. DZ_TOO_LARGE
 * over DZ_STORE_BATCH_MAX. */
struct dz_store_batch;
DZ_MUST enum dz_code dz_store_batch_begin(struct dz_store *s, struct dz_store_batch **ret_b,
                                          struct dz_err *err);
DZ_MUST enum dz_code dz_store_batch_put(struct dz_store_batch *b, dz_store_read_fn *read, void *arg,
                                        struct dz_blob_stat *ret_stat, struct dz_err *err);
DZ_MUST enum dz_code dz_store_batch_put_bytes(struct dz_store_batch *b, dz_str bytes,
                                              struct dz_blob_stat *ret_stat, struct dz_err *err);
DZ_MUST enum dz_code dz_store_batch_commit(struct dz_store_batch *b, struct dz_err *err);
void dz_store_batch_free(struct dz_store_batch **b); /* before the store is closed */

/* A blob whose bytes come one after the other from somebody who may be slow: nothing waits inside.
 * One thread at a time. Dropped, it leaves nothing. */
struct dz_store_write;
DZ_MUST enum dz_code dz_store_write_begin(struct dz_store *s, struct dz_store_write **ret_w,
                                          struct dz_err *err);
/* What the bytes are said to be (a media type, RFC 9110 8.3.1), before the first of them: with
 * level `auto` what is packed by its type is not packed again, also when its bytes do not tell. */
void dz_store_write_declare(struct dz_store_write *w, dz_str mime);
/* DZ_TOO_LARGE over DZ_STORE_BLOB_MAX, DZ_FULL, DZ_IO; then only good to be dropped. */
DZ_MUST enum dz_code dz_store_write_add(struct dz_store_write *w, dz_str bytes, struct dz_err *err);
uint64_t dz_store_write_bytes(const struct dz_store_write *w); /* so far */
void dz_store_write_drop(struct dz_store_write **w);
/* All bytes are there: as a put of them. The write is gone after, also on failure. */
DZ_MUST enum dz_code dz_store_batch_take(struct dz_store_batch *b, struct dz_store_write **take_w,
                                         struct dz_blob_stat *ret_stat, struct dz_err *err);

/* ---- named objects ---------------------------------------------------------------------------
 *
 * Rows of a database that others may know too (contracts/imoog.md section 4): a name, the bytes,
 * the declared type. Written once, never changed. dz_store_get and dz_store_stat find their bytes
 * by digest as well; dz_store_del and dz_store_list never touch them. */

bool dz_store_has_names(const struct dz_store *s);
/* As dz_store_batch_take, under a name. When the name is taken, by whomever, *ret_new is false and
 * *w stays the caller's; else it is gone after, also on failure. Nothing is there before commit.
 * Somebody else may take the name until then: commit fails with DZ_CONFLICT. After any failed
 * commit the names of the batch may be there or not; deleting them makes sure. mime with p = NULL:
 * none. DZ_BAD_INPUT for a name or type that is too long, no UTF-8 or holds a NUL, an empty name,
 * and a name of 64 small hex digits; DZ_UNSUPPORTED. */
DZ_MUST enum dz_code dz_store_batch_take_named(struct dz_store_batch *b, struct dz_store_write **w,
                                               dz_str name, dz_str mime,
                                               struct dz_blob_stat *ret_stat, bool *ret_new,
                                               struct dz_err *err);
/* Says which names will be taken in this batch, so that a database is asked for many at once. Only
 * a matter of time: all may be left out, and none need be taken. */
DZ_MUST enum dz_code dz_store_batch_expect(struct dz_store_batch *b, const dz_str *names, size_t n,
                                           struct dz_err *err);
/* Facts, with texts in the arena, and the bytes unless ret_body is NULL. What somebody else wrote
 * is unpacked and measured here the first time. DZ_NOT_FOUND (also for what can be no name),
 * DZ_TOO_LARGE over bytes_max, DZ_CORRUPT, DZ_UNAVAILABLE, DZ_UNSUPPORTED. */
DZ_MUST enum dz_code dz_store_named_get(struct dz_store *s, dz_str name, uint64_t bytes_max,
                                        struct dz_arena *arena, struct dz_store_named *ret_named,
                                        struct dz_body **ret_body, struct dz_err *err);
DZ_MUST enum dz_code dz_store_named_del(struct dz_store *s, dz_str name, bool *ret_was,
                                        struct dz_err *err);
/* Every one once, in any order; texts live until fn returns. fn may use the store, also delete. */
DZ_MUST enum dz_code dz_store_named_list(struct dz_store *s, dz_store_named_fn *fn, void *arg,
                                         struct dz_err *err);

/* ---- reading ---------------------------------------------------------------------------------
 */

/* Whole blob; the caller unrefs. The digest is checked on every read of a driver that is not
 * `files`, and there by `dozo check`. DZ_NOT_FOUND, DZ_TOO_LARGE over bytes_max, DZ_CORRUPT, DZ_IO,
 * DZ_UNAVAILABLE. */
DZ_MUST enum dz_code dz_store_get(struct dz_store *s, const struct dz_sha256 *sha,
                                  uint64_t bytes_max, struct dz_body **ret_body,
                                  struct dz_err *err);
/* The same in pieces, so that a large one never lies in memory as a whole where the driver has rows
 * or files. name: n = 0, or that of a named object which has these bytes; DZ_NOT_FOUND when it has
 * others by now. The digest is known at the end: what fn got before a failure is worth nothing.
 * What fn fails with is passed on. */
DZ_MUST enum dz_code dz_store_read(struct dz_store *s, const struct dz_sha256 *sha, dz_str name,
                                   uint64_t bytes_max, dz_store_piece_fn *fn, void *arg,
                                   struct dz_err *err);
DZ_MUST enum dz_code dz_store_stat(struct dz_store *s, const struct dz_sha256 *sha,
                                   struct dz_blob_stat *ret_stat, struct dz_err *err);
/* Reads all of it and compares the digest, in little memory where the driver has files. DZ_OK,
 * DZ_CORRUPT (all was read and is not what the digest names), DZ_NOT_FOUND, or what reading failed
 * with, which says nothing about the bytes. Honours DZ_FAULT=read:N. */
DZ_MUST enum dz_code dz_store_verify(struct dz_store *s, const struct dz_sha256 *sha,
                                     struct dz_err *err);
/* Gone or never there are both DZ_OK: deleting is idempotent. */
DZ_MUST enum dz_code dz_store_del(struct dz_store *s, const struct dz_sha256 *sha,
                                  struct dz_err *err);
/* Takes the blob out of the store with its bytes as they are, into FOLDER/DIGEST (DIGEST.1 and so
 * on when that is taken; the folder is made). At every moment, also after a failure or a power cut,
 * all of the bytes are at one of the two places at least. DZ_UNSUPPORTED when the driver has no
 * files, DZ_NOT_FOUND, or what moving failed with. */
DZ_MUST enum dz_code dz_store_set_aside(struct dz_store *s, const struct dz_sha256 *sha,
                                        const char *folder, struct dz_err *err);
/* Every blob once, in any order; fn's failure ends it and is returned. fn may use the store, also
 * delete. What is not ours (other files in the folders) is passed over. */
DZ_MUST enum dz_code dz_store_list(struct dz_store *s, dz_store_list_fn *fn, void *arg,
                                   struct dz_err *err);

/* A read-only descriptor for sendfile, the caller closes it; DZ_UNSUPPORTED when the driver has no
 * files. One open and one fstat; may be called on a loop's thread. */
DZ_MUST enum dz_code dz_store_open_file(struct dz_store *s, const struct dz_sha256 *sha,
                                        int *ret_fd, uint64_t *ret_bytes, struct dz_err *err);

/* Removes unfinished temporary files of puts that died: not those younger than older_than_s, nor
 * those of a process that lives on this machine. Where several machines share the folder, the age
 * alone must tell: an hour is safe. */
DZ_MUST enum dz_code dz_store_sweep(struct dz_store *s, int64_t older_than_s, uint64_t *ret_removed,
                                    struct dz_err *err);

struct dz_store_stats *dz_store_stats(struct dz_store *s);
