/*
 * settings: what every command that needs settings does first.
 *
 * In: --config or nothing, and the environment. Out: settings and a log on stderr that keeps to
 * them; or every fault of the file, a line each, so that one run of the editor mends them all.
 */
#include "cli/cli_int.h"

#define REPORT_BYTES_MAX (256 * DZ_KIB)

extern char **environ;

bool dz_settings_load(const struct dz_command *cmd, const char *path, struct dz_conf **ret_conf)
{
    struct dz_buf report DZ_AUTO(dz_buf_done);
    dz_buf_init(&report, REPORT_BYTES_MAX);
    struct dz_conf *conf = NULL;
    struct dz_err err;
    if (dz_conf_load(path, environ, &conf, &report, &err) != DZ_OK) {
        if (report.n == 0)
            dz_say(cmd, "%s", err.text);
        struct dz_cursor c;
        dz_cursor_init(&c, dz_buf_str(&report));
        while (!dz_cursor_end(&c)) {
            dz_str line = dz_cursor_until(&c, '\n');
            dz_say(cmd, "%.*s", DZ_STR_FMT(line));
            dz_cursor_next(&c);
        }
        return false;
    }
    dz_log_init(2, conf->log.level, conf->log.format);
    *ret_conf = conf;
    return true;
}
