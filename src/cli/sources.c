/*
 * sources: the sources that are there, what they can do, and how they did.
 *
 * In: the built-in sources and those of sources.dir, the catalog's counts and health records. Out:
 * a table as wide as the terminal, or JSON. A source that could not be loaded is shown with its
 * error and is no failure of this command: looking is what it is for. No site is asked.
 */
#include <stdlib.h>

#include "cli/cli_int.h"
#include "crawl/crawl.h"
#include "library/library.h"

#define OUT_MAX (16 * DZ_MIB)
#define ARENA_MAX (64 * DZ_MIB)
#define PROBLEMS_MAX 1000u

enum { OPT_JSON };
static const struct dz_option options[] = {
    [OPT_JSON] = {"json", NULL, "the same as one JSON object on stdout", 0},
    {NULL, NULL, NULL, 0},
};

struct run {
    struct dz_arena *arena;
    struct dz_sources *sources;
    dz_str problems[PROBLEMS_MAX];
    size_t problems_n;
    struct dz_source_counts *counts;
    size_t counts_n;
    struct dz_crawl_health *health;
    size_t health_n;
    int64_t now_ms;
};

static void on_problem(void *arg, const struct dz_err *e)
{
    struct run *r = arg;
    if (r->problems_n < PROBLEMS_MAX)
        r->problems[r->problems_n++] = dz_arena_str(r->arena, dz_str_of(e->text));
}

static struct dz_source_counts counts_of(const struct run *r, dz_str id)
{
    for (size_t i = 0; i < r->counts_n; i++)
        if (dz_str_eq(r->counts[i].source, id))
            return r->counts[i];
    return (struct dz_source_counts){.source = id};
}

static const struct dz_crawl_health *health_of(const struct run *r, dz_str id)
{
    static const struct dz_crawl_health none;
    for (size_t i = 0; i < r->health_n; i++)
        if (dz_str_eq(r->health[i].source, id))
            return &r->health[i];
    return &none;
}

/* ---- the table ---------------------------------------------------------------------------------
 */

static void put_ago(struct dz_buf *b, const struct run *r, int64_t at_ms)
{
    if (at_ms <= 0)
        return;
    dz_buf_put_span(b, r->now_ms - at_ms);
    dz_buf_put(b, DZ_S(" ago"));
}

static void put_functions(struct dz_buf *b, const struct dz_source_info *info)
{
    for (int fn = 0; fn < DZ_FN_COUNT; fn++) {
        if (!info->has[fn])
            continue;
        if (b->n > 0)
            dz_buf_putc(b, ' ');
        dz_buf_put(b, dz_str_of(dz_source_fn_name((enum dz_source_fn)fn)));
    }
}

/* "www.viz.com 30 s" for each host that wants to be left alone. */
static void put_pauses(struct dz_buf *b, const struct run *r, const struct dz_crawl_health *h)
{
    for (size_t i = 0; i < h->hosts_n; i++) {
        if (h->hosts[i].paused_until_ms <= r->now_ms)
            continue;
        if (b->n > 0)
            dz_buf_put(b, DZ_S(", "));
        dz_buf_put(b, h->hosts[i].host);
        dz_buf_putc(b, ' ');
        dz_buf_put_span(b, h->hosts[i].paused_until_ms - r->now_ms + 999);
    }
}

static void add_source(struct dz_table *t, const struct run *r, const struct dz_source *s)
{
    const struct dz_source_info *info = dz_source_info_of(s);
    const struct dz_crawl_health *h = health_of(r, info->id);
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 16 * DZ_KIB);
    dz_table_add(t, info->id);
    dz_table_add(t, info->version);
    dz_table_add(t, info->built_in ? DZ_S("built in") : DZ_S("file"));
    dz_table_add(t, info->enabled ? DZ_S("yes") : DZ_S("no"));
    dz_buf_put_u64(&b, counts_of(r, info->id).series);
    dz_table_add(t, dz_buf_str(&b));
    dz_buf_clear(&b);
    put_ago(&b, r, h->last_ok_ms);
    dz_table_add(t, dz_buf_str(&b));
    dz_buf_clear(&b);
    if (h->last_error_ms > 0) {
        put_ago(&b, r, h->last_error_ms);
        dz_buf_put(&b, DZ_S(", "));
        dz_buf_put(&b, h->last_kind);
        dz_buf_put(&b, DZ_S(": "));
        dz_buf_put(&b, h->last_text);
    }
    dz_table_add(t, dz_buf_str(&b));
    dz_buf_clear(&b);
    put_pauses(&b, r, h);
    dz_table_add(t, dz_buf_str(&b));
    dz_buf_clear(&b);
    put_functions(&b, info);
    dz_table_add(t, dz_buf_str(&b));
}

static void put_table(const struct run *r, struct dz_buf *out)
{
    static const char *const heads[] = {"SOURCE",  "VERSION",    "FROM",   "ON", "SERIES",
                                        "LAST OK", "LAST ERROR", "PAUSED", "HAS"};
    size_t columns = SIZE_MAX, rows;
    (void)dz_terminal_size(&columns, &rows);
    DZ_AUTO(dz_table_done) struct dz_table t;
    dz_table_init(&t, heads, DZ_LEN(heads));
    for (size_t i = 0; i < dz_sources_count(r->sources); i++)
        add_source(&t, r, dz_sources_at(r->sources, i));
    dz_table_put(&t, columns, "\n", out);
    for (size_t i = 0; i < r->problems_n; i++) {
        dz_buf_put(out, DZ_S("not loaded: "));
        dz_text_put(out, r->problems[i], SIZE_MAX);
        dz_buf_putc(out, '\n');
    }
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static void put_health(struct dz_json *j, const struct dz_crawl_health *h)
{
    dz_member_time(j, "last_success", h->last_ok_ms);
    dz_member_time(j, "last_error", h->last_error_ms);
    dz_member_text(j, "last_error_kind", h->last_kind);
    dz_member_text(j, "last_error_text", h->last_text);
    dz_member_int(j, "last_requests", (int64_t)h->requests);
    dz_member_int(j, "requests", (int64_t)h->requests_total);
    dz_member_int(j, "last_took_ms", h->took_ms);
    dz_json_key(j, DZ_S("hosts_asked"));
    dz_json_array(j);
    for (size_t i = 0; i < h->hosts_n; i++) {
        const struct dz_crawl_health_host *o = &h->hosts[i];
        dz_json_object(j);
        dz_json_key(j, DZ_S("host"));
        dz_json_str(j, o->host);
        dz_member_int(j, "requests", (int64_t)o->requests);
        dz_member_int(j, "from_cache", (int64_t)o->from_cache);
        dz_member_int(j, "revalidated", (int64_t)o->revalidated);
        dz_member_int(j, "errors", (int64_t)o->errors);
        dz_member_int(j, "bytes", (int64_t)o->bytes);
        dz_member_int(j, "last_status", o->last_status);
        dz_member_int(j, "waited_ms", o->waited_ms);
        dz_member_time(j, "paused_until", o->paused_until_ms);
        dz_json_end(j);
    }
    dz_json_end(j);
}

static void put_source(struct dz_json *j, const struct run *r, const struct dz_source *s)
{
    const struct dz_source_info *info = dz_source_info_of(s);
    struct dz_source_counts counts = counts_of(r, info->id);
    const struct {
        const char *key;
        dz_str text;
    } texts[] = {
        {"id", info->id}, {"name", info->name}, {"version", info->version}, {"file", info->file}};
    dz_json_object(j);
    for (size_t i = 0; i < DZ_LEN(texts); i++) {
        dz_json_key(j, dz_str_of(texts[i].key));
        dz_json_str(j, texts[i].text);
    }
    dz_member_bool(j, "built_in", info->built_in);
    dz_member_bool(j, "enabled", info->enabled);
    dz_member_texts(j, "langs", info->langs, info->langs_n);
    dz_member_texts(j, "match", info->match, info->match_n);
    dz_member_texts(j, "hosts", info->hosts, info->hosts_n);
    dz_json_key(j, DZ_S("functions"));
    dz_json_array(j);
    for (int fn = 0; fn < DZ_FN_COUNT; fn++)
        if (info->has[fn])
            dz_json_str(j, dz_str_of(dz_source_fn_name((enum dz_source_fn)fn)));
    dz_json_end(j);
    dz_member_int(j, "series", (int64_t)counts.series);
    dz_member_int(j, "chapters", (int64_t)counts.chapters);
    put_health(j, health_of(r, info->id));
    dz_json_end(j);
}

static void put_json(const struct run *r, struct dz_buf *out)
{
    struct dz_json j;
    dz_json_init(&j, out, DZ_JSON_INDENT4, false);
    dz_json_object(&j);
    dz_json_key(&j, DZ_S("sources"));
    dz_json_array(&j);
    for (size_t i = 0; i < dz_sources_count(r->sources); i++)
        put_source(&j, r, dz_sources_at(r->sources, i));
    dz_json_end(&j);
    dz_member_texts(&j, "not_loaded", r->problems, r->problems_n);
    dz_json_end(&j);
    dz_buf_putc(out, '\n');
}

/* ---- the command -------------------------------------------------------------------------------
 */

/* Without a library there is nothing to tell but the sources themselves. */
static enum dz_code read_catalog(struct run *r, const struct dz_conf *conf, struct dz_err *err)
{
    DZ_AUTO(dz_catalog_close) struct dz_catalog *c = NULL;
    if (!dz_library_exists(conf))
        return DZ_OK;
    DZ_TRY(dz_catalog_open(dz_conf_driver_name(conf->catalog.driver), conf->data_dir,
                           conf->catalog.uri, &c, err));
    DZ_TRY(dz_catalog_source_counts(c, r->arena, &r->counts, &r->counts_n, err));
    return dz_crawl_health_list(c, r->now_ms, r->arena, &r->health, &r->health_n, err);
}

static int sources_with(const struct dz_args *a, const struct dz_conf *conf)
{
    DZ_AUTO(dz_freep) struct run *r = dz_new(struct run);
    DZ_AUTO(dz_arena_free) struct dz_arena *arena = dz_arena_new(ARENA_MAX);
    r->arena = arena;
    r->now_ms = dz_now_ms();
    struct dz_err err;
    enum dz_code code = dz_sources_load(conf, on_problem, r, &r->sources, &err);
    if (code == DZ_OK)
        code = read_catalog(r, conf, &err);
    if (code != DZ_OK) {
        dz_say(&dz_cmd_sources, "%s", err.text);
        dz_sources_free(&r->sources);
        return DZ_EXIT_FAILED;
    }
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, OUT_MAX);
    if (a->value[OPT_JSON])
        put_json(r, &out);
    else
        put_table(r, &out);
    dz_print(&out);
    dz_sources_free(&r->sources);
    return DZ_EXIT_OK;
}

static int run_sources(int argc, char **argv)
{
    struct dz_args a;
    int status;
    if (!dz_args_begin(&dz_cmd_sources, argc, argv, &a, &status))
        return status;
    struct dz_conf *conf = NULL;
    if (a.operands_n > 0)
        status = dz_usage_error(&dz_cmd_sources, "it takes no \"%.100s\"", a.operands[0]);
    else
        status = dz_settings_load(&dz_cmd_sources, a.config, &conf) ? sources_with(&a, conf)
                                                                    : DZ_EXIT_FAILED;
    dz_conf_unref(&conf);
    dz_args_done(&a);
    return status;
}

const struct dz_command dz_cmd_sources = {
    .name = "sources",
    .summary = "the sites that can be crawled, and how they did",
    .usage = "sources [--json]",
    .help = "Lists the built-in sources and those of sources.dir: version, whether it is\n"
            "switched on, series of it in the library, its last success, its last error,\n"
            "hosts that want to be left alone, and the functions it has. A source that\n"
            "cannot be loaded is shown with the reason. No site is asked.\n"
            "\n"
            "Exit status: 0 done, 1 failed, 2 wrong use.",
    .options = options,
    .run = run_sources,
};
