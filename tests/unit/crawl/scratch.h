/*
 * scratch: a data folder of its own for a test, removed at its end.
 */
#pragma once

#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

static char scratch_dir[64];

static int scratch_remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static int scratch_make(void **state)
{
    (void)state;
    snprintf(scratch_dir, sizeof(scratch_dir), "/tmp/dozo-crawl-XXXXXX");
    return mkdtemp(scratch_dir) ? 0 : -1;
}

static int scratch_remove(void **state)
{
    (void)state;
    return nftw(scratch_dir, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
