/*
 * The supervisor with small shell scripts as the child: it is started again after growing waits,
 * gets clean signals and descriptors, ends with us, and goes when told, the stubborn one too.
 */
#include "test.h"

#include "crawl/crawl_int.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "scratch.h"

static struct dz_loop *loop;
static struct dz_back *back;

static int make_loop(void **state)
{
    if (scratch_make(state) != 0)
        return -1;
    dz_log_init(2, DZ_ERROR, DZ_LOG_TEXT);
    must(dz_loop_new(&loop, err));
    return 0;
}

static int free_loop(void **state)
{
    dz_back_stop(&back, 0);
    dz_loop_free(&loop);
    return scratch_remove(state);
}

/* sh -c SCRIPT with the scratch folder as $0. */
static void supervise(const char *script, int64_t wait_ms, int64_t wait_max_ms, int64_t settled_ms)
{
    char *const argv[] = {"/bin/sh", "-c", (char *)script, scratch_dir, NULL};
    must(dz_back_supervise_with(loop, argv, wait_ms, wait_max_ms, settled_ms, &back, err));
}

static struct dz_back_stats stats(void)
{
    struct dz_back_stats s;
    dz_back_stats_of(back, &s);
    return s;
}

static bool has(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", scratch_dir, name);
    return access(path, F_OK) == 0;
}

static void wait_for_file(const char *name)
{
    while (!has(name))
        dz_loop_turn(loop, 5);
}

static void read_text(const char *name, struct dz_buf *b)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", scratch_dir, name);
    must(dz_file_read(path, b, err));
}

static void dying_child_is_started_again_later_and_later(void **state)
{
    (void)state;
    supervise("exit 3", 2, 16, 60000);
    assert_true(stats().running);
    assert_int_equal(stats().next_start_in_ms, -1);
    const int64_t waits[] = {2, 4, 8, 16, 16};
    for (size_t i = 0; i < DZ_LEN(waits); i++) {
        while (stats().deaths < i + 1)
            dz_loop_turn(loop, -1);
        assert_false(stats().running);
        assert_int_equal(stats().pid, 0);
        assert_int_equal(back->next_ms - dz_loop_now_ms(loop), waits[i]);
        assert_true(stats().next_start_in_ms >= 0 && stats().next_start_in_ms <= waits[i]);
        while (stats().starts < i + 2)
            dz_loop_turn(loop, -1);
        assert_true(dz_loop_now_ms(loop) >= back->next_ms);
    }
}

static void child_that_lived_long_starts_the_count_anew(void **state)
{
    (void)state;
    supervise("exit 0", 1, 1000, 0);
    for (unsigned i = 1; i <= 6; i++) {
        while (stats().deaths < i)
            dz_loop_turn(loop, -1);
        assert_int_equal(back->next_ms - dz_loop_now_ms(loop), 1);
        while (stats().starts < i + 1)
            dz_loop_turn(loop, -1);
    }
}

static void killed_child_comes_back(void **state)
{
    (void)state;
    supervise("exec sleep 1000", 1, 1, 60000);
    int first = stats().pid;
    assert_int_equal(kill(first, SIGKILL), 0);
    while (stats().starts < 2)
        dz_loop_turn(loop, -1);
    assert_true(stats().running);
    assert_int_not_equal(stats().pid, first);
    assert_int_equal(stats().deaths, 1);
}

static void program_that_is_not_there_is_named(void **state)
{
    (void)state;
    char *const argv[] = {"/nonexistent/dozo", "serve", NULL};
    struct dz_err err = {0};
    assert_int_equal(dz_back_supervise(loop, argv, &back, &err), DZ_UNAVAILABLE);
    assert_int_equal(err.native, ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/dozo"));
    assert_null(back);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void stop_asks_first(void **state)
{
    (void)state;
    supervise("trap ': >$0/asked; exit 0' TERM; : >$0/ready; while :; do sleep 0.01; done", 1, 1,
              1);
    wait_for_file("ready");
    int pid = stats().pid;
    dz_back_stop(&back, 60000);
    assert_null(back);
    assert_true(has("asked"));
    assert_int_equal(kill(pid, 0), -1);
}

static void stop_kills_a_stubborn_child(void **state)
{
    (void)state;
    supervise("trap '' TERM INT HUP; : >$0/ready; while :; do sleep 0.01; done", 1, 1, 1);
    wait_for_file("ready");
    int pid = stats().pid;
    dz_back_stop(&back, 30);
    assert_null(back);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

static void stop_between_two_starts(void **state)
{
    (void)state;
    supervise("exit 1", 60000, 60000, 60000);
    while (stats().deaths < 1)
        dz_loop_turn(loop, -1);
    assert_true(stats().next_start_in_ms > 0);
    dz_back_signal(back, SIGHUP); /* nobody there: nothing happens */
    dz_back_stop(&back, 60000);
    assert_null(back);
}

static void signal_is_passed_on(void **state)
{
    (void)state;
    supervise("trap ': >$0/hup' HUP; : >$0/ready; while :; do sleep 0.01; done", 1, 1, 1);
    wait_for_file("ready");
    dz_back_signal(back, SIGHUP);
    wait_for_file("hup");
}

static void child_gets_clean_signals_and_descriptors(void **state)
{
    (void)state;
    int leak = open("/dev/null", O_RDONLY); /* without close-on-exec */
    assert_true(leak > 2);
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    assert_int_equal(sigprocmask(SIG_BLOCK, &set, &before), 0);
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
    assert_int_equal(sigaction(SIGPIPE, &ignore, &old), 0);
    supervise("grep -E 'SigBlk|SigIgn' /proc/self/status >$0/signals; ls /proc/$$/fd >$0/fds; : "
              ">$0/ready; exec sleep 1000",
              1, 1, 1);
    wait_for_file("ready");
    sigprocmask(SIG_SETMASK, &before, NULL);
    sigaction(SIGPIPE, &old, NULL);
    close(leak);
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_KIB);
    read_text("signals", &b);
    /* Signals 32 and 33 are the C library's own: who ignored them before us is none of our doing,
     * and no program can take it back. */
    const uint64_t ours = ~(UINT64_C(3) << 31);
    const char *blocked = strstr(dz_buf_cstr(&b), "SigBlk:\t");
    const char *ignored = strstr(dz_buf_cstr(&b), "SigIgn:\t");
    assert_non_null(blocked);
    assert_non_null(ignored);
    assert_int_equal(strtoull(blocked + 8, NULL, 16) & ours, 0);
    assert_int_equal(strtoull(ignored + 8, NULL, 16) & ours, 0);
    dz_buf_clear(&b);
    read_text("fds", &b);
    char name[16];
    snprintf(name, sizeof(name), "\n%d\n", leak);
    assert_null(strstr(dz_buf_cstr(&b), name));
}

/* A process of its own is the parent, so that it can be killed. */
static void child_ends_with_its_parent(void **state)
{
    (void)state;
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        struct dz_loop *l = NULL;
        struct dz_back *b = NULL;
        char *const argv[] = {"/bin/sh", "-c",
                              "echo $$ >$0/pid.tmp; mv $0/pid.tmp $0/pid; exec sleep 1000",
                              scratch_dir, NULL};
        if (dz_loop_new(&l, NULL) != DZ_OK || dz_back_supervise(l, argv, &b, NULL) != DZ_OK)
            _exit(1);
        dz_loop_run(l);
        _exit(0);
    }
    wait_for_file("pid");
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 64);
    read_text("pid", &b);
    uint64_t pid = 0;
    must(dz_str_u64(dz_str_trim(dz_buf_str(&b)), INT32_MAX, &pid, err));
    kill(parent, SIGKILL);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    /* Gone, or a zombie that nobody in a container reaps. */
    for (;;) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        dz_buf_clear(&b);
        struct dz_buf stat DZ_AUTO(dz_buf_done);
        dz_buf_init(&stat, DZ_KIB * 4);
        if (dz_file_read(path, &stat, NULL) != DZ_OK || strstr(dz_buf_cstr(&stat), ") Z "))
            break;
        dz_loop_turn(loop, 5);
    }
}

int main(void)
{
#define with_loop(test) cmocka_unit_test_setup_teardown(test, make_loop, free_loop)
    const struct CMUnitTest tests[] = {
        with_loop(dying_child_is_started_again_later_and_later),
        with_loop(child_that_lived_long_starts_the_count_anew),
        with_loop(killed_child_comes_back),
        with_loop(program_that_is_not_there_is_named),
        with_loop(stop_asks_first),
        with_loop(stop_kills_a_stubborn_child),
        with_loop(stop_between_two_starts),
        with_loop(signal_is_passed_on),
        with_loop(child_gets_clean_signals_and_descriptors),
        with_loop(child_ends_with_its_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
