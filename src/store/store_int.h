/*
 * store_int: for the store room only.
 */
#pragma once

#include "store/store.h"

/* NULL with DZ_BAD_INPUT in err, which lists the names. */
const struct dz_store_driver *dz_store_driver_find(dz_str name, struct dz_err *err);
