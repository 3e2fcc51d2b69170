/*
 * nagato_int: what the files of the library API (contracts/nagato.md 4) share: one mechanism for
 * requests that wait, and their parameters.
 *
 * A handler makes a `struct ask` and leads it from step to step: ask_work() runs a function on a
 * worker, ask_call() asks the back; `next` comes on the loop's thread when the step has worked, and
 * leads on or answers. A step that fails answers by itself. Each ask ends in one ask_reply…(),
 * which frees it; ask_new() and the functions that say so may have answered already. A client that
 * has gone ends the calls to the back that were made for it.
 */
#pragma once

#include "api/api_int.h"

#include <jansson.h>

#define ASK_REFS_MAX 10000u                    /* chapters or ids in one request */
#define ASK_TEXT_MAX ((size_t)DZ_TEXT_MAX)     /* bytes of a site or an id */
#define ASK_URL_MAX ((size_t)8 * 1024)         /* bytes of an address */
#define ASK_BODY_MAX ((size_t)3 * 1024 * 1024) /* fits a call to the back */

struct ask;
typedef void ask_next_fn(struct ask *a); /* loop's thread */
/* Worker; may block. The code of a failure that ask_refuse() did not word decides on the status. */
typedef enum dz_code ask_work_fn(struct ask *a, struct dz_err *err);

struct ask_param {
    dz_str name, value;
};

/* One call to the back. */
struct ask_call {
    const char *name;
    json_t *args;     /* taken; NULL: none */
    bool may_be_gone; /* what is not at its site (any more) fails nothing but leaves no value */
    json_t *value;    /* what it said; lives as long as the ask */
    struct ask *of;
    struct dz_call *handle; /* while it is under way */
};

/* A chapter or series at its source. */
struct ask_ref {
    dz_str site, id;
};

struct ask {
    struct dz_http_req *req;
    struct dz_api *api;
    struct dz_catalog *catalog;
    struct dz_arena *arena; /* goes with the ask; used by whoever runs its step */
    const struct ask_param *params;
    size_t params_n;
    const json_t *value;  /* of the last ask_call; NULL after a lenient one: there is no back */
    bool lenient;         /* the next call may find no back */
    struct ask_ref *refs; /* after ask_ref_local(): one; ask_refs(): of the body */
    size_t refs_n;
    void *own;         /* the route's */
    struct dz_buf out; /* body of the answer */

    /* What the mechanism keeps for itself. */
    struct api_loop *loop;
    struct dz_work work;
    struct dz_msg msg;
    struct dz_timer gone;
    ask_work_fn *run;
    ask_next_fn *next, *then;
    enum dz_code code;
    struct dz_err err;
    int refused; /* status of an answer that a worker has worded; 0: none */
    bool deferred;
    int64_t until_ms; /* of all calls together */
    struct ask_call *calls;
    size_t calls_n, calls_begun, calls_open;
    dz_str *sites; /* of the refs */
    size_t sites_n;
    json_t *body, *kept; /* kept: array of what lives as long as the ask */
};

/* What all asks share. */
struct nagato {
    atomic_uint works, calls; /* how many are at workers; calls that are open */
    pthread_mutex_t lock;     /* sites */
    json_t *sites;            /* ids, as the back gave them last; NULL: never */
};

/* ---- nagato_work.c --------------------------------------------------------------------------- */

/* Parameters are read. NULL: answered (503, or 400 for a query that is not text). */
struct ask *ask_new(struct dz_http_req *r);
void ask_work(struct ask *a, ask_work_fn *run, ask_next_fn *next);
/* a->value is the answer. */
void ask_call(struct ask *a, const char *name, json_t *take_args, ask_next_fn *next);
/* Several at once, a few at a time; v lives in the arena. The first that fails ends all, but see
 * may_be_gone. */
void ask_calls(struct ask *a, struct ask_call *v, size_t n, ask_next_fn *next);
/* So many things are asked about one after another: the calls get longer. */
void ask_more_time(struct ask *a, size_t n);
/* From a worker: the answer will be this status with these words; returns a code that is not 0. */
enum dz_code ask_refuse(struct ask *a, int status, const char *before, dz_str what,
                        const char *after);

/* The end of an ask. JSON, or another type, from a->out. */
void ask_reply(struct ask *a, int status);
void ask_reply_written(struct ask *a); /* with 200: what follows a step that has written it */
void ask_reply_as(struct ask *a, int status, dz_str type, const struct dz_http_header_line *extra,
                  size_t extra_n);
void ask_reply_empty(struct ask *a, int status);
void ask_reply_words(struct ask *a, int status, const char *before, dz_str what, const char *after);
/* What needs a source, and there is nobody to ask it. */
void ask_reply_no_back(struct ask *a);
/* What needs no ask: text/plain. retry_s 0: no Retry-After. */
void nagato_text(struct dz_http_req *r, int status, unsigned retry_s, dz_str words);

/* Owned by the ask from now on; returns v. */
json_t *ask_keep(struct ask *a, json_t *take_v);
/* A writer of JSON in the original's style into a->out. */
void ask_json(struct ask *a, struct dz_json *ret_j);
void put_json(struct dz_json *j, const json_t *v);

/* ---- nagato.c: parameters and what they select ----------------------------------------------- */

bool ask_param(const struct ask *a, dz_str name, dz_str *ret_value); /* the first one */
bool ask_flag(const struct ask *a, dz_str name);                     /* exactly "true" */
/* {"url"} or {"site", "id"}, as the back takes it; NULL: answered with 400. */
json_t *ask_ref_args(struct ask *a);
/* a->refs[0]: the chapter or series that is selected, for what the catalog knows. The back is asked
 * for addresses (call: "series_id" or "chapter_id"), and for sites that it did not name before;
 * `lenient` goes on with such a site when there is no back. */
void ask_ref_local(struct ask *a, const char *call, bool lenient, ask_next_fn *next);
/* a->refs: the chapters of a refs body, each once, in its order. */
void ask_refs(struct ask *a, bool lenient, ask_next_fn *next);
/* a->refs is nothing, but the site of the query, when there is one, is there. */
void ask_site(struct ask *a, bool lenient, ask_next_fn *next);
/* ids of the query (ids, else ids[]), each once; NULL: there are none. */
dz_str *ask_ids(struct ask *a, size_t *ret_n);
/* The same of a JSON array, from a worker. */
DZ_MUST enum dz_code ask_ids_of(struct ask *a, const json_t *array, dz_str **ret_v, size_t *ret_n);
/* The body, when it says that it is JSON and is; else NULL. Lives as long as the ask. Worker. */
DZ_MUST enum dz_code ask_body(struct ask *a, json_t **ret_v);
/* The words for a body that is not, or has another shape. Worker. */
enum dz_code ask_not_json(struct ask *a);
/* The sites that have a source, asked anew; site_is_known() is from then on right. */
void ask_sources(struct ask *a, ask_next_fn *next);
bool site_is_known(struct ask *a, dz_str site);
json_t *json_of(dz_str s);                   /* of a text that came in */
json_t *json_ref(const struct ask_ref *ref); /* {"site", "id"} */
/* The back's answer has not the shape that was agreed on. */
void ask_reply_nonsense(struct ask *a);

/* ---- marks.c; on a worker -------------------------------------------------------------------- */

const char *mark_name(char mark); /* "DOWNLOADED", "IGNORED"; NULL: none */
/* One a ref, 0 where there is none. */
DZ_MUST enum dz_code marks_of_refs(struct ask *a, const struct ask_ref *refs, size_t n,
                                   char *ret_marks, struct dz_err *err);
DZ_MUST enum dz_code is_favourite(struct ask *a, struct ask_ref ref, bool *ret_is,
                                  struct dz_err *err);
