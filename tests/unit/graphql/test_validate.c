/* validate: every rule of section 5, with documents that keep it and documents that break it. */
#include "test.h"

#include "ask.h"
#include "graphql/graphql_int.h"
#include "hostile.h"

static const char *problems_of(dz_str text, struct dz_gql_limits limits)
{
    struct dz_gql_errors errors DZ_AUTO(dz_gql_errors_done);
    struct dz_gql_doc *doc DZ_AUTO(dz_gql_doc_unref) = NULL;
    dz_gql_errors_init(&errors, 20);
    dz_buf_done(&answer);
    dz_buf_init(&answer, 100000);
    enum dz_code code = dz_gql_prepare(schema, text, &limits, &doc, &errors);
    assert_int_equal(code == DZ_OK, errors.count == 0);
    assert_int_equal(code == DZ_OK, doc != NULL);
    for (const struct dz_gql_error *e = errors.first; e; e = e->next) {
        dz_buf_putf(&answer, "%.*s", DZ_STR_FMT(e->message));
        for (uint32_t i = 0; i < e->locs_n; i++)
            dz_buf_putf(&answer, " %u:%u", e->locs[i].line, e->locs[i].column);
        dz_buf_putc(&answer, '\n');
    }
    return dz_buf_cstr(&answer);
}

static void good(const char *text)
{
    const char *got = problems_of(dz_str_of(text), ask_limits());
    if (*got)
        fail_msg("%s\nis refused: %s", text, got);
}

/* want: the messages with their places, a line each. */
static void bad(const char *text, const char *want)
{
    const char *got = problems_of(dz_str_of(text), ask_limits());
    char *line = dz_strdup(got);
    if (*line)
        line[strlen(line) - 1] = '\0';
    if (strcmp(line, want) != 0)
        fail_msg("%s\nsaid: %s\nnot:  %s", text, line, want);
    free(line);
}

static void operation_names(void **state)
{
    (void)state;
    good("query a {version} query b {version} mutation c {fail}");
    bad("query a {version} query a {version}", "There can be only one operation named \"a\". 1:25");
    bad("query a {version} mutation a {fail}", "There can be only one operation named \"a\". 1:28");
}

static void lone_anonymous(void **state)
{
    (void)state;
    good("{version}");
    good("{...F} fragment F on Query {version}");
    bad("{version} query a {version}",
        "This anonymous operation must be the only defined operation. 1:1");
    bad("{version} {version}", "This anonymous operation must be the only defined operation. 1:1\n"
                               "This anonymous operation must be the only defined operation. 1:11");
}

static void single_root_field(void **state)
{
    (void)state;
    good("subscription a {tick}");
    good("subscription {tick ...F} fragment F on Subscription {tick}");
    bad("subscription a {tick tock}",
        "Subscription \"a\" must select only one top level field. 1:22");
    bad("subscription {tick ... {tock}}",
        "Anonymous Subscription must select only one top level field. 1:25");
    bad("subscription {tick ...F} fragment F on Subscription {tick a: tick}",
        "Anonymous Subscription must select only one top level field. 1:59");
    bad("subscription {__typename}",
        "Anonymous Subscription must not select an introspection top level field. 1:15");
}

static void fields_exist(void **state)
{
    (void)state;
    good("{person(id: 1) {__typename ... on Person {name} ...N} __typename} "
         "fragment N on Named {name id}");
    good("{__schema {types {name}} __type(name: \"x\") {name}}");
    good("{things {__typename}}");
    bad("{persn}", "Cannot query field \"persn\" on type \"Query\". Did you mean \"person\"? 1:2");
    bad("{person(id: 1) {pet {name}}}", "Cannot query field \"name\" on type \"Pet\". 1:22");
    bad("{node(id: 1) {name}}", "Cannot query field \"name\" on type \"Node\". 1:15");
    bad("{maybe {a: xyz}}", "Cannot query field \"xyz\" on type \"Query\". 1:9");
    bad("{person(id: 1) {__schema {types {name}}}}",
        "Cannot query field \"__schema\" on type \"Person\". 1:17");
    bad("{unknown {deeper {still}}}", "Cannot query field \"unknown\" on type \"Query\". 1:2");
    bad("{__Meta}", "Cannot query field \"__Meta\" on type \"Query\". 1:2");
}

static void leaf_selections(void **state)
{
    (void)state;
    bad("{version {a}}",
        "Field \"version\" must not have a selection since type \"String!\" has no subfields. "
        "1:11");
    bad("{person(id: 1)}", "Field \"person\" of type \"Person\" must have a selection of "
                           "subfields. Did you mean \"person { ... }\"? 1:2");
    bad("{person(id: 1) {group {x}}}",
        "Field \"group\" must not have a selection since type \"Group!\" has no subfields. 1:24");
    bad("{things}", "Field \"things\" of type \"[Thing!]\" must have a selection of subfields. Did "
                    "you mean \"things { ... }\"? 1:2");
}

static void arguments(void **state)
{
    (void)state;
    good("{required(a: 1, b: [\"x\"])}");
    good("{required(b: \"x\", a: 1)}");
    good("{people {name @include(if: true)}}");
    bad("{person(id: 1, nam: 2) {id}}", "Unknown argument \"nam\" on field \"Query.person\". 1:16");
    bad("{version @skip(if: true, unless: 1)}",
        "Unknown argument \"unless\" on directive \"@skip\". 1:26");
    bad("{person(id: 1, id: 1) {id}}", "There can be only one argument named \"id\". 1:16");
    bad("{version @tag(name: \"a\", name: \"b\")}",
        "There can be only one argument named \"name\". 1:26");
    bad("{required(a: 1)}", "Field \"required\" argument \"b\" of type \"[String!]!\" is required, "
                            "but it was not provided. 1:2");
    bad("{version @include}", "Directive \"@include\" argument \"if\" of type \"Boolean!\" is "
                              "required, but it was not provided. 1:10");
    bad("{version(a: 1)}", "Unknown argument \"a\" on field \"Query.version\". 1:10");
    bad("{__typename(a: 1)}", "Unknown argument \"a\" on field \"Query.__typename\". 1:13");
    bad("{nowhere(a: 1, a: 2)}", "Cannot query field \"nowhere\" on type \"Query\". 1:2\n"
                                 "There can be only one argument named \"a\". 1:16");
}

static void fragment_names(void **state)
{
    (void)state;
    bad("{...F} fragment F on Query {version} fragment F on Query {version}",
        "There can be only one fragment named \"F\". 1:47\n"
        "Fragment \"F\" is never used. 1:38");
    bad("{...G}", "Unknown fragment \"G\". 1:2");
    bad("{version} fragment F on Query {version}", "Fragment \"F\" is never used. 1:11");
    bad("{...F} fragment F on Query {version} fragment G on Query {...H} "
        "fragment H on Query {version}",
        "Fragment \"G\" is never used. 1:38\nFragment \"H\" is never used. 1:65");
}

static void fragment_types(void **state)
{
    (void)state;
    good("{node(id: 1) {... on Person {name} ... on Named {name} ... {id}}}");
    bad("{... on Nobody {a}}", "Unknown type \"Nobody\". 1:9");
    bad("{...F} fragment F on Nobody {a}", "Unknown type \"Nobody\". 1:22");
    bad("{... on Int {a}}", "Fragment cannot condition on non composite type \"Int\". 1:9");
    bad("{... on Filter {a}}", "Fragment cannot condition on non composite type \"Filter\". 1:9");
    bad("{...F} fragment F on Group {a}",
        "Fragment \"F\" cannot condition on non composite type \"Group\". 1:22");
    bad("{... on __Meta {__typename}}", "Unknown type \"__Meta\". 1:9");
}

static void spreads_are_possible(void **state)
{
    (void)state;
    good("{things {... on Dog {name} ... on Pet {__typename} ... on Named {name}}}");
    good("{named {... on Cat {name} ... on Node {id} ...P}} fragment P on Pet {__typename}");
    bad("{person(id: 1) {... on Dog {name}}}",
        "Fragment cannot be spread here as objects of type \"Person\" can never be of type "
        "\"Dog\". 1:17");
    bad("{person(id: 1) {...P}} fragment P on Pet {__typename}",
        "Fragment \"P\" cannot be spread here as objects of type \"Person\" can never be of type "
        "\"Pet\". 1:17");
    bad("{things {... on Query {version}}}",
        "Fragment cannot be spread here as objects of type \"Thing\" can never be of type "
        "\"Query\". 1:10");
    bad("{... on Person {... on Cat {name}}}",
        "Fragment cannot be spread here as objects of type \"Query\" can never be of type "
        "\"Person\". 1:2\nFragment cannot be spread here as objects of type \"Person\" can never "
        "be "
        "of type \"Cat\". 1:17");
}

static void fragments_form_no_cycles(void **state)
{
    (void)state;
    good("{...A ...B} fragment A on Query {...B} fragment B on Query {version}");
    bad("{...A} fragment A on Query {...A}", "Cannot spread fragment \"A\" within itself. 1:29");
    bad("{...A} fragment A on Query {self {...B}} fragment B on Query {... {...C}} "
        "fragment C on Query {maybe {...A} version}",
        "Cannot spread fragment \"A\" within itself via \"C\", \"B\". 1:103");
    bad("{...A} fragment A on Query {...B} fragment B on Query {...B ...A}",
        "Cannot spread fragment \"B\" within itself. 1:56\n"
        "Cannot spread fragment \"A\" within itself via \"B\". 1:61");
}

static void values(void **state)
{
    (void)state;
    good("{echo(int: -2147483648, float: 1, string: \"x\", boolean: true, id: 5, group: BEJ48, "
         "ints: [1, null], any: {a: [1, {b: X}]}, date: \"2019-04-29\")}");
    good("{echo(int: null, float: 1.5e3, id: \"x\", ints: 1, filter: null, strict: 2)}");
    bad("{echo(int: \"1\")}", "Int cannot represent non-integer value: \"1\" 1:12");
    bad("{echo(int: 1.0)}", "Int cannot represent non-integer value: 1 1:12");
    bad("{echo(int: 2147483648)}",
        "Int cannot represent non 32-bit signed integer value: 2147483648 1:12");
    bad("{echo(int: 99999999999999999999999)}",
        "Int cannot represent non 32-bit signed integer value: 99999999999999999999999 1:12");
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 2000);
    dz_buf_put(&b, DZ_S("{echo(int: -"));
    for (int i = 0; i < 1200; i++)
        dz_buf_putc(&b, '7');
    dz_buf_put(&b, DZ_S(")}"));
    bad(dz_buf_cstr(&b), "Int cannot represent non 32-bit signed integer value: "
                         "-77777777777777777777777777777777777777777777777777777777777... 1:12");
    bad("{echo(int: A)}", "Int cannot represent non-integer value: A 1:12");
    bad("{echo(int: [1])}", "Expected value of type \"Int\", found [1]. 1:12");
    bad("{echo(float: \"1\")}", "Float cannot represent non numeric value: \"1\" 1:14");
    bad("{echo(float: 1e999)}", "Float cannot represent non numeric value: Infinity 1:14");
    bad("{echo(string: 1)}", "String cannot represent a non string value: 1 1:15");
    bad("{echo(string: abc)}", "String cannot represent a non string value: abc 1:15");
    bad("{echo(boolean: 1)}", "Boolean cannot represent a non boolean value: 1 1:16");
    bad("{echo(id: 1.5)}", "ID cannot represent a non-string and non-integer value: 1.5 1:11");
    bad("{echo(id: true)}", "ID cannot represent a non-string and non-integer value: true 1:11");
    bad("{echo(group: \"SNH48\")}",
        "Enum \"Group\" cannot represent non-enum value: \"SNH48\". Did "
        "you mean the enum value \"SNH48\"? 1:14");
    bad("{echo(group: FOO)}", "Value \"FOO\" does not exist in \"Group\" enum. 1:14");
    bad("{echo(group: 1)}", "Enum \"Group\" cannot represent non-enum value: 1. 1:14");
    bad("{echo(ints: [1, \"x\"])}", "Int cannot represent non-integer value: \"x\" 1:17");
    bad("{echo(strict: null)}", "Expected value of type \"[Int!]!\", found null. 1:15");
    bad("{echo(strict: [null])}", "Expected value of type \"Int!\", found null. 1:16");
    bad("{echo(date: \"x\")}",
        "Expected value of type \"Date\", found \"x\"; a date has ten characters 1:13");
    bad("query ($a: Int = \"x\") {echo(int: $a)}",
        "Int cannot represent non-integer value: \"x\" 1:18");
    bad("query ($a: Int! = null) {echo(int: $a)}",
        "Expected value of type \"Int!\", found null. 1:19");
}

static void input_objects(void **state)
{
    (void)state;
    good("{echo(filter: {name: \"x\", range: {from: 1}, not: {not: {weight: 2}}, old: null})}");
    bad("{echo(filter: 1)}", "Expected value of type \"Filter\", found 1. 1:15");
    bad("{echo(filter: {nam: 1})}", "Field \"nam\" is not defined by type \"Filter\". 1:16");
    bad("{echo(filter: {name: \"a\", name: \"b\"})}",
        "There can be only one input field named \"name\". 1:27");
    bad("{echo(any: {a: {b: 1, b: 2}})}", "There can be only one input field named \"b\". 1:23");
    bad("{echo(filter: {range: {to: 1}})}",
        "Field \"Range.from\" of required type \"Int!\" was not provided. 1:23");
    bad("{echo(filter: {range: {from: null}})}",
        "Expected value of type \"Int!\", found null. 1:30");
    bad("{echo(filter: {weight: null})}", "Expected value of type \"Float!\", found null. 1:24");
    bad("{echo(filter: {groups: [SNH48, X]})}",
        "Value \"X\" does not exist in \"Group\" enum. 1:32");
}

static void many_names_are_unique(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 100000);
    dz_buf_put(&b, DZ_S("{echo(any: {"));
    for (int i = 0; i < 1000; i++)
        dz_buf_putf(&b, "a%d: %d ", i, i);
    size_t n = b.n;
    dz_buf_put(&b, DZ_S("})}"));
    good(dz_buf_cstr(&b));
    b.n = n;
    dz_buf_put(&b, DZ_S("a500: 1})}"));
    char want[100];
    snprintf(want, sizeof(want), "There can be only one input field named \"a500\". 1:%zu", n + 1);
    bad(dz_buf_cstr(&b), want);
}

static void directives(void **state)
{
    (void)state;
    good("query @tag(name: \"q\") {version @skip(if: false) @include(if: true) "
         "@tag(name: \"a\") @tag(name: \"b\") ...F @tag(name: \"c\") ... @include(if: true) {big}} "
         "fragment F on Query @tag(name: \"d\") {big}");
    good("query ($a: Int @once) {echo(int: $a)}");
    bad("{version @nothing(a: 1)}", "Unknown directive \"@nothing\". 1:10");
    bad("query @skip(if: true) {version}", "Directive \"@skip\" may not be used on QUERY. 1:7");
    bad("mutation @tag(name: \"x\") {fail}",
        "Directive \"@tag\" may not be used on MUTATION. 1:10");
    bad("subscription @once {tick}", "Directive \"@once\" may not be used on SUBSCRIPTION. 1:14");
    bad("{...F @once} fragment F on Query @once {version}",
        "Directive \"@once\" may not be used on FRAGMENT_SPREAD. 1:7\n"
        "Directive \"@once\" may not be used on FRAGMENT_DEFINITION. 1:34");
    bad("{... @once {version}}", "Directive \"@once\" may not be used on INLINE_FRAGMENT. 1:6");
    bad("query ($a: Int @skip(if: true)) {echo(int: $a)}",
        "Directive \"@skip\" may not be used on VARIABLE_DEFINITION. 1:16");
    bad("{version @deprecated}", "Directive \"@deprecated\" may not be used on FIELD. 1:10");
    bad("{version @once @once}",
        "The directive \"@once\" can only be used once at this location. 1:16");
    bad("{version @skip(if: true) @skip(if: true)}",
        "The directive \"@skip\" can only be used once at this location. 1:26");
}

static void variable_definitions(void **state)
{
    (void)state;
    good("query ($a: Int, $b: [Filter!]!, $c: Any) {echo(int: $a, any: [$b, $c])}");
    bad("query ($a: Int, $a: Int) {echo(int: $a)}",
        "There can be only one variable named \"$a\". 1:17\n"
        "Variable \"$a\" is never used. 1:8");
    bad("query ($a: Person) {echo(any: $a)}",
        "Variable \"$a\" cannot be non-input type \"Person\". 1:12");
    bad("query ($a: [Pet!]!) {echo(any: $a)}",
        "Variable \"$a\" cannot be non-input type \"[Pet!]!\". 1:12");
    bad("query ($a: Nobody) {echo(any: $a)}", "Unknown type \"Nobody\". 1:12");
    bad("query ($a: [Nobody]) {echo(any: $a)}", "Unknown type \"Nobody\". 1:13");
}

static void variables_are_defined_and_used(void **state)
{
    (void)state;
    good("query a($x: Int) {...F} query b($x: Int) {...F} fragment F on Query {...G} "
         "fragment G on Query {echo(int: $x)}");
    good("query ($x: Boolean!, $y: Int) {version @skip(if: $x) echo(ints: [$y])}");
    good("query ($x: Int) {echo(filter: {any: {deep: [$x]}})}");
    bad("{echo(int: $x)}", "Variable \"$x\" is not defined. 1:12");
    bad("query a {echo(int: $x)}", "Variable \"$x\" is not defined by operation \"a\". 1:20");
    bad("query a($x: Int) {...F} query b {...F} fragment F on Query {echo(int: $x)}",
        "Variable \"$x\" is not defined by operation \"b\". 1:71");
    bad("query ($x: Int) {version}", "Variable \"$x\" is never used. 1:8");
    bad("query a($x: Int) {...F} fragment F on Query {version}",
        "Variable \"$x\" is never used in operation \"a\". 1:9");
    bad("{nowhere(a: {b: [$x]})}", "Cannot query field \"nowhere\" on type \"Query\". 1:2\n"
                                   "Variable \"$x\" is not defined. 1:18");
    bad("{version @nothing(a: $x)}", "Unknown directive \"@nothing\". 1:10\n"
                                     "Variable \"$x\" is not defined. 1:22");
    bad("{echo(int: [$x])}", "Expected value of type \"Int\", found [$x]. 1:12\n"
                             "Variable \"$x\" is not defined. 1:13");
}

static void variable_positions(void **state)
{
    (void)state;
    good("query ($a: Int!, $b: [Int!]!, $c: [Int!]) {echo(int: $a, strict: $b, ints: $c)}");
    good("query ($a: [Int!]) {echo(strict: $a)}");
    good("query ($a: Int = 1, $b: [String!] = []) {required(a: $a, b: $b)}");
    good("query ($a: Float) {echo(filter: {weight: $a})}");
    good("query ($a: [String!]) {persons(ids: $a) {id}}");
    bad("query ($a: Int) {required(a: $a, b: [])}",
        "Variable \"$a\" of type \"Int\" used in position expecting type \"Int!\". 1:8 1:30");
    bad("query ($a: Int = null) {required(a: $a, b: [])}",
        "Variable \"$a\" of type \"Int\" used in position expecting type \"Int!\". 1:8 1:37");
    bad("query ($a: String) {echo(int: $a)}",
        "Variable \"$a\" of type \"String\" used in position expecting type \"Int\". 1:8 1:31");
    bad("query ($a: Int) {echo(float: $a)}",
        "Variable \"$a\" of type \"Int\" used in position expecting type \"Float\". 1:8 1:30");
    bad("query ($a: Int) {echo(ints: $a)}",
        "Variable \"$a\" of type \"Int\" used in position expecting type \"[Int]\". 1:8 1:29");
    bad("query ($a: [Int]) {echo(strict: $a)}",
        "Variable \"$a\" of type \"[Int]\" used in position expecting type \"[Int!]!\". 1:8 1:33");
    bad("query ($a: Int) {echo(strict: [$a])}",
        "Variable \"$a\" of type \"Int\" used in position expecting type \"Int!\". 1:8 1:32");
    bad("query ($a: Int) {echo(filter: {range: {from: $a}})}",
        "Variable \"$a\" of type \"Int\" used in position expecting type \"Int!\". 1:8 1:46");
    bad("query ($a: Boolean) {version @skip(if: $a)}",
        "Variable \"$a\" of type \"Boolean\" used in position expecting type \"Boolean!\". 1:8 "
        "1:40");
}

#define ADVICE " Use different aliases on the fields to fetch both if this was intentional. "

static void fields_can_merge(void **state)
{
    (void)state;
    good("{version version a: version a: version}");
    good("{person(id: 1) {name} person(id: 1) {age name}}");
    good("{echo(int: 1, any: {a: 1, b: [2]}) echo(any: {b: [2], a: 1}, int: 1)}");
    good("query ($a: Int) {echo(int: $a) echo(int: $a)}");
    good("{things {... on Dog {x: name} ... on Cat {x: name}}}");
    good("{person(id: 1) {...A ...B}} fragment A on Person {best {name}} "
         "fragment B on Person {best {age}}");
}

static void fields_that_conflict(void **state)
{
    (void)state;
    bad("{a: version a: fails}",
        "Fields \"a\" conflict because \"version\" and \"fails\" are different fields." ADVICE
        "1:2 1:13");
    bad("{echo(int: 1) echo(int: 2)}",
        "Fields \"echo\" conflict because they have differing arguments." ADVICE "1:2 1:15");
    bad("{echo(int: 1) echo}",
        "Fields \"echo\" conflict because they have differing arguments." ADVICE "1:2 1:15");
    bad("{echo(ints: [1]) echo(ints: [1, 2])}",
        "Fields \"echo\" conflict because they have differing arguments." ADVICE "1:2 1:18");
    bad("query ($a: Int, $b: Int) {echo(int: $a) echo(int: $b)}",
        "Fields \"echo\" conflict because they have differing arguments." ADVICE "1:27 1:41");
    bad("{person(id: 1) {best {x: name}} person(id: 1) {best {x: oldName}}}",
        "Fields \"person\" conflict because subfields \"best\" conflict because subfields \"x\" "
        "conflict because \"name\" and \"oldName\" are different fields." ADVICE "1:23 1:54");
    bad("{person(id: 1) {...A ...B}} fragment A on Person {x: name} fragment B on Person {x: id}",
        "Fields \"person\" conflict because subfields \"x\" conflict because \"name\" and \"id\" "
        "are different fields." ADVICE "1:51 1:82");
    bad("{things {... on Dog {x: barks} ... on Cat {x: meows}}}",
        "Fields \"things\" conflict because subfields \"x\" conflict because they return "
        "conflicting types \"Boolean!\" and \"Int\"." ADVICE "1:22 1:44");
    bad("{things {... on Dog {x: owner {id}} ... on Cat {x: owner {id}}}}",
        "Fields \"things\" conflict because subfields \"x\" conflict because they return "
        "conflicting types \"Person\" and \"Person!\"." ADVICE "1:22 1:49");
    bad("{things {... on Person {x: best {y: name}} ... on Dog {x: owner {y: age}}}}",
        "Fields \"things\" conflict because subfields \"x\" conflict because subfields \"y\" "
        "conflict because they return conflicting types \"String\" and \"Int\"." ADVICE
        "1:34 1:66");
    /* The interface's field meets that of every object. */
    bad("{named {x: name ... on Dog {x: name} ... on Cat {x: id}}}",
        "Fields \"named\" conflict because subfields \"x\" conflict because \"name\" and \"id\" "
        "are "
        "different fields." ADVICE "1:9 1:50");
    good("{things {... on Person {x: best {y: name}} ... on Dog {x: owner {y: oldName}}}}");
    bad("{things {... on Person {x: best {y: name}} ... on Dog {x: owner {y: oldName}} "
        "... on Dog {x: owner {y: name}}}}",
        "Fields \"things\" conflict because subfields \"x\" conflict because subfields \"y\" "
        "conflict because \"oldName\" and \"name\" are different fields." ADVICE "1:66 1:101");
    bad("{named {... on Dog {x: owner {y: name}} ...N}} "
        "fragment N on Named {... on Person {x: best {y: name}} ... on Named {... on Dog {x: owner "
        "{y: oldName}}}}",
        "Fields \"named\" conflict because subfields \"x\" conflict because subfields \"y\" "
        "conflict because \"name\" and \"oldName\" are different fields." ADVICE "1:31 1:139");
}

static bool says(const char *got, const char *part)
{
    return dz_str_find(dz_str_of(got), dz_str_of(part)) != DZ_NPOS;
}

static void introspection_off(void **state)
{
    (void)state;
    struct dz_gql_limits l = ask_limits();
    l.no_introspection = true;
    assert_string_equal(problems_of(DZ_S("{__typename self {__typename}}"), l), "");
    assert_non_null(strstr(problems_of(DZ_S("{__schema {queryType {name}}}"), l),
                           "Field \"__schema\" is not allowed: the introspection is off."));
    assert_non_null(
        strstr(problems_of(DZ_S("{...F} fragment F on Query {__type(name: \"X\") {name}}"), l),
               "Field \"__type\" is not allowed"));
    assert_null(strstr(problems_of(DZ_S("{versio}"), l), "Did you mean"));
}

static void limits_hold(void **state)
{
    (void)state;
    struct dz_gql_limits l = ask_limits();
    l.bytes_max = 8;
    assert_string_equal(problems_of(DZ_S("{version }"), l),
                        "The document is longer than 8 bytes.\n");
    l = ask_limits();
    l.fields_max = 3;
    assert_string_equal(problems_of(DZ_S("{a:version b:big ...{c:big}}"), l),
                        "The operation selects more fields than 3. 1:1\n");
    assert_string_equal(problems_of(DZ_S("{...{a:version b:big}}"), l), "");
    l = ask_limits();
    l.depth_max = 4;
    assert_string_equal(problems_of(DZ_S("{...F} fragment F on Query {self{self{version}}}"), l),
                        "");
    assert_string_equal(
        problems_of(DZ_S("{...F} fragment F on Query {self{self{self{version}}}}"), l),
        "The operation selects deeper than 4. 1:1\n");
    const char *deep = "{__schema{types{fields{type{fields{type{fields{type{fields{name}}}}}}}}}}";
    assert_string_equal(problems_of(dz_str_of(deep), ask_limits()),
                        "The operation nests lists of the introspection deeper than 3. 1:1\n");
    l = ask_limits();
    l.errors_max = 2;
    assert_string_equal(problems_of(DZ_S("{a b c d e}"), l),
                        "Cannot query field \"a\" on type \"Query\". 1:2\n"
                        "Cannot query field \"b\" on type \"Query\". 1:4\n");
}

/* Fragments that double twenty times over; a hundred fragments that spread each other; thousands of
 * conflicting, unknown or unused things: each is refused, and none takes long. */
static void hostile_documents(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 1000000);
    dz_buf_put(&b, DZ_S("{...F0}"));
    for (int i = 0; i < 30; i++)
        dz_buf_putf(&b, " fragment F%d on Query {a: self {...F%d} b: self {...F%d}}", i, i + 1,
                    i + 1);
    dz_buf_put(&b, DZ_S(" fragment F30 on Query {version}"));
    struct dz_gql_limits l = ask_limits();
    l.depth_max = 200;
    assert_true(says(problems_of(dz_buf_str(&b), l), "selects more fields than"));

    dz_buf_clear(&b);
    dz_buf_put(&b, DZ_S("{...F0}"));
    for (int i = 0; i < 1500; i++)
        dz_buf_putf(&b, " fragment F%d on Query {...F%d}", i, (i + 1) % 1500);
    l.tokens_max = 100000;
    assert_true(says(problems_of(dz_buf_str(&b), l), "within itself"));

    dz_buf_clear(&b);
    dz_buf_put(&b, DZ_S("{...F0}"));
    for (int i = 0; i < 1000; i++)
        dz_buf_putf(&b, " fragment F%d on Query {...F%d}", i, i + 1);
    dz_buf_put(&b, DZ_S(" fragment F1000 on Query {version}"));
    assert_true(says(problems_of(dz_buf_str(&b), l), "selects deeper than"));

    /* Many operations over one fragment with many variables: more work than is done. */
    dz_buf_clear(&b);
    for (int i = 0; i < 500; i++)
        dz_buf_putf(&b, "query q%d($x: Int) {...F} ", i);
    dz_buf_put(&b, DZ_S("fragment F on Query {"));
    for (int i = 0; i < 1000; i++)
        dz_buf_put(&b, DZ_S("echo(int: $x) "));
    dz_buf_putc(&b, '}');
    assert_true(says(problems_of(dz_buf_str(&b), l), "too complex to be checked"));

    /* Two long texts that are compared again and again. */
    l.bytes_max = 1000000;
    dz_buf_clear(&b);
    dz_buf_putc(&b, '{');
    for (int i = 0; i < 300; i++)
        dz_buf_putf(&b, "a%d:self{...F ...G}", i);
    for (int i = 0; i < 2; i++) {
        dz_buf_putf(&b, "}fragment %c on Query{echo(string:\"", "FG"[i]);
        for (int j = 0; j < 100000; j++)
            dz_buf_putc(&b, 'x');
        dz_buf_put(&b, DZ_S("\")"));
    }
    dz_buf_putc(&b, '}');
    assert_string_equal(problems_of(dz_buf_str(&b), l),
                        "The document is too complex to be checked.\n");

    dz_buf_clear(&b);
    dz_buf_putc(&b, '{');
    for (int i = 0; i < 4000; i++)
        dz_buf_put(&b, DZ_S("version "));
    dz_buf_putc(&b, '}');
    assert_string_equal(problems_of(dz_buf_str(&b), l), "");
}

/* What bench/graphql_refuse.c measures. */
static void hostile_texts(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_MIB);
    for (size_t i = 0; i < DZ_LEN(hostile); i++) {
        hostile_put(&hostile[i], &b);
        assert_true(b.n <= HOSTILE_BYTES);
        const char *got = problems_of(dz_buf_str(&b), ask_limits());
        if (getenv("SHOW"))
            fprintf(stderr, "%s: %.100s\n", hostile[i].name, got);
        if (!*got)
            fail_msg("%s is not refused", hostile[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operation_names),
        cmocka_unit_test(lone_anonymous),
        cmocka_unit_test(single_root_field),
        cmocka_unit_test(fields_exist),
        cmocka_unit_test(leaf_selections),
        cmocka_unit_test(arguments),
        cmocka_unit_test(fragment_names),
        cmocka_unit_test(fragment_types),
        cmocka_unit_test(spreads_are_possible),
        cmocka_unit_test(fragments_form_no_cycles),
        cmocka_unit_test(values),
        cmocka_unit_test(input_objects),
        cmocka_unit_test(many_names_are_unique),
        cmocka_unit_test(directives),
        cmocka_unit_test(variable_definitions),
        cmocka_unit_test(variables_are_defined_and_used),
        cmocka_unit_test(variable_positions),
        cmocka_unit_test(fields_can_merge),
        cmocka_unit_test(fields_that_conflict),
        cmocka_unit_test(introspection_off),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(hostile_documents),
        cmocka_unit_test(hostile_texts),
    };
    return cmocka_run_group_tests(tests, ask_setup, ask_teardown);
}
