/*
 * mod_run: what crawl(run) and download(id, archive) are handed: objects that pass records and
 * bytes on to the sink of the run's env.
 *
 * run:emit, run:seen and run:archive wait until the sink has answered: a record that was emitted is
 * on disk. What they ask is a piece of heap that the sink owns until its answer, so that a run may
 * end while a worker reads it; its bytes count against the run's memory as long. Loop's thread.
 */
#include "source/source_int.h"

#include <stdlib.h>

#define NAME_MAX_BYTES 255u
#define VALUES_MAX 10000u /* that one run:seen asks for */
#define DEPTH_MAX 8u      /* folders of a name that is archived */
#define TROUBLE_MAX 2000u /* bytes of its text */

static const struct dz_source_sink *need_sink(lua_State *L, const char *what)
{
    const struct dz_source_env *env = src_env_of(L);
    if (!env || !env->sink)
        luaL_error(L, "%s: only inside crawl and download", what);
    return env->sink;
}

/* ---- asking and waiting ---------------------------------------------------------------------- */

/* Owned by its userdata, but by the sink from its sending to the answer. */
struct ask {
    struct dz_source_ask pub; /* what the sink sees */
    struct dz_source_run *run;
    struct src_task *task; /* that waits; NULL: none */
    const char *what;
    bool sent, answered, many; /* many: of run:seen */
    size_t held;
    json_t *answer;
    enum dz_code code;
    struct dz_err err;
    char *name;
};

static void ask_free(struct ask *a)
{
    json_decref(a->pub.value);
    json_decref(a->answer);
    dz_body_unref(&a->pub.bytes);
    free(a->name);
    free(a);
}

static void let_go(struct ask *a)
{
    a->run->memory -= a->held;
    a->held = 0;
}

static int collect(lua_State *L)
{
    struct ask **box = lua_touserdata(L, 1), *a = dz_take(box);
    if (!a)
        return 0;
    let_go(a);
    if (!a->sent || a->answered)
        ask_free(a);
    else
        a->pub.ended = true;
    return 0;
}

/* Its userdata is pushed. */
static struct ask *ask_new(lua_State *L, int kind, const char *what, dz_str name)
{
    (void)need_sink(L, what);
    src_can_wait(L, what);
    struct ask **box = lua_newuserdatauv(L, sizeof(struct ask *), 0);
    *box = NULL;
    src_metatable(L, "dozo.run.ask", collect, NULL);
    lua_setmetatable(L, -2);
    struct ask *a = *box = dz_new(struct ask);
    a->run = src_run_of(L);
    a->what = what;
    a->name = dz_str_dup(name);
    a->pub.kind = kind;
    a->pub.name = (dz_str){a->name, name.n};
    return a;
}

static void cancel(void *arg)
{
    struct ask *a = arg;
    let_go(a);
    a->task = NULL;
}

void dz_source_answer(struct dz_source_ask *take_ask, json_t *take_value, enum dz_code code,
                      const struct dz_err *err)
{
    struct ask *a = dz_container(take_ask, struct ask, pub);
    dz_assert(a->sent && !a->answered);
    a->answered = true;
    a->answer = take_value;
    a->code = code;
    if (code != DZ_OK)
        a->err = *err;
    if (a->pub.ended)
        ask_free(a);
    else if (a->task)
        src_wake(a->task);
}

static int came(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct ask *a = (struct ask *)(void *)context;
    let_go(a);
    bool parse = a->code == DZ_BAD_INPUT || a->code == DZ_TOO_LARGE;
    if (a->code != DZ_OK)
        src_raise(L, parse ? DZ_SOURCE_PARSE : DZ_SOURCE_UNAVAILABLE, -1, "%s: %s", a->what,
                  a->err.text);
    if (a->pub.kind == DZ_ASK_ARCHIVE)
        return 0;
    src_push_json(L, a->answer);
    if (a->pub.kind == DZ_ASK_EMIT) {
        lua_getfield(L, -1, "result");
        lua_getfield(L, -2, "old");
        return 2;
    }
    if (!a->many)
        lua_rawgeti(L, -1, 1);
    return 1;
}

static int go(lua_State *L, struct ask *a)
{
    const struct dz_source_env *env = src_env_of(L);
    src_charge(L, 1000);
    a->sent = true;
    env->sink->ask(env->arg, &a->pub);
    if (a->answered)
        return came(L, LUA_OK, (lua_KContext)(void *)a);
    a->task = src_task_of(L);
    return src_wait(L, a, cancel, came);
}

static json_t *value_of(lua_State *L, int index, struct ask *a)
{
    struct dz_err err = {0};
    if (!src_to_json(L, index, &a->pub.value, &err))
        luaL_error(L, "%s: %s", a->what, err.text);
    return a->pub.value;
}

/* ---- run ------------------------------------------------------------------------------------- */

static int run_emit(lua_State *L)
{
    dz_str name = src_arg(L, 2, "run:emit");
    luaL_checktype(L, 3, LUA_TTABLE);
    struct ask *a = ask_new(L, DZ_ASK_EMIT, "run:emit", name);
    (void)value_of(L, 3, a);
    return go(L, a);
}

/* A key, a list of them, or { field = one or a list of its values }. */
static int run_seen(lua_State *L)
{
    dz_str name = src_arg(L, 2, "run:seen");
    struct ask *a = ask_new(L, DZ_ASK_SEEN, "run:seen", name);
    json_t *values = value_of(L, 3, a);
    const char *field = NULL;
    if (json_is_object(values)) {
        if (json_object_size(values) != 1)
            src_wrong_arg(L, 3, "run:seen", "a key, or a table with one field");
        field = json_object_iter_key(json_object_iter(values));
        values = json_object_get(values, field);
    }
    a->many = json_is_array(values);
    size_t n = a->many ? json_array_size(values) : 1;
    if (n > VALUES_MAX)
        return luaL_error(L, "run:seen: %d values, at most %d", (int)n, (int)VALUES_MAX);
    for (size_t i = 0; i < n; i++) {
        const json_t *one = a->many ? json_array_get(values, i) : values;
        if (!json_is_string(one) && !json_is_integer(one))
            return luaL_error(L, "run:seen: a value is a text or a whole number, not %s",
                              src_json_words(one));
    }
    json_t *o = json_object(), *list = a->many ? json_incref(values) : json_pack("[O]", values);
    json_object_set_new(o, "field", field ? json_string(field) : json_null());
    json_object_set_new(o, "values", list);
    json_decref(a->pub.value);
    a->pub.value = o;
    return go(L, a);
}

/* Relative, and each part one that could be typed: no empty ones, none with a dot in front. */
static bool is_path(dz_str name)
{
    unsigned depth = 0;
    if (name.n == 0 || name.n > NAME_MAX_BYTES || !dz_str_is_utf8(name))
        return false;
    for (dz_str rest = name; depth <= DEPTH_MAX; depth++) {
        size_t end = dz_str_chr(rest, '/');
        dz_str part = dz_str_sub(rest, 0, end);
        if (part.n == 0 || part.p[0] == '.')
            return false;
        for (size_t i = 0; i < part.n; i++)
            if ((unsigned char)part.p[i] < 0x20 || part.p[i] == 0x7f)
                return false;
        if (end == DZ_NPOS)
            return true;
        rest = dz_str_sub(rest, end + 1, rest.n);
    }
    return false;
}

static int run_archive(lua_State *L)
{
    dz_str name = src_arg(L, 2, "run:archive"), bytes = src_arg(L, 3, "run:archive");
    if (!is_path(name))
        return luaL_error(L,
                          "run:archive: a name is UTF-8 of at most %d bytes, parts between slashes "
                          "that neither are empty nor begin with a dot",
                          (int)NAME_MAX_BYTES);
    struct ask *a = ask_new(L, DZ_ASK_ARCHIVE, "run:archive", name);
    src_charge(L, bytes.n / 4); /* it is compressed as well */
    src_hold(L, bytes.n);
    a->held = bytes.n;
    a->pub.bytes = dz_body_new(bytes.n);
    memcpy(a->pub.bytes->p, bytes.p, bytes.n);
    return go(L, a);
}

static int run_trouble(lua_State *L)
{
    const struct dz_source_sink *sink = need_sink(L, "run:trouble");
    dz_str name = src_arg(L, 2, "run:trouble"), text = src_arg(L, 3, "run:trouble");
    enum dz_source_kind kind;
    if (!dz_source_kind_find(name, &kind) || kind == DZ_SOURCE_OK || kind >= DZ_SOURCE_LIMIT)
        return luaL_error(L, "run:trouble: \"%s\" is no kind of failure", name.p);
    char clean[TROUBLE_MAX];
    size_t n = src_copy_text(clean, sizeof(clean), text);
    src_charge(L, 1000);
    if (sink->trouble)
        sink->trouble(src_env_of(L)->arg, kind, (dz_str){clean, n});
    return 0;
}

static int run_progress(lua_State *L)
{
    const struct dz_source_sink *sink = need_sink(L, "run:progress");
    lua_Integer done = luaL_checkinteger(L, 2), total = luaL_optinteger(L, 3, 0);
    if (done < 0 || total < 0)
        return luaL_error(L, "run:progress: numbers from 0 on");
    src_charge(L, 1000);
    src_renew(L);
    if (sink->progress)
        sink->progress(src_env_of(L)->arg, (uint64_t)done, (uint64_t)total);
    return 0;
}

/* run.options: those that were named, the others as the settings have them. */
static void push_options(lua_State *L, const json_t *given)
{
    const struct dz_source_info *info = dz_source_info_of(src_source_of(L));
    if (json_is_object(given))
        src_push_json(L, given);
    else
        lua_newtable(L);
    for (size_t i = 0; i < info->options_n; i++) {
        const struct dz_source_option *o = &info->options[i];
        if (json_object_getn(given, o->name.p, o->name.n))
            continue;
        lua_pushlstring(L, o->name.p, o->name.n);
        src_push_option(L, o);
        lua_rawset(L, -3);
    }
}

void src_push_crawl(lua_State *L, const json_t *args)
{
    static const luaL_Reg own[] = {{"emit", run_emit},         {"seen", run_seen},
                                   {"archive", run_archive},   {"trouble", run_trouble},
                                   {"progress", run_progress}, {NULL, NULL}};
    if (json_is_object(args))
        src_push_json(L, args);
    else
        lua_newtable(L);
    push_options(L, json_object_get(args, "options"));
    lua_setfield(L, -2, "options");
    luaL_setfuncs(L, own, 0);
}

/* ---- archive --------------------------------------------------------------------------------- */

static int archive_add(lua_State *L)
{
    const struct dz_source_sink *sink = need_sink(L, "archive:add");
    dz_str bytes = src_arg(L, 2, "archive:add"), name = src_arg_or(L, 3, "archive:add", DZ_S(""));
    if (name.n > NAME_MAX_BYTES || !dz_str_is_utf8(name) || dz_str_chr(name, '/') != DZ_NPOS)
        return luaL_error(L, "archive:add: a name is UTF-8 of at most %d bytes without a slash",
                          (int)NAME_MAX_BYTES);
    src_charge(L, bytes.n / 16 + 1000);
    struct dz_err err = {0};
    if (sink->archive(src_env_of(L)->arg, name, bytes, &err) != DZ_OK)
        src_raise(L, DZ_SOURCE_UNAVAILABLE, -1, "archive:add: %s", err.text);
    return 0;
}

void src_push_archive(lua_State *L)
{
    static const luaL_Reg own[] = {{"add", archive_add}, {NULL, NULL}};
    lua_newtable(L);
    luaL_setfuncs(L, own, 0);
}
