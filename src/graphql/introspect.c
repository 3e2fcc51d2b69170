/*
 * introspect: the types of section 4, through which a schema tells about itself.
 *
 * In: the schema, whose structs are the objects of these resolvers: a type is a struct gql_ref, so
 * that lists and non-nulls are types, too. Out: rows and texts that point into the schema; nothing
 * is allocated. Any thread. The odd thing: __schema, __type and __typename are fields of a type of
 * their own, __Meta, which nobody can name; gql_field_find knows where it counts.
 */
#include "graphql/graphql_int.h"

static void put_text(struct dz_gql_out *ret, dz_str s)
{
    if (s.p)
        dz_gql_str(ret, s);
    else
        dz_gql_null(ret);
}

static void put_type(struct dz_gql_out *ret, const struct dz_gql_type *t)
{
    if (t)
        dz_gql_object(ret, (void *)&t->ref, NULL);
    else
        dz_gql_null(ret);
}

/* In the order of enum dz_gql_place; the last six are places that no directive of ours can have. */
const char *const gql_place_names[GQL_PLACES] = {"QUERY",
                                                 "MUTATION",
                                                 "SUBSCRIPTION",
                                                 "FIELD",
                                                 "FRAGMENT_DEFINITION",
                                                 "FRAGMENT_SPREAD",
                                                 "INLINE_FRAGMENT",
                                                 "VARIABLE_DEFINITION",
                                                 "SCALAR",
                                                 "FIELD_DEFINITION",
                                                 "ARGUMENT_DEFINITION",
                                                 "ENUM_VALUE",
                                                 "INPUT_FIELD_DEFINITION",
                                                 "SCHEMA",
                                                 "OBJECT",
                                                 "INTERFACE",
                                                 "UNION",
                                                 "ENUM",
                                                 "INPUT_OBJECT"};

/* ---- lists --------------------------------------------------------------------------------------
 */

/* Each walks a linked list: state is what comes next; n says whether what is deprecated counts. */
#define DEFINE_NEXT(name, T, skip, object_of)                                                      \
    static enum dz_code name(struct dz_gql_rows *rows, struct dz_gql_out *ret, struct dz_err *err) \
    {                                                                                              \
        (void)err;                                                                                 \
        const T *x = rows->state;                                                                  \
        while (x && (skip))                                                                        \
            x = x->next;                                                                           \
        if (!x) {                                                                                  \
            dz_gql_end(ret);                                                                       \
            return DZ_OK;                                                                          \
        }                                                                                          \
        rows->state = x->next;                                                                     \
        dz_gql_object(ret, (void *)(object_of), NULL);                                             \
        return DZ_OK;                                                                              \
    }

/* clang-format off */
DEFINE_NEXT(next_type, struct dz_gql_type, false, &x->ref)
DEFINE_NEXT(next_name, struct gql_name, false, &x->type->ref)
DEFINE_NEXT(next_directive, struct dz_gql_directive, false, x)
DEFINE_NEXT(next_field, struct dz_gql_field, x->deprecated.p && !rows->n, x)
DEFINE_NEXT(next_input, struct dz_gql_input, x->deprecated.p && !rows->n, x)
DEFINE_NEXT(next_choice, struct dz_gql_choice, x->deprecated.p && !rows->n, x)
/* clang-format on */

typedef enum dz_code next_fn(struct dz_gql_rows *rows, struct dz_gql_out *ret, struct dz_err *err);

static void put_list(struct dz_gql_out *ret, next_fn *next, const void *first, bool deprecated)
{
    dz_gql_rows(ret, (struct dz_gql_rows){.next = next, .state = (void *)first, .n = deprecated});
}

/* The argument includeDeprecated, where it is the only one. */
static bool deprecated_too(const struct dz_gql_call *call)
{
    return dz_gql_given(&call->args[0]) && call->args[0].b;
}

/* ---- resolvers: which field it is stands in `data` ------------------------------------------- */

enum {
    SCHEMA_DESCRIPTION,
    SCHEMA_TYPES,
    SCHEMA_QUERY,
    SCHEMA_MUTATION,
    SCHEMA_SUBSCRIPTION,
    SCHEMA_DIRECTIVES
};

static enum dz_code resolve_schema(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                   struct dz_err *err)
{
    (void)err;
    const struct dz_gql_schema *s = call->object;
    switch ((uintptr_t)call->data) {
    case SCHEMA_DESCRIPTION:
        put_text(ret, s->description);
        break;
    case SCHEMA_TYPES:
        put_list(ret, next_type, s->types, true);
        break;
    case SCHEMA_DIRECTIVES:
        put_list(ret, next_directive, s->directives, true);
        break;
    default:
        put_type(ret, s->roots[(uintptr_t)call->data - SCHEMA_QUERY]);
    }
    return DZ_OK;
}

enum {
    TYPE_KIND,
    TYPE_NAME,
    TYPE_DESCRIPTION,
    TYPE_URL,
    TYPE_FIELDS,
    TYPE_INTERFACES,
    TYPE_POSSIBLE,
    TYPE_CHOICES,
    TYPE_INPUTS,
    TYPE_OF
};
enum { KIND_LIST = GQL_INPUT + 1, KIND_NON_NULL };

/* What only named types have; null for the kinds that do not have it. */
static void put_named(const struct dz_gql_call *call, const struct dz_gql_type *t,
                      struct dz_gql_out *ret)
{
    bool has_fields = t->kind == GQL_OBJECT || t->kind == GQL_INTERFACE;
    dz_gql_null(ret);
    switch ((uintptr_t)call->data) {
    case TYPE_NAME:
        put_text(ret, t->name);
        break;
    case TYPE_DESCRIPTION:
        put_text(ret, t->description);
        break;
    case TYPE_URL:
        put_text(ret, t->specified_by);
        break;
    case TYPE_FIELDS:
        if (has_fields)
            put_list(ret, next_field, t->fields, deprecated_too(call));
        break;
    case TYPE_INTERFACES:
        if (has_fields)
            put_list(ret, next_name, t->interfaces, true);
        break;
    case TYPE_POSSIBLE:
        if (gql_is_abstract(t))
            put_list(ret, next_name, t->members, true);
        break;
    case TYPE_CHOICES:
        if (t->kind == GQL_ENUM)
            put_list(ret, next_choice, t->choices, deprecated_too(call));
        break;
    case TYPE_INPUTS:
        if (t->kind == GQL_INPUT)
            put_list(ret, next_input, t->inputs.first, deprecated_too(call));
        break;
    }
}

static enum dz_code resolve_type(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                 struct dz_err *err)
{
    (void)err;
    const struct gql_ref *ref = call->object;
    if ((uintptr_t)call->data == TYPE_KIND) {
        dz_gql_int(ret, ref->wrap == GQL_NAMED     ? (int)ref->type->kind
                        : ref->wrap == GQL_LIST_OF ? (int)KIND_LIST
                                                   : (int)KIND_NON_NULL);
    } else if (ref->wrap == GQL_NAMED) {
        put_named(call, ref->type, ret);
    } else if ((uintptr_t)call->data == TYPE_OF) {
        dz_gql_object(ret, (void *)ref->of, NULL);
    } else {
        dz_gql_null(ret);
    }
    return DZ_OK;
}

enum {
    ITEM_NAME,
    ITEM_DESCRIPTION,
    ITEM_TYPE,
    ITEM_ARGS,
    ITEM_DEFAULT,
    ITEM_IS_DEPRECATED,
    ITEM_REASON
};

static void put_item(const struct dz_gql_call *call, dz_str name, dz_str description,
                     dz_str deprecated, struct dz_gql_out *ret)
{
    switch ((uintptr_t)call->data) {
    case ITEM_NAME:
        put_text(ret, name);
        break;
    case ITEM_DESCRIPTION:
        put_text(ret, description);
        break;
    case ITEM_IS_DEPRECATED:
        dz_gql_bool(ret, deprecated.p != NULL);
        break;
    case ITEM_REASON:
        put_text(ret, deprecated);
        break;
    default:
        dz_gql_null(ret);
    }
}

static enum dz_code resolve_field(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                  struct dz_err *err)
{
    (void)err;
    const struct dz_gql_field *f = call->object;
    if ((uintptr_t)call->data == ITEM_ARGS)
        put_list(ret, next_input, f->args.first, deprecated_too(call));
    else if ((uintptr_t)call->data == ITEM_TYPE)
        dz_gql_object(ret, (void *)f->ref, NULL);
    else
        put_item(call, f->name, f->description, f->deprecated, ret);
    return DZ_OK;
}

static enum dz_code resolve_input(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                  struct dz_err *err)
{
    (void)err;
    const struct dz_gql_input *i = call->object;
    if ((uintptr_t)call->data == ITEM_TYPE) {
        dz_gql_object(ret, (void *)i->ref, NULL);
    } else if ((uintptr_t)call->data == ITEM_DEFAULT && i->fallback.kind != DZ_GQL_ABSENT) {
        struct dz_buf text DZ_AUTO(dz_buf_done);
        dz_buf_init(&text, DZ_MIB);
        gql_put_value(&text, &i->fallback);
        dz_gql_str(ret, dz_arena_str(call->arena, dz_buf_str(&text)));
    } else {
        put_item(call, i->name, i->description, i->deprecated, ret);
    }
    return DZ_OK;
}

static enum dz_code resolve_choice(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                   struct dz_err *err)
{
    (void)err;
    const struct dz_gql_choice *c = call->object;
    put_item(call, c->name, c->description, c->deprecated, ret);
    return DZ_OK;
}

enum {
    DIRECTIVE_NAME,
    DIRECTIVE_DESCRIPTION,
    DIRECTIVE_REPEATABLE,
    DIRECTIVE_PLACES,
    DIRECTIVE_ARGS,
    DIRECTIVE_ON_OPERATION,
    DIRECTIVE_ON_FRAGMENT,
    DIRECTIVE_ON_FIELD
};

/* state is the directive, at the bit that comes next. */
static enum dz_code next_place(struct dz_gql_rows *rows, struct dz_gql_out *ret, struct dz_err *err)
{
    (void)err;
    const struct dz_gql_directive *d = rows->state;
    while (rows->at < 32 && !(d->places >> rows->at & 1))
        rows->at++;
    if (rows->at == 32)
        dz_gql_end(ret);
    else
        dz_gql_int(ret, 1 << rows->at++);
    return DZ_OK;
}

static enum dz_code resolve_directive(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                      struct dz_err *err)
{
    (void)err;
    const struct dz_gql_directive *d = call->object;
    switch ((uintptr_t)call->data) {
    case DIRECTIVE_NAME:
        put_text(ret, d->name);
        break;
    case DIRECTIVE_DESCRIPTION:
        put_text(ret, d->description);
        break;
    case DIRECTIVE_REPEATABLE:
        dz_gql_bool(ret, d->repeatable);
        break;
    case DIRECTIVE_PLACES:
        put_list(ret, next_place, d, true);
        break;
    case DIRECTIVE_ARGS:
        put_list(ret, next_input, d->args.first, deprecated_too(call));
        break;
    case DIRECTIVE_ON_OPERATION:
        dz_gql_bool(ret,
                    d->places & (DZ_GQL_ON_QUERY | DZ_GQL_ON_MUTATION | DZ_GQL_ON_SUBSCRIPTION));
        break;
    case DIRECTIVE_ON_FRAGMENT:
        dz_gql_bool(ret, d->places & (DZ_GQL_ON_FRAGMENT_SPREAD | DZ_GQL_ON_INLINE_FRAGMENT |
                                      DZ_GQL_ON_FRAGMENT_DEFINITION));
        break;
    default:
        dz_gql_bool(ret, d->places & DZ_GQL_ON_FIELD);
    }
    return DZ_OK;
}

static enum dz_code resolve_meta_schema(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                        struct dz_err *err)
{
    (void)err;
    dz_gql_object(ret, call->data, NULL);
    return DZ_OK;
}

static enum dz_code resolve_meta_type(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                      struct dz_err *err)
{
    (void)err;
    put_type(ret, gql_schema_find(call->data, call->args[0].text));
    return DZ_OK;
}

/* __typename itself is written by whoever knows the object's type. */
static enum dz_code resolve_nothing(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                    struct dz_err *err)
{
    (void)call;
    (void)err;
    dz_gql_null(ret);
    return DZ_OK;
}

/* ---- the types ------------------------------------------------------------------------------- */

struct row {
    const char *name, *type;
    unsigned data;
    bool deprecated_arg;
    const char *description;
};

static void add_rows(struct dz_gql_type *t, dz_gql_resolve_fn resolve, const struct row *rows,
                     size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct dz_gql_field *f =
            dz_gql_add_field(t, rows[i].name, rows[i].type, resolve,
                             (void *)(uintptr_t)rows[i].data, rows[i].description);
        if (rows[i].deprecated_arg)
            dz_gql_add_arg(f, "includeDeprecated", "Boolean", "false",
                           "Whether what should not be used any more is told, too.");
    }
}

/* clang-format off */
static const struct row schema_rows[] = {
    {"description", "String", SCHEMA_DESCRIPTION, false,
     "About the whole schema."},
    {"types", "[__Type!]!", SCHEMA_TYPES, false,
     "Every type, also those of the introspection."},
    {"queryType", "__Type!", SCHEMA_QUERY, false,
     "Where queries begin."},
    {"mutationType", "__Type", SCHEMA_MUTATION, false,
     "Where mutations begin; null when there are none."},
    {"subscriptionType", "__Type", SCHEMA_SUBSCRIPTION, false,
     "Where subscriptions begin; null when there are none."},
    {"directives", "[__Directive!]!", SCHEMA_DIRECTIVES, false,
     "What documents and schemas may be marked with."},
};
static const struct row type_rows[] = {
    {"kind", "__TypeKind!", TYPE_KIND, false,
     "What kind of type it is."},
    {"name", "String", TYPE_NAME, false,
     "Null for lists and non-nulls."},
    {"description", "String", TYPE_DESCRIPTION, false,
     "About the type."},
    {"specifiedByURL", "String", TYPE_URL, false,
     "Where a custom scalar is specified."},
    {"fields", "[__Field!]", TYPE_FIELDS, true,
     "Of objects and interfaces."},
    {"interfaces", "[__Type!]", TYPE_INTERFACES, false,
     "What an object or an interface implements."},
    {"possibleTypes", "[__Type!]", TYPE_POSSIBLE, false,
     "The object types that an interface or a union can be."},
    {"enumValues", "[__EnumValue!]", TYPE_CHOICES, true,
     "Of an enum."},
    {"inputFields", "[__InputValue!]", TYPE_INPUTS, true,
     "Of an input object."},
    {"ofType", "__Type", TYPE_OF, false,
     "What a list or a non-null is made of."},
};
static const struct row field_rows[] = {
    {"name", "String!", ITEM_NAME, false,
     "How it is asked for."},
    {"description", "String", ITEM_DESCRIPTION, false,
     "About the field."},
    {"args", "[__InputValue!]!", ITEM_ARGS, true,
     "What it may be told."},
    {"type", "__Type!", ITEM_TYPE, false,
     "What it gives."},
    {"isDeprecated", "Boolean!", ITEM_IS_DEPRECATED, false,
     "Whether it should not be used any more."},
    {"deprecationReason", "String", ITEM_REASON, false,
     "Why, and what to use instead."},
};
static const struct row input_rows[] = {
    {"name", "String!", ITEM_NAME, false,
     "How it is given."},
    {"description", "String", ITEM_DESCRIPTION, false,
     "About the value."},
    {"type", "__Type!", ITEM_TYPE, false,
     "What may be given."},
    {"defaultValue", "String", ITEM_DEFAULT, false,
     "As the language writes it; null when there is none."},
    {"isDeprecated", "Boolean!", ITEM_IS_DEPRECATED, false,
     "Whether it should not be used any more."},
    {"deprecationReason", "String", ITEM_REASON, false,
     "Why, and what to use instead."},
};
static const struct row choice_rows[] = {
    {"name", "String!", ITEM_NAME, false,
     "How it is written."},
    {"description", "String", ITEM_DESCRIPTION, false,
     "About the value."},
    {"isDeprecated", "Boolean!", ITEM_IS_DEPRECATED, false,
     "Whether it should not be used any more."},
    {"deprecationReason", "String", ITEM_REASON, false,
     "Why, and what to use instead."},
};
static const struct row directive_rows[] = {
    {"name", "String!", DIRECTIVE_NAME, false,
     "How it is written, without the @."},
    {"description", "String", DIRECTIVE_DESCRIPTION, false,
     "About the directive."},
    {"isRepeatable", "Boolean!", DIRECTIVE_REPEATABLE, false,
     "Whether it may stand more than once at one place."},
    {"locations", "[__DirectiveLocation!]!", DIRECTIVE_PLACES, false,
     "Where it may stand."},
    {"args", "[__InputValue!]!", DIRECTIVE_ARGS, true,
     "What it may be told."},
};
static const struct row old_directive_rows[] = {
    {"onOperation", "Boolean!", DIRECTIVE_ON_OPERATION, false,
     "Use `locations`."},
    {"onFragment", "Boolean!", DIRECTIVE_ON_FRAGMENT, false,
     "Use `locations`."},
    {"onField", "Boolean!", DIRECTIVE_ON_FIELD, false,
     "Use `locations`."},
};
/* clang-format on */

static void add_enums(struct dz_gql_builder *b)
{
    static const char *const kinds[][2] = {
        {"SCALAR", "A value without parts."},
        {"OBJECT", "What has fields."},
        {"INTERFACE", "Fields that several objects have."},
        {"UNION", "One of several objects."},
        {"ENUM", "One of several names."},
        {"INPUT_OBJECT", "What is given, with fields."},
        {"LIST", "Many of `ofType`."},
        {"NON_NULL", "`ofType` without null."},
    };
    struct dz_gql_type *t = dz_gql_add_enum(b, "__TypeKind", "What kind of type a type is.");
    for (size_t i = 0; i < DZ_LEN(kinds); i++)
        dz_gql_add_choice(t, kinds[i][0], (int64_t)i, kinds[i][1]);

    t = dz_gql_add_enum(b, "__DirectiveLocation", "Where a directive may stand.");
    for (size_t i = 0; i < GQL_PLACES; i++)
        dz_gql_add_choice(t, gql_place_names[i], INT64_C(1) << i,
                          i < GQL_REQUEST_PLACES ? "In a request." : "In a schema.");
}

static void add_meta(struct dz_gql_builder *b)
{
    struct dz_gql_schema *s = b->schema;
    struct dz_gql_type *t = dz_gql_add_object(b, "__Meta", NULL);
    dz_gql_add_field(t, "__schema", "__Schema!", resolve_meta_schema, s, "The schema itself.");
    struct dz_gql_field *f = dz_gql_add_field(t, "__type", "__Type", resolve_meta_type, s, NULL);
    dz_gql_add_arg(f, "name", "String!", NULL, NULL);
    s->typename_field = dz_gql_add_field(t, "__typename", "String!", resolve_nothing, NULL, NULL);
    s->introspection = t;
}

void gql_add_introspection(struct dz_gql_builder *b)
{
    struct dz_gql_type *t = dz_gql_add_object(b, "__Schema", "What the server can be asked for.");
    add_rows(t, resolve_schema, schema_rows, DZ_LEN(schema_rows));
    t = dz_gql_add_object(b, "__Type", "A type; lists and non-nulls are types, too.");
    add_rows(t, resolve_type, type_rows, DZ_LEN(type_rows));
    t = dz_gql_add_object(b, "__Field", "A field of an object or an interface.");
    add_rows(t, resolve_field, field_rows, DZ_LEN(field_rows));
    t = dz_gql_add_object(b, "__InputValue", "An argument, or a field of an input object.");
    add_rows(t, resolve_input, input_rows, DZ_LEN(input_rows));
    t = dz_gql_add_object(b, "__EnumValue", "One of the values of an enum.");
    add_rows(t, resolve_choice, choice_rows, DZ_LEN(choice_rows));
    t = dz_gql_add_object(b, "__Directive", "A directive that documents may use.");
    add_rows(t, resolve_directive, directive_rows, DZ_LEN(directive_rows));
    if (b->schema->old_directive_fields)
        add_rows(t, resolve_directive, old_directive_rows, DZ_LEN(old_directive_rows));
    add_enums(b);
    add_meta(b);
}
