/*
 * bus: the front's end of the socket in data_dir/run.
 *
 * In: connections of the back and of commands on this machine, each checked for its user. Out:
 * calls of hooks.changed, and whether a back is there. Everything runs on one loop; the bus owns
 * its clients. Nobody can hold it up: clients, the size of a message, the time for a message and
 * what waits to be sent all have limits, and who passes one is let go with one line in the log.
 */
#include "crawl/crawl_int.h"

const struct dz_log_ctx dz_crawl_bus_ctx = {.room = "crawl", .what = "bus"};

struct bus_client {
    struct dz_link link;
    struct dz_bus *bus;
    struct bus_client *prev, *next;
    int pid; /* as the kernel says */
    bool is_back;
    struct dz_timer ping;
    int64_t ping_n;
    bool pong_due;
};

static void remove_client(struct bus_client *c)
{
    struct dz_bus *b = c->bus;
    dz_link_close(&c->link);
    dz_timer_stop(b->loop, &c->ping);
    if (c->prev)
        c->prev->next = c->next;
    else
        b->clients = c->next;
    if (c->next)
        c->next->prev = c->prev;
    b->door.guests_n--;
    free(c);
}

static void drop_client(struct bus_client *c, const struct dz_err *why)
{
    static struct dz_log_gate gate;
    c->bus->door.dropped++;
    if (dz_log_gate_pass(&gate, 100))
        dz_log_err(&dz_crawl_bus_ctx, DZ_WARN, why, "%s with pid %d dropped",
                   c->is_back ? "back" : "client", c->pid);
    remove_client(c);
}

/* ---- messages -------------------------------------------------------------------------------- */

static void on_ping(struct dz_loop *l, struct dz_timer *t)
{
    struct bus_client *c = dz_container(t, struct bus_client, ping);
    struct dz_bus *b = c->bus;
    if (c->pong_due) {
        struct dz_err why;
        (void)dz_fail(&why, DZ_TIMEOUT, "no answer to a ping within %lld ms",
                      (long long)b->pong_ms);
        drop_client(c, &why);
        return;
    }
    c->pong_due = true;
    dz_wire_put_ping(&c->link.out, ++c->ping_n);
    dz_link_flush(&c->link);
    dz_timer_set(l, t, b->pong_ms, on_ping);
}

static void greet(struct bus_client *c, const struct dz_wire_msg *m)
{
    if (strcmp(m->role, "back") != 0 || c->is_back)
        return;
    c->is_back = true;
    dz_log(&dz_crawl_bus_ctx, DZ_INFO, "back with pid %d connected", c->pid);
    if (strcmp(m->version, DZ_VERSION) != 0)
        dz_log(&dz_crawl_bus_ctx, DZ_WARN, "the back is version %s, this is %s", m->version,
               DZ_VERSION);
    dz_timer_set(c->bus->loop, &c->ping, c->bus->ping_ms, on_ping);
}

static void on_message(struct dz_link *k, const struct dz_wire_msg *m)
{
    struct bus_client *c = dz_container(k, struct bus_client, link);
    struct dz_bus *b = c->bus;
    switch (m->type) {
    case WIRE_HELLO:
        greet(c, m);
        break;
    case WIRE_CHANGED:
        if (b->hooks.changed)
            b->hooks.changed(b->hooks.arg);
        break;
    case WIRE_JOBS:
        if (b->hooks.jobs)
            b->hooks.jobs(b->hooks.arg);
        break;
    case WIRE_PING:
        dz_wire_put_pong(&k->out, m->n);
        dz_link_flush(k);
        break;
    case WIRE_PONG:
        if (c->pong_due && m->n == c->ping_n) {
            c->pong_due = false;
            dz_timer_set(b->loop, &c->ping, b->ping_ms, on_ping);
        }
        break;
    case WIRE_STOP: /* the front's word to others, not to itself */
    case WIRE_OTHER:
        break;
    }
}

static void on_end(struct dz_link *k, const struct dz_err *why)
{
    struct bus_client *c = dz_container(k, struct bus_client, link);
    if (why->code == DZ_OK) {
        dz_log(&dz_crawl_bus_ctx, c->is_back ? DZ_INFO : DZ_DEBUG, "%s with pid %d has closed",
               c->is_back ? "back" : "client", c->pid);
        remove_client(c);
    } else {
        drop_client(c, why);
    }
}

/* ---- open and close -------------------------------------------------------------------------- */

static void take_client(struct dz_door *d, int take_fd, int pid)
{
    struct dz_bus *b = dz_container(d, struct dz_bus, door);
    DZ_AUTO(dz_freep) struct bus_client *c = dz_new(struct bus_client);
    c->bus = b;
    c->pid = pid;
    c->link.got = on_message;
    c->link.ended = on_end;
    struct dz_err err;
    if (dz_link_open(&c->link, b->loop, take_fd, b->frame_timeout_ms, &err) != DZ_OK) {
        dz_log_err(&dz_crawl_bus_ctx, DZ_ERROR, &err, "pid %d was turned away", c->pid);
        return;
    }
    dz_link_expect(&c->link);
    c->next = b->clients;
    if (c->next)
        c->next->prev = c;
    b->clients = dz_take(&c);
    d->guests_n++;
}

enum dz_code dz_bus_open(struct dz_loop *l, const char *data_dir, const struct dz_bus_hooks *hooks,
                         struct dz_bus **ret_b, struct dz_err *err)
{
    DZ_AUTO(dz_bus_close) struct dz_bus *b = dz_new(struct dz_bus);
    b->loop = l;
    b->hooks = *hooks;
    b->frame_timeout_ms = LINK_FRAME_TIMEOUT_MS;
    b->ping_ms = BUS_PING_MS;
    b->pong_ms = BUS_PONG_MS;
    b->door = (struct dz_door){.loop = l,
                               .name = BUS_SOCKET,
                               .log = &dz_crawl_bus_ctx,
                               .guests_max = BUS_CLIENTS_MAX,
                               .came = take_client};
    dz_door_init(&b->door);
    enum dz_code code = dz_door_open(&b->door, data_dir, "bus", err);
    if (code != DZ_OK)
        return dz_wrap(err, code, "bus");
    *ret_b = dz_take(&b);
    return DZ_OK;
}

void dz_bus_close(struct dz_bus **pb)
{
    struct dz_bus *b = *pb;
    if (!b)
        return;
    *pb = NULL;
    while (b->clients) {
        struct bus_client *c = b->clients;
        if (c->is_back) {
            dz_wire_put_stop(&c->link.out);
            dz_link_flush(&c->link);
        }
        remove_client(c);
    }
    dz_door_close(&b->door);
    free(b);
}

bool dz_bus_has_back(const struct dz_bus *b)
{
    for (const struct bus_client *c = b->clients; c; c = c->next)
        if (c->is_back && !c->link.failed)
            return true;
    return false;
}
