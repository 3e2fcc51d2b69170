/*
 * test_files: the cache of open blobs: its bound, one open a miss, files that come and go below it.
 */
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab.h"
#include "library/library_int.h"

static struct dz_sha256 put(struct lab *l, unsigned seed)
{
    struct dz_blob_stat stat;
    must(dz_store_put_bytes(dz_library_store(l->lib), lab_picture(seed), &stat, err));
    return stat.sha;
}

static void test_hit(void **state)
{
    (void)state;
    struct lab l;
    lab_init(&l, NULL);
    struct dz_sha256 sha = put(&l, 1);
    struct dz_file *a = NULL, *b = NULL;
    must(dz_library_file(l.lib, &sha, &a, err));
    must(dz_library_file(l.lib, &sha, &b, err));
    assert_ptr_equal(a, b);
    char bytes[512];
    dz_str want = lab_picture(1);
    assert_int_equal(a->bytes, want.n);
    assert_int_equal(pread(a->fd, bytes, sizeof(bytes), 0), want.n);
    assert_memory_equal(bytes, want.p, want.n);
    dz_file_unref(&a);
    dz_file_unref(&b);
    lab_done(&l);
}

static void test_bound(void **state)
{
    (void)state;
    enum { BLOBS = 200, MAX = 32 };
    struct lab l;
    struct dz_file *held[BLOBS];
    struct dz_sha256 shas[BLOBS];
    lab_init(&l, NULL);
    struct library_files *f = library_files_new(dz_library_store(l.lib), MAX);
    for (unsigned i = 0; i < BLOBS; i++)
        shas[i] = put(&l, i);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < BLOBS; i++) {
            must(library_files_get(f, &shas[i], &held[i], err));
            assert_true(library_files_count(f) <= MAX);
            struct stat st;
            assert_int_equal(fstat(held[i]->fd, &st), 0);
            dz_file_unref(&held[i]);
        }
    assert_true(library_files_count(f) > MAX / 2);
    /* What a reader holds stays open when the cache has forgotten it. */
    must(library_files_get(f, &shas[0], &held[0], err));
    for (unsigned i = 1; i < BLOBS; i++) {
        must(library_files_get(f, &shas[i], &held[i], err));
        dz_file_unref(&held[i]);
    }
    struct stat st;
    assert_int_equal(fstat(held[0]->fd, &st), 0);
    dz_file_unref(&held[0]);
    library_files_free(&f);
    lab_done(&l);
}

static void test_missing(void **state)
{
    (void)state;
    struct lab l;
    struct dz_file *file = NULL;
    struct dz_err err = {0};
    lab_init(&l, NULL);
    struct dz_sha256 sha = dz_sha256_of(lab_picture(5));
    assert_int_equal(dz_library_file(l.lib, &sha, &file, &err), DZ_NOT_FOUND);
    assert_null(file);
    (void)put(&l, 5); /* a miss is not remembered */
    must(dz_library_file(l.lib, &sha, &file, err));
    dz_file_unref(&file);
    lab_done(&l);
}

/* Out of descriptors, the cache gives up its own. */
static void test_no_descriptors(void **state)
{
    (void)state;
    enum { BLOBS = 40 };
    struct lab l;
    struct rlimit before, low;
    lab_init(&l, NULL);
    struct library_files *f = library_files_new(dz_library_store(l.lib), 1024);
    struct dz_sha256 shas[BLOBS];
    for (unsigned i = 0; i < BLOBS; i++)
        shas[i] = put(&l, i);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0);
    close(next);
    low = before;
    low.rlim_cur = (rlim_t)next + 20;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (unsigned i = 0; i < BLOBS; i++) {
        struct dz_file *file = NULL;
        must(library_files_get(f, &shas[i], &file, err));
        dz_file_unref(&file);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    library_files_free(&f);
    lab_done(&l);
}

/* ---- many threads ---------------------------------------------------------------------------- */

/* Several threads that want the same blob at once. */
struct meeting {
    struct library_files *f;
    const struct dz_sha256 *sha;
    pthread_barrier_t *barrier;
    struct dz_file *file;
};

static void *meet(void *arg)
{
    struct meeting *m = arg;
    pthread_barrier_wait(m->barrier);
    must(library_files_get(m->f, m->sha, &m->file, err));
    return NULL;
}

static void test_single_open(void **state)
{
    (void)state;
    enum { THREADS = 8 };
    struct lab l;
    struct meeting m[THREADS];
    pthread_t threads[THREADS];
    pthread_barrier_t barrier;
    lab_init(&l, NULL);
    struct dz_sha256 sha = put(&l, 1);
    struct library_files *f = library_files_new(dz_library_store(l.lib), 64);
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        m[i] = (struct meeting){f, &sha, &barrier, NULL};
        assert_int_equal(pthread_create(&threads[i], NULL, meet, &m[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < THREADS; i++)
        assert_ptr_equal(m[i].file, m[0].file); /* one open for all */
    assert_int_equal(library_files_count(f), 1);
    for (size_t i = 0; i < THREADS; i++)
        dz_file_unref(&m[i].file);
    pthread_barrier_destroy(&barrier);
    library_files_free(&f);
    lab_done(&l);
}

struct churn {
    struct library_files *f;
    const struct dz_sha256 *shas;
    unsigned seed;
};

static void *churn(void *arg)
{
    struct churn *c = arg;
    for (unsigned i = 0; i < 3000; i++) {
        struct dz_file *file = NULL;
        c->seed = c->seed * 1103515245u + 12345u;
        must(library_files_get(c->f, &c->shas[c->seed >> 16 & 63], &file, err));
        dz_file_unref(&file);
    }
    return NULL;
}

static void test_churn(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    struct lab l;
    struct dz_sha256 shas[64];
    struct churn c[THREADS];
    pthread_t threads[THREADS];
    lab_init(&l, NULL);
    for (unsigned i = 0; i < 64; i++)
        shas[i] = put(&l, i);
    struct library_files *f = library_files_new(dz_library_store(l.lib), 16);
    for (unsigned i = 0; i < THREADS; i++) {
        c[i] = (struct churn){f, shas, i};
        assert_int_equal(pthread_create(&threads[i], NULL, churn, &c[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(library_files_count(f) <= 16);
    library_files_free(&f);
    lab_done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hit),         cmocka_unit_test(test_bound),
        cmocka_unit_test(test_missing),     cmocka_unit_test(test_no_descriptors),
        cmocka_unit_test(test_single_open), cmocka_unit_test(test_churn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
