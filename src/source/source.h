/*
 * source: Lua plugins that teach dozo one site each (docs/sources.md is the API they see).
 *
 * A source is declared once (struct dz_source: what it is called, which hosts it may ask, which
 * functions it has) and run many times. A run is one Lua state of its own with budgets of its own:
 * memory, instructions, time, requests. Ending a run frees everything in it, so that one that
 * loops, eats memory or talks nonsense takes nothing along. Functions are called one after another
 * in a run and may keep what they learnt in local variables between calls of the same run.
 *
 * Results come as JSON values in the order and with the types of docs/sources.md, checked: whoever
 * calls need not check again. Failures have a kind (dozo.fail), which alone decides on HTTP status,
 * GraphQL code and retries.
 *
 * Everything runs on the loop's thread; callbacks come from the loop, never from inside a call into
 * this room. Declarations are immutable and counted, and may be read by any thread.
 */
#pragma once

#include "conf/conf.h"
#include "fetch/fetch.h"
#include "loop/loop.h"
#include "media/media.h"

#include <jansson.h>

struct dz_source;
struct dz_sources;
struct dz_source_run;

/* Limits that no setting moves. */
#define DZ_SOURCE_TEXT_MAX ((size_t)1024 * 1024) /* of source.lua */
#define DZ_SOURCE_ID_MAX 255u                    /* bytes of the id of a series, a chapter */
#define DZ_SOURCE_LIST_MAX 100000u               /* chapters, pages, results of a list */
#define DZ_SOURCES_MAX 1000u
#define DZ_SOURCE_MESSAGE_MAX 1024u /* bytes of a failure's words, its NUL included */

/* ---- failures -------------------------------------------------------------------------------- */

enum dz_source_kind {
    DZ_SOURCE_OK,
    DZ_SOURCE_NOT_FOUND,
    DZ_SOURCE_GONE,
    DZ_SOURCE_BAD_URL,
    DZ_SOURCE_RATE_LIMITED,
    DZ_SOURCE_AUTH,
    DZ_SOURCE_CHALLENGE,
    DZ_SOURCE_UNAVAILABLE,
    DZ_SOURCE_PARSE, /* a plain Lua error, a wrong result */
    DZ_SOURCE_UNSUPPORTED,
    DZ_SOURCE_LIMIT,     /* a budget of the run is used up, or it broke the sandbox's rules */
    DZ_SOURCE_CANCELLED, /* the run was ended from outside */
    DZ_SOURCE_KINDS
};
struct dz_source_kind_info {
    const char *name;         /* as in dozo.fail: "not_found" */
    int http_status;          /* what a library API answers */
    const char *graphql_code; /* extensions.code */
    bool retried;             /* by a job, with growing waits */
};
const struct dz_source_kind_info *dz_source_kind_of(enum dz_source_kind k);
bool dz_source_kind_find(dz_str name, enum dz_source_kind *ret_kind);
/* What an answer or a failure of the requester means for whoever needed it, the same for requests
 * of Lua and for pages: by its kind, or by its status (below 400: DZ_SOURCE_OK). */
enum dz_source_kind dz_source_kind_of_fetch(const struct dz_fetch_res *res);
/* The words about a status from 400 on, for people: "Could not find resource at URL", "Request to
 * URL failed with return code 503 Service Unavailable"; tries > 0: "… failed after N attempts with
 * …". A long URL is cut. */
void dz_source_words_of_status(int status, dz_str url, unsigned tries,
                               char text[DZ_SOURCE_MESSAGE_MAX]);

struct dz_source_fail {
    enum dz_source_kind kind;
    int64_t retry_after_ms; /* the site's or the source's wish; -1: none */
    char text[512]; /* "viz.com: chapters: source.lua:41: …"; names source, function, place */
    char message[DZ_SOURCE_MESSAGE_MAX]; /* its words alone, for people who only use it; "": text */
};

/* ---- declarations ---------------------------------------------------------------------------- */

enum dz_source_fn {
    DZ_FN_RESOLVE, /* (url, wanted: "series"|"chapter"|null) → null or {"kind": "series"|"chapter",
                      "id": "…"} */
    DZ_FN_SERIES,  /* (id) → series */
    DZ_FN_COVER,   /* (id) → {"url": …, "headers": …} or bytes */
    DZ_FN_CHAPTERS,  /* (id, known) → [chapter]; known: array of ids that are kept already */
    DZ_FN_CHAPTER,   /* (id) → chapter with "series" */
    DZ_FN_SERIES_OF, /* (chapter id) → "id" */
    DZ_FN_PAGES,     /* (chapter id) → [{"url", "headers", "transform": [..]}] */
    DZ_FN_DOWNLOAD,  /* (chapter id, archive) */
    DZ_FN_STATUS,    /* (id) → {"next_release": "7 days"} */
    DZ_FN_TITLES,    /* (id, [chapter number]) → {"407": "Title"} ; those that were found */
    DZ_FN_VOLUMES,   /* (id) → [{"volume", "chapters": ["1"], "cover": url or null}] */
    DZ_FN_COVERS,    /* (id) → [{"volume", "url", "headers"}] */
    DZ_FN_SEARCH,    /* (text, page) → [series] */
    DZ_FN_CRAWL,     /* (run) */
    DZ_FN_COUNT
};
const char *dz_source_fn_name(enum dz_source_fn fn);

struct dz_source_option { /* one of `options`, with what the settings say */
    dz_str name, type /* string, integer, number, boolean, list */, help;
    dz_str value; /* text of the settings, else the default; lists joined by "\n" */
};

/* Text of the settings or a command line as the value that it means; the caller decrefs. NULL: it
 * is of another type. */
json_t *dz_source_option_value(const struct dz_source_option *o, dz_str text);

struct dz_source_info {
    dz_str id, name, version, file; /* file: as messages name it */
    bool built_in, enabled;
    dz_str only; /* the id of the one series that there is; n = 0: it has many */
    const dz_str *langs, *match, *hosts; /* match: longest first */
    size_t langs_n, match_n, hosts_n;
    bool has[DZ_FN_COUNT];
    const struct dz_source_option *options;
    size_t options_n;
    int64_t every_ms, page_delay_ms; /* 0: not said */
    dz_str collections;              /* array of what dz_collection_parse takes; n = 0: none */
};
/* Lives as long as the source. */
const struct dz_source_info *dz_source_info_of(const struct dz_source *s);
struct dz_source *dz_source_ref(struct dz_source *s);
void dz_source_unref(struct dz_source **s);
/* Whom it may ask and how fast: hosts of the declaration and the settings, the hosts of overridden
 * addresses (these may be private). Borrowed. */
struct dz_fetch_policy *dz_source_policy(const struct dz_source *s);

/* One source from text; file names it in messages ("source.lua"). The section of the settings with
 * its id (may be absent, conf too) gives options, pace, hosts. DZ_PARSE: "FILE:LINE: …";
 * DZ_BAD_INPUT names the field of the declaration or the setting; DZ_FULL: a budget was used up.
 * Runs the chunk once under the budgets of a run, and 5 s. */
DZ_MUST enum dz_code dz_source_load(const struct dz_conf *conf, dz_str text, const char *file,
                                    struct dz_source **ret_s, struct dz_err *err);

/* ---- registry -------------------------------------------------------------------------------- */

/* The built-in sources, then those of sources.dir (NAME/source.lua or NAME.lua; one with the id of
 * a built-in one takes its place). A source that cannot be loaded is left out and reported through
 * `problem`; the others work. DZ_OK also then. */
DZ_MUST enum dz_code dz_sources_load(const struct dz_conf *conf,
                                     void (*problem)(void *arg, const struct dz_err *e), void *arg,
                                     struct dz_sources **ret_v, struct dz_err *err);
void dz_sources_free(struct dz_sources **v); /* runs keep their sources */
size_t dz_sources_count(const struct dz_sources *v);
struct dz_source *dz_sources_at(const struct dz_sources *v, size_t i); /* by id; borrowed */
/* Borrowed; NULL: none of that id. Disabled ones are found too. */
struct dz_source *dz_sources_find(const struct dz_sources *v, dz_str id);
/* The enabled one with the longest `match` that the URL without its scheme begins with, the host in
 * either case, and behind which it ends or goes on with one of / ? # and : ; NULL: none. */
struct dz_source *dz_sources_match(const struct dz_sources *v, dz_str url);

/* ---- runs ------------------------------------------------------------------------------------ */

/* What a run needs from outside; must outlive it. Callbacks on the loop's thread. */
struct dz_source_env {
    struct dz_loop *loop;
    struct dz_fetch *fetch;
    /* NULL: dz_fetch_start(fetch, …). For recorded exchanges: done() as in fetch.h, later. */
    void (*send)(void *arg, const struct dz_fetch_req *r, struct dz_fetch_call **ret_call);
    /* The key/value memory of a source (`store`): get appends the JSON text and says whether there
     * is one; set with n = 0 forgets; expires_s is a Unix time, 0: never. NULL: nothing is kept. */
    bool (*kv_get)(void *arg, dz_str source, dz_str key, struct dz_buf *out);
    void (*kv_set)(void *arg, dz_str source, dz_str key, dz_str json, int64_t expires_s);
    void (*log)(void *arg, enum dz_level level, dz_str text);
    /* What a GET without `cache` of its own may be answered with from the cache: 0: what HTTP
     * allows, else whatever is younger. */
    int64_t fresh_ms;
    /* What crawl and download hand over; a NULL here or inside: refused as unsupported. */
    const struct dz_source_sink *sink;
    void *arg;
};
/* What a crawl asks of its sink and waits for. Filled by the room; its memory lives until the
 * answer. */
struct dz_source_ask {
    enum {
        DZ_ASK_EMIT, /* value: a record of `name`. Answer: {"result": "new"|"same"|"clash", "old":
                        the record that is there, of a clash} */
        DZ_ASK_SEEN, /* value: {"field": name or null (the key), "values": […]}. Answer: array of
                        booleans */
        DZ_ASK_ARCHIVE /* bytes under `name`, a path without .., empty or hidden parts. No answer */
    } kind;
    dz_str name; /* of the collection, or of what is archived */
    json_t *value;
    struct dz_body *bytes;
    bool ended; /* the run has ended: whatever is answered, nobody hears it */
};
/* Exactly once for each, on the loop, inside `ask` or later, also when it has ended. value is taken
 * (NULL: nothing). code other than DZ_OK: err has the words; DZ_BAD_INPUT and DZ_TOO_LARGE are the
 * source's fault and of kind parse, others end in unavailable. */
void dz_source_answer(struct dz_source_ask *take_ask, json_t *take_value, enum dz_code code,
                      const struct dz_err *err);
/* Loop thread, none of it blocks. */
struct dz_source_sink {
    void (*ask)(void *arg, struct dz_source_ask *take_ask); /* of crawl */
    /* of crawl: something could not be had, and the rest goes on */
    void (*trouble)(void *arg, enum dz_source_kind kind, dz_str text);
    void (*progress)(void *arg, uint64_t done, uint64_t total); /* of crawl; total 0: not known */
    /* archive:add of DZ_FN_DOWNLOAD, whose name may be empty; a failure ends the run as
     * DZ_SOURCE_UNAVAILABLE */
    enum dz_code (*archive)(void *arg, dz_str name, dz_str bytes, struct dz_err *err);
};

/* In a crawl instructions, processor's time, time, requests and log lines are counted from the last
 * run:progress that came after a request, for DZ_SOURCE_CRAWL_MS at most. */
#define DZ_SOURCE_CRAWL_MS (INT64_C(24) * 3600 * 1000)
struct dz_source_budget {  /* 0: the default in comments */
    size_t memory_bytes;   /* 64 MiB */
    uint64_t instructions; /* 500 million, all calls of the run together */
    int64_t cpu_ms;        /* 20 s of the processor's time, all calls together */
    int64_t wall_ms;       /* 10 min a call, waiting for the site included */
    uint64_t requests;     /* 10,000, redirects included */
};

/* Loads the chunk into a state of its own. DZ_UNSUPPORTED: the source is disabled. */
DZ_MUST enum dz_code dz_source_run_new(struct dz_source *s, const struct dz_source_env *env,
                                       const struct dz_source_budget *budget,
                                       struct dz_source_run **ret_r, struct dz_err *err);
/* Ends what runs: its done() comes with DZ_SOURCE_CANCELLED before this returns. */
void dz_source_run_free(struct dz_source_run **r);

struct dz_source_result {
    const struct dz_source_fail *fail; /* NULL: it worked; valid during done() */
    json_t *value; /* borrowed: whoever keeps it increfs; NULL when bytes came, or a failure */
    struct dz_body *body; /* bytes of DZ_FN_COVER; borrowed; NULL: none */
    uint64_t requests;    /* that left for the site during this call */
};
typedef void dz_source_done_fn(void *arg, const struct dz_source_result *res);
/* args: array of JSON values, borrowed until done. One call at a time in a run: DZ_CONFLICT. A
 * function that the source lacks is DZ_UNSUPPORTED (but SERIES_OF, which falls back to CHAPTER).
 * done comes exactly once, from the loop. After DZ_SOURCE_LIMIT the run is over: DZ_FULL. */
DZ_MUST enum dz_code dz_source_run_call(struct dz_source_run *r, enum dz_source_fn fn, json_t *args,
                                        dz_source_done_fn *done, void *arg, struct dz_err *err);
/* DZ_FN_CRAWL: args is one object {"full", "limit_pages", "options"}; options that it does not name
 * are those of the settings. */

/* ---- tests of sources ------------------------------------------------------------------------ */

/* What docs/sources.md calls the tests of a source: its functions called with recorded exchanges
 * in place of the site. */
struct dz_source_test {
    const char *dir; /* with source.lua, expect.json and fixtures/ */
    /* NULL: nothing leaves the process; else what is not recorded is asked of the site and written
     * to fixtures/recorded.http */
    const struct dz_fetch_options *record;
    void (*began)(void *arg, const struct dz_source_info *info);
    void (*ended)(void *arg, const char *name, const char *problems /* NULL: it passed; lines */,
                  int64_t took_ms);
    void (*untested)(void *arg, const char *function); /* that no case calls; may be NULL */
    void (*log)(void *arg, dz_str text);               /* what the source logs; may be NULL */
    void *arg;
    unsigned passed, failed; /* counted up */
    unsigned recorded;       /* exchanges that were written */
};
/* Blocking, on a loop of its own. An error is a folder that cannot be
 * tested at all; cases that fail are counted. */
DZ_MUST enum dz_code dz_source_test(struct dz_source_test *test, struct dz_err *err);
