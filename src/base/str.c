/*
 * str: what can be asked of a slice of bytes.
 *
 * In: borrowed slices. Out: numbers, positions and slices into the same bytes; only dz_str_dup
 * allocates, and its caller frees. No state, any thread. Letters are ASCII letters: names of
 * headers, hosts and settings need no more, and titles are compared by their bytes.
 */
#include "base/base_int.h"

#include <limits.h>

static unsigned char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : (unsigned char)c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool dz_str_eq_nocase(dz_str a, dz_str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

int dz_str_cmp(dz_str a, dz_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    if (order != 0)
        return order < 0 ? -1 : 1;
    return (a.n > b.n) - (a.n < b.n);
}

bool dz_str_starts(dz_str s, dz_str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool dz_str_ends(dz_str s, dz_str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

size_t dz_str_find(dz_str s, dz_str needle)
{
    if (needle.n == 0)
        return 0;
    if (s.n < needle.n)
        return DZ_NPOS;
    const char *hit = memmem(s.p, s.n, needle.p, needle.n);
    return hit ? (size_t)(hit - s.p) : DZ_NPOS;
}

size_t dz_str_chr(dz_str s, char c)
{
    const char *hit = s.n ? memchr(s.p, c, s.n) : NULL;
    return hit ? (size_t)(hit - s.p) : DZ_NPOS;
}

size_t dz_str_rchr(dz_str s, char c)
{
    const char *hit = s.n ? memrchr(s.p, c, s.n) : NULL;
    return hit ? (size_t)(hit - s.p) : DZ_NPOS;
}

dz_str dz_str_without_port(dz_str host)
{
    size_t colon = dz_str_rchr(host, ':');
    if (colon == DZ_NPOS)
        return host;
    for (size_t i = colon + 1; i < host.n; i++)
        if (host.p[i] < '0' || host.p[i] > '9')
            return host;
    dz_str name = dz_str_sub(host, 0, colon);
    if (dz_str_chr(name, ':') != DZ_NPOS && !(name.p[0] == '[' && name.p[name.n - 1] == ']'))
        return host; /* an IPv6 address, or no host at all */
    return name;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

dz_str dz_str_clip(dz_str s, size_t max)
{
    if (s.n <= max)
        return s;
    while (max > 0 && ((unsigned char)s.p[max] & 0xc0) == 0x80)
        max--;
    return dz_str_sub(s, 0, max);
}

dz_str dz_str_trim(dz_str s)
{
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    while (s.n > 0 && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    return s;
}

char *dz_str_dup(dz_str s)
{
    char *copy = dz_alloc(s.n + 1);
    if (s.n)
        memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    return copy;
}

size_t dz_utf8_step(dz_str s, int32_t *ret_cp)
{
    unsigned char first = (unsigned char)s.p[0];
    if (first < 0x80) {
        *ret_cp = first;
        return 1;
    }
    *ret_cp = -1;
    /* The second byte's range is narrower after four of the first bytes; that is what rules out
     * overlong forms, surrogates and values over U+10FFFF (Unicode table 3-7). */
    unsigned char low = 0x80, high = 0xbf;
    size_t want;
    int32_t cp;
    if (first >= 0xc2 && first <= 0xdf) {
        want = 2;
        cp = first & 0x1f;
    } else if (first >= 0xe0 && first <= 0xef) {
        want = 3;
        cp = first & 0x0f;
        if (first == 0xe0)
            low = 0xa0;
        else if (first == 0xed)
            high = 0x9f;
    } else if (first >= 0xf0 && first <= 0xf4) {
        want = 4;
        cp = first & 0x07;
        if (first == 0xf0)
            low = 0x90;
        else if (first == 0xf4)
            high = 0x8f;
    } else {
        return 1;
    }
    for (size_t i = 1; i < want; i++) {
        if (i >= s.n)
            return i;
        unsigned char c = (unsigned char)s.p[i];
        if (c < low || c > high)
            return i;
        cp = (int32_t)((uint32_t)cp << 6 | (c & 0x3f));
        low = 0x80;
        high = 0xbf;
    }
    *ret_cp = cp;
    return want;
}

/* How many bytes at the front are ASCII, eight at a time. */
static size_t ascii_run(dz_str s)
{
    size_t n = 0;
    for (uint64_t eight; n + sizeof(eight) <= s.n; n += sizeof(eight)) {
        memcpy(&eight, s.p + n, sizeof(eight));
        if (eight & 0x8080808080808080u)
            break;
    }
    return n;
}

bool dz_str_is_utf8(dz_str s)
{
    while (s.n > 0) {
        size_t ascii = ascii_run(s);
        s.p += ascii;
        s.n -= ascii;
        if (s.n == 0)
            break;
        int32_t cp;
        size_t step = dz_utf8_step(s, &cp);
        if (cp < 0)
            return false;
        s.p += step;
        s.n -= step;
    }
    return true;
}

/* Cuts a run of digits off the front of *s, without its leading zeros. */
static dz_str take_digits(dz_str *s)
{
    size_t n = 0;
    while (n < s->n && is_digit(s->p[n]))
        n++;
    dz_str run = {s->p, n};
    s->p += n;
    s->n -= n;
    while (run.n > 0 && run.p[0] == '0') {
        run.p++;
        run.n--;
    }
    return run;
}

int dz_str_natural_cmp(dz_str a, dz_str b)
{
    dz_str x = a, y = b;
    while (x.n > 0 && y.n > 0) {
        if (is_digit(x.p[0]) && is_digit(y.p[0])) {
            dz_str left = take_digits(&x), right = take_digits(&y);
            if (left.n != right.n)
                return left.n < right.n ? -1 : 1;
            int order = dz_str_cmp(left, right);
            if (order != 0)
                return order;
            continue;
        }
        unsigned char left = lower(x.p[0]), right = lower(y.p[0]);
        if (left != right)
            return left < right ? -1 : 1;
        x = dz_str_sub(x, 1, x.n);
        y = dz_str_sub(y, 1, y.n);
    }
    if (x.n != y.n)
        return x.n < y.n ? -1 : 1;
    return dz_str_cmp(a, b);
}

enum dz_code dz_str_u64(dz_str s, uint64_t max, uint64_t *ret_n, struct dz_err *err)
{
    uint64_t n = 0;
    if (s.n == 0)
        return dz_fail(err, DZ_BAD_INPUT, "a number is missing");
    for (size_t i = 0; i < s.n; i++) {
        if (!is_digit(s.p[i]))
            return dz_fail(err, DZ_BAD_INPUT, "\"%.*s\" is not a whole number",
                           (int)(s.n < 40 ? s.n : 40), s.p);
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        if (n > (UINT64_MAX - digit) / 10 || n * 10 + digit > max)
            return dz_fail(err, DZ_BAD_INPUT, "%.*s is more than %llu", (int)(s.n < 40 ? s.n : 40),
                           s.p, (unsigned long long)max);
        n = n * 10 + digit;
    }
    *ret_n = n;
    return DZ_OK;
}

unsigned dz_str_distance(dz_str a, dz_str b)
{
    enum { LENGTH_MAX = 64 };
    if (a.n > LENGTH_MAX || b.n > LENGTH_MAX)
        return UINT_MAX;
    unsigned row[LENGTH_MAX + 1];
    for (unsigned j = 0; j <= b.n; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned corner = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned replace = corner + (lower(a.p[i - 1]) != lower(b.p[j - 1]));
            unsigned best = replace;
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            corner = row[j];
            row[j] = best;
        }
    }
    return row[b.n];
}
