/*
 * chapters: the list of a shelf, GET /v1/chapters (contracts/komizip.md 2.6). The bodies stand
 * ready in the snapshot, an encoding each; the choice is made per request, with an ETag per
 * encoding (section 9, rules 2 and 15).
 */
#include "api/api_int.h"

static void serve_list(struct dz_http_req *r, const struct dz_snapshot *snap)
{
    static const struct {
        enum dz_http_encoding bit;
        enum dz_snap_encoding at;
        const char *name, *suffix;
    } encodings[] = {
        {DZ_HTTP_BR, DZ_SNAP_BR, "br", "-br"},
        {DZ_HTTP_GZIP, DZ_SNAP_GZIP, "gzip", "-gz"},
        {DZ_HTTP_IDENTITY, DZ_SNAP_IDENTITY, "", ""},
    };
    unsigned offered = DZ_HTTP_IDENTITY;
    for (size_t i = 0; i < DZ_LEN(encodings); i++)
        if (snap->list[encodings[i].at])
            offered |= encodings[i].bit;
    enum dz_http_encoding chosen = dz_http_choose_encoding(r, offered);
    size_t e = 0;
    while (encodings[e].bit != chosen)
        e++;

    char cache_key[DZ_CACHE_KEY_MAX];
    memcpy(cache_key, &snap->serial, 8);
    cache_key[8] = 'l';
    cache_key[9] = (char)('0' + e);
    dz_str k = {cache_key, 10};
    struct dz_cache *cache = ((struct dz_api *)r->app)->cache;
    struct dz_body *prepared = NULL;
    if (!dz_cache_get(cache, k, &prepared)) {
        struct dz_buf etag;
        dz_buf_init(&etag, 64);
        dz_buf_putc(&etag, '"');
        dz_buf_put(&etag, dz_str_of(snap->list_etag));
        dz_buf_put(&etag, dz_str_of(encodings[e].suffix));
        dz_buf_putc(&etag, '"');
        const struct dz_body *list = snap->list[encodings[e].at];
        struct dz_http_meta m = {.content_type = DZ_S("application/json"),
                                 .etag = dz_buf_str(&etag),
                                 .content_encoding = dz_str_of(encodings[e].name),
                                 .vary_encoding = true,
                                 .last_modified_s = -1};
        prepared = dz_http_prepare(&m, (dz_str){list->p, list->n}, list->n);
        dz_buf_done(&etag);
        dz_cache_put(cache, k, prepared);
    }
    dz_http_reply_prepared(r, prepared);
    dz_body_unref(&prepared);
}

void handle_chapters(struct dz_http_req *r)
{
    struct dz_view_host h = dz_view_host_of(view_of(r), r->host);
    if (h.kind != DZ_HOST_API || !h.shelf->snap)
        answer_not_found(r);
    else
        serve_list(r, h.shelf->snap);
}

void handle_shelf_chapters(struct dz_http_req *r)
{
    const struct dz_view_shelf *shelf = dz_view_shelf_of(view_of(r), r->capture[0]);
    if (!shelf || !shelf->snap)
        answer_not_found(r);
    else
        serve_list(r, shelf->snap);
}
