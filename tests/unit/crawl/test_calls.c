/*
 * Calls with real sockets and real sources: the asking side against peers of every kind, the back
 * against crowds, deadlines, and clients that do not keep to the rules.
 */
#include "rig.h"

#include "crawl/call_int.h"

#include <sys/socket.h>
#include <unistd.h>

static struct rig_crawler crawler;
static struct crawl_calls *calls;

static void put_talks(void)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/sources/talks.lua", rig.dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "local site = \"http://127.0.0.1:%u\"\n", rig.port);
    fputs("return dozo.source { id = 'talks', name = 'Talks', version = '1', api = 1,\n"
          "match = { 'talks.example/' }, hosts = { '127.0.0.1' },\n"
          "resolve = function(u, wanted)\n"
          "  local id = u:match('/s/(%w+)')\n"
          "  if id then return 'series', id end\n"
          "  id = u:match('/c/(%w+)')\n"
          "  if id then return 'chapter', id end\n"
          "  if u:match('/own/') then dozo.fail('bad_url', 'I want a ' .. wanted) end\n"
          "end,\n"
          "series = function(id)\n"
          "  if id == 'wait' then http.get(site .. '/silent') end\n"
          "  if id == 'hog' then while true do end end\n"
          "  if id == 'gone' then dozo.fail('gone', 'no more', { retry_after = 7 }) end\n"
          "  return { title = 'The ' .. id, links = { a = 'b' }, status = 'ongoing' }\n"
          "end,\n"
          "chapter = function(id) return { chapter = 1.5, volume = 'x', series = 'one' } end,\n"
          "chapters = function(id)\n"
          "  if id == 'wait' then http.get(site .. '/silent') end\n"
          "  local out, many = {}, ({ many = 30000, most = 6000 })[id] or 3\n"
          "  local title = ('\"'):rep(id == 'most' and 4000 or 10)\n"
          "  for i = 1, many do out[i] = { id = 'c' .. i, chapter = i, title = title } end\n"
          "  return out\n"
          "end,\n"
          "cover = function(id)\n"
          "  if id == 'bytes' then return 'GIF89a and so on' end\n"
          "  if id ~= 'none' then return { url = site .. '/page/1' } end\n"
          "end,\n"
          "}\n",
          f);
    assert_int_equal(fclose(f), 0);
}

static void open_back(struct dz_crawler_options o)
{
    rig_start(&crawler, o);
    must(crawl_calls_open(crawler.c, &calls, err));
}

static void close_back(void)
{
    crawl_calls_close(&calls);
    rig_stop(&crawler);
}

static int fresh(void **state)
{
    (void)state;
    dz_log_init(2, DZ_ERROR, DZ_LOG_TEXT);
    rig_prepare();
    put_talks();
    rig_open("crawl: { job_lease: 60s, retries: 1, retry_max: 0s }\n");
    open_back((struct dz_crawler_options){0});
    return 0;
}

static int no_back(void **state)
{
    int failed = fresh(state);
    close_back();
    return failed;
}

static int end(void **state)
{
    if (calls)
        close_back();
    return rig_teardown(state);
}

/* ---- asking ---------------------------------------------------------------------------------- */

struct outcome {
    int times;
    struct dz_source_fail fail;
    json_t *value;
};

static void on_done(void *arg, const struct dz_call_result *r)
{
    struct outcome *o = arg;
    o->times++;
    if (r->fail)
        o->fail = *r->fail;
    o->value = json_incref(r->value);
    assert_true((r->fail == NULL) == (r->value != NULL));
}

static struct dz_call *start(const char *name, json_t *take_args, int64_t deadline_ms,
                             struct outcome *o)
{
    struct dz_call *call = NULL;
    must(dz_back_call(rig.loop, rig.dir, name, take_args, deadline_ms, on_done, o, &call, err));
    assert_int_equal(o->times, 0);
    json_decref(take_args);
    return call;
}

static struct outcome ask(const char *name, json_t *take_args)
{
    struct outcome o = {0};
    (void)start(name, take_args, 60000, &o);
    while (o.times == 0)
        rig_turn();
    assert_int_equal(o.times, 1);
    return o;
}

static json_t *ref(const char *id)
{
    return json_pack("{s:s,s:s}", "site", "talks", "id", id);
}

/* The text at a path of an answer, "info.title"; must be let go by the caller's outcome. */
static const char *text_at(const struct outcome *o, const char *a, const char *b)
{
    const json_t *v = json_object_get(o->value, a);
    return json_string_value(b ? json_object_get(v, b) : v);
}

static void assert_fails(const char *name, json_t *take_args, enum dz_source_kind kind,
                         const char *words)
{
    struct outcome o = ask(name, take_args);
    if (o.fail.kind != kind || strcmp(o.fail.message, words) != 0)
        fail_msg("%s: %s, not %s", dz_source_kind_of(o.fail.kind)->name, o.fail.message, words);
    assert_true(o.fail.text[0] != '\0');
    json_decref(o.value);
}

static void turn_some(int n)
{
    while (n-- > 0)
        dz_loop_turn(rig.loop, 1);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void sources_answer(void **state)
{
    (void)state;
    struct outcome o = ask("series_id", json_pack("{s:s}", "url", "https://talks.example/c/x"));
    assert_string_equal(text_at(&o, "id", NULL), "one");
    json_decref(o.value);
    o = ask("series", ref("two"));
    assert_string_equal(text_at(&o, "info", "title"), "The two");
    assert_string_equal(text_at(&o, "info", "site"), "talks");
    json_decref(o.value);
    o = ask("chapter", ref("c1"));
    const json_t *info = json_object_get(o.value, "info");
    assert_true(json_is_null(json_object_get(info, "volume")));
    assert_true(json_real_value(json_object_get(info, "chapter")) == 1.5);
    json_decref(o.value);
    o = ask("cover", ref("bytes"));
    assert_string_equal(text_at(&o, "mime", NULL), "image/gif");
    assert_string_equal(text_at(&o, "base64", NULL), "R0lGODlhIGFuZCBzbyBvbg==");
    json_decref(o.value);
    o = ask("cover", ref("url"));
    assert_string_equal(text_at(&o, "mime", NULL), "image/png");
    json_decref(o.value);
    assert_fails("cover", ref("none"), DZ_SOURCE_NOT_FOUND,
                 "No cover found for \"none\" of \"talks\"");
    assert_fails("series_id", json_pack("{s:s}", "url", "talks.example/own/"), DZ_SOURCE_BAD_URL,
                 "I want a series");
    assert_fails("chapter_id", json_pack("{s:s}", "url", "talks.example/s/a"), DZ_SOURCE_BAD_URL,
                 "The URL does not link to any chapter of Talks");
    assert_fails("series_id", json_pack("{s:s}", "url", "talks.example/"), DZ_SOURCE_BAD_URL,
                 "The URL does not link to any series nor chapter of Talks");
    assert_fails("search", json_pack("{s:s,s:s}", "site", "talks", "text", "x"),
                 DZ_SOURCE_UNSUPPORTED, "talks has no function search");
    o = ask("series", ref("gone"));
    assert_int_equal(o.fail.kind, DZ_SOURCE_GONE);
    assert_int_equal(o.fail.retry_after_ms, 7000);
    assert_string_equal(o.fail.message, "no more");
    assert_non_null(strstr(o.fail.text, "talks: series: talks.lua:"));
    char url[3000];
    memset(url, 'u', sizeof(url));
    memcpy(url + 890, "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", 12);
    url[sizeof(url) - 1] = '\0';
    o = ask("series", json_pack("{s:s}", "url", url));
    assert_int_equal(o.fail.kind, DZ_SOURCE_NOT_FOUND);
    assert_true(dz_str_is_utf8(dz_str_of(o.fail.message)));
    assert_int_equal(calls->running_n, 0);
}

static void answers_may_be_long(void **state)
{
    (void)state;
    struct outcome o = ask("chapters", ref("many"));
    assert_int_equal(json_array_size(json_object_get(o.value, "chapters")), 30000);
    json_decref(o.value);
    assert_fails("chapters", ref("most"), DZ_SOURCE_LIMIT, "the answer is longer than 32 MiB");
    json_t *args = json_object();
    char *text = dz_zalloc(DZ_CALL_REQUEST_MAX + 1);
    memset(text, 'x', DZ_CALL_REQUEST_MAX);
    json_object_set_new(args, "url", json_string(text));
    struct dz_call *call = NULL;
    struct dz_err err;
    assert_int_equal(dz_back_call(rig.loop, rig.dir, "site", args, 1000, on_done, &o, &call, &err),
                     DZ_TOO_LARGE);
    text[DZ_CALL_REQUEST_MAX - 1000] = '\0';
    json_object_set_new(args, "url", json_string(text));
    o = ask("site", args);
    assert_true(json_is_null(json_object_get(o.value, "site")));
    json_decref(o.value);
    free(text);
}

static void a_crowd_takes_turns(void **state)
{
    (void)state;
    static struct outcome all[200];
    memset(all, 0, sizeof(all));
    for (size_t i = 0; i < DZ_LEN(all); i++)
        (void)start(i % 3 ? "series" : "chapters", ref("x"), 60000, &all[i]);
    calls->running_max = 2;
    bool more = true, waited = false;
    while (more) {
        rig_turn();
        assert_true(calls->running_n <= 2);
        waited |= calls->waiting != NULL;
        more = false;
        for (size_t i = 0; i < DZ_LEN(all); i++)
            more |= all[i].times == 0;
    }
    assert_true(waited);
    for (size_t i = 0; i < DZ_LEN(all); i++) {
        assert_int_equal(all[i].times, 1);
        assert_int_equal(all[i].fail.kind, DZ_SOURCE_OK);
        json_decref(all[i].value);
    }
    while (calls->door.guests_n > 0)
        rig_turn();
    assert_int_equal(calls->running_n, 0);
    assert_int_equal(calls->door.dropped, 0);
}

static void deadlines_end_calls(void **state)
{
    (void)state;
    calls->running_max = 1;
    struct outcome first = {0}, second = {0}, third = {0};
    struct dz_call *call = start("series", ref("wait"), 60000, &first);
    while (calls->running_n == 0)
        rig_turn();
    (void)start("series", ref("x"), 30, &second); /* its turn never comes */
    (void)start("chapters", ref("wait"), 60000, &third);
    while (second.times == 0)
        rig_turn();
    assert_int_equal(second.fail.kind, DZ_SOURCE_UNAVAILABLE);
    assert_string_equal(second.fail.message, "\"series\" was not answered in time");
    dz_back_call_cancel(&call);
    assert_null(call);
    while (calls->waiting || calls->door.guests_n > 1)
        rig_turn();
    assert_int_equal(calls->running_n, 1); /* the third has the turn of the first */
    assert_int_equal(first.times, 0);
    crawl_calls_close(&calls);
    while (third.times == 0)
        rig_turn();
    assert_int_equal(third.fail.kind, DZ_SOURCE_UNAVAILABLE);
    assert_non_null(strstr(third.fail.message, "the back is gone"));
    must(crawl_calls_open(crawler.c, &calls, err));
    assert_fails("nothing", NULL, DZ_SOURCE_UNSUPPORTED, "there is no call \"nothing\"");
}

static void a_slow_site_stalls_no_other(void **state)
{
    (void)state;
    struct outcome waits[12] = {0};
    struct dz_call *v[12];
    for (size_t i = 0; i < DZ_LEN(v); i++)
        v[i] =
            start("series",
                  i & 1 ? json_pack("{s:s}", "url", "https://Talks.example/s/wait") : ref("wait"),
                  60000, &waits[i]);
    while (calls->door.guests_n < DZ_LEN(v) || calls->running_n < CALL_SITE_MAX)
        rig_turn();
    turn_some(5);
    assert_int_equal(calls->running_n, CALL_SITE_MAX);
    struct outcome o = ask("chapters", json_pack("{s:s,s:s}", "site", "still", "id", "x"));
    assert_int_equal(json_array_size(json_object_get(o.value, "chapters")), 0);
    json_decref(o.value);
    o = ask("refs", json_pack("{s:{s:[s]}}", "sites", "talks", "c1"));
    assert_int_equal(json_array_size(o.value), 1);
    json_decref(o.value);
    for (size_t i = 0; i < DZ_LEN(v); i++)
        dz_back_call_cancel(&v[i]);
    while (calls->door.guests_n > 0)
        rig_turn();
    assert_int_equal(calls->running_n, 0);
}

static void a_hog_holds_nobody_up(void **state)
{
    (void)state;
    struct outcome hog = {0};
    (void)start("series", ref("hog"), 300, &hog);
    while (calls->running_n == 0)
        rig_turn();
    struct outcome o = ask("series", ref("x"));
    assert_string_equal(text_at(&o, "info", "title"), "The x");
    json_decref(o.value);
    while (hog.times == 0)
        rig_turn();
    assert_true(hog.fail.kind == DZ_SOURCE_LIMIT || hog.fail.kind == DZ_SOURCE_UNAVAILABLE);
}

static void settings_may_change_meanwhile(void **state)
{
    (void)state;
    struct outcome o = {0};
    struct dz_call *call = start("chapters", ref("wait"), 60000, &o);
    while (calls->running_n == 0)
        rig_turn();
    struct dz_conf *conf = rig_conf("  talks: { enabled: false }\n");
    dz_crawler_set_conf(crawler.c, conf);
    dz_conf_unref(&conf);
    turn_some(5);
    assert_int_equal(o.times, 0);
    assert_fails("series", ref("x"), DZ_SOURCE_NOT_FOUND, "No downloader found for site \"talks\"");
    assert_fails("series", json_pack("{s:s}", "url", "talks.example/s/x"), DZ_SOURCE_NOT_FOUND,
                 "No downloader found for URL \"talks.example/s/x\"");
    dz_back_call_cancel(&call);
}

/* ---- clients that do not keep to the rules --------------------------------------------------- */

static int client(void)
{
    int fd;
    must(dz_place_connect(rig.dir, CALL_SOCKET, 100, &fd, err));
    return fd;
}

static void say(int fd, const char *bytes, size_t n)
{
    assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
}

static void say_request(int fd, json_t *take_v)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_MIB);
    dz_wire_put_json(&b, take_v);
    json_decref(take_v);
    say(fd, b.p, b.n);
}

static void until_dropped(uint64_t n)
{
    while (calls->door.dropped < n)
        rig_turn();
    assert_int_equal(calls->door.dropped, n);
}

static void bad_clients_are_dropped_alone(void **state)
{
    (void)state;
    calls->frame_timeout_ms = 30;
    int v[5];
    for (size_t i = 0; i < DZ_LEN(v); i++)
        v[i] = client();
    say(v[1], "\0\0\1\0{\"ca", 8);    /* half a frame */
    say(v[2], "\x7f\xff\xff\xff", 4); /* a huge one */
    say(v[3], "\0\0\0", 3);
    shutdown(v[3], SHUT_WR); /* gone in the middle of a length */
    say(v[4], "\0\0\0\4nope", 8);
    until_dropped(4); /* v[0] says nothing at all; v[4] gets an answer */
    char text[512];
    ssize_t n = recv(v[4], text, sizeof(text), 0);
    assert_true(n > 4);
    assert_non_null(memmem(text, (size_t)n, "\"unsupported\"", 13));
    for (size_t i = 0; i < DZ_LEN(v); i++)
        close(v[i]);
    struct outcome o = ask("series", ref("x"));
    assert_int_equal(o.fail.kind, DZ_SOURCE_OK);
    json_decref(o.value);
}

static void a_client_that_does_not_read_is_let_go(void **state)
{
    (void)state;
    calls->linger_ms = 100;
    int fd = client();
    say_request(fd, json_pack("{s:s,s:o}", "call", "chapters", "args", ref("many")));
    until_dropped(1);
    assert_int_equal(calls->door.guests_n, 0);
    close(fd);
}

static void a_client_that_goes_ends_its_call(void **state)
{
    (void)state;
    int fd = client();
    say_request(fd, json_pack("{s:s,s:o}", "call", "series", "args", ref("wait")));
    while (calls->running_n == 0)
        rig_turn();
    turn_some(3);
    close(fd);
    while (calls->running_n > 0 || calls->door.guests_n > 0)
        rig_turn();
    /* And with something on its way: a worker, a picture. */
    for (int turns = 0; turns < 40; turns++) {
        fd = client();
        say_request(fd, turns & 1
                            ? json_pack("{s:s,s:{s:b}}", "call", "download_new", "args", "all", 1)
                            : json_pack("{s:s,s:o}", "call", "cover", "args", ref("url")));
        turn_some(turns / 2);
        close(fd);
    }
    while (calls->door.guests_n > 0)
        rig_turn();
    assert_int_equal(calls->door.dropped, 0);
}

static void there_is_room_for_so_many(void **state)
{
    (void)state;
    calls->door.guests_max = 3;
    int v[4];
    for (size_t i = 0; i < DZ_LEN(v); i++)
        v[i] = client();
    until_dropped(1);
    assert_int_equal(calls->door.guests_n, 3);
    for (size_t i = 0; i < DZ_LEN(v); i++)
        close(v[i]);
}

/* ---- backs that do not keep to the rules ----------------------------------------------------- */

static void nobody_is_there(void **state)
{
    (void)state;
    struct outcome o = {0};
    (void)start("sources", NULL, 1, &o);
    while (o.times == 0)
        rig_turn();
    assert_int_equal(o.fail.kind, DZ_SOURCE_UNAVAILABLE);
    assert_int_equal(o.times, 1);
}

static void a_back_that_starts_is_waited_for(void **state)
{
    (void)state;
    struct outcome o = {0};
    (void)start("sources", NULL, 60000, &o);
    turn_some(5);
    assert_int_equal(o.times, 0);
    open_back((struct dz_crawler_options){0});
    while (o.times == 0)
        rig_turn();
    assert_int_equal(o.fail.kind, DZ_SOURCE_OK);
    assert_true(json_array_size(o.value) > 3);
    json_decref(o.value);
}

static void strange_backs_are_seen_through(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *words;
    } backs[] = {
        {"", 0, "the back is gone before it answered \"sources\""},
        {"\0\0", 2, "closed in the middle"},
        {"\0\0\0\x20{\"val", 9, "closed in the middle"},
        {"\x7f\xff\xff\xff", 4, "at most 33554432 are allowed"},
        {"\0\0\0\4nope", 8, "malformed"},
        {"\0\0\0\2[]", 6, "malformed"},
        {"\0\0\0\2{}", 6, "malformed"},
        {"\0\0\0\x09{\"fail\":}", 13, "malformed"},
        {"\0\0\0\x0b{\"fail\":{}}", 15, "malformed"},
        {"\0\0\0\x16{\"fail\":{\"kind\":\"ok\"}}", 26, "malformed"},
    };
    int dir_fd, listen_fd;
    must(dz_place_run_dir(rig.dir, &dir_fd, err));
    must(dz_place_listen(rig.dir, dir_fd, CALL_SOCKET, &listen_fd, err));
    for (size_t i = 0; i < DZ_LEN(backs); i++) {
        struct outcome o = {0};
        (void)start("sources", NULL, 60000, &o);
        int fd = -1;
        while (fd < 0) {
            rig_turn();
            fd = accept(listen_fd, NULL, NULL);
        }
        say(fd, backs[i].bytes, backs[i].n);
        char text[256];
        assert_true(recv(fd, text, sizeof(text), 0) > 4);
        close(fd);
        while (o.times == 0)
            rig_turn();
        assert_int_equal(o.fail.kind, DZ_SOURCE_UNAVAILABLE);
        if (!strstr(o.fail.message, backs[i].words))
            fail_msg("%zu: %s", i, o.fail.message);
    }
    struct outcome o = {0}; /* one that takes the question, and its time */
    (void)start("sources", NULL, 1, &o);
    int fd = -1;
    while (fd < 0) {
        rig_turn();
        fd = accept(listen_fd, NULL, NULL);
    }
    while (o.times == 0)
        rig_turn();
    assert_string_equal(o.fail.message, "no answer to \"sources\" within 1 ms");
    close(fd);
    close(listen_fd);
    close(dir_fd);
}

/* ---- follow-ups ------------------------------------------------------------------------------ */

static size_t jobs_of(const char *kind, struct dz_arena *a, struct dz_job_rec **ret_v)
{
    size_t n;
    must(dz_catalog_jobs_of(rig.catalog, dz_str_of(kind), 100, a, ret_v, &n, err));
    return n;
}

static void favourites_are_followed(void **state)
{
    (void)state;
    bool is_new;
    must(dz_catalog_favourite_put(rig.catalog, DZ_S("talks"), DZ_S("two"), 1, &is_new, err));
    must(dz_catalog_favourite_put(rig.catalog, DZ_S("talks"), DZ_S("wait"), 2, &is_new, err));
    must(dz_catalog_favourite_put(rig.catalog, DZ_S("nowhere"), DZ_S("x"), 3, &is_new, err));
    static const struct dz_mark_rec read = {DZ_S("talks"), DZ_S("c2"), DZ_S("two"),
                                            DZ_MARK_IGNORED};
    must(dz_catalog_marks_put(rig.catalog, &read, 1, err));
    struct dz_conf *conf =
        rig_conf("crawl: { every: 1h }\ndownloads: { follow: true, destination: /dev/null/x }\n");
    open_back((struct dz_crawler_options){.conf = conf, .schedule = true});
    dz_conf_unref(&conf);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(64 * DZ_MIB);
    struct dz_job_rec *v;
    while (jobs_of(DZ_JOB_DOWNLOAD, a, &v) < 2)
        rig_turn();
    assert_non_null(memmem(v[0].args.p, v[0].args.n, "\"c1\"", 4));
    assert_non_null(memmem(v[1].args.p, v[1].args.n, "\"c3\"", 4));
    /* The one that waits is stopped where it is, and comes again. */
    size_t n = 0;
    bool runs = false;
    while (!runs) {
        rig_turn();
        dz_arena_reset(a);
        n = jobs_of(CRAWL_FOLLOW, a, &v);
        for (size_t i = 0; i < n; i++)
            runs |= v[i].state == DZ_JOB_RUNNING && dz_str_eq(v[i].target, DZ_S("wait")) &&
                    calls->running_n == 1;
    }
    assert_int_equal(n, 2);
    close_back();
    n = jobs_of(CRAWL_FOLLOW, a, &v);
    assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(v[i].state, DZ_JOB_QUEUED);
    /* Switched off: what still waits ends, and nothing new is asked for. */
    open_back((struct dz_crawler_options){.schedule = true});
    bool queued = true;
    while (queued) {
        rig_turn();
        queued = false;
        dz_arena_reset(a);
        n = jobs_of(CRAWL_FOLLOW, a, &v);
        for (size_t i = 0; i < n; i++)
            queued |= dz_str_eq(v[i].target, DZ_S("wait")) && v[i].state != DZ_JOB_DONE;
    }
    close_back();
}

int main(void)
{
#define WITH_BACK(name) cmocka_unit_test_setup_teardown(name, fresh, end)
#define WITHOUT_BACK(name) cmocka_unit_test_setup_teardown(name, no_back, end)
    const struct CMUnitTest tests[] = {
        WITH_BACK(sources_answer),
        WITH_BACK(answers_may_be_long),
        WITH_BACK(a_crowd_takes_turns),
        WITH_BACK(deadlines_end_calls),
        WITH_BACK(a_hog_holds_nobody_up),
        WITH_BACK(a_slow_site_stalls_no_other),
        WITH_BACK(settings_may_change_meanwhile),
        WITH_BACK(bad_clients_are_dropped_alone),
        WITH_BACK(a_client_that_does_not_read_is_let_go),
        WITH_BACK(a_client_that_goes_ends_its_call),
        WITH_BACK(there_is_room_for_so_many),
        WITHOUT_BACK(nobody_is_there),
        WITHOUT_BACK(a_back_that_starts_is_waited_for),
        WITHOUT_BACK(strange_backs_are_seen_through),
        WITHOUT_BACK(favourites_are_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
