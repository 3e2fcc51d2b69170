/*
 * xpath_parse: the text of an XPath 1.0 expression as a tree.
 *
 * In: hostile text. Out: nodes in the caller's arena, names resolved, types and numbers of
 * arguments judged, so that running it can fail for its cost alone. Every value's type is known
 * beforehand in XPath 1.0. One difference: there is no namespace axis. Pure.
 */
#include "media/xpath.h"

struct parser {
    struct dz_cursor c; /* moved by its `at` alone */
    const xmlDoc *doc;
    bool scoped;
    struct dz_arena *a;
    unsigned depth;
    bool asks_place, asks_last; /* in the predicate at hand */
    struct dz_err *err;
};

static enum dz_code binary(struct parser *p, int level, struct xpath_expr **ret);

static enum dz_code wrong(struct parser *p, const char *words)
{
    return dz_fail(p->err, DZ_BAD_INPUT, "the XPath expression is not valid: %s at character %zu",
                   words, p->c.at + 1);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static int peek_at(const struct parser *p, size_t more)
{
    return p->c.at + more < p->c.s.n ? (unsigned char)p->c.s.p[p->c.at + more] : -1;
}

static int peek(struct parser *p)
{
    while (peek_at(p, 0) == ' ' || peek_at(p, 0) == '\t' || peek_at(p, 0) == '\n' ||
           peek_at(p, 0) == '\r')
        p->c.at++;
    return peek_at(p, 0);
}

static bool accept(struct parser *p, const char *token)
{
    (void)peek(p);
    size_t n = strlen(token);
    if (!dz_str_starts(dz_str_sub(p->c.s, p->c.at, p->c.s.n), (dz_str){token, n}))
        return false;
    p->c.at += n;
    return true;
}

static bool starts_name(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* n = 0: there is none. */
static dz_str name(struct parser *p)
{
    size_t from = p->c.at;
    if (starts_name(peek_at(p, 0)))
        while (starts_name(peek_at(p, 0)) || is_digit(peek_at(p, 0)) || peek_at(p, 0) == '-' ||
               peek_at(p, 0) == '.')
            p->c.at++;
    return dz_str_sub(p->c.s, from, p->c.at);
}

/* What `from` begins with, were it the name of an operator. */
static dz_str name_ahead(struct parser *p)
{
    size_t at = p->c.at;
    dz_str s = name(p);
    p->c.at = at;
    return s;
}

/* ---- nodes of the tree ----------------------------------------------------------------------- */

static void *piece(struct parser *p, size_t n)
{
    return memset(dz_arena_alloc(p->a, n), 0, n);
}

static struct xpath_expr *node(struct parser *p, enum xpath_kind kind, enum xpath_type type)
{
    struct xpath_expr *e = piece(p, sizeof(*e));
    e->kind = kind;
    e->type = type;
    e->depth = 1;
    return e;
}

static enum dz_code deepen(struct parser *p, struct xpath_expr *e, const struct xpath_expr *inner)
{
    e->depth = inner->depth + 1 > e->depth ? inner->depth + 1 : e->depth;
    return e->depth > XPATH_DEPTH_MAX ? wrong(p, "too many levels") : DZ_OK;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static enum dz_code predicates(struct parser *p, struct xpath_expr *owner,
                               struct xpath_predicate **list)
{
    while (*list)
        list = &(*list)->next;
    while (accept(p, "[")) {
        bool place = p->asks_place, last = p->asks_last;
        p->asks_place = p->asks_last = false;
        struct xpath_predicate *one = piece(p, sizeof(*one));
        DZ_TRY(binary(p, 0, &one->e));
        if (!accept(p, "]"))
            return wrong(p, "a ] is missing");
        DZ_TRY(deepen(p, owner, one->e));
        one->says_place = p->asks_place || one->e->type == XPATH_REAL;
        one->says_last = p->asks_last;
        p->asks_place |= place;
        p->asks_last |= last;
        *list = one;
        list = &one->next;
    }
    return DZ_OK;
}

static bool find_axis(dz_str s, enum xpath_axis *ret)
{
    static const char *const axes[] = {
        [XPATH_ANCESTOR] = "ancestor",
        [XPATH_ANCESTOR_OR_SELF] = "ancestor-or-self",
        [XPATH_ATTRIBUTE] = "attribute",
        [XPATH_CHILD] = "child",
        [XPATH_DESCENDANT] = "descendant",
        [XPATH_DESCENDANT_OR_SELF] = "descendant-or-self",
        [XPATH_FOLLOWING] = "following",
        [XPATH_FOLLOWING_SIBLING] = "following-sibling",
        [XPATH_PARENT] = "parent",
        [XPATH_PRECEDING] = "preceding",
        [XPATH_PRECEDING_SIBLING] = "preceding-sibling",
        [XPATH_SELF] = "self",
    };
    for (unsigned i = 0; i < DZ_LEN(axes); i++)
        if (dz_str_eq(s, dz_str_of(axes[i]))) {
            *ret = (enum xpath_axis)i;
            return true;
        }
    return false;
}

static bool find_test(dz_str s, enum xpath_test *ret)
{
    static const char *const tests[] = {
        [XPATH_TEST_NODE] = "node",
        [XPATH_TEST_TEXT] = "text",
        [XPATH_TEST_COMMENT] = "comment",
        [XPATH_TEST_INSTRUCTION] = "processing-instruction",
    };
    for (unsigned i = 0; i < DZ_LEN(tests); i++)
        if (dz_str_eq(s, dz_str_of(tests[i]))) {
            *ret = (enum xpath_test)i;
            return true;
        }
    return false;
}

/* The prefixes of the outermost element, and xml. */
static enum dz_code find_space(struct parser *p, dz_str prefix, const char **ret)
{
    const xmlNode *root = xmlDocGetRootElement(p->doc);
    for (const xmlNs *ns = root && p->doc->type != XML_HTML_DOCUMENT_NODE ? root->nsDef : NULL; ns;
         ns = ns->next)
        if (ns->prefix && dz_str_eq(prefix, dz_str_of((const char *)ns->prefix))) {
            *ret = (const char *)ns->href;
            return DZ_OK;
        }
    if (!dz_str_eq(prefix, DZ_S("xml")))
        return wrong(p, "a prefix that the document does not declare ends");
    *ret = (const char *)XML_XML_NAMESPACE;
    return DZ_OK;
}

static enum dz_code literal(struct parser *p, dz_str *ret)
{
    char quote = p->c.s.p[p->c.at];
    dz_str rest = dz_str_sub(p->c.s, p->c.at + 1, p->c.s.n);
    size_t n = dz_str_chr(rest, quote);
    if (n == DZ_NPOS)
        return wrong(p, "a text without an end begins");
    p->c.at += n + 2;
    *ret = dz_str_sub(rest, 0, n);
    return DZ_OK;
}

/* node(), text(), a name, a:b, a:* or *, behind its axis. */
static enum dz_code node_test(struct parser *p, struct xpath_step *s)
{
    s->test = XPATH_TEST_NAME;
    if (accept(p, "*"))
        return DZ_OK;
    dz_str word = name(p);
    if (word.n == 0)
        return wrong(p, "the name of a node is missing");
    if (peek_at(p, 0) == ':') {
        p->c.at++;
        DZ_TRY(find_space(p, word, &s->space));
        if (accept(p, "*"))
            return DZ_OK;
        word = name(p);
        if (word.n == 0)
            return wrong(p, "a name is missing");
    } else if (peek(p) == '(') {
        if (!find_test(word, &s->test))
            return wrong(p,
                         "only node(), text(), comment() and processing-instruction() may stand");
        p->c.at++;
        word = (dz_str){0};
        if (s->test == XPATH_TEST_INSTRUCTION && (peek(p) == '"' || peek(p) == '\''))
            DZ_TRY(literal(p, &word));
        if (!accept(p, ")"))
            return wrong(p, "a ) is missing");
    }
    s->name = word.p ? dz_arena_dup(p->a, word) : NULL;
    return DZ_OK;
}

static enum dz_code step(struct parser *p, struct xpath_expr *path, struct xpath_step **ret)
{
    struct xpath_step *s = piece(p, sizeof(*s));
    *ret = s;
    s->axis = XPATH_CHILD;
    if (accept(p, "..")) {
        s->axis = XPATH_PARENT;
        return DZ_OK;
    }
    if (accept(p, ".")) {
        s->axis = XPATH_SELF;
        return DZ_OK;
    }
    if (accept(p, "@")) {
        s->axis = XPATH_ATTRIBUTE;
        (void)peek(p);
    } else {
        size_t at = p->c.at;
        dz_str word = name(p);
        if (word.n > 0 && accept(p, "::")) {
            if (!find_axis(word, &s->axis))
                return wrong(p, "an axis that is not known here ends");
            (void)peek(p);
        } else {
            p->c.at = at;
        }
    }
    DZ_TRY(node_test(p, s));
    return predicates(p, path, &s->predicates);
}

static struct xpath_step *everything(struct parser *p)
{
    struct xpath_step *s = piece(p, sizeof(*s));
    s->axis = XPATH_DESCENDANT_OR_SELF;
    return s;
}

/* Of `//a` as it is written all nodes would be gathered first: it is the same as all descendants
 * a, but where a predicate speaks of the place among the children. */
static bool fuses(const struct xpath_step *s)
{
    bool plain = s->axis == XPATH_CHILD;
    for (const struct xpath_predicate *i = s->predicates; i; i = i->next)
        plain &= !i->says_place && !i->says_last;
    return plain;
}

static bool starts_step(struct parser *p)
{
    int c = peek(p);
    return c == '.' || c == '@' || c == '*' || starts_name(c);
}

/* Steps behind what is there; `gap` is the slash in front of them: 0, 1 or 2 of it. */
static enum dz_code steps(struct parser *p, struct xpath_expr *path, int gap)
{
    struct xpath_step **end = &path->steps;
    for (;;) {
        struct xpath_step *s;
        DZ_TRY(step(p, path, &s));
        if (gap == 2 && fuses(s)) {
            s->axis = XPATH_DESCENDANT;
        } else if (gap == 2) {
            *end = everything(p);
            end = &(*end)->next;
        }
        *end = s;
        end = &s->next;
        gap = accept(p, "//") ? 2 : accept(p, "/") ? 1 : 0;
        if (gap == 0)
            return DZ_OK;
    }
}

/* ---- what stands alone ----------------------------------------------------------------------- */

/* clang-format off */
static const struct {
    const char *name;
    unsigned least, most;
    enum xpath_type type;
    bool takes_set; /* its one argument */
} functions[] = {
    [XPATH_FN_BOOLEAN]          = {"boolean",          1, 1, XPATH_BOOL,   false},
    [XPATH_FN_CEILING]          = {"ceiling",          1, 1, XPATH_REAL, false},
    [XPATH_FN_CONCAT]           = {"concat",           2, DZ_SELECTOR_MAX, XPATH_TEXT, false},
    [XPATH_FN_CONTAINS]         = {"contains",         2, 2, XPATH_BOOL,   false},
    [XPATH_FN_COUNT]            = {"count",            1, 1, XPATH_REAL, true},
    [XPATH_FN_FALSE]            = {"false",            0, 0, XPATH_BOOL,   false},
    [XPATH_FN_FLOOR]            = {"floor",            1, 1, XPATH_REAL, false},
    [XPATH_FN_ID]               = {"id",               1, 1, XPATH_SET,    false},
    [XPATH_FN_LANG]             = {"lang",             1, 1, XPATH_BOOL,   false},
    [XPATH_FN_LAST]             = {"last",             0, 0, XPATH_REAL, false},
    [XPATH_FN_LOCAL_NAME]       = {"local-name",       0, 1, XPATH_TEXT,   true},
    [XPATH_FN_NAME]             = {"name",             0, 1, XPATH_TEXT,   true},
    [XPATH_FN_NAMESPACE_URI]    = {"namespace-uri",    0, 1, XPATH_TEXT,   true},
    [XPATH_FN_NORMALIZE_SPACE]  = {"normalize-space",  0, 1, XPATH_TEXT,   false},
    [XPATH_FN_NOT]              = {"not",              1, 1, XPATH_BOOL,   false},
    [XPATH_FN_NUMBER]           = {"number",           0, 1, XPATH_REAL, false},
    [XPATH_FN_POSITION]         = {"position",         0, 0, XPATH_REAL, false},
    [XPATH_FN_ROUND]            = {"round",            1, 1, XPATH_REAL, false},
    [XPATH_FN_STARTS_WITH]      = {"starts-with",      2, 2, XPATH_BOOL,   false},
    [XPATH_FN_STRING]           = {"string",           0, 1, XPATH_TEXT,   false},
    [XPATH_FN_STRING_LENGTH]    = {"string-length",    0, 1, XPATH_REAL, false},
    [XPATH_FN_SUBSTRING]        = {"substring",        2, 3, XPATH_TEXT,   false},
    [XPATH_FN_SUBSTRING_AFTER]  = {"substring-after",  2, 2, XPATH_TEXT,   false},
    [XPATH_FN_SUBSTRING_BEFORE] = {"substring-before", 2, 2, XPATH_TEXT,   false},
    [XPATH_FN_SUM]              = {"sum",              1, 1, XPATH_REAL, true},
    [XPATH_FN_TRANSLATE]        = {"translate",        3, 3, XPATH_TEXT,   false},
    [XPATH_FN_TRUE]             = {"true",             0, 0, XPATH_BOOL,   false},
};
/* clang-format on */

static enum dz_code call(struct parser *p, dz_str word, struct xpath_expr **ret)
{
    unsigned which = 0, n = 0;
    while (which < DZ_LEN(functions) && !dz_str_eq(word, dz_str_of(functions[which].name)))
        which++;
    if (which == DZ_LEN(functions))
        return wrong(p, "an unknown function stands");
    struct xpath_expr *e = node(p, XPATH_IS_CALL, functions[which].type), **end = &e->operands;
    e->function = (enum xpath_function)which;
    p->asks_place |= which == XPATH_FN_POSITION;
    p->asks_last |= which == XPATH_FN_LAST;
    if (!accept(p, "("))
        return wrong(p, "a ( is missing");
    while (peek(p) != ')') {
        if (n > 0 && !accept(p, ","))
            return wrong(p, "a ) is missing");
        DZ_TRY(binary(p, 0, end));
        DZ_TRY(deepen(p, e, *end));
        if (functions[which].takes_set && (*end)->type != XPATH_SET)
            return wrong(p, "a function that takes nodes is given something else");
        end = &(*end)->next;
        n++;
    }
    p->c.at++;
    if (n < functions[which].least || n > functions[which].most)
        return wrong(p, "a function has a wrong number of arguments");
    *ret = e;
    return DZ_OK;
}

static enum dz_code number(struct parser *p, struct xpath_expr **ret)
{
    size_t from = p->c.at;
    while (is_digit(peek_at(p, 0)))
        p->c.at++;
    if (peek_at(p, 0) == '.')
        p->c.at++;
    while (is_digit(peek_at(p, 0)))
        p->c.at++;
    *ret = node(p, XPATH_IS_NUMBER, XPATH_REAL);
    (*ret)->number = strtod(dz_arena_dup(p->a, dz_str_sub(p->c.s, from, p->c.at)), NULL);
    return DZ_OK;
}

/* A name and a "(" that no test of nodes begins with. */
static bool at_call(struct parser *p)
{
    size_t at = p->c.at;
    enum xpath_test test;
    dz_str word = name(p);
    bool is = word.n > 0 && peek(p) == '(' && !find_test(word, &test);
    p->c.at = at;
    return is;
}

/* NULL: a path stands here. */
static enum dz_code primary(struct parser *p, struct xpath_expr **ret)
{
    int c = peek(p);
    *ret = NULL;
    if (accept(p, "(")) {
        DZ_TRY(binary(p, 0, ret));
        return accept(p, ")") ? DZ_OK : wrong(p, "a ) is missing");
    }
    if (c == '"' || c == '\'') {
        *ret = node(p, XPATH_IS_TEXT, XPATH_TEXT);
        return literal(p, &(*ret)->text);
    }
    if (is_digit(c) || (c == '.' && is_digit(peek_at(p, 1))))
        return number(p, ret);
    if (accept(p, "$")) {
        if (!p->scoped || !dz_str_eq(name(p), DZ_S("scope")))
            return wrong(p, "there are no variables, but one stands");
        *ret = node(p, XPATH_IS_SCOPE, XPATH_SET);
        return DZ_OK;
    }
    return at_call(p) ? call(p, name(p), ret) : DZ_OK;
}

static enum dz_code path(struct parser *p, struct xpath_expr **ret)
{
    struct xpath_expr *from;
    DZ_TRY(primary(p, &from));
    int gap = 0;
    if (from && peek(p) != '[' && peek(p) != '/') {
        *ret = from;
        return DZ_OK;
    }
    if (from && from->type != XPATH_SET)
        return wrong(p, "what is no set of nodes has a [ or a / behind it");
    struct xpath_expr *e = node(p, XPATH_IS_PATH, XPATH_SET);
    *ret = e;
    if (from) {
        e->from = from;
        DZ_TRY(deepen(p, e, from));
        DZ_TRY(predicates(p, e, &e->predicates));
        gap = accept(p, "//") ? 2 : accept(p, "/") ? 1 : 0;
        return gap > 0 ? steps(p, e, gap) : DZ_OK;
    }
    gap = accept(p, "//") ? 2 : accept(p, "/") ? 1 : 0;
    e->absolute = gap > 0;
    if (gap == 1 && !starts_step(p))
        return DZ_OK;
    return starts_step(p) ? steps(p, e, gap) : wrong(p, "something is missing");
}

/* ---- operators ------------------------------------------------------------------------------- */

/* Of two operands; the first that fits is meant, so longer ones come first. */
static const struct {
    const char *text;
    enum xpath_kind kind;
    enum xpath_type type;
    int level;
} operators[] = {
    {"or", XPATH_OR, XPATH_BOOL, 1},   {"and", XPATH_AND, XPATH_BOOL, 2},
    {"=", XPATH_EQ, XPATH_BOOL, 3},    {"!=", XPATH_NE, XPATH_BOOL, 3},
    {"<=", XPATH_LE, XPATH_BOOL, 4},   {"<", XPATH_LT, XPATH_BOOL, 4},
    {">=", XPATH_GE, XPATH_BOOL, 4},   {">", XPATH_GT, XPATH_BOOL, 4},
    {"+", XPATH_ADD, XPATH_REAL, 5},   {"-", XPATH_SUB, XPATH_REAL, 5},
    {"*", XPATH_MUL, XPATH_REAL, 6},   {"div", XPATH_DIV, XPATH_REAL, 6},
    {"mod", XPATH_MOD, XPATH_REAL, 6}, {"|", XPATH_UNION, XPATH_SET, 8},
};

/* Where an operator may stand; false: none does. */
static bool operator_ahead(struct parser *p, size_t *ret_which)
{
    (void)peek(p);
    dz_str word = name_ahead(p), rest = dz_str_sub(p->c.s, p->c.at, p->c.s.n);
    for (size_t i = 0; i < DZ_LEN(operators); i++) {
        dz_str text = dz_str_of(operators[i].text);
        if (word.n > 0 ? dz_str_eq(word, text) : dz_str_starts(rest, text)) {
            *ret_which = i;
            return true;
        }
    }
    return false;
}

/* - of any number: an odd one turns the sign, an even one makes a number. */
static enum dz_code unary(struct parser *p, struct xpath_expr **ret)
{
    unsigned signs = 0;
    while (accept(p, "-"))
        signs++;
    if (signs == 0)
        return path(p, ret);
    struct xpath_expr *e = node(p, XPATH_NEGATE, XPATH_REAL);
    DZ_TRY(binary(p, 7, &e->operands));
    DZ_TRY(deepen(p, e, e->operands));
    if (signs % 2 == 0) {
        struct xpath_expr *twice = node(p, XPATH_NEGATE, XPATH_REAL);
        twice->operands = e;
        DZ_TRY(deepen(p, twice, e));
        e = twice;
    }
    *ret = e;
    return DZ_OK;
}

static enum dz_code operand(struct parser *p, struct xpath_expr *e, enum xpath_kind kind,
                            struct xpath_expr *one)
{
    if (kind == XPATH_UNION && one->type != XPATH_SET)
        return wrong(p, "what is no set of nodes has a | beside it");
    struct xpath_expr **end = &e->operands;
    while (*end)
        end = &(*end)->next;
    *end = one;
    return deepen(p, e, one);
}

static enum dz_code operation(struct parser *p, int level, struct xpath_expr **ret)
{
    struct xpath_expr *left = NULL, *right = NULL;
    DZ_TRY(unary(p, &left));
    size_t which;
    while (operator_ahead(p, &which) && operators[which].level >= level) {
        enum xpath_kind kind = operators[which].kind;
        p->c.at += strlen(operators[which].text);
        DZ_TRY(binary(p, operators[which].level + 1, &right));
        bool joins = kind == XPATH_OR || kind == XPATH_AND || kind == XPATH_UNION;
        if (!joins || left->kind != kind) {
            struct xpath_expr *e = node(p, kind, operators[which].type);
            DZ_TRY(operand(p, e, kind, left));
            left = e;
        }
        DZ_TRY(operand(p, left, kind, right));
    }
    *ret = left;
    return DZ_OK;
}

/* Operators of that level and above, from the left. */
static enum dz_code binary(struct parser *p, int level, struct xpath_expr **ret)
{
    if (++p->depth > XPATH_DEPTH_MAX)
        return wrong(p, "too many levels");
    DZ_TRY(operation(p, level, ret));
    p->depth--;
    return DZ_OK;
}

enum dz_code xpath_parse(dz_str text, const xmlDoc *doc, bool scoped, struct dz_arena *a,
                         struct xpath_expr **ret_e, struct dz_err *err)
{
    struct parser p = {.doc = doc, .scoped = scoped, .a = a, .err = err};
    dz_cursor_init(&p.c, text);
    struct xpath_expr *e;
    DZ_TRY(binary(&p, 0, &e));
    if (peek(&p) >= 0)
        return wrong(&p, "nothing that belongs to an expression stands");
    *ret_e = e;
    return DZ_OK;
}
