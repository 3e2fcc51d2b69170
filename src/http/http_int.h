/*
 * http_int: the inside of the HTTP room.
 *
 * A lane is what one loop has: its listeners, its connections, its pools of buffers and requests,
 * its counters; all of it belongs to that loop's thread. A connection is a small struct that owns
 * bytes only while a request is incomplete, being answered or not yet written. A request object
 * belongs to the lane and is lent to a connection from the moment its request is complete until the
 * reply is handed over.
 *
 * Three layers: parse, chunk, cond, range, negotiate, route are pure functions over bytes; respond
 * turns what a handler says into a dz_http_answer, which knows nothing of framing; below it are a
 * protocol (conn, serve, write and stream are HTTP/1.1; h2 and h2_stream are HTTP/2 and share
 * conn's life) and a wire (a socket, TLS, or the memory of a test), and these alone read and write.
 */
#pragma once

#include "http/http.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* ---- limits that no setting moves ------------------------------------------------------------ */

#define HTTP_SCRATCH_BYTES                                                                         \
    ((size_t)16 * 1024)      /* one read; a request that fits needs no buffer of its own */
#define HTTP_FIELDS_MAX 100  /* header fields of a request; one more is 431 */
#define HTTP_SEGMENTS_MAX 16 /* path segments that routes can tell apart */
#define HTTP_RANGES_MAX 16   /* ranges in one request; more: Range is ignored */
#define HTTP_RANGE_GAP 80    /* ranges closer than this are joined: the part head costs more */
#define HTTP_CHUNK_EXTENSION_MAX 4096              /* bytes of chunk extensions in one body */
#define HTTP_UNUSED_BODY_MAX ((uint64_t)64 * 1024) /* body of a method that gives it no meaning */
#define HTTP_HOPS_MAX 64 /* elements of X-Forwarded-For or Forwarded, from the right */
#define HTTP_BODIES_BYTES                                                                          \
    ((uint64_t)256 * 1024 * 1024)            /* of all unfinished requests of a lane; more is 503 */
#define HTTP_BATCH_BYTES ((size_t)64 * 1024) /* small answers gathered for one write */
#define HTTP_SMALL_BYTES                                                                           \
    ((size_t)4 * 1024) /* an answer up to this size is copied into the batch                       \
                        */
#define HTTP_FILE_TURN_BYTES                                                                       \
    ((uint64_t)1024 * 1024) /* most that one connection sends of a file in one turn */
#define HTTP_CHUNK_BYTES ((size_t)32 * 1024) /* most content in one chunk that we send */
#define HTTP_STREAM_TURN_BYTES                                                                     \
    ((uint64_t)64 * 1024)   /* most that one connection makes of its content in one turn */
#define HTTP_MIN_RATE 256   /* bytes a second below which a body or an answer counts as stalled */
#define HTTP_LINGER_MS 2000 /* how long unread bytes are drained after an error answer */
#define HTTP_LINGER_BYTES ((uint32_t)16 * 1024 * 1024)
#define HTTP_ARENA_BYTES ((size_t)16 * 1024 * 1024) /* a request's arena */
#define HTTP_LINES_BYTES ((size_t)256 * 1024)       /* header lines of an answer */
#define HTTP_COMPRESS_MIN 500                       /* shorter texts leave as they are */
#define HTTP_COMPRESS_WHOLE_MAX ((size_t)64 * 1024) /* longer ones are compressed while sent */
/* Of a lane at once, 0.3 to 1 MiB each; one more text leaves as it is. */
#define HTTP_COMPRESS_SOURCES_MAX 32

/* ---- request head (parse.c) ------------------------------------------------------------------ */

/* Fields that the server looks at itself: found while parsing, so that nobody searches for them
 * again. */
enum dz_http_known {
    KNOWN_HOST,
    KNOWN_CONNECTION,
    KNOWN_CONTENT_LENGTH,
    KNOWN_TRANSFER_ENCODING,
    KNOWN_EXPECT,
    KNOWN_IF_MATCH,
    KNOWN_IF_NONE_MATCH,
    KNOWN_IF_MODIFIED_SINCE,
    KNOWN_IF_UNMODIFIED_SINCE,
    KNOWN_IF_RANGE,
    KNOWN_RANGE,
    KNOWN_ACCEPT,
    KNOWN_ACCEPT_ENCODING,
    KNOWN_ORIGIN,
    KNOWN_X_FORWARDED_FOR,
    KNOWN_X_FORWARDED_PROTO,
    KNOWN_FORWARDED,
    KNOWN_COUNT
};
#define KNOWN_BIT(k) (1u << (k))

struct dz_http_head {
    enum dz_http_method method;
    uint8_t version_minor;
    bool chunked, has_length, keep_alive, expect_continue;
    bool escaped; /* raw_path holds '%' */
    uint64_t length;
    dz_str method_text, target, host, raw_path, query;
    uint32_t known;             /* bits of KNOWN_BIT */
    uint32_t repeated;          /* those that came more than once */
    uint8_t first[KNOWN_COUNT]; /* place of the first one in fields */
    size_t fields_n;
    size_t n;        /* bytes of the whole head, empty line included */
    int status;      /* of HTTP_BAD */
    const char *why; /* of HTTP_BAD: what is wrong, for people */
};

enum dz_http_parsed { HTTP_WHOLE, HTTP_MORE, HTTP_BAD };

/* One request head at the start of `in`; fields has HTTP_FIELDS_MAX places. RFC 9112 with every
 * choice made for refusing. A line is judged only when its end is there, so the answer does not
 * depend on how the bytes arrived. */
enum dz_http_parsed dz_http_parse_head(dz_str in, size_t head_max, struct dz_http_head *ret_h,
                                       struct dz_http_field *fields);
/* Fields of a head that was read before. A client sends mostly the same ones again, with another
 * path before them: then comparing the bytes does instead of reading them. */
#define HTTP_MEMOS 16
#define HTTP_MEMO_BYTES 1024
#define HTTP_MEMO_FIELDS 24
struct dz_http_memo {
    uint32_t n; /* bytes of text, the empty line included; 0: nothing yet */
    struct dz_http_head meaning;
    struct dz_http_field field[HTTP_MEMO_FIELDS]; /* slices of text */
    char text[HTTP_MEMO_BYTES];
};
/* The same answer from the same bytes, whatever is in the HTTP_MEMOS memos (zeroed at first; NULL:
 * none). */
enum dz_http_parsed dz_http_parse_head_like(struct dz_http_memo *memos, dz_str in, size_t head_max,
                                            struct dz_http_head *ret_h,
                                            struct dz_http_field *fields);
bool dz_http_is_token(dz_str s);
bool dz_http_is_field_value(dz_str s);
/* One "%XX" decoding of s (valid already) into dst, which holds s.n bytes; returns the length. */
size_t dz_http_percent_decode(dz_str s, char *dst);
/* Next element of a comma-separated list, blanks trimmed, empty ones skipped; commas in quoted
 * strings do not count. */
bool dz_http_list_next(dz_str *list, dz_str *ret_item);
/* Next "name=value" of a query, both as sent. */
bool dz_http_param_next(dz_str *query, dz_str *ret_name, dz_str *ret_value);

/* ---- chunked bodies (chunk.c) ---------------------------------------------------------------- */

struct dz_http_chunked {
    uint8_t state;
    uint8_t digits;
    uint64_t left;      /* of this chunk */
    uint32_t extension; /* bytes so far */
    uint32_t trailer;   /* bytes so far */
    uint32_t trailer_max;
    int status; /* of HTTP_BAD */
    const char *why;
};
void dz_http_chunked_init(struct dz_http_chunked *c, uint32_t trailer_max);
/* Takes bytes from `in` up to the end of the body (*ret_used) and appends the decoded ones to out,
 * whose max is the body limit. */
enum dz_http_parsed dz_http_chunked_feed(struct dz_http_chunked *c, dz_str in, struct dz_buf *out,
                                         size_t *ret_used);

/* ---- conditions and ranges (cond.c, range.c) ------------------------------------------------- */

struct dz_http_selected { /* the representation that a 200 would carry */
    dz_str etag;
    int64_t last_modified_s;
    uint64_t bytes;
    bool ranges;
};
struct dz_http_request;
/* RFC 9110 13.2.2 but for Range: 0 to go on, 304 or 412. GET and HEAD only. */
int dz_http_check_conditions(const struct dz_http_request *q, const struct dz_http_selected *s);
/* Whether Range counts (13.1.5, 14.2): GET, ranges offered, If-Range absent or true. */
bool dz_http_range_counts(const struct dz_http_request *q, const struct dz_http_selected *s);

struct dz_http_range {
    uint64_t at, n;
};
/* Ranges of a Range field over `bytes`: the number (1..HTTP_RANGES_MAX) in order to be sent, 0:
 * ignore the field, -1: none can be satisfied (416). */
int dz_http_ranges(dz_str field, uint64_t bytes, struct dz_http_range ret[HTTP_RANGES_MAX]);

/* ---- routes (route.c) ------------------------------------------------------------------------ */

struct dz_http_routes;
/* asserts on a bad pattern */
struct dz_http_routes *dz_http_routes_new(const struct dz_http_route *rows, size_t n);
void dz_http_routes_free(struct dz_http_routes **t);
struct dz_http_path {
    dz_str text;                     /* decoded, starts with '/' */
    size_t segments_n;               /* HTTP_SEGMENTS_MAX + 1: more */
    uint32_t end[HTTP_SEGMENTS_MAX]; /* where each ends in text; real slashes only */
};
/* text of raw: itself, or decoded into dst when `escaped`. */
void dz_http_path_split(dz_str raw, bool escaped, char *dst, struct dz_http_path *ret_path);
/* The row for method, or NULL with the methods that the path has (0: no row has that path). */
const struct dz_http_route *dz_http_routes_find(const struct dz_http_routes *t,
                                                enum dz_http_method method,
                                                const struct dz_http_path *path,
                                                dz_str capture[DZ_HTTP_CAPTURES_MAX],
                                                unsigned *ret_allowed);
unsigned dz_http_routes_methods(const struct dz_http_routes *t); /* of all rows */
void dz_http_put_methods(struct dz_buf *b, unsigned methods);    /* "GET, HEAD, OPTIONS" */

/* ---- trusted proxies (proxy.c) --------------------------------------------------------------- */

struct dz_http_trust {
    size_t n;
    struct dz_http_net {
        unsigned char address[16]; /* IPv4 as ::ffff:a.b.c.d */
        unsigned bits;
    } net[];
};
DZ_MUST enum dz_code dz_http_trust_new(const char *const *cidrs, struct dz_http_trust **ret_t,
                                       struct dz_err *err);
bool dz_http_trusts(const struct dz_http_trust *t, const unsigned char address[16]);
/* Text "1.2.3.4", "1.2.3.4:80", "::1", "[::1]:80" to an address; *ret_text is the address part. */
bool dz_http_address(dz_str s, unsigned char ret_address[16], dz_str *ret_text);
/* Who asked and how, by the fields of a trusted peer: changes client_ip and https of q->pub as far
 * as they say. The address is the right-most that is not trusted, or what Forwarded calls a client
 * that it hides ("unknown", "_x"); the scheme is what the nearest proxy says. */
void dz_http_forwarded(const struct dz_http_trust *t, enum dz_http_forwarding how,
                       struct dz_http_request *q);

/* ---- prepared responses (prepared.c) --------------------------------------------------------- */

/* What stands before the text of a prepared header block. Offsets count from the start of the
 * block's text, which is Content-Length, Content-Type, other lines of the entity, lines that a 304
 * repeats, and the empty line. */
struct dz_http_prepared {
    uint32_t magic;
    uint16_t status;
    bool ranges;
    bool no_body; /* 204, 304 */
    uint64_t bytes;
    int64_t last_modified_s;
    uint32_t after_length, after_type, common; /* where the next group starts */
    uint32_t text_n;
    uint32_t etag_at, etag_n;
    uint32_t type_at, type_n;
};
/* The facts and the text of a body made by dz_http_prepare; NULL when it was not. */
const struct dz_http_prepared *dz_http_prepared_of(const struct dz_body *b, const char **ret_text);
/* One header line; control characters in the value become blanks, but for tabs. */
void dz_http_put_header(struct dz_buf *b, dz_str name, dz_str value);
void dz_http_put_length(struct dz_buf *b, uint64_t bytes);
/* The lines of a meta: what describes the content (its type is a line of its own), and what a 304
 * repeats. */
void dz_http_put_entity(struct dz_buf *b, const struct dz_http_meta *m);
void dz_http_put_common(struct dz_buf *b, const struct dz_http_meta *m);
bool dz_http_has_body(int status); /* not 1xx, 204, 304 */

/* ---- compression (compress.c) ---------------------------------------------------------------- */

struct dz_http_lane;
bool dz_http_is_text_type(dz_str content_type);
/* Up to HTTP_COMPRESS_WHOLE_MAX bytes. out is initialised by this; false when it failed or did not
 * get smaller. */
bool dz_http_compress(struct dz_http_lane *lane, enum dz_http_encoding how, dz_str in,
                      struct dz_buf *out);
bool dz_http_may_compress(struct dz_http_lane *lane); /* false: too many do at once */
/* The content of a source, compressed; its encoder is taken with the first read. */
struct dz_http_source *dz_http_compress_source(struct dz_http_lane *lane, enum dz_http_encoding how,
                                               struct dz_http_source *take_inner);
struct dz_http_coders; /* of a lane, for the next text */
void dz_http_coders_free(struct dz_http_coders **all);

/* ---- lane ------------------------------------------------------------------------------------ */

struct dz_http_in {          /* request bytes */
    struct dz_http_in *next; /* in the pool */
    size_t cap, at, n;       /* p[at..n) is not parsed yet */
    bool pooled;             /* a scratch buffer of the lane */
    char p[];
};

struct dz_http_upload { /* a request whose body is on its way or lies here */
    struct dz_http_chunked chunk;
    bool chunked;
    uint64_t left; /* of a body with a length */
    struct dz_buf body;
    size_t counted; /* of body, in the sum of the lane */
    uint64_t seen;  /* bytes since the last look at the rate */
    /* One that its handler takes as it comes (body.c); then `body` is what was decoded last. */
    struct dz_http_sink *sink; /* NULL: nobody asked yet, or it hears nothing more */
    uint64_t max, taken;
    bool streamed, asked, paused, whole;
    size_t head_n;
    char head[];
};

struct dz_http_request {
    struct dz_http_req pub;
    struct dz_http_head head;
    struct dz_http_conn *conn;
    struct dz_http_stream *stream; /* of HTTP/2; NULL: HTTP/1.1 */
    struct dz_http_request *next;  /* in the pool */
    int64_t begin_ns;
    bool in_handler, deferred, replied, close;
    struct dz_arena *arena;
    dz_str added;        /* lines that any answer carries; in the arena */
    struct dz_buf lines; /* header lines of the answer */
    struct dz_http_field fields[HTTP_FIELDS_MAX];
};

struct dz_http_row_counters {
    _Atomic uint64_t by_status[6];
    _Atomic uint64_t bucket[DZ_HTTP_BUCKETS + 1];
    _Atomic uint64_t sum_ns;
};
struct dz_http_counters { /* written by the lane's thread only, read by any */
    _Atomic uint64_t open, total, refused, bytes_in, bytes_out, parse_errors, timeouts;
    struct dz_http_row_counters *rows; /* routes_n + 1 */
};
static inline void dz_http_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
void dz_http_counters_init(struct dz_http_counters *c, size_t routes_n);
void dz_http_counters_done(struct dz_http_counters *c);
void dz_http_count_reply(struct dz_http_row_counters *row, int status, int64_t ns);

struct dz_http_status_line { /* "HTTP/1.1 200 OK\r\nDate: …\r\n" */
    int64_t wall_s;
    int status;
    uint32_t n;
    char text[96];
};
#define HTTP_STATUS_LINES 16 /* a small cache, by status modulo its size */

struct dz_http_lane {
    struct dz_http_server *server;
    struct dz_loop *loop;
    void *loop_app;
    struct dz_http_conn *conns; /* all, in a list */
    size_t conns_n;             /* those that count towards max_connections */
    size_t refused_n;           /* those that only hear a 503 */
    size_t deferred_n;
    uint64_t bodies_bytes;
    uint64_t next_id;
    int64_t answered_ns; /* when the last answer was done */
    bool stopping;
    bool cut; /* the grace period was over */

    struct dz_http_in *scratch;
    size_t scratch_n;
    struct dz_http_request *requests;
    struct dz_http_conn *spare;
    size_t spare_n;

    struct dz_http_conn *batch_conn; /* whose answers are being gathered */
    size_t batch_n;
    char *batch;                /* HTTP_BATCH_BYTES */
    struct dz_http_memo *memos; /* HTTP_MEMOS */

    struct dz_http_coders *coders; /* made on first use */

    struct dz_http_h2_lane *h2; /* made with the first connection that speaks HTTP/2 */

    struct dz_http_conn *resume; /* have input left after a late reply */
    bool resume_posted;
    struct dz_msg resume_msg;

    struct dz_http_status_line line[HTTP_STATUS_LINES];
    struct dz_http_counters counters;

    struct dz_http_tls *tls_first, *tls_last; /* hold input that epoll does not know of */
    size_t tls_queued;
    bool tls_posted;
    struct dz_msg tls_msg;

    struct dz_http_acceptor *acceptors;
    size_t acceptors_n;
    struct dz_timer accept_timer, stop_timer;
    struct dz_msg stop_msg;
    int64_t stop_at_ms; /* end of the grace period */
    pthread_t thread;
    bool running;              /* thread is there */
    struct dz_http_lane *next; /* lanes of tests */
};
struct dz_http_lane *dz_http_lane_new(struct dz_http_server *s, struct dz_loop *l, unsigned index);
void dz_http_lane_free(struct dz_http_lane **lane);
struct dz_http_request *dz_http_request_take(struct dz_http_lane *lane);
void dz_http_request_give(struct dz_http_lane *lane, struct dz_http_request *q);
/* First line and Date of an answer. */
dz_str dz_http_status_line(struct dz_http_lane *lane, int status);

/* ---- connections (conn.c) on a wire (wire.c, testing.c) -------------------------------------- */

/* All results: bytes, 0 for the end, or a negated errno; -EAGAIN: not now. */
struct dz_http_wire {
    ssize_t (*recv)(struct dz_http_conn *c, void *p, size_t n);
    /* `more`: other bytes follow at once */
    ssize_t (*send)(struct dz_http_conn *c, const struct iovec *iov, size_t n, bool more);
    ssize_t (*send_file)(struct dz_http_conn *c, const struct dz_file *f, uint64_t at, size_t n);
    uint64_t (*unsent)(
        struct dz_http_conn *c);              /* bytes that were taken but did not reach the peer */
    bool (*readable)(struct dz_http_conn *c); /* recv would give bytes now; c waits for input */
    void (*arm)(struct dz_http_conn *c, uint32_t events);
    void (*finish)(struct dz_http_conn *c); /* no more bytes will be sent */
    void (*close)(struct dz_http_conn *c);
};
extern const struct dz_http_wire dz_http_socket_wire;

enum dz_http_conn_state {
    CONN_READ,   /* waits for a request head */
    CONN_BODY,   /* waits for the rest of a body */
    CONN_HANDLE, /* a handler has it */
    CONN_WRITE,  /* an answer has not left, or it is the last one */
    CONN_LINGER, /* all is said; unread bytes are drained */
    CONN_CLOSED, /* to be freed as soon as nobody is inside */
};

struct dz_http_h2;
struct dz_http_conn {
    struct dz_watch watch;
    struct dz_timer timer;
    const struct dz_http_wire *wire;
    struct dz_http_lane *lane;
    struct dz_http_conn *prev, *next, *resume_next;
    struct dz_http_in *in;
    struct dz_http_upload *upload;
    struct dz_http_request *request;
    struct dz_http_send *send;
    struct dz_http_streaming *streaming; /* the content of `request` is being made */
    struct dz_http_h2 *h2;               /* speaks HTTP/2; NULL: HTTP/1.1 */
    void *wire_data;
    uint64_t sent;      /* bytes given to the wire */
    uint64_t sent_seen; /* of these, arrived at the last look at the rate */
    uint32_t lingered;
    uint8_t state;
    uint8_t busy;  /* callers inside */
    uint8_t timed; /* what the timer stands for */
    bool close_after, linger, gone, aborted, trusted, refused, resuming;
    bool encrypted; /* this listener is https */
    bool more;      /* the wire holds input that its socket does not tell of */
    uint8_t ip_n;
    char ip[46];
};
_Static_assert(sizeof(struct dz_http_conn) <= 512, "an idle connection is one small struct");

enum { TIMED_NOT, TIMED_IDLE, TIMED_HEAD, TIMED_BODY, TIMED_WRITE, TIMED_LINGER };

struct dz_http_answer;
struct dz_http_conn *dz_http_conn_new(struct dz_http_lane *lane, const struct dz_http_wire *wire);
void dz_http_conn_begin(struct dz_http_conn *c); /* first timer */
void dz_http_conn_event(struct dz_http_conn *c, uint32_t events);
void dz_http_conn_stop(struct dz_http_conn *c);        /* the server stops: close when idle */
void dz_http_conn_cut(struct dz_http_conn *c);         /* close now, whatever it does */
void dz_http_conn_refuse_full(struct dz_http_conn *c); /* 503 and close, before any request */
void dz_http_conns_free_spare(struct dz_http_lane *lane);
/* The end of a connection, whatever it was doing. Frees it unless somebody is inside or a handler
 * has it. */
void dz_http_drop(struct dz_http_conn *c);
/* Where a connection came to rest: chooses its timer and interest, ends it when all is said. It may
 * be freed. */
void dz_http_settle(struct dz_http_conn *c);
void dz_http_linger(struct dz_http_conn *c); /* all is said: drains for a moment, then ends */
void dz_http_input_free(struct dz_http_lane *lane, struct dz_http_in **in);

/* ---- HTTP/2 (h2.c) --------------------------------------------------------------------------- */

/* From now on the connection speaks HTTP/2 (ALPN has chosen it; nothing was read yet): sends
 * SETTINGS. Events and stops go through dz_http_conn_event() and so on as before. */
void dz_http_h2_begin(struct dz_http_conn *c);
/* serve.c hands over the answer of a request that came on a stream. */
void dz_http_h2_answer(struct dz_http_request *q, struct dz_http_answer *a);
/* Whether the stream keeps its request, because the content is still being made. */
bool dz_http_h2_lasts(const struct dz_http_stream *s);
bool dz_http_h2_is_gone(const struct dz_http_stream *s); /* nobody listens any more */
void dz_http_h2_wake(struct dz_http_stream *s);          /* its source may have something again */
bool dz_http_h2_is_ending(const struct dz_http_conn *c); /* the peer said that it goes */
void dz_http_h2_released(struct dz_http_stream *s);      /* its request was given back */
void dz_http_h2_read_body(struct dz_http_stream *s, struct dz_http_sink *sink, uint64_t max);
void dz_http_h2_body_more(struct dz_http_stream *s);
/* For conn.c. `lost`: the wire is gone; `owes`: handlers still have requests of it. */
void dz_http_h2_event(struct dz_http_conn *c, uint32_t events);
void dz_http_h2_settle(struct dz_http_conn *c);
void dz_http_h2_stop(struct dz_http_conn *c);
void dz_http_h2_lost(struct dz_http_conn *c);
void dz_http_h2_resume(struct dz_http_conn *c); /* from the resume list */
bool dz_http_h2_owes(const struct dz_http_conn *c);
void dz_http_h2_free(struct dz_http_conn *c);
void dz_http_h2_lane_free(struct dz_http_h2_lane **l);

/* ---- requests of a connection (serve.c) ------------------------------------------------------ */

void dz_http_run(struct dz_http_conn *c); /* serves what the input holds, then settles */
/* Answers with an error and closes; what is unread is drained, so that the client gets to see it. q
 * NULL: none yet. */
void dz_http_refuse(struct dz_http_conn *c, struct dz_http_request *q, int status, const char *why);
void dz_http_feed_chunked(struct dz_http_conn *c); /* takes the chunked body that the input holds */
void dz_http_body_whole(struct dz_http_conn *c);   /* the body has come: to the handler */
void dz_http_upload_free(struct dz_http_conn *c);
/* Counts what has come of the body; refuses the request when all bodies together are too much. */
bool dz_http_body_fits(struct dz_http_conn *c);

/* An answer is over: counts and logs it. */
void dz_http_account(struct dz_http_request *q, int status, uint64_t bytes);
/* Takes the request away from its connection. */
void dz_http_release(struct dz_http_request *q);
/* Runs at the end of what the loop does now: flushes what late answers have left to be sent. */
void dz_http_resume_soon(struct dz_http_conn *c);
/* Requests of a stream: to its handler; or an error answer without one. */
void dz_http_serve(struct dz_http_request *q, dz_str body);
void dz_http_serve_refusal(struct dz_http_request *q, int status, const char *why);
uint64_t dz_http_body_limit(const struct dz_http_request *q);
/* No body can make it right (405, 501): it need not be waited for. */
bool dz_http_is_refused_unread(struct dz_http_request *q);
/* Its route takes the body itself. */
bool dz_http_is_streamed(struct dz_http_request *q);

/* ---- bodies that handlers take (body.c) ------------------------------------------------------ */

/* The sink takes more: input is to be read. */
bool dz_http_body_wanted(const struct dz_http_conn *c);
void dz_http_body_feed(struct dz_http_conn *c);   /* gives the sink what the input holds */
void dz_http_body_resume(struct dz_http_conn *c); /* from the resume list */
/* Tells the sink, if it still listens. */
void dz_http_body_end(struct dz_http_conn *c, int status, const char *why);
void dz_http_body_lost(struct dz_http_conn *c);
/* The request is answered now. True: some of its body is still to come; what is here already is
 * passed over. */
bool dz_http_body_is_left(struct dz_http_conn *c);

/* ---- answers (write.c) ----------------------------------------------------------------------- */

/* One piece of an answer: memory, or p NULL: the file from `at`. */
struct dz_http_piece {
    const char *p;
    uint64_t at, n;
    /* When the write comes short these bytes are copied; else they live as long as the answer's
     * body, file or heap. */
    bool copy;
};
#define HTTP_PIECES_MAX (2 * HTTP_RANGES_MAX + 1)
struct dz_http_answer {
    int status;
    dz_str lines;         /* header lines in the request's buffer, each with its CRLF */
    dz_str block;         /* further lines and the empty line */
    uint64_t bytes;       /* of the body as sent with GET */
    struct dz_body *body; /* borrowed; block (when set) and pieces lie in it */
    struct dz_file *file; /* borrowed */
    char *take_heap;      /* pieces lie in it; freed by whoever is done with it */
    struct dz_http_source *take_source; /* the content, then without pieces */
    bool sized;                         /* it has `bytes`; else nobody knows how many */
    size_t pieces_n;
    struct dz_http_piece piece[HTTP_PIECES_MAX];
};
/* serve.c: the one way out for all answers. */
void dz_http_answer(struct dz_http_request *q, struct dz_http_answer *a);
void dz_http_write_answer(struct dz_http_request *q, struct dz_http_answer *a, bool close,
                          bool chunked);
/* Writes pieces behind whatever waits already; what the wire does not take is kept. a NULL: all are
 * copied. */
void dz_http_write_or_keep(struct dz_http_conn *c, struct dz_http_piece *piece, size_t n,
                           struct dz_http_answer *a);
bool dz_http_write_rest(struct dz_http_conn *c); /* false: the wire is broken */
void dz_http_flush_batch(struct dz_http_lane *lane);
void dz_http_sends_free(struct dz_http_conn *c);

/* ---- content made while it is sent (stream.c) ------------------------------------------------ */

/* Takes the source and puts the first piece of content into a. False: it broke, and nothing has
 * left yet. */
bool dz_http_stream_begin(struct dz_http_request *q, struct dz_http_answer *a,
                          struct dz_http_streaming **ret_s);
bool dz_http_stream_is_chunked(const struct dz_http_streaming *s);
/* a is written; if there is more, or may be, the connection is `streaming` from now on. */
void dz_http_stream_began(struct dz_http_streaming *take_s, struct dz_http_answer *a);
/* Makes a bounded piece and writes it, unless the source waits. Only when nothing waits to be sent.
 * May drop c. */
void dz_http_stream_more(struct dz_http_conn *c);
/* The source has nothing now, and all it has made has left. */
bool dz_http_stream_waits(const struct dz_http_conn *c);
/* The same of a source without a known length: it may wait for ever. */
bool dz_http_stream_is_endless(const struct dz_http_conn *c);
/* It is asked again with dz_http_stream_more(); false: it did not wait. */
bool dz_http_stream_wake(struct dz_http_conn *c);
/* The end, good or bad: frees the source, counts the answer, gives the request back. */
void dz_http_stream_over(struct dz_http_conn *c);
struct dz_http_source *dz_http_memory_source(char *take_heap, size_t n);
/* Sources one after the other, so many bytes of each; an early end breaks it. Takes the sources. */
struct dz_http_part {
    struct dz_http_source *source;
    uint64_t bytes;
};
struct dz_http_source *dz_http_joined_source(const struct dz_http_part *take_parts, size_t n);

/* respond.c: what the server says of a path by itself. */
void dz_http_reply_options(struct dz_http_req *r, unsigned allowed);
/* cors.c: adds the lines that the answer to q needs. */
void dz_http_put_cors(struct dz_http_request *q, struct dz_buf *b);
bool dz_http_is_preflight(const struct dz_http_request *q);
void dz_http_put_preflight(struct dz_http_request *q, unsigned allowed, struct dz_buf *b);

static inline struct dz_http_request *dz_http_request_of(const struct dz_http_req *r)
{
    return dz_container((struct dz_http_req *)(uintptr_t)r, struct dz_http_request, pub);
}
static inline bool dz_http_has(const struct dz_http_request *q, enum dz_http_known k)
{
    return (q->head.known & KNOWN_BIT(k)) != 0;
}
static inline dz_str dz_http_known(const struct dz_http_request *q,
                                   enum dz_http_known k) /* the first one */
{
    return dz_http_has(q, k) ? q->fields[q->head.first[k]].value : (dz_str){0};
}
/* Elements of a list field over all its lines; *at starts at 0 and rest empty. */
struct dz_http_list {
    dz_str rest;
    size_t at; /* next field to look at */
    bool begun;
};
bool dz_http_known_next(const struct dz_http_request *q, enum dz_http_known k,
                        struct dz_http_list *it, dz_str *ret_item);
enum dz_http_encoding dz_http_choose(const struct dz_http_request *q, unsigned offered);
/* For what is compressed for this request alone: ties zstd, br, gzip, identity, since zstd costs a
 * quarter of what the others do. */
enum dz_http_encoding dz_http_choose_quick(const struct dz_http_request *q);

/* ---- server (server.c) ----------------------------------------------------------------------- */

struct dz_http_limits { /* may change while running */
    _Atomic uint32_t max_connections;
    _Atomic int64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms, graceful_timeout_ms;
    _Atomic uint64_t max_header_bytes, max_body_bytes;
};
#define HTTP_LIMIT(s, name) atomic_load_explicit(&(s)->limits.name, memory_order_relaxed)

struct dz_http_listener {
    int fd;
    bool shared; /* all lanes accept from it (UNIX sockets, passed sockets) */
    bool tls;
    unsigned lane;
    char *unlink_path;
};

struct dz_http_server {
    struct dz_http_options o;
    struct dz_http_limits limits;
    struct dz_http_routes *routes;
    struct dz_http_trust *trust;
    char **cors_origins; /* NULL: none */
    bool cors_any;
    char *cors_expose;
    atomic_uint open; /* connections of all lanes */
    struct dz_http_listener *listeners;
    size_t listeners_n;
    struct dz_http_passed *passed; /* sockets that came with the process (passed.c) */
    size_t passed_n;
    pthread_mutex_t accept_lock; /* accepting while descriptors are scarce; spare_fd */
    atomic_bool scarce;
    int null_fd, spare_fd; /* the spare one is given up for a moment when descriptors run out */
    pthread_mutex_t tls_lock;
    struct dz_http_tls_set *tls; /* of the connections to come; under tls_lock; NULL: none */
    struct dz_http_lane **lanes;
    unsigned lanes_n;
    bool started;
    int64_t abandon_ms; /* after the cut: how long a stop still waits for late replies */
    struct dz_http_lane *test_lanes;
};

/* ---- tests (testing.c) ----------------------------------------------------------------------- */

struct dz_http_test_conn;
/* As dz_http_test_feed, but does not wait for late replies. */
void dz_http_test_push(struct dz_http_test_conn *c, dz_str bytes, bool eof);
