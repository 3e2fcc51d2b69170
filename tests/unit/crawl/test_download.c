/*
 * download: a chapter becomes an archive or a folder: by each method, from the site, from the
 * library and by a source's own way; resumed, cancelled, failed, beside others of the same name.
 */
#include "rig.h"

#include "crawl/download_int.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES 71u /* of the rig's pictures */

static struct rig_crawler one;
static char out[128];
static unsigned words; /* "jobs" */

static int setup(void **state)
{
    (void)state;
    memset(&one, 0, sizeof(one));
    words = 0;
    dz_log_init(2, DZ_ERROR, DZ_LOG_TEXT);
    rig_prepare();
    char more[512];
    snprintf(out, sizeof(out), "%s/out", rig.dir);
    snprintf(more, sizeof(more),
             "crawl: { retries: 1, retry_max: 0s }\n"
             "downloads: { destination: \"%s\", comicinfo_sizes: true, comicinfo_21: true }\n",
             out);
    rig_open(more);
    return 0;
}

static void on_jobs(void *arg)
{
    assert_ptr_equal(arg, &one);
    words++;
}

static void start(void)
{
    rig_start(&one, (struct dz_crawler_options){.jobs = on_jobs});
}

static json_t *infos(const char *chapter, const char *title, json_t **ret_series)
{
    *ret_series = json_pack("{s:s, s:s, s:s, s:[{s:s}, {s:s}], s:[s, s], s:s}", "id", "s1", "title",
                            "Dr. Stone / X", "description", "About <stones>", "authors", "name",
                            "A", "name", "B", "genres", "G1", "G2", "rating", "safe");
    return json_pack("{s:s, s:i, s:f, s:s, s:s, s:i, s:{s:s}, s:{s:i, s:i, s:i}}", "id", chapter,
                     "volume", 3, "chapter", 10.5, "title", title, "lang", "en", "pages", RIG_PAGES,
                     "team", "name", "T & Co", "date", "year", 2021, "month", 2, "day", 7);
}

static int64_t ask_titled(const char *source, const char *chapter, const char *method,
                          const char *title)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    json_t *series, *info = infos(chapter, title, &series);
    struct dz_job_rec row;
    must(crawl_download_row(rig.conf, dz_str_of(source), info, series, method, true, a, &row, err));
    json_decref(info);
    json_decref(series);
    assert_int_equal(row.target.n, 22);
    int64_t id;
    must(dz_catalog_jobs_add(rig.catalog, &row, 1, dz_now_ms(), &id, err));
    return id;
}

static int64_t ask(const char *source, const char *chapter, const char *method)
{
    return ask_titled(source, chapter, method, "T");
}

static struct dz_arena *arena(void)
{
    return dz_arena_new(16 * DZ_MIB);
}

/* Names in a folder, sorted and joined by blanks, hidden ones too. */
static const char *list(const char *path)
{
    static char text[4096];
    struct dirent **v;
    int n = scandir(path, &v, NULL, alphasort);
    size_t at = 0;
    text[0] = 0;
    for (int i = 0; i < n; i++) {
        if (strcmp(v[i]->d_name, ".") != 0 && strcmp(v[i]->d_name, "..") != 0)
            at +=
                (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", at ? " " : "", v[i]->d_name);
        free(v[i]);
    }
    if (n >= 0)
        free(v);
    return text;
}

static char *path_of(int64_t id)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    struct dz_job_rec j = rig_job(id, a);
    json_t *v = json_loadb(j.result.p, j.result.n, 0, NULL);
    char *path = dz_strdup(json_string_value(json_object_get(v, "path")));
    json_decref(v);
    assert_true(dz_str_starts(dz_str_of(path), dz_str_of(out)));
    return path;
}

static struct dz_buf read_all(const char *path)
{
    struct dz_buf b;
    dz_buf_init(&b, DZ_MIB);
    must(dz_file_read(path, &b, err));
    return b;
}

/* "001.png:71 …" of an archive, in order; the last entry's bytes into *ret_last. */
static const char *entries(const char *path, struct dz_buf *ret_last)
{
    static char text[4096];
    struct dz_archive *a = NULL;
    size_t at = 0;
    must(dz_archive_open(path, &dz_archive_limits_default, &a, err));
    for (;;) {
        bool more;
        struct dz_archive_entry e;
        must(dz_archive_next(a, &more, &e, err));
        if (!more)
            break;
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%.*s", at ? " " : "",
                               DZ_STR_FMT(e.name));
        dz_buf_clear(ret_last);
        must(dz_archive_read(a, ret_last, err));
    }
    dz_archive_close(&a);
    return text;
}

/* ---- methods --------------------------------------------------------------------------------- */

#define FOLDER "Dr. Stone \xe2\x88\x95 X"
#define NAME FOLDER " -.- C10.5 T"

static void test_archives(void **state)
{
    (void)state;
    static const struct {
        const char *method, *name, *entries;
    } cases[] = {
        {"zip", NAME ".zip", "1.png 2.png 3.png 4.png 5.png 6.png"},
        {"cbz", NAME ".cbz", "1.png 2.png 3.png 4.png 5.png 6.png"},
        {"cbz+comicinfo", NAME " (2).cbz", "1.png 2.png 3.png 4.png 5.png 6.png ComicInfo.xml"},
    };
    atomic_store(&rig.open, true);
    start();
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        char chapter[16];
        snprintf(chapter, sizeof(chapter), "c%zu", i);
        int64_t id = ask("comic", chapter, cases[i].method);
        dz_crawler_poke(one.c);
        rig_until_state(id, DZ_JOB_DONE);
        DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
        struct dz_job_rec j = rig_job(id, a);
        assert_int_equal(j.done, RIG_PAGES);
        assert_int_equal(j.total, RIG_PAGES);
        assert_int_equal(j.bytes, RIG_PAGES * PAGE_BYTES);
        assert_int_equal(j.phase.n, 0);
        DZ_AUTO(dz_freep) char *path = path_of(id);
        assert_true(dz_str_ends(dz_str_of(path), dz_str_of(cases[i].name)));
        DZ_AUTO(dz_buf_done) struct dz_buf last;
        dz_buf_init(&last, DZ_MIB);
        assert_string_equal(entries(path, &last), cases[i].entries);
        dz_str comment;
        must(dz_zip_comment_of(path, a, &comment, err));
        assert_true(dz_str_starts(comment, DZ_S("dozo comic c")));
    }
    char folder[256];
    snprintf(folder, sizeof(folder), "%s/" FOLDER, out);
    assert_string_equal(list(folder), NAME " (2).cbz " NAME ".cbz " NAME ".zip");
    rig_stop(&one);
    assert_true(words >= 6); /* each began and ended */
}

static void test_comicinfo(void **state)
{
    (void)state;
    atomic_store(&rig.open, true);
    start();
    int64_t id = ask("comic", "c1", "cbz+comicinfo");
    rig_until_state(id, DZ_JOB_DONE);
    rig_stop(&one);
    DZ_AUTO(dz_freep) char *path = path_of(id);
    DZ_AUTO(dz_buf_done) struct dz_buf last;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    dz_buf_init(&last, DZ_MIB);
    (void)entries(path, &last);
    struct dz_comicinfo c;
    must(dz_comicinfo_parse(dz_buf_str(&last), a, &c, err));
    assert_true(dz_str_eq(c.series, DZ_S("Dr. Stone / X")));
    assert_true(dz_str_eq(c.number, DZ_S("10.5")));
    assert_int_equal(c.volume, 3);
    assert_int_equal(c.page_count, RIG_PAGES);
    assert_true(dz_str_eq(c.writer, DZ_S("A, B")));
    assert_true(dz_str_eq(c.genre, DZ_S("G1, G2")));
    assert_true(dz_str_eq(c.translator, DZ_S("T & Co")));
    assert_int_equal(c.day, 7);
    assert_true(dz_str_find(dz_buf_str(&last), DZ_S("ImageWidth=\"1\"")) != DZ_NPOS);
}

static void test_files(void **state)
{
    (void)state;
    atomic_store(&rig.open, true);
    start();
    int64_t id = ask("comic", "c1", "files"), other = ask("comic", "c2", "files");
    rig_until_state(other, DZ_JOB_DONE);
    DZ_AUTO(dz_freep) char *path = path_of(id);
    DZ_AUTO(dz_freep) char *second = path_of(other);
    assert_string_equal(list(path), "1.png 2.png 3.png 4.png 5.png 6.png");
    assert_true(dz_str_ends(dz_str_of(second), DZ_S(" T (2)")));
    /* The same again: the folder is the chapter's, and has nothing of an earlier time in the end.
     */
    char stale[512];
    snprintf(stale, sizeof(stale), "%s/7.png", path);
    must(dz_file_write_atomic(stale, DZ_S("old"), 0644, err));
    int64_t again = ask("comic", "c1", "files");
    dz_crawler_poke(one.c);
    rig_until_state(again, DZ_JOB_DONE);
    DZ_AUTO(dz_freep) char *third = path_of(again);
    assert_string_equal(third, path);
    assert_string_equal(list(path), "1.png 2.png 3.png 4.png 5.png 6.png");
    char folder[256];
    snprintf(folder, sizeof(folder), "%s/" FOLDER, out);
    assert_string_equal(list(folder), NAME " " NAME " (2)");
    rig_stop(&one);
}

static void test_same_bytes(void **state)
{
    (void)state;
    atomic_store(&rig.open, true);
    start();
    int64_t id = ask("comic", "c1", "cbz+comicinfo");
    rig_until_state(id, DZ_JOB_DONE);
    DZ_AUTO(dz_freep) char *path = path_of(id);
    DZ_AUTO(dz_buf_done) struct dz_buf before = read_all(path);
    int64_t again = ask("comic", "c1", "cbz+comicinfo");
    dz_crawler_poke(one.c);
    rig_until_state(again, DZ_JOB_DONE);
    DZ_AUTO(dz_freep) char *second = path_of(again);
    assert_string_equal(second, path);
    DZ_AUTO(dz_buf_done) struct dz_buf after = read_all(path);
    assert_true(dz_str_eq(dz_buf_str(&before), dz_buf_str(&after)));
    assert_int_equal(atomic_load(&rig.page_requests[1]), 2);
    rig_stop(&one);
}

/* ---- from elsewhere -------------------------------------------------------------------------- */

static void test_from_the_library(void **state)
{
    (void)state;
    atomic_store(&rig.open, true);
    int64_t crawl = rig_ask("comic", "s1");
    start();
    rig_until_state(crawl, DZ_JOB_DONE);
    int64_t cbz = ask("comic", "c1", "cbz"), files = ask("comic", "c1", "files");
    dz_crawler_poke(one.c);
    rig_until_state(cbz, DZ_JOB_DONE);
    rig_until_state(files, DZ_JOB_DONE);
    rig_stop(&one);
    for (int i = 1; i <= RIG_PAGES; i++)
        assert_int_equal(atomic_load(&rig.page_requests[i]), 1);
    DZ_AUTO(dz_freep) char *path = path_of(cbz);
    DZ_AUTO(dz_freep) char *folder = path_of(files);
    DZ_AUTO(dz_buf_done) struct dz_buf last;
    dz_buf_init(&last, DZ_MIB);
    assert_string_equal(entries(path, &last), "1.png 2.png 3.png 4.png 5.png 6.png");
    assert_int_equal(last.n, PAGE_BYTES);
    assert_string_equal(list(folder), "1.png 2.png 3.png 4.png 5.png 6.png");
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    assert_int_equal(rig_job(cbz, a).bytes, RIG_PAGES * PAGE_BYTES);
}

static void test_its_own_way(void **state)
{
    (void)state;
    atomic_store(&rig.open, true);
    start();
    int64_t id = ask("own", "c1", "zip"), files = ask("own", "c1", "files");
    int64_t twice = ask("own", "twice", "zip"), fails = ask("own", "fails", "zip");
    rig_until_state(fails, DZ_JOB_FAILED);
    rig_until_state(files, DZ_JOB_DONE);
    rig_until_state(twice, DZ_JOB_FAILED);
    DZ_AUTO(dz_freep) char *path = path_of(id);
    DZ_AUTO(dz_freep) char *folder = path_of(files);
    DZ_AUTO(dz_buf_done) struct dz_buf last;
    dz_buf_init(&last, DZ_MIB);
    assert_string_equal(entries(path, &last), "1.png b.png 3.png");
    assert_true(dz_str_eq(dz_buf_str(&last), DZ_S("text")));
    assert_string_equal(list(folder), "1.png 3.png b.png");
    char series[256];
    snprintf(series, sizeof(series), "%s/" FOLDER, out);
    assert_string_equal(list(series), NAME " " NAME ".zip");
    rig_stop(&one);
}

/* ---- interrupted ----------------------------------------------------------------------------- */

static void until_pages(uint64_t n)
{
    while (!rig_last(DZ_CRAWL_PAGE) || rig_last(DZ_CRAWL_PAGE)->done < n)
        rig_turn();
}

static void resumes(const char *method)
{
    int64_t id = ask("comic", "c1", method);
    start();
    until_pages(3);
    rig_stop(&one); /* the rest of the pages waits */
    assert_int_equal(rig_state(id), DZ_JOB_QUEUED);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    assert_int_equal(rig_job(id, a).done, 3);
    atomic_store(&rig.open, true);
    start();
    rig_until_state(id, DZ_JOB_DONE);
    rig_stop(&one);
    for (int i = 1; i <= 3; i++)
        assert_int_equal(atomic_load(&rig.page_requests[i]), 1);
    assert_int_equal(rig_job(id, a).bytes, RIG_PAGES * PAGE_BYTES);
    char folder[256];
    snprintf(folder, sizeof(folder), "%s/" FOLDER, out);
    assert_null(strstr(list(folder), ".dozo-"));
}

static void test_resumed(void **state)
{
    (void)state;
    resumes("cbz");
}

static void test_resumed_files(void **state)
{
    (void)state;
    resumes("files");
}

static void cancelled(const char *method)
{
    int64_t id = ask("comic", "c1", method), waits = ask("comic", "c2", method);
    start();
    until_pages(3);
    assert_int_equal(rig_count(DZ_CRAWL_BEGIN, 0), 1); /* one at a time */
    bool asked = false;
    must(dz_catalog_job_cancel(rig.catalog, waits, dz_now_ms(), &asked, err));
    assert_int_equal(rig_state(waits), DZ_JOB_CANCELLED);
    must(dz_catalog_job_cancel(rig.catalog, id, dz_now_ms(), &asked, err));
    assert_true(asked);
    dz_crawler_poke(one.c); /* hears of it now */
    rig_until_state(id, DZ_JOB_CANCELLED);
    rig_stop(&one);
    char folder[256];
    snprintf(folder, sizeof(folder), "%s/" FOLDER, out);
    assert_string_equal(list(folder), "");
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    struct dz_mark_rec *marks;
    size_t n;
    must(dz_catalog_marks_of_series(rig.catalog, DZ_S("comic"), DZ_S("s1"), a, &marks, &n, err));
    assert_int_equal(n, 0);
}

static void test_cancelled(void **state)
{
    (void)state;
    cancelled("cbz");
}

static void test_cancelled_files(void **state)
{
    (void)state;
    cancelled("files");
}

/* A folder that was whole before is not touched until the new pages are all there. */
static void test_cancelled_again(void **state)
{
    (void)state;
    atomic_store(&rig.open, true);
    int64_t id = ask("comic", "c1", "files");
    start();
    rig_until_state(id, DZ_JOB_DONE);
    DZ_AUTO(dz_freep) char *path = path_of(id);
    atomic_store(&rig.open, false);
    int64_t again = ask("comic", "c1", "files");
    dz_crawler_poke(one.c);
    rig.events_n = 0;
    until_pages(3);
    bool asked = false;
    must(dz_catalog_job_cancel(rig.catalog, again, dz_now_ms(), &asked, err));
    dz_crawler_poke(one.c);
    rig_until_state(again, DZ_JOB_CANCELLED);
    rig_stop(&one);
    assert_string_equal(list(path), "1.png 2.png 3.png 4.png 5.png 6.png");
}

/* While somebody else works on the same chapter the job waits, and goes on from what he leaves. */
static void test_waits_for_another(void **state)
{
    (void)state;
    atomic_store(&rig.open, true);
    int64_t id = ask("comic", "c1", "cbz");
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    struct download_args d;
    struct download_place p;
    bool there;
    char *path;
    must(download_args_read(rig_job(id, a).args, &d, err));
    must(download_place_open(&p, out, DZ_S("comic"), &d, false, INT64_MAX, &there, &path, err));
    start();
    rig_until_event(DZ_CRAWL_NOTE, 1);
    assert_non_null(strstr(rig_last(DZ_CRAWL_NOTE)->text, "another dozo"));
    assert_int_equal(atomic_load(&rig.page_requests[1]), 0);
    download_place_close(&p, false, false);
    json_decref(d.json);
    rig_until_state(id, DZ_JOB_DONE);
    rig_stop(&one);
    assert_int_equal(rig_job(id, a).attempts, 1);
}

/* Killed between the result and the written end: nothing is asked again. */
static void test_end_was_lost(void **state)
{
    (void)state;
    atomic_store(&rig.open, true);
    int64_t id = ask("comic", "c1", "cbz");
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    struct dz_job_rec j = rig_job(id, a), taken;
    start();
    rig_until_state(id, DZ_JOB_DONE);
    rig_stop(&one);
    /* The same row, taken a second time. */
    must(dz_catalog_jobs_add(rig.catalog, &j, 1, j.created_ms, &id, err));
    struct dz_job_take t = {.id = id, .owner = DZ_S("dead"), .now_ms = j.created_ms, .lease_ms = 1};
    must(dz_catalog_job_take(rig.catalog, &t, a, &taken, err));
    start();
    rig_until_state(id, DZ_JOB_DONE);
    rig_stop(&one);
    assert_int_equal(atomic_load(&rig.page_requests[1]), 1);
    DZ_AUTO(dz_freep) char *path = path_of(id);
    assert_true(dz_str_ends(dz_str_of(path), DZ_S(NAME ".cbz")));
}

/* ---- failures -------------------------------------------------------------------------------- */

static void test_mark(void **state)
{
    (void)state;
    atomic_store(&rig.open, true);
    int64_t id = ask("comic", "c1", "cbz");
    start();
    rig_until_state(id, DZ_JOB_DONE);
    rig_stop(&one);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    struct dz_mark_rec *marks;
    size_t n;
    must(dz_catalog_marks_of_series(rig.catalog, DZ_S("comic"), DZ_S("s1"), a, &marks, &n, err));
    assert_int_equal(n, 1);
    assert_int_equal(marks[0].mark, 'D');
    assert_true(dz_str_eq(marks[0].chapter, DZ_S("c1")));
}

static void test_tried_again(void **state)
{
    (void)state;
    int64_t id = ask("bad", "c1", "cbz");
    start();
    rig_until_state(id, DZ_JOB_FAILED);
    rig_stop(&one);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    struct dz_job_rec j = rig_job(id, a);
    assert_int_equal(j.attempts, 2);
    assert_true(dz_str_eq(j.fail_kind, DZ_S("unavailable")));
    assert_true(j.ended_ms > 0);
    char folder[256];
    snprintf(folder, sizeof(folder), "%s/" FOLDER, out);
    assert_string_equal(list(folder), "");
}

static void test_no_destination(void **state)
{
    (void)state;
    must(dz_file_write_atomic(out, DZ_S("a file"), 0644, err));
    int64_t id = ask("comic", "c1", "cbz");
    start();
    rig_until_state(id, DZ_JOB_FAILED);
    rig_stop(&one);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    struct dz_job_rec j = rig_job(id, a);
    assert_int_equal(j.attempts, 1); /* trying again does not help */
    assert_true(dz_str_find(j.fail_text, dz_str_of(out)) != DZ_NPOS);
    assert_true(dz_str_find(j.fail_text, DZ_S("Not a directory")) != DZ_NPOS);
    assert_int_equal(atomic_load(&rig.page_requests[1]), 0);
}

static void test_rows_that_lie(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "[]",
        "{\"chapter\":\"c\",\"file\":\"../x\",\"folder\":\"\",\"method\":\"cbz\"}",
        "{\"chapter\":\"c\",\"file\":\"x\",\"folder\":\"..\",\"method\":\"cbz\"}",
        "{\"chapter\":\"c\",\"file\":\"x\",\"folder\":\"a/b\",\"method\":\"cbz\"}",
        "{\"chapter\":\"c\",\"file\":\"a\\u0000b\",\"folder\":\"\",\"method\":\"cbz\"}",
        "{\"chapter\":\"c\",\"file\":\".dozo-x\",\"folder\":\"\",\"method\":\"cbz\"}",
        "{\"chapter\":\"c\",\"file\":\"x\",\"folder\":\"\",\"method\":\"rar\"}",
        "{\"chapter\":\"\",\"file\":\"x\",\"folder\":\"\",\"method\":\"cbz\"}",
        "{\"file\":\"x\",\"folder\":\"\",\"method\":\"cbz\"}",
    };
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        struct download_args d;
        struct dz_err err;
        assert_int_equal(download_args_read(dz_str_of(rows[i]), &d, &err), DZ_BAD_INPUT);
    }
}

static void test_hostile_names(void **state)
{
    (void)state;
    static const char *const titles[] = {"../../etc/passwd", ".", "..", "", "a\001\037b",
                                         "\360\237\230\200"};
    static const char *const files[] = {"..\342\210\225..\342\210\225etc\342\210\225passwd",
                                        "\302\267",
                                        "\302\267\302\267",
                                        "_",
                                        "ab",
                                        "\360\237\230\200"};
    DZ_AUTO(dz_arena_free) struct dz_arena *a = arena();
    struct dz_conf *conf = rig_conf("downloads: { format: \"${title}\" }\n");
    for (size_t i = 0; i < DZ_LEN(titles); i++) {
        json_t *info = json_pack("{s:s}", "id", "c"), *series = json_pack("{s:s}", "id", "s");
        json_object_set_new(info, "title", json_string(titles[i]));
        struct dz_job_rec row;
        struct download_args d;
        must(crawl_download_row(conf, DZ_S("x"), info, series, NULL, false, a, &row, err));
        must(download_args_read(row.args, &d, err));
        assert_string_equal(dz_arena_dup(a, d.file), files[i]);
        json_decref(d.json);
        json_decref(info);
        json_decref(series);
    }
    dz_conf_unref(&conf);
}

/* ---- the place ------------------------------------------------------------------------------- */

static struct download_args args_of(const char *method)
{
    char text[256];
    snprintf(text, sizeof(text),
             "{\"chapter\":\"c\",\"file\":\"x\",\"folder\":\"\",\"method\":\"%s\",\"pages\":3}",
             method);
    struct download_args d;
    must(download_args_read(dz_str_of(text), &d, err));
    return d;
}

static void open_place(struct download_place *p, const struct download_args *d,
                       struct crawl_keeper **ret_k)
{
    bool there;
    char *path;
    must(download_place_open(p, out, DZ_S("s"), d, false, INT64_MAX, &there, &path, err));
    assert_false(there);
    *ret_k = crawl_keep_folder(&(struct crawl_folder_spec){p->pages, p->journal, p->width});
}

static void keep(struct crawl_keeper *k, struct crawl_kept *page, uint32_t at)
{
    *page = (struct crawl_kept){
        .at = at, .url = DZ_S("u"), .blob = {.bytes = 1, .mime = DZ_S("image/png")}};
    char byte = (char)('a' + at);
    must(k->type->put(k, page, (dz_str){&byte, 1}, err));
    must(k->type->sync(k, page, 1, err));
}

/* Pages that are left out leave no gap in the names. */
static void test_gaps(void **state)
{
    (void)state;
    static const dz_str names[] = {{"1.png", 5}, {"2.png", 5}};
    struct download_args d = args_of("files");
    struct download_place p;
    struct crawl_keeper *k;
    struct crawl_kept v[2];
    open_place(&p, &d, &k);
    keep(k, &v[0], 0);
    keep(k, &v[1], 2);
    DZ_AUTO(dz_freep) char *path = NULL;
    must(download_place_publish_files(&p, v, names, 2, &path, err));
    download_place_close(&p, true, true);
    crawl_keeper_free(&k);
    json_decref(d.json);
    assert_string_equal(list(path), "1.png 2.png");
    char file[512];
    snprintf(file, sizeof(file), "%s/2.png", path);
    DZ_AUTO(dz_buf_done) struct dz_buf b = read_all(file);
    assert_true(dz_str_eq(dz_buf_str(&b), DZ_S("c")));
    assert_string_equal(list(out), "x");
}

static void test_one_at_a_time(void **state)
{
    (void)state;
    struct download_args d = args_of("cbz");
    struct download_place p, other;
    struct crawl_keeper *k;
    bool there;
    char *path;
    struct dz_err err;
    open_place(&p, &d, &k);
    assert_int_equal(
        download_place_open(&other, out, DZ_S("s"), &d, false, INT64_MAX, &there, &path, &err),
        DZ_CONFLICT);
    assert_true(dz_str_find(dz_str_of(err.text), DZ_S("another dozo")) != DZ_NPOS);
    download_place_close(&other, true, false);
    crawl_keeper_free(&k);
    download_place_close(&p, false, false); /* nothing was kept: no trace */
    json_decref(d.json);
    assert_string_equal(list(out), "");
}

/* Of two that are both waiting for their first page each has a folder of its own, and finds it
 * again. */
static void test_two_folders(void **state)
{
    (void)state;
    for (int again = 0; again < 2; again++) {
        struct download_args d = args_of("files"), e = args_of("files");
        struct download_place p, q;
        struct crawl_keeper *k, *l;
        e.chapter = DZ_S("other");
        open_place(&p, &d, &k);
        open_place(&q, &e, &l);
        assert_true(dz_str_ends(dz_str_of(p.final), DZ_S("/x")));
        assert_true(dz_str_ends(dz_str_of(q.final), DZ_S("/x (2)")));
        struct crawl_kept page;
        keep(k, &page, 0);
        keep(l, &page, 0);
        download_place_close(&p, false, false);
        download_place_close(&q, false, false);
        crawl_keeper_free(&k);
        crawl_keeper_free(&l);
        json_decref(d.json);
        json_decref(e.json);
    }
}

static void test_swept(void **state)
{
    (void)state;
    static const char *const methods[] = {"cbz", "files"};
    for (size_t i = 0; i < DZ_LEN(methods); i++) {
        struct download_args d = args_of(methods[i]);
        struct download_place p;
        struct crawl_keeper *k;
        struct crawl_kept page;
        int64_t now_ms = dz_now_ms();
        open_place(&p, &d, &k);
        keep(k, &page, 0);
        crawl_download_sweep(rig.dir, now_ms + 60000); /* at work */
        assert_int_equal(access(p.journal, F_OK), 0);
        DZ_AUTO(dz_freep) char *journal = dz_strdup(p.journal);
        download_place_close(&p, false, false);
        crawl_keeper_free(&k);
        json_decref(d.json);
        crawl_download_sweep(rig.dir, now_ms - 60000); /* too young */
        assert_int_equal(access(journal, F_OK), 0);
        crawl_download_sweep(rig.dir, now_ms + 60000);
        /* A folder with pages in it is known to be unfinished as long as the journal is there. */
        assert_int_equal(access(journal, F_OK), i == 0 ? -1 : 0);
    }
}

int main(void)
{
#define with_rig(fn) cmocka_unit_test_setup_teardown(fn, setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        with_rig(test_archives),
        with_rig(test_comicinfo),
        with_rig(test_files),
        with_rig(test_same_bytes),
        with_rig(test_from_the_library),
        with_rig(test_its_own_way),
        with_rig(test_resumed),
        with_rig(test_resumed_files),
        with_rig(test_cancelled),
        with_rig(test_cancelled_files),
        with_rig(test_cancelled_again),
        with_rig(test_end_was_lost),
        with_rig(test_waits_for_another),
        with_rig(test_mark),
        with_rig(test_tried_again),
        with_rig(test_no_destination),
        with_rig(test_rows_that_lie),
        with_rig(test_hostile_names),
        with_rig(test_gaps),
        with_rig(test_one_at_a_time),
        with_rig(test_two_folders),
        with_rig(test_swept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
