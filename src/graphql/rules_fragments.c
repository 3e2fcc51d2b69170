/*
 * rules_fragments: fragments of a document (section 5.5), and what they make it grow to.
 *
 * In: the tree. Out: complaints; every spread's fragment; and for each fragment how many fields it
 * selects and how deep it goes when what it spreads is followed, which is what limits are about.
 * One owner thread. Fragments are followed with a list, not with the C stack: a chain of them may
 * be as long as the text.
 */
#include "graphql/graphql_int.h"

#define FIELDS_COUNTED 1000000000u /* more are not told apart */

/* 5.5.1.1 */
static void rule_unique_names(struct gql_check *c)
{
    struct dz_map *names = &c->doc->fragment_names;
    for (struct gql_definition *f = c->doc->fragments; f && !gql_check_over(c); f = f->next) {
        if (dz_map_get(names, f->name))
            gql_complain(c, f->name_loc, "There can be only one fragment named \"%.*s\".",
                         GQL_N(f->name));
        else
            dz_map_set(names, f->name, f);
    }
}

/* 5.5.2.1 */
static void rule_target_defined(struct gql_check *c, struct gql_definition *d)
{
    for (struct gql_selection *s = d->spreads; s && !gql_check_over(c); s = s->next_spread) {
        s->fragment = dz_map_get(&c->doc->fragment_names, s->name);
        if (!s->fragment)
            gql_complain(c, s->loc, "Unknown fragment \"%.*s\".", GQL_N(s->name));
    }
}

void gql_check_fragment_names(struct gql_check *c)
{
    rule_unique_names(c);
    for (struct gql_definition *o = c->doc->operations; o; o = o->next)
        rule_target_defined(c, o);
    for (struct gql_definition *f = c->doc->fragments; f; f = f->next)
        rule_target_defined(c, f);
}

/* 5.5.1.2 and 5.5.1.3; name is empty for an inline fragment. */
static const struct dz_gql_type *rule_condition(struct gql_check *c, dz_str on,
                                                struct dz_gql_loc loc, dz_str name)
{
    const struct dz_gql_type *t = gql_schema_find(c->schema, on);
    if (!t) {
        gql_complain(c, loc, "Unknown type \"%.*s\".", GQL_N(on));
    } else if (!gql_is_composite(t)) {
        const char *quote = name.n ? "\"" : "";
        gql_complain(c, loc, "Fragment %s%.*s%s%scannot condition on non composite type \"%.*s\".",
                     quote, GQL_N(name), quote, name.n ? " " : "", GQL_N(on));
        t = NULL;
    }
    return t;
}

void gql_check_fragment_types(struct gql_check *c)
{
    for (struct gql_definition *f = c->doc->fragments; f && !gql_check_over(c); f = f->next)
        f->type = rule_condition(c, f->on, f->on_loc, f->name);
}

/* 5.5.2.3 */
static void rule_possible(struct gql_check *c, const struct dz_gql_type *parent,
                          const struct dz_gql_type *t, const struct gql_selection *s)
{
    if (!parent || !t || parent == t)
        return;
    size_t words = ((size_t)c->schema->types_n + 63) / 64;
    for (size_t i = 0; i < words; i++)
        if (parent->possible[i] & t->possible[i])
            return;
    const char *quote = s->kind == GQL_SPREAD ? "\"" : "";
    gql_complain(c, s->loc,
                 "Fragment %s%.*s%s%scannot be spread here as objects of type \"%.*s\" can never "
                 "be of type \"%.*s\".",
                 quote, GQL_N(s->name), quote, s->kind == GQL_SPREAD ? " " : "",
                 GQL_N(parent->name), GQL_N(t->name));
}

void gql_check_spread(struct gql_check *c, struct gql_selection *s,
                      const struct dz_gql_type *parent)
{
    if (s->fragment) {
        s->on_type = s->fragment->type;
        rule_possible(c, parent, s->on_type, s);
    }
}

void gql_check_inline(struct gql_check *c, struct gql_selection *s,
                      const struct dz_gql_type *parent)
{
    s->on_type = parent;
    if (s->on.n == 0)
        return;
    s->on_type = rule_condition(c, s->on, s->on_loc, DZ_S(""));
    rule_possible(c, parent, s->on_type, s);
}

/* 5.5.1.4; after the variables of all operations, whose rules follow every spread. */
void gql_check_fragments_used(struct gql_check *c)
{
    for (struct gql_definition *f = c->doc->fragments; f && !gql_check_over(c); f = f->next)
        if (!f->spread)
            gql_complain(c, f->loc, "Fragment \"%.*s\" is never used.", GQL_N(f->name));
}

/* ---- cycles and size ----------------------------------------------------------------------------
 */

struct size {
    uint32_t fields, depth, introspection;
};

static uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static void add_size(struct size *to, uint32_t fields, uint32_t depth, uint32_t introspection)
{
    to->fields = to->fields + fields < FIELDS_COUNTED ? to->fields + fields : FIELDS_COUNTED;
    to->depth = most(to->depth, depth);
    to->introspection = most(to->introspection, introspection);
}

/* Lists of the introspection that lead to types again. */
static bool is_growing(const struct gql_selection *s)
{
    return s->parent && s->parent->built_in &&
           (dz_str_eq(s->name, DZ_S("fields")) || dz_str_eq(s->name, DZ_S("interfaces")) ||
            dz_str_eq(s->name, DZ_S("possibleTypes")) || dz_str_eq(s->name, DZ_S("inputFields")));
}

/* As deep as the text, which the parser has bounded. */
static struct size measure_set(const struct gql_selection *set)
{
    struct size size = {0, 1, 0};
    for (const struct gql_selection *s = set; s; s = s->next) {
        if (s->kind == GQL_SPREAD) {
            if (s->fragment)
                add_size(&size, s->fragment->fields + 1, s->fragment->depth + 1,
                         s->fragment->introspection);
        } else if (s->set) {
            struct size below = measure_set(s->set);
            add_size(&size, below.fields + 1, below.depth + 1,
                     below.introspection + (s->kind == GQL_FIELD && is_growing(s)));
        } else {
            add_size(&size, 1, 1, 0);
        }
    }
    return size;
}

void gql_measure(struct gql_definition *d)
{
    struct size size = measure_set(d->set);
    d->fields = size.fields;
    d->depth = size.depth;
    d->introspection = size.introspection;
}

/* 5.5.2.2: back is the spread that leads from `d` to a fragment that is being followed. */
static void rule_cycle(struct gql_check *c, const struct gql_definition *d,
                       const struct gql_selection *back)
{
    c->cyclic = true;
    if (gql_check_over(c))
        return;
    struct dz_buf via DZ_AUTO(dz_buf_done);
    dz_buf_init(&via, 200);
    for (const struct gql_definition *f = d; f != back->fragment && !via.full; f = f->from)
        dz_buf_putf(&via, "%s\"%.*s\"", via.n ? ", " : " via ", GQL_N(f->name));
    gql_complain(c, back->loc, "Cannot spread fragment \"%.*s\" within itself%.*s.",
                 GQL_N(back->name), DZ_STR_FMT(dz_buf_str(&via)));
}

static struct gql_definition *enter(struct gql_definition *f, struct gql_definition *from)
{
    f->visit = 1;
    f->from = from;
    f->at = f->spreads;
    return f;
}

void gql_check_fragment_cycles(struct gql_check *c)
{
    for (struct gql_definition *f = c->doc->fragments; f; f = f->next) {
        struct gql_definition *d = f->visit == 0 ? enter(f, NULL) : NULL;
        while (d) {
            struct gql_selection *s = d->at;
            if (!s) {
                d->visit = 2;
                gql_measure(d);
                d = d->from;
                continue;
            }
            d->at = s->next_spread;
            if (s->fragment && s->fragment->visit == 1)
                rule_cycle(c, d, s);
            else if (s->fragment && s->fragment->visit == 0)
                d = enter(s->fragment, d);
        }
    }
}
