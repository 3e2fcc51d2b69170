/*
 * redis: one loop's connection to a Redis server, on which one script is run.
 *
 * In: an address and a script. It finds the addresses of a host name (on a worker, for that may
 * take seconds), connects, logs in, chooses the database, loads the script and tries it once, so
 * that a server which takes connections but cannot answer or write is not up. Whatever goes wrong
 * ends the connection; the next try comes with back-off. hiredis speaks the protocol and lies on
 * the loop's watches; what it is given during a turn leaves in one write at its end.
 *
 * hiredis frees its context by itself when a connection ends and must not be freed from inside one
 * of its callbacks, so everything that ends one goes through `doom`, a timer. The loop's thread
 * only.
 */
#include <hiredis/async.h>

#include "cache/cache_int.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>

#define WAIT_FIRST_MS 100
#define WAIT_MAX_MS 5000
#define CONNECT_MS 1000
#define ARGS_MAX 32

enum state { ASLEEP, FINDING, CONNECTING, GREETING, UP };

struct finder { /* on a worker */
    struct dz_work work;
    struct redis_link *link; /* NULL: it has gone */
    char host[256];
    char found[REDIS_ADDRESSES_MAX][REDIS_ADDRESS_ROOM];
    size_t found_n;
    char why[128];
};

struct redis_link {
    struct redis_link_options o;
    const redisReplyObjectFunctions *plain; /* hiredis's own */
    enum state state;
    redisAsyncContext *ac; /* NULL: none */
    struct dz_watch watch;
    struct dz_timer flush, doom, wake, deadline;
    bool in_flush;
    struct finder *finder;
    char addresses[REDIS_ADDRESSES_MAX][REDIS_ADDRESS_ROOM];
    size_t addresses_n, next_address;
    unsigned greetings; /* answers that are still missing */
    int64_t wait_ms;
    bool misspoke; /* answered what nobody asked, or at too great a length */
    char sha[41];
    char why[256];
};

struct call { /* lies in hiredis until its answer */
    struct redis_link *link;
    redis_reply_fn *fn;
    void *arg;
    size_t keys_n, args_n;
    bool whole; /* the script itself was sent */
    dz_str args[ARGS_MAX];
};

/* ---- the end of a connection ----------------------------------------------------------------- */

static void begin(struct redis_link *k);

static void on_wake(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    begin(dz_container(t, struct redis_link, wake));
}

static void close_now(struct redis_link *k)
{
    redisAsyncContext *ac = dz_take(&k->ac);
    k->state = ASLEEP;
    dz_timer_stop(k->o.loop, &k->flush);
    dz_timer_stop(k->o.loop, &k->deadline);
    dz_timer_stop(k->o.loop, &k->doom);
    if (ac)
        redisAsyncFree(ac);
}

static void on_doom(struct dz_loop *l, struct dz_timer *t)
{
    struct redis_link *k = dz_container(t, struct redis_link, doom);
    bool tries_next = k->state == CONNECTING && k->next_address < k->addresses_n;
    close_now(k);
    if (tries_next) {
        dz_timer_set(l, &k->wake, 0, on_wake);
        return;
    }
    k->addresses_n = 0;
    k->wait_ms = k->wait_ms == 0 ? WAIT_FIRST_MS : k->wait_ms * 2;
    k->wait_ms = k->wait_ms < WAIT_MAX_MS ? k->wait_ms : WAIT_MAX_MS;
    int64_t jitter_ms = (int64_t)(dz_random_u64() % (uint64_t)(k->wait_ms / 4 + 1));
    dz_timer_set(l, &k->wake, k->wait_ms + jitter_ms, on_wake);
    k->o.down(k->o.arg, k->why);
}

/* Not up from now on; the rest when nothing of hiredis is on the stack. */
static void doom(struct redis_link *k, const char *why)
{
    if (k->doom.at != 0)
        return;
    (void)snprintf(k->why, sizeof(k->why), "%s", why);
    if (k->state == UP)
        k->state = GREETING;
    dz_timer_set(k->o.loop, &k->doom, 0, on_doom);
}

void redis_link_drop(struct redis_link *k, const char *why)
{
    doom(k, why);
}

/* ---- hiredis on the loop --------------------------------------------------------------------- */

static void on_event(struct dz_loop *l, struct dz_watch *w, uint32_t events)
{
    struct redis_link *k = dz_container(w, struct redis_link, watch);
    (void)l;
    if (k->ac && (events & ~(uint32_t)EPOLLOUT))
        redisAsyncHandleRead(k->ac);
    if (k->ac && (events & EPOLLOUT))
        redisAsyncHandleWrite(k->ac);
}

static void want(struct redis_link *k, uint32_t event, bool on)
{
    uint32_t events = on ? k->watch.events | event : k->watch.events & ~event;
    if (k->ac && k->watch.fn)
        dz_watch_set(k->o.loop, &k->watch, events);
}

static void on_flush(struct dz_loop *l, struct dz_timer *t)
{
    struct redis_link *k = dz_container(t, struct redis_link, flush);
    (void)l;
    k->in_flush = true;
    if (k->ac)
        redisAsyncHandleWrite(k->ac);
    k->in_flush = false;
}

static void add_read(void *arg)
{
    want(arg, EPOLLIN, true);
}

static void del_read(void *arg)
{
    want(arg, EPOLLIN, false);
}

/* While it connects, and when the socket is full, the kernel says when; else the turn's end. */
static void add_write(void *arg)
{
    struct redis_link *k = arg;
    if (k->in_flush || k->state == CONNECTING)
        want(k, EPOLLOUT, true);
    else if (k->flush.at == 0 && !(k->watch.events & EPOLLOUT))
        dz_timer_set(k->o.loop, &k->flush, 0, on_flush);
}

static void del_write(void *arg)
{
    want(arg, EPOLLOUT, false);
}

static void clean_up(void *arg)
{
    struct redis_link *k = arg;
    dz_watch_del(k->o.loop, &k->watch);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void on_reply(redisAsyncContext *ac, void *reply, void *arg);

static void send_call(struct call *c)
{
    struct redis_link *k = c->link;
    char number[16];
    int n = snprintf(number, sizeof(number), "%zu", c->keys_n);
    const char *argv[3 + ARGS_MAX] = {c->whole ? "EVAL" : "EVALSHA",
                                      c->whole ? k->o.script : k->sha, number};
    size_t lengths[3 + ARGS_MAX] = {strlen(argv[0]), strlen(argv[1]), (size_t)n};
    for (size_t i = 0; i < c->args_n; i++) {
        argv[3 + i] = c->args[i].p;
        lengths[3 + i] = c->args[i].n;
    }
    if (redisAsyncCommandArgv(k->ac, on_reply, c, (int)(3 + c->args_n), argv, lengths) == REDIS_OK)
        return;
    free(c);
    doom(k, "a command could not be sent");
}

static bool numbers_of(const redisReply *r, int64_t *v, size_t *ret_n)
{
    if (r->type != REDIS_REPLY_ARRAY || r->elements == 0 || r->elements > REDIS_NUMBERS_MAX)
        return false;
    for (size_t i = 0; i < r->elements; i++) {
        if (r->element[i]->type != REDIS_REPLY_INTEGER)
            return false;
        v[i] = r->element[i]->integer;
    }
    *ret_n = r->elements;
    return true;
}

static void on_reply(redisAsyncContext *ac, void *reply, void *arg)
{
    struct call *c = arg;
    const redisReply *r = reply;
    struct redis_link *k = c->link;
    int64_t v[REDIS_NUMBERS_MAX];
    size_t n = 0;
    bool over = !r || ac != k->ac || k->doom.at != 0;
    if (!over && r->type == REDIS_REPLY_ERROR && !c->whole && strncmp(r->str, "NOSCRIPT", 8) == 0) {
        c->whole = true;
        send_call(c);
        return;
    }
    if (!over && r->type == REDIS_REPLY_ERROR)
        doom(k, r->str);
    else if (!over && !numbers_of(r, v, &n))
        doom(k, "the script's answer is not what it should be");
    else if (!over)
        c->fn(c->arg, v, n);
    free(c);
}

void redis_link_call(struct redis_link *k, size_t keys_n, const dz_str *args, size_t args_n,
                     redis_reply_fn *fn, void *arg)
{
    dz_assert(k->ac && args_n <= ARGS_MAX);
    size_t bytes = 0;
    for (size_t i = 0; i < args_n; i++)
        bytes += args[i].n;
    struct call *c = dz_alloc(sizeof(*c) + bytes);
    *c = (struct call){.link = k, .fn = fn, .arg = arg, .keys_n = keys_n, .args_n = args_n};
    char *to = (char *)(c + 1); /* kept for a server that has forgotten the script */
    for (size_t i = 0; i < args_n; i++) {
        memcpy(to, args[i].p, args[i].n);
        c->args[i] = (dz_str){to, args[i].n};
        to += args[i].n;
    }
    send_call(c);
}

/* ---- greetings ------------------------------------------------------------------------------- */

static void on_tried(void *arg, const int64_t *v, size_t n)
{
    struct redis_link *k = arg;
    (void)v, (void)n;
    dz_timer_stop(k->o.loop, &k->deadline);
    k->state = UP;
    k->wait_ms = 0;
    k->o.up(k->o.arg);
}

static void on_greeted(redisAsyncContext *ac, void *reply, void *arg)
{
    struct redis_link *k = arg;
    const redisReply *r = reply;
    if (!r || ac != k->ac || k->doom.at != 0)
        return;
    if (r->type == REDIS_REPLY_ERROR) {
        doom(k, r->str);
        return;
    }
    if (--k->greetings > 0)
        return;
    if (r->type != REDIS_REPLY_STRING || r->len != sizeof(k->sha) - 1) {
        doom(k, "it does not load scripts");
        return;
    }
    memcpy(k->sha, r->str, sizeof(k->sha) - 1);
    dz_str args[ARGS_MAX];
    for (size_t i = 0; i < k->o.trial_n; i++)
        args[i] = dz_str_of(k->o.trial[i]);
    redis_link_call(k, 1, args, k->o.trial_n, on_tried, k);
}

static void greet(struct redis_link *k, int n, const char *a, const char *b, const char *c)
{
    const char *argv[] = {a, b, c};
    if (redisAsyncCommandArgv(k->ac, on_greeted, k, n, argv, NULL) != REDIS_OK)
        doom(k, "a command could not be sent");
    k->greetings++;
}

static void on_late(struct dz_loop *l, struct dz_timer *t)
{
    struct redis_link *k = dz_container(t, struct redis_link, deadline);
    (void)l;
    doom(k, k->state == CONNECTING ? "no connection in time" : "no answer in time");
}

static void on_connect(const redisAsyncContext *ac, int status)
{
    struct redis_link *k = ac->data;
    if (k->ac != ac)
        return;
    if (status != REDIS_OK) {
        k->ac = NULL; /* hiredis frees it */
        doom(k, ac->errstr);
        return;
    }
    const struct dz_redis_address *a = k->o.address;
    k->state = GREETING;
    k->greetings = 0;
    dz_timer_set(k->o.loop, &k->deadline, k->o.timeout_ms, on_late);
    if (a->user[0])
        greet(k, 3, "AUTH", a->user, a->password);
    else if (a->password[0])
        greet(k, 2, "AUTH", a->password, NULL);
    char db[16];
    (void)snprintf(db, sizeof(db), "%u", a->db);
    if (a->db > 0)
        greet(k, 2, "SELECT", db, NULL);
    greet(k, 3, "SCRIPT", "LOAD", k->o.script);
}

static void on_disconnect(const redisAsyncContext *ac, int status)
{
    struct redis_link *k = ac->data;
    if (k->ac != ac)
        return; /* closed by us */
    k->ac = NULL;
    doom(k, k->misspoke          ? "it answers what nobody asked"
            : status == REDIS_OK ? "the connection was closed"
                                 : ac->errstr);
}

/* ---- what answers may be ---------------------------------------------------------------------
 *
 * hiredis aborts the process when an answer comes that nobody waits for, and makes room for as many
 * elements as a server claims to send. So these are refused while they are read, which ends the
 * connection. */

static const redisReplyObjectFunctions *plain(const redisReadTask *task)
{
    return ((const struct redis_link *)task->privdata)->plain;
}

static bool may_be(const redisReadTask *task, int elements)
{
    struct redis_link *k = task->privdata;
    if (!task->parent && !(k->ac && k->ac->replies.head))
        k->misspoke = true;
    if (elements > (int)REDIS_NUMBERS_MAX)
        k->misspoke = true;
    return !k->misspoke;
}

static void *make_string(const redisReadTask *task, char *text, size_t n)
{
    return may_be(task, 0) ? plain(task)->createString(task, text, n) : NULL;
}

static void *make_array(const redisReadTask *task, int elements)
{
    return may_be(task, elements) ? plain(task)->createArray(task, elements) : NULL;
}

static void *make_integer(const redisReadTask *task, long long n)
{
    return may_be(task, 0) ? plain(task)->createInteger(task, n) : NULL;
}

static void *make_nil(const redisReadTask *task)
{
    return may_be(task, 0) ? plain(task)->createNil(task) : NULL;
}

static void read_with_care(struct redis_link *k)
{
    static redisReplyObjectFunctions own = {make_string, make_array, make_integer, make_nil,
                                            freeReplyObject};
    redisReader *reader = k->ac->c.reader;
    k->misspoke = false;
    k->plain = reader->fn;
    reader->fn = &own;
    reader->privdata = k;
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void connect_next(struct redis_link *k)
{
    const struct dz_redis_address *a = k->o.address;
    struct dz_err err = {0};
    k->state = CONNECTING;
    k->ac = a->path[0] ? redisAsyncConnectUnix(a->path)
                       : redisAsyncConnect(k->addresses[k->next_address++], a->port);
    if (!k->ac || k->ac->err) {
        doom(k, k->ac ? k->ac->errstr : "no memory");
        return;
    }
    read_with_care(k);
    k->ac->data = k;
    k->ac->ev.data = k;
    k->ac->ev.addRead = add_read;
    k->ac->ev.delRead = del_read;
    k->ac->ev.addWrite = add_write;
    k->ac->ev.delWrite = del_write;
    k->ac->ev.cleanup = clean_up;
    if (dz_watch_add(k->o.loop, &k->watch, k->ac->c.fd, EPOLLIN, on_event, &err) != DZ_OK) {
        doom(k, err.text);
        return;
    }
    dz_timer_set(k->o.loop, &k->deadline, CONNECT_MS, on_late);
    redisAsyncSetDisconnectCallback(k->ac, on_disconnect);
    redisAsyncSetConnectCallback(k->ac, on_connect);
}

size_t redis_find(const char *host, char found[REDIS_ADDRESSES_MAX][REDIS_ADDRESS_ROOM], char *why,
                  size_t why_room)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    size_t n = 0;
    int code = getaddrinfo(host, NULL, &hints, &list);
    for (struct addrinfo *i = list; i && n < REDIS_ADDRESSES_MAX; i = i->ai_next)
        if (getnameinfo(i->ai_addr, i->ai_addrlen, found[n], REDIS_ADDRESS_ROOM, NULL, 0,
                        NI_NUMERICHOST) == 0)
            n++;
    if (list)
        freeaddrinfo(list);
    if (n == 0)
        (void)snprintf(why, why_room, "%s",
                       code != 0 ? gai_strerror(code) : "the host has no address");
    return n;
}

static void find_run(struct dz_work *w)
{
    struct finder *f = dz_container(w, struct finder, work);
    f->found_n = redis_find(f->host, f->found, f->why, sizeof(f->why));
}

static void find_done(struct dz_work *w)
{
    struct finder *f = dz_container(w, struct finder, work);
    struct redis_link *k = f->link;
    if (k) {
        k->finder = NULL;
        memcpy(k->addresses, f->found, sizeof(f->found));
        k->addresses_n = f->found_n;
        k->next_address = 0;
        if (f->found_n > 0)
            connect_next(k);
        else
            doom(k, f->why);
    }
    free(f);
}

static void find(struct redis_link *k)
{
    struct finder *f = dz_new(struct finder);
    f->work.run = find_run;
    f->work.done = find_done;
    f->work.home = k->o.loop;
    f->link = k;
    memcpy(f->host, k->o.address->host, sizeof(f->host));
    k->state = FINDING;
    if (dz_pool_submit(k->o.pool, &f->work, NULL) == DZ_OK) {
        k->finder = f;
        return;
    }
    free(f);
    doom(k, "no worker to find the host's address");
}

/* The host is an address already: into the list. */
static bool is_address(struct redis_link *k)
{
    static const int families[] = {AF_INET, AF_INET6};
    struct in6_addr address;
    for (size_t i = 0; i < DZ_LEN(families); i++) {
        if (inet_pton(families[i], k->o.address->host, &address) != 1)
            continue;
        (void)inet_ntop(families[i], &address, k->addresses[0], sizeof(k->addresses[0]));
        k->addresses_n = 1;
        k->next_address = 0;
        return true;
    }
    return false;
}

static void begin(struct redis_link *k)
{
    bool more = k->next_address < k->addresses_n;
    if (k->o.address->path[0] || more || is_address(k))
        connect_next(k);
    else
        find(k);
}

struct redis_link *redis_link_new(const struct redis_link_options *o)
{
    dz_assert(o->trial_n <= ARGS_MAX);
    struct redis_link *k = dz_new(struct redis_link);
    k->o = *o;
    begin(k);
    return k;
}

void redis_link_free(struct redis_link **kp)
{
    struct redis_link *k = dz_take(kp);
    if (!k)
        return;
    if (k->finder)
        k->finder->link = NULL;
    close_now(k);
    dz_timer_stop(k->o.loop, &k->wake);
    free(k);
}

bool redis_link_is_up(const struct redis_link *k)
{
    return k->state == UP;
}
