/*
 * api: the routes. One file a family: cdn.c (komizip's cdn and i hosts, library pages), chapters.c
 * (/v1/chapters), admin.c (edits), reader.c (HTML for people), metrics.c (/healthz, /metrics); the
 * library API is a table of operations (ops.c) with handlers of its own and events.c. Each
 * decodes a request, asks the library, encodes the answer.
 *
 * Handlers run on http loops. Each loop holds a reference on one view; a new view reaches it as a
 * posted message, so a handler sees one picture of the world for as long as it runs. What a worker
 * reads for its request holds that view; an answer that is made later sees the newest one.
 */
#pragma once

#include "crawl/crawl.h"
#include "http/http.h"
#include "library/library.h"

struct dz_api;

struct dz_api_options {
    struct dz_conf *conf;
    struct dz_library *library;
    struct dz_cache *cache;
    struct dz_pool *pool; /* for what may block */
    /* The same for what waits for a store that is far away, so that it does not hold the rest;
     * NULL: pool. */
    struct dz_pool *readers;
    /* Filled by the control loop for /healthz and /metrics; may be NULL. Any thread. */
    void (*back)(void *arg, struct dz_back_stats *ret_stats);
    void *back_arg;
};
DZ_MUST enum dz_code dz_api_new(const struct dz_api_options *o, struct dz_api **ret_a,
                                struct dz_err *err);
void dz_api_free(struct dz_api **a); /* after the server has stopped */
/* Rules that settings can break and only the routes tell: those of rate_limit.routes. DZ_BAD_INPUT.
 */
DZ_MUST enum dz_code dz_api_check(const struct dz_api *a, const struct dz_conf *c,
                                  struct dz_err *err);
/* The same, and where uploads are, of the server that would start with these settings. */
DZ_MUST enum dz_code dz_api_check_start(const struct dz_conf *c, struct dz_err *err);

/* Logs what these settings allow that should be known. After each reading of them. */
void dz_api_warn(const struct dz_conf *c);

/* Fills routes, fallback, error bodies, loop hooks and app of the server's options. */
void dz_api_wire(struct dz_api *a, struct dz_http_options *o);
/* for statistics, before dz_http_start */
void dz_api_set_server(struct dz_api *a, struct dz_http_server *s);

/* http.access_log: "off", "on" (standard output) or a path; again on SIGHUP, so that a rotated file
 * is opened anew. Control thread. DZ_IO names the path. */
DZ_MUST enum dz_code dz_api_open_access_log(struct dz_api *a, const char *where,
                                            struct dz_err *err);

/* Downloads began, moved or ended: tells those who listen to /api/events. Any thread. */
void dz_api_jobs_moved(struct dz_api *a);

/* A new view for every loop; takes the reference. Any thread. */
void dz_api_publish(struct dz_api *a, struct dz_view *take_view);
