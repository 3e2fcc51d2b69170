/*
 * crawl_int: the inside of the crawl room: messages on the wire, one connection, places in
 * data_dir/run, and the structs whose limits the tests shorten.
 *
 * Everything here belongs to the thread of one loop, but for the functions of place.c, which keep
 * nothing.
 */
#pragma once

#include "crawl/crawl.h"
#include "media/media.h"

/* ---- wire.c: messages ------------------------------------------------------------------------ */

#define WIRE_HEAD_BYTES 4
#define WIRE_MESSAGE_MAX                                                                           \
    ((size_t)DZ_MIB) /* JSON of one message, without the four bytes before it */

enum dz_wire_type {
    WIRE_OTHER,
    WIRE_HELLO,
    WIRE_CHANGED,
    WIRE_JOBS,
    WIRE_PING,
    WIRE_PONG,
    WIRE_STOP
};

struct dz_wire_msg {
    enum dz_wire_type type; /* WIRE_OTHER: well formed, of a type that this version does not know */
    int64_t n;              /* ping, pong */
    char role[16];          /* hello */
    char version[32];       /* hello */
};

/* Bytes that came and are not yet a message. */
struct dz_wire_in {
    struct dz_buf bytes;
    size_t at; /* what lies before it has been taken */
    size_t message_max;
};
void dz_wire_in_init(struct dz_wire_in *in, size_t message_max);
void dz_wire_in_done(struct dz_wire_in *in);
void dz_wire_in_put(struct dz_wire_in *in, dz_str bytes);
/* The next whole message. DZ_UNAVAILABLE: more bytes are needed (err is untouched). DZ_TOO_LARGE,
 * as soon as the length is there, and DZ_PARSE: the stream cannot be read on. */
DZ_MUST enum dz_code dz_wire_in_take(struct dz_wire_in *in, struct dz_wire_msg *ret_msg,
                                     struct dz_err *err);
/* The same for frames that hold another JSON: its text, good until the next put. */
DZ_MUST enum dz_code dz_wire_in_take_text(struct dz_wire_in *in, dz_str *ret_json,
                                          struct dz_err *err);
bool dz_wire_in_is_empty(const struct dz_wire_in *in); /* no begun message waits for its end */

/* Appends one framed message. One that does not fit leaves the buffer full. */
void dz_wire_put_json(struct dz_buf *out, const json_t *v);
void dz_wire_put_hello(struct dz_buf *out, const char *role, int pid);
void dz_wire_put_changed(struct dz_buf *out);
void dz_wire_put_jobs(struct dz_buf *out);
void dz_wire_put_stop(struct dz_buf *out);
void dz_wire_put_ping(struct dz_buf *out, int64_t n);
void dz_wire_put_pong(struct dz_buf *out, int64_t n);

/* ---- link.c: one connection ------------------------------------------------------------------ */

#define LINK_FRAME_TIMEOUT_MS 10000
#define LINK_OUT_MAX (64 * DZ_KIB) /* waiting to be sent; a peer that does not read is let go */

struct dz_link {
    struct dz_loop *loop;
    int fd; /* -1: closed */
    struct dz_watch watch;
    struct dz_timer timer; /* end of patience with a begun message; after a failed send: at once */
    struct dz_wire_in in;
    struct dz_buf out;
    size_t sent; /* of out */
    bool failed; /* why is set; ended comes from the timer */
    struct dz_err why;
    int64_t frame_timeout_ms;
    size_t message_max, out_max; /* 0: WIRE_MESSAGE_MAX, LINK_OUT_MAX */
    /* Neither may close the link. The second one, when it is there, takes frames as they are. */
    void (*got)(struct dz_link *k, const struct dz_wire_msg *m);
    void (*got_text)(struct dz_link *k, dz_str json);
    /* Once; the link is closed and may be freed. why->code is DZ_OK when the other side closed
     * between messages. */
    void (*ended)(struct dz_link *k, const struct dz_err *why);
};
/* Takes a connected socket; callbacks and limits are set before. A message must be whole within
 * frame_timeout_ms of its first byte. On failure the socket is closed. */
DZ_MUST enum dz_code dz_link_open(struct dz_link *k, struct dz_loop *l, int take_fd,
                                  int64_t frame_timeout_ms, struct dz_err *err);
/* The next message must be whole within frame_timeout_ms of now: for a peer that has said nothing
 * yet. */
void dz_link_expect(struct dz_link *k);
/* Without ended; idempotent, also on a link that was never opened and has fd -1. */
void dz_link_close(struct dz_link *k);
/* Sends what the caller has appended to k->out. A failure comes as ended, never from inside this
 * call. */
void dz_link_flush(struct dz_link *k);

/* ---- place.c: files in data_dir/run ---------------------------------------------------------- */

/* made when missing */
DZ_MUST enum dz_code dz_place_run_dir(const char *data_dir, int *ret_dir_fd, struct dz_err *err);
/* A listening socket, non-blocking, mode 0600. A socket that nobody answers on is replaced;
 * DZ_CONFLICT when somebody does; DZ_BAD_INPUT when something else has the name. Any length of
 * data_dir. */
DZ_MUST enum dz_code dz_place_listen(const char *data_dir, int dir_fd, const char *name,
                                     int *ret_fd, struct dz_err *err);
/* Connects; wait_ms bounds the wait for a full backlog, and later sends; 0: never waits, and the
 * socket does not block. DZ_UNAVAILABLE when nobody listens; native EAGAIN: the backlog is full. */
DZ_MUST enum dz_code dz_place_connect(const char *data_dir, const char *name, int64_t wait_ms,
                                      int *ret_fd, struct dz_err *err);

#define BUS_SOCKET "front.sock"
#define PLACE_BACKLOG 256

/* ---- door.c: a listening socket there --------------------------------------------------------
 */

struct dz_door {
    struct dz_loop *loop; /* these six are set by the owner before dz_door_open */
    const char *name;     /* of the socket */
    const struct dz_log_ctx *log;
    unsigned guests_max;
    /* Of our own user or root; may close d's owner's guests, not d. */
    void (*came)(struct dz_door *d, int take_fd, int pid);
    unsigned guests_n; /* kept by the owner */
    int dir_fd, lock_fd, listen_fd;
    struct dz_watch watch;
    struct dz_timer pause; /* accepting again after the process ran out of descriptors */
    uint64_t socket_ino;   /* so that only ours is removed */
    uint64_t dropped;      /* connections ended for what they did */
};
void dz_door_init(struct dz_door *d); /* closed */
/* lock: NULL, or the name of a role lock to hold as long. dz_door_close() also after a failure. */
DZ_MUST enum dz_code dz_door_open(struct dz_door *d, const char *data_dir, const char *lock,
                                  struct dz_err *err);
void dz_door_close(struct dz_door *d); /* removes the socket file; idempotent */

/* ---- bus.c ----------------------------------------------------------------------------------- */

#define BUS_CLIENTS_MAX 64u
#define BUS_PING_MS 5000
#define BUS_PONG_MS 10000

struct bus_client;
struct dz_bus {
    struct dz_loop *loop;
    struct dz_bus_hooks hooks;
    struct dz_door door;
    struct bus_client *clients;
    int64_t frame_timeout_ms, ping_ms, pong_ms;
};

/* ---- supervise.c ----------------------------------------------------------------------------- */

#define BACK_WAIT_MS 1000 /* before the first new start; doubles */
#define BACK_WAIT_MAX_MS 60000
#define BACK_SETTLED_MS 60000 /* a child that lived so long starts the count anew */

struct dz_back {
    struct dz_loop *loop;
    char **argv;
    int pid, pidfd; /* 0 and -1: no child */
    struct dz_watch watch;
    struct dz_timer again;
    unsigned failures;           /* in a row */
    int64_t started_ms, next_ms; /* by the loop's clock */
    int64_t wait_ms, wait_max_ms, settled_ms;
    uint64_t starts, deaths;
};
/* As dz_back_supervise with other times. */
DZ_MUST enum dz_code dz_back_supervise_with(struct dz_loop *l, char *const *argv, int64_t wait_ms,
                                            int64_t wait_max_ms, int64_t settled_ms,
                                            struct dz_back **ret_b, struct dz_err *err);

extern const struct dz_log_ctx dz_crawl_bus_ctx, dz_crawl_back_ctx;

/* ---- what the parts of the crawler share ------------------------------------------------------
 */

struct crawl_env {
    struct dz_loop *loop;
    struct dz_conf *conf;
    struct dz_catalog *catalog;
    struct dz_store *store;
    struct dz_pool *pool;
    struct dz_fetch *fetch;
    struct dz_sources *sources;
    struct dz_catalog_lock *lock; /* shared, while jobs run; else NULL */
};

/* A job that runs (runner.c). */
struct crawl_job {
    struct dz_crawler *crawler;
    const struct crawl_env *env;
    struct dz_arena *arena; /* of rec */
    struct dz_job_rec rec;
    struct dz_source *source;
    bool full;
    uint64_t limit_pages;
    uint64_t done, total, requests;  /* pages so far */
    uint64_t bytes;                  /* of them; downloads only */
    dz_str phase;                    /* static; n = 0: none */
    struct crawl_pass *pass;         /* of a crawl */
    struct crawl_download *download; /* of a download (download_int.h) */
    struct call *follow;             /* of a follow-up (call_int.h) */
    struct crawl_collect *collect;   /* of a source's collections (collect_int.h) */
    json_t *options;                 /* of the source, beside those of the settings; may be NULL */
    bool settled; /* ran to its end: what it could not get waits for the next one */
};
void crawl_tell(struct crawl_job *j,
                const struct dz_crawl_event *e); /* fills job, source, target */
void crawl_changed(struct crawl_job *j);

/* ---- pages.c: the pages of one chapter --------------------------------------------------------
 */

#define CRAWL_PAGES_AHEAD 16u /* fetched and not yet in the store, of one chapter */
#define CRAWL_PAGE_TRIES 4u
#define CRAWL_PAGE_BYTES_MAX (64 * DZ_MIB)

struct crawl_pages;
struct crawl_keeper; /* keep_int.h */
struct crawl_kept;
struct crawl_pages_spec {
    const struct crawl_env *env;
    struct dz_source *source;    /* ref'd */
    struct crawl_keeper *keeper; /* borrowed */
    json_t *list;                /* what DZ_FN_PAGES returned; increfed */
    dz_str label;                /* for messages */
    int64_t page_delay_ms;       /* before each page, when the source's own is shorter */
    bool any_bytes;              /* pages that are no whole pictures are kept as they came */
    /* All on the loop. */
    void (*recalled)(void *arg, uint64_t n, uint64_t bytes); /* kept by an earlier attempt */
    void (*progress)(void *arg, uint64_t done, uint64_t total, uint64_t bytes); /* of one page */
    void (*note)(void *arg, const char *text);
    /* Once; fail NULL: the pages in reading order, without blank ones, synced; valid until
     * crawl_pages_free. */
    void (*ended)(void *arg, const struct dz_source_fail *fail, const struct crawl_kept *pages,
                  size_t n);
    void *arg;
};
/* Pages that an earlier attempt has kept are not fetched again. */
struct crawl_pages *crawl_pages_new(const struct crawl_pages_spec *s);
uint64_t crawl_pages_requests(const struct crawl_pages *p); /* that left for the site so far */
void crawl_pages_stop(struct crawl_pages *p);  /* ended comes with DZ_SOURCE_CANCELLED */
void crawl_pages_free(struct crawl_pages **p); /* from ended or later */
/* A GET of a picture with the header fields that a source named (JSON object, may be NULL). */
void crawl_fetch_picture(const struct crawl_env *env, struct dz_source *source, dz_str url,
                         const json_t *headers, int64_t delay_ms,
                         void (*done)(void *arg, struct dz_fetch_res *res), void *arg,
                         struct dz_fetch_call **ret_call);
/* What an error of ours means for a job: DZ_SOURCE_UNAVAILABLE is tried again. */
enum dz_source_kind crawl_kind_of_code(enum dz_code code);

/* ---- page.c: one page, on a worker ------------------------------------------------------------
 */

struct crawl_page_out {
    struct dz_buf bytes; /* what is kept when it is not the bytes that came; n = 0: those */
    struct dz_media_info info;
    bool dropped; /* blank */
    bool no_key;  /* there was nothing to put in order: kept as it came */
};
/* Sniffs, checks, drops blank ones, puts tiles in order: what `transform` of the page says (JSON
 * array, NULL: nothing). DZ_PARSE and the like name what is wrong with the picture. The caller
 * calls dz_buf_done on bytes. */
DZ_MUST enum dz_code crawl_page_make(dz_str bytes, const json_t *transform,
                                     struct crawl_page_out *ret_out, struct dz_err *err);

/* ---- pass.c: one series, all stages -----------------------------------------------------------
 */

struct crawl_pass;
struct crawl_pass *crawl_pass_new(struct crawl_job *j,
                                  void (*ended)(struct crawl_job *j,
                                                const struct dz_source_fail *fail));
uint64_t crawl_pass_changed(const struct crawl_pass *p); /* chapters new or changed */
void crawl_pass_stop(
    struct crawl_pass *p); /* ended comes with DZ_SOURCE_CANCELLED, from the loop */
void crawl_pass_free(struct crawl_pass **p); /* after ended */

/* ---- collect.c: all collections of a source ---------------------------------------------------
 */

struct crawl_collect;
/* Sets j->collect. ended comes once, from the loop. */
struct crawl_collect *crawl_collect_new(struct crawl_job *j,
                                        void (*ended)(struct crawl_job *j,
                                                      const struct dz_source_fail *fail));
void crawl_collect_stop(struct crawl_collect *c);  /* ended comes with DZ_SOURCE_CANCELLED */
void crawl_collect_free(struct crawl_collect **c); /* after ended */
uint64_t crawl_collect_fresh(const struct crawl_collect *c); /* records that were new */
dz_str crawl_collect_result(struct crawl_job *j);            /* JSON, in the job's arena */
/* The tables of a source's collections as it declares them. Blocks; logs what it changed. */
DZ_MUST enum dz_code crawl_collections_ensure(struct dz_catalog *catalog, const struct dz_source *s,
                                              struct dz_err *err);

/* ---- memory.c: what sources and stages remember -----------------------------------------------
 */

/* The key/value texts of all sources, read at the start and held in RAM; written behind on the
 * pool, in order. Loop thread. */
struct crawl_memory;
DZ_MUST enum dz_code crawl_memory_open(const struct crawl_env *env, struct crawl_memory **ret_m,
                                       struct dz_err *err);
void crawl_memory_close(struct crawl_memory **m);        /* after the last write has ended */
bool crawl_memory_is_busy(const struct crawl_memory *m); /* a write is out */
void crawl_memory_rest(
    struct crawl_memory *m); /* no write begins by itself; close makes the last */
/* What other crawlers have written since, of one source: read on a worker, taken on the loop unless
 * we have written meanwhile. What they forgot stays. */
struct crawl_memory_news {
    struct dz_arena *arena;
    struct dz_crawl_state_rec *v;
    size_t n;
    uint64_t writes;
};
uint64_t crawl_memory_writes(const struct crawl_memory *m); /* to be noted before reading */
void crawl_memory_read(struct dz_catalog *c, dz_str source, struct crawl_memory_news *news);
void crawl_memory_take(struct crawl_memory *m, struct crawl_memory_news *news); /* frees it */
bool crawl_memory_get(struct crawl_memory *m, dz_str source, dz_str name, struct dz_buf *out);
void crawl_memory_set(struct crawl_memory *m, dz_str source, dz_str name, dz_str json,
                      int64_t expires_ms);
/* The same, written with the next one or within a minute: for what comes with every pass. */
void crawl_memory_set_later(struct crawl_memory *m, dz_str source, dz_str name, dz_str json);

/* runner.c */
struct crawl_memory *crawl_job_memory(struct crawl_job *j);
/* Loop, fetcher, key/value memory and log of the job, for its runs. */
void crawl_job_source_env(struct crawl_job *j, struct dz_source_env *ret_env);
