/*
 * clock: the time, dates as text, and random bytes.
 *
 * In: the system's clocks and generator. Out: numbers, and fixed-width texts in the caller's array.
 * Any thread. The wall clock can be fixed for a test. Dates are counted in the proleptic Gregorian
 * calendar without the C library, which would look at the time zone and the locale.
 */
#include "base/base_int.h"

#include <errno.h>
#include <sys/random.h>

enum { DAY_S = 86400 };
static const int64_t year_9999_end_s = 253402300799;
static const int64_t year_0_s = -62167219200;

static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char weekdays[7][10] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                     "Thursday", "Friday", "Saturday"};

static _Atomic int64_t fixed_ms = -1;

int64_t dz_now_ms(void)
{
    int64_t fixed = atomic_load_explicit(&fixed_ms, memory_order_relaxed);
    if (DZ_UNLIKELY(fixed >= 0))
        return fixed;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t dz_mono_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void dz_clock_set_for_test(int64_t wall_ms)
{
    atomic_store_explicit(&fixed_ms, wall_ms, memory_order_relaxed);
}

void dz_random(void *p, size_t n)
{
    char *at = p;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            dz_panic(__FILE__, __LINE__, "getrandom: errno %d", errno);
        at += got;
        n -= (size_t)got;
    }
}

uint64_t dz_random_u64(void)
{
    uint64_t x;
    dz_random(&x, sizeof(x));
    return x;
}

struct civil {
    int64_t year;
    unsigned month, day; /* from 1 */
    unsigned hour, minute, second;
    unsigned weekday; /* 0: Sunday */
};

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned month_days(int64_t year, unsigned month)
{
    static const unsigned char days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Days from 0000-01-01 to the first of January of year, 0 <= year <= 10000. */
static int64_t days_before_year(int64_t year)
{
    if (year == 0)
        return 0;
    int64_t y = year - 1;
    return year * 365 + y / 4 - y / 100 + y / 400 + 1; /* year 0 was a leap year */
}

/* Days from 0000-01-01 to this one. */
static int64_t days_of(const struct civil *c)
{
    int64_t days = days_before_year(c->year) + c->day - 1;
    for (unsigned m = 1; m < c->month; m++)
        days += month_days(c->year, m);
    return days;
}

static unsigned weekday_of(int64_t days)
{
    return (unsigned)((days + 6) % 7); /* 0000-01-01 was a Saturday */
}

static int64_t epoch_of(const struct civil *c)
{
    return (days_of(c) - days_before_year(1970)) * DAY_S + c->hour * 3600 + c->minute * 60 +
           c->second;
}

static struct civil civil_of(int64_t epoch_s)
{
    struct civil c;
    int64_t since_0 = epoch_s - year_0_s;
    int64_t days = since_0 / DAY_S;
    unsigned rest = (unsigned)(since_0 % DAY_S);
    c.hour = rest / 3600;
    c.minute = rest / 60 % 60;
    c.second = rest % 60;
    c.weekday = weekday_of(days);
    c.year = days / 366; /* never too late, a few years early at most */
    while (days_before_year(c.year + 1) <= days)
        c.year++;
    days -= days_before_year(c.year);
    c.month = 1;
    while (days >= month_days(c.year, c.month))
        days -= month_days(c.year, c.month++);
    c.day = (unsigned)days + 1;
    return c;
}

/* Writes n in exactly `width` digits. */
static char *digits(char *dst, uint64_t n, unsigned width)
{
    for (unsigned i = width; i-- > 0; n /= 10)
        dst[i] = (char)('0' + n % 10);
    return dst + width;
}

static char *text(char *dst, const char *s, size_t n)
{
    memcpy(dst, s, n);
    return dst + n;
}

static char *clock_digits(char *dst, const struct civil *c)
{
    dst = digits(dst, c->hour, 2);
    *dst++ = ':';
    dst = digits(dst, c->minute, 2);
    *dst++ = ':';
    return digits(dst, c->second, 2);
}

static int64_t clip(int64_t n, int64_t low, int64_t high)
{
    return n < low ? low : n > high ? high : n;
}

void dz_time_iso(int64_t epoch_s, char dst[21])
{
    struct civil c = civil_of(clip(epoch_s, year_0_s, year_9999_end_s));
    char *at = digits(dst, (uint64_t)c.year, 4);
    *at++ = '-';
    at = digits(at, c.month, 2);
    *at++ = '-';
    at = digits(at, c.day, 2);
    *at++ = 'T';
    at = clock_digits(at, &c);
    *at++ = 'Z';
    *at = '\0';
}

void dz_time_http(int64_t epoch_s, char dst[30])
{
    struct civil c = civil_of(clip(epoch_s, 0, year_9999_end_s));
    char *at = text(dst, weekdays[c.weekday], 3);
    at = text(at, ", ", 2);
    at = digits(at, c.day, 2);
    *at++ = ' ';
    at = text(at, months[c.month - 1], 3);
    *at++ = ' ';
    at = digits(at, (uint64_t)c.year, 4);
    *at++ = ' ';
    at = clock_digits(at, &c);
    at = text(at, " GMT", 4);
    *at = '\0';
}

/* Steps over exactly `width` digits. */
static bool take_digits(struct dz_cursor *c, unsigned width, unsigned *ret_n)
{
    unsigned n = 0;
    for (unsigned i = 0; i < width; i++) {
        int byte = dz_cursor_next(c);
        if (byte < '0' || byte > '9')
            return false;
        n = n * 10 + (unsigned)(byte - '0');
    }
    *ret_n = n;
    return true;
}

static bool take_year(struct dz_cursor *c, unsigned width, int64_t *ret_year)
{
    unsigned year;
    if (!take_digits(c, width, &year))
        return false;
    *ret_year = year;
    return true;
}

static bool take_month(struct dz_cursor *c, unsigned *ret_month)
{
    for (unsigned m = 0; m < 12; m++) {
        if (dz_cursor_take(c, (dz_str){months[m], 3})) {
            *ret_month = m + 1;
            return true;
        }
    }
    return false;
}

/* hh:mm:ss; a leap second is taken as it stands and counts as the second after. */
static bool take_clock(struct dz_cursor *c, struct civil *t)
{
    return take_digits(c, 2, &t->hour) && dz_cursor_take(c, DZ_S(":")) &&
           take_digits(c, 2, &t->minute) && dz_cursor_take(c, DZ_S(":")) &&
           take_digits(c, 2, &t->second) && t->hour <= 23 && t->minute <= 59 && t->second <= 60;
}

static bool take_weekday(struct dz_cursor *c, bool whole, unsigned *ret_weekday)
{
    for (unsigned d = 0; d < 7; d++)
        if (dz_cursor_take(c, (dz_str){weekdays[d], whole ? strlen(weekdays[d]) : 3})) {
            *ret_weekday = d;
            return true;
        }
    return false;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool parse_imf(struct dz_cursor c, struct civil *t)
{
    return take_weekday(&c, false, &t->weekday) && dz_cursor_take(&c, DZ_S(", ")) &&
           take_digits(&c, 2, &t->day) && dz_cursor_take(&c, DZ_S(" ")) &&
           take_month(&c, &t->month) && dz_cursor_take(&c, DZ_S(" ")) &&
           take_year(&c, 4, &t->year) && dz_cursor_take(&c, DZ_S(" ")) && take_clock(&c, t) &&
           dz_cursor_take(&c, DZ_S(" GMT")) && dz_cursor_end(&c);
}

/* "Sunday, 06-Nov-94 08:49:37 GMT"; leaves a year of two digits. */
static bool parse_rfc850(struct dz_cursor c, struct civil *t)
{
    return take_weekday(&c, true, &t->weekday) && dz_cursor_take(&c, DZ_S(", ")) &&
           take_digits(&c, 2, &t->day) && dz_cursor_take(&c, DZ_S("-")) &&
           take_month(&c, &t->month) && dz_cursor_take(&c, DZ_S("-")) &&
           take_year(&c, 2, &t->year) && dz_cursor_take(&c, DZ_S(" ")) && take_clock(&c, t) &&
           dz_cursor_take(&c, DZ_S(" GMT")) && dz_cursor_end(&c);
}

/* "Sun Nov  6 08:49:37 1994" */
static bool parse_asctime(struct dz_cursor c, struct civil *t)
{
    if (!take_weekday(&c, false, &t->weekday) || !dz_cursor_take(&c, DZ_S(" ")) ||
        !take_month(&c, &t->month) || !dz_cursor_take(&c, DZ_S(" ")))
        return false;
    unsigned width = dz_cursor_take(&c, DZ_S(" ")) ? 1 : 2;
    return take_digits(&c, width, &t->day) && dz_cursor_take(&c, DZ_S(" ")) && take_clock(&c, t) &&
           dz_cursor_take(&c, DZ_S(" ")) && take_year(&c, 4, &t->year) && dz_cursor_end(&c);
}

static bool day_exists(const struct civil *t)
{
    return t->day >= 1 && t->day <= month_days(t->year, t->month);
}

/* RFC 9110 5.6.7: a date that looks more than 50 years ahead, to the second, lies in the past
 * century. */
static int64_t whole_year(struct civil t, int64_t now_s)
{
    struct civil limit = civil_of(clip(now_s, 0, year_9999_end_s));
    t.year += limit.year / 100 * 100 + 100;
    limit.year += 50;
    while (epoch_of(&t) > epoch_of(&limit))
        t.year -= 100;
    return t.year;
}

enum dz_code dz_time_http_parse(dz_str s, int64_t now_s, int64_t *ret_epoch_s, struct dz_err *err)
{
    struct dz_cursor c;
    struct civil t;
    dz_cursor_init(&c, s);
    bool good = parse_imf(c, &t) || parse_asctime(c, &t);
    if (!good && parse_rfc850(c, &t)) {
        t.year = whole_year(t, now_s);
        good = t.year <= 9999;
    }
    if (!good || !day_exists(&t) || t.weekday != weekday_of(days_of(&t)))
        return dz_fail(err, DZ_BAD_INPUT, "\"%.*s\" is not an HTTP date",
                       (int)(s.n < 40 ? s.n : 40), s.n ? s.p : "");
    *ret_epoch_s = epoch_of(&t);
    return DZ_OK;
}

enum dz_code dz_time_iso_parse(dz_str s, int64_t *ret_epoch_s, struct dz_err *err)
{
    struct dz_cursor c;
    struct civil t;
    dz_cursor_init(&c, s);
    if (!take_year(&c, 4, &t.year) || !dz_cursor_take(&c, DZ_S("-")) ||
        !take_digits(&c, 2, &t.month) || !dz_cursor_take(&c, DZ_S("-")) ||
        !take_digits(&c, 2, &t.day) || !dz_cursor_take(&c, DZ_S("T")) || !take_clock(&c, &t) ||
        !dz_cursor_take(&c, DZ_S("Z")) || !dz_cursor_end(&c) || t.month < 1 || t.month > 12 ||
        !day_exists(&t))
        return dz_fail(err, DZ_BAD_INPUT, "\"%.*s\" is not a time like 2026-11-21T09:20:35Z",
                       (int)(s.n < 40 ? s.n : 40), s.n ? s.p : "");
    *ret_epoch_s = epoch_of(&t);
    return DZ_OK;
}
