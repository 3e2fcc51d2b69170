/*
 * http: an HTTP/1.1 and HTTP/2 origin server (RFC 9110, 9111, 9112, 9113) on dz_loop. Parse, route,
 * respond; conditional and range requests; content negotiation; limits. It knows nothing of comics,
 * stores or catalogs.
 *
 * One server runs on N loops; each loop has a listener of its own (SO_REUSEPORT) and owns the
 * connections it accepted. A handler runs on that loop's thread and must not block; it replies at
 * once or defers and replies later on the same thread. Idle connections hold no buffers: bytes are
 * read into a buffer of the loop and parsed in place.
 *
 * The connection machine works on a `wire` (socket or memory), so that a test can put request bytes
 * in and take response bytes out without a socket.
 */
#pragma once

#include "loop/loop.h"

/* ---- requests -------------------------------------------------------------------------------- */

enum dz_http_method {
    DZ_HTTP_GET = 1 << 0,
    DZ_HTTP_HEAD = 1 << 1,
    DZ_HTTP_POST = 1 << 2,
    DZ_HTTP_PUT = 1 << 3,
    DZ_HTTP_DELETE = 1 << 4,
    DZ_HTTP_OPTIONS = 1 << 5,
    DZ_HTTP_PATCH = 1 << 6,
    DZ_HTTP_OTHER = 1 << 7, /* a token we do not know: 501 unless a route takes it */
    /* No method: a route whose PUT looks at Content-Range itself; others answer 400 to it. */
    DZ_HTTP_PARTIAL = 1 << 8,
    /* No method: the handler runs as soon as the head is there, and takes the body itself with
     * dz_http_read_body(), or answers without it. */
    DZ_HTTP_STREAMED = 1 << 9,
};

struct dz_http_field {
    dz_str name, value; /* value without blanks around it */
};

struct dz_http_conn;
struct dz_http_server;

/* Captures of a route pattern, in order. */
#define DZ_HTTP_CAPTURES_MAX 4

/* Valid from the handler's call until its reply is sent (a late reply ends it at once, one from
 * inside the handler when the handler returns); all slices live in the connection's buffers or its
 * arena, and a deferral does not move them. Owned by the loop's thread. */
struct dz_http_req {
    uint64_t id;
    enum dz_http_method method;
    dz_str method_text;
    dz_str target;   /* as sent */
    dz_str raw_path; /* as sent, without query */
    dz_str path;  /* percent-decoded once; may hold any byte but NUL; "." and ".." segments are left
                     as they are */
    dz_str query; /* without '?', as sent; n = 0 when empty or absent */
    dz_str host;  /* Host as sent, or the authority of absolute-form; may hold a port */
    const struct dz_http_field *fields;
    size_t fields_n;
    dz_str body; /* whole, after chunked decoding; empty on a route that is streamed */
    dz_str capture[DZ_HTTP_CAPTURES_MAX];
    const struct dz_http_route *route; /* NULL in the fallback handler */
    dz_str client_ip; /* text; as a trusted peer says; "unix", "unknown" or "_x" when it is none */
    bool https;       /* this listener is https, or a trusted peer says so */
    uint8_t version_major, version_minor; /* 1.0, 1.1 or 2.0 */
    struct dz_http_conn *conn;
    struct dz_loop *loop;
    void *app;      /* dz_http_options.app */
    void *loop_app; /* what dz_http_options.loop_start returned for this loop */
};

/* First field of that name (case-insensitive), or n = 0, p = NULL. */
dz_str dz_http_header(const struct dz_http_req *r, dz_str name);
/* Value of one query parameter, percent-decoded ('+' is a blank) into the arena; false when absent.
 * First one wins. */
bool dz_http_query(struct dz_http_req *r, dz_str name, dz_str *ret_value);
/* All of them, one after another, both parts decoded so: *rest is the query at first. False: no
 * more. */
bool dz_http_query_next(struct dz_http_req *r, dz_str *rest, dz_str *ret_name, dz_str *ret_value);
/* lives until the reply is sent; made on first use */
struct dz_arena *dz_http_arena(struct dz_http_req *r);

/* ---- routes ---------------------------------------------------------------------------------- */

typedef void dz_http_handler_fn(struct dz_http_req *r);

/* Patterns: "/v1/chapters", "/cdn/{*}" (the rest, at least one character, slashes allowed),
 * "/series/{}" (one segment, not empty). Matching is on the decoded path, but a "%2F" inside a
 * segment does not make a new one. The first row that matches path wins among rows whose pattern is
 * the most literal. HEAD goes with GET; OPTIONS is answered with Allow by the server unless a row
 * takes it; a path that matches only rows of other methods is 405 with Allow. A row without methods
 * ends the search: less literal rows have nothing below its pattern. */
struct dz_http_route {
    const char *name; /* metrics label */
    unsigned methods; /* bits of enum dz_http_method; GET brings HEAD and OPTIONS */
    const char *pattern;
    dz_http_handler_fn *handler;
};

/* ---- prepared responses ---------------------------------------------------------------------- */

struct dz_http_header_line {
    dz_str name, value; /* control characters become blanks, but for tabs */
};

/* What a 200 says. Everything is copied by dz_http_prepare. */
struct dz_http_meta {
    int status;                              /* 0: 200 */
    dz_str content_type;                     /* n = 0: no Content-Type */
    dz_str etag;                             /* with quotes, and W/ when weak; n = 0: none */
    dz_str cache_control;                    /* n = 0: none */
    dz_str content_encoding;                 /* n = 0: identity */
    bool vary_encoding;                      /* Vary: Accept-Encoding */
    int64_t last_modified_s;                 /* < 0: none */
    bool ranges;                             /* Accept-Ranges: bytes, and Range is honoured */
    const struct dz_http_header_line *extra; /* also on 304 and 206 */
    size_t extra_n;
    const struct dz_http_header_line *extra_entity; /* on 200 and 206, not on 304 */
    size_t extra_entity_n;
};

/* A whole response made once and sent often: a counted body holding the header block (all but
 * status line, Date and Connection) and, unless body.p is NULL, the body behind it. body_bytes is
 * Content-Length. Fits a cache as it is. */
struct dz_body *dz_http_prepare(const struct dz_http_meta *m, dz_str body, uint64_t body_bytes);

/* Replies with a prepared 200 (or other status): evaluates RFC 9110 13.2.2 preconditions, Range and
 * If-Range (14), HEAD, and sends 200, 206, 304, 412 or 416. `prepared` is borrowed: when the bytes
 * cannot be written at once the connection takes a reference of its own. */
void dz_http_reply_prepared(struct dz_http_req *r, struct dz_body *prepared);
/* The same with the body in a file (sendfile); prepared holds only the header block. Both borrowed.
 */
void dz_http_reply_file(struct dz_http_req *r, struct dz_body *prepared, struct dz_file *file);

/* Content that is made while it is sent. Used on the loop's thread only. */
struct dz_http_source {
    /* Up to n bytes into p: how many (> 0), 0 at the end, -EAGAIN when there is nothing to send
     * now, or another negative errno when it broke: then the connection (HTTP/2: the stream) is
     * cut, since the status has left. Must not block and does a bounded piece of work a call, so
     * that others get their turn: fewer than n bytes say that this was it for now. */
    ssize_t (*read)(struct dz_http_source *s, char *p, size_t n);
    void (*free)(struct dz_http_source **s);
};
void dz_http_source_free(struct dz_http_source **s);

/* The source of r's answer, which said -EAGAIN, has something again, or its end: it is read later
 * in this turn of the loop. At any time from the reply until the source is freed, on the loop's
 * thread; harmless when it does not wait. While a source waits no timeout cuts the answer; what it
 * has made before and the peer does not take is cut as any answer is. A source of unknown length
 * that waits is cut when the peer closes its side, HTTP/2's RST_STREAM and GOAWAY included, and
 * when the server stops; before the latter, and before GOAWAY ends it, it is asked once more, and
 * dz_http_is_ending() says that it should end. */
void dz_http_source_wake(struct dz_http_req *r);
bool dz_http_is_ending(const struct dz_http_req *r);

/* An answer whose length nobody knows yet: chunked in HTTP/1.1, ended by close in HTTP/1.0, DATA
 * frames in HTTP/2. Takes the source, which is not read for HEAD, 304 and 412. Text types are
 * compressed on the way as the client accepts (ties: zstd, br, gzip, identity), unless meta names
 * an encoding ("identity": as it is) or they are text/event-stream, where each event leaves at
 * once; the ETag is then one of the encoding: "x-zs", "x-br", "x-gz".
 * No Range. The request, its arena included, lives until the last byte is made; then the answer is
 * logged. A source that breaks before its first byte is answered with 500. */
void dz_http_reply_source(struct dz_http_req *r, const struct dz_http_meta *m,
                          struct dz_http_source *take_source);

/* Content of a known length that is made while it is sent: exact Content-Length, and Range,
 * If-Range, the other conditions and HEAD as dz_http_reply_prepared() has them; never compressed.
 * `open` gives the source of `n` bytes (> 0) at `from`, or NULL when it cannot: 500. It is called
 * before the head leaves, once, or with several ranges once for each, in the order of the answer,
 * and not at all for HEAD, 304, 412 and 416. A source that ends early or breaks cuts the answer;
 * more than n bytes are not asked for. m and arg are used inside this call only; the request with
 * its arena lives as long as the sources do. */
typedef struct dz_http_source *dz_http_open_fn(void *arg, uint64_t from, uint64_t n);
void dz_http_reply_content(struct dz_http_req *r, const struct dz_http_meta *m, uint64_t bytes,
                           dz_http_open_fn *open, void *arg);

/* One-off answer: takes the buffer's bytes (left empty). Text types of 500 bytes or more are
 * compressed as the client accepts, unless meta names an encoding; those over 64 KiB while they are
 * sent (see dz_http_reply_source). No Range. meta->etag is honoured for GET and HEAD. */
void dz_http_reply_buf(struct dz_http_req *r, const struct dz_http_meta *m, struct dz_buf *body);
/* Short static text with a status; cache_control may be n = 0. */
void dz_http_reply_text(struct dz_http_req *r, int status, dz_str content_type,
                        dz_str cache_control, dz_str body);
void dz_http_reply_redirect(struct dz_http_req *r, int status, dz_str location,
                            dz_str cache_control);
/* As the server refuses by itself, through options.error_body; `why` may be NULL. */
void dz_http_reply_error(struct dz_http_req *r, int status, const char *why);
/* 405 for the path's routes / for a handler that finds out late. */
void dz_http_reply_not_allowed(struct dz_http_req *r, unsigned allowed_methods);

/* "Not Found" for 404, as RFC 9110 15 words it; static. */
const char *dz_http_reason(int status);

/* Keeps the request open; the handler returns without a reply and one of the reply functions must
 * be called later on the loop's thread, exactly once, even when dz_http_is_gone() says that nobody
 * listens any more. Pipelined requests behind it wait. */
void dz_http_defer(struct dz_http_req *r);
bool dz_http_is_gone(const struct dz_http_req *r);
/* Instead of that late reply, when the gate has deferred and said true: the request goes on as if
 * the gate had said false. */
void dz_http_go_on(struct dz_http_req *r);
/* A line of whatever answer the request gets, instead of an earlier one of that name; before the
 * reply. */
void dz_http_set_line(struct dz_http_req *r, dz_str name, dz_str value);
/* Gone, or over HTTP/1.1 closed on its side, which is how most clients go: the few that only say
 * so that nothing more comes would still read a reply. A system call: for looks now and then at a
 * request that is dear to answer. */
bool dz_http_has_left(const struct dz_http_req *r);

/* ---- bodies as they come --------------------------------------------------------------------- */

/* What takes the body of a request on a DZ_HTTP_STREAMED route; lives until the request is replied
 * to. Both are called on the loop's thread, never from inside dz_http_read_body() or
 * dz_http_body_more(), and must not reply: post a message. */
struct dz_http_sink {
    /* The next bytes, decoded, good during the call. False: these were taken, but no more until
     * dz_http_body_more(). */
    bool (*data)(struct dz_http_sink *s, dz_str bytes);
    /* Once, and nothing after it. status 0: the body is whole. Else it never will be, and the
     * request wants an answer with that status: 408, 413 (over max), 400 (malformed, or the client
     * has left: dz_http_is_gone()). `why` is static. */
    void (*end)(struct dz_http_sink *s, int status, const char *why);
};
/* From a handler of such a route that has deferred, or later; once. Until then nothing of the body
 * is asked for (100-continue) or read. A body above max is refused unread when its length says so.
 * max_body does not count here; the rate below which a body stalls does, but not while the sink
 * waits. A reply before the end is allowed: HTTP/1.1 closes behind it unless all of the body has
 * come already, HTTP/2 resets the stream. */
void dz_http_read_body(struct dz_http_req *r, struct dz_http_sink *sink, uint64_t max);
/* After data() said false; later than the end it does nothing. */
void dz_http_body_more(struct dz_http_req *r);

/* multipart/form-data, RFC 7578, in pieces of any size. Any thread, one at a time. */
struct dz_multipart;
struct dz_multipart_part { /* slices are good during the call */
    dz_str name;           /* n = 0: none */
    bool has_filename;
    dz_str filename;
    dz_str content_type; /* as sent, trimmed; n = 0: none */
};
/* Told in the order of the body; a failure ends the reading and is returned by feed. */
struct dz_multipart_reader {
    enum dz_code (*begin)(void *arg, const struct dz_multipart_part *part, struct dz_err *err);
    enum dz_code (*data)(void *arg, dz_str bytes, struct dz_err *err); /* n > 0 */
    enum dz_code (*end)(void *arg, struct dz_err *err);
    void *arg;
};
bool dz_http_is_multipart(dz_str content_type);
/* DZ_BAD_INPUT "Missing boundary in multipart." */
DZ_MUST enum dz_code dz_multipart_new(dz_str content_type, const struct dz_multipart_reader *reader,
                                      struct dz_multipart **ret_m, struct dz_err *err);
/* DZ_BAD_INPUT: malformed (also: over 1,000 parts, 8 KiB of header fields in one, a transfer
 * encoding); what the reader failed with. Not to be fed again then. */
DZ_MUST enum dz_code dz_multipart_feed(struct dz_multipart *m, dz_str bytes, struct dz_err *err);
/* The body is over. DZ_BAD_INPUT without the final boundary. */
DZ_MUST enum dz_code dz_multipart_end(struct dz_multipart *m, struct dz_err *err);
void dz_multipart_free(struct dz_multipart **m);

/* Negotiation, RFC 9110 12.5.3. Bits offered; returns the one best liked, DZ_HTTP_IDENTITY when
 * nothing fits or the client says nothing. Ties: br, zstd, gzip, identity. */
enum dz_http_encoding {
    DZ_HTTP_IDENTITY = 1 << 0,
    DZ_HTTP_GZIP = 1 << 1,
    DZ_HTTP_BR = 1 << 2,
    DZ_HTTP_ZSTD = 1 << 3
};
enum dz_http_encoding dz_http_choose_encoding(const struct dz_http_req *r, unsigned offered);
/* True when the client prefers text/html over JSON by its Accept (a browser). */
bool dz_http_wants_html(const struct dz_http_req *r);
/* Weight of a media type by Accept, RFC 9110 12.5.1, in thousandths; 0: not wanted, or there is no
 * Accept. type is the part of `full` before its slash. by_name: a range with "*" does not count. */
int dz_http_weight(const struct dz_http_req *r, dz_str type, dz_str full, bool by_name);

/* ---- server ---------------------------------------------------------------------------------- */

/* X-Forwarded-For and -Proto, or Forwarded (RFC 7239). A proxy that sets one kind hands on what a
 * client wrote into the other, so exactly one kind is read. */
enum dz_http_forwarding {
    DZ_HTTP_FORWARDED_ANY, /* X-Forwarded-* when one of them is there, else Forwarded */
    DZ_HTTP_FORWARDED_X,
    DZ_HTTP_FORWARDED,
};

struct dz_http_options {
    const struct dz_http_route *routes;
    size_t routes_n;
    dz_http_handler_fn *fallback; /* no route matched; NULL: plain 404 */
    /* Before any handler; true: it has replied or deferred; NULL: none. */
    bool (*gate)(struct dz_http_req *r);
    /* For what the server refuses by itself (400, 405, 408, 413, 414, 416, 417, 431, 500, 501, 503,
     * 505): appends a body to `out`, or nothing for a short text. `why` names the part of the
     * request that is wrong; NULL: nothing to add. */
    void (*error_body)(int status, const char *why, struct dz_buf *out, dz_str *ret_content_type);
    void *app;
    void *(*loop_start)(
        void *app,
        struct dz_loop *l); /* once a loop, on the loop's thread, before it accepts; may be NULL */
    void (*loop_stop)(void *app, void *loop_app); /* on the loop's thread, after its last turn */

    /* Limits; 0 takes the default of the settings. Times count: a whole head from its first byte
     * (from accept for the first request); a body and an answer being read, without at least 256
     * bytes a second; idle between requests. */
    uint32_t max_connections; /* over all loops; one more is answered 503 and closed */
    int64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms, graceful_timeout_ms;
    uint64_t max_header_bytes, max_body_bytes;
    const char *const *trusted_proxies; /* CIDR texts, NULL-terminated; may be NULL */
    enum dz_http_forwarding forwarded;  /* which of their fields are read */
    const char *const *cors_origins;    /* NULL: none; {"*", NULL} any */
    dz_str cors_expose;                 /* Access-Control-Expose-Headers */
    /* Once an answer, on the loop's thread; bytes of the body. Of a request that was refused
     * unparsed the texts may be empty. NULL: no log. */
    void (*access)(void *app, const struct dz_http_req *r, int status, uint64_t bytes, int64_t ns);
};

/* Everything is copied but routes and the strings behind them. */
DZ_MUST enum dz_code dz_http_server_new(const struct dz_http_options *o,
                                        struct dz_http_server **ret_s, struct dz_err *err);
/* "127.0.0.1:8080", "[::1]:0", "unix:/path" (a stale socket file is replaced), "systemd:" (all
 * sockets that were passed, sd_listen_fds(3)) or "systemd:NAME" (those of that name); "https://" in
 * front of any of them makes the connections TLS, which needs dz_http_tls_load() before. Port 0:
 * the chosen one is printed into ret_address ("127.0.0.1:40123", "https://127.0.0.1:40124"; at
 * least 128 bytes; of several passed sockets the first). Before start only. Names what is wrong:
 * "127.0.0.1:8080 is in use". */
DZ_MUST enum dz_code dz_http_listen(struct dz_http_server *s, const char *address, unsigned loops,
                                    char *ret_address, struct dz_err *err);
/* Certificates of the https listeners: a PEM file with the chain, leaf first, and one with the key.
 * The pair whose names (SAN) fit the client's SNI is used; the first one when none fits or none was
 * asked for. */
struct dz_http_tls_pair {
    const char *certificate, *key;
};
struct dz_http_tls_options {
    const struct dz_http_tls_pair *pairs;
    size_t pairs_n; /* at least 1 */
    bool tls_1_2;   /* spoken besides TLS 1.3 */
    bool http2;     /* offered by ALPN (RFC 7301) besides http/1.1 */
    bool kernel;    /* kernel TLS where kernel and cipher can; else OpenSSL goes on by itself */
    /* What a person should hear of although all was loaded, a line each: a certificate out of its
     * dates, a key that everybody may read. NULL: nobody wants to know. */
    struct dz_buf *warnings;
};
/* Reads the files; again at any time (SIGHUP): connections from then on use the new ones. On
 * failure nothing changes: DZ_IO or DZ_BAD_INPUT naming the file and what is wrong with it (no PEM,
 * key of another certificate, expired is a warning only). Any thread, may block. */
DZ_MUST enum dz_code dz_http_tls_load(struct dz_http_server *s, const struct dz_http_tls_options *o,
                                      struct dz_err *err);

/* Address of the i-th socket that is listened on, written as dz_http_listen() does, into at least
 * 128 bytes; false: there are no more. Passed sockets say here where they really are. */
bool dz_http_listening(const struct dz_http_server *s, size_t i, char *ret_address);

/* Name and address of the i-th passed socket that no listener has taken, such as "web
 * (127.0.0.1:80)", into at least 128 bytes; false: there are no more. */
bool dz_http_passed_unused(const struct dz_http_server *s, size_t i, char *ret_text);

/* Starts `loops` threads. */
DZ_MUST enum dz_code dz_http_start(struct dz_http_server *s, unsigned loops, struct dz_err *err);
/* Stops accepting, closes idle connections, lets running answers end within graceful_timeout_ms,
 * joins the threads. Answers written from now on carry Connection: close. Deferred requests are
 * waited for after that too (30 s at most), so the pool that makes their answers must still run.
 * The loops stay, and what is posted to them waits there: a worker may be busy with work whose home
 * one of them is. NULL and a server that was never started are fine. Blocking. */
void dz_http_end(struct dz_http_server *s);
/* After dz_http_end (which it does when nobody has) and the end of the pool whose work has the
 * loops as its home: frees. What was posted and not delivered is dropped now; done of such work is
 * called. */
void dz_http_stop(struct dz_http_server **s);
/* For SIGHUP: timeouts and limits take effect for new requests. Any thread. */
void dz_http_update(struct dz_http_server *s, const struct dz_http_options *o);

/* Counters of all loops added up: a point in time, no lock. */
#define DZ_HTTP_BUCKETS 16 /* upper bounds in dz_http_bucket_us */
extern const uint64_t dz_http_bucket_us[DZ_HTTP_BUCKETS];
struct dz_http_route_stats {
    const char *route;     /* "none" for the fallback and for what the server refused */
    uint64_t by_status[6]; /* [1]: 1xx … [5]: 5xx */
    uint64_t bucket[DZ_HTTP_BUCKETS + 1]; /* not cumulative; the last is +Inf */
    uint64_t sum_ns, count;
};
struct dz_http_stats {
    uint64_t connections_open, connections_total, connections_refused;
    uint64_t bytes_in, bytes_out, parse_errors, timeouts;
    struct dz_http_route_stats *routes; /* routes_n + 1 rows, in the arena given */
    size_t routes_n;
};
void dz_http_stats(struct dz_http_server *s, struct dz_arena *a, struct dz_http_stats *ret_stats);

/* ---- for tests: a connection without a socket ------------------------------------------------ */

/* Feeds request bytes to a fresh connection of server s on loop l (never started) and collects what
 * it answers. `eof` says that the client half-closes afterwards. Turns the loop until no deferred
 * request is open and no content of a known length waits (2 s at most; HTTP/2: nor any other). The
 * client's address is 192.0.2.1. Free the connections, then stop the server, then free the loop. */
struct dz_http_test_conn;
struct dz_http_test_conn *dz_http_test_open(struct dz_http_server *s, struct dz_loop *l);
/* The same, speaking HTTP/2 from the first byte, as if TLS had agreed on it. */
struct dz_http_test_conn *dz_http_test_open_h2(struct dz_http_server *s, struct dz_loop *l);
void dz_http_test_feed(struct dz_http_test_conn *c, dz_str bytes, bool eof);
dz_str dz_http_test_output(struct dz_http_test_conn *c); /* all bytes so far */
bool dz_http_test_closed(const struct dz_http_test_conn *c);
/* short writes; 0: none succeed */
void dz_http_test_write_limit(struct dz_http_test_conn *c, size_t bytes_per_write);
void dz_http_test_free(struct dz_http_test_conn **c);
