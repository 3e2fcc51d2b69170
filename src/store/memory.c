/*
 * memory: blobs in a map. The reference answer: what the other drivers must do, without a disk.
 *
 * Nothing outlives close, and the digest is checked on every get as for a remote driver. One lock
 * around the map; a list is taken under it and told outside of it, so that its callback may use the
 * store. Any thread.
 */
#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>

struct blob {
    struct dz_blob_stat stat; /* stat.sha is the map's key */
    struct dz_body *body;
};

struct memory {
    pthread_mutex_t lock;
    struct dz_map blobs; /* digest → struct blob */
};

static dz_str key_of(const struct dz_sha256 *sha)
{
    return (dz_str){(const char *)sha->b, sizeof sha->b};
}

static enum dz_code memory_open(const char *data_dir, const char *uri, void **ret_self,
                                struct dz_err *err)
{
    (void)data_dir, (void)uri, (void)err;
    struct memory *m = dz_new(struct memory);
    pthread_mutex_init(&m->lock, NULL);
    dz_map_init(&m->blobs);
    *ret_self = m;
    return DZ_OK;
}

static void blob_free(struct blob *b)
{
    if (!b)
        return;
    dz_body_unref(&b->body);
    free(b);
}

static void memory_close(void *self)
{
    struct memory *m = self;
    size_t at = 0;
    dz_str key;
    void *value;
    while (dz_map_next(&m->blobs, &at, &key, &value))
        blob_free(value);
    dz_map_done(&m->blobs);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static enum dz_code memory_put(void *self, const struct dz_blob_stat *known, dz_store_read_fn *read,
                               void *arg, struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    struct memory *m = self;
    DZ_AUTO(dz_buf_done) struct dz_buf bytes;
    dz_buf_init(&bytes, DZ_STORE_BLOB_MAX);
    for (;;) {
        dz_str piece = {NULL, 0};
        DZ_TRY(read(arg, &piece, err));
        if (piece.n == 0)
            break;
        dz_buf_put(&bytes, piece);
        if (bytes.full)
            return dz_fail(err, DZ_TOO_LARGE, "blob is over the limit");
    }
    struct blob *b = dz_new(struct blob);
    enum dz_code code = dz_body_try(bytes.n, &b->body, err);
    if (code != DZ_OK) {
        blob_free(b);
        return code;
    }
    if (bytes.n > 0)
        memcpy(b->body->p, bytes.p, bytes.n);
    b->stat.sha = known ? known->sha : dz_sha256_of(dz_buf_str(&bytes));
    b->stat.bytes = bytes.n;
    b->stat.mtime_s = dz_now_ms() / 1000;

    pthread_mutex_lock(&m->lock);
    struct blob *there = dz_map_get(&m->blobs, key_of(&b->stat.sha));
    if (there)
        there->stat.mtime_s = b->stat.mtime_s;
    else
        (void)dz_map_set(&m->blobs, key_of(&b->stat.sha), b);
    *ret_stat = b->stat;
    pthread_mutex_unlock(&m->lock);
    if (there)
        blob_free(b);
    return DZ_OK;
}

static enum dz_code not_found(const struct dz_sha256 *sha, struct dz_err *err)
{
    char hex[65] = {0};
    dz_hex(sha->b, sizeof sha->b, hex);
    return dz_fail(err, DZ_NOT_FOUND, "no blob %s", hex);
}

static enum dz_code memory_get(void *self, const struct dz_sha256 *sha, uint64_t bytes_max,
                               struct dz_body **ret_body, struct dz_err *err)
{
    struct memory *m = self;
    struct dz_body *body = NULL;
    pthread_mutex_lock(&m->lock);
    struct blob *b = dz_map_get(&m->blobs, key_of(sha));
    if (b)
        body = dz_body_ref(b->body);
    pthread_mutex_unlock(&m->lock);
    if (!body)
        return not_found(sha, err);
    if (body->n > bytes_max) {
        enum dz_code code = dz_fail(err, DZ_TOO_LARGE, "blob has %zu bytes, %llu are allowed",
                                    body->n, (unsigned long long)bytes_max);
        dz_body_unref(&body);
        return code;
    }
    *ret_body = body;
    return DZ_OK;
}

static enum dz_code memory_stat(void *self, const struct dz_sha256 *sha,
                                struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    struct memory *m = self;
    pthread_mutex_lock(&m->lock);
    struct blob *b = dz_map_get(&m->blobs, key_of(sha));
    if (b)
        *ret_stat = b->stat;
    pthread_mutex_unlock(&m->lock);
    return b ? DZ_OK : not_found(sha, err);
}

static enum dz_code memory_del(void *self, const struct dz_sha256 *sha, struct dz_err *err)
{
    (void)err;
    struct memory *m = self;
    pthread_mutex_lock(&m->lock);
    struct blob *b = dz_map_del(&m->blobs, key_of(sha));
    pthread_mutex_unlock(&m->lock);
    blob_free(b);
    return DZ_OK;
}

static enum dz_code memory_list(void *self, dz_store_list_fn *fn, void *arg, struct dz_err *err)
{
    struct memory *m = self;
    pthread_mutex_lock(&m->lock);
    size_t count = 0, at = 0;
    DZ_AUTO(dz_freep)
    struct dz_blob_stat *stats = dz_alloc((m->blobs.count + 1) * sizeof *stats);
    dz_str key;
    void *value;
    while (dz_map_next(&m->blobs, &at, &key, &value))
        stats[count++] = ((const struct blob *)value)->stat;
    pthread_mutex_unlock(&m->lock);
    for (size_t i = 0; i < count; i++)
        DZ_TRY(fn(arg, &stats[i], err));
    return DZ_OK;
}

const struct dz_store_driver dz_store_memory = {
    .name = "memory",
    .open = memory_open,
    .close = memory_close,
    .put = memory_put,
    .get = memory_get,
    .stat = memory_stat,
    .del = memory_del,
    .list = memory_list,
};
