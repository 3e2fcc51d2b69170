/*
 * uploads: files that somebody sends, from their first byte to a name that lasts.
 *
 * In: pieces of a file, pushed by a worker as they come; the first ones are only gathered, so that
 * a client that has hardly begun costs little, then they go into a write of the store. Out: an id,
 * when the bytes, the folder and the catalog's row are on disk. Uploads that end at the same time
 * are kept together: whoever comes first does the syncs for all that wait, and goes on until nobody
 * does, so that a disk that is slow to sync makes groups larger instead of clients wait in a row.
 * The lock of blobs is held shared while a group is kept, because a repair would take its blobs for
 * garbage. A store that has names keeps the bytes under the id, as a row that counts more than the
 * catalog's: where that row is, the upload is; small ones are put into the shared cache as well.
 * Any worker; an upload belongs to one thread at a time. What becomes of them later is in
 * upload_show.c.
 */
#include "library/upload_int.h"

#define GROUP_MAX 256u
#define NAME_TRIES 16u /* with a new id each time */
#define NAME_MAX_CHARS 64u
#define FIRST_BYTES 64u /* that tell the type */
#define FRONT_BYTES ((size_t)64 * DZ_KIB)
#define OPEN_MAX 1024u /* unfinished, past that: up to 400 KiB each, and perhaps a file */

struct dz_upload {
    struct dz_library *l;
    struct dz_upload *next;
    struct dz_buf front;          /* all that came, while that is no more than FRONT_BYTES */
    struct dz_store_write *write; /* NULL: not begun */
    uint64_t bytes;
    char first[FIRST_BYTES];
    size_t first_n;
    struct dz_upload_wish wish;
    char *mime, *given; /* given: its id; NULL: one is drawn */
    char id[NAME_MAX_CHARS];
    struct dz_upload_rec rec;
    enum dz_code code;
    struct dz_err err;
    bool stored; /* under rec.id in a store that has names */
    bool named;  /* the row is stored */
    bool counted;
};

struct library_uploads *library_uploads_new(void)
{
    struct library_uploads *q = dz_new(struct library_uploads);
    pthread_mutex_init(&q->lock, NULL);
    q->last = &q->first;
    q->seen = UINT64_MAX;
    q->scratch = dz_arena_new(64 * DZ_MIB);
    q->unused = dz_alloc(UPLOADS_UNUSED_MAX * sizeof(*q->unused));
    return q;
}

void library_uploads_free(struct library_uploads **pq)
{
    struct library_uploads *q = dz_take(pq);
    if (!q)
        return;
    dz_assert(!q->first && !q->busy);
    pthread_mutex_destroy(&q->lock);
    dz_arena_free(&q->scratch);
    dz_freep(&q->unused);
    dz_freep(&q);
}

/* ---- one on its way in ----------------------------------------------------------------------- */

struct dz_upload *dz_upload_new(struct dz_library *l, dz_str mime)
{
    struct dz_upload *u = dz_new(struct dz_upload);
    u->l = l;
    u->mime = mime.p ? dz_str_dup(mime) : NULL;
    u->rec.mime = (dz_str){u->mime, u->mime ? mime.n : 0};
    dz_buf_init(&u->front, FRONT_BYTES);
    return u;
}

void dz_upload_drop(struct dz_upload **pu)
{
    struct dz_upload *u = dz_take(pu);
    if (!u)
        return;
    if (u->counted)
        atomic_fetch_sub(&u->l->uploads->open_n, 1);
    dz_store_write_drop(&u->write);
    dz_buf_done(&u->front);
    dz_freep(&u->mime);
    dz_freep(&u->given);
    dz_freep(&u);
}

/* The store gets what was gathered. */
static enum dz_code begin_write(struct dz_upload *u, struct dz_err *err)
{
    DZ_TRY(dz_store_write_begin(u->l->store, &u->write, err));
    dz_store_write_declare(u->write, u->rec.mime);
    return dz_store_write_add(u->write, dz_buf_str(&u->front), err);
}

static enum dz_code count(struct dz_upload *u, struct dz_err *err)
{
    u->counted = true;
    if (atomic_fetch_add(&u->l->uploads->open_n, 1) < OPEN_MAX)
        return DZ_OK;
    return dz_fail(err, DZ_UNAVAILABLE, "%u large uploads are on their way already", OPEN_MAX);
}

enum dz_code dz_upload_add(struct dz_upload *u, dz_str bytes, struct dz_err *err)
{
    size_t n = FIRST_BYTES - u->first_n;
    if (n > bytes.n)
        n = bytes.n;
    if (n > 0)
        memcpy(u->first + u->first_n, bytes.p, n);
    u->first_n += n;
    u->bytes += bytes.n;
    if (u->bytes <= FRONT_BYTES) {
        dz_buf_put(&u->front, bytes);
        return DZ_OK;
    }
    if (!u->write) {
        DZ_TRY(count(u, err));
        DZ_TRY(begin_write(u, err));
    }
    dz_buf_done(&u->front);
    return dz_store_write_add(u->write, bytes, err);
}

uint64_t dz_upload_bytes(const struct dz_upload *u)
{
    return u->bytes;
}

/* ---- keeping a group ------------------------------------------------------------------------- */

/* Letters and digits, each as likely as any other; or the id that it has. */
static void make_id(struct dz_upload *u)
{
    if (u->given) {
        u->rec.id = dz_str_of(u->given);
        return;
    }
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    unsigned char random[2 * NAME_MAX_CHARS];
    size_t n = 0, at = sizeof(random);
    while (n < u->wish.name_length) {
        if (at == sizeof(random)) {
            dz_random(random, sizeof(random));
            at = 0;
        }
        unsigned char b = random[at++];
        if (b < 252) /* 7 * 36 */
            u->id[n++] = alphabet[b % 36];
    }
    u->rec.id = (dz_str){u->id, n};
}

static void fail_all(struct dz_upload *group, enum dz_code code, const struct dz_err *err)
{
    for (struct dz_upload *u = group; u; u = u->next)
        if (u->code == DZ_OK) {
            u->code = code;
            u->err = *err;
        }
}

static enum dz_code no_name(const struct dz_upload *u, struct dz_err *err)
{
    if (u->given)
        return dz_fail(err, DZ_CONFLICT, "the id %.100s is taken", u->given);
    return dz_fail(err, DZ_FULL,
                   "no free name was found in %u tries; make uploads.name_length longer",
                   NAME_TRIES);
}

/* The names that are tried first, all at once. */
static enum dz_code expect_names(struct dz_store_batch *b, struct dz_upload *group,
                                 struct dz_err *err)
{
    dz_str names[GROUP_MAX];
    size_t n = 0;
    for (struct dz_upload *u = group; u; u = u->next) {
        if (u->code != DZ_OK)
            continue;
        make_id(u);
        names[n++] = u->rec.id;
    }
    return dz_store_batch_expect(b, names, n, err);
}

/* Under a name that no row of the store has. */
static enum dz_code take_named(struct dz_store_batch *b, struct dz_upload *u,
                               struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    for (unsigned tries = 0; tries < NAME_TRIES; tries++) {
        if (tries > 0)
            make_id(u);
        DZ_TRY(dz_store_batch_take_named(b, &u->write, u->rec.id, u->rec.mime, ret_stat, &u->stored,
                                         err));
        if (u->stored || u->given)
            break;
    }
    return u->stored ? DZ_OK : no_name(u, err);
}

/* The blobs: each of them whole and synced. */
static enum dz_code keep_blobs(struct dz_library *l, struct dz_upload *group, struct dz_err *err)
{
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
    bool has_names = dz_store_has_names(l->store);
    DZ_TRY(dz_store_batch_begin(l->store, &b, err));
    if (has_names)
        DZ_TRY(expect_names(b, group, err));
    for (struct dz_upload *u = group; u; u = u->next) {
        struct dz_blob_stat stat;
        enum dz_media_type type = dz_media_sniff((dz_str){u->first, u->first_n});
        if (u->code != DZ_OK)
            continue;
        u->code = has_names ? take_named(b, u, &stat, &u->err)
                            : dz_store_batch_take(b, &u->write, &stat, &u->err);
        if (u->code != DZ_OK)
            continue;
        u->rec.blob = (struct dz_blob_rec){.sha = stat.sha, .bytes = stat.bytes};
        if (type != DZ_MEDIA_UNKNOWN)
            u->rec.blob.mime = dz_str_of(dz_media_mime(type));
        u->rec.created_ms = u->wish.created_ms > 0 ? u->wish.created_ms : dz_now_ms();
    }
    enum dz_code code = dz_store_batch_commit(b, err);
    if (code == DZ_CONFLICT) /* two processes drew one name: another one is drawn next time */
        return dz_wrap(err, DZ_UNAVAILABLE, "a name was taken meanwhile");
    return code;
}

/* The row of an upload that is refused after all. Of a row that somebody else made under that name
 * in the same moment only the bytes could be the same. */
static void take_back(struct dz_library *l, struct dz_upload *u)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(64 * DZ_KIB);
    struct dz_store_named row;
    bool was;
    if (u->stored &&
        dz_store_named_get(l->store, u->rec.id, DZ_STORE_BLOB_MAX, a, &row, NULL, NULL) == DZ_OK &&
        memcmp(&row.stat.sha, &u->rec.blob.sha, sizeof(row.stat.sha)) == 0 &&
        dz_store_named_del(l->store, u->rec.id, &was, NULL) == DZ_OK)
        u->stored = false;
}

/* The rows of those that have none yet and did not fail; a name that is taken leaves its own for
 * the next round. */
static enum dz_code put_rows(struct dz_library *l, struct dz_upload *const *v, size_t n,
                             struct dz_err *err)
{
    struct dz_upload_rec recs[GROUP_MAX] = {{.created_ms = 0}};
    bool is_new[GROUP_MAX];
    for (size_t i = 0; i < n; i++) {
        if (!v[i]->stored)
            make_id(v[i]);
        recs[i] = v[i]->rec;
    }
    DZ_TRY(dz_catalog_uploads_put(l->catalog, recs, n, is_new, err));
    for (size_t i = 0; i < n; i++) {
        v[i]->named = is_new[i];
        /* The store's word counts: what the catalog has under that name is gone. */
        if (!is_new[i] && v[i]->stored)
            DZ_TRY(dz_catalog_uploads_del(l->catalog, &v[i]->rec.id, 1, &is_new[i], err));
    }
    return DZ_OK;
}

static void keep_rows(struct dz_library *l, struct dz_upload *group)
{
    for (unsigned tries = 0; tries < NAME_TRIES; tries++) {
        struct dz_upload *v[GROUP_MAX];
        size_t n = 0;
        for (struct dz_upload *u = group; u; u = u->next)
            if (u->code == DZ_OK && !u->named && (tries == 0 || !u->given || u->stored))
                v[n++] = u;
        if (n == 0)
            return;
        struct dz_err err = {0};
        enum dz_code code = put_rows(l, v, n, &err);
        /* What is wrong with one of them is no reason to refuse the others. */
        for (size_t i = 0; i < n && code != DZ_OK; i++)
            v[i]->code = n == 1 ? code : put_rows(l, &v[i], 1, &v[i]->err);
        if (code != DZ_OK && n == 1)
            v[0]->err = err;
    }
    for (struct dz_upload *u = group; u; u = u->next)
        if (u->code == DZ_OK && !u->named)
            u->code = no_name(u, &u->err);
}

static void keep_group(struct dz_library *l, struct dz_upload *group)
{
    DZ_AUTO(dz_catalog_unlock) struct dz_catalog_lock *lock = NULL;
    struct dz_err err = {0};
    enum dz_code code = library_lock(l->catalog, false, &lock, &err);
    if (code == DZ_OK)
        code = keep_blobs(l, group, &err);
    if (code == DZ_OK)
        code = dz_catalog_lock_check(lock, &err);
    if (code != DZ_OK)
        fail_all(group, code, &err);
    keep_rows(l, group);
    for (struct dz_upload *u = group; u; u = u->next)
        if (u->code != DZ_OK)
            take_back(l, u);
}

/* Those that are small, as imoog does it. */
static void share_group(struct dz_library *l, const struct dz_upload *group)
{
    struct dz_shared_put v[GROUP_MAX];
    size_t n = 0;
    if (!l->shared || !dz_store_has_names(l->store))
        return;
    for (const struct dz_upload *u = group; u; u = u->next)
        if (u->code == DZ_OK && !u->given && u->bytes <= FRONT_BYTES)
            v[n++] = (struct dz_shared_put){u->rec.id, dz_buf_str(&u->front), u->rec.mime};
    dz_shared_cache_put_all(l->shared, v, n);
}

/* Up to GROUP_MAX of those that wait; the lock is held. */
static struct dz_upload *take_group(struct library_uploads *q)
{
    struct dz_upload *group = q->first, **end = &group;
    for (unsigned n = 0; *end && n < GROUP_MAX; n++)
        end = &(*end)->next;
    q->first = *end;
    *end = NULL;
    if (!q->first)
        q->last = &q->first;
    return group;
}

static void tell_group(struct dz_upload *group)
{
    while (group) {
        struct dz_upload *u = group;
        group = u->next;
        u->wish.done(u->wish.arg, u->code, &u->rec, &u->err);
        dz_upload_drop(&u);
    }
}

void library_upload_add(struct dz_upload **take_u, const struct dz_upload_wish *wish)
{
    struct dz_upload *u = dz_take(take_u);
    struct library_uploads *q = u->l->uploads;
    dz_assert(wish->id.n > 0 || (wish->name_length > 0 && wish->name_length <= NAME_MAX_CHARS));
    u->wish = *wish;
    u->given = wish->id.n > 0 ? dz_str_dup(wish->id) : NULL;
    if (!u->write)
        u->code = begin_write(u, &u->err);
    if (!u->l->shared)
        dz_buf_done(&u->front);
    pthread_mutex_lock(&q->lock);
    *q->last = u;
    q->last = &u->next;
    pthread_mutex_unlock(&q->lock);
}

void library_uploads_keep(struct dz_library *l)
{
    struct library_uploads *q = l->uploads;
    pthread_mutex_lock(&q->lock);
    while (!q->busy && q->first) {
        struct dz_upload *group = take_group(q);
        q->busy = true;
        pthread_mutex_unlock(&q->lock);
        keep_group(l, group);
        share_group(l, group);
        tell_group(group);
        pthread_mutex_lock(&q->lock);
        q->busy = false;
    }
    pthread_mutex_unlock(&q->lock);
}

void dz_upload_keep(struct dz_upload **take_u, const struct dz_upload_wish *wish)
{
    struct dz_library *l = (*take_u)->l;
    library_upload_add(take_u, wish);
    library_uploads_keep(l);
}
