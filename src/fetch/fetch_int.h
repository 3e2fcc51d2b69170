/*
 * fetch_int: what the files of the fetch room share. Everything belongs to the loop's thread but
 * policies, which are immutable and counted.
 */
#pragma once

#include "fetch/fetch.h"

#include <curl/curl.h>

#define FETCH_STRIKE_MS 1000                 /* first pause of a host that asked for none by name */
#define FETCH_TEXTS_MAX ((size_t)256 * 1024) /* header fields of one request together */
#define FETCH_STRIKE_MAX_MS 300000           /* the longest one that it gets unasked */

struct dz_fetch_policy {
    atomic_uint refs;
    struct dz_arena *arena; /* all texts */
    dz_str source, user_agent, proxy;
    const dz_str *hosts, *open_hosts;
    size_t hosts_n, open_hosts_n;
    const struct dz_fetch_header *headers;
    size_t headers_n;
    bool allow_private;
    uint32_t per_host;
    double rate;
    int64_t page_delay_ms;
};
/* Whether the host may be asked at all. `authority` is "host" or "host:port". */
bool dz_fetch_policy_allows(const struct dz_fetch_policy *p, dz_str host);
/* An open host without a port is open at its scheme's own one. */
bool dz_fetch_policy_opens(const struct dz_fetch_policy *p, const struct dz_url *u);

bool dz_fetch_headers_ok(const struct dz_fetch_header *v, size_t n); /* RFC 9110 5.1, 5.5 */
/* The first field that only the requester itself may write; NULL: none. */
const struct dz_fetch_header *dz_fetch_headers_own(const struct dz_fetch_header *v, size_t n);

/* Loopback, link-local, private, shared, documentation, multicast and reserved networks (RFC 6890),
 * also inside IPv6 (mapped, NAT64, 6to4). */
struct sockaddr;
bool dz_fetch_is_private(const struct sockaddr *sa);
bool dz_fetch_is_private_text(const char *ip);

/* ---- hosts (host.c) -------------------------------------------------------------------------- */

struct dz_fetch_pace { /* of one source at one host */
    struct dz_fetch_pace *next;
    int64_t next_at_ms;   /* the next one may leave then */
    int64_t slot_at_ms;   /* where others keep the pace too: given for that moment … */
    bool asked, has_slot; /* … when it has one */
    size_t source_n;
    char source[];
};

struct dz_fetch_host { /* one "host:port" */
    struct dz_fetch_host *next;
    struct dz_fetch_call *first, **last; /* waiting, in order */
    char *name;
    struct dz_fetch_pace *paces; /* those that somebody has to wait for */
    int64_t paused_until_ms;
    int64_t used_ms;
    unsigned strikes;
    struct dz_fetch_host_stats stats;
};
/* How long until a call under this policy may leave: 0 now, -1 when it waits for another to end. */
int64_t dz_fetch_host_wait(const struct dz_fetch_host *h, const struct dz_fetch_policy *p,
                           int64_t now_ms);
void dz_fetch_host_left(struct dz_fetch_host *h, const struct dz_fetch_policy *p, int64_t now_ms);
/* The same for a pace that others keep too: -1: it was asked for, dz_fetch_host_slot() comes. */
int64_t dz_fetch_host_ask(const struct dz_fetch_options *o, struct dz_fetch_host *h,
                          const struct dz_fetch_policy *p, int64_t now_ms);
void dz_fetch_host_slot(struct dz_fetch_host *h, dz_str source, int64_t at_ms);
void dz_fetch_host_done(struct dz_fetch_host *h); /* frees what it holds but its name */
/* An answer or a failure: counts it, and pauses the host when it asked for that, or for strike_ms
 * the first time, twice as long the next. */
void dz_fetch_host_heard(struct dz_fetch_host *h, const struct dz_fetch_res *res, int64_t now_ms,
                         int64_t wall_s, int64_t strike_ms);

/* ---- headers --------------------------------------------------------------------------------- */

dz_str dz_fetch_find(const struct dz_fetch_header *v, size_t n, dz_str name); /* n = 0: absent */
/* Value of a directive of Cache-Control and the like; false: absent. */
bool dz_fetch_directive(dz_str field, dz_str name, dz_str *ret_value);
/* RFC 9110 10.2.3 and X-RateLimit-Retry-After; -1: none. */
int64_t dz_fetch_retry_after(const struct dz_fetch_header *v, size_t n, int64_t wall_s);

/* ---- cache on disk (disk.c) ------------------------------------------------------------------ */

/* One stored answer, in an arena of its own but for the body. */
struct dz_fetch_entry {
    struct dz_arena *arena;
    dz_str url;  /* normal form */
    dz_str from; /* after redirects */
    int status;
    int64_t stored_s; /* or found right by the site */
    int64_t fresh_s;  /* how long it is believed; 0: ask */
    const struct dz_fetch_header *headers;
    size_t headers_n;
    struct dz_body *body;
};
void dz_fetch_entry_free(struct dz_fetch_entry **e);

struct dz_fetch_disk;
DZ_MUST enum dz_code dz_fetch_disk_open(const char *dir, uint64_t entries_max, uint64_t bytes_max,
                                        struct dz_fetch_disk **ret_d, struct dz_err *err);
void dz_fetch_disk_close(struct dz_fetch_disk **d);
/* NULL: not there, or not to be read; what cannot be read is removed. */
struct dz_fetch_entry *dz_fetch_disk_get(struct dz_fetch_disk *d, dz_str url);
/* The oldest leave when there are too many; failures are forgotten: it is a cache. */
void dz_fetch_disk_put(struct dz_fetch_disk *d, const struct dz_fetch_entry *e);
void dz_fetch_disk_forget(struct dz_fetch_disk *d, dz_str url);
/* Whether the request says something under its own name that the answer depends on: it is then
 * neither kept nor taken from the cache, which knows answers by address alone. */
bool dz_fetch_is_special(const struct dz_fetch_req *r, const struct dz_fetch_header *answer,
                         size_t answer_n);
/* Whether RFC 9111 3 lets a private cache keep the answer, and for how long it is fresh (4.2). */
bool dz_fetch_may_store(const struct dz_fetch_req *r, const struct dz_fetch_res *res,
                        int64_t wall_s, int64_t *ret_fresh_s);

/* ---- content codings (decode.c) -------------------------------------------------------------- */

struct dz_fetch_decoder;
/* NULL: a coding that was not asked for. */
struct dz_fetch_decoder *dz_fetch_decoder_new(dz_str coding);
void dz_fetch_decoder_free(struct dz_fetch_decoder **d);
/* Gives on what `in` unpacks to, piece by piece, until `give` says false. False: it did, or
 * *ret_is_wrong. */
bool dz_fetch_decode(struct dz_fetch_decoder *d, dz_str in, bool (*give)(void *arg, dz_str content),
                     void *arg, bool *ret_is_wrong);
bool dz_fetch_decoder_is_plain(const struct dz_fetch_decoder *d);
/* Whether all has come: a packed body says itself where it ends. */
bool dz_fetch_decoder_is_whole(const struct dz_fetch_decoder *d);

/* ---- calls (call.c) on the fetcher (fetch.c) ------------------------------------------------- */

enum dz_fetch_state { FETCH_WAITING, FETCH_RUNNING, FETCH_ENDED };

struct dz_fetch_session {
    unsigned refs;
    CURLSH *share; /* cookies */
};

struct dz_fetch_call {
    struct dz_fetch *fetch;
    struct dz_fetch_call *prev, *next; /* all of the fetcher */
    struct dz_fetch_call *host_next;   /* waiting for its host */
    struct dz_fetch_call *ended_next;  /* to be told */
    struct dz_arena *arena;            /* all texts of the request and of the answer */
    struct dz_fetch_req req;           /* slices copied */
    struct dz_fetch_host *host;        /* of the address at hand */
    enum dz_fetch_state state;
    bool cancelled, may_cache, is_private; /* is_private: refused at the socket */
    bool validating;                       /* the request at hand names what the entry is */
    bool moved_softly;                     /* by a redirect that may be another one tomorrow */
    dz_str url, key;                       /* at hand; normal form of the first one */
    struct dz_url parts;                   /* of url */
    dz_str visited[DZ_FETCH_REDIRECTS_MAX + 1];
    size_t visited_n;
    int64_t not_before_ms, queued_ms, left_ms;
    struct dz_fetch_entry *entry; /* stored answer to be validated */

    CURL *easy;
    struct curl_slist *lines; /* request header */
    struct dz_buf head, body;
    struct dz_body *whole; /* in place of body; whole_n bytes of it are there */
    size_t whole_n;
    struct dz_fetch_header *headers;
    size_t headers_n;
    struct dz_fetch_decoder *decoder; /* from the first byte of the content on */
    uint64_t wire_n;                  /* bytes of the content as they came */
    bool too_large, headers_too_large, wrong_coding;
    char words[CURL_ERROR_SIZE];
    struct dz_fetch_res res;
};

struct dz_fetch {
    struct dz_loop *loop;
    CURLM *multi;
    struct dz_timer curl_timer, pump_timer;
    struct dz_fetch_note *note; /* posted to tell what has ended; NULL: none is on its way */
    bool closing;
    struct dz_fetch_options o;
    char *user_agent, *ca_file;
    struct dz_fetch_disk *disk;
    struct dz_map hosts; /* "host:port" → struct dz_fetch_host */
    struct dz_fetch_host *host_list;
    struct dz_fetch_call *calls, *ended, **ended_last;
    size_t calls_n;
};

/* Puts the address at hand on the wire; false: it could not be begun and has failed. */
bool dz_fetch_call_begin(struct dz_fetch_call *c);
/* The wire is done with it: an answer or a failure in c->res; frees what curl holds. */
void dz_fetch_call_heard(struct dz_fetch_call *c, CURLcode curl);
void dz_fetch_call_drop_wire(struct dz_fetch_call *c);
void dz_fetch_call_free(struct dz_fetch_call **c);
void dz_fetch_call_fail(struct dz_fetch_call *c, enum dz_fetch_kind kind, const char *fmt, ...)
    DZ_PRINTF(3, 4);
