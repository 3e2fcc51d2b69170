/*
 * graphql_int: the inside of the graphql room: the document's tree, the schema's structs, and what
 * the files call of each other.
 *
 * The tree lives in the document's arena and is written by the parser and by validation only; the
 * schema's structs are written by the builder and dz_gql_schema_finish only. After that any number
 * of threads read them.
 */
#pragma once

#include "graphql/graphql.h"

#define GQL_NAME_BYTES_MAX 256u
#define GQL_NAME_SHOWN 80u    /* bytes of a client's name in a message */
#define GQL_TYPE_DEPTH_MAX 8u /* lists and non-nulls around a named type */
#define GQL_SCHEMA_BYTES_MAX (64 * DZ_MIB)
#define GQL_SUGGESTIONS_MAX 5u /* errors of a document that try to guess what was meant */

/* For "%.*s": a name from outside, cut. Names are ASCII. */
#define GQL_N(s) (int)((s).n < GQL_NAME_SHOWN ? (s).n : GQL_NAME_SHOWN), (s).p

/* ---- errors.c ---------------------------------------------------------------------------------
 */

struct gql_step { /* of a path, from the inside out */
    const struct gql_step *parent;
    dz_str key; /* p is NULL: index */
    uint32_t index;
};
struct dz_gql_error {
    struct dz_gql_error *next;
    enum dz_code code;
    dz_str message;
    uint32_t locs_n;
    const struct dz_gql_loc *locs;
    bool has_path;
    const struct gql_step *path;
};
/* The next error, with its message; NULL when the list is full. */
struct dz_gql_error *gql_errors_new(struct dz_gql_errors *e, enum dz_code code, const char *fmt,
                                    ...) DZ_PRINTF(3, 4);
/* Appends all of `from`, which is empty then. */
void gql_errors_move(struct dz_gql_errors *from, struct dz_gql_errors *to);
void gql_error_at(struct dz_gql_errors *e, struct dz_gql_error *error, struct dz_gql_loc loc);
/* The list as JSON, [ to ]; depth is how deep it lies, for pretty. */
void gql_errors_put(const struct dz_gql_errors *e, struct dz_gql_style style, unsigned depth,
                    struct dz_buf *out);

/* In pretty answers a line break and the blanks of that depth. */
static inline void gql_put_line(struct dz_buf *out, bool pretty, unsigned depth)
{
    if (!pretty)
        return;
    dz_buf_putc(out, '\n');
    for (unsigned i = 0; i < depth; i++)
        dz_buf_put(out, DZ_S("  "));
}

/* ---- document: parser.c makes it, validate.c and its siblings fill in the marked members --------
 */

struct gql_value {
    enum dz_gql_kind kind; /* never ABSENT */
    struct dz_gql_loc loc;
    dz_str text; /* digits as written, decoded string, name of enum or variable */
    bool b;
    uint32_t n;
    union {
        struct gql_value *items;
        struct gql_arg *members;
    };
    struct gql_value *next; /* in a list */
};
struct gql_arg { /* an argument, or a member of an input object */
    dz_str name;
    struct dz_gql_loc loc;
    struct gql_value *value;
    struct gql_arg *next;
};
struct gql_directive_use {
    dz_str name;
    struct dz_gql_loc loc;
    struct gql_arg *args;
    struct gql_directive_use *next;
};
enum gql_wrap { GQL_NAMED, GQL_LIST_OF, GQL_NON_NULL };
struct gql_type_use {
    enum gql_wrap wrap;
    struct dz_gql_loc loc;
    dz_str name;
    struct gql_type_use *of;
};
struct gql_variable {
    dz_str name;
    struct dz_gql_loc loc;
    struct gql_type_use *type;
    struct gql_value *fallback;
    struct gql_directive_use *directives;
    const struct gql_ref *ref; /* validation: its type in the schema */
    uint32_t index;            /* among the operation's */
    bool used;                 /* validation, while it looks at one operation */
    struct gql_variable *next;
};
enum gql_selection_kind { GQL_FIELD, GQL_SPREAD, GQL_INLINE };
struct gql_selection {
    enum gql_selection_kind kind;
    struct dz_gql_loc loc;
    uint32_t call; /* of a field: its number among those with arguments */
    dz_str name;   /* field, or fragment of a spread */
    struct gql_directive_use *directives;
    struct gql_selection *set; /* NULL: none */
    struct gql_selection *next;
    const struct dz_gql_type *parent, *on_type; /* validation */
    /* There can be ten thousand of these. */
    union {
        struct {          /* GQL_FIELD */
            dz_str alias; /* n is 0: none */
            struct gql_arg *args;
            const struct dz_gql_field *def; /* validation */
        };
        struct { /* GQL_SPREAD */
            struct gql_selection *next_spread;
            struct gql_definition *fragment; /* validation */
        };
        struct {       /* GQL_INLINE */
            dz_str on; /* n is 0: none */
            struct dz_gql_loc on_loc;
        };
    };
};
struct gql_usage { /* of a variable */
    dz_str name;
    struct dz_gql_loc loc;
    const struct gql_ref *ref; /* what is expected there; NULL: unknown */
    bool has_default;          /* of the place */
    struct gql_usage *next;
};
struct gql_definition { /* an operation or a fragment */
    bool is_fragment;
    uint32_t index; /* of a fragment, among fragments */
    enum dz_gql_operation operation;
    dz_str name;
    struct dz_gql_loc loc, name_loc;
    dz_str on;
    struct dz_gql_loc on_loc;
    struct gql_variable *variables;
    uint32_t variables_n;
    struct gql_directive_use *directives;
    struct gql_selection *set;
    struct gql_selection *spreads; /* all in it, by next_spread */
    struct gql_definition *next;
    /* validation: */
    const struct dz_gql_type *type; /* of the root, or of the type condition */
    struct gql_usage *usages;
    uint32_t fields, depth, introspection; /* with fragments followed */
    uint8_t visit;                         /* 0 not yet, 1 being, 2 done */
    uint32_t seen_by;                      /* number of the last walk that came here */
    bool spread;                           /* by anything that an operation reaches */
    struct gql_definition *from;           /* while fragments are followed: where it was left */
    struct gql_selection *at;              /* … and which spread comes next there */
};
struct dz_gql_doc {
    atomic_uint refs;
    struct dz_arena *arena;
    struct dz_gql_schema *schema;
    dz_str text;
    struct gql_definition *operations, *fragments;
    uint32_t operations_n, fragments_n, calls_n;
    struct dz_map fragment_names;
};

/* ---- lexer.c ----------------------------------------------------------------------------------
 */

enum gql_token_kind {
    GQL_T_END,
    GQL_T_BANG,
    GQL_T_DOLLAR,
    GQL_T_AMP,
    GQL_T_PAREN_L,
    GQL_T_PAREN_R,
    GQL_T_SPREAD,
    GQL_T_COLON,
    GQL_T_EQUALS,
    GQL_T_AT,
    GQL_T_BRACKET_L,
    GQL_T_BRACKET_R,
    GQL_T_BRACE_L,
    GQL_T_PIPE,
    GQL_T_BRACE_R,
    GQL_T_NAME,
    GQL_T_INT,
    GQL_T_FLOAT,
    GQL_T_STRING,
    GQL_T_BLOCK_STRING,
};
struct gql_token {
    enum gql_token_kind kind;
    bool escaped; /* a string with a backslash in it */
    struct dz_gql_loc loc;
    dz_str text; /* strings: between the quotes */
};
struct gql_lexer {
    dz_str s;
    size_t at, line_at; /* line_at: where the line begins */
    size_t hidden;      /* bytes of the line that begin no character */
    uint32_t line;
    uint32_t tokens, tokens_max;
    struct dz_gql_errors *errors;
    struct gql_token token; /* the current one */
};
/* The text is UTF-8. False: errors has the reason. */
bool gql_lexer_init(struct gql_lexer *l, dz_str s, uint32_t tokens_max,
                    struct dz_gql_errors *errors);
bool gql_lexer_next(struct gql_lexer *l);
const char *gql_token_name(enum gql_token_kind kind);
/* What a string token says. False: a bad escape, told. */
bool gql_string_decode(struct gql_lexer *l, struct dz_arena *a, dz_str *ret_s);

/* ---- parser.c ---------------------------------------------------------------------------------
 */

/* Fills operations and fragments of d from d->text. */
DZ_MUST enum dz_code gql_parse(struct dz_gql_doc *d, const struct dz_gql_limits *limits,
                               struct dz_gql_errors *errors);
/* One constant value, for defaults; NULL with an error. */
struct gql_value *gql_parse_const(struct dz_arena *a, dz_str text, struct dz_gql_errors *errors);
struct gql_type_use *gql_parse_type(struct dz_arena *a, dz_str text, struct dz_gql_errors *errors);

/* ---- schema: schema.c builds, check.c completes ------------------------------------------------
 */

enum gql_type_kind { /* in the order of __TypeKind */
                     GQL_SCALAR,
                     GQL_OBJECT,
                     GQL_INTERFACE,
                     GQL_UNION,
                     GQL_ENUM,
                     GQL_INPUT,
};
enum gql_scalar { GQL_CUSTOM, GQL_INT, GQL_FLOAT, GQL_STRING, GQL_BOOLEAN, GQL_ID };

struct gql_ref { /* how a type is used */
    enum gql_wrap wrap;
    const struct gql_ref *of;       /* NULL for GQL_NAMED */
    const struct dz_gql_type *type; /* the named one below all wrapping */
};
struct gql_name { /* of an interface or a member of a union */
    dz_str name;
    struct dz_gql_type *type;
    struct gql_name *next;
};
struct dz_gql_input {
    dz_str name, description, deprecated; /* p is NULL: none */
    struct gql_type_use *use;
    const struct gql_ref *ref;
    dz_str default_text;
    struct dz_gql_value fallback; /* ABSENT: none */
    uint32_t index;
    struct dz_gql_schema *schema;
    struct dz_gql_input *next;
};
struct gql_inputs {
    struct dz_gql_input *first, **last;
    uint32_t n;
};
struct dz_gql_field {
    dz_str name, description, deprecated;
    struct gql_type_use *use;
    const struct gql_ref *ref;
    struct gql_inputs args;
    dz_gql_resolve_fn resolve;
    dz_gql_prepare_fn prepare;
    void *data;
    struct dz_gql_type *parent;
    struct dz_gql_field *next;
};
struct dz_gql_choice {
    dz_str name, description, deprecated;
    int64_t value;
    struct dz_gql_schema *schema;
    struct dz_gql_choice *next;
};
struct dz_gql_type {
    enum gql_type_kind kind;
    enum gql_scalar scalar;
    bool built_in; /* every schema has it */
    uint32_t index;
    dz_str name, description, specified_by;
    dz_gql_scalar_fn parse;
    struct dz_gql_field *fields, **last_field;
    struct gql_name *interfaces, **last_interface;
    struct gql_name *members, **last_member; /* of a union; of an interface: who implements it */
    struct dz_gql_choice *choices, **last_choice;
    struct gql_inputs inputs;
    struct dz_map names;      /* of fields, inputs or choices */
    const uint64_t *possible; /* a bit for each object type; an object is its own only one */
    uint8_t visit;            /* while input types are checked for cycles */
    struct gql_ref ref;       /* itself, as it is */
    struct dz_gql_schema *schema;
    struct dz_gql_type *next;
};
struct dz_gql_directive {
    dz_str name, description;
    unsigned places;
    bool repeatable, built_in;
    struct gql_inputs args;
    struct dz_gql_schema *schema;
    struct dz_gql_directive *next;
};
struct dz_gql_schema {
    atomic_uint refs;
    struct dz_arena *arena;
    dz_str description;
    struct dz_gql_type *types, **last_type;
    uint32_t types_n;
    struct dz_gql_directive *directives, **last_directive;
    struct dz_map type_names, directive_names;
    dz_str root_names[3]; /* by enum dz_gql_operation; p is NULL: not said */
    struct dz_gql_type *roots[3];
    struct dz_gql_type *introspection;   /* the type whose fields are __schema and __type */
    struct dz_gql_field *typename_field; /* __typename, of every object */
    bool old_directive_fields;
    bool internal; /* names may begin with __ */
    bool bad;      /* err is set */
    struct dz_err err;
};
struct dz_gql_builder {
    struct dz_gql_schema *schema;
};

/* Remembers the first thing that is wrong with a schema. */
void gql_schema_bad(struct dz_gql_schema *s, const char *fmt, ...) DZ_PRINTF(2, 3);
struct dz_gql_type *gql_schema_find(const struct dz_gql_schema *s, dz_str name);
struct dz_gql_directive *gql_directive_find(const struct dz_gql_schema *s, dz_str name);
/* An argument of that name; NULL when there is none. */
struct dz_gql_input *gql_input_find(const struct gql_inputs *inputs, dz_str name);
/* A use of a type in a document or a definition → in the schema; NULL when there is no such type.
 */
const struct gql_ref *gql_ref_of(struct dz_arena *a, const struct dz_gql_schema *s,
                                 const struct gql_type_use *use);
/* As the language writes it, "[Int!]". */
void gql_put_ref(struct dz_buf *out, const struct gql_ref *ref);
/* The same in an arena. */
dz_str gql_ref_text(struct dz_arena *a, const struct gql_ref *ref);
static inline const struct gql_ref *gql_nullable(const struct gql_ref *ref)
{
    return ref->wrap == GQL_NON_NULL ? ref->of : ref;
}
static inline bool gql_is_composite(const struct dz_gql_type *t)
{
    return t->kind == GQL_OBJECT || t->kind == GQL_INTERFACE || t->kind == GQL_UNION;
}
static inline bool gql_is_abstract(const struct dz_gql_type *t)
{
    return t->kind == GQL_INTERFACE || t->kind == GQL_UNION;
}
static inline bool gql_is_input(const struct dz_gql_type *t)
{
    return !gql_is_composite(t);
}
static inline bool gql_is_required(const struct dz_gql_input *i)
{
    return i->ref->wrap == GQL_NON_NULL && i->fallback.kind == DZ_GQL_ABSENT;
}
static inline bool gql_can_be(const struct dz_gql_type *t, const struct dz_gql_type *object)
{
    return t->possible[object->index / 64] >> object->index % 64 & 1;
}
bool gql_ref_eq(const struct gql_ref *a, const struct gql_ref *b);
/* Whether every value of type `a` can stand where `b` is expected. */
bool gql_ref_covers(const struct gql_ref *b, const struct gql_ref *a);
/* The field of a type, with __typename, and __schema and __type where it is the query root. */
struct dz_gql_field *gql_field_find(const struct dz_gql_schema *s, const struct dz_gql_type *t,
                                    dz_str name);
/* Text as a string of the language. */
void gql_put_string(struct dz_buf *out, dz_str s);

/* introspect.c: the types of section 4; called once by dz_gql_schema_finish. */
void gql_add_introspection(struct dz_gql_builder *b);
#define GQL_PLACES 19u
#define GQL_REQUEST_PLACES 8u                         /* those that are no part of a schema */
extern const char *const gql_place_names[GQL_PLACES]; /* by bit of enum dz_gql_place */

/* ---- value.c: what goes in --------------------------------------------------------------------
 */

/* Of an object; NULL when it has no such member. */
const struct dz_gql_value *gql_member(const struct dz_gql_value *v, dz_str name);
/* A value as the language writes it. */
void gql_put_value(struct dz_buf *out, const struct dz_gql_value *v);
/* The same for messages, cut. */
dz_str gql_value_shown(const struct dz_gql_value *v, char dst[96]);
/* A literal without regard to a type; variables by name from a map of struct dz_gql_value *, null
 * where it has none, and as they are where variables is NULL. */
void gql_plain(struct dz_arena *a, const struct gql_value *v, const struct dz_map *variables,
               struct dz_gql_value *ret_v);
bool gql_has_variable(const struct gql_value *v);
/* A scalar or an enum from a value that is not null. literal: from the text of a document. */
DZ_MUST enum dz_code gql_leaf_in(struct dz_arena *a, const struct dz_gql_type *t,
                                 const struct dz_gql_value *in, bool literal, unsigned lenient,
                                 struct dz_gql_value *ret_v, struct dz_err *err);
/* A literal coerced to a type (section 6.4.1); a variable that is not there makes ABSENT, or null
 * inside a list. */
DZ_MUST enum dz_code gql_literal_in(struct dz_arena *a, const struct gql_value *v,
                                    const struct gql_ref *ref, const struct dz_map *variables,
                                    struct dz_gql_value *ret_v, struct dz_err *err);

/* ---- validate.c and its rules ------------------------------------------------------------------
 */

struct gql_check {
    struct dz_gql_doc *doc;
    const struct dz_gql_schema *schema;
    const struct dz_gql_limits *limits;
    struct dz_gql_errors *errors;
    struct dz_arena *arena;            /* the document's */
    struct dz_arena *scratch;          /* gone with the check */
    struct gql_definition *definition; /* being walked */
    bool cyclic;                       /* fragments spread themselves */
    uint32_t walks;                    /* numbers for seen_by */
    uint32_t work, work_max; /* steps of the rules that could take more than the text is long */
    uint32_t suggestions;
};
/* Nothing more would be told. */
static inline bool gql_check_over(const struct gql_check *c)
{
    return c->errors->dropped > 0;
}
/* An error with one place. */
#define gql_complain(c, where, ...)                                                                \
    gql_error_at((c)->errors, gql_errors_new((c)->errors, DZ_BAD_INPUT, __VA_ARGS__), (where))
/* One more step that looks at `bytes` of text; false, with an error, when work is used up. */
bool gql_check_work(struct gql_check *c, size_t bytes);
static inline dz_str gql_response_key(const struct gql_selection *s)
{
    return s->alias.n ? s->alias : s->name;
}

/* rules_values.c */
void gql_check_args(struct gql_check *c, const struct gql_inputs *inputs, struct gql_arg *args,
                    dz_str owner, dz_str field, struct dz_gql_loc loc);
void gql_check_value(struct gql_check *c, const struct gql_value *v, const struct gql_ref *ref,
                     bool has_default);
/* rules_directives.c */
void gql_check_directives(struct gql_check *c, struct gql_directive_use *d,
                          enum dz_gql_place place);
/* rules_variables.c */
void gql_check_variable_definitions(struct gql_check *c, struct gql_definition *operation);
void gql_check_variable_usages(struct gql_check *c, struct gql_definition *operation);
/* rules_fragments.c */
void gql_check_fragment_names(struct gql_check *c);
void gql_check_fragment_types(struct gql_check *c);
void gql_check_fragment_cycles(struct gql_check *c); /* and measures fragments */
void gql_check_fragments_used(struct gql_check *c);
void gql_check_spread(struct gql_check *c, struct gql_selection *s,
                      const struct dz_gql_type *parent);
void gql_check_inline(struct gql_check *c, struct gql_selection *s,
                      const struct dz_gql_type *parent);
void gql_measure(struct gql_definition *d);
/* overlap.c: section 5.3.2; only for a document without other errors. */
void gql_check_overlap(struct gql_check *c, const struct gql_definition *operation);

/* ---- execution: coerce.c, plan.c, leaf.c, exec.c -----------------------------------------------
 */

/* What an object of one type is asked for: the fields of all selections that apply, in order. Made
 * when the first such object comes, kept for all others. */
struct gql_plan {
    const struct dz_gql_type *type;
    struct gql_plan_field *fields;
    uint32_t n;
    bool prepares;               /* at least one field wants to be prepared */
    const struct gql_value *bad; /* a condition that is null: there is no such object then */
    struct gql_plan *next;
};
struct dz_gql_asked {
    const struct dz_gql_exec *exec;
    const struct dz_gql_field *def;
    struct gql_node *nodes;
};
struct gql_node { /* one of the places that ask for a field */
    const struct gql_selection *s;
    struct gql_node *next;
};
struct gql_args { /* of one place in the document, coerced once however often it is planned */
    const struct dz_gql_field *def;
    const struct dz_gql_value *values;
    const struct dz_err *bad; /* NULL: they are good */
    struct gql_args *next;    /* for the same field of another object type */
};
struct gql_plan_field {
    const struct dz_gql_field *def;
    dz_str key;
    dz_str lead; /* the key as it stands in the answer, with its colon */
    struct dz_gql_asked asked;
    struct gql_node **last_node;
    const struct gql_args *args;
    struct gql_plan *plans; /* of what it gives, by object type */
};
struct gql_frame {        /* an object or a list that has begun */
    bool is_list, strict; /* strict: it must not become null */
    size_t mark;          /* where it begins in the data */
    uint32_t at;          /* fields or items begun so far */
    /* object: */
    const struct gql_plan *plan;
    void *object;
    /* list: */
    struct dz_gql_rows rows;
    const struct gql_ref *item;
    struct gql_plan_field *field;
};
struct dz_gql_exec {
    struct dz_gql_doc *doc;
    const struct gql_definition *operation;
    struct dz_gql_run run;
    struct dz_arena *arena;
    struct dz_map variables; /* name → struct dz_gql_value *, where there is a value */
    struct dz_buf data;      /* {"data": and what follows, all but the last brace */
    struct dz_gql_errors errors;
    struct dz_json json; /* writes single values to data */
    struct gql_frame *frames;
    uint32_t frames_n, frames_cap;
    uint32_t *seen;          /* by fragment: the last walk that came there */
    struct gql_args **calls; /* by number of a field with arguments */
    uint32_t walks;
    uint32_t rows_left;
    size_t root_mark; /* where the value of "data" begins */
};

/* coerce.c: fills x->variables; DZ_BAD_INPUT with the reasons in errors (section 6.1.2). */
DZ_MUST enum dz_code gql_coerce_variables(struct dz_gql_exec *x, struct dz_gql_errors *errors);
/* plan.c */
struct gql_plan *gql_plan_root(struct dz_gql_exec *x);
struct gql_plan *gql_plan_below(struct dz_gql_exec *x, struct gql_plan_field *f,
                                const struct dz_gql_type *t);
/* leaf.c: writes a value that is not null as its type says (sections 3.5 and 3.9). What was written
 * before a failure is left to the caller. */
DZ_MUST enum dz_code gql_leaf_out(struct dz_json *j, const struct dz_gql_type *t,
                                  const struct dz_gql_out *o, struct dz_err *err);
