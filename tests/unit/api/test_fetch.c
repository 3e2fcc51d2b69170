/*
 * test_fetch: stored pages on their way from a worker, with a store that waits, lies and fails as
 * told.
 */
#include "rig.h"

static struct dz_http_test_conn *ask(unsigned page)
{
    return rig_ask(it.url[page], "");
}

static void assert_page(struct dz_http_test_conn **c, unsigned page)
{
    rig_assert_status(c, 200, lab_picture(page));
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void thousand(void (*begin)(unsigned queue_max))
{
    enum { MANY = 1000 };
    static struct dz_http_test_conn *c[MANY];
    begin(16);
    atomic_store(&store.closed, true);
    for (unsigned i = 0; i < MANY; i++)
        c[i] = ask(0);
    rig_wait_for_reads(1);
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
    rig_end();
}

static void a_thousand_make_one_read(void **state)
{
    (void)state;
    thousand(rig_begin);
    thousand(rig_begin_far);
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
    rig_begin(16);
    unsigned reads = 0;
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        store.broken = cases[i].code;
        store.short_by_one = cases[i].short_by_one;
        atomic_store(&store.closed, true);
        struct dz_http_test_conn *one = ask(0), *two = ask(0);
        rig_wait_for_reads(++reads);
        atomic_store(&store.closed, false);
        rig_assert_status(&one, cases[i].status, (dz_str){0});
        rig_assert_status(&two, cases[i].status, (dz_str){0});
        assert_int_equal(atomic_load(&store.reads), reads);
    }
    store.broken = DZ_OK;
    store.short_by_one = false;
    struct dz_http_test_conn *after = ask(0);
    assert_page(&after, 0);
    rig_end();
}

/* One worker is busy, one page waits in the queue: the third is told to come back, and those that
 * ask for what is under way still wait for it. */
static void full_pool(void **state)
{
    (void)state;
    rig_begin(1);
    atomic_store(&store.closed, true);
    struct dz_http_test_conn *first = ask(0);
    rig_wait_for_reads(1);
    struct dz_http_test_conn *second = ask(1), *third = ask(2), *again = ask(1);
    dz_str said = dz_http_test_output(third);
    assert_true(dz_str_find(said, DZ_S("\r\nRetry-After: 1\r\n")) != DZ_NPOS);
    rig_assert_status(&third, 503, (dz_str){0});
    assert_int_equal(dz_http_test_output(second).n + dz_http_test_output(again).n, 0);
    atomic_store(&store.closed, false);
    assert_page(&first, 0);
    assert_page(&second, 1);
    assert_page(&again, 1);
    third = ask(2); /* nothing of the refused one is left */
    assert_page(&third, 2);
    rig_end();
}

static void gone_clients(void **state)
{
    (void)state;
    rig_begin(16);
    atomic_store(&store.closed, true);
    struct dz_http_test_conn *gone = ask(0), *stays = ask(0), *alone = ask(1);
    rig_wait_for_reads(1);
    dz_http_test_free(&gone);
    dz_http_test_free(&alone);
    struct dz_http_test_conn *later = ask(1); /* joins the read that nobody waits for */
    atomic_store(&store.closed, false);
    assert_page(&stays, 0);
    assert_page(&later, 1);
    assert_int_equal(atomic_load(&store.reads), 2);
    rig_end();
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
