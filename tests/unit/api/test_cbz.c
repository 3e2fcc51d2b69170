/*
 * test_cbz: a chapter as a file, laid out once for all who wait, from a store with files and from
 * one without, which may stop in the middle.
 */
#include "rig.h"

/* What is in the library as a file. */
static struct dz_buf expected(void)
{
    DZ_AUTO(dz_view_unref) struct dz_view *v = dz_library_view(it.lab.lib);
    struct dz_cbz_options o = {.sizes = false};
    DZ_AUTO(dz_cbz_unref) struct dz_cbz *z = NULL;
    must(dz_cbz_new(it.lab.lib, v->series[0], &v->series[0]->chapters[0], &o, &z, err));
    struct dz_buf b;
    struct dz_cbz_piece piece;
    dz_buf_init(&b, DZ_MIB);
    while (dz_cbz_piece(z, b.n, &piece)) {
        if (piece.bytes.n > 0) {
            dz_buf_put(&b, piece.bytes);
            continue;
        }
        unsigned page = 0;
        while (page < RIG_PAGES &&
               memcmp(dz_sha256_of(lab_picture(page)).b, piece.blob->b, 32) != 0)
            page++;
        dz_buf_put(&b, dz_str_sub(lab_picture(page), piece.from, piece.from + piece.n));
    }
    return b;
}

/* The whole answer. */
static struct dz_http_test_conn *get(const char *fields)
{
    struct dz_http_test_conn *c = dz_http_test_open(it.server, it.loop);
    char text[256];
    int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", it.cbz, fields);
    dz_http_test_feed(c, (dz_str){text, (size_t)n}, false);
    return c;
}

static void with_and_without_files(void **state)
{
    (void)state;
    for (unsigned no_files = 0; no_files < 2; no_files++) {
        (no_files ? rig_begin_far : rig_begin)(16);
        struct dz_http_test_conn *c = get(""), *part;
        struct dz_buf b = expected();
        dz_str all = dz_buf_str(&b);
        rig_assert_status(&c, 200, all);
        part = get("Range: bytes=100-200\r\n");
        rig_assert_status(&part, 206, dz_str_sub(all, 100, 201));
        part = get("Range: bytes=-22\r\n");
        rig_assert_status(&part, 206, dz_str_sub(all, all.n - 22, all.n));
        part = get("Range: bytes=0-0,-9\r\n");
        dz_str said = rig_answer(part);
        assert_true(dz_str_find(said, DZ_S("multipart/byteranges")) != DZ_NPOS);
        rig_assert_status(&part, 206, (dz_str){0});
        dz_buf_done(&b);
        rig_end();
    }
}

static void many_wait_for_one_plan(void **state)
{
    (void)state;
    enum { MANY = 200 };
    static struct dz_http_test_conn *c[MANY];
    rig_begin_far(16);
    atomic_store(&store.closed, true);
    for (unsigned i = 0; i < MANY; i++)
        c[i] = rig_ask(it.cbz, i % 2 ? "Range: bytes=0-3\r\n" : "Range: bytes=-4\r\n");
    rig_wait_for_reads(1);
    atomic_store(&store.closed, false);
    for (unsigned i = 0; i < MANY; i++)
        rig_assert_status(&c[i], 206, i % 2 ? DZ_S("PK\3\4") : DZ_S("\0\0\0\0"));
    /* No page was in those ranges; each was read once, for its checksum. */
    assert_int_equal(atomic_load(&store.reads), RIG_PAGES);
    rig_end();
}

static void failures_before_the_head(void **state)
{
    (void)state;
    static const struct {
        enum dz_code code;
        bool short_by_one;
        int status;
    } cases[] = {{DZ_CORRUPT, false, 500},
                 {DZ_OK, true, 500},
                 {DZ_NOT_FOUND, false, 404},
                 {DZ_UNAVAILABLE, false, 503}};
    rig_begin_far(16);
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        store.broken = cases[i].code;
        store.short_by_one = cases[i].short_by_one;
        struct dz_http_test_conn *one = rig_ask(it.cbz, ""), *two = rig_ask(it.cbz, "");
        rig_assert_status(&one, cases[i].status, (dz_str){0});
        rig_assert_status(&two, cases[i].status, (dz_str){0});
    }
    store.broken = DZ_OK;
    store.short_by_one = false;
    struct dz_http_test_conn *after = get("Range: bytes=0-1\r\n");
    rig_assert_status(&after, 206, DZ_S("PK"));
    rig_end();
}

/* What has begun is cut, and never filled up. */
static void failures_in_the_middle(void **state)
{
    (void)state;
    rig_begin_far(16);
    struct dz_http_test_conn *c = get("Range: bytes=0-1\r\n");
    rig_assert_status(&c, 206, DZ_S("PK"));
    store.broken = DZ_NOT_FOUND;
    c = get("");
    assert_true(dz_http_test_closed(c));
    dz_str all = dz_http_test_output(c);
    struct dz_buf b = expected();
    assert_true(all.n < b.n);
    dz_buf_done(&b);
    dz_http_test_free(&c);
    rig_end();
}

static void clients_that_go(void **state)
{
    (void)state;
    rig_begin_far(16);
    struct dz_http_test_conn *kept = get("Range: bytes=0-1\r\n");
    rig_assert_status(&kept, 206, DZ_S("PK"));
    atomic_store(&store.closed, true);
    struct dz_http_test_conn *gone = rig_ask(it.cbz, ""), *stays = rig_ask(it.cbz, "");
    rig_wait_for_reads(RIG_PAGES + 1);
    dz_http_test_free(&gone);
    atomic_store(&store.closed, false);
    struct dz_buf b = expected();
    dz_http_test_feed(stays, (dz_str){0}, false); /* until it is whole */
    rig_assert_status(&stays, 200, dz_buf_str(&b));
    dz_buf_done(&b);
    rig_end();
}

/* What has begun waits for a worker instead. */
static void full_pool_in_the_middle(void **state)
{
    (void)state;
    rig_begin_far(1);
    struct dz_http_test_conn *third = get("Range: bytes=0-1\r\n");
    rig_assert_status(&third, 206, DZ_S("PK"));
    atomic_store(&store.reads, 0);
    atomic_store(&store.closed, true);
    struct dz_http_test_conn *first = rig_ask(it.url[0], "");
    rig_wait_for_reads(1);
    struct dz_http_test_conn *second = rig_ask(it.url[1], ""), *gone = rig_ask(it.cbz, "");
    third = rig_ask(it.cbz, "");
    dz_http_test_free(&gone);
    atomic_store(&store.closed, false);
    rig_assert_status(&first, 200, lab_picture(0));
    rig_assert_status(&second, 200, lab_picture(1));
    dz_http_test_feed(third, (dz_str){0}, false); /* until it is whole */
    struct dz_buf b = expected();
    rig_assert_status(&third, 200, dz_buf_str(&b));
    dz_buf_done(&b);
    rig_end();
}

static void full_pool(void **state)
{
    (void)state;
    rig_begin_far(1);
    atomic_store(&store.closed, true);
    struct dz_http_test_conn *first = rig_ask(it.url[0], "");
    rig_wait_for_reads(1);
    struct dz_http_test_conn *second = rig_ask(it.url[1], ""), *third = rig_ask(it.cbz, "");
    assert_true(dz_str_find(rig_answer(third), DZ_S("\r\nRetry-After: 1\r\n")) != DZ_NPOS);
    rig_assert_status(&third, 503, (dz_str){0});
    atomic_store(&store.closed, false);
    rig_assert_status(&first, 200, lab_picture(0));
    rig_assert_status(&second, 200, lab_picture(1));
    third = get("Range: bytes=0-1\r\n");
    rig_assert_status(&third, 206, DZ_S("PK"));
    rig_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_and_without_files),   cmocka_unit_test(many_wait_for_one_plan),
        cmocka_unit_test(failures_before_the_head), cmocka_unit_test(failures_in_the_middle),
        cmocka_unit_test(clients_that_go),          cmocka_unit_test(full_pool),
        cmocka_unit_test(full_pool_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
