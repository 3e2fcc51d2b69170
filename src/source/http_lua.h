/*
 * http_lua: what the files of the `http` module share.
 *
 * mod_http.c makes the functions that Lua sees, http_options.c reads their options, http_request.c
 * sends and tries again, http_response.c makes response objects, http_loops.c follows pages and
 * asks for many addresses at once.
 *
 * Every request is a struct http_op on the heap. A userdata (its box) in the frame of the C
 * function that waits owns it, so that an error of Lua frees it; while the answer is under way the
 * op outlives its box, and done() frees it.
 */
#pragma once

#include "source/source_int.h"

#define HTTP_TRIES_MAX 10           /* of one request, whatever a handler says */
#define HTTP_PAGES_MAX 1000         /* of one http.aggregate */
#define HTTP_TIMEOUT_MAX_S 600.0    /* connect and read */
#define HTTP_DELAY_MAX_S 3600.0     /* opts.delay */
#define HTTP_CACHE_MAX_S 31536000.0 /* opts.cache */
#define HTTP_FIELDS_MAX 64          /* header fields of one request */
#define HTTP_MEMO_MAX 256           /* results of `map` and aggregates that a run remembers */
#define HTTP_MEMO_MS 300000         /* how long, when opts.cache names no time */

struct http_session { /* a userdata; lives as long as its run or until nobody refers to it */
    struct dz_fetch_session *s; /* NULL: exchanges are recorded ones */
    bool ended;
};

struct http_op;
/* The response lies on top of the stack, above op->base; returns what the function returns. */
typedef int http_finish_fn(lua_State *L, struct http_op *op);

/* The userdata of an operation. */
struct http_box {
    struct http_op *op; /* first, so that a box is the pointer to its operation */
    size_t held;        /* bytes of the content to send, counted against the run's memory */
};

struct http_op {
    struct http_op **box; /* the userdata; NULL: nobody waits any longer */
    const char *what;     /* "http.get", for messages; static */
    http_finish_fn *finish;
    int base; /* slots of the frame that are kept: 1 is the box, 2 the options */
    struct src_task *task;
    struct dz_fetch_call *call;
    bool pending;

    struct dz_arena *arena; /* texts of the request */
    struct dz_buf url, body;
    struct dz_fetch_req req;
    struct http_session *session; /* anchored by the box's user value */
    int64_t delay_ms;
    unsigned tries, pages;
    bool judged; /* a handler of the source has seen an answer */

    struct dz_arena *answer; /* texts of the answer */
    enum dz_fetch_kind kind;
    struct dz_err err;
    int status;
    int64_t retry_after_ms;
    uint64_t requests;
    dz_str from;
    const struct dz_fetch_header *headers;
    size_t headers_n;
    struct dz_body *bytes;
    bool from_cache;
};

/* ---- http_options.c -------------------------------------------------------------------------- */

/* Pushes a new table: the options at `defaults` (0: none; made by this function before) with those
 * of the table at `opts` (nil or none: nothing) over them. Raises for unknown names and wrong
 * types, naming `what`. */
void http_merge(lua_State *L, const char *what, int defaults, int opts);
/* Reads merged options into the request: address with its query, header fields, content, limits. */
void http_fill(lua_State *L, struct http_op *op, int options, dz_str method, dz_str url);
/* The address of a further page: nothing of `query` is added. */
void http_set_url(lua_State *L, struct http_op *op, dz_str url);

/* ---- http_request.c -------------------------------------------------------------------------- */

struct http_op *http_new_op(lua_State *L, const char *what); /* its box is pushed */
/* One attempt, and those that handlers ask for; then op->finish. Call it last, as src_wait. */
int http_go(lua_State *L, struct http_op *op);
/* The normal form of an address, so that equal ones are equal; pushed. */
void http_push_normal(lua_State *L, dz_str url);
/* Key of a remembered result: the address, the fields that are sent, where the function at `fn` is
 * written and what it captures; pushed, a table; nil when nothing may be remembered. */
void http_push_key(lua_State *L, const struct http_op *op, int options, int fn);
/* Pushes what is remembered and returns true; else pushes nothing. */
bool http_recall(lua_State *L, int key);
void http_remember(lua_State *L, int key, int options, int value); /* no nil */

/* ---- http_response.c ------------------------------------------------------------------------- */

void http_push_response(lua_State *L, struct http_op *op); /* takes the answer's content */
/* Whether the answer is a riddle for browsers instead of the page. */
bool http_is_challenge(const struct http_op *op);

/* ---- http_loops.c ---------------------------------------------------------------------------- */

/* Both have their arguments at 1, 2 and 3 and merged options at `options`. */
int http_aggregate(lua_State *L, int options, struct http_session *session, int session_at);
/* ask(url, options, fn, index): a C function that is run in a task for each address. */
int http_fan_out(lua_State *L, int options, int ask);
