/*
 * coerce: the variables of a request, each made into what its definition says (section 6.1.2).
 *
 * In: values as they came, definitions of the operation. Out: a map from name to value, in the
 * execution's arena, or complaints that say where inside a value something is wrong. One owner
 * thread. Values are as deep as JSON was allowed to be.
 */
#include "graphql/graphql_int.h"

struct coercion {
    struct dz_gql_exec *x;
    struct dz_gql_errors *errors;
    const struct gql_variable *variable;
    const struct dz_gql_value *whole;
};

static void put_path(struct dz_buf *out, const struct gql_step *step)
{
    if (!step || out->full)
        return;
    put_path(out, step->parent);
    if (step->key.p)
        dz_buf_putf(out, ".%.*s", GQL_N(step->key));
    else
        dz_buf_putf(out, "[%u]", step->index);
}

static enum dz_code complain(struct coercion *c, const struct gql_step *step,
                             const struct dz_gql_value *v, const char *why)
{
    char shown[96];
    struct dz_buf path DZ_AUTO(dz_buf_done);
    dz_buf_init(&path, 300);
    if (step) {
        dz_buf_putf(&path, " at \"%.*s", GQL_N(c->variable->name));
        put_path(&path, step);
        dz_buf_putc(&path, '"');
    }
    struct dz_gql_error *error =
        gql_errors_new(c->errors, DZ_BAD_INPUT, "Variable \"$%.*s\" got invalid value %.*s%.*s; %s",
                       GQL_N(c->variable->name), DZ_STR_FMT(gql_value_shown(v, shown)),
                       DZ_STR_FMT(dz_buf_str(&path)), why);
    gql_error_at(c->errors, error, c->variable->loc);
    return DZ_BAD_INPUT;
}

static enum dz_code coerce(struct coercion *c, const struct gql_step *step,
                           const struct dz_gql_value *in, const struct gql_ref *ref,
                           struct dz_gql_value *out);

static enum dz_code coerce_list(struct coercion *c, const struct gql_step *step,
                                const struct dz_gql_value *in, const struct gql_ref *item,
                                struct dz_gql_value *out)
{
    bool single = in->kind != DZ_GQL_LIST;
    uint32_t n = single ? 1 : in->n;
    struct dz_gql_value *items = dz_arena_alloc(c->x->arena, n * sizeof(*items));
    enum dz_code code = DZ_OK;
    for (uint32_t i = 0; i < n && c->errors->dropped == 0; i++) {
        struct gql_step at = {.parent = step, .index = i};
        enum dz_code one =
            coerce(c, single ? step : &at, single ? in : &in->items[i], item, &items[i]);
        code = code == DZ_OK ? one : code;
    }
    *out = (struct dz_gql_value){.kind = DZ_GQL_LIST, .n = n, .items = items};
    return code;
}

static enum dz_code unknown_members(struct coercion *c, const struct gql_step *step,
                                    const struct dz_gql_value *in, const struct dz_gql_type *t)
{
    enum dz_code code = DZ_OK;
    for (uint32_t i = 0; i < in->n && c->errors->dropped == 0; i++) {
        if (dz_map_get(&t->names, in->members[i].name))
            continue;
        char why[260];
        snprintf(why, sizeof(why), "Field \"%.*s\" is not defined by type \"%.*s\".",
                 GQL_N(in->members[i].name), GQL_N(t->name));
        code = complain(c, step, in, why);
    }
    return code;
}

static enum dz_code coerce_object(struct coercion *c, const struct gql_step *step,
                                  const struct dz_gql_value *in, const struct dz_gql_type *t,
                                  struct dz_gql_value *out)
{
    char why[300];
    if (in->kind != DZ_GQL_OBJECT) {
        snprintf(why, sizeof(why), "Expected type \"%.*s\" to be an object.", GQL_N(t->name));
        return complain(c, step, in, why);
    }
    enum dz_code code = unknown_members(c, step, in, t);
    struct dz_gql_member *members = dz_arena_alloc(c->x->arena, t->inputs.n * sizeof(*members));
    uint32_t n = 0;
    for (const struct dz_gql_input *i = t->inputs.first; i; i = i->next) {
        const struct dz_gql_value *given = gql_member(in, i->name);
        struct gql_step at = {.parent = step, .key = i->name};
        enum dz_code one = DZ_OK;
        struct dz_gql_value value = i->fallback;
        if (given)
            one = coerce(c, &at, given, i->ref, &value);
        if (value.kind == DZ_GQL_ABSENT && gql_is_required(i) && !given) {
            snprintf(why, sizeof(why), "Field \"%.*s\" of required type \"%.*s\" was not provided.",
                     GQL_N(i->name), GQL_N(gql_ref_text(c->x->arena, i->ref)));
            one = complain(c, step, in, why);
        }
        code = code == DZ_OK ? one : code;
        if (value.kind != DZ_GQL_ABSENT)
            members[n++] = (struct dz_gql_member){i->name, value};
    }
    *out = (struct dz_gql_value){.kind = DZ_GQL_OBJECT, .n = n, .members = members};
    return code;
}

static enum dz_code coerce(struct coercion *c, const struct gql_step *step,
                           const struct dz_gql_value *in, const struct gql_ref *ref,
                           struct dz_gql_value *out)
{
    *out = (struct dz_gql_value){.kind = DZ_GQL_NULL};
    if (!dz_gql_given(in)) {
        if (ref->wrap != GQL_NON_NULL)
            return DZ_OK;
        char why[200];
        snprintf(why, sizeof(why), "Expected non-nullable type \"%.*s\" not to be null.",
                 GQL_N(gql_ref_text(c->x->arena, ref)));
        return complain(c, step, in, why);
    }
    ref = gql_nullable(ref);
    if (ref->wrap == GQL_LIST_OF)
        return coerce_list(c, step, in, ref->of, out);
    if (ref->type->kind == GQL_INPUT)
        return coerce_object(c, step, in, ref->type, out);
    struct dz_err err = {0};
    if (gql_leaf_in(c->x->arena, ref->type, in, false, c->x->run.lenient, out, &err) != DZ_OK)
        return complain(c, step, in, err.text);
    return DZ_OK;
}

/* One variable; ABSENT when there is no value. */
static enum dz_code coerce_variable(struct coercion *c, const struct dz_gql_value *given,
                                    struct dz_gql_value *out)
{
    const struct gql_variable *v = c->variable;
    const char *why = NULL;
    if (!given || given->kind == DZ_GQL_ABSENT) {
        if (v->fallback) {
            struct dz_err err = {0};
            enum dz_code code = gql_literal_in(c->x->arena, v->fallback, v->ref, NULL, out, &err);
            if (code != DZ_OK) /* a custom scalar changed its mind */
                gql_error_at(c->errors, gql_errors_new(c->errors, DZ_BAD_INPUT, "%s", err.text),
                             v->loc);
            return code;
        }
        out->kind = DZ_GQL_ABSENT;
        if (v->ref->wrap == GQL_NON_NULL)
            why = "required type \"%.*s\" was not provided.";
    } else if (given->kind == DZ_GQL_NULL && v->ref->wrap == GQL_NON_NULL) {
        why = "non-null type \"%.*s\" must not be null.";
    } else {
        return coerce(c, NULL, given, v->ref, out);
    }
    if (!why)
        return DZ_OK;
    char words[200];
    snprintf(words, sizeof(words), why, GQL_N(gql_ref_text(c->x->arena, v->ref)));
    struct dz_gql_error *error =
        gql_errors_new(c->errors, DZ_BAD_INPUT, "Variable \"$%.*s\" of %s", GQL_N(v->name), words);
    gql_error_at(c->errors, error, v->loc);
    return DZ_BAD_INPUT;
}

enum dz_code gql_coerce_variables(struct dz_gql_exec *x, struct dz_gql_errors *errors)
{
    struct coercion c = {.x = x, .errors = errors};
    const struct dz_gql_value *given = x->run.variables;
    enum dz_code code = DZ_OK;
    if (dz_gql_given(given) && given->kind != DZ_GQL_OBJECT) {
        dz_gql_errors_add(errors, DZ_BAD_INPUT, "Variables must be an object.");
        return DZ_BAD_INPUT;
    }
    if (!x->operation->variables)
        return DZ_OK;
    struct dz_map names;
    dz_map_init(&names);
    for (uint32_t i = 0; dz_gql_given(given) && i < given->n; i++)
        dz_map_set(&names, given->members[i].name, (void *)&given->members[i].value);
    for (const struct gql_variable *v = x->operation->variables; v; v = v->next) {
        struct dz_gql_value *value = dz_arena_alloc(x->arena, sizeof(*value));
        c.variable = v;
        enum dz_code one = coerce_variable(&c, dz_map_get(&names, v->name), value);
        code = code == DZ_OK ? one : code;
        if (one == DZ_OK && value->kind != DZ_GQL_ABSENT)
            dz_map_set(&x->variables, v->name, value);
    }
    dz_map_done(&names);
    return code;
}
