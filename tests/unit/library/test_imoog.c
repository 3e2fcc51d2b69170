/*
 * test_imoog: what is a plain value in a settings file of imoog.
 */
#include <stdlib.h>

#include "test.h"

#include "library/imoog_int.h"

static void expect(const char *python, const char *values, const char *others)
{
    json_t *v = NULL, *o = NULL;
    must(library_python_read(dz_str_of(python), &v, &o, err));
    char *text = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);
    char *rest = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, values);
    assert_string_equal(rest, others);
    free(text);
    free(rest);
    json_decref(v);
    json_decref(o);
}

static void plain_values(void **state)
{
    (void)state;
    expect("", "{}", "{}");
    expect("A = 1\nB=-2 # two\nC = 1_000\nD = 0x1F\nE = 1.5\nF = True\nG = None\n",
           "{\"A\":1,\"B\":-2,\"C\":1000,\"D\":31,\"E\":1.5,\"F\":true,\"G\":null}", "{}");
    expect("A = 'a\\'b' \"c\"\nB = r'\\n'\nC = '''x\ny'''\nD = ('p'\n  'q')\nE = b'e'\n",
           "{\"A\":\"a'bc\",\"B\":\"\\\\n\",\"C\":\"x\\ny\",\"D\":\"pq\",\"E\":\"e\"}", "{}");
    expect("A = [1, 'b', # c\n (2,), {}, {'k': [None]},]\nA2: list = ()\n",
           "{\"A\":[1,\"b\",[2],{},{\"k\":[null]}],\"A2\":[]}", "{}");
    expect("A = 1\nA = 2\n", "{\"A\":2}", "{}");
    expect("A = '\\u00fc\\x41\\101'\n", "{\"A\":\"\u00fcAA\"}", "{}");
}

static void other_values(void **state)
{
    (void)state;
    expect("A = f()\nB = f'x'\nC = 1 + 1\nD = 'a'.b\nE = [x for x in y]\nF = G\nH = {1: 2}\n", "{}",
           "{\"A\":1,\"B\":2,\"C\":3,\"D\":4,\"E\":5,\"F\":6,\"H\":7}");
    expect("A = 1\nA = f()\n", "{}", "{\"A\":2}");
    expect("import os\nif x == 1:\n    A = 1\ndef f(a='b'):\n    return '''\nA = 2\n'''\nB == 3\n"
           "C += 1\nx.y = 2\n@d\nclass D: pass\n",
           "{}", "{}");
    expect("A = (1\nB = 2)\n", "{}", "{\"A\":1}");
    expect("A = 08 \\\n + 1\nB = 1;C = 2\n", "{}", "{\"A\":1,\"B\":3}");
}

static void what_never_ends(void **state)
{
    (void)state;
    static const char *const texts[] = {"A = '",         "A = 'a\nb'", "A = \"\"\"\n\n\"\"",
                                        "\n\nA = [1,\n", "f(\n",       "A = {'a': (}"};
    for (size_t i = 0; i < DZ_LEN(texts); i++) {
        json_t *v = NULL, *o = NULL;
        struct dz_err err = {0};
        assert_int_equal(library_python_read(dz_str_of(texts[i]), &v, &o, &err), DZ_PARSE);
        assert_null(v);
        assert_true(dz_str_starts(dz_str_of(err.text), i == 3 ? DZ_S("line 3:") : DZ_S("line 1:")));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(plain_values),
                                       cmocka_unit_test(other_values),
                                       cmocka_unit_test(what_never_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
