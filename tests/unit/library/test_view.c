/*
 * test_view: the view, its shelves and hosts, and the keeper that renews it.
 */
#include <pthread.h>
#include <sched.h>
#include <sqlite3.h>
#include <time.h>

#include "lab.h"

/* ---- making series --------------------------------------------------------------------------- */

static int64_t put_series(struct lab *l, const char *source, const char *source_id,
                          const char *title, const char *key)
{
    struct dz_catalog *c = dz_library_catalog(l->lib);
    struct dz_batch *b = NULL;
    struct dz_series_rec s = {
        .source = dz_str_of(source), .source_id = dz_str_of(source_id), .title = dz_str_of(title)};
    struct dz_chapter_rec ch = {.source_id = dz_str_of(key), .key = dz_str_of(key), .sort = 1};
    int64_t id = 0, chapter_id = 0;
    bool changed;
    must(dz_batch_begin(c, &b, err));
    must(dz_batch_series(b, &s, &id, err));
    if (key)
        must(dz_batch_chapter(b, id, &ch, &chapter_id, &changed, err));
    must(dz_batch_commit(&b, NULL, err));
    return id;
}

static void put_shelf(struct lab *l, const char *name, int64_t id)
{
    struct dz_batch *b = NULL;
    must(dz_batch_begin(dz_library_catalog(l->lib), &b, err));
    must(dz_batch_shelf(b, dz_str_of(name), id, err));
    must(dz_batch_commit(&b, NULL, err));
}

/* ---- hosts ----------------------------------------------------------------------------------- */

struct host_case {
    const char *host;
    enum dz_host_kind kind;
    const char *shelf;
};

static void check_hosts(struct lab *l, const struct host_case *cases, size_t n)
{
    struct dz_view *v = dz_library_view(l->lib);
    for (size_t i = 0; i < n; i++) {
        struct dz_view_host h = dz_view_host_of(v, dz_str_of(cases[i].host));
        const char *shelf = h.shelf ? h.shelf->name : "";
        if (h.kind != cases[i].kind || strcmp(shelf, cases[i].shelf) != 0)
            fail_msg("%s: kind %d of %s", cases[i].host, h.kind, shelf);
    }
    dz_view_unref(&v);
}

static void test_one_shelf(void **state)
{
    (void)state;
    static const struct host_case cases[] = {
        {"api.komi.zip", DZ_HOST_API, "komi"},
        {"api.komi.zip:8491", DZ_HOST_API, "komi"},
        {"api.evil.example", DZ_HOST_API, "komi"},
        {"api.evil.example:1", DZ_HOST_API, "komi"},
        {"cdn.x", DZ_HOST_CDN, "komi"},
        {"i.x", DZ_HOST_IMAGE, "komi"},
        {"api", DZ_HOST_API, "komi"},
        {"pics.example", DZ_HOST_CDN, "komi"},
        {"pics.example:80", DZ_HOST_CDN, "komi"},
        {"Pics.example", DZ_HOST_NONE, ""},
        {"API.komi.zip", DZ_HOST_NONE, ""},
        {"api:8491", DZ_HOST_NONE, ""},
        {"apix.komi.zip", DZ_HOST_NONE, ""},
        {"www.komi.zip", DZ_HOST_NONE, ""},
        {"", DZ_HOST_NONE, ""},
        {"[::1]:8080", DZ_HOST_NONE, ""},
        {".", DZ_HOST_NONE, ""},
    };
    struct lab l;
    lab_init(&l, "shelves:\n  - name: komi\n    api_hosts: [api.komi.zip]\n"
                 "    cdn_hosts: [pics.example]\n");
    check_hosts(&l, cases, DZ_LEN(cases));
    lab_done(&l);
}

static void test_two_shelves(void **state)
{
    (void)state;
    static const struct host_case cases[] = {
        {"api.komi.zip", DZ_HOST_API, "komi"},
        {"api.other.zip", DZ_HOST_API, "other"},
        {"api.evil.example", DZ_HOST_NONE, ""},
        {"api", DZ_HOST_NONE, ""},
    };
    struct lab l;
    lab_init(&l, "shelves:\n  - name: komi\n    api_hosts: [api.komi.zip]\n"
                 "  - name: other\n    api_hosts: [api.other.zip]\n");
    check_hosts(&l, cases, DZ_LEN(cases));
    lab_done(&l);
}

/* A second shelf that only an import made counts as well. */
static void test_imported_shelf_counts(void **state)
{
    (void)state;
    static const struct host_case alone[] = {{"api.x", DZ_HOST_API, "imp"}};
    static const struct host_case both[] = {{"api.x", DZ_HOST_NONE, ""}};
    struct lab l;
    lab_init(&l, NULL);
    put_shelf(&l, "imp", put_series(&l, "local", "a", "A", "1"));
    check_hosts(&l, alone, 1);
    put_shelf(&l, "second", put_series(&l, "local", "b", "B", "1"));
    lab_reopen(&l);
    check_hosts(&l, both, 1);
    lab_done(&l);
}

/* ---- shelves and sharing --------------------------------------------------------------------- */

static void test_shelves(void **state)
{
    (void)state;
    struct lab l;
    lab_init(&l,
             "shelves:\n"
             "  - name: one\n    series: viz.com/k/x\n    links: {read: 'https://a/{chapter}'}\n"
             "  - name: two\n    series: viz.com/k/x\n    links: {read: 'https://b/{chapter}'}\n"
             "  - name: three\n    series: viz.com/k/x\n    links: {read: 'https://a/{chapter}'}\n"
             "  - name: number\n    series: '2'\n"
             "  - name: row\n"
             "  - name: nothing\n    series: no/where\n");
    int64_t a = put_series(&l, "viz.com", "k/x", "Series 10", "1");
    int64_t b = put_series(&l, "local", "b", "Series 9", "1");
    int64_t c = put_series(&l, "local", "c", "series 8", "1");
    assert_int_equal(b, 2);
    put_shelf(&l, "row", c);
    put_shelf(&l, "imported", b);
    put_shelf(&l, "one", c); /* the settings win */
    struct dz_view *v = dz_library_view(l.lib);
    assert_int_equal(v->shelves_n, 7);
    assert_string_equal(v->shelves[6].name, "imported");
    assert_int_equal(v->series_n, 3);
    assert_int_equal(v->series[0]->series.id, c);
    assert_int_equal(v->series[2]->series.id, a);
    const struct dz_snapshot *one = dz_view_shelf_of(v, DZ_S("one"))->snap;
    const struct dz_snapshot *two = dz_view_shelf_of(v, DZ_S("two"))->snap;
    assert_ptr_equal(one, dz_view_shelf_of(v, DZ_S("three"))->snap);
    assert_ptr_not_equal(one, two);
    assert_int_equal(one->series.id, a);
    assert_int_equal(two->series.id, a);
    assert_ptr_equal(dz_view_series(v, a), one);
    assert_true(dz_str_find(dz_snapshot_chapter(one, DZ_S("1"))->x_metadata, DZ_S("https://a/1")) !=
                DZ_NPOS);
    assert_true(dz_str_find(dz_snapshot_chapter(two, DZ_S("1"))->x_metadata, DZ_S("https://b/1")) !=
                DZ_NPOS);
    assert_int_equal(dz_view_shelf_of(v, DZ_S("number"))->snap->series.id, b);
    assert_int_equal(dz_view_shelf_of(v, DZ_S("row"))->snap->series.id, c);
    assert_int_equal(dz_view_shelf_of(v, DZ_S("imported"))->snap->series.id, b);
    assert_null(dz_view_shelf_of(v, DZ_S("nothing"))->snap);
    assert_null(dz_view_shelf_of(v, DZ_S("none")));
    assert_null(dz_view_series(v, 99));
    dz_view_unref(&v);
    lab_done(&l);
}

/* ---- the keeper ------------------------------------------------------------------------------ */

struct seen {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct dz_view *view; /* the newest, ours */
    unsigned count;
};

static void on_view(void *arg, struct dz_view *take_view)
{
    struct seen *s = arg;
    pthread_mutex_lock(&s->lock);
    dz_view_unref(&s->view);
    s->view = take_view;
    s->count++;
    pthread_cond_broadcast(&s->cond);
    pthread_mutex_unlock(&s->lock);
}

/* The first view from now on that shows so many series. */
static struct dz_view *wait_series(struct seen *s, size_t n)
{
    pthread_mutex_lock(&s->lock);
    while (!s->view || s->view->series_n != n)
        pthread_cond_wait(&s->cond, &s->lock);
    struct dz_view *v = dz_view_ref(s->view);
    pthread_mutex_unlock(&s->lock);
    return v;
}

static void start(struct lab *l, struct seen *s)
{
    *s = (struct seen){.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    struct dz_library_options o = {.conf = l->conf, .publish = on_view, .arg = s};
    must(dz_library_start(l->lib, &o, err));
}

/* A change made through another handle, as another process would; with and without a poke. */
static void test_keeper(void **state)
{
    (void)state;
    struct lab l;
    struct seen s;
    struct dz_library *other = NULL, *mine;
    lab_init(&l, NULL);
    int64_t a = put_series(&l, "local", "a", "A", "1");
    start(&l, &s);
    struct dz_view *first = dz_library_view(l.lib);
    assert_int_equal(first->series_n, 1);
    must(dz_library_open(l.conf, &other, err));
    mine = l.lib;
    l.lib = other;
    int64_t b = put_series(&l, "local", "b", "B", "1");
    l.lib = mine;
    dz_library_poke(l.lib);
    struct dz_view *second = wait_series(&s, 2);
    assert_ptr_equal(dz_view_series(second, a), dz_view_series(first, a)); /* shared */
    assert_non_null(dz_view_series(second, b));
    assert_null(dz_view_series(first, b));
    assert_true(second->serial > first->serial);

    l.lib = other;
    (void)put_series(&l, "local", "c", "C", "1");
    l.lib = mine;
    struct dz_view *third = wait_series(&s, 3); /* found by polling */
    char text[256];
    assert_true(dz_library_healthy(l.lib, text));
    assert_string_equal(text, "");
    dz_view_unref(&first);
    dz_view_unref(&second);
    dz_view_unref(&third);
    dz_library_close(&other);
    lab_done(&l);
    dz_view_unref(&s.view);
}

/* New settings lay the shelves anew over the same snapshots. */
static void test_set_conf(void **state)
{
    (void)state;
    struct lab l;
    struct seen s;
    struct dz_conf *conf = NULL;
    struct dz_buf yaml DZ_AUTO(dz_buf_done);
    lab_init(&l, NULL);
    int64_t a = put_series(&l, "local", "a", "A", "1");
    int64_t b = put_series(&l, "local", "b", "B", "1");
    start(&l, &s);
    struct dz_view *first = dz_library_view(l.lib);
    dz_buf_init(&yaml, DZ_MIB);
    dz_buf_putf(&yaml, "data_dir: %s/data\nshelves: [{name: x, series: local/b}]\n", l.dir);
    must(dz_conf_parse(dz_buf_str(&yaml), "t", NULL, &conf, NULL, err));
    dz_library_set_conf(l.lib, conf);
    pthread_mutex_lock(&s.lock);
    while (!s.view || s.view->shelves_n != 1)
        pthread_cond_wait(&s.cond, &s.lock);
    struct dz_view *second = dz_view_ref(s.view);
    pthread_mutex_unlock(&s.lock);
    assert_ptr_equal(dz_view_series(second, a), dz_view_series(first, a));
    assert_ptr_not_equal(dz_view_series(second, b), dz_view_series(first, b));
    assert_ptr_equal(dz_view_series(second, b), second->shelves[0].snap);
    dz_view_unref(&first);
    dz_view_unref(&second);
    dz_conf_unref(&conf);
    lab_done(&l);
    dz_view_unref(&s.view);
}

/* The chapters 1 … n of one series, with this title. */
static int64_t put_chapters(struct lab *l, unsigned n, const char *title)
{
    struct dz_batch *b = NULL;
    struct dz_series_rec s = {.source = DZ_S("local"), .source_id = DZ_S("a"), .title = DZ_S("A")};
    int64_t id = 0, chapter_id = 0;
    bool changed;
    must(dz_batch_begin(dz_library_catalog(l->lib), &b, err));
    must(dz_batch_series(b, &s, &id, err));
    for (unsigned i = 1; i <= n; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%u", i);
        struct dz_chapter_rec c = {.source_id = dz_str_of(key), .key = dz_str_of(key), .sort = i};
        c.title = dz_str_of(i == 1 ? title : "a title that does not change");
        must(dz_batch_chapter(b, id, &c, &chapter_id, &changed, err));
    }
    must(dz_batch_commit(&b, NULL, err));
    return id;
}

static bool says(dz_str text, const char *what)
{
    return dz_str_find(text, dz_str_of(what)) != DZ_NPOS;
}

static struct dz_view *wait_title(struct seen *s, const char *title)
{
    pthread_mutex_lock(&s->lock);
    while (!s->view || s->view->shelves_n == 0 || !s->view->shelves[0].snap ||
           !dz_str_eq(dz_snapshot_chapter(s->view->shelves[0].snap, DZ_S("1"))->title,
                      dz_str_of(title)))
        pthread_cond_wait(&s->cond, &s->lock);
    struct dz_view *v = dz_view_ref(s->view);
    pthread_mutex_unlock(&s->lock);
    return v;
}

/* What is taken over from the view before has the links of its own shelf. */
static void test_change_under_two_links(void **state)
{
    (void)state;
    struct lab l;
    struct seen s;
    lab_init(&l, "shelves:\n"
                 "  - name: one\n    series: local/a\n    links: {read: 'https://a/{chapter}'}\n"
                 "  - name: two\n    series: local/a\n    links: {read: 'https://b/{chapter}'}\n");
    (void)put_chapters(&l, 3, "before");
    start(&l, &s);
    struct dz_view *first = dz_library_view(l.lib);
    (void)put_chapters(&l, 3, "after");
    dz_library_poke(l.lib);
    struct dz_view *v = wait_title(&s, "after");
    for (size_t i = 0; i < 2; i++) {
        const char *own = i == 0 ? "https://a/" : "https://b/";
        const char *foreign = i == 0 ? "https://b/" : "https://a/";
        const struct dz_snapshot *old = first->shelves[i].snap, *snap = v->shelves[i].snap;
        const struct dz_body *list = dz_snap_list_body(snap->list, DZ_SNAP_IDENTITY);
        assert_ptr_equal(snap->chapters[0].block, old->chapters[0].block);
        assert_ptr_not_equal(snap->chapters[2].block, old->chapters[2].block);
        assert_true(says(snap->chapters[0].x_metadata, own));
        assert_true(says(snap->chapters[2].x_metadata, own));
        assert_false(says((dz_str){list->p, list->n}, foreign));
        assert_true(says((dz_str){list->p, list->n}, "\"after\""));
    }
    dz_view_unref(&first);
    dz_view_unref(&v);
    lab_done(&l);
    dz_view_unref(&s.view);
}

/* A long list is published plain and encoded later; a newer one takes its turn, and the library
 * can be closed at any moment. */
static void test_lists_are_encoded_later(void **state)
{
    (void)state;
    struct lab l;
    struct seen s;
    lab_init(&l, "shelves:\n  - name: one\n    series: local/a\n");
    (void)put_chapters(&l, 3000, "before");
    start(&l, &s);
    for (unsigned i = 0; i < 5; i++) {
        char title[16];
        (void)snprintf(title, sizeof(title), "change %u", i);
        (void)put_chapters(&l, 3000, title);
        dz_library_poke(l.lib);
        struct dz_view *v = wait_title(&s, title);
        struct dz_snap_list *list = v->shelves[0].snap->list;
        assert_true(dz_snap_list_body(list, DZ_SNAP_IDENTITY)->n > DZ_SNAP_ENCODE_LATE);
        while (i % 2 == 1 && !dz_snap_list_is_encoded(list))
            sched_yield();
        for (enum dz_snap_encoding e = 0; i % 2 == 1 && e < DZ_SNAP_ENCODINGS; e++)
            assert_non_null(dz_snap_list_body(list, e));
        dz_view_unref(&v);
    }
    lab_done(&l); /* the last list is at most begun */
    dz_view_unref(&s.view);
}

/* Readers take and drop views while they are replaced. */
struct reader {
    struct dz_library *lib;
    atomic_bool *stop;
    uint64_t last;
};

static void *read_views(void *arg)
{
    struct reader *r = arg;
    while (!atomic_load(r->stop)) {
        struct dz_view *v = dz_library_view(r->lib);
        dz_assert(v->serial >= r->last);
        r->last = v->serial;
        for (size_t i = 0; i < v->series_n; i++)
            dz_assert(dz_view_series(v, v->series[i]->series.id) == v->series[i]);
        dz_view_unref(&v);
    }
    return NULL;
}

static void test_readers(void **state)
{
    (void)state;
    enum { READERS = 3, CHANGES = 20 };
    struct lab l;
    struct seen s;
    atomic_bool stop = false;
    struct reader readers[READERS];
    pthread_t threads[READERS];
    lab_init(&l, NULL);
    start(&l, &s);
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){l.lib, &stop, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, read_views, &readers[i]), 0);
    }
    for (unsigned i = 0; i < CHANGES; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "s%u", i);
        (void)put_series(&l, "local", id, id, "1");
        dz_library_poke(l.lib);
        struct dz_view *v = wait_series(&s, i + 1);
        dz_view_unref(&v);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    lab_done(&l);
    dz_view_unref(&s.view);
}

static void sql(struct lab *l, const char *text)
{
    sqlite3 *db = NULL;
    char *words = NULL;
    assert_int_equal(sqlite3_open(lab_path(l, "data/dozo.db"), &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    if (sqlite3_exec(db, text, NULL, NULL, &words) != SQLITE_OK)
        fail_msg("%s: %s", text, words);
    sqlite3_close(db);
}

static void wait_healthy(struct lab *l, bool want)
{
    char text[256];
    while (dz_library_healthy(l->lib, text) != want) {
        assert_int_equal(text[0] == '\0', !want);
        dz_library_poke(l->lib);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
}

/* A catalog that cannot be read leaves the view as it is, says so, and comes back. */
static void test_trouble(void **state)
{
    (void)state;
    struct lab l;
    struct seen s;
    lab_init(&l, NULL);
    (void)put_series(&l, "local", "a", "A", "1");
    start(&l, &s);
    sql(&l, "ALTER TABLE change RENAME TO lost");
    wait_healthy(&l, false);
    struct dz_view *v = dz_library_view(l.lib);
    assert_int_equal(v->series_n, 1);
    dz_view_unref(&v);
    sql(&l, "ALTER TABLE lost RENAME TO change");
    wait_healthy(&l, true);
    (void)put_series(&l, "local", "b", "B", "1");
    v = wait_series(&s, 2);
    dz_view_unref(&v);
    lab_done(&l);
    dz_view_unref(&s.view);
}

/* A shelf whose series was deleted, and an empty library. */
static void test_empty(void **state)
{
    (void)state;
    struct lab l;
    lab_init(&l, "shelves: [{name: x, series: local/none}]\n");
    struct dz_view *v = dz_library_view(l.lib);
    assert_int_equal(v->series_n, 0);
    assert_null(v->shelves[0].snap);
    dz_view_unref(&v);
    lab_done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_shelf),
        cmocka_unit_test(test_two_shelves),
        cmocka_unit_test(test_imported_shelf_counts),
        cmocka_unit_test(test_shelves),
        cmocka_unit_test(test_keeper),
        cmocka_unit_test(test_set_conf),
        cmocka_unit_test(test_change_under_two_links),
        cmocka_unit_test(test_lists_are_encoded_later),
        cmocka_unit_test(test_readers),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
