/*
 * catalog_fixture: the drivers of the catalog, and an empty catalog of each for a case.
 *
 * A driver is a line in `drivers`. set_up and tear_down are cmocka's; a fixture belongs to the case
 * that runs.
 */
#pragma once

#include "catalog/test_records.h"

struct driver_case {
    const char *label, *driver, *uri; /* uri NULL: in the folder of the case */
    bool reads_wait; /* for the end of a batch, instead of seeing the last commit */
};
static const struct driver_case drivers[] = {
    {"sqlite in a file", "sqlite", NULL, false},
    {"sqlite in memory", "sqlite", ":memory:", true},
};

struct fixture {
    const struct driver_case *which;
    char folder[64];
    struct dz_catalog *c;
    struct dz_arena *a;
};

__attribute__((unused)) static int set_up(void **state)
{
    struct fixture *f = *state;
    make_folder(f->folder);
    f->a = dz_arena_new(64 * DZ_MIB);
    must(dz_catalog_open(f->which->driver, f->folder, f->which->uri, &f->c, err));
    return 0;
}

__attribute__((unused)) static int tear_down(void **state)
{
    struct fixture *f = *state;
    dz_catalog_close(&f->c);
    dz_arena_free(&f->a);
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

/* All cases against each driver; the process's exit status. */
__attribute__((unused)) static int run_cases(const struct CMUnitTest *cases, size_t n)
{
    int failed = 0;
    for (size_t i = 0; i < DZ_LEN(drivers); i++) {
        suite = (struct fixture){.which = &drivers[i]};
        failed += _cmocka_run_group_tests(drivers[i].label, cases, n, NULL, NULL);
    }
    return failed;
}
