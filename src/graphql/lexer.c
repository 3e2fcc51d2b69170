/*
 * lexer: the text of a document → tokens (section 2.1 of the specification).
 *
 * In: UTF-8. Out: one token at a time, whose text is a slice of the input, with line and column.
 * Strings are decoded only when the parser wants them. One owner thread; nothing is allocated but
 * decoded strings, in the caller's arena. The odd thing: columns count characters, so the bytes
 * that go on with a character are counted apart (`hidden`).
 */
#include "graphql/graphql_int.h"

static bool is_name_start(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static int peek(const struct gql_lexer *l, size_t ahead)
{
    return l->at + ahead < l->s.n ? (unsigned char)l->s.p[l->at + ahead] : -1;
}

static struct dz_gql_loc here(const struct gql_lexer *l)
{
    return (struct dz_gql_loc){l->line, (uint32_t)(l->at - l->line_at - l->hidden + 1)};
}

static void new_line(struct gql_lexer *l)
{
    l->line++;
    l->line_at = l->at;
    l->hidden = 0;
}

/* Over one line break, which "\r\n" is, too. */
static void skip_break(struct gql_lexer *l)
{
    if (l->s.p[l->at] == '\r' && peek(l, 1) == '\n')
        l->at++;
    l->at++;
    new_line(l);
}

/* A character as messages show it. */
static dz_str show(const struct gql_lexer *l, char dst[16])
{
    int c = peek(l, 0);
    if (c < 0)
        return DZ_S("<EOF>");
    int n = c >= 0x20 && c < 0x7f && c != '"' ? snprintf(dst, 16, "\"%c\"", c)
            : c == '"'                        ? snprintf(dst, 16, "'\"'")
                                              : snprintf(dst, 16, "U+%04X", (unsigned)c);
    return (dz_str){dst, (size_t)n};
}

/* A syntax error at the current character. */
static bool fail_here(struct gql_lexer *l, const char *what)
{
    char shown[16];
    dz_str c = show(l, shown);
    struct dz_gql_error *error = gql_errors_new(l->errors, DZ_BAD_INPUT, "Syntax Error: %s%s%.*s.",
                                                what, *what ? " " : "", DZ_STR_FMT(c));
    gql_error_at(l->errors, error, here(l));
    return false;
}

static bool fail_words(struct gql_lexer *l, struct dz_gql_loc loc, const char *words)
{
    struct dz_gql_error *error =
        gql_errors_new(l->errors, DZ_BAD_INPUT, "Syntax Error: %s.", words);
    gql_error_at(l->errors, error, loc);
    return false;
}

static bool fail_name(struct gql_lexer *l)
{
    char words[64];
    snprintf(words, sizeof(words), "A name is longer than %u bytes", GQL_NAME_BYTES_MAX);
    return fail_words(l, l->token.loc, words);
}

bool gql_lexer_init(struct gql_lexer *l, dz_str s, uint32_t tokens_max,
                    struct dz_gql_errors *errors)
{
    *l = (struct gql_lexer){.s = s, .line = 1, .tokens_max = tokens_max, .errors = errors};
    if (!dz_str_is_utf8(s))
        return fail_words(l, here(l), "The document is not UTF-8");
    if (dz_str_starts(s, DZ_S("\xef\xbb\xbf"))) {
        l->at = 3;
        l->line_at = 3;
    }
    return true;
}

/* What may stand between tokens: blanks, line breaks, commas, comments, byte order marks. */
static bool skip_ignored(struct gql_lexer *l)
{
    while (l->at < l->s.n) {
        char c = l->s.p[l->at];
        if (c == ' ' || c == '\t' || c == ',') {
            l->at++;
        } else if (c == '\n' || c == '\r') {
            skip_break(l);
        } else if (c == '#') {
            for (int d = peek(l, 0); d >= 0 && d != '\n' && d != '\r'; d = peek(l, 0)) {
                if (d < 0x20 && d != '\t')
                    return fail_here(l, "Unexpected character:");
                l->hidden += (d & 0xc0) == 0x80;
                l->at++;
            }
        } else if (dz_str_starts(dz_str_sub(l->s, l->at, l->s.n), DZ_S("\xef\xbb\xbf"))) {
            l->at += 3;
            l->hidden += 2;
        } else {
            break;
        }
    }
    return true;
}

static bool take_digits(struct gql_lexer *l)
{
    if (!is_digit(peek(l, 0)))
        return fail_here(l, "Invalid number, expected digit but got:");
    while (is_digit(peek(l, 0)))
        l->at++;
    return true;
}

static bool take_number(struct gql_lexer *l)
{
    size_t from = l->at;
    l->token.kind = GQL_T_INT;
    if (peek(l, 0) == '-')
        l->at++;
    if (peek(l, 0) == '0') {
        l->at++;
        if (is_digit(peek(l, 0)))
            return fail_here(l, "Invalid number, unexpected digit after 0:");
    } else if (!take_digits(l)) {
        return false;
    }
    if (peek(l, 0) == '.') {
        l->token.kind = GQL_T_FLOAT;
        l->at++;
        if (!take_digits(l))
            return false;
    }
    if (peek(l, 0) == 'e' || peek(l, 0) == 'E') {
        l->token.kind = GQL_T_FLOAT;
        l->at++;
        if (peek(l, 0) == '+' || peek(l, 0) == '-')
            l->at++;
        if (!take_digits(l))
            return false;
    }
    if (peek(l, 0) == '.' || is_name_start(peek(l, 0)))
        return fail_here(l, "Invalid number, expected digit but got:");
    l->token.text = dz_str_sub(l->s, from, l->at);
    return true;
}

/* Characters of a string that mean nothing but themselves. */
static void skip_plain(struct gql_lexer *l)
{
    const char *p = l->s.p + l->at, *const end = l->s.p + l->s.n;
    uint32_t hidden = 0;
    for (; p < end && *p != '"' && *p != '\\'; p++) {
        if ((unsigned char)*p < 0x20 && *p != '\t')
            break;
        hidden += (*p & 0xc0) == 0x80;
    }
    l->at = (size_t)(p - l->s.p);
    l->hidden += hidden;
}

static bool are_quotes(const struct gql_lexer *l, size_t ahead)
{
    return peek(l, ahead) == '"' && peek(l, ahead + 1) == '"' && peek(l, ahead + 2) == '"';
}

static bool take_block_string(struct gql_lexer *l)
{
    l->token.kind = GQL_T_BLOCK_STRING;
    l->at += 3;
    size_t from = l->at;
    for (skip_plain(l); l->at < l->s.n; skip_plain(l)) {
        char c = l->s.p[l->at];
        if (c == '"' && are_quotes(l, 0)) {
            l->token.text = dz_str_sub(l->s, from, l->at);
            l->at += 3;
            return true;
        }
        if (c == '\\' && are_quotes(l, 1)) {
            l->token.escaped = true;
            l->at += 4;
        } else if (c == '\n' || c == '\r') {
            skip_break(l);
        } else if (c == '"' || c == '\\') {
            l->at++;
        } else {
            return fail_here(l, "Invalid character within String:");
        }
    }
    return fail_words(l, here(l), "Unterminated string");
}

static bool take_string(struct gql_lexer *l)
{
    if (peek(l, 1) == '"' && peek(l, 2) == '"')
        return take_block_string(l);
    l->token.kind = GQL_T_STRING;
    size_t from = ++l->at;
    for (skip_plain(l); peek(l, 0) != '"'; skip_plain(l)) {
        int c = peek(l, 0);
        if (c < 0 || c == '\n' || c == '\r')
            return fail_words(l, here(l), "Unterminated string");
        if (c != '\\')
            return fail_here(l, "Invalid character within String:");
        l->token.escaped = true;
        int d = peek(l, 1);
        l->at += d >= 0x20 && d < 0x80 ? 2 : 1;
    }
    l->token.text = dz_str_sub(l->s, from, l->at);
    l->at++;
    return true;
}

static enum gql_token_kind punctuator(int c)
{
    switch (c) {
    case '!':
        return GQL_T_BANG;
    case '$':
        return GQL_T_DOLLAR;
    case '&':
        return GQL_T_AMP;
    case '(':
        return GQL_T_PAREN_L;
    case ')':
        return GQL_T_PAREN_R;
    case ':':
        return GQL_T_COLON;
    case '=':
        return GQL_T_EQUALS;
    case '@':
        return GQL_T_AT;
    case '[':
        return GQL_T_BRACKET_L;
    case ']':
        return GQL_T_BRACKET_R;
    case '{':
        return GQL_T_BRACE_L;
    case '|':
        return GQL_T_PIPE;
    case '}':
        return GQL_T_BRACE_R;
    default:
        return GQL_T_END;
    }
}

bool gql_lexer_next(struct gql_lexer *l)
{
    if (!skip_ignored(l))
        return false;
    l->token = (struct gql_token){.loc = here(l)};
    if (l->at == l->s.n)
        return true;
    if (++l->tokens > l->tokens_max) {
        struct dz_gql_error *error =
            gql_errors_new(l->errors, DZ_TOO_LARGE,
                           "Syntax Error: The document has more than %u tokens.", l->tokens_max);
        gql_error_at(l->errors, error, l->token.loc);
        return false;
    }
    int c = peek(l, 0);
    if (is_name_start(c)) {
        size_t from = l->at;
        while (is_name_start(peek(l, 0)) || is_digit(peek(l, 0)))
            l->at++;
        l->token.kind = GQL_T_NAME;
        l->token.text = dz_str_sub(l->s, from, l->at);
        return l->token.text.n <= GQL_NAME_BYTES_MAX || fail_name(l);
    }
    if (is_digit(c) || c == '-')
        return take_number(l);
    if (c == '"')
        return take_string(l);
    if (c == '.' && peek(l, 1) == '.' && peek(l, 2) == '.') {
        l->at += 3;
        l->token.kind = GQL_T_SPREAD;
        return true;
    }
    l->token.kind = punctuator(c);
    if (l->token.kind == GQL_T_END)
        return fail_here(l, "Unexpected character:");
    l->at++;
    return true;
}

const char *gql_token_name(enum gql_token_kind kind)
{
    static const char *const names[] = {
        [GQL_T_END] = "<EOF>",       [GQL_T_BANG] = "\"!\"",
        [GQL_T_DOLLAR] = "\"$\"",    [GQL_T_AMP] = "\"&\"",
        [GQL_T_PAREN_L] = "\"(\"",   [GQL_T_PAREN_R] = "\")\"",
        [GQL_T_SPREAD] = "\"...\"",  [GQL_T_COLON] = "\":\"",
        [GQL_T_EQUALS] = "\"=\"",    [GQL_T_AT] = "\"@\"",
        [GQL_T_BRACKET_L] = "\"[\"", [GQL_T_BRACKET_R] = "\"]\"",
        [GQL_T_BRACE_L] = "\"{\"",   [GQL_T_PIPE] = "\"|\"",
        [GQL_T_BRACE_R] = "\"}\"",   [GQL_T_NAME] = "Name",
        [GQL_T_INT] = "Int",         [GQL_T_FLOAT] = "Float",
        [GQL_T_STRING] = "String",   [GQL_T_BLOCK_STRING] = "BlockString",
    };
    return names[kind];
}

/* ---- what strings say -------------------------------------------------------------------------
 */

static char *put_utf8(char *at, uint32_t cp)
{
    if (cp < 0x80) {
        *at++ = (char)cp;
        return at;
    }
    if (cp < 0x800) {
        *at++ = (char)(0xc0 | cp >> 6);
    } else {
        if (cp < 0x10000) {
            *at++ = (char)(0xe0 | cp >> 12);
        } else {
            *at++ = (char)(0xf0 | cp >> 18);
            *at++ = (char)(0x80 | (cp >> 12 & 0x3f));
        }
        *at++ = (char)(0x80 | (cp >> 6 & 0x3f));
    }
    *at++ = (char)(0x80 | (cp & 0x3f));
    return at;
}

static int hex_of(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Hex digits at *at up to n of them or to '}'; -1 when one is none or the value is no code point.
 */
static int32_t take_hex(dz_str s, size_t *at, size_t n)
{
    int32_t x = 0;
    size_t i = 0;
    for (; i < n; i++, ++*at) {
        if (*at >= s.n)
            return -1;
        if (n > 4 && i > 0 && s.p[*at] == '}')
            break;
        int d = hex_of(s.p[*at]);
        if (d < 0)
            return -1;
        x = x * 16 + d;
        if (x > 0x10ffff)
            return -1;
    }
    return x;
}

/* What stands behind "\u": XXXX, a pair of surrogates, or {X…}. -1: nothing good. */
static int32_t take_unicode(dz_str s, size_t *at)
{
    if (*at < s.n && s.p[*at] == '{') {
        ++*at;
        int32_t cp = take_hex(s, at, 16);
        if (cp < 0 || (cp >= 0xd800 && cp < 0xe000) || *at >= s.n || s.p[*at] != '}')
            return -1;
        ++*at;
        return cp;
    }
    int32_t high = take_hex(s, at, 4);
    if (high < 0xd800 || high >= 0xe000)
        return high;
    if (high >= 0xdc00 || *at + 2 > s.n || s.p[*at] != '\\' || s.p[*at + 1] != 'u')
        return -1;
    *at += 2;
    int32_t low = take_hex(s, at, 4);
    if (low < 0xdc00 || low >= 0xe000)
        return -1;
    return 0x10000 + (high - 0xd800) * 0x400 + (low - 0xdc00);
}

static int simple_escape(char c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
        return c;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return -1;
    }
}

static bool fail_escape(struct gql_lexer *l, dz_str s, size_t from, size_t to)
{
    dz_str shown = dz_str_sub(s, from, to < from + 12 ? to + 1 : from + 12);
    struct dz_gql_loc loc = l->token.loc;
    loc.column++; /* the quote */
    for (size_t i = 0; i < from; i++)
        loc.column += (s.p[i] & 0xc0) != 0x80;
    while (shown.n > 0 && !dz_str_is_utf8(shown))
        shown.n--;
    struct dz_gql_error *error = gql_errors_new(
        l->errors, DZ_BAD_INPUT, "Syntax Error: Invalid character escape sequence: \"%.*s\".",
        DZ_STR_FMT(shown));
    gql_error_at(l->errors, error, loc);
    return false;
}

/* What stands from `at` to the next backslash; says where that is. */
static size_t put_plain(char **end, dz_str s, size_t at)
{
    while (at < s.n && s.p[at] != '\\')
        *(*end)++ = s.p[at++];
    return at;
}

static bool decode_plain(struct gql_lexer *l, dz_str s, struct dz_arena *a, dz_str *ret_s)
{
    char *const to = dz_arena_alloc(a, s.n);
    char *end = to;
    for (size_t at = 0; (at = put_plain(&end, s, at)) < s.n;) {
        size_t from = at++;
        int c = at < s.n ? simple_escape(s.p[at]) : -1;
        if (c >= 0) {
            *end++ = (char)c;
            at++;
            continue;
        }
        int32_t cp = -1;
        if (at < s.n && s.p[at] == 'u') {
            at++;
            cp = take_unicode(s, &at);
        }
        if (cp < 0)
            return fail_escape(l, s, from, at);
        end = put_utf8(end, (uint32_t)cp);
    }
    *ret_s = (dz_str){to, (size_t)(end - to)};
    return true;
}

static dz_str take_line(dz_str *rest)
{
    const char *p = rest->p, *const end = p + rest->n;
    while (p < end && *p != '\n' && *p != '\r')
        p++;
    dz_str line = {rest->p, (size_t)(p - rest->p)};
    if (end - p > 1 && p[0] == '\r' && p[1] == '\n')
        p++;
    p += p < end;
    *rest = (dz_str){p, (size_t)(end - p)};
    return line;
}

static size_t indent_of(dz_str line)
{
    size_t n = 0;
    while (n < line.n && (line.p[n] == ' ' || line.p[n] == '\t'))
        n++;
    return n;
}

/* BlockStringValue of section 2.9.4: the common indent of all lines but the first goes, and lines
 * of blanks at both ends. */
static dz_str decode_block(dz_str s, struct dz_arena *a)
{
    size_t common = SIZE_MAX, lines = 0, first_full = SIZE_MAX, last_full = 0;
    dz_str rest = s;
    bool more = true;
    for (; more; lines++) {
        const char *before = rest.p;
        dz_str line = take_line(&rest);
        more = before + line.n < s.p + s.n;
        size_t indent = indent_of(line);
        if (indent == line.n)
            continue;
        if (lines > 0 && indent < common)
            common = indent;
        if (first_full == SIZE_MAX)
            first_full = lines;
        last_full = lines;
    }
    char *const to = dz_arena_alloc(a, s.n);
    char *end = to;
    rest = s;
    for (size_t i = 0; i < lines && first_full != SIZE_MAX && i <= last_full; i++) {
        dz_str line = take_line(&rest);
        if (i < first_full)
            continue;
        if (i > first_full)
            *end++ = '\n';
        if (line.n == 0)
            continue;
        if (i > 0)
            line = dz_str_sub(line, common < line.n ? common : line.n, line.n);
        for (size_t at = 0; (at = put_plain(&end, line, at)) < line.n;) {
            if (dz_str_starts(dz_str_sub(line, at, line.n), DZ_S("\\\"\"\"")))
                at++;
            *end++ = line.p[at++];
        }
    }
    return (dz_str){to, (size_t)(end - to)};
}

bool gql_string_decode(struct gql_lexer *l, struct dz_arena *a, dz_str *ret_s)
{
    dz_str s = l->token.text;
    if (s.n == 0) {
        *ret_s = DZ_S("");
        return true;
    }
    if (l->token.kind == GQL_T_BLOCK_STRING) {
        *ret_s = decode_block(s, a);
        return true;
    }
    if (l->token.escaped)
        return decode_plain(l, s, a, ret_s);
    *ret_s = s;
    return true;
}
