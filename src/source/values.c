/*
 * values: what crosses between Lua and JSON, and what module functions share.
 *
 * In: values of a source, which may be anything: deep, cyclic, huge by sharing, not UTF-8. Out:
 * jansson values, or Lua values on the stack. Reading a Lua value never calls into the source
 * (tables are read raw) and never raises, so that the half-built JSON can be given back; depth,
 * number and bytes are bounded. Arrays carry a mark (a metatable kept under a private key), so that
 * an empty one stays an array. Loop's thread.
 */
#include "source/source_int.h"

#include <math.h>

#define STEPS_A_VALUE 4u

static const char null_here, array_here, guard_here; /* addresses are the keys */

/* ---- null and arrays ------------------------------------------------------------------------- */

void src_push_null(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)&null_here);
}

bool src_is_null(lua_State *L, int index)
{
    return lua_islightuserdata(L, index) && lua_touserdata(L, index) == (const void *)&null_here;
}

void src_mark_array(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &array_here) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 1);
        lua_pushliteral(L, "array"); /* nobody can take or change it */
        lua_setfield(L, -2, "__metatable");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &array_here);
    }
    lua_setmetatable(L, index);
}

static bool is_marked(lua_State *L, int index)
{
    if (!lua_getmetatable(L, index))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_here);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* ---- Lua to JSON ----------------------------------------------------------------------------- */

struct step {
    dz_str key; /* p NULL: an index */
    lua_Integer at;
};
struct walk {
    lua_State *L;
    struct dz_err *err;
    struct step path[SRC_DEPTH_MAX + 1];
    unsigned depth;
    unsigned values;
    size_t bytes;
};
struct member {
    dz_str key;
    json_t *value;
};

static json_t *convert(struct walk *w, int index);

/* Where the walk stands, as one would write it in Lua. */
static json_t *refuse(struct walk *w, const char *what)
{
    char path[160] = "";
    size_t n = 0;
    for (unsigned i = 0; i < w->depth && n < sizeof(path) - 1; i++) {
        const struct step *s = &w->path[i];
        int k = s->key.p ? snprintf(path + n, sizeof(path) - n, "%s%.*s", i > 0 ? "." : "",
                                    (int)(s->key.n < 40 ? s->key.n : 40), s->key.p)
                         : snprintf(path + n, sizeof(path) - n, "[%lld]", (long long)s->at);
        n += k > 0 ? (size_t)k : 0;
        n = n < sizeof(path) ? n : sizeof(path) - 1;
    }
    if (n > 70) { /* a cycle says the same again and again */
        n = 60;
        while ((path[n] & 0xC0) == 0x80)
            n--;
        memcpy(path + n, "…", sizeof("…"));
    }
    (void)dz_fail(w->err, DZ_BAD_INPUT, "%s%s%s", path, path[0] ? ": " : "", what);
    return NULL;
}

static void enter(struct walk *w, struct step s)
{
    w->path[w->depth++] = s;
}

static json_t *convert_text(struct walk *w, int index)
{
    dz_str s;
    s.p = lua_tolstring(w->L, index, &s.n);
    w->bytes += s.n;
    if (w->bytes > SRC_STRING_MAX)
        return refuse(w, "the value is too large altogether");
    if (!dz_str_is_utf8(s))
        return refuse(w, "the text is not UTF-8");
    return json_stringn_nocheck(s.p, s.n);
}

static json_t *convert_number(struct walk *w, int index)
{
    if (lua_isinteger(w->L, index))
        return json_integer(lua_tointeger(w->L, index));
    double x = lua_tonumber(w->L, index);
    return isfinite(x) ? json_real(x) : refuse(w, "the number is not finite");
}

static json_t *convert_array(struct walk *w, int index, lua_Integer n)
{
    json_t *array = json_array();
    for (lua_Integer i = 1; array && i <= n; i++) {
        enter(w, (struct step){.at = i});
        (void)lua_rawgeti(w->L, index, i);
        json_t *v = lua_isnil(w->L, -1) ? refuse(w, "nothing there, use json.null")
                                        : convert(w, lua_gettop(w->L));
        lua_pop(w->L, 1);
        w->depth--;
        if (!v || json_array_append_new(array, v) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static int by_key(const void *a, const void *b)
{
    return dz_str_cmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

/* Members of the table in the order of lua_next; the values converted. false: *n of them are good
 * and the rest is not there. */
static bool gather(struct walk *w, int index, struct member *m, size_t *n)
{
    int top = lua_gettop(w->L);
    lua_pushnil(w->L);
    while (lua_next(w->L, index)) {
        dz_str key;
        key.p = lua_tolstring(w->L, -2, &key.n); /* a string: nothing is converted in place */
        json_t *v = NULL;
        w->bytes += key.n;
        if (!dz_str_is_utf8(key) || dz_str_chr(key, '\0') != DZ_NPOS) {
            (void)refuse(w, "a key is not UTF-8 or holds a NUL");
        } else {
            enter(w, (struct step){.key = key});
            v = convert(w, lua_gettop(w->L));
            w->depth--;
        }
        if (!v) {
            lua_settop(w->L, top);
            return false;
        }
        m[(*n)++] = (struct member){key, v};
        lua_pop(w->L, 1);
    }
    return true;
}

static json_t *convert_object(struct walk *w, int index, size_t count)
{
    struct member *m = dz_alloc((count + 1) * sizeof(*m));
    size_t n = 0, used = 0;
    json_t *object = gather(w, index, m, &n) ? json_object() : NULL;
    if (object) {
        qsort(m, n, sizeof(*m), by_key);
        while (used < n && json_object_setn_new_nocheck(object, m[used].key.p, m[used].key.n,
                                                        m[used].value) == 0)
            used++;
        if (used < n) { /* the call gives the value back also when it fails */
            used++;
            json_decref(object);
            object = NULL;
        }
    }
    for (size_t i = used; i < n; i++)
        json_decref(m[i].value);
    dz_freep(&m);
    return object;
}

static json_t *convert_table(struct walk *w, int index)
{
    lua_State *L = w->L;
    if (w->depth >= SRC_DEPTH_MAX)
        return refuse(w, "nested too deep, or a table that holds itself");
    if (!lua_checkstack(L, 8))
        return refuse(w, "no memory");
    size_t texts = 0, numbers = 0;
    lua_Integer top = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_isinteger(L, -2)) {
            numbers++;
            lua_Integer at = lua_tointeger(L, -2);
            top = at < 1 || top < 0 ? -1 : at > top ? at : top;
        } else if (lua_type(L, -2) == LUA_TSTRING) {
            texts++;
        } else {
            lua_pop(L, 2);
            return refuse(w, "a key is neither a text nor an index");
        }
    }
    bool marked = is_marked(L, index);
    if (texts > 0 && numbers > 0)
        return refuse(w, "texts and numbers as keys of one table");
    if (texts > 0 && marked)
        return refuse(w, "an array with a text as key");
    if (texts > 0 || (numbers == 0 && !marked))
        return convert_object(w, index, texts);
    if (top < 0 || (size_t)top != numbers)
        return refuse(w, "number keys that are not 1, 2, 3 … without holes");
    return convert_array(w, index, top);
}

static json_t *convert(struct walk *w, int index)
{
    if (++w->values > SRC_VALUES_MAX || w->bytes > SRC_STRING_MAX)
        return refuse(w, "the value is too large altogether");
    switch (lua_type(w->L, index)) {
    case LUA_TNONE:
    case LUA_TNIL:
        return json_null();
    case LUA_TBOOLEAN:
        return json_boolean(lua_toboolean(w->L, index));
    case LUA_TNUMBER:
        return convert_number(w, index);
    case LUA_TSTRING:
        return convert_text(w, index);
    case LUA_TTABLE:
        return convert_table(w, index);
    default:
        if (src_is_null(w->L, index))
            return json_null();
        char what[64];
        snprintf(what, sizeof(what), "a %s cannot become JSON", luaL_typename(w->L, index));
        return refuse(w, what);
    }
}

bool src_to_json(lua_State *L, int index, json_t **ret_v, struct dz_err *err)
{
    struct dz_err own = {0};
    struct walk w = {.L = L, .err = err ? err : &own};
    w.err->text[0] = '\0';
    json_t *v = convert(&w, lua_absindex(L, index));
    src_work(L, (uint64_t)w.values * STEPS_A_VALUE + w.bytes / 64);
    if (!v && w.err->text[0] == '\0')
        (void)dz_fail(w.err, DZ_FULL, "no memory");
    if (!v)
        return false;
    *ret_v = v;
    return true;
}

/* ---- JSON to Lua ----------------------------------------------------------------------------- */

static void push(lua_State *L, const json_t *v, unsigned depth)
{
    luaL_checkstack(L, 6, "JSON");
    if (depth > SRC_DEPTH_MAX)
        luaL_error(L, "JSON is nested deeper than %d", SRC_DEPTH_MAX);
    size_t n, i;
    json_t *item;
    const char *key;
    size_t key_n;
    switch (json_typeof(v)) {
    case JSON_NULL:
        src_push_null(L);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(L, json_is_true(v));
        break;
    case JSON_INTEGER:
        lua_pushinteger(L, json_integer_value(v));
        break;
    case JSON_REAL:
        lua_pushnumber(L, json_real_value(v));
        break;
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(v), json_string_length(v));
        break;
    case JSON_ARRAY:
        n = json_array_size(v);
        lua_createtable(L, (int)n, 0);
        json_array_foreach(v, i, item)
        {
            push(L, item, depth + 1);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        src_mark_array(L, -1);
        break;
    case JSON_OBJECT:
        lua_createtable(L, 0, (int)json_object_size(v));
        json_object_keylen_foreach((json_t *)(uintptr_t)v, key, key_n, item)
        {
            lua_pushlstring(L, key, key_n);
            push(L, item, depth + 1);
            lua_rawset(L, -3);
        }
        break;
    }
}

void src_push_json(lua_State *L, const json_t *v)
{
    push(L, v, 0);
}

/* ---- arguments ------------------------------------------------------------------------------- */

dz_str src_str(lua_State *L, int index)
{
    dz_str s;
    s.p = luaL_checklstring(L, index, &s.n);
    return s;
}

void src_wrong_arg(lua_State *L, int index, const char *fn, const char *expected)
{
    const char *got = lua_isnoneornil(L, index) ? "nothing"
                      : src_is_null(L, index)   ? "null"
                                                : luaL_typename(L, index);
    luaL_error(L, "%s: argument %d must be %s, not %s", fn, index - (strchr(fn, ':') != NULL),
               expected, strcmp(got, "string") == 0 ? "a text" : got);
    __builtin_unreachable();
}

dz_str src_arg(lua_State *L, int index, const char *fn)
{
    dz_str s;
    s.p = lua_tolstring(L, index, &s.n); /* numbers count as texts, as everywhere in Lua */
    if (!s.p)
        src_wrong_arg(L, index, fn, "a text");
    return s;
}

dz_str src_arg_or(lua_State *L, int index, const char *fn, dz_str otherwise)
{
    return lua_isnoneornil(L, index) ? otherwise : src_arg(L, index, fn);
}

/* ---- C memory of a call ---------------------------------------------------------------------- */

struct guard {
    void (*done)(void *p); /* NULL: it has run */
    char p[];
};

static int guard_close(lua_State *L)
{
    struct guard *g = lua_touserdata(L, 1);
    void (*done)(void *p) = g->done;
    g->done = NULL;
    if (done)
        done(g->p);
    return 0;
}

void *src_guard(lua_State *L, size_t n, void (*done)(void *p))
{
    luaL_checkstack(L, 4, NULL);
    struct guard *g = lua_newuserdatauv(L, sizeof(*g) + n, 0);
    *g = (struct guard){0};
    memset(g->p, 0, n);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &guard_here) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 2);
        lua_pushcfunction(L, guard_close);
        lua_setfield(L, -2, "__gc");
        lua_pushcfunction(L, guard_close);
        lua_setfield(L, -2, "__close");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &guard_here);
    }
    lua_setmetatable(L, -2);
    lua_toclose(L, -1);
    g->done = done;
    return g->p;
}

static void scratch_done(void *p)
{
    struct src_scratch *s = p;
    dz_arena_free(&s->a);
    dz_buf_done(&s->b);
    json_decref(s->json);
    s->json = NULL;
}

struct src_scratch *src_scratch_new(lua_State *L)
{
    struct src_scratch *s = src_guard(L, sizeof(*s), scratch_done);
    s->a = dz_arena_new(128 * DZ_MIB);
    dz_buf_init(&s->b, SRC_STRING_MAX);
    return s;
}

/* ---- JSON to text ---------------------------------------------------------------------------- */

/* The library writes 17 digits of every number: 10.1 would become 10.1 and a little. */
static void put_scalar(struct dz_buf *out, const json_t *v)
{
    struct dz_json j;
    dz_json_init(&j, out, DZ_JSON_COMPACT, false);
    switch (json_typeof(v)) {
    case JSON_STRING:
        dz_json_str(&j, dz_json_text(v));
        break;
    case JSON_INTEGER:
        dz_json_int(&j, json_integer_value(v));
        break;
    case JSON_REAL:
        dz_json_real(&j, json_real_value(v));
        break;
    case JSON_NULL:
        dz_json_null(&j);
        break;
    default:
        dz_json_bool(&j, json_is_true(v));
        break;
    }
}

static void break_line(struct dz_buf *out, bool pretty, unsigned depth)
{
    if (pretty)
        dz_buf_putf(out, "\n%*s", (int)depth * 2, "");
}

static void put_value(struct dz_buf *out, const json_t *v, bool pretty, unsigned depth)
{
    size_t i = 0, n = json_array_size(v) + json_object_size(v);
    bool is_array = json_is_array(v);
    if (!is_array && !json_is_object(v)) {
        put_scalar(out, v);
        return;
    }
    dz_buf_putc(out, is_array ? '[' : '{');
    for (void *it = json_object_iter((json_t *)(uintptr_t)v); i < n && !out->full; i++) {
        if (i > 0)
            dz_buf_putc(out, ',');
        break_line(out, pretty, depth + 1);
        if (is_array) {
            put_value(out, json_array_get(v, i), pretty, depth + 1);
            continue;
        }
        struct dz_json j;
        dz_json_init(&j, out, DZ_JSON_COMPACT, false);
        dz_json_str(&j, (dz_str){json_object_iter_key(it), json_object_iter_key_len(it)});
        dz_buf_put(out, pretty ? DZ_S(": ") : DZ_S(":"));
        put_value(out, json_object_iter_value(it), pretty, depth + 1);
        it = json_object_iter_next((json_t *)(uintptr_t)v, it);
    }
    if (n > 0)
        break_line(out, pretty, depth);
    dz_buf_putc(out, is_array ? ']' : '}');
}

void src_put_json(struct dz_buf *out, const json_t *v, bool pretty)
{
    put_value(out, v, pretty, 0);
}
