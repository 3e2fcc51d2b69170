/*
 * cli: one file a command. A command gets its own argv (argv[0] is its name) and returns the
 * process's exit status: 0 done, 1 failed, 2 wrong use. Results go to stdout, everything else to
 * stderr; `--json` gives programs JSON.
 */
#pragma once

#include "api/api.h"

#define DZ_EXIT_OK 0
#define DZ_EXIT_FAILED 1
#define DZ_EXIT_USAGE 2

/* One row an option; --help is made of these rows and docs/dozo.1 is checked against them. Every
 * command has --config and --help without a row of its own. */
struct dz_option {
    const char *name;  /* without the dashes; NULL ends the table */
    const char *value; /* what the help calls its value; NULL: a switch */
    const char *help;
    char letter; /* after one dash; 0: none */
};

struct dz_command {
    const char *name;
    const char *summary; /* one line for `dozo --help` */
    const char *usage;   /* after "Usage: dozo ", a line a form */
    const char *help;    /* paragraphs of `dozo NAME --help` between usage and options */
    const struct dz_option *options;
    int (*run)(int argc, char **argv);
};
extern const struct dz_command dz_cmd_serve, dz_cmd_import, dz_cmd_check, dz_cmd_config,
    dz_cmd_password, dz_cmd_source, dz_cmd_version, dz_cmd_crawl, dz_cmd_download, dz_cmd_jobs,
    dz_cmd_sources, dz_cmd_migrate;

/* Finds the command, handles --help, --version and a mistyped name ("did you mean"), runs it. */
int dz_cli_main(int argc, char **argv);
