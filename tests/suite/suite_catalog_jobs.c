/*
 * suite_catalog_jobs: jobs, one by one and in sets, the same cases against each driver.
 *
 * Clocks are numbers that the cases choose. Two processes are played by two catalogs on one folder
 * where the driver keeps one, else by two owners in one catalog.
 */
#include "catalog_fixture.h"

#include <pthread.h>

/* ---- jobs --------------------------------------------------------------------------------------
 */

enum { LEASE = 1000 };

static int64_t add(struct fixture *f, const char *target, int32_t priority, int64_t run_after_ms,
                   bool want_new)
{
    struct dz_job_rec j = {
        .kind = DZ_S("crawl"),
        .source = DZ_S("x.com"),
        .target = dz_str_of(target),
        .args = DZ_S("{\"full\": true}"),
        .priority = priority,
        .run_after_ms = run_after_ms,
    };
    int64_t id;
    bool is_new;
    must(dz_catalog_job_add(f->c, &j, 5, &id, &is_new, err));
    assert_int_equal(is_new, want_new);
    return id;
}

static struct dz_job_take taking(const char *owner, int64_t now_ms)
{
    return (struct dz_job_take){.owner = dz_str_of(owner), .now_ms = now_ms, .lease_ms = LEASE};
}

/* 0: none was due. */
static int64_t take(struct fixture *f, const char *owner, int64_t now_ms)
{
    struct dz_job_take t = taking(owner, now_ms);
    struct dz_job_rec j;
    struct dz_err err = {0};
    enum dz_code code = dz_catalog_job_take(f->c, &t, f->a, &j, &err);
    if (code == DZ_NOT_FOUND)
        return 0;
    assert_int_equal(code, DZ_OK);
    assert_int_equal(j.state, DZ_JOB_RUNNING);
    assert_str(j.owner, owner);
    assert_int_equal(j.lease_until_ms, now_ms + LEASE);
    assert_int_equal(j.started_ms, now_ms);
    return j.id;
}

static int64_t take_id(struct fixture *f, const char *owner, int64_t now_ms, int64_t id)
{
    struct dz_job_take t = taking(owner, now_ms);
    struct dz_job_rec j;
    t.id = id;
    return dz_catalog_job_take(f->c, &t, f->a, &j, NULL) == DZ_OK ? j.id : 0;
}

static enum dz_code renew(struct fixture *f, int64_t id, const char *owner, int64_t now_ms,
                          uint64_t done)
{
    const struct dz_job_progress p = {.done = done, .total = 20};
    return dz_catalog_job_renew(f->c, id, dz_str_of(owner), now_ms, LEASE, &p, NULL);
}

static enum dz_code end(struct fixture *f, int64_t id, const char *owner, enum dz_job_state state,
                        int64_t now_ms)
{
    struct dz_job_rec j = {.state = state, .run_after_ms = now_ms + 500, .done = 3, .total = 4};
    if (state != DZ_JOB_DONE) {
        j.fail_kind = DZ_S("network");
        j.fail_text = DZ_S("no route");
    } else {
        j.result = DZ_S("{\"chapters\": 2}");
    }
    return dz_catalog_job_end(f->c, id, dz_str_of(owner), &j, now_ms, NULL);
}

static struct dz_job_rec job(struct fixture *f, int64_t id)
{
    struct dz_job_rec *v;
    size_t n;
    must(dz_catalog_jobs(f->c, 1000, f->a, &v, &n, err));
    for (size_t i = 0; i < n; i++)
        if (v[i].id == id)
            return v[i];
    fail_msg("job %lld is not there", (long long)id);
    return (struct dz_job_rec){0};
}

static int64_t next_due(struct fixture *f)
{
    int64_t due;
    must(dz_catalog_job_next(f->c, &due, err));
    return due;
}

static void a_job_lives_and_ends(void **state)
{
    struct fixture *f = *state;
    assert_true(next_due(f) == INT64_MAX);
    assert_int_equal(take(f, "a", 100), 0);
    int64_t id = add(f, "komi", 7, 50, true);
    struct dz_job_rec j = job(f, id);
    assert_str(j.kind, "crawl");
    assert_str(j.source, "x.com");
    assert_str(j.target, "komi");
    assert_str(j.args, "{\"full\": true}");
    assert_string_equal(dz_job_state_name(j.state), "queued");
    assert_int_equal(j.priority, 7);
    assert_int_equal(j.created_ms, 5);
    assert_int_equal(j.run_after_ms, 50);
    assert_int_equal(j.attempts + j.done + j.total + j.owner.n + j.result.n, 0);
    assert_int_equal(next_due(f), 50);
    assert_int_equal(take(f, "a", 49), 0);
    assert_int_equal(take(f, "a", 50), id);
    assert_int_equal(next_due(f), 50 + LEASE);
    assert_int_equal(take(f, "b", 60), 0);

    assert_int_equal(renew(f, id, "a", 200, 9), DZ_OK);
    j = job(f, id);
    assert_int_equal(j.done, 9);
    assert_int_equal(j.total, 20);
    assert_int_equal(j.lease_until_ms, 200 + LEASE);
    assert_int_equal(j.attempts, 1);

    assert_int_equal(end(f, id, "a", DZ_JOB_DONE, 300), DZ_OK);
    j = job(f, id);
    assert_int_equal(j.state, DZ_JOB_DONE);
    assert_int_equal(j.ended_ms, 300);
    assert_int_equal(j.done, 3);
    assert_int_equal(j.total, 4);
    assert_str(j.result, "{\"chapters\": 2}");
    assert_int_equal(j.owner.n, 0);
    assert_true(next_due(f) == INT64_MAX);
    assert_int_equal(end(f, id, "a", DZ_JOB_FAILED, 301), DZ_CONFLICT);
    assert_int_equal(renew(f, id, "a", 301, 1), DZ_CONFLICT);
    assert_int_equal(take_id(f, "a", 302, id), 0);
    assert_true(add(f, "komi", 0, 0, true) > id);
}

static void a_failed_attempt_is_tried_again(void **state)
{
    struct fixture *f = *state;
    int64_t id = add(f, "komi", 0, 0, true);
    assert_int_equal(take(f, "a", 10), id);
    assert_int_equal(end(f, id, "a", DZ_JOB_QUEUED, 100), DZ_OK);
    struct dz_job_rec j = job(f, id);
    assert_int_equal(j.state, DZ_JOB_QUEUED);
    assert_int_equal(j.run_after_ms, 600);
    assert_int_equal(j.ended_ms, 0);
    assert_str(j.fail_kind, "network");
    assert_str(j.fail_text, "no route");
    assert_int_equal(take(f, "a", 599), 0);
    assert_int_equal(take_id(f, "b", 200, id), id); /* not due, but asked for by name */
    assert_int_equal(job(f, id).attempts, 2);
    assert_int_equal(take_id(f, "c", 201, id), 0); /* under b's lease */
    assert_int_equal(end(f, id, "b", DZ_JOB_FAILED, 300), DZ_OK);
    assert_int_equal(job(f, id).state, DZ_JOB_FAILED);
    assert_int_equal(job(f, id).ended_ms, 300);
}

static void an_equal_job_is_not_added_twice(void **state)
{
    struct fixture *f = *state;
    int64_t id = add(f, "komi", 1, 100, true);
    assert_true(add(f, "other", 0, 900, true) != id);
    assert_int_equal(add(f, "komi", 3, 200, false), id);
    assert_int_equal(job(f, id).run_after_ms, 100);
    assert_int_equal(job(f, id).priority, 3);
    assert_int_equal(add(f, "komi", 2, 50, false), id);
    assert_int_equal(job(f, id).run_after_ms, 50);
    assert_int_equal(job(f, id).priority, 3);
    assert_int_equal(take(f, "a", 60), id);
    assert_int_equal(add(f, "komi", 9, 0, false), id); /* running: left as it is */
    assert_int_equal(job(f, id).priority, 3);
    assert_int_equal(job(f, id).run_after_ms, 50);
}

static void the_order_is_priority_then_age(void **state)
{
    struct fixture *f = *state;
    int64_t late = add(f, "late", 0, 30, true), early = add(f, "early", 0, 10, true);
    int64_t same = add(f, "same", 0, 10, true), high = add(f, "high", 5, 40, true);
    add(f, "future", 9, 5000, true);
    struct dz_job_rec other = {.kind = DZ_S("download"), .source = DZ_S("x.com")};
    int64_t download;
    bool is_new;
    must(dz_catalog_job_add(f->c, &other, 0, &download, &is_new, err));
    const dz_str kinds[] = {DZ_S("crawl"), DZ_S("import")};
    const int64_t want[] = {high, early, same, late, 0};
    for (size_t i = 0; i < DZ_LEN(want); i++) {
        struct dz_job_take t = taking("a", 100);
        struct dz_job_rec j = {0};
        t.kinds = kinds;
        t.kinds_n = 2;
        enum dz_code code = dz_catalog_job_take(f->c, &t, f->a, &j, NULL);
        assert_int_equal(code, want[i] ? DZ_OK : DZ_NOT_FOUND);
        assert_int_equal(j.id, want[i]);
    }
    assert_int_equal(take(f, "a", 100), download);
}

static void an_ended_lease_is_taken_over(void **state)
{
    struct fixture *f = *state;
    int64_t id = add(f, "komi", 0, 0, true);
    assert_int_equal(take(f, "a", 0), id);
    assert_int_equal(take(f, "b", LEASE - 1), 0);
    assert_int_equal(renew(f, id, "a", LEASE + 5, 1), DZ_OK); /* nobody took it: it lives again */
    assert_int_equal(take(f, "b", LEASE + 6), 0);
    assert_int_equal(take(f, "b", 2 * LEASE + 5), id);
    assert_int_equal(job(f, id).attempts, 2);
    assert_int_equal(job(f, id).done, 1);
    assert_int_equal(renew(f, id, "a", 2 * LEASE + 6, 9), DZ_CONFLICT);
    assert_int_equal(end(f, id, "a", DZ_JOB_DONE, 2 * LEASE + 6), DZ_CONFLICT);
    struct dz_job_rec j = job(f, id);
    assert_int_equal(j.state, DZ_JOB_RUNNING);
    assert_str(j.owner, "b");
    assert_int_equal(j.done, 1);
    assert_int_equal(end(f, id, "b", DZ_JOB_DONE, 2 * LEASE + 9), DZ_OK);
    assert_int_equal(renew(f, 4711, "a", 0, 0), DZ_CONFLICT);
}

static bool cancel(struct fixture *f, int64_t id, int64_t now_ms)
{
    bool asked;
    must(dz_catalog_job_cancel(f->c, id, now_ms, &asked, err));
    return asked;
}

static void jobs_are_cancelled(void **state)
{
    struct fixture *f = *state;
    bool asked;
    refused(dz_catalog_job_cancel(f->c, 1, 0, &asked, err), DZ_NOT_FOUND);
    int64_t id = add(f, "queued", 0, 0, true);
    assert_true(cancel(f, id, 7));
    assert_int_equal(job(f, id).state, DZ_JOB_CANCELLED);
    assert_int_equal(job(f, id).ended_ms, 7);
    assert_false(cancel(f, id, 8));
    assert_int_equal(take(f, "a", 9), 0);

    id = add(f, "running", 0, 0, true);
    assert_int_equal(take(f, "a", 10), id);
    assert_true(cancel(f, id, 11));
    assert_true(job(f, id).cancel_asked);
    assert_int_equal(job(f, id).state, DZ_JOB_RUNNING);
    assert_int_equal(renew(f, id, "a", 500, 2), DZ_CANCELLED);
    assert_int_equal(job(f, id).lease_until_ms, 500 + LEASE);
    /* Another attempt is not what was asked for. */
    assert_int_equal(end(f, id, "a", DZ_JOB_QUEUED, 600), DZ_OK);
    assert_int_equal(job(f, id).state, DZ_JOB_CANCELLED);
    assert_int_equal(job(f, id).ended_ms, 600);

    /* The owner dies, before or after the cancel. */
    id = add(f, "dead", 0, 0, true);
    assert_int_equal(take(f, "a", 1000), id);
    assert_true(cancel(f, id, 1001));
    assert_int_equal(take(f, "b", 1000 + LEASE), 0);
    assert_int_equal(job(f, id).state, DZ_JOB_CANCELLED);
    assert_int_equal(renew(f, id, "a", 1002 + LEASE, 0), DZ_CONFLICT);
    id = add(f, "dead", 0, 0, true);
    assert_int_equal(take(f, "a", 1000), id);
    assert_true(cancel(f, id, 1000 + LEASE));
    assert_int_equal(job(f, id).state, DZ_JOB_CANCELLED);
    assert_int_equal(job(f, id).owner.n, 0);
}

static void the_list_shows_work_first(void **state)
{
    struct fixture *f = *state;
    struct dz_job_rec *v;
    size_t n;
    int64_t first = add(f, "1", 0, 0, true), second = add(f, "2", 0, 1, true);
    int64_t third = add(f, "3", 0, 2, true), fourth = add(f, "4", 0, 3, true);
    int64_t soon = add(f, "soon", 0, 700, true), later = add(f, "later", 9, 800, true);
    for (int64_t i = 0; i < 4; i++)
        assert_true(take(f, "a", 10 + i) > 0);
    assert_int_equal(end(f, second, "a", DZ_JOB_DONE, 50), DZ_OK);
    assert_int_equal(end(f, first, "a", DZ_JOB_FAILED, 60), DZ_OK);
    const int64_t want[] = {third, fourth, soon, later, first, second};
    must(dz_catalog_jobs(f->c, 100, f->a, &v, &n, err));
    assert_int_equal(n, DZ_LEN(want));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(v[i].id, want[i]);
    must(dz_catalog_jobs(f->c, 2, f->a, &v, &n, err));
    assert_int_equal(n, 2);
    assert_int_equal(v[1].id, fourth);

    uint64_t counts[DZ_JOB_STATES] = {9, 9, 9, 9, 9};
    must(dz_catalog_job_counts(f->c, counts, err));
    const uint64_t want_counts[DZ_JOB_STATES] = {2, 2, 1, 1, 0};
    assert_memory_equal(counts, want_counts, sizeof(counts));

    /* Only the ended ones beyond the newest are forgotten. */
    must(dz_catalog_jobs_trim(f->c, DZ_S("crawl"), 1, err));
    must(dz_catalog_jobs(f->c, 100, f->a, &v, &n, err));
    assert_int_equal(n, 5);
    assert_int_equal(v[4].id, first);
    must(dz_catalog_jobs_trim(f->c, DZ_S("crawl"), 0, err));
    must(dz_catalog_jobs(f->c, 100, f->a, &v, &n, err));
    assert_int_equal(n, 4);
    assert_true(add(f, "new", 0, 0, true) > later); /* ids are never used again */
}

static void jobs_have_limits(void **state)
{
    struct fixture *f = *state;
    static char big[DZ_LONG_TEXT_MAX + 1];
    memset(big, 'x', sizeof(big));
    int64_t id;
    bool is_new;
    const struct dz_job_rec good = {.kind = DZ_S("crawl"), .source = DZ_S("x.com")};
    struct dz_job_rec j = good;
#define ADD_REFUSED(field, value, code, word)                                                      \
    do {                                                                                           \
        j = good;                                                                                  \
        j.field = value;                                                                           \
        const char *text = refused(dz_catalog_job_add(f->c, &j, 0, &id, &is_new, err), code);      \
        assert_non_null(strstr(text, word));                                                       \
    } while (0)
    ADD_REFUSED(kind, DZ_S(""), DZ_BAD_INPUT, "kind");
    ADD_REFUSED(source, DZ_S("a\xff"), DZ_BAD_INPUT, "source is not UTF-8");
    ADD_REFUSED(target, ((dz_str){big, DZ_TEXT_MAX + 1}), DZ_TOO_LARGE, "target");
    ADD_REFUSED(target, DZ_S("a\0b"), DZ_BAD_INPUT, "target holds a zero byte");
    ADD_REFUSED(args, DZ_S("[]"), DZ_BAD_INPUT, "args: JSON");
    ADD_REFUSED(args, ((dz_str){big, sizeof(big)}), DZ_TOO_LARGE, "args");
    must(dz_catalog_job_add(f->c, &good, 0, &id, &is_new, err));
    assert_int_equal(take(f, "a", 0), id);
    struct dz_job_rec e = {.state = DZ_JOB_DONE, .result = DZ_S("{")};
    refused(dz_catalog_job_end(f->c, id, DZ_S("a"), &e, 1, err), DZ_BAD_INPUT);
    e = (struct dz_job_rec){.state = DZ_JOB_DONE, .done = UINT64_MAX};
    refused(dz_catalog_job_end(f->c, id, DZ_S("a"), &e, 1, err), DZ_TOO_LARGE);
    assert_int_equal(job(f, id).state, DZ_JOB_RUNNING);

    /* A job that does not fit the caller's memory stays in the queue. */
    assert_int_equal(end(f, id, "a", DZ_JOB_QUEUED, 0), DZ_OK);
    DZ_AUTO(dz_arena_free) struct dz_arena *small = dz_arena_new(16);
    struct dz_job_take t = taking("b", 9000);
    refused(dz_catalog_job_take(f->c, &t, small, &e, err), DZ_TOO_LARGE);
    assert_int_equal(job(f, id).state, DZ_JOB_QUEUED);
    assert_int_equal(take(f, "b", 9000), id);
}

enum { RACE_JOBS = 100, RACERS = 4, GOT_MAX = 400 };

struct racer {
    struct dz_catalog *c;
    char owner[8];
    int64_t got[GOT_MAX];
    size_t n, failed;
    bool ends_all; /* else every second one */
    bool alone;    /* there is one writer at a time */
};

static void *take_all(void *arg)
{
    struct racer *r = arg;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    for (;;) {
        struct dz_job_take t = taking(r->owner, 10);
        struct dz_job_rec j, done = {.state = DZ_JOB_DONE};
        enum dz_code code = dz_catalog_job_take(r->c, &t, a, &j, NULL);
        if (code == DZ_NOT_FOUND)
            return NULL;
        if (code != DZ_OK || r->n == GOT_MAX) {
            r->failed++;
            return NULL;
        }
        r->got[r->n++] = j.id;
        if (r->ends_all || j.id % 2 == 0)
            r->failed += dz_catalog_job_end(r->c, j.id, t.owner, &done, 11, NULL) != DZ_OK;
        dz_arena_reset(a);
    }
}

/* Two threads each on two connections: every job is taken once. */
static void racers_never_get_the_same_job(void **state)
{
    struct fixture *f = *state;
    struct dz_catalog *second = NULL;
    static struct racer r[RACERS];
    pthread_t t[RACERS];
    bool seen[RACE_JOBS + 1] = {false};
    size_t sum = 0;
    for (int i = 0; i < RACE_JOBS; i++) {
        char target[16];
        snprintf(target, sizeof(target), "%d", i);
        add(f, target, i % 3, i % 5, true);
    }
    if (f->which->where != IN_MEMORY)
        second = open_again(f);
    for (size_t i = 0; i < RACERS; i++) {
        r[i] = (struct racer){.c = second && i % 2 ? second : f->c};
        snprintf(r[i].owner, sizeof(r[i].owner), "o%zu", i);
        assert_int_equal(pthread_create(&t[i], NULL, take_all, &r[i]), 0);
    }
    for (size_t i = 0; i < RACERS; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(r[i].failed, 0);
        sum += r[i].n;
        for (size_t k = 0; k < r[i].n; k++) {
            assert_true(r[i].got[k] >= 1 && r[i].got[k] <= RACE_JOBS && !seen[r[i].got[k]]);
            seen[r[i].got[k]] = true;
        }
    }
    assert_int_equal(sum, RACE_JOBS);
    dz_catalog_close(&second);
}

/* The process is gone without a word; the next one takes its job when the lease has ended. */
static void a_job_outlives_its_process(void **state)
{
    struct fixture *f = *state;
    if (f->which->where == IN_MEMORY)
        return; /* nothing outlives memory */
    int64_t id = add(f, "komi", 0, 0, true);
    assert_int_equal(take(f, "dead", 0), id);
    assert_int_equal(renew(f, id, "dead", 10, 12), DZ_OK);
    dz_catalog_close(&f->c);
    f->c = open_again(f);
    assert_int_equal(job(f, id).done, 12);
    assert_int_equal(next_due(f), 10 + LEASE);
    assert_int_equal(take(f, "next", 10 + LEASE - 1), 0);
    assert_int_equal(take(f, "next", 10 + LEASE), id);
}

/* ---- sets of jobs ------------------------------------------------------------------------------
 */

static struct dz_job_rec download(const char *target)
{
    return (struct dz_job_rec){.kind = DZ_S("download"),
                               .source = DZ_S("x.com"),
                               .target = dz_str_of(target),
                               .args = DZ_S("{}"),
                               .run_after_ms = 10};
}

/* The ids of as many new downloads as there are targets. */
static void add_downloads(struct fixture *f, const char *const *targets, size_t n, int64_t *ret_ids)
{
    struct dz_job_rec v[8];
    assert_true(n <= DZ_LEN(v));
    for (size_t i = 0; i < n; i++)
        v[i] = download(targets[i]);
    must(dz_catalog_jobs_add(f->c, v, n, 10, ret_ids, err));
}

static void assert_ids(const struct dz_job_rec *v, size_t n, const int64_t *want, size_t want_n)
{
    assert_int_equal(n, want_n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(v[i].id, want[i]);
}

static void assert_jobs_of(struct fixture *f, const char *kind, size_t max, const int64_t *want,
                           size_t want_n)
{
    struct dz_job_rec *v;
    size_t n;
    must(dz_catalog_jobs_of(f->c, dz_str_of(kind), max, f->a, &v, &n, err));
    assert_ids(v, n, want, want_n);
}

static void a_set_is_queued_whole_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    static const char *const targets[] = {"a", "b", "c"};
    int64_t ids[3] = {0}, again[3] = {7, 7, 7};
    add_downloads(f, targets, 3, ids);
    assert_true(ids[0] > 0 && ids[0] < ids[1] && ids[1] < ids[2]);
    assert_str(job(f, ids[1]).target, "b");
    assert_int_equal(job(f, ids[1]).created_ms, 10);

    /* The last is refused: nothing is queued and nothing is written. */
    struct dz_job_rec v[] = {download("d"), download("e"), download("f")};
    v[2].args = DZ_S("{");
    const char *text = refused(dz_catalog_jobs_add(f->c, v, 3, 10, again, err), DZ_BAD_INPUT);
    assert_non_null(strstr(text, "job 3 of 3: args"));
    assert_int_equal(again[0], 7);
    assert_jobs_of(f, "download", 100, ids, 3);

    /* One that waits is not queued twice, nor is one of the same set. */
    v[0] = v[2] = download("d");
    v[1] = download("b");
    must(dz_catalog_jobs_add(f->c, v, 3, 10, again, err));
    assert_int_equal(again[1], ids[1]);
    assert_int_equal(again[0], again[2]);
    assert_true(again[0] > ids[2]);
    must(dz_catalog_jobs_add(f->c, NULL, 0, 10, NULL, err));
    text = refused(dz_catalog_jobs_add(f->c, v, DZ_CALL_RECORDS_MAX + 1, 10, again, err),
                   DZ_TOO_LARGE);
    assert_non_null(strstr(text, "100001 jobs at once"));
}

static void many_jobs_come_in_the_order_asked(void **state)
{
    struct fixture *f = *state;
    struct dz_job_rec in[MANY_THERE], *v;
    int64_t ids[MANY_THERE];
    size_t n, at = 0;
    for (size_t i = 0; i < MANY_THERE; i++)
        in[i] = download(nth_name(f, i).p);
    for (unsigned times = 0; times < 2; times++) { /* the newer ones are found */
        must(dz_catalog_jobs_add(f->c, in, MANY_THERE, 10, ids, err));
        for (size_t i = 0; i < MANY_THERE && times == 0; i++)
            assert_true(cancel(f, ids[i], 20));
    }
    must(dz_catalog_jobs_find(f->c, DZ_S("download"), asked_names(f), MANY_ASKED, f->a, &v, &n,
                              err));
    for (size_t i = 0; i < MANY_ASKED; i++)
        if (asked_at(i) < MANY_THERE)
            assert_true(at < n && v[at++].id == ids[asked_at(i)]);
    assert_int_equal(at, n);
}

static void jobs_are_found_by_target(void **state)
{
    struct fixture *f = *state;
    static const char *const targets[] = {"a", "b", "c"};
    int64_t ids[3], newer;
    struct dz_job_rec *v;
    size_t n;
    add_downloads(f, targets, 3, ids);
    assert_true(cancel(f, ids[0], 20));
    add_downloads(f, targets, 1, &newer);
    add(f, "b", 0, 0, true); /* of another kind */
    const dz_str asked[] = {DZ_S("c"), DZ_S("zz"), DZ_S("a"), DZ_S("c")};
    must(dz_catalog_jobs_find(f->c, DZ_S("download"), asked, 4, f->a, &v, &n, err));
    assert_ids(v, n, (const int64_t[]){ids[2], newer, ids[2]}, 3);
    assert_int_equal(v[1].state, DZ_JOB_QUEUED);
    must(dz_catalog_jobs_find(f->c, DZ_S("download"), NULL, 0, f->a, &v, &n, err));
    assert_int_equal(n, 0);
    refused(dz_catalog_jobs_find(f->c, DZ_S(""), asked, 1, f->a, &v, &n, err), DZ_BAD_INPUT);
    refused(dz_catalog_jobs_find(f->c, DZ_S("download"), asked, DZ_CALL_RECORDS_MAX + 1, f->a, &v,
                                 &n, err),
            DZ_TOO_LARGE);
}

/* What a site said of a chapter is long, and lists are too. */
static void lists_give_args_without_objects(void **state)
{
    static const char *const args[][2] = {
        {"{}", "{}"},
        {"{\"a\":1,\"b\":\"x, {y} \\\" [z]\\\\\"}", "{\"a\":1,\"b\":\"x, {y} \\\" [z]\\\\\"}"},
        {"{\"a\":\"\\\\\",\"b\":null,\"info\":{\"t\":[1,2]},\"c\":3}",
         "{\"a\":\"\\\\\",\"b\":null}"},
        {"{ \"a\" : 1 , \"b\" : [ {\"c\":1}, 2 ] }", "{ \"a\" : 1 }"},
        {"{\"info\":{\"a\":1},\"b\":2}", "{}"},
        {"{\"a\":1} ", "{\"a\":1} "},
    };
    static const dz_str names[] = {{"0", 1}, {"1", 1}, {"2", 1}, {"3", 1}, {"4", 1}, {"5", 1}};
    struct fixture *f = *state;
    struct dz_job_rec v[DZ_LEN(args)], *found, *listed;
    int64_t ids[DZ_LEN(args)];
    size_t n;
    for (size_t i = 0; i < DZ_LEN(args); i++) {
        v[i] = download("");
        v[i].target = names[i];
        v[i].args = dz_str_of(args[i][0]);
    }
    must(dz_catalog_jobs_add(f->c, v, DZ_LEN(args), 10, ids, err));
    must(dz_catalog_jobs_find(f->c, DZ_S("download"), names, DZ_LEN(args), f->a, &found, &n, err));
    assert_int_equal(n, DZ_LEN(args));
    must(dz_catalog_jobs_of(f->c, DZ_S("download"), 9, f->a, &listed, &n, err));
    assert_int_equal(n, DZ_LEN(args));
    for (size_t i = 0; i < n; i++) {
        assert_str(found[i].args, args[i][1]);
        assert_str(listed[i].args, args[i][1]);
        assert_str(job(f, ids[i]).args, args[i][1]);
    }
    struct dz_job_take t = taking("a", 20);
    t.id = ids[2];
    must(dz_catalog_job_take(f->c, &t, f->a, &v[0], err));
    assert_str(v[0].args, args[2][0]);
}

static void a_download_outlives_a_clock_that_is_set_back(void **state)
{
    enum { DAY_MS = 86400000 };
    struct fixture *f = *state;
    static const char *const targets[] = {"a"};
    int64_t id, crawl = add(f, "komi", 0, 100 * (int64_t)DAY_MS, true);
    add_downloads(f, targets, 1, &id);
    assert_int_equal(take(f, "a", 20 * (int64_t)DAY_MS), id);
    assert_int_equal(end(f, id, "a", DZ_JOB_QUEUED, 20 * (int64_t)DAY_MS), DZ_OK);
    assert_int_equal(take(f, "a", 11 * (int64_t)DAY_MS), 0); /* a wait that somebody may have set */
    assert_int_equal(take(f, "a", 9 * (int64_t)DAY_MS), id);
    assert_int_equal(take(f, "a", 9 * (int64_t)DAY_MS + 1), 0);
    assert_int_equal(job(f, crawl).state, DZ_JOB_QUEUED);
}

static void many_are_cancelled_at_once(void **state)
{
    struct fixture *f = *state;
    static const char *const targets[] = {"a", "b", "c"};
    int64_t id[3];
    bool asked[] = {false, true, false, true};
    add_downloads(f, targets, 3, id);
    assert_int_equal(take_id(f, "a", 20, id[0]), id[0]);
    assert_true(cancel(f, id[2], 21));
    must(dz_catalog_jobs_cancel(f->c, (const int64_t[]){id[0], 4711, id[1], id[2]}, 4, 30, asked,
                                err));
    assert_true(asked[0] && !asked[1] && asked[2] && !asked[3]);
    assert_int_equal(job(f, id[0]).state, DZ_JOB_RUNNING);
    assert_true(job(f, id[0]).cancel_asked);
    assert_int_equal(job(f, id[1]).state, DZ_JOB_CANCELLED);
    assert_int_equal(job(f, id[1]).ended_ms, 30);
    assert_int_equal(job(f, id[2]).ended_ms, 21);
    must(dz_catalog_jobs_cancel(f->c, NULL, 0, 30, asked, err));
    refused(dz_catalog_jobs_cancel(f->c, id, DZ_CALL_RECORDS_MAX + 1, 30, asked, err),
            DZ_TOO_LARGE);
}

static void the_list_of_a_kind_is_by_id(void **state)
{
    struct fixture *f = *state;
    static const char *const targets[] = {"1", "2", "3", "4", "5", "6"};
    int64_t id[6];
    add(f, "komi", 9, 0, true);
    add_downloads(f, targets, 6, id);
    assert_jobs_of(f, "download", 0, id, 6);
    assert_int_equal(take_id(f, "a", 20, id[5]), id[5]);
    assert_int_equal(take_id(f, "a", 20, id[2]), id[2]);
    assert_int_equal(end(f, id[2], "a", DZ_JOB_DONE, 90), DZ_OK);
    assert_true(cancel(f, id[0], 95));
    assert_int_equal(take_id(f, "a", 20, id[1]), id[1]);
    assert_int_equal(end(f, id[1], "a", DZ_JOB_FAILED, 80), DZ_OK);
    const int64_t all[] = {id[3], id[4], id[5], id[0], id[1], id[2]};
    assert_jobs_of(f, "download", 100, all, 6);
    /* Of those that have ended only the newest are shown. */
    const int64_t some[] = {id[3], id[4], id[5], id[1], id[2]};
    assert_jobs_of(f, "download", 2, some, 5);
    assert_jobs_of(f, "download", 0, some, 3);
    assert_jobs_of(f, "import", 100, NULL, 0);
}

static size_t retry(struct fixture *f, const int64_t *ids, size_t n)
{
    size_t queued = 99;
    must(dz_catalog_jobs_retry(f->c, DZ_S("download"), ids, n, 500, &queued, err));
    return queued;
}

/* Takes it and lets it fail, with some progress. */
static void fail_job(struct fixture *f, int64_t id)
{
    assert_int_equal(take_id(f, "a", 50, id), id);
    assert_int_equal(renew(f, id, "a", 60, 2), DZ_OK);
    assert_int_equal(end(f, id, "a", DZ_JOB_FAILED, 70), DZ_OK);
}

static void failed_ones_are_queued_again(void **state)
{
    struct fixture *f = *state;
    static const char *const targets[] = {"a", "b", "c", "d"};
    int64_t id[4], crawl = add(f, "komi", 0, 0, true), again;
    fail_job(f, crawl);
    add_downloads(f, targets, 4, id);
    for (size_t i = 0; i < 3; i++)
        fail_job(f, id[i]);
    assert_true(cancel(f, id[3], 71));

    const int64_t asked[] = {id[1], id[3], crawl, 4711};
    assert_int_equal(retry(f, asked, 4), 1);
    struct dz_job_rec j = job(f, id[1]);
    assert_int_equal(j.state, DZ_JOB_QUEUED);
    assert_int_equal(j.run_after_ms, 500);
    assert_int_equal(j.created_ms, 10);
    assert_int_equal(j.attempts + j.done + j.total + j.bytes, 0);
    assert_int_equal(j.started_ms + j.ended_ms + j.lease_until_ms, 0);
    assert_int_equal(j.fail_kind.n + j.fail_text.n + j.result.n + j.phase.n, 0);
    assert_int_equal(job(f, id[0]).state, DZ_JOB_FAILED);
    assert_int_equal(retry(f, asked, 4), 0);
    assert_int_equal(take(f, "b", 500), id[1]);
    assert_int_equal(job(f, id[1]).attempts, 1);

    /* Of one target only the newest, and none beside one that is alive. */
    add_downloads(f, targets, 1, &again);
    fail_job(f, again);
    add_downloads(f, targets + 2, 1, &again);
    assert_int_equal(retry(f, NULL, 0), 1);
    assert_int_equal(job(f, id[0]).state, DZ_JOB_FAILED);
    assert_int_equal(job(f, id[2]).state, DZ_JOB_FAILED);
    assert_int_equal(retry(f, id, 1), 0);
    assert_int_equal(job(f, crawl).state, DZ_JOB_FAILED);
    assert_int_equal(job(f, id[3]).state, DZ_JOB_CANCELLED);
    const int64_t bad[] = {id[2], 0};
    size_t n;
    refused(dz_catalog_jobs_retry(f->c, DZ_S("download"), bad, 2, 500, &n, err), DZ_BAD_INPUT);
}

static void ended_ones_are_forgotten(void **state)
{
    struct fixture *f = *state;
    static const char *const targets[] = {"a", "b", "c"};
    int64_t id[3], crawl = add(f, "komi", 0, 0, true);
    size_t n = 9;
    must(dz_catalog_jobs_forget(f->c, DZ_S("download"), &n, err));
    assert_int_equal(n, 0);
    add_downloads(f, targets, 3, id);
    fail_job(f, crawl);
    fail_job(f, id[1]);
    assert_true(cancel(f, id[0], 80));
    must(dz_catalog_jobs_forget(f->c, DZ_S("download"), &n, err));
    assert_int_equal(n, 2);
    assert_jobs_of(f, "download", 100, &id[2], 1);
    assert_jobs_of(f, "crawl", 100, &crawl, 1);
    refused(dz_catalog_jobs_forget(f->c, DZ_S(""), &n, err), DZ_BAD_INPUT);
}

/* The history of downloads is their own; all other kinds share one. */
static void history_is_kept_by_kind(void **state)
{
    struct fixture *f = *state;
    static const char *const targets[] = {"a", "b", "c", "d"};
    int64_t id[4], crawl[2] = {add(f, "1", 0, 0, true), add(f, "2", 0, 0, true)}, import;
    struct dz_job_rec other = {.kind = DZ_S("import"), .source = DZ_S("x.com")};
    bool is_new;
    must(dz_catalog_job_add(f->c, &other, 0, &import, &is_new, err));
    add_downloads(f, targets, 4, id);
    const int64_t ended[] = {crawl[0], import, crawl[1], id[2], id[0], id[1]};
    for (size_t i = 0; i < DZ_LEN(ended); i++)
        assert_true(cancel(f, ended[i], 100 + (int64_t)i));
    must(dz_catalog_jobs_trim(f->c, (dz_str){NULL, 0}, 2, err));
    assert_jobs_of(f, "crawl", 9, &crawl[1], 1);
    assert_jobs_of(f, "import", 9, &import, 1);
    const int64_t all[] = {id[3], id[0], id[1], id[2]};
    assert_jobs_of(f, "download", 9, all, 4);
    must(dz_catalog_jobs_trim(f->c, DZ_S("download"), 2, err)); /* those that ended last stay */
    const int64_t left[] = {id[3], id[0], id[1]};
    assert_jobs_of(f, "download", 9, left, 3);
    must(dz_catalog_jobs_trim(f->c, DZ_S("download"), SIZE_MAX, err));
    assert_jobs_of(f, "download", 9, left, 3);
    must(dz_catalog_jobs_trim(f->c, DZ_S("download"), 0, err));
    assert_jobs_of(f, "download", 9, left, 1);
    assert_jobs_of(f, "crawl", 9, &crawl[1], 1);
}

static void progress_has_bytes_and_a_phase(void **state)
{
    struct fixture *f = *state;
    int64_t id = add(f, "komi", 0, 0, true);
    assert_int_equal(take(f, "a", 10), id);
    struct dz_job_progress p = {.done = 2, .total = 2, .bytes = 4711, .phase = DZ_S("saving")};
    must(dz_catalog_job_renew(f->c, id, DZ_S("a"), 20, LEASE, &p, err));
    assert_int_equal(job(f, id).bytes, 4711);
    assert_str(job(f, id).phase, "saving");
    /* The next owner begins without a phase. */
    assert_int_equal(take(f, "b", 20 + LEASE), id);
    assert_int_equal(job(f, id).phase.n, 0);
    assert_int_equal(job(f, id).bytes, 4711);
    must(dz_catalog_job_renew(f->c, id, DZ_S("b"), 30 + LEASE, LEASE, &p, err));
    struct dz_job_rec e = {.state = DZ_JOB_DONE, .done = 2, .total = 2, .bytes = 4712};
    must(dz_catalog_job_end(f->c, id, DZ_S("b"), &e, 40 + LEASE, err));
    assert_int_equal(job(f, id).bytes, 4712);
    assert_int_equal(job(f, id).phase.n, 0);

    id = add(f, "komi", 0, 0, true);
    assert_int_equal(take(f, "a", 50), id);
    must(dz_catalog_job_renew(f->c, id, DZ_S("a"), 50, LEASE, &p, err));
    assert_true(cancel(f, id, 60));
    assert_str(job(f, id).phase, "saving"); /* its owner is at it still */
    assert_int_equal(take(f, "b", 50 + LEASE), 0);
    assert_int_equal(job(f, id).state, DZ_JOB_CANCELLED);
    assert_int_equal(job(f, id).phase.n, 0);

    p.bytes = (uint64_t)INT64_MAX + 1;
    refused(dz_catalog_job_renew(f->c, id, DZ_S("a"), 70, LEASE, &p, err), DZ_TOO_LARGE);
    p = (struct dz_job_progress){.phase = DZ_S("\xff")};
    const char *text =
        refused(dz_catalog_job_renew(f->c, id, DZ_S("a"), 70, LEASE, &p, err), DZ_BAD_INPUT);
    assert_non_null(strstr(text, "phase is not UTF-8"));
}

enum { SETS = 20, SET_JOBS = 8 };

static void *queue_sets(void *arg)
{
    struct racer *r = arg;
    for (int i = 0; i < SETS; i++) {
        struct dz_job_rec v[SET_JOBS];
        char targets[SET_JOBS][32];
        int64_t ids[SET_JOBS];
        for (int k = 0; k < SET_JOBS; k++) {
            snprintf(targets[k], sizeof(targets[k]), "%s-%d-%d", r->owner, i, k);
            v[k] = download(targets[k]);
        }
        r->failed += dz_catalog_jobs_add(r->c, v, SET_JOBS, 10, ids, NULL) != DZ_OK;
        for (int k = 1; k < SET_JOBS && r->alone; k++) /* nobody's job comes between */
            r->failed += ids[k] != ids[0] + k;
    }
    return NULL;
}

/* While sets are queued from two sides, others take them: each job is run once, none is lost. */
static void sets_are_taken_while_others_are_queued(void **state)
{
    struct fixture *f = *state;
    struct dz_catalog *second = NULL;
    static struct racer r[4];
    pthread_t t[4];
    bool seen[2 * SETS * SET_JOBS + 1] = {false};
    if (f->which->where != IN_MEMORY)
        second = open_again(f);
    for (size_t i = 0; i < 4; i++) {
        r[i] = (struct racer){.c = second && i % 2 ? second : f->c,
                              .ends_all = true,
                              .alone = f->which->where != ON_SERVER};
        snprintf(r[i].owner, sizeof(r[i].owner), "o%zu", i);
        assert_int_equal(pthread_create(&t[i], NULL, i < 2 ? queue_sets : take_all, &r[i]), 0);
    }
    for (size_t i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    take_all(&r[2]); /* what came last */
    size_t sum = 0;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(r[i].failed, 0);
        sum += r[i].n;
        for (size_t k = 0; k < r[i].n; k++) {
            assert_true(r[i].got[k] < (int64_t)DZ_LEN(seen) && !seen[r[i].got[k]]);
            seen[r[i].got[k]] = true;
        }
    }
    assert_int_equal(sum, 2 * SETS * SET_JOBS);
    dz_catalog_close(&second);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        CASE(a_job_lives_and_ends),
        CASE(a_failed_attempt_is_tried_again),
        CASE(an_equal_job_is_not_added_twice),
        CASE(the_order_is_priority_then_age),
        CASE(an_ended_lease_is_taken_over),
        CASE(jobs_are_cancelled),
        CASE(the_list_shows_work_first),
        CASE(jobs_have_limits),
        CASE(racers_never_get_the_same_job),
        CASE(a_job_outlives_its_process),
        CASE(a_set_is_queued_whole_or_not_at_all),
        CASE(many_jobs_come_in_the_order_asked),
        CASE(jobs_are_found_by_target),
        CASE(lists_give_args_without_objects),
        CASE(a_download_outlives_a_clock_that_is_set_back),
        CASE(many_are_cancelled_at_once),
        CASE(the_list_of_a_kind_is_by_id),
        CASE(failed_ones_are_queued_again),
        CASE(ended_ones_are_forgotten),
        CASE(history_is_kept_by_kind),
        CASE(progress_has_bytes_and_a_phase),
        CASE(sets_are_taken_while_others_are_queued),
    };
    return run_cases(cases, DZ_LEN(cases));
}
