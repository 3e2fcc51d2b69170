/*
 * cache: bytes inside a budget. Keys are short byte strings, values are immutable counted bodies
 * (struct dz_body).
 *
 * Losing an entry at any time is correct; holding more than the budget is not. The memory driver is
 * split into shards with one lock each and evicts scan-resistantly (S3-FIFO: small queue, main
 * queue, ghost of keys), so that one walk over a whole archive does not push out what readers ask
 * for. A body that was pushed out lives on, outside the budget, while somebody holds it. Any
 * thread.
 */
#pragma once

#include "base/base.h"

#define DZ_CACHE_KEY_MAX 64 /* and at least 1 */

struct dz_cache;

struct dz_cache_options {
    uint64_t max_bytes;   /* 0: nothing is kept; counts bodies and the cost of an entry */
    uint64_t max_entries; /* UINT64_MAX: no limit */
    int64_t ttl_ms;       /* 0: none */
};

/* As dz_cache_stats() last found them; bytes and entries are what is held, the others count from
 * open on. */
struct dz_cache_stats {
    atomic_uint_fast64_t hits, misses, inserts, evictions, errors, bytes, entries;
};

/* A driver: contracts as below. */
struct dz_cache_driver {
    const char *name;
    enum dz_code (*open)(const char *uri, const struct dz_cache_options *o, void **ret_self,
                         struct dz_err *err);
    void (*close)(void *self);
    bool (*get)(void *self, dz_str key, struct dz_body **ret_body);
    void (*put)(void *self, dz_str key, struct dz_body *body);
    void (*del)(void *self, dz_str key);
    void (*stats)(void *self, struct dz_cache_stats *stats); /* fills in what it has counted */
};
extern const struct dz_cache_driver dz_cache_memory;

DZ_MUST enum dz_code dz_cache_open(const char *driver, const char *uri,
                                   const struct dz_cache_options *o, struct dz_cache **ret_c,
                                   struct dz_err *err);
void dz_cache_close(struct dz_cache **c);
/* True on a hit: *ret_body has one more reference, which the caller drops. Never blocks for long
 * (memory). */
bool dz_cache_get(struct dz_cache *c, dz_str key, struct dz_body **ret_body);
/* Borrows body and takes its own reference when it keeps it. One that is larger than 1/8 of a shard
 * is not kept. */
void dz_cache_put(struct dz_cache *c, dz_str key, struct dz_body *body);
void dz_cache_del(struct dz_cache *c, dz_str key);
/* Brings the counters up to date (one short lock a shard) and returns them; they stay as they are
 * until the next call. */
struct dz_cache_stats *dz_cache_stats(struct dz_cache *c);
