/*
 * metrics: /healthz for load balancers and people, /metrics in the Prometheus text format (version
 * 0.0.4). Neither is answered on a shelf's host names, which are public.
 */
#include "api/api_int.h"

#include <inttypes.h>

/* A label value: backslash, quote and line feed escaped. */
static void put_label(struct dz_buf *b, dz_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' || s.p[i] == '"')
            dz_buf_putc(b, '\\');
        if (s.p[i] == '\n')
            dz_buf_put(b, DZ_S("\\n"));
        else
            dz_buf_putc(b, s.p[i]);
    }
}

static void put_head(struct dz_buf *b, const char *name, const char *type, const char *help)
{
    dz_buf_putf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_one(struct dz_buf *b, const char *name, const char *type, const char *help,
                    uint64_t value)
{
    put_head(b, name, type, help);
    dz_buf_putf(b, "%s %" PRIu64 "\n", name, value);
}

static void put_requests(struct dz_buf *b, const struct dz_http_stats *st)
{
    put_head(b, "dozo_http_requests_total", "counter",
             "Requests answered, by route and status class.");
    for (size_t i = 0; i < st->routes_n; i++)
        for (int s = 1; s <= 5; s++) {
            if (st->routes[i].by_status[s] == 0)
                continue;
            dz_buf_put(b, DZ_S("dozo_http_requests_total{route=\""));
            put_label(b, dz_str_of(st->routes[i].route));
            dz_buf_putf(b, "\",status=\"%dxx\"} %" PRIu64 "\n", s, st->routes[i].by_status[s]);
        }
    put_head(b, "dozo_http_request_seconds", "histogram",
             "From the whole request to the answer handed over.");
    for (size_t i = 0; i < st->routes_n; i++) {
        const struct dz_http_route_stats *rs = &st->routes[i];
        if (rs->count == 0)
            continue;
        uint64_t sum = 0;
        for (size_t k = 0; k <= DZ_HTTP_BUCKETS; k++) {
            sum += rs->bucket[k];
            dz_buf_put(b, DZ_S("dozo_http_request_seconds_bucket{route=\""));
            put_label(b, dz_str_of(rs->route));
            if (k < DZ_HTTP_BUCKETS)
                dz_buf_putf(b, "\",le=\"%g\"} %" PRIu64 "\n", (double)dz_http_bucket_us[k] / 1e6,
                            sum);
            else
                dz_buf_putf(b, "\",le=\"+Inf\"} %" PRIu64 "\n", sum);
        }
        dz_buf_put(b, DZ_S("dozo_http_request_seconds_sum{route=\""));
        put_label(b, dz_str_of(rs->route));
        dz_buf_putf(b, "\"} %.9f\n", (double)rs->sum_ns / 1e9);
        dz_buf_put(b, DZ_S("dozo_http_request_seconds_count{route=\""));
        put_label(b, dz_str_of(rs->route));
        dz_buf_putf(b, "\"} %" PRIu64 "\n", sum);
    }
}

static void put_server(struct dz_buf *b, const struct dz_http_stats *st)
{
    put_one(b, "dozo_http_connections", "gauge", "Connections open now.", st->connections_open);
    put_one(b, "dozo_http_connections_total", "counter", "Connections accepted.",
            st->connections_total);
    put_one(b, "dozo_http_connections_refused_total", "counter",
            "Connections over http.max_connections.", st->connections_refused);
    put_one(b, "dozo_http_received_bytes_total", "counter", "Bytes read from clients.",
            st->bytes_in);
    put_one(b, "dozo_http_sent_bytes_total", "counter", "Bytes written to clients.", st->bytes_out);
    put_one(b, "dozo_http_bad_requests_total", "counter", "Requests that could not be parsed.",
            st->parse_errors);
    put_one(b, "dozo_http_timeouts_total", "counter", "Connections closed by a timeout.",
            st->timeouts);
}

static void put_stores(struct dz_buf *b, struct dz_api *a)
{
    const struct dz_cache_stats *c = dz_cache_stats(a->cache);
    put_one(b, "dozo_cache_hits_total", "counter", "Answers found in the cache.", c->hits);
    put_one(b, "dozo_cache_misses_total", "counter", "Answers not found in the cache.", c->misses);
    put_one(b, "dozo_cache_inserts_total", "counter", "Answers put into the cache.", c->inserts);
    put_one(b, "dozo_cache_evictions_total", "counter", "Answers pushed out of the cache.",
            c->evictions);
    put_one(b, "dozo_cache_errors_total", "counter", "Failed cache calls.", c->errors);
    put_one(b, "dozo_cache_bytes", "gauge", "Bytes held by the cache.", c->bytes);
    put_one(b, "dozo_cache_entries", "gauge", "Entries held by the cache.", c->entries);

    const struct dz_store_stats *s = dz_store_stats(dz_library_store(a->library));
    put_one(b, "dozo_store_puts_total", "counter", "Blobs put.", s->puts);
    put_one(b, "dozo_store_gets_total", "counter", "Blobs read.", s->reads);
    put_one(b, "dozo_store_get_bytes_total", "counter", "Bytes of blobs read.", s->read_bytes);
    put_one(b, "dozo_store_misses_total", "counter", "Blobs asked for and not there.", s->misses);
    put_one(b, "dozo_store_errors_total", "counter", "Failed store calls.", s->errors);
    put_one(b, "dozo_store_corrupt_total", "counter", "Blobs that did not match their digest.",
            s->corrupt);
}

/* Of a store without files, and of the Redis in front of it. */
static void put_far(struct dz_buf *b, struct dz_api *a)
{
    char text[256];
    struct dz_library_blob_stats s;
    dz_library_blob_stats(a->library, &s);
    put_one(b, "dozo_store_up", "gauge", "1 while the store answers.",
            dz_library_store_healthy(a->library, text));
    put_one(b, "dozo_store_losses_total", "counter", "How often the store was lost.",
            s.store_losses);
    put_one(b, "dozo_spool_bytes", "gauge",
            "Bytes of large files that were fetched from the store to be sent.", s.spool_bytes);
    put_one(b, "dozo_spool_files", "gauge", "How many files these are.", s.spool_files);
    struct dz_shared_cache *shared = dz_library_shared(a->library);
    if (!shared)
        return;
    struct dz_shared_cache_stats c;
    dz_shared_cache_stats(shared, &c);
    put_one(b, "dozo_shared_cache_hits_total", "counter", "Files found in Redis.", c.hits);
    put_one(b, "dozo_shared_cache_misses_total", "counter", "Files not found in Redis.", c.misses);
    put_one(b, "dozo_shared_cache_puts_total", "counter", "Files put into Redis.", c.puts);
    put_one(b, "dozo_shared_cache_deletes_total", "counter", "Names deleted in Redis.", c.dels);
    put_one(b, "dozo_shared_cache_skipped_total", "counter",
            "Calls that went without Redis, because it was lost or busy.", c.skipped);
    put_one(b, "dozo_shared_cache_losses_total", "counter", "How often Redis was lost.", c.losses);
    put_one(b, "dozo_shared_cache_up", "gauge", "1 while Redis answers.", !c.lost);
}

static void put_limits(struct dz_buf *b, struct dz_api *a)
{
    if (!a->limiter)
        return;
    struct dz_limiter_stats s;
    dz_limiter_stats(a->limiter, &s);
    put_head(b, "dozo_rate_limit_requests_total", "counter",
             "Requests that fell under a rate limit, by what became of them.");
    dz_buf_putf(b, "dozo_rate_limit_requests_total{result=\"allowed\"} %" PRIu64 "\n", s.allowed);
    dz_buf_putf(b, "dozo_rate_limit_requests_total{result=\"refused\"} %" PRIu64 "\n", s.refused);
    put_one(b, "dozo_rate_limit_alone_total", "counter",
            "Of these, counted in this process because Redis was lost.", s.alone);
    put_one(b, "dozo_rate_limit_storage_losses_total", "counter", "How often Redis was lost.",
            s.losses);
    put_one(b, "dozo_rate_limit_storage_up", "gauge",
            "1 while rate limits are counted where rate_limit.storage says.", !s.lost);
}

static void put_catalog(struct dz_buf *b, const struct dz_view *v)
{
    uint64_t chapters = 0, pages = 0, assets = 0;
    for (size_t i = 0; i < v->series_n; i++) {
        chapters += v->series[i]->chapters_n;
        pages += v->series[i]->pages_n;
        assets += v->series[i]->assets_n;
    }
    put_one(b, "dozo_catalog_series", "gauge", "Series that can be read.", v->series_n);
    put_one(b, "dozo_catalog_chapters", "gauge", "Chapters that can be read.", chapters);
    put_one(b, "dozo_catalog_pages", "gauge", "Pages that can be read.", pages);
    put_one(b, "dozo_catalog_assets", "gauge", "Other files of shelves.", assets);
    put_one(b, "dozo_catalog_shelves", "gauge", "Shelves.", v->shelves_n);
}

/* One line a source whose value is known. */
static void put_sources(struct dz_buf *b, const struct work_picture *p, const char *name,
                        const char *type, const char *help,
                        double (*value)(const struct dz_crawl_health *h))
{
    put_head(b, name, type, help);
    for (size_t i = 0; i < p->health_n; i++) {
        double x = value(&p->health[i]);
        if (x < 0)
            continue;
        dz_buf_putf(b, "%s{source=\"", name);
        put_label(b, p->health[i].source);
        dz_buf_putf(b, "\"} %.3f\n", x);
    }
}

static double last_ok_of(const struct dz_crawl_health *h)
{
    return h->last_ok_ms > 0 ? (double)h->last_ok_ms / 1e3 : -1;
}

static double last_error_of(const struct dz_crawl_health *h)
{
    return h->last_error_ms > 0 ? (double)h->last_error_ms / 1e3 : -1;
}

static double took_of(const struct dz_crawl_health *h)
{
    return (double)h->took_ms / 1e3;
}

static double requests_of(const struct dz_crawl_health *h)
{
    return (double)h->requests_total;
}

/* Nothing when the catalog cannot be read: dozo_catalog_up says so. */
static void put_crawls(struct dz_buf *b, const struct work_picture *p)
{
    if (p->code != DZ_OK)
        return;
    put_head(b, "dozo_jobs", "gauge", "Jobs that the queue knows, by state.");
    for (size_t i = 0; i < DZ_JOB_STATES; i++)
        dz_buf_putf(b, "dozo_jobs{state=\"%s\"} %" PRIu64 "\n",
                    dz_job_state_name((enum dz_job_state)i), p->counts[i]);
    put_sources(b, p, "dozo_source_last_success_timestamp_seconds", "gauge",
                "End of the last crawl that worked, Unix seconds.", last_ok_of);
    put_sources(b, p, "dozo_source_last_error_timestamp_seconds", "gauge",
                "End of the last crawl that failed, Unix seconds.", last_error_of);
    put_sources(b, p, "dozo_source_last_crawl_seconds", "gauge", "How long the last crawl took.",
                took_of);
    put_sources(b, p, "dozo_source_requests_total", "counter", "Requests sent to the site.",
                requests_of);
    put_head(b, "dozo_source_paused_seconds", "gauge",
             "How long a host still wants to be left alone.");
    for (size_t i = 0; i < p->health_n; i++)
        for (size_t k = 0; k < p->health[i].hosts_n; k++) {
            const struct dz_crawl_health_host *host = &p->health[i].hosts[k];
            int64_t left_ms = host->paused_until_ms - p->now_ms;
            dz_buf_put(b, DZ_S("dozo_source_paused_seconds{source=\""));
            put_label(b, p->health[i].source);
            dz_buf_put(b, DZ_S("\",host=\""));
            put_label(b, host->host);
            dz_buf_putf(b, "\"} %.3f\n", left_ms > 0 ? (double)left_ms / 1e3 : 0.0);
        }
}

static struct dz_back_stats back_of(const struct dz_api *a)
{
    struct dz_back_stats back = {.next_start_in_ms = -1};
    if (a->back)
        a->back(a->back_arg, &back);
    return back;
}

static void reply_metrics(struct dz_http_req *r, const struct work_picture *p)
{
    struct dz_api *a = r->app;
    struct dz_buf b;
    dz_buf_init(&b, 4 * DZ_MIB);
    struct dz_http_stats st;
    dz_http_stats(a->server, dz_http_arena(r), &st);
    put_requests(&b, &st);
    put_server(&b, &st);
    put_stores(&b, a);
    put_far(&b, a);
    put_limits(&b, a);
    put_catalog(&b, view_of(r));
    put_crawls(&b, p);

    struct dz_back_stats back = back_of(a);
    put_one(&b, "dozo_back_up", "gauge", "1 while the back role runs as our child.", back.running);
    put_one(&b, "dozo_back_starts_total", "counter", "Starts of the back role.", back.starts);
    put_one(&b, "dozo_back_deaths_total", "counter", "Ends of the back role that nobody asked for.",
            back.deaths);
    char text[256];
    put_one(&b, "dozo_catalog_up", "gauge", "1 while the catalog can be read.",
            dz_library_healthy(a->library, text));
    put_head(&b, "dozo_build_info", "gauge", "Always 1; the version is in the label.");
    dz_buf_put(&b, DZ_S("dozo_build_info{version=\"" DZ_VERSION "\"} 1\n"));
    put_head(&b, "process_start_time_seconds", "gauge", "Start of the process, Unix seconds.");
    dz_buf_putf(&b, "process_start_time_seconds %.3f\n", (double)a->started_ms / 1e3);

    struct dz_http_meta m = {.content_type = DZ_S("text/plain; version=0.0.4; charset=utf-8"),
                             .cache_control = NO_STORE,
                             .last_modified_s = -1};
    dz_http_reply_buf(r, &m, &b);
    dz_buf_done(&b);
}

void handle_metrics(struct dz_http_req *r)
{
    if (!answered_for_shelf_host(r))
        work_look(r, (dz_str){0}, 0, 0, reply_metrics);
}

static dz_str cache_state(struct dz_api *a)
{
    struct dz_shared_cache *shared = dz_library_shared(a->library);
    struct dz_shared_cache_stats s = {.lost = false};
    if (shared)
        dz_shared_cache_stats(shared, &s);
    return s.lost ? DZ_S("down") : DZ_S("ok");
}

/* 200 as long as readers are served, also when the catalog, the store, Redis or the back is lost:
 * then "status" is "degraded", and the part says why. */
void handle_healthz(struct dz_http_req *r)
{
    if (answered_for_shelf_host(r))
        return;
    struct dz_api *a = r->app;
    char text[256], store_text[256];
    bool catalog = dz_library_healthy(a->library, text);
    bool store = dz_library_store_healthy(a->library, store_text);
    dz_str cache = cache_state(a);
    struct dz_back_stats back = back_of(a);
    bool back_lost = a->back && back.starts > 0 && !back.running;
    bool all = catalog && store && !back_lost && dz_str_eq(cache, DZ_S("ok"));

    struct dz_buf b;
    dz_buf_init(&b, 4 * DZ_KIB);
    struct dz_json j;
    dz_json_init(&j, &b, DZ_JSON_COMPACT, true);
    dz_json_object(&j);
    dz_json_key(&j, DZ_S("status"));
    dz_json_str(&j, all ? DZ_S("ok") : DZ_S("degraded"));
    dz_json_key(&j, DZ_S("version"));
    dz_json_str(&j, DZ_S(DZ_VERSION));
    dz_json_key(&j, DZ_S("catalog"));
    dz_json_str(&j, catalog ? DZ_S("ok") : dz_str_of(text));
    dz_json_key(&j, DZ_S("store"));
    dz_json_str(&j, store ? DZ_S("ok") : dz_str_of(store_text));
    dz_json_key(&j, DZ_S("cache"));
    dz_json_str(&j, cache);
    dz_json_key(&j, DZ_S("back"));
    dz_json_str(&j, !a->back ? DZ_S("elsewhere") : back.running ? DZ_S("ok") : DZ_S("down"));
    dz_json_end(&j);
    dz_buf_putc(&b, '\n');
    struct dz_http_meta m = {
        .content_type = DZ_S("application/json"), .cache_control = NO_STORE, .last_modified_s = -1};
    dz_http_reply_buf(r, &m, &b);
    dz_buf_done(&b);
}
