/*
 * Workers: done on the home loop and on the worker, order, a full queue, closing, and work whose
 * home loop has ended. Meant to be run under ThreadSanitizer too.
 */
#include "test.h"

#include "loop/loop.h"

#include <pthread.h>
#include <stdlib.h>

struct job {
    struct dz_work work;
    int n;
    int square;
    pthread_t ran_on;
};

static struct dz_loop *loop;
static struct dz_pool *pool;
static atomic_int ran;
static int done_n, last_n, wanted;

/* Holds workers inside run until the test lets them go. */
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static int at_gate;

static int setup(void **state)
{
    (void)state;
    must(dz_loop_new(&loop, err));
    atomic_store(&ran, 0);
    done_n = 0;
    last_n = -1;
    gate_open = false;
    at_gate = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dz_pool_close(&pool);
    assert_null(pool);
    dz_loop_free(&loop);
    return 0;
}

static void open_gate(void)
{
    pthread_mutex_lock(&gate_lock);
    gate_open = true;
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}

static void wait_at_gate(int n)
{
    pthread_mutex_lock(&gate_lock);
    while (at_gate < n)
        pthread_cond_wait(&gate_changed, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
}

static void run_square(struct dz_work *w)
{
    struct job *j = dz_container(w, struct job, work);
    j->square = j->n * j->n;
    j->ran_on = pthread_self();
    atomic_fetch_add(&ran, 1);
}

static void run_gated(struct dz_work *w)
{
    pthread_mutex_lock(&gate_lock);
    at_gate++;
    pthread_cond_broadcast(&gate_changed);
    while (!gate_open)
        pthread_cond_wait(&gate_changed, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
    run_square(w);
}

static void done_home(struct dz_work *w)
{
    struct job *j = dz_container(w, struct job, work);
    assert_true(dz_loop_is_owner(loop));
    assert_int_equal(j->square, j->n * j->n);
    assert_false(pthread_equal(j->ran_on, pthread_self()));
    last_n = j->n;
    free(j);
    if (++done_n == wanted)
        dz_loop_stop(loop);
}

static void done_there(struct dz_work *w)
{
    struct job *j = dz_container(w, struct job, work);
    assert_true(pthread_equal(j->ran_on, pthread_self()));
    free(j);
}

static struct job *job(int n, void (*run)(struct dz_work *w), struct dz_loop *home)
{
    struct job *j = dz_new(struct job);
    j->n = n;
    j->work.run = run;
    j->work.home = home;
    j->work.done = home ? done_home : done_there;
    return j;
}

static void done_comes_to_the_home_loop(void **state)
{
    (void)state;
    wanted = 5000;
    must(dz_pool_new(3, (size_t)wanted, &pool, err));
    for (int i = 0; i < wanted; i++)
        must(dz_pool_submit(pool, &job(i, run_square, loop)->work, err));
    dz_loop_run(loop);
    assert_int_equal(done_n, wanted);
    assert_int_equal(atomic_load(&ran), wanted);
}

static void done_home_in_order(struct dz_work *w)
{
    struct job *j = dz_container(w, struct job, work);
    assert_int_equal(j->n, last_n + 1);
    done_home(w);
}

static void one_worker_keeps_the_order(void **state)
{
    (void)state;
    wanted = 1000;
    must(dz_pool_new(1, (size_t)wanted, &pool, err));
    for (int i = 0; i < wanted; i++) {
        struct job *j = job(i, run_square, loop);
        j->work.done = done_home_in_order;
        must(dz_pool_submit(pool, &j->work, err));
    }
    dz_loop_run(loop);
    assert_int_equal(last_n, wanted - 1);
}

static void full_queue_gives_the_work_back(void **state)
{
    (void)state;
    struct dz_err why = {0};
    wanted = 4;
    must(dz_pool_new(2, 2, &pool, err));
    for (int i = 0; i < 2; i++)
        must(dz_pool_submit(pool, &job(i, run_gated, loop)->work, err));
    wait_at_gate(2); /* both workers are busy and the queue is empty */
    for (int i = 2; i < 4; i++)
        must(dz_pool_submit(pool, &job(i, run_square, loop)->work, err));
    struct job *refused = job(9, run_square, loop);
    assert_int_equal(dz_pool_submit(pool, &refused->work, &why), DZ_FULL);
    assert_non_null(strstr(why.text, "full"));
    open_gate();
    dz_loop_run(loop);
    assert_int_equal(done_n, 4);
    wanted = 5;
    must(dz_pool_submit(pool, &refused->work, err));
    dz_loop_run(loop);
    assert_int_equal(last_n, 9);
}

static void *close_pool(void *arg)
{
    (void)arg;
    dz_pool_close(&pool);
    return NULL;
}

static int taken;

static void run_until_refused(struct dz_work *w)
{
    struct dz_err why = {0};
    while (!strstr(why.text, "closing")) {
        struct job *more = job(1, run_square, NULL);
        enum dz_code code = dz_pool_submit(pool, &more->work, &why);
        if (code == DZ_OK) {
            taken++;
            continue;
        }
        assert_int_equal(code, DZ_FULL);
        free(more);
    }
    run_square(w);
}

static void closing_refuses_new_work(void **state)
{
    (void)state;
    taken = 0;
    must(dz_pool_new(2, 4, &pool, err));
    must(dz_pool_submit(pool, &job(1, run_until_refused, NULL)->work, err));
    dz_pool_close(&pool);
    assert_int_equal(atomic_load(&ran), taken + 1);
}

static void closing_finishes_what_is_queued(void **state)
{
    (void)state;
    must(dz_pool_new(2, 100, &pool, err));
    for (int i = 0; i < 2; i++)
        must(dz_pool_submit(pool, &job(i, run_gated, NULL)->work, err));
    wait_at_gate(2);
    for (int i = 0; i < 50; i++)
        must(dz_pool_submit(pool, &job(i, run_square, NULL)->work, err));
    pthread_t closer;
    assert_int_equal(pthread_create(&closer, NULL, close_pool, NULL), 0);
    open_gate();
    pthread_join(closer, NULL);
    assert_null(pool);
    assert_int_equal(atomic_load(&ran), 52);
}

static void home_that_ends_still_gets_done(void **state)
{
    (void)state;
    wanted = -1;
    must(dz_pool_new(2, 100, &pool, err));
    for (int i = 0; i < 20; i++)
        must(dz_pool_submit(pool, &job(i, run_square, loop)->work, err));
    dz_pool_close(&pool);
    assert_int_equal(atomic_load(&ran), 20);
    assert_int_equal(done_n, 0);
    dz_loop_free(&loop);
    assert_int_equal(done_n, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(done_comes_to_the_home_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(one_worker_keeps_the_order, setup, teardown),
        cmocka_unit_test_setup_teardown(full_queue_gives_the_work_back, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_finishes_what_is_queued, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_refuses_new_work, setup, teardown),
        cmocka_unit_test_setup_teardown(home_that_ends_still_gets_done, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
