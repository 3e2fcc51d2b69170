/*
 * sql_parts: pages of chapters that are not whole yet.
 *
 * In: what work.c has checked. Out: rows of `part`, each a reference to its blob, counted in the
 * same transaction. A put is a batch of its own; the parts of a chapter go within the batch that
 * stores it. Odd: a part never changes what is known of a blob, because that would give chapters
 * that show it a new revision without a change of their series; the chapter's own batch does it.
 */
#include "catalog/sql_int.h"

static void bind_names(struct dz_sql_stmt *st, dz_str source, dz_str chapter)
{
    dz_sql_bind_str(st, 1, source);
    dz_sql_bind_str(st, 2, chapter);
}

/* ret_blob_id 0: a page that was left out, or no such part, which ret_known tells apart. */
static enum dz_code blob_of_part(struct dz_sql_batch *b, dz_str source, dz_str chapter, uint32_t at,
                                 bool *ret_known, int64_t *ret_blob_id, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sql_get(b->c, DZ_SQL_PART_BLOB, &st, err));
    bind_names(st, source, chapter);
    dz_sql_bind_int(st, 3, at);
    DZ_TRY(dz_sql_row(b->c, st, &row, err));
    *ret_blob_id = row ? dz_sql_int(st, 0) : 0; /* NULL reads as 0 */
    *ret_known = row;
    return DZ_OK;
}

static enum dz_code put_part(struct dz_sql_batch *b, dz_str source, dz_str chapter,
                             const struct dz_part_rec *p, int64_t now_ms, struct dz_err *err)
{
    bool known;
    int64_t was, blob_id = 0;
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(blob_of_part(b, source, chapter, p->at, &known, &was, err));
    if (p->blob.bytes > 0 || p->blob.mime.n > 0)
        DZ_TRY(dz_sql_blob_ref(b, &p->blob, &blob_id, NULL, err));
    DZ_TRY(dz_sql_get_write(b, DZ_SQL_PART_SET, &st, err));
    bind_names(st, source, chapter);
    dz_sql_bind_int(st, 3, p->at);
    dz_sql_bind_str(st, 4, p->url);
    dz_sql_bind_int(st, 5, dz_clip_mtime(p->mtime_s));
    if (blob_id)
        dz_sql_bind_int(st, 6, blob_id);
    dz_sql_bind_int(st, 7, now_ms);
    DZ_TRY(dz_sql_run(b->c, st, err));
    return was ? dz_sql_blob_unref(b, was, err) : DZ_OK;
}

enum dz_code dz_sql_part_put(void *self, dz_str source, dz_str chapter, const struct dz_part_rec *v,
                             size_t n, struct dz_err *err)
{
    struct dz_sql_batch *b;
    int64_t now_ms = dz_now_ms();
    DZ_TRY(dz_sql_begin_call(self, &b, err));
    enum dz_code code = DZ_OK;
    for (size_t i = 0; i < n && code == DZ_OK; i++)
        code = put_part(b, source, chapter, &v[i], now_ms, err);
    return dz_sql_end_call(b, code, err);
}

static enum dz_code read_part(struct dz_sql_stmt *st, struct dz_text_pool *pool, void *ret_part,
                              struct dz_err *err)
{
    struct dz_part_rec p = {
        .at = (uint32_t)dz_sql_int(st, 2),
        .mtime_s = dz_sql_int(st, 4),
        .blob.mime = DZ_S(""),
    };
    DZ_TRY(dz_sql_copy_str(st, 3, pool, &p.url, err));
    if (!dz_sql_is_null(st, 5))
        DZ_TRY(dz_sql_read_blob(st, 5, pool, &p.blob, err));
    *(struct dz_part_rec *)ret_part = p;
    return DZ_OK;
}

enum dz_code dz_sql_parts(void *self, dz_str source, dz_str chapter, struct dz_arena *a,
                          struct dz_part_rec **ret_v, size_t *ret_n, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_get(r.c, DZ_SQL_PARTS, &st, err));
    bind_names(st, source, chapter);
    return dz_sql_list(r.c, st, a, sizeof(**ret_v), read_part, ret_v, ret_n, err);
}

enum dz_code dz_sql_parts_all(void *self, dz_part_fn *fn, void *arg, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_get(r.c, DZ_SQL_PARTS_ALL, &st, err));
    st->many = true;
    for (;;) {
        bool row = false;
        struct dz_part_rec p;
        dz_str source, chapter;
        struct dz_text_pool pool = {.arena = a};
        DZ_TRY(dz_sql_row(r.c, st, &row, err));
        if (!row)
            return DZ_OK;
        dz_arena_reset(a);
        DZ_TRY(dz_sql_copy_str(st, 0, &pool, &source, err));
        DZ_TRY(dz_sql_copy_str(st, 1, &pool, &chapter, err));
        DZ_TRY(read_part(st, &pool, &p, err));
        DZ_TRY(fn(arg, source, chapter, &p, err));
    }
}

static enum dz_code del_part(struct dz_sql_batch *b, dz_str source, dz_str chapter, uint32_t at,
                             struct dz_err *err)
{
    bool known;
    int64_t blob_id;
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(blob_of_part(b, source, chapter, at, &known, &blob_id, err));
    if (!known)
        return dz_fail(err, DZ_NOT_FOUND, "no part %u of chapter %.*s", at,
                       (int)(chapter.n < 120 ? chapter.n : 120), chapter.p);
    DZ_TRY(dz_sql_get_write(b, DZ_SQL_PART_DEL, &st, err));
    bind_names(st, source, chapter);
    dz_sql_bind_int(st, 3, at);
    DZ_TRY(dz_sql_run(b->c, st, err));
    return blob_id ? dz_sql_blob_unref(b, blob_id, err) : DZ_OK;
}

enum dz_code dz_sql_part_del(void *batch, dz_str source, dz_str chapter, uint32_t at,
                             struct dz_err *err)
{
    DZ_TRY(dz_sql_call_begin(batch, err));
    return dz_sql_call_end(batch, del_part(batch, source, chapter, at, err));
}

static enum dz_code del_parts(struct dz_sql_batch *b, dz_str source, dz_str chapter,
                              struct dz_err *err)
{
    static const enum dz_sql_statement steps[] = {DZ_SQL_PARTS_UNREF, DZ_SQL_PARTS_DEL};
    for (size_t i = 0; i < DZ_LEN(steps); i++) {
        struct dz_sql_stmt *st = NULL;
        DZ_TRY(dz_sql_get_write(b, steps[i], &st, err));
        bind_names(st, source, chapter);
        DZ_TRY(dz_sql_run(b->c, st, err));
    }
    return DZ_OK;
}

enum dz_code dz_sql_parts_del(void *batch, dz_str source, dz_str chapter, struct dz_err *err)
{
    DZ_TRY(dz_sql_call_begin(batch, err));
    return dz_sql_call_end(batch, del_parts(batch, source, chapter, err));
}

static enum dz_code trim(struct dz_sql_batch *b, int64_t before_ms, struct dz_err *err)
{
    static const enum dz_sql_statement steps[] = {DZ_SQL_PARTS_OLD_UNREF, DZ_SQL_PARTS_OLD_DEL};
    for (size_t i = 0; i < DZ_LEN(steps); i++) {
        struct dz_sql_stmt *st = NULL;
        DZ_TRY(dz_sql_get_write(b, steps[i], &st, err));
        dz_sql_bind_int(st, 1, before_ms);
        DZ_TRY(dz_sql_run(b->c, st, err));
    }
    return DZ_OK;
}

enum dz_code dz_sql_parts_trim(void *self, int64_t before_ms, struct dz_err *err)
{
    void *batch; /* no call: its first statement takes its time */
    DZ_TRY(dz_sql_begin(self, &batch, err));
    return dz_sql_end_call(batch, trim(batch, before_ms, err), err);
}
