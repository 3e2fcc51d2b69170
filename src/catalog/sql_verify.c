/*
 * sql_verify: whether the catalog is sound in itself.
 *
 * In: the open database. Out: one line a problem, and with `repair` counts that match again. Three
 * looks: the database's own (SQLite's integrity check and foreign keys), reference counts of blobs
 * against pages, assets, parts and uploads, chapter counts of series. Without repair a reader is
 * used and nothing waits; with it no other writer runs meanwhile. Takes seconds for a million
 * pages.
 */
#include "catalog/sql_int.h"

struct check {
    struct dz_sql_conn *c;
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

static void note(void *arg, const char *line)
{
    struct check *k = arg;
    k->left++;
    if (k->fn)
        k->fn(k->arg, line);
}

/* Rows of id, name, what is stored, what is right. */
static enum dz_code check_counts(struct check *k, enum dz_sql_statement find,
                                 enum dz_sql_statement mend, const char *format,
                                 struct dz_buf *text, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(k->c, find, &st, err));
    for (;;) {
        bool row = false;
        DZ_TRY(dz_sql_row(k->c, st, &row, err));
        if (!row)
            return DZ_OK;
        dz_str name = dz_sql_str(st, 1);
        dz_buf_clear(text);
        dz_buf_putf(text, format, (int)(name.n < 200 ? name.n : 200), name.p,
                    (long long)dz_sql_int(st, 2), (long long)dz_sql_int(st, 3));
        if (k->repair) {
            struct dz_sql_stmt *set = NULL;
            DZ_TRY(dz_sql_get(k->c, mend, &set, err));
            dz_sql_bind_int(set, 1, dz_sql_int(st, 0));
            DZ_TRY(dz_sql_run(k->c, set, err));
        }
        problem(k, k->repair, text);
    }
}

static enum dz_code check_all(struct check *k, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, 16 * DZ_KIB);
    if (k->c->b->check)
        DZ_TRY(k->c->b->check(k->c, note, k, err));
    DZ_TRY(check_counts(k, DZ_SQL_WRONG_REFS, DZ_SQL_MEND_REFS,
                        "blob %.*s is counted %lld times and used %lld times", &text, err));
    return check_counts(k, DZ_SQL_WRONG_CHAPTERS_N, DZ_SQL_MEND_CHAPTERS_N,
                        "series \"%.*s\" counts %lld chapters and has %lld", &text, err);
}

static enum dz_code repair_all(struct dz_sql *d, struct check *k, struct dz_err *err)
{
    struct dz_sql_writing w = {.d = d, .kind = DZ_SQL_EXCLUSIVE};
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        k->c = w.c;
        k->left = 0;
        if (code == DZ_OK)
            code = check_all(k, &w.err);
    } while (dz_sql_writing_again(&w, &code, err));
    return code;
}

static enum dz_code only_look(struct dz_sql *d, struct check *k, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_TRY(dz_sql_reading_begin(&r, d, DZ_SQL_SNAPSHOT, err));
    k->c = r.c;
    return check_all(k, err);
}

enum dz_code dz_sql_verify(void *self, bool repair, dz_problem_fn *fn, void *arg,
                           uint64_t *ret_left, struct dz_err *err)
{
    struct check k = {.repair = repair, .fn = fn, .arg = arg};
    DZ_TRY(repair ? repair_all(self, &k, err) : only_look(self, &k, err));
    *ret_left = k.left;
    return DZ_OK;
}
