/*
 * test_uploads: uploads in a store that has names (the memory driver) and in one of files: kept,
 * adopted, gone in the store, deleted, and the end of bytes that nobody uses any more.
 */
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "lab.h"
#include "library/library_int.h"

struct kept {
    enum dz_code code;
    char id[65];
    struct dz_err err;
};

static void on_kept(void *arg, enum dz_code code, const struct dz_upload_rec *u,
                    const struct dz_err *err)
{
    struct kept *k = arg;
    k->code = code;
    if (code == DZ_OK)
        (void)snprintf(k->id, sizeof(k->id), "%.*s", DZ_STR_FMT(u->id));
    else
        k->err = *err;
}

static struct kept keep(struct lab *l, const char *bytes, const char *mime, uint32_t name_length)
{
    struct kept k = {.code = DZ_IO};
    struct dz_upload *u = dz_upload_new(l->lib, dz_str_of(mime));
    must(dz_upload_add(u, dz_str_of(bytes), err));
    struct dz_upload_wish wish = {.name_length = name_length, .done = on_kept, .arg = &k};
    dz_upload_keep(&u, &wish);
    return k;
}

static int in_memory(void **state)
{
    struct lab *l = dz_new(struct lab);
    lab_init(l, NULL);
    dz_library_close(&l->lib);
    l->conf->store.driver = DZ_DRIVER_MEMORY;
    must(dz_library_open(l->conf, &l->lib, err));
    *state = l;
    return 0;
}

static int in_files(void **state)
{
    struct lab *l = dz_new(struct lab);
    lab_init(l, NULL);
    *state = l;
    return 0;
}

static int leave(void **state)
{
    struct lab *l = *state;
    lab_done(l);
    free(l);
    return 0;
}

static bool is_there(struct lab *l, const char *bytes)
{
    struct dz_sha256 sha = dz_sha256_of(dz_str_of(bytes));
    struct dz_blob_stat stat;
    return dz_store_stat(dz_library_store(l->lib), &sha, &stat, NULL) == DZ_OK;
}

static void put_row(struct lab *l, const char *name, const char *bytes, const char *mime)
{
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
    struct dz_store_write *w = NULL;
    struct dz_blob_stat stat;
    bool is_new = false;
    must(dz_store_batch_begin(dz_library_store(l->lib), &b, err));
    must(dz_store_write_begin(dz_library_store(l->lib), &w, err));
    must(dz_store_write_add(w, dz_str_of(bytes), err));
    must(dz_store_batch_take_named(b, &w, dz_str_of(name), dz_str_of(mime), &stat, &is_new, err));
    assert_true(is_new);
    must(dz_store_batch_commit(b, err));
}

static enum dz_code find(struct lab *l, const char *id, struct dz_arena *a,
                         struct dz_upload_rec *ret)
{
    return dz_library_upload_find(l->lib, dz_str_of(id), a, ret, NULL);
}

static void rows_with_names(void **state)
{
    struct lab *l = *state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_upload_rec rec;
    struct kept k = keep(l, "one", "text/plain", 9);
    assert_int_equal(k.code, DZ_OK);
    assert_int_equal(strlen(k.id), 9);
    assert_int_equal(find(l, k.id, a, &rec), DZ_OK);
    assert_int_equal(rec.blob.bytes, 3);
    assert_true(dz_str_eq(rec.mime, DZ_S("text/plain")));
    struct dz_store_named row;
    struct dz_body *body = NULL;
    must(dz_store_named_get(dz_library_store(l->lib), dz_str_of(k.id), 100, a, &row, &body, err));
    assert_int_equal(body->n, 3);
    dz_body_unref(&body);

    bool was = false;
    must(dz_library_upload_delete(l->lib, dz_str_of(k.id), &was, err));
    assert_true(was);
    assert_int_equal(find(l, k.id, a, &rec), DZ_NOT_FOUND);
    must(dz_library_upload_delete(l->lib, dz_str_of(k.id), &was, err));
    assert_false(was);
}

static void rows_of_others(void **state)
{
    struct lab *l = *state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_upload_rec rec;
    struct dz_catalog *c = dz_library_catalog(l->lib);
    put_row(l, "THEIRS", "row", NULL);
    assert_int_equal(dz_catalog_upload_get(c, DZ_S("THEIRS"), a, &rec, NULL), DZ_NOT_FOUND);
    assert_int_equal(find(l, "THEIRS", a, &rec), DZ_OK);
    assert_null(rec.mime.p);
    must(dz_catalog_upload_get(c, DZ_S("THEIRS"), a, &rec, err));
    assert_int_equal(rec.blob.bytes, 3);

    /* The row goes behind our back: so does what the catalog has. */
    bool was;
    must(dz_store_named_del(dz_library_store(l->lib), DZ_S("THEIRS"), &was, err));
    assert_int_equal(find(l, "THEIRS", a, &rec), DZ_NOT_FOUND);
    assert_int_equal(dz_catalog_upload_get(c, DZ_S("THEIRS"), a, &rec, NULL), DZ_NOT_FOUND);

    put_row(l, "THEIRS", "row", NULL);
    assert_int_equal(find(l, "THEIRS", a, &rec), DZ_OK);
    must(dz_store_named_del(dz_library_store(l->lib), DZ_S("THEIRS"), &was, err));
    must(dz_library_upload_delete(l->lib, DZ_S("THEIRS"), &was, err));
    assert_false(was);
    assert_int_equal(dz_catalog_upload_get(c, DZ_S("THEIRS"), a, &rec, NULL), DZ_NOT_FOUND);

    /* Another row under the name: the store counts. */
    put_row(l, "THEIRS", "row", NULL);
    assert_int_equal(find(l, "THEIRS", a, &rec), DZ_OK);
    must(dz_store_named_del(dz_library_store(l->lib), DZ_S("THEIRS"), &was, err));
    put_row(l, "THEIRS", "other row", "image/png");
    assert_int_equal(find(l, "THEIRS", a, &rec), DZ_OK);
    assert_int_equal(rec.blob.bytes, 9);
    must(dz_catalog_upload_get(c, DZ_S("THEIRS"), a, &rec, err));
    assert_int_equal(rec.blob.bytes, 9);

    /* One that nobody has asked for yet is deleted and announced. */
    uint64_t seq;
    dz_str *ids;
    size_t n;
    bool more;
    must(dz_catalog_uploads_gone(c, UINT64_MAX, a, &ids, &n, &more, &seq, err));
    put_row(l, "QUIET", "quiet", NULL);
    must(dz_library_upload_delete(l->lib, DZ_S("QUIET"), &was, err));
    assert_true(was);
    must(dz_catalog_uploads_gone(c, seq, a, &ids, &n, &more, &seq, err));
    assert_int_equal(n, 1);
    assert_true(dz_str_eq(ids[0], DZ_S("QUIET")));
}

/* Small ones are gathered, of larger ones only the beginning. */
static void every_length(void **state)
{
    static const size_t lengths[] = {0, 1, 65535, 65536, 65537, 70000, 300000};
    static char bytes[300000];
    struct lab *l = *state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    dz_random(bytes, sizeof(bytes));
    for (size_t i = 0; i < DZ_LEN(lengths); i++)
        for (size_t piece = 1 + i; piece <= 100000; piece = piece * 50 + 1) {
            const dz_str all = {bytes, lengths[i]};
            struct kept k = {.code = DZ_IO};
            struct dz_upload *u = dz_upload_new(l->lib, (dz_str){NULL, 0});
            for (size_t at = 0; at < all.n; at += piece)
                must(dz_upload_add(u, dz_str_sub(all, at, at + piece), err));
            assert_int_equal(dz_upload_bytes(u), all.n);
            const struct dz_upload_wish wish = {.name_length = 9, .done = on_kept, .arg = &k};
            dz_upload_keep(&u, &wish);
            assert_int_equal(k.code, DZ_OK);
            struct dz_upload_rec rec;
            struct dz_sha256 sha = dz_sha256_of(all);
            struct dz_body *body = NULL;
            assert_int_equal(find(l, k.id, a, &rec), DZ_OK);
            assert_int_equal(rec.blob.bytes, all.n);
            assert_memory_equal(&rec.blob.sha, &sha, sizeof(sha));
            must(dz_store_get(dz_library_store(l->lib), &sha, DZ_MIB, &body, err));
            assert_true(dz_str_eq((dz_str){body->p, body->n}, all));
            dz_body_unref(&body);
        }
}

static void too_many_on_their_way(void **state)
{
    static char large[66000];
    struct lab *l = *state;
    struct dz_upload *many[1025];
    struct dz_err why = {0};
    const dz_str bytes = {large, sizeof(large)};
    for (size_t i = 0; i < DZ_LEN(many); i++) {
        many[i] = dz_upload_new(l->lib, (dz_str){NULL, 0});
        must(dz_upload_add(many[i], DZ_S("a beginning costs nothing"), err));
    }
    for (size_t i = 0; i < 1024; i++)
        must(dz_upload_add(many[i], bytes, err));
    assert_int_equal(dz_upload_add(many[1024], bytes, &why), DZ_UNAVAILABLE);
    assert_int_equal(keep(l, "small", NULL, 9).code, DZ_OK);
    for (size_t i = 0; i < DZ_LEN(many); i++)
        dz_upload_drop(&many[i]);
    struct dz_upload *again = dz_upload_new(l->lib, (dz_str){NULL, 0});
    must(dz_upload_add(again, bytes, err));
    dz_upload_drop(&again);
}

static void names_run_out(void **state)
{
    struct lab *l = *state;
    unsigned kept_n = 0;
    struct kept k = {.code = DZ_OK};
    for (unsigned i = 0; i < 500 && k.code == DZ_OK; i++) {
        k = keep(l, "x", NULL, 1);
        kept_n += k.code == DZ_OK;
    }
    assert_int_equal(k.code, DZ_FULL);
    assert_non_null(strstr(k.err.text, "uploads.name_length"));
    assert_true(kept_n <= 36);
}

static void bytes_end_with_their_last_use(void **state)
{
    struct lab *l = *state;
    bool was;
    lab_write(l, "comic/001.png", lab_picture(1));
    lab_import(l, "comic", NULL);
    struct kept one = keep(l, "twice", NULL, 9), two = keep(l, "twice", NULL, 9);
    struct kept page = {.code = DZ_IO};
    struct dz_upload *u = dz_upload_new(l->lib, (dz_str){NULL, 0});
    must(dz_upload_add(u, lab_picture(1), err));
    struct dz_upload_wish wish = {.name_length = 9, .done = on_kept, .arg = &page};
    dz_upload_keep(&u, &wish);
    assert_int_equal(page.code, DZ_OK);

    must(dz_library_upload_delete(l->lib, dz_str_of(one.id), &was, err));
    must(dz_library_upload_delete(l->lib, dz_str_of(page.id), &was, err));
    library_uploads_look(l->lib);
    assert_true(is_there(l, "twice"));
    lab_assert_whole(l);

    /* While somebody may be about to name them they wait. */
    struct dz_catalog_lock *lock = NULL;
    must(dz_library_upload_delete(l->lib, dz_str_of(two.id), &was, err));
    must(library_lock(l->lib->catalog, false, &lock, err));
    library_uploads_look(l->lib);
    assert_true(is_there(l, "twice"));
    struct kept again = keep(l, "twice", NULL, 9);
    dz_catalog_unlock(&lock);
    library_uploads_look(l->lib);
    assert_true(is_there(l, "twice"));
    must(dz_library_upload_delete(l->lib, dz_str_of(again.id), &was, err));
    library_uploads_look(l->lib);
    assert_false(is_there(l, "twice"));
    struct kept anew = keep(l, "twice", NULL, 9);
    assert_int_equal(anew.code, DZ_OK);
    assert_true(is_there(l, "twice"));
    lab_assert_whole(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_with_names, in_memory, leave),
        cmocka_unit_test_setup_teardown(rows_of_others, in_memory, leave),
        cmocka_unit_test_setup_teardown(too_many_on_their_way, in_memory, leave),
        cmocka_unit_test_setup_teardown(every_length, in_memory, leave),
        cmocka_unit_test_setup_teardown(every_length, in_files, leave),
        cmocka_unit_test_setup_teardown(names_run_out, in_memory, leave),
        cmocka_unit_test_setup_teardown(names_run_out, in_files, leave),
        cmocka_unit_test_setup_teardown(bytes_end_with_their_last_use, in_files, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
