/*
 * sqlite_parts: pages of chapters that are not whole yet, in SQLite.
 *
 * In: what work.c has checked. Out: rows of `part`, each a reference to its blob, counted in the
 * same transaction. A put is a batch of its own; the parts of a chapter go within the batch that
 * stores it. Odd: a part never changes what is known of a blob, because that would give chapters
 * that show it a new revision without a change of their series; the chapter's own batch does it.
 */
#include "catalog/sqlite_int.h"

static void bind_names(sqlite3_stmt *st, dz_str source, dz_str chapter)
{
    dz_sq_bind_str(st, 1, source);
    dz_sq_bind_str(st, 2, chapter);
}

/* ret_blob_id 0: a page that was left out, or no such part, which ret_known tells apart. */
static enum dz_code blob_of_part(struct dz_sq_batch *b, dz_str source, dz_str chapter, uint32_t at,
                                 bool *ret_known, int64_t *ret_blob_id, struct dz_err *err)
{
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sq_get(b->c, DZ_SQ_PART_BLOB, &st, err));
    bind_names(st, source, chapter);
    dz_sq_bind_int(st, 3, at);
    DZ_TRY(dz_sq_row(b->c, st, &row, err));
    *ret_blob_id = row ? sqlite3_column_int64(st, 0) : 0; /* NULL reads as 0 */
    *ret_known = row;
    return DZ_OK;
}

static enum dz_code put_part(struct dz_sq_batch *b, dz_str source, dz_str chapter,
                             const struct dz_part_rec *p, int64_t now_ms, struct dz_err *err)
{
    bool known;
    int64_t was, blob_id = 0;
    sqlite3_stmt *st = NULL;
    DZ_TRY(blob_of_part(b, source, chapter, p->at, &known, &was, err));
    if (p->blob.bytes > 0 || p->blob.mime.n > 0)
        DZ_TRY(dz_sq_blob_ref(b, &p->blob, &blob_id, err));
    DZ_TRY(dz_sq_get_write(b, DZ_SQ_PART_SET, &st, err));
    bind_names(st, source, chapter);
    dz_sq_bind_int(st, 3, p->at);
    dz_sq_bind_str(st, 4, p->url);
    dz_sq_bind_int(st, 5, dz_clip_mtime(p->mtime_s));
    if (blob_id)
        dz_sq_bind_int(st, 6, blob_id);
    dz_sq_bind_int(st, 7, now_ms);
    DZ_TRY(dz_sq_run(b->c, st, err));
    return was ? dz_sq_blob_unref(b, was, err) : DZ_OK;
}

enum dz_code dz_sq_part_put(void *self, dz_str source, dz_str chapter, const struct dz_part_rec *v,
                            size_t n, struct dz_err *err)
{
    void *batch;
    int64_t now_ms = dz_now_ms();
    DZ_TRY(dz_sq_begin(self, &batch, err));
    enum dz_code code = DZ_OK;
    for (size_t i = 0; i < n && code == DZ_OK; i++)
        code = put_part(batch, source, chapter, &v[i], now_ms, err);
    if (code == DZ_OK)
        return dz_sq_commit(batch, NULL, err);
    dz_sq_rollback(batch);
    return code;
}

static enum dz_code read_part(sqlite3_stmt *st, struct dz_text_pool *pool, void *ret_part,
                              struct dz_err *err)
{
    struct dz_part_rec p = {
        .at = (uint32_t)sqlite3_column_int64(st, 2),
        .mtime_s = sqlite3_column_int64(st, 4),
        .blob.mime = DZ_S(""),
    };
    DZ_TRY(dz_sq_str(st, 3, pool, &p.url, err));
    if (sqlite3_column_type(st, 5) != SQLITE_NULL)
        DZ_TRY(dz_sq_read_blob(st, 5, pool, &p.blob, err));
    *(struct dz_part_rec *)ret_part = p;
    return DZ_OK;
}

enum dz_code dz_sq_parts(void *self, dz_str source, dz_str chapter, struct dz_arena *a,
                         struct dz_part_rec **ret_v, size_t *ret_n, struct dz_err *err)
{
    DZ_AUTO(dz_sq_reading_done) struct dz_sq_reading r = {0};
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    DZ_TRY(dz_sq_reading_begin(&r, self, err));
    DZ_TRY(dz_sq_get(r.c, DZ_SQ_PARTS, &st, err));
    bind_names(st, source, chapter);
    return dz_sq_list(r.c, st, a, sizeof(**ret_v), read_part, ret_v, ret_n, err);
}

enum dz_code dz_sq_parts_all(void *self, dz_part_fn *fn, void *arg, struct dz_err *err)
{
    DZ_AUTO(dz_sq_reading_done) struct dz_sq_reading r = {0};
    DZ_AUTO(dz_sq_reset) sqlite3_stmt *st = NULL;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    DZ_TRY(dz_sq_reading_begin(&r, self, err));
    DZ_TRY(dz_sq_get(r.c, DZ_SQ_PARTS_ALL, &st, err));
    for (;;) {
        bool row = false;
        struct dz_part_rec p;
        dz_str source, chapter;
        struct dz_text_pool pool = {.arena = a};
        DZ_TRY(dz_sq_row(r.c, st, &row, err));
        if (!row)
            return DZ_OK;
        dz_arena_reset(a);
        DZ_TRY(dz_sq_str(st, 0, &pool, &source, err));
        DZ_TRY(dz_sq_str(st, 1, &pool, &chapter, err));
        DZ_TRY(read_part(st, &pool, &p, err));
        DZ_TRY(fn(arg, source, chapter, &p, err));
    }
}

static enum dz_code del_part(struct dz_sq_batch *b, dz_str source, dz_str chapter, uint32_t at,
                             struct dz_err *err)
{
    bool known;
    int64_t blob_id;
    sqlite3_stmt *st = NULL;
    DZ_TRY(blob_of_part(b, source, chapter, at, &known, &blob_id, err));
    if (!known)
        return dz_fail(err, DZ_NOT_FOUND, "no part %u of chapter %.*s", at,
                       (int)(chapter.n < 120 ? chapter.n : 120), chapter.p);
    DZ_TRY(dz_sq_get_write(b, DZ_SQ_PART_DEL, &st, err));
    bind_names(st, source, chapter);
    dz_sq_bind_int(st, 3, at);
    DZ_TRY(dz_sq_run(b->c, st, err));
    return blob_id ? dz_sq_blob_unref(b, blob_id, err) : DZ_OK;
}

enum dz_code dz_sq_part_del(void *batch, dz_str source, dz_str chapter, uint32_t at,
                            struct dz_err *err)
{
    DZ_TRY(dz_sq_call_begin(batch, err));
    return dz_sq_call_end(batch, del_part(batch, source, chapter, at, err));
}

static enum dz_code del_parts(struct dz_sq_batch *b, dz_str source, dz_str chapter,
                              struct dz_err *err)
{
    static const enum dz_sq_statement steps[] = {DZ_SQ_PARTS_UNREF, DZ_SQ_PARTS_DEL};
    for (size_t i = 0; i < DZ_LEN(steps); i++) {
        sqlite3_stmt *st = NULL;
        DZ_TRY(dz_sq_get_write(b, steps[i], &st, err));
        bind_names(st, source, chapter);
        DZ_TRY(dz_sq_run(b->c, st, err));
    }
    return DZ_OK;
}

enum dz_code dz_sq_parts_del(void *batch, dz_str source, dz_str chapter, struct dz_err *err)
{
    DZ_TRY(dz_sq_call_begin(batch, err));
    return dz_sq_call_end(batch, del_parts(batch, source, chapter, err));
}

static enum dz_code trim(struct dz_sq_batch *b, int64_t before_ms, struct dz_err *err)
{
    static const enum dz_sq_statement steps[] = {DZ_SQ_PARTS_OLD_UNREF, DZ_SQ_PARTS_OLD_DEL};
    for (size_t i = 0; i < DZ_LEN(steps); i++) {
        sqlite3_stmt *st = NULL;
        DZ_TRY(dz_sq_get_write(b, steps[i], &st, err));
        dz_sq_bind_int(st, 1, before_ms);
        DZ_TRY(dz_sq_run(b->c, st, err));
    }
    return DZ_OK;
}

enum dz_code dz_sq_parts_trim(void *self, int64_t before_ms, struct dz_err *err)
{
    void *batch;
    DZ_TRY(dz_sq_begin(self, &batch, err));
    enum dz_code code = trim(batch, before_ms, err);
    if (code == DZ_OK)
        return dz_sq_commit(batch, NULL, err);
    dz_sq_rollback(batch);
    return code;
}
