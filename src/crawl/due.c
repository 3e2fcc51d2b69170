/*
 * due: when something is asked again.
 *
 * In: what ("title", "volumes", "chapter") and of which thing. Out: whether its time has come. Each
 * is one short text in the crawl's memory, {"n": failures in a row, "next": Unix milliseconds}, so
 * that a restart does not make all sites be asked at once. What never failed and is not regular
 * leaves no text at all. Loop thread.
 */
#include "crawl/pass_int.h"

#define FIRST_MIN_MS 1000
#define FIRST_MAX_MS (60 * 1000)

static dz_str name_of(struct crawl_pass *p, const char *what, dz_str of)
{
    return dz_arena_printf(p->arena, "due/%s/%.*s", what, (int)(of.n < 1024 ? of.n : 1024), of.p);
}

static bool read_due(struct crawl_pass *p, dz_str name, json_int_t *ret_n, json_int_t *ret_next)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 4096);
    if (!crawl_memory_get(crawl_job_memory(p->j), p->source_id, name, &b))
        return false;
    json_t *v = json_loadb(b.p, b.n, 0, NULL);
    *ret_n = json_integer_value(json_object_get(v, "n"));
    *ret_next = json_integer_value(json_object_get(v, "next"));
    json_decref(v);
    return true;
}

bool crawl_due(struct crawl_pass *p, const char *what, dz_str of, int64_t now_ms)
{
    json_int_t n, next;
    if (!read_due(p, name_of(p, what, of), &n, &next))
        return true;
    /* A clock that was set back must not keep a thing waiting for ever. */
    return now_ms >= next || next - now_ms > 30 * INT64_C(24) * 3600 * 1000;
}

unsigned crawl_due_failures(struct crawl_pass *p, const char *what, dz_str of)
{
    json_int_t n = 0, next;
    bool known = read_due(p, name_of(p, what, of), &n, &next);
    return known && n > 0 && n < INT32_MAX ? (unsigned)n : 0;
}

int64_t crawl_due_first_ms(const struct crawl_pass *p)
{
    int64_t ms = p->j->env->conf->crawl.every_ms;
    ms = ms < FIRST_MAX_MS ? 4 * ms : FIRST_MAX_MS;
    return ms < FIRST_MIN_MS ? FIRST_MIN_MS : ms < FIRST_MAX_MS ? ms : FIRST_MAX_MS;
}

void crawl_due_after(struct crawl_pass *p, const char *what, dz_str of, bool worked,
                     int64_t first_ms, int64_t every_ms, int64_t now_ms)
{
    dz_str name = name_of(p, what, of);
    json_int_t n = 0, next = 0;
    (void)read_due(p, name, &n, &next);
    if (worked && first_ms == 0) {
        crawl_memory_set(crawl_job_memory(p->j), p->source_id, name, (dz_str){NULL, 0}, 0);
        return;
    }
    int64_t wait_ms = every_ms;
    n = worked || n < 0 ? 0 : n;
    if (!worked) {
        wait_ms = n < 20 ? first_ms << n : every_ms;
        wait_ms = wait_ms < every_ms ? wait_ms : every_ms;
        n++;
    }
    /* A tenth of jitter, so that what began together does not come together for ever. */
    wait_ms += (int64_t)(dz_random_u64() % (uint64_t)(wait_ms / 10 + 1));
    dz_str text = dz_arena_printf(p->arena, "{\"n\":%lld,\"next\":%lld}", (long long)n,
                                  (long long)(now_ms + wait_ms));
    crawl_memory_set(crawl_job_memory(p->j), p->source_id, name, text,
                     now_ms + wait_ms + INT64_C(7) * 24 * 3600 * 1000);
}
