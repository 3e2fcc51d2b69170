/*
 * test_socket: the server with its threads and real sockets: what memory cannot show.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "dial.h"

#include "http/http_int.h"

#define HELLO "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
#define BIG_BYTES (5 * 1024 * 1024 + 7)

static struct dz_file *big;
static struct dz_body *big_head;
static char address[128];

static void rig_big(struct dz_http_req *r)
{
    dz_http_reply_file(r, big_head, big);
}

static void start(const struct dz_http_options *o, unsigned loops)
{
    struct dz_http_options all = o ? *o : (struct dz_http_options){0};
    all.fallback = rig_big;
    rig_open(&all);
    int fd = memfd_create("big", MFD_CLOEXEC);
    char *bytes = dz_alloc(BIG_BYTES);
    for (uint64_t i = 0; i < BIG_BYTES; i++)
        bytes[i] = rig_file_byte(i);
    must(dz_write_all(fd, (dz_str){bytes, BIG_BYTES}, err));
    free(bytes);
    big = dz_file_new(fd, BIG_BYTES);
    big_head =
        dz_http_prepare(&(struct dz_http_meta){.last_modified_s = -1}, (dz_str){0}, BIG_BYTES);
    must(dz_http_listen(rig.server, "127.0.0.1:0", loops, address, err));
    must(dz_http_start(rig.server, loops, err));
}

static void stop(void)
{
    rig_close();
    dz_body_unref(&big_head);
    dz_file_unref(&big);
}

static void put(int fd, const char *text)
{
    must(dz_write_all(fd, dz_str_of(text), err));
}

/* One answer, or what came before the end. */
static dz_str get(int fd)
{
    dz_buf_clear(&rig.out);
    for (;;) {
        dz_str all = dz_buf_str(&rig.out);
        size_t head = dz_str_find(all, DZ_S("\r\n\r\n"));
        if (head != DZ_NPOS) {
            uint64_t length = 0;
            dz_str text = header_of(all, "Content-Length");
            if (text.p)
                must(dz_str_u64(text, UINT64_MAX, &length, err));
            if (all.n == head + 4 + length)
                return all;
        }
        assert_true(dz_buf_reserve(&rig.out, 65536));
        ssize_t n = recv(fd, rig.out.p + rig.out.n, 65536, 0);
        if (n <= 0)
            return dz_buf_str(&rig.out);
        rig.out.n += (size_t)n;
    }
}

static bool at_end(int fd)
{
    char byte;
    return recv(fd, &byte, 1, 0) <= 0;
}

static struct dz_http_stats stats(void)
{
    struct dz_arena *a = dz_arena_new(1 << 20);
    struct dz_http_stats s;
    dz_http_stats(rig.server, a, &s);
    dz_arena_free(&a);
    return s;
}

static void keep_alive(void **state)
{
    (void)state;
    start(NULL, 2);
    for (int c = 0; c < 8; c++) {
        DZ_AUTO(dz_closep) int fd = dial(address, 0);
        for (int i = 0; i < 10; i++) {
            put(fd, HELLO);
            assert_text(body_of(get(fd)), "hello world");
        }
        put(fd, "GET /late/x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_text(body_of(get(fd)), "/late/x");
        put(fd, "GET /file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_int_equal(body_of(get(fd)).n, RIG_FILE_BYTES);
        assert_true(at_end(fd));
    }
    stop();
}

static void half_close(void **state)
{
    (void)state;
    start(NULL, 1);
    DZ_AUTO(dz_closep) int fd = dial(address, 0);
    put(fd, "GET /late/x HTTP/1.1\r\nHost: a\r\n\r\nGET /any-file HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(fd, SHUT_WR);
    size_t got = 0;
    char part[65536];
    ssize_t n;
    while ((n = recv(fd, part, sizeof(part), 0)) > 0)
        got += (size_t)n;
    assert_int_equal(n, 0);
    assert_true(got > BIG_BYTES);
    stop();
}

/* A reader that takes its time, but reads, gets the whole file through many short writes. */
static void slow_reader(void **state)
{
    (void)state;
    start(NULL, 1);
    DZ_AUTO(dz_closep) int fd = dial(address, 4096);
    put(fd, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n" HELLO);
    dz_buf_clear(&rig.out);
    DZ_AUTO(dz_buf_done) struct dz_buf all;
    dz_buf_init(&all, BIG_BYTES * 2);
    char part[8192];
    size_t step = 1;
    while (!dz_str_ends(dz_buf_str(&all), DZ_S("hello world"))) {
        ssize_t n = recv(fd, part, step, 0);
        assert_true(n > 0);
        dz_buf_put(&all, (dz_str){part, (size_t)n});
        step = step * 5 % sizeof(part) + 1;
    }
    dz_str body = body_of(dz_buf_str(&all));
    for (uint64_t i = 0; i < BIG_BYTES; i++)
        if (body.p[i] != rig_file_byte(i))
            fail_msg("byte %llu is wrong", (unsigned long long)i);
    assert_int_equal(status_of(dz_str_sub(body, BIG_BYTES, body.n)), 200);
    stop();
}

/* A reader that stops is cut off; nobody else notices. */
static void stalled_reader(void **state)
{
    (void)state;
    start(&(struct dz_http_options){.body_timeout_ms = 50}, 1);
    DZ_AUTO(dz_closep) int fd = dial(address, 4096);
    put(fd, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    while (stats().timeouts == 0) {
        DZ_AUTO(dz_closep) int other = dial(address, 0);
        put(other, HELLO);
        assert_int_equal(status_of(get(other)), 200);
        poll(NULL, 0, 5);
    }
    assert_int_equal(poll(&p, 1, -1), 1);
    assert_true(p.revents & (POLLHUP | POLLERR | POLLRDHUP));
    stop();
}

static void reset_it(int *fd)
{
    struct linger none = {.l_onoff = 1};
    setsockopt(*fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    dz_closep(fd);
}

static void resets(void **state)
{
    (void)state;
    start(NULL, 2);
    static const char *const starts[] = {
        "",
        "GET /hel",
        HELLO,
        ("GET /late/x HTTP/1.1\r\nHost: a\r\n\r\n" HELLO),
        "GET /big HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
        "bad\r\n\r\n"};
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < DZ_LEN(starts); i++) {
            int fd = dial(address, 0);
            put(fd, starts[i]);
            if (round % 2)
                poll(NULL, 0, 1);
            reset_it(&fd);
        }
    DZ_AUTO(dz_closep) int fd = dial(address, 0);
    put(fd, HELLO);
    assert_int_equal(status_of(get(fd)), 200);
    while (stats().connections_open > 1)
        poll(NULL, 0, 1);
    stop();
}

/* What the client still sends when its request is refused must not cost it the answer. */
static void refused_upload(void **state)
{
    (void)state;
    start(&(struct dz_http_options){.max_body_bytes = 1000}, 1);
    for (int i = 0; i < 20; i++) {
        DZ_AUTO(dz_closep) int fd = dial(address, 0);
        put(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n");
        char *bytes = dz_zalloc(4000000);
        must(dz_write_all(fd, (dz_str){bytes, 4000000}, err));
        free(bytes);
        assert_int_equal(status_of(get(fd)), 413);
        assert_true(at_end(fd));
    }
    stop();
}

static void too_many_connections(void **state)
{
    (void)state;
    start(&(struct dz_http_options){.max_connections = 3}, 2);
    int fd[3];
    for (int i = 0; i < 3; i++) {
        fd[i] = dial(address, 0);
        put(fd[i], HELLO);
        assert_int_equal(status_of(get(fd[i])), 200);
    }
    for (int i = 0; i < 10; i++) {
        DZ_AUTO(dz_closep) int more = dial(address, 0);
        put(more, HELLO);
        dz_str answer = get(more);
        assert_int_equal(status_of(answer), 503);
        assert_header(answer, "Connection", "close");
    }
    assert_int_equal(stats().connections_refused, 10);
    dz_closep(&fd[1]);
    while (stats().connections_open > 2)
        poll(NULL, 0, 1);
    fd[1] = dial(address, 0);
    for (int i = 0; i < 3; i++) {
        put(fd[i], HELLO);
        assert_int_equal(status_of(get(fd[i])), 200);
        dz_closep(&fd[i]);
    }
    stop();
}

static void idle_ends(void **state)
{
    (void)state;
    start(&(struct dz_http_options){.idle_timeout_ms = 200, .header_timeout_ms = 200}, 1);
    DZ_AUTO(dz_closep) int silent = dial(address, 0);
    assert_true(at_end(silent));
    DZ_AUTO(dz_closep) int idle = dial(address, 0);
    put(idle, HELLO);
    assert_int_equal(status_of(get(idle)), 200);
    assert_true(at_end(idle));
    DZ_AUTO(dz_closep) int late = dial(address, 0);
    put(late, "GET /hel");
    assert_int_equal(status_of(get(late)), 408);
    assert_true(at_end(late));
    stop();
}

static void *stop_server(void *arg)
{
    (void)arg;
    dz_http_stop(&rig.server);
    return NULL;
}

/* What has begun is finished, what is idle is closed, what comes later is turned away. */
static void graceful_stop(void **state)
{
    (void)state;
    start(&(struct dz_http_options){.graceful_timeout_ms = 60000}, 1);
    DZ_AUTO(dz_closep)
    int idle = dial(address, 0), begun = dial(address, 0), large = dial(address, 4096);
    put(idle, HELLO);
    assert_int_equal(status_of(get(idle)), 200);
    put(begun,
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    char interim[25];
    assert_int_equal(recv(begun, interim, sizeof(interim), MSG_WAITALL), 25);
    put(large, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    char byte;
    assert_int_equal(recv(large, &byte, 1, 0), 1);
    pthread_t thread;
    pthread_create(&thread, NULL, stop_server, NULL);
    assert_true(at_end(idle));
    put(begun, "body");
    dz_str answer = get(begun);
    assert_header(answer, "Connection", "close");
    assert_text(body_of(answer), "body");
    assert_true(at_end(begun));
    size_t got = 1;
    char part[65536];
    ssize_t n;
    while ((n = recv(large, part, sizeof(part), 0)) > 0)
        got += (size_t)n;
    assert_int_equal(n, 0);
    assert_true(got > BIG_BYTES);
    pthread_join(thread, NULL);
    stop();
}

static void stop_cuts(void **state)
{
    (void)state;
    start(&(struct dz_http_options){.graceful_timeout_ms = 50}, 2);
    DZ_AUTO(dz_closep) int begun = dial(address, 0), stalled = dial(address, 4096);
    put(begun, "GET /hello HTTP/1.1\r\n");
    put(stalled, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    char byte;
    assert_int_equal(recv(stalled, &byte, 1, 0), 1);
    stop();
    assert_true(at_end(begun));
}

static struct dz_http_req *_Atomic forgotten;

static void rig_forget(struct dz_http_req *r)
{
    dz_http_defer(r);
    forgotten = r;
}

/* A handler never replies: the stop ends all the same. Its lane stays, the way to it does not. */
static void stop_abandons(void **state)
{
    (void)state;
    char path[] = "/tmp/dozo-http-XXXXXX";
    assert_non_null(mkdtemp(path));
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", path);
    char name[128], printed[128];
    snprintf(name, sizeof(name), "unix:%s", un.sun_path);
    rig_open(&(struct dz_http_options){.graceful_timeout_ms = 20, .fallback = rig_forget});
    rig.server->abandon_ms = 20;
    must(dz_http_listen(rig.server, name, 2, printed, err));
    must(dz_http_start(rig.server, 2, err));
    DZ_AUTO(dz_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    put(fd, "GET /forget HTTP/1.1\r\nHost: a\r\n\r\n");
    while (!forgotten)
        poll(NULL, 0, 1);
    dz_http_stop(&rig.server);
    assert_true(at_end(fd));
    assert_int_equal(access(un.sun_path, F_OK), -1);
    assert_int_equal(rmdir(path), 0);
    assert_non_null(forgotten->loop); /* whoever still has the request may look at it */
    rig_close();
}

static void addresses(void **state)
{
    (void)state;
    start(NULL, 2);
    char text[128];
    struct dz_err err = {0};
    struct dz_http_server *other = NULL;
    must(dz_http_server_new(&(struct dz_http_options){0}, &other, err));
    assert_int_equal(dz_http_listen(other, address, 1, text, &err), DZ_CONFLICT);
    assert_non_null(strstr(err.text, "is in use"));
    static const char *const bad[] = {
        "",         "8080",      ":8080",          "127.0.0.1:", "127.0.0.1:99999",
        "::1:8080", "[::1]8080", "256.1.1.1:8080", "unix:",      "unix:/nowhere/at/all"};
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        enum dz_code code = dz_http_listen(other, bad[i], 1, text, &err);
        if (code != DZ_BAD_INPUT && code != DZ_IO)
            fail_msg("%s: %s", bad[i], dz_code_name(code));
    }
    char path[] = "/tmp/dozo-http-XXXXXX";
    assert_non_null(mkdtemp(path));
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", path);
    char name[128];
    snprintf(name, sizeof(name), "unix:%s", un.sun_path);
    /* A stale socket file is replaced, a living one is not. */
    int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(stale, (struct sockaddr *)&un, sizeof(un)), 0);
    dz_closep(&stale);
    must(dz_http_listen(other, name, 2, text, err));
    assert_string_equal(text, name);
    assert_int_equal(dz_http_listen(other, name, 2, text, &err), DZ_CONFLICT);
    must(dz_http_start(other, 2, err));
    for (int i = 0; i < 4; i++) {
        DZ_AUTO(dz_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
        put(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_int_equal(status_of(get(fd)), 404);
    }
    dz_http_stop(&other);
    assert_int_equal(access(un.sun_path, F_OK), -1);
    rmdir(path);
    stop();
}

static int64_t cpu_us(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000 + r.ru_utime.tv_usec +
           r.ru_stime.tv_usec;
}

/* Descriptors of the process up to the limit. */
struct table {
    struct rlimit old;
    int fd[512];
    size_t n;
};

static void table_fill(struct table *t)
{
    struct rlimit low;
    getrlimit(RLIMIT_NOFILE, &t->old);
    low = t->old;
    int top = dup(STDERR_FILENO);
    low.rlim_cur = (rlim_t)top + 1;
    close(top);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (t->n = 0; (t->fd[t->n] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0; t->n++)
        assert_true(t->n + 1 < DZ_LEN(t->fd));
    assert_int_equal(errno, EMFILE);
}

static void table_empty(struct table *t)
{
    while (t->n > 0)
        close(t->fd[--t->n]);
    setrlimit(RLIMIT_NOFILE, &t->old);
}

struct clients {
    int fd[64];
    struct sockaddr_in to;
};

/* Sockets, so that a full table can be knocked at. */
static void clients_make(struct clients *c, int like)
{
    socklen_t n = sizeof(c->to);
    assert_int_equal(getpeername(like, (struct sockaddr *)&c->to, &n), 0);
    for (size_t i = 0; i < DZ_LEN(c->fd); i++)
        c->fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void clients_knock(struct clients *c)
{
    for (size_t i = 0; i < DZ_LEN(c->fd); i++)
        assert_int_equal(connect(c->fd[i], (struct sockaddr *)&c->to, sizeof(c->to)), 0);
}

static void clients_close(struct clients *c)
{
    for (size_t i = 0; i < DZ_LEN(c->fd); i++)
        dz_closep(&c->fd[i]);
}

static void serves(int fd)
{
    put(fd, HELLO);
    assert_int_equal(status_of(get(fd)), 200);
}

/* At the limit each client is closed, by whichever loop, and again, and again; those that are
 * connected are served, and new ones as soon as there is room. */
static void full_table(unsigned loops)
{
    start(NULL, loops);
    int fd[24];
    for (size_t i = 0; i < DZ_LEN(fd); i++) {
        fd[i] = dial(address, 0);
        serves(fd[i]);
    }
    for (int round = 0; round < 5; round++) {
        struct clients c;
        struct table t;
        uint64_t refused = stats().connections_refused;
        while (stats().connections_open > DZ_LEN(fd)) /* that of the round before is on its way */
            poll(NULL, 0, 1);
        clients_make(&c, fd[0]);
        table_fill(&t);
        clients_knock(&c);
        for (size_t i = 0; i < DZ_LEN(c.fd); i++)
            assert_true(at_end(c.fd[i]));
        assert_int_equal(stats().connections_refused, refused + DZ_LEN(c.fd));
        int64_t before_us = cpu_us();
        poll(NULL, 0, 200);
        assert_true(cpu_us() - before_us < 100000);
        for (size_t i = 0; i < DZ_LEN(fd); i++)
            serves(fd[i]);
        table_empty(&t);
        clients_close(&c);
        DZ_AUTO(dz_closep) int again = dial(address, 0);
        serves(again);
    }
    for (size_t i = 0; i < DZ_LEN(fd); i++)
        dz_closep(&fd[i]);
    stop();
}

static void no_descriptors(void **state)
{
    (void)state;
    full_table(1);
    full_table(4);
}

/* Takes descriptors as soon as somebody makes room, as a worker that opens files does. */
static void *thief(void *arg)
{
    int *stolen = arg;
    for (int n = 0; n < 3;)
        if ((stolen[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
            n++;
    return NULL;
}

/* Who lost the spare descriptor gives up idle connections for it, and nobody waits for ever. */
static void stolen_descriptors(void **state)
{
    (void)state;
    start(NULL, 2);
    int fd[32], stolen[3];
    for (size_t i = 0; i < DZ_LEN(fd); i++) {
        fd[i] = dial(address, 0);
        serves(fd[i]);
    }
    struct clients c;
    struct table t;
    pthread_t thread;
    clients_make(&c, fd[0]);
    table_fill(&t);
    pthread_create(&thread, NULL, thief, stolen);
    clients_knock(&c);
    size_t closed = 0;
    for (size_t i = 0; i < DZ_LEN(c.fd); i++)
        closed += at_end(c.fd[i]);
    assert_int_equal(closed, DZ_LEN(c.fd));
    table_empty(&t);
    pthread_join(thread, NULL);
    for (size_t i = 0; i < DZ_LEN(stolen); i++)
        dz_closep(&stolen[i]);
    clients_close(&c);
    DZ_AUTO(dz_closep) int again = dial(address, 0);
    serves(again);
    for (size_t i = 0; i < DZ_LEN(fd); i++)
        dz_closep(&fd[i]);
    stop();
}

/* A limit below what is open cannot be helped: the loops rest, keep what they have, and recover. */
static void lowered_limit(void **state)
{
    (void)state;
    start(NULL, 2);
    int fd[24];
    for (size_t i = 0; i < DZ_LEN(fd); i++) {
        fd[i] = dial(address, 0);
        serves(fd[i]);
    }
    struct clients c;
    clients_make(&c, fd[0]);
    struct rlimit old, low;
    getrlimit(RLIMIT_NOFILE, &old);
    low = old;
    low.rlim_cur = 3; /* every new descriptor is one too many */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    clients_knock(&c);
    int64_t before_us = cpu_us();
    poll(NULL, 0, 300);
    assert_true(cpu_us() - before_us < 150000);
    for (size_t i = 0; i < DZ_LEN(fd); i++)
        serves(fd[i]);
    setrlimit(RLIMIT_NOFILE, &old);
    for (size_t i = 0; i < DZ_LEN(c.fd); i++)
        serves(c.fd[i]);
    clients_close(&c);
    for (size_t i = 0; i < DZ_LEN(fd); i++)
        dz_closep(&fd[i]);
    stop();
}

/* Everything at once from many threads, for the sanitizers. */
static void *hammer(void *arg)
{
    unsigned seed = *(unsigned *)arg;
    static const char *const requests[] = {
        HELLO,
        "GET /file HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /late/abc HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /text HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "GET /big HTTP/1.1\r\n\r\n"};
    for (int i = 0; i < 30; i++) {
        int fd = dial(address, 0);
        for (int k = 0; k < 10; k++) {
            seed = seed * 1103515245 + 12345;
            const char *request = requests[(seed >> 16) % DZ_LEN(requests)];
            ssize_t sent = send(fd, request, strlen(request), MSG_NOSIGNAL);
            char part[4096];
            if (sent <= 0 || ((seed >> 8) % 3 && recv(fd, part, sizeof(part), 0) <= 0))
                break;
        }
        dz_closep(&fd);
    }
    return NULL;
}

static void many_clients(void **state)
{
    (void)state;
    start(NULL, 2);
    pthread_t thread[4];
    unsigned seed[4] = {1, 2, 3, 4};
    for (size_t i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, hammer, &seed[i]);
    for (int i = 0; i < 20; i++)
        (void)stats();
    for (size_t i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    stop();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keep_alive),     cmocka_unit_test(half_close),
        cmocka_unit_test(slow_reader),    cmocka_unit_test(stalled_reader),
        cmocka_unit_test(resets),         cmocka_unit_test(refused_upload),
        cmocka_unit_test(idle_ends),      cmocka_unit_test(too_many_connections),
        cmocka_unit_test(graceful_stop),  cmocka_unit_test(stop_cuts),
        cmocka_unit_test(stop_abandons),  cmocka_unit_test(addresses),
        cmocka_unit_test(no_descriptors), cmocka_unit_test(stolen_descriptors),
        cmocka_unit_test(lowered_limit),  cmocka_unit_test(many_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
