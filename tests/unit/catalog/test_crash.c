/*
 * test_crash: a process that dies or fails anywhere in a batch leaves the catalog as it was before.
 *
 * The test runs itself again as a child with DZ_FAULT set, once for every query that the child
 * makes, until a child comes through. All of it on SQLite, the writing on PostgreSQL as well, where
 * there is a server. Without fault injection in the build there is nothing to test.
 */
#include "catalog/test_collections.h"
#include "catalog/test_postgres.h"

#ifndef DZ_FAULTS

int main(void)
{
    return 77;
}

#else

enum { DONE = 0, FAILED = 3 };

/* A place is the folder of a SQLite file, or the URI of a schema. */
enum { PLACE = 512 };

static bool is_uri(const char *place)
{
    return strncmp(place, "postgres", 8) == 0;
}

static enum dz_code open_at(const char *place, struct dz_catalog **ret_c, struct dz_err *err)
{
    return is_uri(place) ? dz_catalog_open("postgres", ".", place, ret_c, err)
                         : dz_catalog_open("sqlite", place, "", ret_c, err);
}

static void fill(const char *place)
{
    struct dz_catalog *c = NULL;
    must(open_at(place, &c, err));
    put_one(c, "s", "1", 1, 3, 1);
    dz_catalog_close(&c);
}

static int set_up(void **state)
{
    static char folder[64];
    make_folder(folder);
    fill(folder);
    *state = folder;
    return 0;
}

static int tear_down(void **state)
{
    drop_folder(*state);
    return 0;
}

struct schema {
    char uri[PLACE], name[40]; /* the URI first: it is the place */
};

static int set_up_schema(void **state)
{
    static struct schema s;
    *state = NULL;
    if (!server_uri("postgres"))
        return 0;
    make_schema(s.name, s.uri);
    fill(s.uri);
    *state = s.uri;
    return 0;
}

static int tear_down_schema(void **state)
{
    if (*state)
        drop_schema(((struct schema *)*state)->name);
    return 0;
}

/* ---- what the children do ----------------------------------------------------------------------
 */

/* One batch with every kind of write in it. */
static enum dz_code change_all(struct dz_catalog *c, struct dz_err *err)
{
    struct dz_page_rec v[64], w[64];
    int64_t id, chapter_id;
    bool changed;
    DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
    struct dz_series_rec s = series_of("s");
    s.title = DZ_S("A new title");
    struct dz_chapter_rec first = chapter_of("1", 1, pages_of(v, 2, 2), 2);
    struct dz_chapter_rec second = chapter_of("2", 2, pages_of(w, 3, 3), 3);
    struct dz_asset_rec a = {.name = DZ_S("vol1.jpg"), .blob = blob_of(2)};
    struct dz_sha256 dropped = blob_of(1).sha;
    DZ_TRY(dz_batch_begin(c, &b, err));
    DZ_TRY(dz_batch_series(b, &s, &id, err));
    DZ_TRY(dz_batch_chapter(b, id, &first, &chapter_id, &changed, err));
    DZ_TRY(dz_batch_chapter(b, id, &second, &chapter_id, &changed, err));
    DZ_TRY(dz_batch_asset(b, id, &a, &changed, err));
    DZ_TRY(dz_batch_shelf(b, DZ_S("komi"), id, err));
    DZ_TRY(dz_batch_blob_drop(b, &dropped, err));
    return dz_batch_commit(&b, NULL, err);
}

static enum dz_code read_all(struct dz_catalog *c, struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s = NULL;
    int64_t *ids, id;
    size_t n;
    uint64_t seq, left;
    struct dz_catalog_counts counts;
    struct dz_series_full full;
    struct dz_shelf_rec *shelves;
    DZ_TRY(dz_catalog_series_ids(c, a, &ids, &n, err));
    DZ_TRY(dz_catalog_series_find(c, DZ_S("local"), DZ_S("s"), &id, err));
    DZ_TRY(dz_catalog_changes(c, 0, a, &ids, &n, &seq, err));
    DZ_TRY(dz_catalog_counts(c, &counts, err));
    DZ_TRY(dz_catalog_shelves(c, a, &shelves, &n, err));
    DZ_TRY(dz_catalog_verify(c, true, NULL, NULL, &left, err));
    DZ_TRY(dz_catalog_load(c, id, a, &full, err));
    return dz_snapshot_build(&full, true, NULL, 0, &s, err);
}

/* Jobs in sets, marks, favourites, checksums. */
static enum dz_code sets_all(struct dz_catalog *c, struct dz_arena *a, struct dz_err *err)
{
    const dz_str kind = DZ_S("download"), targets[] = {DZ_S("1"), DZ_S("2")};
    const struct dz_job_rec in[] = {{.kind = kind, .target = targets[0]},
                                    {.kind = kind, .target = targets[1]}};
    const struct dz_mark_rec marks[] = {{DZ_S("x"), DZ_S("1"), DZ_S("s"), 'D'},
                                        {DZ_S("x"), DZ_S("1"), DZ_S(""), 'I'}};
    const struct dz_sha256 sha = blob_of(1).sha;
    const uint32_t crc = 5;
    struct dz_job_rec *jobs;
    struct dz_mark_rec *got;
    struct dz_favourite_rec *favourites;
    int64_t ids[2];
    uint64_t known;
    size_t n;
    bool flag;
    DZ_TRY(dz_catalog_jobs_add(c, in, 2, 1, ids, err));
    DZ_TRY(dz_catalog_jobs_find(c, kind, targets, 2, a, &jobs, &n, err));
    DZ_TRY(dz_catalog_job_cancel(c, ids[0], 1, &flag, err));
    DZ_TRY(dz_catalog_jobs_of(c, kind, 5, a, &jobs, &n, err));
    DZ_TRY(dz_catalog_jobs_retry(c, kind, ids, 2, 5, &n, err));
    DZ_TRY(dz_catalog_jobs_forget(c, kind, &n, err));
    DZ_TRY(dz_catalog_jobs_trim(c, kind, 0, err));
    DZ_TRY(dz_catalog_marks_put(c, marks, 2, err));
    DZ_TRY(dz_catalog_marks_of(c, DZ_S("x"), targets, 2, a, &got, &n, err));
    DZ_TRY(dz_catalog_marks_of_series(c, DZ_S("x"), DZ_S("s"), a, &got, &n, err));
    DZ_TRY(dz_catalog_marks_del(c, marks, 1, err));
    DZ_TRY(dz_catalog_favourite_put(c, DZ_S("x"), DZ_S("s"), 1, &flag, err));
    DZ_TRY(dz_catalog_favourites(c, DZ_S(""), a, &favourites, &n, err));
    DZ_TRY(dz_catalog_favourite_del(c, DZ_S("x"), DZ_S("s"), &flag, err));
    DZ_TRY(dz_catalog_blob_crcs_put(c, &sha, &crc, 1, err));
    return dz_catalog_blob_crcs(c, &sha, 1, &known, err);
}

/* Every kind of work, from a queued job to an ended one, with the chapter that its parts became. */
static enum dz_code work_all(struct dz_catalog *c, struct dz_err *err)
{
    const struct dz_job_rec in = {.kind = DZ_S("crawl"), .source = DZ_S("x")};
    const struct dz_job_take t = {.owner = DZ_S("me"), .now_ms = 1, .lease_ms = 10};
    const struct dz_job_progress progress = {1, 2, 3, {NULL, 0}};
    const struct dz_job_rec done = {.state = DZ_JOB_DONE};
    const struct dz_crawl_state_rec s = {DZ_S("x"), DZ_S("n"), DZ_S("1"), 0, 0};
    const struct dz_part_rec parts[] = {{.at = 0, .blob = blob_of(1)},
                                        {.at = 1, .blob = blob_of(9)}};
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
    struct dz_job_rec j, *jobs;
    struct dz_part_rec *got;
    struct dz_crawl_state_rec *states;
    int64_t id, due;
    bool flag;
    size_t n;
    DZ_TRY(dz_catalog_job_add(c, &in, 1, &id, &flag, err));
    DZ_TRY(dz_catalog_job_next(c, &due, err));
    DZ_TRY(dz_catalog_job_take(c, &t, a, &j, err));
    DZ_TRY(dz_catalog_part_put(c, DZ_S("x"), DZ_S("1"), parts, 2, err));
    DZ_TRY(dz_catalog_parts(c, DZ_S("x"), DZ_S("1"), a, &got, &n, err));
    DZ_TRY(dz_catalog_job_renew(c, id, t.owner, 2, 10, &progress, err));
    DZ_TRY(dz_catalog_state_put(c, &s, 1, 1, err));
    DZ_TRY(dz_catalog_state_list(c, DZ_S(""), DZ_S(""), 1, a, &states, &n, err));
    DZ_TRY(dz_batch_begin(c, &b, err));
    DZ_TRY(dz_batch_part_del(b, DZ_S("x"), DZ_S("1"), 1, err));
    DZ_TRY(dz_batch_parts_del(b, DZ_S("x"), DZ_S("1"), err));
    DZ_TRY(dz_batch_commit(&b, NULL, err));
    DZ_TRY(dz_catalog_part_put(c, DZ_S("x"), DZ_S("2"), parts, 2, err));
    DZ_TRY(dz_catalog_parts_trim(c, INT64_MAX, err));
    DZ_TRY(dz_catalog_job_end(c, id, t.owner, &done, 3, err));
    DZ_TRY(dz_catalog_job_cancel(c, id, 3, &flag, err));
    DZ_TRY(dz_catalog_jobs(c, 10, a, &jobs, &n, err));
    DZ_TRY(sets_all(c, a, err));
    return dz_catalog_jobs_trim(c, (dz_str){NULL, 0}, 0, err);
}

static enum dz_code no_row(void *arg, size_t at, const struct dz_collection_value *v,
                           struct dz_err *err)
{
    (void)at;
    (void)err;
    *(size_t *)arg += v != NULL;
    return DZ_OK;
}

/* A table, unless there is one; two records in one call, a field more, and another record. */
static enum dz_code collect(struct dz_catalog *c, const struct dz_collection *coll,
                            const struct dz_collection *more, json_t *two, json_t *one,
                            struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    const dz_str id = DZ_S("a");
    const struct dz_collection_ask ask = {.by_keys = true, .keys = &id, .keys_n = 1}, all = {0};
    struct dz_collection_rec *v;
    struct dz_collection_ensured e;
    enum dz_put_result r[2];
    uint64_t rev;
    bool seen;
    size_t n = 0;
    DZ_TRY(dz_catalog_collections(c, a, &v, &n, err));
    if (n == 0)
        DZ_TRY(dz_catalog_collection_ensure(c, coll, &e, err));
    DZ_TRY(dz_catalog_collection_put(c, coll, two, true, r, NULL, err));
    DZ_TRY(dz_catalog_collection_ensure(c, more, &e, err));
    DZ_TRY(dz_catalog_collection_put(c, more, one, false, r, NULL, err));
    DZ_TRY(dz_catalog_collection_seen(c, more, more->key, &id, 1, &seen, err));
    DZ_TRY(dz_catalog_collection_rows(c, more, &ask, no_row, &n, err));
    DZ_TRY(dz_catalog_collection_rows(c, more, &all, no_row, &n, err));
    return dz_catalog_collections_rev(c, &rev, err);
}

static enum dz_code collect_all(struct dz_catalog *c, struct dz_err *err)
{
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = declared(PERFVOD);
    DZ_AUTO(dz_collection_unref)
    struct dz_collection *more = declared(PERFVOD_WITH(", {'name': 'views', 'type': 'Int'}", "[]"));
    json_t *two = list_of(vod("a", 1, 1, 1)), *one = list_of(vod("c", 1, 3, 3));
    json_array_append_new(two, vod("b", 2, 2, 2));
    enum dz_code code = collect(c, coll, more, two, one, err);
    json_decref(two);
    json_decref(one);
    return code;
}

static int child(const char *mode, const char *folder)
{
    struct dz_catalog *c = NULL;
    struct dz_err err = {0};
    enum dz_code code = open_at(folder, &c, &err);
    if (code == DZ_OK && strcmp(mode, "open") != 0)
        code = strcmp(mode, "write") == 0     ? change_all(c, &err)
               : strcmp(mode, "work") == 0    ? work_all(c, &err)
               : strcmp(mode, "collect") == 0 ? collect_all(c, &err)
                                              : read_all(c, &err);
    dz_catalog_close(&c);
    return code == DZ_OK ? DONE : FAILED;
}

/* ---- what must hold afterwards -----------------------------------------------------------------
 */

/* The state before the batch or the one after it, sound in either case. */
static void assert_state(const char *folder, bool after)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_catalog *c = NULL;
    struct dz_series_full full;
    struct dz_catalog_counts counts;
    int64_t id, *ids;
    size_t n;
    uint64_t left, seq;
    must(open_at(folder, &c, err));
    must(dz_catalog_verify(c, false, NULL, NULL, &left, err));
    assert_int_equal(left, 0);
    must(dz_catalog_series_find(c, DZ_S("local"), DZ_S("s"), &id, err));
    must(dz_catalog_load(c, id, a, &full, err));
    must(dz_catalog_counts(c, &counts, err));
    must(dz_catalog_changes(c, 0, a, &ids, &n, &seq, err));
    assert_int_equal(seq, after ? 2 : 1);
    assert_int_equal(full.chapters_n, after ? 2 : 1);
    assert_int_equal(full.chapters[full.chapters_n - 1].pages_n, after ? 2 : 3);
    assert_int_equal(full.assets_n, after ? 1 : 0);
    assert_int_equal(counts.shelves, after ? 1 : 0);
    assert_int_equal(counts.blobs, after ? 4 : 3);
    assert_true(dz_str_eq(full.series.title, after ? DZ_S("A new title") : DZ_S("s")));
    dz_catalog_close(&c);
}

static int run_child(const char *mode, const char *folder, const char *fault)
{
    return wait_for(start_self(mode, folder, "DZ_FAULT", fault));
}

static bool was_killed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void killed_in_a_batch(void **state)
{
    char fault[32];
    if (!*state)
        server_is_missing("postgres");
    assert_true(was_killed(run_child("write", *state, "commit:1:kill")));
    assert_state(*state, false);
    unsigned n = 1;
    for (;; n += n < 8 ? 1 : 5) {
        snprintf(fault, sizeof(fault), "query:%u:kill", n);
        int status = run_child("write", *state, fault);
        if (!was_killed(status)) {
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), DONE);
            break;
        }
        assert_state(*state, false);
    }
    assert_true(n > 30);
    assert_state(*state, true);
}

static void each_query_fails_once(void **state)
{
    char fault[32];
    if (!*state)
        server_is_missing("postgres");
    assert_int_equal(WEXITSTATUS(run_child("write", *state, "commit:1")), FAILED);
    assert_state(*state, false);
    for (unsigned n = 1;; n++) {
        snprintf(fault, sizeof(fault), "query:%u", n);
        int status = run_child("write", *state, fault);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == DONE)
            break;
        assert_int_equal(WEXITSTATUS(status), FAILED); /* and no leak, no abort */
        if (n % 8 == 0)
            assert_state(*state, false);
    }
    assert_state(*state, true);
}

static void reading_fails_cleanly(void **state)
{
    static const char *const ops[] = {"query", "alloc"};
    char fault[32];
    for (size_t i = 0; i < DZ_LEN(ops); i++)
        for (unsigned n = 1;; n++) {
            snprintf(fault, sizeof(fault), "%s:%u", ops[i], n);
            int status = run_child("read", *state, fault);
            assert_true(WIFEXITED(status));
            if (WEXITSTATUS(status) == DONE)
                break;
            assert_int_equal(WEXITSTATUS(status), FAILED);
        }
    assert_state(*state, false);
}

/* One after the other in one catalog: what the ones before left is there. */
static void work_fails_and_dies_anywhere(void **state)
{
    static const struct {
        const char *fault;
        unsigned step;
        bool on_server;
    } faults[] = {{"query:%u", 1, true},
                  {"alloc:%u", 1, false},
                  {"commit:%u", 1, true},
                  {"query:%u:kill", 4, true},
                  {"commit:%u:kill", 2, true}};
    char fault[32];
    if (!*state)
        server_is_missing("postgres");
    /* A child of a server takes longer, and its arenas are those of the others. */
    bool far = is_uri(*state);
    for (size_t i = 0; i < DZ_LEN(faults); i++)
        for (unsigned n = 1; !far || faults[i].on_server; n += faults[i].step * (far ? 3 : 1)) {
            struct dz_catalog *c = NULL;
            uint64_t left;
            snprintf(fault, sizeof(fault), faults[i].fault, n);
            int status = run_child("work", *state, fault);
            assert_true(was_killed(status) || WIFEXITED(status));
            must(open_at(*state, &c, err));
            must(dz_catalog_verify(c, false, NULL, NULL, &left, err));
            assert_int_equal(left, 0);
            DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
            struct dz_job_rec *jobs;
            size_t jobs_n;
            bool asked;
            must(dz_catalog_jobs(c, 10, a, &jobs, &jobs_n, err));
            for (size_t k = 0; k < jobs_n; k++) /* free again for the next child */
                must(dz_catalog_job_cancel(c, jobs[k].id, 1000, &asked, err));
            dz_catalog_close(&c);
            if (WIFEXITED(status) && WEXITSTATUS(status) == DONE)
                break;
            if (WIFEXITED(status))
                assert_int_equal(WEXITSTATUS(status), FAILED);
        }
}

/* What is kept of a collection fits together: the table has the columns of the declaration, and
 * records came both or not at all. Gives the number of rows. */
static size_t assert_collected(const char *folder)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = NULL;
    struct dz_catalog *c = NULL;
    struct dz_collection_rec *v;
    size_t n, rows = 0;
    uint64_t left;
    must(open_at(folder, &c, err));
    must(dz_catalog_verify(c, false, NULL, NULL, &left, err));
    assert_int_equal(left, 0);
    must(dz_catalog_collections(c, a, &v, &n, err));
    if (n == 1) {
        const struct dz_collection_ask all = {0};
        must(dz_collection_parse(v[0].source, v[0].declaration, &coll, err));
        must(dz_catalog_collection_rows(c, coll, &all, no_row, &rows, err));
        assert_true(rows == 0 || rows >= 2);
        assert_true(rows < 3 || dz_collection_field(coll, DZ_S("views")) != DZ_NPOS);
    }
    dz_catalog_close(&c);
    return rows;
}

/* How many of `op` it takes to open a new catalog. */
static unsigned to_open(const char *op)
{
    char fault[32], folder[64];
    for (unsigned n = 1;; n++) {
        make_folder(folder);
        snprintf(fault, sizeof(fault), "%s:%u", op, n);
        int status = run_child("open", folder, fault);
        drop_folder(folder);
        if (WEXITSTATUS(status) == DONE)
            return n - 1;
    }
}

/* One fault; false: the child came through. */
static bool collect_with(const char *fault)
{
    char folder[64];
    make_folder(folder);
    int status = run_child("collect", folder, fault);
    assert_true(was_killed(status) || WIFEXITED(status));
    bool done = WIFEXITED(status) && WEXITSTATUS(status) == DONE;
    if (WIFEXITED(status) && !done)
        assert_int_equal(WEXITSTATUS(status), FAILED);
    size_t rows = assert_collected(folder);
    assert_true(!done || rows == 3);
    /* The next one goes on from there. */
    assert_int_equal(WEXITSTATUS(wait_for(start_self("collect", folder, NULL, NULL))), DONE);
    assert_int_equal(assert_collected(folder), 3);
    drop_folder(folder);
    return !done;
}

static void a_collection_fails_and_dies_anywhere(void **state)
{
    static const struct {
        const char *op, *how;
        unsigned step;
    } faults[] = {
        {"query", "", 4}, {"query", ":kill", 7}, {"alloc", "", 1}, {"commit", ":kill", 1}};
    char fault[32];
    (void)state;
    for (size_t i = 0; i < DZ_LEN(faults); i++) {
        unsigned n = to_open(faults[i].op);
        do {
            n += faults[i].step;
            snprintf(fault, sizeof(fault), "%s:%u%s", faults[i].op, n, faults[i].how);
        } while (collect_with(fault));
    }
}

static void killed_while_a_catalog_is_made(void **state)
{
    char folder[64], fault[32];
    (void)state;
    for (unsigned n = 1;; n++) {
        make_folder(folder);
        snprintf(fault, sizeof(fault), "query:%u:kill", n);
        int status = run_child("open", folder, fault);
        struct dz_catalog *c = NULL;
        must(open_at(folder, &c, err));
        put_one(c, "s", "1", 1, 1, 1);
        dz_catalog_close(&c);
        drop_folder(folder);
        if (!was_killed(status)) {
            assert_int_equal(WEXITSTATUS(status), DONE);
            assert_true(n > 3);
            return;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return child(argv[1], argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_in_a_batch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_query_fails_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reading_fails_cleanly, set_up, tear_down),
        cmocka_unit_test_setup_teardown(work_fails_and_dies_anywhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed_in_a_batch, set_up_schema, tear_down_schema),
        cmocka_unit_test_setup_teardown(each_query_fails_once, set_up_schema, tear_down_schema),
        cmocka_unit_test_setup_teardown(work_fails_and_dies_anywhere, set_up_schema,
                                        tear_down_schema),
        cmocka_unit_test(a_collection_fails_and_dies_anywhere),
        cmocka_unit_test(killed_while_a_catalog_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
