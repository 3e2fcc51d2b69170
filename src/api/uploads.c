/*
 * uploads: files that programs send and people fetch (contracts/imoog.md): POST /upload is in
 * upload_in.c, who may in upload_auth.c; here are GET ENDPOINT/NAME, /delete/NAME and the rows of
 * the route table.
 *
 * A name is an id and whatever follows its first dot. The first request for an upload asks the
 * catalog by a worker (cold.c) and makes a prepared answer, which stays in RAM, with the bytes when
 * they are few; larger ones leave by sendfile. Behind the answer's last byte lies what the loop has
 * to know to open the file. A deletion takes the answer out of RAM: that of this process at once,
 * of another one when the keeper hears of it. A worker that read the row just before looks at the
 * count of deletions after it has put its answer there.
 */
#include "api/upload_int.h"

#define ALL_METHODS (DZ_HTTP_GET | DZ_HTTP_POST | DZ_HTTP_PUT | DZ_HTTP_DELETE | DZ_HTTP_PATCH)
#define ARENA_BYTES (64 * DZ_KIB)

struct uploads {
    struct dz_api *api;
    atomic_uint_fast64_t gone_n; /* deletions that were heard of */
    atomic_uint_fast64_t round;  /* of cache keys: another one when nobody knows what was deleted */
};

struct facts { /* behind a prepared answer */
    struct dz_sha256 sha;
    uint64_t bytes;
    uint8_t in_memory; /* the bytes lie in front of this */
};

static void missing(struct dz_http_req *r)
{
    dz_http_reply_text(r, (int)view_of(r)->conf->uploads.not_found_status, (dz_str){0}, NO_STORE,
                       (dz_str){0});
}

/* ---- names and keys ---------------------------------------------------------------------------
 */

/* False: no upload has such a name. */
static bool id_of(const struct dz_http_req *r, dz_str *ret_id)
{
    dz_str name = r->capture[0];
    *ret_id = dz_str_sub(name, 0, dz_str_chr(name, '.'));
    return ret_id->n > 0 && ret_id->n <= DZ_TEXT_MAX && dz_str_is_utf8(*ret_id) &&
           dz_str_chr(*ret_id, '\0') == DZ_NPOS;
}

/* A letter a kind of answer, the round, and the id or its digest. */
static size_t make_key(const struct uploads *u, char kind, dz_str id, char key[DZ_CACHE_KEY_MAX])
{
    uint64_t round = atomic_load(&u->round);
    key[0] = kind;
    memcpy(key + 1, &round, sizeof(round));
    size_t n = 1 + sizeof(round);
    if (id.n <= DZ_CACHE_KEY_MAX - n) {
        memcpy(key + n, id.p, id.n);
        return n + id.n;
    }
    struct dz_sha256 digest = dz_sha256_of(id);
    memcpy(key + n, digest.b, sizeof(digest.b));
    return n + sizeof(digest.b);
}

static void forget(void *arg, dz_str id)
{
    struct uploads *u = arg;
    char key[DZ_CACHE_KEY_MAX];
    atomic_fetch_add(&u->gone_n, 1);
    if (id.n == 0)
        atomic_fetch_add(&u->round, 1);
    for (const char *kind = "UO"; *kind && id.n > 0; kind++)
        dz_cache_del(u->api->cache, (dz_str){key, make_key(u, *kind, id, key)});
}

/* ---- making an answer -------------------------------------------------------------------------
 */

struct wanted { /* of one flight */
    char kind;
    char key[DZ_CACHE_KEY_MAX];
    size_t key_n;
    struct dz_conf *conf;
    char *id;
};

static void wanted_free(void *what)
{
    struct wanted *w = what;
    dz_conf_unref(&w->conf);
    free(w->id);
    free(w);
}

static bool is_text(dz_str mime)
{
    return mime.n >= 5 && dz_str_eq_nocase(dz_str_sub(mime, 0, 5), DZ_S("text/"));
}

static bool has_control(dz_str mime)
{
    for (size_t i = 0; i < mime.n; i++)
        if ((unsigned char)mime.p[i] < 0x20 || mime.p[i] == 0x7F)
            return true;
    return false;
}

static bool has_charset(dz_str mime)
{
    for (size_t i = 0; i + 8 <= mime.n; i++)
        if (dz_str_eq_nocase(dz_str_sub(mime, i, i + 8), DZ_S("charset=")))
            return true;
    return false;
}

/* What a browser would run: it gets no script, no forms and no cookies of this origin. */
static bool is_active(dz_str mime)
{
    dz_str type = dz_str_trim(dz_str_sub(mime, 0, dz_str_chr(mime, ';')));
    return dz_str_eq_nocase(type, DZ_S("text/html")) ||
           (type.n >= 3 && dz_str_eq_nocase(dz_str_sub(type, type.n - 3, type.n), DZ_S("xml")));
}

static struct dz_body *prepare(const struct wanted *w, const struct dz_upload_rec *u)
{
    char etag[34];
    etag[0] = etag[33] = '"';
    dz_hex(u->blob.sha.b, 16, etag + 1);
    DZ_AUTO(dz_buf_done) struct dz_buf type;
    dz_buf_init(&type, 2 * (size_t)DZ_TEXT_MAX);
    if (!has_control(u->mime)) /* of a row that somebody else wrote */
        dz_buf_put(&type, dz_str_trim(u->mime));
    if (type.n > 0 && is_text(u->mime) && !has_charset(u->mime))
        dz_buf_put(&type, DZ_S("; charset=utf-8"));
    const struct dz_http_header_line lines[] = {
        {DZ_S("X-Content-Type-Options"), DZ_S("nosniff")},
        {DZ_S("Content-Security-Policy"), DZ_S("sandbox")},
    };
    struct dz_http_meta m = {.content_type = dz_buf_str(&type),
                             .etag = {etag, sizeof(etag)},
                             .cache_control = dz_str_of(w->conf->uploads.cache_control),
                             .last_modified_s = u->created_ms / 1000,
                             .ranges = true,
                             .extra_entity = lines,
                             .extra_entity_n = is_active(u->mime) ? 2 : 1};
    return dz_http_prepare(&m, (dz_str){NULL, 0}, u->blob.bytes);
}

/* The bytes when they are few, else a file. */
static enum dz_code read_bytes(struct dz_library *l, const struct dz_upload_rec *u,
                               struct dz_body **ret_bytes, struct dz_file **ret_file,
                               struct dz_err *err)
{
    bool has_names = dz_store_has_names(dz_library_store(l));
    struct dz_blob_ask ask = {.sha = u->blob.sha, .bytes = u->blob.bytes};
    enum dz_code code = DZ_UNSUPPORTED;
    if (has_names) {
        ask.name = u->id;
        ask.mime = u->mime;
    }
    if (u->blob.bytes > SMALL_BODY_MAX)
        code = dz_library_file(l, &u->blob.sha, ret_file, err);
    if (code == DZ_UNSUPPORTED)
        code = dz_library_fetch(l, &ask, ret_bytes, ret_file, err);
    if (code == DZ_NOT_FOUND && !has_names)
        return dz_fail(err, DZ_CORRUPT,
                       "the store has lost the bytes of upload %.*s; run dozo check",
                       (int)(u->id.n < 100 ? u->id.n : 100), u->id.p);
    if (code == DZ_OK && *ret_file && (*ret_file)->bytes != u->blob.bytes)
        return dz_fail(err, DZ_CORRUPT,
                       "a blob has %llu bytes, the catalog says %llu; run dozo check",
                       (unsigned long long)(*ret_file)->bytes, (unsigned long long)u->blob.bytes);
    return code;
}

/* A row of the store that somebody has changed has other bytes than those that were known of it:
 * they are known when it was read, and the second time they are right. */
static enum dz_code find_and_read(struct dz_api *a, const struct wanted *w, struct dz_arena *arena,
                                  struct dz_upload_rec *ret_u, struct dz_body **ret_bytes,
                                  struct dz_file **ret_file, struct dz_err *err)
{
    dz_str id = dz_str_of(w->id);
    DZ_TRY(dz_library_upload_find(a->library, id, arena, ret_u, err));
    enum dz_code code = read_bytes(a->library, ret_u, ret_bytes, ret_file, err);
    if (code != DZ_NOT_FOUND)
        return code;
    DZ_TRY(dz_library_upload_find(a->library, id, arena, ret_u, err));
    return read_bytes(a->library, ret_u, ret_bytes, ret_file, err);
}

static enum dz_code make_content(struct dz_api *a, const struct wanted *w, struct dz_arena *arena,
                                 struct cold_made *ret_made, struct dz_err *err)
{
    DZ_AUTO(dz_body_unref) struct dz_body *bytes = NULL;
    struct dz_upload_rec rec;
    const struct dz_upload_rec *u = &rec;
    DZ_TRY(find_and_read(a, w, arena, &rec, &bytes, &ret_made->file, err));
    struct facts facts;
    memset(&facts, 0, sizeof(facts));
    facts.sha = u->blob.sha;
    facts.bytes = u->blob.bytes;
    facts.in_memory = bytes != NULL;
    DZ_AUTO(dz_body_unref) struct dz_body *head = prepare(w, u);
    size_t n = bytes ? bytes->n : 0;
    DZ_TRY(dz_body_try(head->n + n + sizeof(facts), &ret_made->body, err));
    struct dz_body *made = ret_made->body;
    made->head_n = head->head_n;
    memcpy(made->p, head->p, head->n);
    if (n > 0)
        memcpy(made->p + head->n, bytes->p, n);
    memcpy(made->p + head->n + n, &facts, sizeof(facts));
    return DZ_OK;
}

static enum dz_code make(struct dz_api *a, void *what, struct cold_made *ret_made,
                         struct dz_err *err)
{
    const struct wanted *w = what;
    struct uploads *u = a->uploads;
    uint64_t gone_n = atomic_load(&u->gone_n);
    DZ_AUTO(dz_arena_free) struct dz_arena *arena = dz_arena_new(ARENA_BYTES);
    if (w->kind == 'O') {
        struct dz_upload_rec rec;
        DZ_TRY(dz_library_upload_find(a->library, dz_str_of(w->id), arena, &rec, err));
        dz_str type = dz_str_sub(rec.mime, 0, 5);
        ret_made->body = dz_body_new(1);
        ret_made->body->p[0] = dz_str_eq_nocase(type, DZ_S("video")) ? 'v' : 'i';
    } else {
        DZ_TRY(make_content(a, w, arena, ret_made, err));
    }
    dz_str key = {w->key, w->key_n};
    dz_cache_put(a->cache, key, ret_made->body);
    if (atomic_load(&u->gone_n) != gone_n)
        dz_cache_del(a->cache, key);
    return DZ_OK;
}

/* ---- showing it -------------------------------------------------------------------------------
 */

/* False: the bytes are not at hand and have to be fetched again. */
static bool show_content(struct dz_http_req *r, const struct cold_made *made)
{
    struct dz_api *a = r->app;
    struct facts facts;
    memcpy(&facts, made->body->p + made->body->n - sizeof(facts), sizeof(facts));
    if (facts.in_memory) {
        dz_http_reply_prepared(r, made->body);
        return true;
    }
    DZ_AUTO(dz_file_unref) struct dz_file *file = made->file ? dz_file_ref(made->file) : NULL;
    struct dz_err err = {0};
    enum dz_code code = file ? DZ_OK : dz_library_file(a->library, &facts.sha, &file, &err);
    if (code == DZ_UNSUPPORTED)
        return false;
    if (code == DZ_OK)
        dz_http_reply_file(r, made->body, file);
    else
        answer_failed(r, missing, code, &err);
    return true;
}

static void put_tag(struct dz_buf *b, dz_str name, dz_str value)
{
    dz_buf_put(b, DZ_S("<meta property=\"og:"));
    dz_buf_put_html(b, name);
    dz_buf_put(b, DZ_S("\" content=\""));
    dz_buf_put_html(b, value);
    dz_buf_put(b, DZ_S("\" />\n"));
}

static void show_opengraph(struct dz_http_req *r, struct dz_body *made)
{
    const struct dz_conf *c = view_of(r)->conf;
    DZ_AUTO(dz_buf_done) struct dz_buf page, address;
    dz_str id;
    if (!id_of(r, &id))
        id = (dz_str){0};
    dz_buf_init(&page, DZ_MIB);
    dz_buf_init(&address, 64 * DZ_KIB);
    dz_buf_put(&address, r->https ? DZ_S("https://") : DZ_S("http://"));
    dz_buf_put(&address, r->host);
    dz_buf_put(&address, dz_str_of(c->uploads.endpoint));
    dz_buf_put_url(&address, id);
    dz_buf_put(&address, DZ_S("?opengraph_pass=yes"));
    dz_str base = dz_str_of(c->uploads.opengraph.base_html);
    if (base.n == 0)
        base = DZ_S("<!DOCTYPE html>\n<html>\n<head>\n<title>dozo</title>\n" DZ_OPENGRAPH_SLOT
                    "</head>\n<body></body>\n</html>\n");
    size_t slot = dz_str_find(base, DZ_S(DZ_OPENGRAPH_SLOT));
    dz_buf_put(&page, dz_str_sub(base, 0, slot));
    for (size_t i = 0; i < c->uploads.opengraph.properties.n; i++)
        put_tag(&page, dz_str_of(c->uploads.opengraph.properties.v[i].name),
                dz_str_of(c->uploads.opengraph.properties.v[i].text));
    put_tag(&page, made->p[0] == 'v' ? DZ_S("video") : DZ_S("image"), dz_buf_str(&address));
    dz_buf_put(&page, dz_str_sub(base, slot + strlen(DZ_OPENGRAPH_SLOT), base.n));
    struct dz_http_meta m = {.content_type = DZ_S("text/html; charset=utf-8"),
                             .cache_control = CACHE_REVALIDATE,
                             .last_modified_s = -1};
    dz_http_reply_buf(r, &m, &page);
}

static bool wants_opengraph(struct dz_http_req *r)
{
    dz_str pass;
    return view_of(r)->conf->uploads.opengraph.enabled &&
           (!dz_http_query(r, DZ_S("opengraph_pass"), &pass) || pass.n == 0);
}

static bool show_made(struct dz_http_req *r, const struct cold_made *made)
{
    if (made->body->head_n > 0)
        return show_content(r, made);
    show_opengraph(r, made->body);
    return true;
}

static void show(struct dz_http_req *r, void (*none)(struct dz_http_req *r),
                 const struct cold_made *made, const struct dz_err *err)
{
    if (!made->body && err->code == DZ_NOT_FOUND)
        none(r);
    else if (!made->body)
        answer_failed(r, none, err->code, err);
    else if (!show_made(r, made))
        answer_later(r);
}

static void handle_show(struct dz_http_req *r)
{
    struct dz_api *a = r->app;
    dz_str id;
    if (answered_for_shelf_host(r))
        return;
    if (!id_of(r, &id)) {
        missing(r);
        return;
    }
    struct cold cold = {.make = make, .free = wanted_free, .reply = show, .missing = missing};
    char kind = wants_opengraph(r) ? 'O' : 'U';
    cold.key_n = make_key(a->uploads, kind, id, cold.key);
    DZ_AUTO(dz_body_unref) struct dz_body *made = NULL;
    if (dz_cache_get(a->cache, (dz_str){cold.key, cold.key_n}, &made) &&
        show_made(r, &(struct cold_made){.body = made}))
        return;
    struct wanted *w = dz_new(struct wanted);
    w->kind = kind;
    w->key_n = cold.key_n;
    memcpy(w->key, cold.key, cold.key_n);
    w->conf = dz_conf_ref(view_of(r)->conf);
    w->id = dz_str_dup(id);
    cold.take_what = w;
    answer_when_made(r, &cold);
}

/* ---- deleting ---------------------------------------------------------------------------------
 */

struct deletion {
    struct dz_work work;
    struct dz_http_req *r;
    struct dz_api *api;
    char *id;
    char who[64]; /* the key's name; "": it has none */
    bool was;
    enum dz_code code;
    struct dz_err err;
};

static void run_deletion(struct dz_work *work)
{
    struct deletion *d = dz_container(work, struct deletion, work);
    dz_str id = dz_str_of(d->id);
    d->code = dz_library_upload_delete(d->api->library, id, &d->was, &d->err);
    if (d->code == DZ_OK) /* also what somebody else has deleted from the database */
        forget(d->api->uploads, id);
}

static void deletion_free(struct deletion *d)
{
    free(d->id);
    free(d);
}

static void deletion_done(struct dz_work *work)
{
    struct deletion *d = dz_container(work, struct deletion, work);
    struct dz_http_req *r = d->r;
    uint64_t id = r->id; /* r is gone when it is answered */
    if (d->code != DZ_OK)
        answer_failed(r, missing, d->code, &d->err);
    else if (!d->was)
        missing(r);
    else
        dz_http_reply_text(r, (int)view_of(r)->conf->uploads.deleted_status, (dz_str){0}, NO_STORE,
                           (dz_str){0});
    if (d->code == DZ_OK && d->was)
        upload_log(id, "deleted", dz_str_of(d->id), dz_str_of(d->who));
    deletion_free(d);
}

static bool may_not_delete(struct dz_http_req *r, dz_str *ret_who)
{
    *ret_who = (dz_str){0};
    if (dz_view_host_of(view_of(r), r->host).kind != DZ_HOST_NONE) {
        answer_not_found(r);
        return true;
    }
    return view_of(r)->conf->uploads.delete_requires_auth &&
           upload_refused(r, DZ_UPLOADS_DELETE, ret_who);
}

static void handle_delete(struct dz_http_req *r)
{
    dz_str id, who;
    if (may_not_delete(r, &who))
        return;
    if (!id_of(r, &id)) {
        missing(r);
        return;
    }
    struct deletion *d = dz_new(struct deletion);
    d->work = (struct dz_work){.run = run_deletion, .home = r->loop, .done = deletion_done};
    d->r = r;
    d->api = r->app;
    d->id = dz_str_dup(id);
    memcpy(d->who, who.n > 0 ? who.p : "", who.n);
    dz_http_defer(r);
    if (dz_pool_submit(d->api->pool, &d->work, NULL) != DZ_OK) {
        deletion_free(d);
        answer_later(r);
    }
}

static void handle_delete_nothing(struct dz_http_req *r)
{
    dz_str who;
    if (!may_not_delete(r, &who))
        missing(r);
}

/* ---- routes -----------------------------------------------------------------------------------
 */

/* The same address without the slash at its end. */
static void handle_slash(struct dz_http_req *r)
{
    answer_elsewhere(r, (dz_str){NULL, 0}, dz_str_sub(r->raw_path, 0, r->raw_path.n - 1));
}

static unsigned methods_of(const struct dz_strs *names)
{
    static const struct {
        const char *name;
        unsigned bit;
    } rows[] = {{"GET", DZ_HTTP_GET}, {"HEAD", DZ_HTTP_HEAD},   {"POST", DZ_HTTP_POST},
                {"PUT", DZ_HTTP_PUT}, {"PATCH", DZ_HTTP_PATCH}, {"DELETE", DZ_HTTP_DELETE}};
    unsigned bits = 0;
    for (size_t i = 0; i < names->n; i++)
        for (size_t k = 0; k < DZ_LEN(rows); k++)
            if (strcmp(names->v[i], rows[k].name) == 0)
                bits |= rows[k].bit;
    return bits;
}

/* As many as a pattern may have is far more than anybody needs. */
static enum dz_code check_endpoint(const char *endpoint, struct dz_err *err)
{
    unsigned slashes = 0;
    for (const char *p = endpoint; *p; p++)
        slashes += *p == '/';
    return slashes <= 8 ? DZ_OK
                        : dz_fail(err, DZ_BAD_INPUT, "uploads.endpoint: more than 8 slashes");
}

enum dz_code uploads_routes(const struct dz_conf *c, struct dz_arena *a,
                            const struct dz_http_route *others, size_t others_n,
                            struct dz_http_route **ret_routes, size_t *ret_n, struct dz_err *err)
{
    bool on = c->uploads.enabled;
    const char *endpoint = c->uploads.endpoint;
    DZ_TRY(check_endpoint(endpoint, err));
    const char *show = dz_arena_printf(a, "%s{}", endpoint).p;
    unsigned deletes = methods_of(&c->uploads.delete_methods);
    /* Rows without methods: what the settings leave out is 405, not the page of a series. */
    const struct dz_http_route own[] = {
        {"upload", DZ_HTTP_POST | DZ_HTTP_STREAMED, "/upload", handle_upload},
        {"upload_show", methods_of(&c->uploads.endpoint_methods), show, handle_show},
        {"upload_show", 0, show, answer_not_found},
        {"upload_delete", deletes, "/delete/{}", handle_delete},
        {"upload_delete", 0, "/delete/{}", answer_not_found},
        {"upload_delete", deletes, "/delete", handle_delete_nothing},
        {"upload_delete", 0, "/delete", answer_not_found},
        {"upload_slash", ALL_METHODS, "/upload/", handle_slash},
        {"upload_slash", ALL_METHODS, dz_arena_printf(a, "%s{}/", endpoint).p, handle_slash},
        {"upload_slash", ALL_METHODS, "/delete/", handle_slash},
        {"upload_slash", ALL_METHODS, "/delete/{}/", handle_slash},
    };
    struct dz_http_route *v =
        dz_arena_alloc(a, (others_n + DZ_LEN(own)) * sizeof(struct dz_http_route));
    size_t n = others_n;
    memcpy(v, others, others_n * sizeof(*v));
    for (size_t i = 0; i < DZ_LEN(own); i++) {
        for (size_t k = 0; k < others_n; k++)
            if (strcmp(own[i].pattern, others[k].pattern) == 0)
                return dz_fail(err, DZ_BAD_INPUT,
                               "uploads.endpoint: %s belongs to something else (%s)", endpoint,
                               others[k].name);
        v[n] = own[i];
        if (!on) {
            v[n].methods = ALL_METHODS;
            v[n].handler = answer_not_found;
        }
        n++;
    }
    *ret_routes = v;
    *ret_n = n;
    return DZ_OK;
}

void uploads_new(struct dz_api *a)
{
    struct uploads *u = dz_new(struct uploads);
    u->api = a;
    a->uploads = u;
    dz_library_on_upload_gone(a->library, forget, u);
}

void uploads_free(struct uploads **u)
{
    dz_freep(u);
}
