/*
 * token: who may call the operations of the library API that change something.
 *
 * With auth.token set, whoever has it: "Authorization: Bearer TOKEN", or the bare token as the
 * value, which is all that some scripts can send. Without it everybody who reaches the server,
 * which is then on loopback unless auth.allow_anonymous says otherwise (dz_conf_check_serve) — but
 * no page of another origin in somebody's browser, which reaches loopback as well: a browser says
 * where a request comes from (Sec-Fetch-Site, Origin), and only origins that http.cors_origins
 * names may write. "*" there names nobody. A page whose name was pointed at this machine while it
 * was open is of the same origin for its browser, so names have to be known. The settings are those
 * of the view, so a reload counts at once.
 */
#include <arpa/inet.h>

#include "api/api_int.h"

#define TEXT DZ_S("text/plain; charset=utf-8")

static void refuse(struct dz_http_req *r, int status, dz_str words)
{
    static const struct dz_http_header_line lines[] = {
        {{"X-Content-Type-Options", 22}, {"nosniff", 7}},
        {{"WWW-Authenticate", 16}, {"Bearer realm=\"dozo\"", 19}},
    };
    struct dz_buf b;
    dz_buf_init(&b, DZ_KIB);
    dz_buf_put(&b, words);
    struct dz_http_meta m = {.status = status,
                             .content_type = TEXT,
                             .cache_control = NO_STORE,
                             .last_modified_s = -1,
                             .extra = lines,
                             .extra_n = status == 401 ? 2 : 1};
    dz_http_reply_buf(r, &m, &b);
    dz_buf_done(&b);
}

/* Digests are compared, so that the time says nothing about length or beginning. */
bool is_secret(dz_str given, dz_str secret)
{
    struct dz_sha256 a = dz_sha256_of(given), b = dz_sha256_of(secret);
    return dz_equal_const_time((dz_str){(const char *)a.b, sizeof(a.b)},
                               (dz_str){(const char *)b.b, sizeof(b.b)});
}

static bool has_token(const struct dz_http_req *r, dz_str token)
{
    dz_str given = dz_str_trim(dz_http_header(r, DZ_S("authorization")));
    if (given.n > 7 && dz_str_eq_nocase(dz_str_sub(given, 0, 7), DZ_S("Bearer ")))
        given = dz_str_trim(dz_str_sub(given, 7, given.n));
    return is_secret(given, token);
}

static bool is_named(const struct dz_strs *names, dz_str name)
{
    for (size_t i = 0; i < names->n; i++)
        if (dz_str_eq_nocase(dz_str_of(names->v[i]), name))
            return name.n > 0;
    return false;
}

/* Nobody else can make this name lead here: an address, localhost, one that the settings list. With
 * "*" in http.allowed_hosts only those beside it; without, the gate has refused all others. */
static bool is_our_name(const struct dz_http_req *r)
{
    const struct dz_strs *listed = &view_of(r)->conf->http.allowed_hosts;
    dz_str name = dz_str_without_port(r->host);
    char text[INET_ADDRSTRLEN];
    struct in_addr v4;
    if (!is_named(listed, DZ_S("*")) || is_named(listed, name) ||
        dz_str_eq_nocase(name, DZ_S("localhost")) || dz_str_starts(name, DZ_S("[")))
        return true;
    if (name.n == 0 || name.n >= sizeof(text))
        return false;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    return inet_pton(AF_INET, text, &v4) == 1;
}

/* A page of another origin sends it, which no setting allows. A browser that says neither is none,
 * or one of before 2020, which sends Origin with a POST. */
static bool is_foreign(const struct dz_http_req *r)
{
    dz_str site = dz_http_header(r, DZ_S("sec-fetch-site"));
    dz_str origin = dz_http_header(r, DZ_S("origin"));
    if (is_named(&view_of(r)->conf->http.cors_origins, origin))
        return false;
    if (site.p)
        return !dz_str_eq(site, DZ_S("same-origin")) && !dz_str_eq(site, DZ_S("none"));
    if (!origin.p)
        return false;
    size_t scheme = dz_str_find(origin, DZ_S("://"));
    if (scheme == DZ_NPOS || !dz_str_eq_nocase(dz_str_sub(origin, scheme + 3, origin.n), r->host))
        return true;
    /* Over plain http the owner of a name can point it at this machine when his page is open. */
    return dz_str_starts(origin, DZ_S("http://")) && !is_our_name(r);
}

bool api_write_refused(struct dz_http_req *r)
{
    dz_str token = dz_str_of(view_of(r)->conf->auth.token);
    if (token.n > 0) {
        if (has_token(r, token))
            return false;
        refuse(r, 401,
               dz_http_header(r, DZ_S("authorization")).p
                   ? DZ_S("The token of the request is not the one of the setting auth.token")
                   : DZ_S("This request changes something and needs the token of the setting "
                          "auth.token: Authorization: Bearer TOKEN"));
        return true;
    }
    if (!is_foreign(r))
        return false;
    refuse(
        r, 403,
        DZ_S(
            "A page of another origin may not change anything here; the setting "
            "http.cors_origins names those that may, http.allowed_hosts the names of this server"));
    return true;
}

bool api_refused(struct dz_http_req *r, const struct api_op *op)
{
    return answered_for_shelf_host(r) || (op->changes && api_write_refused(r));
}
