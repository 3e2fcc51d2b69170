/*
 * nagato_conf: the settings of the service that is replaced, in the words of this one
 * (contracts/nagato.md 2).
 *
 * In: its conf.json, the merged one or the user's own few keys. Out: lines for dozo.yaml, and in
 * comments what has no place there and why. Each key is looked up in one table, whose order is that
 * of the lines. Nothing is written to a file. Odd: texts of comments are ASCII with everything else
 * escaped, so that nothing of a value can end its comment.
 */
#include <jansson.h>

#include "library/import_int.h"

#define CONF_JSON_BYTES_MAX DZ_MIB
#define COMMENT_BYTES_MAX 160u

enum kind { TEXT, METHOD, SWITCH, SECONDS, COUNT, NOWHERE };

static const struct key {
    const char *section, *site; /* site: of "downloaders" */
    const char *name;
    enum kind kind;
    const char *top, *below, *setting; /* sections of dozo.yaml; below may be NULL */
    double min;                        /* of SECONDS and COUNT */
    const char *why;                   /* NOWHERE */
} keys[] = {
#define GLOBAL(name, kind, setting)                                                                \
    {                                                                                              \
        "global", NULL, name, kind, "downloads", NULL, setting, 0, NULL                            \
    }
    GLOBAL("chapters.destination", TEXT, "destination"),
    GLOBAL("chapters.format", TEXT, "format"),
    GLOBAL("chapters.method", METHOD, "method"),
    GLOBAL("mangas.separate", SWITCH, "separate"),
    GLOBAL("chapters.pagedelay", SECONDS, "page_delay"),
    {"api", NULL, "compression.cbz.additional_data", SWITCH, "downloads", NULL, "comicinfo_sizes",
     0, NULL},
    {"api", NULL, "requests.timeout.connect", SECONDS, "sources", NULL, "connect_timeout", 0.001,
     NULL},
    {"api", NULL, "requests.timeout.read", SECONDS, "sources", NULL, "read_timeout", 0.001, NULL},
    {"api", NULL, "requests.cache.maxlen", COUNT, "sources", "http_cache", "max_entries", 0, NULL},
    {"api", NULL, "requests.cache.threshold", SECONDS, "sources", "http_cache", "ttl", 60, NULL},
    {"api", NULL, "database.path", NOWHERE, NULL, NULL, NULL, 0,
     "the catalog is data_dir/dozo.db; `dozo import nagato` takes the database over"},
#define MANGADEX(name, kind, setting)                                                              \
    {                                                                                              \
        "downloaders", "mangadex.org", name, kind, "sources", "mangadex.org", setting, 0, NULL     \
    }
    MANGADEX("language.filter", TEXT, "language"),
    MANGADEX("chapters.pagedelay", SECONDS, "page_delay"),
    MANGADEX("requests.user-agent", TEXT, "user_agent"),
#define FOR_ALL(name)                                                                              \
    {                                                                                              \
        "downloaders", "mangadex.org", name, NOWHERE, NULL, NULL, NULL, 0,                         \
            "one setting for all sites"                                                            \
    }
    FOR_ALL("chapters.destination"),
    FOR_ALL("chapters.format"),
    FOR_ALL("chapters.method"),
    FOR_ALL("mangas.separate"),
};

struct writer {
    struct dz_buf *out;
    struct dz_buf comments;
    const char *top, *below; /* sections that are open */
};

/* ---- comments -------------------------------------------------------------------------------- */

static void put_json(struct dz_buf *out, const json_t *v)
{
    struct dz_buf text DZ_AUTO(dz_buf_done);
    struct dz_json j;
    dz_buf_init(&text, 8 * CONF_JSON_BYTES_MAX);
    dz_json_init(&j, &text, DZ_JSON_COMPACT, true);
    bool whole = import_write_json(&j, v, 0) && text.n <= COMMENT_BYTES_MAX;
    dz_buf_put(out, dz_str_sub(dz_buf_str(&text), 0, COMMENT_BYTES_MAX));
    if (!whole)
        dz_buf_put(out, DZ_S("..."));
}

static void put_name(struct dz_buf *out, const char *name)
{
    struct dz_json j;
    dz_json_init(&j, out, DZ_JSON_COMPACT, true);
    dz_json_str(&j, dz_str_clip(dz_str_of(name), COMMENT_BYTES_MAX));
}

/* One line: which key, its value, and why it has no line of its own. */
static void leave_out(struct writer *w, const char *section, const char *site, const char *name,
                      const json_t *v, const char *why)
{
    struct dz_buf *b = &w->comments;
    dz_buf_put(b, DZ_S("#   "));
    if (section) {
        put_name(b, section);
        dz_buf_putc(b, ' ');
    }
    if (site) {
        put_name(b, site);
        dz_buf_putc(b, ' ');
    }
    put_name(b, name);
    dz_buf_put(b, DZ_S(": "));
    put_json(b, v);
    dz_buf_putf(b, " (%s)\n", why);
}

/* ---- values ---------------------------------------------------------------------------------- */

static void put_seconds(struct dz_buf *out, double s)
{
    int64_t ms = (int64_t)(s * 1000 + 0.5);
    if (ms % 1000 == 0)
        dz_buf_putf(out, "%llds", (long long)(ms / 1000));
    else
        dz_buf_putf(out, "%lldms", (long long)ms);
}

/* The value as YAML; else the words that say why not. */
static const char *put_value(const struct key *k, const json_t *v, struct dz_buf *out)
{
    static const double number_max = 1e7;
    enum dz_download_method method;
    switch (k->kind) {
    case TEXT:
        if (!json_is_string(v))
            return "not a text";
        dz_conf_put_quoted(out, dz_json_text(v));
        return NULL;
    case METHOD:
        if (!json_is_string(v) || !dz_conf_method_find(json_string_value(v), &method))
            return "not one of " DZ_CONF_METHOD_WORDS;
        dz_buf_put(out, dz_str_of(json_string_value(v)));
        return NULL;
    case SWITCH:
        if (!json_is_boolean(v))
            return "neither true nor false";
        dz_buf_put(out, json_is_true(v) ? DZ_S("true") : DZ_S("false"));
        return NULL;
    case SECONDS: {
        double s = json_number_value(v);
        if (!json_is_number(v) || !(s >= k->min && s <= number_max))
            return k->min >= 60 ? "not a number of seconds from 60" : "not a number of seconds";
        put_seconds(out, s);
        return NULL;
    }
    case COUNT:
        if (!json_is_integer(v) || json_integer_value(v) > (json_int_t)number_max)
            return "not a number that is taken";
        dz_buf_put_u64(out, json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 0);
        return NULL;
    default:
        return k->why;
    }
}

/* ---- lines ----------------------------------------------------------------------------------- */

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void put_line(struct writer *w, const struct key *k, const struct dz_buf *value)
{
    if (!same(w->top, k->top))
        dz_buf_putf(w->out, "%s:\n", k->top);
    if (k->below && (!same(w->below, k->below) || !same(w->top, k->top)))
        dz_buf_putf(w->out, "  %s:\n", k->below);
    dz_buf_putf(w->out, "  %s%s: ", k->below ? "  " : "", k->setting);
    dz_buf_put(w->out, dz_buf_str(value));
    dz_buf_putc(w->out, '\n');
    w->top = k->top;
    w->below = k->below;
}

static void convert(struct writer *w, const struct key *k, const json_t *v)
{
    struct dz_buf value DZ_AUTO(dz_buf_done);
    dz_buf_init(&value, 8 * CONF_JSON_BYTES_MAX);
    const char *why = put_value(k, v, &value);
    if (why)
        leave_out(w, k->section, k->site, k->name, v, why);
    else
        put_line(w, k, &value);
}

static bool is_known(const char *section, const char *site, const char *name)
{
    for (size_t i = 0; i < DZ_LEN(keys); i++)
        if (same(keys[i].section, section) && same(keys[i].site, site) &&
            strcmp(keys[i].name, name) == 0)
            return true;
    return false;
}

static void tell_unknown(struct writer *w, const char *section, const char *site, const json_t *of)
{
    const char *name, *why = "nothing of that name here";
    json_t *v;
    if (site && strcmp(site, "mangadex.org") != 0)
        why = "a site with settings of its own needs a source of your own: docs/sources.md";
    json_object_foreach((json_t *)of, name, v)
    {
        if (!is_known(section, site, name))
            leave_out(w, section, site, name, v, why);
    }
}

static void tell_all_unknown(struct writer *w, const json_t *root)
{
    const char *section, *site;
    json_t *of, *own;
    json_object_foreach((json_t *)root, section, of)
    {
        bool sites = strcmp(section, "downloaders") == 0;
        bool known = sites || strcmp(section, "global") == 0 || strcmp(section, "api") == 0;
        if (!known || !json_is_object(of)) {
            leave_out(w, NULL, NULL, section, of, known ? "no section" : "no such section");
            continue;
        }
        if (!sites) {
            tell_unknown(w, section, NULL, of);
            continue;
        }
        json_object_foreach(of, site, own)
        {
            if (json_is_object(own))
                tell_unknown(w, section, site, own);
            else
                leave_out(w, section, NULL, site, own, "no section");
        }
    }
}

static void put_settings(struct writer *w, const json_t *root)
{
    dz_buf_put(w->out, DZ_S("# From nagato's conf.json, for dozo.yaml.\n"));
    for (size_t i = 0; i < DZ_LEN(keys); i++) {
        const struct key *k = &keys[i];
        const json_t *of = json_object_get(root, k->section);
        if (k->site)
            of = json_object_get(of, k->site);
        const json_t *v = json_object_get(of, k->name);
        if (v)
            convert(w, k, v);
    }
    tell_all_unknown(w, root);
    dz_buf_put(w->out,
               DZ_S("# nagato answered on 0.0.0.0:8090 to anybody. Here that takes a token, or a "
                    "word:\n"
                    "# listen: [\"0.0.0.0:8090\"]\n"
                    "# auth: { token: \"...\" }   # or allow_anonymous: true\n"));
    if (w->comments.n > 0) {
        dz_buf_put(w->out, DZ_S("# Not taken over:\n"));
        dz_buf_put(w->out, dz_buf_str(&w->comments));
    }
}

enum dz_code dz_library_nagato_settings(const char *conf_json, struct dz_buf *ret_yaml,
                                        struct dz_err *err)
{
    struct dz_buf text DZ_AUTO(dz_buf_done);
    dz_buf_init(&text, CONF_JSON_BYTES_MAX);
    DZ_TRY(dz_file_read(conf_json, &text, err));
    json_error_t where;
    json_t *root = json_loadb(text.p ? text.p : "", text.n, 0, &where);
    if (!root)
        return dz_fail(err, DZ_PARSE, "%s:%d:%d: %s", conf_json, where.line, where.column,
                       where.text);
    enum dz_code code = DZ_OK;
    struct writer w = {.out = ret_yaml};
    dz_buf_init(&w.comments, 16 * CONF_JSON_BYTES_MAX);
    if (json_is_object(root))
        put_settings(&w, root);
    else
        code = dz_fail(err, DZ_BAD_INPUT, "%s: not an object", conf_json);
    if (code == DZ_OK && (ret_yaml->full || w.comments.full))
        code = dz_fail(err, DZ_TOO_LARGE, "%s: too many settings", conf_json);
    dz_buf_done(&w.comments);
    json_decref(root);
    return code;
}
