/*
 * validate: text → a document that can be run (section 5 of the specification).
 *
 * In: a schema, a text, limits. Out: a document, whose tree now knows the schema's fields and
 * types, or what is wrong with it. One owner thread; the document is shared afterwards. Order
 * matters for the cost of hostile texts: size and depth are bounded while parsing, cycles and the
 * number of fields after all fragments are followed come next, and only then what depends on them.
 * Each rule is a function of its own, here or in the rules_ files.
 */
#include "graphql/graphql_int.h"

#define WORK_PER_FIELD 8u
#define BYTES_PER_WORK 64u

struct dz_gql_limits dz_gql_limits_default(void)
{
    return (struct dz_gql_limits){
        .bytes_max = 128 * 1024,
        .tokens_max = 8000,
        .depth_max = 32,
        .aliases_max = 500,
        .fields_max = 5000,
        .errors_max = 50,
        .introspection_depth_max = 3,
    };
}

bool gql_check_work(struct gql_check *c, size_t bytes)
{
    size_t cost = 1 + bytes / BYTES_PER_WORK;
    if (c->work <= c->work_max && cost <= c->work_max - c->work) {
        c->work += (uint32_t)cost;
        return true;
    }
    if (c->work <= c->work_max) {
        c->work = c->work_max + 1;
        gql_errors_new(c->errors, DZ_TOO_LARGE, "The document is too complex to be checked.");
    }
    return false;
}

/* ---- operations (5.2) ---------------------------------------------------------------------------
 */

/* 5.2.1.1 */
static void rule_operation_names(struct gql_check *c)
{
    struct dz_map names;
    dz_map_init(&names);
    for (struct gql_definition *o = c->doc->operations; o; o = o->next)
        if (o->name.n > 0 && dz_map_set(&names, o->name, o))
            gql_complain(c, o->name_loc, "There can be only one operation named \"%.*s\".",
                         GQL_N(o->name));
    dz_map_done(&names);
}

/* 5.2.2.1 */
static void rule_lone_anonymous(struct gql_check *c)
{
    if (c->doc->operations_n < 2)
        return;
    for (struct gql_definition *o = c->doc->operations; o; o = o->next)
        if (o->name.n == 0)
            gql_complain(c, o->loc, "This anonymous operation must be the only defined operation.");
}

/* The first field of a set, fragments followed, whose key is not `key`; NULL too when no more work
 * may be done. */
static const struct gql_selection *other_field(struct gql_check *c, struct gql_selection *set,
                                               uint32_t walk, dz_str key)
{
    const struct gql_selection *found = NULL;
    /* Long sets are read from memory again for each operation: a selection is four steps. */
    for (struct gql_selection *s = set; s && !found && gql_check_work(c, 3 * BYTES_PER_WORK);
         s = s->next) {
        if (s->kind == GQL_FIELD) {
            if (!dz_str_eq(gql_response_key(s), key))
                found = s;
        } else if (s->kind == GQL_INLINE) {
            found = other_field(c, s->set, walk, key);
        } else if (s->fragment && s->fragment->seen_by != walk) {
            s->fragment->seen_by = walk;
            found = other_field(c, s->fragment->set, walk, key);
        }
    }
    return found;
}

/* 5.2.3.1; only where fragments are known to end. */
static void rule_single_root_field(struct gql_check *c, const struct gql_definition *o)
{
    if (o->operation != DZ_GQL_SUBSCRIPTION)
        return;
    const struct gql_selection *first = other_field(c, o->set, ++c->walks, DZ_S(""));
    if (!first)
        return;
    const struct gql_selection *other = other_field(c, o->set, ++c->walks, gql_response_key(first));
    dz_str name = o->name;
    const char *quote = name.n ? "\"" : "";
    if (other)
        gql_complain(c, other->loc, "%s%s%.*s%s must select only one top level field.",
                     name.n ? "Subscription " : "Anonymous Subscription", quote, GQL_N(name),
                     quote);
    if (dz_str_starts(first->name, DZ_S("__")))
        gql_complain(c, first->loc, "%s%s%.*s%s must not select an introspection top level field.",
                     name.n ? "Subscription " : "Anonymous Subscription", quote, GQL_N(name),
                     quote);
}

/* ---- fields (5.3) -------------------------------------------------------------------------------
 */

/* The field of t whose name is nearest to what was written. */
static dz_str suggestion(struct gql_check *c, const struct dz_gql_type *t, dz_str name)
{
    dz_str best = {NULL, 0};
    unsigned least = (unsigned)name.n * 2 / 5 + 2;
    if (name.n > 40 || c->suggestions == GQL_SUGGESTIONS_MAX)
        return best;
    c->suggestions++;
    for (const struct dz_gql_field *f = t->fields; f; f = f->next) {
        unsigned distance = f->name.n <= 40 ? dz_str_distance(name, f->name) : least;
        if (distance < least) {
            least = distance;
            best = f->name;
        }
    }
    return best;
}

/* 5.3.1 */
static void rule_field_exists(struct gql_check *c, struct gql_selection *s,
                              const struct dz_gql_type *parent)
{
    s->parent = parent;
    s->def = parent ? gql_field_find(c->schema, parent, s->name) : NULL;
    bool hidden = c->limits->no_introspection;
    if (s->def && hidden && s->def->parent == c->schema->introspection &&
        s->def != c->schema->typename_field)
        gql_complain(c, s->loc, "Field \"%.*s\" is not allowed: the introspection is off.",
                     GQL_N(s->name));
    if (s->def || !parent)
        return;
    dz_str near = hidden ? (dz_str){NULL, 0} : suggestion(c, parent, s->name);
    gql_complain(c, s->loc, "Cannot query field \"%.*s\" on type \"%.*s\".%s%.*s%s", GQL_N(s->name),
                 GQL_N(parent->name), near.n ? " Did you mean \"" : "", GQL_N(near),
                 near.n ? "\"?" : "");
}

/* 5.3.3 */
static void rule_leaf_selection(struct gql_check *c, const struct gql_selection *s)
{
    if (!s->def)
        return;
    bool composite = gql_is_composite(s->def->ref->type);
    if (composite == (s->set != NULL))
        return;
    dz_str type = gql_ref_text(c->scratch, s->def->ref);
    if (composite)
        gql_complain(c, s->loc,
                     "Field \"%.*s\" of type \"%.*s\" must have a selection of subfields. "
                     "Did you mean \"%.*s { ... }\"?",
                     GQL_N(s->name), GQL_N(type), GQL_N(s->name));
    else
        gql_complain(c, s->set->loc,
                     "Field \"%.*s\" must not have a selection since type \"%.*s\" has no "
                     "subfields.",
                     GQL_N(s->name), GQL_N(type));
}

static void walk_set(struct gql_check *c, struct gql_selection *set,
                     const struct dz_gql_type *parent);

static void walk_field(struct gql_check *c, struct gql_selection *s,
                       const struct dz_gql_type *parent)
{
    rule_field_exists(c, s, parent);
    rule_leaf_selection(c, s);
    if (s->def)
        gql_check_args(c, &s->def->args, s->args, s->parent->name, s->def->name, s->loc);
    else
        gql_check_args(c, NULL, s->args, DZ_S(""), s->name, s->loc);
    gql_check_directives(c, s->directives, DZ_GQL_ON_FIELD);
    bool known = s->def && gql_is_composite(s->def->ref->type);
    if (s->set)
        walk_set(c, s->set, known ? s->def->ref->type : NULL);
}

/* parent is NULL where it is not known: then nothing is said of the fields. */
static void walk_set(struct gql_check *c, struct gql_selection *set,
                     const struct dz_gql_type *parent)
{
    for (struct gql_selection *s = set; s && !gql_check_over(c); s = s->next) {
        if (s->kind == GQL_FIELD) {
            walk_field(c, s, parent);
        } else if (s->kind == GQL_SPREAD) {
            gql_check_spread(c, s, parent);
            gql_check_directives(c, s->directives, DZ_GQL_ON_FRAGMENT_SPREAD);
        } else {
            gql_check_inline(c, s, parent);
            gql_check_directives(c, s->directives, DZ_GQL_ON_INLINE_FRAGMENT);
            walk_set(c, s->set, s->on_type);
        }
    }
}

/* ---- the whole ----------------------------------------------------------------------------------
 */

static void walk_operation(struct gql_check *c, struct gql_definition *o)
{
    static const enum dz_gql_place places[] = {DZ_GQL_ON_QUERY, DZ_GQL_ON_MUTATION,
                                               DZ_GQL_ON_SUBSCRIPTION};
    c->definition = o;
    o->type = c->schema->roots[o->operation];
    gql_check_variable_definitions(c, o);
    gql_check_directives(c, o->directives, places[o->operation]);
    walk_set(c, o->set, o->type);
}

static void walk_fragment(struct gql_check *c, struct gql_definition *f)
{
    c->definition = f;
    gql_check_directives(c, f->directives, DZ_GQL_ON_FRAGMENT_DEFINITION);
    walk_set(c, f->set, f->type);
}

/* What an operation grows to when its fragments are followed. */
static void limit_operation(struct gql_check *c, struct gql_definition *o)
{
    gql_measure(o);
    const struct {
        uint32_t is, max;
        const char *words;
    } rows[] = {
        {o->fields, c->limits->fields_max, "selects more fields than"},
        {o->depth, c->limits->depth_max, "selects deeper than"},
        {o->introspection, c->limits->introspection_depth_max,
         "nests lists of the introspection deeper than"},
    };
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        if (rows[i].is <= rows[i].max)
            continue;
        struct dz_gql_error *error = gql_errors_new(c->errors, DZ_TOO_LARGE, "The operation %s %u.",
                                                    rows[i].words, rows[i].max);
        gql_error_at(c->errors, error, o->loc);
    }
}

static void validate(struct gql_check *c)
{
    struct dz_gql_doc *d = c->doc;
    gql_check_fragment_names(c);
    gql_check_fragment_types(c);
    rule_operation_names(c);
    rule_lone_anonymous(c);
    for (struct gql_definition *o = d->operations; o && !gql_check_over(c); o = o->next)
        walk_operation(c, o);
    for (struct gql_definition *f = d->fragments; f && !gql_check_over(c); f = f->next)
        walk_fragment(c, f);
    gql_check_fragment_cycles(c);
    for (struct gql_definition *o = d->operations; o && !gql_check_over(c); o = o->next)
        gql_check_variable_usages(c, o);
    gql_check_fragments_used(c);
    if (c->cyclic)
        return;
    for (struct gql_definition *o = d->operations; o && !gql_check_over(c); o = o->next)
        limit_operation(c, o);
    if (c->errors->count > 0)
        return;
    for (struct gql_definition *o = d->operations; o && !gql_check_over(c); o = o->next) {
        rule_single_root_field(c, o);
        gql_check_overlap(c, o);
    }
}

static enum dz_code prepare(struct dz_gql_doc *d, const struct dz_gql_limits *limits,
                            struct dz_gql_errors *errors)
{
    DZ_TRY(gql_parse(d, limits, errors));
    struct dz_arena *scratch DZ_AUTO(dz_arena_free) = dz_arena_new(SIZE_MAX);
    struct gql_check c = {
        .doc = d,
        .schema = d->schema,
        .limits = limits,
        .errors = errors,
        .arena = d->arena,
        .scratch = scratch,
        .work_max = limits->fields_max < UINT32_MAX / WORK_PER_FIELD
                        ? limits->fields_max * WORK_PER_FIELD
                        : UINT32_MAX - 1,
    };
    validate(&c);
    return errors->first ? errors->first->code : DZ_OK;
}

enum dz_code dz_gql_prepare(struct dz_gql_schema *s, dz_str text,
                            const struct dz_gql_limits *limits, struct dz_gql_doc **ret_d,
                            struct dz_gql_errors *errors)
{
    if (text.n > limits->bytes_max) {
        dz_gql_errors_add(errors, DZ_TOO_LARGE, "The document is longer than %u bytes.",
                          limits->bytes_max);
        return DZ_TOO_LARGE;
    }
    struct dz_gql_doc *d DZ_AUTO(dz_gql_doc_unref) = dz_new(struct dz_gql_doc);
    atomic_init(&d->refs, 1);
    d->schema = dz_gql_schema_ref(s);
    d->arena = dz_arena_new(SIZE_MAX);
    d->text = dz_arena_str(d->arena, text);
    dz_map_init(&d->fragment_names);
    struct dz_gql_errors own DZ_AUTO(dz_gql_errors_done);
    dz_gql_errors_init(&own, limits->errors_max > 0 ? limits->errors_max : 1);
    enum dz_code code = prepare(d, limits, &own);
    if (code == DZ_OK)
        *ret_d = dz_take(&d);
    else
        gql_errors_move(&own, errors);
    return code;
}

struct dz_gql_doc *dz_gql_doc_ref(struct dz_gql_doc *d)
{
    atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
    return d;
}

void dz_gql_doc_unref(struct dz_gql_doc **d)
{
    struct dz_gql_doc *old = dz_take(d);
    if (!old || atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel) != 1)
        return;
    dz_map_done(&old->fragment_names);
    dz_arena_free(&old->arena);
    dz_gql_schema_unref(&old->schema);
    free(old);
}

size_t dz_gql_doc_bytes(const struct dz_gql_doc *d)
{
    return sizeof(*d) + dz_arena_used(d->arena);
}
