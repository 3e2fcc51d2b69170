/*
 * selector: CSS selectors (Selectors Level 4, the part that scrapers use) to XPath 1.0.
 *
 * In: a selector list. Out: one XPath expression, `descendant::*[...]`, whose predicate says what
 * an element must be. A compound becomes a conjunction; a combinator looks back along an axis, so
 * that `a > b` is "is b, and its parent is a": one pass in document order, nothing twice, and :not
 * takes any selector. Only :has looks forward. Pure, any thread. Cost is bounded by length and
 * depth here and by an operation limit where the expression runs.
 */
#include "media/media_int.h"

#define DEPTH_MAX 16
#define COMBINATORS_MAX 200 /* each nests the expression, which the library reads by recursion */
#define XPATH_MAX (DZ_KIB * 256)
#define NUMBER_MAX 100000000 /* more than a document has elements */

struct translator {
    struct dz_cursor c; /* moved by its `at` alone: a selector is one line */
    bool html;
    unsigned depth, combinators;
    struct dz_err *err;
};

static enum dz_code list(struct translator *t, struct dz_buf *out, bool relative);

static enum dz_code wrong(struct translator *t, const char *words)
{
    return dz_fail(t->err, DZ_BAD_INPUT, "selector: %s at character %zu", words, t->c.at + 1);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static int peek(const struct translator *t)
{
    return t->c.at < t->c.s.n ? (unsigned char)t->c.s.p[t->c.at] : -1;
}

static int peek_at(const struct translator *t, size_t more)
{
    return t->c.at + more < t->c.s.n ? (unsigned char)t->c.s.p[t->c.at + more] : -1;
}

static bool is_blank(int c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_newline(int c)
{
    return c == '\n' || c == '\r' || c == '\f';
}

/* A comment parts tokens and is no blank; one without an end stays where it is, as a fault. */
static bool skip_comment(struct translator *t)
{
    if (peek(t) != '/' || peek_at(t, 1) != '*')
        return false;
    dz_str rest = dz_str_sub(t->c.s, t->c.at + 2, t->c.s.n);
    size_t end = dz_str_find(rest, DZ_S("*/"));
    if (end == DZ_NPOS)
        return false;
    t->c.at += 2 + end + 2;
    return true;
}

/* true: there was a blank, not only comments */
static bool skip_blanks(struct translator *t)
{
    bool any = false;
    for (;;) {
        if (is_blank(peek(t))) {
            any = true;
            t->c.at++;
        } else if (!skip_comment(t)) {
            return any;
        }
    }
}

/* A line end of any system. */
static void skip_newline(struct translator *t)
{
    t->c.at += peek(t) == '\r' && peek_at(t, 1) == '\n' ? 2 : 1;
}

static bool accept(struct translator *t, char c)
{
    if (peek(t) != (unsigned char)c)
        return false;
    t->c.at++;
    return true;
}

static bool is_name_start(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80 || c == '\\';
}

static bool is_name(int c)
{
    return is_name_start(c) || (c >= '0' && c <= '9') || c == '-';
}

static int hex_digit(int c)
{
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

static size_t put_utf8(uint32_t rune, char *to)
{
    if (rune < 0x80) {
        to[0] = (char)rune;
        return 1;
    }
    size_t n = rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, rune >>= 6)
        to[i] = (char)(0x80 | (rune & 0x3F));
    to[0] = (char)((0xF00u >> n & 0xFF) | rune);
    return n;
}

/* CSS Syntax 4.3.7; the backslash is read already. */
static bool escape(struct translator *t, struct dz_buf *to)
{
    int c = peek(t);
    if (c < 0 || is_newline(c))
        return false;
    if (hex_digit(c) < 0) {
        dz_buf_putc(to, (char)c);
        t->c.at++;
        return true;
    }
    uint32_t rune = 0;
    for (int i = 0; i < 6 && hex_digit(peek(t)) >= 0; i++, t->c.at++)
        rune = rune << 4 | (uint32_t)hex_digit(peek(t));
    if (is_blank(peek(t)))
        skip_newline(t);
    if ((rune < 0x20 && !is_blank((int)rune)) || rune == '\f' || rune > 0x10FFFF ||
        rune == 0xFFFE || rune == 0xFFFF || (rune >= 0xD800 && rune < 0xE000))
        rune = 0xFFFD;
    char utf8[4];
    dz_buf_put(to, (dz_str){utf8, put_utf8(rune, utf8)});
    return true;
}

static enum dz_code identifier(struct translator *t, struct dz_buf *name)
{
    dz_buf_clear(name);
    int c = peek(t);
    bool good =
        is_name_start(c) || (c == '-' && (is_name_start(peek_at(t, 1)) || peek_at(t, 1) == '-'));
    if (!good)
        return wrong(t, "a name is missing");
    while (is_name(peek(t))) {
        c = peek(t);
        t->c.at++;
        if (c != '\\')
            dz_buf_putc(name, (char)c);
        else if (!escape(t, name))
            return wrong(t, "a backslash escapes nothing");
    }
    return DZ_OK;
}

static enum dz_code string(struct translator *t, struct dz_buf *text)
{
    dz_buf_clear(text);
    char quote = t->c.s.p[t->c.at++];
    for (;;) {
        int c = peek(t);
        if (c < 0 || is_newline(c))
            return wrong(t, "a string does not end");
        t->c.at++;
        if (c == (unsigned char)quote)
            return DZ_OK;
        if (c == '\\' && is_newline(peek(t)))
            skip_newline(t);
        else if (c != '\\')
            dz_buf_putc(text, (char)c);
        else if (!escape(t, text))
            return wrong(t, "a string does not end");
    }
}

static enum dz_code string_or_identifier(struct translator *t, struct dz_buf *text)
{
    return peek(t) == '"' || peek(t) == '\'' ? string(t, text) : identifier(t, text);
}

/* ---- XPath pieces ---------------------------------------------------------------------------- */

static void put(struct dz_buf *out, const char *text)
{
    dz_buf_put(out, dz_str_of(text));
}

/* XPath 1.0 has no escapes in strings: a text with both quotes is put together. */
static void put_literal(struct dz_buf *out, dz_str s)
{
    if (dz_str_chr(s, '\'') == DZ_NPOS || dz_str_chr(s, '"') == DZ_NPOS) {
        char quote = dz_str_chr(s, '\'') == DZ_NPOS ? '\'' : '"';
        dz_buf_putc(out, quote);
        dz_buf_put(out, s);
        dz_buf_putc(out, quote);
        return;
    }
    put(out, "concat(");
    for (size_t part = 0; part == 0 || s.n > 0; part++) {
        size_t n = dz_str_chr(s, '\'');
        n = n == DZ_NPOS ? s.n : n;
        if (n > 0) {
            put(out, "'");
            dz_buf_put(out, dz_str_sub(s, 0, n));
            put(out, "',");
        }
        if (n < s.n) {
            put(out, "\"'\",");
            n++;
        }
        s = dz_str_sub(s, n, s.n);
    }
    put(out, "'')");
}

static bool is_plain_name(dz_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && ((c >= '0' && c <= '9') || c == '-' || c == '.')))
            return false;
    }
    return s.n > 0;
}

static void lower(struct dz_buf *name)
{
    for (size_t i = 0; i < name->n; i++)
        if (name->p[i] >= 'A' && name->p[i] <= 'Z')
            name->p[i] = (char)(name->p[i] | 0x20);
}

/* "and" between conditions; a compound without any is true. */
static void put_and(struct dz_buf *out, size_t from)
{
    if (out->n > from)
        put(out, " and ");
}

#define LOWERED "translate(.,'ABCDEFGHIJKLMNOPQRSTUVWXYZ','abcdefghijklmnopqrstuvwxyz')"

/* ---- simple selectors ------------------------------------------------------------------------ */

/* The bar between a namespace and a name, as in a|b. */
static bool at_bar(const struct translator *t)
{
    return peek(t) == '|' && peek_at(t, 1) != '=';
}

/* A name and its namespace: "" none, "*" any, else a prefix, which means itself: a selector comes
 * without declarations, so the document's own are taken. `barless`: what no bar at all means. */
static enum dz_code prefix(struct translator *t, const char *barless, struct dz_buf *space,
                           struct dz_buf *name)
{
    dz_buf_clear(space);
    dz_buf_clear(name);
    if (!at_bar(t)) {
        if (accept(t, '*'))
            put(name, "*");
        else
            DZ_TRY(identifier(t, name));
        if (!at_bar(t)) {
            put(space, barless);
            return DZ_OK;
        }
        dz_buf_put(space, dz_buf_str(name));
    }
    t->c.at++;
    dz_buf_clear(name);
    if (accept(t, '*'))
        put(name, "*");
    else
        DZ_TRY(identifier(t, name));
    return DZ_OK;
}

/* A name test for elements or, behind an @, attributes. `space` as prefix() gives it. */
static void put_name(struct dz_buf *out, dz_str space, dz_str name, bool html, bool plain)
{
    bool any_space = dz_str_eq(space, DZ_S("*")), any_name = dz_str_eq(name, DZ_S("*"));
    if (any_space && any_name) {
        put(out, "*");
        return;
    }
    if (plain && is_plain_name(name)) {
        dz_buf_put(out, name);
        return;
    }
    DZ_AUTO(dz_buf_done) struct dz_buf full;
    dz_buf_init(&full, 2 * DZ_SELECTOR_MAX);
    if (space.n > 0 && !any_space) {
        dz_buf_put(&full, space);
        dz_buf_putc(&full, ':');
    }
    dz_buf_put(&full, any_name ? (dz_str){0} : name);
    /* In HTML a colon is a letter of a name, though the library takes what is before it away. */
    put(out, any_name && space.n == 0 ? "*[namespace-uri()="
             : any_name               ? "*[starts-with(name(),"
             : any_space && !html     ? "*[local-name()="
                                      : "*[name()=");
    put_literal(out, dz_buf_str(&full));
    put(out, any_name && space.n > 0 ? ")]" : "]");
    if (space.n == 0 && !any_name)
        put(out, "[namespace-uri()='']");
}

/* type, *, ns|type, |type. The name test is kept in `type` for :nth-of-type; empty for *. */
static enum dz_code type_selector(struct translator *t, struct dz_buf *out, struct dz_buf *type)
{
    DZ_AUTO(dz_buf_done) struct dz_buf space, name;
    dz_buf_init(&space, DZ_SELECTOR_MAX);
    dz_buf_init(&name, DZ_SELECTOR_MAX);
    dz_buf_clear(type);
    DZ_TRY(prefix(t, "*", &space, &name));
    if (t->html)
        lower(&name);
    bool any_space = dz_str_eq(dz_buf_str(&space), DZ_S("*"));
    bool any_name = dz_str_eq(dz_buf_str(&name), DZ_S("*"));
    if (any_space && any_name)
        return DZ_OK;
    put_name(type, dz_buf_str(&space), dz_buf_str(&name), t->html, t->html && any_space);
    put(out, "self::");
    dz_buf_put(out, dz_buf_str(type));
    if (any_name)
        dz_buf_clear(type);
    return DZ_OK;
}

/* name, ns|name, |name, *|name; without a bar it is the name in no namespace. */
static enum dz_code attribute_name(struct translator *t, struct dz_buf *out)
{
    DZ_AUTO(dz_buf_done) struct dz_buf space, name;
    dz_buf_init(&space, DZ_SELECTOR_MAX);
    dz_buf_init(&name, DZ_SELECTOR_MAX);
    DZ_TRY(prefix(t, "", &space, &name));
    if (dz_str_eq(dz_buf_str(&name), DZ_S("*")))
        return wrong(t, "the name of an attribute is missing");
    if (t->html)
        lower(&name);
    put(out, "@");
    put_name(out, dz_buf_str(&space), dz_buf_str(&name), t->html, space.n == 0);
    return DZ_OK;
}

static size_t characters(dz_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

/* The condition on a value. `subject` is it in XPath, `text` what it is measured by. Every value
 * is read by a function of strings, never compared as a node: functions are charged for it. */
static void put_attribute_test(struct dz_buf *out, char op, const char *subject, dz_str text)
{
    bool has_blank = false;
    for (size_t i = 0; i < text.n; i++)
        has_blank |= is_blank((unsigned char)text.p[i]);
    if ((text.n == 0 && (op == '^' || op == '$' || op == '*' || op == '~')) ||
        (has_blank && op == '~')) {
        put(out, "false()");
        return;
    }
    put(out, op == '^'   ? "starts-with("
             : op == '*' ? "contains("
             : op == '$' ? "substring("
             : op == '~' ? "contains(concat(' ',normalize-space("
                         : "string(");
    put(out, subject);
    if (op == '$')
        dz_buf_putf(out, ",string-length()-%zu)=", characters(text) - 1);
    else
        put(out, op == '^' || op == '*' ? "," : op == '~' ? "),' '),concat(' '," : ")=");
    put_literal(out, text);
    put(out, op == '^' || op == '*' ? ")" : op == '~' ? ",' '))" : "");
    if (op == '|') {
        put(out, " or starts-with(");
        put(out, subject);
        put(out, ",concat(");
        put_literal(out, text);
        put(out, ",'-'))");
    }
}

static enum dz_code attribute(struct translator *t, struct dz_buf *out)
{
    DZ_AUTO(dz_buf_done) struct dz_buf text, attr;
    dz_buf_init(&text, DZ_SELECTOR_MAX);
    dz_buf_init(&attr, 8 * DZ_SELECTOR_MAX);
    skip_blanks(t);
    DZ_TRY(attribute_name(t, &attr));
    skip_blanks(t);
    if (accept(t, ']')) {
        dz_buf_put(out, dz_buf_str(&attr));
        return DZ_OK;
    }
    int op = peek(t);
    if (op < 0 || !strchr("=~|^$*!", op) || (op != '=' && peek_at(t, 1) != '='))
        return wrong(t, "one of = ~= |= ^= $= *= != or ] is missing");
    t->c.at += op == '=' ? 1 : 2;
    skip_blanks(t);
    DZ_TRY(string_or_identifier(t, &text));
    skip_blanks(t);
    bool fold = (peek(t) | 0x20) == 'i', exact = (peek(t) | 0x20) == 's';
    if (fold || exact) {
        t->c.at++;
        skip_blanks(t);
    }
    if (!accept(t, ']'))
        return wrong(t, "a ] is missing");
    if (fold)
        lower(&text);
    put(out, op == '!' ? "not(" : "");
    dz_buf_put(out, dz_buf_str(&attr));
    put(out, "[");
    put_attribute_test(out, (char)op, fold ? LOWERED : ".", dz_buf_str(&text));
    put(out, op == '!' ? "])" : "]");
    return DZ_OK;
}

/* ---- pseudo-classes -------------------------------------------------------------------------- */

/* CSS Syntax 6: odd, even, 5, -n+3, 2n + 1 … */
static enum dz_code an_plus_b(struct translator *t, int64_t *ret_a, int64_t *ret_b)
{
    char text[32];
    size_t n = 0;
    while (peek(t) >= 0 && peek(t) != ')' && n + 1 < sizeof(text)) {
        bool blank = skip_blanks(t);
        if (peek(t) == ')')
            break;
        /* Only the sign between the two parts may stand apart. */
        bool sign = peek(t) == '+' || peek(t) == '-';
        bool after_sign = n > 1 && (text[n - 1] == '+' || text[n - 1] == '-');
        if (blank && n > 0 && !sign && !after_sign)
            return wrong(t, "the formula of :nth is not like 2n+1");
        if (peek(t) >= 0)
            text[n++] = t->c.s.p[t->c.at++];
    }
    text[n] = 0;
    dz_str s = {text, n};
    if (dz_str_eq_nocase(s, DZ_S("odd")) || dz_str_eq_nocase(s, DZ_S("even"))) {
        *ret_a = 2;
        *ret_b = n == 3;
        return DZ_OK;
    }
    size_t at = 0;
    int64_t part[2] = {0, 0};
    bool has_n = false, seen = false;
    for (int i = 0; i < 2 && at < n; i++) {
        int64_t sign = 1, v = 0;
        bool digits = false, has_sign = text[at] == '+' || text[at] == '-';
        if (i == 1 && !has_sign)
            return wrong(t, "the formula of :nth is not like 2n+1");
        if (has_sign)
            sign = text[at++] == '-' ? -1 : 1;
        for (; at < n && text[at] >= '0' && text[at] <= '9'; at++, digits = true)
            v = v < NUMBER_MAX ? v * 10 + (text[at] - '0') : v;
        bool letter = i == 0 && at < n && (text[at] | 0x20) == 'n';
        if (!digits && !letter)
            return wrong(t, "the formula of :nth is not like 2n+1");
        seen = true;
        v = sign * (digits ? v : 1);
        at += letter;
        has_n |= letter;
        part[i] = v;
        if (i == 0 && !letter)
            break;
    }
    if (!seen || at < n)
        return wrong(t, "the formula of :nth is not like 2n+1");
    *ret_a = has_n ? part[0] : 0;
    *ret_b = has_n ? part[1] : part[0];
    return DZ_OK;
}

/* "there are at least n siblings on that side", counted no further than n */
static void put_siblings(struct dz_buf *out, int64_t n, dz_str axis)
{
    if (n <= 0) {
        put(out, "true()");
        return;
    }
    dz_buf_put(out, axis);
    dz_buf_putf(out, "[%lld]", (long long)n);
}

static void put_nth(struct dz_buf *out, int64_t a, int64_t b, bool last, dz_str type)
{
    DZ_AUTO(dz_buf_done) struct dz_buf axis;
    dz_buf_init(&axis, 8 * DZ_SELECTOR_MAX);
    put(&axis, last ? "following-sibling::" : "preceding-sibling::");
    dz_buf_put(&axis, type);
    dz_str side = dz_buf_str(&axis);
    if (a <= 0 && b <= 0) {
        put(out, "false()");
        return;
    }
    /* The place, one more than siblings before, is a*k + b for some k of 0 or more. */
    put(out, "(");
    if (a >= 0)
        put_siblings(out, b - 1, side);
    put(out, a > 0 ? "" : a == 0 ? " and not(" : "not(");
    if (a <= 0) {
        put_siblings(out, b, side);
        put(out, ")");
    }
    if (a > 1 || a < -1) {
        put(out, " and (count(");
        dz_buf_put(out, side);
        dz_buf_putf(out, ")+1-(%lld)) mod %lld=0", (long long)b, (long long)(a < 0 ? -a : a));
    }
    put(out, ")");
}

static enum dz_code nested(struct translator *t, struct dz_buf *out, const char *open,
                           bool relative)
{
    if (++t->depth > DEPTH_MAX)
        return wrong(t, "too many selectors inside each other");
    put(out, open);
    DZ_TRY(list(t, out, relative));
    put(out, ")");
    t->depth--;
    return accept(t, ')') ? DZ_OK : wrong(t, "a ) is missing");
}

static enum dz_code contains(struct translator *t, struct dz_buf *out)
{
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, DZ_SELECTOR_MAX);
    skip_blanks(t);
    DZ_TRY(string_or_identifier(t, &text));
    skip_blanks(t);
    put(out, "contains(.,");
    put_literal(out, dz_buf_str(&text));
    put(out, ")");
    return accept(t, ')') ? DZ_OK : wrong(t, "a ) is missing");
}

static enum dz_code functional(struct translator *t, struct dz_buf *out, dz_str name, dz_str type)
{
    if (dz_str_eq_nocase(name, DZ_S("not")))
        return nested(t, out, "not(", false);
    if (dz_str_eq_nocase(name, DZ_S("is")) || dz_str_eq_nocase(name, DZ_S("where")))
        return nested(t, out, "(", false);
    if (dz_str_eq_nocase(name, DZ_S("has")))
        return nested(t, out, "(", true);
    if (dz_str_eq_nocase(name, DZ_S("contains")))
        return contains(t, out);
    bool last = dz_str_eq_nocase(name, DZ_S("nth-last-child")) ||
                dz_str_eq_nocase(name, DZ_S("nth-last-of-type"));
    bool typed = dz_str_eq_nocase(name, DZ_S("nth-of-type")) ||
                 dz_str_eq_nocase(name, DZ_S("nth-last-of-type"));
    if (!last && !typed && !dz_str_eq_nocase(name, DZ_S("nth-child")))
        return wrong(t, "an unknown pseudo-class ends");
    if (typed && type.n == 0)
        return wrong(t, "-of-type needs the name of an element before it");
    int64_t a = 0, b = 0;
    DZ_TRY(an_plus_b(t, &a, &b));
    put_nth(out, a, b, last, typed ? type : DZ_S("*"));
    return accept(t, ')') ? DZ_OK : wrong(t, "a ) is missing");
}

static enum dz_code pseudo(struct translator *t, struct dz_buf *out, dz_str type)
{
    DZ_AUTO(dz_buf_done) struct dz_buf buf;
    dz_buf_init(&buf, DZ_SELECTOR_MAX);
    if (peek(t) == ':')
        return wrong(t, "pseudo-elements are not elements: take :text() or :attr() of the result;");
    DZ_TRY(identifier(t, &buf));
    dz_str name = dz_buf_str(&buf);
    if (accept(t, '(')) {
        skip_blanks(t);
        return functional(t, out, name, type);
    }
    static const struct {
        dz_str name;
        bool first, last, typed;
    } ends[] = {
        {DZ_S("first-child"), true, false, false}, {DZ_S("last-child"), false, true, false},
        {DZ_S("only-child"), true, true, false},   {DZ_S("first-of-type"), true, false, true},
        {DZ_S("last-of-type"), false, true, true}, {DZ_S("only-of-type"), true, true, true},
    };
    for (size_t i = 0; i < DZ_LEN(ends); i++) {
        if (!dz_str_eq_nocase(name, ends[i].name))
            continue;
        if (ends[i].typed && type.n == 0)
            return wrong(t, "-of-type needs the name of an element before it");
        dz_str sibling = ends[i].typed ? type : DZ_S("*");
        for (int last = 0; last < 2; last++) {
            if (!(last ? ends[i].last : ends[i].first))
                continue;
            put(out, last && ends[i].first ? " and not(" : "not(");
            put(out, last ? "following-sibling::" : "preceding-sibling::");
            dz_buf_put(out, sibling);
            put(out, "[1])");
        }
        return DZ_OK;
    }
    if (dz_str_eq_nocase(name, DZ_S("empty")))
        put(out, "not(*) and not(string-length())");
    else if (dz_str_eq_nocase(name, DZ_S("root")))
        put(out, "not(parent::*)");
    else if (dz_str_eq_nocase(name, DZ_S("scope")))
        put(out, "count(.|$scope)=1");
    else
        return wrong(t, "an unknown pseudo-class ends");
    return DZ_OK;
}

/* ---- compounds and combinators --------------------------------------------------------------- */

static enum dz_code hash_or_class(struct translator *t, struct dz_buf *out, bool is_class)
{
    DZ_AUTO(dz_buf_done) struct dz_buf name;
    dz_buf_init(&name, DZ_SELECTOR_MAX);
    if (!is_class && is_name(peek(t)) && !is_name_start(peek(t))) {
        /* #1 is a hash but no id of CSS; sites have such ids, and nothing else can be meant. */
        while (is_name(peek(t)) && peek(t) != '\\')
            dz_buf_putc(&name, t->c.s.p[t->c.at++]);
    } else {
        DZ_TRY(identifier(t, &name));
    }
    if (!is_class) {
        put(out, "string(@id)=");
        put_literal(out, dz_buf_str(&name));
        return DZ_OK;
    }
    put(out, "contains(concat(' ',normalize-space(@class),' '),");
    dz_buf_putc(&name, ' ');
    DZ_AUTO(dz_buf_done) struct dz_buf word;
    dz_buf_init(&word, DZ_SELECTOR_MAX + 2);
    dz_buf_putc(&word, ' ');
    dz_buf_put(&word, dz_buf_str(&name));
    put_literal(out, dz_buf_str(&word));
    put(out, ")");
    return DZ_OK;
}

/* Conditions of one compound; nothing at all is a fault. */
static enum dz_code compound(struct translator *t, struct dz_buf *out)
{
    DZ_AUTO(dz_buf_done) struct dz_buf type;
    dz_buf_init(&type, 8 * DZ_SELECTOR_MAX);
    size_t from = out->n;
    bool any = false;
    if (peek(t) == '*' || at_bar(t) || is_name_start(peek(t)) ||
        (peek(t) == '-' && (is_name_start(peek_at(t, 1)) || peek_at(t, 1) == '-'))) {
        DZ_TRY(type_selector(t, out, &type));
        any = true;
    }
    for (;; any = true) {
        while (any && skip_comment(t))
            ;
        int c = peek(t);
        if (c != '#' && c != '.' && c != '[' && c != ':')
            break;
        t->c.at++;
        put_and(out, from);
        if (c == '[')
            DZ_TRY(attribute(t, out));
        else if (c == ':')
            DZ_TRY(pseudo(t, out, dz_buf_str(&type)));
        else
            DZ_TRY(hash_or_class(t, out, c == '.'));
    }
    if (!any)
        return wrong(t, peek(t) < 0 ? "it ends where an element should be named"
                                    : "an element should be named");
    if (out->n == from)
        put(out, "true()");
    return DZ_OK;
}

/* The combinator in front of the next compound: '>' '+' '~' ' ', or 0 at the end of a selector. */
static char combinator(struct translator *t)
{
    bool blank = skip_blanks(t);
    int c = peek(t);
    if (c == '>' || c == '+' || c == '~') {
        t->c.at++;
        skip_blanks(t);
        return (char)c;
    }
    return blank && c >= 0 && c != ',' && c != ')' ? ' ' : 0;
}

/* An axis and what the elements on it must be. A name alone is a test of the axis itself: with it
 * the library stops at the first that fits, but reads all for a condition. */
static void put_step(struct dz_buf *out, const char *axis, dz_str condition)
{
    dz_str name = dz_str_starts(condition, DZ_S("self::")) ? dz_str_sub(condition, 6, condition.n)
                                                           : (dz_str){0};
    put(out, axis);
    if (is_plain_name(name)) {
        dz_buf_put(out, name);
        return;
    }
    put(out, "*[");
    dz_buf_put(out, condition);
    put(out, "]");
}

/* What the left side must be, looked for from the right one. */
static enum dz_code backward(struct translator *t, struct dz_buf *out)
{
    DZ_AUTO(dz_buf_done) struct dz_buf left, both;
    dz_buf_init(&left, XPATH_MAX);
    dz_buf_init(&both, XPATH_MAX);
    DZ_TRY(compound(t, &left));
    char how;
    while ((how = combinator(t)) != 0) {
        if (++t->combinators > COMBINATORS_MAX)
            return wrong(t, "too many combinators");
        dz_buf_clear(&both);
        DZ_TRY(compound(t, &both));
        put(&both, " and self::*[");
        put_step(&both,
                 how == '>'   ? "parent::"
                 : how == '+' ? "preceding-sibling::*[1]/self::"
                 : how == '~' ? "preceding-sibling::"
                              : "ancestor::",
                 dz_buf_str(&left));
        put(&both, "]");
        struct dz_buf swap = left;
        left = both;
        both = swap;
    }
    if (left.full)
        return wrong(t, "the selector grows too large");
    dz_buf_put(out, dz_buf_str(&left));
    return DZ_OK;
}

/* A relative selector of :has, walked from the element at hand. Each step is inside the one before:
 * as one path they would give sets of elements, which the library joins in quadratic time. */
static enum dz_code forward(struct translator *t, struct dz_buf *out)
{
    DZ_AUTO(dz_buf_done) struct dz_buf one;
    dz_buf_init(&one, XPATH_MAX);
    char how = combinator(t);
    how = how ? how : ' ';
    size_t open = 0;
    for (char next; how != 0; how = next) {
        if (++t->combinators > COMBINATORS_MAX)
            return wrong(t, "too many combinators");
        const char *axis = how == '>'   ? "child::"
                           : how == '+' ? "following-sibling::*[1]/self::"
                           : how == '~' ? "following-sibling::"
                                        : "descendant::";
        dz_buf_clear(&one);
        DZ_TRY(compound(t, &one));
        next = combinator(t);
        put(out, "self::*[");
        open++;
        if (next == 0) {
            put_step(out, axis, dz_buf_str(&one));
            break;
        }
        put(out, axis);
        put(out, "*[");
        dz_buf_put(out, dz_buf_str(&one));
        put(out, " and ");
        open++;
    }
    for (; open > 0; open--)
        put(out, "]");
    return one.full ? wrong(t, "the selector grows too large") : DZ_OK;
}

/* A list up to its end or a ")". */
static enum dz_code list(struct translator *t, struct dz_buf *out, bool relative)
{
    for (bool first = true;; first = false) {
        skip_blanks(t);
        put(out, first ? "(" : " or (");
        DZ_TRY(relative ? forward(t, out) : backward(t, out));
        put(out, ")");
        skip_blanks(t);
        if (!accept(t, ','))
            return DZ_OK;
    }
}

/* Characters of XML 1.0 2.2: XPath refuses the others even in strings. */
static bool is_document_text(dz_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 && !is_blank(c))
            return false;
        /* U+FFFE and U+FFFF */
        if (c == 0xEF && i + 2 < s.n && (unsigned char)s.p[i + 1] == 0xBF &&
            (unsigned char)s.p[i + 2] >= 0xBE)
            return false;
    }
    return dz_str_is_utf8(s);
}

enum dz_code dz_css_to_xpath(dz_str css, bool html, struct dz_buf *out, struct dz_err *err)
{
    if (css.n > DZ_SELECTOR_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "selector: %zu bytes, at most %u", css.n,
                       DZ_SELECTOR_MAX);
    if (!is_document_text(css))
        return dz_fail(err, DZ_BAD_INPUT,
                       "selector: it holds a character that no document can hold");
    struct translator t = {.html = html, .err = err};
    dz_cursor_init(&t.c, css);
    DZ_AUTO(dz_buf_done) struct dz_buf xpath;
    dz_buf_init(&xpath, XPATH_MAX);
    put(&xpath, "descendant::*[");
    DZ_TRY(list(&t, &xpath, false));
    put(&xpath, "]");
    if (t.c.at < css.n)
        return wrong(&t, "nothing that belongs to a selector stands");
    if (xpath.full)
        return wrong(&t, "the selector grows too large");
    dz_buf_put(out, dz_buf_str(&xpath));
    return out->full ? dz_fail(err, DZ_TOO_LARGE, "selector: the result does not fit") : DZ_OK;
}
