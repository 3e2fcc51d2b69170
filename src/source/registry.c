/*
 * registry: all sources of a process: the built-in ones and those of sources.dir.
 *
 * In: the settings. Out: an immutable list in the order of ids. A folder holds
 * NAME/source.lua or NAME.lua; who comes later takes the place of an earlier one with the same id.
 * What cannot be loaded is reported and left out. Reads files, blocking: at start and on reload.
 */
#include "source/source_int.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#define DIR_ENTRIES_MAX 10000u

struct dz_sources {
    struct dz_source **v;
    size_t n;
};

struct loading {
    const struct dz_conf *conf;
    struct dz_sources *all;
    void (*problem)(void *arg, const struct dz_err *e);
    void *arg;
};

bool src_is_shipped(dz_str id)
{
    static const char *const ids[] = {"local", "mangadex.org", "peppercarrot.com", "viz.com",
                                      "live.48.cn"};
    for (size_t i = 0; i < DZ_LEN(ids); i++)
        if (dz_str_eq(id, dz_str_of(ids[i])))
            return true;
    return false;
}

static void report(const struct loading *l, const struct dz_err *e)
{
    if (l->problem)
        l->problem(l->arg, e);
}

/* ---- adding ---------------------------------------------------------------------------------- */

static void add(struct loading *l, struct dz_source *take_s)
{
    struct dz_sources *all = l->all;
    dz_str id = dz_source_info_of(take_s)->id;
    size_t at = 0;
    while (at < all->n && dz_str_cmp(dz_source_info_of(all->v[at])->id, id) < 0)
        at++;
    if (at < all->n && dz_str_eq(dz_source_info_of(all->v[at])->id, id)) {
        dz_source_unref(&all->v[at]);
        all->v[at] = take_s;
        return;
    }
    if (all->n == DZ_SOURCES_MAX) {
        struct dz_err e;
        (void)dz_fail(&e, DZ_TOO_LARGE, "%s: more than %u sources", id.p, DZ_SOURCES_MAX);
        dz_source_unref(&take_s);
        report(l, &e);
        return;
    }
    all->v = dz_realloc(all->v, (all->n + 1) * sizeof(struct dz_source *));
    memmove(all->v + at + 1, all->v + at, (all->n - at) * sizeof(struct dz_source *));
    all->v[at] = take_s;
    all->n++;
}

static void add_text(struct loading *l, dz_str text, const char *file, const char *shown,
                     bool built_in)
{
    struct dz_source *s = NULL;
    struct dz_err e = {0};
    enum dz_code code = dz_source_load(l->conf, text, file, &s, &e);
    if (code != DZ_OK) {
        (void)dz_wrap(&e, code, "%s", shown);
        report(l, &e);
        return;
    }
    if (built_in)
        src_mark_built_in(s);
    add(l, s);
}

static void add_file(struct loading *l, const char *path)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_SOURCE_TEXT_MAX);
    struct dz_err e = {0};
    const char *slash = strrchr(path, '/');
    if (dz_file_read(path, &b, &e) != DZ_OK)
        report(l, &e);
    else
        add_text(l, dz_buf_str(&b), slash ? slash + 1 : path, path, false);
}

/* ---- folders --------------------------------------------------------------------------------- */

/* "DIR/NAME.lua", or "DIR/NAME/source.lua" when that is there; false: neither. */
static bool path_of(const char *dir, const char *name, char *path, size_t n)
{
    struct stat st;
    if (name[0] == '.' || (size_t)snprintf(path, n, "%s/%s", dir, name) >= n ||
        stat(path, &st) != 0)
        return false;
    if (S_ISREG(st.st_mode))
        return dz_str_ends(dz_str_of(name), DZ_S(".lua"));
    return S_ISDIR(st.st_mode) && (size_t)snprintf(path, n, "%s/%s/source.lua", dir, name) < n &&
           stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t read_names(DIR *d, char **names)
{
    size_t n = 0;
    const struct dirent *e;
    while (n < DIR_ENTRIES_MAX && (e = readdir(d)) != NULL)
        names[n++] = dz_strdup(e->d_name);
    qsort(names, n, sizeof(char *), by_name);
    return n;
}

/* A folder that is not there holds nothing: the default of sources.dir need not exist. */
static void add_dir(struct loading *l, const char *dir)
{
    DIR *d = opendir(dir);
    if (!d) {
        struct dz_err e;
        if (errno == ENOENT)
            return;
        (void)dz_fail_errno(&e, DZ_IO, errno, "sources.dir: %s", dir);
        report(l, &e);
        return;
    }
    char **names = dz_alloc(DIR_ENTRIES_MAX * sizeof(char *));
    size_t n = read_names(d, names);
    closedir(d);
    for (size_t i = 0; i < n; i++) {
        char path[4096];
        if (path_of(dir, names[i], path, sizeof(path)))
            add_file(l, path);
        free(names[i]);
    }
    free(names);
}

/* ---- the list -------------------------------------------------------------------------------- */

enum dz_code dz_sources_load(const struct dz_conf *conf,
                             void (*problem)(void *arg, const struct dz_err *e), void *arg,
                             struct dz_sources **ret_v, struct dz_err *err)
{
    (void)err;
    struct dz_sources *all = dz_new(struct dz_sources);
    struct loading l = {.conf = conf, .all = all, .problem = problem, .arg = arg};
    for (size_t i = 0; i < src_built_in_n; i++) {
        char shown[100];
        snprintf(shown, sizeof(shown), "built-in %s", src_built_in[i].name);
        add_text(&l, src_built_in[i].text, "source.lua", shown, true);
    }
    for (size_t i = 0; i < conf->sources.dir.n; i++)
        add_dir(&l, conf->sources.dir.v[i]);
    *ret_v = all;
    return DZ_OK;
}

void dz_sources_free(struct dz_sources **vp)
{
    struct dz_sources *all = dz_take(vp);
    if (!all)
        return;
    for (size_t i = 0; i < all->n; i++)
        dz_source_unref(&all->v[i]);
    free(all->v);
    free(all);
}

size_t dz_sources_count(const struct dz_sources *v)
{
    return v->n;
}

struct dz_source *dz_sources_at(const struct dz_sources *v, size_t i)
{
    return v->v[i];
}

struct dz_source *dz_sources_find(const struct dz_sources *v, dz_str id)
{
    for (size_t i = 0; i < v->n; i++)
        if (dz_str_eq(dz_source_info_of(v->v[i])->id, id))
            return v->v[i];
    return NULL;
}

/* contracts: a scheme is a letter, then letters, digits, + - . */
static dz_str without_scheme(dz_str url)
{
    size_t at = dz_str_find(url, DZ_S("://"));
    bool good = at != DZ_NPOS && at > 0;
    for (size_t i = 0; good && i < at; i++) {
        char c = url.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        good = letter || (i > 0 && ((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'));
    }
    return good ? dz_str_sub(url, at + 3, url.n) : url;
}

/* A host of either case, a path as it stands; behind it the end, or what cannot be part of a name.
 * So "mangadex.org/" has "mangadex.org?x" but not "mangadex.orgs". */
static bool belongs(dz_str rest, dz_str match)
{
    dz_str site = dz_str_ends(match, DZ_S("/")) ? dz_str_sub(match, 0, match.n - 1) : match;
    size_t slash = dz_str_chr(site, '/');
    size_t host_n = slash == DZ_NPOS ? site.n : slash;
    if (rest.n < site.n ||
        !dz_str_eq_nocase(dz_str_sub(rest, 0, host_n), dz_str_sub(site, 0, host_n)) ||
        !dz_str_starts(dz_str_sub(rest, host_n, rest.n), dz_str_sub(site, host_n, site.n)))
        return false;
    return rest.n == site.n || memchr("/?#:", rest.p[site.n], 4) != NULL;
}

struct dz_source *dz_sources_match(const struct dz_sources *v, dz_str url)
{
    dz_str rest = without_scheme(url);
    struct dz_source *best = NULL;
    size_t best_n = 0;
    for (size_t i = 0; i < v->n; i++) {
        const struct dz_source_info *info = dz_source_info_of(v->v[i]);
        for (size_t m = 0; info->enabled && m < info->match_n; m++) {
            if (info->match[m].n <= best_n || !belongs(rest, info->match[m]))
                continue;
            best = v->v[i];
            best_n = info->match[m].n;
        }
    }
    return best;
}
