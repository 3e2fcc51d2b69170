/*
 * cli: one file a command. A command gets its own argv (argv[0] is its name) and returns the process's exit status:
 * 0 done, 1 failed, 2 wrong use. Results go to stdout, everything else to stderr; `--json` gives programs JSON.
 */
#pragma once

#include "api/api.h"

#define DZ_EXIT_OK 0
#define DZ_EXIT_FAILED 1
#define DZ_EXIT_USAGE 2

struct dz_command {
    const char *name;
    const char *summary; /* one line for `dozo --help` */
    const char *usage;   /* after "Usage: dozo " */
    const char *help;    /* the text of `dozo NAME --help` behind the usage line */
    int (*run)(int argc, char **argv);
};
extern const struct dz_command dz_cmd_serve, dz_cmd_import, dz_cmd_check, dz_cmd_config, dz_cmd_password, dz_cmd_version;

/* Finds the command, handles --help, --version and a mistyped name ("did you mean"), runs it. */
int dz_cli_main(int argc, char **argv);
