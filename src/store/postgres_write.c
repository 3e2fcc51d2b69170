/*
 * postgres_write: blobs and named objects on their way into rows.
 *
 * In: bytes as they come, which are packed into spools (rows.c). A batch sends them with its
 * commit: one transaction, its rows in one pipeline, in the order of their names, so that two that
 * write the same blobs never wait for each other in a circle; what the database ends for that
 * reason is tried again. Blobs of a large batch are sent and committed on the way, for they mean
 * nothing until somebody refers to them; named objects wait. One thread a batch; what is committed
 * or dropped is freed here.
 */
#include "store/postgres_int.h"

#include <stdlib.h>

#define SEND_BYTES (16 * DZ_MIB) /* packed, of blobs that wait */
#define SEND_ROWS 256
#define TRIES 5

struct item {
    char *name, *mime; /* mime NULL: none */
    size_t name_n;
    bool is_named;
    struct rows_spool *packed; /* NULL: the row is there, its time is set */
    struct dz_blob_stat stat;
};

struct batch {
    struct postgres *p;
    struct item **items;
    size_t n, cap;
    size_t blobs;             /* among them */
    uint64_t blob_bytes;      /* packed, of those */
    struct dz_map map;        /* name → struct item */
    struct dz_map free_names; /* names, on the heap, that were free a moment ago */
};

static dz_str name_of(const struct item *i)
{
    return (dz_str){i->name, i->name_n};
}

static void item_free(struct item *i)
{
    rows_spool_free(&i->packed);
    free(i->name);
    free(i->mime);
    free(i);
}

enum dz_code postgres_batch_begin(void *self, void **ret_batch, struct dz_err *err)
{
    (void)err;
    struct batch *b = dz_new(struct batch);
    b->p = self;
    dz_map_init(&b->map);
    dz_map_init(&b->free_names);
    *ret_batch = b;
    return DZ_OK;
}

/* Only the blobs, or all. */
static void forget(struct batch *b, bool all)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (!all && b->items[i]->is_named) {
            b->items[kept++] = b->items[i];
            continue;
        }
        (void)dz_map_del(&b->map, name_of(b->items[i]));
        item_free(b->items[i]);
    }
    b->n = kept;
    b->blobs = 0;
    b->blob_bytes = 0;
}

static void forget_free(struct batch *b)
{
    size_t at = 0;
    void *name;
    while (dz_map_next(&b->free_names, &at, NULL, &name))
        free(name);
    dz_map_done(&b->free_names);
}

void postgres_batch_drop(void *batch)
{
    struct batch *b = batch;
    forget(b, true);
    forget_free(b);
    dz_map_done(&b->map);
    free(b->items);
    free(b);
}

/* ---- sending --------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct item *const *x = a, *const *y = b;
    return dz_str_cmp(name_of(*x), name_of(*y));
}

/* Times of rows that are there already. They were seen before the transaction: one that is gone now
 * was deleted in between, and its bytes are no longer at hand. */
static enum dz_code send_times(struct postgres *p, struct dz_pg_conn *c, struct item *const *v,
                               size_t n, struct dz_err *err)
{
    DZ_AUTO(dz_freep) struct dz_pg_param *params = dz_alloc((n + 1) * 2 * sizeof(*params));
    size_t count = 0;
    uint64_t there = 0;
    for (size_t i = 0; i < n; i++) {
        if (v[i]->packed)
            continue;
        params[count * 2] = dz_pg_p_str(name_of(v[i]));
        params[count * 2 + 1] = dz_pg_p_int(v[i]->stat.mtime_s);
        count++;
    }
    if (count == 0)
        return DZ_OK;
    struct dz_pg_statement touch = {.text = p->texts[PG_TOUCH]};
    DZ_TRY(dz_pg_run_many(c, &touch, params, 2, count, &there, err));
    if (there == count)
        return DZ_OK;
    return dz_fail(err, DZ_UNAVAILABLE, "a blob was deleted while it was put again");
}

/* What does not fit into one row. */
static enum dz_code send_parts(struct postgres *p, struct dz_pg_conn *c, const struct item *i,
                               char *scratch, struct dz_err *err)
{
    uint64_t all = rows_spool_bytes(i->packed);
    struct dz_pg_param v[3] = {dz_pg_p_str(name_of(i))};
    /* imoog may have deleted a row of this name, and knows nothing of parts. */
    DZ_TRY(postgres_later(p, c, PG_DEL_PARTS, v, 1, err));
    for (uint64_t at = 0, part = 0; at < all; part++) {
        size_t n = all - at < POSTGRES_PART_BYTES ? (size_t)(all - at) : POSTGRES_PART_BYTES;
        DZ_TRY(rows_spool_read(i->packed, at, scratch, n, err));
        v[1] = dz_pg_p_int((int64_t)part);
        v[2] = dz_pg_p_str((dz_str){scratch, n});
        DZ_TRY(postgres_later(p, c, PG_ADD_PART, v, 3, err));
        at += n;
    }
    return DZ_OK;
}

static enum dz_code send_row(struct postgres *p, struct dz_pg_conn *c, const struct item *i,
                             char *scratch, struct dz_err *err)
{
    uint64_t n = rows_spool_bytes(i->packed);
    enum postgres_text add = i->is_named ? PG_ADD_NEW : PG_ADD;
    bool in_parts = n > POSTGRES_ROW_MAX;
    struct dz_pg_param row[] = {dz_pg_p_str(name_of(i)), dz_pg_p_null(),
                                i->mime ? dz_pg_p_str(dz_str_of(i->mime)) : dz_pg_p_null()};
    if (!in_parts) {
        DZ_TRY(rows_spool_read(i->packed, 0, scratch, (size_t)n, err));
        row[1] = dz_pg_p_str((dz_str){scratch, (size_t)n});
        DZ_TRY(postgres_later(p, c, add, row, 3, err));
    } else {
        DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
        DZ_TRY(postgres_run(p, c, add, row, 3, &rows, err));
        if (dz_pg_affected(rows) > 0) /* a row that is there has its parts too */
            DZ_TRY(send_parts(p, c, i, scratch, err));
    }
    struct dz_pg_param index[] = {
        row[0], dz_pg_p_str((dz_str){(const char *)i->stat.sha.b, sizeof(i->stat.sha.b)}),
        dz_pg_p_int((int64_t)i->stat.bytes), dz_pg_p_int(i->stat.mtime_s)};
    return postgres_later(p, c, PG_INDEX, index, 4, err);
}

static enum dz_code transact(struct postgres *p, struct item *const *v, size_t n, char *scratch,
                             struct dz_err *err)
{
    DZ_AUTO(dz_pg_give) struct dz_pg_conn *c = NULL;
    DZ_TRY(dz_pg_take(p->pg, &c, err));
    DZ_TRY(dz_pg_begin(c, NULL, err));
    DZ_TRY(send_times(p, c, v, n, err));
    for (size_t i = 0; i < n; i++)
        if (v[i]->packed)
            DZ_TRY(send_row(p, c, v[i], scratch, err));
    return dz_pg_commit(c, err);
}

static enum dz_code send(struct postgres *p, struct item **v, size_t n, struct dz_err *err)
{
    size_t room = 1;
    for (size_t i = 0; i < n; i++) {
        uint64_t bytes = v[i]->packed ? rows_spool_bytes(v[i]->packed) : 0;
        if (bytes > POSTGRES_ROW_MAX)
            bytes = POSTGRES_PART_BYTES;
        room = bytes > room ? (size_t)bytes : room;
    }
    DZ_AUTO(dz_freep) void *scratch = NULL;
    DZ_TRY(dz_try_alloc(room, &scratch, err));
    qsort(v, n, sizeof(*v), by_name);
    struct dz_err why = {0};
    enum dz_code code = DZ_OK;
    for (int i = 0; i < TRIES; i++) {
        code = transact(p, v, n, scratch, &why);
        if (code == DZ_OK || !dz_pg_is_retry(&why))
            break;
    }
    if (code == DZ_CONFLICT)
        return dz_fail(err, code, "somebody else took the name of an object");
    if (code != DZ_OK && err)
        *err = why;
    return code;
}

/* Only the blobs, before the commit. */
static enum dz_code send_blobs(struct batch *b, struct dz_err *err)
{
    DZ_AUTO(dz_freep) struct item **v = dz_alloc((b->n + 1) * sizeof(*v));
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        if (!b->items[i]->is_named)
            v[n++] = b->items[i];
    DZ_TRY(send(b->p, v, n, err));
    forget(b, false);
    return DZ_OK;
}

enum dz_code postgres_batch_commit(void *batch, struct dz_err *err)
{
    struct batch *b = batch;
    enum dz_code code = b->n > 0 ? send(b->p, b->items, b->n, err) : DZ_OK;
    forget(b, true);
    forget_free(b);
    return code;
}

/* ---- into a batch ---------------------------------------------------------------------------- */

static enum dz_code keep(struct batch *b, dz_str name, dz_str mime, bool is_named,
                         struct rows_spool *take_packed, const struct dz_blob_stat *stat,
                         struct dz_err *err)
{
    if (b->n == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 16;
        b->items = dz_realloc(b->items, b->cap * sizeof(*b->items));
    }
    struct item *i = dz_new(struct item);
    *i = (struct item){.name = dz_str_dup(name),
                       .name_n = name.n,
                       .mime = mime.p ? dz_str_dup(mime) : NULL,
                       .is_named = is_named,
                       .packed = take_packed,
                       .stat = *stat};
    b->items[b->n++] = i;
    (void)dz_map_set(&b->map, name_of(i), i);
    if (is_named)
        return DZ_OK;
    b->blobs++;
    b->blob_bytes += take_packed ? rows_spool_bytes(take_packed) : 0;
    return b->blobs >= SEND_ROWS || b->blob_bytes >= SEND_BYTES ? send_blobs(b, err) : DZ_OK;
}

/* In this batch, or in the database; then its time will be set. */
static enum dz_code has(struct batch *b, const struct dz_blob_stat *want, bool *ret_yes,
                        struct dz_err *err)
{
    char hex[64];
    rows_blob_name(&want->sha, hex);
    dz_str name = {hex, sizeof(hex)};
    *ret_yes = true;
    if (dz_map_get(&b->map, name))
        return DZ_OK;
    DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
    struct dz_pg_param v[] = {dz_pg_p_str(name), dz_pg_p_int((int64_t)want->bytes)};
    DZ_TRY(postgres_ask(b->p, PG_PRESENT, v, 2, &rows, err));
    *ret_yes = dz_pg_n(rows) > 0;
    return *ret_yes ? keep(b, name, (dz_str){NULL, 0}, false, NULL, want, err) : DZ_OK;
}

static enum dz_code take(struct batch *b, struct rows_spool *take_packed,
                         struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    DZ_AUTO(rows_spool_free) struct rows_spool *packed = take_packed;
    struct dz_blob_stat stat;
    bool there = false;
    DZ_TRY(rows_spool_end(packed, &stat, err));
    DZ_TRY(has(b, &stat, &there, err));
    if (!there) {
        char hex[64];
        rows_blob_name(&stat.sha, hex);
        DZ_TRY(keep(b, (dz_str){hex, sizeof(hex)}, (dz_str){NULL, 0}, false, dz_take(&packed),
                    &stat, err));
    }
    *ret_stat = stat;
    return DZ_OK;
}

enum dz_code postgres_batch_put(void *batch, const struct dz_blob_stat *known,
                                dz_store_read_fn *read, void *arg, struct dz_blob_stat *ret_stat,
                                struct dz_err *err)
{
    struct batch *b = batch;
    if (known) {
        struct dz_blob_stat want = *known;
        bool there = false;
        want.mtime_s = dz_now_ms() / 1000;
        DZ_TRY(has(b, &want, &there, err));
        if (there) {
            *ret_stat = want;
            return DZ_OK;
        }
    }
    DZ_AUTO(rows_spool_free)
    struct rows_spool *packed = rows_spool_new(b->p->dir, b->p->level, known);
    DZ_TRY(rows_spool_fill(packed, read, arg, err));
    return take(b, dz_take(&packed), ret_stat, err);
}

enum dz_code postgres_put(void *self, const struct dz_blob_stat *known, dz_store_read_fn *read,
                          void *arg, struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    return rows_put(&dz_store_postgres, self, known, read, arg, ret_stat, err);
}

enum dz_code postgres_write_begin(void *self, void **ret_write, struct dz_err *err)
{
    (void)err;
    struct postgres *p = self;
    *ret_write = rows_spool_new(p->dir, p->level, NULL);
    return DZ_OK;
}

enum dz_code postgres_batch_take(void *batch, void *take_write, struct dz_blob_stat *ret_stat,
                                 struct dz_err *err)
{
    return take(batch, take_write, ret_stat, err);
}

/* Where one of them is taken, which hardly ever is so, each is asked for when it comes. */
static enum dz_code expect(struct batch *b, const dz_str *names, size_t n, struct dz_err *err)
{
    DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
    struct dz_pg_param v[POSTGRES_NAMES];
    for (size_t i = 0; i < POSTGRES_NAMES; i++)
        v[i] = dz_pg_p_str(names[i < n ? i : n - 1]);
    DZ_TRY(postgres_ask(b->p, PG_EXIST, v, POSTGRES_NAMES, &rows, err));
    for (size_t i = 0; i < n && dz_pg_n(rows) == 0; i++) {
        if (dz_map_get(&b->free_names, names[i]))
            continue;
        char *name = dz_str_dup(names[i]);
        dz_map_set(&b->free_names, (dz_str){name, names[i].n}, name);
    }
    return DZ_OK;
}

enum dz_code postgres_batch_expect(void *batch, const dz_str *names, size_t n, struct dz_err *err)
{
    for (size_t i = 0; n > 1 && i < n; i += POSTGRES_NAMES) {
        struct dz_err why;
        enum dz_code code =
            expect(batch, names + i, n - i < POSTGRES_NAMES ? n - i : POSTGRES_NAMES, &why);
        /* One that the database's encoding does not have; the others are no worse for it. */
        if (code != DZ_OK && code != DZ_BAD_INPUT) {
            if (err)
                *err = why;
            return code;
        }
    }
    return DZ_OK;
}

enum dz_code postgres_batch_take_named(void *batch, void *write, dz_str name, dz_str mime,
                                       struct dz_blob_stat *ret_stat, bool *ret_new,
                                       struct dz_err *err)
{
    struct batch *b = batch;
    DZ_AUTO(rows_spool_free) struct rows_spool *packed = write;
    DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
    struct dz_blob_stat stat;
    DZ_TRY(rows_spool_end(packed, &stat, err));
    bool taken = dz_map_get(&b->map, name) != NULL;
    if (!taken && !dz_map_get(&b->free_names, name)) {
        struct dz_pg_param v = dz_pg_p_str(name);
        DZ_TRY(postgres_ask(b->p, PG_EXISTS, &v, 1, &rows, err));
        taken = dz_pg_n(rows) > 0;
    }
    *ret_new = !taken;
    if (taken) {
        (void)dz_take(&packed); /* stays the caller's */
        return DZ_OK;
    }
    DZ_TRY(keep(b, name, mime, true, dz_take(&packed), &stat, err));
    *ret_stat = stat;
    return DZ_OK;
}
