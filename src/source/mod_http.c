/*
 * mod_http: the functions of `http` as Lua sees them.
 *
 * The module itself, what http.new makes and what http.session hands to its function are the same
 * thing: a requester, a table of functions with some defaults behind them and maybe a session. Both
 * r.get(url) and r:get(url) are understood. Nothing is asked here: see http_lua.h.
 */
#include "source/http_lua.h"

/* Upvalues of all functions of a requester. */
#define SELF lua_upvalueindex(1)
#define DEFAULTS lua_upvalueindex(2)
#define SESSION lua_upvalueindex(3)
#define VERB lua_upvalueindex(4)

static const char session_type[] = "dozo.http.session";

static const struct {
    const char *name, *what;
    dz_str method;
} verbs[] = {
    {"get", "http.get", {"GET", 3}},          {"post", "http.post", {"POST", 4}},
    {"put", "http.put", {"PUT", 3}},          {"patch", "http.patch", {"PATCH", 5}},
    {"delete", "http.delete", {"DELETE", 6}}, {"head", "http.head", {"HEAD", 4}},
};

static void push_requester(lua_State *L, int defaults, int session);

/* r:get(…) as r.get(…). */
static void without_self(lua_State *L)
{
    if (lua_istable(L, 1) && lua_rawequal(L, 1, SELF))
        lua_remove(L, 1);
}

/* ---- one request ----------------------------------------------------------------------------- */

enum { ONE_BOX = 1, ONE_OPTIONS, ONE_FN, ONE_KEY };

static int after_map(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    http_remember(L, ONE_KEY, ONE_OPTIONS, -1);
    return 1;
}

static int response_came(lua_State *L, struct http_op *op)
{
    if (!lua_isfunction(L, ONE_FN))
        return 1;
    lua_pushvalue(L, ONE_FN);
    lua_insert(L, -2);
    lua_callk(L, 1, 1, (lua_KContext)(void *)op, after_map);
    return after_map(L, LUA_OK, 0);
}

/* One of http.map: what the function returns has its place in the list; the fan is kept alive. */
enum { EACH_BOX = 1, EACH_OPTIONS, EACH_FN, EACH_INDEX, EACH_RESULTS, EACH_FAN, EACH_URL };

static int after_each(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, false); /* a list has no holes */
    }
    lua_rawseti(L, EACH_RESULTS, lua_tointeger(L, EACH_INDEX));
    return 0;
}

/* fn(response, index, url) */
static int each_came(lua_State *L, struct http_op *op)
{
    lua_pushvalue(L, EACH_FN);
    lua_insert(L, -2);
    lua_pushvalue(L, EACH_INDEX);
    lua_pushvalue(L, EACH_URL);
    lua_callk(L, 3, 1, (lua_KContext)(void *)op, after_each);
    return after_each(L, LUA_OK, 0);
}

static struct http_session *session_of(lua_State *L)
{
    return lua_isuserdata(L, SESSION) ? luaL_checkudata(L, SESSION, session_type) : NULL;
}

/* Pushes a box with the request in it. */
static struct http_op *make_op(lua_State *L, const char *what, dz_str method, dz_str url,
                               int options)
{
    struct http_op *op = http_new_op(L, what);
    op->session = session_of(L);
    if (op->session) {
        lua_pushvalue(L, SESSION);
        lua_setiuservalue(L, -2, 1);
    }
    http_fill(L, op, options, method, url);
    return op;
}

/* The address at 1 and merged options on top. */
static int ask_one(lua_State *L, const char *what, dz_str method)
{
    int options = lua_gettop(L);
    dz_str url = src_str(L, 1);
    struct http_op *op = make_op(L, what, method, url, options);
    op->finish = response_came;
    op->base = ONE_KEY;
    lua_settop(L, options + 1 + ONE_KEY);
    lua_pushvalue(L, options + 1);
    lua_pushvalue(L, options);
    (void)lua_getfield(L, options, "map");
    http_push_key(L, op, options, lua_gettop(L));
    for (int i = ONE_KEY; i >= 1; i--)
        lua_replace(L, i);
    lua_settop(L, ONE_KEY);
    if (http_recall(L, ONE_KEY))
        return 1;
    return http_go(L, op);
}

static int l_verb(lua_State *L)
{
    without_self(L);
    const size_t verb = (size_t)lua_tointeger(L, VERB);
    (void)src_str(L, 1);
    lua_settop(L, 2);
    http_merge(L, verbs[verb].what, DEFAULTS, 2);
    return ask_one(L, verbs[verb].what, verbs[verb].method);
}

static int l_request(lua_State *L)
{
    without_self(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    http_merge(L, "http.request", DEFAULTS, 1);
    if (lua_getfield(L, 2, "url") != LUA_TSTRING)
        return luaL_error(L, "http.request: the option url is missing");
    dz_str method = DZ_S("GET");
    if (lua_getfield(L, 2, "method") == LUA_TSTRING)
        method = src_str(L, 4);
    lua_pushvalue(L, 3);
    lua_replace(L, 1); /* the address where ask_one looks for it */
    lua_pushvalue(L, 2);
    return ask_one(L, "http.request", method);
}

/* ---- many requests --------------------------------------------------------------------------- */

static int l_aggregate(lua_State *L)
{
    without_self(L);
    lua_settop(L, 3);
    http_merge(L, "http.aggregate", DEFAULTS, 3);
    return http_aggregate(L, 4, session_of(L), SESSION);
}

/* The body of one task of http.map: (url, options, fn, index, results, fan). */
static int l_each(lua_State *L)
{
    dz_str url = src_str(L, 1);
    struct http_op *op = make_op(L, "http.map", DZ_S("GET"), url, 2);
    op->finish = each_came;
    op->base = EACH_URL;
    lua_insert(L, 1);     /* the box to the front, */
    lua_rotate(L, 2, -1); /* the address to the end */
    return http_go(L, op);
}

static int l_map(lua_State *L)
{
    without_self(L);
    lua_settop(L, 3);
    http_merge(L, "http.map", DEFAULTS, 3);
    lua_pushvalue(L, SELF);
    lua_pushvalue(L, DEFAULTS);
    lua_pushvalue(L, SESSION);
    lua_pushcclosure(L, l_each, 3);
    return http_fan_out(L, 4, 5);
}

/* ---- requesters ------------------------------------------------------------------------------ */

static int l_new(lua_State *L)
{
    without_self(L);
    lua_settop(L, 1);
    http_merge(L, "http.new", DEFAULTS, 1);
    lua_pushvalue(L, SESSION);
    push_requester(L, 2, 3);
    return 1;
}

static int collect_session(lua_State *L)
{
    struct http_session *s = luaL_checkudata(L, 1, session_type);
    dz_fetch_session_unref(&s->s);
    return 0;
}

static int after_session(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct http_session *s = (struct http_session *)(void *)context;
    s->ended = true;
    return lua_gettop(L) - 1;
}

/* session(fn) or session(opts, fn): the function's results. */
static int l_session(lua_State *L)
{
    without_self(L);
    if (lua_isfunction(L, 1)) {
        lua_settop(L, 1);
        lua_pushnil(L);
        lua_insert(L, 1);
    }
    lua_settop(L, 2);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    src_can_wait(L, "http.session");
    const struct dz_source_env *env = src_env_of(L);
    http_merge(L, "http.session", DEFAULTS, 1);
    struct http_session *s = lua_newuserdatauv(L, sizeof(struct http_session), 0);
    *s = (struct http_session){0};
    src_metatable(L, session_type, collect_session, NULL);
    lua_setmetatable(L, -2);
    if (env->fetch)
        s->s = dz_fetch_session_new(env->fetch);
    push_requester(L, 3, 4); /* fn, options, session, requester from 2 on */
    lua_pushvalue(L, 4);
    lua_replace(L, 1); /* anchored below the results */
    lua_remove(L, 4);
    lua_remove(L, 3);
    lua_callk(L, 1, LUA_MULTRET, (lua_KContext)(void *)s, after_session);
    return after_session(L, LUA_OK, (lua_KContext)(void *)s);
}

static void add_function(lua_State *L, int self, int defaults, int session, const char *name,
                         lua_CFunction fn, int verb)
{
    lua_pushvalue(L, self);
    lua_pushvalue(L, defaults);
    lua_pushvalue(L, session);
    lua_pushinteger(L, verb);
    lua_pushcclosure(L, fn, 4);
    lua_setfield(L, self, name);
}

/* `defaults`: merged options or nil; `session`: its userdata or nil. */
static void push_requester(lua_State *L, int defaults, int session)
{
    static const luaL_Reg others[] = {{"request", l_request},
                                      {"new", l_new},
                                      {"session", l_session},
                                      {"map", l_map},
                                      {"aggregate", l_aggregate}};
    luaL_checkstack(L, 8, "http");
    lua_createtable(L, 0, (int)(DZ_LEN(verbs) + DZ_LEN(others)));
    int self = lua_gettop(L);
    for (size_t i = 0; i < DZ_LEN(verbs); i++)
        add_function(L, self, defaults, session, verbs[i].name, l_verb, (int)i);
    for (size_t i = 0; i < DZ_LEN(others); i++)
        add_function(L, self, defaults, session, others[i].name, others[i].func, 0);
}

void src_open_http(lua_State *L)
{
    lua_pushnil(L);
    int none = lua_gettop(L);
    push_requester(L, none, none);
    lua_remove(L, none);
}
