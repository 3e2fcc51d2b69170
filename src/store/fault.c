/*
 * fault: a driver that misbehaves on demand, in front of a real one.
 *
 * The uri is "DRIVER?put=3&delay_ms=5&short=100": the third put fails, every call waits 5 ms, and
 * what a put reads comes in pieces of at most 100 bytes. Without a question mark it only passes
 * everything on. What follows a # is the driver's own uri. A call that fails on demand has done
 * nothing: DZ_IO with a text that names it. Calls are counted from open on, over all threads.
 */
#include "store/store_int.h"

#include <stdlib.h>
#include <time.h>

enum op { OP_PUT, OP_GET, OP_STAT, OP_DEL, OP_LIST, OP_COUNT };
static const char *const op_names[OP_COUNT] = {"put", "get", "stat", "del", "list"};

struct fault {
    const struct dz_store_driver *driver;
    void *self;
    uint64_t fail_at[OP_COUNT]; /* 0: never */
    atomic_uint_fast64_t calls[OP_COUNT];
    uint64_t delay_ms, short_bytes;
};

static enum dz_code parse_part(struct fault *f, dz_str part, struct dz_err *err)
{
    size_t eq = dz_str_chr(part, '=');
    dz_str name = eq == DZ_NPOS ? part : dz_str_sub(part, 0, eq);
    uint64_t *field = NULL;
    for (int op = 0; op < OP_COUNT; op++)
        if (dz_str_eq(name, dz_str_of(op_names[op])))
            field = &f->fail_at[op];
    if (dz_str_eq(name, DZ_S("delay_ms")))
        field = &f->delay_ms;
    if (dz_str_eq(name, DZ_S("short")))
        field = &f->short_bytes;
    if (!field || eq == DZ_NPOS)
        return dz_fail(err, DZ_BAD_INPUT,
                       "fault: \"%.*s\" is not put|get|stat|del|list=N, "
                       "delay_ms=N or short=N",
                       DZ_STR_FMT(part));
    return dz_str_u64(dz_str_sub(part, eq + 1, part.n), 1000000, field, err);
}

static enum dz_code fault_open(const struct dz_store_options *o, void **ret_self,
                               struct dz_err *err)
{
    dz_str rest = dz_str_of(o->uri);
    size_t hash = dz_str_chr(rest, '#');
    struct dz_store_options inner = *o;
    inner.uri = hash == DZ_NPOS ? "" : o->uri + hash + 1;
    rest = dz_str_sub(rest, 0, hash);
    size_t mark = dz_str_chr(rest, '?');
    dz_str name = mark == DZ_NPOS ? rest : dz_str_sub(rest, 0, mark);
    rest = mark == DZ_NPOS ? (dz_str){NULL, 0} : dz_str_sub(rest, mark + 1, rest.n);

    DZ_AUTO(dz_freep) struct fault *f = dz_new(struct fault);
    f->driver = dz_store_driver_find(name, err);
    if (!f->driver)
        return DZ_BAD_INPUT;
    while (rest.n > 0) {
        size_t end = dz_str_chr(rest, '&');
        if (end == DZ_NPOS)
            end = rest.n;
        DZ_TRY(parse_part(f, dz_str_sub(rest, 0, end), err));
        rest = dz_str_sub(rest, end + 1, rest.n);
    }
    DZ_TRY(f->driver->open(&inner, &f->self, err));
    *ret_self = dz_take(&f);
    return DZ_OK;
}

static void fault_close(void *self)
{
    struct fault *f = self;
    f->driver->close(f->self);
    free(f);
}

/* The common head of every call. */
static enum dz_code strike(struct fault *f, enum op op, struct dz_err *err)
{
    if (f->delay_ms > 0) {
        struct timespec wait = {(time_t)(f->delay_ms / 1000), (long)(f->delay_ms % 1000) * 1000000};
        nanosleep(&wait, NULL);
    }
    uint64_t nth = atomic_fetch_add(&f->calls[op], 1) + 1;
    if (nth == f->fail_at[op])
        return dz_fail(err, DZ_IO, "fault: %s %llu fails on demand", op_names[op],
                       (unsigned long long)nth);
    return DZ_OK;
}

struct short_reader {
    dz_store_read_fn *read;
    void *arg;
    dz_str left;
    size_t piece_max;
};

static enum dz_code short_read(void *arg, dz_str *ret_piece, struct dz_err *err)
{
    struct short_reader *r = arg;
    if (r->left.n == 0)
        DZ_TRY(r->read(r->arg, &r->left, err));
    *ret_piece = dz_str_sub(r->left, 0, r->piece_max);
    r->left = dz_str_sub(r->left, ret_piece->n, r->left.n);
    return DZ_OK;
}

static enum dz_code fault_put(void *self, const struct dz_blob_stat *known, dz_store_read_fn *read,
                              void *arg, struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    struct fault *f = self;
    DZ_TRY(strike(f, OP_PUT, err));
    if (f->short_bytes == 0)
        return f->driver->put(f->self, known, read, arg, ret_stat, err);
    struct short_reader r = {.read = read, .arg = arg, .piece_max = f->short_bytes};
    return f->driver->put(f->self, known, short_read, &r, ret_stat, err);
}

static enum dz_code fault_get(void *self, const struct dz_sha256 *sha, uint64_t bytes_max,
                              struct dz_body **ret_body, struct dz_err *err)
{
    struct fault *f = self;
    DZ_TRY(strike(f, OP_GET, err));
    return f->driver->get(f->self, sha, bytes_max, ret_body, err);
}

static enum dz_code fault_stat(void *self, const struct dz_sha256 *sha,
                               struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    struct fault *f = self;
    DZ_TRY(strike(f, OP_STAT, err));
    return f->driver->stat(f->self, sha, ret_stat, err);
}

static enum dz_code fault_del(void *self, const struct dz_sha256 *sha, struct dz_err *err)
{
    struct fault *f = self;
    DZ_TRY(strike(f, OP_DEL, err));
    return f->driver->del(f->self, sha, err);
}

static enum dz_code fault_list(void *self, dz_store_list_fn *fn, void *arg, struct dz_err *err)
{
    struct fault *f = self;
    DZ_TRY(strike(f, OP_LIST, err));
    return f->driver->list(f->self, fn, arg, err);
}

/* Opening a file counts as a get, which it stands for. */
static enum dz_code fault_open_file(void *self, const struct dz_sha256 *sha, int *ret_fd,
                                    uint64_t *ret_bytes, struct dz_err *err)
{
    struct fault *f = self;
    if (!f->driver->open_file)
        return dz_fail(err, DZ_UNSUPPORTED, "the %s store has no files", f->driver->name);
    DZ_TRY(strike(f, OP_GET, err));
    return f->driver->open_file(f->self, sha, ret_fd, ret_bytes, err);
}

static enum dz_code fault_sweep(void *self, int64_t older_than_s, uint64_t *ret_removed,
                                struct dz_err *err)
{
    struct fault *f = self;
    if (!f->driver->sweep)
        return DZ_OK;
    return f->driver->sweep(f->self, older_than_s, ret_removed, err);
}

static enum dz_code fault_set_aside(void *self, const struct dz_sha256 *sha, const char *folder,
                                    struct dz_err *err)
{
    struct fault *f = self;
    if (!f->driver->set_aside)
        return dz_fail(err, DZ_UNSUPPORTED, "the %s store has no files", f->driver->name);
    return f->driver->set_aside(f->self, sha, folder, err);
}

const struct dz_store_driver dz_store_fault = {
    .name = "fault",
    .open = fault_open,
    .close = fault_close,
    .put = fault_put,
    .get = fault_get,
    .stat = fault_stat,
    .del = fault_del,
    .list = fault_list,
    .open_file = fault_open_file,
    .sweep = fault_sweep,
    .set_aside = fault_set_aside,
};
