/*
 * suite_catalog_uploads: files that somebody has sent, the same cases against each driver.
 */
#include "catalog_fixture.h"

static struct dz_upload_rec upload(const char *id, const char *mime, uint64_t blob)
{
    struct dz_upload_rec u = {.id = dz_str_of(id),
                              .mime = dz_str_of(mime),
                              .blob = blob_of(blob),
                              .created_ms = 1795000000123};
    u.blob.mime = DZ_S("image/png");
    return u;
}

static void send(struct fixture *f, struct dz_upload_rec u)
{
    bool is_new = false;
    must(dz_catalog_uploads_put(f->c, &u, 1, &is_new, err));
    assert_true(is_new);
}

static void uploads_are_put_read_and_deleted(void **state)
{
    struct fixture *f = *state;
    const struct dz_upload_rec in[] = {upload("A", "image/png", 1), upload("B", NULL, 1),
                                       upload("A", "text/plain", 2), upload("a.b", "", 3)};
    bool is_new[4];
    must(dz_catalog_uploads_put(f->c, in, 4, is_new, err));
    assert_true(is_new[0] && is_new[1] && !is_new[2] && is_new[3]);
    assert_int_equal(refs_of(f, 1), 2);
    assert_int_equal(refs_of(f, 2), -1);

    struct dz_upload_rec u;
    must(dz_catalog_upload_get(f->c, DZ_S("A"), f->a, &u, err));
    assert_str(u.id, "A");
    assert_str(u.mime, "image/png");
    assert_str(u.blob.mime, "image/png");
    assert_memory_equal(&u.blob.sha, &in[0].blob.sha, 32);
    assert_int_equal(u.blob.bytes, in[0].blob.bytes);
    assert_int_equal(u.created_ms, 1795000000123);
    must(dz_catalog_upload_get(f->c, DZ_S("B"), f->a, &u, err));
    assert_null(u.mime.p);
    must(dz_catalog_upload_get(f->c, DZ_S("a.b"), f->a, &u, err));
    assert_non_null(u.mime.p);
    assert_int_equal(u.mime.n, 0);
    (void)refused(dz_catalog_upload_get(f->c, DZ_S("b"), f->a, &u, err), DZ_NOT_FOUND);
    sound(f);

    const dz_str ids[] = {DZ_S("A"), DZ_S("none"), DZ_S("A")};
    bool was[3];
    must(dz_catalog_uploads_del(f->c, ids, 3, was, err));
    assert_true(was[0] && !was[1] && !was[2]);
    assert_int_equal(refs_of(f, 1), 1);
    (void)refused(dz_catalog_upload_get(f->c, DZ_S("A"), f->a, &u, err), DZ_NOT_FOUND);
    must(dz_catalog_uploads_del(f->c, &ids[0], 1, was, err));
    assert_false(was[0]);
    send(f, upload("A", NULL, 4)); /* an id that was deleted may come again */
    sound(f);
    must(dz_catalog_uploads_put(f->c, NULL, 0, NULL, err));
    must(dz_catalog_uploads_del(f->c, NULL, 0, NULL, err));
}

/* More than one question is about, each id twice, near and far. */
static void many_at_once(void **state)
{
    enum { N = 71, IDS = 36 };
    struct fixture *f = *state;
    struct dz_upload_rec v[N];
    dz_str ids[N];
    bool flags[N];
    for (size_t i = 0; i < N; i++) {
        v[i] = upload("", "image/png", 1 + i % 5);
        v[i].id = ids[i] = dz_arena_printf(f->a, "%zu", i == 1 ? 0 : i % IDS);
    }
    must(dz_catalog_uploads_put(f->c, v, N, flags, err));
    for (size_t i = 0; i < N; i++)
        assert_int_equal(flags[i], (i < IDS && i != 1) || i == IDS + 1);
    sound(f);
    must(dz_catalog_uploads_put(f->c, v, N, flags, err));
    for (size_t i = 0; i < N; i++)
        assert_false(flags[i]);
    must(dz_catalog_uploads_del(f->c, ids, N, flags, err));
    for (size_t i = 0; i < N; i++)
        assert_int_equal(flags[i], (i < IDS && i != 1) || i == IDS + 1);
    for (uint64_t blob = 1; blob <= 5; blob++)
        assert_int_equal(refs_of(f, blob), 0);
    sound(f);
}

static void a_blob_of_another_size_stores_nothing(void **state)
{
    struct fixture *f = *state;
    send(f, upload("A", NULL, 1));
    struct dz_upload_rec v[] = {upload("B", NULL, 2), upload("C", NULL, 1)};
    v[1].blob.bytes++;
    bool is_new[2];
    (void)refused(dz_catalog_uploads_put(f->c, v, 2, is_new, err), DZ_CONFLICT);
    struct dz_upload_rec u;
    (void)refused(dz_catalog_upload_get(f->c, DZ_S("B"), f->a, &u, err), DZ_NOT_FOUND);
    assert_int_equal(refs_of(f, 2), -1);
    sound(f);
}

static void assert_gone(struct fixture *f, uint64_t *since, const char *want)
{
    dz_str *ids;
    size_t n;
    bool more;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_KIB);
    must(dz_catalog_uploads_gone(f->c, *since, f->a, &ids, &n, &more, since, err));
    for (size_t i = 0; i < n; i++)
        dz_buf_putf(&b, "%s%.*s", i ? " " : "", DZ_STR_FMT(ids[i]));
    dz_buf_put(&b, more ? DZ_S("+") : DZ_S(""));
    assert_string_equal(dz_buf_cstr(&b), want);
}

static void what_was_deleted_is_told(void **state)
{
    struct fixture *f = *state;
    uint64_t since = UINT64_MAX, from_start;
    bool was;
    assert_gone(f, &since, "");
    from_start = since;
    send(f, upload("A", NULL, 1));
    send(f, upload("B", NULL, 1));
    assert_gone(f, &since, "");
    must(dz_catalog_uploads_del(f->c, &(dz_str){"A", 1}, 1, &was, err));
    must(dz_catalog_uploads_del(f->c, &(dz_str){"none", 4}, 1, &was, err));
    assert_gone(f, &since, "A");
    assert_gone(f, &since, "");
    must(dz_catalog_uploads_del(f->c, &(dz_str){"B", 1}, 1, &was, err));
    assert_gone(f, &from_start, "A B");
    since = 1000000; /* the database is an older one than before */
    assert_gone(f, &since, "+");
}

static void only_the_last_ones_are_told(void **state)
{
    struct fixture *f = *state;
    uint64_t since = UINT64_MAX;
    size_t n = DZ_UPLOADS_GONE_KEPT + 1;
    DZ_AUTO(dz_freep) struct dz_upload_rec *v = dz_alloc(n * sizeof(*v));
    DZ_AUTO(dz_freep) dz_str *ids = dz_alloc(n * sizeof(*ids));
    DZ_AUTO(dz_freep) bool *flags = dz_alloc(n);
    assert_gone(f, &since, "");
    for (size_t i = 0; i < n; i++) {
        v[i] = upload("", NULL, 1);
        v[i].id = ids[i] = dz_arena_printf(f->a, "%zu", i);
    }
    must(dz_catalog_uploads_put(f->c, v, n, flags, err));
    must(dz_catalog_uploads_del(f->c, ids, n, flags, err));
    uint64_t nearly = since + 1;
    assert_gone(f, &since, "+");
    dz_str *gone;
    bool more;
    must(dz_catalog_uploads_gone(f->c, nearly, f->a, &gone, &n, &more, &nearly, err));
    assert_int_equal(n, DZ_UPLOADS_GONE_KEPT);
    assert_false(more);
    sound(f);
}

static enum dz_code list_upload(void *arg, const struct dz_upload_rec *u, struct dz_err *err)
{
    struct dz_buf *b = arg;
    dz_buf_put(b, u->id);
    dz_buf_putc(b, ' ');
    return b->n > 4 ? dz_fail(err, DZ_CANCELLED, "enough") : DZ_OK;
}

static void all_are_listed(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_KIB);
    send(f, upload("B", NULL, 1));
    send(f, upload("A", NULL, 2));
    must(dz_catalog_uploads_all(f->c, list_upload, &b, err));
    assert_string_equal(dz_buf_cstr(&b), "A B ");
    (void)refused(dz_catalog_uploads_all(f->c, list_upload, &b, err), DZ_CANCELLED);
}

static void limits(void **state)
{
    struct fixture *f = *state;
    struct dz_upload_rec u = upload("", NULL, 1);
    bool is_new;
    (void)refused(dz_catalog_uploads_put(f->c, &u, 1, &is_new, err), DZ_BAD_INPUT);
    u.id = (dz_str){"a\0b", 3};
    (void)refused(dz_catalog_uploads_put(f->c, &u, 1, &is_new, err), DZ_BAD_INPUT);
    u = upload("A", "\xff", 1);
    (void)refused(dz_catalog_uploads_put(f->c, &u, 1, &is_new, err), DZ_BAD_INPUT);
    (void)refused(dz_catalog_upload_get(f->c, DZ_S("\xff"), f->a, &u, err), DZ_BAD_INPUT);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        CASE(uploads_are_put_read_and_deleted),
        CASE(many_at_once),
        CASE(a_blob_of_another_size_stores_nothing),
        CASE(what_was_deleted_is_told),
        CASE(only_the_last_ones_are_told),
        CASE(all_are_listed),
        CASE(limits),
    };
    return run_cases(cases, DZ_LEN(cases));
}
