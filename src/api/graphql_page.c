/*
 * graphql_page: GraphiQL at /api/graphql, for people (contracts/kvm48.md 4.2).
 *
 * In: a GET whose Accept likes text/html better than JSON. Out: a page that loads the bundle of
 * src/api/static/graphiql from this server and nothing from any other. Query, variables and
 * operation name of the address stand in the page as JSON that is no script: "<", ">" and "&" are
 * escaped, so nothing ends the element early, and the content security policy runs no inline
 * script.
 */
#include "api/graphql_int.h"

#define PUT(b, literal) dz_buf_put(b, DZ_S(literal))
#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' "     \
    "data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "      \
    "frame-ancestors 'none'"

/* JSON text in HTML. */
static void put_safe(struct dz_buf *b, dz_str json)
{
    for (size_t i = 0; i < json.n; i++) {
        switch (json.p[i]) {
        case '<':
            PUT(b, "\\u003c");
            break;
        case '>':
            PUT(b, "\\u003e");
            break;
        case '&':
            PUT(b, "\\u0026");
            break;
        default:
            dz_buf_putc(b, json.p[i]);
            break;
        }
    }
}

static void put_begin(struct dz_buf *b, struct dz_http_req *r)
{
    static const char *const names[] = {"query", "variables", "operationName"};
    struct dz_buf text DZ_AUTO(dz_buf_done);
    struct dz_json j;
    dz_str value;
    dz_buf_init(&text, DZ_MIB);
    dz_json_init(&j, &text, DZ_JSON_COMPACT, true);
    dz_json_object(&j);
    for (size_t i = 0; i < DZ_LEN(names); i++) {
        if (!dz_http_query(r, dz_str_of(names[i]), &value) || value.n == 0)
            continue;
        dz_json_key(&j, dz_str_of(names[i]));
        dz_json_str(&j, value);
    }
    dz_json_end(&j);
    PUT(b, "<script type=\"application/json\" id=\"begin\">");
    put_safe(b, dz_buf_str(&text));
    PUT(b, "</script>\n");
}

void graph_reply_page(struct dz_http_req *r)
{
    static const struct dz_http_header_line lines[] = {
        {{"Content-Security-Policy", 23}, {POLICY, sizeof(POLICY) - 1}},
        {{"X-Content-Type-Options", 22}, {"nosniff", 7}},
        {{"Referrer-Policy", 15}, {"no-referrer", 11}},
        {{"Vary", 4}, {"Accept", 6}}};
    struct dz_buf b;
    dz_buf_init(&b, DZ_MIB);
    PUT(&b, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            "<title>GraphiQL · dozo</title>\n<link rel=\"stylesheet\" href=\"");
    html_static_url(&b, DZ_S("graphiql.css"));
    PUT(&b, "\">\n<link rel=\"stylesheet\" href=\"");
    html_static_url(&b, DZ_S("graphiql-page.css"));
    PUT(&b, "\">\n<link rel=\"icon\" type=\"image/svg+xml\" href=\"");
    html_static_url(&b, DZ_S("icon.svg"));
    PUT(&b, "\">\n<script defer src=\"");
    html_static_url(&b, DZ_S("graphiql.js"));
    PUT(&b, "\"></script>\n<body>\n<div id=\"graphiql\">GraphiQL is being loaded; it needs "
            "JavaScript.</div>\n");
    put_begin(&b, r);
    PUT(&b, "</body>\n</html>\n");
    struct dz_http_meta m = {.content_type = DZ_S("text/html; charset=utf-8"),
                             .cache_control = NO_STORE,
                             .last_modified_s = -1,
                             .extra = lines,
                             .extra_n = DZ_LEN(lines)};
    dz_http_reply_buf(r, &m, &b);
    dz_buf_done(&b);
}
