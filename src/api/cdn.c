/*
 * cdn: pages, covers and metadata of a shelf by host name or under /shelf/NAME/cdn/
 * (contracts/komizip.md 2.3), the redirects of the image host (2.8), and the pages of the library
 * under /page/SERIES/CHAPTER/N.
 *
 * A file name is looked up in the snapshot, never on a disk, so no path can leave anything.
 */
#include "api/api_int.h"

#define KIND_CDN 'c'
#define KIND_CDN_JPG 'j' /* any page may be asked for as .jpg too; the answer names the file */
#define KIND_PROBE 'm'
#define KIND_READER 'r'

/* Names are short and mostly without a v: memmem() costs more than it saves. */
static bool says_vol(dz_str path)
{
    for (size_t i = 0; i + 3 <= path.n; i++)
        if (path.p[i] == 'v' && path.p[i + 1] == 'o' && path.p[i + 2] == 'l')
            return true;
    return false;
}

/* 2.3, case 2: an empty body whose headers are the answer. */
static void serve_probe(struct dz_http_req *r, const struct dz_snapshot *snap, dz_str key)
{
    const struct dz_snap_chapter *ch = dz_snapshot_chapter(snap, key);
    if (!ch) {
        answer_cdn_not_found(r);
        return;
    }
    char cache_key[DZ_CACHE_KEY_MAX];
    uint32_t index = (uint32_t)(ch - snap->chapters);
    memcpy(cache_key, &snap->serial, 8);
    memcpy(cache_key + 8, &index, 4);
    cache_key[12] = KIND_PROBE;
    dz_str k = {cache_key, 13};

    struct dz_cache *cache = ((struct dz_api *)r->app)->cache;
    struct dz_body *prepared = NULL;
    if (!dz_cache_get(cache, k, &prepared)) {
        struct dz_http_header_line lines[2];
        size_t n = 0;
        if (snap->x_chapters.n <= HEADER_VALUE_MAX)
            lines[n++] = (struct dz_http_header_line){DZ_S("X-Chapters"), snap->x_chapters};
        if (ch->x_metadata.n <= HEADER_VALUE_MAX)
            lines[n++] = (struct dz_http_header_line){DZ_S("X-Metadata"), ch->x_metadata};
        struct dz_http_meta m = {.content_type = DZ_S("text/html; charset=utf-8"),
                                 .cache_control = CACHE_THREE_MINUTES,
                                 .last_modified_s = -1,
                                 .extra = lines,
                                 .extra_n = n};
        prepared = dz_http_prepare(&m, DZ_S(""), 0);
        dz_cache_put(cache, k, prepared);
    }
    dz_http_reply_prepared(r, prepared);
    dz_body_unref(&prepared);
}

static void serve_cdn(struct dz_http_req *r, const struct dz_snapshot *snap, dz_str path)
{
    if (dz_str_eq(path, DZ_S("__images_here__"))) {
        dz_http_reply_text(r, 200, DZ_S("text/html; charset=utf-8"), CACHE_DAY,
                           DZ_S("you read the github didn't you?"));
        return;
    }
    bool vol = says_vol(path);
    if (!vol && dz_str_chr(path, '-') == DZ_NPOS) {
        serve_probe(r, snap, path);
        return;
    }
    const struct dz_snap_chapter *ch = NULL;
    const struct dz_snap_page *page = dz_snapshot_cdn(snap, path, &ch);
    if (!page) {
        answer_cdn_not_found(r);
        return;
    }
    size_t slash = dz_str_rchr(path, '/');
    struct object_request o = {
        .serial = snap->serial,
        .kind = dz_str_ends(path, DZ_S(".jpg")) ? KIND_CDN_JPG : KIND_CDN,
        .page = page,
        .name = slash == DZ_NPOS ? path : dz_str_sub(path, slash + 1, path.n),
        .x_metadata =
            ch && !vol && ch->x_metadata.n <= HEADER_VALUE_MAX ? ch->x_metadata : (dz_str){0},
        .cache_control = CACHE_DAY,
        .missing = answer_cdn_not_found};
    serve_object(r, &o);
}

void handle_cdn(struct dz_http_req *r)
{
    struct dz_view_host h = dz_view_host_of(view_of(r), r->host);
    if (h.kind != DZ_HOST_CDN || !h.shelf->shown)
        answer_not_found(r);
    else
        serve_cdn(r, h.shelf->shown, r->capture[0]);
}

void handle_shelf_cdn(struct dz_http_req *r)
{
    const struct dz_view_shelf *shelf = dz_view_shelf_of(view_of(r), r->capture[0]);
    if (!shelf || !shelf->shown)
        answer_not_found(r);
    else
        serve_cdn(r, shelf->shown, r->capture[1]);
}

/* ---- the image host -------------------------------------------------------------------------- */

static bool all_of(dz_str s, bool dots)
{
    if (s.n == 0 || s.n > 20)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!(s.p[i] >= '0' && s.p[i] <= '9') && !(dots && s.p[i] == '.'))
            return false;
    return true;
}

/* Where the shelf's cdn host is when the settings do not say: the image host's name with its first
 * label changed, https as the original always had it unless the request names a port (then this is
 * no public address). */
static void put_cdn_base(struct dz_buf *out, const struct dz_http_req *r,
                         const struct dz_view_shelf *shelf, bool by_path)
{
    if (shelf->conf && shelf->conf->cdn_url && shelf->conf->cdn_url[0]) {
        dz_buf_put(out, dz_str_of(shelf->conf->cdn_url));
    } else if (by_path) {
        dz_buf_put(out, DZ_S("/shelf/"));
        dz_buf_put_url(out, dz_str_of(shelf->name));
    } else {
        size_t dot = dz_str_chr(r->host, '.');
        bool has_port = dz_str_chr(r->host, ':') != DZ_NPOS;
        dz_buf_put(out, has_port && !r->https ? DZ_S("http://") : DZ_S("https://"));
        if (shelf->conf && shelf->conf->cdn_hosts.n > 0) {
            dz_buf_put(out, dz_str_of(shelf->conf->cdn_hosts.v[0]));
        } else {
            dz_buf_put(out, DZ_S("cdn"));
            if (dot != DZ_NPOS)
                dz_buf_put(out, dz_str_sub(r->host, dot, r->host.n));
        }
    }
    dz_buf_put(out, DZ_S("/cdn/"));
}

/* 2.8 with drop-in rule 12: exactly two segments, [0-9.]+ and digits; two digits at least for the
 * page. */
static void serve_redirect(struct dz_http_req *r, const struct dz_view_shelf *shelf, dz_str path,
                           bool by_path)
{
    size_t slash = dz_str_chr(path, '/');
    dz_str chapter = dz_str_sub(path, 0, slash), page = dz_str_sub(path, slash + 1, path.n);
    if (slash == DZ_NPOS || !all_of(chapter, true) || !all_of(page, false)) {
        answer_not_found(r);
        return;
    }
    while (page.n > 1 && page.p[0] == '0')
        page = dz_str_sub(page, 1, page.n);
    struct dz_buf to;
    dz_buf_init(&to, 4 * DZ_KIB);
    put_cdn_base(&to, r, shelf, by_path);
    dz_buf_put(&to, chapter);
    dz_buf_putc(&to, '-');
    if (page.n == 1)
        dz_buf_putc(&to, '0');
    dz_buf_put(&to, page);
    dz_buf_put(&to, DZ_S(".jpg"));
    if (to.full)
        answer_error(r, DZ_BAD_INPUT, NULL);
    else
        dz_http_reply_redirect(r, 301, dz_buf_str(&to), CACHE_DAY);
    dz_buf_done(&to);
}

void handle_image_redirect(struct dz_http_req *r)
{
    struct dz_view_host h = dz_view_host_of(view_of(r), r->host);
    if (h.kind != DZ_HOST_IMAGE)
        answer_not_found(r);
    else
        serve_redirect(r, h.shelf, dz_str_sub(r->path, 1, r->path.n), false);
}

void handle_shelf_image_redirect(struct dz_http_req *r)
{
    const struct dz_view_shelf *shelf = dz_view_shelf_of(view_of(r), r->capture[0]);
    if (!shelf)
        answer_not_found(r);
    else
        serve_redirect(r, shelf, r->capture[1], true);
}

/* ---- pages of the library -------------------------------------------------------------------- */

/* /page/SERIES/CHAPTER/N[.ext][?v=…]; with the right v the bytes can never change under that
 * address. CHAPTER 0 is the series' cover. */
void handle_page(struct dz_http_req *r)
{
    if (answered_for_shelf_host(r))
        return;
    uint64_t series_id, chapter_id, number;
    dz_str n = r->capture[2];
    size_t dot = dz_str_chr(n, '.');
    if (dot != DZ_NPOS)
        n = dz_str_sub(n, 0, dot);
    if (dz_str_u64(r->capture[0], INT64_MAX, &series_id, NULL) ||
        dz_str_u64(r->capture[1], INT64_MAX, &chapter_id, NULL) ||
        dz_str_u64(n, UINT32_MAX, &number, NULL)) {
        answer_not_found(r);
        return;
    }
    const struct dz_snapshot *snap = dz_view_series(view_of(r), (int64_t)series_id);
    const struct dz_snap_page *page = NULL;
    if (snap && chapter_id == 0) {
        page = snap->cover;
    } else if (snap) {
        const struct dz_snap_chapter *ch = dz_snapshot_chapter_by_id(snap, (int64_t)chapter_id);
        page = ch ? dz_snapshot_page(ch, (uint32_t)number) : NULL;
    }
    if (!page) {
        answer_not_found(r);
        return;
    }
    char want[12];
    dz_hex(page->sha.b, 6, want);
    dz_str v;
    bool named = dz_http_query(r, DZ_S("v"), &v) && dz_str_eq(v, (dz_str){want, sizeof want});
    struct object_request o = {.serial = snap->serial,
                               .kind = named ? KIND_READER + 1 : KIND_READER,
                               .page = page,
                               .cache_control = named ? CACHE_FOREVER : CACHE_REVALIDATE,
                               .missing = answer_not_found};
    serve_object(r, &o);
}
