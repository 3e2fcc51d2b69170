/*
 * The back role as a process of its own against a bus here: it says hello, answers, sweeps, finds a
 * new front, and ends when it should.
 */
#include "test.h"

#include "crawl/crawl_int.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "scratch.h"

static struct dz_loop *loop;
static struct dz_bus *bus;
static const struct dz_bus_hooks hooks;

static int make_bus(void **state)
{
    if (scratch_make(state) != 0)
        return -1;
    dz_log_init(2, DZ_ERROR, DZ_LOG_TEXT);
    must(dz_loop_new(&loop, err));
    must(dz_bus_open(loop, scratch_dir, &hooks, &bus, err));
    return 0;
}

static int free_bus(void **state)
{
    dz_bus_close(&bus);
    dz_loop_free(&loop);
    return scratch_remove(state);
}

/* As a child of the supervisor, or as one that was started on its own. */
static pid_t start_back(bool supervised)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    close_range(3, ~0u, 0);
    if (supervised)
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    char yaml[256];
    snprintf(yaml, sizeof(yaml), "data_dir: \"%s\"\n", scratch_dir);
    struct dz_conf *conf = NULL;
    if (dz_conf_parse(dz_str_of(yaml), "test", NULL, &conf, NULL, NULL) != DZ_OK)
        _exit(2);
    int status = dz_back_main(conf, NULL, NULL);
    dz_conf_unref(&conf);
    _exit(status);
}

static void wait_for_back(void)
{
    while (!dz_bus_has_back(bus))
        dz_loop_turn(loop, -1);
}

/* The loop turns meanwhile; the exit status. */
static int status_of(pid_t pid)
{
    int status;
    pid_t got;
    while ((got = waitpid(pid, &status, WNOHANG)) == 0)
        dz_loop_turn(loop, 5);
    assert_int_equal(got, pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void back_answers_and_ends_on_a_signal(void **state)
{
    (void)state;
    bus->ping_ms = 1;
    pid_t pid = start_back(true);
    wait_for_back();
    kill(pid, SIGINT); /* a Ctrl-C is the front's affair */
    int64_t end_ms = dz_loop_now_ms(loop) + 50;
    while (dz_loop_now_ms(loop) < end_ms)
        dz_loop_turn(loop, 5);
    assert_true(dz_bus_has_back(bus));
    assert_int_equal(bus->door.dropped, 0);
    kill(pid, SIGTERM);
    assert_int_equal(status_of(pid), 0);
    assert_false(dz_bus_has_back(bus));
}

static void second_back_is_refused(void **state)
{
    (void)state;
    pid_t first = start_back(false);
    wait_for_back();
    dz_log_init(open("/dev/null", O_WRONLY | O_CLOEXEC), DZ_ERROR, DZ_LOG_TEXT);
    pid_t second = start_back(false);
    assert_int_equal(status_of(second), 1);
    kill(first, SIGINT);
    assert_int_equal(status_of(first), 0);
}

static void stop_ends_only_a_supervised_back(void **state)
{
    (void)state;
    pid_t pid = start_back(true);
    wait_for_back();
    dz_bus_close(&bus);
    assert_int_equal(status_of(pid), 0);

    must(dz_bus_open(loop, scratch_dir, &hooks, &bus, err));
    pid = start_back(false);
    wait_for_back();
    dz_bus_close(&bus);
    must(dz_bus_open(loop, scratch_dir, &hooks, &bus, err));
    wait_for_back(); /* it found the next front */
    kill(pid, SIGTERM);
    assert_int_equal(status_of(pid), 0);
}

static void back_waits_for_a_front(void **state)
{
    (void)state;
    dz_bus_close(&bus);
    pid_t pid = start_back(false);
    char lock[128];
    snprintf(lock, sizeof(lock), "%s/run/back.lock", scratch_dir);
    while (access(lock, F_OK) != 0)
        dz_loop_turn(loop, 5);
    must(dz_bus_open(loop, scratch_dir, &hooks, &bus, err));
    wait_for_back();
    kill(pid, SIGTERM);
    assert_int_equal(status_of(pid), 0);
}

int main(void)
{
#define with_bus(test) cmocka_unit_test_setup_teardown(test, make_bus, free_bus)
    const struct CMUnitTest tests[] = {
        with_bus(back_answers_and_ends_on_a_signal),
        with_bus(second_back_is_refused),
        with_bus(stop_ends_only_a_supervised_back),
        with_bus(back_waits_for_a_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
