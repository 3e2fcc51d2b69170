/*
 * sqlite_int: what the files of the SQLite backend share.
 *
 * The open file and its connections: one that writes, under a lock, up to four that read, one that
 * only watches for changes. A connection is used by one thread at a time; the locks of struct
 * dz_sqlite see to that.
 */
#pragma once

#include "catalog/sql_int.h"

#include <sqlite3.h>

struct dz_sqlite_conn {
    struct dz_sql_conn base;
    sqlite3 *db; /* NULL: not opened yet */
    sqlite3_stmt *begin, *begin_write, *commit, *version;
};

enum { DZ_SQLITE_READERS = 4 };

struct dz_sqlite {
    struct dz_sql base; /* name: the path, or ":memory:" */
    char *target;       /* what sqlite3_open_v2 gets */
    bool memory;
    int write_wait_ms;

    pthread_mutex_t write_lock; /* held from the begin to the end of a transaction */
    struct dz_sqlite_conn write;

    /* Sees changes by PRAGMA data_version, which needs a connection that never writes; under the
     * base's poll_lock. */
    struct dz_sqlite_conn poll;

    pthread_mutex_t readers_lock;
    pthread_cond_t reader_free;
    struct dz_sqlite_conn readers[DZ_SQLITE_READERS];
    bool reader_busy[DZ_SQLITE_READERS];
};

DZ_MUST enum dz_code dz_sqlite_open_conn(struct dz_sqlite *d, bool reader, struct dz_sqlite_conn *c,
                                         struct dz_err *err);
void dz_sqlite_close_conn(struct dz_sqlite_conn *c);
/* What the last failed call of this connection means: code, text with the file's name. */
enum dz_code dz_sqlite_fail(const struct dz_sqlite_conn *c, struct dz_err *err);
/* DZ_UNAVAILABLE: another file, or none, stands where it was opened. */
enum dz_code dz_sqlite_in_place(const struct dz_sqlite_conn *c, struct dz_err *err);
/* The text of a row's column, borrowed until the next step. */
dz_str dz_sqlite_text(sqlite3_stmt *st, int at);

/* In sqlite_file.c: contracts in struct dz_sql_backend. */
DZ_MUST enum dz_code dz_sqlite_open(const char *data_dir, const char *uri, struct dz_sql **ret_d,
                                    struct dz_err *err);
void dz_sqlite_close(struct dz_sql *d);
DZ_MUST enum dz_code dz_sqlite_schema_version(struct dz_sql_conn *c, int64_t *ret_version,
                                              struct dz_err *err);
DZ_MUST enum dz_code dz_sqlite_copy_before(struct dz_sql *d, const char *what, struct dz_err *err);
DZ_MUST enum dz_code dz_sqlite_check(struct dz_sql_conn *c, dz_problem_fn *fn, void *arg,
                                     struct dz_err *err);
extern const char dz_sqlite_schema_begin[];
