/* rig: see rig.h. */
#include "rig.h"

#include <sched.h>

struct rig_store store;
struct rig it;

/* ---- the store ------------------------------------------------------------------------------- */

enum dz_code __real_dz_store_get(struct dz_store *s, const struct dz_sha256 *sha,
                                 uint64_t bytes_max, struct dz_body **ret_body, struct dz_err *err);
enum dz_code __wrap_dz_store_get(struct dz_store *s, const struct dz_sha256 *sha,
                                 uint64_t bytes_max, struct dz_body **ret_body, struct dz_err *err);
enum dz_code __real_dz_store_open_file(struct dz_store *s, const struct dz_sha256 *sha, int *ret_fd,
                                       uint64_t *ret_bytes, struct dz_err *err);
enum dz_code __wrap_dz_store_open_file(struct dz_store *s, const struct dz_sha256 *sha, int *ret_fd,
                                       uint64_t *ret_bytes, struct dz_err *err);

enum dz_code __wrap_dz_store_get(struct dz_store *s, const struct dz_sha256 *sha,
                                 uint64_t bytes_max, struct dz_body **ret_body, struct dz_err *err)
{
    atomic_fetch_add(&store.reads, 1);
    while (atomic_load(&store.closed))
        sched_yield();
    if (store.broken)
        return dz_fail(err, store.broken, "as the test wants it");
    DZ_TRY(__real_dz_store_get(s, sha, bytes_max, ret_body, err));
    (*ret_body)->n -= store.short_by_one;
    return DZ_OK;
}

enum dz_code __wrap_dz_store_open_file(struct dz_store *s, const struct dz_sha256 *sha, int *ret_fd,
                                       uint64_t *ret_bytes, struct dz_err *err)
{
    if (store.no_files)
        return dz_fail(err, DZ_UNSUPPORTED, "no files here");
    return __real_dz_store_open_file(s, sha, ret_fd, ret_bytes, err);
}

/* ---- a server -------------------------------------------------------------------------------- */

static void name_pages(void)
{
    struct dz_view *v = dz_library_view(it.lab.lib);
    assert_int_equal(v->series_n, 1);
    const struct dz_snapshot *snap = v->series[0];
    assert_int_equal(snap->chapters_n, 1);
    assert_int_equal(snap->chapters[0].pages_n, RIG_PAGES);
    long long series = snap->series.id, chapter = snap->chapters[0].id;
    for (size_t i = 0; i < RIG_PAGES; i++)
        snprintf(it.url[i], sizeof(it.url[i]), "/page/%lld/%lld/%u", series, chapter,
                 snap->chapters[0].pages[i].number);
    snprintf(it.cbz, sizeof(it.cbz), "/series/%lld/chapter/%lld.cbz", series, chapter);
    dz_view_unref(&v);
}

static void begin(unsigned queue_max, bool is_far)
{
    store.broken = DZ_OK;
    store.short_by_one = false;
    store.no_files = is_far;
    lab_init(&it.lab, NULL);
    for (unsigned i = 0; i < RIG_PAGES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "S/c1/%u.png", i + 1);
        lab_png(&it.lab, name, i);
    }
    lab_import(&it.lab, "S", "S");
    name_pages();
    struct dz_cache_options c = {.max_bytes = 64 * DZ_MIB, .max_entries = UINT64_MAX};
    must(dz_cache_open("memory", "", &c, &it.cache, err));
    must(dz_pool_new(1, queue_max, &it.pool, err));
    struct dz_api_options a = {
        .conf = it.lab.conf, .library = it.lab.lib, .cache = it.cache, .pool = it.pool};
    must(dz_api_new(&a, &it.api, err));
    struct dz_http_options h = {0};
    dz_api_wire(it.api, &h);
    must(dz_http_server_new(&h, &it.server, err));
    dz_api_set_server(it.api, it.server);
    must(dz_loop_new(&it.loop, err));
    atomic_store(&store.reads, 0);
}

void rig_begin(unsigned queue_max)
{
    begin(queue_max, false);
}

void rig_begin_far(unsigned queue_max)
{
    begin(queue_max, true);
}

void rig_end(void)
{
    while (it.server->test_lanes->deferred_n > 0) /* of clients that have gone */
        dz_loop_turn(it.loop, 10);
    dz_pool_close(&it.pool); /* the loop is home of its work */
    dz_http_stop(&it.server);
    dz_loop_free(&it.loop);
    dz_api_free(&it.api);
    dz_cache_close(&it.cache);
    lab_done(&it.lab);
}

struct dz_http_test_conn *rig_ask(const char *url, const char *fields)
{
    struct dz_http_test_conn *c = dz_http_test_open(it.server, it.loop);
    char text[256];
    int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", url, fields);
    dz_http_test_push(c, (dz_str){text, (size_t)n}, false);
    return c;
}

void rig_wait_for_reads(unsigned n)
{
    while (atomic_load(&store.reads) < n)
        sched_yield();
}

dz_str rig_answer(struct dz_http_test_conn *c)
{
    while (dz_http_test_output(c).n == 0)
        dz_loop_turn(it.loop, 10);
    return dz_http_test_output(c);
}

void rig_assert_status(struct dz_http_test_conn **c, int status, dz_str body)
{
    dz_str all = rig_answer(*c);
    char line[16];
    snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    if (!dz_str_starts(all, dz_str_of(line)))
        fail_msg("not %d: %.*s", status, DZ_STR_FMT(all));
    size_t head = dz_str_find(all, DZ_S("\r\n\r\n"));
    assert_true(head != DZ_NPOS);
    if (body.p)
        assert_true(dz_str_eq(dz_str_sub(all, head + 4, all.n), body));
    dz_http_test_free(c);
}
