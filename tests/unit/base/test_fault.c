/* fault: the Nth operation fails, once; files stay whole whatever fails or whenever the process
 * dies. */
#include "test.h"

#include "dies.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#ifdef DZ_FAULTS

static char folder[] = "/tmp/dozo-test-fault-XXXXXX";
static char path[64];
static char said[4096];

/* The plan is read once a process, so each case runs in a child and this process never asks. */
static int child_status(const char *plan, void (*fn)(void))
{
    setenv("DZ_FAULT", plan, 1);
    int status = run_child(fn, said, sizeof(said));
    unsetenv("DZ_FAULT");
    return status;
}

static void count_faults(void)
{
    for (int i = 1; i <= 10; i++)
        if (dz_fault("other") || dz_fault("step") != (i == 3))
            _exit(1);
}

static void strikes_once(void **state)
{
    (void)state;
    assert_int_equal(child_status("step:3", count_faults), 0);
}

static void no_faults(void)
{
    for (int i = 0; i < 10; i++)
        if (dz_fault("step"))
            _exit(1);
}

static void is_quiet_without_a_plan(void **state)
{
    (void)state;
    assert_int_equal(child_status("", no_faults), 0);
    assert_int_equal(child_status("steps:1", no_faults), 0);
}

static void stands_still(void **state)
{
    (void)state;
    setenv("DZ_FAULT", "step:3:stop", 1);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        no_faults();
        _exit(0);
    }
    unsetenv("DZ_FAULT");
    int status = -1;
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void refuses_a_bad_plan(void **state)
{
    (void)state;
    static const char *const bad[] = {"step",   ":1",         "step:",           "step:0",
                                      "step:x", "step:1:die", "step:1:kill:kill"};
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        assert_int_not_equal(child_status(bad[i], no_faults), 0);
        assert_non_null(strstr(said, "DZ_FAULT="));
    }
}

static void *ask_often(void *p)
{
    atomic_int *hits = p;
    for (int i = 0; i < 5000; i++)
        if (dz_fault("step"))
            atomic_fetch_add(hits, 1);
    return NULL;
}

static void ask_from_threads(void)
{
    atomic_int hits = 0;
    pthread_t threads[4];
    for (size_t i = 0; i < DZ_LEN(threads); i++)
        if (pthread_create(&threads[i], NULL, ask_often, &hits) != 0)
            _exit(2);
    for (size_t i = 0; i < DZ_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    _exit(hits == 1 ? 0 : 1);
}

static void counts_over_threads(void **state)
{
    (void)state;
    assert_int_equal(child_status("step:12345", ask_from_threads), 0);
}

static void allocate(void)
{
    void *p = NULL;
    struct dz_body *b = NULL;
    struct dz_err err = {0};
    if (dz_try_alloc(10, &p, &err) != DZ_FULL || p || dz_body_try(10, &b, &err) != DZ_OK)
        _exit(1);
    dz_body_unref(&b);
}

static void fails_allocations(void **state)
{
    (void)state;
    assert_int_equal(child_status("alloc:1", allocate), 0);
}

static void write_new(void)
{
    struct dz_err err = {0};
    enum dz_code code = dz_file_write_atomic(path, DZ_S("new"), 0600, &err);
    _exit(code == DZ_OK ? 0 : code == DZ_IO && err.text[0] ? 1 : 2);
}

/* How many files there are, and what the one we know holds. */
static void look(size_t *ret_count, char first[4])
{
    DIR *d = opendir(folder);
    assert_non_null(d);
    *ret_count = 0;
    for (struct dirent *e; (e = readdir(d));)
        *ret_count += e->d_name[0] != '.';
    rewinddir(d);
    size_t hidden = 0;
    for (struct dirent *e; (e = readdir(d));)
        hidden += strncmp(e->d_name, ".tmp-", 5) == 0;
    closedir(d);
    assert_true(hidden <= 1);
    DZ_AUTO(dz_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    memset(first, 0, 4);
    assert_int_equal(read(fd, first, 4), 3);
}

static void clear_folder(void)
{
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.' || strncmp(e->d_name, ".tmp-", 5) == 0)
            assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
    closedir(d);
}

static void write_old(void)
{
    DZ_AUTO(dz_closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "old", 3), 3);
}

static void keeps_files_whole(void **state)
{
    (void)state;
    static const struct {
        const char *plan;
        int status; /* exit status, or the signal */
        bool killed;
        const char *holds;
    } cases[] = {
        {"write:1", 1, false, "old"},
        {"fsync:1", 1, false, "old"},
        {"rename:1", 1, false, "old"},
        {"fsync:2", 1, false, "new"}, /* of the folder: the file is there, its name may not last */
        {"fsync:3", 0, false, "new"},
        {"write:1:kill", SIGKILL, true, "old"},
        {"fsync:1:kill", SIGKILL, true, "old"},
        {"rename:1:kill", SIGKILL, true, "old"},
        {"fsync:2:kill", SIGKILL, true, "new"},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        write_old();
        int status = child_status(cases[i].plan, write_new);
        assert_int_equal(WIFSIGNALED(status), cases[i].killed);
        assert_int_equal(cases[i].killed ? WTERMSIG(status) : WEXITSTATUS(status), cases[i].status);
        size_t count;
        char first[4];
        look(&count, first);
        assert_int_equal(count, 1);
        assert_string_equal(first, cases[i].holds);
        clear_folder();
    }
}

static void read_it(void)
{
    struct dz_buf b;
    dz_buf_init(&b, 100);
    struct dz_err err = {0};
    enum dz_code code = dz_file_read(path, &b, &err);
    size_t n = b.n;
    dz_buf_done(&b);
    _exit(code == DZ_IO && n == 0 ? 0 : 1);
}

static void fails_reads(void **state)
{
    (void)state;
    write_old();
    assert_int_equal(child_status("read:1", read_it), 0);
    assert_int_equal(child_status("read:2", read_it), 0);
    clear_folder();
}

static int enter(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/file", folder);
    return 0;
}

static int leave(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strikes_once),        cmocka_unit_test(is_quiet_without_a_plan),
        cmocka_unit_test(stands_still),        cmocka_unit_test(refuses_a_bad_plan),
        cmocka_unit_test(counts_over_threads), cmocka_unit_test(fails_allocations),
        cmocka_unit_test(keeps_files_whole),   cmocka_unit_test(fails_reads),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}

#else

int main(void)
{
    puts("skipped: built without -Dfaults=true");
    return 77;
}

#endif
