/*
 * python: the plain assignments of a Python file, which is never run.
 *
 * In: a text. Out: NAME → value for each line "NAME = literal" that begins at the margin: texts,
 * numbers, True, False, None, lists, tuples and dicts of such; the last one of a name counts. Names
 * whose value is anything else (a call, an f-string, another name) are listed apart. All other
 * statements are stepped over: what is indented, imports, functions. Only brackets and quotes that
 * never end are errors. Texts are UTF-8.
 */
#include <stdlib.h>

#include "library/imoog_int.h"

#define DEPTH_MAX 32u

struct reader {
    struct dz_cursor c;
    bool plain; /* no more: the value is no literal */
    unsigned depth;
};

static bool is_word(int c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           c >= 0x80;
}

static int peek_at(const struct reader *r, size_t n)
{
    size_t at = r->c.at + n;
    return at < r->c.s.n ? (unsigned char)r->c.s.p[at] : -1;
}

static void skip_comment(struct reader *r)
{
    while (dz_cursor_peek(&r->c) >= 0 && dz_cursor_peek(&r->c) != '\n')
        (void)dz_cursor_next(&r->c);
}

/* Blanks, and inside brackets also ends of lines and comments. */
static void skip_blanks(struct reader *r)
{
    for (;;) {
        int c = dz_cursor_peek(&r->c);
        if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || (r->depth > 0 && c == '\n'))
            (void)dz_cursor_next(&r->c);
        else if (c == '\\' && (peek_at(r, 1) == '\n' || peek_at(r, 1) == '\r'))
            (void)dz_cursor_next(&r->c), (void)dz_cursor_next(&r->c);
        else if (c == '#' && r->depth > 0)
            skip_comment(r);
        else
            return;
    }
}

/* ---- texts -----------------------------------------------------------------------------------
 */

static void put_code(struct dz_buf *b, uint32_t cp)
{
    if (cp < 0x80) {
        dz_buf_putc(b, (char)cp);
    } else if (cp < 0x800) {
        dz_buf_putc(b, (char)(0xC0 | cp >> 6));
        dz_buf_putc(b, (char)(0x80 | (cp & 0x3F)));
    } else if (cp < 0x10000) {
        dz_buf_putc(b, (char)(0xE0 | cp >> 12));
        dz_buf_putc(b, (char)(0x80 | (cp >> 6 & 0x3F)));
        dz_buf_putc(b, (char)(0x80 | (cp & 0x3F)));
    } else {
        dz_buf_putc(b, (char)(0xF0 | (cp >> 18 & 7)));
        dz_buf_putc(b, (char)(0x80 | (cp >> 12 & 0x3F)));
        dz_buf_putc(b, (char)(0x80 | (cp >> 6 & 0x3F)));
        dz_buf_putc(b, (char)(0x80 | (cp & 0x3F)));
    }
}

static int digit_of(int c, int base)
{
    int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
    if (c >= 'A' && c <= 'F')
        d = c - 'A' + 10;
    return d < base ? d : -1;
}

/* Up to so many digits; false: not as many as there must be. */
static bool read_code(struct reader *r, int base, unsigned min, unsigned max, uint32_t *ret_cp)
{
    uint32_t cp = 0;
    unsigned n = 0;
    for (; n < max && digit_of(dz_cursor_peek(&r->c), base) >= 0; n++)
        cp = cp * (uint32_t)base + (uint32_t)digit_of(dz_cursor_next(&r->c), base);
    *ret_cp = cp;
    return n >= min && cp <= 0x10FFFF && (cp < 0xD800 || cp > 0xDFFF);
}

static bool put_escape(struct reader *r, struct dz_buf *b)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    int c = dz_cursor_peek(&r->c);
    uint32_t cp;
    const char *known = c > 0 ? strchr(from, c) : NULL;
    if (c >= '0' && c <= '7') {
        if (!read_code(r, 8, 1, 3, &cp))
            return false;
        put_code(b, cp);
        return true;
    }
    if (c < 0)
        return false;
    (void)dz_cursor_next(&r->c);
    if (known) {
        dz_buf_putc(b, to[known - from]);
    } else if (c == 'x' || c == 'u' || c == 'U') {
        unsigned n = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        if (!read_code(r, 16, n, n, &cp))
            return false;
        put_code(b, cp);
    } else if (c == 'N') {
        return false;
    } else if (c != '\n') {
        dz_buf_putc(b, '\\');
        dz_buf_putc(b, (char)c);
    }
    return true;
}

/* Behind the opening quotes, up to the closing ones. */
static enum dz_code read_quoted(struct reader *r, bool raw, struct dz_buf *b, struct dz_err *err)
{
    uint32_t line = r->c.line;
    int quote = dz_cursor_next(&r->c);
    bool three = dz_cursor_peek(&r->c) == quote && peek_at(r, 1) == quote;
    if (three)
        (void)dz_cursor_next(&r->c), (void)dz_cursor_next(&r->c);
    for (;;) {
        int c = dz_cursor_peek(&r->c);
        if (c < 0 || (c == '\n' && !three))
            return dz_fail(err, DZ_PARSE, "line %u: a text that does not end", line);
        if (c == quote && (!three || (peek_at(r, 1) == quote && peek_at(r, 2) == quote)))
            break;
        (void)dz_cursor_next(&r->c);
        if (c != '\\') {
            dz_buf_putc(b, (char)c);
        } else if (raw) {
            dz_buf_putc(b, '\\');
            if (dz_cursor_peek(&r->c) >= 0)
                dz_buf_putc(b, (char)dz_cursor_next(&r->c));
        } else if (!put_escape(r, b)) {
            r->plain = false;
        }
    }
    for (int i = 0; i < (three ? 3 : 1); i++)
        (void)dz_cursor_next(&r->c);
    return DZ_OK;
}

/* How long a prefix of quotes is; -1: it is none. */
static int prefix_of(const struct reader *r, bool *ret_raw, bool *ret_plain)
{
    *ret_raw = false;
    *ret_plain = true;
    for (int n = 0; n <= 2; n++) {
        int c = peek_at(r, (size_t)n);
        if (c == '\'' || c == '"')
            return n;
        if (c == 'r' || c == 'R')
            *ret_raw = true;
        else if (c == 'f' || c == 'F')
            *ret_plain = false;
        else if (c != 'b' && c != 'B' && c != 'u' && c != 'U')
            return -1;
    }
    return -1;
}

/* Texts that stand side by side are one. */
static enum dz_code read_text(struct reader *r, json_t **ret, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 4 * DZ_MIB);
    bool raw, plain;
    for (int n = prefix_of(r, &raw, &plain); n >= 0; n = prefix_of(r, &raw, &plain)) {
        r->plain &= plain;
        for (int i = 0; i < n; i++)
            (void)dz_cursor_next(&r->c);
        DZ_TRY(read_quoted(r, raw, &b, err));
        skip_blanks(r);
    }
    *ret = json_stringn(b.n ? b.p : "", b.n);
    r->plain &= *ret != NULL;
    return DZ_OK;
}

/* ---- values ----------------------------------------------------------------------------------
 */

static enum dz_code read_value(struct reader *r, json_t **ret, struct dz_err *err);

static json_t *read_number(struct reader *r)
{
    char text[64];
    size_t n = 0;
    while (n + 1 < sizeof(text)) {
        int c = dz_cursor_peek(&r->c);
        bool sign = (c == '-' || c == '+') &&
                    (n == 0 || ((text[n - 1] == 'e' || text[n - 1] == 'E') && text[1] != 'x'));
        if (!is_word(c) && c != '.' && !sign)
            break;
        (void)dz_cursor_next(&r->c);
        if (c != '_')
            text[n++] = (char)c;
    }
    text[n] = '\0';
    char *end = NULL;
    bool octal = strncmp(text, "0o", 2) == 0 || strncmp(text, "0b", 2) == 0;
    long long whole = strtoll(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
    if (n > 0 && !*end && !octal)
        return json_integer(whole);
    double real = strtod(text, &end);
    return n > 0 && !*end && !octal ? json_real(real) : NULL;
}

static json_t *read_name(struct reader *r)
{
    size_t from = r->c.at;
    while (is_word(dz_cursor_peek(&r->c)))
        (void)dz_cursor_next(&r->c);
    dz_str word = dz_str_sub(r->c.s, from, r->c.at);
    if (dz_str_eq(word, DZ_S("True")))
        return json_true();
    if (dz_str_eq(word, DZ_S("False")))
        return json_false();
    return dz_str_eq(word, DZ_S("None")) ? json_null() : NULL;
}

/* One item of brackets; in a dict with its key. */
static enum dz_code read_item(struct reader *r, int close, json_t *into, struct dz_err *err)
{
    json_t *key = NULL, *value = NULL;
    enum dz_code code = read_value(r, &value, err);
    skip_blanks(r);
    if (code == DZ_OK && close == '}' && dz_cursor_take(&r->c, DZ_S(":"))) {
        key = value;
        value = NULL;
        code = read_value(r, &value, err);
    }
    if (!value || (close == '}' && !json_is_string(key)))
        r->plain = false;
    else if (close == '}')
        r->plain &= json_object_set(into, json_string_value(key), value) == 0;
    else
        json_array_append(into, value);
    json_decref(key);
    json_decref(value);
    return code;
}

static enum dz_code read_brackets(struct reader *r, json_t **ret, struct dz_err *err)
{
    uint32_t line = r->c.line;
    int open = dz_cursor_next(&r->c), close = open == '(' ? ')' : open == '[' ? ']' : '}';
    json_t *into = open == '{' ? json_object() : json_array();
    bool comma = false;
    enum dz_code code = DZ_OK;
    if (++r->depth > DEPTH_MAX)
        code = dz_fail(err, DZ_PARSE, "line %u: brackets more than %u deep", line, DEPTH_MAX);
    while (code == DZ_OK) {
        skip_blanks(r);
        int c = dz_cursor_peek(&r->c);
        if (c == close)
            break;
        if (c < 0)
            code = dz_fail(err, DZ_PARSE, "line %u: a bracket that is not closed", line);
        else if (c == ',' && dz_cursor_next(&r->c))
            comma = true;
        else
            code = read_item(r, close, into, err);
    }
    r->depth--;
    if (code == DZ_OK)
        (void)dz_cursor_next(&r->c);
    /* (x) is x, (x,) is a tuple */
    if (code == DZ_OK && open == '(' && !comma && json_array_size(into) == 1) {
        *ret = json_incref(json_array_get(into, 0));
        json_decref(into);
    } else if (code == DZ_OK) {
        *ret = into;
    } else {
        json_decref(into);
    }
    return code;
}

/* What is no literal is stepped over: a byte, a text, brackets. */
static enum dz_code read_value(struct reader *r, json_t **ret, struct dz_err *err)
{
    bool raw, plain;
    skip_blanks(r);
    int c = dz_cursor_peek(&r->c);
    if (prefix_of(r, &raw, &plain) >= 0)
        return read_text(r, ret, err);
    if (c == '(' || c == '[' || c == '{')
        return read_brackets(r, ret, err);
    if ((c >= '0' && c <= '9') || ((c == '-' || c == '+' || c == '.') && is_word(peek_at(r, 1))))
        *ret = read_number(r);
    else if (is_word(c))
        *ret = read_name(r);
    else
        (void)dz_cursor_next(&r->c);
    r->plain &= *ret != NULL;
    return DZ_OK;
}

/* ---- lines -----------------------------------------------------------------------------------
 */

/* To the end of the statement; true: nothing but blanks stood there. */
static enum dz_code finish_line(struct reader *r, bool *ret_empty, struct dz_err *err)
{
    *ret_empty = true;
    for (;;) {
        skip_blanks(r);
        int c = dz_cursor_peek(&r->c);
        if (c == '#') {
            skip_comment(r);
        } else if (c < 0 || c == '\n') {
            (void)dz_cursor_next(&r->c);
            return DZ_OK;
        } else {
            json_t *v = NULL;
            *ret_empty = false;
            enum dz_code code = read_value(r, &v, err);
            json_decref(v);
            DZ_TRY(code);
        }
    }
}

/* "NAME =", also with an annotation; false: something else. */
static bool read_target(struct reader *r, dz_str *ret_name)
{
    struct dz_cursor at = r->c;
    int c = dz_cursor_peek(&r->c);
    size_t from = r->c.at;
    if (!is_word(c) || (c >= '0' && c <= '9'))
        return false;
    while (is_word(dz_cursor_peek(&r->c)))
        (void)dz_cursor_next(&r->c);
    *ret_name = dz_str_sub(r->c.s, from, r->c.at);
    skip_blanks(r);
    if (dz_cursor_peek(&r->c) == ':' && peek_at(r, 1) != '=')
        while (dz_cursor_peek(&r->c) >= 0 && !strchr("=\n#", dz_cursor_peek(&r->c)))
            (void)dz_cursor_next(&r->c);
    if (dz_cursor_peek(&r->c) == '=' && peek_at(r, 1) != '=') {
        (void)dz_cursor_next(&r->c);
        return true;
    }
    r->c = at;
    return false;
}

static enum dz_code read_line(struct reader *r, json_t *values, json_t *others, struct dz_err *err)
{
    dz_str name;
    bool empty = true;
    if (!read_target(r, &name))
        return finish_line(r, &empty, err);
    json_t *v = NULL;
    uint32_t line = r->c.line;
    r->plain = true;
    enum dz_code code = read_value(r, &v, err);
    if (code == DZ_OK)
        code = finish_line(r, &empty, err);
    if (code == DZ_OK && r->plain && empty && v) {
        json_object_setn(values, name.p, name.n, v);
        json_object_deln(others, name.p, name.n);
    } else if (code == DZ_OK) {
        json_object_setn_new(others, name.p, name.n, json_integer(line));
        json_object_deln(values, name.p, name.n);
    }
    json_decref(v);
    return code;
}

enum dz_code library_python_read(dz_str text, json_t **ret_values, json_t **ret_others,
                                 struct dz_err *err)
{
    struct reader r = {.plain = true};
    json_t *values = json_object(), *others = json_object();
    enum dz_code code = DZ_OK;
    if (!dz_str_is_utf8(text))
        code = dz_fail(err, DZ_PARSE, "line 1: not UTF-8");
    dz_cursor_init(&r.c, text);
    while (code == DZ_OK && !dz_cursor_end(&r.c))
        code = read_line(&r, values, others, err);
    if (code == DZ_OK) {
        *ret_values = values;
        *ret_others = others;
        return DZ_OK;
    }
    json_decref(values);
    json_decref(others);
    return code;
}
