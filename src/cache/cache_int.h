/*
 * cache_int: what the files of rate limits share: counts.c keeps them in this process, redis.c is a
 * connection to Redis, limit.c decides between the two; shared.c asks redis.c for addresses.
 */
#pragma once

#include "cache/cache.h"

/* ---- counts in this process (counts.c) ------------------------------------------------------- */

struct counts;
struct counts *counts_new(size_t keys_max);
void counts_free(struct counts **c);
/* One request; now_ms never goes far back. Any thread. */
void counts_take(struct counts *c, const struct dz_limit_ask *ask, int64_t now_ms,
                 struct dz_limit_verdict *ret_verdict);
size_t counts_keys(struct counts *c); /* how many are held, ended ones included; for tests */

/* Of a limit: how much of it is used, this request included when it was allowed, and how long until
 * some of that comes back. */
struct limit_use {
    uint64_t used;
    int64_t reset_ms;
};
void limit_decide(const struct dz_limits *limits, const struct limit_use *uses, bool allowed,
                  struct dz_limit_verdict *ret_verdict);

/* A moving window is kept as counts of slots: of single milliseconds up to this many requests a
 * window, else so many slots a window. A slot leaves when the youngest request that it may hold is
 * as old as the window, so there is never more than the limit in any stretch of it. */
#define LIMIT_SLOTS 32
int64_t limit_slot_ms(const struct dz_limit *l);

/* ---- a connection to Redis (redis.c) --------------------------------------------------------- */

#define REDIS_ADDRESSES_MAX 4
#define REDIS_ADDRESS_ROOM 46 /* INET6_ADDRSTRLEN */
/* Addresses of a host as numbers; 0: none, and `why` says it. Blocks, maybe for long. */
size_t redis_find(const char *host, char found[REDIS_ADDRESSES_MAX][REDIS_ADDRESS_ROOM], char *why,
                  size_t why_room);

/* One loop's. It connects by itself, logs in, loads the script, tries it, and says up; when
 * anything goes wrong it says down once and begins anew with back-off. The loop's thread. */
struct redis_link;
struct redis_link_options {
    const struct dz_redis_address *address;
    struct dz_pool *pool;
    struct dz_loop *loop;
    const char *script; /* of one key for the trial, `trial` are its arguments */
    const char *const *trial;
    size_t trial_n;
    int64_t timeout_ms; /* for the answers to all that */
    void (*up)(void *arg);
    /* Also when a trial to connect has failed. No callback of a call comes after it. */
    void (*down)(void *arg, const char *why);
    void *arg;
};
struct redis_link *redis_link_new(const struct redis_link_options *o);
void redis_link_free(struct redis_link **k); /* says nothing more */
bool redis_link_is_up(const struct redis_link *k);
/* Runs the script. reply: an array of `numbers` integers, else the link goes down instead of a
 * callback. */
typedef void redis_reply_fn(void *arg, const int64_t *v, size_t n);
#define REDIS_NUMBERS_MAX (1 + 2 * DZ_LIMITS_MAX)
void redis_link_call(struct redis_link *k, size_t keys_n, const dz_str *args, size_t args_n,
                     redis_reply_fn *fn, void *arg);
/* Gives the connection up, for the reason; down comes in the next turn. */
void redis_link_drop(struct redis_link *k, const char *why);
