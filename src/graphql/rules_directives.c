/*
 * rules_directives: directives of a document (section 5.7).
 *
 * In: the directives of one place. Out: complaints; their arguments are checked as those of fields
 * are. One owner thread.
 */
#include "graphql/graphql_int.h"

/* 5.7.1 */
static const struct dz_gql_directive *rule_known(struct gql_check *c,
                                                 const struct gql_directive_use *d)
{
    const struct dz_gql_directive *def = gql_directive_find(c->schema, d->name);
    if (!def)
        gql_complain(c, d->loc, "Unknown directive \"@%.*s\".", GQL_N(d->name));
    return def;
}

/* 5.7.2 */
static void rule_place(struct gql_check *c, const struct gql_directive_use *d,
                       const struct dz_gql_directive *def, enum dz_gql_place place)
{
    if (def->places & place)
        return;
    unsigned bit = 0;
    while (!((unsigned)place >> bit & 1))
        bit++;
    gql_complain(c, d->loc, "Directive \"@%.*s\" may not be used on %s.", GQL_N(d->name),
                 gql_place_names[bit]);
}

/* 5.7.3 */
static void rule_once(struct gql_check *c, const struct gql_directive_use *first,
                      const struct gql_directive_use *d, const struct dz_gql_directive *def)
{
    for (; first != d && !def->repeatable; first = first->next) {
        if (!dz_str_eq(first->name, d->name))
            continue;
        gql_complain(c, d->loc, "The directive \"@%.*s\" can only be used once at this location.",
                     GQL_N(d->name));
        return;
    }
}

void gql_check_directives(struct gql_check *c, struct gql_directive_use *first,
                          enum dz_gql_place place)
{
    for (struct gql_directive_use *d = first; d && !gql_check_over(c); d = d->next) {
        const struct dz_gql_directive *def = rule_known(c, d);
        if (def) {
            rule_place(c, d, def, place);
            rule_once(c, first, d, def);
        }
        gql_check_args(c, def ? &def->args : NULL, d->args, DZ_S(""), d->name, d->loc);
    }
}
