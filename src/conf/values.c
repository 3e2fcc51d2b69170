/*
 * values: the syntax of single values: durations, sizes, and what numbers look like when they are
 * dumped.
 *
 * Text in, number out, and back; nothing is stored here and nothing depends on other settings.
 * Usable from any thread. Fractions are read digit by digit, not through floating point, so
 * that 3.05s is 3050 ms on every machine and what is dumped loads back to the same number. Which
 * values are legal for a setting is the business of its row.
 */
#include "conf/conf_int.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

static const struct unit sizes[] = {
    {"TiB", DZ_GIB * 1024}, {"GiB", DZ_GIB}, {"MiB", DZ_MIB}, {"KiB", DZ_KIB}, {"B", 1},
};

bool conf_parse_bool(dz_str s, bool *ret_b)
{
    static const char *const yes[] = {"true", "on", "yes"}, *const no[] = {"false", "off", "no"};
    for (size_t i = 0; i < DZ_LEN(yes); i++) {
        if (dz_str_eq_nocase(s, dz_str_of(yes[i]))) {
            *ret_b = true;
            return true;
        }
        if (dz_str_eq_nocase(s, dz_str_of(no[i]))) {
            *ret_b = false;
            return true;
        }
    }
    return false;
}

static size_t digits(dz_str s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    return n;
}

/* "3.05" times factor, rounded to the nearest; false when it is no such number or does not fit. */
static bool scale(dz_str number, uint64_t factor, uint64_t *ret_n)
{
    size_t whole_n = digits(number);
    uint64_t whole, result;
    if (whole_n == 0 ||
        dz_str_u64(dz_str_sub(number, 0, whole_n), UINT64_MAX, &whole, NULL) != DZ_OK ||
        __builtin_mul_overflow(whole, factor, &result))
        return false;
    if (whole_n < number.n) {
        dz_str fraction = dz_str_sub(number, whole_n + 1, number.n);
        if (number.p[whole_n] != '.' || fraction.n == 0 || digits(fraction) != fraction.n)
            return false;
        unsigned __int128 above = 0, below = 1;
        for (size_t i = 0; i < fraction.n && i < 12; i++) {
            above = above * 10 + (unsigned)(fraction.p[i] - '0');
            below *= 10;
        }
        uint64_t part = (uint64_t)((above * factor * 2 + below) / (below * 2));
        if (__builtin_add_overflow(result, part, &result))
            return false;
    }
    *ret_n = result;
    return true;
}

static bool parse_units(dz_str s, const struct unit *units, size_t units_n, uint64_t bare,
                        uint64_t *ret_n)
{
    size_t end = 0;
    while (end < s.n && ((s.p[end] >= '0' && s.p[end] <= '9') || s.p[end] == '.'))
        end++;
    dz_str number = dz_str_sub(s, 0, end), unit = dz_str_trim(dz_str_sub(s, end, s.n));
    if (unit.n == 0)
        return end == s.n && scale(number, bare, ret_n);
    for (size_t i = 0; i < units_n; i++)
        if (dz_str_eq_nocase(unit, dz_str_of(units[i].name)))
            return scale(number, units[i].factor, ret_n);
    return false;
}

bool conf_parse_duration(dz_str s, int64_t *ret_ms)
{
    uint64_t ms;
    if (!parse_units(s, durations, DZ_LEN(durations), 1000, &ms) || ms > INT64_MAX)
        return false;
    *ret_ms = (int64_t)ms;
    return true;
}

bool conf_parse_size(dz_str s, uint64_t *ret_bytes)
{
    uint64_t bytes;
    if (!parse_units(s, sizes, DZ_LEN(sizes), 1, &bytes) || bytes == DZ_CONF_UNLIMITED)
        return false;
    *ret_bytes = bytes;
    return true;
}

void conf_put_duration(struct dz_buf *out, int64_t ms)
{
    uint64_t n = (uint64_t)ms;
    if (n == 0) {
        dz_buf_put(out, DZ_S("0s"));
        return;
    }
    if (n >= 1000 && n % 1000 != 0) { /* 3.05s reads better than 3050ms */
        uint64_t part = n % 1000;
        dz_buf_put_u64(out, n / 1000);
        dz_buf_putc(out, '.');
        for (uint64_t place = 100; part > 0; place /= 10) {
            dz_buf_putc(out, (char)('0' + part / place));
            part %= place;
        }
        dz_buf_putc(out, 's');
        return;
    }
    for (size_t i = 1; i < DZ_LEN(durations); i++) { /* no days: 24h, as people write it */
        if (n % durations[i].factor == 0) {
            dz_buf_put_u64(out, n / durations[i].factor);
            dz_buf_put(out, dz_str_of(durations[i].name));
            return;
        }
    }
}

void conf_put_size(struct dz_buf *out, uint64_t bytes)
{
    if (bytes == DZ_CONF_UNLIMITED) {
        dz_buf_put(out, DZ_S("inf"));
        return;
    }
    for (size_t i = 0; i + 1 < DZ_LEN(sizes) && bytes > 0; i++) {
        if (bytes % sizes[i].factor == 0) {
            dz_buf_put_u64(out, bytes / sizes[i].factor);
            dz_buf_put(out, dz_str_of(sizes[i].name));
            return;
        }
    }
    dz_buf_put_u64(out, bytes);
}
