/*
 * main: from argv to a command. The commands wire the rooms; see src/cli/serve.c for the server.
 */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return dz_cli_main(argc, argv);
}
