/*
 * store_int: for the store room only.
 */
#pragma once

#include "store/store.h"

/* Whether this is how a blob is named where blobs and named objects lie side by side. */
bool store_is_digest(dz_str name);
