/*
 * report: how a job went, for people and for a watchdog elsewhere.
 *
 * In: a job that has ended. Out: the source's health record in the crawl's memory (last success,
 * last failure and its kind, what the hosts said), which `dozo sources` and /metrics show; and a
 * GET of crawl.ping_url, with "/fail" behind it after a failure. A ping that fails is logged and
 * otherwise of no consequence. Loop thread.
 */
#include <stdlib.h>

#include "crawl/runner_int.h"

#define PING_TIMEOUT_MS 10000
#define HOSTS_TOLD_MAX 32u

static const struct dz_log_ctx ctx = {.room = "crawl", .what = "ping"};

/* ---- health ---------------------------------------------------------------------------------- */

static void put_hosts(struct dz_json *j, struct dz_crawler *c, struct dz_source *s)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(16 * DZ_MIB);
    struct dz_fetch_host_stats *v;
    size_t n;
    dz_fetch_hosts(c->env.fetch, a, &v, &n);
    const struct dz_fetch_policy *policy = dz_source_policy(s);
    unsigned told = 0;
    dz_json_key(j, DZ_S("hosts"));
    dz_json_array(j);
    for (size_t i = 0; i < n && told < HOSTS_TOLD_MAX; i++) {
        if (!dz_fetch_policy_reaches(policy, dz_str_of(v[i].host)))
            continue;
        told++;
        dz_json_object(j);
        dz_json_key(j, DZ_S("host"));
        dz_json_str(j, dz_str_of(v[i].host));
        const struct {
            const char *name;
            int64_t n;
        } numbers[] = {
            {"requests", (int64_t)v[i].requests},
            {"from_cache", (int64_t)v[i].from_cache},
            {"revalidated", (int64_t)v[i].revalidated},
            {"errors", (int64_t)v[i].errors},
            {"bytes", (int64_t)v[i].bytes},
            {"last_status", v[i].last_status},
            {"paused_ms", v[i].paused_ms},
            {"waited_ms", v[i].waited_ms},
        };
        for (size_t k = 0; k < DZ_LEN(numbers); k++) {
            dz_json_key(j, dz_str_of(numbers[k].name));
            dz_json_int(j, numbers[k].n);
        }
        dz_json_end(j);
    }
    dz_json_end(j);
}

/* Each process that crawls has a record of its own, so that none loses what another one wrote:
 * "health/back@HOST" and "health/command@HOST"; where the catalog is shared there may be several
 * on one host, and the data folder tells them apart: "health/back@HOST/1f3a…". */
static dz_str health_name(const struct dz_crawler *c, struct dz_arena *a)
{
    dz_str host = crawl_owner_host(dz_str_of(c->owner));
    const char *who = c->o.only_job > 0 ? "command" : "back";
    if (!c->shared)
        return dz_arena_printf(a, CRAWL_HEALTH "/%s@%.*s", who, DZ_STR_FMT(host));
    char *path = realpath(c->env.conf->data_dir, NULL);
    struct dz_sha256 sha = dz_sha256_of(dz_str_of(path ? path : c->env.conf->data_dir));
    free(path);
    return dz_arena_printf(a, CRAWL_HEALTH "/%s@%.*s/%02x%02x%02x%02x", who, DZ_STR_FMT(host),
                           sha.b[0], sha.b[1], sha.b[2], sha.b[3]);
}

/* A member of the record before this one, as JSON; "null" when there is none. */
static dz_str old_member(const json_t *old, const char *name, struct dz_arena *a)
{
    char *text = json_dumps(json_object_get(old, name), JSON_ENCODE_ANY | JSON_COMPACT);
    dz_str s = dz_arena_str(a, text ? dz_str_of(text) : DZ_S("null"));
    free(text);
    return s;
}

static void put_health(struct dz_crawler *c, struct crawl_running *r)
{
    dz_str id = dz_source_info_of(r->job.source)->id, name = health_name(c, r->job.arena);
    DZ_AUTO(dz_buf_done) struct dz_buf before, b;
    dz_buf_init(&before, DZ_CRAWL_STATE_MAX);
    dz_buf_init(&b, DZ_CRAWL_STATE_MAX);
    json_t *old = crawl_memory_get(c->memory, id, name, &before)
                      ? json_loadb(before.p, before.n, 0, NULL)
                      : NULL;
    bool worked = r->fail.kind == DZ_SOURCE_OK;
    struct dz_json j;
    dz_json_init(&j, &b, DZ_JSON_COMPACT, false);
    dz_json_object(&j);
    static const char *const kept[] = {"last_ok_ms", "last_error_ms", "last_kind", "last_text"};
    for (size_t i = 0; i < DZ_LEN(kept); i++) {
        dz_json_key(&j, dz_str_of(kept[i]));
        bool new_one = worked == (i == 0);
        if (!new_one)
            dz_json_raw(&j, old_member(old, kept[i], r->job.arena));
        else if (i < 2)
            dz_json_int(&j, dz_now_ms());
        else
            dz_json_str(&j, i == 2 ? r->end.fail_kind : r->end.fail_text);
    }
    dz_json_key(&j, DZ_S("took_ms"));
    dz_json_int(&j, dz_now_ms() - r->began_ms);
    dz_json_key(&j, DZ_S("requests"));
    dz_json_int(&j, (int64_t)r->job.requests);
    dz_json_key(&j, DZ_S("requests_total"));
    dz_json_int(&j, json_integer_value(json_object_get(old, "requests_total")) +
                        (int64_t)r->job.requests);
    put_hosts(&j, c, r->job.source);
    dz_json_end(&j);
    bool news = !old || !worked ||
                json_integer_value(json_object_get(old, "last_ok_ms")) <
                    json_integer_value(json_object_get(old, "last_error_ms"));
    json_decref(old);
    if (b.full)
        return;
    if (news || r->chapters > 0)
        crawl_memory_set(c->memory, id, name, dz_buf_str(&b), 0);
    else
        crawl_memory_set_later(c->memory, id, name, dz_buf_str(&b));
}

/* ---- ping ------------------------------------------------------------------------------------ */

static void on_pinged(void *arg, struct dz_fetch_res *res)
{
    struct dz_crawler *c = arg;
    c->pings--;
    if (res->kind == DZ_FETCH_OK && res->status >= 400)
        dz_log(&ctx, DZ_WARN, "crawl.ping_url answered %d", res->status);
    else if (res->kind != DZ_FETCH_OK && res->kind != DZ_FETCH_CANCELLED)
        dz_log_err(&ctx, DZ_WARN, &res->err, "crawl.ping_url");
    crawl_look_soon(c, 0);
}

static void ping(struct dz_crawler *c, bool worked)
{
    dz_str base = dz_str_of(c->env.conf->crawl.ping_url);
    struct dz_url u;
    struct dz_err err;
    if (base.n == 0)
        return;
    struct dz_fetch_policy *policy = NULL;
    enum dz_code code = dz_url_parse(base, &u, &err);
    if (code == DZ_OK) {
        /* An address of the settings, not of a site: it may be at home. */
        struct dz_fetch_policy_spec spec = {
            .source = DZ_S("ping"), .hosts = &u.host, .hosts_n = 1, .allow_private = true};
        code = dz_fetch_policy_new(&spec, &policy, &err);
    }
    if (code != DZ_OK) {
        dz_log_err(&ctx, DZ_WARN, &err, "crawl.ping_url");
        return;
    }
    DZ_AUTO(dz_buf_done) struct dz_buf url;
    dz_buf_init(&url, DZ_FETCH_URL_MAX);
    dz_str query =
        u.query.p ? dz_str_sub(base, (size_t)(u.query.p - base.p) - 1, base.n) : (dz_str){NULL, 0};
    dz_str path = dz_str_sub(base, 0, base.n - query.n);
    while (!worked && dz_str_ends(path, DZ_S("/")))
        path.n--;
    dz_buf_put(&url, path);
    if (!worked)
        dz_buf_put(&url, DZ_S("/fail"));
    dz_buf_put(&url, query);
    struct dz_fetch_req req = {
        .policy = policy,
        .url = dz_buf_str(&url),
        .cache = DZ_FETCH_NO_STORE,
        .connect_timeout_ms = PING_TIMEOUT_MS,
        .read_timeout_ms = PING_TIMEOUT_MS,
        .body_max = DZ_MIB,
        .done = on_pinged,
        .arg = c,
    };
    c->pings++;
    dz_fetch_start(c->env.fetch, &req, NULL);
    dz_fetch_policy_unref(&policy);
}

void crawl_report(struct dz_crawler *c, struct crawl_running *r)
{
    if (r->job.source)
        put_health(c, r);
    /* A favourite that is gone is no alarm. */
    if (!dz_str_eq(r->job.rec.kind, DZ_S(CRAWL_FOLLOW)))
        ping(c, r->fail.kind == DZ_SOURCE_OK);
}
