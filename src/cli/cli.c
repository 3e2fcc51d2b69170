/*
 * cli: from argv to a command.
 *
 * In: the process's arguments. Out: its exit status. Knows the list of commands and nothing of what
 * they do. A result that could not be written to stdout (a full disk behind a redirection) turns
 * success into failure here, once for all commands.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "cli/cli_int.h"

static const struct dz_command *const commands[] = {
    &dz_cmd_serve,  &dz_cmd_import,   &dz_cmd_crawl,  &dz_cmd_download,
    &dz_cmd_jobs,   &dz_cmd_sources,  &dz_cmd_check,  &dz_cmd_migrate,
    &dz_cmd_config, &dz_cmd_password, &dz_cmd_source, &dz_cmd_version,
};

static const char *command_name_at(const void *table, size_t i)
{
    (void)table;
    return i < DZ_LEN(commands) ? commands[i]->name : NULL;
}

static const struct dz_command *find(const char *name)
{
    for (size_t i = 0; i < DZ_LEN(commands); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static void print_help(FILE *to)
{
    fputs("Usage: dozo COMMAND [OPTION…] [ARGUMENT…]\n\n"
          "A self-hosted media origin: import comics, crawl them, serve them.\n\n"
          "Commands:\n",
          to);
    for (size_t i = 0; i < DZ_LEN(commands); i++)
        fprintf(to, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n`dozo COMMAND --help` explains a command, `man dozo` all of them;\n"
          "docs/settings.md has every setting, docs/architecture.md how it is built.\n",
          to);
}

static void print_short_help(void)
{
    fputs("Usage: dozo COMMAND [OPTION…] [ARGUMENT…]\nCommands:", stderr);
    for (size_t i = 0; i < DZ_LEN(commands); i++)
        fprintf(stderr, " %s", commands[i]->name);
    fputs("\nTry: dozo --help\n", stderr);
}

static int fail_unknown(const char *what, const char *name)
{
    const char *near = dz_nearest(dz_str_of(name), command_name_at, NULL);
    if (near)
        dz_say(NULL, "unknown %s \"%s\"; did you mean \"dozo %s\"?", what, name, near);
    else
        dz_say(NULL, "unknown %s \"%s\"", what, name);
    print_short_help();
    return DZ_EXIT_USAGE;
}

static bool is_one_of(const char *arg, const char *a, const char *b, const char *c)
{
    return strcmp(arg, a) == 0 || strcmp(arg, b) == 0 || strcmp(arg, c) == 0;
}

/* "dozo help" and "dozo help NAME"; "dozo help --help" asks for no more than the first. */
static int help_on(int argc, char **argv)
{
    if (argc < 2 || is_one_of(argv[1], "help", "--help", "-h")) {
        print_help(stdout);
        return DZ_EXIT_OK;
    }
    const struct dz_command *cmd = find(argv[1]);
    if (!cmd)
        return fail_unknown("command", argv[1]);
    char *help_argv[] = {argv[1], "--help", NULL};
    return cmd->run(2, help_argv);
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        print_short_help();
        return DZ_EXIT_USAGE;
    }
    if (is_one_of(argv[1], "help", "--help", "-h"))
        return help_on(argc - 1, argv + 1);
    if (is_one_of(argv[1], "version", "--version", "-V"))
        return dz_cmd_version.run(argc - 1, argv + 1);
    const struct dz_command *cmd = find(argv[1]);
    if (!cmd && dz_str_starts(dz_str_of(argv[1]), DZ_S("--config"))) {
        dz_say(NULL, "options stand behind the command: dozo COMMAND --config FILE");
        print_short_help();
        return DZ_EXIT_USAGE;
    }
    if (!cmd)
        return fail_unknown(argv[1][0] == '-' ? "option" : "command", argv[1]);
    return cmd->run(argc - 1, argv + 1);
}

/* A descriptor below 3 that is closed would be given to the next file or socket, and the log would
 * be written into it. */
static void open_the_standard_three(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            abort(); /* lower ones are open: it can be no other number */
}

int dz_cli_main(int argc, char **argv)
{
    open_the_standard_three();
    int status = dispatch(argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == DZ_EXIT_OK) {
        dz_say(NULL, "cannot write the result: %s", strerrordesc_np(errno));
        status = DZ_EXIT_FAILED;
    }
    return status;
}
