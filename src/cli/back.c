/*
 * back: the back role as `dozo serve` starts it.
 *
 * In: settings. Out: the exit status of the role. Gives the crawl room the one thing that lies in a
 * later room: reading folders and archives of this machine, for the source `local`. Worker threads
 * of the back call it.
 */
#include "cli/cli_int.h"
#include "crawl/crawl.h"
#include "library/library.h"

static void on_event(void *arg, const struct dz_import_event *e)
{
    (void)arg;
    static const struct dz_log_ctx ctx = {.room = "crawl", .what = "local"};
    if (e->kind == DZ_IMPORT_WARNING || e->kind == DZ_IMPORT_ERROR)
        dz_log(&ctx, DZ_WARN, "%s%s%s: %s", e->path, e->entry ? ": " : "", e->entry ? e->entry : "",
               e->text ? e->text : "cannot be used");
}

enum dz_code dz_cli_import_paths(void *arg, const char *const *paths, size_t n, atomic_bool *stop,
                                 uint64_t *ret_chapters, struct dz_err *err)
{
    struct dz_conf *conf = arg;
    DZ_AUTO(dz_library_close) struct dz_library *l = NULL;
    DZ_TRY(dz_library_open(conf, &l, err));
    struct dz_import_options o = {.event = on_event, .stop = stop};
    struct dz_import_result result = {0};
    enum dz_code code = dz_library_import(l, paths, n, &o, &result, err);
    *ret_chapters = result.chapters_new + result.chapters_changed;
    return code;
}

int dz_cli_back(struct dz_conf *conf, const char *config_path)
{
    struct dz_back_hooks hooks = {.import = dz_cli_import_paths, .arg = conf};
    return dz_back_main(conf, config_path, &hooks);
}
