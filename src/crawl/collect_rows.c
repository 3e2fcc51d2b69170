/*
 * collect_rows: records of a crawl on their way into the catalog, and questions about those there.
 *
 * In: what the source emits, one record at a time. Out: transactions on the pool: the first record
 * goes at once, those that come while it is written go together with the next one, so that a source
 * that asks with many hands pays for one fsync. Each is answered when it is on disk. Records are
 * checked before they wait: one that cannot be stored never takes others along. Loop thread, but
 * for run_batch and run_seen.
 */
#include <stdlib.h>

#include "crawl/collect_int.h"

static void refuse(struct dz_source_ask *take_ask, enum dz_code code, const struct dz_err *err)
{
    dz_source_answer(take_ask, NULL, code, err);
}

/* NULL: it was answered. */
static struct collect_rows *rows_of(struct crawl_collect *c, struct dz_source_ask *take_ask)
{
    for (size_t i = 0; i < c->n; i++)
        if (dz_str_eq(c->v[i].coll->name, take_ask->name))
            return &c->v[i];
    struct dz_err err;
    enum dz_code code =
        dz_fail(&err, DZ_BAD_INPUT, "the source has no collection \"%.*s\"",
                (int)(take_ask->name.n < 60 ? take_ask->name.n : 60), take_ask->name.p);
    refuse(take_ask, code, &err);
    return NULL;
}

/* ---- records --------------------------------------------------------------------------------- */

struct batch {
    struct dz_work work;
    struct collect_rows *rows;
    struct dz_source_ask *asks[COLLECT_BATCH_MAX];
    size_t n;
    json_t *records, *clash;
    enum dz_put_result results[COLLECT_BATCH_MAX];
    enum dz_code code;
    struct dz_err err;
};

static void write_next(struct collect_rows *r);

static void run_batch(struct dz_work *w)
{
    struct batch *b = dz_container(w, struct batch, work);
    b->code = dz_catalog_collection_put(b->rows->c->j->env->catalog, b->rows->coll, b->records,
                                        false, b->results, &b->clash, &b->err);
}

static void answer(struct crawl_collect *c, struct batch *b, size_t i)
{
    const char *result = "new";
    json_t *old = NULL;
    if (b->results[i] == DZ_PUT_SAME) {
        result = "same";
        c->same++;
    } else if (b->results[i] == DZ_PUT_CLASH) {
        result = "clash";
        old = json_array_get(b->clash, i);
        c->clashes++;
    } else {
        c->fresh++;
        c->untold = true;
    }
    json_t *v = json_pack("{s:s}", "result", result);
    if (old)
        json_object_set(v, "old", old);
    dz_source_answer(b->asks[i], v, DZ_OK, NULL);
}

static void end_batch(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        if (b->code == DZ_OK)
            answer(b->rows->c, b, i);
        else
            refuse(b->asks[i], b->code, &b->err);
    }
    b->rows->writing = false;
    json_decref(b->records);
    json_decref(b->clash);
    free(b);
}

static void on_batch(struct dz_work *w)
{
    struct batch *b = dz_container(w, struct batch, work);
    struct collect_rows *r = b->rows;
    end_batch(b);
    write_next(r);
    collect_came_back(r->c);
}

static void write_next(struct collect_rows *r)
{
    if (r->writing || r->waiting_n == 0)
        return;
    struct batch *b = dz_new(struct batch);
    b->rows = r;
    b->n = r->waiting_n;
    b->records = json_array();
    for (size_t i = 0; i < b->n; i++) {
        b->asks[i] = r->waiting[i];
        json_array_append(b->records, r->waiting[i]->value);
    }
    r->waiting_n = 0;
    r->writing = true;
    b->work = (struct dz_work){.run = run_batch, .home = r->c->j->env->loop, .done = on_batch};
    if (collect_submit(r->c, &b->work, &b->err))
        return;
    b->code = DZ_FULL;
    end_batch(b);
}

void collect_emit(struct crawl_collect *c, struct dz_source_ask *take_ask)
{
    struct collect_rows *r = rows_of(c, take_ask);
    struct dz_err err;
    if (!r)
        return;
    enum dz_code code = dz_collection_check(r->coll, take_ask->value, &err);
    if (code == DZ_OK && r->waiting_n == COLLECT_BATCH_MAX)
        code = dz_fail(&err, DZ_FULL, "more than %u records wait", COLLECT_BATCH_MAX);
    if (code != DZ_OK) {
        refuse(take_ask, code, &err);
        return;
    }
    r->waiting[r->waiting_n++] = take_ask;
    write_next(r);
}

/* ---- questions ------------------------------------------------------------------------------- */

struct question {
    struct dz_work work;
    struct collect_rows *rows;
    struct dz_source_ask *ask;
    struct dz_arena *arena;
    size_t field, n;
    dz_str *values;
    bool *there;
    enum dz_code code;
    struct dz_err err;
};

static void run_seen(struct dz_work *w)
{
    struct question *q = dz_container(w, struct question, work);
    q->code = dz_catalog_collection_seen(q->rows->c->j->env->catalog, q->rows->coll, q->field,
                                         q->values, q->n, q->there, &q->err);
}

static void end_question(struct question *q)
{
    if (q->code == DZ_OK) {
        json_t *v = json_array();
        for (size_t i = 0; i < q->n; i++)
            json_array_append_new(v, json_boolean(q->there[i]));
        dz_source_answer(q->ask, v, DZ_OK, NULL);
    } else {
        refuse(q->ask, q->code, &q->err);
    }
    dz_arena_free(&q->arena);
    free(q);
}

static void on_seen(struct dz_work *w)
{
    struct question *q = dz_container(w, struct question, work);
    struct crawl_collect *c = q->rows->c;
    end_question(q);
    collect_came_back(c);
}

static enum dz_code read_question(struct question *q, struct dz_err *err)
{
    const struct dz_collection *coll = q->rows->coll;
    const json_t *field = json_object_get(q->ask->value, "field");
    const json_t *values = json_object_get(q->ask->value, "values");
    q->field = coll->key;
    if (json_is_string(field)) {
        dz_str name = {json_string_value(field), json_string_length(field)};
        q->field = dz_collection_field(coll, name);
        if (q->field == DZ_NPOS || coll->fields[q->field].column == DZ_NPOS)
            return dz_fail(err, DZ_BAD_INPUT, "%.*s has no stored field \"%.*s\"",
                           DZ_STR_FMT(coll->name), (int)(name.n < 60 ? name.n : 60), name.p);
    }
    q->n = json_array_size(values);
    q->values = dz_arena_alloc(q->arena, (q->n + 1) * sizeof(*q->values));
    q->there = dz_arena_alloc(q->arena, q->n + 1);
    for (size_t i = 0; i < q->n; i++)
        q->values[i] = dz_json_scalar_text(q->arena, json_array_get(values, i));
    return DZ_OK;
}

void collect_seen(struct crawl_collect *c, struct dz_source_ask *take_ask)
{
    struct collect_rows *r = rows_of(c, take_ask);
    if (!r)
        return;
    struct question *q = dz_new(struct question);
    q->rows = r;
    q->ask = take_ask;
    q->arena = dz_arena_new(64 * DZ_MIB); /* the values came through a run's memory */
    q->code = read_question(q, &q->err);
    q->work = (struct dz_work){.run = run_seen, .home = c->j->env->loop, .done = on_seen};
    if (q->code == DZ_OK && collect_submit(c, &q->work, &q->err))
        return;
    q->code = q->code == DZ_OK ? DZ_FULL : q->code;
    end_question(q);
}
