/*
 * counts: how often clients have asked, in this process.
 *
 * A table of fixed size, cut into shards with a lock each; a key (rule and client) has eight
 * places, and one that is new takes a free one or the one whose count ends first. So memory is
 * bounded whoever asks, a look costs one lock and at most eight comparisons, and what is lost is
 * the count that mattered least. Places are chosen by a keyed hash, which nobody outside can aim
 * at. The table is untouched memory until it is used. Any thread; time is given by the caller.
 */
#include "cache/cache_int.h"

#include <pthread.h>
#include <stdlib.h>

#define SHARDS 64u
#define WAYS 8u
#define KEYS_MAX 65536u
#define SLOTS_CAP (LIMIT_SLOTS + 4u)

struct slot {
    int64_t at; /* in units of limit_slot_ms() */
    uint32_t n;
};

/* Of one limit. */
struct window {
    uint64_t used;
    int64_t ends_ms;    /* fixed */
    struct slot *slots; /* moving; the oldest first */
    uint32_t slots_n, slots_cap;
};

struct place {
    uint64_t rule;
    unsigned char who[16];
    int64_t ends_ms; /* 0: free */
    struct window *windows;
    size_t windows_n;
};

struct counts {
    size_t buckets; /* of WAYS places each; a multiple of SHARDS */
    struct place *places;
    struct shard {
        pthread_mutex_t lock;
    } __attribute__((aligned(64))) shard[SHARDS];
};

struct counts *counts_new(size_t keys_max)
{
    size_t keys = keys_max ? keys_max : KEYS_MAX;
    struct counts *c = dz_new(struct counts);
    c->buckets = (keys + SHARDS * WAYS - 1) / (SHARDS * WAYS) * SHARDS;
    c->places = dz_zalloc(c->buckets * WAYS * sizeof(*c->places));
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&c->shard[i].lock, NULL);
    return c;
}

static void place_clear(struct place *p)
{
    for (size_t i = 0; i < p->windows_n; i++)
        free(p->windows[i].slots);
    free(p->windows);
    memset(p, 0, sizeof(*p));
}

void counts_free(struct counts **cp)
{
    struct counts *c = dz_take(cp);
    if (!c)
        return;
    for (size_t i = 0; i < c->buckets * WAYS; i++)
        if (c->places[i].windows)
            place_clear(&c->places[i]);
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_destroy(&c->shard[i].lock);
    free(c->places);
    free(c);
}

size_t counts_keys(struct counts *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->buckets * WAYS; i++) {
        struct shard *s = &c->shard[i / WAYS % SHARDS];
        pthread_mutex_lock(&s->lock);
        n += c->places[i].windows != NULL;
        pthread_mutex_unlock(&s->lock);
    }
    return n;
}

/* ---- windows --------------------------------------------------------------------------------- */

int64_t limit_slot_ms(const struct dz_limit *l)
{
    return l->count <= LIMIT_SLOTS ? 1 : (l->per_ms + LIMIT_SLOTS - 1) / LIMIT_SLOTS;
}

/* When the slot leaves the window. */
static int64_t slot_ends_ms(const struct dz_limit *l, int64_t at)
{
    int64_t slot_ms = limit_slot_ms(l);
    return at * slot_ms + slot_ms - 1 + l->per_ms;
}

static void forget_old(struct window *w, const struct dz_limit *l, enum dz_limit_strategy strategy,
                       int64_t now_ms)
{
    if (strategy == DZ_LIMIT_FIXED) {
        if (w->used > 0 && now_ms >= w->ends_ms)
            w->used = 0;
        return;
    }
    uint32_t gone = 0;
    while (gone < w->slots_n && slot_ends_ms(l, w->slots[gone].at) <= now_ms)
        w->used -= w->slots[gone++].n;
    if (gone == 0)
        return;
    w->slots_n -= gone;
    memmove(w->slots, w->slots + gone, w->slots_n * sizeof(*w->slots));
}

static void add(struct window *w, const struct dz_limit *l, enum dz_limit_strategy strategy,
                int64_t now_ms)
{
    w->used++;
    if (strategy == DZ_LIMIT_FIXED) {
        if (w->used == 1)
            w->ends_ms = now_ms + l->per_ms;
        return;
    }
    int64_t at = now_ms / limit_slot_ms(l);
    struct slot *last = w->slots_n > 0 ? &w->slots[w->slots_n - 1] : NULL;
    if (last && last->at >= at) { /* another thread's clock may be a little ahead */
        last->n++;
        return;
    }
    if (w->slots_n == w->slots_cap) {
        w->slots_cap = w->slots_cap ? w->slots_cap * 2 : 4;
        w->slots_cap = w->slots_cap < SLOTS_CAP ? w->slots_cap : SLOTS_CAP;
        w->slots = dz_realloc(w->slots, w->slots_cap * sizeof(*w->slots));
    }
    dz_assert(w->slots_n < w->slots_cap);
    w->slots[w->slots_n++] = (struct slot){at, 1};
}

/* When the oldest of it comes back. */
static int64_t reset_at(const struct window *w, const struct dz_limit *l,
                        enum dz_limit_strategy strategy, int64_t now_ms)
{
    if (w->used == 0)
        return now_ms + l->per_ms;
    return strategy == DZ_LIMIT_FIXED ? w->ends_ms : slot_ends_ms(l, w->slots[0].at);
}

static int64_t window_ends_ms(const struct window *w, const struct dz_limit *l,
                              enum dz_limit_strategy strategy)
{
    if (w->used == 0)
        return 0;
    return strategy == DZ_LIMIT_FIXED ? w->ends_ms : slot_ends_ms(l, w->slots[w->slots_n - 1].at);
}

void limit_decide(const struct dz_limits *limits, const struct limit_use *uses, bool allowed,
                  struct dz_limit_verdict *ret_verdict)
{
    struct dz_limit_verdict v = {.allowed = allowed};
    for (size_t i = 0; i < limits->n; i++) {
        const struct dz_limit *l = &limits->v[i];
        uint64_t left = uses[i].used < l->count ? l->count - uses[i].used : 0;
        if (!v.limit || left < v.remaining ||
            (left == v.remaining && uses[i].reset_ms > v.reset_ms)) {
            v.limit = l;
            v.remaining = left;
            v.reset_ms = uses[i].reset_ms;
        }
    }
    *ret_verdict = v;
}

/* ---- places ---------------------------------------------------------------------------------- */

static uint64_t hash_of(const struct dz_limit_ask *ask)
{
    char key[24];
    memcpy(key, &ask->rule->id, 8);
    memcpy(key + 8, ask->who, 16);
    return dz_hash((dz_str){key, sizeof(key)});
}

/* The key's place, made when there is none. */
static struct place *place_of(struct place *bucket, const struct dz_limit_ask *ask)
{
    struct place *first = &bucket[0];
    for (size_t i = 0; i < WAYS; i++) {
        struct place *p = &bucket[i];
        if (p->ends_ms != 0 && p->rule == ask->rule->id && memcmp(p->who, ask->who, 16) == 0)
            return p;
        if (p->ends_ms < first->ends_ms)
            first = p;
    }
    place_clear(first);
    first->rule = ask->rule->id;
    memcpy(first->who, ask->who, 16);
    first->windows_n = ask->rule->limits.n;
    first->windows = dz_zalloc(first->windows_n * sizeof(*first->windows));
    return first;
}

static void take_in(struct place *p, const struct dz_limit_rule *rule, int64_t now_ms,
                    struct dz_limit_verdict *ret_verdict)
{
    const struct dz_limits *limits = &rule->limits;
    struct limit_use uses[DZ_LIMITS_MAX];
    bool allowed = true;
    dz_assert(p->windows_n == limits->n);
    for (size_t i = 0; i < limits->n; i++) {
        forget_old(&p->windows[i], &limits->v[i], rule->strategy, now_ms);
        allowed = allowed && p->windows[i].used < limits->v[i].count;
    }
    p->ends_ms = 1;
    for (size_t i = 0; i < limits->n; i++) {
        struct window *w = &p->windows[i];
        if (allowed)
            add(w, &limits->v[i], rule->strategy, now_ms);
        uses[i].used = w->used;
        uses[i].reset_ms = reset_at(w, &limits->v[i], rule->strategy, now_ms) - now_ms;
        int64_t ends_ms = window_ends_ms(w, &limits->v[i], rule->strategy);
        p->ends_ms = ends_ms > p->ends_ms ? ends_ms : p->ends_ms;
    }
    limit_decide(limits, uses, allowed, ret_verdict);
}

void counts_take(struct counts *c, const struct dz_limit_ask *ask, int64_t now_ms,
                 struct dz_limit_verdict *ret_verdict)
{
    size_t bucket = (size_t)(hash_of(ask) % c->buckets);
    struct shard *s = &c->shard[bucket % SHARDS];
    pthread_mutex_lock(&s->lock);
    take_in(place_of(&c->places[bucket * WAYS], ask), ask->rule, now_ms, ret_verdict);
    pthread_mutex_unlock(&s->lock);
}
