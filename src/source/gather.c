/*
 * gather: the sink of tests: what crawl and download hand over, kept as JSON to be compared.
 *
 * In: asks of a run, the rows that a case says are there (`rows`) and keys that are known beside
 * them (`seen`). Out: answers at once, by the rules of the catalog: a record whose key or unique
 * tuple is there is the same when all else agrees, and clashes when not. Loop's thread, no files.
 */
#include "source/replay.h"

#include "catalog/catalog.h"

#include <stdlib.h>

struct gather {
    dz_str source;
    json_t *declared;   /* array of declarations */
    const json_t *seen; /* {Collection: [key]}; not owned */
    json_t *rows;       /* {Collection: [record]}: those of the case and what came */
    json_t *emitted, *archived, *troubles;
};

struct gather *gather_new(const struct dz_source_info *info, const json_t *rows, const json_t *seen)
{
    struct gather *g = dz_new(struct gather);
    dz_str declared = info->collections;
    g->source = info->id;
    g->declared = declared.n ? json_loadb(declared.p, declared.n, 0, NULL) : json_array();
    g->seen = seen;
    g->rows = json_is_object(rows) ? json_deep_copy(rows) : json_object();
    gather_clear(g);
    return g;
}

void gather_free(struct gather **gp)
{
    struct gather *g = dz_take(gp);
    if (!g)
        return;
    json_decref(g->declared);
    json_decref(g->rows);
    json_decref(g->emitted);
    json_decref(g->archived);
    json_decref(g->troubles);
    free(g);
}

void gather_clear(struct gather *g)
{
    json_decref(g->emitted);
    json_decref(g->archived);
    json_decref(g->troubles);
    g->emitted = json_object();
    g->archived = json_array();
    g->troubles = json_array();
}

json_t *gather_of_crawl(const struct gather *g)
{
    return json_pack("{s:O, s:O, s:O}", "emitted", g->emitted, "archived", g->archived, "troubles",
                     g->troubles);
}

json_t *gather_of_download(const struct gather *g)
{
    return json_incref(g->archived);
}

json_t *gather_bytes(dz_str bytes)
{
    char hex[64];
    dz_hex(dz_sha256_of(bytes).b, 32, hex);
    return json_pack("{s:I, s:s%}", "bytes", (json_int_t)bytes.n, "sha256", hex, (size_t)64);
}

/* ---- records --------------------------------------------------------------------------------- */

static const json_t *declaration_of(const struct gather *g, dz_str name)
{
    size_t i;
    const json_t *one;
    json_array_foreach(
        g->declared, i,
        one) if (dz_str_eq(dz_str_of(json_string_value(json_object_get(one, "name"))),
                           name)) return one;
    return NULL;
}

static bool is_null(const json_t *v)
{
    return !v || json_is_null(v);
}

static bool agree(const json_t *a, const json_t *b)
{
    return (is_null(a) && is_null(b)) || json_equal(a, b);
}

/* Whether two records have equal values, none of them null, in all fields of a tuple. */
static bool share(const json_t *a, const json_t *b, const json_t *tuple)
{
    size_t i;
    const json_t *field;
    json_array_foreach(tuple, i, field)
    {
        const json_t *v = json_object_get(a, json_string_value(field));
        if (is_null(v) || !json_equal(v, json_object_get(b, json_string_value(field))))
            return false;
    }
    return true;
}

static bool is_unique(const json_t *unique, const char *name)
{
    size_t i, k;
    const json_t *tuple, *field;
    json_array_foreach(unique, i, tuple) json_array_foreach(
        tuple, k, field) if (strcmp(json_string_value(field), name) == 0) return true;
    return false;
}

static bool is_same(const json_t *declared, const json_t *old, const json_t *record)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)record, name,
                        v) if (!is_null(v) &&
                               !is_unique(json_object_get(declared, "unique"), name) &&
                               !agree(v, json_object_get(old, name))) return false;
    return true;
}

/* The row that is in the way; *ret_same: by its key, and it says the same. */
static json_t *find_row(const struct gather *g, const json_t *declared, dz_str name,
                        const json_t *record, bool *ret_same)
{
    json_t *row, *tuple, *key = json_pack("[O]", json_object_get(declared, "key")), *found = NULL;
    size_t i, k;
    *ret_same = false;
    json_array_foreach(json_object_getn(g->rows, name.p, name.n), i, row)
    {
        if (share(row, record, key)) {
            *ret_same = is_same(declared, row, record);
            found = row;
            break;
        }
        json_array_foreach(json_object_get(declared, "unique"), k,
                           tuple) if (!found && share(row, record, tuple)) found = row;
    }
    json_decref(key);
    return found;
}

static void append(json_t *to, dz_str name, json_t *record)
{
    json_t *list = json_object_getn(to, name.p, name.n);
    if (!list)
        json_object_setn_new(to, name.p, name.n, list = json_array());
    json_array_append(list, record);
}

static enum dz_code check(const struct gather *g, const json_t *declared, const json_t *record,
                          struct dz_err *err)
{
    char *text = json_dumps(declared, JSON_COMPACT);
    struct dz_collection *c = NULL;
    enum dz_code code = dz_collection_parse(g->source, dz_str_of(text), &c, err);
    if (code == DZ_OK)
        code = dz_collection_check(c, record, err);
    dz_collection_unref(&c);
    dz_freep(&text);
    return code;
}

static void emit(struct gather *g, struct dz_source_ask *a)
{
    const json_t *declared = declaration_of(g, a->name);
    struct dz_err err = {0};
    enum dz_code code = DZ_OK;
    if (!declared)
        code = dz_fail(&err, DZ_BAD_INPUT, "there is no collection \"%.*s\"",
                       (int)(a->name.n < 60 ? a->name.n : 60), a->name.p);
    else
        code = check(g, declared, a->value, &err);
    if (code != DZ_OK) {
        dz_source_answer(a, NULL, code, &err);
        return;
    }
    bool same;
    json_t *old = find_row(g, declared, a->name, a->value, &same);
    if (!old) {
        json_t *record = json_deep_copy(a->value);
        append(g->rows, a->name, record);
        append(g->emitted, a->name, record);
        json_decref(record);
    }
    json_t *answer = json_pack("{s:s}", "result", !old ? "new" : same ? "same" : "clash");
    if (old && !same)
        json_object_set(answer, "old", old);
    dz_source_answer(a, answer, DZ_OK, NULL);
}

/* ---- the sink -------------------------------------------------------------------------------- */

static bool has(const json_t *list, const char *field, const json_t *value)
{
    size_t i;
    const json_t *one;
    json_array_foreach(
        list, i, one) if (json_equal(field ? json_object_get(one, field) : one, value)) return true;
    return false;
}

static json_t *seen(const struct gather *g, const struct dz_source_ask *a)
{
    const json_t *declared = declaration_of(g, a->name);
    const char *field = json_string_value(json_object_get(a->value, "field"));
    const char *key = json_string_value(json_object_get(declared, "key"));
    const json_t *rows = json_object_getn(g->rows, a->name.p, a->name.n);
    const json_t *known = json_object_getn(g->seen, a->name.p, a->name.n), *v;
    json_t *answer = json_array();
    size_t i;
    json_array_foreach(json_object_get(a->value, "values"), i, v)
    {
        bool there = has(rows, field ? field : key, v) || (!field && has(known, NULL, v));
        json_array_append_new(answer, json_boolean(there));
    }
    return answer;
}

void gather_archive(struct gather *g, dz_str name, dz_str bytes)
{
    json_t *v = gather_bytes(bytes);
    json_object_set_new(v, "name", json_stringn(name.p ? name.p : "", name.n));
    json_array_append_new(g->archived, v);
}

void gather_ask(struct gather *g, struct dz_source_ask *take_ask)
{
    switch (take_ask->kind) {
    case DZ_ASK_EMIT:
        emit(g, take_ask);
        break;
    case DZ_ASK_SEEN:
        dz_source_answer(take_ask, seen(g, take_ask), DZ_OK, NULL);
        break;
    case DZ_ASK_ARCHIVE:
        gather_archive(g, take_ask->name, (dz_str){take_ask->bytes->p, take_ask->bytes->n});
        dz_source_answer(take_ask, NULL, DZ_OK, NULL);
        break;
    }
}

void gather_trouble(struct gather *g, enum dz_source_kind kind, dz_str text)
{
    json_array_append_new(
        g->troubles,
        json_pack("{s:s, s:s%}", "kind", dz_source_kind_of(kind)->name, "text", text.p, text.n));
}
