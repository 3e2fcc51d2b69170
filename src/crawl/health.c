/*
 * health: how sources did, read back for people and for /metrics.
 *
 * In: the records that report.c leaves in the catalog, JSON by (source, "health/WHO"), one for each
 * process that crawls. Out: one struct a source in the caller's arena: the latest of each kind of
 * news, all requests, the hosts as who wrote last has seen them. A record that cannot be read
 * counts as one that says nothing: it is written anew after the next pass. Any thread that may
 * block.
 */
#include "crawl/runner_int.h"

#define HOSTS_MAX 1000u

static int64_t number(const json_t *v, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(v, name));
    return n > 0 ? n : 0;
}

static dz_str text(const json_t *v, const char *name, struct dz_arena *a)
{
    return dz_arena_str(a, dz_json_text_at(v, name));
}

static void read_hosts(const json_t *v, struct dz_arena *a, struct dz_crawl_health *h)
{
    size_t n = json_array_size(v);
    n = n < HOSTS_MAX ? n : HOSTS_MAX;
    h->hosts = dz_arena_alloc(a, (n ? n : 1) * sizeof(*h->hosts));
    h->hosts_n = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *of = json_array_get(v, i);
        int64_t paused_ms = number(of, "paused_ms"), status = number(of, "last_status");
        h->hosts[i] = (struct dz_crawl_health_host){
            .host = text(of, "host", a),
            .requests = (uint64_t)number(of, "requests"),
            .from_cache = (uint64_t)number(of, "from_cache"),
            .revalidated = (uint64_t)number(of, "revalidated"),
            .errors = (uint64_t)number(of, "errors"),
            .bytes = (uint64_t)number(of, "bytes"),
            .last_status = status < 1000 ? (int)status : 0,
            .paused_until_ms =
                paused_ms && paused_ms < INT64_MAX - h->updated_ms ? h->updated_ms + paused_ms : 0,
            .waited_ms = number(of, "waited_ms"),
        };
    }
}

static void read_record(const struct dz_crawl_state_rec *row, struct dz_arena *a,
                        struct dz_crawl_health *ret_h)
{
    json_t *of = json_loadb(row->value.p, row->value.n, 0, NULL);
    *ret_h = (struct dz_crawl_health){
        .source = row->source,
        .updated_ms = row->updated_ms,
        .last_ok_ms = number(of, "last_ok_ms"),
        .last_error_ms = number(of, "last_error_ms"),
        .last_kind = text(of, "last_kind", a),
        .last_text = text(of, "last_text", a),
        .took_ms = number(of, "took_ms"),
        .requests = (uint64_t)number(of, "requests"),
        .requests_total = (uint64_t)number(of, "requests_total"),
    };
    read_hosts(json_object_get(of, "hosts"), a, ret_h);
    json_decref(of);
}

static void merge(struct dz_crawl_health *h, const struct dz_crawl_health *other)
{
    uint64_t total = h->requests_total + other->requests_total;
    struct dz_crawl_health newer = h->updated_ms >= other->updated_ms ? *h : *other;
    const struct dz_crawl_health *error = h->last_error_ms >= other->last_error_ms ? h : other;
    newer.last_ok_ms = h->last_ok_ms > other->last_ok_ms ? h->last_ok_ms : other->last_ok_ms;
    newer.last_error_ms = error->last_error_ms;
    newer.last_kind = error->last_kind;
    newer.last_text = error->last_text;
    newer.requests_total = total;
    *h = newer;
}

enum dz_code dz_crawl_health_list(struct dz_catalog *c, int64_t now_ms, struct dz_arena *a,
                                  struct dz_crawl_health **ret_v, size_t *ret_n, struct dz_err *err)
{
    struct dz_crawl_state_rec *rows = NULL;
    size_t n = 0, kept = 0;
    DZ_TRY(
        dz_catalog_state_list(c, (dz_str){NULL, 0}, DZ_S(CRAWL_HEALTH), now_ms, a, &rows, &n, err));
    struct dz_crawl_health *v = dz_arena_alloc(a, (n ? n : 1) * sizeof(*v));
    for (size_t i = 0; i < n; i++) {
        /* "health" alone was the name before each process had its own. */
        if (rows[i].name.n > strlen(CRAWL_HEALTH) &&
            !dz_str_starts(rows[i].name, DZ_S(CRAWL_HEALTH "/")))
            continue;
        struct dz_crawl_health h;
        read_record(&rows[i], a, &h);
        if (kept > 0 && dz_str_eq(v[kept - 1].source, h.source))
            merge(&v[kept - 1], &h);
        else
            v[kept++] = h;
    }
    *ret_v = v;
    *ret_n = kept;
    return DZ_OK;
}
