/*
 * keep_store: pages on their way into the library: blobs in the store, and a part in the catalog
 * for each, so that no repair takes the blobs for garbage and the next attempt finds them.
 *
 * In: bytes of pages. Out: digests; synced in batches, the store's before the catalog's. Workers;
 * the store's batch is used by one at a time.
 */
#include <pthread.h>
#include <stdlib.h>

#include "crawl/keep_int.h"

struct keep_store {
    struct crawl_keeper base;
    const struct crawl_env *env;
    char *source, *chapter;
    pthread_mutex_t lock;
    struct dz_store_batch *batch;
};

static struct keep_store *of(struct crawl_keeper *k)
{
    return dz_container(k, struct keep_store, base);
}

static enum dz_code recall(struct crawl_keeper *k, struct dz_arena *a, struct crawl_kept **ret_v,
                           size_t *ret_n, struct dz_err *err)
{
    struct keep_store *s = of(k);
    struct dz_part_rec *parts = NULL;
    size_t n = 0, kept = 0;
    DZ_TRY(dz_catalog_parts(s->env->catalog, dz_str_of(s->source), dz_str_of(s->chapter), a, &parts,
                            &n, err));
    struct crawl_kept *v = dz_arena_alloc(a, (n ? n : 1) * sizeof(*v));
    for (size_t i = 0; i < n; i++) {
        struct dz_blob_stat stat;
        const struct dz_part_rec *p = &parts[i];
        bool blank = p->blob.bytes == 0;
        /* A part whose bytes are gone is fetched again. */
        if (!blank && dz_store_stat(s->env->store, &p->blob.sha, &stat, NULL) != DZ_OK)
            continue;
        v[kept++] = (struct crawl_kept){
            .at = p->at, .url = p->url, .mtime_s = p->mtime_s, .dropped = blank, .blob = p->blob};
    }
    if (!s->batch)
        DZ_TRY(dz_store_batch_begin(s->env->store, &s->batch, err));
    *ret_v = v;
    *ret_n = kept;
    return DZ_OK;
}

static enum dz_code put(struct crawl_keeper *k, struct crawl_kept *page, dz_str bytes,
                        struct dz_err *err)
{
    struct keep_store *s = of(k);
    struct dz_blob_stat stat;
    pthread_mutex_lock(&s->lock);
    enum dz_code code = dz_store_batch_put_bytes(s->batch, bytes, &stat, err);
    pthread_mutex_unlock(&s->lock);
    DZ_TRY(code);
    page->blob.sha = stat.sha;
    page->blob.bytes = stat.bytes;
    return DZ_OK;
}

static enum dz_code sync_pages(struct crawl_keeper *k, const struct crawl_kept *v, size_t n,
                               struct dz_err *err)
{
    struct keep_store *s = of(k);
    pthread_mutex_lock(&s->lock);
    enum dz_code code = dz_store_batch_commit(s->batch, err);
    pthread_mutex_unlock(&s->lock);
    DZ_TRY(code);
    if (s->env->lock)
        DZ_TRY(dz_catalog_lock_check(s->env->lock, err));
    struct dz_part_rec *parts = dz_alloc((n ? n : 1) * sizeof(*parts));
    for (size_t i = 0; i < n; i++)
        parts[i] = (struct dz_part_rec){v[i].at, v[i].url, v[i].mtime_s, v[i].blob};
    code = dz_catalog_part_put(s->env->catalog, dz_str_of(s->source), dz_str_of(s->chapter), parts,
                               n, err);
    free(parts);
    return code;
}

static void free_keeper(struct crawl_keeper *k)
{
    struct keep_store *s = of(k);
    dz_store_batch_free(&s->batch);
    pthread_mutex_destroy(&s->lock);
    free(s->source);
    free(s->chapter);
    free(s);
}

static const struct crawl_keeper_type type = {
    .name = "store",
    .recall = recall,
    .put = put,
    .sync = sync_pages,
    .free = free_keeper,
};

struct crawl_keeper *crawl_keep_store(const struct crawl_env *env, dz_str source, dz_str chapter)
{
    struct keep_store *s = dz_new(struct keep_store);
    s->base.type = &type;
    s->env = env;
    s->source = dz_str_dup(source);
    s->chapter = dz_str_dup(chapter);
    pthread_mutex_init(&s->lock, NULL);
    return &s->base;
}
