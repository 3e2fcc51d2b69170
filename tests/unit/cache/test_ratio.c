/*
 * test_ratio: how well the memory cache chooses what to keep, next to LRU, FIFO and Belady's choice
 * (that of somebody who knows what will be asked: nothing can be better), written here.
 *
 * The same accesses go to all; a miss puts the key. They come from a fixed seed; only the hash key
 * of the process differs from run to run, which moves the figures by a fraction of a percent. What
 * a walk over the archive hits by itself does not count. The figures of docs/benchmarks.md are what
 * this prints.
 */
#include "test.h"

#include "cache/cache.h"

#include <math.h>
#include <stdlib.h>

#define ACCESSES 300000u
#define NEVER UINT32_MAX

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed * 2685821657736338717u;
}

/* ---- accesses -------------------------------------------------------------------------------- */

/* Ids from `keys` on are those of walks. */
struct trace {
    uint32_t keys, ids, entries; /* of readers; all; what a cache may hold */
    uint32_t at[ACCESSES];
};

struct zipf {
    double *sums;
    uint32_t n;
};

static struct zipf zipf_new(uint32_t n, double skew)
{
    struct zipf z = {dz_alloc(n * sizeof(double)), n};
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        z.sums[i] = sum += 1 / pow(i + 1, skew);
    for (uint32_t i = 0; i < n; i++)
        z.sums[i] /= sum;
    return z;
}

static uint32_t zipf_pick(const struct zipf *z, uint64_t *seed)
{
    double x = (double)(next_random(seed) >> 11) / 9007199254740992.0;
    uint32_t low = 0, high = z->n - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (z->sums[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum shape { ZIPF, SCAN, BURSTS, LOOP };
struct figure {
    const char *name;
    enum shape shape;
    double skew;
    uint32_t keys, entries;
};

static void fill(struct trace *t, const struct figure *f)
{
    uint64_t seed = 42;
    struct zipf z = zipf_new(f->keys, f->skew);
    *t = (struct trace){.keys = f->keys, .ids = 2 * f->keys, .entries = f->entries};
    for (uint32_t i = 0; i < ACCESSES; i++) {
        uint32_t in_round = i % (20 * f->entries);
        bool walks = false;
        if (f->shape == SCAN) /* every fourth access walks over the archive */
            walks = i % 4 == 3;
        if (f->shape == BURSTS) /* now and then a whole walk over three times what fits */
            walks = in_round < 3 * f->entries;
        if (f->shape == LOOP) /* round and round over a little more than fits */
            t->at[i] = i % (f->entries * 5 / 4);
        else if (walks && f->shape == SCAN)
            t->at[i] = f->keys + i / 4 % f->keys;
        else if (walks)
            t->at[i] = f->keys + (i / (20 * f->entries) * 3 * f->entries + in_round) % f->keys;
        else
            t->at[i] = zipf_pick(&z, &seed);
    }
    free(z.sums);
}

/* ---- others ---------------------------------------------------------------------------------- */

/* A list from the newest to the oldest, threaded through arrays; `ids` is its own node. A queue is
 * the same but for what a hit does. */
static double list_ratio(const struct trace *t, bool is_lru)
{
    DZ_AUTO(dz_freep) uint32_t *newer = dz_alloc((t->ids + 1) * sizeof(uint32_t));
    DZ_AUTO(dz_freep) uint32_t *older = dz_alloc((t->ids + 1) * sizeof(uint32_t));
    DZ_AUTO(dz_freep) bool *in = dz_zalloc(t->ids);
    uint32_t end = t->ids, count = 0;
    uint64_t hits = 0, counted = 0;
    newer[end] = older[end] = end;
    for (uint32_t i = 0; i < ACCESSES; i++) {
        uint32_t id = t->at[i];
        counted += id < t->keys;
        hits += in[id] && id < t->keys;
        if (in[id] && !is_lru)
            continue;
        uint32_t out = in[id] ? id : count == t->entries ? newer[end] : end;
        if (out != end) {
            older[newer[out]] = older[out];
            newer[older[out]] = newer[out];
            in[out] = false;
            count--;
        }
        in[id] = true;
        count++;
        older[id] = older[end];
        newer[id] = end;
        newer[older[end]] = id;
        older[end] = id;
    }
    return (double)hits / (double)counted;
}

/* A heap of what is held, the one that is asked for last on top. */
struct heap {
    uint32_t *ids, *place, *next; /* place + 1 of an id, 0: not held; when it is asked for */
    uint32_t n;
};

static void heap_set(struct heap *h, uint32_t at, uint32_t id)
{
    h->ids[at] = id;
    h->place[id] = at + 1;
}

static void heap_up(struct heap *h, uint32_t at, uint32_t id)
{
    for (uint32_t parent; at > 0 && h->next[h->ids[parent = (at - 1) / 2]] < h->next[id];
         at = parent)
        heap_set(h, at, h->ids[parent]);
    heap_set(h, at, id);
}

static void heap_pop(struct heap *h)
{
    uint32_t last = h->ids[--h->n], at = 0;
    h->place[h->ids[0]] = 0;
    for (uint32_t child; (child = 2 * at + 1) < h->n; at = child) {
        if (child + 1 < h->n && h->next[h->ids[child + 1]] > h->next[h->ids[child]])
            child++;
        if (h->next[h->ids[child]] <= h->next[last])
            break;
        heap_set(h, at, h->ids[child]);
    }
    if (h->n > 0)
        heap_set(h, at, last);
}

/* What is asked for later than all that is held is not kept at all. */
static double belady_ratio(const struct trace *t)
{
    DZ_AUTO(dz_freep) uint32_t *again = dz_alloc(ACCESSES * sizeof(uint32_t));
    DZ_AUTO(dz_freep) uint32_t *ids = dz_alloc((t->entries + 1) * sizeof(uint32_t));
    DZ_AUTO(dz_freep) uint32_t *place = dz_zalloc(t->ids * sizeof(uint32_t));
    DZ_AUTO(dz_freep) uint32_t *next = dz_alloc(t->ids * sizeof(uint32_t));
    struct heap h = {ids, place, next, 0};
    uint64_t hits = 0, counted = 0;
    for (uint32_t id = 0; id < t->ids; id++)
        next[id] = NEVER;
    for (uint32_t i = ACCESSES; i-- > 0;) {
        again[i] = next[t->at[i]];
        next[t->at[i]] = i;
    }
    for (uint32_t i = 0; i < ACCESSES; i++) {
        uint32_t id = t->at[i], at = place[id];
        counted += id < t->keys;
        hits += at > 0 && id < t->keys;
        next[id] = again[i];
        if (at > 0) { /* asked for later than before: up */
            heap_up(&h, at - 1, id);
            continue;
        }
        heap_up(&h, h.n++, id);
        if (h.n > t->entries)
            heap_pop(&h);
    }
    return (double)hits / (double)counted;
}

/* ---- ours ------------------------------------------------------------------------------------ */

static double our_ratio(const struct trace *t)
{
    struct dz_cache_options o = {DZ_GIB, t->entries, 0};
    DZ_AUTO(dz_cache_close) struct dz_cache *c = NULL;
    DZ_AUTO(dz_body_unref) struct dz_body *body = dz_body_new(0);
    uint64_t hits = 0, counted = 0;
    must(dz_cache_open("memory", "", &o, &c, err));
    for (uint32_t i = 0; i < ACCESSES; i++) {
        uint32_t id = t->at[i];
        DZ_AUTO(dz_body_unref) struct dz_body *got = NULL;
        dz_str key = {(const char *)&id, sizeof(id)};
        bool hit = dz_cache_get(c, key, &got);
        if (!hit)
            dz_cache_put(c, key, body);
        counted += id < t->keys;
        hits += hit && id < t->keys;
        const struct dz_cache_stats *s = i % 64 == 0 ? dz_cache_stats(c) : NULL;
        if (s && s->entries > t->entries)
            fail_msg("%llu entries held", (unsigned long long)s->entries);
    }
    return (double)hits / (double)counted;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static const struct figure figures[] = {
    {"Zipf 0.8", ZIPF, 0.8, 20000, 1000},
    {"Zipf 0.9", ZIPF, 0.9, 20000, 1000},
    {"Zipf 1.0", ZIPF, 1.0, 20000, 1000},
    {"Zipf 1.1", ZIPF, 1.1, 20000, 1000},
    {"Zipf 1.2", ZIPF, 1.2, 20000, 1000},
    {"Zipf 0.9, many shards", ZIPF, 0.9, 100000, 8192},
    {"Zipf 0.8 + walk", SCAN, 0.8, 20000, 1000},
    {"Zipf 1.0 + walk", SCAN, 1.0, 20000, 1000},
    {"Zipf 1.2 + walk", SCAN, 1.2, 20000, 1000},
    {"Zipf 0.9 + bursts of walks", BURSTS, 0.9, 20000, 1000},
    {"loop over 1.25 times what fits", LOOP, 0.9, 20000, 1000},
};

static void ratios(void **state)
{
    (void)state;
    DZ_AUTO(dz_freep) struct trace *t = dz_alloc(sizeof(*t));
    print_message("%-32s %6s %6s %6s %6s\n", "accesses", "ours", "LRU", "FIFO", "Belady");
    for (size_t i = 0; i < DZ_LEN(figures); i++) {
        const struct figure *f = &figures[i];
        fill(t, f);
        double ours = our_ratio(t), lru = list_ratio(t, true), fifo = list_ratio(t, false),
               best = belady_ratio(t);
        print_message("%-32s %6.3f %6.3f %6.3f %6.3f\n", f->name, ours, lru, fifo, best);
        assert_true(best >= ours && best >= lru && best >= fifo);
        assert_true(ours >= fifo);
        if (f->shape == ZIPF)
            assert_true(ours >= lru && ours >= 0.75 * best);
        else
            assert_true(ours >= lru + 0.05 && ours >= 0.75 * best);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ratios)};
    return cmocka_run_group_tests_name("ratio", tests, NULL, NULL);
}
