/*
 * pg: PostgreSQL through libpq: a pool of connections that heals by itself, prepared statements,
 * binary parameters and rows, cursors, and a listener.
 *
 * In: a connection string and texts with $1 … . Out: rows, and errors in the house's codes; no text
 * of an error ever carries the password. Everything here blocks, each wait with a limit, and so
 * belongs on workers and threads of one's own, never on a loop's thread. A pool is used by any
 * thread, a connection by the one that took it. While the server is down every take fails at once,
 * and one thread of the pool's tries to reach it. After a fork only exec is allowed.
 *
 * Values travel in binary. Text and bytea travel the same: as their bytes.
 */
#pragma once

#include "base/base.h"

/* ---- limits ------------------------------------------------------------------------------------
 */

#define DZ_PG_POOL_MAX 1000u           /* connections */
#define DZ_PG_PARAMS_MAX 256u          /* of one statement */
#define DZ_PG_TEXT_MAX (64 * DZ_KIB)   /* of one statement */
#define DZ_PG_BYTES_MAX (512 * DZ_MIB) /* of one parameter; a field of PostgreSQL holds 1 GiB */
#define DZ_PG_PREPARED_MAX 512u        /* statements that a connection keeps; then it is replaced */
#define DZ_PG_CHANNELS_MAX 8u          /* of one listener */

/* ---- pool --------------------------------------------------------------------------------------
 */

struct dz_pg; /* a pool */
struct dz_pg_conn;

struct dz_pg_options {
    const char *uri; /* postgres://… or "host=… dbname=…"; libpq's variables and .pgpass count */
    const char *name;     /* application_name, unless the URI gives one; NULL: "dozo" */
    const char *schema;   /* goes first in the search_path; NULL: the path as it is */
    uint32_t pool_min;    /* kept open; counts as 1 at least */
    uint32_t pool_max;    /* 0: as pool_min, else at least pool_min */
    int64_t connect_ms;   /* 0: 5 s. Longest wait for a connection to be made */
    int64_t statement_ms; /* 0: 30 s. The server ends longer statements; a server that is silent for
                           * so long and connect_ms more is taken as lost */
    int64_t acquire_ms;   /* 0: 5 s. Longest wait for a free connection */
};

/* Makes pool_min connections. DZ_BAD_INPUT: the URI cannot be read; DZ_UNAVAILABLE, with host,
 * database and the reason: the server cannot be reached, or does not let us in. */
DZ_MUST enum dz_code dz_pg_open(const struct dz_pg_options *o, struct dz_pg **ret_pg,
                                struct dz_err *err);
/* All connections were given back before. */
void dz_pg_close(struct dz_pg **pg);
/* "dozo at db.example:5432", for texts: database, host and port; never the password. */
const char *dz_pg_place(const struct dz_pg *pg);
/* Whether the server was reached when somebody last tried; with the reason when it was not. */
DZ_MUST enum dz_code dz_pg_state(struct dz_pg *pg, struct dz_err *err);

/* A connection outside any transaction. DZ_UNAVAILABLE: the server is down (said at once), or all
 * are busy for acquire_ms. One that died while nobody used it is replaced. */
DZ_MUST enum dz_code dz_pg_take(struct dz_pg *pg, struct dz_pg_conn **ret_conn, struct dz_err *err);
/* Rolls back what is open; a connection that broke is closed. A DZ_AUTO handler. */
void dz_pg_give(struct dz_pg_conn **conn);

/* ---- statements --------------------------------------------------------------------------------
 */

enum dz_pg_kind {
    DZ_PG_NULL,
    DZ_PG_INT,   /* declared as bigint */
    DZ_PG_REAL,  /* declared as double precision */
    DZ_PG_BYTES, /* not declared: the server takes it as text or bytea, whichever fits there */
};
struct dz_pg_param {
    enum dz_pg_kind kind;
    union {
        int64_t i;
        double r;
        dz_str s; /* borrowed until the call returns */
    };
};
static inline struct dz_pg_param dz_pg_p_null(void)
{
    return (struct dz_pg_param){.kind = DZ_PG_NULL};
}
static inline struct dz_pg_param dz_pg_p_int(int64_t i)
{
    return (struct dz_pg_param){.kind = DZ_PG_INT, .i = i};
}
static inline struct dz_pg_param dz_pg_p_real(double r)
{
    return (struct dz_pg_param){.kind = DZ_PG_REAL, .r = r};
}
static inline struct dz_pg_param dz_pg_p_str(dz_str s) /* never NULL, also when s.p is */
{
    return (struct dz_pg_param){.kind = DZ_PG_BYTES, .s = s};
}

/* One statement, with $1 … for its parameters. It is prepared on a connection when that runs it
 * first, and found again by its text. */
struct dz_pg_statement {
    const char *text;
    bool once;    /* not worth preparing */
    bool repeats; /* may be run twice (a read): sent again on a new connection when the old one is
                   * lost outside a transaction */
};

/* The rows of one statement; ret_rows may be NULL. Codes by SQLSTATE: 08, 57P0x, 57014, 53300,
 * 55P03, 40001, 40P01 and a server that is gone or silent DZ_UNAVAILABLE; 23 DZ_CONFLICT (unique,
 * foreign key) or DZ_BAD_INPUT (other checks); 53100, 53200 DZ_FULL; 22 DZ_BAD_INPUT; XX001, XX002
 * DZ_CORRUPT; others DZ_INTERNAL. After an error inside a transaction only a rollback helps.
 * Honours DZ_FAULT=query:N. */
struct dz_pg_rows;
DZ_MUST enum dz_code dz_pg_run(struct dz_pg_conn *conn, const struct dz_pg_statement *st,
                               const struct dz_pg_param *v, size_t n, struct dz_pg_rows **ret_rows,
                               struct dz_err *err);
/* Sent, but not waited for (pipeline mode): what goes wrong is told by the next dz_pg_run,
 * dz_pg_settle or dz_pg_commit. Outside a transaction all up to there are one transaction. */
DZ_MUST enum dz_code dz_pg_later(struct dz_pg_conn *conn, const struct dz_pg_statement *st,
                                 const struct dz_pg_param *v, size_t n, struct dz_err *err);
/* Waits for all of dz_pg_later. */
DZ_MUST enum dz_code dz_pg_settle(struct dz_pg_conn *conn, struct dz_err *err);
/* The same statement `runs` times with n parameters each, which lie one after the other in v; in
 * one go. ret_affected, the rows touched by all, may be NULL. */
DZ_MUST enum dz_code dz_pg_run_many(struct dz_pg_conn *conn, const struct dz_pg_statement *st,
                                    const struct dz_pg_param *v, size_t n, size_t runs,
                                    uint64_t *ret_affected, struct dz_err *err);
/* Any number of statements without parameters, as one transaction unless one is open. */
DZ_MUST enum dz_code dz_pg_script(struct dz_pg_conn *conn, const char *text, struct dz_err *err);
/* Whether the role of this pool may do what it will have to. wanted: a query of two columns: tables
 * as they stand in a statement, and what is done to them, as 'SELECT,INSERT'; a table that is not
 * there is passed over. DZ_FORBIDDEN names role, table and what is missing. */
DZ_MUST enum dz_code dz_pg_check_rights(struct dz_pg_conn *conn, const char *wanted,
                                        struct dz_err *err);
/* Another limit for statements of this connection until it is given back; 0: none. */
DZ_MUST enum dz_code dz_pg_statement_limit(struct dz_pg_conn *conn, int64_t ms, struct dz_err *err);

/* 40001 and 40P01: the whole transaction may be tried again. */
bool dz_pg_is_retry(const struct dz_err *err);
/* Whether err->native is this SQLSTATE (five characters). */
bool dz_pg_is_state(const struct dz_err *err, const char *sqlstate);

/* ---- transactions ------------------------------------------------------------------------------
 */

/* how: NULL, or "ISOLATION LEVEL REPEATABLE READ READ ONLY" (static). It leaves with the first
 * statement; a connection that is lost with that one is replaced, and both are sent again. */
DZ_MUST enum dz_code dz_pg_begin(struct dz_pg_conn *conn, const char *how, struct dz_err *err);
/* The same with a statement that leaves right behind BEGIN, as a lock that all others need; its
 * failure is told by the first of them that is waited for. Borrowed until the transaction ends. */
DZ_MUST enum dz_code dz_pg_begin_with(struct dz_pg_conn *conn, const char *how, const char *lead,
                                      struct dz_err *err);
/* When the connection is lost here nobody knows whether it was committed: DZ_UNAVAILABLE. */
DZ_MUST enum dz_code dz_pg_commit(struct dz_pg_conn *conn, struct dz_err *err);
void dz_pg_rollback(struct dz_pg_conn *conn); /* nothing when none is open */
bool dz_pg_in_transaction(const struct dz_pg_conn *conn);
/* Whether an error has ended it, or the connection, as far as answers have come. */
bool dz_pg_has_failed(const struct dz_pg_conn *conn);
/* Rows that the last statement which was waited for touched. */
uint64_t dz_pg_last_affected(const struct dz_pg_conn *conn);

/* ---- rows --------------------------------------------------------------------------------------
 */

/* row and column count from 0; the answers live until the rows are freed. */
void dz_pg_rows_free(struct dz_pg_rows **rows);
size_t dz_pg_n(const struct dz_pg_rows *rows);
uint64_t dz_pg_affected(const struct dz_pg_rows *rows); /* INSERT, UPDATE, DELETE: rows touched */
bool dz_pg_is_null(const struct dz_pg_rows *rows, size_t row, size_t column);
/* bool, smallint, integer, bigint, oid; numeric and double precision cut to a whole number; 0 for
 * NULL. */
int64_t dz_pg_int(const struct dz_pg_rows *rows, size_t row, size_t column);
/* real, double precision, numeric, and what dz_pg_int takes. */
double dz_pg_real(const struct dz_pg_rows *rows, size_t row, size_t column);
/* text, bytea and the like; p is NULL for NULL, else a NUL stands behind. */
dz_str dz_pg_bytes(const struct dz_pg_rows *rows, size_t row, size_t column);

/* ---- cursors: results that are too large to be held at once ------------------------------------
 */

/* Reads rows_a_time rows with each call; other statements may run in between. Makes a transaction
 * of its own (read only) when none is open, and ends it when it is closed. */
struct dz_pg_cursor;
DZ_MUST enum dz_code dz_pg_cursor_open(struct dz_pg_conn *conn, const char *select,
                                       const struct dz_pg_param *v, size_t n, uint32_t rows_a_time,
                                       struct dz_pg_cursor **ret_cursor, struct dz_err *err);
/* ret_rows NULL: the end. Borrowed until the next call. */
DZ_MUST enum dz_code dz_pg_cursor_next(struct dz_pg_cursor *cursor,
                                       const struct dz_pg_rows **ret_rows, struct dz_err *err);
void dz_pg_cursor_close(struct dz_pg_cursor **cursor); /* before the connection is given back */

/* ---- listener ----------------------------------------------------------------------------------
 */

/* A connection of its own that waits for NOTIFY. One thread waits. */
struct dz_pg_listener;
/* Takes the place and the limits of the pool, which must live longer; does not wait for the server.
 * Channels are copied. */
DZ_MUST enum dz_code dz_pg_listen(struct dz_pg *pg, const char *const *channels, size_t n,
                                  struct dz_pg_listener **ret_listener, struct dz_err *err);
/* At most so long (0: looks only) until something is heard: bit i of *ret_heard is channel i. The
 * first connection, and each after a loss, counts as heard on all. DZ_UNAVAILABLE when the time
 * has passed and there is no connection; it goes on trying with the next call. */
DZ_MUST enum dz_code dz_pg_listener_wait(struct dz_pg_listener *listener, int64_t ms,
                                         uint32_t *ret_heard, struct dz_err *err);
void dz_pg_listener_wake(struct dz_pg_listener *listener); /* any thread: a wait returns at once */
void dz_pg_listener_close(struct dz_pg_listener **listener);

/* ---- texts -------------------------------------------------------------------------------------
 */

/* A quoted identifier; one dot parts schema and name ("public"."my_images"). */
void dz_pg_put_name(struct dz_buf *b, dz_str name);
/* Letters (ASCII), digits and _, not a digit first, one dot at most, parts of 1 to 63 bytes. */
bool dz_pg_is_name(dz_str name);
