/*
 * blobs: bytes of a store that is far away, for those who serve them: RAM, then the Redis that
 * servers share, then the store; few bytes as a body, many as a file of the spool.
 *
 * In: digest and length. Out: a counted body or file, or an error. Workers that want the same blob
 * at the same time make one reading of it (flights). When the store does not answer, it counts as
 * down: from then on everybody fails at once, and a thread asks the store now and then whether it
 * is back; the same thread finds out about a store that nobody asks. What Redis has is compared
 * with the digest before it is believed. The lock is never held while anything blocks.
 */
#include "library/library_int.h"

#include <stdlib.h>
#include <time.h>

#define RAM_KEY_BYTES (1 + sizeof(((struct dz_sha256 *)NULL)->b))
#define LOOK_MS 3000   /* while all is well */
#define SILENT_MS 3000 /* without an answer it counts as down, whatever its own patience is */
#define AGAIN_FIRST_MS 100
#define AGAIN_MAX_MS 2000
/* Bytes over DZ_SHARED_VALUE_MAX come from a database in one piece or a few, and lie in memory on
 * their way. */
#define LARGE_MAX 2u     /* at once */
#define LARGE_WAITING 2u /* more are turned away, so that workers stay for the rest */

struct flight {
    unsigned users; /* the one who reads, and who waits */
    bool done;
    struct dz_sha256 sha;
    struct dz_body *body;
    struct dz_file *file;
    enum dz_code code;
    struct dz_err err;
};

struct library_blobs {
    struct dz_store *store;
    struct library_spool *spool;
    struct dz_cache *ram;           /* NULL: none */
    struct dz_shared_cache *shared; /* NULL: none */
    pthread_t watcher;
    bool watched;

    pthread_mutex_t lock;  /* guards what follows */
    pthread_cond_t landed; /* a flight */
    pthread_cond_t wake;   /* the watcher */
    struct dz_map flights;
    unsigned large_n, large_waiting;
    bool down, stop;
    int64_t asked_ms; /* when the watcher asked; 0: it does not wait for an answer */
    uint64_t losses;
    char why[sizeof(((struct dz_err *)NULL)->text)];
};

/* ---- whether the store is there -------------------------------------------------------------- */

static bool says_down(enum dz_code code)
{
    return code == DZ_UNAVAILABLE || code == DZ_TIMEOUT;
}

static int64_t now_ms(void)
{
    return dz_mono_ns() / 1000000;
}

/* NULL: it is there; the lock is held. */
static const char *why_down(const struct library_blobs *b)
{
    if (b->down)
        return b->why;
    bool silent = b->asked_ms != 0 && now_ms() - b->asked_ms > SILENT_MS;
    return silent ? "it does not answer" : NULL;
}

static enum dz_code fail_if_down(struct library_blobs *b, struct dz_err *err)
{
    enum dz_code code = DZ_OK;
    pthread_mutex_lock(&b->lock);
    const char *why = why_down(b);
    if (why)
        code = dz_fail(err, DZ_UNAVAILABLE, "the store is down: %s", why);
    pthread_mutex_unlock(&b->lock);
    return code;
}

static void note(struct library_blobs *b, enum dz_code code, const struct dz_err *err)
{
    pthread_mutex_lock(&b->lock);
    if (says_down(code) && b->watched) { /* else nobody would find out that it is back */
        b->losses += !b->down;
        b->down = true;
        (void)snprintf(b->why, sizeof(b->why), "%s", err->text);
        pthread_cond_signal(&b->wake);
    }
    pthread_mutex_unlock(&b->lock);
}

/* Of something that no store has: whether it answers. */
static void ask(struct library_blobs *b)
{
    static const struct dz_sha256 nobody;
    struct dz_blob_stat stat;
    struct dz_err err = {0};
    pthread_mutex_lock(&b->lock);
    b->asked_ms = now_ms();
    pthread_mutex_unlock(&b->lock);
    enum dz_code code = dz_store_stat(b->store, &nobody, &stat, &err);
    pthread_mutex_lock(&b->lock);
    b->losses += !b->down && (says_down(code) || why_down(b));
    b->asked_ms = 0;
    b->down = says_down(code);
    (void)snprintf(b->why, sizeof(b->why), "%s", b->down ? err.text : "");
    pthread_mutex_unlock(&b->lock);
}

static void *watch(void *arg)
{
    struct library_blobs *b = arg;
    int64_t again_ms = AGAIN_FIRST_MS;
    (void)pthread_setname_np(pthread_self(), "dozo-store");
    pthread_mutex_lock(&b->lock);
    while (!b->stop) {
        bool was_down = b->down;
        int64_t wait_ms = was_down ? again_ms : LOOK_MS;
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        int64_t ns = until.tv_nsec + wait_ms % 1000 * 1000000;
        until.tv_sec += wait_ms / 1000 + ns / 1000000000;
        until.tv_nsec = ns % 1000000000;
        int waited = pthread_cond_timedwait(&b->wake, &b->lock, &until);
        if (b->stop)
            break;
        if (waited == 0 && !was_down) { /* lost just now: not at once */
            again_ms = AGAIN_FIRST_MS;
            continue;
        }
        if (waited == 0)
            continue;
        again_ms = again_ms * 2 < AGAIN_MAX_MS ? again_ms * 2 : AGAIN_MAX_MS;
        pthread_mutex_unlock(&b->lock);
        ask(b);
        pthread_mutex_lock(&b->lock);
        if (!b->down)
            again_ms = AGAIN_FIRST_MS;
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

bool library_blobs_healthy(struct library_blobs *b, char *ret_text)
{
    pthread_mutex_lock(&b->lock);
    const char *why = why_down(b);
    (void)snprintf(ret_text, sizeof(b->why), "%s", why ? why : "");
    pthread_mutex_unlock(&b->lock);
    return why == NULL;
}

/* ---- begin and end --------------------------------------------------------------------------- */

struct library_blobs *library_blobs_new(struct dz_store *store, const char *data_dir,
                                        uint64_t disk_bytes)
{
    struct library_blobs *b = dz_new(struct library_blobs);
    b->store = store;
    b->spool = library_spool_new(data_dir, disk_bytes);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->landed, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&b->wake, &attr);
    pthread_condattr_destroy(&attr);
    dz_map_init(&b->flights);
    return b;
}

enum dz_code library_blobs_watch(struct library_blobs *b, struct dz_err *err)
{
    int native = pthread_create(&b->watcher, NULL, watch, b);
    if (native != 0)
        return dz_fail_errno(err, DZ_UNAVAILABLE, native, "start a thread");
    b->watched = true;
    return DZ_OK;
}

void library_blobs_free(struct library_blobs **pb)
{
    struct library_blobs *b = dz_take(pb);
    if (!b)
        return;
    if (b->watched) {
        pthread_mutex_lock(&b->lock);
        b->stop = true;
        pthread_cond_signal(&b->wake);
        pthread_mutex_unlock(&b->lock);
        pthread_join(b->watcher, NULL);
    }
    dz_assert(b->flights.count == 0);
    dz_map_done(&b->flights);
    library_spool_free(&b->spool);
    pthread_cond_destroy(&b->landed);
    pthread_cond_destroy(&b->wake);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

void library_blobs_share(struct library_blobs *b, struct dz_cache *ram,
                         struct dz_shared_cache *shared)
{
    b->ram = ram;
    b->shared = shared;
}

/* ---- one reading ----------------------------------------------------------------------------- */

static dz_str key_of(const struct dz_sha256 *sha)
{
    return (dz_str){(const char *)sha->b, sizeof(sha->b)};
}

static dz_str ram_key(const struct dz_sha256 *sha, char key[RAM_KEY_BYTES])
{
    key[0] = 'B';
    memcpy(key + 1, sha->b, sizeof(sha->b));
    return (dz_str){key, RAM_KEY_BYTES};
}

/* How Redis calls it. */
static dz_str shared_name(const struct dz_blob_ask *ask, char hex[64])
{
    if (ask->name.n > 0)
        return ask->name;
    dz_hex(ask->sha.b, sizeof(ask->sha.b), hex);
    return (dz_str){hex, 64};
}

static struct dz_body *from_shared(struct library_blobs *b, const struct dz_blob_ask *ask)
{
    char hex[64];
    dz_str name = shared_name(ask, hex);
    struct dz_body *body = NULL;
    if (!b->shared || ask->bytes > DZ_SHARED_VALUE_MAX ||
        !dz_shared_cache_get(b->shared, name, NULL, &body, NULL))
        return NULL;
    struct dz_sha256 sha = dz_sha256_of((dz_str){body->p, body->n});
    if (memcmp(sha.b, ask->sha.b, sizeof(sha.b)) != 0)
        dz_body_unref(&body); /* the next put takes its place */
    return body;
}

static enum dz_code wrong_length(uint64_t got, const struct dz_blob_ask *ask, struct dz_err *err)
{
    return dz_fail(err, DZ_CORRUPT, "a blob has %llu bytes, the catalog says %llu; run dozo check",
                   (unsigned long long)got, (unsigned long long)ask->bytes);
}

/* Under its own name when it has one: that is one question, and a row that somebody has changed is
 * measured anew by it. */
static enum dz_code ask_store(struct library_blobs *b, const struct dz_blob_ask *ask,
                              uint64_t bytes_max, struct dz_body **ret_body, struct dz_err *err)
{
    if (ask->name.n == 0)
        return dz_store_get(b->store, &ask->sha, bytes_max, ret_body, err);
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(64 * DZ_KIB);
    struct dz_store_named row;
    enum dz_code code = dz_store_named_get(b->store, ask->name, bytes_max, a, &row, &body, err);
    if (code == DZ_TOO_LARGE && bytes_max < DZ_STORE_BLOB_MAX)
        code = dz_store_named_get(b->store, ask->name, DZ_STORE_BLOB_MAX, a, &row, &body, err);
    DZ_TRY(code);
    if (memcmp(row.stat.sha.b, ask->sha.b, sizeof(ask->sha.b)) != 0)
        return dz_fail(err, DZ_NOT_FOUND, "the row holds something else by now");
    *ret_body = dz_take(&body);
    return DZ_OK;
}

/* Up to DZ_SHARED_VALUE_MAX bytes. */
static enum dz_code get_body(struct library_blobs *b, const struct dz_blob_ask *ask,
                             struct dz_body **ret_body, struct dz_err *err)
{
    char hex[64];
    *ret_body = from_shared(b, ask);
    if (*ret_body)
        return DZ_OK;
    DZ_TRY(fail_if_down(b, err));
    struct dz_body *body = NULL;
    struct dz_err why = {0};
    enum dz_code code = ask_store(b, ask, DZ_SHARED_VALUE_MAX, &body, &why);
    note(b, code, &why);
    if (code != DZ_OK && err)
        *err = why;
    DZ_TRY(code);
    if (body->n != ask->bytes) {
        code = wrong_length(body->n, ask, err);
        dz_body_unref(&body);
        return code;
    }
    if (b->shared)
        dz_shared_cache_put(b->shared, shared_name(ask, hex), (dz_str){body->p, body->n},
                            ask->mime);
    *ret_body = body;
    return DZ_OK;
}

struct filling {
    struct library_blobs *b;
    const struct dz_blob_ask *ask;
};

/* False: too many are at it. */
static bool begin_large(struct library_blobs *b)
{
    pthread_mutex_lock(&b->lock);
    bool may = b->large_n < LARGE_MAX || b->large_waiting < LARGE_WAITING;
    b->large_waiting += may;
    while (may && b->large_n >= LARGE_MAX)
        pthread_cond_wait(&b->landed, &b->lock);
    b->large_waiting -= may;
    b->large_n += may;
    pthread_mutex_unlock(&b->lock);
    return may;
}

static void end_large(struct library_blobs *b)
{
    pthread_mutex_lock(&b->lock);
    b->large_n--;
    pthread_cond_broadcast(&b->landed);
    pthread_mutex_unlock(&b->lock);
}

struct sink {
    int fd;
    enum dz_code code; /* of our own disk */
};

static enum dz_code to_file(void *arg, dz_str piece, struct dz_err *err)
{
    struct sink *s = arg;
    s->code = dz_write_all(s->fd, piece, err);
    return s->code;
}

static enum dz_code fill_large(struct library_blobs *b, const struct dz_blob_ask *ask, int fd,
                               struct dz_err *err)
{
    struct sink to = {.fd = fd};
    struct dz_err why = {0};
    DZ_TRY(fail_if_down(b, err));
    enum dz_code code =
        dz_store_read(b->store, &ask->sha, ask->name, DZ_STORE_BLOB_MAX, to_file, &to, &why);
    note(b, to.code == DZ_OK ? code : DZ_OK, &why);
    if (code != DZ_OK && err)
        *err = why;
    return code;
}

static enum dz_code fill(void *arg, int fd, struct dz_err *err)
{
    const struct filling *f = arg;
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    if (f->ask->bytes <= DZ_SHARED_VALUE_MAX) {
        DZ_TRY(get_body(f->b, f->ask, &body, err));
        return dz_write_all(fd, (dz_str){body->p, body->n}, err);
    }
    if (!begin_large(f->b))
        return dz_fail(err, DZ_UNAVAILABLE, "%u large files are being fetched already", LARGE_MAX);
    enum dz_code code = fill_large(f->b, f->ask, fd, err);
    end_large(f->b);
    return code;
}

static enum dz_code read_blob(struct library_blobs *b, const struct dz_blob_ask *ask,
                              struct flight *f)
{
    if (ask->bytes > DZ_LIBRARY_BODY_MAX) {
        struct filling filling = {b, ask};
        return library_spool_put(b->spool, &ask->sha, ask->bytes, fill, &filling, &f->file,
                                 &f->err);
    }
    DZ_TRY(get_body(b, ask, &f->body, &f->err));
    char key[RAM_KEY_BYTES];
    if (b->ram && ask->keep)
        dz_cache_put(b->ram, ram_key(&ask->sha, key), f->body);
    return DZ_OK;
}

/* ---- asking ---------------------------------------------------------------------------------- */

struct dz_file *library_blobs_file(struct library_blobs *b, const struct dz_sha256 *sha)
{
    return library_spool_get(b->spool, sha);
}

struct dz_body *library_blobs_body(struct library_blobs *b, const struct dz_sha256 *sha)
{
    char key[RAM_KEY_BYTES];
    struct dz_body *body = NULL;
    if (b->ram)
        (void)dz_cache_get(b->ram, ram_key(sha, key), &body);
    return body;
}

/* A flight for this blob, and whether the caller has to fly it. */
static struct flight *board(struct library_blobs *b, const struct dz_sha256 *sha, bool *ret_lead)
{
    pthread_mutex_lock(&b->lock);
    struct flight *f = dz_map_get(&b->flights, key_of(sha));
    *ret_lead = f == NULL;
    if (!f) {
        f = dz_new(struct flight);
        f->sha = *sha;
        (void)dz_map_set(&b->flights, key_of(&f->sha), f);
    }
    f->users++;
    while (!*ret_lead && !f->done)
        pthread_cond_wait(&b->landed, &b->lock);
    pthread_mutex_unlock(&b->lock);
    return f;
}

static void land(struct library_blobs *b, struct flight *f)
{
    pthread_mutex_lock(&b->lock);
    (void)dz_map_del(&b->flights, key_of(&f->sha));
    f->done = true;
    pthread_cond_broadcast(&b->landed);
    pthread_mutex_unlock(&b->lock);
}

static void leave(struct library_blobs *b, struct flight *f)
{
    pthread_mutex_lock(&b->lock);
    bool last = --f->users == 0;
    pthread_mutex_unlock(&b->lock);
    if (!last)
        return;
    dz_body_unref(&f->body);
    dz_file_unref(&f->file);
    free(f);
}

enum dz_code library_blobs_fetch(struct library_blobs *b, const struct dz_blob_ask *ask,
                                 struct dz_body **ret_body, struct dz_file **ret_file,
                                 struct dz_err *err)
{
    bool is_large = ask->bytes > DZ_LIBRARY_BODY_MAX, lead;
    struct dz_file *file = is_large ? library_blobs_file(b, &ask->sha) : NULL;
    struct dz_body *body = is_large ? NULL : library_blobs_body(b, &ask->sha);
    if (file || body) {
        *ret_file = file;
        *ret_body = body;
        return DZ_OK;
    }
    struct flight *f = board(b, &ask->sha, &lead);
    if (lead) {
        /* Somebody may have landed with it a moment ago. */
        f->file = is_large ? library_blobs_file(b, &ask->sha) : NULL;
        f->body = is_large ? NULL : library_blobs_body(b, &ask->sha);
        f->code = f->file || f->body ? DZ_OK : read_blob(b, ask, f);
        land(b, f);
    }
    enum dz_code code = f->code;
    if (code == DZ_OK) {
        *ret_body = f->body ? dz_body_ref(f->body) : NULL;
        *ret_file = f->file ? dz_file_ref(f->file) : NULL;
    } else if (err) {
        *err = f->err;
    }
    leave(b, f);
    return code;
}

enum dz_code library_blobs_stat(struct library_blobs *b, const struct dz_sha256 *sha,
                                struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    struct dz_err why = {0};
    DZ_TRY(fail_if_down(b, err));
    enum dz_code code = dz_store_stat(b->store, sha, ret_stat, &why);
    note(b, code, &why);
    if (code != DZ_OK && err)
        *err = why;
    return code;
}

void library_blobs_stats(struct library_blobs *b, struct dz_library_blob_stats *ret_stats)
{
    library_spool_stats(b->spool, &ret_stats->spool_bytes, &ret_stats->spool_files);
    pthread_mutex_lock(&b->lock);
    ret_stats->store_losses = b->losses;
    pthread_mutex_unlock(&b->lock);
}
