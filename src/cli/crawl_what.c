/*
 * crawl_what: which source and which series somebody means.
 *
 * In: "SOURCE", "SOURCE/ID", or the address of a page. Out: a source that is there, and the id of
 * the series at the site, n = 0 for the whole source. An address is put to the source that knows
 * its beginning; one of a chapter is asked for its series. The loop runs only here, on the calling
 * thread, until the answer is there; SIGINT ends the process, which loses nothing.
 */
#include "cli/crawl_int.h"

struct asking {
    struct dz_loop *loop;
    struct dz_buf kind, id; /* what resolve() said; kind n = 0: nothing */
    struct dz_source_fail fail;
};

static void take_text(struct dz_buf *to, const json_t *v)
{
    dz_buf_clear(to);
    if (json_is_string(v))
        dz_buf_put(to, (dz_str){json_string_value(v), json_string_length(v)});
}

static void on_resolved(void *arg, const struct dz_source_result *res)
{
    struct asking *k = arg;
    if (res->fail) {
        k->fail = *res->fail;
    } else {
        take_text(&k->kind, json_object_get(res->value, "kind"));
        take_text(&k->id, json_object_get(res->value, "id"));
    }
    dz_loop_stop(k->loop);
}

static void on_series(void *arg, const struct dz_source_result *res)
{
    struct asking *k = arg;
    if (res->fail)
        k->fail = *res->fail;
    else
        take_text(&k->id, res->value);
    dz_loop_stop(k->loop);
}

static enum dz_code call(struct asking *k, struct dz_source_run *run, enum dz_source_fn fn,
                         dz_str text, dz_source_done_fn *done, struct dz_err *err)
{
    json_t *args = json_pack("[s%]", text.p, text.n);
    enum dz_code code = args ? dz_source_run_call(run, fn, args, done, k, err)
                             : dz_fail(err, DZ_BAD_INPUT, "the address is not UTF-8");
    if (code == DZ_OK)
        dz_loop_run(k->loop);
    json_decref(args);
    return code;
}

static enum dz_code resolve_on(struct asking *k, const struct dz_conf *conf, struct dz_source *s,
                               dz_str url, struct dz_err *err)
{
    DZ_AUTO(dz_fetch_free) struct dz_fetch *fetch = NULL;
    struct dz_fetch_options o = {
        .user_agent = conf->sources.user_agent && conf->sources.user_agent[0]
                          ? conf->sources.user_agent
                          : "dozo/" DZ_VERSION,
        .connect_timeout_ms = conf->sources.connect_timeout_ms,
        .read_timeout_ms = conf->sources.read_timeout_ms,
    };
    DZ_TRY(dz_fetch_new(k->loop, &o, &fetch, err));
    struct dz_source_env env = {.loop = k->loop, .fetch = fetch};
    DZ_AUTO(dz_source_run_free) struct dz_source_run *run = NULL;
    DZ_TRY(dz_source_run_new(s, &env, NULL, &run, err));
    DZ_TRY(call(k, run, DZ_FN_RESOLVE, url, on_resolved, err));
    if (k->fail.kind != DZ_SOURCE_OK || !dz_str_eq(dz_buf_str(&k->kind), DZ_S("chapter")))
        return DZ_OK;
    DZ_AUTO(dz_buf_done) struct dz_buf chapter;
    dz_buf_init(&chapter, DZ_TEXT_MAX);
    dz_buf_put(&chapter, dz_buf_str(&k->id));
    return call(k, run, DZ_FN_SERIES_OF, dz_buf_str(&chapter), on_series, err);
}

static int resolve(const struct dz_conf *conf, struct dz_source *s, dz_str url,
                   struct dz_buf *ret_target)
{
    struct asking k = {.fail.retry_after_ms = -1};
    struct dz_err err = {0};
    dz_buf_init(&k.kind, DZ_TEXT_MAX);
    dz_buf_init(&k.id, DZ_TEXT_MAX);
    enum dz_code code = dz_loop_new(&k.loop, &err);
    if (code == DZ_OK)
        code = resolve_on(&k, conf, s, url, &err);
    dz_loop_free(&k.loop);
    int status = DZ_EXIT_OK;
    dz_str id = dz_source_info_of(s)->id;
    if (code != DZ_OK || k.fail.kind != DZ_SOURCE_OK) {
        dz_say(&dz_cmd_crawl, "%s", code != DZ_OK ? err.text : k.fail.text);
        status = k.fail.kind == DZ_SOURCE_BAD_URL ? DZ_EXIT_USAGE : DZ_EXIT_FAILED;
    } else if (k.id.n == 0) {
        status =
            dz_usage_error(&dz_cmd_crawl, "%.*s knows no series at this address", DZ_STR_FMT(id));
    } else {
        dz_buf_put(ret_target, dz_buf_str(&k.id));
    }
    dz_buf_done(&k.kind);
    dz_buf_done(&k.id);
    return status;
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
    if (ret_target->full)
        return dz_usage_error(&dz_cmd_crawl, "an id has at most %u bytes", DZ_TEXT_MAX);
    return DZ_EXIT_OK;
}
