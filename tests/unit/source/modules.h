/*
 * modules: runs one Lua snippet in a state as sources have it, for the tests of the modules.
 */
#pragma once

#include "test.h"

#include "source/source_int.h"

struct snippet {
    const char *code;   /* a chunk; its result is compared */
    const char *expect; /* a text as it is, anything else as JSON; "! …": the error's text, behind
                           its place, holds this */
};

void run_snippets_in(struct dz_source_run *r, const struct snippet *v, size_t n);
/* Runs all in one state, so that what one leaves behind would show in the next. */
void run_snippets(const struct snippet *v, size_t n);
#define RUN(snippets) run_snippets((snippets), DZ_LEN(snippets))
