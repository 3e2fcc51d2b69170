/*
 * faults: one statement, commit or sync fails while jobs run, whichever it is: no crash, no leak,
 * no job lost, no chapter by halves. Each case has processes of its own, because the plan is read
 * once: one lays the queue, one crawls under the fault, one looks at what is there.
 */
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define STUCK_S 100

/* In a child: what fails there must not go back into the runner of the tests. */
#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                             \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void lay_queue(void)
{
    static const char *const sources[] = {"comic", "still"};
    struct dz_catalog *c = NULL;
    CHECK(dz_catalog_open("sqlite", rig.dir, NULL, &c, NULL) == DZ_OK);
    for (size_t i = 0; i < DZ_LEN(sources); i++) {
        struct dz_job_rec j = {.kind = DZ_S("crawl"),
                               .source = dz_str_of(sources[i]),
                               .target = DZ_S("a"),
                               .args = DZ_S("{}")};
        int64_t id;
        bool is_new;
        CHECK(dz_catalog_job_add(c, &j, dz_now_ms(), &id, &is_new, NULL) == DZ_OK);
        CHECK(id == (int64_t)i + 1);
    }
    dz_catalog_close(&c);
}

/* Of jobs 1 and 2; false: the catalog did not say. */
static bool states(struct dz_catalog *c, enum dz_job_state *ret_v)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(16 * DZ_MIB);
    struct dz_job_rec *v = NULL;
    size_t n = 0, found = 0;
    if (dz_catalog_jobs(c, 100, a, &v, &n, NULL) != DZ_OK)
        return false;
    for (size_t i = 0; i < n; i++)
        if (v[i].id <= 2) {
            ret_v[v[i].id - 1] = v[i].state;
            found++;
        }
    CHECK(found == 2);
    return true;
}

/* What does not start is started again, as the supervisor would. */
static void start(struct rig_crawler *k)
{
    struct dz_crawler_options o = {.loop = rig.loop,
                                   .conf = rig.conf,
                                   .catalog = rig.catalog,
                                   .store = rig.store,
                                   .pool = rig.pool,
                                   .schedule = true,
                                   .arg = k};
    if (dz_crawler_new(&o, &k->c, NULL) != DZ_OK)
        CHECK(dz_crawler_new(&o, &k->c, NULL) == DZ_OK);
}

static void open_rig(void)
{
    rig_site();
    atomic_store(&rig.open, true);
    rig.conf = rig_conf("crawl: { job_lease: 300ms, retries: 3, retry_max: 0s }\n"
                        "shelves: [ { name: a, series: still/b, every: 1h } ]\n");
    if (dz_catalog_open("sqlite", rig.dir, NULL, &rig.catalog, NULL) != DZ_OK)
        CHECK(dz_catalog_open("sqlite", rig.dir, NULL, &rig.catalog, NULL) == DZ_OK);
    if (dz_store_open("files", rig.dir, NULL, &rig.store, NULL) != DZ_OK)
        CHECK(dz_store_open("files", rig.dir, NULL, &rig.store, NULL) == DZ_OK);
    CHECK(dz_loop_new(&rig.loop, NULL) == DZ_OK);
    CHECK(dz_pool_new(4, 1024, &rig.pool, NULL) == DZ_OK);
}

static void crawl(void)
{
    struct rig_crawler k = {0};
    enum dz_job_state s[2] = {DZ_JOB_QUEUED, DZ_JOB_QUEUED};
    open_rig();
    start(&k);
    while (s[0] < DZ_JOB_DONE || s[1] < DZ_JOB_DONE) {
        dz_crawler_poke(k.c);
        dz_loop_turn(rig.loop, 10);
        (void)states(rig.catalog, s);
    }
    dz_crawler_stop(k.c, rig_on_stopped, &k);
    while (!k.stopped)
        rig_turn();
    dz_crawler_free(&k.c);
    rig_close();
}

static void look(void)
{
    enum dz_job_state s[2];
    CHECK(dz_catalog_open("sqlite", rig.dir, NULL, &rig.catalog, NULL) == DZ_OK);
    CHECK(states(rig.catalog, s));
    CHECK(s[0] == DZ_JOB_DONE && s[1] == DZ_JOB_DONE);
    CHECK(rig_pages_kept("comic", "a") == RIG_PAGES);
    uint64_t left = 0;
    CHECK(dz_catalog_verify(rig.catalog, false, NULL, NULL, &left, NULL) == DZ_OK && left == 0);
    dz_catalog_close(&rig.catalog);
}

static void in_child(void (*fn)(void), const char *plan)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(STUCK_S);
        if (plan)
            setenv("DZ_FAULT", plan, 1);
        fn();
        if (!plan)
            _exit(0);
        exit(0); /* leaks are looked for */
    }
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0)
        fail_msg("%s: status %#x", plan ? plan : "no fault", (unsigned)status);
}

static void run(const char *op, unsigned first, unsigned last, unsigned step)
{
    for (unsigned n = first; n <= last; n += step) {
        char plan[32];
        snprintf(plan, sizeof(plan), "%s:%u", op, n);
        rig_folder();
        in_child(lay_queue, NULL);
        in_child(crawl, plan);
        in_child(look, NULL);
        assert_int_equal(rig_remove(), 0);
    }
}

static void test_no_fault(void **state)
{
    (void)state;
    run("nothing", 1, 1, 1);
}

static void test_queries(void **state)
{
    (void)state;
    run("query", 1, 60, 4);
}

static void test_commits(void **state)
{
    (void)state;
    run("commit", 1, 7, 1);
}

static void test_store(void **state)
{
    (void)state;
    run("fsync", 1, 3, 1);
    run("rename", 1, 5, 2);
}

int main(void)
{
    dz_log_init(2, DZ_ERROR, DZ_LOG_TEXT);
#ifndef DZ_FAULTS
    return 77;
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_fault),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_commits),
        cmocka_unit_test(test_store),
    };
    return cmocka_run_group_tests_name("crawl faults", tests, NULL, NULL);
}
