/*
 * test_shared: the Redis that servers share: the keys of imoog as its own clients read and write
 * them, deletions, and a Redis that goes and comes back. A gate between the cache and the server
 * shuts it out.
 */
#include <hiredis/hiredis.h>

#include "servers.h"

#include "cache/cache.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

static struct {
    struct dz_redis_address address;
    redisContext *teller; /* another client of the same server */
    struct dz_shared_cache *c;
    struct dz_arena *arena;
    char prefix[24];
    atomic_uint lost, back;
} it;

/* ---- the gate -------------------------------------------------------------------------------- */

enum mode { OPEN, SHUT, DEAF, GONE };
static struct {
    atomic_int mode;
    int fd;
    uint16_t port;
    pthread_t thread;
} gate;

static int dial(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(it.address.port)};
    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

#define PAIRS_MAX 16

/* One turn of all connections; what comes in a deaf one stays in the kernel. */
static void gate_turn(struct pollfd *fds, nfds_t *n)
{
    static char bytes[65536];
    for (nfds_t i = 0; i < *n; i++)
        fds[i].revents = 0;
    (void)poll(fds, atomic_load(&gate.mode) == DEAF ? 1 : *n, 5);
    int mode = atomic_load(&gate.mode); /* after: who connects later meets no older mode */
    if (fds[0].revents & POLLIN) {
        int in = accept4(gate.fd, NULL, NULL, SOCK_CLOEXEC);
        if (mode == SHUT || *n + 2 > 1 + 2 * PAIRS_MAX) {
            close(in);
        } else {
            fds[(*n)++] = (struct pollfd){.fd = in, .events = POLLIN};
            fds[(*n)++] = (struct pollfd){.fd = dial(), .events = POLLIN};
        }
    }
    for (nfds_t i = 1; i < *n && mode != DEAF; i++) {
        nfds_t other = ((i - 1) ^ 1) + 1;
        ssize_t got = -1;
        if (mode == OPEN && !(fds[i].revents & (POLLIN | POLLHUP)))
            continue;
        if (mode == OPEN)
            got = read(fds[i].fd, bytes, sizeof(bytes));
        if (got > 0 && write(fds[other].fd, bytes, (size_t)got) == got)
            continue;
        nfds_t first = i < other ? i : other;
        close(fds[first].fd);
        close(fds[first + 1].fd);
        *n -= 2;
        fds[first] = fds[*n];
        fds[first + 1] = fds[*n + 1];
        i = first - 1;
        fds[first].revents = fds[first + 1].revents = 0;
    }
}

static void *gate_run(void *arg)
{
    struct pollfd fds[1 + 2 * PAIRS_MAX] = {{.fd = gate.fd, .events = POLLIN}};
    nfds_t n = 1;
    (void)arg;
    while (atomic_load(&gate.mode) != GONE)
        gate_turn(fds, &n);
    for (nfds_t i = 1; i < n; i++)
        close(fds[i].fd);
    return NULL;
}

static void gate_begin(enum mode mode)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof(a);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    atomic_store(&gate.mode, mode);
    gate.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(gate.fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(gate.fd, 64), 0);
    assert_int_equal(getsockname(gate.fd, (struct sockaddr *)&a, &n), 0);
    gate.port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&gate.thread, NULL, gate_run, NULL), 0);
}

static void gate_end(void)
{
    atomic_store(&gate.mode, GONE);
    pthread_join(gate.thread, NULL);
    close(gate.fd);
}

/* ---- a cache and a teller -------------------------------------------------------------------- */

static void say(void *arg, bool lost, const char *why)
{
    (void)arg;
    assert_int_equal(lost, why[0] != '\0');
    atomic_fetch_add(lost ? &it.lost : &it.back, 1);
}

static void open_at(uint16_t port, int64_t timeout_ms)
{
    char uri[64];
    (void)snprintf(uri, sizeof(uri), "redis://127.0.0.1:%u", port);
    struct dz_shared_cache_options o = {
        .uri = uri, .ttl_ms = 50000, .timeout_ms = timeout_ms, .connections = 4, .say = say};
    must(dz_shared_cache_open(&o, &it.c, err));
}

static void begin(void)
{
    memset(&it, 0, sizeof(it));
    if (!server_uri("redis"))
        server_is_missing("redis");
    must(dz_redis_parse(dz_str_of(server_uri("redis")), &it.address, err));
    it.teller = redisConnect("127.0.0.1", it.address.port);
    assert_true(it.teller && !it.teller->err);
    it.arena = dz_arena_new(DZ_MIB);
    (void)snprintf(it.prefix, sizeof(it.prefix), "%016llX", (unsigned long long)dz_random_u64());
}

static void end(void)
{
    dz_shared_cache_close(&it.c);
    dz_shared_cache_close(&it.c);
    redisFree(it.teller);
    dz_arena_free(&it.arena);
}

/* PREFIX + tail; static, four at a time. */
static const char *name(const char *tail)
{
    static char text[4][64];
    static unsigned at;
    char *t = text[at++ % 4];
    (void)snprintf(t, sizeof(text[0]), "%s%s", it.prefix, tail);
    return t;
}

/* Of the teller, "(nil)" and numbers as text; static, four at a time. */
#define TELL(...) told(redisCommand(it.teller, __VA_ARGS__))
static dz_str told(void *reply)
{
    static char texts[4][256];
    static unsigned at;
    char *text = texts[at++ % 4];
    redisReply *r = reply;
    assert_non_null(r);
    size_t n = 5;
    memcpy(text, "(nil)", n);
    if (r->type == REDIS_REPLY_INTEGER) {
        n = (size_t)snprintf(text, sizeof(texts[0]), "%lld", r->integer);
    } else if (r->type != REDIS_REPLY_NIL) {
        n = (size_t)r->len < sizeof(texts[0]) ? (size_t)r->len : sizeof(texts[0]);
        memcpy(text, r->str, n);
    }
    freeReplyObject(r);
    return (dz_str){text, n};
}
#define assert_told(want, ...) assert_true(dz_str_eq(DZ_S(want), TELL(__VA_ARGS__)))

static void assert_hit(const char *tail, dz_str bytes, const char *mime)
{
    DZ_AUTO(dz_body_unref) struct dz_body *b = NULL;
    dz_str m = DZ_S("not written");
    assert_true(dz_shared_cache_get(it.c, dz_str_of(name(tail)), it.arena, &b, &m));
    assert_true(dz_str_eq((dz_str){b->p, b->n}, bytes));
    assert_true(mime ? m.p && dz_str_eq(m, dz_str_of(mime)) : !m.p);
}

static void assert_miss(const char *tail)
{
    struct dz_body *b = NULL;
    dz_str m;
    assert_false(dz_shared_cache_get(it.c, dz_str_of(name(tail)), it.arena, &b, &m));
    assert_null(b);
}

static void put(const char *tail, dz_str bytes, const char *mime)
{
    dz_shared_cache_put(it.c, dz_str_of(name(tail)), bytes, dz_str_of(mime));
}

static void del(const char *tail)
{
    dz_str n = dz_str_of(name(tail));
    dz_shared_cache_del(it.c, &n, 1);
}

static struct dz_shared_cache_stats stats(void)
{
    struct dz_shared_cache_stats s;
    dz_shared_cache_stats(it.c, &s);
    return s;
}

static void wait_until_up(void)
{
    while (stats().lost)
        sched_yield();
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void keys_of_imoog(void **state)
{
    (void)state;
    begin();
    open_at(it.address.port, 10000);
    const dz_str png = DZ_S("\x89PNG\r\n\x1a\n\0\xff");
    TELL("SET %s %b", name("A"), png.p, png.n);
    TELL("SET %s image/png", name("A__mime__"));
    assert_hit("A", png, "image/png");
    TELL("DEL %s", name("A__mime__"));
    assert_hit("A", png, NULL);
    TELL("SET %s text/plain", name("B__mime__"));
    assert_miss("B");
    TELL("SET %s %b", name("B"), "", (size_t)0);
    assert_hit("B", DZ_S(""), "text/plain");

    put("C", png, "image/svg+xml; charset=utf-8");
    assert_true(dz_str_eq(png, TELL("GET %s", name("C"))));
    assert_told("image/svg+xml; charset=utf-8", "GET %s", name("C__mime__"));
    uint64_t left;
    must(dz_str_u64(TELL("PTTL %s", name("C")), 50000, &left, err));
    must(dz_str_u64(TELL("PTTL %s", name("C__mime__")), 50000, &left, err));
    put("C", DZ_S("x"), "");
    assert_hit("C", DZ_S("x"), "");
    put("C", DZ_S(""), NULL);
    assert_hit("C", DZ_S(""), NULL);
    assert_told("(nil)", "GET %s", name("C__mime__"));
    assert_int_equal(stats().hits, 5);
    assert_int_equal(stats().misses, 1);
    assert_int_equal(stats().puts, 3);
    end();
}

static void deleted_stays_away(void **state)
{
    (void)state;
    begin();
    open_at(it.address.port, 10000);
    put("A", DZ_S("bytes"), "image/png");
    del("A");
    assert_miss("A");
    assert_told("(nil)", "GET %s", name("A"));
    assert_told("(nil)", "GET %s", name("A__mime__"));
    put("A", DZ_S("late"), "image/png");
    assert_told("(nil)", "GET %s", name("A"));
    TELL("SET %s late", name("A")); /* somebody who knows no marks */
    assert_miss("A");
    uint64_t left;
    must(dz_str_u64(TELL("PTTL %s", name("A__gone__")), 60000, &left, err));
    TELL("DEL %s", name("A__gone__"));
    put("A", DZ_S("again"), NULL);
    assert_hit("A", DZ_S("again"), NULL);

    enum { MANY = 300 };
    static char texts[MANY][48];
    static dz_str names[MANY];
    static struct dz_shared_put puts[MANY];
    for (int i = 0; i < MANY; i++) {
        names[i] =
            (dz_str){texts[i], (size_t)snprintf(texts[i], sizeof(texts[i]), "%sm%d", it.prefix, i)};
        puts[i] = (struct dz_shared_put){.name = names[i], .bytes = names[i]};
    }
    uint64_t before = stats().puts;
    puts[7].mime = DZ_S("text/plain");
    puts[8].name = (dz_str){0}; /* neither these two, which are no reason to leave others out */
    puts[70].bytes = (dz_str){names[70].p, DZ_SHARED_VALUE_MAX + 1};
    dz_shared_cache_put_all(it.c, puts, MANY);
    assert_int_equal(stats().puts - before, MANY - 2);
    assert_told("m299", "GETRANGE %sm299 16 -1", it.prefix);
    assert_told("0", "EXISTS %sm8 %sm70 %sm6__mime__", it.prefix, it.prefix, it.prefix);
    assert_told("text/plain", "GET %sm7__mime__", it.prefix);
    dz_shared_cache_del(it.c, names, MANY);
    assert_int_equal(stats().dels, MANY + 1);
    assert_told("0", "EXISTS %sm0 %sm63 %sm64 %sm299", it.prefix, it.prefix, it.prefix, it.prefix);
    end();
}

static void odd_values(void **state)
{
    (void)state;
    begin();
    open_at(it.address.port, 10000);
    TELL("LPUSH %s a list", name("L"));
    assert_miss("L");
    TELL("SETRANGE %s %llu x", name("big"), (unsigned long long)DZ_SHARED_VALUE_MAX);
    assert_miss("big");
    TELL("SET %s x", name("M"));
    TELL("SETRANGE %s 2000 x", name("M__mime__"));
    assert_hit("M", DZ_S("x"), NULL);
    DZ_AUTO(dz_body_unref) struct dz_body *most = dz_body_new(DZ_SHARED_VALUE_MAX + 1);
    memset(most->p, 'm', most->n);
    put("most", (dz_str){most->p, most->n}, NULL);
    assert_told("0", "EXISTS %s", name("most"));
    put("most", (dz_str){most->p, most->n - 1}, NULL);
    assert_hit("most", (dz_str){most->p, most->n - 1}, NULL);
    char longest[DZ_SHARED_NAME_MAX + 1];
    memset(longest, 'l', sizeof(longest));
    memcpy(longest, it.prefix, strlen(it.prefix));
    struct dz_body *b = NULL;
    dz_shared_cache_put(it.c, (dz_str){longest, sizeof(longest)}, DZ_S("x"), (dz_str){0});
    assert_false(dz_shared_cache_get(it.c, (dz_str){longest, sizeof(longest)}, NULL, &b, NULL));
    dz_shared_cache_put(it.c, (dz_str){longest, sizeof(longest) - 1}, DZ_S("x"), (dz_str){0});
    assert_true(dz_shared_cache_get(it.c, (dz_str){longest, sizeof(longest) - 1}, NULL, &b, NULL));
    dz_body_unref(&b);
    TELL("DEL %s %s %s", name("big"), name("most"), name("L"));
    assert_int_equal(atomic_load(&it.lost), 0);
    end();
}

/* A connection that was closed while nobody used it, as a server with a timeout does. */
static void closed_while_idle(void **state)
{
    (void)state;
    begin();
    gate_begin(OPEN);
    open_at(gate.port, 10000);
    put("A", DZ_S("bytes"), NULL);
    atomic_store(&gate.mode, SHUT);
    char c;
    int fd = dial(); /* the gate has turned once when a connection to it is closed */
    close(fd);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(gate.port)};
    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_true(read(fd, &c, 1) <= 0);
    close(fd);
    atomic_store(&gate.mode, OPEN);
    assert_hit("A", DZ_S("bytes"), NULL);
    put("A", DZ_S("more"), NULL);
    assert_hit("A", DZ_S("more"), NULL);
    assert_int_equal(atomic_load(&it.lost), 0);
    end();
    gate_end();
}

static void lost_and_back(void **state)
{
    (void)state;
    static const enum mode ways[] = {SHUT, DEAF};
    for (size_t i = 0; i < DZ_LEN(ways); i++) {
        begin();
        gate_begin(OPEN);
        open_at(gate.port, 300);
        wait_until_up();
        put("A", DZ_S("bytes"), "image/png");
        assert_hit("A", DZ_S("bytes"), "image/png");
        atomic_store(&gate.mode, ways[i]);
        while (!stats().lost)
            assert_miss("A");
        uint64_t before = stats().skipped;
        for (int n = 0; n < 1000; n++)
            assert_miss("A");
        put("B", DZ_S("bytes"), NULL);
        del("A");
        assert_true(stats().skipped >= before + 1002);
        assert_told("bytes", "GET %s", name("A"));
        atomic_store(&gate.mode, OPEN);
        wait_until_up();
        assert_told("(nil)", "GET %s", name("A")); /* before anybody could read it */
        assert_told("1", "EXISTS %s", name("A__gone__"));
        put("C", DZ_S("works"), NULL);
        assert_hit("C", DZ_S("works"), NULL);
        end();
        assert_int_equal(atomic_load(&it.lost), 1);
        assert_int_equal(atomic_load(&it.back), 1);
        gate_end();
    }
}

static void not_there_at_the_start(void **state)
{
    (void)state;
    begin();
    gate_begin(SHUT);
    open_at(gate.port, 5000);
    assert_true(stats().lost);
    assert_miss("A");
    while (atomic_load(&it.lost) == 0)
        sched_yield();
    atomic_store(&gate.mode, OPEN);
    wait_until_up();
    put("A", DZ_S("x"), NULL);
    assert_hit("A", DZ_S("x"), NULL);
    end();
    assert_int_equal(atomic_load(&it.lost), 1);
    assert_int_equal(atomic_load(&it.back), 1);
    gate_end();

    struct dz_shared_cache *c = NULL;
    struct dz_err why;
    static const char *const wrong[] = {"", "http://x", "rediss://h", "redis://h:x", "redis://h/a"};
    for (size_t i = 0; i < DZ_LEN(wrong); i++) {
        struct dz_shared_cache_options o = {.uri = wrong[i]};
        assert_int_equal(dz_shared_cache_open(&o, &c, &why), DZ_BAD_INPUT);
        assert_null(c);
    }
}

/* More threads than connections: some calls are skipped, none is wrong. */
static atomic_uint wrong;

static void *work(void *arg)
{
    const char *tail = arg;
    char text[64];
    for (int i = 0; i < 200; i++) {
        struct dz_body *b = NULL;
        size_t n = (size_t)snprintf(text, sizeof(text), "%s%s", it.prefix, tail);
        dz_str key = {text, n};
        dz_shared_cache_put(it.c, key, key, key);
        if (dz_shared_cache_get(it.c, key, NULL, &b, NULL) && !dz_str_eq((dz_str){b->p, b->n}, key))
            atomic_fetch_add(&wrong, 1);
        dz_body_unref(&b);
    }
    return NULL;
}

static void many_at_once(void **state)
{
    (void)state;
    begin();
    open_at(it.address.port, 10000);
    static char tails[12][2];
    pthread_t threads[DZ_LEN(tails)];
    for (size_t i = 0; i < DZ_LEN(tails); i++) {
        tails[i][0] = (char)('a' + i);
        assert_int_equal(pthread_create(&threads[i], NULL, work, tails[i]), 0);
    }
    for (size_t i = 0; i < DZ_LEN(tails); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(wrong, 0);
    assert_int_equal(atomic_load(&it.lost), 0);
    struct dz_shared_cache_stats s = stats();
    assert_true(s.hits > 0);
    assert_int_equal(s.hits + s.misses + s.puts + s.skipped, 2 * 200 * DZ_LEN(tails));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_imoog), cmocka_unit_test(deleted_stays_away),
        cmocka_unit_test(odd_values),    cmocka_unit_test(closed_while_idle),
        cmocka_unit_test(lost_and_back), cmocka_unit_test(not_there_at_the_start),
        cmocka_unit_test(many_at_once),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("shared", tests, NULL, NULL);
}
