/*
 * mod_url: `url` of sources: parse, build, join, query, encode, decode.
 *
 * In: addresses and their parts. Out: texts, tables. The rules are those of fetch/url.c (RFC 3986,
 * http and https only), so what is made here is what the requester takes. src_put_query also serves
 * the query and form options of http. Loop's thread.
 */
#include "source/source_int.h"

#define QUERY_NAMES_MAX 10000u

static void set(lua_State *L, const char *name, dz_str s)
{
    if (!s.p)
        return;
    lua_pushlstring(L, s.p, s.n);
    lua_setfield(L, -2, name);
}

static int url_parse(lua_State *L)
{
    dz_str s = src_arg(L, 1, "url.parse");
    struct dz_url u;
    struct dz_err err = {0};
    if (dz_url_parse(s, &u, &err) != DZ_OK)
        return luaL_error(L, "url.parse: %s", err.text);
    uint64_t port;
    lua_createtable(L, 0, 7);
    set(L, "scheme", u.scheme);
    set(L, "user", u.userinfo);
    set(L, "host", u.host);
    if (u.port.n > 0 && dz_str_u64(u.port, 65535, &port, NULL) == DZ_OK) {
        lua_pushinteger(L, (lua_Integer)port);
        lua_setfield(L, -2, "port");
    }
    set(L, "path", u.path.p ? u.path : DZ_S(""));
    set(L, "query", u.query);
    set(L, "fragment", u.fragment);
    return 1;
}

static int url_join(lua_State *L)
{
    dz_str base = src_arg(L, 1, "url.join"), reference = src_arg(L, 2, "url.join"), joined;
    struct dz_err err = {0};
    struct src_scratch *s = src_scratch_new(L);
    if (dz_url_join(base, reference, s->a, &joined, &err) != DZ_OK)
        return luaL_error(L, "url.join: %s", err.text);
    lua_pushlstring(L, joined.p, joined.n);
    return 1;
}

/* ---- query ----------------------------------------------------------------------------------- */

static bool is_scalar(lua_State *L, int index)
{
    int type = lua_type(L, index);
    return type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TBOOLEAN;
}

/* Appends the scalar at index, encoded; a number as Lua writes it. Never raises: the copy of a
 * number is written here, not by Lua. */
static void put_scalar(lua_State *L, int index, struct dz_buf *out)
{
    char number[64];
    dz_str s = {number, 0};
    if (lua_isinteger(L, index))
        s.n = (size_t)snprintf(number, sizeof(number), "%lld", (long long)lua_tointeger(L, index));
    else if (lua_type(L, index) == LUA_TNUMBER)
        s.n = (size_t)snprintf(number, sizeof(number), "%.14g", lua_tonumber(L, index));
    else if (lua_type(L, index) == LUA_TBOOLEAN)
        s = lua_toboolean(L, index) ? DZ_S("true") : DZ_S("false");
    else
        s.p = lua_tolstring(L, index, &s.n);
    dz_buf_put_url(out, s);
}

/* "name=value&" */
static void put_pair(lua_State *L, dz_str name, int value, struct dz_buf *out)
{
    dz_buf_put_url(out, name);
    dz_buf_putc(out, '=');
    put_scalar(L, value, out);
    dz_buf_putc(out, '&');
}

/* The list of {name, value} pairs on index. */
static bool put_pairs(lua_State *L, int index, struct dz_buf *out, struct dz_err *err)
{
    size_t n = lua_rawlen(L, index);
    for (size_t i = 1; i <= n && !out->full; i++) {
        int top = lua_gettop(L);
        bool good = lua_rawgeti(L, index, (lua_Integer)i) == LUA_TTABLE &&
                    lua_rawgeti(L, -1, 1) == LUA_TSTRING;
        if (good) {
            (void)lua_rawgeti(L, -2, 2);
            good = is_scalar(L, -1);
        }
        if (good) {
            dz_str name;
            name.p = lua_tolstring(L, -2, &name.n);
            put_pair(L, name, lua_gettop(L), out);
        }
        lua_settop(L, top);
        if (!good) {
            (void)dz_fail(err, DZ_BAD_INPUT, "pair %zu is not {name, value}", i);
            return false;
        }
    }
    return true;
}

/* All pairs of one name; its value lies on top. */
static bool put_values(lua_State *L, dz_str name, struct dz_buf *out, struct dz_err *err)
{
    int value = lua_gettop(L);
    if (src_is_null(L, value))
        return true;
    bool good = is_scalar(L, value) || lua_istable(L, value);
    if (is_scalar(L, value))
        put_pair(L, name, value, out);
    size_t n = lua_istable(L, value) ? lua_rawlen(L, value) : 0;
    for (size_t i = 1; i <= n && good && !out->full; i++) {
        (void)lua_rawgeti(L, value, (lua_Integer)i);
        good = is_scalar(L, -1);
        if (good)
            put_pair(L, name, value + 1, out);
        lua_pop(L, 1);
    }
    if (!good)
        (void)dz_fail(err, DZ_BAD_INPUT, "\"%.*s\" is neither a text, a number nor a list of them",
                      (int)(name.n < 60 ? name.n : 60), name.p);
    return good;
}

struct named {
    dz_str name;
    size_t from, to; /* its pairs, in the buffer */
};

static int by_name(const void *a, const void *b)
{
    return dz_str_cmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

/* The pairs of the table in no order into b, and where each name's are. */
static bool gather(lua_State *L, int index, struct dz_buf *b, struct named *v, size_t *n,
                   struct dz_err *err)
{
    int top = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        bool good = lua_type(L, -2) == LUA_TSTRING && *n < QUERY_NAMES_MAX;
        if (!good) {
            (void)dz_fail(err, DZ_BAD_INPUT,
                          *n < QUERY_NAMES_MAX ? "a name is no text" : "it has too many names");
        } else {
            struct named *one = &v[(*n)++];
            one->name.p = lua_tolstring(L, -2, &one->name.n);
            one->from = b->n;
            good = put_values(L, one->name, b, err);
            one->to = b->n;
        }
        if (!good || b->full) { /* a list may stand under each of the names: it ends here */
            lua_settop(L, top);
            return good;
        }
        lua_pop(L, 1);
    }
    /* The same table always makes the same address. */
    qsort(v, *n, sizeof(*v), by_name);
    return true;
}

bool src_put_query(lua_State *L, int index, struct dz_buf *out, struct dz_err *err)
{
    index = lua_absindex(L, index);
    if (!lua_checkstack(L, 8)) {
        (void)dz_fail(err, DZ_FULL, "no memory");
        return false;
    }
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, out->max);
    size_t before = out->n;
    bool good;
    if (lua_rawlen(L, index) > 0) {
        good = put_pairs(L, index, &b, err);
        dz_buf_put(out, dz_buf_str(&b));
    } else {
        struct named *v = dz_alloc(QUERY_NAMES_MAX * sizeof(*v));
        size_t n = 0;
        good = gather(L, index, &b, v, &n, err);
        for (size_t i = 0; i < n && good && !b.full; i++)
            dz_buf_put(out, dz_str_sub(dz_buf_str(&b), v[i].from, v[i].to));
        dz_freep(&v);
    }
    if (good && (b.full || out->full)) {
        (void)dz_fail(err, DZ_TOO_LARGE, "it has more than %zu bytes", out->max);
        good = false;
    }
    if (out->n > before)
        out->n--; /* the last & */
    return good;
}

static int hex_digit(char c)
{
    int lower = c | 0x20;
    return c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* What is no %XX stays. */
static void put_decoded(struct dz_buf *b, dz_str s, bool plus)
{
    for (size_t i = 0; i < s.n; i++) {
        int high = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s.p[i + 2]) : -1;
        char plain = plus && s.p[i] == '+' ? ' ' : s.p[i];
        i += low >= 0 ? 2 : 0;
        dz_buf_putc(b, low < 0 ? plain : (char)((unsigned)high << 4 | (unsigned)low));
    }
}

/* Name and value of one pair, decoded, on the stack. */
static void push_pair(lua_State *L, struct src_scratch *s, dz_str pair)
{
    size_t is = dz_str_chr(pair, '=');
    dz_str parts[2] = {dz_str_sub(pair, 0, is), dz_str_after(pair, is)};
    for (int i = 0; i < 2; i++) {
        dz_buf_clear(&s->b);
        put_decoded(&s->b, parts[i], true);
        lua_pushlstring(L, s->b.p, s->b.n);
    }
}

/* A text becomes a table of each name's first value, and a list of all pairs. */
static int read_query(lua_State *L, dz_str text)
{
    struct src_scratch *s = src_scratch_new(L);
    if (dz_str_starts(text, DZ_S("?")))
        text = dz_str_sub(text, 1, text.n);
    lua_newtable(L);
    int first = lua_gettop(L), all = first + 1;
    lua_newtable(L);
    src_mark_array(L, all);
    lua_Integer n = 0;
    while (text.n > 0) {
        size_t end = dz_str_chr(text, '&');
        dz_str pair = dz_str_sub(text, 0, end);
        text = dz_str_after(text, end);
        if (pair.n == 0)
            continue;
        if (n == QUERY_NAMES_MAX)
            return luaL_error(L, "url.query: more than %d pairs", (int)QUERY_NAMES_MAX);
        push_pair(L, s, pair);
        lua_pushvalue(L, -2);
        if (lua_rawget(L, first) == LUA_TNIL) {
            lua_pushvalue(L, -3);
            lua_pushvalue(L, -3);
            lua_rawset(L, first);
        }
        lua_pop(L, 1);
        lua_createtable(L, 2, 0);
        lua_insert(L, -3);
        lua_rawseti(L, -3, 2);
        lua_rawseti(L, -2, 1);
        lua_rawseti(L, all, ++n);
    }
    return 2;
}

static int url_query(lua_State *L)
{
    if (lua_type(L, 1) == LUA_TSTRING)
        return read_query(L, src_arg(L, 1, "url.query"));
    if (!lua_istable(L, 1))
        src_wrong_arg(L, 1, "url.query", "a table or a text");
    struct src_scratch *s = src_scratch_new(L);
    struct dz_err err = {0};
    if (!src_put_query(L, 1, &s->b, &err))
        return luaL_error(L, "url.query: %s", err.text);
    lua_pushlstring(L, s->b.p, s->b.n);
    return 1;
}

/* ---- build ----------------------------------------------------------------------------------- */

/* A text field of the table on index 1, n = 0 when it is not there; it stays alive in the table. */
static dz_str field(lua_State *L, const char *name)
{
    lua_pushstring(L, name);
    int type = lua_rawget(L, 1);
    dz_str s = {0};
    if (type == LUA_TSTRING)
        s.p = lua_tolstring(L, -1, &s.n);
    else if (type != LUA_TNIL && !src_is_null(L, -1))
        luaL_error(L, "url.build: %s must be a text, not a %s", name, luaL_typename(L, -1));
    lua_pop(L, 1);
    return s;
}

/* The characters that would end the part are encoded; dz_url_join does the others. */
static void put_part(struct dz_buf *b, dz_str s, const char *ends)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '\0' && strchr(ends, s.p[i]))
            dz_buf_put(b, s.p[i] == '?' ? DZ_S("%3F") : DZ_S("%23"));
        else
            dz_buf_putc(b, s.p[i]);
}

static void put_host(lua_State *L, struct dz_buf *b, dz_str scheme, dz_str host)
{
    dz_str user = field(L, "user");
    for (size_t i = 0; i < user.n; i++)
        if (strchr("@/?#", user.p[i]))
            luaL_error(L, "url.build: user holds a character that must be encoded");
    dz_buf_put(b, scheme);
    dz_buf_put(b, DZ_S("://"));
    dz_buf_put(b, user);
    if (user.n > 0)
        dz_buf_putc(b, '@');
    dz_buf_put(b, host);
    lua_pushliteral(L, "port");
    if (lua_rawget(L, 1) != LUA_TNIL) {
        lua_Integer port = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
        if (port < 1 || port > 65535)
            luaL_error(L, "url.build: port must be a number from 1 to 65535");
        dz_buf_putc(b, ':');
        dz_buf_put_u64(b, (uint64_t)port);
    }
    lua_pop(L, 1);
}

static void put_query(lua_State *L, struct src_scratch *s)
{
    struct dz_err err = {0};
    lua_pushliteral(L, "query");
    if (lua_rawget(L, 1) == LUA_TTABLE) {
        dz_buf_putc(&s->b, '?');
        if (!src_put_query(L, -1, &s->b, &err))
            luaL_error(L, "url.build: query: %s", err.text);
        if (s->b.p[s->b.n - 1] == '?')
            s->b.n--;
    } else {
        dz_str query = field(L, "query");
        if (query.n > 0) {
            dz_buf_putc(&s->b, '?');
            put_part(&s->b, query, "#");
        }
    }
    lua_pop(L, 1);
}

static int url_build(lua_State *L)
{
    if (!lua_istable(L, 1))
        src_wrong_arg(L, 1, "url.build", "a table");
    lua_settop(L, 1);
    struct src_scratch *s = src_scratch_new(L);
    struct dz_err err = {0};
    struct dz_url u;
    dz_str scheme = field(L, "scheme"), host = field(L, "host"), path = field(L, "path");
    dz_str fragment = field(L, "fragment"), base, all;
    put_host(L, &s->b, scheme.n > 0 ? scheme : DZ_S("https"), host);
    base = dz_arena_str(s->a, dz_buf_str(&s->b));
    if (dz_url_parse(base, &u, &err) != DZ_OK)
        return luaL_error(L, "url.build: %s", err.text);
    if (!dz_str_eq(u.host, host))
        return luaL_error(L, "url.build: host is no name of a host");
    if (path.n > 0 && path.p[0] != '/')
        dz_buf_putc(&s->b, '/');
    put_part(&s->b, path, "?#");
    put_query(L, s);
    if (fragment.n > 0)
        dz_buf_putc(&s->b, '#');
    dz_buf_put(&s->b, fragment);
    if (dz_url_join(base, dz_buf_str(&s->b), s->a, &all, &err) != DZ_OK)
        return luaL_error(L, "url.build: %s", err.text);
    lua_pushlstring(L, all.p, all.n);
    return 1;
}

/* ---- escapes --------------------------------------------------------------------------------- */

static int coded(lua_State *L, const char *fn, void (*put)(struct dz_buf *b, dz_str s))
{
    dz_str text = src_arg(L, 1, fn);
    struct src_scratch *s = src_scratch_new(L);
    put(&s->b, text);
    if (s->b.full)
        return luaL_error(L, "%s: the text has more than %d bytes", fn, (int)SRC_STRING_MAX);
    lua_pushlstring(L, s->b.p, s->b.n);
    return 1;
}

static int url_encode(lua_State *L)
{
    return coded(L, "url.encode", dz_buf_put_url);
}

static void put_plain_decoded(struct dz_buf *b, dz_str s)
{
    put_decoded(b, s, false);
}

static int url_decode(lua_State *L)
{
    return coded(L, "url.decode", put_plain_decoded);
}

void src_open_url(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"parse", url_parse},   {"build", url_build},   {"join", url_join}, {"query", url_query},
        {"encode", url_encode}, {"decode", url_decode}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
