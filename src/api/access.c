/*
 * access: the access log in the Combined Log Format, with the milliseconds to the answer behind it.
 * Loops append lines to a bounded buffer; a thread of its own writes them to standard output (`on`)
 * or to a file that is opened anew on SIGHUP, as log rotation expects. A reader that stops reading,
 * or a full disk, costs lines and never an answer: what does not fit is dropped and counted, and
 * the count is logged.
 *
 * What a client sent is escaped as nginx does: quotes, backslashes and everything outside printable
 * ASCII become \xHH.
 */
#include "api/api_int.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <unistd.h>

#define TARGET_MAX 2048u
#define PENDING_MAX DZ_MIB
/* POLLOUT promises this much room in a pipe. */
#define PIECE_MAX 4096u
#define CLOSE_WAIT_MS 1000

struct access_log {
    pthread_t thread;
    bool running;         /* the thread; started with the first log that is not off */
    atomic_bool on;       /* read by loops before they make a line */
    pthread_mutex_t lock; /* all below */
    pthread_cond_t news;
    struct dz_buf pending;
    int fd; /* -1: off */
    uint64_t dropped;
    bool stop;
};

static const struct dz_log_ctx ctx = {.room = "api", .what = "access log"};

/* ---- lines ----------------------------------------------------------------------------------- */

static void put_escaped(struct dz_buf *b, dz_str s)
{
    static const char digits[] = "0123456789ABCDEF";
    if (s.n == 0)
        dz_buf_putc(b, '-');
    for (size_t i = 0; i < s.n && i < TARGET_MAX; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            dz_buf_putc(b, (char)c);
        } else {
            dz_buf_put(b, DZ_S("\\x"));
            dz_buf_putc(b, digits[c >> 4]);
            dz_buf_putc(b, digits[c & 15]);
        }
    }
}

/* [21/Nov/2026:10:17:10 +0000], from the parts of "Sat, 21 Nov 2026 10:17:10 GMT". */
static void put_time(struct dz_buf *b, const char *http_date)
{
    dz_buf_putf(b, "[%.2s/%.3s/%.4s:%.8s +0000]", http_date + 5, http_date + 8, http_date + 12,
                http_date + 17);
}

void access_write(void *app, const struct dz_http_req *r, int status, uint64_t bytes, int64_t ns)
{
    struct access_log *l = ((struct dz_api *)app)->access;
    if (!atomic_load_explicit(&l->on, memory_order_relaxed))
        return;
    struct dz_buf b;
    dz_buf_init(&b, 32 * DZ_KIB);
    put_escaped(&b, r->client_ip);
    dz_buf_put(&b, DZ_S(" - - "));
    put_time(&b, dz_loop_http_date(r->loop));
    dz_buf_put(&b, DZ_S(" \""));
    put_escaped(&b, r->method_text);
    dz_buf_putc(&b, ' ');
    put_escaped(&b, r->target);
    dz_buf_putf(&b, " HTTP/%u.%u\" %d %" PRIu64 " \"", r->version_major, r->version_minor, status,
                bytes);
    put_escaped(&b, dz_http_header(r, DZ_S("referer")));
    dz_buf_put(&b, DZ_S("\" \""));
    put_escaped(&b, dz_http_header(r, DZ_S("user-agent")));
    dz_buf_putf(&b, "\" %.3f\n", (double)ns / 1e6);

    pthread_mutex_lock(&l->lock);
    if (l->fd >= 0) {
        if (l->pending.n + b.n > PENDING_MAX) {
            l->dropped++;
        } else {
            dz_buf_put(&l->pending, dz_buf_str(&b));
            pthread_cond_signal(&l->news);
        }
    }
    pthread_mutex_unlock(&l->lock);
    dz_buf_done(&b);
}

/* ---- the writing thread ---------------------------------------------------------------------- */

/* False when the end was asked for while nobody took the bytes, or when they cannot be written. */
static bool write_out(struct access_log *l, int fd, dz_str s)
{
    int waited_ms = 0;
    while (s.n > 0) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        int ready = poll(&p, 1, 100);
        if (ready == 0) {
            pthread_mutex_lock(&l->lock);
            bool stop = l->stop;
            pthread_mutex_unlock(&l->lock);
            waited_ms += stop ? 100 : 0;
            if (waited_ms >= CLOSE_WAIT_MS)
                return false;
            continue;
        }
        ssize_t n = write(fd, s.p, s.n < PIECE_MAX ? s.n : PIECE_MAX);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        if (n > 0)
            s = dz_str_sub(s, (size_t)n, s.n);
    }
    return true;
}

static void *write_lines(void *arg)
{
    struct access_log *l = arg;
    struct dz_log_gate gate = {0};
    struct dz_buf out;
    dz_buf_init(&out, PENDING_MAX);
    pthread_mutex_lock(&l->lock);
    while (!l->stop || l->pending.n > 0) {
        if (l->pending.n == 0) {
            pthread_cond_wait(&l->news, &l->lock);
            continue;
        }
        struct dz_buf lines = l->pending;
        l->pending = out;
        uint64_t dropped = l->dropped;
        l->dropped = 0;
        /* A copy of the descriptor: the log may be opened anew meanwhile. */
        int fd = l->fd >= 0 ? fcntl(l->fd, F_DUPFD_CLOEXEC, 3) : -1;
        pthread_mutex_unlock(&l->lock);

        bool written = fd >= 0 && write_out(l, fd, dz_buf_str(&lines));
        if ((!written || dropped > 0) && dz_log_gate_pass(&gate, 60000))
            dz_log(&ctx, DZ_WARN, "lines were lost: nobody reads them, or the disk is full");
        dz_closep(&fd);
        dz_buf_clear(&lines);
        pthread_mutex_lock(&l->lock);
        out = lines;
    }
    pthread_mutex_unlock(&l->lock);
    dz_buf_done(&out);
    return NULL;
}

/* ---- open and close -------------------------------------------------------------------------- */

struct access_log *access_new(void)
{
    struct access_log *l = dz_new(struct access_log);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->news, NULL);
    dz_buf_init(&l->pending, PENDING_MAX);
    l->fd = -1;
    return l;
}

void access_free(struct access_log **lp)
{
    struct access_log *l = dz_take(lp);
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_signal(&l->news);
    pthread_mutex_unlock(&l->lock);
    if (l->running)
        pthread_join(l->thread, NULL);
    dz_closep(&l->fd);
    dz_buf_done(&l->pending);
    pthread_cond_destroy(&l->news);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

enum dz_code dz_api_open_access_log(struct dz_api *a, const char *where, struct dz_err *err)
{
    int fd = -1;
    if (strcmp(where, "on") == 0) {
        fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    } else if (strcmp(where, "off") != 0) {
        fd = open(where, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
        if (fd < 0)
            return dz_fail_errno(err, DZ_IO, errno, "http.access_log: %s", where);
    }
    struct access_log *l = a->access;
    if (fd >= 0 && !l->running) {
        int code = pthread_create(&l->thread, NULL, write_lines, l);
        if (code != 0) {
            dz_closep(&fd);
            return dz_fail_errno(err, DZ_UNAVAILABLE, code, "a thread for the access log");
        }
        l->running = true;
    }
    atomic_store(&l->on, fd >= 0);
    pthread_mutex_lock(&l->lock);
    int old = l->fd;
    l->fd = fd;
    pthread_mutex_unlock(&l->lock);
    dz_closep(&old);
    return DZ_OK;
}
