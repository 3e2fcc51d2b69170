/*
 * import_int: what the files of the command import share.
 */
#pragma once

#include "catalog/catalog.h"
#include "conf/conf.h"
#include "library/library.h"

/* The collection that data.db of KVM48 is a table of. The caller unrefs. */
DZ_MUST enum dz_code dz_kvm48_collection(const struct dz_conf *conf, struct dz_catalog *catalog,
                                         struct dz_collection **ret_c, struct dz_err *err);

/* What the command was told of imoog: where is a settings file or a URI; options NULL: not given.
 */
struct dz_imoog_use {
    const char *where, *table, *database, *collection;
    bool is_export, dry_run;
};
/* The database that is meant, texts in the arena or the use's; and lines for dozo.yaml. */
DZ_MUST enum dz_code dz_imoog_place_of(const struct dz_imoog_use *u, struct dz_arena *a,
                                       struct dz_imoog_place *ret_place, struct dz_buf *ret_yaml,
                                       struct dz_err *err);
void dz_imoog_put(struct dz_buf *b, const struct dz_imoog_use *u,
                  const struct dz_imoog_result *res);
