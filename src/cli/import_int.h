/*
 * import_int: what the files of the command import share.
 */
#pragma once

#include "catalog/catalog.h"
#include "conf/conf.h"

/* The collection that data.db of KVM48 is a table of. The caller unrefs. */
DZ_MUST enum dz_code dz_kvm48_collection(const struct dz_conf *conf, struct dz_catalog *catalog,
                                         struct dz_collection **ret_c, struct dz_err *err);
