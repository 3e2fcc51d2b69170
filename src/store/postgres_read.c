/*
 * postgres_read: one row, its facts and its bytes.
 *
 * In: a name or a digest. Out: a body whose size is right before a byte is unpacked, because the
 * index has it. A row that somebody else wrote has no index entry: it is unpacked and measured
 * once, which makes one; an entry that proves wrong (another row took the name meanwhile) is
 * replaced. The connection goes back to the pool before anything is unpacked. Any thread.
 */
#include "store/postgres_int.h"

enum { COL_MIME, COL_HAS_IMAGE, COL_SHA, COL_BYTES, COL_MTIME, COL_IMAGE };

bool postgres_index(const struct dz_pg_rows *rows, size_t row, size_t column,
                    struct dz_blob_stat *ret_stat)
{
    dz_str sha = dz_pg_bytes(rows, row, column);
    int64_t bytes = dz_pg_int(rows, row, column + 1);
    if (sha.n != sizeof(ret_stat->sha.b) || bytes < 0)
        return false;
    memcpy(ret_stat->sha.b, sha.p, sha.n);
    ret_stat->bytes = (uint64_t)bytes;
    ret_stat->mtime_s = dz_pg_int(rows, row, column + 2);
    return true;
}

static enum dz_code not_found(struct dz_err *err)
{
    return dz_fail(err, DZ_NOT_FOUND, "no row of this name");
}

static enum dz_code too_large(uint64_t bytes, uint64_t bytes_max, struct dz_err *err)
{
    return dz_fail(err, DZ_TOO_LARGE, "it has %llu bytes, %llu are allowed",
                   (unsigned long long)bytes, (unsigned long long)bytes_max);
}

/* ---- unpacking ------------------------------------------------------------------------------- */

/* The pieces of a row that lie beside it, until the packed format says that it ends. */
static enum dz_code unpack_parts(struct postgres *p, dz_str name, struct rows_unpack *u,
                                 struct dz_err *err)
{
    for (int64_t at = 0; !rows_unpack_ended(u); at++) {
        DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
        struct dz_pg_param v[] = {dz_pg_p_str(name), dz_pg_p_int(at)};
        DZ_TRY(postgres_ask(p, PG_PART, v, 2, &rows, err));
        if (dz_pg_n(rows) == 0) {
            dz_pg_rows_free(&rows);
            DZ_TRY(postgres_ask(p, PG_EXISTS, v, 1, &rows, err));
            if (dz_pg_n(rows) == 0)
                return not_found(err);
            return dz_fail(err, DZ_CORRUPT, "%s", at ? "a part of it is missing" : "image is null");
        }
        DZ_TRY(rows_unpack_add(u, dz_pg_bytes(rows, 0, 0), err));
    }
    return DZ_OK;
}

/* ret_body NULL: only measured. hint: the size by the index, or 0. */
static enum dz_code unpack(struct postgres *p, dz_str name, const struct dz_pg_rows *rows,
                           uint64_t bytes_max, uint64_t hint, bool hash,
                           struct dz_blob_stat *ret_stat, struct dz_body **ret_body,
                           struct dz_err *err)
{
    DZ_AUTO(rows_unpack_free)
    struct rows_unpack *u = rows_unpack_new(bytes_max, ret_body != NULL, hint, hash);
    if (!dz_pg_int(rows, 0, COL_HAS_IMAGE))
        DZ_TRY(unpack_parts(p, name, u, err));
    else if (dz_pg_is_null(rows, 0, COL_IMAGE))
        return dz_fail(err, DZ_TOO_LARGE, "it is larger than %llu bytes, which are allowed",
                       (unsigned long long)bytes_max);
    else
        DZ_TRY(rows_unpack_add(u, dz_pg_bytes(rows, 0, COL_IMAGE), err));
    return rows_unpack_end(u, ret_stat, ret_body, err);
}

/* ---- a row ----------------------------------------------------------------------------------- */

void postgres_remember(struct postgres *p, dz_str name, const struct dz_blob_stat *stat)
{
    struct dz_pg_param v[] = {
        dz_pg_p_str(name),
        dz_pg_p_str((dz_str){(const char *)stat->sha.b, sizeof(stat->sha.b)}),
        dz_pg_p_int((int64_t)stat->bytes),
        dz_pg_p_int(stat->mtime_s),
    };
    if (postgres_ask(p, PG_MEASURED, v, 4, NULL, NULL) != DZ_OK)
        return;
}

static bool same(const struct dz_blob_stat *a, const struct dz_blob_stat *b)
{
    return a->bytes == b->bytes && memcmp(a->sha.b, b->sha.b, sizeof(a->sha.b)) == 0;
}

static enum dz_code fetch(struct postgres *p, dz_str name, uint64_t bytes_max, bool want_image,
                          struct dz_pg_rows **ret_rows, struct dz_err *err)
{
    struct dz_pg_param v[] = {dz_pg_p_str(name), dz_pg_p_int((int64_t)bytes_max)};
    enum postgres_text what = want_image ? PG_READ : PG_FIND;
    struct dz_pg_rows *rows = NULL;
    enum dz_code code = postgres_ask(p, what, v, want_image ? 2 : 1, &rows, err);
    if (code == DZ_BAD_INPUT) /* a text that this database cannot even hold */
        return not_found(err);
    DZ_TRY(code);
    if (dz_pg_n(rows) == 0) {
        dz_pg_rows_free(&rows);
        return not_found(err);
    }
    *ret_rows = rows;
    return DZ_OK;
}

enum dz_code postgres_row(struct postgres *p, dz_str name, uint64_t bytes_max,
                          struct dz_arena *arena, struct dz_store_named *ret_named,
                          struct dz_body **ret_body, struct dz_err *err)
{
    DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
    struct dz_store_named row = {.name = name, .measured = true};
    if (bytes_max > DZ_STORE_BLOB_MAX || !ret_body)
        bytes_max = DZ_STORE_BLOB_MAX;
    DZ_TRY(fetch(p, name, bytes_max, ret_body != NULL, &rows, err));
    bool known = postgres_index(rows, 0, COL_SHA, &row.stat);
    if (!ret_body && !known) {
        dz_pg_rows_free(&rows);
        DZ_TRY(fetch(p, name, bytes_max, true, &rows, err));
    }
    if (ret_body && known && row.stat.bytes > bytes_max)
        return too_large(row.stat.bytes, bytes_max, err);
    dz_str mime = dz_pg_bytes(rows, 0, COL_MIME);
    if (arena && mime.p)
        row.mime = (dz_str){dz_arena_dup(arena, mime), mime.n};
    if (ret_body || !known) {
        /* Bytes of a blob are compared with its name by whoever asked for them. */
        bool hash = !known || !store_is_digest(name);
        struct dz_blob_stat stat = {.sha = row.stat.sha, .mtime_s = dz_now_ms() / 1000};
        DZ_TRY(unpack(p, name, rows, bytes_max, known ? row.stat.bytes : 0, hash, &stat, ret_body,
                      err));
        if (!known || !same(&stat, &row.stat)) {
            postgres_remember(p, name, &stat);
            row.stat = stat;
        }
    }
    *ret_named = row;
    return DZ_OK;
}

/* ---- by digest ------------------------------------------------------------------------------- */

/* The blob of that digest, or else a named object with these bytes. */
static enum dz_code by_digest(struct postgres *p, const struct dz_sha256 *sha, uint64_t bytes_max,
                              struct dz_blob_stat *ret_stat, struct dz_body **ret_body,
                              struct dz_err *err)
{
    char hex[65] = {0};
    rows_blob_name(sha, hex);
    struct dz_store_named n;
    enum dz_code code = postgres_row(p, (dz_str){hex, 64}, bytes_max, NULL, &n, ret_body, err);
    if (code == DZ_NOT_FOUND) {
        DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
        struct dz_pg_param v = dz_pg_p_str((dz_str){(const char *)sha->b, sizeof(sha->b)});
        DZ_TRY(postgres_ask(p, PG_FIND_SHA, &v, 1, &rows, err));
        if (dz_pg_n(rows) > 0)
            code = postgres_row(p, dz_pg_bytes(rows, 0, 0), bytes_max, NULL, &n, ret_body, err);
        /* An entry that was wrong is right now, and of other bytes. */
        if (code == DZ_OK && memcmp(n.stat.sha.b, sha->b, sizeof(sha->b)) != 0) {
            if (ret_body)
                dz_body_unref(ret_body);
            code = DZ_NOT_FOUND;
        }
    }
    if (code == DZ_NOT_FOUND)
        return dz_fail(err, DZ_NOT_FOUND, "no blob %s", hex);
    if (code != DZ_OK)
        return dz_wrap(err, code, "blob %s", hex);
    *ret_stat = n.stat;
    ret_stat->sha = *sha;
    return DZ_OK;
}

enum dz_code postgres_get(void *self, const struct dz_sha256 *sha, uint64_t bytes_max,
                          struct dz_body **ret_body, struct dz_err *err)
{
    struct dz_blob_stat stat;
    return by_digest(self, sha, bytes_max, &stat, ret_body, err);
}

enum dz_code postgres_stat(void *self, const struct dz_sha256 *sha, struct dz_blob_stat *ret_stat,
                           struct dz_err *err)
{
    return by_digest(self, sha, DZ_STORE_BLOB_MAX, ret_stat, NULL, err);
}
