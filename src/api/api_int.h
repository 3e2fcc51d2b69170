/*
 * api_int: what the files of the api room share. Handlers live on http loops; struct api_loop is
 * one loop's own state.
 */
#pragma once

#include "api/api.h"
#include "api/ops.h"

#include <pthread.h>

#define API_LOOPS_MAX 256u

#define CACHE_DAY DZ_S("public, max-age=86400")
#define CACHE_THREE_MINUTES DZ_S("public, max-age=180")
#define CACHE_FOREVER DZ_S("public, max-age=31536000, immutable")
#define CACHE_REVALIDATE DZ_S("no-cache")
#define NO_STORE DZ_S("no-store")

/* A longer X-Chapters or X-Metadata is left out: no client reads header blocks of that size. 411
 * chapters take 2.4 KB. */
#define HEADER_VALUE_MAX (48 * DZ_KIB)

/* Bodies up to this are kept in RAM and written together with their header block; larger ones go by
 * sendfile. */
#define SMALL_BODY_MAX (32 * DZ_KIB)

struct api_loop {
    struct dz_api *api;
    struct dz_loop *loop;
    struct dz_view *view;
    struct event_loop *events;       /* events.c; NULL: nobody ever listened here */
    struct dz_limiter_loop *limiter; /* limit.c; NULL: no limits */
};

struct flight; /* one thing that is being made; cold.c */

struct dz_api {
    struct dz_conf *conf;
    struct dz_library *library;
    struct dz_cache *cache;
    struct dz_pool *pool, *readers; /* readers: for what asks the store; may be the same */
    struct dz_http_server *server;
    void (*back)(void *arg, struct dz_back_stats *ret_stats);
    void *back_arg;
    int64_t started_ms;
    struct access_log *access;                       /* access.c */
    struct statics *statics;                         /* statics.c */
    struct admin *admin;                             /* admin.c */
    struct nagato *nagato;                           /* nagato_work.c */
    struct cbz_shelf *cbz;                           /* cbz.c */
    struct events *events;                           /* events.c */
    struct graphql *graphql;                         /* graphql_world.c */
    struct dz_limiter *limiter;                      /* limit.c; NULL: no limits */
    bool limits_are_shared;                          /* counted in Redis */
    struct dz_arena *arena;                          /* of the routes */
    const struct dz_http_route *routes, *ops_routes; /* all; where those of ops.c begin */
    size_t routes_n;
    atomic_uint looks;           /* at the queue, under way (jobs.c) */
    atomic_uint_fast64_t newest; /* serial of `view` */

    pthread_mutex_t lock; /* view, loops, flights */
    struct dz_view *view;
    struct api_loop *loops[API_LOOPS_MAX];
    size_t loops_n;
    struct dz_map flights; /* key → struct flight */

    struct uploads *uploads; /* uploads.c */
};

/* Each request begins with it: what one loop has shown, the next request shows on any of them. What
 * lay in the view before stays until the end of the loop's turn. */
void api_take_newest_view(struct api_loop *al);
/* From any thread; false: the loop has ended, and the message is still the caller's. */
bool api_post(struct api_loop *to, struct dz_msg *m);

static inline const struct dz_view *view_of(const struct dz_http_req *r)
{
    return ((const struct api_loop *)r->loop_app)->view;
}

/* ---- answers used by all families (answers.c) ------------------------------------------------ */

/* JSON of contracts/komizip.md 2.5, or a page for a browser */
void answer_not_found(struct dz_http_req *r);
void answer_cdn_not_found(struct dz_http_req *r); /* the CDN kind: "404" */
/* logs what is ours */
void answer_error(struct dz_http_req *r, enum dz_code code, const struct dz_err *err);
void answer_error_body(int status, const char *why, struct dz_buf *out, dz_str *ret_content_type);
/* 307 to that path, with the query of the request; origin ("https://host") n = 0: the same one. */
void answer_elsewhere(struct dz_http_req *r, dz_str origin, dz_str path);
/* Its body is application/json, or application/…+json; parameters do not matter. */
bool says_json(const struct dz_http_req *r);
/* A page of the reader was asked for on a host that belongs to a shelf: answers (404 or the image
 * redirect) and says true. */
bool answered_for_shelf_host(struct dz_http_req *r);

/* ---- objects (fetch.c) ----------------------------------------------------------------------- */

/* What a stored page or asset is served with. Texts live in the view. */
struct object_request {
    uint64_t serial; /* snapshot */
    char kind;       /* one letter a family: the same page has other headers elsewhere */
    const struct dz_snap_page *page;
    dz_str name;       /* for Content-Disposition; n = 0: none */
    dz_str x_metadata; /* n = 0: none */
    dz_str cache_control;
    void (*missing)(struct dz_http_req *r); /* answers when the store has lost the bytes */
};
/* Replies from RAM, from a file, or later from a worker. */
void serve_object(struct dz_http_req *r, const struct object_request *o);
/* Stored bytes cannot be had: `missing` answers when the store has lost them, which is logged. err
 * may be NULL when the code is one that is tried again. */
void answer_failed(struct dz_http_req *r, void (*missing)(struct dz_http_req *r), enum dz_code code,
                   const struct dz_err *err);

void answer_later(struct dz_http_req *r); /* 503, to be tried again in a second */

/* ---- what a worker makes once for all who wait for it (cold.c) ------------------------------- */

/* An answer: all of it in memory, or its head and a file with the rest. */
struct cold_made {
    struct dz_body *body;
    struct dz_file *file; /* NULL: none */
};
struct cold {
    char key[DZ_CACHE_KEY_MAX];
    size_t key_n;
    /* On a worker; puts what it made into the cache, if that is where it belongs. What it leaves in
     * ret_made when it fails is given back. */
    enum dz_code (*make)(struct dz_api *a, void *what, struct cold_made *ret_made,
                         struct dz_err *err);
    void (*free)(void *what); /* any thread */
    void *take_what;
    /* On the loop; made is borrowed, its body is NULL: err. */
    void (*reply)(struct dz_http_req *r, void (*missing)(struct dz_http_req *r),
                  const struct cold_made *made, const struct dz_err *err);
    void (*missing)(struct dz_http_req *r); /* for reply; may be NULL */
};
/* Defers; requests for a key that is being made wait for that. 503 when the workers have too much
 * to do. */
void answer_when_made(struct dz_http_req *r, const struct cold *cold);

/* Both are the same text; the time says nothing about either (token.c). */
bool is_secret(dz_str given, dz_str secret);

/* ---- uploads (uploads.c) --------------------------------------------------------------------- */

/* The others and its part of the route table, by the settings, into the arena: they need a restart
 * to change. DZ_BAD_INPUT: the address is somebody else's already. */
DZ_MUST enum dz_code uploads_routes(const struct dz_conf *c, struct dz_arena *a,
                                    const struct dz_http_route *others, size_t others_n,
                                    struct dz_http_route **ret_routes, size_t *ret_n,
                                    struct dz_err *err);
void uploads_new(struct dz_api *a);
void uploads_free(struct uploads **u);
/* A browser's question whether another origin may ask here (contracts/imoog.md 2.3): answers it and
 * says true when the address is one of uploads. */
bool uploads_preflight(struct dz_http_req *r);

/* The encodings of ready-made bodies, best liked first among equals, and what they add to an ETag.
 */
struct ready_encoding {
    enum dz_http_encoding bit;
    enum dz_snap_encoding at;
    const char *name, *suffix;
};
extern const struct ready_encoding ready_encodings[DZ_SNAP_ENCODINGS];
/* The row of ready_encodings for what the client likes best of what is there. */
const struct ready_encoding *choose_ready(const struct dz_http_req *r,
                                          const struct dz_snap_list *list);

/* Before any handler: true when it has answered (gate.c). */
bool gate(struct dz_http_req *r);

/* ---- rate limits (limit.c) ------------------------------------------------------------------- */

/* Counts the request under the rule. False: it may go on, at once. True: it was answered with 429,
 * or it waits for Redis: then `go` is called later when it may go on. */
DZ_MUST bool limit_stops(struct dz_http_req *r, const struct dz_limit_rule *rule,
                         void (*go)(struct dz_http_req *r));
/* The same with `go` called in either case when it may go on; for handlers. That of GraphQL:
 * view_of(r)->conf->rate_limit.graphql_rule. */
void limit_then(struct dz_http_req *r, const struct dz_limit_rule *rule,
                void (*go)(struct dz_http_req *r));
/* The rule of rate_limit.routes that the request falls under; NULL: none. */
const struct dz_limit_rule *limit_of_route(const struct dz_http_req *r);
/* The client as 16 bytes: IPv4 as ::ffff:a.b.c.d, IPv6 by its /64, which is what one user has. */
void client_who(dz_str ip, unsigned char ret_who[16]);
DZ_MUST enum dz_code limits_open(struct dz_api *a, struct dz_err *err);

void access_write(void *app, const struct dz_http_req *r, int status, uint64_t bytes, int64_t ns);
struct access_log *access_new(void);
void access_free(struct access_log **l);

/* What the catalog says of crawls, read by a worker for one answer (jobs.c). */
struct work_picture {
    enum dz_code code; /* DZ_OK: the rest is there */
    uint64_t counts[DZ_JOB_STATES];
    const struct dz_job_rec *jobs; /* from `from` on, at most as many as were asked for */
    size_t jobs_n;
    const struct dz_crawl_health *health;
    size_t health_n;
    int64_t now_ms;
};
/* Comes back with the picture on the loop's thread, at once when there is no worker to be had. With
 * a kind: all jobs of it that run or wait, then the latest jobs_max that have ended, by id. */
void work_look(struct dz_http_req *r, dz_str kind, size_t from, size_t jobs_max,
               void (*reply)(struct dz_http_req *r, const struct work_picture *p));

/* Who tried passwords, and how many calls are under way (admin.c). */
struct admin *admin_new(void);
void admin_free(struct admin **a);

/* Chapters as files: those that were asked for last, and those being laid out (cbz.c). */
struct cbz_shelf *cbz_shelf_new(void);
void cbz_shelf_free(struct cbz_shelf **s);

/* What waits for workers and the back on behalf of the library API (nagato_work.c). */
struct nagato *nagato_new(void);
void nagato_free(struct nagato **n);

/* What /api/graphql answers from (graphql_world.c). */
struct graphql *graphql_new(struct dz_api *a);
void graphql_free(struct graphql **q);

/* Who listens to the states of downloads (events.c). */
struct events *events_new(struct dz_api *a);
void events_free(struct events **e);
/* Downloads have moved: tells those who listen. Any thread. */
void events_dirty(struct dz_api *a);

/* ---- handlers -------------------------------------------------------------------------------- */

void handle_cdn(struct dz_http_req *r);
void handle_shelf_cdn(struct dz_http_req *r);
void handle_image_redirect(struct dz_http_req *r);
void handle_shelf_image_redirect(struct dz_http_req *r);
void handle_chapters(struct dz_http_req *r);
void handle_shelf_chapters(struct dz_http_req *r);
void handle_admin_edit(struct dz_http_req *r);
void handle_shelf_admin_edit(struct dz_http_req *r);
void handle_page(struct dz_http_req *r);
void handle_home(struct dz_http_req *r);
void handle_series(struct dz_http_req *r);
void handle_cbz(struct dz_http_req *r);
void handle_shelf_home(struct dz_http_req *r);
void handle_read(struct dz_http_req *r);
void handle_read_page(struct dz_http_req *r);
void handle_static(struct dz_http_req *r);
void handle_healthz(struct dz_http_req *r);
void handle_metrics(struct dz_http_req *r);
void handle_jobs(struct dz_http_req *r);
void handle_downloads(struct dz_http_req *r);
void handle_downloads_retry(struct dz_http_req *r);

/* contracts/kvm48.md 4. */
void handle_graphql(struct dz_http_req *r);
void handle_graphql_slash(struct dz_http_req *r);
void handle_api_root(struct dz_http_req *r);

/* The library API, contracts/nagato.md 4. */
void handle_api_ping(struct dz_http_req *r);
void handle_api_version(struct dz_http_req *r);
void handle_api_sites(struct dz_http_req *r);
void handle_api_resource_site(struct dz_http_req *r);
void handle_api_manga_id(struct dz_http_req *r);
void handle_api_chapter_id(struct dz_http_req *r);
void handle_api_manga_info(struct dz_http_req *r);
void handle_api_chapter_info(struct dz_http_req *r);
void handle_api_manga_cover(struct dz_http_req *r);
void handle_api_manga_chapters(struct dz_http_req *r);
void handle_api_download_chapter(struct dz_http_req *r);
void handle_api_download_chapters(struct dz_http_req *r);
void handle_api_download_new(struct dz_http_req *r);
void handle_api_download_allnew(struct dz_http_req *r);
void handle_api_download_retry(struct dz_http_req *r);
void handle_api_dl_state(struct dz_http_req *r);
void handle_api_dl_states(struct dz_http_req *r);
void handle_api_cancel_download(struct dz_http_req *r);
void handle_api_cancel_downloads(struct dz_http_req *r);
void handle_api_delete_history(struct dz_http_req *r);
void handle_api_chapter_mark(struct dz_http_req *r);
void handle_api_put_chapter_mark(struct dz_http_req *r);
void handle_api_put_chapters_mark(struct dz_http_req *r);
void handle_api_delete_chapter_mark(struct dz_http_req *r);
void handle_api_delete_chapters_mark(struct dz_http_req *r);
void handle_api_manga_marked(struct dz_http_req *r);
void handle_api_manga_fav(struct dz_http_req *r);
void handle_api_put_manga_fav(struct dz_http_req *r);
void handle_api_delete_manga_fav(struct dz_http_req *r);
void handle_api_manga_favs(struct dz_http_req *r);

/* ---- the reader's HTML (html.c: pieces, reader.c: pages) ------------------------------------- */

/* Files of src/api/static, compiled in by tools/embed.py. */
struct static_file {
    const char *name, *mime, *version; /* version: 12 hex digits of its digest */
    dz_str bytes;
    dz_str gzip; /* of a large file; else n = 0 */
};
extern const struct static_file static_files[];
extern const size_t static_files_n;
const struct static_file *static_find(dz_str name);  /* NULL: none */
void html_static_url(struct dz_buf *b, dz_str name); /* "/static/NAME?v=…" */

/* Their answers in all encodings, made at the start (statics.c). */
struct statics;
DZ_MUST enum dz_code statics_new(struct statics **ret_s, struct dz_err *err);
void statics_free(struct statics **s);

/* Opens a page up to and with <body>. prev and next are addresses for <link rel>, n = 0: none. */
struct page_head {
    dz_str title, lang, prev, next, prefetch;
    bool right_to_left;
    unsigned refresh_s; /* > 0: the page shows itself anew so often, and has no script */
    dz_str script;      /* its own; without scripts the page shows itself anew now and then */
};
void html_open(struct dz_buf *b, const struct page_head *h);
void html_top(struct dz_buf *b, dz_str search); /* the bar with the name and the search field */
void html_close(struct dz_buf *b, bool footer);
/* "1 page", "2 pages" */
void html_number(struct dz_buf *b, uint64_t n, const char *one, const char *many);
/* A text from outside without the user names and queries of addresses, which may be secrets. */
void html_words(struct dz_buf *b, dz_str s);
/* <time datetime="2026-11-21T09:20:35Z">before 3 min after</time> */
void html_time(struct dz_buf *b, int64_t at_ms, int64_t now_ms, const char *before,
               const char *after);
void html_page_url(struct dz_buf *b, int64_t series_id, int64_t chapter_id,
                   const struct dz_snap_page *p);
void html_reply(struct dz_http_req *r, int status, struct dz_buf *b);
/* Of something that changes without the view: 200, never stored. */
void html_reply_live(struct dz_http_req *r, struct dz_buf *b);
/* A link that looks like a button, or the same greyed out when there is nowhere to go. */
void html_button(struct dz_buf *b, const char *rel, dz_str href, dz_str words);
uint64_t html_pages_for(uint64_t entries, uint64_t per_page); /* at least 1 */
/* Which page of a list of so many pages is asked for; past the end it is the last. */
uint64_t html_page_of(struct dz_http_req *r, uint64_t pages);
/* Older and newer lists: base is an address that ends in '?' or '&'. */
void html_pager(struct dz_buf *b, dz_str base, uint64_t page, uint64_t pages);

/* Whether a search finds the series; without case. */
bool title_contains(const struct dz_snapshot *s, dz_str q);
/* An HTML error page into out. */
void reader_error_page(struct dz_buf *out, int status, dz_str words);
