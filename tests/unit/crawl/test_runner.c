/*
 * runner: jobs from the queue to their ends, alone and beside another crawler: what is done,
 * failed, tried again, cancelled or lost, what a stop leaves, and who holds the import lock.
 */
#include "rig.h"

#include <stdlib.h>
#include <unistd.h>

static struct rig_crawler one, two;

static int setup(void **state)
{
    memset(&one, 0, sizeof(one));
    memset(&two, 0, sizeof(two));
    return rig_setup(state);
}

/* With leases that no slow disk lets end. */
static int setup_calm(void **state)
{
    (void)state;
    memset(&one, 0, sizeof(one));
    memset(&two, 0, sizeof(two));
    rig_prepare();
    rig_open(NULL);
    return 0;
}

static struct dz_arena *arena(void)
{
    return dz_arena_new(16 * DZ_MIB);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void lock_is_held(struct rig_crawler *k, const struct dz_crawl_event *e)
{
    (void)k;
    (void)e;
    assert_false(rig_lock_is_free());
}

static void test_done(void **state)
{
    (void)state;
    atomic_store(&rig.open, true);
    one.hook = lock_is_held;
    int64_t id = rig_ask("comic", "a");
    rig_start(&one, (struct dz_crawler_options){0});
    rig_until_state(id, DZ_JOB_DONE);
    assert_int_equal(rig_pages_kept("comic", "a"), RIG_PAGES);
    assert_int_equal(rig_count(DZ_CRAWL_BEGIN, id), 1);
    assert_int_equal(rig_count(DZ_CRAWL_PAGE, id), RIG_PAGES);
    assert_int_equal(rig_count(DZ_CRAWL_CHAPTER_KEPT, id), 1);
    rig_until_event(DZ_CRAWL_END, 1);
    assert_string_equal(rig_last(DZ_CRAWL_END)->fail_kind, "");
    assert_int_equal(rig_last(DZ_CRAWL_END)->total, 1); /* chapters */
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    struct dz_job_rec j = rig_job(id, a);
    assert_int_equal(j.done, RIG_PAGES);
    assert_int_equal(j.total, RIG_PAGES);
    assert_int_equal(j.attempts, 1);
    assert_true(dz_str_eq(j.result, DZ_S("{\"chapters\":1,\"pages\":6,\"requests\":6}")));
    while (!rig_lock_is_free()) /* nothing runs: a repair may begin */
        rig_turn();
    rig_stop(&one);
}

static void test_failed(void **state)
{
    (void)state;
    int64_t gone = rig_ask("bad", "gone"), nobody = rig_ask("nobody", "x");
    rig_start(&one, (struct dz_crawler_options){0});
    rig_until_state(gone, DZ_JOB_FAILED);
    rig_until_state(nobody, DZ_JOB_FAILED);
    rig_stop(&one);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    struct dz_job_rec j = rig_job(gone, a);
    assert_true(dz_str_eq(j.fail_kind, DZ_S("gone")));
    assert_true(dz_str_find(j.fail_text, DZ_S("no more")) != DZ_NPOS);
    assert_int_equal(j.attempts, 1);
    assert_true(dz_str_eq(rig_job(nobody, a).fail_kind, DZ_S("unsupported")));
}

static void test_tried_again(void **state)
{
    (void)state;
    int64_t id = rig_ask("bad", "unavailable");
    rig_start(&one, (struct dz_crawler_options){0}); /* retries: 1, without a wait */
    rig_until_state(id, DZ_JOB_FAILED);
    assert_int_equal(rig_count(DZ_CRAWL_BEGIN, id), 2);
    assert_int_equal(rig_count(DZ_CRAWL_END, id), 2);
    rig_stop(&one);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    assert_int_equal(rig_job(id, a).attempts, 2);
}

static void test_not_before_the_site_said(void **state)
{
    (void)state;
    int64_t id = rig_ask("bad", "later"), before = dz_now_ms();
    rig_start(&one, (struct dz_crawler_options){0});
    rig_until_event(DZ_CRAWL_END, 1);
    rig_until_state(id, DZ_JOB_QUEUED);
    rig_stop(&one);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    struct dz_job_rec j = rig_job(id, a);
    assert_true(j.run_after_ms >= before + 5000 * 1000);
    assert_true(dz_str_eq(j.fail_kind, DZ_S("rate_limited")));
}

/* ---- taken away ------------------------------------------------------------------------------ */

static void test_cancelled(void **state)
{
    (void)state;
    int64_t id = rig_ask("waits", "x");
    rig_start(&one, (struct dz_crawler_options){0});
    rig_until_event(DZ_CRAWL_BEGIN, 1);
    bool asked = false;
    must(dz_catalog_job_cancel(rig.catalog, id, dz_now_ms(), &asked, err));
    assert_true(asked);
    rig_until_state(id, DZ_JOB_CANCELLED);
    rig_until_event(DZ_CRAWL_END, 1);
    assert_string_equal(rig_last(DZ_CRAWL_END)->fail_kind, "cancelled");
    rig_stop(&one);
}

static struct dz_job_rec steal(int64_t id, struct dz_arena *a)
{
    struct dz_job_rec j = {0};
    struct dz_job_take t = {.id = id,
                            .owner = DZ_S("thief"),
                            .now_ms = dz_now_ms() + 1000 * 1000,
                            .lease_ms = 1000 * 1000};
    must(dz_catalog_job_take(rig.catalog, &t, a, &j, err));
    return j;
}

static void test_lost(void **state)
{
    (void)state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    int64_t id = rig_ask("waits", "x");
    rig_start(&one, (struct dz_crawler_options){0});
    rig_until_event(DZ_CRAWL_BEGIN, 1);
    assert_int_equal(steal(id, a).attempts, 2);
    rig_until_event(DZ_CRAWL_END, 1);
    while (!rig_lock_is_free())
        rig_turn();
    struct dz_job_rec j = rig_job(id, a);
    assert_int_equal(j.state, DZ_JOB_RUNNING);
    assert_true(dz_str_eq(j.owner, DZ_S("thief")));
    assert_int_equal(j.fail_kind.n, 0); /* not a word */
    rig_stop(&one);
}

/* The lease ended while nobody looked: a machine that slept, a database that was locked. */
static void test_own_lease_ended(void **state)
{
    (void)state;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    int64_t id = rig_ask("comic", "a");
    rig_start(&one, (struct dz_crawler_options){0});
    rig_until_event(DZ_CRAWL_PAGE, 3); /* the others wait */
    dz_timer_stop(rig.loop, &one.c->renew);
    for (struct crawl_running *r = one.c->running; r->renewing;)
        rig_turn();
    struct dz_job_rec j = rig_job(id, a);
    const struct dz_job_progress p = {.done = 3, .total = 6};
    must(dz_catalog_job_renew(rig.catalog, id, j.owner, 1000, 1, &p, err));
    dz_crawler_poke(one.c);
    while (rig_job(id, a).attempts < 2)
        rig_turn();
    while (one.c->taking)
        rig_turn();
    atomic_store(&rig.open, true);
    rig_until_state(id, DZ_JOB_DONE);
    assert_int_equal(rig_count(DZ_CRAWL_BEGIN, id), 1);
    assert_int_equal(rig_count(DZ_CRAWL_END, id), 1);
    rig_stop(&one);
}

/* ---- two crawlers ---------------------------------------------------------------------------- */

static void test_fifty_jobs(void **state)
{
    (void)state;
    enum { JOBS = 50 };
    int64_t ids[JOBS];
    for (int i = 0; i < JOBS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "s%d", i);
        ids[i] = rig_ask("still", name);
    }
    rig_start(&one, (struct dz_crawler_options){0});
    rig_start(&two, (struct dz_crawler_options){.jobs_max = 2});
    for (int i = 0; i < JOBS; i++)
        rig_until_state(ids[i], DZ_JOB_DONE);
    rig_stop(&one);
    rig_stop(&two);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(rig_count(DZ_CRAWL_BEGIN, ids[i]), 1);
        assert_int_equal(rig_count(DZ_CRAWL_END, ids[i]), 1);
        assert_int_equal(rig_job(ids[i], a).attempts, 1);
    }
}

static void test_stop_and_another(void **state)
{
    (void)state;
    int64_t id = rig_ask("comic", "a");
    rig_start(&one, (struct dz_crawler_options){0});
    rig_until_event(DZ_CRAWL_PAGE, 3);
    rig_stop(&one);
    assert_int_equal(rig_state(id), DZ_JOB_QUEUED);
    assert_true(rig_lock_is_free());
    assert_int_equal(rig_pages_kept("comic", "a"), 0); /* whole or not at all */
    atomic_store(&rig.open, true);
    rig_start(&two, (struct dz_crawler_options){0});
    rig_until_state(id, DZ_JOB_DONE);
    rig_stop(&two);
    assert_int_equal(rig_pages_kept("comic", "a"), RIG_PAGES);
    for (int i = 1; i <= 3; i++)
        assert_int_equal(atomic_load(&rig.page_requests[i]), 1);
}

static void test_stop_at_every_moment(void **state)
{
    (void)state;
    atomic_store(&rig.open, true);
    int64_t id = rig_ask("comic", "a");
    for (unsigned turns = 0; rig_state(id) != DZ_JOB_DONE; turns++) {
        memset(&one, 0, sizeof(one));
        rig_start(&one, (struct dz_crawler_options){0});
        for (unsigned i = 0; i < turns; i++)
            dz_loop_turn(rig.loop, 5);
        rig_stop(&one);
        enum dz_job_state s = rig_state(id);
        assert_true(s == DZ_JOB_QUEUED || s == DZ_JOB_DONE);
        assert_true(rig_lock_is_free());
        size_t kept = rig_pages_kept("comic", "a");
        assert_true(kept == 0 || kept == RIG_PAGES);
    }
    assert_int_equal(rig_pages_kept("comic", "a"), RIG_PAGES);
}

static void stop_at_begin(struct rig_crawler *k, const struct dz_crawl_event *e)
{
    if (e->kind == DZ_CRAWL_BEGIN)
        dz_crawler_stop(k->c, rig_on_stopped, k);
}

static void test_stop_from_an_event(void **state)
{
    (void)state;
    int64_t id = rig_ask("waits", "x");
    one.hook = stop_at_begin;
    rig_start(&one, (struct dz_crawler_options){0});
    while (!one.stopped)
        rig_turn();
    dz_crawler_free(&one.c);
    dz_catalog_close(&one.catalog);
    assert_int_equal(rig_state(id), DZ_JOB_QUEUED);
}

/* ---- folders --------------------------------------------------------------------------------- */

static struct {
    _Atomic int calls;
    _Atomic size_t paths_n;
    char first[16], last[16];
    enum dz_code code;
    bool waits;
} folders;

static enum dz_code import(void *arg, const char *const *paths, size_t n, atomic_bool *stop,
                           uint64_t *ret_chapters, struct dz_err *err)
{
    (void)arg;
    snprintf(folders.first, sizeof(folders.first), "%s", paths[0]);
    snprintf(folders.last, sizeof(folders.last), "%s", paths[n - 1]);
    atomic_store(&folders.paths_n, n);
    atomic_fetch_add(&folders.calls, 1);
    struct timespec pause = {.tv_nsec = 1000 * 1000};
    while (folders.waits && !atomic_load(stop))
        nanosleep(&pause, NULL);
    if (folders.waits)
        return dz_fail(err, DZ_CANCELLED, "stopped");
    *ret_chapters = 3;
    return folders.code == DZ_OK ? DZ_OK : dz_fail(err, folders.code, "no folder");
}

static void start_import(int64_t *ret_id)
{
    char yaml[8192];
    size_t at = (size_t)snprintf(yaml, sizeof(yaml), "  local: { paths: [/p/0");
    for (int i = 1; i < 300; i++)
        at += (size_t)snprintf(yaml + at, sizeof(yaml) - at, ", /p/%d", i);
    snprintf(yaml + at, sizeof(yaml) - at,
             "] }\ncrawl: { job_lease: 200ms, retries: 1, retry_max: 0s }\n");
    dz_conf_unref(&rig.conf);
    rig.conf = rig_conf(yaml);
    *ret_id = rig_ask("local", "");
    rig_start(&one, (struct dz_crawler_options){.import = import});
}

static void test_folders(void **state)
{
    (void)state;
    int64_t id;
    memset(&folders, 0, sizeof(folders));
    start_import(&id);
    rig_until_state(id, DZ_JOB_DONE);
    rig_stop(&one);
    assert_int_equal(folders.paths_n, 300);
    assert_string_equal(folders.first, "/p/0");
    assert_string_equal(folders.last, "/p/299");
    assert_int_equal(rig_last(DZ_CRAWL_END)->total, 3);
}

static void test_folders_that_fail(void **state)
{
    (void)state;
    int64_t id;
    memset(&folders, 0, sizeof(folders));
    folders.code = DZ_IO;
    start_import(&id);
    rig_until_state(id, DZ_JOB_FAILED);
    rig_stop(&one);
    assert_int_equal(folders.calls, 2); /* retries: 1 */
    assert_string_equal(rig_last(DZ_CRAWL_END)->fail_kind, "unavailable");
}

static void test_stop_in_folders(void **state)
{
    (void)state;
    int64_t id;
    memset(&folders, 0, sizeof(folders));
    folders.waits = true;
    start_import(&id);
    while (atomic_load(&folders.calls) == 0)
        rig_turn();
    for (int64_t end_ms = dz_now_ms() + 150; dz_now_ms() < end_ms;)
        rig_turn(); /* its lease is renewed meanwhile */
    rig_stop(&one);
    assert_int_equal(rig_state(id), DZ_JOB_QUEUED);
}

static void test_cancel_in_folders(void **state)
{
    (void)state;
    int64_t id;
    bool asked = false;
    memset(&folders, 0, sizeof(folders));
    folders.waits = true;
    start_import(&id);
    while (atomic_load(&folders.calls) == 0)
        rig_turn();
    must(dz_catalog_job_cancel(rig.catalog, id, dz_now_ms(), &asked, err));
    rig_until_state(id, DZ_JOB_CANCELLED);
    rig_stop(&one);
}

/* ---- one job only ---------------------------------------------------------------------------- */

static void test_only_job(void **state)
{
    (void)state;
    int64_t other = rig_ask("still", "other"), bad = rig_ask("bad", "unavailable");
    int64_t good = rig_ask("still", "good");
    rig_start(&one, (struct dz_crawler_options){.only_job = good});
    rig_start(&two, (struct dz_crawler_options){.only_job = bad});
    while (!one.idle || !two.idle)
        rig_turn();
    rig_stop(&one);
    rig_stop(&two);
    assert_int_equal(one.idle, 1);
    assert_false(one.idle_failed);
    assert_int_equal(two.idle, 1);
    assert_true(two.idle_failed);
    assert_int_equal(rig_state(good), DZ_JOB_DONE);
    assert_int_equal(rig_state(bad), DZ_JOB_FAILED); /* somebody waits for it: no later attempt */
    assert_int_equal(rig_state(other), DZ_JOB_QUEUED);

    memset(&one, 0, sizeof(one)); /* one that is over */
    rig_start(&one, (struct dz_crawler_options){.only_job = good});
    while (!one.idle)
        rig_turn();
    for (int i = 0; i < 5; i++)
        rig_turn();
    rig_stop(&one);
    assert_int_equal(one.idle, 1);
    assert_true(one.idle_failed);
}

/* ---- other things that are due --------------------------------------------------------------- */

static void test_jobs_of_another_kind(void **state)
{
    (void)state;
    struct dz_job_rec j = {.kind = DZ_S("other"), .source = DZ_S("still"), .target = DZ_S("x")};
    int64_t id = 0;
    bool is_new;
    must(dz_catalog_job_add(rig.catalog, &j, dz_now_ms(), &id, &is_new, err));
    rig_start(&one, (struct dz_crawler_options){0});
    /* It is due and not for us: looking again and again at once would take a whole core. */
    unsigned turns = 0;
    for (int64_t end_ms = dz_now_ms() + 400; dz_now_ms() < end_ms; turns++)
        dz_loop_turn(rig.loop, -1);
    assert_true(turns < 60);
    rig_stop(&one);
    assert_int_equal(rig_state(id), DZ_JOB_QUEUED);
}

static void test_waits_for_a_repair(void **state)
{
    (void)state;
    char path[128];
    int fd = -1;
    snprintf(path, sizeof(path), "%s/run/import.lock", rig.dir);
    must(dz_lock_file(path, true, &fd, err));
    int64_t id = rig_ask("still", "x");
    rig_start(&one, (struct dz_crawler_options){0});
    for (int64_t end_ms = dz_now_ms() + 200; dz_now_ms() < end_ms;)
        dz_loop_turn(rig.loop, 5);
    assert_int_equal(rig_count(DZ_CRAWL_BEGIN, 0), 0);
    assert_int_equal(rig_state(id), DZ_JOB_QUEUED);
    dz_closep(&fd);
    dz_crawler_poke(one.c);
    rig_until_state(id, DZ_JOB_DONE);
    rig_stop(&one);
}

/* ---- what sources set ------------------------------------------------------------------------ */

static size_t kept_texts(dz_str name)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(512 * DZ_MIB);
    struct dz_crawl_state_rec *v = NULL;
    size_t n = 0;
    must(dz_catalog_state_list(rig.catalog, DZ_S("hoards"), name, dz_now_ms(), a, &v, &n, err));
    return n;
}

static void test_a_name_that_is_refused(void **state)
{
    (void)state;
    int64_t id = rig_ask("hoards", "little");
    rig_start(&one, (struct dz_crawler_options){0});
    rig_until_state(id, DZ_JOB_DONE);
    rig_stop(&one);
    assert_int_equal(kept_texts(DZ_S("kv/first")), 1);
    assert_int_equal(kept_texts(DZ_S("health")), 1);
}

static void test_a_source_that_hoards(void **state)
{
    (void)state;
    int64_t id = rig_ask("hoards", "much");
    rig_start(&one, (struct dz_crawler_options){0});
    rig_until_state(id, DZ_JOB_DONE);
    rig_stop(&one);
    size_t n = kept_texts(DZ_S("kv/n"));
    assert_true(n > 500 && n < 600); /* 32 MiB */
    assert_int_equal(kept_texts(DZ_S("health")), 1);
    memset(&two, 0, sizeof(two)); /* and comes up again */
    rig_start(&two, (struct dz_crawler_options){0});
    rig_stop(&two);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void test_asking(void **state)
{
    (void)state;
    struct dz_sources *v = NULL;
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *conf = rig_conf("  still: { enabled: false }\n");
    must(dz_sources_load(conf, NULL, NULL, &v, err));
    static const struct {
        const char *source, *target;
        enum dz_code code;
    } cases[] = {
        {"nobody", "x", DZ_NOT_FOUND},
        {"still", "x", DZ_UNSUPPORTED},
        {"comic", "", DZ_BAD_INPUT},
        {"comic", "x", DZ_OK},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        struct dz_crawl_ask ask = {.source = dz_str_of(cases[i].source),
                                   .target = dz_str_of(cases[i].target),
                                   .full = true,
                                   .limit_pages = 2};
        int64_t id = 0;
        bool is_new = false;
        struct dz_err err = {0};
        assert_int_equal(dz_crawl_ask(rig.catalog, v, &ask, &id, &is_new, &err), cases[i].code);
        if (cases[i].code != DZ_OK)
            continue;
        DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
        assert_true(is_new);
        assert_true(dz_str_eq(rig_job(id, a).args, DZ_S("{\"full\":true,\"limit_pages\":2}")));
    }
    dz_sources_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, rig_teardown)
        T(done),
        T(failed),
        T(tried_again),
        T(not_before_the_site_said),
        T(cancelled),
        T(lost),
        T(own_lease_ended),
        cmocka_unit_test_setup_teardown(test_fifty_jobs, setup_calm, rig_teardown),
        T(stop_and_another),
        T(stop_at_every_moment),
        T(stop_from_an_event),
        T(folders),
        T(folders_that_fail),
        T(stop_in_folders),
        T(cancel_in_folders),
        T(only_job),
        T(jobs_of_another_kind),
        T(waits_for_a_repair),
        T(a_name_that_is_refused),
        cmocka_unit_test_setup_teardown(test_a_source_that_hoards, setup_calm, rig_teardown),
        T(asking),
    };
    return cmocka_run_group_tests_name("crawl runner", tests, NULL, NULL);
}
