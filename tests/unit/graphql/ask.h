/*
 * ask: one request of the test schema, from text to answer.
 *
 * In: a document and variables as JSON. Out: the answer, or the errors of a document that is not
 * run. Every test that includes this has one world of its own.
 */
#pragma once

#include <jansson.h>

#include "world.h"

static struct world world;
static struct dz_gql_schema *schema;
static struct dz_buf answer;

static inline struct dz_gql_limits ask_limits(void)
{
    struct dz_gql_limits limits = dz_gql_limits_default();
    limits.errors_max = 20;
    return limits;
}

/* The answer to a document with everything that can be said about it; a step has `rows` rows. */
static inline const char *ask_run(const char *text, const char *variables, struct dz_gql_run run,
                                  uint32_t rows)
{
    struct dz_gql_limits limits = ask_limits();
    struct dz_gql_errors errors DZ_AUTO(dz_gql_errors_done);
    struct dz_arena *a DZ_AUTO(dz_arena_free) = dz_arena_new(1000000);
    struct dz_gql_doc *doc DZ_AUTO(dz_gql_doc_unref) = NULL;
    struct dz_gql_exec *x DZ_AUTO(dz_gql_exec_end) = NULL;
    struct dz_gql_value given = {.kind = DZ_GQL_ABSENT};
    json_t *j = variables ? json_loads(variables, JSON_DECODE_ANY, NULL) : NULL;
    dz_assert(!variables || j);
    dz_assert(dz_gql_value_from_json(a, j, &given, NULL) == DZ_OK);
    json_decref(j);
    dz_buf_done(&answer);
    dz_buf_init(&answer, 10000000);
    dz_gql_errors_init(&errors, 20);
    run.variables = &given;
    run.context = &world;
    if (dz_gql_prepare(schema, dz_str_of(text), &limits, &doc, &errors) != DZ_OK ||
        dz_gql_exec_begin(doc, &run, &x, &errors) != DZ_OK) {
        dz_gql_errors_answer(&errors, run.style, &answer);
        return dz_buf_cstr(&answer);
    }
    while (dz_gql_exec_step(x, rows, 0))
        ;
    dz_gql_exec_take(x, &answer);
    return dz_buf_cstr(&answer);
}

static inline const char *ask(const char *text, const char *variables)
{
    return ask_run(text, variables, (struct dz_gql_run){0}, 0);
}

static inline int ask_setup(void **state)
{
    (void)state;
    schema = world_schema(&world);
    return 0;
}

static inline int ask_teardown(void **state)
{
    (void)state;
    dz_gql_schema_unref(&schema);
    dz_buf_done(&answer);
    return 0;
}
