/*
 * fuzz_http_fields: Accept-Encoding, Range and If-None-Match against plain second readings of RFC
 * 9110. The first byte chooses the field and how many lines it comes in; lines are split at "|".
 * The second readings give up on what they do not understand, and then only the bounds are checked.
 */
#include "http/http_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define BYTES 40 /* of the representation; a range set fits a word */

static struct dz_http_request q;

/* One request with the lines of the field; false when the parser refuses it. */
static bool ask(const char *name, dz_str value, struct dz_buf *text)
{
    if (dz_str_chr(value, '\r') != DZ_NPOS || dz_str_chr(value, '\n') != DZ_NPOS)
        return false; /* further fields */
    dz_buf_put(text, DZ_S("GET / HTTP/1.1\r\nHost: a\r\n"));
    for (;;) {
        size_t bar = dz_str_chr(value, '|');
        dz_buf_put(text, dz_str_of(name));
        dz_buf_put(text, DZ_S(": "));
        dz_buf_put(text, dz_str_sub(value, 0, bar));
        dz_buf_put(text, DZ_S("\r\n"));
        if (bar == DZ_NPOS)
            break;
        value = dz_str_sub(value, bar + 1, value.n);
    }
    dz_buf_put(text, DZ_S("\r\n"));
    if (dz_http_parse_head(dz_buf_str(text), 1 << 16, &q.head, q.fields) != HTTP_WHOLE ||
        q.head.n != text->n)
        return false;
    q.pub.method = DZ_HTTP_GET;
    q.pub.fields = q.fields;
    q.pub.fields_n = q.head.fields_n;
    return true;
}

/* Thousandths, or -1. */
static int weight_of(dz_str s)
{
    static const char pattern[] = "0.000";
    if (s.n == 0 || s.n > sizeof(pattern) - 1)
        return -1;
    int weight = 0;
    for (size_t i = 0; i < sizeof(pattern) - 1; i++) {
        char c = i < s.n ? s.p[i] : pattern[i];
        if (i == 1 ? c != '.' : c < '0' || c > (i == 0 ? '1' : '9'))
            return -1;
        weight = i == 1 ? weight : weight * 10 + (c - '0');
    }
    return weight <= 1000 ? weight : -1;
}

static void check_encoding(dz_str value)
{
    static const char *const names[] = {"identity", "gzip", "br", "zstd"}; /* by bit */
    int weight[4] = {-1, -1, -1, -1}, other = -1;
    enum dz_http_encoding got = dz_http_choose(&q, 15), quick = dz_http_choose_quick(&q);
    dz_assert(got == DZ_HTTP_IDENTITY || got == DZ_HTTP_GZIP || got == DZ_HTTP_BR ||
              got == DZ_HTTP_ZSTD);
    if (dz_str_chr(value, '"') != DZ_NPOS)
        return;
    while (value.n > 0) {
        size_t end = 0;
        while (end < value.n && value.p[end] != ',' && value.p[end] != '|')
            end++;
        dz_str item = dz_str_trim(dz_str_sub(value, 0, end));
        value = dz_str_sub(value, end + 1, value.n);
        size_t semi = dz_str_chr(item, ';');
        dz_str name = dz_str_trim(dz_str_sub(item, 0, semi));
        int w = 1000;
        if (semi != DZ_NPOS) {
            dz_str param = dz_str_trim(dz_str_sub(item, semi + 1, item.n));
            if (dz_str_chr(param, ';') != DZ_NPOS ||
                !dz_str_eq_nocase(dz_str_sub(param, 0, 2), DZ_S("q=")) || param.n > 7)
                return; /* other parameters, long weights */
            w = weight_of(dz_str_sub(param, 2, param.n));
        }
        if (w < 0)
            continue;
        if (dz_str_eq(name, DZ_S("*")))
            other = w;
        if (dz_str_eq_nocase(name, DZ_S("x-gzip")))
            name = DZ_S("gzip");
        for (size_t i = 0; i < DZ_LEN(names); i++)
            if (dz_str_eq_nocase(name, dz_str_of(names[i])))
                weight[i] = w;
    }
    int best = 0, of_got = 0, of_quick = 0;
    for (size_t i = 0; i < DZ_LEN(names); i++) {
        int w = weight[i] < 0 ? other : weight[i];
        best = w > best ? w : best;
        of_got = got == 1u << i ? w : of_got;
        of_quick = quick == 1u << i ? w : of_quick;
    }
    /* The best weight; with nothing acceptable, identity. */
    dz_assert(best > 0 ? of_got == best && of_quick == best
                       : got == DZ_HTTP_IDENTITY && quick == DZ_HTTP_IDENTITY);
}

static bool number(dz_str s, uint64_t *ret_n)
{
    return s.n < 19 && dz_str_u64(s, UINT64_MAX, ret_n, NULL) == DZ_OK;
}

static void check_ranges(dz_str value)
{
    struct dz_http_range range[HTTP_RANGES_MAX];
    int n = dz_http_ranges(value, BYTES, range);
    dz_assert(n >= -1 && n <= HTTP_RANGES_MAX);
    uint64_t got = 0, want = 0, total = 0;
    for (int i = 0; i < n; i++) {
        dz_assert(range[i].n > 0 && range[i].at < BYTES && range[i].n <= BYTES - range[i].at);
        got |= ((1ull << range[i].n) - 1) << range[i].at;
        total += range[i].n;
    }
    dz_assert(n < 1 || total <= BYTES);
    if (!dz_str_starts(value, DZ_S("bytes=")))
        return;
    for (dz_str list = dz_str_sub(value, 6, value.n); list.n > 0;) {
        size_t comma = dz_str_chr(list, ',');
        dz_str spec = dz_str_trim(dz_str_sub(list, 0, comma));
        list = comma == DZ_NPOS ? (dz_str){0} : dz_str_sub(list, comma + 1, list.n);
        size_t minus = dz_str_chr(spec, '-');
        uint64_t from = 0, to = UINT64_MAX;
        dz_str left = dz_str_sub(spec, 0, minus), right = dz_str_sub(spec, minus + 1, spec.n);
        if (spec.n == 0)
            continue;
        if (minus == DZ_NPOS || (left.n == 0 && right.n == 0))
            return;
        if ((left.n > 0 && !number(left, &from)) || (right.n > 0 && !number(right, &to)))
            return;
        if (left.n == 0) {
            if (to == 0)
                continue;
            from = to < BYTES ? BYTES - to : 0;
            to = BYTES - 1;
        }
        if (to < from)
            return;
        for (uint64_t at = from; at <= to && at < BYTES; at++)
            want |= 1ull << at;
    }
    /* Nothing that was asked for is missing; more only where the gap costs less than a part head.
     */
    dz_assert(n <= 0 || (got & want) == want);
    dz_assert(n >= 0 || want == 0);
}

static void check_tags(dz_str value)
{
    struct dz_http_selected s = {.etag = DZ_S("\"x-gz\""), .last_modified_s = -1, .bytes = BYTES};
    int status = dz_http_check_conditions(&q, &s);
    dz_assert(status == 0 || status == 304);
    bool there = dz_str_find(value, s.etag) != DZ_NPOS || dz_str_chr(value, '*') != DZ_NPOS;
    dz_assert(status == 0 || there);
    if (dz_str_starts(value, s.etag) || dz_str_starts(value, DZ_S("W/\"x-gz\"")))
        dz_assert(status == 304);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const names[] = {"Accept-Encoding", "Range", "If-None-Match"};
    if (n < 1 || n > 4096)
        return 0;
    dz_str value = {(const char *)data + 1, n - 1};
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, 1 << 18);
    size_t which = data[0] % DZ_LEN(names);
    if (!ask(names[which], value, &text))
        return 0;
    if (which == 0)
        check_encoding(value);
    else if (which == 1 && dz_str_chr(value, '|') == DZ_NPOS)
        check_ranges(dz_str_trim(value));
    else if (which == 2)
        check_tags(dz_str_trim(value));
    return 0;
}
