/*
 * upload_auth: who may send and delete uploads: keys, other origins, and what of the settings
 * should be known.
 *
 * In: the Authorization header as it came, or a browser's preflight. Out: a refusal, or the name of
 * the key for the log. Keys are compared by their SHA-256, all of them each time, so that the time
 * tells nothing; no key gets into a log. Http loops, but dz_api_warn: whoever has read settings.
 */
#include "api/upload_int.h"

/* ---- who may ----------------------------------------------------------------------------------
 */

void upload_say(struct dz_http_req *r, int status, dz_str words)
{
    struct dz_buf b;
    struct dz_json j;
    dz_buf_init(&b, 4 * DZ_KIB);
    dz_json_init(&j, &b, DZ_JSON_COMPACT, false);
    dz_json_object(&j);
    dz_json_key(&j, DZ_S("message"));
    dz_json_str(&j, words);
    dz_json_end(&j);
    dz_http_reply_text(r, status, DZ_S("application/json"), NO_STORE, dz_buf_str(&b));
    dz_buf_done(&b);
}

static bool is_sha(const struct dz_sha256 *a, const struct dz_sha256 *b)
{
    return dz_equal_const_time((dz_str){(const char *)a->b, sizeof(a->b)},
                               (dz_str){(const char *)b->b, sizeof(b->b)});
}

/* What the bearer may do; all keys are looked at, so that the time tells nothing. */
static unsigned scopes_of(const struct dz_conf *c, dz_str given, dz_str *ret_who)
{
    struct dz_sha256 sha = dz_sha256_of(given);
    struct dz_sha256 secret = dz_sha256_of(dz_str_of(c->uploads.secret_key));
    unsigned scopes = 0;
    *ret_who = (dz_str){0};
    if (is_sha(&sha, &secret) && c->uploads.secret_key[0] != '\0')
        scopes = DZ_UPLOADS_SEND | DZ_UPLOADS_DELETE;
    for (size_t i = 0; i < c->uploads.keys_n; i++) {
        const struct dz_conf_key *k = &c->uploads.keys_v[i];
        if (!is_sha(&sha, &k->sha))
            continue;
        scopes |= k->scopes;
        *ret_who = (dz_str){k->name, k->name_n};
    }
    return scopes;
}

bool upload_refused(struct dz_http_req *r, unsigned scope, dz_str *ret_who)
{
    static struct dz_log_gate gate;
    const struct dz_conf *c = view_of(r)->conf;
    const struct dz_log_ctx here = {.room = "api", .what = "upload", .id = r->id};
    dz_str who;
    if (c->uploads.secret_key[0] == '\0' && c->uploads.keys_n == 0) {
        if (dz_log_gate_pass(&gate, 60000))
            dz_log(&here, DZ_WARN,
                   "refused: uploads.secret_key is empty; set it (or uploads.secret_key_file, or "
                   "uploads.keys_file)");
        upload_say(r, 503, DZ_S("Uploads are not set up."));
        return true;
    }
    unsigned scopes = scopes_of(c, dz_http_header(r, DZ_S("authorization")), &who);
    if (scopes & scope) {
        *ret_who = who;
        return false;
    }
    if (scopes == 0) {
        upload_say(r, 401, DZ_S("Invalid auth."));
        return true;
    }
    bool sends = scope == DZ_UPLOADS_SEND;
    dz_log(&here, DZ_WARN, "refused: key %.*s may not %s", DZ_STR_FMT(who),
           sends ? "upload" : "delete");
    upload_say(r, 403, sends ? DZ_S("This key may not upload.") : DZ_S("This key may not delete."));
    return true;
}

void upload_log(uint64_t request, const char *what, dz_str id, dz_str who)
{
    if (who.n > 0)
        dz_log(&(struct dz_log_ctx){.room = "api", .what = "upload", .id = request}, DZ_INFO,
               "%s %.*s by key %.*s", what, (int)(id.n < 100 ? id.n : 100), id.p, DZ_STR_FMT(who));
}

/* ---- other origins ----------------------------------------------------------------------------
 */

static bool is_usual_field(dz_str name)
{
    static const char *const usual[] = {"accept", "accept-language", "content-language",
                                        "content-type"};
    for (size_t i = 0; i < DZ_LEN(usual); i++)
        if (dz_str_eq_nocase(name, dz_str_of(usual[i])))
            return true;
    return name.n == 0;
}

static bool are_usual_fields(dz_str list, bool may_send)
{
    while (list.n > 0) {
        size_t comma = dz_str_chr(list, ',');
        dz_str name = dz_str_trim(dz_str_sub(list, 0, comma));
        if (!is_usual_field(name) && !(may_send && dz_str_eq_nocase(name, DZ_S("authorization"))))
            return false;
        list = dz_str_after(list, comma);
    }
    return true;
}

/* Whether the origin may ask at all, and whether the settings name it rather than everybody. */
static bool is_origin(const struct dz_strs *origins, dz_str origin, bool *ret_named)
{
    bool anybody = false;
    *ret_named = false;
    for (size_t i = 0; i < origins->n; i++) {
        anybody |= strcmp(origins->v[i], "*") == 0;
        *ret_named |= dz_str_eq(dz_str_of(origins->v[i]), origin);
    }
    return anybody || *ret_named;
}

static void put_word(struct dz_buf *b, bool is_wrong, dz_str word)
{
    if (!is_wrong)
        return;
    dz_buf_put(b, b->n > 0 ? DZ_S(", ") : DZ_S("Disallowed CORS "));
    dz_buf_put(b, word);
}

bool uploads_preflight(struct dz_http_req *r)
{
    const struct dz_conf *c = view_of(r)->conf;
    dz_str origin = dz_http_header(r, DZ_S("origin"));
    dz_str method = dz_http_header(r, DZ_S("access-control-request-method"));
    bool sends = dz_str_eq(r->path, DZ_S("/upload")), named;
    bool ours = sends || dz_str_starts(r->path, DZ_S("/delete/")) ||
                (c->uploads.endpoint[1] && dz_str_starts(r->path, dz_str_of(c->uploads.endpoint)));
    if (!origin.p || !method.p || !ours || !c->uploads.enabled || c->http.cors_origins.n == 0 ||
        dz_view_host_of(view_of(r), r->host).kind != DZ_HOST_NONE)
        return false;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_KIB);
    put_word(&b, !is_origin(&c->http.cors_origins, origin, &named), DZ_S("origin"));
    sends = sends && named;
    dz_str allowed = sends ? DZ_S("GET, POST") : DZ_S("GET");
    put_word(&b, !dz_str_eq(method, DZ_S("GET")) && !(sends && dz_str_eq(method, DZ_S("POST"))),
             DZ_S("method"));
    dz_str asked = dz_http_header(r, DZ_S("access-control-request-headers"));
    put_word(&b, !are_usual_fields(asked, sends), DZ_S("headers"));
    bool ok = b.n == 0;
    if (ok)
        dz_buf_put(&b, DZ_S("OK"));
    const struct dz_http_header_line lines[] = {
        {DZ_S("Access-Control-Allow-Methods"), allowed},
        {DZ_S("Access-Control-Allow-Headers"),
         sends ? DZ_S("Accept, Accept-Language, Content-Language, Content-Type, Authorization")
               : DZ_S("Accept, Accept-Language, Content-Language, Content-Type")},
        {DZ_S("Access-Control-Max-Age"), DZ_S("600")},
    };
    struct dz_http_meta m = {.status = ok ? 200 : 400,
                             .content_type = DZ_S("text/plain; charset=utf-8"),
                             .last_modified_s = -1,
                             .extra = lines,
                             .extra_n = DZ_LEN(lines)};
    dz_http_reply_buf(r, &m, &b);
    return true;
}

/* ---- what should be known ----------------------------------------------------------------------
 */

void dz_api_warn(const struct dz_conf *c)
{
    const struct dz_log_ctx here = {.room = "api", .what = "settings"};
    for (size_t i = 0; i < c->exposed.n; i++)
        dz_log(&here, DZ_WARN, "%s can be read by other users of this machine; chmod o-r it",
               c->exposed.v[i]);
    if (c->uploads.enabled && !c->uploads.delete_requires_auth)
        dz_log(&here, DZ_WARN,
               "uploads.delete_requires_auth is off: whoever knows a name can delete the upload");
}
