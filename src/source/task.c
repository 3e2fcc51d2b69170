/*
 * task: runs, their calls, and the coroutines that carry them over the loop.
 *
 * A call of a source function is a task: a coroutine that is resumed from the loop until it is
 * done. It is put aside when it waits for an answer (src_wait … src_wake) and when it has computed
 * for a while (the hook in state.c); in between the loop serves others. http.map makes further
 * tasks in the same run. A run comes back to the loop with one message at a time, which is a piece
 * of heap of its own, so that a run may be freed while it is on its way.
 *
 * The call's result and its end are delivered as the last thing of a turn: whoever is told may free
 * the run. Loop's thread.
 */
#include "source/source_int.h"

#include <stdlib.h>

#define CHUNK_MS 5000 /* for the top level of a source, which only declares */

enum state { READY, RUNNING, WAITING };

struct src_task {
    struct dz_source_run *run;
    lua_State *co;
    int ref; /* keeps the coroutine alive */
    enum state state;
    int nargs; /* for the first resume, function not counted; later 0 */
    void *op;  /* what it waits for, and how that is called off */
    void (*cancel)(void *op);
    src_ended_fn *ended; /* NULL: the call itself */
    void *arg;
    struct src_task *next, *next_ready;
};

struct src_kick {
    struct dz_msg msg;
    struct dz_source_run *run; /* NULL: freed meanwhile */
    bool posted;
};

/* ---- which run, which task ------------------------------------------------------------------- */

static struct src_task **slot_of(lua_State *L)
{
    return lua_getextraspace(L);
}

void src_task_bind(struct dz_source_run *r, lua_State *L)
{
    r->self = dz_new(struct src_task);
    r->self->run = r;
    r->self->co = L;
    *slot_of(L) = r->self;
}

void src_task_unbind(struct dz_source_run *r)
{
    free(r->self);
    r->self = NULL;
}

struct src_task *src_task_of(lua_State *L)
{
    return *slot_of(L);
}

struct dz_source_run *src_run_of(lua_State *L)
{
    return (*slot_of(L))->run;
}

const struct dz_source_env *src_env_of(lua_State *L)
{
    struct dz_source_run *r = src_run_of(L);
    return r->call ? r->env : NULL;
}

struct dz_source *src_source_of(lua_State *L)
{
    return src_run_of(L)->source;
}

/* ---- the ready list -------------------------------------------------------------------------- */

static void run_turn(struct dz_source_run *r);

static void kick_come(struct dz_loop *l, struct dz_msg *m)
{
    (void)l;
    struct src_kick *k = dz_container(m, struct src_kick, msg);
    k->posted = false;
    if (k->run)
        run_turn(k->run);
    else
        free(k);
}

static void kick_drop(struct dz_msg *m)
{
    struct src_kick *k = dz_container(m, struct src_kick, msg);
    k->posted = false;
    if (!k->run)
        free(k);
}

static void kick(struct dz_source_run *r)
{
    if (r->kick->posted)
        return;
    r->kick->posted = true;
    r->kick->msg = (struct dz_msg){.fn = kick_come, .drop = kick_drop};
    dz_loop_post(r->env->loop, &r->kick->msg);
}

static void make_ready(struct src_task *t)
{
    struct dz_source_run *r = t->run;
    t->state = READY;
    t->next_ready = NULL;
    *r->ready_end = t;
    r->ready_end = &t->next_ready;
}

static struct src_task *take_ready(struct dz_source_run *r)
{
    struct src_task *t = r->ready;
    if (!t)
        return NULL;
    r->ready = t->next_ready;
    if (!r->ready)
        r->ready_end = &r->ready;
    return t;
}

/* ---- making and ending tasks ----------------------------------------------------------------- */

/* The new coroutine on top of L, with the nargs + 1 values below it moved over. May raise, nothing
 * is held then. */
static struct src_task *task_new(lua_State *L, int nargs)
{
    struct dz_source_run *r = src_run_of(L);
    luaL_checkstack(L, 3, NULL);
    lua_State *co = lua_newthread(L);
    lua_insert(L, -(nargs + 2));
    luaL_checkstack(co, nargs + LUA_MINSTACK, NULL);
    lua_xmove(L, co, nargs + 1);
    int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    struct src_task *t = dz_new(struct src_task);
    t->run = r;
    t->co = co;
    t->ref = ref;
    t->nargs = nargs;
    t->next = r->tasks;
    r->tasks = t;
    r->tasks_n++;
    *slot_of(co) = t;
    src_hook_set(r, co);
    make_ready(t);
    return t;
}

/* It is on no ready list. */
static void task_free(struct src_task *t)
{
    struct dz_source_run *r = t->run;
    if (t->op && t->cancel)
        t->cancel(t->op);
    for (struct src_task **at = &r->tasks; *at; at = &(*at)->next) {
        if (*at == t) {
            *at = t->next;
            break;
        }
    }
    r->tasks_n--;
    *slot_of(t->co) = r->self;
    lua_sethook(t->co, NULL, 0, 0);
    luaL_unref(r->L, LUA_REGISTRYINDEX, t->ref);
    free(t);
}

static void free_tasks(struct dz_source_run *r)
{
    r->ready = NULL;
    r->ready_end = &r->ready;
    while (r->tasks)
        task_free(r->tasks);
}

/* ---- waiting --------------------------------------------------------------------------------- */

void src_can_wait(lua_State *L, const char *what)
{
    if (!src_env_of(L))
        luaL_error(L, "%s: only inside a function of the source, not while it is loaded", what);
    if (!lua_isyieldable(L))
        luaL_error(L, "%s: cannot wait here (inside a callback of sort or gsub, or a metamethod)",
                   what);
}

int src_wait(lua_State *L, void *op, void (*cancel)(void *op), lua_KFunction k)
{
    struct src_task *t = src_task_of(L);
    dz_assert(t->state == RUNNING && lua_isyieldable(L));
    t->state = WAITING;
    t->op = op;
    t->cancel = cancel;
    return lua_yieldk(L, 0, (lua_KContext)op, k);
}

void src_wake(struct src_task *t)
{
    if (t->state != WAITING)
        return;
    make_ready(t);
    kick(t->run);
}

static int spawned_end(lua_State *L, int status, lua_KContext k)
{
    (void)status;
    (void)k;
    struct src_task *t = src_task_of(L);
    t->ended(t->arg, L, lua_gettop(L), NULL);
    return 0;
}

/* The body of a spawned task: the function and its arguments. */
static int spawned(lua_State *L)
{
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, spawned_end);
    return spawned_end(L, LUA_OK, 0);
}

struct src_task *src_spawn(lua_State *L, int nargs, src_ended_fn *ended, void *arg)
{
    struct dz_source_run *r = src_run_of(L);
    if (r->tasks_n >= SRC_TASKS_MAX)
        return NULL;
    luaL_checkstack(L, 3, NULL);
    lua_pushcfunction(L, spawned);
    lua_insert(L, -(nargs + 2));
    struct src_task *t = task_new(L, nargs + 1);
    t->ended = ended;
    t->arg = arg;
    kick(r);
    return t;
}

void src_stop(struct dz_source_run *r, struct src_task *t)
{
    struct src_task *there = r->tasks;
    while (there && there != t)
        there = there->next;
    if (!there || t->state == RUNNING)
        return;
    for (struct src_task **at = &r->ready; *at; at = &(*at)->next_ready)
        if (*at == t) {
            *at = t->next_ready;
            break;
        }
    r->ready_end = &r->ready;
    while (*r->ready_end)
        r->ready_end = &(*r->ready_end)->next_ready;
    task_free(t);
}

/* ---- resuming -------------------------------------------------------------------------------- */

static void task_failed(struct src_task *t, int status)
{
    struct dz_source_run *r = t->run;
    struct dz_source_fail fail;
    src_fail_of(r, t->co, status, DZ_FN_COUNT, &fail);
    if (t->ended && !r->dead)
        t->ended(t->arg, NULL, 0, &fail);
}

/* The call is over: as it says itself, or because the run is dead. */
static void call_failed(struct dz_source_run *r, lua_State *co, int status)
{
    struct src_call *c = r->call;
    c->ended = c->failed = true;
    src_fail_of(r, co, status, c->asked, &c->fail);
}

/* A short one, for people who write sources; what it costs is bounded by Lua itself. */
static int traceback(lua_State *L)
{
    struct src_task *t = lua_touserdata(L, 1);
    luaL_traceback(L, t->co, NULL, 0);
    size_t n;
    const char *p = lua_tolstring(L, -1, &n);
    const struct dz_source_env *env = t->run->env;
    if (env && env->log)
        env->log(env->arg, DZ_DEBUG, (dz_str){p, n});
    return 0;
}

static void log_traceback(struct src_task *t)
{
    lua_State *L = t->run->L;
    lua_pushcfunction(L, traceback);
    lua_pushlightuserdata(L, t);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK)
        lua_pop(L, 1);
}

static void resume(struct src_task *t)
{
    struct dz_source_run *r = t->run;
    int results = 0, nargs = t->nargs;
    t->nargs = 0;
    t->op = NULL;
    t->cancel = NULL;
    t->state = RUNNING;
    r->running = t->co;
    r->slice_ns = dz_mono_ns();
    src_cpu_begin(r);
    int status = lua_resume(t->co, NULL, nargs, &results);
    src_cpu_count(r);
    r->running = NULL;
    if (status == LUA_YIELD) {
        if (t->state == RUNNING) /* the hook put it aside */
            make_ready(t);
        return;
    }
    if (status != LUA_OK)
        log_traceback(t);
    if (t->ended) {
        if (status != LUA_OK)
            task_failed(t, status);
        if (r->dead && r->call)
            call_failed(r, t->co, LUA_ERRRUN);
    } else if (r->call) {
        if (status != LUA_OK || r->dead)
            call_failed(r, t->co, status);
        r->call->ended = true;
    } else {
        return; /* src_run_chunk looks itself */
    }
    task_free(t);
}

static void deliver(struct dz_source_run *r)
{
    struct src_call *c = dz_take(&r->call);
    dz_timer_stop(r->env->loop, &r->wall);
    r->deadline_ns = 0;
    free_tasks(r);
    struct dz_source_result res = {
        .fail = c->failed ? &c->fail : NULL,
        .value = c->failed ? NULL : c->value,
        .body = c->failed ? NULL : c->body,
        .requests = r->requests - c->requests_before,
    };
    c->done(c->arg, &res); /* may free the run */
    json_decref(c->args);
    json_decref(c->value);
    dz_body_unref(&c->body);
    free(c);
}

static void run_turn(struct dz_source_run *r)
{
    int64_t until = dz_mono_ns() + SRC_SLICE_MS * (int64_t)1000000;
    struct src_task *t;
    while (r->call && !r->call->ended && (t = take_ready(r)) != NULL) {
        resume(t);
        if (dz_mono_ns() > until)
            break;
    }
    if (r->call && r->call->ended)
        deliver(r);
    else if (r->ready)
        kick(r);
}

static void wall_over(struct dz_loop *l, struct dz_timer *timer)
{
    (void)l;
    struct dz_source_run *r = dz_container(timer, struct dz_source_run, wall);
    if (!r->call)
        return;
    struct src_task *t = r->call->task;
    char place[100] = "";
    src_place(t->co, place, sizeof(place));
    src_kill(r, place, "took longer than %lld s", (long long)(r->budget.wall_ms + 999) / 1000);
    call_failed(r, t->co, LUA_ERRRUN);
    deliver(r);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static int start_call(lua_State *L)
{
    struct dz_source_run *r = src_run_of(L);
    r->call->task = task_new(L, 0);
    return 0;
}

static void begin_wall(struct dz_source_run *r)
{
    r->deadline_ns = dz_mono_ns() + r->budget.wall_ms * 1000000;
    dz_timer_set(r->env->loop, &r->wall, r->budget.wall_ms, wall_over);
}

void src_renew(lua_State *L)
{
    struct dz_source_run *r = src_run_of(L);
    if (r->requests == r->renewed_requests || dz_mono_ns() > r->renew_until_ns)
        return;
    r->renewed_requests = r->requests;
    r->instructions = 0;
    r->cpu_ns = 0;
    r->log_lines = 0;
    begin_wall(r);
}

enum dz_code src_call_start(struct dz_source_run *r, struct src_call *c, lua_CFunction body,
                            struct dz_err *err)
{
    r->call = c;
    lua_pushcfunction(r->L, start_call);
    lua_pushcfunction(r->L, body);
    if (lua_pcall(r->L, 1, 0, 0) != LUA_OK) {
        lua_pop(r->L, 1);
        r->call = NULL;
        json_decref(c->args);
        free(c);
        return dz_fail(err, DZ_FULL, "%s: no memory for a call", r->id.p);
    }
    r->renew_until_ns = c->fn == DZ_FN_CRAWL ? dz_mono_ns() + DZ_SOURCE_CRAWL_MS * 1000000 : 0;
    begin_wall(r);
    kick(r);
    return DZ_OK;
}

void src_call_cancel(struct dz_source_run *r)
{
    struct src_call *c = r->call;
    c->failed = true;
    c->fail = (struct dz_source_fail){.kind = DZ_SOURCE_CANCELLED, .retry_after_ms = -1};
    snprintf(c->fail.text, sizeof(c->fail.text), "%.60s: %s: cancelled", r->id.p,
             dz_source_fn_name(c->asked));
    deliver(r);
}

void src_kick_new(struct dz_source_run *r)
{
    r->kick = dz_new(struct src_kick);
    r->kick->run = r;
}

void src_kick_free(struct dz_source_run *r)
{
    struct src_kick *k = dz_take(&r->kick);
    if (!k)
        return;
    k->run = NULL;
    if (!k->posted)
        free(k);
}

/* ---- the chunk ------------------------------------------------------------------------------- */

static int chunk_end(lua_State *L, int status, lua_KContext k)
{
    (void)status;
    (void)k;
    src_push_declared(L);
    if (lua_isnil(L, -1) || lua_gettop(L) < 2 || !lua_rawequal(L, 1, -1))
        return luaL_error(L, "%s: must end with return dozo.source{…}", src_run_of(L)->file.p);
    return 0;
}

static int chunk(lua_State *L)
{
    struct dz_source_run *r = src_run_of(L);
    const dz_str *text = lua_touserdata(L, 1);
    lua_settop(L, 0);
    const char *name = lua_pushfstring(L, "@%s", r->file.p);
    /* Some editors begin a file with U+FEFF, which Lua's own loader of files passes over. */
    dz_str code =
        dz_str_starts(*text, DZ_S("\xEF\xBB\xBF")) ? dz_str_sub(*text, 3, text->n) : *text;
    if (luaL_loadbufferx(L, code.p, code.n, name, "t") != LUA_OK)
        return lua_error(L);
    lua_remove(L, 1);
    lua_callk(L, 0, LUA_MULTRET, 0, chunk_end);
    return chunk_end(L, LUA_OK, 0);
}

static int start_chunk(lua_State *L)
{
    lua_pushcfunction(L, chunk);
    lua_insert(L, 1);
    task_new(L, 1);
    return 0;
}

enum dz_code src_run_chunk(struct dz_source_run *r, dz_str text, struct dz_err *err)
{
    lua_pushcfunction(r->L, start_chunk);
    lua_pushlightuserdata(r->L, &text);
    if (lua_pcall(r->L, 1, 0, 0) != LUA_OK) {
        lua_pop(r->L, 1);
        return dz_fail(err, DZ_FULL, "%s: no memory to load it", r->file.p);
    }
    r->deadline_ns = dz_mono_ns() + CHUNK_MS * (int64_t)1000000;
    struct src_task *t = r->tasks;
    while (take_ready(r))
        resume(t);
    int status = lua_status(t->co);
    struct dz_source_fail fail;
    bool failed = status != LUA_OK;
    if (failed)
        src_fail_of(r, t->co, status, DZ_FN_COUNT, &fail);
    task_free(t);
    r->deadline_ns = 0;
    if (!failed)
        return DZ_OK;
    return dz_fail(err, fail.kind == DZ_SOURCE_LIMIT ? DZ_FULL : DZ_PARSE, "%s%s%s",
                   strncmp(fail.text, r->file.p, r->file.n) == 0 ? "" : r->file.p,
                   strncmp(fail.text, r->file.p, r->file.n) == 0 ? "" : ": ", fail.text);
}
