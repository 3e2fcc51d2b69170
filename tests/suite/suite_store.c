/*
 * suite_store: the same cases against every store driver, and against fault in front of each with
 * no fault set.
 *
 * Each case opens a fresh store (store_fixture.h). Named objects are in suite_store_named.c, what
 * only one driver does is in tests/unit/store/.
 */
#include "store_fixture.h"

#include <pthread.h>

/* ---- helpers --------------------------------------------------------------------------------- */

/* Pseudo-random bytes in pieces of odd sizes; fails after `fail_after` bytes when that is not 0. */
struct source {
    dz_str bytes;
    size_t at, step, fail_after;
};

static enum dz_code source_read(void *arg, dz_str *ret_piece, struct dz_err *err)
{
    struct source *s = arg;
    if (s->fail_after && s->at >= s->fail_after)
        return dz_fail(err, DZ_PARSE, "the source broke");
    s->step = s->step * 7 % 65521 + 1;
    *ret_piece = dz_str_sub(s->bytes, s->at, s->at + s->step);
    s->at += ret_piece->n;
    return DZ_OK;
}

static void assert_holds(struct dz_store *s, const struct dz_sha256 *sha, dz_str bytes)
{
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    must(dz_store_get(s, sha, DZ_STORE_BLOB_MAX, &body, err));
    assert_int_equal(body->n, bytes.n);
    assert_int_equal(body->head_n, 0);
    if (bytes.n > 0)
        assert_memory_equal(body->p, bytes.p, bytes.n);
    must(dz_store_verify(s, sha, err));
    struct dz_blob_stat stat;
    must(dz_store_stat(s, sha, &stat, err));
    assert_int_equal(stat.bytes, bytes.n);
    assert_memory_equal(stat.sha.b, sha->b, 32);
}

static void assert_missing(struct dz_store *s, const struct dz_sha256 *sha)
{
    struct dz_body *body = NULL;
    struct dz_blob_stat stat;
    struct dz_err why = {0};
    assert_int_equal(dz_store_get(s, sha, DZ_STORE_BLOB_MAX, &body, &why), DZ_NOT_FOUND);
    assert_int_equal(why.code, DZ_NOT_FOUND);
    assert_null(body);
    assert_int_equal(dz_store_stat(s, sha, &stat, NULL), DZ_NOT_FOUND);
    assert_int_equal(dz_store_verify(s, sha, NULL), DZ_NOT_FOUND);
}

static void put(struct dz_store *s, dz_str bytes, struct dz_blob_stat *ret)
{
    must(dz_store_put_bytes(s, bytes, ret, err));
    struct dz_sha256 want = dz_sha256_of(bytes);
    assert_memory_equal(ret->sha.b, want.b, 32);
    assert_int_equal(ret->bytes, bytes.n);
}

struct tally {
    size_t count;
    uint64_t bytes;
    struct dz_store *delete_from; /* NULL: only count */
};

static enum dz_code tally_one(void *arg, const struct dz_blob_stat *b, struct dz_err *err)
{
    struct tally *t = arg;
    t->count++;
    t->bytes += b->bytes;
    return t->delete_from ? dz_store_del(t->delete_from, &b->sha, err) : DZ_OK;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void test_put_get_stat_del(void **state)
{
    struct fixture *f = *state;
    struct dz_blob_stat put_stat, stat;
    int64_t before_s = dz_now_ms() / 1000;
    put(f->s, DZ_S("a page"), &put_stat);
    assert_holds(f->s, &put_stat.sha, DZ_S("a page"));
    must(dz_store_stat(f->s, &put_stat.sha, &stat, err));
    assert_true(stat.mtime_s >= before_s - 1 && stat.mtime_s <= dz_now_ms() / 1000 + 1);
    assert_true(put_stat.mtime_s >= before_s - 1);

    must(dz_store_del(f->s, &put_stat.sha, err));
    assert_missing(f->s, &put_stat.sha);
    must(dz_store_del(f->s, &put_stat.sha, err));
    put(f->s, DZ_S("a page"), &put_stat);
    assert_holds(f->s, &put_stat.sha, DZ_S("a page"));
}

static void test_small_sizes(void **state)
{
    struct fixture *f = *state;
    struct dz_blob_stat none, one;
    put(f->s, (dz_str){NULL, 0}, &none);
    put(f->s, DZ_S("x"), &one);
    assert_holds(f->s, &none.sha, (dz_str){NULL, 0});
    assert_holds(f->s, &one.sha, DZ_S("x"));

    struct source src = {.bytes = {NULL, 0}};
    must(dz_store_put(f->s, source_read, &src, &one, err));
    assert_memory_equal(one.sha.b, none.sha.b, 32);
    assert_int_equal(count_blobs(f->s), 2);
}

static void test_streamed(void **state)
{
    struct fixture *f = *state;
    size_t n = 5 * DZ_MIB + 13;
    DZ_AUTO(dz_freep) char *p = noise(n, 5);
    struct source src = {.bytes = {p, n}};
    struct dz_blob_stat stat;
    must(dz_store_put(f->s, source_read, &src, &stat, err));
    struct dz_sha256 want = dz_sha256_of((dz_str){p, n});
    assert_memory_equal(stat.sha.b, want.b, 32);
    assert_int_equal(stat.bytes, n);
    assert_holds(f->s, &want, (dz_str){p, n});
}

static void test_same_twice(void **state)
{
    struct fixture *f = *state;
    struct dz_blob_stat first, second;
    put(f->s, DZ_S("the same"), &first);
    put(f->s, DZ_S("the same"), &second);
    struct source src = {.bytes = DZ_S("the same")};
    must(dz_store_put(f->s, source_read, &src, &second, err));
    assert_memory_equal(first.sha.b, second.sha.b, 32);
    assert_int_equal(second.bytes, 8);
    assert_int_equal(count_blobs(f->s), 1);
    assert_holds(f->s, &first.sha, DZ_S("the same"));
}

static void test_bytes_max(void **state)
{
    struct fixture *f = *state;
    struct dz_blob_stat stat;
    put(f->s, DZ_S("12345678"), &stat);
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    struct dz_err why = {0};
    assert_int_equal(dz_store_get(f->s, &stat.sha, 7, &body, &why), DZ_TOO_LARGE);
    assert_null(body);
    assert_true(why.text[0]);
    must(dz_store_get(f->s, &stat.sha, 8, &body, err));
    assert_int_equal(body->n, 8);
}

static void test_missing(void **state)
{
    struct fixture *f = *state;
    struct dz_sha256 sha = dz_sha256_of(DZ_S("never put"));
    assert_missing(f->s, &sha);
    must(dz_store_del(f->s, &sha, err));
    int fd = -1;
    uint64_t bytes = 0;
    enum dz_code code = dz_store_open_file(f->s, &sha, &fd, &bytes, NULL);
    assert_true(code == DZ_NOT_FOUND || code == DZ_UNSUPPORTED);
    assert_int_equal(fd, -1);
    assert_int_equal(count_blobs(f->s), 0);
}

static void test_open_file(void **state)
{
    struct fixture *f = *state;
    struct dz_blob_stat stat;
    put(f->s, DZ_S("for sendfile"), &stat);
    int fd = -1;
    uint64_t bytes = 0;
    enum dz_code code = dz_store_open_file(f->s, &stat.sha, &fd, &bytes, NULL);
    if (!f->v->keeps || f->v->server) {
        assert_int_equal(code, DZ_UNSUPPORTED);
        return;
    }
    assert_int_equal(code, DZ_OK);
    assert_int_equal(bytes, 12);
    char got[16];
    assert_int_equal(pread(fd, got, sizeof(got), 0), 12);
    assert_memory_equal(got, "for sendfile", 12);
    must(dz_store_del(f->s, &stat.sha, err));
    assert_int_equal(pread(fd, got, sizeof(got), 0), 12); /* a reader keeps what it opened */
    close(fd);
}

static void test_failing_reader(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_freep) char *p = noise(300000, 9);
    for (size_t after = 1; after < 300000; after = after * 9 + 1) {
        struct source src = {.bytes = {p, 300000}, .fail_after = after};
        struct dz_blob_stat stat;
        struct dz_err why = {0};
        assert_int_equal(dz_store_put(f->s, source_read, &src, &stat, &why), DZ_PARSE);
        assert_string_equal(why.text, "the source broke");
        struct dz_sha256 part = dz_sha256_of((dz_str){p, src.at});
        assert_missing(f->s, &part);
    }
    assert_int_equal(count_blobs(f->s), 0);
    uint64_t removed = 0;
    must(dz_store_sweep(f->s, 0, &removed, err));
    assert_int_equal(removed, 0);
}

static void test_list(void **state)
{
    struct fixture *f = *state;
    char text[32];
    uint64_t bytes = 0;
    for (int i = 0; i < 700; i++) {
        struct dz_blob_stat stat;
        int n = snprintf(text, sizeof(text), "blob %d", i % 600);
        if (i < 600)
            bytes += (uint64_t)n;
        put(f->s, (dz_str){text, (size_t)n}, &stat);
    }
    struct tally t = {0};
    must(dz_store_list(f->s, tally_one, &t, err));
    assert_int_equal(t.count, 600);
    assert_int_equal(t.bytes, bytes);

    t = (struct tally){.delete_from = f->s};
    must(dz_store_list(f->s, tally_one, &t, err));
    assert_int_equal(t.count, 600);
    assert_int_equal(count_blobs(f->s), 0);
}

static enum dz_code stop_at_three(void *arg, const struct dz_blob_stat *b, struct dz_err *err)
{
    (void)b;
    return ++*(int *)arg == 3 ? dz_fail(err, DZ_CANCELLED, "enough") : DZ_OK;
}

static void test_list_stops(void **state)
{
    struct fixture *f = *state;
    struct dz_blob_stat stat;
    put(f->s, DZ_S("1"), &stat);
    put(f->s, DZ_S("2"), &stat);
    put(f->s, DZ_S("3"), &stat);
    put(f->s, DZ_S("4"), &stat);
    int calls = 0;
    struct dz_err why = {0};
    assert_int_equal(dz_store_list(f->s, stop_at_three, &calls, &why), DZ_CANCELLED);
    assert_int_equal(calls, 3);
    assert_string_equal(why.text, "enough");
}

static void test_reopen(void **state)
{
    struct fixture *f = *state;
    struct dz_blob_stat stat;
    put(f->s, DZ_S("stays"), &stat);
    dz_store_close(&f->s);
    assert_null(f->s);
    open_store(f);
    if (f->v->keeps)
        assert_holds(f->s, &stat.sha, DZ_S("stays"));
    else
        assert_missing(f->s, &stat.sha);
}

struct hammer {
    struct dz_store *s;
    dz_str bytes;
    pthread_barrier_t *start;
    bool batched;
    enum dz_code code;
};

static void *hammer_run(void *arg)
{
    struct hammer *h = arg;
    struct dz_blob_stat stat;
    pthread_barrier_wait(h->start);
    for (size_t i = 0; i < 20 && h->code == DZ_OK; i++) {
        dz_str bytes = dz_str_sub(h->bytes, 0, h->bytes.n - i % 4);
        struct source src = {.bytes = bytes};
        DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
        if (h->batched) {
            h->code = dz_store_batch_begin(h->s, &b, NULL);
            if (h->code == DZ_OK)
                h->code = dz_store_batch_put(b, source_read, &src, &stat, NULL);
            if (h->code == DZ_OK)
                h->code = dz_store_batch_commit(b, NULL);
        } else {
            h->code = dz_store_put(h->s, source_read, &src, &stat, NULL);
        }
        if (h->code == DZ_OK)
            h->code = dz_store_verify(h->s, &stat.sha, NULL);
    }
    return NULL;
}

static void test_threads_same_blob(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_freep) char *p = noise(100000, 3);
    pthread_t threads[6];
    struct hammer hammers[6];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, 6);
    for (size_t i = 0; i < 6; i++) {
        hammers[i] = (struct hammer){f->s, {p, 100000}, &start, i % 2 == 1, DZ_OK};
        assert_int_equal(pthread_create(&threads[i], NULL, hammer_run, &hammers[i]), 0);
    }
    for (size_t i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(hammers[i].code, DZ_OK);
    }
    pthread_barrier_destroy(&start);
    assert_int_equal(count_blobs(f->s), 4);
}

static void test_batch(void **state)
{
    struct fixture *f = *state;
    struct dz_blob_stat before, stat;
    put(f->s, DZ_S("page 7"), &before); /* one of them is there already */
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
    must(dz_store_batch_begin(f->s, &b, err));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 150; i++) {
            char text[32];
            int n = snprintf(text, sizeof(text), "page %d", i % 140 + round);
            dz_str bytes = {text, (size_t)n};
            if (i % 2) {
                must(dz_store_batch_put_bytes(b, bytes, &stat, err));
            } else {
                struct source src = {.bytes = bytes};
                must(dz_store_batch_put(b, source_read, &src, &stat, err));
            }
            struct dz_sha256 want = dz_sha256_of(bytes);
            assert_memory_equal(stat.sha.b, want.b, 32);
            assert_int_equal(stat.bytes, bytes.n);
        }
        must(dz_store_batch_commit(b, err));
        assert_int_equal(count_blobs(f->s), 140 + round);
    }
    assert_holds(f->s, &before.sha, DZ_S("page 7"));
    assert_holds(f->s, &stat.sha, DZ_S("page 10"));
    must(dz_store_batch_commit(b, err)); /* an empty one */
}

/* Bytes that were pushed, among others; what was dropped leaves nothing. */
static void test_written(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_freep) char *p = noise(300000, 5);
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
    must(dz_store_batch_begin(f->s, &b, err));
    for (int round = 0; round < 2; round++) { /* the second time they are there already */
        static const size_t sizes[] = {0, 1, 300000, 300000, 65536};
        for (size_t i = 0; i < DZ_LEN(sizes); i++) {
            struct dz_store_write *w = NULL;
            struct dz_blob_stat stat;
            must(dz_store_write_begin(f->s, &w, err));
            for (size_t at = 0; at < sizes[i]; at += 9999)
                must(dz_store_write_add(
                    w, (dz_str){p + at, sizes[i] - at < 9999 ? sizes[i] - at : 9999}, err));
            assert_int_equal(dz_store_write_bytes(w), sizes[i]);
            must(dz_store_batch_take(b, &w, &stat, err));
            assert_null(w);
            struct dz_sha256 want = dz_sha256_of((dz_str){p, sizes[i]});
            assert_memory_equal(stat.sha.b, want.b, 32);
            assert_int_equal(stat.bytes, sizes[i]);
        }
        must(dz_store_batch_put_bytes(b, DZ_S("beside"), NULL, err));
        must(dz_store_batch_commit(b, err));
        assert_int_equal(count_blobs(f->s), 5);
        struct dz_sha256 sha = dz_sha256_of((dz_str){p, 300000});
        assert_holds(f->s, &sha, (dz_str){p, 300000});
    }
    DZ_AUTO(dz_store_write_drop) struct dz_store_write *w = NULL;
    must(dz_store_write_begin(f->s, &w, err));
    must(dz_store_write_add(w, DZ_S("never"), err));
    dz_store_write_drop(&w);
    must(dz_store_batch_commit(b, err));
    assert_int_equal(count_blobs(f->s), 5);
}

static void test_batch_failing_reader(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
    struct dz_blob_stat good, bad;
    must(dz_store_batch_begin(f->s, &b, err));
    must(dz_store_batch_put_bytes(b, DZ_S("good"), &good, err));
    struct source src = {.bytes = DZ_S("bad"), .fail_after = 1};
    assert_int_equal(dz_store_batch_put(b, source_read, &src, &bad, NULL), DZ_PARSE);
    must(dz_store_batch_commit(b, err));
    assert_holds(f->s, &good.sha, DZ_S("good"));
    assert_int_equal(count_blobs(f->s), 1);
}

static void test_stats(void **state)
{
    struct fixture *f = *state;
    struct dz_blob_stat stat;
    put(f->s, DZ_S("count me"), &stat);
    assert_holds(f->s, &stat.sha, DZ_S("count me"));
    struct dz_sha256 other = dz_sha256_of(DZ_S("not there"));
    assert_missing(f->s, &other);
    struct dz_store_stats *n = dz_store_stats(f->s);
    assert_int_equal(n->puts, 1);
    assert_int_equal(n->put_bytes, 8);
    assert_true(n->reads >= 1 && n->read_bytes == 8 * n->reads);
    assert_true(n->misses >= 3);
    assert_int_equal(n->errors + n->corrupt, 0);
}

static void test_pieces(void **state)
{
    struct fixture *f = *state;
    static char bytes[3 * DZ_MIB + 7];
    const size_t sizes[] = {0, 1, DZ_MIB, sizeof(bytes)};
    uint64_t x = 1;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (char)(x >> 56);
    }
    for (size_t i = 0; i < DZ_LEN(sizes); i++) {
        struct dz_blob_stat stat;
        put(f->s, (dz_str){bytes, sizes[i]}, &stat);
        assert_pieces(f->s, &stat.sha, (dz_str){NULL, 0}, (dz_str){bytes, sizes[i]});
        must(dz_store_del(f->s, &stat.sha, err));
        assert_int_equal(dz_store_read(f->s, &stat.sha, (dz_str){NULL, 0}, DZ_STORE_BLOB_MAX,
                                       refuse_piece, NULL, NULL),
                         DZ_NOT_FOUND);
    }
}

static void test_nulls(void **state)
{
    struct fixture *f = *state;
    struct dz_store *none = NULL;
    dz_store_close(&none);
    struct dz_store_batch *no_batch = NULL;
    dz_store_batch_free(&no_batch);
    must(dz_store_put_bytes(f->s, DZ_S("no stat wanted"), NULL, err));
    must(dz_store_sweep(f->s, 0, NULL, err));
    assert_string_equal(dz_store_name(f->s), f->v->driver->name);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        cmocka_unit_test(test_put_get_stat_del),
        cmocka_unit_test(test_small_sizes),
        cmocka_unit_test(test_streamed),
        cmocka_unit_test(test_same_twice),
        cmocka_unit_test(test_bytes_max),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_open_file),
        cmocka_unit_test(test_failing_reader),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_list_stops),
        cmocka_unit_test(test_reopen),
        cmocka_unit_test(test_threads_same_blob),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_batch_failing_reader),
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_nulls),
    };
    return run_suite(cases, DZ_LEN(cases), false);
}
