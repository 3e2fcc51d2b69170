/*
 * mongodb_write: blobs and named objects on their way into documents.
 *
 * Bytes are packed as they come, into a spool (rows.h), and sent when the batch is committed, or
 * earlier when much has gathered: first the index documents of all, then the parts of rows that no
 * document can hold, then the documents themselves, many in one call. Every call is acknowledged by
 * a majority and its journal, so that the last one's answer is the commit. A name belongs to
 * whoever inserted its index document. One thread a batch; what is committed or dropped is freed
 * here.
 */
#include "store/mongodb_int.h"

#include <stdlib.h>

#define SEND_BYTES MONGO_DOCUMENT_MAX /* packed, in one call */
#define SEND_ROWS 256

struct item {
    char *name;
    size_t name_n;
    char *mime; /* NULL: none */
    bool is_named;
    bool has_index, has_row; /* written by this batch */
    struct rows_spool *packed;
    struct dz_blob_stat stat;
};

struct mongo_batch {
    struct mongo *m;
    struct item *items;
    size_t n, cap;
    uint64_t blob_bytes; /* packed, of items that are blobs */
    size_t blobs;
};

static void item_done(struct item *i)
{
    free(i->name);
    free(i->mime);
    rows_spool_free(&i->packed);
}

static void forget_items(struct mongo_batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        item_done(&b->items[i]);
    b->n = b->blobs = 0;
    b->blob_bytes = 0;
}

static dz_str name_of(const struct item *i)
{
    return (dz_str){i->name, i->name_n};
}

/* ---- sending -----------------------------------------------------------------------------------
 */

static bool in_parts(const struct item *i)
{
    return rows_spool_bytes(i->packed) > MONGO_DOCUMENT_MAX;
}

/* What the index says of this row is what we would say. */
static enum dz_code is_ours(struct mongo_use *u, const struct item *i, bool *ret_yes,
                            struct dz_err *err)
{
    struct dz_blob_stat stat;
    bool there = false;
    DZ_TRY(mongo_facts(u, name_of(i), &there, &stat, err));
    *ret_yes = there && stat.bytes == i->stat.bytes &&
               memcmp(stat.sha.b, i->stat.sha.b, sizeof stat.sha.b) == 0;
    return DZ_OK;
}

static enum dz_code name_taken(struct dz_err *err)
{
    return dz_fail(err, DZ_CONFLICT, "somebody else took the name of an object");
}

/* Their index documents. Of a blob there may be one already: it gets the new time. */
static enum dz_code send_index(struct mongo_use *u, struct item *const *v, size_t n,
                               struct dz_err *err)
{
    bson_t *docs[SEND_ROWS];
    bool taken[SEND_ROWS], unsure = false;
    for (size_t i = 0; i < n; i++) {
        docs[i] = mongo_key(name_of(v[i]));
        mongo_put_facts(docs[i], &v[i]->stat);
    }
    enum dz_code code = mongo_insert(u, MONGO_INDEX, (const bson_t **)docs, n, taken, &unsure, err);
    for (size_t i = 0; i < n; i++)
        bson_destroy(docs[i]);
    DZ_TRY(code);
    for (size_t i = 0; i < n; i++)
        v[i]->has_index = v[i]->is_named && !taken[i];
    for (size_t i = 0; i < n && code == DZ_OK; i++) {
        if (!taken[i])
            continue;
        if (!v[i]->is_named) {
            code = mongo_set_facts(u, name_of(v[i]), &v[i]->stat, err);
            continue;
        }
        if (unsure)
            code = is_ours(u, v[i], &v[i]->has_index, err);
        if (code == DZ_OK && !v[i]->has_index)
            code = name_taken(err);
    }
    return code;
}

static enum dz_code send_parts(struct mongo_use *u, const struct item *i, struct dz_err *err)
{
    char id[MONGO_PART_NAME_MAX + 1];
    DZ_AUTO(dz_freep) char *piece = dz_alloc(MONGO_PART_BYTES);
    uint64_t all = rows_spool_bytes(i->packed);
    for (uint64_t at = 0, part = 0; at < all; part++) {
        size_t n = all - at < MONGO_PART_BYTES ? (size_t)(all - at) : MONGO_PART_BYTES;
        DZ_TRY(rows_spool_read(i->packed, at, piece, n, err));
        bson_t fields = BSON_INITIALIZER;
        bson_append_binary(&fields, "image", 5, BSON_SUBTYPE_BINARY, (const uint8_t *)piece,
                           (uint32_t)n);
        enum dz_code code = mongo_set(
            u, MONGO_PARTS, mongo_part_name(name_of(i), (uint32_t)part, id), &fields, true, err);
        bson_destroy(&fields);
        DZ_TRY(code);
        at += n;
    }
    return DZ_OK;
}

/* Exactly what imoog writes. */
static enum dz_code make_row(const struct item *i, bson_t **ret_doc, struct dz_err *err)
{
    bson_t *doc = mongo_key(name_of(i));
    enum dz_code code = DZ_OK;
    if (in_parts(i)) {
        BSON_APPEND_NULL(doc, "image");
    } else {
        size_t n = (size_t)rows_spool_bytes(i->packed);
        DZ_AUTO(dz_freep) char *packed = dz_alloc(n + 1);
        code = rows_spool_read(i->packed, 0, packed, n, err);
        bson_append_binary(doc, "image", 5, BSON_SUBTYPE_BINARY, (const uint8_t *)packed,
                           (uint32_t)n);
    }
    if (i->mime)
        BSON_APPEND_UTF8(doc, "mime", i->mime);
    else
        BSON_APPEND_NULL(doc, "mime");
    if (code != DZ_OK) {
        bson_destroy(doc);
        return code;
    }
    *ret_doc = doc;
    return DZ_OK;
}

static enum dz_code send_rows(struct mongo_use *u, struct item *const *v, size_t n,
                              struct dz_err *err)
{
    bson_t *docs[SEND_ROWS];
    bool taken[SEND_ROWS], unsure = false;
    enum dz_code code = DZ_OK;
    size_t made = 0;
    while (made < n && code == DZ_OK) {
        code = make_row(v[made], &docs[made], err);
        made += code == DZ_OK;
    }
    if (code == DZ_OK)
        code = mongo_insert(u, MONGO_ROWS, (const bson_t **)docs, n, taken, &unsure, err);
    while (made > 0)
        bson_destroy(docs[--made]);
    DZ_TRY(code);
    /* The index documents are ours: a row of that name is imoog's, or, when an answer was lost, was
     * written by the first try. */
    for (size_t i = 0; i < n; i++) {
        v[i]->has_row = v[i]->is_named && (!taken[i] || unsure);
        if (v[i]->is_named && !v[i]->has_row)
            code = name_taken(err);
    }
    return code;
}

static enum dz_code send_slice(struct mongo *m, struct item *const *v, size_t n, struct dz_err *err)
{
    DZ_AUTO(mongo_give) struct mongo_use u = {.m = NULL};
    DZ_TRY(mongo_take(m, &u, err));
    DZ_TRY(send_index(&u, v, n, err));
    for (size_t i = 0; i < n; i++)
        if (in_parts(v[i]))
            DZ_TRY(send_parts(&u, v[i], err));
    return send_rows(&u, v, n, err);
}

/* Sends them in slices; named objects only when `all`. What was sent as a blob is forgotten. */
static enum dz_code send_items(struct mongo_batch *b, bool all, struct dz_err *err)
{
    struct item *v[SEND_ROWS];
    enum dz_code code = DZ_OK;
    for (size_t at = 0; at < b->n && code == DZ_OK;) {
        uint64_t bytes = 0;
        size_t n = 0;
        for (; at < b->n && n < SEND_ROWS; at++) {
            struct item *i = &b->items[at];
            if (i->is_named && !all)
                continue;
            uint64_t more = in_parts(i) ? 0 : rows_spool_bytes(i->packed);
            if (n > 0 && bytes + more > SEND_BYTES)
                break;
            bytes += more;
            v[n++] = i;
        }
        if (n > 0)
            code = send_slice(b->m, v, n, err);
    }
    return code;
}

/* Blobs that have gathered go out before the commit, so that a batch may be larger than memory. */
static enum dz_code send_blobs(struct mongo_batch *b, struct dz_err *err)
{
    DZ_TRY(send_items(b, false, err));
    size_t kept = 0;
    for (size_t i = 0; i < b->n; i++)
        if (b->items[i].is_named)
            b->items[kept++] = b->items[i];
        else
            item_done(&b->items[i]);
    b->n = kept;
    b->blobs = 0;
    b->blob_bytes = 0;
    return DZ_OK;
}

/* Names of a commit that failed are given back as far as the server can be asked. */
static void undo(struct mongo_batch *b)
{
    DZ_AUTO(mongo_give) struct mongo_use u = {.m = NULL};
    if (mongo_take(b->m, &u, NULL) != DZ_OK)
        return;
    for (size_t i = 0; i < b->n; i++) {
        bool was;
        enum dz_code code = DZ_OK;
        if (b->items[i].has_row)
            code = mongo_row_delete(&u, name_of(&b->items[i]), &was, NULL);
        else if (b->items[i].has_index)
            code = mongo_row_forget(&u, name_of(&b->items[i]), NULL);
        if (code == DZ_UNAVAILABLE)
            return;
    }
}

enum dz_code mongo_batch_commit(void *batch, struct dz_err *err)
{
    struct mongo_batch *b = batch;
    enum dz_code code = send_items(b, true, err);
    if (code != DZ_OK)
        undo(b);
    forget_items(b);
    return code;
}

enum dz_code mongo_batch_begin(void *self, void **ret_batch, struct dz_err *err)
{
    (void)err;
    struct mongo_batch *b = dz_new(struct mongo_batch);
    b->m = self;
    *ret_batch = b;
    return DZ_OK;
}

void mongo_batch_drop(void *batch)
{
    struct mongo_batch *b = batch;
    forget_items(b);
    free(b->items);
    free(b);
}

/* ---- taking in ---------------------------------------------------------------------------------
 */

/* Also when only the index has it: somebody may be writing it. */
static enum dz_code name_exists(struct mongo *m, dz_str name, bool *ret_yes, struct dz_err *err)
{
    DZ_AUTO(mongo_give) struct mongo_use u = {.m = NULL};
    bool yes = false;
    DZ_TRY(mongo_take(m, &u, err));
    DZ_TRY(mongo_exists(&u, MONGO_ROWS, name, &yes, err));
    if (!yes)
        DZ_TRY(mongo_exists(&u, MONGO_INDEX, name, &yes, err));
    *ret_yes = yes;
    return DZ_OK;
}

static void add(struct mongo_batch *b, dz_str name, bool is_named, dz_str mime,
                const struct dz_blob_stat *stat, struct rows_spool *take_packed)
{
    if (b->n == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 16;
        b->items = dz_realloc(b->items, b->cap * sizeof *b->items);
    }
    b->items[b->n++] = (struct item){.name = dz_str_dup(name),
                                     .name_n = name.n,
                                     .mime = mime.p ? dz_str_dup(mime) : NULL,
                                     .is_named = is_named,
                                     .packed = take_packed,
                                     .stat = *stat};
    if (!is_named) {
        b->blobs++;
        b->blob_bytes += rows_spool_bytes(take_packed);
    }
}

/* A blob that is there already gets the time of now; *ret_there says so. */
static enum dz_code blob_there(struct mongo *m, const struct dz_blob_stat *stat, bool *ret_there,
                               struct dz_err *err)
{
    char hex[64];
    rows_blob_name(&stat->sha, hex);
    dz_str name = {hex, sizeof hex};
    DZ_AUTO(mongo_give) struct mongo_use u = {.m = NULL};
    DZ_TRY(mongo_take(m, &u, err));
    DZ_TRY(mongo_exists(&u, MONGO_ROWS, name, ret_there, err));
    return *ret_there ? mongo_set_facts(&u, name, stat, err) : DZ_OK;
}

/* Takes the spool, also on failure. `is_new`: nobody need be asked whether it is there. */
static enum dz_code take_blob(struct mongo_batch *b, struct rows_spool *take_s, bool is_new,
                              struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    DZ_AUTO(rows_spool_free) struct rows_spool *s = take_s;
    struct dz_blob_stat stat;
    bool there = false;
    DZ_TRY(rows_spool_end(s, &stat, err));
    if (!is_new)
        DZ_TRY(blob_there(b->m, &stat, &there, err));
    if (!there) {
        char hex[64];
        rows_blob_name(&stat.sha, hex);
        add(b, (dz_str){hex, sizeof hex}, false, (dz_str){NULL, 0}, &stat, dz_take(&s));
    }
    *ret_stat = stat;
    return b->blobs >= SEND_ROWS || b->blob_bytes >= SEND_BYTES ? send_blobs(b, err) : DZ_OK;
}

enum dz_code mongo_batch_put(void *batch, const struct dz_blob_stat *known, dz_store_read_fn *read,
                             void *arg, struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    struct mongo_batch *b = batch;
    if (known) {
        struct dz_blob_stat stat = *known;
        bool there = false;
        stat.mtime_s = dz_now_ms() / 1000;
        DZ_TRY(blob_there(b->m, &stat, &there, err));
        if (there) {
            *ret_stat = stat;
            return DZ_OK;
        }
    }
    DZ_AUTO(rows_spool_free)
    struct rows_spool *s = rows_spool_new(b->m->spool_dir, b->m->level, known);
    DZ_TRY(rows_spool_fill(s, read, arg, err));
    return take_blob(b, dz_take(&s), known != NULL, ret_stat, err);
}

enum dz_code mongo_put(void *self, const struct dz_blob_stat *known, dz_store_read_fn *read,
                       void *arg, struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    return rows_put(&dz_store_mongodb, self, known, read, arg, ret_stat, err);
}

enum dz_code mongo_write_begin(void *self, void **ret_write, struct dz_err *err)
{
    (void)err;
    struct mongo *m = self;
    *ret_write = rows_spool_new(m->spool_dir, m->level, NULL);
    return DZ_OK;
}

enum dz_code mongo_batch_take(void *batch, void *take_write, struct dz_blob_stat *ret_stat,
                              struct dz_err *err)
{
    return take_blob(batch, take_write, false, ret_stat, err);
}

enum dz_code mongo_batch_take_named(void *batch, void *write, dz_str name, dz_str mime,
                                    struct dz_blob_stat *ret_stat, bool *ret_new,
                                    struct dz_err *err)
{
    struct mongo_batch *b = batch;
    DZ_AUTO(rows_spool_free) struct rows_spool *s = write;
    struct dz_blob_stat stat;
    bool taken = false;
    for (size_t i = 0; i < b->n && !taken; i++)
        taken = dz_str_eq(name_of(&b->items[i]), name);
    if (!taken)
        DZ_TRY(name_exists(b->m, name, &taken, err));
    *ret_new = !taken;
    if (taken) {
        (void)dz_take(&s);
        return DZ_OK;
    }
    DZ_TRY(rows_spool_end(s, &stat, err));
    add(b, name, true, mime, &stat, dz_take(&s));
    *ret_stat = stat;
    return DZ_OK;
}
