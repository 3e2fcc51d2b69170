/*
 * cbz: GET /series/ID/chapter/ID.cbz, a chapter as a file to keep, made from the store while it is
 * sent.
 *
 * In: a request, whole or for ranges. Out: exactly the bytes of the chapter's dz_cbz. That is made
 * by a worker, once for any number of requests that wait for it, and kept among the last ones used,
 * so that a client that reads the directory first and then the pages makes it once. Its key holds
 * the snapshot's serial: a chapter that changed is another file. Pages are read from the store's
 * files on the loop, a piece a turn; a store without files is asked by workers while the answer
 * waits, and what they bring stays in RAM for the next one who wants the chapter. The lock is held
 * for look-ups only. Waiters belong to their loops, as in fetch.c.
 */
#include "api/api_int.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define KEPT_MAX 64u
#define KEPT_BYTES_MAX (32 * DZ_MIB)
#define AGAIN_MS 50
#define PLANS_MAX 32u /* at workers or waiting for one */

struct key {
    uint64_t serial;
    int64_t chapter;
    struct dz_cbz_options options;
};

struct kept {
    struct key key;
    struct dz_cbz *cbz; /* NULL: free */
    uint64_t used;      /* when, by a count of uses */
};

struct waiter {
    struct dz_msg msg;
    struct waiter *next;
    struct api_loop *loop;
    struct dz_http_req *req;
    struct dz_cbz *cbz; /* one reference, or NULL: err */
    struct dz_err err;
};

/* A file that is being laid out. */
struct plan {
    struct dz_work work;
    struct plan *next;
    struct dz_api *api;
    struct dz_view *view; /* holds the next two */
    const struct dz_snapshot *snap;
    const struct dz_snap_chapter *chapter;
    struct key key;
    struct waiter *waiters;
};

struct cbz_shelf {
    pthread_mutex_t lock;
    struct kept kept[KEPT_MAX];
    uint64_t uses, bytes;
    struct plan *plans;
    unsigned plans_n;
};

struct cbz_shelf *cbz_shelf_new(void)
{
    struct cbz_shelf *s = dz_new(struct cbz_shelf);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void forget(struct cbz_shelf *s, struct kept *k)
{
    s->bytes -= dz_cbz_memory(k->cbz);
    dz_cbz_unref(&k->cbz);
}

void cbz_shelf_free(struct cbz_shelf **ps)
{
    struct cbz_shelf *s = dz_take(ps);
    dz_assert(s->plans_n == 0);
    for (size_t i = 0; i < KEPT_MAX; i++)
        if (s->kept[i].cbz)
            forget(s, &s->kept[i]);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static bool is_same(const struct key *a, const struct key *b)
{
    return a->serial == b->serial && a->chapter == b->chapter &&
           a->options.sizes == b->options.sizes && a->options.is_21 == b->options.is_21;
}

/* The lock is held. One more reference, or NULL. */
static struct dz_cbz *find_kept(struct cbz_shelf *s, const struct key *key)
{
    for (size_t i = 0; i < KEPT_MAX; i++) {
        struct kept *k = &s->kept[i];
        if (!k->cbz || !is_same(&k->key, key))
            continue;
        k->used = ++s->uses;
        return dz_cbz_ref(k->cbz);
    }
    return NULL;
}

static struct kept *oldest(struct cbz_shelf *s)
{
    struct kept *old = NULL;
    for (size_t i = 0; i < KEPT_MAX; i++)
        if (s->kept[i].cbz && (!old || s->kept[i].used < old->used))
            old = &s->kept[i];
    return old;
}

/* The lock is held. */
static void keep(struct cbz_shelf *s, const struct key *key, struct dz_cbz *cbz)
{
    uint64_t bytes = dz_cbz_memory(cbz);
    struct kept *place = NULL, *old;
    if (bytes > KEPT_BYTES_MAX)
        return;
    while (s->bytes + bytes > KEPT_BYTES_MAX && (old = oldest(s)) != NULL)
        forget(s, old);
    for (size_t i = 0; i < KEPT_MAX && !place; i++)
        if (!s->kept[i].cbz)
            place = &s->kept[i];
    if (!place) {
        place = oldest(s);
        forget(s, place);
    }
    *place = (struct kept){.key = *key, .cbz = dz_cbz_ref(cbz), .used = ++s->uses};
    s->bytes += bytes;
}

/* ---- content --------------------------------------------------------------------------------- */

struct content {
    struct dz_http_source base;
    struct dz_http_req *req;
    struct dz_cbz *cbz;
    uint64_t at, left;
    const struct dz_sha256 *blob; /* whose bytes file or body are */
    struct dz_file *file;
    struct dz_body *body;
    struct fetch *fetch;   /* under way for `blob` */
    struct dz_timer again; /* when no worker could be had */
};

/* A page on its way from a store without files. */
struct fetch {
    struct dz_work work;
    struct dz_msg msg;
    struct api_loop *loop;
    struct content *content; /* NULL: gone; the loop's */
    struct dz_blob_ask ask;
    struct dz_body *body; /* one of the two, or err */
    struct dz_file *file;
    struct dz_err err;
};

static void complain(const struct content *c, enum dz_code code, const struct dz_err *err)
{
    static struct dz_log_gate gate;
    struct dz_log_ctx ctx = {.room = "api", .what = "cbz", .id = c->req->id};
    if (dz_log_gate_pass(&gate, 1000))
        dz_log_err(&ctx, DZ_ERROR, err,
                   code == DZ_NOT_FOUND
                       ? "the catalog has a page that the store has lost; run dozo check"
                       : "a page cannot be read");
}

static void content_free(struct dz_http_source **s)
{
    struct content *c = dz_container(dz_take(s), struct content, base);
    if (c->fetch)
        c->fetch->content = NULL;
    dz_timer_stop(c->req->loop, &c->again);
    dz_file_unref(&c->file);
    dz_body_unref(&c->body);
    dz_cbz_unref(&c->cbz);
    free(c);
}

static void fetch_free(struct fetch *f)
{
    dz_body_unref(&f->body);
    dz_file_unref(&f->file);
    free(f);
}

static void fetch_drop(struct dz_msg *m)
{
    fetch_free(dz_container(m, struct fetch, msg));
}

static void fetch_arrive(struct dz_loop *l, struct dz_msg *m)
{
    struct fetch *f = dz_container(m, struct fetch, msg);
    (void)l;
    if (f->content) {
        f->content->fetch = NULL;
        f->content->body = dz_take(&f->body);
        f->content->file = dz_take(&f->file);
        if (!f->content->body && !f->content->file)
            complain(f->content, f->err.code, &f->err);
        dz_http_source_wake(f->content->req);
    }
    fetch_free(f);
}

static void fetch_run(struct dz_work *w)
{
    struct fetch *f = dz_container(w, struct fetch, work);
    enum dz_code code =
        dz_library_fetch(f->loop->api->library, &f->ask, &f->body, &f->file, &f->err);
    if (code != DZ_OK)
        f->err.code = code;
}

/* Still on the worker, which has let go of w. */
static void fetch_done(struct dz_work *w)
{
    struct fetch *f = dz_container(w, struct fetch, work);
    if (!api_post(f->loop, &f->msg))
        fetch_free(f);
}

static void try_again(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    dz_http_source_wake(dz_container(t, struct content, again)->req);
}

/* -EAGAIN; when all workers are busy it is tried again soon. */
static ssize_t begin_fetch(struct content *c, const struct dz_cbz_piece *piece)
{
    struct api_loop *loop = c->req->loop_app;
    struct fetch *f = dz_new(struct fetch);
    f->work.run = fetch_run;
    f->work.done = fetch_done;
    f->msg.fn = fetch_arrive;
    f->msg.drop = fetch_drop;
    f->loop = loop;
    f->content = c;
    f->ask = (struct dz_blob_ask){.sha = *piece->blob, .bytes = piece->blob_bytes, .keep = true};
    if (dz_pool_submit(loop->api->readers, &f->work, NULL) == DZ_OK) {
        c->blob = piece->blob;
        c->fetch = f;
    } else {
        fetch_free(f);
        dz_timer_set(c->req->loop, &c->again, AGAIN_MS, try_again);
    }
    return -EAGAIN;
}

/* Has the page at hand as a file, as a body, or on its way (-EAGAIN). 0: at hand. */
static ssize_t have_blob(struct content *c, const struct dz_cbz_piece *piece)
{
    struct dz_api *a = c->req->app;
    struct dz_err err;
    if (c->blob == piece->blob)
        return c->file || c->body ? 0 : c->fetch ? -EAGAIN : -EIO;
    dz_file_unref(&c->file);
    dz_body_unref(&c->body);
    c->blob = NULL;
    c->body = dz_library_at_hand(a->library, piece->blob);
    if (c->body && c->body->n == piece->blob_bytes) {
        c->blob = piece->blob;
        return 0;
    }
    dz_body_unref(&c->body);
    enum dz_code code = dz_library_file(a->library, piece->blob, &c->file, &err);
    if (code == DZ_UNSUPPORTED)
        return begin_fetch(c, piece);
    if (code == DZ_OK && c->file->bytes != piece->blob_bytes) {
        code = dz_fail(&err, DZ_CORRUPT,
                       "a blob has %llu bytes, the catalog says %llu; run dozo check",
                       (unsigned long long)c->file->bytes, (unsigned long long)piece->blob_bytes);
        dz_file_unref(&c->file);
    }
    if (code != DZ_OK) {
        complain(c, code, &err);
        return -EIO;
    }
    c->blob = piece->blob;
    return 0;
}

static ssize_t read_blob(struct content *c, const struct dz_cbz_piece *piece, char *p, size_t n)
{
    ssize_t got = have_blob(c, piece);
    if (got < 0)
        return got;
    if (n > piece->n)
        n = (size_t)piece->n;
    if (c->body) {
        memcpy(p, c->body->p + piece->from, n);
        return (ssize_t)n;
    }
    do
        got = pread(c->file->fd, p, n, (off_t)piece->from);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        return got;
    struct dz_err err;
    enum dz_code code = got < 0 ? dz_fail_errno(&err, DZ_IO, errno, "a blob cannot be read")
                                : dz_fail(&err, DZ_IO, "a blob became shorter");
    complain(c, code, &err);
    return -EIO;
}

/* Headers as many as fit, and one stretch of a page. */
static ssize_t content_read(struct dz_http_source *s, char *p, size_t n)
{
    struct content *c = dz_container(s, struct content, base);
    struct dz_cbz_piece piece;
    size_t done = 0;
    bool goes_on = true;
    if (n > c->left)
        n = (size_t)c->left;
    while (goes_on && done < n && dz_cbz_piece(c->cbz, c->at, &piece)) {
        ssize_t got;
        if (piece.bytes.n > 0) {
            got = (ssize_t)(piece.bytes.n < n - done ? piece.bytes.n : n - done);
            memcpy(p + done, piece.bytes.p, (size_t)got);
        } else {
            got = read_blob(c, &piece, p + done, n - done);
            goes_on = false;
        }
        if (got < 0)
            return done > 0 ? (ssize_t)done : got;
        done += (size_t)got;
        c->at += (uint64_t)got;
        c->left -= (uint64_t)got;
    }
    return (ssize_t)done;
}

struct opening {
    struct dz_http_req *req;
    struct dz_cbz *cbz;
};

/* What the first page begins with is fetched before the status leaves: if that is lost, so is all.
 */
static struct dz_http_source *open_content(void *arg, uint64_t from, uint64_t n)
{
    const struct opening *o = arg;
    struct content *c = dz_new(struct content);
    struct dz_cbz_piece piece;
    c->base.read = content_read;
    c->base.free = content_free;
    c->req = o->req;
    c->cbz = dz_cbz_ref(o->cbz);
    c->at = from;
    c->left = n;
    struct dz_http_source *s = &c->base;
    uint64_t at = from;
    while (at < from + n && dz_cbz_piece(c->cbz, at, &piece) && piece.bytes.n > 0)
        at += piece.bytes.n;
    if (at < from + n) {
        ssize_t code = have_blob(c, &piece);
        if (code < 0 && code != -EAGAIN)
            dz_http_source_free(&s);
    }
    return s;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* RFC 6266 4.3 and RFC 8187: a name that every client can read, and the right one. */
static void put_attachment(struct dz_buf *out, dz_str name)
{
    dz_buf_put(out, DZ_S("attachment; filename=\""));
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        bool plain = c >= 0x20 && c < 0x7F && c != '"' && c != '\\' && c != '%';
        if (plain)
            dz_buf_putc(out, name.p[i]);
        else if ((c & 0xC0) != 0x80) /* one for each character */
            dz_buf_putc(out, '_');
    }
    dz_buf_put(out, DZ_S("\"; filename*=UTF-8''"));
    dz_buf_put_url(out, name);
}

static void reply(struct dz_http_req *r, struct dz_cbz *cbz)
{
    DZ_AUTO(dz_buf_done) struct dz_buf attachment;
    dz_buf_init(&attachment, 4 * DZ_KIB);
    put_attachment(&attachment, dz_cbz_name(cbz));
    struct dz_http_header_line entity[] = {
        {DZ_S("Content-Disposition"), dz_buf_str(&attachment)},
        {DZ_S("X-Content-Type-Options"), DZ_S("nosniff")},
    };
    struct dz_http_meta m = {.content_type = dz_str_of(dz_media_mime_of_name(DZ_S("a.cbz"))),
                             .etag = dz_cbz_etag(cbz),
                             .cache_control = CACHE_REVALIDATE,
                             .last_modified_s = dz_cbz_modified_s(cbz),
                             .ranges = true,
                             .extra_entity = entity,
                             .extra_entity_n = DZ_LEN(entity)};
    struct opening o = {r, cbz};
    dz_http_reply_content(r, &m, dz_cbz_bytes(cbz), open_content, &o);
}

/* ---- plans ----------------------------------------------------------------------------------- */

static void waiter_free(struct dz_msg *m)
{
    struct waiter *w = dz_container(m, struct waiter, msg);
    dz_cbz_unref(&w->cbz);
    free(w);
}

static void waiter_arrive(struct dz_loop *l, struct dz_msg *m)
{
    struct waiter *w = dz_container(m, struct waiter, msg);
    (void)l;
    if (w->cbz)
        reply(w->req, w->cbz);
    else
        answer_failed(w->req, answer_not_found, w->err.code, &w->err);
    waiter_free(m);
}

static void plan_run(struct dz_work *work)
{
    struct plan *p = dz_container(work, struct plan, work);
    struct cbz_shelf *s = p->api->cbz;
    struct dz_cbz *cbz = NULL;
    struct dz_err err = {0};
    if (dz_cbz_new(p->api->library, p->snap, p->chapter, &p->key.options, &cbz, &err) != DZ_OK)
        cbz = NULL;

    pthread_mutex_lock(&s->lock);
    struct plan **link = &s->plans;
    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
    s->plans_n--;
    if (cbz)
        keep(s, &p->key, cbz);
    pthread_mutex_unlock(&s->lock);

    for (struct waiter *w = p->waiters, *next; w; w = next) {
        next = w->next;
        w->cbz = cbz ? dz_cbz_ref(cbz) : NULL;
        w->err = err;
        if (!api_post(w->loop, &w->msg))
            waiter_free(&w->msg);
    }
    dz_cbz_unref(&cbz);
}

static void plan_done(struct dz_work *work)
{
    struct plan *p = dz_container(work, struct plan, work);
    dz_view_unref(&p->view);
    free(p);
}

/* The lock is held. NULL: there is no worker to be had. */
static struct plan *begin_plan(struct dz_http_req *r, const struct dz_snapshot *snap,
                               const struct dz_snap_chapter *chapter, const struct key *key)
{
    struct dz_api *a = r->app;
    if (a->cbz->plans_n >= PLANS_MAX)
        return NULL;
    struct plan *p = dz_new(struct plan);
    *p = (struct plan){.work = {.run = plan_run, .done = plan_done},
                       .api = a,
                       .view = dz_view_ref(((struct api_loop *)r->loop_app)->view),
                       .snap = snap,
                       .chapter = chapter,
                       .key = *key};
    if (dz_pool_submit(a->readers, &p->work, NULL) != DZ_OK) {
        plan_done(&p->work);
        return NULL;
    }
    p->next = a->cbz->plans;
    a->cbz->plans = p;
    a->cbz->plans_n++;
    return p;
}

/* The file if it is kept, else NULL and the request waits for it; or neither: *ret_busy. */
static struct dz_cbz *find_or_wait(struct dz_http_req *r, const struct dz_snapshot *snap,
                                   const struct dz_snap_chapter *chapter, const struct key *key,
                                   bool *ret_busy)
{
    struct cbz_shelf *s = ((struct dz_api *)r->app)->cbz;
    pthread_mutex_lock(&s->lock);
    struct dz_cbz *cbz = find_kept(s, key);
    struct plan *p = s->plans;
    while (!cbz && p && !is_same(&p->key, key))
        p = p->next;
    if (!cbz && !p)
        p = begin_plan(r, snap, chapter, key);
    if (!cbz && p) {
        struct waiter *w = dz_new(struct waiter);
        w->msg.fn = waiter_arrive;
        w->msg.drop = waiter_free;
        w->loop = r->loop_app;
        w->req = r;
        w->next = p->waiters;
        p->waiters = w;
        dz_http_defer(r);
    }
    *ret_busy = !cbz && !p;
    pthread_mutex_unlock(&s->lock);
    return cbz;
}

void handle_cbz(struct dz_http_req *r)
{
    const dz_str ext = DZ_S(".cbz");
    if (answered_for_shelf_host(r))
        return;
    const struct dz_view *v = view_of(r);
    dz_str name = r->capture[1];
    uint64_t series_id, chapter_id;
    const struct dz_snapshot *snap = NULL;
    const struct dz_snap_chapter *chapter = NULL;
    if (dz_str_ends(name, ext) && dz_str_u64(r->capture[0], INT64_MAX, &series_id, NULL) == DZ_OK &&
        dz_str_u64(dz_str_sub(name, 0, name.n - ext.n), INT64_MAX, &chapter_id, NULL) == DZ_OK)
        snap = dz_view_series(v, (int64_t)series_id);
    if (snap)
        chapter = dz_snapshot_chapter_by_id(snap, (int64_t)chapter_id);
    if (!chapter || chapter->pages_n == 0) {
        answer_not_found(r);
        return;
    }
    struct key key = {
        .serial = snap->serial,
        .chapter = chapter->id,
        .options = {v->conf->downloads.comicinfo_sizes, v->conf->downloads.comicinfo_21}};
    bool busy;
    DZ_AUTO(dz_cbz_unref) struct dz_cbz *cbz = find_or_wait(r, snap, chapter, &key, &busy);
    if (cbz)
        reply(r, cbz);
    else if (busy)
        answer_failed(r, answer_not_found, DZ_UNAVAILABLE, NULL);
}
