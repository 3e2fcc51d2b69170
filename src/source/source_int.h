/*
 * source_int: the inside of the source room.
 *
 * state.c makes the sandbox: the allocator that counts, the libraries that are left, the hook that
 * counts instructions. task.c drives coroutines: every call of a source function is a task, and
 * http.map makes further ones in the same run. A module function that has to wait calls src_wait
 * and returns what it returns; whoever brings the answer calls src_wake. declare.c reads
 * dozo.source{…}, shape.c turns what a function returned into checked JSON, registry.c finds
 * sources. mod_*.c are the modules that Lua sees; each has one src_open_* that leaves its table on
 * the stack.
 */
#pragma once

#include "source/source.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#define SRC_HOOK_EVERY 10000 /* instructions between two looks at the budgets */
#define SRC_DEPTH_MAX 64     /* nesting of values that cross between Lua and JSON */
#define SRC_TASKS_MAX 256    /* of a run at once: http.map's parallel included */
#define SRC_PARALLEL_MAX 64  /* http.map's parallel */
#define SRC_STRING_MAX ((size_t)32 * 1024 * 1024) /* one string a helper makes */

struct src_task;

/* The run that this state belongs to; never NULL inside a run. While a chunk is only loaded for its
 * declaration it is a run without env: modules then raise "only inside a function". */
struct dz_source_run *src_run_of(lua_State *L);
const struct dz_source_env *src_env_of(lua_State *L); /* NULL: declaration only */
struct dz_source *src_source_of(lua_State *L);
struct src_task *src_task_of(lua_State *L);

/* ---- waiting (task.c) ------------------------------------------------------------------------ */

/* Called as `return src_wait(L, "http.get", op, cancel, k);` from a module function. The task
 * sleeps until src_wake; then k(L, LUA_YIELD, (lua_KContext)op) runs on the same stack and returns
 * results or raises. When the run ends first, cancel(op) is called instead and frees op. Raises a
 * clear error when the call cannot wait here (inside a sort or gsub callback, a metamethod): names
 * `what`. Nothing may be pending when it raises: call src_can_wait before starting the operation.
 */
void src_can_wait(lua_State *L, const char *what);
int src_wait(lua_State *L, void *op, void (*cancel)(void *op), lua_KFunction k);
/* Loop thread, never from inside the module function that waits. */
void src_wake(struct src_task *t);

/* A further task of the run: function and its nargs arguments are popped from L and moved. `ended`
 * runs on the loop when it has returned (its results lie on co, `failed` NULL) or failed; not when
 * the run ends first. The failure of a task does not end the run: whoever spawned it raises it
 * with src_raise. NULL: too many tasks (SRC_TASKS_MAX). It starts from the loop, not inside. */
typedef void src_ended_fn(void *arg, lua_State *co, int results,
                          const struct dz_source_fail *failed);
struct src_task *src_spawn(lua_State *L, int nargs, src_ended_fn *ended, void *arg);

/* ---- errors ---------------------------------------------------------------------------------- */

/* dozo.fail's error object: carries the kind; never returns. The text gets the place of the Lua
 * caller ("source.lua:41: ") in front. */
_Noreturn void src_raise(lua_State *L, enum dz_source_kind kind, int64_t retry_after_ms,
                         const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Again what another task failed with, without a further place in front. */
_Noreturn void src_raise_fail(lua_State *L, const struct dz_source_fail *fail);
/* One request more; raises DZ_SOURCE_LIMIT when the budget is used up. */
void src_count_requests(lua_State *L, uint64_t n);

/* ---- values ---------------------------------------------------------------------------------- */

/* What stands for JSON null: dozo.null, json.null: the same light userdata everywhere. */
void src_push_null(lua_State *L);
bool src_is_null(lua_State *L, int index);
/* A JSON value as Lua: objects and arrays as tables (arrays marked, so that an empty one stays an
 * array), null as dozo.null. Raises when memory is out. */
void src_push_json(lua_State *L, const json_t *v);
/* A Lua value as JSON: tables with 1..n are arrays, empty unmarked tables are objects unless
 * json.array() marked them; keys of objects are sorted. false: err names the path and type. The
 * caller decrefs. */
bool src_to_json(lua_State *L, int index, json_t **ret_v, struct dz_err *err);
dz_str src_str(lua_State *L, int index); /* luaL_checklstring as a slice */

/* ---- modules: each leaves one table on the stack --------------------------------------------- */

void src_open_http(lua_State *L);  /* mod_http.c */
void src_open_html(lua_State *L);  /* mod_html.c */
void src_open_json(lua_State *L);  /* mod_json.c */
void src_open_url(lua_State *L);   /* mod_url.c */
void src_open_date(lua_State *L);  /* mod_date.c */
void src_open_str(lua_State *L);   /* mod_str.c */
void src_open_crypt(lua_State *L); /* mod_crypt.c */
void src_open_image(lua_State *L); /* mod_image.c */
void src_open_opt(lua_State *L);   /* mod_host.c */
void src_open_log(lua_State *L);   /* mod_host.c */
void src_open_store(lua_State *L); /* mod_host.c */
/* A document for response:html(), made by mod_html.c; base: for node:url(). */
void src_push_document(lua_State *L, dz_str text, dz_str charset, dz_str base, bool xml);
