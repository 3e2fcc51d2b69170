/*
 * imoog_int: what imoog.c (rows), imoog_conf.c (settings), python.c and their tests share.
 */
#pragma once

#include "library/import_int.h"

/* Copies between the library and a store that has names; `other` may be the library's own. */
DZ_MUST enum dz_code library_imoog_copy(struct dz_library *l, struct dz_store *other,
                                        bool is_export, bool dry_run,
                                        const struct dz_import_options *o,
                                        struct dz_imoog_result *ret_result, struct dz_err *err);
/* The plain assignments of a Python text (python.c): name → value, and the names of those with
 * another value → line. DZ_PARSE names the line. The caller lets go of both. */
DZ_MUST enum dz_code library_python_read(dz_str text, json_t **ret_values, json_t **ret_others,
                                         struct dz_err *err);
