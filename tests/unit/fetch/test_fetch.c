/* fetch: the requester against a server that behaves badly on purpose: one thread, canned answers,
 * each connection closed after one. */
#include "site.h"

#include "fetch/fetch.h"

#include <brotli/encode.h>
#include <pthread.h>
#include <zlib.h>
#include <zstd.h>

static struct {
    struct dz_loop *loop;
    struct dz_fetch *fetch;
    struct dz_fetch_policy *policy;
    int listener;
    unsigned port;
    pthread_t thread;
    char base[64], dir[64];
    _Atomic int requests;
    char last[8192]; /* the last request; read when its answer is there */
} rig;

/* ---- the server ------------------------------------------------------------------------------ */

#define OK(body) "HTTP/1.1 200 OK\r\nContent-Length: " body

static const struct {
    const char *path, *answer;
} answers[] = {
    {"/plain", OK("5\r\nX-Name: Value\r\n\r\nhello")},
    {"/cut", OK("50\r\n\r\nhello")},
    {"/garbage", "this is no HTTP at all\r\n\r\n"},
    {"/empty", ""},
    {"/missing", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone"},
    {"/hop", "HTTP/1.1 302 Found\r\nLocation: plain#x\r\nContent-Length: 0\r\n\r\n"},
    {"/circle", "HTTP/1.1 302 Found\r\nLocation: /circle\r\nContent-Length: 0\r\n\r\n"},
    {"/abroad",
     "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n"},
    {"/scheme", "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"},
    {"/after-post", "HTTP/1.1 303 See Other\r\nLocation: /plain\r\nContent-Length: 0\r\n\r\n"},
    {"/busy", "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"},
    {"/cookie", OK("2\r\nSet-Cookie: a=b; Path=/\r\n\r\nok")},
    {"/fresh", OK("5\r\nCache-Control: max-age=600\r\n\r\nfresh")},
    {"/private", OK("5\r\nCache-Control: no-store\r\n\r\nnever")},
    {"/tagged", OK("6\r\nETag: \"t1\"\r\nX-Kept: yes\r\n\r\ntagged")},
    {"/to-tagged", "HTTP/1.1 302 Found\r\nLocation: /tagged\r\nContent-Length: 0\r\n\r\n"},
    {"/picture", OK("3\r\nContent-Type: image/png\r\nCache-Control: max-age=60\r\n\r\npng")},
    {"/by-name", OK("5\r\nVary: X-Who\r\nCache-Control: max-age=60\r\n\r\nnamed")},
    {"/by-two", OK("5\r\nVary: X-Other\r\nVary: X-Who\r\nCache-Control: max-age=60\r\n\r\nnamed")},
    {"/in-two-lines", OK("5\r\nCache-Control: max-age=60\r\nCache-Control: no-store\r\n\r\nnever")},
    {"/age-behind", OK("5\r\nCache-Control: public\r\nCache-Control: max-age=60\r\n\r\nfresh")},
    {"/odd-coding", OK("5\r\nContent-Encoding: rot13\r\n\r\nhello")},
    {"/plain-coding", OK("5\r\nContent-Encoding: identity\r\n\r\nhello")},
    {"/long", OK("5\r\n\r\nhello and more than was said")},
    {"/chunk-cut", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n9\r\nhal"},
    {"/chunk-bad", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n"},
    {"/two-lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nhello"},
    {"/less-lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 3\r\n\r\nhello"},
    {"/endless-length", OK("99999999999999999999\r\n\r\nhello")},
    {"/same-length", OK("5\r\nContent-Length: 5\r\n\r\nhello")},
    {"/unasked-304", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"},
    {"/unasked-206", "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\nhello"},
    {"/unasked-101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nhello"},
    {"/nowhere", "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"},
    {"/no-gzip", OK("5\r\nContent-Encoding: gzip\r\n\r\nhello")},
    {"/tired", "HTTP/1.1 503 Tired\r\nContent-Length: 0\r\n\r\n"},
    {"/at-once", "HTTP/1.1 429 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"},
};

/* So much of one byte, in gzip. */
static void send_packed(int fd, size_t n)
{
    char *plain = calloc(1, n), *packed = malloc(n / 100 + 4096), head[200];
    z_stream z = {.next_in = (Bytef *)plain,
                  .avail_in = (uInt)n,
                  .next_out = (Bytef *)packed,
                  .avail_out = (uInt)(n / 100 + 4096)};
    if (deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK &&
        deflate(&z, Z_FINISH) == Z_STREAM_END) {
        snprintf(head, sizeof(head),
                 "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
                 (size_t)z.total_out);
        (void)!send(fd, head, strlen(head), MSG_NOSIGNAL);
        (void)!send(fd, packed, z.total_out, MSG_NOSIGNAL);
    }
    deflateEnd(&z);
    free(plain);
    free(packed);
}

/* Ten thousand bytes that do not pack to nothing, in a coding; "gzip", "br" or "zstd", then how
 * many bytes are left out at the end, though the length fits. */
static void send_coded(int fd, const char *coding, size_t less)
{
    static uint8_t plain[10000], packed[20000];
    size_t n = sizeof(packed);
    char head[200];
    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (uint8_t)("hello"[i % 5] + (i * i / 7919) % 3);
    if (coding[0] == 'g') {
        z_stream z = {.next_in = plain, .avail_in = sizeof(plain), .next_out = packed};
        z.avail_out = sizeof(packed);
        assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        n = z.total_out;
        deflateEnd(&z);
    } else if (coding[0] == 'b') {
        assert_true(
            BrotliEncoderCompress(5, 22, BROTLI_MODE_GENERIC, sizeof(plain), plain, &n, packed));
    } else {
        n = ZSTD_compress(packed, n, plain, sizeof(plain), 3);
        assert_false(ZSTD_isError(n));
    }
    n -= less < n ? less : n;
    snprintf(head, sizeof(head),
             "HTTP/1.1 200 OK\r\nContent-Encoding: %.*s\r\nContent-Length: %zu\r\n\r\n",
             (int)strcspn(coding, "/"), coding, n);
    (void)!send(fd, head, strlen(head), MSG_NOSIGNAL);
    for (size_t at = 0, part = 1; at < n; at += part, part = part * 3 + 1)
        (void)!send(fd, packed + at, part < n - at ? part : n - at, MSG_NOSIGNAL);
}

/* True: it was one of the answers that are no fixed text. */
static bool answer_oddly(int fd, const char *path)
{
    static char block[65536];
    if (strncmp(path, " /bomb ", 7) == 0) {
        send_packed(fd, (size_t)64 * 1024 * 1024);
    } else if (strncmp(path, " /packed ", 9) == 0) {
        send_packed(fd, 1000);
    } else if (strncmp(path, " /coded/", 8) == 0) {
        const char *less = strchr(path + 8, '/');
        send_coded(fd, path + 8, less ? strtoul(less + 1, NULL, 10) : 0);
    } else if (strncmp(path, " /silent ", 9) == 0) {
        while (recv(fd, block, sizeof(block), 0) > 0) {
        }
    } else if (strncmp(path, " /endless ", 10) == 0) {
        (void)!send(fd, "HTTP/1.1 200 OK\r\n\r\n", 19, MSG_NOSIGNAL);
        while (send(fd, block, sizeof(block), MSG_NOSIGNAL) > 0) {
        }
    } else if (strncmp(path, " /heads ", 8) == 0) {
        (void)!send(fd, "HTTP/1.1 200 OK\r\n", 17, MSG_NOSIGNAL);
        while (send(fd, "X-Some: thing and more of it\r\n", 30, MSG_NOSIGNAL) > 0) {
        }
    } else if (strncmp(path, " /name", 6) == 0) { /* on to the other name of this machine */
        char text[256];
        snprintf(text, sizeof(text),
                 "HTTP/1.1 302 Found\r\nLocation: http://localhost:%u/plain\r\n"
                 "Content-Length: 0\r\n\r\n",
                 rig.port);
        (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
    } else if (strncmp(path, " /many?", 7) == 0) { /* a head of many small fields */
        static char many[65536];
        int n = snprintf(many, sizeof(many),
                         "HTTP/1.1 200 OK\nCache-Control: max-age=600\nContent-Length: 2\n");
        for (int i = 0; i < 16300; i++, n += 4)
            memcpy(many + n, "a:b\n", 4);
        memcpy(many + n, "\nok", 3);
        (void)!send(fd, many, (size_t)n + 3, MSG_NOSIGNAL);
    } else if (strncmp(path, " /further?", 10) == 0) {
        char text[256];
        snprintf(text, sizeof(text),
                 "HTTP/1.1 307 On\r\nLocation: /further?%lu\r\nContent-Length: 0\r\n\r\n",
                 strtoul(path + 10, NULL, 10) + 1);
        (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
    } else {
        return false;
    }
    return true;
}

static void answer(int fd)
{
    char text[sizeof(rig.last)];
    size_t n = 0;
    ssize_t got;
    while (n + 1 < sizeof(text) && (got = recv(fd, text + n, sizeof(text) - 1 - n, 0)) > 0) {
        n += (size_t)got;
        text[n] = 0;
        if (site_is_whole(text, n))
            break;
    }
    memcpy(rig.last, text, n + 1);
    atomic_fetch_add(&rig.requests, 1);
    const char *found = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n";
    char *path = strchr(text, ' ');
    for (size_t i = 0; path && i < DZ_LEN(answers); i++) {
        size_t k = strlen(answers[i].path);
        if (strncmp(path + 1, answers[i].path, k) == 0 && path[1 + k] == ' ')
            found = answers[i].answer;
    }
    if (strstr(text, "If-None-Match: \"t1\""))
        found = "HTTP/1.1 304 Not Modified\r\nETag: \"t1\"\r\n\r\n";
    if (!path || !answer_oddly(fd, path))
        (void)!send(fd, found, strlen(found), MSG_NOSIGNAL);
}

static void *serve(void *arg)
{
    (void)arg;
    for (;;) {
        int fd = accept(rig.listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        answer(fd);
        close(fd);
    }
}

/* ---- calls ----------------------------------------------------------------------------------- */

struct outcome {
    int calls, status;
    enum dz_fetch_kind kind;
    bool from_cache, revalidated;
    unsigned requests;
    int64_t retry_after_ms;
    size_t body_n;
    char text[256], body[64], url[256], header[64];
};

static void on_done(void *arg, struct dz_fetch_res *res)
{
    struct outcome *o = arg;
    o->calls++;
    o->kind = res->kind;
    o->status = res->status;
    o->from_cache = res->from_cache;
    o->revalidated = res->revalidated;
    o->requests = res->requests;
    o->retry_after_ms = res->retry_after_ms;
    snprintf(o->text, sizeof(o->text), "%s", res->kind ? res->err.text : "");
    snprintf(o->url, sizeof(o->url), "%.*s", (int)res->url.n, res->url.p);
    o->body_n = res->body ? res->body->n : 0;
    if (res->body)
        snprintf(o->body, sizeof(o->body), "%.*s", (int)res->body->n, res->body->p);
    for (size_t i = 0; i < res->headers_n; i++)
        if (dz_str_eq(res->headers[i].name, DZ_S("x-name")))
            snprintf(o->header, sizeof(o->header), "%.*s", DZ_STR_FMT(res->headers[i].value));
}

static struct outcome ask_with(struct dz_fetch_req r, const char *path)
{
    char url[5000];
    struct outcome o = {0};
    snprintf(url, sizeof(url), "%s%s", path[0] == '/' ? rig.base : "", path);
    r.policy = r.policy ? r.policy : rig.policy;
    r.url = dz_str_of(url);
    r.done = on_done;
    r.arg = &o;
    dz_fetch_start(rig.fetch, &r, NULL);
    assert_int_equal(o.calls, 0); /* never from inside */
    while (o.calls == 0)
        dz_loop_turn(rig.loop, -1);
    return o;
}

static struct outcome ask(const char *path)
{
    return ask_with((struct dz_fetch_req){0}, path);
}

static struct dz_fetch_policy *policy_for(const char *host, const char *open)
{
    dz_str hosts[] = {dz_str_of(host)}, opens[] = {dz_str_of(open)};
    struct dz_fetch_policy_spec s = {.source = DZ_S("test"),
                                     .hosts = hosts,
                                     .hosts_n = 1,
                                     .open_hosts = opens,
                                     .open_hosts_n = open ? 1 : 0,
                                     .per_host = 4};
    struct dz_fetch_policy *p = NULL;
    assert_int_equal(dz_fetch_policy_new(&s, &p, NULL), DZ_OK);
    return p;
}

static void open_fetch_with(int64_t strike_ms)
{
    struct dz_fetch_options o = {.cache_dir = rig.dir,
                                 .cache_entries_max = 3,
                                 .cache_ttl_ms = 3600000,
                                 .user_agent = "dozo-test/1",
                                 .connect_timeout_ms = 20000,
                                 .read_timeout_ms = 20000,
                                 .strike_ms = strike_ms};
    assert_int_equal(dz_fetch_new(rig.loop, &o, &rig.fetch, NULL), DZ_OK);
}

static void open_fetch(void)
{
    open_fetch_with(0);
}

static int setup(void **state)
{
    (void)state;
    site_folder(rig.dir);
    rig.listener = site_listen(rig.base, &rig.port);
    assert_int_equal(pthread_create(&rig.thread, NULL, serve, NULL), 0);
    assert_int_equal(dz_loop_new(&rig.loop, NULL), DZ_OK);
    rig.policy = policy_for("127.0.0.1", rig.base + 7);
    open_fetch();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dz_fetch_free(&rig.fetch);
    dz_fetch_policy_unref(&rig.policy);
    shutdown(rig.listener, SHUT_RDWR);
    pthread_join(rig.thread, NULL);
    close(rig.listener);
    dz_loop_free(&rig.loop);
    return site_remove(rig.dir);
}

/* Every case starts with hosts that nobody has to leave alone. */
static int fresh(void **state)
{
    (void)state;
    dz_fetch_free(&rig.fetch);
    open_fetch();
    return 0;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void answers_and_says_who_asks(void **state)
{
    (void)state;
    struct outcome o = ask("/plain");
    assert_int_equal(o.kind, DZ_FETCH_OK);
    assert_int_equal(o.status, 200);
    assert_string_equal(o.body, "hello");
    assert_string_equal(o.header, "Value");
    assert_int_equal(o.requests, 1);
    assert_non_null(strstr(rig.last, "User-Agent: dozo-test/1\r\n"));
    assert_non_null(strstr(rig.last, "Accept-Encoding: "));

    static const struct dz_fetch_header lines[] = {{{"X-Mine", 6}, {"1", 1}}};
    o = ask_with(
        (struct dz_fetch_req){
            .method = DZ_S("POST"), .body = DZ_S("a=b"), .headers = lines, .headers_n = 1},
        "/missing");
    assert_int_equal(o.kind, DZ_FETCH_OK);
    assert_int_equal(o.status, 404);
    assert_non_null(strstr(rig.last, "POST /missing "));
    assert_non_null(strstr(rig.last, "X-Mine: 1\r\n"));
    assert_non_null(strstr(rig.last, "\r\n\r\na=b"));
    assert_null(strstr(rig.last, "Content-Type"));

    static const struct dz_fetch_header evil[] = {{{"X", 1}, {"1\r\nY: 2", 7}}};
    int before = rig.requests;
    o = ask_with((struct dz_fetch_req){.headers = evil, .headers_n = 1}, "/plain");
    assert_int_equal(o.kind, DZ_FETCH_BAD_URL);
    assert_int_equal(rig.requests, before);
}

static void reaches_only_what_it_may(void **state)
{
    (void)state;
    int before = rig.requests;
    struct outcome o = ask("http://elsewhere.example/");
    assert_int_equal(o.kind, DZ_FETCH_FORBIDDEN);
    assert_non_null(strstr(o.text, "elsewhere.example"));
    assert_int_equal(ask("http://127.0.0.1:1/").kind,
                     DZ_FETCH_FORBIDDEN); /* only one port is open */
    assert_int_equal(ask("file:///etc/passwd").kind, DZ_FETCH_BAD_URL);
    assert_int_equal(ask("nonsense").kind, DZ_FETCH_BAD_URL);
    assert_int_equal(rig.requests, before);

    DZ_AUTO(dz_fetch_policy_unref) struct dz_fetch_policy *closed = policy_for("127.0.0.1", NULL);
    o = ask_with((struct dz_fetch_req){.policy = closed}, "/plain");
    assert_int_equal(o.kind, DZ_FETCH_FORBIDDEN);
    assert_non_null(strstr(o.text, "private"));
    DZ_AUTO(dz_fetch_policy_unref) struct dz_fetch_policy *named = policy_for("localhost", NULL);
    char url[128];
    snprintf(url, sizeof(url), "http://localhost:%u/plain", rig.port);
    o = ask_with((struct dz_fetch_req){.policy = named}, url); /* by its name's address */
    assert_int_equal(o.kind, DZ_FETCH_FORBIDDEN);
    assert_int_equal(rig.requests, before);
}

static void follows_redirects_within_limits(void **state)
{
    (void)state;
    struct outcome o = ask("/hop");
    assert_string_equal(o.body, "hello");
    assert_non_null(strstr(o.url, "/plain"));
    assert_int_equal(o.requests, 2);
    o = ask_with((struct dz_fetch_req){.no_redirects = true}, "/hop");
    assert_int_equal(o.status, 302);
    assert_int_equal(ask("/circle").kind, DZ_FETCH_REDIRECTS);
    o = ask("/abroad");
    assert_int_equal(o.kind, DZ_FETCH_FORBIDDEN);
    assert_int_equal(ask("/scheme").kind, DZ_FETCH_REDIRECTS);
    o = ask_with((struct dz_fetch_req){.method = DZ_S("POST"), .body = DZ_S("x")}, "/after-post");
    assert_string_equal(o.body, "hello");
    assert_non_null(strstr(rig.last, "GET /plain "));
}

static void names_what_is_broken(void **state)
{
    (void)state;
    assert_int_equal(ask("/cut").kind, DZ_FETCH_BROKEN);
    assert_int_equal(ask("/garbage").kind, DZ_FETCH_BROKEN);
    assert_int_equal(ask("/empty").kind, DZ_FETCH_BROKEN);
    struct outcome o = ask_with((struct dz_fetch_req){.body_max = 200000}, "/endless");
    assert_int_equal(o.kind, DZ_FETCH_TOO_LARGE);
    o = ask_with((struct dz_fetch_req){.body_max = 4}, "/plain");
    assert_int_equal(o.kind, DZ_FETCH_TOO_LARGE);
}

/* Taken as answers they would be pages without anything on them. */
static void takes_no_answer_that_was_not_asked_for(void **state)
{
    (void)state;
    struct dz_fetch_header own[] = {{DZ_S("If-None-Match"), DZ_S("\"x\"")},
                                    {DZ_S("Range"), DZ_S("bytes=0-4")}};
    struct dz_fetch_req conditional = {.headers = own, .headers_n = DZ_LEN(own)};
    assert_int_equal(ask("/less-lengths").kind, DZ_FETCH_BROKEN);
    assert_int_equal(ask("/endless-length").kind, DZ_FETCH_BROKEN);
    assert_string_equal(ask("/same-length").body, "hello");
    struct outcome o = ask("/unasked-304");
    assert_int_equal(o.kind, DZ_FETCH_BROKEN);
    assert_non_null(strstr(o.text, "127.0.0.1 answers 304, which was not asked for"));
    assert_int_equal(ask("/unasked-206").kind, DZ_FETCH_BROKEN);
    assert_int_equal(ask("/unasked-101").kind, DZ_FETCH_BROKEN);
    assert_int_equal(ask("/nowhere").kind, DZ_FETCH_REDIRECTS);
    assert_int_equal(ask_with(conditional, "/unasked-304").status, 304);
    assert_int_equal(ask_with(conditional, "/unasked-206").status, 206);
    o = ask_with((struct dz_fetch_req){.no_redirects = true}, "/nowhere");
    assert_int_equal(o.status, 302);
}

/* Half of a packed body whose length fits is no answer either. */
static void unpacks(void **state)
{
    (void)state;
    static const char *const codings[] = {"gzip", "br", "zstd"};
    for (size_t i = 0; i < DZ_LEN(codings); i++) {
        char path[64];
        for (unsigned less = 0; less < 1000; less = less * 5 + 1) {
            snprintf(path, sizeof(path), "/coded/%s/%u", codings[i], less);
            struct outcome o = ask(path);
            if (less == 0) {
                assert_int_equal(o.kind, DZ_FETCH_OK);
                assert_memory_equal(o.body, "hello", 5);
                assert_int_equal(o.body_n, 10000);
            } else {
                assert_int_equal(o.kind, DZ_FETCH_BROKEN);
                assert_non_null(strstr(o.text, "127.0.0.1: the content ends in the middle"));
            }
        }
    }
    struct outcome o = ask("/odd-coding");
    assert_int_equal(o.kind, DZ_FETCH_BROKEN);
    assert_non_null(strstr(o.text, "Content-Encoding"));
    assert_string_equal(ask("/plain-coding").body, "hello");
    o = ask_with((struct dz_fetch_req){.body_max = 9999}, "/coded/zstd/0");
    assert_int_equal(o.kind, DZ_FETCH_TOO_LARGE);
    o = ask_with((struct dz_fetch_req){.body_max = 10000}, "/coded/br/0");
    assert_int_equal(o.kind, DZ_FETCH_OK);
    o = ask_with((struct dz_fetch_req){.method = DZ_S("HEAD")}, "/no-gzip");
    assert_int_equal(o.kind, DZ_FETCH_OK);
    assert_non_null(strstr(rig.last, "Accept-Encoding: gzip, br, zstd\r\n"));
}

static void names_more_that_is_broken(void **state)
{
    (void)state;
    dz_fetch_free(&rig.fetch);
    open_fetch_with(1);
    assert_int_equal(ask("/chunk-cut").kind, DZ_FETCH_BROKEN);
    assert_int_equal(ask("/chunk-bad").kind, DZ_FETCH_BROKEN);
    assert_int_equal(ask("/two-lengths").kind, DZ_FETCH_BROKEN);
    assert_int_equal(ask("/no-gzip").kind, DZ_FETCH_BROKEN);
    assert_int_equal(ask("/packed").kind, DZ_FETCH_OK);
    assert_string_equal(ask("/long").body, "hello"); /* what goes over the length is not read */
    assert_int_equal(ask("/heads").kind, DZ_FETCH_TOO_LARGE);
    struct outcome o = ask_with((struct dz_fetch_req){.read_timeout_ms = 1000}, "/silent");
    assert_int_equal(o.kind, DZ_FETCH_TIMEOUT);

    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_fetch_host_stats *v;
    size_t n;
    dz_fetch_hosts(rig.fetch, a, &v, &n);
    uint64_t before = v[0].bytes;
    o = ask("/bomb"); /* cut long before its 64 MiB are unpacked */
    assert_int_equal(o.kind, DZ_FETCH_TOO_LARGE);
    assert_non_null(strstr(o.text, "unpacks"));
    dz_fetch_hosts(rig.fetch, a, &v, &n);
    assert_true(v[0].bytes - before < 20 * DZ_MIB);
}

static void follows_no_redirect_to_a_private_address(void **state)
{
    (void)state;
    dz_str hosts[] = {DZ_S("127.0.0.1"), DZ_S("localhost")}, open[] = {dz_str_of(rig.base + 7)};
    struct dz_fetch_policy_spec s = {.source = DZ_S("test"),
                                     .hosts = hosts,
                                     .hosts_n = 2,
                                     .open_hosts = open,
                                     .open_hosts_n = 1};
    DZ_AUTO(dz_fetch_policy_unref) struct dz_fetch_policy *one = NULL, *both = NULL;
    assert_int_equal(dz_fetch_policy_new(&s, &one, NULL), DZ_OK);
    struct outcome o = ask_with((struct dz_fetch_req){.policy = one}, "/name");
    assert_int_equal(o.kind, DZ_FETCH_FORBIDDEN);
    assert_non_null(strstr(o.text, "localhost"));
    assert_non_null(strstr(o.text, "private"));
    assert_non_null(strstr(rig.last, "GET /name "));

    s.allow_private = true;
    assert_int_equal(dz_fetch_policy_new(&s, &both, NULL), DZ_OK);
    static const struct dz_fetch_header secret[] = {{{"Authorization", 13}, {"s3cret", 6}},
                                                    {{"X-Open", 6}, {"yes", 3}}};
    o = ask_with((struct dz_fetch_req){.policy = both, .headers = secret, .headers_n = 2}, "/name");
    assert_string_equal(o.body, "hello");
    assert_null(strstr(rig.last, "s3cret")); /* another host */
    assert_non_null(strstr(rig.last, "X-Open: yes"));

    o = ask("/further?1");
    assert_int_equal(o.kind, DZ_FETCH_REDIRECTS);
    assert_int_equal(o.requests, DZ_FETCH_REDIRECTS_MAX + 1);
}

static void writes_some_fields_alone(void **state)
{
    (void)state;
    static const struct dz_fetch_header host[] = {{{"hOST", 4}, {"elsewhere.example", 17}}};
    int before = rig.requests;
    struct outcome o = ask_with((struct dz_fetch_req){.headers = host, .headers_n = 1}, "/plain");
    assert_int_equal(o.kind, DZ_FETCH_BAD_URL);
    assert_non_null(strstr(o.text, "hOST"));
    static char large[300000];
    memset(large, 'x', sizeof(large));
    const struct dz_fetch_header much[] = {{{"X-Much", 6}, {large, sizeof(large)}}};
    o = ask_with((struct dz_fetch_req){.headers = much, .headers_n = 1}, "/plain");
    assert_int_equal(o.kind, DZ_FETCH_BAD_URL);
    o = ask_with((struct dz_fetch_req){.method = {large, sizeof(large)}}, "/plain");
    assert_int_equal(o.kind, DZ_FETCH_BAD_URL);
    assert_int_equal(rig.requests, before);
}

static void waits_longer_each_time(void **state)
{
    (void)state;
    dz_fetch_free(&rig.fetch);
    open_fetch_with(40);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_fetch_host_stats *v;
    size_t n;
    int64_t least = 20;
    for (int i = 0; i < 4; i++, least *= 2) {
        assert_int_equal(ask(i == 1 ? "/at-once" : "/tired").kind, DZ_FETCH_OK);
        dz_fetch_hosts(rig.fetch, a, &v, &n);
        assert_in_range(v[0].paused_ms, least, 2 * least);
    }
    int64_t from_ns = dz_mono_ns();
    assert_int_equal(ask("/plain").status, 200); /* waits for it, and all is forgotten */
    assert_true(dz_mono_ns() - from_ns >= 155 * 1000000LL);
    assert_int_equal(ask("/tired").status, 503);
    dz_fetch_hosts(rig.fetch, a, &v, &n);
    assert_in_range(v[0].paused_ms, 20, 40);
    assert_true(v[0].waited_ms >= 300);
    assert_int_equal(v[0].by_status[5] + v[0].by_status[4], 5);
    assert_true(v[0].last_ok_s > 0 && v[0].last_error_s > 0);
}

/* Some sites give every answer a host of its own. */
static void forgets_old_hosts(void **state)
{
    (void)state;
    dz_fetch_free(&rig.fetch);
    open_fetch_with(1);
    DZ_AUTO(dz_fetch_policy_unref)
    struct dz_fetch_policy *any = policy_for("127.0.0.1", "127.0.0.1");
    int32_t left = DZ_FETCH_HOSTS_MAX + 20;
    for (unsigned port = 1; left > 0; port++) {
        if (port == rig.port)
            continue;
        char url[64];
        snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
        (void)ask_with((struct dz_fetch_req){.policy = any, .connect_timeout_ms = 1}, url);
        left--;
    }
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(8 * DZ_MIB);
    struct dz_fetch_host_stats *v;
    size_t n;
    dz_fetch_hosts(rig.fetch, a, &v, &n);
    assert_true(n <= DZ_FETCH_HOSTS_MAX);
    assert_int_equal(ask("/plain").status, 200);
}

static void leaves_a_busy_host_alone(void **state)
{
    (void)state;
    struct outcome o = ask("/busy");
    assert_int_equal(o.status, 429);
    assert_int_equal(o.retry_after_ms, 3600000);
    int before = rig.requests;
    o = ask("/plain"); /* another job, the same host */
    assert_int_equal(o.kind, DZ_FETCH_PAUSED);
    assert_true(o.retry_after_ms > 3500000);
    assert_int_equal(rig.requests, before);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_fetch_host_stats *v;
    size_t n;
    dz_fetch_hosts(rig.fetch, a, &v, &n);
    assert_int_equal(n, 1);
    assert_string_equal(v[0].host, rig.base + 7);
    assert_true(v[0].paused_ms > 3500000);
    assert_int_equal(v[0].last_status, 429);
    assert_int_equal(v[0].running + v[0].waiting, 0);
}

static void keeps_answers(void **state)
{
    (void)state;
    struct dz_fetch_req fresh_only = {.cache = DZ_FETCH_FRESH};
    assert_false(ask_with(fresh_only, "/fresh").from_cache);
    int before = rig.requests;
    struct outcome o = ask_with(fresh_only, "/fresh");
    assert_true(o.from_cache);
    assert_int_equal(o.requests, 0);
    assert_string_equal(o.body, "fresh");
    assert_int_equal(rig.requests, before);

    (void)ask_with(fresh_only, "/private");
    assert_false(ask_with(fresh_only, "/private").from_cache);

    struct dz_fetch_req ask_again = {.cache = DZ_FETCH_REVALIDATE};
    assert_false(ask_with(ask_again, "/tagged").from_cache);
    o = ask_with(ask_again, "/tagged");
    assert_true(o.revalidated);
    assert_int_equal(o.status, 200);
    assert_string_equal(o.body, "tagged");
    assert_int_equal(o.requests, 1);
    o = ask_with((struct dz_fetch_req){.cache = DZ_FETCH_FRESH, .fresh_ms = 60000}, "/tagged");
    assert_true(o.from_cache && !o.revalidated);
    assert_false(ask("/tagged").from_cache); /* no cache is the default */

    fresh(NULL); /* another run of the program */
    o = ask_with(fresh_only, "/fresh");
    assert_true(o.from_cache);
    assert_string_equal(o.body, "fresh");
}

static void keeps_what_it_may(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -f %s/*", rig.dir);
    assert_int_equal(system(command), 0);
    fresh(NULL);
    static const struct dz_fetch_header key[] = {{{"Authorization", 13}, {"k", 1}}};
    static const struct dz_fetch_header who[] = {{{"X-Who", 5}, {"me", 2}}};
    struct dz_fetch_req fresh_only = {.cache = DZ_FETCH_FRESH}, with_key = fresh_only;
    with_key.headers = key;
    with_key.headers_n = 1;
    (void)ask_with(with_key, "/fresh");
    assert_false(ask_with(with_key, "/fresh").from_cache);
    assert_false(ask_with(fresh_only, "/fresh").from_cache);
    assert_true(ask_with(fresh_only, "/fresh").from_cache);
    assert_false(ask_with(with_key, "/fresh").from_cache); /* nor is it given the open one */

    struct dz_fetch_req with_name = fresh_only;
    with_name.headers = who;
    with_name.headers_n = 1;
    (void)ask_with(fresh_only, "/by-name");
    assert_true(ask_with(fresh_only, "/by-name").from_cache);
    assert_false(ask_with(with_name, "/by-name").from_cache);

    (void)ask_with(fresh_only, "/by-two"); /* all lines of a field are one */
    assert_true(ask_with(fresh_only, "/by-two").from_cache);
    assert_false(ask_with(with_name, "/by-two").from_cache);
    (void)ask_with(fresh_only, "/in-two-lines");
    assert_false(ask_with(fresh_only, "/in-two-lines").from_cache);
    (void)ask_with(fresh_only, "/age-behind");
    assert_true(ask_with(fresh_only, "/age-behind").from_cache);

    struct dz_fetch_req text_only = fresh_only;
    text_only.keep_text_only = true;
    (void)ask_with(text_only, "/picture");
    assert_false(ask_with(text_only, "/picture").from_cache);
    (void)ask_with(fresh_only, "/picture");
    assert_true(ask_with(fresh_only, "/picture").from_cache);

    assert_false(ask_with(fresh_only, "/to-tagged").from_cache);
    struct outcome o = ask_with(fresh_only, "/to-tagged"); /* both hops, the second validated */
    assert_true(o.revalidated);
    assert_int_equal(o.requests, 2);
    assert_string_equal(o.body, "tagged");

    assert_true(ask_with(fresh_only, "/picture").from_cache);
    (void)ask_with((struct dz_fetch_req){.method = DZ_S("DELETE")}, "/picture");
    assert_false(ask_with(fresh_only, "/picture").from_cache); /* changed by that */
}

static void keeps_few_and_drops_what_it_cannot_read(void **state)
{
    (void)state;
    char url[128];
    struct dz_fetch_req r = {.cache = DZ_FETCH_FRESH, .fresh_ms = 60000};
    for (int i = 0; i < 6; i++) {
        snprintf(url, sizeof(url), "%s/fresh?%d", rig.base, i);
        (void)ask_with(r, url); /* 500: is not kept */
        assert_false(ask_with(r, url).from_cache);
    }
    (void)ask_with(r, "/fresh");
    (void)ask_with(r, "/tagged");
    (void)ask_with(r, "/plain");
    (void)ask_with(r, "/cookie"); /* the fourth: /fresh leaves */
    assert_true(ask_with(r, "/plain").from_cache);
    assert_false(ask_with(r, "/fresh").from_cache);

    char command[128];
    snprintf(command, sizeof(command), "for f in %s/*; do echo broken > $f; done", rig.dir);
    assert_int_equal(system(command), 0);
    struct outcome o = ask_with(r, "/plain");
    assert_false(o.from_cache);
    assert_string_equal(o.body, "hello");
    assert_true(ask_with(r, "/plain").from_cache);
}

static void forgets_what_is_too_old(void **state)
{
    (void)state;
    struct dz_fetch_req believed = {.cache = DZ_FETCH_FRESH, .fresh_ms = 7200000};
    int64_t now_ms = dz_now_ms();
    (void)ask_with(believed, "/cookie");
    (void)ask_with(believed, "/tagged");
    dz_clock_set_for_test(now_ms + 3500000);
    dz_loop_turn(rig.loop, 0);
    assert_true(ask_with(believed, "/cookie").from_cache);
    dz_clock_set_for_test(now_ms + 3700000); /* over cache_ttl_ms */
    dz_loop_turn(rig.loop, 0);
    assert_false(ask_with(believed, "/cookie").from_cache);
    struct outcome o = ask_with((struct dz_fetch_req){.cache = DZ_FETCH_FRESH}, "/tagged");
    assert_true(o.revalidated); /* what can be validated stays useful */
    dz_clock_set_for_test(-1);
    dz_loop_turn(rig.loop, 0);
}

static void tells_only_what_others_may_hear(void **state)
{
    (void)state;
    static const struct dz_fetch_header had[] = {{{"If-None-Match", 13}, {"\"t0\"", 4}}};
    static const dz_str hosts[] = {DZ_S("127.0.0.1"), DZ_S("localhost")};
    struct dz_fetch_policy_spec spec = {
        .source = DZ_S("far"), .hosts = hosts, .hosts_n = 2, .allow_private = true};
    struct dz_fetch_policy *far = NULL;
    assert_int_equal(dz_fetch_policy_new(&spec, &far, NULL), DZ_OK);
    struct dz_fetch_req near = {.cache = DZ_FETCH_FRESH, .fresh_ms = 60000};
    struct dz_fetch_req wide = near, conditional = near;
    wide.policy = far;
    assert_string_equal(ask_with(wide, "/name").body, "hello");
    assert_true(ask_with(wide, "/name").from_cache);
    assert_int_equal(ask_with(near, "/name").kind, DZ_FETCH_FORBIDDEN);
    dz_fetch_policy_unref(&far);

    char url[128];
    snprintf(url, sizeof(url), "http://me:secret@127.0.0.1:%u/fresh", rig.port);
    (void)ask_with(near, "/fresh");
    assert_true(ask_with(near, "/fresh").from_cache);
    assert_false(ask_with(near, url).from_cache);
    conditional.headers = had;
    conditional.headers_n = 1;
    assert_false(ask_with(conditional, "/fresh").from_cache);
}

static void keeps_a_head_of_many_fields(void **state)
{
    (void)state;
    struct dz_fetch_req r = {.cache = DZ_FETCH_FRESH};
    char path[4001] = "/many?";
    memset(path + 6, 'x', sizeof(path) - 7);
    assert_string_equal(ask_with(r, path).body, "ok");
    struct outcome o = ask_with(r, path);
    assert_true(o.from_cache);
    assert_string_equal(o.body, "ok");
}

/* What somebody with cookies was told is nobody else's, nor is he told what others were. */
static void sessions_share_no_answers(void **state)
{
    (void)state;
    struct dz_fetch_session *s = dz_fetch_session_new(rig.fetch);
    struct dz_fetch_req inside = {.session = s, .cache = DZ_FETCH_FRESH, .fresh_ms = 60000};
    struct dz_fetch_req outside = {.cache = DZ_FETCH_FRESH, .fresh_ms = 60000};
    (void)ask_with(inside, "/cookie");
    (void)ask_with(inside, "/plain");
    assert_false(ask_with(outside, "/plain").from_cache);
    assert_true(ask_with(outside, "/plain").from_cache);
    assert_false(ask_with(inside, "/plain").from_cache);
    dz_fetch_session_unref(&s);
}

static void sessions_keep_cookies(void **state)
{
    (void)state;
    struct dz_fetch_session *s = dz_fetch_session_new(rig.fetch);
    (void)ask_with((struct dz_fetch_req){.session = s}, "/cookie");
    (void)ask_with((struct dz_fetch_req){.session = s}, "/plain");
    assert_non_null(strstr(rig.last, "Cookie: a=b"));
    (void)ask("/plain");
    assert_null(strstr(rig.last, "Cookie:"));
    dz_fetch_session_unref(&s);
}

static void cancels(void **state)
{
    (void)state;
    char url[128];
    struct outcome o[4] = {0};
    struct dz_fetch_call *call[4];
    snprintf(url, sizeof(url), "%s/plain", rig.base);
    for (int i = 0; i < 4; i++) {
        struct dz_fetch_req r = {
            .policy = rig.policy, .url = dz_str_of(url), .done = on_done, .arg = &o[i]};
        dz_fetch_start(rig.fetch, &r, &call[i]);
    }
    dz_fetch_cancel(call[1]);
    assert_int_equal(o[1].calls, 0);
    while (!o[0].calls || !o[1].calls || !o[2].calls || !o[3].calls)
        dz_loop_turn(rig.loop, -1);
    assert_int_equal(o[1].kind, DZ_FETCH_CANCELLED);
    assert_int_equal(o[0].kind + o[2].kind + o[3].kind, DZ_FETCH_OK);

    struct outcome late = {0};
    struct dz_fetch_req r = {
        .policy = rig.policy, .url = dz_str_of(url), .done = on_done, .arg = &late};
    dz_fetch_start(rig.fetch, &r, NULL);
    dz_loop_turn(rig.loop, 0);
    dz_fetch_free(&rig.fetch); /* in the middle of it */
    assert_int_equal(late.calls, 1);
    assert_int_equal(late.kind, DZ_FETCH_CANCELLED);
    dz_loop_turn(rig.loop, 0);
    open_fetch();
}

static void keeps_the_pace(void **state)
{
    (void)state;
    dz_str hosts[] = {DZ_S("127.0.0.1")}, open[] = {dz_str_of(rig.base + 7)};
    struct dz_fetch_policy_spec s = {.hosts = hosts,
                                     .hosts_n = 1,
                                     .open_hosts = open,
                                     .open_hosts_n = 1,
                                     .per_host = 8,
                                     .rate = 20};
    DZ_AUTO(dz_fetch_policy_unref) struct dz_fetch_policy *slow = NULL;
    assert_int_equal(dz_fetch_policy_new(&s, &slow, NULL), DZ_OK);
    char url[128];
    struct outcome o[5] = {0};
    snprintf(url, sizeof(url), "%s/plain", rig.base);
    int64_t from_ns = dz_mono_ns();
    for (int i = 0; i < 5; i++) {
        struct dz_fetch_req r = {
            .policy = slow, .url = dz_str_of(url), .done = on_done, .arg = &o[i]};
        dz_fetch_start(rig.fetch, &r, NULL);
    }
    while (!o[0].calls || !o[1].calls || !o[2].calls || !o[3].calls || !o[4].calls)
        dz_loop_turn(rig.loop, -1);
    assert_true(dz_mono_ns() - from_ns >= 190 * 1000000LL); /* four pauses of 50 ms */
}

/* A source that may ask once an hour makes no other one wait, and its next call waits for all of
 * its policies, as after a reload. */
static void paces_sources_apart(void **state)
{
    (void)state;
    dz_str hosts[] = {DZ_S("127.0.0.1")}, open[] = {dz_str_of(rig.base + 7)};
    struct dz_fetch_policy_spec s = {.source = DZ_S("slow"),
                                     .hosts = hosts,
                                     .hosts_n = 1,
                                     .open_hosts = open,
                                     .open_hosts_n = 1,
                                     .rate = 1.0 / 3600};
    DZ_AUTO(dz_fetch_policy_unref)
    struct dz_fetch_policy *slow = NULL, *again = NULL, *quick = NULL;
    must(dz_fetch_policy_new(&s, &slow, err));
    must(dz_fetch_policy_new(&s, &again, err));
    s.source = DZ_S("quick");
    s.rate = 1000;
    must(dz_fetch_policy_new(&s, &quick, err));
    char url[128];
    struct outcome late = {0};
    struct dz_fetch_call *call;
    snprintf(url, sizeof(url), "%s/plain", rig.base);
    assert_int_equal(ask_with((struct dz_fetch_req){.policy = slow}, "/plain").status, 200);
    struct dz_fetch_req r = {.policy = again, .url = dz_str_of(url), .done = on_done, .arg = &late};
    dz_fetch_start(rig.fetch, &r, &call);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask_with((struct dz_fetch_req){.policy = quick}, "/plain").status, 200);
    assert_int_equal(late.calls, 0);
    dz_fetch_cancel(call);
    while (!late.calls)
        dz_loop_turn(rig.loop, -1);
    assert_int_equal(late.kind, DZ_FETCH_CANCELLED);
}

struct slots {
    int asked;
    int64_t gap_ms;
    char source[16], host[64];
};

static void on_ask_slot(void *arg, dz_str source, dz_str host, int64_t gap_ms)
{
    struct slots *s = arg;
    s->asked++;
    s->gap_ms = gap_ms;
    snprintf(s->source, sizeof(s->source), "%.*s", DZ_STR_FMT(source));
    snprintf(s->host, sizeof(s->host), "%.*s", DZ_STR_FMT(host));
}

/* Where others keep the pace too, nothing leaves before its moment was given to it. */
static void waits_for_slots(void **state)
{
    (void)state;
    struct slots slots = {0};
    struct dz_fetch_options o = {.ask_slot = on_ask_slot, .slot_arg = &slots};
    dz_str hosts[] = {DZ_S("127.0.0.1")}, open[] = {dz_str_of(rig.base + 7)};
    struct dz_fetch_policy_spec s = {.source = DZ_S("slow"),
                                     .hosts = hosts,
                                     .hosts_n = 1,
                                     .open_hosts = open,
                                     .open_hosts_n = 1,
                                     .per_host = 8,
                                     .rate = 1.0 / 3600};
    DZ_AUTO(dz_fetch_policy_unref) struct dz_fetch_policy *slow = NULL;
    DZ_AUTO(dz_fetch_free) struct dz_fetch *f = NULL;
    must(dz_fetch_policy_new(&s, &slow, err));
    must(dz_fetch_new(rig.loop, &o, &f, err));
    char url[128];
    snprintf(url, sizeof(url), "%s/plain", rig.base);
    struct outcome got[2] = {0};
    int before = atomic_load(&rig.requests);
    for (int i = 0; i < 2; i++) {
        struct dz_fetch_req r = {
            .policy = slow, .url = dz_str_of(url), .done = on_done, .arg = &got[i]};
        dz_fetch_start(f, &r, NULL);
    }
    for (int i = 0; i < 2; i++) {
        while (slots.asked == i)
            dz_loop_turn(rig.loop, -1);
        assert_int_equal(slots.asked, i + 1);
        assert_int_equal(slots.gap_ms, 3600000);
        assert_string_equal(slots.source, "slow");
        assert_int_equal(atomic_load(&rig.requests), before + i);
        dz_fetch_slot(f, DZ_S("other"), dz_str_of(slots.host), 0);
        dz_fetch_slot(f, DZ_S("slow"), DZ_S("nowhere:80"), 0);
        dz_loop_turn(rig.loop, 0);
        assert_int_equal(got[i].calls, 0);
        dz_fetch_slot(f, DZ_S("slow"), dz_str_of(slots.host), 1);
        while (!got[i].calls)
            dz_loop_turn(rig.loop, -1);
        assert_int_equal(got[i].status, 200);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, fresh)
    const struct CMUnitTest tests[] = {
        CASE(answers_and_says_who_asks),
        CASE(reaches_only_what_it_may),
        CASE(follows_redirects_within_limits),
        CASE(names_what_is_broken),
        CASE(names_more_that_is_broken),
        CASE(takes_no_answer_that_was_not_asked_for),
        CASE(unpacks),
        CASE(follows_no_redirect_to_a_private_address),
        CASE(writes_some_fields_alone),
        CASE(leaves_a_busy_host_alone),
        CASE(waits_longer_each_time),
        CASE(forgets_old_hosts),
        CASE(keeps_answers),
        CASE(keeps_what_it_may),
        CASE(keeps_few_and_drops_what_it_cannot_read),
        CASE(forgets_what_is_too_old),
        CASE(tells_only_what_others_may_hear),
        CASE(keeps_a_head_of_many_fields),
        CASE(sessions_keep_cookies),
        CASE(sessions_share_no_answers),
        CASE(cancels),
        CASE(keeps_the_pace),
        CASE(paces_sources_apart),
        CASE(waits_for_slots),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
