/*
 * lib_table: Lua's table library behind checks of its sizes.
 *
 * Lua's own functions loop in C over whatever length a table claims, which a metatable or a few
 * keys far apart make endless. Here a list has LIST_MAX elements at most, far fewer when reading or
 * writing one calls a metamethod, no __len, and what is done with it counts against the run's
 * instructions. The functions themselves are Lua's; each is the upvalue of its guard.
 */
#include "source/source_int.h"

#define LIST_MAX ((lua_Integer)4 * 1000 * 1000)
#define META_MAX ((lua_Integer)100 * 1000)
#define STEPS_A_CALL 40u
#define SORT_MAX ((lua_Integer)500 * 1000)
#define STEPS_A_SORTED 16u

static int go(lua_State *L)
{
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static lua_Integer list_arg(lua_State *L, const char *what, lua_Integer most)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    if (luaL_getmetafield(L, 1, "__len") != LUA_TNIL)
        luaL_error(L, "%s: not for a table with __len", what);
    lua_Unsigned n = lua_rawlen(L, 1);
    if (n > (lua_Unsigned)most)
        luaL_error(L, "%s: a list of more than %d elements", what, (int)most);
    return (lua_Integer)n;
}

static bool is_plain(lua_State *L, int index)
{
    return luaL_getmetafield(L, index, "__index") == LUA_TNIL &&
           luaL_getmetafield(L, index, "__newindex") == LUA_TNIL;
}

/* Elements from..to, which the function will walk over, of the list at index 1 and that at `other`,
 * which may be the same. */
static void span_of(lua_State *L, const char *what, lua_Integer from, lua_Integer to, int other)
{
    int top = lua_gettop(L);
    src_charge(L, STEPS_A_CALL);
    if (from > to)
        return;
    uint64_t n = (uint64_t)to - (uint64_t)from;
    lua_Integer most = is_plain(L, 1) && is_plain(L, other) ? LIST_MAX : META_MAX;
    lua_settop(L, top);
    if (n >= (uint64_t)most)
        luaL_error(L, "%s: more than %d elements%s", what, (int)most,
                   most == META_MAX ? " of a table with metamethods" : "");
    src_charge(L, n);
}

static void span(lua_State *L, const char *what, lua_Integer from, lua_Integer to)
{
    span_of(L, what, from, to, 1);
}

static int table_insert(lua_State *L)
{
    lua_Integer n = list_arg(L, "table.insert", LIST_MAX);
    if (lua_gettop(L) == 3)
        span(L, "table.insert", luaL_checkinteger(L, 2), n);
    return go(L);
}

static int table_remove(lua_State *L)
{
    lua_Integer n = list_arg(L, "table.remove", LIST_MAX);
    if (lua_gettop(L) >= 2)
        span(L, "table.remove", luaL_checkinteger(L, 2), n);
    return go(L);
}

/* Of all texts together: without a function of the source no hook sees how they are compared, each
 * from end to end if it has to be, and one text may be in the list many times. */
static uint64_t bytes_of(lua_State *L, lua_Integer n)
{
    uint64_t bytes = 0;
    for (lua_Integer i = 1; i <= n; i++) {
        if (lua_rawgeti(L, 1, i) == LUA_TSTRING)
            bytes += lua_rawlen(L, -1);
        lua_pop(L, 1);
    }
    return bytes;
}

static int table_sort(lua_State *L)
{
    lua_Integer n = list_arg(L, "table.sort", SORT_MAX);
    src_charge(L, (uint64_t)n * STEPS_A_SORTED);
    if (!lua_isfunction(L, 2) || lua_iscfunction(L, 2))
        src_charge(L, bytes_of(L, n) / 2);
    return go(L);
}

static int table_concat(lua_State *L)
{
    lua_Integer n = list_arg(L, "table.concat", LIST_MAX);
    span(L, "table.concat", luaL_optinteger(L, 3, 1), luaL_optinteger(L, 4, n));
    return go(L);
}

static int table_unpack(lua_State *L)
{
    lua_Integer n = list_arg(L, "table.unpack", LIST_MAX);
    span(L, "table.unpack", luaL_optinteger(L, 2, 1), luaL_optinteger(L, 3, n));
    return go(L);
}

static int table_move(lua_State *L)
{
    span_of(L, "table.move", luaL_checkinteger(L, 2), luaL_checkinteger(L, 3),
            lua_isnoneornil(L, 5) ? 1 : 5);
    return go(L);
}

void src_open_table(lua_State *L)
{
    static const luaL_Reg own[] = {{"insert", table_insert}, {"remove", table_remove},
                                   {"sort", table_sort},     {"concat", table_concat},
                                   {"unpack", table_unpack}, {"move", table_move}};
    luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 0);
    for (size_t i = 0; i < DZ_LEN(own); i++) {
        lua_getfield(L, -1, own[i].name);
        lua_pushcclosure(L, own[i].func, 1);
        lua_setfield(L, -2, own[i].name);
    }
}
