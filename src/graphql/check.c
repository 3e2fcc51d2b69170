/*
 * check: completing a schema, and refusing one that section 3 of the specification does not allow.
 *
 * In: what the builder collected. Out: a schema in which every name is a pointer, every set of
 * names a map and every default a value; or the first thing that is wrong, in words. Runs once, on
 * the builder's thread.
 */
#include "graphql/graphql_int.h"

/* ---- names → pointers --------------------------------------------------------------------------
 */

static const struct gql_ref *resolve(struct dz_gql_schema *s, const struct gql_type_use *use,
                                     dz_str where, dz_str name)
{
    const struct gql_ref *ref = gql_ref_of(s->arena, s, use);
    if (ref)
        return ref;
    while (use->of)
        use = use->of;
    gql_schema_bad(s, "%.*s.%.*s is of type \"%.*s\", which does not exist", GQL_N(where),
                   GQL_N(name), GQL_N(use->name));
    return NULL;
}

static void check_inputs(struct dz_gql_schema *s, struct gql_inputs *inputs, dz_str where)
{
    for (struct dz_gql_input *i = inputs->first; i && !s->bad; i = i->next) {
        i->ref = resolve(s, i->use, where, i->name);
        if (!i->ref)
            return;
        if (!gql_is_input(i->ref->type))
            gql_schema_bad(s, "%.*s.%.*s goes in, but \"%.*s\" is an output type", GQL_N(where),
                           GQL_N(i->name), GQL_N(i->ref->type->name));
        if (gql_input_find(inputs, i->name) != i)
            gql_schema_bad(s, "%.*s has two inputs named \"%.*s\"", GQL_N(where), GQL_N(i->name));
        if (i->deprecated.p && i->ref->wrap == GQL_NON_NULL && !i->default_text.p)
            gql_schema_bad(s, "%.*s.%.*s is required and cannot be deprecated", GQL_N(where),
                           GQL_N(i->name));
    }
}

static void check_fields(struct dz_gql_schema *s, struct dz_gql_type *t)
{
    if (!t->fields)
        gql_schema_bad(s, "the type \"%.*s\" has no fields", GQL_N(t->name));
    for (struct dz_gql_field *f = t->fields; f && !s->bad; f = f->next) {
        f->ref = resolve(s, f->use, t->name, f->name);
        if (!f->ref)
            return;
        if (f->ref->type->kind == GQL_INPUT)
            gql_schema_bad(s, "%.*s.%.*s goes out, but \"%.*s\" is an input type", GQL_N(t->name),
                           GQL_N(f->name), GQL_N(f->ref->type->name));
        if (dz_map_set(&t->names, f->name, f))
            gql_schema_bad(s, "%.*s has two fields named \"%.*s\"", GQL_N(t->name), GQL_N(f->name));
        if (!f->resolve && t->kind == GQL_OBJECT)
            gql_schema_bad(s, "nothing resolves %.*s.%.*s", GQL_N(t->name), GQL_N(f->name));
        check_inputs(s, &f->args, f->name);
    }
}

static void check_choices(struct dz_gql_schema *s, struct dz_gql_type *t)
{
    if (!t->choices)
        gql_schema_bad(s, "the enum \"%.*s\" has no values", GQL_N(t->name));
    for (struct dz_gql_choice *c = t->choices; c; c = c->next) {
        if (dz_map_set(&t->names, c->name, c))
            gql_schema_bad(s, "%.*s has two values named \"%.*s\"", GQL_N(t->name), GQL_N(c->name));
        if (dz_str_eq(c->name, DZ_S("true")) || dz_str_eq(c->name, DZ_S("false")) ||
            dz_str_eq(c->name, DZ_S("null")))
            gql_schema_bad(s, "a value of %.*s cannot be named \"%.*s\"", GQL_N(t->name),
                           GQL_N(c->name));
    }
}

static void check_input_fields(struct dz_gql_schema *s, struct dz_gql_type *t)
{
    if (!t->inputs.first)
        gql_schema_bad(s, "the input type \"%.*s\" has no fields", GQL_N(t->name));
    check_inputs(s, &t->inputs, t->name);
    for (struct dz_gql_input *i = t->inputs.first; i; i = i->next)
        dz_map_set(&t->names, i->name, i);
}

/* Names of interfaces or members; each once and of the right kind. */
static void link_names(struct dz_gql_schema *s, struct dz_gql_type *t, struct gql_name *names,
                       enum gql_type_kind kind, const char *what)
{
    for (struct gql_name *n = names; n && !s->bad; n = n->next) {
        n->type = gql_schema_find(s, n->name);
        if (!n->type || n->type->kind != kind || n->type == t)
            gql_schema_bad(s, "%.*s names \"%.*s\", which is no %s", GQL_N(t->name), GQL_N(n->name),
                           n->type == t ? "other type" : what);
        for (const struct gql_name *m = names; m != n; m = m->next)
            if (m->type == n->type)
                gql_schema_bad(s, "%.*s names \"%.*s\" twice", GQL_N(t->name), GQL_N(n->name));
    }
}

static void check_type(struct dz_gql_schema *s, struct dz_gql_type *t)
{
    switch (t->kind) {
    case GQL_OBJECT:
    case GQL_INTERFACE:
        check_fields(s, t);
        link_names(s, t, t->interfaces, GQL_INTERFACE, "interface");
        break;
    case GQL_UNION:
        if (!t->members)
            gql_schema_bad(s, "the union \"%.*s\" has no members", GQL_N(t->name));
        link_names(s, t, t->members, GQL_OBJECT, "object type");
        break;
    case GQL_ENUM:
        check_choices(s, t);
        break;
    case GQL_INPUT:
        check_input_fields(s, t);
        break;
    case GQL_SCALAR:
        break;
    }
}

/* ---- who can be whom ---------------------------------------------------------------------------
 */

static void find_possible(struct dz_gql_schema *s)
{
    size_t bytes = ((size_t)s->types_n + 63) / 64 * sizeof(uint64_t);
    for (struct dz_gql_type *t = s->types; t; t = t->next)
        t->possible = memset(dz_arena_alloc(s->arena, bytes), 0, bytes);
    for (struct dz_gql_type *t = s->types; t; t = t->next) {
        uint64_t bit = UINT64_C(1) << t->index % 64;
        if (t->kind == GQL_OBJECT)
            ((uint64_t *)t->possible)[t->index / 64] |= bit;
        for (struct gql_name *m = t->kind == GQL_UNION ? t->members : NULL; m; m = m->next)
            ((uint64_t *)t->possible)[m->type->index / 64] |= UINT64_C(1) << m->type->index % 64;
        for (struct gql_name *i = t->interfaces; i && t->kind == GQL_OBJECT; i = i->next) {
            ((uint64_t *)i->type->possible)[t->index / 64] |= bit;
            struct gql_name *member = dz_arena_alloc(s->arena, sizeof(*member));
            *member = (struct gql_name){.name = t->name, .type = t};
            *i->type->last_member = member;
            i->type->last_member = &member->next;
        }
    }
}

static bool implements(const struct dz_gql_type *t, const struct dz_gql_type *interface)
{
    for (const struct gql_name *i = t->interfaces; i; i = i->next)
        if (i->type == interface)
            return true;
    return false;
}

static void check_implemented_field(struct dz_gql_schema *s, const struct dz_gql_type *t,
                                    const struct dz_gql_type *interface,
                                    const struct dz_gql_field *want)
{
    const struct dz_gql_field *f = dz_map_get(&t->names, want->name);
    if (!f) {
        gql_schema_bad(s, "%.*s has no field \"%.*s\", which its interface %.*s has",
                       GQL_N(t->name), GQL_N(want->name), GQL_N(interface->name));
        return;
    }
    if (!gql_ref_covers(want->ref, f->ref))
        gql_schema_bad(s, "the type of %.*s.%.*s does not fit its interface %.*s", GQL_N(t->name),
                       GQL_N(f->name), GQL_N(interface->name));
    for (const struct dz_gql_input *i = want->args.first; i; i = i->next) {
        const struct dz_gql_input *mine = gql_input_find(&f->args, i->name);
        if (!mine || !gql_ref_eq(i->ref, mine->ref))
            gql_schema_bad(s,
                           "%.*s.%.*s has no argument \"%.*s\" of the type in its interface %.*s",
                           GQL_N(t->name), GQL_N(f->name), GQL_N(i->name), GQL_N(interface->name));
    }
    for (const struct dz_gql_input *i = f->args.first; i; i = i->next)
        if (!gql_input_find(&want->args, i->name) && gql_is_required(i))
            gql_schema_bad(s, "%.*s.%.*s requires \"%.*s\", which its interface %.*s does not have",
                           GQL_N(t->name), GQL_N(f->name), GQL_N(i->name), GQL_N(interface->name));
}

static void check_interfaces(struct dz_gql_schema *s, const struct dz_gql_type *t)
{
    for (const struct gql_name *i = t->interfaces; i && !s->bad; i = i->next) {
        for (const struct gql_name *above = i->type->interfaces; above; above = above->next) {
            if (above->type == t)
                gql_schema_bad(s, "%.*s and %.*s implement each other", GQL_N(t->name),
                               GQL_N(i->name));
            else if (!implements(t, above->type))
                gql_schema_bad(s, "%.*s implements %.*s and so has to implement %.*s",
                               GQL_N(t->name), GQL_N(i->name), GQL_N(above->name));
        }
        for (const struct dz_gql_field *f = i->type->fields; f && !s->bad; f = f->next)
            check_implemented_field(s, t, i->type, f);
    }
}

/* An input that needs itself could never be written. */
static void check_input_cycle(struct dz_gql_schema *s, struct dz_gql_type *t)
{
    t->visit = 1;
    for (const struct dz_gql_input *i = t->inputs.first; i && !s->bad; i = i->next) {
        if (i->ref->wrap != GQL_NON_NULL || i->ref->of->wrap != GQL_NAMED)
            continue;
        struct dz_gql_type *needed = gql_schema_find(s, i->ref->type->name);
        if (needed->visit == 1)
            gql_schema_bad(s, "the input type \"%.*s\" needs itself through %.*s.%.*s",
                           GQL_N(needed->name), GQL_N(t->name), GQL_N(i->name));
        else if (needed->kind == GQL_INPUT && needed->visit == 0)
            check_input_cycle(s, needed);
    }
    t->visit = 2;
}

/* ---- defaults ----------------------------------------------------------------------------------
 */

/* Defaults inside input types have to be there before others are made of them: a default that
 * leaves out a field takes that field's own. `visit` is 2 after the cycles; 3 while here, 4 done.
 */
static void make_defaults(struct dz_gql_schema *s, struct gql_inputs *inputs, dz_str where);

static void make_type_defaults(struct dz_gql_schema *s, const struct gql_ref *ref)
{
    struct dz_gql_type *t = gql_schema_find(s, ref->type->name);
    if (t->kind != GQL_INPUT || t->visit >= 3)
        return;
    t->visit = 3;
    make_defaults(s, &t->inputs, t->name);
    t->visit = 4;
}

static void make_defaults(struct dz_gql_schema *s, struct gql_inputs *inputs, dz_str where)
{
    for (struct dz_gql_input *i = inputs->first; i && !s->bad; i = i->next) {
        make_type_defaults(s, i->ref);
        if (!i->default_text.p || s->bad)
            continue;
        struct dz_gql_errors errors DZ_AUTO(dz_gql_errors_done);
        dz_gql_errors_init(&errors, 1);
        struct gql_value *v = gql_parse_const(s->arena, i->default_text, &errors);
        struct dz_err err = {0};
        if (!v)
            dz_fail(&err, DZ_BAD_INPUT, "%.*s", DZ_STR_FMT(dz_gql_errors_first(&errors)));
        if (!v || gql_literal_in(s->arena, v, i->ref, NULL, &i->fallback, &err) != DZ_OK)
            gql_schema_bad(s, "the default of %.*s.%.*s: %s", GQL_N(where), GQL_N(i->name),
                           err.text);
    }
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static void find_roots(struct dz_gql_schema *s)
{
    static const char *const usual[] = {"Query", "Mutation", "Subscription"};
    for (size_t i = 0; i < DZ_LEN(usual) && !s->bad; i++) {
        dz_str name = s->root_names[i].p ? s->root_names[i] : dz_str_of(usual[i]);
        if (name.n == 0)
            continue;
        s->roots[i] = gql_schema_find(s, name);
        if (s->root_names[i].p && !s->roots[i])
            gql_schema_bad(s, "the root type \"%.*s\" does not exist", GQL_N(name));
        if (s->roots[i] && s->roots[i]->kind != GQL_OBJECT)
            gql_schema_bad(s, "the root type \"%.*s\" is no object type", GQL_N(name));
        for (size_t j = 0; j < i; j++)
            if (s->roots[i] && s->roots[i] == s->roots[j])
                gql_schema_bad(s, "the type \"%.*s\" is the root of two operations", GQL_N(name));
    }
    if (!s->roots[DZ_GQL_QUERY])
        gql_schema_bad(s, "the schema has no root type for queries");
}

static void check(struct dz_gql_schema *s)
{
    for (struct dz_gql_type *t = s->types; t && !s->bad; t = t->next)
        check_type(s, t);
    for (struct dz_gql_directive *d = s->directives; d && !s->bad; d = d->next)
        check_inputs(s, &d->args, d->name);
    if (s->bad)
        return;
    find_roots(s);
    find_possible(s);
    for (struct dz_gql_type *t = s->types; t && !s->bad; t = t->next)
        if (t->kind == GQL_INPUT && t->visit == 0)
            check_input_cycle(s, t);
    for (struct dz_gql_type *t = s->types; t && !s->bad; t = t->next) {
        make_type_defaults(s, &t->ref);
        for (struct dz_gql_field *f = t->fields; f && !s->bad; f = f->next)
            make_defaults(s, &f->args, f->name);
    }
    for (struct dz_gql_directive *d = s->directives; d && !s->bad; d = d->next)
        make_defaults(s, &d->args, d->name);
    for (struct dz_gql_type *t = s->types; t && !s->bad; t = t->next)
        check_interfaces(s, t);
}

/* __Meta was only there to be checked. */
static void hide_meta(struct dz_gql_schema *s)
{
    struct dz_gql_type **at = &s->types;
    while (*at && *at != s->introspection)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = NULL; /* it came last */
    dz_map_del(&s->type_names, s->introspection->name);
}

enum dz_code dz_gql_schema_finish(struct dz_gql_builder **take_b, struct dz_gql_schema **ret_s,
                                  struct dz_err *err)
{
    struct dz_gql_builder *b DZ_AUTO(dz_gql_builder_free) = dz_take(take_b);
    struct dz_gql_schema *s = b->schema;
    s->internal = true;
    gql_add_introspection(b);
    s->internal = false;
    if (!s->bad)
        check(s);
    hide_meta(s);
    if (s->bad)
        return dz_fail(err, s->err.code, "GraphQL schema: %s", s->err.text);
    *ret_s = dz_take(&b->schema);
    return DZ_OK;
}
