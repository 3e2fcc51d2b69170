/*
 * graphql: GET and POST /api/graphql (contracts/kvm48.md 4, and the specification "GraphQL over
 * HTTP" where the contract says nothing).
 *
 * In: parameters of the query string, and of a body that is JSON, a document, or a form. Out: JSON
 * with errors before data, as application/graphql-response+json when the client likes that better
 * than application/json; a page for people (graphql_page.c). Here is what is wrong with a request
 * before anything is run; the rest is graphql_run.c. Handlers run on a loop; a run is freed by its
 * answer.
 */
#include "api/graphql_int.h"

#include <stdlib.h>

#define JSON DZ_S("application/json")
#define OTHER_JSON DZ_S("application/graphql-response+json")
#define HTML DZ_S("text/html; charset=utf-8")
#define ARENA_MAX (64 * DZ_MIB)
#define PARAMS_MAX 1000u
#define VALUES_MAX 100000u /* of JSON */

static const struct dz_gql_style compact = {.ascii = true};

/* ---- answers ----------------------------------------------------------------------------------
 */

/* A large answer: what it holds counts until it has been sent. */
struct large {
    struct dz_http_source base;
    struct graphql *of;
    struct dz_buf bytes;
    size_t at, held;
};

static ssize_t large_read(struct dz_http_source *s, char *p, size_t n)
{
    struct large *l = dz_container(s, struct large, base);
    dz_str rest = dz_str_sub(dz_buf_str(&l->bytes), l->at, l->at + n);
    if (rest.n > 0)
        memcpy(p, rest.p, rest.n);
    l->at += rest.n;
    return (ssize_t)rest.n;
}

static void large_free(struct dz_http_source **s)
{
    struct large *l = dz_container(dz_take(s), struct large, base);
    atomic_fetch_sub(&l->of->unsent, l->held);
    atomic_fetch_sub(&l->of->held, l->held);
    dz_buf_done(&l->bytes);
    free(l);
}

static struct dz_http_source *large_new(void *arg, uint64_t from, uint64_t n)
{
    struct graph_run *g = arg;
    struct large *l = dz_new(struct large);
    dz_assert(from == 0 && n == g->out.n); /* such answers have no ranges */
    *l = (struct large){
        .base = {large_read, large_free}, .of = g->api->graphql, .bytes = g->out, .held = g->held};
    atomic_fetch_add(&l->of->unsent, l->held);
    g->held = 0;
    dz_buf_init(&g->out, 0);
    return &l->base;
}

void graph_send(struct graph_run *g)
{
    struct dz_http_header_line lines[3] = {{DZ_S("X-Content-Type-Options"), DZ_S("nosniff")}};
    struct dz_http_meta m = {.status = g->status,
                             .content_type = g->other_type ? OTHER_JSON : JSON,
                             .cache_control = NO_STORE,
                             .last_modified_s = -1,
                             .extra = lines,
                             .extra_n = 1};
    struct dz_http_req *r = g->req;
    if (g->allow.n > 0)
        lines[m.extra_n++] = (struct dz_http_header_line){DZ_S("Allow"), g->allow};
    if (g->status == 503)
        lines[m.extra_n++] = (struct dz_http_header_line){DZ_S("Retry-After"), DZ_S("1")};
    dz_timer_stop(r->loop, &g->look);
    const unsigned packed = DZ_HTTP_GZIP | DZ_HTTP_BR | DZ_HTTP_ZSTD;
    if (g->out.n <= GRAPH_SMALL_ANSWER)
        dz_http_reply_buf(r, &m, &g->out);
    else if (dz_http_choose_encoding(r, packed | DZ_HTTP_IDENTITY) != DZ_HTTP_IDENTITY)
        dz_http_reply_source(r, &m, large_new(g, 0, g->out.n));
    else
        dz_http_reply_content(r, &m, g->out.n, large_new, g);
    graph_run_free(g);
}

void graph_reply(struct graph_run *g, int status)
{
    g->status = status;
    if (!g->at_worker)
        graph_send(g);
}

static struct dz_gql_style style_of(const struct graph_run *g)
{
    struct dz_gql_style s = compact;
    s.pretty = g->pretty;
    return s;
}

void graph_reply_errors(struct graph_run *g, int status, const struct dz_gql_errors *errors)
{
    dz_buf_clear(&g->out);
    dz_gql_errors_answer(errors, style_of(g), &g->out);
    graph_reply(g, status);
}

static void put_error(struct graph_run *g, const char *message)
{
    struct dz_gql_errors e DZ_AUTO(dz_gql_errors_done);
    dz_gql_errors_init(&e, 1);
    dz_gql_errors_add(&e, DZ_BAD_INPUT, "%s", message);
    dz_buf_clear(&g->out);
    dz_gql_errors_answer(&e, style_of(g), &g->out);
}

void graph_reply_error(struct graph_run *g, int status, const char *message)
{
    put_error(g, message);
    graph_reply(g, status);
}

void graph_reply_busy(struct graph_run *g)
{
    graph_reply_error(g, 503, "Too many such requests at once.");
}

void graph_reply_not_by_get(struct graph_run *g, const char *kind)
{
    char words[100];
    snprintf(words, sizeof(words), "Can only perform a %s operation from a POST request.", kind);
    put_error(g, words);
    g->allow = DZ_S("POST");
    graph_reply(g, 405);
}

/* Clients of Apollo's protocol know these words, and then send the text; in application/json such
 * an answer is 200 there. */
void graph_reply_persisted(struct graph_run *g, const char *message)
{
    bool is_missing = strcmp(message, "PersistedQueryNotFound") == 0;
    struct dz_json j;
    dz_buf_clear(&g->out);
    dz_json_init(&j, &g->out, DZ_JSON_COMPACT, true);
    dz_json_object(&j);
    dz_json_key(&j, DZ_S("errors"));
    dz_json_array(&j);
    dz_json_object(&j);
    dz_json_key(&j, DZ_S("message"));
    dz_json_str(&j, dz_str_of(message));
    dz_json_key(&j, DZ_S("extensions"));
    dz_json_object(&j);
    dz_json_key(&j, DZ_S("code"));
    dz_json_str(&j, is_missing ? DZ_S("PERSISTED_QUERY_NOT_FOUND")
                               : DZ_S("PERSISTED_QUERY_NOT_SUPPORTED"));
    for (int i = 0; i < 4; i++)
        dz_json_end(&j);
    graph_reply(g, g->other_type ? 400 : 200);
}

/* ---- parameters -------------------------------------------------------------------------------
 */

/* Bad parameters: the words of the answer, NULL when all is well. */
struct given {
    struct graph_run *g;
    const char *bad;
    json_t *variables; /* borrowed of the body; NULL: none */
    dz_str variables_text;
    json_t *extensions; /* that came as text */
    bool has_extensions;
    struct dz_err err; /* words for `bad`: a request may have filled the arena */
};

/* What a Python program calls false counts as missing. */
static bool is_empty(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return json_object_size(v) == 0;
    case JSON_ARRAY:
        return json_array_size(v) == 0;
    case JSON_STRING:
        return json_string_length(v) == 0;
    case JSON_INTEGER:
        return json_integer_value(v) == 0;
    case JSON_REAL:
        return json_real_value(v) == 0;
    case JSON_TRUE:
        return false;
    default:
        return true;
    }
}

/* In lower case, as its document is kept under it, however the client wrote it. */
static void keep_hash(struct graph_run *g, const struct dz_sha256 *sha)
{
    char hex[2 * sizeof(sha->b)];
    dz_hex(sha->b, sizeof(sha->b), hex);
    g->hash = dz_arena_str(g->arena, (dz_str){hex, sizeof(hex)});
}

static void read_extensions(struct given *p, const json_t *v)
{
    if (!json_is_object(v)) {
        p->bad = "Extensions are not an object.";
        return;
    }
    const json_t *hash = json_object_get(json_object_get(v, "persistedQuery"), "sha256Hash");
    struct dz_sha256 sha;
    if (json_is_string(hash) && dz_unhex(dz_json_text(hash), sha.b, sizeof(sha.b), NULL) == DZ_OK)
        keep_hash(p->g, &sha);
    else if (hash)
        p->bad = "extensions.persistedQuery.sha256Hash is no SHA-256.";
    p->has_extensions = true;
}

static void read_member(struct given *p, const char *name, const json_t *v, dz_str *ret_text,
                        const char *bad)
{
    const json_t *m = json_object_get(v, name);
    if (!m || is_empty(m))
        return;
    if (json_is_string(m))
        *ret_text = dz_json_text(m);
    else if (!p->bad)
        p->bad = bad;
}

/* The words for a body that is JSON but no object, as Python shows the value. */
static const char *not_an_object(struct graph_run *g, const json_t *v)
{
    struct dz_buf b DZ_AUTO(dz_buf_done);
    char *text = json_is_string(v) ? NULL : json_dumps(v, JSON_ENCODE_ANY);
    dz_str shown = text ? dz_str_of(text) : dz_str_sub(dz_json_text(v), 0, 200);
    dz_buf_init(&b, 1024);
    if (json_is_boolean(v) || json_is_null(v))
        shown = json_is_null(v) ? DZ_S("None") : json_is_true(v) ? DZ_S("True") : DZ_S("False");
    dz_buf_put(&b, DZ_S("GraphQL params should be a dict. Received "));
    dz_buf_put(&b, shown);
    dz_buf_put(&b, DZ_S("."));
    free(text);
    return dz_arena_dup(g->arena, dz_buf_str(&b));
}

/* How many values a text has, if it is JSON. */
static size_t count_values(dz_str s)
{
    size_t n = 1;
    bool in_text = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '"')
            in_text = !in_text;
        else if (in_text)
            i += c == '\\';
        else
            n += c == ',' || c == '[' || c == '{';
    }
    return n;
}

/* A value takes up to 500 bytes of memory, an empty object two of text: so they are counted. NULL:
 * p->bad says why. */
static json_t *parse(struct given *p, dz_str s, const char *bad)
{
    if (count_values(s) > VALUES_MAX) {
        p->bad = "The request has more than 100,000 values.";
        return NULL;
    }
    json_error_t error;
    json_t *v = json_loadb(s.n > 0 ? s.p : "", s.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!v)
        p->bad = json_error_code(&error) == json_error_numeric_overflow
                     ? "The request has a number that is out of range."
                     : bad;
    return v;
}

static void read_json(struct given *p)
{
    struct graph_run *g = p->g;
    const json_t *v = g->body = parse(p, g->req->body, "POST body sent invalid JSON.");
    if (!v) {
        return;
    } else if (json_is_array(v)) {
        p->bad = "Batch GraphQL requests are not enabled.";
    } else if (!json_is_object(v)) {
        p->bad = not_an_object(g, v);
    } else {
        read_member(p, "query", v, &g->text, "The query must be a string");
        read_member(p, "operationName", v, &g->operation, "Operation name must be a string.");
        json_t *m = json_object_get(v, "variables");
        if (json_is_string(m))
            p->variables_text = dz_json_text(m);
        else if (m && !is_empty(m))
            p->variables = m;
        m = json_object_get(v, "extensions");
        if (m && !json_is_null(m))
            read_extensions(p, m);
    }
}

/* A parameter of a form or the query string; what is there already stays. */
static void read_pair(struct given *p, dz_str name, dz_str value)
{
    struct graph_run *g = p->g;
    if (value.n == 0)
        return;
    if (g->text.n == 0 && dz_str_eq(name, DZ_S("query")))
        g->text = value;
    else if (g->operation.n == 0 && dz_str_eq(name, DZ_S("operationName")))
        g->operation = value;
    else if (!p->variables && p->variables_text.n == 0 && dz_str_eq(name, DZ_S("variables")))
        p->variables_text = value;
    else if (!p->has_extensions && !p->extensions && dz_str_eq(name, DZ_S("extensions"))) {
        p->extensions = parse(p, value, "Extensions are not an object.");
        if (p->extensions)
            read_extensions(p, p->extensions);
    }
}

static void read_form(struct given *p, dz_str rest)
{
    dz_str name, value;
    for (unsigned n = 0; !p->bad && dz_http_query_next(p->g->req, &rest, &name, &value); n++) {
        if (n == PARAMS_MAX)
            p->bad = "The request has more than 1000 parameters.";
        else
            read_pair(p, name, value);
    }
}

static bool is_type(dz_str type, dz_str name)
{
    return dz_str_eq_nocase(dz_str_trim(dz_str_sub(type, 0, dz_str_chr(type, ';'))), name);
}

/* ---- a form as multipart ----------------------------------------------------------------------
 */

struct field {
    struct given *p;
    dz_str name; /* n = 0: a file, or nobody's */
    struct dz_buf value;
};

static enum dz_code field_begin(void *arg, const struct dz_multipart_part *part, struct dz_err *err)
{
    struct field *f = arg;
    (void)err;
    f->name = part->has_filename ? (dz_str){NULL, 0} : dz_arena_str(f->p->g->arena, part->name);
    dz_buf_clear(&f->value);
    return DZ_OK;
}

static enum dz_code field_data(void *arg, dz_str bytes, struct dz_err *err)
{
    struct field *f = arg;
    (void)err;
    if (f->name.n > 0)
        dz_buf_put(&f->value, bytes);
    return DZ_OK;
}

static enum dz_code field_end(void *arg, struct dz_err *err)
{
    struct field *f = arg;
    (void)err;
    if (f->name.n > 0 && f->value.n > 0)
        read_pair(f->p, f->name, dz_arena_str(f->p->g->arena, dz_buf_str(&f->value)));
    return DZ_OK;
}

static void read_multipart(struct given *p, dz_str type)
{
    struct field f = {.p = p};
    struct dz_multipart_reader reader = {field_begin, field_data, field_end, &f};
    struct dz_multipart *m DZ_AUTO(dz_multipart_free) = NULL;
    dz_buf_init(&f.value, GRAPH_BODY_MAX);
    enum dz_code code = dz_multipart_new(type, &reader, &m, &p->err);
    if (code == DZ_OK)
        code = dz_multipart_feed(m, p->g->req->body, &p->err);
    if (code == DZ_OK)
        code = dz_multipart_end(m, &p->err);
    if (code != DZ_OK) {
        (void)dz_wrap(&p->err, code, "The form cannot be read");
        p->bad = p->err.text;
    }
    dz_buf_done(&f.value);
}

/* ---- all of it --------------------------------------------------------------------------------
 */

static void read_body(struct given *p)
{
    struct graph_run *g = p->g;
    dz_str type = dz_http_header(g->req, DZ_S("content-type"));
    if (is_type(type, JSON)) {
        read_json(p);
    } else if (is_type(type, DZ_S("application/graphql"))) {
        g->text = g->req->body;
    } else if (is_type(type, DZ_S("application/x-www-form-urlencoded"))) {
        read_form(p, g->req->body);
    } else if (dz_http_is_multipart(type)) {
        read_multipart(p, type);
    }
}

static void read_variables(struct given *p)
{
    struct graph_run *g = p->g;
    json_t *v = p->variables;
    if (!v && p->variables_text.n > 0) {
        v = g->parsed = parse(p, p->variables_text, "Variables are invalid JSON.");
        if (!v)
            return;
    }
    if (!v || is_empty(v))
        return;
    if (!json_is_object(v))
        p->bad = "Variables must be provided as an object.";
    else if (dz_gql_value_from_json(g->arena, v, &g->variables, &p->err) != DZ_OK)
        p->bad = p->err.text;
}

/* While a request is deferred its loop leaves it alone, arena included, so a worker may do this. */
bool graph_read(struct graph_run *g)
{
    struct given p = {.g = g};
    if (!g->by_get)
        read_body(&p);
    if (!p.bad)
        read_form(&p, g->req->query);
    if (!p.bad)
        read_variables(&p);
    json_decref(p.extensions);
    if (p.bad)
        graph_reply_error(g, 400, p.bad);
    return !p.bad;
}

/* ---- handlers ---------------------------------------------------------------------------------
 */

/* Whether the answer is to be application/graphql-response+json: named, and liked no less than
 * application/json is. */
static bool likes_other_type(const struct dz_http_req *r)
{
    int other = dz_http_weight(r, DZ_S("application"), OTHER_JSON, true);
    return other > 0 && other >= dz_http_weight(r, DZ_S("application"), JSON, false);
}

/* What the original's framework answers by itself: OPTIONS, and methods that it does not know. */
static void answer_allowed(struct dz_http_req *r)
{
    static const struct dz_http_header_line lines[] = {
        {{"Allow", 5}, {"OPTIONS, PUT, POST, DELETE, HEAD, GET", 37}}};
    bool is_options = r->method == DZ_HTTP_OPTIONS;
    struct dz_buf page;
    dz_buf_init(&page, 64 * DZ_KIB);
    if (!is_options)
        reader_error_page(&page, 405, DZ_S("The method is not allowed for this address."));
    struct dz_http_meta m = {.status = is_options ? 200 : 405,
                             .content_type = HTML,
                             .cache_control = NO_STORE,
                             .last_modified_s = -1,
                             .extra = lines,
                             .extra_n = DZ_LEN(lines)};
    dz_http_reply_buf(r, &m, &page);
    dz_buf_done(&page);
}

static struct graph_run *run_new(struct dz_http_req *r)
{
    struct graph_run *g = dz_new(struct graph_run);
    dz_str pretty;
    g->req = r;
    g->api = r->app;
    g->loop = r->loop_app;
    g->view = dz_view_ref(g->loop->view);
    g->arena = dz_arena_new(ARENA_MAX);
    g->by_get = r->method == DZ_HTTP_GET;
    g->pretty = dz_http_query(r, DZ_S("pretty"), &pretty) && pretty.n > 0;
    g->other_type = likes_other_type(r);
    g->until_ms = dz_mono_ns() / 1000000 + g->view->conf->graphql.timeout_ms;
    dz_buf_init(&g->out, 64 * DZ_MIB);
    graph_run_init(g);
    return g;
}

static bool wants_page(struct dz_http_req *r)
{
    dz_str raw;
    return r->method == DZ_HTTP_GET && dz_http_wants_html(r) &&
           !dz_http_query(r, DZ_S("raw"), &raw);
}

static void answer(struct dz_http_req *r)
{
    struct graph_run *g = run_new(r);
    if (!(r->method & (DZ_HTTP_GET | DZ_HTTP_POST))) {
        put_error(g, "GraphQL only supports GET and POST requests.");
        g->allow = DZ_S("GET, POST");
        graph_reply(g, 405);
        return;
    }
    g->is_large = r->body.n + r->query.n > GRAPH_SMALL_REQUEST;
    if (r->body.n > GRAPH_BODY_MAX)
        graph_reply_error(g, 400, "The request is longer than 4 MiB.");
    else if (!graph_hold(g, r->body.n))
        graph_reply_busy(g);
    else if (g->is_large || graph_read(g))
        graph_world_for(g);
}

/* The limit counts everything but the page and OPTIONS, before a body is looked at; queries by GET
 * unless the settings leave them free. */
void handle_graphql(struct dz_http_req *r)
{
    const struct dz_conf *conf = view_of(r)->conf;
    if (answered_for_shelf_host(r))
        return;
    if (r->method & (DZ_HTTP_OPTIONS | DZ_HTTP_PATCH | DZ_HTTP_OTHER))
        answer_allowed(r);
    else if (wants_page(r))
        graph_reply_page(r);
    else if (r->method == DZ_HTTP_GET && !conf->rate_limit.graphql_get)
        answer(r);
    else
        limit_then(r, conf->rate_limit.graphql_rule, answer);
}

void handle_graphql_slash(struct dz_http_req *r)
{
    struct dz_buf page;
    if (answered_for_shelf_host(r))
        return;
    dz_buf_init(&page, 64 * DZ_KIB);
    reader_error_page(&page, 404, DZ_S("There is nothing at this address."));
    html_reply(r, 404, &page);
    dz_buf_done(&page);
}

void handle_api_root(struct dz_http_req *r)
{
    if (answered_for_shelf_host(r))
        return;
    bool has_slash = dz_str_ends(r->path, DZ_S("/"));
    dz_http_reply_redirect(r, has_slash ? 302 : 308,
                           has_slash ? DZ_S("/api/graphql") : DZ_S("/api/"), NO_STORE);
}
