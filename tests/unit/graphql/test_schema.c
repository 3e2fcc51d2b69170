/* schema: what the builder refuses and in which words; the schema as text; introspection. */
#include "test.h"

#include "ask.h"
#include "graphql/graphql_int.h"

static enum dz_code resolve(const struct dz_gql_call *call, struct dz_gql_out *ret,
                            struct dz_err *err)
{
    (void)call;
    (void)err;
    dz_gql_null(ret);
    return DZ_OK;
}

/* A builder with the least that is right. */
static struct dz_gql_builder *least(void)
{
    struct dz_gql_builder *b = dz_gql_builder_new();
    dz_gql_add_field(dz_gql_add_object(b, "Query", NULL), "a", "Int", resolve, NULL, NULL);
    return b;
}

static struct dz_gql_field *field(struct dz_gql_type *t, const char *name, const char *type)
{
    return dz_gql_add_field(t, name, type, resolve, NULL, NULL);
}

/* The builder is spent. want is NULL: the schema is good. */
static void finishes(struct dz_gql_builder *b, const char *want)
{
    struct dz_gql_schema *s DZ_AUTO(dz_gql_schema_unref) = NULL;
    struct dz_err err = {0};
    enum dz_code code = dz_gql_schema_finish(&b, &s, &err);
    assert_null(b);
    if (!want) {
        assert_string_equal(err.text, "");
        assert_int_equal(code, DZ_OK);
        return;
    }
    assert_int_equal(code, DZ_BAD_INPUT);
    assert_true(dz_str_starts(dz_str_of(err.text), DZ_S("GraphQL schema: ")));
    assert_string_equal(err.text + 16, want);
}

static void names(void **state)
{
    (void)state;
    finishes(least(), NULL);
    finishes(dz_gql_builder_new(), "the schema has no root type for queries");
    struct dz_gql_builder *b = least();
    dz_gql_add_object(b, "a-b", NULL);
    finishes(b, "\"a-b\" is not a name");
    b = least();
    dz_gql_add_object(b, "", NULL);
    finishes(b, "\"\" is not a name");
    b = least();
    dz_gql_add_enum(b, "1a", NULL);
    finishes(b, "\"1a\" is not a name");
    b = least();
    dz_gql_add_object(b, "__Type", NULL);
    finishes(b, "the name \"__Type\" begins with \"__\", which only the introspection may");
    b = least();
    dz_gql_add_scalar(b, "String", NULL, NULL, NULL);
    finishes(b, "there are two types named \"String\"");
    b = least();
    dz_gql_add_directive(b, "skip", DZ_GQL_ON_FIELD, false, NULL);
    finishes(b, "there are two directives named @skip");
    b = least();
    dz_gql_add_directive(b, "d", 0, false, NULL);
    finishes(b, "the directive @d has no place");
}

static void fields_and_types(void **state)
{
    (void)state;
    struct dz_gql_builder *b = least();
    dz_gql_add_object(b, "T", NULL);
    finishes(b, "the type \"T\" has no fields");
    b = least();
    struct dz_gql_type *t = dz_gql_add_object(b, "T", NULL);
    field(t, "a", "Int");
    field(t, "a", "Int");
    finishes(b, "T has two fields named \"a\"");
    b = least();
    field(dz_gql_add_object(b, "T", NULL), "a", "[Nobody!]");
    finishes(b, "T.a is of type \"Nobody\", which does not exist");
    b = least();
    field(dz_gql_add_object(b, "T", NULL), "a", "[Int");
    finishes(b, "the type of a, \"[Int\", cannot be read: Syntax Error: Expected \"]\", found "
                "<EOF>.");
    b = least();
    dz_gql_add_field(dz_gql_add_object(b, "T", NULL), "a", "Int", NULL, NULL, NULL);
    finishes(b, "nothing resolves T.a");
    b = least();
    dz_gql_add_input_field(dz_gql_add_input(b, "I", NULL), "a", "Int", NULL, NULL);
    field(dz_gql_add_object(b, "T", NULL), "a", "I");
    finishes(b, "T.a goes out, but \"I\" is an input type");
    b = least();
    t = dz_gql_add_object(b, "T", NULL);
    dz_gql_add_arg(field(t, "a", "Int"), "x", "T", NULL, NULL);
    finishes(b, "a.x goes in, but \"T\" is an output type");
    b = least();
    struct dz_gql_field *f = field(dz_gql_add_object(b, "T", NULL), "a", "Int");
    dz_gql_add_arg(f, "x", "Int", NULL, NULL);
    dz_gql_add_arg(f, "x", "Int", NULL, NULL);
    finishes(b, "a has two inputs named \"x\"");
    b = least();
    f = field(dz_gql_add_object(b, "T", NULL), "a", "Int");
    dz_gql_deprecate_input(dz_gql_add_arg(f, "x", "Int!", NULL, NULL), NULL);
    finishes(b, "a.x is required and cannot be deprecated");
    b = least();
    dz_gql_add_enum(b, "E", NULL);
    finishes(b, "the enum \"E\" has no values");
    b = least();
    dz_gql_add_choice(dz_gql_add_enum(b, "E", NULL), "true", 1, NULL);
    finishes(b, "a value of E cannot be named \"true\"");
    b = least();
    t = dz_gql_add_enum(b, "E", NULL);
    dz_gql_add_choice(t, "A", 1, NULL);
    dz_gql_add_choice(t, "A", 2, NULL);
    finishes(b, "E has two values named \"A\"");
    b = least();
    dz_gql_add_input(b, "I", NULL);
    finishes(b, "the input type \"I\" has no fields");
}

static void unions_and_roots(void **state)
{
    (void)state;
    struct dz_gql_builder *b = least();
    dz_gql_add_union(b, "U", NULL);
    finishes(b, "the union \"U\" has no members");
    b = least();
    dz_gql_add_union_member(dz_gql_add_union(b, "U", NULL), "Int");
    finishes(b, "U names \"Int\", which is no object type");
    b = least();
    struct dz_gql_type *t = dz_gql_add_union(b, "U", NULL);
    dz_gql_add_union_member(t, "Query");
    dz_gql_add_union_member(t, "Query");
    finishes(b, "U names \"Query\" twice");
    b = least();
    dz_gql_roots(b, "Other", NULL, NULL);
    finishes(b, "the root type \"Other\" does not exist");
    b = least();
    dz_gql_roots(b, "Int", NULL, NULL);
    finishes(b, "the root type \"Int\" is no object type");
    b = least();
    dz_gql_roots(b, "Query", "Query", NULL);
    finishes(b, "the type \"Query\" is the root of two operations");
    b = least();
    dz_gql_roots(b, NULL, NULL, NULL);
    finishes(b, "the schema has no root type for queries");
}

static struct dz_gql_type *node(struct dz_gql_builder *b, const char *arg_type)
{
    struct dz_gql_type *t = dz_gql_add_interface(b, "Node", NULL);
    dz_gql_add_arg(dz_gql_add_field(t, "id", "Node", NULL, NULL, NULL), "x", arg_type, NULL, NULL);
    return t;
}

static void interfaces(void **state)
{
    (void)state;
    struct dz_gql_builder *b = least();
    node(b, "Int");
    struct dz_gql_type *t = dz_gql_add_object(b, "T", NULL);
    dz_gql_implements(t, "Node");
    struct dz_gql_field *f = field(t, "id", "T!");
    dz_gql_add_arg(f, "x", "Int", NULL, NULL);
    dz_gql_add_arg(f, "y", "Int", NULL, NULL);
    finishes(b, NULL);

    b = least();
    node(b, "Int");
    t = dz_gql_add_object(b, "T", NULL);
    dz_gql_implements(t, "Node");
    field(t, "a", "Int");
    finishes(b, "T has no field \"id\", which its interface Node has");

    b = least();
    node(b, "Int");
    t = dz_gql_add_object(b, "T", NULL);
    dz_gql_implements(t, "Node");
    field(t, "id", "[T]");
    finishes(b, "the type of T.id does not fit its interface Node");

    b = least();
    node(b, "Int");
    t = dz_gql_add_object(b, "T", NULL);
    dz_gql_implements(t, "Node");
    dz_gql_add_arg(field(t, "id", "T"), "x", "Int!", NULL, NULL);
    finishes(b, "T.id has no argument \"x\" of the type in its interface Node");

    b = least();
    node(b, "Int");
    t = dz_gql_add_object(b, "T", NULL);
    dz_gql_implements(t, "Node");
    f = field(t, "id", "T");
    dz_gql_add_arg(f, "x", "Int", NULL, NULL);
    dz_gql_add_arg(f, "y", "Int!", NULL, NULL);
    finishes(b, "T.id requires \"y\", which its interface Node does not have");

    b = least();
    t = dz_gql_add_interface(b, "Base", NULL);
    dz_gql_add_field(t, "a", "Int", NULL, NULL, NULL);
    t = dz_gql_add_interface(b, "More", NULL);
    dz_gql_add_field(t, "a", "Int", NULL, NULL, NULL);
    dz_gql_implements(t, "Base");
    t = dz_gql_add_object(b, "T", NULL);
    field(t, "a", "Int");
    dz_gql_implements(t, "More");
    finishes(b, "T implements More and so has to implement Base");

    b = least();
    dz_gql_implements(node(b, "Int"), "Node");
    finishes(b, "Node names \"Node\", which is no other type");
    b = least();
    t = dz_gql_add_object(b, "T", NULL);
    field(t, "a", "Int");
    dz_gql_implements(t, "Query");
    finishes(b, "T names \"Query\", which is no interface");
}

static void defaults_and_cycles(void **state)
{
    (void)state;
    static const struct {
        const char *type, *value, *want;
    } rows[] = {
        {"Int", "1", NULL},
        {"[Int!]!", "2", NULL},
        {"I", "{a: 1}", NULL},
        {"Int", "\"1\"", "the default of f.x: Int cannot represent non-integer value: \"1\""},
        {"Int!", "null", "the default of f.x: Expected value of type \"Int!\", found null."},
        {"I", "{}",
         "the default of f.x: Field \"I.a\" of required type \"Int!\" was not "
         "provided."},
        {"I", "{b: 1}", "the default of f.x: Field \"b\" is not defined by type \"I\"."},
        {"I", "1", "the default of f.x: Expected \"I\" to be an object."},
        {"Int", "[", "the default of f.x: Syntax Error: Unexpected <EOF>."},
        {"Int", "1 2", "the default of f.x: Syntax Error: Expected <EOF>, found Int \"2\"."},
        {"Int", "$a",
         "the default of f.x: Syntax Error: Unexpected variable \"$a\" in constant value."},
    };
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        struct dz_gql_builder *b = least();
        struct dz_gql_type *t = dz_gql_add_input(b, "I", NULL);
        dz_gql_add_input_field(t, "a", "Int!", NULL, NULL);
        dz_gql_add_input_field(t, "me", "[I!]!", "[]", NULL);
        t = dz_gql_add_object(b, "T", NULL);
        dz_gql_add_arg(field(t, "f", "Int"), "x", rows[i].type, rows[i].value, NULL);
        finishes(b, rows[i].want);
    }
    struct dz_gql_builder *b = least();
    dz_gql_add_input_field(dz_gql_add_input(b, "A", NULL), "b", "B!", NULL, NULL);
    dz_gql_add_input_field(dz_gql_add_input(b, "B", NULL), "a", "A!", NULL, NULL);
    finishes(b, "the input type \"A\" needs itself through B.a");
}

static void prints(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 100000);
    dz_gql_schema_print(schema, &b);
    static const char *const parts[] = {
        "\"\"\"\nDoes nothing.\n\"\"\"\ndirective @tag(name: String!, n: Int = 0) repeatable on "
        "QUERY "
        "| FIELD | FRAGMENT_DEFINITION | FRAGMENT_SPREAD | INLINE_FRAGMENT\n\n"
        "directive @once on FIELD | VARIABLE_DEFINITION\n\n",
        "  \"\"\"\n  One of them.\n  \"\"\"\n  person(id: ID!): Person\n",
        "  friends(\n    \"\"\"\n    How many.\n    \"\"\"\n    first: Int = 10\n    after: ID\n  "
        "): "
        "[Person!]\n",
        "  oldName: String @deprecated(reason: \"Use `name`.\")\n",
        "\"\"\"\nIt has \"quotes\".\nAnd two lines.\n\"\"\"\ntype Cat implements Named & Node {\n",
        "union Thing = Person | Dog | Cat\n",
        "scalar Date @specifiedBy(url: \"https://www.rfc-editor.org/rfc/rfc3339\")\n",
        "enum Group {\n  \"\"\"\n  Shanghai\n  \"\"\"\n  SNH48\n  BEJ48\n  GNZ48\n",
        "  OLD @deprecated\n}\n",
        "interface Named implements Node {\n  id: ID!\n  name: String\n}\n",
        "  weight: Float! = 1.5\n  old: String @deprecated(reason: \"It is \\\"old\\\".\")\n}\n",
    };
    for (size_t i = 0; i < DZ_LEN(parts); i++)
        if (dz_str_find(dz_buf_str(&b), dz_str_of(parts[i])) == DZ_NPOS)
            fail_msg("%s\nis not in\n%s", parts[i], dz_buf_cstr(&b));
    assert_true(dz_str_find(dz_buf_str(&b), DZ_S("__")) == DZ_NPOS);
    assert_true(dz_str_find(dz_buf_str(&b), DZ_S("schema {")) == DZ_NPOS);
}

static void prints_odd_texts(void **state)
{
    (void)state;
    struct dz_gql_builder *b = dz_gql_builder_new();
    struct dz_gql_schema *s DZ_AUTO(dz_gql_schema_unref) = NULL;
    dz_gql_describe_schema(b, "All.");
    dz_gql_roots(b, "Root", NULL, NULL);
    struct dz_gql_type *t = dz_gql_add_object(b, "Root", "");
    dz_gql_add_field(t, "a", "Int", resolve, NULL, " blank");
    dz_gql_add_field(t, "b", "Int", resolve, NULL, "x \"\"\" y\n\n  z");
    dz_gql_add_field(t, "c", "Int", resolve, NULL, "back\\slash");
    must(dz_gql_schema_finish(&b, &s, err));
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, 10000);
    dz_gql_schema_print(s, &out);
    assert_string_equal(dz_buf_cstr(&out),
                        "\"\"\"\nAll.\n\"\"\"\nschema {\n  query: Root\n}\n\n\"\"\ntype Root {\n"
                        "  \" blank\"\n  a: Int\n  \"\"\"\n  x \\\"\"\" y\n\n    z\n  \"\"\"\n"
                        "  b: Int\n  \"back\\\\slash\"\n  c: Int\n}\n");
}

static void answers(const char *query, const char *want)
{
    assert_string_equal(ask(query, NULL), want);
}

static void introspection_of_types(void **state)
{
    (void)state;
    answers("{__type(name: \"Nobody\") {name}}", "{\"data\":{\"__type\":null}}");
    answers("{__type(name: \"__Meta\") {name}}", "{\"data\":{\"__type\":null}}");
    answers("{__type(name: \"Date\") {kind name description specifiedByURL fields {name} "
            "interfaces {name} possibleTypes {name} enumValues {name} inputFields {name} ofType "
            "{name}}}",
            "{\"data\":{\"__type\":{\"kind\":\"SCALAR\",\"name\":\"Date\",\"description\":\"A "
            "day.\",\"specifiedByURL\":\"https://www.rfc-editor.org/rfc/rfc3339\",\"fields\":null,"
            "\"interfaces\":null,\"possibleTypes\":null,\"enumValues\":null,\"inputFields\":null,"
            "\"ofType\":null}}}");
    answers("{__type(name: \"Named\") {kind fields {name} interfaces {name} possibleTypes {name}}}",
            "{\"data\":{\"__type\":{\"kind\":\"INTERFACE\",\"fields\":[{\"name\":\"id\"},{"
            "\"name\":\"name\"}],\"interfaces\":[{\"name\":\"Node\"}],\"possibleTypes\":[{"
            "\"name\":\"Person\"},{\"name\":\"Dog\"},{\"name\":\"Cat\"}]}}}");
    answers("{__type(name: \"Pet\") {kind possibleTypes {name} fields {name} interfaces {name}}}",
            "{\"data\":{\"__type\":{\"kind\":\"UNION\",\"possibleTypes\":[{\"name\":\"Dog\"},{"
            "\"name\":\"Cat\"}],\"fields\":null,\"interfaces\":null}}}");
    answers("{__type(name: \"Group\") {enumValues {name} all: enumValues(includeDeprecated: true) "
            "{name isDeprecated deprecationReason description}}}",
            "{\"data\":{\"__type\":{\"enumValues\":[{\"name\":\"SNH48\"},{\"name\":\"BEJ48\"},{"
            "\"name\":\"GNZ48\"}],\"all\":[{\"name\":\"SNH48\",\"isDeprecated\":false,"
            "\"deprecationReason\":null,\"description\":\"Shanghai\"},{\"name\":\"BEJ48\","
            "\"isDeprecated\":false,\"deprecationReason\":null,\"description\":null},{\"name\":"
            "\"GNZ48\",\"isDeprecated\":false,\"deprecationReason\":null,\"description\":null},{"
            "\"name\":\"OLD\",\"isDeprecated\":true,\"deprecationReason\":\"No longer "
            "supported\",\"description\":null}]}}}");
    answers("{__type(name: \"Filter\") {kind inputFields {name defaultValue type {kind name ofType "
            "{name}}}}}",
            "{\"data\":{\"__type\":{\"kind\":\"INPUT_OBJECT\",\"inputFields\":["
            "{\"name\":\"name\",\"defaultValue\":null,\"type\":{\"kind\":\"SCALAR\",\"name\":"
            "\"String\",\"ofType\":null}},{\"name\":\"groups\",\"defaultValue\":\"[SNH48]\","
            "\"type\":{\"kind\":\"LIST\",\"name\":null,\"ofType\":{\"name\":null}}},{\"name\":"
            "\"range\",\"defaultValue\":null,\"type\":{\"kind\":\"INPUT_OBJECT\",\"name\":"
            "\"Range\",\"ofType\":null}},{\"name\":\"ranges\",\"defaultValue\":null,\"type\":{"
            "\"kind\":\"LIST\",\"name\":null,\"ofType\":{\"name\":null}}},{\"name\":\"not\","
            "\"defaultValue\":null,\"type\":{\"kind\":\"INPUT_OBJECT\",\"name\":\"Filter\","
            "\"ofType\":null}},{\"name\":\"any\",\"defaultValue\":null,\"type\":{\"kind\":"
            "\"SCALAR\",\"name\":\"Any\",\"ofType\":null}},{\"name\":\"weight\",\"defaultValue\":"
            "\"1.5\",\"type\":{\"kind\":\"NON_NULL\",\"name\":null,\"ofType\":{\"name\":"
            "\"Float\"}}}]}}}");
    answers("{__type(name: \"Person\") {fields(includeDeprecated: true) {name isDeprecated}}}",
            "{\"data\":{\"__type\":{\"fields\":[{\"name\":\"id\",\"isDeprecated\":false},{"
            "\"name\":\"name\",\"isDeprecated\":false},{\"name\":\"age\",\"isDeprecated\":false},{"
            "\"name\":\"height\",\"isDeprecated\":false},{\"name\":\"group\",\"isDeprecated\":"
            "false},{\"name\":\"strict\",\"isDeprecated\":false},{\"name\":\"broken\","
            "\"isDeprecated\":false},{\"name\":\"brokenStrict\",\"isDeprecated\":false},{\"name\":"
            "\"best\",\"isDeprecated\":false},{\"name\":\"tags\",\"isDeprecated\":false},{"
            "\"name\":\"matrix\",\"isDeprecated\":false},{\"name\":\"since\",\"isDeprecated\":"
            "false},{\"name\":\"friends\",\"isDeprecated\":false},{\"name\":\"pet\","
            "\"isDeprecated\":false},{\"name\":\"oldName\",\"isDeprecated\":true}]}}}");
}

static void introspection_of_the_schema(void **state)
{
    (void)state;
    answers("{__schema {description queryType {name} mutationType {name} subscriptionType {name}}}",
            "{\"data\":{\"__schema\":{\"description\":null,\"queryType\":{\"name\":\"Query\"},"
            "\"mutationType\":{\"name\":\"Mutation\"},\"subscriptionType\":{\"name\":"
            "\"Subscription\"}}}}");
    answers("{__schema {directives {name isRepeatable locations onOperation onFragment onField}}}",
            "{\"data\":{\"__schema\":{\"directives\":["
            "{\"name\":\"include\",\"isRepeatable\":false,\"locations\":[\"FIELD\","
            "\"FRAGMENT_SPREAD\",\"INLINE_FRAGMENT\"],\"onOperation\":false,\"onFragment\":true,"
            "\"onField\":true},"
            "{\"name\":\"skip\",\"isRepeatable\":false,\"locations\":[\"FIELD\","
            "\"FRAGMENT_SPREAD\",\"INLINE_FRAGMENT\"],\"onOperation\":false,\"onFragment\":true,"
            "\"onField\":true},"
            "{\"name\":\"deprecated\",\"isRepeatable\":false,\"locations\":[\"FIELD_DEFINITION\","
            "\"ARGUMENT_DEFINITION\",\"ENUM_VALUE\",\"INPUT_FIELD_DEFINITION\"],\"onOperation\":"
            "false,\"onFragment\":false,\"onField\":false},"
            "{\"name\":\"specifiedBy\",\"isRepeatable\":false,\"locations\":[\"SCALAR\"],"
            "\"onOperation\":false,\"onFragment\":false,\"onField\":false},"
            "{\"name\":\"tag\",\"isRepeatable\":true,\"locations\":[\"QUERY\",\"FIELD\","
            "\"FRAGMENT_DEFINITION\",\"FRAGMENT_SPREAD\",\"INLINE_FRAGMENT\"],\"onOperation\":"
            "true,\"onFragment\":true,\"onField\":true},"
            "{\"name\":\"once\",\"isRepeatable\":false,\"locations\":[\"FIELD\","
            "\"VARIABLE_DEFINITION\"],\"onOperation\":false,\"onFragment\":false,\"onField\":true}"
            "]}}}");
    answers("{__schema {types {name}} __typename}",
            "{\"data\":{\"__schema\":{\"types\":[{\"name\":\"String\"},{\"name\":\"Int\"},{"
            "\"name\":\"Float\"},{\"name\":\"Boolean\"},{\"name\":\"ID\"},{\"name\":\"Query\"},{"
            "\"name\":\"Mutation\"},{\"name\":\"Subscription\"},{\"name\":\"Person\"},{\"name\":"
            "\"Dog\"},{\"name\":\"Cat\"},{\"name\":\"Pet\"},{\"name\":\"Thing\"},{\"name\":"
            "\"Date\"},{\"name\":\"Any\"},{\"name\":\"Group\"},{\"name\":\"Node\"},{\"name\":"
            "\"Named\"},{\"name\":\"Range\"},{\"name\":\"Filter\"},{\"name\":\"__Schema\"},{"
            "\"name\":\"__Type\"},{\"name\":\"__Field\"},{\"name\":\"__InputValue\"},{\"name\":"
            "\"__EnumValue\"},{\"name\":\"__Directive\"},{\"name\":\"__TypeKind\"},{\"name\":"
            "\"__DirectiveLocation\"}]},\"__typename\":\"Query\"}}");
}

static void old_fields_are_an_option(void **state)
{
    (void)state;
    struct dz_gql_builder *b = least();
    struct dz_gql_schema *s DZ_AUTO(dz_gql_schema_unref) = NULL;
    must(dz_gql_schema_finish(&b, &s, err));
    const struct dz_gql_type *t = dz_gql_schema_type(s, "__Directive");
    assert_null(dz_map_get(&t->names, DZ_S("onField")));
    t = dz_gql_schema_type(schema, "__Directive");
    assert_non_null(dz_map_get(&t->names, DZ_S("onField")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(fields_and_types),
        cmocka_unit_test(unions_and_roots),
        cmocka_unit_test(interfaces),
        cmocka_unit_test(defaults_and_cycles),
        cmocka_unit_test(prints),
        cmocka_unit_test(prints_odd_texts),
        cmocka_unit_test(introspection_of_types),
        cmocka_unit_test(introspection_of_the_schema),
        cmocka_unit_test(old_fields_are_an_option),
    };
    return cmocka_run_group_tests(tests, ask_setup, ask_teardown);
}
