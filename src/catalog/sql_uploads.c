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

/* ---- what is there, some ids at a time where an answer is a round trip --------------------------
 */

struct there {
    struct dz_map ids;   /* id → number of its blob */
    struct dz_map blobs; /* digest → bytes; filled by look_at_uploads alone */
};

static void there_done(struct there *t)
{
    dz_map_done(&t->ids);
    dz_map_done(&t->blobs);
}

/* For the next ids: what was written for those before, the next question sees. */
static void there_clear(struct there *t, struct dz_sql_batch *b)
{
    there_done(t);
    dz_arena_reset(b->arena);
}

static void note(struct dz_sql_batch *b, struct dz_map *map, dz_str key, int64_t n)
{
    int64_t *value = dz_arena_alloc(b->arena, sizeof(*value));
    *value = n;
    dz_map_set(map, (dz_str){dz_arena_dup(b->arena, key), key.n}, value);
}

/* Those of the ids at `at` and behind, DZ_SQL_IDS at most. */
static enum dz_code look_at_ids(struct dz_sql_batch *b, struct there *t, const dz_str *ids,
                                size_t at, size_t n, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    there_clear(t, b);
    DZ_TRY(dz_sql_get(b->c, DZ_SQL_UPLOADS_THERE, &st, err));
    for (size_t i = 0; i < DZ_SQL_IDS; i++)
        dz_sql_bind_str(st, (int)i + 1, ids[at + i < n ? at + i : n - 1]);
    for (bool row = true;;) {
        DZ_TRY(dz_sql_row(b->c, st, &row, err));
        if (!row)
            return DZ_OK;
        note(b, &t->ids, dz_sql_str(st, 0), dz_sql_int(st, 1));
    }
}

/* The same with the sizes of the blobs that the records name. */
static enum dz_code look_at_uploads(struct dz_sql_batch *b, struct there *t,
                                    const struct dz_upload_rec *v, size_t at, size_t n,
                                    struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    there_clear(t, b);
    DZ_TRY(dz_sql_get(b->c, DZ_SQL_UPLOAD_FACTS, &st, err));
    for (size_t i = 0; i < DZ_SQL_IDS; i++) {
        const struct dz_upload_rec *u = &v[at + i < n ? at + i : n - 1];
        dz_sql_bind_str(st, (int)i + 1, u->id);
        dz_sql_bind_sha(st, (int)i + 1 + DZ_SQL_IDS, &u->blob.sha);
    }
    for (bool row = true;;) {
        DZ_TRY(dz_sql_row(b->c, st, &row, err));
        if (!row)
            return DZ_OK;
        bool is_blob = dz_sql_is_null(st, 0);
        note(b, is_blob ? &t->blobs : &t->ids, dz_sql_str(st, is_blob), dz_sql_int(st, 2));
    }
}

/* ---- putting ----------------------------------------------------------------------------------
 */

/* All but the blob. */
static enum dz_code get_add(struct dz_sql_batch *b, const struct dz_upload_rec *u,
                            struct dz_sql_stmt **ret_st, struct dz_err *err)
{
    DZ_TRY(dz_sql_get_write(b, DZ_SQL_UPLOAD_ADD, ret_st, err));
    dz_sql_bind_str(*ret_st, 1, u->id);
    if (u->mime.p)
        dz_sql_bind_str(*ret_st, 3, u->mime);
    else
        dz_sql_bind_null(*ret_st, 3);
    dz_sql_bind_str(*ret_st, 4, u->blob.mime);
    dz_sql_bind_int(*ret_st, 5, u->created_ms);
    return DZ_OK;
}

static enum dz_code put_now(struct dz_sql_batch *b, const struct dz_upload_rec *u, bool *ret_new,
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
    DZ_TRY(get_add(b, u, &st, err));
    dz_sql_bind_int(st, 2, blob);
    return dz_sql_run(b->c, st, err);
}

/* Nothing is asked, the blob is named by its digest. */
static enum dz_code put_later(struct dz_sql_batch *b, struct there *t,
                              const struct dz_upload_rec *u, bool *ret_new, struct dz_err *err)
{
    dz_str sha = {(const char *)u->blob.sha.b, sizeof(u->blob.sha.b)};
    struct dz_sql_stmt *st = NULL;
    *ret_new = !dz_map_get(&t->ids, u->id);
    if (!*ret_new)
        return DZ_OK;
    const int64_t *bytes = dz_map_get(&t->blobs, sha);
    if (bytes && (uint64_t)*bytes != u->blob.bytes) {
        int64_t blob;
        return dz_sql_blob_ref(b, &u->blob, &blob, NULL, err); /* says what is wrong */
    }
    DZ_TRY(dz_sql_blob_ref_later(b, &u->blob, err));
    DZ_TRY(get_add(b, u, &st, err));
    dz_sql_bind_sha(st, 2, &u->blob.sha);
    note(b, &t->ids, u->id, 0);
    note(b, &t->blobs, sha, (int64_t)u->blob.bytes);
    return dz_sql_send(b->c, st, err);
}

static enum dz_code put_uploads(struct dz_sql_batch *b, const struct dz_upload_rec *v, size_t n,
                                bool *ret_new, struct dz_err *err)
{
    DZ_AUTO(there_done) struct there t = {0};
    for (size_t i = 0; i < n; i++) {
        if (dz_sql_is_local(b)) {
            DZ_TRY(put_now(b, &v[i], &ret_new[i], err));
            continue;
        }
        if (i % DZ_SQL_IDS == 0)
            DZ_TRY(look_at_uploads(b, &t, v, i, n, err));
        DZ_TRY(put_later(b, &t, &v[i], &ret_new[i], err));
    }
    return DZ_OK;
}

enum dz_code dz_sql_uploads_put(void *self, const struct dz_upload_rec *v, size_t n, bool *ret_new,
                                struct dz_err *err)
{
    struct dz_sql_batch *b;
    DZ_TRY(dz_sql_begin_call(self, &b, err));
    return dz_sql_end_call(b, put_uploads(b, v, n, ret_new, err), err);
}

/* ---- deleting ---------------------------------------------------------------------------------
 */

static enum dz_code send_id(struct dz_sql_batch *b, enum dz_sql_statement which, dz_str id,
                            struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get_write(b, which, &st, err));
    dz_sql_bind_str(st, 1, id);
    return dz_sql_send(b->c, st, err);
}

static enum dz_code find(struct dz_sql_batch *b, struct there *t, const dz_str *ids, size_t at,
                         size_t n, bool *ret_was, int64_t *ret_blob, struct dz_err *err)
{
    if (dz_sql_is_local(b))
        return blob_of_upload(b->c, ids[at], ret_was, ret_blob, err);
    if (at % DZ_SQL_IDS == 0)
        DZ_TRY(look_at_ids(b, t, ids, at, n, err));
    const int64_t *blob = dz_map_del(&t->ids, ids[at]);
    *ret_was = blob != NULL;
    *ret_blob = blob ? *blob : 0;
    return DZ_OK;
}

static enum dz_code del_uploads(struct dz_sql_batch *b, const dz_str *ids, size_t n, bool *ret_was,
                                struct dz_err *err)
{
    DZ_AUTO(there_done) struct there t = {0};
    for (size_t i = 0; i < n; i++) {
        int64_t blob;
        DZ_TRY(find(b, &t, ids, i, n, &ret_was[i], &blob, err));
        if (!ret_was[i])
            continue;
        DZ_TRY(send_id(b, DZ_SQL_UPLOAD_DEL, ids[i], err));
        DZ_TRY(dz_sql_send_int(b, DZ_SQL_BLOB_UNREF, blob, err));
        DZ_TRY(send_id(b, DZ_SQL_UPLOAD_GONE_ADD, ids[i], err));
    }
    DZ_TRY(dz_sql_send_int(b, DZ_SQL_UPLOAD_GONE_TRIM, DZ_UPLOADS_GONE_KEPT, err));
    /* Other processes hold what is gone in memory. */
    return dz_sql_notify(b->c, DZ_SQL_NEWS_CHANGE, err);
}

enum dz_code dz_sql_uploads_del(void *self, const dz_str *ids, size_t n, bool *ret_was,
                                struct dz_err *err)
{
    struct dz_sql_batch *b;
    DZ_TRY(dz_sql_begin_call(self, &b, err));
    return dz_sql_end_call(b, del_uploads(b, ids, n, ret_was, err), err);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

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
