/*
 * upload_int: what uploads.c (showing, deleting, routes) and upload_in.c (taking in) share.
 */
#pragma once

#include "api/api_int.h"

/* The key is wrong, or there is none in the settings: answers 401 or 503 and says true. */
bool upload_refused(struct dz_http_req *r);
void upload_say(struct dz_http_req *r, int status, dz_str words); /* {"message":words} */
void handle_upload(struct dz_http_req *r);
