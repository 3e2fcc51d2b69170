/*
 * ops: the operations of the library API, as one table: what registers the routes under /api, what
 * decides who may call them (token.c), and what /api/openapi.json says of them (openapi.c), so that
 * the three cannot differ.
 */
#pragma once

#include "api/api.h"

enum api_type { API_TEXT, API_FLAG, API_TEXTS, API_MARK };

struct api_param {
    const char *name; /* NULL: the end */
    enum api_type type;
    const char *says;
    bool required;
};

/* What an operation answers; name of a schema of openapi.c, NULL: no content. */
struct api_answer {
    int status; /* 0: the end */
    const char *type, *schema, *says;
};
#define API_ANSWERS_MAX 6

struct api_op {
    const char *id;   /* operationId, and the name of the route in metrics */
    unsigned methods; /* one bit of enum dz_http_method */
    const char *path; /* "/api/dl_state/{id}" */
    dz_http_handler_fn *handler;
    const char *summary;
    bool changes;                   /* a write: token and origin are looked at */
    const struct api_param *params; /* of the query; NULL: none */
    const char *body;               /* schema of the JSON it takes; NULL: none */
    bool body_optional;
    struct api_answer answers[API_ANSWERS_MAX];
};
extern const struct api_op api_ops[];
extern const size_t api_ops_n;

/* Those routes and behind them one for each operation; strings and array go to the arena. */
struct dz_http_route *api_routes_new(const struct dz_http_route *others, size_t others_n,
                                     struct dz_arena *a, size_t *ret_n);
/* The operation of the request's route; NULL: a route of another family. */
const struct api_op *api_op_of(const struct dz_http_req *r);

/* ---- who may (token.c) ----------------------------------------------------------------------- */

/* Before the handler of an operation: true when it has answered. */
bool api_refused(struct dz_http_req *r, const struct api_op *op);
/* The same for what changes something and is no operation. */
bool api_write_refused(struct dz_http_req *r);

/* ---- the description (openapi.c) ------------------------------------------------------------- */

/* Appends the whole OpenAPI document. */
void api_openapi_put(struct dz_buf *out);
void handle_api_openapi(struct dz_http_req *r);
void handle_api_events(struct dz_http_req *r); /* events.c */

/* ---- states of downloads (download_state.c) -------------------------------------------------- */

struct download_facts {
    dz_str file;   /* the name it gets, without extension */
    int64_t pages; /* -1: not known */
};
/* The texts go to the arena. */
void download_facts_read(dz_str args, struct dz_arena *a, struct download_facts *ret_args);
const char *download_state_name(const struct dz_job_rec *j); /* "QUEUED" …; static */
void download_state_put_with(struct dz_json *j, const struct dz_job_rec *job,
                             const struct download_facts *args);
/* The state object of contracts/nagato.md 4.1; reads the arguments of the row as well. */
void download_state_put(struct dz_json *j, const struct dz_job_rec *job);
