/*
 * sqlite_int: what the files of the SQLite driver share.
 *
 * A connection with its prepared statements, the open database, and the few helpers through which
 * every statement is stepped, so that error texts and injected faults live once. A connection is
 * used by one thread at a time; the locks of struct dz_sqlite see to that.
 */
#pragma once

#include "catalog/catalog_int.h"

#include <pthread.h>
#include <sqlite3.h>

/* Prepared once a connection and kept; the texts stand in sqlite_sql.c. */
enum dz_sq_statement {
    DZ_SQ_BEGIN_READ,
    DZ_SQ_BEGIN_WRITE,
    DZ_SQ_COMMIT,
    DZ_SQ_DATA_VERSION,
    DZ_SQ_SERIES_IDS,
    DZ_SQ_SERIES_FIND,
    DZ_SQ_SERIES_BY_ID,
    DZ_SQ_SERIES_ADD,
    DZ_SQ_SERIES_SET,
    DZ_SQ_SERIES_MORE,
    DZ_SQ_SERIES_FEWER,
    DZ_SQ_CHAPTERS,
    DZ_SQ_CHAPTER_REVS,
    DZ_SQ_CHAPTER_BY_ID,
    DZ_SQ_CHAPTER_BY_SOURCE,
    DZ_SQ_CHAPTER_KEY,
    DZ_SQ_CHAPTER_OWNER,
    DZ_SQ_CHAPTER_ADD,
    DZ_SQ_CHAPTER_SET,
    DZ_SQ_CHAPTER_SET_STAMP,
    DZ_SQ_CHAPTER_EDIT,
    DZ_SQ_CHAPTER_DEL,
    DZ_SQ_PAGES,
    DZ_SQ_PAGE_ADD,
    DZ_SQ_PAGE_SET,
    DZ_SQ_PAGE_DEL,
    DZ_SQ_ASSETS,
    DZ_SQ_ASSET,
    DZ_SQ_ASSET_SET,
    DZ_SQ_ASSET_DEL,
    DZ_SQ_BLOBS,
    DZ_SQ_BLOB_REF,
    DZ_SQ_BLOB_UNREF,
    DZ_SQ_BLOB_KNOW,
    DZ_SQ_BLOB_CHAPTERS,
    DZ_SQ_BLOB_REFS,
    DZ_SQ_BLOB_DEL,
    DZ_SQ_SHELVES,
    DZ_SQ_SHELF,
    DZ_SQ_SHELF_SET,
    DZ_SQ_CHANGES,
    DZ_SQ_CHANGE_NEWEST,
    DZ_SQ_CHANGE_SET,
    DZ_SQ_SERIES_TOUCH,
    DZ_SQ_COUNTS,
    DZ_SQ_WRONG_REFS,
    DZ_SQ_MEND_REFS,
    DZ_SQ_WRONG_CHAPTERS_N,
    DZ_SQ_MEND_CHAPTERS_N,
    DZ_SQ_JOB_LIVE,
    DZ_SQ_JOB_ADD,
    DZ_SQ_JOB_SOONER,
    DZ_SQ_JOB_GIVE_UP,
    DZ_SQ_JOB_TAKE,
    DZ_SQ_JOB_RENEW,
    DZ_SQ_JOB_END,
    DZ_SQ_JOB_CANCEL,
    DZ_SQ_JOB_STATE,
    DZ_SQ_JOBS,
    DZ_SQ_JOB_NEXT,
    DZ_SQ_JOBS_TRIM,
    DZ_SQ_JOBS_TRIM_KIND,
    DZ_SQ_JOB_FIND,
    DZ_SQ_JOBS_LIVE,
    DZ_SQ_JOBS_ENDED,
    DZ_SQ_JOB_RETRY,
    DZ_SQ_JOBS_RETRY,
    DZ_SQ_JOBS_FORGET,
    DZ_SQ_JOB_COUNTS,
    DZ_SQ_SOURCE_COUNTS,
    DZ_SQ_STATE_SET,
    DZ_SQ_STATE_DEL,
    DZ_SQ_STATE_EXPIRE,
    DZ_SQ_STATE_LIST,
    DZ_SQ_STATE_LIST_ALL,
    DZ_SQ_PART_BLOB,
    DZ_SQ_PART_SET,
    DZ_SQ_PART_DEL,
    DZ_SQ_PARTS,
    DZ_SQ_PARTS_ALL,
    DZ_SQ_PARTS_UNREF,
    DZ_SQ_PARTS_DEL,
    DZ_SQ_PARTS_OLD_UNREF,
    DZ_SQ_PARTS_OLD_DEL,
    DZ_SQ_MARK_SET,
    DZ_SQ_MARK_CHANGE,
    DZ_SQ_MARK_DEL,
    DZ_SQ_MARK,
    DZ_SQ_MARKS_OF_SERIES,
    DZ_SQ_FAVOURITE_ADD,
    DZ_SQ_FAVOURITE_DEL,
    DZ_SQ_FAVOURITES,
    DZ_SQ_FAVOURITES_OF,
    DZ_SQ_BLOB_CRC,
    DZ_SQ_BLOB_CRC_SET,
    DZ_SQ_UPLOAD_THERE,
    DZ_SQ_UPLOAD_ADD,
    DZ_SQ_UPLOAD,
    DZ_SQ_UPLOADS,
    DZ_SQ_UPLOAD_DEL,
    DZ_SQ_UPLOAD_GONE_ADD,
    DZ_SQ_UPLOAD_GONE_TRIM,
    DZ_SQ_UPLOAD_GONE_NEWEST,
    DZ_SQ_UPLOADS_GONE,
    DZ_SQ_COLLECTION,
    DZ_SQ_COLLECTIONS,
    DZ_SQ_COLLECTIONS_REV,
    DZ_SQ_COLLECTION_SET,
    DZ_SQ_COLLECTION_TOUCH,
    DZ_SQ_INTEGRITY,
    DZ_SQ_FOREIGN_KEYS,
    DZ_SQ_STATEMENTS
};
extern const char *const dz_sq_texts[DZ_SQ_STATEMENTS];

/* Statements on the tables of collections, whose texts are made when they are needed. */
enum { DZ_SQ_MADE = 24 };
struct dz_sq_made {
    dz_str text; /* heap */
    sqlite3_stmt *st;
    uint64_t used; /* when, by the connection's count */
};

struct dz_sq_conn {
    sqlite3 *db;      /* NULL: not opened yet */
    const char *name; /* the file's path, for error texts; borrowed */
    sqlite3_stmt *statements[DZ_SQ_STATEMENTS];
    struct dz_sq_made made[DZ_SQ_MADE];
    uint64_t made_used;
};

enum { DZ_SQ_READERS = 4 };

struct dz_sqlite {
    char *name;   /* path, or ":memory:" */
    char *target; /* what sqlite3_open_v2 gets */
    bool memory;
    int write_wait_ms;

    pthread_mutex_t write_lock; /* held from begin to the end of a batch */
    struct dz_sq_conn write;

    pthread_mutex_t poll_lock;
    struct dz_sq_conn
        poll; /* sees changes by PRAGMA data_version, which needs a connection that never writes */
    bool polled;
    int64_t poll_version;
    uint64_t poll_newest;

    pthread_mutex_t readers_lock;
    pthread_cond_t reader_free;
    struct dz_sq_conn readers[DZ_SQ_READERS];
    bool reader_busy[DZ_SQ_READERS];
};

/* ---- connections -------------------------------------------------------------------------------
 */

DZ_MUST enum dz_code dz_sq_open_conn(const struct dz_sqlite *d, bool reader, struct dz_sq_conn *c,
                                     struct dz_err *err);
void dz_sq_close_conn(struct dz_sq_conn *c);
/* DZ_UNAVAILABLE: another file, or none, stands where it was opened. */
enum dz_code dz_sq_in_place(struct dz_sq_conn *c, struct dz_err *err);
/* A free reader, waiting for one when all are busy; give it back with dz_sq_reader_put. */
DZ_MUST enum dz_code dz_sq_reader_take(struct dz_sqlite *d, struct dz_sq_conn **ret_c,
                                       struct dz_err *err);
void dz_sq_reader_put(struct dz_sqlite *d, struct dz_sq_conn *c);

/* ---- statements --------------------------------------------------------------------------------
 */

/* What the last failed call of this connection means: code, text with the file's name. */
enum dz_code dz_sq_fail(struct dz_sq_conn *c, struct dz_err *err);
/* The statement, ready to bind. */
DZ_MUST enum dz_code dz_sq_get(struct dz_sq_conn *c, enum dz_sq_statement which,
                               sqlite3_stmt **ret_st, struct dz_err *err);
/* The same for a text that was made. The statement stays until DZ_SQ_MADE others were asked for
 * since. */
DZ_MUST enum dz_code dz_sq_get_made(struct dz_sq_conn *c, const struct dz_buf *text,
                                    sqlite3_stmt **ret_st, struct dz_err *err);
void dz_sq_reset(sqlite3_stmt **st); /* a DZ_AUTO handler: ends the statement, keeps it prepared */
DZ_MUST enum dz_code dz_sq_row(struct dz_sq_conn *c, sqlite3_stmt *st, bool *ret_row,
                               struct dz_err *err);
/* Steps to the end and resets; for statements that return no rows. */
DZ_MUST enum dz_code dz_sq_run(struct dz_sq_conn *c, sqlite3_stmt *st, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_run_plain(struct dz_sq_conn *c, enum dz_sq_statement which,
                                     struct dz_err *err);
/* One integer from a statement without parameters; fallback when it gives no row. */
DZ_MUST enum dz_code dz_sq_one(struct dz_sq_conn *c, enum dz_sq_statement which, int64_t fallback,
                               int64_t *ret_n, struct dz_err *err);
void dz_sq_bind_int(sqlite3_stmt *st, int at, int64_t n);
void dz_sq_bind_str(sqlite3_stmt *st, int at, dz_str s); /* borrowed until the reset; never NULL */
void dz_sq_bind_sha(sqlite3_stmt *st, int at, const struct dz_sha256 *sha);

/* ---- rows --------------------------------------------------------------------------------------
 */

DZ_MUST enum dz_code dz_sq_read_series(sqlite3_stmt *st, struct dz_text_pool *pool,
                                       struct dz_series_rec *ret_s, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_read_chapter(sqlite3_stmt *st, struct dz_text_pool *pool,
                                        void *ret_chapter, struct dz_err *err);
/* Rows of DZ_SQ_PAGES into the caller's growing array (heap). blob_ids is filled alongside when it
 * is not NULL. */
struct dz_sq_pages {
    struct dz_page_rec *v;
    int64_t *blob_ids;
    size_t n, cap;
};
void dz_sq_pages_done(struct dz_sq_pages *p);
DZ_MUST enum dz_code dz_sq_read_pages(struct dz_sq_conn *c, int64_t chapter_id,
                                      struct dz_text_pool *pool, struct dz_sq_pages *p,
                                      struct dz_err *err);
/* The last row of DZ_SQ_ASSETS and DZ_SQ_ASSET. */
DZ_MUST enum dz_code dz_sq_read_asset(sqlite3_stmt *st, struct dz_text_pool *pool,
                                      struct dz_asset_rec *ret_f, int64_t *ret_blob_id,
                                      struct dz_err *err);
DZ_MUST enum dz_code dz_sq_read_blob(sqlite3_stmt *st, int at, struct dz_text_pool *pool,
                                     struct dz_blob_rec *ret_b, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_str(sqlite3_stmt *st, int at, struct dz_text_pool *pool, dz_str *ret_s,
                               struct dz_err *err);

/* ---- batches -----------------------------------------------------------------------------------
 */

struct dz_sq_batch {
    struct dz_sqlite *d;
    struct dz_sq_conn *c;
    struct dz_arena *arena; /* of one call */
    int64_t now_s;
    uint64_t seq; /* of this batch's changes; 0: none yet */
    bool wrote;   /* in the call at hand */
    bool broken;
};
/* Every call on a batch stands between these two. */
DZ_MUST enum dz_code dz_sq_call_begin(struct dz_sq_batch *b, struct dz_err *err);
enum dz_code dz_sq_call_end(struct dz_sq_batch *b, enum dz_code code);
/* The statement that is about to write. */
DZ_MUST enum dz_code dz_sq_get_write(struct dz_sq_batch *b, enum dz_sq_statement which,
                                     sqlite3_stmt **ret_st, struct dz_err *err);
/* One more reference to the blob, whose row is made when it is new; and one less. */
DZ_MUST enum dz_code dz_sq_blob_ref(struct dz_sq_batch *b, const struct dz_blob_rec *blob,
                                    int64_t *ret_id, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_blob_unref(struct dz_sq_batch *b, int64_t id, struct dz_err *err);

/* A reader inside one transaction; done gives it back. */
struct dz_sq_reading {
    struct dz_sqlite *d;
    struct dz_sq_conn *c;
};
DZ_MUST enum dz_code dz_sq_reading_begin(struct dz_sq_reading *r, struct dz_sqlite *d,
                                         struct dz_err *err);
void dz_sq_reading_done(struct dz_sq_reading *r); /* a DZ_AUTO handler */
/* Writes a record from the row at hand. */
typedef enum dz_code dz_sq_read_fn(sqlite3_stmt *st, struct dz_text_pool *pool, void *ret_row,
                                   struct dz_err *err);
/* Records of `size` bytes on their way into an arena, from one statement or several. */
struct dz_sq_rows {
    size_t size; /* set these two */
    struct dz_text_pool pool;
    char *v;
    size_t n, cap;
};
void dz_sq_rows_done(struct dz_sq_rows *r); /* a DZ_AUTO handler */
/* Adds what is left of the statement. */
DZ_MUST enum dz_code dz_sq_rows_add(struct dz_sq_rows *r, struct dz_sq_conn *c, sqlite3_stmt *st,
                                    dz_sq_read_fn *read, struct dz_err *err);
/* ret_v is a T ** of whatever was read. */
DZ_MUST enum dz_code dz_sq_rows_out(const struct dz_sq_rows *r, void *ret_v, size_t *ret_n,
                                    struct dz_err *err);
/* The three in one: what is left of a statement. */
DZ_MUST enum dz_code dz_sq_list(struct dz_sq_conn *c, sqlite3_stmt *st, struct dz_arena *a,
                                size_t size, dz_sq_read_fn *read, void *ret_v, size_t *ret_n,
                                struct dz_err *err);
/* The rows of one statement asked for each of n texts, in their order: the first parameter is the
 * same for all, the second another one each time. */
struct dz_sq_each {
    enum dz_sq_statement which;
    dz_str same;
    const dz_str *v;
    size_t n;
};
DZ_MUST enum dz_code dz_sq_list_each(struct dz_sq_conn *c, const struct dz_sq_each *each,
                                     struct dz_arena *a, size_t size, dz_sq_read_fn *read,
                                     void *ret_v, size_t *ret_n, struct dz_err *err);

/* ---- driver functions in other files: contracts in catalog.h ------------------------------------
 */

DZ_MUST enum dz_code dz_sq_begin(void *self, void **ret_batch, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_put_series(void *batch, const struct dz_series_rec *s, int64_t *ret_id,
                                      struct dz_err *err);
DZ_MUST enum dz_code dz_sq_put_chapter(void *batch, int64_t series_id,
                                       const struct dz_chapter_rec *c, int64_t *ret_id,
                                       bool *ret_changed, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_edit_chapter(void *batch, const struct dz_chapter_edit *e,
                                        bool *ret_changed, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_del_chapter(void *batch, int64_t chapter_id, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_put_asset(void *batch, int64_t series_id, const struct dz_asset_rec *f,
                                     bool *ret_changed, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_del_asset(void *batch, int64_t series_id, dz_str name,
                                     struct dz_err *err);
DZ_MUST enum dz_code dz_sq_put_shelf(void *batch, dz_str name, int64_t series_id,
                                     struct dz_err *err);
DZ_MUST enum dz_code dz_sq_drop_blob(void *batch, const struct dz_sha256 *sha, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_commit(void *batch, uint64_t *ret_seq, struct dz_err *err);
void dz_sq_rollback(void *batch);
/* Locks the writer and begins; the caller ends the transaction and unlocks with dz_sq_write_end. */
DZ_MUST enum dz_code dz_sq_write_begin(struct dz_sqlite *d, struct dz_err *err);
void dz_sq_write_end(struct dz_sqlite *d); /* rolls back what is still open */
/* The same, but what went well (`code`) is committed first; gives what became of it. */
DZ_MUST enum dz_code dz_sq_write_close(struct dz_sqlite *d, enum dz_code code, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_verify(void *self, bool repair, dz_problem_fn *fn, void *arg,
                                  uint64_t *ret_left, struct dz_err *err);

DZ_MUST enum dz_code dz_sq_job_add(void *self, const struct dz_job_rec *j, int64_t now_ms,
                                   int64_t *ret_id, bool *ret_new, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_job_take(void *self, const struct dz_job_take *t, struct dz_arena *a,
                                    struct dz_job_rec *ret_job, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_job_renew(void *self, int64_t id, dz_str owner, int64_t now_ms,
                                     int64_t lease_ms, const struct dz_job_progress *p,
                                     struct dz_err *err);
DZ_MUST enum dz_code dz_sq_job_end(void *self, int64_t id, dz_str owner,
                                   const struct dz_job_rec *end, int64_t now_ms,
                                   struct dz_err *err);
DZ_MUST enum dz_code dz_sq_job_cancel(void *self, int64_t id, int64_t now_ms, bool *ret_asked,
                                      struct dz_err *err);
DZ_MUST enum dz_code dz_sq_jobs(void *self, size_t max, struct dz_arena *a,
                                struct dz_job_rec **ret_v, size_t *ret_n, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_job_next(void *self, int64_t *ret_due_ms, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_jobs_trim(void *self, dz_str kind, size_t keep, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_jobs_add(void *self, const struct dz_job_rec *v, size_t n,
                                    int64_t now_ms, int64_t *ret_ids, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_jobs_find(void *self, dz_str kind, const dz_str *targets, size_t n,
                                     struct dz_arena *a, struct dz_job_rec **ret_v, size_t *ret_n,
                                     struct dz_err *err);
DZ_MUST enum dz_code dz_sq_jobs_of(void *self, dz_str kind, size_t max, struct dz_arena *a,
                                   struct dz_job_rec **ret_v, size_t *ret_n, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_jobs_cancel(void *self, const int64_t *ids, size_t n, int64_t now_ms,
                                       bool *ret_asked, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_jobs_retry(void *self, dz_str kind, const int64_t *ids, size_t n,
                                      int64_t now_ms, size_t *ret_n, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_jobs_forget(void *self, dz_str kind, size_t *ret_n, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_job_counts(void *self, uint64_t *ret_counts, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_source_counts(void *self, struct dz_arena *a,
                                         struct dz_source_counts **ret_v, size_t *ret_n,
                                         struct dz_err *err);
DZ_MUST enum dz_code dz_sq_state_put(void *self, const struct dz_crawl_state_rec *v, size_t n,
                                     int64_t now_ms, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_state_list(void *self, dz_str source, dz_str prefix, int64_t now_ms,
                                      struct dz_arena *a, struct dz_crawl_state_rec **ret_v,
                                      size_t *ret_n, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_part_put(void *self, dz_str source, dz_str chapter,
                                    const struct dz_part_rec *v, size_t n, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_parts(void *self, dz_str source, dz_str chapter, struct dz_arena *a,
                                 struct dz_part_rec **ret_v, size_t *ret_n, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_parts_all(void *self, dz_part_fn *fn, void *arg, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_part_del(void *batch, dz_str source, dz_str chapter, uint32_t at,
                                    struct dz_err *err);
DZ_MUST enum dz_code dz_sq_parts_del(void *batch, dz_str source, dz_str chapter,
                                     struct dz_err *err);
DZ_MUST enum dz_code dz_sq_parts_trim(void *self, int64_t before_ms, struct dz_err *err);

DZ_MUST enum dz_code dz_sq_uploads_put(void *self, const struct dz_upload_rec *v, size_t n,
                                       bool *ret_new, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_upload_get(void *self, dz_str id, struct dz_arena *a,
                                      struct dz_upload_rec *ret_u, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_uploads_del(void *self, const dz_str *ids, size_t n, bool *ret_was,
                                       struct dz_err *err);
DZ_MUST enum dz_code dz_sq_uploads_gone(void *self, uint64_t since, struct dz_arena *a,
                                        dz_str **ret_ids, size_t *ret_n, bool *ret_more,
                                        uint64_t *ret_seq, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_uploads_all(void *self, dz_upload_fn *fn, void *arg, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_marks_put(void *self, const struct dz_mark_rec *v, size_t n,
                                     struct dz_err *err);
DZ_MUST enum dz_code dz_sq_marks_del(void *self, const struct dz_mark_rec *v, size_t n,
                                     struct dz_err *err);
DZ_MUST enum dz_code dz_sq_marks_of(void *self, dz_str source, const dz_str *chapters, size_t n,
                                    struct dz_arena *a, struct dz_mark_rec **ret_v, size_t *ret_n,
                                    struct dz_err *err);
DZ_MUST enum dz_code dz_sq_marks_of_series(void *self, dz_str source, dz_str series,
                                           struct dz_arena *a, struct dz_mark_rec **ret_v,
                                           size_t *ret_n, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_favourite_put(void *self, dz_str source, dz_str series, int64_t now_ms,
                                         bool *ret_new, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_favourite_del(void *self, dz_str source, dz_str series, bool *ret_was,
                                         struct dz_err *err);
DZ_MUST enum dz_code dz_sq_favourites(void *self, dz_str source, struct dz_arena *a,
                                      struct dz_favourite_rec **ret_v, size_t *ret_n,
                                      struct dz_err *err);
DZ_MUST enum dz_code dz_sq_blob_crcs(void *self, const struct dz_sha256 *v, size_t n,
                                     uint64_t *ret_crcs, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_blob_crcs_put(void *self, const struct dz_sha256 *v,
                                         const uint32_t *crcs, size_t n, struct dz_err *err);

DZ_MUST enum dz_code dz_sq_collection_ensure(void *self, const struct dz_collection *coll,
                                             struct dz_collection_ensured *ret_ensured,
                                             struct dz_err *err);
DZ_MUST enum dz_code dz_sq_collections(void *self, struct dz_arena *a,
                                       struct dz_collection_rec **ret_v, size_t *ret_n,
                                       struct dz_err *err);
DZ_MUST enum dz_code dz_sq_collections_rev(void *self, uint64_t *ret_rev, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_collection_put(void *self, const struct dz_collection *coll,
                                          const struct dz_collection_put *put,
                                          enum dz_put_result *ret_v, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_collection_seen(void *self, const struct dz_collection *coll,
                                           size_t column, const struct dz_collection_value *v,
                                           size_t n, bool *ret, struct dz_err *err);
DZ_MUST enum dz_code dz_sq_collection_rows(void *self, const struct dz_collection *coll,
                                           const struct dz_collection_ask *ask,
                                           const struct dz_collection_value *keys,
                                           dz_collection_row_fn *fn, void *arg, struct dz_err *err);

/* ---- migrations --------------------------------------------------------------------------------
 */

/* Number i + 1 is dz_migrations[i]. Never edit one that was released: add the next. */
extern const char *const dz_migrations[];
extern const size_t dz_migrations_n;
/* Before anything is changed: DZ_BAD_INPUT for a database of another program, DZ_UNSUPPORTED for
 * one of a newer dozo. */
DZ_MUST enum dz_code dz_migrate_check(struct dz_sq_conn *c, size_t known, struct dz_err *err);
/* A copy of the file as NAME.before-WHAT. The write lock is held and nothing is written yet. */
DZ_MUST enum dz_code dz_sq_copy_before(struct dz_sqlite *d, const char *what, struct dz_err *err);
/* Brings the database of d->write up to number n. */
DZ_MUST enum dz_code dz_migrate(struct dz_sqlite *d, const char *const *list, size_t n,
                                struct dz_err *err);
