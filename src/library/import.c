/*
 * import: folders and archives into the library.
 *
 * In: paths. Out: series of the source "local", a chapter a unit of the plan. The order of steps
 * makes it safe to be killed: the pages of a chapter are put and synced, then one batch of the
 * catalog makes the chapter visible, whole. What a killed run leaves is at most blobs that nobody
 * names, which the next run finds again or `check` removes.
 *
 * What a chapter is: the file or folder it came from (its origin). Read again, from whatever given
 * path, it replaces itself, or is passed over when size and time say that nothing changed. Without
 * a known origin it is the one with the same relative name in the same series, unless that one's
 * own file is still there: then they are two.
 */
#include <unistd.h>

#include "library/import_int.h"

#include <stdlib.h>

#define CONFLICTS_MAX 5     /* other importers may take the key we chose */
#define VOLUME_STEP 10000.0 /* sort of volume N where numbers begin anew: N * this + number */

struct import {
    struct dz_library *l;
    const struct dz_import_options *o;
    struct dz_import_result result;
    struct import_teller teller;
    struct plan plan;
    struct known known;
    struct chapter_reader reader;
    struct chapter chapter;
    struct dz_catalog_lock *lock;
};

/* ---- telling --------------------------------------------------------------------------------- */

void import_tell(struct import_teller *t, int kind, const char *path, const char *entry,
                 const char *text)
{
    if (kind == DZ_IMPORT_WARNING)
        t->result->warnings++;
    if (kind == DZ_IMPORT_ERROR)
        t->result->errors++;
    struct dz_import_event e = {.path = path, .entry = entry, .text = text};
    e.kind = kind;
    e.done = t->done;
    e.total = t->total;
    if (t->o->event)
        t->o->event(t->o->arg, &e);
}

bool import_stopped(const struct import_teller *t)
{
    return t->o->stop && atomic_load(t->o->stop);
}

/* ---- where a chapter belongs ----------------------------------------------------------------- */

/* A chapter on its way into the catalog. */
struct placing {
    const struct plan_unit *u;
    struct known_series *s;
    struct known_chapter *mine;  /* stored already, will be replaced; NULL: new */
    struct known_chapter *moved; /* the same origin in another series: taken out there */
    bool is_same;                /* another file with equal pages has its place: nothing to store */
    struct dz_series_rec series;
    struct dz_chapter_rec rec;
};

static dz_str series_title(const struct import *im, const struct plan_unit *u)
{
    const struct chapter *c = &im->chapter;
    dz_str title = u->series;
    if (im->o->series)
        title = dz_str_of(im->o->series);
    else if (c->has_info && dz_str_trim(c->info.series).n > 0)
        title = c->info.series;
    return dz_str_clip(title, DZ_TEXT_MAX);
}

/* An origin whose name had to be made text cannot be asked for; then nothing may be replaced. */
static bool is_still_there(dz_str origin)
{
    if (dz_str_find(origin, DZ_S("\xef\xbf\xbd")) != DZ_NPOS)
        return true;
    DZ_AUTO(dz_freep) char *path = dz_str_dup(origin);
    return access(path, F_OK) == 0;
}

static void find_place(struct import *im, struct placing *p)
{
    const struct plan_unit *u = p->u;
    struct dz_arena *a = im->chapter.arena;
    p->s = known_series_of(&im->known, series_title(im, u));
    p->rec.source_id = u->source_id;
    p->moved = dz_map_get(&im->known.by_origin, u->origin);
    if (p->moved && p->moved->series == p->s) {
        p->mine = p->moved;
        p->moved = NULL;
        p->rec.source_id = p->mine->source_id;
        return;
    }
    p->mine = dz_map_get(&p->s->by_source_id, u->source_id);
    if (!p->mine || !is_still_there(p->mine->origin))
        return;
    struct dz_sha256 pages = known_pages_digest(im->chapter.pages, im->chapter.pages_n);
    if (memcmp(pages.b, p->mine->pages.b, sizeof(pages.b)) == 0) {
        p->is_same = true;
        return;
    }
    struct dz_sha256 other = dz_sha256_of(u->origin);
    char hex[8];
    dz_hex(other.b, sizeof(hex) / 2, hex);
    p->rec.source_id =
        dz_arena_printf(a, "%.*s~%.*s", DZ_STR_FMT(dz_str_clip(u->source_id, DZ_TEXT_MAX - 16)),
                        (int)sizeof(hex), hex);
    p->mine = dz_map_get(&p->s->by_source_id, p->rec.source_id);
}

/* ---- number, key, order ---------------------------------------------------------------------- */

/* "003" → "3"; texts that only begin with digits too. */
static dz_str plain_number(dz_str s)
{
    s = dz_str_clip(dz_str_trim(s), 64);
    while (s.n > 1 && s.p[0] == '0' && s.p[1] >= '0' && s.p[1] <= '9')
        s = dz_str_sub(s, 1, s.n);
    return s;
}

static void fill_numbers(struct import *im, struct placing *p)
{
    const struct dz_comicinfo *info = im->chapter.has_info ? &im->chapter.info : NULL;
    dz_str number = p->u->number, volume = p->u->volume, title = p->u->title;
    if (info && dz_str_trim(info->number).n > 0)
        number = info->number;
    if (info && info->volume >= 0)
        volume = dz_arena_printf(im->chapter.arena, "%lld", (long long)info->volume);
    if (info && dz_str_trim(info->title).n > 0)
        title = dz_str_trim(info->title);
    p->rec.number = plain_number(number);
    p->rec.volume = plain_number(volume);
    p->rec.title = title.n > 0 ? dz_str_clip(title, DZ_TEXT_MAX) : (dz_str){NULL, 0};
}

/* Who holds a key, other than the chapter itself. */
static struct known_chapter *holder(const struct placing *p, dz_str key)
{
    struct known_chapter *c = dz_map_get(&p->s->by_key, key);
    return c == p->mine ? NULL : c;
}

static dz_str first_key(struct import *im, struct placing *p)
{
    struct dz_arena *a = im->chapter.arena;
    const struct dz_chapter_rec *r = &p->rec;
    dz_str number = library_slug(a, r->number), volume = library_slug(a, r->volume);
    if (number.n > 0) {
        const struct known_chapter *other = holder(p, number);
        if (!other || volume.n == 0 || dz_str_eq(other->volume, r->volume))
            return number;
        p->s->restarts |= other->volume.n > 0;
        return dz_arena_printf(a, "v%.*sc%.*s", DZ_STR_FMT(volume), DZ_STR_FMT(number));
    }
    if (volume.n > 0)
        return dz_arena_printf(a, "v%.*s", DZ_STR_FMT(volume));
    dz_str slug = library_slug(a, p->u->name);
    if (slug.n > 0)
        return slug;
    struct dz_sha256 sha = dz_sha256_of(r->source_id);
    char hex[8];
    dz_hex(sha.b, sizeof(hex) / 2, hex);
    return dz_arena_printf(a, "x%.*s", (int)sizeof(hex), hex);
}

static void fill_key(struct import *im, struct placing *p)
{
    dz_str base = first_key(im, p);
    p->rec.key = base;
    for (unsigned n = 2; holder(p, p->rec.key); n++)
        p->rec.key = dz_arena_printf(im->chapter.arena, "%.*s_%u", DZ_STR_FMT(base), n);
}

static double sort_of(const struct placing *p)
{
    double number = 0, volume = 0;
    bool has_number = library_number(p->rec.number, &number);
    bool has_volume = library_number(p->rec.volume, &volume);
    bool is_later = p->s->restarts && has_volume && volume > p->s->volume_min;
    if (is_later)
        return volume * VOLUME_STEP + number;
    if (has_number)
        return number;
    if (has_volume)
        return volume;
    if (p->u->siblings > 1)
        return p->u->position;
    return p->mine ? p->mine->sort : p->s->sort_max + 1;
}

/* ---- storing --------------------------------------------------------------------------------- */

/* What ComicInfo says of the series fills what is not known yet; the first chapter that says it
 * wins. False: nothing new. */
static bool fill_series(const struct import *im, struct placing *p)
{
    const struct dz_comicinfo *info = &im->chapter.info;
    p->series = p->s->rec;
    if (!im->chapter.has_info)
        return p->s->rec.id == 0;
    bool is_new = p->s->rec.id == 0;
    if (p->series.description.n == 0 && info->summary.n > 0) {
        p->series.description = dz_str_clip(info->summary, DZ_LONG_TEXT_MAX);
        is_new = true;
    }
    if (p->series.authors.n == 0 && info->writer.n > 0) {
        p->series.authors = dz_str_clip(info->writer, DZ_TEXT_MAX);
        is_new = true;
    }
    if (p->series.lang.n == 0 && info->language.n > 0) {
        p->series.lang = dz_str_clip(info->language, DZ_TEXT_MAX);
        is_new = true;
    }
    if (!p->series.right_to_left && dz_str_eq_nocase(info->manga, DZ_S("YesAndRightToLeft"))) {
        p->series.right_to_left = true;
        is_new = true;
    }
    return is_new;
}

static void fill_rec(struct import *im, struct placing *p)
{
    const struct chapter *c = &im->chapter;
    fill_numbers(im, p);
    fill_key(im, p);
    p->rec.sort = sort_of(p);
    p->rec.page_count = (uint32_t)c->pages_n;
    p->rec.origin = p->u->origin;
    p->rec.origin_stamp = c->incomplete ? (dz_str){NULL, 0} : p->u->stamp;
    p->rec.pages = c->pages;
    p->rec.pages_n = c->pages_n;
}

/* One batch: the series when it is new or knows more, the chapter, and its old place when it
 * moved. */
static enum dz_code store(struct import *im, struct placing *p, bool *ret_changed,
                          struct dz_err *err)
{
    DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
    DZ_TRY(dz_batch_begin(im->l->catalog, &b, err));
    DZ_TRY(dz_catalog_lock_check(im->lock, err));
    int64_t series_id = p->s->rec.id, id = 0;
    if (fill_series(im, p))
        DZ_TRY(dz_batch_series(b, &p->series, &series_id, err));
    DZ_TRY(dz_batch_chapter(b, series_id, &p->rec, &id, ret_changed, err));
    if (p->moved) {
        enum dz_code code = dz_batch_chapter_del(b, p->moved->id, err);
        if (code != DZ_OK && code != DZ_NOT_FOUND)
            return code;
    }
    DZ_TRY(dz_batch_commit(&b, NULL, err));
    p->series.id = series_id;
    p->rec.id = id;
    return DZ_OK;
}

/* Texts of a series record live in the chapter's arena, which is reset. */
static void remember(struct import *im, struct placing *p)
{
    struct dz_arena *a = im->known.arena;
    struct dz_series_rec *rec = &p->s->rec;
    rec->id = p->series.id;
    rec->right_to_left = p->series.right_to_left;
    if (rec->description.n == 0)
        rec->description = dz_arena_str(a, p->series.description);
    if (rec->authors.n == 0)
        rec->authors = dz_arena_str(a, p->series.authors);
    if (rec->lang.n == 0)
        rec->lang = dz_arena_str(a, p->series.lang);
    if (p->moved)
        known_forget(&im->known, p->moved);
    known_put(&im->known, p->s, &p->rec);
}

static bool is_about_input(enum dz_code code)
{
    return code == DZ_TOO_LARGE || code == DZ_BAD_INPUT || code == DZ_CONFLICT;
}

/* The chapter just read, with its pages in the store. */
static enum dz_code place_chapter(struct import *im, const struct plan_unit *u, struct dz_err *err)
{
    bool changed = false, had = false;
    struct dz_err own = {0};
    enum dz_code code = DZ_CONFLICT;
    for (unsigned i = 0; i < CONFLICTS_MAX && code == DZ_CONFLICT; i++) {
        struct placing p = {.u = u};
        if (i > 0) {
            find_place(im, &p);
            DZ_TRY(known_reload(&im->known, p.s, err));
            p = (struct placing){.u = u};
        }
        find_place(im, &p);
        p.s->touched = true;
        if (p.is_same) {
            im->result.chapters_same++;
            import_tell(&im->teller, DZ_IMPORT_SKIPPED, u->shown, NULL, "equal pages are there");
            return DZ_OK;
        }
        fill_rec(im, &p);
        had = p.mine != NULL;
        code = store(im, &p, &changed, &own);
        if (code == DZ_OK)
            remember(im, &p);
    }
    if (is_about_input(code)) {
        import_tell(&im->teller, DZ_IMPORT_ERROR, u->shown, NULL, own.text);
        return DZ_OK;
    }
    if (code != DZ_OK) {
        if (err)
            *err = own;
        return code;
    }
    im->result.chapters_new += !had;
    im->result.chapters_changed += had && changed;
    im->result.chapters_same += had && !changed;
    if (!had || changed) {
        im->result.pages += im->chapter.pages_n;
        im->result.bytes += im->chapter.bytes;
    }
    import_tell(&im->teller, had && !changed ? DZ_IMPORT_SKIPPED : DZ_IMPORT_CHAPTER, u->shown,
                NULL, NULL);
    return DZ_OK;
}

/* ---- running --------------------------------------------------------------------------------- */

/* Known by its origin, with the same stamp, and not asked for under another series name. */
static bool is_unchanged(struct import *im, const struct plan_unit *u)
{
    struct known_chapter *c = dz_map_get(&im->known.by_origin, u->origin);
    if (!c || c->stamp.n == 0 || !dz_str_eq(c->stamp, u->stamp))
        return false;
    if (im->o->series) {
        dz_str name = library_fold(im->known.arena, dz_str_of(im->o->series));
        if (!dz_str_eq(name, c->series->rec.source_id))
            return false;
    }
    c->series->touched = true;
    return true;
}

static enum dz_code import_unit(struct import *im, const struct plan_unit *u, struct dz_err *err)
{
    uint64_t before = im->teller.done;
    if (import_stopped(&im->teller))
        return dz_fail(err, DZ_CANCELLED, "stopped");
    if (is_unchanged(im, u)) {
        im->result.chapters_same++;
        im->teller.done = before + u->bytes;
        import_tell(&im->teller, DZ_IMPORT_SKIPPED, u->shown, NULL, NULL);
        return DZ_OK;
    }
    bool usable = false;
    DZ_TRY(chapter_read(&im->reader, u, &im->chapter, &usable, err));
    im->teller.done = before + u->bytes;
    if (!usable)
        return DZ_OK;
    DZ_TRY(dz_store_batch_commit(im->reader.batch, err));
    return place_chapter(im, u, err);
}

enum dz_code import_check_shelf(const char *name, struct dz_err *err)
{
    if (dz_conf_is_shelf_name(dz_str_of(name)))
        return DZ_OK;
    return dz_fail(err, DZ_BAD_INPUT, "shelf \"%.80s\": a name is " DZ_CONF_SHELF_NAME_WORDS,
                   name ? name : "");
}

enum dz_code import_put_shelf(struct dz_catalog *c, const char *name, int64_t series_id,
                              struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_GIB);
    struct dz_shelf_rec *rows = NULL;
    size_t n = 0;
    DZ_TRY(dz_catalog_shelves(c, a, &rows, &n, err));
    for (size_t i = 0; i < n; i++)
        if (dz_str_eq(rows[i].name, dz_str_of(name)) && rows[i].series_id == series_id)
            return DZ_OK;
    DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
    DZ_TRY(dz_batch_begin(c, &b, err));
    DZ_TRY(dz_batch_shelf(b, dz_str_of(name), series_id, err));
    return dz_batch_commit(&b, NULL, err);
}

/* Shows the one series of this run on the shelf that was asked for. */
static enum dz_code show_on_shelf(struct import *im, struct dz_conf *conf, struct dz_err *err)
{
    const char *shelf = im->o->shelf;
    const struct known_series *only = NULL;
    struct dz_err own;
    for (size_t i = 0; i < im->known.n; i++) {
        struct known_series *s = im->known.series[i];
        im->result.series += s->touched && s->rec.id != 0;
        if (s->touched && s->rec.id != 0)
            only = s;
    }
    if (!shelf || im->result.series == 0)
        return DZ_OK;
    if (im->result.series > 1) {
        (void)dz_fail(&own, DZ_BAD_INPUT,
                      "a shelf shows one series, this import has %llu: shelf %s is left as it is; "
                      "--series NAME makes them one",
                      (unsigned long long)im->result.series, shelf);
        import_tell(&im->teller, DZ_IMPORT_ERROR, shelf, NULL, own.text);
        return DZ_OK;
    }
    for (size_t i = 0; i < conf->shelves_n; i++) {
        const struct dz_conf_shelf *c = &conf->shelves[i];
        if (strcmp(c->name, shelf) == 0 && c->series && *c->series) {
            (void)dz_fail(&own, DZ_BAD_INPUT,
                          "the settings show %.100s on this shelf, not what was "
                          "imported",
                          c->series);
            import_tell(&im->teller, DZ_IMPORT_WARNING, shelf, NULL, own.text);
        }
    }
    return import_put_shelf(im->l->catalog, shelf, only->rec.id, err);
}

static enum dz_code run(struct import *im, const char *const *paths, size_t n, struct dz_conf *conf,
                        struct dz_err *err)
{
    DZ_TRY(known_open(&im->known, im->l->catalog, err));
    for (size_t i = 0; i < n; i++)
        plan_add(&im->plan, paths[i], &im->teller);
    plan_finish(&im->plan);
    im->teller.total = im->plan.bytes;
    import_tell(&im->teller, DZ_IMPORT_PLAN, n > 0 ? paths[0] : "", NULL, NULL);
    for (size_t i = 0; i < im->plan.n; i++)
        DZ_TRY(import_unit(im, im->plan.units[i], err));
    if (import_stopped(&im->teller))
        return dz_fail(err, DZ_CANCELLED, "stopped");
    return show_on_shelf(im, conf, err);
}

enum dz_code dz_library_import(struct dz_library *l, const char *const *paths, size_t n,
                               const struct dz_import_options *o,
                               struct dz_import_result *ret_result, struct dz_err *err)
{
    struct import im = {.l = l, .o = o};
    *ret_result = im.result;
    DZ_AUTO(dz_catalog_unlock) struct dz_catalog_lock *lock = NULL;
    pthread_mutex_lock(&l->lock);
    DZ_AUTO(dz_conf_unref) struct dz_conf *conf = dz_conf_ref(l->conf);
    pthread_mutex_unlock(&l->lock);
    if (o->series && dz_str_trim(dz_str_of(o->series)).n == 0)
        return dz_fail(err, DZ_BAD_INPUT, "the name of the series is empty");
    if (o->shelf)
        DZ_TRY(import_check_shelf(o->shelf, err));
    DZ_TRY(library_lock(l->catalog, false, &lock, err));
    im.lock = lock;
    im.teller = (struct import_teller){.o = o, .result = &im.result};
    im.reader.store = l->store;
    im.reader.teller = &im.teller;
    dz_buf_init(&im.reader.page, IMPORT_PAGE_BYTES_MAX);
    im.chapter.arena = dz_arena_new(4 * DZ_GIB);
    plan_init(&im.plan, conf->data_dir);
    enum dz_code code = run(&im, paths, n, conf, err);
    *ret_result = im.result; /* also what a failed run has done is worth telling */
    known_done(&im.known);
    plan_done(&im.plan);
    chapter_reader_done(&im.reader);
    dz_arena_free(&im.chapter.arena);
    return code;
}
