/*
 * declare: dozo.source{…}, read, checked, and laid over by the settings.
 *
 * In: the table that a chunk returned, as JSON without its functions, and the section of the
 * settings with the source's id. Out: struct dz_source: immutable, counted, with the policy that
 * says whom it may ask. A wrong or unknown member is an error that names it and the nearest right
 * one. Any thread, but for dz_source_load, which runs the chunk on the caller's.
 *
 * The odd thing: an option ending in _url brings its host with it; when the settings changed the
 * address, that host may even be a private one, because its owner said so.
 */
#include "source/source_int.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#define API 1
#define LIST_MAX 200u
#define OPTIONS_MAX 64u
#define NAME_MAX_BYTES 63u
#define LINE_MAX_BYTES 500u
#define HELP_MAX 1000u
#define ONLY_MAX 255u
#define COLLECTIONS_MAX ((size_t)1024 * 1024)
#define PRESET_MAX 20000u
#define ARENA_MAX (32 * DZ_MIB)
#define PER_HOST_MAX 64 /* that a source may ask for; the settings allow more */

struct dz_source {
    atomic_uint refs;
    struct dz_arena *arena;
    struct dz_source_info info;
    struct dz_fetch_policy *policy;
    char *text;
    size_t text_n;
};

/* While a declaration is read. */
struct reading {
    struct dz_source *s;
    struct dz_arena *a;
    const json_t *o; /* the table without functions */
    const char *file;
    const struct dz_conf_source *section; /* NULL: none */
    struct dz_fetch_policy_spec spec;
    struct dz_err *err;
};

static const char *const members[] = {"id",    "name",   "version", "api",         "langs", "match",
                                      "hosts", "limits", "options", "collections", "only"};
static const char *const types[] = {"string", "integer", "number", "boolean", "list"};
static const char *const common[] = {"enabled", "rate",    "concurrency", "page_delay", "hosts",
                                     "proxy",   "headers", "user_agent",  "every"};

static bool is_one_of(dz_str s, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (dz_str_eq(s, dz_str_of(names[i])))
            return true;
    return false;
}

static enum dz_code wrong(struct reading *d, const char *field, const char *fmt, ...)
    DZ_PRINTF(3, 4);
static enum dz_code wrong(struct reading *d, const char *field, const char *fmt, ...)
{
    char text[200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return dz_fail(d->err, DZ_BAD_INPUT, "%s: %s: %s", d->file, field, text);
}

static bool is_name(dz_str s, const char *besides)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (i == 0 || c == 0 || !strchr(besides, c)))
            return false;
    }
    return s.n > 0 && s.n <= NAME_MAX_BYTES;
}

/* ---- plain members --------------------------------------------------------------------------- */

static enum dz_code need_text(struct reading *d, const char *name, size_t most, dz_str *ret_s)
{
    const json_t *v = json_object_get(d->o, name);
    if (!json_is_string(v) || json_string_length(v) == 0)
        return wrong(d, name, "expected a text, got %s", src_json_words(v));
    if (json_string_length(v) > most)
        return wrong(d, name, "a text of at most %zu bytes", most);
    dz_str s = dz_json_text(v);
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20)
            return wrong(d, name, "expected one line of text");
    char *copy = dz_arena_dup(d->a, s);
    *ret_s = (dz_str){copy, s.n};
    return DZ_OK;
}

static enum dz_code read_texts(struct reading *d, const char *name, const dz_str **ret_v,
                               size_t *ret_n)
{
    const json_t *v = json_object_get(d->o, name);
    size_t n = json_array_size(v);
    bool empty = !v || json_is_null(v) || (json_is_object(v) && json_object_size(v) == 0);
    if (!empty && !json_is_array(v))
        return wrong(d, name, "expected a list of texts, got %s", src_json_words(v));
    if (n > LIST_MAX)
        return wrong(d, name, "a list of %zu, at most %u", n, LIST_MAX);
    dz_str *list = dz_arena_alloc(d->a, (n + 1) * sizeof(*list));
    for (size_t i = 0; i < n; i++) {
        const json_t *t = json_array_get(v, i);
        char path[64];
        snprintf(path, sizeof(path), "%s[%zu]", name, i + 1);
        if (!json_is_string(t) || json_string_length(t) == 0 ||
            json_string_length(t) > LINE_MAX_BYTES)
            return wrong(d, path, "expected a text of 1 to %u bytes, got %s", LINE_MAX_BYTES,
                         src_json_words(t));
        list[i] = dz_arena_str(d->a, dz_json_text(t));
    }
    *ret_v = list;
    *ret_n = n;
    return DZ_OK;
}

static int longer_first(const void *a, const void *b)
{
    const dz_str *x = a, *y = b;
    if (x->n != y->n)
        return x->n > y->n ? -1 : 1;
    return dz_str_cmp(*x, *y);
}

static enum dz_code read_match(struct reading *d)
{
    struct dz_source_info *info = &d->s->info;
    DZ_TRY(read_texts(d, "match", &info->match, &info->match_n));
    for (size_t i = 0; i < info->match_n; i++) {
        if (dz_str_find(info->match[i], DZ_S("://")) != DZ_NPOS)
            return wrong(d, "match", "\"%.100s\": prefixes are written without the scheme",
                         dz_arena_dup(d->a, info->match[i]));
    }
    qsort((dz_str *)(uintptr_t)info->match, info->match_n, sizeof(dz_str), longer_first);
    return DZ_OK;
}

static enum dz_code read_head(struct reading *d)
{
    struct dz_source_info *info = &d->s->info;
    const json_t *api = json_object_get(d->o, "api");
    DZ_TRY(need_text(d, "id", NAME_MAX_BYTES, &info->id));
    if (!is_name(info->id, "_-."))
        return wrong(d, "id", "expected letters, digits, _, - and dots, a letter or digit first");
    if (!json_is_integer(api))
        return wrong(d, "api", "expected api = %d, got %s", API, src_json_words(api));
    if (json_integer_value(api) != API)
        return wrong(d, "api",
                     "it is written for version %" JSON_INTEGER_FORMAT
                     " of the source API; this dozo speaks version %d",
                     json_integer_value(api), API);
    DZ_TRY(need_text(d, "name", LINE_MAX_BYTES, &info->name));
    DZ_TRY(need_text(d, "version", NAME_MAX_BYTES, &info->version));
    const json_t *only = json_object_get(d->o, "only");
    if (only && !json_is_null(only))
        DZ_TRY(need_text(d, "only", ONLY_MAX, &info->only));
    DZ_TRY(read_texts(d, "langs", &info->langs, &info->langs_n));
    DZ_TRY(read_texts(d, "hosts", &info->hosts, &info->hosts_n));
    return read_match(d);
}

/* "90s", "1.5h": as the settings write durations. */
static bool duration_ms(dz_str s, int64_t *ret_ms)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    char copy[40];
    if (s.n == 0 || s.n >= sizeof(copy) || s.p[0] < '0' || s.p[0] > '9')
        return false;
    memcpy(copy, s.p, s.n);
    copy[s.n] = 0;
    char *end;
    double x = strtod(copy, &end);
    for (size_t i = 0; i < DZ_LEN(units); i++) {
        if (strcmp(end, units[i].unit) != 0 || !(x * units[i].ms < 1e15))
            continue;
        *ret_ms = (int64_t)(x * units[i].ms + 0.5);
        return true;
    }
    return false;
}

static enum dz_code read_limits(struct reading *d)
{
    static const char *const names[] = {"per_host", "rate", "page_delay"};
    const json_t *limits = json_object_get(d->o, "limits");
    if (!limits || json_is_null(limits))
        return DZ_OK;
    if (!json_is_object(limits))
        return wrong(d, "limits", "expected a table, got %s", src_json_words(limits));
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)limits, key, v)
    {
        if (is_one_of(dz_str_of(key), names, DZ_LEN(names)))
            continue;
        const char *near = src_nearest(dz_str_of(key), names, DZ_LEN(names));
        return wrong(d, "limits", "unknown member \"%.60s\"%s%s%s", key,
                     near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    const json_t *per_host = json_object_get(limits, "per_host");
    if (per_host && (!json_is_integer(per_host) || json_integer_value(per_host) < 1 ||
                     json_integer_value(per_host) > PER_HOST_MAX))
        return wrong(d, "limits.per_host", "expected an integer from 1 to %d", PER_HOST_MAX);
    d->spec.per_host = (uint32_t)json_integer_value(per_host);
    const json_t *rate = json_object_get(limits, "rate");
    if (rate &&
        (!json_is_string(rate) || dz_fetch_rate(dz_json_text(rate), &d->spec.rate, NULL) != DZ_OK))
        return wrong(d, "limits.rate", "expected a text such as \"2/second\" or \"30/minute\"");
    const json_t *delay = json_object_get(limits, "page_delay");
    double seconds = json_number_value(delay);
    if (delay && (!json_is_number(delay) || !(seconds >= 0 && seconds <= 3600)))
        return wrong(d, "limits.page_delay", "expected seconds from 0 to 3600");
    d->s->info.page_delay_ms = (int64_t)(seconds * 1000 + 0.5);
    return DZ_OK;
}

static enum dz_code read_collections(struct reading *d)
{
    const json_t *all = json_object_get(d->o, "collections");
    if (!all || json_is_null(all))
        return DZ_OK;
    json_t *list = NULL;
    enum dz_code code = src_collections(d->s->info.id, all, &list, d->err);
    if (code != DZ_OK)
        return dz_wrap(d->err, DZ_BAD_INPUT, "%s", d->file);
    size_t n = json_dumpb(list, NULL, 0, JSON_COMPACT);
    if (n <= COLLECTIONS_MAX) {
        char *text = dz_arena_alloc(d->a, n + 1);
        json_dumpb(list, text, n, JSON_COMPACT);
        text[n] = 0;
        d->s->info.collections = (dz_str){text, n};
    }
    json_decref(list);
    if (n > COLLECTIONS_MAX)
        return wrong(d, "collections", "more than %zu bytes as JSON", COLLECTIONS_MAX);
    return DZ_OK;
}

/* ---- options --------------------------------------------------------------------------------- */

static const char *said(const struct reading *d, dz_str name)
{
    for (size_t i = 0; d->section && i < d->section->options.n; i++)
        if (dz_str_eq(dz_str_of(d->section->options.v[i].name), name))
            return d->section->options.v[i].text;
    return NULL;
}

/* Whether a text of the settings can be read as the option's type. */
static bool fits(dz_str type, const char *text)
{
    char *end;
    if (dz_str_eq(type, DZ_S("boolean")))
        return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
    if (dz_str_eq(type, DZ_S("integer"))) {
        (void)strtoll(text, &end, 10);
        return end != text && *end == 0;
    }
    if (dz_str_eq(type, DZ_S("number")))
        return isfinite(strtod(text, &end)) && end != text && *end == 0;
    return true;
}

/* Its texts, a line each. */
static dz_str preset_list(struct reading *d, const json_t *v)
{
    size_t n = json_array_size(v), bytes = 0;
    n = n < LIST_MAX ? n : LIST_MAX;
    for (size_t i = 0; i < n; i++) {
        const json_t *t = json_array_get(v, i);
        if (!json_is_string(t) || json_string_length(t) > LINE_MAX_BYTES)
            return (dz_str){NULL, 0};
        bytes += json_string_length(t) + 1;
    }
    char *all = dz_arena_alloc(d->a, bytes + 1), *to = all;
    for (size_t i = 0; i < n; i++) {
        dz_str t = dz_json_text(json_array_get(v, i));
        if (i > 0)
            *to++ = '\n';
        memcpy(to, t.p, t.n);
        to += t.n;
    }
    return (dz_str){all, (size_t)(to - all)};
}

json_t *dz_source_option_value(const struct dz_source_option *o, dz_str text)
{
    DZ_AUTO(dz_freep) char *copy = dz_str_dup(text);
    if (strlen(copy) != text.n || !fits(o->type, copy) || !dz_str_is_utf8(text))
        return NULL;
    if (dz_str_eq(o->type, DZ_S("boolean")))
        return json_boolean(dz_str_eq(text, DZ_S("true")));
    if (dz_str_eq(o->type, DZ_S("integer")))
        return json_integer(strtoll(copy, NULL, 10));
    if (dz_str_eq(o->type, DZ_S("number")))
        return json_real(strtod(copy, NULL));
    if (dz_str_eq(o->type, DZ_S("string")))
        return json_stringn(text.p ? text.p : "", text.n);
    json_t *list = json_array();
    for (dz_str rest = text; rest.n;) {
        size_t end = dz_str_chr(rest, '\n');
        dz_str line = dz_str_sub(rest, 0, end);
        json_array_append_new(list, json_stringn(line.p, line.n));
        rest = dz_str_after(rest, end);
    }
    return list;
}

/* A default as text; p NULL: it is of another type. */
static dz_str preset_text(struct reading *d, dz_str type, const json_t *v)
{
    const dz_str none = {NULL, 0};
    if (!v || json_is_null(v))
        return dz_str_eq(type, DZ_S("boolean"))                                   ? DZ_S("false")
               : dz_str_eq(type, DZ_S("string")) || dz_str_eq(type, DZ_S("list")) ? DZ_S("")
                                                                                  : DZ_S("0");
    if (dz_str_eq(type, DZ_S("string")))
        return json_is_string(v) ? dz_arena_str(d->a, dz_json_text(v)) : none;
    if (dz_str_eq(type, DZ_S("boolean")))
        return !json_is_boolean(v) ? none : json_is_true(v) ? DZ_S("true") : DZ_S("false");
    if (dz_str_eq(type, DZ_S("integer")))
        return json_is_integer(v)
                   ? dz_arena_printf(d->a, "%" JSON_INTEGER_FORMAT, json_integer_value(v))
                   : none;
    if (dz_str_eq(type, DZ_S("number")))
        return json_is_number(v) ? dz_arena_printf(d->a, "%.17g", json_number_value(v)) : none;
    if (!json_is_array(v) && !(json_is_object(v) && json_object_size(v) == 0))
        return none;
    return preset_list(d, v);
}

/* The host of an address in an option is allowed; a private one only when the settings named it. */
static void allow_host(struct reading *d, dz_str address, bool overridden)
{
    struct dz_url u;
    if (dz_url_parse(address, &u, NULL) != DZ_OK || u.host.n == 0)
        return;
    ((dz_str *)(uintptr_t)d->spec.hosts)[d->spec.hosts_n++] = dz_arena_str(d->a, u.host);
    if (!overridden)
        return;
    dz_str host = u.port.n
                      ? dz_arena_printf(d->a, "%.*s:%.*s", DZ_STR_FMT(u.host), DZ_STR_FMT(u.port))
                      : dz_arena_str(d->a, u.host);
    ((dz_str *)(uintptr_t)d->spec.open_hosts)[d->spec.open_hosts_n++] = host;
}

static enum dz_code read_option(struct reading *d, const char *name, const json_t *v,
                                struct dz_source_option *o)
{
    static const char *const keys[] = {"type", "default", "help"};
    char path[100];
    snprintf(path, sizeof(path), "options.%.70s", name);
    o->name = dz_arena_str(d->a, dz_str_of(name));
    if (!is_name(o->name, "_") || is_one_of(o->name, common, DZ_LEN(common)))
        return wrong(d, path, "no name for an option (letters, digits and _; %s is taken)",
                     "what all sources have");
    if (!json_is_object(v))
        return wrong(d, path, "expected a table, got %s", src_json_words(v));
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)v, key, member)
    {
        if (!is_one_of(dz_str_of(key), keys, DZ_LEN(keys)))
            return wrong(d, path, "unknown member \"%.60s\"; there are type, default and help",
                         key);
    }
    const json_t *type = json_object_get(v, "type"), *help = json_object_get(v, "help");
    if (!json_is_string(type) || !is_one_of(dz_json_text(type), types, DZ_LEN(types)))
        return wrong(d, path,
                     "type is \"string\", \"integer\", \"number\", \"boolean\" or \"list\"");
    o->type = dz_arena_str(d->a, dz_json_text(type));
    if (help && (!json_is_string(help) || json_string_length(help) > HELP_MAX))
        return wrong(d, path, "help is a text of at most %u bytes", HELP_MAX);
    o->help = help ? dz_arena_str(d->a, dz_json_text(help)) : (dz_str){NULL, 0};
    if (json_string_length(json_object_get(v, "default")) > PRESET_MAX)
        return wrong(d, path, "the default has more than %u bytes", PRESET_MAX);
    dz_str preset = preset_text(d, o->type, json_object_get(v, "default"));
    if (!preset.p)
        return wrong(d, path, "the default is no %s", json_string_value(type));
    const char *text = said(d, o->name);
    if (text && !fits(o->type, text))
        return dz_fail(d->err, DZ_BAD_INPUT, "sources.%s.%s: expected %s %s, got \"%.60s\"",
                       d->s->info.id.p, name, o->type.p[0] == 'i' ? "an" : "a",
                       json_string_value(type), text);
    o->value = text ? dz_arena_str(d->a, dz_str_of(text)) : preset;
    if (dz_str_ends(o->name, DZ_S("_url")))
        allow_host(d, o->value, text && !dz_str_eq(o->value, preset));
    return DZ_OK;
}

static enum dz_code read_options(struct reading *d)
{
    const json_t *all = json_object_get(d->o, "options");
    struct dz_source_info *info = &d->s->info;
    bool empty = !all || json_is_null(all) || (json_is_array(all) && json_array_size(all) == 0);
    if (!empty && !json_is_object(all))
        return wrong(d, "options", "expected a table, got %s", src_json_words(all));
    size_t n = json_object_size(all);
    if (n > OPTIONS_MAX)
        return wrong(d, "options", "%zu options, at most %u", n, OPTIONS_MAX);
    struct dz_source_option *v = dz_arena_alloc(d->a, (n + 1) * sizeof(*v));
    const char *name;
    json_t *one;
    info->options = v;
    json_object_foreach((json_t *)(uintptr_t)all, name, one)
    {
        DZ_TRY(read_option(d, name, one, &v[info->options_n]));
        info->options_n++;
    }
    return DZ_OK;
}

/* ---- the settings ---------------------------------------------------------------------------- */

static size_t split_lines(struct dz_arena *a, const char *text, dz_str *v, size_t most)
{
    size_t n = 0;
    dz_str rest = dz_str_of(text);
    while (rest.n && n < most) {
        size_t end = dz_str_chr(rest, '\n');
        v[n++] = dz_arena_str(a, dz_str_sub(rest, 0, end));
        rest = dz_str_after(rest, end);
    }
    return n;
}

static void read_headers(struct reading *d, const char *text)
{
    dz_str *lines = dz_arena_alloc(d->a, LIST_MAX * sizeof(*lines));
    size_t n = split_lines(d->a, text, lines, LIST_MAX);
    struct dz_fetch_header *v = dz_arena_alloc(d->a, (n + 1) * sizeof(*v));
    for (size_t i = 0; i < n; i++) {
        size_t colon = dz_str_chr(lines[i], ':');
        v[i].name = dz_str_trim(dz_str_sub(lines[i], 0, colon));
        v[i].value = dz_str_trim(dz_str_after(lines[i], colon));
    }
    d->spec.headers = v;
    d->spec.headers_n = n;
}

/* An option of the settings that the source does not know. Those of shipped ids are there always,
 * also when somebody's own source takes the place of ours. */
static enum dz_code check_section(struct reading *d)
{
    const struct dz_source_info *info = &d->s->info;
    const char *names[OPTIONS_MAX + DZ_LEN(common)];
    size_t n = 0;
    for (size_t i = 0; i < info->options_n; i++)
        names[n++] = dz_arena_dup(d->a, info->options[i].name);
    for (size_t i = 0; i < DZ_LEN(common); i++)
        names[n++] = common[i];
    for (size_t i = 0; d->section && i < d->section->options.n; i++) {
        const char *key = d->section->options.v[i].name;
        if (is_one_of(dz_str_of(key), names, n) || src_is_shipped(info->id))
            continue;
        const char *near = src_nearest(dz_str_of(key), names, n);
        return dz_fail(d->err, DZ_BAD_INPUT,
                       "sources.%s.%.60s: the source has no such option%s%s%s", info->id.p, key,
                       near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    return DZ_OK;
}

static enum dz_code bad_setting(struct reading *d, const char *key, const char *text)
{
    return dz_fail(d->err, DZ_BAD_INPUT, "sources.%s.%s: \"%.60s\" cannot be read", d->s->info.id.p,
                   key, text);
}

static enum dz_code lay_settings(struct reading *d, const struct dz_conf *conf)
{
    struct dz_source_info *info = &d->s->info;
    const char *text;
    DZ_TRY(check_section(d));
    info->enabled = d->section ? d->section->enabled : true;
    d->spec.allow_private = conf && conf->sources.allow_private;
    if ((text = said(d, DZ_S("rate"))) != NULL &&
        dz_fetch_rate(dz_str_of(text), &d->spec.rate, NULL) != DZ_OK)
        return bad_setting(d, "rate", text);
    if ((text = said(d, DZ_S("concurrency"))) != NULL) {
        uint64_t n;
        if (dz_str_u64(dz_str_of(text), DZ_FETCH_PER_HOST_MAX, &n, NULL) != DZ_OK || n == 0)
            return bad_setting(d, "concurrency", text);
        d->spec.per_host = (uint32_t)n;
    }
    if ((text = said(d, DZ_S("page_delay"))) != NULL &&
        !duration_ms(dz_str_of(text), &info->page_delay_ms))
        return bad_setting(d, "page_delay", text);
    if ((text = said(d, DZ_S("every"))) != NULL && !duration_ms(dz_str_of(text), &info->every_ms))
        return bad_setting(d, "every", text);
    if ((text = said(d, DZ_S("hosts"))) != NULL)
        d->spec.hosts_n +=
            split_lines(d->a, text, (dz_str *)(uintptr_t)d->spec.hosts + d->spec.hosts_n, LIST_MAX);
    if ((text = said(d, DZ_S("user_agent"))) != NULL)
        d->spec.user_agent = dz_str_of(text);
    if ((text = said(d, DZ_S("proxy"))) != NULL)
        d->spec.proxy = dz_str_of(text);
    if ((text = said(d, DZ_S("headers"))) != NULL)
        read_headers(d, text);
    d->spec.page_delay_ms = info->page_delay_ms;
    return DZ_OK;
}

static const struct dz_conf_source *section_of(const struct dz_conf *conf, dz_str id)
{
    for (size_t i = 0; conf && i < conf->sources.n; i++)
        if (dz_str_eq(dz_str_of(conf->sources.v[i].id), id))
            return &conf->sources.v[i];
    return NULL;
}

static enum dz_code read_all(struct reading *d, const struct dz_conf *conf)
{
    struct dz_source_info *info = &d->s->info;
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)d->o, key, v)
    {
        if (is_one_of(dz_str_of(key), members, DZ_LEN(members)))
            continue;
        const char *names[DZ_LEN(members) + DZ_FN_COUNT];
        size_t n = 0;
        for (size_t i = 0; i < DZ_LEN(members); i++)
            names[n++] = members[i];
        for (unsigned fn = 0; fn < DZ_FN_COUNT; fn++)
            names[n++] = dz_source_fn_name((enum dz_source_fn)fn);
        const char *near = src_nearest(dz_str_of(key), names, n);
        if (near && strcmp(near, key) == 0)
            return wrong(d, near, "expected a function, got %s", src_json_words(v));
        return wrong(d, "dozo.source", "unknown member \"%.60s\"%s%s%s", key,
                     near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    /* Room for what the declaration, its options and the settings name. */
    d->spec.hosts = dz_arena_alloc(d->a, (2 * LIST_MAX + OPTIONS_MAX) * sizeof(dz_str));
    d->spec.open_hosts = dz_arena_alloc(d->a, OPTIONS_MAX * sizeof(dz_str));
    DZ_TRY(read_head(d));
    d->section = section_of(conf, info->id);
    for (size_t i = 0; i < info->hosts_n; i++)
        ((dz_str *)(uintptr_t)d->spec.hosts)[d->spec.hosts_n++] = info->hosts[i];
    DZ_TRY(read_limits(d));
    DZ_TRY(read_options(d));
    DZ_TRY(read_collections(d));
    DZ_TRY(lay_settings(d, conf));
    d->spec.source = info->id;
    enum dz_code code = dz_fetch_policy_new(&d->spec, &d->s->policy, d->err);
    return code == DZ_OK ? DZ_OK : dz_wrap(d->err, code, "%s", d->file);
}

/* ---- from the chunk -------------------------------------------------------------------------- */

int src_declare(lua_State *L)
{
    if (!lua_istable(L, 1))
        return luaL_error(L, "dozo.source: expected a table, got %s", luaL_typename(L, 1));
    if (src_env_of(L))
        return luaL_error(L, "dozo.source: only while the source is loaded");
    src_push_declared(L);
    if (!lua_isnil(L, -1))
        return luaL_error(L, "dozo.source: called a second time");
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    src_keep_declared(L);
    lua_Debug at;
    if (lua_getstack(L, 1, &at) && lua_getinfo(L, "l", &at) && at.currentline > 0)
        src_run_of(L)->declared_at = at.currentline;
    return 1;
}

struct extract {
    json_t *o;
    bool has[DZ_FN_COUNT];
    struct dz_err err;
};

/* The declared table: which functions there are, and the rest as JSON. */
static int extract(lua_State *L)
{
    struct extract *x = lua_touserdata(L, 1);
    lua_settop(L, 0);
    src_push_declared(L);
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        if (lua_type(L, 3) != LUA_TSTRING)
            return luaL_error(L, "dozo.source: a member without a name (a %s as key)",
                              luaL_typename(L, 3));
        unsigned fn = 0;
        while (fn < DZ_FN_COUNT &&
               (!lua_isfunction(L, 4) ||
                strcmp(lua_tostring(L, 3), dz_source_fn_name((enum dz_source_fn)fn)) != 0))
            fn++;
        if (fn < DZ_FN_COUNT) {
            x->has[fn] = true;
        } else if (lua_isfunction(L, 4)) {
            lua_pushvalue(L, 3);
            lua_pushboolean(L, 1); /* unknown: named as such by whoever reads the rest */
            lua_rawset(L, 2);
        } else {
            lua_pushvalue(L, 3);
            if (strcmp(lua_tostring(L, 3), "collections") == 0)
                src_split_tables(L, 4);
            else
                lua_pushvalue(L, 4);
            lua_rawset(L, 2);
        }
        lua_settop(L, 3);
    }
    json_t *o = NULL;
    if (src_to_json(L, 2, &o, &x->err))
        x->o = o;
    return 0;
}

static enum dz_code declaration_of(struct dz_source_run *r, struct extract *x, struct dz_err *err)
{
    lua_pushcfunction(r->L, extract);
    lua_pushlightuserdata(r->L, x);
    if (lua_pcall(r->L, 1, 0, 0) != LUA_OK) {
        const char *words =
            lua_type(r->L, -1) == LUA_TSTRING ? lua_tostring(r->L, -1) : "dozo.source: no memory";
        (void)dz_fail(err, DZ_BAD_INPUT, "%s:%d: %s", r->file.p, r->declared_at, words);
        lua_pop(r->L, 1);
        return DZ_BAD_INPUT;
    }
    if (x->err.code)
        return dz_fail(err, DZ_BAD_INPUT, "%s:%d: %s", r->file.p, r->declared_at, x->err.text);
    return DZ_OK;
}

static enum dz_code make(const struct dz_conf *conf, dz_str text, const char *file, int line,
                         const struct extract *x, struct dz_source **ret_s, struct dz_err *err)
{
    struct dz_source *s = dz_new(struct dz_source);
    s->refs = 1;
    s->arena = dz_arena_new(ARENA_MAX);
    s->text = dz_str_dup(text);
    s->text_n = text.n;
    char *copy = dz_arena_dup(s->arena, dz_str_of(file));
    s->info.file = dz_str_of(copy);
    memcpy(s->info.has, x->has, sizeof(x->has));
    dz_str where = dz_arena_printf(s->arena, "%s:%d", file, line);
    struct reading d = {.s = s, .a = s->arena, .o = x->o, .file = where.p, .err = err};
    enum dz_code code = read_all(&d, conf);
    if (code != DZ_OK) {
        dz_source_unref(&s);
        return code;
    }
    *ret_s = s;
    return DZ_OK;
}

enum dz_code dz_source_load(const struct dz_conf *conf, dz_str text, const char *file,
                            struct dz_source **ret_s, struct dz_err *err)
{
    if (text.n > DZ_SOURCE_TEXT_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "%s: %zu bytes of text, at most %zu", file, text.n,
                       DZ_SOURCE_TEXT_MAX);
    if (!dz_str_is_utf8(text))
        return dz_fail(err, DZ_PARSE, "%s: is not UTF-8", file);
    struct dz_source_run *r = NULL;
    DZ_TRY(src_state_new(NULL, NULL, NULL, file, &r, err));
    enum dz_code code = src_run_chunk(r, text, err);
    struct extract x = {0};
    if (code == DZ_OK)
        code = declaration_of(r, &x, err);
    if (code == DZ_OK)
        code = make(conf, text, file, r->declared_at, &x, ret_s, err);
    json_decref(x.o);
    src_state_free(&r);
    return code;
}

/* ---- the object ------------------------------------------------------------------------------ */

const struct dz_source_info *dz_source_info_of(const struct dz_source *s)
{
    return &s->info;
}

struct dz_source *dz_source_ref(struct dz_source *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void dz_source_unref(struct dz_source **sp)
{
    struct dz_source *s = dz_take(sp);
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (s->policy)
        dz_fetch_policy_unref(&s->policy);
    dz_arena_free(&s->arena);
    free(s->text);
    free(s);
}

struct dz_fetch_policy *dz_source_policy(const struct dz_source *s)
{
    return s->policy;
}

dz_str src_text_of(const struct dz_source *s)
{
    return (dz_str){s->text, s->text_n};
}

void src_mark_built_in(struct dz_source *s)
{
    s->info.built_in = true;
}
