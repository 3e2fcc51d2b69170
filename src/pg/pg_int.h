/*
 * pg_int: what the files of this room share: where the server is, a connection with what is on its
 * way, and the pool.
 *
 * Layers, lowest first: address.c (connection strings, passwords out of texts), failure.c (codes of
 * errors), link.c (one libpq connection: connect, wait, run a script; every wait has a limit),
 * connection.c (statements in pipeline mode, transactions), pool.c, cursor.c and listener.c.
 * A link and a connection belong to one thread at a time.
 */
#pragma once

#include <libpq-fe.h>

#include "pg/pg.h"

#include <pthread.h>

/* ---- where the server is ----------------------------------------------------------------------
 */

struct pg_address {
    char *uri, *name, *schema; /* schema may be NULL */
    char *place;               /* for texts */
    char *password;            /* what must not be in a text; NULL: none is known */
    int64_t connect_ms, statement_ms;
};
DZ_MUST enum dz_code pg_address_init(struct pg_address *a, const struct dz_pg_options *o,
                                     struct dz_err *err);
void pg_address_done(struct pg_address *a);
/* The reason in libpq's message without what stands around it and without passwords, one line. */
void pg_reason(const struct pg_address *a, PGconn *pg, struct dz_buf *out);

/* ---- errors ------------------------------------------------------------------------------------
 */

int pg_native(const char *sqlstate); /* as a number, for dz_err.native; 0: none */
enum dz_code pg_fail_result(const PGresult *res, struct dz_err *err);
enum dz_code pg_fail_lost(const struct pg_address *a, PGconn *pg, struct dz_err *err);

/* ---- one connection of libpq -------------------------------------------------------------------
 */

enum pg_wait { PG_READY, PG_LATE, PG_WOKEN };
int64_t pg_now_ms(void);                                   /* monotonic */
static inline int64_t pg_until(int64_t now_ms, int64_t ms) /* ms 0: for ever */
{
    return ms > 0 ? now_ms + ms : INT64_MAX;
}
/* Waits for the socket until until_ms; wake_fd, which may be -1, ends it before. */
enum pg_wait pg_wait(PGconn *pg, short events, int64_t until_ms, int wake_fd);
/* Connected and set up, not blocking, not in pipeline mode. DZ_CANCELLED: woken. */
DZ_MUST enum dz_code pg_connect(const struct pg_address *a, int wake_fd, PGconn **ret_pg,
                                struct dz_err *err);
/* Statements without parameters, outside pipeline mode. ret_lost: the link is of no use any more.
 */
DZ_MUST enum dz_code pg_simple(const struct pg_address *a, PGconn *pg, const char *text,
                               int64_t limit_ms, bool *ret_lost, struct dz_err *err);

/* ---- a connection ------------------------------------------------------------------------------
 */

struct prepared {
    dz_str key; /* heap: kinds of the parameters, a blank, the text */
    char name[24];
};

/* What was sent and not yet answered. */
enum pending_kind { PENDING_PREPARE, PENDING_RUN, PENDING_SYNC };
struct pending {
    enum pending_kind kind;
    struct prepared *prepared; /* may be NULL */
    bool quiet;                /* its error is of no interest: it was rolled back */
    bool answered;
};

enum pg_loss { PG_HELD, PG_LOST, PG_SILENT };

struct dz_pg_conn {
    struct dz_pg *pool;
    struct dz_pg_conn *next; /* among the idle ones */
    PGconn *pg;
    enum pg_loss loss;
    int64_t idle_since_ms;
    int64_t limit_ms; /* of statements */

    struct dz_map prepared;
    uint64_t names;    /* given so far */
    struct dz_buf key; /* of the statement at hand */

    struct pending *pending; /* [pending_at, pending_n) */
    size_t pending_at, pending_n, pending_cap;
    size_t queued_bytes; /* of parameters since the last sync */
    uint64_t affected;   /* by all that was answered since it was set to 0 */
    uint64_t last;       /* by the last of them */

    bool in_transaction;
    bool begin_due;         /* BEGIN leaves with the next statement */
    const char *how, *lead; /* lead: what leaves behind BEGIN; may be NULL */
    uint64_t cursors;       /* for their names */
};

DZ_MUST enum dz_code pg_conn_new(struct dz_pg *pool, int wake_fd, struct dz_pg_conn **ret_c,
                                 struct dz_err *err);
void pg_conn_free(struct dz_pg_conn **c);
/* Sees without waiting whether the server has closed it meanwhile. */
bool pg_conn_alive(struct dz_pg_conn *c);
/* As it was when it was new, for the next one who takes it. */
void pg_conn_rest(struct dz_pg_conn *c);

/* ---- pool --------------------------------------------------------------------------------------
 */

struct dz_pg {
    struct pg_address address;
    uint32_t min, max;
    int64_t acquire_ms;
    int pid;

    pthread_mutex_t lock;
    pthread_cond_t freed;  /* a connection is idle, may be made, or the server is down */
    pthread_cond_t keeper; /* work for the thread */
    struct dz_pg_conn *idle;
    uint32_t idle_n, total_n; /* total_n counts those that are being made */
    int64_t no_more_until_ms; /* the server has no room for more connections */
    bool down, closing;
    struct dz_err why; /* while down */
    pthread_t thread;
    bool has_thread;
    int wake_fd; /* ends the waits of the thread */
};
/* No answer came: others need not find out by themselves. */
void pg_pool_down(struct dz_pg *pool, const struct dz_err *why);
