/*
 * run: a source at work: making a run, calling its functions, turning what they return into checked
 * JSON.
 *
 * In: JSON arguments. Out: JSON values or bytes, or a failure with its kind. The body of a call is
 * a C function inside its coroutine, so that whatever goes wrong on the way in or out (memory above
 * all) fails the call and nothing else. Loop's thread.
 */
#include "source/source_int.h"

#include <stdlib.h>

#define ARGS_MAX 8

/* ---- the body of a call ---------------------------------------------------------------------- */

/* Whether a segment is "." or "..", written plainly or as %2e, which would turn an address that is
 * made from the id into another place of the site. */
static bool is_dots(dz_str segment)
{
    size_t dots = 0;
    for (; segment.n > 0; dots++) {
        size_t n = segment.p[0] == '.'                                                          ? 1
                   : segment.n >= 3 && dz_str_eq_nocase(dz_str_sub(segment, 0, 3), DZ_S("%2e")) ? 3
                                                                                                : 0;
        if (n == 0)
            return false;
        segment = dz_str_sub(segment, n, segment.n);
    }
    return dots == 1 || dots == 2;
}

/* Ids of some sites hold slashes. */
static void check_id(lua_State *L, dz_str id)
{
    for (dz_str rest = id; rest.n > 0;) {
        size_t slash = dz_str_chr(rest, '/');
        if (is_dots(dz_str_sub(rest, 0, slash)))
            src_raise(L, DZ_SOURCE_BAD_URL, -1, "\"%.*s\" is no id",
                      DZ_STR_FMT(dz_str_clip(id, 100)));
        rest = slash == DZ_NPOS ? (dz_str){NULL, 0} : dz_str_sub(rest, slash + 1, rest.n);
    }
}

/* resolve returns two values, which become one object. */
static void join_resolved(lua_State *L)
{
    if (lua_isnil(L, -2) || src_is_null(L, -2)) {
        lua_pop(L, 1);
        return;
    }
    if (lua_type(L, -1) == LUA_TSTRING) {
        dz_str id = src_str(L, -1);
        if (id.n > DZ_SOURCE_ID_MAX)
            src_raise(L, DZ_SOURCE_BAD_URL, -1, "the id in the URL is longer than %u bytes",
                      DZ_SOURCE_ID_MAX);
        check_id(L, id);
    }
    lua_createtable(L, 0, 2);
    lua_insert(L, -3);
    lua_setfield(L, -3, "id");
    lua_setfield(L, -2, "kind");
}

/* Where the function of the call is written, for messages about what it returned. */
static void place_of_function(lua_State *L, const char *name, char *dst, size_t n)
{
    lua_Debug ar;
    src_push_declared(L);
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    dst[0] = 0;
    if (lua_isfunction(L, -1) && lua_getinfo(L, ">S", &ar) && ar.linedefined > 0)
        snprintf(dst, n, "%s:%d: ", ar.short_src, ar.linedefined);
    else
        lua_pop(L, 1);
    lua_pop(L, 1);
}

static void refuse_result(lua_State *L, enum dz_source_fn fn, const struct dz_err *err)
{
    char place[100];
    place_of_function(L, dz_source_fn_name(fn), place, sizeof(place));
    src_raise(L, DZ_SOURCE_PARSE, -1, "%s%s", place, err->text);
}

static void take_bytes(lua_State *L, struct src_call *c)
{
    size_t n;
    const char *p = lua_tolstring(L, -1, &n);
    struct dz_err err = {0};
    if (n == 0)
        (void)dz_fail(&err, DZ_PARSE, "cover: expected a picture or an address, got an empty text");
    else if (dz_body_try(n, &c->body, &err) == DZ_OK)
        memcpy(c->body->p, p, n);
    if (!c->body)
        refuse_result(L, c->fn, &err);
}

/* chapter() answers for series_of(). */
static void take_series(struct src_call *c, struct dz_err *err)
{
    json_t *series = json_object_get(c->value, "series");
    if (json_is_string(series)) {
        json_incref(series);
        json_decref(c->value);
        c->value = series;
        return;
    }
    json_decref(c->value);
    c->value = NULL;
    (void)dz_fail(err, DZ_PARSE, "chapter.series: expected the id of its series, got nothing");
}

/* The id that series(id) and chapter(id) were asked for. */
static dz_str first_id(const struct src_call *c)
{
    const json_t *id = json_array_get(c->args, 0);
    bool asked = c->fn == DZ_FN_SERIES || c->fn == DZ_FN_CHAPTER;
    return asked ? dz_json_text(id) : (dz_str){NULL, 0};
}

static int body_end(lua_State *L, int status, lua_KContext k)
{
    (void)status;
    (void)k;
    struct src_call *c = src_run_of(L)->call;
    if (c->fn == DZ_FN_DOWNLOAD || c->fn == DZ_FN_CRAWL)
        return 0;
    if (c->fn == DZ_FN_RESOLVE)
        join_resolved(L);
    if (c->fn == DZ_FN_COVER && lua_type(L, -1) == LUA_TSTRING) {
        take_bytes(L, c);
        return 0;
    }
    struct dz_err err = {0};
    json_t *raw = NULL;
    if (!src_to_json(L, -1, &raw, &err)) {
        (void)dz_wrap(&err, DZ_PARSE, "%s", dz_source_fn_name(c->fn));
        refuse_result(L, c->fn, &err);
    }
    /* Nothing raises until raw is let go. */
    bool good = src_shape(c->fn, src_run_of(L)->id, first_id(c), raw, &c->value, &err);
    json_decref(raw);
    if (good && c->asked == DZ_FN_SERIES_OF && c->fn == DZ_FN_CHAPTER)
        take_series(c, &err);
    if (err.code)
        refuse_result(L, c->fn, &err);
    return 0;
}

static int body(lua_State *L)
{
    struct src_call *c = src_run_of(L)->call;
    const char *name = dz_source_fn_name(c->fn);
    lua_settop(L, 0);
    src_push_declared(L);
    lua_pushstring(L, name);
    if (lua_rawget(L, 1) != LUA_TFUNCTION)
        src_raise(L, DZ_SOURCE_UNSUPPORTED, -1, "the source has no function %s", name);
    lua_remove(L, 1);
    size_t n = json_array_size(c->args);
    if (c->fn == DZ_FN_CRAWL) {
        src_push_crawl(L, json_array_get(c->args, 0));
        n = 1;
    } else {
        luaL_checkstack(L, (int)n + 8, NULL);
        if (c->fn != DZ_FN_RESOLVE && c->fn != DZ_FN_SEARCH)
            check_id(L, dz_json_text(json_array_get(c->args, 0)));
        for (size_t i = 0; i < n; i++)
            src_push_json(L, json_array_get(c->args, i));
        if (c->fn == DZ_FN_DOWNLOAD) {
            src_push_archive(L);
            n++;
        }
    }
    lua_callk(L, (int)n, c->fn == DZ_FN_RESOLVE ? 2 : 1, 0, body_end);
    return body_end(L, LUA_OK, 0);
}

/* ---- runs ------------------------------------------------------------------------------------ */

enum dz_code dz_source_run_new(struct dz_source *s, const struct dz_source_env *env,
                               const struct dz_source_budget *budget, struct dz_source_run **ret_r,
                               struct dz_err *err)
{
    const struct dz_source_info *info = dz_source_info_of(s);
    if (!info->enabled)
        return dz_fail(err, DZ_UNSUPPORTED, "%s is switched off in the settings", info->id.p);
    struct dz_source_run *r = NULL;
    DZ_TRY(src_state_new(s, env, budget, info->file.p, &r, err));
    r->id = info->id;
    r->source = dz_source_ref(s);
    enum dz_code code = src_run_chunk(r, src_text_of(s), err);
    if (code != DZ_OK) {
        dz_source_run_free(&r);
        return dz_wrap(err, code, "%s", info->id.p);
    }
    r->instructions = 0;
    src_kick_new(r);
    *ret_r = r;
    return DZ_OK;
}

void dz_source_run_free(struct dz_source_run **rp)
{
    struct dz_source_run *r = dz_take(rp);
    if (!r)
        return;
    if (r->call)
        src_call_cancel(r);
    src_kick_free(r);
    struct dz_source *source = dz_take(&r->source);
    r->source = source; /* what __gc of modules may still ask for */
    src_state_free(&r);
    dz_source_unref(&source);
}

enum dz_code dz_source_run_call(struct dz_source_run *r, enum dz_source_fn fn, json_t *args,
                                dz_source_done_fn *done, void *arg, struct dz_err *err)
{
    const struct dz_source_info *info = dz_source_info_of(r->source);
    const char *name = dz_source_fn_name(fn);
    enum dz_source_fn real = fn;
    if (fn == DZ_FN_SERIES_OF && !info->has[fn])
        real = DZ_FN_CHAPTER;
    if (r->call)
        return dz_fail(err, DZ_CONFLICT, "%s: %s: a call runs already", info->id.p, name);
    if (r->dead)
        return dz_fail(err, DZ_FULL, "%s: %s: the run is over: %.150s", info->id.p, name,
                       r->death.text);
    if (!info->has[real])
        return dz_fail(err, DZ_UNSUPPORTED, "%s has no function %s", info->id.p, name);
    const struct dz_source_sink *sink = r->env->sink;
    if ((fn == DZ_FN_CRAWL && !(sink && sink->ask)) ||
        (fn == DZ_FN_DOWNLOAD && !(sink && sink->archive)))
        return dz_fail(err, DZ_UNSUPPORTED, "%s: %s: there is nowhere to put what it gathers",
                       info->id.p, name);
    if (!json_is_array(args) || json_array_size(args) > ARGS_MAX)
        return dz_fail(err, DZ_BAD_INPUT, "%s: %s: arguments come as an array of at most %d",
                       info->id.p, name, ARGS_MAX);
    struct src_call *c = dz_new(struct src_call);
    *c = (struct src_call){.asked = fn,
                           .fn = real,
                           .args = json_incref(args),
                           .done = done,
                           .arg = arg,
                           .requests_before = r->requests};
    r->log_lines = 0;
    return src_call_start(r, c, body, err);
}
