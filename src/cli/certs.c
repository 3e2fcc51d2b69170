/*
 * certs: the certificates of https listeners while the server runs.
 *
 * In: the section tls of the settings, and the files that it names. Out: calls of
 * dz_http_tls_load(), and log lines. Loaded at the start and with every SIGHUP; besides that the
 * files are looked at every ten seconds and read again when they have changed and stand still, so
 * that a renewal needs nobody. Files that cannot be used cost one line, not one a look, and the old
 * ones stay. The control loop's thread. The odd thing: without any change they are read again once
 * a day, because that also makes new keys for session tickets.
 */
#include "cli/cli_int.h"

#include <sys/stat.h>

#define LOOK_MS 10000
#define TICKET_KEYS_MS (24 * 60 * 60 * (int64_t)1000)

static const struct dz_log_ctx ctx = {.room = "serve", .what = "tls"};

/* What tells whether a file is another one than before. */
struct mark {
    uint64_t device, inode, size;
    int64_t s, ns;
};

static void put_marks(struct dz_buf *b, const struct dz_strs *paths)
{
    for (size_t i = 0; i < paths->n; i++) {
        struct stat st;
        struct mark m = {0};
        if (stat(paths->v[i], &st) == 0)
            m = (struct mark){st.st_dev, st.st_ino, (uint64_t)st.st_size, st.st_mtim.tv_sec,
                              st.st_mtim.tv_nsec};
        dz_buf_put(b, (dz_str){(const char *)&m, sizeof(m)});
    }
}

static uint64_t marks_of(const struct dz_conf *c)
{
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_MIB);
    put_marks(&b, &c->tls.certificates);
    put_marks(&b, &c->tls.keys);
    return dz_hash(dz_buf_str(&b));
}

static void log_warnings(const struct dz_buf *warnings)
{
    struct dz_cursor c;
    dz_cursor_init(&c, dz_buf_str(warnings));
    while (!dz_cursor_end(&c)) {
        dz_str line = dz_cursor_until(&c, '\n');
        dz_log(&ctx, DZ_WARN, "%.*s", DZ_STR_FMT(line));
        dz_cursor_next(&c);
    }
}

enum dz_code dz_certs_load(struct dz_certs *certs, const struct dz_conf *c, struct dz_err *err)
{
    if (c->tls.certificates.n == 0)
        return DZ_OK;
    certs->loaded = certs->seen = marks_of(c); /* before they are read: a change then shows later */
    certs->loaded_ns = dz_mono_ns();
    struct dz_http_tls_pair *pairs = dz_zalloc(c->tls.certificates.n * sizeof(*pairs));
    for (size_t i = 0; i < c->tls.certificates.n; i++)
        pairs[i] = (struct dz_http_tls_pair){c->tls.certificates.v[i], c->tls.keys.v[i]};
    struct dz_buf warnings DZ_AUTO(dz_buf_done);
    dz_buf_init(&warnings, DZ_MIB);
    struct dz_http_tls_options o = {.pairs = pairs,
                                    .pairs_n = c->tls.certificates.n,
                                    .tls_1_2 = c->tls.min_version == DZ_TLS_1_2,
                                    .http2 = c->tls.http2,
                                    .kernel = c->tls.kernel,
                                    .warnings = &warnings};
    enum dz_code code = dz_http_tls_load(certs->server, &o, err);
    dz_freep(&pairs);
    if (code == DZ_OK)
        log_warnings(&warnings);
    else
        (void)dz_wrap(err, code, "tls");
    return code;
}

void dz_certs_reload(struct dz_certs *certs, const struct dz_conf *c)
{
    struct dz_err err = {0};
    if (c->tls.certificates.n == 0)
        return;
    if (dz_certs_load(certs, c, &err) == DZ_OK)
        dz_log(&ctx, DZ_INFO, "certificates read again");
    else
        dz_log_err(&ctx, DZ_ERROR, &err, "certificates not read again; the old ones stay");
}

static void look(struct dz_loop *l, struct dz_timer *t)
{
    struct dz_certs *certs = dz_container(t, struct dz_certs, timer);
    const struct dz_conf *c = *certs->conf;
    uint64_t now = marks_of(c);
    bool changed = now != certs->loaded && now == certs->seen; /* key and certificate are there */
    bool old = (dz_mono_ns() - certs->loaded_ns) / 1000000 >= TICKET_KEYS_MS;
    certs->seen = now;
    if (changed || old)
        dz_certs_reload(certs, c);
    dz_timer_set(l, t, LOOK_MS, look);
}

void dz_certs_watch(struct dz_certs *certs, struct dz_loop *l)
{
    dz_timer_set(l, &certs->timer, LOOK_MS, look);
}
