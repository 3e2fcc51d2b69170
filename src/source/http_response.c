/*
 * http_response: what a source sees of an answer.
 *
 * In: the answer that an op holds. Out: a Lua table with status, headers, url, body and from_cache,
 * whose methods read the body as JSON, HTML or XML. The body becomes a Lua string at once, so that
 * the memory of the run counts it. Strings that a parser reads stay on the stack meanwhile.
 */
#include "source/http_lua.h"

static const char response_type[] = "dozo.http.response", headers_type[] = "dozo.http.headers";

/* ---- challenges ------------------------------------------------------------------------------ */

static bool field_is(const struct http_op *op, const char *name, const char *value)
{
    for (size_t i = 0; i < op->headers_n; i++)
        if (dz_str_eq(op->headers[i].name, dz_str_of(name)) &&
            dz_str_eq_nocase(op->headers[i].value, dz_str_of(value)))
            return true;
    return false;
}

/* By what the common shields say of themselves. Words are looked for only in refusals, so that a
 * page that speaks about them is still a page. */
bool http_is_challenge(const struct http_op *op)
{
    static const char *const words[] = {"<title>Just a moment...</title>",
                                        "<title>Attention Required! | Cloudflare</title>",
                                        "/cdn-cgi/challenge-platform/",
                                        "cf_chl_opt",
                                        "ddos-guard/js-challenge",
                                        "captcha-delivery.com",
                                        "px-captcha",
                                        "sucuri_cloudproxy_js"};
    if (field_is(op, "cf-mitigated", "challenge") ||
        field_is(op, "x-amzn-waf-action", "challenge") ||
        field_is(op, "x-amzn-waf-action", "captcha"))
        return true;
    if (op->status != 401 && op->status != 403 && op->status != 429 && op->status != 503)
        return false;
    dz_str body = {op->bytes->p, op->bytes->n < 65536 ? op->bytes->n : 65536};
    for (size_t i = 0; i < DZ_LEN(words); i++)
        if (dz_str_find(body, dz_str_of(words[i])) != DZ_NPOS)
            return true;
    return false;
}

/* ---- methods --------------------------------------------------------------------------------- */

/* The field of the response at 1, which may have been written over by the source. */
static dz_str text_field(lua_State *L, const char *name, const char *method)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_pushstring(L, name);
    if (lua_rawget(L, 1) != LUA_TSTRING)
        luaL_error(L, "response:%s(): the response has no %s", method, name);
    return src_str(L, -1);
}

static int l_json(lua_State *L)
{
    dz_str body = text_field(L, "body", "json"), url = text_field(L, "url", "json");
    if (dz_str_starts(body, DZ_S("\xEF\xBB\xBF")))
        body = dz_str_sub(body, 3, body.n);
    char what[DZ_URL_SHOWN_MAX + 20], shown[DZ_URL_SHOWN_MAX];
    snprintf(what, sizeof(what), "%s sent no JSON", dz_url_show(url, shown));
    src_push_json_text(L, body, what);
    return 1;
}

/* charset=… of the Content-Type; n = 0: not said. */
static dz_str charset_of(dz_str type)
{
    for (size_t at = dz_str_chr(type, ';'); at != DZ_NPOS; at = dz_str_chr(type, ';')) {
        type = dz_str_sub(type, at + 1, type.n);
        dz_str item = dz_str_trim(dz_str_sub(type, 0, dz_str_chr(type, ';')));
        size_t equals = dz_str_chr(item, '=');
        if (equals == DZ_NPOS ||
            !dz_str_eq_nocase(dz_str_trim(dz_str_sub(item, 0, equals)), DZ_S("charset")))
            continue;
        dz_str value = dz_str_trim(dz_str_sub(item, equals + 1, item.n));
        if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
            value = dz_str_sub(value, 1, value.n - 1);
        return value;
    }
    return (dz_str){0};
}

static int push_document(lua_State *L, const char *method, bool xml)
{
    dz_str body = text_field(L, "body", method), url = text_field(L, "url", method);
    dz_str charset = {0};
    lua_pushliteral(L, "headers");
    if (lua_rawget(L, 1) == LUA_TTABLE) {
        lua_pushliteral(L, "content-type");
        if (lua_rawget(L, -2) == LUA_TSTRING)
            charset = charset_of(src_str(L, -1));
    }
    src_push_document(L, body, charset, url, xml);
    return 1;
}

static int l_html(lua_State *L)
{
    return push_document(L, "html", false);
}

static int l_xml(lua_State *L)
{
    return push_document(L, "xml", true);
}

static int l_bytes(lua_State *L)
{
    (void)text_field(L, "body", "bytes");
    return 1;
}

/* ---- making one ------------------------------------------------------------------------------ */

/* headers["Any-Case"]: the table itself has names in lower case. */
static int l_header(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    dz_str name = src_str(L, 2);
    luaL_Buffer b;
    char *to = luaL_buffinitsize(L, &b, name.n);
    for (size_t i = 0; i < name.n; i++)
        to[i] = name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] | 0x20) : name.p[i];
    luaL_pushresultsize(&b, name.n);
    lua_rawget(L, 1);
    return 1;
}

/* Fields of the same name are joined as RFC 9110 5.3 says, cookies by lines. */
static void push_headers(lua_State *L, const struct http_op *op)
{
    lua_createtable(L, 0, (int)op->headers_n);
    for (size_t i = 0; i < op->headers_n; i++) {
        const struct dz_fetch_header *h = &op->headers[i];
        lua_pushlstring(L, h->name.p, h->name.n);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) == LUA_TSTRING) {
            lua_pushstring(L, dz_str_eq(h->name, DZ_S("set-cookie")) ? "\n" : ", ");
            lua_pushlstring(L, h->value.p ? h->value.p : "", h->value.n);
            lua_concat(L, 3);
        } else {
            lua_pop(L, 1);
            lua_pushlstring(L, h->value.p ? h->value.p : "", h->value.n);
        }
        lua_rawset(L, -3);
    }
    src_metatable(L, headers_type, NULL, NULL);
    lua_pushcfunction(L, l_header);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}

void http_push_response(lua_State *L, struct http_op *op)
{
    static const luaL_Reg methods[] = {
        {"json", l_json}, {"html", l_html}, {"xml", l_xml}, {"bytes", l_bytes}, {NULL, NULL}};
    luaL_checkstack(L, 10, op->what);
    lua_createtable(L, 0, 5);
    lua_pushinteger(L, op->status);
    lua_setfield(L, -2, "status");
    lua_pushboolean(L, op->from_cache);
    lua_setfield(L, -2, "from_cache");
    lua_pushlstring(L, op->from.p, op->from.n);
    lua_setfield(L, -2, "url");
    push_headers(L, op);
    lua_setfield(L, -2, "headers");
    lua_pushlstring(L, op->bytes->p, op->bytes->n);
    lua_setfield(L, -2, "body");
    src_metatable(L, response_type, NULL, methods);
    lua_setmetatable(L, -2);
    dz_body_unref(&op->bytes);
}
