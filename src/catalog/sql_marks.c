/*
 * sql_marks: marks, favourites and checksums of blobs.
 *
 * In: what marks.c has checked. Out: one short transaction a call, durable on return; lists come
 * from a reader. None of it is a change of a series: no snapshot shows it. Any thread.
 */
#include "catalog/sql_int.h"

/* ---- marks -------------------------------------------------------------------------------------
 */

static enum dz_code put_mark(struct dz_sql_conn *c, const struct dz_mark_rec *m, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(c, m->series.n ? DZ_SQL_MARK_SET : DZ_SQL_MARK_CHANGE, &st, err));
    dz_sql_bind_str(st, 1, m->source);
    dz_sql_bind_str(st, 2, m->chapter);
    dz_sql_bind_str(st, 3, (dz_str){&m->mark, 1});
    if (m->series.n)
        dz_sql_bind_str(st, 4, m->series);
    DZ_TRY(dz_sql_run(c, st, err));
    if (dz_sql_changes(c) == 0)
        return dz_fail(err, DZ_NOT_FOUND, "chapter %.*s has no mark",
                       (int)(m->chapter.n < 120 ? m->chapter.n : 120), m->chapter.p);
    return DZ_OK;
}

enum dz_code dz_sql_marks_put(void *self, const struct dz_mark_rec *v, size_t n, struct dz_err *err)
{
    struct dz_sql_writing w = {.d = self, .kind = DZ_SQL_PLAIN, .several = n > 1};
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        for (size_t i = 0; i < n && code == DZ_OK; i++)
            code = put_mark(w.c, &v[i], &w.err);
    } while (dz_sql_writing_again(&w, &code, err));
    return code;
}

/* A statement whose parameters are a source and an id, for effect. */
static enum dz_code run_ids(struct dz_sql_conn *c, enum dz_sql_statement which, dz_str source,
                            dz_str id, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(c, which, &st, err));
    dz_sql_bind_str(st, 1, source);
    dz_sql_bind_str(st, 2, id);
    return dz_sql_run(c, st, err);
}

enum dz_code dz_sql_marks_del(void *self, const struct dz_mark_rec *v, size_t n, struct dz_err *err)
{
    struct dz_sql_writing w = {.d = self, .kind = DZ_SQL_PLAIN, .several = n > 1};
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        for (size_t i = 0; i < n && code == DZ_OK; i++)
            code = run_ids(w.c, DZ_SQL_MARK_DEL, v[i].source, v[i].chapter, &w.err);
    } while (dz_sql_writing_again(&w, &code, err));
    return code;
}

static enum dz_code read_mark(struct dz_sql_stmt *st, struct dz_text_pool *pool, void *ret_mark,
                              struct dz_err *err)
{
    struct dz_mark_rec m;
    dz_str mark;
    DZ_TRY(dz_sql_copy_str(st, 0, pool, &m.source, err));
    DZ_TRY(dz_sql_copy_str(st, 1, pool, &m.chapter, err));
    DZ_TRY(dz_sql_copy_str(st, 2, pool, &m.series, err));
    DZ_TRY(dz_sql_copy_str(st, 3, pool, &mark, err));
    m.mark = mark.n ? mark.p[0] : 0; /* the schema checks what it is */
    *(struct dz_mark_rec *)ret_mark = m;
    return DZ_OK;
}

enum dz_code dz_sql_marks_of(void *self, dz_str source, const dz_str *chapters, size_t n,
                             struct dz_arena *a, struct dz_mark_rec **ret_v, size_t *ret_n,
                             struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_TRY(dz_sql_reading_begin(&r, self, n > 1 ? DZ_SQL_SNAPSHOT : DZ_SQL_ONE, err));
    const struct dz_sql_each each = {DZ_SQL_MARK, DZ_SQL_MARKS_OF, source, chapters, n};
    return dz_sql_list_each(r.c, &each, a, sizeof(**ret_v), read_mark, ret_v, ret_n, err);
}

enum dz_code dz_sql_marks_of_series(void *self, dz_str source, dz_str series, struct dz_arena *a,
                                    struct dz_mark_rec **ret_v, size_t *ret_n, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    const struct dz_sql_each each = {
        .which = DZ_SQL_MARKS_OF_SERIES, .same = source, .v = &series, .n = 1};
    return dz_sql_list_each(r.c, &each, a, sizeof(**ret_v), read_mark, ret_v, ret_n, err);
}

/* ---- favourites --------------------------------------------------------------------------------
 */

static enum dz_code add_favourite(struct dz_sql_conn *c, dz_str source, dz_str series,
                                  int64_t now_ms, bool *ret_new, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(c, DZ_SQL_FAVOURITE_ADD, &st, err));
    dz_sql_bind_str(st, 1, source);
    dz_sql_bind_str(st, 2, series);
    dz_sql_bind_int(st, 3, now_ms);
    DZ_TRY(dz_sql_run(c, st, err));
    *ret_new = dz_sql_changes(c) == 1;
    return DZ_OK;
}

enum dz_code dz_sql_favourite_put(void *self, dz_str source, dz_str series, int64_t now_ms,
                                  bool *ret_new, struct dz_err *err)
{
    bool is_new = false;
    struct dz_sql_writing w = {.d = self, .kind = DZ_SQL_PLAIN};
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        if (code == DZ_OK)
            code = add_favourite(w.c, source, series, now_ms, &is_new, &w.err);
    } while (dz_sql_writing_again(&w, &code, err));
    DZ_TRY(code);
    *ret_new = is_new;
    return DZ_OK;
}

enum dz_code dz_sql_favourite_del(void *self, dz_str source, dz_str series, bool *ret_was,
                                  struct dz_err *err)
{
    struct dz_sql_writing w = {.d = self, .kind = DZ_SQL_PLAIN};
    bool was = false;
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        if (code == DZ_OK)
            code = run_ids(w.c, DZ_SQL_FAVOURITE_DEL, source, series, &w.err);
        was = code == DZ_OK && dz_sql_changes(w.c) == 1;
    } while (dz_sql_writing_again(&w, &code, err));
    DZ_TRY(code);
    *ret_was = was;
    return DZ_OK;
}

static enum dz_code read_favourite(struct dz_sql_stmt *st, struct dz_text_pool *pool, void *ret_f,
                                   struct dz_err *err)
{
    struct dz_favourite_rec f = {.created_ms = dz_sql_int(st, 2)};
    DZ_TRY(dz_sql_copy_str(st, 0, pool, &f.source, err));
    DZ_TRY(dz_sql_copy_str(st, 1, pool, &f.series, err));
    *(struct dz_favourite_rec *)ret_f = f;
    return DZ_OK;
}

enum dz_code dz_sql_favourites(void *self, dz_str source, struct dz_arena *a,
                               struct dz_favourite_rec **ret_v, size_t *ret_n, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_get(r.c, source.n ? DZ_SQL_FAVOURITES_OF : DZ_SQL_FAVOURITES, &st, err));
    if (source.n)
        dz_sql_bind_str(st, 1, source);
    return dz_sql_list(r.c, st, a, sizeof(**ret_v), read_favourite, ret_v, ret_n, err);
}

/* ---- checksums of blobs ------------------------------------------------------------------------
 */

static enum dz_code read_crc(struct dz_sql_conn *c, const struct dz_sha256 *sha, uint64_t *ret_crc,
                             struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sql_get(c, DZ_SQL_BLOB_CRC, &st, err));
    dz_sql_bind_sha(st, 1, sha);
    DZ_TRY(dz_sql_row(c, st, &row, err));
    bool known = row && !dz_sql_is_null(st, 0);
    *ret_crc = known ? (uint64_t)dz_sql_int(st, 0) : UINT64_MAX;
    return DZ_OK;
}

enum dz_code dz_sql_blob_crcs(void *self, const struct dz_sha256 *v, size_t n, uint64_t *ret_crcs,
                              struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_freep) uint64_t *crcs = dz_alloc(n * sizeof(*crcs));
    DZ_TRY(dz_sql_reading_begin(&r, self, n > 1 ? DZ_SQL_SNAPSHOT : DZ_SQL_ONE, err));
    for (size_t i = 0; i < n; i++)
        DZ_TRY(read_crc(r.c, &v[i], &crcs[i], err));
    memcpy(ret_crcs, crcs, n * sizeof(*crcs));
    return DZ_OK;
}

static enum dz_code put_crc(struct dz_sql_conn *c, const struct dz_sha256 *sha, uint32_t crc,
                            struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(c, DZ_SQL_BLOB_CRC_SET, &st, err));
    dz_sql_bind_sha(st, 1, sha);
    dz_sql_bind_int(st, 2, crc);
    return dz_sql_run(c, st, err);
}

enum dz_code dz_sql_blob_crcs_put(void *self, const struct dz_sha256 *v, const uint32_t *crcs,
                                  size_t n, struct dz_err *err)
{
    struct dz_sql_writing w = {.d = self, .kind = DZ_SQL_EXCLUSIVE}; /* rows of blobs */
    enum dz_code code;
    do {
        code = dz_sql_writing_begin(&w);
        for (size_t i = 0; i < n && code == DZ_OK; i++)
            code = put_crc(w.c, &v[i], crcs[i], &w.err);
    } while (dz_sql_writing_again(&w, &code, err));
    return code;
}
