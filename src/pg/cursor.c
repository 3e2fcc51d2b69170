/*
 * cursor: a result that is read some rows at a time.
 *
 * In: a SELECT and its values. Out: rows, of which one portion is held at a time. A cursor of the
 * server and not libpq's single-row mode: between two portions the connection is free for other
 * statements, and each portion has the time of a statement for itself. The thread of its
 * connection.
 */
#include "pg/pg_int.h"

struct dz_pg_cursor {
    struct dz_pg_conn *conn;
    struct dz_pg_rows *rows;
    char fetch[64], close[48];
    uint32_t rows_a_time;
    bool own_transaction, opened, ended;
};

static enum dz_code declare(struct dz_pg_cursor *k, const char *select, const struct dz_pg_param *v,
                            size_t n, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    unsigned long long number = ++k->conn->cursors;
    dz_buf_init(&text, DZ_PG_TEXT_MAX);
    dz_buf_putf(&text, "DECLARE dz_c%llu NO SCROLL CURSOR FOR ", number);
    dz_buf_put(&text, dz_str_of(select));
    const char *p = dz_buf_cstr(&text);
    if (text.full)
        return dz_fail(err, DZ_TOO_LARGE, "a statement for PostgreSQL is too long");
    (void)snprintf(k->fetch, sizeof(k->fetch), "FETCH %u FROM dz_c%llu", k->rows_a_time, number);
    (void)snprintf(k->close, sizeof(k->close), "CLOSE dz_c%llu", number);
    const struct dz_pg_statement st = {.text = p, .once = true};
    DZ_TRY(dz_pg_later(k->conn, &st, v, n, err));
    k->opened = true;
    return DZ_OK;
}

enum dz_code dz_pg_cursor_open(struct dz_pg_conn *conn, const char *select,
                               const struct dz_pg_param *v, size_t n, uint32_t rows_a_time,
                               struct dz_pg_cursor **ret_cursor, struct dz_err *err)
{
    DZ_AUTO(dz_pg_cursor_close) struct dz_pg_cursor *k = dz_new(struct dz_pg_cursor);
    k->conn = conn;
    k->rows_a_time = rows_a_time ? rows_a_time : 1;
    if (!dz_pg_in_transaction(conn)) {
        DZ_TRY(dz_pg_begin(conn, "READ ONLY", err));
        k->own_transaction = true;
    }
    DZ_TRY(declare(k, select, v, n, err));
    *ret_cursor = dz_take(&k);
    return DZ_OK;
}

enum dz_code dz_pg_cursor_next(struct dz_pg_cursor *cursor, const struct dz_pg_rows **ret_rows,
                               struct dz_err *err)
{
    const struct dz_pg_statement fetch = {.text = cursor->fetch, .once = true};
    dz_pg_rows_free(&cursor->rows);
    if (!cursor->ended)
        DZ_TRY(dz_pg_run(cursor->conn, &fetch, NULL, 0, &cursor->rows, err));
    size_t n = cursor->rows ? dz_pg_n(cursor->rows) : 0;
    cursor->ended = n < cursor->rows_a_time;
    *ret_rows = n > 0 ? cursor->rows : NULL;
    return DZ_OK;
}

void dz_pg_cursor_close(struct dz_pg_cursor **cursor)
{
    struct dz_pg_cursor *k = dz_take(cursor);
    if (!k)
        return;
    const struct dz_pg_statement close = {.text = k->close, .once = true};
    dz_pg_rows_free(&k->rows);
    /* In a transaction that has failed it is gone already, and what a rollback does is quiet. */
    if (k->own_transaction)
        dz_pg_rollback(k->conn);
    else if (k->opened && dz_pg_in_transaction(k->conn) && !dz_pg_has_failed(k->conn))
        k->opened = dz_pg_later(k->conn, &close, NULL, 0, NULL) == DZ_OK;
    free(k);
}
