/*
 * shared_line: connections of the shared cache (shared.c): a few that are kept, one at a time for a
 * call.
 *
 * One that broke while it lay idle is replaced once, for the server may have closed it; whatever
 * else goes wrong loses Redis, and all idle ones are closed. hiredis allocates by itself; a context
 * belongs to whoever has taken it. Any thread.
 */
#include "cache/shared_int.h"

#include <errno.h>
#include <sys/time.h>

static struct timeval timeout_of(const struct dz_shared_cache *c)
{
    return (struct timeval){c->o.timeout_ms / 1000, c->o.timeout_ms % 1000 * 1000};
}

/* An answer that says no. What Redis refuses for one key, or for want of room, is no fault of the
 * connection. */
static bool is_refusal(const redisReply *r)
{
    return r->type == REDIS_REPLY_ERROR && strncmp(r->str, "WRONGTYPE", 9) != 0 &&
           strncmp(r->str, "OOM", 3) != 0 && strncmp(r->str, "EXECABORT", 9) != 0;
}

/* The next answer, NULL: none, and `why` says it. The caller frees. */
redisReply *shared_reply(struct shared_line *l)
{
    void *reply = NULL;
    if (redisGetReply(l->rc, &reply) != REDIS_OK) {
        l->late = l->rc->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK);
        (void)snprintf(l->why, sizeof(l->why), "%s", l->late ? "no answer in time" : l->rc->errstr);
        return NULL;
    }
    redisReply *r = reply;
    if (!is_refusal(r))
        return r;
    (void)snprintf(l->why, sizeof(l->why), "%s", r->str);
    freeReplyObject(r);
    return NULL;
}

bool shared_replies(struct shared_line *l, int n)
{
    for (int i = 0; i < n; i++) {
        redisReply *r = shared_reply(l);
        if (!r)
            return false;
        freeReplyObject(r);
    }
    return true;
}

void shared_hang_up(struct shared_line *l)
{
    if (l->rc)
        redisFree(l->rc);
    l->rc = NULL;
}

/* Logs in, and writes something: a server that cannot is of no use. */
static bool greet(struct shared_line *l)
{
    const struct dz_redis_address *a = &l->c->address;
    redisContext *rc = l->rc;
    int n = 1;
    if (a->user[0])
        n += redisAppendCommand(rc, "AUTH %s %s", a->user, a->password) == REDIS_OK;
    else if (a->password[0])
        n += redisAppendCommand(rc, "AUTH %s", a->password) == REDIS_OK;
    if (a->db > 0)
        n += redisAppendCommand(rc, "SELECT %u", a->db) == REDIS_OK;
    (void)redisAppendCommand(rc, "SET dozo:cache:trial 1 PX 1000");
    return shared_replies(l, n);
}

/* False: `why` says it. Blocks. */
bool shared_connect(struct shared_line *l, const char *numeric)
{
    const struct dz_redis_address *a = &l->c->address;
    struct timeval timeout = timeout_of(l->c);
    l->rc = a->path[0] ? redisConnectUnixWithTimeout(a->path, timeout)
                       : redisConnectWithTimeout(numeric, a->port, timeout);
    if (l->rc && !l->rc->err && redisSetTimeout(l->rc, timeout) == REDIS_OK && greet(l))
        return true;
    if (!l->why[0])
        (void)snprintf(l->why, sizeof(l->why), "%s", l->rc ? l->rc->errstr : "no memory");
    shared_hang_up(l);
    return false;
}

/* The lock is held. */
void shared_drop_idle(struct dz_shared_cache *c)
{
    while (c->idle_n > 0) {
        redisFree(c->idle[--c->idle_n]);
        c->open_n--;
    }
}

void shared_lose(struct dz_shared_cache *c, const char *why)
{
    pthread_mutex_lock(&c->lock);
    if (c->up) {
        c->up = false;
        c->stats.losses++;
        (void)snprintf(c->why, sizeof(c->why), "%s", why);
        shared_drop_idle(c);
        pthread_cond_broadcast(&c->wake);
    }
    pthread_mutex_unlock(&c->lock);
}

void shared_let_go(struct shared_line *l)
{
    struct dz_shared_cache *c = l->c;
    pthread_mutex_lock(&c->lock);
    if (l->rc && !l->rc->err && c->up && !c->stop)
        c->idle[c->idle_n++] = dz_take(&l->rc);
    else
        c->open_n--;
    pthread_mutex_unlock(&c->lock);
    shared_hang_up(l);
}

/* False: not now. Anew: not one that lay idle, for those are as old as one that broke. */
bool shared_take(struct shared_line *l, bool anew)
{
    struct dz_shared_cache *c = l->c;
    char numeric[REDIS_ADDRESS_ROOM];
    pthread_mutex_lock(&c->lock);
    if (anew)
        shared_drop_idle(c);
    bool idle = c->up && c->idle_n > 0;
    bool room = c->up && c->open_n < c->o.connections;
    if (idle)
        l->rc = c->idle[--c->idle_n];
    else if (room)
        c->open_n++;
    memcpy(numeric, c->numeric, sizeof(numeric));
    pthread_mutex_unlock(&c->lock);
    l->fresh = !idle;
    if (idle || !room)
        return idle;
    if (shared_connect(l, numeric))
        return true;
    shared_let_go(l);
    shared_lose(c, l->why);
    return false;
}

bool shared_talk(struct dz_shared_cache *c, shared_talk_fn *fn, void *arg)
{
    bool done = false, again = true;
    for (int i = 0; i < 2 && again && !done; i++) {
        struct shared_line l = {.c = c};
        if (!shared_take(&l, i > 0))
            break;
        done = fn(&l, arg);
        again = !done && !l.fresh && !l.late && l.rc->err != 0; /* it broke while it lay idle */
        if (!done)
            shared_hang_up(&l); /* answers may still be on their way */
        shared_let_go(&l);
        if (!done && !again)
            shared_lose(c, l.why);
    }
    if (!done) {
        pthread_mutex_lock(&c->lock);
        c->stats.skipped++;
        pthread_mutex_unlock(&c->lock);
    }
    return done;
}
