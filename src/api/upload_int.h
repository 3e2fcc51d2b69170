/*
 * upload_int: what uploads.c (showing, deleting, routes) and upload_in.c (taking in) share.
 */
#pragma once

#include "api/api_int.h"

/* No key of the settings fits, it may not do that (scope: one of DZ_UPLOADS_…), or there are none:
 * answers 401, 403 or 503 and says true. Else ret_who is the key's name, in the settings of r's
 * view. */
bool upload_refused(struct dz_http_req *r, unsigned scope, dz_str *ret_who);
/* One line for what somebody has done with a key that has a name. */
void upload_log(uint64_t request, const char *what, dz_str id, dz_str who);
void upload_say(struct dz_http_req *r, int status, dz_str words); /* {"message":words} */
void handle_upload(struct dz_http_req *r);
