/*
 * sql_uploads: files that somebody has sent.
 *
 * In: what uploads.c has checked. Out: one exclusive transaction a call, durable on return; the
 * callers put many uploads into one call, since each costs a sync. Rows count as uses of their
 * blobs. What was deleted is remembered for a while in upload_gone, whose numbers grow for ever:
 * the newest row always stays. Any thread.
 */
#include "catalog/sql_int.h"

enum { ROW_ARENA = 64 * 1024 };

/* The blob of the upload; false: there is no such upload. */
static enum dz_code blob_of_upload(struct dz_sql_conn *c, dz_str id, bool *ret_there,
                                   int64_t *ret_blob, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sql_get(c, DZ_SQL_UPLOAD_THERE, &st, err));
    dz_sql_bind_str(st, 1, id);
    DZ_TRY(dz_sql_row(c, st, &row, err));
    *ret_there = row;
    *ret_blob = row ? dz_sql_int(st, 0) : 0;
    return DZ_OK;
}

static enum dz_code put_upload(struct dz_sql_batch *b, const struct dz_upload_rec *u, bool *ret_new,
                               struct dz_err *err)
{
    bool there;
    int64_t blob;
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(blob_of_upload(b->c, u->id, &there, &blob, err));
    *ret_new = !there;
    if (there)
        return DZ_OK;
    DZ_TRY(dz_sql_blob_ref(b, &u->blob, &blob, NULL, err));
    DZ_TRY(dz_sql_get_write(b, DZ_SQL_UPLOAD_ADD, &st, err));
    dz_sql_bind_str(st, 1, u->id);
    dz_sql_bind_int(st, 2, blob);
    if (u->mime.p)
        dz_sql_bind_str(st, 3, u->mime);
    else
        dz_sql_bind_null(st, 3);
    dz_sql_bind_str(st, 4, u->blob.mime);
    dz_sql_bind_int(st, 5, u->created_ms);
    return dz_sql_run(b->c, st, err);
}

static enum dz_code end_batch(void *batch, enum dz_code code, struct dz_err *err)
{
    if (code == DZ_OK)
        return dz_sql_commit(batch, NULL, err);
    dz_sql_rollback(batch);
    return code;
}

enum dz_code dz_sql_uploads_put(void *self, const struct dz_upload_rec *v, size_t n, bool *ret_new,
                                struct dz_err *err)
{
    void *batch;
    enum dz_code code = DZ_OK;
    DZ_TRY(dz_sql_begin(self, &batch, err));
    for (size_t i = 0; i < n && code == DZ_OK; i++)
        code = put_upload(batch, &v[i], &ret_new[i], err);
    return end_batch(batch, code, err);
}

static enum dz_code run_id(struct dz_sql_batch *b, enum dz_sql_statement which, dz_str id,
                           struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get_write(b, which, &st, err));
    dz_sql_bind_str(st, 1, id);
    return dz_sql_run(b->c, st, err);
}

static enum dz_code del_upload(struct dz_sql_batch *b, dz_str id, bool *ret_was, struct dz_err *err)
{
    int64_t blob;
    DZ_TRY(blob_of_upload(b->c, id, ret_was, &blob, err));
    if (!*ret_was)
        return DZ_OK;
    DZ_TRY(run_id(b, DZ_SQL_UPLOAD_DEL, id, err));
    DZ_TRY(dz_sql_blob_unref(b, blob, err));
    return run_id(b, DZ_SQL_UPLOAD_GONE_ADD, id, err);
}

static enum dz_code trim_gone(struct dz_sql_batch *b, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get_write(b, DZ_SQL_UPLOAD_GONE_TRIM, &st, err));
    dz_sql_bind_int(st, 1, DZ_UPLOADS_GONE_KEPT);
    return dz_sql_run(b->c, st, err);
}

enum dz_code dz_sql_uploads_del(void *self, const dz_str *ids, size_t n, bool *ret_was,
                                struct dz_err *err)
{
    void *batch;
    enum dz_code code = DZ_OK;
    DZ_TRY(dz_sql_begin(self, &batch, err));
    for (size_t i = 0; i < n && code == DZ_OK; i++)
        code = del_upload(batch, ids[i], &ret_was[i], err);
    if (code == DZ_OK)
        code = trim_gone(batch, err);
    if (code == DZ_OK) /* other processes hold what is gone in memory */
        code = dz_sql_notify(((struct dz_sql_batch *)batch)->c, DZ_SQL_NEWS_CHANGE, err);
    return end_batch(batch, code, err);
}

static enum dz_code read_upload(struct dz_sql_stmt *st, struct dz_text_pool *pool,
                                struct dz_upload_rec *ret_u, struct dz_err *err)
{
    struct dz_upload_rec u = {.created_ms = dz_sql_int(st, 3)};
    dz_str sniffed;
    DZ_TRY(dz_sql_copy_str(st, 0, pool, &u.id, err));
    DZ_TRY(dz_sql_copy_str(st, 1, pool, &u.mime, err));
    if (dz_sql_is_null(st, 1))
        u.mime = (dz_str){NULL, 0};
    else if (!u.mime.p)
        u.mime = DZ_S("");
    DZ_TRY(dz_sql_copy_str(st, 2, pool, &sniffed, err));
    DZ_TRY(dz_sql_read_blob(st, 4, pool, &u.blob, err));
    u.blob.mime = sniffed;
    *ret_u = u;
    return DZ_OK;
}

enum dz_code dz_sql_upload_get(void *self, dz_str id, struct dz_arena *a,
                               struct dz_upload_rec *ret_u, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    struct dz_text_pool pool = {.arena = a};
    bool row = false;
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_get(r.c, DZ_SQL_UPLOAD, &st, err));
    dz_sql_bind_str(st, 1, id);
    DZ_TRY(dz_sql_row(r.c, st, &row, err));
    if (!row)
        return dz_fail(err, DZ_NOT_FOUND, "no upload %.*s", (int)(id.n < 100 ? id.n : 100), id.p);
    return read_upload(st, &pool, ret_u, err);
}

static enum dz_code read_gone(struct dz_sql_stmt *st, struct dz_text_pool *pool, void *ret_id,
                              struct dz_err *err)
{
    return dz_sql_copy_str(st, 1, pool, ret_id, err);
}

static enum dz_code newest_gone(struct dz_sql *d, uint64_t *ret_newest, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    int64_t newest;
    DZ_TRY(dz_sql_reading_begin(&r, d, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_one(r.c, DZ_SQL_UPLOAD_GONE_NEWEST, &newest, err));
    *ret_newest = (uint64_t)newest;
    return DZ_OK;
}

/* The number and the list are of one moment. */
static enum dz_code list_gone(struct dz_sql *d, uint64_t since, struct dz_arena *a,
                              dz_str **ret_ids, size_t *ret_n, bool *ret_more, uint64_t *ret_seq,
                              struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    int64_t newest;
    DZ_TRY(dz_sql_reading_begin(&r, d, DZ_SQL_SNAPSHOT, err));
    DZ_TRY(dz_sql_one(r.c, DZ_SQL_UPLOAD_GONE_NEWEST, &newest, err));
    /* A number from a database that was put back to an older one counts as knowing nothing. */
    *ret_more = since > (uint64_t)newest || (uint64_t)newest - since > DZ_UPLOADS_GONE_KEPT;
    *ret_seq = (uint64_t)newest;
    if (*ret_more)
        return DZ_OK;
    DZ_TRY(dz_sql_get(r.c, DZ_SQL_UPLOADS_GONE, &st, err));
    dz_sql_bind_int(st, 1, (int64_t)since);
    return dz_sql_list(r.c, st, a, sizeof(**ret_ids), read_gone, ret_ids, ret_n, err);
}

enum dz_code dz_sql_uploads_gone(void *self, uint64_t since, struct dz_arena *a, dz_str **ret_ids,
                                 size_t *ret_n, bool *ret_more, uint64_t *ret_seq,
                                 struct dz_err *err)
{
    uint64_t newest;
    DZ_TRY(newest_gone(self, &newest, err));
    *ret_more = false;
    *ret_ids = NULL;
    *ret_n = 0;
    *ret_seq = newest;
    if (since == UINT64_MAX || since == newest)
        return DZ_OK;
    return list_gone(self, since, a, ret_ids, ret_n, ret_more, ret_seq, err);
}

enum dz_code dz_sql_uploads_all(void *self, dz_upload_fn *fn, void *arg, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(ROW_ARENA);
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_get(r.c, DZ_SQL_UPLOADS, &st, err));
    st->many = true;
    for (;;) {
        bool row = false;
        struct dz_upload_rec u;
        DZ_TRY(dz_sql_row(r.c, st, &row, err));
        if (!row)
            return DZ_OK;
        dz_arena_reset(a);
        struct dz_text_pool pool = {.arena = a};
        DZ_TRY(read_upload(st, &pool, &u, err));
        DZ_TRY(fn(arg, &u, err));
    }
}
