/*
 * rules_values: arguments (section 5.4) and values (5.6) of a document.
 *
 * In: arguments as written and what they should be. Out: complaints; and every use of a variable,
 * with the type that its place expects, on the list of the definition being walked, for
 * rules_variables.c. One owner thread. Depth is bounded by the parser.
 */
#include "graphql/graphql_int.h"

#define FEW 16u /* so many names are compared one with the other */

/* 5.4.2 and 5.6.3: every name once. */
static void rule_unique_names(struct gql_check *c, struct gql_arg *args, uint32_t n,
                              const char *what)
{
    struct dz_map names;
    dz_map_init(&names);
    for (struct gql_arg *a = args; a && !gql_check_over(c); a = a->next) {
        bool twice = false;
        if (n > FEW)
            twice = dz_map_set(&names, a->name, a) != NULL;
        for (struct gql_arg *b = args; n <= FEW && b != a && !twice; b = b->next)
            twice = dz_str_eq(a->name, b->name);
        if (twice)
            gql_complain(c, a->loc, "There can be only one %s named \"%.*s\".", what,
                         GQL_N(a->name));
    }
    dz_map_done(&names);
}

static void add_usage(struct gql_check *c, const struct gql_value *v, const struct gql_ref *ref,
                      bool has_default)
{
    struct gql_usage *u = dz_arena_alloc(c->arena, sizeof(*u));
    *u = (struct gql_usage){v->text, v->loc, ref, has_default, c->definition->usages};
    c->definition->usages = u;
}

/* Where no type is known: only what holds for any value. */
static void check_untyped(struct gql_check *c, const struct gql_value *v)
{
    if (v->kind == DZ_GQL_VARIABLE)
        add_usage(c, v, NULL, false);
    if (v->kind == DZ_GQL_LIST)
        for (const struct gql_value *item = v->items; item; item = item->next)
            check_untyped(c, item);
    if (v->kind != DZ_GQL_OBJECT)
        return;
    rule_unique_names(c, v->members, v->n, "input field");
    for (const struct gql_arg *m = v->members; m; m = m->next)
        check_untyped(c, m->value);
}

/* 5.6.4 */
static void rule_required_fields(struct gql_check *c, const struct gql_value *v,
                                 const struct dz_gql_type *t)
{
    for (const struct dz_gql_input *i = t->inputs.first; i; i = i->next) {
        if (!gql_is_required(i))
            continue;
        bool given = false;
        for (const struct gql_arg *m = v->members; m && !given; m = m->next)
            given = dz_str_eq(m->name, i->name);
        if (!given)
            gql_complain(c, v->loc,
                         "Field \"%.*s.%.*s\" of required type \"%.*s\" was not provided.",
                         GQL_N(t->name), GQL_N(i->name), GQL_N(gql_ref_text(c->scratch, i->ref)));
    }
}

/* 5.6.2 */
static const struct dz_gql_input *rule_field_name(struct gql_check *c, const struct gql_arg *m,
                                                  const struct dz_gql_type *t)
{
    const struct dz_gql_input *i = dz_map_get(&t->names, m->name);
    if (!i)
        gql_complain(c, m->loc, "Field \"%.*s\" is not defined by type \"%.*s\".", GQL_N(m->name),
                     GQL_N(t->name));
    return i;
}

static void complain_type(struct gql_check *c, const struct gql_value *v, const struct gql_ref *ref)
{
    struct dz_gql_value plain;
    char shown[96];
    gql_plain(c->scratch, v, NULL, &plain);
    gql_complain(c, v->loc, "Expected value of type \"%.*s\", found %.*s.",
                 GQL_N(gql_ref_text(c->scratch, ref)), DZ_STR_FMT(gql_value_shown(&plain, shown)));
}

static void check_object(struct gql_check *c, const struct gql_value *v, const struct gql_ref *ref)
{
    if (v->kind != DZ_GQL_OBJECT) {
        complain_type(c, v, ref);
        check_untyped(c, v);
        return;
    }
    rule_unique_names(c, v->members, v->n, "input field");
    rule_required_fields(c, v, ref->type);
    for (const struct gql_arg *m = v->members; m && !gql_check_over(c); m = m->next) {
        const struct dz_gql_input *i = rule_field_name(c, m, ref->type);
        if (i)
            gql_check_value(c, m->value, i->ref, i->fallback.kind != DZ_GQL_ABSENT);
        else
            check_untyped(c, m->value);
    }
}

/* A scalar or an enum. */
static void check_leaf(struct gql_check *c, const struct gql_value *v, const struct gql_ref *ref)
{
    bool custom = ref->type->kind == GQL_SCALAR && ref->type->scalar == GQL_CUSTOM;
    check_untyped(c, v);
    /* What a variable will be is not known yet; a custom scalar is asked again when it is. */
    if (custom && (!ref->type->parse || gql_has_variable(v)))
        return;
    if (!custom && (v->kind == DZ_GQL_LIST || v->kind == DZ_GQL_OBJECT)) {
        complain_type(c, v, ref);
        return;
    }
    struct dz_gql_value plain, out;
    struct dz_err err = {0};
    gql_plain(c->scratch, v, NULL, &plain);
    if (gql_leaf_in(c->scratch, ref->type, &plain, true, 0, &out, &err) != DZ_OK)
        gql_complain(c, v->loc, "%s", err.text);
}

/* 5.6.1 */
void gql_check_value(struct gql_check *c, const struct gql_value *v, const struct gql_ref *ref,
                     bool has_default)
{
    if (gql_check_over(c))
        return;
    if (v->kind == DZ_GQL_VARIABLE) {
        add_usage(c, v, ref, has_default);
        return;
    }
    if (v->kind == DZ_GQL_NULL) {
        if (ref->wrap == GQL_NON_NULL)
            complain_type(c, v, ref);
        return;
    }
    ref = gql_nullable(ref);
    if (ref->wrap == GQL_LIST_OF) {
        if (v->kind != DZ_GQL_LIST)
            gql_check_value(c, v, ref->of, false);
        else
            for (const struct gql_value *item = v->items; item; item = item->next)
                gql_check_value(c, item, ref->of, false);
    } else if (ref->type->kind == GQL_INPUT) {
        check_object(c, v, ref);
    } else {
        check_leaf(c, v, ref);
    }
}

/* 5.4.2.1 */
static void rule_required_args(struct gql_check *c, const struct gql_inputs *inputs,
                               const struct gql_arg *args, dz_str owner, dz_str field,
                               struct dz_gql_loc loc)
{
    for (const struct dz_gql_input *i = inputs->first; i; i = i->next) {
        if (!gql_is_required(i))
            continue;
        bool given = false;
        for (const struct gql_arg *a = args; a && !given; a = a->next)
            given = dz_str_eq(a->name, i->name);
        if (!given)
            gql_complain(c, loc,
                         "%s\"%s%.*s\" argument \"%.*s\" of type \"%.*s\" is required, but it was "
                         "not provided.",
                         owner.n ? "Field " : "Directive ", owner.n ? "" : "@", GQL_N(field),
                         GQL_N(i->name), GQL_N(gql_ref_text(c->scratch, i->ref)));
    }
}

/* 5.4.1 */
static const struct dz_gql_input *rule_arg_name(struct gql_check *c,
                                                const struct gql_inputs *inputs,
                                                const struct gql_arg *a, dz_str owner, dz_str field)
{
    const struct dz_gql_input *i = gql_input_find(inputs, a->name);
    if (!i)
        gql_complain(c, a->loc, "Unknown argument \"%.*s\" on %s%.*s%s%.*s\".", GQL_N(a->name),
                     owner.n ? "field \"" : "directive \"@", GQL_N(owner), owner.n ? "." : "",
                     GQL_N(field));
    return i;
}

/* inputs is NULL where the field is unknown; owner is empty for a directive. */
void gql_check_args(struct gql_check *c, const struct gql_inputs *inputs, struct gql_arg *args,
                    dz_str owner, dz_str field, struct dz_gql_loc loc)
{
    uint32_t n = 0;
    for (const struct gql_arg *a = args; a; a = a->next)
        n++;
    rule_unique_names(c, args, n, "argument");
    for (const struct gql_arg *a = args; a && !gql_check_over(c); a = a->next) {
        const struct dz_gql_input *i = inputs ? rule_arg_name(c, inputs, a, owner, field) : NULL;
        if (i)
            gql_check_value(c, a->value, i->ref, i->fallback.kind != DZ_GQL_ABSENT);
        else
            check_untyped(c, a->value);
    }
    if (inputs)
        rule_required_args(c, inputs, args, owner, field, loc);
}
