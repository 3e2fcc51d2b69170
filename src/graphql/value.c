/*
 * value: what goes in: JSON, literals, and what scalars and enums make of them.
 *
 * In: JSON values of jansson, literals of a document, variables. Out: struct dz_gql_value in the
 * caller's arena, or words about why not. Any thread. Depth is bounded: by the parser for literals,
 * by DZ_GQL_VALUE_DEPTH_MAX for JSON. The rules are those of section 3.5 and 3.9 to 3.12; leniency
 * is only for variables and only where the caller asks for it.
 */
#include <jansson.h>

#include "graphql/graphql_int.h"

#include <math.h>

/* ---- JSON --------------------------------------------------------------------------------------
 */

static enum dz_code from_json(struct dz_arena *a, const json_t *j, unsigned depth,
                              struct dz_gql_value *v, struct dz_err *err);

static enum dz_code from_array(struct dz_arena *a, const json_t *j, unsigned depth,
                               struct dz_gql_value *v, struct dz_err *err)
{
    struct dz_gql_value *items;
    size_t n = json_array_size(j);
    void *p;
    if (n > UINT32_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "a list of more than %u values", UINT32_MAX);
    DZ_TRY(dz_arena_try(a, n * sizeof(*items), &p, err));
    items = p;
    for (size_t i = 0; i < n; i++)
        DZ_TRY(from_json(a, json_array_get(j, i), depth, &items[i], err));
    *v = (struct dz_gql_value){.kind = DZ_GQL_LIST, .n = (uint32_t)n, .items = items};
    return DZ_OK;
}

static enum dz_code copy_text(struct dz_arena *a, dz_str s, dz_str *ret, struct dz_err *err)
{
    void *p;
    DZ_TRY(dz_arena_try(a, s.n, &p, err));
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    *ret = (dz_str){p, s.n};
    return DZ_OK;
}

static enum dz_code from_object(struct dz_arena *a, const json_t *j, unsigned depth,
                                struct dz_gql_value *v, struct dz_err *err)
{
    size_t n = json_object_size(j);
    struct dz_gql_member *members;
    void *p;
    DZ_TRY(dz_arena_try(a, n * sizeof(*members), &p, err));
    members = p;
    uint32_t i = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)j, key, value)
    {
        DZ_TRY(copy_text(a, dz_str_of(key), &members[i].name, err));
        DZ_TRY(from_json(a, value, depth, &members[i].value, err));
        i++;
    }
    *v = (struct dz_gql_value){.kind = DZ_GQL_OBJECT, .n = i, .members = members};
    return DZ_OK;
}

static enum dz_code from_json(struct dz_arena *a, const json_t *j, unsigned depth,
                              struct dz_gql_value *v, struct dz_err *err)
{
    *v = (struct dz_gql_value){.kind = DZ_GQL_NULL};
    if (depth == DZ_GQL_VALUE_DEPTH_MAX && (json_is_array(j) || json_is_object(j)))
        return dz_fail(err, DZ_TOO_LARGE, "values deeper than %d", DZ_GQL_VALUE_DEPTH_MAX);
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return from_object(a, j, depth + 1, v, err);
    case JSON_ARRAY:
        return from_array(a, j, depth + 1, v, err);
    case JSON_STRING:
        v->kind = DZ_GQL_STRING;
        return copy_text(a, dz_json_text(j), &v->text, err);
    case JSON_INTEGER:
        v->kind = DZ_GQL_INT;
        v->i = json_integer_value(j);
        return DZ_OK;
    case JSON_REAL:
        v->kind = DZ_GQL_FLOAT;
        v->f = json_real_value(j);
        return DZ_OK;
    case JSON_TRUE:
    case JSON_FALSE:
        v->kind = DZ_GQL_BOOL;
        v->b = json_is_true(j);
        return DZ_OK;
    default:
        return DZ_OK;
    }
}

enum dz_code dz_gql_value_from_json(struct dz_arena *a, const struct json_t *j,
                                    struct dz_gql_value *ret_v, struct dz_err *err)
{
    struct dz_gql_value v = {.kind = DZ_GQL_ABSENT};
    if (j)
        DZ_TRY(from_json(a, j, 0, &v, err));
    *ret_v = v;
    return DZ_OK;
}

const struct dz_gql_value *gql_member(const struct dz_gql_value *v, dz_str name)
{
    for (uint32_t i = 0; i < v->n; i++)
        if (dz_str_eq(v->members[i].name, name))
            return &v->members[i].value;
    return NULL;
}

const struct dz_gql_value *dz_gql_member(const struct dz_gql_value *v, const char *name)
{
    return v && v->kind == DZ_GQL_OBJECT ? gql_member(v, dz_str_of(name)) : NULL;
}

/* ---- as text -----------------------------------------------------------------------------------
 */

void gql_put_string(struct dz_buf *out, dz_str s)
{
    struct dz_json j;
    dz_json_init(&j, out, DZ_JSON_COMPACT, false);
    dz_json_str(&j, s);
}

static void put_float(struct dz_buf *out, double f)
{
    struct dz_json j;
    dz_json_init(&j, out, DZ_JSON_COMPACT, false);
    if (isinf(f)) /* a literal that is too large, in a refusal */
        dz_buf_put(out, f < 0 ? DZ_S("-Infinity") : DZ_S("Infinity"));
    else if (f == trunc(f) && fabs(f) < 1e15)
        dz_json_int(&j, (int64_t)f);
    else
        dz_json_real(&j, f);
}

void gql_put_value(struct dz_buf *out, const struct dz_gql_value *v)
{
    switch (v->kind) {
    case DZ_GQL_BOOL:
        dz_buf_put(out, v->b ? DZ_S("true") : DZ_S("false"));
        break;
    case DZ_GQL_INT:
        if (v->i < 0)
            dz_buf_putc(out, '-');
        dz_buf_put_u64(out, v->i < 0 ? 0 - (uint64_t)v->i : (uint64_t)v->i);
        break;
    case DZ_GQL_FLOAT: /* with its text where a literal is too long for 64 bits */
        if (v->text.n > 0)
            dz_buf_put(out, v->text);
        else
            put_float(out, v->f);
        break;
    case DZ_GQL_STRING:
        gql_put_string(out, v->text);
        break;
    case DZ_GQL_VARIABLE:
        dz_buf_putc(out, '$');
        dz_buf_put(out, v->text);
        break;
    case DZ_GQL_ENUM:
        dz_buf_put(out, v->text);
        break;
    case DZ_GQL_LIST:
        dz_buf_putc(out, '[');
        for (uint32_t i = 0; i < v->n; i++) {
            dz_buf_put(out, i ? DZ_S(", ") : DZ_S(""));
            gql_put_value(out, &v->items[i]);
        }
        dz_buf_putc(out, ']');
        break;
    case DZ_GQL_OBJECT:
        dz_buf_putc(out, '{');
        for (uint32_t i = 0; i < v->n; i++) {
            dz_buf_put(out, i ? DZ_S(", ") : DZ_S(""));
            dz_buf_put(out, v->members[i].name);
            dz_buf_put(out, DZ_S(": "));
            gql_put_value(out, &v->members[i].value);
        }
        dz_buf_putc(out, '}');
        break;
    default:
        dz_buf_put(out, DZ_S("null"));
    }
}

dz_str gql_value_shown(const struct dz_gql_value *v, char dst[96])
{
    struct dz_gql_value cut = *v;
    if ((v->kind == DZ_GQL_STRING || v->kind == DZ_GQL_FLOAT) && v->text.n > 60) {
        cut.text.n = 60;
        while (cut.text.n > 56 && (cut.text.p[cut.text.n] & 0xc0) == 0x80)
            cut.text.n--;
    }
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 90);
    gql_put_value(&b, &cut);
    size_t n = b.n;
    if (n > 0)
        memcpy(dst, b.p, n);
    if (b.full || cut.text.n < v->text.n) {
        memcpy(dst + n, "...", 3);
        n += 3;
    }
    return (dz_str){dst, n};
}

/* ---- literals ----------------------------------------------------------------------------------
 */

/* A number as it is written; too large for 64 bits becomes FLOAT. */
static void plain_number(const struct gql_value *v, struct dz_gql_value *out)
{
    if (v->kind == DZ_GQL_INT) {
        bool minus = v->text.p[0] == '-';
        uint64_t n;
        if (dz_str_u64(dz_str_sub(v->text, minus, v->text.n), INT64_MAX, &n, NULL) == DZ_OK) {
            *out = (struct dz_gql_value){
                .kind = DZ_GQL_INT, .i = minus ? -(int64_t)n : (int64_t)n, .text = v->text};
            return;
        }
    }
    /* More digits than that say nothing more about a double. */
    char text[1100];
    size_t n = v->text.n < sizeof(text) ? v->text.n : 0;
    memcpy(text, v->text.p, n);
    text[n] = '\0';
    *out = (struct dz_gql_value){.kind = DZ_GQL_FLOAT, .f = n ? strtod(text, NULL) : INFINITY};
    if (v->kind == DZ_GQL_INT)
        out->text = v->text;
}

static void plain_object(struct dz_arena *a, const struct gql_value *v,
                         const struct dz_map *variables, struct dz_gql_value *out)
{
    struct dz_gql_member *members = dz_arena_alloc(a, v->n * sizeof(*members));
    uint32_t n = 0;
    for (const struct gql_arg *m = v->members; m; m = m->next, n++) {
        members[n].name = m->name;
        gql_plain(a, m->value, variables, &members[n].value);
    }
    *out = (struct dz_gql_value){.kind = DZ_GQL_OBJECT, .n = n, .members = members};
}

void gql_plain(struct dz_arena *a, const struct gql_value *v, const struct dz_map *variables,
               struct dz_gql_value *ret_v)
{
    *ret_v = (struct dz_gql_value){.kind = v->kind, .text = v->text};
    if (v->kind == DZ_GQL_VARIABLE && variables) {
        const struct dz_gql_value *given = dz_map_get(variables, v->text);
        *ret_v = given ? *given : (struct dz_gql_value){.kind = DZ_GQL_NULL};
    } else if (v->kind == DZ_GQL_INT || v->kind == DZ_GQL_FLOAT) {
        plain_number(v, ret_v);
    } else if (v->kind == DZ_GQL_BOOL) {
        ret_v->b = v->b;
    } else if (v->kind == DZ_GQL_LIST) {
        struct dz_gql_value *items = dz_arena_alloc(a, v->n * sizeof(*items));
        uint32_t n = 0;
        for (const struct gql_value *item = v->items; item; item = item->next)
            gql_plain(a, item, variables, &items[n++]);
        *ret_v = (struct dz_gql_value){.kind = DZ_GQL_LIST, .n = n, .items = items};
    } else if (v->kind == DZ_GQL_OBJECT) {
        plain_object(a, v, variables, ret_v);
    }
}

bool gql_has_variable(const struct gql_value *v)
{
    bool found = v->kind == DZ_GQL_VARIABLE;
    if (v->kind == DZ_GQL_LIST)
        for (const struct gql_value *item = v->items; item && !found; item = item->next)
            found = gql_has_variable(item);
    if (v->kind == DZ_GQL_OBJECT)
        for (const struct gql_arg *m = v->members; m && !found; m = m->next)
            found = gql_has_variable(m->value);
    return found;
}

/* ---- scalars and enums -------------------------------------------------------------------------
 */

/* A text that is a number and nothing else, blanks aside. */
static bool text_to_number(dz_str s, double *ret)
{
    char text[64];
    s = dz_str_trim(s);
    if (s.n == 0 || s.n >= sizeof(text))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("0123456789+-.eE", s.p[i]))
            return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    char *end;
    *ret = strtod(text, &end);
    return *end == '\0';
}

static bool to_number(const struct dz_gql_value *in, bool lenient, double *ret)
{
    if (in->kind == DZ_GQL_INT)
        *ret = (double)in->i;
    else if (in->kind == DZ_GQL_FLOAT)
        *ret = in->f;
    else if (lenient && in->kind == DZ_GQL_BOOL)
        *ret = in->b;
    else
        return lenient && in->kind == DZ_GQL_STRING && text_to_number(in->text, ret);
    return true;
}

static enum dz_code int_in(const struct dz_gql_value *in, bool literal, unsigned lenient,
                           struct dz_gql_value *out, struct dz_err *err)
{
    bool cut = lenient & DZ_GQL_LENIENT_NUMBERS;
    char shown[96];
    double x;
    if (!to_number(in, cut, &x) || (literal && in->kind != DZ_GQL_INT) || (!cut && x != trunc(x))) {
        /* A literal of more digits than 64 bits hold is a whole number all the same. */
        if (!literal || in->kind != DZ_GQL_FLOAT || in->text.n == 0)
            return dz_fail(err, DZ_BAD_INPUT, "Int cannot represent non-integer value: %.*s",
                           DZ_STR_FMT(gql_value_shown(in, shown)));
    }
    x = trunc(x);
    if (!(x >= INT32_MIN && x <= INT32_MAX))
        return dz_fail(err, DZ_BAD_INPUT,
                       "Int cannot represent non 32-bit signed integer value: %.*s",
                       DZ_STR_FMT(gql_value_shown(in, shown)));
    *out = (struct dz_gql_value){.kind = DZ_GQL_INT, .i = (int64_t)x};
    return DZ_OK;
}

static enum dz_code float_in(const struct dz_gql_value *in, unsigned lenient,
                             struct dz_gql_value *out, struct dz_err *err)
{
    char shown[96];
    double x;
    if (!to_number(in, lenient & DZ_GQL_LENIENT_NUMBERS, &x) || !isfinite(x))
        return dz_fail(err, DZ_BAD_INPUT, "Float cannot represent non numeric value: %.*s",
                       DZ_STR_FMT(gql_value_shown(in, shown)));
    *out = (struct dz_gql_value){.kind = DZ_GQL_FLOAT, .f = x};
    return DZ_OK;
}

/* A number or a Boolean as Python's str() has it, but true and false in small letters. */
static dz_str text_of(struct dz_arena *a, const struct dz_gql_value *in)
{
    struct dz_buf b DZ_AUTO(dz_buf_done);
    struct dz_json j;
    dz_buf_init(&b, 64);
    dz_json_init(&j, &b, DZ_JSON_COMPACT, false);
    if (in->kind == DZ_GQL_FLOAT)
        dz_json_real(&j, in->f);
    else
        gql_put_value(&b, in);
    return dz_arena_str(a, dz_buf_str(&b));
}

/* Whole numbers are IDs: as they are written in a document, and as JSON may write them. */
static bool is_whole(const struct dz_gql_value *in, bool literal)
{
    if (in->kind == DZ_GQL_INT || (literal && in->kind == DZ_GQL_FLOAT && in->text.n > 0))
        return true;
    return !literal && in->kind == DZ_GQL_FLOAT && in->f == trunc(in->f) && fabs(in->f) < 1e15;
}

static enum dz_code id_in(struct dz_arena *a, const struct dz_gql_value *in, bool literal,
                          struct dz_gql_value *out, struct dz_err *err)
{
    char shown[96];
    if (in->kind != DZ_GQL_STRING && !is_whole(in, literal))
        return dz_fail(err, DZ_BAD_INPUT,
                       "ID cannot represent a non-string and non-integer value: %.*s",
                       DZ_STR_FMT(gql_value_shown(in, shown)));
    struct dz_gql_value whole = {.kind = DZ_GQL_INT, .i = in->kind == DZ_GQL_INT ? in->i : 0};
    if (in->kind == DZ_GQL_FLOAT && !literal)
        whole.i = (int64_t)in->f;
    bool has_text = in->kind == DZ_GQL_STRING || literal;
    *out = (struct dz_gql_value){.kind = DZ_GQL_STRING,
                                 .text = has_text ? in->text : text_of(a, &whole)};
    return DZ_OK;
}

static enum dz_code string_in(struct dz_arena *a, const struct dz_gql_value *in, unsigned lenient,
                              struct dz_gql_value *out, struct dz_err *err)
{
    char shown[96];
    bool number = in->kind == DZ_GQL_INT || in->kind == DZ_GQL_FLOAT || in->kind == DZ_GQL_BOOL;
    if (in->kind != DZ_GQL_STRING && !(number && (lenient & DZ_GQL_LENIENT_STRINGS)))
        return dz_fail(err, DZ_BAD_INPUT, "String cannot represent a non string value: %.*s",
                       DZ_STR_FMT(gql_value_shown(in, shown)));
    *out = (struct dz_gql_value){.kind = DZ_GQL_STRING, .text = number ? text_of(a, in) : in->text};
    return DZ_OK;
}

static enum dz_code boolean_in(const struct dz_gql_value *in, unsigned lenient,
                               struct dz_gql_value *out, struct dz_err *err)
{
    char shown[96];
    *out = (struct dz_gql_value){.kind = DZ_GQL_BOOL};
    if (in->kind == DZ_GQL_BOOL) {
        out->b = in->b;
        return DZ_OK;
    }
    double x = in->kind == DZ_GQL_STRING ? in->text.n > 0 : 0;
    if ((lenient & DZ_GQL_LENIENT_BOOLEANS) &&
        (in->kind == DZ_GQL_STRING || to_number(in, false, &x))) {
        out->b = x != 0;
        return DZ_OK;
    }
    return dz_fail(err, DZ_BAD_INPUT, "Boolean cannot represent a non boolean value: %.*s",
                   DZ_STR_FMT(gql_value_shown(in, shown)));
}

static enum dz_code enum_in(const struct dz_gql_type *t, const struct dz_gql_value *in,
                            bool literal, struct dz_gql_value *out, struct dz_err *err)
{
    char shown[96];
    const struct dz_gql_choice *c = NULL;
    if (in->kind == DZ_GQL_STRING || in->kind == DZ_GQL_ENUM)
        c = dz_map_get(&t->names, in->text);
    if (in->kind != (literal ? DZ_GQL_ENUM : DZ_GQL_STRING))
        return dz_fail(err, DZ_BAD_INPUT,
                       "Enum \"%.*s\" cannot represent non-%s value: %.*s.%s%.*s%s", GQL_N(t->name),
                       literal ? "enum" : "string", DZ_STR_FMT(gql_value_shown(in, shown)),
                       c ? " Did you mean the enum value \"" : "", GQL_N(c ? c->name : DZ_S("")),
                       c ? "\"?" : "");
    if (!c)
        return dz_fail(err, DZ_BAD_INPUT, "Value \"%.*s\" does not exist in \"%.*s\" enum.",
                       GQL_N(in->text), GQL_N(t->name));
    *out = (struct dz_gql_value){.kind = DZ_GQL_ENUM, .i = c->value, .text = c->name};
    return DZ_OK;
}

enum dz_code gql_leaf_in(struct dz_arena *a, const struct dz_gql_type *t,
                         const struct dz_gql_value *in, bool literal, unsigned lenient,
                         struct dz_gql_value *ret_v, struct dz_err *err)
{
    if (t->kind == GQL_ENUM)
        return enum_in(t, in, literal, ret_v, err);
    switch (t->scalar) {
    case GQL_INT:
        return int_in(in, literal, lenient, ret_v, err);
    case GQL_FLOAT:
        return float_in(in, lenient, ret_v, err);
    case GQL_STRING:
        return string_in(a, in, lenient, ret_v, err);
    case GQL_ID:
        /* Where texts may be numbers an ID is such a text. */
        return lenient & DZ_GQL_LENIENT_STRINGS ? string_in(a, in, lenient, ret_v, err)
                                                : id_in(a, in, literal, ret_v, err);
    case GQL_BOOLEAN:
        return boolean_in(in, lenient, ret_v, err);
    case GQL_CUSTOM:
        break;
    }
    if (!t->parse) {
        *ret_v = *in;
        return DZ_OK;
    }
    struct dz_err why = {0};
    enum dz_code code = t->parse(a, in, ret_v, &why);
    if (code == DZ_OK)
        return DZ_OK;
    char shown[96];
    return dz_fail(err, DZ_BAD_INPUT, "Expected value of type \"%.*s\", found %.*s; %s",
                   GQL_N(t->name), DZ_STR_FMT(gql_value_shown(in, shown)), why.text);
}

/* ---- literals of a type ------------------------------------------------------------------------
 */

static enum dz_code list_in(struct dz_arena *a, const struct gql_value *v,
                            const struct gql_ref *item_ref, const struct dz_map *variables,
                            struct dz_gql_value *out, struct dz_err *err)
{
    bool single = v->kind != DZ_GQL_LIST;
    uint32_t n = single ? 1 : v->n, i = 0;
    struct dz_gql_value *items = dz_arena_alloc(a, n * sizeof(*items));
    for (const struct gql_value *item = single ? v : v->items; i < n; item = item->next, i++) {
        DZ_TRY(gql_literal_in(a, item, item_ref, variables, &items[i], err));
        if (items[i].kind != DZ_GQL_ABSENT)
            continue;
        if (item_ref->wrap == GQL_NON_NULL)
            return dz_fail(err, DZ_BAD_INPUT, "Variable \"$%.*s\" is missing in a list of values",
                           GQL_N(item->text));
        items[i].kind = DZ_GQL_NULL;
    }
    *out = (struct dz_gql_value){.kind = DZ_GQL_LIST, .n = n, .items = items};
    return DZ_OK;
}

static const struct gql_value *member_of(const struct gql_value *v, dz_str name)
{
    for (const struct gql_arg *m = v->members; m; m = m->next)
        if (dz_str_eq(m->name, name))
            return m->value;
    return NULL;
}

static enum dz_code object_in(struct dz_arena *a, const struct gql_value *v,
                              const struct dz_gql_type *t, const struct dz_map *variables,
                              struct dz_gql_value *out, struct dz_err *err)
{
    if (v->kind != DZ_GQL_OBJECT)
        return dz_fail(err, DZ_BAD_INPUT, "Expected \"%.*s\" to be an object.", GQL_N(t->name));
    for (const struct gql_arg *m = v->members; m; m = m->next)
        if (!dz_map_get(&t->names, m->name))
            return dz_fail(err, DZ_BAD_INPUT, "Field \"%.*s\" is not defined by type \"%.*s\".",
                           GQL_N(m->name), GQL_N(t->name));
    struct dz_gql_member *members = dz_arena_alloc(a, t->inputs.n * sizeof(*members));
    uint32_t n = 0;
    for (const struct dz_gql_input *i = t->inputs.first; i; i = i->next) {
        const struct gql_value *given = member_of(v, i->name);
        struct dz_gql_value value = {.kind = DZ_GQL_ABSENT};
        if (given)
            DZ_TRY(gql_literal_in(a, given, i->ref, variables, &value, err));
        if (value.kind == DZ_GQL_ABSENT)
            value = i->fallback;
        if (value.kind == DZ_GQL_ABSENT && gql_is_required(i))
            return dz_fail(err, DZ_BAD_INPUT,
                           "Field \"%.*s.%.*s\" of required type \"%.*s\" was not provided.",
                           GQL_N(t->name), GQL_N(i->name), GQL_N(gql_ref_text(a, i->ref)));
        if (value.kind != DZ_GQL_ABSENT)
            members[n++] = (struct dz_gql_member){i->name, value};
    }
    *out = (struct dz_gql_value){.kind = DZ_GQL_OBJECT, .n = n, .members = members};
    return DZ_OK;
}

static enum dz_code fail_null(const struct gql_ref *ref, struct dz_err *err)
{
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 160);
    gql_put_ref(&b, ref);
    return dz_fail(err, DZ_BAD_INPUT, "Expected value of type \"%.*s\", found null.",
                   DZ_STR_FMT(dz_buf_str(&b)));
}

enum dz_code gql_literal_in(struct dz_arena *a, const struct gql_value *v,
                            const struct gql_ref *ref, const struct dz_map *variables,
                            struct dz_gql_value *ret_v, struct dz_err *err)
{
    struct dz_gql_value out = {.kind = DZ_GQL_ABSENT};
    if (v->kind == DZ_GQL_VARIABLE) {
        const struct dz_gql_value *given = variables ? dz_map_get(variables, v->text) : NULL;
        if (given)
            out = *given;
        if (out.kind == DZ_GQL_NULL && ref->wrap == GQL_NON_NULL)
            return fail_null(ref, err);
        *ret_v = out;
        return DZ_OK;
    }
    if (v->kind == DZ_GQL_NULL) {
        if (ref->wrap == GQL_NON_NULL)
            return fail_null(ref, err);
        *ret_v = (struct dz_gql_value){.kind = DZ_GQL_NULL};
        return DZ_OK;
    }
    ref = gql_nullable(ref);
    if (ref->wrap == GQL_LIST_OF) {
        DZ_TRY(list_in(a, v, ref->of, variables, &out, err));
    } else if (ref->type->kind == GQL_INPUT) {
        DZ_TRY(object_in(a, v, ref->type, variables, &out, err));
    } else {
        struct dz_gql_value plain;
        gql_plain(a, v, variables, &plain);
        DZ_TRY(gql_leaf_in(a, ref->type, &plain, true, 0, &out, err));
    }
    *ret_v = out;
    return DZ_OK;
}
