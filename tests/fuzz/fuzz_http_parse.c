/*
 * fuzz_http_parse: the pure functions: a head, and what its fields say about conditions, ranges,
 * encodings, origin and path; chunked bodies. Results are checked for what callers rely on.
 */
#include "http/http_int.h"

/* Fields that were read before: the same bytes have the same meaning again, and behind another
 * request line that which they have when they are read. */
static void check_again(dz_str in, const struct dz_http_request *q)
{
    static struct dz_http_memo memos[HTTP_MEMOS];
    static struct dz_http_request like, plain;
    static char text[(1 << 16) + 64];
    for (size_t i = 0; i < HTTP_MEMOS; i++)
        memos[i].n = 0;
    for (int i = 0; i < 2; i++) {
        dz_assert(dz_http_parse_head_like(memos, in, 1 << 16, &like.head, like.fields) ==
                  HTTP_WHOLE);
        dz_assert(like.head.n == q->head.n && like.head.known == q->head.known &&
                  like.head.length == q->head.length && like.head.chunked == q->head.chunked &&
                  like.head.keep_alive == q->head.keep_alive &&
                  dz_str_eq(like.head.host, q->head.host) &&
                  dz_str_eq(like.head.raw_path, q->head.raw_path) &&
                  like.head.fields_n == q->head.fields_n);
        dz_assert(memcmp(like.fields, q->fields, like.head.fields_n * sizeof(q->fields[0])) == 0);
    }
    dz_str line = DZ_S("PUT /other?x HTTP/1.1\r\n");
    const char *target_end = q->head.target.p + q->head.target.n;
    dz_str rest = dz_str_sub(in, (size_t)(target_end - in.p) + strlen(" HTTP/1.1\r\n"), in.n);
    memcpy(text, line.p, line.n);
    memcpy(text + line.n, rest.p, rest.n);
    dz_str other = {text, line.n + rest.n};
    enum dz_http_parsed got =
        dz_http_parse_head_like(memos, other, 1 << 17, &like.head, like.fields);
    dz_assert(got == dz_http_parse_head(other, 1 << 17, &plain.head, plain.fields));
    dz_assert(got != HTTP_WHOLE || (dz_str_eq(like.head.host, plain.head.host) &&
                                    like.head.method == plain.head.method &&
                                    dz_str_eq(like.head.query, plain.head.query) &&
                                    like.head.keep_alive == plain.head.keep_alive &&
                                    like.head.known == plain.head.known));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool inside(dz_str part, dz_str whole)
{
    return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static void check_ranges(const struct dz_http_request *q, uint64_t bytes)
{
    struct dz_http_range range[HTTP_RANGES_MAX];
    int n = dz_http_ranges(dz_http_known(q, KNOWN_RANGE), bytes, range);
    dz_assert(n >= -1 && n <= HTTP_RANGES_MAX);
    uint64_t total = 0;
    for (int i = 0; i < n; i++) {
        dz_assert(range[i].n > 0 && range[i].at < bytes && range[i].n <= bytes - range[i].at);
        total += range[i].n;
    }
    dz_assert(n < 1 || total <= bytes);
}

static void check_path(const struct dz_http_head *h)
{
    char decoded[1 << 16];
    struct dz_http_path path;
    if (h->raw_path.p[0] != '/')
        return;
    dz_http_path_split(h->raw_path, h->escaped, decoded, &path);
    dz_assert(path.text.n > 0 && path.text.n <= h->raw_path.n && path.text.p[0] == '/');
    dz_assert(!memchr(path.text.p, 0, path.text.n));
    for (size_t i = 0; i < path.segments_n && i < HTTP_SEGMENTS_MAX; i++)
        dz_assert(path.end[i] <= path.text.n && (i == 0 || path.end[i] > path.end[i - 1]));
}

static void check_head(dz_str in, struct dz_http_request *q)
{
    const struct dz_http_head *h = &q->head;
    dz_assert(h->n > 0 && h->n <= in.n && !(h->chunked && h->has_length));
    dz_assert(inside(h->target, in) && dz_http_is_token(h->method_text));
    dz_assert(h->version_minor == 0 || h->host.n > 0);
    for (size_t i = 0; i < h->fields_n; i++) {
        dz_assert(inside(q->fields[i].name, in) && dz_http_is_token(q->fields[i].name));
        dz_assert(inside(q->fields[i].value, in) && dz_http_is_field_value(q->fields[i].value));
    }
    q->pub.method = h->method;
    q->pub.fields = q->fields;
    q->pub.fields_n = h->fields_n;
    struct dz_http_selected s = {
        .etag = DZ_S("\"h1\""), .last_modified_s = 784111777, .bytes = 1000, .ranges = true};
    int status = dz_http_check_conditions(q, &s);
    dz_assert(status == 0 || status == 304 || status == 412);
    (void)dz_http_range_counts(q, &s);
    check_ranges(q, 1000);
    check_ranges(q, 0);
    check_ranges(q, UINT64_MAX);
    check_path(h);
    enum dz_http_encoding e = dz_http_choose(q, DZ_HTTP_IDENTITY | DZ_HTTP_GZIP | DZ_HTTP_BR);
    dz_assert(e == DZ_HTTP_IDENTITY || e == DZ_HTTP_GZIP || e == DZ_HTTP_BR);
    (void)dz_http_wants_html(&q->pub);
    static struct dz_http_trust *trust;
    static const char *const nets[] = {"10.0.0.0/8", "::1", NULL};
    if (!trust)
        dz_assert(dz_http_trust_new(nets, &trust, NULL) == DZ_OK);
    q->pub.client_ip = DZ_S("::1");
    dz_http_forwarded(trust, DZ_HTTP_FORWARDED_ANY, q);
    dz_assert(q->pub.client_ip.n > 0);
    dz_arena_free(&q->arena);
}

static void check_chunked(dz_str in)
{
    DZ_AUTO(dz_buf_done) struct dz_buf whole, split;
    dz_buf_init(&whole, 4096);
    dz_buf_init(&split, 4096);
    struct dz_http_chunked a, b;
    dz_http_chunked_init(&a, 200);
    dz_http_chunked_init(&b, 200);
    size_t used_a = 0, used_b = 0, used = 0;
    enum dz_http_parsed got_a = dz_http_chunked_feed(&a, in, &whole, &used_a), got_b = HTTP_MORE;
    for (size_t i = 0; i < in.n && got_b == HTTP_MORE; i++, used_b += used) {
        used = 0;
        got_b = dz_http_chunked_feed(&b, dz_str_sub(in, i, i + 1), &split, &used);
    }
    dz_assert(got_a == got_b && dz_str_eq(dz_buf_str(&whole), dz_buf_str(&split)));
    dz_assert(got_a == HTTP_BAD || (used_a == used_b && used_a <= in.n && whole.n <= in.n));
    dz_assert(got_a != HTTP_BAD || (a.status >= 400 && a.status == b.status));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct dz_http_request q;
    dz_str in = {(const char *)data, n};
    memset(&q, 0, sizeof(q));
    if (n > 1 << 16)
        return 0;
    switch (dz_http_parse_head(in, 1 << 16, &q.head, q.fields)) {
    case HTTP_WHOLE:
        check_again(in, &q);
        check_head(in, &q);
        check_chunked(dz_str_sub(in, q.head.n, in.n));
        break;
    case HTTP_BAD:
        dz_assert(q.head.status >= 400 && q.head.status < 600 && q.head.why);
        break;
    case HTTP_MORE:
        break;
    }
    check_chunked(in);
    return 0;
}
