/*
 * files: open blobs, so that a hot page costs no open(2).
 *
 * In: a digest. Out: a counted descriptor for sendfile. Several shards, each a fixed array of slots
 * under one lock, found by the digest's own bytes (they are as good as a hash) and given up in
 * CLOCK order. A miss opens outside the lock; others that want the same blob wait for that one open
 * instead of doing it again. A descriptor is used for at most VALID_MS: a repair may have replaced
 * a damaged file, whose old bytes an open descriptor would show for ever. Any thread; what was
 * given out stays open until its user lets go, also when the cache has forgotten it.
 */
#include <sys/resource.h>

#include "library/library_int.h"

#include <errno.h>
#include <stdlib.h>

#define SHARDS 16u
#define FILES_MAX 1024u
#define VALID_MS 60000
#define NONE UINT32_MAX

struct slot {
    struct dz_sha256 sha;
    struct dz_file *file; /* NULL: free, or being opened */
    int64_t opened_ms;
    uint32_t next; /* in its bucket */
    bool used, opening, recent;
};

struct shard {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    struct slot *slots;
    uint32_t *heads;
    uint32_t slots_n, heads_n, hand;
};

struct library_files {
    struct dz_store *store;
    struct shard shards[SHARDS];
};

static size_t default_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return SHARDS;
    rlim_t quarter = limit.rlim_cur / 4; /* the rest is for connections */
    return quarter < FILES_MAX ? (size_t)quarter : FILES_MAX;
}

struct library_files *library_files_new(struct dz_store *store, size_t max)
{
    struct library_files *f = dz_new(struct library_files);
    f->store = store;
    if (max == 0)
        max = default_max();
    uint32_t each = max < SHARDS ? 1 : (uint32_t)(max / SHARDS);
    uint32_t heads = 1;
    while (heads < each)
        heads *= 2;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &f->shards[i];
        pthread_mutex_init(&s->lock, NULL);
        pthread_cond_init(&s->opened, NULL);
        s->slots_n = each;
        s->heads_n = heads;
        s->slots = dz_zalloc(each * sizeof(*s->slots));
        s->heads = dz_alloc(heads * sizeof(*s->heads));
        for (uint32_t h = 0; h < heads; h++)
            s->heads[h] = NONE;
    }
    return f;
}

void library_files_free(struct library_files **pf)
{
    struct library_files *f = *pf;
    if (!f)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &f->shards[i];
        for (uint32_t n = 0; n < s->slots_n; n++)
            dz_file_unref(&s->slots[n].file);
        free(s->slots);
        free(s->heads);
        pthread_cond_destroy(&s->opened);
        pthread_mutex_destroy(&s->lock);
    }
    free(f);
    *pf = NULL;
}

static uint32_t *head_of(struct shard *s, const struct dz_sha256 *sha)
{
    uint32_t h;
    memcpy(&h, sha->b + 1, sizeof(h));
    return &s->heads[h & (s->heads_n - 1)];
}

static uint32_t find(struct shard *s, const struct dz_sha256 *sha)
{
    uint32_t at = *head_of(s, sha);
    while (at != NONE && memcmp(s->slots[at].sha.b, sha->b, sizeof(sha->b)) != 0)
        at = s->slots[at].next;
    return at;
}

static void forget(struct shard *s, uint32_t at)
{
    struct slot *slot = &s->slots[at];
    uint32_t *link = head_of(s, &slot->sha);
    while (*link != at)
        link = &s->slots[*link].next;
    *link = slot->next;
    dz_file_unref(&slot->file);
    *slot = (struct slot){.used = false};
}

/* A slot for sha, marked as being opened; NONE when every slot is. */
static uint32_t claim(struct shard *s, const struct dz_sha256 *sha)
{
    for (uint32_t tries = 0; tries < 2 * s->slots_n; tries++) {
        uint32_t at = s->hand;
        struct slot *slot = &s->slots[at];
        s->hand = (at + 1) % s->slots_n;
        if (slot->used && (slot->opening || slot->recent)) {
            slot->recent = false;
            continue;
        }
        if (slot->used)
            forget(s, at);
        uint32_t *head = head_of(s, sha);
        *slot = (struct slot){.sha = *sha, .next = *head, .used = true, .opening = true};
        *head = at;
        return at;
    }
    return NONE;
}

static void forget_all(struct library_files *f)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &f->shards[i];
        pthread_mutex_lock(&s->lock);
        for (uint32_t n = 0; n < s->slots_n; n++)
            if (s->slots[n].used && !s->slots[n].opening)
                forget(s, n);
        pthread_mutex_unlock(&s->lock);
    }
}

static enum dz_code open_blob(struct library_files *f, const struct dz_sha256 *sha,
                              struct dz_file **ret_file, struct dz_err *err)
{
    int fd = -1;
    uint64_t bytes = 0;
    struct dz_err first = {0};
    enum dz_code code = dz_store_open_file(f->store, sha, &fd, &bytes, &first);
    if (code != DZ_OK && (first.native == EMFILE || first.native == ENFILE)) {
        forget_all(f); /* ours are the ones that can be spared */
        code = dz_store_open_file(f->store, sha, &fd, &bytes, &first);
    }
    if (code != DZ_OK) {
        if (err)
            *err = first;
        return code;
    }
    *ret_file = dz_file_new(fd, bytes);
    return DZ_OK;
}

enum dz_code library_files_get(struct library_files *f, const struct dz_sha256 *sha,
                               struct dz_file **ret_file, struct dz_err *err)
{
    struct shard *s = &f->shards[sha->b[0] % SHARDS];
    int64_t now_ms = dz_mono_ns() / 1000000;
    pthread_mutex_lock(&s->lock);
    uint32_t at = find(s, sha);
    while (at != NONE && s->slots[at].opening) {
        pthread_cond_wait(&s->opened, &s->lock);
        at = find(s, sha);
    }
    if (at != NONE && now_ms - s->slots[at].opened_ms < VALID_MS) {
        s->slots[at].recent = true;
        *ret_file = dz_file_ref(s->slots[at].file);
        pthread_mutex_unlock(&s->lock);
        return DZ_OK;
    }
    if (at != NONE) {
        dz_file_unref(&s->slots[at].file);
        s->slots[at].opening = true;
    } else {
        at = claim(s, sha);
    }
    pthread_mutex_unlock(&s->lock);

    struct dz_file *file = NULL;
    enum dz_code code = open_blob(f, sha, &file, err);
    if (at != NONE) {
        pthread_mutex_lock(&s->lock);
        struct slot *slot = &s->slots[at];
        slot->opening = false;
        if (code == DZ_OK) {
            slot->file = dz_file_ref(file);
            slot->opened_ms = now_ms;
        } else {
            forget(s, at);
        }
        pthread_cond_broadcast(&s->opened);
        pthread_mutex_unlock(&s->lock);
    }
    if (code == DZ_OK)
        *ret_file = file;
    return code;
}

size_t library_files_count(struct library_files *f)
{
    size_t count = 0;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &f->shards[i];
        pthread_mutex_lock(&s->lock);
        for (uint32_t n = 0; n < s->slots_n; n++)
            count += s->slots[n].file != NULL;
        pthread_mutex_unlock(&s->lock);
    }
    return count;
}
