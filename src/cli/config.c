/*
 * config: settings checked, shown, and explained.
 *
 * In: a verb, a settings file, the environment. Out: every fault of the file, a line each on stderr
 * as "FILE:LINE: key: words", in the form that editors jump to; or the settings in effect, secrets
 * hidden; or the text of docs/settings.md. Opens nothing else: neither catalog nor store.
 */
#include "cli/cli_int.h"

#define REPORT_BYTES_MAX DZ_MIB
#define OUT_BYTES_MAX (4 * DZ_MIB)

extern char **environ;

enum { OPT_JSON };
static const struct dz_option options[] = {
    [OPT_JSON] = {"json", NULL, "check and dump: one JSON object on stdout", 0},
    {NULL, NULL, NULL, 0},
};

/* Loads the settings and asks what only a server would; every fault becomes a line of the report.
 */
static enum dz_code load(const char *path, struct dz_conf **ret_conf, struct dz_buf *report)
{
    struct dz_err err = {0};
    enum dz_code code = dz_conf_load(path, environ, ret_conf, report, &err);
    if (code == DZ_OK)
        code = dz_conf_check_serve(*ret_conf, &err);
    if (code == DZ_OK)
        code = dz_api_check_start(*ret_conf, &err);
    if (code != DZ_OK && report->n == 0) {
        dz_buf_put(report, dz_str_of(err.text));
        dz_buf_putc(report, '\n');
    }
    return code;
}

static void say_faults(const struct dz_buf *report)
{
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, 4 * REPORT_BYTES_MAX);
    struct dz_cursor c;
    dz_cursor_init(&c, dz_buf_str(report));
    while (!dz_cursor_end(&c)) {
        dz_text_put(&out, dz_cursor_until(&c, '\n'), SIZE_MAX);
        dz_buf_putc(&out, '\n');
        dz_cursor_next(&c);
    }
    if (out.n > 0)
        (void)!fwrite(out.p, 1, out.n, stderr);
}

static void put_check_json(struct dz_buf *out, const char *file, const struct dz_buf *report)
{
    struct dz_json j;
    dz_json_init(&j, out, DZ_JSON_COMPACT, false);
    dz_json_object(&j);
    dz_json_key(&j, DZ_S("ok"));
    dz_json_bool(&j, report->n == 0);
    dz_json_key(&j, DZ_S("file"));
    if (file)
        dz_json_str(&j, dz_str_of(file));
    else
        dz_json_null(&j);
    dz_json_key(&j, DZ_S("faults"));
    dz_json_array(&j);
    struct dz_cursor c;
    dz_cursor_init(&c, dz_buf_str(report));
    while (!dz_cursor_end(&c)) {
        dz_json_str(&j, dz_cursor_until(&c, '\n'));
        dz_cursor_next(&c);
    }
    dz_json_end(&j);
    dz_json_end(&j);
    dz_buf_putc(out, '\n');
}

static int check(const struct dz_args *a)
{
    struct dz_buf report DZ_AUTO(dz_buf_done), out DZ_AUTO(dz_buf_done);
    dz_buf_init(&report, REPORT_BYTES_MAX);
    dz_buf_init(&out, OUT_BYTES_MAX);
    DZ_AUTO(dz_conf_unref) struct dz_conf *conf = NULL;
    enum dz_code code = load(a->config, &conf, &report);
    const char *file = conf && conf->file ? conf->file : a->config;
    if (a->value[OPT_JSON]) {
        put_check_json(&out, file, &report);
    } else if (code != DZ_OK) {
        say_faults(&report);
    } else {
        dz_text_put(&out, file ? dz_str_of(file) : DZ_S("defaults (there is no dozo.yaml here)"),
                    SIZE_MAX);
        dz_buf_put(&out, DZ_S(": ok\n"));
    }
    dz_print(&out);
    return code == DZ_OK ? DZ_EXIT_OK : DZ_EXIT_FAILED;
}

static int dump(const struct dz_args *a)
{
    DZ_AUTO(dz_conf_unref) struct dz_conf *conf = NULL;
    if (!dz_settings_load(&dz_cmd_config, a->config, &conf))
        return DZ_EXIT_FAILED;
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, OUT_BYTES_MAX);
    if (a->value[OPT_JSON])
        dz_conf_dump_json(conf, &out);
    else
        dz_conf_dump(conf, &out);
    if (out.n > 0 && out.p[out.n - 1] != '\n')
        dz_buf_putc(&out, '\n');
    if (out.full) {
        dz_say(&dz_cmd_config, "the settings are too large to be shown");
        return DZ_EXIT_FAILED;
    }
    dz_print(&out);
    return DZ_EXIT_OK;
}

static int docs(const struct dz_args *a)
{
    if (a->value[OPT_JSON])
        return dz_usage_error(&dz_cmd_config, "--json is for check and dump");
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, OUT_BYTES_MAX);
    dz_conf_docs(&out);
    dz_print(&out);
    return DZ_EXIT_OK;
}

static const struct {
    const char *name;
    int (*run)(const struct dz_args *a);
} verbs[] = {{"check", check}, {"dump", dump}, {"docs", docs}};

static const char *verb_name_at(const void *table, size_t i)
{
    (void)table;
    return i < DZ_LEN(verbs) ? verbs[i].name : NULL;
}

static int run_config(int argc, char **argv)
{
    struct dz_args a DZ_AUTO(dz_args_done) = {0};
    int status;
    if (!dz_args_begin(&dz_cmd_config, argc, argv, &a, &status))
        return status;
    if (a.operands_n == 0)
        return dz_usage_error(&dz_cmd_config, "check, dump or docs?");
    if (a.operands_n > 1)
        return dz_usage_error(&dz_cmd_config, "unexpected \"%.100s\"", a.operands[1]);
    for (size_t i = 0; i < DZ_LEN(verbs); i++)
        if (strcmp(a.operands[0], verbs[i].name) == 0)
            return verbs[i].run(&a);
    const char *near = dz_nearest(dz_str_of(a.operands[0]), verb_name_at, NULL);
    if (near)
        return dz_usage_error(&dz_cmd_config, "unknown \"%.100s\"; did you mean %s?", a.operands[0],
                              near);
    return dz_usage_error(&dz_cmd_config, "unknown \"%.100s\": check, dump or docs", a.operands[0]);
}

const struct dz_command dz_cmd_config = {
    .name = "config",
    .summary = "check the settings, show them, explain them",
    .usage = "config check [--config FILE]\n"
             "config dump [--config FILE]\n"
             "config docs",
    .help = "check  names every fault of the settings file with its line; opens nothing\n"
            "dump   shows the settings in effect: file, environment, defaults; secrets as ***\n"
            "docs   prints every setting with type, default and meaning, as Markdown\n"
            "\n"
            "Exit status: 0 fine, 1 the settings are at fault, 2 wrong use.",
    .options = options,
    .run = run_config,
};
