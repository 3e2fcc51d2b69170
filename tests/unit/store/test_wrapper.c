/*
 * test_wrapper: what the wrapper adds to every driver (limits, digests, counters), and the fault
 * driver.
 */
#include "place.h"

/* A memory store that changes the first byte of whatever it gives back. */
static enum dz_code lying_get(void *self, const struct dz_sha256 *sha, uint64_t bytes_max,
                              struct dz_body **ret_body, struct dz_err *err)
{
    DZ_TRY(dz_store_memory.get(self, sha, bytes_max, ret_body, err));
    struct dz_body *changed = dz_body_new((*ret_body)->n);
    memcpy(changed->p, (*ret_body)->p, changed->n);
    changed->p[0] ^= 1;
    dz_body_unref(ret_body);
    *ret_body = changed;
    return DZ_OK;
}

static void test_digest_is_checked(void **state)
{
    (void)state;
    struct dz_store_driver lying = dz_store_memory;
    lying.get = lying_get;
    DZ_AUTO(dz_store_close) struct dz_store *s = NULL;
    must(dz_store_open_with(&lying, "", "", &s, err));
    struct dz_blob_stat stat;
    must(dz_store_put_bytes(s, DZ_S("abc"), &stat, err));
    struct dz_body *body = NULL;
    struct dz_err why = {0};
    assert_int_equal(dz_store_get(s, &stat.sha, 100, &body, &why), DZ_CORRUPT);
    assert_null(body);
    assert_non_null(
        strstr(why.text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    assert_int_equal(dz_store_verify(s, &stat.sha, NULL), DZ_CORRUPT);
    assert_int_equal(dz_store_stats(s)->corrupt, 2);
    assert_int_equal(dz_store_stats(s)->reads, 0);
}

/* Reads all and keeps nothing. */
static enum dz_code void_put(void *self, const struct dz_blob_stat *known, dz_store_read_fn *read,
                             void *arg, struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    (void)self, (void)known;
    *ret_stat = (struct dz_blob_stat){.mtime_s = 0};
    for (dz_str piece = {"", 1}; piece.n > 0; ret_stat->bytes += piece.n)
        DZ_TRY(read(arg, &piece, err));
    return DZ_OK;
}

struct endless {
    dz_str piece;
    uint64_t left;
};

static enum dz_code endless_read(void *arg, dz_str *ret_piece, struct dz_err *err)
{
    (void)err;
    struct endless *e = arg;
    *ret_piece = dz_str_sub(e->piece, 0, e->left);
    e->left -= ret_piece->n;
    return DZ_OK;
}

static void test_limits(void **state)
{
    (void)state;
    struct dz_store_driver hole = dz_store_memory;
    hole.put = void_put;
    DZ_AUTO(dz_store_close) struct dz_store *s = NULL;
    must(dz_store_open_with(&hole, "", "", &s, err));
    DZ_AUTO(dz_freep) char *piece = dz_zalloc(DZ_MIB);
    struct dz_blob_stat stat;
    struct endless e = {{piece, DZ_MIB}, DZ_STORE_BLOB_MAX};
    must(dz_store_put(s, endless_read, &e, &stat, err));
    assert_true(stat.bytes == DZ_STORE_BLOB_MAX);
    e.left = DZ_STORE_BLOB_MAX + 1;
    struct dz_err why = {0};
    assert_int_equal(dz_store_put(s, endless_read, &e, &stat, &why), DZ_TOO_LARGE);
    assert_non_null(strstr(why.text, "2147483648"));
    assert_int_equal(dz_store_put_bytes(s, (dz_str){piece, DZ_STORE_BLOB_MAX + 1}, NULL, NULL),
                     DZ_TOO_LARGE);

    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
    must(dz_store_batch_begin(s, &b, err));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < DZ_STORE_BATCH_MAX; i++)
            must(dz_store_batch_put_bytes(b, DZ_S("x"), NULL, err));
        assert_int_equal(dz_store_batch_put_bytes(b, DZ_S("x"), NULL, NULL), DZ_TOO_LARGE);
        must(dz_store_batch_commit(b, err));
    }
}

/* Puts, reads, deletes; the state after a failed call is that before it. */
static enum dz_code story(struct dz_store *s, int *ret_step, struct dz_err *err)
{
    struct dz_blob_stat stat;
    struct dz_sha256 first = dz_sha256_of(DZ_S("page 0"));
    char text[16];
    *ret_step = 0;
    for (int i = 0; i < 4; i++) {
        int n = snprintf(text, sizeof(text), "page %d", i);
        DZ_TRY(dz_store_put_bytes(s, (dz_str){text, (size_t)n}, &stat, err));
        ++*ret_step;
        DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
        DZ_TRY(dz_store_get(s, &stat.sha, 100, &body, err));
        DZ_TRY(dz_store_stat(s, &first, &stat, err));
    }
    DZ_TRY(dz_store_del(s, &first, err));
    ++*ret_step;
    return DZ_OK;
}

static enum dz_code count_one(void *arg, const struct dz_blob_stat *b, struct dz_err *err)
{
    (void)b, (void)err;
    ++*(int *)arg;
    return DZ_OK;
}

static void test_every_call_fails_once(void **state)
{
    (void)state;
    static const char *const inner[] = {"files", "memory"};
    static const char *const ops[] = {"put", "get", "stat", "del"};
    static const int calls[] = {4, 4, 4, 1};
    for (size_t i = 0; i < DZ_LEN(inner); i++) {
        for (size_t op = 0; op < DZ_LEN(ops); op++) {
            for (int nth = 1; nth <= calls[op] + 1; nth++) {
                struct place p = {.s = NULL};
                place_make(&p);
                char uri[40];
                (void)snprintf(uri, sizeof(uri), "%s?%s=%d", inner[i], ops[op], nth);
                must(dz_store_open_with(&dz_store_fault, p.dir, uri, &p.s, err));
                struct dz_err why = {0};
                int step = 0, there = 0;
                enum dz_code code = story(p.s, &step, &why);
                assert_int_equal(code, nth <= calls[op] ? DZ_IO : DZ_OK);
                if (code != DZ_OK) {
                    assert_non_null(strstr(why.text, ops[op]));
                    assert_int_equal(dz_store_stats(p.s)->errors, 1);
                }
                must(dz_store_list(p.s, count_one, &there, err));
                assert_int_equal(there, step <= 4 ? step : 3);
                if (code != DZ_OK) /* the fault has passed */
                    must(story(p.s, &step, err));
                dz_store_close(&p.s);
                place_remove(&p);
            }
        }
    }
}

static void test_fault_uris(void **state)
{
    (void)state;
    static const char *const bad[] = {"nowhere", "memory?puts=1", "memory?put", "memory?put=x",
                                      "memory?&put=1"};
    struct dz_store *s = NULL;
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        struct dz_err why = {0};
        assert_int_equal(dz_store_open_with(&dz_store_fault, "", bad[i], &s, &why), DZ_BAD_INPUT);
        assert_true(why.text[0]);
        assert_null(s);
    }
    must(dz_store_open_with(&dz_store_fault, "", "memory?list=1&delay_ms=1&short=1", &s, err));
    struct dz_blob_stat stat;
    struct endless e = {DZ_S("abc"), 3};
    must(dz_store_put(s, endless_read, &e, &stat, err));
    struct dz_sha256 want = dz_sha256_of(DZ_S("abc"));
    assert_memory_equal(stat.sha.b, want.b, 32);
    int n = 0;
    assert_int_equal(dz_store_list(s, count_one, &n, NULL), DZ_IO);
    must(dz_store_list(s, count_one, &n, err));
    assert_int_equal(n, 1);
    dz_store_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest_is_checked),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_every_call_fails_once),
        cmocka_unit_test(test_fault_uris),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) > 0;
}
