/*
 * mod_run: what crawl(run) and download(id, archive) are handed: objects that pass records and
 * bytes on to the sink of the run's env.
 *
 * Neither waits. A sink that refuses ends the call as unavailable: what was gathered could not be
 * kept. Loop's thread.
 */
#include "source/source_int.h"

#define NAME_MAX_BYTES 255u

static const struct dz_source_sink *need_sink(lua_State *L, const char *what)
{
    const struct dz_source_env *env = src_env_of(L);
    if (!env || !env->sink)
        luaL_error(L, "%s: only inside crawl and download", what);
    return env->sink;
}

static void refuse(lua_State *L, const char *what, const struct dz_err *err)
{
    src_raise(L, DZ_SOURCE_UNAVAILABLE, -1, "%s: %s", what, err->text);
}

static int run_emit(lua_State *L)
{
    const struct dz_source_sink *sink = need_sink(L, "run:emit");
    dz_str name = src_arg(L, 2, "run:emit");
    luaL_checktype(L, 3, LUA_TTABLE);
    json_t **v = src_json_slot(L);
    struct dz_err err = {0};
    if (!src_to_json(L, 3, v, &err))
        return luaL_error(L, "run:emit: %s", err.text);
    src_charge(L, 1000);
    enum dz_code code = sink->emit(src_env_of(L)->arg, name, *v, &err);
    json_decref(*v);
    *v = NULL;
    if (code != DZ_OK)
        refuse(L, "run:emit", &err);
    return 0;
}

static int run_seen(lua_State *L)
{
    const struct dz_source_sink *sink = need_sink(L, "run:seen");
    dz_str name = src_arg(L, 2, "run:seen");
    json_t **v = src_json_slot(L);
    struct dz_err err = {0};
    if (!src_to_json(L, 3, v, &err))
        return luaL_error(L, "run:seen: %s", err.text);
    src_charge(L, 1000);
    bool seen = sink->seen(src_env_of(L)->arg, name, *v);
    json_decref(*v);
    *v = NULL;
    lua_pushboolean(L, seen);
    return 1;
}

static int archive(lua_State *L, const char *what, dz_str name, dz_str bytes)
{
    const struct dz_source_sink *sink = need_sink(L, what);
    if (name.n > NAME_MAX_BYTES || !dz_str_is_utf8(name) || dz_str_chr(name, '/') != DZ_NPOS)
        return luaL_error(L, "%s: a name is UTF-8 of at most %d bytes without a slash", what,
                          (int)NAME_MAX_BYTES);
    src_charge(L, bytes.n / 16 + 1000);
    struct dz_err err = {0};
    if (sink->archive(src_env_of(L)->arg, name, bytes, &err) != DZ_OK)
        refuse(L, what, &err);
    return 0;
}

static int run_archive(lua_State *L)
{
    dz_str name = src_arg(L, 2, "run:archive"), bytes = src_arg(L, 3, "run:archive");
    return archive(L, "run:archive", name, bytes);
}

static int archive_add(lua_State *L)
{
    dz_str bytes = src_arg(L, 2, "archive:add");
    return archive(L, "archive:add", src_arg_or(L, 3, "archive:add", DZ_S("")), bytes);
}

void src_push_crawl(lua_State *L, const json_t *options)
{
    static const luaL_Reg own[] = {
        {"emit", run_emit}, {"seen", run_seen}, {"archive", run_archive}, {NULL, NULL}};
    if (json_is_object(options))
        src_push_json(L, options);
    else
        lua_newtable(L);
    luaL_setfuncs(L, own, 0);
}

void src_push_archive(lua_State *L)
{
    static const luaL_Reg own[] = {{"add", archive_add}, {NULL, NULL}};
    lua_newtable(L);
    luaL_setfuncs(L, own, 0);
}
