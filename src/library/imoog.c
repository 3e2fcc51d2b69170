/*
 * imoog: rows of the service that is replaced, in both directions (contracts/imoog.md 4).
 *
 * In: a store that has names, opened on its database, which is only read (but for what a store
 * keeps beside the rows that it has measured), or the uploads of the catalog. Out: uploads under
 * the same ids, some at a time, each of them whole; or rows of such a database. What is known on
 * the other side already stays, so a run that was stopped goes on with the next one. One thread.
 */
#include "library/imoog_int.h"
#include "library/upload_int.h"
#include "pg/pg.h"

#define AT_ONCE 64u
#define BYTES_AT_ONCE (32 * DZ_MIB)
#define ROW_ARENA (64 * DZ_KIB)

struct imoog {
    struct dz_library *l;
    struct dz_store *other;
    bool dry_run;
    struct import_teller teller;
    struct dz_import_result told; /* where the teller counts */
    struct dz_imoog_result result;
    struct dz_arena *arena; /* of one row */
    /* Under way: */
    unsigned n;
    uint64_t bytes;
    struct dz_store_batch *batch; /* of an export */
    enum dz_code code;            /* of the uploads that were kept last */
    struct dz_err err;
};

static void tell(struct imoog *m, int kind, dz_str id, const char *words)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_TEXT_MAX);
    dz_buf_putf(&b, "upload %.*s", DZ_STR_FMT(dz_str_clip(id, 100)));
    import_tell(&m->teller, kind, "imoog", dz_buf_cstr(&b), words);
}

static enum dz_code next_row(struct imoog *m, struct dz_err *err)
{
    dz_arena_reset(m->arena);
    return import_stopped(&m->teller) ? dz_fail(err, DZ_CANCELLED, "stopped") : DZ_OK;
}

/* One row is no reason to end; a database or a disk that fails is. */
static bool is_about_row(enum dz_code code)
{
    return code == DZ_CORRUPT || code == DZ_TOO_LARGE || code == DZ_BAD_INPUT ||
           code == DZ_NOT_FOUND;
}

static enum dz_code row_seen(struct imoog *m, dz_str id, enum dz_code code,
                             const struct dz_err *why, struct dz_err *err)
{
    if (is_about_row(code)) {
        tell(m, DZ_IMPORT_ERROR, id, why->text);
        return DZ_OK;
    }
    if (code != DZ_OK && err)
        *err = *why;
    return code;
}

static void count_known(struct imoog *m, dz_str id, bool same, const char *words)
{
    m->result.uploads_same += same;
    m->result.uploads_kept += !same;
    if (!same)
        tell(m, DZ_IMPORT_WARNING, id, words);
}

/* ---- import ------------------------------------------------------------------------------------
 */

static void on_kept(void *arg, enum dz_code code, const struct dz_upload_rec *u,
                    const struct dz_err *err)
{
    struct imoog *m = arg;
    if (code == DZ_OK) {
        m->result.uploads_new++;
        m->result.bytes += u->blob.bytes;
    } else if (code == DZ_CONFLICT || is_about_row(code)) {
        import_tell(&m->teller, DZ_IMPORT_ERROR, "imoog", NULL, err->text);
    } else if (m->code == DZ_OK) {
        m->code = code;
        m->err = *err;
    }
}

static enum dz_code keep(struct imoog *m, struct dz_err *err)
{
    if (m->n == 0)
        return DZ_OK;
    library_uploads_keep(m->l);
    m->n = 0;
    m->bytes = 0;
    if (m->code != DZ_OK && err)
        *err = m->err;
    return m->code;
}

static enum dz_code take_in(struct imoog *m, const struct dz_store_named *row,
                            const struct dz_body *body, struct dz_err *err)
{
    DZ_AUTO(dz_upload_drop) struct dz_upload *u = dz_upload_new(m->l, row->mime);
    DZ_TRY(dz_upload_add(u, (dz_str){body->p, body->n}, err));
    struct dz_upload_wish wish = {
        .id = row->name, .created_ms = row->stat.mtime_s * 1000, .done = on_kept, .arg = m};
    library_upload_add(&u, &wish);
    m->n++;
    m->bytes += body->n;
    return m->n >= AT_ONCE || m->bytes >= BYTES_AT_ONCE ? keep(m, err) : DZ_OK;
}

/* What is here under the id; nothing is written. */
static enum dz_code look(struct imoog *m, dz_str id, struct dz_sha256 *ret_sha, struct dz_err *err)
{
    struct dz_store_named row;
    struct dz_upload_rec rec;
    if (dz_store_has_names(m->l->store)) {
        DZ_TRY(dz_store_named_get(m->l->store, id, DZ_STORE_BLOB_MAX, m->arena, &row, NULL, err));
        *ret_sha = row.stat.sha;
        return DZ_OK;
    }
    DZ_TRY(dz_catalog_upload_get(m->l->catalog, id, m->arena, &rec, err));
    *ret_sha = rec.blob.sha;
    return DZ_OK;
}

/* The catalog of a store that has names takes in what is there. */
static enum dz_code adopt(struct imoog *m, dz_str id, struct dz_err *err)
{
    struct dz_upload_rec rec;
    if (m->dry_run || !dz_store_has_names(m->l->store))
        return DZ_OK;
    enum dz_code code = dz_catalog_upload_get(m->l->catalog, id, m->arena, &rec, err);
    if (code != DZ_NOT_FOUND)
        return code;
    DZ_TRY(dz_library_upload_find(m->l, id, m->arena, &rec, err));
    m->result.adopted++;
    return DZ_OK;
}

static enum dz_code import_row(struct imoog *m, const struct dz_store_named *n, struct dz_err *err)
{
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    struct dz_sha256 here;
    struct dz_store_named row;
    if (n->name.n > DZ_TEXT_MAX || n->mime.n > DZ_TEXT_MAX)
        return dz_fail(err, DZ_BAD_INPUT, "its id or type is longer than %d bytes", DZ_TEXT_MAX);
    enum dz_code code = look(m, n->name, &here, err);
    if (code != DZ_OK && code != DZ_NOT_FOUND)
        return code;
    bool is_new = code == DZ_NOT_FOUND;
    bool wants_bytes = is_new && !m->dry_run;
    DZ_TRY(dz_store_named_get(m->other, n->name, DZ_STORE_BLOB_MAX, m->arena, &row,
                              wants_bytes ? &body : NULL, err));
    if (wants_bytes)
        return take_in(m, &row, body, err);
    if (is_new) {
        m->result.uploads_new++;
        m->result.bytes += row.stat.bytes;
        return DZ_OK;
    }
    count_known(m, n->name, memcmp(&here, &row.stat.sha, sizeof(here)) == 0,
                "is known here with other bytes, which stay");
    return adopt(m, n->name, err);
}

static enum dz_code see_row(void *arg, const struct dz_store_named *n, struct dz_err *err)
{
    struct imoog *m = arg;
    struct dz_err why = {0};
    DZ_TRY(next_row(m, err));
    enum dz_code code = import_row(m, n, &why);
    return row_seen(m, n->name, code, &why, err);
}

/* ---- export ------------------------------------------------------------------------------------
 */

static enum dz_code commit(struct imoog *m, struct dz_err *err)
{
    if (m->n == 0)
        return DZ_OK;
    DZ_TRY(dz_store_batch_commit(m->batch, err));
    m->result.uploads_new += m->n;
    m->result.bytes += m->bytes;
    m->n = 0;
    m->bytes = 0;
    return DZ_OK;
}

static enum dz_code put_out(struct imoog *m, const struct dz_upload_rec *u,
                            const struct dz_body *body, struct dz_err *err)
{
    DZ_AUTO(dz_store_write_drop) struct dz_store_write *w = NULL;
    struct dz_blob_stat stat;
    bool is_new = false;
    DZ_TRY(dz_store_write_begin(m->other, &w, err));
    dz_store_write_declare(w, u->mime);
    DZ_TRY(dz_store_write_add(w, (dz_str){body->p, body->n}, err));
    DZ_TRY(dz_store_batch_take_named(m->batch, &w, u->id, u->mime, &stat, &is_new, err));
    if (!is_new) {
        count_known(m, u->id, false, "was put there meanwhile: that stays");
        return DZ_OK;
    }
    m->n++;
    m->bytes += body->n;
    return m->n >= AT_ONCE || m->bytes >= BYTES_AT_ONCE ? commit(m, err) : DZ_OK;
}

static enum dz_code export_upload(struct imoog *m, const struct dz_upload_rec *u,
                                  struct dz_err *err)
{
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    struct dz_store_named row;
    enum dz_code code =
        dz_store_named_get(m->other, u->id, DZ_STORE_BLOB_MAX, m->arena, &row, NULL, err);
    if (code == DZ_OK) {
        count_known(m, u->id, memcmp(&u->blob.sha, &row.stat.sha, sizeof(row.stat.sha)) == 0,
                    "is there with other bytes, which stay");
        return DZ_OK;
    }
    if (code != DZ_NOT_FOUND)
        return code;
    if (m->dry_run) {
        m->result.uploads_new++;
        m->result.bytes += u->blob.bytes;
        return DZ_OK;
    }
    DZ_TRY(dz_store_get(m->l->store, &u->blob.sha, DZ_STORE_BLOB_MAX, &body, err));
    return put_out(m, u, body, err);
}

static enum dz_code see_upload(void *arg, const struct dz_upload_rec *u, struct dz_err *err)
{
    struct imoog *m = arg;
    struct dz_err why = {0};
    DZ_TRY(next_row(m, err));
    enum dz_code code = export_upload(m, u, &why);
    return row_seen(m, u->id, code, &why, err);
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static enum dz_code run(struct imoog *m, bool is_export, struct dz_err *err)
{
    if (is_export) {
        DZ_TRY(dz_store_batch_begin(m->other, &m->batch, err));
        DZ_TRY(dz_catalog_uploads_all(m->l->catalog, see_upload, m, err));
        return commit(m, err);
    }
    enum dz_code code = dz_store_named_list(m->other, see_row, m, err);
    enum dz_code kept = keep(m, code == DZ_OK ? err : NULL); /* also when it was stopped */
    return code == DZ_OK ? kept : code;
}

enum dz_code library_imoog_copy(struct dz_library *l, struct dz_store *other, bool is_export,
                                bool dry_run, const struct dz_import_options *o,
                                struct dz_imoog_result *ret_result, struct dz_err *err)
{
    struct imoog m = {.l = l, .other = other, .dry_run = dry_run};
    m.teller = (struct import_teller){.o = o, .result = &m.told};
    m.arena = dz_arena_new(ROW_ARENA);
    enum dz_code code = DZ_OK;
    if (!dz_store_has_names(other))
        code = dz_fail(err, DZ_BAD_INPUT, "imoog keeps nothing in a store of %s",
                       dz_store_name(other));
    m.result.is_same = other == l->store;
    if (code == DZ_OK && !(is_export && m.result.is_same))
        code = run(&m, is_export, err);
    dz_store_batch_free(&m.batch);
    dz_arena_free(&m.arena);
    m.result.warnings = m.told.warnings;
    m.result.errors = m.told.errors;
    *ret_result = m.result;
    return code;
}

static bool is_same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* The store would make the table, which for a wrong name is not what somebody wants who reads. */
static enum dz_code check_table(const struct dz_imoog_place *p, struct dz_err *err)
{
    static const struct dz_pg_statement there = {"SELECT to_regclass($1::text) IS NOT NULL", true,
                                                 true};
    const struct dz_pg_options o = {.uri = p->uri, .pool_max = 1};
    DZ_AUTO(dz_buf_done) struct dz_buf quoted; /* as the store writes it */
    dz_buf_init(&quoted, DZ_KIB);
    dz_pg_put_name(&quoted, dz_str_of(p->table));
    for (size_t i = 0; i < quoted.n; i++)
        if (quoted.p[i] >= 'A' && quoted.p[i] <= 'Z')
            quoted.p[i] = (char)(quoted.p[i] + ('a' - 'A'));
    struct dz_pg_param table = dz_pg_p_str(dz_buf_str(&quoted));
    struct dz_pg *pg = NULL;
    struct dz_pg_conn *conn = NULL;
    struct dz_pg_rows *rows = NULL;
    bool has = false;
    DZ_TRY(dz_pg_open(&o, &pg, err));
    enum dz_code code = dz_pg_take(pg, &conn, err);
    if (code == DZ_OK)
        code = dz_pg_run(conn, &there, &table, 1, &rows, err);
    if (code == DZ_OK)
        has = dz_pg_n(rows) > 0 && dz_pg_int(rows, 0, 0) != 0;
    if (code == DZ_OK && !has)
        code = dz_fail(err, DZ_NOT_FOUND, "%s has no table %s; name it with --table",
                       dz_pg_place(pg), p->table);
    dz_pg_rows_free(&rows);
    dz_pg_give(&conn);
    dz_pg_close(&pg);
    return code;
}

enum dz_code dz_library_imoog(struct dz_library *l, const struct dz_imoog_place *p, bool is_export,
                              bool dry_run, const struct dz_import_options *o,
                              struct dz_imoog_result *ret_result, struct dz_err *err)
{
    *ret_result = (struct dz_imoog_result){.is_same = false};
    const struct dz_conf *c = l->conf;
    bool is_postgres = is_same(p->driver, "postgres");
    if (is_same(p->driver, dz_conf_driver_name(c->store.driver)) && is_same(p->uri, c->store.uri) &&
        (is_postgres ? is_same(p->table, c->store.table)
                     : is_same(p->database, c->store.database) &&
                           is_same(p->collection, c->store.collection)))
        return library_imoog_copy(l, l->store, is_export, dry_run, o, ret_result, err);
    const struct dz_store_driver *driver = dz_store_driver_find(dz_str_of(p->driver), err);
    if (!driver)
        return DZ_BAD_INPUT;
    if (is_postgres && (!is_export || dry_run))
        DZ_TRY(check_table(p, err));
    const struct dz_store_options so = {.data_dir = c->data_dir,
                                        .uri = p->uri,
                                        .table = p->table,
                                        .database = p->database,
                                        .collection = p->collection,
                                        .pool_min = 1,
                                        .pool_max = 2,
                                        .level = c->store.compression_level};
    DZ_AUTO(dz_store_close) struct dz_store *other = NULL;
    DZ_TRY(dz_store_open_options(driver, &so, &other, err));
    return library_imoog_copy(l, other, is_export, dry_run, o, ret_result, err);
}
