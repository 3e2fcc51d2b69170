/*
 * accept: what the server asks of its listeners (accept.c); of this room only.
 */
#pragma once

#include "http/http_int.h"

/* A descriptor to give up when none is left; -1 when there is none. */
int dz_http_spare_fd(void);
/* Watches the listeners that belong to lane `index` of `loops`; before its thread runs. */
DZ_MUST enum dz_code dz_http_lane_listen(struct dz_http_lane *lane, unsigned index, unsigned loops,
                                         struct dz_err *err);
void dz_http_lane_deafen(struct dz_http_lane *lane); /* accepts what waits, then stops accepting */
void dz_http_listeners_close(struct dz_http_server *s);
