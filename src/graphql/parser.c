/*
 * parser: tokens → the tree of an executable document (section 2 of the specification).
 *
 * In: a document's text. Out: its operations and fragments, in its arena; names and plain strings
 * are slices of the text. One owner thread. Recursive, but never deeper than the limits say: a
 * selection, a value and a type have one each. The first error ends it. Definitions of types have
 * no place in a request and are refused by name.
 */
#include "graphql/graphql_int.h"

#define DEPTH_MAX 200u /* whatever the limits say: the C stack has to bear it */

struct parser {
    struct gql_lexer lexer;
    struct dz_arena *arena;
    uint32_t depth, depth_max; /* of selections */
    uint32_t value_depth;
    uint32_t aliases, aliases_max;
    uint32_t calls; /* fields with arguments */
    struct gql_selection **last_spread;
};

static bool fail(struct parser *p, const char *expected)
{
    const struct gql_token *t = &p->lexer.token;
    struct dz_gql_errors *errors = p->lexer.errors;
    const char *kind = gql_token_name(t->kind);
    struct dz_gql_error *error;
    if (t->kind >= GQL_T_NAME && t->kind < GQL_T_STRING)
        error = gql_errors_new(errors, DZ_BAD_INPUT, "Syntax Error: %s%s %s \"%.*s\".", expected,
                               *expected ? ", found" : "Unexpected", kind, GQL_N(t->text));
    else
        error = gql_errors_new(errors, DZ_BAD_INPUT, "Syntax Error: %s%s %s.", expected,
                               *expected ? ", found" : "Unexpected", kind);
    gql_error_at(errors, error, t->loc);
    return false;
}

static bool fail_limit(struct parser *p, const char *what, uint32_t max)
{
    struct dz_gql_errors *errors = p->lexer.errors;
    struct dz_gql_error *error =
        gql_errors_new(errors, DZ_TOO_LARGE, "Syntax Error: The document has %s %u.", what, max);
    gql_error_at(errors, error, p->lexer.token.loc);
    return false;
}

static bool at(const struct parser *p, enum gql_token_kind kind)
{
    return p->lexer.token.kind == kind;
}

static bool at_word(const struct parser *p, const char *word)
{
    return at(p, GQL_T_NAME) && dz_str_eq(p->lexer.token.text, dz_str_of(word));
}

static bool step(struct parser *p)
{
    return gql_lexer_next(&p->lexer);
}

static bool expect(struct parser *p, enum gql_token_kind kind)
{
    if (at(p, kind))
        return step(p);
    char words[32];
    snprintf(words, sizeof(words), "Expected %s", gql_token_name(kind));
    return fail(p, words);
}

static bool take_name(struct parser *p, dz_str *ret_name)
{
    if (!at(p, GQL_T_NAME))
        return fail(p, "Expected Name");
    *ret_name = p->lexer.token.text;
    return step(p);
}

#define NEW(p, T) ((T *)memset(dz_arena_alloc((p)->arena, sizeof(T)), 0, sizeof(T)))

/* ---- values and types -------------------------------------------------------------------------
 */

static bool take_value(struct parser *p, bool constant, struct gql_value **ret_v);

static bool take_members(struct parser *p, bool constant, enum gql_token_kind end,
                         struct gql_arg **last, uint32_t *ret_n)
{
    uint32_t n = 0;
    while (!at(p, end)) {
        struct gql_arg *a = NEW(p, struct gql_arg);
        a->loc = p->lexer.token.loc;
        if (!take_name(p, &a->name) || !expect(p, GQL_T_COLON) ||
            !take_value(p, constant, &a->value))
            return false;
        *last = a;
        last = &a->next;
        n++;
    }
    *ret_n = n;
    return step(p);
}

static bool take_list(struct parser *p, bool constant, struct gql_value *v)
{
    struct gql_value **last = &v->items;
    while (!at(p, GQL_T_BRACKET_R)) {
        if (!take_value(p, constant, last))
            return false;
        last = &(*last)->next;
        v->n++;
    }
    return step(p);
}

static bool take_nested(struct parser *p, bool constant, struct gql_value *v)
{
    if (p->value_depth == DZ_GQL_VALUE_DEPTH_MAX)
        return fail_limit(p, "values deeper than", DZ_GQL_VALUE_DEPTH_MAX);
    p->value_depth++;
    bool is_list = at(p, GQL_T_BRACKET_L);
    v->kind = is_list ? DZ_GQL_LIST : DZ_GQL_OBJECT;
    bool ok = step(p) && (is_list ? take_list(p, constant, v)
                                  : take_members(p, constant, GQL_T_BRACE_R, &v->members, &v->n));
    p->value_depth--;
    return ok;
}

static bool take_variable(struct parser *p, bool constant, struct gql_value *v)
{
    if (!step(p))
        return false;
    if (constant && at(p, GQL_T_NAME)) {
        struct dz_gql_errors *errors = p->lexer.errors;
        struct dz_gql_error *error = gql_errors_new(
            errors, DZ_BAD_INPUT, "Syntax Error: Unexpected variable \"$%.*s\" in constant value.",
            GQL_N(p->lexer.token.text));
        gql_error_at(errors, error, v->loc);
        return false;
    }
    v->kind = DZ_GQL_VARIABLE;
    return take_name(p, &v->text);
}

/* true, false, null, or the name of an enum's value. */
static bool take_word(struct parser *p, struct gql_value *v)
{
    dz_str word = p->lexer.token.text;
    v->text = word;
    v->b = dz_str_eq(word, DZ_S("true"));
    v->kind = v->b || dz_str_eq(word, DZ_S("false")) ? DZ_GQL_BOOL
              : dz_str_eq(word, DZ_S("null"))        ? DZ_GQL_NULL
                                                     : DZ_GQL_ENUM;
    return step(p);
}

static bool take_value(struct parser *p, bool constant, struct gql_value **ret_v)
{
    const struct gql_token *t = &p->lexer.token;
    struct gql_value *v = NEW(p, struct gql_value);
    v->loc = t->loc;
    *ret_v = v;
    switch (t->kind) {
    case GQL_T_DOLLAR:
        return take_variable(p, constant, v);
    case GQL_T_BRACKET_L:
    case GQL_T_BRACE_L:
        return take_nested(p, constant, v);
    case GQL_T_NAME:
        return take_word(p, v);
    case GQL_T_INT:
    case GQL_T_FLOAT:
        v->kind = t->kind == GQL_T_INT ? DZ_GQL_INT : DZ_GQL_FLOAT;
        v->text = t->text;
        return step(p);
    case GQL_T_STRING:
    case GQL_T_BLOCK_STRING:
        v->kind = DZ_GQL_STRING;
        return gql_string_decode(&p->lexer, p->arena, &v->text) && step(p);
    default:
        return fail(p, "");
    }
}

static bool take_type(struct parser *p, uint32_t depth, struct gql_type_use **ret_t)
{
    if (depth == GQL_TYPE_DEPTH_MAX)
        return fail_limit(p, "types deeper than", GQL_TYPE_DEPTH_MAX);
    struct gql_type_use *t = NEW(p, struct gql_type_use);
    t->loc = p->lexer.token.loc;
    if (at(p, GQL_T_BRACKET_L)) {
        t->wrap = GQL_LIST_OF;
        if (!step(p) || !take_type(p, depth + 1, &t->of) || !expect(p, GQL_T_BRACKET_R))
            return false;
    } else if (!take_name(p, &t->name)) {
        return false;
    }
    *ret_t = t;
    if (!at(p, GQL_T_BANG))
        return true;
    struct gql_type_use *strict = NEW(p, struct gql_type_use);
    *strict = (struct gql_type_use){.wrap = GQL_NON_NULL, .loc = t->loc, .of = t};
    *ret_t = strict;
    return step(p);
}

/* ---- selections -------------------------------------------------------------------------------
 */

static bool take_args(struct parser *p, bool constant, struct gql_arg **ret_args)
{
    if (!at(p, GQL_T_PAREN_L))
        return true;
    if (!step(p))
        return false;
    if (at(p, GQL_T_PAREN_R))
        return fail(p, "Expected Name");
    uint32_t n;
    return take_members(p, constant, GQL_T_PAREN_R, ret_args, &n);
}

static bool take_directives(struct parser *p, bool constant, struct gql_directive_use **last)
{
    while (at(p, GQL_T_AT)) {
        struct gql_directive_use *d = NEW(p, struct gql_directive_use);
        d->loc = p->lexer.token.loc;
        if (!step(p) || !take_name(p, &d->name) || !take_args(p, constant, &d->args))
            return false;
        *last = d;
        last = &d->next;
    }
    return true;
}

static bool take_set(struct parser *p, struct gql_selection **ret_set);

static bool take_field(struct parser *p, struct gql_selection *s)
{
    s->kind = GQL_FIELD;
    if (!take_name(p, &s->name))
        return false;
    if (at(p, GQL_T_COLON)) {
        if (++p->aliases > p->aliases_max)
            return fail_limit(p, "more aliases than", p->aliases_max);
        s->alias = s->name;
        if (!step(p) || !take_name(p, &s->name))
            return false;
    }
    if (at(p, GQL_T_PAREN_L))
        s->call = p->calls++;
    return take_args(p, false, &s->args) && take_directives(p, false, &s->directives) &&
           (!at(p, GQL_T_BRACE_L) || take_set(p, &s->set));
}

static bool take_fragment_use(struct parser *p, struct gql_selection *s)
{
    if (!step(p))
        return false;
    s->kind = GQL_INLINE;
    if (at(p, GQL_T_NAME) && !at_word(p, "on")) {
        s->kind = GQL_SPREAD;
        *p->last_spread = s;
        p->last_spread = &s->next_spread;
        return take_name(p, &s->name) && take_directives(p, false, &s->directives);
    }
    if (at_word(p, "on")) {
        if (!step(p))
            return false;
        s->on_loc = p->lexer.token.loc;
        if (!take_name(p, &s->on))
            return false;
    }
    return take_directives(p, false, &s->directives) && take_set(p, &s->set);
}

static bool take_set(struct parser *p, struct gql_selection **ret_set)
{
    if (p->depth == p->depth_max)
        return fail_limit(p, "selections deeper than", p->depth_max);
    if (!expect(p, GQL_T_BRACE_L))
        return false;
    if (at(p, GQL_T_BRACE_R))
        return fail(p, "Expected Name");
    uint32_t outer = p->depth;
    struct gql_selection **last = ret_set;
    do {
        struct gql_selection *s = NEW(p, struct gql_selection);
        s->loc = p->lexer.token.loc;
        p->depth = outer + 1; /* errors leave it as it is: nothing is read after them */
        if (!(at(p, GQL_T_SPREAD) ? take_fragment_use(p, s) : take_field(p, s)))
            return false;
        *last = s;
        last = &s->next;
    } while (!at(p, GQL_T_BRACE_R));
    p->depth = outer;
    return step(p);
}

/* ---- definitions ------------------------------------------------------------------------------
 */

static bool take_variables(struct parser *p, struct gql_definition *d)
{
    if (!at(p, GQL_T_PAREN_L))
        return true;
    if (!step(p))
        return false;
    struct gql_variable **last = &d->variables;
    do {
        struct gql_variable *v = NEW(p, struct gql_variable);
        v->loc = p->lexer.token.loc;
        v->index = d->variables_n++;
        if (!expect(p, GQL_T_DOLLAR) || !take_name(p, &v->name) || !expect(p, GQL_T_COLON) ||
            !take_type(p, 0, &v->type))
            return false;
        if (at(p, GQL_T_EQUALS) && (!step(p) || !take_value(p, true, &v->fallback)))
            return false;
        if (!take_directives(p, true, &v->directives))
            return false;
        *last = v;
        last = &v->next;
    } while (!at(p, GQL_T_PAREN_R));
    return step(p);
}

static bool take_operation(struct parser *p, struct gql_definition *d)
{
    if (at(p, GQL_T_BRACE_L))
        return take_set(p, &d->set);
    d->operation = at_word(p, "mutation")       ? DZ_GQL_MUTATION
                   : at_word(p, "subscription") ? DZ_GQL_SUBSCRIPTION
                                                : DZ_GQL_QUERY;
    if (!step(p))
        return false;
    d->name_loc = p->lexer.token.loc;
    if (at(p, GQL_T_NAME) && !take_name(p, &d->name))
        return false;
    return take_variables(p, d) && take_directives(p, false, &d->directives) &&
           take_set(p, &d->set);
}

static bool take_fragment(struct parser *p, struct gql_definition *d)
{
    d->is_fragment = true;
    if (!step(p))
        return false;
    d->name_loc = p->lexer.token.loc;
    if (at_word(p, "on"))
        return fail(p, "Expected the name of a fragment");
    if (!take_name(p, &d->name))
        return false;
    if (!at_word(p, "on"))
        return fail(p, "Expected \"on\"");
    if (!step(p))
        return false;
    d->on_loc = p->lexer.token.loc;
    return take_name(p, &d->on) && take_directives(p, false, &d->directives) &&
           take_set(p, &d->set);
}

/* Section 5.1.1: only operations and fragments can be executed. */
static bool refuse_definition(struct parser *p)
{
    static const char *const words[] = {"schema", "scalar", "type",      "interface", "union",
                                        "enum",   "input",  "directive", "extend"};
    bool known = at(p, GQL_T_STRING) || at(p, GQL_T_BLOCK_STRING);
    for (size_t i = 0; i < DZ_LEN(words); i++)
        known |= at_word(p, words[i]);
    if (!known)
        return fail(p, "");
    struct dz_gql_error *error =
        gql_errors_new(p->lexer.errors, DZ_BAD_INPUT,
                       "Definitions of the type system are not executable in a request.");
    gql_error_at(p->lexer.errors, error, p->lexer.token.loc);
    return false;
}

static bool take_definition(struct parser *p, struct dz_gql_doc *doc,
                            struct gql_definition **last[2])
{
    struct gql_definition *d = NEW(p, struct gql_definition);
    d->index = doc->fragments_n;
    d->loc = d->name_loc = p->lexer.token.loc;
    p->last_spread = &d->spreads;
    p->depth = 0;
    bool is_operation = at(p, GQL_T_BRACE_L) || at_word(p, "query") || at_word(p, "mutation") ||
                        at_word(p, "subscription");
    if (is_operation) {
        doc->operations_n++;
        if (!take_operation(p, d))
            return false;
    } else if (!(at_word(p, "fragment") ? take_fragment(p, d) : refuse_definition(p))) {
        return false;
    }
    doc->fragments_n += !is_operation;
    *last[!is_operation] = d;
    last[!is_operation] = &d->next;
    return true;
}

static bool start(struct parser *p, struct dz_arena *a, dz_str text, uint32_t tokens_max,
                  struct dz_gql_errors *errors)
{
    *p = (struct parser){.arena = a};
    return gql_lexer_init(&p->lexer, text, tokens_max, errors) && step(p);
}

enum dz_code gql_parse(struct dz_gql_doc *d, const struct dz_gql_limits *limits,
                       struct dz_gql_errors *errors)
{
    struct parser p;
    struct gql_definition **last[2] = {&d->operations, &d->fragments};
    bool ok = start(&p, d->arena, d->text, limits->tokens_max, errors);
    p.depth_max = limits->depth_max < DEPTH_MAX ? limits->depth_max : DEPTH_MAX;
    p.aliases_max = limits->aliases_max;
    if (ok) {
        do
            ok = take_definition(&p, d, last);
        while (ok && !at(&p, GQL_T_END));
    }
    d->calls_n = p.calls;
    return ok ? DZ_OK : errors->first ? errors->first->code : DZ_BAD_INPUT;
}

struct gql_value *gql_parse_const(struct dz_arena *a, dz_str text, struct dz_gql_errors *errors)
{
    struct parser p;
    struct gql_value *v;
    if (!start(&p, a, text, UINT32_MAX, errors) || !take_value(&p, true, &v))
        return NULL;
    if (at(&p, GQL_T_END))
        return v;
    fail(&p, "Expected <EOF>");
    return NULL;
}

struct gql_type_use *gql_parse_type(struct dz_arena *a, dz_str text, struct dz_gql_errors *errors)
{
    struct parser p;
    struct gql_type_use *t;
    if (!start(&p, a, text, UINT32_MAX, errors) || !take_type(&p, 0, &t))
        return NULL;
    if (at(&p, GQL_T_END))
        return t;
    fail(&p, "Expected <EOF>");
    return NULL;
}
