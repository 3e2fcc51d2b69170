/*
 * mod_date: `date` of sources: texts of dates to seconds since 1970 and back.
 *
 * In: a text of a page, and a format as strptime has it, or none for ISO 8601 and RFC 5322. Out: an
 * integer, or an error that says what was expected where. Names of months are English whatever the
 * locale, because pages and not users are read. Zones are offsets; a name like Asia/Tokyo would
 * need tables that the machine may not have. Pure, loop's thread.
 */
#include "source/source_int.h"

struct when {
    int64_t year;
    int month, day; /* from 1 */
    int hour, minute, second;
    int half;    /* 0: none said, 1: am, 2: pm */
    int yearday; /* 0: none said */
    bool zoned;
    int offset_s; /* east of Greenwich */
    bool epoch;   /* %s: whole answer is epoch_s */
    int64_t epoch_s;
};

struct scan {
    dz_str s;
    size_t at;
    const char *expected; /* of the failure */
};

static const char *const months[12] = {"january",   "february", "march",    "april",
                                       "may",       "june",     "july",     "august",
                                       "september", "october",  "november", "december"};
static const char *const days[7] = {"sunday",   "monday", "tuesday", "wednesday",
                                    "thursday", "friday", "saturday"};

static bool expect(struct scan *c, bool good, const char *what)
{
    if (!good)
        c->expected = what;
    return good;
}

static bool is_digit(const struct scan *c, size_t at)
{
    return at < c->s.n && c->s.p[at] >= '0' && c->s.p[at] <= '9';
}

static bool is_letter(const struct scan *c, size_t at)
{
    return at < c->s.n && (c->s.p[at] | 0x20) >= 'a' && (c->s.p[at] | 0x20) <= 'z';
}

static void skip_blanks(struct scan *c)
{
    for (;;) {
        dz_str rest = dz_str_sub(c->s, c->at, c->s.n);
        if (rest.n > 0 && strchr(" \t\r\n", rest.p[0]) && rest.p[0] != '\0')
            c->at++;
        else if (dz_str_starts(rest, DZ_S("\xC2\xA0"))) /* no-break */
            c->at += 2;
        else
            return;
    }
}

static bool take(struct scan *c, char want)
{
    bool there = c->at < c->s.n && c->s.p[c->at] == want;
    c->at += there;
    return there;
}

/* min to max digits, of a value from low to high. */
static bool number(struct scan *c, int min, int max, int64_t low, int64_t high, int64_t *ret)
{
    int64_t n = 0;
    int count = 0;
    size_t start = c->at;
    while (count < max && is_digit(c, c->at)) {
        n = n * 10 + (c->s.p[c->at++] - '0');
        count++;
    }
    if (count < min || n < low || n > high) {
        c->at = start;
        return false;
    }
    *ret = n;
    return true;
}

static bool small(struct scan *c, int min, int low, int high, int *ret, const char *what)
{
    int64_t n;
    bool good = number(c, min, high > 99 ? 3 : 2, low, high, &n);
    if (good)
        *ret = (int)n;
    return expect(c, good, what);
}

/* One of the names, whole or its first three letters ("Sept" too), with a dot behind or not. */
static bool name(struct scan *c, const char *const *names, int n, int *ret)
{
    size_t end = c->at;
    while (is_letter(c, end))
        end++;
    dz_str word = dz_str_sub(c->s, c->at, end);
    for (int i = 0; i < n && word.n >= 3; i++) {
        dz_str whole = dz_str_of(names[i]);
        if (word.n > whole.n || !dz_str_eq_nocase(word, dz_str_sub(whole, 0, word.n)))
            continue;
        if (word.n != whole.n && word.n != 3 && word.n != 4)
            continue;
        c->at = end;
        if (word.n < whole.n)
            (void)take(c, '.');
        *ret = i;
        return true;
    }
    return false;
}

/* ---- zones ----------------------------------------------------------------------------------- */

/* Z, +09, +0900, +09:00, and the names of RFC 5322 4.3. */
static bool zone(struct scan *c, int *ret_offset)
{
    static const struct {
        char name[4];
        int hours;
    } named[] = {{"UTC", 0},  {"GMT", 0},  {"UT", 0},   {"Z", 0},    {"EST", -5},
                 {"EDT", -4}, {"CST", -6}, {"CDT", -5}, {"MST", -7}, {"MDT", -6},
                 {"PST", -8}, {"PDT", -7}, {"JST", 9},  {"KST", 9}};
    size_t end = c->at;
    while (is_letter(c, end))
        end++;
    dz_str word = dz_str_sub(c->s, c->at, end);
    for (size_t i = 0; i < DZ_LEN(named) && word.n > 0; i++) {
        if (!dz_str_eq_nocase(word, dz_str_of(named[i].name)))
            continue;
        c->at = end;
        *ret_offset = named[i].hours * 3600;
        return true;
    }
    bool west = c->at < c->s.n && c->s.p[c->at] == '-';
    int64_t hours, minutes = 0;
    if (!west && !(c->at < c->s.n && c->s.p[c->at] == '+'))
        return expect(c, false, "a zone such as +09:00");
    c->at++;
    if (!number(c, 2, 2, 0, 14, &hours))
        return expect(c, false, "a zone such as +09:00");
    bool colon = take(c, ':');
    if ((colon || is_digit(c, c->at)) && !number(c, 2, 2, 0, 59, &minutes))
        return expect(c, false, "a zone such as +09:00");
    int offset = (int)(hours * 3600 + minutes * 60);
    *ret_offset = west ? -offset : offset;
    return true;
}

static bool read_zone(struct scan *c, struct when *w)
{
    w->zoned = zone(c, &w->offset_s);
    return w->zoned;
}

/* ---- formats --------------------------------------------------------------------------------- */

static bool year_of_two(struct scan *c, struct when *w)
{
    int64_t n;
    if (!expect(c, number(c, 2, 2, 0, 99, &n), "a year of two digits"))
        return false;
    w->year = n < 69 ? 2000 + n : 1900 + n; /* as POSIX has it */
    return true;
}

static bool by_format(struct scan *c, dz_str format, struct when *w, int depth);

static bool directive(struct scan *c, char d, struct when *w, int depth)
{
    int64_t n;
    int i;
    switch (d) {
    case 'Y':
        return expect(c, number(c, 4, 4, 1, 9999, &w->year), "a year of four digits");
    case 'y':
        return year_of_two(c, w);
    case 'm':
        return small(c, 1, 1, 12, &w->month, "a month");
    case 'd':
    case 'e':
        return small(c, 1, 1, 31, &w->day, "a day");
    case 'j':
        return small(c, 1, 1, 366, &w->yearday, "a day of the year");
    case 'H':
    case 'k':
        return small(c, 1, 0, 23, &w->hour, "an hour");
    case 'I':
    case 'l':
        return small(c, 1, 1, 12, &w->hour, "an hour from 1 to 12");
    case 'M':
        return small(c, 1, 0, 59, &w->minute, "minutes");
    case 'S':
        return small(c, 1, 0, 60, &w->second, "seconds");
    case 'f': /* a fraction of a second, left out */
        return expect(c, number(c, 1, 9, 0, INT64_MAX, &n), "a fraction of a second");
    case 's':
        w->epoch = number(c, 1, 11, 0, INT64_MAX, &w->epoch_s);
        return expect(c, w->epoch, "seconds since 1970");
    case 'b':
    case 'B':
    case 'h':
        if (!expect(c, name(c, months, 12, &i), "the name of a month"))
            return false;
        w->month = i + 1;
        return true;
    case 'a':
    case 'A':
        return expect(c, name(c, days, 7, &i), "the name of a weekday");
    case 'p':
        n = c->at < c->s.n ? c->s.p[c->at] | 0x20 : 0;
        if (n == 'a' || n == 'p')
            c->at++;
        (void)take(c, '.');
        if (!expect(c, (n == 'a' || n == 'p') && (take(c, 'm') || take(c, 'M')), "am or pm"))
            return false;
        (void)take(c, '.');
        w->half = n == 'a' ? 1 : 2;
        return true;
    case 'z':
    case 'Z':
        return read_zone(c, w);
    case 'T':
        return by_format(c, DZ_S("%H:%M:%S"), w, depth + 1);
    case 'R':
        return by_format(c, DZ_S("%H:%M"), w, depth + 1);
    case 'F':
        return by_format(c, DZ_S("%Y-%m-%d"), w, depth + 1);
    case 'D':
        return by_format(c, DZ_S("%m/%d/%y"), w, depth + 1);
    case '%':
        return expect(c, take(c, '%'), "%");
    default:
        return expect(c, false, NULL);
    }
}

/* Blanks of the format stand for any blanks or none; numbers and names may have blanks before
 * them, as strptime has it. */
static bool by_format(struct scan *c, dz_str format, struct when *w, int depth)
{
    for (size_t i = 0; i < format.n; i++) {
        char f = format.p[i];
        if (f == '%' && i + 1 < format.n) {
            char d = format.p[++i];
            if (d != '%')
                skip_blanks(c);
            if (d != 'n' && d != 't' && !directive(c, d, w, depth))
                return false;
        } else if (f == ' ' || f == '\t' || f == '\n') {
            skip_blanks(c);
        } else if (!take(c, f)) {
            return expect(c, false, "the same character as in the format");
        }
    }
    if (depth == 0)
        skip_blanks(c);
    return depth > 0 || expect(c, c->at == c->s.n, "the end of the text");
}

/* ---- without a format ------------------------------------------------------------------------ */

/* 20:15, 20:15:30, 20:15:30.25, 201530, with a zone or not. */
static bool iso_time(struct scan *c, struct when *w)
{
    if (!small(c, 2, 0, 23, &w->hour, "an hour"))
        return false;
    bool colons = take(c, ':');
    if (!colons && !is_digit(c, c->at))
        return expect(c, false, "minutes");
    if (!small(c, 2, 0, 59, &w->minute, "minutes"))
        return false;
    if (colons ? take(c, ':') : is_digit(c, c->at)) {
        if (!small(c, 2, 0, 60, &w->second, "seconds"))
            return false;
        if (take(c, '.') || take(c, ','))
            while (is_digit(c, c->at))
                c->at++;
    }
    skip_blanks(c);
    return c->at == c->s.n || read_zone(c, w);
}

static bool iso(struct scan *c, struct when *w)
{
    if (!expect(c, number(c, 4, 4, 1, 9999, &w->year), "a year of four digits"))
        return false;
    bool dashes = take(c, '-');
    if (!small(c, 2, 1, 12, &w->month, "a month") ||
        !expect(c, !dashes || take(c, '-'), "a dash") || !small(c, 2, 1, 31, &w->day, "a day"))
        return false;
    if (c->at < c->s.n && (c->s.p[c->at] == 'T' || c->s.p[c->at] == 't'))
        c->at++;
    else
        skip_blanks(c);
    return c->at == c->s.n || iso_time(c, w);
}

/* RFC 5322 3.3: "Sat, 21 Nov 2026 09:20:35 +0000"; weekday, seconds and zone may be missing. */
static bool mail(struct scan *c, struct when *w)
{
    int i;
    if (is_letter(c, c->at)) {
        if (!expect(c, name(c, days, 7, &i), "a date as of ISO 8601 or RFC 5322"))
            return false;
        (void)take(c, ',');
    }
    if (!by_format(c, DZ_S("%d %b %Y"), w, 1))
        return false;
    skip_blanks(c);
    if (c->at == c->s.n)
        return true;
    if (!by_format(c, DZ_S("%H:%M"), w, 1))
        return false;
    if (take(c, ':') && !small(c, 1, 0, 60, &w->second, "seconds"))
        return false;
    skip_blanks(c);
    return c->at == c->s.n || read_zone(c, w);
}

static bool without_format(struct scan *c, struct when *w)
{
    skip_blanks(c);
    while (c->s.n > c->at && strchr(" \t\r\n", c->s.p[c->s.n - 1]) && c->s.p[c->s.n - 1])
        c->s.n--;
    bool digits = is_digit(c, c->at) && is_digit(c, c->at + 1) && is_digit(c, c->at + 2);
    bool good = digits ? iso(c, w) : mail(c, w);
    return good && expect(c, c->at == c->s.n, "the end of the text");
}

/* ---- counting -------------------------------------------------------------------------------- */

int src_month_days(int64_t year, int month)
{
    static const int lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : lengths[month - 1];
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar: years begin in March here, so that
 * the leap day is the last. */
static int64_t days_since_1970(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = year / 400, of_era = year % 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool count(struct scan *c, const struct when *w, int tz_s, int64_t *ret)
{
    if (w->epoch) {
        *ret = w->epoch_s;
        return true;
    }
    bool leap = src_month_days(w->year, 2) == 29;
    if (!expect(c,
                w->yearday > 0 ? w->yearday <= 365 + leap
                               : w->day <= src_month_days(w->year, w->month),
                "a day that the calendar has"))
        return false;
    int hour = w->half == 0 ? w->hour : w->hour % 12 + (w->half == 2 ? 12 : 0);
    int64_t day = w->yearday > 0 ? days_since_1970(w->year, 1, 1) + w->yearday - 1
                                 : days_since_1970(w->year, w->month, w->day);
    *ret = day * 86400 + hour * 3600 + w->minute * 60 + w->second - (w->zoned ? w->offset_s : tz_s);
    return true;
}

/* ---- Lua ------------------------------------------------------------------------------------- */

/* The option tz of the table on index 3: "+09:00", "JST", or seconds east of Greenwich. */
static int zone_option(lua_State *L)
{
    if (lua_isnoneornil(L, 3))
        return 0;
    if (!lua_istable(L, 3))
        src_wrong_arg(L, 3, "date.parse", "a table");
    lua_pushliteral(L, "tz");
    int type = lua_rawget(L, 3), offset = 0;
    if (type == LUA_TNIL)
        return 0;
    if (lua_isinteger(L, -1)) {
        lua_Integer n = lua_tointeger(L, -1);
        if (n < -86400 || n > 86400)
            luaL_error(L, "date.parse: tz is more than a day");
        return (int)n;
    }
    struct scan c = {0};
    if (type == LUA_TSTRING)
        c.s.p = lua_tolstring(L, -1, &c.s.n);
    if (type != LUA_TSTRING || !zone(&c, &offset) || c.at != c.s.n)
        luaL_error(L, "date.parse: tz must be an offset such as \"+09:00\"");
    return offset;
}

static int date_parse(lua_State *L)
{
    dz_str text = src_arg(L, 1, "date.parse");
    dz_str format = src_arg_or(L, 2, "date.parse", (dz_str){0});
    int tz_s = zone_option(L);
    struct scan c = {.s = text};
    /* What is not said is the first of January 1970, midnight. */
    struct when w = {.year = 1970, .month = 1, .day = 1};
    int64_t epoch_s;
    bool good = format.p ? by_format(&c, format, &w, 0) : without_format(&c, &w);
    if (good && count(&c, &w, tz_s, &epoch_s)) {
        lua_pushinteger(L, epoch_s);
        return 1;
    }
    if (!c.expected)
        return luaL_error(L, "date.parse: the format holds a directive that is not known");
    char shown[64];
    (void)src_copy_text(shown, sizeof(shown), text);
    return luaL_error(L, "date.parse: \"%s\": %s was expected at character %d", shown, c.expected,
                      (int)c.at + 1);
}

static int date_iso(lua_State *L)
{
    if (!lua_isnumber(L, 1))
        src_wrong_arg(L, 1, "date.iso", "a number of seconds");
    double s = lua_tonumber(L, 1);
    if (!(s >= -62167219200.0 && s <= 253402300799.0))
        return luaL_error(L, "date.iso: the year lies outside 0 to 9999");
    char text[21];
    dz_time_iso((int64_t)s, text);
    lua_pushstring(L, text);
    return 1;
}

void src_open_date(lua_State *L)
{
    static const luaL_Reg functions[] = {{"parse", date_parse}, {"iso", date_iso}, {NULL, NULL}};
    luaL_newlib(L, functions);
}
