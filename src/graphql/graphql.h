/*
 * graphql: the GraphQL language (specification of October 2021) over a schema value.
 *
 * A schema is built by code, checked once and never changed again. A document is text that was
 * parsed and validated against a schema; it too never changes and can be kept and run again with
 * other variables. An execution writes the answer straight into a buffer, a bounded number of rows
 * at a time. The room knows nothing of HTTP, of a catalog or of Lua; what a field is worth is said
 * by callbacks.
 *
 * Threads: schemas and documents are counted and may be shared. Builders, executions and error
 * lists have one owner at a time. Nothing here blocks but for what a callback does.
 * Limits: every number that a client chooses has one in struct dz_gql_limits.
 */
#pragma once

#include "base/base.h"

struct json_t; /* of jansson */

/* ---- errors as clients see them -------------------------------------------------------------- */

struct dz_gql_loc {
    uint32_t line, column; /* from 1; a column is a character */
};

struct dz_gql_error; /* message, locations, path, code */

/* A list of errors in the order in which they were found. Owns its texts. */
struct dz_gql_errors {
    struct dz_arena *arena;
    struct dz_gql_error *first, **last;
    uint32_t count, max; /* what comes after max is only counted in `dropped` */
    uint32_t dropped;
};

struct dz_gql_style {
    bool ascii;  /* everything above 0x7e as \uXXXX */
    bool pretty; /* two blanks a level and ": " */
    bool codes;  /* "extensions":{"code":"BAD_INPUT"} in each error */
};

void dz_gql_errors_init(struct dz_gql_errors *e, uint32_t max);
void dz_gql_errors_done(struct dz_gql_errors *e); /* also a DZ_AUTO handler */
/* An error without place. */
void dz_gql_errors_add(struct dz_gql_errors *e, enum dz_code code, const char *fmt, ...)
    DZ_PRINTF(3, 4);
/* The first message, for logs and tests; "" when there is none. */
dz_str dz_gql_errors_first(const struct dz_gql_errors *e);
/* Appends {"errors":[…]}: the answer to a request of which nothing was run. */
void dz_gql_errors_answer(const struct dz_gql_errors *e, struct dz_gql_style style,
                          struct dz_buf *out);

/* ---- values ---------------------------------------------------------------------------------- */

enum dz_gql_kind {
    DZ_GQL_ABSENT, /* an argument or a variable that was not given and has no default */
    DZ_GQL_NULL,
    DZ_GQL_BOOL,
    DZ_GQL_INT,
    DZ_GQL_FLOAT,
    DZ_GQL_STRING,
    DZ_GQL_ENUM, /* text is the name, i the value from the schema */
    DZ_GQL_LIST,
    DZ_GQL_OBJECT,
    DZ_GQL_VARIABLE, /* only inside documents */
};

/* What goes in: variables as they came, and arguments after coercion. Lives in somebody's arena. */
struct dz_gql_value {
    enum dz_gql_kind kind;
    uint32_t n; /* items or members */
    union {
        bool b;
        int64_t i;
        double f;
        const struct dz_gql_value *items;
        const struct dz_gql_member *members;
    };
    dz_str text; /* STRING, ENUM; an ID is a STRING, also when it was given as a number */
};
struct dz_gql_member {
    dz_str name;
    struct dz_gql_value value;
};
#define DZ_GQL_VALUE_DEPTH_MAX 32

/* A copy of JSON in the arena; DZ_TOO_LARGE when it is deeper than DZ_GQL_VALUE_DEPTH_MAX or does
 * not fit. j may be NULL: ABSENT. */
DZ_MUST enum dz_code dz_gql_value_from_json(struct dz_arena *a, const struct json_t *j,
                                            struct dz_gql_value *ret_v, struct dz_err *err);
/* NULL when v is no object or has no such member. */
const struct dz_gql_value *dz_gql_member(const struct dz_gql_value *v, const char *name);
/* Whether something was given: neither ABSENT nor NULL. */
static inline bool dz_gql_given(const struct dz_gql_value *v)
{
    return v && v->kind != DZ_GQL_ABSENT && v->kind != DZ_GQL_NULL;
}

/* ---- what resolvers give ----------------------------------------------------------------------
 */

struct dz_gql_type;   /* a named type of a schema */
struct dz_gql_field;  /* a field of an object or an interface */
struct dz_gql_input;  /* an argument, or a field of an input object */
struct dz_gql_choice; /* a value of an enum */
struct dz_gql_out;
struct dz_gql_asked; /* what a request selects below a field */

/* A list as rows are pulled from it. It lies in the execution; next() may use at and n as it
 * likes. */
struct dz_gql_rows {
    /* The next item into *ret, or dz_gql_end(ret). What an item points to must live until the next
     * call. A failure makes the whole list null, with an error that carries the item's index. */
    enum dz_code (*next)(struct dz_gql_rows *rows, struct dz_gql_out *ret, struct dz_err *err);
    /* May be NULL. Called once, whichever way the list ends. */
    void (*done)(struct dz_gql_rows *rows);
    void *state;
    size_t at, n;
};

enum dz_gql_out_kind {
    DZ_GQL_OUT_NULL,
    DZ_GQL_OUT_BOOL,
    DZ_GQL_OUT_INT,
    DZ_GQL_OUT_FLOAT,
    DZ_GQL_OUT_STRING,
    DZ_GQL_OUT_QUOTED,
    DZ_GQL_OUT_JSON,
    DZ_GQL_OUT_OBJECT,
    DZ_GQL_OUT_LIST,
    DZ_GQL_OUT_END,
};
struct dz_gql_out {
    enum dz_gql_out_kind kind;
    union {
        bool b;
        int64_t i;
        double f;
        dz_str s;
        struct {
            void *object;
            const struct dz_gql_type *type;
        };
        struct dz_gql_rows rows;
    };
};

/* Texts and objects are borrowed: until the resolver's answer is written, objects until the last of
 * their fields is. An enum is its value or its name. */
static inline void dz_gql_null(struct dz_gql_out *o)
{
    o->kind = DZ_GQL_OUT_NULL;
}
static inline void dz_gql_bool(struct dz_gql_out *o, bool b)
{
    o->kind = DZ_GQL_OUT_BOOL;
    o->b = b;
}
static inline void dz_gql_int(struct dz_gql_out *o, int64_t i)
{
    o->kind = DZ_GQL_OUT_INT;
    o->i = i;
}
static inline void dz_gql_float(struct dz_gql_out *o, double f)
{
    o->kind = DZ_GQL_OUT_FLOAT;
    o->f = f;
}
static inline void dz_gql_str(struct dz_gql_out *o, dz_str s)
{
    o->kind = DZ_GQL_OUT_STRING;
    o->s = s;
}
/* The same as a JSON string that was made before, in ASCII, copied into the answer as it is: for
 * String and ID. */
static inline void dz_gql_quoted(struct dz_gql_out *o, dz_str json)
{
    o->kind = DZ_GQL_OUT_QUOTED;
    o->s = json;
}
/* One JSON value, copied into the answer as it is: only for custom scalars. */
static inline void dz_gql_json(struct dz_gql_out *o, dz_str json)
{
    o->kind = DZ_GQL_OUT_JSON;
    o->s = json;
}
/* type: which object type it is; needed where the field is an interface or a union, else NULL. A
 * NULL object is an object without state, not null. */
static inline void dz_gql_object(struct dz_gql_out *o, void *object, const struct dz_gql_type *type)
{
    o->kind = DZ_GQL_OUT_OBJECT;
    o->object = object;
    o->type = type;
}
static inline void dz_gql_rows(struct dz_gql_out *o, struct dz_gql_rows rows)
{
    o->kind = DZ_GQL_OUT_LIST;
    o->rows = rows;
}
static inline void dz_gql_end(struct dz_gql_out *o)
{
    o->kind = DZ_GQL_OUT_END;
}

/* What a resolver is told. */
struct dz_gql_call {
    void *object;  /* of the parent; the execution's root for fields of the operation */
    void *context; /* of the execution */
    void *data;    /* of the field's definition */
    /* One for each argument of the definition, in its order, coerced; ABSENT where not given. The
     * same pointers for every row. */
    const struct dz_gql_value *args;
    struct dz_arena *arena; /* lives as long as the execution; not for something a row */
    const struct dz_gql_asked *asked;
};
/* By name; asserts that the field has it. */
const struct dz_gql_value *dz_gql_arg(const struct dz_gql_call *call, const char *name);
/* Whether the request asks this field for a sub-field, after @skip, @include and fragments, of
 * whatever type: "title", or deeper "edges.node.title". Not for something a row. */
bool dz_gql_asks(const struct dz_gql_call *call, const char *path);

/* Fills *ret. A failure is a field error with err's words; the field is null then. */
typedef enum dz_code (*dz_gql_resolve_fn)(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                          struct dz_err *err);
/* Called for every such field of an object before the first field of that object is resolved, in
 * order: what they ask for can be fetched in one go. */
typedef void (*dz_gql_prepare_fn)(const struct dz_gql_call *call);
/* A custom scalar going in: in is any value but a variable or null. Fills *ret_v (in itself will
 * do) from the arena, or says in err why not. */
typedef enum dz_code (*dz_gql_scalar_fn)(struct dz_arena *a, const struct dz_gql_value *in,
                                         struct dz_gql_value *ret_v, struct dz_err *err);

/* ---- building a schema ------------------------------------------------------------------------
 */

struct dz_gql_builder;
struct dz_gql_schema;

/* All texts are copied. A type is named as in the language: "String", "[PerfVOD!]!"; it may be
 * added later. What is wrong comes out at dz_gql_schema_finish, so nothing here fails.
 * `description` may be NULL everywhere. Handles live as long as the schema. Int, Float, String,
 * Boolean and ID are there already, as are @skip, @include, @deprecated and @specifiedBy. */
struct dz_gql_builder *dz_gql_builder_new(void);
void dz_gql_builder_free(struct dz_gql_builder **b);
void dz_gql_describe_schema(struct dz_gql_builder *b, const char *description);
/* The root types; without a call "Query", "Mutation" and "Subscription" where there are such. */
void dz_gql_roots(struct dz_gql_builder *b, const char *query, const char *mutation,
                  const char *subscription);
/* __Directive also has onOperation, onFragment and onField, as before 2016. */
void dz_gql_old_directive_fields(struct dz_gql_builder *b);

/* parse may be NULL: taken as it is. specified_by is a URL or NULL. */
struct dz_gql_type *dz_gql_add_scalar(struct dz_gql_builder *b, const char *name,
                                      const char *description, const char *specified_by,
                                      dz_gql_scalar_fn parse);
struct dz_gql_type *dz_gql_add_object(struct dz_gql_builder *b, const char *name,
                                      const char *description);
struct dz_gql_type *dz_gql_add_interface(struct dz_gql_builder *b, const char *name,
                                         const char *description);
struct dz_gql_type *dz_gql_add_union(struct dz_gql_builder *b, const char *name,
                                     const char *description);
struct dz_gql_type *dz_gql_add_enum(struct dz_gql_builder *b, const char *name,
                                    const char *description);
struct dz_gql_type *dz_gql_add_input(struct dz_gql_builder *b, const char *name,
                                     const char *description);

/* Of an object or an interface; all interfaces of an interface have to be named, too. */
void dz_gql_implements(struct dz_gql_type *t, const char *interface);
void dz_gql_add_union_member(struct dz_gql_type *t, const char *object);
struct dz_gql_choice *dz_gql_add_choice(struct dz_gql_type *t, const char *name, int64_t value,
                                        const char *description);
/* resolve is NULL for interfaces only. */
struct dz_gql_field *dz_gql_add_field(struct dz_gql_type *t, const char *name, const char *type,
                                      dz_gql_resolve_fn resolve, void *data,
                                      const char *description);
void dz_gql_field_prepare(struct dz_gql_field *f, dz_gql_prepare_fn prepare);
/* A default value is written in the language ("[1, 2]", "\"x\"", "SNH48"); NULL: none. */
struct dz_gql_input *dz_gql_add_arg(struct dz_gql_field *f, const char *name, const char *type,
                                    const char *default_value, const char *description);
struct dz_gql_input *dz_gql_add_input_field(struct dz_gql_type *t, const char *name,
                                            const char *type, const char *default_value,
                                            const char *description);
/* reason may be NULL: "No longer supported". */
void dz_gql_deprecate_field(struct dz_gql_field *f, const char *reason);
void dz_gql_deprecate_input(struct dz_gql_input *i, const char *reason);
void dz_gql_deprecate_choice(struct dz_gql_choice *c, const char *reason);

enum dz_gql_place {
    DZ_GQL_ON_QUERY = 1 << 0,
    DZ_GQL_ON_MUTATION = 1 << 1,
    DZ_GQL_ON_SUBSCRIPTION = 1 << 2,
    DZ_GQL_ON_FIELD = 1 << 3,
    DZ_GQL_ON_FRAGMENT_DEFINITION = 1 << 4,
    DZ_GQL_ON_FRAGMENT_SPREAD = 1 << 5,
    DZ_GQL_ON_INLINE_FRAGMENT = 1 << 6,
    DZ_GQL_ON_VARIABLE_DEFINITION = 1 << 7,
    DZ_GQL_ON_SCALAR = 1 << 8,
    DZ_GQL_ON_FIELD_DEFINITION = 1 << 9,
    DZ_GQL_ON_ARGUMENT_DEFINITION = 1 << 10,
    DZ_GQL_ON_ENUM_VALUE = 1 << 11,
    DZ_GQL_ON_INPUT_FIELD_DEFINITION = 1 << 12,
};
struct dz_gql_directive;
/* One that documents may use; it does nothing by itself. places is a sum of enum dz_gql_place. */
struct dz_gql_directive *dz_gql_add_directive(struct dz_gql_builder *b, const char *name,
                                              unsigned places, bool repeatable,
                                              const char *description);
struct dz_gql_input *dz_gql_add_directive_arg(struct dz_gql_directive *d, const char *name,
                                              const char *type, const char *default_value,
                                              const char *description);

/* Checks everything (section 3 of the specification) and makes the schema, with one reference. The
 * builder is spent either way. DZ_BAD_INPUT names the first thing that is wrong. */
DZ_MUST enum dz_code dz_gql_schema_finish(struct dz_gql_builder **take_b,
                                          struct dz_gql_schema **ret_s, struct dz_err *err);
struct dz_gql_schema *dz_gql_schema_ref(struct dz_gql_schema *s);
void dz_gql_schema_unref(struct dz_gql_schema **s);
/* NULL when there is none of that name. */
const struct dz_gql_type *dz_gql_schema_type(const struct dz_gql_schema *s, const char *name);
/* The schema in the type system language, without what every schema has. */
void dz_gql_schema_print(const struct dz_gql_schema *s, struct dz_buf *out);

/* ---- documents --------------------------------------------------------------------------------
 */

struct dz_gql_limits {
    uint32_t bytes_max;   /* of the text */
    uint32_t tokens_max;  /* in the text */
    uint32_t depth_max;   /* of selections in selections, fragments followed; at most 200 */
    uint32_t aliases_max; /* fields that have one */
    uint32_t fields_max;  /* fields and fragments, each counted as often as it is spread */
    uint32_t errors_max;  /* how many are told */
    /* How often fields, interfaces, possibleTypes and inputFields of the introspection may lie in
     * each other: the answer grows with a power of it. */
    uint32_t introspection_depth_max;
    bool no_introspection; /* __schema and __type are refused, and no names are suggested */
};
/* 128 KiB, 8,000 tokens, depth 32, 500 aliases, 5,000 fields, 50 errors, introspection depth 3. */
struct dz_gql_limits dz_gql_limits_default(void);

enum dz_gql_operation { DZ_GQL_QUERY, DZ_GQL_MUTATION, DZ_GQL_SUBSCRIPTION };

struct dz_gql_doc;
/* Parses and validates. DZ_BAD_INPUT (DZ_TOO_LARGE for a limit) with the reasons in errors. The
 * text is copied. */
DZ_MUST enum dz_code dz_gql_prepare(struct dz_gql_schema *s, dz_str text,
                                    const struct dz_gql_limits *limits, struct dz_gql_doc **ret_d,
                                    struct dz_gql_errors *errors);
struct dz_gql_doc *dz_gql_doc_ref(struct dz_gql_doc *d);
void dz_gql_doc_unref(struct dz_gql_doc **d);
size_t dz_gql_doc_bytes(const struct dz_gql_doc *d); /* memory that it holds */
/* What the operation of that name is (an empty name: the only one); DZ_BAD_INPUT in errors when
 * there is none. */
DZ_MUST enum dz_code dz_gql_doc_operation(const struct dz_gql_doc *d, dz_str name,
                                          enum dz_gql_operation *ret_kind,
                                          struct dz_gql_errors *errors);

/* ---- execution --------------------------------------------------------------------------------
 */

enum dz_gql_lenient {
    /* Variables of type Int and Float may be texts of a number and Booleans; an Int is cut at its
     * point. */
    DZ_GQL_LENIENT_NUMBERS = 1 << 0,
    /* Variables of type String and ID may be numbers and Booleans. */
    DZ_GQL_LENIENT_STRINGS = 1 << 1,
    /* Variables of type Boolean may be numbers and texts: true unless 0 or empty. */
    DZ_GQL_LENIENT_BOOLEANS = 1 << 2,
};

struct dz_gql_run {
    dz_str operation; /* its name; empty: the only one */
    /* An object, borrowed until dz_gql_exec_end; NULL, ABSENT and the kind NULL: none. */
    const struct dz_gql_value *variables;
    void *root, *context; /* handed to resolvers */
    unsigned lenient;     /* a sum of enum dz_gql_lenient */
    struct dz_gql_style style;
    size_t data_bytes_max; /* of the answer; 0: 64 MiB */
    uint32_t errors_max;   /* told; 0: 1,000 */
};

struct dz_gql_exec;
/* Chooses the operation and coerces variables. DZ_BAD_INPUT: nothing runs, the reasons are in
 * errors. A mutation where the schema has none, and any subscription, begins and gives an answer
 * whose data is null. */
DZ_MUST enum dz_code dz_gql_exec_begin(struct dz_gql_doc *d, const struct dz_gql_run *run,
                                       struct dz_gql_exec **ret_x, struct dz_gql_errors *errors);
/* Goes on for at most `rows` items of lists and about `bytes` of text; 0: no bound. False when the
 * answer is whole. Threads may take turns. */
bool dz_gql_exec_step(struct dz_gql_exec *x, uint32_t rows, size_t bytes);
/* How many bytes of data there are so far. */
size_t dz_gql_exec_bytes(const struct dz_gql_exec *x);
/* Takes the answer out: {"errors":[…],"data":…}, or without errors when there are none. Only after
 * the last step. ret_out is an initialised, empty buffer; its bytes are replaced. */
void dz_gql_exec_take(struct dz_gql_exec *x, struct dz_buf *ret_out);
uint32_t dz_gql_exec_errors(const struct dz_gql_exec *x);
void dz_gql_exec_end(struct dz_gql_exec **x); /* also in the middle: lists are told */
