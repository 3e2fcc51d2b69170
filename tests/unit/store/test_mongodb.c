/*
 * test_mongodb: what is particular about the mongodb driver: its documents are imoog's, documents
 * of others are not trusted, rows that no document can hold, what a kill leaves behind, and a
 * server that is down or silent. Each test has a database of its own on the server of
 * DOZO_TEST_MONGODB.
 */
#include <mongoc/mongoc.h>

#include "proxy.h"
#include "store/store.h"

#include <zlib.h>

struct rig {
    char database[32];
    mongoc_client_t *raw;
    mongoc_collection_t *rows, *index, *parts;
    struct dz_store *s;
    struct dz_arena *arena;
};

static enum dz_code open_at(const struct rig *r, const char *uri, uint32_t pool_max,
                            struct dz_store **ret_s, struct dz_err *err)
{
    struct dz_store_options o = {.data_dir = "/tmp",
                                 .uri = uri,
                                 .database = r->database,
                                 .collection = "images",
                                 .pool_max = pool_max,
                                 .level = 6};
    return dz_store_open_options(&dz_store_mongodb, &o, ret_s, err);
}

static int setup(void **state)
{
    struct rig *r = dz_new(struct rig);
    *state = r;
    if (!server_uri("mongodb"))
        return 0;
    (void)snprintf(r->database, sizeof r->database, "test_%llx",
                   (unsigned long long)dz_random_u64());
    must(open_at(r, server_uri("mongodb"), 4, &r->s, err));
    r->raw = mongoc_client_new(server_uri("mongodb"));
    r->rows = mongoc_client_get_collection(r->raw, r->database, "images");
    r->index = mongoc_client_get_collection(r->raw, r->database, "images_dozo");
    r->parts = mongoc_client_get_collection(r->raw, r->database, "images_dozo_part");
    r->arena = dz_arena_new(DZ_MIB);
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    dz_store_close(&r->s);
    if (r->raw) {
        mongoc_database_t *d = mongoc_client_get_database(r->raw, r->database);
        mongoc_database_drop(d, NULL);
        mongoc_database_destroy(d);
        mongoc_collection_destroy(r->rows);
        mongoc_collection_destroy(r->index);
        mongoc_collection_destroy(r->parts);
        mongoc_client_destroy(r->raw);
    }
    dz_arena_free(&r->arena);
    free(r);
    return 0;
}

static struct rig *rig_of(void **state)
{
    struct rig *r = *state;
    if (!r->s)
        server_is_missing("mongodb");
    return r;
}

/* ---- documents as others see and write them ----------------------------------------------------
 */

/* A copy; the caller destroys it. NULL: there is none. */
static bson_t *document(mongoc_collection_t *c, const char *name)
{
    bson_t *key = BCON_NEW("_id", BCON_UTF8(name));
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, key, NULL, NULL);
    const bson_t *doc = NULL;
    bson_t *copy = mongoc_cursor_next(cursor, &doc) ? bson_copy(doc) : NULL;
    bson_error_t why;
    assert_false(mongoc_cursor_error(cursor, &why));
    mongoc_cursor_destroy(cursor);
    bson_destroy(key);
    return copy;
}

static size_t count(mongoc_collection_t *c)
{
    bson_t all = BSON_INITIALIZER;
    int64_t n = mongoc_collection_count_documents(c, &all, NULL, NULL, NULL, NULL);
    bson_destroy(&all);
    return (size_t)n;
}

static void insert(mongoc_collection_t *c, bson_t *take_doc)
{
    bson_error_t why;
    if (!mongoc_collection_insert_one(c, take_doc, NULL, NULL, &why))
        fail_msg("%s", why.message);
    bson_destroy(take_doc);
}

static void change(mongoc_collection_t *c, const char *name, bson_t *take_fields)
{
    bson_t *key = BCON_NEW("_id", BCON_UTF8(name));
    bson_t *set = BCON_NEW("$set", BCON_DOCUMENT(take_fields));
    assert_true(mongoc_collection_update_one(c, key, set, NULL, NULL, NULL));
    bson_destroy(key);
    bson_destroy(set);
    bson_destroy(take_fields);
}

/* {_id, image}, as pymongo's insert_one({"_id": name, "image": zlib.compress(bytes), …}). */
static bson_t *row_of(const char *name, dz_str bytes)
{
    bson_t *doc = bson_new();
    BSON_APPEND_UTF8(doc, "_id", name);
    uLongf n = compressBound(bytes.n);
    unsigned char *packed = dz_alloc(n);
    assert_int_equal(compress2(packed, &n, (const unsigned char *)bytes.p, bytes.n, 6), Z_OK);
    bson_append_binary(doc, "image", 5, BSON_SUBTYPE_BINARY, packed, (uint32_t)n);
    free(packed);
    return doc;
}

static void assert_image(const bson_t *doc, dz_str bytes)
{
    bson_iter_t at;
    bson_subtype_t kind;
    uint32_t n = 0;
    const uint8_t *packed = NULL;
    assert_true(bson_iter_init_find(&at, doc, "image") && BSON_ITER_HOLDS_BINARY(&at));
    bson_iter_binary(&at, &kind, &n, &packed);
    assert_int_equal(kind, BSON_SUBTYPE_BINARY);
    uLongf out_n = bytes.n + 1;
    unsigned char *out = dz_alloc(out_n);
    assert_int_equal(uncompress(out, &out_n, packed, n), Z_OK);
    assert_int_equal(out_n, bytes.n);
    assert_memory_equal(out, bytes.p, bytes.n);
    free(out);
}

static enum dz_code put_named(struct dz_store *s, dz_str name, dz_str mime, dz_str bytes,
                              bool *ret_new, struct dz_err *err)
{
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
    DZ_AUTO(dz_store_write_drop) struct dz_store_write *w = NULL;
    DZ_TRY(dz_store_batch_begin(s, &b, err));
    DZ_TRY(dz_store_write_begin(s, &w, err));
    DZ_TRY(dz_store_write_add(w, bytes, err));
    DZ_TRY(dz_store_batch_take_named(b, &w, name, mime, NULL, ret_new, err));
    return dz_store_batch_commit(b, err);
}

static char *noise(size_t n)
{
    char *p = dz_alloc(n + 1);
    dz_random(p, n);
    return p;
}

static void test_documents_are_those_of_imoog(void **state)
{
    struct rig *r = rig_of(state);
    dz_str bytes = DZ_S("the bytes of a picture, the bytes of a picture");
    struct dz_blob_stat stat;
    must(dz_store_put_bytes(r->s, bytes, &stat, err));
    char hex[65] = {0};
    dz_hex(stat.sha.b, 32, hex);
    bool is_new = false;
    must(put_named(r->s, DZ_S("DTLNSU6MU"), DZ_S("image/png"), bytes, &is_new, err));
    assert_true(is_new);
    must(put_named(r->s, DZ_S("NOTYPE"), (dz_str){NULL, 0}, DZ_S(""), &is_new, err));

    const char *names[] = {hex, "DTLNSU6MU", "NOTYPE"};
    for (size_t i = 0; i < DZ_LEN(names); i++) {
        bson_t *doc = document(r->rows, names[i]);
        assert_non_null(doc);
        assert_int_equal(bson_count_keys(doc), 3);
        assert_image(doc, i == 2 ? DZ_S("") : bytes);
        bson_iter_t at;
        assert_true(bson_iter_init_find(&at, doc, "mime"));
        if (i == 1)
            assert_string_equal(bson_iter_utf8(&at, NULL), "image/png");
        else
            assert_true(BSON_ITER_HOLDS_NULL(&at));
        bson_destroy(doc);
        doc = document(r->index, names[i]);
        assert_non_null(doc);
        assert_true(bson_iter_init_find(&at, doc, "bytes"));
        assert_int_equal(bson_iter_as_int64(&at), i == 2 ? 0 : bytes.n);
        bson_destroy(doc);
    }
    assert_int_equal(count(r->rows), 3);
    assert_int_equal(count(r->parts), 0);
}

static void test_rows_of_imoog_are_read(void **state)
{
    struct rig *r = rig_of(state);
    dz_str bytes = DZ_S("what somebody sent in 2022, what somebody sent in 2022");
    bson_t *doc = row_of("OLD000001", bytes);
    BSON_APPEND_UTF8(doc, "mime", "text/plain");
    insert(r->rows, doc);
    doc = row_of("OLD000002", bytes);
    BSON_APPEND_NULL(doc, "mime");
    insert(r->rows, doc);
    doc = row_of("OLD000003", bytes);
    BSON_APPEND_UTF8(doc, "mime", "");
    insert(r->rows, doc);
    insert(r->rows, row_of("OLD000004", bytes));

    struct dz_sha256 want = dz_sha256_of(bytes);
    for (unsigned i = 1; i <= 4; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "OLD00000%u", i);
        for (unsigned turn = 0; turn < 2; turn++) { /* measured, then from the index */
            struct dz_store_named n;
            DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
            must(dz_store_named_get(r->s, dz_str_of(name), 1000, r->arena, &n, turn ? &body : NULL,
                                    err));
            assert_true(dz_str_eq(n.name, dz_str_of(name)));
            assert_memory_equal(n.stat.sha.b, want.b, 32);
            assert_int_equal(n.stat.bytes, bytes.n);
            assert_true(n.measured);
            assert_true(i == 1 ? dz_str_eq(n.mime, DZ_S("text/plain")) : n.mime.n == 0);
            assert_int_equal(n.mime.p != NULL, i == 1 || i == 3);
            if (turn)
                assert_memory_equal(body->p, bytes.p, bytes.n);
        }
    }
    assert_int_equal(count(r->index), 4);
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    must(dz_store_get(r->s, &want, 1000, &body, err));
    assert_memory_equal(body->p, bytes.p, bytes.n);
    bool is_new = true, was = false;
    must(put_named(r->s, DZ_S("OLD000001"), DZ_S("image/png"), DZ_S("other"), &is_new, err));
    assert_false(is_new);
    must(dz_store_named_del(r->s, DZ_S("OLD000001"), &was, err));
    assert_true(was);
    assert_null(document(r->rows, "OLD000001"));
    assert_int_equal(count(r->index), 3);
}

/* ---- documents that are not as they should be ---------------------------------------------------
 */

static void assert_corrupt(struct rig *r, const char *name, const char *words)
{
    struct dz_store_named n;
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    struct dz_err why = {0};
    assert_int_equal(dz_store_named_get(r->s, dz_str_of(name), DZ_MIB, r->arena, &n, &body, &why),
                     DZ_CORRUPT);
    if (!strstr(why.text, words) || !strstr(why.text, name))
        fail_msg("\"%s\" does not say \"%s\" of %s", why.text, words, name);
    assert_null(body);
}

static void test_documents_are_not_trusted(void **state)
{
    struct rig *r = rig_of(state);
    insert(r->rows, BCON_NEW("_id", "NOIMAGE", "mime", "image/png"));
    insert(r->rows, BCON_NEW("_id", "TEXT", "image", "eJwDAAAAAAE=", "mime", BCON_NULL));
    insert(r->rows, BCON_NEW("_id", "NUMBER", "image", BCON_INT32(5), "mime", BCON_NULL));
    insert(r->rows, BCON_NEW("_id", "NULL", "image", BCON_NULL, "mime", BCON_NULL));
    insert(r->rows, BCON_NEW("_id", "DEEP", "image", "{", "image", BCON_NULL, "}"));
    insert(r->rows, BCON_NEW("_id", "EMPTY", "image", BCON_BIN(BSON_SUBTYPE_BINARY, NULL, 0)));
    insert(r->rows, BCON_NEW("_id", "GARBAGE", "image",
                             BCON_BIN(BSON_SUBTYPE_BINARY, (const uint8_t *)"\x89PNG\r\n", 6)));
    insert(r->rows,
           BCON_NEW("_id", "CUT", "image",
                    BCON_BIN(BSON_SUBTYPE_BINARY, (const uint8_t *)"\x78\x9c\xcb\x48", 4)));
    bson_t *doc = row_of("MIMENUMBER", DZ_S("x"));
    BSON_APPEND_INT32(doc, "mime", 7);
    insert(r->rows, doc);
    doc = row_of("MIMELONG", DZ_S("x"));
    char *text = dz_zalloc(DZ_STORE_MIME_BYTES_MAX + 2);
    memset(text, 'a', DZ_STORE_MIME_BYTES_MAX + 1);
    BSON_APPEND_UTF8(doc, "mime", text);
    free(text);
    insert(r->rows, doc);
    insert(r->rows, BCON_NEW("_id", BCON_INT32(9), "image", BCON_NULL));

    assert_corrupt(r, "NOIMAGE", "there is no image");
    assert_corrupt(r, "TEXT", "image is not binary");
    assert_corrupt(r, "NUMBER", "image is not binary");
    assert_corrupt(r, "NULL", "image is null");
    assert_corrupt(r, "DEEP", "image is not binary");
    assert_corrupt(r, "EMPTY", "");
    assert_corrupt(r, "GARBAGE", "");
    assert_corrupt(r, "CUT", "");
    assert_corrupt(r, "MIMENUMBER", "mime is neither a string nor null");
    assert_corrupt(r, "MIMELONG", "mime is too long");
    assert_int_equal(count(r->index), 0);
}

static void test_a_bomb_is_stopped(void **state)
{
    struct rig *r = rig_of(state);
    char *zeros = dz_zalloc(8 * DZ_MIB);
    insert(r->rows, row_of("BOMB", (dz_str){zeros, 8 * DZ_MIB}));
    free(zeros);
    struct dz_store_named n;
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    assert_int_equal(dz_store_named_get(r->s, DZ_S("BOMB"), DZ_MIB, r->arena, &n, &body, NULL),
                     DZ_TOO_LARGE);
    assert_null(body);
    must(dz_store_named_get(r->s, DZ_S("BOMB"), 8 * DZ_MIB, r->arena, &n, &body, err));
    assert_int_equal(body->n, 8 * DZ_MIB);
}

static void test_the_index_is_not_trusted(void **state)
{
    struct rig *r = rig_of(state);
    bool is_new;
    must(put_named(r->s, DZ_S("A"), DZ_S("image/png"), DZ_S("abc"), &is_new, err));
    bson_t *bad[] = {
        BCON_NEW("sha", BCON_BIN(BSON_SUBTYPE_BINARY, (const uint8_t *)"abc", 3)),
        BCON_NEW("sha", "x"),
        BCON_NEW("bytes", BCON_INT64(-1)),
        BCON_NEW("bytes", BCON_INT64(INT64_MAX)),
        BCON_NEW("bytes", BCON_DOUBLE(3)),
        BCON_NEW("mtime_s", "yesterday"),
    };
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        change(r->index, "A", bad[i]);
        struct dz_store_named n;
        must(dz_store_named_get(r->s, DZ_S("A"), 100, r->arena, &n, NULL, err));
        assert_int_equal(n.stat.bytes, 3);
        struct dz_sha256 want = dz_sha256_of(DZ_S("abc"));
        assert_memory_equal(n.stat.sha.b, want.b, 32);
    }
    /* One that is well formed and lies is found out, and put right, when the bytes are read. */
    struct dz_sha256 other = dz_sha256_of(DZ_S("abd")), want = dz_sha256_of(DZ_S("abc"));
    change(r->index, "A", BCON_NEW("sha", BCON_BIN(BSON_SUBTYPE_BINARY, other.b, 32)));
    struct dz_store_named n;
    struct dz_body *body = NULL;
    must(dz_store_named_get(r->s, DZ_S("A"), 100, r->arena, &n, &body, err));
    dz_body_unref(&body);
    assert_memory_equal(n.stat.sha.b, want.b, 32);
    must(dz_store_named_get(r->s, DZ_S("A"), 100, r->arena, &n, NULL, err));
    assert_memory_equal(n.stat.sha.b, want.b, 32);
}

/* ---- rows in parts -----------------------------------------------------------------------------
 */

static void test_rows_over_a_document(void **state)
{
    struct rig *r = rig_of(state);
    size_t n = 17 * DZ_MIB;
    DZ_AUTO(dz_freep) char *p = noise(n);
    struct dz_blob_stat stat;
    must(dz_store_put_bytes(r->s, (dz_str){p, n}, &stat, err));
    bool is_new = false;
    must(put_named(r->s, DZ_S("BIG"), DZ_S("video/mp4"), (dz_str){p, n}, &is_new, err));
    assert_int_equal(count(r->parts), 10);
    bson_t *doc = document(r->rows, "BIG");
    bson_iter_t at;
    assert_true(bson_iter_init_find(&at, doc, "image") && BSON_ITER_HOLDS_NULL(&at));
    bson_destroy(doc);
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    must(dz_store_get(r->s, &stat.sha, n, &body, err));
    assert_memory_equal(body->p, p, n);
    must(dz_store_del(r->s, &stat.sha, err));
    assert_int_equal(count(r->parts), 5);
    dz_body_unref(&body);
    must(dz_store_get(r->s, &stat.sha, n, &body, err)); /* the named object has them still */
    assert_memory_equal(body->p, p, n);

    change(r->parts, "BIG:00000003", BCON_NEW("image", "x"));
    struct dz_store_named named;
    struct dz_err why = {0};
    dz_body_unref(&body);
    assert_int_equal(dz_store_named_get(r->s, DZ_S("BIG"), n, r->arena, &named, &body, &why),
                     DZ_CORRUPT);
    assert_non_null(strstr(why.text, "part"));
    must(dz_store_named_del(r->s, DZ_S("BIG"), &is_new, err));
    assert_int_equal(count(r->parts) + count(r->index) + count(r->rows), 0);
}

static void test_sweep_takes_what_a_kill_left(void **state)
{
    struct rig *r = rig_of(state);
    bool is_new;
    must(put_named(r->s, DZ_S("KEPT"), DZ_S("image/png"), DZ_S("abc"), &is_new, err));
    struct dz_sha256 sha = dz_sha256_of(DZ_S("x"));
    int64_t now_s = dz_now_ms() / 1000;
    for (unsigned i = 0; i < 2; i++)
        insert(r->index,
               BCON_NEW("_id", i ? "YOUNG" : "OLD", "sha", BCON_BIN(BSON_SUBTYPE_BINARY, sha.b, 32),
                        "bytes", BCON_INT64(1), "mtime_s", BCON_INT64(i ? now_s : now_s - 7200)));
    insert(r->parts, BCON_NEW("_id", "OLD:00000000", "image",
                              BCON_BIN(BSON_SUBTYPE_BINARY, (const uint8_t *)"a", 1)));
    uint64_t removed = 0;
    must(dz_store_sweep(r->s, 3600, &removed, err));
    assert_int_equal(removed, 1);
    assert_int_equal(count(r->parts), 0);
    assert_int_equal(count(r->index), 2);
    assert_int_equal(count(r->rows), 1);
    /* A name that only the index has is taken: somebody may be writing it. */
    must(put_named(r->s, DZ_S("YOUNG"), DZ_S("image/png"), DZ_S("abc"), &is_new, err));
    assert_false(is_new);
    struct dz_store_named n;
    assert_int_equal(dz_store_named_get(r->s, DZ_S("YOUNG"), 100, r->arena, &n, NULL, NULL),
                     DZ_NOT_FOUND);
}

/* ---- connections -------------------------------------------------------------------------------
 */

static enum dz_code read_one(void *arg, const struct dz_blob_stat *b, struct dz_err *err)
{
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    return dz_store_get(arg, &b->sha, 1000, &body, err);
}

static void test_a_list_holds_no_connection(void **state)
{
    struct rig *r = rig_of(state);
    DZ_AUTO(dz_store_close) struct dz_store *s = NULL;
    must(open_at(r, server_uri("mongodb"), 1, &s, err));
    must(dz_store_put_bytes(s, DZ_S("a"), NULL, err));
    must(dz_store_put_bytes(s, DZ_S("b"), NULL, err));
    must(dz_store_list(s, read_one, s, err));
}

static void test_words_without_password(void **state)
{
    struct rig *r = *state;
    const char *uris[] = {
        "mongodb://user:Pa%ZZsecret@127.0.0.1:1/",
        "mongodb://user:sec/ret@127.0.0.1:1/",
        "mongodb://user:secret@127.0.0.1:1/?serverSelectionTimeoutMS=100",
        "mongodb://user:secret@127.0.0.1:1/?serverSelectTimeoutMS=5",
        "mongodb://127.0.0.1:1/?serverSelectTimeoutMS=5",
        "http://127.0.0.1/",
        "mongodb://user:a@secret@127.0.0.1:1/",
    };
    (void)snprintf(r->database, sizeof r->database, "d");
    for (size_t i = 0; i < DZ_LEN(uris); i++) {
        struct dz_store *s = NULL;
        struct dz_err why = {0};
        enum dz_code code = open_at(r, uris[i], 2, &s, &why);
        assert_int_equal(code, i == 2 ? DZ_UNAVAILABLE : DZ_BAD_INPUT);
        assert_true(why.text[0]);
        assert_null(strstr(why.text, "ret"));
        assert_int_equal(strstr(why.text, "serverselecttimeoutms") != NULL, i == 4);
        assert_null(s);
    }
    const char *names[] = {"", "a b", "../x", "a\"b", "system.x", ".a", "a$b"};
    for (size_t i = 1; i < DZ_LEN(names); i++) {
        struct dz_store *s = NULL;
        struct dz_store_options o = {.uri = "mongodb://127.0.0.1:1/", .collection = names[i]};
        assert_int_equal(dz_store_open_options(&dz_store_mongodb, &o, &s, NULL), DZ_BAD_INPUT);
    }
}

static enum dz_code one_get(struct dz_store *s, struct dz_err *err)
{
    struct dz_blob_stat stat;
    struct dz_sha256 sha = dz_sha256_of(DZ_S("kept"));
    return dz_store_stat(s, &sha, &stat, err);
}

static void until_it_answers(struct dz_store *s)
{
    struct timespec pause = {0, 20000000};
    while (one_get(s, NULL) != DZ_OK)
        (void)nanosleep(&pause, NULL);
}

static void test_a_server_that_is_down(void **state)
{
    struct rig *r = rig_of(state);
    struct proxy x;
    char uri[256];
    proxy_start(&x, "mongodb", uri, sizeof uri);
    size_t n = strlen(uri);
    (void)snprintf(uri + n, sizeof uri - n,
                   "?serverSelectionTimeoutMS=3000&connectTimeoutMS=500&socketTimeoutMS=500&"
                   "heartbeatFrequencyMS=500");
    DZ_AUTO(dz_store_close) struct dz_store *s = NULL;
    must(open_at(r, uri, 4, &s, err));
    must(dz_store_put_bytes(s, DZ_S("kept"), NULL, err));

    /* A restart that nobody saw costs nothing but a new connection. */
    proxy_set(&x, PROXY_IS_GONE);
    proxy_set(&x, PROXY_PASSES);
    must(one_get(s, err));
    proxy_set(&x, PROXY_IS_GONE);
    proxy_set(&x, PROXY_PASSES);
    must(dz_store_put_bytes(s, DZ_S("more"), NULL, err));

    proxy_set(&x, PROXY_IS_GONE);
    struct dz_err why = {0};
    assert_int_equal(one_get(s, &why), DZ_UNAVAILABLE);
    /* From here on nobody asks the network: a thousand calls are made in less time than one wait.
     */
    int64_t from_ns = dz_mono_ns();
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(one_get(s, &why), DZ_UNAVAILABLE);
    assert_true(dz_mono_ns() - from_ns < 500 * 1000000LL);
    assert_non_null(strstr(why.text, "down"));
    proxy_set(&x, PROXY_PASSES);
    until_it_answers(s);

    /* Silent is down as well, after one wait. */
    proxy_set(&x, PROXY_IS_SILENT);
    assert_int_equal(one_get(s, &why), DZ_UNAVAILABLE);
    from_ns = dz_mono_ns();
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(one_get(s, &why), DZ_UNAVAILABLE);
    assert_true(dz_mono_ns() - from_ns < 500 * 1000000LL);
    proxy_set(&x, PROXY_PASSES);
    until_it_answers(s);
    dz_store_close(&s);
    proxy_stop(&x);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_documents_are_those_of_imoog), CASE(test_rows_of_imoog_are_read),
        CASE(test_documents_are_not_trusted),    CASE(test_a_bomb_is_stopped),
        CASE(test_the_index_is_not_trusted),     CASE(test_rows_over_a_document),
        CASE(test_sweep_takes_what_a_kill_left), CASE(test_a_list_holds_no_connection),
        CASE(test_words_without_password),       CASE(test_a_server_that_is_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
