/*
 * test_crash: an import that is killed at each of its writes, syncs, renames, commits and queries,
 * and one for which each of these fails. After each: what can be seen is whole, a second run
 * finishes the work, and a check is clean.
 *
 * The test runs itself as the import (DZ_FAULT is read once in a process). Needs -Dfaults=true;
 * passes over otherwise.
 */
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab.h"

#define QUIET_MAX 5

static const char *self;

/* ---- the import, in a process of its own ----------------------------------------------------- */

static int run_import(const char *dir, bool komizip)
{
    struct dz_buf yaml;
    struct dz_conf *conf = NULL;
    struct dz_library *lib = NULL;
    struct dz_import_result r = {0};
    struct dz_err err = {0};
    char path[256], json[256];
    dz_buf_init(&yaml, DZ_KIB);
    dz_buf_putf(&yaml, "data_dir: %s/data\n", dir);
    (void)snprintf(path, sizeof(path), "%s/%s", dir, komizip ? "cdn" : "S");
    (void)snprintf(json, sizeof(json), "%s/chapters.json", dir);
    const char *const paths[] = {path};
    const struct dz_import_options o = {.shelf = "komi"};
    enum dz_code code = dz_conf_parse(dz_buf_str(&yaml), "t", NULL, &conf, NULL, &err);
    if (code == DZ_OK)
        code = dz_library_open(conf, &lib, &err);
    if (code == DZ_OK && komizip)
        code = dz_library_import_komizip(lib, json, path, &o, &r, &err);
    else if (code == DZ_OK)
        code = dz_library_import(lib, paths, 1, &o, &r, &err);
    dz_library_close(&lib);
    dz_conf_unref(&conf);
    dz_buf_done(&yaml);
    if (code != DZ_OK && getenv("DZ_FAULT") == NULL)
        fprintf(stderr, "%s\n", err.text);
    return code == DZ_OK && r.errors == 0 ? 0 : 1;
}

enum end { DONE, FAILED, KILLED };

static enum end spawn(struct lab *l, const char *fault, bool komizip)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (fault)
            setenv("DZ_FAULT", fault, 1);
        execl(self, self, "import", l->dir, komizip ? "komizip" : "folder", (char *)NULL);
        _exit(99);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return KILLED;
    }
    assert_true(WEXITSTATUS(status) <= 1);
    return WEXITSTATUS(status) == 0 ? DONE : FAILED;
}

/* ---- looking at what is left ----------------------------------------------------------------- */

static void on_problem(void *arg, bool repaired, const char *text)
{
    (void)repaired;
    fprintf(stderr, "%s: %s\n", (const char *)arg, text);
}

static struct dz_check_result check(struct lab *l, const char *fault, bool repair)
{
    struct dz_check_options o = {
        .digests = true, .repair = repair, .problem = on_problem, .arg = (void *)fault};
    struct dz_check_result r = {0};
    must(dz_library_check(l->lib, &o, &r, err));
    return r;
}

/* Chapters as they must be: all pages that the input has, or not there. */
static size_t count_whole(struct lab *l, size_t pages_each)
{
    size_t chapters = 0;
    struct dz_view *v = dz_library_view(l->lib);
    assert_non_null(v);
    for (size_t i = 0; i < v->series_n; i++)
        for (size_t c = 0; c < v->series[i]->chapters_n; c++, chapters++)
            assert_int_equal(v->series[i]->chapters[c].pages_n, pages_each);
    dz_view_unref(&v);
    lab_assert_whole(l);
    return chapters;
}

static void open_again(struct lab *l)
{
    must(dz_library_open(l->conf, &l->lib, err));
}

static void try_fault(struct lab *l, const char *fault, bool komizip, enum end *ret_end)
{
    *ret_end = spawn(l, fault, komizip);
    if (access(lab_path(l, "data"), F_OK) == 0) {
        open_again(l);
        size_t seen = count_whole(l, 2);
        assert_true(seen <= 3);
        assert_int_equal(check(l, fault, false).problems, 0);
        dz_library_close(&l->lib);
    }
    if (spawn(l, NULL, komizip) != DONE)
        fail_msg("after %s the second run failed", fault);
    open_again(l);
    assert_int_equal(count_whole(l, 2), 3);
    assert_int_equal(check(l, fault, true).problems, 0);
    struct dz_check_result r = check(l, fault, false);
    assert_int_equal(r.problems + r.leftovers, 0);
    lab_assert_whole(l);
    dz_library_close(&l->lib);
    lab_remove(l, "data");
}

static void fill(struct lab *l)
{
    static const char json[] =
        "{\"3\": {\"metadata\": {\"page_count\": 2}}, \"2\": {\"metadata\": {\"page_count\": 2}},"
        " \"1\": {\"metadata\": {\"page_count\": 2}}}";
    const struct lab_entry e[] = {
        {"1.png", {NULL, 0}, 1}, {"2.png", {NULL, 0}, 2}, {NULL, {NULL, 0}, 0}};
    lab_init(l, NULL);
    dz_library_close(&l->lib);
    lab_remove(l, "data");
    lab_archive(l, "S/c1.cbz", "zip", e);
    lab_png(l, "S/c2/1.png", 3);
    lab_png(l, "S/c2/2.png", 1);
    lab_png(l, "S/c3/1.png", 4);
    lab_png(l, "S/c3/2.png", 5);
    for (unsigned i = 0; i < 6; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "cdn/%u-%02u.png", i / 2 + 1, i % 2 + 1);
        lab_png(l, name, i + 10);
    }
    lab_png(l, "cdn/vol1.png", 20);
    lab_write(l, "chapters.json", dz_str_of(json));
}

/* Counts N up until the run is not reached by the fault any more. */
static void run_all(const char *op, bool kill, bool komizip, unsigned step)
{
    struct lab l;
    unsigned hits = 0, quiet = 0;
    fill(&l);
    for (unsigned n = 1; n < 5000; n += step) {
        char fault[64];
        enum end end;
        (void)snprintf(fault, sizeof(fault), "%s:%u%s", op, n, kill ? ":kill" : "");
        try_fault(&l, fault, komizip, &end);
        hits += end != DONE;
        quiet = end == DONE ? quiet + 1 : 0;
        /* A failure may do no harm, a kill always ends the run: only then one quiet run tells
         * that all were tried. */
        if (quiet == (kill ? 1 : QUIET_MAX))
            break;
    }
    print_message("%s: %u runs ended early\n", op, hits);
    assert_true(hits > 0);
    lab_done(&l);
}

#define CASE(name, op, kill, komizip, step)                                                        \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        run_all(op, kill, komizip, step);                                                          \
    }

CASE(test_kill_write, "write", true, false, 1)
CASE(test_kill_fsync, "fsync", true, false, 1)
CASE(test_kill_rename, "rename", true, false, 1)
CASE(test_kill_commit, "commit", true, false, 1)
CASE(test_fail_write, "write", false, false, 1)
CASE(test_fail_fsync, "fsync", false, false, 1)
CASE(test_fail_rename, "rename", false, false, 1)
CASE(test_fail_commit, "commit", false, false, 1)
CASE(test_kill_query, "query", true, false, 7) /* there are hundreds */
CASE(test_komizip_kill_rename, "rename", true, true, 1)
CASE(test_komizip_kill_commit, "commit", true, true, 1)
CASE(test_komizip_fail_write, "write", false, true, 1)

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "import") == 0)
        return run_import(argv[2], strcmp(argv[3], "komizip") == 0);
#ifndef DZ_FAULTS
    return 77;
#endif
    self = argv[0];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_write),          cmocka_unit_test(test_kill_fsync),
        cmocka_unit_test(test_kill_rename),         cmocka_unit_test(test_kill_commit),
        cmocka_unit_test(test_fail_write),          cmocka_unit_test(test_fail_fsync),
        cmocka_unit_test(test_fail_rename),         cmocka_unit_test(test_fail_commit),
        cmocka_unit_test(test_kill_query),          cmocka_unit_test(test_komizip_kill_rename),
        cmocka_unit_test(test_komizip_kill_commit), cmocka_unit_test(test_komizip_fail_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
