/*
 * cache: what may be lost: bytes inside a budget, bytes that several servers share in a Redis, and
 * counts of requests (rate limits).
 *
 * Bytes: keys are short byte strings, values are immutable counted bodies
 * (struct dz_body).
 *
 * Losing an entry at any time is correct; holding more than the budget is not. The memory driver is
 * split into shards with one lock each and evicts scan-resistantly (S3-FIFO: small queue, main
 * queue, ghost of keys), so that one walk over a whole archive does not push out what readers ask
 * for. A body that was pushed out lives on, outside the budget, while somebody holds it. Any
 * thread.
 */
#pragma once

#include "conf/conf.h"
#include "loop/loop.h"

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

/* ---- rate limits ------------------------------------------------------------------------------
 */

/* Counts requests of clients under rules, in this process or in a Redis that several servers share.
 * All limits of a rule are one step: a request counts for all of them or, when one is used up, for
 * none. In this process: a table of fixed size, the count that ends first makes room. In Redis: one
 * script, one round trip, on a connection of each loop. When Redis does not answer in time it
 * counts as lost: this process counts alone, from nothing, and the connection is made anew with
 * back-off until it works. Nothing here blocks. */
struct dz_limiter;

struct dz_limiter_options {
    const char *uri;      /* memory:// or one of dz_redis_parse() */
    struct dz_pool *pool; /* finds addresses of host names; not for memory:// */
    int64_t timeout_ms;   /* for an answer of Redis */
    size_t keys_max;      /* clients times rules in this process; 0: 65536 */
    /* Redis was lost, for this reason, or is back ("" then). On a loop's thread, once for all of
     * them. */
    void (*say)(void *arg, bool lost, const char *why);
    void *arg;
};
DZ_MUST enum dz_code dz_limiter_open(const struct dz_limiter_options *o, struct dz_limiter **ret_l,
                                     struct dz_err *err);
void dz_limiter_close(struct dz_limiter **l); /* after the end of all its loops */

/* What a loop counts with; begin and end on the loop's thread. What is still open is answered at
 * the end. */
struct dz_limiter_loop;
struct dz_limiter_loop *dz_limiter_begin(struct dz_limiter *l, struct dz_loop *loop);
void dz_limiter_end(struct dz_limiter_loop **ll);

struct dz_limit_ask {
    const struct dz_limit_rule *rule;
    unsigned char who[16]; /* the client */
};
struct dz_limit_verdict {
    bool allowed;
    /* The limit that is the nearest to its end; of a refusal the one that takes longest. */
    const struct dz_limit *limit;
    uint64_t remaining;
    int64_t reset_ms; /* until there is more again */
};
/* Counts a request. True: *ret_verdict says what is to be done. False: fn gets it later, exactly
 * once, on this loop's thread; until then what `ask` points to must stay. */
typedef void dz_limit_fn(void *arg, const struct dz_limit_verdict *v);
DZ_MUST bool dz_limiter_take(struct dz_limiter_loop *ll, const struct dz_limit_ask *ask,
                             dz_limit_fn *fn, void *arg, struct dz_limit_verdict *ret_verdict);

struct dz_limiter_stats {
    uint64_t allowed, refused;
    uint64_t alone;    /* of both: counted here because Redis was lost */
    uint64_t losses;   /* how often that happened */
    bool shared, lost; /* shared: in Redis */
};
void dz_limiter_stats(struct dz_limiter *l, struct dz_limiter_stats *ret_stats); /* any thread */

/* ---- what several servers share ---------------------------------------------------------------
 */

/* Bytes of uploads and of blobs of a store that is far away, in a Redis: behind the cache above and
 * in front of the store. The keys are those of imoog: NAME holds the bytes and NAME__mime__ the
 * type; a blob has the 64 hex digits of its digest as its name, and no type. Losing a value at any
 * time is correct here too, and what it has is never the proof that a name exists: whoever asks
 * knows that from a catalog or a store.
 *
 * Calls block (never longer than timeout_ms for an answer): workers only, any number of them. While
 * Redis is away every call comes back at once as a miss, a thread of its own tries to connect with
 * back-off, and names that are deleted meanwhile are kept (the last ones, up to a bound) and
 * deleted there first when it is back. */
struct dz_shared_cache;

#define DZ_SHARED_VALUE_MAX (8 * DZ_MIB) /* larger bytes are neither put nor taken */
#define DZ_SHARED_NAME_MAX 256           /* a longer name is a miss; and at least 1 */

struct dz_shared_cache_options {
    const char *uri;      /* one of dz_redis_parse() */
    int64_t ttl_ms;       /* 0: none */
    int64_t timeout_ms;   /* to connect, and for each answer; 0: 500 */
    unsigned connections; /* at most; 0: 8. A call that finds them all in use is a miss */
    /* Redis was lost, for this reason, or is back ("" then). On any thread, one at a time. */
    void (*say)(void *arg, bool lost, const char *why);
    void *arg;
};
/* DZ_BAD_INPUT: the uri. A Redis that is not there is none: it waits for it, timeout_ms at most. */
DZ_MUST enum dz_code dz_shared_cache_open(const struct dz_shared_cache_options *o,
                                          struct dz_shared_cache **ret_c, struct dz_err *err);
void dz_shared_cache_close(struct dz_shared_cache **c); /* after all calls */
/* True on a hit: *ret_body has one reference, which the caller drops. *ret_mime (may be NULL) lies
 * in the arena; p is NULL when Redis does not know the type, which may be lost alone. */
DZ_MUST bool dz_shared_cache_get(struct dz_shared_cache *c, dz_str name, struct dz_arena *arena,
                                 struct dz_body **ret_body, dz_str *ret_mime);
/* mime.p NULL: none is written. Not kept when the name was deleted within the last minute, so that
 * a reader who is late brings nothing back, nor when bytes are over DZ_SHARED_VALUE_MAX. */
void dz_shared_cache_put(struct dz_shared_cache *c, dz_str name, dz_str bytes, dz_str mime);
struct dz_shared_put {
    dz_str name, bytes, mime;
};
/* The same of many, some at a time in one write. */
void dz_shared_cache_put_all(struct dz_shared_cache *c, const struct dz_shared_put *v, size_t n);
void dz_shared_cache_del(struct dz_shared_cache *c, const dz_str *names, size_t n);

struct dz_shared_cache_stats {
    uint64_t hits, misses, puts, dels; /* what Redis was asked and answered */
    uint64_t skipped; /* calls that did not ask it: it was lost, or all were busy */
    uint64_t losses;
    bool lost;
};
void dz_shared_cache_stats(struct dz_shared_cache *c, struct dz_shared_cache_stats *ret_stats);
