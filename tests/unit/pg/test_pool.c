/*
 * Who gets a connection and who waits; addresses that cannot be read or reached, whose passwords
 * stay out of every text.
 */
#include "pg/database.h"

#include <pthread.h>
#include <unistd.h>

static struct dz_pg *pool_of(struct dz_pg_options o)
{
    if (!server_uri("postgres"))
        server_is_missing("postgres");
    return open_pool(&o);
}

static void no_more_than_its_size(void **state)
{
    (void)state;
    struct dz_pg_conn *v[3] = {0}, *one_more = NULL;
    struct dz_err err = {0};
    struct dz_pg *pg = pool_of((struct dz_pg_options){.pool_max = 3, .acquire_ms = 50});
    for (size_t i = 0; i < 3; i++)
        must(dz_pg_take(pg, &v[i], err));
    assert_int_equal(dz_pg_take(pg, &one_more, &err), DZ_UNAVAILABLE);
    assert_non_null(strstr(err.text, "all 3 connections are busy"));
    must(dz_pg_state(pg, err)); /* which says nothing about the server */
    int64_t pid = ask(v[1], "SELECT pg_backend_pid()");
    dz_pg_give(&v[1]);
    must(dz_pg_take(pg, &one_more, err));
    assert_int_equal(ask(one_more, "SELECT pg_backend_pid()"), pid);
    dz_pg_give(&one_more);
    dz_pg_give(&v[0]);
    dz_pg_give(&v[2]);
    dz_pg_close(&pg);
}

static void *give_soon(void *arg)
{
    struct dz_pg_conn *c = arg;
    usleep(20000);
    dz_pg_give(&c);
    return NULL;
}

static void whoever_waits_gets_the_next(void **state)
{
    (void)state;
    struct dz_pg_conn *c = NULL;
    struct dz_pg *pg = pool_of((struct dz_pg_options){.acquire_ms = 3600000});
    pthread_t thread;
    must(dz_pg_take(pg, &c, err));
    assert_int_equal(pthread_create(&thread, NULL, give_soon, dz_take(&c)), 0);
    must(dz_pg_take(pg, &c, err));
    pthread_join(thread, NULL);
    assert_int_equal(ask(c, "SELECT 3"), 3);
    dz_pg_give(&c);
    dz_pg_close(&pg);
}

enum { THREADS = 2, TURNS = 300 };

static void *add_many(void *arg)
{
    static const struct dz_pg_statement add = {.text = "UPDATE t SET n = n + $1"};
    for (int i = 0; i < TURNS; i++) {
        struct dz_pg_conn *c = NULL;
        const struct dz_pg_param v[] = {dz_pg_p_int(1)};
        if (dz_pg_take(arg, &c, NULL) != DZ_OK || dz_pg_begin(c, NULL, NULL) != DZ_OK ||
            dz_pg_run(c, &add, v, 1, NULL, NULL) != DZ_OK ||
            (i % 3 == 0 && dz_pg_commit(c, NULL) != DZ_OK))
            dz_panic(__FILE__, __LINE__, "an update failed");
        dz_pg_give(&c); /* two of three are rolled back */
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    struct database *d = database_of(state);
    pthread_t threads[THREADS];
    must(dz_pg_script(d->c, "CREATE TABLE t (n bigint); INSERT INTO t VALUES (0)", err));
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, d->pg), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(ask(d->c, "SELECT n FROM t"), THREADS * TURNS / 3);
}

static void options_are_kept(void **state)
{
    struct database *d = database_of(state);
    struct dz_pg *pg = pool_of((struct dz_pg_options){.name = "dozo-test", .schema = d->schema});
    struct dz_pg_conn *c = NULL;
    must(dz_pg_take(pg, &c, err));
    struct dz_pg_rows *rows = run(c,
                                  "SELECT current_setting('application_name'), current_schema(),"
                                  " current_setting('client_encoding')",
                                  NULL, 0);
    assert_true(dz_str_eq(dz_pg_bytes(rows, 0, 0), DZ_S("dozo-test")));
    assert_true(dz_str_eq(dz_pg_bytes(rows, 0, 1), dz_str_of(d->schema)));
    assert_true(dz_str_eq(dz_pg_bytes(rows, 0, 2), DZ_S("UTF8")));
    dz_pg_rows_free(&rows);
    dz_pg_give(&c);
    assert_non_null(strstr(dz_pg_place(pg), "dozo at 127.0.0.1:"));
    dz_pg_close(&pg);
}

static void passwords_stay_out_of_texts(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *env;
        enum dz_code code;
    } cases[] = {
        {"postgres://joe:hushhush@127.0.0.1:1/db", NULL, DZ_UNAVAILABLE},
        {"postgres://joe:hush%68ush@127.0.0.1:1/db", NULL, DZ_UNAVAILABLE},
        {"host=127.0.0.1 port=1 dbname=db password=hushhush", NULL, DZ_UNAVAILABLE},
        {"postgres://joe@127.0.0.1:1/db", "hushhush", DZ_UNAVAILABLE},
        {"postgres://joe:x@127.0.0.1:1/db?password=hushhush", NULL, DZ_UNAVAILABLE},
        /* What libpq would take a password for. */
        {"postgres://joe:hush@hushhush@127.0.0.1:1/db", NULL, DZ_BAD_INPUT},
        {"postgres://joe:hush/hushhush@127.0.0.1:1/db", NULL, DZ_BAD_INPUT},
        {"postgres://joe:hushhush/@127.0.0.1:1/db", NULL, DZ_BAD_INPUT},
        {"postgres://joe:hushhush", NULL, DZ_BAD_INPUT},
        {"postgres://joe:hushhush%zz@127.0.0.1:1/db", NULL, DZ_BAD_INPUT},
        {"postgres://joe:x@127.0.0.1:1/db?hushhush", NULL, DZ_BAD_INPUT},
        {"postgres://joe:x@[hushhush:1/db", NULL, DZ_BAD_INPUT},
        {"host=127.0.0.1 password=hush hushhush", NULL, DZ_BAD_INPUT},
        {"host=127.0.0.1 password='hushhush", NULL, DZ_BAD_INPUT},
        {"hushhush", NULL, DZ_BAD_INPUT},
        {"host=127.0.0.1 hushhush=1", NULL, DZ_BAD_INPUT},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        const struct dz_pg_options o = {.uri = cases[i].uri, .connect_ms = 2000};
        struct dz_err err = {0};
        struct dz_pg *pg = NULL;
        if (cases[i].env)
            setenv("PGPASSWORD", cases[i].env, 1);
        enum dz_code code = dz_pg_open(&o, &pg, &err);
        unsetenv("PGPASSWORD");
        if (code != cases[i].code || strstr(err.text, "hushhush"))
            fail_msg("%s: %s: %s", cases[i].uri, dz_code_name(code), err.text);
        assert_null(pg);
    }
}

static void reasons_are_plain(void **state)
{
    (void)state;
    struct dz_err err = {0};
    struct dz_pg *pg = NULL;
    if (!server_uri("postgres"))
        server_is_missing("postgres");
    dz_str uri = dz_str_of(server_uri("postgres"));
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 500);
    dz_buf_put(&b, dz_str_sub(uri, 0, dz_str_rchr(uri, '/')));
    dz_buf_put(&b, DZ_S("/no_such_database"));
    struct dz_pg_options o = {.uri = dz_buf_cstr(&b)};
    assert_int_equal(dz_pg_open(&o, &pg, &err), DZ_UNAVAILABLE);
    assert_non_null(strstr(err.text, "database \"no_such_database\" does not exist"));
    assert_null(strstr(err.text, "FATAL"));
    assert_null(strchr(err.text, '\n'));
    o = (struct dz_pg_options){.uri = uri.p, .schema = "a.b"};
    assert_int_equal(dz_pg_open(&o, &pg, &err), DZ_BAD_INPUT);
    o = (struct dz_pg_options){.uri = uri.p, .pool_max = DZ_PG_POOL_MAX + 1};
    assert_int_equal(dz_pg_open(&o, &pg, &err), DZ_BAD_INPUT);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(no_more_than_its_size),
        cmocka_unit_test(whoever_waits_gets_the_next),
        cmocka_unit_test_setup_teardown(threads_share_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(options_are_kept, set_up, tear_down),
        cmocka_unit_test(passwords_stay_out_of_texts),
        cmocka_unit_test(reasons_are_plain),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
