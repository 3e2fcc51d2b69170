/*
 * graphql_run: a document and its variables → the answer, without holding a loop.
 *
 * In: a request whose world is there. The document comes from the cache of the shape, or is parsed
 * and validated (bounded: below a millisecond). The answer is made on the loop, STEP_ROWS rows a
 * turn, so that 3,000 rows never block other requests; what wants the catalog (jobs, collections
 * too big for memory) is run by a worker as a whole. It ends early when the client has gone or
 * graphql.timeout is over. Resolvers and their context belong to whoever makes a step.
 */
#include "api/graphql_int.h"

#include <stdlib.h>

#define STEP_ROWS 200u
#define STEP_BYTES (64 * DZ_KIB)
#define WORKS_MAX 4u   /* of the workers, which others need as well */
#define QUEUE_MAX 256u /* that wait for one of these */
/* So many turns between two looks whether the client has gone: who has only closed its own side
 * gets 12,800 rows all the same. */
#define LOOK_TURNS 64u
#define WORKER_LOOK_MS 500

/* ---- persisted documents ----------------------------------------------------------------------
 */

/* The text of the digest, or the other way round; false: answered. */
static bool find_text(struct graph_run *g)
{
    struct graphql *q = g->api->graphql;
    if (g->hash.n == 0)
        return true;
    if (!g->view->conf->graphql.persisted) {
        if (g->text.n > 0)
            return true;
        graph_reply_persisted(g, "PersistedQueryNotSupported");
        return false;
    }
    if (g->text.n == 0) {
        g->kept_text = graph_memo_get(q->persisted, g->hash);
        if (g->kept_text) {
            g->text = (dz_str){g->kept_text->p, g->kept_text->n};
            return true;
        }
        graph_reply_persisted(g, "PersistedQueryNotFound");
        return false;
    }
    char hex[64];
    struct dz_sha256 sha = dz_sha256_of(g->text);
    dz_hex(sha.b, sizeof(sha.b), hex);
    if (!dz_str_eq((dz_str){hex, sizeof(hex)}, g->hash)) {
        graph_reply_error(g, 400, "provided sha does not match query");
        return false;
    }
    return true;
}

/* Only texts that are documents are worth keeping. */
static void keep_text(struct graph_run *g)
{
    if (g->hash.n == 0 || g->kept_text || !g->view->conf->graphql.persisted)
        return;
    struct dz_body *b = dz_body_new(g->text.n);
    memcpy(b->p, g->text.p, g->text.n);
    graph_memo_put(g->api->graphql->persisted, g->hash, b, b->n);
    dz_body_unref(&b);
}

/* ---- what all of them hold --------------------------------------------------------------------
 */

/* Of several that grow at once each could have taken what the others need, and all be refused. So
 * one that runs may have what is not taken by answers that only wait to be sent; the others are
 * refused meanwhile and give theirs back. */
static bool is_first(struct graph_run *g)
{
    struct graphql *q = g->api->graphql;
    struct graph_run *nobody = NULL;
    if (!atomic_compare_exchange_strong(&q->first, &nobody, g) && nobody != g)
        return false;
    return atomic_load(&q->unsent) + g->held <= g->view->conf->graphql.max_memory;
}

static void leave_first(struct graph_run *g)
{
    struct graphql *q = g->api->graphql;
    if (atomic_load(&q->first) == g) /* only its own thread makes it so or ends it */
        atomic_store(&q->first, NULL);
}

bool graph_hold(struct graph_run *g, size_t bytes)
{
    struct graphql *q = g->api->graphql;
    size_t before = g->held;
    g->held = bytes > GRAPH_SMALL_ANSWER ? bytes : 0;
    if (g->held == before)
        return true;
    size_t all = atomic_fetch_add(&q->held, g->held - before) + (g->held - before);
    if (g->held < before || all <= g->view->conf->graphql.max_memory || is_first(g))
        return true;
    leave_first(g);
    return false;
}

/* ---- steps ------------------------------------------------------------------------------------
 */

static void finish(struct graph_run *g)
{
    dz_gql_exec_take(g->exec, &g->out);
    (void)graph_hold(g, g->out.n);
    graph_reply(g, 200);
}

static bool is_late(const struct graph_run *g)
{
    return dz_mono_ns() / 1000000 > g->until_ms;
}

static void reply_late(struct graph_run *g)
{
    graph_reply_error(g, 503, "The answer took longer than the settings allow.");
}

static void step(struct graph_run *g)
{
    if (!dz_gql_exec_step(g->exec, STEP_ROWS, STEP_BYTES)) {
        finish(g);
        return;
    }
    if (is_late(g)) {
        reply_late(g);
        return;
    }
    if (!graph_hold(g, dz_gql_exec_bytes(g->exec))) {
        graph_reply_busy(g);
        return;
    }
    if (++g->turns % LOOK_TURNS == 0 && dz_http_has_left(g->req)) {
        graph_reply_error(g, 503, "The client has gone.");
        return;
    }
    graph_run_defer(g);
    dz_loop_post(g->req->loop, &g->msg);
}

/* ---- a worker makes all of it -----------------------------------------------------------------
 */

static void begin(struct graph_run *g);

/* What is asked for goes, answered or not; only the answer stays. */
static void let_go(struct graph_run *g)
{
    dz_gql_exec_end(&g->exec);
    dz_gql_doc_unref(&g->doc);
    json_decref(g->body);
    json_decref(g->parsed);
    g->body = g->parsed = NULL;
    dz_arena_free(&g->arena);
}

static void make_all(struct graph_run *g)
{
    while (!g->status && dz_gql_exec_step(g->exec, STEP_ROWS, STEP_BYTES)) {
        if (atomic_load(&g->stop) || is_late(g))
            reply_late(g);
        else if (!graph_hold(g, dz_gql_exec_bytes(g->exec) + g->req->body.n))
            graph_reply_busy(g);
    }
    if (!g->status)
        finish(g);
}

static void work_run(struct dz_work *w)
{
    struct graph_run *g = dz_container(w, struct graph_run, work);
    if (!g->exec && graph_read(g))
        begin(g);
    if (!g->status)
        make_all(g);
    let_go(g);
}

static void end_at_loop(struct graph_run *g)
{
    if (!api_post(g->loop, &g->msg))
        graph_run_free(g);
}

/* Who waits longest takes over the place at the workers; NULL: it is free now. */
static struct graph_run *next_queued(struct graphql *q)
{
    pthread_mutex_lock(&q->lock);
    struct graph_run *g = q->queue;
    if (g) {
        q->queue = g->next;
        q->queue_n--;
    } else {
        q->works--;
    }
    pthread_mutex_unlock(&q->lock);
    return g;
}

static void hand_over(struct dz_api *api)
{
    struct graph_run *g;
    while ((g = next_queued(api->graphql)) && dz_pool_submit(api->pool, &g->work, NULL) != DZ_OK) {
        graph_reply_busy(g);
        end_at_loop(g);
    }
}

static void work_done(struct dz_work *w)
{
    struct graph_run *g = dz_container(w, struct graph_run, work);
    hand_over(g->api);
    end_at_loop(g);
}

static void look_gone(struct dz_loop *l, struct dz_timer *t)
{
    struct graph_run *g = dz_container(t, struct graph_run, look);
    if (dz_http_has_left(g->req))
        atomic_store(&g->stop, true);
    else
        dz_timer_set(l, t, WORKER_LOOK_MS, look_gone);
}

enum place { TAKEN, QUEUED, FULL };

static enum place take_place(struct graph_run *g)
{
    struct graphql *q = g->api->graphql;
    enum place got = FULL;
    pthread_mutex_lock(&q->lock);
    if (q->works < WORKS_MAX) {
        q->works++;
        got = TAKEN;
    } else if (q->queue_n < QUEUE_MAX) {
        struct graph_run **end = &q->queue;
        while (*end)
            end = &(*end)->next;
        g->next = NULL;
        *end = g;
        q->queue_n++;
        got = QUEUED;
    }
    pthread_mutex_unlock(&q->lock);
    return got;
}

static void begin_work(struct graph_run *g)
{
    g->ctx.may_block = true;
    g->work = (struct dz_work){.run = work_run, .done = work_done};
    /* The message that ends the work comes to this loop, so not before this has returned. */
    g->at_worker = true;
    enum place got = take_place(g);
    if (got == TAKEN && dz_pool_submit(g->api->pool, &g->work, NULL) != DZ_OK) {
        hand_over(g->api);
        got = FULL;
    }
    if (got == FULL) {
        g->at_worker = false;
        graph_reply_busy(g);
        return;
    }
    graph_run_defer(g);
    dz_timer_set(g->req->loop, &g->look, WORKER_LOOK_MS, look_gone);
}

static void begin_steps(struct graph_run *g)
{
    if (g->at_worker)
        make_all(g);
    else if (g->ctx.wants_worker)
        begin_work(g);
    else
        step(g);
}

/* ---- the beginning ----------------------------------------------------------------------------
 */

static enum dz_code prepare(struct graph_run *g, struct dz_gql_errors *errors)
{
    struct graph_shape *s = g->world->shape;
    g->doc = graph_memo_get(s->docs, g->text);
    if (g->doc)
        return DZ_OK;
    struct dz_gql_limits limits = s->limits;
    DZ_TRY(dz_gql_prepare(s->schema, g->text, &limits, &g->doc, errors));
    graph_memo_put(s->docs, g->text, g->doc, dz_gql_doc_bytes(g->doc));
    return DZ_OK;
}

/* Over GET only queries: answers otherwise. */
static bool is_refused(struct graph_run *g, enum dz_gql_operation kind)
{
    if (!g->by_get || kind == DZ_GQL_QUERY)
        return false;
    graph_reply_not_by_get(g, kind == DZ_GQL_MUTATION ? "mutation" : "subscription");
    return true;
}

static void run(struct graph_run *g, struct dz_gql_errors *errors)
{
    enum dz_gql_operation kind;
    if (prepare(g, errors) != DZ_OK ||
        dz_gql_doc_operation(g->doc, g->operation, &kind, errors) != DZ_OK) {
        graph_reply_errors(g, 400, errors);
        return;
    }
    keep_text(g);
    if (is_refused(g, kind))
        return;
    struct dz_gql_run how = {.operation = g->operation,
                             .variables = &g->variables,
                             .context = &g->ctx,
                             .lenient = DZ_GQL_LENIENT_NUMBERS | DZ_GQL_LENIENT_STRINGS |
                                        DZ_GQL_LENIENT_BOOLEANS,
                             .style = {.ascii = true, .pretty = g->pretty}};
    if (dz_gql_exec_begin(g->doc, &how, &g->exec, errors) != DZ_OK) {
        graph_reply_errors(g, 400, errors);
        return;
    }
    begin_steps(g);
}

/* From the parameters on. */
static void begin(struct graph_run *g)
{
    if (!find_text(g))
        return;
    if (g->text.n == 0) {
        graph_reply_error(g, 400, "Must provide query string.");
        return;
    }
    struct dz_gql_errors errors DZ_AUTO(dz_gql_errors_done);
    dz_gql_errors_init(&errors, g->world->shape->limits.errors_max);
    run(g, &errors);
}

void graph_run_begin(struct graph_run *g)
{
    if (!g->world) {
        graph_reply_error(g, 503, "The catalog cannot be read now.");
        return;
    }
    g->ctx.world = g->world;
    g->ctx.view = g->view;
    g->ctx.catalog = dz_library_catalog(g->api->library);
    if (g->is_large)
        begin_work(g);
    else
        begin(g);
}

/* ---- turns ------------------------------------------------------------------------------------
 */

static void arrive(struct dz_loop *l, struct dz_msg *m)
{
    struct graph_run *g = dz_container(m, struct graph_run, msg);
    (void)l;
    if (g->at_worker)
        graph_send(g);
    else if (!g->exec)
        graph_run_begin(g);
    else
        step(g);
}

static void drop(struct dz_msg *m)
{
    graph_run_free(dz_container(m, struct graph_run, msg));
}

void graph_run_init(struct graph_run *g)
{
    g->msg = (struct dz_msg){.fn = arrive, .drop = drop};
}

void graph_run_defer(struct graph_run *g)
{
    if (!g->deferred)
        dz_http_defer(g->req);
    g->deferred = true;
}

/* Its timer is idle, or its loop has ended. */
void graph_run_free(struct graph_run *g)
{
    let_go(g);
    (void)graph_hold(g, 0);
    leave_first(g);
    graph_world_unref(&g->world);
    dz_view_unref(&g->view);
    dz_body_unref(&g->kept_text);
    dz_buf_done(&g->out);
    free(g);
}
