/*
 * migrate: the library of these settings into the catalog and store of others.
 *
 * In: two settings files. Out: a progress line, a summary or one JSON object, and an exit status.
 * The locks of both roles are held on both data folders, so that no server of this machine writes
 * meanwhile.
 */
#include "cli/cli_int.h"
#include "crawl/crawl.h"
#include "library/library.h"

enum { OPT_TO, OPT_QUICK, OPT_JSON };
static const struct dz_option options[] = {
    [OPT_TO] = {"to", "FILE", "settings that name the catalog and store to copy to", 0},
    [OPT_QUICK] = {"quick", NULL, "compare names and sizes only, read nothing again", 0},
    [OPT_JSON] = {"json", NULL, "the result as one JSON object on stdout", 0},
    {NULL, NULL, NULL, 0},
};

#define LOCKS 4

static void unlock(int (*fds)[LOCKS])
{
    for (size_t i = 0; i < LOCKS; i++)
        dz_closep(&(*fds)[i]);
}

static enum dz_code lock_both_roles(const struct dz_conf *conf, int fds[2], struct dz_err *err)
{
    DZ_TRY(dz_mkdirs(conf->data_dir, DZ_DATA_DIR_MODE, err));
    DZ_TRY(dz_role_lock(conf->data_dir, "front", &fds[0], err));
    return dz_role_lock(conf->data_dir, "back", &fds[1], err);
}

static enum dz_code lock_all(const struct dz_conf *from, const struct dz_conf *to, int fds[LOCKS],
                             struct dz_err *err)
{
    /* What is not there is said by the migration. */
    if (!dz_library_exists(from))
        return DZ_OK;
    DZ_TRY(lock_both_roles(from, fds, err));
    return dz_migrate_one_folder(from, to) ? DZ_OK : lock_both_roles(to, fds + 2, err);
}

static void on_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
    dz_progress_set(arg, done, total, what);
}

static void put_json(struct dz_buf *b, const struct dz_migrate_result *r, bool ok)
{
    const struct {
        const char *key;
        uint64_t n;
    } figures[] = {
        {"blobs", r->blobs},
        {"bytes", r->bytes},
        {"uploads", r->uploads},
        {"blobs_copied", r->blobs_copied},
        {"uploads_copied", r->uploads_copied},
        {"bytes_copied", r->bytes_copied},
        {"adopted", r->adopted},
        {"tables", r->tables},
        {"rows", r->rows},
    };
    struct dz_json j;
    dz_json_init(&j, b, DZ_JSON_COMPACT, false);
    dz_json_object(&j);
    dz_member_bool(&j, "ok", ok);
    dz_member_bool(&j, "store_same", r->store_same);
    dz_member_bool(&j, "catalog_same", r->catalog_same);
    dz_member_bool(&j, "catalog_there", r->catalog_there);
    for (size_t i = 0; i < DZ_LEN(figures); i++)
        dz_member_int(&j, figures[i].key, (int64_t)figures[i].n);
    dz_json_end(&j);
    dz_buf_putc(b, '\n');
}

static void put_summary(struct dz_buf *b, const struct dz_migrate_result *r, bool quick)
{
    if (r->store_same) {
        dz_buf_put(b, DZ_S("The store is the same; no file was copied.\n"));
    } else {
        dz_count_put(b, r->blobs_copied + r->uploads_copied, "file", "files");
        dz_buf_put(b, DZ_S(", "));
        dz_buf_put_size(b, r->bytes_copied);
        dz_buf_put(b, DZ_S(" copied; all of "));
        dz_count_put(b, r->blobs, "file", "files");
        dz_buf_put(b, DZ_S(" and "));
        dz_count_put(b, r->uploads, "upload", "uploads");
        dz_buf_put(b, quick ? DZ_S(" are there by name and size.\n")
                            : DZ_S(" are there and were read again.\n"));
    }
    if (r->adopted > 0) {
        dz_count_put(b, r->adopted, "upload", "uploads");
        dz_buf_put(b, DZ_S(" of another program came along.\n"));
    }
    if (r->catalog_same) {
        dz_buf_put(b, DZ_S("The catalog is the same; no record was copied.\n"));
        return;
    }
    dz_count_put(b, r->rows, "record", "records");
    dz_buf_put(b, r->catalog_there ? DZ_S(" were there already, all equal.\n")
                                   : DZ_S(" copied and compared.\n"));
}

static int migrate(const struct dz_args *a, struct dz_conf *from, struct dz_conf *to)
{
    DZ_AUTO(unlock) int fds[LOCKS] = {-1, -1, -1, -1};
    DZ_AUTO(dz_buf_done) struct dz_buf out;
    struct dz_progress progress;
    struct dz_migrate_result result = {0};
    struct dz_err err = {0};
    bool json = a->value[OPT_JSON] != NULL, quick = a->value[OPT_QUICK] != NULL;
    dz_buf_init(&out, 64 * DZ_KIB);
    dz_progress_begin(&progress, false, json);
    struct dz_migrate_options o = {.quick = quick, .progress = on_progress, .arg = &progress};
    enum dz_code code = lock_all(from, to, fds, &err);
    if (code == DZ_OK)
        code = dz_library_migrate(from, to, &o, &result, &err);
    dz_progress_clear(&progress);
    if (code != DZ_OK)
        dz_say(&dz_cmd_migrate, "%s", err.text);
    if (json)
        put_json(&out, &result, code == DZ_OK);
    else if (code == DZ_OK)
        put_summary(&out, &result, quick);
    dz_print(&out);
    return code == DZ_OK ? DZ_EXIT_OK : DZ_EXIT_FAILED;
}

static int run_migrate(int argc, char **argv)
{
    DZ_AUTO(dz_args_done) struct dz_args a = {0};
    DZ_AUTO(dz_conf_unref) struct dz_conf *from = NULL;
    DZ_AUTO(dz_conf_unref) struct dz_conf *to = NULL;
    int status;
    if (!dz_args_begin(&dz_cmd_migrate, argc, argv, &a, &status))
        return status;
    if (a.operands_n > 0)
        return dz_usage_error(&dz_cmd_migrate, "it takes no \"%.100s\"", a.operands[0]);
    if (!a.value[OPT_TO])
        return dz_usage_error(&dz_cmd_migrate, "--to FILE is missing: the settings to go to");
    if (!dz_settings_load(&dz_cmd_migrate, a.config, &from) ||
        !dz_settings_load(&dz_cmd_migrate, a.value[OPT_TO], &to))
        return DZ_EXIT_FAILED;
    return migrate(&a, from, to);
}

const struct dz_command dz_cmd_migrate = {
    .name = "migrate",
    .summary = "copy catalog and store into other databases, and compare",
    .usage = "migrate --to FILE [--quick] [--json]",
    .help = "Copies everything that these settings' catalog and store hold into the catalog\n"
            "and store that the settings in FILE name: SQLite or PostgreSQL, files,\n"
            "PostgreSQL or MongoDB, in any direction. What is the same in both settings is\n"
            "left alone. All that was copied is read again and compared. The source is not\n"
            "changed; nothing is deleted. A run that was ended half-way is finished by the\n"
            "next one.\n"
            "\n"
            "Stop dozo first. Variables such as DOZO_STORE_URI would count for both\n"
            "settings. Archives of pages (data_dir/html) are files and stay where they are.\n"
            "\n"
            "Exit status: 0 all is there and equal, 1 it is not, 2 wrong use.",
    .options = options,
    .run = run_migrate,
};
