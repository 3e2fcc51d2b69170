/*
 * call_int: both ends of a call to the back, and what its parts share.
 *
 * call.c is the asking side, on any loop. call_serve.c takes connections and requests, keeps them
 * few and ends them in time; call_refs.c, call_info.c and call_download.c answer them. All of a
 * call in the back belongs to the crawler's loop; what blocks is a piece of work on the pool, which
 * outlives its call when that ends first.
 */
#pragma once

#include "crawl/crawl_int.h"

#define CALL_SOCKET "back.sock"
#define CALL_CONNECT_MS 3000 /* a back that starts, or starts again, is waited for */
#define CALL_AGAIN_MS 20
#define CALL_GRACE_MS 500 /* after the deadline, for the back's own words about it */

/* Fills a failure whose text and message are the same words. */
void call_fail_set(struct dz_source_fail *ret_fail, enum dz_source_kind kind, const char *fmt, ...)
    DZ_PRINTF(3, 4);
