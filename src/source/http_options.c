/*
 * http_options: what a source may say of a request, checked and read.
 *
 * In: Lua tables of options, those of a requester and those of a call. Out: a merged table, and the
 * request that is made from it. Whatever is copied belongs to the op, whose box the garbage
 * collector knows, so that an error raised in the middle leaks nothing. Header fields of a merged
 * table are {lower = {Name, value}}.
 */
#include "source/http_lua.h"

#include <stdlib.h>

#define BIT(type) (1u << (type))
#define METHOD_MAX 32u /* bytes */

static const struct {
    const char *name;
    unsigned types;
} options[] = {
    {"body", BIT(LUA_TSTRING)},
    {"cache", BIT(LUA_TBOOLEAN) | BIT(LUA_TNUMBER)},
    {"delay", BIT(LUA_TNUMBER)},
    {"form", BIT(LUA_TTABLE)},
    {"headers", BIT(LUA_TTABLE)},
    {"json", BIT(LUA_TTABLE) | BIT(LUA_TSTRING) | BIT(LUA_TNUMBER) | BIT(LUA_TBOOLEAN) |
                 BIT(LUA_TLIGHTUSERDATA)},
    {"map", BIT(LUA_TFUNCTION)},
    {"max_bytes", BIT(LUA_TNUMBER)},
    {"method", BIT(LUA_TSTRING)},
    {"on_error", BIT(LUA_TFUNCTION)},
    {"on_status", BIT(LUA_TTABLE)},
    {"parallel", BIT(LUA_TNUMBER)},
    {"query", BIT(LUA_TTABLE)},
    {"redirects", BIT(LUA_TBOOLEAN)},
    {"timeout", BIT(LUA_TNUMBER) | BIT(LUA_TTABLE)},
    {"url", BIT(LUA_TSTRING)},
};

/* ---- merging --------------------------------------------------------------------------------- */

static void check_option(lua_State *L, const char *what, int name, int value)
{
    if (lua_type(L, name) != LUA_TSTRING)
        luaL_error(L, "%s: options have names, this one is a %s", what, luaL_typename(L, name));
    const char *text = lua_tostring(L, name);
    for (size_t i = 0; i < DZ_LEN(options); i++)
        if (strcmp(options[i].name, text) == 0) {
            if (!(options[i].types & BIT(lua_type(L, value))))
                luaL_error(L, "%s: the option %s must not be a %s", what, text,
                           luaL_typename(L, value));
            return;
        }
    const char *names[DZ_LEN(options)];
    for (size_t i = 0; i < DZ_LEN(options); i++)
        names[i] = options[i].name;
    const char *near = src_nearest(dz_str_of(text), names, DZ_LEN(names));
    luaL_error(L, "%s: there is no option \"%s\"%s%s%s", what, text, near ? "; did you mean " : "",
               near ? near : "", near ? "?" : "");
}

static void push_lower(lua_State *L, dz_str s)
{
    luaL_Buffer b;
    char *to = luaL_buffinitsize(L, &b, s.n);
    for (size_t i = 0; i < s.n; i++)
        to[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
    luaL_pushresultsize(&b, s.n);
}

/* Copies fields of the table at `from` over those at `to`; false and null take one away. */
static void merge_headers(lua_State *L, const char *what, int to, int from)
{
    lua_pushnil(L);
    while (lua_next(L, from)) {
        int name = lua_gettop(L) - 1, value = name + 1;
        bool gone = src_is_null(L, value) || (lua_isboolean(L, value) && !lua_toboolean(L, value));
        if (lua_type(L, name) != LUA_TSTRING)
            luaL_error(L, "%s: headers must be a table of names and values", what);
        if (!gone && !lua_isstring(L, value))
            luaL_error(L, "%s: the header %s must be a text, not a %s", what, lua_tostring(L, name),
                       luaL_typename(L, value));
        push_lower(L, src_str(L, name));
        if (gone) {
            lua_pushnil(L);
        } else {
            lua_createtable(L, 2, 0);
            lua_pushvalue(L, name);
            lua_rawseti(L, -2, 1);
            lua_pushvalue(L, value);
            (void)lua_tostring(L, -1); /* numbers become texts */
            lua_rawseti(L, -2, 2);
        }
        lua_rawset(L, to);
        lua_settop(L, name);
    }
}

static void merge_handlers(lua_State *L, const char *what, int to, int from)
{
    lua_pushnil(L);
    while (lua_next(L, from)) {
        int ok;
        lua_Integer status = lua_tointegerx(L, -2, &ok);
        if (!ok || status < 400 || status > 599)
            luaL_error(L, "%s: on_status has functions for statuses from 400 to 599", what);
        if (!lua_isfunction(L, -1))
            luaL_error(L, "%s: on_status[%d] must be a function, not a %s", what, (int)status,
                       luaL_typename(L, -1));
        lua_rawseti(L, to, status);
    }
}

static void copy_table(lua_State *L, int to, int from)
{
    lua_pushnil(L);
    while (lua_next(L, from)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, to);
    }
}

/* Pushes the table at merged[name], made when it is not there; a copy when `merged` shares it. */
static int own_table(lua_State *L, int merged, const char *name)
{
    lua_newtable(L);
    int own = lua_gettop(L);
    if (lua_getfield(L, merged, name) == LUA_TTABLE)
        copy_table(L, own, own + 1);
    lua_settop(L, own);
    lua_pushvalue(L, own);
    lua_setfield(L, merged, name);
    return own;
}

void http_merge(lua_State *L, const char *what, int defaults, int opts)
{
    luaL_checkstack(L, 16, what);
    if (!lua_isnoneornil(L, opts) && !lua_istable(L, opts))
        luaL_error(L, "%s: options must be a table, not a %s", what, luaL_typename(L, opts));
    lua_newtable(L);
    int merged = lua_gettop(L);
    if (defaults && lua_istable(L, defaults))
        copy_table(L, merged, defaults);
    if (!lua_istable(L, opts))
        return;
    lua_pushnil(L);
    while (lua_next(L, opts)) {
        int name = lua_gettop(L) - 1, value = name + 1;
        check_option(L, what, name, value);
        const char *text = lua_tostring(L, name);
        if (strcmp(text, "headers") == 0) {
            merge_headers(L, what, own_table(L, merged, "headers"), value);
        } else if (strcmp(text, "on_status") == 0) {
            merge_handlers(L, what, own_table(L, merged, "on_status"), value);
        } else {
            lua_pushvalue(L, name);
            lua_pushvalue(L, value);
            lua_rawset(L, merged);
        }
        lua_settop(L, name);
    }
}

/* ---- the request ----------------------------------------------------------------------------- */

static double seconds(lua_State *L, const char *what, const char *name, int at, double max)
{
    int ok;
    double s = lua_tonumberx(L, at, &ok);
    if (!ok || !(s >= 0) || s > max)
        luaL_error(L, "%s: %s must be a number of seconds from 0 to %d", what, name, (int)max);
    return s;
}

static int64_t timeout_ms(lua_State *L, const char *what, int at)
{
    double s = seconds(L, what, "timeout", at, HTTP_TIMEOUT_MAX_S);
    return s * 1000 < 1 ? 1 : (int64_t)(s * 1000);
}

static void fill_limits(lua_State *L, struct http_op *op, int at)
{
    int top = lua_gettop(L), ok;
    struct dz_fetch_req *r = &op->req;
    switch (lua_getfield(L, at, "timeout")) {
    case LUA_TNUMBER:
        r->connect_timeout_ms = r->read_timeout_ms = timeout_ms(L, op->what, top + 1);
        break;
    case LUA_TTABLE:
        (void)lua_rawgeti(L, top + 1, 1);
        (void)lua_rawgeti(L, top + 1, 2);
        r->connect_timeout_ms = timeout_ms(L, op->what, top + 2);
        r->read_timeout_ms = timeout_ms(L, op->what, top + 3);
        break;
    default:
        break;
    }
    if (lua_getfield(L, at, "delay") == LUA_TNUMBER)
        op->delay_ms = (int64_t)(seconds(L, op->what, "delay", -1, HTTP_DELAY_MAX_S) * 1000);
    r->body_max = SRC_STRING_MAX;
    if (lua_getfield(L, at, "max_bytes") == LUA_TNUMBER) {
        lua_Integer n = lua_tointegerx(L, -1, &ok);
        if (!ok || n < 1 || (size_t)n > SRC_STRING_MAX)
            luaL_error(L, "%s: max_bytes must be a whole number from 1 to %d", op->what,
                       (int)SRC_STRING_MAX);
        r->body_max = (uint64_t)n;
    }
    r->no_redirects = lua_getfield(L, at, "redirects") == LUA_TBOOLEAN && !lua_toboolean(L, -1);
    lua_settop(L, top);
}

/* Text is kept when the site allows it, images and the like are not; within a session nothing is,
 * because cookies may decide on the answer. */
static void fill_cache(lua_State *L, struct http_op *op, int at)
{
    struct dz_fetch_req *r = &op->req;
    const struct dz_source_env *env = src_env_of(L);
    r->cache = op->session ? DZ_FETCH_NO_STORE : DZ_FETCH_FRESH;
    r->fresh_ms = env ? env->fresh_ms : 0;
    r->keep_text_only = true;
    int type = lua_getfield(L, at, "cache");
    if (type == LUA_TBOOLEAN) {
        r->cache = lua_toboolean(L, -1) ? DZ_FETCH_FRESH : DZ_FETCH_NO_STORE;
        r->keep_text_only = false;
    } else if (type == LUA_TNUMBER) {
        r->fresh_ms = (int64_t)(seconds(L, op->what, "cache", -1, HTTP_CACHE_MAX_S) * 1000);
        r->cache = r->fresh_ms > 0 ? DZ_FETCH_FRESH : DZ_FETCH_REVALIDATE;
        r->keep_text_only = false;
    }
    lua_pop(L, 1);
}

static int by_field_name(const void *a, const void *b)
{
    const struct dz_fetch_header *x = a, *y = b;
    return dz_str_cmp(x->name, y->name);
}

/* `type`: of the content, unless the source names one; n = 0: none. */
static void fill_headers(lua_State *L, struct http_op *op, int at, dz_str type)
{
    int top = lua_gettop(L);
    size_t n = 0, bytes = 0;
    struct dz_fetch_header *v =
        dz_arena_alloc(op->arena, (HTTP_FIELDS_MAX + 1) * sizeof(struct dz_fetch_header));
    if (lua_getfield(L, at, "headers") == LUA_TTABLE) {
        lua_pushnil(L);
        while (lua_next(L, top + 1)) {
            (void)lua_rawgeti(L, top + 3, 1);
            (void)lua_rawgeti(L, top + 3, 2);
            dz_str name = src_str(L, top + 4), value = src_str(L, top + 5);
            bytes += name.n + value.n;
            if (n == HTTP_FIELDS_MAX || bytes > DZ_FETCH_HEADERS_MAX)
                luaL_error(L, "%s: more than %d headers or 64 KiB of them", op->what,
                           HTTP_FIELDS_MAX);
            v[n++] = (struct dz_fetch_header){dz_arena_str(op->arena, name),
                                              dz_arena_str(op->arena, value)};
            if (dz_str_eq_nocase(name, DZ_S("content-type")))
                type.n = 0;
            lua_settop(L, top + 2);
        }
    }
    if (type.n > 0)
        v[n++] = (struct dz_fetch_header){DZ_S("Content-Type"), type};
    qsort(v, n, sizeof(*v), by_field_name);
    op->req.headers = v;
    op->req.headers_n = n;
    lua_settop(L, top);
}

static int append_json(const char *p, size_t n, void *arg)
{
    struct dz_buf *b = arg;
    dz_buf_put(b, (dz_str){p, n});
    return b->full ? -1 : 0;
}

static void put_json(lua_State *L, struct http_op *op, int value)
{
    json_t *v = NULL;
    struct dz_err err = {0};
    if (!src_to_json(L, value, &v, &err))
        luaL_error(L, "%s: json: %s", op->what, err.text);
    (void)json_dump_callback(v, append_json, &op->body, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(v);
}

/* Returns the type of the content. */
static dz_str fill_body(lua_State *L, struct http_op *op, int at)
{
    int top = lua_gettop(L);
    dz_str type = {0};
    unsigned kinds = 0;
    if (lua_getfield(L, at, "body") != LUA_TNIL) {
        dz_buf_put(&op->body, src_str(L, top + 1));
        kinds++;
    }
    lua_settop(L, top);
    if (lua_getfield(L, at, "form") != LUA_TNIL) {
        struct dz_err err = {0};
        if (!src_put_query(L, top + 1, &op->body, &err))
            luaL_error(L, "%s: form: %s", op->what, err.text);
        type = DZ_S("application/x-www-form-urlencoded");
        kinds++;
    }
    lua_settop(L, top);
    if (lua_getfield(L, at, "json") != LUA_TNIL) {
        put_json(L, op, top + 1);
        type = DZ_S("application/json");
        kinds++;
    }
    lua_settop(L, top);
    if (kinds > 1)
        luaL_error(L, "%s: only one of body, form and json can be sent", op->what);
    if (op->body.full)
        luaL_error(L, "%s: the content to send is larger than %d MiB", op->what,
                   (int)(SRC_STRING_MAX / DZ_MIB));
    if (kinds &&
        (dz_str_eq(op->req.method, DZ_S("GET")) || dz_str_eq(op->req.method, DZ_S("HEAD"))))
        luaL_error(L, "%s: a %s request carries no content; use post", op->what,
                   dz_arena_dup(op->arena, op->req.method));
    /* Twice: the requester copies it. Until the box is collected, which src_hold asks for. */
    struct http_box *box = (struct http_box *)(void *)op->box;
    if (box && 2 * op->body.n > box->held) {
        src_hold(L, 2 * op->body.n - box->held);
        box->held = 2 * op->body.n;
    }
    op->req.body = dz_buf_str(&op->body);
    return type;
}

void http_set_url(lua_State *L, struct http_op *op, dz_str url)
{
    dz_buf_clear(&op->url);
    dz_buf_put(&op->url, url);
    if (op->url.full)
        src_raise(L, DZ_SOURCE_BAD_URL, -1, "%s: the address has %zu bytes, at most %u", op->what,
                  url.n, DZ_FETCH_URL_MAX);
    op->req.url = dz_buf_str(&op->url);
}

static dz_str copy_method(lua_State *L, struct http_op *op, dz_str method)
{
    if (method.n == 0 || method.n > METHOD_MAX)
        luaL_error(L, "%s: method must be a name such as GET", op->what);
    char *copy = dz_arena_dup(op->arena, method);
    for (size_t i = 0; i < method.n; i++)
        if (copy[i] >= 'a' && copy[i] <= 'z')
            copy[i] = (char)(copy[i] & ~0x20);
    return (dz_str){copy, method.n};
}

void http_fill(lua_State *L, struct http_op *op, int options_at, dz_str method, dz_str url)
{
    int top = lua_gettop(L);
    luaL_checkstack(L, 20, op->what);
    op->req.method = copy_method(L, op, method);
    http_set_url(L, op, dz_str_trim(dz_str_sub(url, 0, dz_str_chr(url, '#'))));
    if (lua_getfield(L, options_at, "query") == LUA_TTABLE) {
        size_t before = op->url.n;
        bool has_query = dz_str_chr(dz_buf_str(&op->url), '?') != DZ_NPOS;
        dz_buf_putc(&op->url, has_query ? '&' : '?');
        size_t start = op->url.n;
        struct dz_err err = {0};
        if (!src_put_query(L, top + 1, &op->url, &err))
            luaL_error(L, "%s: query: %s", op->what, err.text);
        if (op->url.n == start)
            op->url.n = before;
        op->req.url = dz_buf_str(&op->url);
    }
    lua_settop(L, top);
    fill_limits(L, op, options_at);
    fill_cache(L, op, options_at);
    dz_str type = fill_body(L, op, options_at);
    fill_headers(L, op, options_at, type);
}
