/*
 * map: keyed hash, and a hash map from slices to pointers.
 *
 * In: borrowed keys and values, which must outlive the map. Out: the values. One owner thread while
 * it is written; any number of readers once it is left alone. Open addressing with linear probing
 * in a power-of-two table that doubles at 70 %. Removing shifts the run behind it back, so that
 * there are no tombstones and lookups never slow down. The hash is keyed at random per process:
 * keys from outside cannot be aimed at one slot, and the order of dz_map_next changes from run to
 * run.
 */
#include "base/base_int.h"

#include <endian.h>
#include <pthread.h>

struct dz_map_slot {
    dz_str key;
    void *value; /* NULL: the slot is free */
    uint64_t hash;
};

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static uint64_t read_8(const unsigned char *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof(x));
    return le64toh(x);
}

static uint32_t read_4(const unsigned char *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof(x));
    return le32toh(x);
}

/* n < 8. Four and more are two reads that overlap; fewer than four three that may. */
static uint64_t read_fewer(const unsigned char *p, size_t n)
{
    if (n >= 4)
        return read_4(p) | (uint64_t)read_4(p + n - 4) << (8 * (n - 4));
    if (n == 0)
        return 0;
    return p[0] | (uint64_t)p[n / 2] << (8 * (n / 2)) | (uint64_t)p[n - 1] << (8 * (n - 1));
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

uint64_t dz_siphash13(const unsigned char key[16], dz_str s)
{
    uint64_t k0 = read_8(key), k1 = read_8(key + 8);
    uint64_t v[4] = {
        k0 ^ 0x736f6d6570736575u,
        k1 ^ 0x646f72616e646f6du,
        k0 ^ 0x6c7967656e657261u,
        k1 ^ 0x7465646279746573u,
    };
    const unsigned char *p = (const unsigned char *)s.p;
    size_t left = s.n;
    for (; left >= 8; p += 8, left -= 8) {
        uint64_t word = read_8(p);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)s.n << 56 | read_fewer(p, left);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static atomic_bool has_key; /* spares the call */
static unsigned char process_key[16];

static void make_key(void)
{
    dz_random(process_key, sizeof(process_key));
    atomic_store_explicit(&has_key, true, memory_order_release);
}

uint64_t dz_hash(dz_str key)
{
    if (DZ_UNLIKELY(!atomic_load_explicit(&has_key, memory_order_acquire)))
        pthread_once(&key_once, make_key);
    return dz_siphash13(process_key, key);
}

void dz_map_init(struct dz_map *m)
{
    *m = (struct dz_map){0};
}

void dz_map_done(struct dz_map *m)
{
    free(m->slots);
    *m = (struct dz_map){0};
}

/* The slot that holds key, or the free one where it would go. There is always a free slot. */
static struct dz_map_slot *slot_of(const struct dz_map *m, dz_str key, uint64_t hash)
{
    size_t mask = m->cap - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct dz_map_slot *slot = &m->slots[i];
        if (!slot->value || (slot->hash == hash && dz_str_eq(slot->key, key)))
            return slot;
    }
}

static void grow(struct dz_map *m)
{
    struct dz_map old = *m;
    m->cap = old.cap ? old.cap * 2 : 8;
    dz_assert(m->cap < SIZE_MAX / 2 / sizeof(struct dz_map_slot));
    m->slots = dz_zalloc(m->cap * sizeof(struct dz_map_slot));
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].value)
            *slot_of(m, old.slots[i].key, old.slots[i].hash) = old.slots[i];
    free(old.slots);
}

void *dz_map_get(const struct dz_map *m, dz_str key)
{
    return m->count ? slot_of(m, key, dz_hash(key))->value : NULL;
}

void *dz_map_set(struct dz_map *m, dz_str key, void *value)
{
    dz_assert(value);
    uint64_t hash = dz_hash(key);
    struct dz_map_slot *slot = m->cap ? slot_of(m, key, hash) : NULL;
    if (slot && slot->value) {
        void *before = slot->value;
        slot->key = key; /* the old key may die with the old value */
        slot->value = value;
        return before;
    }
    if ((m->count + 1) * 10 > m->cap * 7) {
        grow(m);
        slot = slot_of(m, key, hash);
    }
    *slot = (struct dz_map_slot){key, value, hash};
    m->count++;
    return NULL;
}

void *dz_map_del(struct dz_map *m, dz_str key)
{
    if (m->count == 0)
        return NULL;
    struct dz_map_slot *slot = slot_of(m, key, dz_hash(key));
    void *value = slot->value;
    if (!value)
        return NULL;
    size_t mask = m->cap - 1, hole = (size_t)(slot - m->slots);
    for (size_t i = (hole + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
        size_t home = m->slots[i].hash & mask;
        /* It may move back to the hole when the hole lies on its way from home to here. */
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct dz_map_slot){0};
    m->count--;
    return value;
}

bool dz_map_next(const struct dz_map *m, size_t *at, dz_str *ret_key, void **ret_value)
{
    for (; *at < m->cap; (*at)++) {
        const struct dz_map_slot *slot = &m->slots[*at];
        if (!slot->value)
            continue;
        if (ret_key)
            *ret_key = slot->key;
        if (ret_value)
            *ret_value = slot->value;
        (*at)++;
        return true;
    }
    return false;
}
