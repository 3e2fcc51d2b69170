/*
 * suite_store_named: objects under names of their own, the same cases against every driver that has
 * them; and, where a database lies below, rows that imoog writes and reads (contracts/imoog.md
 * section 4), made here with zlib and the database's own client.
 */
#include "store_fixture.h"

#include <pthread.h>
#include <zlib.h>

#define PNG "\x89PNG\r\n\x1a\n"

static const dz_str no_mime = {NULL, 0};

/* ---- helpers --------------------------------------------------------------------------------- */

static struct dz_store_write *written(struct dz_store *s, dz_str bytes)
{
    struct dz_store_write *w = NULL;
    must(dz_store_write_begin(s, &w, err));
    for (size_t at = 0; at < bytes.n; at += 65537)
        must(dz_store_write_add(w, dz_str_sub(bytes, at, at + 65537), err));
    return w;
}

static bool take(struct dz_store_batch *b, struct dz_store *s, dz_str name, dz_str mime,
                 dz_str bytes)
{
    DZ_AUTO(dz_store_write_drop) struct dz_store_write *w = written(s, bytes);
    struct dz_blob_stat stat;
    bool is_new = false;
    must(dz_store_batch_take_named(b, &w, name, mime, &stat, &is_new, err));
    assert_int_equal(is_new, w == NULL);
    if (!is_new)
        return false;
    struct dz_sha256 want = dz_sha256_of(bytes);
    assert_memory_equal(stat.sha.b, want.b, 32);
    assert_int_equal(stat.bytes, bytes.n);
    return true;
}

static bool put_named(struct dz_store *s, dz_str name, dz_str mime, dz_str bytes)
{
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
    must(dz_store_batch_begin(s, &b, err));
    bool is_new = take(b, s, name, mime, bytes);
    must(dz_store_batch_commit(b, err));
    return is_new;
}

static enum dz_code facts(struct dz_store *s, dz_str name)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_store_named n;
    return dz_store_named_get(s, name, 0, a, &n, NULL, NULL);
}

static void assert_named(struct dz_store *s, dz_str name, dz_str mime, dz_str bytes)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    struct dz_sha256 want = dz_sha256_of(bytes);
    for (int round = 0; round < 2; round++) {
        struct dz_store_named n;
        memset(&n, 0, sizeof(n));
        dz_body_unref(&body);
        must(dz_store_named_get(s, name, bytes.n, a, &n, round ? NULL : &body, err));
        assert_true(dz_str_eq(n.name, name) && n.name.p != name.p);
        assert_int_equal(n.mime.p != NULL, mime.p != NULL);
        assert_true(dz_str_eq(n.mime, mime));
        assert_true(n.measured && n.stat.mtime_s > 0);
        assert_int_equal(n.stat.bytes, bytes.n);
        assert_memory_equal(n.stat.sha.b, want.b, 32);
        if (!body)
            continue;
        assert_int_equal(body->n, bytes.n);
        assert_memory_equal(body->p, bytes.p ? bytes.p : "", bytes.n);
    }
    dz_body_unref(&body);
    must(dz_store_get(s, &want, bytes.n, &body, err)); /* by digest as well */
    assert_int_equal(body->n, bytes.n);
    if (bytes.n > 0) {
        struct dz_store_named n;
        dz_body_unref(&body);
        assert_int_equal(dz_store_named_get(s, name, bytes.n - 1, a, &n, &body, NULL),
                         DZ_TOO_LARGE);
        assert_null(body);
    }
    assert_pieces(s, &want, name, bytes);
    assert_pieces(s, &want, (dz_str){NULL, 0}, bytes);
    if (bytes.n > 0) {
        struct dz_sha256 other = dz_sha256_of(DZ_S("something else"));
        assert_int_equal(dz_store_read(s, &other, name, bytes.n, take_piece,
                                       &(struct pieces){.want = bytes}, NULL),
                         DZ_NOT_FOUND);
    }
}

static enum dz_code count_named(void *arg, const struct dz_store_named *n, struct dz_err *err)
{
    (void)n, (void)err;
    ++*(size_t *)arg;
    return DZ_OK;
}

static size_t named(struct dz_store *s)
{
    size_t n = 0;
    must(dz_store_named_list(s, count_named, &n, err));
    return n;
}

/* ---- our own --------------------------------------------------------------------------------- */

static void test_put_get_del(void **state)
{
    struct fixture *f = *state;
    static const struct {
        dz_str name, mime, bytes;
    } cases[] = {
        {{"DTLNSU6MU", 9}, {"image/png", 9}, {PNG " and so on", 18}},
        {{"a.b/c d%", 8}, {NULL, 0}, {"plain", 5}},
        {{"0", 1}, {"", 0}, {"", 0}},
        {{"\xc3\xa4\xe2\x82\xac", 5}, {"text/plain; charset=utf-8", 25}, {"\0\1\2", 3}},
    };
    assert_true(dz_store_has_names(f->s));
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        assert_int_equal(facts(f->s, cases[i].name), DZ_NOT_FOUND);
        assert_true(put_named(f->s, cases[i].name, cases[i].mime, cases[i].bytes));
        assert_named(f->s, cases[i].name, cases[i].mime, cases[i].bytes);
        assert_false(put_named(f->s, cases[i].name, no_mime, DZ_S("other")));
        assert_named(f->s, cases[i].name, cases[i].mime, cases[i].bytes);
    }
    assert_int_equal(named(f->s), DZ_LEN(cases));
    assert_int_equal(count_blobs(f->s), 0);
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        bool was = false;
        must(dz_store_named_del(f->s, cases[i].name, &was, err));
        assert_true(was);
        must(dz_store_named_del(f->s, cases[i].name, &was, err));
        assert_false(was);
        assert_int_equal(facts(f->s, cases[i].name), DZ_NOT_FOUND);
        struct dz_sha256 sha = dz_sha256_of(cases[i].bytes);
        assert_int_equal(dz_store_stat(f->s, &sha, &(struct dz_blob_stat){0}, NULL), DZ_NOT_FOUND);
    }
    assert_true(put_named(f->s, cases[0].name, no_mime, DZ_S("again")));
    assert_named(f->s, cases[0].name, no_mime, DZ_S("again"));
}

static void test_bad_names(void **state)
{
    struct fixture *f = *state;
    char longest[DZ_STORE_NAME_BYTES_MAX + 1], mime[DZ_STORE_MIME_BYTES_MAX + 1];
    for (size_t i = 0; i < sizeof(longest); i++)
        longest[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"[dz_random_u64() % 36];
    memset(mime, 'm', sizeof(mime));
    char hex[65];
    memset(hex, 'a', sizeof(hex));
    const dz_str bad[] = {{"", 0}, {"a\0b", 3}, {"\xff", 1}, {longest, sizeof(longest)}, {hex, 64}};
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
    must(dz_store_batch_begin(f->s, &b, err));
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        struct dz_store_write *w = written(f->s, DZ_S("x"));
        bool is_new = true;
        struct dz_err why = {0};
        assert_int_equal(dz_store_batch_take_named(b, &w, bad[i], no_mime, NULL, &is_new, &why),
                         DZ_BAD_INPUT);
        assert_null(w);
        assert_true(why.text[0]);
        assert_int_equal(facts(f->s, bad[i]), DZ_NOT_FOUND);
        must(dz_store_named_del(f->s, bad[i], &is_new, err));
        assert_false(is_new);
    }
    struct dz_store_write *w = written(f->s, DZ_S("x"));
    bool is_new;
    assert_int_equal(dz_store_batch_take_named(b, &w, DZ_S("m"), (dz_str){mime, sizeof(mime)}, NULL,
                                               &is_new, NULL),
                     DZ_BAD_INPUT);
    hex[0] = 'A'; /* no digest: those are small */
    const dz_str good[] = {{hex, 64}, {hex, 63}, {longest, sizeof(longest) - 1}};
    for (size_t i = 0; i < DZ_LEN(good); i++) {
        assert_true(take(b, f->s, good[i], (dz_str){mime, sizeof(mime) - 1}, DZ_S("y")));
        assert_false(take(b, f->s, good[i], no_mime, DZ_S("z"))); /* in the same batch */
    }
    must(dz_store_batch_commit(b, err));
    for (size_t i = 0; i < DZ_LEN(good); i++)
        assert_named(f->s, good[i], (dz_str){mime, sizeof(mime) - 1}, DZ_S("y"));
}

/* What is said about names beforehand changes nothing. */
static void test_expected_names(void **state)
{
    enum { N = 40 };
    struct fixture *f = *state;
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
    char texts[N][8];
    dz_str names[N + 1];
    for (size_t i = 0; i < N; i++)
        names[i] = (dz_str){texts[i], (size_t)snprintf(texts[i], sizeof(texts[i]), "e%zu", i)};
    names[N] = names[3]; /* twice */
    assert_true(put_named(f->s, names[35], no_mime, DZ_S("there")));
    must(dz_store_batch_begin(f->s, &b, err));
    must(dz_store_batch_expect(b, NULL, 0, err));
    must(dz_store_batch_expect(b, names, N + 1, err));
    must(dz_store_batch_expect(b, (dz_str[]){DZ_S("x"), {"a\0b", 3}}, 2, err));
    for (size_t i = 0; i < N; i++)
        assert_int_equal(take(b, f->s, names[i], no_mime, DZ_S("bytes")), i != 35);
    assert_false(take(b, f->s, names[N], no_mime, DZ_S("again")));
    assert_true(take(b, f->s, DZ_S("unexpected"), no_mime, DZ_S("bytes")));
    must(dz_store_batch_commit(b, err));
    assert_int_equal(named(f->s), N + 1);
    assert_named(f->s, names[35], no_mime, DZ_S("there"));
    assert_named(f->s, names[3], no_mime, DZ_S("bytes"));
    /* The batch goes on, and what it knew is old. */
    must(dz_store_named_del(f->s, names[5], &(bool){false}, err));
    assert_false(take(b, f->s, names[4], no_mime, DZ_S("other")));
    assert_true(take(b, f->s, names[5], no_mime, DZ_S("other")));
    must(dz_store_batch_expect(b, (dz_str[]){DZ_S("p"), DZ_S("q")}, 2, err));
    assert_true(put_named(f->s, DZ_S("p"), no_mime, DZ_S("quicker")));
    if (take(b, f->s, DZ_S("p"), no_mime, DZ_S("slower"))) /* nobody asked again */
        assert_int_equal(dz_store_batch_commit(b, NULL), DZ_CONFLICT);
    assert_named(f->s, DZ_S("p"), no_mime, DZ_S("quicker"));
}

/* Nothing is there before the commit, nothing after a drop; blobs and named objects side by side.
 */
static void test_batches(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
    DZ_AUTO(dz_freep) char *large = noise(700000, 3);
    must(dz_store_batch_begin(f->s, &b, err));
    assert_true(take(b, f->s, DZ_S("never"), no_mime, DZ_S("dropped")));
    dz_store_batch_free(&b);
    must(dz_store_batch_begin(f->s, &b, err));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 40; i++) {
            char name[16], text[32];
            int name_n = snprintf(name, sizeof(name), "r%dn%d", round, i);
            int n = snprintf(text, sizeof(text), "object %d %d", round, i);
            dz_str bytes = i % 10 ? (dz_str){text, (size_t)n} : (dz_str){large, 700000};
            assert_true(take(b, f->s, (dz_str){name, (size_t)name_n}, DZ_S("a/b"), bytes));
            must(dz_store_batch_put_bytes(b, bytes, NULL, err)); /* the same bytes as a blob */
            assert_int_equal(facts(f->s, (dz_str){name, (size_t)name_n}), DZ_NOT_FOUND);
        }
        assert_int_equal(named(f->s), round * 40);
        must(dz_store_batch_commit(b, err));
        assert_int_equal(named(f->s), (round + 1) * 40);
        assert_int_equal(count_blobs(f->s), 1 + 36 * (round + 1));
    }
    struct dz_sha256 sha = dz_sha256_of((dz_str){large, 700000});
    must(dz_store_del(f->s, &sha, err)); /* the blob, not the objects */
    assert_named(f->s, DZ_S("r1n0"), DZ_S("a/b"), (dz_str){large, 700000});
    assert_int_equal(facts(f->s, DZ_S("never")), DZ_NOT_FOUND);
    uint64_t removed = 0;
    must(dz_store_sweep(f->s, 0, &removed, err));
    assert_int_equal(removed, 0);
    assert_named(f->s, DZ_S("r0n7"), DZ_S("a/b"), DZ_S("object 0 7"));
}

/* A name that was free when it was taken and is not when it is committed. */
static void test_conflict(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *first = NULL, *second = NULL;
    must(dz_store_batch_begin(f->s, &first, err));
    must(dz_store_batch_begin(f->s, &second, err));
    assert_true(take(first, f->s, DZ_S("same"), no_mime, DZ_S("first")));
    assert_true(take(second, f->s, DZ_S("same"), no_mime, DZ_S("second")));
    assert_true(take(second, f->s, DZ_S("other"), no_mime, DZ_S("second")));
    must(dz_store_batch_commit(first, err));
    struct dz_err why = {0};
    assert_int_equal(dz_store_batch_commit(second, &why), DZ_CONFLICT);
    assert_true(why.text[0]);
    assert_named(f->s, DZ_S("same"), no_mime, DZ_S("first"));
    /* A failed batch is empty and good for more. */
    must(dz_store_named_del(f->s, DZ_S("other"), NULL, err));
    assert_true(take(second, f->s, DZ_S("other"), no_mime, DZ_S("third")));
    must(dz_store_batch_commit(second, err));
    assert_named(f->s, DZ_S("other"), no_mime, DZ_S("third"));
}

struct lister {
    struct dz_store *s;
    size_t count;
    uint64_t bytes;
};

static enum dz_code delete_one(void *arg, const struct dz_store_named *n, struct dz_err *err)
{
    struct lister *l = arg;
    assert_true(n->measured && n->mime.p == NULL && n->name.n > 0);
    l->count++;
    l->bytes += n->stat.bytes;
    return dz_store_named_del(l->s, n->name, NULL, err);
}

static void test_long_list(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
    must(dz_store_batch_begin(f->s, &b, err));
    for (int i = 0; i < 2100; i++) {
        char name[16];
        int n = snprintf(name, sizeof(name), "n%d", i);
        assert_true(take(b, f->s, (dz_str){name, (size_t)n}, no_mime, (dz_str){name, (size_t)n}));
        if (i % 700 == 699)
            must(dz_store_batch_commit(b, err));
    }
    struct lister l = {.s = f->s};
    must(dz_store_named_list(f->s, delete_one, &l, err));
    assert_int_equal(l.count, 2100);
    assert_int_equal(l.bytes, 10 * 2 + 90 * 3 + 900 * 4 + 1100 * 5);
    assert_int_equal(named(f->s), 0);
}

/* Everybody writes the same blobs, each in another order, and objects of their own. */
struct crowd {
    struct dz_store *s;
    pthread_barrier_t *start;
    unsigned me;
    enum dz_code code;
};

static void *crowd_run(void *arg)
{
    struct crowd *c = arg;
    pthread_barrier_wait(c->start);
    for (unsigned round = 0; round < 6 && c->code == DZ_OK; round++) {
        DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
        c->code = dz_store_batch_begin(c->s, &b, NULL);
        for (unsigned i = 0; i < 12 && c->code == DZ_OK; i++) {
            char text[32];
            int n = snprintf(text, sizeof(text), "r%u b%u", round, (i * (2 * c->me + 1)) % 12);
            c->code = dz_store_batch_put_bytes(b, (dz_str){text, (size_t)n}, NULL, NULL);
        }
        char name[32];
        int n = snprintf(name, sizeof(name), "m%ur%u", c->me, round);
        DZ_AUTO(dz_store_write_drop) struct dz_store_write *w = NULL;
        bool is_new = false;
        if (c->code == DZ_OK)
            c->code = dz_store_write_begin(c->s, &w, NULL);
        if (c->code == DZ_OK)
            c->code = dz_store_write_add(w, (dz_str){name, (size_t)n}, NULL);
        if (c->code == DZ_OK)
            c->code = dz_store_batch_take_named(b, &w, (dz_str){name, (size_t)n}, no_mime, NULL,
                                                &is_new, NULL);
        if (c->code == DZ_OK)
            c->code = dz_store_batch_commit(b, NULL);
    }
    return NULL;
}

static void test_crowd(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[5];
    struct crowd crowd[5];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, 5);
    for (unsigned i = 0; i < 5; i++) {
        crowd[i] = (struct crowd){f->s, &start, i, DZ_OK};
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_run, &crowd[i]), 0);
    }
    for (size_t i = 0; i < 5; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(crowd[i].code, DZ_OK);
    }
    pthread_barrier_destroy(&start);
    assert_int_equal(count_blobs(f->s), 72);
    assert_int_equal(named(f->s), 30);
}

/* ---- rows of imoog and for imoog ------------------------------------------------------------- */

static dz_str zlib_of(dz_str bytes, int level, char **ret_p)
{
    uLongf n = compressBound(bytes.n);
    char *p = dz_alloc(n + 16);
    assert_int_equal(
        compress2((Bytef *)p, &n, (const Bytef *)(bytes.p ? bytes.p : ""), bytes.n, level), Z_OK);
    *ret_p = p;
    return (dz_str){p, n};
}

/* Kept as imoog would: its zlib.decompress reads it. */
static void assert_imoog_reads(struct fixture *f, dz_str name, bool has_mime, dz_str bytes)
{
    DZ_AUTO(dz_buf_done) struct dz_buf image;
    DZ_AUTO(dz_freep) char *back = dz_alloc(bytes.n + 1);
    uLongf back_n = bytes.n + 1;
    bool has = !has_mime;
    dz_buf_init(&image, DZ_GIB);
    assert_true(f->v->imoog->get(f, name, &image, &has));
    assert_int_equal(has, has_mime);
    assert_int_equal(uncompress((Bytef *)back, &back_n, (Bytef *)image.p, image.n), Z_OK);
    assert_int_equal(back_n, bytes.n);
    assert_memory_equal(back, bytes.p, bytes.n);
}

static void test_imoog_reads_ours(void **state)
{
    struct fixture *f = *state;
    if (!f->v->imoog)
        return;
    DZ_AUTO(dz_freep) char *p = noise(300000, 11);
    dz_str noisy = {p, 300000};
    char zeros[5000] = {0};
    assert_true(put_named(f->s, DZ_S("one"), DZ_S("image/png"), noisy));
    assert_true(put_named(f->s, DZ_S("two"), no_mime, (dz_str){zeros, sizeof(zeros)}));
    assert_imoog_reads(f, DZ_S("one"), true, noisy);
    assert_imoog_reads(f, DZ_S("two"), false, (dz_str){zeros, sizeof(zeros)});
    struct dz_blob_stat stat;
    must(dz_store_put_bytes(f->s, DZ_S("a blob"), &stat, err));
    char hex[64];
    dz_hex(stat.sha.b, 32, hex);
    assert_imoog_reads(f, (dz_str){hex, 64}, false, DZ_S("a blob"));

    /* Level auto: a picture as it is, a text packed. */
    memcpy(zeros, PNG, 8);
    assert_true(put_named(f->s, DZ_S("png"), no_mime, (dz_str){zeros, sizeof(zeros)}));
    static const dz_str names[] = {{"png", 3}, {"two", 3}};
    for (size_t i = 0; i < 2; i++) {
        DZ_AUTO(dz_buf_done) struct dz_buf image;
        bool has;
        dz_buf_init(&image, DZ_MIB);
        assert_true(f->v->imoog->get(f, names[i], &image, &has));
        assert_int_equal(image.n > sizeof(zeros), i == 0);
    }
}

static enum dz_code not_measured(void *arg, const struct dz_store_named *n, struct dz_err *err)
{
    (void)err;
    assert_false(n->measured);
    ++*(size_t *)arg;
    return DZ_OK;
}

static void test_rows_of_imoog(void **state)
{
    struct fixture *f = *state;
    if (!f->v->imoog)
        return;
    static const int levels[] = {0, 1, 6, 9};
    static const dz_str mimes[] = {{NULL, 0}, {"", 0}, {"image/webp", 10}};
    static const size_t name_sizes[] = {1, 64, 300, 1500}, sizes[] = {0, 1, 40000, 2000000};
    char names[4][1500];
    size_t n = 0;
    for (size_t i = 0; i < 4; i++) {
        size_t name_n = name_sizes[i];
        for (size_t k = 0; k < name_n; k++)
            names[i][k] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"[dz_random_u64() % 36];
        DZ_AUTO(dz_freep) char *bytes = noise(sizes[i], i + 1);
        DZ_AUTO(dz_freep) char *packed = NULL;
        dz_str image = zlib_of((dz_str){bytes, sizes[i]}, levels[i], &packed);
        memcpy(packed + image.n, "trailing", 8);
        image.n += i == 2 ? 8 : 0; /* zlib.decompress takes no notice of it */
        dz_str name = {names[i], name_n};
        f->v->imoog->add(f, name, image, mimes[i % 3]);
        n++;
        assert_false(put_named(f->s, name, no_mime, DZ_S("taken")));
        size_t seen = 0;
        must(dz_store_named_list(f->s, i ? count_named : not_measured, &seen, err));
        assert_int_equal(seen, n);
        struct dz_sha256 sha = dz_sha256_of((dz_str){bytes, sizes[i]});
        assert_int_equal(dz_store_stat(f->s, &sha, &(struct dz_blob_stat){0}, NULL), DZ_NOT_FOUND);
        assert_named(f->s, name, mimes[i % 3], (dz_str){bytes, sizes[i]});
        must(dz_store_stat(f->s, &sha, &(struct dz_blob_stat){0}, err));
        assert_imoog_reads(f, name, mimes[i % 3].p != NULL, (dz_str){bytes, sizes[i]});
        bool was = false;
        if (i != 3)
            continue;
        must(dz_store_named_del(f->s, name, &was, err));
        assert_true(was);
        assert_false(f->v->imoog->get(f, name, &(struct dz_buf){.max = 1}, &was));
    }
    assert_int_equal(count_blobs(f->s), 0);
}

static void test_broken_rows(void **state)
{
    struct fixture *f = *state;
    if (!f->v->imoog)
        return;
    DZ_AUTO(dz_freep) char *p = noise(3000, 8);
    DZ_AUTO(dz_freep) char *packed = NULL;
    DZ_AUTO(dz_freep) char *bomb = NULL;
    DZ_AUTO(dz_freep) char *zeros = dz_zalloc(30 * DZ_MIB);
    dz_str good = zlib_of((dz_str){p, 3000}, 6, &packed);
    dz_str huge = zlib_of((dz_str){zeros, 30 * DZ_MIB}, 9, &bomb);
    f->v->imoog->add(f, DZ_S("cut"), dz_str_sub(good, 0, good.n - 1), no_mime);
    f->v->imoog->add(f, DZ_S("plain"), DZ_S("no zlib at all"), no_mime);
    f->v->imoog->add(f, DZ_S("empty"), DZ_S(""), no_mime);
    f->v->imoog->add(f, DZ_S("null"), no_mime, no_mime);
    f->v->imoog->add(f, DZ_S("bomb"), huge, no_mime);
    packed[good.n / 2] ^= 4;
    f->v->imoog->add(f, DZ_S("turned"), good, no_mime);
    static const char *const bad[] = {"cut", "plain", "empty", "null", "turned"};
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_store_named n;
    struct dz_body *body = NULL;
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        struct dz_err why = {0};
        assert_int_equal(dz_store_named_get(f->s, dz_str_of(bad[i]), DZ_MIB, a, &n, &body, &why),
                         DZ_CORRUPT);
        assert_true(why.text[0]);
        assert_int_equal(facts(f->s, dz_str_of(bad[i])), DZ_CORRUPT);
    }
    assert_int_equal(dz_store_named_get(f->s, DZ_S("bomb"), DZ_MIB, a, &n, &body, NULL),
                     DZ_TOO_LARGE);
    assert_null(body);
    assert_int_equal(named(f->s), 6);
    assert_named(f->s, DZ_S("bomb"), no_mime, (dz_str){zeros, 30 * DZ_MIB});
    /* A blob that is not what it is named by. */
    struct dz_sha256 sha = dz_sha256_of(DZ_S("right"));
    char hex[64];
    dz_hex(sha.b, 32, hex);
    DZ_AUTO(dz_freep) char *wrong = NULL;
    f->v->imoog->add(f, (dz_str){hex, 64}, zlib_of(DZ_S("wrong"), 6, &wrong), no_mime);
    assert_int_equal(dz_store_get(f->s, &sha, DZ_MIB, &body, NULL), DZ_CORRUPT);
    assert_int_equal(count_blobs(f->s), 1);
    must(dz_store_del(f->s, &sha, err));
    must(dz_store_put_bytes(f->s, DZ_S("right"), NULL, err));
    must(dz_store_get(f->s, &sha, DZ_MIB, &body, err));
    dz_body_unref(&body);
}

/* imoog knows nothing of what lies beside its rows. */
static void test_imoog_deletes(void **state)
{
    struct fixture *f = *state;
    if (!f->v->imoog)
        return;
    assert_true(put_named(f->s, DZ_S("gone"), no_mime, DZ_S("was here")));
    f->v->imoog->del(f, DZ_S("gone"));
    struct dz_sha256 sha = dz_sha256_of(DZ_S("was here"));
    assert_int_equal(facts(f->s, DZ_S("gone")), DZ_NOT_FOUND);
    assert_int_equal(dz_store_stat(f->s, &sha, &(struct dz_blob_stat){0}, NULL), DZ_NOT_FOUND);
    assert_int_equal(named(f->s), 0);
    DZ_AUTO(dz_freep) char *packed = NULL;
    f->v->imoog->add(f, DZ_S("gone"), zlib_of(DZ_S("other one"), 6, &packed), no_mime);
    assert_named(f->s, DZ_S("gone"), no_mime, DZ_S("other one"));
    assert_int_equal(dz_store_stat(f->s, &sha, &(struct dz_blob_stat){0}, NULL), DZ_NOT_FOUND);
    f->v->imoog->del(f, DZ_S("gone"));
    uint64_t removed = 0;
    must(dz_store_sweep(f->s, 0, &removed, err));
    assert_int_equal(removed, 1);
    must(dz_store_sweep(f->s, 0, &removed, err));
    assert_int_equal(removed, 0);
}

/* More than one row or document holds. */
static void test_huge(void **state)
{
    struct fixture *f = *state;
    if (!f->v->imoog)
        return;
    size_t n = f->v->imoog == &on_documents ? 17 * DZ_MIB : 66 * DZ_MIB;
    DZ_AUTO(dz_freep) char *p = noise(n, 1);
    memcpy(p, PNG, 8);
    dz_str bytes = {p, n};
    struct dz_sha256 sha = dz_sha256_of(bytes);
    assert_true(put_named(f->s, DZ_S("huge"), DZ_S("image/png"), bytes));
    assert_named(f->s, DZ_S("huge"), DZ_S("image/png"), bytes);
    bool was = false;
    must(dz_store_named_del(f->s, DZ_S("huge"), &was, err));
    assert_int_equal(facts(f->s, DZ_S("huge")), DZ_NOT_FOUND);
    for (int round = 0; round < 2; round++)
        must(dz_store_put_bytes(f->s, bytes, NULL, err));
    assert_pieces(f->s, &sha, (dz_str){NULL, 0}, bytes);
    must(dz_store_verify(f->s, &sha, err));
    assert_int_equal(count_blobs(f->s), 1);
    must(dz_store_del(f->s, &sha, err));
    uint64_t removed = 1;
    must(dz_store_sweep(f->s, 0, &removed, err));
    assert_int_equal(removed, 0);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        cmocka_unit_test(test_put_get_del),    cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_expected_names), cmocka_unit_test(test_batches),
        cmocka_unit_test(test_conflict),       cmocka_unit_test(test_long_list),
        cmocka_unit_test(test_crowd),          cmocka_unit_test(test_imoog_reads_ours),
        cmocka_unit_test(test_rows_of_imoog),  cmocka_unit_test(test_broken_rows),
        cmocka_unit_test(test_imoog_deletes),  cmocka_unit_test(test_huge),
    };
    return run_suite(cases, DZ_LEN(cases), true);
}
