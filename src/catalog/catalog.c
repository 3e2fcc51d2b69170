/*
 * catalog: the wrappers in front of the drivers: limits, asserts, and the choice of the driver.
 *
 * In: calls of library and of commands. Out: the driver's answer. Whatever comes from outside is
 * checked here, once, for every driver: lengths, characters, numbers, JSON. Any thread; a batch
 * only on the thread that began it. Odd: times of files are clipped to the years that an HTTP date
 * can say, because a file from 1601 is no reason to refuse a chapter.
 */
#include "catalog/catalog_int.h"

#include <math.h>
#include <pthread.h>

static const struct dz_catalog_driver *const drivers[] = {&dz_catalog_sqlite, &dz_catalog_postgres};

#define MTIME_MAX INT64_C(253402300799) /* the end of 9999 */

struct dz_batch {
    struct dz_catalog *c;
    void *self;
    pthread_t owner;
};

/* ---- checks ------------------------------------------------------------------------------------
 */

enum dz_code dz_check_text(const struct dz_text_check *t, struct dz_err *err)
{
    if (t->s.n > t->max)
        return dz_fail(err, DZ_TOO_LARGE, "%s has %zu bytes, at most %zu are taken", t->field,
                       t->s.n, t->max);
    if (dz_str_chr(t->s, '\0') != DZ_NPOS)
        return dz_fail(err, DZ_BAD_INPUT, "%s holds a zero byte", t->field);
    if (t->rule == DZ_TEXT_UTF8 && !dz_str_is_utf8(t->s))
        return dz_fail(err, DZ_BAD_INPUT, "%s is not UTF-8", t->field);
    return DZ_OK;
}

enum dz_code dz_check_texts(const struct dz_text_check *v, size_t n, struct dz_err *err)
{
    for (size_t i = 0; i < n; i++)
        DZ_TRY(dz_check_text(&v[i], err));
    return DZ_OK;
}

enum dz_code dz_check_records(const char *what, size_t n, struct dz_err *err)
{
    if (n <= DZ_CALL_RECORDS_MAX)
        return DZ_OK;
    return dz_fail(err, DZ_TOO_LARGE, "%zu %s at once, at most %u are taken", n, what,
                   DZ_CALL_RECORDS_MAX);
}

enum dz_code dz_check_blob(const struct dz_blob_rec *b, struct dz_err *err)
{
    if (b->bytes > DZ_BLOB_BYTES_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "a blob of %llu bytes, at most %llu are taken",
                       (unsigned long long)b->bytes, (unsigned long long)DZ_BLOB_BYTES_MAX);
    return dz_check_text(&(struct dz_text_check){"mime", b->mime, DZ_TEXT_MAX, DZ_TEXT_UTF8}, err);
}

static enum dz_code check_series(const struct dz_series_rec *s, struct dz_err *err)
{
    const struct dz_text_check v[] = {
        {"source", s->source, DZ_TEXT_MAX, DZ_TEXT_UTF8},
        {"source_id", s->source_id, DZ_TEXT_MAX, DZ_TEXT_BYTES},
        {"title", s->title, DZ_TEXT_MAX, DZ_TEXT_UTF8},
        {"description", s->description, DZ_LONG_TEXT_MAX, DZ_TEXT_UTF8},
        {"authors", s->authors, DZ_TEXT_MAX, DZ_TEXT_UTF8},
        {"lang", s->lang, DZ_TEXT_MAX, DZ_TEXT_UTF8},
        {"status", s->status, DZ_TEXT_MAX, DZ_TEXT_UTF8},
        {"url", s->url, DZ_TEXT_MAX, DZ_TEXT_UTF8},
        {"new_release", s->new_release, DZ_TEXT_MAX, DZ_TEXT_UTF8},
    };
    DZ_TRY(dz_check_texts(v, DZ_LEN(v), err));
    if (s->id == 0 && (s->source.n == 0 || s->source_id.n == 0))
        return dz_fail(err, DZ_BAD_INPUT, "a series needs a source and a source_id");
    return DZ_OK;
}

enum dz_code dz_check_json(const char *field, dz_str text, const dz_str *reserved, size_t n,
                           struct dz_err *err)
{
    if (text.n == 0)
        return DZ_OK;
    enum dz_code code = dz_members_check(text, reserved, n, err);
    return code == DZ_OK ? DZ_OK : dz_wrap(err, code, "%s", field);
}

static enum dz_code check_chapter_json(const struct dz_chapter_rec *c, struct dz_err *err)
{
    static const dz_str in_metadata[] = {
        {"title", 5}, {"page_count", 10}, {"volume", 6}, {"volume_cover", 12}};
    static const dz_str beside[] = {{"metadata", 8}, {"links", 5}};
    DZ_TRY(dz_check_json("links", c->links, NULL, 0, err));
    DZ_TRY(dz_check_json("meta_extra", c->meta_extra, in_metadata, DZ_LEN(in_metadata), err));
    return dz_check_json("extra", c->extra, beside, DZ_LEN(beside), err);
}

static enum dz_code check_pages(const struct dz_chapter_rec *c, struct dz_err *err)
{
    if (c->pages_n > DZ_CHAPTER_PAGES_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "%zu pages, at most %u are taken", c->pages_n,
                       DZ_CHAPTER_PAGES_MAX);
    uint32_t last = 0;
    for (size_t i = 0; i < c->pages_n; i++) {
        const struct dz_page_rec *p = &c->pages[i];
        if (p->number <= last)
            return dz_fail(err, DZ_BAD_INPUT, "page number %u after %u: they ascend from 1",
                           p->number, last);
        last = p->number;
        enum dz_code code = dz_check_blob(&p->blob, err);
        if (code == DZ_OK)
            code = dz_check_text(
                &(struct dz_text_check){"name", p->name, DZ_TEXT_MAX, DZ_TEXT_BYTES}, err);
        if (code != DZ_OK)
            return dz_wrap(err, code, "page %u", p->number);
    }
    return DZ_OK;
}

static enum dz_code check_chapter(const struct dz_chapter_rec *c, struct dz_err *err)
{
    const struct dz_text_check v[] = {
        {"source_id", c->source_id, DZ_TEXT_MAX, DZ_TEXT_BYTES},
        {"key", c->key, DZ_TEXT_MAX, DZ_TEXT_UTF8},
        {"number", c->number, DZ_TEXT_MAX, DZ_TEXT_UTF8},
        {"volume", c->volume, DZ_TEXT_MAX, DZ_TEXT_UTF8},
        {"title", c->title, DZ_TEXT_MAX, DZ_TEXT_UTF8},
        {"links", c->links, DZ_LONG_TEXT_MAX, DZ_TEXT_UTF8},
        {"meta_extra", c->meta_extra, DZ_LONG_TEXT_MAX, DZ_TEXT_UTF8},
        {"extra", c->extra, DZ_LONG_TEXT_MAX, DZ_TEXT_UTF8},
        {"origin", c->origin, DZ_TEXT_MAX, DZ_TEXT_BYTES},
        {"origin_stamp", c->origin_stamp, DZ_TEXT_MAX, DZ_TEXT_BYTES},
    };
    DZ_TRY(dz_check_texts(v, DZ_LEN(v), err));
    if (c->source_id.n == 0)
        return dz_fail(err, DZ_BAD_INPUT, "source_id is empty");
    if (c->key.n == 0 || dz_str_chr(c->key, '/') != DZ_NPOS)
        return dz_fail(err, DZ_BAD_INPUT, "key is empty or holds a '/'");
    if (!isfinite(c->sort))
        return dz_fail(err, DZ_BAD_INPUT, "sort is not a finite number");
    DZ_TRY(check_chapter_json(c, err));
    return check_pages(c, err);
}

/* Relative, and every component a name. */
static enum dz_code check_asset_name(dz_str name, struct dz_err *err)
{
    DZ_TRY(dz_check_text(&(struct dz_text_check){"name", name, DZ_TEXT_MAX, DZ_TEXT_BYTES}, err));
    for (dz_str rest = name;;) {
        size_t slash = dz_str_chr(rest, '/');
        dz_str part = dz_str_sub(rest, 0, slash);
        if (part.n == 0 || dz_str_eq(part, DZ_S(".")) || dz_str_eq(part, DZ_S("..")))
            return dz_fail(err, DZ_BAD_INPUT, "name \"%.*s\" is not a relative file name",
                           (int)(name.n < 120 ? name.n : 120), name.p);
        if (slash == DZ_NPOS)
            return DZ_OK;
        rest = dz_str_sub(rest, slash + 1, rest.n);
    }
}

int64_t dz_clip_mtime(int64_t s)
{
    return s < 0 ? 0 : s > MTIME_MAX ? MTIME_MAX : s;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static const struct dz_catalog_driver *driver_of(const char *name)
{
    for (size_t i = 0; i < DZ_LEN(drivers); i++)
        if (strcmp(drivers[i]->name, name) == 0)
            return drivers[i];
    return NULL;
}

enum dz_code dz_catalog_open(const char *driver, const char *data_dir, const char *uri,
                             struct dz_catalog **ret_c, struct dz_err *err)
{
    const struct dz_catalog_driver *d = driver_of(driver);
    if (!d) {
        DZ_AUTO(dz_buf_done) struct dz_buf names;
        dz_buf_init(&names, 200);
        for (size_t i = 0; i < DZ_LEN(drivers); i++)
            dz_buf_putf(&names, "%s%s", i ? ", " : "", drivers[i]->name);
        return dz_fail(err, DZ_BAD_INPUT, "no catalog driver %.60s; this binary knows %s", driver,
                       dz_buf_cstr(&names));
    }
    void *self;
    DZ_TRY(d->open(data_dir, uri, &self, err));
    struct dz_catalog *c = dz_new(struct dz_catalog);
    c->driver = d;
    c->self = self;
    c->data_dir = dz_strdup(data_dir ? data_dir : "");
    *ret_c = c;
    return DZ_OK;
}

void dz_catalog_close(struct dz_catalog **cp)
{
    struct dz_catalog *c = dz_take(cp);
    if (!c)
        return;
    c->driver->close(c->self);
    free(c->data_dir);
    free(c);
}

enum dz_code dz_catalog_series_ids(struct dz_catalog *c, struct dz_arena *a, int64_t **ret_ids,
                                   size_t *ret_n, struct dz_err *err)
{
    return c->driver->series_ids(c->self, a, ret_ids, ret_n, err);
}

enum dz_code dz_catalog_series_find(struct dz_catalog *c, dz_str source, dz_str source_id,
                                    int64_t *ret_id, struct dz_err *err)
{
    const struct dz_text_check v[] = {{"source", source, DZ_TEXT_MAX, DZ_TEXT_UTF8},
                                      {"source_id", source_id, DZ_TEXT_MAX, DZ_TEXT_BYTES}};
    DZ_TRY(dz_check_texts(v, DZ_LEN(v), err));
    return c->driver->series_find(c->self, source, source_id, ret_id, err);
}

enum dz_code dz_catalog_load(struct dz_catalog *c, int64_t series_id, struct dz_arena *a,
                             struct dz_series_full *ret_full, struct dz_err *err)
{
    return c->driver->load_since(c->self, series_id, NULL, a, ret_full, err);
}

enum dz_code dz_catalog_load_bare(struct dz_catalog *c, int64_t series_id, struct dz_arena *a,
                                  struct dz_series_full *ret_full, struct dz_err *err)
{
    return c->driver->load_bare(c->self, series_id, a, ret_full, err);
}

enum dz_code dz_catalog_load_since(struct dz_catalog *c, int64_t series_id,
                                   const struct dz_snapshot *old, struct dz_arena *a,
                                   struct dz_series_full *ret_full, struct dz_err *err)
{
    /* Before the 32 bits of a page's index run out, all begin anew. */
    if (old && old->index_next > UINT32_MAX / 2)
        old = NULL;
    return c->driver->load_since(c->self, series_id, old, a, ret_full, err);
}

enum dz_code dz_catalog_shelves(struct dz_catalog *c, struct dz_arena *a,
                                struct dz_shelf_rec **ret_v, size_t *ret_n, struct dz_err *err)
{
    return c->driver->shelves(c->self, a, ret_v, ret_n, err);
}

enum dz_code dz_catalog_changes(struct dz_catalog *c, uint64_t since, struct dz_arena *a,
                                int64_t **ret_ids, size_t *ret_n, uint64_t *ret_seq,
                                struct dz_err *err)
{
    return c->driver->changes(c->self, since, a, ret_ids, ret_n, ret_seq, err);
}

bool dz_catalog_can_wait(struct dz_catalog *c)
{
    return c->driver->can_wait(c->self);
}

enum dz_code dz_catalog_wait(struct dz_catalog *c, int64_t wait_ms, bool *ret_changed,
                             struct dz_err *err)
{
    return c->driver->wait(c->self, wait_ms, ret_changed, err);
}

enum dz_code dz_catalog_counts(struct dz_catalog *c, struct dz_catalog_counts *ret_counts,
                               struct dz_err *err)
{
    return c->driver->counts(c->self, ret_counts, err);
}

enum dz_code dz_catalog_blobs(struct dz_catalog *c, dz_blob_row_fn *fn, void *arg,
                              struct dz_err *err)
{
    return c->driver->blobs(c->self, fn, arg, err);
}

enum dz_code dz_catalog_verify(struct dz_catalog *c, bool repair, dz_problem_fn *fn, void *arg,
                               uint64_t *ret_left, struct dz_err *err)
{
    return c->driver->verify(c->self, repair, fn, arg, ret_left, err);
}

/* ---- writing -----------------------------------------------------------------------------------
 */

enum dz_code dz_batch_begin(struct dz_catalog *c, struct dz_batch **ret_b, struct dz_err *err)
{
    void *self;
    DZ_TRY(c->driver->begin(c->self, &self, err));
    struct dz_batch *b = dz_new(struct dz_batch);
    b->c = c;
    b->self = self;
    b->owner = pthread_self();
    *ret_b = b;
    return DZ_OK;
}

static const struct dz_catalog_driver *owned(const struct dz_batch *b)
{
    dz_assert(pthread_equal(b->owner, pthread_self()));
    return b->c->driver;
}

enum dz_code dz_batch_series(struct dz_batch *b, const struct dz_series_rec *s, int64_t *ret_id,
                             struct dz_err *err)
{
    DZ_TRY(check_series(s, err));
    return owned(b)->put_series(b->self, s, ret_id, err);
}

enum dz_code dz_batch_chapter(struct dz_batch *b, int64_t series_id, const struct dz_chapter_rec *c,
                              int64_t *ret_id, bool *ret_changed, struct dz_err *err)
{
    enum dz_code code = check_chapter(c, err);
    if (code != DZ_OK)
        return dz_wrap(err, code, "chapter %.*s", (int)(c->key.n < 60 ? c->key.n : 60),
                       c->key.n ? c->key.p : "");
    struct dz_chapter_rec clipped = *c;
    DZ_AUTO(dz_freep) struct dz_page_rec *pages = NULL;
    if (c->pages_n > 0) {
        pages = dz_alloc(c->pages_n * sizeof(*pages));
        memcpy(pages, c->pages, c->pages_n * sizeof(*pages));
        for (size_t i = 0; i < c->pages_n; i++)
            pages[i].mtime_s = dz_clip_mtime(pages[i].mtime_s);
        clipped.pages = pages;
    }
    return owned(b)->put_chapter(b->self, series_id, &clipped, ret_id, ret_changed, err);
}

enum dz_code dz_batch_chapter_edit(struct dz_batch *b, const struct dz_chapter_edit *e,
                                   bool *ret_changed, struct dz_err *err)
{
    const struct dz_text_check v[] = {{"title", e->title, DZ_TEXT_MAX, DZ_TEXT_UTF8},
                                      {"volume", e->volume, DZ_TEXT_MAX, DZ_TEXT_UTF8}};
    DZ_TRY(dz_check_texts(v, DZ_LEN(v), err));
    return owned(b)->edit_chapter(b->self, e, ret_changed, err);
}

enum dz_code dz_batch_chapter_del(struct dz_batch *b, int64_t chapter_id, struct dz_err *err)
{
    return owned(b)->del_chapter(b->self, chapter_id, err);
}

enum dz_code dz_batch_asset(struct dz_batch *b, int64_t series_id, const struct dz_asset_rec *f,
                            bool *ret_changed, struct dz_err *err)
{
    DZ_TRY(check_asset_name(f->name, err));
    DZ_TRY(dz_check_blob(&f->blob, err));
    struct dz_asset_rec clipped = *f;
    clipped.mtime_s = dz_clip_mtime(f->mtime_s);
    return owned(b)->put_asset(b->self, series_id, &clipped, ret_changed, err);
}

enum dz_code dz_batch_asset_del(struct dz_batch *b, int64_t series_id, dz_str name,
                                struct dz_err *err)
{
    DZ_TRY(check_asset_name(name, err));
    return owned(b)->del_asset(b->self, series_id, name, err);
}

enum dz_code dz_batch_shelf(struct dz_batch *b, dz_str name, int64_t series_id, struct dz_err *err)
{
    DZ_TRY(
        dz_check_text(&(struct dz_text_check){"shelf name", name, DZ_TEXT_MAX, DZ_TEXT_UTF8}, err));
    if (name.n == 0 || dz_str_chr(name, '/') != DZ_NPOS)
        return dz_fail(err, DZ_BAD_INPUT, "shelf name is empty or holds a '/'");
    return owned(b)->put_shelf(b->self, name, series_id, err);
}

enum dz_code dz_batch_blob_drop(struct dz_batch *b, const struct dz_sha256 *sha, struct dz_err *err)
{
    return owned(b)->drop_blob(b->self, sha, err);
}

enum dz_code dz_batch_part_del(struct dz_batch *b, dz_str source, dz_str chapter, uint32_t at,
                               struct dz_err *err)
{
    DZ_TRY(dz_check_part_of(source, chapter, err));
    return owned(b)->part_del(b->self, source, chapter, at, err);
}

enum dz_code dz_batch_parts_del(struct dz_batch *b, dz_str source, dz_str chapter,
                                struct dz_err *err)
{
    DZ_TRY(dz_check_part_of(source, chapter, err));
    return owned(b)->parts_del(b->self, source, chapter, err);
}

enum dz_code dz_batch_commit(struct dz_batch **bp, uint64_t *ret_seq, struct dz_err *err)
{
    struct dz_batch *b = dz_take(bp);
    enum dz_code code = owned(b)->commit(b->self, ret_seq, err);
    free(b);
    return code;
}

void dz_batch_rollback(struct dz_batch **bp)
{
    struct dz_batch *b = dz_take(bp);
    if (!b)
        return;
    owned(b)->rollback(b->self);
    free(b);
}
