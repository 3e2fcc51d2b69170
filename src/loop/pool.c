/*
 * pool: a fixed set of worker threads over one bounded queue, for what may block.
 *
 * Work goes in from any thread; run is called on a worker, then done on the home loop (as a posted
 * message) or, without a home, on the same worker. Work that has been taken is always run and its
 * done always called once: closing refuses new work and finishes the old, and a home loop that ends
 * with a finished work undelivered calls done from dz_loop_free(). The pool owns a work from submit
 * to done and never frees one.
 */
#include "loop/loop_int.h"

#include <pthread.h>

struct dz_pool {
    pthread_mutex_t lock;
    pthread_cond_t more; /* work has come, or the pool closes */
    struct dz_work *first, **last;
    size_t queued, queue_max;
    unsigned idle; /* workers waiting for `more` */
    bool closing;
    unsigned started;
    pthread_t threads[];
};

static void deliver(struct dz_loop *l, struct dz_msg *m)
{
    (void)l;
    struct dz_work *w = dz_container(m, struct dz_work, msg);
    w->done(w);
}

static void undelivered(struct dz_msg *m)
{
    deliver(NULL, m);
}

/* The oldest work; NULL when the pool closes and nothing is left. */
static struct dz_work *next_work(struct dz_pool *p)
{
    pthread_mutex_lock(&p->lock);
    while (!p->first && !p->closing) {
        p->idle++;
        pthread_cond_wait(&p->more, &p->lock);
        p->idle--;
    }
    struct dz_work *w = p->first;
    if (w) {
        p->first = w->next;
        if (!p->first)
            p->last = &p->first;
        p->queued--;
    }
    pthread_mutex_unlock(&p->lock);
    return w;
}

static void *worker(void *arg)
{
    struct dz_pool *p = arg;
    (void)pthread_setname_np(pthread_self(), "dozo-worker");
    struct dz_work *w;
    while ((w = next_work(p)) != NULL) {
        struct dz_loop *home = w->home;
        w->run(w);
        if (home) {
            w->msg.fn = deliver;
            w->msg.drop = undelivered;
            dz_loop_post(home, &w->msg);
        } else {
            w->done(w);
        }
    }
    return NULL;
}

enum dz_code dz_pool_new(unsigned threads, size_t queue_max, struct dz_pool **ret_p,
                         struct dz_err *err)
{
    dz_assert(threads > 0 && queue_max > 0);
    struct dz_pool *p = dz_zalloc(sizeof(*p) + threads * sizeof(p->threads[0]));
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);
    p->last = &p->first;
    p->queue_max = queue_max;
    for (; p->started < threads; p->started++) {
        int native = pthread_create(&p->threads[p->started], NULL, worker, p);
        if (native != 0) {
            unsigned started = p->started;
            dz_pool_close(&p);
            return dz_fail_errno(err, DZ_IO, native, "cannot start worker thread %u of %u",
                                 started + 1, threads);
        }
    }
    *ret_p = p;
    return DZ_OK;
}

enum dz_code dz_pool_submit(struct dz_pool *p, struct dz_work *w, struct dz_err *err)
{
    dz_assert(w->run && w->done);
    w->next = NULL;
    pthread_mutex_lock(&p->lock);
    bool closing = p->closing;
    bool full = p->queued >= p->queue_max;
    if (!closing && !full) {
        *p->last = w;
        p->last = &w->next;
        p->queued++;
        if (p->idle > 0)
            pthread_cond_signal(&p->more);
    }
    pthread_mutex_unlock(&p->lock);
    if (closing)
        return dz_fail(err, DZ_FULL, "the worker pool is closing");
    if (full)
        return dz_fail(err, DZ_FULL, "the queue of the worker pool is full (%zu waiting)",
                       p->queue_max);
    return DZ_OK;
}

void dz_pool_close(struct dz_pool **p)
{
    struct dz_pool *gone = *p;
    if (!gone)
        return;
    pthread_mutex_lock(&gone->lock);
    gone->closing = true;
    pthread_cond_broadcast(&gone->more);
    pthread_mutex_unlock(&gone->lock);
    for (unsigned i = 0; i < gone->started; i++)
        pthread_join(gone->threads[i], NULL);
    dz_assert(gone->queued == 0);
    /* Not before: work that is being finished may come to us through *p and must be refused. */
    *p = NULL;
    pthread_cond_destroy(&gone->more);
    pthread_mutex_destroy(&gone->lock);
    dz_freep(&gone);
}
