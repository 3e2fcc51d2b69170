/*
 * shared: bytes in a Redis that several servers use (cache.h tells the contract).
 *
 * In: names, bytes and types from workers. Out: the same, as Redis has them. A call takes a
 * connection (shared_line.c), sends what it has to say in one write, reads the answers and gives it
 * back. When Redis is lost, every call is over at once, and the thread, which alone looks up names
 * of hosts, connects with back-off, deletes what was to be deleted meanwhile, and only then lets
 * calls in again. It also does the deletions that found no free connection. The lock is never held
 * while anything blocks.
 */
#include "cache/shared_int.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define CONNECTIONS 8u
#define TIMEOUT_MS 500
#define WAIT_FIRST_MS 100
#define WAIT_MAX_MS 5000
#define BUSY_WAIT_MS 20
#define MIME_MAX 1024u
#define GONE_MS "60000"
#define PIPELINE_MAX 64 /* names at once */
#define KEY_ROOM (DZ_SHARED_NAME_MAX + 16)

/* The three keys of a name. */
struct keys {
    char text[3][KEY_ROOM];
    size_t n[3];
};
enum { BYTES, MIME, GONE };

static bool is_name(dz_str name)
{
    return name.n > 0 && name.n <= DZ_SHARED_NAME_MAX;
}

static bool keys_of(dz_str name, struct keys *ret_keys)
{
    static const dz_str tails[] = {{"", 0}, {"__mime__", 8}, {"__gone__", 8}};
    if (!is_name(name))
        return false;
    for (size_t i = 0; i < DZ_LEN(tails); i++) {
        memcpy(ret_keys->text[i], name.p, name.n);
        memcpy(ret_keys->text[i] + name.n, tails[i].p, tails[i].n);
        ret_keys->n[i] = name.n + tails[i].n;
    }
    return true;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct getting {
    const struct keys *keys;
    redisReply *all; /* of EXEC */
    bool with_mime;
};

static void append(redisContext *rc, size_t n, const dz_str *words)
{
    const char *argv[16];
    size_t lens[16];
    dz_assert(n <= DZ_LEN(argv));
    for (size_t i = 0; i < n; i++) {
        argv[i] = words[i].p ? words[i].p : "";
        lens[i] = words[i].n;
    }
    /* Fails only for want of memory; the answer is missed then, and the connection given up. */
    (void)redisAppendCommandArgv(rc, (int)n, argv, lens);
}
#define APPEND(rc, ...)                                                                            \
    append((rc), DZ_LEN(((const dz_str[]){__VA_ARGS__})), (const dz_str[]){__VA_ARGS__})

static dz_str key(const struct keys *k, int which)
{
    return (dz_str){k->text[which], k->n[which]};
}

/* As one step: an empty value is not taken for one that came or went meanwhile. No more is sent
 * here than is taken, whatever lies there. */
static bool talk_get(struct shared_line *l, void *arg)
{
    struct getting *g = arg;
    redisContext *rc = l->rc;
    char bytes_end[24], mime_end[24];
    int b = snprintf(bytes_end, sizeof(bytes_end), "%llu", (unsigned long long)DZ_SHARED_VALUE_MAX);
    int m = snprintf(mime_end, sizeof(mime_end), "%u", MIME_MAX);
    APPEND(rc, DZ_S("MULTI"));
    APPEND(rc, DZ_S("EXISTS"), key(g->keys, GONE));
    APPEND(rc, DZ_S("EXISTS"), key(g->keys, BYTES));
    APPEND(rc, DZ_S("GETRANGE"), key(g->keys, BYTES), DZ_S("0"), {bytes_end, (size_t)b});
    if (g->with_mime) {
        APPEND(rc, DZ_S("EXISTS"), key(g->keys, MIME));
        APPEND(rc, DZ_S("GETRANGE"), key(g->keys, MIME), DZ_S("0"), {mime_end, (size_t)m});
    }
    APPEND(rc, DZ_S("EXEC"));
    if (!shared_replies(l, g->with_mime ? 6 : 4))
        return false;
    g->all = shared_reply(l);
    return g->all != NULL;
}

static bool is_there(const redisReply *all, size_t at)
{
    return at < all->elements && all->element[at]->type == REDIS_REPLY_INTEGER &&
           all->element[at]->integer == 1;
}

static bool text_at(const redisReply *all, size_t at, size_t max, dz_str *ret_text)
{
    if (at >= all->elements || all->element[at]->type != REDIS_REPLY_STRING)
        return false;
    *ret_text = (dz_str){all->element[at]->str, (size_t)all->element[at]->len};
    return ret_text->n <= max;
}

bool dz_shared_cache_get(struct dz_shared_cache *c, dz_str name, struct dz_arena *arena,
                         struct dz_body **ret_body, dz_str *ret_mime)
{
    struct keys keys;
    struct getting g = {.keys = &keys, .with_mime = ret_mime != NULL};
    if (!keys_of(name, &keys) || !shared_talk(c, talk_get, &g))
        return false;
    const redisReply *all = g.all;
    dz_str bytes, mime;
    struct dz_body *body = NULL;
    bool hit = all->type == REDIS_REPLY_ARRAY && !is_there(all, 0) && is_there(all, 1) &&
               text_at(all, 2, DZ_SHARED_VALUE_MAX, &bytes) &&
               dz_body_try(bytes.n, &body, NULL) == DZ_OK;
    if (hit) {
        if (bytes.n > 0)
            memcpy(body->p, bytes.p, bytes.n);
        *ret_body = body;
    }
    if (hit && ret_mime) {
        bool known = is_there(all, 3) && text_at(all, 4, MIME_MAX, &mime);
        *ret_mime = (dz_str){0};
        if (known)
            *ret_mime = (dz_str){dz_arena_dup(arena, mime), mime.n};
    }
    freeReplyObject(g.all);
    pthread_mutex_lock(&c->lock);
    *(hit ? &c->stats.hits : &c->stats.misses) += 1;
    pthread_mutex_unlock(&c->lock);
    return hit;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* KEYS: bytes, type, mark of a deletion. ARGV: milliseconds to live or 0, the bytes, the type or
 * nothing. */
static const char put_script[] =
    "if redis.call('EXISTS', KEYS[3]) == 1 then return 0 end\n"
    "local function set(key, value)\n"
    "  if ARGV[1] == '0' then redis.call('SET', key, value)\n"
    "  else redis.call('SET', key, value, 'PX', ARGV[1]) end\n"
    "end\n"
    "set(KEYS[1], ARGV[2])\n"
    "if ARGV[3] then set(KEYS[2], ARGV[3]) else redis.call('DEL', KEYS[2]) end\n"
    "return 1\n";

struct putting {
    const struct dz_shared_put *v[PIPELINE_MAX];
    size_t n;
    dz_str ttl;
    unsigned kept;
};

static void append_put(redisContext *rc, const struct dz_shared_put *one, dz_str ttl)
{
    struct keys keys;
    bool typed = one->mime.p && one->mime.n <= MIME_MAX;
    if (!keys_of(one->name, &keys))
        return;
    dz_str words[] = {DZ_S("EVAL"),     dz_str_of(put_script), DZ_S("3"), key(&keys, BYTES),
                      key(&keys, MIME), key(&keys, GONE),      ttl,       one->bytes,
                      one->mime};
    append(rc, DZ_LEN(words) - (typed ? 0 : 1), words);
}

static bool talk_put(struct shared_line *l, void *arg)
{
    struct putting *p = arg;
    p->kept = 0;
    for (size_t i = 0; i < p->n; i++)
        append_put(l->rc, p->v[i], p->ttl);
    for (size_t i = 0; i < p->n; i++) {
        redisReply *r = shared_reply(l);
        if (!r)
            return false;
        p->kept += r->type == REDIS_REPLY_INTEGER && r->integer == 1;
        freeReplyObject(r);
    }
    return true;
}

void dz_shared_cache_put_all(struct dz_shared_cache *c, const struct dz_shared_put *v, size_t n)
{
    char ttl[24];
    int ttl_n = snprintf(ttl, sizeof(ttl), "%lld", (long long)c->o.ttl_ms);
    for (size_t at = 0; at < n;) {
        struct putting p = {.ttl = {ttl, (size_t)ttl_n}};
        for (; at < n && p.n < PIPELINE_MAX; at++)
            if (v[at].bytes.n <= DZ_SHARED_VALUE_MAX && is_name(v[at].name))
                p.v[p.n++] = &v[at];
        if (p.n == 0 || !shared_talk(c, talk_put, &p))
            return;
        pthread_mutex_lock(&c->lock);
        c->stats.puts += p.kept;
        pthread_mutex_unlock(&c->lock);
    }
}

void dz_shared_cache_put(struct dz_shared_cache *c, dz_str name, dz_str bytes, dz_str mime)
{
    dz_shared_cache_put_all(c, &(struct dz_shared_put){name, bytes, mime}, 1);
}

struct deleting {
    const dz_str *names;
    size_t n;
};

/* The mark first: what is put after it is refused. */
static bool talk_del(struct shared_line *l, void *arg)
{
    const struct deleting *d = arg;
    redisContext *rc = l->rc;
    struct keys keys;
    int replies = 0;
    for (size_t i = 0; i < d->n; i++) {
        if (!keys_of(d->names[i], &keys))
            continue;
        APPEND(rc, DZ_S("SET"), key(&keys, GONE), DZ_S("1"), DZ_S("PX"), DZ_S(GONE_MS));
        APPEND(rc, DZ_S("DEL"), key(&keys, BYTES), key(&keys, MIME));
        replies += 2;
    }
    return shared_replies(l, replies);
}

/* To be deleted when there is a connection; the lock is held. */
static void owe(struct dz_shared_cache *c, dz_str name)
{
    if (!is_name(name))
        return;
    if (c->owed_n == OWED_MAX) {
        free(c->owed[c->owed_at]);
        c->owed_at = (c->owed_at + 1) % OWED_MAX;
        c->owed_n--;
    }
    c->owed[(c->owed_at + c->owed_n++) % OWED_MAX] = dz_str_dup(name);
}

void dz_shared_cache_del(struct dz_shared_cache *c, const dz_str *names, size_t n)
{
    for (size_t at = 0; at < n; at += PIPELINE_MAX) {
        struct deleting d = {names + at, n - at < PIPELINE_MAX ? n - at : PIPELINE_MAX};
        bool done = shared_talk(c, talk_del, &d);
        pthread_mutex_lock(&c->lock);
        if (done)
            c->stats.dels += d.n;
        for (size_t i = 0; i < d.n && !done; i++)
            owe(c, d.names[i]);
        if (!done)
            pthread_cond_broadcast(&c->wake);
        pthread_mutex_unlock(&c->lock);
    }
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Deletes what is owed, over this connection. */
static bool pay(struct shared_line *l)
{
    struct dz_shared_cache *c = l->c;
    for (;;) {
        char *texts[PIPELINE_MAX];
        dz_str names[PIPELINE_MAX];
        struct deleting d = {names, 0};
        pthread_mutex_lock(&c->lock);
        while (d.n < PIPELINE_MAX && c->owed_n > 0) {
            texts[d.n] = c->owed[c->owed_at];
            names[d.n] = dz_str_of(texts[d.n]);
            c->owed_at = (c->owed_at + 1) % OWED_MAX;
            c->owed_n--;
            d.n++;
        }
        pthread_mutex_unlock(&c->lock);
        if (d.n == 0)
            return true;
        bool done = talk_del(l, &d);
        pthread_mutex_lock(&c->lock);
        if (done)
            c->stats.dels += d.n;
        for (size_t i = 0; i < d.n; i++) {
            if (!done)
                owe(c, names[i]);
            free(texts[i]);
        }
        pthread_mutex_unlock(&c->lock);
        if (!done)
            return false;
    }
}

/* A connection from nothing, the host looked up; false: `why` says it. */
static bool begin(struct shared_line *l, char numeric[REDIS_ADDRESS_ROOM])
{
    char found[REDIS_ADDRESSES_MAX][REDIS_ADDRESS_ROOM] = {""};
    const struct dz_redis_address *a = &l->c->address;
    size_t n = a->path[0] ? 1 : redis_find(a->host, found, l->why, sizeof(l->why));
    for (size_t i = 0; i < n; i++) {
        l->why[0] = '\0';
        if (!shared_connect(l, found[i]))
            continue;
        memcpy(numeric, found[i], REDIS_ADDRESS_ROOM);
        return true;
    }
    return false;
}

/* Until something happens, or so long; the lock is held. */
static void wait(struct dz_shared_cache *c, int64_t wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + wait_ms % 1000 * 1000000;
    until.tv_sec += wait_ms / 1000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    (void)pthread_cond_timedwait(&c->wake, &c->lock, &until);
}

/* True: up. */
static bool try_once(struct dz_shared_cache *c, char why[256])
{
    char numeric[REDIS_ADDRESS_ROOM];
    struct shared_line l = {.c = c};
    bool up = begin(&l, numeric) && pay(&l);
    pthread_mutex_lock(&c->lock);
    if (up) {
        memcpy(c->numeric, numeric, sizeof(numeric));
        c->up = true;
    } else if (!c->tried) {
        c->stats.losses++;
    }
    if (up && c->open_n < c->o.connections) {
        c->idle[c->idle_n++] = dz_take(&l.rc);
        c->open_n++;
    }
    c->tried = true;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
    shared_hang_up(&l);
    memcpy(why, l.why, sizeof(l.why));
    return up;
}

static bool stops(struct dz_shared_cache *c)
{
    pthread_mutex_lock(&c->lock);
    bool stop = c->stop;
    pthread_mutex_unlock(&c->lock);
    return stop;
}

static void say(const struct dz_shared_cache *c, bool lost, const char *why)
{
    if (c->o.say)
        c->o.say(c->o.arg, lost, why);
}

/* Tries until it is up or at the end. */
static void connect_again(struct dz_shared_cache *c, bool told)
{
    char why[256] = "";
    int64_t wait_ms = WAIT_FIRST_MS;
    while (!stops(c)) {
        if (try_once(c, why)) {
            if (told)
                say(c, false, "");
            return;
        }
        if (!told)
            say(c, true, why);
        told = true;
        pthread_mutex_lock(&c->lock);
        if (!c->stop)
            wait(c, wait_ms);
        pthread_mutex_unlock(&c->lock);
        wait_ms = wait_ms * 2 < WAIT_MAX_MS ? wait_ms * 2 : WAIT_MAX_MS;
    }
}

static void pay_while_up(struct dz_shared_cache *c)
{
    struct shared_line l = {.c = c};
    if (!shared_take(&l, false)) {
        pthread_mutex_lock(&c->lock);
        if (c->up && !c->stop)
            wait(c, BUSY_WAIT_MS);
        pthread_mutex_unlock(&c->lock);
        return;
    }
    bool done = pay(&l);
    if (!done)
        shared_hang_up(&l);
    shared_let_go(&l);
    if (!done)
        shared_lose(c, l.why);
}

static void *keep(void *arg)
{
    struct dz_shared_cache *c = arg;
    (void)pthread_setname_np(pthread_self(), "dozo-redis");
    connect_again(c, false);
    pthread_mutex_lock(&c->lock);
    while (!c->stop) {
        bool up = c->up;
        if (up && c->owed_n == 0) {
            pthread_cond_wait(&c->wake, &c->lock);
            continue;
        }
        pthread_mutex_unlock(&c->lock);
        if (up) {
            pay_while_up(c);
        } else {
            say(c, true, c->why);
            connect_again(c, true);
        }
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* ---- open and close -------------------------------------------------------------------------- */

static void shared_free(struct dz_shared_cache **cp)
{
    struct dz_shared_cache *c = dz_take(cp);
    shared_drop_idle(c);
    for (; c->owed_n > 0; c->owed_n--)
        free(c->owed[(c->owed_at + c->owed_n - 1) % OWED_MAX]);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* Signals are for the thread that asked for them; a connection that broke is an error, no signal.
 */
static int start_thread(struct dz_shared_cache *c)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int native = pthread_create(&c->thread, NULL, keep, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return native;
}

enum dz_code dz_shared_cache_open(const struct dz_shared_cache_options *o,
                                  struct dz_shared_cache **ret_c, struct dz_err *err)
{
    struct dz_redis_address address;
    enum dz_code code = dz_redis_parse(dz_str_of(o->uri), &address, err);
    if (code != DZ_OK)
        return dz_wrap(err, code, "cache.uri");
    struct dz_shared_cache *c = dz_new(struct dz_shared_cache);
    c->o = *o;
    c->o.uri = NULL;
    if (c->o.timeout_ms <= 0)
        c->o.timeout_ms = TIMEOUT_MS;
    if (c->o.connections == 0)
        c->o.connections = CONNECTIONS;
    if (c->o.connections > CONNECTIONS_MAX)
        c->o.connections = CONNECTIONS_MAX;
    c->address = address;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&c->lock, NULL);
    int native = start_thread(c);
    if (native != 0) {
        shared_free(&c);
        return dz_fail_errno(err, DZ_IO, native, "cannot start the thread of the shared cache");
    }
    pthread_mutex_lock(&c->lock);
    if (!c->tried)
        wait(c, c->o.timeout_ms);
    pthread_mutex_unlock(&c->lock);
    *ret_c = c;
    return DZ_OK;
}

void dz_shared_cache_close(struct dz_shared_cache **cp)
{
    struct dz_shared_cache *c = dz_take(cp);
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    shared_free(&c);
}

void dz_shared_cache_stats(struct dz_shared_cache *c, struct dz_shared_cache_stats *ret_stats)
{
    pthread_mutex_lock(&c->lock);
    *ret_stats = c->stats;
    ret_stats->lost = !c->up;
    pthread_mutex_unlock(&c->lock);
}
