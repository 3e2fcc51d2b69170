/*
 * marks: the wrappers for what readers say of chapters and series, and for checksums of blobs.
 *
 * In: calls of crawl, api and commands. Out: the driver's answer. Ids are those of the source and
 * come from clients and imports: they are checked here, once, for every driver. Any thread, but
 * none that has a batch open. Odd: an id is UTF-8 here, unlike the names of files, because it
 * leaves in JSON.
 */
#include "catalog/catalog_int.h"

/* Both name something at a source. */
static enum dz_code check_ids(dz_str source, const char *field, dz_str id, struct dz_err *err)
{
    const struct dz_text_check v[] = {{"source", source, DZ_TEXT_MAX, DZ_TEXT_UTF8},
                                      {field, id, DZ_TEXT_MAX, DZ_TEXT_UTF8}};
    DZ_TRY(dz_check_texts(v, DZ_LEN(v), err));
    if (source.n == 0 || id.n == 0)
        return dz_fail(err, DZ_BAD_INPUT, "%s is empty", source.n ? field : "source");
    return DZ_OK;
}

static enum dz_code check_mark(const struct dz_mark_rec *m, struct dz_err *err)
{
    DZ_TRY(check_ids(m->source, "chapter", m->chapter, err));
    DZ_TRY(dz_check_text(&(struct dz_text_check){"series", m->series, DZ_TEXT_MAX, DZ_TEXT_UTF8},
                         err));
    if (m->mark != DZ_MARK_DOWNLOADED && m->mark != DZ_MARK_IGNORED)
        return dz_fail(err, DZ_BAD_INPUT, "mark %d is none", m->mark);
    return DZ_OK;
}

static enum dz_code in_list(enum dz_code code, size_t i, size_t n, struct dz_err *err)
{
    return code == DZ_OK || n == 1 ? code : dz_wrap(err, code, "mark %zu of %zu", i + 1, n);
}

enum dz_code dz_catalog_marks_put(struct dz_catalog *c, const struct dz_mark_rec *v, size_t n,
                                  struct dz_err *err)
{
    DZ_TRY(dz_check_records("marks", n, err));
    for (size_t i = 0; i < n; i++)
        DZ_TRY(in_list(check_mark(&v[i], err), i, n, err));
    return n > 0 ? c->driver->marks_put(c->self, v, n, err) : DZ_OK;
}

enum dz_code dz_catalog_marks_del(struct dz_catalog *c, const struct dz_mark_rec *v, size_t n,
                                  struct dz_err *err)
{
    DZ_TRY(dz_check_records("marks", n, err));
    for (size_t i = 0; i < n; i++)
        DZ_TRY(in_list(check_ids(v[i].source, "chapter", v[i].chapter, err), i, n, err));
    return n > 0 ? c->driver->marks_del(c->self, v, n, err) : DZ_OK;
}

enum dz_code dz_catalog_marks_of(struct dz_catalog *c, dz_str source, const dz_str *chapters,
                                 size_t n, struct dz_arena *a, struct dz_mark_rec **ret_v,
                                 size_t *ret_n, struct dz_err *err)
{
    DZ_TRY(dz_check_records("chapters", n, err));
    for (size_t i = 0; i < n; i++)
        DZ_TRY(in_list(check_ids(source, "chapter", chapters[i], err), i, n, err));
    return c->driver->marks_of(c->self, source, chapters, n, a, ret_v, ret_n, err);
}

enum dz_code dz_catalog_marks_of_series(struct dz_catalog *c, dz_str source, dz_str series,
                                        struct dz_arena *a, struct dz_mark_rec **ret_v,
                                        size_t *ret_n, struct dz_err *err)
{
    DZ_TRY(check_ids(source, "series", series, err));
    return c->driver->marks_of_series(c->self, source, series, a, ret_v, ret_n, err);
}

enum dz_code dz_catalog_favourite_put(struct dz_catalog *c, dz_str source, dz_str series,
                                      int64_t now_ms, bool *ret_new, struct dz_err *err)
{
    DZ_TRY(check_ids(source, "series", series, err));
    return c->driver->favourite_put(c->self, source, series, now_ms, ret_new, err);
}

enum dz_code dz_catalog_favourite_del(struct dz_catalog *c, dz_str source, dz_str series,
                                      bool *ret_was, struct dz_err *err)
{
    DZ_TRY(check_ids(source, "series", series, err));
    return c->driver->favourite_del(c->self, source, series, ret_was, err);
}

enum dz_code dz_catalog_favourites(struct dz_catalog *c, dz_str source, struct dz_arena *a,
                                   struct dz_favourite_rec **ret_v, size_t *ret_n,
                                   struct dz_err *err)
{
    DZ_TRY(
        dz_check_text(&(struct dz_text_check){"source", source, DZ_TEXT_MAX, DZ_TEXT_UTF8}, err));
    return c->driver->favourites(c->self, source, a, ret_v, ret_n, err);
}

enum dz_code dz_catalog_blob_crcs(struct dz_catalog *c, const struct dz_sha256 *v, size_t n,
                                  uint64_t *ret_crcs, struct dz_err *err)
{
    DZ_TRY(dz_check_records("blobs", n, err));
    return n > 0 ? c->driver->blob_crcs(c->self, v, n, ret_crcs, err) : DZ_OK;
}

enum dz_code dz_catalog_blob_crcs_put(struct dz_catalog *c, const struct dz_sha256 *v,
                                      const uint32_t *crcs, size_t n, struct dz_err *err)
{
    DZ_TRY(dz_check_records("blobs", n, err));
    return n > 0 ? c->driver->blob_crcs_put(c->self, v, crcs, n, err) : DZ_OK;
}
