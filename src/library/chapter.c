/*
 * chapter: the pages of one folder or archive, into the store.
 *
 * In: a unit of the plan. Out: page records in natural order of their whole names, ComicInfo when
 * there is one, and the bytes in the reader's store batch, not committed. One page is in memory at
 * a time. A page that is no whole image is told and left out; an archive that is damaged, encrypted
 * or over a limit gives nothing at all, because nobody can say what is missing. An archive is one
 * chapter, also when it holds several folders.
 */
#include "library/import_int.h"

#include <stdlib.h>

struct page {
    dz_str entry; /* whole name, which orders the pages */
    uint32_t at;  /* place in the archive */
    struct dz_page_rec rec;
};

#define BROKEN_TOLD_MAX 20u /* broken images of one chapter that are named one by one */

/* A chapter while it is read. */
struct reading {
    struct chapter_reader *r;
    const struct plan_unit *u;
    struct chapter *c;
    struct page *pages; /* heap */
    size_t n, cap;
    size_t images_seen, broken;
    uint64_t bytes_read, done_before;
    dz_str info_folder; /* where the ComicInfo in use lies; "" at the root */
};

void chapter_reader_done(struct chapter_reader *r)
{
    dz_store_batch_free(&r->batch);
    dz_buf_done(&r->page);
}

static void tell(struct reading *g, int kind, const char *entry, const char *text)
{
    import_tell(g->r->teller, kind, g->u->shown, entry, text);
}

static void tell_progress(struct reading *g, const char *entry, uint64_t bytes)
{
    g->bytes_read += bytes;
    uint64_t of_unit = g->bytes_read < g->u->bytes ? g->bytes_read : g->u->bytes;
    g->r->teller->done = g->done_before + of_unit;
    tell(g, DZ_IMPORT_PAGE, entry, NULL);
}

/* A chapter of nothing but broken images must not bury everything else that is said. */
static void tell_the_rest(struct reading *g)
{
    if (g->broken <= BROKEN_TOLD_MAX)
        return;
    char text[96];
    snprintf(text, sizeof(text), "%zu more of its images are broken as well",
             g->broken - BROKEN_TOLD_MAX);
    tell(g, DZ_IMPORT_ERROR, NULL, text);
}

/* ---- pages ----------------------------------------------------------------------------------- */

static dz_str base_name(dz_str path)
{
    size_t slash = dz_str_rchr(path, '/');
    return slash == DZ_NPOS ? path : dz_str_sub(path, slash + 1, path.n);
}

/* Takes the bytes in r->page as the page `entry`. */
static enum dz_code take_page(struct reading *g, const char *entry, int64_t mtime_s,
                              struct dz_err *err)
{
    dz_str bytes = dz_buf_str(&g->r->page);
    struct dz_media_info info;
    struct dz_err own = {0};
    if (dz_media_inspect(bytes, &info, &own) != DZ_OK) {
        g->c->incomplete = true;
        if (++g->broken <= BROKEN_TOLD_MAX)
            tell(g, DZ_IMPORT_ERROR, entry, own.text);
        return DZ_OK;
    }
    struct dz_blob_stat stat;
    DZ_TRY(dz_store_batch_put_bytes(g->r->batch, bytes, &stat, err));
    if (g->n == g->cap) {
        g->cap = g->cap ? g->cap * 2 : 64;
        g->pages = dz_realloc(g->pages, g->cap * sizeof(*g->pages));
    }
    struct page *p = &g->pages[g->n];
    *p = (struct page){.entry = library_text(g->c->arena, dz_str_of(entry)), .at = (uint32_t)g->n};
    p->rec = (struct dz_page_rec){
        .mtime_s = mtime_s,
        .blob = {stat.sha, stat.bytes, info.width, info.height,
                 dz_str_of(dz_media_mime(info.type))},
        .name = base_name(p->entry),
    };
    g->n++;
    tell_progress(g, entry, bytes.n);
    return DZ_OK;
}

static enum dz_code check_stop(struct reading *g, struct dz_err *err)
{
    if (import_stopped(g->r->teller))
        return dz_fail(err, DZ_CANCELLED, "stopped");
    return DZ_OK;
}

/* Parses the ComicInfo in r->page. */
static void take_info(struct reading *g, const char *entry, dz_str folder)
{
    struct dz_comicinfo info;
    struct dz_err own = {0};
    if (dz_comicinfo_parse(dz_buf_str(&g->r->page), g->c->arena, &info, &own) != DZ_OK) {
        tell(g, DZ_IMPORT_WARNING, entry, own.text);
        return;
    }
    g->c->info = info;
    g->c->has_info = true;
    g->info_folder = dz_arena_str(g->c->arena, folder);
}

/* ---- archives -------------------------------------------------------------------------------- */

/* At the root, or in a folder of the root: that one counts only when all pages lie in the same
 * folder. */
static bool is_info(const struct reading *g, dz_str name, dz_str *ret_folder)
{
    size_t slash = dz_str_chr(name, '/');
    if (!dz_str_eq_nocase(base_name(name), DZ_S("ComicInfo.xml")))
        return false;
    *ret_folder = slash == DZ_NPOS ? (dz_str){NULL, 0} : dz_str_sub(name, 0, slash + 1);
    if (slash == DZ_NPOS)
        return true;
    bool is_deeper = dz_str_chr(dz_str_sub(name, slash + 1, name.n), '/') != DZ_NPOS;
    return !is_deeper && !g->c->has_info;
}

/* DZ_OK with *ret_whole false: the archive is broken and was told. */
static enum dz_code take_entry(struct reading *g, struct dz_archive *a,
                               const struct dz_archive_entry *e, bool *ret_whole,
                               struct dz_err *err)
{
    dz_str folder;
    bool info = is_info(g, e->name, &folder);
    *ret_whole = true;
    if (!e->is_file || dz_archive_is_junk(e->name) || (!info && !dz_media_name_is_image(e->name)))
        return DZ_OK;
    DZ_AUTO(dz_freep) char *name = dz_str_dup(e->name); /* reading may move the entry's name */
    dz_str folder_name = dz_str_sub((dz_str){name, e->name.n}, 0, folder.n);
    if (info && e->bytes != UINT64_MAX && e->bytes > IMPORT_COMICINFO_BYTES_MAX) {
        tell(g, DZ_IMPORT_WARNING, name, "larger than 1 MiB; not used");
        return DZ_OK;
    }
    struct dz_err own = {0};
    if (!info && ++g->images_seen > DZ_CHAPTER_PAGES_MAX) {
        (void)dz_fail(&own, DZ_TOO_LARGE, "more than %u images; nothing of it is taken",
                      DZ_CHAPTER_PAGES_MAX);
        tell(g, DZ_IMPORT_ERROR, NULL, own.text);
        *ret_whole = false;
        return DZ_OK;
    }
    dz_buf_clear(&g->r->page);
    if (dz_archive_read(a, &g->r->page, &own) != DZ_OK) {
        tell(g, DZ_IMPORT_ERROR, NULL, own.text); /* the words name the entry */
        *ret_whole = false;
        return DZ_OK;
    }
    if (!info)
        return take_page(g, name, g->u->mtime_s, err);
    take_info(g, name, folder_name);
    return DZ_OK;
}

static enum dz_code read_archive(struct reading *g, bool *ret_whole, struct dz_err *err)
{
    DZ_AUTO(dz_archive_close) struct dz_archive *a = NULL;
    struct dz_err own = {0};
    *ret_whole = false;
    if (dz_archive_open(g->u->path, &dz_archive_limits_default, &a, &own) != DZ_OK) {
        tell(g, DZ_IMPORT_ERROR, NULL, own.text);
        return DZ_OK;
    }
    for (;;) {
        struct dz_archive_entry e;
        bool has = false;
        DZ_TRY(check_stop(g, err));
        if (dz_archive_next(a, &has, &e, &own) != DZ_OK) {
            tell(g, DZ_IMPORT_ERROR, NULL, own.text);
            *ret_whole = false;
            return DZ_OK;
        }
        *ret_whole = true;
        if (!has)
            return DZ_OK;
        DZ_TRY(take_entry(g, a, &e, ret_whole, err));
        if (!*ret_whole)
            return DZ_OK;
    }
}

/* ---- folders --------------------------------------------------------------------------------- */

/* One file of the folder into r->page; false: told. */
static bool read_file(struct reading *g, const char *name, uint64_t bytes_max, int kind)
{
    struct dz_buf path DZ_AUTO(dz_buf_done);
    dz_buf_init(&path, 64 * DZ_KIB);
    dz_buf_put(&path, dz_str_of(g->u->path));
    dz_buf_putc(&path, '/');
    dz_buf_put(&path, dz_str_of(name));
    struct dz_err own = {0};
    dz_buf_clear(&g->r->page);
    enum dz_code code = dz_file_read(dz_buf_cstr(&path), &g->r->page, &own);
    if (code == DZ_OK && g->r->page.n > bytes_max)
        code = dz_fail(&own, DZ_TOO_LARGE, "larger than %llu bytes", (unsigned long long)bytes_max);
    if (code == DZ_TOO_LARGE)
        (void)dz_fail(&own, code, "larger than %llu bytes", (unsigned long long)bytes_max);
    if (code != DZ_OK)
        tell(g, kind, name, own.text);
    return code == DZ_OK;
}

static enum dz_code read_folder(struct reading *g, struct dz_err *err)
{
    const struct plan_unit *u = g->u;
    if (u->comicinfo && read_file(g, u->comicinfo, IMPORT_COMICINFO_BYTES_MAX, DZ_IMPORT_WARNING))
        take_info(g, u->comicinfo, (dz_str){NULL, 0});
    for (size_t i = 0; i < u->files_n; i++) {
        const struct plan_file *f = &u->files[i];
        DZ_TRY(check_stop(g, err));
        g->images_seen++;
        if (read_file(g, f->name, IMPORT_PAGE_BYTES_MAX, DZ_IMPORT_ERROR))
            DZ_TRY(take_page(g, f->name, f->mtime_ns / 1000000000, err));
        else
            g->c->incomplete = true;
    }
    return DZ_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int cmp_pages(const void *a, const void *b)
{
    const struct page *x = a, *y = b;
    int c = library_path_cmp(x->entry, y->entry);
    return c ? c : (x->at > y->at) - (x->at < y->at);
}

/* Zip allows a name twice, and the last one counts. */
static void drop_doubles(struct reading *g)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->n; i++) {
        if (kept > 0 && dz_str_eq(g->pages[kept - 1].entry, g->pages[i].entry)) {
            DZ_AUTO(dz_freep) char *entry = dz_str_dup(g->pages[i].entry);
            tell(g, DZ_IMPORT_WARNING, entry, "is there twice; the last one is taken");
            kept--;
        }
        g->pages[kept++] = g->pages[i];
    }
    g->n = kept;
}

static void number_pages(struct reading *g)
{
    struct chapter *c = g->c;
    if (g->n > 0)
        qsort(g->pages, g->n, sizeof(*g->pages), cmp_pages);
    drop_doubles(g);
    c->pages = dz_arena_alloc(c->arena, (g->n + 1) * sizeof(*c->pages));
    for (size_t i = 0; i < g->n; i++) {
        c->pages[i] = g->pages[i].rec;
        c->pages[i].number = (uint32_t)i + 1;
        c->bytes += c->pages[i].blob.bytes;
        c->has_info &= dz_str_starts(g->pages[i].entry, g->info_folder);
    }
    c->pages_n = g->n;
}

enum dz_code chapter_read(struct chapter_reader *r, const struct plan_unit *u, struct chapter *c,
                          bool *ret_usable, struct dz_err *err)
{
    struct reading g = {.r = r, .u = u, .c = c, .done_before = r->teller->done};
    struct dz_arena *arena = c->arena;
    dz_arena_reset(arena);
    *c = (struct chapter){.arena = arena};
    if (!r->batch)
        DZ_TRY(dz_store_batch_begin(r->store, &r->batch, err));
    bool whole = true;
    enum dz_code code = u->is_archive ? read_archive(&g, &whole, err) : read_folder(&g, err);
    if (code == DZ_OK && whole)
        number_pages(&g);
    free(g.pages);
    DZ_TRY(code);
    tell_the_rest(&g);
    if (whole && c->pages_n == 0 && g.images_seen == 0)
        tell(&g, u->is_given ? DZ_IMPORT_ERROR : DZ_IMPORT_WARNING, NULL, "holds no images");
    else if (whole && c->pages_n == 0)
        tell(&g, DZ_IMPORT_ERROR, NULL, "none of its pages can be read; nothing is stored");
    *ret_usable = whole && c->pages_n > 0;
    if (!*ret_usable)
        dz_store_batch_free(&r->batch);
    return DZ_OK;
}
