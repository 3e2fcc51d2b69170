/*
 * fuzz_archive: archives of all kinds, from memory.
 *
 * In: bytes taken as a file. Entries are read and passed over in turn under small limits; names are
 * UTF-8 within the limit, and no more bytes come out than the limits allow.
 */
#include "media/media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct dz_archive_limits limits = {
    .entries_max = 200,
    .entry_bytes_max = 1024 * 1024,
    .total_bytes_max = 4 * 1024 * 1024,
    .ratio_max = 200,
    .name_bytes_max = 4096,
};

static void walk(struct dz_archive *a, struct dz_buf *out)
{
    struct dz_archive_entry e;
    struct dz_err err = {0};
    bool has = true;
    for (uint64_t count = 1; dz_archive_next(a, &has, &e, &err) == DZ_OK && has; count++) {
        dz_assert(count <= limits.entries_max);
        dz_assert(e.name.n > 0 && e.name.n <= limits.name_bytes_max && dz_str_is_utf8(e.name));
        (void)dz_archive_is_junk(e.name);
        dz_buf_clear(out);
        if (count % 4 == 0)
            continue;
        if (dz_archive_read(a, out, &err) != DZ_OK)
            dz_assert(out->n == 0 && err.text[0] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dz_archive *a = NULL;
    struct dz_buf out;
    dz_buf_init(&out, 2 * DZ_MIB);
    if (dz_archive_open_memory((dz_str){(const char *)data, size}, &limits, &a, NULL) == DZ_OK)
        walk(a, &out);
    dz_archive_close(&a);
    dz_buf_done(&out);
    return 0;
}
