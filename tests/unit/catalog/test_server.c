/*
 * The catalog on a PostgreSQL that goes away and comes back, and on databases that are not for it.
 */
#include "catalog/test_records.h"
#include "pg/database.h"
#include "proxy.h"

struct far {
    struct proxy x;
    char uri[256], through[320];
};

static void uri_of(const struct database *d, const char *server, char *uri, size_t size)
{
    (void)snprintf(uri, size, "%s%coptions=-csearch_path%%3D%s", server,
                   strchr(server, '?') ? '&' : '?', d->schema);
}

static struct dz_catalog *open_catalog(const char *uri)
{
    struct dz_catalog *c = NULL;
    must(dz_catalog_open("postgres", "/nonexistent", uri, &c, err));
    return c;
}

static enum dz_code ask_ids(struct dz_catalog *c, size_t *ret_n, struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    int64_t *ids;
    return dz_catalog_series_ids(c, a, &ids, ret_n, err);
}

static void add_series(struct dz_catalog *c, const char *name)
{
    const struct dz_series_rec s = series_of(name);
    struct dz_batch *b = NULL;
    int64_t id;
    uint64_t seq;
    must(dz_batch_begin(c, &b, err));
    must(dz_batch_series(b, &s, &id, err));
    must(dz_batch_commit(&b, &seq, err));
}

static void a_lost_database_is_told_at_once_and_comes_back(void **state)
{
    struct database *d = database_of(state);
    struct far f;
    struct dz_err err = {0};
    struct dz_batch *b = NULL;
    const struct dz_series_rec s = series_of("two");
    int64_t id;
    uint64_t seq;
    bool changed = false;
    size_t n = 0;
    proxy_start(&f.x, "postgres", f.uri, sizeof(f.uri));
    uri_of(d, f.uri, f.through, sizeof(f.through));
    struct dz_catalog *c = open_catalog(f.through);
    add_series(c, "one");
    must(dz_catalog_wait(c, 3600000, &changed, err));
    assert_true(changed);

    must(dz_batch_begin(c, &b, err));
    must(dz_batch_series(b, &s, &id, err));
    proxy_set(&f.x, PROXY_IS_GONE);
    assert_int_equal(dz_batch_commit(&b, &seq, &err), DZ_UNAVAILABLE);
    for (int i = 0; i < 100; i++)
        assert_int_equal(ask_ids(c, &n, &err), DZ_UNAVAILABLE);
    assert_int_equal(dz_batch_begin(c, &b, &err), DZ_UNAVAILABLE);
    assert_int_equal(dz_catalog_wait(c, 0, &changed, &err), DZ_UNAVAILABLE);

    proxy_set(&f.x, PROXY_PASSES);
    must(dz_catalog_wait(c, 3600000, &changed, err));
    assert_true(changed); /* nobody knows what was missed */
    while (ask_ids(c, &n, &err) != DZ_OK) {
        assert_int_equal(err.code, DZ_UNAVAILABLE);
        usleep(10000);
    }
    assert_int_equal(n, 1);
    add_series(c, "two");
    must(ask_ids(c, &n, err));
    assert_int_equal(n, 2);
    dz_catalog_close(&c);
    proxy_stop(&f.x);
}

static void another_catalog_is_woken(void **state)
{
    struct database *d = database_of(state);
    char uri[320];
    bool changed = true;
    uri_of(d, server_uri("postgres"), uri, sizeof(uri));
    struct dz_catalog *a = open_catalog(uri), *b = open_catalog(uri);
    must(dz_catalog_wait(b, 3600000, &changed, err)); /* connected */
    must(dz_catalog_wait(b, 0, &changed, err));
    assert_false(changed);
    add_series(a, "one");
    must(dz_catalog_wait(b, 3600000, &changed, err));
    assert_true(changed);
    dz_catalog_close(&a);
    dz_catalog_close(&b);
}

static int64_t wait_at(struct dz_catalog *c, const char *host)
{
    int64_t wait_ms = -1;
    must(dz_catalog_pace(c, DZ_S("s"), dz_str_of(host), 100000, &wait_ms, err));
    return wait_ms;
}

static void a_pace_is_kept_by_all_together(void **state)
{
    struct database *d = database_of(state);
    char uri[320];
    uri_of(d, server_uri("postgres"), uri, sizeof(uri));
    struct dz_catalog *a = open_catalog(uri), *b = open_catalog(uri);
    int64_t from_ms = dz_mono_ns() / 1000000;
    assert_int_equal(wait_at(a, "x:80"), 0);
    int64_t waits[] = {wait_at(b, "x:80"), wait_at(a, "x:80"), wait_at(b, "x:80")};
    int64_t took_ms = dz_mono_ns() / 1000000 - from_ms + 2; /* of clocks that show milliseconds */
    for (int i = 0; i < 3; i++)
        assert_in_range(waits[i], 100000 * (i + 1) - took_ms, 100000 * (i + 1));
    assert_int_equal(wait_at(b, "y:80"), 0);
    /* The server's clock was set back. */
    must(dz_pg_script(d->c, "UPDATE crawl_state SET value = '99999999999999'", err));
    assert_int_equal(wait_at(a, "x:80"), 0);
    assert_in_range(wait_at(b, "x:80"), 1, 100000);
    dz_catalog_close(&a);
    dz_catalog_close(&b);
}

/* Data folders of two machines. */
static void open_nodes(struct database *d, char folders[2][64], struct dz_catalog **v)
{
    char uri[320];
    uri_of(d, server_uri("postgres"), uri, sizeof(uri));
    for (int i = 0; i < 2; i++) {
        (void)snprintf(folders[i], sizeof(folders[i]), "/tmp/dozo-lock-XXXXXX");
        assert_non_null(mkdtemp(folders[i]));
        must(dz_catalog_open("postgres", folders[i], uri, &v[i], err));
    }
}

static void close_nodes(char folders[2][64], struct dz_catalog **v)
{
    for (int i = 0; i < 2; i++) {
        char path[96];
        dz_catalog_close(&v[i]);
        (void)snprintf(path, sizeof(path), "%s/run/import.lock", folders[i]);
        assert_int_equal(unlink(path), 0);
        (void)snprintf(path, sizeof(path), "%s/run", folders[i]);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(rmdir(folders[i]), 0);
    }
}

/* As a server that starts again, or somebody who tidies up, does it. */
static void end_holders(struct database *d)
{
    must(dz_pg_script(d->c,
                      "SELECT pg_terminate_backend(l.pid, 10000) FROM pg_locks l, pg_namespace n"
                      " WHERE l.locktype = 'advisory' AND l.classid = 1685027426"
                      " AND n.nspname = current_schema() AND l.objid = n.oid",
                      err));
}

static void writers_and_repairs_of_other_machines(void **state)
{
    struct database *d = database_of(state);
    char folders[2][64];
    struct dz_catalog *v[2];
    struct dz_catalog_lock *one = NULL, *two = NULL;
    struct dz_err err = {0};
    open_nodes(d, folders, v);
    assert_true(dz_catalog_is_shared(v[0]));
    must(dz_catalog_lock(v[0], false, &one, err));
    must(dz_catalog_lock(v[1], false, &two, err));
    dz_catalog_unlock(&two);
    assert_int_equal(dz_catalog_lock(v[1], true, &two, &err), DZ_CONFLICT);
    must(dz_catalog_lock_check(one, err));
    dz_catalog_unlock(&one);
    must(dz_catalog_lock(v[1], true, &two, err));
    assert_int_equal(dz_catalog_lock(v[0], false, &one, &err), DZ_CONFLICT);
    assert_int_equal(dz_catalog_lock(v[0], true, &one, &err), DZ_CONFLICT);
    must(dz_catalog_lock_check(two, err));
    dz_catalog_unlock(&two);
    must(dz_catalog_lock(v[0], true, &one, err));
    dz_catalog_unlock(&one);
    close_nodes(folders, v);
}

static void a_lost_lock_is_noticed(void **state)
{
    struct database *d = database_of(state);
    char folders[2][64];
    struct dz_catalog *v[2];
    struct dz_catalog_lock *one = NULL, *two = NULL;
    struct dz_err err = {0};
    open_nodes(d, folders, v);

    must(dz_catalog_lock(v[0], false, &one, err)); /* a writer */
    end_holders(d);
    must(dz_catalog_lock(v[1], true, &two, err)); /* a repair comes in between, */
    assert_int_equal(dz_catalog_lock_check(one, &err), DZ_UNAVAILABLE);
    assert_non_null(strstr(err.text, "is lost"));
    assert_int_equal(dz_catalog_lock_again(one, &err), DZ_CONFLICT);
    end_holders(d); /* and loses it too */
    must(dz_catalog_lock_again(one, err));
    must(dz_catalog_lock_check(one, err));
    must(dz_catalog_lock_again(one, err));
    assert_int_equal(dz_catalog_lock_check(two, &err), DZ_UNAVAILABLE);
    assert_int_equal(dz_catalog_lock_check(two, &err), DZ_UNAVAILABLE); /* and never heals */
    dz_catalog_unlock(&two);
    assert_int_equal(dz_catalog_lock(v[1], true, &two, &err), DZ_CONFLICT);
    dz_catalog_unlock(&one);
    close_nodes(folders, v);
}

/* What a script makes of a good database must be refused with these words; nothing is changed. */
static void refuse(struct database *d, const char *script, enum dz_code code, const char *words)
{
    char uri[320];
    struct dz_catalog *c = NULL;
    struct dz_err err = {0};
    uri_of(d, server_uri("postgres"), uri, sizeof(uri));
    must(dz_pg_script(d->c, script, err));
    assert_int_equal(dz_catalog_open("postgres", "/nonexistent", uri, &c, &err), code);
    if (!strstr(err.text, words))
        fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

static void foreign_databases_are_refused(void **state)
{
    struct database *d = database_of(state);
    char uri[320];
    refuse(d, "CREATE TABLE schema_version (v text)", DZ_BAD_INPUT, "a schema of its own");
    refuse(d, "DROP TABLE schema_version; CREATE TABLE series (x text)", DZ_CONFLICT, "series");
    must(dz_pg_script(d->c, "DROP TABLE series", err));
    uri_of(d, server_uri("postgres"), uri, sizeof(uri));
    struct dz_catalog *c = open_catalog(uri);
    dz_catalog_close(&c);
    refuse(d, "INSERT INTO schema_version VALUES (999, 0)", DZ_UNSUPPORTED, "newer dozo");
    must(dz_pg_script(d->c, "DELETE FROM schema_version WHERE number = 999", err));
    c = open_catalog(uri);
    dz_catalog_close(&c);
    struct database nowhere = {.schema = "not_there"};
    uri_of(&nowhere, server_uri("postgres"), uri, sizeof(uri));
    struct dz_err err = {0};
    assert_int_equal(dz_catalog_open("postgres", "/nonexistent", uri, &c, &err), DZ_BAD_INPUT);
    assert_non_null(strstr(err.text, "no schema of the search_path"));
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest cases[] = {
        CASE(a_lost_database_is_told_at_once_and_comes_back),
        CASE(another_catalog_is_woken),
        CASE(a_pace_is_kept_by_all_together),
        CASE(writers_and_repairs_of_other_machines),
        CASE(a_lost_lock_is_noticed),
        CASE(foreign_databases_are_refused),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
