/* exec: answers, nulls and where they go, errors and their places, variables, leniency, steps. */
#include "test.h"

#include "ask.h"
#include "graphql/graphql_int.h"

static void answers(const char *query, const char *variables, const char *want)
{
    assert_string_equal(ask(query, variables), want);
}

static void fields_and_fragments(void **state)
{
    (void)state;
    answers("{version}", NULL, "{\"data\":{\"version\":\"20190429.1\"}}");
    answers("{b: version a: version version b: version}", NULL,
            "{\"data\":{\"b\":\"20190429.1\",\"a\":\"20190429.1\",\"version\":\"20190429.1\"}}");
    answers("{person(id: 1) {name ...A ... {age} best {id}} person(id: 1) {best {name}}} "
            "fragment A on Person {id ...B} fragment B on Named {name __typename}",
            NULL,
            "{\"data\":{\"person\":{\"name\":\"Ada\",\"id\":\"1\",\"__typename\":\"Person\","
            "\"age\":36,\"best\":{\"id\":\"2\",\"name\":\"B\xc3\xa9la \\\"x\\\"\\n\"}}}}");
    answers("{things(kinds: [\"d\", \"c\"]) {__typename ... on Dog {barks: name} ... on Node {id} "
            "... on Cat {meows}}}",
            NULL,
            "{\"data\":{\"things\":[{\"__typename\":\"Dog\",\"barks\":\"Rex\",\"id\":\"d1\"},{"
            "\"__typename\":\"Dog\",\"barks\":null,\"id\":\"d2\"},{\"__typename\":\"Cat\",\"id\":"
            "\"c1\",\"meows\":3},{\"__typename\":\"Cat\",\"id\":\"c2\",\"meows\":null}]}}");
    answers("{person(id: 9) {name} maybe {__typename} self {self {v: version}}}", NULL,
            "{\"data\":{\"person\":null,\"maybe\":{\"__typename\":\"Query\"},\"self\":{\"self\":{"
            "\"v\":\"20190429.1\"}}}}");
    answers("{person(id: 1) {matrix friends(first: 1) {id} since height}}", NULL,
            "{\"data\":{\"person\":{\"matrix\":[[1,2],[3,null],null,[]],\"friends\":[{\"id\":"
            "\"2\"}],\"since\":\"2019-04-29\",\"height\":1.65}}}");
    answers("query a {version} query b {v: version}", NULL,
            "{\"errors\":[{\"message\":\"Must provide operation name if query contains multiple "
            "operations.\"}]}");
}

static void skip_and_include(void **state)
{
    (void)state;
    const char *q =
        "query ($y: Boolean!, $n: Boolean = false) {a: version @skip(if: $y) "
        "b: version @include(if: $y) ...F @include(if: $n) ... @skip(if: $n) {c: version} "
        "d: version @skip(if: false) @include(if: false)} fragment F on Query {f: version}";
    answers(q, "{\"y\": true}", "{\"data\":{\"b\":\"20190429.1\",\"c\":\"20190429.1\"}}");
    answers(q, "{\"y\": false, \"n\": true}",
            "{\"data\":{\"a\":\"20190429.1\",\"f\":\"20190429.1\"}}");
    answers("{person(id: 1) {name @skip(if: true)}}", NULL, "{\"data\":{\"person\":{}}}");
    answers("{version @skip(if: true)}", NULL, "{\"data\":{}}");
    answers(
        "query ($a: Boolean = true) {version @skip(if: $a)}", "{\"a\": null}",
        "{\"errors\":[{\"message\":\"Argument \\\"if\\\" of non-null type \\\"Boolean!\\\" must "
        "not be null.\",\"locations\":[{\"line\":1,\"column\":47}]}],\"data\":null}");
    answers(
        "query ($a: Boolean = true) {maybe {version @include(if: $a)} version}", "{\"a\": null}",
        "{\"errors\":[{\"message\":\"Argument \\\"if\\\" of non-null type \\\"Boolean!\\\" must "
        "not be null.\",\"locations\":[{\"line\":1,\"column\":29}],\"path\":[\"maybe\"]}],\"data\":"
        "{\"maybe\":null,\"version\":\"20190429.1\"}}");
    /* A fragment that was skipped once is still followed elsewhere. */
    answers("{...F @skip(if: true) ...F} fragment F on Query {version}", NULL,
            "{\"data\":{\"version\":\"20190429.1\"}}");
}

static void nulls_go_up(void **state)
{
    (void)state;
    answers("{people(first: 4) {id group}}", NULL,
            "{\"errors\":[{\"message\":\"9 is not a valid Group\",\"locations\":[{\"line\":1,"
            "\"column\":23}],\"path\":[\"people\",2,\"group\"]}],\"data\":{\"people\":[{\"id\":"
            "\"1\",\"group\":\"SNH48\"},{\"id\":\"2\",\"group\":\"BEJ48\"},null,{\"id\":\"4\","
            "\"group\":\"GNZ48\"}]}}");
    answers("{person(id: 1) {name\n friends {n: name s: strict}}}", NULL,
            "{\"errors\":[{\"message\":\"Cannot return null for non-nullable field "
            "Person.strict.\",\"locations\":[{\"line\":2,\"column\":19}],\"path\":[\"person\","
            "\"friends\",1,\"s\"]}],\"data\":{\"person\":{\"name\":\"Ada\",\"friends\":null}}}");
    answers("{a: version failsStrict b: version}", NULL,
            "{\"errors\":[{\"message\":\"It fails.\",\"locations\":[{\"line\":1,\"column\":13}],"
            "\"path\":[\"failsStrict\"]}],\"data\":null}");
    answers(
        "{a: version self {self {maybe {x: failsStrict}}} b: version}", NULL,
        "{\"errors\":[{\"message\":\"It fails.\",\"locations\":[{\"line\":1,\"column\":32}],"
        "\"path\":[\"self\",\"self\",\"maybe\",\"x\"]}],\"data\":{\"a\":\"20190429.1\",\"self\":"
        "{\"self\":{\"maybe\":null}},\"b\":\"20190429.1\"}}");
    answers("{maybe {named {... on Cat {owner {id}}}} version}", NULL,
            "{\"errors\":[{\"message\":\"Cannot return null for non-nullable field Cat.owner.\","
            "\"locations\":[{\"line\":1,\"column\":28}],\"path\":[\"maybe\",\"named\",7,\"owner\"]"
            "}],\"data\":{\"maybe\":null,\"version\":\"20190429.1\"}}");
    answers("{person(id: 4) {id tags}}", NULL,
            "{\"errors\":[{\"message\":\"Cannot return null for non-nullable field "
            "Person.tags.\",\"locations\":[{\"line\":1,\"column\":20}],\"path\":[\"person\","
            "\"tags\",1]}],\"data\":{\"person\":null}}");
    answers("{fails person(id: 1) {broken broken}}", NULL,
            "{\"errors\":[{\"message\":\"It fails.\",\"locations\":[{\"line\":1,\"column\":2}],"
            "\"path\":[\"fails\"]},{\"message\":\"It is broken.\",\"locations\":[{\"line\":1,"
            "\"column\":23},{\"line\":1,\"column\":30}],\"path\":[\"person\",\"broken\"]}],"
            "\"data\":{\"fails\":null,\"person\":{\"broken\":null}}}");
    answers("{big}", NULL,
            "{\"errors\":[{\"message\":\"Int cannot represent non 32-bit signed integer value: "
            "3000000000\",\"locations\":[{\"line\":1,\"column\":2}],\"path\":[\"big\"]}],\"data\":{"
            "\"big\":null}}");
    assert_int_equal(world.opened, world.done);
}

static void variables(void **state)
{
    (void)state;
    answers("query ($i: Int, $f: Float, $s: String, $b: Boolean, $d: ID, $g: Group, $l: [Int], $o: "
            "Filter, $a: Any) {echo(int: $i, float: $f, string: $s, boolean: $b, id: $d, group: "
            "$g, ints: $l, filter: $o, any: $a)}",
            "{\"i\": 5, \"f\": 1, \"s\": \"x\", \"b\": true, \"d\": 7, \"g\": \"BEJ48\", \"l\": 3, "
            "\"o\": {\"range\": {\"from\": 1.0}, \"name\": null}, \"a\": {\"b\": [1, 2.5, null]}}",
            "{\"data\":{\"echo\":\"int=5 float=1 string=\\\"x\\\" boolean=true id=\\\"7\\\" "
            "group=\\\"BEJ48\\\" ints=[3] strict=[1] filter={name:null,groups:[\\\"SNH48\\\"],"
            "range:{from:1,to:10},weight:1.5} any={b:[1,2.5,null]}\"}}");
    answers("query ($i: Int = 4, $l: [Int], $o: Int) {echo(int: $i, ints: [1, $l2, $o])}", NULL,
            "{\"errors\":[{\"message\":\"Variable \\\"$l2\\\" is not defined.\",\"locations\":[{"
            "\"line\":1,\"column\":66}]},{\"message\":\"Variable \\\"$l\\\" is never used.\","
            "\"locations\":[{\"line\":1,\"column\":21}]}]}");
    answers("query ($i: Int = 4, $o: Int) {echo(int: $i, ints: [1, $o], filter: {name: $s})}", NULL,
            "{\"errors\":[{\"message\":\"Variable \\\"$s\\\" is not defined.\",\"locations\":[{"
            "\"line\":1,\"column\":75}]}]}");
    answers("query ($a: ID) {a: echo(id: 99999999999999999999) b: echo(id: -7) c: echo(id: $a)}",
            "{\"a\": 2.0}",
            "{\"data\":{\"a\":\"id=\\\"99999999999999999999\\\" strict=[1]\",\"b\":\"id=\\\"-7\\\" "
            "strict=[1]\",\"c\":\"id=\\\"2\\\" strict=[1]\"}}");
    /* Not given: the default of the variable, then that of the place, then nothing. */
    answers("query ($i: Int = 4, $o: Int, $s: [Int!], $w: Float) {echo(int: $i, float: $w, ints: "
            "[1, $o], strict: $s, filter: {weight: $w})}",
            NULL,
            "{\"data\":{\"echo\":\"int=4 ints=[1,null] strict=[1] filter={groups:[\\\"SNH48\\\"],"
            "weight:1.5}\"}}");
    answers("query ($i: Int = 4, $s: [Int!]) {echo(int: $i, strict: $s)}",
            "{\"i\": null, \"s\": null}",
            "{\"errors\":[{\"message\":\"Argument \\\"strict\\\" has invalid value: Expected value "
            "of type \\\"[Int!]!\\\", found null.\",\"locations\":[{\"line\":1,\"column\":34}],"
            "\"path\":[\"echo\"]}],\"data\":{\"echo\":null}}");
}

static void variables_that_do_not_fit(void **state)
{
    (void)state;
    static const struct {
        const char *type, *value, *want;
    } rows[] = {
        {"Int!", NULL, "Variable \"$v\" of required type \"Int!\" was not provided."},
        {"Int!", "null", "Variable \"$v\" of non-null type \"Int!\" must not be null."},
        {"Int", "\"x\"",
         "Variable \"$v\" got invalid value \"x\"; Int cannot represent non-integer "
         "value: \"x\""},
        {"Int", "1.5",
         "Variable \"$v\" got invalid value 1.5; Int cannot represent non-integer value: 1.5"},
        {"Int", "2147483648",
         "Variable \"$v\" got invalid value 2147483648; Int cannot represent "
         "non 32-bit signed integer value: 2147483648"},
        {"Int", "true",
         "Variable \"$v\" got invalid value true; Int cannot represent non-integer value: true"},
        {"String", "1",
         "Variable \"$v\" got invalid value 1; String cannot represent a non string value: 1"},
        {"Boolean", "\"true\"",
         "Variable \"$v\" got invalid value \"true\"; Boolean cannot "
         "represent a non boolean value: \"true\""},
        {"ID", "1.5",
         "Variable \"$v\" got invalid value 1.5; ID cannot represent a non-string and "
         "non-integer value: 1.5"},
        {"Group", "\"FOO\"",
         "Variable \"$v\" got invalid value \"FOO\"; Value \"FOO\" does not "
         "exist in \"Group\" enum."},
        {"Group", "1",
         "Variable \"$v\" got invalid value 1; Enum \"Group\" cannot represent "
         "non-string value: 1."},
        {"[Int!]", "[1, null]",
         "Variable \"$v\" got invalid value null at \"v[1]\"; Expected "
         "non-nullable type \"Int!\" not to be null."},
        {"Filter", "{\"ranges\": [{\"from\": 1}, {}]}",
         "Variable \"$v\" got invalid value {} at \"v.ranges[1]\"; Field \"from\" of required type "
         "\"Int!\" was not provided."},
        {"Filter", "{\"x\": 1}",
         "Variable \"$v\" got invalid value {x: 1}; Field \"x\" is not "
         "defined by type \"Filter\"."},
        {"Filter", "[]",
         "Variable \"$v\" got invalid value []; Expected type \"Filter\" to be an "
         "object."},
        {"Date", "\"x\"",
         "Variable \"$v\" got invalid value \"x\"; Expected value of type "
         "\"Date\", found \"x\"; a date has ten characters"},
    };
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        char query[200], given[200];
        snprintf(query, sizeof(query), "query ($v: %s) {echo(any: [$v])}", rows[i].type);
        snprintf(given, sizeof(given), "{\"v\": %s}", rows[i].value ? rows[i].value : "0");
        ask(query, rows[i].value ? given : "{}");
        json_t *j = json_loadb(answer.p, answer.n, 0, NULL);
        assert_non_null(j);
        assert_null(json_object_get(j, "data"));
        json_t *first = json_array_get(json_object_get(j, "errors"), 0);
        assert_string_equal(json_string_value(json_object_get(first, "message")), rows[i].want);
        assert_int_equal(json_array_size(json_object_get(first, "locations")), 1);
        json_decref(j);
    }
    answers("{version}", "[]", "{\"errors\":[{\"message\":\"Variables must be an object.\"}]}");
    answers("{version}", "null", "{\"data\":{\"version\":\"20190429.1\"}}");
    answers("{version}", "{\"more\": 1}", "{\"data\":{\"version\":\"20190429.1\"}}");
}

static void leniency(void **state)
{
    (void)state;
    const char *q = "query ($i: Int, $f: Float, $s: String, $d: ID, $b: Boolean, $l: [String!]) "
                    "{echo(int: $i, float: $f, string: $s, id: $d, boolean: $b, any: [$l])}";
    struct dz_gql_run run = {.lenient = DZ_GQL_LENIENT_NUMBERS | DZ_GQL_LENIENT_STRINGS |
                                        DZ_GQL_LENIENT_BOOLEANS};
    assert_string_equal(
        ask_run(q,
                "{\"i\": \"1555776000\", \"f\": \"1e2\", \"s\": 1.5, \"d\": true, \"b\": \"x\", "
                "\"l\": 7}",
                run, 0),
        "{\"data\":{\"echo\":\"int=1555776000 float=100 string=\\\"1.5\\\" boolean=true "
        "id=\\\"true\\\" strict=[1] any=[[\\\"7\\\"]]\"}}");
    assert_string_equal(
        ask_run(q, "{\"i\": -1.9, \"f\": true, \"s\": false, \"d\": 2.0, \"b\": 0}", run, 0),
        "{\"data\":{\"echo\":\"int=-1 float=1 string=\\\"false\\\" boolean=false id=\\\"2.0\\\" "
        "strict=[1] any=[null]\"}}");
    assert_string_equal(ask_run(q, "{\"i\": \" 12.7 \", \"b\": \"\"}", run, 0),
                        "{\"data\":{\"echo\":\"int=12 boolean=false strict=[1] any=[null]\"}}");
    static const char *const bad[] = {"\"x\"",  "\"\"",    "\"0x10\"", "\"1e99\"", "\"1 2\"",
                                      "[1, 2]", "\"nan\"", "\"inf\"",  "{}"};
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        char given[64];
        snprintf(given, sizeof(given), "{\"i\": %s}", bad[i]);
        assert_true(dz_str_starts(dz_str_of(ask_run(q, given, run, 0)), DZ_S("{\"errors\"")));
    }
    /* Literals stay strict. */
    assert_true(
        dz_str_starts(dz_str_of(ask_run("{echo(int: \"1\")}", NULL, run, 0)), DZ_S("{\"errors\"")));
}

static void mutations_and_subscriptions(void **state)
{
    (void)state;
    world.counter = 0;
    answers("mutation {add(n: 2) b: add(n: 3) fail c: add(n: -1)}", NULL,
            "{\"errors\":[{\"message\":\"It fails.\",\"locations\":[{\"line\":1,\"column\":34}],"
            "\"path\":[\"fail\"]}],\"data\":{\"add\":2,\"b\":5,\"fail\":null,\"c\":4}}");
    answers("subscription {tick}", NULL,
            "{\"errors\":[{\"message\":\"Subscriptions are not supported\",\"locations\":[{"
            "\"line\":1,\"column\":1}]}],\"data\":null}");
}

static enum dz_code resolve_one(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                struct dz_err *err)
{
    (void)call;
    (void)err;
    dz_gql_int(ret, 1);
    return DZ_OK;
}

static void roots_that_are_missing(void **state)
{
    (void)state;
    struct dz_gql_builder *b = dz_gql_builder_new();
    dz_gql_add_field(dz_gql_add_object(b, "Query", NULL), "a", "Int", resolve_one, NULL, NULL);
    struct dz_gql_schema *old = schema;
    must(dz_gql_schema_finish(&b, &schema, err));
    answers(
        "mutation M {x {y} x: z}", NULL,
        "{\"errors\":[{\"message\":\"Schema is not configured for mutations\"}],\"data\":null}");
    answers("subscription {x}", NULL,
            "{\"errors\":[{\"message\":\"Schema is not configured for subscriptions\"}],"
            "\"data\":null}");
    answers("{a}", NULL, "{\"data\":{\"a\":1}}");
    dz_gql_schema_unref(&schema);
    schema = old;
}

static void styles(void **state)
{
    (void)state;
    struct dz_gql_run run = {.style = {.pretty = true, .ascii = true, .codes = true}};
    assert_string_equal(ask_run("{person(id: 3) {name friends {id} tags} maybe {version @skip(if: "
                                "true)} fails}",
                                NULL, run, 0),
                        "{\n"
                        "  \"errors\": [\n"
                        "    {\n"
                        "      \"message\": \"It fails.\",\n"
                        "      \"locations\": [\n"
                        "        {\n"
                        "          \"line\": 1,\n"
                        "          \"column\": 73\n"
                        "        }\n"
                        "      ],\n"
                        "      \"path\": [\n"
                        "        \"fails\"\n"
                        "      ],\n"
                        "      \"extensions\": {\n"
                        "        \"code\": \"NOT_FOUND\"\n"
                        "      }\n"
                        "    }\n"
                        "  ],\n"
                        "  \"data\": {\n"
                        "    \"person\": {\n"
                        "      \"name\": \"\\u5c71\\ud83d\\ude00\",\n"
                        "      \"friends\": [],\n"
                        "      \"tags\": [\n"
                        "        \"a\",\n"
                        "        \"b\"\n"
                        "      ]\n"
                        "    },\n"
                        "    \"maybe\": {},\n"
                        "    \"fails\": null\n"
                        "  }\n"
                        "}");
    assert_string_equal(
        ask_run("{x}", NULL, run, 0),
        "{\n"
        "  \"errors\": [\n"
        "    {\n"
        "      \"message\": \"Cannot query field \\\"x\\\" on type \\\"Query\\\".\",\n"
        "      \"locations\": [\n"
        "        {\n"
        "          \"line\": 1,\n"
        "          \"column\": 2\n"
        "        }\n"
        "      ],\n"
        "      \"extensions\": {\n"
        "        \"code\": \"BAD_INPUT\"\n"
        "      }\n"
        "    }\n"
        "  ]\n"
        "}");
    run = (struct dz_gql_run){0};
    assert_string_equal(ask_run("{version}", NULL, (struct dz_gql_run){.style.pretty = true}, 0),
                        "{\n  \"data\": {\n    \"version\": \"20190429.1\"\n  }\n}");
    run.operation = DZ_S("b");
    assert_string_equal(ask_run("query a {version} query b {v: version}", NULL, run, 0),
                        "{\"data\":{\"v\":\"20190429.1\"}}");
    run.operation = DZ_S("c");
    assert_string_equal(ask_run("query a {version}", NULL, run, 0),
                        "{\"errors\":[{\"message\":\"Unknown operation named \\\"c\\\".\"}]}");
    assert_string_equal(ask_run("fragment F on Query {version}", NULL, run, 0),
                        "{\"errors\":[{\"message\":\"Fragment \\\"F\\\" is never used.\","
                        "\"locations\":[{\"line\":1,\"column\":1}]}]}");
}

static void hooks(void **state)
{
    (void)state;
    world.prepared = 0;
    answers("{a: person(id: 1) {id} version b: person(id: 2) {id} c: person(id: 3) @skip(if: true) "
            "{id}}",
            NULL,
            "{\"data\":{\"a\":{\"id\":\"1\"},\"version\":\"20190429.1\",\"b\":{\"id\":\"2\"}}}");
    assert_int_equal(world.prepared, 2);
    ask("{people {...F} people {id}} fragment F on Named {n: name}", NULL);
    assert_true(world.asks_name);
    assert_false(world.asks_deep);
    ask("{people {name @skip(if: true) friends {... on Person {x: best {id}}}}}", NULL);
    assert_false(world.asks_name);
    assert_true(world.asks_deep);
}

/* An answer in steps of one row, of two and of few bytes is the same answer. */
static void steps(void **state)
{
    (void)state;
    const char *q = "{people(first: 4) {id group friends {name tags} matrix}}";
    char *whole = dz_strdup(ask(q, NULL));
    for (uint32_t rows = 1; rows < 5; rows++)
        assert_string_equal(ask_run(q, NULL, (struct dz_gql_run){0}, rows), whole);

    struct dz_gql_limits limits = ask_limits();
    struct dz_gql_errors errors DZ_AUTO(dz_gql_errors_done);
    dz_gql_errors_init(&errors, 5);
    struct dz_gql_doc *doc DZ_AUTO(dz_gql_doc_unref) = NULL;
    assert_int_equal(dz_gql_prepare(schema, dz_str_of(q), &limits, &doc, &errors), DZ_OK);
    struct dz_gql_run run = {.context = &world};
    struct dz_gql_exec *x DZ_AUTO(dz_gql_exec_end) = NULL;
    assert_int_equal(dz_gql_exec_begin(doc, &run, &x, &errors), DZ_OK);
    unsigned n = 1;
    for (size_t before = dz_gql_exec_bytes(x); dz_gql_exec_step(x, 0, 1); n++) {
        assert_true(dz_gql_exec_bytes(x) < before + 200);
        before = dz_gql_exec_bytes(x);
    }
    assert_true(n > 20);
    assert_int_equal(dz_gql_exec_errors(x), 1);
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, 10);
    dz_gql_exec_take(x, &out);
    assert_string_equal(dz_buf_cstr(&out), whole);
    free(whole);

    /* Ended in the middle: what was opened is told. */
    struct dz_gql_exec *y = NULL;
    world.opened = world.done = 0;
    assert_int_equal(dz_gql_exec_begin(doc, &run, &y, &errors), DZ_OK);
    assert_true(dz_gql_exec_step(y, 2, 0));
    assert_int_not_equal(world.opened, world.done);
    dz_gql_exec_end(&y);
    assert_null(y);
    assert_int_equal(world.opened, world.done);
}

static void answers_are_limited(void **state)
{
    (void)state;
    struct dz_gql_run run = {.data_bytes_max = 100};
    assert_string_equal(ask_run("{people {id name age friends {id name}}}", NULL, run, 0),
                        "{\"errors\":[{\"message\":\"The answer is longer than 100 bytes.\"}],"
                        "\"data\":null}");
    assert_int_equal(world.opened, world.done);
    run = (struct dz_gql_run){.errors_max = 1};
    assert_string_equal(ask_run("{a: fails b: fails c: fails}", NULL, run, 0),
                        "{\"errors\":[{\"message\":\"It fails.\",\"locations\":[{\"line\":1,"
                        "\"column\":2}],\"path\":[\"a\"]},{\"message\":\"2 more errors are not "
                        "shown.\"}],\"data\":{\"a\":null,\"b\":null,\"c\":null}}");
}

static void documents_are_kept(void **state)
{
    (void)state;
    struct dz_gql_limits limits = ask_limits();
    struct dz_gql_errors errors DZ_AUTO(dz_gql_errors_done);
    struct dz_gql_doc *doc DZ_AUTO(dz_gql_doc_unref) = NULL;
    dz_gql_errors_init(&errors, 5);
    char text[] = "query Q($id: ID!) {person(id: $id) {name}} mutation M {fail}";
    assert_int_equal(dz_gql_prepare(schema, dz_str_of(text), &limits, &doc, &errors), DZ_OK);
    memset(text, 'x', sizeof(text) - 1);
    assert_true(dz_gql_doc_bytes(doc) > sizeof(text));
    enum dz_gql_operation kind;
    assert_int_equal(dz_gql_doc_operation(doc, DZ_S("M"), &kind, &errors), DZ_OK);
    assert_int_equal(kind, DZ_GQL_MUTATION);
    assert_int_equal(dz_gql_doc_operation(doc, DZ_S(""), &kind, &errors), DZ_BAD_INPUT);
    struct dz_gql_doc *again DZ_AUTO(dz_gql_doc_unref) = dz_gql_doc_ref(doc);
    static const char *const ids[] = {"1", "2", "1"};
    static const char *const want[] = {
        "{\"data\":{\"person\":{\"name\":\"Ada\"}}}",
        "{\"data\":{\"person\":{\"name\":\"B\xc3\xa9la \\\"x\\\"\\n\"}}}",
        "{\"data\":{\"person\":{\"name\":\"Ada\"}}}",
    };
    for (size_t i = 0; i < DZ_LEN(ids); i++) {
        struct dz_gql_member id = {DZ_S("id"), {.kind = DZ_GQL_STRING, .text = dz_str_of(ids[i])}};
        struct dz_gql_value given = {.kind = DZ_GQL_OBJECT, .n = 1, .members = &id};
        struct dz_gql_run run = {.operation = DZ_S("Q"), .variables = &given, .context = &world};
        struct dz_gql_exec *x DZ_AUTO(dz_gql_exec_end) = NULL;
        assert_int_equal(dz_gql_exec_begin(again, &run, &x, &errors), DZ_OK);
        assert_false(dz_gql_exec_step(x, 0, 0));
        struct dz_buf out DZ_AUTO(dz_buf_done);
        dz_buf_init(&out, 1000);
        dz_gql_exec_take(x, &out);
        assert_string_equal(dz_buf_cstr(&out), want[i]);
    }
}

static void values_from_json(void **state)
{
    (void)state;
    struct dz_arena *a DZ_AUTO(dz_arena_free) = dz_arena_new(10000);
    struct dz_gql_value v;
    struct dz_err err;
    must(dz_gql_value_from_json(a, NULL, &v, err));
    assert_int_equal(v.kind, DZ_GQL_ABSENT);
    assert_null(dz_gql_member(&v, "a"));
    assert_null(dz_gql_member(NULL, "a"));
    json_t *j = json_loads("{\"a\": [1, 2.5, true, null, \"x\"], \"b\": {}}", 0, NULL);
    must(dz_gql_value_from_json(a, j, &v, err));
    json_decref(j);
    const struct dz_gql_value *list = dz_gql_member(&v, "a");
    assert_non_null(list);
    assert_null(dz_gql_member(list, "a"));
    static const enum dz_gql_kind kinds[] = {DZ_GQL_INT, DZ_GQL_FLOAT, DZ_GQL_BOOL, DZ_GQL_NULL,
                                             DZ_GQL_STRING};
    assert_int_equal(list->n, DZ_LEN(kinds));
    for (size_t i = 0; i < DZ_LEN(kinds); i++)
        assert_int_equal(list->items[i].kind, kinds[i]);
    assert_true(dz_str_eq(list->items[4].text, DZ_S("x")));
    assert_int_equal(dz_gql_member(&v, "b")->kind, DZ_GQL_OBJECT);
    assert_null(dz_gql_member(&v, "c"));

    j = json_loads("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", 0, NULL);
    assert_int_equal(dz_gql_value_from_json(a, j, &v, &err), DZ_TOO_LARGE);
    assert_string_equal(err.text, "values deeper than 32");
    assert_int_equal(dz_gql_value_from_json(a, json_array_get(j, 0), &v, &err), DZ_OK);
    json_decref(j);
    char text[20000];
    memset(text, 'x', sizeof(text));
    j = json_stringn(text, sizeof(text));
    assert_int_equal(dz_gql_value_from_json(a, j, &v, &err), DZ_TOO_LARGE);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_and_fragments),
        cmocka_unit_test(skip_and_include),
        cmocka_unit_test(nulls_go_up),
        cmocka_unit_test(variables),
        cmocka_unit_test(variables_that_do_not_fit),
        cmocka_unit_test(leniency),
        cmocka_unit_test(mutations_and_subscriptions),
        cmocka_unit_test(roots_that_are_missing),
        cmocka_unit_test(styles),
        cmocka_unit_test(hooks),
        cmocka_unit_test(steps),
        cmocka_unit_test(answers_are_limited),
        cmocka_unit_test(documents_are_kept),
        cmocka_unit_test(values_from_json),
    };
    return cmocka_run_group_tests(tests, ask_setup, ask_teardown);
}
