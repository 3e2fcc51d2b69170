/*
 * test_blobs: what is fetched from a store without files: once however many want it, in RAM, Redis
 * or as a file, inside the budget of files, and what becomes of it while the store is down.
 */
#include "servers.h"

#include "library/lab.h"
#include "library/library_int.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

/* ---- a store that waits and fails as told ---------------------------------------------------- */

static struct {
    atomic_uint reads;
    atomic_bool closed; /* they wait */
    _Atomic enum dz_code broken;
} far;

static enum dz_code far_get(void *self, const struct dz_sha256 *sha, uint64_t bytes_max,
                            struct dz_body **ret_body, struct dz_err *err)
{
    atomic_fetch_add(&far.reads, 1);
    while (atomic_load(&far.closed))
        sched_yield();
    if (far.broken)
        return dz_fail(err, far.broken, "nobody answers at 192.0.2.1");
    return dz_store_memory.get(self, sha, bytes_max, ret_body, err);
}

static enum dz_code far_named_get(void *self, dz_str name, uint64_t bytes_max,
                                  struct dz_arena *arena, struct dz_store_named *ret_named,
                                  struct dz_body **ret_body, struct dz_err *err)
{
    atomic_fetch_add(&far.reads, 1);
    if (far.broken)
        return dz_fail(err, far.broken, "nobody answers at 192.0.2.1");
    return dz_store_memory.named_get(self, name, bytes_max, arena, ret_named, ret_body, err);
}

static enum dz_code far_stat(void *self, const struct dz_sha256 *sha, struct dz_blob_stat *ret_stat,
                             struct dz_err *err)
{
    if (far.broken)
        return dz_fail(err, far.broken, "nobody answers at 192.0.2.1");
    return dz_store_memory.stat(self, sha, ret_stat, err);
}

static struct {
    struct dz_store_driver driver;
    struct dz_store *store;
    struct dz_cache *ram;
    struct library_blobs *blobs;
    char dir[64];
} it;

static void begin(uint64_t disk_bytes)
{
    memset(&it, 0, sizeof(it));
    far.reads = 0;
    far.closed = false;
    far.broken = DZ_OK;
    it.driver = dz_store_memory;
    it.driver.get = far_get;
    it.driver.stat = far_stat;
    it.driver.named_get = far_named_get;
    (void)snprintf(it.dir, sizeof(it.dir), "/tmp/dozo-blobs-XXXXXX");
    assert_non_null(mkdtemp(it.dir));
    must(dz_store_open_with(&it.driver, it.dir, "", &it.store, err));
    struct dz_cache_options c = {.max_bytes = 16 * DZ_MIB, .max_entries = UINT64_MAX};
    must(dz_cache_open("memory", "", &c, &it.ram, err));
    it.blobs = library_blobs_new(it.store, it.dir, disk_bytes);
    library_blobs_share(it.blobs, it.ram, NULL);
}

static void end(void)
{
    char folder[128];
    library_blobs_free(&it.blobs);
    library_blobs_free(&it.blobs);
    dz_cache_close(&it.ram);
    dz_store_close(&it.store);
    (void)snprintf(folder, sizeof(folder), "%s/cache", it.dir);
    (void)rmdir(folder); /* empty, or the next one fails */
    assert_int_equal(rmdir(it.dir), 0);
}

/* So many bytes that no other seed has. */
static struct dz_blob_ask blob(size_t n, unsigned seed)
{
    DZ_AUTO(dz_body_unref) struct dz_body *b = dz_body_new(n);
    for (size_t i = 0; i < n; i++)
        b->p[i] = (char)(i * 31 + i / 4096 + seed);
    if (n >= sizeof(seed))
        memcpy(b->p, &seed, sizeof(seed));
    struct dz_blob_stat stat;
    must(dz_store_put_bytes(it.store, (dz_str){b->p, b->n}, &stat, err));
    return (struct dz_blob_ask){.sha = stat.sha, .bytes = n};
}

/* The bytes of `ask` once more, as an upload. */
static void name_it(struct dz_blob_ask *ask, dz_str name, dz_str mime)
{
    DZ_AUTO(dz_body_unref) struct dz_body *b = NULL;
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *batch = NULL;
    struct dz_store_write *w = NULL;
    struct dz_blob_stat stat;
    bool is_new = false;
    must(dz_store_get(it.store, &ask->sha, ask->bytes, &b, err));
    must(dz_store_batch_begin(it.store, &batch, err));
    must(dz_store_write_begin(it.store, &w, err));
    must(dz_store_write_add(w, (dz_str){b->p, b->n}, err));
    must(dz_store_batch_take_named(batch, &w, name, mime, &stat, &is_new, err));
    assert_true(is_new);
    must(dz_store_batch_commit(batch, err));
    ask->name = name;
    ask->mime = mime;
}

static bool is_whole(const struct dz_blob_ask *ask, const struct dz_body *body,
                     const struct dz_file *file)
{
    struct dz_sha256 sha;
    if (body) {
        sha = dz_sha256_of((dz_str){body->p, body->n});
    } else {
        DZ_AUTO(dz_freep) char *p = dz_alloc(file->bytes + 1);
        if (pread(file->fd, p, file->bytes + 1, 0) != (ssize_t)ask->bytes)
            return false;
        sha = dz_sha256_of((dz_str){p, ask->bytes});
    }
    return memcmp(sha.b, ask->sha.b, sizeof(sha.b)) == 0;
}

/* The caller lets the file go; a body it does. */
static struct dz_file *fetch(const struct dz_blob_ask *ask)
{
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    struct dz_file *file = NULL;
    must(library_blobs_fetch(it.blobs, ask, &body, &file, err));
    assert_true((body == NULL) != (file == NULL));
    assert_int_equal(body == NULL, ask->bytes > DZ_LIBRARY_BODY_MAX);
    assert_true(is_whole(ask, body, file));
    return file;
}

static void fetch_fails(const struct dz_blob_ask *ask, enum dz_code code, const char *words)
{
    struct dz_body *body = NULL;
    struct dz_file *file = NULL;
    struct dz_err why = {0};
    assert_int_equal(library_blobs_fetch(it.blobs, ask, &body, &file, &why), code);
    assert_true(!body && !file);
    if (!strstr(why.text, words))
        fail_msg("not \"%s\": %s", words, why.text);
}

static uint64_t spooled(void)
{
    struct dz_library_blob_stats s;
    library_blobs_stats(it.blobs, &s);
    return s.spool_bytes;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void bodies_and_files(void **state)
{
    (void)state;
    begin(64 * DZ_MIB);
    static const size_t sizes[] = {0, 1, DZ_MIB, DZ_MIB + 1, 3 * DZ_MIB, 9 * DZ_MIB + 5};
    for (unsigned i = 0; i < DZ_LEN(sizes); i++) {
        struct dz_blob_ask ask = blob(sizes[i], i);
        unsigned before = far.reads;
        for (int twice = 0; twice < 2; twice++) {
            DZ_AUTO(dz_file_unref) struct dz_file *file = fetch(&ask), *again = NULL;
            again = library_blobs_file(it.blobs, &ask.sha);
            assert_ptr_equal(file, again);
            dz_file_unref(&again);
        }
        /* small ones are for those who ask to keep */
        assert_int_equal(far.reads - before, sizes[i] > DZ_MIB ? 1 : 2);
        ask.keep = true;
        for (int twice = 0; twice < 2 && sizes[i] <= DZ_MIB; twice++)
            assert_null(fetch(&ask));
        if (sizes[i] < DZ_MIB) { /* the RAM of this test is too small for more */
            DZ_AUTO(dz_body_unref) struct dz_body *hand = library_blobs_body(it.blobs, &ask.sha);
            assert_non_null(hand);
            assert_int_equal(far.reads - before, 3);
        }
    }
    assert_int_equal(spooled(), DZ_MIB + 1 + 3 * DZ_MIB + 9 * DZ_MIB + 5);
    end();
}

static void what_is_wrong(void **state)
{
    (void)state;
    begin(64 * DZ_MIB);
    static const size_t sizes[] = {100, 2 * DZ_MIB, 9 * DZ_MIB};
    for (unsigned i = 0; i < DZ_LEN(sizes); i++) {
        struct dz_blob_ask ask = blob(sizes[i], i), other = ask;
        other.bytes++;
        fetch_fails(&other, DZ_CORRUPT, "the catalog says");
        other.bytes -= 2;
        fetch_fails(&other, DZ_CORRUPT, "the catalog says");
        other = ask;
        other.sha.b[3] ^= 1;
        fetch_fails(&other, DZ_NOT_FOUND, "");
        assert_int_equal(spooled(), 0);
        DZ_AUTO(dz_file_unref) struct dz_file *file = fetch(&ask);
        dz_file_unref(&file);
        must(dz_store_del(it.store, &ask.sha, err));
        file = ask.bytes > DZ_MIB ? fetch(&ask) : NULL; /* bytes never change */
        dz_file_unref(&file);
        library_blobs_free(&it.blobs);
        it.blobs = library_blobs_new(it.store, it.dir, 64 * DZ_MIB);
        fetch_fails(&ask, DZ_NOT_FOUND, "");
    }
    end();
}

struct asker {
    pthread_t thread;
    struct dz_blob_ask ask;
    atomic_uint *fine, *turned_away;
};

static void *ask_once(void *arg)
{
    struct asker *a = arg;
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    DZ_AUTO(dz_file_unref) struct dz_file *file = NULL;
    enum dz_code code = library_blobs_fetch(it.blobs, &a->ask, &body, &file, NULL);
    if (code == DZ_OK && is_whole(&a->ask, body, file))
        atomic_fetch_add(a->fine, 1);
    if (code == DZ_UNAVAILABLE)
        atomic_fetch_add(a->turned_away, 1);
    return NULL;
}

static void one_reading_for_all(void **state)
{
    (void)state;
    static const size_t sizes[] = {1000, 2 * DZ_MIB};
    for (size_t i = 0; i < DZ_LEN(sizes); i++) {
        begin(64 * DZ_MIB);
        struct dz_blob_ask ask = blob(sizes[i], 1);
        ask.keep = true;
        atomic_uint fine = 0;
        struct asker askers[40];
        atomic_store(&far.closed, true);
        for (size_t n = 0; n < DZ_LEN(askers); n++) {
            askers[n] = (struct asker){.ask = ask, .fine = &fine};
            assert_int_equal(pthread_create(&askers[n].thread, NULL, ask_once, &askers[n]), 0);
        }
        while (atomic_load(&far.reads) == 0)
            sched_yield();
        atomic_store(&far.closed, false);
        for (size_t n = 0; n < DZ_LEN(askers); n++)
            pthread_join(askers[n].thread, NULL);
        assert_int_equal(fine, DZ_LEN(askers));
        assert_int_equal(far.reads, 1);
        end();
    }
}

/* Two at once, two wait, more are told so; small ones go on. */
static void few_large_ones_at_once(void **state)
{
    (void)state;
    begin(64 * DZ_MIB);
    struct asker askers[5];
    atomic_uint fine = 0, turned_away = 0;
    atomic_store(&far.closed, true);
    for (unsigned n = 0; n < DZ_LEN(askers); n++) {
        askers[n] =
            (struct asker){.ask = blob(9 * DZ_MIB, n), .fine = &fine, .turned_away = &turned_away};
        assert_int_equal(pthread_create(&askers[n].thread, NULL, ask_once, &askers[n]), 0);
    }
    while (atomic_load(&turned_away) == 0 || atomic_load(&far.reads) < 2)
        sched_yield();
    assert_int_equal(far.reads, 2);
    atomic_store(&far.closed, false);
    for (unsigned n = 0; n < DZ_LEN(askers); n++)
        pthread_join(askers[n].thread, NULL);
    assert_int_equal(fine, 4);
    assert_int_equal(turned_away, 1);
    assert_int_equal(far.reads, 4);
    end();
}

/* Never more than the budget; what is being sent stays, and is still good. */
static void budget_of_files(void **state)
{
    (void)state;
    begin(10 * DZ_MIB);
    struct dz_blob_ask asks[8];
    for (unsigned i = 0; i < DZ_LEN(asks); i++)
        asks[i] = blob(3 * DZ_MIB, i);
    for (unsigned i = 0; i < DZ_LEN(asks); i++) {
        struct dz_file *file = fetch(&asks[i]);
        assert_true(spooled() <= 10 * DZ_MIB);
        dz_file_unref(&file);
    }
    assert_int_equal(spooled(), 9 * DZ_MIB);
    struct dz_file *sent[3] = {fetch(&asks[5]), fetch(&asks[6]), fetch(&asks[7])};
    assert_int_equal(far.reads, DZ_LEN(asks));
    fetch_fails(&asks[0], DZ_FULL, "cache.disk_bytes");
    assert_int_equal(far.reads, DZ_LEN(asks));
    dz_file_unref(&sent[1]);
    struct dz_file *first = fetch(&asks[0]); /* instead of 6 */
    assert_true(is_whole(&asks[5], NULL, sent[0]));
    assert_true(is_whole(&asks[7], NULL, sent[2]));
    assert_null(library_blobs_file(it.blobs, &asks[6].sha));
    assert_int_equal(spooled(), 9 * DZ_MIB);
    struct dz_blob_ask huge = blob(11 * DZ_MIB, 99);
    fetch_fails(&huge, DZ_FULL, "11534336 bytes");
    dz_file_unref(&first);
    dz_file_unref(&sent[0]);
    dz_file_unref(&sent[2]);
    end();
}

static void the_store_goes_and_comes_back(void **state)
{
    (void)state;
    begin(64 * DZ_MIB);
    char text[256];
    must(library_blobs_watch(it.blobs, err));
    assert_true(library_blobs_healthy(it.blobs, text));
    assert_string_equal(text, "");
    struct dz_blob_ask large = blob(2 * DZ_MIB, 1), small = blob(100, 2), cold = blob(100, 3);
    small.keep = true;
    struct dz_file *file = fetch(&large);
    dz_file_unref(&file);
    assert_null(fetch(&small));
    far.broken = DZ_UNAVAILABLE;
    fetch_fails(&cold, DZ_UNAVAILABLE, "192.0.2.1");
    unsigned before = far.reads;
    for (int i = 0; i < 1000; i++)
        fetch_fails(&cold, DZ_UNAVAILABLE, "the store is down: nobody answers at 192.0.2.1");
    assert_int_equal(far.reads, before); /* nobody waits for what is known to be down */
    struct dz_blob_stat stat;
    struct dz_err why;
    assert_int_equal(library_blobs_stat(it.blobs, &cold.sha, &stat, &why), DZ_UNAVAILABLE);
    assert_false(library_blobs_healthy(it.blobs, text));
    assert_string_equal(text, "nobody answers at 192.0.2.1");
    file = fetch(&large);
    dz_file_unref(&file);
    assert_null(fetch(&small));
    far.broken = DZ_OK;
    while (!library_blobs_healthy(it.blobs, text))
        sched_yield();
    assert_null(fetch(&cold));
    assert_string_equal(text, "");
    must(library_blobs_stat(it.blobs, &cold.sha, &stat, err));
    struct dz_library_blob_stats s;
    library_blobs_stats(it.blobs, &s);
    assert_int_equal(s.store_losses, 1);
    /* One bad blob is no lost store. */
    far.broken = DZ_CORRUPT;
    fetch_fails(&cold, DZ_CORRUPT, "");
    assert_true(library_blobs_healthy(it.blobs, text));
    end();
}

static void redis_in_between(void **state)
{
    (void)state;
    if (!server_uri("redis"))
        server_is_missing("redis");
    begin(64 * DZ_MIB);
    struct dz_shared_cache *shared = NULL;
    struct dz_shared_cache_options o = {
        .uri = server_uri("redis"), .ttl_ms = 60000, .timeout_ms = 10000};
    must(dz_shared_cache_open(&o, &shared, err));
    struct library_blobs *other = library_blobs_new(it.store, it.dir, 64 * DZ_MIB), *one = it.blobs;
    library_blobs_share(one, NULL, shared);
    library_blobs_share(other, NULL, shared);
    static const size_t sizes[] = {16, 5000, 3 * DZ_MIB};
    for (unsigned i = 0; i < DZ_LEN(sizes); i++) {
        char name[16];
        uint64_t random = dz_random_u64();
        dz_hex(&random, sizeof(random), name);
        struct dz_blob_ask ask = blob(sizes[i], (unsigned)random);
        if (i == 1)
            name_it(&ask, (dz_str){name, sizeof(name)}, DZ_S("image/png"));
        unsigned before = far.reads;
        it.blobs = one;
        struct dz_file *file = fetch(&ask);
        dz_file_unref(&file);
        if (i == 1) {
            DZ_AUTO(dz_arena_free) struct dz_arena *arena = dz_arena_new(DZ_MIB);
            DZ_AUTO(dz_body_unref) struct dz_body *b = NULL;
            dz_str mime;
            assert_true(dz_shared_cache_get(shared, ask.name, arena, &b, &mime));
            assert_true(dz_str_eq(mime, ask.mime));
            assert_int_equal(b->n, ask.bytes);
        }
        it.blobs = other;
        far.broken = DZ_IO;
        file = fetch(&ask);
        dz_file_unref(&file);
        far.broken = DZ_OK;
        assert_int_equal(far.reads - before, 1);
    }
    /* Nobody believes other bytes under the name of a digest. */
    struct dz_blob_ask ask = blob(10, (unsigned)dz_random_u64());
    char hex[64];
    dz_hex(ask.sha.b, 32, hex);
    dz_shared_cache_put(shared, (dz_str){hex, 64}, DZ_S("other 10 b"), (dz_str){0});
    assert_null(fetch(&ask));
    far.broken = DZ_IO;
    assert_null(fetch(&ask)); /* replaced */
    it.blobs = one;
    library_blobs_free(&other);
    dz_shared_cache_close(&shared);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_and_files),
        cmocka_unit_test(what_is_wrong),
        cmocka_unit_test(one_reading_for_all),
        cmocka_unit_test(few_large_ones_at_once),
        cmocka_unit_test(budget_of_files),
        cmocka_unit_test(redis_in_between),
        cmocka_unit_test(the_store_goes_and_comes_back),
    };
    return cmocka_run_group_tests_name("blobs", tests, NULL, NULL);
}
