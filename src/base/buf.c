/*
 * buf: bytes that grow up to a maximum, and the escapes for HTML and URLs.
 *
 * In: slices, appended. Out: one piece of heap memory, freed by dz_buf_done or handed over by
 * dz_buf_take. One owner thread. An append is whole or not at all; the first that does not fit sets
 * `full`, and from then on nothing is appended, so that no text with a hole in it can come out.
 * There is always one byte more than cap, for a NUL.
 */
#include "base/base_int.h"

void dz_buf_init(struct dz_buf *b, size_t max)
{
    dz_assert(max < SIZE_MAX / 2);
    *b = (struct dz_buf){.max = max};
}

void dz_buf_done(struct dz_buf *b)
{
    free(b->p);
    *b = (struct dz_buf){.max = b->max};
}

void dz_buf_clear(struct dz_buf *b)
{
    b->n = 0;
    b->full = false;
}

bool dz_buf_reserve(struct dz_buf *b, size_t more)
{
    if (DZ_LIKELY(more <= b->cap - b->n && b->p && !b->full))
        return true;
    if (b->full || more > b->max - b->n) {
        b->full = true;
        return false;
    }
    size_t cap = b->cap ? b->cap * 2 : 64;
    if (cap < b->n + more)
        cap = b->n + more;
    if (cap > b->max)
        cap = b->max;
    b->p = dz_realloc(b->p, cap + 1);
    b->cap = cap;
    return true;
}

void dz_buf_put(struct dz_buf *b, dz_str s)
{
    if (s.n == 0 || !dz_buf_reserve(b, s.n))
        return;
    memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
}

void dz_buf_putc(struct dz_buf *b, char c)
{
    if (dz_buf_reserve(b, 1))
        b->p[b->n++] = c;
}

void dz_buf_put_u64(struct dz_buf *b, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    dz_buf_put(b, (dz_str){digits + at, sizeof(digits) - at});
}

void dz_buf_put_span(struct dz_buf *b, int64_t ms)
{
    uint64_t s = ms > 0 ? (uint64_t)ms / 1000 : 0;
    const struct {
        uint64_t s;
        const char *unit;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    size_t i = 0;
    while (i + 1 < DZ_LEN(units) && s < 2 * units[i].s)
        i++;
    dz_buf_put_u64(b, s / units[i].s);
    dz_buf_putc(b, ' ');
    dz_buf_put(b, dz_str_of(units[i].unit));
}

void dz_buf_put_size(struct dz_buf *b, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < DZ_KIB) {
        dz_buf_put_u64(b, bytes);
        dz_buf_put(b, bytes == 1 ? DZ_S(" byte") : DZ_S(" bytes"));
        return;
    }
    double x = (double)bytes / 1024;
    size_t unit = 0;
    /* Not 1024.0 of a unit, which is how 1023.96 would be written. */
    while (x >= 1023.95 && unit + 1 < DZ_LEN(units)) {
        x /= 1024;
        unit++;
    }
    dz_buf_putf(b, "%.1f %s", x, units[unit]);
}

void dz_buf_putf(struct dz_buf *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    size_t room = b->p && !b->full ? b->cap - b->n : 0;
    int n = vsnprintf(room ? b->p + b->n : NULL, room ? room + 1 : 0, fmt, args);
    va_end(args);
    dz_assert(n >= 0);
    if ((size_t)n > room && dz_buf_reserve(b, (size_t)n)) {
        vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        room = (size_t)n;
    }
    va_end(again);
    if ((size_t)n <= room)
        b->n += (size_t)n;
}

/* What stands for the character in HTML and XML, or an empty slice when it stands for itself.
 * XML 1.0 has no way to write most control characters at all. */
static dz_str html_escape(int32_t cp)
{
    switch (cp) {
    case '&':
        return DZ_S("&amp;");
    case '<':
        return DZ_S("&lt;");
    case '>':
        return DZ_S("&gt;");
    case '"':
        return DZ_S("&quot;");
    case '\'':
        return DZ_S("&#39;");
    case '\t':
    case '\n':
    case '\r':
        return (dz_str){NULL, 0};
    default:
        return cp < 0x20 || cp == 0xfffe || cp == 0xffff ? DZ_S("\xef\xbf\xbd") : (dz_str){NULL, 0};
    }
}

void dz_buf_put_html(struct dz_buf *b, dz_str s)
{
    size_t before = b->n, from = 0, at = 0;
    while (at < s.n) {
        int32_t cp;
        size_t step = dz_utf8_step(dz_str_sub(s, at, s.n), &cp);
        dz_str escape = html_escape(cp);
        if (escape.n > 0) {
            dz_buf_put(b, dz_str_sub(s, from, at));
            dz_buf_put(b, escape);
            from = at + step;
        }
        at += step;
    }
    dz_buf_put(b, dz_str_sub(s, from, s.n));
    if (b->full)
        b->n = before;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void dz_buf_put_url(struct dz_buf *b, dz_str s)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t before = b->n, from = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (is_unreserved(s.p[i]))
            continue;
        unsigned char c = (unsigned char)s.p[i];
        dz_buf_put(b, dz_str_sub(s, from, i));
        dz_buf_put(b, (dz_str){(const char[]){'%', digits[c >> 4], digits[c & 15]}, 3});
        from = i + 1;
    }
    dz_buf_put(b, dz_str_sub(s, from, s.n));
    if (b->full)
        b->n = before;
}

const char *dz_buf_cstr(struct dz_buf *b)
{
    if (b->full || !b->p)
        return "";
    b->p[b->n] = '\0';
    return b->p;
}

char *dz_buf_take(struct dz_buf *b, size_t *ret_n)
{
    char *p = b->p ? b->p : dz_alloc(1);
    p[b->n] = '\0';
    if (ret_n)
        *ret_n = b->n;
    *b = (struct dz_buf){.max = b->max};
    return p;
}
