/*
 * known: what earlier imports left in the catalog, as far as the next one has to know it.
 *
 * In: the imported series of the catalog, once at the start, and each chapter as it is stored. Out:
 * lookups by series name, by the chapter's id in its series, by its key, and by origin: the
 * absolute path it came from, which is how the same file is known again under another spelling or
 * from another given path. Kept in one arena until the run ends; one thread.
 */
#include "library/import_int.h"

#include <stdlib.h>

#define KNOWN_BYTES_MAX (16 * DZ_GIB)

static void init_maps(struct known_series *s)
{
    dz_map_init(&s->by_source_id);
    dz_map_init(&s->by_key);
    dz_map_init(&s->by_number);
}

static void done_maps(struct known_series *s)
{
    dz_map_done(&s->by_source_id);
    dz_map_done(&s->by_key);
    dz_map_done(&s->by_number);
}

void known_done(struct known *k)
{
    for (size_t i = 0; i < k->n; i++)
        done_maps(k->series[i]);
    free(k->series);
    dz_map_done(&k->by_name);
    dz_map_done(&k->by_origin);
    dz_arena_free(&k->arena);
    *k = (struct known){.catalog = NULL};
}

static struct known_series *add_series(struct known *k, const struct dz_series_rec *rec)
{
    struct dz_arena *a = k->arena;
    struct known_series *s = dz_arena_alloc(a, sizeof(*s));
    *s = (struct known_series){.rec = *rec};
    s->rec.source = dz_arena_str(a, rec->source);
    s->rec.source_id = dz_arena_str(a, rec->source_id);
    s->rec.title = dz_arena_str(a, rec->title);
    s->rec.description = dz_arena_str(a, rec->description);
    s->rec.authors = dz_arena_str(a, rec->authors);
    s->rec.lang = dz_arena_str(a, rec->lang);
    s->rec.status = dz_arena_str(a, rec->status);
    s->rec.url = dz_arena_str(a, rec->url);
    s->rec.new_release = dz_arena_str(a, rec->new_release);
    init_maps(s);
    if (k->n == k->cap) {
        k->cap = k->cap ? k->cap * 2 : 64;
        k->series = dz_realloc(k->series, k->cap * sizeof(struct known_series *));
    }
    k->series[k->n++] = s;
    (void)dz_map_set(&k->by_name, s->rec.source_id, s);
    return s;
}

static void put_all(struct known *k, struct known_series *s, const struct dz_series_full *full)
{
    /* The catalog lists the newest first; the first volume has to come first for `restarts`. */
    for (size_t i = full->chapters_n; i > 0; i--)
        known_put(k, s, &full->chapters[i - 1]);
}

enum dz_code known_open(struct known *k, struct dz_catalog *catalog, struct dz_err *err)
{
    *k = (struct known){.catalog = catalog, .arena = dz_arena_new(KNOWN_BYTES_MAX)};
    dz_map_init(&k->by_name);
    dz_map_init(&k->by_origin);
    DZ_AUTO(dz_arena_free) struct dz_arena *lists = dz_arena_new(DZ_GIB);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(KNOWN_BYTES_MAX);
    int64_t *ids = NULL;
    size_t n = 0;
    DZ_TRY(dz_catalog_series_ids(catalog, lists, &ids, &n, err));
    for (size_t i = 0; i < n; i++) {
        struct dz_series_full full;
        dz_arena_reset(a);
        enum dz_code code = dz_catalog_load(catalog, ids[i], a, &full, err);
        if (code == DZ_NOT_FOUND)
            continue;
        DZ_TRY(code);
        if (dz_str_eq(full.series.source, DZ_S(IMPORT_SOURCE)))
            put_all(k, add_series(k, &full.series), &full);
    }
    return DZ_OK;
}

struct known_series *known_series_of(struct known *k, dz_str title)
{
    dz_str source_id = library_fold(k->arena, title);
    struct known_series *s = dz_map_get(&k->by_name, source_id);
    if (s)
        return s;
    struct dz_series_rec rec = {
        .source = DZ_S(IMPORT_SOURCE), .source_id = source_id, .title = dz_str_trim(title)};
    return add_series(k, &rec);
}

enum dz_code known_reload(struct known *k, struct known_series *s, struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(KNOWN_BYTES_MAX);
    int64_t id = 0;
    struct dz_series_full full;
    enum dz_code code =
        dz_catalog_series_find(k->catalog, s->rec.source, s->rec.source_id, &id, err);
    if (code == DZ_NOT_FOUND)
        return DZ_OK;
    DZ_TRY(code);
    DZ_TRY(dz_catalog_load(k->catalog, id, a, &full, err));
    done_maps(s);
    init_maps(s);
    s->restarts = false;
    s->volume_min = s->sort_max = 0;
    s->rec.id = id;
    put_all(k, s, &full);
    return DZ_OK;
}

struct dz_sha256 known_pages_digest(const struct dz_page_rec *pages, size_t n)
{
    DZ_AUTO(dz_sha256_free) struct dz_sha256_ctx *hash = dz_sha256_new();
    for (size_t i = 0; i < n; i++)
        dz_sha256_add(hash, (dz_str){(const char *)pages[i].blob.sha.b, sizeof(pages[i].blob.sha)});
    return dz_sha256_end(hash);
}

void known_forget(struct known *k, struct known_chapter *c)
{
    struct known_series *s = c->series;
    if (dz_map_get(&s->by_source_id, c->source_id) == c)
        (void)dz_map_del(&s->by_source_id, c->source_id);
    if (dz_map_get(&s->by_key, c->key) == c)
        (void)dz_map_del(&s->by_key, c->key);
    if (c->number.n > 0 && dz_map_get(&s->by_number, c->number) == c)
        (void)dz_map_del(&s->by_number, c->number);
    if (dz_map_get(&k->by_origin, c->origin) == c)
        (void)dz_map_del(&k->by_origin, c->origin);
}

static void note_number(struct known_series *s, struct known_chapter *c)
{
    double volume = 0;
    if (c->number.n == 0)
        return;
    const struct known_chapter *other = dz_map_get(&s->by_number, c->number);
    if (!other)
        (void)dz_map_set(&s->by_number, c->number, c);
    else if (c->volume.n > 0 && other->volume.n > 0 && !dz_str_eq(c->volume, other->volume))
        s->restarts = true;
    if (library_number(c->volume, &volume) && (s->volume_min == 0 || volume < s->volume_min))
        s->volume_min = volume;
}

void known_put(struct known *k, struct known_series *s, const struct dz_chapter_rec *rec)
{
    struct dz_arena *a = k->arena;
    struct known_chapter *before = dz_map_get(&s->by_source_id, rec->source_id);
    if (before)
        known_forget(k, before);
    struct known_chapter *c = dz_arena_alloc(a, sizeof(*c));
    *c = (struct known_chapter){.series = s, .id = rec->id, .sort = rec->sort};
    c->source_id = dz_arena_str(a, rec->source_id);
    c->key = dz_arena_str(a, rec->key);
    c->origin = dz_arena_str(a, rec->origin);
    c->stamp = dz_arena_str(a, rec->origin_stamp);
    c->number = dz_arena_str(a, rec->number);
    c->volume = dz_arena_str(a, rec->volume);
    c->pages = known_pages_digest(rec->pages, rec->pages_n);
    (void)dz_map_set(&s->by_source_id, c->source_id, c);
    (void)dz_map_set(&s->by_key, c->key, c);
    if (c->origin.n > 0)
        (void)dz_map_set(&k->by_origin, c->origin, c);
    note_number(s, c);
    if (c->sort > s->sort_max)
        s->sort_max = c->sort;
}
