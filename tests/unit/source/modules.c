/*
 * modules: runs Lua snippets, says which one gave something else than expected.
 *
 * The error of a snippet is its text whether a plain one or an object with a kind.
 */
#include "modules.h"

/* What a chunk gave, as a text; the caller frees. */
static char *outcome(lua_State *L, const char *code)
{
    struct dz_err err = {0};
    json_t *v = NULL;
    lua_settop(L, 0);
    bool bad =
        luaL_loadbuffer(L, code, strlen(code), "=t") != LUA_OK || lua_pcall(L, 0, 1, 0) != LUA_OK;
    if (bad) {
        struct dz_buf b;
        dz_buf_init(&b, DZ_MIB);
        dz_buf_put(&b, DZ_S("! "));
        dz_buf_put(&b, dz_str_of(luaL_tolstring(L, 1, NULL)));
        return dz_buf_take(&b, NULL);
    }
    if (lua_type(L, 1) == LUA_TSTRING)
        return dz_strdup(lua_tostring(L, 1));
    if (!src_to_json(L, 1, &v, &err))
        return dz_strdup(err.text);
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    json_decref(v);
    return text;
}

void run_snippets_in(struct dz_source_run *r, const struct snippet *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *got = outcome(r->L, v[i].code);
        const char *want = v[i].expect;
        bool good = want[0] == '!' ? got[0] == '!' && strstr(got, want + 2) : !strcmp(got, want);
        if (!good)
            fail_msg("%s\n    gave %s\n    not  %s", v[i].code, got, want);
        free(got);
    }
}

void run_snippets(const struct snippet *v, size_t n)
{
    struct dz_source_run *r;
    must(src_state_new(NULL, NULL, NULL, "t", &r, err));
    run_snippets_in(r, v, n);
    src_state_free(&r);
}
