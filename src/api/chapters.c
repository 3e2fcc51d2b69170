/*
 * chapters: the list of a shelf, GET /v1/chapters (contracts/komizip.md 2.6). The bodies hang in
 * the snapshot, an encoding each; the choice is made per request among those that are there, with
 * an ETag per encoding (section 9, rules 2 and 15). A long list of a moment ago may have its plain
 * text only. Answers are prepared once and kept with the list, not in the cache, which would not
 * take the largest.
 */
#include "api/api_int.h"

static const struct {
    enum dz_http_encoding bit;
    enum dz_snap_encoding at;
    const char *name, *suffix;
} encodings[] = {
    {DZ_HTTP_BR, DZ_SNAP_BR, "br", "-br"},
    {DZ_HTTP_ZSTD, DZ_SNAP_ZSTD, "zstd", "-zs"},
    {DZ_HTTP_GZIP, DZ_SNAP_GZIP, "gzip", "-gz"},
    {DZ_HTTP_IDENTITY, DZ_SNAP_IDENTITY, "", ""},
};

static struct dz_body *prepare(struct dz_snap_list *list, size_t e)
{
    char text[64];
    int n = snprintf(text, sizeof text, "\"%s%s\"", list->etag, encodings[e].suffix);
    struct dz_http_meta m = {.content_type = DZ_S("application/json"),
                             .etag = {text, (size_t)n},
                             .content_encoding = dz_str_of(encodings[e].name),
                             .vary_encoding = true,
                             .last_modified_s = -1};
    const struct dz_body *body = dz_snap_list_body(list, encodings[e].at);
    struct dz_body *made = dz_http_prepare(&m, (dz_str){body->p, body->n}, body->n);
    return dz_snap_list_keep_answer(list, encodings[e].at, made);
}

static void serve_list(struct dz_http_req *r, const struct dz_snapshot *snap)
{
    struct dz_snap_list *list = snap->list;
    unsigned offered = DZ_HTTP_IDENTITY;
    for (size_t i = 0; i < DZ_LEN(encodings); i++)
        if (dz_snap_list_body(list, encodings[i].at))
            offered |= encodings[i].bit;
    enum dz_http_encoding chosen = dz_http_choose_encoding(r, offered);
    size_t e = 0;
    while (encodings[e].bit != chosen)
        e++;
    struct dz_body *prepared = dz_snap_list_answer(list, encodings[e].at);
    if (!prepared)
        prepared = prepare(list, e);
    dz_http_reply_prepared(r, prepared);
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
