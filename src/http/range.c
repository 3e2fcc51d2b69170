/*
 * range: the Range field, RFC 9110 section 14.
 *
 * In: the field's value and the length of the representation. Out: a short list of ranges in the
 * order to be sent. What cannot be read, or asks for many ranges or ranges over each other, is
 * ignored as 14.2 allows, so the answer is the whole; a request never costs more than the whole.
 * Pure, any thread.
 */
#include "http/http_int.h"

#define OVERLAPS_MAX 2

/* One or more digits; more than 19 of them mean "beyond any end". */
static bool take_number(dz_str *s, uint64_t *ret_n)
{
    size_t at = 0;
    uint64_t n = 0;
    bool huge = false;
    for (; at < s->n && s->p[at] >= '0' && s->p[at] <= '9'; at++) {
        huge |= n > (UINT64_MAX - 9) / 10;
        n = huge ? UINT64_MAX : n * 10 + (unsigned)(s->p[at] - '0');
    }
    *s = dz_str_sub(*s, at, s->n);
    *ret_n = n;
    return at > 0;
}

/* 1: *ret is a part of the representation; 0: it lies outside; -1: not a range. */
static int one_range(dz_str spec, uint64_t bytes, struct dz_http_range *ret)
{
    uint64_t from, to;
    if (spec.n > 0 && spec.p[0] == '-') {
        spec = dz_str_sub(spec, 1, spec.n);
        if (!take_number(&spec, &to) || spec.n > 0)
            return -1;
        if (to == 0)
            return 0;
        if (bytes == 0)
            return -1; /* 14.1.2: satisfiable, but no Content-Range can say so: the whole */
        ret->n = to < bytes ? to : bytes;
        ret->at = bytes - ret->n;
        return 1;
    }
    if (!take_number(&spec, &from) || spec.n == 0 || spec.p[0] != '-')
        return -1;
    spec = dz_str_sub(spec, 1, spec.n);
    to = UINT64_MAX;
    if (spec.n > 0 && (!take_number(&spec, &to) || spec.n > 0 || to < from))
        return -1;
    if (from >= bytes)
        return 0;
    ret->at = from;
    ret->n = (to < bytes ? to + 1 : bytes) - from;
    return 1;
}

static void sort(struct dz_http_range *r, int n)
{
    for (int i = 1; i < n; i++) {
        struct dz_http_range x = r[i];
        int k = i;
        for (; k > 0 && r[k - 1].at > x.at; k--)
            r[k] = r[k - 1];
        r[k] = x;
    }
}

/* Joins what overlaps or nearly touches; keeps the client's order when nothing does. -1: too much
 * overlaps. */
static int coalesce(struct dz_http_range *r, int n)
{
    struct dz_http_range joined[HTTP_RANGES_MAX];
    memcpy(joined, r, (size_t)n * sizeof(*r));
    sort(joined, n);
    int out = 0, overlaps = 0;
    for (int i = 1; i < n; i++) {
        uint64_t end = joined[out].at + joined[out].n;
        uint64_t next_end = joined[i].at + joined[i].n;
        overlaps += joined[i].at < end;
        if (joined[i].at <= end || joined[i].at - end < HTTP_RANGE_GAP) {
            if (next_end > end)
                joined[out].n = next_end - joined[out].at;
        } else {
            joined[++out] = joined[i];
        }
    }
    if (overlaps > OVERLAPS_MAX)
        return -1;
    if (out + 1 == n)
        return n;
    memcpy(r, joined, (size_t)(out + 1) * sizeof(*r));
    return out + 1;
}

int dz_http_ranges(dz_str field, uint64_t bytes, struct dz_http_range ret[HTTP_RANGES_MAX])
{
    if (!dz_str_eq_nocase(dz_str_sub(field, 0, 6), DZ_S("bytes=")))
        return 0;
    dz_str list = dz_str_sub(field, 6, field.n);
    int n = 0, specs = 0;
    while (list.n > 0) {
        size_t comma = dz_str_chr(list, ',');
        dz_str spec = dz_str_trim(dz_str_sub(list, 0, comma));
        list = dz_str_after(list, comma);
        if (spec.n == 0)
            continue;
        if (++specs > HTTP_RANGES_MAX)
            return 0;
        int got = one_range(spec, bytes, &ret[n]);
        if (got < 0)
            return 0;
        n += got;
    }
    if (specs == 0)
        return 0;
    if (n == 0)
        return -1;
    n = coalesce(ret, n);
    return n < 0 ? 0 : n;
}
