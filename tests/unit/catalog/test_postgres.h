/*
 * test_postgres: a schema of PostgreSQL for one test of the catalog, and the URI that leads into
 * it.
 *
 * The server is that of the run (servers.h). Whoever makes a schema drops it.
 */
#pragma once

#include "pg/pg.h"
#include "servers.h"

/* On the test server, outside any catalog; each %s of the form is the schema's name. */
__attribute__((unused)) static void on_server(const char *schema, const char *form)
{
    DZ_AUTO(dz_pg_close) struct dz_pg *pg = NULL;
    DZ_AUTO(dz_pg_give) struct dz_pg_conn *c = NULL;
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, 4 * DZ_KIB);
    for (const char *p = form; *p; p++)
        if (strncmp(p, "%s", 2) == 0)
            dz_buf_put(&text, dz_str_of((p++, schema)));
        else
            dz_buf_putc(&text, *p);
    must(dz_pg_open(&(struct dz_pg_options){.uri = server_uri("postgres")}, &pg, err));
    must(dz_pg_take(pg, &c, err));
    must(dz_pg_script(c, dz_buf_cstr(&text), err));
}

__attribute__((unused)) static void make_schema(char schema[40], char uri[512])
{
    const char *server = server_uri("postgres");
    snprintf(schema, 40, "t_%016llx", (unsigned long long)dz_random_u64());
    snprintf(uri, 512, "%s%coptions=-csearch_path%%3D%s", server, strchr(server, '?') ? '&' : '?',
             schema);
    on_server(schema, "CREATE SCHEMA %s");
}

__attribute__((unused)) static void drop_schema(const char *schema)
{
    on_server(schema, "DROP SCHEMA %s CASCADE");
}
