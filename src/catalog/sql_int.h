/*
 * sql_int: what the files of the SQL driver share, and the seam below it.
 *
 * The catalog's logic stands once, in sql*.c, over a table of functions that a database offers:
 * connections inside a transaction, prepared statements, rows. SQLite's table is in sqlite_conn.c,
 * PostgreSQL's in postgres_conn.c. A connection is used by one thread at a time, from the moment it
 * is handed out by read_begin or write_begin until end takes it back. Statements belong to their
 * connection. Texts of statements are standard SQL with parameters ?1, ?2 …; where the databases
 * differ a text has two forms (sql_texts.c).
 */
#pragma once

#include "catalog/catalog_int.h"

#include <pthread.h>

struct dz_sql;
struct dz_sql_conn;
struct dz_sql_stmt;
struct dz_sql_lock;

/* ---- the seam: what a database offers -----------------------------------------------------------
 */

enum dz_sql_dialect { DZ_SQL_SQLITE, DZ_SQL_POSTGRES };

enum dz_sql_read {
    DZ_SQL_ONE,      /* one statement: sees one moment by itself */
    DZ_SQL_SNAPSHOT, /* several, which see the same moment */
};
enum dz_sql_write {
    /* One at a time, in all processes: what gives change numbers, which become visible in their
     * order, or counts uses of blobs; and what changes tables. */
    DZ_SQL_EXCLUSIVE,
    /* The same for a call that ends with its commit and whose first statement is quick: it waits
     * for the others, and says when they took too long. */
    DZ_SQL_EXCLUSIVE_CALL,
    /* Beside others: jobs, what crawls remember, marks. SQLite has one writer whatever it does. */
    DZ_SQL_PLAIN,
};
/* Who waits for it. */
enum dz_sql_news { DZ_SQL_NEWS_CHANGE = 1, DZ_SQL_NEWS_JOBS = 2 };

struct dz_sql_backend {
    const char *name; /* as in settings catalog.driver */
    enum dz_sql_dialect dialect;
    /* The schema, see dz_sql_migrate. */
    const char *const *migrations;
    size_t migrations_n;

    /* The handle begins with a struct dz_sql, set up by dz_sql_init, its schema not looked at yet.
     * data_dir exists or not; uri is never NULL. */
    enum dz_code (*open)(const char *data_dir, const char *uri, struct dz_sql **ret_d,
                         struct dz_err *err);
    void (*close)(struct dz_sql *d);

    /* A connection, waiting for one as long as the database's options say. */
    enum dz_code (*read_begin)(struct dz_sql *d, enum dz_sql_read kind, struct dz_sql_conn **ret_c,
                               struct dz_err *err);
    /* Inside a transaction that may write. Waits for other writers, then DZ_UNAVAILABLE. */
    enum dz_code (*write_begin)(struct dz_sql *d, enum dz_sql_write kind,
                                struct dz_sql_conn **ret_c, struct dz_err *err);
    /* Durable on return. The connection still has to be given back. */
    enum dz_code (*commit)(struct dz_sql_conn *c, struct dz_err *err);
    /* Rolls back what is still open and gives the connection back. */
    void (*end)(struct dz_sql_conn *c);
    /* Whether the transaction still stands: false after an error that ended it. */
    bool (*is_open)(const struct dz_sql_conn *c);
    /* Whether the failure says that the same transaction may succeed when it is tried again (a
     * deadlock). NULL: never. */
    bool (*is_retry)(const struct dz_err *err);

    /* A statement that is prepared now or when it is first stepped; text lives as long as the
     * statement. The backend fills in more than the base of struct dz_sql_stmt. */
    enum dz_code (*prepare)(struct dz_sql_conn *c, dz_str text, struct dz_sql_stmt **ret_st,
                            struct dz_err *err);
    void (*finalize)(struct dz_sql_stmt *st);
    /* Parameters count from 1; what is not bound is NULL. Texts are borrowed until the reset and
     * may be any bytes; p is never NULL. bind_blob is for columns that hold no text. */
    void (*bind_int)(struct dz_sql_stmt *st, int at, int64_t n);
    void (*bind_real)(struct dz_sql_stmt *st, int at, double x);
    void (*bind_str)(struct dz_sql_stmt *st, int at, dz_str s);
    void (*bind_blob)(struct dz_sql_stmt *st, int at, dz_str bytes);
    void (*bind_null)(struct dz_sql_stmt *st, int at);
    /* The next row; false: the end (of a statement without rows: it was done). The first step runs
     * it. With st->many rows are fetched as they are read, and no other statement runs on the
     * connection meanwhile; without it they may be read into memory at once. */
    enum dz_code (*step)(struct dz_sql_stmt *st, bool *ret_row, struct dz_err *err);
    /* Of the row at hand; columns count from 0. NULL reads as 0, and as a text with p NULL; an
     * empty text has a p. Texts live until the next step or reset. */
    int64_t (*column_int)(struct dz_sql_stmt *st, int at);
    double (*column_real)(struct dz_sql_stmt *st, int at);
    dz_str (*column_str)(struct dz_sql_stmt *st, int at);
    dz_str (*column_blob)(struct dz_sql_stmt *st, int at);
    bool (*column_is_null)(struct dz_sql_stmt *st, int at);
    /* Ends the statement and forgets what was bound; it stays prepared. */
    void (*reset)(struct dz_sql_stmt *st);
    /* Rows that the last INSERT, UPDATE or DELETE of the connection touched. */
    int64_t (*changes)(struct dz_sql_conn *c);
    /* Several statements without parameters and rows. */
    enum dz_code (*script)(struct dz_sql_conn *c, const char *text, struct dz_err *err);

    /* The number of the schema; 0: there is none. DZ_BAD_INPUT: another program's database. */
    enum dz_code (*schema_version)(struct dz_sql_conn *c, int64_t *ret_version, struct dz_err *err);
    /* Makes the table schema_version (number, applied_s), and marks the database as dozo's. */
    const char *schema_begin;

    /* The rest may be NULL. */

    /* A number that is another one after each commit of anybody. DZ_UNAVAILABLE: another database
     * stands where this one was opened. NULL: nobody knows without asking. */
    enum dz_code (*version)(struct dz_sql *d, int64_t *ret_version, struct dz_err *err);
    /* A copy of the database as NAME.before-WHAT. Inside an exclusive transaction that has written
     * nothing yet. NULL: those who run the database make copies. */
    enum dz_code (*copy_before)(struct dz_sql *d, const char *what, struct dz_err *err);
    /* Tells fn of what is wrong with the database itself. NULL: it looks after itself. */
    enum dz_code (*check)(struct dz_sql_conn *c, dz_problem_fn *fn, void *arg, struct dz_err *err);
    /* Inside a transaction: after its commit those who wait are woken. NULL: nobody can wait. */
    enum dz_code (*notify)(struct dz_sql_conn *c, enum dz_sql_news news, struct dz_err *err);
    /* Blocks until somebody's news have come, at most wait_ms. One thread at a time. */
    enum dz_code (*wait)(struct dz_sql *d, int64_t wait_ms, bool *ret_changed, struct dz_err *err);

    /* The lock of dz_catalog_lock for all machines; all three NULL: the database is a file of one
     * machine. Does not wait: DZ_CONFLICT. check: whether it was held without a break up to now;
     * one thread at a time. */
    enum dz_code (*lock)(struct dz_sql *d, bool exclusive, struct dz_sql_lock **ret_lock,
                         struct dz_err *err);
    enum dz_code (*lock_check)(struct dz_sql_lock *lock, struct dz_err *err);
    void (*unlock)(struct dz_sql_lock *lock);
};
extern const struct dz_sql_backend dz_sql_sqlite;
extern const struct dz_sql_backend dz_sql_postgres;

/* What each backend's handle begins with. */
struct dz_sql {
    const struct dz_sql_backend *b;
    char *name; /* for error texts: the file's path, or host and database; never a password */

    pthread_mutex_t poll_lock; /* of dz_catalog_changes */
    bool polled;
    int64_t poll_version;
    uint64_t poll_newest;
};
void dz_sql_init(struct dz_sql *d, const struct dz_sql_backend *b, const char *name);
void dz_sql_done(struct dz_sql *d);

/* What each backend's lock begins with. */
struct dz_sql_lock {
    const struct dz_sql_backend *b;
};

/* What each backend's statement begins with. */
struct dz_sql_stmt {
    const struct dz_sql_backend *b;
    struct dz_sql_conn *c;
    /* Set before the first step, cleared by the reset. many: see step. later: it gives no rows, and
     * its failure may be told by the next statement of the connection that is not `later`, which
     * has to come in the same call. */
    bool many, later;
};

/* ---- statements that are kept -------------------------------------------------------------------
 */

/* Prepared once a connection and kept; the texts stand in sql_texts.c. */
enum dz_sql_statement {
    DZ_SQL_SERIES_IDS,
    DZ_SQL_SERIES_FIND,
    DZ_SQL_SERIES_BY_ID,
    DZ_SQL_SERIES_ADD,
    DZ_SQL_SERIES_SET,
    DZ_SQL_SERIES_MORE,
    DZ_SQL_SERIES_FEWER,
    DZ_SQL_CHAPTERS,
    DZ_SQL_CHAPTER_REVS,
    DZ_SQL_CHAPTERS_OF,
    DZ_SQL_CHAPTER_BY_ID,
    DZ_SQL_CHAPTER_BY_SOURCE,
    DZ_SQL_CHAPTER_KEY,
    DZ_SQL_CHAPTER_OWNER,
    DZ_SQL_CHAPTER_ADD,
    DZ_SQL_CHAPTER_SET,
    DZ_SQL_CHAPTER_SET_STAMP,
    DZ_SQL_CHAPTER_EDIT,
    DZ_SQL_CHAPTER_DEL,
    DZ_SQL_PAGES,
    DZ_SQL_PAGES_OF,
    DZ_SQL_PAGE_ADD,
    DZ_SQL_PAGE_SET,
    DZ_SQL_PAGE_DEL,
    DZ_SQL_ASSETS,
    DZ_SQL_ASSET,
    DZ_SQL_ASSET_SET,
    DZ_SQL_ASSET_DEL,
    DZ_SQL_BLOBS,
    DZ_SQL_BLOBS_OF,
    DZ_SQL_BLOB_REF,
    DZ_SQL_BLOB_MORE,
    DZ_SQL_BLOB_UNREF,
    DZ_SQL_BLOB_KNOW,
    DZ_SQL_BLOB_CHAPTERS,
    DZ_SQL_BLOB_REFS,
    DZ_SQL_BLOB_DEL,
    DZ_SQL_SHELVES,
    DZ_SQL_SHELF,
    DZ_SQL_SHELF_SET,
    DZ_SQL_CHANGES,
    DZ_SQL_CHANGE_NEWEST,
    DZ_SQL_CHANGE_SET,
    DZ_SQL_SERIES_TOUCH,
    DZ_SQL_COUNTS,
    DZ_SQL_WRONG_REFS,
    DZ_SQL_MEND_REFS,
    DZ_SQL_WRONG_CHAPTERS_N,
    DZ_SQL_MEND_CHAPTERS_N,
    DZ_SQL_JOB_LIVE,
    DZ_SQL_JOB_ADD,
    DZ_SQL_JOB_SOONER,
    DZ_SQL_JOB_GIVE_UP,
    DZ_SQL_JOB_TAKE,
    DZ_SQL_JOB_RENEW,
    DZ_SQL_JOB_END,
    DZ_SQL_JOB_CANCEL,
    DZ_SQL_JOB_STATE,
    DZ_SQL_JOBS,
    DZ_SQL_JOB_NEXT,
    DZ_SQL_JOBS_TRIM,
    DZ_SQL_JOBS_TRIM_KIND,
    DZ_SQL_JOB_FIND,
    DZ_SQL_JOBS_FIND,
    DZ_SQL_JOBS_LIVE,
    DZ_SQL_JOBS_ENDED,
    DZ_SQL_JOB_RETRY,
    DZ_SQL_JOBS_RETRY,
    DZ_SQL_JOBS_FORGET,
    DZ_SQL_JOB_COUNTS,
    DZ_SQL_SOURCE_COUNTS,
    DZ_SQL_STATE_SET,
    DZ_SQL_STATE_DEL,
    DZ_SQL_STATE_EXPIRE,
    DZ_SQL_STATE_LIST,
    DZ_SQL_STATE_LIST_ALL,
    DZ_SQL_STATE_PACE,
    DZ_SQL_PART_BLOB,
    DZ_SQL_PART_SET,
    DZ_SQL_PART_DEL,
    DZ_SQL_PARTS,
    DZ_SQL_PARTS_ALL,
    DZ_SQL_PARTS_UNREF,
    DZ_SQL_PARTS_DEL,
    DZ_SQL_PARTS_OLD_UNREF,
    DZ_SQL_PARTS_OLD_DEL,
    DZ_SQL_MARK_SET,
    DZ_SQL_MARK_CHANGE,
    DZ_SQL_MARK_DEL,
    DZ_SQL_MARK,
    DZ_SQL_MARKS_OF,
    DZ_SQL_MARKS_OF_SERIES,
    DZ_SQL_FAVOURITE_ADD,
    DZ_SQL_FAVOURITE_DEL,
    DZ_SQL_FAVOURITES,
    DZ_SQL_FAVOURITES_OF,
    DZ_SQL_BLOB_CRC,
    DZ_SQL_BLOB_CRC_SET,
    DZ_SQL_UPLOAD_THERE,
    DZ_SQL_UPLOADS_THERE,
    DZ_SQL_UPLOAD_FACTS,
    DZ_SQL_UPLOAD_ADD,
    DZ_SQL_UPLOAD,
    DZ_SQL_UPLOADS,
    DZ_SQL_UPLOAD_DEL,
    DZ_SQL_UPLOAD_GONE_ADD,
    DZ_SQL_UPLOAD_GONE_TRIM,
    DZ_SQL_UPLOAD_GONE_NEWEST,
    DZ_SQL_UPLOADS_GONE,
    DZ_SQL_COLLECTION,
    DZ_SQL_COLLECTIONS,
    DZ_SQL_COLLECTIONS_REV,
    DZ_SQL_COLLECTION_SET,
    DZ_SQL_COLLECTION_TOUCH,
    DZ_SQL_LOCK_SEVERAL,
    DZ_SQL_STATEMENTS
};
/* How many ids the statements take that ask for several. */
enum { DZ_SQL_IDS = 32 };
/* postgres NULL: the first form is for both. */
struct dz_sql_text {
    const char *sqlite, *postgres;
};
extern const struct dz_sql_text dz_sql_texts[DZ_SQL_STATEMENTS];

/* Statements on the tables of collections, whose texts are made when they are needed. */
enum { DZ_SQL_MADE = 24 };
struct dz_sql_made {
    dz_str text; /* heap */
    struct dz_sql_stmt *st;
    uint64_t used; /* when, by the connection's count */
};

/* What each backend's connection begins with. */
struct dz_sql_conn {
    const struct dz_sql_backend *b;
    struct dz_sql *d;
    struct dz_sql_stmt *statements[DZ_SQL_STATEMENTS];
    struct dz_sql_made made[DZ_SQL_MADE];
    uint64_t made_used;
};
/* Finalizes all statements that the connection keeps; for backends. */
void dz_sql_conn_forget(struct dz_sql_conn *c);

/* ---- statements --------------------------------------------------------------------------------
 */

/* The statement, ready to bind. */
DZ_MUST enum dz_code dz_sql_get(struct dz_sql_conn *c, enum dz_sql_statement which,
                                struct dz_sql_stmt **ret_st, struct dz_err *err);
/* The same for a text that was made. The statement stays until DZ_SQL_MADE others were asked for
 * since. */
DZ_MUST enum dz_code dz_sql_get_made(struct dz_sql_conn *c, const struct dz_buf *text,
                                     struct dz_sql_stmt **ret_st, struct dz_err *err);
/* Steps to the end and resets; for statements that return no rows. */
DZ_MUST enum dz_code dz_sql_run(struct dz_sql_conn *c, struct dz_sql_stmt *st, struct dz_err *err);
/* The same for one whose rows are not counted, as part of a call that runs others behind it: the
 * database may be told of it without waiting for its answer, and one of the others says what went
 * wrong. */
DZ_MUST enum dz_code dz_sql_send(struct dz_sql_conn *c, struct dz_sql_stmt *st, struct dz_err *err);
/* One integer from a statement without parameters; 0 when it gives NULL or no row. */
DZ_MUST enum dz_code dz_sql_one(struct dz_sql_conn *c, enum dz_sql_statement which, int64_t *ret_n,
                                struct dz_err *err);
/* The id that an INSERT … RETURNING id gives, to the end of the statement, which is reset. */
DZ_MUST enum dz_code dz_sql_run_id(struct dz_sql_conn *c, struct dz_sql_stmt *st, bool *ret_row,
                                   int64_t *ret_id, struct dz_err *err);
/* Several statements on the tables of collections. */
DZ_MUST enum dz_code dz_sql_script(struct dz_sql_conn *c, struct dz_buf *text, struct dz_err *err);

static inline void dz_sql_bind_int(struct dz_sql_stmt *st, int at, int64_t n)
{
    st->b->bind_int(st, at, n);
}
static inline void dz_sql_bind_real(struct dz_sql_stmt *st, int at, double x)
{
    st->b->bind_real(st, at, x);
}
static inline void dz_sql_bind_null(struct dz_sql_stmt *st, int at)
{
    st->b->bind_null(st, at);
}
/* Borrowed until the reset; never NULL. */
static inline void dz_sql_bind_str(struct dz_sql_stmt *st, int at, dz_str s)
{
    st->b->bind_str(st, at, s.n ? s : (dz_str){"", 0});
}
static inline void dz_sql_bind_sha(struct dz_sql_stmt *st, int at, const struct dz_sha256 *sha)
{
    st->b->bind_blob(st, at, (dz_str){(const char *)sha->b, sizeof(sha->b)});
}
DZ_MUST static inline enum dz_code dz_sql_row(struct dz_sql_conn *c, struct dz_sql_stmt *st,
                                              bool *ret_row, struct dz_err *err)
{
    return c->b->step(st, ret_row, err);
}
static inline int64_t dz_sql_int(struct dz_sql_stmt *st, int at)
{
    return st->b->column_int(st, at);
}
static inline double dz_sql_real(struct dz_sql_stmt *st, int at)
{
    return st->b->column_real(st, at);
}
/* Borrowed until the next step; p NULL: NULL. */
static inline dz_str dz_sql_str(struct dz_sql_stmt *st, int at)
{
    return st->b->column_str(st, at);
}
static inline bool dz_sql_is_null(struct dz_sql_stmt *st, int at)
{
    return st->b->column_is_null(st, at);
}
static inline int64_t dz_sql_changes(struct dz_sql_conn *c)
{
    return c->b->changes(c);
}
/* A DZ_AUTO handler: ends the statement, keeps it prepared. */
static inline void dz_sql_reset(struct dz_sql_stmt **st)
{
    if (*st)
        (*st)->b->reset(*st);
}

/* ---- transactions ------------------------------------------------------------------------------
 */

/* A reader; done gives it back. */
struct dz_sql_reading {
    struct dz_sql_conn *c;
};
DZ_MUST enum dz_code dz_sql_reading_begin(struct dz_sql_reading *r, struct dz_sql *d,
                                          enum dz_sql_read kind, struct dz_err *err);
void dz_sql_reading_done(struct dz_sql_reading *r); /* a DZ_AUTO handler */

/* A call that is one transaction, tried again when the database gave it up for another one:
 *
 *     struct dz_sql_writing w = {.d = d, .kind = DZ_SQL_PLAIN};
 *     do {
 *         code = dz_sql_writing_begin(&w);
 *         if (code == DZ_OK)
 *             code = …(w.c, …, &w.err);
 *     } while (dz_sql_writing_again(&w, &code, err));
 *
 * again commits what went well and rolls back the rest; false: code and err say what became of it.
 * What the body gives out must start anew each time. */
struct dz_sql_writing {
    struct dz_sql *d; /* set these two */
    enum dz_sql_write kind;
    /* A plain one that writes rows of several records, in the caller's order: one such call at a
     * time, or two would wait for each other. */
    bool several;
    bool races; /* DZ_CONFLICT says that somebody was quicker: the next try sees what he did */
    struct dz_sql_conn *c;
    struct dz_err err;
    unsigned tries;
};
DZ_MUST enum dz_code dz_sql_writing_begin(struct dz_sql_writing *w);
bool dz_sql_writing_again(struct dz_sql_writing *w, enum dz_code *code, struct dz_err *err);
/* After the commit those who wait for it are woken. */
DZ_MUST enum dz_code dz_sql_notify(struct dz_sql_conn *c, enum dz_sql_news news,
                                   struct dz_err *err);

/* ---- rows --------------------------------------------------------------------------------------
 */

DZ_MUST enum dz_code dz_sql_read_series(struct dz_sql_stmt *st, struct dz_text_pool *pool,
                                        struct dz_series_rec *ret_s, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_read_chapter(struct dz_sql_stmt *st, struct dz_text_pool *pool,
                                         void *ret_chapter, struct dz_err *err);
/* Rows of DZ_SQL_PAGES into the caller's growing array (heap). blob_ids is filled alongside when it
 * is not NULL. */
struct dz_sql_pages {
    struct dz_page_rec *v;
    int64_t *blob_ids;
    size_t n, cap;
};
void dz_sql_pages_done(struct dz_sql_pages *p);
DZ_MUST enum dz_code dz_sql_read_pages(struct dz_sql_conn *c, int64_t chapter_id,
                                       struct dz_text_pool *pool, struct dz_sql_pages *p,
                                       struct dz_err *err);
/* The last row of DZ_SQL_ASSETS and DZ_SQL_ASSET. */
DZ_MUST enum dz_code dz_sql_read_asset(struct dz_sql_stmt *st, struct dz_text_pool *pool,
                                       struct dz_asset_rec *ret_f, int64_t *ret_blob_id,
                                       struct dz_err *err);
DZ_MUST enum dz_code dz_sql_read_blob(struct dz_sql_stmt *st, int at, struct dz_text_pool *pool,
                                      struct dz_blob_rec *ret_b, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_copy_str(struct dz_sql_stmt *st, int at, struct dz_text_pool *pool,
                                     dz_str *ret_s, struct dz_err *err);

/* ---- batches -----------------------------------------------------------------------------------
 */

struct dz_sql_batch {
    struct dz_sql *d;
    struct dz_sql_conn *c;
    struct dz_arena *arena; /* of one call */
    int64_t now_s;
    uint64_t seq; /* of this batch's changes; 0: none yet */
    bool wrote;   /* in the call at hand */
    bool broken;
};
/* Every call on a batch stands between these two. */
DZ_MUST enum dz_code dz_sql_call_begin(struct dz_sql_batch *b, struct dz_err *err);
enum dz_code dz_sql_call_end(struct dz_sql_batch *b, enum dz_code code);
/* The statement that is about to write. */
DZ_MUST enum dz_code dz_sql_get_write(struct dz_sql_batch *b, enum dz_sql_statement which,
                                      struct dz_sql_stmt **ret_st, struct dz_err *err);
/* One more reference to the blob, whose row is made when it is new; and one less. ret_news (may be
 * NULL): the row does not say all that is known of the blob now. */
DZ_MUST enum dz_code dz_sql_blob_ref(struct dz_sql_batch *b, const struct dz_blob_rec *blob,
                                     int64_t *ret_id, bool *ret_news, struct dz_err *err);
/* The same for one whose size is known to be right, not waited for (dz_sql_send). */
DZ_MUST enum dz_code dz_sql_blob_ref_later(struct dz_sql_batch *b, const struct dz_blob_rec *blob,
                                           struct dz_err *err);
DZ_MUST enum dz_code dz_sql_blob_unref(struct dz_sql_batch *b, int64_t id, struct dz_err *err);
/* A write with one number, not waited for (dz_sql_send). */
DZ_MUST enum dz_code dz_sql_send_int(struct dz_sql_batch *b, enum dz_sql_statement which, int64_t n,
                                     struct dz_err *err);
/* Whether a question costs no round trip. */
static inline bool dz_sql_is_local(const struct dz_sql_batch *b)
{
    return b->d->b->dialect == DZ_SQL_SQLITE;
}

/* ---- lists ------------------------------------------------------------------------------------
 */

/* Writes a record from the row at hand. */
typedef enum dz_code dz_sql_read_fn(struct dz_sql_stmt *st, struct dz_text_pool *pool,
                                    void *ret_row, struct dz_err *err);
/* Records of `size` bytes on their way into an arena, from one statement or several. */
struct dz_sql_rows {
    size_t size; /* set these two */
    struct dz_text_pool pool;
    char *v;
    size_t n, cap;
};
void dz_sql_rows_done(struct dz_sql_rows *r); /* a DZ_AUTO handler */
/* Adds what is left of the statement. */
DZ_MUST enum dz_code dz_sql_rows_add(struct dz_sql_rows *r, struct dz_sql_conn *c,
                                     struct dz_sql_stmt *st, dz_sql_read_fn *read,
                                     struct dz_err *err);
/* ret_v is a T ** of whatever was read. */
DZ_MUST enum dz_code dz_sql_rows_out(const struct dz_sql_rows *r, void *ret_v, size_t *ret_n,
                                     struct dz_err *err);
/* The three in one: what is left of a statement. */
DZ_MUST enum dz_code dz_sql_list(struct dz_sql_conn *c, struct dz_sql_stmt *st, struct dz_arena *a,
                                 size_t size, dz_sql_read_fn *read, void *ret_v, size_t *ret_n,
                                 struct dz_err *err);
/* How many of the n values from v[at] on one statement asks for: one where an answer costs nothing,
 * else at most DZ_SQL_IDS, of which no two are the same, because a row comes once. */
typedef bool dz_sql_same_fn(const void *v, size_t i, size_t k);
size_t dz_sql_group(const struct dz_sql_conn *c, const void *v, size_t at, size_t n,
                    dz_sql_same_fn *same);
/* The rows of one statement asked for each of n texts, in their order: the first parameter is the
 * same for all, the second another one each time. `several` gives them for DZ_SQL_IDS texts, from
 * the second parameter on, in the same order; NULL where there are fewer. */
struct dz_sql_each {
    enum dz_sql_statement which, several;
    dz_str same;
    const dz_str *v;
    size_t n;
};
DZ_MUST enum dz_code dz_sql_list_each(struct dz_sql_conn *c, const struct dz_sql_each *each,
                                      struct dz_arena *a, size_t size, dz_sql_read_fn *read,
                                      void *ret_v, size_t *ret_n, struct dz_err *err);

/* ---- driver functions in other files: contracts in catalog.h ------------------------------------
 */

DZ_MUST enum dz_code dz_sql_begin(void *self, void **ret_batch, struct dz_err *err);
/* A batch of one call, which ends it: whether it is the only one is known with its first answer. */
DZ_MUST enum dz_code dz_sql_begin_call(void *self, struct dz_sql_batch **ret_b, struct dz_err *err);
/* Commits it when all went well, else rolls it back; returns what became of it. */
DZ_MUST enum dz_code dz_sql_end_call(struct dz_sql_batch *b, enum dz_code code, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_put_series(void *batch, const struct dz_series_rec *s, int64_t *ret_id,
                                       struct dz_err *err);
DZ_MUST enum dz_code dz_sql_put_chapter(void *batch, int64_t series_id,
                                        const struct dz_chapter_rec *c, int64_t *ret_id,
                                        bool *ret_changed, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_edit_chapter(void *batch, const struct dz_chapter_edit *e,
                                         bool *ret_changed, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_del_chapter(void *batch, int64_t chapter_id, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_put_asset(void *batch, int64_t series_id, const struct dz_asset_rec *f,
                                      bool *ret_changed, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_del_asset(void *batch, int64_t series_id, dz_str name,
                                      struct dz_err *err);
DZ_MUST enum dz_code dz_sql_put_shelf(void *batch, dz_str name, int64_t series_id,
                                      struct dz_err *err);
DZ_MUST enum dz_code dz_sql_drop_blob(void *batch, const struct dz_sha256 *sha, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_commit(void *batch, uint64_t *ret_seq, struct dz_err *err);
void dz_sql_rollback(void *batch);
DZ_MUST enum dz_code dz_sql_verify(void *self, bool repair, dz_problem_fn *fn, void *arg,
                                   uint64_t *ret_left, struct dz_err *err);

DZ_MUST enum dz_code dz_sql_job_add(void *self, const struct dz_job_rec *j, int64_t now_ms,
                                    int64_t *ret_id, bool *ret_new, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_job_take(void *self, const struct dz_job_take *t, struct dz_arena *a,
                                     struct dz_job_rec *ret_job, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_job_renew(void *self, int64_t id, dz_str owner, int64_t now_ms,
                                      int64_t lease_ms, const struct dz_job_progress *p,
                                      struct dz_err *err);
DZ_MUST enum dz_code dz_sql_job_end(void *self, int64_t id, dz_str owner,
                                    const struct dz_job_rec *end, int64_t now_ms,
                                    struct dz_err *err);
DZ_MUST enum dz_code dz_sql_job_cancel(void *self, int64_t id, int64_t now_ms, bool *ret_asked,
                                       struct dz_err *err);
DZ_MUST enum dz_code dz_sql_jobs(void *self, size_t max, struct dz_arena *a,
                                 struct dz_job_rec **ret_v, size_t *ret_n, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_job_next(void *self, int64_t *ret_due_ms, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_jobs_trim(void *self, dz_str kind, size_t keep, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_jobs_add(void *self, const struct dz_job_rec *v, size_t n,
                                     int64_t now_ms, int64_t *ret_ids, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_jobs_find(void *self, dz_str kind, const dz_str *targets, size_t n,
                                      struct dz_arena *a, struct dz_job_rec **ret_v, size_t *ret_n,
                                      struct dz_err *err);
DZ_MUST enum dz_code dz_sql_jobs_of(void *self, dz_str kind, size_t max, struct dz_arena *a,
                                    struct dz_job_rec **ret_v, size_t *ret_n, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_jobs_cancel(void *self, const int64_t *ids, size_t n, int64_t now_ms,
                                        bool *ret_asked, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_jobs_retry(void *self, dz_str kind, const int64_t *ids, size_t n,
                                       int64_t now_ms, size_t *ret_n, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_jobs_forget(void *self, dz_str kind, size_t *ret_n, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_job_counts(void *self, uint64_t *ret_counts, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_source_counts(void *self, struct dz_arena *a,
                                          struct dz_source_counts **ret_v, size_t *ret_n,
                                          struct dz_err *err);
DZ_MUST enum dz_code dz_sql_state_put(void *self, const struct dz_crawl_state_rec *v, size_t n,
                                      int64_t now_ms, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_state_list(void *self, dz_str source, dz_str prefix, int64_t now_ms,
                                       struct dz_arena *a, struct dz_crawl_state_rec **ret_v,
                                       size_t *ret_n, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_pace(void *self, dz_str source, dz_str name, int64_t gap_ms,
                                 int64_t *ret_wait_ms, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_part_put(void *self, dz_str source, dz_str chapter,
                                     const struct dz_part_rec *v, size_t n, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_parts(void *self, dz_str source, dz_str chapter, struct dz_arena *a,
                                  struct dz_part_rec **ret_v, size_t *ret_n, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_parts_all(void *self, dz_part_fn *fn, void *arg, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_part_del(void *batch, dz_str source, dz_str chapter, uint32_t at,
                                     struct dz_err *err);
DZ_MUST enum dz_code dz_sql_parts_del(void *batch, dz_str source, dz_str chapter,
                                      struct dz_err *err);
DZ_MUST enum dz_code dz_sql_parts_trim(void *self, int64_t before_ms, struct dz_err *err);

DZ_MUST enum dz_code dz_sql_uploads_put(void *self, const struct dz_upload_rec *v, size_t n,
                                        bool *ret_new, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_upload_get(void *self, dz_str id, struct dz_arena *a,
                                       struct dz_upload_rec *ret_u, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_uploads_del(void *self, const dz_str *ids, size_t n, bool *ret_was,
                                        struct dz_err *err);
DZ_MUST enum dz_code dz_sql_uploads_gone(void *self, uint64_t since, struct dz_arena *a,
                                         dz_str **ret_ids, size_t *ret_n, bool *ret_more,
                                         uint64_t *ret_seq, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_uploads_all(void *self, dz_upload_fn *fn, void *arg,
                                        struct dz_err *err);
DZ_MUST enum dz_code dz_sql_marks_put(void *self, const struct dz_mark_rec *v, size_t n,
                                      struct dz_err *err);
DZ_MUST enum dz_code dz_sql_marks_del(void *self, const struct dz_mark_rec *v, size_t n,
                                      struct dz_err *err);
DZ_MUST enum dz_code dz_sql_marks_of(void *self, dz_str source, const dz_str *chapters, size_t n,
                                     struct dz_arena *a, struct dz_mark_rec **ret_v, size_t *ret_n,
                                     struct dz_err *err);
DZ_MUST enum dz_code dz_sql_marks_of_series(void *self, dz_str source, dz_str series,
                                            struct dz_arena *a, struct dz_mark_rec **ret_v,
                                            size_t *ret_n, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_favourite_put(void *self, dz_str source, dz_str series, int64_t now_ms,
                                          bool *ret_new, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_favourite_del(void *self, dz_str source, dz_str series, bool *ret_was,
                                          struct dz_err *err);
DZ_MUST enum dz_code dz_sql_favourites(void *self, dz_str source, struct dz_arena *a,
                                       struct dz_favourite_rec **ret_v, size_t *ret_n,
                                       struct dz_err *err);
DZ_MUST enum dz_code dz_sql_blob_crcs(void *self, const struct dz_sha256 *v, size_t n,
                                      uint64_t *ret_crcs, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_blob_crcs_put(void *self, const struct dz_sha256 *v,
                                          const uint32_t *crcs, size_t n, struct dz_err *err);

DZ_MUST enum dz_code dz_sql_collection_ensure(void *self, const struct dz_collection *coll,
                                              struct dz_collection_ensured *ret_ensured,
                                              struct dz_err *err);
DZ_MUST enum dz_code dz_sql_collections(void *self, struct dz_arena *a,
                                        struct dz_collection_rec **ret_v, size_t *ret_n,
                                        struct dz_err *err);
DZ_MUST enum dz_code dz_sql_collections_rev(void *self, uint64_t *ret_rev, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_collection_put(void *self, const struct dz_collection *coll,
                                           const struct dz_collection_put *put,
                                           enum dz_put_result *ret_v, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_collection_seen(void *self, const struct dz_collection *coll,
                                            size_t column, const struct dz_collection_value *v,
                                            size_t n, bool *ret, struct dz_err *err);
DZ_MUST enum dz_code dz_sql_collection_rows(void *self, const struct dz_collection *coll,
                                            const struct dz_collection_ask *ask,
                                            const struct dz_collection_value *keys,
                                            dz_collection_row_fn *fn, void *arg,
                                            struct dz_err *err);

/* The tables that this binary writes, but those of collections, as texts in SQL: 'a', 'b'. */
void dz_sql_put_table_names(struct dz_buf *out);

/* ---- migrations --------------------------------------------------------------------------------
 */

/* The number of the newest step, the same in all databases. */
enum { DZ_SQL_SCHEMA = 7 };
extern const char *const dz_sqlite_migrations[DZ_SQL_SCHEMA];
extern const char *const dz_postgres_migrations[DZ_SQL_SCHEMA];
/* Before anything is changed: DZ_BAD_INPUT for a database of another program, DZ_UNSUPPORTED for
 * one of a newer dozo. */
DZ_MUST enum dz_code dz_sql_migrate_check(struct dz_sql_conn *c, size_t known, struct dz_err *err);
/* Brings the database up to number n. Number i + 1 is list[i]; a NULL is passed over: the next one
 * does what it stands for. Never edit one that was released: add the next. */
DZ_MUST enum dz_code dz_sql_migrate(struct dz_sql *d, const char *const *list, size_t n,
                                    struct dz_err *err);
