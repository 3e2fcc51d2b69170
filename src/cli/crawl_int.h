/*
 * crawl_int: what `dozo crawl` is made of: crawl.c runs the pass, crawl_what.c finds out what is
 * meant.
 */
#pragma once

#include "cli/cli_int.h"
#include "crawl/crawl.h"

/* "SOURCE", "SOURCE/ID" or an address into ret_source and ret_target, which are empty. For an
 * address its source is asked, on a loop of its own. The exit status; what is wrong was said. */
int dz_crawl_what(const struct dz_conf *conf, const struct dz_sources *sources, const char *what,
                  struct dz_buf *ret_source, struct dz_buf *ret_target);
