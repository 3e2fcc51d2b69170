/*
 * crawl: the back role: the crawler and its jobs, the supervisor, and the bus between processes
 * that share a data folder.
 *
 * The bus is a UNIX stream socket, data_dir/run/front.sock, with length-prefixed JSON messages (4
 * bytes big-endian, then at most 1 MiB of one JSON object with a "type"). The front listens; the
 * back and commands such as `dozo import` connect. Losing it loses nothing: the catalog's change
 * counter is polled as well.
 *
 * Messages: {"type":"hello","role":"back","pid":1,"version":"0.1.0"}, {"type":"changed"} (look at
 * the catalog now), {"type":"jobs"} (a download has moved),
 * {"type":"ping","n":1} answered by {"type":"pong","n":1}, {"type":"stop"} (front to back when the
 * front closes the bus: a supervised back finishes and exits, one of its own waits for the next
 * front). Other types are passed over.
 */
#pragma once

#include "catalog/catalog.h"
#include "conf/conf.h"
#include "loop/loop.h"
#include "source/source.h"
#include "store/store.h"

/* ---- the bus, front side --------------------------------------------------------------------- */

struct dz_bus;
struct dz_bus_hooks {
    void (*changed)(void *arg); /* somebody changed the catalog; loop thread */
    void (*jobs)(void *arg);    /* a download began, moved or ended; may be NULL */
    void *arg;
};
/* Listens on data_dir/run/front.sock (mode 0600, a stale one is replaced; DZ_CONFLICT when another
 * front answers there or holds run/bus.lock). At most 64 clients of our own user or root, 1 MiB a
 * message, 10 s for a message. Owned by the loop's thread. */
DZ_MUST enum dz_code dz_bus_open(struct dz_loop *l, const char *data_dir,
                                 const struct dz_bus_hooks *hooks, struct dz_bus **ret_b,
                                 struct dz_err *err);
void dz_bus_close(struct dz_bus **b);         /* removes the socket file */
bool dz_bus_has_back(const struct dz_bus *b); /* a back has said hello and answers pings */

/* ---- the bus, other side --------------------------------------------------------------------- */

/* Tells a running front to look at the catalog; quiet when there is none. Blocks for at most 200
 * ms. */
void dz_bus_tell_changed(const char *data_dir);

/* ---- the crawler ----------------------------------------------------------------------------- */

/* Runs jobs of the catalog: takes due ones under a lease, asks the source, fetches pages, makes
 * each chapter visible whole in one batch. Everything runs on the loop's thread but what blocks,
 * which goes to the pool. Several crawlers (backs, a `dozo crawl` beside one) may share a catalog:
 * the lease decides. Shares dz_catalog_lock while a job runs; while a repair has it,
 * jobs wait. */
struct dz_crawler;

struct dz_crawl_event {
    enum {
        DZ_CRAWL_BEGIN,        /* a job was taken */
        DZ_CRAWL_CHAPTER,      /* its pages are being fetched; total is their number */
        DZ_CRAWL_PAGE,         /* done of total */
        DZ_CRAWL_CHAPTER_KEPT, /* committed: readers see it */
        DZ_CRAWL_TROUBLE,      /* a stage or a chapter failed (text); the others go on */
        DZ_CRAWL_RECORDS,      /* of collections: done of total pages, `records` are new */
        DZ_CRAWL_NOTE,         /* something that a person may want to know */
        DZ_CRAWL_END,          /* fail_kind n = 0: it worked */
    } kind;
    int64_t job;
    dz_str source, target;
    dz_str chapter; /* key; n = 0: about the whole job */
    dz_str text, fail_kind;
    dz_str made; /* of an end: the path of what a download made */
    uint64_t done, total, bytes, requests;
    bool collects;    /* its source fills collections */
    uint64_t records; /* of such a job: new ones so far */
};

typedef enum dz_code dz_crawl_import_fn(void *arg, const char *const *paths, size_t n,
                                        atomic_bool *stop, uint64_t *ret_chapters,
                                        struct dz_err *err);

struct dz_crawler_options {
    struct dz_loop *loop;
    struct dz_conf *conf; /* ref'd */
    struct dz_catalog *catalog;
    struct dz_store *store;
    struct dz_pool *pool;
    unsigned jobs_max; /* at once; 0: 8 */
    bool schedule;     /* adds jobs of shelves and sources when they are due */
    int64_t only_job;  /* > 0: that job, once, then `idle`; nothing else is taken */
    /* Of only_job: in place of the row's own args, which may be those of a schedule. */
    bool only_full;
    uint64_t only_limit_pages;
    const json_t *only_options; /* values by name; increfed; may be NULL */
    void (*changed)(void *arg); /* the catalog shows something new */
    void (*jobs)(void *arg);    /* the row of a download was written; may be NULL */
    void (*event)(void *arg, const struct dz_crawl_event *e); /* may be NULL */
    void (*idle)(void *arg, bool failed);
    /* Sources whose series come from files of this machine (`local`); worker thread, may block.
     * Ends with DZ_CANCELLED soon after *stop was set. NULL: there is nobody who can. */
    dz_crawl_import_fn *import;
    void *arg;
};
DZ_MUST enum dz_code dz_crawler_new(const struct dz_crawler_options *o, struct dz_crawler **ret_c,
                                    struct dz_err *err);
/* Looks for jobs now, and renews the leases of those that run, so that they hear of cancels. */
void dz_crawler_poke(struct dz_crawler *c);
/* The same for news of other processes, which come by the hundred: leases half a second later. */
void dz_crawler_news(struct dz_crawler *c);
/* After a reload: schedule and sources are read again; jobs that run keep theirs. */
void dz_crawler_set_conf(struct dz_crawler *c, struct dz_conf *conf);
/* Ends running jobs where they stand (their rows go back to the queue, finished pages stay) and
 * calls `stopped` from the loop when the last has let go. */
void dz_crawler_stop(struct dz_crawler *c, void (*stopped)(void *arg), void *arg);
void dz_crawler_free(struct dz_crawler **c); /* after `stopped`, or when nothing ever ran */

/* What `dozo crawl`, an API or the schedule ask for: target n = 0 means the whole source. args are
 * the members of the job: DZ_NOT_FOUND for a source that is not there, DZ_UNSUPPORTED for one that
 * is switched off or cannot crawl. Blocks on the catalog. */
struct dz_crawl_ask {
    dz_str source, target;
    bool full;
    uint64_t limit_pages;  /* chapters of a listing, or pages of a collection; 0: all */
    const json_t *options; /* values by name, as dz_crawl_option read them; may be NULL */
    int64_t run_after_ms;  /* 0: now */
};
DZ_MUST enum dz_code dz_crawl_ask(struct dz_catalog *c, const struct dz_sources *sources,
                                  const struct dz_crawl_ask *ask, int64_t *ret_job, bool *ret_new,
                                  struct dz_err *err);

/* "NAME=VALUE" into the object: an option that the source declares, of its type, for this crawl
 * alone. DZ_BAD_INPUT names what there is. */
DZ_MUST enum dz_code dz_crawl_option(const struct dz_source *s, dz_str text, json_t *options,
                                     struct dz_err *err);

/* Whether the process with this data_dir that had the lease has ended without giving it back:
 * nobody has to wait for its end. Where the catalog is shared, false for all those that had another
 * data_dir: their leases end by time. */
bool dz_crawl_owner_is_gone(struct dz_catalog *c, const char *data_dir, dz_str owner);

/* How a source did, as its jobs wrote it down. Times in Unix milliseconds, 0: never. */
struct dz_crawl_health_host {
    dz_str host;
    uint64_t requests, from_cache, revalidated, errors, bytes; /* since that process began */
    int last_status;
    int64_t paused_until_ms; /* the site wants to be left alone; 0: it does not */
    int64_t waited_ms;
};
struct dz_crawl_health {
    dz_str source;
    int64_t updated_ms, last_ok_ms, last_error_ms;
    dz_str last_kind, last_text;       /* of the last error; n = 0: none */
    int64_t took_ms;                   /* the last pass */
    uint64_t requests, requests_total; /* of the last pass; of all */
    struct dz_crawl_health_host *hosts;
    size_t hosts_n;
};
/* Of all sources that were ever crawled, by name. Blocks on the catalog. */
DZ_MUST enum dz_code dz_crawl_health_list(struct dz_catalog *c, int64_t now_ms, struct dz_arena *a,
                                          struct dz_crawl_health **ret_v, size_t *ret_n,
                                          struct dz_err *err);

/* ---- calls to the back ----------------------------------------------------------------------- */

/* What needs a source is asked of the back over data_dir/run/back.sock (mode 0600, our own user or
 * root): one connection a call, one frame there {"call": NAME, "args": {…}, "deadline_ms": n}, one
 * frame back, {"value": …} or {"fail": {"kind", "message", "text", "retry_after_ms"}}. Closing the
 * connection calls it off. A ref is {"url": U} or {"site": S, "id": I}; url wins.
 *
 *   "sources"      {}            [{"id","name","site","match":[…],"langs":[…],"functions":[…]}],
 *                                longest id first; enabled ones with resolve or chapters
 *   "site"         {"url"}       {"site": id or null}
 *   "series_id"    {"url"}       {"site","id"}; the series of a chapter's address as well
 *   "chapter_id"   {"url"}       {"site","id"}
 *   "series"       ref           {"site","id","info"}
 *   "chapter"      ref           {"site","id","info"}
 *   "chapters"     ref           {"site","id","chapters":[chapter…]}
 *   "cover"        ref           {"site","id","mime","base64"}; fails as not_found without one
 *   "series_of"    {"refs":[{"site","id"}…]}                [series id…]
 *   "refs"         {"sites":{S:[chapter id…]},"urls":[…]}   [{"site","id"}…], each once, in order
 *   "download"     {"refs":[{"site","id"}…],"add_mark":b}   {"ids":[…]}, all of them or none
 *   "download_new" ref of a series, or {"all":true,"site"?} {"ids":[…]}
 *   "search"       {"site","text","page"?}                  [series…]
 *   "look"         {}            null; the runner looks at the queue and renews its leases now
 *
 * A series as info: id site title alt_titles description authors artists genres tags lang links
 * date rating status. A chapter: volume (integer or null), chapter (number or null), title, lang,
 * pages, team, date, id, manga. "mime" goes by the first bytes. */
struct dz_call;
struct dz_call_result {
    const struct dz_source_fail *fail; /* NULL: it worked; valid during done() */
    json_t *value;                     /* borrowed */
    bool unanswered; /* the fail is not the back's: there is none, it died, the deadline passed */
};
#define DZ_CALL_REQUEST_MAX (4 * DZ_MIB) /* bytes of the request's frame */
#define DZ_CALL_ANSWER_MAX (32 * DZ_MIB)
/* args is borrowed (NULL: {}); deadline_ms is counted from now. done comes once, from the loop,
 * never inside this call, and *ret_call is gone then. No back, one that dies and a deadline that
 * passes are a fail of kind DZ_SOURCE_UNAVAILABLE. Never blocks. DZ_TOO_LARGE: args. */
DZ_MUST enum dz_code dz_back_call(struct dz_loop *l, const char *data_dir, const char *name,
                                  json_t *args, int64_t deadline_ms,
                                  void (*done)(void *arg, const struct dz_call_result *r),
                                  void *arg, struct dz_call **ret_call, struct dz_err *err);
void dz_back_call_cancel(struct dz_call **c); /* done does not come; the back ends what runs */

/* ---- one download, without a queue -----------------------------------------------------------
 */

/* A chapter as files on disk, by the same steps as a job of kind "download" (contracts/nagato.md 5
 * to 7) but without a data folder: nothing is asked of a library and no mark is set. It shares
 * unfinished work with jobs. Loop's thread. */
struct dz_download;
struct dz_download_state {
    uint64_t done, total; /* pages; total 0: not known (yet) */
    uint64_t bytes;       /* of the pages that are done */
    bool saving;          /* all pages are here */
};
struct dz_download_spec {
    struct dz_loop *loop;
    struct dz_pool *pool;
    struct dz_fetch *fetch;
    struct dz_conf *conf;             /* ref'd */
    struct dz_source *source;         /* ref'd */
    const json_t *chapter, *series;   /* as the source has returned them */
    const char *method, *destination; /* NULL: as the settings say */
    bool again;                       /* also when the result is there */
    void (*progress)(void *arg, const struct dz_download_state *s);
    void (*note)(void *arg, const char *text);
    /* Once, from the loop. path NULL: there is no result; was_there: it was there before. */
    void (*ended)(void *arg, const struct dz_source_fail *fail, const char *path, bool was_there);
    void (*log)(void *arg, enum dz_level level, dz_str text); /* what the source says */
    void *arg;
};
/* DZ_BAD_INPUT: the method, or the template of the settings. */
DZ_MUST enum dz_code dz_download_new(const struct dz_download_spec *s, struct dz_download **ret_d,
                                     struct dz_err *err);
/* What came is kept for the next time; ended comes with DZ_SOURCE_CANCELLED. */
void dz_download_stop(struct dz_download *d);
uint64_t dz_download_requests(const struct dz_download *d); /* from ended on */
void dz_download_free(struct dz_download **d);              /* from ended on */
/* Whether a failure is the site's as a whole, so that asking it for the next thing would be told
 * the same. */
bool dz_crawl_is_site(const struct dz_source_fail *fail);

/* ---- the back and its supervisor ------------------------------------------------------------- */

struct dz_back; /* the supervisor's handle, on the front's control loop */
struct dz_back_stats {
    bool running;
    int pid;
    uint64_t starts, deaths;
    int64_t next_start_in_ms; /* -1: running or stopped */
};
/* Starts `self serve --role back --config FILE` as a child (PR_SET_PDEATHSIG, its log on our
 * stderr) and starts it again when it ends, after 1 s, 2 s, 4 s … 60 s; a child that lived for a
 * minute starts the count anew. argv is copied, NULL-terminated; argv[0] is the path to execute.
 * DZ_UNAVAILABLE when it cannot be executed at all. The kernel ends the child with the *thread*
 * that started it: the loop must run on one that lives as long as the process. Closes inherited
 * descriptors above 2 in the child. */
DZ_MUST enum dz_code dz_back_supervise(struct dz_loop *l, char *const *argv, struct dz_back **ret_b,
                                       struct dz_err *err);
void dz_back_stats_of(const struct dz_back *b, struct dz_back_stats *ret_stats);
void dz_back_signal(struct dz_back *b, int signal); /* SIGHUP is passed on so */
/* SIGTERM, then waits up to wait_ms, then SIGKILL. Blocking. */
void dz_back_stop(struct dz_back **b, int64_t wait_ms);

/* What the back cannot do itself, because it lies in later rooms. */
struct dz_back_hooks {
    dz_crawl_import_fn *import; /* NULL: the source `local` is not there */
    void *arg;
};
/* The whole back role until SIGTERM or, when it was supervised, the front goes: takes
 * data_dir/run/back.lock, connects to the bus (retrying), runs jobs, and keeps house: stale
 * temporaries of the store are swept at start and every hour. Returns the process's exit status. */
int dz_back_main(struct dz_conf *conf, const char *config_path, const struct dz_back_hooks *hooks);

/* An exclusive flock on data_dir/run/NAME.lock holding our pid; DZ_CONFLICT names the other's pid.
 * The caller keeps *ret_fd. */
DZ_MUST enum dz_code dz_role_lock(const char *data_dir, const char *name, int *ret_fd,
                                  struct dz_err *err);
