/*
 * catalog: what we know. Series, chapters, pages, assets, shelves and blob records; collections,
 * the tables that sources declare; numbered migrations; queries; write batches; and the snapshot,
 * an immutable picture of one series that readers are served from.
 *
 * Every call may block on the database: workers and commands only. One struct dz_catalog may be
 * used from several threads (it locks inside; SQLite: WAL, a connection for writing and one for
 * reading). A batch belongs to the thread that began it. Records returned live in the arena that
 * was given. The catalog never touches the store: it counts references to blobs, and `dozo check`
 * compares both.
 */
#pragma once

#include <jansson.h>

#include "base/base.h"

struct dz_catalog;
struct dz_snapshot;
struct dz_snap_chapter;

/* ---- records --------------------------------------------------------------------------------- */

/* Limits of what comes from outside, checked by the batch functions: DZ_TOO_LARGE naming the field.
 * Texts hold no zero byte and are UTF-8, DZ_BAD_INPUT otherwise; only source_id, names of pages and
 * assets, origin and origin_stamp may be any bytes, as file names are. */
#define DZ_TEXT_MAX 4096u              /* titles, names, keys, ids */
#define DZ_LONG_TEXT_MAX (256u * 1024) /* descriptions, JSON members */
#define DZ_CHAPTER_PAGES_MAX 20000u
#define DZ_SERIES_CHAPTERS_MAX 100000u
#define DZ_BLOB_BYTES_MAX UINT32_MAX /* so that a snapshot's page fits one cache line */
#define DZ_JSON_DEPTH_MAX 24u        /* of links, meta_extra and extra */

struct dz_blob_rec {
    struct dz_sha256 sha;
    uint64_t bytes;
    uint32_t width, height; /* 0: not an image or not known */
    dz_str mime;            /* "" when unknown */
};

struct dz_page_rec {
    uint32_t number; /* from 1, ascending, gaps allowed */
    int64_t mtime_s; /* Last-Modified; stored clipped to 1970..9999 */
    struct dz_blob_rec blob;
    dz_str name; /* file name it came with, without folders */
};

struct dz_chapter_rec {
    int64_t id; /* ours; 0 on write: found by (series, source_id) or new */
    /* Unique in the series: the source's id, or the origin's relative path for imports. */
    dz_str source_id;
    dz_str key;  /* what URLs use, unique in the series: "407", "207.5", "v2"; no '/', not empty */
    double sort; /* numeric order, ascending = reading order; ties by key, natural */
    dz_str number; /* chapter number as text; n = 0: none */
    dz_str volume; /* n = 0: none */
    dz_str title;  /* p = NULL: null */
    bool volume_cover;
    uint32_t page_count; /* as declared; may differ from the page rows of imported data */
    dz_str links;        /* JSON object text, order kept; n = 0: none */
    dz_str meta_extra;   /* JSON object text of unknown members of `metadata`; n = 0: none */
    dz_str extra; /* JSON object text of unknown members beside metadata and links; n = 0: none */
    /* Where it was imported from, for people and for skipping; the address of a chapter that a
     * crawl brought, which is {source_url} of link templates then; n = 0: none. */
    dz_str origin;
    /* Size, mtime and importer version: the same stamp means nothing changed. */
    dz_str origin_stamp;
    int64_t created_s, updated_s; /* set by the catalog */
    int64_t rev; /* set by the catalog: another one after each change of the chapter or its pages */
    const struct dz_page_rec *pages;
    size_t pages_n;
};

struct dz_chapter_edit {
    int64_t id;
    bool has_title, has_volume, has_cover; /* what follows is to be stored */
    dz_str title;                          /* p = NULL: null */
    dz_str volume;                         /* n = 0: none */
    bool volume_cover;
};

/* A file of a shelf that is no page: vol1.jpg and whatever else lay in the folder. */
struct dz_asset_rec {
    dz_str name; /* relative, '/' allowed, no ".." component */
    int64_t mtime_s;
    struct dz_blob_rec blob;
};

struct dz_series_rec {
    int64_t id; /* ours; 0 on write: found by (source, source_id) or new */
    /* "viz.com" and "komi-cant-communicate"; "local" and the folder's name for imports. */
    dz_str source, source_id;
    dz_str title, description, authors /* joined ", " */, lang, status, url;
    dz_str new_release; /* n = 0: never known */
    bool right_to_left;
    int64_t created_s, updated_s;
};

struct dz_series_full {
    struct dz_series_rec series;
    struct dz_chapter_rec *chapters; /* by sort descending: newest first */
    size_t chapters_n;
    /* Only after dz_catalog_load_since: the chapters of the older snapshot that did not change,
     * newest first; `chapters` are then the others. */
    const struct dz_snap_chapter **kept;
    size_t kept_n;
    struct dz_asset_rec *assets; /* by name */
    size_t assets_n;
};

struct dz_shelf_rec {
    dz_str name;
    int64_t series_id;
};

struct dz_catalog_counts {
    uint64_t series, chapters, pages, assets, blobs, blob_bytes, shelves;
};

/* ---- records of work ---------------------------------------------------------------------------
 */

enum dz_job_state {
    DZ_JOB_QUEUED,
    DZ_JOB_RUNNING, /* under a lease; one whose lease has ended counts as queued */
    DZ_JOB_DONE,
    DZ_JOB_FAILED,
    DZ_JOB_CANCELLED,
    DZ_JOB_STATES
};
const char *dz_job_state_name(enum dz_job_state s); /* "queued"; static */

struct dz_job_rec {
    int64_t id;
    dz_str kind;           /* "crawl", "download" … */
    dz_str source, target; /* source id; id at the source, n = 0: all of the source */
    dz_str args;           /* JSON object text; n = 0: none */
    enum dz_job_state state;
    int32_t priority;  /* higher first */
    uint32_t attempts; /* how often it was taken */
    bool cancel_asked; /* of a running one: its owner hears of it when it renews */
    /* Unix milliseconds; 0: not yet. started_ms is when it was taken last. */
    int64_t created_ms, run_after_ms, lease_until_ms, started_ms, ended_ms;
    /* Of the lease, "host:pid:start"; n = 0: none. A process that may take one job twice, the
     * second time after its own lease has ended, needs a name for each time. */
    dz_str owner;
    uint64_t done, total;        /* progress in pages; total 0: not known */
    uint64_t bytes;              /* of what is done */
    dz_str phase;                /* of a running one, "saving"; n = 0: none */
    dz_str fail_kind, fail_text; /* of the last failure; n = 0: none */
    dz_str result;               /* JSON object text; n = 0: none */
};

struct dz_job_progress {
    uint64_t done, total, bytes;
    dz_str phase;
};

/* Jobs of this kind have a history of their own: see dz_catalog_jobs_trim. */
#define DZ_JOB_DOWNLOAD "download"

#define DZ_JOB_KINDS_MAX 8u
struct dz_job_take {
    const dz_str *kinds; /* n = 0: any */
    size_t kinds_n;
    int64_t id; /* 0: any, else that job whether due or not */
    dz_str owner;
    int64_t now_ms, lease_ms;
};

struct dz_source_counts { /* what the library keeps of one source */
    dz_str source;
    uint64_t series, chapters;
};

/* What crawls remember: small JSON texts by (source, name), gone after expires_ms (0: never). name:
 * "series/ID/titles", "health", "kv/KEY" … */
struct dz_crawl_state_rec {
    dz_str source, name, value;
    int64_t updated_ms, expires_ms;
};
#define DZ_CRAWL_STATE_MAX (256u * 1024) /* bytes of a value */

/* A page of a chapter that is not whole yet: counted as a use of its blob, so that no repair takes
 * it for garbage, and found again by the next attempt. `at` is the place in the source's list, from
 * 0; a page that was left out (blank) has a blob of zero bytes and mime "". */
#define DZ_PART_URL_MAX (16u * 1024)
struct dz_part_rec {
    uint32_t at; /* below DZ_CHAPTER_PAGES_MAX */
    dz_str url;  /* another one than before: the part is stale */
    int64_t mtime_s;
    struct dz_blob_rec blob;
};

/* What a reader says of a chapter, which need not be in the library. Ids are those of the source.
 */
enum { DZ_MARK_DOWNLOADED = 'D', DZ_MARK_IGNORED = 'I' };
struct dz_mark_rec {
    dz_str source, chapter, series;
    char mark;
};

struct dz_favourite_rec {
    dz_str source, series;
    int64_t created_ms;
};

/* A file that somebody has sent: its name in addresses and how it is served. */
struct dz_upload_rec {
    dz_str id;               /* not empty, no zero byte */
    dz_str mime;             /* as it was declared; p = NULL: it was not */
    struct dz_blob_rec blob; /* mime: what the bytes are, "" when unknown */
    int64_t created_ms;
};

/* Records of one call: marks, jobs, blobs. */
#define DZ_CALL_RECORDS_MAX 100000u

/* ---- collections: records that a source declares -----------------------------------------------
 */

/* A collection is what a source says in `collections` (docs/sources.md): typed records with a key.
 * Each has a table of its own, whose name and columns follow from the declaration alone. */
#define DZ_COLLECTION_NAME_MAX 63u /* of collections, fields, columns, enums, arguments */
#define DZ_COLLECTION_JSON_MAX (1024u * 1024)
#define DZ_COLLECTION_FIELDS_MAX 200u
#define DZ_COLLECTION_QUERIES_MAX 50u
#define DZ_COLLECTION_ENUMS_MAX 50u
#define DZ_COLLECTION_ENUM_VALUES_MAX 1000u
#define DZ_COLLECTION_UNIQUE_MAX 10u
#define DZ_COLLECTION_TUPLE_MAX 8u /* fields of a unique tuple, an order, a list of filters */

enum dz_collection_type {
    DZ_COLLECTION_STRING,
    DZ_COLLECTION_ID,
    DZ_COLLECTION_INT, /* 64 bits are stored */
    DZ_COLLECTION_FLOAT,
    DZ_COLLECTION_BOOLEAN,
    DZ_COLLECTION_ENUM /* stored as its number */
};

struct dz_collection_enum_value {
    dz_str name;
    int64_t number;
};
struct dz_collection_enum {
    dz_str name, description;
    const struct dz_collection_enum_value *values;
    size_t values_n;
};

struct dz_collection_value {
    enum { DZ_VALUE_NULL, DZ_VALUE_INT, DZ_VALUE_REAL, DZ_VALUE_TEXT } kind;
    union {
        int64_t n; /* also of Boolean, and of an enum: any number that is stored */
        double x;
        dz_str s; /* of a list: its JSON text */
    };
};

/* A column of the table. Several fields may show one column, each in its own type. */
struct dz_collection_column {
    dz_str name;
    enum dz_collection_type type; /* of the first of its fields: tells how it is stored */
    bool list, not_null;          /* not_null: one of its fields is */
    size_t field;                 /* the first of its fields */
};

struct dz_collection_field {
    dz_str name, description;
    enum dz_collection_type type;
    const struct dz_collection_enum *of; /* of type ENUM, else NULL */
    bool list, items_not_null, not_null;
    size_t column; /* DZ_NPOS: derived, made when it is read */
    /* Derived: the first of these (fields with columns) that is neither null nor empty, */
    const size_t *first_of;
    size_t first_of_n;
    /* or texts and fields (with columns) in turn: text[0] field[0] text[1] … text[n]; null when one
     * of them is. A field of an enum shows its number. */
    const dz_str *template_text;
    const size_t *template_field;
    size_t template_n;
};

struct dz_collection_tuple {
    const size_t *fields;
    size_t n;
};

struct dz_collection_query {
    dz_str name, description;
    dz_str one, many;   /* the argument that holds a key, or a list of keys; n = 0: none */
    size_t range_field; /* DZ_NPOS: no range */
    dz_str from, to;    /* arguments of the range: from inclusive, to exclusive */
    struct dz_collection_tuple filter, order;
    bool exclusive; /* keys go with no range and no filter */
};

/* Immutable and counted; shared between threads. Fields are named by their place in `fields`. */
struct dz_collection {
    atomic_uint refs;
    struct dz_arena *arena;
    dz_str source, name, description, declaration, table;
    size_t key; /* a field that has a column, is not null, and is String, ID or Int */
    const struct dz_collection_field *fields;
    size_t fields_n;
    const struct dz_collection_column *columns;
    size_t columns_n;
    const struct dz_collection_enum *enums;
    size_t enums_n;
    const struct dz_collection_tuple *unique;
    size_t unique_n;
    const struct dz_collection_query *queries;
    size_t queries_n;
};

/* json: one element of dz_source_info.collections. All rules are checked here: DZ_BAD_INPUT or
 * DZ_TOO_LARGE, "live.48.cn: collection PerfVOD: field group: …". Any thread, no catalog. */
DZ_MUST enum dz_code dz_collection_parse(dz_str source, dz_str json, struct dz_collection **ret_c,
                                         struct dz_err *err);
struct dz_collection *dz_collection_ref(struct dz_collection *c);
void dz_collection_unref(struct dz_collection **c);
size_t dz_collection_field(const struct dz_collection *c, dz_str name); /* DZ_NPOS: none */
/* The name of a number; n = 0: the enum does not know it. */
dz_str dz_collection_enum_name(const struct dz_collection_enum *e, int64_t number);
/* Whether a record could be stored: an object of field names, with all that is not null. An enum
 * is given by name or number. DZ_BAD_INPUT, DZ_TOO_LARGE: names the field. Any thread. */
DZ_MUST enum dz_code dz_collection_check(const struct dz_collection *c, const json_t *record,
                                         struct dz_err *err);

/* What dz_catalog_collection_ensure did. */
struct dz_collection_ensured {
    bool created, changed; /* the table; anything at all */
    char note[248];        /* something that people should know; "" when there is nothing */
};
/* The table as declared: made, or given the columns and indexes that it lacks, in one transaction;
 * a copy of the SQLite file is taken before a table that is there gets columns
 * (dozo.db.before-NAME-N). Rows that are there have null in a new column, "" or 0 in one that is
 * not null. Any other change of what is stored is DZ_CONFLICT naming the field: type, column, null
 * or not, another key, a field that is gone, another number for a name of an enum; so is a new
 * unique tuple that rows break. Cheap when nothing changed. */
DZ_MUST enum dz_code dz_catalog_collection_ensure(struct dz_catalog *c,
                                                  const struct dz_collection *coll,
                                                  struct dz_collection_ensured *ret_ensured,
                                                  struct dz_err *err);

struct dz_collection_rec {
    dz_str source, name, declaration;
    uint64_t rows_rev; /* another one after each change of its rows */
};
/* All that were ensured, by source and name. */
DZ_MUST enum dz_code dz_catalog_collections(struct dz_catalog *c, struct dz_arena *a,
                                            struct dz_collection_rec **ret_v, size_t *ret_n,
                                            struct dz_err *err);
/* Goes up with each change of declarations: what was built from them is stale then. Cheap. */
DZ_MUST enum dz_code dz_catalog_collections_rev(struct dz_catalog *c, uint64_t *ret_rev,
                                                struct dz_err *err);

enum dz_put_result {
    DZ_PUT_NEW,
    DZ_PUT_SAME,     /* the key is there, and so is all that the record says, unique tuples aside */
    DZ_PUT_REPLACED, /* only when asked for */
    DZ_PUT_CLASH,    /* the key or a unique tuple is there with something else: nothing stored */
};
/* records: array of objects as dz_collection_check has them, at most DZ_CALL_RECORDS_MAX; borrowed.
 * One transaction, durable on return; all that do not clash are stored. With `replace` a row of the
 * same key takes what the record says, null included; what it does not name stays. ret_v has room
 * for a result a record. ret_clash (may be NULL): an array, the caller's, with null or, for a
 * clash, the row that is there (fields with columns by name, enums by name or foreign number).
 * DZ_BAD_INPUT names the record: nothing is stored then. DZ_NOT_FOUND: was never ensured. */
DZ_MUST enum dz_code dz_catalog_collection_put(struct dz_catalog *c,
                                               const struct dz_collection *coll,
                                               const json_t *records, bool replace,
                                               enum dz_put_result *ret_v, json_t **ret_clash,
                                               struct dz_err *err);
/* Which of n values (as texts; integers in decimal) a field (with a column) has in some row. ret
 * has room for n. Quick for the key and for fields that a unique tuple begins with. */
DZ_MUST enum dz_code dz_catalog_collection_seen(struct dz_catalog *c,
                                                const struct dz_collection *coll, size_t field,
                                                const dz_str *values, size_t n, bool *ret,
                                                struct dz_err *err);

struct dz_collection_bound {
    size_t field;
    struct dz_collection_value value;
};
struct dz_collection_ask {
    /* Rows by key, in this order, duplicates kept; a key with p = NULL is nobody's. */
    bool by_keys;
    const dz_str *keys;
    size_t keys_n;
    /* Else all rows with field >= from and field < to (kind NULL: open), */
    const struct dz_collection_bound *from, *to;
    /* that equal each of these (kind NULL: null), */
    const struct dz_collection_bound *filters;
    size_t filters_n;
    /* by these fields (not null) and then by key, */
    const size_t *order;
    size_t order_n;
    bool descending;
    /* behind the row that has these values of the order's fields and, last, this key: order_n + 1
     * of them; NULL: from the start, */
    const struct dz_collection_value *after;
    size_t limit; /* so many; 0: all of them */
    /* A flag for each field; NULL: all. The values of others come as null. */
    const bool *wanted;
};
/* at: the place in `keys`, or counts up. v: a value for each field, good until fn returns; NULL: no
 * row has that key. fn may end the reading with a code of its own, and must not write. Derived
 * fields are filled in; numbers that an enum does not know come as they are. */
typedef enum dz_code dz_collection_row_fn(void *arg, size_t at, const struct dz_collection_value *v,
                                          struct dz_err *err);
/* From one read transaction. DZ_NOT_FOUND: was never ensured. */
DZ_MUST enum dz_code dz_catalog_collection_rows(struct dz_catalog *c,
                                                const struct dz_collection *coll,
                                                const struct dz_collection_ask *ask,
                                                dz_collection_row_fn *fn, void *arg,
                                                struct dz_err *err);

/* ---- callbacks ------------------------------------------------------------------------------- */

/* A batch: everything in it becomes visible at once at commit, or not at all. */
struct dz_batch;

typedef enum dz_code dz_blob_row_fn(void *arg, const struct dz_blob_rec *b, uint64_t refs,
                                    struct dz_err *err);
typedef void dz_problem_fn(void *arg, const char *text);
typedef enum dz_code dz_upload_fn(void *arg, const struct dz_upload_rec *u, struct dz_err *err);
typedef enum dz_code dz_part_fn(void *arg, dz_str source, dz_str chapter,
                                const struct dz_part_rec *p, struct dz_err *err);

/* ---- reading --------------------------------------------------------------------------------- */

/* Opens, runs missing migrations in one transaction each (a copy of the SQLite file is taken first:
 * dozo.db.before-migration-N), refuses a database that is newer than this binary. */
DZ_MUST enum dz_code dz_catalog_open(const char *driver, const char *data_dir, const char *uri,
                                     struct dz_catalog **ret_c, struct dz_err *err);
void dz_catalog_close(struct dz_catalog **c);

DZ_MUST enum dz_code dz_catalog_series_ids(struct dz_catalog *c, struct dz_arena *a,
                                           int64_t **ret_ids, size_t *ret_n, struct dz_err *err);
/* DZ_NOT_FOUND */
DZ_MUST enum dz_code dz_catalog_series_find(struct dz_catalog *c, dz_str source, dz_str source_id,
                                            int64_t *ret_id, struct dz_err *err);
/* One series with all its chapters, pages and assets, from one read transaction. DZ_NOT_FOUND. */
DZ_MUST enum dz_code dz_catalog_load(struct dz_catalog *c, int64_t series_id, struct dz_arena *a,
                                     struct dz_series_full *ret_full, struct dz_err *err);
/* The same without pages (pages_n is 0): what a crawl has to know, thousands of chapters in
 * milliseconds. */
DZ_MUST enum dz_code dz_catalog_load_bare(struct dz_catalog *c, int64_t series_id,
                                          struct dz_arena *a, struct dz_series_full *ret_full,
                                          struct dz_err *err);
/* The same for dz_snapshot_update: chapters that did not change since `old` (an earlier snapshot of
 * the series, which must live on, or NULL) come as `kept`, so that a change of one chapter reads
 * one chapter and its pages. */
DZ_MUST enum dz_code dz_catalog_load_since(struct dz_catalog *c, int64_t series_id,
                                           const struct dz_snapshot *old, struct dz_arena *a,
                                           struct dz_series_full *ret_full, struct dz_err *err);
DZ_MUST enum dz_code dz_catalog_shelves(struct dz_catalog *c, struct dz_arena *a,
                                        struct dz_shelf_rec **ret_v, size_t *ret_n,
                                        struct dz_err *err);
/* Series changed (or gone) after sequence number `since`, each once; ret_seq is the newest number.
 * Cheap when nothing changed: meant to be polled. A change of shelves counts as a change of their
 * series. DZ_UNAVAILABLE as long as the database's file is not the one that was opened. */
DZ_MUST enum dz_code dz_catalog_changes(struct dz_catalog *c, uint64_t since, struct dz_arena *a,
                                        int64_t **ret_ids, size_t *ret_n, uint64_t *ret_seq,
                                        struct dz_err *err);
/* Whether the database can wake somebody: else changes have to be polled for. */
bool dz_catalog_can_wait(struct dz_catalog *c);
/* Blocks until series may have changed or jobs were added, by any process, at most wait_ms; one
 * thread at a time. false: nothing was heard of, or (at once) the database wakes nobody. */
DZ_MUST enum dz_code dz_catalog_wait(struct dz_catalog *c, int64_t wait_ms, bool *ret_changed,
                                     struct dz_err *err);
DZ_MUST enum dz_code dz_catalog_counts(struct dz_catalog *c, struct dz_catalog_counts *ret_counts,
                                       struct dz_err *err);
/* Every blob row once with its reference count. */
DZ_MUST enum dz_code dz_catalog_blobs(struct dz_catalog *c, dz_blob_row_fn *fn, void *arg,
                                      struct dz_err *err);
/* The catalog's own soundness: database integrity, foreign keys, reference counts that do not match
 * pages, assets, parts and uploads. Each problem goes to fn as a line; with `repair` counts are
 * mended. ret_left: problems that remain. */
DZ_MUST enum dz_code dz_catalog_verify(struct dz_catalog *c, bool repair, dz_problem_fn *fn,
                                       void *arg, uint64_t *ret_left, struct dz_err *err);

/* ---- blobs: who puts, and who removes ---------------------------------------------------------
 */

/* Whoever puts blobs shares this lock from the first put to the batch that names them; whoever
 * removes blobs that no row names holds it alone. It counts for all processes that share data_dir,
 * and for all that share the database where several machines may (dz_catalog_is_shared). Waits for
 * nobody: DZ_CONFLICT when it is held otherwise. */
struct dz_catalog_lock;
DZ_MUST enum dz_code dz_catalog_lock(struct dz_catalog *c, bool exclusive,
                                     struct dz_catalog_lock **ret_l, struct dz_err *err);
/* The database's half ends with its connection. DZ_UNAVAILABLE: it was lost since it was taken, so
 * another one may have had it. Ask inside a batch, which then is the only one up to its end: before
 * naming what was put earlier, and before each removal. Any thread. */
DZ_MUST enum dz_code dz_catalog_lock_check(struct dz_catalog_lock *l, struct dz_err *err);
/* A lost one is taken again; what was put before may be gone. Any thread. */
DZ_MUST enum dz_code dz_catalog_lock_again(struct dz_catalog_lock *l, struct dz_err *err);
void dz_catalog_unlock(struct dz_catalog_lock **l); /* also a DZ_AUTO handler */
/* Whether the database is one of several machines. */
bool dz_catalog_is_shared(const struct dz_catalog *c);

/* ---- writing --------------------------------------------------------------------------------- */

/* Waits for other writers up to 30 s: then DZ_UNAVAILABLE "another dozo process is writing". A call
 * below that is refused for what it was given leaves the batch as it was; one that fails half-way
 * (a disk error) breaks it: every later call and the commit then say DZ_CONFLICT, and nothing is
 * kept. */
DZ_MUST enum dz_code dz_batch_begin(struct dz_catalog *c, struct dz_batch **ret_b,
                                    struct dz_err *err);
/* New or updated series; empty texts leave what is stored. With an id, that series, which then may
 * change its source. */
DZ_MUST enum dz_code dz_batch_series(struct dz_batch *b, const struct dz_series_rec *s,
                                     int64_t *ret_id, struct dz_err *err);
/* The chapter with exactly these pages: new, replaced, or left alone when equal (ret_changed false;
 * equal leaves no change number either, though a new origin_stamp alone is stored silently). Blob
 * rows and counts follow. DZ_CONFLICT when another chapter of the series has the key. */
DZ_MUST enum dz_code dz_batch_chapter(struct dz_batch *b, int64_t series_id,
                                      const struct dz_chapter_rec *c, int64_t *ret_id,
                                      bool *ret_changed, struct dz_err *err);
DZ_MUST enum dz_code dz_batch_chapter_del(struct dz_batch *b, int64_t chapter_id,
                                          struct dz_err *err);
DZ_MUST enum dz_code dz_batch_asset(struct dz_batch *b, int64_t series_id,
                                    const struct dz_asset_rec *f, bool *ret_changed,
                                    struct dz_err *err);
DZ_MUST enum dz_code dz_batch_asset_del(struct dz_batch *b, int64_t series_id, dz_str name,
                                        struct dz_err *err);
/* Some texts of a chapter, the rest of it and its pages as they are, so that nobody writes back
 * what he read a while ago. Equal is no change. DZ_NOT_FOUND. */
DZ_MUST enum dz_code dz_batch_chapter_edit(struct dz_batch *b, const struct dz_chapter_edit *e,
                                           bool *ret_changed, struct dz_err *err);
/* Which series `/shelf/NAME/` shows when the settings do not say. */
DZ_MUST enum dz_code dz_batch_shelf(struct dz_batch *b, dz_str name, int64_t series_id,
                                    struct dz_err *err);
/* Forgets a blob row whose count is 0; DZ_CONFLICT otherwise. */
DZ_MUST enum dz_code dz_batch_blob_drop(struct dz_batch *b, const struct dz_sha256 *sha,
                                        struct dz_err *err);
/* Durable on return (synchronous=FULL). ret_seq may be NULL. Frees the batch either way. */
DZ_MUST enum dz_code dz_batch_commit(struct dz_batch **b, uint64_t *ret_seq, struct dz_err *err);
void dz_batch_rollback(struct dz_batch **b); /* also a DZ_AUTO handler */

/* ---- work: jobs, what crawls remember, pages of unfinished chapters ---------------------------
 */

/* Each call below is one transaction of its own, durable on return; never by a thread that has a
 * batch open. Times are the caller's, in Unix milliseconds. Whoever takes a job gets its args as
 * they are; lists give them only up to the first member that is an object or an array, still a JSON
 * text: what a site said stands behind, and a list has thousands of rows. */

/* A new job, unless one of the same kind, source and target is queued or running (also one that was
 * asked to end): then that one's id, ret_new false, and a queued one becomes due at the earlier of
 * both times and takes the higher priority. Only kind, source, target, args, priority and
 * run_after_ms are read. */
DZ_MUST enum dz_code dz_catalog_job_add(struct dz_catalog *c, const struct dz_job_rec *j,
                                        int64_t now_ms, int64_t *ret_id, bool *ret_new,
                                        struct dz_err *err);
/* The due job of the highest priority, the longest due first, under a lease; attempts counts up.
 * One whose lease has ended is due at once, or is cancelled here when its end was asked for; a
 * DZ_JOB_DOWNLOAD that is due more than ten days from now too: the clock was set back.
 * DZ_NOT_FOUND: nothing to do, or the job of t->id has ended or is under somebody's lease. */
DZ_MUST enum dz_code dz_catalog_job_take(struct dz_catalog *c, const struct dz_job_take *t,
                                         struct dz_arena *a, struct dz_job_rec *ret_job,
                                         struct dz_err *err);
/* A lease until now_ms + lease_ms and progress; an ended lease that nobody took lives again.
 * DZ_CONFLICT: the lease is somebody else's by now (the job must be
 * dropped at once); DZ_CANCELLED: somebody asked for its end (the lease is the longer one). */
DZ_MUST enum dz_code dz_catalog_job_renew(struct dz_catalog *c, int64_t id, dz_str owner,
                                          int64_t now_ms, int64_t lease_ms,
                                          const struct dz_job_progress *p, struct dz_err *err);
/* The end of an attempt: state DONE, FAILED or CANCELLED, or QUEUED with run_after_ms for another
 * attempt (without fail_kind it worked and comes again: attempts starts anew), unless its end was
 * asked for: then it is CANCELLED. Reads state, run_after_ms, done, total, bytes, fail_kind,
 * fail_text, result. DZ_CONFLICT as above: nothing is written. */
DZ_MUST enum dz_code dz_catalog_job_end(struct dz_catalog *c, int64_t id, dz_str owner,
                                        const struct dz_job_rec *end, int64_t now_ms,
                                        struct dz_err *err);
/* A queued one is cancelled, as is one whose lease has ended; a running one is asked to end; an
 * ended one is left: ret_asked false.
 * DZ_NOT_FOUND. */
DZ_MUST enum dz_code dz_catalog_job_cancel(struct dz_catalog *c, int64_t id, int64_t now_ms,
                                           bool *ret_asked, struct dz_err *err);
/* Running ones first, then queued by when they are due, then ended, the latest first; at most
 * `max`. */
DZ_MUST enum dz_code dz_catalog_jobs(struct dz_catalog *c, size_t max, struct dz_arena *a,
                                     struct dz_job_rec **ret_v, size_t *ret_n, struct dz_err *err);
/* Unix milliseconds when the next queued job is due or a lease ends; INT64_MAX: there is none. */
DZ_MUST enum dz_code dz_catalog_job_next(struct dz_catalog *c, int64_t *ret_due_ms,
                                         struct dz_err *err);
/* Forgets ended jobs of a kind beyond the `keep` that ended last; kind n = 0: of all kinds together
 * but DZ_JOB_DOWNLOAD. */
DZ_MUST enum dz_code dz_catalog_jobs_trim(struct dz_catalog *c, dz_str kind, size_t keep,
                                          struct dz_err *err);

/* The calls below are about many jobs at once, at most DZ_CALL_RECORDS_MAX.*/

/* Each as by dz_catalog_job_add, all of them or none, ids in this order; ret_ids has room for n. */
DZ_MUST enum dz_code dz_catalog_jobs_add(struct dz_catalog *c, const struct dz_job_rec *v, size_t n,
                                         int64_t now_ms, int64_t *ret_ids, struct dz_err *err);
/* The newest job of each target that has one, in the order of `targets`. */
DZ_MUST enum dz_code dz_catalog_jobs_find(struct dz_catalog *c, dz_str kind, const dz_str *targets,
                                          size_t n, struct dz_arena *a, struct dz_job_rec **ret_v,
                                          size_t *ret_n, struct dz_err *err);
/* All that run or wait, by id, then the newest `max` of those that have ended, by id. */
DZ_MUST enum dz_code dz_catalog_jobs_of(struct dz_catalog *c, dz_str kind, size_t max,
                                        struct dz_arena *a, struct dz_job_rec **ret_v,
                                        size_t *ret_n, struct dz_err *err);
/* Each as by dz_catalog_job_cancel; ret_asked, one each, is false for one that is not there. */
DZ_MUST enum dz_code dz_catalog_jobs_cancel(struct dz_catalog *c, const int64_t *ids, size_t n,
                                            int64_t now_ms, bool *ret_asked, struct dz_err *err);
/* Failed ones (n = 0: all of the kind) wait again as if they were new, due now. One whose target
 * has another job that is alive is left, and of several with one target all but the newest. */
DZ_MUST enum dz_code dz_catalog_jobs_retry(struct dz_catalog *c, dz_str kind, const int64_t *ids,
                                           size_t n, int64_t now_ms, size_t *ret_n,
                                           struct dz_err *err);
/* Deletes those that have ended. */
DZ_MUST enum dz_code dz_catalog_jobs_forget(struct dz_catalog *c, dz_str kind, size_t *ret_n,
                                            struct dz_err *err);

/* How many there are of each state; ret_counts has room for DZ_JOB_STATES numbers. */
DZ_MUST enum dz_code dz_catalog_job_counts(struct dz_catalog *c, uint64_t *ret_counts,
                                           struct dz_err *err);
/* Sources that series came from, by name. */
DZ_MUST enum dz_code dz_catalog_source_counts(struct dz_catalog *c, struct dz_arena *a,
                                              struct dz_source_counts **ret_v, size_t *ret_n,
                                              struct dz_err *err);

/* n > 0 records in one transaction; a value with n = 0 forgets. */
DZ_MUST enum dz_code dz_catalog_state_put(struct dz_catalog *c, const struct dz_crawl_state_rec *v,
                                          size_t n, int64_t now_ms, struct dz_err *err);
/* Those of a source (n = 0: of all) whose names begin with prefix, by source and name. */
DZ_MUST enum dz_code dz_catalog_state_list(struct dz_catalog *c, dz_str source, dz_str prefix,
                                           int64_t now_ms, struct dz_arena *a,
                                           struct dz_crawl_state_rec **ret_v, size_t *ret_n,
                                           struct dz_err *err);

/* When one of all crawlers that share the database may ask a host in the name of a source next:
 * the moments are given out one by one, gap_ms apart. Only where dz_catalog_can_wait(). */
#define DZ_PACE_HOST_MAX 300u
#define DZ_PACE_GAP_MAX_MS (INT64_C(30) * 24 * 3600 * 1000)
DZ_MUST enum dz_code dz_catalog_pace(struct dz_catalog *c, dz_str source, dz_str host,
                                     int64_t gap_ms, int64_t *ret_wait_ms, struct dz_err *err);

/* n > 0 parts, new or in place of older ones. */
DZ_MUST enum dz_code dz_catalog_part_put(struct dz_catalog *c, dz_str source, dz_str chapter,
                                         const struct dz_part_rec *v, size_t n, struct dz_err *err);
/* By `at`; none is no error. */
DZ_MUST enum dz_code dz_catalog_parts(struct dz_catalog *c, dz_str source, dz_str chapter,
                                      struct dz_arena *a, struct dz_part_rec **ret_v, size_t *ret_n,
                                      struct dz_err *err);
/* Every part of every chapter, until fn fails. fn must not write. */
DZ_MUST enum dz_code dz_catalog_parts_all(struct dz_catalog *c, dz_part_fn *fn, void *arg,
                                          struct dz_err *err);
/* DZ_NOT_FOUND */
DZ_MUST enum dz_code dz_batch_part_del(struct dz_batch *b, dz_str source, dz_str chapter,
                                       uint32_t at, struct dz_err *err);
/* Within the batch that stores the chapter; none is no error. */
DZ_MUST enum dz_code dz_batch_parts_del(struct dz_batch *b, dz_str source, dz_str chapter,
                                        struct dz_err *err);
/* All parts of chapters that got none since before_ms: nobody finished them. */
DZ_MUST enum dz_code dz_catalog_parts_trim(struct dz_catalog *c, int64_t before_ms,
                                           struct dz_err *err);

/* ---- marks, favourites, checksums --------------------------------------------------------------
 */

/* As with work: a transaction each, durable on return, at most DZ_CALL_RECORDS_MAX records. */

/* All or none. series n = 0: the chapter has a mark already, which becomes this one; DZ_NOT_FOUND
 * names the first that has none. */
DZ_MUST enum dz_code dz_catalog_marks_put(struct dz_catalog *c, const struct dz_mark_rec *v,
                                          size_t n, struct dz_err *err);
/* Reads source and chapter; without a mark is no error. */
DZ_MUST enum dz_code dz_catalog_marks_del(struct dz_catalog *c, const struct dz_mark_rec *v,
                                          size_t n, struct dz_err *err);
/* Those that have a mark, in the order of `chapters`. */
DZ_MUST enum dz_code dz_catalog_marks_of(struct dz_catalog *c, dz_str source,
                                         const dz_str *chapters, size_t n, struct dz_arena *a,
                                         struct dz_mark_rec **ret_v, size_t *ret_n,
                                         struct dz_err *err);
/* By chapter. */
DZ_MUST enum dz_code dz_catalog_marks_of_series(struct dz_catalog *c, dz_str source, dz_str series,
                                                struct dz_arena *a, struct dz_mark_rec **ret_v,
                                                size_t *ret_n, struct dz_err *err);

/* ret_new false: it was one already, and keeps its place. */
DZ_MUST enum dz_code dz_catalog_favourite_put(struct dz_catalog *c, dz_str source, dz_str series,
                                              int64_t now_ms, bool *ret_new, struct dz_err *err);
DZ_MUST enum dz_code dz_catalog_favourite_del(struct dz_catalog *c, dz_str source, dz_str series,
                                              bool *ret_was, struct dz_err *err);
/* Of a source (n = 0: of all): by source, then in the order they were added. */
DZ_MUST enum dz_code dz_catalog_favourites(struct dz_catalog *c, dz_str source, struct dz_arena *a,
                                           struct dz_favourite_rec **ret_v, size_t *ret_n,
                                           struct dz_err *err);

/* All of them in one transaction, durable on return; each counts as a use of its blob. ret_new has
 * room for n: false where the id is taken, and nothing of that one is stored. DZ_CONFLICT: a blob
 * has another size in the catalog; nothing is stored. */
DZ_MUST enum dz_code dz_catalog_uploads_put(struct dz_catalog *c, const struct dz_upload_rec *v,
                                            size_t n, bool *ret_new, struct dz_err *err);
/* DZ_NOT_FOUND */
DZ_MUST enum dz_code dz_catalog_upload_get(struct dz_catalog *c, dz_str id, struct dz_arena *a,
                                           struct dz_upload_rec *ret_u, struct dz_err *err);
/* ret_was has room for n: false where there was none. */
DZ_MUST enum dz_code dz_catalog_uploads_del(struct dz_catalog *c, const dz_str *ids, size_t n,
                                            bool *ret_was, struct dz_err *err);
/* Which were deleted, by any process, after `since`; seq is for the next call (the first: since
 * UINT64_MAX, which gives none). ret_more: more than are remembered (the last
 * DZ_UPLOADS_GONE_KEPT). Cheap. */
#define DZ_UPLOADS_GONE_KEPT 10000
DZ_MUST enum dz_code dz_catalog_uploads_gone(struct dz_catalog *c, uint64_t since,
                                             struct dz_arena *a, dz_str **ret_ids, size_t *ret_n,
                                             bool *ret_more, uint64_t *ret_seq, struct dz_err *err);
/* Every upload once, by id; fn must not write. */
DZ_MUST enum dz_code dz_catalog_uploads_all(struct dz_catalog *c, dz_upload_fn *fn, void *arg,
                                            struct dz_err *err);

/* CRC-32 of blobs' bytes, as ZIP has it: UINT64_MAX where there is no such blob, or none is known.
 * ret_crcs has room for n. */
DZ_MUST enum dz_code dz_catalog_blob_crcs(struct dz_catalog *c, const struct dz_sha256 *v, size_t n,
                                          uint64_t *ret_crcs, struct dz_err *err);
/* Of blobs that are there; others are passed over. No change of any chapter. */
DZ_MUST enum dz_code dz_catalog_blob_crcs_put(struct dz_catalog *c, const struct dz_sha256 *v,
                                              const uint32_t *crcs, size_t n, struct dz_err *err);

/* ---- copying ----------------------------------------------------------------------------------
 */

struct dz_catalog_copied {
    uint64_t tables, rows;
    bool there; /* the target held exactly this already: nothing was written */
};
/* May be NULL. Called now and then: rows so far, of both reading and comparing. */
typedef void dz_catalog_copy_fn(void *arg, uint64_t rows);

/* Copies every record with its number, from one moment of the source and in one transaction of the
 * target (tables of collections are made before it), and reads both again to compare them. Numbers
 * that the source has given are not given again by the target. DZ_CONFLICT: the target holds
 * something else; nothing was written. DZ_UNAVAILABLE: the source was written to meanwhile; the
 * target is as it was when the copy had been made. DZ_CORRUPT: what was read back is something
 * else. */
DZ_MUST enum dz_code dz_catalog_copy(struct dz_catalog *from, struct dz_catalog *to,
                                     dz_catalog_copy_fn *progress, void *arg,
                                     struct dz_catalog_copied *ret_copied, struct dz_err *err);

/* ---- snapshot -------------------------------------------------------------------------------- */

/* How a shelf words its links (settings shelves[].links): name → template with {source_url} and
 * {chapter}. */
struct dz_link_template {
    dz_str name, text;
};

struct dz_snap_page { /* 64 bytes: a catalog of a million pages is held in RAM */
    struct dz_sha256 sha;
    int64_t mtime_s;
    const char *mime; /* interned static, or text of the block or snapshot */
    uint32_t bytes;
    uint32_t number;
    uint32_t index;         /* unique in the snapshot, assets included: for cache keys */
    uint16_t width, height; /* clipped to 65535; 0 unknown */
};

/* One chapter in one revision: its pages and texts; snapshots of a series share it. */
struct dz_snap_block {
    atomic_uint refs;
    struct dz_snap_page pages[]; /* behind them the texts */
};

struct dz_snap_chapter {
    int64_t id, rev;
    double sort;
    dz_str key, number, volume, title;
    bool title_null, volume_cover;
    uint32_t page_count;
    int64_t created_s, updated_s;
    dz_str x_metadata; /* compact ASCII JSON, contracts/komizip.md 2.3; only when shelf bodies were
                          asked for */
    const struct dz_snap_page *pages; /* by number */
    size_t pages_n;
    struct dz_snap_block *block; /* holds pages and texts */
    /* Its member `"key": {…}` in the list of its snapshot: where, how long, the quoted key's part
     * of that, and the text's digest. */
    uint32_t item_at, item_n, item_key_n;
    unsigned char item_digest[16];
};

struct dz_snap_asset {
    dz_str name;
    struct dz_snap_page file; /* number 0 */
};

enum dz_snap_encoding {
    DZ_SNAP_IDENTITY,
    DZ_SNAP_GZIP,
    DZ_SNAP_BR,
    DZ_SNAP_ZSTD,
    DZ_SNAP_ENCODINGS
};

/* The list of a shelf, contracts/komizip.md 2.6. Counted; snapshots whose lists are the same text
 * share it. The plain text and its etag stand from the start. Each other pointer is written once,
 * by whoever has made what it points to, and then stays; readers take what is there. */
struct dz_snap_list {
    atomic_uint refs;
    atomic_bool encoded; /* nothing more will come into `body` */
    char etag[25];       /* hex, NUL-terminated, without quotes; equal texts have equal ones */
    _Atomic(struct dz_body *) body[DZ_SNAP_ENCODINGS];
    _Atomic(struct dz_body *) answer[DZ_SNAP_ENCODINGS]; /* what the server made of them */
};

/* Immutable and counted; shared between threads. What belongs to a chapter lies in its block, the
 * rest in one arena. */
struct dz_snapshot {
    atomic_uint refs;
    uint64_t serial;     /* unique in the process: part of cache keys */
    uint64_t index_next; /* above every page's index */
    struct dz_series_rec series;
    const struct dz_snap_chapter *chapters; /* newest first */
    size_t chapters_n, pages_n;
    const struct dz_snap_asset *assets;
    size_t assets_n;
    const struct dz_snap_page
        *cover; /* asset of the newest volume, else first page of the first chapter; NULL: none */
    bool has_shelf;    /* the next ones are made */
    dz_str x_chapters; /* compact JSON array of keys, newest first */
    struct dz_snap_list *list;
    struct dz_arena *arena;
    struct dz_map by_key, by_id, by_asset; /* by_id: key is the 8 bytes of id */
};

/* Builds one from a loaded series: pure, copies everything. With `shelf` the ready-made bodies of
 * contracts/komizip.md 2.3 and 2.6 are made. A chapter's own links stand first and as they are;
 * templates add the names that it lacks. {source_url} is the chapter's link "source", the address
 * it was crawled from, its link "viz", or the series' url when the chapter brought no links at all;
 * a template that wants it when there is none is left out. */
DZ_MUST enum dz_code dz_snapshot_build(const struct dz_series_full *full, bool shelf,
                                       const struct dz_link_template *links, size_t links_n,
                                       struct dz_snapshot **ret_snap, struct dz_err *err);
/* The same from a series loaded since `old`, whose chapters are shared where they did not change.
 * `old` must have been built with the same `shelf` and links. */
DZ_MUST enum dz_code dz_snapshot_update(const struct dz_series_full *full,
                                        const struct dz_snapshot *old, bool shelf,
                                        const struct dz_link_template *links, size_t links_n,
                                        struct dz_snapshot **ret_snap, struct dz_err *err);
struct dz_snapshot *dz_snapshot_ref(struct dz_snapshot *s);
void dz_snapshot_unref(struct dz_snapshot **s);

/* Lists up to this are encoded before their snapshot is handed out, longer ones by
 * dz_snap_list_encode. Under DZ_SNAP_ENCODE_MIN they never are (contracts/komizip.md 2.4). */
#define DZ_SNAP_ENCODE_MIN 500u
#define DZ_SNAP_ENCODE_LATE (64 * DZ_KIB)
/* A text that is to be served in all encodings; etag: at most 24 characters, the caller sees to it
 * that equal texts have equal ones. */
struct dz_snap_list *dz_snap_list_new(struct dz_body *take_text, dz_str etag);
struct dz_snap_list *dz_snap_list_ref(struct dz_snap_list *l);
void dz_snap_list_unref(struct dz_snap_list **l);
/* Borrowed; NULL: not made (yet). Any thread. */
static inline struct dz_body *dz_snap_list_body(const struct dz_snap_list *l,
                                                enum dz_snap_encoding e)
{
    return atomic_load_explicit(&l->body[e], memory_order_acquire);
}
static inline struct dz_body *dz_snap_list_answer(const struct dz_snap_list *l,
                                                  enum dz_snap_encoding e)
{
    return atomic_load_explicit(&l->answer[e], memory_order_acquire);
}
/* Keeps an answer with the list unless somebody else was quicker; returns the one that stays,
 * borrowed. Any thread. */
struct dz_body *dz_snap_list_keep_answer(struct dz_snap_list *l, enum dz_snap_encoding e,
                                         struct dz_body *take_answer);
static inline bool dz_snap_list_is_encoded(const struct dz_snap_list *l)
{
    return atomic_load_explicit(&l->encoded, memory_order_acquire);
}
/* Makes what is missing, the quickest first, each to be seen as soon as it is made. Blocks for as
 * long as it takes; one thread at a time for one list. `wanted` (may be NULL) is asked every 256
 * KiB: false ends it with DZ_CANCELLED, and a later call goes on. DZ_FULL: an encoder got no
 * memory; the list then stays without what it would have made. */
typedef bool dz_snap_wanted_fn(void *arg);
DZ_MUST enum dz_code dz_snap_list_encode(struct dz_snap_list *l, dz_snap_wanted_fn *wanted,
                                         void *arg, struct dz_err *err);

/* One hash probe each; NULL when absent. No allocation, any thread. */
const struct dz_snap_chapter *dz_snapshot_chapter(const struct dz_snapshot *s, dz_str key);
const struct dz_snap_chapter *dz_snapshot_chapter_by_id(const struct dz_snapshot *s, int64_t id);
const struct dz_snap_page *dz_snapshot_page(const struct dz_snap_chapter *c, uint32_t number);
const struct dz_snap_asset *dz_snapshot_asset(const struct dz_snapshot *s, dz_str name);
/* A CDN file name: "407-01.jpg" → its page (NN two digits, no longer than needed; extension jpg for
 * any type, or the type's own), else an asset of that exact name. ret_chapter (may be NULL): the
 * chapter named before the first '-', or NULL when none of that key is stored; untouched when the
 * name is unknown. */
const struct dz_snap_page *dz_snapshot_cdn(const struct dz_snapshot *s, dz_str name,
                                           const struct dz_snap_chapter **ret_chapter);
