/*
 * leaf: what resolvers give for scalars and enums, written as their types say.
 *
 * In: a value that is not null. Out: JSON, or why it is none of that type. Any thread that owns the
 * buffer. Runs once for every value of an answer.
 */
#include "graphql/graphql_int.h"

#include <math.h>

/* The value as messages show it. */
static dz_str shown(const struct dz_gql_out *o, char dst[96])
{
    struct dz_gql_value v = {.kind = DZ_GQL_NULL};
    switch (o->kind) {
    case DZ_GQL_OUT_BOOL:
        v = (struct dz_gql_value){.kind = DZ_GQL_BOOL, .b = o->b};
        break;
    case DZ_GQL_OUT_INT:
        v = (struct dz_gql_value){.kind = DZ_GQL_INT, .i = o->i};
        break;
    case DZ_GQL_OUT_FLOAT:
        v = (struct dz_gql_value){.kind = DZ_GQL_FLOAT, .f = o->f};
        break;
    case DZ_GQL_OUT_STRING:
        v = (struct dz_gql_value){.kind = DZ_GQL_STRING, .text = o->s};
        break;
    case DZ_GQL_OUT_QUOTED:
    case DZ_GQL_OUT_JSON:
        return DZ_S("raw JSON");
    case DZ_GQL_OUT_OBJECT:
        return DZ_S("an object");
    case DZ_GQL_OUT_LIST:
        return DZ_S("a list");
    default:
        break;
    }
    return gql_value_shown(&v, dst);
}

static enum dz_code fail(const struct dz_gql_out *o, struct dz_err *err, const char *words)
{
    char text[96];
    return dz_fail(err, DZ_INTERNAL, "%s: %.*s", words, DZ_STR_FMT(shown(o, text)));
}

static enum dz_code put_int(struct dz_json *j, const struct dz_gql_out *o, struct dz_err *err)
{
    double x = 0.5;
    if (DZ_LIKELY(o->kind == DZ_GQL_OUT_INT)) {
        if (DZ_UNLIKELY(o->i < INT32_MIN || o->i > INT32_MAX))
            return fail(o, err, "Int cannot represent non 32-bit signed integer value");
        dz_json_int(j, o->i);
        return DZ_OK;
    }
    if (o->kind == DZ_GQL_OUT_BOOL)
        x = o->b;
    else if (o->kind == DZ_GQL_OUT_FLOAT)
        x = o->f;
    if (!(x >= INT32_MIN && x <= INT32_MAX) || x != trunc(x))
        return fail(o, err, "Int cannot represent non-integer value");
    dz_json_int(j, (int64_t)x);
    return DZ_OK;
}

static enum dz_code put_float(struct dz_json *j, const struct dz_gql_out *o, struct dz_err *err)
{
    if (o->kind == DZ_GQL_OUT_FLOAT && isfinite(o->f))
        dz_json_real(j, o->f);
    else if (o->kind == DZ_GQL_OUT_INT)
        dz_json_int(j, o->i);
    else if (o->kind == DZ_GQL_OUT_BOOL)
        dz_json_int(j, o->b);
    else
        return fail(o, err, "Float cannot represent non numeric value");
    return DZ_OK;
}

/* Numbers and Booleans are written as text; an ID has no fractions. */
static enum dz_code put_string(struct dz_json *j, const struct dz_gql_out *o, bool is_id,
                               struct dz_err *err)
{
    if (DZ_LIKELY(o->kind == DZ_GQL_OUT_STRING)) {
        dz_json_str(j, o->s);
        return DZ_OK;
    }
    if (DZ_LIKELY(o->kind == DZ_GQL_OUT_QUOTED)) {
        dz_buf_put(j->out, o->s);
        return DZ_OK;
    }
    if (o->kind != DZ_GQL_OUT_INT && (is_id || o->kind > DZ_GQL_OUT_FLOAT))
        return fail(o, err, is_id ? "ID cannot represent value" : "String cannot represent value");
    char text[96];
    dz_json_str(j, shown(o, text));
    return DZ_OK;
}

static enum dz_code put_boolean(struct dz_json *j, const struct dz_gql_out *o, struct dz_err *err)
{
    if (o->kind == DZ_GQL_OUT_BOOL)
        dz_json_bool(j, o->b);
    else if (o->kind == DZ_GQL_OUT_INT)
        dz_json_bool(j, o->i != 0);
    else if (o->kind == DZ_GQL_OUT_FLOAT && isfinite(o->f))
        dz_json_bool(j, o->f != 0);
    else
        return fail(o, err, "Boolean cannot represent a non boolean value");
    return DZ_OK;
}

static enum dz_code put_enum(struct dz_json *j, const struct dz_gql_type *t,
                             const struct dz_gql_out *o, struct dz_err *err)
{
    const struct dz_gql_choice *c = NULL;
    if (o->kind == DZ_GQL_OUT_STRING) {
        c = dz_map_get(&t->names, o->s);
    } else if (o->kind == DZ_GQL_OUT_INT) {
        c = t->choices;
        while (c && c->value != o->i)
            c = c->next;
    }
    if (!c) {
        char text[96];
        return dz_fail(err, DZ_INTERNAL, "%.*s is not a valid %.*s", DZ_STR_FMT(shown(o, text)),
                       GQL_N(t->name));
    }
    dz_json_str(j, c->name);
    return DZ_OK;
}

static enum dz_code put_custom(struct dz_json *j, const struct dz_gql_type *t,
                               const struct dz_gql_out *o, struct dz_err *err)
{
    char words[160];
    switch (o->kind) {
    case DZ_GQL_OUT_BOOL:
        dz_json_bool(j, o->b);
        return DZ_OK;
    case DZ_GQL_OUT_INT:
        dz_json_int(j, o->i);
        return DZ_OK;
    case DZ_GQL_OUT_FLOAT:
        dz_json_real(j, o->f);
        return DZ_OK;
    case DZ_GQL_OUT_STRING:
        dz_json_str(j, o->s);
        return DZ_OK;
    case DZ_GQL_OUT_JSON:
        dz_json_raw(j, o->s);
        return DZ_OK;
    default:
        snprintf(words, sizeof(words), "%.*s cannot represent value", GQL_N(t->name));
        return fail(o, err, words);
    }
}

enum dz_code gql_leaf_out(struct dz_json *j, const struct dz_gql_type *t,
                          const struct dz_gql_out *o, struct dz_err *err)
{
    if (t->kind == GQL_ENUM)
        return put_enum(j, t, o, err);
    switch (t->scalar) {
    case GQL_INT:
        return put_int(j, o, err);
    case GQL_FLOAT:
        return put_float(j, o, err);
    case GQL_STRING:
        return put_string(j, o, false, err);
    case GQL_ID:
        return put_string(j, o, true, err);
    case GQL_BOOLEAN:
        return put_boolean(j, o, err);
    case GQL_CUSTOM:
        break;
    }
    return put_custom(j, t, o, err);
}
