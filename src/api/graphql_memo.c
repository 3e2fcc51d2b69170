/*
 * graphql_memo: documents and persisted texts that were used lately, found by their text.
 *
 * Two maps. What is found in the older one moves to the younger; when the younger holds half of
 * what is allowed, the older is forgotten and the younger takes its place. So a client that sends
 * ever new documents pushes out what nobody uses, and what is used stays. Any thread: a lock around
 * map operations, and around nothing that takes long but the forgetting.
 */
#include "api/graphql_int.h"

#include <stdlib.h>

struct entry {
    void *value;
    size_t bytes, key_n;
    char key[];
};

struct graph_memo {
    pthread_mutex_t lock;
    struct dz_map young, old;
    size_t young_bytes, max_bytes;
    void *(*ref)(void *v);
    void (*unref)(void *v);
};

struct graph_memo *graph_memo_new(size_t max_bytes, void *(*ref)(void *v), void (*unref)(void *v))
{
    struct graph_memo *m = dz_new(struct graph_memo);
    pthread_mutex_init(&m->lock, NULL);
    dz_map_init(&m->young);
    dz_map_init(&m->old);
    m->max_bytes = max_bytes;
    m->ref = ref;
    m->unref = unref;
    return m;
}

static void forget(struct graph_memo *m, struct dz_map *map)
{
    size_t at = 0;
    void *v;
    while (dz_map_next(map, &at, NULL, &v)) {
        struct entry *e = v;
        m->unref(e->value);
        free(e);
    }
    dz_map_done(map);
}

void graph_memo_free(struct graph_memo **pm)
{
    struct graph_memo *m = dz_take(pm);
    if (!m)
        return;
    forget(m, &m->young);
    forget(m, &m->old);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* The lock is held. */
static void add(struct graph_memo *m, struct entry *e)
{
    (void)dz_map_set(&m->young, (dz_str){e->key, e->key_n}, e);
    m->young_bytes += e->bytes;
    if (m->young_bytes <= m->max_bytes / 2)
        return;
    forget(m, &m->old);
    m->old = m->young;
    dz_map_init(&m->young);
    m->young_bytes = 0;
}

void *graph_memo_get(struct graph_memo *m, dz_str key)
{
    pthread_mutex_lock(&m->lock);
    struct entry *e = dz_map_get(&m->young, key);
    void *value = NULL;
    if (!e && (e = dz_map_del(&m->old, key))) {
        value = m->ref(e->value);
        add(m, e);
    } else if (e) {
        value = m->ref(e->value);
    }
    pthread_mutex_unlock(&m->lock);
    return value;
}

void graph_memo_put(struct graph_memo *m, dz_str key, void *value, size_t bytes)
{
    bytes += sizeof(struct entry) + key.n;
    if (bytes > m->max_bytes / 8)
        return;
    struct entry *e = dz_alloc(sizeof(*e) + key.n);
    e->bytes = bytes;
    e->key_n = key.n;
    if (key.n > 0)
        memcpy(e->key, key.p, key.n);
    pthread_mutex_lock(&m->lock);
    /* Another thread was quicker, or nobody knows it yet. */
    if (dz_map_get(&m->young, key) || dz_map_get(&m->old, key)) {
        free(e);
    } else {
        e->value = m->ref(value);
        add(m, e);
    }
    pthread_mutex_unlock(&m->lock);
}
