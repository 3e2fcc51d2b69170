/*
 * fuzz_cdn_name: file names of the CDN against one fixed snapshot.
 *
 * A name that finds a page must be the one way to write that page, or the exact name of an asset;
 * the chapter that comes with it is the one before the first dash.
 */
#include "catalog/catalog.h"

static struct dz_page_rec pages[120];
static struct dz_snapshot *snapshot;

static void make_snapshot(void)
{
    for (size_t i = 0; i < DZ_LEN(pages); i++)
        pages[i] = (struct dz_page_rec){
            .number = (uint32_t)i + 1,
            .blob = {.bytes = 1, .mime = i % 2 ? DZ_S("image/png") : DZ_S("image/jpeg")},
        };
    pages[119].number = UINT32_MAX;
    struct dz_chapter_rec chapters[] = {
        {.id = 1, .key = DZ_S("407"), .pages = pages, .pages_n = DZ_LEN(pages)},
        {.id = 2, .key = DZ_S("207.5"), .pages = pages, .pages_n = 9},
        {.id = 3, .key = DZ_S("9"), .pages = pages, .pages_n = 1},
    };
    struct dz_asset_rec assets[] = {
        {.name = DZ_S("407-zz.jpg")}, {.name = DZ_S("999-01.jpg")}, {.name = DZ_S("vol1.jpg")}};
    struct dz_series_full full = {.chapters = chapters,
                                  .chapters_n = DZ_LEN(chapters),
                                  .assets = assets,
                                  .assets_n = DZ_LEN(assets)};
    enum dz_code code = dz_snapshot_build(&full, false, NULL, 0, &snapshot, NULL);
    dz_assert(code == DZ_OK);
}

/* The page's name as it is written, with the extension that was asked for. */
static bool is_canonical(dz_str name, const struct dz_snap_chapter *c, const struct dz_snap_page *p)
{
    char want[64];
    size_t dot = dz_str_rchr(name, '.');
    if (!c || dot == DZ_NPOS)
        return false;
    dz_str extension = dz_str_sub(name, dot + 1, name.n);
    int n = snprintf(want, sizeof(want), "%.*s-%02u.%.*s", (int)c->key.n, c->key.p, p->number,
                     (int)(extension.n < 8 ? extension.n : 8), extension.p);
    return dz_str_eq(name, (dz_str){want, (size_t)n}) &&
           (dz_str_eq(extension, DZ_S("jpg")) ||
            (dz_str_eq(extension, DZ_S("png")) && strcmp(p->mime, "image/png") == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!snapshot)
        make_snapshot();
    dz_str name = {(const char *)data, size};
    const struct dz_snap_chapter *c = NULL;
    const struct dz_snap_page *p = dz_snapshot_cdn(snapshot, name, &c);
    if (!p)
        return 0;
    const struct dz_snap_asset *asset = dz_snapshot_asset(snapshot, name);
    dz_assert(p->number > 0 ? is_canonical(name, c, p) : asset && p == &asset->file);
    size_t dash = dz_str_chr(name, '-');
    dz_str key = dz_str_sub(name, 0, dash == DZ_NPOS ? 0 : dash);
    dz_assert(c == dz_snapshot_chapter(snapshot, key));
    return 0;
}
