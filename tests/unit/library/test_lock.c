/*
 * test_lock: two machines on one database: libraries with folders of their own, whose catalog and
 * store are the same. A repair of one never removes what the other one is about to name, also when
 * connections are lost in the middle.
 */
#include "lab.h"

#include "library/library_int.h"
#include "pg/database.h"

struct nodes {
    struct database *d;
    struct lab a, b;
};

static void open_nodes(struct nodes *n, void **state)
{
    struct dz_buf yaml DZ_AUTO(dz_buf_done);
    n->d = database_of(state);
    const char *uri = server_uri("postgres");
    dz_buf_init(&yaml, 64 * DZ_KIB);
    for (int i = 0; i < 2; i++)
        dz_buf_putf(&yaml, "%s: {driver: postgres, uri: \"%s%coptions=-csearch_path%%3D%s\"}\n",
                    i ? "store" : "catalog", uri, strchr(uri, '?') ? '&' : '?', n->d->schema);
    lab_init(&n->a, dz_buf_cstr(&yaml));
    lab_init(&n->b, dz_buf_cstr(&yaml));
}

static void close_nodes(struct nodes *n)
{
    lab_done(&n->a);
    lab_done(&n->b);
}

static void sql(struct nodes *n, const char *text)
{
    must(dz_pg_script(n->d->c, text, err));
}

/* Of all who hold the lock of blobs, or only of those who hold it alone. */
static void end_holders(struct nodes *n, bool alone)
{
    sql(n, alone ? "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks"
                   " WHERE locktype = 'advisory' AND classid = 1685027426"
                   " AND mode = 'ExclusiveLock'"
                   " AND objid = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
                 : "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks"
                   " WHERE locktype = 'advisory' AND classid = 1685027426"
                   " AND objid = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())");
}

static void make_old(struct nodes *n)
{
    sql(n, "UPDATE my_images_dozo SET mtime_s = 1");
}

static struct dz_blob_stat put(struct lab *l, const char *text)
{
    struct dz_blob_stat stat;
    must(dz_store_put_bytes(l->lib->store, dz_str_of(text), &stat, err));
    return stat;
}

static bool is_there(struct lab *l, const struct dz_blob_stat *b)
{
    struct dz_blob_stat stat;
    enum dz_code code = dz_store_stat(l->lib->store, &b->sha, &stat, NULL);
    assert_true(code == DZ_OK || code == DZ_NOT_FOUND);
    return code == DZ_OK;
}

static void name(struct lab *l, const struct dz_blob_stat *b)
{
    const struct dz_upload_rec rec = {.id = DZ_S("named"),
                                      .blob = {.sha = b->sha, .bytes = b->bytes}};
    bool is_new;
    must(dz_catalog_uploads_put(l->lib->catalog, &rec, 1, &is_new, err));
    assert_true(is_new);
}

static enum dz_code repair(struct lab *l, struct dz_check_result *r, struct dz_err *err)
{
    const struct dz_check_options o = {.repair = true};
    return dz_library_check(l->lib, &o, r, err);
}

static void what_another_one_has_put_stays(void **state)
{
    struct nodes n;
    struct dz_catalog_lock *lock = NULL;
    struct dz_check_result r;
    struct dz_err err = {0};
    open_nodes(&n, state);
    must(library_lock(n.b.lib->catalog, false, &lock, err));
    struct dz_blob_stat b = put(&n.b, "about to be named");
    make_old(&n);
    assert_int_equal(repair(&n.a, &r, &err), DZ_UNAVAILABLE);
    assert_true(is_there(&n.a, &b));

    /* Whoever put it has lost his lock, and has not found out. */
    b = put(&n.b, "about to be named");
    end_holders(&n, false);
    must(repair(&n.a, &r, err));
    assert_int_equal(r.young, 1);
    assert_true(is_there(&n.a, &b));
    assert_int_equal(dz_catalog_lock_check(lock, &err), DZ_UNAVAILABLE);
    dz_catalog_unlock(&lock);

    make_old(&n);
    must(repair(&n.a, &r, err));
    assert_int_equal(r.young, 0);
    assert_int_equal(r.leftovers, 1);
    assert_false(is_there(&n.a, &b));
    close_nodes(&n);
}

/* Between looking and removing: the repair's lock is lost, somebody names what it found. */
struct meddler {
    struct nodes *n;
    struct dz_blob_stat named, loose;
    bool done;
};

static void meddle(void *arg, uint64_t done, uint64_t total)
{
    struct meddler *m = arg;
    if (m->done || done < total)
        return;
    m->done = true;
    end_holders(m->n, true);
    name(&m->n->b, &m->named);
}

static void a_repair_that_lost_its_lock_removes_nothing(void **state)
{
    struct nodes n;
    struct dz_check_result r;
    struct dz_err err = {0};
    open_nodes(&n, state);
    lab_png(&n.a, "S/Ch 1/1.png", 1);
    lab_import(&n.a, "S", NULL);
    struct meddler m = {.n = &n, .named = put(&n.b, "named"), .loose = put(&n.b, "loose")};
    make_old(&n);
    const struct dz_check_options o = {.repair = true, .progress = meddle, .arg = &m};
    assert_int_equal(dz_library_check(n.a.lib, &o, &r, &err), DZ_UNAVAILABLE);
    assert_true(m.done);
    assert_non_null(strstr(err.text, "is lost"));
    assert_true(is_there(&n.a, &m.named));
    assert_true(is_there(&n.a, &m.loose));
    must(repair(&n.a, &r, err));
    assert_true(is_there(&n.a, &m.named));
    assert_false(is_there(&n.a, &m.loose));
    close_nodes(&n);
}

/* Also without the lock: what was named since somebody looked is not removed. */
static void what_is_named_meanwhile_stays(void **state)
{
    struct nodes n;
    struct dz_catalog_lock *lock = NULL;
    uint64_t young = 0;
    open_nodes(&n, state);
    struct dz_blob_stat v[] = {put(&n.b, "named"), put(&n.b, "loose")};
    const struct dz_sha256 shas[] = {v[0].sha, v[1].sha};
    name(&n.b, &v[0]);
    must(library_lock(n.a.lib->catalog, true, &lock, err));
    must(library_end_blobs(n.a.lib, lock, shas, 2, INT64_MAX, &young, err));
    dz_catalog_unlock(&lock);
    assert_true(is_there(&n.a, &v[0]));
    assert_false(is_there(&n.a, &v[1]));
    close_nodes(&n);
}

static void lose_once(void *arg, const struct dz_import_event *e)
{
    struct meddler *m = arg;
    (void)e;
    if (!m->done)
        end_holders(m->n, false);
    m->done = true;
}

static void an_import_that_lost_its_lock_names_nothing(void **state)
{
    struct nodes n;
    struct dz_import_result r;
    struct dz_err err = {0};
    open_nodes(&n, state);
    lab_png(&n.a, "S/Ch 1/1.png", 1);
    lab_png(&n.a, "S/Ch 2/1.png", 2);
    struct meddler m = {.n = &n};
    const struct dz_import_options o = {.event = lose_once, .arg = &m};
    const char *paths[] = {lab_path(&n.a, "S")};
    assert_int_equal(dz_library_import(n.a.lib, paths, 1, &o, &r, &err), DZ_UNAVAILABLE);
    assert_true(m.done);
    assert_non_null(strstr(err.text, "is lost"));
    lab_assert_whole(&n.b);
    lab_import(&n.a, "S", NULL);
    lab_reopen(&n.b);
    lab_assert_whole(&n.b);
    close_nodes(&n);
}

struct kept {
    enum dz_code code;
};

static void on_kept(void *arg, enum dz_code code, const struct dz_upload_rec *u,
                    const struct dz_err *e)
{
    struct kept *k = arg;
    (void)u;
    (void)e;
    k->code = code;
}

static struct kept keep(struct lab *l)
{
    struct dz_upload *u = dz_upload_new(l->lib, (dz_str){NULL, 0});
    struct kept k = {DZ_INTERNAL};
    must(dz_upload_add(u, DZ_S("bytes"), err));
    const struct dz_upload_wish wish = {.name_length = 9, .done = on_kept, .arg = &k};
    dz_upload_keep(&u, &wish);
    return k;
}

static void uploads_wait_for_repairs_of_others(void **state)
{
    struct nodes n;
    struct dz_catalog_lock *lock = NULL;
    open_nodes(&n, state);
    must(library_lock(n.a.lib->catalog, true, &lock, err));
    assert_int_equal(keep(&n.b).code, DZ_UNAVAILABLE);
    dz_catalog_unlock(&lock);
    assert_int_equal(keep(&n.b).code, DZ_OK);
    close_nodes(&n);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest cases[] = {
        CASE(what_another_one_has_put_stays),     CASE(a_repair_that_lost_its_lock_removes_nothing),
        CASE(what_is_named_meanwhile_stays),      CASE(an_import_that_lost_its_lock_names_nothing),
        CASE(uploads_wait_for_repairs_of_others),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
