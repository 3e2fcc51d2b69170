/*
 * failure: what PostgreSQL says when something goes wrong, in the house's codes.
 *
 * In: a result of libpq, or a link that is lost. Out: a dz_err whose native number is the SQLSTATE
 * read in base 36, so that callers can ask for one. The detail of a message is left out: it repeats
 * values. Any thread.
 */
#include "pg/pg_int.h"

struct row {
    const char *prefix; /* of the SQLSTATE; the first that fits counts */
    enum dz_code code;
};
static const struct row rows[] = {
    {"08", DZ_UNAVAILABLE},    /* connection exceptions */
    {"57P0", DZ_UNAVAILABLE},  /* shut down, starting up */
    {"57014", DZ_UNAVAILABLE}, /* over the statement's time */
    {"57", DZ_UNAVAILABLE},    /* operator intervention */
    {"25P03", DZ_UNAVAILABLE}, /* the session was idle in a transaction for too long */
    {"25006", DZ_UNAVAILABLE}, /* read only: a standby after a fail-over */
    {"53300", DZ_UNAVAILABLE}, /* too many connections */
    {"53", DZ_FULL},           /* disk, memory */
    {"55P03", DZ_UNAVAILABLE}, /* a lock was not to be had */
    {"40", DZ_UNAVAILABLE},    /* serialisation, deadlock */
    {"23505", DZ_CONFLICT},    /* unique */
    {"23503", DZ_CONFLICT},    /* foreign key */
    {"23P01", DZ_CONFLICT},    /* exclusion */
    {"23", DZ_BAD_INPUT},      /* NULL, check */
    {"22", DZ_BAD_INPUT},      /* data */
    {"54", DZ_TOO_LARGE},      /* limits of the program */
    {"28", DZ_UNAVAILABLE},    /* who we are */
    {"42P07", DZ_CONFLICT},    /* a table of that name is there */
    {"42501", DZ_FORBIDDEN},   /* rights */
    {"XX001", DZ_CORRUPT},     {"XX002", DZ_CORRUPT},
};

int pg_native(const char *sqlstate)
{
    int n = 0;
    if (!sqlstate || strlen(sqlstate) != 5)
        return 0;
    for (const char *c = sqlstate; *c; c++) {
        if (*c >= '0' && *c <= '9')
            n = n * 36 + (*c - '0');
        else if (*c >= 'A' && *c <= 'Z')
            n = n * 36 + (*c - 'A' + 10);
        else
            return 0;
    }
    return n;
}

static enum dz_code code_of(const char *sqlstate)
{
    for (size_t i = 0; sqlstate && i < DZ_LEN(rows); i++)
        if (strncmp(sqlstate, rows[i].prefix, strlen(rows[i].prefix)) == 0)
            return rows[i].code;
    return sqlstate ? DZ_INTERNAL : DZ_UNAVAILABLE;
}

enum dz_code pg_fail_result(const PGresult *res, struct dz_err *err)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *words = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    enum dz_code code = dz_fail(err, code_of(state), "PostgreSQL: %.200s (%s)",
                                words ? words : "no answer", state ? state : "no code");
    if (err)
        err->native = pg_native(state);
    return code;
}

enum dz_code pg_fail_lost(const struct pg_address *a, PGconn *pg, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf reason;
    dz_buf_init(&reason, 512);
    pg_reason(a, pg, &reason);
    return dz_fail(err, DZ_UNAVAILABLE, "PostgreSQL, %.100s: %.120s", a->place,
                   dz_buf_cstr(&reason));
}

bool dz_pg_is_state(const struct dz_err *err, const char *sqlstate)
{
    int native = pg_native(sqlstate);
    return native != 0 && err->native == native;
}

bool dz_pg_is_retry(const struct dz_err *err)
{
    /* 0A000: a plan that a change of the tables has outdated, and which was dropped with this. */
    return dz_pg_is_state(err, "40001") || dz_pg_is_state(err, "40P01") ||
           dz_pg_is_state(err, "0A000") || dz_pg_is_state(err, "26000");
}
