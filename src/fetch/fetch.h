/*
 * fetch: one polite client for all upstream requests, over libcurl's multi interface on a loop.
 *
 * Everything that a site's operator would ask of a crawler is decided here and shared by all jobs:
 * pace and concurrency per host, Retry-After and 429/503 that stop the whole host, growing jittered
 * pauses, an honest User-Agent, validators and a cache on disk that spare the site. What may be
 * reached is decided here as well: hosts of the policy, public addresses, http and https.
 *
 * One attempt a call: whether and when to try again is the caller's (a job's, or a source's
 * handlers); the pause of a host applies to every attempt. Everything runs on the loop's thread;
 * callbacks come from the loop, never from inside a call into this room. Names are resolved by
 * libcurl's threaded resolver, so nothing blocks.
 */
#pragma once

#include "loop/loop.h"

struct dz_fetch;
struct dz_fetch_call;
struct dz_fetch_session;
struct dz_fetch_res;

/* Limits that no setting moves. */
#define DZ_FETCH_URL_MAX 8192u
#define DZ_FETCH_BODY_MAX ((uint64_t)64 * 1024 * 1024) /* decoded; a call may ask for less */
#define DZ_FETCH_HEADERS_MAX ((size_t)64 * 1024)       /* of one answer */
#define DZ_FETCH_REDIRECTS_MAX 10
#define DZ_FETCH_RATIO_MAX 200          /* decoded to encoded, above 1 MiB decoded: a bomb */
#define DZ_FETCH_PAUSE_MAX_MS (3600000) /* longest Retry-After that is believed */
#define DZ_FETCH_PER_HOST_MAX 256u /* requests at a time to one host that a policy may ask for */
#define DZ_FETCH_CALLS_MAX 4096    /* waiting and running; one more is DZ_FETCH_PAUSED */
#define DZ_FETCH_HOSTS_MAX 1024    /* records kept; idle ones that were asked longest ago leave */

/* ---- whom a source may ask, and how fast ----------------------------------------------------- */

/* Counted and immutable, so that calls in flight keep theirs over a reload. All texts are copied.
 */
struct dz_fetch_policy_spec {
    dz_str source;       /* for records and log lines */
    const dz_str *hosts; /* "example.org", "*.img.example.org" (any depth below), port ignored */
    size_t hosts_n;
    const dz_str *open_hosts; /* host[:port] that may be private: of an address that the settings
                                 override; without a port that of http or https */
    size_t open_hosts_n;
    bool allow_private;    /* sources.allow_private */
    uint32_t per_host;     /* requests at a time; 0: 2 */
    double rate;           /* requests a second and host, of all that is asked for this source; 0:
                              none asked */
    int64_t page_delay_ms; /* before each page, applied by the caller; kept here for reading */
    dz_str user_agent;     /* n = 0: the fetcher's */
    dz_str proxy;          /* n = 0: none; http://, https://, socks5h:// */
    const struct dz_fetch_header {
        dz_str name, value;
    } * headers; /* on every request */
    size_t headers_n;
};
struct dz_fetch_policy;
/* DZ_BAD_INPUT names what is wrong (a host with a slash, a rate below 0 …). */
DZ_MUST enum dz_code dz_fetch_policy_new(const struct dz_fetch_policy_spec *s,
                                         struct dz_fetch_policy **ret_p, struct dz_err *err);
struct dz_fetch_policy *dz_fetch_policy_ref(struct dz_fetch_policy *p);
void dz_fetch_policy_unref(struct dz_fetch_policy **p);
/* Whether calls under the policy may go to "host:port". */
bool dz_fetch_policy_reaches(const struct dz_fetch_policy *p, dz_str authority);
/* "2/second", "30/minute", "1/2s", "inf": requests a second. */
DZ_MUST enum dz_code dz_fetch_rate(dz_str text, double *ret_per_second, struct dz_err *err);

/* ---- the fetcher ----------------------------------------------------------------------------- */

struct dz_fetch_options {
    const char *cache_dir; /* NULL: no cache on disk; made when missing */
    uint64_t cache_entries_max;
    int64_t cache_ttl_ms; /* how long an entry without validators is believed, and kept at all */
    uint64_t cache_bytes_max; /* 0: 256 MiB */
    const char *user_agent;
    int64_t connect_timeout_ms, read_timeout_ms; /* read: longest pause between bytes */
    int64_t total_timeout_ms; /* 0: 10 minutes; of one attempt, however it trickles */
    int64_t strike_ms;   /* 0: 1 s; first pause of a host that is busy and does not say how long */
    const char *ca_file; /* PEM; NULL: those that the system trusts */
    /* Several processes that keep one pace together: asked on the loop's thread before a request
     * leaves under a policy with a rate, never twice for one request; whoever is asked calls
     * dz_fetch_slot() later, never from inside. NULL: the pace is this fetcher's own. */
    void (*ask_slot)(void *arg, dz_str source, dz_str host, int64_t gap_ms);
    void *slot_arg;
};
/* The loop must outlive it. DZ_IO: cache_dir cannot be used. */
DZ_MUST enum dz_code dz_fetch_new(struct dz_loop *l, const struct dz_fetch_options *o,
                                  struct dz_fetch **ret_f, struct dz_err *err);
/* The request that a slot was asked for may leave in wait_ms. */
void dz_fetch_slot(struct dz_fetch *f, dz_str source, dz_str host, int64_t wait_ms);
/* Cancels what runs: done is called with DZ_CANCELLED for each, before this returns. */
void dz_fetch_free(struct dz_fetch **f);

/* ---- calls ----------------------------------------------------------------------------------- */

/* What went wrong beside a status; decides dz_fail kinds in sources. */
enum dz_fetch_kind {
    DZ_FETCH_OK,        /* an answer came, whatever its status */
    DZ_FETCH_FORBIDDEN, /* host not listed, private address, scheme: never asked */
    DZ_FETCH_BAD_URL,
    DZ_FETCH_CONNECT, /* no name, no connection, TLS refused */
    DZ_FETCH_TIMEOUT,
    DZ_FETCH_BROKEN,    /* shorter than Content-Length, bad encoding, reset in the middle */
    DZ_FETCH_TOO_LARGE, /* body, headers, or a decompression bomb */
    DZ_FETCH_REDIRECTS, /* a loop or too many */
    DZ_FETCH_PAUSED,    /* the host asked for a longer pause than the call may wait */
    DZ_FETCH_CANCELLED,
};

enum dz_fetch_cache {
    DZ_FETCH_NO_STORE,   /* neither read nor written: pages and other large bytes */
    DZ_FETCH_REVALIDATE, /* stored; asked again with validators each time (the default of RFC 9111
                            no-cache): a 304 gives the stored answer */
    DZ_FETCH_FRESH, /* as RFC 9111 4.2 says, or for fresh_ms when that is > 0: without asking */
};

struct dz_fetch_req {
    struct dz_fetch_policy *policy;   /* ref'd while the call runs */
    struct dz_fetch_session *session; /* cookies; nothing of it is cached; NULL: none */
    dz_str method;                    /* n = 0: GET */
    dz_str url;
    const struct dz_fetch_header *headers;
    size_t headers_n;
    dz_str body;               /* copied */
    enum dz_fetch_cache cache; /* GET without body only */
    int64_t fresh_ms;
    bool keep_text_only; /* images, archives and the like are not written to the cache */
    int64_t connect_timeout_ms, read_timeout_ms; /* 0: the fetcher's */
    int64_t delay_ms;    /* before the request leaves, beside the host's pace */
    int64_t wait_max_ms; /* for a paused host; 0: 60 s, then DZ_FETCH_PAUSED with retry_after_ms */
    uint64_t body_max;   /* 0: DZ_FETCH_BODY_MAX */
    bool no_redirects;
    /* On the loop's thread, exactly once, never from inside dz_fetch_start. */
    void (*done)(void *arg, struct dz_fetch_res *res);
    void *arg;
};

/* Valid during done(); what outlives it is copied, but for `body`, which may be ref'd. */
struct dz_fetch_res {
    enum dz_fetch_kind kind;
    struct dz_err err; /* when kind is not DZ_FETCH_OK: names host and cause */
    int status;
    dz_str url;                            /* where it came from, after redirects */
    const struct dz_fetch_header *headers; /* names in lower case */
    size_t headers_n;
    struct dz_body *body;   /* decoded; never NULL when kind is DZ_FETCH_OK */
    bool from_cache;        /* no byte of the body came over the wire */
    bool revalidated;       /* the site said 304 */
    int64_t retry_after_ms; /* the site's wish, both forms of RFC 9110 10.2.3 and
                               X-RateLimit-Retry-After (epoch); -1: none; capped */
    unsigned requests;      /* that went over the wire, redirects included; 0: all from the cache */
    int64_t took_ms;        /* without the waiting for pace */
};

/* Never fails itself: what is wrong with the request arrives in done(). ret_call may be NULL; it is
 * valid until done was called. */
void dz_fetch_start(struct dz_fetch *f, const struct dz_fetch_req *r,
                    struct dz_fetch_call **ret_call);
/* done comes with DZ_FETCH_CANCELLED, from the loop. */
void dz_fetch_cancel(struct dz_fetch_call *call);

/* Cookies (host-only or by public-suffix-checked domain, RFC 6265) of its own. Connections are kept
 * alive and shared by all calls anyway. Calls in flight keep it. */
struct dz_fetch_session *dz_fetch_session_new(struct dz_fetch *f);
void dz_fetch_session_unref(struct dz_fetch_session **s);

/* ---- records --------------------------------------------------------------------------------- */

/* What is known of a host since the start; for `dozo sources` and /metrics. */
struct dz_fetch_host_stats {
    const char *host; /* "example.org:443", in the arena */
    uint64_t requests, from_cache, revalidated, errors, bytes;
    uint64_t by_status[6];
    int64_t last_ok_s, last_error_s; /* Unix seconds; 0: never */
    enum dz_fetch_kind last_kind;
    int last_status;
    char last_text[128];
    int64_t paused_ms; /* how long it still wants to be left alone; 0: not paused */
    int64_t waited_ms; /* all calls together, for pace and pauses */
    uint32_t running, waiting;
};
/* Rows into the arena, by host name. */
void dz_fetch_hosts(struct dz_fetch *f, struct dz_arena *a, struct dz_fetch_host_stats **ret_v,
                    size_t *ret_n);
const char *dz_fetch_kind_name(enum dz_fetch_kind k); /* "connect"; static */

/* ---- URLs (RFC 3986) ------------------------------------------------------------------------- */

struct dz_url {
    dz_str scheme, userinfo, host, port, path, query, fragment; /* as they stand; absent: p NULL */
};
/* DZ_BAD_INPUT names the part. Slices point into s. */
DZ_MUST enum dz_code dz_url_parse(dz_str s, struct dz_url *ret_u, struct dz_err *err);
/* RFC 3986 5.2: the reference against an absolute base, into the arena. */
DZ_MUST enum dz_code dz_url_join(dz_str base, dz_str reference, struct dz_arena *a, dz_str *ret_s,
                                 struct dz_err *err);
/* Scheme and host in lower case, default port and fragment gone, dot segments removed, escapes of
 * unreserved characters decoded, others in upper case: equal for equal resources; for cache keys
 * and loops. */
DZ_MUST enum dz_code dz_url_normal(dz_str s, struct dz_arena *a, dz_str *ret_s, struct dz_err *err);
/* An address as it may stand in messages, log lines and records: no name and password, no fragment,
 * values of the query that may be secrets as "...": those of names like token, key or sig, and all
 * of more than 20 bytes. Printable ASCII with a NUL, cut where it is too long; what is no address
 * at all is treated as if it were. */
#define DZ_URL_SHOWN_MAX 800u
const char *dz_url_show(dz_str url, char text[DZ_URL_SHOWN_MAX]);
/* Whether a host matches a pattern of a policy. */
bool dz_url_host_matches(dz_str host, dz_str pattern);
