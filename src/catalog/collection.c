/*
 * collection: records of collections on their way into a driver, and rows on their way out.
 *
 * In: JSON records of sources and imports, and what a query asks. Out: values of columns that a
 * driver can bind without a further look, and values of fields with the derived ones made. All
 * checks of what comes from outside are here, once for every driver. Any thread, but none that has
 * a batch open. Odd: several fields may share a column, so that a record may say the same thing
 * twice; then it has to be the same.
 */
#include "catalog/collection_int.h"

#define ROW_BYTES_MAX (64 * DZ_MIB) /* of the templates of one row */
#define PUT_BYTES_MAX DZ_GIB        /* of the lists of one call */

/* ---- declarations ------------------------------------------------------------------------------
 */

struct dz_collection *dz_collection_ref(struct dz_collection *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void dz_collection_unref(struct dz_collection **c)
{
    struct dz_collection *gone = dz_take(c);
    if (!gone || atomic_fetch_sub_explicit(&gone->refs, 1, memory_order_acq_rel) != 1)
        return;
    dz_arena_free(&gone->arena);
    free(gone);
}

size_t dz_collection_field(const struct dz_collection *c, dz_str name)
{
    for (size_t i = 0; i < c->fields_n; i++)
        if (dz_str_eq(c->fields[i].name, name))
            return i;
    return DZ_NPOS;
}

dz_str dz_collection_enum_name(const struct dz_collection_enum *e, int64_t number)
{
    for (size_t i = 0; i < e->values_n; i++)
        if (e->values[i].number == number)
            return e->values[i].name;
    return (dz_str){NULL, 0};
}

int dz_collection_stored_as(const struct dz_collection_column *c)
{
    if (c->list || c->type == DZ_COLLECTION_STRING || c->type == DZ_COLLECTION_ID)
        return DZ_VALUE_TEXT;
    return c->type == DZ_COLLECTION_FLOAT ? DZ_VALUE_REAL : DZ_VALUE_INT;
}

bool dz_collection_value_eq(const struct dz_collection_value *a,
                            const struct dz_collection_value *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case DZ_VALUE_INT:
        return a->n == b->n;
    case DZ_VALUE_REAL:
        return !(a->x < b->x) && !(a->x > b->x);
    case DZ_VALUE_TEXT:
        return dz_str_eq(a->s, b->s);
    case DZ_VALUE_NULL:
    default:
        return true;
    }
}

/* ---- records -----------------------------------------------------------------------------------
 */

static enum dz_code enum_number(const struct dz_collection_field *f, const json_t *v,
                                int64_t *ret_n, struct dz_err *err)
{
    if (json_is_integer(v)) {
        if (dz_collection_enum_name(f->of, json_integer_value(v)).n == 0)
            return dz_fail(err, DZ_BAD_INPUT, "%" JSON_INTEGER_FORMAT " is not a valid %.*s",
                           json_integer_value(v), DZ_STR_FMT(f->of->name));
        *ret_n = json_integer_value(v);
        return DZ_OK;
    }
    dz_str name = {json_string_value(v), json_string_length(v)};
    for (size_t i = 0; i < f->of->values_n; i++)
        if (json_is_string(v) && dz_str_eq(f->of->values[i].name, name)) {
            *ret_n = f->of->values[i].number;
            return DZ_OK;
        }
    return dz_fail(err, DZ_BAD_INPUT, "\"%.*s\" is not a valid %.*s",
                   (int)(name.n < 60 ? name.n : 60), name.p ? name.p : "", DZ_STR_FMT(f->of->name));
}

static enum dz_code text_value(const json_t *v, size_t max, dz_str *ret_s, struct dz_err *err)
{
    if (!json_is_string(v))
        return dz_fail(err, DZ_BAD_INPUT, "is no text");
    *ret_s = dz_json_text(v);
    return dz_check_text(&(struct dz_text_check){"it", *ret_s, max, DZ_TEXT_UTF8}, err);
}

/* One value that is not null, of a list or alone. */
static enum dz_code plain_value(const struct dz_collection_field *f, const json_t *v, size_t max,
                                struct dz_collection_value *ret_v, struct dz_err *err)
{
    struct dz_collection_value out = {.kind = DZ_VALUE_INT};
    switch (f->type) {
    case DZ_COLLECTION_STRING:
    case DZ_COLLECTION_ID:
        out.kind = DZ_VALUE_TEXT;
        DZ_TRY(text_value(v, max, &out.s, err));
        break;
    case DZ_COLLECTION_INT:
        if (!json_is_integer(v))
            return dz_fail(err, DZ_BAD_INPUT, "is no integer");
        out.n = json_integer_value(v);
        break;
    case DZ_COLLECTION_FLOAT:
        if (!json_is_number(v))
            return dz_fail(err, DZ_BAD_INPUT, "is no number");
        out.kind = DZ_VALUE_REAL;
        out.x = json_number_value(v);
        break;
    case DZ_COLLECTION_BOOLEAN:
        if (!json_is_boolean(v))
            return dz_fail(err, DZ_BAD_INPUT, "is neither true nor false");
        out.n = json_is_true(v);
        break;
    case DZ_COLLECTION_ENUM:
        DZ_TRY(enum_number(f, v, &out.n, err));
        break;
    }
    *ret_v = out;
    return DZ_OK;
}

static void put_plain(struct dz_json *j, const struct dz_collection_field *f,
                      const struct dz_collection_value *v)
{
    if (v->kind == DZ_VALUE_TEXT)
        dz_json_str(j, v->s);
    else if (v->kind == DZ_VALUE_REAL)
        dz_json_real(j, v->x);
    else if (f->type == DZ_COLLECTION_BOOLEAN)
        dz_json_bool(j, v->n != 0);
    else
        dz_json_int(j, v->n);
}

/* A list is kept as JSON text, enums in it by number. arena NULL: only checked. */
static enum dz_code list_value(const struct dz_collection_field *f, const json_t *list,
                               struct dz_arena *a, struct dz_collection_value *ret_v,
                               struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    struct dz_json j;
    dz_buf_init(&b, DZ_LONG_TEXT_MAX);
    if (!json_is_array(list))
        return dz_fail(err, DZ_BAD_INPUT, "is no list");
    dz_json_init(&j, &b, DZ_JSON_COMPACT, false);
    dz_json_array(&j);
    for (size_t i = 0; i < json_array_size(list) && !b.full; i++) {
        const json_t *item = json_array_get(list, i);
        struct dz_collection_value v;
        if (json_is_null(item)) {
            if (f->items_not_null)
                return dz_fail(err, DZ_BAD_INPUT, "item %zu: is null", i + 1);
            dz_json_null(&j);
            continue;
        }
        enum dz_code code = plain_value(f, item, DZ_LONG_TEXT_MAX, &v, err);
        if (code != DZ_OK)
            return dz_wrap(err, code, "item %zu", i + 1);
        put_plain(&j, f, &v);
    }
    dz_json_end(&j);
    if (b.full)
        return dz_fail(err, DZ_TOO_LARGE, "the list is over %u bytes", DZ_LONG_TEXT_MAX);
    *ret_v = (struct dz_collection_value){.kind = DZ_VALUE_TEXT};
    if (!a)
        return DZ_OK;
    void *copy;
    DZ_TRY(dz_arena_try(a, b.n, &copy, err));
    memcpy(copy, b.p, b.n);
    ret_v->s = (dz_str){copy, b.n};
    return DZ_OK;
}

/* A key, and what is compared or sorted, is short; other texts may be long. */
static size_t text_max(const struct dz_collection *c, size_t field)
{
    if (c->fields[field].column == c->fields[c->key].column)
        return DZ_TEXT_MAX;
    for (size_t i = 0; i < c->unique_n; i++)
        for (size_t k = 0; k < c->unique[i].n; k++)
            if (c->fields[c->unique[i].fields[k]].column == c->fields[field].column)
                return DZ_TEXT_MAX;
    return DZ_LONG_TEXT_MAX;
}

static enum dz_code put_value(const struct dz_collection *c, size_t field, const json_t *v,
                              struct dz_arena *a, struct dz_collection_value *row, bool *given,
                              struct dz_err *err)
{
    const struct dz_collection_field *f = &c->fields[field];
    struct dz_collection_value value = {.kind = DZ_VALUE_NULL};
    if (f->column == DZ_NPOS)
        return dz_fail(err, DZ_BAD_INPUT, "is derived from others and cannot be given");
    if (json_is_null(v) && f->not_null)
        return dz_fail(err, DZ_BAD_INPUT, "is null");
    if (f->list && !json_is_null(v))
        DZ_TRY(list_value(f, v, a, &value, err));
    else if (!json_is_null(v))
        DZ_TRY(plain_value(f, v, text_max(c, field), &value, err));
    if (given[f->column] && !dz_collection_value_eq(&row[f->column], &value))
        return dz_fail(err, DZ_BAD_INPUT, "another field says something else of column %.*s",
                       DZ_STR_FMT(c->columns[f->column].name));
    row[f->column] = value;
    given[f->column] = true;
    return DZ_OK;
}

/* A name of the record that is no field. */
static enum dz_code unknown_name(const struct dz_collection *c, const json_t *record,
                                 struct dz_err *err)
{
    json_t *o = (json_t *)record;
    for (void *at = json_object_iter(o); at; at = json_object_iter_next(o, at))
        if (dz_collection_field(c, dz_str_of(json_object_iter_key(at))) == DZ_NPOS)
            return dz_fail(err, DZ_BAD_INPUT, "there is no field \"%.60s\"",
                           json_object_iter_key(at));
    return DZ_OK;
}

/* One record into columns_n values and flags. */
static enum dz_code read_record(const struct dz_collection *c, const json_t *record,
                                struct dz_arena *a, struct dz_collection_value *row, bool *given,
                                struct dz_err *err)
{
    size_t named = 0;
    if (!json_is_object(record))
        return dz_fail(err, DZ_BAD_INPUT, "is no object");
    for (size_t i = 0; i < c->columns_n; i++) {
        row[i] = (struct dz_collection_value){.kind = DZ_VALUE_NULL};
        given[i] = false;
    }
    for (size_t i = 0; i < c->fields_n; i++) {
        const json_t *v = json_object_getn(record, c->fields[i].name.p, c->fields[i].name.n);
        if (!v)
            continue;
        named++;
        enum dz_code code = put_value(c, i, v, a, row, given, err);
        if (code != DZ_OK)
            return dz_wrap(err, code, "field %.*s", DZ_STR_FMT(c->fields[i].name));
    }
    if (named < json_object_size(record))
        return unknown_name(c, record, err);
    for (size_t i = 0; i < c->columns_n; i++)
        if (c->columns[i].not_null && row[i].kind == DZ_VALUE_NULL)
            return dz_fail(err, DZ_BAD_INPUT, "field %.*s is missing",
                           DZ_STR_FMT(c->fields[c->columns[i].field].name));
    return DZ_OK;
}

enum dz_code dz_collection_check(const struct dz_collection *c, const json_t *record,
                                 struct dz_err *err)
{
    DZ_AUTO(dz_freep) struct dz_collection_value *row = dz_alloc(c->columns_n * sizeof(*row));
    DZ_AUTO(dz_freep) bool *given = dz_alloc(c->columns_n);
    return read_record(c, record, NULL, row, given, err);
}

/* ---- put ---------------------------------------------------------------------------------------
 */

static json_t *json_text(dz_str s)
{
    return json_stringn(s.p ? s.p : "", s.n);
}

/* New reference; NULL for what cannot be said in JSON. */
static json_t *json_value(const struct dz_collection_field *f, const struct dz_collection_value *v)
{
    if (v->kind == DZ_VALUE_NULL)
        return json_null();
    if (f->list)
        return json_loadb(v->s.p, v->s.n, 0, NULL);
    if (f->type == DZ_COLLECTION_ENUM) {
        dz_str name = dz_collection_enum_name(f->of, v->n);
        return name.n > 0 ? json_text(name) : json_integer(v->n);
    }
    if (f->type == DZ_COLLECTION_BOOLEAN)
        return json_boolean(v->n != 0);
    if (v->kind == DZ_VALUE_TEXT)
        return json_text(v->s);
    return v->kind == DZ_VALUE_REAL ? json_real(v->x) : json_integer(v->n);
}

struct clashes {
    const struct dz_collection *c;
    json_t *list;
};

static void keep_clash(void *arg, size_t i, const struct dz_collection_value *row)
{
    struct clashes *to = arg;
    json_t *o = json_object();
    for (size_t k = 0; to->list && k < to->c->fields_n; k++) {
        const struct dz_collection_field *f = &to->c->fields[k];
        if (f->column == DZ_NPOS)
            continue;
        json_t *v = json_value(f, &row[f->column]);
        json_object_setn_new_nocheck(o, f->name.p, f->name.n, v ? v : json_null());
    }
    if (to->list)
        json_array_set_new(to->list, i, o);
    else
        json_decref(o);
}

static enum dz_code put_rows(struct dz_catalog *c, const struct dz_collection *coll,
                             const struct dz_collection_put *put, enum dz_put_result *ret_v,
                             json_t **ret_clash, struct dz_err *err)
{
    struct clashes to = {.c = coll};
    struct dz_collection_put with_clash = *put;
    with_clash.clash = keep_clash;
    with_clash.arg = &to;
    if (ret_clash) {
        to.list = json_array();
        for (size_t i = 0; i < put->n; i++)
            json_array_append_new(to.list, json_null());
    }
    enum dz_code code = c->driver->collection_put(c->self, coll, &with_clash, ret_v, err);
    if (code == DZ_OK && ret_clash)
        *ret_clash = to.list;
    else
        json_decref(to.list);
    return code;
}

enum dz_code dz_catalog_collection_put(struct dz_catalog *c, const struct dz_collection *coll,
                                       const json_t *records, bool replace,
                                       enum dz_put_result *ret_v, json_t **ret_clash,
                                       struct dz_err *err)
{
    size_t n = json_array_size(records), columns = coll->columns_n;
    if (!json_is_array(records))
        return dz_fail(err, DZ_BAD_INPUT, "the records of a collection are no array");
    DZ_TRY(dz_check_records("records", n, err));
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(PUT_BYTES_MAX);
    DZ_AUTO(dz_freep) void *values_p = NULL;
    DZ_AUTO(dz_freep) void *given_p = NULL;
    DZ_TRY(dz_try_alloc(n * columns * sizeof(struct dz_collection_value) + 1, &values_p, err));
    DZ_TRY(dz_try_alloc(n * columns + 1, &given_p, err));
    struct dz_collection_value *values = values_p;
    bool *given = given_p;
    for (size_t i = 0; i < n; i++) {
        enum dz_code code = read_record(coll, json_array_get(records, i), a, &values[i * columns],
                                        &given[i * columns], err);
        if (code != DZ_OK)
            return dz_wrap(err, code, "%.*s: record %zu of %zu", DZ_STR_FMT(coll->name), i + 1, n);
    }
    const struct dz_collection_put put = {
        .values = values, .given = given, .n = n, .replace = replace};
    return put_rows(c, coll, &put, ret_v, ret_clash, err);
}

/* ---- asking ------------------------------------------------------------------------------------
 */

static enum dz_code check_stored(const struct dz_collection *c, size_t field, struct dz_err *err)
{
    if (field >= c->fields_n || c->fields[field].column == DZ_NPOS)
        return dz_fail(err, DZ_BAD_INPUT, "%.*s: field %zu has no column", DZ_STR_FMT(c->name),
                       field);
    return DZ_OK;
}

/* A text as a value of the column; null when no row can have it. */
static struct dz_collection_value value_of_text(const struct dz_collection_column *c, dz_str s)
{
    struct dz_collection_value v = {.kind = DZ_VALUE_NULL};
    bool negative = s.n > 0 && s.p[0] == '-';
    uint64_t n;
    if (dz_collection_stored_as(c) == DZ_VALUE_TEXT)
        return s.p ? (struct dz_collection_value){.kind = DZ_VALUE_TEXT, .s = s} : v;
    dz_str digits = dz_str_sub(s, negative, s.n);
    if (dz_collection_stored_as(c) != DZ_VALUE_INT || (digits.n > 1 && digits.p[0] == '0') ||
        dz_str_u64(digits, (uint64_t)INT64_MAX + negative, &n, NULL) != DZ_OK)
        return v;
    v.kind = DZ_VALUE_INT;
    v.n = negative ? (int64_t)(0 - n) : (int64_t)n;
    return v;
}

enum dz_code dz_catalog_collection_seen(struct dz_catalog *c, const struct dz_collection *coll,
                                        size_t field, const dz_str *values, size_t n, bool *ret,
                                        struct dz_err *err)
{
    DZ_TRY(check_stored(coll, field, err));
    DZ_TRY(dz_check_records("values", n, err));
    size_t column = coll->fields[field].column;
    DZ_AUTO(dz_freep) struct dz_collection_value *v = dz_alloc((n + 1) * sizeof(*v));
    for (size_t i = 0; i < n; i++)
        v[i] = value_of_text(&coll->columns[column], values[i]);
    return c->driver->collection_seen(c->self, coll, column, v, n, ret, err);
}

static enum dz_code check_bound(const struct dz_collection *c, const struct dz_collection_bound *b,
                                struct dz_err *err)
{
    DZ_TRY(check_stored(c, b->field, err));
    const struct dz_collection_field *f = &c->fields[b->field];
    if (f->list || (b->value.kind != DZ_VALUE_NULL &&
                    (int)b->value.kind != dz_collection_stored_as(&c->columns[f->column])))
        return dz_fail(err, DZ_BAD_INPUT, "%.*s: field %.*s is not compared with that",
                       DZ_STR_FMT(c->name), DZ_STR_FMT(f->name));
    return DZ_OK;
}

static enum dz_code check_order(const struct dz_collection *c, const struct dz_collection_ask *ask,
                                struct dz_err *err)
{
    if (ask->order_n > DZ_COLLECTION_TUPLE_MAX || ask->filters_n > DZ_COLLECTION_TUPLE_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "%.*s: more than %u fields", DZ_STR_FMT(c->name),
                       DZ_COLLECTION_TUPLE_MAX);
    for (size_t i = 0; i <= ask->order_n; i++) {
        size_t field = i < ask->order_n ? ask->order[i] : c->key;
        DZ_TRY(check_stored(c, field, err));
        const struct dz_collection_field *f = &c->fields[field];
        if (f->list || !c->columns[f->column].not_null)
            return dz_fail(err, DZ_BAD_INPUT, "%.*s: no order by field %.*s, which may be null",
                           DZ_STR_FMT(c->name), DZ_STR_FMT(f->name));
        if (!ask->after)
            continue;
        const struct dz_collection_bound at = {field, ask->after[i]};
        DZ_TRY(check_bound(c, &at, err));
        if (at.value.kind == DZ_VALUE_NULL)
            return dz_fail(err, DZ_BAD_INPUT, "%.*s: there is nothing behind null",
                           DZ_STR_FMT(c->name));
    }
    return DZ_OK;
}

static enum dz_code check_ask(const struct dz_collection *c, const struct dz_collection_ask *ask,
                              struct dz_err *err)
{
    if (ask->by_keys)
        return dz_check_records("keys", ask->keys_n, err);
    DZ_TRY(check_order(c, ask, err));
    if (ask->from)
        DZ_TRY(check_bound(c, ask->from, err));
    if (ask->to)
        DZ_TRY(check_bound(c, ask->to, err));
    for (size_t i = 0; i < ask->filters_n; i++)
        DZ_TRY(check_bound(c, &ask->filters[i], err));
    return DZ_OK;
}

/* ---- rows --------------------------------------------------------------------------------------
 */

struct rows {
    const struct dz_collection *c;
    const bool *wanted; /* fields; NULL: all */
    dz_collection_row_fn *fn;
    void *arg;
    struct dz_collection_value *fields;
    struct dz_buf texts; /* of the row's templates */
};

static bool wants(const struct rows *r, size_t field)
{
    return !r->wanted || r->wanted[field];
}

static bool is_something(const struct dz_collection_value *v)
{
    return v->kind != DZ_VALUE_NULL && !(v->kind == DZ_VALUE_TEXT && v->s.n == 0);
}

static void put_text(struct dz_buf *b, const struct dz_collection_field *f,
                     const struct dz_collection_value *v)
{
    struct dz_json j;
    if (v->kind == DZ_VALUE_TEXT) {
        dz_buf_put(b, v->s);
        return;
    }
    dz_json_init(&j, b, DZ_JSON_COMPACT, false);
    put_plain(&j, f, v);
}

/* false: a value that it names is null. */
static bool put_template(struct rows *r, const struct dz_collection_field *f,
                         const struct dz_collection_value *columns)
{
    for (size_t i = 0; i < f->template_n; i++) {
        const struct dz_collection_field *of = &r->c->fields[f->template_field[i]];
        if (columns[of->column].kind == DZ_VALUE_NULL)
            return false;
        dz_buf_put(&r->texts, f->template_text[i]);
        put_text(&r->texts, of, &columns[of->column]);
    }
    dz_buf_put(&r->texts, f->template_text[f->template_n]);
    return true;
}

static struct dz_collection_value derive(struct rows *r, const struct dz_collection_field *f,
                                         const struct dz_collection_value *columns)
{
    for (size_t i = 0; i < f->first_of_n; i++) {
        const struct dz_collection_value *v = &columns[r->c->fields[f->first_of[i]].column];
        if (is_something(v))
            return *v;
    }
    size_t from = r->texts.n;
    if (f->first_of_n == 0 && put_template(r, f, columns))
        return (struct dz_collection_value){.kind = DZ_VALUE_TEXT, .s = {NULL, r->texts.n - from}};
    r->texts.n = from;
    return (struct dz_collection_value){.kind = DZ_VALUE_NULL};
}

static enum dz_code give_row(void *arg, size_t at, const struct dz_collection_value *columns,
                             struct dz_err *err)
{
    struct rows *r = arg;
    if (!columns)
        return r->fn(r->arg, at, NULL, err);
    dz_buf_clear(&r->texts);
    for (size_t i = 0; i < r->c->fields_n; i++) {
        const struct dz_collection_field *f = &r->c->fields[i];
        if (!wants(r, i))
            r->fields[i] = (struct dz_collection_value){.kind = DZ_VALUE_NULL};
        else
            r->fields[i] = f->column == DZ_NPOS ? derive(r, f, columns) : columns[f->column];
    }
    if (r->texts.full)
        return dz_fail(err, DZ_TOO_LARGE, "%.*s: a template makes too long a text",
                       DZ_STR_FMT(r->c->name));
    /* The buffer may have moved while it grew: where the texts are is known only now. */
    size_t done = 0;
    for (size_t i = 0; r->texts.n > 0 && i < r->c->fields_n; i++)
        if (r->c->fields[i].template_text && r->fields[i].kind == DZ_VALUE_TEXT) {
            r->fields[i].s.p = r->texts.p + done;
            done += r->fields[i].s.n;
        }
    return r->fn(r->arg, at, r->fields, err);
}

static void mark_columns(const struct rows *r, bool *columns)
{
    const struct dz_collection *c = r->c;
    memset(columns, 0, c->columns_n);
    for (size_t i = 0; i < c->fields_n; i++) {
        const struct dz_collection_field *f = &c->fields[i];
        if (!wants(r, i))
            continue;
        if (f->column != DZ_NPOS)
            columns[f->column] = true;
        for (size_t k = 0; k < f->first_of_n; k++)
            columns[c->fields[f->first_of[k]].column] = true;
        for (size_t k = 0; k < f->template_n; k++)
            columns[c->fields[f->template_field[k]].column] = true;
    }
}

enum dz_code dz_catalog_collection_rows(struct dz_catalog *c, const struct dz_collection *coll,
                                        const struct dz_collection_ask *ask,
                                        dz_collection_row_fn *fn, void *arg, struct dz_err *err)
{
    DZ_TRY(check_ask(coll, ask, err));
    struct rows r = {.c = coll, .wanted = ask->wanted, .fn = fn, .arg = arg};
    size_t keys_n = ask->by_keys ? ask->keys_n : 0;
    DZ_AUTO(dz_freep) struct dz_collection_value *keys = dz_alloc((keys_n + 1) * sizeof(*keys));
    DZ_AUTO(dz_freep) bool *columns = dz_alloc(coll->columns_n);
    for (size_t i = 0; i < keys_n; i++)
        keys[i] = value_of_text(&coll->columns[coll->fields[coll->key].column], ask->keys[i]);
    mark_columns(&r, columns);
    r.fields = dz_alloc(coll->fields_n * sizeof(*r.fields));
    dz_buf_init(&r.texts, ROW_BYTES_MAX);
    struct dz_collection_ask of_columns = *ask;
    of_columns.wanted = columns;
    enum dz_code code =
        c->driver->collection_rows(c->self, coll, &of_columns, keys, give_row, &r, err);
    dz_buf_done(&r.texts);
    free(r.fields);
    return code;
}

/* ---- the rest is the driver's ------------------------------------------------------------------
 */

enum dz_code dz_catalog_collection_ensure(struct dz_catalog *c, const struct dz_collection *coll,
                                          struct dz_collection_ensured *ret_ensured,
                                          struct dz_err *err)
{
    enum dz_code code = c->driver->collection_ensure(c->self, coll, ret_ensured, err);
    return code == DZ_OK ? DZ_OK
                         : dz_wrap(err, code, "%.*s: collection %.*s", DZ_STR_FMT(coll->source),
                                   DZ_STR_FMT(coll->name));
}

enum dz_code dz_catalog_collections(struct dz_catalog *c, struct dz_arena *a,
                                    struct dz_collection_rec **ret_v, size_t *ret_n,
                                    struct dz_err *err)
{
    return c->driver->collections(c->self, a, ret_v, ret_n, err);
}

enum dz_code dz_catalog_collections_rev(struct dz_catalog *c, uint64_t *ret_rev, struct dz_err *err)
{
    return c->driver->collections_rev(c->self, ret_rev, err);
}
