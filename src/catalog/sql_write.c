/*
 * sql_write: batches of the SQL driver.
 *
 * In: records that catalog.c has checked. Out: one exclusive transaction: two writers, also of two
 * processes, meet at its start and not half-way. Pages are compared with what is stored and only
 * what differs is written; reference counts of blobs and the change row of the series follow inside
 * the same transaction. A batch belongs to the thread that began it and holds a connection until
 * the end. Odd: a call that fails after its first write leaves half of it in the transaction, and
 * some failures (memory or disk; any failed statement in PostgreSQL) leave no transaction; the
 * batch is then broken and can only be rolled back. A call that is refused before leaves it usable.
 */
#include "catalog/sql_int.h"

#include <stdlib.h>

enum { BATCH_ARENA = 64 * 1024 * 1024 };

/* ---- begin and end -----------------------------------------------------------------------------
 */

static enum dz_code begin(struct dz_sql *d, enum dz_sql_write kind, struct dz_sql_batch **ret_b,
                          struct dz_err *err)
{
    struct dz_sql_conn *c;
    DZ_TRY(d->b->write_begin(d, kind, &c, err));
    struct dz_sql_batch *b = dz_new(struct dz_sql_batch);
    b->d = d;
    b->c = c;
    b->arena = dz_arena_new(BATCH_ARENA);
    b->now_s = dz_now_ms() / 1000;
    *ret_b = b;
    return DZ_OK;
}

enum dz_code dz_sql_begin(void *self, void **ret_batch, struct dz_err *err)
{
    struct dz_sql_batch *b;
    DZ_TRY(begin(self, DZ_SQL_EXCLUSIVE, &b, err));
    *ret_batch = b;
    return DZ_OK;
}

enum dz_code dz_sql_begin_call(void *self, struct dz_sql_batch **ret_b, struct dz_err *err)
{
    return begin(self, DZ_SQL_EXCLUSIVE_CALL, ret_b, err);
}

void dz_sql_rollback(void *batch)
{
    struct dz_sql_batch *b = batch;
    b->c->b->end(b->c);
    dz_arena_free(&b->arena);
    free(b);
}

static enum dz_code commit(struct dz_sql_batch *b, uint64_t *ret_seq, struct dz_err *err)
{
    int64_t newest = 0;
    if (b->broken)
        return dz_fail(err, DZ_CONFLICT, "nothing was kept: an earlier write of this batch failed");
    if (ret_seq)
        DZ_TRY(dz_sql_one(b->c, DZ_SQL_CHANGE_NEWEST, &newest, err));
    if (b->seq)
        DZ_TRY(dz_sql_notify(b->c, DZ_SQL_NEWS_CHANGE, err));
    if (dz_fault("commit"))
        return dz_fail(err, DZ_IO, "%s: injected fault", b->d->name);
    DZ_TRY(b->c->b->commit(b->c, err));
    if (ret_seq)
        *ret_seq = (uint64_t)newest;
    return DZ_OK;
}

enum dz_code dz_sql_commit(void *batch, uint64_t *ret_seq, struct dz_err *err)
{
    enum dz_code code = commit(batch, ret_seq, err);
    dz_sql_rollback(batch); /* after a commit there is nothing left to roll back */
    return code;
}

enum dz_code dz_sql_end_call(struct dz_sql_batch *b, enum dz_code code, struct dz_err *err)
{
    if (code == DZ_OK)
        return dz_sql_commit(b, NULL, err);
    dz_sql_rollback(b);
    return code;
}

enum dz_code dz_sql_call_begin(struct dz_sql_batch *b, struct dz_err *err)
{
    dz_arena_reset(b->arena);
    b->wrote = false;
    if (b->broken)
        return dz_fail(err, DZ_CONFLICT,
                       "an earlier write of this batch failed: it can only be rolled back");
    return DZ_OK;
}

/* A transaction may have ended by itself: what came before is gone then, and what came after would
 * be durable without it. */
enum dz_code dz_sql_call_end(struct dz_sql_batch *b, enum dz_code code)
{
    b->broken = (code != DZ_OK && b->wrote) || !b->c->b->is_open(b->c);
    return code;
}

/* ---- small steps -------------------------------------------------------------------------------
 */

enum dz_code dz_sql_get_write(struct dz_sql_batch *b, enum dz_sql_statement which,
                              struct dz_sql_stmt **ret_st, struct dz_err *err)
{
    DZ_TRY(dz_sql_get(b->c, which, ret_st, err));
    b->wrote = true;
    return DZ_OK;
}

static enum dz_code get_int(struct dz_sql_batch *b, enum dz_sql_statement which, int64_t n,
                            struct dz_sql_stmt **ret_st, struct dz_err *err)
{
    DZ_TRY(dz_sql_get_write(b, which, ret_st, err));
    dz_sql_bind_int(*ret_st, 1, n);
    return DZ_OK;
}

enum dz_code dz_sql_send_int(struct dz_sql_batch *b, enum dz_sql_statement which, int64_t n,
                             struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(get_int(b, which, n, &st, err));
    return dz_sql_send(b->c, st, err);
}

static enum dz_code get_ints(struct dz_sql_batch *b, enum dz_sql_statement which, int64_t first,
                             int64_t second, struct dz_sql_stmt **ret_st, struct dz_err *err)
{
    DZ_TRY(get_int(b, which, first, ret_st, err));
    dz_sql_bind_int(*ret_st, 2, second);
    return DZ_OK;
}

static enum dz_code need_seq(struct dz_sql_batch *b, struct dz_err *err)
{
    int64_t newest;
    if (b->seq)
        return DZ_OK;
    DZ_TRY(dz_sql_one(b->c, DZ_SQL_CHANGE_NEWEST, &newest, err));
    b->seq = (uint64_t)newest + 1;
    return DZ_OK;
}

static enum dz_code note_change(struct dz_sql_batch *b, int64_t series_id, struct dz_err *err)
{
    struct dz_sql_stmt *set = NULL, *touch = NULL;
    DZ_TRY(need_seq(b, err));
    DZ_TRY(get_ints(b, DZ_SQL_CHANGE_SET, series_id, (int64_t)b->seq, &set, err));
    DZ_TRY(dz_sql_send(b->c, set, err));
    DZ_TRY(get_ints(b, DZ_SQL_SERIES_TOUCH, series_id, b->now_s, &touch, err));
    return dz_sql_run(b->c, touch, err);
}

static void bind_blob(struct dz_sql_stmt *st, const struct dz_blob_rec *blob)
{
    dz_sql_bind_sha(st, 1, &blob->sha);
    dz_sql_bind_int(st, 2, (int64_t)blob->bytes);
    dz_sql_bind_int(st, 3, blob->width);
    dz_sql_bind_int(st, 4, blob->height);
    dz_sql_bind_str(st, 5, blob->mime);
}

enum dz_code dz_sql_blob_ref(struct dz_sql_batch *b, const struct dz_blob_rec *blob,
                             int64_t *ret_id, bool *ret_news, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sql_get_write(b, DZ_SQL_BLOB_REF, &st, err));
    bind_blob(st, blob);
    DZ_TRY(dz_sql_row(b->c, st, &row, err));
    dz_assert(row);
    int64_t id = dz_sql_int(st, 0), bytes = dz_sql_int(st, 1);
    if ((uint64_t)bytes != blob->bytes) {
        char hex[65] = {0};
        dz_hex(blob->sha.b, sizeof(blob->sha.b), hex);
        return dz_fail(err, DZ_CONFLICT, "blob %s has %llu bytes, but %lld in the catalog", hex,
                       (unsigned long long)blob->bytes, (long long)bytes);
    }
    if (ret_news)
        *ret_news = (blob->mime.n > 0 && !dz_str_eq(blob->mime, dz_sql_str(st, 2))) ||
                    (blob->width > 0 && blob->width != dz_sql_int(st, 3)) ||
                    (blob->height > 0 && blob->height != dz_sql_int(st, 4));
    DZ_TRY(dz_sql_row(b->c, st, &row, err));
    *ret_id = id;
    return DZ_OK;
}

enum dz_code dz_sql_blob_ref_later(struct dz_sql_batch *b, const struct dz_blob_rec *blob,
                                   struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get_write(b, DZ_SQL_BLOB_REF, &st, err));
    bind_blob(st, blob);
    return dz_sql_send(b->c, st, err);
}

enum dz_code dz_sql_blob_unref(struct dz_sql_batch *b, int64_t id, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(get_int(b, DZ_SQL_BLOB_UNREF, id, &st, err));
    return dz_sql_run(b->c, st, err);
}

/* What is known of the blob now. */
static enum dz_code blob_know(struct dz_sql_batch *b, int64_t id, const struct dz_blob_rec *blob,
                              struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL, *chapters = NULL;
    DZ_TRY(dz_sql_get_write(b, DZ_SQL_BLOB_KNOW, &st, err));
    dz_sql_bind_int(st, 1, id);
    dz_sql_bind_str(st, 2, blob->mime);
    dz_sql_bind_int(st, 3, blob->width);
    dz_sql_bind_int(st, 4, blob->height);
    DZ_TRY(dz_sql_run(b->c, st, err));
    /* Other chapters that show it show something new. */
    DZ_TRY(need_seq(b, err));
    DZ_TRY(get_ints(b, DZ_SQL_BLOB_CHAPTERS, id, (int64_t)b->seq, &chapters, err));
    return dz_sql_run(b->c, chapters, err);
}

/* Whether `now` says nothing about the blob that is not stored already. */
static bool same_blob(const struct dz_blob_rec *old, const struct dz_blob_rec *now)
{
    return memcmp(&old->sha, &now->sha, sizeof(old->sha)) == 0 &&
           (now->mime.n == 0 || dz_str_eq(old->mime, now->mime)) &&
           (now->width == 0 || now->width == old->width) &&
           (now->height == 0 || now->height == old->height);
}

/* Takes the reference that replaces old (0: none) and gives the old one back. Others follow. */
static enum dz_code blob_swap(struct dz_sql_batch *b, int64_t old_id, const struct dz_blob_rec *now,
                              int64_t *ret_id, struct dz_err *err)
{
    bool news = false;
    DZ_TRY(dz_sql_blob_ref(b, now, ret_id, &news, err));
    if (news)
        DZ_TRY(blob_know(b, *ret_id, now, err));
    if (!old_id)
        return DZ_OK;
    return dz_sql_send_int(b, DZ_SQL_BLOB_UNREF, old_id, err);
}

static enum dz_code no_series(int64_t series_id, struct dz_err *err)
{
    return dz_fail(err, DZ_NOT_FOUND, "no series %lld in the catalog", (long long)series_id);
}

static enum dz_code need_series(struct dz_sql_batch *b, int64_t series_id, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sql_get(b->c, DZ_SQL_SERIES_BY_ID, &st, err));
    dz_sql_bind_int(st, 1, series_id);
    DZ_TRY(dz_sql_row(b->c, st, &row, err));
    return row ? DZ_OK : no_series(series_id, err);
}

/* ---- series ------------------------------------------------------------------------------------
 */

static enum dz_code find_series(struct dz_sql_batch *b, const struct dz_series_rec *s,
                                int64_t *ret_id, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    *ret_id = s->id;
    if (s->id)
        return DZ_OK;
    DZ_TRY(dz_sql_get(b->c, DZ_SQL_SERIES_FIND, &st, err));
    dz_sql_bind_str(st, 1, s->source);
    dz_sql_bind_str(st, 2, s->source_id);
    DZ_TRY(dz_sql_row(b->c, st, &row, err));
    if (row)
        *ret_id = dz_sql_int(st, 0);
    return DZ_OK;
}

static enum dz_code read_series(struct dz_sql_batch *b, int64_t id, struct dz_series_rec *ret_s,
                                struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    struct dz_text_pool pool = {.arena = b->arena};
    bool row = false;
    DZ_TRY(dz_sql_get(b->c, DZ_SQL_SERIES_BY_ID, &st, err));
    dz_sql_bind_int(st, 1, id);
    DZ_TRY(dz_sql_row(b->c, st, &row, err));
    return row ? dz_sql_read_series(st, &pool, ret_s, err) : no_series(id, err);
}

/* Another series that has the name already would fail half-way. */
static enum dz_code series_name_free(struct dz_sql_batch *b, const struct dz_series_rec *s,
                                     int64_t id, struct dz_err *err)
{
    struct dz_series_rec by_name = *s;
    int64_t other;
    by_name.id = 0;
    DZ_TRY(find_series(b, &by_name, &other, err));
    if (other && other != id)
        return dz_fail(err, DZ_CONFLICT, "series %lld has this source and id already",
                       (long long)other);
    return DZ_OK;
}

static enum dz_code write_series(struct dz_sql_batch *b, const struct dz_series_rec *s, int64_t *id,
                                 struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get_write(b, *id ? DZ_SQL_SERIES_SET : DZ_SQL_SERIES_ADD, &st, err));
    const dz_str texts[] = {s->source, s->source_id, s->title, s->description, s->authors,
                            s->lang,   s->status,    s->url,   s->new_release};
    for (int i = 0; i < (int)DZ_LEN(texts); i++)
        dz_sql_bind_str(st, i + 1, texts[i]);
    dz_sql_bind_int(st, 10, s->right_to_left);
    if (*id)
        dz_sql_bind_int(st, 11, *id);
    else
        dz_sql_bind_int(st, 11, b->now_s);
    bool row = false;
    DZ_TRY(dz_sql_run_id(b->c, st, &row, id, err));
    return note_change(b, *id, err);
}

static enum dz_code put_series(struct dz_sql_batch *b, const struct dz_series_rec *s,
                               int64_t *ret_id, struct dz_err *err)
{
    int64_t id;
    struct dz_series_rec now = *s;
    DZ_TRY(find_series(b, s, &id, err));
    if (id) {
        struct dz_series_rec old;
        DZ_TRY(read_series(b, id, &old, err));
        bool same = old.right_to_left == now.right_to_left;
        dz_str *mine[] = {&now.source, &now.source_id, &now.title, &now.description, &now.authors,
                          &now.lang,   &now.status,    &now.url,   &now.new_release};
        const dz_str was[] = {old.source, old.source_id, old.title, old.description, old.authors,
                              old.lang,   old.status,    old.url,   old.new_release};
        for (size_t i = 0; i < DZ_LEN(was); i++) {
            if (mine[i]->n == 0)
                *mine[i] = was[i];
            same = same && dz_str_eq(*mine[i], was[i]);
        }
        if (same) {
            *ret_id = id;
            return DZ_OK;
        }
        DZ_TRY(series_name_free(b, &now, id, err));
    }
    DZ_TRY(write_series(b, &now, &id, err));
    *ret_id = id;
    return DZ_OK;
}

enum dz_code dz_sql_put_series(void *batch, const struct dz_series_rec *s, int64_t *ret_id,
                               struct dz_err *err)
{
    DZ_TRY(dz_sql_call_begin(batch, err));
    return dz_sql_call_end(batch, put_series(batch, s, ret_id, err));
}

/* ---- chapters ----------------------------------------------------------------------------------
 */

/* The stored chapter; id 0: there is none. */
static enum dz_code read_old(struct dz_sql_batch *b, int64_t series_id,
                             const struct dz_chapter_rec *c, struct dz_chapter_rec *ret_old,
                             struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    struct dz_text_pool pool = {.arena = b->arena};
    bool row = false;
    if (c->id) {
        DZ_TRY(dz_sql_get(b->c, DZ_SQL_CHAPTER_BY_ID, &st, err));
        dz_sql_bind_int(st, 1, c->id);
        dz_sql_bind_int(st, 2, series_id);
    } else {
        DZ_TRY(dz_sql_get(b->c, DZ_SQL_CHAPTER_BY_SOURCE, &st, err));
        dz_sql_bind_int(st, 1, series_id);
        dz_sql_bind_str(st, 2, c->source_id);
    }
    DZ_TRY(dz_sql_row(b->c, st, &row, err));
    if (row)
        return dz_sql_read_chapter(st, &pool, ret_old, err);
    if (c->id)
        return dz_fail(err, DZ_NOT_FOUND, "no chapter %lld in series %lld", (long long)c->id,
                       (long long)series_id);
    *ret_old = (struct dz_chapter_rec){0};
    return DZ_OK;
}

static bool same_page(const struct dz_page_rec *a, const struct dz_page_rec *b)
{
    return a->number == b->number && a->mtime_s == b->mtime_s && dz_str_eq(a->name, b->name) &&
           same_blob(&a->blob, &b->blob);
}

static bool same_chapter(const struct dz_chapter_rec *old, const struct dz_sql_pages *pages,
                         const struct dz_chapter_rec *now)
{
    const dz_str was[] = {old->source_id, old->key,        old->number, old->volume, old->title,
                          old->links,     old->meta_extra, old->extra,  old->origin};
    const dz_str is[] = {now->source_id, now->key,        now->number, now->volume, now->title,
                         now->links,     now->meta_extra, now->extra,  now->origin};
    for (size_t i = 0; i < DZ_LEN(was); i++)
        if (!dz_str_eq(was[i], is[i]))
            return false;
    if ((old->title.p == NULL) != (now->title.p == NULL) || old->sort != now->sort ||
        old->volume_cover != now->volume_cover || old->page_count != now->page_count ||
        pages->n != now->pages_n)
        return false;
    for (size_t i = 0; i < now->pages_n; i++)
        if (!same_page(&pages->v[i], &now->pages[i]))
            return false;
    return true;
}

/* The names that the series keeps unique, before the first write. */
static enum dz_code names_free(struct dz_sql_batch *b, int64_t series_id, int64_t id,
                               const struct dz_chapter_rec *c, struct dz_err *err)
{
    struct dz_chapter_rec by_source = {.source_id = c->source_id}, other = {0};
    if (c->id) /* else it was found by its source id, or is new */
        DZ_TRY(read_old(b, series_id, &by_source, &other, err));
    if (other.id && other.id != id)
        return dz_fail(err, DZ_CONFLICT, "chapter %lld of the series has this source id already",
                       (long long)other.id);
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sql_get(b->c, DZ_SQL_CHAPTER_KEY, &st, err));
    dz_sql_bind_int(st, 1, series_id);
    dz_sql_bind_str(st, 2, c->key);
    DZ_TRY(dz_sql_row(b->c, st, &row, err));
    if (!row || dz_sql_int(st, 0) == id)
        return DZ_OK;
    dz_str holder = dz_sql_str(st, 1);
    return dz_fail(err, DZ_CONFLICT, "another chapter has the key %.*s already: %.*s",
                   (int)(c->key.n < 60 ? c->key.n : 60), c->key.p,
                   (int)(holder.n < 100 ? holder.n : 100), holder.p ? holder.p : "");
}

static void bind_chapter(struct dz_sql_stmt *st, int64_t series_id, const struct dz_chapter_rec *c,
                         const struct dz_sql_batch *b, int64_t id)
{
    dz_sql_bind_int(st, 1, series_id);
    dz_sql_bind_str(st, 2, c->source_id);
    dz_sql_bind_str(st, 3, c->key);
    dz_sql_bind_real(st, 4, c->sort);
    dz_sql_bind_str(st, 5, c->number);
    dz_sql_bind_str(st, 6, c->volume);
    if (c->title.p)
        dz_sql_bind_str(st, 7, c->title);
    else
        dz_sql_bind_null(st, 7);
    dz_sql_bind_int(st, 8, c->volume_cover);
    dz_sql_bind_int(st, 9, c->page_count);
    dz_sql_bind_str(st, 10, c->links);
    dz_sql_bind_str(st, 11, c->meta_extra);
    dz_sql_bind_str(st, 12, c->extra);
    dz_sql_bind_str(st, 13, c->origin);
    dz_sql_bind_str(st, 14, c->origin_stamp);
    dz_sql_bind_int(st, 15, b->now_s);
    dz_sql_bind_int(st, 16, (int64_t)b->seq);
    if (id)
        dz_sql_bind_int(st, 17, id);
}

static enum dz_code count_chapter(struct dz_sql_batch *b, int64_t series_id, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(b->c, DZ_SQL_SERIES_MORE, &st, err));
    dz_sql_bind_int(st, 1, series_id);
    dz_sql_bind_int(st, 2, DZ_SERIES_CHAPTERS_MAX);
    DZ_TRY(dz_sql_run(b->c, st, err));
    if (dz_sql_changes(b->c) > 0)
        return DZ_OK;
    DZ_TRY(need_series(b, series_id, err));
    return dz_fail(err, DZ_TOO_LARGE, "series %lld has %u chapters, and no more are taken",
                   (long long)series_id, DZ_SERIES_CHAPTERS_MAX);
}

static enum dz_code write_chapter(struct dz_sql_batch *b, int64_t series_id,
                                  const struct dz_chapter_rec *c, int64_t *id, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(need_seq(b, err));
    if (!*id)
        DZ_TRY(count_chapter(b, series_id, err));
    DZ_TRY(dz_sql_get_write(b, *id ? DZ_SQL_CHAPTER_SET : DZ_SQL_CHAPTER_ADD, &st, err));
    bind_chapter(st, series_id, c, b, *id);
    bool row = false;
    return dz_sql_run_id(b->c, st, &row, id, err);
}

static enum dz_code page_del(struct dz_sql_batch *b, int64_t chapter_id, uint32_t number,
                             int64_t blob_id, struct dz_err *err)
{
    struct dz_sql_stmt *del = NULL;
    DZ_TRY(get_ints(b, DZ_SQL_PAGE_DEL, chapter_id, number, &del, err));
    DZ_TRY(dz_sql_send(b->c, del, err));
    return dz_sql_send_int(b, DZ_SQL_BLOB_UNREF, blob_id, err);
}

/* What is known of a blob in the course of one call. */
struct known {
    struct dz_blob_rec blob;
    int64_t id; /* 0: its row was made in this call, and nobody asked for its number */
};
/* A page that is to be written; old_blob is the reference that it gives back, 0: the page is new.
 */
struct page_change {
    const struct dz_page_rec *page;
    int64_t old_blob;
};
struct page_changes {
    struct page_change *v;
    size_t n;
    struct dz_map known; /* digest → struct known */
};

static void page_changes_done(struct page_changes *p)
{
    free(p->v);
    dz_map_done(&p->known);
}

static dz_str key_of(const struct dz_blob_rec *blob)
{
    return (dz_str){(const char *)blob->sha.b, sizeof(blob->sha.b)};
}

static struct known *note_known(struct dz_sql_batch *b, struct page_changes *p,
                                const struct dz_blob_rec *blob, int64_t id)
{
    struct known *k = dz_arena_alloc(b->arena, sizeof(*k));
    *k = (struct known){*blob, id};
    dz_map_set(&p->known, key_of(&k->blob), k);
    return k;
}

/* The rows of all blobs that the pages show, some at a time. */
static enum dz_code look_up(struct dz_sql_batch *b, struct page_changes *p, struct dz_err *err)
{
    struct dz_text_pool pool = {.arena = b->arena};
    for (size_t i = 0; i < p->n; i += DZ_SQL_IDS) {
        DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
        DZ_TRY(dz_sql_get(b->c, DZ_SQL_BLOBS_OF, &st, err));
        for (size_t k = 0; k < DZ_SQL_IDS; k++)
            dz_sql_bind_sha(st, (int)k + 1, &p->v[i + k < p->n ? i + k : p->n - 1].page->blob.sha);
        for (;;) {
            struct dz_blob_rec blob;
            bool row = false;
            DZ_TRY(dz_sql_row(b->c, st, &row, err));
            if (!row)
                break;
            DZ_TRY(dz_sql_read_blob(st, 0, &pool, &blob, err));
            note_known(b, p, &blob, dz_sql_int(st, 5));
        }
    }
    return DZ_OK;
}

/* One more reference to the page's blob. */
static enum dz_code page_ref(struct dz_sql_batch *b, struct page_changes *p,
                             const struct dz_blob_rec *blob, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    struct known *k = dz_map_get(&p->known, key_of(blob));
    if (k && (k->blob.bytes != blob->bytes || !same_blob(&k->blob, blob))) {
        DZ_TRY(blob_swap(b, 0, blob, &k->id, err));
        k->blob.mime = blob->mime.n ? blob->mime : k->blob.mime;
        k->blob.width = blob->width ? blob->width : k->blob.width;
        k->blob.height = blob->height ? blob->height : k->blob.height;
        return DZ_OK;
    }
    if (k && k->id) {
        DZ_TRY(get_int(b, DZ_SQL_BLOB_MORE, k->id, &st, err));
        return dz_sql_send(b->c, st, err);
    }
    if (!k)
        note_known(b, p, blob, 0);
    return dz_sql_blob_ref_later(b, blob, err);
}

/* All but the blob, which is bound next. */
static enum dz_code get_page_write(struct dz_sql_batch *b, int64_t chapter_id,
                                   const struct page_change *change, struct dz_sql_stmt **ret_st,
                                   struct dz_err *err)
{
    const struct dz_page_rec *page = change->page;
    DZ_TRY(dz_sql_get_write(b, change->old_blob ? DZ_SQL_PAGE_SET : DZ_SQL_PAGE_ADD, ret_st, err));
    dz_sql_bind_int(*ret_st, 1, chapter_id);
    dz_sql_bind_int(*ret_st, 2, page->number);
    dz_sql_bind_int(*ret_st, 4, page->mtime_s);
    dz_sql_bind_str(*ret_st, 5, page->name);
    return DZ_OK;
}

/* Where an answer costs nothing. */
static enum dz_code page_write_now(struct dz_sql_batch *b, int64_t chapter_id,
                                   const struct page_change *change, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    int64_t blob_id;
    DZ_TRY(blob_swap(b, change->old_blob, &change->page->blob, &blob_id, err));
    DZ_TRY(get_page_write(b, chapter_id, change, &st, err));
    dz_sql_bind_int(st, 3, blob_id);
    return dz_sql_run(b->c, st, err);
}

/* Where it is a round trip: nothing is asked, the blob is named by its digest. */
static enum dz_code page_write(struct dz_sql_batch *b, int64_t chapter_id, struct page_changes *p,
                               const struct page_change *change, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(page_ref(b, p, &change->page->blob, err));
    DZ_TRY(get_page_write(b, chapter_id, change, &st, err));
    dz_sql_bind_sha(st, 3, &change->page->blob.sha);
    DZ_TRY(dz_sql_send(b->c, st, err));
    if (!change->old_blob)
        return DZ_OK;
    return dz_sql_send_int(b, DZ_SQL_BLOB_UNREF, change->old_blob, err);
}

/* Both lists ascend by number: one walk over them finds what to take out, to put in and to replace.
 * Others follow. */
static enum dz_code write_pages(struct dz_sql_batch *b, int64_t chapter_id,
                                const struct dz_sql_pages *old, const struct dz_chapter_rec *c,
                                struct dz_err *err)
{
    DZ_AUTO(page_changes_done) struct page_changes p = {0};
    size_t i = 0, k = 0;
    dz_map_init(&p.known);
    p.v = dz_alloc((c->pages_n + 1) * sizeof(*p.v));
    while (i < old->n || k < c->pages_n) {
        const struct dz_page_rec *was = i < old->n ? &old->v[i] : NULL;
        const struct dz_page_rec *is = k < c->pages_n ? &c->pages[k] : NULL;
        if (!is || (was && was->number < is->number)) {
            DZ_TRY(page_del(b, chapter_id, was->number, old->blob_ids[i], err));
            i++;
        } else if (!was || is->number < was->number) {
            p.v[p.n++] = (struct page_change){is, 0};
            k++;
        } else {
            if (!same_page(was, is))
                p.v[p.n++] = (struct page_change){is, old->blob_ids[i]};
            i++;
            k++;
        }
    }
    bool local = dz_sql_is_local(b);
    if (!local)
        DZ_TRY(look_up(b, &p, err));
    for (i = 0; i < p.n; i++)
        DZ_TRY(local ? page_write_now(b, chapter_id, &p.v[i], err)
                     : page_write(b, chapter_id, &p, &p.v[i], err));
    return DZ_OK;
}

static enum dz_code set_stamp(struct dz_sql_batch *b, int64_t id, dz_str stamp, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get_write(b, DZ_SQL_CHAPTER_SET_STAMP, &st, err));
    dz_sql_bind_int(st, 1, id);
    dz_sql_bind_str(st, 2, stamp);
    return dz_sql_run(b->c, st, err);
}

static enum dz_code put_chapter(struct dz_sql_batch *b, int64_t series_id,
                                const struct dz_chapter_rec *c, int64_t *ret_id, bool *ret_changed,
                                struct dz_err *err)
{
    DZ_AUTO(dz_sql_pages_done) struct dz_sql_pages pages = {0};
    struct dz_text_pool pool = {.arena = b->arena};
    struct dz_chapter_rec old;
    DZ_TRY(read_old(b, series_id, c, &old, err));
    if (old.id)
        DZ_TRY(dz_sql_read_pages(b->c, old.id, &pool, &pages, err));
    int64_t id = old.id;
    bool changed = !id || !same_chapter(&old, &pages, c);
    if (changed) {
        DZ_TRY(names_free(b, series_id, id, c, err));
        DZ_TRY(write_chapter(b, series_id, c, &id, err));
        DZ_TRY(write_pages(b, id, &pages, c, err));
        DZ_TRY(note_change(b, series_id, err));
    } else if (!dz_str_eq(old.origin_stamp, c->origin_stamp)) {
        DZ_TRY(set_stamp(b, id, c->origin_stamp, err));
    }
    *ret_id = id;
    *ret_changed = changed;
    return DZ_OK;
}

enum dz_code dz_sql_put_chapter(void *batch, int64_t series_id, const struct dz_chapter_rec *c,
                                int64_t *ret_id, bool *ret_changed, struct dz_err *err)
{
    DZ_TRY(dz_sql_call_begin(batch, err));
    return dz_sql_call_end(batch, put_chapter(batch, series_id, c, ret_id, ret_changed, err));
}

static enum dz_code owner_of(struct dz_sql_batch *b, int64_t chapter_id, int64_t *ret_series_id,
                             struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sql_get(b->c, DZ_SQL_CHAPTER_OWNER, &st, err));
    dz_sql_bind_int(st, 1, chapter_id);
    DZ_TRY(dz_sql_row(b->c, st, &row, err));
    if (!row)
        return dz_fail(err, DZ_NOT_FOUND, "no chapter %lld in the catalog", (long long)chapter_id);
    *ret_series_id = dz_sql_int(st, 0);
    return DZ_OK;
}

static enum dz_code edit_chapter(struct dz_sql_batch *b, const struct dz_chapter_edit *e,
                                 bool *ret_changed, struct dz_err *err)
{
    struct dz_sql_stmt *st = NULL;
    int64_t series_id;
    DZ_TRY(owner_of(b, e->id, &series_id, err));
    DZ_TRY(need_seq(b, err));
    DZ_TRY(dz_sql_get_write(b, DZ_SQL_CHAPTER_EDIT, &st, err));
    dz_sql_bind_int(st, 1, e->id);
    dz_sql_bind_int(st, 2, e->has_title);
    if (e->title.p)
        dz_sql_bind_str(st, 3, e->title);
    dz_sql_bind_int(st, 4, e->has_volume);
    dz_sql_bind_str(st, 5, e->volume);
    dz_sql_bind_int(st, 6, e->has_cover);
    dz_sql_bind_int(st, 7, e->volume_cover);
    dz_sql_bind_int(st, 8, b->now_s);
    dz_sql_bind_int(st, 9, (int64_t)b->seq);
    DZ_TRY(dz_sql_run(b->c, st, err));
    *ret_changed = dz_sql_changes(b->c) == 1;
    return *ret_changed ? note_change(b, series_id, err) : DZ_OK;
}

enum dz_code dz_sql_edit_chapter(void *batch, const struct dz_chapter_edit *e, bool *ret_changed,
                                 struct dz_err *err)
{
    DZ_TRY(dz_sql_call_begin(batch, err));
    return dz_sql_call_end(batch, edit_chapter(batch, e, ret_changed, err));
}

static enum dz_code del_chapter(struct dz_sql_batch *b, int64_t id, struct dz_err *err)
{
    DZ_AUTO(dz_sql_pages_done) struct dz_sql_pages pages = {0};
    struct dz_text_pool pool = {.arena = b->arena};
    const struct dz_chapter_rec no_pages = {0};
    struct dz_sql_stmt *del = NULL, *fewer = NULL;
    int64_t series_id;
    DZ_TRY(owner_of(b, id, &series_id, err));
    DZ_TRY(dz_sql_read_pages(b->c, id, &pool, &pages, err));
    DZ_TRY(write_pages(b, id, &pages, &no_pages, err));
    DZ_TRY(get_int(b, DZ_SQL_CHAPTER_DEL, id, &del, err));
    DZ_TRY(dz_sql_run(b->c, del, err));
    DZ_TRY(get_int(b, DZ_SQL_SERIES_FEWER, series_id, &fewer, err));
    DZ_TRY(dz_sql_run(b->c, fewer, err));
    return note_change(b, series_id, err);
}

enum dz_code dz_sql_del_chapter(void *batch, int64_t chapter_id, struct dz_err *err)
{
    DZ_TRY(dz_sql_call_begin(batch, err));
    return dz_sql_call_end(batch, del_chapter(batch, chapter_id, err));
}

/* ---- assets, shelves, blobs --------------------------------------------------------------------
 */

/* ret_blob_id 0: there is no such asset. */
static enum dz_code read_asset(struct dz_sql_batch *b, int64_t series_id, dz_str name,
                               struct dz_asset_rec *ret_f, int64_t *ret_blob_id, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    struct dz_text_pool pool = {.arena = b->arena};
    bool row = false;
    DZ_TRY(dz_sql_get(b->c, DZ_SQL_ASSET, &st, err));
    dz_sql_bind_int(st, 1, series_id);
    dz_sql_bind_str(st, 2, name);
    DZ_TRY(dz_sql_row(b->c, st, &row, err));
    if (row)
        return dz_sql_read_asset(st, &pool, ret_f, ret_blob_id, err);
    *ret_blob_id = 0;
    return DZ_OK;
}

static enum dz_code put_asset(struct dz_sql_batch *b, int64_t series_id,
                              const struct dz_asset_rec *f, bool *ret_changed, struct dz_err *err)
{
    struct dz_asset_rec old;
    int64_t old_blob, blob_id;
    DZ_TRY(read_asset(b, series_id, f->name, &old, &old_blob, err));
    if (old_blob && old.mtime_s == f->mtime_s && same_blob(&old.blob, &f->blob)) {
        *ret_changed = false;
        return DZ_OK;
    }
    DZ_TRY(need_series(b, series_id, err));
    DZ_TRY(blob_swap(b, old_blob, &f->blob, &blob_id, err));
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get_write(b, DZ_SQL_ASSET_SET, &st, err));
    dz_sql_bind_int(st, 1, series_id);
    dz_sql_bind_str(st, 2, f->name);
    dz_sql_bind_int(st, 3, blob_id);
    dz_sql_bind_int(st, 4, f->mtime_s);
    DZ_TRY(dz_sql_run(b->c, st, err));
    DZ_TRY(note_change(b, series_id, err));
    *ret_changed = true;
    return DZ_OK;
}

enum dz_code dz_sql_put_asset(void *batch, int64_t series_id, const struct dz_asset_rec *f,
                              bool *ret_changed, struct dz_err *err)
{
    DZ_TRY(dz_sql_call_begin(batch, err));
    return dz_sql_call_end(batch, put_asset(batch, series_id, f, ret_changed, err));
}

static enum dz_code del_asset(struct dz_sql_batch *b, int64_t series_id, dz_str name,
                              struct dz_err *err)
{
    struct dz_asset_rec old;
    int64_t old_blob;
    DZ_TRY(read_asset(b, series_id, name, &old, &old_blob, err));
    if (!old_blob)
        return dz_fail(err, DZ_NOT_FOUND, "no file %.*s in series %lld",
                       (int)(name.n < 120 ? name.n : 120), name.p, (long long)series_id);
    struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get_write(b, DZ_SQL_ASSET_DEL, &st, err));
    dz_sql_bind_int(st, 1, series_id);
    dz_sql_bind_str(st, 2, name);
    DZ_TRY(dz_sql_run(b->c, st, err));
    DZ_TRY(dz_sql_blob_unref(b, old_blob, err));
    return note_change(b, series_id, err);
}

enum dz_code dz_sql_del_asset(void *batch, int64_t series_id, dz_str name, struct dz_err *err)
{
    DZ_TRY(dz_sql_call_begin(batch, err));
    return dz_sql_call_end(batch, del_asset(batch, series_id, name, err));
}

/* A shelf that moves changes the series that it leaves as well. */
static enum dz_code put_shelf(struct dz_sql_batch *b, dz_str name, int64_t series_id,
                              struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(need_series(b, series_id, err));
    DZ_TRY(dz_sql_get(b->c, DZ_SQL_SHELF, &st, err));
    dz_sql_bind_str(st, 1, name);
    DZ_TRY(dz_sql_row(b->c, st, &row, err));
    int64_t old = row ? dz_sql_int(st, 0) : 0;
    dz_sql_reset(&st);
    if (old == series_id)
        return DZ_OK;
    struct dz_sql_stmt *set = NULL;
    DZ_TRY(dz_sql_get_write(b, DZ_SQL_SHELF_SET, &set, err));
    dz_sql_bind_str(set, 1, name);
    dz_sql_bind_int(set, 2, series_id);
    DZ_TRY(dz_sql_run(b->c, set, err));
    if (old)
        DZ_TRY(note_change(b, old, err));
    return note_change(b, series_id, err);
}

enum dz_code dz_sql_put_shelf(void *batch, dz_str name, int64_t series_id, struct dz_err *err)
{
    DZ_TRY(dz_sql_call_begin(batch, err));
    return dz_sql_call_end(batch, put_shelf(batch, name, series_id, err));
}

static enum dz_code drop_blob(struct dz_sql_batch *b, const struct dz_sha256 *sha,
                              struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    char hex[65] = {0};
    bool row = false;
    dz_hex(sha->b, sizeof(sha->b), hex);
    DZ_TRY(dz_sql_get(b->c, DZ_SQL_BLOB_REFS, &st, err));
    dz_sql_bind_sha(st, 1, sha);
    DZ_TRY(dz_sql_row(b->c, st, &row, err));
    if (!row)
        return dz_fail(err, DZ_NOT_FOUND, "no blob %s in the catalog", hex);
    if (dz_sql_int(st, 0) > 0)
        return dz_fail(err, DZ_CONFLICT, "blob %s is still used", hex);
    dz_sql_reset(&st);
    struct dz_sql_stmt *del = NULL;
    DZ_TRY(dz_sql_get(b->c, DZ_SQL_BLOB_DEL, &del, err));
    dz_sql_bind_sha(del, 1, sha);
    return dz_sql_run(b->c, del,
                      err); /* one statement: refused by a foreign key it leaves nothing */
}

enum dz_code dz_sql_drop_blob(void *batch, const struct dz_sha256 *sha, struct dz_err *err)
{
    DZ_TRY(dz_sql_call_begin(batch, err));
    return dz_sql_call_end(batch, drop_blob(batch, sha, err));
}
