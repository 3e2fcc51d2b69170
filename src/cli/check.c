/*
 * check: whether catalog and store agree, and mending where they do not.
 *
 * In: options. Out: a line a problem and a summary on stdout, or one JSON object; the exit status
 * says whether problems are left. Reading every blob takes as long as reading the disk, so there is
 * a line of progress and --quick.
 */
#include "cli/cli_int.h"
#include "crawl/crawl.h"
#include "library/library.h"

#define JSON_BYTES_MAX (16 * DZ_MIB)
#define PROBLEMS_BYTES_MAX (15 * DZ_MIB)

enum { OPT_REPAIR, OPT_DIGESTS, OPT_QUICK, OPT_JSON };
static const struct dz_option options[] = {
    [OPT_REPAIR] = {"repair", NULL, "mend what can be mended, remove leftovers", 0},
    [OPT_DIGESTS] = {"digests", NULL, "read every file and compare its digest (the default)", 0},
    [OPT_QUICK] = {"quick", NULL, "only names and sizes, no file is read", 0},
    [OPT_JSON] = {"json", NULL, "the result as one JSON object on stdout", 0},
    {NULL, NULL, NULL, 0},
};

struct run {
    struct dz_progress progress;
    bool json;
    struct dz_buf list; /* JSON array of problems so far */
    struct dz_json writer;
    uint64_t unlisted;
};

static void on_problem(void *arg, bool repaired, const char *text)
{
    struct run *r = arg;
    if (r->json) {
        if (r->list.n > PROBLEMS_BYTES_MAX) {
            r->unlisted++;
            return;
        }
        dz_json_object(&r->writer);
        dz_json_key(&r->writer, DZ_S("text"));
        dz_json_str(&r->writer, dz_str_of(text));
        dz_json_key(&r->writer, DZ_S("repaired"));
        dz_json_bool(&r->writer, repaired);
        dz_json_end(&r->writer);
        return;
    }
    struct dz_buf line DZ_AUTO(dz_buf_done);
    dz_buf_init(&line, 64 * DZ_KIB);
    dz_buf_put(&line, repaired ? DZ_S("mended: ") : DZ_S("problem: "));
    dz_text_put(&line, dz_str_of(text), SIZE_MAX);
    dz_buf_putc(&line, '\n');
    dz_progress_clear(&r->progress);
    dz_print(&line);
    fflush(stdout);
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct run *r = arg;
    dz_progress_set(&r->progress, done, total, "files checked");
}

static uint64_t left_of(const struct dz_check_result *res)
{
    return res->problems > res->repaired ? res->problems - res->repaired : 0;
}

static void put_summary(struct dz_buf *b, const struct dz_check_result *res, bool repair)
{
    dz_count_put(b, res->blobs, "file", "files");
    dz_buf_put(b, DZ_S(", "));
    dz_buf_put_size(b, res->bytes);
    dz_buf_put(b, DZ_S(": "));
    if (res->problems == 0) {
        dz_buf_put(b, DZ_S("clean"));
    } else {
        dz_count_put(b, res->problems, "problem", "problems");
        dz_buf_put(b, DZ_S(", "));
        dz_buf_put_u64(b, res->repaired);
        dz_buf_put(b, DZ_S(" mended, "));
        dz_buf_put_u64(b, left_of(res));
        dz_buf_put(b, DZ_S(" left"));
    }
    if (res->leftovers > 0) {
        dz_buf_put(b, DZ_S("; "));
        dz_count_put(b, res->leftovers, "harmless leftover", "harmless leftovers");
        dz_buf_put(b, repair ? DZ_S(" removed") : DZ_S(" (--repair removes them)"));
    }
    if (res->young > 0) {
        dz_buf_put(b, DZ_S(", but "));
        dz_buf_put_u64(b, res->young);
        dz_buf_put(b, DZ_S(" of the last hour left"));
    }
    dz_buf_putc(b, '\n');
}

static void put_json(struct dz_buf *b, const struct run *r, const struct dz_check_result *res)
{
    const struct {
        const char *key;
        uint64_t n;
    } figures[] = {
        {"blobs", res->blobs},       {"bytes", res->bytes},         {"problems", res->problems},
        {"repaired", res->repaired}, {"leftovers", res->leftovers}, {"young", res->young},
        {"unlisted", r->unlisted},
    };
    struct dz_json j;
    dz_json_init(&j, b, DZ_JSON_COMPACT, false);
    dz_json_object(&j);
    dz_member_bool(&j, "ok", left_of(res) == 0);
    for (size_t i = 0; i < DZ_LEN(figures); i++)
        dz_member_int(&j, figures[i].key, (int64_t)figures[i].n);
    dz_json_key(&j, DZ_S("problem_list"));
    dz_json_raw(&j, dz_buf_str(&r->list));
    dz_json_end(&j);
    dz_buf_putc(b, '\n');
}

static int check_with(struct run *r, const struct dz_args *a, struct dz_conf *conf)
{
    DZ_AUTO(dz_library_close) struct dz_library *l = NULL;
    struct dz_err err = {0};
    if (!dz_library_exists(conf)) {
        dz_say(&dz_cmd_check, "no library in %s", conf->data_dir);
        return DZ_EXIT_FAILED;
    }
    if (dz_library_open(conf, &l, &err) != DZ_OK) {
        dz_say(&dz_cmd_check, "%s", err.text);
        return DZ_EXIT_FAILED;
    }
    struct dz_check_options o = {
        .repair = a->value[OPT_REPAIR] != NULL,
        .digests = a->value[OPT_QUICK] == NULL,
        .problem = on_problem,
        .progress = on_progress,
        .arg = r,
    };
    dz_progress_begin(&r->progress, false, false);
    struct dz_check_result result = {0};
    enum dz_code code = dz_library_check(l, &o, &result, &err);
    dz_progress_clear(&r->progress);
    if (code != DZ_OK) {
        dz_say(&dz_cmd_check, "%s", err.text);
        return DZ_EXIT_FAILED;
    }
    if (result.repaired > 0)
        dz_bus_tell_changed(conf->data_dir);
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, JSON_BYTES_MAX);
    if (r->json) {
        dz_json_end(&r->writer);
        put_json(&out, r, &result);
    } else {
        put_summary(&out, &result, o.repair);
    }
    dz_print(&out);
    return left_of(&result) == 0 ? DZ_EXIT_OK : DZ_EXIT_FAILED;
}

static int run_check(int argc, char **argv)
{
    struct dz_args a DZ_AUTO(dz_args_done) = {0};
    int status;
    if (!dz_args_begin(&dz_cmd_check, argc, argv, &a, &status))
        return status;
    if (a.operands_n > 0)
        return dz_usage_error(&dz_cmd_check, "unexpected \"%.100s\"", a.operands[0]);
    if (a.value[OPT_DIGESTS] && a.value[OPT_QUICK])
        return dz_usage_error(&dz_cmd_check, "--digests and --quick exclude each other");
    DZ_AUTO(dz_conf_unref) struct dz_conf *conf = NULL;
    if (!dz_settings_load(&dz_cmd_check, a.config, &conf))
        return DZ_EXIT_FAILED;
    struct run r = {.json = a.value[OPT_JSON] != NULL};
    dz_buf_init(&r.list, JSON_BYTES_MAX);
    dz_json_init(&r.writer, &r.list, DZ_JSON_COMPACT, false);
    dz_json_array(&r.writer);
    status = check_with(&r, &a, conf);
    dz_buf_done(&r.list);
    return status;
}

const struct dz_command dz_cmd_check = {
    .name = "check",
    .summary = "compare catalog and files, both ways; mend with --repair",
    .usage = "check [--repair] [--digests | --quick] [--json]",
    .help = "Compares what the catalog says with the files that are there: pages without a\n"
            "file, files of a wrong size, damaged files, wrong counts, files that nothing\n"
            "refers to. With --repair counts are mended, leftovers removed, damaged files\n"
            "moved to data_dir/damaged, and chapters with lost pages are marked so that the\n"
            "next import brings them back. A file that cannot be read now is named and left\n"
            "as it is.\n"
            "\n"
            "Exit status: 0 clean or all mended, 1 problems are left, 2 wrong use.",
    .options = options,
    .run = run_check,
};
