/*
 * mod_host: the host itself as Lua sees it: dozo, opt, log, store.
 *
 * dozo.source declares, dozo.fail raises an error with a kind, dozo.null is JSON null. opt gives
 * the options with the types they were declared with. log and store go out through the run's env,
 * cut to small sizes. Nothing here waits. Loop's thread.
 */
#include "source/source_int.h"

#include <math.h>
#include <stdlib.h>

#define LOG_LINE_MAX 2000u
#define LOG_LINES_MAX 1000u /* of a call */
#define KEY_MAX 200u
#define VALUE_MAX ((size_t)64 * 1024)
#define LIFETIME_MAX (10.0 * 365 * 86400)

static const struct dz_source_env *need_env(lua_State *L, const char *what)
{
    const struct dz_source_env *env = src_env_of(L);
    if (!env)
        luaL_error(L, "%s: only inside a function of the source, not while it is loaded", what);
    return env;
}

/* ---- dozo ------------------------------------------------------------------------------------ */

static int dozo_fail(lua_State *L)
{
    dz_str name = src_arg(L, 1, "dozo.fail"), text = src_arg(L, 2, "dozo.fail");
    enum dz_source_kind kind;
    if (!dz_source_kind_find(name, &kind) || kind == DZ_SOURCE_OK || kind >= DZ_SOURCE_LIMIT)
        return luaL_error(L,
                          "dozo.fail: \"%s\" is no kind; there are not_found, gone, bad_url, "
                          "rate_limited, auth, challenge, unavailable, parse and unsupported",
                          name.p);
    int64_t wait_ms = -1;
    if (!lua_isnoneornil(L, 3)) {
        luaL_checktype(L, 3, LUA_TTABLE);
        if (lua_getfield(L, 3, "retry_after") != LUA_TNIL) {
            lua_Number s = luaL_checknumber(L, -1);
            if (!(s >= 0 && s <= LIFETIME_MAX))
                return luaL_error(L, "dozo.fail: retry_after is in seconds, from 0");
            wait_ms = (int64_t)(s * 1000);
        }
    }
    char clean[DZ_SOURCE_MESSAGE_MAX];
    src_copy_text(clean, sizeof(clean), text);
    src_raise(L, kind, wait_ms, "%s", clean);
}

void src_open_dozo(lua_State *L)
{
    static const luaL_Reg own[] = {
        {"source", src_declare}, {"fail", dozo_fail}, {"map", src_map}, {NULL, NULL}};
    luaL_newlib(L, own);
    src_push_null(L);
    lua_setfield(L, -2, "null");
    lua_pushliteral(L, DZ_VERSION);
    lua_setfield(L, -2, "version");
}

/* ---- opt ------------------------------------------------------------------------------------- */

void src_push_option(lua_State *L, const struct dz_source_option *o)
{
    json_t **v = src_json_slot(L);
    *v = dz_source_option_value(o, o->value);
    src_push_json(L, *v);
    lua_remove(L, -2);
}

static int opt_index(lua_State *L)
{
    dz_str name = src_arg(L, 2, "opt");
    need_env(L, "opt");
    const struct dz_source_info *info = dz_source_info_of(src_source_of(L));
    for (size_t i = 0; i < info->options_n; i++) {
        if (!dz_str_eq(info->options[i].name, name))
            continue;
        src_push_option(L, &info->options[i]);
        return 1;
    }
    return luaL_error(L, "opt.%s: the source declares no such option", name.p);
}

static int opt_newindex(lua_State *L)
{
    return luaL_error(L, "opt: options come from the settings and cannot be changed");
}

void src_open_opt(lua_State *L)
{
    static const luaL_Reg meta[] = {
        {"__index", opt_index}, {"__newindex", opt_newindex}, {NULL, NULL}};
    lua_newtable(L);
    luaL_newlib(L, meta);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

/* ---- log ------------------------------------------------------------------------------------- */

static int put_line(lua_State *L, enum dz_level level, const char *what)
{
    const struct dz_source_env *env = need_env(L, what);
    struct dz_source_run *r = src_run_of(L);
    if (r->log_lines >= LOG_LINES_MAX) {
        if (r->log_lines++ == LOG_LINES_MAX && env->log)
            env->log(env->arg, DZ_WARN, DZ_S("the source logs too much: the rest is left out"));
        return 0;
    }
    char line[LOG_LINE_MAX];
    size_t n = 0;
    int top = lua_gettop(L);
    for (int i = 1; i <= top && n + 2 < sizeof(line); i++) {
        dz_str s;
        s.p = luaL_tolstring(L, i, &s.n);
        if (i > 1)
            line[n++] = ' ';
        n += src_copy_text(line + n, sizeof(line) - n, s);
        lua_pop(L, 1);
    }
    r->log_lines++;
    src_charge(L, 1000);
    if (env->log)
        env->log(env->arg, level, (dz_str){line, n});
    return 0;
}

static int log_debug(lua_State *L)
{
    return put_line(L, DZ_DEBUG, "log.debug");
}

static int log_info(lua_State *L)
{
    return put_line(L, DZ_INFO, "log.info");
}

static int log_warn(lua_State *L)
{
    return put_line(L, DZ_WARN, "log.warn");
}

static int log_error(lua_State *L)
{
    return put_line(L, DZ_ERROR, "log.error");
}

void src_open_log(lua_State *L)
{
    static const luaL_Reg own[] = {{"debug", log_debug},
                                   {"info", log_info},
                                   {"warn", log_warn},
                                   {"error", log_error},
                                   {NULL, NULL}};
    luaL_newlib(L, own);
}

/* ---- store ----------------------------------------------------------------------------------- */

static dz_str key_arg(lua_State *L, const char *what)
{
    dz_str key = src_arg(L, 1, what);
    if (key.n == 0 || key.n > KEY_MAX || !dz_str_is_utf8(key))
        luaL_error(L, "%s: a key is UTF-8 of 1 to %d bytes", what, (int)KEY_MAX);
    return key;
}

static int store_get(lua_State *L)
{
    const struct dz_source_env *env = need_env(L, "store.get");
    dz_str key = key_arg(L, "store.get");
    struct dz_buf *b = src_buf_slot(L, VALUE_MAX);
    src_charge(L, 10000);
    dz_str id = src_run_of(L)->id;
    if (env->kv_get && env->kv_get(env->arg, id, key, b))
        src_push_json_text(L, dz_buf_str(b), "store.get");
    else
        lua_pushnil(L);
    dz_buf_done(b);
    dz_buf_init(b, VALUE_MAX);
    return 1;
}

static int store_set(lua_State *L)
{
    const struct dz_source_env *env = need_env(L, "store.set");
    dz_str key = key_arg(L, "store.set");
    lua_Number lifetime = luaL_optnumber(L, 3, 0);
    if (!(lifetime >= 0 && lifetime <= LIFETIME_MAX))
        return luaL_error(L, "store.set: the lifetime is in seconds, from 0 (for ever)");
    int64_t until = lifetime > 0 ? dz_loop_wall_s(env->loop) + (int64_t)ceil(lifetime) : 0;
    struct dz_buf *b = src_buf_slot(L, VALUE_MAX);
    json_t **v = src_json_slot(L);
    struct dz_err err = {0};
    if (!lua_isnoneornil(L, 2)) {
        if (!src_to_json(L, 2, v, &err))
            return luaL_error(L, "store.set: %s", err.text);
        src_put_json(b, *v, false);
        if (b->full)
            return luaL_error(L, "store.set: a value of more than %d bytes as JSON",
                              (int)VALUE_MAX);
    }
    src_charge(L, 10000);
    if (env->kv_set)
        env->kv_set(env->arg, src_run_of(L)->id, key, dz_buf_str(b), until);
    return 0;
}

void src_open_store(lua_State *L)
{
    static const luaL_Reg own[] = {{"get", store_get}, {"set", store_set}, {NULL, NULL}};
    luaL_newlib(L, own);
}
