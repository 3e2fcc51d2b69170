/*
 * pool: connections that are taken and given back.
 *
 * In: options. Out: connections, at most pool_max at a time. Whoever takes one and finds none idle
 * makes one himself. When that fails the pool is down: every take fails at once with that reason,
 * and the pool's thread alone tries again, with back-off, until the server is there. The same
 * thread closes what has been idle for long. Any thread; `lock` guards all that changes, and nobody
 * holds it while he waits for the server.
 */
#include "pg/pg_int.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    ACQUIRE_MS = 5000,
    WAIT_FIRST_MS = 100,
    WAIT_MAX_MS = 1000,
    IDLE_MS = 300000,
    LOOK_MS = 30000,
    FULL_MS = 1000,
};

static void wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ms)
{
    struct timespec at = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    (void)pthread_cond_timedwait(cond, lock, &at);
}

/* ---- idle ones, under the lock -----------------------------------------------------------------
 */

static void put_idle(struct dz_pg *p, struct dz_pg_conn *c)
{
    c->idle_since_ms = pg_now_ms();
    c->next = p->idle;
    p->idle = c;
    p->idle_n++;
}

static struct dz_pg_conn *pop_idle(struct dz_pg *p)
{
    struct dz_pg_conn *c = p->idle;
    if (c) {
        p->idle = c->next;
        c->next = NULL;
        p->idle_n--;
    }
    return c;
}

static void free_all(struct dz_pg_conn *list)
{
    while (list) {
        struct dz_pg_conn *c = list;
        list = c->next;
        pg_conn_free(&c);
    }
}

static struct dz_pg_conn *take_all_idle(struct dz_pg *p)
{
    struct dz_pg_conn *all = p->idle;
    p->total_n -= p->idle_n;
    p->idle = NULL;
    p->idle_n = 0;
    return all;
}

/* The last in the list have been idle for longest. */
static struct dz_pg_conn *take_old(struct dz_pg *p)
{
    struct dz_pg_conn **at = &p->idle;
    int64_t before_ms = pg_now_ms() - IDLE_MS;
    uint32_t kept = p->total_n - p->idle_n;
    while (*at && (kept < p->min || (*at)->idle_since_ms > before_ms)) {
        at = &(*at)->next;
        kept++;
    }
    struct dz_pg_conn *old = *at;
    *at = NULL;
    for (struct dz_pg_conn *c = old; c; c = c->next) {
        p->idle_n--;
        p->total_n--;
    }
    return old;
}

/* Returns what is to be freed without the lock. */
static struct dz_pg_conn *go_down(struct dz_pg *p, const struct dz_err *why)
{
    p->why = *why;
    if (!p->down) {
        p->down = true;
        pthread_cond_signal(&p->keeper);
        pthread_cond_broadcast(&p->freed);
    }
    return take_all_idle(p);
}

void pg_pool_down(struct dz_pg *pool, const struct dz_err *why)
{
    pthread_mutex_lock(&pool->lock);
    struct dz_pg_conn *dead = go_down(pool, why);
    pthread_mutex_unlock(&pool->lock);
    free_all(dead);
}

/* ---- the thread --------------------------------------------------------------------------------
 */

/* With the lock held, which it lets go meanwhile. */
static void probe(struct dz_pg *p, int64_t *wait_ms)
{
    struct dz_pg_conn *c = NULL;
    struct dz_err why = {0};
    pthread_mutex_unlock(&p->lock);
    enum dz_code code = pg_conn_new(p, p->wake_fd, &c, &why);
    pthread_mutex_lock(&p->lock);
    if (code == DZ_OK) {
        p->down = false;
        p->total_n++;
        put_idle(p, c);
        *wait_ms = WAIT_FIRST_MS;
        pthread_cond_broadcast(&p->freed);
        return;
    }
    if (!p->closing)
        p->why = why;
    int64_t jitter_ms = (int64_t)(dz_random_u64() % (uint64_t)(*wait_ms / 4 + 1));
    int64_t until_ms = pg_now_ms() + *wait_ms + jitter_ms;
    *wait_ms = *wait_ms * 2 < WAIT_MAX_MS ? *wait_ms * 2 : WAIT_MAX_MS;
    while (!p->closing && pg_now_ms() < until_ms)
        wait_until(&p->keeper, &p->lock, until_ms);
}

static void *keep(void *arg)
{
    struct dz_pg *p = arg;
    int64_t wait_ms = WAIT_FIRST_MS;
    pthread_mutex_lock(&p->lock);
    while (!p->closing) {
        if (p->down) {
            probe(p, &wait_ms);
            continue;
        }
        wait_until(&p->keeper, &p->lock, pg_now_ms() + LOOK_MS);
        struct dz_pg_conn *old = take_old(p);
        pthread_mutex_unlock(&p->lock);
        free_all(old);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Signals are for threads that expect them. */
static enum dz_code start_thread(struct dz_pg *p, struct dz_err *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&p->thread, NULL, keep, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return dz_fail_errno(err, DZ_IO, rc, "a thread for PostgreSQL");
    p->has_thread = true;
    return DZ_OK;
}

/* ---- opening and closing -----------------------------------------------------------------------
 */

static enum dz_code fill(struct dz_pg *p, struct dz_err *err)
{
    for (uint32_t i = 0; i < p->min; i++) {
        struct dz_pg_conn *c = NULL;
        DZ_TRY(pg_conn_new(p, -1, &c, err));
        p->total_n++;
        put_idle(p, c);
    }
    return DZ_OK;
}

enum dz_code dz_pg_open(const struct dz_pg_options *o, struct dz_pg **ret_pg, struct dz_err *err)
{
    DZ_AUTO(dz_pg_close) struct dz_pg *p = dz_new(struct dz_pg);
    pthread_condattr_t attr;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->freed, &attr);
    pthread_cond_init(&p->keeper, &attr);
    pthread_condattr_destroy(&attr);
    p->pid = (int)getpid();
    p->min = o->pool_min ? o->pool_min : 1;
    p->max = o->pool_max > p->min ? o->pool_max : p->min;
    p->acquire_ms = o->acquire_ms > 0 ? o->acquire_ms : ACQUIRE_MS;
    p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->wake_fd < 0)
        return dz_fail_errno(err, DZ_IO, errno, "eventfd");
    if (p->max > DZ_PG_POOL_MAX)
        return dz_fail(err, DZ_BAD_INPUT, "a pool of %u connections to PostgreSQL; at most %u",
                       p->max, DZ_PG_POOL_MAX);
    DZ_TRY(pg_address_init(&p->address, o, err));
    DZ_TRY(fill(p, err));
    DZ_TRY(start_thread(p, err));
    *ret_pg = dz_take(&p);
    return DZ_OK;
}

void dz_pg_close(struct dz_pg **pg)
{
    struct dz_pg *p = dz_take(pg);
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->keeper);
    pthread_mutex_unlock(&p->lock);
    if (p->has_thread) {
        (void)eventfd_write(p->wake_fd, 1);
        pthread_join(p->thread, NULL);
    }
    free_all(take_all_idle(p));
    dz_assert(p->total_n == 0);
    dz_closep(&p->wake_fd);
    pthread_cond_destroy(&p->freed);
    pthread_cond_destroy(&p->keeper);
    pthread_mutex_destroy(&p->lock);
    pg_address_done(&p->address);
    free(p);
}

const char *dz_pg_place(const struct dz_pg *pg)
{
    return pg->address.place;
}

/* ---- taking and giving -------------------------------------------------------------------------
 */

static enum dz_code say_why(const struct dz_pg *p, struct dz_err *err)
{
    if (err)
        *err = p->why;
    return p->why.code;
}

enum dz_code dz_pg_state(struct dz_pg *pg, struct dz_err *err)
{
    pthread_mutex_lock(&pg->lock);
    enum dz_code code = pg->down ? say_why(pg, err) : DZ_OK;
    pthread_mutex_unlock(&pg->lock);
    return code;
}

/* One more connection, whose place in total_n is taken already; with the lock held, which it lets
 * go meanwhile. DZ_CONFLICT: the server has no room for it, but there are others to wait for. */
static enum dz_code make_one(struct dz_pg *p, struct dz_pg_conn **ret_c, struct dz_err *err)
{
    struct dz_err why = {0};
    pthread_mutex_unlock(&p->lock);
    enum dz_code code = pg_conn_new(p, -1, ret_c, &why);
    pthread_mutex_lock(&p->lock);
    if (code == DZ_OK)
        return DZ_OK;
    p->total_n--;
    if (dz_pg_is_state(&why, "53300") && p->total_n > 0) {
        p->no_more_until_ms = pg_now_ms() + FULL_MS;
        return DZ_CONFLICT;
    }
    struct dz_pg_conn *dead = go_down(p, &why);
    pthread_mutex_unlock(&p->lock);
    free_all(dead);
    pthread_mutex_lock(&p->lock);
    if (err)
        *err = why;
    return why.code;
}

/* An idle one that lives; NULL: there is none. As make_one with the lock. */
static struct dz_pg_conn *find_idle(struct dz_pg *p)
{
    struct dz_pg_conn *c;
    while ((c = pop_idle(p))) {
        pthread_mutex_unlock(&p->lock);
        bool alive = pg_conn_alive(c);
        if (!alive)
            pg_conn_free(&c);
        pthread_mutex_lock(&p->lock);
        if (alive)
            return c;
        p->total_n--;
    }
    return NULL;
}

/* With the lock held at its start and end. */
static enum dz_code take_one(struct dz_pg *p, struct dz_pg_conn **ret_c, struct dz_err *err)
{
    int64_t until_ms = pg_now_ms() + p->acquire_ms;
    for (;;) {
        if (p->down)
            return say_why(p, err);
        if ((*ret_c = find_idle(p)))
            return DZ_OK;
        int64_t now_ms = pg_now_ms();
        if (!p->down && p->total_n < p->max && now_ms >= p->no_more_until_ms) {
            p->total_n++;
            enum dz_code code = make_one(p, ret_c, err);
            if (code != DZ_CONFLICT)
                return code;
            continue;
        }
        if (p->down)
            continue;
        if (now_ms >= until_ms)
            return dz_fail(err, DZ_UNAVAILABLE,
                           "PostgreSQL, %.120s: all %u connections are busy for %lld ms",
                           p->address.place, p->total_n, (long long)p->acquire_ms);
        int64_t look_ms = p->total_n < p->max ? p->no_more_until_ms : until_ms;
        wait_until(&p->freed, &p->lock, look_ms < until_ms ? look_ms : until_ms);
    }
}

enum dz_code dz_pg_take(struct dz_pg *pg, struct dz_pg_conn **ret_conn, struct dz_err *err)
{
    struct dz_pg_conn *c = NULL;
    dz_assert(pg->pid == (int)getpid());
    pthread_mutex_lock(&pg->lock);
    enum dz_code code = take_one(pg, &c, err);
    pthread_mutex_unlock(&pg->lock);
    if (code == DZ_OK)
        *ret_conn = c;
    return code;
}

void dz_pg_give(struct dz_pg_conn **conn)
{
    struct dz_pg_conn *c = dz_take(conn);
    if (!c)
        return;
    struct dz_pg *p = c->pool;
    pg_conn_rest(c);
    bool held = c->loss == PG_HELD;
    if (!held)
        pg_conn_free(&c);
    pthread_mutex_lock(&p->lock);
    if (held)
        put_idle(p, c);
    else
        p->total_n--;
    pthread_cond_signal(&p->freed);
    pthread_mutex_unlock(&p->lock);
}
