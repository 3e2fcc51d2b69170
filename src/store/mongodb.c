/*
 * mongodb: blobs and named objects as documents of MongoDB, as imoog keeps its files.
 *
 * This file: opening, what the driver's table asks of rows, and the lists. A list goes through the
 * names in order, a page at a time, and lets go of its connection before it tells a page, so that
 * who listens may use the store; the index of the same names is read beside it. Any thread.
 */
#include "store/mongodb_int.h"

#include <stdlib.h>

#define PAGE_ROWS 16384
#define SAME_BYTES_MAX 16 /* named objects that are tried for one digest */

static void mongodb_close(void *self)
{
    mongo_disconnect(self);
    free(self);
}

static enum dz_code mongodb_open(const struct dz_store_options *o, void **ret_self,
                                 struct dz_err *err)
{
    struct mongo *m = dz_new(struct mongo);
    enum dz_code code = mongo_connect(m, o, err);
    if (code != DZ_OK) {
        mongodb_close(m);
        return code;
    }
    *ret_self = m;
    return DZ_OK;
}

/* ---- by digest ---------------------------------------------------------------------------------
 */

static enum dz_code not_found(dz_str name, struct dz_err *err)
{
    return dz_fail(err, DZ_NOT_FOUND, "no blob %.*s", DZ_STR_FMT(name));
}

/* A named object with these bytes; ret_body may be NULL. */
static enum dz_code find_named(struct mongo_use *u, const struct dz_sha256 *sha, uint64_t bytes_max,
                               struct dz_blob_stat *ret_stat, struct dz_body **ret_body,
                               struct dz_err *err)
{
    DZ_AUTO(mongo_found_done) struct mongo_found f = {NULL, NULL};
    bson_t filter = BSON_INITIALIZER;
    bson_append_binary(&filter, "sha", 3, BSON_SUBTYPE_BINARY, sha->b, sizeof sha->b);
    enum dz_code code =
        mongo_find_many(u, MONGO_INDEX, &filter, NULL, false, SAME_BYTES_MAX, &f, err);
    bson_destroy(&filter);
    while (code == DZ_OK && f.doc) {
        bson_iter_t at;
        uint32_t n = 0;
        dz_str name = {NULL, 0};
        if (bson_iter_init_find(&at, f.doc, "_id") && BSON_ITER_HOLDS_UTF8(&at)) {
            name.p = bson_iter_utf8(&at, &n);
            name.n = n;
        }
        struct dz_store_named row;
        code = name.n == 0 || name.n > DZ_STORE_NAME_BYTES_MAX || store_is_digest(name)
                   ? DZ_NOT_FOUND
                   : mongo_row(u, name, bytes_max, NULL, &row, ret_body, err);
        if (code == DZ_OK)
            *ret_stat = row.stat;
        if (code != DZ_NOT_FOUND)
            return code;
        code = mongo_next(u, &f, err);
    }
    return code == DZ_OK ? DZ_NOT_FOUND : code;
}

static enum dz_code find(struct mongo *m, const struct dz_sha256 *sha, uint64_t bytes_max,
                         struct dz_blob_stat *ret_stat, struct dz_body **ret_body,
                         struct dz_err *err)
{
    DZ_AUTO(mongo_give) struct mongo_use u = {.m = NULL};
    DZ_TRY(mongo_take(m, &u, err));
    char hex[64];
    rows_blob_name(sha, hex);
    dz_str name = {hex, sizeof hex};
    struct dz_store_named row;
    enum dz_code code = mongo_row(&u, name, bytes_max, NULL, &row, ret_body, err);
    if (code == DZ_OK)
        *ret_stat = row.stat;
    else if (code == DZ_NOT_FOUND)
        code = find_named(&u, sha, bytes_max, ret_stat, ret_body, err);
    return code == DZ_NOT_FOUND ? not_found(name, err) : code;
}

static enum dz_code mongodb_get(void *self, const struct dz_sha256 *sha, uint64_t bytes_max,
                                struct dz_body **ret_body, struct dz_err *err)
{
    struct dz_blob_stat stat;
    return find(self, sha, bytes_max, &stat, ret_body, err);
}

static bool same_sha(const struct dz_sha256 *a, const struct dz_sha256 *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static enum dz_code read_named(struct mongo_use *u, const struct dz_sha256 *sha, dz_str name,
                               uint64_t bytes_max, dz_store_piece_fn *fn, void *arg,
                               struct dz_err *err)
{
    struct dz_blob_stat stat, known;
    bool is_known = false;
    DZ_TRY(mongo_facts(u, name, &is_known, &known, err));
    enum dz_code code = mongo_read(u, name, bytes_max, fn, arg, &stat, err);
    if (code == DZ_NOT_FOUND)
        return not_found(name, err);
    DZ_TRY(code);
    /* When this fails, the row is measured again the next time. */
    if (!is_known || !same_sha(&stat.sha, &known.sha))
        (void)mongo_set_facts(u, name, &stat, NULL);
    return same_sha(&stat.sha, sha)
               ? DZ_OK
               : dz_fail(err, DZ_NOT_FOUND, "the row holds something else by now");
}

/* Bytes that only an upload has are asked for by its name, else they come whole. */
static enum dz_code mongodb_read(void *self, const struct dz_sha256 *sha, dz_str name,
                                 uint64_t bytes_max, dz_store_piece_fn *fn, void *arg,
                                 struct dz_err *err)
{
    DZ_AUTO(mongo_give) struct mongo_use u = {.m = NULL};
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    struct dz_blob_stat stat;
    char hex[64];
    DZ_TRY(mongo_take(self, &u, err));
    if (name.n > 0)
        return read_named(&u, sha, name, bytes_max, fn, arg, err);
    rows_blob_name(sha, hex);
    dz_str blob = {hex, sizeof hex};
    enum dz_code code = mongo_read(&u, blob, bytes_max, fn, arg, &stat, err);
    if (code == DZ_OK && !same_sha(&stat.sha, sha))
        return dz_fail(err, DZ_CORRUPT, "blob %.64s: its %llu bytes do not match this digest", hex,
                       (unsigned long long)stat.bytes);
    if (code != DZ_NOT_FOUND)
        return code;
    code = find_named(&u, sha, bytes_max, &stat, &body, err);
    if (code == DZ_NOT_FOUND)
        return not_found(blob, err);
    DZ_TRY(code);
    return fn(arg, (dz_str){body->p, body->n}, err);
}

static enum dz_code mongodb_stat(void *self, const struct dz_sha256 *sha,
                                 struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    return find(self, sha, DZ_STORE_BLOB_MAX, ret_stat, NULL, err);
}

static enum dz_code delete_row(struct mongo *m, dz_str name, bool *ret_was, struct dz_err *err)
{
    DZ_AUTO(mongo_give) struct mongo_use u = {.m = NULL};
    DZ_TRY(mongo_take(m, &u, err));
    return mongo_row_delete(&u, name, ret_was, err);
}

static enum dz_code mongodb_del(void *self, const struct dz_sha256 *sha, struct dz_err *err)
{
    char hex[64];
    bool was;
    rows_blob_name(sha, hex);
    return delete_row(self, (dz_str){hex, sizeof hex}, &was, err);
}

/* ---- by name -----------------------------------------------------------------------------------
 */

static enum dz_code mongodb_named_get(void *self, dz_str name, uint64_t bytes_max,
                                      struct dz_arena *arena, struct dz_store_named *ret_named,
                                      struct dz_body **ret_body, struct dz_err *err)
{
    DZ_AUTO(mongo_give) struct mongo_use u = {.m = NULL};
    DZ_TRY(mongo_take(self, &u, err));
    struct dz_store_named row;
    enum dz_code code = mongo_row(&u, name, bytes_max, arena, &row, ret_body, err);
    if (code == DZ_NOT_FOUND)
        return dz_fail(err, DZ_NOT_FOUND, "no object of this name");
    if (code != DZ_OK)
        return code;
    row.name = dz_arena_str(arena, name);
    *ret_named = row;
    return DZ_OK;
}

static enum dz_code mongodb_named_del(void *self, dz_str name, bool *ret_was, struct dz_err *err)
{
    return delete_row(self, name, ret_was, err);
}

/* ---- lists -------------------------------------------------------------------------------------
 */

/* Documents of one collection in the order of their names. */
struct page {
    struct dz_store_named *rows; /* mime of rows; measured and stat of the index */
    size_t n;
    dz_str last; /* where the next one begins; empty: this was the last */
};

static dz_str text_of(const bson_t *doc, const char *field, struct dz_arena *arena)
{
    bson_iter_t at;
    uint32_t n = 0;
    if (!bson_iter_init_find(&at, doc, field) || !BSON_ITER_HOLDS_UTF8(&at))
        return (dz_str){NULL, 0};
    const char *p = bson_iter_utf8(&at, &n);
    return (dz_str){dz_arena_dup(arena, (dz_str){p, n}), n};
}

/* What comes after `after`, and not after `until` unless that is empty. Names that are too long are
 * passed over: nobody can ask for them. */
static enum dz_code read_page(struct mongo_use *u, enum mongo_collection where, const char *field,
                              dz_str after, dz_str until, struct dz_arena *arena,
                              struct page *ret_page, struct dz_err *err)
{
    DZ_AUTO(mongo_found_done) struct mongo_found f = {NULL, NULL};
    bson_t filter = BSON_INITIALIZER, range;
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &range);
    bson_append_utf8(&range, "$gt", 3, after.n > 0 ? after.p : "", (int)after.n);
    if (until.n > 0)
        bson_append_utf8(&range, "$lte", 4, until.p, (int)until.n);
    bson_append_document_end(&filter, &range);
    enum dz_code code = mongo_find_many(u, where, &filter, field, true, PAGE_ROWS, &f, err);
    bson_destroy(&filter);

    struct page p = {.rows = dz_arena_alloc(arena, PAGE_ROWS * sizeof *p.rows)};
    size_t seen = 0;
    while (code == DZ_OK && f.doc && seen < PAGE_ROWS) {
        struct dz_store_named r = {.name = text_of(f.doc, "_id", arena)};
        r.mime = text_of(f.doc, "mime", arena);
        r.measured = mongo_read_facts(f.doc, &r.stat);
        if (r.name.n > 0 && r.name.n <= DZ_STORE_NAME_BYTES_MAX)
            p.rows[p.n++] = r;
        if (++seen == PAGE_ROWS)
            p.last = r.name;
        else
            code = mongo_next(u, &f, err);
    }
    if (code == DZ_OK)
        *ret_page = p;
    return code;
}

/* One document, and what the other collection has under its name (NULL: it was not seen there). */
typedef enum dz_code walk_fn(void *arg, const struct dz_store_named *row,
                             const struct dz_store_named *beside, struct dz_err *err);

static enum dz_code walk(struct mongo *m, enum mongo_collection where, const char *field,
                         walk_fn *fn, void *arg, struct dz_err *err)
{
    bool of_rows = where == MONGO_ROWS;
    DZ_AUTO(dz_arena_free) struct dz_arena *arena = dz_arena_new(DZ_GIB);
    DZ_AUTO(dz_buf_done) struct dz_buf after;
    dz_buf_init(&after, DZ_GIB);
    for (;;) {
        struct page page, beside;
        {
            DZ_AUTO(mongo_give) struct mongo_use u = {.m = NULL};
            DZ_TRY(mongo_take(m, &u, err));
            DZ_TRY(read_page(&u, where, field, dz_buf_str(&after), (dz_str){NULL, 0}, arena, &page,
                             err));
            DZ_TRY(read_page(&u, of_rows ? MONGO_INDEX : MONGO_ROWS, of_rows ? NULL : "_id",
                             dz_buf_str(&after), page.last, arena, &beside, err));
        }
        struct dz_map names;
        dz_map_init(&names);
        for (size_t i = 0; i < beside.n; i++)
            (void)dz_map_set(&names, beside.rows[i].name, &beside.rows[i]);
        enum dz_code code = DZ_OK;
        for (size_t i = 0; i < page.n && code == DZ_OK; i++)
            code = fn(arg, &page.rows[i], dz_map_get(&names, page.rows[i].name), err);
        dz_map_done(&names);
        if (code != DZ_OK || page.last.n == 0)
            return code;
        dz_buf_clear(&after);
        dz_buf_put(&after, page.last);
        dz_arena_reset(arena);
    }
}

struct lister {
    struct mongo *m;
    dz_store_list_fn *blob;
    dz_store_named_fn *named;
    void *arg;
    int64_t before_s; /* sweep */
    uint64_t removed;
};

/* A blob without facts is measured; one that cannot be unpacked is told with no bytes, so that a
 * check reads it and says what is wrong. */
static enum dz_code list_blob(void *arg, const struct dz_store_named *row,
                              const struct dz_store_named *beside, struct dz_err *err)
{
    struct lister *l = arg;
    struct dz_store_named facts = {.measured = false};
    if (!rows_blob_sha(row->name, &facts.stat.sha))
        return DZ_OK;
    if (beside && beside->measured) {
        facts.stat.bytes = beside->stat.bytes;
        facts.stat.mtime_s = beside->stat.mtime_s;
    } else {
        DZ_AUTO(mongo_give) struct mongo_use u = {.m = NULL};
        DZ_TRY(mongo_take(l->m, &u, err));
        enum dz_code code = mongo_row(&u, row->name, DZ_STORE_BLOB_MAX, NULL, &facts, NULL, err);
        if (code == DZ_NOT_FOUND)
            return DZ_OK;
        if (code == DZ_CORRUPT || code == DZ_TOO_LARGE)
            facts.stat.mtime_s = dz_now_ms() / 1000;
        else if (code != DZ_OK)
            return code;
    }
    return l->blob(l->arg, &facts.stat, err);
}

static enum dz_code mongodb_list(void *self, dz_store_list_fn *fn, void *arg, struct dz_err *err)
{
    struct lister l = {.m = self, .blob = fn, .arg = arg};
    return walk(self, MONGO_ROWS, "_id", list_blob, &l, err);
}

static enum dz_code list_named(void *arg, const struct dz_store_named *row,
                               const struct dz_store_named *beside, struct dz_err *err)
{
    struct lister *l = arg;
    if (store_is_digest(row->name))
        return DZ_OK;
    struct dz_store_named facts = *row;
    facts.measured = beside && beside->measured;
    if (facts.measured)
        facts.stat = beside->stat;
    return l->named(l->arg, &facts, err);
}

static enum dz_code mongodb_named_list(void *self, dz_store_named_fn *fn, void *arg,
                                       struct dz_err *err)
{
    struct lister l = {.m = self, .named = fn, .arg = arg};
    return walk(self, MONGO_ROWS, "mime", list_named, &l, err);
}

/* What a put or a deletion that was killed left behind: index and parts without a row. */
static enum dz_code sweep_one(void *arg, const struct dz_store_named *row,
                              const struct dz_store_named *beside, struct dz_err *err)
{
    struct lister *l = arg;
    if (beside || (row->measured && row->stat.mtime_s > l->before_s))
        return DZ_OK;
    DZ_AUTO(mongo_give) struct mongo_use u = {.m = NULL};
    DZ_TRY(mongo_take(l->m, &u, err));
    bool there = false;
    DZ_TRY(mongo_exists(&u, MONGO_ROWS, row->name, &there, err));
    if (there)
        return DZ_OK;
    l->removed++;
    return mongo_row_forget(&u, row->name, err);
}

static enum dz_code mongodb_sweep(void *self, int64_t older_than_s, uint64_t *ret_removed,
                                  struct dz_err *err)
{
    struct lister l = {.m = self, .before_s = dz_now_ms() / 1000 - older_than_s};
    DZ_TRY(walk(self, MONGO_INDEX, NULL, sweep_one, &l, err));
    *ret_removed = l.removed;
    return DZ_OK;
}

const struct dz_store_driver dz_store_mongodb = {
    .name = "mongodb",
    .open = mongodb_open,
    .close = mongodb_close,
    .put = mongo_put,
    .get = mongodb_get,
    .read = mongodb_read,
    .stat = mongodb_stat,
    .del = mongodb_del,
    .list = mongodb_list,
    .sweep = mongodb_sweep,
    .batch_begin = mongo_batch_begin,
    .batch_put = mongo_batch_put,
    .batch_commit = mongo_batch_commit,
    .batch_drop = mongo_batch_drop,
    .write_begin = mongo_write_begin,
    .write_add = rows_write_add,
    .write_declare = rows_write_declare,
    .batch_take = mongo_batch_take,
    .write_drop = rows_write_drop,
    .batch_take_named = mongo_batch_take_named,
    .named_get = mongodb_named_get,
    .named_del = mongodb_named_del,
    .named_list = mongodb_named_list,
};
