/*
 * expect: tests of a source, offline: functions called, results compared, nothing asked.
 *
 * In: a folder with source.lua, expect.json and fixtures/ as docs/sources.md describes them. Out: a
 * word on every case, with the paths where a result is another one than expected. Each case is a
 * run of its own, so that what a source remembers between calls shows only where the case says so.
 * What is not recorded is asked of the site only when the caller says so.
 * Makes a loop of its own and turns it until each call is done; blocking, any one thread.
 */
#include "source/replay.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define EXPECT_MAX (16 * DZ_MIB)
#define FILES_MAX 1000u
#define PROBLEMS_MAX (64 * DZ_KIB)
#define DIFFS_MAX 8u
#define CASES_MAX 10000u
#define NAMED_MAX 32u
#define OPTIONS_MAX 64u

struct trial {
    struct dz_source_test *t;
    struct dz_loop *loop;
    struct dz_arena *arena;
    struct replay *replay;
    struct recorder *recorder; /* NULL: nothing is asked */
    struct dz_buf text;        /* of source.lua */
    json_t *doc;
    struct dz_source_env env;
    struct dz_source *source; /* of the case */
    json_t *store;            /* of the case */
    struct gather *gather;    /* of the case, cleared for each call */
    struct dz_buf problems;   /* of the case */
    unsigned diffs;
    bool done, called[DZ_FN_COUNT];
    struct dz_source_fail fail;
    json_t *value;
    uint64_t requests;
};

/* ---- what a run needs from outside ----------------------------------------------------------- */

static void send(void *arg, const struct dz_fetch_req *req, struct dz_fetch_call **ret_call)
{
    struct trial *t = arg;
    if (t->recorder && !replay_has(t->replay, req))
        record_send(t->recorder, req);
    else
        replay_send(t->replay, req);
    if (ret_call)
        *ret_call = NULL;
}

static bool kv_get(void *arg, dz_str source, dz_str key, struct dz_buf *out)
{
    (void)source;
    struct trial *t = arg;
    const json_t *v = json_object_getn(t->store, key.p, key.n);
    if (v)
        src_put_json(out, v, false);
    return v != NULL;
}

static void kv_set(void *arg, dz_str source, dz_str key, dz_str json, int64_t expires_s)
{
    (void)source;
    (void)expires_s;
    struct trial *t = arg;
    json_t *v = json.n ? json_loadb(json.p, json.n, JSON_DECODE_ANY, NULL) : NULL;
    if (v)
        json_object_setn_new(t->store, key.p, key.n, v);
    else
        json_object_deln(t->store, key.p, key.n);
}

static void put_log(void *arg, enum dz_level level, dz_str text)
{
    struct trial *t = arg;
    if (level == DZ_DEBUG || !t->t->log)
        return;
    t->t->log(t->t->arg, text);
}

static void ask(void *arg, struct dz_source_ask *take_ask)
{
    const struct trial *t = arg;
    gather_ask(t->gather, take_ask);
}

static void trouble(void *arg, enum dz_source_kind kind, dz_str text)
{
    const struct trial *t = arg;
    gather_trouble(t->gather, kind, text);
}

static enum dz_code archive(void *arg, dz_str name, dz_str bytes, struct dz_err *err)
{
    (void)err;
    const struct trial *t = arg;
    gather_archive(t->gather, name, bytes);
    return DZ_OK;
}

static const struct dz_source_sink sink = {.ask = ask, .trouble = trouble, .archive = archive};

/* ---- comparing ------------------------------------------------------------------------------- */

static void problem(struct trial *t, const char *fmt, ...) DZ_PRINTF(2, 3);
static void problem(struct trial *t, const char *fmt, ...)
{
    char text[2000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (t->problems.n)
        dz_buf_putc(&t->problems, '\n');
    dz_buf_put(&t->problems, dz_str_of(text));
}

/* What a result need not say: nothing, an empty list, a table of nothing. */
static bool is_empty(const json_t *v)
{
    const char *key;
    json_t *member;
    if (!v || json_is_null(v) || (json_is_array(v) && json_array_size(v) == 0))
        return true;
    if (!json_is_object(v))
        return false;
    json_object_foreach((json_t *)(uintptr_t)v, key, member) if (!is_empty(member)) return false;
    return true;
}

/* A value in one line, cut; in the arena. */
static const char *shown(struct trial *t, const json_t *v)
{
    char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    dz_str s = text ? dz_str_of(text) : DZ_S("nothing");
    bool cut = s.n > 300;
    dz_str copy = dz_arena_printf(t->arena, "%.*s%s", (int)(cut ? 300 : s.n), s.p, cut ? "…" : "");
    free(text);
    return copy.p;
}

static void differ(struct trial *t, const char *path, const json_t *want, const json_t *got)
{
    if (++t->diffs > DIFFS_MAX)
        return;
    problem(t, "%s: expected %s, got %s", path, shown(t, want), shown(t, got));
}

static void compare(struct trial *t, const char *path, const json_t *want, const json_t *got);

static void compare_objects(struct trial *t, const char *path, const json_t *want,
                            const json_t *got)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)want, key, v)
    {
        dz_str at = dz_arena_printf(t->arena, "%s%s%s", path, path[0] ? "." : "", key);
        compare(t, at.p, v, json_object_get(got, key));
    }
    json_object_foreach((json_t *)(uintptr_t)got, key, v)
    {
        if (json_object_get(want, key) || is_empty(v))
            continue;
        dz_str at = dz_arena_printf(t->arena, "%s%s%s", path, path[0] ? "." : "", key);
        differ(t, at.p, NULL, v);
    }
}

static void compare_lists(struct trial *t, const char *path, const json_t *want, const json_t *got)
{
    size_t n = json_array_size(want), m = json_array_size(got);
    for (size_t i = 0; i < n && i < m; i++) {
        dz_str at = dz_arena_printf(t->arena, "%s[%zu]", path, i);
        compare(t, at.p, json_array_get(want, i), json_array_get(got, i));
    }
    if (n == m)
        return;
    t->diffs++;
    problem(t, "%s: expected %zu of them, got %zu; the first that is %s: %s", path, n, m,
            n > m ? "missing" : "too many",
            shown(t, n > m ? json_array_get(want, m) : json_array_get(got, n)));
}

static void compare(struct trial *t, const char *path, const json_t *want, const json_t *got)
{
    if (is_empty(want) && is_empty(got))
        return;
    if (json_is_object(want) && json_is_object(got))
        compare_objects(t, path, want, got);
    else if (json_is_array(want) && json_is_array(got))
        compare_lists(t, path, want, got);
    else if (json_is_number(want) && json_is_number(got)
                 ? fabs(json_number_value(want) - json_number_value(got)) > 1e-9
                 : !json_equal(want, got))
        differ(t, path, want, got);
}

/* ---- one call -------------------------------------------------------------------------------- */

static void on_done(void *arg, const struct dz_source_result *res)
{
    struct trial *t = arg;
    t->done = true;
    t->requests = res->requests;
    t->fail = res->fail ? *res->fail : (struct dz_source_fail){0};
    if (res->body)
        t->value = gather_bytes((dz_str){res->body->p, res->body->n});
    else if (!res->fail)
        t->value = json_incref(res->value);
}

/* The addresses that dozo is going to ask for, which must be among those that may be asked. */
static void check_hosts(struct trial *t, const struct dz_source_info *info, const char *fn)
{
    size_t i;
    json_t *v;
    const json_t *list = json_is_array(t->value) ? t->value : NULL;
    const char *member = strcmp(fn, "volumes") == 0 ? "cover" : "url";
    bool asked = strcmp(fn, "pages") == 0 || strcmp(fn, "covers") == 0 ||
                 strcmp(fn, "volumes") == 0 || strcmp(fn, "cover") == 0;
    json_t *alone = NULL;
    if (asked && json_is_object(t->value))
        list = alone = json_pack("[O]", t->value);
    json_array_foreach(asked ? list : NULL, i, v)
    {
        const char *url = json_string_value(json_object_get(v, member));
        if (url && !replay_allows(info, dz_str_of(url)) && ++t->diffs <= DIFFS_MAX)
            problem(t, "%s[%zu].%s: the host of %.200s is not in `hosts`", fn, i, member, url);
    }
    json_decref(alone);
}

static void check_failure(struct trial *t, const char *fn, const json_t *want)
{
    const char *kind = json_string_value(json_object_get(want, "kind"));
    const char *text = json_string_value(json_object_get(want, "text"));
    const json_t *after = json_object_get(want, "retry_after");
    if (t->fail.kind == DZ_SOURCE_OK) {
        problem(t, "%s: expected a failure of the kind %s, got %s", fn, kind ? kind : "(any)",
                shown(t, t->value));
        return;
    }
    const char *got = dz_source_kind_of(t->fail.kind)->name;
    if (kind && strcmp(kind, got) != 0)
        problem(t, "%s: expected a failure of the kind %s, got %s: %s", fn, kind, got,
                t->fail.text);
    if (text && !strstr(t->fail.text, text))
        problem(t, "%s: expected a failure with \"%s\" in it, got: %s", fn, text, t->fail.text);
    double wanted_ms = json_number_value(after) * 1000;
    if (after && fabs(wanted_ms - (double)t->fail.retry_after_ms) > 0.5)
        problem(t, "%s: expected retry_after %s, got %.3f s", fn, shown(t, after),
                (double)t->fail.retry_after_ms / 1000);
}

static void check_result(struct trial *t, const char *fn, const json_t *c)
{
    const json_t *fails = json_object_get(c, "fails"), *requests = json_object_get(c, "requests");
    if (fails) {
        check_failure(t, fn, fails);
    } else if (t->fail.kind != DZ_SOURCE_OK) {
        problem(t, "%s: failed (%s): %s", fn, dz_source_kind_of(t->fail.kind)->name, t->fail.text);
    } else {
        t->diffs = 0;
        compare(t, fn, json_object_get(c, "result"), t->value);
        check_hosts(t, dz_source_info_of(t->source), fn);
        if (t->diffs > DIFFS_MAX)
            problem(t, "… and %u more differences", t->diffs - DIFFS_MAX);
    }
    const json_t *kept = json_object_get(c, "kept");
    if (kept)
        compare(t, "store", kept, t->store);
    if (requests && (uint64_t)json_integer_value(requests) != t->requests)
        problem(t, "%s: expected %s requests, got %llu", fn, shown(t, requests),
                (unsigned long long)t->requests);
}

static bool find_fn(const char *name, enum dz_source_fn *ret_fn)
{
    for (unsigned i = 0; name && i < DZ_FN_COUNT; i++) {
        if (strcmp(dz_source_fn_name((enum dz_source_fn)i), name) != 0)
            continue;
        *ret_fn = (enum dz_source_fn)i;
        return true;
    }
    return false;
}

/* crawl and download return nothing: what they handed over stands for it. */
static void take_gathered(struct trial *t, enum dz_source_fn fn)
{
    if (t->fail.kind != DZ_SOURCE_OK || (fn != DZ_FN_CRAWL && fn != DZ_FN_DOWNLOAD))
        return;
    json_decref(t->value);
    t->value = fn == DZ_FN_DOWNLOAD ? gather_of_download(t->gather) : gather_of_crawl(t->gather);
}

static void run_call(struct trial *t, struct dz_source_run *run, const json_t *c)
{
    const char *name = json_string_value(json_object_get(c, "call"));
    enum dz_source_fn fn = DZ_FN_COUNT;
    if (!find_fn(name, &fn)) {
        problem(t, "call: there is no function \"%.60s\"", name ? name : "");
        return;
    }
    t->called[fn] = true;
    gather_clear(t->gather);
    t->done = false;
    t->value = NULL;
    t->requests = 0;
    json_t *given = json_object_get(c, "args"), *args = given ? json_incref(given) : json_array();
    struct dz_err err;
    if (dz_source_run_call(run, fn, args, on_done, t, &err) != DZ_OK) {
        problem(t, "%s: %s", name, err.text);
    } else {
        while (!t->done)
            dz_loop_turn(t->loop, -1);
        take_gathered(t, fn);
        check_result(t, name, c);
    }
    json_decref(args);
    json_decref(t->value);
    t->value = NULL;
}

/* ---- one case -------------------------------------------------------------------------------- */

static char *option_text(struct trial *t, const json_t *v)
{
    if (json_is_string(v))
        return dz_arena_dup(t->arena, dz_str_of(json_string_value(v)));
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_MIB);
    if (!json_is_array(v)) {
        src_put_json(&b, v, false);
        return dz_arena_dup(t->arena, dz_buf_str(&b));
    }
    size_t i;
    json_t *one;
    json_array_foreach(v, i, one)
    {
        if (i)
            dz_buf_putc(&b, '\n');
        dz_buf_put(&b, dz_str_of(json_is_string(one) ? json_string_value(one) : ""));
    }
    return dz_arena_dup(t->arena, dz_buf_str(&b));
}

static void add_options(struct trial *t, const json_t *options, struct dz_pairs *to)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)options, key, v)
    {
        size_t i = 0;
        while (i < to->n && strcmp(to->v[i].name, key) != 0)
            i++;
        if (i == OPTIONS_MAX)
            return;
        to->v[i].name = dz_arena_dup(t->arena, dz_str_of(key));
        to->v[i].text = option_text(t, v);
        to->n = i == to->n ? i + 1 : to->n;
    }
}

/* The source with the options of the whole file and those of the case. The declaration is read
 * once without them for its id. */
static enum dz_code load(struct trial *t, const json_t *c, struct dz_source **ret_s,
                         struct dz_err *err)
{
    DZ_AUTO(dz_source_unref) struct dz_source *plain = NULL;
    DZ_TRY(dz_source_load(NULL, dz_buf_str(&t->text), "source.lua", &plain, err));
    const struct dz_source_info *info = dz_source_info_of(plain);
    struct dz_pair pairs[OPTIONS_MAX];
    struct dz_conf_source section = {
        .id = dz_arena_dup(t->arena, info->id), .enabled = true, .options = {pairs, 0}};
    add_options(t, json_object_get(t->doc, "options"), &section.options);
    add_options(t, json_object_get(c, "options"), &section.options);
    for (size_t i = 0; i < section.options.n; i++) {
        size_t k = 0;
        while (k < info->options_n && !dz_str_eq(info->options[k].name, dz_str_of(pairs[i].name)))
            k++;
        if (k == info->options_n)
            return dz_fail(err, DZ_BAD_INPUT, "options: the source has no option \"%.60s\"",
                           pairs[i].name);
    }
    struct dz_conf conf = {.sources = {.v = &section, .n = 1}};
    return dz_source_load(&conf, dz_buf_str(&t->text), "source.lua", ret_s, err);
}

static size_t names_of(const json_t *v, const char **names, size_t most)
{
    if (json_is_string(v)) {
        names[0] = json_string_value(v);
        return 1;
    }
    size_t n = 0, i;
    json_t *one;
    json_array_foreach(v, i, one) if (json_is_string(one) && n < most) names[n++] =
        json_string_value(one);
    return n;
}

static void run_calls(struct trial *t, const json_t *c)
{
    struct dz_err err;
    DZ_AUTO(dz_source_run_free) struct dz_source_run *run = NULL;
    if (dz_source_run_new(t->source, &t->env, NULL, &run, &err) != DZ_OK) {
        problem(t, "%s", err.text);
        return;
    }
    const json_t *calls = json_object_get(c, "calls");
    size_t i;
    json_t *one;
    if (!calls)
        run_call(t, run, c);
    json_array_foreach(calls, i, one) run_call(t, run, one);
}

static void run_case(struct trial *t, const json_t *c, size_t number)
{
    const char *names[NAMED_MAX], *name = json_string_value(json_object_get(c, "name"));
    const char *call = json_string_value(json_object_get(c, "call"));
    dz_str title = name ? dz_str_of(name)
                        : dz_arena_printf(t->arena, "case %zu: %s", number, call ? call : "calls");
    int64_t from_ns = dz_mono_ns();
    dz_buf_clear(&t->problems);
    t->store = json_deep_copy(json_object_get(c, "store"));
    if (!t->store)
        t->store = json_object();
    struct dz_err err;
    if (load(t, c, &t->source, &err) == DZ_OK) {
        size_t n = names_of(json_object_get(c, "fixtures"), names, NAMED_MAX);
        replay_begin(t->replay, dz_source_info_of(t->source), names, n);
        t->gather = gather_new(dz_source_info_of(t->source), json_object_get(c, "rows"),
                               json_object_get(c, "seen"));
        run_calls(t, c);
        gather_free(&t->gather);
        dz_str missing = replay_missing(t->replay);
        if (missing.n)
            problem(t, "asked and not recorded: %.*s", (int)(missing.n < 1500 ? missing.n : 1500),
                    missing.p);
        dz_source_unref(&t->source);
    } else {
        problem(t, "%s", err.text);
    }
    json_decref(t->store);
    bool good = t->problems.n == 0;
    t->t->passed += good;
    t->t->failed += !good;
    t->t->ended(t->t->arg, title.p, good ? NULL : dz_buf_cstr(&t->problems),
                (dz_mono_ns() - from_ns) / 1000000);
}

/* ---- the declaration ------------------------------------------------------------------------- */

static json_t *texts(const dz_str *v, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_stringn(v[i].p, v[i].n));
    return list;
}

static json_t *declaration(const struct dz_source_info *info)
{
    json_t *options = json_object(), *functions = json_array();
    for (size_t i = 0; i < info->options_n; i++)
        json_object_setn_new(options, info->options[i].name.p, info->options[i].name.n,
                             json_stringn(info->options[i].value.p ? info->options[i].value.p : "",
                                          info->options[i].value.n));
    for (unsigned i = 0; i < DZ_FN_COUNT; i++)
        if (info->has[i])
            json_array_append_new(functions, json_string(dz_source_fn_name((enum dz_source_fn)i)));
    json_t *o = json_object();
    json_object_set_new(o, "id", json_stringn(info->id.p, info->id.n));
    json_object_set_new(o, "name", json_stringn(info->name.p, info->name.n));
    json_object_set_new(o, "only", json_stringn(info->only.p ? info->only.p : "", info->only.n));
    json_object_set_new(o, "langs", texts(info->langs, info->langs_n));
    json_object_set_new(o, "match", texts(info->match, info->match_n));
    json_object_set_new(o, "hosts", texts(info->hosts, info->hosts_n));
    json_object_set_new(o, "functions", functions);
    json_object_set_new(o, "options", options);
    return o;
}

static void check_declaration(struct trial *t, const struct dz_source_info *info)
{
    const json_t *want = json_object_get(t->doc, "declares");
    if (!want)
        return;
    json_t *got = declaration(info);
    const char *key;
    json_t *v;
    dz_buf_clear(&t->problems);
    t->diffs = 0;
    json_object_foreach((json_t *)(uintptr_t)want, key, v)
        compare(t, key, v, json_object_get(got, key));
    bool good = t->problems.n == 0;
    t->t->passed += good;
    t->t->failed += !good;
    t->t->ended(t->t->arg, "the declaration", good ? NULL : dz_buf_cstr(&t->problems), 0);
    json_decref(got);
}

/* ---- files ----------------------------------------------------------------------------------- */

static enum dz_code bad_expect(struct trial *t, struct dz_err *err, const char *fmt, ...)
    DZ_PRINTF(3, 4);
static enum dz_code bad_expect(struct trial *t, struct dz_err *err, const char *fmt, ...)
{
    char text[180];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return dz_fail(err, DZ_BAD_INPUT, "%.60s/expect.json: %s", t->t->dir, text);
}

static enum dz_code known_members(struct trial *t, const json_t *o, const char *const *names,
                                  size_t n, const char *where, struct dz_err *err)
{
    const char *key;
    json_t *v;
    if (!json_is_object(o))
        return bad_expect(t, err, "%s: expected an object", where);
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
    {
        size_t i = 0;
        while (i < n && strcmp(names[i], key) != 0)
            i++;
        if (i < n)
            continue;
        const char *near = src_nearest(dz_str_of(key), names, n);
        return bad_expect(t, err, "%s: unknown member \"%.40s\"%s%s%s", where, key,
                          near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    return DZ_OK;
}

static enum dz_code check_call(struct trial *t, const json_t *c, const char *where,
                               struct dz_err *err)
{
    static const char *const fails[] = {"kind", "text", "retry_after"};
    const json_t *fail = json_object_get(c, "fails"), *args = json_object_get(c, "args");
    enum dz_source_kind kind;
    if (!json_is_string(json_object_get(c, "call")))
        return bad_expect(t, err, "%s: expected \"call\" with the name of a function", where);
    if (args && !json_is_array(args))
        return bad_expect(t, err, "%s.args: expected a list", where);
    if (fail && json_object_get(c, "result"))
        return bad_expect(t, err, "%s: expects a result and a failure", where);
    if (!fail)
        return DZ_OK;
    DZ_TRY(known_members(t, fail, fails, DZ_LEN(fails), where, err));
    const char *name = json_string_value(json_object_get(fail, "kind"));
    if (name && !dz_source_kind_find(dz_str_of(name), &kind))
        return bad_expect(t, err, "%s: there is no kind of failure \"%.40s\"", where, name);
    return DZ_OK;
}

static enum dz_code check_doc(struct trial *t, struct dz_err *err)
{
    static const char *const top[] = {"declares", "options", "cases"};
    static const char *const declares[] = {"id",    "name",  "only",      "langs",
                                           "match", "hosts", "functions", "options"};
    static const char *const of_case[] = {"name",  "options",  "fixtures", "store", "rows",
                                          "seen",  "calls",    "call",     "args",  "result",
                                          "fails", "requests", "kept"};
    DZ_TRY(known_members(t, t->doc, top, DZ_LEN(top), "the file", err));
    const json_t *cases = json_object_get(t->doc, "cases"),
                 *d = json_object_get(t->doc, "declares");
    if (d)
        DZ_TRY(known_members(t, d, declares, DZ_LEN(declares), "declares", err));
    if (cases && (!json_is_array(cases) || json_array_size(cases) > CASES_MAX))
        return bad_expect(t, err, "cases: expected a list of at most %u", CASES_MAX);
    if (json_array_size(cases) == 0 && json_object_size(d) == 0)
        return bad_expect(t, err, "it expects nothing: name cases or what the source declares");
    size_t i;
    json_t *c;
    json_array_foreach(cases, i, c)
    {
        char where[64];
        snprintf(where, sizeof(where), "cases[%zu]", i);
        DZ_TRY(known_members(t, c, of_case, DZ_LEN(of_case), where, err));
        const json_t *calls = json_object_get(c, "calls");
        size_t k;
        json_t *one;
        if (!calls)
            DZ_TRY(check_call(t, c, where, err));
        json_array_foreach(calls, k, one)
        {
            snprintf(where, sizeof(where), "cases[%zu].calls[%zu]", i, k);
            DZ_TRY(known_members(t, one, of_case + 7, DZ_LEN(of_case) - 7, where, err));
            DZ_TRY(check_call(t, one, where, err));
        }
    }
    return DZ_OK;
}

static enum dz_code read_doc(struct trial *t, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, EXPECT_MAX);
    dz_str path = dz_arena_printf(t->arena, "%s/expect.json", t->t->dir);
    DZ_TRY(dz_file_read(path.p, &b, err));
    json_error_t e;
    t->doc = json_loadb(b.p ? b.p : "", b.n, JSON_REJECT_DUPLICATES, &e);
    if (!t->doc)
        return bad_expect(t, err, "line %d, column %d: %.120s", e.line, e.column, e.text);
    return check_doc(t, err);
}

static bool is_apart(const struct trial *t, const char *file)
{
    const char *names[NAMED_MAX];
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(t->doc, "cases"), i, c)
    {
        size_t n = names_of(json_object_get(c, "fixtures"), names, NAMED_MAX);
        for (size_t k = 0; k < n; k++)
            if (strcmp(names[k], file) == 0)
                return true;
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum dz_code read_file(struct trial *t, const char *folder, const char *name,
                              struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, REPLAY_FILE_MAX);
    dz_str path = dz_arena_printf(t->arena, "%s/%s", folder, name);
    DZ_TRY(dz_file_read(path.p, &b, err));
    return replay_add(t->replay, name, folder, dz_buf_str(&b), is_apart(t, name), err);
}

/* All NAME.http of fixtures/; a folder that is not there holds nothing. */
static enum dz_code read_fixtures(struct trial *t, struct dz_err *err)
{
    dz_str folder = dz_arena_printf(t->arena, "%s/fixtures", t->t->dir);
    char *names[FILES_MAX];
    size_t n = 0;
    const struct dirent *e;
    DIR *d = opendir(folder.p);
    if (!d && errno != ENOENT)
        return dz_fail_errno(err, DZ_IO, errno, "%s", folder.p);
    while (d && n < FILES_MAX && (e = readdir(d)) != NULL)
        if (e->d_name[0] != '.' && dz_str_ends(dz_str_of(e->d_name), DZ_S(".http")))
            names[n++] = dz_arena_dup(t->arena, dz_str_of(e->d_name));
    if (d)
        closedir(d);
    qsort(names, n, sizeof(char *), by_name);
    for (size_t i = 0; i < n; i++)
        DZ_TRY(read_file(t, folder.p, names[i], err));
    return DZ_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Every exchange belongs to a case: what nobody asks for any more is stale. */
static void check_used(struct trial *t)
{
    size_t unused = 0;
    dz_buf_clear(&t->problems);
    for (size_t i = 0; i < replay_count(t->replay); i++) {
        const struct replay_exchange *x = replay_at(t->replay, i);
        if (x->used || x->optional)
            continue;
        if (unused++ < DIFFS_MAX)
            problem(t, "fixtures/%s:%u: nobody asks for %.*s %.*s", x->file, x->line,
                    DZ_STR_FMT(x->method), (int)(x->shown_url.n < 300 ? x->shown_url.n : 300),
                    x->shown_url.p);
    }
    if (replay_count(t->replay) == 0)
        return;
    bool good = unused == 0;
    t->t->passed += good;
    t->t->failed += !good;
    t->t->ended(t->t->arg, "every recorded exchange is used",
                good ? NULL : dz_buf_cstr(&t->problems), 0);
}

static void note_untested(struct trial *t, const struct dz_source_info *info)
{
    for (unsigned i = 0; i < DZ_FN_COUNT; i++)
        if (info->has[i] && !t->called[i] && t->t->untested)
            t->t->untested(t->t->arg, dz_source_fn_name((enum dz_source_fn)i));
}

static enum dz_code run_all(struct trial *t, struct dz_err *err)
{
    dz_str path = dz_arena_printf(t->arena, "%s/source.lua", t->t->dir);
    DZ_TRY(dz_file_read(path.p, &t->text, err));
    DZ_AUTO(dz_source_unref) struct dz_source *s = NULL;
    DZ_TRY(dz_source_load(NULL, dz_buf_str(&t->text), "source.lua", &s, err));
    DZ_TRY(read_doc(t, err));
    DZ_TRY(read_fixtures(t, err));
    const struct dz_source_info *info = dz_source_info_of(s);
    t->t->began(t->t->arg, info);
    check_declaration(t, info);
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(t->doc, "cases"), i, c) run_case(t, c, i + 1);
    check_used(t);
    note_untested(t, info);
    if (!t->recorder)
        return DZ_OK;
    t->t->recorded = record_count(t->recorder);
    return record_save(t->recorder, dz_arena_printf(t->arena, "%s/fixtures", t->t->dir).p, err);
}

enum dz_code dz_source_test(struct dz_source_test *test, struct dz_err *err)
{
    struct trial t = {.t = test};
    DZ_TRY(dz_loop_new(&t.loop, err));
    t.arena = dz_arena_new(512 * DZ_MIB);
    t.replay = replay_new(t.loop);
    dz_buf_init(&t.text, DZ_SOURCE_TEXT_MAX);
    dz_buf_init(&t.problems, PROBLEMS_MAX);
    t.env = (struct dz_source_env){.loop = t.loop,
                                   .send = send,
                                   .kv_get = kv_get,
                                   .kv_set = kv_set,
                                   .log = put_log,
                                   .sink = &sink,
                                   .arg = &t};
    enum dz_code code = DZ_OK;
    if (test->record)
        code = record_new(t.replay, t.loop, test->record, &t.recorder, err);
    if (code == DZ_OK)
        code = run_all(&t, err);
    if (code != DZ_OK)
        code = dz_wrap(err, code, "%.80s", test->dir);
    json_decref(t.doc);
    record_free(&t.recorder);
    replay_free(&t.replay);
    dz_buf_done(&t.problems);
    dz_buf_done(&t.text);
    dz_loop_free(&t.loop);
    dz_arena_free(&t.arena);
    return code;
}
