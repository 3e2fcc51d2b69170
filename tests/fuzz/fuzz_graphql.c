/*
 * fuzz_graphql: documents against a small schema with every kind of type, from text to answer.
 *
 * In: a byte of choices, a document, and after a NUL variables as JSON. Out: nothing; an answer
 * must be JSON, the same in steps and at once, compact and pretty, and every list that was opened
 * must have been told its end. Limits are those of a server, but small enough for many runs a
 * second.
 */
#include <jansson.h>

#include "../unit/graphql/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct world world;
static struct dz_gql_schema *schema;

static json_t *parse_answer(const struct dz_buf *b)
{
    json_error_t error;
    json_t *j = json_loadb(b->p, b->n, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (!j)
        dz_panic(__FILE__, __LINE__, "no JSON: %s: %.*s", error.text, (int)b->n, b->p);
    return j;
}

static json_t *answer_of(struct dz_gql_doc *doc, struct dz_gql_run run, uint32_t rows)
{
    struct dz_gql_errors errors DZ_AUTO(dz_gql_errors_done);
    struct dz_gql_exec *x DZ_AUTO(dz_gql_exec_end) = NULL;
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, 16 * DZ_MIB);
    dz_gql_errors_init(&errors, 10);
    world.counter = 0;
    world.opened = world.done = 0;
    run.context = &world;
    if (dz_gql_exec_begin(doc, &run, &x, &errors) != DZ_OK) {
        dz_assert(errors.count > 0);
        dz_gql_errors_answer(&errors, run.style, &out);
        return parse_answer(&out);
    }
    while (dz_gql_exec_step(x, rows, rows ? 200 : 0))
        ;
    dz_gql_exec_take(x, &out);
    dz_assert(world.opened == world.done);
    return parse_answer(&out);
}

static void run_document(struct dz_gql_doc *doc, uint8_t choice, const struct dz_gql_value *given)
{
    struct dz_gql_run run = {
        .variables = given,
        .lenient = choice & 7,
        .style = {.ascii = choice & 8, .codes = choice & 16},
        .data_bytes_max = 200000,
        .errors_max = 20,
    };
    json_t *whole = answer_of(doc, run, 0);
    run.style.pretty = true;
    json_t *steps = answer_of(doc, run, 1 + (choice >> 5));
    /* Blanks count, too, where the answer is too long. */
    json_t *data = json_object_get(whole, "data");
    if (!json_is_null(data) && !json_is_null(json_object_get(steps, "data")))
        dz_assert(json_equal(whole, steps));
    json_decref(whole);
    json_decref(steps);
}

static void check_document(dz_str text, uint8_t choice, const struct dz_gql_value *given)
{
    struct dz_gql_limits limits = dz_gql_limits_default();
    struct dz_gql_errors errors DZ_AUTO(dz_gql_errors_done);
    struct dz_gql_doc *doc DZ_AUTO(dz_gql_doc_unref) = NULL;
    limits.tokens_max = 2000;
    limits.fields_max = 300;
    limits.errors_max = 10;
    dz_gql_errors_init(&errors, 10);
    enum dz_code code = dz_gql_prepare(schema, text, &limits, &doc, &errors);
    dz_assert((code == DZ_OK) == (errors.count == 0));
    if (code == DZ_OK) {
        run_document(doc, choice, given);
        return;
    }
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, DZ_MIB);
    dz_gql_errors_answer(&errors, (struct dz_gql_style){.pretty = choice & 1}, &out);
    json_decref(parse_answer(&out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (!schema)
        schema = world_schema(&world);
    dz_str text = {(const char *)data + 1, size - 1};
    size_t nul = dz_str_chr(text, '\0');
    dz_str json = dz_str_after(text, nul);
    struct dz_arena *a DZ_AUTO(dz_arena_free) = dz_arena_new(DZ_MIB);
    struct dz_gql_value given = {.kind = DZ_GQL_ABSENT};
    json_t *j = json.n ? json_loadb(json.p, json.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
    if (dz_gql_value_from_json(a, j, &given, NULL) == DZ_OK)
        check_document(dz_str_sub(text, 0, nul), data[0], &given);
    json_decref(j);
    return 0;
}
