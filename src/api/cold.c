/*
 * cold: what a worker makes once for any number of requests that wait for it (single-flight).
 *
 * In: a request and a key. Out: a counted body (and file) or an error, handed to each request that
 * waited for that key, on its loop. Waiters belong to their loops; the worker reaches them by
 * message, and only while their loop still runs. The table of flights is under the lock of struct
 * dz_api.
 */
#include "api/api_int.h"

struct waiter {
    struct dz_msg msg;
    struct waiter *next;
    struct api_loop *loop;
    struct dz_http_req *req;
    void (*reply)(struct dz_http_req *r, void (*missing)(struct dz_http_req *r),
                  const struct cold_made *made, const struct dz_err *err);
    void (*missing)(struct dz_http_req *r);
    struct cold_made made; /* one reference of each, or none: err */
    struct dz_err err;
};

struct flight {
    struct dz_work work;
    struct dz_api *api;
    struct cold cold;
    struct waiter *waiters;
};

static dz_str key_of(const struct cold *c)
{
    return (dz_str){c->key, c->key_n};
}

static void made_unref(struct cold_made *m)
{
    dz_body_unref(&m->body);
    dz_file_unref(&m->file);
}

static void waiter_free(struct dz_msg *m)
{
    struct waiter *w = dz_container(m, struct waiter, msg);
    made_unref(&w->made);
    free(w);
}

static void waiter_arrive(struct dz_loop *l, struct dz_msg *m)
{
    struct waiter *w = dz_container(m, struct waiter, msg);
    (void)l;
    w->reply(w->req, w->missing, &w->made, &w->err);
    waiter_free(m);
}

static void flight_run(struct dz_work *work)
{
    struct flight *f = dz_container(work, struct flight, work);
    DZ_AUTO(made_unref) struct cold_made made = {0};
    struct dz_err err = {0};
    enum dz_code code = f->cold.make(f->api, f->cold.take_what, &made, &err);
    if (code != DZ_OK) {
        err.code = code;
        made_unref(&made);
    }

    pthread_mutex_lock(&f->api->lock);
    dz_map_del(&f->api->flights, key_of(&f->cold));
    struct waiter *w = f->waiters;
    while (w) {
        struct waiter *next = w->next;
        if (made.body)
            w->made.body = dz_body_ref(made.body);
        if (made.file)
            w->made.file = dz_file_ref(made.file);
        w->err = err;
        if (w->loop->loop)
            dz_loop_post(w->loop->loop, &w->msg);
        else
            waiter_free(&w->msg);
        w = next;
    }
    pthread_mutex_unlock(&f->api->lock);
}

static void flight_done(struct dz_work *work)
{
    struct flight *f = dz_container(work, struct flight, work);
    f->cold.free(f->cold.take_what);
    free(f);
}

/* Begins a flight for w; the lock is held. */
static enum dz_code begin(struct dz_api *a, const struct cold *cold, struct waiter *w)
{
    struct flight *f = dz_new(struct flight);
    f->work.run = flight_run;
    f->work.done = flight_done;
    f->api = a;
    f->cold = *cold;
    f->waiters = w;
    dz_map_set(&a->flights, key_of(&f->cold), f);
    enum dz_code code = dz_pool_submit(a->readers, &f->work, NULL);
    if (code != DZ_OK) {
        dz_map_del(&a->flights, key_of(&f->cold));
        free(f);
    }
    return code;
}

void answer_when_made(struct dz_http_req *r, const struct cold *cold)
{
    struct dz_api *a = r->app;
    struct waiter *w = dz_new(struct waiter);
    w->msg.fn = waiter_arrive;
    w->msg.drop = waiter_free;
    w->loop = r->loop_app;
    w->req = r;
    w->reply = cold->reply;
    w->missing = cold->missing;

    enum dz_code code = DZ_OK;
    pthread_mutex_lock(&a->lock);
    struct flight *f = dz_map_get(&a->flights, key_of(cold));
    if (f) {
        w->next = f->waiters;
        f->waiters = w;
    } else {
        code = begin(a, cold, w);
    }
    if (code == DZ_OK)
        dz_http_defer(r);
    pthread_mutex_unlock(&a->lock);
    if (f || code != DZ_OK)
        cold->free(cold->take_what);
    if (code != DZ_OK) {
        free(w);
        answer_later(r);
    }
}
