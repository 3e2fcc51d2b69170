/*
 * apply: what a pass asks of catalog and store, on a worker.
 *
 * In: the fields of the pass that each step names. Out: the same pass, written by the worker while
 * the loop waits for it (`busy` is BUSY_WORK), so that nothing needs a lock. A change of kept
 * chapters is made of what the catalog says *after* the write lock was taken: an edit that somebody
 * made a moment ago stays.
 */
#include "crawl/pass_int.h"

#define LOAD_BYTES_MAX (2 * DZ_GIB)

static struct crawl_pass *pass_of(struct dz_work *w)
{
    return dz_container(w, struct crawl_pass, work);
}

/* ---- what is there --------------------------------------------------------------------------- */

static void take_known(struct crawl_pass *p, const struct dz_series_full *full)
{
    p->known = dz_zalloc((full->chapters_n ? full->chapters_n : 1) * sizeof(*p->known));
    p->known_cap = full->chapters_n ? full->chapters_n : 1;
    for (size_t i = 0; i < full->chapters_n; i++) {
        const struct dz_chapter_rec *c = &full->chapters[i];
        p->known[p->known_n++] = (struct pass_known){
            .source_id = dz_arena_str(p->arena, c->source_id),
            .key = dz_arena_str(p->arena, c->key),
            .volume = dz_arena_str(p->arena, c->volume),
            .sort = c->sort,
            .title_null = c->title.p == NULL,
            .volume_null = c->volume.n == 0,
            .volume_cover = c->volume_cover,
            .has_pages = true,
            /* A repair took pages out of a chapter that a crawl had brought; an import's origin is
             * a path. */
            .wanted_again = c->origin_stamp.n == 0 &&
                            (c->origin.n == 0 || dz_str_starts(c->origin, DZ_S("http"))),
        };
    }
    for (size_t i = 0; i < full->assets_n; i++)
        crawl_pass_add_asset(p, dz_arena_str(p->arena, full->assets[i].name));
}

void crawl_run_load(struct dz_work *w)
{
    struct crawl_pass *p = pass_of(w);
    struct dz_catalog *c = p->j->env->catalog;
    p->work_code = dz_catalog_series_find(c, p->source_id, p->target, &p->series_id, &p->work_err);
    if (p->work_code == DZ_NOT_FOUND) {
        p->series_id = 0;
        p->work_code = DZ_OK;
        return;
    }
    if (p->work_code != DZ_OK)
        return;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(LOAD_BYTES_MAX);
    struct dz_series_full full;
    p->work_code = dz_catalog_load_bare(c, p->series_id, a, &full, &p->work_err);
    if (p->work_code != DZ_OK)
        return;
    p->right_to_left = full.series.right_to_left;
    p->new_release = dz_arena_str(p->arena, full.series.new_release);
    take_known(p, &full);
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum dz_code put_series(struct crawl_pass *p, struct dz_err *err)
{
    DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
    DZ_TRY(dz_batch_begin(p->j->env->catalog, &b, err));
    int64_t id;
    DZ_TRY(dz_batch_series(b, &p->series, &id, err));
    DZ_TRY(dz_batch_commit(&b, NULL, err));
    p->series_id = id;
    return DZ_OK;
}

void crawl_run_series(struct dz_work *w)
{
    struct crawl_pass *p = pass_of(w);
    p->work_code = put_series(p, &p->work_err);
}

/* A chapter whose pages are fetched again keeps what it was called and where it stood. */
static enum dz_code keep_edits(struct crawl_pass *p, struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(LOAD_BYTES_MAX);
    struct dz_series_full full;
    DZ_TRY(dz_catalog_load_bare(p->j->env->catalog, p->series_id, a, &full, err));
    struct dz_chapter_rec *c = &p->chapter;
    for (size_t i = 0; i < full.chapters_n; i++) {
        const struct dz_chapter_rec *was = &full.chapters[i];
        if (!dz_str_eq(was->source_id, c->source_id))
            continue;
        if (was->title.p)
            c->title = dz_arena_str(p->arena, was->title);
        if (was->volume.n)
            c->volume = dz_arena_str(p->arena, was->volume);
        c->volume_cover |= was->volume_cover;
        c->sort = was->sort;
        c->links = dz_arena_str(p->arena, was->links);
        c->meta_extra = dz_arena_str(p->arena, was->meta_extra);
        c->extra = dz_arena_str(p->arena, was->extra);
    }
    return DZ_OK;
}

static enum dz_code put_chapter(struct crawl_pass *p, struct dz_err *err)
{
    DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
    DZ_TRY(dz_batch_begin(p->j->env->catalog, &b, err));
    int64_t id;
    bool changed;
    if (p->fresh[p->fresh_at].again)
        DZ_TRY(keep_edits(p, err));
    DZ_TRY(dz_batch_chapter(b, p->series_id, &p->chapter, &id, &changed, err));
    DZ_TRY(dz_batch_parts_del(b, p->source_id, p->chapter.source_id, err));
    return dz_batch_commit(&b, NULL, err);
}

void crawl_run_chapter(struct dz_work *w)
{
    struct crawl_pass *p = pass_of(w);
    p->work_code = put_chapter(p, &p->work_err);
}

/* What of the change is news to the chapter; false: nothing. */
static bool news(const struct dz_chapter_rec *c, const struct pass_change *change,
                 struct dz_chapter_edit *ret_edit)
{
    bool takes_volume =
        change->volume.n && (c->volume.n == 0 || dz_str_eq(c->volume, change->volume_was));
    *ret_edit = (struct dz_chapter_edit){
        .id = c->id,
        .has_title = change->title.n && c->title.p == NULL,
        .title = change->title,
        .has_volume = takes_volume && !dz_str_eq(c->volume, change->volume),
        .volume = change->volume,
        .has_cover = change->volume_cover && !c->volume_cover &&
                     (takes_volume || dz_str_eq(c->volume, change->volume)),
        .volume_cover = true,
    };
    return ret_edit->has_title || ret_edit->has_volume || ret_edit->has_cover;
}

static enum dz_code put_changes(struct crawl_pass *p, struct dz_batch *b, struct dz_arena *a,
                                struct dz_err *err)
{
    struct dz_series_full full;
    DZ_TRY(dz_catalog_load_bare(p->j->env->catalog, p->series_id, a, &full, err));
    DZ_AUTO(dz_map_done) struct dz_map by_key;
    dz_map_init(&by_key);
    for (size_t i = 0; i < full.chapters_n; i++)
        dz_map_set(&by_key, full.chapters[i].key, &full.chapters[i]);
    for (size_t i = 0; i < p->changes_n; i++) {
        const struct dz_chapter_rec *c = dz_map_get(&by_key, p->changes[i].key);
        struct dz_chapter_edit edit;
        bool changed;
        if (!c || !news(c, &p->changes[i], &edit))
            continue;
        DZ_TRY(dz_batch_chapter_edit(b, &edit, &changed, err));
        p->changed_n += changed;
    }
    return DZ_OK;
}

/* Of every chapter that has the volume of a cover that came: also of one that was edited since the
 * pass began. */
static enum dz_code put_cover_marks(struct crawl_pass *p, struct dz_batch *b, struct dz_arena *a,
                                    struct dz_err *err)
{
    struct dz_series_full full;
    DZ_TRY(dz_catalog_load_bare(p->j->env->catalog, p->series_id, a, &full, err));
    for (size_t i = 0; i < full.chapters_n; i++) {
        const struct dz_chapter_rec *c = &full.chapters[i];
        struct dz_chapter_edit edit = {.id = c->id, .has_cover = true, .volume_cover = true};
        bool came = false, changed;
        for (size_t k = 0; k < p->covers_n && !came; k++)
            came = p->covers[k].asset.name.n > 0 && dz_str_eq(p->covers[k].volume, c->volume);
        if (!came || c->volume_cover)
            continue;
        DZ_TRY(dz_batch_chapter_edit(b, &edit, &changed, err));
        p->changed_n += changed;
    }
    return DZ_OK;
}

static enum dz_code put_all(struct crawl_pass *p, struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(LOAD_BYTES_MAX);
    DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
    DZ_TRY(dz_batch_begin(p->j->env->catalog, &b, err));
    if (p->covers_n > 0 && p->j->env->lock)
        DZ_TRY(dz_catalog_lock_check(p->j->env->lock, err));
    for (size_t i = 0; i < p->covers_n; i++) {
        bool changed;
        if (p->covers[i].asset.name.n)
            DZ_TRY(dz_batch_asset(b, p->series_id, &p->covers[i].asset, &changed, err));
    }
    bool covers = false;
    for (size_t i = 0; i < p->covers_n; i++)
        covers |= p->covers[i].asset.name.n > 0;
    if (covers)
        DZ_TRY(put_cover_marks(p, b, a, err));
    if (p->changes_n > 0)
        DZ_TRY(put_changes(p, b, a, err));
    return dz_batch_commit(&b, NULL, err);
}

void crawl_run_changes(struct dz_work *w)
{
    struct crawl_pass *p = pass_of(w);
    p->work_code = put_all(p, &p->work_err);
    p->changes_n = 0;
}

static enum dz_code put_cover(struct crawl_pass *p, struct dz_err *err)
{
    struct pass_cover *c = &p->covers[p->cover_at];
    dz_str bytes = {p->body->p, p->body->n};
    struct dz_media_info info;
    enum dz_code code = dz_media_inspect(bytes, &info, err);
    if (code != DZ_OK)
        return dz_wrap(err, code, "cover of volume %.*s", DZ_STR_FMT(c->volume));
    struct dz_blob_stat stat;
    DZ_TRY(dz_store_put_bytes(p->j->env->store, bytes, &stat, err));
    c->asset = (struct dz_asset_rec){
        .name = dz_arena_printf(p->arena, "vol%.*s.jpg", DZ_STR_FMT(c->volume)),
        .mtime_s = dz_now_ms() / 1000,
        .blob = {stat.sha, stat.bytes, info.width, info.height,
                 dz_str_of(dz_media_mime(info.type))},
    };
    return DZ_OK;
}

void crawl_run_cover(struct dz_work *w)
{
    struct crawl_pass *p = pass_of(w);
    p->work_code = put_cover(p, &p->work_err);
}
