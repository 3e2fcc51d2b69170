/*
 * link: one connection of the bus or of a call, the same on both sides.
 *
 * In: a connected non-blocking socket. Out: each message that came, to got; the end of the
 * connection, to ended, once. Loop thread only; the owner embeds the struct and keeps it until
 * ended or dz_link_close. The odd thing: a send that fails is not told from inside dz_link_flush,
 * which may be called from anywhere, but by the timer in the next turn, so that the owner never
 * loses the link under its own hands.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crawl/crawl_int.h"

#define READ_BYTES (64 * DZ_KIB)

void dz_link_close(struct dz_link *k)
{
    if (k->fd < 0)
        return;
    dz_watch_del(k->loop, &k->watch);
    dz_timer_stop(k->loop, &k->timer);
    dz_closep(&k->fd);
    dz_wire_in_done(&k->in);
    dz_buf_done(&k->out);
}

static void end(struct dz_link *k, const struct dz_err *why)
{
    struct dz_err kept = why ? *why : (struct dz_err){0};
    dz_link_close(k);
    k->ended(k, &kept); /* k may be gone now */
}

static void on_timer(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    struct dz_link *k = dz_container(t, struct dz_link, timer);
    struct dz_err why;
    if (k->failed)
        why = k->why;
    else
        (void)dz_fail(&why, DZ_TIMEOUT, "no whole message within %lld ms",
                      (long long)k->frame_timeout_ms);
    end(k, &why);
}

/* Remembers the first failure and has it told in the next turn. */
static void fail_later(struct dz_link *k, enum dz_code code, int native, const char *words)
{
    if (k->failed)
        return;
    k->failed = true;
    if (native)
        (void)dz_fail_errno(&k->why, code, native, "%s", words);
    else
        (void)dz_fail(&k->why, code, "%s", words);
    dz_watch_set(k->loop, &k->watch, 0);
    dz_timer_set(k->loop, &k->timer, 0, on_timer);
}

void dz_link_flush(struct dz_link *k)
{
    if (k->fd < 0 || k->failed)
        return;
    if (k->out.full) {
        fail_later(k, DZ_FULL, 0, "the other side does not read");
        return;
    }
    size_t sent = k->sent;
    while (sent < k->out.n) {
        ssize_t n = send(k->fd, k->out.p + sent, k->out.n - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            fail_later(k, DZ_IO, errno, "send");
            return;
        }
        sent += (size_t)n;
    }
    if (sent >= k->out.n - sent) { /* a long answer is not moved again with each piece */
        memmove(k->out.p, k->out.p + sent, k->out.n - sent);
        k->out.n -= sent;
        sent = 0;
    }
    k->sent = sent;
    dz_watch_set(k->loop, &k->watch, k->out.n > sent ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* Hands out what is whole. The link may be gone after. */
static void deliver(struct dz_link *k)
{
    bool some = false;
    for (;;) {
        struct dz_wire_msg m;
        dz_str text;
        struct dz_err why = {0};
        enum dz_code code = k->got_text ? dz_wire_in_take_text(&k->in, &text, &why)
                                        : dz_wire_in_take(&k->in, &m, &why);
        if (code == DZ_UNAVAILABLE)
            break;
        if (code != DZ_OK) {
            end(k, &why);
            return;
        }
        some = true;
        if (k->got_text)
            k->got_text(k, text);
        else
            k->got(k, &m);
        if (k->failed)
            return;
    }
    if (dz_wire_in_is_empty(&k->in))
        dz_timer_stop(k->loop, &k->timer);
    else if (some || k->timer.at == 0)
        dz_timer_set(k->loop, &k->timer, k->frame_timeout_ms, on_timer);
}

static void on_ready(struct dz_loop *l, struct dz_watch *w, uint32_t events)
{
    (void)l;
    struct dz_link *k = dz_container(w, struct dz_link, watch);
    if (events & EPOLLOUT)
        dz_link_flush(k);
    if (k->failed)
        return; /* the timer will end it */
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    char piece[READ_BYTES];
    ssize_t n = recv(k->fd, piece, sizeof(piece), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        dz_wire_in_put(&k->in, (dz_str){piece, (size_t)n});
        deliver(k);
        return;
    }
    struct dz_err why = {0};
    if (n < 0)
        (void)dz_fail_errno(&why, DZ_IO, errno, "receive");
    else if (!dz_wire_in_is_empty(&k->in))
        (void)dz_fail(&why, DZ_PARSE, "closed in the middle of a message");
    end(k, &why);
}

enum dz_code dz_link_open(struct dz_link *k, struct dz_loop *l, int take_fd,
                          int64_t frame_timeout_ms, struct dz_err *err)
{
    k->loop = l;
    k->fd = take_fd;
    k->watch = (struct dz_watch){0};
    k->timer = (struct dz_timer){0};
    k->failed = false;
    k->sent = 0;
    k->frame_timeout_ms = frame_timeout_ms;
    dz_wire_in_init(&k->in, k->message_max ? k->message_max : WIRE_MESSAGE_MAX);
    dz_buf_init(&k->out, k->out_max ? k->out_max : LINK_OUT_MAX);
    enum dz_code code = dz_watch_add(l, &k->watch, take_fd, EPOLLIN, on_ready, err);
    if (code != DZ_OK) {
        dz_link_close(k);
        return code;
    }
    return DZ_OK;
}

void dz_link_expect(struct dz_link *k)
{
    dz_timer_set(k->loop, &k->timer, k->frame_timeout_ms, on_timer);
}
