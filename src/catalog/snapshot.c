/*
 * snapshot: the immutable picture of one series that readers are served from.
 *
 * In: a loaded series (borrowed) and, for a shelf, its link templates. Out: one counted object; its
 * records lie in its arena; pages and texts of each chapter are a counted block, which the next
 * picture of the series takes over when the chapter did not change; the three maps and the list of
 * the shelf stand beside. Built by one thread, then only read, by any; the last unref frees all.
 * Odd: a page keeps its index while its block lives, so that new pages count on from the old
 * picture's.
 */
#include "catalog/catalog_int.h"

#include <math.h>

#define SNAPSHOT_MAX (4 * DZ_GIB)

struct builder {
    struct dz_text_pool pool;
    dz_str mime;         /* the last type that is not in the table, and its copy */
    const char *mime_at; /* NUL-terminated */
    uint64_t index;
    struct dz_bodies *bodies; /* NULL: no shelf */
};

static enum dz_code intern_mime(struct builder *b, dz_str mime, const char **ret_mime,
                                struct dz_err *err)
{
    const struct dz_page_type *type = dz_page_type_of(mime);
    if (type || mime.n == 0) {
        *ret_mime = type ? type->mime.p : "";
        return DZ_OK;
    }
    if (!b->mime_at || !dz_str_eq(b->mime, mime)) {
        void *p;
        DZ_TRY(dz_arena_try(b->pool.arena, mime.n + 1, &p, err));
        memcpy(p, mime.p, mime.n);
        ((char *)p)[mime.n] = '\0';
        b->mime = (dz_str){p, mime.n};
        b->mime_at = p;
    }
    *ret_mime = b->mime_at;
    return DZ_OK;
}

static uint16_t clip16(uint32_t n)
{
    return n > UINT16_MAX ? UINT16_MAX : (uint16_t)n;
}

static struct dz_snap_page file_of(struct builder *b, const struct dz_blob_rec *blob,
                                   const char *mime, int64_t mtime_s, uint32_t number)
{
    return (struct dz_snap_page){
        .sha = blob->sha,
        .mtime_s = mtime_s,
        .mime = mime,
        .bytes = blob->bytes < DZ_BLOB_BYTES_MAX ? (uint32_t)blob->bytes : DZ_BLOB_BYTES_MAX,
        .number = number,
        .index = (uint32_t)b->index++,
        .width = clip16(blob->width),
        .height = clip16(blob->height),
    };
}

static enum dz_code copy_series(struct builder *b, const struct dz_series_rec *from,
                                struct dz_series_rec *to, struct dz_err *err)
{
    *to = *from;
    dz_str *texts[] = {&to->source, &to->source_id, &to->title, &to->description, &to->authors,
                       &to->lang,   &to->status,    &to->url,   &to->new_release};
    for (size_t i = 0; i < DZ_LEN(texts); i++)
        DZ_TRY(dz_text_pool_str(&b->pool, *texts[i], texts[i], err));
    return DZ_OK;
}

/* ---- blocks of chapters
 * ---------------------------------------------------------------------------
 */

static bool is_odd(const struct dz_page_rec *p)
{
    return p->blob.mime.n > 0 && !dz_page_type_of(p->blob.mime);
}

static bool has_type_of_last(const struct dz_chapter_rec *c, size_t at)
{
    return at > 0 && dz_str_eq(c->pages[at].blob.mime, c->pages[at - 1].blob.mime);
}

static struct dz_snap_block *new_block(size_t pages_n, size_t texts_bytes)
{
    struct dz_snap_block *block =
        dz_alloc(sizeof(*block) + pages_n * sizeof(struct dz_snap_page) + texts_bytes);
    atomic_init(&block->refs, 1);
    return block;
}

/* Copies s to *at and steps behind it; a NULL p stays NULL. */
static dz_str settle(char **at, dz_str s)
{
    if (s.n == 0)
        return (dz_str){s.p ? "" : NULL, 0};
    dz_str copy = {*at, s.n};
    memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

static void make_block(struct builder *b, const struct dz_chapter_rec *c, dz_str x_metadata,
                       struct dz_snap_chapter *to)
{
    size_t texts_bytes = c->key.n + c->number.n + c->volume.n + c->title.n + x_metadata.n;
    for (size_t i = 0; i < c->pages_n; i++)
        if (is_odd(&c->pages[i]) && !has_type_of_last(c, i))
            texts_bytes += c->pages[i].blob.mime.n + 1;
    struct dz_snap_block *block = new_block(c->pages_n, texts_bytes);
    char *text = (char *)&block->pages[c->pages_n];
    for (size_t i = 0; i < c->pages_n; i++) {
        const struct dz_page_rec *p = &c->pages[i];
        const struct dz_page_type *type = dz_page_type_of(p->blob.mime);
        const char *mime = type ? type->mime.p : "";
        if (is_odd(p) && has_type_of_last(c, i)) {
            mime = block->pages[i - 1].mime;
        } else if (is_odd(p)) {
            mime = settle(&text, p->blob.mime).p;
            *text++ = '\0';
        }
        block->pages[i] = file_of(b, &p->blob, mime, p->mtime_s, p->number);
    }
    to->block = block;
    to->pages = c->pages_n > 0 ? block->pages : NULL;
    to->key = settle(&text, c->key);
    to->number = settle(&text, c->number);
    to->volume = settle(&text, c->volume);
    to->title = settle(&text, c->title);
    to->x_metadata = settle(&text, x_metadata);
}

static void block_unref(struct dz_snap_block *block)
{
    if (block && atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel) == 1)
        free(block);
}

/* ---- copying -----------------------------------------------------------------------------------
 */

static enum dz_code copy_new(struct builder *b, const struct dz_chapter_rec *from,
                             struct dz_snap_chapter *to, struct dz_err *err)
{
    *to = (struct dz_snap_chapter){
        .id = from->id,
        .rev = from->rev,
        .sort = from->sort,
        .title_null = from->title.p == NULL,
        .volume_cover = from->volume_cover,
        .page_count = from->page_count,
        .created_s = from->created_s,
        .updated_s = from->updated_s,
        .pages_n = from->pages_n,
    };
    dz_str x_metadata = {0};
    if (b->bodies)
        DZ_TRY(dz_bodies_chapter(b->bodies, from, to, &x_metadata, err));
    make_block(b, from, x_metadata, to);
    return DZ_OK;
}

static void copy_kept(struct builder *b, const struct dz_snap_chapter *from,
                      struct dz_snap_chapter *to)
{
    *to = *from;
    atomic_fetch_add_explicit(&to->block->refs, 1, memory_order_relaxed);
    if (b->bodies)
        dz_bodies_kept(b->bodies);
}

/* Both lists are newest first already. */
static bool is_kept_next(const struct dz_series_full *full, size_t new_at, size_t kept_at)
{
    if (new_at == full->chapters_n || kept_at == full->kept_n)
        return kept_at < full->kept_n;
    const struct dz_chapter_rec *c = &full->chapters[new_at];
    const struct dz_snap_chapter *k = full->kept[kept_at];
    return dz_newest_first(k->sort, k->key, c->sort, c->key) < 0;
}

static enum dz_code copy_chapters(struct builder *b, const struct dz_series_full *full,
                                  struct dz_snapshot *s, struct dz_snap_chapter **ret_chapters,
                                  struct dz_err *err)
{
    size_t n = full->chapters_n + full->kept_n;
    for (size_t i = 0; i < full->chapters_n; i++)
        s->pages_n += full->chapters[i].pages_n;
    for (size_t i = 0; i < full->kept_n; i++)
        s->pages_n += full->kept[i]->pages_n;
    if (s->pages_n > SNAPSHOT_MAX / sizeof(struct dz_snap_page))
        return dz_fail(err, DZ_TOO_LARGE, "%zu pages in one series", s->pages_n);
    void *at;
    DZ_TRY(dz_arena_try(s->arena, n * sizeof(struct dz_snap_chapter), &at, err));
    struct dz_snap_chapter *chapters = at;
    s->chapters = *ret_chapters = chapters;
    for (size_t new_at = 0, kept_at = 0; s->chapters_n < n; s->chapters_n++) {
        if (is_kept_next(full, new_at, kept_at))
            copy_kept(b, full->kept[kept_at++], &chapters[s->chapters_n]);
        else
            DZ_TRY(copy_new(b, &full->chapters[new_at++], &chapters[s->chapters_n], err));
    }
    return DZ_OK;
}

static enum dz_code copy_assets(struct builder *b, const struct dz_series_full *full,
                                struct dz_snapshot *s, struct dz_err *err)
{
    void *at;
    DZ_TRY(dz_arena_try(s->arena, full->assets_n * sizeof(struct dz_snap_asset), &at, err));
    struct dz_snap_asset *assets = at;
    for (size_t i = 0; i < full->assets_n; i++) {
        const struct dz_asset_rec *f = &full->assets[i];
        DZ_TRY(dz_text_pool_str(&b->pool, f->name, &assets[i].name, err));
        const char *mime;
        DZ_TRY(intern_mime(b, f->blob.mime, &mime, err));
        assets[i].file = file_of(b, &f->blob, mime, f->mtime_s, 0);
    }
    s->assets = assets;
    s->assets_n = full->assets_n;
    return DZ_OK;
}

/* Maps hold void pointers because most of their values are written through; these are only read. */
static void *value_of(const void *p)
{
    return (void *)(uintptr_t)p;
}

static dz_str id_key(const int64_t *id)
{
    return (dz_str){(const char *)id, sizeof(*id)};
}

static void index_all(struct dz_snapshot *s)
{
    for (size_t i = 0; i < s->chapters_n; i++) {
        dz_map_set(&s->by_key, s->chapters[i].key, value_of(&s->chapters[i]));
        dz_map_set(&s->by_id, id_key(&s->chapters[i].id), value_of(&s->chapters[i]));
    }
    for (size_t i = 0; i < s->assets_n; i++)
        dz_map_set(&s->by_asset, s->assets[i].name, value_of(&s->assets[i]));
}

/* "12" of "vol12.jpg"; n = 0: no name of a volume's cover. */
static dz_str volume_of(dz_str name)
{
    dz_str none = {NULL, 0};
    if (!dz_str_starts(name, DZ_S("vol")))
        return none;
    size_t dot = dz_str_rchr(name, '.');
    if (dot == DZ_NPOS || dot <= 3 || name.p[3] < '0' || name.p[3] > '9')
        return none;
    return dz_str_sub(name, 3, dot);
}

static const struct dz_snap_page *find_cover(const struct dz_snapshot *s)
{
    const struct dz_snap_asset *best = NULL;
    for (size_t i = 0; i < s->assets_n; i++) {
        const struct dz_snap_asset *f = &s->assets[i];
        if (volume_of(f->name).n == 0 || !dz_page_type_of(dz_str_of(f->file.mime)))
            continue;
        if (!best || dz_str_natural_cmp(volume_of(f->name), volume_of(best->name)) > 0)
            best = f;
    }
    if (best)
        return &best->file;
    for (size_t i = s->chapters_n; i-- > 0;)
        if (s->chapters[i].pages_n > 0)
            return &s->chapters[i].pages[0];
    return NULL;
}

enum dz_code dz_snapshot_build(const struct dz_series_full *full, bool shelf,
                               const struct dz_link_template *links, size_t links_n,
                               struct dz_snapshot **ret_snap, struct dz_err *err)
{
    return dz_snapshot_update(full, NULL, shelf, links, links_n, ret_snap, err);
}

static enum dz_code build(struct builder *b, const struct dz_series_full *full,
                          struct dz_snapshot *s, struct dz_err *err)
{
    struct dz_snap_chapter *chapters = NULL;
    DZ_TRY(copy_series(b, &full->series, &s->series, err));
    DZ_TRY(copy_chapters(b, full, s, &chapters, err));
    DZ_TRY(copy_assets(b, full, s, err));
    s->index_next = b->index;
    index_all(s);
    s->cover = find_cover(s);
    if (b->bodies)
        DZ_TRY(dz_bodies_finish(b->bodies, s, chapters, err));
    s->has_shelf = b->bodies != NULL;
    return DZ_OK;
}

enum dz_code dz_snapshot_update(const struct dz_series_full *full, const struct dz_snapshot *old,
                                bool shelf, const struct dz_link_template *links, size_t links_n,
                                struct dz_snapshot **ret_snap, struct dz_err *err)
{
    static atomic_uint_fast64_t serials;
    dz_assert(full->kept_n == 0 || (old && old->has_shelf == shelf));
    DZ_AUTO(dz_bodies_free) struct dz_bodies *bodies = NULL;
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s = dz_new(struct dz_snapshot);
    atomic_init(&s->refs, 1);
    s->serial = atomic_fetch_add_explicit(&serials, 1, memory_order_relaxed) + 1;
    s->arena = dz_arena_new(SNAPSHOT_MAX);
    dz_map_init(&s->by_key);
    dz_map_init(&s->by_id);
    dz_map_init(&s->by_asset);
    if (shelf)
        DZ_TRY(dz_bodies_new(&full->series, links, links_n, old, &bodies, err));
    struct builder b = {
        .pool = {.arena = s->arena},
        .index = full->kept_n > 0 ? old->index_next : 0,
        .bodies = bodies,
    };
    DZ_TRY(build(&b, full, s, err));
    *ret_snap = dz_take(&s);
    return DZ_OK;
}

struct dz_snapshot *dz_snapshot_ref(struct dz_snapshot *s)
{
    unsigned before = atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    dz_assert(before > 0);
    return s;
}

void dz_snapshot_unref(struct dz_snapshot **sp)
{
    struct dz_snapshot *s = dz_take(sp);
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    dz_map_done(&s->by_key);
    dz_map_done(&s->by_id);
    dz_map_done(&s->by_asset);
    dz_snap_list_unref(&s->list);
    for (size_t i = 0; i < s->chapters_n; i++)
        block_unref(s->chapters[i].block);
    dz_arena_free(&s->arena);
    free(s);
}

const struct dz_snap_chapter *dz_snapshot_chapter(const struct dz_snapshot *s, dz_str key)
{
    return dz_map_get(&s->by_key, key);
}

const struct dz_snap_chapter *dz_snapshot_chapter_by_id(const struct dz_snapshot *s, int64_t id)
{
    return dz_map_get(&s->by_id, id_key(&id));
}

const struct dz_snap_page *dz_snapshot_page(const struct dz_snap_chapter *c, uint32_t number)
{
    /* Numbers without gaps are their own index. */
    if (number > 0 && number <= c->pages_n && c->pages[number - 1].number == number)
        return &c->pages[number - 1];
    size_t low = 0, high = c->pages_n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c->pages[mid].number == number)
            return &c->pages[mid];
        if (c->pages[mid].number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct dz_snap_asset *dz_snapshot_asset(const struct dz_snapshot *s, dz_str name)
{
    return dz_map_get(&s->by_asset, name);
}

/* "01.jpg" behind the chapter's dash: its page, or NULL. */
static const struct dz_snap_page *named_page(const struct dz_snap_chapter *c, dz_str rest)
{
    size_t dot = dz_str_chr(rest, '.');
    if (dot == DZ_NPOS || dot < 2 || (dot > 2 && rest.p[0] == '0'))
        return NULL;
    uint64_t number;
    if (dz_str_u64(dz_str_sub(rest, 0, dot), UINT32_MAX, &number, NULL) != DZ_OK)
        return NULL;
    const struct dz_snap_page *page = dz_snapshot_page(c, (uint32_t)number);
    if (!page)
        return NULL;
    dz_str extension = dz_str_sub(rest, dot + 1, rest.n);
    if (dz_str_eq(extension, DZ_S("jpg")))
        return page;
    const struct dz_page_type *type = dz_page_type_of(dz_str_of(page->mime));
    return type && dz_str_eq(extension, type->extension) ? page : NULL;
}

const struct dz_snap_page *dz_snapshot_cdn(const struct dz_snapshot *s, dz_str name,
                                           const struct dz_snap_chapter **ret_chapter)
{
    const struct dz_snap_chapter *c = NULL;
    const struct dz_snap_page *page = NULL;
    size_t dash = dz_str_chr(name, '-');
    if (dash != DZ_NPOS)
        c = dz_snapshot_chapter(s, dz_str_sub(name, 0, dash));
    if (c)
        page = named_page(c, dz_str_sub(name, dash + 1, name.n));
    if (!page) {
        const struct dz_snap_asset *asset = dz_snapshot_asset(s, name);
        page = asset ? &asset->file : NULL;
    }
    if (page && ret_chapter)
        *ret_chapter = c;
    return page;
}
