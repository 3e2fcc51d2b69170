/*
 * negotiate: Accept-Encoding and Accept, RFC 9110 12.5.
 *
 * In: the request. Out: one encoding, or whether a page is liked better than JSON. Pure, any
 * thread. Weights are whole thousandths. identity that is not mentioned is acceptable but comes
 * last.
 */
#include "http/http_int.h"

/* 12.4.2: "0", "0.5", "1.000" in thousandths; more digits do not count. -1: not a weight. */
static int weight_text(dz_str s)
{
    if (s.n == 0 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.'))
        return -1;
    int weight = s.p[0] == '1' ? 1000 : 0, unit = 100;
    for (size_t i = 2; i < s.n; i++, unit /= 10) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        weight += (s.p[i] - '0') * unit;
    }
    return weight <= 1000 ? weight : -1;
}

/* The first "q" counts; -1: malformed, and the element is as if it were not there. */
static int weight_of(dz_str params)
{
    while (params.n > 0) {
        size_t semi = dz_str_chr(params, ';');
        dz_str param = dz_str_trim(dz_str_sub(params, 0, semi));
        params = dz_str_after(params, semi);
        if (param.n >= 2 && (param.p[0] | 0x20) == 'q' && param.p[1] == '=')
            return weight_text(dz_str_sub(param, 2, param.n));
    }
    return 1000;
}

static int split_weight(dz_str item, dz_str *ret_name)
{
    size_t semi = dz_str_chr(item, ';');
    *ret_name = dz_str_trim(dz_str_sub(item, 0, semi));
    return semi == DZ_NPOS ? 1000 : weight_of(dz_str_sub(item, semi + 1, item.n));
}

bool dz_http_known_next(const struct dz_http_request *q, enum dz_http_known k,
                        struct dz_http_list *it, dz_str *ret_item)
{
    if (!dz_http_has(q, k))
        return false;
    dz_str name = q->fields[q->head.first[k]].name;
    if (!it->begun) {
        it->begun = true;
        it->at = (size_t)q->head.first[k] + 1;
        it->rest = q->fields[q->head.first[k]].value;
    }
    while (!dz_http_list_next(&it->rest, ret_item)) {
        if (!(q->head.repeated & KNOWN_BIT(k)))
            return false;
        while (it->at < q->head.fields_n && !dz_str_eq_nocase(q->fields[it->at].name, name))
            it->at++;
        if (it->at == q->head.fields_n)
            return false;
        it->rest = q->fields[it->at++].value;
    }
    return true;
}

/* One coding and how it is called; tables of them are in the order of a tie. */
struct coding {
    enum dz_http_encoding encoding;
    dz_str name;
};
#define CODINGS 4

/* What is acceptable by 12.5.3: what is named with a weight, by "*" what is not named, and identity
 * in any case. A client that excludes identity and everything else gets identity all the same: a
 * server may disregard the field (12.1), and text is better than 406. */
static enum dz_http_encoding choose(const struct dz_http_request *q, unsigned offered,
                                    const struct coding rows[CODINGS])
{
    if (!dz_http_has(q, KNOWN_ACCEPT_ENCODING) || !(offered & ~(unsigned)DZ_HTTP_IDENTITY))
        return DZ_HTTP_IDENTITY;
    int weight[CODINGS] = {-1, -1, -1, -1}, other = -1;
    struct dz_http_list it = {0};
    dz_str item, name;
    while (dz_http_known_next(q, KNOWN_ACCEPT_ENCODING, &it, &item)) {
        int w = split_weight(item, &name);
        if (w < 0)
            continue;
        if (dz_str_eq(name, DZ_S("*")))
            other = w;
        if (dz_str_eq_nocase(name, DZ_S("x-gzip")))
            name = DZ_S("gzip");
        for (size_t i = 0; i < CODINGS; i++)
            if (dz_str_eq_nocase(name, rows[i].name))
                weight[i] = w;
    }
    enum dz_http_encoding best = DZ_HTTP_IDENTITY;
    int best_weight = 0;
    for (size_t i = 0; i < CODINGS; i++) {
        int w = weight[i] >= 0 ? weight[i] : other;
        if ((offered & rows[i].encoding) && w > best_weight) {
            best = rows[i].encoding;
            best_weight = w;
        }
    }
    return best;
}

enum dz_http_encoding dz_http_choose(const struct dz_http_request *q, unsigned offered)
{
    static const struct coding rows[CODINGS] = {{DZ_HTTP_BR, DZ_S("br")},
                                                {DZ_HTTP_ZSTD, DZ_S("zstd")},
                                                {DZ_HTTP_GZIP, DZ_S("gzip")},
                                                {DZ_HTTP_IDENTITY, DZ_S("identity")}};
    return choose(q, offered, rows);
}

enum dz_http_encoding dz_http_choose_encoding(const struct dz_http_req *r, unsigned offered)
{
    return dz_http_choose(dz_http_request_of(r), offered);
}

enum dz_http_encoding dz_http_choose_quick(const struct dz_http_request *q)
{
    static const struct coding rows[CODINGS] = {{DZ_HTTP_ZSTD, DZ_S("zstd")},
                                                {DZ_HTTP_BR, DZ_S("br")},
                                                {DZ_HTTP_GZIP, DZ_S("gzip")},
                                                {DZ_HTTP_IDENTITY, DZ_S("identity")}};
    return choose(q, DZ_HTTP_IDENTITY | DZ_HTTP_ZSTD | DZ_HTTP_BR | DZ_HTTP_GZIP, rows);
}

/* How well a media range fits type/subtype: 0 not at all, 3 by name. */
static int fit(dz_str range, dz_str type, dz_str full)
{
    if (dz_str_eq_nocase(range, full))
        return 3;
    if (dz_str_eq(range, DZ_S("*/*")))
        return 1;
    return range.n == type.n + 2 && dz_str_ends(range, DZ_S("/*")) &&
                   dz_str_eq_nocase(dz_str_sub(range, 0, type.n), type)
               ? 2
               : 0;
}

int dz_http_weight(const struct dz_http_req *r, dz_str type, dz_str full, bool by_name)
{
    const struct dz_http_request *q = dz_http_request_of(r);
    int best = 0, weight = 0;
    struct dz_http_list it = {0};
    dz_str item, name;
    while (dz_http_known_next(q, KNOWN_ACCEPT, &it, &item)) {
        int w = split_weight(item, &name);
        int f = fit(name, type, full);
        if (w < 0 || f <= best || (by_name && f < 3))
            continue;
        best = f;
        weight = w;
    }
    return weight;
}

bool dz_http_wants_html(const struct dz_http_req *r)
{
    return dz_http_weight(r, DZ_S("text"), DZ_S("text/html"), false) >
           dz_http_weight(r, DZ_S("application"), DZ_S("application/json"), false);
}
