/*
 * Timers and the clock of a loop: order, moving, stopping and setting inside callbacks, many at
 * random, the date.
 *
 * Timers run on the real monotonic clock with short times; nothing here depends on how late they
 * come.
 */
#include "test.h"

#include "loop/loop.h"

#include <stdlib.h>
#include <time.h>

static struct dz_loop *loop;
static int seen[64];
static int seen_n;

struct named {
    struct dz_timer t;
    int name;
    struct named *other;
};

static int setup(void **state)
{
    (void)state;
    must(dz_loop_new(&loop, err));
    seen_n = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dz_loop_free(&loop);
    assert_null(loop);
    return 0;
}

static void note(struct dz_loop *l, struct dz_timer *t)
{
    struct named *n = dz_container(t, struct named, t);
    assert_ptr_equal(l, loop);
    assert_int_equal(t->at, 0);
    assert_true(dz_loop_now_ms(l) >= t->due_ms);
    seen[seen_n++] = n->name;
}

static void until_seen(int n)
{
    while (seen_n < n)
        dz_loop_turn(loop, -1);
    assert_int_equal(seen_n, n);
}

static void assert_seen(const char *names)
{
    assert_int_equal(seen_n, strlen(names));
    for (int i = 0; i < seen_n; i++)
        assert_int_equal(seen[i], names[i]);
}

/* Lets ms of the monotonic clock go by, so that everything due then is due in one turn. */
static void let_pass(int64_t ms)
{
    int64_t end_ns = dz_mono_ns() + (ms + 1) * 1000000;
    while (dz_mono_ns() < end_ns)
        ;
}

static void fires_in_order(void **state)
{
    (void)state;
    struct named a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
    dz_timer_set(loop, &c.t, 9, note);
    dz_timer_set(loop, &a.t, 1, note);
    dz_timer_set(loop, &b.t, 5, note);
    until_seen(3);
    assert_seen("abc");
}

static void nothing_before_its_time(void **state)
{
    (void)state;
    struct named a = {.name = 'a'};
    dz_timer_set(loop, &a.t, 60000, note);
    dz_loop_turn(loop, 0);
    dz_loop_turn(loop, 1);
    assert_int_equal(seen_n, 0);
    assert_true(a.t.at != 0);
    dz_timer_stop(loop, &a.t);
    assert_int_equal(a.t.at, 0);
    dz_timer_stop(loop, &a.t);
    dz_loop_turn(loop, 0);
    assert_int_equal(seen_n, 0);
}

static void moved_later_fires_by_the_new_time(void **state)
{
    (void)state;
    struct named a = {.name = 'a'}, b = {.name = 'b'};
    dz_timer_set(loop, &a.t, 1, note);
    dz_timer_set(loop, &b.t, 4, note);
    size_t at = a.t.at;
    int64_t queued_ms = a.t.queued_ms;
    dz_timer_set(loop, &a.t, 8, note);
    assert_int_equal(a.t.at, at);
    assert_int_equal(a.t.queued_ms, queued_ms);
    let_pass(10); /* all keys have come up: the order must still be that of the due times */
    dz_loop_turn(loop, 0);
    assert_seen("ba");
}

static void moved_earlier_fires_first(void **state)
{
    (void)state;
    struct named a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
    dz_timer_set(loop, &a.t, 60000, note);
    dz_timer_set(loop, &b.t, 5, note);
    dz_timer_set(loop, &c.t, 30000, note);
    dz_timer_set(loop, &a.t, 1, note);
    until_seen(2);
    assert_seen("ab");
    /* Later, then earlier than that but later than its key. */
    dz_timer_set(loop, &c.t, 90000, note);
    dz_timer_set(loop, &c.t, 40000, note);
    dz_timer_set(loop, &c.t, 2, note);
    until_seen(3);
    assert_seen("abc");
}

static void stop_other(struct dz_loop *l, struct dz_timer *t)
{
    note(l, t);
    dz_timer_stop(l, &dz_container(t, struct named, t)->other->t);
    dz_timer_stop(l, t);
}

static void stopping_inside_a_callback(void **state)
{
    (void)state;
    struct named b = {.name = 'b'}, a = {.name = 'a', .other = &b}, c = {.name = 'c'};
    dz_timer_set(loop, &a.t, 1, stop_other);
    dz_timer_set(loop, &b.t, 2, note);
    dz_timer_set(loop, &c.t, 3, note);
    let_pass(4);
    dz_loop_turn(loop, 0);
    assert_seen("ac");
    assert_int_equal(b.t.at, 0);
}

static void free_itself(struct dz_loop *l, struct dz_timer *t)
{
    note(l, t);
    free(dz_container(t, struct named, t));
}

static void set_again(struct dz_loop *l, struct dz_timer *t)
{
    note(l, t);
    if (seen_n < 3)
        dz_timer_set(l, t, 0, set_again);
    else
        dz_timer_set(l, t, 0, free_itself);
}

static void setting_inside_a_callback_ends_the_turn(void **state)
{
    (void)state;
    struct named *a = dz_new(struct named);
    a->name = 'a';
    dz_timer_set(loop, &a->t, 0, set_again);
    dz_loop_turn(loop, -1);
    assert_int_equal(seen_n, 1);
    until_seen(4);
    assert_seen("aaaa");
}

static struct named many[2000];
static size_t fired;
static int64_t last_due_ms;

static void in_order(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    assert_true(t->due_ms >= last_due_ms);
    last_due_ms = t->due_ms;
    fired++;
}

static void many_at_random(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    fired = 0;
    last_due_ms = 0;
    memset(many, 0, sizeof(many));
    for (size_t round = 0; round < 4; round++) {
        for (size_t i = 0; i < DZ_LEN(many); i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            if (x % 5 == 0)
                dz_timer_stop(loop, &many[i].t);
            else
                dz_timer_set(loop, &many[i].t, (int64_t)(x % 20), in_order);
        }
    }
    size_t set = 0;
    for (size_t i = 0; i < DZ_LEN(many); i++)
        set += many[i].t.at != 0;
    assert_true(set > 0);
    let_pass(21); /* in one turn, so that a late key cannot hide a wrong order */
    dz_loop_turn(loop, 0);
    assert_int_equal(fired, set);
    for (size_t i = 0; i < DZ_LEN(many); i++)
        assert_int_equal(many[i].t.at, 0);
}

static void far_times_do_not_overflow(void **state)
{
    (void)state;
    struct named a = {.name = 'a'}, b = {.name = 'b'};
    dz_timer_set(loop, &a.t, INT64_MAX, note);
    dz_timer_set(loop, &b.t, -5, note);
    until_seen(1);
    assert_seen("b");
    dz_timer_stop(loop, &a.t);
}

static void the_date_follows_the_clock(void **state)
{
    (void)state;
    dz_clock_set_for_test(784111777LL * 1000 + 999);
    dz_loop_turn(loop, 0);
    assert_int_equal(dz_loop_wall_s(loop), 784111777);
    assert_string_equal(dz_loop_http_date(loop), "Sun, 06 Nov 1994 08:49:37 GMT");
    const char *date = dz_loop_http_date(loop);
    dz_clock_set_for_test(784111778LL * 1000);
    assert_string_equal(date, "Sun, 06 Nov 1994 08:49:37 GMT");
    dz_loop_turn(loop, 0);
    assert_string_equal(date, "Sun, 06 Nov 1994 08:49:38 GMT");
    dz_clock_set_for_test(-1);
    dz_loop_turn(loop, 0);
    assert_true(dz_loop_wall_s(loop) >= time(NULL) - 5);
}

static void the_clock_stands_during_a_turn_and_goes_on_after(void **state)
{
    (void)state;
    int64_t before_ms = dz_loop_now_ms(loop);
    let_pass(2);
    assert_int_equal(dz_loop_now_ms(loop), before_ms);
    dz_loop_turn(loop, 0);
    assert_true(dz_loop_now_ms(loop) >= before_ms + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fires_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_before_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(moved_later_fires_by_the_new_time, setup, teardown),
        cmocka_unit_test_setup_teardown(moved_earlier_fires_first, setup, teardown),
        cmocka_unit_test_setup_teardown(stopping_inside_a_callback, setup, teardown),
        cmocka_unit_test_setup_teardown(setting_inside_a_callback_ends_the_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(many_at_random, setup, teardown),
        cmocka_unit_test_setup_teardown(far_times_do_not_overflow, setup, teardown),
        cmocka_unit_test_setup_teardown(the_date_follows_the_clock, setup, teardown),
        cmocka_unit_test_setup_teardown(the_clock_stands_during_a_turn_and_goes_on_after, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
