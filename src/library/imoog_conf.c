/*
 * imoog_conf: the settings of the service that is replaced, in the words of this one
 * (contracts/imoog.md 1).
 *
 * In: its settings file, of which python.c reads the plain assignments. Out: where its database is,
 * and lines for dozo.yaml; what has no place there, or is computed when the file runs, as comments.
 * One table says what becomes of a name; its order is that of the lines. Nothing is written to a
 * file. Odd: the database and the Redis are put together from several members.
 */
#include "library/imoog_int.h"

#define SETTINGS_BYTES_MAX DZ_MIB
#define EXAMPLE_KEY "SET_A_CUSTOM_KEY"

enum kind { TEXT, SWITCH, COUNT, ENTRIES, LIST, PAIRS, SECRET };

static const struct key {
    const char *name;
    enum kind kind;
    const char *section, *below, *setting; /* below may be NULL */
} keys[] = {
    {"ALLOWED_HOSTS", LIST, "http", NULL, "allowed_hosts"},
    {"CORS_ALLOWED_ORIGINS", LIST, "http", NULL, "cors_origins"},
    {"ENFORCE_SECURE_SCHEME", SWITCH, "http", NULL, "force_https"},
    {"COMPRESSION_LEVEL", COUNT, "store", NULL, "compression_level"},
    {"MAX_CACHE_SIZE", ENTRIES, "cache", NULL, "max_entries"},
    {"SECRET_KEY", SECRET, "uploads", NULL, "secret_key"},
    {"DELIVER_ENDPOINT", TEXT, "uploads", NULL, "endpoint"},
    {"DELIVER_ENDPOINT_METHODS", LIST, "uploads", NULL, "endpoint_methods"},
    {"DELETE_ENDPOINT_METHODS", LIST, "uploads", NULL, "delete_methods"},
    {"REQUIRE_AUTH_FOR_DELETE", SWITCH, "uploads", NULL, "delete_requires_auth"},
    {"FILE_NAME_LENGTH", COUNT, "uploads", NULL, "name_length"},
    {"NOT_FOUND_STATUS_CODE", COUNT, "uploads", NULL, "not_found_status"},
    {"FILE_DELETED_STATUS_CODE", COUNT, "uploads", NULL, "deleted_status"},
    {"FALLBACK_FILE_EXT", TEXT, "uploads", NULL, "fallback_ext"},
    {"USE_OPENGRAPH", SWITCH, "uploads", "opengraph", "enabled"},
    {"OPENGRAPH_PROPERTIES", PAIRS, "uploads", "opengraph", "properties"},
    {"OPENGRAPH_BASE_HTML", TEXT, "uploads", "opengraph", "base_html"},
};

struct writer {
    struct dz_buf *out;
    struct dz_buf comments;
    const char *section, *below;
};

/* ---- values ----------------------------------------------------------------------------------
 */

static void put_list(struct dz_buf *out, const json_t *v)
{
    dz_buf_putc(out, '[');
    for (size_t i = 0; i < json_array_size(v); i++) {
        dz_buf_put(out, i ? DZ_S(", ") : DZ_S(""));
        dz_conf_put_quoted(out, dz_json_text(json_array_get(v, i)));
    }
    dz_buf_putc(out, ']');
}

static bool are_texts(const json_t *v)
{
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!json_is_string(json_array_get(v, i)))
            return false;
    return json_is_array(v);
}

static const char *put_pairs(struct dz_buf *out, const json_t *v)
{
    const char *name;
    json_t *text;
    bool first = true;
    if (!json_is_object(v))
        return "not a dict";
    dz_buf_put(out, DZ_S("{ "));
    json_object_foreach((json_t *)v, name, text)
    {
        if (!json_is_string(text))
            return "not a dict of texts";
        dz_buf_put(out, first ? DZ_S("") : DZ_S(", "));
        dz_conf_put_quoted(out, dz_str_of(name));
        dz_buf_put(out, DZ_S(": "));
        dz_conf_put_quoted(out, dz_json_text(text));
        first = false;
    }
    dz_buf_put(out, DZ_S(" }"));
    return NULL;
}

/* The value as YAML; else the words that say why not. */
static const char *put_value(enum kind kind, const json_t *v, struct dz_buf *out)
{
    dz_str text = json_is_string(v) ? dz_json_text(v) : (dz_str){0};
    switch (kind) {
    case TEXT:
    case SECRET:
        if (!json_is_string(v))
            return "not a text";
        if (kind == SECRET && dz_str_eq(text, DZ_S(EXAMPLE_KEY)))
            return "the example that everybody knows; choose a key: uploads.secret_key";
        dz_conf_put_quoted(out, text);
        return NULL;
    case SWITCH:
        if (!json_is_boolean(v))
            return "neither True nor False";
        dz_buf_put(out, json_is_true(v) ? DZ_S("true") : DZ_S("false"));
        return NULL;
    case ENTRIES:
        if (dz_str_eq(text, DZ_S("inf"))) {
            dz_buf_put(out, text);
            return NULL;
        }
        /* fall through */
    case COUNT:
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return "not a whole number";
        dz_buf_put_u64(out, (uint64_t)json_integer_value(v));
        return NULL;
    case LIST:
        if (!are_texts(v))
            return "not a list of texts";
        put_list(out, v);
        return NULL;
    default:
        return put_pairs(out, v);
    }
}

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void leave_out(struct writer *w, const char *name, const char *why)
{
    dz_buf_putf(&w->comments, "#   %.100s: %s\n", name, why);
}

static void put_line(struct writer *w, const char *section, const char *below, const char *setting,
                     dz_str value)
{
    if (!is_same(w->section, section))
        dz_buf_putf(w->out, "%s:\n", section);
    if (below && (!is_same(w->below, below) || !is_same(w->section, section)))
        dz_buf_putf(w->out, "  %s:\n", below);
    dz_buf_putf(w->out, "  %s%s: ", below ? "  " : "", setting);
    dz_buf_put(w->out, value);
    dz_buf_putc(w->out, '\n');
    w->section = section;
    w->below = below;
}

static void put_text(struct writer *w, const char *section, const char *setting, const char *text)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, SETTINGS_BYTES_MAX);
    dz_conf_put_quoted(&b, dz_str_of(text));
    put_line(w, section, NULL, setting, dz_buf_str(&b));
}

/* ---- the database and the cache ---------------------------------------------------------------
 */

static const char *member(const json_t *of, const char *name, const char *preset,
                          struct dz_arena *a)
{
    const json_t *v = json_object_get(of, name);
    return json_is_string(v) ? dz_arena_dup(a, dz_json_text(v)) : preset;
}

/* Nothing is known when the settings do not say where it is. */
static void find_place(const json_t *values, struct dz_arena *a, struct dz_imoog_place *ret_place)
{
    const json_t *drivers = json_object_get(values, "DATABASE_DRIVERS");
    const json_t *config = json_object_get(drivers, "config");
    const char *driver = member(drivers, "driver", "", a);
    bool postgres = strstr(driver, "postgres") != NULL, mongo = strstr(driver, "mongo") != NULL;
    struct dz_imoog_place p = {.driver = "", .table = "", .database = "", .collection = ""};
    p.uri = member(config, "connection_uri", "", a);
    if (postgres) {
        p.driver = "postgres";
        p.table = member(config, "table_name", "my_images", a);
    } else if (mongo) {
        p.driver = "mongodb";
        p.database = member(config, "database_name", "", a);
        p.collection = member(config, "collection_name", "", a);
    }
    *ret_place = p;
}

static void put_pool(struct writer *w, const json_t *config, const char *name, const char *setting)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 64);
    const json_t *v = json_object_get(config, name);
    if (v && !put_value(COUNT, v, &b))
        put_line(w, "store", NULL, setting, dz_buf_str(&b));
}

static void put_store(struct writer *w, const json_t *values, const struct dz_imoog_place *p)
{
    const json_t *config = json_object_get(json_object_get(values, "DATABASE_DRIVERS"), "config");
    if (!p->driver[0]) {
        leave_out(w, "DATABASE_DRIVERS", "names neither imoog.database.postgres nor mongo");
        return;
    }
    put_text(w, "store", "driver", p->driver);
    put_text(w, "store", "uri", p->uri);
    if (strcmp(p->driver, "postgres") == 0) {
        put_text(w, "store", "table", p->table);
        put_pool(w, config, "min_size", "pool_min");
        put_pool(w, config, "max_size", "pool_max");
    } else {
        put_text(w, "store", "database", p->database);
        put_text(w, "store", "collection", p->collection);
    }
}

/* redis://USER:PASSWORD@rest */
static void put_cache(struct writer *w, const json_t *values, struct dz_arena *a)
{
    const json_t *drivers = json_object_get(values, "CACHE_DRIVERS");
    const json_t *config = json_object_get(drivers, "config");
    const char *uri = member(config, "connection_uri", "", a);
    const char *user = member(config, "username", "", a);
    const char *password = member(config, "password", "", a);
    if (!strstr(member(drivers, "driver", "", a), "redis"))
        return;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, SETTINGS_BYTES_MAX);
    size_t scheme = dz_str_find(dz_str_of(uri), DZ_S("://"));
    bool adds = scheme != DZ_NPOS && user[0] && password[0] && !strchr(uri, '@');
    dz_buf_put(&b, dz_str_sub(dz_str_of(uri), 0, adds ? scheme + 3 : DZ_NPOS));
    if (adds) {
        dz_buf_put_url(&b, dz_str_of(user));
        dz_buf_putc(&b, ':');
        dz_buf_put_url(&b, dz_str_of(password));
        dz_buf_putc(&b, '@');
        dz_buf_put(&b, dz_str_of(uri + scheme + 3));
    }
    put_text(w, "cache", "driver", "redis");
    put_text(w, "cache", "uri", dz_buf_cstr(&b));
}

/* ---- the whole -------------------------------------------------------------------------------
 */

static bool is_known(const char *name)
{
    for (size_t i = 0; i < DZ_LEN(keys); i++)
        if (strcmp(keys[i].name, name) == 0)
            return true;
    return strcmp(name, "DATABASE_DRIVERS") == 0 || strcmp(name, "CACHE_DRIVERS") == 0;
}

static void put_key(struct writer *w, const struct key *k, const json_t *v)
{
    DZ_AUTO(dz_buf_done) struct dz_buf value;
    dz_buf_init(&value, 8 * SETTINGS_BYTES_MAX);
    const char *why = put_value(k->kind, v, &value);
    if (why)
        leave_out(w, k->name, why);
    else
        put_line(w, k->section, k->below, k->setting, dz_buf_str(&value));
}

static void put_settings(struct writer *w, const json_t *values, const json_t *others,
                         const struct dz_imoog_place *place, struct dz_arena *a)
{
    const char *name, *section = "";
    json_t *v;
    dz_buf_put(w->out, DZ_S("# From imoog's settings, for dozo.yaml.\n"));
    for (size_t i = 0; i < DZ_LEN(keys); i++) {
        /* Before the first line of the section. */
        if (strcmp(section, "store") != 0 && strcmp(keys[i].section, "store") == 0)
            put_store(w, values, place);
        if (strcmp(section, "cache") != 0 && strcmp(keys[i].section, "cache") == 0)
            put_cache(w, values, a);
        section = keys[i].section;
        v = json_object_get(values, keys[i].name);
        if (v)
            put_key(w, &keys[i], v);
    }
    json_object_foreach((json_t *)values, name, v)
    {
        if (!is_known(name))
            leave_out(w, name, "nothing of that name here");
    }
    json_object_foreach((json_t *)others, name, v)
    {
        leave_out(w, name, "is computed when the file runs, which was not done: set it by hand");
    }
    if (w->comments.n > 0) {
        dz_buf_put(w->out, DZ_S("# Not taken over:\n"));
        dz_buf_put(w->out, dz_buf_str(&w->comments));
    }
}

enum dz_code dz_library_imoog_settings(const char *path, struct dz_arena *a,
                                       struct dz_imoog_place *ret_place, struct dz_buf *ret_yaml,
                                       struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    json_t *values = NULL, *others = NULL;
    dz_buf_init(&text, SETTINGS_BYTES_MAX);
    DZ_TRY(dz_file_read(path, &text, err));
    enum dz_code code = library_python_read(dz_buf_str(&text), &values, &others, err);
    if (code != DZ_OK)
        return dz_wrap(err, code, "%.200s", path);
    struct writer w = {.out = ret_yaml};
    dz_buf_init(&w.comments, 16 * SETTINGS_BYTES_MAX);
    struct dz_imoog_place place;
    find_place(values, a, &place);
    put_settings(&w, values, others, &place, a);
    if (!place.driver[0] || !place.uri[0])
        code = dz_fail(err, DZ_BAD_INPUT,
                       "%.200s does not say in plain values where its database is "
                       "(DATABASE_DRIVERS); name its URI instead",
                       path);
    else if (ret_yaml->full || w.comments.full)
        code = dz_fail(err, DZ_TOO_LARGE, "%.200s: too many settings", path);
    dz_buf_done(&w.comments);
    json_decref(values);
    json_decref(others);
    if (code == DZ_OK)
        *ret_place = place;
    return code;
}
