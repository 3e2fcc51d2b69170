/*
 * memory: blobs and named objects in maps. The reference answer: what the other drivers must do,
 * without a disk.
 *
 * Nothing outlives close, and the digest is checked on every get as for a remote driver. One lock
 * around the maps; a list is taken under it and told outside of it, so that its callback may use
 * the store. A batch puts its blobs at once and keeps its named objects back until commit. Any
 * thread.
 */
#include "store/store_int.h"

#include <pthread.h>
#include <stdlib.h>

struct blob {
    struct dz_blob_stat stat; /* stat.sha is the key among blobs */
    struct dz_body *body;
    char *name, *mime; /* of a named object; the name is the key among them */
};

struct memory {
    pthread_mutex_t lock;
    struct dz_map blobs; /* digest → struct blob */
    struct dz_map named; /* name → struct blob */
};

struct batch {
    struct memory *m;
    struct dz_map named; /* name → struct blob, not to be seen yet */
};

static dz_str key_of(const struct dz_sha256 *sha)
{
    return (dz_str){(const char *)sha->b, sizeof sha->b};
}

static enum dz_code memory_open(const struct dz_store_options *o, void **ret_self,
                                struct dz_err *err)
{
    (void)o, (void)err;
    struct memory *m = dz_new(struct memory);
    pthread_mutex_init(&m->lock, NULL);
    dz_map_init(&m->blobs);
    dz_map_init(&m->named);
    *ret_self = m;
    return DZ_OK;
}

static void blob_free(struct blob *b)
{
    if (!b)
        return;
    dz_body_unref(&b->body);
    free(b->name);
    free(b->mime);
    free(b);
}

static void map_free(struct dz_map *map)
{
    size_t at = 0;
    dz_str key;
    void *value;
    while (dz_map_next(map, &at, &key, &value))
        blob_free(value);
    dz_map_done(map);
}

static void memory_close(void *self)
{
    struct memory *m = self;
    map_free(&m->blobs);
    map_free(&m->named);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static enum dz_code blob_new(dz_str bytes, struct blob **ret_b, struct dz_err *err)
{
    struct dz_body *body = NULL;
    DZ_TRY(dz_body_try(bytes.n, &body, err));
    if (bytes.n > 0)
        memcpy(body->p, bytes.p, bytes.n);
    struct blob *b = dz_new(struct blob);
    b->body = body;
    b->stat = (struct dz_blob_stat){
        .sha = dz_sha256_of(bytes), .bytes = bytes.n, .mtime_s = dz_now_ms() / 1000};
    *ret_b = b;
    return DZ_OK;
}

static enum dz_code put_bytes(struct memory *m, dz_str bytes, struct dz_blob_stat *ret_stat,
                              struct dz_err *err)
{
    struct blob *b = NULL;
    DZ_TRY(blob_new(bytes, &b, err));
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

static enum dz_code memory_put(void *self, const struct dz_blob_stat *known, dz_store_read_fn *read,
                               void *arg, struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    (void)known;
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
    return put_bytes(self, dz_buf_str(&bytes), ret_stat, err);
}

/* ---- reading --------------------------------------------------------------------------------- */

static enum dz_code not_found(const struct dz_sha256 *sha, struct dz_err *err)
{
    char hex[65] = {0};
    dz_hex(sha->b, sizeof sha->b, hex);
    return dz_fail(err, DZ_NOT_FOUND, "no blob %s", hex);
}

static enum dz_code give(struct dz_body *take_body, uint64_t bytes_max, struct dz_body **ret_body,
                         struct dz_err *err)
{
    DZ_AUTO(dz_body_unref) struct dz_body *body = take_body;
    if (body->n > bytes_max)
        return dz_fail(err, DZ_TOO_LARGE, "blob has %zu bytes, %llu are allowed", body->n,
                       (unsigned long long)bytes_max);
    *ret_body = dz_take(&body);
    return DZ_OK;
}

/* Under the lock: the blob, else a named object with these bytes, else NULL. */
static struct blob *find(struct memory *m, const struct dz_sha256 *sha)
{
    struct blob *b = dz_map_get(&m->blobs, key_of(sha));
    size_t at = 0;
    dz_str key;
    void *value;
    while (!b && dz_map_next(&m->named, &at, &key, &value))
        if (dz_str_eq(key_of(&((struct blob *)value)->stat.sha), key_of(sha)))
            b = value;
    return b;
}

static enum dz_code memory_get(void *self, const struct dz_sha256 *sha, uint64_t bytes_max,
                               struct dz_body **ret_body, struct dz_err *err)
{
    struct memory *m = self;
    struct dz_body *body = NULL;
    pthread_mutex_lock(&m->lock);
    struct blob *b = find(m, sha);
    if (b)
        body = dz_body_ref(b->body);
    pthread_mutex_unlock(&m->lock);
    return body ? give(body, bytes_max, ret_body, err) : not_found(sha, err);
}

static enum dz_code memory_stat(void *self, const struct dz_sha256 *sha,
                                struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    struct memory *m = self;
    pthread_mutex_lock(&m->lock);
    struct blob *b = find(m, sha);
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

/* ---- batches and named objects --------------------------------------------------------------- */

static enum dz_code memory_write_begin(void *self, void **ret_write, struct dz_err *err)
{
    (void)self, (void)err;
    struct dz_buf *bytes = dz_new(struct dz_buf);
    dz_buf_init(bytes, DZ_STORE_BLOB_MAX);
    *ret_write = bytes;
    return DZ_OK;
}

static enum dz_code memory_write_add(void *write, dz_str bytes, struct dz_err *err)
{
    (void)err; /* the wrapper keeps the limit */
    dz_buf_put(write, bytes);
    return DZ_OK;
}

static void memory_write_drop(void *write)
{
    dz_buf_done(write);
    free(write);
}

static enum dz_code memory_batch_begin(void *self, void **ret_batch, struct dz_err *err)
{
    (void)err;
    struct batch *b = dz_new(struct batch);
    b->m = self;
    dz_map_init(&b->named);
    *ret_batch = b;
    return DZ_OK;
}

static void memory_batch_drop(void *batch)
{
    map_free(&((struct batch *)batch)->named);
    free(batch);
}

static enum dz_code memory_batch_put(void *batch, const struct dz_blob_stat *known,
                                     dz_store_read_fn *read, void *arg,
                                     struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    return memory_put(((struct batch *)batch)->m, known, read, arg, ret_stat, err);
}

static enum dz_code memory_batch_take(void *batch, void *take_write, struct dz_blob_stat *ret_stat,
                                      struct dz_err *err)
{
    struct batch *b = batch;
    enum dz_code code = put_bytes(b->m, dz_buf_str(take_write), ret_stat, err);
    memory_write_drop(take_write);
    return code;
}

static enum dz_code memory_batch_take_named(void *batch, void *write, dz_str name, dz_str mime,
                                            struct dz_blob_stat *ret_stat, bool *ret_new,
                                            struct dz_err *err)
{
    struct batch *b = batch;
    pthread_mutex_lock(&b->m->lock);
    bool taken = dz_map_get(&b->m->named, name) || dz_map_get(&b->named, name);
    pthread_mutex_unlock(&b->m->lock);
    *ret_new = !taken;
    if (taken)
        return DZ_OK;
    struct blob *object = NULL;
    enum dz_code code = blob_new(dz_buf_str(write), &object, err);
    memory_write_drop(write);
    if (code != DZ_OK)
        return code;
    object->name = dz_str_dup(name);
    object->mime = mime.p ? dz_str_dup(mime) : NULL;
    (void)dz_map_set(&b->named, dz_str_of(object->name), object);
    *ret_stat = object->stat;
    return DZ_OK;
}

static enum dz_code memory_batch_commit(void *batch, struct dz_err *err)
{
    struct batch *b = batch;
    size_t at = 0;
    dz_str name;
    void *value;
    enum dz_code code = DZ_OK;
    pthread_mutex_lock(&b->m->lock);
    while (code == DZ_OK && dz_map_next(&b->named, &at, &name, &value))
        if (dz_map_get(&b->m->named, name))
            code = dz_fail(err, DZ_CONFLICT, "somebody else took the name of an object");
    at = 0;
    while (code == DZ_OK && dz_map_next(&b->named, &at, &name, &value))
        (void)dz_map_set(&b->m->named, name, value);
    pthread_mutex_unlock(&b->m->lock);
    if (code == DZ_OK)
        dz_map_done(&b->named);
    else
        map_free(&b->named);
    dz_map_init(&b->named);
    return code;
}

static enum dz_code memory_named_get(void *self, dz_str name, uint64_t bytes_max,
                                     struct dz_arena *arena, struct dz_store_named *ret_named,
                                     struct dz_body **ret_body, struct dz_err *err)
{
    struct memory *m = self;
    struct dz_body *body = NULL;
    struct dz_store_named facts = {.measured = true};
    pthread_mutex_lock(&m->lock);
    struct blob *b = dz_map_get(&m->named, name);
    if (b) {
        body = dz_body_ref(b->body);
        facts.stat = b->stat;
        facts.name = dz_arena_str(arena, name);
        if (b->mime)
            facts.mime = dz_str_of(dz_arena_dup(arena, dz_str_of(b->mime)));
    }
    pthread_mutex_unlock(&m->lock);
    if (!body)
        return dz_fail(err, DZ_NOT_FOUND, "no object of this name");
    if (ret_body)
        DZ_TRY(give(body, bytes_max, ret_body, err));
    else
        dz_body_unref(&body);
    *ret_named = facts;
    return DZ_OK;
}

static enum dz_code memory_named_del(void *self, dz_str name, bool *ret_was, struct dz_err *err)
{
    (void)err;
    struct memory *m = self;
    pthread_mutex_lock(&m->lock);
    struct blob *b = dz_map_del(&m->named, name);
    pthread_mutex_unlock(&m->lock);
    *ret_was = b != NULL;
    blob_free(b);
    return DZ_OK;
}

static enum dz_code memory_named_list(void *self, dz_store_named_fn *fn, void *arg,
                                      struct dz_err *err)
{
    struct memory *m = self;
    DZ_AUTO(dz_arena_free) struct dz_arena *arena = dz_arena_new(DZ_GIB);
    pthread_mutex_lock(&m->lock);
    struct dz_store_named *all = dz_arena_alloc(arena, (m->named.count + 1) * sizeof *all);
    size_t count = 0, at = 0;
    dz_str name;
    void *value;
    while (dz_map_next(&m->named, &at, &name, &value)) {
        const struct blob *b = value;
        all[count] = (struct dz_store_named){
            .name = dz_arena_str(arena, name), .measured = true, .stat = b->stat};
        if (b->mime)
            all[count].mime = dz_str_of(dz_arena_dup(arena, dz_str_of(b->mime)));
        count++;
    }
    pthread_mutex_unlock(&m->lock);
    for (size_t i = 0; i < count; i++)
        DZ_TRY(fn(arg, &all[i], err));
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
    .batch_begin = memory_batch_begin,
    .batch_put = memory_batch_put,
    .batch_commit = memory_batch_commit,
    .batch_drop = memory_batch_drop,
    .write_begin = memory_write_begin,
    .write_add = memory_write_add,
    .batch_take = memory_batch_take,
    .write_drop = memory_write_drop,
    .batch_take_named = memory_batch_take_named,
    .named_get = memory_named_get,
    .named_del = memory_named_del,
    .named_list = memory_named_list,
};
