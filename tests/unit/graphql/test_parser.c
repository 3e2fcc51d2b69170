/* parser: the examples of section 2 of the specification, printed back; every syntax error has its
 * place; every limit holds. */
#include "test.h"

#include "graphql/graphql_int.h"

static struct dz_buf out;

static void put(const char *words)
{
    dz_buf_put(&out, dz_str_of(words));
}

static void put_value(const struct gql_value *v);

static void put_args(const struct gql_arg *a, const char *open, const char *shut)
{
    put(open);
    for (; a; a = a->next) {
        dz_buf_put(&out, a->name);
        put(": ");
        put_value(a->value);
        put(a->next ? ", " : "");
    }
    put(shut);
}

static void put_value(const struct gql_value *v)
{
    switch (v->kind) {
    case DZ_GQL_LIST:
        put("[");
        for (const struct gql_value *item = v->items; item; item = item->next) {
            put_value(item);
            put(item->next ? ", " : "");
        }
        put("]");
        break;
    case DZ_GQL_OBJECT:
        put_args(v->members, "{", "}");
        break;
    case DZ_GQL_STRING: {
        struct dz_json j;
        dz_json_init(&j, &out, DZ_JSON_COMPACT, false);
        dz_json_str(&j, v->text);
        break;
    }
    default:
        put(v->kind == DZ_GQL_VARIABLE ? "$" : "");
        dz_buf_put(&out, v->text);
    }
}

static void put_type(const struct gql_type_use *t)
{
    put(t->wrap == GQL_LIST_OF ? "[" : "");
    if (t->of)
        put_type(t->of);
    dz_buf_put(&out, t->name);
    put(t->wrap == GQL_LIST_OF ? "]" : t->wrap == GQL_NON_NULL ? "!" : "");
}

static void put_directives(const struct gql_directive_use *d)
{
    for (; d; d = d->next) {
        put(" @");
        dz_buf_put(&out, d->name);
        if (d->args)
            put_args(d->args, "(", ")");
    }
}

static void put_set(const struct gql_selection *s)
{
    put("{");
    for (; s; s = s->next) {
        put(s->kind == GQL_FIELD ? "" : "...");
        if (s->kind == GQL_FIELD && s->alias.n) {
            dz_buf_put(&out, s->alias);
            put(": ");
        }
        dz_buf_put(&out, s->name);
        if (s->kind == GQL_INLINE && s->on.n) {
            put(" on ");
            dz_buf_put(&out, s->on);
        }
        if (s->kind == GQL_FIELD && s->args)
            put_args(s->args, "(", ")");
        put_directives(s->directives);
        if (s->set) {
            put(" ");
            put_set(s->set);
        }
        put(s->next ? " " : "");
    }
    put("}");
}

static void put_definition(const struct gql_definition *d)
{
    static const char *const words[] = {"query", "mutation", "subscription"};
    put(d->is_fragment ? "fragment" : words[d->operation]);
    put(d->name.n ? " " : "");
    dz_buf_put(&out, d->name);
    if (d->is_fragment) {
        put(" on ");
        dz_buf_put(&out, d->on);
    }
    for (const struct gql_variable *v = d->variables; v; v = v->next) {
        put(v == d->variables ? "($" : ", $");
        dz_buf_put(&out, v->name);
        put(": ");
        put_type(v->type);
        if (v->fallback) {
            put(" = ");
            put_value(v->fallback);
        }
        put_directives(v->directives);
        put(v->next ? "" : ")");
    }
    put_directives(d->directives);
    put(" ");
    put_set(d->set);
    put("\n");
}

static const char *parse(dz_str text, struct dz_gql_limits limits)
{
    dz_buf_done(&out);
    dz_buf_init(&out, 1000000);
    struct dz_gql_errors errors DZ_AUTO(dz_gql_errors_done);
    dz_gql_errors_init(&errors, 5);
    struct dz_arena *a DZ_AUTO(dz_arena_free) = dz_arena_new(10000000);
    struct dz_gql_doc d = {.arena = a, .text = text};
    if (gql_parse(&d, &limits, &errors) != DZ_OK) {
        const struct dz_gql_error *e = errors.first;
        assert_non_null(e);
        assert_int_equal(e->locs_n, 1);
        dz_buf_putf(&out, "%.*s @%u:%u", DZ_STR_FMT(e->message), e->locs[0].line,
                    e->locs[0].column);
        return dz_buf_cstr(&out);
    }
    for (const struct gql_definition *o = d.operations; o; o = o->next)
        put_definition(o);
    for (const struct gql_definition *f = d.fragments; f; f = f->next)
        put_definition(f);
    return dz_buf_cstr(&out);
}

static const struct dz_gql_limits wide = {.tokens_max = 100000, .depth_max = 30, .aliases_max = 99};

static void check(const char *text, const char *want)
{
    assert_string_equal(parse(dz_str_of(text), wide), want);
    /* What was printed says the same. */
    if (dz_str_find(dz_str_of(want), DZ_S(" @")) == DZ_NPOS) {
        char *again = dz_str_dup(dz_buf_str(&out));
        assert_string_equal(parse(dz_str_of(again), wide), want);
        free(again);
    }
}

static void fails(const char *text, const char *want)
{
    assert_string_equal(parse(dz_str_of(text), wide), want);
}

static void operations(void **state)
{
    (void)state;
    check("mutation {\n likeStory(storyID: 12345) {\n story {\n likeCount\n }\n }\n}",
          "mutation {likeStory(storyID: 12345) {story {likeCount}}}\n");
    check("{ field }", "query {field}\n");
    check("query Q($a: Int = 1 @d, $b: [T!]!) @e { f } subscription S { g }",
          "query Q($a: Int = 1 @d, $b: [T!]!) @e {f}\nsubscription S {g}\n");
    check("query{a}{b}", "query {a}\nquery {b}\n");
    check("query query { query }", "query query {query}\n");
}

static void fields(void **state)
{
    (void)state;
    check("{ id firstName lastName }", "query {id firstName lastName}\n");
    check("{ me { id birthday { month day } friends { name } } }",
          "query {me {id birthday {month day} friends {name}}}\n");
    check("# `me` could represent the currently logged in viewer.\n{ me { name } }\n"
          "# `user` represents one of many users in a graph of data.\n",
          "query {me {name}}\n");
    check("{ user(id: 4) { name } }", "query {user(id: 4) {name}}\n");
    check("{ user(id: 4) { id name profilePic(width: 100, height: 50) } }",
          "query {user(id: 4) {id name profilePic(width: 100, height: 50)}}\n");
    check("{ picture(height: 50, width: 100) }", "query {picture(height: 50, width: 100)}\n");
    check("{ user(id: 4) { smallPic: profilePic(size: 64) bigPic: profilePic(size: 1024) } }",
          "query {user(id: 4) {smallPic: profilePic(size: 64) bigPic: profilePic(size: 1024)}}\n");
    check("{ zuck: user(id: 4) { id name } }", "query {zuck: user(id: 4) {id name}}\n");
    check("{ on fragment true null false: true type schema }",
          "query {on fragment true null false: true type schema}\n");
}

static void fragments(void **state)
{
    (void)state;
    check("query withFragments {\n user(id: 4) {\n friends(first: 10) {\n ...friendFields\n }\n"
          " mutualFriends(first: 10) {\n ...friendFields\n }\n }\n}\n\n"
          "fragment friendFields on User {\n id\n name\n profilePic(size: 50)\n}",
          "query withFragments {user(id: 4) {friends(first: 10) {...friendFields} "
          "mutualFriends(first: 10) {...friendFields}}}\n"
          "fragment friendFields on User {id name profilePic(size: 50)}\n");
    check("query FragmentTyping { profiles(handles: [\"zuck\", \"coca-cola\"]) { handle "
          "...userFragment ...pageFragment } } fragment userFragment on User { friends { count } }"
          " fragment pageFragment on Page { likers { count } }",
          "query FragmentTyping {profiles(handles: [\"zuck\", \"coca-cola\"]) {handle "
          "...userFragment ...pageFragment}}\nfragment userFragment on User {friends {count}}\n"
          "fragment pageFragment on Page {likers {count}}\n");
    check("{ profiles { handle ... on User { friends { count } } ... on Page { likers } } }",
          "query {profiles {handle ... on User {friends {count}} ... on Page {likers}}}\n");
    check("query inlineFragmentNoType($expandedInfo: Boolean) { user(handle: \"zuck\") { id "
          "... @include(if: $expandedInfo) { firstName lastName } } }",
          "query inlineFragmentNoType($expandedInfo: Boolean) {user(handle: \"zuck\") {id "
          "... @include(if: $expandedInfo) {firstName lastName}}}\n");
    check("{ ...F @skip(if: true) ... { a } } fragment F on T @d { b }",
          "query {...F @skip(if: true) ... {a}}\nfragment F on T @d {b}\n");
    fails("fragment on on T { a }",
          "Syntax Error: Expected the name of a fragment, found Name \"on\". @1:10");
    fails("{ ... on }", "Syntax Error: Expected Name, found \"}\". @1:10");
    fails("fragment F { a }", "Syntax Error: Expected \"on\", found \"{\". @1:12");
}

static void values(void **state)
{
    (void)state;
    check("{ f(a: 1, b: -1.5e3, c: \"x\", d: true, e: false, f: null, g: RED) }",
          "query {f(a: 1, b: -1.5e3, c: \"x\", d: true, e: false, f: null, g: RED)}\n");
    check("{ f(a: [], b: [1 2 3], c: {}, d: {x: [{y: $z}]}) }",
          "query {f(a: [], b: [1, 2, 3], c: {}, d: {x: [{y: $z}]})}\n");
    check("{ nearestThing(location: { lon: 12.43, lat: -53.211 }) }",
          "query {nearestThing(location: {lon: 12.43, lat: -53.211})}\n");
    check("mutation { sendEmail(message: \"\"\"\n    Hello,\n      World!\n\n    Yours,\n"
          "      GraphQL.\n  \"\"\") }",
          "mutation {sendEmail(message: \"Hello,\\n  World!\\n\\nYours,\\n  GraphQL.\")}\n");
    check("query getZuckProfile($devicePicSize: Int) { user(id: 4) { id "
          "profilePic(size: $devicePicSize) } }",
          "query getZuckProfile($devicePicSize: Int) {user(id: 4) {id "
          "profilePic(size: $devicePicSize)}}\n");
    check("query Q($a: [Int!]! = [1], $b: In = {a: {b: NAME}}) { f }",
          "query Q($a: [Int!]! = [1], $b: In = {a: {b: NAME}}) {f}\n");
    fails("query Q($a: Int = $b) { f }",
          "Syntax Error: Unexpected variable \"$b\" in constant value. @1:19");
    fails("query Q($a: [Int] = [$b]) { f }",
          "Syntax Error: Unexpected variable \"$b\" in constant value. @1:22");
    fails("query Q($a: Int @d(x: $b)) { f }",
          "Syntax Error: Unexpected variable \"$b\" in constant value. @1:23");
}

static void errors_have_places(void **state)
{
    (void)state;
    fails("", "Syntax Error: Unexpected <EOF>. @1:1");
    fails("{", "Syntax Error: Expected Name, found <EOF>. @1:2");
    fails("{}", "Syntax Error: Expected Name, found \"}\". @1:2");
    fails("{ a {} }", "Syntax Error: Expected Name, found \"}\". @1:6");
    fails("{ a\n  : }", "Syntax Error: Expected Name, found \"}\". @2:5");
    fails("{ a() }", "Syntax Error: Expected Name, found \")\". @1:5");
    fails("{ a(b) }", "Syntax Error: Expected \":\", found \")\". @1:6");
    fails("{ a(b: ) }", "Syntax Error: Unexpected \")\". @1:8");
    fails("{ a(b: [1 }", "Syntax Error: Unexpected \"}\". @1:11");
    fails("{ a(b: {1: 2}) }", "Syntax Error: Expected Name, found Int \"1\". @1:9");
    fails("{ a(b: $) }", "Syntax Error: Expected Name, found \")\". @1:9");
    fails("{ a } }", "Syntax Error: Unexpected \"}\". @1:7");
    fails("notAnOperation { a }", "Syntax Error: Unexpected Name \"notAnOperation\". @1:1");
    fails("query () { a }", "Syntax Error: Expected \"$\", found \")\". @1:8");
    fails("query ($a) { a }", "Syntax Error: Expected \":\", found \")\". @1:10");
    fails("query ($a: [Int) { a }", "Syntax Error: Expected \"]\", found \")\". @1:16");
    fails("query ($a: !) { a }", "Syntax Error: Expected Name, found \"!\". @1:12");
    fails("query ($a: Int!!) { a }", "Syntax Error: Expected \"$\", found \"!\". @1:16");
    fails("query Q", "Syntax Error: Expected \"{\", found <EOF>. @1:8");
    fails("{ a @ }", "Syntax Error: Expected Name, found \"}\". @1:7");
    fails("{ ...F { a } }", "Syntax Error: Expected Name, found \"{\". @1:8");
    fails("\"words\" { a }",
          "Definitions of the type system are not executable in a request. @1:1");
    fails("{ a } type T { a: Int }",
          "Definitions of the type system are not executable in a request. @1:7");
    fails("extend type T { a: Int }",
          "Definitions of the type system are not executable in a request. @1:1");
}

/* n times a, then middle, then n times z. */
static dz_str nest(struct dz_buf *b, int n, const char *a, const char *middle, const char *z)
{
    dz_buf_clear(b);
    for (int i = 0; i < n; i++)
        dz_buf_put(b, dz_str_of(a));
    dz_buf_put(b, dz_str_of(middle));
    for (int i = 0; i < n; i++)
        dz_buf_put(b, dz_str_of(z));
    return dz_buf_str(b);
}

static bool says(const char *got, const char *part)
{
    return dz_str_find(dz_str_of(got), dz_str_of(part)) != DZ_NPOS;
}

static void limits_hold(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 10000000);
    assert_true(says(parse(nest(&b, 29, "{a", "{b}", "}"), wide), "{a {b}}"));
    assert_string_equal(parse(nest(&b, 30, "{a", "{b}", "}"), wide),
                        "Syntax Error: The document has selections deeper than 30. @1:61");
    assert_true(says(parse(nest(&b, 50000, "{a", "", ""), wide), "deeper than 30"));
    struct dz_gql_limits deep = {.tokens_max = UINT32_MAX, .depth_max = UINT32_MAX};
    assert_true(says(parse(nest(&b, 50000, "{...", "", ""), deep), "deeper than 200"));
    assert_true(says(parse(nest(&b, 50000, "{a(b:", "", ""), deep), "Expected \":\", found \"(\""));

    dz_buf_clear(&b);
    dz_buf_put(&b, DZ_S("{a(b:"));
    for (int i = 0; i < 50000; i++)
        dz_buf_put(&b, DZ_S("[{c:"));
    assert_string_equal(parse(dz_buf_str(&b), deep),
                        "Syntax Error: The document has values deeper than 32. @1:70");
    fails("{a(b:[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]], c: [1])}",
          "query {a(b: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]], "
          "c: [1])}\n");

    dz_buf_clear(&b);
    dz_buf_put(&b, DZ_S("query($a:"));
    for (int i = 0; i < 50000; i++)
        dz_buf_putc(&b, '[');
    assert_string_equal(parse(dz_buf_str(&b), deep),
                        "Syntax Error: The document has types deeper than 8. @1:18");

    struct dz_gql_limits few = {.tokens_max = 100, .depth_max = 3, .aliases_max = 2};
    assert_true(says(parse(DZ_S("{a:b c:d}"), few), "query {a: b c: d}"));
    assert_string_equal(parse(DZ_S("{a:b c:d e:f}"), few),
                        "Syntax Error: The document has more aliases than 2. @1:11");
    dz_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations),         cmocka_unit_test(fields),
        cmocka_unit_test(fragments),          cmocka_unit_test(values),
        cmocka_unit_test(errors_have_places), cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
