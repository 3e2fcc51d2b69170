/*
 * servers: the servers that a run of the tests has started (tools/servers.py), and what a test does
 * without one. Names: "postgres", "redis", "mongodb".
 */
#pragma once

#include "test.h"

#include <stdlib.h>

/* DOZO_TEST_NAME; NULL: there is none. */
static inline const char *server_uri(const char *name)
{
    char variable[64] = "DOZO_TEST_";
    size_t n = strlen(variable);
    for (const char *c = name; *c && n + 1 < sizeof(variable); c++)
        variable[n++] = (char)(*c - ('a' - 'A'));
    return getenv(variable);
}

/* Ends the test: skipped, or failed where DOZO_REQUIRE has the name. */
static inline void server_is_missing(const char *name)
{
    const char *required = getenv("DOZO_REQUIRE");
    if (required && strstr(required, name))
        fail_msg("there is no %s here, and DOZO_REQUIRE names it", name);
    print_message("skipped: tools/servers.py --%s starts what this test needs\n", name);
    skip();
}
