/*
 * Messages: order, many senders, a loop that sleeps, posting from a message, stopping from another
 * thread, and what happens to messages nobody took. Meant to be run under ThreadSanitizer too.
 */
#include "test.h"

#include "loop/loop.h"

#include <pthread.h>
#include <stdlib.h>

#define SENDERS 4
#define EACH 20000

static struct dz_loop *loop;

static int setup(void **state)
{
    (void)state;
    must(dz_loop_new(&loop, err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dz_loop_free(&loop);
    return 0;
}

struct number {
    struct dz_msg msg;
    int sender;
    int n;
};

static int next_of[SENDERS];
static int received;

static void receive(struct dz_loop *l, struct dz_msg *m)
{
    struct number *x = dz_container(m, struct number, msg);
    assert_true(dz_loop_is_owner(l));
    assert_int_equal(x->n, next_of[x->sender]);
    next_of[x->sender]++;
    free(x);
    if (++received == SENDERS * EACH)
        dz_loop_stop(l);
}

static void *sender(void *arg)
{
    int me = *(int *)arg;
    assert_false(dz_loop_is_owner(loop));
    for (int i = 0; i < EACH; i++) {
        struct number *x = dz_new(struct number);
        x->sender = me;
        x->n = i;
        x->msg.fn = receive;
        dz_loop_post(loop, &x->msg);
    }
    return NULL;
}

static void many_senders_each_in_order(void **state)
{
    (void)state;
    pthread_t threads[SENDERS];
    int names[SENDERS];
    memset(next_of, 0, sizeof(next_of));
    received = 0;
    for (int i = 0; i < SENDERS; i++) {
        names[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, sender, &names[i]), 0);
    }
    dz_loop_run(loop);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(received, SENDERS * EACH);
}

/* Two loops that play one message back and forth: each is asleep at nearly every posting, so a
 * lost wake-up would hang the test. */
static struct dz_loop *far_loop;
static int bounces;

static void bounce_far(struct dz_loop *l, struct dz_msg *m);

static void bounce_here(struct dz_loop *l, struct dz_msg *m)
{
    if (++bounces == 20000) {
        dz_loop_stop(far_loop);
        dz_loop_stop(l);
        return;
    }
    m->fn = bounce_far;
    dz_loop_post(far_loop, m);
}

static void bounce_far(struct dz_loop *l, struct dz_msg *m)
{
    (void)l;
    m->fn = bounce_here;
    dz_loop_post(loop, m);
}

static void *run_far(void *arg)
{
    (void)arg;
    dz_loop_run(far_loop);
    return NULL;
}

static void no_wake_up_is_lost(void **state)
{
    (void)state;
    pthread_t thread;
    struct dz_msg m = {.fn = bounce_far};
    bounces = 0;
    must(dz_loop_new(&far_loop, err));
    assert_int_equal(pthread_create(&thread, NULL, run_far, NULL), 0);
    dz_loop_post(far_loop, &m);
    dz_loop_run(loop);
    pthread_join(thread, NULL);
    dz_loop_free(&far_loop);
    assert_int_equal(bounces, 20000);
}

static char said[16];

struct say {
    struct dz_msg msg;
    char c;
    struct say *then;
};

static void on_say(struct dz_loop *l, struct dz_msg *m)
{
    struct say *s = dz_container(m, struct say, msg);
    size_t n = strlen(said);
    said[n] = s->c;
    said[n + 1] = 0;
    if (s->then)
        dz_loop_post(l, &s->then->msg);
}

static void posted_from_a_message_comes_in_the_next_turn(void **state)
{
    (void)state;
    struct say c = {.msg.fn = on_say, .c = 'c'};
    struct say a = {.msg.fn = on_say, .c = 'a', .then = &c};
    struct say b = {.msg.fn = on_say, .c = 'b'};
    said[0] = 0;
    dz_loop_post(loop, &a.msg);
    dz_loop_post(loop, &b.msg);
    dz_loop_turn(loop, -1);
    assert_string_equal(said, "ab");
    dz_loop_turn(loop, -1);
    assert_string_equal(said, "abc");
}

static void *stopper(void *arg)
{
    (void)arg;
    dz_loop_stop(loop);
    return NULL;
}

static void stopped_from_another_thread(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, stopper, NULL), 0);
        dz_loop_run(loop); /* whether the stop comes before, at the start or in the wait */
        pthread_join(thread, NULL);
    }
}

static int dropped;

static void must_not_run(struct dz_loop *l, struct dz_msg *m)
{
    (void)l, (void)m;
    fail_msg("a message was delivered by a loop that is being freed");
}

static void drop(struct dz_msg *m)
{
    dropped++;
    free(m);
}

static void undelivered_messages_are_dropped(void **state)
{
    (void)state;
    struct dz_loop *l = NULL;
    struct dz_msg on_stack = {.fn = must_not_run};
    must(dz_loop_new(&l, err));
    dropped = 0;
    for (int i = 0; i < 3; i++) {
        struct dz_msg *m = dz_new(struct dz_msg);
        m->fn = must_not_run;
        m->drop = drop;
        dz_loop_post(l, m);
    }
    dz_loop_post(l, &on_stack);
    dz_loop_free(&l);
    assert_null(l);
    assert_int_equal(dropped, 3);
    dz_loop_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_senders_each_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(no_wake_up_is_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(posted_from_a_message_comes_in_the_next_turn, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(stopped_from_another_thread, setup, teardown),
        cmocka_unit_test(undelivered_messages_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
