/* lexer: every token, columns in characters, strings of both kinds, what is refused and where. */
#include "test.h"

#include "graphql/graphql_int.h"

/* The tokens as text: kind at line:column, strings decoded. */
static const char *tokens_of(dz_str text, uint32_t max)
{
    static struct dz_buf out;
    dz_buf_done(&out);
    dz_buf_init(&out, 10000);
    struct dz_gql_errors errors DZ_AUTO(dz_gql_errors_done);
    dz_gql_errors_init(&errors, 5);
    struct dz_arena *a DZ_AUTO(dz_arena_free) = dz_arena_new(100000);
    struct gql_lexer l;
    bool ok = gql_lexer_init(&l, text, max, &errors);
    while (ok && (ok = gql_lexer_next(&l)) && l.token.kind != GQL_T_END) {
        dz_str s = l.token.text;
        if (l.token.kind >= GQL_T_STRING)
            ok = gql_string_decode(&l, a, &s);
        if (ok)
            dz_buf_putf(&out, "%s%s@%u:%u", out.n ? " " : "", gql_token_name(l.token.kind),
                        l.token.loc.line, l.token.loc.column);
        if (ok && s.p)
            dz_buf_putf(&out, "=%.*s", DZ_STR_FMT(s));
    }
    if (!ok) {
        const struct dz_gql_error *e = errors.first;
        assert_non_null(e);
        assert_int_equal(e->locs_n, 1);
        dz_buf_putf(&out, "%s%.*s@%u:%u", out.n ? " " : "", DZ_STR_FMT(e->message), e->locs[0].line,
                    e->locs[0].column);
    }
    return dz_buf_cstr(&out);
}

static void check(const char *text, const char *want)
{
    assert_string_equal(tokens_of(dz_str_of(text), 100), want);
}

static void punctuators(void **state)
{
    (void)state;
    check("!$&()...:=@[]{|}",
          "\"!\"@1:1 \"$\"@1:2 \"&\"@1:3 \"(\"@1:4 \")\"@1:5 \"...\"@1:6 \":\"@1:9 \"=\"@1:10 "
          "\"@\"@1:11 \"[\"@1:12 \"]\"@1:13 \"{\"@1:14 \"|\"@1:15 \"}\"@1:16");
    check("..", "Syntax Error: Unexpected character: \".\".@1:1");
    check("a ? b", "Name@1:1=a Syntax Error: Unexpected character: \"?\".@1:3");
    check("a \x01", "Name@1:1=a Syntax Error: Unexpected character: U+0001.@1:3");
    check("'x'", "Syntax Error: Unexpected character: \"'\".@1:1");
}

static void ignored(void **state)
{
    (void)state;
    check("\xef\xbb\xbf{a}", "\"{\"@1:1 Name@1:2=a \"}\"@1:3");
    check("a\n b\r\n  c\rd", "Name@1:1=a Name@2:2=b Name@3:3=c Name@4:1=d");
    check(",,,a,\tb # \xe5\xb1\xb1 comment\n#\nc", "Name@1:4=a Name@1:7=b Name@3:1=c");
    check("# a\x02", "Syntax Error: Unexpected character: U+0002.@1:4");
    check("", "");
    check("\xff", "Syntax Error: The document is not UTF-8.@1:1");
}

static void columns_count_characters(void **state)
{
    (void)state;
    check("\"\xe5\xb1\xb1\xf0\x9f\x98\x80\" a",
          "String@1:1=\xe5\xb1\xb1\xf0\x9f\x98\x80 Name@1:6=a");
    check("\"\"\"\xe5\xb1\xb1\n\xe5\xb1\xb1\"\"\" a",
          "BlockString@1:1=\xe5\xb1\xb1\n\xe5\xb1\xb1 Name@2:6=a");
}

static void names_and_numbers(void **state)
{
    (void)state;
    check("_ a1 __typename", "Name@1:1=_ Name@1:3=a1 Name@1:6=__typename");
    check("0 -0 12 -7", "Int@1:1=0 Int@1:3=-0 Int@1:6=12 Int@1:9=-7");
    check("0.5 1e10 -1.5E-3 6.02e+23",
          "Float@1:1=0.5 Float@1:5=1e10 Float@1:10=-1.5E-3 Float@1:18=6.02e+23");
    check("00", "Syntax Error: Invalid number, unexpected digit after 0: \"0\".@1:2");
    check("01", "Syntax Error: Invalid number, unexpected digit after 0: \"1\".@1:2");
    check("-", "Syntax Error: Invalid number, expected digit but got: <EOF>.@1:2");
    check("+1", "Syntax Error: Unexpected character: \"+\".@1:1");
    check("1.", "Syntax Error: Invalid number, expected digit but got: <EOF>.@1:3");
    check("1.a", "Syntax Error: Invalid number, expected digit but got: \"a\".@1:3");
    check(".5", "Syntax Error: Unexpected character: \".\".@1:1");
    check("1e", "Syntax Error: Invalid number, expected digit but got: <EOF>.@1:3");
    check("1a", "Syntax Error: Invalid number, expected digit but got: \"a\".@1:2");
    check("1.2.3", "Syntax Error: Invalid number, expected digit but got: \".\".@1:4");
    check("0xF1", "Syntax Error: Invalid number, expected digit but got: \"x\".@1:2");
}

static void strings(void **state)
{
    (void)state;
    check("\"\"", "String@1:1=");
    check("\"a # b, {\"", "String@1:1=a # b, {");
    check("\"\\\" \\\\ \\/ \\b\\f\\n\\r\\t\"", "String@1:1=\" \\ / \b\f\n\r\t");
    check("\"\\u5c71\\u0041\"", "String@1:1=\xe5\xb1\xb1"
                                "A");
    check("\"\\uD83D\\uDE00 \\u{1F600} \\u{41}\"",
          "String@1:1=\xf0\x9f\x98\x80 \xf0\x9f\x98\x80 A");
    check("\"a", "Syntax Error: Unterminated string.@1:3");
    check("\"a\nb\"", "Syntax Error: Unterminated string.@1:3");
    check("\"a\\", "Syntax Error: Unterminated string.@1:4");
    check("\"a\\\"", "Syntax Error: Unterminated string.@1:5");
    check("\"\x07\"", "Syntax Error: Invalid character within String: U+0007.@1:2");
    static const char *const bad[] = {"\\x",        "\\u12",  "\\u12G4",       "\\uD83D",
                                      "\\uDE00",    "\\u{}",  "\\u{110000}",   "\\u{D800}",
                                      "\\uD83D\\n", "\\u{12", "\\uD83D\\u0041"};
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        char text[64];
        snprintf(text, sizeof(text), "\"ab%s\"", bad[i]);
        const char *got = tokens_of(dz_str_of(text), 100);
        dz_str want = DZ_S("Syntax Error: Invalid character escape sequence: \"\\");
        assert_true(dz_str_starts(dz_str_of(got), want));
        assert_true(dz_str_ends(dz_str_of(got), DZ_S("@1:4")));
    }
}

static void block_strings(void **state)
{
    (void)state;
    check("\"\"\"\"\"\"", "BlockString@1:1=");
    check("\"\"\"a\"\"\"", "BlockString@1:1=a");
    check("\"\"\"\n    Hello,\n      World!\n\n    Yours,\n      GraphQL.\n  \"\"\"",
          "BlockString@1:1=Hello,\n  World!\n\nYours,\n  GraphQL.");
    check("\"\"\"a\r\n  b\r  c\"\"\"", "BlockString@1:1=a\nb\nc");
    check("\"\"\"  first\n    \n  second  \n\"\"\"", "BlockString@1:1=  first\n  \nsecond  ");
    check("\"\"\"\n\n\n\"\"\"", "BlockString@1:1=");
    check("\"\"\"a \\\"\"\" \\n \\u0041 \" \"\"b\"\"\"",
          "BlockString@1:1=a \"\"\" \\n \\u0041 \" \"\"b");
    check("\"\"\"\n\ta\n\t\tb\"\"\"", "BlockString@1:1=a\n\tb");
    check("\"\"\"a", "Syntax Error: Unterminated string.@1:5");
    check("\"\"\"a\"\"", "Syntax Error: Unterminated string.@1:7");
    check("\"\"\"\x01\"\"\"", "Syntax Error: Invalid character within String: U+0001.@1:4");
}

static void tokens_are_limited(void **state)
{
    (void)state;
    char name[258];
    memset(name, 'n', sizeof(name));
    assert_string_equal(tokens_of((dz_str){name, 257}, 3),
                        "Syntax Error: A name is longer than 256 bytes.@1:1");
    assert_true(dz_str_starts(dz_str_of(tokens_of((dz_str){name, 256}, 3)), DZ_S("Name@1:1=nnn")));
    assert_string_equal(tokens_of(DZ_S("a b c"), 3), "Name@1:1=a Name@1:3=b Name@1:5=c");
    assert_string_equal(
        tokens_of(DZ_S("a b c"), 2),
        "Name@1:1=a Name@1:3=b Syntax Error: The document has more than 2 tokens.@1:5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(punctuators),
        cmocka_unit_test(ignored),
        cmocka_unit_test(columns_count_characters),
        cmocka_unit_test(names_and_numbers),
        cmocka_unit_test(strings),
        cmocka_unit_test(block_strings),
        cmocka_unit_test(tokens_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
