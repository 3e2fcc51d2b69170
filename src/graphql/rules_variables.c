/*
 * rules_variables: variables of a document (section 5.8).
 *
 * In: the definitions of an operation, and the uses that rules_values.c has listed for operations
 * and fragments. Out: complaints; each definition's type in the schema. One owner thread. How often
 * fragments are visited for many operations counts as work, which is bounded.
 */
#include "graphql/graphql_int.h"

/* 5.8.1 */
static void rule_unique(struct gql_check *c, const struct gql_definition *o)
{
    struct dz_map names;
    dz_map_init(&names);
    for (struct gql_variable *v = o->variables; v && !gql_check_over(c); v = v->next)
        if (dz_map_set(&names, v->name, v))
            gql_complain(c, v->loc, "There can be only one variable named \"$%.*s\".",
                         GQL_N(v->name));
    dz_map_done(&names);
}

/* 5.8.2, and that the type exists at all. */
static void rule_input_type(struct gql_check *c, struct gql_variable *v)
{
    v->ref = gql_ref_of(c->arena, c->schema, v->type);
    const struct gql_type_use *named = v->type;
    while (named->of)
        named = named->of;
    if (!v->ref) {
        gql_complain(c, named->loc, "Unknown type \"%.*s\".", GQL_N(named->name));
    } else if (!gql_is_input(v->ref->type)) {
        gql_complain(c, v->type->loc, "Variable \"$%.*s\" cannot be non-input type \"%.*s\".",
                     GQL_N(v->name), GQL_N(gql_ref_text(c->scratch, v->ref)));
        v->ref = NULL;
    }
}

void gql_check_variable_definitions(struct gql_check *c, struct gql_definition *o)
{
    rule_unique(c, o);
    for (struct gql_variable *v = o->variables; v && !gql_check_over(c); v = v->next) {
        rule_input_type(c, v);
        if (v->fallback && v->ref)
            gql_check_value(c, v->fallback, v->ref, false);
        gql_check_directives(c, v->directives, DZ_GQL_ON_VARIABLE_DEFINITION);
    }
}

/* 5.8.5: a default, of the variable or of the place, makes up for a missing non-null. */
static void rule_position(struct gql_check *c, const struct gql_variable *v,
                          const struct gql_usage *u)
{
    if (!v->ref || !u->ref)
        return;
    const struct gql_ref *wanted = u->ref;
    bool has_value = v->fallback && v->fallback->kind != DZ_GQL_NULL;
    if (wanted->wrap == GQL_NON_NULL && v->ref->wrap != GQL_NON_NULL &&
        (has_value || u->has_default))
        wanted = wanted->of;
    if (gql_ref_covers(wanted, v->ref))
        return;
    struct dz_gql_error *error = gql_errors_new(
        c->errors, DZ_BAD_INPUT,
        "Variable \"$%.*s\" of type \"%.*s\" used in position expecting type \"%.*s\".",
        GQL_N(v->name), GQL_N(gql_ref_text(c->scratch, v->ref)),
        GQL_N(gql_ref_text(c->scratch, u->ref)));
    gql_error_at(c->errors, error, v->loc);
    gql_error_at(c->errors, error, u->loc);
}

/* 5.8.3 */
static void rule_defined(struct gql_check *c, const struct gql_definition *o,
                         const struct gql_usage *u)
{
    if (o->name.n)
        gql_complain(c, u->loc, "Variable \"$%.*s\" is not defined by operation \"%.*s\".",
                     GQL_N(u->name), GQL_N(o->name));
    else
        gql_complain(c, u->loc, "Variable \"$%.*s\" is not defined.", GQL_N(u->name));
}

/* 5.8.4 */
static void rule_used(struct gql_check *c, const struct gql_definition *o,
                      const struct gql_variable *v)
{
    if (v->used)
        return;
    if (o->name.n)
        gql_complain(c, v->loc, "Variable \"$%.*s\" is never used in operation \"%.*s\".",
                     GQL_N(v->name), GQL_N(o->name));
    else
        gql_complain(c, v->loc, "Variable \"$%.*s\" is never used.", GQL_N(v->name));
}

static void check_usages(struct gql_check *c, const struct gql_definition *o,
                         const struct dz_map *names, const struct gql_definition *d)
{
    for (const struct gql_usage *u = d->usages; u && !gql_check_over(c); u = u->next) {
        if (!gql_check_work(c, u->name.n))
            return;
        struct gql_variable *v = dz_map_get(names, u->name);
        if (v) {
            v->used = true;
            rule_position(c, v, u);
        } else {
            rule_defined(c, o, u);
        }
    }
}

void gql_check_variable_usages(struct gql_check *c, struct gql_definition *o)
{
    struct dz_map names;
    dz_map_init(&names);
    for (struct gql_variable *v = o->variables; v; v = v->next)
        dz_map_set(&names, v->name, v);
    /* Everything that the operation reaches, each fragment once. */
    uint32_t walk = ++c->walks;
    struct gql_definition *todo = o;
    o->from = NULL;
    while (todo && !gql_check_over(c) && gql_check_work(c, 0)) {
        struct gql_definition *d = todo;
        todo = d->from;
        check_usages(c, o, &names, d);
        for (struct gql_selection *s = d->spreads; s; s = s->next_spread) {
            struct gql_definition *f = s->fragment;
            if (!gql_check_work(c, 0))
                break;
            if (!f || f->seen_by == walk)
                continue;
            f->seen_by = walk;
            f->spread = true;
            f->from = todo;
            todo = f;
        }
    }
    for (struct gql_variable *v = o->variables; v && !gql_check_over(c); v = v->next)
        rule_used(c, o, v);
    dz_map_done(&names);
}
