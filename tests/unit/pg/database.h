/*
 * database: a pool on the PostgreSQL of this run, with a schema of its own for each test.
 *
 * set_up and tear_down are cmocka's; a test gets the struct as its state. Without a server a test
 * is skipped.
 */
#pragma once

#include "servers.h"

#include "pg/pg.h"

struct database {
    struct dz_pg *pg;
    struct dz_pg_conn *c;
    char schema[40];
};

__attribute__((unused)) static enum dz_code do_script(struct dz_pg *pg, const char *form,
                                                      const char *name, struct dz_err *err)
{
    DZ_AUTO(dz_pg_give) struct dz_pg_conn *c = NULL;
    char text[160];
    (void)snprintf(text, sizeof(text), form, name);
    DZ_TRY(dz_pg_take(pg, &c, err));
    return dz_pg_script(c, text, err);
}

/* NULL when there is no server; the test then says so. */
__attribute__((unused)) static struct dz_pg *open_pool(const struct dz_pg_options *o)
{
    struct dz_pg_options with = *o;
    struct dz_pg *pg = NULL;
    if (!with.uri)
        with.uri = server_uri("postgres");
    must(dz_pg_open(&with, &pg, err));
    return pg;
}

__attribute__((unused)) static int set_up(void **state)
{
    struct database *d = dz_new(struct database);
    *state = d;
    if (!server_uri("postgres"))
        return 0;
    (void)snprintf(d->schema, sizeof(d->schema), "t_%016llx", (unsigned long long)dz_random_u64());
    d->pg = open_pool(&(struct dz_pg_options){.schema = d->schema, .pool_max = 8});
    must(do_script(d->pg, "CREATE SCHEMA \"%s\"", d->schema, err));
    must(dz_pg_take(d->pg, &d->c, err));
    return 0;
}

__attribute__((unused)) static int tear_down(void **state)
{
    struct database *d = *state;
    dz_pg_give(&d->c);
    if (d->pg)
        must(do_script(d->pg, "DROP SCHEMA \"%s\" CASCADE", d->schema, err));
    dz_pg_close(&d->pg);
    free(d);
    return 0;
}

/* The state of a test, which ends here when there is no server. */
__attribute__((unused)) static struct database *database_of(void **state)
{
    struct database *d = *state;
    if (!d->pg)
        server_is_missing("postgres");
    return d;
}

/* A statement with up to four values, whose failure fails the test. */
__attribute__((unused)) static struct dz_pg_rows *run(struct dz_pg_conn *c, const char *text,
                                                      const struct dz_pg_param *v, size_t n)
{
    struct dz_pg_rows *rows = NULL;
    const struct dz_pg_statement st = {.text = text};
    must(dz_pg_run(c, &st, v, n, &rows, err));
    assert_non_null(rows);
    return rows;
}

__attribute__((unused)) static void do_run(struct dz_pg_conn *c, const char *text)
{
    struct dz_pg_rows *rows = run(c, text, NULL, 0);
    dz_pg_rows_free(&rows);
}

__attribute__((unused)) static int64_t ask(struct dz_pg_conn *c, const char *text)
{
    struct dz_pg_rows *rows = run(c, text, NULL, 0);
    assert_int_equal(dz_pg_n(rows), 1);
    int64_t n = dz_pg_int(rows, 0, 0);
    dz_pg_rows_free(&rows);
    return n;
}

__attribute__((unused)) static enum dz_code try_run(struct dz_pg_conn *c, const char *text,
                                                    struct dz_err *err)
{
    const struct dz_pg_statement st = {.text = text};
    return dz_pg_run(c, &st, NULL, 0, NULL, err);
}
