/*
 * test: what every cmocka unit test includes first; cmocka wants these four headers in this order.
 */
#pragma once

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/base.h"

/* A call that must succeed; prints the error's own words when it does not. */
#define must(expr)                                                                                                     \
    do {                                                                                                               \
        struct dz_err must_err = {0};                                                                                  \
        struct dz_err *err = &must_err;                                                                                \
        enum dz_code must_code = (expr);                                                                               \
        if (must_code != DZ_OK)                                                                                        \
            fail_msg("%s: %s: %s", #expr, dz_code_name(must_code), must_err.text);                                     \
        (void)err;                                                                                                     \
    } while (0)
