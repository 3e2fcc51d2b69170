/*
 * memory: the cache in this process, split into shards with a lock each, evicting by S3-FIFO.
 *
 * S3-FIFO (Yang and others, SOSP 2023): a new entry goes into the small queue, a tenth of the
 * budget. At its end, one that was asked for again meanwhile moves to the main queue, the others
 * leave and only a mark of their key stays (the ghosts). One that comes back while its ghost is
 * there goes straight to the main queue, where entries that are asked for go round again. A hit
 * changes nothing but a count of 0 to 3, so it needs no list work: hash, lock, chain, count,
 * reference, unlock. What leaves is collected in a list and freed after the lock is given back.
 *
 * The budget counts body, key and ENTRY_COST. The tables only grow, to one bucket and one ghost for
 * each entry that a shard ever held at once. Any thread; entries belong to their shard's lock,
 * bodies are shared and immutable.
 */
#include "cache/cache.h"

#include <pthread.h>
#include <stdlib.h>

#define SHARDS_MAX 16
#define SHARD_BYTES_MIN (8 * DZ_MIB)
#define SHARD_ENTRIES_MIN 512
#define BUCKETS_MIN ((size_t)64)
#define BUCKETS_MAX ((size_t)1 << 26)
#define GHOST_WAYS 4
#define FREQ_MAX 3
#define FREQ_MOVES 2 /* hits in the small queue that earn a place in the main queue */

enum queue_id { SMALL, MAIN };

struct entry {
    struct entry *chain; /* next in its bucket; next victim once it has left */
    struct entry *newer, *older;
    struct dz_body *body;
    uint64_t hash;
    int64_t put_ms; /* 0 without ttl */
    uint8_t queue, freq, key_n;
    char key[];
};

/* Entry, body and two heap heads, and its share of tables that may be twice as large as needed. */
#define ENTRY_COST (sizeof(struct entry) + sizeof(struct dz_body) + 32 + 2 * (8 + 8))

struct queue {
    struct entry *newest, *oldest;
    uint64_t bytes, count;
};

/* A key that left the small queue; mark 0 is none. */
struct ghost {
    uint32_t mark, stamp;
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct entry **buckets;
    struct ghost *ghosts; /* as many as buckets, in sets of GHOST_WAYS */
    size_t bucket_count;  /* a power of two */
    uint32_t ghost_clock; /* ghosts ever made */
    struct queue queues[2];
    uint64_t bytes_max, entries_max;
    uint64_t hits, misses, inserts, evictions;
};

struct memory {
    int64_t ttl_ms;
    unsigned shard_count; /* a power of two */
    struct shard *shards;
};

/* ---- ghosts ---------------------------------------------------------------------------------- */

/* Buckets use the low bits of the hash, shards bits 60 and up, the mark those between. */
static uint32_t mark_of(uint64_t hash)
{
    return (uint32_t)(hash >> 28) | 1;
}

static struct ghost *ghost_set(struct shard *s, uint64_t hash)
{
    return &s->ghosts[hash & (s->bucket_count - 1) & ~(uint64_t)(GHOST_WAYS - 1)];
}

/* A ghost counts for as many later ones as there are entries. */
static bool ghost_lives(const struct shard *s, const struct ghost *g)
{
    return g->mark != 0 &&
           s->ghost_clock - g->stamp < s->queues[SMALL].count + s->queues[MAIN].count;
}

static void ghost_add(struct shard *s, uint64_t hash)
{
    struct ghost *set = ghost_set(s, hash), *slot = &set[0];
    for (int i = 0; i < GHOST_WAYS; i++) {
        if (set[i].mark == 0 || set[i].mark == mark_of(hash)) {
            slot = &set[i];
            break;
        }
        if (s->ghost_clock - set[i].stamp > s->ghost_clock - slot->stamp)
            slot = &set[i];
    }
    *slot = (struct ghost){mark_of(hash), s->ghost_clock++};
}

static bool ghost_take(struct shard *s, uint64_t hash)
{
    struct ghost *set = ghost_set(s, hash);
    for (int i = 0; i < GHOST_WAYS; i++) {
        if (set[i].mark == mark_of(hash)) {
            bool lived = ghost_lives(s, &set[i]);
            set[i].mark = 0;
            return lived;
        }
    }
    return false;
}

/* ---- one shard, under its lock --------------------------------------------------------------- */

static uint64_t cost_of(size_t key_n, const struct dz_body *body)
{
    return ENTRY_COST + key_n + body->n;
}

static uint64_t bytes_held(const struct shard *s)
{
    return s->queues[SMALL].bytes + s->queues[MAIN].bytes;
}

static uint64_t entries_held(const struct shard *s)
{
    return s->queues[SMALL].count + s->queues[MAIN].count;
}

static void enqueue(struct shard *s, struct entry *e, enum queue_id id)
{
    struct queue *q = &s->queues[id];
    e->queue = (uint8_t)id;
    e->newer = NULL;
    e->older = q->newest;
    if (q->newest)
        q->newest->newer = e;
    else
        q->oldest = e;
    q->newest = e;
    q->bytes += cost_of(e->key_n, e->body);
    q->count++;
}

static void dequeue(struct shard *s, struct entry *e)
{
    struct queue *q = &s->queues[e->queue];
    *(e->newer ? &e->newer->older : &q->newest) = e->older;
    *(e->older ? &e->older->newer : &q->oldest) = e->newer;
    q->bytes -= cost_of(e->key_n, e->body);
    q->count--;
}

/* Where the pointer to the entry is kept; to NULL when there is none. */
static struct entry **find(struct shard *s, uint64_t hash, dz_str key)
{
    struct entry **at = &s->buckets[hash & (s->bucket_count - 1)];
    while (*at && !((*at)->hash == hash && dz_str_eq((dz_str){(*at)->key, (*at)->key_n}, key)))
        at = &(*at)->chain;
    return at;
}

/* Out of its bucket and queue, onto the list of victims. */
static void leave(struct shard *s, struct entry **at, struct entry **victims)
{
    struct entry *e = *at;
    *at = e->chain;
    dequeue(s, e);
    e->chain = *victims;
    *victims = e;
}

static void evict(struct shard *s, struct entry *e, struct entry **victims)
{
    struct entry **at = &s->buckets[e->hash & (s->bucket_count - 1)];
    while (*at != e)
        at = &(*at)->chain;
    if (e->queue == SMALL)
        ghost_add(s, e->hash);
    leave(s, at, victims);
    s->evictions++;
}

/* One step: an entry leaves, or moves on in the queues with its count lowered, so that a row of
 * steps ends. */
static void evict_step(struct shard *s, struct entry **victims)
{
    struct queue *small = &s->queues[SMALL], *main_queue = &s->queues[MAIN];
    bool small_full = small->bytes > s->bytes_max / 10 || small->count > s->entries_max / 10;
    struct entry *e =
        small->oldest && (small_full || !main_queue->oldest) ? small->oldest : main_queue->oldest;
    if (e->queue == SMALL && e->freq >= FREQ_MOVES) {
        dequeue(s, e);
        e->freq = 0;
        enqueue(s, e, MAIN);
    } else if (e->queue == MAIN && e->freq > 0) {
        dequeue(s, e);
        e->freq--;
        enqueue(s, e, MAIN);
    } else {
        evict(s, e, victims);
    }
}

static void make_room(struct shard *s, uint64_t bytes, uint64_t entries, struct entry **victims)
{
    while (bytes_held(s) + bytes > s->bytes_max || entries_held(s) + entries > s->entries_max)
        evict_step(s, victims);
}

/* Twice as many buckets and ghosts; the old ghosts are forgotten. Without memory it goes on with
 * longer chains. */
static void grow(struct shard *s)
{
    size_t count = s->bucket_count * 2;
    if (count > BUCKETS_MAX)
        return;
    struct entry **buckets = calloc(count, sizeof(struct entry *));
    struct ghost *ghosts = calloc(count, sizeof(struct ghost));
    if (!buckets || !ghosts) {
        free(buckets);
        free(ghosts);
        return;
    }
    for (size_t i = 0; i < s->bucket_count; i++) {
        for (struct entry *e = s->buckets[i], *next; e; e = next) {
            next = e->chain;
            struct entry **at = &buckets[e->hash & (count - 1)];
            e->chain = *at;
            *at = e;
        }
    }
    free(s->buckets);
    free(s->ghosts);
    s->buckets = buckets;
    s->ghosts = ghosts;
    s->bucket_count = count;
}

/* ---- the driver ------------------------------------------------------------------------------ */

static void free_victims(struct entry *victims)
{
    while (victims) {
        struct entry *e = victims;
        victims = e->chain;
        dz_body_unref(&e->body);
        free(e);
    }
}

/* As many shards as keep each large enough to hold large bodies and to have a hit rate. */
static unsigned shards_for(const struct dz_cache_options *o)
{
    unsigned n = 1;
    while (n < SHARDS_MAX && o->max_bytes / (n * 2) >= SHARD_BYTES_MIN &&
           o->max_entries / (n * 2) >= SHARD_ENTRIES_MIN)
        n *= 2;
    return n;
}

static enum dz_code memory_open(const char *uri, const struct dz_cache_options *o, void **ret_self,
                                struct dz_err *err)
{
    (void)uri;
    struct memory *m = dz_new(struct memory);
    m->ttl_ms = o->ttl_ms;
    m->shard_count = shards_for(o);
    m->shards = aligned_alloc(_Alignof(struct shard), m->shard_count * sizeof(struct shard));
    if (!m->shards) {
        free(m);
        return dz_fail(err, DZ_FULL, "no memory for the shards");
    }
    memset(m->shards, 0, m->shard_count * sizeof(struct shard));
    for (unsigned i = 0; i < m->shard_count; i++) {
        struct shard *s = &m->shards[i];
        pthread_mutex_init(&s->lock, NULL);
        s->bytes_max = o->max_bytes / m->shard_count;
        s->entries_max =
            o->max_entries == UINT64_MAX ? UINT64_MAX : o->max_entries / m->shard_count;
        s->bucket_count = BUCKETS_MIN;
        s->buckets = dz_zalloc(BUCKETS_MIN * sizeof(struct entry *));
        s->ghosts = dz_zalloc(BUCKETS_MIN * sizeof(struct ghost));
    }
    *ret_self = m;
    return DZ_OK;
}

static void memory_close(void *self)
{
    struct memory *m = self;
    for (unsigned i = 0; i < m->shard_count; i++) {
        struct shard *s = &m->shards[i];
        struct entry *victims = NULL;
        for (int id = SMALL; id <= MAIN; id++)
            while (s->queues[id].oldest)
                evict(s, s->queues[id].oldest, &victims);
        free_victims(victims);
        free(s->buckets);
        free(s->ghosts);
        pthread_mutex_destroy(&s->lock);
    }
    free(m->shards);
    free(m);
}

static struct shard *shard_of(struct memory *m, uint64_t hash)
{
    return &m->shards[(hash >> 60) & (m->shard_count - 1)];
}

/* A clock that was set back makes an entry old too: better lost than kept for ever. */
static bool is_stale(const struct memory *m, const struct entry *e)
{
    if (m->ttl_ms == 0)
        return false;
    int64_t age_ms = dz_now_ms() - e->put_ms;
    return age_ms < 0 || age_ms >= m->ttl_ms;
}

static bool memory_get(void *self, dz_str key, struct dz_body **ret_body)
{
    struct memory *m = self;
    uint64_t hash = dz_hash(key);
    struct shard *s = shard_of(m, hash);
    struct entry *victims = NULL;
    struct dz_body *body = NULL;
    pthread_mutex_lock(&s->lock);
    struct entry **at = find(s, hash, key), *e = *at;
    if (e && is_stale(m, e)) {
        leave(s, at, &victims);
    } else if (e) {
        if (e->freq < FREQ_MAX)
            e->freq++;
        body = dz_body_ref(e->body);
    }
    s->hits += body != NULL;
    s->misses += body == NULL;
    pthread_mutex_unlock(&s->lock);
    free_victims(victims);
    if (!body)
        return false;
    *ret_body = body;
    return true;
}

static void memory_del(void *self, dz_str key)
{
    struct memory *m = self;
    uint64_t hash = dz_hash(key);
    struct shard *s = shard_of(m, hash);
    struct entry *victims = NULL;
    pthread_mutex_lock(&s->lock);
    struct entry **at = find(s, hash, key);
    if (*at)
        leave(s, at, &victims);
    pthread_mutex_unlock(&s->lock);
    free_victims(victims);
}

static void memory_put(void *self, dz_str key, struct dz_body *body)
{
    struct memory *m = self;
    uint64_t hash = dz_hash(key);
    struct shard *s = shard_of(m, hash);
    uint64_t cost = cost_of(key.n, body);
    if (cost > s->bytes_max / 8 || s->entries_max == 0) {
        memory_del(m, key); /* what it would have replaced is out of date */
        return;
    }
    struct entry *e = dz_alloc(sizeof(struct entry) + key.n);
    *e = (struct entry){.body = dz_body_ref(body), .hash = hash, .key_n = (uint8_t)key.n};
    e->put_ms = m->ttl_ms ? dz_now_ms() : 0;
    memcpy(e->key, key.p, key.n);

    struct entry *victims = NULL;
    pthread_mutex_lock(&s->lock);
    struct entry **at = find(s, hash, key);
    enum queue_id id = SMALL;
    if (*at) { /* the newcomer takes over the place of the old one */
        id = (*at)->queue;
        e->freq = (*at)->freq;
        leave(s, at, &victims);
    } else if (ghost_take(s, hash)) {
        id = MAIN;
    }
    make_room(s, cost, 1, &victims);
    if (entries_held(s) >= s->bucket_count)
        grow(s);
    at = &s->buckets[hash & (s->bucket_count - 1)];
    e->chain = *at;
    *at = e;
    enqueue(s, e, id);
    s->inserts++;
    pthread_mutex_unlock(&s->lock);
    free_victims(victims);
}

static void memory_stats(void *self, struct dz_cache_stats *stats)
{
    struct memory *m = self;
    uint64_t hits = 0, misses = 0, inserts = 0, evictions = 0, bytes = 0, entries = 0;
    for (unsigned i = 0; i < m->shard_count; i++) {
        struct shard *s = &m->shards[i];
        pthread_mutex_lock(&s->lock);
        hits += s->hits;
        misses += s->misses;
        inserts += s->inserts;
        evictions += s->evictions;
        bytes += bytes_held(s);
        entries += entries_held(s);
        pthread_mutex_unlock(&s->lock);
    }
    atomic_store_explicit(&stats->hits, hits, memory_order_relaxed);
    atomic_store_explicit(&stats->misses, misses, memory_order_relaxed);
    atomic_store_explicit(&stats->inserts, inserts, memory_order_relaxed);
    atomic_store_explicit(&stats->evictions, evictions, memory_order_relaxed);
    atomic_store_explicit(&stats->bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&stats->entries, entries, memory_order_relaxed);
}

const struct dz_cache_driver dz_cache_memory = {
    .name = "memory",
    .open = memory_open,
    .close = memory_close,
    .get = memory_get,
    .put = memory_put,
    .del = memory_del,
    .stats = memory_stats,
};
