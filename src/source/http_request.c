/*
 * http_request: one request of a source, from the wire back into Lua, with its further attempts.
 *
 * In: a filled op in the frame of a C function of the module. Out: a response on the stack for
 * op->finish, or an error of one kind. Statuses from 400 on and broken connections are first shown
 * to the source's handlers; true means again at once, at the host's pace as ever. The requester
 * calls done() from the loop, where no Lua may run: the answer is copied and the task is woken.
 */
#include "source/http_lua.h"

#include <stdlib.h>

#define MEMO_TEXT_MAX 256u /* bytes of a captured text that stands in a key itself */

static const char op_type[] = "dozo.http.op";
static const char memo_key; /* its address is the key in the registry */

/* ---- ops and boxes --------------------------------------------------------------------------- */

static void drop_answer(struct http_op *op)
{
    dz_body_unref(&op->bytes);
    dz_arena_free(&op->answer);
    op->headers_n = 0;
    op->from = (dz_str){0};
}

static void free_op(struct http_op *op)
{
    drop_answer(op);
    dz_buf_done(&op->url);
    dz_buf_done(&op->body);
    dz_arena_free(&op->arena);
    dz_freep(&op);
}

/* Nobody waits any longer. Safe to be called twice while the answer is under way. */
static void abandon(void *arg)
{
    struct http_op *op = arg;
    if (op->box)
        *op->box = NULL;
    op->box = NULL;
    if (!op->pending) {
        free_op(op);
        return;
    }
    struct dz_fetch_call *call = dz_take(&op->call);
    if (call)
        dz_fetch_cancel(call); /* done() comes later */
}

static int collect_box(lua_State *L)
{
    struct http_box *box = luaL_checkudata(L, 1, op_type);
    src_release(L, box->held);
    box->held = 0;
    if (box->op)
        abandon(box->op);
    return 0;
}

struct http_op *http_new_op(lua_State *L, const char *what)
{
    struct http_box *box = lua_newuserdatauv(L, sizeof(*box), 1);
    *box = (struct http_box){0};
    src_metatable(L, op_type, collect_box, NULL);
    lua_setmetatable(L, -2);
    struct http_op *op = dz_new(struct http_op);
    op->box = &box->op;
    op->what = what;
    op->arena = dz_arena_new(4 * DZ_MIB);
    dz_buf_init(&op->url, DZ_FETCH_URL_MAX);
    dz_buf_init(&op->body, SRC_STRING_MAX);
    box->op = op;
    return op;
}

/* ---- sending --------------------------------------------------------------------------------- */

static void keep_headers(struct http_op *op, const struct dz_fetch_res *res)
{
    struct dz_fetch_header *v = dz_arena_alloc(op->answer, (res->headers_n + 1) * sizeof(*v));
    for (size_t i = 0; i < res->headers_n; i++)
        v[i] = (struct dz_fetch_header){dz_arena_str(op->answer, res->headers[i].name),
                                        dz_arena_str(op->answer, res->headers[i].value)};
    op->headers = v;
    op->headers_n = res->headers_n;
}

static void on_done(void *arg, struct dz_fetch_res *res)
{
    struct http_op *op = arg;
    op->call = NULL;
    op->pending = false;
    if (!op->box) {
        free_op(op);
        return;
    }
    op->answer = dz_arena_new(16 * DZ_MIB);
    op->kind = res->kind;
    op->err = res->err;
    op->status = res->status;
    op->retry_after_ms = res->retry_after_ms;
    op->requests = res->requests;
    op->from_cache = res->from_cache;
    op->from = dz_arena_str(op->answer, res->url);
    if (res->kind == DZ_FETCH_OK) {
        keep_headers(op, res);
        op->bytes = dz_body_ref(res->body);
    }
    src_wake(op->task);
}

static int on_answer(lua_State *L, int status, lua_KContext context);

int http_go(lua_State *L, struct http_op *op)
{
    src_can_wait(L, op->what);
    const struct dz_source_env *env = src_env_of(L);
    if (op->session && op->session->ended)
        return luaL_error(L, "%s: the session has ended", op->what);
    drop_answer(op);
    op->req.policy = dz_source_policy(src_source_of(L));
    op->req.session = op->session ? op->session->s : NULL;
    op->req.delay_ms = op->tries == 0 ? op->delay_ms : 0;
    op->req.done = on_done;
    op->req.arg = op;
    op->task = src_task_of(L);
    op->tries++;
    op->pending = true;
    op->call = NULL;
    if (env->send)
        env->send(env->arg, &op->req, &op->call);
    else
        dz_fetch_start(env->fetch, &op->req, &op->call);
    return src_wait(L, op, abandon, on_answer);
}

/* ---- what went wrong ------------------------------------------------------------------------- */

static enum dz_source_kind kind_of(const struct http_op *op)
{
    return dz_source_kind_of_fetch(&(struct dz_fetch_res){.kind = op->kind, .status = op->status});
}

static bool is_connection_error(enum dz_fetch_kind kind)
{
    return kind == DZ_FETCH_CONNECT || kind == DZ_FETCH_TIMEOUT || kind == DZ_FETCH_BROKEN;
}

static dz_str address(const struct http_op *op)
{
    return op->from.n > 0 ? op->from : op->req.url;
}

static _Noreturn void raise_status(lua_State *L, struct http_op *op)
{
    enum dz_source_kind kind = kind_of(op);
    bool waits = kind == DZ_SOURCE_RATE_LIMITED || kind == DZ_SOURCE_UNAVAILABLE;
    char words[DZ_SOURCE_MESSAGE_MAX];
    dz_source_words_of_status(op->status, address(op), op->judged ? op->tries : 0, words);
    src_raise(L, kind, waits ? op->retry_after_ms : -1, "%s", words);
}

static _Noreturn void raise_failure(lua_State *L, struct http_op *op)
{
    enum dz_source_kind kind = kind_of(op);
    char after[48] = "";
    if (op->tries > 1)
        snprintf(after, sizeof(after), "; failed after %u attempts", op->tries);
    src_raise(L, kind, op->kind == DZ_FETCH_PAUSED ? op->retry_after_ms : -1, "%s%s", op->err.text,
              after);
}

static _Noreturn void raise_wrong(lua_State *L, struct http_op *op)
{
    if (op->kind == DZ_FETCH_OK)
        raise_status(L, op);
    raise_failure(L, op);
}

/* ---- handlers -------------------------------------------------------------------------------- */

static int after_handler(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct http_op *op = (struct http_op *)(void *)context;
    bool again = lua_toboolean(L, -1);
    op->judged = true;
    lua_settop(L, op->base);
    if (again && op->tries < HTTP_TRIES_MAX)
        return http_go(L, op);
    raise_wrong(L, op);
}

/* The handler and its first argument are on the stack. */
static int ask_handler(lua_State *L, struct http_op *op)
{
    lua_pushinteger(L, (lua_Integer)op->tries);
    lua_callk(L, 2, 1, (lua_KContext)(void *)op, after_handler);
    return after_handler(L, LUA_OK, (lua_KContext)(void *)op);
}

static int came_to_nothing(lua_State *L, struct http_op *op)
{
    if (!is_connection_error(op->kind) || lua_getfield(L, 2, "on_error") != LUA_TFUNCTION)
        raise_failure(L, op);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, dz_source_kind_of(kind_of(op))->name);
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, op->err.text);
    lua_setfield(L, -2, "message");
    return ask_handler(L, op);
}

static int on_answer(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct http_op *op = (struct http_op *)(void *)context;
    lua_settop(L, op->base);
    src_count_requests(L, op->requests);
    if (op->kind != DZ_FETCH_OK)
        return came_to_nothing(L, op);
    char shown[DZ_URL_SHOWN_MAX];
    if (http_is_challenge(op))
        src_raise(L, DZ_SOURCE_CHALLENGE, -1,
                  "a challenge for browsers with status %d, not solved here: %s", op->status,
                  dz_url_show(address(op), shown));
    if (op->status < 400) {
        http_push_response(L, op);
        return op->finish(L, op);
    }
    if (lua_getfield(L, 2, "on_status") != LUA_TTABLE ||
        lua_rawgeti(L, -1, op->status) != LUA_TFUNCTION)
        raise_status(L, op);
    http_push_response(L, op);
    return ask_handler(L, op);
}

/* ---- results that a run remembers ------------------------------------------------------------ */

void http_push_normal(lua_State *L, dz_str url)
{
    struct dz_arena *a = dz_arena_new(DZ_MIB);
    char text[DZ_FETCH_URL_MAX * 3]; /* every byte may become an escape */
    struct dz_err err = {0};
    dz_str normal = {0};
    enum dz_code code = dz_url_normal(url, a, &normal, &err);
    if (code == DZ_OK && normal.n > sizeof(text))
        code = dz_fail(&err, DZ_TOO_LARGE, "the address is too long");
    if (code == DZ_OK)
        memcpy(text, normal.p, normal.n);
    dz_arena_free(&a);
    if (code != DZ_OK)
        src_raise(L, DZ_SOURCE_BAD_URL, -1, "%s", err.text);
    lua_pushlstring(L, text, normal.n);
}

/* Appends to the text on top what the function at `fn` remembers from around it: with another n in
 * function(res) … n … end the result is another. Long texts and objects are the same when they are
 * the same piece; the key keeps them alive, so that no other one can be taken for them. */
static void add_captured(lua_State *L, int fn, int key)
{
    int text = lua_gettop(L);
    for (int i = 1; lua_getupvalue(L, fn, i); i++) {
        int type = lua_type(L, -1);
        size_t n = type == LUA_TSTRING ? lua_rawlen(L, -1) : 0;
        lua_pushfstring(L, "\n%d %d:", type, (int)n);
        if (type == LUA_TNUMBER || type == LUA_TBOOLEAN || type == LUA_TNIL)
            (void)luaL_tolstring(L, text + 1, NULL);
        else if (type == LUA_TSTRING && n <= MEMO_TEXT_MAX)
            lua_pushvalue(L, text + 1);
        else
            lua_pushfstring(L, "%p", lua_topointer(L, text + 1));
        lua_pushvalue(L, text + 1);
        lua_rawseti(L, key, (lua_Integer)lua_rawlen(L, key) + 1);
        lua_remove(L, text + 1);
        lua_concat(L, 3);
    }
}

void http_push_key(lua_State *L, const struct http_op *op, int options, int fn)
{
    int type = lua_getfield(L, options, "cache");
    bool never = (type == LUA_TBOOLEAN && !lua_toboolean(L, -1)) ||
                 (type == LUA_TNUMBER && lua_tonumber(L, -1) <= 0);
    lua_pop(L, 1);
    if (never || op->session || !dz_str_eq(op->req.method, DZ_S("GET")) || !lua_isfunction(L, fn)) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 1, 0);
    int key = lua_gettop(L);
    lua_pushboolean(L, true); /* in the place of the text */
    lua_rawseti(L, key, 1);
    lua_Debug ar;
    lua_pushvalue(L, fn);
    (void)lua_getinfo(L, ">S", &ar);
    http_push_normal(L, op->req.url);
    lua_pushfstring(L, "\n%s:%d:%d\n%I %d", ar.short_src, ar.linedefined, ar.lastlinedefined,
                    (lua_Integer)op->req.body_max, op->req.no_redirects);
    lua_concat(L, 2);
    for (size_t i = 0; i < op->req.headers_n; i++) {
        const struct dz_fetch_header *h = &op->req.headers[i];
        lua_pushliteral(L, "\n");
        lua_pushlstring(L, h->name.p, h->name.n);
        lua_pushliteral(L, ":");
        lua_pushlstring(L, h->value.p ? h->value.p : "", h->value.n);
        lua_concat(L, 5);
    }
    add_captured(L, fn, key);
    lua_rawseti(L, key, 1);
}

bool http_recall(lua_State *L, int key)
{
    int top = lua_gettop(L);
    key = lua_absindex(L, key);
    if (lua_isnil(L, key) || !src_env_of(L) ||
        lua_rawgetp(L, LUA_REGISTRYINDEX, &memo_key) != LUA_TTABLE) {
        lua_settop(L, top);
        return false;
    }
    (void)lua_rawgeti(L, key, 1);
    if (lua_rawget(L, top + 1) == LUA_TTABLE) {
        (void)lua_rawgeti(L, top + 2, 2);
        if (lua_tointeger(L, -1) > dz_loop_now_ms(src_env_of(L)->loop)) {
            (void)lua_rawgeti(L, top + 2, 1);
            lua_replace(L, top + 1);
            lua_settop(L, top + 1);
            return true;
        }
    }
    lua_settop(L, top);
    return false;
}

void http_remember(lua_State *L, int key, int options, int value)
{
    int top = lua_gettop(L);
    value = lua_absindex(L, value);
    if (lua_isnil(L, key) || lua_isnil(L, value))
        return;
    int64_t keep_ms = HTTP_MEMO_MS;
    if (lua_getfield(L, options, "cache") == LUA_TNUMBER)
        keep_ms = (int64_t)(lua_tonumber(L, -1) * 1000);
    lua_settop(L, top);
    bool there = lua_rawgetp(L, LUA_REGISTRYINDEX, &memo_key) == LUA_TTABLE;
    if (!there || lua_rawlen(L, -1) >= HTTP_MEMO_MAX) { /* [i]: keys; all of them leave together */
        lua_settop(L, top);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &memo_key);
    }
    (void)lua_rawgeti(L, key, 1);
    bool known = lua_rawget(L, top + 1) != LUA_TNIL;
    lua_settop(L, top + 1);
    if (!known) {
        (void)lua_rawgeti(L, key, 1);
        lua_rawseti(L, top + 1, (lua_Integer)lua_rawlen(L, top + 1) + 1);
    }
    (void)lua_rawgeti(L, key, 1);
    lua_createtable(L, 3, 0);
    lua_pushvalue(L, key);
    lua_rawseti(L, -2, 3);
    lua_pushvalue(L, value);
    lua_rawseti(L, -2, 1);
    lua_pushinteger(L, dz_loop_now_ms(src_env_of(L)->loop) + keep_ms);
    lua_rawseti(L, -2, 2);
    lua_rawset(L, top + 1);
    lua_settop(L, top);
}
