/*
 * graphql_int: what the files of /api/graphql share.
 *
 * A request takes a picture of what can be asked (struct graph_world): the schema, and the rows of
 * each collection that fits into memory. Pictures are immutable and counted. One is at most
 * GRAPH_FRESH_MS old when a request begins with it; the first request after that waits for a worker
 * that looks whether the catalog has changed (graphql_world.c). What needs more of the catalog than
 * the picture has is run on a worker as a whole (graphql_run.c).
 */
#pragma once

#include "api/api_int.h"
#include "graphql/graphql.h"

#include <jansson.h>

#define GRAPH_FRESH_MS 100
#define GRAPH_BODY_MAX ((size_t)4 * 1024 * 1024) /* of a request: text, variables and all */
/* A request that is longer is read and run by a worker: JSON takes up to 45 ns a byte. */
#define GRAPH_SMALL_REQUEST ((size_t)16 * 1024)
/* So many series, or rows in their stead, are looked at on a loop: some milliseconds of it. */
#define GRAPH_SCANS_MAX 20000u
/* What a request holds up to this is not counted, and is sent as one piece. */
#define GRAPH_SMALL_ANSWER ((size_t)256 * 1024)

/* ---- rows of a collection (graphql_table.c) ---------------------------------------------------
 */

/* A row is a value for each field of the collection. */
struct graph_table {
    atomic_uint refs;
    uint64_t rows_rev;
    bool is_big; /* too large for this: read by workers for each request */
    struct dz_arena *arena;
    struct dz_collection_value *cells;
    dz_str *quoted; /* for each cell that is a text, as JSON in ASCII */
    size_t rows_n, fields_n;
    struct dz_map by_key; /* key as text → row */
    uint32_t **orders;    /* for each query of the collection: rows as it orders them */
    size_t orders_n;
};
/* Worker; blocks. */
DZ_MUST enum dz_code graph_table_read(struct dz_catalog *c, const struct dz_collection *coll,
                                      uint64_t rows_rev, struct graph_table **ret_t,
                                      struct dz_err *err);
struct graph_table *graph_table_ref(struct graph_table *t);
void graph_table_unref(struct graph_table **t);
/* As the catalog orders values. */
int graph_compare(const struct dz_collection_value *a, const struct dz_collection_value *b);

/* ---- values kept by text (graphql_memo.c) ------------------------------------------------------
 */

/* Text → counted value. Bounded: two generations, of which the older is forgotten when the younger
 * is half of it all. Any thread. */
struct graph_memo;
struct graph_memo *graph_memo_new(size_t max_bytes, void *(*ref)(void *v), void (*unref)(void *v));
void graph_memo_free(struct graph_memo **m);
void *graph_memo_get(struct graph_memo *m, dz_str key); /* with a reference; NULL: none */
/* value is ref'd; bytes: what it takes besides the key. */
void graph_memo_put(struct graph_memo *m, dz_str key, void *value, size_t bytes);

/* ---- what can be asked (graphql_schema.c, graphql_world.c) ------------------------------------
 */

/* A collection in a schema. */
struct graph_coll {
    struct dz_collection *coll;
    size_t at; /* its place, also of its table */
    struct graph_field {
        size_t at, coll; /* its place, and that of its collection */
        const struct dz_collection_field *field;
    } * fields;
};
/* A query of a collection; which argument is where, -1: it has no such. */
struct graph_query {
    const struct graph_coll *of;
    const struct dz_collection_query *query;
    size_t nth;
    int one, many, from, to, filter; /* filter: the first of them */
};

struct graph_shape {
    atomic_uint refs;
    struct dz_gql_schema *schema;
    struct dz_gql_limits limits;
    struct dz_arena *arena;
    struct graph_coll *colls;
    size_t colls_n;
    struct graph_memo *docs; /* text → document */
};
/* Collections that cannot be in one schema with the rest are left out, which is logged. Refs what
 * it keeps. */
DZ_MUST enum dz_code graph_shape_new(struct dz_collection *const *colls, size_t n,
                                     const struct dz_gql_limits *limits, struct graph_shape **ret_s,
                                     struct dz_err *err);
struct graph_shape *graph_shape_ref(struct graph_shape *s);
void graph_shape_unref(struct graph_shape **s);

struct graph_world {
    atomic_uint refs;
    struct graph_shape *shape;
    struct graph_table **tables; /* for each collection of the shape */
    uint64_t digest;             /* of the declarations */
};
struct graph_world *graph_world_ref(struct graph_world *w);
void graph_world_unref(struct graph_world **w);

/* ---- one request -------------------------------------------------------------------------------
 */

/* A connection that is being written, and its edge. */
struct graph_range {
    size_t from, to, n; /* [from, to) of n */
    size_t at;          /* the edge */
};
#define GRAPH_RANGES 5
struct graph_source {
    dz_str name;
    bool enabled;
    uint64_t series, chapters;
};
struct graph_page {
    int64_t series_id, chapter_id; /* chapter 0: a cover */
    const struct dz_snap_page *page;
};
/* Objects of the library that are being written: one of a kind at a time, since none lies inside
 * another of its kind. */
struct graph_library {
    struct graph_range ranges[GRAPH_RANGES];
    const struct dz_snapshot **found; /* series of the connection */
    const struct dz_snapshot *snap;
    const struct dz_snap_chapter *chapter;
    struct graph_jobs {
        struct dz_job_rec *v;
        size_t n;
        bool is_read;
    } jobs, jobs_in[DZ_JOB_STATES]; /* all, and those of a state: made once for a request */
    const struct dz_job_rec *job_list;
    struct graph_source *source_list;
    size_t scans; /* series and rows that its queries will look at */
    struct graph_page page, cover;
    char text[160]; /* of the scalar that is being written */
};

/* The context of resolvers. */
struct graph_ctx {
    const struct graph_world *world;
    const struct dz_view *view;
    struct dz_catalog *catalog;
    bool may_block, wants_worker;
    struct graph_library library;
};

struct graph_run {
    struct dz_http_req *req;
    struct dz_api *api;
    struct api_loop *loop;
    struct dz_arena *arena;
    struct graph_ctx ctx;
    struct graph_world *world;
    struct dz_view *view;

    /* What was asked. Texts live in the request or in `body`. */
    dz_str text, operation, hash; /* hash: of a persisted document, n = 0: none */
    struct dz_gql_value variables;
    json_t *body, *parsed;     /* parsed: variables that came as text */
    struct dz_body *kept_text; /* of a persisted document */
    bool pretty, by_get;
    bool other_type; /* application/graphql-response+json */
    bool is_large;   /* more than GRAPH_SMALL_REQUEST: not read yet */

    struct dz_gql_doc *doc;
    struct dz_gql_exec *exec;
    struct dz_buf out;
    struct graph_run *next;
    struct dz_work work;
    struct dz_msg msg;
    struct dz_timer look;
    atomic_bool stop;
    bool deferred, at_worker;
    uint32_t turns;
    int64_t until_ms;
    size_t held; /* its part of what all requests hold */
    int status;  /* of the answer in `out`; 0: none yet */
    dz_str allow;
};

/* Answers, and frees the run; on a worker the answer waits for the loop, and the run lives. */
void graph_reply(struct graph_run *g, int status);
void graph_reply_errors(struct graph_run *g, int status, const struct dz_gql_errors *errors);
void graph_reply_error(struct graph_run *g, int status, const char *message);
void graph_reply_not_by_get(struct graph_run *g, const char *kind); /* "mutation" */
void graph_reply_persisted(struct graph_run *g, const char *message);
void graph_reply_busy(struct graph_run *g); /* 503, to be tried again in a second */
void graph_run_free(struct graph_run *g);
/* The answer of a worker leaves. The loop's thread. */
void graph_send(struct graph_run *g);
/* All parameters of the request; false: answered. */
bool graph_read(struct graph_run *g);
/* The run holds so many bytes now; false: that is more than all together may
 * (graphql.max_memory), and another one goes on instead. Any thread. */
bool graph_hold(struct graph_run *g, size_t bytes);
/* The world is there: from the text to the answer (graphql_run.c). */
void graph_run_begin(struct graph_run *g);

/* All requests together (graphql_world.c). */
struct graphql {
    pthread_mutex_t lock; /* what follows */
    struct graph_world *world;
    int64_t checked_ms; /* monotonic */
    bool is_checking;
    struct graph_run *waiting;
    unsigned works;          /* requests at workers */
    struct graph_run *queue; /* that wait for this, the longest first */
    size_t queue_n;

    atomic_size_t held;   /* bytes of large requests and answers, until they are sent */
    atomic_size_t unsent; /* those of them that are answers and only wait for that */
    _Atomic(struct graph_run *) first; /* may go on when `held` is too much; NULL: nobody does */
    struct graph_memo *persisted;      /* digest in hex → text */
    struct graph_check *check;
};
/* graph_run_begin() now, or when a worker has looked. */
void graph_world_for(struct graph_run *g);
void graph_run_init(struct graph_run *g); /* its message */
/* The request stays open; the run goes on when its message arrives. */
void graph_run_defer(struct graph_run *g);

/* ---- the schema -------------------------------------------------------------------------------
 */

/* Types and queries of a collection (graphql_table.c). */
void graph_add_collection(struct dz_gql_builder *b, struct dz_gql_type *query,
                          struct graph_coll *of, bool with_enums, struct dz_arena *a);
/* Those of the library (graphql_library.c). */
void graph_add_library(struct dz_gql_builder *b, struct dz_gql_type *query);

/* ---- the page (graphql_page.c) ----------------------------------------------------------------
 */

void graph_reply_page(struct dz_http_req *r);
