/*
 * suite_catalog_several: several writers at once, the same cases against each driver.
 *
 * Processes are played by catalogs opened on one database, a thread each, where the driver's
 * database can be opened twice; else by threads on one catalog. Threads note what fails; the case
 * asserts when all have ended. Nothing waits for a time to pass.
 */
#include "catalog_fixture.h"

#include "catalog/sql_int.h"

#include <pthread.h>

enum { WRITERS = 4, ROUNDS = 25, SHARED_PAGES = 12, MARKS = 150 };

struct writer {
    const struct fixture *f;
    struct dz_catalog *c;
    size_t at; /* which of them */
    size_t failed, added;
    struct dz_err err; /* of the first failure */
};

static void note(struct writer *w, enum dz_code code, const struct dz_err *err)
{
    if (code != DZ_OK && w->failed++ == 0)
        w->err = *err;
}

struct team {
    struct writer w[WRITERS];
    pthread_t t[WRITERS];
};

static void start(struct fixture *f, struct team *team, void *(*body)(void *))
{
    for (size_t i = 0; i < WRITERS; i++)
        team->w[i] =
            (struct writer){.c = f->which->where == IN_MEMORY ? f->c : open_again(f), .at = i};
    for (size_t i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&team->t[i], NULL, body, &team->w[i]), 0);
}

static void join(struct fixture *f, struct team *team)
{
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(team->t[i], NULL);
    for (size_t i = 0; i < WRITERS; i++) {
        if (team->w[i].failed)
            fail_msg("writer %zu: %zu times, first: %s", i, team->w[i].failed, team->w[i].err.text);
        if (f->which->where != IN_MEMORY)
            dz_catalog_close(&team->w[i].c);
    }
}

/* ---- change numbers ----------------------------------------------------------------------------
 */

static enum dz_code add_series(struct dz_catalog *c, const char *name, const dz_str shelf,
                               struct dz_err *err)
{
    DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
    struct dz_series_rec s = series_of(name);
    int64_t id;
    DZ_TRY(dz_batch_begin(c, &b, err));
    DZ_TRY(dz_batch_series(b, &s, &id, err));
    DZ_TRY(dz_batch_shelf(b, shelf, id, err));
    return dz_batch_commit(&b, NULL, err);
}

static void *add_many_series(void *arg)
{
    struct writer *w = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct dz_err err = {0};
        char name[32], shelf[16];
        snprintf(name, sizeof(name), "%zu-%d", w->at, i);
        snprintf(shelf, sizeof(shelf), "%zu", w->at);
        note(w, add_series(w->c, name, dz_str_of(shelf), &err), &err);
        w->added++;
    }
    return NULL;
}

struct seen {
    bool is[WRITERS * ROUNDS + 1];
    size_t n;
};

/* Asks for what has changed since the last time, as those do who hold series in memory. */
static void look(struct fixture *f, uint64_t *seq, struct seen *to)
{
    int64_t *ids;
    size_t n;
    uint64_t was = *seq;
    dz_arena_reset(f->a);
    must(dz_catalog_changes(f->c, was, f->a, &ids, &n, seq, err));
    assert_true(*seq >= was);
    assert_true(n == 0 || *seq > was);
    for (size_t i = 0; i < n; i++) {
        assert_true(ids[i] > 0 && ids[i] < (int64_t)DZ_LEN(to->is));
        to->n += !to->is[ids[i]];
        to->is[ids[i]] = true;
    }
}

/* A number that showed late, behind a higher one, would never be asked for. */
static void changes_show_in_the_order_of_their_numbers(void **state)
{
    struct fixture *f = *state;
    struct team team;
    struct seen seen = {.n = 0};
    uint64_t seq = 0;
    start(f, &team, add_many_series);
    for (int i = 0; i < 40 * ROUNDS && seen.n < WRITERS * ROUNDS; i++)
        look(f, &seq, &seen);
    join(f, &team);
    look(f, &seq, &seen);
    assert_int_equal(seen.n, WRITERS * ROUNDS);
    assert_int_equal(seq, WRITERS * ROUNDS);
    sound(f);
}

/* ---- blobs -------------------------------------------------------------------------------------
 */

static enum dz_code put_shared(struct writer *w, int round, struct dz_err *err)
{
    DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
    struct dz_page_rec v[64];
    char name[32], key[16];
    int64_t id, chapter_id;
    bool changed;
    snprintf(name, sizeof(name), "w%zu", w->at);
    struct dz_series_rec s = series_of(name);
    snprintf(key, sizeof(key), "%d", round);
    /* Half of the writers from the other end. */
    pages_of(v, SHARED_PAGES, 100);
    for (size_t i = 0; w->at % 2 && i < SHARED_PAGES; i++)
        v[i].blob = blob_of(100 + SHARED_PAGES - 1 - i);
    struct dz_chapter_rec ch = chapter_of(key, round, v, SHARED_PAGES);
    DZ_TRY(dz_batch_begin(w->c, &b, err));
    DZ_TRY(dz_batch_series(b, &s, &id, err));
    DZ_TRY(dz_batch_chapter(b, id, &ch, &chapter_id, &changed, err));
    if (round % 5 == 4)
        DZ_TRY(dz_batch_chapter_del(b, chapter_id, err));
    return dz_batch_commit(&b, NULL, err);
}

static void *put_shared_blobs(void *arg)
{
    struct writer *w = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct dz_err err = {0};
        char id[32];
        bool is_new;
        note(w, put_shared(w, i, &err), &err);
        snprintf(id, sizeof(id), "u%zu-%d", w->at, i);
        const struct dz_upload_rec u = {.id = dz_str_of(id), .blob = blob_of(100)};
        note(w, dz_catalog_uploads_put(w->c, &u, 1, &is_new, &err), &err);
        const struct dz_part_rec p = {.at = (uint32_t)i, .blob = blob_of(101)};
        note(w, dz_catalog_part_put(w->c, DZ_S("x.com"), dz_str_of(id), &p, 1, &err), &err);
    }
    return NULL;
}

static void one_blob_is_counted_by_all(void **state)
{
    struct fixture *f = *state;
    struct team team;
    const int kept = ROUNDS - ROUNDS / 5;
    start(f, &team, put_shared_blobs);
    join(f, &team);
    assert_int_equal(refs_of(f, 100), WRITERS * (kept + ROUNDS));
    assert_int_equal(refs_of(f, 101), WRITERS * (kept + ROUNDS));
    for (uint64_t i = 2; i < SHARED_PAGES; i++)
        assert_int_equal(refs_of(f, 100 + i), WRITERS * kept);
    sound(f);
}

/* ---- jobs, marks -------------------------------------------------------------------------------
 */

/* The same jobs from all sides: each is new to one of them. */
static void *add_same_jobs(void *arg)
{
    struct writer *w = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct dz_err err = {0};
        char target[16];
        int64_t id;
        bool is_new = false;
        snprintf(target, sizeof(target), "%d", w->at % 2 ? i : ROUNDS - 1 - i);
        const struct dz_job_rec j = {.kind = DZ_S("crawl"),
                                     .source = DZ_S("x.com"),
                                     .target = dz_str_of(target),
                                     .priority = (int32_t)w->at,
                                     .run_after_ms = 100 - (int64_t)w->at};
        note(w, dz_catalog_job_add(w->c, &j, 10, &id, &is_new, &err), &err);
        w->added += is_new;
    }
    return NULL;
}

static void a_job_is_new_to_one(void **state)
{
    struct fixture *f = *state;
    struct team team;
    struct dz_job_rec *v;
    size_t n, sum = 0;
    start(f, &team, add_same_jobs);
    join(f, &team);
    for (size_t i = 0; i < WRITERS; i++)
        sum += team.w[i].added;
    assert_int_equal(sum, ROUNDS);
    must(dz_catalog_jobs(f->c, 10 * ROUNDS, f->a, &v, &n, err));
    assert_int_equal(n, ROUNDS);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(v[i].run_after_ms, 100 - (WRITERS - 1));
        assert_int_equal(v[i].priority, WRITERS - 1);
    }
}

/* Rows of many marks in opposite orders. */
static void *mark_crosswise(void *arg)
{
    struct writer *w = arg;
    static char names[MARKS][8];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct dz_mark_rec v[MARKS];
    for (size_t i = 0; i < MARKS; i++) {
        pthread_mutex_lock(&lock);
        snprintf(names[i], sizeof(names[i]), "c%zu", i);
        pthread_mutex_unlock(&lock);
        v[w->at % 2 ? i : MARKS - 1 - i] =
            (struct dz_mark_rec){DZ_S("x.com"), dz_str_of(names[i]), DZ_S("s"),
                                 w->at % 2 ? DZ_MARK_DOWNLOADED : DZ_MARK_IGNORED};
    }
    for (int i = 0; i < 3; i++) {
        struct dz_err err = {0};
        note(w, dz_catalog_marks_put(w->c, v, MARKS, &err), &err);
    }
    return NULL;
}

static void marks_crosswise_are_all_stored(void **state)
{
    struct fixture *f = *state;
    struct team team;
    struct dz_mark_rec *v;
    size_t n;
    start(f, &team, mark_crosswise);
    join(f, &team);
    must(dz_catalog_marks_of_series(f->c, DZ_S("x.com"), DZ_S("s"), f->a, &v, &n, err));
    assert_int_equal(n, MARKS);
    for (size_t i = 1; i < n; i++) /* whole sets: never some of one and some of another */
        assert_int_equal(v[i].mark, v[0].mark);
}

struct marker {
    struct dz_catalog *c;
    enum dz_code code;
    struct dz_err err;
};

static void *mark_two(void *arg)
{
    struct marker *m = arg;
    const struct dz_mark_rec v[] = {
        {DZ_S("x.com"), DZ_S("1"), DZ_S("s"), DZ_MARK_IGNORED},
        {DZ_S("x.com"), DZ_S("2"), DZ_S("s"), DZ_MARK_IGNORED},
    };
    m->code = dz_catalog_marks_put(m->c, v, 2, &m->err);
    return NULL;
}

static int64_t ask_one(struct dz_pg_conn *c, const char *text)
{
    DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
    must(dz_pg_run(c, &(struct dz_pg_statement){.text = text, .once = true}, NULL, 0, &rows, err));
    return dz_pg_n(rows) ? dz_pg_int(rows, 0, 0) : 0;
}

/* Another program locks what the call wants next, and then what it has: the database gives one of
 * them up. True when that was the call. */
static bool is_given_up_once(struct fixture *f)
{
    DZ_AUTO(dz_pg_close) struct dz_pg *pg = NULL;
    DZ_AUTO(dz_pg_give) struct dz_pg_conn *c = NULL, *look = NULL;
    struct marker m = {.c = f->c};
    pthread_t t;
    must(dz_pg_open(&(struct dz_pg_options){.uri = f->uri, .pool_max = 2}, &pg, err));
    must(dz_pg_take(pg, &c, err));
    must(dz_pg_take(pg, &look, err));
    const struct dz_pg_statement second = {.text =
                                               "UPDATE mark SET mark = 'D' WHERE chapter = '2'"},
                                 first = {.text = "UPDATE mark SET mark = 'D' WHERE chapter = '1'"};
    must(dz_pg_begin(c, NULL, err));
    must(dz_pg_run(c, &second, NULL, 0, NULL, err));
    assert_int_equal(pthread_create(&t, NULL, mark_two, &m), 0);
    while (!ask_one(look, "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON "
                          "a.pid = l.pid WHERE NOT l.granted AND a.query LIKE '%mark%'"))
        continue;
    enum dz_code code = dz_pg_run(c, &first, NULL, 0, NULL, NULL);
    if (code == DZ_OK)
        must(dz_pg_commit(c, err));
    else
        dz_pg_rollback(c);
    pthread_join(t, NULL);
    if (m.code != DZ_OK)
        fail_msg("marks: %s", m.err.text);
    return code == DZ_OK;
}

static void a_call_that_is_given_up_is_tried_again(void **state)
{
    struct fixture *f = *state;
    struct marker m = {.c = f->c};
    struct dz_mark_rec *v;
    size_t n;
    if (f->which->where != ON_SERVER)
        return; /* writers wait before they begin */
    mark_two(&m);
    assert_int_equal(m.code, DZ_OK);
    /* Which one is given up is the database's choice. */
    bool given_up = false;
    for (int i = 0; i < 10 && !given_up; i++)
        given_up = is_given_up_once(f);
    assert_true(given_up);
    must(dz_catalog_marks_of_series(f->c, DZ_S("x.com"), DZ_S("s"), f->a, &v, &n, err));
    assert_int_equal(n, 2);
    assert_true(v[0].mark == DZ_MARK_IGNORED && v[1].mark == DZ_MARK_IGNORED);
}

/* ---- collections -------------------------------------------------------------------------------
 */

static const char declared[] =
    "{\"name\": \"C\", \"key\": \"id\", \"unique\": [[\"n\"]], \"fields\": ["
    "{\"name\": \"id\", \"type\": \"ID\", \"not_null\": true},"
    "{\"name\": \"n\", \"type\": \"Int\", \"not_null\": true}]}";

static enum dz_code put_record(struct writer *w, const struct dz_collection *coll, int i,
                               struct dz_err *err)
{
    enum dz_put_result got;
    json_t *records = json_pack("[{s:s++, s:i}]", "id", "r", i % 2 ? "odd" : "even",
                                w->at % 2 ? "-a" : "-b", "n", i % 2);
    assert_non_null(records);
    enum dz_code code = dz_catalog_collection_put(w->c, coll, records, false, &got, NULL, err);
    json_decref(records);
    w->added += code == DZ_OK && got == DZ_PUT_NEW;
    return code;
}

static void *declare_and_put(void *arg)
{
    struct writer *w = arg;
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = NULL;
    struct dz_collection_ensured ensured;
    struct dz_err err = {0};
    enum dz_code code = dz_collection_parse(DZ_S("x.com"), DZ_S(declared), &coll, &err);
    if (code == DZ_OK)
        code = dz_catalog_collection_ensure(w->c, coll, &ensured, &err);
    for (int i = 0; i < ROUNDS && code == DZ_OK; i++)
        code = put_record(w, coll, i, &err);
    note(w, code, &err);
    return NULL;
}

/* One table, one row of each unique tuple; whoever comes later hears of a clash, not of an error.
 */
static void a_collection_is_made_once(void **state)
{
    struct fixture *f = *state;
    struct team team;
    size_t sum = 0;
    start(f, &team, declare_and_put);
    join(f, &team);
    for (size_t i = 0; i < WRITERS; i++)
        sum += team.w[i].added;
    assert_int_equal(sum, 2);
    sound(f);
}

/* ---- schema ------------------------------------------------------------------------------------
 */

static void *open_and_close(void *arg)
{
    struct writer *w = arg;
    struct dz_err err = {0};
    struct dz_catalog *c = NULL;
    note(w, dz_catalog_open(w->f->which->driver, w->f->folder, w->f->uri, &c, &err), &err);
    dz_catalog_close(&c);
    return NULL;
}

/* An empty database that all come upon at once gets its tables once. */
static void all_begin_at_once(void **state)
{
    struct fixture *f = *state;
    struct team team;
    if (f->which->where != ON_SERVER)
        return; /* for files: tests/unit/catalog/test_processes.c */
    dz_catalog_close(&f->c);
    on_server(f->schema, "DROP SCHEMA %s CASCADE; CREATE SCHEMA %s");
    for (size_t i = 0; i < WRITERS; i++) {
        team.w[i] = (struct writer){.f = f, .at = i};
        assert_int_equal(pthread_create(&team.t[i], NULL, open_and_close, &team.w[i]), 0);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        pthread_join(team.t[i], NULL);
        if (team.w[i].failed)
            fail_msg("%s", team.w[i].err.text);
    }
    f->c = open_again(f);
    put_one(f->c, "s", "1", 1, 2, 1);
    sound(f);
}

/* Steps to come, on a database that has rows. */
static void steps_are_applied_in_order(void **state)
{
    struct fixture *f = *state;
    enum { LATER = DZ_SQL_SCHEMA + 2 };
    const char *list[LATER] = {NULL};
    struct dz_catalog *other = NULL;
    if (f->which->where != ON_SERVER)
        return; /* for files: tests/unit/catalog/test_migrations.c */
    memcpy(list, dz_postgres_migrations, sizeof(dz_postgres_migrations));
    list[DZ_SQL_SCHEMA] = "ALTER TABLE series ADD COLUMN note TEXT NOT NULL DEFAULT 'none'";
    list[LATER - 1] = "CREATE TABLE later (id BIGINT); SELECT nobody FROM series";
    put_one(f->c, "s", "1", 1, 2, 1);

    /* The second goes wrong: the first stays, and of the second nothing. */
    const char *text = refused(dz_sql_migrate(f->c->self, list, LATER, err), DZ_INTERNAL);
    assert_non_null(strstr(text, "migration 9"));
    text = refused(dz_catalog_open("postgres", f->folder, f->uri, &other, err), DZ_UNSUPPORTED);
    assert_non_null(strstr(text, "newer dozo (schema 8, this one knows 7)"));
    list[LATER - 1] = "CREATE TABLE later (id BIGINT)";
    must(dz_sql_migrate(f->c->self, list, LATER, err));
    must(dz_sql_migrate(f->c->self, list, LATER, err)); /* nothing left to do */
    sound(f);

    /* A table of that name which somebody else made. */
    dz_catalog_close(&f->c);
    on_server(f->schema, "DROP SCHEMA %s CASCADE; CREATE SCHEMA %s; "
                         "CREATE TABLE %s.schema_version (number BIGINT)");
    refused(dz_catalog_open("postgres", f->folder, f->uri, &other, err), DZ_BAD_INPUT);
}

/* ---- waiting -----------------------------------------------------------------------------------
 */

static void whoever_waits_is_woken(void **state)
{
    struct fixture *f = *state;
    bool changed = true;
    if (!dz_catalog_can_wait(f->c)) {
        must(dz_catalog_wait(f->c, INT64_MAX, &changed, err));
        assert_false(changed);
        return;
    }
    struct dz_catalog *other = open_again(f);
    /* The first look counts as heard: nobody knows what came before. */
    must(dz_catalog_wait(f->c, 60000, &changed, err));
    for (int i = 0; i < 100 && changed; i++)
        must(dz_catalog_wait(f->c, 0, &changed, err));
    assert_false(changed);

    put_one(other, "s", "1", 1, 1, 1);
    must(dz_catalog_wait(f->c, 60000, &changed, err));
    assert_true(changed);

    const struct dz_job_rec j = {.kind = DZ_S("crawl"), .source = DZ_S("x.com")};
    int64_t id;
    bool is_new;
    must(dz_catalog_job_add(other, &j, 10, &id, &is_new, err));
    must(dz_catalog_wait(f->c, 60000, &changed, err));
    assert_true(changed);

    /* A batch that ends without a commit wakes nobody. */
    struct dz_batch *b = NULL;
    struct dz_series_rec s = series_of("t");
    must(dz_batch_begin(other, &b, err));
    must(dz_batch_series(b, &s, &id, err));
    dz_batch_rollback(&b);
    must(dz_catalog_wait(f->c, 0, &changed, err));
    assert_false(changed);
    dz_catalog_close(&other);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        CASE(changes_show_in_the_order_of_their_numbers),
        CASE(one_blob_is_counted_by_all),
        CASE(a_job_is_new_to_one),
        CASE(marks_crosswise_are_all_stored),
        CASE(a_call_that_is_given_up_is_tried_again),
        CASE(a_collection_is_made_once),
        CASE(all_begin_at_once),
        CASE(steps_are_applied_in_order),
        CASE(whoever_waits_is_woken),
    };
    return run_cases(cases, DZ_LEN(cases));
}
