/*
 * test_processes: several processes on one catalog: opening, writing and watching at once.
 *
 * The test runs itself again as a child; parent and child share nothing but the folder.
 */
#include "catalog/sqlite_int.h"
#include "catalog/test_collections.h"

enum { ROUNDS = 25, SET = 4 };

static int set_up(void **state)
{
    static char folder[64];
    make_folder(folder);
    *state = folder;
    return 0;
}

static int tear_down(void **state)
{
    drop_folder(*state);
    return 0;
}

/* One batch a chapter; all writers use the same three blobs. */
static void write_chapters(const char *folder, const char *series)
{
    struct dz_catalog *c = NULL;
    must(dz_catalog_open("sqlite", folder, "", &c, err));
    for (unsigned i = 1; i <= ROUNDS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%u", i);
        put_one(c, series, key, i, 3, 1);
    }
    dz_catalog_close(&c);
}

/* Sets of downloads and the marks that go with them; all writers mark the same chapters. */
static void queue_downloads(const char *folder, const char *name)
{
    struct dz_catalog *c = NULL;
    must(dz_catalog_open("sqlite", folder, "", &c, err));
    for (unsigned i = 0; i < ROUNDS; i++) {
        char targets[SET][48];
        struct dz_job_rec v[SET];
        struct dz_mark_rec marks[SET];
        int64_t ids[SET];
        bool is_new;
        for (unsigned k = 0; k < SET; k++) {
            snprintf(targets[k], sizeof(targets[k]), "%s-%u-%u", name, i, k);
            v[k] = (struct dz_job_rec){
                .kind = DZ_S("download"), .source = DZ_S("x"), .target = dz_str_of(targets[k])};
            marks[k] = (struct dz_mark_rec){DZ_S("x"), dz_str_of(strchr(targets[k], '-')),
                                            DZ_S("s"), DZ_MARK_DOWNLOADED};
        }
        must(dz_catalog_jobs_add(c, v, SET, 1, ids, err));
        for (unsigned k = 1; k < SET; k++) /* nobody's job comes between */
            assert_int_equal(ids[k], ids[0] + k);
        must(dz_catalog_marks_put(c, marks, SET, err));
        must(dz_catalog_favourite_put(c, DZ_S("x"), DZ_S("s"), 1, &is_new, err));
    }
    dz_catalog_close(&c);
}

/* Two children and this process do the same at once. */
static void three_at_once(const char *folder, const char *mode,
                          void (*work)(const char *folder, const char *name))
{
    pid_t first = start_self(mode, folder, NULL, NULL);
    pid_t second = start_self(mode, folder, NULL, NULL);
    work(folder, "parent");
    assert_int_equal(wait_for(first), 0);
    assert_int_equal(wait_for(second), 0);
}

static void three_queue_downloads(void **state)
{
    three_at_once(*state, "queue", queue_downloads);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(4 * DZ_MIB);
    struct dz_catalog *c = NULL;
    struct dz_job_rec *jobs;
    struct dz_mark_rec *marks;
    struct dz_favourite_rec *favourites;
    size_t n;
    must(dz_catalog_open("sqlite", *state, "", &c, err));
    must(dz_catalog_jobs_of(c, DZ_S("download"), 0, a, &jobs, &n, err));
    assert_int_equal(n, 3 * ROUNDS * SET);
    must(dz_catalog_marks_of_series(c, DZ_S("x"), DZ_S("s"), a, &marks, &n, err));
    assert_int_equal(n, ROUNDS * SET);
    must(dz_catalog_favourites(c, DZ_S(""), a, &favourites, &n, err));
    assert_int_equal(n, 1);
    dz_catalog_close(&c);
}

static enum dz_code count_row(void *arg, size_t at, const struct dz_collection_value *v,
                              struct dz_err *err)
{
    (void)v;
    (void)err;
    *(size_t *)arg = at + 1;
    return DZ_OK;
}

/* All declare the same; of two records in each call one is the same for all. */
static void collect(const char *folder, const char *name)
{
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = declared(PERFVOD);
    struct dz_catalog *c = NULL;
    struct dz_collection_ensured e;
    must(dz_catalog_open("sqlite", folder, "", &c, err));
    must(dz_catalog_collection_ensure(c, coll, &e, err));
    for (unsigned i = 0; i < ROUNDS; i++) {
        char own[48], shared[16];
        snprintf(own, sizeof(own), "%s-%u", name, i);
        snprintf(shared, sizeof(shared), "%u", i);
        json_t *list = list_of(vod(own, 1, 1000 + 100 * (int)(getpid() % 100000) + i, 1));
        json_array_append_new(list, vod(shared, 1, i, 1));
        enum dz_put_result r[2];
        must(dz_catalog_collection_put(c, coll, list, false, r, NULL, err));
        assert_int_equal(r[0], DZ_PUT_NEW);
        assert_true(r[1] == DZ_PUT_NEW || r[1] == DZ_PUT_SAME);
        json_decref(list);
    }
    dz_catalog_close(&c);
}

static void three_collect(void **state)
{
    three_at_once(*state, "collect", collect);
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = declared(PERFVOD);
    const struct dz_collection_ask all = {0};
    struct dz_catalog *c = NULL;
    size_t n = 0;
    must(dz_catalog_open("sqlite", *state, "", &c, err));
    must(dz_catalog_collection_rows(c, coll, &all, count_row, &n, err));
    assert_int_equal(n, 4 * ROUNDS);
    dz_catalog_close(&c);
}

static enum dz_code check_refs(void *arg, const struct dz_blob_rec *b, uint64_t refs,
                               struct dz_err *err)
{
    (void)b;
    (void)err;
    assert_int_equal(refs, 3 * ROUNDS);
    ++*(unsigned *)arg;
    return DZ_OK;
}

static void three_make_and_write_one_catalog(void **state)
{
    three_at_once(*state, "write", write_chapters);
    struct dz_catalog *c = NULL;
    struct dz_catalog_counts k;
    uint64_t left;
    unsigned blobs = 0;
    must(dz_catalog_open("sqlite", *state, "", &c, err));
    must(dz_catalog_counts(c, &k, err));
    assert_int_equal(k.series, 3);
    assert_int_equal(k.chapters, 3 * ROUNDS);
    assert_int_equal(k.pages, 9 * ROUNDS);
    assert_int_equal(k.blobs, 3);
    must(dz_catalog_blobs(c, check_refs, &blobs, err));
    assert_int_equal(blobs, 3);
    must(dz_catalog_verify(c, false, NULL, NULL, &left, err));
    assert_int_equal(left, 0);
    dz_catalog_close(&c);
}

static void a_change_elsewhere_is_seen(void **state)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_catalog *c = NULL;
    int64_t *ids, mine;
    size_t n;
    uint64_t seq, later;
    must(dz_catalog_open("sqlite", *state, "", &c, err));
    mine = put_one(c, "mine", "1", 1, 1, 1);
    must(dz_catalog_changes(c, 0, a, &ids, &n, &seq, err));
    assert_int_equal(n, 1);
    assert_int_equal(ids[0], mine);
    for (unsigned i = 0; i < 3; i++) {
        must(dz_catalog_changes(c, seq, a, &ids, &n, &later, err));
        assert_int_equal(n, 0);
        assert_int_equal(later, seq);
    }
    assert_int_equal(wait_for(start_self("write", *state, NULL, NULL)), 0);
    must(dz_catalog_changes(c, seq, a, &ids, &n, &later, err));
    assert_int_equal(n, 1);
    assert_int_not_equal(ids[0], mine);
    assert_int_equal(later, seq + ROUNDS);
    must(dz_catalog_changes(c, later, a, &ids, &n, &seq, err));
    assert_int_equal(n, 0);
    dz_catalog_close(&c);
}

/* Polls all the while: each change of the other process is told, and numbers only grow. */
static void polling_while_another_writes(void **state)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_catalog *c = NULL;
    int64_t *ids;
    size_t n, told = 0;
    uint64_t seq = 0, later;
    int status;
    must(dz_catalog_open("sqlite", *state, "", &c, err));
    pid_t pid = start_self("write", *state, NULL, NULL);
    bool alive = true;
    while (alive) {
        alive = waitpid(pid, &status, WNOHANG) == 0;
        must(dz_catalog_changes(c, seq, a, &ids, &n, &later, err));
        assert_true(later >= seq);
        assert_true((n > 0) == (later > seq));
        told += n;
        seq = later;
        dz_arena_reset(a);
    }
    assert_int_equal(status, 0);
    assert_int_equal(seq, ROUNDS);
    assert_true(told >= 1 && told <= ROUNDS);
    dz_catalog_close(&c);
}

static void a_writer_that_waits_too_long_is_told_why(void **state)
{
    struct dz_catalog *holder = NULL, *waiter = NULL;
    struct dz_batch *b = NULL, *none = NULL;
    must(dz_catalog_open("sqlite", *state, "", &holder, err));
    must(dz_catalog_open("sqlite", *state, "", &waiter, err));
    sqlite3_busy_timeout(((struct dz_sqlite *)waiter->self)->write.db, 20);
    must(dz_batch_begin(holder, &b, err));
    const char *text = refused(dz_batch_begin(waiter, &none, err), DZ_UNAVAILABLE);
    assert_non_null(strstr(text, "another dozo process is writing"));
    assert_null(none);
    dz_batch_rollback(&b);
    must(dz_batch_begin(waiter, &none, err));
    dz_batch_rollback(&none);
    dz_catalog_close(&holder);
    dz_catalog_close(&waiter);
}

static void *begin_too(void *arg)
{
    struct dz_batch *b = NULL;
    struct dz_err err = {0};
    enum dz_code code = dz_batch_begin(arg, &b, &err);
    return code == DZ_UNAVAILABLE && strstr(err.text, "another thread") ? NULL : arg;
}

static void threads_take_turns(void **state)
{
    struct dz_catalog *c = NULL;
    struct dz_batch *b = NULL;
    pthread_t t;
    void *wrong;
    must(dz_catalog_open("sqlite", *state, "", &c, err));
    ((struct dz_sqlite *)c->self)->write_wait_ms = 20;
    must(dz_batch_begin(c, &b, err));
    assert_int_equal(pthread_create(&t, NULL, begin_too, c), 0);
    pthread_join(t, &wrong);
    assert_null(wrong);
    dz_batch_rollback(&b);
    dz_catalog_close(&c);
}

/* The file is moved away under a catalog that is in use: nobody may make another one or lose what
 * the journal holds. */
static void a_catalog_that_is_moved_away_comes_back_whole(void **state)
{
    char db[128], kept[128];
    snprintf(db, sizeof(db), "%s/dozo.db", (char *)*state);
    snprintf(kept, sizeof(kept), "%s/kept", (char *)*state);
    struct dz_catalog *c = NULL, *other = NULL;
    struct dz_batch *b = NULL;
    struct dz_catalog_counts k;
    must(dz_catalog_open("sqlite", *state, "", &c, err));
    put_one(c, "series", "1", 1, 3, 1);

    assert_int_equal(rename(db, kept), 0);
    const char *words = refused(dz_catalog_open("sqlite", *state, "", &other, err), DZ_UNAVAILABLE);
    assert_non_null(strstr(words, "journal"));
    assert_int_not_equal(access(db, F_OK), 0);
    (void)refused(dz_batch_begin(c, &b, err), DZ_UNAVAILABLE);

    /* A copy stands there for a while, and somebody uses it. */
    DZ_AUTO(dz_buf_done) struct dz_buf bytes;
    dz_buf_init(&bytes, 16 * DZ_MIB);
    must(dz_file_read(kept, &bytes, err));
    must(dz_file_write_atomic(db, dz_buf_str(&bytes), 0600, err));
    (void)refused(dz_batch_begin(c, &b, err), DZ_UNAVAILABLE);
    must(dz_catalog_open("sqlite", *state, "", &other, err));

    assert_int_equal(rename(kept, db), 0);
    (void)refused(dz_batch_begin(other, &b, err), DZ_UNAVAILABLE);
    dz_catalog_close(&other); /* would take the journal along */
    put_one(c, "series", "2", 2, 3, 1);
    dz_catalog_close(&c);
    must(dz_catalog_open("sqlite", *state, "", &c, err));
    must(dz_catalog_counts(c, &k, err));
    assert_int_equal(k.chapters, 2);
    dz_catalog_close(&c);
}

int main(int argc, char **argv)
{
    if (argc == 3) {
        char name[32];
        snprintf(name, sizeof(name), "child%ld", (long)getpid());
        if (strcmp(argv[1], "queue") == 0)
            queue_downloads(argv[2], name);
        else if (strcmp(argv[1], "collect") == 0)
            collect(argv[2], name);
        else
            write_chapters(argv[2], name);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(three_make_and_write_one_catalog, set_up, tear_down),
        cmocka_unit_test_setup_teardown(three_queue_downloads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(three_collect, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_change_elsewhere_is_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(polling_while_another_writes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_writer_that_waits_too_long_is_told_why, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(threads_take_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_catalog_that_is_moved_away_comes_back_whole, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
