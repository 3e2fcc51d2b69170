/*
 * fetch: a stored page on its way to a reader. RAM first; large files by sendfile, from the store's
 * own files or from those that were fetched from a store without; everything else is read by a
 * worker while the request waits (cold.c).
 *
 * The cache key is snapshot serial, page index and family, so that a new snapshot never meets an
 * old answer.
 */
#include "api/api_int.h"

/* A page on its way; holds the view that it lies in. */
struct page_cold {
    struct dz_view *view;
    struct object_request object;
    char key[16];
    size_t key_n;
    char name[DZ_TEXT_MAX];
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

void answer_later(struct dz_http_req *r)
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
        answer_later(r);
    } else {
        /* What a database does not let its own role do is no fault of whoever asks. */
        answer_error(r, code == DZ_FORBIDDEN ? DZ_IO : code, err);
    }
}

static enum dz_code make_page(struct dz_api *a, void *what, struct cold_made *ret_made,
                              struct dz_err *err)
{
    const struct page_cold *p = what;
    const struct dz_snap_page *page = p->object.page;
    struct dz_blob_ask ask = {.sha = page->sha, .bytes = page->bytes};
    DZ_AUTO(dz_body_unref) struct dz_body *bytes = NULL;
    DZ_TRY(dz_library_fetch(a->library, &ask, &bytes, &ret_made->file, err));
    dz_str body = bytes ? (dz_str){bytes->p, bytes->n} : (dz_str){0};
    ret_made->body = prepare(&p->object, body);
    dz_cache_put(a->cache, (dz_str){p->key, p->key_n}, ret_made->body);
    return DZ_OK;
}

static void free_page(void *what)
{
    struct page_cold *p = what;
    dz_view_unref(&p->view);
    free(p);
}

static void reply_page(struct dz_http_req *r, void (*missing)(struct dz_http_req *r),
                       const struct cold_made *made, const struct dz_err *err)
{
    if (made->file)
        dz_http_reply_file(r, made->body, made->file);
    else if (made->body)
        dz_http_reply_prepared(r, made->body);
    else
        answer_failed(r, missing, err->code, err);
}

static void wait_for(struct dz_http_req *r, const struct object_request *o)
{
    struct page_cold *p = dz_new(struct page_cold);
    p->view = dz_view_ref(((struct api_loop *)r->loop_app)->view);
    p->object = *o;
    /* The request's own text may go before the worker is done. One that is too long goes without
     * Content-Disposition. */
    p->object.name = (dz_str){p->name, o->name.n <= sizeof p->name ? o->name.n : 0};
    if (p->object.name.n > 0)
        memcpy(p->name, o->name.p, o->name.n);
    p->key_n = make_key(o, p->key);
    struct cold cold = {.key_n = p->key_n,
                        .make = make_page,
                        .free = free_page,
                        .take_what = p,
                        .reply = reply_page,
                        .missing = o->missing};
    memcpy(cold.key, p->key, p->key_n);
    answer_when_made(r, &cold);
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
