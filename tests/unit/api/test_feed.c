/*
 * test_feed: what readers of the feed are told: snapshots, changes, what they have missed, only
 * what they follow; and what is kept.
 */
#include "test.h"

#include "api/feed.h"
#include "api/ops.h"

#include <pthread.h>

#define EPOCH 0xABCDEF0123456789u
#define ID(n) "id: abcdef0123456789-" #n "\n"

static struct feed *feed;

static int setup(void **state)
{
    (void)state;
    feed = feed_new(EPOCH);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    feed_free(&feed);
    return 0;
}

static struct dz_job_rec row(int64_t id, const char *target, enum dz_job_state state, uint64_t done)
{
    return (struct dz_job_rec){.id = id,
                               .target = dz_str_of(target),
                               .args = DZ_S("{\"file\":\"n\",\"pages\":4}"),
                               .state = state,
                               .done = done,
                               .total = state == DZ_JOB_QUEUED ? 0 : 4,
                               .bytes = done * 10,
                               .created_ms = 1,
                               .started_ms = state == DZ_JOB_QUEUED ? 0 : 2,
                               .ended_ms = state >= DZ_JOB_DONE ? 3 : 0};
}

#define QUEUED                                                                                     \
    "{\"file\": \"n\", \"status\": \"QUEUED\", \"completion\": 0.0, \"size\": 0, \"created\": 1}"
#define HALF                                                                                       \
    "{\"file\": \"n\", \"status\": \"PROCESSING\", \"completion\": 0.5, \"size\": 20, "            \
    "\"created\": 1, \"begin\": 2}"
#define WHOLE                                                                                      \
    "{\"file\": \"n\", \"status\": \"COMPLETE\", \"completion\": 1.0, \"size\": 40, "              \
    "\"created\": 1, \"begin\": 2, \"end\": 3}"

static void assert_next(struct feed_reader *r, const char *want)
{
    bool lost;
    struct dz_body *b = feed_next(feed, r, &lost);
    assert_false(lost);
    if (!want) {
        assert_null(b);
        return;
    }
    assert_non_null(b);
    if (!dz_str_eq((dz_str){b->p, b->n}, dz_str_of(want)))
        fail_msg("got \"%.*s\", want \"%s\"", (int)b->n, b->p, want);
    dz_body_unref(&b);
}

static void snapshot_then_changes(void **state)
{
    (void)state;
    struct feed_reader r;
    feed_reader_init(feed, &r, (dz_str){0}, NULL, 0);
    assert_next(&r, NULL);
    struct dz_job_rec v[] = {row(2, "b", DZ_JOB_RUNNING, 2), row(1, "a", DZ_JOB_QUEUED, 0)};
    assert_true(feed_update(feed, v, 2));
    assert_next(&r, ID(1) "event: snapshot\ndata: {\"b\": " HALF ", \"a\": " QUEUED "}\n\n");
    assert_next(&r, NULL);
    assert_false(feed_update(feed, v, 2));
    assert_next(&r, NULL);
    v[0] = row(2, "b", DZ_JOB_DONE, 4);
    assert_true(feed_update(feed, v, 2));
    assert_next(&r, ID(2) "event: change\ndata: {\"b\": " WHOLE "}\n\n");
    assert_true(feed_update(feed, v, 1)); /* a is forgotten */
    assert_true(feed_update(feed, NULL, 0));
    assert_next(&r, ID(3) "event: change\ndata: {\"a\": null}\n\n");
    assert_next(&r, ID(4) "event: change\ndata: {\"b\": null}\n\n");
    assert_next(&r, NULL);
    feed_reader_done(feed, &r);
}

/* Two rows with one id: the one that is active; and nothing moves while neither does. */
static void one_id_twice(void **state)
{
    (void)state;
    struct feed_reader r;
    feed_reader_init(feed, &r, (dz_str){0}, NULL, 0);
    struct dz_job_rec v[] = {row(9, "a", DZ_JOB_RUNNING, 2), row(3, "a", DZ_JOB_FAILED, 1)};
    assert_true(feed_update(feed, v, 2));
    assert_next(&r, ID(1) "event: snapshot\ndata: {\"a\": " HALF "}\n\n");
    assert_false(feed_update(feed, v, 2));
    assert_next(&r, NULL);
    feed_reader_done(feed, &r);
}

static void comes_back(void **state)
{
    (void)state;
    struct dz_job_rec v[] = {row(1, "a", DZ_JOB_QUEUED, 0)};
    (void)feed_update(feed, v, 1);
    v[0] = row(1, "a", DZ_JOB_RUNNING, 2);
    (void)feed_update(feed, v, 1);
    struct feed_reader r;
    feed_reader_init(feed, &r, DZ_S("abcdef0123456789-1"), NULL, 0);
    assert_next(&r, ID(2) "event: change\ndata: {\"a\": " HALF "}\n\n");
    assert_next(&r, NULL);
    feed_reader_done(feed, &r);
    feed_reader_init(feed, &r, DZ_S("abcdef0123456789-0"), NULL, 0);
    assert_next(&r, ID(1) "event: change\ndata: {\"a\": " QUEUED "}\n\n");
    feed_reader_done(feed, &r);
    /* Of another start, of the future, of nothing: a snapshot. */
    static const char *const others[] = {"abcdef0123456788-1",
                                         "abcdef0123456789-3",
                                         "abcdef0123456789-",
                                         "abcdef0123456789-x",
                                         "1",
                                         ""};
    for (size_t i = 0; i < DZ_LEN(others); i++) {
        feed_reader_init(feed, &r, dz_str_of(others[i]), NULL, 0);
        assert_next(&r, NULL); /* not before somebody has looked */
        assert_true(feed_update(feed, v, 1));
        assert_next(&r, ID(2) "event: snapshot\ndata: {\"a\": " HALF "}\n\n");
        feed_reader_done(feed, &r);
    }
    /* One that goes before it got its snapshot. */
    feed_reader_init(feed, &r, (dz_str){0}, NULL, 0);
    feed_reader_done(feed, &r);
    assert_false(feed_update(feed, v, 1));
}

static void only_some(void **state)
{
    (void)state;
    static const dz_str ids[] = {DZ_S("b"), DZ_S("zz")};
    struct feed_reader r;
    feed_reader_init(feed, &r, (dz_str){0}, ids, 2);
    struct dz_job_rec v[] = {row(1, "a", DZ_JOB_RUNNING, 2), row(2, "b", DZ_JOB_QUEUED, 0)};
    (void)feed_update(feed, v, 2);
    assert_next(&r, ID(1) "event: snapshot\ndata: {\"b\": " QUEUED ", \"zz\": null}\n\n");
    v[0].done = 3;
    (void)feed_update(feed, v, 2);
    assert_next(&r, NULL);
    v[0].done = 4;
    v[1] = row(2, "b", DZ_JOB_RUNNING, 2);
    (void)feed_update(feed, v, 2);
    assert_next(&r, ID(3) "event: change\ndata: {\"b\": " HALF "}\n\n");
    (void)feed_update(feed, v, 1);
    assert_next(&r, ID(4) "event: change\ndata: {\"b\": null}\n\n");
    feed_reader_done(feed, &r);
}

/* A reader of some takes its own out of a long event, whatever its order and whatever theirs. */
static void some_of_many(void **state)
{
    (void)state;
    static const dz_str ids[] = {DZ_S("d500"), DZ_S("zz"), DZ_S("d0"), DZ_S("d"), DZ_S("d999")};
    static char names[1000][8];
    static struct dz_job_rec v[1000];
    struct feed_reader r;
    for (size_t i = 0; i < DZ_LEN(v); i++) {
        size_t at = i * 7 % DZ_LEN(v);
        snprintf(names[i], sizeof(names[i]), "d%zu", at);
        v[i] = row((int64_t)i + 1, names[i], DZ_JOB_QUEUED, 0);
    }
    feed_reader_init(feed, &r, (dz_str){0}, ids, DZ_LEN(ids));
    (void)feed_update(feed, NULL, 0);
    struct dz_body *first = feed_next(feed, &r, &(bool){false});
    assert_non_null(first);
    dz_body_unref(&first);
    (void)feed_update(feed, v, DZ_LEN(v));
    assert_next(&r, ID(1) "event: change\ndata: {\"d500\": " QUEUED ", \"d0\": " QUEUED
                          ", \"d999\": " QUEUED "}\n\n");
    feed_reader_done(feed, &r);
}

/* Who falls behind the kept events begins anew; who is just within them does not. */
static void falls_behind(void **state)
{
    (void)state;
    struct dz_job_rec v[] = {row(1, "a", DZ_JOB_RUNNING, 1)};
    struct feed_reader late, slow;
    (void)feed_update(feed, v, 1);
    feed_reader_init(feed, &late, DZ_S("abcdef0123456789-1"), NULL, 0);
    (void)feed_update(feed, v, 1);
    for (uint64_t i = 0; i < FEED_EVENTS_MAX; i++) {
        v[0].bytes = 100 + i;
        assert_true(feed_update(feed, v, 1));
        if (i == 0)
            feed_reader_init(feed, &slow, DZ_S("abcdef0123456789-1"), NULL, 0);
    }
    size_t n = 0;
    bool lost;
    struct dz_body *b;
    for (; (b = feed_next(feed, &slow, &lost)); n++)
        dz_body_unref(&b);
    assert_int_equal(n, FEED_EVENTS_MAX);
    v[0].bytes++;
    (void)feed_update(feed, v, 1);
    assert_next(&late, NULL);
    (void)feed_update(feed, v, 1);
    b = feed_next(feed, &late, &lost);
    assert_non_null(b);
    assert_true(dz_str_find((dz_str){b->p, b->n}, DZ_S("event: snapshot")) != DZ_NPOS);
    dz_body_unref(&b);
    feed_reader_done(feed, &late);
    feed_reader_done(feed, &slow);
}

/* Many at once: the kept bytes have a limit, and the newest event stays whatever its size. */
static void much_to_keep(void **state)
{
    (void)state;
    enum { N = 20000 };
    struct dz_job_rec *v = dz_alloc(N * sizeof(*v));
    char(*targets)[24] = dz_alloc(N * sizeof(*targets));
    for (int i = 0; i < N; i++) {
        snprintf(targets[i], sizeof(targets[i]), "download-%d", i);
        v[i] = row(i + 1, targets[i], DZ_JOB_RUNNING, 1);
    }
    (void)feed_update(feed, v, N);
    struct feed_reader first, r;
    feed_reader_init(feed, &first, DZ_S("abcdef0123456789-1"), NULL, 0);
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < N; i++)
            v[i].bytes++;
        (void)feed_update(feed, v, N);
    }
    feed_reader_init(feed, &r, DZ_S("abcdef0123456789-6"), NULL, 0);
    bool lost;
    struct dz_body *b = feed_next(feed, &r, &lost);
    assert_non_null(b);
    assert_true(b->n > 2000000);
    dz_body_unref(&b);
    assert_next(&r, NULL);
    assert_next(&first, NULL); /* its next event is not kept any more */
    (void)feed_update(feed, v, N);
    b = feed_next(feed, &first, &lost);
    assert_true(dz_str_find((dz_str){b->p, b->n}, DZ_S("event: snapshot")) != DZ_NPOS);
    dz_body_unref(&b);
    feed_reader_done(feed, &first);
    feed_reader_done(feed, &r);
    free(v);
    free(targets);
}

/* ---- states ---------------------------------------------------------------------------------- */

static void assert_state(const struct dz_job_rec *job, const char *want)
{
    struct dz_buf b;
    struct dz_json j;
    dz_buf_init(&b, DZ_MIB);
    dz_json_init(&j, &b, DZ_JSON_PYTHON, true);
    download_state_put(&j, job);
    if (!dz_str_eq(dz_buf_str(&b), dz_str_of(want)))
        fail_msg("got %.*s, want %s", DZ_STR_FMT(dz_buf_str(&b)), want);
    dz_buf_done(&b);
}

/* contracts/nagato.md 4.1 and 5, fault 13. */
static void states(void **state)
{
    (void)state;
    struct dz_job_rec j = {.args = DZ_S("{\"file\": \"Caf\\u00e9 C1\", \"pages\": null}"),
                           .state = DZ_JOB_QUEUED,
                           .created_ms = 1700000000000};
#define FILE_ "{\"file\": \"Caf\\u00e9 C1\", \"status\": "
    assert_state(&j, FILE_ "\"QUEUED\", \"completion\": -1, \"size\": 0, "
                           "\"created\": 1700000000000}");
    j.state = DZ_JOB_RUNNING;
    j.started_ms = 1700000000500;
    j.done = 2;
    j.bytes = 99;
    assert_state(&j, FILE_ "\"PROCESSING\", \"completion\": -1, \"size\": 99, "
                           "\"created\": 1700000000000, \"begin\": 1700000000500}");
    j.total = 3;
    j.phase = DZ_S("saving");
    assert_state(&j, FILE_ "\"SAVING\", \"completion\": 0.6666666666666666, \"size\": 99, "
                           "\"created\": 1700000000000, \"begin\": 1700000000500}");
    j.state = DZ_JOB_QUEUED; /* waits for another attempt */
    assert_state(&j, FILE_ "\"QUEUED\", \"completion\": 0.6666666666666666, \"size\": 99, "
                           "\"created\": 1700000000000}");
    j.state = DZ_JOB_CANCELLED;
    j.started_ms = 0;
    j.ended_ms = 1700000000600;
    assert_state(&j, FILE_ "\"CANCELLED\", \"completion\": 0.6666666666666666, \"size\": 99, "
                           "\"created\": 1700000000000, \"end\": 1700000000600}");
    j.args = DZ_S("{\"file\": \"x\", \"pages\": 0}");
    j.total = j.done = 0;
    j.state = DZ_JOB_FAILED;
    assert_state(&j, "{\"file\": \"x\", \"status\": \"FAILED\", \"completion\": 0.0, \"size\": 99, "
                     "\"created\": 1700000000000, \"end\": 1700000000600}");
    j.state = DZ_JOB_DONE;
    j.args = DZ_S("no JSON");
    assert_state(&j,
                 "{\"file\": \"\", \"status\": \"COMPLETE\", \"completion\": 1.0, \"size\": 99, "
                 "\"created\": 1700000000000, \"end\": 1700000000600}");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(snapshot_then_changes), CASE(one_id_twice), CASE(comes_back),   CASE(only_some),
        CASE(some_of_many),          CASE(falls_behind), CASE(much_to_keep), CASE(states),
    };
    return cmocka_run_group_tests_name("api-feed", tests, NULL, NULL);
}
