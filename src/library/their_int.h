/*
 * their_int: the SQLite files of other services: nagato.db, data.db of KVM48.
 *
 * A file is opened to be read, in one read transaction and without a trace, or handed in open; the
 * rest are statements whose failures name the file. One thread; whoever opened it closes it.
 */
#pragma once

#include <sqlite3.h>

#include "library/library_int.h"

#define THEIR_PATH_MAX (64 * DZ_KIB)

struct their_db {
    const char *path; /* as it was given: for messages; borrowed */
    sqlite3 *db;
};
/* To be read: locks of a running service are honoured, and no file is left beside it unless its
 * journal (-wal) has to be read. */
DZ_MUST enum dz_code their_open(struct their_db *t, struct dz_err *err);
/* To be written, inside a transaction that this begins; the file is made when it is not there. */
DZ_MUST enum dz_code their_open_to_write(struct their_db *t, const char *path, struct dz_err *err);
void their_close(struct their_db *t); /* also a DZ_AUTO handler */

/* What the last failed call means. */
enum dz_code their_fail(struct their_db *t, struct dz_err *err);
DZ_MUST enum dz_code their_run(struct their_db *t, const char *sql, struct dz_err *err);
DZ_MUST enum dz_code their_statement(struct their_db *t, const char *sql, sqlite3_stmt **ret_st,
                                     struct dz_err *err);
void their_statement_done(sqlite3_stmt **st); /* a DZ_AUTO handler */
DZ_MUST enum dz_code their_row(struct their_db *t, sqlite3_stmt *st, bool *ret_row,
                               struct dz_err *err);
DZ_MUST enum dz_code their_has_table(struct their_db *t, const char *name, bool *ret_has,
                                     struct dz_err *err);
