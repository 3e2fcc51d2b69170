/*
 * graphql_rows: the types of collections and the queries that their sources declare.
 *
 * In: declarations. Out: object types, enums and fields of Query, with resolvers over the tables of
 * the request's world: on a loop, or for a collection too big for memory on a worker, which reads
 * CHUNK rows at a time. An object is a row: a value for each field. The words of refusals are those
 * of contracts/kvm48.md section 5.
 */
#include "api/graphql_int.h"

#include <stdlib.h>

#define CHUNK 500u
#define ROWS_PER_SCAN 16u /* rows of a table cost as much as one series */

/* ---- fields ---------------------------------------------------------------------------------- */

static enum dz_code next_item(struct dz_gql_rows *rows, struct dz_gql_out *ret, struct dz_err *err)
{
    const json_t *items = rows->state, *v = json_array_get(items, rows->at);
    if (rows->at++ >= rows->n) {
        dz_gql_end(ret);
        return DZ_OK;
    }
    if (json_is_integer(v))
        dz_gql_int(ret, json_integer_value(v));
    else if (json_is_real(v))
        dz_gql_float(ret, json_real_value(v));
    else if (json_is_string(v))
        dz_gql_str(ret, dz_json_text(v));
    else if (json_is_boolean(v))
        dz_gql_bool(ret, json_is_true(v));
    else if (json_is_null(v))
        dz_gql_null(ret);
    else
        return dz_fail(err, DZ_CORRUPT, "An item of the list cannot be read.");
    return DZ_OK;
}

static void items_done(struct dz_gql_rows *rows)
{
    json_decref(rows->state);
}

static enum dz_code resolve_list(const struct dz_collection_value *v, struct dz_gql_out *ret,
                                 struct dz_err *err)
{
    json_t *items = v->kind == DZ_VALUE_TEXT ? json_loadb(v->s.p, v->s.n, 0, NULL) : NULL;
    if (!json_is_array(items)) {
        json_decref(items);
        return dz_fail(err, DZ_CORRUPT, "The list cannot be read.");
    }
    dz_gql_rows(ret, (struct dz_gql_rows){.next = next_item,
                                          .done = items_done,
                                          .state = items,
                                          .n = json_array_size(items)});
    return DZ_OK;
}

static enum dz_code resolve_field(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                  struct dz_err *err)
{
    const struct graph_field *f = call->data;
    const struct dz_collection_value *v =
        &((const struct dz_collection_value *)call->object)[f->at];
    switch (v->kind) {
    case DZ_VALUE_NULL:
        dz_gql_null(ret);
        return DZ_OK;
    case DZ_VALUE_INT:
        dz_gql_int(ret, v->n);
        return DZ_OK;
    case DZ_VALUE_REAL:
        dz_gql_float(ret, v->x);
        return DZ_OK;
    case DZ_VALUE_TEXT:
        break;
    }
    if (f->field->list)
        return resolve_list(v, ret, err);
    const struct graph_table *t = ((const struct graph_ctx *)call->context)->world->tables[f->coll];
    if (DZ_LIKELY(!t->is_big))
        dz_gql_quoted(ret, t->quoted[v - t->cells]);
    else
        dz_gql_str(ret, v->s);
    return DZ_OK;
}

/* ---- what a query asks for --------------------------------------------------------------------
 */

struct query_ask {
    const struct graph_query *q;
    const struct graph_table *table;
    struct graph_ctx *ctx;
    const struct dz_gql_value *keys; /* NULL: no keys */
    struct dz_collection_bound from, to;
    struct dz_collection_bound filters[DZ_COLLECTION_TUPLE_MAX];
    size_t filters_n;
    const uint32_t *rows; /* in the query's order, [at, end) */
    size_t at, end;

    /* Of a big collection: the rows that were read last. */
    struct dz_arena *chunk;
    struct dz_collection_value *cells;
    bool *there; /* by keys: whether a row was found */
    size_t chunk_n, chunk_at, asked;
    struct dz_collection_value after[DZ_COLLECTION_TUPLE_MAX + 1];
    bool ended;
};

static struct dz_collection_value value_of(const struct dz_gql_value *v)
{
    struct dz_collection_value out = {.kind = DZ_VALUE_NULL};
    switch (v->kind) {
    case DZ_GQL_BOOL:
        out.kind = DZ_VALUE_INT;
        out.n = v->b;
        break;
    case DZ_GQL_INT:
    case DZ_GQL_ENUM:
        out.kind = DZ_VALUE_INT;
        out.n = v->i;
        break;
    case DZ_GQL_FLOAT:
        out.kind = DZ_VALUE_REAL;
        out.x = v->f;
        break;
    case DZ_GQL_STRING:
        out.kind = DZ_VALUE_TEXT;
        out.s = v->text;
        break;
    default:
        break;
    }
    return out;
}

/* A key as text; p = NULL: nobody's. */
static dz_str key_of(const struct dz_gql_value *v, char dst[24])
{
    if (v->kind == DZ_GQL_STRING)
        return v->text.p ? v->text : DZ_S("");
    if (v->kind != DZ_GQL_INT)
        return (dz_str){NULL, 0};
    int n = snprintf(dst, 24, "%lld", (long long)v->i);
    return (dz_str){dst, (size_t)n};
}

static const struct dz_gql_value *arg_at(const struct dz_gql_call *call, int at)
{
    return at >= 0 ? &call->args[at] : NULL;
}

/* "'from', 'to' and 'group'" */
static void put_names(struct dz_buf *b, const dz_str *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            dz_buf_put(b, i + 1 < n ? DZ_S(", ") : DZ_S(" and "));
        dz_buf_putc(b, '\'');
        dz_buf_put(b, names[i]);
        dz_buf_putc(b, '\'');
    }
}

static enum dz_code refuse(const struct graph_query *q, bool with_filter, const char *before,
                           const char *middle, dz_str last, const char *after, struct dz_err *err)
{
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_str names[DZ_COLLECTION_TUPLE_MAX + 2];
    size_t n = 0;
    if (q->from >= 0) {
        names[n++] = q->query->from;
        names[n++] = q->query->to;
    }
    for (size_t i = 0; with_filter && i < q->query->filter.n; i++)
        names[n++] = q->of->coll->fields[q->query->filter.fields[i]].name;
    dz_buf_init(&b, 4096);
    dz_buf_put(&b, dz_str_of(before));
    put_names(&b, names, n);
    dz_buf_put(&b, dz_str_of(middle));
    if (last.n > 0)
        put_names(&b, &last, 1);
    dz_buf_put(&b, dz_str_of(after));
    return dz_fail(err, DZ_BAD_INPUT, "%s", dz_buf_cstr(&b));
}

static enum dz_code refuse_missing(const struct graph_query *q, struct dz_err *err)
{
    if (q->many >= 0 && q->from >= 0) {
        struct dz_buf b DZ_AUTO(dz_buf_done);
        dz_buf_init(&b, 256);
        dz_buf_put(&b, DZ_S("Either "));
        put_names(&b, &q->query->many, 1);
        dz_buf_put(&b, DZ_S(", or "));
        return refuse(q, false, dz_buf_cstr(&b), " must be specified.", (dz_str){0}, "", err);
    }
    if (q->many >= 0)
        return refuse(q, false, "", "", q->query->many, " must be specified.", err);
    return refuse(q, false, "", " must be specified.", (dz_str){0}, "", err);
}

/* Arguments → what to look for. */
static enum dz_code read_args(const struct dz_gql_call *call, struct query_ask *a,
                              struct dz_err *err)
{
    const struct graph_query *q = a->q;
    const struct dz_collection_query *decl = q->query;
    const struct dz_gql_value *from = arg_at(call, q->from), *to = arg_at(call, q->to);
    bool any = dz_gql_given(from) || dz_gql_given(to);
    for (size_t i = 0; i < decl->filter.n; i++) {
        const struct dz_gql_value *v = &call->args[(size_t)q->filter + i];
        if (!dz_gql_given(v))
            continue;
        any = true;
        a->filters[a->filters_n++] =
            (struct dz_collection_bound){decl->filter.fields[i], value_of(v)};
    }
    if (dz_gql_given(arg_at(call, q->many))) {
        a->keys = arg_at(call, q->many);
        if (decl->exclusive && any)
            return refuse(q, true, "", " are not allowed when ", decl->many, " is specified.", err);
        return DZ_OK;
    }
    bool whole = dz_gql_given(from) && dz_gql_given(to);
    if (q->from >= 0 ? !whole : q->many >= 0)
        return refuse_missing(q, err);
    if (q->from >= 0) {
        a->from = (struct dz_collection_bound){decl->range_field, value_of(from)};
        a->to = (struct dz_collection_bound){decl->range_field, value_of(to)};
    }
    return DZ_OK;
}

/* ---- rows in memory ---------------------------------------------------------------------------
 */

static struct dz_collection_value *row_of(const struct graph_table *t, uint32_t i)
{
    return &t->cells[(size_t)i * t->fields_n];
}

/* The first place in the order whose range field is not below the bound. */
static size_t lower(const struct query_ask *a, const struct dz_collection_bound *bound)
{
    size_t lo = 0, hi = a->table->rows_n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (graph_compare(&row_of(a->table, a->rows[mid])[bound->field], &bound->value) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool fits(const struct query_ask *a, const struct dz_collection_value *row)
{
    for (size_t i = 0; i < a->filters_n; i++)
        if (graph_compare(&row[a->filters[i].field], &a->filters[i].value) != 0)
            return false;
    /* An order that does not begin with the range field leaves this to be looked at row by row. */
    return a->from.value.kind == DZ_VALUE_NULL ||
           (graph_compare(&row[a->from.field], &a->from.value) >= 0 &&
            graph_compare(&row[a->to.field], &a->to.value) < 0);
}

static enum dz_code next_in_memory(struct dz_gql_rows *rows, struct dz_gql_out *ret,
                                   struct dz_err *err)
{
    struct query_ask *a = rows->state;
    (void)err;
    while (a->at < a->end) {
        struct dz_collection_value *row = row_of(a->table, a->rows[a->at++]);
        if (fits(a, row)) {
            dz_gql_object(ret, row, NULL);
            return DZ_OK;
        }
    }
    dz_gql_end(ret);
    return DZ_OK;
}

static enum dz_code next_key(struct dz_gql_rows *rows, struct dz_gql_out *ret, struct dz_err *err)
{
    struct query_ask *a = rows->state;
    char text[24];
    (void)err;
    if (rows->at == a->keys->n) {
        dz_gql_end(ret);
        return DZ_OK;
    }
    dz_str key = key_of(&a->keys->items[rows->at++], text);
    void *row = key.p ? dz_map_get(&a->table->by_key, key) : NULL;
    if (row)
        dz_gql_object(ret, row, NULL);
    else
        dz_gql_null(ret);
    return DZ_OK;
}

static void begin_in_memory(struct query_ask *a)
{
    const struct dz_collection_tuple *order = &a->q->query->order;
    a->rows = a->table->orders[a->q->nth];
    a->end = a->table->rows_n;
    if (a->from.value.kind == DZ_VALUE_NULL || order->n == 0 || order->fields[0] != a->from.field)
        return;
    a->at = lower(a, &a->from);
    a->end = lower(a, &a->to);
}

/* ---- rows of a big collection: a worker reads chunks ------------------------------------------
 */

static enum dz_code keep_row(void *arg, size_t at, const struct dz_collection_value *v,
                             struct dz_err *err)
{
    struct query_ask *a = arg;
    (void)err;
    a->there[at] = v != NULL;
    if (at >= a->chunk_n)
        a->chunk_n = at + 1;
    struct dz_collection_value *row = &a->cells[at * a->table->fields_n];
    for (size_t i = 0; v && i < a->table->fields_n; i++) {
        row[i] = v[i];
        if (v[i].kind == DZ_VALUE_TEXT)
            row[i].s = dz_arena_str(a->chunk, v[i].s);
    }
    return DZ_OK;
}

/* Where the next chunk begins. */
static void remember_last(struct query_ask *a, struct dz_arena *keep)
{
    const struct dz_collection_tuple *order = &a->q->query->order;
    const struct dz_collection_value *last = &a->cells[(a->chunk_n - 1) * a->table->fields_n];
    for (size_t i = 0; i <= order->n; i++) {
        a->after[i] = last[i < order->n ? order->fields[i] : a->q->of->coll->key];
        if (a->after[i].kind == DZ_VALUE_TEXT)
            a->after[i].s = dz_arena_str(keep, a->after[i].s);
    }
}

static void begin_chunk(struct query_ask *a)
{
    if (!a->chunk)
        a->chunk = dz_arena_new(SIZE_MAX);
    dz_arena_reset(a->chunk);
    a->cells = dz_arena_alloc(a->chunk, CHUNK * a->table->fields_n * sizeof(*a->cells));
    a->there = dz_arena_alloc(a->chunk, CHUNK);
    memset(a->there, 0, CHUNK);
    a->chunk_at = a->chunk_n = 0;
}

static enum dz_code read_rows(struct query_ask *a, struct dz_err *err)
{
    struct dz_arena *keep DZ_AUTO(dz_arena_free) = dz_arena_new(SIZE_MAX);
    struct dz_collection_value after[DZ_COLLECTION_TUPLE_MAX + 1];
    const struct dz_collection_query *decl = a->q->query;
    bool first = !a->chunk;
    if (!first) {
        remember_last(a, keep);
        memcpy(after, a->after, sizeof(after));
    }
    begin_chunk(a);
    struct dz_collection_ask ask = {.from = a->from.value.kind ? &a->from : NULL,
                                    .to = a->from.value.kind ? &a->to : NULL,
                                    .filters = a->filters,
                                    .filters_n = a->filters_n,
                                    .order = decl->order.fields,
                                    .order_n = decl->order.n,
                                    .after = first ? NULL : after,
                                    .limit = CHUNK};
    DZ_TRY(dz_catalog_collection_rows(a->ctx->catalog, a->q->of->coll, &ask, keep_row, a, err));
    a->ended = a->chunk_n < CHUNK;
    return DZ_OK;
}

static enum dz_code read_keys(struct query_ask *a, struct dz_err *err)
{
    dz_str keys[CHUNK];
    char texts[CHUNK][24];
    begin_chunk(a);
    size_t n = a->keys->n - a->asked < CHUNK ? a->keys->n - a->asked : CHUNK;
    for (size_t i = 0; i < n; i++)
        keys[i] = key_of(&a->keys->items[a->asked + i], texts[i]);
    a->asked += n;
    a->ended = a->asked == a->keys->n;
    struct dz_collection_ask ask = {.by_keys = true, .keys = keys, .keys_n = n};
    if (n > 0)
        DZ_TRY(dz_catalog_collection_rows(a->ctx->catalog, a->q->of->coll, &ask, keep_row, a, err));
    a->chunk_n = n;
    return DZ_OK;
}

static enum dz_code next_read(struct dz_gql_rows *rows, struct dz_gql_out *ret, struct dz_err *err)
{
    struct query_ask *a = rows->state;
    if (a->chunk_at == a->chunk_n && !a->ended)
        DZ_TRY(a->keys ? read_keys(a, err) : read_rows(a, err));
    if (a->chunk_at == a->chunk_n) {
        dz_gql_end(ret);
        return DZ_OK;
    }
    size_t at = a->chunk_at++;
    if (a->there[at])
        dz_gql_object(ret, &a->cells[at * a->table->fields_n], NULL);
    else
        dz_gql_null(ret);
    return DZ_OK;
}

static void read_done(struct dz_gql_rows *rows)
{
    dz_arena_free(&((struct query_ask *)rows->state)->chunk);
}

/* ---- queries ----------------------------------------------------------------------------------
 */

static struct graph_table *table_of(const struct dz_gql_call *call)
{
    const struct graph_ctx *ctx = call->context;
    const struct graph_query *q = call->data;
    return ctx->world->tables[q->of->at];
}

static void prepare_query(const struct dz_gql_call *call)
{
    struct graph_ctx *ctx = call->context;
    const struct graph_query *q = call->data;
    const struct graph_table *t = table_of(call);
    /* Rows that do not fit are passed over within one turn of the loop. */
    if (q->query->filter.n > 0 || q->from >= 0)
        ctx->library.scans += t->rows_n / ROWS_PER_SCAN;
    ctx->wants_worker |= t->is_big || ctx->library.scans > GRAPH_SCANS_MAX;
}

static struct query_ask *ask_new_for(const struct dz_gql_call *call)
{
    struct query_ask *a = dz_arena_alloc(call->arena, sizeof(*a));
    memset(a, 0, sizeof(*a));
    a->q = call->data;
    a->ctx = call->context;
    a->table = table_of(call);
    return a;
}

static enum dz_code resolve_one(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                struct dz_err *err)
{
    struct query_ask *a = ask_new_for(call);
    struct dz_gql_rows rows = {.state = a};
    const struct dz_gql_value *key = arg_at(call, a->q->one);
    struct dz_gql_value *list = dz_arena_alloc(call->arena, sizeof(*list));
    *list = (struct dz_gql_value){.kind = DZ_GQL_LIST, .n = 1, .items = key};
    a->keys = list;
    if (!a->table->is_big)
        return next_key(&rows, ret, err);
    enum dz_code code = next_read(&rows, ret, err);
    /* The row is read until its object is written, which is as long as the request lives. */
    if (code == DZ_OK && ret->kind == DZ_GQL_OUT_OBJECT) {
        struct dz_collection_value *row =
            dz_arena_alloc(call->arena, a->table->fields_n * sizeof(*row));
        memcpy(row, ret->object, a->table->fields_n * sizeof(*row));
        for (size_t i = 0; i < a->table->fields_n; i++)
            if (row[i].kind == DZ_VALUE_TEXT)
                row[i].s = dz_arena_str(call->arena, row[i].s);
        ret->object = row;
    }
    read_done(&rows);
    return code;
}

static enum dz_code resolve_many(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                 struct dz_err *err)
{
    struct query_ask *a = ask_new_for(call);
    DZ_TRY(read_args(call, a, err));
    struct dz_gql_rows rows = {.state = a};
    if (a->table->is_big) {
        rows.next = next_read;
        rows.done = read_done;
    } else if (a->keys) {
        rows.next = next_key;
    } else {
        rows.next = next_in_memory;
        begin_in_memory(a);
    }
    dz_gql_rows(ret, rows);
    return DZ_OK;
}

/* ---- declarations → schema --------------------------------------------------------------------
 */

static const char *base_type(const struct dz_collection_field *f, struct dz_arena *a)
{
    static const char *const names[] = {[DZ_COLLECTION_STRING] = "String",
                                        [DZ_COLLECTION_ID] = "ID",
                                        [DZ_COLLECTION_INT] = "Int",
                                        [DZ_COLLECTION_FLOAT] = "Float",
                                        [DZ_COLLECTION_BOOLEAN] = "Boolean"};
    return f->of ? dz_arena_dup(a, f->of->name) : names[f->type];
}

static const char *wrapped(struct dz_arena *a, const char *before, const char *type,
                           const char *after)
{
    return dz_arena_printf(a, "%s%s%s", before, type, after).p;
}

static const char *words(struct dz_arena *a, dz_str s)
{
    return s.n > 0 ? dz_arena_dup(a, s) : NULL;
}

static void add_type(struct dz_gql_builder *b, struct graph_coll *of, struct dz_arena *a)
{
    const struct dz_collection *c = of->coll;
    const char *about = words(a, c->description);
    struct dz_gql_type *t =
        dz_gql_add_object(b, dz_arena_dup(a, c->name), about ? about : "A record of a collection.");
    of->fields = dz_arena_alloc(a, c->fields_n * sizeof(*of->fields));
    for (size_t i = 0; i < c->fields_n; i++) {
        const struct dz_collection_field *f = &c->fields[i];
        const char *type = base_type(f, a), *says = words(a, f->description);
        of->fields[i] = (struct graph_field){i, of->at, f};
        if (f->list)
            type = wrapped(a, "[", type, f->items_not_null ? "!]" : "]");
        if (f->not_null)
            type = wrapped(a, "", type, "!");
        dz_gql_add_field(t, dz_arena_dup(a, f->name), type, resolve_field, &of->fields[i],
                         says ? says : "As the source has it.");
    }
}

static void add_enums(struct dz_gql_builder *b, const struct dz_collection *c, struct dz_arena *a)
{
    for (size_t i = 0; i < c->enums_n; i++) {
        const struct dz_collection_enum *e = &c->enums[i];
        const char *about = words(a, e->description);
        struct dz_gql_type *t =
            dz_gql_add_enum(b, dz_arena_dup(a, e->name), about ? about : "Names of numbers.");
        for (size_t k = 0; k < e->values_n; k++)
            dz_gql_add_choice(t, dz_arena_dup(a, e->values[k].name), e->values[k].number,
                              dz_arena_printf(a, "Number %lld.", (long long)e->values[k].number).p);
    }
}

/* The arguments; which is where goes into q. */
static void add_args(struct dz_gql_field *f, struct graph_query *q, struct dz_arena *a)
{
    const struct dz_collection *c = q->of->coll;
    const struct dz_collection_query *decl = q->query;
    const char *key = base_type(&c->fields[c->key], a);
    int n = 0;
    if (decl->one.n > 0) {
        q->one = n++;
        dz_gql_add_arg(f, dz_arena_dup(a, decl->one), wrapped(a, "", key, "!"), NULL,
                       "Which record.");
    }
    if (decl->many.n > 0) {
        q->many = n++;
        dz_gql_add_arg(f, dz_arena_dup(a, decl->many), wrapped(a, "[", key, "]"), NULL,
                       "Which records; the answer has one entry for each, in this order.");
    }
    if (decl->range_field != DZ_NPOS) {
        const char *type = base_type(&c->fields[decl->range_field], a);
        dz_str name = c->fields[decl->range_field].name;
        q->from = n++;
        q->to = n++;
        dz_gql_add_arg(f, dz_arena_dup(a, decl->from), type, NULL,
                       dz_arena_printf(a, "Least %.*s, inclusive.", DZ_STR_FMT(name)).p);
        dz_gql_add_arg(f, dz_arena_dup(a, decl->to), type, NULL,
                       dz_arena_printf(a, "End of %.*s, exclusive.", DZ_STR_FMT(name)).p);
    }
    q->filter = n;
    for (size_t i = 0; i < decl->filter.n; i++) {
        const struct dz_collection_field *field = &c->fields[decl->filter.fields[i]];
        dz_gql_add_arg(f, dz_arena_dup(a, field->name), base_type(field, a), NULL,
                       "Only records that have this.");
    }
}

void graph_add_collection(struct dz_gql_builder *b, struct dz_gql_type *query,
                          struct graph_coll *of, bool with_enums, struct dz_arena *a)
{
    const struct dz_collection *c = of->coll;
    if (with_enums)
        add_enums(b, c, a);
    add_type(b, of, a);
    struct graph_query *v = dz_arena_alloc(a, (c->queries_n + 1) * sizeof(*v));
    for (size_t i = 0; i < c->queries_n; i++) {
        const struct dz_collection_query *decl = &c->queries[i];
        bool is_one = decl->one.n > 0;
        v[i] = (struct graph_query){
            .of = of, .query = decl, .nth = i, .one = -1, .many = -1, .from = -1, .to = -1};
        const char *type = dz_arena_dup(a, c->name), *about = words(a, decl->description);
        if (!about)
            about = is_one ? "One record, or null." : "Records of the collection.";
        struct dz_gql_field *f = dz_gql_add_field(
            query, dz_arena_dup(a, decl->name), is_one ? type : wrapped(a, "[", type, "]"),
            is_one ? resolve_one : resolve_many, &v[i], about);
        add_args(f, &v[i], a);
        dz_gql_field_prepare(f, prepare_query);
    }
}
