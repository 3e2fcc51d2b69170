/*
 * fixture: reads the small files of tests/data/media, and hands out exact copies so that the
 * address sanitizer sees any read behind their end.
 */
#pragma once

#include "test.h"

#include "media/media.h"

#include <stdlib.h>

static inline struct dz_buf fixture(const char *name)
{
    char path[1024];
    struct dz_buf b;
    snprintf(path, sizeof(path), "%s/%s", DATA_DIR, name);
    dz_buf_init(&b, 64 * DZ_KIB);
    must(dz_file_read(path, &b, err));
    assert_true(b.n > 0);
    return b;
}

/* Heap copy of exactly n bytes; free() it. */
static inline char *exact_copy(dz_str s)
{
    char *p = malloc(s.n ? s.n : 1);
    assert_non_null(p);
    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}
