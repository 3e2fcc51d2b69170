/*
 * lib_string: Lua's string library, with bounds on what could run for ever in C.
 *
 * Patterns are those of the Lua 5.4 manual (6.4.1), matched by a matcher of our own that counts its
 * steps: a search may cost SRC_MATCH_MAX steps and some for each byte of the text, and its steps
 * count against the run's instructions. Plain searches are linear. rep knows the size of what it
 * makes before it makes it. dump is gone. Nothing here keeps C memory over a raise.
 */
#include "source/source_int.h"

#include <ctype.h>

#define CAPTURES_MAX 32
#define DEPTH_MAX 200 /* of the matcher's recursion */
#define STEPS_A_BYTE 4u
#define STEPS_A_CALL 40u         /* of a replacement, which may be a function in C */
#define OPEN ((ptrdiff_t)-1)     /* a capture that is not closed yet */
#define POSITION ((ptrdiff_t)-2) /* () */

struct matcher {
    lua_State *L;
    const char *text, *text_end, *pattern_end, *what;
    uint64_t steps, steps_max;
    int depth, level;
    struct {
        const char *at;
        ptrdiff_t n;
    } capture[CAPTURES_MAX];
};

static const char *match(struct matcher *m, const char *s, const char *p);

static void step(struct matcher *m, uint64_t n)
{
    m->steps += n;
    if (m->steps <= m->steps_max)
        return;
    src_charge(m->L, m->steps);
    luaL_error(m->L, "%s: the pattern costs more than %d million steps on this text", m->what,
               (int)(m->steps_max / 1000000));
}

/* ---- one character --------------------------------------------------------------------------- */

/* Behind the single item at p: a character, an escape or a set. */
static const char *item_end(struct matcher *m, const char *p)
{
    char first = *p++;
    if (first == '%') {
        if (p == m->pattern_end)
            luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 1;
    }
    if (first != '[')
        return p;
    if (p < m->pattern_end && *p == '^')
        p++;
    do { /* a ] at the front is a member */
        if (p >= m->pattern_end)
            luaL_error(m->L, "malformed pattern (missing ']')");
        bool escape = *p++ == '%';
        if (escape && p < m->pattern_end)
            p++;
    } while (p >= m->pattern_end || *p != ']');
    return p + 1;
}

static bool in_class(int c, int class)
{
    bool in;
    switch (tolower(class)) {
    case 'a':
        in = isalpha(c);
        break;
    case 'c':
        in = iscntrl(c);
        break;
    case 'd':
        in = isdigit(c);
        break;
    case 'g':
        in = isgraph(c);
        break;
    case 'l':
        in = islower(c);
        break;
    case 'p':
        in = ispunct(c);
        break;
    case 's':
        in = isspace(c);
        break;
    case 'u':
        in = isupper(c);
        break;
    case 'w':
        in = isalnum(c);
        break;
    case 'x':
        in = isxdigit(c);
        break;
    default:
        return class == c;
    }
    return isupper(class) ? !in : in;
}

/* from stands on '[', to on its ']'. */
static bool in_set(struct matcher *m, int c, const char *from, const char *to)
{
    bool found = true;
    const char *p = from + 1;
    step(m, (uint64_t)(to - from));
    if (*p == '^') {
        found = false;
        p++;
    }
    while (p < to) {
        if (*p == '%' && p + 1 < to) {
            if (in_class(c, (unsigned char)p[1]))
                return found;
            p += 2;
        } else if (p + 2 < to && p[1] == '-') {
            if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2])
                return found;
            p += 3;
        } else {
            if ((unsigned char)*p == c)
                return found;
            p++;
        }
    }
    return !found;
}

/* Whether the character at s is one of the item p..end. */
static bool fits(struct matcher *m, const char *s, const char *p, const char *end)
{
    step(m, 1);
    if (s >= m->text_end)
        return false;
    int c = (unsigned char)*s;
    switch (*p) {
    case '.':
        return true;
    case '%':
        return in_class(c, (unsigned char)p[1]);
    case '[':
        return in_set(m, c, p, end - 1);
    default:
        return (unsigned char)*p == c;
    }
}

/* ---- the rest of a pattern ------------------------------------------------------------------- */

static const char *most_first(struct matcher *m, const char *s, const char *p, const char *end)
{
    const char *from = s;
    while (fits(m, s, p, end))
        s++;
    for (;; s--) {
        const char *to = match(m, s, end + 1);
        if (to || s == from)
            return to;
    }
}

static const char *least_first(struct matcher *m, const char *s, const char *p, const char *end)
{
    for (;; s++) {
        const char *to = match(m, s, end + 1);
        if (to || !fits(m, s, p, end))
            return to;
    }
}

static const char *open_capture(struct matcher *m, const char *s, const char *p, ptrdiff_t kind)
{
    if (m->level >= CAPTURES_MAX)
        luaL_error(m->L, "too many captures");
    m->capture[m->level].at = s;
    m->capture[m->level].n = kind;
    m->level++;
    const char *to = match(m, s, p);
    if (!to)
        m->level--;
    return to;
}

static const char *close_capture(struct matcher *m, const char *s, const char *p)
{
    int i = m->level - 1;
    while (i >= 0 && m->capture[i].n != OPEN)
        i--;
    if (i < 0)
        luaL_error(m->L, "invalid pattern capture");
    m->capture[i].n = s - m->capture[i].at;
    const char *to = match(m, s, p);
    if (!to)
        m->capture[i].n = OPEN;
    return to;
}

/* %1: the same text again; NULL when it is not there. */
static const char *again(struct matcher *m, const char *s, int digit)
{
    int i = digit - '1';
    if (i < 0 || i >= m->level || m->capture[i].n == OPEN)
        luaL_error(m->L, "invalid capture index %%%d", i + 1);
    size_t n = m->capture[i].n > 0 ? (size_t)m->capture[i].n : 0;
    step(m, n / 16);
    bool same = (size_t)(m->text_end - s) >= n && memcmp(m->capture[i].at, s, n) == 0;
    return same ? s + n : NULL;
}

/* %bxy */
static const char *balanced(struct matcher *m, const char *s, const char *p)
{
    if (p + 1 >= m->pattern_end)
        luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
    if (s >= m->text_end || *s != p[0])
        return NULL;
    size_t open = 1;
    for (const char *at = s + 1; at < m->text_end; at++) {
        step(m, 1);
        if (*at == p[1]) {
            if (--open == 0)
                return at + 1;
        } else if (*at == p[0]) {
            open++;
        }
    }
    return NULL;
}

/* %f[set]; p stands behind the f. */
static bool at_frontier(struct matcher *m, const char *s, const char *p, const char **ret_end)
{
    if (p >= m->pattern_end || *p != '[')
        luaL_error(m->L, "missing '[' after '%%f' in pattern");
    *ret_end = item_end(m, p);
    int before = s == m->text ? 0 : (unsigned char)s[-1];
    int here = s == m->text_end ? 0 : (unsigned char)*s;
    return !in_set(m, before, p, *ret_end - 1) && in_set(m, here, p, *ret_end - 1);
}

enum outcome { GO_ON, MATCHED, FAILED, PLAIN };

/* What begins with a % and is no class. */
static enum outcome special(struct matcher *m, const char **s, const char **p)
{
    const char *at = *p;
    if (at + 1 >= m->pattern_end)
        return PLAIN;
    if (at[1] == 'b') {
        *s = balanced(m, *s, at + 2);
        *p = at + 4;
        return *s ? GO_ON : FAILED;
    }
    if (at[1] == 'f')
        return at_frontier(m, *s, at + 2, p) ? GO_ON : FAILED;
    if (!isdigit((unsigned char)at[1]))
        return PLAIN;
    *s = again(m, *s, (unsigned char)at[1]);
    *p = at + 2;
    return *s ? GO_ON : FAILED;
}

/* One item with what follows it. On MATCHED *s is the end of the whole match. */
static enum outcome item(struct matcher *m, const char **s, const char **p)
{
    const char *end = item_end(m, *p);
    char times = end < m->pattern_end ? *end : 0;
    const char *to;
    switch (times) {
    case '*':
        to = most_first(m, *s, *p, end);
        break;
    case '+':
        to = fits(m, *s, *p, end) ? most_first(m, *s + 1, *p, end) : NULL;
        break;
    case '-':
        to = least_first(m, *s, *p, end);
        break;
    case '?':
        to = fits(m, *s, *p, end) ? match(m, *s + 1, end + 1) : NULL;
        if (to)
            break;
        *p = end + 1;
        return GO_ON;
    default:
        if (!fits(m, *s, *p, end))
            return FAILED;
        (*s)++;
        *p = end;
        return GO_ON;
    }
    *s = to;
    return to ? MATCHED : FAILED;
}

/* The end of the match of p at s, or NULL. */
static const char *match(struct matcher *m, const char *s, const char *p)
{
    if (++m->depth > DEPTH_MAX)
        luaL_error(m->L, "pattern too complex");
    enum outcome o = GO_ON;
    while (o == GO_ON && p < m->pattern_end) {
        o = PLAIN;
        if (*p == '(') {
            bool position = p + 1 < m->pattern_end && p[1] == ')';
            s = open_capture(m, s, p + (position ? 2 : 1), position ? POSITION : OPEN);
            o = s ? MATCHED : FAILED;
        } else if (*p == ')') {
            s = close_capture(m, s, p + 1);
            o = s ? MATCHED : FAILED;
        } else if (*p == '$' && p + 1 == m->pattern_end) {
            o = s == m->text_end ? MATCHED : FAILED;
        } else if (*p == '%') {
            o = special(m, &s, &p);
        }
        if (o == PLAIN)
            o = item(m, &s, &p);
    }
    m->depth--;
    return o == FAILED ? NULL : s;
}

/* ---- what Lua sees --------------------------------------------------------------------------- */

static void matcher_init(struct matcher *m, lua_State *L, dz_str s, dz_str p, const char *what)
{
    *m = (struct matcher){.L = L,
                          .text = s.p,
                          .text_end = s.p + s.n,
                          .pattern_end = p.p + p.n,
                          .what = what,
                          .steps_max = SRC_MATCH_MAX + (uint64_t)s.n * STEPS_A_BYTE};
}

static const char *match_at(struct matcher *m, const char *s, const char *p)
{
    m->level = 0;
    m->depth = 0;
    return match(m, s, p);
}

static void push_capture(struct matcher *m, int i, const char *s, const char *e)
{
    if (i >= m->level) {
        if (i != 0)
            luaL_error(m->L, "invalid capture index %%%d", i + 1);
        lua_pushlstring(m->L, s, (size_t)(e - s));
        return;
    }
    if (m->capture[i].n == OPEN)
        luaL_error(m->L, "unfinished capture");
    if (m->capture[i].n == POSITION)
        lua_pushinteger(m->L, m->capture[i].at - m->text + 1);
    else
        lua_pushlstring(m->L, m->capture[i].at, (size_t)m->capture[i].n);
}

/* The captures, or the whole match when there are none and `whole`. */
static int push_captures(struct matcher *m, const char *s, const char *e, bool whole)
{
    int n = m->level == 0 && whole ? 1 : m->level;
    luaL_checkstack(m->L, n, "too many captures");
    for (int i = 0; i < n; i++)
        push_capture(m, i, s, e);
    return n;
}

static dz_str string_arg(lua_State *L, int index)
{
    size_t n;
    const char *p = luaL_checklstring(L, index, &n);
    return (dz_str){p, n};
}

/* A start as the manual has it, from 0; above s.n: there is none. */
static size_t start_arg(lua_State *L, int index, dz_str s)
{
    lua_Integer at = luaL_optinteger(L, index, 1);
    if (at > 0)
        return (uint64_t)at > s.n ? (size_t)(at == (lua_Integer)s.n + 1 ? s.n : s.n + 1)
                                  : (size_t)at - 1;
    if (at == 0 || at < -(lua_Integer)s.n)
        return 0;
    return s.n - (size_t)-at;
}

static bool has_specials(dz_str p)
{
    for (size_t i = 0; i < p.n; i++)
        if (p.p[i] && strchr("^$*+?.([%-", p.p[i]))
            return true;
    return false;
}

static int search(lua_State *L, bool find)
{
    dz_str s = string_arg(L, 1), p = string_arg(L, 2);
    size_t from = start_arg(L, 3, s);
    if (from > s.n) {
        lua_pushnil(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || !has_specials(p))) {
        src_charge(L, (s.n - from) / 16);
        const char *at = p.n ? memmem(s.p + from, s.n - from, p.p, p.n) : s.p + from;
        if (!at) {
            lua_pushnil(L);
            return 1;
        }
        lua_pushinteger(L, at - s.p + 1);
        lua_pushinteger(L, at - s.p + (lua_Integer)p.n);
        return 2;
    }
    struct matcher m;
    matcher_init(&m, L, s, p, find ? "string.find" : "string.match");
    bool anchor = p.n > 0 && p.p[0] == '^';
    const char *pattern = p.p + (anchor ? 1 : 0), *at = s.p + from, *end;
    while ((end = match_at(&m, at, pattern)) == NULL && !anchor && at < m.text_end)
        at++;
    src_charge(L, m.steps);
    if (!end) {
        lua_pushnil(L);
        return 1;
    }
    if (!find)
        return push_captures(&m, at, end, true);
    lua_pushinteger(L, at - s.p + 1);
    lua_pushinteger(L, end - s.p);
    return push_captures(&m, at, end, false) + 2;
}

static int string_find(lua_State *L)
{
    return search(L, true);
}

static int string_match(lua_State *L)
{
    return search(L, false);
}

/* Upvalues: text, pattern, where to go on, end of the last match (both from 0; -1: none yet). */
static int gmatch_next(lua_State *L)
{
    dz_str s, p;
    s.p = lua_tolstring(L, lua_upvalueindex(1), &s.n);
    p.p = lua_tolstring(L, lua_upvalueindex(2), &p.n);
    lua_Integer from = lua_tointeger(L, lua_upvalueindex(3));
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
    struct matcher m;
    matcher_init(&m, L, s, p, "string.gmatch");
    for (; from <= (lua_Integer)s.n; from++) {
        const char *end = match_at(&m, s.p + from, p.p);
        if (!end || end - s.p == last)
            continue;
        src_charge(L, m.steps);
        lua_pushinteger(L, end - s.p);
        lua_copy(L, -1, lua_upvalueindex(3));
        lua_replace(L, lua_upvalueindex(4));
        return push_captures(&m, s.p + from, end, true);
    }
    lua_pushinteger(L, from);
    lua_replace(L, lua_upvalueindex(3));
    src_charge(L, m.steps);
    return 0;
}

static int string_gmatch(lua_State *L)
{
    dz_str s = string_arg(L, 1);
    string_arg(L, 2);
    size_t from = start_arg(L, 3, s);
    lua_settop(L, 2);
    lua_pushinteger(L, (lua_Integer)from);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

/* A replacement text with %0 to %9 and %%. */
static void add_text(struct matcher *m, luaL_Buffer *b, const char *s, const char *e)
{
    lua_State *L = m->L;
    size_t n;
    const char *text = lua_tolstring(L, 3, &n);
    for (size_t i = 0; i < n; i++) {
        const char *percent = memchr(text + i, '%', n - i);
        size_t plain = percent ? (size_t)(percent - text) - i : n - i;
        luaL_addlstring(b, text + i, plain);
        i += plain;
        if (i >= n)
            break;
        unsigned char c = (unsigned char)text[++i];
        if (i < n && c == '%') {
            luaL_addchar(b, '%');
        } else if (i < n && c == '0') {
            luaL_addlstring(b, s, (size_t)(e - s));
        } else if (i < n && isdigit(c)) {
            push_capture(m, c - '1', s, e);
            luaL_tolstring(L, -1, NULL);
            lua_remove(L, -2);
            luaL_addvalue(b);
        } else {
            luaL_error(L, "invalid use of '%%' in replacement string");
        }
    }
}

/* Whether something took the place of s..e. */
static void add_value(struct matcher *m, luaL_Buffer *b, const char *s, const char *e, int kind)
{
    lua_State *L = m->L;
    if (kind == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        int n = push_captures(m, s, e, true);
        lua_call(L, n, 1);
    } else if (kind == LUA_TTABLE) {
        push_capture(m, 0, s, e);
        lua_gettable(L, 3);
    } else {
        add_text(m, b, s, e);
        return;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, s, (size_t)(e - s));
    } else if (!lua_isstring(L, -1)) {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    } else {
        luaL_addvalue(b);
    }
}

static int string_gsub(lua_State *L)
{
    dz_str s = string_arg(L, 1), p = string_arg(L, 2);
    int kind = lua_type(L, 3);
    luaL_argexpected(L,
                     kind == LUA_TNUMBER || kind == LUA_TSTRING || kind == LUA_TFUNCTION ||
                         kind == LUA_TTABLE,
                     3, "string/function/table");
    if (kind == LUA_TNUMBER)
        lua_tolstring(L, 3, NULL);
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)s.n + 1), n = 0;
    bool anchor = p.n > 0 && p.p[0] == '^';
    const char *pattern = p.p + (anchor ? 1 : 0), *at = s.p, *last = NULL;
    struct matcher m;
    matcher_init(&m, L, s, p, "string.gsub");
    lua_settop(L, 4);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    while (n < most) {
        const char *end = match_at(&m, at, pattern);
        if (end && end != last) {
            n++;
            if (kind == LUA_TFUNCTION || kind == LUA_TTABLE)
                src_charge(L, STEPS_A_CALL);
            add_value(&m, &b, at, end, kind);
            at = last = end;
        } else if (at < m.text_end) {
            luaL_addchar(&b, *at);
            at++;
        } else {
            break;
        }
        if (anchor)
            break;
    }
    luaL_addlstring(&b, at, (size_t)(m.text_end - at));
    luaL_pushresult(&b);
    src_charge(L, m.steps);
    lua_pushinteger(L, n);
    return 2;
}

static int string_rep(lua_State *L)
{
    dz_str s = string_arg(L, 1);
    lua_Integer n = luaL_checkinteger(L, 2);
    dz_str sep = {"", 0};
    if (!lua_isnoneornil(L, 3))
        sep = string_arg(L, 3);
    uint64_t piece = (uint64_t)s.n + sep.n;
    if (n <= 0 || piece == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if ((uint64_t)n > SRC_STRING_MAX || (uint64_t)n * piece > SRC_STRING_MAX + sep.n)
        return luaL_error(L, "string.rep: the result is longer than %d MiB",
                          (int)(SRC_STRING_MAX >> 20));
    luaL_Buffer b;
    size_t total = (size_t)n * piece - sep.n;
    char *to = luaL_buffinitsize(L, &b, total);
    for (lua_Integer i = 0; i < n; i++) {
        memcpy(to, s.p, s.n);
        to += s.n;
        if (i + 1 < n)
            memcpy(to, sep.p, sep.n);
        to += i + 1 < n ? sep.n : 0;
    }
    luaL_pushresultsize(&b, total);
    return 1;
}

void src_open_string(lua_State *L)
{
    static const luaL_Reg own[] = {{"find", string_find},     {"match", string_match},
                                   {"gmatch", string_gmatch}, {"gsub", string_gsub},
                                   {"rep", string_rep},       {NULL, NULL}};
    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 0);
    luaL_setfuncs(L, own, 0);
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
}
