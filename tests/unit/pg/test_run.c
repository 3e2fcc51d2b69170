/*
 * Statements on one connection: values there and back, errors, what is sent without waiting,
 * transactions, cursors.
 */
#include "pg/database.h"

#include <math.h>

static void values_come_back_as_they_were(void **state)
{
    struct database *d = database_of(state);
    static const char bytes[] = {0, 1, (char)0xff, 'a', 0, (char)0xc3};
    const dz_str any = {bytes, sizeof(bytes)};
    const int64_t ints[] = {0, -1, INT64_MAX, INT64_MIN, 4294967296};
    const double reals[] = {0, -1.5, 1e300, INFINITY, 0.1};
    do_run(d->c, "CREATE TABLE t (i bigint, r double precision, b bytea, s text, n bigint)");
    for (size_t i = 0; i < DZ_LEN(ints); i++) {
        const struct dz_pg_param v[] = {
            dz_pg_p_int(ints[i]), dz_pg_p_real(reals[i]),
            dz_pg_p_str(any),     dz_pg_p_str(DZ_S("w\xc3\xb6rter 'mit' \\ $1")),
            dz_pg_p_null(),
        };
        struct dz_pg_rows *rows = run(d->c,
                                      "INSERT INTO t VALUES ($1, $2, $3, $4, $5)"
                                      " RETURNING i, r, b, s, n, length(b), NULL::text, ''::text",
                                      v, DZ_LEN(v));
        assert_int_equal(dz_pg_n(rows), 1);
        assert_int_equal(dz_pg_affected(rows), 1);
        assert_int_equal(dz_pg_int(rows, 0, 0), ints[i]);
        assert_true(dz_pg_real(rows, 0, 1) == reals[i]);
        assert_true(dz_str_eq(dz_pg_bytes(rows, 0, 2), any));
        assert_true(dz_str_eq(dz_pg_bytes(rows, 0, 3), v[3].s));
        assert_true(dz_pg_is_null(rows, 0, 4));
        assert_int_equal(dz_pg_int(rows, 0, 4), 0);
        assert_int_equal(dz_pg_int(rows, 0, 5), sizeof(bytes));
        assert_null(dz_pg_bytes(rows, 0, 6).p);
        assert_non_null(dz_pg_bytes(rows, 0, 7).p);
        dz_pg_rows_free(&rows);
    }
    const struct dz_pg_param empty = dz_pg_p_str((dz_str){NULL, 0});
    struct dz_pg_rows *rows = run(d->c, "UPDATE t SET b = $1 WHERE i > 0", &empty, 1);
    assert_int_equal(dz_pg_affected(rows), 2);
    dz_pg_rows_free(&rows);
    assert_int_equal(ask(d->c, "SELECT count(*) FROM t WHERE length(b) = 0 AND b IS NOT NULL"), 2);
}

static void kinds_of_numbers(void **state)
{
    struct database *d = database_of(state);
    struct dz_pg_rows *rows =
        run(d->c,
            "SELECT true, 7::smallint, -7::integer, 4000000000::oid, 12345678901234::numeric,"
            " -0.5::numeric, 2.25::real, 1e30::numeric, 'NaN'::numeric, 123456.75::numeric,"
            " sum(x) FROM generate_series(1::bigint, 1000) AS x",
            NULL, 0);
    static const int64_t want[] = {1, 7,         -7, 4000000000, 12345678901234, 0,
                                   2, INT64_MAX, 0,  123456,     500500};
    for (size_t i = 0; i < DZ_LEN(want); i++)
        assert_int_equal(dz_pg_int(rows, 0, i), want[i]);
    assert_true(dz_pg_real(rows, 0, 5) == -0.5);
    assert_true(dz_pg_real(rows, 0, 6) == 2.25);
    assert_true(isnan(dz_pg_real(rows, 0, 8)));
    assert_true(dz_pg_real(rows, 0, 9) == 123456.75);
    assert_true(dz_pg_real(rows, 0, 10) == 500500);
    dz_pg_rows_free(&rows);
}

static void errors_have_codes(void **state)
{
    struct database *d = database_of(state);
    static const struct {
        const char *text;
        enum dz_code code;
        const char *sqlstate;
    } cases[] = {
        {"INSERT INTO u VALUES (1)", DZ_CONFLICT, "23505"},
        {"INSERT INTO v VALUES (5)", DZ_CONFLICT, "23503"},
        {"INSERT INTO u VALUES (NULL)", DZ_BAD_INPUT, "23502"},
        {"INSERT INTO u VALUES (-1)", DZ_BAD_INPUT, "23514"},
        {"SELECT 'x'::text::int", DZ_BAD_INPUT, "22P02"},
        {"SELECT 1/0", DZ_BAD_INPUT, "22012"},
        {"SELECT no_such_column", DZ_INTERNAL, "42703"},
        {"SELEKT", DZ_INTERNAL, "42601"},
        {"SELECT pg_terminate_backend(pg_backend_pid())", DZ_UNAVAILABLE, "57P01"},
    };
    must(dz_pg_script(d->c,
                      "CREATE TABLE u (id bigint PRIMARY KEY CHECK (id >= 0));"
                      "CREATE TABLE v (id bigint REFERENCES u (id)); INSERT INTO u VALUES (1)",
                      err));
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        struct dz_err err = {0};
        assert_int_equal(try_run(d->c, cases[i].text, &err), cases[i].code);
        if (!dz_pg_is_state(&err, cases[i].sqlstate))
            fail_msg("%s: %s", cases[i].text, err.text);
        if (cases[i].code != DZ_UNAVAILABLE)
            assert_int_equal(ask(d->c, "SELECT 3"), 3);
    }
    struct dz_err err = {0};
    assert_int_equal(try_run(d->c, "SELECT 1", &err), DZ_UNAVAILABLE);
    dz_pg_give(&d->c);
    must(dz_pg_take(d->pg, &d->c, err));
    assert_int_equal(ask(d->c, "SELECT count(*) FROM u"), 1);
    const struct dz_pg_param bad = dz_pg_p_str(DZ_S("\xff"));
    const struct dz_pg_statement st = {.text = "SELECT upper($1)"};
    assert_int_equal(dz_pg_run(d->c, &st, &bad, 1, NULL, &err), DZ_BAD_INPUT);
}

static void statements_have_a_limit(void **state)
{
    struct database *d = database_of(state);
    struct dz_err err = {0};
    must(dz_pg_statement_limit(d->c, 50, err));
    assert_int_equal(try_run(d->c, "SELECT pg_sleep(60)", &err), DZ_UNAVAILABLE);
    assert_true(dz_pg_is_state(&err, "57014"));
    assert_int_equal(ask(d->c, "SELECT 3"), 3);
    dz_pg_give(&d->c);
    must(dz_pg_take(d->pg, &d->c, err));
    assert_int_equal(
        ask(d->c, "SELECT extract(epoch FROM current_setting('statement_timeout')::interval)"), 30);
}

static void commits_wait_for_the_disk(void **state)
{
    static const struct {
        const char *given, *ours;
    } cases[] = {{"off", "on"}, {"on", "on"}, {"local", "local"}, {"remote_apply", "remote_apply"}};
    (void)database_of(state);
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        DZ_AUTO(dz_pg_give) struct dz_pg_conn *c = NULL;
        DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
        char uri[300];
        (void)snprintf(uri, sizeof(uri), "%s?options=-csynchronous_commit%%3D%s",
                       server_uri("postgres"), cases[i].given);
        struct dz_pg *pg = open_pool(&(struct dz_pg_options){.uri = uri, .pool_max = 1});
        must(dz_pg_take(pg, &c, err));
        rows = run(c, "SELECT current_setting('synchronous_commit')", NULL, 0);
        assert_true(dz_str_eq(dz_pg_bytes(rows, 0, 0), dz_str_of(cases[i].ours)));
        dz_pg_rows_free(&rows);
        dz_pg_give(&c);
        dz_pg_close(&pg);
    }
}

static void what_is_sent_later(void **state)
{
    struct database *d = database_of(state);
    enum { N = 3000 };
    static const struct dz_pg_statement add = {.text = "INSERT INTO t VALUES ($1, $2)"};
    struct dz_pg_param *v = dz_alloc(2 * N * sizeof(*v));
    struct dz_err err = {0};
    uint64_t n = 0;
    do_run(d->c, "CREATE TABLE t (i bigint PRIMARY KEY, s text)");
    for (size_t i = 0; i < N; i++) {
        v[2 * i] = dz_pg_p_int((int64_t)i);
        v[2 * i + 1] = dz_pg_p_str(DZ_S("x"));
    }
    must(dz_pg_run_many(d->c, &add, v, 2, N, &n, err));
    assert_int_equal(n, N);
    assert_int_equal(ask(d->c, "SELECT count(*) FROM t"), N);

    /* A failure in the middle is told by whoever waits next, and the transaction is lost. */
    must(dz_pg_begin(d->c, NULL, err));
    v[0] = dz_pg_p_int(N);
    must(dz_pg_later(d->c, &add, v, 2, err));
    v[0] = dz_pg_p_int(1);
    must(dz_pg_later(d->c, &add, v, 2, err));
    v[0] = dz_pg_p_int(N + 1);
    must(dz_pg_later(d->c, &add, v, 2, err));
    assert_int_equal(try_run(d->c, "SELECT 1", &err), DZ_CONFLICT);
    assert_true(dz_pg_is_state(&err, "23505"));
    dz_pg_rollback(d->c);
    assert_int_equal(ask(d->c, "SELECT count(*) FROM t"), N);

    /* So is one that only the commit waits for; and a commit of what has failed is none. */
    must(dz_pg_begin(d->c, NULL, err));
    must(dz_pg_later(d->c, &add, (struct dz_pg_param[]){v[2], v[1]}, 2, err));
    assert_int_equal(dz_pg_commit(d->c, &err), DZ_CONFLICT);
    must(dz_pg_begin(d->c, NULL, err));
    assert_int_equal(try_run(d->c, "SELECT 1/0", &err), DZ_BAD_INPUT);
    assert_int_equal(dz_pg_commit(d->c, &err), DZ_UNAVAILABLE);
    assert_int_equal(ask(d->c, "SELECT count(*) FROM t"), N);

    /* What was rolled back does not speak up afterwards. */
    must(dz_pg_begin(d->c, NULL, err));
    must(dz_pg_later(d->c, &add, (struct dz_pg_param[]){v[2], v[1]}, 2, err));
    dz_pg_rollback(d->c);
    assert_int_equal(ask(d->c, "SELECT count(*) FROM t"), N);
    free(v);
}

static void transactions(void **state)
{
    struct database *d = database_of(state);
    do_run(d->c, "CREATE TABLE t (i bigint)");
    must(dz_pg_begin(d->c, NULL, err));
    must(dz_pg_commit(d->c, err)); /* nothing was in it */
    must(dz_pg_begin(d->c, "ISOLATION LEVEL REPEATABLE READ READ ONLY", err));
    struct dz_err err = {0};
    assert_int_equal(try_run(d->c, "INSERT INTO t VALUES (1)", &err), DZ_UNAVAILABLE);
    assert_true(dz_pg_is_state(&err, "25006"));
    dz_pg_rollback(d->c);
    must(dz_pg_begin(d->c, NULL, err));
    do_run(d->c, "INSERT INTO t VALUES (1)");
    must(dz_pg_commit(d->c, err));
    must(dz_pg_begin(d->c, NULL, err));
    do_run(d->c, "INSERT INTO t VALUES (2)");
    assert_int_equal(ask(d->c, "SELECT count(*) FROM t"), 2);
    dz_pg_give(&d->c); /* rolls back */
    must(dz_pg_take(d->pg, &d->c, err));
    assert_false(dz_pg_in_transaction(d->c));
    assert_int_equal(ask(d->c, "SELECT count(*) FROM t"), 1);
}

/* Text and kinds of values together name a prepared statement; a change of the table outdates it,
 * and only so many are kept. */
static void what_leads(void **state)
{
    static const char held[] = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND "
                               "objid = 77 AND pid = pg_backend_pid()";
    struct database *d = database_of(state);
    struct dz_err err = {0};
    for (int i = 0; i < 2; i++) { /* prepared, and found again */
        must(dz_pg_begin_with(d->c, NULL, "SELECT pg_advisory_xact_lock(1, 77)", err));
        assert_int_equal(ask(d->c, held), 1);
        must(dz_pg_commit(d->c, err));
    }
    must(dz_pg_begin(d->c, NULL, err));
    assert_int_equal(ask(d->c, held), 0);
    dz_pg_rollback(d->c);

    must(dz_pg_begin_with(d->c, NULL, "SELECT 1/0", err));
    assert_int_equal(try_run(d->c, "SELECT 1", &err), DZ_BAD_INPUT);
    assert_true(dz_pg_is_state(&err, "22012") && dz_pg_has_failed(d->c));
    dz_pg_rollback(d->c);
    must(dz_pg_begin_with(d->c, NULL, "SELECT 1/0", err)); /* never sent */
    must(dz_pg_commit(d->c, err));

    int64_t pid = ask(d->c, "SELECT pg_backend_pid()");
    struct dz_pg_conn *other = NULL;
    must(dz_pg_take(d->pg, &other, err));
    must(dz_pg_begin_with(d->c, NULL, "SELECT pg_advisory_xact_lock(1, 77)", err));
    const struct dz_pg_param v = dz_pg_p_int(pid);
    struct dz_pg_rows *rows =
        run(other, "SELECT pg_terminate_backend($1::bigint::integer, 10000)", &v, 1);
    dz_pg_rows_free(&rows);
    dz_pg_give(&other);
    assert_int_equal(ask(d->c, held), 1); /* on a new connection, the lead with it */
    assert_int_not_equal(ask(d->c, "SELECT pg_backend_pid()"), pid);
    dz_pg_rollback(d->c);
}

static void prepared_statements(void **state)
{
    struct database *d = database_of(state);
    static const struct dz_pg_statement st = {.text = "SELECT $1"};
    const struct dz_pg_param v[] = {dz_pg_p_int(5), dz_pg_p_real(2.5), dz_pg_p_str(DZ_S("five")),
                                    dz_pg_p_null()};
    for (size_t turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < DZ_LEN(v); i++) {
            struct dz_pg_rows *rows = NULL;
            must(dz_pg_run(d->c, &st, &v[i], 1, &rows, err));
            assert_true(dz_pg_is_null(rows, 0, 0) == (v[i].kind == DZ_PG_NULL));
            dz_pg_rows_free(&rows);
        }
    }
    assert_int_equal(ask(d->c, "SELECT count(*) FROM pg_prepared_statements"
                               " WHERE statement = 'SELECT $1'"),
                     3);
    do_run(d->c, "CREATE TABLE t AS SELECT 1 AS a");
    assert_int_equal(ask(d->c, "SELECT * FROM t"), 1);
    do_run(d->c, "ALTER TABLE t ALTER a TYPE bigint");
    assert_int_equal(ask(d->c, "SELECT * FROM t"), 1);
    do_run(d->c, "ALTER TABLE t ALTER a TYPE numeric");
    must(dz_pg_begin(d->c, NULL, err));
    struct dz_err err = {0};
    assert_int_not_equal(try_run(d->c, "SELECT * FROM t", &err), DZ_OK);
    assert_true(dz_pg_is_retry(&err));
    dz_pg_rollback(d->c);
    must(dz_pg_begin(d->c, NULL, err));
    assert_int_equal(ask(d->c, "SELECT * FROM t"), 1);
    dz_pg_rollback(d->c);
    for (int64_t i = 0; i < DZ_PG_PREPARED_MAX + 10; i++) {
        char text[40];
        (void)snprintf(text, sizeof(text), "SELECT %lld", (long long)i);
        assert_int_equal(ask(d->c, text), i);
    }
    /* Two more: the server still has those that were outdated. */
    assert_int_equal(ask(d->c, "SELECT count(*) FROM pg_prepared_statements"),
                     DZ_PG_PREPARED_MAX + 2);
    int64_t pid = ask(d->c, "SELECT pg_backend_pid()");
    dz_pg_give(&d->c);
    must(dz_pg_take(d->pg, &d->c, err));
    assert_int_not_equal(ask(d->c, "SELECT pg_backend_pid()"), pid);
    do_run(d->c, "DEALLOCATE ALL"); /* as a proxy between us and the server may do */
    assert_int_not_equal(ask(d->c, "SELECT pg_backend_pid()"), pid);
}

static void large_results_come_in_portions(void **state)
{
    struct database *d = database_of(state);
    struct dz_pg_cursor *k = NULL;
    const struct dz_pg_rows *rows = NULL;
    const struct dz_pg_param v[] = {dz_pg_p_int(10000)};
    int64_t n = 0;
    must(dz_pg_cursor_open(d->c,
                           "SELECT x, repeat('y', 1000) FROM generate_series(1::bigint, $1) x", v,
                           1, 700, &k, err));
    for (;;) {
        must(dz_pg_cursor_next(k, &rows, err));
        if (!rows)
            break;
        assert_true(dz_pg_n(rows) <= 700);
        for (size_t i = 0; i < dz_pg_n(rows); i++) {
            assert_int_equal(dz_pg_int(rows, i, 0), ++n);
            assert_int_equal(dz_pg_bytes(rows, i, 1).n, 1000);
        }
        assert_int_equal(ask(d->c, "SELECT 3"), 3); /* others may go on meanwhile */
    }
    assert_int_equal(n, 10000);
    must(dz_pg_cursor_next(k, &rows, err));
    assert_null(rows);
    dz_pg_cursor_close(&k);
    assert_false(dz_pg_in_transaction(d->c));

    must(dz_pg_begin(d->c, NULL, err));
    must(dz_pg_cursor_open(d->c, "SELECT 1", NULL, 0, 1, &k, err));
    must(dz_pg_cursor_next(k, &rows, err));
    assert_int_equal(dz_pg_n(rows), 1);
    must(dz_pg_cursor_next(k, &rows, err));
    assert_null(rows);
    dz_pg_cursor_close(&k);
    must(dz_pg_cursor_open(d->c, "SELECT 1/0", NULL, 0, 1, &k, err));
    struct dz_err err = {0};
    assert_int_equal(dz_pg_cursor_next(k, &rows, &err), DZ_BAD_INPUT);
    dz_pg_cursor_close(&k);
    dz_pg_rollback(d->c);
    assert_int_equal(ask(d->c, "SELECT 3"), 3);
}

static void a_large_value(void **state)
{
    struct database *d = database_of(state);
    size_t n = 20 * DZ_MIB;
    char *p = dz_alloc(n);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(i * 7 + i / 4096);
    do_run(d->c, "CREATE TABLE t (b bytea)");
    const struct dz_pg_param v[] = {dz_pg_p_str((dz_str){p, n})};
    struct dz_pg_rows *rows = run(d->c, "INSERT INTO t VALUES ($1) RETURNING b", v, 1);
    assert_true(dz_str_eq(dz_pg_bytes(rows, 0, 0), v[0].s));
    dz_pg_rows_free(&rows);
    free(p);
}

static void scripts(void **state)
{
    struct database *d = database_of(state);
    struct dz_err err = {0};
    must(dz_pg_begin(d->c, NULL, err));
    must(dz_pg_script(d->c, "CREATE TABLE t (i bigint); INSERT INTO t VALUES (1), (2)", err));
    assert_int_equal(ask(d->c, "SELECT count(*) FROM t"), 2);
    must(dz_pg_commit(d->c, err));
    assert_int_equal(dz_pg_script(d->c, "INSERT INTO t VALUES (3); SELECT 1/0", &err),
                     DZ_BAD_INPUT);
    assert_int_equal(ask(d->c, "SELECT count(*) FROM t"), 2);
}

static void names(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 200);
    dz_pg_put_name(&b, DZ_S("public.my\"images"));
    assert_string_equal(dz_buf_cstr(&b), "\"public\".\"my\"\"images\"");
    static const char *const good[] = {"a", "_x1", "public.my_images", "A.B"};
    static const char *const bad[] = {"", ".", "a.", ".a", "a.b.c", "1a", "a-b", "a b", "\xc3\xa4"};
    for (size_t i = 0; i < DZ_LEN(good); i++)
        assert_true(dz_pg_is_name(dz_str_of(good[i])));
    for (size_t i = 0; i < DZ_LEN(bad); i++)
        assert_false(dz_pg_is_name(dz_str_of(bad[i])));
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest cases[] = {
        CASE(values_come_back_as_they_were),
        CASE(kinds_of_numbers),
        CASE(errors_have_codes),
        CASE(statements_have_a_limit),
        CASE(commits_wait_for_the_disk),
        CASE(what_is_sent_later),
        CASE(transactions),
        CASE(what_leads),
        CASE(prepared_statements),
        CASE(large_results_come_in_portions),
        CASE(a_large_value),
        CASE(scripts),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
