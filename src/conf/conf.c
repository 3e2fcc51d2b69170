/*
 * conf: settings from a file and the environment → one immutable, counted struct dz_conf.
 *
 * Order: defaults, file, variables of the replaced services, DOZO_ variables, then the rules that
 * span keys. All faults of one reading are collected; only a reading without any returns settings.
 * Everything inside lives in one arena that goes with the last reference; trees and messages live
 * in a second one that goes when the call ends. Blocking file reads; any thread.
 */
#include <errno.h>
#include <unistd.h>

#include "conf/conf_int.h"

#define DEFAULT_FILE "dozo.yaml"
#define TREE_ARENA_BYTES_MAX (512 * DZ_MIB) /* 100,000 nodes with their paths are far below */
#define FOLDER_BYTES_MAX 4096

struct box {
    struct dz_arena *arena;
    struct dz_conf c;
};

static struct box *box_of(struct dz_conf *c)
{
    return (struct box *)((char *)c - offsetof(struct box, c));
}

struct dz_conf *dz_conf_ref(struct dz_conf *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void dz_conf_unref(struct dz_conf **c)
{
    if (!*c)
        return;
    if (atomic_fetch_sub_explicit(&(*c)->refs, 1, memory_order_acq_rel) == 1) {
        struct box *box = box_of(*c);
        dz_arena_free(&box->arena);
        free(box);
    }
    *c = NULL;
}

static struct dz_conf *conf_new(void)
{
    struct box *box = dz_new(struct box);
    box->arena = dz_arena_new(CONF_ARENA_BYTES_MAX);
    atomic_init(&box->c.refs, 1);
    return &box->c;
}

/* ---- rules that span keys -------------------------------------------------------------------- */

/* Where the row was set, or where the other one was; a rule is broken by something that somebody
 * wrote. */
struct conf_at conf_at_row(const struct conf_load *l, const char *name, const char *other)
{
    struct conf_at at = l->origins[conf_row_find(dz_str_of(name)) - conf_rows];
    if (!at.name)
        at = l->origins[conf_row_find(dz_str_of(other)) - conf_rows];
    if (!at.name)
        at.name = "defaults";
    return at;
}

static bool has_scheme(const char *uri, const char *const *schemes)
{
    for (; *schemes; schemes++)
        if (dz_str_starts(dz_str_of(uri), dz_str_of(*schemes)))
            return true;
    return false;
}

struct uri_rule {
    const char *section;
    enum dz_driver driver;
    const char *word;
    const char *schemes[3]; /* none: the driver takes no uri */
    const char *words;
};

/* clang-format off */
static const struct uri_rule uri_rules[] = {
    {"catalog", DZ_DRIVER_SQLITE, "sqlite", {0}, "is data_dir/dozo.db"},
    {"catalog", DZ_DRIVER_POSTGRES, "postgres", {"postgres://", "postgresql://"}, "postgres://user@host/db"},
    {"store", DZ_DRIVER_FILES, "files", {0}, "keeps data_dir/blobs"},
    {"store", DZ_DRIVER_POSTGRES, "postgres", {"postgres://", "postgresql://"}, "postgres://user@host/db"},
    {"store", DZ_DRIVER_MONGODB, "mongodb", {"mongodb://", "mongodb+srv://"}, "mongodb://host/"},
    {"cache", DZ_DRIVER_MEMORY, "memory", {0}, "needs no address"},
    {"cache", DZ_DRIVER_REDIS, "redis", {"redis://", "rediss://"}, "redis://[user:password@]host[:port][/db]"},
};
/* clang-format on */

static void check_uri(struct conf_load *l, const char *section, enum dz_driver driver,
                      const char *uri)
{
    const char *key = dz_arena_printf(l->tmp, "%s.uri", section).p;
    struct conf_at at = conf_at_row(l, key, dz_arena_printf(l->tmp, "%s.driver", section).p);
    for (size_t i = 0; i < DZ_LEN(uri_rules); i++) {
        const struct uri_rule *rule = &uri_rules[i];
        if (strcmp(rule->section, section) != 0 || rule->driver != driver)
            continue;
        if (!rule->schemes[0] && uri[0])
            conf_fault(l, at, key, "%s.driver is %s, which %s; remove the uri or name its driver",
                       section, rule->word, rule->words);
        else if (rule->schemes[0] && !uri[0])
            conf_fault(l, at, key, "%s.driver is %s, which needs a uri such as %s", section,
                       rule->word, rule->words);
        else if (rule->schemes[0] && !has_scheme(uri, rule->schemes))
            conf_fault(l, at, key, "%s.driver is %s; expected a uri such as %s", section,
                       rule->word, rule->words);
    }
}

static void check_tls(struct conf_load *l)
{
    const struct dz_conf *c = l->c;
    if (c->tls.certificates.n != c->tls.keys.n)
        conf_fault(l, conf_at_row(l, "tls.keys", "tls.certificates"), "tls.keys",
                   "%zu keys for %zu certificates; expected one for each, in the same order",
                   c->tls.keys.n, c->tls.certificates.n);
    for (size_t i = 0; i < c->listen.n && c->tls.certificates.n == 0; i++) {
        if (!conf_is_https(c->listen.v[i]))
            continue;
        conf_fault(l, conf_at_row(l, "listen", "listen"), "listen",
                   "%.100s needs a certificate and its key; set tls.certificates and tls.keys",
                   c->listen.v[i]);
        break;
    }
}

void conf_check_all(struct conf_load *l)
{
    struct dz_conf *c = l->c;
    check_tls(l);
    check_uri(l, "catalog", c->catalog.driver, c->catalog.uri);
    check_uri(l, "store", c->store.driver, c->store.uri);
    check_uri(l, "cache", c->cache.driver, c->cache.uri);
    struct dz_err why;
    struct dz_redis_address redis;
    if (c->cache.driver == DZ_DRIVER_REDIS &&
        dz_str_starts(dz_str_of(c->cache.uri), DZ_S("redis")) &&
        dz_redis_parse(dz_str_of(c->cache.uri), &redis, &why) != DZ_OK)
        conf_fault(l, conf_at_row(l, "cache.uri", "cache.driver"), "cache.uri",
                   "the value %s; expected redis://[user:password@]host[:port][/db]", why.text);
    if (c->store.pool_min > c->store.pool_max)
        conf_fault(l, conf_at_row(l, "store.pool_min", "store.pool_max"), "store.pool_min",
                   "%u is above store.pool_max, which is %u", c->store.pool_min, c->store.pool_max);
    if (strcmp(c->uploads.secret_key, "SET_A_CUSTOM_KEY") == 0)
        conf_fault(l, conf_at_row(l, "uploads.secret_key", "uploads.enabled"), "uploads.secret_key",
                   "is the example of imoog, which everybody knows; choose another one");
    conf_make_rules(l);
    conf_make_keys(l);
}

enum dz_code dz_conf_check_address(const struct dz_conf *c, const char *address, struct dz_err *err)
{
    if (c->auth.token[0] || c->auth.allow_anonymous || conf_is_loopback(address))
        return DZ_OK;
    return dz_fail(err, DZ_BAD_INPUT,
                   "listen: %.64s can be reached from other machines, and anybody there could "
                   "change the library; set auth.token (or auth.token_file), or "
                   "auth.allow_anonymous: true if that is meant",
                   address);
}

enum dz_code dz_conf_check_serve(const struct dz_conf *c, struct dz_err *err)
{
    for (size_t i = 0; i < c->listen.n; i++)
        DZ_TRY(dz_conf_check_address(c, c->listen.v[i], err));
    return DZ_OK;
}

/* ---- loading --------------------------------------------------------------------------------- */

static enum dz_code make_absolute(struct dz_conf *c, struct dz_arena *a, struct dz_err *err)
{
    dz_str path = dz_str_of(c->data_dir);
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path = dz_str_sub(path, 0, path.n - 1);
    if (path.p[0] == '/') {
        c->data_dir = dz_arena_dup(a, path);
        return DZ_OK;
    }
    while (dz_str_starts(path, DZ_S("./")))
        path = dz_str_sub(path, 2, path.n);
    if (dz_str_eq(path, DZ_S(".")))
        path = (dz_str){0};
    char folder[FOLDER_BYTES_MAX];
    if (!getcwd(folder, sizeof folder))
        return dz_fail_errno(err, DZ_IO, errno, "data_dir: the working folder");
    const char *slash = path.n && strcmp(folder, "/") != 0 ? "/" : "";
    c->data_dir = (char *)dz_arena_printf(a, "%s%s%.*s", folder, slash, DZ_STR_FMT(path)).p;
    return DZ_OK;
}

static const char *folder_of(struct dz_arena *a, const char *path)
{
    dz_str s = dz_str_of(path);
    size_t slash = dz_str_rchr(s, '/');
    if (slash == DZ_NPOS)
        return NULL;
    return slash == 0 ? "" : dz_arena_dup(a, dz_str_sub(s, 0, slash));
}

static void read_text(struct conf_load *l, dz_str yaml, const char *name)
{
    struct conf_node *root = NULL;
    struct conf_at at = {.name = name};
    struct dz_err err;
    if (conf_tree_parse(l->tmp, yaml, &root, &at.line, &err) != DZ_OK)
        conf_fault(l, at, "", "%s", err.text);
    else if (root)
        conf_read_tree(l, root, name);
}

static enum dz_code finish(struct conf_load *l, const char *name, struct dz_err *err)
{
    if (l->faults == 0)
        conf_check_all(l);
    if (l->faults) {
        if (err)
            *err = l->first;
        return l->first.code;
    }
    struct dz_conf *c = l->c;
    c->file = name ? dz_arena_dup(l->a, dz_str_of(name)) : NULL;
    return make_absolute(c, l->a, err);
}

/* name NULL: no file, only defaults and variables. */
static enum dz_code load(dz_str yaml, const char *name, char *const *env, struct dz_conf **ret_conf,
                         struct dz_buf *report, struct dz_err *err)
{
    DZ_AUTO(dz_conf_unref) struct dz_conf *c = conf_new();
    DZ_AUTO(dz_arena_free) struct dz_arena *tmp = dz_arena_new(TREE_ARENA_BYTES_MAX);
    struct conf_load l = {.c = c, .a = box_of(c)->arena, .tmp = tmp, .report = report};
    l.origins = dz_arena_alloc(tmp, conf_rows_n * sizeof *l.origins);
    memset(l.origins, 0, conf_rows_n * sizeof *l.origins);
    conf_set_presets(&l);
    if (name) {
        l.dir = folder_of(tmp, name);
        read_text(&l, yaml, name);
    }
    if (env)
        conf_read_env(&l, env);
    DZ_TRY(finish(&l, name, err));
    *ret_conf = dz_take(&c);
    return DZ_OK;
}

enum dz_code dz_conf_parse(dz_str yaml, const char *name, char *const *env,
                           struct dz_conf **ret_conf, struct dz_buf *report, struct dz_err *err)
{
    return load(yaml, name, env, ret_conf, report, err);
}

static enum dz_code file_failed(const char *path, enum dz_code code, const struct dz_err *why,
                                struct dz_buf *report, struct dz_err *err)
{
    struct dz_err e = *why;
    if (code == DZ_TOO_LARGE)
        (void)dz_fail(&e, DZ_TOO_LARGE, "%.160s: larger than 1MiB, which settings may not be",
                      path);
    else
        (void)dz_wrap(&e, code, "the settings cannot be read");
    if (report) {
        dz_buf_put(report, dz_str_of(e.text));
        dz_buf_putc(report, '\n');
    }
    if (err)
        *err = e;
    return e.code;
}

enum dz_code dz_conf_load(const char *path, char *const *env, struct dz_conf **ret_conf,
                          struct dz_buf *report, struct dz_err *err)
{
    const char *name = path ? path : DEFAULT_FILE;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, CONF_FILE_BYTES_MAX);
    struct dz_err why;
    enum dz_code code = dz_file_read(name, &b, &why);
    if (code == DZ_NOT_FOUND && !path)
        return load((dz_str){0}, NULL, env, ret_conf, report, err);
    if (code != DZ_OK)
        return file_failed(name, code, &why, report, err);
    return load(dz_buf_str(&b), name, env, ret_conf, report, err);
}
