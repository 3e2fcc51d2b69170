/*
 * fuzz_http_date: the HTTP and ISO date parsers.
 *
 * In: any bytes. What is taken as a date must come out of the formatter as text that reads back as
 * the same second.
 */
#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const int64_t now_s = 1794993635; /* 2026-11-18 */

static void check_http(dz_str s)
{
    int64_t epoch_s, again_s;
    if (dz_time_http_parse(s, now_s, &epoch_s, NULL) != DZ_OK || epoch_s < 0)
        return;
    char text[30];
    dz_time_http(epoch_s, text);
    /* 9999-12-31T23:59:60 has no successor that can be written. */
    if (epoch_s > 253402300799)
        return;
    dz_assert(dz_time_http_parse(dz_str_of(text), now_s, &again_s, NULL) == DZ_OK);
    dz_assert(again_s == epoch_s);
}

static void check_iso(dz_str s)
{
    int64_t epoch_s, again_s;
    if (dz_time_iso_parse(s, &epoch_s, NULL) != DZ_OK || epoch_s > 253402300799)
        return;
    char text[21];
    dz_time_iso(epoch_s, text);
    dz_assert(dz_time_iso_parse(dz_str_of(text), &again_s, NULL) == DZ_OK);
    dz_assert(again_s == epoch_s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dz_str s = {(const char *)data, size};
    check_http(s);
    check_iso(s);
    return 0;
}
