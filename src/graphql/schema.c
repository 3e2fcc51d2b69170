/*
 * schema: building a schema, and asking it for what it has.
 *
 * In: calls of dz_gql_add_…; texts are copied into the schema's arena, where everything lives until
 * the last reference goes. Out: lists in the order of the calls, which check.c completes. A builder
 * has one owner thread; a finished schema is read by any. The odd thing: nothing fails here. The
 * first thing that is wrong is remembered, and dz_gql_schema_finish says it.
 */
#include "graphql/graphql_int.h"

#define NEW(s, T) ((T *)memset(dz_arena_alloc((s)->arena, sizeof(T)), 0, sizeof(T)))

void gql_schema_bad(struct dz_gql_schema *s, const char *fmt, ...)
{
    if (s->bad)
        return;
    s->bad = true;
    char text[sizeof(s->err.text)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    dz_fail(&s->err, DZ_BAD_INPUT, "%s", text);
}

/* NULL stays "none", which is not "". */
static dz_str copy(struct dz_gql_schema *s, const char *text)
{
    return text ? dz_arena_str(s->arena, dz_str_of(text)) : (dz_str){NULL, 0};
}

static dz_str copy_name(struct dz_gql_schema *s, const char *name)
{
    dz_str n = copy(s, name);
    bool ok = n.n > 0 && !(n.p[0] >= '0' && n.p[0] <= '9');
    for (size_t i = 0; i < n.n; i++) {
        char c = n.p[i];
        ok &=
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    }
    if (!ok)
        gql_schema_bad(s, "\"%.*s\" is not a name", GQL_N(n));
    else if (!s->internal && dz_str_starts(n, DZ_S("__")))
        gql_schema_bad(s, "the name \"%.*s\" begins with \"__\", which only the introspection may",
                       GQL_N(n));
    return n;
}

static struct gql_type_use *parse_use(struct dz_gql_schema *s, const char *type, dz_str of)
{
    struct dz_gql_errors errors DZ_AUTO(dz_gql_errors_done);
    dz_gql_errors_init(&errors, 1);
    struct gql_type_use *use = gql_parse_type(s->arena, copy(s, type), &errors);
    if (!use)
        gql_schema_bad(s, "the type of %.*s, \"%s\", cannot be read: %.*s", GQL_N(of), type,
                       DZ_STR_FMT(dz_gql_errors_first(&errors)));
    return use;
}

/* ---- the builder ------------------------------------------------------------------------------
 */

static struct dz_gql_type *add_type(struct dz_gql_schema *s, enum gql_type_kind kind,
                                    const char *name, const char *description)
{
    struct dz_gql_type *t = NEW(s, struct dz_gql_type);
    t->kind = kind;
    t->schema = s;
    t->built_in = s->internal;
    t->index = s->types_n++;
    t->name = copy_name(s, name);
    t->description = copy(s, description);
    t->last_field = &t->fields;
    t->last_interface = &t->interfaces;
    t->last_member = &t->members;
    t->last_choice = &t->choices;
    t->inputs.last = &t->inputs.first;
    t->ref = (struct gql_ref){.wrap = GQL_NAMED, .type = t};
    if (t->name.n > 0 && dz_map_set(&s->type_names, t->name, t))
        gql_schema_bad(s, "there are two types named \"%.*s\"", GQL_N(t->name));
    *s->last_type = t;
    s->last_type = &t->next;
    return t;
}

static void add_scalars(struct dz_gql_schema *s)
{
    static const struct {
        enum gql_scalar scalar;
        const char *name, *description;
    } rows[] = {
        {GQL_STRING, "String", "Text."},
        {GQL_INT, "Int", "A whole number between -(2^31) and 2^31 - 1."},
        {GQL_FLOAT, "Float", "A number of double precision (IEEE 754)."},
        {GQL_BOOLEAN, "Boolean", "`true` or `false`."},
        {GQL_ID, "ID", "A unique identifier; a text, which may be given as a whole number."},
    };
    for (size_t i = 0; i < DZ_LEN(rows); i++)
        add_type(s, GQL_SCALAR, rows[i].name, rows[i].description)->scalar = rows[i].scalar;
}

static void add_directives(struct dz_gql_builder *b)
{
    unsigned selections = DZ_GQL_ON_FIELD | DZ_GQL_ON_FRAGMENT_SPREAD | DZ_GQL_ON_INLINE_FRAGMENT;
    struct dz_gql_directive *d =
        dz_gql_add_directive(b, "include", selections, false, "Included only when `if` is true.");
    dz_gql_add_directive_arg(d, "if", "Boolean!", NULL, "Included when true.");
    d = dz_gql_add_directive(b, "skip", selections, false, "Left out when `if` is true.");
    dz_gql_add_directive_arg(d, "if", "Boolean!", NULL, "Skipped when true.");
    d = dz_gql_add_directive(b, "deprecated",
                             DZ_GQL_ON_FIELD_DEFINITION | DZ_GQL_ON_ARGUMENT_DEFINITION |
                                 DZ_GQL_ON_INPUT_FIELD_DEFINITION | DZ_GQL_ON_ENUM_VALUE,
                             false, "Marks what should not be used any more.");
    dz_gql_add_directive_arg(d, "reason", "String", "\"No longer supported\"",
                             "Why, and what to use instead; Markdown.");
    d = dz_gql_add_directive(b, "specifiedBy", DZ_GQL_ON_SCALAR, false,
                             "Where a scalar is specified.");
    dz_gql_add_directive_arg(d, "url", "String!", NULL, "The address of the specification.");
}

struct dz_gql_builder *dz_gql_builder_new(void)
{
    struct dz_gql_builder *b = dz_new(struct dz_gql_builder);
    struct dz_gql_schema *s = b->schema = dz_new(struct dz_gql_schema);
    atomic_init(&s->refs, 1);
    s->arena = dz_arena_new(GQL_SCHEMA_BYTES_MAX);
    s->last_type = &s->types;
    s->last_directive = &s->directives;
    dz_map_init(&s->type_names);
    dz_map_init(&s->directive_names);
    s->internal = true;
    add_scalars(s);
    add_directives(b);
    s->internal = false;
    return b;
}

void dz_gql_builder_free(struct dz_gql_builder **b)
{
    if (!*b)
        return;
    dz_gql_schema_unref(&(*b)->schema);
    free(*b);
    *b = NULL;
}

void dz_gql_describe_schema(struct dz_gql_builder *b, const char *description)
{
    b->schema->description = copy(b->schema, description);
}

void dz_gql_roots(struct dz_gql_builder *b, const char *query, const char *mutation,
                  const char *subscription)
{
    const char *const names[] = {query, mutation, subscription};
    for (size_t i = 0; i < DZ_LEN(names); i++)
        b->schema->root_names[i] = copy(b->schema, names[i] ? names[i] : "");
}

void dz_gql_old_directive_fields(struct dz_gql_builder *b)
{
    b->schema->old_directive_fields = true;
}

struct dz_gql_type *dz_gql_add_scalar(struct dz_gql_builder *b, const char *name,
                                      const char *description, const char *specified_by,
                                      dz_gql_scalar_fn parse)
{
    struct dz_gql_type *t = add_type(b->schema, GQL_SCALAR, name, description);
    t->specified_by = copy(b->schema, specified_by);
    t->parse = parse;
    return t;
}

struct dz_gql_type *dz_gql_add_object(struct dz_gql_builder *b, const char *name,
                                      const char *description)
{
    return add_type(b->schema, GQL_OBJECT, name, description);
}

struct dz_gql_type *dz_gql_add_interface(struct dz_gql_builder *b, const char *name,
                                         const char *description)
{
    return add_type(b->schema, GQL_INTERFACE, name, description);
}

struct dz_gql_type *dz_gql_add_union(struct dz_gql_builder *b, const char *name,
                                     const char *description)
{
    return add_type(b->schema, GQL_UNION, name, description);
}

struct dz_gql_type *dz_gql_add_enum(struct dz_gql_builder *b, const char *name,
                                    const char *description)
{
    return add_type(b->schema, GQL_ENUM, name, description);
}

struct dz_gql_type *dz_gql_add_input(struct dz_gql_builder *b, const char *name,
                                     const char *description)
{
    return add_type(b->schema, GQL_INPUT, name, description);
}

static void add_name(struct dz_gql_type *t, struct gql_name ***last, const char *name)
{
    struct gql_name *n = NEW(t->schema, struct gql_name);
    n->name = copy_name(t->schema, name);
    **last = n;
    *last = &n->next;
}

void dz_gql_implements(struct dz_gql_type *t, const char *interface)
{
    dz_assert(t->kind == GQL_OBJECT || t->kind == GQL_INTERFACE);
    add_name(t, &t->last_interface, interface);
}

void dz_gql_add_union_member(struct dz_gql_type *t, const char *object)
{
    dz_assert(t->kind == GQL_UNION);
    add_name(t, &t->last_member, object);
}

struct dz_gql_choice *dz_gql_add_choice(struct dz_gql_type *t, const char *name, int64_t value,
                                        const char *description)
{
    dz_assert(t->kind == GQL_ENUM);
    struct dz_gql_choice *c = NEW(t->schema, struct dz_gql_choice);
    c->schema = t->schema;
    c->name = copy_name(t->schema, name);
    c->description = copy(t->schema, description);
    c->value = value;
    *t->last_choice = c;
    t->last_choice = &c->next;
    return c;
}

struct dz_gql_field *dz_gql_add_field(struct dz_gql_type *t, const char *name, const char *type,
                                      dz_gql_resolve_fn resolve, void *data,
                                      const char *description)
{
    dz_assert(t->kind == GQL_OBJECT || t->kind == GQL_INTERFACE);
    struct dz_gql_field *f = NEW(t->schema, struct dz_gql_field);
    f->parent = t;
    f->name = copy_name(t->schema, name);
    f->use = parse_use(t->schema, type, f->name);
    f->resolve = resolve;
    f->data = data;
    f->description = copy(t->schema, description);
    f->args.last = &f->args.first;
    *t->last_field = f;
    t->last_field = &f->next;
    return f;
}

void dz_gql_field_prepare(struct dz_gql_field *f, dz_gql_prepare_fn prepare)
{
    f->prepare = prepare;
}

static struct dz_gql_input *add_input(struct dz_gql_schema *s, struct gql_inputs *to,
                                      const char *name, const char *type, const char *default_value,
                                      const char *description)
{
    struct dz_gql_input *i = NEW(s, struct dz_gql_input);
    i->schema = s;
    i->name = copy_name(s, name);
    i->use = parse_use(s, type, i->name);
    i->default_text = copy(s, default_value);
    i->description = copy(s, description);
    i->index = to->n++;
    *to->last = i;
    to->last = &i->next;
    return i;
}

struct dz_gql_input *dz_gql_add_arg(struct dz_gql_field *f, const char *name, const char *type,
                                    const char *default_value, const char *description)
{
    return add_input(f->parent->schema, &f->args, name, type, default_value, description);
}

struct dz_gql_input *dz_gql_add_input_field(struct dz_gql_type *t, const char *name,
                                            const char *type, const char *default_value,
                                            const char *description)
{
    dz_assert(t->kind == GQL_INPUT);
    return add_input(t->schema, &t->inputs, name, type, default_value, description);
}

static dz_str reason_of(struct dz_gql_schema *s, const char *reason)
{
    return copy(s, reason ? reason : "No longer supported");
}

void dz_gql_deprecate_field(struct dz_gql_field *f, const char *reason)
{
    f->deprecated = reason_of(f->parent->schema, reason);
}

void dz_gql_deprecate_input(struct dz_gql_input *i, const char *reason)
{
    i->deprecated = reason_of(i->schema, reason);
}

void dz_gql_deprecate_choice(struct dz_gql_choice *c, const char *reason)
{
    c->deprecated = reason_of(c->schema, reason);
}

struct dz_gql_directive *dz_gql_add_directive(struct dz_gql_builder *b, const char *name,
                                              unsigned places, bool repeatable,
                                              const char *description)
{
    struct dz_gql_schema *s = b->schema;
    struct dz_gql_directive *d = NEW(s, struct dz_gql_directive);
    d->schema = s;
    d->name = copy_name(s, name);
    d->description = copy(s, description);
    d->places = places;
    d->repeatable = repeatable;
    d->built_in = s->internal;
    d->args.last = &d->args.first;
    if (places == 0)
        gql_schema_bad(s, "the directive @%.*s has no place", GQL_N(d->name));
    if (d->name.n > 0 && dz_map_set(&s->directive_names, d->name, d))
        gql_schema_bad(s, "there are two directives named @%.*s", GQL_N(d->name));
    *s->last_directive = d;
    s->last_directive = &d->next;
    return d;
}

struct dz_gql_input *dz_gql_add_directive_arg(struct dz_gql_directive *d, const char *name,
                                              const char *type, const char *default_value,
                                              const char *description)
{
    return add_input(d->schema, &d->args, name, type, default_value, description);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

struct dz_gql_schema *dz_gql_schema_ref(struct dz_gql_schema *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void dz_gql_schema_unref(struct dz_gql_schema **s)
{
    struct dz_gql_schema *old = dz_take(s);
    if (!old || atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (struct dz_gql_type *t = old->types; t; t = t->next)
        dz_map_done(&t->names);
    if (old->introspection)
        dz_map_done(&old->introspection->names);
    dz_map_done(&old->type_names);
    dz_map_done(&old->directive_names);
    dz_arena_free(&old->arena);
    free(old);
}

struct dz_gql_type *gql_schema_find(const struct dz_gql_schema *s, dz_str name)
{
    return dz_map_get(&s->type_names, name);
}

const struct dz_gql_type *dz_gql_schema_type(const struct dz_gql_schema *s, const char *name)
{
    return gql_schema_find(s, dz_str_of(name));
}

struct dz_gql_directive *gql_directive_find(const struct dz_gql_schema *s, dz_str name)
{
    return dz_map_get(&s->directive_names, name);
}

struct dz_gql_input *gql_input_find(const struct gql_inputs *inputs, dz_str name)
{
    for (struct dz_gql_input *i = inputs->first; i; i = i->next)
        if (dz_str_eq(i->name, name))
            return i;
    return NULL;
}

struct dz_gql_field *gql_field_find(const struct dz_gql_schema *s, const struct dz_gql_type *t,
                                    dz_str name)
{
    if (DZ_UNLIKELY(dz_str_starts(name, DZ_S("__")))) {
        if (dz_str_eq(name, s->typename_field->name))
            return s->typename_field;
        if (t == s->roots[DZ_GQL_QUERY])
            return dz_map_get(&s->introspection->names, name);
    }
    return t->kind == GQL_OBJECT || t->kind == GQL_INTERFACE ? dz_map_get(&t->names, name) : NULL;
}

const struct gql_ref *gql_ref_of(struct dz_arena *a, const struct dz_gql_schema *s,
                                 const struct gql_type_use *use)
{
    if (use->wrap == GQL_NAMED) {
        const struct dz_gql_type *t = gql_schema_find(s, use->name);
        return t ? &t->ref : NULL;
    }
    const struct gql_ref *of = gql_ref_of(a, s, use->of);
    if (!of)
        return NULL;
    struct gql_ref *ref = dz_arena_alloc(a, sizeof(*ref));
    *ref = (struct gql_ref){use->wrap, of, of->type};
    return ref;
}

void gql_put_ref(struct dz_buf *out, const struct gql_ref *ref)
{
    if (ref->wrap == GQL_NAMED) {
        dz_buf_put(out, ref->type->name);
        return;
    }
    if (ref->wrap == GQL_LIST_OF)
        dz_buf_putc(out, '[');
    gql_put_ref(out, ref->of);
    dz_buf_putc(out, ref->wrap == GQL_LIST_OF ? ']' : '!');
}

dz_str gql_ref_text(struct dz_arena *a, const struct gql_ref *ref)
{
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 4 * DZ_KIB);
    gql_put_ref(&b, ref);
    return dz_arena_str(a, dz_buf_str(&b));
}

bool gql_ref_eq(const struct gql_ref *a, const struct gql_ref *b)
{
    for (; a->wrap == b->wrap && a->wrap != GQL_NAMED; a = a->of)
        b = b->of;
    return a->wrap == b->wrap && a->type == b->type;
}

static bool is_subtype(const struct dz_gql_type *super, const struct dz_gql_type *sub)
{
    if (super == sub)
        return true;
    if (sub->kind == GQL_OBJECT && gql_is_abstract(super))
        return gql_can_be(super, sub);
    for (const struct gql_name *i = sub->interfaces; i; i = i->next)
        if (i->type == super)
            return true;
    return false;
}

bool gql_ref_covers(const struct gql_ref *b, const struct gql_ref *a)
{
    for (;;) {
        if (b->wrap == GQL_NON_NULL) {
            if (a->wrap != GQL_NON_NULL)
                return false;
            b = b->of;
            a = a->of;
        }
        a = gql_nullable(a);
        if (b->wrap != a->wrap)
            return false;
        if (b->wrap == GQL_NAMED)
            return is_subtype(b->type, a->type);
        b = b->of;
        a = a->of;
    }
}
