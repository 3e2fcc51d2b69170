/*
 * limit: who asks too often (settings `rate_limit`; contracts/kvm48.md 4.3, with points 9, 10 and
 * 16 of its section 8).
 *
 * In: a request and a rule. Out: the request goes on with RateLimit-* lines on its answer, now or
 * when Redis has answered, or 429 with Retry-After. Counted are client addresses, IPv6 by its /64;
 * who may say which address that is, http.trusted_proxies decides. Rules of routes stand in the
 * gate, before tokens are looked at, so that trying tokens is limited as well; that of GraphQL is
 * asked for by its handler. What waits keeps the settings that its rule lies in. The answers of
 * refusals are short and made without the catalog.
 */
#include "api/api_int.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define HTML DZ_S("text/html; charset=utf-8")
#define TEXT DZ_S("text/plain; charset=utf-8")

static const struct dz_log_ctx ctx = {.room = "api", .what = "rate limits"};

/* ---- who ------------------------------------------------------------------------------------- */

void client_who(dz_str ip, unsigned char ret_who[16])
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    char text[INET6_ADDRSTRLEN] = "";
    memset(ret_who, 0, 16);
    if (ip.n < sizeof(text) && ip.n > 0)
        memcpy(text, ip.p, ip.n);
    if (inet_pton(AF_INET, text, ret_who + 12) == 1) {
        memcpy(ret_who, mapped, sizeof(mapped));
    } else if (inet_pton(AF_INET6, text, ret_who) == 1) {
        if (memcmp(ret_who, mapped, sizeof(mapped)) != 0)
            memset(ret_who + 8, 0, 8);
    } else { /* what a proxy calls a client that it hides, "unix" */
        struct dz_sha256 digest = dz_sha256_of(ip);
        memcpy(ret_who, digest.b, 16);
        ret_who[0] = 0xff; /* no address of a client begins so */
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

static void add_number(struct dz_http_req *r, dz_str name, uint64_t n)
{
    char text[24];
    int length = snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
    dz_http_set_line(r, name, (dz_str){text, (size_t)length});
}

static uint64_t seconds(int64_t ms)
{
    return ms > 0 ? (uint64_t)(ms + 999) / 1000 : 1;
}

/* draft-ietf-httpapi-ratelimit-headers-03, section 3. */
static void add_lines(struct dz_http_req *r, const struct dz_limit_verdict *v)
{
    add_number(r, DZ_S("RateLimit-Limit"), v->limit->count);
    add_number(r, DZ_S("RateLimit-Remaining"), v->remaining);
    add_number(r, DZ_S("RateLimit-Reset"), seconds(v->reset_ms));
}

static bool wants_text(const struct dz_http_req *r)
{
    dz_str accept = dz_http_header(r, DZ_S("accept"));
    return dz_str_find(accept, DZ_S("text/plain")) != DZ_NPOS &&
           dz_str_find(accept, DZ_S("json")) == DZ_NPOS;
}

/* As the service before this one words it for GraphQL; that is HTML whatever the client accepts. */
static void refuse(struct dz_http_req *r, bool as_html, const struct dz_limit_verdict *v)
{
    struct dz_buf b;
    dz_str type = TEXT, limit = dz_str_of(v->limit->text);
    dz_buf_init(&b, DZ_KIB);
    add_number(r, DZ_S("Retry-After"), seconds(v->reset_ms));
    if (as_html || dz_http_wants_html(r)) {
        type = HTML;
        dz_buf_put(
            &b, DZ_S("<!doctype html>\n<html lang=\"en\">\n<title>429 Too Many Requests</title>\n"
                     "<h1>Too Many Requests</h1>\n<p>"));
        dz_buf_put_html(&b, limit);
        dz_buf_put(&b, DZ_S("</p>\n"));
    } else if (wants_text(r)) {
        dz_buf_put(&b, DZ_S("429 Too Many Requests: "));
        dz_buf_put(&b, limit);
        dz_buf_putc(&b, '\n');
    } else {
        answer_error_body(429, v->limit->text, &b, &type);
    }
    dz_http_reply_text(r, 429, type, NO_STORE, dz_buf_str(&b));
    dz_buf_done(&b);
}

/* ---- asking ---------------------------------------------------------------------------------- */

struct waiting {
    struct dz_http_req *r;
    struct dz_conf *conf; /* where the rule is */
    bool as_html;
    void (*go)(struct dz_http_req *r);
};

static void on_verdict(void *arg, const struct dz_limit_verdict *v)
{
    struct waiting *w = arg;
    add_lines(w->r, v);
    if (v->allowed)
        w->go(w->r);
    else
        refuse(w->r, w->as_html, v);
    dz_conf_unref(&w->conf);
    free(w);
}

bool limit_stops(struct dz_http_req *r, const struct dz_limit_rule *rule,
                 void (*go)(struct dz_http_req *r))
{
    struct api_loop *al = r->loop_app;
    if (!al->limiter)
        return false;
    struct dz_conf *conf = al->view->conf;
    bool as_html = rule == conf->rate_limit.graphql_rule;
    struct dz_limit_ask ask = {.rule = rule};
    struct dz_limit_verdict v;
    client_who(r->client_ip, ask.who);
    struct waiting *w = NULL;
    if (al->api->limits_are_shared) {
        w = dz_new(struct waiting);
        *w = (struct waiting){r, dz_conf_ref(conf), as_html, go};
    }
    if (!dz_limiter_take(al->limiter, &ask, on_verdict, w, &v)) {
        dz_http_defer(r);
        return true;
    }
    if (w)
        dz_conf_unref(&w->conf);
    free(w);
    add_lines(r, &v);
    if (!v.allowed)
        refuse(r, as_html, &v);
    return !v.allowed;
}

void limit_then(struct dz_http_req *r, const struct dz_limit_rule *rule,
                void (*go)(struct dz_http_req *r))
{
    if (!limit_stops(r, rule, go))
        go(r);
}

/* ---- rules of routes ------------------------------------------------------------------------- */

static bool fits(const struct dz_limit_rule *rule, const struct dz_http_req *r, bool whole)
{
    dz_str name = {rule->name, rule->name_n};
    if (rule->is_pattern)
        return r->route && strcmp(r->route->pattern, rule->name) == 0;
    if (whole || !dz_str_starts(r->path, name))
        return whole && dz_str_eq(r->path, name);
    return r->path.n == name.n || name.p[name.n - 1] == '/' || r->path.p[name.n] == '/';
}

const struct dz_limit_rule *limit_of_route(const struct dz_http_req *r)
{
    const struct dz_conf *c = view_of(r)->conf;
    if (DZ_LIKELY(c->rate_limit.rules_n == 0) || !((struct api_loop *)r->loop_app)->limiter)
        return NULL;
    if (r->method == DZ_HTTP_OPTIONS)
        return NULL; /* free, as preflights of browsers must be */
    /* Who watches the server asks often and from one address: only a rule of their own counts. */
    bool whole =
        r->route && (r->route->handler == handle_healthz || r->route->handler == handle_metrics);
    for (size_t i = 0; i < c->rate_limit.rules_n; i++)
        if (fits(&c->rate_limit.rules[i], r, whole))
            return &c->rate_limit.rules[i];
    return NULL;
}

enum dz_code dz_api_check(const struct dz_api *a, const struct dz_conf *c, struct dz_err *err)
{
    for (size_t i = 0; i < c->rate_limit.rules_n; i++) {
        const struct dz_limit_rule *rule = &c->rate_limit.rules[i];
        bool known = !rule->is_pattern;
        for (size_t k = 0; k < a->routes_n && !known; k++)
            known = strcmp(a->routes[k].pattern, rule->name) == 0;
        if (!known)
            return dz_fail(err, DZ_BAD_INPUT,
                           "rate_limit.routes: no route has the pattern \"%.100s\"; "
                           "docs/rate-limits.md lists them",
                           rule->name);
    }
    return DZ_OK;
}

/* ---- open and close -------------------------------------------------------------------------- */

static void say(void *arg, bool lost, const char *why)
{
    (void)arg;
    if (lost)
        dz_log(&ctx, DZ_WARN, "Redis is lost, so this process counts alone: %s", why);
    else
        dz_log(&ctx, DZ_INFO, "counted in Redis again");
}

enum dz_code limits_open(struct dz_api *a, struct dz_err *err)
{
    const struct dz_conf *c = a->conf;
    if (!c->rate_limit.storage[0])
        return DZ_OK;
    struct dz_limiter_options o = {.uri = c->rate_limit.storage,
                                   .pool = a->pool,
                                   .timeout_ms = c->rate_limit.timeout_ms,
                                   .say = say};
    DZ_TRY(dz_limiter_open(&o, &a->limiter, err));
    struct dz_limiter_stats s;
    dz_limiter_stats(a->limiter, &s);
    a->limits_are_shared = s.shared;
    return DZ_OK;
}
