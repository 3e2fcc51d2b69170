/*
 * mod_json: `json` of sources: decode, encode, at, array, null.
 *
 * In: texts and values of a source. Out: the same the other way round; see values.c and
 * json_read.c for what is bounded. Tables are read raw. Loop's thread.
 */
#include "source/source_int.h"

static int json_decode(lua_State *L)
{
    src_push_json_text(L, src_arg(L, 1, "json.decode"), "json.decode");
    return 1;
}

static int json_encode(lua_State *L)
{
    struct dz_err err = {0};
    bool pretty = lua_toboolean(L, 2);
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    struct src_scratch *s = src_scratch_new(L);
    if (!src_to_json(L, 1, &s->json, &err))
        return luaL_error(L, "json.encode: %s", err.text);
    src_put_json(&s->b, s->json, pretty);
    if (s->b.full)
        return luaL_error(L, "json.encode: the text has more than %d bytes", (int)SRC_STRING_MAX);
    lua_pushlstring(L, s->b.p, s->b.n);
    return 1;
}

static int json_array_of(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_createtable(L, 0, 0);
    }
    if (!lua_istable(L, 1))
        src_wrong_arg(L, 1, "json.array", "a table");
    lua_settop(L, 1);
    src_mark_array(L, 1);
    return 1;
}

/* ---- at -------------------------------------------------------------------------------------- */

_Noreturn static void bad_path(lua_State *L, size_t at)
{
    luaL_error(L, "json.at: the path is wrong at character %d", (int)at + 1);
    __builtin_unreachable();
}

/* [3], [-1] or ["any key"]: the key on the stack; *at behind the bracket. Indexes are those of
 * JSON, from 0; below 0 they count from the end of the table under the key. */
static void bracket(lua_State *L, dz_str path, size_t *at)
{
    size_t from = *at + 1;
    bool quoted = from < path.n && path.p[from] == '"';
    dz_str rest = dz_str_sub(path, from + quoted, path.n);
    size_t n = dz_str_chr(rest, quoted ? '"' : ']');
    if (n == DZ_NPOS)
        bad_path(L, *at);
    dz_str inside = dz_str_sub(rest, 0, n);
    *at = from + quoted + n + quoted;
    if (*at >= path.n || path.p[*at] != ']')
        bad_path(L, *at);
    (*at)++;
    if (quoted) {
        lua_pushlstring(L, inside.p, inside.n);
        return;
    }
    bool back = dz_str_starts(inside, DZ_S("-"));
    uint64_t index;
    if (dz_str_u64(dz_str_sub(inside, back, inside.n), INT32_MAX, &index, NULL) != DZ_OK)
        bad_path(L, from);
    lua_Integer length = lua_istable(L, -1) ? (lua_Integer)lua_rawlen(L, -1) : 0;
    lua_pushinteger(L, back ? length - (lua_Integer)index + 1 : (lua_Integer)index + 1);
}

/* One step of the path; the key on the stack. */
static void next_key(lua_State *L, dz_str path, size_t *at)
{
    if (path.p[*at] == '[') {
        bracket(L, path, at);
        return;
    }
    size_t from = *at;
    if (from > 0 && path.p[from++] != '.')
        bad_path(L, from - 1);
    size_t end = from;
    while (end < path.n && !strchr(".[]", path.p[end]))
        end++;
    if (end == from || (end < path.n && path.p[end] == ']'))
        bad_path(L, end);
    lua_pushlstring(L, path.p + from, end - from);
    *at = end;
}

static int json_at(lua_State *L)
{
    dz_str path = src_arg(L, 2, "json.at");
    luaL_checkany(L, 1);
    lua_settop(L, 2);
    lua_pushvalue(L, 1);
    for (size_t at = 0; at < path.n;) {
        next_key(L, path, &at); /* also when nothing is there any more: a wrong path is wrong */
        if (lua_istable(L, -2))
            (void)lua_rawget(L, -2);
        else
            lua_pushnil(L);
        lua_replace(L, 3);
        lua_settop(L, 3);
    }
    if (src_is_null(L, 3))
        lua_pushnil(L);
    return 1;
}

void src_open_json(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"decode", json_decode},
        {"encode", json_encode},
        {"array", json_array_of},
        {"at", json_at},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    src_push_null(L);
    lua_setfield(L, -2, "null");
}
