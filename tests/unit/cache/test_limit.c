/*
 * test_limit: rate limits in a real redis-server of the test's own, on a UNIX socket: what it
 * counts, and what happens when it forgets, stops, dies, comes back, or wants a password.
 */
#include "test.h"

#include "cache/cache_int.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define TURNS_MS 20
#define PATIENCE_MS 60000 /* a busy machine; nothing is asserted about how long anything takes */

static struct {
    char folder[64], socket[96], uri[128];
    pid_t pid;
    struct dz_loop *loop;
    struct dz_pool *pool;
    unsigned losses, returns;
    char why[256];
} rig;

/* ---- a server of our own --------------------------------------------------------------------- */

static bool answers(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    (void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", rig.socket);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char reply[64] = "";
    bool good = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
                write(fd, "PING\r\n", 6) == 6 && read(fd, reply, sizeof(reply) - 1) > 0;
    close(fd);
    return good;
}

static void redis_start(const char *password)
{
    rig.pid = fork();
    assert_true(rig.pid >= 0);
    if (rig.pid == 0) {
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", rig.socket, "--save",
               "", "--appendonly", "no", "--dir", rig.folder, "--logfile", "/dev/null",
               "--requirepass", password, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; !answers(); i++) {
        if (i > PATIENCE_MS / TURNS_MS || waitpid(rig.pid, NULL, WNOHANG) == rig.pid)
            fail_msg("redis-server does not start; tools/deps.sh test installs it");
        usleep(TURNS_MS * 1000);
    }
}

static void redis_end(void)
{
    if (rig.pid == 0)
        return;
    kill(rig.pid, SIGCONT);
    kill(rig.pid, SIGKILL);
    waitpid(rig.pid, NULL, 0);
    rig.pid = 0;
}

/* A command in Redis' inline form; its answer. */
static void redis_say(const char *command, char *reply, size_t room)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    (void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", rig.socket);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(write(fd, command, strlen(command)), strlen(command));
    ssize_t n = read(fd, reply, room - 1);
    assert_true(n > 0);
    reply[n] = '\0';
    close(fd);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void say(void *arg, bool lost, const char *why)
{
    (void)arg;
    rig.losses += lost;
    rig.returns += !lost;
    (void)snprintf(rig.why, sizeof(rig.why), "%s", why);
}

static struct dz_limiter *opened(const char *uri, int64_t timeout_ms)
{
    struct dz_limiter *l = NULL;
    struct dz_limiter_options o = {
        .uri = uri, .pool = rig.pool, .timeout_ms = timeout_ms, .say = say};
    must(dz_limiter_open(&o, &l, err));
    return l;
}

struct heard {
    unsigned n;
    struct dz_limit_verdict v;
};

static void on_verdict(void *arg, const struct dz_limit_verdict *v)
{
    struct heard *h = arg;
    h->n++;
    h->v = *v;
}

static void ask(struct dz_limiter_loop *ll, const struct dz_limit_rule *rule, unsigned char who,
                struct heard *h)
{
    struct dz_limit_ask a = {.rule = rule, .who = {who}};
    if (dz_limiter_take(ll, &a, on_verdict, h, &h->v))
        h->n++;
}

static void turn_until(const unsigned *n, unsigned least)
{
    for (int i = 0; *n < least; i++) {
        assert_true(i < PATIENCE_MS / TURNS_MS);
        dz_loop_turn(rig.loop, TURNS_MS);
    }
}

static struct dz_limit_verdict verdict(struct dz_limiter_loop *ll, const struct dz_limit_rule *rule,
                                       unsigned char who)
{
    struct heard h = {0};
    ask(ll, rule, who, &h);
    turn_until(&h.n, 1);
    assert_int_equal(h.n, 1);
    return h.v;
}

static struct dz_limit_rule rule_of(const char *text, enum dz_limit_strategy strategy)
{
    static uint64_t ids;
    struct dz_limit_rule r = {.name = "/a/{}", .name_n = 5, .strategy = strategy, .id = ++ids};
    must(dz_limits_parse(dz_str_of(text), &r.limits, err));
    return r;
}

static int setup(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof(rig));
    (void)snprintf(rig.folder, sizeof(rig.folder), "/tmp/dozo-redis-XXXXXX");
    assert_non_null(mkdtemp(rig.folder));
    (void)snprintf(rig.socket, sizeof(rig.socket), "%s/s", rig.folder);
    (void)snprintf(rig.uri, sizeof(rig.uri), "redis+unix://%s", rig.socket);
    must(dz_loop_new(&rig.loop, err));
    must(dz_pool_new(1, 16, &rig.pool, err));
    redis_start("");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    redis_end();
    dz_pool_close(&rig.pool);
    dz_loop_free(&rig.loop);
    (void)unlink(rig.socket);
    assert_int_equal(rmdir(rig.folder), 0);
    return 0;
}

/* ---- cases ----------------------------------------------------------------------------------- */

/* The same requests get the same answers in Redis and here, where test_counts knows them. */
static void counts_as_here(void **state)
{
    (void)state;
    static const char *const texts[] = {"5/hour", "100/day", "40/hour; 50/day", "3/hour,2/day",
                                        "1/year"};
    struct dz_limiter *shared = opened(rig.uri, PATIENCE_MS), *here = opened("memory://", 1);
    struct dz_limiter_loop *a = dz_limiter_begin(shared, rig.loop),
                           *b = dz_limiter_begin(here, rig.loop);
    for (int strategy = DZ_LIMIT_FIXED; strategy <= DZ_LIMIT_MOVING; strategy++)
        for (size_t t = 0; t < DZ_LEN(texts); t++) {
            struct dz_limit_rule rule = rule_of(texts[t], (enum dz_limit_strategy)strategy);
            for (int i = 0; i < 105; i++) {
                struct dz_limit_verdict x = verdict(a, &rule, 1), y = verdict(b, &rule, 1);
                if (x.allowed != y.allowed || x.remaining != y.remaining || x.limit != y.limit ||
                    llabs((long long)(x.reset_ms - y.reset_ms)) >
                        x.limit->per_ms / LIMIT_SLOTS + PATIENCE_MS)
                    fail_msg("%s, strategy %d, request %d: %d %llu %lld, want %d %llu %lld",
                             texts[t], strategy, i, x.allowed, (unsigned long long)x.remaining,
                             (long long)x.reset_ms, y.allowed, (unsigned long long)y.remaining,
                             (long long)y.reset_ms);
            }
        }
    struct dz_limiter_stats s;
    dz_limiter_stats(shared, &s);
    assert_true(s.shared && !s.lost && s.alone == 0 && s.losses == 0);
    assert_int_equal(s.allowed, 2 * (5 + 100 + 40 + 2 + 1));
    assert_int_equal(s.allowed + s.refused, 2 * 5 * 105);
    dz_limiter_end(&a);
    dz_limiter_end(&b);
    dz_limiter_stats(shared, &s);
    assert_int_equal(s.allowed + s.refused, 2 * 5 * 105);
    dz_limiter_close(&shared);
    dz_limiter_close(&here);
    assert_int_equal(rig.losses, 0);
}

/* Windows end in Redis, too, by its own clock, and keys go with them. */
static void windows_end(void **state)
{
    (void)state;
    struct dz_limiter *l = opened(rig.uri, PATIENCE_MS);
    struct dz_limiter_loop *ll = dz_limiter_begin(l, rig.loop);
    for (int strategy = DZ_LIMIT_FIXED; strategy <= DZ_LIMIT_MOVING; strategy++) {
        struct dz_limit_rule rule = rule_of("2/second", (enum dz_limit_strategy)strategy);
        assert_true(verdict(ll, &rule, 1).allowed);
        unsigned again = 0;
        for (int i = 0; again < 4; i++) { /* two more windows' worth, whenever they come */
            assert_true(i < PATIENCE_MS / TURNS_MS);
            struct dz_limit_verdict v = verdict(ll, &rule, 1);
            again += v.allowed;
            if (!v.allowed)
                assert_true(v.reset_ms > 0 && v.reset_ms <= 1001);
            dz_loop_turn(rig.loop, TURNS_MS);
        }
    }
    dz_limiter_end(&ll);
    dz_limiter_close(&l);
    char reply[256];
    for (int i = 0;; i++) {
        redis_say("DBSIZE\r\n", reply, sizeof(reply));
        if (strcmp(reply, ":0\r\n") == 0)
            break;
        assert_true(i < PATIENCE_MS / TURNS_MS);
        usleep(TURNS_MS * 1000);
    }
}

/* Two servers, many clients at once: no more than the limit for each, together. */
static void shared_by_two(void **state)
{
    (void)state;
    enum { CLIENTS = 50, EACH = 8 };
    struct dz_limiter *l[2] = {opened(rig.uri, PATIENCE_MS), opened(rig.uri, PATIENCE_MS)};
    struct dz_limiter_loop *ll[2] = {dz_limiter_begin(l[0], rig.loop),
                                     dz_limiter_begin(l[1], rig.loop)};
    struct dz_limit_rule rule = rule_of("5/hour", DZ_LIMIT_FIXED);
    static struct heard h[CLIENTS * EACH];
    memset(h, 0, sizeof(h));
    /* The first ones are asked before there is a connection. */
    for (unsigned i = 0; i < CLIENTS * EACH; i++)
        ask(ll[i / CLIENTS % 2], &rule, (unsigned char)(i % CLIENTS), &h[i]);
    unsigned allowed[CLIENTS] = {0};
    for (unsigned i = 0; i < CLIENTS * EACH; i++) {
        turn_until(&h[i].n, 1);
        allowed[i % CLIENTS] += h[i].v.allowed;
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(allowed[i], 5);
    for (int i = 0; i < 2; i++) {
        dz_limiter_end(&ll[i]);
        dz_limiter_close(&l[i]);
    }
}

static void forgotten_script(void **state)
{
    (void)state;
    char reply[64];
    struct dz_limiter *l = opened(rig.uri, PATIENCE_MS);
    struct dz_limiter_loop *ll = dz_limiter_begin(l, rig.loop);
    struct dz_limit_rule rule = rule_of("3/hour", DZ_LIMIT_FIXED);
    assert_int_equal(verdict(ll, &rule, 1).remaining, 2);
    redis_say("SCRIPT FLUSH\r\n", reply, sizeof(reply));
    assert_string_equal(reply, "+OK\r\n");
    assert_int_equal(verdict(ll, &rule, 1).remaining, 1);
    assert_int_equal(verdict(ll, &rule, 1).remaining, 0);
    assert_int_equal(rig.losses, 0);
    dz_limiter_end(&ll);
    dz_limiter_close(&l);
}

/* Dead or stopped: what was asked is answered from here, one word is said, and it heals by itself.
 */
static void lost_and_back(void **state)
{
    (void)state;
    for (int stopped = 0; stopped < 2; stopped++) {
        rig.losses = rig.returns = 0;
        struct dz_limiter *l = opened(rig.uri, stopped ? 300 : PATIENCE_MS);
        struct dz_limiter_loop *ll = dz_limiter_begin(l, rig.loop),
                               *other = dz_limiter_begin(l, rig.loop);
        struct dz_limit_rule rule = rule_of("4/hour", DZ_LIMIT_FIXED);
        struct dz_limiter_stats s;
        if (stopped) /* a busy machine may miss 300 ms; then it is lost and comes back before this
                        goes on */
            do {
                (void)verdict(ll, &rule, 9);
                dz_limiter_stats(l, &s);
            } while (s.lost);
        else
            (void)verdict(other, &rule, 9);
        struct heard h[6] = {0};
        unsigned before = rig.losses;
        kill(rig.pid, SIGSTOP);
        for (size_t i = 0; i < DZ_LEN(h); i++)
            ask(i % 2 ? other : ll, &rule, 1, &h[i]);
        if (!stopped)
            redis_end();
        unsigned allowed = 0;
        for (size_t i = 0; i < DZ_LEN(h); i++) {
            turn_until(&h[i].n, 1);
            allowed += h[i].v.allowed;
        }
        assert_int_equal(allowed, 4);
        assert_int_equal(rig.losses, before + 1);
        assert_true(rig.why[0] != '\0');
        struct heard now = {0};
        ask(ll, &rule, 1, &now); /* at once, and of the same count */
        assert_true(now.n == 1 && !now.v.allowed);
        dz_limiter_stats(l, &s);
        assert_true(s.lost && s.alone >= 7 && s.losses == rig.losses);
        unsigned returns = rig.returns;
        if (stopped)
            kill(rig.pid, SIGCONT);
        else
            redis_start("");
        turn_until(&rig.returns, returns + 1);
        assert_string_equal(rig.why, "");
        dz_limiter_stats(l, &s);
        assert_false(s.lost);
        if (!stopped) /* a new server has not counted anything */
            assert_int_equal(verdict(ll, &rule, 1).remaining, 3);
        dz_limiter_end(&ll);
        dz_limiter_end(&other);
        dz_limiter_close(&l);
    }
}

static void nobody_there(void **state)
{
    (void)state;
    redis_end();
    static const char *const uris[] = {"redis://127.0.0.1:1", "redis://[::1]:1",
                                       "redis://localhost:1", "redis://host.invalid",
                                       "redis+unix:///nowhere/s"};
    for (size_t i = 0; i < DZ_LEN(uris); i++) {
        rig.losses = 0;
        struct dz_limiter *l = opened(uris[i], PATIENCE_MS);
        struct dz_limiter_loop *ll = dz_limiter_begin(l, rig.loop);
        struct dz_limit_rule rule = rule_of("1/hour", DZ_LIMIT_FIXED);
        assert_true(verdict(ll, &rule, 1).allowed);
        assert_false(verdict(ll, &rule, 1).allowed);
        assert_int_equal(rig.losses, 1);
        for (int turns = 0; turns < 20; turns++) /* it tries again and says nothing more */
            dz_loop_turn(rig.loop, TURNS_MS);
        assert_int_equal(rig.losses, 1);
        dz_limiter_end(&ll);
        dz_limiter_close(&l);
    }
}

static void passwords(void **state)
{
    (void)state;
    char uri[256], reply[4096];
    redis_end();
    redis_start("p@ss/word");
    static const struct {
        const char *user, *query, *why;
    } cases[] = {
        {"", "", "NOAUTH"},
        {":wrong@", "", "WRONGPASS"},
        {"nobody:p%40ss%2fword@", "", "WRONGPASS"},
        {":p%40ss%2fword@", "?db=9999", "ERR DB index is out of range"},
        {":p%40ss%2fword@", "?db=3", ""},
        {"default:p%40ss%2fword@", "?db=3", ""},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        rig.losses = 0;
        (void)snprintf(uri, sizeof(uri), "redis+unix://%s%s%s", cases[i].user, rig.socket,
                       cases[i].query);
        struct dz_limiter *l = opened(uri, PATIENCE_MS);
        struct dz_limiter_loop *ll = dz_limiter_begin(l, rig.loop);
        struct dz_limit_rule rule = rule_of("2/hour", DZ_LIMIT_FIXED);
        assert_true(verdict(ll, &rule, (unsigned char)i).allowed);
        assert_int_equal(rig.losses, cases[i].why[0] != '\0');
        if (cases[i].why[0] && !strstr(rig.why, cases[i].why))
            fail_msg("%s: %s", uri, rig.why);
        assert_null(strstr(rig.why, "p@ss"));
        dz_limiter_end(&ll);
        dz_limiter_close(&l);
    }
    redis_say("AUTH p@ss/word\r\nSELECT 3\r\nKEYS *\r\n", reply, sizeof(reply));
    for (int i = 0; !strstr(reply, "dozo:limit:/a/{}:fixed:2/3600s:"); i++) {
        assert_true(i < PATIENCE_MS / TURNS_MS);
        redis_say("AUTH p@ss/word\r\nSELECT 3\r\nKEYS dozo:limit:*\r\n", reply, sizeof(reply));
    }
}

/* An ask that is open when the loop ends gets its answer. */
static void ends_in_between(void **state)
{
    (void)state;
    struct dz_limiter *l = opened(rig.uri, PATIENCE_MS);
    struct dz_limit_rule rule = rule_of("1/hour", DZ_LIMIT_FIXED);
    for (int turns = 0; turns < 12; turns++) {
        struct dz_limiter_loop *ll = dz_limiter_begin(l, rig.loop);
        struct heard h[3] = {0};
        for (size_t i = 0; i < DZ_LEN(h); i++)
            ask(ll, &rule, (unsigned char)turns, &h[i]);
        for (int i = 0; i < turns; i++)
            dz_loop_turn(rig.loop, 0);
        dz_limiter_end(&ll);
        for (size_t i = 0; i < DZ_LEN(h); i++)
            assert_int_equal(h[i].n, 1);
    }
    dz_limiter_close(&l);
    l = opened("redis://localhost:1", PATIENCE_MS); /* while its address is looked for */
    struct dz_limiter_loop *ll = dz_limiter_begin(l, rig.loop);
    dz_limiter_end(&ll);
    dz_limiter_close(&l);
}

/* Somebody's key of another kind in the way is a fault of the storage, not of the request. */
static void key_in_the_way(void **state)
{
    (void)state;
    char reply[64];
    struct dz_limiter *l = opened(rig.uri, PATIENCE_MS);
    struct dz_limiter_loop *ll = dz_limiter_begin(l, rig.loop);
    struct dz_limit_rule rule = rule_of("1/hour", DZ_LIMIT_MOVING);
    redis_say("SET dozo:limit:/a/{}:moving:1/3600s:01000000000000000000000000000000 x\r\n", reply,
              sizeof(reply));
    assert_true(verdict(ll, &rule, 1).allowed);
    assert_int_equal(rig.losses, 1);
    assert_non_null(strstr(rig.why, "WRONGTYPE"));
    turn_until(&rig.returns, 1);
    assert_true(verdict(ll, &rule, 2).allowed);
    dz_limiter_end(&ll);
    dz_limiter_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counts_as_here, setup, teardown),
        cmocka_unit_test_setup_teardown(windows_end, setup, teardown),
        cmocka_unit_test_setup_teardown(shared_by_two, setup, teardown),
        cmocka_unit_test_setup_teardown(forgotten_script, setup, teardown),
        cmocka_unit_test_setup_teardown(lost_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_there, setup, teardown),
        cmocka_unit_test_setup_teardown(passwords, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_in_between, setup, teardown),
        cmocka_unit_test_setup_teardown(key_in_the_way, setup, teardown),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
