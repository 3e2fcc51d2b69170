/*
 * migrate: a whole library from one catalog and store to others.
 *
 * In: two sets of settings. Out: every blob that a record names and every upload in the target's
 * store, every record in its catalog, all compared. Bytes go first, in batches, so that at no
 * moment a record names what is not there; what the target has already is passed over, which makes
 * a second run short. In a store with names an upload is a row under its own name, and its bytes
 * are not stored by digest unless something else uses them too. Nobody may serve or crawl
 * meanwhile; what is written to the source all the same is noticed by the comparison of records.
 * One thread; 56 bytes a blob.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "library/library_int.h"

#define BATCH_BYTES (64 * DZ_MIB)
#define BATCH_BLOBS 256u
#define PIECE_BYTES (256 * DZ_KIB)
#define ARENA_BYTES (1 * DZ_MIB)

struct row {
    struct dz_sha256 sha;
    uint64_t bytes, refs;
    uint64_t uploads; /* of refs */
};

struct move {
    struct dz_library *from, *to;
    const struct dz_migrate_options *o;
    struct dz_migrate_result result;
    struct row *rows; /* by digest */
    size_t n, cap;
    struct dz_store_batch *batch;
    uint64_t batch_bytes, batch_n;
    uint64_t done, total; /* blobs and uploads */
    const char *what;
    struct dz_arena *scratch; /* of one upload */
};

static void step(struct move *m)
{
    m->done++;
    if (m->o->progress)
        m->o->progress(m->o->arg, m->what, m->done, m->total);
}

/* ---- what there is -----------------------------------------------------------------------------
 */

static enum dz_code add_row(void *arg, const struct dz_blob_rec *b, uint64_t refs,
                            struct dz_err *err)
{
    struct move *m = arg;
    (void)err;
    if (refs == 0)
        return DZ_OK;
    if (m->n == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 1024;
        m->rows = dz_realloc(m->rows, m->cap * sizeof(*m->rows));
    }
    m->rows[m->n++] = (struct row){b->sha, b->bytes, refs, 0};
    m->result.bytes += b->bytes;
    return DZ_OK;
}

static int by_sha(const void *a, const void *b)
{
    return memcmp(((const struct row *)a)->sha.b, ((const struct row *)b)->sha.b,
                  sizeof(((const struct row *)a)->sha.b));
}

static enum dz_code count_upload(void *arg, const struct dz_upload_rec *u, struct dz_err *err)
{
    struct move *m = arg;
    struct row key = {.sha = u->blob.sha};
    struct row *row = m->n > 0 ? bsearch(&key, m->rows, m->n, sizeof(*m->rows), by_sha) : NULL;
    (void)err;
    if (row)
        row->uploads++;
    m->result.uploads++;
    return DZ_OK;
}

static enum dz_code adopt(void *arg, const struct dz_store_named *row, struct dz_err *err)
{
    struct move *m = arg;
    struct dz_upload_rec rec;
    dz_arena_reset(m->scratch);
    enum dz_code code = dz_catalog_upload_get(m->from->catalog, row->name, m->scratch, &rec, NULL);
    if (code == DZ_OK)
        return DZ_OK;
    code = dz_library_upload_find(m->from, row->name, m->scratch, &rec, err);
    m->result.adopted += code == DZ_OK;
    return code == DZ_OK ? DZ_OK
                         : dz_wrap(err, code, "upload %.*s of the source",
                                   (int)(row->name.n < 100 ? row->name.n : 100), row->name.p);
}

static enum dz_code list_all(struct move *m, struct dz_err *err)
{
    if (dz_store_has_names(m->from->store))
        DZ_TRY(dz_store_named_list(m->from->store, adopt, m, err));
    DZ_TRY(dz_catalog_blobs(m->from->catalog, add_row, m, err));
    if (m->n > 0)
        qsort(m->rows, m->n, sizeof(*m->rows), by_sha);
    DZ_TRY(dz_catalog_uploads_all(m->from->catalog, count_upload, m, err));
    m->result.blobs = m->n;
    return DZ_OK;
}

/* ---- bytes -------------------------------------------------------------------------------------
 */

static dz_str all_of(const struct dz_body *b)
{
    return (dz_str){b->p, b->n};
}

static enum dz_code to_write(void *arg, dz_str piece, struct dz_err *err)
{
    return dz_store_write_add(arg, piece, err);
}

static enum dz_code pour_file(int fd, struct dz_store_write *w, struct dz_err *err)
{
    DZ_AUTO(dz_freep) char *piece = dz_alloc(PIECE_BYTES);
    for (;;) {
        ssize_t n = read(fd, piece, PIECE_BYTES);
        if (n < 0)
            return dz_fail_errno(err, DZ_IO, errno, "read a blob of the source");
        if (n == 0)
            return DZ_OK;
        DZ_TRY(dz_store_write_add(w, (dz_str){piece, (size_t)n}, err));
    }
}

/* Bytes of the source into a write of the target, piece by piece; name as in dz_store_read, mime as
 * it was declared. */
static enum dz_code pour(struct move *m, const struct dz_sha256 *sha, dz_str name, dz_str mime,
                         struct dz_store_write **ret_w, struct dz_err *err)
{
    DZ_AUTO(dz_store_write_drop) struct dz_store_write *w = NULL;
    DZ_AUTO(dz_closep) int fd = -1;
    uint64_t bytes;
    enum dz_code code = dz_store_open_file(m->from->store, sha, &fd, &bytes, err);
    if (code != DZ_OK && code != DZ_UNSUPPORTED)
        return code;
    DZ_TRY(dz_store_write_begin(m->to->store, &w, err));
    dz_store_write_declare(w, mime);
    DZ_TRY(code == DZ_OK
               ? pour_file(fd, w, err)
               : dz_store_read(m->from->store, sha, name, DZ_STORE_BLOB_MAX, to_write, w, err));
    *ret_w = dz_take(&w);
    return DZ_OK;
}

static enum dz_code commit(struct move *m, struct dz_err *err)
{
    enum dz_code code = DZ_OK;
    if (m->batch)
        code = dz_store_batch_commit(m->batch, err);
    dz_store_batch_free(&m->batch);
    m->batch_bytes = m->batch_n = 0;
    return code;
}

static enum dz_code batch_more(struct move *m, uint64_t bytes, struct dz_err *err)
{
    m->batch_bytes += bytes;
    m->batch_n++;
    m->result.bytes_copied += bytes;
    return m->batch_bytes >= BATCH_BYTES || m->batch_n >= BATCH_BLOBS ? commit(m, err) : DZ_OK;
}

static enum dz_code batch_ready(struct move *m, struct dz_err *err)
{
    return m->batch ? DZ_OK : dz_store_batch_begin(m->to->store, &m->batch, err);
}

static enum dz_code copy_blob(struct move *m, const struct row *row, struct dz_err *err)
{
    DZ_AUTO(dz_store_write_drop) struct dz_store_write *w = NULL;
    struct dz_blob_stat st;
    enum dz_code code = dz_store_stat(m->to->store, &row->sha, &st, err);
    if (code == DZ_OK && st.bytes == row->bytes)
        return DZ_OK;
    if (code != DZ_OK && code != DZ_NOT_FOUND)
        return code;
    DZ_TRY(pour(m, &row->sha, (dz_str){NULL, 0}, (dz_str){NULL, 0}, &w, err));
    DZ_TRY(batch_ready(m, err));
    DZ_TRY(dz_store_batch_take(m->batch, &w, &st, err));
    if (memcmp(st.sha.b, row->sha.b, sizeof(st.sha.b)) != 0)
        return dz_fail(err, DZ_CORRUPT, "the bytes are not what the digest names: `dozo check`");
    m->result.blobs_copied++;
    return batch_more(m, st.bytes, err);
}

/* Of a blob that is only there as uploads a store with names has rows under their names. */
static bool by_digest(const struct move *m, const struct row *row)
{
    return !dz_store_has_names(m->to->store) || row->refs > row->uploads;
}

static enum dz_code at_blob(const struct row *row, enum dz_code code, struct dz_err *err)
{
    char hex[65];
    dz_hex(row->sha.b, sizeof(row->sha.b), hex);
    return dz_wrap(err, code, "blob %.16s…", hex);
}

static enum dz_code copy_blobs(struct move *m, struct dz_err *err)
{
    for (size_t i = 0; i < m->n; i++) {
        enum dz_code code = by_digest(m, &m->rows[i]) ? copy_blob(m, &m->rows[i], err) : DZ_OK;
        if (code != DZ_OK)
            return at_blob(&m->rows[i], code, err);
        step(m);
    }
    return commit(m, err);
}

/* ---- uploads in a store with names
 * ---------------------------------------------------------------
 */

static enum dz_code at_upload(dz_str id, enum dz_code code, struct dz_err *err)
{
    return dz_wrap(err, code, "upload %.*s", (int)(id.n < 100 ? id.n : 100), id.p);
}

static enum dz_code put_upload(struct move *m, const struct dz_upload_rec *u, struct dz_err *err)
{
    DZ_AUTO(dz_store_write_drop) struct dz_store_write *w = NULL;
    struct dz_blob_stat st;
    dz_str name = dz_store_has_names(m->from->store) ? u->id : (dz_str){NULL, 0};
    bool is_new = false;
    DZ_TRY(pour(m, &u->blob.sha, name, u->mime, &w, err));
    DZ_TRY(batch_ready(m, err));
    DZ_TRY(dz_store_batch_take_named(m->batch, &w, u->id, u->mime, &st, &is_new, err));
    if (!is_new)
        return dz_fail(err, DZ_CONFLICT, "the name was taken meanwhile: run it again");
    if (memcmp(st.sha.b, u->blob.sha.b, sizeof(st.sha.b)) != 0)
        return dz_fail(err, DZ_CORRUPT, "the bytes are not what the catalog says: `dozo check`");
    m->result.uploads_copied++;
    return batch_more(m, st.bytes, err);
}

static bool same_mime(dz_str a, dz_str b)
{
    return !a.p == !b.p && dz_str_eq(a, b);
}

/* full: the target's bytes are read too. */
static enum dz_code look_at_target(struct move *m, const struct dz_upload_rec *u, bool full,
                                   struct dz_err *err)
{
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    struct dz_store_named row;
    DZ_TRY(dz_store_named_get(m->to->store, u->id, DZ_STORE_BLOB_MAX, m->scratch, &row,
                              full ? &body : NULL, err));
    struct dz_sha256 sha = full ? dz_sha256_of(all_of(body)) : row.stat.sha;
    if (memcmp(sha.b, u->blob.sha.b, sizeof(sha.b)) != 0 || !same_mime(row.mime, u->mime))
        return dz_fail(err, DZ_CONFLICT, "the target's store has something else under this name");
    return DZ_OK;
}

static enum dz_code copy_upload(void *arg, const struct dz_upload_rec *u, struct dz_err *err)
{
    struct move *m = arg;
    dz_arena_reset(m->scratch);
    enum dz_code code = look_at_target(m, u, false, err);
    if (code == DZ_NOT_FOUND)
        code = put_upload(m, u, err);
    step(m);
    return code == DZ_OK ? DZ_OK : at_upload(u->id, code, err);
}

static enum dz_code copy_uploads(struct move *m, struct dz_err *err)
{
    if (!dz_store_has_names(m->to->store))
        return DZ_OK;
    DZ_TRY(dz_catalog_uploads_all(m->from->catalog, copy_upload, m, err));
    return commit(m, err);
}

/* ---- comparing ---------------------------------------------------------------------------------
 */

static enum dz_code compare_blob(struct move *m, const struct row *row, struct dz_err *err)
{
    struct dz_blob_stat st;
    if (!m->o->quick)
        return dz_store_verify(m->to->store, &row->sha, err);
    DZ_TRY(dz_store_stat(m->to->store, &row->sha, &st, err));
    return st.bytes == row->bytes
               ? DZ_OK
               : dz_fail(err, DZ_CORRUPT, "%llu bytes instead of %llu",
                         (unsigned long long)st.bytes, (unsigned long long)row->bytes);
}

static enum dz_code compare_upload(void *arg, const struct dz_upload_rec *u, struct dz_err *err)
{
    struct move *m = arg;
    dz_arena_reset(m->scratch);
    enum dz_code code = look_at_target(m, u, !m->o->quick, err);
    step(m);
    return code == DZ_OK ? DZ_OK : at_upload(u->id, code, err);
}

static enum dz_code compare_store(struct move *m, struct dz_err *err)
{
    m->what = "comparing";
    m->done = 0;
    for (size_t i = 0; i < m->n; i++) {
        enum dz_code code = by_digest(m, &m->rows[i]) ? compare_blob(m, &m->rows[i], err) : DZ_OK;
        if (code != DZ_OK)
            return dz_wrap(err, at_blob(&m->rows[i], code, err), "the target's store");
        step(m);
    }
    if (dz_store_has_names(m->to->store))
        DZ_TRY(dz_catalog_uploads_all(m->from->catalog, compare_upload, m, err));
    return DZ_OK;
}

static enum dz_code move_store(struct move *m, struct dz_err *err)
{
    m->what = "files";
    m->total = m->n + (dz_store_has_names(m->to->store) ? m->result.uploads : 0);
    DZ_TRY(copy_blobs(m, err));
    DZ_TRY(copy_uploads(m, err));
    return compare_store(m, err);
}

/* ---- records -----------------------------------------------------------------------------------
 */

static void on_rows(void *arg, uint64_t rows)
{
    struct move *m = arg;
    if (m->o->progress)
        m->o->progress(m->o->arg, "records", rows, 0);
}

static enum dz_code move_catalog(struct move *m, struct dz_err *err)
{
    struct dz_catalog_copied copied = {0};
    DZ_TRY(dz_catalog_copy(m->from->catalog, m->to->catalog, on_rows, m, &copied, err));
    m->result.tables = copied.tables;
    m->result.rows = copied.rows;
    m->result.catalog_there = copied.there;
    return DZ_OK;
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

bool dz_migrate_one_folder(const struct dz_conf *a, const struct dz_conf *b)
{
    DZ_AUTO(dz_freep) char *real_a = realpath(a->data_dir, NULL);
    DZ_AUTO(dz_freep) char *real_b = realpath(b->data_dir, NULL);
    return real_a && real_b ? strcmp(real_a, real_b) == 0 : strcmp(a->data_dir, b->data_dir) == 0;
}

static bool same_store(const struct dz_conf *a, const struct dz_conf *b)
{
    if (a->store.driver != b->store.driver)
        return false;
    if (a->store.driver == DZ_DRIVER_FILES)
        return dz_migrate_one_folder(a, b);
    return same_text(a->store.uri, b->store.uri) && same_text(a->store.table, b->store.table) &&
           same_text(a->store.database, b->store.database) &&
           same_text(a->store.collection, b->store.collection);
}

static bool same_catalog(const struct dz_conf *a, const struct dz_conf *b)
{
    if (a->catalog.driver != b->catalog.driver)
        return false;
    return a->catalog.driver == DZ_DRIVER_SQLITE ? dz_migrate_one_folder(a, b)
                                                 : same_text(a->catalog.uri, b->catalog.uri);
}

static enum dz_code move_all(struct move *m, struct dz_err *err)
{
    DZ_AUTO(dz_catalog_unlock) struct dz_catalog_lock *lock = NULL;
    DZ_TRY(library_lock(m->to->catalog, false, &lock, err));
    DZ_TRY(list_all(m, err));
    if (!m->result.store_same)
        DZ_TRY(move_store(m, err));
    DZ_TRY(dz_catalog_lock_check(lock, err));
    return m->result.catalog_same ? DZ_OK : move_catalog(m, err);
}

static enum dz_code open_both(struct move *m, struct dz_conf *from, struct dz_conf *to,
                              struct dz_err *err)
{
    enum dz_code code = dz_library_open(from, &m->from, err);
    if (code != DZ_OK)
        return dz_wrap(err, code, "the source");
    code = dz_library_open(to, &m->to, err);
    return code == DZ_OK ? DZ_OK : dz_wrap(err, code, "the target");
}

enum dz_code dz_library_migrate(struct dz_conf *from, struct dz_conf *to,
                                const struct dz_migrate_options *o,
                                struct dz_migrate_result *ret_result, struct dz_err *err)
{
    struct move m = {.o = o};
    if (!dz_library_exists(from))
        return dz_fail(err, DZ_NOT_FOUND, "no library in %s", from->data_dir);
    m.result.store_same = same_store(from, to);
    m.result.catalog_same = same_catalog(from, to);
    if (m.result.store_same && m.result.catalog_same)
        return dz_fail(err, DZ_BAD_INPUT, "both settings name the same catalog and the same store");
    m.scratch = dz_arena_new(ARENA_BYTES);
    enum dz_code code = open_both(&m, from, to, err);
    if (code == DZ_OK)
        code = move_all(&m, err);
    dz_store_batch_free(&m.batch);
    dz_library_close(&m.to);
    dz_library_close(&m.from);
    dz_arena_free(&m.scratch);
    free(m.rows);
    *ret_result = m.result;
    return code;
}
