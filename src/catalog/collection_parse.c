/*
 * collection_parse: the declaration of a collection, from JSON text to struct dz_collection.
 *
 * In: what a source declared, as the source room wrote it, or as it was kept in the catalog. Out:
 * the immutable struct, everything of it in one arena, or one line that names source, collection
 * and member. All rules of declarations are checked here, so that nothing behind this file can meet
 * a name that is no name or an order by a column that may be null. Pure; any thread.
 */
#include "catalog/collection_int.h"

enum { ARENA_BYTES = 16 * 1024 * 1024, TABLE_DIGEST = 4 };

struct parse {
    struct dz_collection *c;
    struct dz_arena *a;
    struct dz_collection_field *fields;
    struct dz_collection_column *columns;
    struct dz_collection_enum *enums;
};

/* ---- members ---------------------------------------------------------------------------------
 */

/* A member that may be missing or null. */
static json_t *member(const json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);
    return json_is_null(v) ? NULL : v;
}

static enum dz_code check_members(const json_t *o, const char *const *known, size_t n,
                                  struct dz_err *err)
{
    if (!json_is_object(o))
        return dz_fail(err, DZ_BAD_INPUT, "is no object");
    for (void *at = json_object_iter((json_t *)o); at;
         at = json_object_iter_next((json_t *)o, at)) {
        size_t i = 0;
        while (i < n && strcmp(known[i], json_object_iter_key(at)) != 0)
            i++;
        if (i == n)
            return dz_fail(err, DZ_BAD_INPUT, "\"%.60s\" is nothing that can be declared",
                           json_object_iter_key(at));
    }
    return DZ_OK;
}

/* An array that may be missing; *ret_n is its length. */
static enum dz_code array_of(const json_t *o, const char *key, size_t max, json_t **ret_v,
                             size_t *ret_n, struct dz_err *err)
{
    json_t *v = member(o, key);
    if (v && !json_is_array(v))
        return dz_fail(err, DZ_BAD_INPUT, "%s is no array", key);
    size_t n = json_array_size(v);
    if (n > max)
        return dz_fail(err, DZ_TOO_LARGE, "%s: %zu of them, at most %zu", key, n, max);
    *ret_v = v;
    *ret_n = n;
    return DZ_OK;
}

static enum dz_code words_of(struct parse *p, const json_t *o, const char *key, size_t max,
                             dz_str *ret_s, struct dz_err *err)
{
    json_t *v = member(o, key);
    *ret_s = (dz_str){NULL, 0};
    if (!v)
        return DZ_OK;
    if (!json_is_string(v))
        return dz_fail(err, DZ_BAD_INPUT, "%s is no text", key);
    DZ_TRY(dz_check_text(&(struct dz_text_check){key, dz_json_text(v), max, DZ_TEXT_UTF8}, err));
    *ret_s = dz_arena_str(p->a, dz_json_text(v));
    return DZ_OK;
}

static enum dz_code flag_of(const json_t *o, const char *key, bool *ret_flag, struct dz_err *err)
{
    json_t *v = member(o, key);
    if (v && !json_is_boolean(v))
        return dz_fail(err, DZ_BAD_INPUT, "%s is neither true nor false", key);
    *ret_flag = json_is_true(v);
    return DZ_OK;
}

static bool is_name(dz_str s)
{
    if (s.n == 0 || s.n > DZ_COLLECTION_NAME_MAX || (s.p[0] >= '0' && s.p[0] <= '9'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!(c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
              (c >= 'a' && c <= 'z')))
            return false;
    }
    return true;
}

/* A name of GraphQL: two underscores in front are its own. */
static enum dz_code check_name(const char *what, dz_str s, struct dz_err *err)
{
    if (!is_name(s) || dz_str_starts(s, DZ_S("__")))
        return dz_fail(err, DZ_BAD_INPUT,
                       "%s \"%.*s\" is no name: letters, digits and _, no digit and no __ in "
                       "front, at most %u",
                       what, (int)(s.n < 60 ? s.n : 60), s.p ? s.p : "", DZ_COLLECTION_NAME_MAX);
    return DZ_OK;
}

/* required: a missing one is an error, else n = 0. */
static enum dz_code name_of(struct parse *p, const json_t *o, const char *key, bool required,
                            dz_str *ret_s, struct dz_err *err)
{
    dz_str s;
    DZ_TRY(words_of(p, o, key, DZ_TEXT_MAX, &s, err));
    if (s.p || required)
        DZ_TRY(check_name(key, s, err));
    *ret_s = s;
    return DZ_OK;
}

/* Names a place in a list that failed: "field group: …", "field 3: …" as long as it has no name. */
static enum dz_code of_item(enum dz_code code, const char *what, dz_str name, size_t i,
                            struct dz_err *err)
{
    if (name.n > 0 && is_name(name))
        return dz_wrap(err, code, "%s %.*s", what, DZ_STR_FMT(name));
    return dz_wrap(err, code, "%s %zu", what, i + 1);
}

/* ---- enums -------------------------------------------------------------------------------------
 */

static enum dz_code read_value(struct parse *p, const json_t *pair,
                               const struct dz_collection_enum *e,
                               struct dz_collection_enum_value *ret_v, struct dz_err *err)
{
    const json_t *name = json_array_get(pair, 0), *number = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_string(name) || !json_is_integer(number))
        return dz_fail(err, DZ_BAD_INPUT, "is no pair of a name and a number");
    dz_str s = dz_json_text(name);
    DZ_TRY(check_name("value", s, err));
    if (dz_str_eq(s, DZ_S("true")) || dz_str_eq(s, DZ_S("false")) || dz_str_eq(s, DZ_S("null")))
        return dz_fail(err, DZ_BAD_INPUT, "%.*s cannot be a value", DZ_STR_FMT(s));
    int64_t n = json_integer_value(number);
    for (size_t i = 0; i < e->values_n; i++)
        if (dz_str_eq(e->values[i].name, s) || e->values[i].number == n)
            return dz_fail(err, DZ_BAD_INPUT, "%.*s (%lld) is there twice", DZ_STR_FMT(s),
                           (long long)n);
    *ret_v = (struct dz_collection_enum_value){dz_arena_str(p->a, s), n};
    return DZ_OK;
}

static bool is_scalar(dz_str name, enum dz_collection_type *ret_type)
{
    static const struct {
        dz_str name;
        enum dz_collection_type type;
    } scalars[] = {
        {DZ_S("String"), DZ_COLLECTION_STRING},   {DZ_S("ID"), DZ_COLLECTION_ID},
        {DZ_S("Int"), DZ_COLLECTION_INT},         {DZ_S("Float"), DZ_COLLECTION_FLOAT},
        {DZ_S("Boolean"), DZ_COLLECTION_BOOLEAN},
    };
    for (size_t i = 0; i < DZ_LEN(scalars); i++)
        if (dz_str_eq(scalars[i].name, name)) {
            *ret_type = scalars[i].type;
            return true;
        }
    return false;
}

static const struct dz_collection_enum *find_enum(const struct dz_collection *c, dz_str name)
{
    for (size_t i = 0; i < c->enums_n; i++)
        if (dz_str_eq(c->enums[i].name, name))
            return &c->enums[i];
    return NULL;
}

static enum dz_code read_enum(struct parse *p, const json_t *o, struct dz_collection_enum *e,
                              struct dz_err *err)
{
    static const char *const known[] = {"name", "description", "values"};
    json_t *values = NULL;
    size_t n = 0;
    enum dz_collection_type type;
    DZ_TRY(check_members(o, known, DZ_LEN(known), err));
    DZ_TRY(name_of(p, o, "name", true, &e->name, err));
    if (is_scalar(e->name, &type) || dz_str_eq(e->name, p->c->name) || find_enum(p->c, e->name))
        return dz_fail(err, DZ_BAD_INPUT, "the name is taken");
    DZ_TRY(words_of(p, o, "description", DZ_LONG_TEXT_MAX, &e->description, err));
    DZ_TRY(array_of(o, "values", DZ_COLLECTION_ENUM_VALUES_MAX, &values, &n, err));
    if (n == 0)
        return dz_fail(err, DZ_BAD_INPUT, "has no values");
    struct dz_collection_enum_value *v = dz_arena_alloc(p->a, n * sizeof(*v));
    e->values = v;
    for (; e->values_n < n; e->values_n++) {
        enum dz_code code =
            read_value(p, json_array_get(values, e->values_n), e, &v[e->values_n], err);
        if (code != DZ_OK)
            return dz_wrap(err, code, "value %zu", e->values_n + 1);
    }
    return DZ_OK;
}

static enum dz_code read_enums(struct parse *p, const json_t *root, struct dz_err *err)
{
    json_t *v = NULL;
    size_t n = 0;
    DZ_TRY(array_of(root, "enums", DZ_COLLECTION_ENUMS_MAX, &v, &n, err));
    p->enums = dz_arena_alloc(p->a, n * sizeof(*p->enums));
    p->c->enums = p->enums;
    for (size_t i = 0; i < n; i++) {
        struct dz_collection_enum e = {0};
        enum dz_code code = read_enum(p, json_array_get(v, i), &e, err);
        if (code != DZ_OK)
            return of_item(code, "enum", e.name, i, err);
        p->enums[i] = e;
        p->c->enums_n = i + 1;
    }
    return DZ_OK;
}

/* ---- fields ------------------------------------------------------------------------------------
 */

static enum dz_code read_type(struct parse *p, const json_t *o, struct dz_collection_field *f,
                              struct dz_err *err)
{
    dz_str type, of;
    DZ_TRY(name_of(p, o, "type", true, &type, err));
    DZ_TRY(name_of(p, o, "enum", false, &of, err));
    if (!is_scalar(type, &f->type)) {
        f->of = find_enum(p->c, type);
        f->type = DZ_COLLECTION_ENUM;
        if (!f->of)
            return dz_fail(err, DZ_BAD_INPUT,
                           "type %.*s is neither String, ID, Int, Float, Boolean nor one of enums",
                           DZ_STR_FMT(type));
    }
    if (of.n > 0 && (!f->of || !dz_str_eq(of, type)))
        return dz_fail(err, DZ_BAD_INPUT, "enum %.*s is not its type", DZ_STR_FMT(of));
    DZ_TRY(flag_of(o, "list", &f->list, err));
    DZ_TRY(flag_of(o, "items_not_null", &f->items_not_null, err));
    if (f->items_not_null && !f->list)
        return dz_fail(err, DZ_BAD_INPUT, "items_not_null: it is no list");
    return flag_of(o, "not_null", &f->not_null, err);
}

/* The column of that name, made when it is new. SQL does not tell a from A. */
static enum dz_code read_column(struct parse *p, dz_str name, size_t field,
                                struct dz_collection_field *f, struct dz_err *err)
{
    struct dz_collection *c = p->c;
    size_t i = 0;
    while (i < c->columns_n && !dz_str_eq_nocase(c->columns[i].name, name))
        i++;
    struct dz_collection_column *col = &p->columns[i];
    if (i == c->columns_n) {
        *col = (struct dz_collection_column){name, f->type, f->list, false, field};
        c->columns_n++;
    } else if (!dz_str_eq(col->name, name)) {
        return dz_fail(err, DZ_BAD_INPUT, "columns %.*s and %.*s differ only in capitals",
                       DZ_STR_FMT(col->name), DZ_STR_FMT(name));
    } else if (f->list || col->list ||
               dz_collection_stored_as(col) !=
                   dz_collection_stored_as(&(struct dz_collection_column){.type = f->type})) {
        return dz_fail(err, DZ_BAD_INPUT, "column %.*s holds something else for field %.*s",
                       DZ_STR_FMT(name), DZ_STR_FMT(p->fields[col->field].name));
    }
    col->not_null = col->not_null || f->not_null;
    f->column = i;
    return DZ_OK;
}

static enum dz_code read_field(struct parse *p, const json_t *o, struct dz_collection_field *f,
                               struct dz_err *err)
{
    static const char *const known[] = {"name",           "type",     "enum",   "list",
                                        "items_not_null", "not_null", "column", "description",
                                        "first_of",       "template"};
    dz_str column;
    DZ_TRY(check_members(o, known, DZ_LEN(known), err));
    DZ_TRY(name_of(p, o, "name", true, &f->name, err));
    if (dz_collection_field(p->c, f->name) != DZ_NPOS)
        return dz_fail(err, DZ_BAD_INPUT, "is there twice");
    DZ_TRY(words_of(p, o, "description", DZ_LONG_TEXT_MAX, &f->description, err));
    DZ_TRY(read_type(p, o, f, err));
    DZ_TRY(words_of(p, o, "column", DZ_TEXT_MAX, &column, err));
    f->column = DZ_NPOS;
    bool first_of = member(o, "first_of") != NULL, templ = member(o, "template") != NULL;
    if ((first_of || templ) && (column.p || (first_of && templ)))
        return dz_fail(err, DZ_BAD_INPUT, "has more than one of column, first_of, template");
    if (first_of || templ) /* read when all fields are known */
        return DZ_OK;
    if (!column.p)
        column = f->name;
    if (!is_name(column))
        return dz_fail(err, DZ_BAD_INPUT,
                       "column \"%.*s\" is no name: letters, digits and _, no digit in front, at "
                       "most %u",
                       (int)(column.n < 60 ? column.n : 60), column.p, DZ_COLLECTION_NAME_MAX);
    return read_column(p, column, p->c->fields_n, f, err);
}

/* A field with a column, by name. */
static enum dz_code find_stored(const struct dz_collection *c, const char *where, dz_str name,
                                size_t *ret_field, struct dz_err *err)
{
    size_t i = dz_collection_field(c, name);
    if (i == DZ_NPOS)
        return dz_fail(err, DZ_BAD_INPUT, "%s: there is no field \"%.*s\"", where,
                       (int)(name.n < 60 ? name.n : 60), name.p ? name.p : "");
    if (c->fields[i].column == DZ_NPOS)
        return dz_fail(err, DZ_BAD_INPUT, "%s: field %.*s has no column", where, DZ_STR_FMT(name));
    *ret_field = i;
    return DZ_OK;
}

/* Stored fields by name, each once. */
static enum dz_code read_tuple(struct parse *p, const char *where, const json_t *v, size_t max,
                               struct dz_collection_tuple *ret_t, struct dz_err *err)
{
    size_t n = json_array_size(v);
    if (v && (!json_is_array(v) || n > max))
        return dz_fail(err, DZ_BAD_INPUT, "%s is no list of at most %zu fields", where, max);
    size_t *fields = dz_arena_alloc(p->a, n * sizeof(*fields));
    for (size_t i = 0; i < n; i++) {
        DZ_TRY(find_stored(p->c, where, dz_json_text(json_array_get(v, i)), &fields[i], err));
        for (size_t k = 0; k < i; k++)
            if (fields[k] == fields[i])
                return dz_fail(err, DZ_BAD_INPUT, "%s: a field is there twice", where);
    }
    *ret_t = (struct dz_collection_tuple){fields, n};
    return DZ_OK;
}

/* Fields that are compared: lists are not. */
static enum dz_code check_plain(struct parse *p, const char *where, size_t field, bool not_null,
                                struct dz_err *err)
{
    const struct dz_collection_field *f = &p->fields[field];
    if (f->list)
        return dz_fail(err, DZ_BAD_INPUT, "%s: field %.*s is a list", where, DZ_STR_FMT(f->name));
    if (not_null && !p->columns[f->column].not_null)
        return dz_fail(err, DZ_BAD_INPUT, "%s: field %.*s may be null", where, DZ_STR_FMT(f->name));
    return DZ_OK;
}

static enum dz_code read_plain_tuple(struct parse *p, const char *where, const json_t *v,
                                     bool not_null, struct dz_collection_tuple *ret_t,
                                     struct dz_err *err)
{
    struct dz_collection_tuple t;
    DZ_TRY(read_tuple(p, where, v, DZ_COLLECTION_TUPLE_MAX, &t, err));
    for (size_t i = 0; i < t.n; i++)
        DZ_TRY(check_plain(p, where, t.fields[i], not_null, err));
    *ret_t = t;
    return DZ_OK;
}

static enum dz_code read_first_of(struct parse *p, const json_t *v, struct dz_collection_field *f,
                                  struct dz_err *err)
{
    struct dz_collection_tuple t;
    DZ_TRY(read_tuple(p, "first_of", v, DZ_COLLECTION_FIELDS_MAX, &t, err));
    if (t.n == 0)
        return dz_fail(err, DZ_BAD_INPUT, "first_of is empty");
    for (size_t i = 0; i < t.n; i++) {
        const struct dz_collection_field *from = &p->fields[t.fields[i]];
        if (from->type != f->type || from->of != f->of || from->list != f->list ||
            (f->items_not_null && !from->items_not_null))
            return dz_fail(err, DZ_BAD_INPUT, "first_of: field %.*s is of another type",
                           DZ_STR_FMT(from->name));
    }
    f->first_of = t.fields;
    f->first_of_n = t.n;
    return DZ_OK;
}

static enum dz_code read_template(struct parse *p, const json_t *o, struct dz_collection_field *f,
                                  struct dz_err *err)
{
    dz_str rest;
    DZ_TRY(words_of(p, o, "template", DZ_TEXT_MAX, &rest, err));
    if ((f->type != DZ_COLLECTION_STRING && f->type != DZ_COLLECTION_ID) || f->list)
        return dz_fail(err, DZ_BAD_INPUT, "template: its type is neither String nor ID");
    size_t n = 0;
    for (size_t i = 0; i < rest.n; i++)
        n += rest.p[i] == '{';
    dz_str *text = dz_arena_alloc(p->a, (n + 1) * sizeof(*text));
    size_t *field = dz_arena_alloc(p->a, (n + 1) * sizeof(*field));
    n = 0;
    for (;;) {
        size_t open = dz_str_chr(rest, '{'), close = dz_str_chr(rest, '}');
        if (open == DZ_NPOS && close == DZ_NPOS)
            break;
        if (open == DZ_NPOS || close == DZ_NPOS || close < open)
            return dz_fail(err, DZ_BAD_INPUT, "template: { and } do not fit");
        DZ_TRY(find_stored(p->c, "template", dz_str_sub(rest, open + 1, close), &field[n], err));
        DZ_TRY(check_plain(p, "template", field[n], false, err));
        text[n++] = dz_str_sub(rest, 0, open);
        rest = dz_str_sub(rest, close + 1, rest.n);
    }
    text[n] = rest;
    f->template_text = text;
    f->template_field = field;
    f->template_n = n;
    return DZ_OK;
}

static enum dz_code read_derived(struct parse *p, const json_t *v, struct dz_err *err)
{
    for (size_t i = 0; i < p->c->fields_n; i++) {
        struct dz_collection_field *f = &p->fields[i];
        const json_t *o = json_array_get(v, i);
        if (f->column != DZ_NPOS)
            continue;
        const json_t *first_of = member(o, "first_of");
        enum dz_code code =
            first_of ? read_first_of(p, first_of, f, err) : read_template(p, o, f, err);
        if (code != DZ_OK)
            return of_item(code, "field", f->name, i, err);
    }
    return DZ_OK;
}

static enum dz_code read_fields(struct parse *p, const json_t *root, struct dz_err *err)
{
    json_t *v = NULL;
    size_t n = 0;
    DZ_TRY(array_of(root, "fields", DZ_COLLECTION_FIELDS_MAX, &v, &n, err));
    p->fields = dz_arena_alloc(p->a, n * sizeof(*p->fields));
    p->columns = dz_arena_alloc(p->a, n * sizeof(*p->columns));
    p->c->fields = p->fields;
    p->c->columns = p->columns;
    for (size_t i = 0; i < n; i++) {
        struct dz_collection_field f = {0};
        enum dz_code code = read_field(p, json_array_get(v, i), &f, err);
        if (code != DZ_OK)
            return of_item(code, "field", f.name, i, err);
        p->fields[i] = f;
        p->c->fields_n = i + 1;
    }
    return read_derived(p, v, err);
}

static enum dz_code read_key(struct parse *p, const json_t *root, struct dz_err *err)
{
    dz_str name;
    DZ_TRY(name_of(p, root, "key", true, &name, err));
    DZ_TRY(find_stored(p->c, "key", name, &p->c->key, err));
    const struct dz_collection_field *f = &p->fields[p->c->key];
    bool fits = f->type == DZ_COLLECTION_STRING || f->type == DZ_COLLECTION_ID ||
                f->type == DZ_COLLECTION_INT;
    if (!fits || f->list || !f->not_null)
        return dz_fail(err, DZ_BAD_INPUT, "key: field %.*s is not one of String!, ID!, Int!",
                       DZ_STR_FMT(name));
    return DZ_OK;
}

static enum dz_code read_unique(struct parse *p, const json_t *root, struct dz_err *err)
{
    json_t *v = NULL;
    size_t n = 0;
    DZ_TRY(array_of(root, "unique", DZ_COLLECTION_UNIQUE_MAX, &v, &n, err));
    struct dz_collection_tuple *t = dz_arena_alloc(p->a, n * sizeof(*t));
    for (size_t i = 0; i < n; i++) {
        if (json_array_size(json_array_get(v, i)) == 0)
            return dz_fail(err, DZ_BAD_INPUT, "unique: a tuple is no list of fields");
        DZ_TRY(read_plain_tuple(p, "unique", json_array_get(v, i), true, &t[i], err));
    }
    p->c->unique = t;
    p->c->unique_n = n;
    return DZ_OK;
}

/* ---- queries -----------------------------------------------------------------------------------
 */

static enum dz_code read_range(struct parse *p, const json_t *o, struct dz_collection_query *q,
                               struct dz_err *err)
{
    static const char *const known[] = {"field", "from", "to"};
    dz_str field;
    q->range_field = DZ_NPOS;
    if (!o)
        return DZ_OK;
    DZ_TRY(check_members(o, known, DZ_LEN(known), err));
    DZ_TRY(name_of(p, o, "field", true, &field, err));
    DZ_TRY(find_stored(p->c, "field", field, &q->range_field, err));
    DZ_TRY(check_plain(p, "field", q->range_field, true, err));
    DZ_TRY(name_of(p, o, "from", true, &q->from, err));
    return name_of(p, o, "to", true, &q->to, err);
}

/* The arguments of a query are its keys, its range and the names of its filters. */
static enum dz_code check_arguments(const struct parse *p, const struct dz_collection_query *q,
                                    struct dz_err *err)
{
    dz_str names[4 + DZ_COLLECTION_TUPLE_MAX] = {q->one, q->many, q->from, q->to};
    size_t n = 4;
    for (size_t i = 0; i < q->filter.n; i++)
        names[n++] = p->fields[q->filter.fields[i]].name;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (names[i].n > 0 && dz_str_eq(names[i], names[k]))
                return dz_fail(err, DZ_BAD_INPUT, "two arguments are named %.*s",
                               DZ_STR_FMT(names[i]));
    bool many = q->many.n > 0 || q->range_field != DZ_NPOS || q->filter.n > 0 || q->order.n > 0;
    if (q->one.n > 0 && many)
        return dz_fail(err, DZ_BAD_INPUT, "one goes alone");
    if (q->one.n == 0 && !many)
        return dz_fail(err, DZ_BAD_INPUT, "has none of one, many, range, filter, order");
    return DZ_OK;
}

static enum dz_code read_query(struct parse *p, const json_t *o, struct dz_collection_query *q,
                               struct dz_err *err)
{
    static const char *const known[] = {"name",  "description", "one",   "many",
                                        "range", "filter",      "order", "exclusive"};
    DZ_TRY(check_members(o, known, DZ_LEN(known), err));
    DZ_TRY(name_of(p, o, "name", true, &q->name, err));
    for (size_t i = 0; i < p->c->queries_n; i++)
        if (dz_str_eq(p->c->queries[i].name, q->name))
            return dz_fail(err, DZ_BAD_INPUT, "is there twice");
    DZ_TRY(words_of(p, o, "description", DZ_LONG_TEXT_MAX, &q->description, err));
    DZ_TRY(name_of(p, o, "one", false, &q->one, err));
    DZ_TRY(name_of(p, o, "many", false, &q->many, err));
    enum dz_code code = read_range(p, member(o, "range"), q, err);
    if (code != DZ_OK)
        return dz_wrap(err, code, "range");
    DZ_TRY(read_plain_tuple(p, "filter", member(o, "filter"), false, &q->filter, err));
    DZ_TRY(read_plain_tuple(p, "order", member(o, "order"), true, &q->order, err));
    DZ_TRY(flag_of(o, "exclusive", &q->exclusive, err));
    return check_arguments(p, q, err);
}

static enum dz_code read_queries(struct parse *p, const json_t *root, struct dz_err *err)
{
    json_t *v = NULL;
    size_t n = 0;
    DZ_TRY(array_of(root, "queries", DZ_COLLECTION_QUERIES_MAX, &v, &n, err));
    struct dz_collection_query *queries = dz_arena_alloc(p->a, n * sizeof(*queries));
    p->c->queries = queries;
    for (size_t i = 0; i < n; i++) {
        struct dz_collection_query q = {0};
        enum dz_code code = read_query(p, json_array_get(v, i), &q, err);
        if (code != DZ_OK)
            return of_item(code, "query", q.name, i, err);
        queries[i] = q;
        p->c->queries_n = i + 1;
    }
    return DZ_OK;
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

/* "c_live_48_cn_perfvod_1f2e3d4c": readable, and another one for each collection. */
static dz_str table_of(struct dz_arena *a, dz_str source, dz_str name)
{
    enum { WORDS = 40 };
    char words[WORDS], digest[2 * TABLE_DIGEST];
    size_t n = 0;
    dz_str both = dz_arena_printf(a, "%.*s/%.*s", DZ_STR_FMT(source), DZ_STR_FMT(name));
    struct dz_sha256 sha = dz_sha256_of(both);
    for (size_t i = 0; i < both.n && n < sizeof(words); i++) {
        char c = both.p[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        words[n++] = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '_';
    }
    dz_hex(sha.b, TABLE_DIGEST, digest);
    return dz_arena_printf(a, "c_%.*s_%.*s", (int)n, words, (int)sizeof(digest), digest);
}

static enum dz_code read_all(struct parse *p, const json_t *root, struct dz_err *err)
{
    static const char *const known[] = {"name",   "description", "key",    "enums",
                                        "fields", "unique",      "queries"};
    enum dz_collection_type type;
    DZ_TRY(check_members(root, known, DZ_LEN(known), err));
    DZ_TRY(name_of(p, root, "name", true, &p->c->name, err));
    if (is_scalar(p->c->name, &type) || dz_str_eq(p->c->name, DZ_S("Query")))
        return dz_fail(err, DZ_BAD_INPUT, "the name is taken");
    DZ_TRY(words_of(p, root, "description", DZ_LONG_TEXT_MAX, &p->c->description, err));
    DZ_TRY(read_enums(p, root, err));
    DZ_TRY(read_fields(p, root, err));
    DZ_TRY(read_key(p, root, err));
    DZ_TRY(read_unique(p, root, err));
    return read_queries(p, root, err);
}

static enum dz_code load(dz_str json, json_t **ret_root, struct dz_err *err)
{
    json_error_t why;
    if (json.n > DZ_COLLECTION_JSON_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "the declaration has %zu bytes, at most %u", json.n,
                       DZ_COLLECTION_JSON_MAX);
    json_t *root = json_loadb(json.n ? json.p : "", json.n, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return dz_fail(err, DZ_BAD_INPUT, "the declaration is no JSON: line %d: %.100s", why.line,
                       why.text);
    *ret_root = root;
    return DZ_OK;
}

enum dz_code dz_collection_parse(dz_str source, dz_str json, struct dz_collection **ret_c,
                                 struct dz_err *err)
{
    const struct dz_text_check check = {"source", source, DZ_COLLECTION_SOURCE_MAX, DZ_TEXT_UTF8};
    json_t *root = NULL;
    DZ_TRY(dz_check_text(&check, err));
    if (source.n == 0)
        return dz_fail(err, DZ_BAD_INPUT, "the source of a collection has no name");
    DZ_AUTO(dz_collection_unref) struct dz_collection *c = dz_new(struct dz_collection);
    atomic_init(&c->refs, 1);
    c->arena = dz_arena_new(ARENA_BYTES);
    c->source = dz_arena_str(c->arena, source);
    struct parse p = {.c = c, .a = c->arena};
    enum dz_code code = load(json, &root, err);
    if (code == DZ_OK)
        code = read_all(&p, root, err);
    json_decref(root);
    if (code != DZ_OK && is_name(c->name))
        return dz_wrap(err, code, "%.*s: collection %.*s", DZ_STR_FMT(source), DZ_STR_FMT(c->name));
    if (code != DZ_OK)
        return dz_wrap(err, code, "%.*s: a collection", DZ_STR_FMT(source));
    c->declaration = dz_arena_str(c->arena, json);
    c->table = table_of(c->arena, source, c->name);
    *ret_c = dz_take(&c);
    return DZ_OK;
}
