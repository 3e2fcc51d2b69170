/*
 * catalog_fixture: the drivers of the catalog, and an empty catalog of each for a case.
 *
 * A driver is a line in `drivers`. set_up and tear_down are cmocka's; a fixture belongs to the case
 * that runs. On PostgreSQL each case has a schema of its own, which goes at its end; without a
 * server its cases are skipped, or fail where DOZO_REQUIRE has the name.
 */
#pragma once

#include "catalog/test_postgres.h"
#include "catalog/test_records.h"

enum where {
    IN_FILE,
    IN_MEMORY, /* nobody else can open it; reads wait for the end of a batch */
    ON_SERVER, /* has several writers at once */
};
struct driver_case {
    const char *label, *driver;
    enum where where;
};
static const struct driver_case drivers[] = {
    {"sqlite in a file", "sqlite", IN_FILE},
    {"sqlite in memory", "sqlite", IN_MEMORY},
    {"postgres", "postgres", ON_SERVER},
};

struct fixture {
    const struct driver_case *which;
    char folder[64], schema[40], uri[512];
    struct dz_catalog *c;
    struct dz_arena *a;
};

/* Another catalog on the database of the case, as another process has it. */
__attribute__((unused)) static struct dz_catalog *open_again(struct fixture *f)
{
    struct dz_catalog *c = NULL;
    must(dz_catalog_open(f->which->driver, f->folder, f->uri, &c, err));
    return c;
}

__attribute__((unused)) static int set_up(void **state)
{
    struct fixture *f = *state;
    make_folder(f->folder);
    f->a = dz_arena_new(64 * DZ_MIB);
    if (f->which->where == IN_MEMORY)
        snprintf(f->uri, sizeof(f->uri), ":memory:");
    if (f->which->where == ON_SERVER)
        make_schema(f->schema, f->uri);
    f->c = open_again(f);
    return 0;
}

__attribute__((unused)) static int tear_down(void **state)
{
    struct fixture *f = *state;
    dz_catalog_close(&f->c);
    dz_arena_free(&f->a);
    if (f->which->where == ON_SERVER)
        drop_schema(f->schema);
    drop_folder(f->folder);
    return 0;
}

__attribute__((unused)) static struct dz_batch *begin(struct fixture *f)
{
    struct dz_batch *b = NULL;
    must(dz_batch_begin(f->c, &b, err));
    return b;
}

__attribute__((unused)) static uint64_t commit(struct dz_batch *b)
{
    uint64_t seq;
    must(dz_batch_commit(&b, &seq, err));
    assert_null(b);
    return seq;
}

__attribute__((unused)) static void assert_str(dz_str s, const char *want)
{
    if (!dz_str_eq(s, dz_str_of(want)))
        fail_msg("\"%.*s\", want \"%s\"", DZ_STR_FMT(s), want);
}

/* More names than one statement asks for, out of order: from MANY_THERE on they are not there, some
 * are asked for again at once and later. */
enum { MANY_THERE = 70, MANY_ASKED = 200 };
__attribute__((unused)) static size_t asked_at(size_t i)
{
    return (i - (i % 10 == 9)) * 7 % 90;
}

__attribute__((unused)) static dz_str nth_name(struct fixture *f, size_t n)
{
    return dz_arena_printf(f->a, "n%zu", n);
}

__attribute__((unused)) static dz_str *asked_names(struct fixture *f)
{
    dz_str *v = dz_arena_alloc(f->a, MANY_ASKED * sizeof(*v));
    for (size_t i = 0; i < MANY_ASKED; i++)
        v[i] = nth_name(f, asked_at(i));
    return v;
}

struct refs {
    struct dz_sha256 sha;
    uint64_t refs;
    bool seen;
};

__attribute__((unused)) static enum dz_code find_refs(void *arg, const struct dz_blob_rec *b,
                                                      uint64_t refs, struct dz_err *err)
{
    struct refs *r = arg;
    (void)err;
    if (memcmp(&b->sha, &r->sha, sizeof(b->sha)) == 0) {
        r->refs = refs;
        r->seen = true;
    }
    return DZ_OK;
}

/* -1: no such row. */
__attribute__((unused)) static int refs_of(struct fixture *f, uint64_t blob)
{
    struct refs r = {.sha = blob_of(blob).sha};
    must(dz_catalog_blobs(f->c, find_refs, &r, err));
    return r.seen ? (int)r.refs : -1;
}

__attribute__((unused)) static void sound(struct fixture *f)
{
    uint64_t left;
    must(dz_catalog_verify(f->c, false, NULL, NULL, &left, err));
    assert_int_equal(left, 0);
}

/* A case gets an empty catalog of the driver at hand. */
static struct fixture suite;
#define CASE(fn)                                                                                   \
    {                                                                                              \
#fn, fn, set_up, tear_down, &suite                                                         \
    }

__attribute__((unused)) static void is_there(void **state)
{
    (void)state;
    server_is_missing("postgres");
}

/* All cases against each driver; the process's exit status. */
__attribute__((unused)) static int run_cases(const struct CMUnitTest *cases, size_t n)
{
    static const struct CMUnitTest none[] = {{"is_there", is_there, NULL, NULL, NULL}};
    int failed = 0;
    for (size_t i = 0; i < DZ_LEN(drivers); i++) {
        suite = (struct fixture){.which = &drivers[i]};
        bool missing = drivers[i].where == ON_SERVER && !server_uri("postgres");
        failed += _cmocka_run_group_tests(drivers[i].label, missing ? none : cases, missing ? 1 : n,
                                          NULL, NULL);
    }
    return failed;
}
