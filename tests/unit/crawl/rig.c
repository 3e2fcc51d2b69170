/*
 * rig: see rig.h. Turns the loop on the calling thread; the site has a thread of its own with a
 * thread for each connection, so that one answer that never comes holds up nothing else.
 */
#include "rig.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct rig rig;

/* ---- the site -------------------------------------------------------------------------------- */

static const unsigned char png[] = {
    0x89, 'P',  'N',  'G',  '\r', '\n', 0x1a, '\n', 0,   0,   0,    13,   'I',  'H',
    'D',  'R',  0,    0,    0,    1,    0,    0,    0,   1,   8,    6,    0,    0,
    0,    0x1f, 0x15, 0xc4, 0x89, 0,    0,    0,    13,  'I', 'D',  'A',  'T',  0x78,
    0x9c, 0x63, 0xf8, 0xcf, 0xc0, 0xf0, 0x1f, 0,    5,   0,   1,    0xff, 0x89, 0x99,
    0x3d, 0x1d, 0,    0,    0,    0,    'I',  'E',  'N', 'D', 0xae, 0x42, 0x60, 0x82};

static void *answer(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char text[4096];
    size_t n = 0;
    ssize_t got;
    while (n + 1 < sizeof(text) && (got = recv(fd, text + n, sizeof(text) - 1 - n, 0)) > 0) {
        n += (size_t)got;
        text[n] = 0;
        if (strstr(text, "\r\n\r\n"))
            break;
    }
    const char *page = n ? strstr(text, " /page/") : NULL;
    int number = page ? page[7] - '0' : 0;
    if (number >= 1 && number <= RIG_PAGES) {
        atomic_fetch_add(&rig.page_requests[number], 1);
        struct timespec pause = {.tv_nsec = 1000 * 1000};
        char byte;
        while (number > 3 && !atomic_load(&rig.open) &&
               recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0)
            nanosleep(&pause, NULL);
        char head[128];
        int k = snprintf(head, sizeof(head),
                         "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                         sizeof(png) + 1);
        (void)!send(fd, head, (size_t)k, MSG_NOSIGNAL);
        (void)!send(fd, png, sizeof(png), MSG_NOSIGNAL);
        (void)!send(fd, &page[7], 1, MSG_NOSIGNAL); /* each page has bytes of its own */
    } else {
        while (recv(fd, text, sizeof(text), 0) > 0) {
        }
    }
    close(fd);
    return NULL;
}

static void *serve(void *arg)
{
    (void)arg;
    pthread_t threads[256];
    size_t n = 0;
    for (;;) {
        int fd = accept(rig.listener, NULL, NULL);
        if (fd < 0)
            break;
        if (n == DZ_LEN(threads) ||
            pthread_create(&threads[n++], NULL, answer, (void *)(intptr_t)fd) != 0)
            abort();
    }
    while (n > 0)
        pthread_join(threads[--n], NULL);
    return NULL;
}

static void open_site(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    rig.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(rig.listener, (struct sockaddr *)&at, sizeof(at)) != 0 ||
        listen(rig.listener, 64) != 0 ||
        getsockname(rig.listener, (struct sockaddr *)&at, &len) != 0 ||
        pthread_create(&rig.thread, NULL, serve, NULL) != 0)
        abort();
    rig.port = ntohs(at.sin_port);
}

/* ---- sources --------------------------------------------------------------------------------- */

static void put_source(const char *id, const char *functions)
{
    char path[128], text[2048];
    snprintf(path, sizeof(path), "%s/sources/%s.lua", rig.dir, id);
    int n = snprintf(text, sizeof(text),
                     "local site = \"http://127.0.0.1:%u\"\n"
                     "return dozo.source { id = \"%s\", name = \"%s\", version = \"1\", api = 1,\n"
                     "hosts = { \"127.0.0.1\" },\n%s}\n",
                     rig.port, id, id, functions);
    FILE *f = fopen(path, "w"); /* not through what a test makes fail */
    if (!f || n < 0 || (size_t)n >= sizeof(text) || fputs(text, f) < 0 || fclose(f) != 0)
        abort();
}

static void put_sources(void)
{
    put_source("still", "chapters = function() return {} end,\n");
    put_source("comic", "chapters = function() return { { id = \"c1\", chapter = \"1\" } } end,\n"
                        "pages = function()\n"
                        "  local out = {}\n"
                        "  for i = 1, 6 do out[i] = site .. \"/page/\" .. i end\n"
                        "  return out\n"
                        "end,\n");
    put_source("own", "download = function(id, archive)\n"
                      "  archive:add(http.get(site .. \"/page/1\"):bytes())\n"
                      "  archive:add(http.get(site .. \"/page/2\"):bytes(), \"b.png\")\n"
                      "  archive:add(\"text\")\n"
                      "  if id == \"twice\" then\n"
                      "    archive:add(\"1\", \"x\") archive:add(\"2\", \"x\")\n"
                      "  end\n"
                      "  if id == \"fails\" then dozo.fail(\"gone\", \"no more\") end\n"
                      "end,\n");
    put_source("bad", "pages = function() dozo.fail(\"unavailable\", \"away\") end,\n"
                      "chapters = function(id)\n"
                      "  if id == \"gone\" then dozo.fail(\"gone\", \"no more\") end\n"
                      "  if id == \"later\" then\n"
                      "    dozo.fail(\"rate_limited\", \"slowly\", { retry_after = 5000 })\n"
                      "  end\n"
                      "  dozo.fail(\"unavailable\", \"away\")\n"
                      "end,\n");
    put_source("hoards", "chapters = function(id)\n"
                         "  store.set(\"a\\0b\", 1)\n"
                         "  store.set(\"first\", \"kept\")\n"
                         "  if id == \"much\" then\n"
                         "    local text = (\"x\"):rep(60000)\n"
                         "    for i = 1, 600 do store.set(\"n\" .. i, text) end\n"
                         "    if store.get(\"n600\") then error(\"no limit\") end\n"
                         "  end\n"
                         "  store.set(\"last\", 1)\n"
                         "  if store.get(\"first\") ~= \"kept\" then error(\"lost\") end\n"
                         "  return {}\n"
                         "end,\n");
    put_source("waits", "chapters = function() http.get(site .. \"/silent\") return {} end,\n");
}

/* ---- the whole ------------------------------------------------------------------------------- */

void rig_folder(void)
{
    memset(&rig, 0, sizeof(rig));
    /* What is synced here is nobody's to keep: in RAM where there is such a folder. */
    snprintf(rig.dir, sizeof(rig.dir), "%s/dozo-crawl-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(rig.dir));
    char path[128];
    snprintf(path, sizeof(path), "%s/sources", rig.dir);
    must(dz_mkdirs(path, 0700, err));
    snprintf(path, sizeof(path), "%s/run", rig.dir);
    must(dz_mkdirs(path, 0700, err));
}

void rig_site(void)
{
    open_site();
    put_sources();
}

void rig_prepare(void)
{
    rig_folder();
    rig_site();
}

struct dz_conf *rig_conf(const char *more)
{
    char text[16384];
    int n = snprintf(text, sizeof(text),
                     "data_dir: \"%s\"\n"
                     "sources:\n"
                     "  dir: [\"%s/sources\"]\n"
                     "  allow_private: true\n"
                     "%s",
                     rig.dir, rig.dir, more ? more : "");
    assert_true(n > 0 && (size_t)n < sizeof(text));
    struct dz_conf *conf = NULL;
    must(dz_conf_parse(dz_str_of(text), "rig", NULL, &conf, NULL, err));
    return conf;
}

void rig_open(const char *more)
{
    rig.conf = rig_conf(more);
    must(dz_catalog_open("sqlite", rig.dir, NULL, &rig.catalog, err));
    must(dz_store_open("files", rig.dir, NULL, &rig.store, err));
    must(dz_loop_new(&rig.loop, err));
    must(dz_pool_new(4, 1024, &rig.pool, err));
}

int rig_setup(void **state)
{
    (void)state;
    dz_log_init(2, DZ_ERROR, DZ_LOG_TEXT);
    rig_prepare();
    rig_open("crawl: { job_lease: 200ms, retries: 1, retry_max: 0s }\n");
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

int rig_remove(void)
{
    return nftw(rig.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int rig_teardown(void **state)
{
    (void)state;
    rig_close();
    return rig_remove();
}

void rig_close(void)
{
    atomic_store(&rig.open, true);
    dz_pool_close(&rig.pool);
    dz_loop_free(&rig.loop);
    dz_store_close(&rig.store);
    dz_catalog_close(&rig.catalog);
    dz_conf_unref(&rig.conf);
    shutdown(rig.listener, SHUT_RDWR);
    pthread_join(rig.thread, NULL);
    close(rig.listener);
}

/* ---- crawlers -------------------------------------------------------------------------------- */

static void copy(char *to, size_t size, dz_str s)
{
    snprintf(to, size, "%.*s", (int)(s.n < size ? s.n : size - 1), s.p ? s.p : "");
}

static void on_event(void *arg, const struct dz_crawl_event *e)
{
    struct rig_crawler *k = arg;
    assert_true(rig.events_n < RIG_EVENTS_MAX);
    struct rig_event *to = &rig.events[rig.events_n++];
    *to = (struct rig_event){
        .kind = e->kind, .job = e->job, .at_ms = dz_now_ms(), .done = e->done, .total = e->total};
    copy(to->target, sizeof(to->target), e->target);
    copy(to->chapter, sizeof(to->chapter), e->chapter);
    copy(to->fail_kind, sizeof(to->fail_kind), e->fail_kind);
    copy(to->text, sizeof(to->text), e->text);
    if (k->hook)
        k->hook(k, e);
}

static void on_idle(void *arg, bool failed)
{
    struct rig_crawler *k = arg;
    k->idle++;
    k->idle_failed = failed;
}

void rig_on_stopped(void *arg)
{
    struct rig_crawler *k = arg;
    k->stopped = true;
}

void rig_start(struct rig_crawler *k, struct dz_crawler_options o)
{
    k->stopped = false;
    must(dz_catalog_open("sqlite", rig.dir, NULL, &k->catalog, err));
    o.loop = rig.loop;
    o.conf = o.conf ? o.conf : rig.conf;
    o.catalog = k->catalog;
    o.store = rig.store;
    o.pool = rig.pool;
    o.event = on_event;
    o.idle = on_idle;
    o.arg = k;
    must(dz_crawler_new(&o, &k->c, err));
}

void rig_stop(struct rig_crawler *k)
{
    dz_crawler_stop(k->c, rig_on_stopped, k);
    while (!k->stopped)
        rig_turn();
    dz_crawler_free(&k->c);
    dz_catalog_close(&k->catalog);
}

int64_t rig_ask(const char *source, const char *target)
{
    struct dz_job_rec j = {
        .kind = DZ_S("crawl"), .source = dz_str_of(source), .target = dz_str_of(target)};
    int64_t id = 0;
    bool is_new = false;
    must(dz_catalog_job_add(rig.catalog, &j, dz_now_ms(), &id, &is_new, err));
    assert_true(is_new);
    return id;
}

struct dz_job_rec rig_job(int64_t id, struct dz_arena *a)
{
    struct dz_job_rec *v = NULL;
    size_t n = 0;
    must(dz_catalog_jobs(rig.catalog, 1000, a, &v, &n, err));
    for (size_t i = 0; i < n; i++)
        if (v[i].id == id)
            return v[i];
    return (struct dz_job_rec){0};
}

enum dz_job_state rig_state(int64_t id)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(16 * DZ_MIB);
    struct dz_job_rec j = rig_job(id, a);
    assert_int_equal(j.id, id);
    return j.state;
}

void rig_turn(void)
{
    dz_loop_turn(rig.loop, 20);
}

void rig_until_state(int64_t id, enum dz_job_state s)
{
    while (rig_state(id) != s)
        rig_turn();
}

size_t rig_count(int kind, int64_t job)
{
    size_t n = 0;
    for (size_t i = 0; i < rig.events_n; i++)
        n += rig.events[i].kind == kind && (job == 0 || rig.events[i].job == job);
    return n;
}

const struct rig_event *rig_last(int kind)
{
    for (size_t i = rig.events_n; i > 0; i--)
        if (rig.events[i - 1].kind == kind)
            return &rig.events[i - 1];
    return NULL;
}

void rig_until_event(int kind, size_t n)
{
    while (rig_count(kind, 0) < n)
        rig_turn();
}

size_t rig_pages_kept(const char *source, const char *target)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(16 * DZ_MIB);
    int64_t id = 0;
    if (dz_catalog_series_find(rig.catalog, dz_str_of(source), dz_str_of(target), &id, NULL) !=
        DZ_OK)
        return 0;
    struct dz_series_full full;
    must(dz_catalog_load(rig.catalog, id, a, &full, err));
    size_t n = 0;
    for (size_t i = 0; i < full.chapters_n; i++)
        n += full.chapters[i].pages_n;
    return n;
}

bool rig_lock_is_free(void)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/run/import.lock", rig.dir);
    int fd = -1;
    enum dz_code code = dz_lock_file(path, true, &fd, NULL);
    dz_closep(&fd);
    return code == DZ_OK;
}
