/*
 * test_fetch: stored pages on their way from a worker, with a store that waits, lies and fails as
 * told. dz_library_body() is wrapped by the linker (meson.build).
 */
#include "library/lab.h"

#include "api/api.h"
#include "http/http_int.h"

#include <sched.h>

#define PAGES 3

/* ---- the store ------------------------------------------------------------------------------- */

enum dz_code __real_dz_library_body(struct dz_library *l, const struct dz_sha256 *sha,
                                    struct dz_body **ret_body, struct dz_err *err);
enum dz_code __wrap_dz_library_body(struct dz_library *l, const struct dz_sha256 *sha,
                                    struct dz_body **ret_body, struct dz_err *err);

static struct {
    atomic_uint reads;
    atomic_bool closed;  /* reads wait */
    enum dz_code broken; /* what they end in; DZ_OK: the bytes */
    bool short_by_one;   /* the bytes but for the last */
} store;

enum dz_code __wrap_dz_library_body(struct dz_library *l, const struct dz_sha256 *sha,
                                    struct dz_body **ret_body, struct dz_err *err)
{
    atomic_fetch_add(&store.reads, 1);
    while (atomic_load(&store.closed))
        sched_yield();
    if (store.broken)
        return dz_fail(err, store.broken, "as the test wants it");
    DZ_TRY(__real_dz_library_body(l, sha, ret_body, err));
    (*ret_body)->n -= store.short_by_one;
    return DZ_OK;
}

/* ---- a server -------------------------------------------------------------------------------- */

static struct {
    struct lab lab;
    struct dz_cache *cache;
    struct dz_pool *pool;
    struct dz_api *api;
    struct dz_http_server *server;
    struct dz_loop *loop;
    char url[PAGES][64];
} it;

static void name_pages(void)
{
    struct dz_view *v = dz_library_view(it.lab.lib);
    assert_int_equal(v->series_n, 1);
    const struct dz_snapshot *snap = v->series[0];
    assert_int_equal(snap->chapters_n, 1);
    assert_int_equal(snap->chapters[0].pages_n, PAGES);
    for (size_t i = 0; i < PAGES; i++)
        snprintf(it.url[i], sizeof(it.url[i]), "/page/%lld/%lld/%u", (long long)snap->series.id,
                 (long long)snap->chapters[0].id, snap->chapters[0].pages[i].number);
    dz_view_unref(&v);
}

static void begin(unsigned queue_max)
{
    lab_init(&it.lab, NULL);
    for (unsigned i = 0; i < PAGES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "S/c1/%u.png", i + 1);
        lab_png(&it.lab, name, i);
    }
    lab_import(&it.lab, "S", "S");
    name_pages();
    struct dz_cache_options c = {.max_bytes = 64 * DZ_MIB, .max_entries = UINT64_MAX};
    must(dz_cache_open("memory", "", &c, &it.cache, err));
    must(dz_pool_new(1, queue_max, &it.pool, err));
    struct dz_api_options a = {
        .conf = it.lab.conf, .library = it.lab.lib, .cache = it.cache, .pool = it.pool};
    must(dz_api_new(&a, &it.api, err));
    struct dz_http_options h = {0};
    dz_api_wire(it.api, &h);
    must(dz_http_server_new(&h, &it.server, err));
    dz_api_set_server(it.api, it.server);
    must(dz_loop_new(&it.loop, err));
    atomic_store(&store.reads, 0);
}

static void end(void)
{
    while (it.server->test_lanes->deferred_n > 0) /* of clients that have gone */
        dz_loop_turn(it.loop, 10);
    dz_http_stop(&it.server);
    dz_loop_free(&it.loop);
    dz_pool_close(&it.pool);
    dz_api_free(&it.api);
    dz_cache_close(&it.cache);
    lab_done(&it.lab);
}

static struct dz_http_test_conn *ask(unsigned page)
{
    struct dz_http_test_conn *c = dz_http_test_open(it.server, it.loop);
    char text[256];
    int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", it.url[page]);
    dz_http_test_push(c, (dz_str){text, (size_t)n}, false);
    return c;
}

static void wait_for_reads(unsigned n)
{
    while (atomic_load(&store.reads) < n)
        sched_yield();
}

static dz_str answer(struct dz_http_test_conn *c)
{
    while (dz_http_test_output(c).n == 0)
        dz_loop_turn(it.loop, 10);
    return dz_http_test_output(c);
}

static void assert_status(struct dz_http_test_conn **c, int status, dz_str body)
{
    dz_str all = answer(*c);
    char line[16];
    snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    if (!dz_str_starts(all, dz_str_of(line)))
        fail_msg("not %d: %.*s", status, DZ_STR_FMT(all));
    size_t head = dz_str_find(all, DZ_S("\r\n\r\n"));
    assert_true(head != DZ_NPOS);
    if (body.p)
        assert_true(dz_str_eq(dz_str_sub(all, head + 4, all.n), body));
    dz_http_test_free(c);
}

static void assert_page(struct dz_http_test_conn **c, unsigned page)
{
    assert_status(c, 200, lab_picture(page));
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void a_thousand_make_one_read(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    static struct dz_http_test_conn *c[MANY];
    begin(16);
    atomic_store(&store.closed, true);
    for (unsigned i = 0; i < MANY; i++)
        c[i] = ask(0);
    wait_for_reads(1);
    struct dz_http_test_conn *other = ask(1);
    assert_int_equal(dz_http_test_output(c[0]).n, 0);
    atomic_store(&store.closed, false);
    for (unsigned i = 0; i < MANY; i++)
        assert_page(&c[i], 0);
    assert_page(&other, 1);
    assert_int_equal(atomic_load(&store.reads), 2);
    c[0] = ask(0); /* from RAM, at once */
    assert_true(dz_http_test_output(c[0]).n > 0);
    assert_page(&c[0], 0);
    assert_int_equal(atomic_load(&store.reads), 2);
    end();
}

/* Whatever goes wrong reaches everybody who waits, and the next request reads anew. */
static void failures(void **state)
{
    (void)state;
    static const struct {
        enum dz_code code;
        bool short_by_one;
        int status;
    } cases[] = {{DZ_CORRUPT, false, 500},
                 {DZ_OK, true, 500},
                 {DZ_NOT_FOUND, false, 404},
                 {DZ_UNAVAILABLE, false, 503},
                 {DZ_IO, false, 500}};
    begin(16);
    unsigned reads = 0;
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        store.broken = cases[i].code;
        store.short_by_one = cases[i].short_by_one;
        atomic_store(&store.closed, true);
        struct dz_http_test_conn *one = ask(0), *two = ask(0);
        wait_for_reads(++reads);
        atomic_store(&store.closed, false);
        assert_status(&one, cases[i].status, (dz_str){0});
        assert_status(&two, cases[i].status, (dz_str){0});
        assert_int_equal(atomic_load(&store.reads), reads);
    }
    store.broken = DZ_OK;
    store.short_by_one = false;
    struct dz_http_test_conn *after = ask(0);
    assert_page(&after, 0);
    end();
}

/* One worker is busy, one page waits in the queue: the third is told to come back, and those that
 * ask for what is under way still wait for it. */
static void full_pool(void **state)
{
    (void)state;
    begin(1);
    atomic_store(&store.closed, true);
    struct dz_http_test_conn *first = ask(0);
    wait_for_reads(1);
    struct dz_http_test_conn *second = ask(1), *third = ask(2), *again = ask(1);
    dz_str said = dz_http_test_output(third);
    assert_true(dz_str_find(said, DZ_S("\r\nRetry-After: 1\r\n")) != DZ_NPOS);
    assert_status(&third, 503, (dz_str){0});
    assert_int_equal(dz_http_test_output(second).n + dz_http_test_output(again).n, 0);
    atomic_store(&store.closed, false);
    assert_page(&first, 0);
    assert_page(&second, 1);
    assert_page(&again, 1);
    third = ask(2); /* nothing of the refused one is left */
    assert_page(&third, 2);
    end();
}

static void gone_clients(void **state)
{
    (void)state;
    begin(16);
    atomic_store(&store.closed, true);
    struct dz_http_test_conn *gone = ask(0), *stays = ask(0), *alone = ask(1);
    wait_for_reads(1);
    dz_http_test_free(&gone);
    dz_http_test_free(&alone);
    struct dz_http_test_conn *later = ask(1); /* joins the read that nobody waits for */
    atomic_store(&store.closed, false);
    assert_page(&stays, 0);
    assert_page(&later, 1);
    assert_int_equal(atomic_load(&store.reads), 2);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_make_one_read),
        cmocka_unit_test(failures),
        cmocka_unit_test(full_pool),
        cmocka_unit_test(gone_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
