/*
 * connection: statements and transactions on one connection.
 *
 * In: texts and values. Out: rows. The link stays in pipeline mode: what is sent goes into a list
 * of what is still to be answered, and `settle` reads answers until that list is empty. So a
 * statement that is new is prepared and run in one go, BEGIN leaves with the first statement of its
 * transaction, and ROLLBACK need not be waited for. One thread, the one that took the connection.
 *
 * A connection that is lost is no use to anybody (`loss`); only when nothing but what the caller
 * now asks for can have been on it, and that does no harm twice, a new link takes its place.
 */
#include "pg/pg_int.h"

#include <endian.h>
#include <poll.h>

enum { LATER_MAX = 256, LATER_BYTES_MAX = 1024 * 1024, INT8_OID = 20, FLOAT8_OID = 701 };

static const struct dz_pg_statement commit_text = {.text = "COMMIT"};
static const struct dz_pg_statement rollback_text = {.text = "ROLLBACK"};

static const struct pg_address *address_of(const struct dz_pg_conn *c)
{
    return &c->pool->address;
}

static enum dz_code lost_before(const struct dz_pg_conn *c, struct dz_err *err)
{
    return dz_fail(err, DZ_UNAVAILABLE, "PostgreSQL, %.120s: the connection was lost",
                   address_of(c)->place);
}

/* ---- prepared statements -----------------------------------------------------------------------
 */

static void prepared_free(struct prepared *p)
{
    free((void *)p->key.p);
    free(p);
}

static void forget_all(struct dz_pg_conn *c)
{
    size_t at = 0;
    void *value;
    while (dz_map_next(&c->prepared, &at, NULL, &value))
        prepared_free(value);
    dz_map_done(&c->prepared);
    dz_map_init(&c->prepared);
}

static void forget(struct dz_pg_conn *c, struct prepared *p)
{
    for (size_t i = c->pending_at; i < c->pending_n; i++)
        if (c->pending[i].prepared == p)
            c->pending[i].prepared = NULL;
    if (dz_map_get(&c->prepared, p->key) == p)
        dz_map_del(&c->prepared, p->key);
    prepared_free(p);
}

/* ---- answers -----------------------------------------------------------------------------------
 */

static struct pending *expect(struct dz_pg_conn *c, enum pending_kind kind, struct prepared *p)
{
    if (c->pending_at == c->pending_n)
        c->pending_at = c->pending_n = 0;
    if (c->pending_n == c->pending_cap) {
        c->pending_cap = c->pending_cap ? c->pending_cap * 2 : 32;
        c->pending = dz_realloc(c->pending, c->pending_cap * sizeof(*c->pending));
    }
    struct pending *e = &c->pending[c->pending_n++];
    *e = (struct pending){.kind = kind, .prepared = p};
    return e;
}

/* What was answered so far in one go of settle. */
struct settling {
    enum dz_code first; /* the first error that is not quiet */
    struct dz_err err;
    PGresult *last; /* of the last statement */
};

static void count_affected(struct dz_pg_conn *c, const PGresult *res)
{
    c->last = dz_pg_affected((const struct dz_pg_rows *)res);
    c->affected += c->last;
}

/* A COMMIT of a transaction that has failed is answered with success and "ROLLBACK". */
static bool is_refused_commit(const struct pending *e, PGresult *res)
{
    return e->prepared && dz_str_ends(e->prepared->key, DZ_S(" COMMIT")) &&
           strcmp(PQcmdStatus(res), "ROLLBACK") == 0;
}

static void take_result(struct dz_pg_conn *c, struct settling *s, PGresult *take_res)
{
    struct pending *e = &c->pending[c->pending_at];
    ExecStatusType status = PQresultStatus(take_res);
    e->answered = true;
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        if (e->kind == PENDING_RUN)
            count_affected(c, take_res);
        if (!e->quiet && s->first == DZ_OK && is_refused_commit(e, take_res))
            s->first = dz_fail(&s->err, DZ_UNAVAILABLE, "PostgreSQL: nothing was committed");
        if (e->kind == PENDING_RUN && !e->quiet) {
            PQclear(s->last);
            s->last = take_res;
            return;
        }
    } else {
        if (!e->quiet && s->first == DZ_OK && status != PGRES_PIPELINE_ABORTED)
            s->first = pg_fail_result(take_res, &s->err);
        else if (!e->quiet && s->first == DZ_OK)
            s->first = dz_fail(&s->err, DZ_UNAVAILABLE, "PostgreSQL: passed over");
        const char *state = PQresultErrorField(take_res, PG_DIAG_SQLSTATE);
        bool outdated = state && (strcmp(state, "0A000") == 0 || strcmp(state, "26000") == 0);
        if (e->prepared && (e->kind == PENDING_PREPARE || outdated))
            forget(c, e->prepared);
    }
    PQclear(take_res);
}

/* All that libpq has read. False: the link is lost. */
static bool read_answers(struct dz_pg_conn *c, struct settling *s)
{
    while (c->pending_at < c->pending_n && !PQisBusy(c->pg)) {
        struct pending *e = &c->pending[c->pending_at];
        PGresult *res = PQgetResult(c->pg);
        if (!res) {
            if (!e->answered)
                return false; /* libpq expects nothing more: it has seen the link end */
            c->pending_at++;
        } else if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
            PQclear(res);
            if (e->kind != PENDING_SYNC)
                return false;
            c->pending_at++;
        } else if (e->kind == PENDING_SYNC) {
            PQclear(res);
            return false;
        } else {
            take_result(c, s, res);
        }
        if (PQstatus(c->pg) == CONNECTION_BAD)
            return false;
    }
    return true;
}

/* Statements that were on their way when the link ended were perhaps never prepared. */
static enum dz_code lose(struct dz_pg_conn *c, enum pg_loss how, struct settling *s)
{
    c->loss = how;
    c->pending_at = c->pending_n = 0;
    if (how == PG_SILENT) {
        s->first =
            dz_fail(&s->err, DZ_UNAVAILABLE, "PostgreSQL, %.120s: no answer for %lld ms",
                    address_of(c)->place, (long long)(c->limit_ms + address_of(c)->connect_ms));
        pg_pool_down(c->pool, &s->err);
    } else if (s->first == DZ_OK) {
        s->first = pg_fail_lost(address_of(c), c->pg, &s->err);
    }
    return s->first;
}

static enum dz_code read_all(struct dz_pg_conn *c, struct settling *s)
{
    int64_t patience_ms = c->limit_ms > 0 ? c->limit_ms + address_of(c)->connect_ms : 0;
    for (;;) {
        int more = PQflush(c->pg);
        if (more < 0 || !read_answers(c, s))
            return lose(c, PG_LOST, s);
        if (c->pending_at == c->pending_n)
            return s->first;
        short events = (short)(POLLIN | (more ? POLLOUT : 0));
        if (pg_wait(c->pg, events, pg_until(pg_now_ms(), patience_ms), -1) == PG_LATE)
            return lose(c, PG_SILENT, s);
        if (!PQconsumeInput(c->pg)) {
            (void)read_answers(c, s); /* the server's last words */
            return lose(c, PG_LOST, s);
        }
    }
}

/* Reads the answers to all that was sent; rows are those of the last statement. */
static enum dz_code settle(struct dz_pg_conn *c, struct dz_pg_rows **ret_rows, struct dz_err *err)
{
    struct settling s = {0};
    enum dz_code code = DZ_OK;
    if (c->loss != PG_HELD)
        return lost_before(c, err);
    if (c->pending_at == c->pending_n)
        return DZ_OK;
    c->queued_bytes = 0;
    if (c->pending[c->pending_n - 1].kind != PENDING_SYNC) {
        if (PQpipelineSync(c->pg))
            expect(c, PENDING_SYNC, NULL);
        else
            code = lose(c, PG_LOST, &s);
    }
    if (code == DZ_OK)
        code = read_all(c, &s);
    if (code == DZ_OK && ret_rows && s.last)
        *ret_rows = (struct dz_pg_rows *)dz_take(&s.last);
    PQclear(s.last);
    if (code != DZ_OK && err)
        *err = s.err;
    return code;
}

/* ---- sending -----------------------------------------------------------------------------------
 */

struct values {
    uint64_t numbers[DZ_PG_PARAMS_MAX];
    const char *p[DZ_PG_PARAMS_MAX];
    int lengths[DZ_PG_PARAMS_MAX], formats[DZ_PG_PARAMS_MAX];
    Oid types[DZ_PG_PARAMS_MAX];
    char kinds[DZ_PG_PARAMS_MAX];
    size_t bytes;
};

static enum dz_code set_values(struct values *to, const struct dz_pg_param *v, size_t n,
                               struct dz_err *err)
{
    dz_assert(n <= DZ_PG_PARAMS_MAX);
    to->bytes = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = 0;
        to->types[i] = 0;
        to->formats[i] = 1;
        to->lengths[i] = sizeof(bits);
        to->p[i] = (const char *)&to->numbers[i];
        to->kinds[i] = '-';
        switch (v[i].kind) {
        case DZ_PG_NULL:
            to->p[i] = NULL;
            to->lengths[i] = 0;
            break;
        case DZ_PG_INT:
            to->types[i] = INT8_OID;
            to->kinds[i] = 'i';
            to->numbers[i] = htobe64((uint64_t)v[i].i);
            break;
        case DZ_PG_REAL:
            to->types[i] = FLOAT8_OID;
            to->kinds[i] = 'r';
            memcpy(&bits, &v[i].r, sizeof(bits));
            to->numbers[i] = htobe64(bits);
            break;
        case DZ_PG_BYTES:
            if (v[i].s.n > DZ_PG_BYTES_MAX)
                return dz_fail(err, DZ_TOO_LARGE, "a value of %zu bytes for PostgreSQL", v[i].s.n);
            to->p[i] = v[i].s.n ? v[i].s.p : "";
            to->lengths[i] = (int)v[i].s.n;
            break;
        }
        to->bytes += (size_t)to->lengths[i];
    }
    return DZ_OK;
}

static enum dz_code send_failed(struct dz_pg_conn *c, struct dz_err *err)
{
    c->loss = PG_LOST;
    return pg_fail_lost(address_of(c), c->pg, err);
}

static enum dz_code send_plain(struct dz_pg_conn *c, const char *text, const struct values *v,
                               size_t n, struct dz_err *err)
{
    if (!PQsendQueryParams(c->pg, text, (int)n, v->types, v->p, v->lengths, v->formats, 1))
        return send_failed(c, err);
    expect(c, PENDING_RUN, NULL);
    return DZ_OK;
}

static enum dz_code prepare(struct dz_pg_conn *c, dz_str key, const char *text,
                            const struct values *v, size_t n, struct prepared **ret_p,
                            struct dz_err *err)
{
    struct prepared *p = dz_new(struct prepared);
    p->key = (dz_str){dz_str_dup(key), key.n};
    (void)snprintf(p->name, sizeof(p->name), "d%llu", (unsigned long long)++c->names);
    if (!PQsendPrepare(c->pg, p->name, text, (int)n, v->types)) {
        prepared_free(p);
        return send_failed(c, err);
    }
    dz_map_set(&c->prepared, p->key, p);
    expect(c, PENDING_PREPARE, p);
    *ret_p = p;
    return DZ_OK;
}

static enum dz_code send_text(struct dz_pg_conn *c, const struct dz_pg_statement *st,
                              const struct dz_pg_param *v, size_t n, struct dz_err *err)
{
    struct values values;
    DZ_TRY(set_values(&values, v, n, err));
    c->queued_bytes += values.bytes;
    if (st->once)
        return send_plain(c, st->text, &values, n, err);
    dz_buf_clear(&c->key);
    dz_buf_put(&c->key, (dz_str){values.kinds, n});
    dz_buf_putc(&c->key, ' ');
    dz_buf_put(&c->key, dz_str_of(st->text));
    if (c->key.full)
        return dz_fail(err, DZ_TOO_LARGE, "a statement for PostgreSQL is too long");
    struct prepared *p = dz_map_get(&c->prepared, dz_buf_str(&c->key));
    if (!p && c->prepared.count >= DZ_PG_PREPARED_MAX)
        return send_plain(c, st->text, &values, n, err);
    if (!p)
        DZ_TRY(prepare(c, dz_buf_str(&c->key), st->text, &values, n, &p, err));
    if (!PQsendQueryPrepared(c->pg, p->name, (int)n, values.p, values.lengths, values.formats, 1))
        return send_failed(c, err);
    expect(c, PENDING_RUN, p);
    return DZ_OK;
}

static enum dz_code send_statement(struct dz_pg_conn *c, const struct dz_pg_statement *st,
                                   const struct dz_pg_param *v, size_t n, struct dz_err *err)
{
    if (c->loss != PG_HELD)
        return lost_before(c, err);
    if (c->begin_due) {
        char text[96];
        (void)snprintf(text, sizeof(text), "BEGIN %s", c->how ? c->how : "");
        const struct dz_pg_statement begin = {.text = text};
        const struct dz_pg_statement lead = {.text = c->lead};
        DZ_TRY(send_text(c, &begin, NULL, 0, err));
        c->begin_due = false;
        if (c->lead)
            DZ_TRY(send_text(c, &lead, NULL, 0, err));
    }
    return send_text(c, st, v, n, err);
}

/* Whether nothing is on the connection that a new one would not have as well. */
static bool is_blank(const struct dz_pg_conn *c)
{
    for (size_t i = c->pending_at; i < c->pending_n; i++)
        if (!c->pending[i].quiet)
            return false;
    return !c->in_transaction || c->begin_due;
}

/* ---- making and ending -------------------------------------------------------------------------
 */

static enum dz_code link_up(struct dz_pg_conn *c, int wake_fd, struct dz_err *err)
{
    DZ_TRY(pg_connect(address_of(c), wake_fd, &c->pg, err));
    if (PQenterPipelineMode(c->pg))
        return DZ_OK;
    enum dz_code code = pg_fail_lost(address_of(c), c->pg, err);
    PQfinish(dz_take(&c->pg));
    return code;
}

enum dz_code pg_conn_new(struct dz_pg *pool, int wake_fd, struct dz_pg_conn **ret_c,
                         struct dz_err *err)
{
    struct dz_pg_conn *c = dz_new(struct dz_pg_conn);
    c->pool = pool;
    c->limit_ms = pool->address.statement_ms;
    dz_map_init(&c->prepared);
    dz_buf_init(&c->key, DZ_PG_TEXT_MAX + DZ_PG_PARAMS_MAX + 1);
    enum dz_code code = link_up(c, wake_fd, err);
    if (code == DZ_OK)
        *ret_c = c;
    else
        pg_conn_free(&c);
    return code;
}

void pg_conn_free(struct dz_pg_conn **c)
{
    if (!*c)
        return;
    PQfinish((*c)->pg);
    forget_all(*c);
    dz_map_done(&(*c)->prepared);
    dz_buf_done(&(*c)->key);
    free((*c)->pending);
    free(*c);
    *c = NULL;
}

/* A new link in place of a lost one. */
static enum dz_code link_again(struct dz_pg_conn *c, struct dz_err *err)
{
    PQfinish(dz_take(&c->pg));
    forget_all(c);
    c->pending_at = c->pending_n = 0;
    c->queued_bytes = 0;
    struct dz_err why = {0};
    enum dz_code code = link_up(c, -1, &why);
    if (code == DZ_OK) {
        c->loss = PG_HELD;
        return DZ_OK;
    }
    pg_pool_down(c->pool, &why);
    if (err)
        *err = why;
    return code;
}

bool pg_conn_alive(struct dz_pg_conn *c)
{
    struct pollfd fd = {.fd = PQsocket(c->pg), .events = POLLIN};
    /* The answer to a ROLLBACK may lie there, and the end of the connection behind it. */
    for (int i = 0; i < 8; i++) {
        if (fd.fd < 0 || PQstatus(c->pg) == CONNECTION_BAD)
            return false;
        if (poll(&fd, 1, 0) <= 0)
            return true;
        if (!PQconsumeInput(c->pg))
            return false;
    }
    return true;
}

void pg_conn_rest(struct dz_pg_conn *c)
{
    int64_t usual_ms = address_of(c)->statement_ms;
    dz_pg_rollback(c);
    if (c->limit_ms != usual_ms && c->loss == PG_HELD &&
        dz_pg_statement_limit(c, usual_ms, NULL) != DZ_OK)
        c->loss = PG_LOST;
    /* What does not fit into the socket now nobody would send on. */
    if (c->loss == PG_HELD && PQflush(c->pg) != 0)
        (void)settle(c, NULL, NULL);
    /* One that can prepare nothing more is worth less than a new one. */
    if (PQstatus(c->pg) == CONNECTION_BAD || c->prepared.count >= DZ_PG_PREPARED_MAX)
        c->loss = PG_LOST;
}

/* ---- statements --------------------------------------------------------------------------------
 */

enum dz_code dz_pg_later(struct dz_pg_conn *conn, const struct dz_pg_statement *st,
                         const struct dz_pg_param *v, size_t n, struct dz_err *err)
{
    if (dz_fault("query"))
        return dz_fail(err, DZ_IO, "PostgreSQL: injected fault");
    DZ_TRY(send_statement(conn, st, v, n, err));
    if (conn->pending_n - conn->pending_at >= LATER_MAX || conn->queued_bytes >= LATER_BYTES_MAX)
        return settle(conn, NULL, err);
    return DZ_OK;
}

enum dz_code dz_pg_settle(struct dz_pg_conn *conn, struct dz_err *err)
{
    return settle(conn, NULL, err);
}

static enum dz_code run_once(struct dz_pg_conn *c, const struct dz_pg_statement *st,
                             const struct dz_pg_param *v, size_t n, struct dz_pg_rows **ret_rows,
                             struct dz_err *err)
{
    DZ_TRY(send_statement(c, st, v, n, err));
    return settle(c, ret_rows, err);
}

enum dz_code dz_pg_run(struct dz_pg_conn *conn, const struct dz_pg_statement *st,
                       const struct dz_pg_param *v, size_t n, struct dz_pg_rows **ret_rows,
                       struct dz_err *err)
{
    if (dz_fault("query"))
        return dz_fail(err, DZ_IO, "PostgreSQL: injected fault");
    bool twice = is_blank(conn) && conn->loss == PG_HELD && (conn->begin_due || st->repeats);
    bool begins = conn->begin_due;
    struct dz_err first = {0};
    enum dz_code code = run_once(conn, st, v, n, ret_rows, &first);
    bool outdated = code != DZ_OK && conn->loss == PG_HELD && !conn->in_transaction &&
                    (dz_pg_is_state(&first, "0A000") || dz_pg_is_state(&first, "26000"));
    if (code != DZ_OK && (outdated || (twice && conn->loss == PG_LOST))) {
        if (!outdated)
            DZ_TRY(link_again(conn, err));
        conn->begin_due = begins;
        return run_once(conn, st, v, n, ret_rows, err);
    }
    if (code != DZ_OK && err)
        *err = first;
    return code;
}

enum dz_code dz_pg_run_many(struct dz_pg_conn *conn, const struct dz_pg_statement *st,
                            const struct dz_pg_param *v, size_t n, size_t runs,
                            uint64_t *ret_affected, struct dz_err *err)
{
    DZ_TRY(settle(conn, NULL, err));
    conn->affected = 0;
    for (size_t i = 0; i < runs; i++)
        DZ_TRY(dz_pg_later(conn, st, v + i * n, n, err));
    DZ_TRY(settle(conn, NULL, err));
    if (ret_affected)
        *ret_affected = conn->affected;
    return DZ_OK;
}

enum dz_code dz_pg_script(struct dz_pg_conn *conn, const char *text, struct dz_err *err)
{
    static const struct dz_pg_statement nothing = {.text = "SELECT 1"};
    if (dz_fault("query"))
        return dz_fail(err, DZ_IO, "PostgreSQL: injected fault");
    if (conn->begin_due)
        DZ_TRY(run_once(conn, &nothing, NULL, 0, NULL, err));
    DZ_TRY(settle(conn, NULL, err));
    bool lost = false;
    int64_t limit_ms = conn->limit_ms > 0 ? conn->limit_ms + address_of(conn)->connect_ms : 0;
    if (!PQexitPipelineMode(conn->pg))
        return send_failed(conn, err);
    enum dz_code code = pg_simple(address_of(conn), conn->pg, text, limit_ms, &lost, err);
    if (lost || !PQenterPipelineMode(conn->pg))
        conn->loss = PG_LOST;
    return code;
}

enum dz_code dz_pg_check_rights(struct dz_pg_conn *conn, const char *wanted, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
    dz_buf_init(&text, DZ_PG_TEXT_MAX);
    dz_buf_put(&text, DZ_S("SELECT quote_ident(current_user), w.place, "
                           "string_agg(r.name, ', ' ORDER BY r.at) FROM ("));
    dz_buf_put(&text, dz_str_of(wanted));
    dz_buf_put(
        &text,
        DZ_S(") AS w (place, rights), unnest(string_to_array(w.rights, ',')) WITH ORDINALITY "
             "AS r (name, at) WHERE NOT has_table_privilege(to_regclass(w.place), r.name) "
             "GROUP BY w.place ORDER BY length(w.place), w.place COLLATE \"C\" LIMIT 1"));
    if (text.full)
        return dz_fail(err, DZ_TOO_LARGE, "a statement for PostgreSQL is too long");
    const struct dz_pg_statement st = {.text = dz_buf_cstr(&text), .once = true};
    DZ_TRY(dz_pg_run(conn, &st, NULL, 0, &rows, err));
    if (dz_pg_n(rows) == 0)
        return DZ_OK;
    dz_str role = dz_str_clip(dz_pg_bytes(rows, 0, 0), 70);
    dz_str table = dz_pg_bytes(rows, 0, 1), rights = dz_pg_bytes(rows, 0, 2);
    return dz_fail(err, DZ_FORBIDDEN,
                   "%.60s: its role has not all rights that are needed: GRANT %.*s ON %.*s TO %.*s",
                   address_of(conn)->place, DZ_STR_FMT(rights), DZ_STR_FMT(table),
                   DZ_STR_FMT(role));
}

enum dz_code dz_pg_statement_limit(struct dz_pg_conn *conn, int64_t ms, struct dz_err *err)
{
    char text[64];
    (void)snprintf(text, sizeof(text), "SET statement_timeout = %lld", (long long)ms);
    const struct dz_pg_statement st = {.text = text, .once = true};
    DZ_TRY(run_once(conn, &st, NULL, 0, NULL, err));
    conn->limit_ms = ms;
    return DZ_OK;
}

/* ---- transactions ------------------------------------------------------------------------------
 */

enum dz_code dz_pg_begin(struct dz_pg_conn *conn, const char *how, struct dz_err *err)
{
    return dz_pg_begin_with(conn, how, NULL, err);
}

enum dz_code dz_pg_begin_with(struct dz_pg_conn *conn, const char *how, const char *lead,
                              struct dz_err *err)
{
    dz_assert(!conn->in_transaction);
    if (conn->loss != PG_HELD)
        return lost_before(conn, err);
    conn->how = how;
    conn->lead = lead;
    conn->in_transaction = conn->begin_due = true;
    return DZ_OK;
}

enum dz_code dz_pg_commit(struct dz_pg_conn *conn, struct dz_err *err)
{
    dz_assert(conn->in_transaction);
    if (dz_fault("query")) {
        dz_pg_rollback(conn);
        return dz_fail(err, DZ_IO, "PostgreSQL: injected fault");
    }
    if (conn->begin_due) {
        conn->in_transaction = conn->begin_due = false;
        return DZ_OK;
    }
    enum dz_code code = run_once(conn, &commit_text, NULL, 0, NULL, err);
    /* What failed before it in the pipeline kept it from running. */
    if (code != DZ_OK && conn->loss == PG_HELD && PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
        dz_pg_rollback(conn);
    conn->in_transaction = false;
    return code;
}

/* After an error the server passes over all up to the next of these. */
static bool sync_quietly(struct dz_pg_conn *c)
{
    bool sent = c->pending_at < c->pending_n;
    if (sent && c->pending[c->pending_n - 1].kind != PENDING_SYNC) {
        if (!PQpipelineSync(c->pg)) {
            c->loss = PG_LOST;
            return false;
        }
        expect(c, PENDING_SYNC, NULL);
    }
    for (size_t i = c->pending_at; i < c->pending_n; i++)
        c->pending[i].quiet = true;
    return true;
}

void dz_pg_rollback(struct dz_pg_conn *conn)
{
    bool sent = conn->in_transaction && !conn->begin_due;
    conn->in_transaction = conn->begin_due = false;
    if (conn->loss == PG_HELD && sync_quietly(conn) && sent &&
        send_text(conn, &rollback_text, NULL, 0, NULL) == DZ_OK)
        (void)sync_quietly(conn);
}

bool dz_pg_in_transaction(const struct dz_pg_conn *conn)
{
    return conn->in_transaction;
}

bool dz_pg_has_failed(const struct dz_pg_conn *conn)
{
    return conn->loss != PG_HELD || PQtransactionStatus(conn->pg) == PQTRANS_INERROR;
}

uint64_t dz_pg_last_affected(const struct dz_pg_conn *conn)
{
    return conn->last;
}
