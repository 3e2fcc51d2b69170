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
    dz_str name;  /* field, or fragment of a spread */
    dz_str alias; /* n is 0: none */
    struct gql_arg *args;
    struct gql_directive_use *directives;
    struct gql_selection *set; /* NULL: none */
    dz_str on;                 /* inline fragment; n is 0: none */
    struct dz_gql_loc on_loc;
    struct gql_selection *next, *next_spread;
    /* validation: */
    const struct dz_gql_type *parent, *on_type;
    const struct dz_gql_field *def;
    struct gql_definition *fragment;
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
    uint32_t seen_by;                      /* number of the last operation that reached it */
    bool spread;                           /* by anything that an operation reaches */
};
struct dz_gql_doc {
    atomic_uint refs;
    struct dz_arena *arena;
    struct dz_gql_schema *schema;
    dz_str text;
    struct gql_definition *operations, *fragments;
    uint32_t operations_n;
    struct dz_map fragment_names;
    uint32_t fields_max; /* what prepare was given */
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
