/*
 * prepared: header lines, and whole responses made once and sent often.
 *
 * A prepared body is: facts (struct dz_http_prepared), the header block as text, the content. The
 * block's groups are ordered so that each answer needs one slice of it: 200 all, 206 all but
 * Content-Length (and, for several parts, Content-Type), 304 its end. The body is immutable and
 * shared between threads. It may come back from a cache, so the facts start with a magic number.
 */
#include "http/http_int.h"

/* The caller bounds what it says; this only keeps the offsets in their 32 bits. */
#define HTTP_BLOCK_BYTES ((size_t)1 << 30)
#define MAGIC 0x445A4831u /* changes with the layout */

const char *dz_http_reason(int status)
{
    /* clang-format off */
    switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Status";
    }
    /* clang-format on */
}

bool dz_http_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

/* ---- lines ----------------------------------------------------------------------------------- */

void dz_http_put_header(struct dz_buf *b, dz_str name, dz_str value)
{
    if (!dz_buf_reserve(b, name.n + value.n + 4))
        return;
    dz_buf_put(b, name);
    dz_buf_put(b, DZ_S(": "));
    char *p = b->p + b->n;
    dz_buf_put(b, value);
    for (size_t i = 0; i < value.n; i++)
        if (((unsigned char)p[i] < ' ' && p[i] != '\t') || p[i] == 0x7F)
            p[i] = ' ';
    dz_buf_put(b, DZ_S("\r\n"));
}

static void put_unless_empty(struct dz_buf *b, dz_str name, dz_str value)
{
    if (value.n > 0)
        dz_http_put_header(b, name, value);
}

static void put_extra(struct dz_buf *b, const struct dz_http_header_line *lines, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dz_http_put_header(b, lines[i].name, lines[i].value);
}

void dz_http_put_length(struct dz_buf *b, uint64_t bytes)
{
    dz_buf_put(b, DZ_S("Content-Length: "));
    dz_buf_put_u64(b, bytes);
    dz_buf_put(b, DZ_S("\r\n"));
}

void dz_http_put_entity(struct dz_buf *b, const struct dz_http_meta *m)
{
    if (!dz_str_eq_nocase(m->content_encoding, DZ_S("identity"))) /* RFC 9110 8.4.1 */
        put_unless_empty(b, DZ_S("Content-Encoding"), m->content_encoding);
    if (m->ranges)
        dz_buf_put(b, DZ_S("Accept-Ranges: bytes\r\n"));
    put_extra(b, m->extra_entity, m->extra_entity_n);
}

void dz_http_put_common(struct dz_buf *b, const struct dz_http_meta *m)
{
    put_unless_empty(b, DZ_S("ETag"), m->etag);
    if (m->last_modified_s >= 0) {
        char date[30];
        dz_time_http(m->last_modified_s, date);
        dz_http_put_header(b, DZ_S("Last-Modified"), (dz_str){date, 29});
    }
    put_unless_empty(b, DZ_S("Cache-Control"), m->cache_control);
    if (m->vary_encoding)
        dz_buf_put(b, DZ_S("Vary: Accept-Encoding\r\n"));
    put_extra(b, m->extra, m->extra_n);
}

/* ---- prepared responses ---------------------------------------------------------------------- */

static uint32_t here(const struct dz_buf *b)
{
    return (uint32_t)b->n;
}

struct dz_body *dz_http_prepare(const struct dz_http_meta *m, dz_str body, uint64_t body_bytes)
{
    dz_assert(!body.p || body.n == body_bytes);
    struct dz_http_prepared facts = {
        .magic = MAGIC,
        .status = (uint16_t)(m->status ? m->status : 200),
        .ranges = m->ranges,
        .bytes = body_bytes,
        .last_modified_s = m->last_modified_s,
        .etag_n = (uint32_t)m->etag.n,
        .type_n = (uint32_t)m->content_type.n,
    };
    facts.no_body = !dz_http_has_body(facts.status);
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, HTTP_BLOCK_BYTES);
    if (!facts.no_body)
        dz_http_put_length(&text, body_bytes);
    facts.after_length = here(&text);
    facts.type_at = here(&text) + (uint32_t)strlen("Content-Type: ");
    put_unless_empty(&text, DZ_S("Content-Type"), m->content_type);
    facts.after_type = here(&text);
    dz_http_put_entity(&text, m);
    facts.common = here(&text);
    facts.etag_at = here(&text) + (uint32_t)strlen("ETag: ");
    dz_http_put_common(&text, m);
    dz_buf_put(&text, DZ_S("\r\n"));
    dz_assert(!text.full);
    facts.text_n = here(&text);

    size_t head_n = sizeof(facts) + text.n;
    struct dz_body *b = dz_body_new(head_n + body.n);
    b->head_n = (uint32_t)head_n;
    memcpy(b->p, &facts, sizeof(facts));
    memcpy(b->p + sizeof(facts), text.p, text.n);
    if (body.n > 0)
        memcpy(b->p + head_n, body.p, body.n);
    return b;
}

const struct dz_http_prepared *dz_http_prepared_of(const struct dz_body *b, const char **ret_text)
{
    _Static_assert(offsetof(struct dz_body, p) % _Alignof(struct dz_http_prepared) == 0,
                   "facts are read in place");
    const struct dz_http_prepared *facts = (const void *)b->p;
    if (DZ_UNLIKELY(b->head_n <= sizeof(*facts) || b->n < b->head_n || facts->magic != MAGIC ||
                    facts->text_n != b->head_n - sizeof(*facts)))
        return NULL;
    *ret_text = b->p + sizeof(*facts);
    return facts;
}
