/*
 * Watchers: delivery, arming, pausing, and removal inside callbacks, also of a watch whose event is
 * already collected and whose memory is used again at once.
 */
#include "test.h"

#include "loop/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static struct dz_loop *loop;
static int calls;
static uint32_t last_events;

static int setup(void **state)
{
    (void)state;
    must(dz_loop_new(&loop, err));
    calls = 0;
    last_events = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dz_loop_free(&loop);
    return 0;
}

static void count(struct dz_loop *l, struct dz_watch *w, uint32_t events)
{
    (void)w;
    assert_ptr_equal(l, loop);
    calls++;
    last_events = events;
}

static int readable_fd(void)
{
    int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void delivers_what_is_armed(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    struct dz_watch w = {0};
    must(dz_watch_add(loop, &w, pair[0], EPOLLIN, count, err));
    assert_int_equal(w.fd, pair[0]);
    assert_int_equal(w.events, EPOLLIN);
    dz_loop_turn(loop, 0);
    assert_int_equal(calls, 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    dz_loop_turn(loop, -1);
    dz_loop_turn(loop, -1); /* level-triggered */
    assert_int_equal(calls, 2);
    assert_int_equal(last_events, EPOLLIN);
    dz_watch_set(loop, &w, EPOLLIN | EPOLLOUT);
    dz_loop_turn(loop, -1);
    assert_int_equal(last_events, EPOLLIN | EPOLLOUT);
    dz_watch_set(loop, &w, EPOLLOUT);
    dz_watch_set(loop, &w, EPOLLOUT);
    dz_loop_turn(loop, -1);
    assert_int_equal(last_events, EPOLLOUT);
    dz_watch_del(loop, &w);
    assert_int_equal(w.events, 0);
    dz_watch_del(loop, &w);
    dz_loop_turn(loop, 0);
    assert_int_equal(calls, 4);
    close(pair[0]);
    close(pair[1]);
}

static void paused_is_quiet_and_hears_of_the_end_once(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    struct dz_watch w = {0};
    must(dz_watch_add(loop, &w, pair[0], EPOLLIN, count, err));
    assert_int_equal(write(pair[1], "x", 1), 1);
    dz_watch_set(loop, &w, 0);
    assert_true(w.events != 0);
    dz_loop_turn(loop, 0);
    assert_int_equal(calls, 0);
    close(pair[1]);
    dz_loop_turn(loop, 0);
    dz_loop_turn(loop, 0);
    dz_loop_turn(loop, 0);
    assert_int_equal(calls, 1);
    assert_true((last_events & EPOLLHUP) != 0);
    assert_true((last_events & EPOLLIN) == 0);
    dz_watch_set(loop, &w, EPOLLIN);
    dz_loop_turn(loop, 0);
    dz_loop_turn(loop, 0);
    assert_int_equal(calls, 3);
    assert_true((last_events & EPOLLIN) != 0);
    dz_watch_del(loop, &w);
    close(pair[0]);
}

static void zeroed_watch_can_be_removed(void **state)
{
    (void)state;
    struct dz_watch w = {0};
    dz_watch_del(loop, &w);
}

static void refused_descriptor(void **state)
{
    (void)state;
    struct dz_watch w = {0};
    struct dz_err why = {0};
    assert_int_equal(dz_watch_add(loop, &w, -1, EPOLLIN, count, &why), DZ_IO);
    assert_int_equal(why.code, DZ_IO);
    assert_int_equal(why.native, EBADF);
    assert_int_equal(w.events, 0);
    dz_watch_del(loop, &w);
}

static void remove_itself(struct dz_loop *l, struct dz_watch *w, uint32_t events)
{
    (void)events;
    calls++;
    int fd = w->fd;
    dz_watch_del(l, w);
    close(fd);
    free(w);
}

static void removing_itself(void **state)
{
    (void)state;
    struct dz_watch *w = dz_new(struct dz_watch);
    must(dz_watch_add(loop, w, readable_fd(), EPOLLIN, remove_itself, err));
    dz_loop_turn(loop, -1);
    dz_loop_turn(loop, 0);
    assert_int_equal(calls, 1);
}

/* All ready in one batch; whichever comes first removes and frees all others. */
#define CROWD 64
static struct dz_watch *crowd[CROWD];

static void remove_all_others(struct dz_loop *l, struct dz_watch *w, uint32_t events)
{
    (void)events;
    calls++;
    for (size_t i = 0; i < CROWD; i++) {
        if (crowd[i] == w)
            continue;
        int fd = crowd[i]->fd;
        dz_watch_del(l, crowd[i]);
        close(fd);
        dz_freep(&crowd[i]);
    }
}

static void removing_others_of_the_same_batch(void **state)
{
    (void)state;
    for (size_t i = 0; i < CROWD; i++) {
        crowd[i] = dz_new(struct dz_watch);
        must(dz_watch_add(loop, crowd[i], readable_fd(), EPOLLIN, remove_all_others, err));
    }
    dz_loop_turn(loop, -1);
    assert_int_equal(calls, 1);
    for (size_t i = 0; i < CROWD; i++) {
        if (crowd[i]) {
            int fd = crowd[i]->fd;
            dz_watch_del(loop, crowd[i]);
            close(fd);
            dz_freep(&crowd[i]);
        }
    }
}

static struct dz_watch two[2];

static void must_not_come(struct dz_loop *l, struct dz_watch *w, uint32_t events)
{
    (void)l, (void)w, (void)events;
    fail_msg("an event of the removed watch reached the watch that took its place");
}

static void replace_other(struct dz_loop *l, struct dz_watch *w, uint32_t events)
{
    (void)events;
    calls++;
    struct dz_watch *other = w == &two[0] ? &two[1] : &two[0];
    int fd = other->fd;
    dz_watch_del(l, other);
    close(fd);
    /* The same number, the same memory, but nothing to read. */
    int quiet = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(quiet, fd);
    must(dz_watch_add(l, other, quiet, EPOLLIN, must_not_come, err));
}

static void memory_used_again_in_the_same_batch(void **state)
{
    (void)state;
    memset(two, 0, sizeof(two));
    for (size_t i = 0; i < 2; i++)
        must(dz_watch_add(loop, &two[i], readable_fd(), EPOLLIN, replace_other, err));
    dz_loop_turn(loop, -1);
    assert_int_equal(calls, 1);
    for (size_t i = 0; i < 2; i++) {
        int fd = two[i].fd;
        dz_watch_del(loop, &two[i]);
        close(fd);
    }
}

static int turn_ends;

static void on_turn_end(struct dz_loop *l, void *arg)
{
    (void)l;
    assert_ptr_equal(arg, &turn_ends);
    turn_ends += calls; /* 0 unless the events of the turn came before */
}

static void turn_end_comes_last_in_each_turn(void **state)
{
    (void)state;
    struct dz_watch w = {0};
    int fd = readable_fd();
    turn_ends = 0;
    must(dz_watch_add(loop, &w, fd, EPOLLIN, count, err));
    dz_loop_set_turn_end(loop, on_turn_end, &turn_ends);
    dz_loop_turn(loop, -1);
    assert_int_equal(turn_ends, 1);
    dz_loop_turn(loop, -1);
    assert_int_equal(turn_ends, 3);
    dz_loop_set_turn_end(loop, NULL, NULL);
    dz_loop_turn(loop, -1);
    assert_int_equal(turn_ends, 3);
    dz_watch_del(loop, &w);
    close(fd);
}

/* More ready descriptors than one batch takes: all come, over some turns. */
static void more_than_a_batch(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    int fd = readable_fd();
    struct dz_watch *w = dz_zalloc(MANY * sizeof(*w));
    int n = 0;
    for (; n < MANY; n++) {
        int copy = dup(fd);
        if (copy < 0)
            break; /* the limit of open files may be low */
        must(dz_watch_add(loop, &w[n], copy, EPOLLIN, count, err));
    }
    dz_loop_turn(loop, 0);
    assert_true(calls > 0 && calls <= n);
    while (calls < n)
        dz_loop_turn(loop, 0);
    for (int i = 0; i < n; i++) {
        dz_watch_del(loop, &w[i]);
        close(w[i].fd);
    }
    close(fd);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(delivers_what_is_armed, setup, teardown),
        cmocka_unit_test_setup_teardown(paused_is_quiet_and_hears_of_the_end_once, setup, teardown),
        cmocka_unit_test_setup_teardown(zeroed_watch_can_be_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_descriptor, setup, teardown),
        cmocka_unit_test_setup_teardown(removing_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(removing_others_of_the_same_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_used_again_in_the_same_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(turn_end_comes_last_in_each_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(more_than_a_batch, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
