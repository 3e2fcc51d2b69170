/*
 * Collections of every type in a schema: what is answered from memory and what a worker reads from
 * the catalog are the same. What does not go together stays out. Documents that are kept.
 */
#include "catalog/test_collections.h"

#include "api/graphql_int.h"

#define THING                                                                                      \
    "{'name': 'Thing', 'key': 'n', 'enums': [{'name': 'Kind', 'values': [['A', 1], ['B', 2]]}],"   \
    "'fields': [{'name': 'n', 'type': 'Int', 'not_null': true}, {'name': 'name', 'type': "         \
    "'String', 'not_null': true}, {'name': 'kind', 'type': 'Kind'}, {'name': 'weight', 'type': "   \
    "'Float'}, {'name': 'size', 'type': 'Float', 'not_null': true}, {'name': 'ok', 'type': "       \
    "'Boolean'}, {'name': 'code', 'type': 'ID'}, {'name': 'tags', 'type': 'String', 'list': "      \
    "true, 'items_not_null': true, 'not_null': true}, {'name': 'kinds', 'type': 'Kind', 'list': "  \
    "true}],"                                                                                      \
    "'queries': [{'name': 'thing', 'one': 'n'}, {'name': 'byName', 'range': {'field': 'name', "    \
    "'from': 'a', 'to': 'z'}, 'filter': ['kind', 'ok', 'weight'], 'order': ['name']},"             \
    "{'name': 'bySize', 'many': 'ns', 'range': {'field': 'size', 'from': 'least', 'to': 'end'},"   \
    "'order': ['name']}, {'name': 'all', 'order': ['name']}, {'name': 'picked', 'many': 'ns'}]}"

static struct dz_catalog *catalog;
static struct dz_collection *thing;
static struct graph_shape *shape;
static struct graph_table *table;
static const struct dz_gql_style plain = {.ascii = true};

static int setup(void **state)
{
    (void)state;
    struct dz_collection_ensured e;
    struct dz_gql_limits limits = dz_gql_limits_default();
    must(dz_catalog_open("sqlite", "/tmp", ":memory:", &catalog, err));
    thing = declared(THING);
    must(dz_catalog_collection_ensure(catalog, thing, &e, err));
    json_t *records = json_array();
    for (int i = 0; i < 1203; i++)
        json_array_append_new(
            records,
            json_pack("{s:i, s:s++, s:o, s:o, s:f, s:o, s:s, s:[s, s], s:o}", "n", i - 3, "name",
                      "x",
                      i % 7 == 3 ? "\xe5\x89\xa7"
                      : i % 2    ? "a"
                                 : "b",
                      i % 3 ? "" : "c", "kind", i % 5 ? json_integer(1 + i % 2) : json_null(),
                      "weight", i % 4 ? json_real(i / 8.0) : json_null(), "size", i / 8.0, "ok",
                      i % 3 ? json_boolean(i % 2) : json_null(), "code", "id\"\n", "tags", "t", "",
                      "kinds", i % 2 ? json_pack("[i, i]", 1, 2) : json_null()));
    enum dz_put_result *results = dz_alloc(1203 * sizeof(*results));
    must(dz_catalog_collection_put(catalog, thing, records, false, results, NULL, err));
    free(results);
    json_decref(records);
    must(graph_shape_new(&thing, 1, &limits, &shape, err));
    must(graph_table_read(catalog, shape->colls[0].coll, 1, &table, err));
    assert_false(table->is_big);
    assert_int_equal(table->rows_n, 1203);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    graph_table_unref(&table);
    graph_shape_unref(&shape);
    dz_collection_unref(&thing);
    dz_catalog_close(&catalog);
    return 0;
}

/* The answer as heap text. */
static char *answer(const char *query, bool from_catalog)
{
    struct dz_gql_doc *doc = NULL;
    struct dz_gql_exec *x = NULL;
    struct dz_gql_errors errors DZ_AUTO(dz_gql_errors_done);
    struct dz_buf out;
    struct graph_table big = {.is_big = true, .fields_n = table->fields_n};
    struct graph_table *tables[] = {from_catalog ? &big : table};
    struct graph_world world = {.shape = shape, .tables = tables};
    struct graph_ctx ctx = {.world = &world, .catalog = catalog, .may_block = from_catalog};
    struct dz_gql_run run = {.context = &ctx, .style = plain};
    dz_gql_errors_init(&errors, 10);
    dz_buf_init(&out, 16 * DZ_MIB);
    if (dz_gql_prepare(shape->schema, dz_str_of(query), &shape->limits, &doc, &errors) != DZ_OK ||
        dz_gql_exec_begin(doc, &run, &x, &errors) != DZ_OK)
        fail_msg("%s: %.*s", query, DZ_STR_FMT(dz_gql_errors_first(&errors)));
    assert_int_equal(ctx.wants_worker, from_catalog);
    while (dz_gql_exec_step(x, 100, 4096)) {
    }
    dz_gql_exec_take(x, &out);
    dz_gql_exec_end(&x);
    dz_gql_doc_unref(&doc);
    (void)dz_buf_cstr(&out);
    return dz_buf_take(&out, NULL);
}

static char *both(const char *query)
{
    char *memory = answer(query, false), *read = answer(query, true);
    if (strcmp(memory, read) != 0)
        fail_msg("%s\n    memory  %.500s\n    catalog %.500s", query, memory, read);
    free(read);
    return memory;
}

#define FIELDS "{n name kind weight ok code tags kinds}"

static void test_same(void **state)
{
    (void)state;
    static const char *const queries[] = {
        "{all " FIELDS "}",
        "{byName(a: \"\", z: \"zz\") " FIELDS "}",
        "{byName(a: \"xa\", z: \"xb\") " FIELDS "}",
        "{byName(a: \"xb\", z: \"xa\") " FIELDS "}",
        "{byName(a: \"x\", z: \"y\", kind: B) " FIELDS "}",
        "{byName(a: \"x\", z: \"y\", kind: A, ok: true, weight: 1.125) " FIELDS "}",
        "{byName(a: \"x\", z: \"y\", ok: false) " FIELDS "}",
        "{bySize(least: 0.5, end: 100) " FIELDS "}",
        "{bySize(least: 2, end: 3) " FIELDS "}",
        "{bySize(ns: [5, -3, 5, 99999, null, 0]) " FIELDS "}",
        "{a: thing(n: -3) " FIELDS " b: thing(n: 1199) " FIELDS " c: thing(n: 1200) {n}}",
        "{picked(ns: []) {n}}",
        "{picked(ns: 7) {n}}",
        "{picked {n}}",
        "{byName(a: \"x\") {n}}",
        "{bySize(end: 1) {n}}",
    };
    for (size_t i = 0; i < DZ_LEN(queries); i++)
        free(both(queries[i]));
}

static void expect(const char *query, const char *want)
{
    char *got = both(query);
    assert_string_equal(got, want);
    free(got);
}

static void test_values(void **state)
{
    (void)state;
    expect("{thing(n: -2) " FIELDS "}",
           "{\"data\":{\"thing\":{\"n\":-2,\"name\":\"xa\",\"kind\":\"B\",\"weight\":0.125,\"ok\":"
           "true,\"code\":\"id\\\"\\n\",\"tags\":[\"t\",\"\"],\"kinds\":[\"A\",\"B\"]}}}");
    expect("{thing(n: -3) {kind weight ok kinds}}",
           "{\"data\":{\"thing\":{\"kind\":null,"
           "\"weight\":null,\"ok\":null,\"kinds\":null}}}");
    expect("{picked {n}}", "{\"errors\":[{\"message\":\"'ns' must be specified.\",\"locations\":[{"
                           "\"line\":1,\"column\":2}],\"path\":[\"picked\"]}],\"data\":{\"picked\":"
                           "null}}");
    expect(
        "{byName(z: \"x\") {n}}",
        "{\"errors\":[{\"message\":\"'a' and 'z' must be specified.\",\"locations\":[{\"line\":1,"
        "\"column\":2}],\"path\":[\"byName\"]}],\"data\":{\"byName\":null}}");
}

/* A list that is declared to have no nulls says so, and is never stored with one. */
static void test_lists(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_MIB);
    dz_gql_schema_print(shape->schema, &b);
    const char *sdl = dz_buf_cstr(&b);
    assert_non_null(strstr(sdl, "tags: [String!]!\n"));
    assert_non_null(strstr(sdl, "kinds: [Kind]\n"));

    struct dz_err err = {0};
    enum dz_put_result result;
    json_t *records = json_of("[{'n': 5000, 'name': 'x', 'size': 1, 'tags': ['a', null]}]");
    assert_int_equal(dz_catalog_collection_put(catalog, thing, records, false, &result, NULL, &err),
                     DZ_BAD_INPUT);
    assert_non_null(strstr(err.text, "tags: item 2: is null"));
    json_decref(records);
}

/* ---- shapes -----------------------------------------------------------------------------------
 */

static struct dz_collection *named(const char *name, const char *query)
{
    char text[300];
    snprintf(text, sizeof(text),
             "{'name': '%s', 'key': 'n', 'fields': [{'name': 'n', 'type': 'Int', 'not_null': "
             "true}], 'queries': [{'name': '%s', 'one': 'n'}]}",
             name, query);
    return declared(text);
}

static void test_what_does_not_go_together(void **state)
{
    (void)state;
    struct dz_collection *v[] = {named("Good", "good"), named("Series", "own"),
                                 named("Other", "series"), named("Good", "again"),
                                 named("Last", "last")};
    struct dz_gql_limits limits = dz_gql_limits_default();
    struct graph_shape *s = NULL;
    must(graph_shape_new(v, DZ_LEN(v), &limits, &s, err));
    assert_int_equal(s->colls_n, 2);
    assert_ptr_equal(s->colls[0].coll, v[0]);
    assert_ptr_equal(s->colls[1].coll, v[4]);
    assert_int_equal(s->colls[1].at, 1);
    assert_non_null(dz_gql_schema_type(s->schema, "Last"));
    graph_shape_unref(&s);
    for (size_t i = 0; i < DZ_LEN(v); i++)
        dz_collection_unref(&v[i]);
}

/* ---- what is kept -----------------------------------------------------------------------------
 */

static int refs[1000];

static void *ref_number(void *v)
{
    ++*(int *)v;
    return v;
}

static void unref_number(void *v)
{
    --*(int *)v;
}

static bool is_kept(struct graph_memo *m, int i)
{
    char key[16];
    int n = snprintf(key, sizeof(key), "k%d", i);
    int *v = graph_memo_get(m, (dz_str){key, (size_t)n});
    if (!v)
        return false;
    assert_ptr_equal(v, &refs[i]);
    unref_number(v);
    return true;
}

static void test_memo(void **state)
{
    (void)state;
    struct graph_memo *m = graph_memo_new(100000, ref_number, unref_number);
    for (int i = 0; i < 1000; i++) {
        char key[16];
        int n = snprintf(key, sizeof(key), "k%d", i);
        graph_memo_put(m, (dz_str){key, (size_t)n}, &refs[i], 1000);
        graph_memo_put(m, (dz_str){key, (size_t)n}, &refs[i], 1000);
        assert_int_equal(refs[i], 1);
        assert_true(is_kept(m, 0)); /* what is used stays */
        assert_true(is_kept(m, i));
    }
    int kept = 0;
    for (int i = 0; i < 1000; i++)
        kept += refs[i];
    assert_in_range(kept, 40, 100);
    graph_memo_put(m, DZ_S("large"), &refs[5], 50000);
    assert_int_equal(refs[5], 0);
    graph_memo_free(&m);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(refs[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),  cmocka_unit_test(test_values),
        cmocka_unit_test(test_lists), cmocka_unit_test(test_what_does_not_go_together),
        cmocka_unit_test(test_memo),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
