/*
 * json_read: JSON text (RFC 8259) straight into Lua values.
 *
 * In: what a site sent, up to SRC_STRING_MAX bytes, nested up to SRC_DEPTH_MAX. Out: one value on
 * the stack. There is no tree in C between the two, so a text that is all brackets costs the run's
 * memory budget and nothing else; a raise at any point leaves nothing behind. Strict but for three
 * things that real sites send: a byte order mark, a key given twice (the last counts), and half a
 * surrogate pair, which becomes U+FFFD. Loop's thread.
 */
#include "source/source_int.h"

#include <math.h>

#define NUMBER_MAX 1000 /* characters */

struct reader {
    lua_State *L;
    const char *what;
    dz_str s;
    size_t at;
    unsigned depth;
};

static void read_value(struct reader *r);

_Noreturn static void wrong(struct reader *r, size_t at, const char *text)
{
    unsigned line = 1, column = 1;
    for (size_t i = 0; i < at; i++) {
        bool end = r->s.p[i] == '\n';
        line += end;
        column = end ? 1 : column + 1;
    }
    char seen[24] = "the end";
    if (at < r->s.n) {
        unsigned char c = (unsigned char)r->s.p[at];
        snprintf(seen, sizeof(seen), c > ' ' && c < 0x7F ? "'%c'" : "the byte 0x%02X", c);
    }
    luaL_error(r->L, "%s: line %d, column %d: %s, not %s", r->what, (int)line, (int)column, text,
               seen);
    __builtin_unreachable();
}

static int peek(const struct reader *r)
{
    return r->at < r->s.n ? (unsigned char)r->s.p[r->at] : -1;
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->s.n && memchr(" \t\r\n", r->s.p[r->at], 4))
        r->at++;
}

static bool take_digits(struct reader *r)
{
    size_t from = r->at;
    while (peek(r) >= '0' && peek(r) <= '9')
        r->at++;
    return r->at > from;
}

static void read_number(struct reader *r)
{
    size_t from = r->at;
    if (peek(r) == '-')
        r->at++;
    if (peek(r) == '0')
        r->at++;
    else if (!take_digits(r))
        wrong(r, r->at, "a digit was expected");
    if (peek(r) == '.') {
        r->at++;
        if (!take_digits(r))
            wrong(r, r->at, "a digit was expected");
    }
    if (peek(r) == 'e' || peek(r) == 'E') {
        r->at++;
        if (peek(r) == '+' || peek(r) == '-')
            r->at++;
        if (!take_digits(r))
            wrong(r, r->at, "a digit was expected");
    }
    char text[NUMBER_MAX + 1];
    size_t n = r->at - from;
    if (n > NUMBER_MAX)
        wrong(r, from, "a number of at most 1000 characters was expected");
    memcpy(text, r->s.p + from, n);
    text[n] = '\0';
    /* Gives an integer, or a float for a fraction, an exponent, or more than 64 bits. */
    if (lua_stringtonumber(r->L, text) == 0 || !isfinite(lua_tonumber(r->L, -1)))
        wrong(r, from, "a number that a float can hold was expected");
}

/* Four hexadecimal digits behind \u. */
static unsigned read_unit(struct reader *r)
{
    unsigned unit = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        int c = peek(r);
        int lower = c | 0x20;
        if (c >= '0' && c <= '9')
            unit = unit << 4 | (unsigned)(c - '0');
        else if (c >= 0 && lower >= 'a' && lower <= 'f')
            unit = unit << 4 | (unsigned)(lower - 'a' + 10);
        else
            wrong(r, r->at, "four hexadecimal digits were expected");
    }
    return unit;
}

static void put_utf8(luaL_Buffer *b, unsigned code)
{
    char u[4];
    size_t n = 0;
    if (code < 0x80) {
        u[n++] = (char)code;
    } else if (code < 0x800) {
        u[n++] = (char)(0xC0 | code >> 6);
    } else if (code < 0x10000) {
        u[n++] = (char)(0xE0 | code >> 12);
        u[n++] = (char)(0x80 | (code >> 6 & 0x3F));
    } else {
        u[n++] = (char)(0xF0 | code >> 18);
        u[n++] = (char)(0x80 | (code >> 12 & 0x3F));
        u[n++] = (char)(0x80 | (code >> 6 & 0x3F));
    }
    if (code >= 0x80)
        u[n++] = (char)(0x80 | (code & 0x3F));
    luaL_addlstring(b, u, n);
}

/* Behind the backslash. */
static void read_escape(struct reader *r, luaL_Buffer *b)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    int c = peek(r);
    const char *found = c > 0 ? strchr(from, c) : NULL;
    if (!found && c != 'u')
        wrong(r, r->at, "an escape was expected");
    r->at++;
    if (found) {
        luaL_addchar(b, to[found - from]);
        return;
    }
    unsigned code = read_unit(r);
    if (code >= 0xD800 && code < 0xDC00 &&
        dz_str_starts(dz_str_sub(r->s, r->at, r->s.n), DZ_S("\\u"))) {
        size_t back = r->at;
        r->at += 2;
        unsigned low = read_unit(r);
        if (low >= 0xDC00 && low < 0xE000)
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        else
            r->at = back; /* the other is read again by itself */
    }
    put_utf8(b, code >= 0xD800 && code < 0xE000 ? 0xFFFD : code);
}

/* Steps over plain characters; true at a quote, false at a backslash. */
static bool plain(struct reader *r)
{
    while (r->at < r->s.n) {
        unsigned char c = (unsigned char)r->s.p[r->at];
        if (c == '"' || c == '\\')
            return c == '"';
        if (c < 0x20)
            wrong(r, r->at, "a control character must be escaped");
        r->at++;
    }
    wrong(r, r->at, "the closing quote was expected");
}

static void read_string(struct reader *r)
{
    size_t from = ++r->at;
    if (plain(r)) {
        lua_pushlstring(r->L, r->s.p + from, r->at - from);
        r->at++;
        return;
    }
    luaL_Buffer b;
    luaL_buffinit(r->L, &b);
    for (;;) {
        luaL_addlstring(&b, r->s.p + from, r->at - from);
        if (r->s.p[r->at++] == '"')
            break;
        read_escape(r, &b);
        from = r->at;
        (void)plain(r);
    }
    luaL_pushresult(&b);
}

/* After a member: true when another follows. */
static bool more(struct reader *r, char close)
{
    skip_blanks(r);
    int c = peek(r);
    if (c != ',' && c != close)
        wrong(r, r->at, close == ']' ? "',' or ']' was expected" : "',' or '}' was expected");
    r->at++;
    skip_blanks(r);
    return c == ',';
}

static bool empty(struct reader *r, char close)
{
    r->at++;
    skip_blanks(r);
    if (peek(r) != close)
        return false;
    r->at++;
    return true;
}

static void read_array(struct reader *r)
{
    lua_createtable(r->L, 0, 0);
    src_mark_array(r->L, -1);
    if (empty(r, ']'))
        return;
    lua_Integer n = 0;
    do {
        read_value(r);
        lua_rawseti(r->L, -2, ++n);
    } while (more(r, ']'));
}

static void read_object(struct reader *r)
{
    lua_createtable(r->L, 0, 0);
    if (empty(r, '}'))
        return;
    do {
        if (peek(r) != '"')
            wrong(r, r->at, "a key in quotes was expected");
        read_string(r);
        skip_blanks(r);
        if (peek(r) != ':')
            wrong(r, r->at, "':' was expected");
        r->at++;
        read_value(r);
        lua_rawset(r->L, -3);
    } while (more(r, '}'));
}

static void read_word(struct reader *r)
{
    dz_str rest = dz_str_sub(r->s, r->at, r->s.n);
    bool yes = dz_str_starts(rest, DZ_S("true")), no = dz_str_starts(rest, DZ_S("false"));
    if (!yes && !no && !dz_str_starts(rest, DZ_S("null")))
        wrong(r, r->at, "a value was expected");
    r->at += no ? 5 : 4;
    if (yes || no)
        lua_pushboolean(r->L, yes);
    else
        src_push_null(r->L);
}

static void read_value(struct reader *r)
{
    if (++r->depth > SRC_DEPTH_MAX + 1)
        luaL_error(r->L, "%s: nested deeper than %d", r->what, SRC_DEPTH_MAX);
    luaL_checkstack(r->L, 8, "JSON");
    skip_blanks(r);
    int c = peek(r);
    if (c == '{')
        read_object(r);
    else if (c == '[')
        read_array(r);
    else if (c == '"')
        read_string(r);
    else if (c == '-' || (c >= '0' && c <= '9'))
        read_number(r);
    else
        read_word(r);
    r->depth--;
}

void src_push_json_text(lua_State *L, dz_str text, const char *what)
{
    if (text.n > SRC_STRING_MAX)
        luaL_error(L, "%s: the text has more than %d bytes", what, (int)SRC_STRING_MAX);
    src_charge(L, text.n / 8); /* also when nothing comes of it */
    if (!dz_str_is_utf8(text))
        luaL_error(L, "%s: the text is not UTF-8", what);
    struct reader r = {.L = L, .what = what, .s = text};
    if (dz_str_starts(text, DZ_S("\xEF\xBB\xBF")))
        r.at = 3;
    read_value(&r);
    skip_blanks(&r);
    if (r.at < text.n)
        wrong(&r, r.at, "the end was expected");
}
