/*
 * source: tests of sources, and new ones.
 *
 * In: `test` and folders or names of sources, `new` and a name. Out: a line a case on stdout, with
 * what was expected and what came under those that fail, or one JSON object; the exit status says
 * whether all passed. Nothing is asked of any site, unless --record says so. The settings are read
 * only to find the folder of sources that are named without one.
 */
#include "source/source.h"
#include "cli/cli_int.h"

#include <sys/stat.h>

#define OUT_BYTES_MAX (16 * DZ_MIB)
#define PATH_BYTES_MAX 4096

enum { OPT_DIR, OPT_RECORD, OPT_JSON };
static const struct dz_option options[] = {
    [OPT_DIR] = {"dir", "FOLDER", "new: where the source's folder is made", 0},
    [OPT_RECORD] = {"record", NULL, "test: ask the site for what is not recorded", 0},
    [OPT_JSON] = {"json", NULL, "test: the result as one JSON object on stdout", 0},
    {NULL, NULL, NULL, 0},
};

struct tester {
    bool json;
    struct dz_buf out;
    struct dz_json j;
    const char *dir;
    const struct dz_fetch_options *record;
    unsigned passed, failed;
};

/* ---- what is told of a test ------------------------------------------------------------------ */

static void put_lines(struct dz_buf *out, const char *text)
{
    struct dz_cursor c;
    dz_cursor_init(&c, dz_str_of(text));
    while (!dz_cursor_end(&c)) {
        dz_buf_put(out, DZ_S("        "));
        dz_text_put(out, dz_cursor_until(&c, '\n'), SIZE_MAX);
        dz_buf_putc(out, '\n');
        dz_cursor_next(&c);
    }
}

static void put_str(struct tester *t, const char *key, const char *text)
{
    dz_json_key(&t->j, dz_str_of(key));
    dz_json_str(&t->j, dz_str_of(text));
}

static void flush(struct tester *t)
{
    if (t->json)
        return;
    dz_print(&t->out);
    fflush(stdout);
    dz_buf_clear(&t->out);
}

static void on_began(void *arg, const struct dz_source_info *info)
{
    struct tester *t = arg;
    if (t->json) {
        dz_json_object(&t->j);
        put_str(t, "id", info->id.p);
        put_str(t, "folder", t->dir);
        dz_json_key(&t->j, DZ_S("cases"));
        dz_json_array(&t->j);
        return;
    }
    dz_text_put(&t->out, info->id, SIZE_MAX);
    dz_buf_put(&t->out, DZ_S(" ("));
    dz_text_put(&t->out, dz_str_of(t->dir), SIZE_MAX);
    dz_buf_put(&t->out, DZ_S(")\n"));
}

static void on_ended(void *arg, const char *name, const char *problems, int64_t took_ms)
{
    struct tester *t = arg;
    if (t->json) {
        dz_json_object(&t->j);
        put_str(t, "name", name);
        dz_json_key(&t->j, DZ_S("ok"));
        dz_json_bool(&t->j, problems == NULL);
        dz_json_key(&t->j, DZ_S("took_ms"));
        dz_json_int(&t->j, took_ms);
        if (problems)
            put_str(t, "problems", problems);
        dz_json_end(&t->j);
        return;
    }
    dz_buf_put(&t->out, problems ? DZ_S("  FAIL  ") : DZ_S("  ok    "));
    dz_text_put(&t->out, dz_str_of(name), SIZE_MAX);
    dz_buf_putc(&t->out, '\n');
    if (problems)
        put_lines(&t->out, problems);
    flush(t);
}

static void on_untested(void *arg, const char *function)
{
    struct tester *t = arg;
    if (!t->json)
        dz_buf_putf(&t->out, "  note  no case calls %s\n", function);
}

static void on_log(void *arg, dz_str text)
{
    struct tester *t = arg;
    if (t->json)
        return;
    dz_buf_put(&t->out, DZ_S("  log   "));
    dz_text_put(&t->out, text, SIZE_MAX);
    dz_buf_putc(&t->out, '\n');
}

/* ---- finding and running --------------------------------------------------------------------- */

static bool has_source(const char *dir)
{
    char path[PATH_BYTES_MAX];
    struct stat st;
    return (size_t)snprintf(path, sizeof(path), "%s/source.lua", dir) < sizeof(path) &&
           stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* A folder, or a name in one of sources.dir. false: said. */
static bool find_dir(const char *named, const struct dz_args *a, struct dz_conf **conf, char *dir,
                     size_t n)
{
    if ((size_t)snprintf(dir, n, "%s", named) < n && has_source(dir))
        return true;
    if (!*conf && !dz_settings_load(&dz_cmd_source, a->config, conf))
        return false;
    for (size_t i = 0; !strchr(named, '/') && i < (*conf)->sources.dir.n; i++)
        if ((size_t)snprintf(dir, n, "%s/%s", (*conf)->sources.dir.v[i], named) < n &&
            has_source(dir))
            return true;
    dz_say(&dz_cmd_source, "%s: there is no source.lua in that folder, nor in one of sources.dir",
           named);
    return false;
}

static bool test_one(struct tester *t, const char *dir)
{
    struct dz_source_test test = {.dir = dir,
                                  .record = t->record,
                                  .began = on_began,
                                  .ended = on_ended,
                                  .untested = on_untested,
                                  .log = on_log,
                                  .arg = t};
    struct dz_err err;
    t->dir = dir;
    if (dz_source_test(&test, &err) != DZ_OK) {
        dz_say(&dz_cmd_source, "%s", err.text);
        return false;
    }
    if (t->json) {
        dz_json_end(&t->j);
        dz_json_key(&t->j, DZ_S("recorded"));
        dz_json_int(&t->j, test.recorded);
        dz_json_end(&t->j);
    } else if (test.recorded) {
        dz_buf_put(&t->out, DZ_S("  note  "));
        dz_count_put(&t->out, test.recorded, "exchange", "exchanges");
        dz_buf_put(&t->out, DZ_S(" written to fixtures/recorded.http\n"));
    }
    flush(t);
    t->passed += test.passed;
    t->failed += test.failed;
    return true;
}

static void put_end(struct tester *t, unsigned broken)
{
    if (t->json) {
        dz_json_end(&t->j);
        dz_json_key(&t->j, DZ_S("passed"));
        dz_json_int(&t->j, t->passed);
        dz_json_key(&t->j, DZ_S("failed"));
        dz_json_int(&t->j, t->failed);
        dz_json_key(&t->j, DZ_S("not_tested"));
        dz_json_int(&t->j, broken);
        dz_json_end(&t->j);
        dz_buf_putc(&t->out, '\n');
    } else {
        dz_buf_putf(&t->out, "%u passed, %u failed", t->passed, t->failed);
        if (broken)
            dz_buf_putf(&t->out, ", %u not tested", broken);
        dz_buf_putc(&t->out, '\n');
    }
    dz_print(&t->out);
}

static struct dz_fetch_options record_ways(const struct dz_conf *conf)
{
    const char *agent = conf->sources.user_agent;
    return (struct dz_fetch_options){
        .user_agent = agent && agent[0] ? agent : "dozo/" DZ_VERSION,
        .connect_timeout_ms = conf->sources.connect_timeout_ms,
        .read_timeout_ms = conf->sources.read_timeout_ms,
    };
}

static int run_tests(const struct dz_args *a)
{
    if (a->value[OPT_DIR])
        return dz_usage_error(&dz_cmd_source, "--dir is for new");
    if (a->operands_n < 2)
        return dz_usage_error(&dz_cmd_source, "which source? Give folders or names");
    struct tester t = {.json = a->value[OPT_JSON] != NULL};
    DZ_AUTO(dz_conf_unref) struct dz_conf *conf = NULL;
    unsigned broken = 0;
    struct dz_fetch_options ways;
    if (a->value[OPT_RECORD]) {
        if (!dz_settings_load(&dz_cmd_source, a->config, &conf))
            return DZ_EXIT_FAILED;
        ways = record_ways(conf);
        t.record = &ways;
    }
    dz_buf_init(&t.out, OUT_BYTES_MAX);
    dz_json_init(&t.j, &t.out, DZ_JSON_COMPACT, false);
    if (t.json) {
        dz_json_object(&t.j);
        dz_json_key(&t.j, DZ_S("sources"));
        dz_json_array(&t.j);
    }
    for (size_t i = 1; i < a->operands_n; i++) {
        char dir[PATH_BYTES_MAX];
        if (!find_dir(a->operands[i], a, &conf, dir, sizeof(dir)) || !test_one(&t, dir))
            broken++;
    }
    put_end(&t, broken);
    dz_buf_done(&t.out);
    return t.failed || broken ? DZ_EXIT_FAILED : DZ_EXIT_OK;
}

/* ---- a new one ------------------------------------------------------------------------------- */

static int make_new(const struct dz_args *a)
{
    if (a->value[OPT_JSON] || a->value[OPT_RECORD])
        return dz_usage_error(&dz_cmd_source, "--json and --record are for test");
    if (a->operands_n != 2)
        return dz_usage_error(&dz_cmd_source, "new takes one name");
    DZ_AUTO(dz_conf_unref) struct dz_conf *conf = NULL;
    const char *dir = a->value[OPT_DIR];
    if (!dir && !dz_settings_load(&dz_cmd_source, a->config, &conf))
        return DZ_EXIT_FAILED;
    if (!dir)
        dir = conf->sources.dir.n ? conf->sources.dir.v[0] : ".";
    struct dz_buf folder DZ_AUTO(dz_buf_done);
    dz_buf_init(&folder, PATH_BYTES_MAX);
    struct dz_err err;
    enum dz_code code = dz_source_new(dir, a->operands[1], &folder, &err);
    if (code != DZ_OK) {
        dz_say(&dz_cmd_source, "%s", err.text);
        return code == DZ_BAD_INPUT ? DZ_EXIT_USAGE : DZ_EXIT_FAILED;
    }
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, 4 * PATH_BYTES_MAX + DZ_KIB);
    dz_text_put(&out, dz_buf_str(&folder), SIZE_MAX);
    dz_buf_put(&out, DZ_S(": source.lua, expect.json and fixtures/site.http written\n"));
    dz_print(&out);
    return DZ_EXIT_OK;
}

static const struct {
    const char *name;
    int (*run)(const struct dz_args *a);
} verbs[] = {{"test", run_tests}, {"new", make_new}};

static const char *verb_name_at(const void *table, size_t i)
{
    (void)table;
    return i < DZ_LEN(verbs) ? verbs[i].name : NULL;
}

static int run_source(int argc, char **argv)
{
    struct dz_args a DZ_AUTO(dz_args_done) = {0};
    int status;
    if (!dz_args_begin(&dz_cmd_source, argc, argv, &a, &status))
        return status;
    if (a.operands_n == 0)
        return dz_usage_error(&dz_cmd_source, "test or new?");
    for (size_t i = 0; i < DZ_LEN(verbs); i++)
        if (strcmp(a.operands[0], verbs[i].name) == 0)
            return verbs[i].run(&a);
    const char *near = dz_nearest(dz_str_of(a.operands[0]), verb_name_at, NULL);
    if (near)
        return dz_usage_error(&dz_cmd_source, "unknown \"%.100s\"; did you mean %s?", a.operands[0],
                              near);
    return dz_usage_error(&dz_cmd_source, "unknown \"%.100s\": test or new", a.operands[0]);
}

const struct dz_command dz_cmd_source = {
    .name = "source",
    .summary = "test sources without asking their sites, begin a new one",
    .usage = "source test FOLDER|NAME... [--record] [--json]\n"
             "source new NAME [--dir FOLDER]",
    .help = "test  calls the functions of source.lua as expect.json says, with the recorded\n"
            "      exchanges of fixtures/ in place of the site, and compares; nothing leaves;\n"
            "      with --record what is not recorded is asked of the site and written to\n"
            "      fixtures/recorded.http\n"
            "new   writes a commented source with a test that passes, in a folder of its own\n"
            "\n"
            "A name is looked for in the folders of the setting sources.dir; new makes its\n"
            "folder in the first of them, unless --dir names another one.\n"
            "\n"
            "Exit status: 0 all passed, 1 something failed, 2 wrong use.",
    .options = options,
    .run = run_source,
};
