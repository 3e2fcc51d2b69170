/*
 * Signals through a loop: each listed one comes once, with its argument, also when several are
 * pending; stopping a loop from a real signal handler works.
 */
#include "test.h"

#include "loop/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static struct dz_loop *loop;
static int got[NSIG];
static int got_n;

static void on_signal(struct dz_loop *l, int signal, void *arg)
{
    assert_ptr_equal(l, loop);
    assert_ptr_equal(arg, got);
    got[signal]++;
    got_n++;
}

static void listed_signals_are_delivered(void **state)
{
    (void)state;
    const int list[] = {SIGTERM, SIGHUP, SIGUSR1};
    sigset_t set, before;
    sigemptyset(&set);
    for (size_t i = 0; i < DZ_LEN(list); i++)
        sigaddset(&set, list[i]);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, &before), 0);
    must(dz_loop_new(&loop, err));
    must(dz_loop_signals(loop, list, DZ_LEN(list), on_signal, got, err));
    dz_loop_turn(loop, 0);
    assert_int_equal(got_n, 0);
    kill(getpid(), SIGTERM);
    kill(getpid(), SIGUSR1);
    while (got_n < 2)
        dz_loop_turn(loop, -1);
    kill(getpid(), SIGHUP);
    while (got_n < 3)
        dz_loop_turn(loop, -1);
    dz_loop_turn(loop, 0);
    assert_int_equal(got_n, 3);
    assert_int_equal(got[SIGTERM], 1);
    assert_int_equal(got[SIGUSR1], 1);
    assert_int_equal(got[SIGHUP], 1);
    dz_loop_free(&loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void bad_signal_is_refused(void **state)
{
    (void)state;
    const int list[] = {SIGTERM, 100000};
    struct dz_err why = {0};
    must(dz_loop_new(&loop, err));
    assert_int_equal(dz_loop_signals(loop, list, DZ_LEN(list), on_signal, got, &why), DZ_BAD_INPUT);
    assert_non_null(strstr(why.text, "100000"));
    dz_loop_free(&loop);
}

static void handler(int signal)
{
    (void)signal;
    dz_loop_stop(loop);
}

static void *raiser(void *arg)
{
    kill(getpid(), SIGUSR2);
    return arg;
}

static void stop_from_a_signal_handler(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = handler}, before;
    pthread_t thread;
    must(dz_loop_new(&loop, err));
    assert_int_equal(sigaction(SIGUSR2, &action, &before), 0);
    assert_int_equal(pthread_create(&thread, NULL, raiser, NULL), 0);
    dz_loop_run(loop);
    pthread_join(thread, NULL);
    sigaction(SIGUSR2, &before, NULL);
    dz_loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listed_signals_are_delivered),
        cmocka_unit_test(bad_signal_is_refused),
        cmocka_unit_test(stop_from_a_signal_handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
