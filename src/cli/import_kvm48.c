/*
 * import_kvm48: which collection data.db of KVM48 belongs to.
 *
 * In: the settings and the open catalog. Out: the collection PerfVOD as source live.48.cn declares
 * it, else as the catalog keeps it from an earlier crawl or import, so that an export needs no
 * source. The caller unrefs. Sources that cannot be loaded are no matter of this command.
 */
#include <stdlib.h>

#include "cli/cli_int.h"
#include "cli/import_int.h"
#include "source/source.h"

#define SOURCE_ID DZ_S("live.48.cn")
#define COLLECTION "PerfVOD"
#define ARENA_MAX (64 * DZ_MIB)

static void not_ours(void *arg, const struct dz_err *e)
{
    (void)arg;
    (void)e;
}

/* ret_c stays NULL when the source does not declare it. */
static enum dz_code parse_declared(dz_str collections, struct dz_collection **ret_c,
                                   struct dz_err *err)
{
    enum dz_code code = DZ_OK;
    json_t *list = json_loadb(collections.n ? collections.p : "", collections.n, 0, NULL);
    for (size_t i = 0; i < json_array_size(list) && code == DZ_OK && !*ret_c; i++) {
        const json_t *o = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(o, "name"));
        if (!name || strcmp(name, COLLECTION) != 0)
            continue;
        char *text = json_dumps(o, JSON_COMPACT);
        code = dz_collection_parse(SOURCE_ID, dz_str_of(text), ret_c, err);
        free(text);
    }
    json_decref(list);
    return code;
}

static enum dz_code of_source(const struct dz_conf *conf, struct dz_collection **ret_c,
                              struct dz_err *err)
{
    DZ_AUTO(dz_sources_free) struct dz_sources *sources = NULL;
    DZ_TRY(dz_sources_load(conf, not_ours, NULL, &sources, err));
    const struct dz_source *s = dz_sources_find(sources, SOURCE_ID);
    return s ? parse_declared(dz_source_info_of(s)->collections, ret_c, err) : DZ_OK;
}

static enum dz_code of_catalog(struct dz_catalog *catalog, struct dz_collection **ret_c,
                               struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(ARENA_MAX);
    struct dz_collection_rec *v;
    size_t n;
    DZ_TRY(dz_catalog_collections(catalog, a, &v, &n, err));
    for (size_t i = 0; i < n && !*ret_c; i++)
        if (dz_str_eq(v[i].source, SOURCE_ID) && dz_str_eq(v[i].name, DZ_S(COLLECTION)))
            DZ_TRY(dz_collection_parse(v[i].source, v[i].declaration, ret_c, err));
    return DZ_OK;
}

enum dz_code dz_kvm48_collection(const struct dz_conf *conf, struct dz_catalog *catalog,
                                 struct dz_collection **ret_c, struct dz_err *err)
{
    struct dz_collection *c = NULL;
    DZ_TRY(of_source(conf, &c, err));
    if (!c)
        DZ_TRY(of_catalog(catalog, &c, err));
    if (!c)
        return dz_fail(
            err, DZ_NOT_FOUND,
            "neither a source live.48.cn nor the catalog has the collection " COLLECTION);
    *ret_c = c;
    return DZ_OK;
}
