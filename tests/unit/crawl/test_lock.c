/*
 * Role locks: one holder between processes, the other is named; the lock goes with its process.
 */
#include "test.h"

#include "crawl/crawl.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "scratch.h"

/* A process that holds the lock until it is killed. */
static pid_t start_holder(void)
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd;
        char answer = dz_role_lock(scratch_dir, "back", &fd, NULL) == DZ_OK ? 'y' : 'n';
        if (write(ready[1], &answer, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    char answer = '?';
    assert_int_equal(read(ready[0], &answer, 1), 1);
    assert_int_equal(answer, 'y');
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void other_process_is_named(void **state)
{
    (void)state;
    pid_t pid = start_holder();
    int fd = -1;
    struct dz_err err = {0};
    assert_int_equal(dz_role_lock(scratch_dir, "back", &fd, &err), DZ_CONFLICT);
    char words[48];
    snprintf(words, sizeof(words), "(pid %d)", (int)pid);
    assert_non_null(strstr(err.text, words));
    assert_non_null(strstr(err.text, "/run/back.lock"));
    assert_int_equal(fd, -1);

    int other = -1;
    must(dz_role_lock(scratch_dir, "front", &other, err)); /* names do not hinder each other */
    dz_closep(&other);

    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    must(dz_role_lock(scratch_dir, "back", &fd, err));
    dz_closep(&fd);
}

static void holds_our_pid_and_can_be_taken_again(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        int fd = -1;
        must(dz_role_lock(scratch_dir, "back", &fd, err));
        char path[128], expected[32];
        snprintf(path, sizeof(path), "%s/run/back.lock", scratch_dir);
        snprintf(expected, sizeof(expected), "%d\n", (int)getpid());
        struct dz_buf b DZ_AUTO(dz_buf_done);
        dz_buf_init(&b, 64);
        must(dz_file_read(path, &b, err));
        assert_string_equal(dz_buf_cstr(&b), expected);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        dz_closep(&fd);
    }
}

static void folder_that_cannot_be_made_is_named(void **state)
{
    (void)state;
    int fd = -1;
    struct dz_err err = {0};
    assert_int_not_equal(dz_role_lock("/proc/nowhere", "back", &fd, &err), DZ_OK);
    assert_non_null(strstr(err.text, "/proc/nowhere"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(other_process_is_named, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(holds_our_pid_and_can_be_taken_again, scratch_make,
                                        scratch_remove),
        cmocka_unit_test(folder_that_cannot_be_made_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
