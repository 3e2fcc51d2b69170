/*
 * sql: the SQL driver: opening a catalog, and reading series and what belongs to them.
 *
 * In: where the database is, ids. Out: records in the caller's arena, all of one call from one
 * moment. Any thread: each call takes a connection and gives it back. The databases stand behind
 * sql_int.h, batches in sql_write.c, jobs in sql_work.c.
 */
#include "catalog/sql_int.h"

#include <stdlib.h>

enum { ROWS_AT_ONCE = 2000 };

/* ---- rows --------------------------------------------------------------------------------------
 */

enum dz_code dz_sql_copy_str(struct dz_sql_stmt *st, int at, struct dz_text_pool *pool,
                             dz_str *ret_s, struct dz_err *err)
{
    return dz_text_pool_str(pool, dz_sql_str(st, at), ret_s, err);
}

static enum dz_code read_strs(struct dz_sql_stmt *st, struct dz_text_pool *pool, dz_str *const *to,
                              const int *at, size_t n, struct dz_err *err)
{
    for (size_t i = 0; i < n; i++)
        DZ_TRY(dz_sql_copy_str(st, at[i], pool, to[i], err));
    return DZ_OK;
}

enum dz_code dz_sql_read_series(struct dz_sql_stmt *st, struct dz_text_pool *pool,
                                struct dz_series_rec *ret_s, struct dz_err *err)
{
    struct dz_series_rec s = {
        .id = dz_sql_int(st, 0),
        .right_to_left = dz_sql_int(st, 10) != 0,
        .created_s = dz_sql_int(st, 11),
        .updated_s = dz_sql_int(st, 12),
    };
    dz_str *const to[] = {&s.source, &s.source_id, &s.title, &s.description, &s.authors,
                          &s.lang,   &s.status,    &s.url,   &s.new_release};
    static const int at[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    DZ_TRY(read_strs(st, pool, to, at, DZ_LEN(to), err));
    *ret_s = s;
    return DZ_OK;
}

enum dz_code dz_sql_read_chapter(struct dz_sql_stmt *st, struct dz_text_pool *pool,
                                 void *ret_chapter, struct dz_err *err)
{
    struct dz_chapter_rec c = {
        .id = dz_sql_int(st, 0),
        .sort = dz_sql_real(st, 3),
        .volume_cover = dz_sql_int(st, 7) != 0,
        .page_count = (uint32_t)dz_sql_int(st, 8),
        .created_s = dz_sql_int(st, 14),
        .updated_s = dz_sql_int(st, 15),
        .rev = dz_sql_int(st, 16),
    };
    dz_str *const to[] = {&c.source_id, &c.key,        &c.number, &c.volume, &c.title,
                          &c.links,     &c.meta_extra, &c.extra,  &c.origin, &c.origin_stamp};
    static const int at[] = {1, 2, 4, 5, 6, 9, 10, 11, 12, 13};
    DZ_TRY(read_strs(st, pool, to, at, DZ_LEN(to), err));
    *(struct dz_chapter_rec *)ret_chapter = c;
    return DZ_OK;
}

enum dz_code dz_sql_read_blob(struct dz_sql_stmt *st, int at, struct dz_text_pool *pool,
                              struct dz_blob_rec *ret_b, struct dz_err *err)
{
    struct dz_blob_rec b = {
        .bytes = (uint64_t)dz_sql_int(st, at + 1),
        .width = (uint32_t)dz_sql_int(st, at + 2),
        .height = (uint32_t)dz_sql_int(st, at + 3),
    };
    dz_str sha = st->b->column_blob(st, at);
    if (sha.n != sizeof(b.sha.b))
        return dz_fail(err, DZ_CORRUPT, "a blob row without a SHA-256: see `dozo check`");
    memcpy(b.sha.b, sha.p, sizeof(b.sha.b));
    dz_str mime = dz_sql_str(st, at + 4);
    const struct dz_page_type *type = dz_page_type_of(mime);
    b.mime = type ? type->mime : mime;
    if (!type)
        DZ_TRY(dz_text_pool_str(pool, mime, &b.mime, err));
    *ret_b = b;
    return DZ_OK;
}

enum dz_code dz_sql_read_asset(struct dz_sql_stmt *st, struct dz_text_pool *pool,
                               struct dz_asset_rec *ret_f, int64_t *ret_blob_id, struct dz_err *err)
{
    struct dz_asset_rec f = {.mtime_s = dz_sql_int(st, 1)};
    DZ_TRY(dz_sql_copy_str(st, 0, pool, &f.name, err));
    DZ_TRY(dz_sql_read_blob(st, 3, pool, &f.blob, err));
    *ret_blob_id = dz_sql_int(st, 2);
    *ret_f = f;
    return DZ_OK;
}

void dz_sql_pages_done(struct dz_sql_pages *p)
{
    free(p->v);
    free(p->blob_ids);
    *p = (struct dz_sql_pages){0};
}

static void pages_grow(struct dz_sql_pages *p)
{
    p->cap = p->cap ? p->cap * 2 : 64;
    p->v = dz_realloc(p->v, p->cap * sizeof(*p->v));
    p->blob_ids = dz_realloc(p->blob_ids, p->cap * sizeof(*p->blob_ids));
}

/* The row at hand. */
static enum dz_code add_page(struct dz_sql_stmt *st, struct dz_text_pool *pool,
                             struct dz_sql_pages *p, struct dz_err *err)
{
    if (p->n == p->cap)
        pages_grow(p);
    struct dz_page_rec *page = &p->v[p->n];
    *page = (struct dz_page_rec){
        .number = (uint32_t)dz_sql_int(st, 0),
        .mtime_s = dz_sql_int(st, 1),
    };
    p->blob_ids[p->n] = dz_sql_int(st, 3);
    DZ_TRY(dz_sql_copy_str(st, 2, pool, &page->name, err));
    DZ_TRY(dz_sql_read_blob(st, 4, pool, &page->blob, err));
    p->n++;
    return DZ_OK;
}

enum dz_code dz_sql_read_pages(struct dz_sql_conn *c, int64_t chapter_id, struct dz_text_pool *pool,
                               struct dz_sql_pages *p, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(c, DZ_SQL_PAGES, &st, err));
    dz_sql_bind_int(st, 1, chapter_id);
    p->n = 0;
    for (;;) {
        bool row = false;
        DZ_TRY(dz_sql_row(c, st, &row, err));
        if (!row)
            return DZ_OK;
        DZ_TRY(add_page(st, pool, p, err));
    }
}

/* ---- reading -----------------------------------------------------------------------------------
 */

/* Grows an array of `size` bytes an element, kept on the heap until its length is known. */
static void *grown(void *v, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return v;
    *cap = *cap ? *cap * 2 : 32;
    return dz_realloc(v, *cap * size);
}

static enum dz_code arena_copy(struct dz_arena *a, const void *v, size_t bytes, void **ret_p,
                               struct dz_err *err)
{
    DZ_TRY(dz_arena_try(a, bytes, ret_p, err));
    if (bytes)
        memcpy(*ret_p, v, bytes);
    return DZ_OK;
}

void dz_sql_rows_done(struct dz_sql_rows *r)
{
    free(r->v);
}

enum dz_code dz_sql_rows_add(struct dz_sql_rows *r, struct dz_sql_conn *c, struct dz_sql_stmt *st,
                             dz_sql_read_fn *read, struct dz_err *err)
{
    for (;;) {
        bool row = false;
        DZ_TRY(dz_sql_row(c, st, &row, err));
        if (!row)
            return DZ_OK;
        r->v = grown(r->v, r->n, &r->cap, r->size);
        DZ_TRY(read(st, &r->pool, r->v + r->n * r->size, err));
        r->n++;
    }
}

enum dz_code dz_sql_rows_out(const struct dz_sql_rows *r, void *ret_v, size_t *ret_n,
                             struct dz_err *err)
{
    void *copy;
    DZ_TRY(arena_copy(r->pool.arena, r->v, r->n * r->size, &copy, err));
    memcpy(ret_v, &copy, sizeof(copy));
    *ret_n = r->n;
    return DZ_OK;
}

enum dz_code dz_sql_list(struct dz_sql_conn *c, struct dz_sql_stmt *st, struct dz_arena *a,
                         size_t size, dz_sql_read_fn *read, void *ret_v, size_t *ret_n,
                         struct dz_err *err)
{
    DZ_AUTO(dz_sql_rows_done) struct dz_sql_rows r = {.size = size, .pool.arena = a};
    DZ_TRY(dz_sql_rows_add(&r, c, st, read, err));
    return dz_sql_rows_out(&r, ret_v, ret_n, err);
}

size_t dz_sql_group(const struct dz_sql_conn *c, const void *v, size_t at, size_t n,
                    dz_sql_same_fn *same)
{
    size_t end = at + 1;
    if (c->b->dialect == DZ_SQL_SQLITE)
        return 1;
    for (; end < n && end - at < DZ_SQL_IDS; end++)
        for (size_t i = at; i < end; i++)
            if (same(v, i, end))
                return end - at;
    return end - at;
}

static bool same_text(const void *v, size_t i, size_t k)
{
    const dz_str *texts = v;
    return dz_str_eq(texts[i], texts[k]);
}

enum dz_code dz_sql_list_each(struct dz_sql_conn *c, const struct dz_sql_each *each,
                              struct dz_arena *a, size_t size, dz_sql_read_fn *read, void *ret_v,
                              size_t *ret_n, struct dz_err *err)
{
    DZ_AUTO(dz_sql_rows_done) struct dz_sql_rows r = {.size = size, .pool.arena = a};
    for (size_t i = 0, n; i < each->n; i += n) {
        DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
        n = dz_sql_group(c, each->v, i, each->n, same_text);
        DZ_TRY(dz_sql_get(c, n == 1 ? each->which : each->several, &st, err));
        dz_sql_bind_str(st, 1, each->same);
        for (size_t k = 0; k < n; k++)
            dz_sql_bind_str(st, (int)k + 2, each->v[i + k]);
        DZ_TRY(dz_sql_rows_add(&r, c, st, read, err));
    }
    return dz_sql_rows_out(&r, ret_v, ret_n, err);
}

static enum dz_code read_id(struct dz_sql_stmt *st, struct dz_text_pool *pool, void *ret_id,
                            struct dz_err *err)
{
    (void)pool;
    (void)err;
    *(int64_t *)ret_id = dz_sql_int(st, 0);
    return DZ_OK;
}

static enum dz_code series_ids(void *self, struct dz_arena *a, int64_t **ret_ids, size_t *ret_n,
                               struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_get(r.c, DZ_SQL_SERIES_IDS, &st, err));
    return dz_sql_list(r.c, st, a, sizeof(**ret_ids), read_id, ret_ids, ret_n, err);
}

static enum dz_code series_find(void *self, dz_str source, dz_str source_id, int64_t *ret_id,
                                struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_get(r.c, DZ_SQL_SERIES_FIND, &st, err));
    dz_sql_bind_str(st, 1, source);
    dz_sql_bind_str(st, 2, source_id);
    DZ_TRY(dz_sql_row(r.c, st, &row, err));
    if (!row)
        return dz_fail(err, DZ_NOT_FOUND, "no series %.*s of %.*s in the catalog",
                       (int)(source_id.n < 100 ? source_id.n : 100), source_id.p,
                       (int)(source.n < 60 ? source.n : 60), source.p);
    *ret_id = dz_sql_int(st, 0);
    return DZ_OK;
}

static int newest_first(const void *x, const void *y)
{
    const struct dz_chapter_rec *a = x, *b = y;
    return dz_newest_first(a->sort, a->key, b->sort, b->key);
}

static enum dz_code load_all_chapters(struct dz_sql_conn *c, int64_t series_id,
                                      struct dz_sql_rows *to, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(c, DZ_SQL_CHAPTERS, &st, err));
    dz_sql_bind_int(st, 1, series_id);
    return dz_sql_rows_add(to, c, st, dz_sql_read_chapter, err);
}

/* Which chapters the old snapshot has as they are now: a mark for each of its own; and the ids of
 * the others. Reads an index only. */
struct compared {
    bool *is_kept;
    size_t kept_n;
    int64_t *others;
    size_t n, cap;
};

static void compared_done(struct compared *c)
{
    free(c->is_kept);
    free(c->others);
}

static enum dz_code compare(struct dz_sql_conn *c, int64_t series_id, const struct dz_snapshot *old,
                            struct compared *to, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    to->is_kept = dz_zalloc(old->chapters_n + 1);
    DZ_TRY(dz_sql_get(c, DZ_SQL_CHAPTER_REVS, &st, err));
    dz_sql_bind_int(st, 1, series_id);
    for (;;) {
        bool row = false;
        DZ_TRY(dz_sql_row(c, st, &row, err));
        if (!row)
            return DZ_OK;
        int64_t id = dz_sql_int(st, 0), rev = dz_sql_int(st, 1);
        const struct dz_snap_chapter *was = dz_snapshot_chapter_by_id(old, id);
        if (was && was->rev == rev) {
            to->is_kept[was - old->chapters] = true;
            to->kept_n++;
            continue;
        }
        to->others = grown(to->others, to->n, &to->cap, sizeof(*to->others));
        to->others[to->n++] = id;
    }
}

/* The parameters of one statement for several ids; the last one fills what is left, so that it is
 * always the same statement. */
static void bind_ids(struct dz_sql_stmt *st, const int64_t *ids, size_t n)
{
    for (size_t i = 0; i < DZ_SQL_IDS; i++)
        dz_sql_bind_int(st, (int)i + 1, ids[i < n ? i : n - 1]);
}

static size_t at_most(size_t n, size_t max)
{
    return n < max ? n : max;
}

/* They were found in this transaction, so each of them is there. */
static enum dz_code load_some_chapters(struct dz_sql_conn *c, const int64_t *ids, size_t n,
                                       struct dz_sql_rows *to, struct dz_err *err)
{
    for (size_t i = 0; i < n; i += DZ_SQL_IDS) {
        DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
        DZ_TRY(dz_sql_get(c, DZ_SQL_CHAPTERS_OF, &st, err));
        bind_ids(st, ids + i, at_most(n - i, DZ_SQL_IDS));
        DZ_TRY(dz_sql_rows_add(to, c, st, dz_sql_read_chapter, err));
    }
    return DZ_OK;
}

static enum dz_code load_other_chapters(struct dz_sql_conn *c, const struct dz_snapshot *old,
                                        struct dz_sql_rows *to, struct dz_series_full *full,
                                        struct dz_err *err)
{
    DZ_AUTO(compared_done) struct compared with_old = {0};
    DZ_TRY(compare(c, full->series.id, old, &with_old, err));
    DZ_TRY(load_some_chapters(c, with_old.others, with_old.n, to, err));
    dz_assert(to->n == with_old.n);
    void *p;
    DZ_TRY(
        dz_arena_try(to->pool.arena, with_old.kept_n * sizeof(struct dz_snap_chapter *), &p, err));
    full->kept = p;
    for (size_t i = 0; i < old->chapters_n; i++)
        if (with_old.is_kept[i])
            full->kept[full->kept_n++] = &old->chapters[i];
    return DZ_OK;
}

static enum dz_code load_chapters(struct dz_sql_conn *c, const struct dz_snapshot *old,
                                  struct dz_arena *a, struct dz_series_full *full,
                                  struct dz_err *err)
{
    DZ_AUTO(dz_sql_rows_done)
    struct dz_sql_rows read = {.size = sizeof(*full->chapters), .pool.arena = a};
    if (old)
        DZ_TRY(load_other_chapters(c, old, &read, full, err));
    else
        DZ_TRY(load_all_chapters(c, full->series.id, &read, err));
    if (read.n > 1)
        qsort(read.v, read.n, read.size, newest_first);
    return dz_sql_rows_out(&read, &full->chapters, &full->chapters_n, err);
}

static int by_id(const void *x, const void *y)
{
    const struct dz_chapter_rec *const *a = x, *const *b = y;
    return ((*a)->id > (*b)->id) - ((*a)->id < (*b)->id);
}

static enum dz_code keep_pages(struct dz_chapter_rec *ch, struct dz_sql_pages *pages,
                               struct dz_arena *a, struct dz_err *err)
{
    void *copy;
    DZ_TRY(arena_copy(a, pages->v, pages->n * sizeof(*pages->v), &copy, err));
    ch->pages = copy;
    ch->pages_n = pages->n;
    pages->n = 0;
    return DZ_OK;
}

/* Those of at most DZ_SQL_IDS chapters, which ascend by id. */
static enum dz_code load_pages_of(struct dz_sql_conn *c, struct dz_chapter_rec **v, size_t n,
                                  bool many, struct dz_text_pool *pool, struct dz_sql_pages *pages,
                                  struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    int64_t ids[DZ_SQL_IDS];
    size_t at = 0;
    bool row = false;
    for (size_t i = 0; i < n; i++)
        ids[i] = v[i]->id;
    DZ_TRY(dz_sql_get(c, DZ_SQL_PAGES_OF, &st, err));
    bind_ids(st, ids, n);
    st->many = many;
    for (;;) {
        DZ_TRY(dz_sql_row(c, st, &row, err));
        int64_t id = row ? dz_sql_int(st, 9) : INT64_MAX;
        for (; at < n && ids[at] < id; at++)
            DZ_TRY(keep_pages(v[at], pages, pool->arena, err));
        if (!row)
            return DZ_OK;
        DZ_TRY(add_page(st, pool, pages, err));
    }
}

/* In the order of the table, which a cold disk reads several times faster than newest first. Some
 * chapters at a time: a database on another machine answers each question after a while. */
static enum dz_code load_pages(struct dz_sql_conn *c, struct dz_text_pool *pool,
                               struct dz_series_full *full, struct dz_err *err)
{
    DZ_AUTO(dz_sql_pages_done) struct dz_sql_pages pages = {0};
    DZ_AUTO(dz_freep) struct dz_chapter_rec **order = NULL;
    size_t n = full->chapters_n;
    order = dz_alloc((n + 1) * sizeof(struct dz_chapter_rec *));
    for (size_t i = 0; i < n; i++)
        order[i] = &full->chapters[i];
    qsort(order, n, sizeof(struct dz_chapter_rec *), by_id);
    for (size_t i = 0, end; i < n; i = end) {
        uint64_t pages_n = order[i]->page_count;
        for (end = i + 1; end < n && end - i < DZ_SQL_IDS && pages_n < ROWS_AT_ONCE; end++)
            pages_n += order[end]->page_count;
        DZ_TRY(load_pages_of(c, order + i, end - i, pages_n > 2 * ROWS_AT_ONCE, pool, &pages, err));
    }
    return DZ_OK;
}

static enum dz_code read_asset(struct dz_sql_stmt *st, struct dz_text_pool *pool, void *ret_asset,
                               struct dz_err *err)
{
    int64_t blob_id;
    return dz_sql_read_asset(st, pool, ret_asset, &blob_id, err);
}

static enum dz_code load_assets(struct dz_sql_conn *c, int64_t series_id, struct dz_arena *a,
                                struct dz_series_full *full, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_get(c, DZ_SQL_ASSETS, &st, err));
    dz_sql_bind_int(st, 1, series_id);
    return dz_sql_list(c, st, a, sizeof(*full->assets), read_asset, &full->assets, &full->assets_n,
                       err);
}

static enum dz_code load_series(struct dz_sql_conn *c, int64_t series_id, struct dz_text_pool *pool,
                                struct dz_series_rec *ret_s, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sql_get(c, DZ_SQL_SERIES_BY_ID, &st, err));
    dz_sql_bind_int(st, 1, series_id);
    DZ_TRY(dz_sql_row(c, st, &row, err));
    if (!row)
        return dz_fail(err, DZ_NOT_FOUND, "no series %lld in the catalog", (long long)series_id);
    return dz_sql_read_series(st, pool, ret_s, err);
}

static enum dz_code load(struct dz_sql *d, int64_t series_id, const struct dz_snapshot *old,
                         bool with_pages, struct dz_arena *a, struct dz_series_full *ret_full,
                         struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    struct dz_series_full full = {0};
    struct dz_text_pool pool = {.arena = a};
    DZ_TRY(dz_sql_reading_begin(&r, d, DZ_SQL_SNAPSHOT, err));
    DZ_TRY(load_series(r.c, series_id, &pool, &full.series, err));
    /* Links of chapters may be worded with the series' address. */
    if (old && !dz_str_eq(old->series.url, full.series.url))
        old = NULL;
    DZ_TRY(load_chapters(r.c, old, a, &full, err));
    if (with_pages)
        DZ_TRY(load_pages(r.c, &pool, &full, err));
    DZ_TRY(load_assets(r.c, series_id, a, &full, err));
    *ret_full = full;
    return DZ_OK;
}

static enum dz_code load_since(void *self, int64_t series_id, const struct dz_snapshot *old,
                               struct dz_arena *a, struct dz_series_full *ret_full,
                               struct dz_err *err)
{
    return load(self, series_id, old, true, a, ret_full, err);
}

static enum dz_code load_bare(void *self, int64_t series_id, struct dz_arena *a,
                              struct dz_series_full *ret_full, struct dz_err *err)
{
    return load(self, series_id, NULL, false, a, ret_full, err);
}

static enum dz_code read_shelf(struct dz_sql_stmt *st, struct dz_text_pool *pool, void *ret_shelf,
                               struct dz_err *err)
{
    struct dz_shelf_rec s = {.series_id = dz_sql_int(st, 1)};
    DZ_TRY(dz_sql_copy_str(st, 0, pool, &s.name, err));
    *(struct dz_shelf_rec *)ret_shelf = s;
    return DZ_OK;
}

static enum dz_code shelves(void *self, struct dz_arena *a, struct dz_shelf_rec **ret_v,
                            size_t *ret_n, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_get(r.c, DZ_SQL_SHELVES, &st, err));
    return dz_sql_list(r.c, st, a, sizeof(**ret_v), read_shelf, ret_v, ret_n, err);
}

/* Both questions of one moment: else a commit between them would be counted and not listed. */
static enum dz_code ask_changes(struct dz_sql *d, uint64_t since, struct dz_arena *a,
                                int64_t **ret_ids, size_t *ret_n, uint64_t *ret_newest,
                                struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    int64_t newest;
    DZ_TRY(dz_sql_reading_begin(&r, d, DZ_SQL_SNAPSHOT, err));
    DZ_TRY(dz_sql_one(r.c, DZ_SQL_CHANGE_NEWEST, &newest, err));
    DZ_TRY(dz_sql_get(r.c, DZ_SQL_CHANGES, &st, err));
    dz_sql_bind_int(st, 1, since < INT64_MAX ? (int64_t)since : INT64_MAX);
    DZ_TRY(dz_sql_list(r.c, st, a, sizeof(**ret_ids), read_id, ret_ids, ret_n, err));
    *ret_newest = (uint64_t)newest;
    return DZ_OK;
}

/* Whether the newest number is `since` or lower, which is nearly always so. */
static enum dz_code is_unchanged(struct dz_sql *d, uint64_t since, bool *ret_is,
                                 uint64_t *ret_newest, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    int64_t newest;
    DZ_TRY(dz_sql_reading_begin(&r, d, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_one(r.c, DZ_SQL_CHANGE_NEWEST, &newest, err));
    *ret_newest = (uint64_t)newest;
    *ret_is = (uint64_t)newest <= since;
    return DZ_OK;
}

static enum dz_code poll_changes(struct dz_sql *d, uint64_t since, struct dz_arena *a,
                                 int64_t **ret_ids, size_t *ret_n, uint64_t *ret_seq,
                                 struct dz_err *err)
{
    int64_t version = 0;
    bool same = false;
    uint64_t newest = d->poll_newest;
    if (d->b->version) {
        DZ_TRY(d->b->version(d, &version, err));
        same = d->polled && version == d->poll_version && since >= d->poll_newest;
    }
    if (!same)
        DZ_TRY(is_unchanged(d, since, &same, &newest, err));
    if (same) {
        *ret_ids = NULL;
        *ret_n = 0;
    } else {
        DZ_TRY(ask_changes(d, since, a, ret_ids, ret_n, &newest, err));
    }
    /* The version was asked first: a commit since then shows at the next poll. */
    d->polled = true;
    d->poll_version = version;
    d->poll_newest = newest;
    *ret_seq = newest;
    return DZ_OK;
}

static enum dz_code changes(void *self, uint64_t since, struct dz_arena *a, int64_t **ret_ids,
                            size_t *ret_n, uint64_t *ret_seq, struct dz_err *err)
{
    struct dz_sql *d = self;
    pthread_mutex_lock(&d->poll_lock);
    enum dz_code code = poll_changes(d, since, a, ret_ids, ret_n, ret_seq, err);
    pthread_mutex_unlock(&d->poll_lock);
    return code;
}

static enum dz_code counts(void *self, struct dz_catalog_counts *ret_counts, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_get(r.c, DZ_SQL_COUNTS, &st, err));
    DZ_TRY(dz_sql_row(r.c, st, &row, err));
    dz_assert(row);
    uint64_t n[7];
    for (int i = 0; i < (int)DZ_LEN(n); i++)
        n[i] = (uint64_t)dz_sql_int(st, i);
    *ret_counts = (struct dz_catalog_counts){
        .series = n[0],
        .chapters = n[1],
        .pages = n[2],
        .assets = n[3],
        .blobs = n[4],
        .blob_bytes = n[5],
        .shelves = n[6],
    };
    return DZ_OK;
}

static enum dz_code blobs(void *self, dz_blob_row_fn *fn, void *arg, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    DZ_TRY(dz_sql_reading_begin(&r, self, DZ_SQL_ONE, err));
    DZ_TRY(dz_sql_get(r.c, DZ_SQL_BLOBS, &st, err));
    st->many = true;
    for (;;) {
        bool row = false;
        struct dz_blob_rec b;
        struct dz_text_pool pool = {.arena = a};
        DZ_TRY(dz_sql_row(r.c, st, &row, err));
        if (!row)
            return DZ_OK;
        dz_arena_reset(a);
        DZ_TRY(dz_sql_read_blob(st, 0, &pool, &b, err));
        DZ_TRY(fn(arg, &b, (uint64_t)dz_sql_int(st, 5), err));
    }
}

/* ---- waiting -----------------------------------------------------------------------------------
 */

static enum dz_code wait_for_news(void *self, int64_t wait_ms, bool *ret_changed,
                                  struct dz_err *err)
{
    struct dz_sql *d = self;
    if (d->b->wait)
        return d->b->wait(d, wait_ms, ret_changed, err);
    *ret_changed = false;
    return DZ_OK;
}

static bool can_wait(void *self)
{
    return ((struct dz_sql *)self)->b->wait != NULL;
}

/* ---- writers of blobs and repairs --------------------------------------------------------------
 */

static bool is_shared(void *self)
{
    return ((struct dz_sql *)self)->b->lock != NULL;
}

static enum dz_code lock_all(void *self, bool exclusive, void **ret_lock, struct dz_err *err)
{
    struct dz_sql *d = self;
    struct dz_sql_lock *lock = NULL;
    if (d->b->lock)
        DZ_TRY(d->b->lock(d, exclusive, &lock, err));
    *ret_lock = lock;
    return DZ_OK;
}

static enum dz_code lock_check(void *self, struct dz_err *err)
{
    struct dz_sql_lock *lock = self;
    return lock->b->lock_check(lock, err);
}

static void unlock(void *self)
{
    struct dz_sql_lock *lock = self;
    lock->b->unlock(lock);
}

/* ---- open and close ----------------------------------------------------------------------------
 */

static void close_all(void *self)
{
    struct dz_sql *d = self;
    d->b->close(d);
}

static enum dz_code open_all(const struct dz_sql_backend *b, const char *data_dir, const char *uri,
                             void **ret_self, struct dz_err *err)
{
    struct dz_sql *d = NULL;
    DZ_TRY(b->open(data_dir, uri ? uri : "", &d, err));
    enum dz_code code = dz_sql_migrate(d, b->migrations, b->migrations_n, err);
    if (code != DZ_OK) {
        b->close(d);
        return code;
    }
    *ret_self = d;
    return DZ_OK;
}

static enum dz_code open_sqlite(const char *data_dir, const char *uri, void **ret_self,
                                struct dz_err *err)
{
    return open_all(&dz_sql_sqlite, data_dir, uri, ret_self, err);
}

static enum dz_code open_postgres(const char *data_dir, const char *uri, void **ret_self,
                                  struct dz_err *err)
{
    return open_all(&dz_sql_postgres, data_dir, uri, ret_self, err);
}

/* clang-format off */
#define DRIVER(NAME, OPEN)                                                                         \
    {                                                                                              \
        .name = NAME,                                                                              \
        .open = OPEN,                                                                              \
        .close = close_all,                                                                        \
        .series_ids = series_ids,                                                                  \
        .series_find = series_find,                                                                \
        .load_since = load_since,                                                                  \
        .load_bare = load_bare,                                                                    \
        .shelves = shelves,                                                                        \
        .changes = changes,                                                                        \
        .wait = wait_for_news,                                                                     \
        .can_wait = can_wait,                                                                      \
        .is_shared = is_shared,                                                                    \
        .lock = lock_all,                                                                          \
        .lock_check = lock_check,                                                                  \
        .unlock = unlock,                                                                          \
        .counts = counts,                                                                          \
        .blobs = blobs,                                                                            \
        .verify = dz_sql_verify,                                                                   \
        .begin = dz_sql_begin,                                                                     \
        .put_series = dz_sql_put_series,                                                           \
        .put_chapter = dz_sql_put_chapter,                                                         \
        .edit_chapter = dz_sql_edit_chapter,                                                       \
        .del_chapter = dz_sql_del_chapter,                                                         \
        .put_asset = dz_sql_put_asset,                                                             \
        .del_asset = dz_sql_del_asset,                                                             \
        .put_shelf = dz_sql_put_shelf,                                                             \
        .drop_blob = dz_sql_drop_blob,                                                             \
        .part_del = dz_sql_part_del,                                                               \
        .parts_del = dz_sql_parts_del,                                                             \
        .commit = dz_sql_commit,                                                                   \
        .rollback = dz_sql_rollback,                                                               \
        .job_add = dz_sql_job_add,                                                                 \
        .job_take = dz_sql_job_take,                                                               \
        .job_renew = dz_sql_job_renew,                                                             \
        .job_end = dz_sql_job_end,                                                                 \
        .job_cancel = dz_sql_job_cancel,                                                           \
        .jobs = dz_sql_jobs,                                                                       \
        .job_next = dz_sql_job_next,                                                               \
        .jobs_add = dz_sql_jobs_add,                                                               \
        .jobs_find = dz_sql_jobs_find,                                                             \
        .jobs_of = dz_sql_jobs_of,                                                                 \
        .jobs_cancel = dz_sql_jobs_cancel,                                                         \
        .jobs_retry = dz_sql_jobs_retry,                                                           \
        .jobs_forget = dz_sql_jobs_forget,                                                         \
        .jobs_trim = dz_sql_jobs_trim,                                                             \
        .job_counts = dz_sql_job_counts,                                                           \
        .source_counts = dz_sql_source_counts,                                                     \
        .state_put = dz_sql_state_put,                                                             \
        .state_list = dz_sql_state_list,                                                           \
        .pace = dz_sql_pace,                                                                       \
        .part_put = dz_sql_part_put,                                                               \
        .parts = dz_sql_parts,                                                                     \
        .parts_all = dz_sql_parts_all,                                                             \
        .parts_trim = dz_sql_parts_trim,                                                           \
        .marks_put = dz_sql_marks_put,                                                             \
        .marks_del = dz_sql_marks_del,                                                             \
        .marks_of = dz_sql_marks_of,                                                               \
        .marks_of_series = dz_sql_marks_of_series,                                                 \
        .favourite_put = dz_sql_favourite_put,                                                     \
        .favourite_del = dz_sql_favourite_del,                                                     \
        .favourites = dz_sql_favourites,                                                           \
        .blob_crcs = dz_sql_blob_crcs,                                                             \
        .blob_crcs_put = dz_sql_blob_crcs_put,                                                     \
        .uploads_put = dz_sql_uploads_put,                                                         \
        .upload_get = dz_sql_upload_get,                                                           \
        .uploads_del = dz_sql_uploads_del,                                                         \
        .uploads_gone = dz_sql_uploads_gone,                                                       \
        .uploads_all = dz_sql_uploads_all,                                                         \
        .collection_ensure = dz_sql_collection_ensure,                                             \
        .collections = dz_sql_collections,                                                         \
        .collections_rev = dz_sql_collections_rev,                                                 \
        .collection_put = dz_sql_collection_put,                                                   \
        .collection_seen = dz_sql_collection_seen,                                                 \
        .collection_rows = dz_sql_collection_rows,                                                 \
    }
/* clang-format on */

const struct dz_catalog_driver dz_catalog_sqlite = DRIVER("sqlite", open_sqlite);
const struct dz_catalog_driver dz_catalog_postgres = DRIVER("postgres", open_postgres);
