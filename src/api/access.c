/*
 * access: the access log in the Combined Log Format, with the time to answer in milliseconds behind it. One write a line, from the
 * loop that answered; to standard output (`on`) or to a file that is opened anew on SIGHUP, as log rotation expects.
 *
 * What a client sent is escaped as nginx does: quotes, backslashes and everything outside printable ASCII become \xHH.
 */
#include "api/api_int.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#define TARGET_MAX 2048u

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

void access_write(void *app, const struct dz_http_req *r, int status, uint64_t bytes, int64_t ns)
{
    struct dz_api *a = app;
    int fd = atomic_load_explicit(&a->access_fd, memory_order_relaxed);
    if (fd < 0)
        return;
    char when[21];
    dz_time_iso(dz_loop_wall_s(r->loop), when);
    struct dz_buf b;
    dz_buf_init(&b, 32 * DZ_KIB);
    put_escaped(&b, r->client_ip);
    dz_buf_putf(&b, " - - [%s] \"", when);
    put_escaped(&b, r->method_text);
    dz_buf_putc(&b, ' ');
    put_escaped(&b, r->target);
    dz_buf_putf(&b, " HTTP/1.%u\" %d %" PRIu64 " \"", r->version_minor, status, bytes);
    put_escaped(&b, dz_http_header(r, DZ_S("referer")));
    dz_buf_put(&b, DZ_S("\" \""));
    put_escaped(&b, dz_http_header(r, DZ_S("user-agent")));
    dz_buf_putf(&b, "\" %.3f\n", (double)ns / 1e6);
    /* A full disk must not stop serving: the line is lost, and counted by nobody but the disk's owner. */
    if (dz_write_all(fd, dz_buf_str(&b), NULL) != DZ_OK) {
        static struct dz_log_gate gate;
        static const struct dz_log_ctx ctx = {.room = "api", .what = "access log"};
        if (dz_log_gate_pass(&gate, 60000))
            dz_log(&ctx, DZ_WARN, "a line could not be written");
    }
    dz_buf_done(&b);
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
    int have = atomic_load(&a->access_fd);
    if (have >= 0 && fd >= 0) {
        /* The number stays, so a loop that is writing at this moment writes to the old file or the new one. */
        if (dup3(fd, have, O_CLOEXEC) < 0) {
            int native = errno;
            close(fd);
            return dz_fail_errno(err, DZ_IO, native, "http.access_log: %s", where);
        }
        close(fd);
    } else {
        atomic_store(&a->access_fd, fd);
    }
    return DZ_OK;
}
