/*
 * test_limit: limits that a handler asks for, as GraphQL's does, at once and after a storage was
 * waited for; and who is whom.
 */
#include "library/lab.h"

#include "api/api_int.h"
#include "http/http_int.h"

static struct {
    struct lab lab;
    struct dz_cache *cache;
    struct dz_pool *pool;
    struct dz_api *api;
    struct dz_http_server *server;
    struct dz_loop *loop;
    struct dz_timer timer;
    struct dz_http_req *slow;
    int ran;
} it;

static void on_timer(struct dz_loop *l, struct dz_timer *t)
{
    (void)l, (void)t;
    dz_http_reply_text(it.slow, 200, DZ_S("text/plain"), (dz_str){0}, DZ_S("slow"));
}

static void go(struct dz_http_req *r)
{
    it.ran++;
    if (r->body.n > 0) { /* what takes longer may be put off here, too */
        dz_http_defer(r);
        it.slow = r;
        dz_timer_set(r->loop, &it.timer, 1, on_timer);
        return;
    }
    dz_http_reply_text(r, 200, DZ_S("text/plain"), (dz_str){0}, DZ_S("ran"));
}

static void handle(struct dz_http_req *r)
{
    limit_then(r, view_of(r)->conf->rate_limit.graphql_rule, go);
}

static const struct dz_http_route routes[] = {{"graphql", DZ_HTTP_POST, "/graphql", handle}};

static void begin(const char *settings)
{
    memset(&it, 0, sizeof(it));
    lab_init(&it.lab, settings);
    struct dz_cache_options c = {.max_bytes = DZ_MIB, .max_entries = UINT64_MAX};
    must(dz_cache_open("memory", "", &c, &it.cache, err));
    must(dz_pool_new(1, 16, &it.pool, err));
    struct dz_api_options a = {
        .conf = it.lab.conf, .library = it.lab.lib, .cache = it.cache, .pool = it.pool};
    must(dz_api_new(&a, &it.api, err));
    struct dz_http_options h = {0};
    dz_api_wire(it.api, &h);
    h.routes = routes;
    h.routes_n = DZ_LEN(routes);
    h.access = NULL;
    must(dz_http_server_new(&h, &it.server, err));
    dz_api_set_server(it.api, it.server);
    must(dz_loop_new(&it.loop, err));
}

static void end(void)
{
    dz_pool_close(&it.pool); /* the loop is home of its work */
    dz_http_stop(&it.server);
    dz_loop_free(&it.loop);
    dz_api_free(&it.api);
    dz_cache_close(&it.cache);
    lab_done(&it.lab);
}

/* Posts; every text of `has` is in the answer, none that begins with '!'. */
static void post(const char *body, const char *const *has)
{
    struct dz_http_test_conn *c = dz_http_test_open(it.server, it.loop);
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_MIB);
    dz_buf_putf(&b,
                "POST /graphql HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nContent-Length: "
                "%zu\r\n\r\n%s",
                strlen(body), body);
    dz_http_test_feed(c, dz_buf_str(&b), false);
    dz_str got = dz_http_test_output(c);
    for (; *has; has++)
        if ((dz_str_find(got, dz_str_of(*has + (**has == '!'))) == DZ_NPOS) != (**has == '!'))
            fail_msg("%s\nis wrong about\n%.*s", *has, DZ_STR_FMT(got));
    dz_http_test_free(&c);
}
#define POST(body, ...) post(body, (const char *const[]){__VA_ARGS__, NULL})
#define REFUSED                                                                                    \
    "HTTP/1.1 429 Too Many Requests\r\n", "Content-Type: text/html; charset=utf-8\r\n",            \
        "<title>429 Too Many Requests</title>", "<p>2 per 1 hour</p>",                             \
        "RateLimit-Remaining: 0\r\n", "Retry-After: 3"

static void in_memory(void **state)
{
    (void)state;
    begin("rate_limit: { storage: \"memory://\", graphql: 2/hour }");
    POST("", "200 OK", "RateLimit-Limit: 2\r\n", "RateLimit-Remaining: 1\r\n",
         "RateLimit-Reset: 3600\r\n", "!Retry-After", "ran");
    POST("late", "200 OK", "RateLimit-Remaining: 0\r\n", "slow");
    POST("", REFUSED, "!ran");
    assert_int_equal(it.ran, 2);
    end();
}

/* The way of a storage that is asked first: it is not there, which shows only after the loop's next
 * turns. */
static void waited_for(void **state)
{
    (void)state;
    static const char *const storages[] = {"redis+unix:///nowhere/s", "redis://127.0.0.1:1",
                                           "redis://host.invalid"};
    for (size_t i = 0; i < DZ_LEN(storages); i++) {
        char settings[256];
        for (int late = 0; late < 2; late++) {
            (void)snprintf(settings, sizeof(settings),
                           "rate_limit: { storage: \"%s\", timeout: 60s, graphql: 2/hour, routes: "
                           "{ /graphql: 9/hour } }",
                           storages[i]);
            begin(settings);
            POST(late ? "late" : "", "200 OK", "RateLimit-Limit: 2\r\n", "!RateLimit-Limit: 9",
                 "RateLimit-Remaining: 1\r\n", late ? "slow" : "ran");
            POST("", "200 OK", "RateLimit-Remaining: 0\r\n", "ran");
            POST("", REFUSED, "!ran");
            assert_int_equal(it.ran, 2);
            end();
        }
    }
}

static void switched_off(void **state)
{
    (void)state;
    begin("rate_limit: { graphql: 1/year }");
    for (int i = 0; i < 3; i++)
        POST("", "200 OK", "!RateLimit", "ran");
    assert_int_equal(it.ran, 3);
    end();
}

static void clients(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
        {"2001:db8:1:2::1", "2001:db8:1:2:f::9", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
        {"::1", "127.0.0.1", false},
        {"unix", "unix", true},
        {"unix", "unknown", false},
        {"_a", "_b", false},
        {"", "unknown", false},
        {"192.0.2.1", "192.0.2.1 ", false},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        unsigned char a[16], b[16];
        client_who(dz_str_of(cases[i].a), a);
        client_who(dz_str_of(cases[i].b), b);
        if ((memcmp(a, b, 16) == 0) != cases[i].same)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
    }
    unsigned char who[16];
    char text[4096];
    memset(text, '1', sizeof(text));
    client_who((dz_str){text, sizeof(text)}, who);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_memory),
        cmocka_unit_test(waited_for),
        cmocka_unit_test(switched_off),
        cmocka_unit_test(clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
