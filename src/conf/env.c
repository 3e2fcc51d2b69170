/*
 * env: settings from the environment, over those of the file.
 *
 * First the variables that the replaced services documented (an empty one counts as unset), then
 * DOZO_SECTION_KEY, so that the latter win. A DOZO_ variable that is no setting is a fault, as a
 * slip there would go unseen otherwise. The first of two entries with the same name counts, as with
 * getenv. Messages name the variable.
 */
#include "conf/conf_int.h"

#define NAME_BYTES_MAX 256

static const char *const not_settings[] = {
    "DOZO_REQUIRE", /* which servers the tests may not skip */
};

struct variable {
    dz_str name, text;
};

static bool split(const char *entry, struct variable *ret_v)
{
    dz_str s = dz_str_of(entry);
    size_t equals = dz_str_chr(s, '=');
    if (equals == DZ_NPOS)
        return false;
    *ret_v = (struct variable){dz_str_sub(s, 0, equals), dz_str_sub(s, equals + 1, s.n)};
    return true;
}

/* The first variable of that name; `before` ends the search (NULL: none does). */
static bool find(char *const *env, dz_str name, char *const *before, struct variable *ret_v)
{
    struct variable v;
    for (; *env && env != before; env++) {
        if (split(*env, &v) && dz_str_eq(v.name, name)) {
            *ret_v = v;
            return true;
        }
    }
    return false;
}

/* Tells what no value of any type may be. */
static bool is_clean(struct conf_load *l, dz_str text, struct conf_at at, const char *path)
{
    if (text.n > CONF_TEXT_BYTES_MAX)
        conf_fault(l, at, path, "is longer than 64KiB");
    else if (!dz_str_is_utf8(text))
        conf_fault(l, at, path, "is not UTF-8");
    else
        return true;
    return false;
}

static dz_str env_name(struct conf_load *l, dz_str name)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, NAME_BYTES_MAX);
    conf_env_name(name, &b);
    return dz_arena_str(l->tmp, dz_buf_str(&b));
}

/* ---- variables of the replaced services ------------------------------------------------------ */

static void read_listen(struct conf_load *l, char *const *env)
{
    struct variable host = {0}, port = {0};
    bool has_host = find(env, DZ_S("NAGATO_API_HOST"), NULL, &host) && host.text.n;
    bool has_port = find(env, DZ_S("NAGATO_API_PORT"), NULL, &port) && port.text.n;
    if (!has_host && !has_port)
        return;
    struct conf_at at = {.name = has_port ? "NAGATO_API_PORT" : "NAGATO_API_HOST"};
    const struct conf_row *row = conf_row_find(DZ_S("listen"));
    dz_str address = has_host ? dz_str_trim(host.text) : DZ_S("127.0.0.1");
    dz_str number = has_port ? dz_str_trim(port.text) : DZ_S("8090");
    if (!is_clean(l, address, at, row->name) || !is_clean(l, number, at, row->name))
        return;
    uint64_t n;
    if (dz_str_u64(number, 65535, &n, NULL) != DZ_OK) {
        conf_fault(l, at, row->name, "%s is not a port from 0 to 65535", conf_show(l, number));
        return;
    }
    if (has_host)
        at.name = "NAGATO_API_HOST";
    bool bare6 = dz_str_chr(address, ':') != DZ_NPOS && address.p[0] != '[';
    dz_str listener =
        dz_arena_printf(l->tmp, bare6 ? "[%.*s]:%u" : "%.*s:%u", DZ_STR_FMT(address), (unsigned)n);
    conf_set_text(l, row, l->c, listener, at, row->name);
}

static void read_older(struct conf_load *l, char *const *env)
{
    for (size_t i = 0; i < conf_rows_n; i++) {
        const struct conf_row *row = &conf_rows[i];
        struct variable v;
        if (!row->older_env || !find(env, dz_str_of(row->older_env), NULL, &v) || v.text.n == 0)
            continue;
        struct conf_at at = {.name = row->older_env};
        if (!is_clean(l, v.text, at, row->name))
            continue;
        uint64_t n;
        if (row->type == CONF_COUNT && v.text.p[0] == '-' &&
            dz_str_u64(dz_str_sub(v.text, 1, v.text.n), UINT64_MAX, &n, NULL) == DZ_OK)
            v.text = DZ_S("0"); /* NAGATO_CACHE_SIZE: 0 or less is no cache */
        conf_set_text(l, row, l->c, v.text, at, row->name);
    }
    read_listen(l, env);
}

/* ---- DOZO_… ---------------------------------------------------------------------------------- */

static bool read_top(struct conf_load *l, char *const *env, const struct variable *v,
                     struct conf_at at)
{
    dz_str stem =
        dz_str_ends(v->name, DZ_S("_FILE")) ? dz_str_sub(v->name, 0, v->name.n - 5) : (dz_str){0};
    for (size_t i = 0; i < conf_rows_n; i++) {
        const struct conf_row *row = &conf_rows[i];
        if (row->where != CONF_TOP)
            continue;
        dz_str name = env_name(l, dz_str_of(row->name));
        if (dz_str_eq(name, v->name)) {
            conf_set_text(l, row, l->c, v->text, at, row->name);
            return true;
        }
        if (!stem.n || row->type != CONF_TEXT || !dz_str_eq(name, stem))
            continue;
        struct variable plain;
        const char *path = dz_arena_printf(l->tmp, "%s_file", row->name).p;
        l->origins[i] = at;
        if (find(env, stem, NULL, &plain))
            conf_fault(l, at, path, "%.*s is set too; use only one of the two", DZ_STR_FMT(stem));
        else
            conf_set_file(l, row, v->text, at, path, NULL);
        return true;
    }
    return false;
}

/* The option of the source that the rest of a variable's name means, in the source's own spelling.
 */
static dz_str option_name(struct conf_load *l, const struct dz_conf_source *s, dz_str rest)
{
    for (size_t i = 0; i < conf_rows_n; i++) {
        dz_str key = conf_row_key(&conf_rows[i]);
        if (conf_rows[i].where == CONF_SOURCE && conf_row_source(s->id, key) == &conf_rows[i] &&
            dz_str_eq(dz_str_sub(env_name(l, key), 5, NAME_BYTES_MAX), rest))
            return key;
    }
    for (size_t i = 0; i < s->options.n; i++) {
        dz_str key = dz_str_of(s->options.v[i].name);
        if (dz_str_eq(dz_str_sub(env_name(l, key), 5, NAME_BYTES_MAX), rest))
            return key;
    }
    for (size_t i = 0; conf_source_ids[i]; i++)
        if (strcmp(conf_source_ids[i], s->id) == 0)
            return (dz_str){0};
    char *lower = dz_arena_dup(l->tmp, rest);
    for (size_t i = 0; i < rest.n; i++)
        if (lower[i] >= 'A' && lower[i] <= 'Z')
            lower[i] = (char)(lower[i] + ('a' - 'A'));
    return (dz_str){lower, rest.n};
}

static bool read_source(struct conf_load *l, const struct variable *v, struct conf_at at)
{
    struct dz_conf_source *best = NULL;
    size_t best_n = 0;
    for (size_t i = 0; i < l->c->sources.n; i++) { /* the longest id wins: a.b over a */
        struct dz_conf_source *s = &l->c->sources.v[i];
        dz_str prefix = env_name(l, dz_arena_printf(l->tmp, "sources.%s.", s->id));
        if (dz_str_starts(v->name, prefix) && v->name.n > prefix.n && prefix.n > best_n) {
            best = s;
            best_n = prefix.n;
        }
    }
    if (!best)
        return false;
    dz_str key = option_name(l, best, dz_str_sub(v->name, best_n, v->name.n));
    if (key.n == 0)
        return false;
    best->listed = true;
    const char *path = conf_join(l, dz_arena_printf(l->tmp, "sources.%s", best->id).p, key);
    const struct conf_row *row = conf_row_source(best->id, key);
    struct conf_node node = {.kind = CONF_SCALAR, .quoted = true, .key = key, .text = v->text};
    if (row)
        conf_set_text(l, row, best, v->text, at, path);
    else
        conf_set_option(l, best, &node, at, path);
    return true;
}

static dz_str common_name(struct conf_load *l, const char *id, const struct conf_row *row)
{
    return env_name(l,
                    dz_arena_printf(l->tmp, "sources.%s.%.*s", id, DZ_STR_FMT(conf_row_key(row))));
}

/* The one row whose name ends as the variable's does: DOZO_TOKEN means auth.token. */
static const struct conf_row *tail_row(struct conf_load *l, dz_str name)
{
    const struct conf_row *only = NULL;
    for (size_t i = 0; i < conf_rows_n; i++) {
        if (conf_rows[i].where != CONF_TOP ||
            !dz_str_eq(env_name(l, conf_row_key(&conf_rows[i])), name))
            continue;
        if (only)
            return NULL;
        only = &conf_rows[i];
    }
    return only;
}

/* Whether a variable can only be meant for us: DOZO_HTTP_… is, DOZO_HOME of somebody's script is
 * not. */
static bool names_section(struct conf_load *l, dz_str name)
{
    for (size_t i = 0; i < conf_rows_n; i++) {
        dz_str row = dz_str_of(conf_rows[i].name);
        size_t dot = dz_str_chr(row, '.');
        if (dot == DZ_NPOS)
            continue;
        dz_str section = env_name(l, dz_str_sub(row, 0, dot));
        if (dz_str_starts(name, section) && name.n > section.n && name.p[section.n] == '_')
            return true;
    }
    return false;
}

static void unknown_variable(struct conf_load *l, const struct variable *v, struct conf_at at)
{
    struct conf_nearest nearest = {.wanted = v->name};
    for (size_t i = 0; i < conf_rows_n; i++) {
        const struct conf_row *row = &conf_rows[i];
        dz_str name = dz_str_of(row->name);
        if (row->where == CONF_TOP)
            conf_nearest_offer(&nearest, env_name(l, name));
        else if (row->where == CONF_SOURCE && !dz_str_eq(conf_row_source_id(row), DZ_S("*")))
            conf_nearest_offer(&nearest, env_name(l, name));
        if (row->flags & (CONF_SECRET | CONF_URI) && row->where == CONF_TOP)
            conf_nearest_offer(&nearest,
                               env_name(l, dz_arena_printf(l->tmp, "%s_file", row->name)));
    }
    for (size_t i = 0; conf_source_ids[i]; i++)
        for (size_t r = 0; r < conf_rows_n; r++)
            if (conf_rows[r].where == CONF_SOURCE &&
                dz_str_eq(conf_row_source_id(&conf_rows[r]), DZ_S("*")))
                conf_nearest_offer(&nearest, common_name(l, conf_source_ids[i], &conf_rows[r]));
    const struct conf_row *row = conf_nearest_good(&nearest) ? NULL : tail_row(l, v->name);
    if (row)
        nearest.best = env_name(l, dz_str_of(row->name));
    if (row || conf_nearest_good(&nearest))
        conf_fault(l, at, "", "unknown variable; did you mean %.*s?", DZ_STR_FMT(nearest.best));
    else if (names_section(l, v->name))
        conf_fault(l, at, "",
                   "unknown variable; DOZO_ stands before the names of settings, as in "
                   "DOZO_HTTP_MAX_HEADER");
}

void conf_read_env(struct conf_load *l, char *const *env)
{
    read_older(l, env);
    for (char *const *e = env; *e && !conf_full(l); e++) {
        struct variable v, earlier;
        if (!split(*e, &v) || !dz_str_starts(v.name, DZ_S("DOZO_")) ||
            find(env, v.name, e, &earlier))
            continue;
        bool setting = true;
        for (size_t i = 0; i < DZ_LEN(not_settings); i++)
            setting = setting && !dz_str_eq(v.name, dz_str_of(not_settings[i]));
        dz_str name = dz_str_clip(v.name, NAME_BYTES_MAX);
        struct conf_at at = {.name = dz_arena_dup(l->tmp, name)};
        if (!setting || !is_clean(l, v.text, at, ""))
            continue;
        if (!read_top(l, env, &v, at) && !read_source(l, &v, at))
            unknown_variable(l, &v, at);
    }
}
