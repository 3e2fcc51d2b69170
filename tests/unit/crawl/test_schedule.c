/*
 * schedule: what is regular comes again after its time, counted from the end; later after failures;
 * has a row whatever others did to it; and follows the settings when they are read again.
 */
#include "rig.h"

static struct rig_crawler one;

static int setup(void **state)
{
    (void)state;
    memset(&one, 0, sizeof(one));
    dz_log_init(2, DZ_ERROR, DZ_LOG_TEXT);
    rig_prepare();
    return 0;
}

static void start(const char *yaml)
{
    rig_open(yaml);
    rig_start(&one, (struct dz_crawler_options){.schedule = true});
}

/* Whatever the schedule has said so far is in the catalog. */
static void settle(void)
{
    while (one.c->adding || one.c->asked)
        rig_turn();
}

/* The row that waits or runs; id 0: there is none. */
static struct dz_job_rec live(const char *source, const char *target, struct dz_arena *a)
{
    struct dz_job_rec *v = NULL;
    size_t n = 0;
    must(dz_catalog_jobs(rig.catalog, 1000, a, &v, &n, err));
    for (size_t i = 0; i < n; i++)
        if (v[i].state <= DZ_JOB_RUNNING && dz_str_eq(v[i].source, dz_str_of(source)) &&
            dz_str_eq(v[i].target, dz_str_of(target)))
            return v[i];
    return (struct dz_job_rec){0};
}

static struct dz_job_rec until_live(const char *source, const char *target, struct dz_arena *a)
{
    for (;;) {
        struct dz_job_rec j = live(source, target, a);
        if (j.id && j.state == DZ_JOB_QUEUED)
            return j;
        rig_turn();
    }
}

/* When the nth event of a kind about a target came; 0: not yet. */
static int64_t at_ms(int kind, const char *target, size_t nth)
{
    for (size_t i = 0; i < rig.events_n; i++)
        if (rig.events[i].kind == kind && strcmp(rig.events[i].target, target) == 0 && nth-- == 0)
            return rig.events[i].at_ms;
    return 0;
}

static void until(int kind, const char *target, size_t nth)
{
    while (at_ms(kind, target, nth) == 0)
        rig_turn();
}

static struct dz_arena *arena(void)
{
    return dz_arena_new(16 * DZ_MIB);
}

/* ---- when ------------------------------------------------------------------------------------ */

static void test_every_from_the_end(void **state)
{
    (void)state;
    start("shelves:\n"
          "  - { name: a, series: still/a, every: 1h }\n"
          "  - { name: b, series: still/b, every: 150ms }\n"
          "  - { name: c, series: still/a, every: 200ms }\n"
          "  - { name: d, series: nobody/a, every: 100ms }\n");
    until(DZ_CRAWL_BEGIN, "a", 3); /* of two shelves the one in a hurry */
    until(DZ_CRAWL_BEGIN, "b", 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(at_ms(DZ_CRAWL_BEGIN, "a", i + 1) - at_ms(DZ_CRAWL_END, "a", i) >= 200);
        assert_true(at_ms(DZ_CRAWL_BEGIN, "b", i + 1) - at_ms(DZ_CRAWL_END, "b", i) >= 150);
    }
    rig_stop(&one);
}

/* A shelf without a time of its own has its source's. */
static void test_every_of_the_source(void **state)
{
    (void)state;
    start("  still: { every: 100ms }\n"
          "shelves:\n"
          "  - { name: a, series: still/a }\n"
          "  - { name: b, series: still/b, every: 1h }\n");
    until(DZ_CRAWL_BEGIN, "b", 0);
    until(DZ_CRAWL_BEGIN, "a", 2);
    for (size_t i = 0; i < 2; i++)
        assert_true(at_ms(DZ_CRAWL_BEGIN, "a", i + 1) - at_ms(DZ_CRAWL_END, "a", i) >= 100);
    rig_stop(&one);
    assert_int_equal(at_ms(DZ_CRAWL_BEGIN, "b", 1), 0);
}

static void test_failures_grow(void **state)
{
    (void)state;
    start("crawl: { retries: 0, retry_max: 600ms }\n"
          "shelves: [ { name: a, series: bad/gone, every: 100ms } ]\n");
    until(DZ_CRAWL_BEGIN, "gone", 4);
    static const int64_t waits_ms[] = {200, 400, 600, 600};
    for (size_t i = 0; i < DZ_LEN(waits_ms); i++)
        assert_true(at_ms(DZ_CRAWL_BEGIN, "gone", i + 1) - at_ms(DZ_CRAWL_END, "gone", i) >=
                    waits_ms[i]);
    rig_stop(&one);
}

/* The site wants to be left alone: neither the schedule nor a new start is sooner. */
static void test_back_off_stays(void **state)
{
    (void)state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    const char *yaml = "crawl: { retries: 3 }\n"
                       "shelves: [ { name: a, series: bad/later, every: 100ms } ]\n";
    start(yaml);
    until(DZ_CRAWL_END, "later", 0);
    int64_t due_ms = until_live("bad", "later", a).run_after_ms;
    assert_true(due_ms > dz_now_ms() + 4000 * 1000);
    crawl_schedule_ensure(one.c);
    settle();
    assert_int_equal(live("bad", "later", a).run_after_ms, due_ms);
    dz_crawler_set_conf(one.c, rig.conf);
    settle();
    rig_stop(&one);
    rig_start(&one, (struct dz_crawler_options){.schedule = true});
    settle();
    rig_stop(&one);
    struct dz_job_rec j = live("bad", "later", a);
    assert_int_equal(j.run_after_ms, due_ms);
    assert_int_equal(j.attempts, 1);
}

/* ---- whatever others did --------------------------------------------------------------------- */

static void test_somebody_else_took_it(void **state)
{
    (void)state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    start("shelves: [ { name: a, series: still/a, every: 1h } ]\n");
    until(DZ_CRAWL_END, "a", 0);
    struct dz_job_rec j = until_live("still", "a", a), end = {.state = DZ_JOB_DONE};
    struct dz_job_take t = {
        .id = j.id, .owner = DZ_S("other"), .now_ms = dz_now_ms(), .lease_ms = 60000};
    must(dz_catalog_job_take(rig.catalog, &t, a, &j, err));
    must(dz_catalog_job_end(rig.catalog, j.id, t.owner, &end, dz_now_ms(), err));
    assert_int_equal(live("still", "a", a).id, 0);
    int64_t before_ms = dz_now_ms();
    crawl_schedule_ensure(one.c);
    settle();
    j = live("still", "a", a);
    assert_int_not_equal(j.id, 0);
    assert_true(j.run_after_ms >= before_ms + 3600 * 1000);
    /* Again and again changes nothing. */
    crawl_schedule_ensure(one.c);
    settle();
    assert_int_equal(live("still", "a", a).run_after_ms, j.run_after_ms);
    rig_stop(&one);
}

/* The clock was a year ahead when the row was written. */
static void test_clock_set_back(void **state)
{
    (void)state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    rig_open("shelves: [ { name: a, series: still/a, every: 1h } ]\n");
    int64_t year_ms = INT64_C(365) * 24 * 3600 * 1000;
    struct dz_job_rec j = {.kind = DZ_S("crawl"),
                           .source = DZ_S("still"),
                           .target = DZ_S("a"),
                           .run_after_ms = dz_now_ms() + year_ms};
    int64_t id;
    bool is_new;
    must(dz_catalog_job_add(rig.catalog, &j, dz_now_ms() + year_ms, &id, &is_new, err));
    rig_start(&one, (struct dz_crawler_options){.schedule = true});
    settle();
    assert_true(live("still", "a", a).run_after_ms <= dz_now_ms() + 3600 * 1000);
    rig_stop(&one);
}

/* ---- settings -------------------------------------------------------------------------------- */

static void test_reload(void **state)
{
    (void)state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    start("crawl: { retries: 0 }\n"
          "shelves:\n"
          "  - { name: a, series: still/a, every: 1h }\n"
          "  - { name: b, series: bad/gone, every: 1h }\n"
          "  - { name: d, series: waits/x, every: 1h }\n");
    until(DZ_CRAWL_END, "a", 0);
    until(DZ_CRAWL_END, "gone", 0);
    until(DZ_CRAWL_BEGIN, "x", 0); /* runs on */
    struct dz_job_rec gone = until_live("bad", "gone", a);
    settle();
    struct dz_conf *fresh = rig_conf("crawl: { retries: 0 }\n"
                                     "shelves:\n"
                                     "  - { name: b, series: bad/gone, every: 1h }\n"
                                     "  - { name: c, series: still/c, every: 1h }\n"
                                     "  - { name: e, series: still/e, every: 1h }\n");
    dz_crawler_set_conf(one.c, fresh);
    dz_conf_unref(&fresh);
    until(DZ_CRAWL_END, "c", 0);
    until(DZ_CRAWL_END, "e", 0);
    settle();
    assert_int_equal(rig_count(DZ_CRAWL_BEGIN, gone.id), 0); /* its time has not come */
    struct dz_job_rec still_gone = live("bad", "gone", a);
    assert_int_equal(still_gone.id, gone.id);
    assert_int_equal(one.c->regular.by_key.count, 3);
    assert_int_equal(one.c->regular.first->failures, 1);
    assert_int_equal(rig_count(DZ_CRAWL_END, live("waits", "x", a).id), 0);
    rig_stop(&one);
    assert_int_equal(at_ms(DZ_CRAWL_BEGIN, "a", 1), 0);
}

static void test_reload_without_sources(void **state)
{
    (void)state;
    start("shelves: [ { name: a, series: still/a, every: 100ms } ]\n");
    until(DZ_CRAWL_END, "a", 0);
    struct dz_conf *fresh = rig_conf("  still: { enabled: false }\n"
                                     "shelves: [ { name: a, series: still/a, every: 100ms } ]\n");
    dz_crawler_set_conf(one.c, fresh);
    dz_conf_unref(&fresh);
    assert_int_equal(one.c->regular.by_key.count, 0);
    /* The row that was there ends with the reason, and none comes after it. */
    size_t n = 0;
    while (n == 0) {
        rig_turn();
        for (size_t i = 0; i < rig.events_n; i++)
            n += strcmp(rig.events[i].fail_kind, "unsupported") == 0;
    }
    settle();
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    for (;;) {
        struct dz_job_rec j = live("still", "a", a);
        if (j.id == 0)
            break;
        rig_turn();
    }
    rig_stop(&one);
}

static enum dz_code import(void *arg, const char *const *paths, size_t n, atomic_bool *stop,
                           uint64_t *ret_chapters, struct dz_err *err)
{
    (void)arg;
    (void)paths;
    (void)n;
    (void)stop;
    (void)err;
    *ret_chapters = 0;
    return DZ_OK;
}

static void test_folders(void **state)
{
    (void)state;
    rig_open("  local: { paths: [/p], every: 100ms }\n");
    rig_start(&one, (struct dz_crawler_options){.schedule = true, .import = import});
    until(DZ_CRAWL_END, "", 2);
    rig_stop(&one);
    rig_start(&one, (struct dz_crawler_options){.schedule = true}); /* nobody reads folders */
    assert_int_equal(one.c->regular.by_key.count, 0);
    rig_stop(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, rig_teardown)
        T(every_from_the_end),
        T(every_of_the_source),
        T(failures_grow),
        T(back_off_stays),
        T(somebody_else_took_it),
        T(clock_set_back),
        T(reload),
        T(reload_without_sources),
        T(folders),
    };
    return cmocka_run_group_tests_name("crawl schedule", tests, NULL, NULL);
}
