/*
 * state: the sandbox. A Lua state with counted memory, without the ways out, and with a hook that
 * stops what does not end.
 *
 * In: budgets. Out: a state whose globals are the base functions that do no harm, string, table,
 * math, utf8 and the host's modules. Left out: io, os, debug, package (files, processes, the inside
 * of other functions), load in all forms (binary chunks can break the interpreter), coroutine
 * (yields belong to the host), __gc of Lua tables (finalizers run with hooks off and could loop for
 * ever). Work in C that no hook sees is charged: by the allocator for every string and table made,
 * by src_charge elsewhere. A used up budget is no ordinary error: pcall raises it again.
 *
 * One thread, the loop's. Everything is freed with the run.
 */
#include "source/source_int.h"

#include <inttypes.h>
#include <stdlib.h>

#define MEMORY_BYTES ((size_t)64 * 1024 * 1024)
#define INSTRUCTIONS ((uint64_t)500 * 1000 * 1000)
#define CPU_MS ((int64_t)20 * 1000)
#define CPU_LOOK_NS 1000000 /* asking for it is a system call */
#define WALL_MS ((int64_t)10 * 60 * 1000)
#define REQUESTS 10000u
#define BIG_BYTES ((size_t)256 * 1024)
#define BYTES_A_STEP 64u  /* to make and fill */
#define STEPS_CAUGHT 100u /* to raise, unwind and word an error */

static const char fail_name[] = "dozo.fail";
static const char declared_key = 0; /* its address is the key */

struct fail_object {
    struct dz_source_fail fail; /* text without source and function */
};

/* ---- memory ---------------------------------------------------------------------------------- */

/* Whether it is time to look at the budgets, which the hook does at the next instruction. */
static bool charge(struct dz_source_run *r, uint64_t steps)
{
    r->instructions += steps;
    r->unseen += steps;
    if (r->unseen < SRC_HOOK_EVERY || !r->running)
        return false;
    r->unseen = 0;
    lua_sethook(r->running, lua_gethook(r->running), LUA_MASKCOUNT, 1);
    return true;
}

void *src_alloc(void *run, void *p, size_t from, size_t to)
{
    struct dz_source_run *r = run;
    size_t was = p ? from : 0; /* without p, from is the kind of the object */
    if (to > was && to - was > r->budget.memory_bytes - r->memory)
        return NULL;
    if (to == 0) {
        free(p);
        r->memory -= was;
        r->big -= was >= BIG_BYTES;
        return NULL;
    }
    void *q = realloc(p, to);
    if (!q)
        return NULL;
    r->memory = r->memory - was + to;
    r->big = r->big - (was >= BIG_BYTES) + (to >= BIG_BYTES);
    if (to > was)
        (void)charge(r, to / BYTES_A_STEP);
    return q;
}

void src_work(lua_State *L, uint64_t steps)
{
    (void)charge(src_run_of(L), steps);
}

int64_t src_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void src_cpu_begin(struct dz_source_run *r)
{
    r->looked_ns = dz_mono_ns();
    r->cpu_at_ns = src_cpu_ns();
}

void src_cpu_count(struct dz_source_run *r)
{
    int64_t before_ns = r->cpu_at_ns;
    src_cpu_begin(r);
    r->cpu_ns += r->cpu_at_ns - before_ns;
}

void src_hold(lua_State *L, size_t bytes)
{
    struct dz_source_run *r = src_run_of(L);
    if (bytes > r->budget.memory_bytes - r->memory)
        lua_gc(L, LUA_GCCOLLECT);
    if (bytes > r->budget.memory_bytes - r->memory)
        src_raise(L, DZ_SOURCE_LIMIT, -1, "uses more than %zu MiB of memory",
                  r->budget.memory_bytes >> 20);
    r->memory += bytes;
    /* Lua does not see them and would let what holds them lie about until nothing else fits. */
    if (bytes >= BIG_BYTES)
        lua_gc(L, LUA_GCSTEP, (int)(bytes >> 10));
}

void src_release(lua_State *L, size_t bytes)
{
    src_run_of(L)->memory -= bytes;
}

/* ---- texts and errors ------------------------------------------------------------------------ */

size_t src_copy_text(char *dst, size_t cap, dz_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n && n + 1 < cap;) {
        unsigned char c = (unsigned char)s.p[i];
        size_t step = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
        bool whole = i + step <= s.n && dz_str_is_utf8((dz_str){s.p + i, step});
        if (n + (whole ? step : 1) >= cap)
            break;
        if (!whole)
            dst[n++] = '?';
        else if (c < 0x20 || c == 0x7F)
            dst[n++] = ' ';
        else
            for (size_t j = 0; j < step; j++)
                dst[n++] = s.p[i + j];
        i += whole ? step : 1;
    }
    dst[n] = 0;
    return n;
}

void src_place(lua_State *L, char *dst, size_t n)
{
    dst[0] = 0;
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        if (!lua_getinfo(L, "Sl", &ar) || ar.currentline <= 0)
            continue;
        snprintf(dst, n, "%s:%d: ", ar.short_src, ar.currentline);
        return;
    }
}

void src_kill(struct dz_source_run *r, const char *place, const char *fmt, ...)
{
    if (r->dead)
        return;
    r->dead = true;
    r->death.kind = DZ_SOURCE_LIMIT;
    r->death.retry_after_ms = -1;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->death.message, sizeof(r->death.message), fmt, ap);
    va_end(ap);
    snprintf(r->death.text, sizeof(r->death.text), "%.100s%.400s", place, r->death.message);
}

/* Pushes an error object and raises it. */
static _Noreturn void raise(lua_State *L, const struct dz_source_fail *fail)
{
    struct fail_object *o = lua_newuserdatauv(L, sizeof(*o), 0);
    o->fail = *fail;
    luaL_setmetatable(L, fail_name);
    lua_error(L);
    abort(); /* lua_error does not return, but its declaration does not say so */
}

static _Noreturn void raise_death(lua_State *L, struct dz_source_run *r)
{
    /* From here on every instruction raises, so that neither a handler nor a __close goes on. */
    lua_sethook(L, lua_gethook(L), LUA_MASKCOUNT, 1);
    raise(L, &r->death);
}

void src_raise(lua_State *L, enum dz_source_kind kind, int64_t retry_after_ms, const char *fmt, ...)
{
    struct dz_source_run *r = src_run_of(L);
    struct dz_source_fail fail = {.kind = kind, .retry_after_ms = retry_after_ms};
    char place[100], text[sizeof(fail.message)];
    src_place(L, place, sizeof(place));
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    src_copy_text(fail.message, sizeof(fail.message), dz_str_of(text));
    if (kind == DZ_SOURCE_LIMIT) {
        src_kill(r, place, "%s", fail.message);
        raise_death(L, r);
    }
    snprintf(fail.text, sizeof(fail.text), "%.100s%.400s", place, fail.message);
    raise(L, &fail);
}

void src_raise_fail(lua_State *L, const struct dz_source_fail *fail)
{
    struct dz_source_fail copy = *fail;
    raise(L, &copy);
}

static int fail_index(lua_State *L)
{
    const struct fail_object *o = luaL_checkudata(L, 1, fail_name);
    const char *key = luaL_checkstring(L, 2);
    if (strcmp(key, "kind") == 0)
        lua_pushstring(L, dz_source_kind_of(o->fail.kind)->name);
    else if (strcmp(key, "message") == 0)
        lua_pushstring(L, o->fail.text);
    else if (strcmp(key, "retry_after") == 0 && o->fail.retry_after_ms >= 0)
        lua_pushnumber(L, (lua_Number)o->fail.retry_after_ms / 1000);
    else
        lua_pushnil(L);
    return 1;
}

static int fail_tostring(lua_State *L)
{
    const struct fail_object *o = luaL_checkudata(L, 1, fail_name);
    lua_pushstring(L, o->fail.text);
    return 1;
}

/* Nothing here may allocate in Lua: memory may be what it failed for. */
static void words_of(struct dz_source_run *r, lua_State *co, int status,
                     struct dz_source_fail *fail, bool *ret_placed)
{
    *ret_placed = false;
    fail->kind = DZ_SOURCE_PARSE;
    fail->retry_after_ms = -1;
    int type = lua_gettop(co) > 0 ? lua_type(co, -1) : LUA_TNIL;
    if (status == LUA_ERRMEM) {
        fail->kind = DZ_SOURCE_LIMIT;
        snprintf(fail->text, sizeof(fail->text), "uses more than %zu MiB of memory",
                 r->budget.memory_bytes >> 20);
    } else if (type == LUA_TSTRING) {
        size_t n;
        const char *p = lua_tolstring(co, -1, &n);
        dz_str s = {p, n};
        src_copy_text(fail->text, sizeof(fail->text), s);
        *ret_placed = dz_str_starts(s, r->file) && s.n > r->file.n && p[r->file.n] == ':';
    } else if (type == LUA_TNUMBER) {
        snprintf(fail->text, sizeof(fail->text), "%g", lua_tonumber(co, -1));
    } else if (type == LUA_TUSERDATA && lua_checkstack(co, 2) && lua_getmetatable(co, -1)) {
        bool ours = lua_topointer(co, -1) == r->fail_meta;
        lua_pop(co, 1);
        if (ours)
            *fail = ((struct fail_object *)lua_touserdata(co, -1))->fail;
        else
            snprintf(fail->text, sizeof(fail->text), "raised a userdata instead of a text");
        *ret_placed = ours;
    } else {
        snprintf(fail->text, sizeof(fail->text), "raised a %s instead of a text",
                 lua_typename(co, type));
    }
}

void src_fail_of(struct dz_source_run *r, lua_State *co, int status, enum dz_source_fn fn,
                 struct dz_source_fail *ret_fail)
{
    struct dz_source_fail fail = {.kind = DZ_SOURCE_PARSE, .retry_after_ms = -1};
    bool placed = true;
    if (r->dead)
        fail = r->death;
    else
        words_of(r, co, status, &fail, &placed);
    char place[100] = "";
    if (!placed)
        src_place(co, place, sizeof(place));
    if (fail.kind == DZ_SOURCE_LIMIT && !r->dead)
        src_kill(r, place, "%s", fail.text);
    if (!fail.message[0] && !placed)
        src_copy_text(fail.message, sizeof(fail.message), dz_str_of(fail.text));
    *ret_fail = fail;
    char text[sizeof(fail.text)];
    if (fn < DZ_FN_COUNT)
        snprintf(text, sizeof(text), "%.60s: %s: %.60s%.350s", r->id.p, dz_source_fn_name(fn),
                 place, fail.text);
    else
        snprintf(text, sizeof(text), "%.100s%.400s", place, fail.text);
    /* It may end in half a character now, and what keeps it takes UTF-8 only. */
    (void)src_copy_text(ret_fail->text, sizeof(ret_fail->text), dz_str_of(text));
}

/* ---- budgets --------------------------------------------------------------------------------- */

static void check_budgets(lua_State *L, struct dz_source_run *r)
{
    if (r->dead)
        raise_death(L, r);
    if (r->instructions > r->budget.instructions)
        src_raise(L, DZ_SOURCE_LIMIT, -1,
                  "used up its %" PRIu64 " million instructions; an endless loop?",
                  r->budget.instructions / 1000000);
}

static void check_times(lua_State *L, struct dz_source_run *r)
{
    int64_t now = dz_mono_ns();
    /* Instructions differ in what they cost: a caught error, or a string of many MiB, by much. */
    if (now - r->looked_ns > CPU_LOOK_NS)
        src_cpu_count(r);
    if (r->cpu_ns > r->budget.cpu_ms * 1000000)
        src_raise(L, DZ_SOURCE_LIMIT, -1,
                  "used more than %" PRId64 " s of the processor's time; an endless loop?",
                  (r->budget.cpu_ms + 999) / 1000);
    if (r->deadline_ns && now > r->deadline_ns)
        src_raise(L, DZ_SOURCE_LIMIT, -1, "took longer than %" PRId64 " s",
                  (r->budget.wall_ms + 999) / 1000);
    if (L != r->L && !lua_isyieldable(L) && now - r->slice_ns > SRC_BLOCK_MS * (int64_t)1000000)
        src_raise(L, DZ_SOURCE_LIMIT, -1,
                  "computed for more than %d s inside a callback that cannot be put aside",
                  SRC_BLOCK_MS / 1000);
}

/* Functions in C that call each other would not come by the hook. */
void src_charge(lua_State *L, uint64_t steps)
{
    struct dz_source_run *r = src_run_of(L);
    bool look = charge(r, steps);
    check_budgets(L, r);
    if (look)
        check_times(L, r);
}

void src_count_requests(lua_State *L, uint64_t n)
{
    struct dz_source_run *r = src_run_of(L);
    if (n > r->budget.requests - (r->requests - r->renewed_requests))
        src_raise(L, DZ_SOURCE_LIMIT, -1, "sent more than %" PRIu64 " requests",
                  r->budget.requests);
    r->requests += n;
}

static void hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    struct dz_source_run *r = src_run_of(L);
    int every = lua_gethookcount(L), next = r->big ? SRC_HOOK_BIG : SRC_HOOK_EVERY;
    r->instructions += (uint64_t)every;
    r->unseen = 0;
    check_budgets(L, r);
    if (every != next)
        lua_sethook(L, hook, LUA_MASKCOUNT, next);
    check_times(L, r);
    if (dz_mono_ns() - r->slice_ns > SRC_SLICE_MS * (int64_t)1000000 && r->running == L &&
        L != r->L && lua_isyieldable(L))
        lua_yield(L, 0);
}

void src_hook_set(struct dz_source_run *r, lua_State *co)
{
    lua_sethook(co, hook, LUA_MASKCOUNT, r->big ? SRC_HOOK_BIG : SRC_HOOK_EVERY);
}

/* ---- what is left of the base library -------------------------------------------------------- */

/* Ends a protected call: results as they are, an error as false and itself, but for what must not
 * be caught. */
static int end_pcall(lua_State *L, int status, lua_KContext first)
{
    struct dz_source_run *r = src_run_of(L);
    if (r->dead)
        raise_death(L, r);
    if (status == LUA_ERRMEM)
        src_raise(L, DZ_SOURCE_LIMIT, -1, "uses more than %zu MiB of memory",
                  r->budget.memory_bytes >> 20);
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - (int)first;
    src_charge(L, STEPS_CAUGHT);
    lua_pushboolean(L, 0);
    lua_pushvalue(L, -2);
    return 2;
}

static int base_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, end_pcall);
    return end_pcall(L, status, 0);
}

/* The source's handler, but not for a budget that is used up: the hook raises that, and what it
 * calls runs with hooks off, for ever if it likes. */
static int handler(lua_State *L)
{
    if (src_run_of(L)->dead)
        return 1;
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static int base_xpcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    int nargs = lua_gettop(L) - 2;
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, handler, 1);
    lua_replace(L, 2);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2); /* f, handler, true, f, arguments */
    int status = lua_pcallk(L, nargs, LUA_MULTRET, 2, 2, end_pcall);
    return end_pcall(L, status, 2);
}

static const char metatable_key; /* its address: where a copy has what it was made of */

/* What Lua looks for in a metatable, but for __gc and __mode. */
static const char *const events[] = {
    "__index", "__newindex", "__call",   "__tostring",  "__name",  "__eq",    "__lt",
    "__le",    "__len",      "__concat", "__metatable", "__pairs", "__close", "__unm",
    "__add",   "__sub",      "__mul",    "__div",       "__mod",   "__pow",   "__idiv",
    "__band",  "__bor",      "__bxor",   "__shl",       "__shr",   "__bnot",
};

/* Lua's collector follows chains of weak keys in quadratic time, in one piece that nobody can stop:
 * minutes for 64 MiB of them. A __mode may be written into a metatable at any time, so that the
 * real one is a copy that no source can reach. */
static int base_setmetatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        lua_setmetatable(L, 1);
        return 1;
    }
    static const char *const refused[] = {"__gc", "__mode"};
    for (size_t i = 0; i < DZ_LEN(refused); i++) {
        lua_pushstring(L, refused[i]);
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "setmetatable: %s is not for sources", refused[i]);
        lua_settop(L, 2);
    }
    lua_createtable(L, 0, 4);
    for (size_t i = 0; i < DZ_LEN(events); i++) {
        lua_pushstring(L, events[i]);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, 2) != LUA_TNIL)
            lua_rawset(L, 3);
        lua_settop(L, 3);
    }
    lua_pushvalue(L, 2);
    lua_rawsetp(L, 3, &metatable_key);
    lua_setmetatable(L, 1);
    lua_settop(L, 1);
    return 1;
}

/* Of tables only: metatables of strings and of the host's objects are the host's. */
static int base_getmetatable(lua_State *L)
{
    luaL_checkany(L, 1);
    if (!lua_istable(L, 1) || !lua_getmetatable(L, 1)) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushliteral(L, "__metatable");
    if (lua_rawget(L, -2) != LUA_TNIL)
        return 1;
    lua_pop(L, 1);
    if (lua_rawgetp(L, -1, &metatable_key) == LUA_TNIL)
        lua_pop(L, 1); /* of the host */
    return 1;
}

static int base_collectgarbage(lua_State *L)
{
    if (strcmp(luaL_optstring(L, 1, "collect"), "count") != 0)
        return luaL_error(L, "collectgarbage: only \"count\" is for sources");
    lua_pushnumber(L, (lua_Number)src_run_of(L)->memory / 1024);
    return 1;
}

static void open_base(lua_State *L)
{
    static const char *const gone[] = {"load", "loadfile", "dofile", "require", "print", "warn"};
    static const luaL_Reg own[] = {{"pcall", base_pcall},
                                   {"xpcall", base_xpcall},
                                   {"setmetatable", base_setmetatable},
                                   {"getmetatable", base_getmetatable},
                                   {"collectgarbage", base_collectgarbage},
                                   {NULL, NULL}};
    luaL_requiref(L, LUA_GNAME, luaopen_base, 1);
    for (size_t i = 0; i < DZ_LEN(gone); i++) {
        lua_pushnil(L);
        lua_setfield(L, -2, gone[i]);
    }
    luaL_setfuncs(L, own, 0);
    lua_pop(L, 1);
}

/* Those of Lua's own that read their first argument from end to end, with nothing to show for it.
 */
static int charged(lua_State *L)
{
    if (lua_type(L, 1) == LUA_TSTRING)
        src_charge(L, lua_rawlen(L, 1) / 8);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static void charge_readers(lua_State *L)
{
    static const char *const readers[][2] = {{LUA_GNAME, "tonumber"},
                                             {LUA_UTF8LIBNAME, "len"},
                                             {LUA_STRLIBNAME, "pack"},
                                             {LUA_STRLIBNAME, "packsize"},
                                             {LUA_STRLIBNAME, "unpack"}};
    for (size_t i = 0; i < DZ_LEN(readers); i++) {
        lua_getglobal(L, readers[i][0]);
        lua_getfield(L, -1, readers[i][1]);
        lua_pushcclosure(L, charged, 1);
        lua_setfield(L, -2, readers[i][1]);
        lua_pop(L, 1);
    }
}

/* ---- C memory that survives a raise ---------------------------------------------------------- */

void src_metatable(lua_State *L, const char *name, lua_CFunction gc, const luaL_Reg *methods)
{
    if (!luaL_newmetatable(L, name))
        return;
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    if (gc) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
    }
    if (methods) {
        lua_newtable(L);
        luaL_setfuncs(L, methods, 0);
        lua_setfield(L, -2, "__index");
    }
}

static int json_gc(lua_State *L)
{
    json_t **slot = lua_touserdata(L, 1);
    json_decref(*slot);
    *slot = NULL;
    return 0;
}

json_t **src_json_slot(lua_State *L)
{
    json_t **slot = lua_newuserdatauv(L, sizeof(json_t *), 0);
    *slot = NULL;
    src_metatable(L, "dozo.json", json_gc, NULL);
    lua_setmetatable(L, -2);
    return slot;
}

static int buf_gc(lua_State *L)
{
    dz_buf_done(lua_touserdata(L, 1));
    return 0;
}

struct dz_buf *src_buf_slot(lua_State *L, size_t max)
{
    struct dz_buf *b = lua_newuserdatauv(L, sizeof(*b), 0);
    dz_buf_init(b, max);
    src_metatable(L, "dozo.buf", buf_gc, NULL);
    lua_setmetatable(L, -2);
    return b;
}

/* ---- the state ------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*open)(lua_State *L);
} modules[] = {
    {"string", src_open_string}, {"table", src_open_table}, {"dozo", src_open_dozo},
    {"opt", src_open_opt},       {"log", src_open_log},     {"store", src_open_store},
    {"http", src_open_http},     {"html", src_open_html},   {"json", src_open_json},
    {"url", src_open_url},       {"date", src_open_date},   {"str", src_open_str},
    {"crypt", src_open_crypt},   {"image", src_open_image},
};

void src_push_declared(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &declared_key);
}

void src_keep_declared(lua_State *L)
{
    lua_rawsetp(L, LUA_REGISTRYINDEX, &declared_key);
}

static int open_all(lua_State *L)
{
    static const luaL_Reg meta[] = {
        {"__index", fail_index}, {"__tostring", fail_tostring}, {NULL, NULL}};
    struct dz_source_run *r = lua_touserdata(L, 1);
    src_metatable(L, fail_name, NULL, NULL);
    luaL_setfuncs(L, meta, 0);
    r->fail_meta = lua_topointer(L, -1);
    lua_settop(L, 0);
    open_base(L);
    luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 1);
    luaL_requiref(L, LUA_UTF8LIBNAME, luaopen_utf8, 1);
    for (size_t i = 0; i < DZ_LEN(modules); i++) {
        lua_settop(L, 0);
        modules[i].open(L);
        lua_setglobal(L, modules[i].name);
    }
    charge_readers(L);
    /* What luaL_requiref notes of the libraries: nobody can reach it, and nothing shall. */
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    return 0;
}

static int at_panic(lua_State *L)
{
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "no text";
    dz_panic(__FILE__, __LINE__, "Lua error outside of a protected call: %s", text);
}

enum dz_code src_state_new(struct dz_source *source, const struct dz_source_env *env,
                           const struct dz_source_budget *budget, const char *file,
                           struct dz_source_run **ret_r, struct dz_err *err)
{
    struct dz_source_run *r = dz_new(struct dz_source_run);
    r->source = source;
    r->env = env;
    if (budget)
        r->budget = *budget;
    r->budget.memory_bytes = r->budget.memory_bytes ? r->budget.memory_bytes : MEMORY_BYTES;
    r->budget.instructions = r->budget.instructions ? r->budget.instructions : INSTRUCTIONS;
    r->budget.cpu_ms = r->budget.cpu_ms ? r->budget.cpu_ms : CPU_MS;
    r->budget.wall_ms = r->budget.wall_ms ? r->budget.wall_ms : WALL_MS;
    r->budget.requests = r->budget.requests ? r->budget.requests : REQUESTS;
    r->file = dz_str_of(dz_strdup(file));
    r->ready_end = &r->ready;
    r->L = lua_newstate(src_alloc, r);
    if (!r->L) {
        src_state_free(&r);
        return dz_fail(err, DZ_FULL, "%s: no memory for a Lua state", file);
    }
    lua_atpanic(r->L, at_panic);
    src_task_bind(r, r->L);
    lua_pushcfunction(r->L, open_all);
    lua_pushlightuserdata(r->L, r);
    int status = lua_pcall(r->L, 1, 0, 0);
    if (status != LUA_OK) {
        src_state_free(&r);
        return dz_fail(err, DZ_FULL, "%s: no memory for the libraries", file);
    }
    *ret_r = r;
    return DZ_OK;
}

void src_state_free(struct dz_source_run **rp)
{
    struct dz_source_run *r = dz_take(rp);
    if (!r)
        return;
    dz_assert(!r->tasks);
    r->running = NULL;
    if (r->L)
        lua_close(r->L);
    char *file = (char *)(uintptr_t)r->file.p;
    free(file);
    src_task_unbind(r);
    free(r);
}
