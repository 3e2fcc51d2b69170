/*
 * postgres_pieces: the bytes of one row, a piece at a time.
 *
 * In: a digest or a name. Out: the unpacked bytes to a function, in their order, while about a
 * megabyte of the row lies in memory. All is read on one connection in one transaction, which is
 * held until the last piece is taken, so that whoever replaces the row meanwhile does not mix two
 * of them. The digest is compared at the end. Any thread.
 */
#include "store/postgres_int.h"

#define SLICE_BYTES ((int64_t)DZ_MIB)

enum { COL_HAS_IMAGE = 1, COL_SHA };

struct reading {
    struct postgres *p;
    struct dz_pg_conn *c;
    uint64_t bytes_max;
    dz_store_piece_fn *fn;
    void *arg;
};

/* One value of the row, or of one of its parts, to its end or that of the stream. */
static enum dz_code read_value(struct reading *r, dz_str name, int64_t part, struct rows_unpack *u,
                               struct dz_err *err)
{
    bool is_part = part >= 0;
    for (int64_t at = 0; !rows_unpack_ended(u); at += SLICE_BYTES) {
        DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
        struct dz_pg_param v[4] = {dz_pg_p_str(name), dz_pg_p_int(part)};
        v[1 + is_part] = dz_pg_p_int(at + 1);
        v[2 + is_part] = dz_pg_p_int(SLICE_BYTES);
        DZ_TRY(postgres_run(r->p, r->c, is_part ? PG_PART_SLICE : PG_SLICE, v, 3 + is_part, &rows,
                            err));
        if (dz_pg_n(rows) == 0)
            return dz_fail(err, DZ_CORRUPT, "%s",
                           part > 0 ? "a part of it is missing" : "image is null");
        dz_str piece = dz_pg_bytes(rows, 0, 0);
        if (piece.n == 0)
            return DZ_OK;
        DZ_TRY(rows_unpack_add(u, piece, err));
    }
    return DZ_OK;
}

/* DZ_NOT_FOUND without a text: no row of this name. ret_known: what the index says is right. */
static enum dz_code read_row(struct reading *r, dz_str name, struct dz_blob_stat *ret_stat,
                             bool *ret_known, struct dz_err *err)
{
    DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
    struct dz_pg_param v = dz_pg_p_str(name);
    struct dz_blob_stat index, stat = {.mtime_s = dz_now_ms() / 1000};
    DZ_TRY(postgres_run(r->p, r->c, PG_FIND, &v, 1, &rows, err));
    if (dz_pg_n(rows) == 0)
        return DZ_NOT_FOUND;
    bool known = postgres_index(rows, 0, COL_SHA, &index);
    if (known && index.bytes > r->bytes_max)
        return dz_fail(err, DZ_TOO_LARGE, "it has %llu bytes, %llu are allowed",
                       (unsigned long long)index.bytes, (unsigned long long)r->bytes_max);
    DZ_AUTO(rows_unpack_free)
    struct rows_unpack *u = rows_unpack_new(r->bytes_max, false, 0, true);
    rows_unpack_to(u, r->fn, r->arg);
    if (dz_pg_int(rows, 0, COL_HAS_IMAGE)) {
        DZ_TRY(read_value(r, name, -1, u, err));
    } else {
        for (int64_t part = 0; !rows_unpack_ended(u); part++)
            DZ_TRY(read_value(r, name, part, u, err));
    }
    DZ_TRY(rows_unpack_end(u, &stat, NULL, err));
    *ret_known = known && stat.bytes == index.bytes &&
                 memcmp(stat.sha.b, index.sha.b, sizeof(stat.sha.b)) == 0;
    *ret_stat = stat;
    return DZ_OK;
}

static enum dz_code read_named(struct reading *r, const struct dz_sha256 *sha, dz_str name,
                               struct dz_err *err)
{
    struct dz_blob_stat stat;
    bool known;
    enum dz_code code = read_row(r, name, &stat, &known, err);
    if (code == DZ_NOT_FOUND)
        return dz_fail(err, code, "no row of this name");
    DZ_TRY(code);
    if (!known)
        postgres_remember(r->p, name, &stat);
    if (memcmp(stat.sha.b, sha->b, sizeof(sha->b)) != 0)
        return dz_fail(err, DZ_NOT_FOUND, "the row holds something else by now");
    return DZ_OK;
}

/* The blob of that digest, or else a named object with these bytes. */
static enum dz_code read_blob(struct reading *r, const struct dz_sha256 *sha, struct dz_err *err)
{
    char hex[65] = {0};
    struct dz_blob_stat stat;
    bool known;
    rows_blob_name(sha, hex);
    enum dz_code code = read_row(r, (dz_str){hex, 64}, &stat, &known, err);
    if (code == DZ_OK && memcmp(stat.sha.b, sha->b, sizeof(sha->b)) != 0)
        return dz_fail(err, DZ_CORRUPT, "blob %s: its %llu bytes do not match this digest", hex,
                       (unsigned long long)stat.bytes);
    if (code == DZ_NOT_FOUND) {
        DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
        struct dz_pg_param v = dz_pg_p_str((dz_str){(const char *)sha->b, sizeof(sha->b)});
        DZ_TRY(postgres_run(r->p, r->c, PG_FIND_SHA, &v, 1, &rows, err));
        if (dz_pg_n(rows) == 0)
            return dz_fail(err, DZ_NOT_FOUND, "no blob %s", hex);
        code = read_named(r, sha, dz_pg_bytes(rows, 0, 0), err);
    }
    return code == DZ_OK ? DZ_OK : dz_wrap(err, code, "blob %s", hex);
}

enum dz_code postgres_read(void *self, const struct dz_sha256 *sha, dz_str name, uint64_t bytes_max,
                           dz_store_piece_fn *fn, void *arg, struct dz_err *err)
{
    DZ_AUTO(dz_pg_give) struct dz_pg_conn *c = NULL;
    struct postgres *p = self;
    DZ_TRY(dz_pg_take(p->pg, &c, err));
    DZ_TRY(dz_pg_begin(c, "ISOLATION LEVEL REPEATABLE READ READ ONLY", err));
    struct reading r = {p, c, bytes_max < DZ_STORE_BLOB_MAX ? bytes_max : DZ_STORE_BLOB_MAX, fn,
                        arg};
    return name.n > 0 ? read_named(&r, sha, name, err) : read_blob(&r, sha, err);
}
