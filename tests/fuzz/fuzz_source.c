/*
 * fuzz_source: the text of a source, from the parser of Lua to the declaration; what it declares is
 * run once when it is a function without arguments to speak of.
 *
 * Budgets are small, so that endless loops cost little.
 */
#include "source/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void done(void *arg, const struct dz_source_result *res)
{
    *(bool *)arg = true;
    dz_assert(res->fail || res->value || res->body);
}

static void call(struct dz_loop *l, struct dz_source *s)
{
    struct dz_source_env env = {.loop = l};
    struct dz_source_budget budget = {
        .memory_bytes = 4 * DZ_MIB, .instructions = 100000, .wall_ms = 60000};
    struct dz_source_run *r = NULL;
    json_t *args = json_pack("[s]", "1");
    bool ended = false;
    if (dz_source_run_new(s, &env, &budget, &r, NULL) == DZ_OK &&
        dz_source_run_call(r, DZ_FN_SERIES_OF, args, done, &ended, NULL) == DZ_OK)
        while (!ended)
            dz_loop_turn(l, -1);
    dz_source_run_free(&r);
    json_decref(args);
    dz_loop_turn(l, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dz_loop *loop;
    struct dz_source *s = NULL;
    struct dz_err err;
    if (!loop && dz_loop_new(&loop, &err) != DZ_OK)
        return 0;
    if (dz_source_load(NULL, (dz_str){(const char *)data, size}, "source.lua", &s, &err) != DZ_OK)
        return 0;
    call(loop, s);
    dz_source_unref(&s);
    return 0;
}
