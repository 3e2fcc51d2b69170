/*
 * listener: waits for NOTIFY on a connection of its own.
 *
 * In: names of channels. Out: which of them were heard. A listener that has just been connected,
 * for the first time or again, reports all of them, for it cannot know what it missed; so whoever
 * reads after each report misses nothing. A connection that is quiet is asked for a sign of life
 * now and then, because a NAT or a dead machine would let it be quiet for ever. One thread waits;
 * dz_pg_listener_wake is for the others.
 */
#include "pg/pg_int.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { WAIT_FIRST_MS = 100, WAIT_MAX_MS = 1000, QUIET_MS = 30000 };

struct dz_pg_listener {
    const struct pg_address *address;
    PGconn *pg; /* NULL: none now */
    int wake_fd;
    char *channels[DZ_PG_CHANNELS_MAX];
    size_t n;
    int64_t wait_ms, next_try_ms, heard_ms;
    struct dz_err why; /* while there is none */
};

enum dz_code dz_pg_listen(struct dz_pg *pg, const char *const *channels, size_t n,
                          struct dz_pg_listener **ret_listener, struct dz_err *err)
{
    dz_assert(n > 0 && n <= DZ_PG_CHANNELS_MAX);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return dz_fail_errno(err, DZ_IO, errno, "eventfd");
    struct dz_pg_listener *l = dz_new(struct dz_pg_listener);
    l->address = &pg->address;
    l->wake_fd = fd;
    l->n = n;
    for (size_t i = 0; i < n; i++)
        l->channels[i] = dz_strdup(channels[i]);
    *ret_listener = l;
    return DZ_OK;
}

static void drop(struct dz_pg_listener *l, const struct dz_err *why)
{
    PQfinish(dz_take(&l->pg));
    l->why = *why;
    l->wait_ms = l->wait_ms == 0                ? WAIT_FIRST_MS
                 : l->wait_ms * 2 < WAIT_MAX_MS ? l->wait_ms * 2
                                                : WAIT_MAX_MS;
    l->next_try_ms = pg_now_ms() + l->wait_ms;
}

static bool connected(struct dz_pg_listener *l)
{
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    struct dz_err why = {0};
    bool lost = false;
    dz_buf_init(&text, 2048);
    enum dz_code code = pg_connect(l->address, l->wake_fd, &l->pg, &why);
    if (code == DZ_OK) {
        for (size_t i = 0; i < l->n; i++) {
            dz_buf_put(&text, DZ_S("LISTEN "));
            dz_pg_put_name(&text, dz_str_of(l->channels[i]));
            dz_buf_putc(&text, ';');
        }
        code =
            pg_simple(l->address, l->pg, dz_buf_cstr(&text), l->address->connect_ms, &lost, &why);
    }
    if (code != DZ_OK) {
        drop(l, &why);
        return false;
    }
    l->wait_ms = 0;
    l->heard_ms = pg_now_ms();
    return true;
}

static uint32_t heard(struct dz_pg_listener *l)
{
    uint32_t bits = 0;
    PGnotify *note;
    while ((note = PQnotifies(l->pg))) {
        for (size_t i = 0; i < l->n; i++)
            if (strcmp(l->channels[i], note->relname) == 0)
                bits |= 1u << i;
        PQfreemem(note);
    }
    return bits;
}

/* Reads what has come; false: the connection is lost. */
static bool read_more(struct dz_pg_listener *l)
{
    struct dz_err why = {0};
    if (PQconsumeInput(l->pg)) {
        l->heard_ms = pg_now_ms();
        return true;
    }
    (void)pg_fail_lost(l->address, l->pg, &why);
    drop(l, &why);
    return false;
}

static void ask_for_life(struct dz_pg_listener *l)
{
    struct dz_err why = {0};
    bool lost = false;
    if (pg_simple(l->address, l->pg, "SELECT 1", l->address->connect_ms, &lost, &why) == DZ_OK)
        l->heard_ms = pg_now_ms();
    else
        drop(l, &why);
}

static bool woken(struct dz_pg_listener *l)
{
    eventfd_t n;
    return eventfd_read(l->wake_fd, &n) == 0;
}

/* Sleeps until then, or until it is woken. */
static bool sleep_until(struct dz_pg_listener *l, int64_t until_ms)
{
    struct pollfd fd = {.fd = l->wake_fd, .events = POLLIN};
    int64_t left_ms = until_ms - pg_now_ms();
    (void)poll(&fd, 1, left_ms > 60000 ? 60000 : left_ms < 0 ? 0 : (int)left_ms);
    return woken(l);
}

enum dz_code dz_pg_listener_wait(struct dz_pg_listener *listener, int64_t ms, uint32_t *ret_heard,
                                 struct dz_err *err)
{
    struct dz_pg_listener *l = listener;
    int64_t until_ms = pg_now_ms() + (ms > 0 ? ms : 0);
    *ret_heard = 0;
    for (bool first = true;; first = false) {
        int64_t now_ms = pg_now_ms();
        if (!l->pg && now_ms >= l->next_try_ms && (first || now_ms < until_ms) && connected(l)) {
            *ret_heard = (1u << l->n) - 1;
            return DZ_OK;
        }
        if (l->pg && (*ret_heard = heard(l)))
            return DZ_OK;
        now_ms = pg_now_ms();
        if (!first && now_ms >= until_ms)
            break;
        if (!l->pg) {
            if (sleep_until(l, l->next_try_ms < until_ms ? l->next_try_ms : until_ms))
                break;
            continue;
        }
        int64_t look_ms = l->heard_ms + QUIET_MS;
        enum pg_wait how =
            pg_wait(l->pg, POLLIN, look_ms < until_ms ? look_ms : until_ms, l->wake_fd);
        if (how == PG_WOKEN && woken(l))
            break;
        if (how == PG_READY && !read_more(l))
            continue;
        if (how == PG_LATE && pg_now_ms() >= look_ms)
            ask_for_life(l);
    }
    if (!l->pg) {
        if (err)
            *err = l->why;
        return l->why.code != DZ_OK ? l->why.code : DZ_UNAVAILABLE;
    }
    return DZ_OK;
}

void dz_pg_listener_wake(struct dz_pg_listener *listener)
{
    (void)eventfd_write(listener->wake_fd, 1);
}

void dz_pg_listener_close(struct dz_pg_listener **listener)
{
    struct dz_pg_listener *l = dz_take(listener);
    if (!l)
        return;
    PQfinish(l->pg);
    dz_closep(&l->wake_fd);
    for (size_t i = 0; i < l->n; i++)
        free(l->channels[i]);
    free(l);
}
