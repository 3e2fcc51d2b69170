/*
 * overlap: fields of the same name in an answer must be able to stand for each other (5.3.2).
 *
 * In: an operation of a document that is otherwise valid. Out: the first conflict. Fields are not
 * compared pair by pair: whether two types have the same shape, and whether two fields are the
 * same, are equivalences, so that each field is compared with the first of its group. Fields of
 * different object types never meet in one object; only their shapes are compared, also below. What
 * that costs at most is counted as work. As deep as the document's own depth, which is limited.
 */
#include "graphql/graphql_int.h"

struct use {
    const struct gql_selection *s;
    struct use *next;
};
struct group { /* fields with one key in one merged set */
    dz_str key;
    struct use *first, **last;
    struct group *next;
};
struct groups {
    struct group *first, **last;
    uint32_t n;
    bool mapped;
    struct dz_map map; /* from the ninth group on */
};
struct trail { /* the keys from the operation down to here */
    const struct trail *up;
    dz_str key;
};

enum { FEW = 8 };

/* ---- groups ---------------------------------------------------------------------------------- */

static struct group *find_group(struct gql_check *c, struct groups *g, dz_str key)
{
    if (!g->mapped && g->n > FEW) {
        g->mapped = true;
        for (struct group *x = g->first; x; x = x->next)
            dz_map_set(&g->map, x->key, x);
    }
    struct group *x = g->mapped ? dz_map_get(&g->map, key) : g->first;
    while (x && !g->mapped && !dz_str_eq(x->key, key))
        x = x->next;
    if (x)
        return x;
    x = dz_arena_alloc(c->scratch, sizeof(*x));
    *x = (struct group){.key = key};
    x->last = &x->first;
    *g->last = x;
    g->last = &x->next;
    g->n++;
    if (g->mapped)
        dz_map_set(&g->map, key, x);
    return x;
}

/* Sorts the fields of a set into groups; each fragment counts once a walk. */
static void collect(struct gql_check *c, struct groups *g, const struct gql_selection *set,
                    uint32_t walk)
{
    for (const struct gql_selection *s = set; s && gql_check_work(c, s->name.n); s = s->next) {
        if (s->kind == GQL_INLINE) {
            collect(c, g, s->set, walk);
        } else if (s->kind == GQL_SPREAD) {
            if (s->fragment->seen_by == walk)
                continue;
            s->fragment->seen_by = walk;
            collect(c, g, s->fragment->set, walk);
        } else {
            struct group *x = find_group(c, g, gql_response_key(s));
            struct use *u = dz_arena_alloc(c->scratch, sizeof(*u));
            *u = (struct use){s, NULL};
            *x->last = u;
            x->last = &u->next;
        }
    }
}

/* ---- what makes a conflict ------------------------------------------------------------------- */

static void complain(struct gql_check *c, const struct trail *t, const struct gql_selection *a,
                     const struct gql_selection *b, const char *why)
{
    /* Without more work nothing was compared to the end. */
    if (c->work > c->work_max)
        return;
    struct dz_buf words DZ_AUTO(dz_buf_done);
    dz_buf_init(&words, 900);
    const struct trail *way[256];
    size_t n = 0;
    for (; t && n < DZ_LEN(way); t = t->up)
        way[n++] = t;
    for (size_t i = n; i-- > 0;)
        dz_buf_putf(&words, "%s \"%.*s\" conflict because ", i + 1 == n ? "Fields" : "subfields",
                    GQL_N(way[i]->key));
    struct dz_gql_error *error = gql_errors_new(
        c->errors, DZ_BAD_INPUT,
        "%.*s%s. Use different aliases on the fields to fetch both if this was intentional.",
        DZ_STR_FMT(dz_buf_str(&words)), why);
    gql_error_at(c->errors, error, a->loc);
    gql_error_at(c->errors, error, b->loc);
}

static bool same_shape(const struct gql_ref *a, const struct gql_ref *b)
{
    for (; a->wrap == b->wrap && a->wrap != GQL_NAMED; a = a->of)
        b = b->of;
    if (a->wrap != b->wrap)
        return false;
    return a->type == b->type || (gql_is_composite(a->type) && gql_is_composite(b->type));
}

static bool same_args(struct gql_check *c, const struct gql_arg *a, const struct gql_arg *b);

static bool same_value(struct gql_check *c, const struct gql_value *a, const struct gql_value *b)
{
    if (a->kind != b->kind || a->n != b->n || !gql_check_work(c, a->text.n))
        return false;
    if (a->kind == DZ_GQL_OBJECT)
        return same_args(c, a->members, b->members);
    if (a->kind != DZ_GQL_LIST)
        return dz_str_eq(a->text, b->text);
    const struct gql_value *y = b->items;
    for (const struct gql_value *x = a->items; x; x = x->next, y = y->next)
        if (!same_value(c, x, y))
            return false;
    return true;
}

/* In any order. */
static bool same_args(struct gql_check *c, const struct gql_arg *a, const struct gql_arg *b)
{
    uint32_t more = 0;
    for (const struct gql_arg *x = b; x; x = x->next)
        more++;
    for (; a; a = a->next, more--) {
        const struct gql_arg *same = b;
        while (same && !dz_str_eq(same->name, a->name) && gql_check_work(c, 0))
            same = same->next;
        if (!same || !same_value(c, a->value, same->value))
            return false;
    }
    return more == 0;
}

static bool shapes_fit(struct gql_check *c, const struct trail *t, const struct group *g)
{
    const struct gql_selection *a = g->first->s;
    for (const struct use *u = g->first->next; u; u = u->next) {
        const struct gql_selection *b = u->s;
        if (a->def == b->def || same_shape(a->def->ref, b->def->ref))
            continue;
        char why[300];
        snprintf(why, sizeof(why), "they return conflicting types \"%.*s\" and \"%.*s\"",
                 GQL_N(gql_ref_text(c->scratch, a->def->ref)),
                 GQL_N(gql_ref_text(c->scratch, b->def->ref)));
        complain(c, t, a, b, why);
        return false;
    }
    return true;
}

static bool fields_fit(struct gql_check *c, const struct trail *t, const struct gql_selection *a,
                       const struct gql_selection *b)
{
    if (a == b)
        return true;
    char why[300];
    if (!dz_str_eq(a->name, b->name))
        snprintf(why, sizeof(why), "\"%.*s\" and \"%.*s\" are different fields", GQL_N(a->name),
                 GQL_N(b->name));
    else if (!same_args(c, a->args, b->args))
        snprintf(why, sizeof(why), "they have differing arguments");
    else
        return true;
    complain(c, t, a, b, why);
    return false;
}

/* ---- merging --------------------------------------------------------------------------------- */

/* Whether fields of a and b can be asked of one and the same object. */
static bool can_meet(const struct gql_selection *a, const struct gql_selection *b)
{
    return a->parent == b->parent || gql_is_abstract(a->parent) || gql_is_abstract(b->parent);
}

/* Every use that can meet x is the same field. An abstract x meets all; when all uses are of object
 * types, each is compared with the first of its own type. */
static bool group_fits(struct gql_check *c, const struct trail *t, const struct group *g)
{
    const struct use *abstract = g->first;
    while (abstract && !gql_is_abstract(abstract->s->parent))
        abstract = abstract->next;
    for (const struct use *u = g->first; u; u = u->next) {
        const struct use *other = abstract ? abstract : g->first;
        while (other != u && !can_meet(other->s, u->s) && gql_check_work(c, 0))
            other = other->next;
        if (!fields_fit(c, t, other->s, u->s))
            return false;
    }
    return true;
}

static bool merge(struct gql_check *c, const struct trail *t, const struct use *uses,
                  const struct gql_selection *meeting, bool shapes_only);

/* Below a group: all that can meet is merged, once for each object type where there are several. */
static bool merge_below(struct gql_check *c, const struct trail *t, const struct group *g,
                        bool shapes_only)
{
    const struct gql_selection *first = NULL;
    bool several = false;
    for (const struct use *u = g->first; u; u = u->next) {
        if (gql_is_abstract(u->s->parent))
            continue;
        several |= first && first->parent != u->s->parent;
        first = first ? first : u->s;
    }
    if (!several || shapes_only)
        return merge(c, t, g->first, NULL, shapes_only);
    if (!merge(c, t, g->first, NULL, true))
        return false;
    for (const struct use *u = g->first; u; u = u->next) {
        bool done = gql_is_abstract(u->s->parent);
        for (const struct use *v = g->first; v != u && !done && gql_check_work(c, 0); v = v->next)
            done = v->s->parent == u->s->parent;
        if (!done && !merge(c, t, g->first, u->s, false))
            return false;
    }
    return true;
}

static bool check_groups(struct gql_check *c, const struct trail *up, const struct groups *g,
                         bool shapes_only)
{
    for (const struct group *x = g->first; x; x = x->next) {
        struct trail t = {up, x->key};
        if (x->first->next && ((!shapes_only && !group_fits(c, &t, x)) || !shapes_fit(c, &t, x)))
            return false;
        if (x->first->s->set && !merge_below(c, &t, x, shapes_only))
            return false;
    }
    return c->work <= c->work_max;
}

/* The sets below those uses that can meet `meeting` (NULL: all), as one. */
static bool merge(struct gql_check *c, const struct trail *t, const struct use *uses,
                  const struct gql_selection *meeting, bool shapes_only)
{
    struct groups g = {.last = &g.first};
    uint32_t walk = ++c->walks;
    dz_map_init(&g.map);
    for (; uses; uses = uses->next)
        if (uses->s->set && (!meeting || can_meet(uses->s, meeting)))
            collect(c, &g, uses->s->set, walk);
    bool ok = check_groups(c, t, &g, shapes_only);
    dz_map_done(&g.map);
    return ok;
}

void gql_check_overlap(struct gql_check *c, const struct gql_definition *operation)
{
    /* A root type that the schema does not have says nothing about its fields. */
    if (!operation->type || c->errors->count > 0)
        return;
    struct gql_selection root = {.set = operation->set, .parent = operation->type};
    struct use use = {&root, NULL};
    /* The one error that may come of it. */
    if (!merge(c, NULL, &use, NULL, false))
        dz_assert(c->errors->count > 0);
}
