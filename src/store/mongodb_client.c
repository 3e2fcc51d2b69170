/*
 * mongodb_client: the connections to MongoDB (or what speaks its protocol), single calls on them,
 * and what a failure of one means.
 *
 * In: a URI and calls from any thread. The pool is libmongoc's; its own threads ask each server
 * how it is and, through the callbacks here, say whether one takes writes. While none does, every
 * call fails at once; nobody but those threads waits for a server that is down, and when one
 * answers again calls go through. What a call may wait for is bounded: a free connection, a server,
 * an answer. A call whose connection broke is made a second time on a new one, for a connection
 * that nobody used does not notice the restart of its server; the calls are such that twice is as
 * good as once.
 *
 * The library's log is switched off but for URIs: its texts come back in errors. It prepares itself
 * when it is loaded, and tidies up by itself at the end of the process.
 */
#include "store/mongodb_int.h"

#include <stdlib.h>

#define SELECT_MS 2000
#define CONNECT_MS 2000
#define ANSWER_MS 10000
#define ACQUIRE_MS 5000
#define CONCERN_MS 5000
#define WAIT_MS_MAX 600000
#define HEARTBEAT_MS 1000
#define POOL_MAX_DEFAULT 10
#define POOL_MAX_MOST 1000

/* ---- whether there is a server ---------------------------------------------------------------
 */

static void remember(struct mongo *m, const char *why)
{
    pthread_mutex_lock(&m->lock);
    (void)snprintf(m->why, sizeof m->why, "%.159s", why);
    pthread_mutex_unlock(&m->lock);
}

static void on_topology(const mongoc_apm_topology_changed_t *e)
{
    struct mongo *m = mongoc_apm_topology_changed_get_context(e);
    atomic_store(&m->has_server, mongoc_topology_description_has_writable_server(
                                     mongoc_apm_topology_changed_get_new_description(e)));
}

static void on_heartbeat(const mongoc_apm_server_heartbeat_succeeded_t *e)
{
    struct mongo *m = mongoc_apm_server_heartbeat_succeeded_get_context(e);
    atomic_store(&m->stalled, false);
}

static void on_silence(const mongoc_apm_server_heartbeat_failed_t *e)
{
    struct mongo *m = mongoc_apm_server_heartbeat_failed_get_context(e);
    bson_error_t why;
    mongoc_apm_server_heartbeat_failed_get_error(e, &why);
    remember(m, why.message);
}

/* ---- opening ---------------------------------------------------------------------------------
 */

/* What the library complains of in a URI it only logs, from the thread that reads it. */
static _Thread_local bool complained;
static _Thread_local char complaint[160];

static void on_log(mongoc_log_level_t level, const char *domain, const char *text, void *arg)
{
    (void)domain, (void)arg;
    if (level > MONGOC_LOG_LEVEL_WARNING)
        return;
    complained = true;
    (void)snprintf(complaint, sizeof complaint, "%.159s", text);
}

/* An @ that was not percent-encoded makes a host of the password's end, which messages would show.
 */
static bool has_two_ats(const char *text)
{
    dz_str s = dz_str_of(text);
    size_t scheme = dz_str_find(s, DZ_S("://"));
    s = scheme == DZ_NPOS ? s : dz_str_sub(s, scheme + 3, s.n);
    s = dz_str_sub(s, 0, dz_str_chr(s, '/'));
    return dz_str_chr(s, '@') != dz_str_rchr(s, '@');
}

static enum dz_code parse_uri(const char *text, mongoc_uri_t **ret_uri, struct dz_err *err)
{
    bson_error_t why = {.message = ""};
    complained = false;
    mongoc_uri_t *uri = mongoc_uri_new_with_error(text, &why);
    if (uri && !complained && !has_two_ats(text)) {
        *ret_uri = uri;
        return DZ_OK;
    }
    const char *reason = complained ? complaint : why.message;
    /* A reason could quote a password that was not percent-encoded. */
    if (strchr(text, '@'))
        reason = "a reserved character is not percent-encoded, or an option is not known";
    mongoc_uri_destroy(uri);
    return dz_fail(err, DZ_BAD_INPUT,
                   "the URI is not mongodb://[USER:PASSWORD@]HOST[:PORT][,HOST…]/[?OPTION=…]: %s",
                   reason);
}

/* A wait that is not in the URI, or has no end there, gets one. */
static int64_t bound(mongoc_uri_t *uri, const char *option, int32_t ms)
{
    int32_t said = mongoc_uri_get_option_as_int32(uri, option, 0);
    if (said <= 0 || said > WAIT_MS_MAX)
        mongoc_uri_set_option_as_int32(uri, option, said = said <= 0 ? ms : WAIT_MS_MAX);
    return said;
}

static void set_options(struct mongo *m, mongoc_uri_t *uri, const struct dz_store_options *o)
{
    bound(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, SELECT_MS);
    bound(uri, MONGOC_URI_CONNECTTIMEOUTMS, CONNECT_MS);
    bound(uri, MONGOC_URI_HEARTBEATFREQUENCYMS, HEARTBEAT_MS);
    m->answer_ms = bound(uri, MONGOC_URI_SOCKETTIMEOUTMS, ANSWER_MS);
    m->acquire_ms = bound(uri, MONGOC_URI_WAITQUEUETIMEOUTMS, ACQUIRE_MS);
    m->pool_max = o->pool_max ? o->pool_max : POOL_MAX_DEFAULT;
    if (m->pool_max < o->pool_min)
        m->pool_max = o->pool_min;
    if (m->pool_max > POOL_MAX_MOST)
        m->pool_max = POOL_MAX_MOST;
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_MAXPOOLSIZE, (int32_t)m->pool_max);
    /* Reads are made again here, with writes. */
    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYREADS, false);
    if (!mongoc_uri_get_appname(uri))
        mongoc_uri_set_appname(uri, "dozo");

    m->concern = mongoc_write_concern_new();
    mongoc_write_concern_set_wmajority(m->concern, CONCERN_MS);
    mongoc_write_concern_set_journal(m->concern, true);
    m->primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
}

static bool is_name(dz_str s, size_t bytes_max, bool dots)
{
    if (s.n == 0 || s.n > bytes_max || s.p[0] == '.' || s.p[s.n - 1] == '.')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || c == '-' || (c == '.' && dots);
        if (!good)
            return false;
    }
    return !dz_str_starts(s, DZ_S("system."));
}

static enum dz_code set_names(struct mongo *m, const struct dz_store_options *o,
                              const mongoc_uri_t *uri, struct dz_err *err)
{
    static const char *const tails[] = {"", "_dozo", "_dozo_part"};
    dz_str database = dz_str_of(o->database && *o->database ? o->database : "imoog");
    dz_str collection = dz_str_of(o->collection && *o->collection ? o->collection : "images");
    if (!is_name(database, 63, false))
        return dz_fail(err, DZ_BAD_INPUT,
                       "the name of a database is 1 to 63 letters, digits, _ or -");
    if (!is_name(collection, 100, true))
        return dz_fail(err, DZ_BAD_INPUT,
                       "the name of a collection is 1 to 100 letters, digits, _, - or dots inside, "
                       "and not system.…");
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, 4096);
    m->database = dz_str_dup(database);
    for (size_t i = 0; i < MONGO_COLLECTIONS; i++) {
        dz_buf_putf(&text, "%.*s%s", DZ_STR_FMT(collection), tails[i]);
        m->names[i] = dz_buf_take(&text, NULL);
    }
    dz_buf_init(&text, 300);
    dz_buf_putf(&text, "%s at ", m->database);
    for (const mongoc_host_list_t *h = mongoc_uri_get_hosts(uri); h; h = h->next) {
        dz_buf_put(&text, dz_str_of(h->host_and_port));
        if (h->next)
            dz_buf_putc(&text, ',');
    }
    m->place = dz_buf_take(&text, NULL);
    return DZ_OK;
}

static enum dz_code command(struct mongo_use *u, const char *database, const bson_t *c,
                            struct dz_err *err, const char *doing)
{
    bson_error_t why;
    if (!mongoc_client_command_simple(u->client, database, c, u->m->primary, NULL, &why))
        return mongo_fail(u->m, &why, err, doing);
    return DZ_OK;
}

static enum dz_code take(struct mongo *m, struct mongo_use *u, struct dz_err *err);

/* The connections that are to be there from the start, and the index by which bytes are found. */
static enum dz_code first_calls(struct mongo *m, uint32_t pool_min, struct dz_err *err)
{
    DZ_AUTO(dz_freep)
    struct mongo_use *uses = dz_zalloc((pool_min ? pool_min : 1) * sizeof *uses);
    enum dz_code code = DZ_OK;
    uint32_t n = 0;
    bson_t *ping = BCON_NEW("ping", BCON_INT32(1));
    do {
        code = take(m, &uses[n], err);
        if (code == DZ_OK)
            code = command(&uses[n], "admin", ping, err, "connecting");
    } while (++n < pool_min && code == DZ_OK);
    bson_destroy(ping);
    if (code == DZ_OK) {
        bson_t *index =
            BCON_NEW("createIndexes", BCON_UTF8(m->names[MONGO_INDEX]), "indexes", "[", "{", "key",
                     "{", "sha", BCON_INT32(1), "}", "name", BCON_UTF8("sha_1"), "}", "]");
        code = command(&uses[0], m->database, index, err, "making an index");
        bson_destroy(index);
    }
    while (n > 0)
        mongo_give(&uses[--n]);
    return code;
}

enum dz_code mongo_connect(struct mongo *m, const struct dz_store_options *o, struct dz_err *err)
{
    DZ_TRY(mongodb_lib_load(err));
    mongoc_log_set_handler(on_log, NULL);
    pthread_mutex_init(&m->lock, NULL);
    m->level = o->level;
    m->spool_dir = dz_strdup(o->data_dir ? o->data_dir : "");
    mongoc_uri_t *uri = NULL;
    DZ_TRY(parse_uri(o->uri, &uri, err));
    enum dz_code code = set_names(m, o, uri, err);
    if (code == DZ_OK) {
        set_options(m, uri, o);
        bson_error_t why;
        m->pool = mongoc_client_pool_new_with_error(uri, &why);
        if (!m->pool)
            code = mongo_fail(m, &why, err, "connecting");
    }
    mongoc_uri_destroy(uri);
    if (code != DZ_OK)
        return code;

    (void)mongoc_client_pool_set_error_api(m->pool, MONGOC_ERROR_API_VERSION_2);
    mongoc_apm_callbacks_t *calls = mongoc_apm_callbacks_new();
    mongoc_apm_set_topology_changed_cb(calls, on_topology);
    mongoc_apm_set_server_heartbeat_succeeded_cb(calls, on_heartbeat);
    mongoc_apm_set_server_heartbeat_failed_cb(calls, on_silence);
    (void)mongoc_client_pool_set_apm_callbacks(m->pool, calls, m);
    mongoc_apm_callbacks_destroy(calls);
    return first_calls(m, o->pool_min < m->pool_max ? o->pool_min : m->pool_max, err);
}

void mongo_disconnect(struct mongo *m)
{
    if (m->pool)
        mongoc_client_pool_destroy(m->pool);
    if (m->concern)
        mongoc_write_concern_destroy(m->concern);
    if (m->primary)
        mongoc_read_prefs_destroy(m->primary);
    pthread_mutex_destroy(&m->lock);
    for (size_t i = 0; i < MONGO_COLLECTIONS; i++)
        free(m->names[i]);
    free(m->database);
    free(m->place);
    free(m->spool_dir);
}

/* ---- taking and giving -----------------------------------------------------------------------
 */

static enum dz_code take(struct mongo *m, struct mongo_use *u, struct dz_err *err)
{
    mongoc_client_t *client = mongoc_client_pool_pop(m->pool);
    if (!client)
        return dz_fail(err, DZ_UNAVAILABLE,
                       "%s: all %u connections were in use for %lld ms (store.pool_max)", m->place,
                       m->pool_max, (long long)m->acquire_ms);
    u->m = m;
    u->client = client;
    for (size_t i = 0; i < MONGO_COLLECTIONS; i++) {
        u->at[i] = mongoc_client_get_collection(client, m->database, m->names[i]);
        mongoc_collection_set_read_prefs(u->at[i], m->primary);
        mongoc_collection_set_write_concern(u->at[i], m->concern);
    }
    return DZ_OK;
}

enum dz_code mongo_take(struct mongo *m, struct mongo_use *u, struct dz_err *err)
{
    if (!atomic_load(&m->has_server) || atomic_load(&m->stalled)) {
        char why[sizeof m->why];
        pthread_mutex_lock(&m->lock);
        memcpy(why, m->why, sizeof why);
        pthread_mutex_unlock(&m->lock);
        return dz_fail(err, DZ_UNAVAILABLE, "%s is down: %s", m->place,
                       why[0] ? why : "no server takes writes");
    }
    return take(m, u, err);
}

void mongo_give(struct mongo_use *u)
{
    if (!u->client)
        return;
    for (size_t i = 0; i < MONGO_COLLECTIONS; i++)
        mongoc_collection_destroy(u->at[i]);
    mongoc_client_pool_push(u->m->pool, dz_take(&u->client));
}

/* ---- failures --------------------------------------------------------------------------------
 */

/* Codes of servers (MongoDB's error_codes.yml). */
static enum dz_code code_of_server(uint32_t native)
{
    switch (native) {
    case 11000: /* duplicate key */
        return DZ_CONFLICT;
    case 14031: /* out of disk space */
        return DZ_FULL;
    case 10334: /* object too large */
        return DZ_TOO_LARGE;
    case 2:   /* bad value */
    case 9:   /* failed to parse */
    case 14:  /* type mismatch */
    case 22:  /* invalid BSON */
    case 73:  /* invalid namespace */
    case 121: /* document failed validation */
        return DZ_IO;
    default: /* not primary, shutting down, out of time, not let in: it may be otherwise later */
        return DZ_UNAVAILABLE;
    }
}

enum dz_code mongo_fail(struct mongo *m, const bson_error_t *why, struct dz_err *err,
                        const char *doing)
{
    enum dz_code code = DZ_UNAVAILABLE;
    if (why->domain == MONGOC_ERROR_SERVER)
        code = code_of_server(why->code);
    else if (why->domain == MONGOC_ERROR_BSON)
        code = DZ_CORRUPT;
    else if (why->domain == MONGOC_ERROR_COMMAND)
        code = DZ_IO;
    code = dz_fail(err, code, "%s: %s: %s", m->place, doing, why->message);
    if (err)
        err->native = (int)why->code;
    return code;
}

/* One call with its second try. */
struct attempt {
    struct mongo *m;
    const char *doing;
    int64_t from_ns;
    bool second;
    bson_error_t why;
};

static struct attempt attempt(struct mongo_use *u, const char *doing)
{
    return (struct attempt){.m = u->m, .doing = doing, .from_ns = dz_mono_ns()};
}

/* The call failed. Whether it is to be made again: once, when the connection broke, but not when
 * there was no answer for a long time. */
static bool again(struct attempt *a)
{
    if (a->why.domain != MONGOC_ERROR_STREAM)
        return false;
    remember(a->m, a->why.message);
    if ((dz_mono_ns() - a->from_ns) / 1000000 >= a->m->answer_ms / 2) {
        atomic_store(&a->m->stalled, true);
        return false;
    }
    bool first = !a->second;
    a->second = true;
    return first;
}

static enum dz_code failed(struct attempt *a, struct dz_err *err)
{
    return mongo_fail(a->m, &a->why, err, a->doing);
}

/* As a broken connection would look. */
static bool by_fault(struct attempt *a)
{
    if (!dz_fault("query"))
        return false;
    bson_set_error(&a->why, MONGOC_ERROR_SERVER_SELECTION, MONGOC_ERROR_SERVER_SELECTION_FAILURE,
                   "this call fails on demand");
    return true;
}

/* ---- calls -----------------------------------------------------------------------------------
 */

bson_t *mongo_key(dz_str name)
{
    bson_t *key = bson_new();
    bson_append_utf8(key, "_id", 3, name.p, (int)name.n);
    return key;
}

void mongo_found_done(struct mongo_found *f)
{
    if (f->cursor)
        mongoc_cursor_destroy(dz_take(&f->cursor));
    f->doc = NULL;
}

/* Steps on; false: it failed. */
static bool step(struct mongo_found *f, bson_error_t *why)
{
    return mongoc_cursor_next(f->cursor, &f->doc) ||
           ((void)(f->doc = NULL), !mongoc_cursor_error(f->cursor, why));
}

enum dz_code mongo_find_many(struct mongo_use *u, enum mongo_collection where, const bson_t *filter,
                             const char *field, bool sorted, int64_t limit,
                             struct mongo_found *ret_found, struct dz_err *err)
{
    bson_t opts = BSON_INITIALIZER, child;
    BSON_APPEND_INT64(&opts, "limit", limit);
    if (field) {
        BSON_APPEND_DOCUMENT_BEGIN(&opts, "projection", &child);
        BSON_APPEND_INT32(&child, field, 1);
        bson_append_document_end(&opts, &child);
    }
    if (sorted) {
        BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &child);
        BSON_APPEND_INT32(&child, "_id", 1);
        bson_append_document_end(&opts, &child);
    }
    struct attempt a = attempt(u, "reading");
    struct mongo_found f = {NULL, NULL};
    bool good = false;
    do {
        mongo_found_done(&f);
        f.cursor = mongoc_collection_find_with_opts(u->at[where], filter, &opts, NULL);
        good = !by_fault(&a) && step(&f, &a.why);
    } while (!good && again(&a));
    bson_destroy(&opts);
    if (!good) {
        mongo_found_done(&f);
        return failed(&a, err);
    }
    *ret_found = f;
    return DZ_OK;
}

enum dz_code mongo_next(struct mongo_use *u, struct mongo_found *f, struct dz_err *err)
{
    struct attempt a = attempt(u, "reading");
    if (!by_fault(&a) && step(f, &a.why))
        return DZ_OK;
    (void)again(&a);
    return failed(&a, err);
}

enum dz_code mongo_find(struct mongo_use *u, enum mongo_collection where, dz_str name,
                        const char *field, struct mongo_found *ret_found, struct dz_err *err)
{
    bson_t *key = mongo_key(name);
    enum dz_code code = mongo_find_many(u, where, key, field, false, 1, ret_found, err);
    bson_destroy(key);
    return code;
}

/* Reads which documents of an insert were refused as taken. False: something else went wrong. */
static bool read_taken(const bson_t *reply, size_t n, bool *taken)
{
    bson_iter_t at, one, field;
    if (bson_iter_init_find(&at, reply, "writeConcernErrors"))
        return false;
    if (!bson_iter_init_find(&at, reply, "writeErrors") || !BSON_ITER_HOLDS_ARRAY(&at) ||
        !bson_iter_recurse(&at, &one))
        return false;
    size_t count = 0;
    for (; bson_iter_next(&one); count++) {
        if (!BSON_ITER_HOLDS_DOCUMENT(&one) || !bson_iter_recurse(&one, &field) ||
            !bson_iter_find(&field, "code") || bson_iter_as_int64(&field) != 11000 ||
            !bson_iter_recurse(&one, &field) || !bson_iter_find(&field, "index"))
            return false;
        int64_t index = bson_iter_as_int64(&field);
        if (index < 0 || (size_t)index >= n)
            return false;
        taken[index] = true;
    }
    return count > 0;
}

enum dz_code mongo_insert(struct mongo_use *u, enum mongo_collection where, const bson_t **docs,
                          size_t n, bool *taken, bool *ret_unsure, struct dz_err *err)
{
    bson_t opts = BSON_INITIALIZER;
    BSON_APPEND_BOOL(&opts, "ordered", false);
    struct attempt a = attempt(u, "writing");
    bool good = false;
    do {
        bson_t reply;
        if (by_fault(&a))
            break;
        memset(taken, 0, n * sizeof *taken);
        good = mongoc_collection_insert_many(u->at[where], docs, n, &opts, &reply, &a.why) ||
               (a.why.domain == MONGOC_ERROR_SERVER && read_taken(&reply, n, taken));
        bson_destroy(&reply);
    } while (!good && again(&a));
    bson_destroy(&opts);
    if (!good)
        return failed(&a, err);
    *ret_unsure = a.second;
    return DZ_OK;
}

enum dz_code mongo_set(struct mongo_use *u, enum mongo_collection where, dz_str name,
                       const bson_t *fields, bool make, struct dz_err *err)
{
    bson_t opts = BSON_INITIALIZER, change = BSON_INITIALIZER;
    BSON_APPEND_BOOL(&opts, "upsert", make);
    BSON_APPEND_DOCUMENT(&change, "$set", fields);
    bson_t *key = mongo_key(name);
    struct attempt a = attempt(u, "writing");
    bool good = false;
    do
        good = !by_fault(&a) &&
               mongoc_collection_update_one(u->at[where], key, &change, &opts, NULL, &a.why);
    while (!good && again(&a));
    bson_destroy(key);
    bson_destroy(&change);
    bson_destroy(&opts);
    return good ? DZ_OK : failed(&a, err);
}

enum dz_code mongo_delete(struct mongo_use *u, enum mongo_collection where, dz_str name,
                          bool *ret_was, struct dz_err *err)
{
    bson_t *key = mongo_key(name);
    struct attempt a = attempt(u, "deleting");
    bool good = false;
    int64_t deleted = 0;
    do {
        bson_t reply;
        if (by_fault(&a))
            break;
        good = mongoc_collection_delete_one(u->at[where], key, NULL, &reply, &a.why);
        bson_iter_t at;
        if (good && bson_iter_init_find(&at, &reply, "deletedCount"))
            deleted = bson_iter_as_int64(&at);
        bson_destroy(&reply);
    } while (!good && again(&a));
    bson_destroy(key);
    if (!good)
        return failed(&a, err);
    /* When an answer was lost, it may have been there. */
    *ret_was = deleted > 0 || a.second;
    return DZ_OK;
}
