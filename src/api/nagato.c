/*
 * nagato: what the routes of the library API (contracts/nagato.md 4) have in common: parameters,
 * which chapters or series they select, and the routes that only say what is there.
 *
 * Addresses are understood by sources, so the back resolves them. A site and an id need no source
 * where the catalog has the answer; the sites of the last list that the back gave are remembered,
 * so that marks and favourites work while it is away.
 */
#include "api/nagato_int.h"

#define API_VERSION DZ_S("1.2")

#define NO_REF DZ_S("Request is missing the URL parameter or the Site and ID parameters")
#define NO_URL DZ_S("Request is missing the URL parameter")
#define NOT_JSON DZ_S("Content of request is not well-formed JSON")

/* ---- parameters ------------------------------------------------------------------------------ */

bool ask_param(const struct ask *a, dz_str name, dz_str *ret_value)
{
    for (size_t i = 0; i < a->params_n; i++) {
        if (!dz_str_eq(a->params[i].name, name))
            continue;
        *ret_value = a->params[i].value;
        return true;
    }
    return false;
}

bool ask_flag(const struct ask *a, dz_str name)
{
    dz_str value;
    return ask_param(a, name, &value) && dz_str_eq(value, DZ_S("true"));
}

json_t *json_of(dz_str s)
{
    json_t *v = json_stringn(s.n > 0 ? s.p : "", s.n);
    dz_assert(v); /* texts are looked at when they come in */
    return v;
}

static json_t *json_url(dz_str url)
{
    return json_pack("{so}", "url", json_of(url));
}

json_t *json_ref(const struct ask_ref *ref)
{
    return json_pack("{soso}", "site", json_of(ref->site), "id", json_of(ref->id));
}

/* Answered when it is longer than it may be. */
static bool fits(struct ask *a, dz_str s, size_t max, const char *what)
{
    char words[64];
    if (s.n <= max)
        return true;
    int n = snprintf(words, sizeof(words), " is longer than %zu bytes", max);
    ask_reply_words(a, 400, what, (dz_str){words, (size_t)n}, "");
    return false;
}

/* True with n = 0 as well; answered when there is one that is too long. */
static bool read_site(struct ask *a)
{
    a->sites = dz_arena_alloc(a->arena, sizeof(*a->sites));
    a->sites_n = ask_param(a, DZ_S("site"), &a->sites[0]);
    return a->sites_n == 0 || fits(a, a->sites[0], ASK_TEXT_MAX, "The site");
}

static bool read_url(struct ask *a, dz_str *ret_url)
{
    return ask_param(a, DZ_S("url"), ret_url) && fits(a, *ret_url, ASK_URL_MAX, "The URL");
}

/* The url when there is one, else a->refs[0]; false: answered. */
static bool read_selection(struct ask *a, dz_str *ret_url)
{
    dz_str id;
    *ret_url = (dz_str){NULL, 0};
    if (ask_param(a, DZ_S("url"), &id))
        return read_url(a, ret_url);
    if (!read_site(a))
        return false;
    if (a->sites_n == 0 || !ask_param(a, DZ_S("id"), &id)) {
        ask_reply_words(a, 400, "", NO_REF, "");
        return false;
    }
    a->refs = dz_arena_alloc(a->arena, sizeof(*a->refs));
    a->refs[0] = (struct ask_ref){a->sites[0], id};
    a->refs_n = 1;
    return fits(a, id, ASK_TEXT_MAX, "The id");
}

json_t *ask_ref_args(struct ask *a)
{
    dz_str url;
    if (!read_selection(a, &url))
        return NULL;
    return url.p ? json_url(url) : json_ref(&a->refs[0]);
}

/* Each of them once, where it came first. */
static size_t keep_first(dz_str *v, size_t n)
{
    static char there;
    struct dz_map seen;
    size_t kept = 0;
    dz_map_init(&seen);
    for (size_t i = 0; i < n; i++)
        if (!dz_map_set(&seen, v[i], &there))
            v[kept++] = v[i];
    dz_map_done(&seen);
    return kept;
}

static size_t values_of(const struct ask *a, dz_str name, dz_str *v)
{
    size_t n = 0;
    for (size_t i = 0; i < a->params_n; i++)
        if (dz_str_eq(a->params[i].name, name))
            v[n++] = a->params[i].value;
    return n;
}

dz_str *ask_ids(struct ask *a, size_t *ret_n)
{
    dz_str *v = dz_arena_alloc(a->arena, (a->params_n + 1) * sizeof(*v));
    size_t n = values_of(a, DZ_S("ids"), v);
    if (n == 0)
        n = values_of(a, DZ_S("ids[]"), v);
    if (n == 0)
        return NULL;
    *ret_n = keep_first(v, n);
    return v;
}

/* ---- bodies; on a worker --------------------------------------------------------------------- */

enum dz_code ask_not_json(struct ask *a)
{
    return ask_refuse(a, 400, "", NOT_JSON, "");
}

/* Texts of a JSON array, each of at most `max` bytes. */
static enum dz_code read_texts(struct ask *a, const json_t *array, size_t max, dz_str **ret_v,
                               size_t *ret_n)
{
    size_t n = json_array_size(array);
    if (!json_is_array(array))
        return ask_not_json(a);
    if (n > ASK_REFS_MAX)
        return ask_refuse(a, 413, "", DZ_S("The request names more than 10000 things"), "");
    dz_str *v = dz_arena_alloc(a->arena, (n + 1) * sizeof(*v));
    for (size_t i = 0; i < n; i++) {
        v[i] = dz_json_text(json_array_get(array, i));
        if (!v[i].p)
            return ask_not_json(a);
        if (v[i].n > max)
            return ask_refuse(a, 400, "", DZ_S("The request holds an id or a URL that is too long"),
                              "");
    }
    *ret_n = keep_first(v, n);
    *ret_v = v;
    return DZ_OK;
}

enum dz_code ask_ids_of(struct ask *a, const json_t *array, dz_str **ret_v, size_t *ret_n)
{
    return read_texts(a, array, ASK_TEXT_MAX, ret_v, ret_n);
}

enum dz_code ask_body(struct ask *a, json_t **ret_v)
{
    dz_str body = a->req->body;
    if (body.n > ASK_BODY_MAX)
        return ask_refuse(a, 413, "", DZ_S("The content of the request is too long"), "");
    json_t *v = body.n > 0 && says_json(a->req) ? json_loadb(body.p, body.n, 0, NULL) : NULL;
    *ret_v = v ? ask_keep(a, v) : NULL;
    return DZ_OK;
}

static enum dz_code read_refs_of(struct ask *a, dz_str site, const json_t *ids)
{
    dz_str *v = NULL;
    size_t n = 0;
    if (site.n > ASK_TEXT_MAX)
        return ask_refuse(a, 400, "", DZ_S("The request holds a site that is too long"), "");
    DZ_TRY(read_texts(a, ids, ASK_TEXT_MAX, &v, &n));
    if (a->refs_n + n > ASK_REFS_MAX)
        return ask_refuse(a, 413, "", DZ_S("The request names more than 10000 things"), "");
    for (size_t i = 0; i < n; i++)
        a->refs[a->refs_n++] = (struct ask_ref){site, v[i]};
    a->sites[a->sites_n++] = site;
    return DZ_OK;
}

/* The body as it is goes to the back when there are addresses in it, else into a->refs. */
static enum dz_code read_refs(struct ask *a, struct dz_err *err)
{
    (void)err;
    DZ_TRY(ask_body(a, &a->body));
    json_t *sites = json_object_get(a->body, "sites"), *urls = json_object_get(a->body, "urls"),
           *ids;
    if (!json_is_object(a->body) || (sites && !json_is_object(sites)))
        return ask_not_json(a);
    const char *site;
    dz_str *v = NULL;
    size_t urls_n = 0;
    a->refs = dz_arena_alloc(a->arena, ASK_REFS_MAX * sizeof(*a->refs));
    a->sites = dz_arena_alloc(a->arena, (json_object_size(sites) + 1) * sizeof(*a->sites));
    json_object_foreach(sites, site, ids) DZ_TRY(read_refs_of(a, dz_str_of(site), ids));
    if (urls)
        DZ_TRY(read_texts(a, urls, ASK_URL_MAX, &v, &urls_n));
    if (a->refs_n + urls_n > ASK_REFS_MAX)
        return ask_refuse(a, 413, "", DZ_S("The request names more than 10000 things"), "");
    if (urls_n == 0)
        a->body = NULL;
    return DZ_OK;
}

/* ---- sites ----------------------------------------------------------------------------------- */

bool site_is_known(struct ask *a, dz_str site)
{
    struct nagato *n = a->api->nagato;
    bool known = false;
    size_t i;
    json_t *one;
    pthread_mutex_lock(&n->lock);
    json_array_foreach(n->sites, i, one) known |= dz_str_eq(dz_json_text(one), site);
    pthread_mutex_unlock(&n->lock);
    return known;
}

/* The first site of the request that the back did not name; NULL: none. */
static const dz_str *unknown_site(struct ask *a)
{
    for (size_t i = 0; i < a->sites_n; i++)
        if (!site_is_known(a, a->sites[i]))
            return &a->sites[i];
    return NULL;
}

/* The ids of "sources", in its order. */
static void learn_sites(struct ask *a)
{
    struct nagato *n = a->api->nagato;
    json_t *ids = json_array(), *old, *one;
    size_t i;
    json_array_foreach(a->value, i, one) json_array_append(ids, json_object_get(one, "id"));
    pthread_mutex_lock(&n->lock);
    old = n->sites;
    n->sites = ids;
    pthread_mutex_unlock(&n->lock);
    json_decref(old);
}

static void got_sources(struct ask *a)
{
    if (a->value)
        learn_sites(a);
    const dz_str *bad = a->value ? unknown_site(a) : NULL;
    if (bad)
        ask_reply_words(a, 404, "No downloader found for site \"", *bad, "\"");
    else
        a->then(a);
}

static void check_sites(struct ask *a, ask_next_fn *next)
{
    a->then = next;
    if (unknown_site(a)) {
        ask_call(a, "sources", NULL, got_sources);
        return;
    }
    a->lenient = false;
    next(a);
}

static void learnt_sources(struct ask *a)
{
    learn_sites(a);
    a->then(a);
}

void ask_sources(struct ask *a, ask_next_fn *next)
{
    a->then = next;
    ask_call(a, "sources", NULL, learnt_sources);
}

void ask_site(struct ask *a, bool lenient, ask_next_fn *next)
{
    a->lenient = lenient;
    if (read_site(a))
        check_sites(a, next);
}

/* ---- chapters and series that are selected --------------------------------------------------- */

void ask_reply_nonsense(struct ask *a)
{
    static const struct dz_log_ctx ctx = {.room = "api", .what = "nagato"};
    static struct dz_log_gate gate;
    if (dz_log_gate_pass(&gate, 1000))
        dz_log(&ctx, DZ_ERROR, "%s: the crawler's answer has a shape of its own",
               a->req->route->name);
    ask_reply_words(a, 500, "Internal server error", (dz_str){NULL, 0}, "");
}

static bool read_ref(const json_t *v, struct ask_ref *ret_ref)
{
    *ret_ref = (struct ask_ref){dz_json_text_at(v, "site"), dz_json_text_at(v, "id")};
    return ret_ref->site.p && ret_ref->id.p;
}

static void got_ref(struct ask *a)
{
    a->refs = dz_arena_alloc(a->arena, sizeof(*a->refs));
    a->refs_n = 1;
    if (read_ref(a->value, &a->refs[0]))
        a->then(a);
    else
        ask_reply_nonsense(a);
}

void ask_ref_local(struct ask *a, const char *call, bool lenient, ask_next_fn *next)
{
    dz_str url;
    if (!read_selection(a, &url))
        return;
    if (url.p) {
        a->then = next;
        ask_call(a, call, json_url(url), got_ref);
        return;
    }
    a->lenient = lenient;
    check_sites(a, next);
}

static void got_refs(struct ask *a)
{
    size_t n = json_array_size(a->value);
    a->refs = dz_arena_alloc(a->arena, (n + 1) * sizeof(*a->refs));
    for (size_t i = 0; i < n; i++) {
        if (!read_ref(json_array_get(a->value, i), &a->refs[i])) {
            ask_reply_nonsense(a);
            return;
        }
    }
    a->refs_n = n;
    a->then(a);
}

static void refs_read(struct ask *a)
{
    if (!a->body) {
        check_sites(a, a->then);
        return;
    }
    a->lenient = false;
    json_t *args = json_object(), *sites = json_object_get(a->body, "sites");
    json_object_set_new(args, "sites", sites ? json_incref(sites) : json_object());
    json_object_set(args, "urls", json_object_get(a->body, "urls"));
    ask_call(a, "refs", args, got_refs);
}

void ask_refs(struct ask *a, bool lenient, ask_next_fn *next)
{
    a->lenient = lenient;
    a->then = next;
    ask_work(a, read_refs, refs_read);
}

/* ---- routes ---------------------------------------------------------------------------------- */

void handle_api_ping(struct dz_http_req *r)
{
    if (!answered_for_shelf_host(r))
        nagato_text(r, 200, 0, DZ_S("pong"));
}

void handle_api_version(struct dz_http_req *r)
{
    if (!answered_for_shelf_host(r))
        nagato_text(r, 200, 0, API_VERSION);
}

static void got_sites(struct ask *a)
{
    struct nagato *n = a->api->nagato;
    struct dz_json j;
    if (a->value)
        learn_sites(a);
    ask_json(a, &j);
    pthread_mutex_lock(&n->lock);
    bool known = n->sites != NULL;
    put_json(&j, n->sites);
    pthread_mutex_unlock(&n->lock);
    if (known)
        ask_reply(a, 200);
    else
        ask_reply_no_back(a);
}

void handle_api_sites(struct dz_http_req *r)
{
    struct ask *a = ask_new(r);
    if (!a)
        return;
    a->lenient = true;
    ask_call(a, "sources", NULL, got_sites);
}

static void begin_url(struct dz_http_req *r, const char *call, ask_next_fn *next)
{
    struct ask *a = ask_new(r);
    dz_str url;
    if (!a)
        return;
    if (!ask_param(a, DZ_S("url"), &url))
        ask_reply_words(a, 400, "", NO_URL, "");
    else if (read_url(a, &url))
        ask_call(a, call, json_url(url), next);
}

static void open_url_answer(struct ask *a, struct dz_json *j)
{
    dz_str url;
    ask_json(a, j);
    dz_json_object(j);
    dz_json_key(j, DZ_S("url"));
    if (ask_param(a, DZ_S("url"), &url))
        dz_json_str(j, url);
}

static void got_site_of(struct ask *a)
{
    struct dz_json j;
    dz_str site = dz_json_text_at(a->value, "site");
    open_url_answer(a, &j);
    dz_json_key(&j, DZ_S("registered"));
    dz_json_bool(&j, site.p != NULL);
    if (site.p) {
        dz_json_key(&j, DZ_S("site"));
        dz_json_str(&j, site);
    }
    dz_json_end(&j);
    ask_reply(a, 200);
}

void handle_api_resource_site(struct dz_http_req *r)
{
    begin_url(r, "site", got_site_of);
}

static void got_id(struct ask *a)
{
    struct dz_json j;
    open_url_answer(a, &j);
    dz_json_key(&j, DZ_S("id"));
    put_json(&j, json_object_get(a->value, "id"));
    dz_json_end(&j);
    ask_reply(a, 200);
}

void handle_api_manga_id(struct dz_http_req *r)
{
    begin_url(r, "series_id", got_id);
}

void handle_api_chapter_id(struct dz_http_req *r)
{
    begin_url(r, "chapter_id", got_id);
}
