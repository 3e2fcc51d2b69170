/*
 * call_int: both ends of a call to the back, and what its parts share.
 *
 * call.c is the asking side, on any loop. In the back, call_serve.c takes connections and requests,
 * keeps them few and ends them in time; call_ask.c gives each call its runs of sources, its work on
 * the pool and its pictures; call_refs.c, call_info.c and call_download.c answer. All of a call in
 * the back belongs to the crawler's loop; what is still under way when a call ends outlives it.
 */
#pragma once

#include "crawl/runner_int.h"

#define CALL_SOCKET "back.sock"
#define CALL_CONNECT_MS 3000 /* a back that starts, or starts again, is waited for */
#define CALL_AGAIN_MS 20
#define CALL_GRACE_MS 500 /* after the deadline, for the back's own words about it */

#define CALL_GUESTS_MAX 256u   /* connections */
#define CALL_RUNNING_MAX 16u   /* calls that ask sources at a time; others wait their turn */
#define CALL_SITE_MAX 8u       /* of these for one site, so that a slow one stalls no other */
#define CALL_LINGER_MS 30000   /* for taking the answer */
#define CALL_DEADLINE_MS 60000 /* of a request that names none */
#define CALL_DEADLINE_MAX_MS (INT64_C(3600) * 1000)
#define CALL_ARENA_MAX (256 * DZ_MIB)
#define CALL_LIST_MAX 10000u /* refs in one call */

/* Fills a failure whose text and message are the same words. */
void call_fail_set(struct dz_source_fail *ret_fail, enum dz_source_kind kind, const char *fmt, ...)
    DZ_PRINTF(3, 4);

/* ---- call_serve.c ------------------------------------------------------------------------------
 */

struct crawl_calls {
    struct dz_crawler *crawler;
    struct dz_door door;
    struct call *all, *waiting; /* waiting: for a turn, the first one first */
    unsigned running_n, running_max, site_max;
    bool starting;
    int64_t frame_timeout_ms, linger_ms;
};
/* Listens on data_dir/run/back.sock and answers what dz_back_call asks. */
DZ_MUST enum dz_code crawl_calls_open(struct dz_crawler *c, struct crawl_calls **ret_calls,
                                      struct dz_err *err);
/* Ends all of them, before the crawler is stopped, which waits for what is on a worker. Calls from
 * inside are told. */
void crawl_calls_close(struct crawl_calls **calls);

struct call_ref {
    struct dz_source *source; /* for the step that was given it; later while it is asked */
    dz_str site, id;          /* in the arena */
};

struct call_outcome {
    struct dz_source_fail fail; /* kind DZ_SOURCE_OK: it worked */
    json_t *value;              /* borrowed */
    uint64_t requests;
};

struct call_run;
struct call {
    struct dz_link link;
    struct crawl_calls *calls; /* NULL: it has ended, and waits for what is under way */
    struct dz_crawler *crawler;
    struct call *prev, *next, *next_waiting;
    struct dz_timer timer; /* the deadline; once it is answered, patience with the peer */
    const struct call_kind *kind;
    json_t *args;
    struct dz_arena *arena;
    int64_t deadline_at_ms; /* of the loop */
    dz_str site;            /* of most of it, in the arena; n = 0: of several, or none */
    bool asked, has_turn, answered;
    unsigned under_way; /* work and fetches that will come back */

    struct call_run *runs; /* a run for each source that was asked */
    void (*then)(struct call *c, const struct dz_source_result *r);

    struct dz_work work;
    enum dz_code work_code;
    struct dz_err work_err;
    void (*worked)(struct call *c);

    struct dz_fetch_call *fetch;
    void (*fetched)(struct call *c, struct dz_fetch_res *res);

    struct call_ref ref; /* call_resolve: what is meant, and how it goes on */
    bool wants_chapter;
    void (*resolved)(struct call *c);

    void *state;  /* the kind's own, in the arena */
    json_t *made; /* the kind's own, let go with the call */

    bool inside; /* asked by the crawler itself */
    void (*ended)(void *arg, const struct call_outcome *o);
    void *ended_arg;
    struct call_outcome outcome;
    uint64_t requests; /* that left for sites */
};

struct call_kind {
    const char *name;
    bool at_once; /* asks no source: needs no turn */
    void (*begin)(struct call *c);
};
extern const struct call_kind call_kinds_info[], call_kinds_download[]; /* ends with name NULL */

/* The same for the crawler itself: no connection, and sites are asked anew. ended comes once, from
 * the loop; call_refuse_words ends it from outside. */
struct call *call_inside(struct crawl_calls *all, const char *name, json_t *take_args,
                         int64_t deadline_ms,
                         void (*ended)(void *arg, const struct call_outcome *o), void *arg);

/* Each ends the call; c->args and the arena are gone after. take_value: NULL is null. */
void call_answer(struct call *c, json_t *take_value);
void call_refuse(struct call *c, const struct dz_source_fail *fail);
void call_refuse_words(struct call *c, enum dz_source_kind kind, const char *fmt, ...)
    DZ_PRINTF(3, 4);
void call_refuse_err(struct call *c, const struct dz_err *err); /* of ours */
const struct crawl_env *call_env(const struct call *c);

/* ---- call_ask.c --------------------------------------------------------------------------------
 */

/* A function of a source; then comes later, not at all when the call ends before. */
void call_ask(struct call *c, struct dz_source *s, enum dz_source_fn fn, json_t *take_args,
              void (*then)(struct call *c, const struct dz_source_result *r));
/* On a worker: run must only touch what the call put aside for it; then on the loop with the code
 * in c->work_code. */
void call_work(struct call *c, void (*run)(struct dz_work *w), void (*then)(struct call *c));
void call_fetch(struct call *c, struct dz_source *s, dz_str url, const json_t *headers,
                void (*then)(struct call *c, struct dz_fetch_res *res));
void call_let_go(struct call *c);    /* runs and fetches end; nothing of them comes any more */
void call_came_back(struct call *c); /* of what was under way; may free it */

/* ---- call_refs.c: what is meant ----------------------------------------------------------------
 */

/* A ref of the arguments, which may need its source: goes on with c->ref set, or the call is
 * refused. A series is also meant by the address of its chapter. */
void call_resolve(struct call *c, const json_t *ref, bool chapter, void (*then)(struct call *c));
/* The enabled source of that id; NULL: there is none, and call_source_of refuses the call. */
struct dz_source *call_offered(const struct call *c, dz_str site);
struct dz_source *call_source_of(struct call *c, dz_str site);
json_t *call_json(dz_str s);
/* The site that the arguments name, by itself or by an address; n = 0: none, or several. */
dz_str call_site(const struct call *c);

extern const struct call_kind call_kinds_refs[];

/* ---- call_info.c: objects as the library API has them -------------------------------------------
 */

/* From what a source returned, in the shape of contracts/nagato.md 4.1; new references. */
json_t *call_series_info(const json_t *series);
json_t *call_chapter_info(const json_t *chapter, dz_str site);

/* ---- follow.c ----------------------------------------------------------------------------------
 */

/* Chapters of the series that earlier follow-ups have queued, oldest first; a new reference. */
json_t *call_follow_noted(struct call *c);
void call_follow_note(struct call *c, const struct dz_job_rec *rows, size_t n); /* queued now */
/* The chapter that a download's row is for, in the arena; n = 0: none. Any thread that has it. */
dz_str call_follow_chapter(const struct dz_job_rec *row, struct dz_arena *a);
