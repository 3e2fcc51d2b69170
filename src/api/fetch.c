/*
 * fetch: a stored page on its way to a reader. RAM first; large files by sendfile from the store's
 * own files; everything else is read by a worker while the request waits, one read for any number
 * of waiting requests (single-flight).
 *
 * The cache key is snapshot serial, page index and family, so that a new snapshot never meets an
 * old answer. A flight holds a reference on the view that its page lives in. Waiters belong to
 * their loops; the worker reaches them by message, and only while their loop still runs.
 */
#include "api/api_int.h"

struct waiter {
    struct dz_msg msg;
    struct waiter *next;
    struct api_loop *loop;
    struct dz_http_req *req;
    void (*missing)(struct dz_http_req *r);
    struct dz_body *prepared; /* one reference, or NULL: err */
    struct dz_err err;
};

struct flight {
    struct dz_work work;
    struct dz_api *api;
    struct dz_view *view;
    struct object_request object;
    char key[16];
    size_t key_n;
    char name[DZ_TEXT_MAX];
    struct waiter *waiters;
};

static size_t make_key(const struct object_request *o, char key[16])
{
    memcpy(key, &o->serial, 8);
    memcpy(key + 8, &o->page->index, 4);
    key[12] = o->kind;
    return 13;
}

static bool is_plain_name(dz_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool token = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     c == '.' || c == '-' || c == '_';
        if (!token)
            return false;
    }
    return s.n > 0;
}

/* RFC 6266: a token as it is; anything else as RFC 8187 filename*. */
static void put_disposition(struct dz_buf *out, dz_str name)
{
    if (is_plain_name(name)) {
        dz_buf_put(out, DZ_S("inline; filename="));
        dz_buf_put(out, name);
    } else {
        dz_buf_put(out, DZ_S("inline; filename*=UTF-8''"));
        dz_buf_put_url(out, name);
    }
}

/* Pictures that browsers only draw. Anything else that lay in a shelf's folder (HTML, SVG) is shown
 * from the reader's own origin too, so it gets no script, no forms and no guessing. */
static bool is_picture(const char *mime)
{
    return strncmp(mime, "image/", 6) == 0 && strncmp(mime, "image/svg", 9) != 0;
}

static struct dz_body *prepare(const struct object_request *o, dz_str body)
{
    const struct dz_snap_page *page = o->page;
    char etag[34];
    etag[0] = etag[33] = '"';
    dz_hex(page->sha.b, 16, etag + 1);

    struct dz_buf disposition;
    dz_buf_init(&disposition, 16 * DZ_KIB);
    if (o->name.n > 0)
        put_disposition(&disposition, o->name);
    struct dz_http_header_line both[] = {{DZ_S("X-Metadata"), o->x_metadata}};
    struct dz_http_header_line entity[3];
    size_t entity_n = 0;
    if (disposition.n > 0)
        entity[entity_n++] =
            (struct dz_http_header_line){DZ_S("Content-Disposition"), dz_buf_str(&disposition)};
    if (!is_picture(page->mime)) {
        entity[entity_n++] =
            (struct dz_http_header_line){DZ_S("X-Content-Type-Options"), DZ_S("nosniff")};
        entity[entity_n++] =
            (struct dz_http_header_line){DZ_S("Content-Security-Policy"), DZ_S("sandbox")};
    }
    struct dz_http_meta m = {.content_type = dz_str_of(page->mime),
                             .etag = {etag, sizeof etag},
                             .cache_control = o->cache_control,
                             .last_modified_s = page->mtime_s,
                             .ranges = true,
                             .extra = both,
                             .extra_n = o->x_metadata.n > 0 ? 1 : 0,
                             .extra_entity = entity,
                             .extra_entity_n = entity_n};
    struct dz_body *b = dz_http_prepare(&m, body, page->bytes);
    dz_buf_done(&disposition);
    return b;
}

static void answer_busy(struct dz_http_req *r)
{
    struct dz_buf body;
    dz_str type;
    dz_buf_init(&body, 4 * DZ_KIB);
    answer_error_body(503, NULL, &body, &type);
    struct dz_http_header_line retry[] = {{DZ_S("Retry-After"), DZ_S("1")}};
    struct dz_http_meta m = {.status = 503,
                             .content_type = type,
                             .cache_control = NO_STORE,
                             .last_modified_s = -1,
                             .extra = retry,
                             .extra_n = 1};
    dz_http_reply_buf(r, &m, &body);
    dz_buf_done(&body);
}

void answer_failed(struct dz_http_req *r, void (*missing)(struct dz_http_req *r), enum dz_code code,
                   const struct dz_err *err)
{
    static struct dz_log_gate gate;
    if (code == DZ_NOT_FOUND) {
        struct dz_log_ctx ctx = {.room = "api", .what = "page", .id = r->id};
        if (dz_log_gate_pass(&gate, 1000))
            dz_log_err(&ctx, DZ_ERROR, err,
                       "the catalog has a page that the store has lost; run dozo check");
        missing(r);
    } else if (dz_code_retries(code)) {
        answer_busy(r);
    } else {
        answer_error(r, code, err);
    }
}

/* ---- the worker's side ----------------------------------------------------------------------- */

static void waiter_free(struct dz_msg *m)
{
    struct waiter *w = dz_container(m, struct waiter, msg);
    dz_body_unref(&w->prepared);
    free(w);
}

static void waiter_arrive(struct dz_loop *l, struct dz_msg *m)
{
    struct waiter *w = dz_container(m, struct waiter, msg);
    (void)l;
    if (w->prepared)
        dz_http_reply_prepared(w->req, w->prepared);
    else
        answer_failed(w->req, w->missing, w->err.code, &w->err);
    waiter_free(m);
}

static void flight_run(struct dz_work *work)
{
    struct flight *f = dz_container(work, struct flight, work);
    struct dz_body *bytes = NULL, *prepared = NULL;
    struct dz_err err = {0};
    if (dz_library_body(f->api->library, &f->object.page->sha, &bytes, &err) == DZ_OK) {
        if (bytes->n == f->object.page->bytes) {
            prepared = prepare(&f->object, (dz_str){bytes->p, bytes->n});
            dz_cache_put(f->api->cache, (dz_str){f->key, f->key_n}, prepared);
        } else {
            dz_fail(&err, DZ_CORRUPT, "a blob has %zu bytes, the catalog says %llu; run dozo check",
                    bytes->n, (unsigned long long)f->object.page->bytes);
        }
        dz_body_unref(&bytes);
    }

    pthread_mutex_lock(&f->api->lock);
    dz_map_del(&f->api->flights, (dz_str){f->key, f->key_n});
    struct waiter *w = f->waiters;
    while (w) {
        struct waiter *next = w->next;
        if (prepared)
            w->prepared = dz_body_ref(prepared);
        w->err = err;
        if (w->loop->loop)
            dz_loop_post(w->loop->loop, &w->msg);
        else
            waiter_free(&w->msg);
        w = next;
    }
    pthread_mutex_unlock(&f->api->lock);
    dz_body_unref(&prepared);
}

static void flight_done(struct dz_work *work)
{
    struct flight *f = dz_container(work, struct flight, work);
    dz_view_unref(&f->view);
    free(f);
}

/* ---- the loop's side ------------------------------------------------------------------------- */

static void wait_for(struct dz_http_req *r, const struct object_request *o)
{
    struct dz_api *a = r->app;
    struct waiter *w = dz_new(struct waiter);
    w->msg.fn = waiter_arrive;
    w->msg.drop = waiter_free;
    w->loop = r->loop_app;
    w->req = r;
    w->missing = o->missing;

    char key[16];
    size_t key_n = make_key(o, key);
    struct dz_err err = {0};
    enum dz_code code = DZ_OK;
    pthread_mutex_lock(&a->lock);
    struct flight *f = dz_map_get(&a->flights, (dz_str){key, key_n});
    if (f) {
        w->next = f->waiters;
        f->waiters = w;
    } else {
        f = dz_new(struct flight);
        f->work.run = flight_run;
        f->work.done = flight_done;
        f->api = a;
        f->view = dz_view_ref(w->loop->view);
        f->object = *o;
        f->object.name = (dz_str){
            f->name, o->name.n}; /* the request's own text may go before the worker is done */
        if (o->name.n > sizeof f->name)
            f->object.name.n = 0; /* then it goes without Content-Disposition */
        else if (o->name.n > 0)
            memcpy(f->name, o->name.p, o->name.n);
        memcpy(f->key, key, key_n);
        f->key_n = key_n;
        f->waiters = w;
        dz_map_set(&a->flights, (dz_str){f->key, f->key_n}, f);
        code = dz_pool_submit(a->pool, &f->work, &err);
        if (code != DZ_OK)
            dz_map_del(&a->flights, (dz_str){f->key, f->key_n});
    }
    if (code == DZ_OK)
        dz_http_defer(r);
    pthread_mutex_unlock(&a->lock);
    if (code != DZ_OK) {
        dz_view_unref(&f->view);
        free(f);
        free(w);
        answer_busy(r);
    }
}

void serve_object(struct dz_http_req *r, const struct object_request *o)
{
    struct dz_api *a = r->app;
    char key[16];
    dz_str k = {key, make_key(o, key)};
    struct dz_body *prepared = NULL;
    bool hit = dz_cache_get(a->cache, k, &prepared);
    if (hit && (prepared->n > prepared->head_n || o->page->bytes == 0)) {
        dz_http_reply_prepared(r, prepared);
        dz_body_unref(&prepared);
        return;
    }
    struct dz_file *file = NULL;
    struct dz_err err = {0};
    enum dz_code code = DZ_UNSUPPORTED;
    if (o->page->bytes > SMALL_BODY_MAX)
        code = dz_library_file(a->library, &o->page->sha, &file, &err);
    if (code == DZ_OK && file->bytes != o->page->bytes) {
        dz_fail(&err, DZ_CORRUPT, "a blob has %llu bytes, the catalog says %u; run dozo check",
                (unsigned long long)file->bytes, o->page->bytes);
        answer_failed(r, o->missing, DZ_CORRUPT, &err);
        dz_file_unref(&file);
    } else if (code == DZ_OK) {
        if (!hit) {
            prepared = prepare(o, (dz_str){NULL, 0});
            dz_cache_put(a->cache, k, prepared);
        }
        dz_http_reply_file(r, prepared, file);
        dz_file_unref(&file);
    } else if (code == DZ_UNSUPPORTED) {
        wait_for(r, o);
    } else {
        answer_failed(r, o->missing, code, &err);
    }
    dz_body_unref(&prepared);
}
