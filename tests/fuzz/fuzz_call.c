/*
 * fuzz_call: requests to the back from any process of the same user.
 *
 * In: the JSON of one frame, whatever it is. The back is a real one without jobs of its own, in a
 * scratch folder; the only source that is switched on needs no network. Each request gets exactly
 * one answer, a value or a failure with words, and leaves nothing behind.
 */
#include <ftw.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crawl/call_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUEST_MAX 60000u /* fits what a socket takes at once */
#define WORKERS 2u

static struct dz_crawler crawler;
static struct crawl_calls *calls;
static char dir[] = "/tmp/dozo-fuzz-call-XXXXXX";

static const char talks[] =
    "return dozo.source { id = 'talks', name = 'Talks', version = '1', api = 1,\n"
    "match = { 'talks.example/' }, hosts = { 'talks.example' },\n"
    "resolve = function(u)\n"
    "  local kind, id = u:match('/([sc])/(%w+)')\n"
    "  if id then return kind == 's' and 'series' or 'chapter', id end\n"
    "end,\n"
    "search = function(text, page) return { { id = text, title = 'Page ' .. page } } end,\n"
    "series = function(id)\n"
    "  if id == 'gone' then dozo.fail('gone', 'no more', { retry_after = 7 }) end\n"
    "  return { title = id, links = { a = 'b' }, status = 'ongoing', cover = false }\n"
    "end,\n"
    "series_of = function(id) return 's' .. id end,\n"
    "chapter = function(id) return { chapter = 1.5, title = id, series = 'one' } end,\n"
    "chapters = function(id) return { { id = id, chapter = 1 }, { id = id .. '2' } } end,\n"
    "cover = function(id) if id ~= 'none' then return 'GIF89a' .. id end end,\n"
    "}\n";

/* ---- the back -------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void close_back(void)
{
    crawl_calls_close(&calls);
    dz_pool_close(&crawler.env.pool);
    dz_timer_stop(crawler.env.loop, &crawler.look);
    dz_sources_free(&crawler.env.sources);
    dz_catalog_close(&crawler.env.catalog);
    dz_conf_unref(&crawler.env.conf);
    dz_loop_free(&crawler.env.loop);
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void must(enum dz_code code, const struct dz_err *err)
{
    if (code != DZ_OK)
        dz_panic(__FILE__, __LINE__, "%s", err->text);
}

/* Settings that switch off all sources of `others`. */
static struct dz_conf *settings(const struct dz_sources *others)
{
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    struct dz_conf *conf = NULL;
    struct dz_err err;
    dz_buf_init(&text, DZ_MIB);
    dz_buf_putf(&text, "data_dir: \"%s\"\nsources:\n  dir: [\"%s\"]\n", dir, dir);
    for (size_t i = 0; others && i < dz_sources_count(others); i++) {
        dz_str id = dz_source_info_of(dz_sources_at(others, i))->id;
        if (!dz_str_eq(id, DZ_S("talks")))
            dz_buf_putf(&text, "  \"%.*s\": { enabled: false }\n", DZ_STR_FMT(id));
    }
    must(dz_conf_parse(dz_buf_str(&text), "fuzz", NULL, &conf, NULL, &err), &err);
    return conf;
}

static void open_back(void)
{
    struct crawl_env *e = &crawler.env;
    struct dz_err err;
    dz_log_init(2, DZ_ERROR, DZ_LOG_TEXT);
    dz_assert(mkdtemp(dir));
    DZ_AUTO(dz_buf_done) struct dz_buf path;
    dz_buf_init(&path, DZ_KIB);
    dz_buf_putf(&path, "%s/talks.lua", dir);
    must(dz_file_write_atomic(dz_buf_cstr(&path), dz_str_of(talks), 0600, &err), &err);
    struct dz_conf *conf = settings(NULL);
    DZ_AUTO(dz_sources_free) struct dz_sources *all = NULL;
    must(dz_sources_load(conf, NULL, NULL, &all, &err), &err);
    dz_conf_unref(&conf);
    e->conf = settings(all);
    must(dz_sources_load(e->conf, NULL, NULL, &e->sources, &err), &err);
    must(dz_catalog_open("sqlite", dir, NULL, &e->catalog, &err), &err);
    must(dz_loop_new(&e->loop, &err), &err);
    must(dz_pool_new(WORKERS, 64, &e->pool, &err), &err);
    crawler.stopping = true; /* no job of the queue is taken */
    must(crawl_calls_open(&crawler, &calls, &err), &err);
    atexit(close_back);
}

/* ---- one request ----------------------------------------------------------------------------- */

static void check(dz_str answer)
{
    json_t *v = json_loadb(answer.p, answer.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    const json_t *fail = json_object_get(v, "fail");
    const char *kind = json_string_value(json_object_get(fail, "kind"));
    enum dz_source_kind found;
    dz_assert(json_object_size(v) == 1 && (fail || json_object_get(v, "value")));
    dz_assert(!fail || (kind && dz_source_kind_find(dz_str_of(kind), &found)));
    dz_assert(!fail || json_string_length(json_object_get(fail, "message")) > 0);
    json_decref(v);
}

static void send_all(int fd, dz_str request)
{
    DZ_AUTO(dz_buf_done) struct dz_buf frame;
    dz_buf_init(&frame, WIRE_HEAD_BYTES + REQUEST_MAX);
    for (int i = 0; i < WIRE_HEAD_BYTES; i++)
        dz_buf_putc(&frame, (char)(request.n >> (24 - 8 * i) & 0xff));
    dz_buf_put(&frame, request);
    dz_assert(send(fd, frame.p, frame.n, MSG_NOSIGNAL) == (ssize_t)frame.n);
}

/* One frame and no more. */
static void await_answer(int fd)
{
    DZ_AUTO(dz_wire_in_done) struct dz_wire_in in;
    dz_wire_in_init(&in, DZ_CALL_ANSWER_MAX);
    dz_str text;
    struct dz_err err;
    char piece[4096];
    enum dz_code code;
    while ((code = dz_wire_in_take_text(&in, &text, &err)) == DZ_UNAVAILABLE) {
        dz_loop_turn(crawler.env.loop, 10);
        ssize_t n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT);
        dz_assert(n != 0);
        if (n > 0)
            dz_wire_in_put(&in, (dz_str){piece, (size_t)n});
    }
    dz_assert(code == DZ_OK && dz_wire_in_is_empty(&in));
    check(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd[2];
    if (size > REQUEST_MAX)
        return 0;
    if (!calls)
        open_back();
    dz_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) == 0);
    calls->door.came(&calls->door, fd[0], (int)getpid());
    send_all(fd[1], (dz_str){(const char *)data, size});
    await_answer(fd[1]);
    close(fd[1]);
    while (calls->all || crawler.call_works > 0)
        dz_loop_turn(crawler.env.loop, 10);
    dz_assert(calls->door.guests_n == 0 && calls->running_n == 0 && !calls->waiting);
    return 0;
}
