/*
 * test_postgres: what is particular about the postgres driver: which tables it takes, what it makes
 * beside them, a server that goes down, and every query failing once. Each test has a schema of its
 * own on the server of DOZO_TEST_POSTGRES.
 */
#include "pg/database.h"
#include "proxy.h"
#include "store/store.h"

#include <sys/wait.h>

static enum dz_code open_at(const char *uri, const char *table, uint32_t pool_max,
                            struct dz_store **ret_s, struct dz_err *err)
{
    struct dz_store_options o = {.data_dir = "/tmp",
                                 .uri = uri,
                                 .table = table,
                                 .pool_max = pool_max,
                                 .level = DZ_STORE_LEVEL_AUTO};
    return dz_store_open_options(&dz_store_postgres, &o, ret_s, err);
}

/* SCHEMA.NAME, in one of a few buffers that take turns. */
static const char *in_schema(const struct database *d, const char *name)
{
    static char texts[4][160];
    static unsigned turn;
    char *text = texts[turn++ % 4];
    (void)snprintf(text, sizeof(texts[0]), "%s.%s", d->schema, name);
    return text;
}

static enum dz_code open_table(const struct database *d, const char *name, struct dz_store **ret_s,
                               struct dz_err *err)
{
    return open_at(server_uri("postgres"), in_schema(d, name), 4, ret_s, err);
}

static enum dz_code put_named(struct dz_store *s, const char *name, const char *text,
                              struct dz_err *err)
{
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
    DZ_AUTO(dz_store_write_drop) struct dz_store_write *w = NULL;
    bool is_new = false;
    DZ_TRY(dz_store_batch_begin(s, &b, err));
    DZ_TRY(dz_store_write_begin(s, &w, err));
    DZ_TRY(dz_store_write_add(w, dz_str_of(text), err));
    DZ_TRY(
        dz_store_batch_take_named(b, &w, dz_str_of(name), DZ_S("text/plain"), NULL, &is_new, err));
    DZ_TRY(dz_store_batch_put_bytes(b, DZ_S("a blob beside"), NULL, err));
    return dz_store_batch_commit(b, err);
}

static enum dz_code get_named(struct dz_store *s, const char *name, const char *text,
                              struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    struct dz_store_named n;
    DZ_TRY(dz_store_named_get(s, dz_str_of(name), DZ_MIB, a, &n, &body, err));
    assert_true(dz_str_eq((dz_str){body->p, body->n}, dz_str_of(text)));
    return DZ_OK;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void test_tables_that_will_do(void **state)
{
    struct database *d = database_of(state);
    static const char *const tables[][2] = {
        /* as imoog makes it; a capital is a small letter, for imoog writes it without quotes */
        {"My_Images", "CREATE TABLE my_images (name TEXT PRIMARY KEY, image BYTEA, mime TEXT)"},
        {"others",
         "CREATE TABLE others (id BIGSERIAL PRIMARY KEY, name VARCHAR(2000) NOT NULL UNIQUE, "
         "image BYTEA, mime VARCHAR, at TIMESTAMPTZ NOT NULL DEFAULT now(), note TEXT)"},
        {"collated", "CREATE TABLE collated (name TEXT COLLATE \"C\" PRIMARY KEY, image BYTEA, "
                     "mime TEXT)"},
        {"select", "SELECT 1"}, /* a reserved word, and not there yet */
        {"t234567890123456789012345678901234567890123456789012", "SELECT 1"},
    };
    for (size_t i = 0; i < DZ_LEN(tables); i++) {
        must(dz_pg_script(d->c, tables[i][1], err));
        for (int round = 0; round < 2; round++) {
            struct dz_store *s = NULL;
            must(open_table(d, tables[i][0], &s, err));
            if (round == 0)
                must(put_named(s, "A", "words", err));
            must(get_named(s, "A", "words", err));
            uint64_t n = 0;
            must(dz_store_named_del(s, DZ_S("none"), NULL, err));
            must(dz_store_sweep(s, 0, &n, err));
            assert_int_equal(n, 0);
            dz_store_close(&s);
        }
    }
    assert_int_equal(ask(d->c, "SELECT count(*) FROM my_images"), 2);
    assert_int_equal(ask(d->c, "SELECT count(*) FROM my_images_dozo WHERE bytes = 5"), 1);
    assert_int_equal(ask(d->c, "SELECT count(*) FROM \"select_dozo\""), 2);
}

static void test_tables_of_others(void **state)
{
    struct database *d = database_of(state);
    static const char *const bad[][3] = {
        {"a", "CREATE TABLE a (name TEXT PRIMARY KEY, image TEXT, mime TEXT)",
         "image is not bytea"},
        {"b", "CREATE TABLE b (name TEXT PRIMARY KEY, image BYTEA)", "no column mime"},
        {"c", "CREATE TABLE c (name BIGINT PRIMARY KEY, image BYTEA, mime TEXT)", "bigint"},
        {"d", "CREATE TABLE d (name TEXT, image BYTEA, mime TEXT)", "not unique"},
        {"e", "CREATE TABLE e (name TEXT PRIMARY KEY, image BYTEA, mime TEXT, o INT NOT NULL)",
         "column o"},
        {"f", "CREATE VIEW f AS SELECT 'x'::text AS name, ''::bytea AS image, ''::text AS mime",
         "no table"},
        {"g", "CREATE TABLE g (name TEXT, image BYTEA, mime TEXT, UNIQUE (name, mime))",
         "not unique"},
    };
    struct dz_store *s = NULL;
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        struct dz_err why = {0};
        must(dz_pg_script(d->c, bad[i][1], err));
        assert_int_equal(open_table(d, bad[i][0], &s, &why), DZ_BAD_INPUT);
        if (!strstr(why.text, bad[i][2]))
            fail_msg("%s: %s", bad[i][2], why.text);
        assert_non_null(strstr(why.text, "store.table"));
    }
    assert_int_equal(ask(d->c, "SELECT count(*) FROM pg_class WHERE relname LIKE '%\\_dozo%' "
                               "AND relnamespace = current_schema()::regnamespace"),
                     0);
    static const char *const names[] = {"a;b",
                                        "a b",
                                        "1a",
                                        "a.b.c",
                                        "a\"b",
                                        "t2345678901234567890123456789012345678901234567890123"
                                        "4567890"};
    for (size_t i = 0; i < DZ_LEN(names); i++)
        assert_int_equal(open_at(server_uri("postgres"), names[i], 1, &s, NULL), DZ_BAD_INPUT);
    struct dz_err why = {0};
    assert_int_not_equal(open_at(server_uri("postgres"), "no_such_schema.images", 1, &s, &why),
                         DZ_OK);
    assert_non_null(strstr(why.text, "no_such_schema"));
    assert_null(s);
}

static void *open_one(void *arg)
{
    const struct database *d = arg;
    char table[160];
    struct dz_store *s = NULL;
    (void)snprintf(table, sizeof(table), "%s.together", d->schema);
    enum dz_code code = open_at(server_uri("postgres"), table, 2, &s, NULL);
    dz_store_close(&s);
    return code == DZ_OK ? NULL : arg;
}

static void test_opened_at_once(void **state)
{
    struct database *d = database_of(state);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_one, d), 0);
    for (size_t i = 0; i < 4; i++) {
        void *failed = d;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

/* ---- few connections ------------------------------------------------------------------------- */

static enum dz_code delete_it(void *arg, const struct dz_blob_stat *b, struct dz_err *err)
{
    return dz_store_del(arg, &b->sha, err);
}

static enum dz_code delete_named(void *arg, const struct dz_store_named *n, struct dz_err *err)
{
    return dz_store_named_del(arg, n->name, NULL, err);
}

static void test_one_connection(void **state)
{
    struct database *d = database_of(state);
    DZ_AUTO(dz_store_close) struct dz_store *s = NULL;
    must(open_at(server_uri("postgres"), in_schema(d, "few"), 1, &s, err));
    must(put_named(s, "A", "words", err));
    must(dz_store_list(s, delete_it, s, err));
    must(dz_store_named_list(s, delete_named, s, err));
    assert_int_equal(ask(d->c, "SELECT count(*) FROM few"), 0);
    assert_int_equal(ask(d->c, "SELECT count(*) FROM few_dozo"), 0);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void test_server_goes_and_comes(void **state)
{
    struct database *d = database_of(state);
    struct proxy x;
    char uri[256];
    proxy_start(&x, "postgres", uri, sizeof(uri));
    DZ_AUTO(dz_store_close) struct dz_store *s = NULL;
    must(open_at(uri, in_schema(d, "images"), 4, &s, err));
    must(put_named(s, "A", "words", err));
    proxy_set(&x, PROXY_IS_GONE);
    proxy_set(&x, PROXY_PASSES);
    must(get_named(s, "A", "words", err)); /* a restart costs a new connection */
    proxy_set(&x, PROXY_IS_GONE);
    struct dz_err why = {0};
    assert_int_equal(get_named(s, "A", "words", &why), DZ_UNAVAILABLE);
    int64_t from_ns = dz_mono_ns();
    for (int i = 0; i < 200; i++) {
        assert_int_equal(get_named(s, "A", "words", &why), DZ_UNAVAILABLE);
        assert_int_equal(put_named(s, "B", "more", &why), DZ_UNAVAILABLE);
        assert_int_equal(dz_store_put_bytes(s, DZ_S("x"), NULL, &why), DZ_UNAVAILABLE);
        assert_int_equal(dz_store_list(s, delete_it, s, &why), DZ_UNAVAILABLE);
    }
    assert_true(dz_mono_ns() - from_ns < 5 * 1000000000LL); /* one wait for a connection is 5 s */
    assert_true(why.text[0]);
    proxy_set(&x, PROXY_PASSES);
    while (get_named(s, "A", "words", &why) != DZ_OK) {
        assert_int_equal(why.code, DZ_UNAVAILABLE);
        usleep(10000);
    }
    must(put_named(s, "B", "more", err));
    dz_store_close(&s);
    assert_int_equal(open_at("postgres://nobody@127.0.0.1:1/none", "images", 1, &s, &why),
                     DZ_UNAVAILABLE);
    assert_non_null(strstr(why.text, "127.0.0.1"));
    proxy_stop(&x);
}

/* In a process of its own: the Nth query fails. What failed has done nothing by halves, and works
 * when it is done again. */
static int story(const char *table)
{
    struct dz_store *s = NULL;
    struct dz_err err = {0};
    bool failed = false;
    for (int i = 0; i < 3; i++) {
        enum dz_code code = DZ_OK;
        if (!s)
            code = open_at(server_uri("postgres"), table, 2, &s, &err);
        if (code == DZ_OK)
            code = put_named(s, "A", "words", &err);
        if (code == DZ_OK)
            code = get_named(s, "A", "words", &err);
        if (code == DZ_OK)
            code = dz_store_named_del(s, DZ_S("A"), NULL, &err);
        if (code == DZ_OK)
            code = put_named(s, "B", "words", &err);
        if (code == DZ_OK)
            code = dz_store_sweep(s, 0, NULL, &err);
        if (code == DZ_OK)
            break;
        if (failed || code != DZ_IO)
            return 3;
        failed = true;
        if (s && dz_store_named_del(s, DZ_S("A"), NULL, &err) != DZ_OK)
            return 4;
        if (s && dz_store_named_del(s, DZ_S("B"), NULL, &err) != DZ_OK)
            return 4;
    }
    enum dz_code code = get_named(s, "B", "words", &err);
    if (code == DZ_IO && !failed) { /* it was this one's turn */
        failed = true;
        code = get_named(s, "B", "words", &err);
    }
    dz_store_close(&s);
    if (code != DZ_OK)
        return 5;
    return failed ? 1 : 0;
}

static void test_every_query_fails_once(void **state)
{
    struct database *d = database_of(state);
    char table[160], fault[32];
    int status = 1;
    (void)snprintf(table, sizeof(table), "%s.faulty", d->schema);
    for (int nth = 1; status == 1; nth++) {
        (void)snprintf(fault, sizeof(fault), "query:%d", nth);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            (void)setenv("DZ_FAULT", fault, 1);
            execl("/proc/self/exe", "test_postgres", table, (char *)NULL);
            _exit(9);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        status = WEXITSTATUS(status);
        assert_in_range(status, 0, 1);
        assert_true(nth < 200);
        assert_int_equal(ask(d->c, "SELECT count(*) FROM faulty WHERE length(name) = 1"), 1);
        assert_int_equal(ask(d->c, "SELECT count(*) FROM faulty"), 2);
        assert_int_equal(ask(d->c, "SELECT count(*) FROM faulty_dozo"), 2);
        must(dz_pg_script(d->c,
                          nth % 2 ? "TRUNCATE faulty, faulty_dozo"
                                  : "DROP TABLE faulty, faulty_dozo, faulty_dozo_part",
                          err));
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return story(argv[1]);
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_tables_that_will_do),   CASE(test_tables_of_others),
        CASE(test_opened_at_once),        CASE(test_one_connection),
        CASE(test_server_goes_and_comes), CASE(test_every_query_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) > 0;
}
