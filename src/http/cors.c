/*
 * cors: header lines for browsers that ask from another origin (the Fetch standard's CORS
 * protocol).
 *
 * In: a request and the origins of the settings. Out: lines appended to an answer. No credentials
 * are ever allowed. With a list of origins every answer varies by Origin, also one to a request
 * without it: a cache in between must not hand an answer without the lines to a browser.
 */
#include "http/http_int.h"

static bool listed(const struct dz_http_server *s, dz_str origin)
{
    for (char **o = s->cors_origins; *o; o++)
        if (dz_str_eq(origin, dz_str_of(*o)))
            return true;
    return false;
}

/* Whether the answer names an origin; puts that line. As imoog does it, who comes with cookies is
 * named even when any origin may ask. */
static bool put_origin(struct dz_http_request *q, struct dz_buf *b)
{
    const struct dz_http_server *s = q->conn->lane->server;
    dz_str origin = dz_http_known(q, KNOWN_ORIGIN);
    bool any = s->cors_any && !(origin.n > 0 && dz_http_header(&q->pub, DZ_S("Cookie")).p);
    if (!any)
        dz_buf_put(b, DZ_S("Vary: Origin\r\n"));
    if (origin.n == 0 || !(s->cors_any || listed(s, origin)))
        return false;
    dz_http_put_header(b, DZ_S("Access-Control-Allow-Origin"), any ? DZ_S("*") : origin);
    return true;
}

void dz_http_put_cors(struct dz_http_request *q, struct dz_buf *b)
{
    const struct dz_http_server *s = q->conn->lane->server;
    if (s->cors_origins && put_origin(q, b) && s->cors_expose && *s->cors_expose)
        dz_http_put_header(b, DZ_S("Access-Control-Expose-Headers"), dz_str_of(s->cors_expose));
}

bool dz_http_is_preflight(const struct dz_http_request *q)
{
    return q->pub.method == DZ_HTTP_OPTIONS && q->conn->lane->server->cors_origins &&
           dz_http_has(q, KNOWN_ORIGIN) &&
           dz_http_header(&q->pub, DZ_S("Access-Control-Request-Method")).p;
}

void dz_http_put_preflight(struct dz_http_request *q, unsigned allowed, struct dz_buf *b)
{
    if (!put_origin(q, b))
        return;
    dz_buf_put(b, DZ_S("Access-Control-Allow-Methods: "));
    dz_http_put_methods(b, allowed);
    dz_buf_put(b, DZ_S("\r\nAccess-Control-Allow-Headers: Content-Type"));
    dz_str asked = dz_http_header(&q->pub, DZ_S("Access-Control-Request-Headers")), item;
    while (dz_http_list_next(&asked, &item))
        if (dz_str_eq_nocase(item, DZ_S("authorization"))) {
            dz_buf_put(b, DZ_S(", Authorization"));
            break;
        }
    dz_buf_put(b, DZ_S("\r\nAccess-Control-Max-Age: 600\r\n"));
}
