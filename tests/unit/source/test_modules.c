/*
 * test_modules: json, url, str and crypt of sources, snippet by snippet.
 */
#include "modules.h"

static void json_reads(void **state)
{
    (void)state;
    static const struct snippet v[] = {
        {"return json.decode('{\"b\":[1,2.5,\"x\"],\"a\":null}')",
         "{\"a\":null,\"b\":[1,2.5,\"x\"]}"},
        {"return json.decode('[]')", "[]"},
        {"return json.decode('{}')", "{}"},
        {"return json.decode(' [ [ ] , { } ] ')", "[[],{}]"},
        {"return json.decode('\\xEF\\xBB\\xBF1')", "1"},
        {"return math.type(json.decode('1'))", "integer"},
        {"return math.type(json.decode('1.0'))", "float"},
        {"return math.type(json.decode('1e2'))", "float"},
        {"return json.decode('9223372036854775807') == math.maxinteger", "true"},
        {"return math.type(json.decode('9223372036854775808'))", "float"},
        {"return json.decode('-9223372036854775808') == math.mininteger", "true"},
        {"return json.decode('\"\\\\u00e9\\\\ud83d\\\\ude00\\\\n\\\\/\\\\\\\\\"')",
         "\xC3\xA9\xF0\x9F\x98\x80\n/\\"},
        {"return json.decode('\"\\\\ud83d!\"')", "\xEF\xBF\xBD!"},
        {"return json.decode('\"\\\\ud83d\\\\u0041\"')", "\xEF\xBF\xBD"
                                                         "A"},
        {"return #json.decode('\"a\\\\u0000b\"')", "3"},
        {"return json.decode('{\"a\":1,\"a\":2}')", "{\"a\":2}"},
        {"return json.decode('null') == json.null", "true"},
        {"return json.decode(7)", "7"},
        {"return json.decode('<html>')", "! t:1: json.decode: line 1, column 1: a value was "
                                         "expected, not '<'"},
        {"return json.decode('')", "! a value was expected, not the end"},
        {"return json.decode('{\\n \"a\": 1,\\n}')", "! line 3, column 1: a key in quotes was"},
        {"return json.decode('[1 2]')", "! ',' or ']' was expected, not '2'"},
        {"return json.decode('{\"a\" 1}')", "! ':' was expected"},
        {"return json.decode('{\"a\":1')", "! ',' or '}' was expected, not the end"},
        {"return json.decode('[1,]')", "! a value was expected, not ']'"},
        {"return json.decode('01')", "! the end was expected, not '1'"},
        {"return json.decode('1.')", "! a digit was expected"},
        {"return json.decode('-')", "! a digit was expected"},
        {"return json.decode('1e999')", "! a number that a float can hold"},
        {"return json.decode('+1')", "! a value was expected"},
        {"return json.decode('nul')", "! a value was expected"},
        {"return json.decode('NaN')", "! a value was expected"},
        {"return json.decode('\"a')", "! the closing quote was expected, not the end"},
        {"return json.decode('\"a\\\\x\"')", "! an escape was expected, not 'x'"},
        {"return json.decode('\"\\\\u12g4\"')", "! four hexadecimal digits were expected"},
        {"return json.decode('\"\\\\ud83d\\\\u12\"')", "! four hexadecimal digits were expected"},
        {"return json.decode('\"a\\nb\"')", "! a control character must be escaped"},
        {"return json.decode('\"\\xFF\"')", "! json.decode: the text is not UTF-8"},
        {"return json.decode(('['):rep(64) .. (']'):rep(64)) ~= nil", "true"},
        {"return json.decode(('['):rep(66) .. (']'):rep(66))", "! nested deeper than 64"},
        {"return json.decode(('['):rep(100000))", "! nested deeper than 64"},
        {"return json.decode(('1'):rep(1001))", "! a number of at most 1000 characters"},
        {"return json.decode()", "! json.decode: argument 1 must be a text, not nothing"},
        {"return json.decode({})", "! json.decode: argument 1 must be a text, not table"},
    };
    RUN(v);
}

static void json_writes(void **state)
{
    (void)state;
    static const struct snippet v[] = {
        {"return json.encode({b = 1, a = {true, json.null}, c = {}})",
         "{\"a\":[true,null],\"b\":1,\"c\":{}}"},
        {"return json.encode({a = json.array{}})", "{\"a\":[]}"},
        {"return json.encode(json.array())", "[]"},
        {"return json.encode(json.array{1, 2})", "[1,2]"},
        {"return json.encode(json.decode('{\"a\":[],\"b\":{}}'))", "{\"a\":[],\"b\":{}}"},
        {"return json.encode('\\0\"\\u{e9}')", "\"\\u0000\\\"\xC3\xA9\""},
        {"return json.encode(nil)", "null"},
        {"return json.encode(10.0)", "10.0"},
        {"return json.encode({10.1, -0.1, 0.1 + 0.2, 1e22, 1.5e-7, 5e-324, 1e308})",
         "[10.1,-0.1,0.30000000000000004,1e+22,1.5e-07,5e-324,1e+308]"},
        {"return json.encode({a = {}, b = {1, {c = 'x'}}, d = json.array()}, true)",
         "{\n  \"a\": {},\n  \"b\": [\n    1,\n    {\n      \"c\": \"x\"\n    }\n  ],\n"
         "  \"d\": []\n}"},
        {"return json.encode(math.mininteger)", "-9223372036854775808"},
        {"return json.encode({1}, true)", "[\n  1\n]"},
        {"return json.encode(setmetatable({a = 1}, {__index = {b = 2}, "
         "__pairs = function() error('never') end, __len = function() error('never') end}))",
         "{\"a\":1}"},
        {"return json.encode({list = {1, {x = print or math.floor}}})",
         "! json.encode: list[2].x: a function cannot become JSON"},
        {"return json.encode({a = 0/0})", "! a: the number is not finite"},
        {"return json.encode({math.huge})", "! [1]: the number is not finite"},
        {"return json.encode({a = {b = '\\xFF'}})", "! a.b: the text is not UTF-8"},
        {"return json.encode({['\\xFF'] = 1})", "! a key is not UTF-8 or holds a NUL"},
        {"return json.encode({['a\\0'] = 1})", "! a key is not UTF-8 or holds a NUL"},
        {"return json.encode({1, nil, 3})", "! without holes"},
        {"return json.encode({[0] = 1})", "! without holes"},
        {"return json.encode({1, a = 1})", "! texts and numbers as keys of one table"},
        {"return json.encode({[1.5] = 1})", "! a key is neither a text nor an index"},
        {"return json.encode({[true] = 1})", "! a key is neither a text nor an index"},
        {"local t = json.array{} t.x = 1 return json.encode(t)", "! an array with a text as key"},
        {"local t = {} t.self = t return json.encode(t)", "! a table that holds itself"},
        {"local t = {} for i = 1, 63 do t = {t} end return #json.encode(t)", "128"},
        {"local t = {} for i = 1, 64 do t = {t} end return json.encode(t)", "! nested too deep"},
        {"local t = {1} for i = 1, 40 do t = {t, t} end return json.encode(t)",
         "! the value is too large altogether"},
        {"local s = ('x'):rep(2^20) local t = {} for i = 1, 40 do t[i] = s end "
         "return json.encode(t)",
         "! the value is too large altogether"},
        {"return json.encode()", "! bad argument"},
        {"return json.array(1)", "! json.array: argument 1 must be a table, not number"},
        {"return pcall(setmetatable, json.array(), {})", "false"},
    };
    RUN(v);
}

static void json_at(void **state)
{
    (void)state;
    static const struct snippet v[] = {
        {"local v = json.decode('{\"a\":{\"b\":[10,{\"c d\":7}],\"n\":null}}') return {"
         "json.at(v, 'a.b[0]'), json.at(v, 'a.b[1][\"c d\"]'), json.at(v, 'a.b[-1][\"c d\"]'), "
         "json.at(v, 'a.b[2]') == nil, json.at(v, 'x.y.z[3]') == nil, json.at(v, 'a.n') == nil, "
         "json.at(v, 'a.b[0].x') == nil, json.at(v, '') == v, json.at(v, '[\"a\"].b[0]')}",
         "[10,7,7,true,true,true,true,true,10]"},
        {"return json.at(json.decode('[[1,2],[3]]'), '[0][1]')", "2"},
        {"return json.at({}, 'a..b')", "! json.at: the path is wrong at character 3"},
        {"return json.at({}, 'a.')", "! the path is wrong at character 3"},
        {"return json.at({}, '.a')", "! the path is wrong"},
        {"return json.at({}, 'a[x]')", "! the path is wrong at character 3"},
        {"return json.at({}, 'a[1')", "! the path is wrong at character 2"},
        {"return json.at({}, 'a[\"b]')", "! the path is wrong"},
        {"return json.at({}, 'a]')", "! the path is wrong"},
        {"return json.at({}, 'a[0]b')", "! the path is wrong at character 5"},
        {"return json.at({}, {})", "! json.at: argument 2 must be a text, not table"},
        {"return json.at(setmetatable({}, {__index = function() return 1 end}), 'a') == nil",
         "true"},
    };
    RUN(v);
}

static void urls(void **state)
{
    (void)state;
    static const struct snippet v[] = {
        {"return url.parse('https://u:p@Example.org:8443/a/b?x=1#f')",
         "{\"fragment\":\"f\",\"host\":\"Example.org\",\"path\":\"/a/b\",\"port\":8443,"
         "\"query\":\"x=1\",\"scheme\":\"https\",\"user\":\"u:p\"}"},
        {"return url.parse('http://a')", "{\"host\":\"a\",\"path\":\"\",\"scheme\":\"http\"}"},
        {"return url.parse('ftp://a')", "! url.parse: the scheme of the address is neither"},
        {"return url.parse('/a')", "! url.parse: the address does not start with http://"},
        {"return url.parse()", "! url.parse: argument 1 must be a text, not nothing"},
        {"return url.join('http://a/b/c?d', '../x y')", "http://a/x%20y"},
        {"return url.join('http://a/b/c', '//h/z')", "http://h/z"},
        {"return url.join('http://a', nil)", "! url.join: argument 2 must be a text, not nothing"},
        {"return url.join('http://a', json.null)",
         "! url.join: argument 2 must be a text, not null"},
        {"return url.join('/a', 'b')", "! url.join: the address does not start"},
        {"return url.build{host = 'example.org'}", "https://example.org/"},
        {"return url.build{scheme = 'http', host = 'a', port = 81, path = 'x y?#', "
         "query = {b = 'c&d', a = {1, 2}}, fragment = 'z'}",
         "http://a:81/x%20y%3F%23?a=1&a=2&b=c%26d#z"},
        {"return url.build{host = 'a', path = '//b/../c', query = 'k=v#'}", "https://a//c?k=v%23"},
        {"return url.build{host = 'a', user = 'me', query = {}}", "https://me@a/"},
        {"return url.build(url.parse('https://u@a:1/b?c=d#e'))", "https://u@a:1/b?c=d#e"},
        {"return url.build{host = 'a/b'}", "! url.build: host is no name of a host"},
        {"return url.build{host = 'a@b'}", "! url.build: host is no name of a host"},
        {"return url.build{host = 'a', user = 'x@y'}", "! url.build: user holds"},
        {"return url.build{}", "! url.build: the address has no host"},
        {"return url.build{host = {}}", "! url.build: host must be a text, not a table"},
        {"return url.build{host = 'a', port = 70000}", "! url.build: port must be"},
        {"return url.build{host = 'a', port = '80'}", "! url.build: port must be"},
        {"return url.build{host = 'a', scheme = 'file'}", "! url.build: the scheme"},
        {"return url.build{host = 'a', path = ('x'):rep(9000)}", "! url.build: the address has"},
        {"return url.build('x')", "! url.build: argument 1 must be a table, not a text"},
        {"return url.query{b = true, a = 'x y+&=', c = 1.5, d = {'p', 'q'}, e = json.null}",
         "a=x%20y%2B%26%3D&b=true&c=1.5&d=p&d=q"},
        {"return url.query{{'z', 1}, {'a', 2}, {'z', 3}}", "z=1&a=2&z=3"},
        {"return url.query{}", ""},
        {"return url.query{a = {}}", ""},
        {"return url.query{a = {b = {}}, c = {{}}}", "! url.query: \"c\" is neither a text"},
        {"return url.query{a = print or math.floor}", "! url.query: \"a\" is neither a text"},
        {"return url.query{[2] = 1, a = 2}", "! url.query: a name is no text"},
        {"return url.query{{'a'}}", "! url.query: pair 1 is not {name, value}"},
        {"return url.query{1}", "! url.query: pair 1 is not {name, value}"},
        {"local t = {} for i = 1, 10001 do t['k' .. i] = i end return url.query(t)",
         "! url.query: it has too many names"},
        {"return url.query('?a=1&b=x+y%21&a=2&&c')", "{\"a\":\"1\",\"b\":\"x y!\",\"c\":\"\"}"},
        {"return select(2, url.query('a=1&b=2&a=3'))",
         "[[\"a\",\"1\"],[\"b\",\"2\"],[\"a\",\"3\"]]"},
        {"return select(2, url.query(''))", "[]"},
        {"return url.query(('a&'):rep(10001))", "! url.query: more than 10000 pairs"},
        {"return url.encode('a/b \\u{e9}~')", "a%2Fb%20%C3%A9~"},
        {"return url.decode('a%2fb%20+%zz%')", "a/b +%zz%"},
        {"return url.encode(('x'):rep(3))", "xxx"},
        {"return url.encode('')", ""},
    };
    RUN(v);
}

static void texts(void **state)
{
    (void)state;
    static const struct snippet v[] = {
        {"return str.trim(' \\t\\u{a0}\\u{3000}\\u{feff}a  b\\u{2003}\\r\\n')", "a  b"},
        {"return str.trim('\\u{e9}')", "\xC3\xA9"},
        {"return str.trim('  ')", ""},
        {"return str.trim('')", ""},
        {"return str.squeeze('  a \\n\\t b\\u{3000}\\u{3000}c ')", "a b c"},
        {"return str.squeeze('')", ""},
        {"return str.squeeze(5)", "5"},
        {"return str.squeeze(nil)", "! str.squeeze: argument 1 must be a text, not nothing"},
        {"return str.between('a<b>c</b>', '<b>', '</b>')", "c"},
        {"return str.between('k=v', '=')", "v"},
        {"return str.between('abc', '', 'c')", "ab"},
        {"return str.between('abc', 'x', 'c')", "null"},
        {"return str.between('abc', 'a', 'x')", "null"},
        {"return str.between('abcabc', 'c', 'b')", "a"},
        {"return str.number('1,234.5 views')", "1234.5"},
        {"return str.number('Ch. 12')", "12"},
        {"return str.number('v-2')", "2"},
        {"return str.number('-2')", "-2"},
        {"return str.number('at -3.50')", "-3.5"},
        {"return str.number('12,34')", "12"},
        {"return str.number('1,234,567')", "1234567"},
        {"return str.number('12345,678')", "12345"},
        {"return str.number('5.')", "5"},
        {"return math.type(str.number('5.0'))", "float"},
        {"return str.number('none')", "null"},
        {"return str.number('')", "null"},
        {"return str.number(('9'):rep(59)) == 1e59", "true"},
        {"return str.number(('9'):rep(80))", "null"},
        {"return str.number(7)", "7"},
        {"local t = {'c10', 'c9', 'C1'} table.sort(t, str.natural_less) return t",
         "[\"C1\",\"c9\",\"c10\"]"},
        {"return str.natural_less('a')", "! str.natural_less: argument 2 must be a text"},
    };
    RUN(v);
}

static void expressions(void **state)
{
    (void)state;
    static const struct snippet v[] = {
        {"local m = str.match('ch 12.5 x', '(?<n>\\\\d+)(\\\\.\\\\d+)?(z)?') "
         "return {m[0], m[1], m[2], m.n, m[3] == nil}",
         "[\"12.5\",\"12\",\".5\",\"12\",true]"},
        {"return str.match('a', 'b')", "null"},
        {"local t = {} for _, m in ipairs(str.match_all('a1b22', '[a-z](\\\\d+)')) do "
         "t[#t + 1] = m[1] end return t",
         "[\"1\",\"22\"]"},
        {"return str.match_all('abc', 'x')", "[]"},
        {"return #str.match_all('aaa', '')", "4"},
        {"return #str.match_all('\\u{e9}\\u{e9}', '')", "3"},
        {"return #str.match_all('', 'x*')", "1"},
        {"local t = {} for i, m in ipairs(str.match_all('abaac', 'a*')) do t[i] = m[0] end "
         "return t",
         "[\"a\",\"\",\"aa\",\"\",\"\"]"},
        {"return str.match('\\u{e9}', '^.$')[0]", "\xC3\xA9"},
        {"return str.match('x\\nY', '(?im)^y$')[0]", "Y"},
        {"return #str.match_all('aXbX', '(?=X)')", "2"},
        {"return #str.match_all('abab', 'a\\\\Kb')", "2"},
        {"return str.match('a', '(')", "! str.match: the expression is wrong at character 2: "
                                       "missing closing parenthesis"},
        {"return str.match('a', '\\\\C')", "! str.match: the expression is wrong"},
        {"return str.match('a', ('('):rep(101) .. (')'):rep(101))",
         "! the expression is wrong at character"},
        {"return str.match('a', ('a'):rep(4097))", "! the expression has more than 4096 bytes"},
        {"return str.match('\\xFF', 'a')", "! str.match: the text is not UTF-8"},
        {"return str.match('a', '\\xFF')", "! str.match: the expression is wrong"},
        {"return str.match(('a'):rep(40), '(a*)*b|(a|a)*c|((a+)+)+$d')",
         "! takes too many steps on this text"},
        {"return str.match_all(('a'):rep(40000) .. 'z' .. ('y'):rep(9), 'a[^z]*y')",
         "! takes too many steps on this text"},
        {"return str.match(('a'):rep(1000000), '^(?:(a))*$') and 1", "! too many steps"},
        {"return str.match_all(('a'):rep(100001), 'a')", "! more than 100000 matches"},
        {"return #str.match_all(('a'):rep(100000), 'a')", "100000"},
        {"return str.match('a')", "! str.match: argument 2 must be a text, not nothing"},
    };
    RUN(v);
}

static void digests(void **state)
{
    (void)state;
    static const struct snippet v[] = {
        {"return crypt.md5('abc')", "900150983cd24fb0d6963f7d28e17f72"},
        {"return crypt.sha1('abc')", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"return crypt.sha256('')",
         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        /* RFC 4231, case 2; RFC 2202, case 2 of both */
        {"return crypt.hmac('sha256', 'Jefe', 'what do ya want for nothing?')",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {"return crypt.hmac('sha1', 'Jefe', 'what do ya want for nothing?')",
         "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
        {"return crypt.hmac('md5', 'Jefe', 'what do ya want for nothing?')",
         "750c783e6ab0b503eaa86e310a5db738"},
        {"return #crypt.hmac('sha512', '', '')", "128"},
        {"return crypt.hmac('sha3', 'k', 't')", "! crypt.hmac: argument 1 must be \"sha256\""},
        {"return crypt.hmac('md5', 'k')", "! crypt.hmac: argument 3 must be a text, not nothing"},
        /* RFC 4648 section 10 */
        {"local t = {} for i = 0, 6 do t[#t + 1] = crypt.base64(('foobar'):sub(1, i)) end "
         "return t",
         "[\"\",\"Zg==\",\"Zm8=\",\"Zm9v\",\"Zm9vYg==\",\"Zm9vYmE=\",\"Zm9vYmFy\"]"},
        {"return crypt.base64('\\xFB\\xFF') .. crypt.base64('\\xFB\\xFF', true)", "+/8=-_8"},
        {"for n = 0, 40 do local s = ('\\xFE\\x01z'):rep(n):sub(1, n) "
         "assert(crypt.unbase64(crypt.base64(s)) == s) "
         "assert(crypt.unbase64(crypt.base64(s, true)) == s) "
         "assert(crypt.unhex(crypt.hex(s)) == s) end return 'good'",
         "good"},
        {"return crypt.unbase64('Zm9v\\nYg = =')", "foob"},
        {"return crypt.unbase64('Zm9vYg')", "foob"},
        {"return crypt.unbase64('Z')", "! crypt.unbase64: argument 1 is not base64"},
        {"return crypt.unbase64('Zg=')", "! is not base64"},
        {"return crypt.unbase64('Zg==Zg==')", "! is not base64"},
        {"return crypt.unbase64('Z===')", "! is not base64"},
        {"return crypt.unbase64('Zg*=')", "! is not base64"},
        {"return crypt.hex('\\0\\xFF')", "00ff"},
        {"return crypt.unhex('4A4b')", "JK"},
        {"return crypt.unhex('')", ""},
        {"return crypt.unhex('abc')", "! crypt.unhex: argument 1 is not hexadecimal"},
        {"return crypt.unhex('zz')", "! crypt.unhex: argument 1 is not hexadecimal"},
        {"return crypt.md5(nil)", "! crypt.md5: argument 1 must be a text, not nothing"},
    };
    RUN(v);
}

/* Every kind of JSON value to Lua and back is the same. */
static void values_cross(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":[1,-2,3.0,1e300,\"x\\u0000y\",true,false,null,[],{}],"
                               "\"\":{\"k\":[[[]]]}}";
    struct dz_source_run *r;
    struct dz_err err = {0};
    must(src_state_new(NULL, NULL, NULL, "t", &r, err));
    json_t *v = json_loads(text, JSON_ALLOW_NUL, NULL), *back = NULL;
    assert_non_null(v);
    src_push_json(r->L, v);
    assert_true(src_to_json(r->L, -1, &back, &err));
    assert_true(json_equal(v, back));
    json_decref(back);
    assert_int_equal(lua_gettop(r->L), 1);
    assert_true(src_to_json(r->L, 7, &back, &err) && json_is_null(back));
    json_decref(back);
    json_decref(v);
    src_state_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_reads), cmocka_unit_test(json_writes),  cmocka_unit_test(json_at),
        cmocka_unit_test(urls),       cmocka_unit_test(texts),        cmocka_unit_test(expressions),
        cmocka_unit_test(digests),    cmocka_unit_test(values_cross),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
