/*
 * fuzz_name: what a file name says, and the tables that go by name.
 *
 * In: one byte whose lowest bit says file or folder, then the name. Numbers come out as digits with
 * decimals, ranges and one letter, without leading zeros; memory stays small.
 */
#include "media/media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void check_number(dz_str s)
{
    dz_assert(s.n <= 32 && (s.n == 0 || is_digit(s.p[0])));
    dz_assert(s.n < 2 || s.p[0] != '0' || !is_digit(s.p[1]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct dz_arena *a = dz_arena_new(64 * 1024);
    struct dz_name_info info;
    dz_str name = {(const char *)data + 1, size - 1};
    dz_name_parse(name, data[0] & 1, a, &info);
    check_number(info.volume);
    check_number(info.chapter);
    dz_assert(info.series.n + info.title.n <= 2 * name.n);
    (void)dz_media_mime_of_name(name);
    (void)dz_archive_is_junk(name);
    dz_arena_free(&a);
    return 0;
}
