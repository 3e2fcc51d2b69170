/* source: the `http` module against a small server on the same loop. Each case is a source whose
 * series_of() does what is tested and returns a text. */
#include "site.h"

#include "source/source.h"

#define CONNS 64

struct conn {
    struct dz_watch watch;
    char in[8192];
    size_t n;
    bool open, held;
};

static struct {
    struct dz_loop *loop;
    struct dz_fetch *fetch;
    struct dz_conf *conf;
    struct dz_watch watch;
    struct conn conns[CONNS];
    char base[64], dir[64];
    char last[8192];
    unsigned requests, hits, held, peak, gate;
} rig;

/* ---- the server ------------------------------------------------------------------------------ */

static void hang_up(struct conn *c)
{
    int fd = c->watch.fd;
    dz_watch_del(rig.loop, &c->watch);
    close(fd);
    *c = (struct conn){0};
}

static void reply(struct conn *c, int status, const char *headers, const char *body)
{
    char head[1024];
    snprintf(head, sizeof(head),
             "HTTP/1.1 %d Text\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n", status,
             strlen(body), headers);
    (void)!send(c->watch.fd, head, strlen(head), MSG_NOSIGNAL);
    (void)!send(c->watch.fd, body, strlen(body), MSG_NOSIGNAL);
    hang_up(c);
}

/* Nobody is answered before so many ask at once. */
static void hold(struct conn *c)
{
    c->held = true;
    rig.held++;
    if (rig.held > rig.peak)
        rig.peak = rig.held;
    if (rig.held < rig.gate)
        return;
    for (size_t i = 0; i < CONNS; i++)
        if (rig.conns[i].held)
            reply(&rig.conns[i], 200, "", "gate");
    rig.held = 0;
}

static const struct {
    const char *path;
    int status;
    const char *headers, *body;
} answers[] = {
    {"/text", 200, "X-Name: Value\r\nx-name: Two\r\n", "hello"},
    {"/json", 200, "Content-Type: application/json\r\n", "\xEF\xBB\xBF{\"a\":[1,{\"b\":null}]}"},
    {"/no-json", 200, "", "{\"a\":\n x}"},
    {"/html", 200, "Content-Type: text/html; charset=utf-8\r\n",
     "<p class=t>hi</p><a href=x>y</a>"},
    {"/hop", 302, "Location: /text\r\n", ""},
    {"/abroad", 302, "Location: http://elsewhere.example/\r\n", ""},
    {"/cf", 403, "cf-mitigated: challenge\r\n", "no"},
    {"/jam", 503, "", "<html><title>Just a moment...</title>"},
    {"/fresh", 200, "Cache-Control: max-age=600\r\n", "fresh"},
    {"/picture", 200, "Cache-Control: max-age=600\r\nContent-Type: image/png\r\n", "png"},
    {"/cookie", 200, "Set-Cookie: a=b; Path=/\r\n", "set"},
    {"/page1", 200, "", "one page2"},
    {"/page2", 200, "", "two /page3"},
    {"/page3", 200, "", "three"},
    {"/ring", 200, "", "a /ring2"},
    {"/ring2", 200, "", "b /ring#again"},
    {"/later", 429, "Retry-After: 7\r\n", ""},
};

static void route(struct conn *c)
{
    rig.requests++;
    memcpy(rig.last, c->in, c->n + 1);
    char *path = strchr(c->in, ' '), *end = path ? strchr(path + 1, ' ') : NULL;
    if (!end) {
        hang_up(c);
        return;
    }
    *end = 0;
    path++;
    for (size_t i = 0; i < DZ_LEN(answers); i++)
        if (strcmp(path, answers[i].path) == 0) {
            reply(c, answers[i].status, answers[i].headers, answers[i].body);
            return;
        }
    if (strncmp(path, "/status/", 8) == 0)
        reply(c, (int)strtol(path + 8, NULL, 10), "", "status");
    else if (strcmp(path, "/flaky") == 0)
        reply(c, ++rig.hits % 3 ? 503 : 200, "", "at last");
    else if (strncmp(path, "/echo", 5) == 0)
        reply(c, 200, "", rig.last);
    else if (strcmp(path, "/gate") == 0)
        hold(c);
    else if (strcmp(path, "/break") == 0)
        hang_up(c);
    else if (strncmp(path, "/endless/", 9) == 0) {
        char next[64];
        snprintf(next, sizeof(next), "x /endless/%ld", strtol(path + 9, NULL, 10) + 1);
        reply(c, 200, "", next);
    } else if (strcmp(path, "/silent") != 0)
        reply(c, 404, "", "none");
}

static void on_bytes(struct dz_loop *l, struct dz_watch *w, uint32_t events)
{
    (void)l;
    (void)events;
    struct conn *c = dz_container(w, struct conn, watch);
    ssize_t got = recv(w->fd, c->in + c->n, sizeof(c->in) - 1 - c->n, 0);
    if (got <= 0) {
        rig.held -= c->held;
        hang_up(c);
        return;
    }
    c->n += (size_t)got;
    c->in[c->n] = 0;
    if (site_is_whole(c->in, c->n))
        route(c);
}

static void on_accept(struct dz_loop *l, struct dz_watch *w, uint32_t events)
{
    (void)events;
    int fd = accept(w->fd, NULL, NULL);
    for (size_t i = 0; fd >= 0 && i < CONNS; i++)
        if (!rig.conns[i].open) {
            rig.conns[i].open = true;
            assert_int_equal(dz_watch_add(l, &rig.conns[i].watch, fd, EPOLLIN, on_bytes, NULL),
                             DZ_OK);
            return;
        }
    close(fd);
}

/* ---- runs ------------------------------------------------------------------------------------ */

struct outcome {
    int calls;
    enum dz_source_kind kind;
    int64_t retry_after_ms;
    char text[8192], message[DZ_SOURCE_MESSAGE_MAX];
    uint64_t requests;
};

static void on_done(void *arg, const struct dz_source_result *res)
{
    struct outcome *o = arg;
    o->calls++;
    o->requests = res->requests;
    if (res->fail) {
        o->kind = res->fail->kind;
        o->retry_after_ms = res->fail->retry_after_ms;
        snprintf(o->text, sizeof(o->text), "%s", res->fail->text);
        snprintf(o->message, sizeof(o->message), "%s", res->fail->message);
    } else if (json_is_string(res->value)) {
        snprintf(o->text, sizeof(o->text), "%s", json_string_value(res->value));
    } else {
        snprintf(o->text, sizeof(o->text), "(no text)");
    }
}

static struct dz_source *load(const char *body)
{
    char text[8192];
    struct dz_source *s = NULL;
    struct dz_err err = {0};
    snprintf(text, sizeof(text),
             "return dozo.source { id = \"test\", name = \"Test\", version = \"1.0.0\", api = 1,\n"
             "  match = { \"test.example/\" }, hosts = { \"127.0.0.1\" },\n"
             "  limits = { per_host = 8, rate = \"inf\" },\n"
             "  series_of = function(base)\n%s\n  end }\n",
             body);
    if (dz_source_load(rig.conf, dz_str_of(text), "source.lua", &s, &err) != DZ_OK)
        fail_msg("%s", err.text);
    return s;
}

static struct dz_source_run *start(struct dz_source *s, const struct dz_source_env *env,
                                   const struct dz_source_budget *budget, struct outcome *o)
{
    struct dz_source_run *r = NULL;
    struct dz_err err = {0};
    if (dz_source_run_new(s, env, budget, &r, &err) != DZ_OK)
        fail_msg("%s", err.text);
    json_t *args = json_pack("[s]", rig.base);
    if (dz_source_run_call(r, DZ_FN_SERIES_OF, args, on_done, o, &err) != DZ_OK)
        fail_msg("%s", err.text);
    json_decref(args);
    return r;
}

static struct outcome run_with(const char *body, const struct dz_source_budget *budget)
{
    struct outcome o = {0};
    struct dz_source_env env = {.loop = rig.loop, .fetch = rig.fetch};
    struct dz_source *s = load(body);
    struct dz_source_run *r = start(s, &env, budget, &o);
    while (!o.calls)
        dz_loop_turn(rig.loop, -1);
    dz_source_run_free(&r);
    dz_source_unref(&s);
    assert_int_equal(o.calls, 1);
    return o;
}

static struct outcome run(const char *body)
{
    return run_with(body, NULL);
}

#define assert_gives(body, expected)                                                               \
    do {                                                                                           \
        struct outcome got = run(body);                                                            \
        assert_string_equal(got.text, expected);                                                   \
        assert_int_equal(got.kind, DZ_SOURCE_OK);                                                  \
    } while (0)

#define assert_fails(body, expected_kind, part)                                                    \
    do {                                                                                           \
        struct outcome got = run(body);                                                            \
        if (!strstr(got.text, part))                                                               \
            fail_msg("\"%s\" is not in \"%s\"", part, got.text);                                   \
        assert_int_equal(got.kind, expected_kind);                                                 \
    } while (0)

static int setup(void **state)
{
    (void)state;
    unsigned port;
    site_folder(rig.dir);
    int fd = site_listen(rig.base, &port);
    assert_int_equal(dz_loop_new(&rig.loop, NULL), DZ_OK);
    assert_int_equal(dz_watch_add(rig.loop, &rig.watch, fd, EPOLLIN, on_accept, NULL), DZ_OK);
    assert_int_equal(dz_conf_parse(DZ_S("sources:\n  allow_private: yes\n"), "test", NULL,
                                   &rig.conf, NULL, NULL),
                     DZ_OK);
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    struct dz_fetch_options o = {.cache_dir = rig.dir,
                                 .cache_entries_max = 100,
                                 .cache_ttl_ms = 3600000,
                                 .connect_timeout_ms = 20000,
                                 .read_timeout_ms = 20000,
                                 .strike_ms = 1};
    dz_fetch_free(&rig.fetch);
    (void)site_remove(rig.dir);
    assert_int_equal(dz_fetch_new(rig.loop, &o, &rig.fetch, NULL), DZ_OK);
    rig.requests = rig.hits = rig.peak = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dz_fetch_free(&rig.fetch);
    for (size_t i = 0; i < CONNS; i++)
        if (rig.conns[i].open)
            hang_up(&rig.conns[i]);
    int fd = rig.watch.fd;
    dz_watch_del(rig.loop, &rig.watch);
    close(fd);
    dz_loop_free(&rig.loop);
    dz_conf_unref(&rig.conf);
    return site_remove(rig.dir);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void shows_the_answer(void **state)
{
    (void)state;
    assert_gives("local r = http.get(base .. '/text')\n"
                 "return r.status .. r.body .. r.headers['X-NAME'] .. r.headers['x-name'] ..\n"
                 "  tostring(r.headers['X-None']) .. r:bytes() .. tostring(r.from_cache) ..\n"
                 "  tostring(r.url == base .. '/text')",
                 "200helloValue, TwoValue, Twonilhellofalsetrue");
    assert_gives("local v = http.get(base .. '/json'):json()\n"
                 "return v.a[1] .. tostring(v.a[2].b == dozo.null)",
                 "1true");
    assert_fails("return http.get(base .. '/no-json'):json()", DZ_SOURCE_PARSE,
                 "/no-json sent no JSON");
    assert_gives("local d = http.get(base .. '/html'):html()\n"
                 "return d:one('p.t'):text() .. (d:one('a'):url('href') == base .. '/x' and '!')",
                 "hi!");
    assert_gives("return http.get(base .. '/hop').url:sub(#base + 1)", "/text");
    assert_gives("return tostring(http.get(base .. '/hop', { redirects = false }).status)", "302");
}

static void says_what_is_asked(void **state)
{
    (void)state;
    assert_gives(
        "return http.get(base .. '/echo?z=1#x', { query = { b = { 'x', 2 }, ['a[]'] = 'ä &',\n"
        "  c = true } }).body:match('GET (%S+)')",
        "/echo?z=1&a%5B%5D=%C3%A4%20%26&b=x&b=2&c=true");
    assert_gives("return http.get(base .. '/echo', { query = { { 'z', 1 }, { 'a', 2 } } })\n"
                 "  .body:match('GET (%S+)')",
                 "/echo?z=1&a=2");
    assert_gives("local b = http.post(base .. '/echo', { form = { q = 'a b' },\n"
                 "  headers = { ['X-Mine'] = 5 } }).body\n"
                 "return b:match('^%S+') .. b:match('X%-Mine: (%d)') ..\n"
                 "  b:match('Content%-Type: (%S+)') .. b:match('\\r\\n\\r\\n(.*)')",
                 "POST5application/x-www-form-urlencodedq=a%20b");
    assert_gives(
        "local b = http.request({ method = 'PUT', url = base .. '/echo',\n"
        "  json = { 1, { a = 'b' } } }).body\n"
        "return b:match('^%S+') .. b:match('Content%-Type: (%S+)') .. b:match('\\r\\n\\r\\n(.*)')",
        "PUTapplication/json[1,{\"a\":\"b\"}]");
    assert_gives("return http.patch(base .. '/echo', { body = 'xyz' }).body:match('^%S+') ..\n"
                 "  http.delete(base .. '/echo').body:match('^%S+') ..\n"
                 "  tostring(http.head(base .. '/text').status)",
                 "PATCHDELETE200");
    assert_gives(
        "return http.request({ method = 'options', url = base .. '/echo' }).body:match('^%S+')",
        "OPTIONS");
    assert_fails("http.request({ method = ('x'):rep(5000000), url = base })", DZ_SOURCE_PARSE,
                 "method");
    assert_fails("http.request({ method = 'A B', url = base })", DZ_SOURCE_BAD_URL, "method");
    assert_fails("http.post(base, { headers = { [('x'):rep(70000)] = 'y' } })", DZ_SOURCE_PARSE,
                 "64 KiB");
    assert_fails("http.get(base .. '/' .. ('x'):rep(9000))", DZ_SOURCE_BAD_URL, "8192");
    assert_fails("http.get(base, { query = { a = ('x'):rep(9000) } })", DZ_SOURCE_PARSE, "query");
    assert_fails("http.get(base, { timout = 3 })", DZ_SOURCE_PARSE, "did you mean timeout?");
    assert_fails("http.get(base, { timeout = 'x' })", DZ_SOURCE_PARSE, "timeout");
    assert_fails("http.get(base, { timeout = { 1 } })", DZ_SOURCE_PARSE, "timeout");
    assert_fails("http.get(base, { body = 'x' })", DZ_SOURCE_PARSE, "use post");
    assert_fails("http.post(base, { body = 'x', form = {} })", DZ_SOURCE_PARSE, "only one");
    assert_fails("http.get(base, { on_status = { [200] = function() end } })", DZ_SOURCE_PARSE,
                 "from 400 to 599");
    assert_fails("http.get(base, { headers = { Host = 'x' } })", DZ_SOURCE_BAD_URL, "Host");
    /* What is sent lies outside of Lua's memory and counts all the same; it is let go after. */
    assert_fails("http.post(base .. '/text', { body = ('x'):rep(24 << 20) })", DZ_SOURCE_LIMIT,
                 "uses more than 64 MiB");
    assert_gives("local body = ('x'):rep(8 << 20)\n"
                 "for i = 1, 6 do pcall(http.post, base .. '/text', { body = body }) end\n"
                 "return 'sent'",
                 "sent");
    assert_fails("http.get(nil)", DZ_SOURCE_PARSE, "source.lua:5:");
    assert_fails("http.get('nonsense')", DZ_SOURCE_BAD_URL, "source.lua:5:");
}

static void has_kinds_for_failures(void **state)
{
    (void)state;
    assert_fails("http.get(base .. '/missing')", DZ_SOURCE_NOT_FOUND,
                 "Could not find resource at http://127.0.0.1:");
    assert_fails("http.get(base .. '/status/410')", DZ_SOURCE_GONE, "410");
    assert_fails("http.get(base .. '/status/401')", DZ_SOURCE_AUTH, "401");
    assert_fails("http.get(base .. '/status/403')", DZ_SOURCE_AUTH, "403");
    assert_fails("http.get(base .. '/status/400')", DZ_SOURCE_PARSE, "400");
    assert_fails("http.get(base .. '/status/500')", DZ_SOURCE_UNAVAILABLE, "500");
    assert_fails("http.get(base .. '/cf')", DZ_SOURCE_CHALLENGE, "challenge");
    assert_fails("http.get(base .. '/jam')", DZ_SOURCE_CHALLENGE, "challenge");
    assert_fails("http.get(base .. '/break')", DZ_SOURCE_UNAVAILABLE, "127.0.0.1");
    assert_fails("http.get(base .. '/silent', { timeout = { 5, 1 } })", DZ_SOURCE_UNAVAILABLE,
                 "127.0.0.1");
    assert_fails("http.get('http://elsewhere.example/')", DZ_SOURCE_UNSUPPORTED, "`hosts`");
    assert_fails("http.get(base .. '/abroad')", DZ_SOURCE_UNSUPPORTED, "elsewhere.example");
    assert_fails("http.get(base .. '/text', { max_bytes = 3 })", DZ_SOURCE_PARSE,
                 "more than it may");
    struct outcome o = run("http.get(base .. '/later')");
    assert_int_equal(o.kind, DZ_SOURCE_RATE_LIMITED);
    assert_int_equal(o.retry_after_ms, 7000);
    assert_true(o.requests == 1);
}

static void has_words_for_people(void **state)
{
    (void)state;
    char text[256];
    snprintf(text, sizeof(text), "Could not find resource at %s/missing", rig.base);
    assert_string_equal(run("http.get(base .. '/missing')").message, text);
    snprintf(text, sizeof(text),
             "Request to %s/status/500 failed with return code 500 Internal Server Error",
             rig.base);
    assert_string_equal(run("http.get(base .. '/status/500')").message, text);
    snprintf(text, sizeof(text),
             "Request to %s/status/404 failed after 2 attempts with return code 404 Not Found",
             rig.base);
    assert_string_equal(run("http.get(base .. '/status/404', { on_status = { [404] =\n"
                            "  function(res, n) return n < 2 end } })")
                            .message,
                        text);
    assert_string_equal(run("dozo.fail('gone', 'closed for ever')").message, "closed for ever");
    assert_string_equal(run("error('no place', 0)").message, "no place");
    struct outcome o = run("dozo.fail('gone', ('x'):rep(2000))");
    assert_int_equal(strlen(o.message), DZ_SOURCE_MESSAGE_MAX - 1);
    assert_non_null(strstr(o.text, ": xxx"));
}

static void can_be_caught(void **state)
{
    (void)state;
    assert_gives("local ok, e = pcall(http.get, base .. '/missing')\n"
                 "local ok2, r = pcall(http.get, base .. '/text')\n"
                 "return tostring(ok) .. e.kind .. r.body",
                 "falsenot_foundhello");
    assert_fails("table.sort({ 1, 2 }, function() http.get(base .. '/text') end)", DZ_SOURCE_PARSE,
                 "cannot wait here");
    assert_gives("local c = 0\n"
                 "for _, p in ipairs({ '/text', '/none', '/break', '/json' }) do\n"
                 "  if pcall(function() return http.get(base .. p) end) then c = c + 1 end\n"
                 "end\nreturn tostring(c)",
                 "2");
}

static void asks_handlers(void **state)
{
    (void)state;
    assert_gives("local seen = ''\n"
                 "local r = http.get(base .. '/flaky', { on_status = { [503] = function(res, n)\n"
                 "  seen = seen .. res.status .. '/' .. n .. ' '\n  return n <= 2 end } })\n"
                 "return seen .. r.body",
                 "503/1 503/2 at last");
    assert_int_equal(rig.requests, 3);
    assert_fails("http.get(base .. '/status/404', { on_status = { [404] = function(res, n)\n"
                 "  return n < 3 end } })",
                 DZ_SOURCE_NOT_FOUND, "failed after 3 attempts");
    rig.requests = 0;
    assert_fails("http.get(base .. '/status/404', { on_status = { [404] = function()\n"
                 "  return true end } })",
                 DZ_SOURCE_NOT_FOUND, "failed after 10 attempts");
    assert_int_equal(rig.requests, 10);
    assert_fails("http.get(base .. '/status/500', { on_status = { [500] = function(res)\n"
                 "  dozo.fail('gone', 'closed for ever') end } })",
                 DZ_SOURCE_GONE, "closed for ever");
    assert_gives("local seen = ''\n"
                 "pcall(http.get, base .. '/break', { on_error = function(e, n)\n"
                 "  seen = seen .. e.kind .. n .. ' '\n"
                 "  return http.get(base .. '/text').body == 'hello' and n < 2 end })\n"
                 "return seen",
                 "unavailable1 unavailable2 ");
}

static void keeps_what_it_may(void **state)
{
    (void)state;
    assert_gives("local a, b = http.get(base .. '/fresh'), http.get(base .. '/fresh')\n"
                 "http.get(base .. '/fresh', { cache = false })\n"
                 "return tostring(a.from_cache) .. tostring(b.from_cache)",
                 "falsetrue");
    assert_int_equal(rig.requests, 2);
    rig.requests = 0;
    assert_gives("for i = 1, 2 do http.get(base .. '/text', { cache = 60 }) end\n"
                 "for i = 1, 2 do http.get(base .. '/picture') end\n return 'x'",
                 "x");
    assert_int_equal(rig.requests, 3);
    rig.requests = 0;
    struct outcome o = run("return tostring(http.get(base .. '/fresh').from_cache)");
    assert_string_equal(o.text, "true");
    assert_int_equal(o.requests, 0);
    assert_gives("local n = {0}\n"
                 "local function f(r) n[1] = n[1] + 1 return { r.body .. n[1] } end\n"
                 "local a = http.get(base .. '/json', { map = f })\n"
                 "local b = http.get(base .. '/json', { map = f })\n"
                 "local c = http.get(base .. '/json', { map = f, cache = false })\n"
                 "return a[1]:sub(-1) .. b[1]:sub(-1) .. c[1]:sub(-1)",
                 "112");
    assert_int_equal(rig.requests, 2);
}

/* One place in the source may be many functions: each with what it captures. */
static void remembers_results_apart(void **state)
{
    (void)state;
    assert_gives("local function ask(x, path)\n"
                 "  return http.get(base .. (path or '/text'), { map = function(r)\n"
                 "    return r.body .. tostring(type(x) == 'table' and x[1] or x) end }) end\n"
                 "return ask(1) .. ask(2) .. ask(1) .. ask('1') .. ask(true) .. ask(1.0)",
                 "hello1hello2hello1hello1hellotruehello1.0");
    assert_int_equal(rig.requests, 5); /* asked of the site each time but the third */
    assert_gives("local out = {}\n"
                 "for i = 1, 50 do\n"
                 "  local t = { i }\n"
                 "  out[i] = http.get(base .. '/fresh', { map = function(r) return t[1] end })\n"
                 "  t = nil for k = 1, 3000 do local _ = { k } end\n"
                 "end\n"
                 "for i = 1, 50 do assert(out[i] == i, i) end return 'apart'",
                 "apart");
    assert_gives("local long = ('x'):rep(5000)\n"
                 "local function ask(x)\n"
                 "  return http.get(base .. '/text', { map = function(r) return #x end }) end\n"
                 "return ask(long) .. ask(long .. 'y') .. ask(long)",
                 "500050015000");
    assert_gives(
        "local n = {0}\n"
        "local function f(r) n[1] = n[1] + 1 return n[1] end\n"
        "local a = http.get(base .. '/echo', { map = f, headers = { X = '1' } })\n"
        "local b = http.get(base .. '/echo', { map = f, headers = { X = '2' } })\n"
        "local c = http.get(base .. '/echo', { map = f, headers = { X = '1' } })\n"
        "local d = http.request { url = base .. '/echo', map = f, method = 'POST', body = 'a' }\n"
        "local e = http.request { url = base .. '/echo', map = f, method = 'POST', body = 'b' }\n"
        "return a .. b .. c .. d .. e",
        "12134");
}

/* Neither a name and a password nor a key gets into messages. */
static void keeps_secrets(void **state)
{
    (void)state;
    static const char *const asks[] = {
        "http.get(base:gsub('//', '//me:s3cret@') .. '/missing?page=2&api_key=s3cret')",
        "http.get(base:gsub('//', '//me:s3cret@') .. '/status/500?page=2&token=s3cret')",
        "http.get(base:gsub('//', '//me:s3cret@') .. '/cf?page=2&x-sig=s3cret')",
        "http.get(base:gsub('//', '//me:s3cret@') .. '/echo?page=2&secret=s3cret'):json()",
        "http.aggregate(base:gsub('//', '//me:s3cret@') .. '/text?page=2&pwd=s3cret',\n"
        "  function(r) return r, r.url end)",
    };
    for (size_t i = 0; i < DZ_LEN(asks); i++) {
        struct outcome o = run(asks[i]);
        assert_true(o.kind != DZ_SOURCE_OK);
        if (strstr(o.text, "s3cret") || strstr(o.message, "s3cret") || !strstr(o.text, "page=2"))
            fail_msg("%s", o.text);
    }
}

static void makes_requesters(void **state)
{
    (void)state;
    assert_gives(
        "local a = http.new { headers = { ['X-A'] = '1', ['X-B'] = '2' },\n"
        "  on_status = { [404] = function() dozo.fail('gone', 'as told') end } }\n"
        "local b = a.new { headers = { ['x-a'] = 'other', ['X-B'] = false } }\n"
        "local t = b:get(base .. '/echo', { headers = { ['X-C'] = '3' } }).body\n"
        "local ok, e = pcall(b.get, base .. '/none')\n"
        "return t:match('[xX]%-[aA]: (%w+)') .. tostring(t:find('X-B', 1, true)) ..\n"
        "  t:match('X%-C: (%d)') .. e.kind .. a.get(base .. '/echo').body:match('X%-B: (%d)')",
        "othernil3gone2");
    assert_fails("http.new { timeout = true }", DZ_SOURCE_PARSE, "timeout");
}

static void keeps_cookies_in_sessions(void **state)
{
    (void)state;
    assert_gives("local kept\n"
                 "local a, b = http.session({ headers = { ['X-S'] = 'yes' } }, function(s)\n"
                 "  kept = s\n  s.get(base .. '/cookie')\n"
                 "  local t = s:get(base .. '/echo').body\n"
                 "  return t:match('Cookie: (%S+)'), t:match('X%-S: (%S+)') end)\n"
                 "local ok, e = pcall(kept.get, base .. '/text')\n"
                 "return a .. b .. tostring(http.get(base .. '/echo').body:find('Cookie')) ..\n"
                 "  tostring(e):match('the session has ended')",
                 "a=byesnilthe session has ended");
    assert_fails("http.session(function(s) s.get(base .. '/silent', { timeout = 1 }) end)",
                 DZ_SOURCE_UNAVAILABLE, "127.0.0.1");
}

static void follows_pages(void **state)
{
    (void)state;
    static const char follow[] =
        "local function f(res, before, state)\n"
        "  state.n = (state.n or 0) + 1\n"
        "  local word, next_url = res.body:match('(%S+) ?(%S*)')\n"
        "  return (before or '') .. word .. state.n, next_url ~= '' and next_url or nil\n"
        "end\n";
    char body[2048];
    snprintf(body, sizeof(body),
             "%slocal a = http.aggregate(base .. '/page1', f)\n"
             "return a .. http.aggregate(base .. '/page1', f)",
             follow);
    assert_gives(body, "one1two2three3one1two2three3");
    assert_int_equal(rig.requests, 3);
    snprintf(body, sizeof(body), "%sreturn http.aggregate(base .. '/ring', f)", follow);
    assert_fails(body, DZ_SOURCE_PARSE, "Loop detected in aggregation request to http://127.0.0.1");
    snprintf(body, sizeof(body), "%sreturn http.aggregate(base .. '/endless/1', f)", follow);
    assert_fails(body, DZ_SOURCE_PARSE, "more than 1000 pages");
    assert_fails("http.aggregate(base .. '/text', function(r) return 1, 2 end)", DZ_SOURCE_PARSE,
                 "the next page");
}

static void asks_many_at_once(void **state)
{
    (void)state;
    rig.gate = 3;
    assert_gives("local urls = {}\nfor i = 1, 6 do urls[i] = base .. '/gate' end\n"
                 "local v = http.map(urls, function(r, i, u)\n"
                 "  return r.body .. i .. (u == urls[i] and '' or '?') end,\n"
                 "  { parallel = 3, cache = false })\n"
                 "return table.concat(v, ' ')",
                 "gate1 gate2 gate3 gate4 gate5 gate6");
    assert_int_equal(rig.peak, 3);
    assert_gives("return #http.map({}, function() end) .. tostring(\n"
                 "  http.map({ base .. '/text' }, function() end)[1])",
                 "0false");
    assert_gives("local v = http.map({ base .. '/text', base .. '/html' }, function(r)\n"
                 "  return http.get(base .. '/page1').body .. #http.map({ r.url }, tostring) end)\n"
                 "return v[1] .. v[2]",
                 "one page21one page21");
    /* The failure of one ends those that would never be answered. */
    rig.gate = 100;
    assert_fails("http.map({ base .. '/gate', base .. '/silent', base .. '/missing' }, tostring)",
                 DZ_SOURCE_NOT_FOUND, "source.lua:5: Could not find resource");
    assert_gives("local ok, e = pcall(http.map, { base .. '/gate', base .. '/text' },\n"
                 "  function(r) error('mine') end)\n"
                 "return tostring(ok) .. tostring(e.message):match('mine') ..\n"
                 "  http.get(base .. '/text').body",
                 "falseminehello");
    assert_fails("http.map({ base, 3 }, tostring)", DZ_SOURCE_PARSE, "address 2 is a number");
    assert_fails("http.map({ base }, tostring, { parallel = 0 })", DZ_SOURCE_PARSE, "parallel");
}

static void ends_in_the_middle(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "return http.get(base .. '/silent').body",
        "return http.map({ base .. '/silent', base .. '/silent', base .. '/text' }, tostring)[1]",
        ("return http.map({ base .. '/text' }, function(r)\n"
         "  return http.map({ base .. '/silent', base .. '/silent' }, tostring) end)[1]"),
        "return http.session(function(s) return s.get(base .. '/silent').body end)",
        "return http.aggregate(base .. '/page1', function(r) return 1, '/silent' end)",
        "pcall(http.get, base .. '/silent')\nreturn 'no'",
    };
    for (size_t i = 0; i < DZ_LEN(bodies); i++)
        for (unsigned turns = 0; turns < 12; turns++) {
            struct outcome o = {0};
            struct dz_source_env env = {.loop = rig.loop, .fetch = rig.fetch};
            struct dz_source *s = load(bodies[i]);
            struct dz_source_run *r = start(s, &env, NULL, &o);
            for (unsigned k = 0; k < turns; k++)
                dz_loop_turn(rig.loop, 1);
            assert_int_equal(o.calls, 0);
            dz_source_run_free(&r);
            assert_int_equal(o.calls, 1);
            assert_int_equal(o.kind, DZ_SOURCE_CANCELLED);
            dz_source_unref(&s);
            if (turns % 3 == 0)
                dz_loop_turn(rig.loop, 0);
        }
    /* The fetcher ends before the run does. */
    struct outcome o = {0};
    struct dz_source_env env = {.loop = rig.loop, .fetch = rig.fetch};
    struct dz_source *s = load(bodies[1]);
    struct dz_source_run *r = start(s, &env, NULL, &o);
    for (unsigned k = 0; k < 5; k++)
        dz_loop_turn(rig.loop, 1);
    dz_fetch_free(&rig.fetch);
    while (!o.calls)
        dz_loop_turn(rig.loop, -1);
    assert_int_equal(o.kind, DZ_SOURCE_CANCELLED);
    dz_source_run_free(&r);
    dz_source_unref(&s);
}

/* Recorded exchanges: no requester, no call to cancel. */
static struct {
    struct dz_timer timer;
    struct dz_fetch_req req;
    char seen[256];
} recorded;

static void play(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    (void)t;
    struct dz_fetch_header h = {DZ_S("content-type"), DZ_S("text/plain")};
    struct dz_fetch_res res = {.kind = DZ_FETCH_OK,
                               .status = 200,
                               .url = DZ_S("http://127.0.0.1/played"),
                               .headers = &h,
                               .headers_n = 1,
                               .body = dz_body_new(4),
                               .retry_after_ms = -1,
                               .requests = 1};
    memcpy(res.body->p, "tape", 4);
    recorded.req.done(recorded.req.arg, &res);
    dz_body_unref(&res.body);
}

static void record(void *arg, const struct dz_fetch_req *r, struct dz_fetch_call **ret_call)
{
    (void)arg;
    (void)ret_call;
    recorded.req = *r;
    snprintf(recorded.seen, sizeof(recorded.seen), "%.*s %.*s", DZ_STR_FMT(r->method),
             DZ_STR_FMT(r->url));
    dz_timer_set(rig.loop, &recorded.timer, 1, play);
}

static void plays_recorded_exchanges(void **state)
{
    (void)state;
    struct dz_source_env env = {.loop = rig.loop, .send = record};
    struct dz_source *s = load("return http.session(function(s)\n"
                               "  return s.get('http://127.0.0.1/played').body end)");
    struct outcome o = {0};
    struct dz_source_run *r = start(s, &env, NULL, &o);
    while (!o.calls)
        dz_loop_turn(rig.loop, -1);
    assert_string_equal(o.text, "tape");
    assert_string_equal(recorded.seen, "GET http://127.0.0.1/played");
    dz_source_run_free(&r);

    o = (struct outcome){0};
    recorded.seen[0] = 0;
    r = start(s, &env, NULL, &o);
    while (!recorded.seen[0])
        dz_loop_turn(rig.loop, -1);
    dz_source_run_free(&r); /* the answer comes when nobody waits any longer */
    assert_int_equal(o.kind, DZ_SOURCE_CANCELLED);
    while (recorded.timer.at)
        dz_loop_turn(rig.loop, -1);
    assert_int_equal(o.calls, 1);
    dz_source_unref(&s);
}

static void waits_as_told(void **state)
{
    (void)state;
    int64_t from_ns = dz_mono_ns();
    assert_gives("return http.get(base .. '/text', { delay = 0.06 }).body", "hello");
    assert_true(dz_mono_ns() - from_ns >= 55 * 1000000LL);
    from_ns = dz_mono_ns();
    assert_gives("return http.aggregate(base .. '/page1', function(r)\n"
                 "  return 'x', r.body:match('(/page3)') or r.body:match('page2') end,\n"
                 "  { delay = 0.03 })",
                 "x");
    assert_true(dz_mono_ns() - from_ns >= 85 * 1000000LL); /* before each of three pages */
    assert_fails("http.get(base, { delay = -1 })", DZ_SOURCE_PARSE, "delay");
    assert_fails("http.get(base, { delay = 0 / 0 })", DZ_SOURCE_PARSE, "delay");
}

static void stays_within_budgets(void **state)
{
    (void)state;
    struct dz_source_budget few = {.requests = 3}, small = {.memory_bytes = 2 * DZ_MIB};
    struct outcome o =
        run_with("for i = 1, 9 do pcall(http.get, base .. '/text') end\nreturn 'x'", &few);
    assert_int_equal(o.kind, DZ_SOURCE_LIMIT);
    assert_non_null(strstr(o.text, "requests"));
    assert_true(rig.requests <= 4);
    o = run_with("local t = {}\n"
                 "for i = 1, 100000 do t[i] = http.get(base .. '/fresh') end\nreturn 'x'",
                 &small);
    assert_int_equal(o.kind, DZ_SOURCE_LIMIT);
    struct dz_source_budget brief = {.wall_ms = 200};
    o = run_with("http.get(base .. '/silent')\nreturn 'x'", &brief);
    assert_int_equal(o.kind, DZ_SOURCE_LIMIT);
}

/* Memory ends at every possible place: one clear failure each time, nothing is left behind. */
static void runs_out_of_memory(void **state)
{
    (void)state;
    static const char body[] =
        "local r = http.new { headers = { ['X-A'] = '1' }, cache = false }\n"
        "local t = r.get(base .. '/echo', { query = { a = { 1, 2 } }, on_status = {\n"
        "  [404] = function() return false end } , map = function(x) return x.url end })\n"
        "return t";
    static const char many[] =
        "local v = http.map({ base .. '/text', base .. '/json', base .. '/html' }, function(r)\n"
        "  return r.headers['content-length'] end, { cache = false })\n"
        "return http.session(function(s) return s.get(base .. '/text').body end) .. v[1] ..\n"
        "  http.aggregate(base .. '/page1', function(r)\n"
        "    return r.body, r.body:match(' (%S+)') end, { cache = false })";
    unsigned failed = 0, worked = 0, nodes = 0;
    struct dz_source_budget b = {.memory_bytes = 512 * DZ_KIB};
    while (failed < 100 && nodes < 10000) {
        char text[2048]; /* what is left grows smaller by a node of about 170 bytes each time */
        snprintf(text, sizeof(text),
                 "local fill\nfor i = 1, %u do fill = { fill, ('x'):rep(50) .. i } end\n%s", nodes,
                 nodes & 1 ? body : many);
        struct outcome o = run_with(text, &b);
        assert_true(o.kind == DZ_SOURCE_OK || o.kind == DZ_SOURCE_LIMIT);
        if (o.kind == DZ_SOURCE_LIMIT && failed++ == 0)
            nodes -= 150; /* back to where it is enough, now slowly */
        worked += o.kind == DZ_SOURCE_OK;
        nodes += failed ? 3 : 150;
    }
    assert_int_equal(failed, 100);
    assert_true(worked > 5);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, fresh)
    const struct CMUnitTest tests[] = {
        CASE(shows_the_answer),
        CASE(says_what_is_asked),
        CASE(has_kinds_for_failures),
        CASE(has_words_for_people),
        CASE(can_be_caught),
        CASE(asks_handlers),
        CASE(keeps_what_it_may),
        CASE(remembers_results_apart),
        CASE(keeps_secrets),
        CASE(makes_requesters),
        CASE(keeps_cookies_in_sessions),
        CASE(follows_pages),
        CASE(asks_many_at_once),
        CASE(ends_in_the_middle),
        CASE(plays_recorded_exchanges),
        CASE(waits_as_told),
        CASE(stays_within_budgets),
        CASE(runs_out_of_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
