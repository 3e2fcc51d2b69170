/*
 * store_fixture: the drivers of the store, and an empty store of each for a case.
 *
 * A driver is a line in `variants`. set_up and tear_down are cmocka's; files have a folder of their
 * own, PostgreSQL a schema, MongoDB a database, which go at the end of the case. Where others may
 * write rows as well there are functions that do what imoog does, without the driver. Without its
 * server a driver's cases are skipped, or fail where DOZO_REQUIRE has the name.
 */
#pragma once

#include <mongoc/mongoc.h>

#include "pg/pg.h"
#include "servers.h"
#include "store/store.h"

#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture;

/* What imoog does with its table or collection. p = NULL is null. */
struct imoog {
    void (*make)(struct fixture *f); /* what has to be there before a store is opened */
    void (*drop)(struct fixture *f);
    void (*add)(struct fixture *f, dz_str name, dz_str image, dz_str mime);
    /* False: none of that name. image and mime are appended; false in has_mime: null. */
    bool (*get)(struct fixture *f, dz_str name, struct dz_buf *ret_image, bool *ret_has_mime);
    void (*del)(struct fixture *f, dz_str name);
};

struct variant {
    const char *name;
    const struct dz_store_driver *driver;
    const char *uri;
    bool keeps;         /* bytes outlive close */
    const char *server; /* NULL: needs none; else its uri goes where `uri` ends */
    const struct imoog *imoog;
};

struct fixture {
    const struct variant *v;
    struct dz_store *s;
    char dir[64], name[40], table[48];
};

/* ---- PostgreSQL ------------------------------------------------------------------------------ */

static struct dz_pg_rows *on_postgres(const char *form, const char *name,
                                      const struct dz_pg_param *v, size_t n)
{
    DZ_AUTO(dz_pg_close) struct dz_pg *pg = NULL;
    DZ_AUTO(dz_pg_give) struct dz_pg_conn *c = NULL;
    char text[200];
    struct dz_pg_rows *rows = NULL;
    must(dz_pg_open(&(struct dz_pg_options){.uri = server_uri("postgres")}, &pg, err));
    must(dz_pg_take(pg, &c, err));
    (void)snprintf(text, sizeof(text), form, name);
    must(dz_pg_run(c, &(struct dz_pg_statement){.text = text, .once = true}, v, n, &rows, err));
    return rows;
}

static void do_postgres(const char *form, const char *name, const struct dz_pg_param *v, size_t n)
{
    struct dz_pg_rows *rows = on_postgres(form, name, v, n);
    dz_pg_rows_free(&rows);
}

static void postgres_make(struct fixture *f)
{
    do_postgres("CREATE SCHEMA %s", f->name, NULL, 0);
}

static void postgres_drop(struct fixture *f)
{
    do_postgres("DROP SCHEMA %s CASCADE", f->name, NULL, 0);
}

static struct dz_pg_param or_null(dz_str s)
{
    return s.p ? dz_pg_p_str(s) : dz_pg_p_null();
}

static void postgres_add(struct fixture *f, dz_str name, dz_str image, dz_str mime)
{
    struct dz_pg_param v[] = {dz_pg_p_str(name), or_null(image), or_null(mime)};
    do_postgres("INSERT INTO %s (name, image, mime) VALUES ($1, $2, $3)", f->table, v, 3);
}

static bool postgres_get(struct fixture *f, dz_str name, struct dz_buf *ret_image,
                         bool *ret_has_mime)
{
    struct dz_pg_param v = dz_pg_p_str(name);
    DZ_AUTO(dz_pg_rows_free)
    struct dz_pg_rows *rows = on_postgres("SELECT * FROM %s WHERE name = $1", f->table, &v, 1);
    if (dz_pg_n(rows) == 0)
        return false;
    dz_buf_put(ret_image, dz_pg_bytes(rows, 0, 1));
    *ret_has_mime = !dz_pg_is_null(rows, 0, 2);
    return true;
}

static void postgres_del(struct fixture *f, dz_str name)
{
    struct dz_pg_param v = dz_pg_p_str(name);
    do_postgres("DELETE FROM %s WHERE name = $1", f->table, &v, 1);
}

static const struct imoog on_tables = {postgres_make, postgres_drop, postgres_add, postgres_get,
                                       postgres_del};

/* ---- MongoDB --------------------------------------------------------------------------------- */

struct mongo {
    mongoc_client_t *client;
    mongoc_database_t *database;
    mongoc_collection_t *images;
};

static struct mongo mongo_open(const struct fixture *f)
{
    struct mongo m = {.client = mongoc_client_new(server_uri("mongodb"))};
    m.database = mongoc_client_get_database(m.client, f->name);
    m.images = mongoc_database_get_collection(m.database, "images");
    return m;
}

static void mongo_close(struct mongo *m)
{
    mongoc_collection_destroy(m->images);
    mongoc_database_destroy(m->database);
    mongoc_client_destroy(m->client);
}

static void mongodb_make(struct fixture *f)
{
    (void)f; /* made by the first who writes */
}

static void mongodb_drop(struct fixture *f)
{
    struct mongo m = mongo_open(f);
    (void)mongoc_database_drop(m.database, NULL);
    mongo_close(&m);
}

static bson_t *mongo_id(dz_str name)
{
    bson_t *key = bson_new();
    bson_append_utf8(key, "_id", 3, name.p, (int)name.n);
    return key;
}

static void mongodb_add(struct fixture *f, dz_str name, dz_str image, dz_str mime)
{
    struct mongo m = mongo_open(f);
    bson_t *doc = mongo_id(name);
    bson_error_t why;
    if (image.p)
        bson_append_binary(doc, "image", 5, BSON_SUBTYPE_BINARY, (const uint8_t *)image.p,
                           (uint32_t)image.n);
    else
        bson_append_null(doc, "image", 5);
    if (mime.p)
        bson_append_utf8(doc, "mime", 4, mime.p, (int)mime.n);
    else
        bson_append_null(doc, "mime", 4);
    if (!mongoc_collection_insert_one(m.images, doc, NULL, NULL, &why))
        fail_msg("%s", why.message);
    bson_destroy(doc);
    mongo_close(&m);
}

static bool mongodb_get(struct fixture *f, dz_str name, struct dz_buf *ret_image,
                        bool *ret_has_mime)
{
    struct mongo m = mongo_open(f);
    bson_t *key = mongo_id(name);
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(m.images, key, NULL, NULL);
    const bson_t *doc = NULL;
    bool found = mongoc_cursor_next(cursor, &doc);
    bson_iter_t at;
    if (found && bson_iter_init_find(&at, doc, "image") && BSON_ITER_HOLDS_BINARY(&at)) {
        uint32_t n = 0;
        const uint8_t *p = NULL;
        bson_iter_binary(&at, NULL, &n, &p);
        dz_buf_put(ret_image, (dz_str){(const char *)p, n});
    }
    if (found)
        *ret_has_mime = bson_iter_init_find(&at, doc, "mime") && BSON_ITER_HOLDS_UTF8(&at);
    mongoc_cursor_destroy(cursor);
    bson_destroy(key);
    mongo_close(&m);
    return found;
}

static void mongodb_del(struct fixture *f, dz_str name)
{
    struct mongo m = mongo_open(f);
    bson_t *key = mongo_id(name);
    assert_true(mongoc_collection_delete_one(m.images, key, NULL, NULL, NULL));
    bson_destroy(key);
    mongo_close(&m);
}

static const struct imoog on_documents = {mongodb_make, mongodb_drop, mongodb_add, mongodb_get,
                                          mongodb_del};

/* ---- the drivers ----------------------------------------------------------------------------- */

static const struct variant variants[] = {
    {"files", &dz_store_files, "", true, NULL, NULL},
    {"memory", &dz_store_memory, "", false, NULL, NULL},
    {"postgres", &dz_store_postgres, "", true, "postgres", &on_tables},
    {"mongodb", &dz_store_mongodb, "", true, "mongodb", &on_documents},
    {"fault+files", &dz_store_fault, "files", true, NULL, NULL},
    {"fault+memory", &dz_store_fault, "memory", false, NULL, NULL},
    {"fault+files short", &dz_store_fault, "files?short=1000", true, NULL, NULL},
    {"fault+postgres short", &dz_store_fault, "postgres?short=1000#", true, "postgres", &on_tables},
    {"fault+mongodb short", &dz_store_fault, "mongodb?short=1000#", true, "mongodb", &on_documents},
};

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void open_store(struct fixture *f)
{
    DZ_AUTO(dz_buf_done) struct dz_buf uri;
    dz_buf_init(&uri, DZ_KIB);
    dz_buf_putf(&uri, "%s%s", f->v->uri, f->v->server ? server_uri(f->v->server) : "");
    struct dz_store_options o = {.data_dir = f->dir,
                                 .uri = dz_buf_cstr(&uri),
                                 .table = f->table,
                                 .database = f->name,
                                 .collection = "images",
                                 .pool_max = 4,
                                 .level = DZ_STORE_LEVEL_AUTO};
    must(dz_store_open_options(f->v->driver, &o, &f->s, err));
}

static int set_up(void **state)
{
    struct fixture *f = dz_new(struct fixture);
    f->v = *state;
    memcpy(f->dir, "/tmp/dozo-suite-store-XXXXXX", 29);
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->name, sizeof(f->name), "t_%016llx", (unsigned long long)dz_random_u64());
    (void)snprintf(f->table, sizeof(f->table), "%s.images", f->name);
    if (f->v->imoog)
        f->v->imoog->make(f);
    open_store(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    dz_store_close(&f->s);
    if (f->v->imoog)
        f->v->imoog->drop(f);
    nftw(f->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static void without_server(void **state)
{
    server_is_missing(((const struct variant *)*state)->server);
}

/* All cases against all drivers, or those with named objects. */
static int run_suite(const struct CMUnitTest *cases, size_t n, bool named)
{
    struct CMUnitTest *tests = dz_alloc(n * sizeof(*tests));
    int failed = 0;
    for (size_t v = 0; v < DZ_LEN(variants); v++) {
        const struct variant *variant = &variants[v];
        if (named && !variant->driver->batch_take_named)
            continue;
        bool missing = variant->server && !server_uri(variant->server);
        for (size_t i = 0; i < n; i++) {
            tests[i] = cases[i];
            if (missing)
                tests[i].test_func = without_server;
            tests[i].setup_func = missing ? NULL : set_up;
            tests[i].teardown_func = missing ? NULL : tear_down;
            tests[i].initial_state = (void *)(uintptr_t)variant;
        }
        failed += _cmocka_run_group_tests(variant->name, tests, missing ? 1 : n, NULL, NULL);
    }
    free(tests);
    return failed > 0;
}

/* Pseudo-random bytes. */
static char *noise(size_t n, uint64_t seed)
{
    char *p = dz_alloc(n + 1);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        p[i] = (char)(seed >> 56);
    }
    return p;
}

static enum dz_code count_one(void *arg, const struct dz_blob_stat *b, struct dz_err *err)
{
    (void)b, (void)err;
    ++*(size_t *)arg;
    return DZ_OK;
}

static size_t count_blobs(struct dz_store *s)
{
    size_t n = 0;
    must(dz_store_list(s, count_one, &n, err));
    return n;
}

/* What is read in pieces must be these bytes, one after the other. */
struct pieces {
    dz_str want;
    size_t at, n;
};

__attribute__((unused)) static enum dz_code take_piece(void *arg, dz_str piece, struct dz_err *err)
{
    struct pieces *p = arg;
    (void)err;
    assert_true(piece.n <= p->want.n - p->at);
    if (piece.n > 0)
        assert_memory_equal(piece.p, p->want.p + p->at, piece.n);
    p->at += piece.n;
    p->n++;
    return DZ_OK;
}

__attribute__((unused)) static enum dz_code refuse_piece(void *arg, dz_str piece,
                                                         struct dz_err *err)
{
    (void)arg;
    (void)piece;
    return dz_fail(err, DZ_PARSE, "no more");
}

__attribute__((unused)) static void assert_pieces(struct dz_store *s, const struct dz_sha256 *sha,
                                                  dz_str name, dz_str bytes)
{
    struct pieces p = {.want = bytes};
    must(dz_store_read(s, sha, name, DZ_STORE_BLOB_MAX, take_piece, &p, err));
    assert_int_equal(p.at, bytes.n);
    if (bytes.n == 0)
        return;
    assert_int_equal(dz_store_read(s, sha, name, DZ_STORE_BLOB_MAX, refuse_piece, NULL, NULL),
                     DZ_PARSE);
    assert_int_equal(
        dz_store_read(s, sha, name, bytes.n - 1, take_piece, &(struct pieces){.want = bytes}, NULL),
        DZ_TOO_LARGE);
}
