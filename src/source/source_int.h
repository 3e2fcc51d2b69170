/*
 * source_int: the inside of the source room.
 *
 * state.c makes the sandbox: the allocator that counts, the libraries that are left, the hook that
 * counts instructions; lib_string.c and lib_table.c are Lua's own with bounds. run.c calls
 * functions of a source, task.c drives coroutines: every call of a source function is a task, and
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

#define SRC_HOOK_EVERY 1000 /* instructions between two looks at the budgets */
#define SRC_HOOK_BIG 100    /* the same while large strings or tables live: each may cost more */
#define SRC_SLICE_MS 20     /* a task runs so long before others of the loop have their turn */
#define SRC_BLOCK_MS 2000   /* … and so long where it cannot be put aside (a sort's callback) */
#define SRC_MATCH_MAX 10000000u /* steps of one search with a Lua pattern */
#define SRC_DEPTH_MAX 64        /* nesting of values that cross between Lua and JSON */
#define SRC_TASKS_MAX 256       /* of a run at once: http.map's parallel included */
#define SRC_PARALLEL_MAX 64     /* http.map's parallel */
#define SRC_STRING_MAX ((size_t)32 * 1024 * 1024) /* one string a helper makes */
#define SRC_VALUES_MAX 2000000u                   /* in one value that crosses from Lua to JSON */
#define SRC_MATCHES_MAX 100000u                   /* of str.match_all */
#define SRC_REGEX_MAX 4096u                       /* bytes of a regular expression */
#define SRC_REGEX_STEPS_MAX 50000000u             /* of one call, all its matches together */

struct src_task;

/* A run. Its fields belong to state.c and task.c; other files use the functions below. */
struct dz_source_run {
    lua_State *L;
    struct dz_source *source; /* NULL while a chunk is loaded for its declaration */
    dz_str id, file;          /* for messages; id is empty until it is declared */
    int declared_at;          /* the line of dozo.source{…}; 0: it has not been called */
    const struct dz_source_env *env;
    struct dz_source_budget budget; /* no zeros */
    size_t memory, big; /* bytes of Lua's heap and what modules hold; how many large pieces live */
    uint64_t instructions, requests;
    uint64_t renewed_requests; /* where the count of requests stood when the budgets were renewed */
    int64_t renew_until_ns;    /* of a crawl; 0: they are not renewed */
    uint64_t unseen;           /* work charged since the last look at the budgets */
    int64_t deadline_ns;       /* of the call */
    int64_t slice_ns;          /* when the task that runs was resumed */
    int64_t cpu_ns, cpu_at_ns; /* what it has used; what the thread had at the last look */
    int64_t looked_ns;         /* when that was */
    lua_State *running;        /* whose hook is to be called early when much work was charged */
    bool dead;                 /* a budget is used up: nothing runs any more, pcall does not help */
    struct dz_source_fail death;
    const void *fail_meta; /* metatable of error objects */
    uint32_t log_lines;
    struct src_task *self; /* stands for the main state, which cannot wait */
    struct src_task *tasks, *ready, **ready_end;
    size_t tasks_n;
    struct src_kick *kick; /* the message that brings it back to the loop */
    struct dz_timer wall;
    struct src_call *call; /* NULL: none runs */
};

/* The run that this state belongs to; never NULL inside a run. While a chunk is only loaded for its
 * declaration it is a run without env: modules then raise "only inside a function". */
struct dz_source_run *src_run_of(lua_State *L);
const struct dz_source_env *src_env_of(lua_State *L); /* NULL: declaration only */
struct dz_source *src_source_of(lua_State *L);
struct src_task *src_task_of(lua_State *L);

/* ---- waiting (task.c) ------------------------------------------------------------------------ */

/* Called as `return src_wait(L, "http.get", op, cancel, k);` from a module function. The task
 * sleeps until src_wake; then k(L, LUA_YIELD, (lua_KContext)op) runs on the same stack and returns
 * results or raises; op is the module's again. When the run ends before that (also between src_wake
 * and k), cancel(op) is called instead and frees op. Raises a
 * clear error when the call cannot wait here (inside a sort or gsub callback, a metamethod): names
 * `what`. Nothing may be pending when it raises: call src_can_wait before starting the operation.
 */
void src_can_wait(lua_State *L, const char *what);
int src_wait(lua_State *L, void *op, void (*cancel)(void *op), lua_KFunction k);
/* Loop thread, never from inside the module function that waits. */
void src_wake(struct src_task *t);

/* A further task of the run: function and its nargs arguments are popped from L and moved. `ended`
 * runs when it has returned: protected, inside the task, its results on top of co, `failed` NULL;
 * it may raise. Or it has failed (also because `ended` raised): then co is NULL and Lua must not be
 * touched. Neither when the run ends first. The failure of a task does not end the run: whoever
 * spawned it raises it with src_raise. NULL: too many tasks (SRC_TASKS_MAX). It starts from the
 * loop, not inside. */
typedef void src_ended_fn(void *arg, lua_State *co, int results,
                          const struct dz_source_fail *failed);
struct src_task *src_spawn(lua_State *L, int nargs, src_ended_fn *ended, void *arg);
/* Ends a spawned task that does not run just now; its `ended` is not called. Nothing happens when
 * it has ended already. */
void src_stop(struct dz_source_run *r, struct src_task *t);

/* ---- errors ---------------------------------------------------------------------------------- */

/* dozo.fail's error object: carries the kind; never returns. The text gets the place of the Lua
 * caller ("source.lua:41: ") in front. */
_Noreturn void src_raise(lua_State *L, enum dz_source_kind kind, int64_t retry_after_ms,
                         const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Again what another task failed with, without a further place in front. */
_Noreturn void src_raise_fail(lua_State *L, const struct dz_source_fail *fail);
/* Adds what the thread has used since the last look; the first of a turn begins the count. */
void src_cpu_begin(struct dz_source_run *r);
void src_cpu_count(struct dz_source_run *r);
/* The budgets of a crawl begin anew, when something was asked since the last time. */
void src_renew(lua_State *L);
/* n requests more; raises DZ_SOURCE_LIMIT when the budget is used up. */
void src_count_requests(lua_State *L, uint64_t n);

/* Work in C that the count of instructions does not see, a step being about 5 ns: raises
 * DZ_SOURCE_LIMIT when the budget is used up. */
void src_charge(lua_State *L, uint64_t steps);
/* The thread's own time, so that a busy machine does not make work dearer; and what such work is
 * charged at, a quarter of its cost: pages are bounded by the requests already. */
int64_t src_cpu_ns(void);
#define SRC_NS_A_STEP 20
/* The same without raising: noticed at the next instruction of Lua. */
void src_work(lua_State *L, uint64_t steps);
/* Bytes outside Lua's heap (documents, bodies) that a value of the run keeps: count against its
 * memory; src_hold raises when there is no room, src_release never does and may be called from
 * __gc. */
void src_hold(lua_State *L, size_t bytes);
void src_release(lua_State *L, size_t bytes);

/* ---- C memory that survives a raise ---------------------------------------------------------- */

/* Each pushes a userdata that owns what is stored in it and frees it when collected. */
json_t **src_json_slot(lua_State *L);                  /* decref'd */
struct dz_buf *src_buf_slot(lua_State *L, size_t max); /* initialised */
/* A metatable of that name with __gc (may be NULL), __name, a locked __metatable, and methods
 * (may be NULL) as __index; pushed. Call it as often as wanted. */
void src_metatable(lua_State *L, const char *name, lua_CFunction gc, const luaL_Reg *methods);

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
/* A value as JSON text: numbers as short as they read back equal. `pretty`: two blanks a level. */
void src_put_json(struct dz_buf *out, const json_t *v, bool pretty);
/* JSON text as Lua, without a tree in between, so that the run's memory budget holds. Arrays are
 * marked, a number without fraction and exponent is an integer when 64 bits hold it. Raises "WHAT:
 * line 3, column 7: …". */
void src_push_json_text(lua_State *L, dz_str text, const char *what);
void src_mark_array(lua_State *L, int index);
dz_str src_str(lua_State *L, int index); /* luaL_checklstring as a slice */

/* ---- for module functions -------------------------------------------------------------------- */

/* A text argument; raises "url.join: argument 2 must be a text, not nil". A name with a colon is a
 * method: its arguments are counted without the object. */
dz_str src_arg(lua_State *L, int index, const char *fn);
dz_str src_arg_or(lua_State *L, int index, const char *fn, dz_str otherwise); /* nil: otherwise */
_Noreturn void src_wrong_arg(lua_State *L, int index, const char *fn, const char *expected);
/* C memory of one call: n bytes, cleared, in a to-be-closed userdata that stays on the stack; done
 * runs when the function returns or raises. No function that yields may hold one. */
void *src_guard(lua_State *L, size_t n, void (*done)(void *p));
struct src_scratch {
    struct dz_arena *a; /* 128 MiB */
    struct dz_buf b;    /* SRC_STRING_MAX */
    json_t *json;
};
struct src_scratch *src_scratch_new(lua_State *L); /* a guard of all three */
/* "a=1&b=x%20y" of a table: values are texts, numbers, booleans or lists of them; names sorted;
 * or of a list of {name, value} pairs, as they stand. Appended; never raises. */
bool src_put_query(lua_State *L, int index, struct dz_buf *out, struct dz_err *err);

/* ---- modules: each leaves one table on the stack --------------------------------------------- */

void src_open_http(lua_State *L);   /* mod_http.c */
void src_open_html(lua_State *L);   /* mod_html.c */
void src_open_json(lua_State *L);   /* mod_json.c */
void src_open_url(lua_State *L);    /* mod_url.c */
void src_open_date(lua_State *L);   /* mod_date.c */
void src_open_str(lua_State *L);    /* mod_str.c */
void src_open_crypt(lua_State *L);  /* mod_crypt.c */
void src_open_image(lua_State *L);  /* mod_image.c */
void src_open_string(lua_State *L); /* lib_string.c: Lua's, with bounds */
void src_open_table(lua_State *L);  /* lib_table.c: Lua's, with bounds */
void src_open_dozo(lua_State *L);   /* mod_host.c */
void src_open_opt(lua_State *L);    /* mod_host.c */
void src_push_option(lua_State *L, const struct dz_source_option *o);
void src_open_log(lua_State *L);   /* mod_host.c */
void src_open_store(lua_State *L); /* mod_host.c */
int src_map(lua_State *L);         /* dozo.map (http_loops.c) */
/* mod_date.c: how many days a month (1..12) of that year has. */
int src_month_days(int64_t year, int month);
/* A document for response:html(), made by mod_html.c; base: for node:url(). */
void src_push_document(lua_State *L, dz_str text, dz_str charset, dz_str base, bool xml);

/* ---- the room's own seams -------------------------------------------------------------------- */

struct src_call {
    enum dz_source_fn asked, fn; /* SERIES_OF may be answered by CHAPTER */
    json_t *args;                /* owned */
    dz_source_done_fn *done;
    void *arg;
    json_t *value; /* owned */
    struct dz_body *body;
    uint64_t requests_before;
    struct src_task *task;
    bool ended, failed;
    struct dz_source_fail fail;
};

/* The state with its libraries; source NULL: for a declaration. Nothing has run yet. */
DZ_MUST enum dz_code src_state_new(struct dz_source *source, const struct dz_source_env *env,
                                   const struct dz_source_budget *budget, const char *file,
                                   struct dz_source_run **ret_r, struct dz_err *err);
void src_state_free(struct dz_source_run **r); /* no task is left */
void src_hook_set(struct dz_source_run *r, lua_State *co);
void *src_alloc(void *run, void *p, size_t from, size_t to); /* lua_Alloc */
/* "source.lua:41: " of the innermost Lua function, or nothing. */
void src_place(lua_State *L, char *dst, size_t n);
/* Notes that the run is over; the first cause stays. */
void src_kill(struct dz_source_run *r, const char *place, const char *fmt, ...) DZ_PRINTF(3, 4);
/* What lies on top of co after it failed with status; nothing is raised, nothing popped. */
void src_fail_of(struct dz_source_run *r, lua_State *co, int status, enum dz_source_fn fn,
                 struct dz_source_fail *ret_fail);
/* Runs the chunk to its end on this thread. The declaration lies in the registry then. */
DZ_MUST enum dz_code src_run_chunk(struct dz_source_run *r, dz_str text, struct dz_err *err);
/* Pushes the declared table; nil before there is one. */
void src_push_declared(lua_State *L);
void src_keep_declared(lua_State *L); /* pops it */
void src_mark_built_in(struct dz_source *s);
dz_str src_text_of(const struct dz_source *s);
void src_task_bind(struct dz_source_run *r, lua_State *L); /* the main state's stand-in */
void src_task_unbind(struct dz_source_run *r);
void src_kick_new(struct dz_source_run *r);
void src_kick_free(struct dz_source_run *r);
/* Takes c, whose body runs from the loop. DZ_FULL. */
DZ_MUST enum dz_code src_call_start(struct dz_source_run *r, struct src_call *c, lua_CFunction body,
                                    struct dz_err *err);
void src_call_cancel(struct dz_source_run *r); /* tells whoever waits for it */
/* What crawl and download are given (mod_run.c). */
void src_push_crawl(lua_State *L, const json_t *options);
void src_push_archive(lua_State *L);
/* For a string of the run: copies what is printable UTF-8; returns the length. */
size_t src_copy_text(char *dst, size_t cap, dz_str s);

/* Pushes the value at index, a copy in which tables that have names beside their items have the
 * items under "1", "2" …; may raise (collections.c). */
void src_split_tables(lua_State *L, int index);
/* `collections` so read as a list of declarations, each of which the catalog takes; the caller
 * decrefs. */
DZ_MUST enum dz_code src_collections(dz_str source, const json_t *all, json_t **ret_list,
                                     struct dz_err *err);
/* dozo.source{…} on index 1 (declare.c); raises what is wrong; keeps the table. */
int src_declare(lua_State *L);
/* What a function returned, as the host wants it; site and id fill what a series or a chapter does
 * not say of itself (n = 0: it must). The caller decrefs. false: err says "chapters[3].volume:
 * expected …". */
bool src_shape(enum dz_source_fn fn, dz_str site, dz_str id, const json_t *v, json_t **ret_v,
               struct dz_err *err);
const char *src_json_words(const json_t *v); /* "a list"; NULL and null are "nil" */
/* The ids that the settings know options of beforehand. */
bool src_is_shipped(dz_str id);
/* The nearest of some names, for "did you mean"; NULL: none is near. */
const char *src_nearest(dz_str wanted, const char *const *names, size_t n);

struct src_built_in { /* made from sources/ by tools/embed_sources.py; a row of NULLs at the end */
    const char *name;
    dz_str text;
};
extern const struct src_built_in src_built_in[];
extern const size_t src_built_in_n;
