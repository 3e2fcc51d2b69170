/*
 * call: one question to the back, from any loop.
 *
 * In: a name and JSON arguments. Out: one call of done with the back's answer, or with a failure
 * that says why there is none. A connection for each call, closed when it ends either way, which is
 * also how the back hears that nobody waits any longer. Loop thread of whoever asked; nothing here
 * blocks. Odd: a back that does not answer the door is asked again for some seconds, because its
 * supervisor starts one that died.
 */
#include <errno.h>
#include <stdlib.h>

#include "crawl/call_int.h"

struct dz_call {
    struct dz_loop *loop;
    char *data_dir;
    char name[32];
    struct dz_buf frame;
    struct dz_link link;
    struct dz_timer step;     /* connecting; later: delivering */
    struct dz_timer deadline; /* of all */
    int64_t began_ms, deadline_ms;
    json_t *answer;
    struct dz_source_fail fail;
    void (*done)(void *arg, const struct dz_call_result *r);
    void *arg;
};

/* Bytes that were cut in the middle of a character do not make JSON. */
static void trim(char *text)
{
    size_t n = strlen(text);
    for (int i = 0; i < 3 && n > 0 && !dz_str_is_utf8((dz_str){text, n}); i++)
        text[--n] = '\0';
}

void call_fail_set(struct dz_source_fail *ret_fail, enum dz_source_kind kind, const char *fmt, ...)
{
    *ret_fail = (struct dz_source_fail){.kind = kind, .retry_after_ms = -1};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(ret_fail->message, sizeof(ret_fail->message), fmt, ap);
    va_end(ap);
    trim(ret_fail->message);
    snprintf(ret_fail->text, sizeof(ret_fail->text), "%.500s", ret_fail->message);
    trim(ret_fail->text);
}

void dz_back_call_cancel(struct dz_call **pc)
{
    struct dz_call *c = dz_take(pc);
    if (!c)
        return;
    dz_link_close(&c->link);
    dz_timer_stop(c->loop, &c->step);
    dz_timer_stop(c->loop, &c->deadline);
    dz_buf_done(&c->frame);
    json_decref(c->answer);
    free(c->data_dir);
    free(c);
}

static void on_deliver(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    struct dz_call *c = dz_container(t, struct dz_call, step);
    struct dz_call_result r = {.fail = c->fail.kind != DZ_SOURCE_OK ? &c->fail : NULL,
                               .value = json_object_get(c->answer, "value"),
                               .unanswered = c->fail.kind != DZ_SOURCE_OK &&
                                             !json_object_get(c->answer, "fail")};
    dz_link_close(&c->link);
    dz_timer_stop(c->loop, &c->deadline);
    c->done(c->arg, &r);
    dz_back_call_cancel(&c);
}

/* In the next turn: the link cannot be closed from inside its callbacks. */
static void deliver(struct dz_call *c)
{
    dz_timer_set(c->loop, &c->step, 0, on_deliver);
}

static void on_deadline(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    struct dz_call *c = dz_container(t, struct dz_call, deadline);
    call_fail_set(&c->fail, DZ_SOURCE_UNAVAILABLE, "no answer to \"%s\" within %lld ms", c->name,
                  (long long)c->deadline_ms);
    on_deliver(l, &c->step);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void copy_text(const json_t *from, const char *key, char *dst, size_t cap)
{
    const char *text = json_string_value(json_object_get(from, key));
    snprintf(dst, cap, "%s", text ? text : "");
}

static bool read_answer(struct dz_call *c)
{
    const json_t *fail = json_object_get(c->answer, "fail");
    if (!fail)
        return json_object_get(c->answer, "value") != NULL;
    const char *kind = json_string_value(json_object_get(fail, "kind"));
    struct dz_source_fail f = {0};
    if (!kind || !dz_source_kind_find(dz_str_of(kind), &f.kind) || f.kind == DZ_SOURCE_OK)
        return false;
    const json_t *wait = json_object_get(fail, "retry_after_ms");
    f.retry_after_ms = json_is_integer(wait) ? json_integer_value(wait) : -1;
    copy_text(fail, "text", f.text, sizeof(f.text));
    copy_text(fail, "message", f.message, sizeof(f.message));
    c->fail = f;
    return true;
}

static void on_answer(struct dz_link *k, dz_str text)
{
    struct dz_call *c = dz_container(k, struct dz_call, link);
    if (c->answer)
        return; /* a second one: nobody waits for it */
    /* A site may have put a NUL into a title. */
    c->answer = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (!c->answer || !read_answer(c))
        call_fail_set(&c->fail, DZ_SOURCE_UNAVAILABLE, "the back's answer to \"%s\" is malformed",
                      c->name);
    deliver(c);
}

static void on_end(struct dz_link *k, const struct dz_err *why)
{
    struct dz_call *c = dz_container(k, struct dz_call, link);
    if (c->step.at != 0)
        return; /* the answer is here */
    call_fail_set(&c->fail, DZ_SOURCE_UNAVAILABLE, "the back is gone before it answered \"%s\"%s%s",
                  c->name, why->code ? ": " : "", why->code ? why->text : "");
    deliver(c);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void on_connect(struct dz_loop *l, struct dz_timer *t)
{
    struct dz_call *c = dz_container(t, struct dz_call, step);
    struct dz_err err;
    int fd;
    enum dz_code code = dz_place_connect(c->data_dir, CALL_SOCKET, 0, &fd, &err);
    if (code == DZ_UNAVAILABLE && dz_loop_now_ms(l) - c->began_ms < CALL_CONNECT_MS) {
        dz_timer_set(l, t, CALL_AGAIN_MS, on_connect);
        return;
    }
    c->link.got_text = on_answer;
    c->link.ended = on_end;
    c->link.message_max = DZ_CALL_ANSWER_MAX;
    c->link.out_max = DZ_CALL_REQUEST_MAX + DZ_KIB;
    if (code == DZ_OK)
        code = dz_link_open(&c->link, l, fd, LINK_FRAME_TIMEOUT_MS, &err);
    if (code != DZ_OK) {
        call_fail_set(&c->fail, DZ_SOURCE_UNAVAILABLE,
                      "what needs a source is not there now: the back cannot be reached");
        deliver(c);
        return;
    }
    dz_buf_put(&c->link.out, dz_buf_str(&c->frame));
    dz_buf_done(&c->frame);
    dz_link_flush(&c->link);
}

enum dz_code dz_back_call(struct dz_loop *l, const char *data_dir, const char *name, json_t *args,
                          int64_t deadline_ms,
                          void (*done)(void *arg, const struct dz_call_result *r), void *arg,
                          struct dz_call **ret_call, struct dz_err *err)
{
    DZ_AUTO(dz_back_call_cancel) struct dz_call *c = dz_new(struct dz_call);
    c->loop = l;
    c->link.fd = -1;
    c->link.loop = l;
    c->data_dir = dz_strdup(data_dir);
    c->began_ms = dz_loop_now_ms(l);
    c->deadline_ms = deadline_ms > 0 ? deadline_ms : 1;
    c->done = done;
    c->arg = arg;
    snprintf(c->name, sizeof(c->name), "%s", name);
    dz_buf_init(&c->frame, WIRE_HEAD_BYTES + DZ_CALL_REQUEST_MAX);
    json_t *request = json_pack("{s:s,s:O,s:I}", "call", name, "args", args ? args : json_null(),
                                "deadline_ms", (json_int_t)c->deadline_ms);
    if (!request)
        return dz_fail(err, DZ_BAD_INPUT, "the name of a call is not UTF-8");
    dz_wire_put_json(&c->frame, request);
    json_decref(request);
    if (c->frame.full)
        return dz_fail(err, DZ_TOO_LARGE, "the arguments of \"%s\" are longer than %zu MiB", name,
                       (size_t)(DZ_CALL_REQUEST_MAX / DZ_MIB));
    dz_timer_set(l, &c->deadline, c->deadline_ms + CALL_GRACE_MS, on_deadline);
    dz_timer_set(l, &c->step, 0, on_connect);
    *ret_call = dz_take(&c);
    return DZ_OK;
}
