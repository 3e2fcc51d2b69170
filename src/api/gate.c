/*
 * gate: what is decided before any route, in this order (contracts/imoog.md section 2):
 * http.force_https sends plain requests to the same address over https, http.allowed_hosts refuses
 * names that are not listed; then rate_limit.routes (limit.c), which may have to ask Redis first;
 * then who may call what the library API has (token.c). All come from the view's settings, so a
 * reload counts at once.
 */
#include "api/api_int.h"

/* Patterns are exact names, "*.suffix" for what is below it, or "*". RFC 9110 4.2.3: host names
 * know no case. */
static bool is_listed(const struct dz_strs *patterns, dz_str host)
{
    for (size_t i = 0; i < patterns->n; i++) {
        dz_str p = dz_str_of(patterns->v[i]);
        if (dz_str_eq(p, DZ_S("*")) || dz_str_eq_nocase(p, host))
            return true;
        dz_str suffix = dz_str_sub(p, 1, p.n);
        if (dz_str_starts(p, DZ_S("*.")) && host.n > suffix.n &&
            dz_str_eq_nocase(dz_str_sub(host, host.n - suffix.n, host.n), suffix))
            return true;
    }
    return false;
}

/* Whether "www." and the name is listed, letter by letter: a "*.suffix" does not send its bare
 * suffix anywhere. */
static bool is_listed_with_www(const struct dz_strs *patterns, dz_str host)
{
    for (size_t i = 0; i < patterns->n; i++) {
        dz_str p = dz_str_of(patterns->v[i]);
        if (dz_str_starts(p, DZ_S("www.")) && dz_str_eq_nocase(dz_str_sub(p, 4, p.n), host))
            return true;
    }
    return false;
}

/* The same path and query under another scheme or host; the "*" of OPTIONS is no path. */
static void send_on(struct dz_http_req *r, dz_str scheme, dz_str prefix, dz_str host)
{
    DZ_AUTO(dz_buf_done) struct dz_buf origin;
    dz_buf_init(&origin, 64 * DZ_KIB);
    dz_buf_put(&origin, scheme);
    dz_buf_put(&origin, prefix);
    dz_buf_put(&origin, host);
    if (origin.full)
        answer_error(r, DZ_BAD_INPUT, NULL);
    else
        answer_elsewhere(r, dz_buf_str(&origin),
                         r->raw_path.p[0] == '/' ? r->raw_path : (dz_str){NULL, 0});
}

/* Whether the address of the request was answered for. */
static bool is_sent_on(struct dz_http_req *r)
{
    const struct dz_conf *c = view_of(r)->conf;
    if (DZ_LIKELY(!c->http.force_https && c->http.allowed_hosts.n == 1 &&
                  strcmp(c->http.allowed_hosts.v[0], "*") == 0))
        return false;
    /* Load balancers ask for these by address, over plain HTTP. */
    if (r->route && (r->route->handler == handle_healthz || r->route->handler == handle_metrics))
        return false;
    dz_str name = dz_str_without_port(r->host);
    /* Without a Host (HTTP/1.0) there is nowhere to send anybody: refused below. */
    bool to_https = c->http.force_https && !r->https;
    if (to_https && name.n > 0) {
        dz_str port = dz_str_sub(r->host, name.n, r->host.n);
        bool usual = dz_str_eq(port, DZ_S(":80")) || dz_str_eq(port, DZ_S(":443"));
        send_on(r, DZ_S("https://"), DZ_S(""), usual ? name : r->host);
        return true;
    }
    if (!to_https && is_listed(&c->http.allowed_hosts, name))
        return false;
    if (is_listed_with_www(&c->http.allowed_hosts, name)) {
        send_on(r, r->https ? DZ_S("https://") : DZ_S("http://"), DZ_S("www."), r->host);
        return true;
    }
    dz_http_reply_text(r, 400, DZ_S("text/plain; charset=utf-8"), NO_STORE,
                       DZ_S("Invalid host header"));
    return true;
}

static bool is_refused(struct dz_http_req *r)
{
    const struct api_op *op = api_op_of(r);
    return op && api_refused(r, op);
}

/* What Redis was asked about. */
static void go_on(struct dz_http_req *r)
{
    if (!is_refused(r))
        dz_http_go_on(r);
}

bool gate(struct dz_http_req *r)
{
    api_take_newest_view(r->loop_app);
    if (is_sent_on(r))
        return true;
    if (DZ_UNLIKELY(r->method == DZ_HTTP_OPTIONS) && uploads_preflight(r))
        return true;
    const struct dz_limit_rule *rule = limit_of_route(r);
    if (DZ_UNLIKELY(rule != NULL) && limit_stops(r, rule, go_on))
        return true;
    return is_refused(r);
}
