/*
 * cond: preconditions, RFC 9110 section 13.
 *
 * In: the parsed request and the facts of the representation that a 200 would carry. Out: go on,
 * 304 or 412. Pure, any thread. A date that cannot be read is as if the field were not there; an
 * entity-tag list that cannot be read matches nothing from the faulty place on.
 */
#include "http/http_int.h"

static bool is_weak(dz_str etag)
{
    return etag.n >= 2 && etag.p[0] == 'W' && etag.p[1] == '/';
}

static dz_str opaque(dz_str etag)
{
    return is_weak(etag) ? dz_str_sub(etag, 2, etag.n) : etag;
}

/* 8.8.3.2 */
static bool etags_match(dz_str a, dz_str b, bool strong)
{
    if (strong && (is_weak(a) || is_weak(b)))
        return false;
    return dz_str_eq(opaque(a), opaque(b));
}

/* One entity-tag off the front of a list, commas and blanks before it too; false at the end or
 * where none is. */
static bool etag_next(dz_str *list, dz_str *ret_etag)
{
    size_t at = 0;
    while (at < list->n && (list->p[at] == ' ' || list->p[at] == '\t' || list->p[at] == ','))
        at++;
    size_t from = at;
    if (list->n - at >= 2 && list->p[at] == 'W' && list->p[at + 1] == '/')
        at += 2;
    if (at >= list->n || list->p[at] != '"')
        return false;
    const char *close = memchr(list->p + at + 1, '"', list->n - at - 1);
    if (!close)
        return false;
    size_t end = (size_t)(close - list->p) + 1;
    *ret_etag = dz_str_sub(*list, from, end);
    *list = dz_str_sub(*list, end, list->n);
    return true;
}

static bool list_matches(const struct dz_http_request *q, enum dz_http_known k, dz_str etag,
                         bool strong)
{
    for (size_t i = q->head.first[k]; i < q->head.fields_n; i++) {
        dz_str list = q->fields[i].value, item;
        if (i > q->head.first[k] &&
            (!(q->head.repeated & KNOWN_BIT(k)) ||
             !dz_str_eq_nocase(q->fields[i].name, q->fields[q->head.first[k]].name)))
            continue;
        if (list.n == 1 && list.p[0] == '*')
            return true;
        while (etag_next(&list, &item))
            if (etag.n > 0 && etags_match(item, etag, strong))
                return true;
    }
    return false;
}

static bool date_of(const struct dz_http_request *q, enum dz_http_known k, int64_t *ret_s)
{
    if (!dz_http_has(q, k) || (q->head.repeated & KNOWN_BIT(k)))
        return false;
    int64_t now_s = q->pub.loop ? dz_loop_wall_s(q->pub.loop) : dz_now_ms() / 1000;
    return dz_time_http_parse(dz_http_known(q, k), now_s, ret_s, NULL) == DZ_OK;
}

int dz_http_check_conditions(const struct dz_http_request *q, const struct dz_http_selected *s)
{
    int64_t date_s;
    if (dz_http_has(q, KNOWN_IF_MATCH)) {
        if (!list_matches(q, KNOWN_IF_MATCH, s->etag, true))
            return 412;
    } else if (s->last_modified_s >= 0 && date_of(q, KNOWN_IF_UNMODIFIED_SINCE, &date_s)) {
        if (s->last_modified_s > date_s)
            return 412;
    }
    if (dz_http_has(q, KNOWN_IF_NONE_MATCH))
        return list_matches(q, KNOWN_IF_NONE_MATCH, s->etag, false) ? 304 : 0;
    if (s->last_modified_s >= 0 && date_of(q, KNOWN_IF_MODIFIED_SINCE, &date_s) &&
        s->last_modified_s <= date_s)
        return 304;
    return 0;
}

bool dz_http_range_counts(const struct dz_http_request *q, const struct dz_http_selected *s)
{
    if (!s->ranges || q->pub.method != DZ_HTTP_GET || !dz_http_has(q, KNOWN_RANGE) ||
        (q->head.repeated & KNOWN_BIT(KNOWN_RANGE)))
        return false;
    if (!dz_http_has(q, KNOWN_IF_RANGE))
        return true;
    if (q->head.repeated & KNOWN_BIT(KNOWN_IF_RANGE))
        return false;
    dz_str value = dz_http_known(q, KNOWN_IF_RANGE);
    if (is_weak(value) || (value.n > 0 && value.p[0] == '"')) /* "Wed, …" is a date */
        return s->etag.n > 0 && etags_match(value, s->etag, true);
    int64_t date_s;
    return s->last_modified_s >= 0 && date_of(q, KNOWN_IF_RANGE, &date_s) &&
           date_s == s->last_modified_s;
}
