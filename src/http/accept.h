/*
 * accept: what the server asks of its listeners (accept.c); of this room only.
 */
#pragma once

#include "http/http_int.h"

/* The descriptor to give up when none is left; before the first lane listens. */
DZ_MUST enum dz_code dz_http_spare_open(struct dz_http_server *s, struct dz_err *err);
/* Watches the listeners that belong to lane `index` of `loops`; before its thread runs. */
DZ_MUST enum dz_code dz_http_lane_listen(struct dz_http_lane *lane, unsigned index, unsigned loops,
                                         struct dz_err *err);
void dz_http_lane_deafen(struct dz_http_lane *lane); /* accepts what waits, then stops accepting */
void dz_http_listeners_close(struct dz_http_server *s);

/* ---- sockets that the process was started with (passed.c) ------------------------------------ */

struct dz_http_passed {
    int fd; /* -1: a listener has it */
    char *name;
};
/* Takes over what sd_listen_fds(3) describes and removes the description from the environment, so
 * that no child believes it. Before any thread is made. */
void dz_http_passed_take(struct dz_http_server *s);
void dz_http_passed_free(struct dz_http_server *s);
/* The next one of that name ("": any) that no listener has: its descriptor, which is the caller's
 * now, checked and made non-blocking. *ret_fd is -1 when there are no more. */
DZ_MUST enum dz_code dz_http_passed_next(struct dz_http_server *s, const char *name, int *ret_fd,
                                         struct dz_err *err);
