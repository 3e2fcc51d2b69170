/*
 * crawl_what: which source and which series somebody means.
 *
 * In: "SOURCE", "SOURCE/ID", or the address of a page. Out: a source that is there, and the id of
 * the series at the site, n = 0 for the whole source. An address is put to the source that knows
 * its beginning; one of a chapter is asked for its series. The loop runs only here, on the calling
 * thread, until the answer is there; SIGINT ends the process, which loses nothing.
 */
#include "cli/crawl_int.h"

/* Appends the id of the series that the address leads to; nothing: the source knows none. */
static enum dz_code resolve_on(struct dz_asker *k, dz_str url, struct dz_buf *ret_target,
                               struct dz_err *err)
{
    json_t *found = NULL, *series = NULL;
    DZ_TRY(dz_asker_ask_text(k, DZ_FN_RESOLVE, url, &found, err));
    dz_str id = dz_json_text_at(found, "id");
    enum dz_code code = DZ_OK;
    if (dz_str_eq(dz_json_text_at(found, "kind"), DZ_S("chapter"))) {
        code = dz_asker_ask_text(k, DZ_FN_SERIES_OF, id, &series, err);
        id = dz_json_text(series);
    }
    if (code == DZ_OK)
        dz_buf_put(ret_target, id);
    json_decref(series);
    json_decref(found);
    return code;
}

static enum dz_code ask(const struct dz_conf *conf, struct dz_source *s, dz_str url,
                        struct dz_asker *k, struct dz_buf *ret_target, struct dz_err *err)
{
    DZ_AUTO(dz_loop_free) struct dz_loop *l = NULL;
    DZ_AUTO(dz_fetch_free) struct dz_fetch *fetch = NULL;
    DZ_TRY(dz_loop_new(&l, err));
    DZ_TRY(dz_cli_fetch_new(l, conf, &fetch, err));
    enum dz_code code = dz_asker_open(k, l, fetch, s, err);
    if (code == DZ_OK)
        code = resolve_on(k, url, ret_target, err);
    dz_asker_close(k);
    return code;
}

static int resolve(const struct dz_conf *conf, struct dz_source *s, dz_str url,
                   struct dz_buf *ret_target)
{
    struct dz_asker k = {0};
    struct dz_err err = {0};
    if (ask(conf, s, url, &k, ret_target, &err) != DZ_OK) {
        bool source_said = k.fail.kind != DZ_SOURCE_OK;
        dz_say(&dz_cmd_crawl, "%s", source_said ? k.fail.text : err.text);
        return k.fail.kind == DZ_SOURCE_BAD_URL ? DZ_EXIT_USAGE : DZ_EXIT_FAILED;
    }
    if (ret_target->n == 0)
        return dz_usage_error(&dz_cmd_crawl, "%.*s knows no series at this address",
                              DZ_STR_FMT(dz_source_info_of(s)->id));
    return DZ_EXIT_OK;
}

static const char *source_at(const void *table, size_t i)
{
    const struct dz_sources *v = table;
    /* Ids are texts of a declaration, which ends them with a NUL. */
    return i < dz_sources_count(v) ? dz_source_info_of(dz_sources_at(v, i))->id.p : NULL;
}

static int say_unknown(const struct dz_sources *sources, dz_str name)
{
    const char *near = dz_nearest(name, source_at, sources);
    int n = (int)(name.n < 100 ? name.n : 100);
    if (near)
        return dz_usage_error(&dz_cmd_crawl, "there is no source \"%.*s\"; did you mean \"%s\"?", n,
                              name.p, near);
    return dz_usage_error(&dz_cmd_crawl, "there is no source \"%.*s\"; dozo sources lists them", n,
                          name.p);
}

int dz_crawl_what(const struct dz_conf *conf, const struct dz_sources *sources, const char *what,
                  struct dz_buf *ret_source, struct dz_buf *ret_target)
{
    dz_str text = dz_str_of(what);
    struct dz_source *s;
    if (dz_str_find(text, DZ_S("://")) != DZ_NPOS) {
        s = dz_sources_match(sources, text);
        if (!s)
            return dz_usage_error(&dz_cmd_crawl, "no source knows this address; dozo sources lists "
                                                 "what they are for");
        dz_buf_put(ret_source, dz_source_info_of(s)->id);
        return resolve(conf, s, text, ret_target);
    }
    size_t slash = dz_str_chr(text, '/');
    dz_str name = dz_str_sub(text, 0, slash);
    s = dz_sources_find(sources, name);
    if (!s)
        return say_unknown(sources, name);
    dz_buf_put(ret_source, name);
    dz_buf_put(ret_target, dz_str_after(text, slash));
    if (ret_target->n > 0 && dz_str_eq(name, DZ_S("local")))
        return dz_usage_error(&dz_cmd_crawl, "the source local is read as a whole: dozo crawl "
                                             "local; dozo import takes single folders");
    if (ret_target->full)
        return dz_usage_error(&dz_cmd_crawl, "an id has at most %u bytes", DZ_TEXT_MAX);
    return DZ_EXIT_OK;
}
