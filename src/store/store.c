/*
 * store: the one door to the drivers.
 *
 * Every public call comes through here, is checked, counted, and goes on to the driver's table.
 * Limits (size of a blob, blobs of a batch) and the check of digests live here, so that no driver
 * can forget them. A put's reader is wrapped in a meter that counts bytes and stops at
 * DZ_STORE_BLOB_MAX. Any thread; the only shared state are atomic counters.
 */
#include "store/store_int.h"

#include "conf/conf.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define VERIFY_PIECE ((size_t)(256 * DZ_KIB))

struct dz_store {
    const struct dz_store_driver *driver;
    void *self;
    struct dz_store_stats stats;
};

struct dz_store_batch {
    struct dz_store *s;
    void *self; /* NULL: the driver has no batches */
    uint32_t count, named;
};

static const struct dz_store_driver *const drivers[] = {
    &dz_store_files,
    &dz_store_memory,
    &dz_store_postgres,
    &dz_store_mongodb,
};

const struct dz_store_driver *dz_store_driver_find(dz_str name, struct dz_err *err)
{
    for (size_t i = 0; i < DZ_LEN(drivers); i++)
        if (dz_str_eq(name, dz_str_of(drivers[i]->name)))
            return drivers[i];

    struct dz_buf known;
    dz_buf_init(&known, 256);
    for (size_t i = 0; i < DZ_LEN(drivers); i++) {
        if (i > 0)
            dz_buf_put(&known, DZ_S(", "));
        dz_buf_put(&known, dz_str_of(drivers[i]->name));
    }
    dz_str shown = dz_str_sub(name, 0, 40);
    (void)dz_fail(err, DZ_BAD_INPUT, "no store driver \"%.*s\"; this program has: %s",
                  DZ_STR_FMT(shown), dz_buf_cstr(&known));
    dz_buf_done(&known);
    return NULL;
}

enum dz_code dz_store_open(const char *driver, const char *data_dir, const char *uri,
                           struct dz_store **ret_s, struct dz_err *err)
{
    const struct dz_store_driver *d = dz_store_driver_find(dz_str_of(driver), err);
    if (!d)
        return DZ_BAD_INPUT;
    return dz_store_open_with(d, data_dir, uri, ret_s, err);
}

enum dz_code dz_store_open_with(const struct dz_store_driver *driver, const char *data_dir,
                                const char *uri, struct dz_store **ret_s, struct dz_err *err)
{
    struct dz_store_options o = {.data_dir = data_dir, .uri = uri, .level = DZ_STORE_LEVEL_AUTO};
    return dz_store_open_options(driver, &o, ret_s, err);
}

enum dz_code dz_store_open_conf(const struct dz_conf *conf, struct dz_store **ret_s,
                                struct dz_err *err)
{
    const struct dz_store_driver *d =
        dz_store_driver_find(dz_str_of(dz_conf_driver_name(conf->store.driver)), err);
    if (!d)
        return DZ_BAD_INPUT;
    struct dz_store_options o = {
        .data_dir = conf->data_dir,
        .uri = conf->store.uri,
        .table = conf->store.table,
        .database = conf->store.database,
        .collection = conf->store.collection,
        .pool_min = conf->store.pool_min,
        .pool_max = conf->store.pool_max,
        .level = conf->store.compression_level,
        .for_writing = true,
    };
    return dz_store_open_options(d, &o, ret_s, err);
}

enum dz_code dz_store_open_options(const struct dz_store_driver *driver,
                                   const struct dz_store_options *o, struct dz_store **ret_s,
                                   struct dz_err *err)
{
    void *self = NULL;
    struct dz_store_options full = *o;
    const char **texts[] = {&full.data_dir, &full.uri, &full.table, &full.database,
                            &full.collection};
    for (size_t i = 0; i < DZ_LEN(texts); i++)
        if (!*texts[i])
            *texts[i] = "";
    enum dz_code code = driver->open(&full, &self, err);
    if (code != DZ_OK)
        return dz_wrap(err, code, "store (%s)", driver->name);
    struct dz_store *s = dz_new(struct dz_store);
    s->driver = driver;
    s->self = self;
    *ret_s = s;
    return DZ_OK;
}

void dz_store_close(struct dz_store **s)
{
    if (!*s)
        return;
    (*s)->driver->close((*s)->self);
    dz_freep(s);
}

const char *dz_store_name(const struct dz_store *s)
{
    return s->driver->name;
}

struct dz_store_stats *dz_store_stats(struct dz_store *s)
{
    return &s->stats;
}

static void bump(atomic_uint_fast64_t *n, uint64_t by)
{
    atomic_fetch_add_explicit(n, by, memory_order_relaxed);
}

/* Counts a failure and passes it on. */
static enum dz_code counted(struct dz_store *s, enum dz_code code)
{
    if (code == DZ_NOT_FOUND)
        bump(&s->stats.misses, 1);
    else if (code == DZ_CORRUPT)
        bump(&s->stats.corrupt, 1);
    else if (code != DZ_OK && code != DZ_UNSUPPORTED)
        bump(&s->stats.errors, 1);
    return code;
}

/* ---- put ------------------------------------------------------------------------------------- */

struct meter {
    dz_store_read_fn *read;
    void *arg;
    uint64_t bytes;
};

static enum dz_code meter_read(void *arg, dz_str *ret_piece, struct dz_err *err)
{
    struct meter *m = arg;
    dz_str piece = {NULL, 0};
    DZ_TRY(m->read(m->arg, &piece, err));
    if (piece.n > DZ_STORE_BLOB_MAX - m->bytes)
        return dz_fail(err, DZ_TOO_LARGE, "larger than %llu bytes, the limit of one blob",
                       (unsigned long long)DZ_STORE_BLOB_MAX);
    m->bytes += piece.n;
    *ret_piece = piece;
    return DZ_OK;
}

/* One slice as a reader: all of it, then the end. */
static enum dz_code slice_read(void *arg, dz_str *ret_piece, struct dz_err *err)
{
    (void)err;
    dz_str *left = arg;
    *ret_piece = *left;
    *left = (dz_str){NULL, 0};
    return DZ_OK;
}

/* Into a batch of the driver when there is one, else a put of its own. */
static enum dz_code put(struct dz_store *s, struct dz_store_batch *b,
                        const struct dz_blob_stat *known, dz_store_read_fn *read, void *arg,
                        struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    if (b && b->count >= DZ_STORE_BATCH_MAX)
        return counted(
            s, dz_fail(err, DZ_TOO_LARGE, "more than %d blobs in one batch", DZ_STORE_BATCH_MAX));
    struct meter m = {read, arg, 0};
    struct dz_blob_stat stat = {0};
    enum dz_code code = b && b->self
                            ? s->driver->batch_put(b->self, known, meter_read, &m, &stat, err)
                            : s->driver->put(s->self, known, meter_read, &m, &stat, err);
    if (code != DZ_OK)
        return counted(s, code);
    if (b)
        b->count++;
    bump(&s->stats.puts, 1);
    bump(&s->stats.put_bytes, stat.bytes);
    if (ret_stat)
        *ret_stat = stat;
    return DZ_OK;
}

static enum dz_code put_bytes(struct dz_store *s, struct dz_store_batch *b, dz_str bytes,
                              struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    if (bytes.n > DZ_STORE_BLOB_MAX)
        return counted(s, dz_fail(err, DZ_TOO_LARGE,
                                  "%zu bytes are more than %llu, the limit of "
                                  "one blob",
                                  bytes.n, (unsigned long long)DZ_STORE_BLOB_MAX));
    struct dz_blob_stat known = {.sha = dz_sha256_of(bytes), .bytes = bytes.n};
    return put(s, b, &known, slice_read, &bytes, ret_stat, err);
}

enum dz_code dz_store_put(struct dz_store *s, dz_store_read_fn *read, void *arg,
                          struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    return put(s, NULL, NULL, read, arg, ret_stat, err);
}

enum dz_code dz_store_put_bytes(struct dz_store *s, dz_str bytes, struct dz_blob_stat *ret_stat,
                                struct dz_err *err)
{
    return put_bytes(s, NULL, bytes, ret_stat, err);
}

/* ---- batches --------------------------------------------------------------------------------- */

enum dz_code dz_store_batch_begin(struct dz_store *s, struct dz_store_batch **ret_b,
                                  struct dz_err *err)
{
    void *self = NULL;
    if (s->driver->batch_begin) {
        enum dz_code code = s->driver->batch_begin(s->self, &self, err);
        if (code != DZ_OK)
            return counted(s, code);
    }
    struct dz_store_batch *b = dz_new(struct dz_store_batch);
    b->s = s;
    b->self = self;
    *ret_b = b;
    return DZ_OK;
}

enum dz_code dz_store_batch_put(struct dz_store_batch *b, dz_store_read_fn *read, void *arg,
                                struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    return put(b->s, b, NULL, read, arg, ret_stat, err);
}

enum dz_code dz_store_batch_put_bytes(struct dz_store_batch *b, dz_str bytes,
                                      struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    return put_bytes(b->s, b, bytes, ret_stat, err);
}

/* ---- bytes that come one after the other ----------------------------------------------------- */

struct dz_store_write {
    struct dz_store *s;
    void *self; /* NULL: gathered here */
    struct dz_buf gathered;
    uint64_t bytes;
};

enum dz_code dz_store_write_begin(struct dz_store *s, struct dz_store_write **ret_w,
                                  struct dz_err *err)
{
    void *self = NULL;
    if (s->driver->write_begin) {
        enum dz_code code = s->driver->write_begin(s->self, &self, err);
        if (code != DZ_OK)
            return counted(s, code);
    }
    struct dz_store_write *w = dz_new(struct dz_store_write);
    w->s = s;
    w->self = self;
    dz_buf_init(&w->gathered, DZ_STORE_BLOB_MAX);
    *ret_w = w;
    return DZ_OK;
}

void dz_store_write_declare(struct dz_store_write *w, dz_str mime)
{
    if (w->self && w->s->driver->write_declare)
        w->s->driver->write_declare(w->self, mime);
}

enum dz_code dz_store_write_add(struct dz_store_write *w, dz_str bytes, struct dz_err *err)
{
    if (bytes.n > DZ_STORE_BLOB_MAX - w->bytes)
        return counted(w->s, dz_fail(err, DZ_TOO_LARGE, "a blob has at most %llu bytes",
                                     (unsigned long long)DZ_STORE_BLOB_MAX));
    w->bytes += bytes.n;
    if (w->self)
        return counted(w->s, w->s->driver->write_add(w->self, bytes, err));
    dz_buf_put(&w->gathered, bytes);
    return DZ_OK;
}

uint64_t dz_store_write_bytes(const struct dz_store_write *w)
{
    return w->bytes;
}

void dz_store_write_drop(struct dz_store_write **pw)
{
    struct dz_store_write *w = dz_take(pw);
    if (!w)
        return;
    if (w->self)
        w->s->driver->write_drop(w->self);
    dz_buf_done(&w->gathered);
    dz_freep(&w);
}

enum dz_code dz_store_batch_take(struct dz_store_batch *b, struct dz_store_write **take_w,
                                 struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    DZ_AUTO(dz_store_write_drop) struct dz_store_write *w = dz_take(take_w);
    if (!w->self)
        return put_bytes(b->s, b, dz_buf_str(&w->gathered), ret_stat, err);
    if (b->count == DZ_STORE_BATCH_MAX)
        return counted(b->s, dz_fail(err, DZ_TOO_LARGE, "more than %d blobs in one batch",
                                     DZ_STORE_BATCH_MAX));
    enum dz_code code = b->s->driver->batch_take(b->self, dz_take(&w->self), ret_stat, err);
    if (code != DZ_OK)
        return counted(b->s, code);
    b->count++;
    bump(&b->s->stats.puts, 1);
    bump(&b->s->stats.put_bytes, ret_stat->bytes);
    return DZ_OK;
}

enum dz_code dz_store_batch_commit(struct dz_store_batch *b, struct dz_err *err)
{
    b->count = b->named = 0;
    return b->self ? counted(b->s, b->s->driver->batch_commit(b->self, err)) : DZ_OK;
}

void dz_store_batch_free(struct dz_store_batch **b)
{
    if (!*b)
        return;
    if ((*b)->self)
        (*b)->s->driver->batch_drop((*b)->self);
    dz_freep(b);
}

/* ---- reading --------------------------------------------------------------------------------- */

static enum dz_code compare(const struct dz_sha256 *want, const struct dz_sha256 *got,
                            uint64_t bytes, struct dz_err *err)
{
    if (memcmp(want->b, got->b, sizeof want->b) == 0)
        return DZ_OK;
    char hex[65] = {0};
    dz_hex(want->b, sizeof want->b, hex);
    return dz_fail(err, DZ_CORRUPT, "blob %s: its %llu bytes do not match this digest", hex,
                   (unsigned long long)bytes);
}

enum dz_code dz_store_get(struct dz_store *s, const struct dz_sha256 *sha, uint64_t bytes_max,
                          struct dz_body **ret_body, struct dz_err *err)
{
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    enum dz_code code = s->driver->get(s->self, sha, bytes_max, &body, err);
    if (code != DZ_OK)
        return counted(s, code);
    if (!s->driver->digest_trusted) {
        struct dz_sha256 got = dz_sha256_of((dz_str){body->p, body->n});
        code = compare(sha, &got, body->n, err);
        if (code != DZ_OK)
            return counted(s, code);
    }
    bump(&s->stats.reads, 1);
    bump(&s->stats.read_bytes, body->n);
    *ret_body = dz_take(&body);
    return DZ_OK;
}

/* What a database takes as text. */
static bool is_text(dz_str s, size_t bytes_max)
{
    return s.n <= bytes_max && dz_str_chr(s, '\0') == DZ_NPOS && dz_str_is_utf8(s);
}

static bool may_be_name(dz_str name)
{
    return is_text(name, DZ_STORE_NAME_BYTES_MAX) && !store_is_digest(name);
}

static enum dz_code read_named(struct dz_store *s, const struct dz_sha256 *sha, dz_str name,
                               uint64_t bytes_max, struct dz_body **ret_body, struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(64 * DZ_KIB);
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    struct dz_store_named row;
    DZ_TRY(dz_store_named_get(s, name, bytes_max, a, &row, &body, err));
    if (memcmp(row.stat.sha.b, sha->b, sizeof(sha->b)) != 0)
        return counted(s, dz_fail(err, DZ_NOT_FOUND, "the row holds something else by now"));
    *ret_body = dz_take(&body);
    return DZ_OK;
}

/* Counts what passes. */
struct passing {
    dz_store_piece_fn *fn;
    void *arg;
    uint64_t bytes;
};

static enum dz_code pass(void *arg, dz_str piece, struct dz_err *err)
{
    struct passing *p = arg;
    p->bytes += piece.n;
    return p->fn(p->arg, piece, err);
}

enum dz_code dz_store_read(struct dz_store *s, const struct dz_sha256 *sha, dz_str name,
                           uint64_t bytes_max, dz_store_piece_fn *fn, void *arg, struct dz_err *err)
{
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    if (!s->driver->read) {
        DZ_TRY(name.n > 0 ? read_named(s, sha, name, bytes_max, &body, err)
                          : dz_store_get(s, sha, bytes_max, &body, err));
        return fn(arg, (dz_str){body->p, body->n}, err);
    }
    if (name.n > 0 && !may_be_name(name))
        return counted(s, dz_fail(err, DZ_NOT_FOUND, "no object can have this name"));
    struct passing p = {fn, arg, 0};
    enum dz_code code = s->driver->read(s->self, sha, name, bytes_max, pass, &p, err);
    if (code != DZ_OK)
        return counted(s, code);
    bump(&s->stats.reads, 1);
    bump(&s->stats.read_bytes, p.bytes);
    return DZ_OK;
}

enum dz_code dz_store_stat(struct dz_store *s, const struct dz_sha256 *sha,
                           struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    return counted(s, s->driver->stat(s->self, sha, ret_stat, err));
}

static enum dz_code hash_fd(int fd, struct dz_sha256 *ret_sha, uint64_t *ret_bytes,
                            struct dz_err *err)
{
    DZ_AUTO(dz_sha256_free) struct dz_sha256_ctx *hash = dz_sha256_new();
    DZ_AUTO(dz_freep) char *piece = dz_alloc(VERIFY_PIECE);
    uint64_t bytes = 0;
    for (;;) {
        ssize_t n = dz_fault("read") ? (errno = EIO, -1) : read(fd, piece, VERIFY_PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dz_fail_errno(err, DZ_IO, errno, "reading a blob at byte %llu",
                                 (unsigned long long)bytes);
        if (n == 0)
            break;
        dz_sha256_add(hash, (dz_str){piece, (size_t)n});
        bytes += (uint64_t)n;
    }
    *ret_sha = dz_sha256_end(hash);
    *ret_bytes = bytes;
    return DZ_OK;
}

enum dz_code dz_store_verify(struct dz_store *s, const struct dz_sha256 *sha, struct dz_err *err)
{
    DZ_AUTO(dz_closep) int fd = -1;
    uint64_t bytes = 0;
    enum dz_code code = dz_store_open_file(s, sha, &fd, &bytes, err);
    if (code == DZ_UNSUPPORTED) {
        DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
        DZ_TRY(dz_store_get(s, sha, DZ_STORE_BLOB_MAX, &body, err));
        struct dz_sha256 got = dz_sha256_of((dz_str){body->p, body->n});
        return counted(s, compare(sha, &got, body->n, err));
    }
    if (code != DZ_OK)
        return code;
    struct dz_sha256 got;
    code = hash_fd(fd, &got, &bytes, err);
    if (code == DZ_OK)
        code = compare(sha, &got, bytes, err);
    return counted(s, code);
}

enum dz_code dz_store_open_file(struct dz_store *s, const struct dz_sha256 *sha, int *ret_fd,
                                uint64_t *ret_bytes, struct dz_err *err)
{
    if (!s->driver->open_file)
        return dz_fail(err, DZ_UNSUPPORTED, "the %s store has no files", s->driver->name);
    return counted(s, s->driver->open_file(s->self, sha, ret_fd, ret_bytes, err));
}

/* ---- named objects --------------------------------------------------------------------------- */

bool store_is_digest(dz_str name)
{
    if (name.n != 64)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (!((name.p[i] >= '0' && name.p[i] <= '9') || (name.p[i] >= 'a' && name.p[i] <= 'f')))
            return false;
    return true;
}

bool dz_store_has_names(const struct dz_store *s)
{
    return s->driver->batch_take_named != NULL;
}

static enum dz_code no_names(const struct dz_store *s, struct dz_err *err)
{
    return dz_fail(err, DZ_UNSUPPORTED, "the %s store has no named objects", s->driver->name);
}

static enum dz_code check_named(const struct dz_store_batch *b, dz_str name, dz_str mime,
                                struct dz_err *err)
{
    if (!dz_store_has_names(b->s))
        return no_names(b->s, err);
    if (name.n == 0 || !may_be_name(name))
        return dz_fail(err, DZ_BAD_INPUT,
                       "the name of an object is 1 to %d bytes of UTF-8, and not a digest",
                       DZ_STORE_NAME_BYTES_MAX);
    if (mime.p && !is_text(mime, DZ_STORE_MIME_BYTES_MAX))
        return dz_fail(err, DZ_BAD_INPUT, "the type of an object is at most %d bytes of UTF-8",
                       DZ_STORE_MIME_BYTES_MAX);
    if (b->count >= DZ_STORE_BATCH_MAX || b->named >= DZ_STORE_BATCH_NAMED_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "more than %d named objects in one batch",
                       DZ_STORE_BATCH_NAMED_MAX);
    return DZ_OK;
}

enum dz_code dz_store_batch_expect(struct dz_store_batch *b, const dz_str *names, size_t n,
                                   struct dz_err *err)
{
    if (!dz_store_has_names(b->s))
        return no_names(b->s, err);
    if (!b->s->driver->batch_expect)
        return DZ_OK;
    for (size_t i = 0; i < n; i++) /* one of those is told when it is taken */
        if (names[i].n == 0 || !may_be_name(names[i]))
            return DZ_OK;
    return counted(b->s, b->s->driver->batch_expect(b->self, names, n, err));
}

enum dz_code dz_store_batch_take_named(struct dz_store_batch *b, struct dz_store_write **pw,
                                       dz_str name, dz_str mime, struct dz_blob_stat *ret_stat,
                                       bool *ret_new, struct dz_err *err)
{
    DZ_AUTO(dz_store_write_drop) struct dz_store_write *w = dz_take(pw);
    enum dz_code code = check_named(b, name, mime, err);
    if (code != DZ_OK)
        return counted(b->s, code);
    struct dz_blob_stat stat = {0};
    bool is_new = false;
    void *self = dz_take(&w->self);
    code = b->s->driver->batch_take_named(b->self, self, name, mime, &stat, &is_new, err);
    if (code != DZ_OK)
        return counted(b->s, code);
    *ret_new = is_new;
    if (!is_new) {
        w->self = self;
        *pw = dz_take(&w);
        return DZ_OK;
    }
    b->count++;
    b->named++;
    bump(&b->s->stats.puts, 1);
    bump(&b->s->stats.put_bytes, stat.bytes);
    if (ret_stat)
        *ret_stat = stat;
    return DZ_OK;
}

enum dz_code dz_store_named_get(struct dz_store *s, dz_str name, uint64_t bytes_max,
                                struct dz_arena *arena, struct dz_store_named *ret_named,
                                struct dz_body **ret_body, struct dz_err *err)
{
    if (!dz_store_has_names(s))
        return no_names(s, err);
    if (!may_be_name(name))
        return counted(s, dz_fail(err, DZ_NOT_FOUND, "no object can have this name"));
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    enum dz_code code = s->driver->named_get(s->self, name, bytes_max, arena, ret_named,
                                             ret_body ? &body : NULL, err);
    if (code != DZ_OK)
        return counted(s, code);
    if (ret_body) {
        bump(&s->stats.reads, 1);
        bump(&s->stats.read_bytes, body->n);
        *ret_body = dz_take(&body);
    }
    return DZ_OK;
}

enum dz_code dz_store_named_del(struct dz_store *s, dz_str name, bool *ret_was, struct dz_err *err)
{
    if (!dz_store_has_names(s))
        return no_names(s, err);
    bool was = false;
    if (may_be_name(name)) {
        enum dz_code code = s->driver->named_del(s->self, name, &was, err);
        if (code != DZ_OK)
            return counted(s, code);
    }
    if (ret_was)
        *ret_was = was;
    return DZ_OK;
}

enum dz_code dz_store_named_list(struct dz_store *s, dz_store_named_fn *fn, void *arg,
                                 struct dz_err *err)
{
    if (!dz_store_has_names(s))
        return no_names(s, err);
    return s->driver->named_list(s->self, fn, arg, err);
}

/* ---- the rest -------------------------------------------------------------------------------- */

enum dz_code dz_store_del(struct dz_store *s, const struct dz_sha256 *sha, struct dz_err *err)
{
    return counted(s, s->driver->del(s->self, sha, err));
}

enum dz_code dz_store_set_aside(struct dz_store *s, const struct dz_sha256 *sha, const char *folder,
                                struct dz_err *err)
{
    if (!s->driver->set_aside)
        return dz_fail(err, DZ_UNSUPPORTED, "the %s store has no files", s->driver->name);
    return counted(s, s->driver->set_aside(s->self, sha, folder, err));
}

enum dz_code dz_store_list(struct dz_store *s, dz_store_list_fn *fn, void *arg, struct dz_err *err)
{
    return s->driver->list(s->self, fn, arg, err);
}

enum dz_code dz_store_sweep(struct dz_store *s, int64_t older_than_s, uint64_t *ret_removed,
                            struct dz_err *err)
{
    uint64_t removed = 0;
    if (s->driver->sweep)
        DZ_TRY(counted(s, s->driver->sweep(s->self, older_than_s, &removed, err)));
    if (ret_removed)
        *ret_removed = removed;
    return DZ_OK;
}
