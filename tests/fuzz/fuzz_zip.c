/*
 * Layouts of ZIP files: the input says how many entries there are and what is in them; the file
 * that comes out is read by our reader, which must find the same, and every piece fits the whole.
 */
#include "media/media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define ENTRIES_MAX 40

static size_t lines(dz_str all, dz_str *v, size_t max)
{
    size_t n = 0;
    while (n < max && all.n > 0) {
        size_t end = dz_str_chr(all, '\n');
        v[n++] = dz_str_sub(all, 0, end);
        all = dz_str_after(all, end);
    }
    return n;
}

static void read_back(dz_str file, const struct dz_zip_entry *e, const dz_str *text, size_t n)
{
    DZ_AUTO(dz_archive_close) struct dz_archive *a = NULL;
    DZ_AUTO(dz_buf_done) struct dz_buf got;
    struct dz_archive_entry entry;
    struct dz_err err;
    bool has;
    dz_buf_init(&got, DZ_MIB);
    if (dz_archive_open_memory(file, &dz_archive_limits_default, &a, &err) != DZ_OK)
        dz_panic(__FILE__, __LINE__, "%s", err.text);
    for (size_t i = 0; i < n; i++) {
        dz_assert(dz_archive_next(a, &has, &entry, &err) == DZ_OK && has);
        dz_assert(entry.bytes == e[i].bytes);
        dz_buf_clear(&got);
        dz_assert(dz_archive_read(a, &got, &err) == DZ_OK);
        dz_assert(dz_str_eq(dz_buf_str(&got), text[i]));
    }
    dz_assert(dz_archive_next(a, &has, &entry, &err) == DZ_OK && !has);
}

/* Lines: the comment, then the name of an entry and what is in it by turns. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    dz_str line[1 + 2 * ENTRIES_MAX] = {{0}}, text[ENTRIES_MAX];
    struct dz_zip_entry e[ENTRIES_MAX];
    size_t count = lines((dz_str){(const char *)data, n}, line, DZ_LEN(line)) / 2;
    for (size_t i = 0; i < count; i++) {
        text[i] = line[2 + 2 * i];
        e[i] = (struct dz_zip_entry){line[1 + 2 * i], text[i].n, dz_crc32(0, text[i])};
    }
    DZ_AUTO(dz_zip_plan_free) struct dz_zip_plan *p = NULL;
    DZ_AUTO(dz_buf_done) struct dz_buf file;
    struct dz_err err;
    dz_buf_init(&file, 16 * DZ_MIB);
    if (dz_zip_plan_new(e, count, line[0], &p, &err) != DZ_OK) {
        dz_assert(err.text[0] != '\0');
        return 0;
    }
    struct dz_zip_piece piece;
    while (dz_zip_plan_piece(p, file.n, &piece))
        dz_buf_put(&file, piece.bytes.n > 0
                              ? piece.bytes
                              : dz_str_sub(text[piece.entry], piece.from, piece.from + piece.n));
    dz_assert(!file.full && file.n == dz_zip_plan_bytes(p));
    read_back(dz_buf_str(&file), e, text, count);
    return 0;
}
