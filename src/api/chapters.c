/*
 * chapters: the list of a shelf, GET /v1/chapters (contracts/komizip.md 2.6). The bodies hang in
 * the snapshot, an encoding each; the choice is made per request among those that are there, with
 * an ETag per encoding (section 9, rules 2 and 15). A long list of a moment ago may have its plain
 * text only. Answers are prepared once and kept with the list, not in the cache, which would not
 * take the largest.
 */
#include "api/api_int.h"

const struct ready_encoding ready_encodings[DZ_SNAP_ENCODINGS] = {
    {DZ_HTTP_BR, DZ_SNAP_BR, "br", "-br"},
    {DZ_HTTP_ZSTD, DZ_SNAP_ZSTD, "zstd", "-zs"},
    {DZ_HTTP_GZIP, DZ_SNAP_GZIP, "gzip", "-gz"},
    {DZ_HTTP_IDENTITY, DZ_SNAP_IDENTITY, "", ""},
};

const struct ready_encoding *choose_ready(const struct dz_http_req *r,
                                          const struct dz_snap_list *list)
{
    unsigned offered = 0;
    for (size_t i = 0; i < DZ_LEN(ready_encodings); i++)
        if (dz_snap_list_body(list, ready_encodings[i].at))
            offered |= ready_encodings[i].bit;
    enum dz_http_encoding chosen = dz_http_choose_encoding(r, offered);
    const struct ready_encoding *e = ready_encodings;
    while (e->bit != chosen)
        e++;
    return e;
}

static struct dz_body *prepare(struct dz_snap_list *list, const struct ready_encoding *e)
{
    char text[64];
    int n = snprintf(text, sizeof text, "\"%s%s\"", list->etag, e->suffix);
    struct dz_http_meta m = {.content_type = DZ_S("application/json"),
                             .etag = {text, (size_t)n},
                             .content_encoding = dz_str_of(e->name),
                             .vary_encoding = true,
                             .last_modified_s = -1};
    const struct dz_body *body = dz_snap_list_body(list, e->at);
    struct dz_body *made = dz_http_prepare(&m, (dz_str){body->p, body->n}, body->n);
    return dz_snap_list_keep_answer(list, e->at, made);
}

static void serve_list(struct dz_http_req *r, const struct dz_snapshot *snap)
{
    const struct ready_encoding *e = choose_ready(r, snap->list);
    struct dz_body *prepared = dz_snap_list_answer(snap->list, e->at);
    if (!prepared)
        prepared = prepare(snap->list, e);
    dz_http_reply_prepared(r, prepared);
}

void handle_chapters(struct dz_http_req *r)
{
    struct dz_view_host h = dz_view_host_of(view_of(r), r->host);
    if (h.kind != DZ_HOST_API || !h.shelf->shown)
        answer_not_found(r);
    else
        serve_list(r, h.shelf->shown);
}

void handle_shelf_chapters(struct dz_http_req *r)
{
    const struct dz_view_shelf *shelf = dz_view_shelf_of(view_of(r), r->capture[0]);
    if (!shelf || !shelf->shown)
        answer_not_found(r);
    else
        serve_list(r, shelf->shown);
}
