/*
 * collections: what a source declares of its collections, from Lua to the JSON that the catalog
 * takes.
 *
 * In: the table `collections`, whose lists may carry names beside their items ({ "id", "String!",
 * column = "canon_id" }). Out: an array of declarations, sorted by name, each of which
 * dz_collection_parse has taken: all rules but those of this notation are its own. A mistake is one
 * line that names collection and field. The notation needs Lua (src_split_tables), the rest is
 * plain JSON; any thread.
 */
#include "source/source_int.h"

#include "catalog/catalog.h"

#define COLLECTIONS_N_MAX 20u
#define SPLIT_DEPTH_MAX 8 /* more than a declaration needs; what is deeper stays as it is */

/* ---- tables with names and items ------------------------------------------------------------- */

static void split(lua_State *L, int index, int depth);

/* The table on top, copied: one that has names has its items under their numbers as texts. */
static void split_table(lua_State *L, int depth)
{
    int from = lua_gettop(L), to = from + 1;
    bool names = false;
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, from); lua_pop(L, 1))
        names |= lua_type(L, -2) == LUA_TSTRING;
    for (lua_pushnil(L); lua_next(L, from); lua_pop(L, 1)) {
        if (names && lua_isinteger(L, -2))
            lua_pushfstring(L, "%I", lua_tointeger(L, -2));
        else
            lua_pushvalue(L, -2);
        split(L, lua_gettop(L) - 1, depth + 1);
        lua_rawset(L, to);
    }
    lua_remove(L, from);
}

/* Pushes the value at index, its tables split. */
static void split(lua_State *L, int index, int depth)
{
    luaL_checkstack(L, 8, NULL);
    lua_pushvalue(L, index);
    if (lua_istable(L, -1) && depth < SPLIT_DEPTH_MAX)
        split_table(L, depth);
}

void src_split_tables(lua_State *L, int index)
{
    split(L, lua_absindex(L, index), 0);
}

/* ---- one declaration ------------------------------------------------------------------------- */

struct path { /* "collections.PerfVOD: field 3" */
    const char *collection, *what;
    size_t at; /* 0: none */
};

static enum dz_code wrong(const struct path *p, struct dz_err *err, const char *fmt, ...)
    DZ_PRINTF(3, 4);
static enum dz_code wrong(const struct path *p, struct dz_err *err, const char *fmt, ...)
{
    char text[140], at[24] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (p->at > 0)
        snprintf(at, sizeof(at), "[%zu]", p->at);
    return dz_fail(err, DZ_BAD_INPUT, "collections.%.60s%s%.30s%s: %s", p->collection,
                   p->what[0] ? "." : "", p->what, at, text);
}

/* "[Group!]!" into type, list, items_not_null and not_null. */
static bool put_type(const char *text, json_t *o)
{
    dz_str s = dz_str_of(text);
    bool not_null = dz_str_ends(s, DZ_S("!"));
    s = dz_str_sub(s, 0, s.n - not_null);
    bool list = dz_str_starts(s, DZ_S("[")) && dz_str_ends(s, DZ_S("]")), whole = false;
    if (list) {
        s = dz_str_sub(s, 1, s.n - 1);
        whole = dz_str_ends(s, DZ_S("!"));
        s = dz_str_sub(s, 0, s.n - whole);
    }
    if (s.n == 0)
        return false;
    json_object_set_new(o, "type", json_stringn(s.p, s.n));
    json_object_set_new(o, "list", json_boolean(list));
    if (whole)
        json_object_set_new(o, "items_not_null", json_true());
    json_object_set_new(o, "not_null", json_boolean(not_null));
    return true;
}

static enum dz_code read_field(const struct path *p, const json_t *v, json_t *to,
                               struct dz_err *err)
{
    bool plain = json_is_array(v); /* { "id", "String!" } */
    const json_t *name = plain ? json_array_get(v, 0) : json_object_get(v, "1");
    const json_t *type = plain ? json_array_get(v, 1) : json_object_get(v, "2");
    if (!json_is_string(name) || !json_is_string(type) || (plain && json_array_size(v) != 2))
        return wrong(p, err, "expected { \"name\", \"Type!\", column = …, description = … }");
    json_t *o = json_pack("{s:O}", "name", name);
    json_array_append_new(to, o);
    if (!put_type(json_string_value(type), o))
        return wrong(p, err, "field %.60s: \"%.40s\" is no type", json_string_value(name),
                     json_string_value(type));
    const char *key;
    json_t *member;
    if (!plain)
        json_object_foreach((json_t *)(uintptr_t)v, key,
                            member) if (strcmp(key, "1") != 0 && strcmp(key, "2") != 0)
            json_object_set(o, key, member);
    return DZ_OK;
}

static enum dz_code read_fields(const struct path *at, const json_t *v, json_t *to,
                                struct dz_err *err)
{
    struct path p = *at;
    p.what = "fields";
    if (!json_is_array(v) || json_array_size(v) == 0)
        return wrong(&p, err, "expected a list of fields, got %s", src_json_words(v));
    size_t i;
    const json_t *one;
    json_array_foreach(v, i, one)
    {
        p.at = i + 1;
        DZ_TRY(read_field(&p, one, to, err));
    }
    return DZ_OK;
}

/* { { "SNH48", 1 }, … }, which may have a description beside them. */
static json_t *enum_of(const char *name, const json_t *v)
{
    json_t *o = json_object(), *values = json_array();
    json_object_set_new(o, "name", json_string(name));
    json_object_set_new(o, "values", values);
    json_t *words = json_object_get(v, "description");
    if (words)
        json_object_set(o, "description", words);
    size_t n = json_is_array(v) ? json_array_size(v) : json_object_size(v) - (words != NULL);
    for (size_t i = 0; i < n; i++) {
        char key[24];
        snprintf(key, sizeof(key), "%zu", i + 1);
        json_t *pair = json_is_array(v) ? json_array_get(v, i) : json_object_get(v, key);
        json_array_append(values, pair ? pair : json_null());
    }
    return o;
}

/* The members of a table of names as a list of objects that have their names. */
static enum dz_code read_named(const struct path *at, const char *what, const json_t *v, json_t *to,
                               struct dz_err *err)
{
    struct path p = *at;
    p.what = what;
    bool empty = !v || json_is_null(v) || (json_is_array(v) && json_array_size(v) == 0);
    if (!empty && !json_is_object(v))
        return wrong(&p, err, "expected a table of names, got %s", src_json_words(v));
    bool enums = strcmp(what, "enums") == 0;
    const char *name;
    json_t *one;
    json_object_foreach((json_t *)(uintptr_t)v, name, one)
    {
        if (!json_is_object(one) && !(enums && json_is_array(one)))
            return wrong(&p, err, "%.60s: expected a table, got %s", name, src_json_words(one));
        json_t *o = enums ? enum_of(name, one) : json_copy(one);
        json_array_append_new(to, o);
        if (!enums)
            json_object_set_new(o, "name", json_string(name));
    }
    return DZ_OK;
}

static enum dz_code read_collection(const char *name, const json_t *v, json_t *o,
                                    struct dz_err *err)
{
    static const char *const members[] = {"description", "key",    "enums",
                                          "fields",      "unique", "queries"};
    struct path p = {.collection = name, .what = ""};
    if (!json_is_object(v))
        return wrong(&p, err, "expected a table, got %s", src_json_words(v));
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)v, key, member)
    {
        size_t i = 0;
        while (i < DZ_LEN(members) && strcmp(members[i], key) != 0)
            i++;
        if (i < DZ_LEN(members))
            continue;
        const char *near = src_nearest(dz_str_of(key), members, DZ_LEN(members));
        return wrong(&p, err, "unknown member \"%.60s\"%s%s%s", key,
                     near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    if (!json_is_string(json_object_get(v, "key")))
        return wrong(&p, err, "expected key, the name of a field");
    json_t *enums = json_array(), *fields = json_array(), *queries = json_array();
    json_object_set_new(o, "name", json_string(name));
    if ((member = json_object_get(v, "description")) != NULL)
        json_object_set(o, "description", member);
    json_object_set(o, "key", json_object_get(v, "key"));
    json_object_set_new(o, "enums", enums);
    json_object_set_new(o, "fields", fields);
    if ((member = json_object_get(v, "unique")) != NULL)
        json_object_set(o, "unique", member);
    json_object_set_new(o, "queries", queries);
    DZ_TRY(read_named(&p, "enums", json_object_get(v, "enums"), enums, err));
    DZ_TRY(read_fields(&p, json_object_get(v, "fields"), fields, err));
    return read_named(&p, "queries", json_object_get(v, "queries"), queries, err);
}

/* As the catalog will read it. */
static enum dz_code check(dz_str source, const json_t *o, struct dz_err *err)
{
    size_t n = json_dumpb(o, NULL, 0, JSON_COMPACT);
    char *text = dz_alloc(n + 1);
    json_dumpb(o, text, n, JSON_COMPACT);
    struct dz_collection *c = NULL;
    enum dz_code code = dz_collection_parse(source, (dz_str){text, n}, &c, err);
    dz_collection_unref(&c);
    dz_freep(&text);
    return code;
}

enum dz_code src_collections(dz_str source, const json_t *all, json_t **ret_list,
                             struct dz_err *err)
{
    if (!json_is_object(all))
        return dz_fail(err, DZ_BAD_INPUT, "collections: expected a table of names, got %s",
                       src_json_words(all));
    if (json_object_size(all) > COLLECTIONS_N_MAX)
        return dz_fail(err, DZ_BAD_INPUT, "collections: %zu of them, at most %u",
                       json_object_size(all), COLLECTIONS_N_MAX);
    json_t *list = json_array();
    enum dz_code code = DZ_OK;
    const char *name;
    json_t *one;
    json_object_foreach((json_t *)(uintptr_t)all, name, one)
    {
        json_t *o = json_object();
        json_array_append_new(list, o);
        code = read_collection(name, one, o, err);
        if (code == DZ_OK)
            code = check(source, o, err);
        if (code != DZ_OK)
            break;
    }
    if (code == DZ_OK)
        *ret_list = list;
    else
        json_decref(list);
    return code;
}
