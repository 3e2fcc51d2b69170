/*
 * link: one connection of libpq, none of whose waits is without a limit.
 *
 * In: an address. Out: a connection that is set up: UTF-8, limits of the session, keepalives. libpq
 * blocks in all its plain calls, so only those are used that do not, with poll(2) around them; what
 * still may take its own time is the look-up of a host's name. A machine that vanished is noticed
 * by the kernel (keepalives, tcp_user_timeout), a server that is there and silent by the limits
 * here.
 */
#include "pg/pg_int.h"

#include <errno.h>
#include <poll.h>

/* How long a session may do nothing inside a transaction: what it has locked, others wait for. */
#define IDLE_IN_TRANSACTION_MS 300000
#define SERVER_VERSION_MIN 120000

int64_t pg_now_ms(void)
{
    return dz_mono_ns() / 1000000;
}

enum pg_wait pg_wait(PGconn *pg, short events, int64_t until_ms, int wake_fd)
{
    struct pollfd v[] = {{.fd = PQsocket(pg), .events = events}, {.fd = wake_fd, .events = POLLIN}};
    if (v[0].fd < 0)
        return PG_READY; /* the next call of libpq says why */
    for (;;) {
        int wait_ms = -1;
        if (until_ms != INT64_MAX) {
            int64_t left_ms = until_ms - pg_now_ms();
            wait_ms = left_ms < 0 ? 0 : left_ms > 60000 ? 60000 : (int)left_ms;
        }
        int n = poll(v, wake_fd >= 0 ? 2 : 1, wait_ms);
        if (n > 0)
            return wake_fd >= 0 && v[1].revents ? PG_WOKEN : PG_READY;
        if (n < 0 && errno != EINTR)
            return PG_READY;
        if (until_ms != INT64_MAX && pg_now_ms() >= until_ms)
            return PG_LATE;
    }
}

static void no_notice(void *arg, const PGresult *res)
{
    (void)arg;
    (void)res;
}

static enum dz_code late(const struct pg_address *a, int64_t ms, struct dz_err *err)
{
    return dz_fail(err, DZ_UNAVAILABLE, "PostgreSQL, %.120s: no answer for %lld ms", a->place,
                   (long long)ms);
}

static PGconn *start(const struct pg_address *a)
{
    char user_timeout[24];
    (void)snprintf(user_timeout, sizeof(user_timeout), "%lld",
                   (long long)(a->connect_ms + a->statement_ms));
    /* What stands before dbname, which is the whole string, can be changed by it. */
    const char *const keys[] = {
        "fallback_application_name", "keepalives_idle", "keepalives_interval", "keepalives_count",
        "tcp_user_timeout",          "dbname",          "client_encoding",     NULL,
    };
    const char *const values[] = {a->name, "30", "10", "3", user_timeout, a->uri, "UTF8", NULL};
    return PQconnectStartParams(keys, values, 1);
}

static enum dz_code connect_until(const struct pg_address *a, PGconn *pg, int64_t until_ms,
                                  int wake_fd, struct dz_err *err)
{
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    if (PQstatus(pg) == CONNECTION_BAD)
        return pg_fail_lost(a, pg, err);
    while (step != PGRES_POLLING_OK) {
        if (step == PGRES_POLLING_FAILED)
            return pg_fail_lost(a, pg, err);
        short events = step == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        switch (pg_wait(pg, events, until_ms, wake_fd)) {
        case PG_LATE:
            return late(a, a->connect_ms, err);
        case PG_WOKEN:
            return dz_fail(err, DZ_CANCELLED, "closing");
        case PG_READY:
            step = PQconnectPoll(pg);
        }
    }
    return DZ_OK;
}

/* libpq keeps the words of a refusal, not its SQLSTATE. */
static void note_full(PGconn *pg, struct dz_err *err)
{
    if (err && dz_str_find(dz_str_of(PQerrorMessage(pg)), DZ_S("too many ")) != DZ_NPOS)
        err->native = pg_native("53300");
}

static enum dz_code set_up(const struct pg_address *a, PGconn *pg, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, 4096);
    if (PQserverVersion(pg) < SERVER_VERSION_MIN)
        return dz_fail(err, DZ_UNSUPPORTED, "PostgreSQL, %.120s: version %d, want 12 or newer",
                       a->place, PQserverVersion(pg) / 10000);
    dz_buf_putf(&text,
                "SET statement_timeout = %lld; SET idle_in_transaction_session_timeout = %d;"
                "SET client_min_messages = warning; SET standard_conforming_strings = on;"
                "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10;"
                "SET tcp_keepalives_count = 3; "
                /* What a commit has answered must outlive a power cut, whatever the server's
                 * setting is or becomes; one that waits for replicas too stays. */
                "SELECT set_config('synchronous_commit', "
                "coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'on'), false)",
                (long long)a->statement_ms, IDLE_IN_TRANSACTION_MS);
    if (a->schema) {
        dz_buf_put(&text, DZ_S("; SELECT set_config('search_path', '"));
        dz_pg_put_name(&text, dz_str_of(a->schema));
        dz_buf_put(&text, DZ_S(", ' || current_setting('search_path'), false)"));
    }
    bool lost = false;
    return pg_simple(a, pg, dz_buf_cstr(&text), a->connect_ms, &lost, err);
}

enum dz_code pg_connect(const struct pg_address *a, int wake_fd, PGconn **ret_pg,
                        struct dz_err *err)
{
    PGconn *pg = start(a);
    if (!pg)
        return dz_fail(err, DZ_FULL, "PostgreSQL: no memory for a connection");
    int64_t until_ms = pg_now_ms() + a->connect_ms;
    PQsetNoticeReceiver(pg, no_notice, NULL);
    enum dz_code code = connect_until(a, pg, until_ms, wake_fd, err);
    if (code == DZ_UNAVAILABLE)
        note_full(pg, err);
    if (code == DZ_OK && PQsetnonblocking(pg, 1) != 0)
        code = pg_fail_lost(a, pg, err);
    if (code == DZ_OK)
        code = set_up(a, pg, err);
    if (code != DZ_OK)
        PQfinish(pg);
    else
        *ret_pg = pg;
    return code;
}

enum dz_code pg_simple(const struct pg_address *a, PGconn *pg, const char *text, int64_t limit_ms,
                       bool *ret_lost, struct dz_err *err)
{
    enum dz_code first = DZ_OK;
    if (!PQsendQuery(pg, text)) {
        *ret_lost = true;
        return pg_fail_lost(a, pg, err);
    }
    for (;;) {
        int more = PQflush(pg);
        while (more >= 0 && !PQisBusy(pg)) {
            PGresult *res = PQgetResult(pg);
            if (!res)
                return first;
            ExecStatusType status = PQresultStatus(res);
            if (first == DZ_OK && (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE))
                first = pg_fail_result(res, err);
            PQclear(res);
            if (PQstatus(pg) == CONNECTION_BAD)
                break;
        }
        if (PQstatus(pg) == CONNECTION_BAD || more < 0) {
            *ret_lost = true;
            return first != DZ_OK ? first : pg_fail_lost(a, pg, err);
        }
        short events = (short)(POLLIN | (more ? POLLOUT : 0));
        if (pg_wait(pg, events, pg_until(pg_now_ms(), limit_ms), -1) == PG_LATE) {
            *ret_lost = true;
            return late(a, limit_ms, err);
        }
        if (!PQconsumeInput(pg)) {
            *ret_lost = true;
            return first != DZ_OK ? first : pg_fail_lost(a, pg, err);
        }
    }
}
