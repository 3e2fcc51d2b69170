/*
 * request: what a handler may ask of a request.
 *
 * Header and query lookups over the slices that the parser left, and the arena, which belongs to
 * the request object and is emptied, not freed, when the reply has been handed over. The loop's
 * thread only.
 */
#include "http/http_int.h"

dz_str dz_http_header(const struct dz_http_req *r, dz_str name)
{
    for (size_t i = 0; i < r->fields_n; i++)
        if (r->fields[i].name.n == name.n && dz_str_eq_nocase(r->fields[i].name, name))
            return r->fields[i].value;
    return (dz_str){0};
}

struct dz_arena *dz_http_arena(struct dz_http_req *r)
{
    struct dz_http_request *q = dz_http_request_of(r);
    if (!q->arena)
        q->arena = dz_arena_new(HTTP_ARENA_BYTES);
    return q->arena;
}

/* Form decoding: '+' is a blank; a '%' that starts no escape stands for itself. */
static dz_str form_decode(struct dz_http_req *r, dz_str s)
{
    if (s.n == 0)
        return (dz_str){"", 0};
    char *text = dz_arena_alloc(dz_http_arena(r), s.n),
         *decoded = dz_arena_alloc(dz_http_arena(r), s.n);
    for (size_t i = 0; i < s.n; i++)
        text[i] = s.p[i] == '+' ? ' ' : s.p[i];
    return (dz_str){decoded, dz_http_percent_decode((dz_str){text, s.n}, decoded)};
}

bool dz_http_query_next(struct dz_http_req *r, dz_str *rest, dz_str *ret_name, dz_str *ret_value)
{
    if (!dz_http_param_next(rest, ret_name, ret_value))
        return false;
    *ret_name = form_decode(r, *ret_name);
    *ret_value = form_decode(r, *ret_value);
    return true;
}

bool dz_http_query(struct dz_http_req *r, dz_str name, dz_str *ret_value)
{
    dz_str rest = r->query, key, value;
    while (dz_http_param_next(&rest, &key, &value)) {
        bool plain = dz_str_chr(key, '%') == DZ_NPOS && dz_str_chr(key, '+') == DZ_NPOS;
        if (!dz_str_eq(plain ? key : form_decode(r, key), name))
            continue;
        *ret_value = form_decode(r, value);
        return true;
    }
    return false;
}

void dz_http_defer(struct dz_http_req *r)
{
    struct dz_http_request *q = dz_http_request_of(r);
    if (q->deferred || q->replied)
        return;
    dz_assert(q->in_handler);
    q->deferred = true;
    q->conn->lane->deferred_n++;
}

void dz_http_set_line(struct dz_http_req *r, dz_str name, dz_str value)
{
    struct dz_http_request *q = dz_http_request_of(r);
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, HTTP_LINES_BYTES);
    for (dz_str rest = q->added; rest.n > 0;) {
        size_t n = dz_str_chr(rest, '\n') + 1;
        dz_str line = dz_str_sub(rest, 0, n);
        rest = dz_str_sub(rest, n, rest.n);
        if (!dz_str_eq_nocase(dz_str_sub(line, 0, dz_str_chr(line, ':')), name))
            dz_buf_put(&b, line);
    }
    dz_http_put_header(&b, name, value);
    if (!b.full)
        q->added = dz_arena_str(dz_http_arena(r), dz_buf_str(&b));
}

bool dz_http_is_gone(const struct dz_http_req *r)
{
    const struct dz_http_request *q = dz_http_request_of(r);
    return !q->conn || q->conn->gone || (q->stream && dz_http_h2_is_gone(q->stream));
}
