/*
 * call_serve: the back's side of calls: who may ask, how many at a time, and for how long.
 *
 * In: connections through the door, one request on each. Out: one answer on each. A call goes
 * through waiting, running and answered; its connection ends it wherever it is. Calls that ask
 * sources take turns, so that a crowd costs memory for some runs only; each has its deadline from
 * the moment it came. Crawler's loop. The odd thing: a call that ends while work of it is on the
 * pool is taken off all lists and freed when that comes back.
 */
#include <stdlib.h>

#include "crawl/call_int.h"

static const struct dz_log_ctx ctx = {.room = "crawl", .what = "calls"};

#define COMPLAIN_EVERY_MS 10000 /* between two complaints */

const struct crawl_env *call_env(const struct call *c)
{
    return &c->calls->crawler->env;
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void start_next(struct crawl_calls *all);

static void leave_turn(struct call *c)
{
    struct crawl_calls *all = c->calls;
    for (struct call **at = &all->waiting; *at; at = &(*at)->next_waiting)
        if (*at == c) {
            *at = c->next_waiting;
            break;
        }
    if (!c->has_turn)
        return;
    c->has_turn = false;
    all->running_n--;
    start_next(all);
}

static void free_call(struct call *c)
{
    json_decref(c->args);
    json_decref(c->made);
    dz_arena_free(&c->arena);
    free(c);
}

static void remove_call(struct call *c)
{
    struct crawl_calls *all = c->calls;
    dz_link_close(&c->link);
    dz_timer_stop(all->crawler->env.loop, &c->timer);
    call_let_go(c);
    if (c->prev)
        c->prev->next = c->next;
    else
        all->all = c->next;
    if (c->next)
        c->next->prev = c->prev;
    all->door.guests_n -= !c->inside;
    leave_turn(c);
    c->calls = NULL;
    if (c->under_way == 0)
        free_call(c);
}

void call_came_back(struct call *c)
{
    c->under_way--;
    if (!c->calls && c->under_way == 0)
        free_call(c);
}

static void on_linger(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    struct call *c = dz_container(t, struct call, timer);
    c->calls->door.dropped++;
    remove_call(c);
}

static void on_inside_ended(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    struct call *c = dz_container(t, struct call, timer);
    c->ended(c->ended_arg, &c->outcome);
    remove_call(c);
}

static void end_inside(struct call *c, const struct dz_source_fail *fail, json_t *take_value)
{
    /* Not in the arena: a worker may be using that. */
    c->outcome = (struct call_outcome){.value = take_value, .requests = c->requests};
    if (fail)
        c->outcome.fail = *fail;
    json_decref(c->made);
    c->made = take_value;
    c->answered = true;
    call_let_go(c);
    leave_turn(c);
    dz_timer_set(c->link.loop, &c->timer, 0, on_inside_ended);
}

static void send_answer(struct call *c, json_t *take_answer)
{
    struct dz_loop *l = c->link.loop;
    dz_wire_put_json(&c->link.out, take_answer);
    json_decref(take_answer);
    if (c->link.out.full) {
        dz_buf_clear(&c->link.out);
        struct dz_source_fail fail;
        call_fail_set(&fail, DZ_SOURCE_LIMIT, "the answer is longer than %zu MiB",
                      (size_t)(DZ_CALL_ANSWER_MAX / DZ_MIB));
        json_t *v = json_pack("{s:{s:s,s:s,s:s,s:i}}", "fail", "kind", "limit", "message",
                              fail.message, "text", fail.text, "retry_after_ms", -1);
        dz_wire_put_json(&c->link.out, v);
        json_decref(v);
    }
    c->answered = true;
    call_let_go(c);
    leave_turn(c);
    dz_timer_set(l, &c->timer, c->calls->linger_ms, on_linger);
    dz_link_flush(&c->link);
}

void call_answer(struct call *c, json_t *take_value)
{
    if (c->inside)
        end_inside(c, NULL, take_value);
    else
        send_answer(c, json_pack("{s:o}", "value", take_value ? take_value : json_null()));
}

void call_refuse(struct call *c, const struct dz_source_fail *fail)
{
    const char *message = fail->message[0] ? fail->message : fail->text;
    if (c->inside) {
        end_inside(c, fail, NULL);
        return;
    }
    json_t *v =
        json_pack("{s:s,s:s,s:s,s:I}", "kind", dz_source_kind_of(fail->kind)->name, "message",
                  message, "text", fail->text, "retry_after_ms", (json_int_t)fail->retry_after_ms);
    if (!v) /* cut in the middle of a character */
        v = json_pack("{s:s,s:s,s:s,s:i}", "kind", dz_source_kind_of(fail->kind)->name, "message",
                      "the site's words are no text", "text", "", "retry_after_ms", -1);
    send_answer(c, json_pack("{s:o}", "fail", v));
}

void call_refuse_words(struct call *c, enum dz_source_kind kind, const char *fmt, ...)
{
    char text[DZ_SOURCE_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    struct dz_source_fail fail;
    call_fail_set(&fail, kind, "%s", text);
    call_refuse(c, &fail);
}

void call_refuse_err(struct call *c, const struct dz_err *err)
{
    call_refuse_words(c, crawl_kind_of_code(err->code), "%s", err->text);
}

static void on_deadline(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    struct call *c = dz_container(t, struct call, timer);
    call_refuse_words(c, DZ_SOURCE_UNAVAILABLE, "\"%s\" was not answered in time", c->kind->name);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Where the first one hangs that waits for nothing but a turn. */
static struct call **next_of(struct crawl_calls *all)
{
    for (struct call **at = &all->waiting; *at; at = &(*at)->next_waiting) {
        unsigned n = 0;
        for (const struct call *c = (*at)->site.n > 0 ? all->all : NULL; c; c = c->next)
            n += c->has_turn && dz_str_eq(c->site, (*at)->site);
        if (n < all->site_max)
            return at;
    }
    return NULL;
}

static void start_next(struct crawl_calls *all)
{
    struct call **at;
    if (all->starting)
        return; /* one that ended as it began has come back here */
    all->starting = true;
    while (all->running_n < all->running_max && (at = next_of(all)) != NULL) {
        struct call *c = *at;
        *at = c->next_waiting;
        c->next_waiting = NULL;
        c->has_turn = true;
        all->running_n++;
        c->kind->begin(c);
    }
    all->starting = false;
}

static void take_turn(struct call *c)
{
    struct call **last = &c->calls->waiting;
    c->site = dz_arena_str(c->arena, call_site(c));
    while (*last)
        last = &(*last)->next_waiting;
    *last = c;
    start_next(c->calls);
}

static void enlist(struct crawl_calls *all, struct call *c)
{
    c->calls = all;
    c->crawler = all->crawler;
    c->next = all->all;
    if (c->next)
        c->next->prev = c;
    all->all = c;
}

static const struct call_kind *kind_in(const struct call_kind *v, const char *name)
{
    while (v->name && strcmp(v->name, name) != 0)
        v++;
    return v->name ? v : NULL;
}

static const struct call_kind *kind_of(const char *name)
{
    const struct call_kind *k = kind_in(call_kinds_refs, name);
    k = k ? k : kind_in(call_kinds_info, name);
    return k ? k : kind_in(call_kinds_download, name);
}

static bool read_request(struct call *c, const json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "call"));
    json_t *args = json_object_get(request, "args");
    const json_t *deadline = json_object_get(request, "deadline_ms");
    json_int_t wait_ms = deadline ? json_integer_value(deadline) : CALL_DEADLINE_MS;
    c->kind = name ? kind_of(name) : NULL;
    if (!name || (args && !json_is_object(args) && !json_is_null(args)) || wait_ms <= 0) {
        call_refuse_words(c, DZ_SOURCE_UNSUPPORTED,
                          "a request is {\"call\": text, \"args\": object, \"deadline_ms\": n}");
    } else if (!c->kind) {
        call_refuse_words(c, DZ_SOURCE_UNSUPPORTED, "there is no call \"%.100s\"", name);
    } else {
        c->args = json_is_object(args) ? json_incref(args) : json_object();
        wait_ms = wait_ms < CALL_DEADLINE_MAX_MS ? wait_ms : CALL_DEADLINE_MAX_MS;
        c->deadline_at_ms = dz_loop_now_ms(c->link.loop) + wait_ms;
        dz_timer_set(c->link.loop, &c->timer, wait_ms, on_deadline);
        return true;
    }
    return false;
}

static void on_request(struct dz_link *k, dz_str text)
{
    struct call *c = dz_container(k, struct call, link);
    if (c->asked)
        return; /* one a connection */
    c->asked = true;
    json_error_t fault;
    json_t *request = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &fault);
    bool good = request != NULL;
    if (!good)
        call_refuse_words(c, DZ_SOURCE_UNSUPPORTED, "a request is not JSON: %s", fault.text);
    else
        good = read_request(c, request);
    json_decref(request);
    if (!good)
        return;
    c->arena = dz_arena_new(CALL_ARENA_MAX);
    if (c->kind->at_once)
        c->kind->begin(c);
    else
        take_turn(c);
}

static void on_end(struct dz_link *k, const struct dz_err *why)
{
    static struct dz_log_gate gate;
    struct call *c = dz_container(k, struct call, link);
    if (why->code != DZ_OK && !c->answered) {
        c->calls->door.dropped++;
        if (dz_log_gate_pass(&gate, COMPLAIN_EVERY_MS))
            dz_log_err(&ctx, DZ_WARN, why, "a call was dropped");
    }
    remove_call(c);
}

static void take_guest(struct dz_door *d, int take_fd, int pid)
{
    (void)pid;
    struct crawl_calls *all = dz_container(d, struct crawl_calls, door);
    DZ_AUTO(dz_freep) struct call *c = dz_new(struct call);
    c->link.got_text = on_request;
    c->link.ended = on_end;
    c->link.message_max = DZ_CALL_REQUEST_MAX;
    c->link.out_max = DZ_CALL_ANSWER_MAX + WIRE_HEAD_BYTES;
    struct dz_err err;
    if (dz_link_open(&c->link, d->loop, take_fd, all->frame_timeout_ms, &err) != DZ_OK) {
        dz_log_err(&ctx, DZ_ERROR, &err, "a call was turned away");
        return;
    }
    dz_link_expect(&c->link);
    enlist(all, dz_take(&c));
    d->guests_n++;
}

struct call *call_inside(struct crawl_calls *all, const char *name, json_t *take_args,
                         int64_t deadline_ms,
                         void (*ended)(void *arg, const struct call_outcome *o), void *arg)
{
    struct call *c = dz_new(struct call);
    c->link.fd = -1;
    c->link.loop = all->crawler->env.loop;
    c->inside = c->asked = true;
    c->kind = kind_of(name);
    c->args = take_args;
    c->ended = ended;
    c->ended_arg = arg;
    c->arena = dz_arena_new(CALL_ARENA_MAX);
    c->deadline_at_ms = dz_loop_now_ms(c->link.loop) + deadline_ms;
    dz_timer_set(c->link.loop, &c->timer, deadline_ms, on_deadline);
    enlist(all, c);
    take_turn(c);
    return c;
}

enum dz_code crawl_calls_open(struct dz_crawler *crawler, struct crawl_calls **ret_calls,
                              struct dz_err *err)
{
    DZ_AUTO(crawl_calls_close) struct crawl_calls *all = dz_new(struct crawl_calls);
    all->crawler = crawler;
    all->running_max = CALL_RUNNING_MAX;
    all->site_max = CALL_SITE_MAX;
    all->frame_timeout_ms = LINK_FRAME_TIMEOUT_MS;
    all->linger_ms = CALL_LINGER_MS;
    all->door = (struct dz_door){.loop = crawler->env.loop,
                                 .name = CALL_SOCKET,
                                 .log = &ctx,
                                 .guests_max = CALL_GUESTS_MAX,
                                 .came = take_guest};
    dz_door_init(&all->door);
    crawler->calls = all;
    enum dz_code code = dz_door_open(&all->door, crawler->env.conf->data_dir, NULL, err);
    if (code != DZ_OK)
        return dz_wrap(err, code, "calls");
    *ret_calls = dz_take(&all);
    return DZ_OK;
}

void crawl_calls_close(struct crawl_calls **pall)
{
    struct crawl_calls *all = dz_take(pall);
    if (!all)
        return;
    all->running_max = 0; /* none begins any more */
    all->crawler->calls = NULL;
    while (all->all) {
        struct call *c = all->all;
        if (c->inside && !c->answered)
            call_refuse_words(c, DZ_SOURCE_CANCELLED, "stopped");
        if (c->inside)
            c->ended(c->ended_arg, &c->outcome);
        remove_call(c);
    }
    dz_door_close(&all->door);
    free(all);
}
