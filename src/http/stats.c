/*
 * stats: counters of a lane, and their sum.
 *
 * Each counter has one writer, its lane's thread, which loads and stores without a locked
 * instruction; anybody may read. A sum over lanes is a picture of one moment only roughly, which is
 * what counters are for.
 */
#include "http/http_int.h"

const uint64_t dz_http_bucket_us[DZ_HTTP_BUCKETS] = {
    50,    100,   250,    500,    1000,   2500,    5000,    10000,
    25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000};

void dz_http_counters_init(struct dz_http_counters *c, size_t routes_n)
{
    memset(c, 0, sizeof(*c));
    c->rows = dz_zalloc((routes_n + 1) * sizeof(*c->rows));
}

void dz_http_counters_done(struct dz_http_counters *c)
{
    dz_freep(&c->rows);
}

void dz_http_count_reply(struct dz_http_row_counters *row, int status, int64_t ns)
{
    uint64_t took_ns = ns > 0 ? (uint64_t)ns : 0;
    unsigned bucket = 0;
    while (bucket < DZ_HTTP_BUCKETS && took_ns > dz_http_bucket_us[bucket] * 1000)
        bucket++;
    int class = status / 100;
    dz_http_count(&row->by_status[class >= 1 && class <= 5 ? class : 0], 1);
    dz_http_count(&row->bucket[bucket], 1);
    dz_http_count(&row->sum_ns, took_ns);
}

static uint64_t read_counter(const _Atomic uint64_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

static void add_row(struct dz_http_route_stats *to, const struct dz_http_row_counters *from)
{
    for (size_t i = 0; i < DZ_LEN(to->by_status); i++)
        to->by_status[i] += read_counter(&from->by_status[i]);
    for (size_t i = 0; i < DZ_LEN(to->bucket); i++) {
        uint64_t n = read_counter(&from->bucket[i]);
        to->bucket[i] += n;
        to->count += n;
    }
    to->sum_ns += read_counter(&from->sum_ns);
}

static void add_lane(struct dz_http_stats *to, const struct dz_http_counters *from)
{
    to->connections_open += read_counter(&from->open);
    to->connections_total += read_counter(&from->total);
    to->connections_refused += read_counter(&from->refused);
    to->bytes_in += read_counter(&from->bytes_in);
    to->bytes_out += read_counter(&from->bytes_out);
    to->parse_errors += read_counter(&from->parse_errors);
    to->timeouts += read_counter(&from->timeouts);
    for (size_t i = 0; i < to->routes_n; i++)
        add_row(&to->routes[i], &from->rows[i]);
}

void dz_http_stats(struct dz_http_server *s, struct dz_arena *a, struct dz_http_stats *ret_stats)
{
    struct dz_http_stats sum = {.routes_n = s->o.routes_n + 1};
    sum.routes = dz_arena_alloc(a, sum.routes_n * sizeof(*sum.routes));
    memset(sum.routes, 0, sum.routes_n * sizeof(*sum.routes));
    for (size_t i = 0; i < sum.routes_n; i++)
        sum.routes[i].route = i < s->o.routes_n ? s->o.routes[i].name : "none";
    for (unsigned i = 0; i < s->lanes_n; i++)
        add_lane(&sum, &s->lanes[i]->counters);
    for (struct dz_http_lane *lane = s->test_lanes; lane; lane = lane->next)
        add_lane(&sum, &lane->counters);
    *ret_stats = sum;
}
