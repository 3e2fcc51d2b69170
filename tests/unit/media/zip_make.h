/*
 * zip_make: writes zip archives entry by entry for tests, with whatever names, modes and lies a
 * test needs.
 */
#pragma once

#include "test.h"

#include <stdlib.h>
#include <zlib.h>

struct zip_make {
    struct dz_buf out, index;
    unsigned count;
};

static inline void zip_le(struct dz_buf *b, uint64_t n, int bytes)
{
    for (int i = 0; i < bytes; i++, n >>= 8)
        dz_buf_putc(b, (char)n);
}

static inline void zip_begin(struct zip_make *z)
{
    *z = (struct zip_make){.count = 0};
    dz_buf_init(&z->out, 64 * DZ_MIB);
    dz_buf_init(&z->index, 64 * DZ_MIB);
}

enum { ZIP_UTF8 = 0x800, ZIP_LOCKED = 1, ZIP_STORED = 0, ZIP_DEFLATED = 8 };

struct zip_entry {
    dz_str name, packed;
    uint32_t sum, bytes; /* of the unpacked data */
    unsigned flags, method, mode;
};

static inline void zip_fields(struct dz_buf *b, const struct zip_entry *e)
{
    zip_le(b, 20, 2);
    zip_le(b, e->flags, 2);
    zip_le(b, e->method, 2);
    zip_le(b, 0x5a210000, 4); /* date */
    zip_le(b, e->sum, 4);
    zip_le(b, e->packed.n, 4);
    zip_le(b, e->bytes, 4);
    zip_le(b, e->name.n, 2);
    zip_le(b, 0, 2);
}

/* Only the index entry, pointing to a local header that is somewhere else. */
static inline void zip_index(struct zip_make *z, const struct zip_entry *e, size_t local_at)
{
    dz_buf_put(&z->index, DZ_S("PK\1\2"));
    zip_le(&z->index, e->mode ? 3 << 8 | 20 : 20, 2); /* made on Unix, else on Windows */
    zip_fields(&z->index, e);
    zip_le(&z->index, 0, 2 + 2 + 2);
    zip_le(&z->index, (uint64_t)e->mode << 16, 4);
    zip_le(&z->index, local_at, 4);
    dz_buf_put(&z->index, e->name);
    z->count++;
}

static inline void zip_local(struct zip_make *z, const struct zip_entry *e)
{
    dz_buf_put(&z->out, DZ_S("PK\3\4"));
    zip_fields(&z->out, e);
    dz_buf_put(&z->out, e->name);
    dz_buf_put(&z->out, e->packed);
}

/* A stored entry that is in order. */
static inline void zip_add(struct zip_make *z, dz_str name, dz_str data, unsigned flags)
{
    struct zip_entry e = {name, data, 0, (uint32_t)data.n, flags, ZIP_STORED, 0};
    e.sum = (uint32_t)crc32_z(0, (const Bytef *)data.p, data.n);
    zip_index(z, &e, z->out.n);
    zip_local(z, &e);
}

/* Appends the index; the whole archive is in z->out. */
static inline dz_str zip_end(struct zip_make *z)
{
    size_t at = z->out.n;
    dz_buf_put(&z->out, dz_buf_str(&z->index));
    dz_buf_put(&z->out, DZ_S("PK\5\6\0\0\0\0"));
    zip_le(&z->out, z->count & 0xffff, 2);
    zip_le(&z->out, z->count & 0xffff, 2);
    zip_le(&z->out, z->index.n, 4);
    zip_le(&z->out, at, 4);
    zip_le(&z->out, 0, 2);
    assert_false(z->out.full || z->index.full);
    return dz_buf_str(&z->out);
}

static inline void zip_done(struct zip_make *z)
{
    dz_buf_done(&z->out);
    dz_buf_done(&z->index);
}

/* n zero bytes as raw deflate data; the entry's packed, sum and bytes are set. free((char
 * *)packed.p). */
static inline void zip_zeros(struct zip_entry *e, size_t n)
{
    char *zeros = calloc(1, n);
    assert_non_null(zeros);
    z_stream s = {.next_in = (Bytef *)zeros, .avail_in = (uInt)n};
    assert_int_equal(deflateInit2(&s, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&s, (uLong)n);
    char *packed = malloc(room);
    assert_non_null(packed);
    s.next_out = (Bytef *)packed;
    s.avail_out = (uInt)room;
    assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
    e->packed = (dz_str){packed, s.total_out};
    e->sum = (uint32_t)crc32_z(0, (const Bytef *)zeros, n);
    e->bytes = (uint32_t)n;
    e->method = ZIP_DEFLATED;
    deflateEnd(&s);
    free(zeros);
}
