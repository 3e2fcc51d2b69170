/*
 * postgres_conn: the PostgreSQL backend: connections out of a pool, statements, transactions, news.
 *
 * In: a connection string, texts with ?1 …, which become $1 …. Out: rows of PostgreSQL's binary
 * values, errors in the house's codes. A reader of one statement needs no transaction; one of
 * several has REPEATABLE READ. Exclusive writers stand in line twice: those of a process at a lock
 * here, so that they do not hold connections while they wait, those of all processes at an advisory
 * lock, which ends with the transaction. Any thread; a connection serves one at a time.
 *
 * Odd: a statement that is marked `later` is sent without waiting (pipeline), and the next one that
 * is waited for tells its error. After any error the transaction can only be rolled back.
 */
#include "catalog/sql_int.h"
#include "pg/pg.h"

#include <stdlib.h>
#include <time.h>

enum {
    POOL_MAX = 10,
    CONNECT_MS = 5000,
    STATEMENT_MS = 30000, /* also how long a writer waits for another one */
    ACQUIRE_MS = 10000,
    SCRIPT_MS = 3600000, /* an index on a table that has grown */
    ROWS_A_TIME = 1000,
    /* The first halves of advisory locks, "dozo" and "dozb". */
    LOCK_SPACE = 0x646f7a6f,  /* of exclusive writers */
    BLOBS_SPACE = 0x646f7a62, /* of those who put or remove blobs */
};

struct postgres {
    struct dz_sql base;
    struct dz_pg *pg;
    int64_t schema_id;    /* of the schema where the tables are */
    char channels[2][40]; /* in the order of enum dz_sql_news */
    char lock_text[80];   /* what exclusive writers begin with */

    pthread_mutex_t write_lock; /* held from begin to the end of an exclusive writer */
    pthread_mutex_t lock;       /* of idle */
    struct conn *idle;          /* without a connection of the pool; their statements are kept */

    pthread_mutex_t listen_lock;
    struct dz_pg_listener *listener; /* NULL: nobody has waited yet */
};

struct conn {
    struct dz_sql_conn base;
    struct conn *next;
    struct dz_pg_conn *pg;
    bool exclusive;
    bool waits; /* its first statement is the one that waits for other exclusive writers */
    bool alone; /* no transaction: each statement by itself */
};

struct statement {
    struct dz_sql_stmt base;
    char *text; /* with $1 … */
    size_t params_n;
    bool gives_rows;
    bool ran;
    struct dz_pg_rows *rows;     /* all of them, or … */
    struct dz_pg_cursor *cursor; /* … a portion at a time */
    const struct dz_pg_rows *portion;
    size_t next; /* row; the one at hand is before it */
    struct dz_pg_param v[];
};

static struct postgres *whole(struct dz_sql *d)
{
    return (struct postgres *)d;
}

static struct conn *own(struct dz_sql_conn *c)
{
    return (struct conn *)c;
}

static struct statement *inner(struct dz_sql_stmt *st)
{
    return (struct statement *)st;
}

/* ---- statements --------------------------------------------------------------------------------
 */

/* ?1 becomes $1, which may stand there as well, but not inside quotes. */
static char *with_dollars(dz_str text, size_t *ret_params_n)
{
    char *out = dz_str_dup(text), quote = 0;
    size_t highest = 0;
    for (char *c = out; *c; c++) {
        if (quote ? *c == quote : *c == '\'' || *c == '"')
            quote = quote ? 0 : *c;
        if (quote || (*c != '?' && *c != '$'))
            continue;
        *c = '$';
        size_t n = 0;
        for (const char *digit = c + 1; *digit >= '0' && *digit <= '9'; digit++)
            n = n * 10 + (size_t)(*digit - '0');
        highest = n > highest ? n : highest;
    }
    dz_assert(highest <= DZ_PG_PARAMS_MAX);
    *ret_params_n = highest;
    return out;
}

static enum dz_code prepare(struct dz_sql_conn *c, dz_str text, struct dz_sql_stmt **ret_st,
                            struct dz_err *err)
{
    (void)err;
    size_t n;
    char *with = with_dollars(text, &n);
    struct statement *s = dz_zalloc(sizeof(*s) + n * sizeof(s->v[0]));
    s->base.b = &dz_sql_postgres;
    s->base.c = c;
    s->text = with;
    s->params_n = n;
    s->gives_rows = dz_str_starts(text, DZ_S("SELECT")) || dz_str_starts(text, DZ_S("WITH")) ||
                    dz_str_find(text, DZ_S(" RETURNING ")) != DZ_NPOS;
    *ret_st = &s->base;
    return DZ_OK;
}

static void reset(struct dz_sql_stmt *st)
{
    struct statement *s = inner(st);
    dz_pg_cursor_close(&s->cursor);
    dz_pg_rows_free(&s->rows);
    memset(s->v, 0, s->params_n * sizeof(s->v[0]));
    s->portion = NULL;
    s->ran = false;
    st->many = st->later = false;
}

static void finalize(struct dz_sql_stmt *st)
{
    reset(st);
    free(inner(st)->text);
    free(st);
}

static struct dz_pg_param *param(struct dz_sql_stmt *st, int at)
{
    struct statement *s = inner(st);
    dz_assert(at >= 1 && (size_t)at <= s->params_n && !s->ran);
    return &s->v[at - 1];
}

static void bind_int(struct dz_sql_stmt *st, int at, int64_t n)
{
    *param(st, at) = dz_pg_p_int(n);
}

static void bind_real(struct dz_sql_stmt *st, int at, double x)
{
    *param(st, at) = dz_pg_p_real(x);
}

static void bind_str(struct dz_sql_stmt *st, int at, dz_str s)
{
    *param(st, at) = dz_pg_p_str(s);
}

static void bind_null(struct dz_sql_stmt *st, int at)
{
    *param(st, at) = dz_pg_p_null();
}

static enum dz_code busy(const struct dz_sql *d, struct dz_err *err)
{
    return dz_fail(err, DZ_UNAVAILABLE, "%.120s: somebody else is writing for %d ms", d->name,
                   STATEMENT_MS);
}

/* The answer of the first statement of an exclusive writer tells of the lock too. */
static enum dz_code run_now(struct conn *c, const struct dz_pg_statement *st,
                            const struct dz_pg_param *v, size_t n, struct dz_pg_rows **ret_rows,
                            struct dz_err *err)
{
    struct dz_err why = {0};
    bool waits = c->waits;
    enum dz_code code = dz_pg_run(c->pg, st, v, n, ret_rows, &why);
    c->waits = false;
    if (code != DZ_OK && waits && dz_pg_is_state(&why, "57014"))
        return busy(c->base.d, err);
    if (code != DZ_OK && err)
        *err = why;
    return code;
}

static enum dz_code run(struct conn *c, struct statement *s, struct dz_err *err)
{
    const struct dz_pg_statement st = {.text = s->text, .repeats = c->alone && s->gives_rows};
    s->next = 0;
    if (s->base.many)
        return dz_pg_cursor_open(c->pg, s->text, s->v, s->params_n, ROWS_A_TIME, &s->cursor, err);
    if (s->base.later && !c->alone)
        return dz_pg_later(c->pg, &st, s->v, s->params_n, err);
    DZ_TRY(run_now(c, &st, s->v, s->params_n, &s->rows, err));
    s->portion = s->rows;
    return DZ_OK;
}

static enum dz_code step(struct dz_sql_stmt *st, bool *ret_row, struct dz_err *err)
{
    struct statement *s = inner(st);
    struct conn *c = own(st->c);
    if (!s->ran) {
        s->ran = true;
        DZ_TRY(run(c, s, err));
    }
    if (s->cursor && (!s->portion || s->next == dz_pg_n(s->portion))) {
        DZ_TRY(dz_pg_cursor_next(s->cursor, &s->portion, err));
        s->next = 0;
    }
    *ret_row = s->portion && s->next < dz_pg_n(s->portion);
    s->next++;
    return DZ_OK;
}

static int64_t column_int(struct dz_sql_stmt *st, int at)
{
    const struct statement *s = inner(st);
    return dz_pg_int(s->portion, s->next - 1, (size_t)at);
}

static double column_real(struct dz_sql_stmt *st, int at)
{
    const struct statement *s = inner(st);
    return dz_pg_real(s->portion, s->next - 1, (size_t)at);
}

static dz_str column_str(struct dz_sql_stmt *st, int at)
{
    const struct statement *s = inner(st);
    return dz_pg_bytes(s->portion, s->next - 1, (size_t)at);
}

static bool column_is_null(struct dz_sql_stmt *st, int at)
{
    const struct statement *s = inner(st);
    return dz_pg_is_null(s->portion, s->next - 1, (size_t)at);
}

static int64_t changes(struct dz_sql_conn *base)
{
    return (int64_t)dz_pg_last_affected(own(base)->pg);
}

static enum dz_code script(struct dz_sql_conn *base, const char *text, struct dz_err *err)
{
    struct conn *c = own(base);
    DZ_TRY(dz_pg_statement_limit(c->pg, SCRIPT_MS, err));
    return dz_pg_script(c->pg, text, err);
}

/* ---- transactions ------------------------------------------------------------------------------
 */

static struct conn *wrap(struct postgres *d, struct dz_pg_conn *pg)
{
    pthread_mutex_lock(&d->lock);
    struct conn *c = d->idle;
    if (c)
        d->idle = c->next;
    pthread_mutex_unlock(&d->lock);
    if (!c) {
        c = dz_new(struct conn);
        c->base.b = &dz_sql_postgres;
        c->base.d = &d->base;
    }
    c->next = NULL;
    c->pg = pg;
    c->exclusive = c->waits = c->alone = false;
    return c;
}

static enum dz_code take(struct postgres *d, struct conn **ret_c, struct dz_err *err)
{
    struct dz_pg_conn *pg = NULL;
    DZ_TRY(dz_pg_take(d->pg, &pg, err));
    *ret_c = wrap(d, pg);
    return DZ_OK;
}

static void end(struct dz_sql_conn *base)
{
    struct conn *c = own(base);
    struct postgres *d = whole(base->d);
    dz_pg_give(&c->pg);
    if (c->exclusive)
        pthread_mutex_unlock(&d->write_lock);
    pthread_mutex_lock(&d->lock);
    c->next = d->idle;
    d->idle = c;
    pthread_mutex_unlock(&d->lock);
}

static enum dz_code read_begin(struct dz_sql *base, enum dz_sql_read kind,
                               struct dz_sql_conn **ret_c, struct dz_err *err)
{
    struct conn *c = NULL;
    DZ_TRY(take(whole(base), &c, err));
    c->alone = kind == DZ_SQL_ONE;
    enum dz_code code =
        c->alone ? DZ_OK : dz_pg_begin(c->pg, "ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
    if (code == DZ_OK)
        *ret_c = &c->base;
    else
        end(&c->base);
    return code;
}

/* For those of this process. */
static enum dz_code lock_here(struct postgres *d, struct dz_err *err)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += STATEMENT_MS / 1000;
    return pthread_mutex_clocklock(&d->write_lock, CLOCK_MONOTONIC, &until) == 0
               ? DZ_OK
               : busy(&d->base, err);
}

/* The lock of those of all, which leaves with the first statement; this is one to wait for. */
static enum dz_code lock_there(struct conn *c, struct dz_err *err)
{
    static const struct dz_pg_statement st = {.text = "SELECT 1"};
    return run_now(c, &st, NULL, 0, NULL, err);
}

static enum dz_code write_begin(struct dz_sql *base, enum dz_sql_write kind,
                                struct dz_sql_conn **ret_c, struct dz_err *err)
{
    struct postgres *d = whole(base);
    struct conn *c = NULL;
    bool exclusive = kind != DZ_SQL_PLAIN;
    if (exclusive)
        DZ_TRY(lock_here(d, err));
    enum dz_code code = take(d, &c, err);
    if (code != DZ_OK) {
        if (exclusive)
            pthread_mutex_unlock(&d->write_lock);
        return code;
    }
    c->exclusive = c->waits = exclusive;
    code = dz_pg_begin_with(c->pg, "ISOLATION LEVEL READ COMMITTED READ WRITE",
                            exclusive ? d->lock_text : NULL, err);
    if (code == DZ_OK && kind == DZ_SQL_EXCLUSIVE)
        code = lock_there(c, err);
    if (code == DZ_OK)
        *ret_c = &c->base;
    else
        end(&c->base);
    return code;
}

static enum dz_code commit(struct dz_sql_conn *base, struct dz_err *err)
{
    struct conn *c = own(base);
    return c->alone ? DZ_OK : dz_pg_commit(c->pg, err);
}

static bool is_open(const struct dz_sql_conn *base)
{
    const struct conn *c = (const struct conn *)base;
    return dz_pg_in_transaction(c->pg) && !dz_pg_has_failed(c->pg);
}

/* ---- the lock of writers of blobs and repairs --------------------------------------------------
 */

/* A transaction that stays open for it and does nothing else: it holds no snapshot, so it keeps the
 * database from nothing. A lock of a transaction ends with it whatever happens, also behind a
 * pooler that gives connections out anew. */
struct held {
    struct dz_sql_lock base;
    struct dz_pg_conn *pg;
};

static void unlock(struct dz_sql_lock *base)
{
    struct held *h = (struct held *)base;
    /* The answer is waited for, so that it is free when this returns; without one it is free too.
     */
    if (dz_pg_has_failed(h->pg) || dz_pg_commit(h->pg, NULL) != DZ_OK)
        dz_pg_rollback(h->pg);
    dz_pg_give(&h->pg);
    free(h);
}

static enum dz_code lock_blobs(struct dz_sql *base, bool exclusive, struct dz_sql_lock **ret_lock,
                               struct dz_err *err)
{
#define TRY(HOW)                                                                                   \
    "SELECT " HOW "($1::bigint::integer, $2::bigint::integer),"                                    \
    " set_config('idle_in_transaction_session_timeout', '0', true)"
    static const struct dz_pg_statement texts[] = {
        {.text = TRY("pg_try_advisory_xact_lock_shared")},
        {.text = TRY("pg_try_advisory_xact_lock")},
    };
#undef TRY
    struct postgres *d = whole(base);
    const struct dz_pg_param v[] = {dz_pg_p_int(BLOBS_SPACE), dz_pg_p_int((int32_t)d->schema_id)};
    DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
    struct dz_pg_conn *pg = NULL;
    DZ_TRY(dz_pg_take(d->pg, &pg, err));
    enum dz_code code = dz_pg_begin(pg, "ISOLATION LEVEL READ COMMITTED READ ONLY", err);
    if (code == DZ_OK)
        code = dz_pg_run(pg, &texts[exclusive], v, DZ_LEN(v), &rows, err);
    if (code == DZ_OK && !dz_pg_int(rows, 0, 0))
        code = dz_fail(err, DZ_CONFLICT, "%.120s: somebody else holds the lock of blobs",
                       d->base.name);
    if (code != DZ_OK) {
        dz_pg_give(&pg);
        return code;
    }
    struct held *h = dz_new(struct held);
    h->base.b = &dz_sql_postgres;
    h->pg = pg;
    *ret_lock = &h->base;
    return DZ_OK;
}

/* Inside that transaction, so that no other connection can answer. */
static enum dz_code lock_check(struct dz_sql_lock *base, struct dz_err *err)
{
    static const struct dz_pg_statement st = {.text = "SELECT 1"};
    return dz_pg_run(((struct held *)base)->pg, &st, NULL, 0, NULL, err);
}

/* ---- news --------------------------------------------------------------------------------------
 */

static enum dz_code notify(struct dz_sql_conn *base, enum dz_sql_news news, struct dz_err *err)
{
    static const struct dz_pg_statement st = {.text = "SELECT pg_notify($1, '')"};
    struct postgres *d = whole(base->d);
    const char *channel = d->channels[news == DZ_SQL_NEWS_JOBS];
    const struct dz_pg_param v[] = {dz_pg_p_str(dz_str_of(channel))};
    return dz_pg_later(own(base)->pg, &st, v, DZ_LEN(v), err);
}

static enum dz_code wait_for(struct dz_sql *base, int64_t wait_ms, bool *ret_changed,
                             struct dz_err *err)
{
    struct postgres *d = whole(base);
    uint32_t heard = 0;
    enum dz_code code = DZ_OK;
    pthread_mutex_lock(&d->listen_lock);
    if (!d->listener)
        code = dz_pg_listen(d->pg, (const char *const[]){d->channels[0], d->channels[1]}, 2,
                            &d->listener, err);
    if (code == DZ_OK)
        code = dz_pg_listener_wait(d->listener, wait_ms, &heard, err);
    pthread_mutex_unlock(&d->listen_lock);
    if (code == DZ_OK)
        *ret_changed = heard != 0;
    return code;
}

/* ---- open and close ----------------------------------------------------------------------------
 */

/* Where the tables are or will be, and whether they can hold what we write. */
static enum dz_code look_at(struct postgres *d, struct dz_err *err)
{
    static const struct dz_pg_statement st = {
        .text = "SELECT n.oid, current_setting('server_encoding'), current_schema()"
                " FROM (SELECT 1) AS one"
                " LEFT JOIN pg_namespace n ON n.nspname = current_schema()"};
    DZ_AUTO(dz_pg_give) struct dz_pg_conn *c = NULL;
    DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
    DZ_TRY(dz_pg_take(d->pg, &c, err));
    DZ_TRY(dz_pg_run(c, &st, NULL, 0, &rows, err));
    if (dz_pg_is_null(rows, 0, 0))
        return dz_fail(err, DZ_BAD_INPUT, "%.120s: no schema of the search_path is there",
                       d->base.name);
    dz_str encoding = dz_pg_bytes(rows, 0, 1);
    if (!dz_str_eq(encoding, DZ_S("UTF8")))
        return dz_fail(err, DZ_UNSUPPORTED,
                       "%.120s: the database's encoding is %.20s; make one with UTF8", d->base.name,
                       encoding.p);
    d->schema_id = dz_pg_int(rows, 0, 0);
    (void)snprintf(d->lock_text, sizeof(d->lock_text), "SELECT pg_advisory_xact_lock(%d, %d)",
                   LOCK_SPACE, (int32_t)d->schema_id);
    static const char *const names[] = {"change", "jobs"};
    for (size_t i = 0; i < DZ_LEN(names); i++)
        (void)snprintf(d->channels[i], sizeof(d->channels[i]), "dozo_%s_%lld", names[i],
                       (long long)d->schema_id);
    return DZ_OK;
}

/* Of all tables that are there; tables of collections are named by dz_collection_parse. What the
 * role makes is its own. */
static enum dz_code check_rights(struct postgres *d, struct dz_err *err)
{
    DZ_AUTO(dz_pg_give) struct dz_pg_conn *c = NULL;
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, 4096);
    dz_buf_putf(&text,
                "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),"
                " CASE c.relname WHEN 'schema_version' THEN 'SELECT' ELSE"
                " 'SELECT,INSERT,UPDATE,DELETE' END FROM pg_class c JOIN pg_namespace n"
                " ON n.oid = c.relnamespace WHERE n.oid = %lld AND c.relkind IN ('r', 'p') AND"
                " (c.relname ~ '^c_.*_[0-9a-f]{8}$' OR c.relname IN ('schema_version', ",
                (long long)d->schema_id);
    dz_sql_put_table_names(&text);
    dz_buf_put(&text, DZ_S("))"));
    DZ_TRY(dz_pg_take(d->pg, &c, err));
    return dz_pg_check_rights(c, dz_buf_cstr(&text), err);
}

static void close_all(struct dz_sql *base)
{
    struct postgres *d = whole(base);
    while (d->idle) {
        struct conn *c = d->idle;
        d->idle = c->next;
        dz_sql_conn_forget(&c->base);
        free(c);
    }
    dz_pg_listener_close(&d->listener);
    dz_pg_close(&d->pg);
    pthread_mutex_destroy(&d->write_lock);
    pthread_mutex_destroy(&d->lock);
    pthread_mutex_destroy(&d->listen_lock);
    dz_sql_done(base);
    free(d);
}

static enum dz_code open_all(const char *data_dir, const char *uri, struct dz_sql **ret_d,
                             struct dz_err *err)
{
    const struct dz_pg_options o = {
        .uri = uri,
        .pool_max = POOL_MAX,
        .connect_ms = CONNECT_MS,
        .statement_ms = STATEMENT_MS,
        .acquire_ms = ACQUIRE_MS,
    };
    struct dz_pg *pg = NULL;
    (void)data_dir;
    DZ_TRY(dz_pg_open(&o, &pg, err));
    struct postgres *d = dz_new(struct postgres);
    d->pg = pg;
    dz_sql_init(&d->base, &dz_sql_postgres, dz_pg_place(pg));
    pthread_mutex_init(&d->write_lock, NULL);
    pthread_mutex_init(&d->lock, NULL);
    pthread_mutex_init(&d->listen_lock, NULL);
    enum dz_code code = look_at(d, err);
    if (code == DZ_OK)
        code = check_rights(d, err);
    if (code == DZ_OK)
        *ret_d = &d->base;
    else
        close_all(&d->base);
    return code;
}

static const char schema_begin[] =
    "CREATE TABLE schema_version (number BIGINT PRIMARY KEY, applied_s BIGINT NOT NULL);"
    "COMMENT ON TABLE schema_version IS 'dozo'";

static enum dz_code schema_version(struct dz_sql_conn *base, int64_t *ret_version,
                                   struct dz_err *err)
{
    static const struct dz_pg_statement look = {
        .text = "SELECT c.oid, coalesce(obj_description(c.oid, 'pg_class'), '') = 'dozo'"
                " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE c.relname = 'schema_version' AND n.nspname = current_schema()"};
    static const struct dz_pg_statement newest = {
        .text = "SELECT coalesce(max(number), 0) FROM schema_version"};
    DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
    struct conn *c = own(base);
    DZ_TRY(dz_pg_run(c->pg, &look, NULL, 0, &rows, err));
    if (dz_pg_n(rows) == 0) {
        *ret_version = 0;
        return DZ_OK;
    }
    if (!dz_pg_int(rows, 0, 1))
        return dz_fail(err, DZ_BAD_INPUT,
                       "%.120s: its schema_version is not dozo's; give dozo a schema of its own",
                       base->d->name);
    dz_pg_rows_free(&rows);
    DZ_TRY(dz_pg_run(c->pg, &newest, NULL, 0, &rows, err));
    *ret_version = dz_pg_int(rows, 0, 0);
    return DZ_OK;
}

const struct dz_sql_backend dz_sql_postgres = {
    .name = "postgres",
    .dialect = DZ_SQL_POSTGRES,
    .migrations = dz_postgres_migrations,
    .migrations_n = DZ_SQL_SCHEMA,
    .open = open_all,
    .close = close_all,
    .read_begin = read_begin,
    .write_begin = write_begin,
    .commit = commit,
    .end = end,
    .is_open = is_open,
    .is_retry = dz_pg_is_retry,
    .prepare = prepare,
    .finalize = finalize,
    .bind_int = bind_int,
    .bind_real = bind_real,
    .bind_str = bind_str,
    .bind_blob = bind_str,
    .bind_null = bind_null,
    .step = step,
    .column_int = column_int,
    .column_real = column_real,
    .column_str = column_str,
    .column_blob = column_str,
    .column_is_null = column_is_null,
    .reset = reset,
    .changes = changes,
    .script = script,
    .schema_version = schema_version,
    .schema_begin = schema_begin,
    .notify = notify,
    .wait = wait_for,
    .lock = lock_blobs,
    .lock_check = lock_check,
    .unlock = unlock,
};
