/*
 * A server that dies, comes back, or is there and silent: what takes, statements, transactions and
 * listeners make of it.
 */
#include "pg/database.h"
#include "proxy.h"

struct through {
    struct proxy x;
    struct dz_pg *pg;
    char uri[256];
};

static void start(struct through *t, struct dz_pg_options o)
{
    if (!server_uri("postgres"))
        server_is_missing("postgres");
    proxy_start(&t->x, "postgres", t->uri, sizeof(t->uri));
    o.uri = t->uri;
    t->pg = open_pool(&o);
}

static void end(struct through *t)
{
    dz_pg_close(&t->pg);
    proxy_stop(&t->x);
}

static struct dz_pg_conn *take(struct dz_pg *pg)
{
    struct dz_pg_conn *c = NULL;
    must(dz_pg_take(pg, &c, err));
    return c;
}

/* Waits for the pool to find its server again. */
static struct dz_pg_conn *take_in_time(struct dz_pg *pg)
{
    struct dz_pg_conn *c = NULL;
    struct dz_err err = {0};
    while (dz_pg_take(pg, &c, &err) != DZ_OK) {
        assert_int_equal(err.code, DZ_UNAVAILABLE);
        usleep(10000);
    }
    return c;
}

static void a_restart_is_not_noticed(void **state)
{
    (void)state;
    struct through t;
    start(&t, (struct dz_pg_options){.pool_min = 3, .pool_max = 3});
    struct dz_pg_conn *c = take(t.pg);
    assert_int_equal(ask(c, "SELECT 3"), 3);
    dz_pg_give(&c);
    proxy_set(&t.x, PROXY_IS_GONE);
    proxy_set(&t.x, PROXY_PASSES);
    for (int i = 0; i < 3; i++) {
        c = take(t.pg);
        assert_int_equal(ask(c, "SELECT 3"), 3);
        dz_pg_give(&c);
    }
    /* Between the take and the first statement of a transaction, and of a read. */
    c = take(t.pg);
    must(dz_pg_begin(c, NULL, err));
    proxy_set(&t.x, PROXY_IS_GONE);
    proxy_set(&t.x, PROXY_PASSES);
    assert_int_equal(ask(c, "SELECT 3"), 3);
    must(dz_pg_commit(c, err));
    proxy_set(&t.x, PROXY_IS_GONE);
    proxy_set(&t.x, PROXY_PASSES);
    static const struct dz_pg_statement read = {.text = "SELECT 4", .repeats = true};
    must(dz_pg_run(c, &read, NULL, 0, NULL, err));
    dz_pg_give(&c);
    end(&t);
}

static void what_was_under_way_is_lost(void **state)
{
    (void)state;
    struct through t;
    struct dz_err err = {0};
    start(&t, (struct dz_pg_options){.pool_max = 2});
    struct dz_pg_conn *c = take(t.pg);
    must(dz_pg_begin(c, NULL, err));
    do_run(c, "CREATE TEMP TABLE t (i bigint)");
    proxy_set(&t.x, PROXY_IS_GONE);
    proxy_set(&t.x, PROXY_PASSES);
    assert_int_equal(try_run(c, "INSERT INTO t VALUES (1)", &err), DZ_UNAVAILABLE);
    assert_int_equal(try_run(c, "SELECT 1", &err), DZ_UNAVAILABLE);
    assert_int_equal(dz_pg_commit(c, &err), DZ_UNAVAILABLE);
    dz_pg_give(&c);
    c = take(t.pg);
    proxy_set(&t.x, PROXY_IS_GONE);
    assert_int_equal(try_run(c, "SELECT 1", &err), DZ_UNAVAILABLE); /* may have been a write */
    dz_pg_give(&c);
    end(&t);
}

static void while_it_is_down_takes_fail_at_once(void **state)
{
    (void)state;
    struct through t;
    struct dz_err err = {0};
    struct dz_pg_conn *c = NULL;
    start(&t, (struct dz_pg_options){.pool_max = 4, .acquire_ms = 3600000});
    must(dz_pg_state(t.pg, err));
    proxy_set(&t.x, PROXY_IS_GONE);
    for (int i = 0; i < 100; i++)
        assert_int_equal(dz_pg_take(t.pg, &c, &err), DZ_UNAVAILABLE);
    assert_non_null(strstr(err.text, "refused"));
    assert_non_null(strstr(err.text, "dozo at 127.0.0.1:"));
    assert_int_equal(dz_pg_state(t.pg, &err), DZ_UNAVAILABLE);
    proxy_set(&t.x, PROXY_PASSES);
    c = take_in_time(t.pg);
    assert_int_equal(ask(c, "SELECT 3"), 3);
    dz_pg_give(&c);
    must(dz_pg_state(t.pg, err));
    end(&t);
}

/* However many ask: what finds out that nobody answers does so once, and the others are told. */
static void a_silent_server_has_its_time(void **state)
{
    (void)state;
    struct through t;
    struct dz_err err = {0};
    struct dz_pg_conn *c = NULL, *other = NULL;
    start(&t, (struct dz_pg_options){
                  .pool_min = 2, .pool_max = 4, .connect_ms = 200, .statement_ms = 300});
    c = take(t.pg);
    proxy_set(&t.x, PROXY_IS_SILENT);
    assert_int_equal(try_run(c, "SELECT 1", &err), DZ_UNAVAILABLE);
    assert_non_null(strstr(err.text, "no answer"));
    for (int i = 0; i < 100; i++)
        assert_int_equal(dz_pg_take(t.pg, &other, &err), DZ_UNAVAILABLE);
    dz_pg_give(&c);
    proxy_set(&t.x, PROXY_PASSES);
    c = take_in_time(t.pg);
    assert_int_equal(ask(c, "SELECT 3"), 3);
    dz_pg_give(&c);
    end(&t);
}

static void a_silent_server_at_the_start(void **state)
{
    (void)state;
    struct through t;
    struct dz_err err = {0};
    struct dz_pg *pg = NULL;
    start(&t, (struct dz_pg_options){0});
    proxy_set(&t.x, PROXY_IS_SILENT);
    const struct dz_pg_options o = {.uri = t.uri, .connect_ms = 100};
    assert_int_equal(dz_pg_open(&o, &pg, &err), DZ_UNAVAILABLE);
    assert_non_null(strstr(err.text, "no answer for 100 ms"));
    proxy_set(&t.x, PROXY_IS_GONE);
    assert_int_equal(dz_pg_open(&o, &pg, &err), DZ_UNAVAILABLE);
    assert_null(pg);
    end(&t);
}

static void closing_does_not_wait_for_a_silent_server(void **state)
{
    (void)state;
    struct through t;
    struct dz_err err = {0};
    struct dz_pg_conn *c = NULL;
    start(&t, (struct dz_pg_options){.connect_ms = 3600000});
    proxy_set(&t.x, PROXY_IS_GONE);
    assert_int_equal(dz_pg_take(t.pg, &c, &err), DZ_UNAVAILABLE);
    proxy_set(&t.x, PROXY_IS_SILENT);
    usleep(300000); /* the thread may have begun to connect; right in either case */
    end(&t);
}

enum { THREADS = 8 };
struct asker {
    pthread_t thread;
    struct dz_pg *pg;
    atomic_bool *ends;
    unsigned good, bad;
};

static void *ask_on(void *arg)
{
    struct asker *a = arg;
    static const struct dz_pg_statement st = {.text = "SELECT $1::bigint * 2"};
    while (!atomic_load(a->ends)) {
        DZ_AUTO(dz_pg_give) struct dz_pg_conn *c = NULL;
        DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
        const struct dz_pg_param v[] = {dz_pg_p_int(a->good)};
        struct dz_err err = {0};
        if (dz_pg_take(a->pg, &c, &err) != DZ_OK || dz_pg_run(c, &st, v, 1, &rows, &err) != DZ_OK) {
            a->bad++;
            usleep(1000);
            continue;
        }
        if (dz_pg_int(rows, 0, 0) != (int64_t)a->good * 2)
            dz_panic(__FILE__, __LINE__, "somebody else's answer");
        a->good++;
    }
    return NULL;
}

static void threads_go_on_through_it_all(void **state)
{
    (void)state;
    struct through t;
    struct asker askers[THREADS];
    atomic_bool ends = false;
    start(&t, (struct dz_pg_options){.pool_max = 4, .connect_ms = 100, .statement_ms = 100});
    for (size_t i = 0; i < THREADS; i++) {
        askers[i] = (struct asker){.pg = t.pg, .ends = &ends};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask_on, &askers[i]), 0);
    }
    static const enum proxy_how turns[] = {PROXY_IS_GONE, PROXY_PASSES,  PROXY_IS_SILENT,
                                           PROXY_PASSES,  PROXY_IS_GONE, PROXY_PASSES};
    for (size_t i = 0; i < DZ_LEN(turns); i++) {
        usleep(150000);
        proxy_set(&t.x, turns[i]);
    }
    struct dz_pg_conn *c = take_in_time(t.pg);
    assert_int_equal(ask(c, "SELECT 3"), 3);
    dz_pg_give(&c);
    atomic_store(&ends, true);
    unsigned good = 0;
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(askers[i].thread, NULL);
        good += askers[i].good;
    }
    assert_true(good > 0);
    end(&t);
}

static void listeners_hear_and_come_back(void **state)
{
    (void)state;
    struct through t;
    static const char *const channels[] = {"dozo_a", "dozo_b"};
    struct dz_pg_listener *l = NULL;
    struct dz_err err = {0};
    uint32_t heard = 0;
    start(&t, (struct dz_pg_options){.connect_ms = 2000});
    must(dz_pg_listen(t.pg, channels, 2, &l, err));
    must(dz_pg_listener_wait(l, 0, &heard, err));
    assert_int_equal(heard, 3); /* connected: what was before is not known */
    must(dz_pg_listener_wait(l, 0, &heard, err));
    assert_int_equal(heard, 0);
    struct dz_pg_conn *c = take(t.pg);
    do_run(c, "NOTIFY dozo_b");
    must(dz_pg_listener_wait(l, 3600000, &heard, err));
    assert_int_equal(heard, 2);
    must(dz_pg_begin(c, NULL, err));
    do_run(c, "NOTIFY dozo_a");
    dz_pg_rollback(c);
    assert_int_equal(ask(c, "SELECT 3"), 3);
    dz_pg_listener_wake(l);
    must(dz_pg_listener_wait(l, 3600000, &heard, err));
    assert_int_equal(heard, 0);
    proxy_set(&t.x, PROXY_IS_GONE);
    assert_int_equal(dz_pg_listener_wait(l, 300, &heard, &err), DZ_UNAVAILABLE);
    proxy_set(&t.x, PROXY_PASSES);
    must(dz_pg_listener_wait(l, 3600000, &heard, err));
    assert_int_equal(heard, 3);
    dz_pg_give(&c);
    dz_pg_listener_close(&l);
    end(&t);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_restart_is_not_noticed),
        cmocka_unit_test(what_was_under_way_is_lost),
        cmocka_unit_test(while_it_is_down_takes_fail_at_once),
        cmocka_unit_test(a_silent_server_has_its_time),
        cmocka_unit_test(a_silent_server_at_the_start),
        cmocka_unit_test(closing_does_not_wait_for_a_silent_server),
        cmocka_unit_test(threads_go_on_through_it_all),
        cmocka_unit_test(listeners_hear_and_come_back),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
