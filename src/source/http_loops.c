/*
 * http_loops: many answers for one call: pages that lead to each other, and lists of addresses.
 *
 * http.aggregate asks one address after another in the task that called it; what the source's
 * function returned is handed to it again with the next page. http.map runs a task for each
 * address, so many at a time, and waits until all have ended; the first failure stops the others.
 * dozo.map does so for any list, without asking anything itself.
 * What they share (struct fan) is a userdata that each of them has in its frame, so that it lives
 * as long as one of them does.
 */
#include "source/http_lua.h"

#define FAN_PARALLEL 4 /* unless opts.parallel says otherwise */

/* ---- aggregate ------------------------------------------------------------------------------- */

/* The frame: what lies where. */
enum { AGG_BOX = 1, AGG_OPTIONS, AGG_FN, AGG_STATE, AGG_VISITED, AGG_RESULT, AGG_KEY };

static int after_page(lua_State *L, int status, lua_KContext context);

static int page_came(lua_State *L, struct http_op *op)
{
    lua_pushvalue(L, AGG_FN);
    lua_insert(L, -2);
    lua_pushvalue(L, AGG_RESULT);
    lua_pushvalue(L, AGG_STATE);
    lua_callk(L, 3, 2, (lua_KContext)(void *)op, after_page);
    return after_page(L, LUA_OK, (lua_KContext)(void *)op);
}

/* Notes that the address at hand is asked; a second time is a loop. */
static void visit(lua_State *L, const struct http_op *op)
{
    http_push_normal(L, op->req.url);
    lua_pushvalue(L, -1);
    char shown[DZ_URL_SHOWN_MAX];
    if (lua_rawget(L, AGG_VISITED) != LUA_TNIL)
        src_raise(L, DZ_SOURCE_PARSE, -1, "Loop detected in aggregation request to %s",
                  dz_url_show(op->req.url, shown));
    lua_pop(L, 1);
    lua_pushboolean(L, true);
    lua_rawset(L, AGG_VISITED);
}

static void turn_to(lua_State *L, struct http_op *op, int next)
{
    struct dz_arena *a = dz_arena_new(DZ_MIB); /* held across nothing that raises */
    char text[DZ_FETCH_URL_MAX];
    struct dz_err err = {0};
    dz_str to = {0};
    enum dz_code code = dz_url_join(op->from, src_str(L, next), a, &to, &err);
    if (code == DZ_OK && to.n > sizeof(text))
        code = dz_fail(&err, DZ_TOO_LARGE, "the address is longer than %u bytes", DZ_FETCH_URL_MAX);
    if (code == DZ_OK)
        memcpy(text, to.p, to.n);
    dz_arena_free(&a);
    if (code != DZ_OK)
        src_raise(L, DZ_SOURCE_BAD_URL, -1, "%s: next page: %s", op->what, err.text);
    http_set_url(L, op, (dz_str){text, to.n});
}

static int after_page(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct http_op *op = (struct http_op *)(void *)context;
    lua_copy(L, -2, AGG_RESULT);
    int next = lua_gettop(L);
    if (lua_isnil(L, next) || src_is_null(L, next) ||
        (lua_isboolean(L, next) && !lua_toboolean(L, next))) {
        http_remember(L, AGG_KEY, AGG_OPTIONS, AGG_RESULT);
        lua_settop(L, AGG_RESULT);
        return 1;
    }
    if (lua_type(L, next) != LUA_TSTRING)
        return luaL_error(L, "%s: the address of the next page must be a text, not a %s", op->what,
                          luaL_typename(L, next));
    if (++op->pages >= HTTP_PAGES_MAX)
        return luaL_error(L, "%s: more than %d pages", op->what, HTTP_PAGES_MAX);
    turn_to(L, op, next);
    lua_settop(L, op->base);
    visit(L, op);
    op->tries = 0;
    op->judged = false;
    return http_go(L, op);
}

int http_aggregate(lua_State *L, int options, struct http_session *session, int session_at)
{
    static const char what[] = "http.aggregate";
    dz_str url = src_str(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct http_op *op = http_new_op(L, what);
    int box = lua_gettop(L);
    op->session = session;
    if (session) {
        lua_pushvalue(L, session_at);
        lua_setiuservalue(L, box, 1);
    }
    http_fill(L, op, options, DZ_S("GET"), url);
    op->finish = page_came;
    op->base = AGG_KEY;
    lua_settop(L, box + AGG_KEY); /* clear of the arguments, then moved down */
    lua_pushvalue(L, box);
    lua_pushvalue(L, options);
    lua_pushvalue(L, 2);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushnil(L);
    http_push_key(L, op, options, 2);
    for (int i = AGG_KEY; i >= 1; i--)
        lua_replace(L, i);
    lua_settop(L, AGG_KEY);
    if (http_recall(L, AGG_KEY))
        return 1;
    visit(L, op);
    return http_go(L, op);
}

/* ---- map ------------------------------------------------------------------------------------- */

enum { FAN_BOX = 1, FAN_URLS, FAN_OPTIONS, FAN_FN, FAN_ASK, FAN_RESULTS };

struct child {
    struct fan *fan;
    struct src_task *task; /* NULL: free */
};

struct fan {
    struct dz_source_run *run;
    const char *what;
    struct src_task *parent; /* NULL: it does not wait */
    size_t running, limit;
    lua_Integer n, next;
    bool failed;
    struct dz_source_fail fail;
    struct child children[]; /* limit */
};

static void stop_children(struct fan *f)
{
    for (size_t i = 0; i < f->limit; i++) {
        struct src_task *t = dz_take(&f->children[i].task);
        if (t)
            src_stop(f->run, t);
    }
    f->running = 0;
}

/* The parent ends while it waits. */
static void cancel_fan(void *arg)
{
    struct fan *f = arg;
    f->parent = NULL;
    stop_children(f);
}

static void child_ended(void *arg, lua_State *co, int results, const struct dz_source_fail *failed)
{
    (void)co;
    (void)results;
    struct child *c = arg;
    struct fan *f = c->fan;
    c->task = NULL;
    f->running--;
    if (failed && !f->failed) {
        f->failed = true;
        f->fail = *failed;
    }
    if (f->parent)
        src_wake(f->parent);
}

static struct child *free_child(struct fan *f)
{
    for (size_t i = 0; i < f->limit; i++)
        if (!f->children[i].task)
            return &f->children[i];
    return NULL;
}

static int fan_on(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct fan *f = (struct fan *)(void *)context;
    f->parent = NULL;
    lua_settop(L, FAN_RESULTS);
    if (f->failed) {
        stop_children(f);
        /* What failed in C has no place in the source but this one. */
        if (!dz_str_starts(dz_str_of(f->fail.text), f->run->file))
            src_raise(L, f->fail.kind, f->fail.retry_after_ms, "%s", f->fail.text);
        src_raise_fail(L, &f->fail);
    }
    struct child *c;
    while (f->next <= f->n && (c = free_child(f))) {
        lua_pushvalue(L, FAN_ASK);
        (void)lua_rawgeti(L, FAN_URLS, f->next);
        lua_pushvalue(L, FAN_OPTIONS);
        lua_pushvalue(L, FAN_FN);
        lua_pushinteger(L, f->next);
        lua_pushvalue(L, FAN_RESULTS);
        lua_pushvalue(L, FAN_BOX);
        c->fan = f;
        c->task = src_spawn(L, 6, child_ended, c);
        if (!c->task)
            break;
        f->next++;
        f->running++;
    }
    lua_settop(L, FAN_RESULTS);
    if (f->running > 0) {
        f->parent = src_task_of(L);
        return src_wait(L, f, cancel_fan, fan_on);
    }
    if (f->next <= f->n)
        src_raise(L, DZ_SOURCE_LIMIT, -1, "%s: more than %d tasks at once", f->what, SRC_TASKS_MAX);
    return 1;
}

static size_t parallel_of(lua_State *L, int options, const char *what)
{
    size_t limit = FAN_PARALLEL;
    if (lua_getfield(L, options, "parallel") != LUA_TNIL) {
        int ok;
        lua_Integer n = lua_tointegerx(L, -1, &ok);
        if (!ok || n < 1 || n > SRC_PARALLEL_MAX)
            luaL_error(L, "%s: parallel must be a whole number from 1 to %d", what,
                       SRC_PARALLEL_MAX);
        limit = (size_t)n;
    }
    lua_pop(L, 1);
    return limit;
}

/* The length of the list, whose elements are texts, or anything. */
static size_t check_list(lua_State *L, const char *what, bool texts)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    size_t n = lua_rawlen(L, 1);
    if (n > DZ_SOURCE_LIST_MAX)
        luaL_error(L, "%s: a list of %d, at most %d", what, (int)n, (int)DZ_SOURCE_LIST_MAX);
    for (size_t i = 1; i <= n && texts; i++) {
        if (lua_rawgeti(L, 1, (lua_Integer)i) != LUA_TSTRING)
            luaL_error(L, "%s: address %d is a %s, not a text", what, (int)i, luaL_typename(L, -1));
        lua_pop(L, 1);
    }
    return n;
}

static int fan_out(lua_State *L, int options, int ask, const char *what, bool texts)
{
    size_t n = check_list(L, what, texts), limit = parallel_of(L, options, what);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    src_can_wait(L, what);
    size_t bytes = sizeof(struct fan) + limit * sizeof(struct child);
    struct fan *f = lua_newuserdatauv(L, bytes, 0);
    memset(f, 0, bytes);
    f->run = src_run_of(L);
    f->what = what;
    f->limit = limit;
    f->n = (lua_Integer)n;
    f->next = 1;
    int box = lua_gettop(L);
    lua_settop(L, box + FAN_RESULTS); /* clear of the arguments, then moved down */
    lua_pushvalue(L, box);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, options);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, ask);
    lua_createtable(L, (int)n, 0);
    for (int i = FAN_RESULTS; i >= 1; i--)
        lua_replace(L, i);
    lua_settop(L, FAN_RESULTS);
    return fan_on(L, LUA_OK, (lua_KContext)(void *)f);
}

int http_fan_out(lua_State *L, int options, int ask)
{
    return fan_out(L, options, ask, "http.map", true);
}

/* (value, options, fn, index, results, fan), as a task of http.map has them. */
enum { EACH_VALUE = 1, EACH_OPTIONS, EACH_FN, EACH_INDEX, EACH_RESULTS };

static int after_value(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    if (lua_isnil(L, -1))
        lua_pushboolean(L, false); /* a list has no holes */
    lua_rawseti(L, EACH_RESULTS, lua_tointeger(L, EACH_INDEX));
    return 0;
}

static int each_value(lua_State *L)
{
    lua_pushvalue(L, EACH_FN);
    lua_pushvalue(L, EACH_VALUE);
    lua_pushvalue(L, EACH_INDEX);
    lua_callk(L, 2, 1, 0, after_value);
    return after_value(L, LUA_OK, 0);
}

int src_map(lua_State *L)
{
    lua_settop(L, 3);
    if (lua_isnil(L, 3)) {
        lua_newtable(L);
        lua_replace(L, 3);
    }
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_pushcfunction(L, each_value);
    return fan_out(L, 3, 4, "dozo.map", false);
}
