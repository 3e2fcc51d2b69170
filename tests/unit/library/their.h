/*
 * their: SQLite files of other services, made by a test.
 */
#pragma once

#include <sqlite3.h>

#include "lab.h"

/* Appends to the file `name`; still open afterwards when ret_db is given. */
static void make_db(const struct lab *l, const char *name, const char *sql, sqlite3 **ret_db)
{
    sqlite3 *db = NULL;
    char *words = NULL;
    assert_int_equal(sqlite3_open(lab_path(l, name), &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &words) != SQLITE_OK)
        fail_msg("%s", words);
    if (ret_db)
        *ret_db = db;
    else
        sqlite3_close(db);
}
