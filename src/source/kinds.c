/*
 * kinds: how a source can fail, and its functions, as tables.
 *
 * One row a kind: the name that dozo.fail takes, what a library API answers, whether a job tries
 * again. What the site did wrong is 502 or 503: whoever asked dozo did nothing wrong.
 */
#include "http/http.h"
#include "source/source_int.h"

/* clang-format off */
static const struct dz_source_kind_info kinds[DZ_SOURCE_KINDS] = {
    [DZ_SOURCE_OK]           = {"ok",           200, "OK",           false},
    [DZ_SOURCE_NOT_FOUND]    = {"not_found",    404, "NOT_FOUND",    false},
    [DZ_SOURCE_GONE]         = {"gone",         410, "GONE",         false},
    [DZ_SOURCE_BAD_URL]      = {"bad_url",      400, "BAD_URL",      false},
    [DZ_SOURCE_RATE_LIMITED] = {"rate_limited", 503, "RATE_LIMITED", true},
    [DZ_SOURCE_AUTH]         = {"auth",         502, "AUTH",         false},
    [DZ_SOURCE_CHALLENGE]    = {"challenge",    502, "CHALLENGE",    false},
    [DZ_SOURCE_UNAVAILABLE]  = {"unavailable",  503, "UNAVAILABLE",  true},
    [DZ_SOURCE_PARSE]        = {"parse",        502, "PARSE",        false},
    [DZ_SOURCE_UNSUPPORTED]  = {"unsupported",  501, "UNSUPPORTED",  false},
    [DZ_SOURCE_LIMIT]        = {"limit",        500, "LIMIT",        false},
    [DZ_SOURCE_CANCELLED]    = {"cancelled",    503, "CANCELLED",    false},
};

static const char *const functions[DZ_FN_COUNT] = {
    [DZ_FN_RESOLVE]   = "resolve",
    [DZ_FN_SERIES]    = "series",
    [DZ_FN_COVER]     = "cover",
    [DZ_FN_CHAPTERS]  = "chapters",
    [DZ_FN_CHAPTER]   = "chapter",
    [DZ_FN_SERIES_OF] = "series_of",
    [DZ_FN_PAGES]     = "pages",
    [DZ_FN_DOWNLOAD]  = "download",
    [DZ_FN_STATUS]    = "status",
    [DZ_FN_TITLES]    = "titles",
    [DZ_FN_VOLUMES]   = "volumes",
    [DZ_FN_COVERS]    = "covers",
    [DZ_FN_SEARCH]    = "search",
    [DZ_FN_CRAWL]     = "crawl",
};
/* clang-format on */

const struct dz_source_kind_info *dz_source_kind_of(enum dz_source_kind k)
{
    unsigned at = (unsigned)k;
    return &kinds[at < DZ_SOURCE_KINDS ? at : DZ_SOURCE_PARSE];
}

bool dz_source_kind_find(dz_str name, enum dz_source_kind *ret_kind)
{
    for (unsigned k = 0; k < DZ_SOURCE_KINDS; k++) {
        if (dz_str_eq(name, dz_str_of(kinds[k].name))) {
            *ret_kind = (enum dz_source_kind)k;
            return true;
        }
    }
    return false;
}

static enum dz_source_kind kind_of_status(int status)
{
    switch (status) {
    case 401:
    case 403:
    case 407:
        return DZ_SOURCE_AUTH;
    case 404:
        return DZ_SOURCE_NOT_FOUND;
    case 410:
        return DZ_SOURCE_GONE;
    case 408:
    case 425:
        return DZ_SOURCE_UNAVAILABLE;
    case 429:
        return DZ_SOURCE_RATE_LIMITED;
    default:
        return status < 400    ? DZ_SOURCE_OK
               : status >= 500 ? DZ_SOURCE_UNAVAILABLE
                               : DZ_SOURCE_PARSE;
    }
}

enum dz_source_kind dz_source_kind_of_fetch(const struct dz_fetch_res *res)
{
    static const enum dz_source_kind failures[] = {
        [DZ_FETCH_OK] = DZ_SOURCE_OK,
        [DZ_FETCH_FORBIDDEN] = DZ_SOURCE_UNSUPPORTED,
        [DZ_FETCH_BAD_URL] = DZ_SOURCE_BAD_URL,
        [DZ_FETCH_CONNECT] = DZ_SOURCE_UNAVAILABLE,
        [DZ_FETCH_TIMEOUT] = DZ_SOURCE_UNAVAILABLE,
        [DZ_FETCH_BROKEN] = DZ_SOURCE_UNAVAILABLE,
        [DZ_FETCH_TOO_LARGE] = DZ_SOURCE_PARSE,
        [DZ_FETCH_REDIRECTS] = DZ_SOURCE_PARSE,
        [DZ_FETCH_PAUSED] = DZ_SOURCE_RATE_LIMITED,
        [DZ_FETCH_CANCELLED] = DZ_SOURCE_CANCELLED,
    };
    return res->kind == DZ_FETCH_OK ? kind_of_status(res->status) : failures[res->kind];
}

void dz_source_words_of_status(int status, dz_str url, unsigned tries,
                               char text[DZ_SOURCE_MESSAGE_MAX])
{
    char how[48] = "failed", shown[DZ_URL_SHOWN_MAX];
    (void)dz_url_show(url, shown);
    if (tries > 0)
        snprintf(how, sizeof(how), "failed after %u attempts", tries);
    if (tries == 0 && kind_of_status(status) == DZ_SOURCE_NOT_FOUND)
        snprintf(text, DZ_SOURCE_MESSAGE_MAX, "Could not find resource at %s", shown);
    else
        snprintf(text, DZ_SOURCE_MESSAGE_MAX, "Request to %s %s with return code %d %s", shown, how,
                 status, dz_http_reason(status));
}

const char *dz_source_fn_name(enum dz_source_fn fn)
{
    unsigned at = (unsigned)fn;
    return at < DZ_FN_COUNT ? functions[at] : "load";
}

#define NEAR_MAX 3u /* changed letters that still count as a slip of the keyboard */

const char *src_nearest(dz_str wanted, const char *const *names, size_t n)
{
    const char *best = NULL;
    unsigned distance = NEAR_MAX + 1;
    for (size_t i = 0; i < n; i++) {
        unsigned d = dz_str_distance(wanted, dz_str_of(names[i]));
        if (d < distance && d < wanted.n) {
            distance = d;
            best = names[i];
        }
    }
    return best;
}
