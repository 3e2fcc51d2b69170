/*
 * plan: which fields an object is asked for (CollectFields, section 6.3.2), worked out once.
 *
 * In: selection sets, the type of an object, variables. Out: the fields in the order of the answer,
 * with coerced arguments and written keys, in the execution's arena; kept at the field above, so
 * that the thousandth row costs no more than its values. One owner thread. As deep as the document;
 * how many fields there can be was limited when it was validated.
 */
#include "graphql/graphql_int.h"

struct collector {
    struct dz_gql_exec *x;
    const struct dz_gql_type *type;
    struct dz_map keys; /* response key → struct entry */
    struct entry *first, **last;
    uint32_t n, walk;
    const struct gql_value *bad; /* a condition of @skip or @include that is null */
};
struct entry {
    struct gql_plan_field field;
    struct entry *next;
};

/* @skip and @include. A condition can be null where its variable has a default, and null was given:
 * then it counts as false, and *ret_bad is set. */
static bool is_asked(const struct dz_gql_exec *x, const struct gql_selection *s,
                     const struct gql_value **ret_bad)
{
    for (const struct gql_directive_use *d = s->directives; d; d = d->next) {
        bool skip = dz_str_eq(d->name, DZ_S("skip"));
        if (!skip && !dz_str_eq(d->name, DZ_S("include")))
            continue;
        const struct gql_value *v = d->args->value;
        bool is = v->b;
        if (v->kind == DZ_GQL_VARIABLE) {
            const struct dz_gql_value *given = dz_map_get(&x->variables, v->text);
            if (!dz_gql_given(given))
                *ret_bad = v;
            else
                is = given->b;
        }
        if (is == skip)
            return false;
    }
    return true;
}

/* A document knows the field of the interface; the object's own one has the resolver. */
static const struct dz_gql_field *own_field(const struct collector *c,
                                            const struct dz_gql_field *def)
{
    return def->parent->kind == GQL_INTERFACE ? dz_map_get(&c->type->names, def->name) : def;
}

static void add_field(struct collector *c, const struct gql_selection *s)
{
    dz_str key = gql_response_key(s);
    struct entry *e = dz_map_get(&c->keys, key);
    if (!e) {
        e = dz_arena_alloc(c->x->arena, sizeof(*e));
        *e = (struct entry){.field = {.def = own_field(c, s->def), .key = key}};
        e->field.last_node = &e->field.asked.nodes;
        *c->last = e;
        c->last = &e->next;
        c->n++;
        dz_map_set(&c->keys, key, e);
    }
    struct gql_node *node = dz_arena_alloc(c->x->arena, sizeof(*node));
    *node = (struct gql_node){s, NULL};
    *e->field.last_node = node;
    e->field.last_node = &node->next;
}

static void collect(struct collector *c, const struct gql_selection *set)
{
    for (const struct gql_selection *s = set; s; s = s->next) {
        if (!is_asked(c->x, s, &c->bad))
            continue;
        if (s->kind == GQL_FIELD) {
            add_field(c, s);
        } else if (s->kind == GQL_INLINE) {
            if (gql_can_be(s->on_type, c->type))
                collect(c, s->set);
        } else if (c->x->seen[s->fragment->index] != c->walk) {
            c->x->seen[s->fragment->index] = c->walk;
            if (gql_can_be(s->on_type, c->type))
                collect(c, s->fragment->set);
        }
    }
}

/* ---- arguments (6.4.1) --------------------------------------------------------------------------
 */

static enum dz_code coerce_arg(const struct dz_gql_exec *x, const struct gql_selection *s,
                               const struct dz_gql_input *i, struct dz_gql_value *out,
                               struct dz_err *err)
{
    const struct gql_arg *a = s->args;
    while (a && !dz_str_eq(a->name, i->name))
        a = a->next;
    *out = (struct dz_gql_value){.kind = DZ_GQL_ABSENT};
    if (a) {
        enum dz_code code = gql_literal_in(x->arena, a->value, i->ref, &x->variables, out, err);
        if (code != DZ_OK)
            return dz_wrap(err, code, "Argument \"%.*s\" has invalid value", GQL_N(i->name));
    }
    if (out->kind == DZ_GQL_ABSENT)
        *out = i->fallback;
    if (out->kind == DZ_GQL_ABSENT && gql_is_required(i))
        return dz_fail(err, DZ_BAD_INPUT,
                       "Argument \"%.*s\" of required type \"%.*s\" was not provided.",
                       GQL_N(i->name), GQL_N(gql_ref_text(x->arena, i->ref)));
    return DZ_OK;
}

static struct gql_args *coerce_args(struct dz_gql_exec *x, const struct gql_selection *s,
                                    const struct dz_gql_field *def)
{
    struct dz_gql_value *values =
        dz_arena_alloc(x->arena, def->args.n * sizeof(struct dz_gql_value));
    struct gql_args *args = dz_arena_alloc(x->arena, sizeof(*args));
    *args = (struct gql_args){.def = def, .values = values};
    struct dz_err err = {0};
    for (const struct dz_gql_input *i = def->args.first; i && !args->bad; i = i->next) {
        if (coerce_arg(x, s, i, &values[i->index], &err) == DZ_OK)
            continue;
        struct dz_err *kept = dz_arena_alloc(x->arena, sizeof(*kept));
        *kept = err;
        args->bad = kept;
    }
    return args;
}

/* A place with arguments may be planned as often as its fragment is spread, but is coerced once. */
static const struct gql_args *find_args(struct dz_gql_exec *x, const struct gql_selection *s,
                                        const struct dz_gql_field *def)
{
    static const struct gql_args none;
    if (!s->args)
        return def->args.n > 0 ? coerce_args(x, s, def) : &none;
    struct gql_args *args = x->calls[s->call];
    while (args && args->def != def)
        args = args->next;
    if (args)
        return args;
    args = coerce_args(x, s, def);
    args->next = x->calls[s->call];
    x->calls[s->call] = args;
    return args;
}

/* ---- plans ----------------------------------------------------------------------------------- */

static struct gql_plan *finish(struct collector *c)
{
    struct dz_gql_exec *x = c->x;
    struct gql_plan *plan = dz_arena_alloc(x->arena, sizeof(*plan));
    *plan = (struct gql_plan){.type = c->type, .n = c->n, .bad = c->bad};
    plan->fields = dz_arena_alloc(x->arena, c->n * sizeof(*plan->fields));
    struct gql_plan_field *f = plan->fields;
    for (const struct entry *e = c->first; e; e = e->next, f++) {
        *f = e->field;
        f->asked.exec = x;
        f->asked.def = f->def;
        f->lead = dz_arena_printf(
            x->arena, x->run.style.pretty ? "\"%.*s\": " : "\"%.*s\":", (int)f->key.n, f->key.p);
        plan->prepares |= f->def->prepare != NULL;
        f->args = find_args(x, f->asked.nodes->s, f->def);
    }
    dz_map_done(&c->keys);
    return plan;
}

static void start(struct collector *c, struct dz_gql_exec *x, const struct dz_gql_type *t)
{
    *c = (struct collector){.x = x, .type = t, .last = &c->first, .walk = ++x->walks};
    dz_map_init(&c->keys);
}

struct gql_plan *gql_plan_root(struct dz_gql_exec *x)
{
    struct collector c;
    start(&c, x, x->operation->type);
    collect(&c, x->operation->set);
    return finish(&c);
}

struct gql_plan *gql_plan_below(struct dz_gql_exec *x, struct gql_plan_field *f,
                                const struct dz_gql_type *t)
{
    for (struct gql_plan *p = f->plans; p; p = p->next)
        if (DZ_LIKELY(p->type == t))
            return p;
    struct collector c;
    start(&c, x, t);
    for (const struct gql_node *n = f->asked.nodes; n; n = n->next)
        collect(&c, n->s->set);
    struct gql_plan *plan = finish(&c);
    plan->next = f->plans;
    f->plans = plan;
    return plan;
}

/* ---- looking ahead --------------------------------------------------------------------------- */

static bool asks(const struct dz_gql_exec *x, const struct gql_selection *set, dz_str path)
{
    size_t dot = dz_str_chr(path, '.');
    dz_str name = dz_str_sub(path, 0, dot);
    const struct gql_value *bad;
    for (const struct gql_selection *s = set; s; s = s->next) {
        if (!is_asked(x, s, &bad))
            continue;
        if (s->kind == GQL_FIELD) {
            if (dz_str_eq(s->name, name) &&
                (dot == DZ_NPOS || (s->set && asks(x, s->set, dz_str_after(path, dot)))))
                return true;
        } else if (asks(x, s->kind == GQL_INLINE ? s->set : s->fragment->set, path)) {
            return true;
        }
    }
    return false;
}

bool dz_gql_asks(const struct dz_gql_call *call, const char *path)
{
    for (const struct gql_node *n = call->asked->nodes; n; n = n->next)
        if (n->s->set && asks(call->asked->exec, n->s->set, dz_str_of(path)))
            return true;
    return false;
}

const struct dz_gql_value *dz_gql_arg(const struct dz_gql_call *call, const char *name)
{
    const struct dz_gql_input *i = gql_input_find(&call->asked->def->args, dz_str_of(name));
    dz_assert(i);
    return &call->args[i->index];
}
