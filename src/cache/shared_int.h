/*
 * shared_int: what the two files of the shared cache share: shared_line.c takes, makes and loses
 * connections to Redis, shared.c says things over them and has the thread that connects anew.
 */
#pragma once

#include <hiredis/hiredis.h>

#include "cache/cache_int.h"

#include <pthread.h>

#define CONNECTIONS_MAX 64u
#define OWED_MAX 4096u /* deletions */

struct dz_shared_cache {
    struct dz_shared_cache_options o;
    struct dz_redis_address address;
    pthread_t thread;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;  /* for the thread; and `tried` */
    bool up, tried, stop;
    char why[256]; /* it was lost */
    char numeric[REDIS_ADDRESS_ROOM];
    redisContext *idle[CONNECTIONS_MAX];
    unsigned idle_n, open_n; /* open: those in use too */
    char *owed[OWED_MAX];    /* a ring */
    unsigned owed_at, owed_n;
    struct dz_shared_cache_stats stats;
};

/* A connection for the time of a call. */
struct shared_line {
    struct dz_shared_cache *c;
    redisContext *rc;
    bool fresh; /* it was made for this call */
    bool late;  /* an answer did not come in time */
    char why[256];
};

/* The next answer, NULL: none, and `why` says it. The caller frees. */
redisReply *shared_reply(struct shared_line *l);
bool shared_replies(struct shared_line *l, int n); /* so many, whatever they are */
/* False: `why` says it. Blocks. */
bool shared_connect(struct shared_line *l, const char *numeric);
void shared_hang_up(struct shared_line *l);
/* False: not now. Anew: not one that lay idle, for those are as old as one that broke. */
bool shared_take(struct shared_line *l, bool anew);
void shared_let_go(struct shared_line *l);        /* what was taken */
void shared_drop_idle(struct dz_shared_cache *c); /* the lock is held */
void shared_lose(struct dz_shared_cache *c, const char *why);
/* Says something over a connection, from the beginning when it has to be said again. */
typedef bool shared_talk_fn(struct shared_line *l, void *arg);
bool shared_talk(struct dz_shared_cache *c, shared_talk_fn *fn, void *arg);
