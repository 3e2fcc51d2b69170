/*
 * mod_str: `str` of sources: what pages need of texts beside Lua's own string library.
 *
 * In: texts, mostly of pages. Out: texts, numbers, lists. Regular expressions are PCRE2 in UTF
 * mode with limits on the pattern, on depth and memory, and on the steps of one call: an automatic
 * callout before each item of the pattern adds up what was walked, since PCRE2's own match limit
 * starts anew at each character of the text. The steps are charged to the run. Loop's thread.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "source/source_int.h"

#define HEAP_KIB 16384u /* of one match */
#define DEPTH_MAX 100000u
#define MATCH_NS_MAX 1000000000 /* of one match: one step may compare megabytes, as \1 does */
#define LOOK_EVERY 256u         /* steps between two looks at the clock */
#define NUMBER_MAX 60           /* characters of str.number */

/* ---- blanks ---------------------------------------------------------------------------------- */

/* Bytes of the blank that s starts with, 0 when it starts with none: ASCII's, and those of Unicode
 * that pages hold (no-break, ideographic, the typographic ones, the byte order mark). */
static size_t blank(dz_str s)
{
    if (s.n == 0)
        return 0;
    unsigned char c = (unsigned char)s.p[0];
    if (c == ' ' || (c >= '\t' && c <= '\r'))
        return 1;
    if (c == 0xC2 && s.n > 1 && ((unsigned char)s.p[1] == 0xA0 || (unsigned char)s.p[1] == 0x85))
        return 2;
    if (s.n < 3 || (c != 0xE2 && c != 0xE3 && c != 0xEF))
        return 0;
    unsigned char d = (unsigned char)s.p[1], e = (unsigned char)s.p[2];
    bool is =
        (c == 0xE2 && d == 0x80 && ((e >= 0x80 && e <= 0x8B) || (e & 0xFE) == 0xA8 || e == 0xAF)) ||
        (c == 0xE2 && d == 0x81 && (e == 0x9F || e == 0xA0)) ||
        (c == 0xE3 && d == 0x80 && e == 0x80) || (c == 0xEF && d == 0xBB && e == 0xBF);
    return is ? 3 : 0;
}

static dz_str trimmed(dz_str s)
{
    size_t n;
    while ((n = blank(s)) > 0)
        s = dz_str_sub(s, n, s.n);
    for (;;) {
        size_t was = s.n;
        for (n = 1; n <= 3 && n <= s.n; n++) {
            if (blank(dz_str_sub(s, s.n - n, s.n)) != n)
                continue;
            s.n -= n;
            break;
        }
        if (s.n == was)
            return s;
    }
}

static dz_str trimmed_arg(lua_State *L, const char *fn)
{
    dz_str s = src_arg(L, 1, fn);
    src_charge(L, s.n / 8);
    return trimmed(s);
}

static int str_trim(lua_State *L)
{
    dz_str s = trimmed_arg(L, "str.trim");
    lua_pushlstring(L, s.p, s.n);
    return 1;
}

static int str_squeeze(lua_State *L)
{
    dz_str s = trimmed_arg(L, "str.squeeze");
    luaL_Buffer b;
    char *to = luaL_buffinitsize(L, &b, s.n);
    size_t n = 0;
    while (s.n > 0) {
        size_t skip = blank(s);
        if (skip == 0) {
            to[n++] = s.p[0];
            s = dz_str_sub(s, 1, s.n);
            continue;
        }
        to[n++] = ' ';
        for (; skip > 0; skip = blank(s))
            s = dz_str_sub(s, skip, s.n);
    }
    luaL_pushresultsize(&b, n);
    return 1;
}

/* ---- parts ----------------------------------------------------------------------------------- */

static int str_between(lua_State *L)
{
    dz_str s = src_arg(L, 1, "str.between"), before = src_arg(L, 2, "str.between");
    dz_str after = src_arg_or(L, 3, "str.between", (dz_str){0});
    src_charge(L, s.n / 64);
    size_t from = before.n == 0 ? 0 : dz_str_find(s, before);
    dz_str rest = from != DZ_NPOS ? dz_str_sub(s, from + before.n, s.n) : (dz_str){0};
    size_t to = after.n == 0 ? rest.n : dz_str_find(rest, after);
    if (from == DZ_NPOS || to == DZ_NPOS)
        lua_pushnil(L);
    else
        lua_pushlstring(L, rest.p, to);
    return 1;
}

static bool is_digit(dz_str s, size_t at)
{
    return at < s.n && s.p[at] >= '0' && s.p[at] <= '9';
}

/* ",345" and no digit behind: a group of thousands. */
static bool thousands(dz_str s, size_t at)
{
    return at < s.n && s.p[at] == ',' && is_digit(s, at + 1) && is_digit(s, at + 2) &&
           is_digit(s, at + 3) && !is_digit(s, at + 4);
}

/* The first decimal number: "1,234.5 views" → 1234.5, "Ch. 12" → 12; a minus counts at the start
 * or behind a blank. */
static int str_number(lua_State *L)
{
    dz_str s = src_arg(L, 1, "str.number");
    src_charge(L, s.n / 8);
    size_t at = 0, n = 0;
    while (at < s.n && !is_digit(s, at))
        at++;
    char text[NUMBER_MAX + 4];
    if (at > 0 && s.p[at - 1] == '-' && (at == 1 || (unsigned char)s.p[at - 2] <= ' '))
        text[n++] = '-';
    size_t first = at, run = 0; /* digits since the last comma */
    while ((is_digit(s, at) || (run > 0 && run <= 3 && thousands(s, at))) && n < NUMBER_MAX) {
        run = s.p[at] == ',' ? 0 : run + 1;
        if (run > 0)
            text[n++] = s.p[at];
        at++;
    }
    bool whole = at > first;
    if (whole && at < s.n && s.p[at] == '.' && is_digit(s, at + 1)) {
        text[n++] = '.';
        for (at++; is_digit(s, at) && n < NUMBER_MAX; at++)
            text[n++] = s.p[at];
    }
    text[n] = '\0';
    if (!whole || n >= NUMBER_MAX || lua_stringtonumber(L, text) == 0)
        lua_pushnil(L);
    return 1;
}

static int str_natural_less(lua_State *L)
{
    dz_str a = src_arg(L, 1, "str.natural_less"), b = src_arg(L, 2, "str.natural_less");
    src_charge(L, (a.n < b.n ? a.n : b.n) / 4);
    lua_pushboolean(L, dz_str_natural_cmp(a, b) < 0);
    return 1;
}

/* ---- regular expressions --------------------------------------------------------------------- */

struct regex {
    pcre2_compile_context *compile;
    pcre2_match_context *match;
    pcre2_code *code;
    pcre2_match_data *data;
    uint64_t steps, callouts;
    int64_t start_ns; /* of the match */
    size_t at;        /* where the last callout was */
};

static void regex_done(void *p)
{
    struct regex *r = p;
    pcre2_match_data_free(r->data);
    pcre2_code_free(r->code);
    pcre2_match_context_free(r->match);
    pcre2_compile_context_free(r->compile);
    *r = (struct regex){0};
}

static int count_steps(pcre2_callout_block *block, void *arg)
{
    struct regex *r = arg;
    size_t at = block->current_position;
    r->steps += 1 + (at > r->at ? at - r->at : r->at - at) / 4;
    r->at = at;
    if (++r->callouts % LOOK_EVERY == 0 && src_cpu_ns() - r->start_ns > MATCH_NS_MAX)
        return PCRE2_ERROR_MATCHLIMIT;
    return r->steps > SRC_REGEX_STEPS_MAX ? PCRE2_ERROR_MATCHLIMIT : 0;
}

_Noreturn static void raise_pcre(lua_State *L, const char *fn, int code, size_t at)
{
    char text[160];
    if (code == PCRE2_ERROR_MATCHLIMIT || code == PCRE2_ERROR_DEPTHLIMIT ||
        code == PCRE2_ERROR_HEAPLIMIT)
        luaL_error(L, "%s: the expression takes too many steps on this text", fn);
    if (pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof(text)) < 0)
        text[0] = '\0';
    if (at == DZ_NPOS)
        luaL_error(L, "%s: %s", fn, text);
    luaL_error(L, "%s: the expression is wrong at character %d: %s", fn, (int)at + 1, text);
    __builtin_unreachable();
}

static struct regex *compile(lua_State *L, dz_str pattern, const char *fn)
{
    if (pattern.n > SRC_REGEX_MAX)
        luaL_error(L, "%s: the expression has more than %d bytes", fn, (int)SRC_REGEX_MAX);
    struct regex *r = src_guard(L, sizeof(*r), regex_done);
    int code = 0;
    size_t at = 0;
    r->compile = pcre2_compile_context_create(NULL);
    r->match = pcre2_match_context_create(NULL);
    if (!r->compile || !r->match)
        luaL_error(L, "%s: no memory", fn);
    (void)pcre2_set_parens_nest_limit(r->compile, 100);
    r->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n,
                            PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT, &code, &at,
                            r->compile);
    if (!r->code)
        raise_pcre(L, fn, code, at);
    r->data = pcre2_match_data_create_from_pattern(r->code, NULL);
    if (!r->data)
        luaL_error(L, "%s: no memory", fn);
    (void)pcre2_set_match_limit(r->match, SRC_REGEX_STEPS_MAX);
    (void)pcre2_set_depth_limit(r->match, DEPTH_MAX);
    (void)pcre2_set_heap_limit(r->match, HEAP_KIB);
    (void)pcre2_set_callout(r->match, count_steps, r);
    return r;
}

/* The match as a table: [0] the whole, [1] … the groups, named ones also under their name; what
 * took no part is not there. */
static void push_match(lua_State *L, const struct regex *r, dz_str s)
{
    const size_t *v = pcre2_get_ovector_pointer(r->data);
    uint32_t groups = pcre2_get_ovector_count(r->data), names = 0, size = 0;
    lua_createtable(L, (int)groups - 1, 1);
    for (uint32_t i = 0; i < groups; i++) {
        if (v[2 * i] == PCRE2_UNSET || v[2 * i] > v[2 * i + 1])
            continue;
        lua_pushlstring(L, s.p + v[2 * i], v[2 * i + 1] - v[2 * i]);
        lua_rawseti(L, -2, (lua_Integer)i);
    }
    PCRE2_SPTR table = NULL;
    (void)pcre2_pattern_info(r->code, PCRE2_INFO_NAMECOUNT, &names);
    (void)pcre2_pattern_info(r->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    (void)pcre2_pattern_info(r->code, PCRE2_INFO_NAMETABLE, &table);
    for (uint32_t i = 0; i < names; i++, table += size) {
        lua_pushstring(L, (const char *)table + 2);
        if (lua_rawgeti(L, -2, table[0] << 8 | table[1]) == LUA_TNIL)
            lua_pop(L, 2);
        else
            lua_rawset(L, -3);
    }
}

/* One match from `from` on; false: none. */
static bool search(lua_State *L, struct regex *r, dz_str s, size_t from, uint32_t options,
                   const char *fn)
{
    uint64_t before = r->steps;
    r->start_ns = src_cpu_ns();
    r->at = from;
    int n = pcre2_match(r->code, (PCRE2_SPTR)s.p, s.n, from, options | PCRE2_NO_UTF_CHECK, r->data,
                        r->match);
    uint64_t took = (uint64_t)(src_cpu_ns() - r->start_ns) / SRC_NS_A_STEP;
    uint64_t steps = r->steps - before;
    src_charge(L, took > steps ? took : steps);
    if (n < 0 && n != PCRE2_ERROR_NOMATCH)
        raise_pcre(L, fn, n, DZ_NPOS);
    return n >= 0;
}

static dz_str subject(lua_State *L, const char *fn)
{
    dz_str s = src_arg(L, 1, fn);
    if (s.n > SRC_STRING_MAX)
        luaL_error(L, "%s: the text has more than %d bytes", fn, (int)SRC_STRING_MAX);
    src_charge(L, s.n / 64);
    if (!dz_str_is_utf8(s))
        luaL_error(L, "%s: the text is not UTF-8", fn);
    return s;
}

static int str_match(lua_State *L)
{
    dz_str s = subject(L, "str.match"), pattern = src_arg(L, 2, "str.match");
    struct regex *r = compile(L, pattern, "str.match");
    if (search(L, r, s, 0, 0, "str.match"))
        push_match(L, r, s);
    else
        lua_pushnil(L);
    return 1;
}

static int str_match_all(lua_State *L)
{
    dz_str s = subject(L, "str.match_all"), pattern = src_arg(L, 2, "str.match_all");
    struct regex *r = compile(L, pattern, "str.match_all");
    const size_t *v = pcre2_get_ovector_pointer(r->data);
    lua_newtable(L);
    src_mark_array(L, -1);
    lua_Integer n = 0;
    uint32_t options = 0;
    for (size_t at = 0; at <= s.n;) {
        if (!search(L, r, s, at, options, "str.match_all")) {
            if (options == 0)
                break;
            /* Nothing but an empty match here, which was there already: one character on. */
            for (at++; at < s.n && (s.p[at] & 0xC0) == 0x80; at++) {
            }
            options = 0;
            continue;
        }
        if (n == SRC_MATCHES_MAX)
            return luaL_error(L, "str.match_all: more than %d matches", (int)SRC_MATCHES_MAX);
        push_match(L, r, s);
        lua_rawseti(L, -2, ++n);
        /* \K can put the start of a match behind its end. */
        size_t end = v[1] > at ? v[1] : at;
        options = v[0] >= v[1] || end == at ? PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED : 0;
        at = end;
    }
    return 1;
}

void src_open_str(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"trim", str_trim},
        {"squeeze", str_squeeze},
        {"between", str_between},
        {"number", str_number},
        {"natural_less", str_natural_less},
        {"match", str_match},
        {"match_all", str_match_all},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
