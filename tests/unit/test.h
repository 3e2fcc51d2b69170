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

/* clang-format off */
/* A call that must succeed; prints the error's own words when it does not. Hides an outer err. */
#define must(expr)                                                                                 \
    do {                                                                                           \
        struct dz_err must_err = {0};                                                              \
        _Pragma("GCC diagnostic push")                                                             \
        _Pragma("GCC diagnostic ignored \"-Wshadow\"")                                             \
        struct dz_err *err = &must_err;                                                            \
        enum dz_code must_code = (expr);                                                           \
        if (must_code != DZ_OK)                                                                    \
            fail_msg("%s: %s: %s", #expr, dz_code_name(must_code), must_err.text);                 \
        (void)err;                                                                                 \
        _Pragma("GCC diagnostic pop")                                                              \
    } while (0)
/* clang-format on */
