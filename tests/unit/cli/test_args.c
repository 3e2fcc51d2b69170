/*
 * The option parser: where options may stand, what is refused and in which words, the nearest name.
 */
#include "test.h"

#include "cli/cli_int.h"

enum { SERIES, SHELF, JSON, QUIET };
static const struct dz_option options[] = {
    [SERIES] = {"series", "NAME", "s", 's'},
    [SHELF] = {"shelf", "NAME", "h", 0},
    [JSON] = {"json", NULL, "j", 0},
    [QUIET] = {"quiet", NULL, "q", 'q'},
    {NULL, NULL, NULL, 0},
};

#define ARGV(...) ((char *[]){"import", __VA_ARGS__, NULL})
#define ARGC(...) ((int)DZ_LEN(((const char *[]){"import", __VA_ARGS__})))
#define read_args(a, ...)                                                                          \
    must(dz_args_read(options, ARGC(__VA_ARGS__), ARGV(__VA_ARGS__), &(a), err))

static void options_stand_anywhere(void **state)
{
    (void)state;
    struct dz_args a;
    read_args(a, "--json", "one", "--series", "A B", "two", "--shelf=komi", "--config", "x.yaml");
    assert_int_equal(a.operands_n, 2);
    assert_string_equal(a.operands[0], "one");
    assert_string_equal(a.operands[1], "two");
    assert_string_equal(a.value[SERIES], "A B");
    assert_string_equal(a.value[SHELF], "komi");
    assert_string_equal(a.value[JSON], "");
    assert_null(a.value[QUIET]);
    assert_string_equal(a.config, "x.yaml");
    assert_false(a.help);
    dz_args_done(&a);
}

static void two_dashes_end_options(void **state)
{
    (void)state;
    struct dz_args a;
    read_args(a, "--quiet", "--", "--json", "-x", "--", "-");
    assert_non_null(a.value[QUIET]);
    assert_null(a.value[JSON]);
    assert_int_equal(a.operands_n, 4);
    assert_string_equal(a.operands[0], "--json");
    assert_string_equal(a.operands[2], "--");
    dz_args_done(&a);
}

static void odd_values_are_taken_as_they_are(void **state)
{
    (void)state;
    struct dz_args a;
    read_args(a, "--series", "--json", "--shelf=a=b", "-", "", "日本語");
    assert_string_equal(a.value[SERIES], "--json");
    assert_null(a.value[JSON]);
    assert_string_equal(a.value[SHELF], "a=b");
    assert_int_equal(a.operands_n, 3);
    assert_string_equal(a.operands[0], "-");
    assert_string_equal(a.operands[1], "");
    dz_args_done(&a);
}

static void nothing_is_fine(void **state)
{
    (void)state;
    struct dz_args a;
    char *argv[] = {"check", NULL};
    must(dz_args_read(NULL, 1, argv, &a, err));
    assert_int_equal(a.operands_n, 0);
    dz_args_done(&a);
    char *help[] = {"check", "-h", NULL};
    must(dz_args_read(NULL, 2, help, &a, err));
    assert_true(a.help);
    dz_args_done(&a);
}

static void switches_may_repeat(void **state)
{
    (void)state;
    struct dz_args a;
    read_args(a, "--json", "--json", "--help", "--help");
    assert_non_null(a.value[JSON]);
    assert_true(a.help);
    dz_args_done(&a);
}

static void assert_refused(int argc, char **argv, const char *words)
{
    struct dz_args a;
    struct dz_err err = {0};
    assert_int_equal(dz_args_read(options, argc, argv, &a, &err), DZ_BAD_INPUT);
    assert_string_equal(err.text, words);
}
#define refused(words, ...) assert_refused(ARGC(__VA_ARGS__), ARGV(__VA_ARGS__), words)

static void options_have_letters(void **state)
{
    (void)state;
    struct dz_args a;
    read_args(a, "-q", "one", "-s", "x y");
    assert_non_null(a.value[QUIET]);
    assert_string_equal(a.value[SERIES], "x y");
    assert_int_equal(a.operands_n, 1);
    dz_args_done(&a);
    read_args(a, "-s3", "-h");
    assert_string_equal(a.value[SERIES], "3");
    assert_true(a.help);
    dz_args_done(&a);
    refused("unknown option \"-qs\"", "-qs");
    refused("unknown option \"-j\"; did you mean --json?", "-j");
    refused("--series needs a value: --series NAME", "-s");
    refused("--series is given twice", "-s", "a", "--series=b");
}

static void wrong_use_is_named(void **state)
{
    (void)state;
    refused("unknown option \"--seres=x\"; did you mean --series?", "--seres=x");
    refused("unknown option \"--confg\"; did you mean --config?", "a", "--confg", "f");
    refused("unknown option \"--JSN\"; did you mean --json?", "--JSN");
    refused("unknown option \"--ser\"; did you mean --series?", "--ser", "x");
    refused("unknown option \"--paralellism\"", "--paralellism");
    refused("unknown option \"-x\"", "-x");
    refused("unknown option \"-json\"; did you mean --json?", "-json");
    refused("--json takes no value", "--json=yes");
    refused("--help takes no value", "--help=");
    refused("--shelf needs a value: --shelf NAME", "a", "--shelf");
    refused("--shelf needs a value: --shelf NAME", "--shelf=");
    refused("--shelf needs a value: --shelf NAME", "--shelf", "");
    refused("--config needs a value: --config FILE", "--config");
    refused("--series is given twice", "--series", "a", "--series=a");
    refused("--config is given twice", "--config", "a", "--config", "b");
}

static const char *const names[] = {"serve",    "import",  "check", "config",
                                    "password", "version", NULL};
static const char *name_at(const void *table, size_t i)
{
    return ((const char *const *)table)[i];
}
static const char *nearest(const char *typed)
{
    return dz_nearest(dz_str_of(typed), name_at, names);
}

static void nearest_name(void **state)
{
    (void)state;
    assert_string_equal(nearest("imprt"), "import");
    assert_string_equal(nearest("improt"), "import");
    assert_string_equal(nearest("IMPORT"), "import");
    assert_string_equal(nearest("chekc"), "check");
    assert_string_equal(nearest("conf"), "config");
    assert_string_equal(nearest("pass"), "password");
    assert_string_equal(nearest("pasword"), "password");
    assert_string_equal(nearest("server"), "serve");
    assert_string_equal(nearest("s"), "serve");
    assert_null(nearest("frobnicate"));
    assert_null(nearest(""));
    assert_null(nearest("x"));
    char long_name[5000];
    memset(long_name, 'i', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_null(nearest(long_name));
}

static void help_lists_every_option(void **state)
{
    (void)state;
    const struct dz_command cmd = {.name = "import",
                                   .usage = "import PATH…\nimport komizip A B",
                                   .help = "Words.",
                                   .options = options};
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, DZ_MIB);
    dz_help_put(&cmd, &out);
    assert_string_equal(
        dz_buf_cstr(&out),
        "Usage: dozo import PATH…\n"
        "       dozo import komizip A B\n"
        "\n"
        "Words.\n"
        "\n"
        "Options:\n"
        "  -s, --series NAME       s\n"
        "  --shelf NAME            h\n"
        "  --json                  j\n"
        "  -q, --quiet             q\n"
        "  --config FILE           settings file (default: ./dozo.yaml when it exists)\n"
        "  -h, --help              this text\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_anywhere),
        cmocka_unit_test(two_dashes_end_options),
        cmocka_unit_test(odd_values_are_taken_as_they_are),
        cmocka_unit_test(nothing_is_fine),
        cmocka_unit_test(switches_may_repeat),
        cmocka_unit_test(options_have_letters),
        cmocka_unit_test(wrong_use_is_named),
        cmocka_unit_test(nearest_name),
        cmocka_unit_test(help_lists_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
