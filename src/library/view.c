/*
 * view: everything a reader may see at one moment.
 *
 * In: the catalog, the settings, the view before, and which series changed. Out: a new view that
 * shares the snapshots of all others, so that a change costs one series. A series on a shelf is
 * built with that shelf's bodies and links, once for each different set of links; the reader's list
 * reuses the first of them. One series that cannot be read does not hold up the rest: it stays as
 * it was and is named in the job. Built by one thread, then immutable and shared; the last
 * reference frees.
 */
#include "library/library_int.h"

#include <stdlib.h>

/* One series as loaded; a series of the largest allowed size still fits. */
#define LOAD_BYTES_MAX (16 * DZ_GIB)
#define LISTS_BYTES_MAX DZ_GIB

/* A snapshot and what it was built for. The view's other pointers to it borrow this reference. */
struct made {
    int64_t series_id;
    bool shelf;
    bool as_before;               /* could not be built anew: nothing is built upon it */
    const struct dz_pairs *links; /* NULL: none */
    struct dz_snapshot *snap;
};

struct view {
    struct dz_view pub;        /* first: a struct dz_view * is a struct view * */
    struct dz_arena *arena;    /* names of shelves */
    struct dz_snapshot *empty; /* of shelves that have no series yet; NULL: there are none */
    struct made *made;
    size_t made_n, made_cap;
};

/* Which series a shelf shows: an id, else source and source_id; neither: nothing. */
struct target {
    int64_t id;
    dz_str source, source_id;
};

struct build {
    struct library_view_job *job;
    const struct view *old;
    struct view *v;
    struct target *targets; /* one a shelf */
    struct dz_arena *arena; /* one series, reset for each */
};

int library_id_cmp(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* ---- counting -------------------------------------------------------------------------------- */

struct dz_view *dz_view_ref(struct dz_view *v)
{
    atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
    return v;
}

void dz_view_unref(struct dz_view **pv)
{
    struct view *v = (struct view *)*pv;
    *pv = NULL;
    if (!v || atomic_fetch_sub_explicit(&v->pub.refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < v->made_n; i++)
        dz_snapshot_unref(&v->made[i].snap);
    dz_snapshot_unref(&v->empty);
    free(v->made);
    free(v->pub.series);
    free(v->pub.shelves);
    free(v->pub.hosts);
    dz_map_done(&v->pub.by_id);
    dz_map_done(&v->pub.by_shelf);
    dz_map_done(&v->pub.by_host);
    dz_conf_unref(&v->pub.conf);
    dz_arena_free(&v->arena);
    free(v);
}

/* ---- asking ---------------------------------------------------------------------------------- */

const struct dz_snapshot *dz_view_series(const struct dz_view *v, int64_t id)
{
    return dz_map_get(&v->by_id, (dz_str){(const char *)&id, sizeof(id)});
}

const struct dz_view_shelf *dz_view_shelf_of(const struct dz_view *v, dz_str name)
{
    return dz_map_get(&v->by_shelf, name);
}

static enum dz_host_kind kind_of_label(dz_str label)
{
    if (dz_str_eq(label, DZ_S("api")))
        return DZ_HOST_API;
    if (dz_str_eq(label, DZ_S("cdn")))
        return DZ_HOST_CDN;
    if (dz_str_eq(label, DZ_S("i")))
        return DZ_HOST_IMAGE;
    return DZ_HOST_NONE;
}

struct dz_view_host dz_view_host_of(const struct dz_view *v, dz_str host)
{
    const struct dz_view_host *known = dz_map_get(&v->by_host, dz_str_without_port(host));
    if (known)
        return *known;
    struct dz_view_host none = {DZ_HOST_NONE, NULL};
    if (v->shelves_n != 1)
        return none;
    /* As the service that is replaced does it: the port is not cut off first, so "api:8491" is
     * nobody's label. */
    enum dz_host_kind kind = kind_of_label(dz_str_sub(host, 0, dz_str_chr(host, '.')));
    return kind == DZ_HOST_NONE ? none : (struct dz_view_host){kind, &v->shelves[0]};
}

/* ---- shelves --------------------------------------------------------------------------------- */

static struct target read_target(const char *series)
{
    dz_str s = dz_str_of(series);
    size_t slash = dz_str_chr(s, '/');
    uint64_t id = 0;
    if (slash != DZ_NPOS)
        return (struct target){0, dz_str_sub(s, 0, slash), dz_str_sub(s, slash + 1, s.n)};
    if (dz_str_u64(s, INT64_MAX, &id, NULL) == DZ_OK)
        return (struct target){.id = (int64_t)id};
    return (struct target){0};
}

static bool is_target(const struct target *t, const struct dz_series_rec *s)
{
    if (t->id != 0)
        return t->id == s->id;
    return t->source.n > 0 && dz_str_eq(t->source, s->source) &&
           dz_str_eq(t->source_id, s->source_id);
}

static bool has_target(struct dz_catalog *c, const struct target *t)
{
    int64_t id = 0;
    return t->id != 0 || (t->source.n > 0 &&
                          dz_catalog_series_find(c, t->source, t->source_id, &id, NULL) == DZ_OK);
}

static const struct dz_shelf_rec *row_of(const struct dz_shelf_rec *rows, size_t n, dz_str name)
{
    for (size_t i = 0; i < n; i++)
        if (dz_str_eq(rows[i].name, name))
            return &rows[i];
    return NULL;
}

static int cmp_shelf_rows(const void *a, const void *b)
{
    const struct dz_shelf_rec *x = a, *y = b;
    return dz_str_natural_cmp(x->name, y->name);
}

static bool is_named_in_settings(const struct dz_conf *c, dz_str name)
{
    for (size_t i = 0; i < c->shelves_n; i++)
        if (dz_str_eq(dz_str_of(c->shelves[i].name), name))
            return true;
    return false;
}

/* Names and targets; the snapshots come as the series are laid. */
static enum dz_code lay_shelves(struct build *b, struct dz_arena *a, struct dz_err *err)
{
    struct dz_conf *conf = b->job->conf;
    struct dz_view *v = &b->v->pub;
    struct dz_shelf_rec *rows = NULL;
    size_t rows_n = 0;
    DZ_TRY(dz_catalog_shelves(b->job->catalog, a, &rows, &rows_n, err));
    if (rows_n > 0)
        qsort(rows, rows_n, sizeof(*rows), cmp_shelf_rows);
    v->shelves = dz_zalloc((conf->shelves_n + rows_n + 1) * sizeof(*v->shelves));
    b->targets = dz_zalloc((conf->shelves_n + rows_n + 1) * sizeof(*b->targets));
    for (size_t i = 0; i < conf->shelves_n; i++) {
        const struct dz_conf_shelf *c = &conf->shelves[i];
        const struct dz_shelf_rec *row = row_of(rows, rows_n, dz_str_of(c->name));
        struct target t = {0};
        if (c->series && *c->series)
            t = read_target(c->series);
        /* Imported with --shelf before the settings named a series that nobody has brought yet. */
        if (row && !has_target(b->job->catalog, &t))
            t = (struct target){.id = row->series_id};
        b->targets[v->shelves_n] = t;
        v->shelves[v->shelves_n++] = (struct dz_view_shelf){.name = c->name, .conf = c};
    }
    for (size_t i = 0; i < rows_n; i++) {
        if (is_named_in_settings(conf, rows[i].name))
            continue;
        b->targets[v->shelves_n].id = rows[i].series_id;
        v->shelves[v->shelves_n++] =
            (struct dz_view_shelf){.name = dz_arena_dup(b->v->arena, rows[i].name)};
    }
    return DZ_OK;
}

/* ---- series ---------------------------------------------------------------------------------- */

static const struct dz_pairs *links_of(const struct dz_view_shelf *s)
{
    return s->conf && s->conf->links.n > 0 ? &s->conf->links : NULL;
}

static bool same_links(const struct dz_pairs *a, const struct dz_pairs *b)
{
    size_t n = a ? a->n : 0;
    if (n != (b ? b->n : 0))
        return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(a->v[i].name, b->v[i].name) != 0 || strcmp(a->v[i].text, b->v[i].text) != 0)
            return false;
    return true;
}

static struct made *find_made(const struct view *v, size_t from, int64_t id, bool shelf,
                              const struct dz_pairs *links)
{
    for (size_t i = from; i < v->made_n; i++) {
        struct made *m = &v->made[i];
        if (m->series_id == id && m->shelf == shelf && !m->as_before && same_links(m->links, links))
            return m;
    }
    return NULL;
}

static struct dz_snapshot *keep(struct view *v, struct made take_made)
{
    if (v->made_n == v->made_cap) {
        v->made_cap = v->made_cap ? v->made_cap * 2 : 64;
        v->made = dz_realloc(v->made, v->made_cap * sizeof(*v->made));
    }
    v->made[v->made_n++] = take_made;
    return take_made.snap;
}

/* Where the old view keeps the snapshots of a series: made in the order of ids, as catalogs list
 * them. */
static size_t old_at(const struct view *old, int64_t id)
{
    size_t low = 0, high = old->made_n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (old->made[mid].series_id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* One series on its way into the view. */
struct series {
    int64_t id;
    bool stale;                      /* what the old view has does not count */
    const struct dz_series_rec *rec; /* of the old snapshot or of full */
    const struct dz_snapshot *old;   /* the reader's of the old view, NULL: none */
    struct dz_series_full full;
    bool loaded;
    const struct dz_snapshot *since; /* what full was loaded since */
    size_t first;                    /* its place in made */
};

/* What changed since that snapshot; NULL: all. */
static enum dz_code load(struct build *b, struct series *s, const struct dz_snapshot *since,
                         struct dz_err *err)
{
    if (s->loaded && s->since == since)
        return DZ_OK;
    s->loaded = false;
    DZ_TRY(dz_catalog_load_since(b->job->catalog, s->id, since, b->arena, &s->full, err));
    s->loaded = true;
    s->since = since;
    s->rec = &s->full.series;
    return DZ_OK;
}

static enum dz_code build_one(struct build *b, struct series *s, bool shelf,
                              const struct dz_pairs *links, struct dz_snapshot **ret_snap,
                              struct dz_err *err)
{
    struct made *m = find_made(b->v, s->first, s->id, shelf, links);
    if (m) {
        *ret_snap = m->snap;
        return DZ_OK;
    }
    struct made next = {.series_id = s->id, .shelf = shelf, .links = links};
    m = b->old ? find_made(b->old, old_at(b->old, s->id), s->id, shelf, links) : NULL;
    if (m && !s->stale) {
        next.snap = dz_snapshot_ref(m->snap);
        *ret_snap = keep(b->v, next);
        return DZ_OK;
    }
    /* Texts of chapters hold links: only what was built for the same ones can be taken over. */
    const struct dz_snapshot *old = m ? m->snap : NULL;
    DZ_TRY(load(b, s, old, err));
    size_t n = links ? links->n : 0;
    struct dz_link_template *templates = n ? dz_alloc(n * sizeof(*templates)) : NULL;
    for (size_t i = 0; i < n; i++)
        templates[i] =
            (struct dz_link_template){dz_str_of(links->v[i].name), dz_str_of(links->v[i].text)};
    enum dz_code code = dz_snapshot_update(&s->full, old, shelf, templates, n, &next.snap, err);
    free(templates);
    DZ_TRY(code);
    for (size_t i = 0; i < s->full.chapters_n; i++)
        b->job->pages_built += s->full.chapters[i].pages_n;
    *ret_snap = keep(b->v, next);
    return DZ_OK;
}

/* All snapshots of one series; the first one made is the reader's. */
static enum dz_code lay_series(struct build *b, struct series *s, struct dz_err *err)
{
    struct dz_view *v = &b->v->pub;
    struct dz_snapshot *snap = NULL;
    if (!s->rec)
        DZ_TRY(load(b, s, s->old, err));
    for (size_t i = 0; i < v->shelves_n; i++)
        if (is_target(&b->targets[i], s->rec))
            DZ_TRY(build_one(b, s, true, links_of(&v->shelves[i]), &snap, err));
    return snap ? DZ_OK : build_one(b, s, false, NULL, &snap, err);
}

/* Takes over what the old view had, whatever it was built for. */
static void lay_as_before(struct build *b, struct series *s)
{
    if (!b->old)
        return;
    for (size_t i = old_at(b->old, s->id); i < b->old->made_n; i++) {
        struct made m = b->old->made[i];
        if (m.series_id != s->id)
            break;
        m.as_before = true;
        m.links = NULL;
        dz_snapshot_ref(m.snap);
        keep(b->v, m);
    }
}

static void drop_from(struct view *v, size_t first)
{
    while (v->made_n > first)
        dz_snapshot_unref(&v->made[--v->made_n].snap);
}

static bool is_of_one_series(enum dz_code code)
{
    return code == DZ_CORRUPT || code == DZ_TOO_LARGE || code == DZ_PARSE || code == DZ_BAD_INPUT;
}

static bool is_changed(const struct library_view_job *job, int64_t id)
{
    return job->changed_n > 0 &&
           bsearch(&id, job->changed, job->changed_n, sizeof(id), library_id_cmp) != NULL;
}

static enum dz_code lay_one(struct build *b, int64_t id, struct dz_err *err)
{
    struct library_view_job *job = b->job;
    struct series s = {.id = id, .first = b->v->made_n};
    s.old = b->old ? dz_view_series(&b->old->pub, id) : NULL;
    s.stale = !s.old || is_changed(job, id);
    if (!s.stale)
        s.rec = &s.old->series;
    struct dz_err own = {0};
    dz_arena_reset(b->arena);
    enum dz_code code = lay_series(b, &s, &own);
    if (code == DZ_OK)
        return DZ_OK;
    drop_from(b->v, s.first);
    if (code == DZ_NOT_FOUND) /* deleted since the list was made */
        return DZ_OK;
    if (!is_of_one_series(code)) {
        if (err)
            *err = own;
        return code;
    }
    lay_as_before(b, &s);
    if (job->failed_n == 0) {
        job->trouble = own;
        (void)dz_wrap(&job->trouble, code, "series %lld", (long long)id);
    }
    job->failed = dz_realloc(job->failed, (job->failed_n + 1) * sizeof(*job->failed));
    job->failed[job->failed_n++] = id;
    return DZ_OK;
}

/* ---- putting together ------------------------------------------------------------------------ */

static int cmp_titles(const void *a, const void *b)
{
    const struct dz_snapshot *x = *(struct dz_snapshot *const *)a;
    const struct dz_snapshot *y = *(struct dz_snapshot *const *)b;
    int c = dz_str_natural_cmp(x->series.title, y->series.title);
    return c ? c : library_id_cmp(&x->series.id, &y->series.id);
}

static void list_series(struct view *v)
{
    v->pub.series = dz_alloc((v->made_n + 1) * sizeof(struct dz_snapshot *));
    for (size_t i = 0; i < v->made_n; i++) {
        struct dz_snapshot *s = v->made[i].snap;
        if (i > 0 && v->made[i - 1].series_id == v->made[i].series_id)
            continue;
        if (s->chapters_n + s->assets_n > 0)
            v->pub.series[v->pub.series_n++] = s;
        (void)dz_map_set(&v->pub.by_id, (dz_str){(const char *)&s->series.id, sizeof(s->series.id)},
                         s);
    }
    qsort(v->pub.series, v->pub.series_n, sizeof(struct dz_snapshot *), cmp_titles);
}

/* The snapshot a shelf shows: with its links, else (the series could not be built anew) with
 * bodies at least. */
static struct dz_snapshot *snap_for(const struct view *v, const struct target *t,
                                    const struct dz_pairs *links)
{
    struct dz_snapshot *other = NULL;
    for (size_t i = 0; i < v->made_n; i++) {
        const struct made *m = &v->made[i];
        if (!m->shelf || !is_target(t, &m->snap->series))
            continue;
        if (same_links(m->links, links))
            return m->snap;
        other = m->snap;
    }
    return other;
}

static void add_hosts(struct dz_view *v, const struct dz_strs *names, enum dz_host_kind kind,
                      const struct dz_view_shelf *shelf)
{
    for (size_t i = 0; i < names->n; i++) {
        dz_str name = dz_str_of(names->v[i]);
        if (dz_map_get(&v->by_host, name))
            continue;
        v->hosts[v->hosts_n] = (struct dz_view_host){kind, shelf};
        (void)dz_map_set(&v->by_host, name, &v->hosts[v->hosts_n++]);
    }
}

static void finish_shelves(struct build *b)
{
    struct dz_view *v = &b->v->pub;
    size_t hosts = 0;
    for (size_t i = 0; i < v->shelves_n; i++) {
        struct dz_view_shelf *s = &v->shelves[i];
        s->snap = snap_for(b->v, &b->targets[i], links_of(s));
        (void)dz_map_set(&v->by_shelf, dz_str_of(s->name), s);
        if (s->conf)
            hosts += s->conf->api_hosts.n + s->conf->cdn_hosts.n + s->conf->image_hosts.n;
    }
    v->hosts = dz_zalloc((hosts + 1) * sizeof(*v->hosts));
    for (size_t i = 0; i < v->shelves_n; i++) {
        const struct dz_view_shelf *s = &v->shelves[i];
        if (!s->conf)
            continue;
        add_hosts(v, &s->conf->api_hosts, DZ_HOST_API, s);
        add_hosts(v, &s->conf->cdn_hosts, DZ_HOST_CDN, s);
        add_hosts(v, &s->conf->image_hosts, DZ_HOST_IMAGE, s);
    }
}

static enum dz_code show(struct build *b, struct dz_err *err)
{
    struct view *v = b->v;
    const struct view *old = b->old;
    for (size_t i = 0; i < v->pub.shelves_n; i++) {
        struct dz_view_shelf *s = &v->pub.shelves[i];
        bool awaited = s->conf && s->conf->series && *s->conf->series;
        s->shown = s->snap;
        if (s->snap || !awaited)
            continue;
        /* The one of the view before, so that its text keeps its etag and its prepared answer. */
        if (!v->empty && old && old->empty)
            v->empty = dz_snapshot_ref(old->empty);
        struct dz_series_full nothing = {0};
        if (!v->empty)
            DZ_TRY(dz_snapshot_build(&nothing, true, NULL, 0, &v->empty, err));
        s->shown = v->empty;
    }
    return DZ_OK;
}

static enum dz_code lay_all(struct build *b, struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *lists = dz_arena_new(LISTS_BYTES_MAX);
    int64_t *ids = NULL;
    size_t n = 0;
    DZ_TRY(lay_shelves(b, lists, err));
    DZ_TRY(dz_catalog_series_ids(b->job->catalog, lists, &ids, &n, err));
    if (n > 0)
        qsort(ids, n, sizeof(*ids), library_id_cmp);
    for (size_t i = 0; i < n; i++)
        DZ_TRY(lay_one(b, ids[i], err));
    list_series(b->v);
    finish_shelves(b);
    return show(b, err);
}

enum dz_code library_view_build(struct library_view_job *job, struct dz_view **ret_view,
                                struct dz_err *err)
{
    static atomic_uint_fast64_t serial;
    struct view *v = dz_new(struct view);
    DZ_AUTO(dz_view_unref) struct dz_view *owner = &v->pub;
    v->pub.refs = 1;
    v->pub.serial = atomic_fetch_add(&serial, 1) + 1;
    v->pub.conf = dz_conf_ref(job->conf);
    v->arena = dz_arena_new(LISTS_BYTES_MAX);
    dz_map_init(&v->pub.by_id);
    dz_map_init(&v->pub.by_shelf);
    dz_map_init(&v->pub.by_host);
    struct build b = {.job = job, .old = (const struct view *)job->old, .v = v};
    b.arena = dz_arena_new(LOAD_BYTES_MAX);
    enum dz_code code = lay_all(&b, err);
    dz_arena_free(&b.arena);
    free(b.targets);
    DZ_TRY(code);
    *ret_view = dz_take(&owner);
    return DZ_OK;
}
