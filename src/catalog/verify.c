/*
 * verify: whether the SQLite catalog is sound in itself.
 *
 * In: the open database. Out: one line a problem, and with `repair` counts that match again. Four
 * looks: SQLite's own integrity check, foreign keys, reference counts of blobs against pages,
 * assets and parts, chapter counts of series. Without repair a reader is used and nothing waits;
 * with it the write lock is held throughout. Takes seconds for a million pages.
 */
#include "catalog/sqlite_int.h"

struct check {
    struct dz_sq_conn *c;
    bool repair;
    dz_problem_fn *fn;
    void *arg;
    uint64_t left;
};

static void problem(struct check *k, bool mended, struct dz_buf *text)
{
    k->left += mended ? 0 : 1;
    if (mended)
        dz_buf_put(text, DZ_S(": mended"));
    if (k->fn)
        k->fn(k->arg, dz_buf_cstr(text));
}

static enum dz_code check_integrity(struct check *k, struct dz_buf *text, struct dz_err *err)
{
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_get(k->c, DZ_SQ_INTEGRITY, &st, err));
    for (;;) {
        bool row = false;
        DZ_TRY(dz_sq_row(k->c, st, &row, err));
        if (!row)
            return DZ_OK;
        const char *line = (const char *)sqlite3_column_text(st, 0);
        if (line && strcmp(line, "ok") == 0)
            continue;
        dz_buf_clear(text);
        dz_buf_putf(text, "database integrity: %.500s", line ? line : "?");
        problem(k, false, text);
    }
}

static enum dz_code check_foreign_keys(struct check *k, struct dz_buf *text, struct dz_err *err)
{
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_get(k->c, DZ_SQ_FOREIGN_KEYS, &st, err));
    for (;;) {
        bool row = false;
        DZ_TRY(dz_sq_row(k->c, st, &row, err));
        if (!row)
            return DZ_OK;
        const char *child = (const char *)sqlite3_column_text(st, 0);
        const char *parent = (const char *)sqlite3_column_text(st, 2);
        dz_buf_clear(text);
        dz_buf_putf(text, "a row of %.60s refers to a row of %.60s that is not there",
                    child ? child : "?", parent ? parent : "?");
        problem(k, false, text);
    }
}

/* Rows of id, name, what is stored, what is right. */
static enum dz_code check_counts(struct check *k, enum dz_sq_statement find,
                                 enum dz_sq_statement mend, const char *format, struct dz_buf *text,
                                 struct dz_err *err)
{
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_get(k->c, find, &st, err));
    for (;;) {
        bool row = false;
        DZ_TRY(dz_sq_row(k->c, st, &row, err));
        if (!row)
            return DZ_OK;
        const char *name = (const char *)sqlite3_column_text(st, 1);
        dz_buf_clear(text);
        dz_buf_putf(text, format, name ? name : "?", (long long)sqlite3_column_int64(st, 2),
                    (long long)sqlite3_column_int64(st, 3));
        if (k->repair) {
            sqlite3_stmt *set = NULL;
            DZ_TRY(dz_sq_get(k->c, mend, &set, err));
            dz_sq_bind_int(set, 1, sqlite3_column_int64(st, 0));
            DZ_TRY(dz_sq_run(k->c, set, err));
        }
        problem(k, k->repair, text);
    }
}

static enum dz_code check_all(struct check *k, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, 16 * DZ_KIB);
    DZ_TRY(check_integrity(k, &text, err));
    DZ_TRY(check_foreign_keys(k, &text, err));
    DZ_TRY(check_counts(k, DZ_SQ_WRONG_REFS, DZ_SQ_MEND_REFS,
                        "blob %.64s is counted %lld times and used %lld times", &text, err));
    return check_counts(k, DZ_SQ_WRONG_CHAPTERS_N, DZ_SQ_MEND_CHAPTERS_N,
                        "series \"%.200s\" counts %lld chapters and has %lld", &text, err);
}

static enum dz_code repair_all(struct dz_sqlite *d, struct check *k, struct dz_err *err)
{
    DZ_TRY(dz_sq_write_begin(d, err));
    k->c = &d->write;
    enum dz_code code = check_all(k, err);
    if (code == DZ_OK)
        code = dz_sq_run_plain(k->c, DZ_SQ_COMMIT, err);
    dz_sq_write_end(d);
    return code;
}

static enum dz_code only_look(struct dz_sqlite *d, struct check *k, struct dz_err *err)
{
    DZ_TRY(dz_sq_reader_take(d, &k->c, err));
    enum dz_code code = dz_sq_run_plain(k->c, DZ_SQ_BEGIN_READ, err);
    if (code == DZ_OK)
        code = check_all(k, err);
    if (!sqlite3_get_autocommit(k->c->db))
        sqlite3_exec(k->c->db, "ROLLBACK", NULL, NULL, NULL);
    dz_sq_reader_put(d, k->c);
    return code;
}

enum dz_code dz_sq_verify(void *self, bool repair, dz_problem_fn *fn, void *arg, uint64_t *ret_left,
                          struct dz_err *err)
{
    struct check k = {.repair = repair, .fn = fn, .arg = arg};
    DZ_TRY(repair ? repair_all(self, &k, err) : only_look(self, &k, err));
    *ret_left = k.left;
    return DZ_OK;
}
