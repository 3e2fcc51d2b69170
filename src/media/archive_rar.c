/*
 * archive_rar: looks at the headers of a RAR 4 or RAR 5 file beside libarchive.
 *
 * libarchive neither checks the checksum of entries that are stored without compression, which is
 * how most comics are packed, nor notices a file that was cut off between two entries. So this
 * walks the same blocks from where libarchive stands, finds the checksum of the entry that comes
 * next, and at the end whether there is an end block. It only ever adds an error: where a header
 * cannot be made out (an SFX stub, encryption, volumes) it says nothing. Bounded by BLOCKS_MAX
 * headers a call. Formats: RAR technote (RAR 4), "RAR 5.0 archive format" of rarlab.com.
 */
#include "media/media_int.h"

#include <zlib.h>

enum {
    HEAD_BYTES_MAX = 64 * 1024, /* of one block without its data; real ones have under 1 KiB */
    BLOCKS_MAX = 1000,          /* without a file among them */
};

enum block_kind { BLOCK_OTHER, BLOCK_FILE, BLOCK_END };

struct block {
    enum block_kind kind;
    uint64_t bytes; /* with its data */
    bool has_sum, needs_end;
    uint32_t sum;
};

/* ---- RAR 4 ----------------------------------------------------------------------------------- */

static bool block4_read(dz_str s, struct block *ret_b)
{
    if (s.n < 7)
        return false;
    uint32_t type = at_u8(s, 2), flags = at_le16(s, 3), head = at_le16(s, 5);
    if (type < 0x72 || type > 0x7b || head < 7 || head > s.n)
        return false;
    struct block b = {.bytes = head};
    if ((flags & 0x8000) != 0 || type == 0x74 || type == 0x7a) {
        if (head < 11)
            return false;
        b.bytes += at_le32(s, 7);
    }
    if (type == 0x7b)
        b.kind = BLOCK_END;
    if (type == 0x74) {
        uint32_t sum = (uint32_t)crc32_z(0, (const Bytef *)s.p + 2, head - 2);
        if (head < 32 || (sum & 0xffff) != at_le16(s, 0) || ((flags & 0x100) != 0 && head < 40))
            return false;
        b.kind = BLOCK_FILE;
        b.needs_end = at_u8(s, 24) >= 29; /* RAR 2 and older wrote no end block */
        b.has_sum = (flags & 0x03) == 0;  /* not split over volumes */
        b.sum = at_le32(s, 16);
        if ((flags & 0x100) != 0)
            b.bytes += (uint64_t)at_le32(s, 32) << 32;
    }
    *ret_b = b;
    return true;
}

/* ---- RAR 5 ----------------------------------------------------------------------------------- */

/* Seven bits a byte, lowest first. */
static bool take_vint(dz_str s, size_t *at, uint64_t *ret_n)
{
    uint64_t n = 0;
    for (unsigned shift = 0; shift < 63 && *at < s.n; shift += 7) {
        uint32_t c = at_u8(s, (*at)++);
        n |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80) {
            *ret_n = n;
            return true;
        }
    }
    return false;
}

static bool file5_read(dz_str head, size_t at, struct block *b)
{
    uint64_t flags, ignored;
    if (!take_vint(head, &at, &flags) || !take_vint(head, &at, &ignored) ||
        !take_vint(head, &at, &ignored))
        return false;
    if ((flags & 2) != 0) /* time of change */
        at += 4;
    if ((flags & 4) != 0) {
        if (!holds(head, at, 4))
            return false;
        b->has_sum = true;
        b->sum = at_le32(head, at);
    }
    return true;
}

static bool block5_read(dz_str s, struct block *ret_b)
{
    size_t at = 4;
    uint64_t head_n, type, flags, extra, data = 0;
    if (!take_vint(s, &at, &head_n) || !holds(s, at, head_n))
        return false;
    dz_str head = {s.p, at + (size_t)head_n};
    if ((uint32_t)crc32_z(0, (const Bytef *)s.p + 4, head.n - 4) != at_le32(s, 0))
        return false;
    if (!take_vint(head, &at, &type) || !take_vint(head, &at, &flags) ||
        ((flags & 1) != 0 && !take_vint(head, &at, &extra)) ||
        ((flags & 2) != 0 && !take_vint(head, &at, &data)))
        return false;
    struct block b = {.needs_end = true};
    if (__builtin_add_overflow((uint64_t)head.n, data, &b.bytes))
        return false;
    if (type == 5)
        b.kind = BLOCK_END;
    if (type == 2) {
        b.kind = BLOCK_FILE;
        if (!file5_read(head, at, &b))
            return false;
        b.has_sum = b.has_sum && (flags & 0x18) == 0; /* not split over volumes */
    }
    *ret_b = b;
    return true;
}

/* ---- both ------------------------------------------------------------------------------------ */

/* The next file or end block from *at on, and *at behind it. False: none that can be made out. */
static bool next_block(const struct archive_source *s, bool is_rar5, uint64_t *at,
                       struct block *ret_b)
{
    DZ_AUTO(dz_freep) char *head = dz_alloc(HEAD_BYTES_MAX);
    for (int i = 0; i < BLOCKS_MAX && *at < s->bytes; i++) {
        dz_str seen = {head, archive_source_peek(s, *at, head, 256)};
        if (dz_str_starts(seen, DZ_S("Rar!\x1a\7"))) {
            *at += is_rar5 ? 8 : 7;
            continue;
        }
        struct block b;
        bool ok = is_rar5 ? block5_read(seen, &b) : block4_read(seen, &b);
        if (!ok) { /* perhaps only longer than most */
            seen.n = archive_source_peek(s, *at, head, HEAD_BYTES_MAX);
            ok = is_rar5 ? block5_read(seen, &b) : block4_read(seen, &b);
        }
        if (!ok || __builtin_add_overflow(*at, b.bytes, at))
            return false;
        if (b.kind != BLOCK_OTHER) {
            *ret_b = b;
            return true;
        }
    }
    return false;
}

void archive_rar_entry(const struct archive_source *s, bool is_rar5, uint64_t at,
                       struct archive_rar *rar)
{
    struct block b;
    rar->is_known = next_block(s, is_rar5, &at, &b) && b.kind == BLOCK_FILE;
    rar->has_sum = rar->is_known && b.has_sum;
    if (!rar->is_known)
        return;
    rar->sum = b.sum;
    rar->next_at = at;
    rar->needs_end = rar->needs_end || b.needs_end;
}

bool archive_rar_is_cut(const struct archive_source *s, bool is_rar5, const struct archive_rar *rar)
{
    struct block b;
    uint64_t at = rar->next_at;
    if (!rar->is_known || !rar->needs_end)
        return false;
    return !next_block(s, is_rar5, &at, &b) || b.kind != BLOCK_END;
}
