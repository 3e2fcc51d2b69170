/*
 * media, for this room only: reading numbers out of bytes, and the parsers of one picture type
 * each.
 *
 * The at_* readers do not check: every caller has compared its offset with the length first.
 */
#pragma once

#include "media/media.h"

static inline uint32_t at_u8(dz_str s, size_t at)
{
    return (unsigned char)s.p[at];
}
static inline uint32_t at_be16(dz_str s, size_t at)
{
    return at_u8(s, at) << 8 | at_u8(s, at + 1);
}
static inline uint32_t at_be32(dz_str s, size_t at)
{
    return at_be16(s, at) << 16 | at_be16(s, at + 2);
}
static inline uint64_t at_be64(dz_str s, size_t at)
{
    return (uint64_t)at_be32(s, at) << 32 | at_be32(s, at + 4);
}
static inline uint32_t at_le16(dz_str s, size_t at)
{
    return at_u8(s, at) | at_u8(s, at + 1) << 8;
}
static inline uint32_t at_le24(dz_str s, size_t at)
{
    return at_le16(s, at) | at_u8(s, at + 2) << 16;
}
static inline uint32_t at_le32(dz_str s, size_t at)
{
    return at_le16(s, at) | at_le16(s, at + 2) << 16;
}
/* Whether n bytes lie at `at`; safe against overflow. */
static inline bool holds(dz_str s, uint64_t at, uint64_t n)
{
    return at <= s.n && n <= s.n - at;
}

/* One picture type each. The type is already known by dz_media_sniff(); sizes are checked by
 * dz_media_inspect(). */
typedef enum dz_code image_size_fn(dz_str s, uint32_t *ret_width, uint32_t *ret_height,
                                   struct dz_err *err);
image_size_fn image_jpeg_size;
image_size_fn image_png_size;
image_size_fn image_gif_size;
image_size_fn image_webp_size;
image_size_fn image_avif_size;
image_size_fn image_jxl_size;
image_size_fn image_bmp_size;
image_size_fn image_tiff_size;

/* Text of a name for messages: at most 120 bytes, cut between characters. For "%.*s" with
 * DZ_STR_FMT. */
dz_str media_short(dz_str name);

/* A name as stored in an archive, as UTF-8 in out (cleared first). */
void archive_name_decode(dz_str raw, struct dz_buf *out);

/* Where an archive's bytes come from: a file or memory. */
#define ARCHIVE_CHUNK_BYTES (64 * 1024)
struct archive_source {
    int fd; /* -1: memory */
    const char *memory;
    uint64_t bytes, at;
    uint64_t may_read; /* what is left until a call has read too much */
    bool read_too_much;
    int io_errno;
    char chunk[ARCHIVE_CHUNK_BYTES];
};
/* Up to n bytes at `at`; how many there are. Reading on is not disturbed. */
size_t archive_source_peek(const struct archive_source *s, uint64_t at, char *dst, size_t n);

/* What is known of a RAR file beside what libarchive says. Zeroed at the start. */
struct archive_rar {
    bool is_known;    /* of the current entry: its header was found */
    bool has_sum;     /* and tells this sum of the unpacked bytes */
    bool needs_end;   /* of the archive: it must finish with an end block */
    uint32_t sum;     /* CRC-32 */
    uint64_t next_at; /* behind the current entry */
};
/* Looks for the entry whose blocks begin at `at`. */
void archive_rar_entry(const struct archive_source *s, bool is_rar5, uint64_t at,
                       struct archive_rar *rar);
/* After the last entry: whether the end of the archive is missing. */
bool archive_rar_is_cut(const struct archive_source *s, bool is_rar5,
                        const struct archive_rar *rar);
