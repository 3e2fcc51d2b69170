/*
 * upload_show: what becomes of uploads: found, adopted, deleted, and their bytes.
 *
 * In: an id. Out: the record, or that it is no more. With a store that has
 * names its row is the truth and the catalog's is what is known about it beside: a row that
 * somebody else wrote (imoog) is measured once and gets one, one whose row is gone loses its own.
 * With a store of blobs the catalog is the truth, and a deletion that ends the last use of a blob
 * ends the bytes too: the keeper does that, with the lock of blobs alone for a moment, because only
 * then nobody is about to name bytes that were there already. While a crawl or an import holds that
 * lock they wait; what a process leaves behind at its end, a repair finds. Any worker, but
 * library_uploads_look: the keeper.
 */
#include "library/upload_int.h"

/* ---- finding ---------------------------------------------------------------------------------
 */

/* What the catalog should say of a row of the store; texts are the row's. */
static struct dz_upload_rec rec_of(const struct dz_store_named *row)
{
    struct dz_upload_rec rec = {.id = row->name,
                                .mime = row->mime,
                                .blob = {.sha = row->stat.sha, .bytes = row->stat.bytes},
                                .created_ms = row->stat.mtime_s * 1000};
    if (rec.created_ms <= 0)
        rec.created_ms = dz_now_ms();
    return rec;
}

/* In place of what the catalog may have under that name. */
static enum dz_code adopt(struct dz_library *l, const struct dz_upload_rec *rec, bool is_known,
                          struct dz_err *err)
{
    bool flag;
    if (is_known)
        DZ_TRY(dz_catalog_uploads_del(l->catalog, &rec->id, 1, &flag, err));
    return dz_catalog_uploads_put(l->catalog, rec, 1, &flag, err);
}

/* Neither catalog nor store answers: what Redis has is better than nothing. */
static bool find_shared(struct dz_library *l, dz_str id, struct dz_arena *a,
                        struct dz_upload_rec *ret_rec)
{
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    struct dz_upload_rec rec = {.id = id, .created_ms = dz_now_ms()};
    if (!l->shared || !dz_shared_cache_get(l->shared, id, a, &body, &rec.mime))
        return false;
    rec.blob.sha = dz_sha256_of((dz_str){body->p, body->n});
    rec.blob.bytes = body->n;
    *ret_rec = rec;
    return true;
}

static enum dz_code ask_row(struct dz_library *l, dz_str id, struct dz_arena *a,
                            struct dz_store_named *ret_row, struct dz_err *err)
{
    char why[sizeof(err->text)];
    if (!dz_library_store_healthy(l, why))
        return dz_fail(err, DZ_UNAVAILABLE, "the store is down: %s", why);
    return dz_store_named_get(l->store, id, DZ_STORE_BLOB_MAX, a, ret_row, NULL, err);
}

static enum dz_code find_named(struct dz_library *l, dz_str id, struct dz_arena *a,
                               struct dz_upload_rec *ret_rec, struct dz_err *err)
{
    struct dz_upload_rec known;
    struct dz_store_named row;
    bool flag;
    enum dz_code told = dz_catalog_upload_get(l->catalog, id, a, &known, err);
    enum dz_code code = ask_row(l, id, a, &row, err);
    if (code == DZ_NOT_FOUND && told == DZ_OK)
        told = dz_catalog_uploads_del(l->catalog, &id, 1, &flag, NULL);
    if (dz_code_retries(code)) {
        if (told == DZ_OK)
            *ret_rec = known;
        return told == DZ_OK || (told != DZ_NOT_FOUND && find_shared(l, id, a, ret_rec)) ? DZ_OK
                                                                                         : code;
    }
    DZ_TRY(code);
    if (told == DZ_OK && memcmp(&known.blob.sha, &row.stat.sha, sizeof(row.stat.sha)) == 0) {
        *ret_rec = known;
        return DZ_OK;
    }
    *ret_rec = rec_of(&row);
    /* A catalog that is away is no reason not to show what is here. */
    if (told == DZ_OK || told == DZ_NOT_FOUND)
        told = adopt(l, ret_rec, told == DZ_OK, NULL);
    return DZ_OK;
}

enum dz_code dz_library_upload_find(struct dz_library *l, dz_str id, struct dz_arena *a,
                                    struct dz_upload_rec *ret_rec, struct dz_err *err)
{
    if (dz_store_has_names(l->store))
        return find_named(l, id, a, ret_rec, err);
    return dz_catalog_upload_get(l->catalog, id, a, ret_rec, err);
}

/* ---- deleting --------------------------------------------------------------------------------
 */

static void note_unused(struct dz_library *l, const struct dz_sha256 *sha)
{
    struct library_uploads *q = l->uploads;
    pthread_mutex_lock(&q->lock);
    if (q->unused_n < UPLOADS_UNUSED_MAX)
        q->unused[q->unused_n++] = *sha;
    pthread_mutex_unlock(&q->lock);
}

/* A row that the catalog does not know is adopted first, so that other processes, which may show it
 * by now, hear of its end. */
static enum dz_code delete_row(struct dz_library *l, dz_str id, struct dz_arena *a, bool is_known,
                               bool *ret_was, struct dz_err *err)
{
    struct dz_store_named row;
    if (!is_known) {
        enum dz_code code = dz_store_named_get(l->store, id, DZ_STORE_BLOB_MAX, a, &row, NULL, err);
        if (code == DZ_OK) {
            struct dz_upload_rec rec = rec_of(&row);
            code = adopt(l, &rec, false, err);
            if (dz_code_retries(code))
                return code; /* what no catalog takes was never adopted by anybody */
        } else if (code != DZ_CORRUPT && code != DZ_TOO_LARGE) {
            return code; /* one that cannot be read was never shown and can go as it is */
        }
    }
    return dz_store_named_del(l->store, id, ret_was, err);
}

enum dz_code dz_library_upload_delete(struct dz_library *l, dz_str id, bool *ret_was,
                                      struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(64 * DZ_KIB);
    struct dz_upload_rec rec;
    bool was = false, known_was = false;
    enum dz_code code = dz_catalog_upload_get(l->catalog, id, a, &rec, err);
    bool is_known = code == DZ_OK;
    if (!is_known && code != DZ_NOT_FOUND)
        return code;
    if (dz_store_has_names(l->store)) {
        code = delete_row(l, id, a, is_known, &was, err);
        if (code != DZ_OK && code != DZ_NOT_FOUND)
            return code;
        if (l->shared)
            dz_shared_cache_del(l->shared, &id, 1);
    }
    DZ_TRY(dz_catalog_uploads_del(l->catalog, &id, 1, &known_was, err));
    if (is_known && known_was)
        note_unused(l, &rec.blob.sha);
    *ret_was = dz_store_has_names(l->store) ? was : known_was;
    return DZ_OK;
}

static void look_at_unused(struct dz_library *l)
{
    struct library_uploads *q = l->uploads;
    DZ_AUTO(dz_catalog_unlock) struct dz_catalog_lock *lock = NULL;
    uint64_t young = 0;
    pthread_mutex_lock(&q->lock);
    size_t n = q->unused_n;
    pthread_mutex_unlock(&q->lock);
    if (n == 0 || library_lock(l->catalog, true, &lock, NULL) != DZ_OK)
        return; /* again with the next look */
    struct dz_sha256 *v = dz_alloc(UPLOADS_UNUSED_MAX * sizeof(*v));
    pthread_mutex_lock(&q->lock);
    struct dz_sha256 *taken = q->unused;
    n = q->unused_n;
    q->unused = v;
    q->unused_n = 0;
    pthread_mutex_unlock(&q->lock);
    struct dz_err err = {0};
    if (library_end_blobs(l, lock, taken, n, INT64_MAX, &young, &err) != DZ_OK && l->complain)
        l->complain(l->publish_arg, &err);
    dz_freep(&taken);
}

/* ---- what was deleted ------------------------------------------------------------------------
 */

void dz_library_on_upload_gone(struct dz_library *l, void (*gone)(void *arg, dz_str id), void *arg)
{
    dz_assert(!l->runs);
    l->uploads->gone = gone;
    l->uploads->gone_arg = arg;
}

static void look_at_gone(struct dz_library *l)
{
    struct library_uploads *q = l->uploads;
    dz_str *ids = NULL;
    size_t n = 0;
    bool more = false;
    uint64_t seen = q->seen;
    dz_arena_reset(q->scratch);
    if (dz_catalog_uploads_gone(l->catalog, seen, q->scratch, &ids, &n, &more, &seen, NULL) !=
        DZ_OK)
        return; /* the keeper's other looks say what is wrong; this one is made again */
    q->seen = seen;
    if (!q->gone)
        return;
    for (size_t i = 0; i < n; i++)
        q->gone(q->gone_arg, ids[i]);
    if (more)
        q->gone(q->gone_arg, (dz_str){NULL, 0});
}

void library_uploads_look(struct dz_library *l)
{
    look_at_gone(l);
    look_at_unused(l);
}
