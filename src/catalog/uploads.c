/*
 * uploads: the wrappers for files that somebody has sent.
 *
 * In: calls of library and commands. Out: the driver's answer. Ids and types come from clients and
 * imports: they are checked here, once, for every driver. Any thread, but none that has a batch
 * open. An id may be any text: those of older services are taken as they are.
 */
#include "catalog/catalog_int.h"

static enum dz_code check_id(dz_str id, struct dz_err *err)
{
    DZ_TRY(dz_check_text(&(struct dz_text_check){"id", id, DZ_TEXT_MAX, DZ_TEXT_UTF8}, err));
    return id.n > 0 ? DZ_OK : dz_fail(err, DZ_BAD_INPUT, "the id of an upload is empty");
}

static enum dz_code check_upload(const struct dz_upload_rec *u, struct dz_err *err)
{
    DZ_TRY(check_id(u->id, err));
    DZ_TRY(dz_check_text(&(struct dz_text_check){"type", u->mime, DZ_TEXT_MAX, DZ_TEXT_UTF8}, err));
    return dz_check_blob(&u->blob, err);
}

enum dz_code dz_catalog_uploads_put(struct dz_catalog *c, const struct dz_upload_rec *v, size_t n,
                                    bool *ret_new, struct dz_err *err)
{
    DZ_TRY(dz_check_records("uploads", n, err));
    for (size_t i = 0; i < n; i++)
        DZ_TRY(check_upload(&v[i], err));
    return n > 0 ? c->driver->uploads_put(c->self, v, n, ret_new, err) : DZ_OK;
}

enum dz_code dz_catalog_upload_get(struct dz_catalog *c, dz_str id, struct dz_arena *a,
                                   struct dz_upload_rec *ret_u, struct dz_err *err)
{
    DZ_TRY(check_id(id, err));
    return c->driver->upload_get(c->self, id, a, ret_u, err);
}

enum dz_code dz_catalog_uploads_del(struct dz_catalog *c, const dz_str *ids, size_t n,
                                    bool *ret_was, struct dz_err *err)
{
    DZ_TRY(dz_check_records("uploads", n, err));
    for (size_t i = 0; i < n; i++)
        DZ_TRY(check_id(ids[i], err));
    return n > 0 ? c->driver->uploads_del(c->self, ids, n, ret_was, err) : DZ_OK;
}

enum dz_code dz_catalog_uploads_gone(struct dz_catalog *c, uint64_t since, struct dz_arena *a,
                                     dz_str **ret_ids, size_t *ret_n, bool *ret_more,
                                     uint64_t *ret_seq, struct dz_err *err)
{
    return c->driver->uploads_gone(c->self, since, a, ret_ids, ret_n, ret_more, ret_seq, err);
}

enum dz_code dz_catalog_uploads_all(struct dz_catalog *c, dz_upload_fn *fn, void *arg,
                                    struct dz_err *err)
{
    return c->driver->uploads_all(c->self, fn, arg, err);
}
