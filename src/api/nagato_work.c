/*
 * nagato_work: requests of the library API that wait, step by step: for a worker, because loops do
 * not wait for a database, and for the back, because only it may ask a site.
 *
 * An ask belongs to the loop of its request. A worker has it while its step runs and sends it back
 * by message, as long as that loop still runs. Calls to the back end on the loop. There is one
 * answer in any case, also when the client has gone: that is looked for a few times a second while
 * calls are open, and ends them. The number of asks at workers and of open calls is limited; one
 * more is told to come again.
 */
#include "api/nagato_int.h"

#include <stdlib.h>

#define ARENA_MAX (256 * DZ_MIB)
#define ANSWER_MAX (64 * DZ_MIB)
#define WORKS_MAX 256u
#define CALLS_MAX 128u   /* each holds a descriptor */
#define CALLS_AT_ONCE 8u /* of one ask */
#define CALLS_WAIT_MS 60000
#define CALLS_WAIT_EACH_MS 1000 /* more for each thing that is asked about */
#define CALLS_WAIT_MAX_MS (10 * 60000)
#define LENIENT_WAIT_MS 500 /* of a call that may fail: it asks no site */
#define GONE_LOOK_MS 250
#define DEPTH_MAX 24u

#define TEXT DZ_S("text/plain; charset=utf-8")
#define JSON DZ_S("application/json")
#define NOSNIFF                                                                                    \
    {                                                                                              \
        DZ_S("X-Content-Type-Options"), DZ_S("nosniff")                                            \
    }

struct nagato *nagato_new(void)
{
    struct nagato *n = dz_new(struct nagato);
    pthread_mutex_init(&n->lock, NULL);
    return n;
}

void nagato_free(struct nagato **np)
{
    struct nagato *n = dz_take(np);
    if (!n)
        return;
    json_decref(n->sites);
    pthread_mutex_destroy(&n->lock);
    free(n);
}

/* Whether one more fits; atomic_fetch_sub() gives it back. */
static bool one_more(atomic_uint *count, unsigned max)
{
    if (atomic_fetch_add(count, 1) < max)
        return true;
    atomic_fetch_sub(count, 1);
    return false;
}

/* ---- answers --------------------------------------------------------------------------------- */

static void send(struct dz_http_req *r, int status, dz_str type,
                 const struct dz_http_header_line *extra, size_t extra_n, struct dz_buf *body)
{
    struct dz_http_header_line lines[4] = {NOSNIFF};
    dz_assert(extra_n < DZ_LEN(lines));
    for (size_t i = 0; i < extra_n; i++)
        lines[i + 1] = extra[i];
    const struct dz_http_meta m = {.status = status,
                                   .content_type = type,
                                   .cache_control = NO_STORE,
                                   .last_modified_s = -1,
                                   .extra = lines,
                                   .extra_n = extra_n + 1};
    dz_http_reply_buf(r, &m, body);
}

void nagato_text(struct dz_http_req *r, int status, unsigned retry_s, dz_str words)
{
    char seconds[16];
    int n = snprintf(seconds, sizeof(seconds), "%u", retry_s);
    const struct dz_http_header_line retry[] = {{DZ_S("Retry-After"), {seconds, (size_t)n}}};
    struct dz_buf body;
    dz_buf_init(&body, words.n + 1);
    dz_buf_put(&body, words);
    send(r, status, TEXT, retry, retry_s > 0, &body);
    dz_buf_done(&body);
}

static void ask_free(struct ask *a)
{
    json_decref(a->kept);
    dz_buf_done(&a->out);
    dz_arena_free(&a->arena);
    free(a);
}

/* The rest of an ask that has no open calls and is at no worker. */
static void answer_text(struct ask *a, int status, unsigned retry_s, dz_str words)
{
    nagato_text(a->req, status, retry_s, words);
    ask_free(a);
}

void ask_reply_as(struct ask *a, int status, dz_str type, const struct dz_http_header_line *extra,
                  size_t extra_n)
{
    if (a->out.full) {
        static const struct dz_log_ctx ctx = {.room = "api", .what = "nagato"};
        dz_log(&ctx, DZ_ERROR, "an answer is longer than %zu bytes", (size_t)ANSWER_MAX);
        answer_text(a, 500, 0, DZ_S("The answer is too long"));
        return;
    }
    send(a->req, status, type, extra, extra_n, &a->out);
    ask_free(a);
}

void ask_reply(struct ask *a, int status)
{
    ask_reply_as(a, status, JSON, NULL, 0);
}

void ask_reply_empty(struct ask *a, int status)
{
    dz_buf_clear(&a->out);
    ask_reply_as(a, status, TEXT, NULL, 0);
}

static void put_words(struct ask *a, const char *before, dz_str what, const char *after)
{
    dz_buf_clear(&a->out);
    dz_buf_put(&a->out, dz_str_of(before));
    dz_buf_put(&a->out, what);
    dz_buf_put(&a->out, dz_str_of(after));
}

void ask_reply_words(struct ask *a, int status, const char *before, dz_str what, const char *after)
{
    put_words(a, before, what, after);
    ask_reply_as(a, status, TEXT, NULL, 0);
}

void ask_reply_written(struct ask *a)
{
    ask_reply(a, 200);
}

void ask_reply_no_back(struct ask *a)
{
    answer_text(a, 503, 5, DZ_S("What needs a site cannot be asked now: the crawler is away"));
}

static void answer_busy(struct ask *a)
{
    answer_text(a, 503, 1, DZ_S("Too many requests at once; try again"));
}

/* ---- JSON ------------------------------------------------------------------------------------ */

json_t *ask_keep(struct ask *a, json_t *take_v)
{
    if (!a->kept)
        a->kept = json_array();
    dz_assert(json_array_append_new(a->kept, take_v) == 0);
    return take_v;
}

void ask_json(struct ask *a, struct dz_json *ret_j)
{
    dz_buf_clear(&a->out);
    dz_json_init(ret_j, &a->out, DZ_JSON_PYTHON, true);
}

void put_json(struct dz_json *j, const json_t *v)
{
    const char *key;
    json_t *member;
    size_t i;
    switch (v && j->depth < DEPTH_MAX ? json_typeof(v) : JSON_NULL) {
    case JSON_OBJECT:
        dz_json_object(j);
        json_object_foreach((json_t *)(uintptr_t)v, key, member)
        {
            dz_json_key(j, dz_str_of(key));
            put_json(j, member);
        }
        dz_json_end(j);
        break;
    case JSON_ARRAY:
        dz_json_array(j);
        json_array_foreach(v, i, member) put_json(j, member);
        dz_json_end(j);
        break;
    case JSON_STRING:
        dz_json_str(j, dz_json_text(v));
        break;
    case JSON_INTEGER:
        dz_json_int(j, json_integer_value(v));
        break;
    case JSON_REAL:
        dz_json_real(j, json_real_value(v));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        dz_json_bool(j, json_is_true(v));
        break;
    default:
        dz_json_null(j);
        break;
    }
}

/* ---- the beginning --------------------------------------------------------------------------- */

static bool is_text(dz_str s)
{
    return dz_str_is_utf8(s) && dz_str_chr(s, '\0') == DZ_NPOS;
}

static bool read_params(struct ask *a)
{
    dz_str rest = a->req->query;
    size_t n = 0, max = 1;
    for (size_t i = 0; i < rest.n; i++)
        max += rest.p[i] == '&';
    struct ask_param *v = dz_arena_alloc(a->arena, max * sizeof(*v));
    while (n < max && dz_http_query_next(a->req, &rest, &v[n].name, &v[n].value)) {
        if (!is_text(v[n].value))
            return false;
        n++;
    }
    a->params = v;
    a->params_n = n;
    return true;
}

struct ask *ask_new(struct dz_http_req *r)
{
    if (answered_for_shelf_host(r))
        return NULL;
    struct ask *a = dz_new(struct ask);
    a->req = r;
    a->api = r->app;
    a->loop = r->loop_app;
    a->catalog = dz_library_catalog(a->api->library);
    a->arena = dz_arena_new(ARENA_MAX);
    a->until_ms = dz_loop_now_ms(r->loop) + CALLS_WAIT_MS;
    dz_buf_init(&a->out, ANSWER_MAX);
    if (read_params(a))
        return a;
    answer_text(a, 400, 0, DZ_S("The query of the request is not UTF-8 text"));
    return NULL;
}

/* Once the first step is under way: it ends by a message, so not before this. */
static void defer(struct ask *a)
{
    if (!a->deferred)
        dz_http_defer(a->req);
    a->deferred = true;
}

/* ---- a step on a worker ---------------------------------------------------------------------- */

enum dz_code ask_refuse(struct ask *a, int status, const char *before, dz_str what,
                        const char *after)
{
    put_words(a, before, what, after);
    a->refused = status;
    return DZ_BAD_INPUT;
}

static void work_failed(struct ask *a)
{
    static struct dz_log_gate gate;
    if (a->refused) {
        ask_reply_as(a, a->refused, TEXT, NULL, 0);
        return;
    }
    struct dz_log_ctx ctx = {.room = "api", .what = a->req->route->name, .id = a->req->id};
    int status = dz_code_http_status(a->code);
    bool again = dz_code_retries(a->code);
    if (status >= 500 && dz_log_gate_pass(&gate, 1000))
        dz_log_err(&ctx, again ? DZ_WARN : DZ_ERROR, &a->err, "the catalog");
    if (again)
        answer_text(a, 503, 5, DZ_S("The catalog cannot be used now"));
    else
        answer_text(a, status, 0,
                    status < 500 ? dz_str_of(a->err.text) : DZ_S("Internal server error"));
}

static void work_arrive(struct dz_loop *l, struct dz_msg *m)
{
    struct ask *a = dz_container(m, struct ask, msg);
    (void)l;
    if (a->code == DZ_OK)
        a->next(a);
    else
        work_failed(a);
}

static void work_drop(struct dz_msg *m)
{
    ask_free(dz_container(m, struct ask, msg));
}

static void work_run(struct dz_work *w)
{
    struct ask *a = dz_container(w, struct ask, work);
    a->code = a->run(a, &a->err);
}

/* Still on the worker, which has let go of w. */
static void work_done(struct dz_work *w)
{
    struct ask *a = dz_container(w, struct ask, work);
    atomic_fetch_sub(&a->api->nagato->works, 1);
    if (!api_post(a->loop, &a->msg))
        ask_free(a);
}

void ask_work(struct ask *a, ask_work_fn *run, ask_next_fn *next)
{
    struct nagato *n = a->api->nagato;
    a->run = run;
    a->next = next;
    a->work = (struct dz_work){.run = work_run, .done = work_done};
    a->msg = (struct dz_msg){.fn = work_arrive, .drop = work_drop};
    if (!one_more(&n->works, WORKS_MAX)) {
        answer_busy(a);
        return;
    }
    if (dz_pool_submit(a->api->pool, &a->work, NULL) == DZ_OK) {
        defer(a);
        return;
    }
    atomic_fetch_sub(&n->works, 1);
    answer_busy(a);
}

/* ---- calls to the back ----------------------------------------------------------------------- */

static void end_calls(struct ask *a)
{
    for (size_t i = 0; i < a->calls_begun; i++) {
        if (!a->calls[i].handle)
            continue;
        dz_back_call_cancel(&a->calls[i].handle);
        atomic_fetch_sub(&a->api->nagato->calls, 1);
    }
    for (size_t i = a->calls_begun; i < a->calls_n; i++)
        json_decref(a->calls[i].args);
    a->calls_begun = a->calls_n = a->calls_open = 0;
    dz_timer_stop(a->req->loop, &a->gone);
}

/* Nobody listens any more: what is said is only for the log. */
static void look_gone(struct dz_loop *l, struct dz_timer *t)
{
    struct ask *a = dz_container(t, struct ask, gone);
    if (!dz_http_has_left(a->req)) {
        dz_timer_set(l, t, GONE_LOOK_MS, look_gone);
        return;
    }
    end_calls(a);
    answer_text(a, 503, 0, DZ_S("The client has gone"));
}

/* contracts/nagato.md 4.3. */
static int status_of(const struct dz_source_fail *fail)
{
    return fail->kind == DZ_SOURCE_NOT_FOUND ? 404 : fail->kind == DZ_SOURCE_BAD_URL ? 400 : 500;
}

static void call_failed(struct ask *a, const struct dz_source_fail *fail)
{
    static struct dz_log_gate gate;
    struct dz_log_ctx ctx = {.room = "api", .what = a->req->route->name, .id = a->req->id};
    int status = status_of(fail);
    int64_t wait_ms = fail->retry_after_ms > 0 ? fail->retry_after_ms : 0;
    if (status >= 500 && dz_log_gate_pass(&gate, 1000))
        dz_log(&ctx, DZ_WARN, "%s", fail->text);
    answer_text(a, status, (unsigned)((wait_ms + 999) / 1000),
                dz_str_of(fail->message[0] ? fail->message : fail->text));
}

static void call_unanswered(struct ask *a, const struct dz_source_fail *fail)
{
    static struct dz_log_gate gate;
    struct dz_log_ctx ctx = {.room = "api", .what = a->req->route->name, .id = a->req->id};
    if (a->lenient) {
        a->lenient = false;
        a->value = NULL;
        a->next(a);
        return;
    }
    if (dz_log_gate_pass(&gate, 1000))
        dz_log(&ctx, DZ_WARN, "%s", fail->text);
    ask_reply_no_back(a);
}

/* Whether the others go on without it. */
static bool passed_over(const struct ask_call *c, const struct dz_call_result *res)
{
    static struct dz_log_gate gate;
    struct dz_log_ctx ctx = {.room = "api", .what = c->of->req->route->name, .id = c->of->req->id};
    enum dz_source_kind kind = res->fail->kind;
    if (res->unanswered || !c->may_be_gone ||
        (kind != DZ_SOURCE_NOT_FOUND && kind != DZ_SOURCE_GONE))
        return false;
    if (dz_log_gate_pass(&gate, 1000))
        dz_log(&ctx, DZ_WARN, "passed over: %s", res->fail->text);
    return true;
}

static void begin_calls(struct ask *a);

static void call_done(void *arg, const struct dz_call_result *res)
{
    struct ask_call *c = arg;
    struct ask *a = c->of;
    c->handle = NULL;
    atomic_fetch_sub(&a->api->nagato->calls, 1);
    a->calls_open--;
    if (res->fail && !passed_over(c, res)) {
        end_calls(a);
        if (res->unanswered)
            call_unanswered(a, res->fail);
        else
            call_failed(a, res->fail);
        return;
    }
    if (!res->fail)
        a->value = c->value = ask_keep(a, json_incref(res->value));
    begin_calls(a);
}

static bool begin_call(struct ask *a, struct ask_call *c)
{
    struct nagato *n = a->api->nagato;
    const char *data_dir = a->api->conf->data_dir;
    int64_t left_ms = a->until_ms - dz_loop_now_ms(a->req->loop);
    if (a->lenient && left_ms > LENIENT_WAIT_MS)
        left_ms = LENIENT_WAIT_MS;
    json_t *args = dz_take(&c->args);
    c->of = a;
    a->calls_begun++;
    enum dz_code code = dz_back_call(a->req->loop, data_dir, c->name, args,
                                     left_ms < 1 ? 1 : left_ms, call_done, c, &c->handle, NULL);
    json_decref(args);
    if (code == DZ_OK) {
        a->calls_open++;
        defer(a);
        return true;
    }
    atomic_fetch_sub(&n->calls, 1);
    end_calls(a);
    answer_busy(a);
    return false;
}

/* As many as may run at once; the last that ends leads on. */
static void begin_calls(struct ask *a)
{
    while (a->calls_begun < a->calls_n && a->calls_open < CALLS_AT_ONCE) {
        if (!one_more(&a->api->nagato->calls, CALLS_MAX))
            break;
        if (!begin_call(a, &a->calls[a->calls_begun]))
            return;
    }
    if (a->calls_open > 0)
        return;
    if (a->calls_begun < a->calls_n) {
        end_calls(a);
        answer_busy(a);
        return;
    }
    dz_timer_stop(a->req->loop, &a->gone);
    a->lenient = false;
    a->next(a);
}

void ask_more_time(struct ask *a, size_t n)
{
    int64_t more_ms = (int64_t)n * CALLS_WAIT_EACH_MS;
    a->until_ms += more_ms < CALLS_WAIT_MAX_MS ? more_ms : CALLS_WAIT_MAX_MS;
}

void ask_calls(struct ask *a, struct ask_call *v, size_t n, ask_next_fn *next)
{
    a->calls = v;
    a->calls_n = n;
    a->calls_begun = a->calls_open = 0;
    a->next = next;
    dz_timer_set(a->req->loop, &a->gone, GONE_LOOK_MS, look_gone);
    begin_calls(a);
}

void ask_call(struct ask *a, const char *name, json_t *take_args, ask_next_fn *next)
{
    struct ask_call *c = dz_arena_alloc(a->arena, sizeof(*c));
    *c = (struct ask_call){.name = name, .args = take_args};
    ask_calls(a, c, 1, next);
}
