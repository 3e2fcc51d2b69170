/*
 * openapi: GET /api/openapi.json, the library API as OpenAPI 3.1.
 *
 * In: the table of operations (ops.c), which is what routes are made of, and the schemas below.
 * Out: one JSON document; what any operation may say besides its own answers (401, 403, 500, 503)
 * is added here once. Schemas are JSON with ' for ", so that they can be read.
 */
#include "api/api_int.h"

#define OPENAPI_MAX (512 * DZ_KIB)

/* clang-format off */
#define MARK "{'enum': ['DOWNLOADED', 'IGNORED']}"
#define TEXT "{'type': 'string'}"
#define NULLABLE(type) "{'type': ['" type "', 'null']}"
#define MAP(of) "{'type': 'object', 'additionalProperties': " of "}"
#define LIST(of) "{'type': 'array', 'items': " of "}"
#define SCHEMA(name) "{'$ref': '#/components/schemas/" name "'}"
#define COUNT(name)                                                                                \
    "{'type': 'object', 'required': ['" name "'], 'properties': "                                  \
    "{'" name "': {'type': 'integer', 'minimum': 0}}, 'additionalProperties': false}"
#define PEOPLE                                                                                     \
    LIST("{'type': 'object', 'required': ['id', 'name'], 'properties': "                           \
         "{'id': " TEXT ", 'name': " TEXT "}}")
#define DATE                                                                                       \
    "{'type': 'object', 'required': ['day', 'month', 'year'], 'properties': "                      \
    "{'day': " NULLABLE("integer") ", 'month': " NULLABLE("integer")                               \
    ", 'year': " NULLABLE("integer") "}}"
#define CHAPTER_NEEDS "'volume', 'chapter', 'title', 'lang', 'pages', 'team', 'date'"
#define CHAPTER                                                                                    \
    "'volume': " NULLABLE("integer") ", 'chapter': " NULLABLE("number")                            \
    ", 'title': " NULLABLE("string") ", 'lang': " NULLABLE("string")                               \
    ", 'pages': " NULLABLE("integer")                                                              \
    ", 'team': {'type': ['object', 'null'], 'required': ['id', 'name'], 'properties': "            \
    "{'id': " TEXT ", 'name': " TEXT ", 'site': " NULLABLE("string") "}}"                          \
    ", 'date': {'anyOf': [" DATE ", {'type': 'null'}]}"                                            \
    ", 'mark': {'enum': ['DOWNLOADED', 'IGNORED', null]}"

static const struct {
    const char *name, *schema;
} schemas[] = {
    {"Bytes", "{}"},
    {"Chapter", "{'type': 'object', 'required': [" CHAPTER_NEEDS "], 'properties': {" CHAPTER "}}"},
    {"ChapterInfo", "{'type': 'object', 'required': [" CHAPTER_NEEDS ", 'id', 'manga'], 'properties': {" CHAPTER ", 'id': " TEXT ", 'manga': " TEXT "}}"},
    {"Chapters", MAP(SCHEMA("Chapter"))},
    {"Deleted", COUNT("deleted")},
    {"DownloadId", "{'type': 'string', 'pattern': '^[0-9A-Za-z_-]{22}$'}"},
    {"DownloadIds", LIST(SCHEMA("DownloadId"))},
    {"Error", "{'type': 'string', 'description': 'what is wrong, for people'}"},
    {"Events", "{'type': 'string', 'description': 'lines of an event stream; data is States'}"},
    {"Favourites", MAP("{'anyOf': [" LIST(TEXT) ", " MAP(SCHEMA("Manga")) "]}")},
    {"Flag", "{'type': 'boolean'}"},
    {"Flags", MAP("{'type': 'boolean'}")},
    {"Manga",
     "{'type': 'object', 'required': ['id', 'site', 'title', 'alt_titles', 'description', 'authors', 'artists', 'genres', 'tags', 'lang', 'links', 'date', 'rating', 'status'], 'properties': {"
     "'id': " TEXT ", 'site': " TEXT ", 'title': " TEXT ", 'alt_titles': " LIST(MAP(TEXT)) ", 'description': " NULLABLE("string")
     ", 'authors': " PEOPLE ", 'artists': " PEOPLE ", 'genres': " LIST(TEXT) ", 'tags': " LIST(TEXT) ", 'lang': " NULLABLE("string")
     ", 'links': {}, 'date': {'anyOf': [" DATE ", {'type': 'null'}]}"
     ", 'rating': {'enum': ['safe', 'suggestive', 'erotica', 'pornographic', null]}, 'status': {'enum': ['completed', 'ongoing', 'hiatus', 'cancelled', null]}"
     ", 'favourite': {'type': 'boolean'}}}"},
    {"Mark", "{'enum': ['DOWNLOADED', 'IGNORED', null]}"},
    {"Marks", MAP(MARK)},
    {"Object", "{'type': 'object'}"},
    {"Pong", "{'const': 'pong'}"},
    {"Refs", "{'type': 'object', 'description': 'chapters by site and id, and by address', 'properties': {'sites': " MAP(LIST(TEXT)) ", 'urls': " LIST(TEXT) "}}"},
    {"Retried", COUNT("retried")},
    {"State",
     "{'type': 'object', 'required': ['file', 'status', 'completion', 'size', 'created'], 'additionalProperties': false, 'properties': {"
     "'file': {'type': 'string', 'description': 'name, without extension'}"
     ", 'status': {'enum': ['QUEUED', 'PROCESSING', 'SAVING', 'COMPLETE', 'FAILED', 'CANCELLED']}"
     ", 'completion': {'type': 'number', 'minimum': -1, 'maximum': 1, 'description': 'part of the pages; -1 while their number is not known'}"
     ", 'size': {'type': 'integer', 'minimum': 0, 'description': 'bytes so far'}"
     ", 'created': {'type': 'integer', 'description': 'milliseconds since 1970, as begin and end'}, 'begin': {'type': 'integer'}, 'end': {'type': 'integer'}}}"},
    {"States", MAP("{'anyOf': [" SCHEMA("State") ", {'type': 'null'}]}")},
    {"Texts", LIST(TEXT)},
    {"UrlId", "{'type': 'object', 'required': ['url', 'id'], 'additionalProperties': false, 'properties': {'url': " TEXT ", 'id': " TEXT "}}"},
    {"UrlSite", "{'type': 'object', 'required': ['url', 'registered'], 'additionalProperties': false, 'properties': {'url': " TEXT ", 'registered': {'type': 'boolean'}, 'site': " TEXT "}}"},
    {"Version", TEXT},
};
/* clang-format on */

/* What any operation may say (0: any other status, as OpenAPI's "default"). */
static const struct api_answer failed = {0, "text/plain; charset=utf-8", "Error",
                                         "the site, the crawler or the catalog failed, or is busy"};
static const struct api_answer refusals[] = {
    {401, "text/plain; charset=utf-8", "Error", "auth.token is set and was not sent"},
    {403, "text/plain; charset=utf-8", "Error", "a page of another origin may not do this"},
};

static void put(struct dz_json *j, const char *key, const char *text)
{
    dz_json_key(j, dz_str_of(key));
    dz_json_str(j, dz_str_of(text));
}

static void begin(struct dz_json *j, const char *key)
{
    dz_json_key(j, dz_str_of(key));
    dz_json_object(j);
}

static void put_ref(struct dz_json *j, const char *schema)
{
    begin(j, "schema");
    dz_json_key(j, DZ_S("$ref"));
    char ref[64];
    int n = snprintf(ref, sizeof(ref), "#/components/schemas/%s", schema);
    dz_json_str(j, (dz_str){ref, (size_t)n});
    dz_json_end(j);
}

static void put_content(struct dz_json *j, const char *type, const char *schema)
{
    begin(j, "content");
    begin(j, type);
    put_ref(j, schema);
    dz_json_end(j);
    dz_json_end(j);
}

static void put_answer(struct dz_json *j, const struct api_answer *a)
{
    char status[8] = "default";
    if (a->status > 0)
        snprintf(status, sizeof(status), "%d", a->status % 1000);
    begin(j, status);
    put(j, "description", a->says);
    if (a->schema)
        put_content(j, a->type, a->schema);
    dz_json_end(j);
}

/* ---- parameters ------------------------------------------------------------------------------ */

static void put_type(struct dz_json *j, enum api_type type)
{
    static const char *const types[] = {
        [API_TEXT] = "string", [API_FLAG] = "string", [API_TEXTS] = "array", [API_MARK] = "string"};
    begin(j, "schema");
    put(j, "type", types[type]);
    if (type == API_TEXTS) {
        begin(j, "items");
        put(j, "type", "string");
        dz_json_end(j);
    }
    if (type == API_FLAG || type == API_MARK) {
        dz_json_key(j, DZ_S("enum"));
        dz_json_array(j);
        dz_json_str(j, type == API_FLAG ? DZ_S("true") : DZ_S("DOWNLOADED"));
        dz_json_str(j, type == API_FLAG ? DZ_S("false") : DZ_S("IGNORED"));
        dz_json_end(j);
    }
    dz_json_end(j);
}

static void put_param(struct dz_json *j, const char *in, const struct api_param *p)
{
    dz_json_object(j);
    put(j, "name", p->name);
    put(j, "in", in);
    put(j, "description", p->says);
    dz_json_key(j, DZ_S("required"));
    dz_json_bool(j, p->required);
    put_type(j, p->type);
    dz_json_end(j);
}

/* Those of the path by their names, of which there are two kinds. */
static void put_params(struct dz_json *j, const struct api_op *op)
{
    static const struct api_param id = {"id", API_TEXT, "id of a download", true};
    static const struct api_param mark = {"mark", API_MARK, "the mark", true};
    dz_json_key(j, DZ_S("parameters"));
    dz_json_array(j);
    if (strstr(op->path, "{id}"))
        put_param(j, "path", &id);
    if (strstr(op->path, "{mark}"))
        put_param(j, "path", &mark);
    for (const struct api_param *p = op->params; p && p->name; p++)
        put_param(j, "query", p);
    dz_json_end(j);
}

/* ---- operations ------------------------------------------------------------------------------ */

static const char *method_of(const struct api_op *op)
{
    switch (op->methods) {
    case DZ_HTTP_GET:
        return "get";
    case DZ_HTTP_PUT:
        return "put";
    case DZ_HTTP_DELETE:
        return "delete";
    default:
        return "post";
    }
}

static void put_op(struct dz_json *j, const struct api_op *op)
{
    begin(j, method_of(op));
    put(j, "operationId", op->id);
    put(j, "summary", op->summary);
    put_params(j, op);
    if (op->body) {
        begin(j, "requestBody");
        dz_json_key(j, DZ_S("required"));
        dz_json_bool(j, !op->body_optional);
        put_content(j, "application/json", op->body);
        dz_json_end(j);
    }
    begin(j, "responses");
    for (size_t i = 0; i < API_ANSWERS_MAX && op->answers[i].status > 0; i++)
        put_answer(j, &op->answers[i]);
    for (size_t i = 0; i < DZ_LEN(refusals) && op->changes; i++)
        put_answer(j, &refusals[i]);
    put_answer(j, &failed);
    dz_json_end(j);
    if (op->changes) { /* "{}": without a token where none is set */
        dz_json_key(j, DZ_S("security"));
        dz_json_array(j);
        dz_json_object(j);
        dz_json_key(j, DZ_S("token"));
        dz_json_array(j);
        dz_json_end(j);
        dz_json_end(j);
        dz_json_object(j);
        dz_json_end(j);
        dz_json_end(j);
    }
    dz_json_end(j);
}

static bool is_first_of_path(size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(api_ops[i].path, api_ops[at].path) == 0)
            return false;
    return true;
}

static void put_paths(struct dz_json *j)
{
    begin(j, "paths");
    for (size_t i = 0; i < api_ops_n; i++) {
        if (!is_first_of_path(i))
            continue;
        begin(j, api_ops[i].path);
        for (size_t k = i; k < api_ops_n; k++)
            if (strcmp(api_ops[k].path, api_ops[i].path) == 0)
                put_op(j, &api_ops[k]);
        dz_json_end(j);
    }
    dz_json_end(j);
}

static void put_schema(struct dz_json *j, const char *text)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, OPENAPI_MAX);
    for (const char *p = text; *p; p++)
        dz_buf_putc(&b, *p == '\'' ? '"' : *p);
    dz_json_raw(j, dz_buf_str(&b));
}

void api_openapi_put(struct dz_buf *out)
{
    struct dz_json j;
    dz_json_init(&j, out, DZ_JSON_PYTHON, true);
    dz_json_object(&j);
    put(&j, "openapi", "3.1.0");
    begin(&j, "info");
    put(&j, "title", "dozo library API");
    put(&j, "description",
        "Downloads chapters from sites, keeps marks and favourites. Errors are text/plain.");
    put(&j, "version", "1.2");
    dz_json_end(&j);
    put_paths(&j);
    begin(&j, "components");
    begin(&j, "securitySchemes");
    begin(&j, "token");
    put(&j, "type", "http");
    put(&j, "scheme", "bearer");
    put(&j, "description", "the setting auth.token");
    dz_json_end(&j);
    dz_json_end(&j);
    begin(&j, "schemas");
    for (size_t i = 0; i < DZ_LEN(schemas); i++) {
        dz_json_key(&j, dz_str_of(schemas[i].name));
        put_schema(&j, schemas[i].schema);
    }
    dz_json_end(&j);
    dz_json_end(&j);
    dz_json_end(&j);
}

void handle_api_openapi(struct dz_http_req *r)
{
    struct dz_buf b;
    dz_buf_init(&b, OPENAPI_MAX);
    api_openapi_put(&b);
    static const struct dz_http_header_line nosniff = {{"X-Content-Type-Options", 22},
                                                       {"nosniff", 7}};
    struct dz_http_meta m = {.content_type = DZ_S("application/json"),
                             .cache_control = CACHE_REVALIDATE,
                             .last_modified_s = -1,
                             .extra = &nosniff,
                             .extra_n = 1};
    dz_http_reply_buf(r, &m, &b);
    dz_buf_done(&b);
}
