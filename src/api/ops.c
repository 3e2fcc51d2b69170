/*
 * ops: the operations of the library API (contracts/nagato.md 4, with what this program adds:
 * retry, the alias `aggregate`, events, the description), one row each. See ops.h for what the rows
 * are used for. Static; any thread.
 */
#include "api/api_int.h"

#define JSON "application/json"
#define TEXT "text/plain; charset=utf-8"

/* clang-format off */
static const struct api_param url[] = {
    {"url", API_TEXT, "address at the site; a scheme is not needed", true},
    {0}};
#define REF                                                                                        \
    {"url", API_TEXT, "address at the site; goes before site and id", false},                      \
    {"site", API_TEXT, "a site of /api/sites, with id", false},                                    \
    {"id", API_TEXT, "id at the site", false}
static const struct api_param ref[] = {REF, {0}};
static const struct api_param ref_fav[] = {REF, {"includeFav", API_FLAG, "adds favourite", false}, {0}};
static const struct api_param ref_mark[] = {REF, {"includeMark", API_FLAG, "adds mark", false}, {0}};
static const struct api_param ref_marks[] = {REF, {"includeMarks", API_FLAG, "adds mark to each", false}, {0}};
static const struct api_param ref_base64[] = {REF, {"base64", API_FLAG, "the image as base64 text", false}, {0}};
static const struct api_param ref_add[] = {REF, {"addMark", API_FLAG, "marks it DOWNLOADED when it is complete", false}, {0}};
static const struct api_param add_mark[] = {{"addMark", API_FLAG, "marks each DOWNLOADED when it is complete", false}, {0}};
static const struct api_param site[] = {{"site", API_TEXT, "only favourites of this site", false}, {0}};
static const struct api_param favs[] = {
    {"site", API_TEXT, "only this site", false},
    {"includeInfo", API_FLAG, "manga objects instead of ids", false},
    {0}};
#define IDS(says) {"ids", API_TEXTS, says, false}, {"ids[]", API_TEXTS, "the same under another name", false}
static const struct api_param ids_states[] = {IDS("downloads to look at; without any: all"), {0}};
static const struct api_param ids_cancel[] = {IDS("downloads to cancel"), {0}};
static const struct api_param ids_retry[] = {IDS("downloads to try again; without any: all that failed"), {0}};
static const struct api_param events[] = {{"ids", API_TEXTS, "only these downloads", false}, {0}};

#define BAD {400, TEXT, "Error", "the request cannot be read, or the site does not know such an address"}
#define NO_SITE {404, TEXT, "Error", "no source is there for the site or address, or the site has no such thing"}
#define NO_ID {404, TEXT, "Error", "no download has this id"}

const struct api_op api_ops[] = {
    {"api_ping", DZ_HTTP_GET, "/api/ping", handle_api_ping, "Says pong", false, NULL, NULL, false,
     {{200, TEXT, "Pong", "it answers"}}},
    {"api_version", DZ_HTTP_GET, "/api/version", handle_api_version, "Version of this API", false, NULL, NULL, false,
     {{200, TEXT, "Version", "the version"}}},
    {"api_sites", DZ_HTTP_GET, "/api/sites", handle_api_sites, "Sites that sources are there for, the longest name first", false, NULL, NULL, false,
     {{200, JSON, "Texts", "names"}}},
    {"api_resource_site", DZ_HTTP_GET, "/api/resource/site", handle_api_resource_site, "Which site an address belongs to", false, url, NULL, false,
     {{200, JSON, "UrlSite", "the site, when there is one"}, BAD}},
    {"api_manga_id", DZ_HTTP_GET, "/api/manga/id", handle_api_manga_id, "Id of the manga that an address leads to; of a chapter's too", false, url, NULL, false,
     {{200, JSON, "UrlId", "the id"}, BAD, NO_SITE}},
    {"api_chapter_id", DZ_HTTP_GET, "/api/chapter/id", handle_api_chapter_id, "Id of the chapter that an address leads to", false, url, NULL, false,
     {{200, JSON, "UrlId", "the id"}, BAD, NO_SITE}},
    {"api_manga_info", DZ_HTTP_GET, "/api/manga/info", handle_api_manga_info, "What the site says of a manga", false, ref_fav, NULL, false,
     {{200, JSON, "Manga", "the manga"}, BAD, NO_SITE}},
    {"api_chapter_info", DZ_HTTP_GET, "/api/chapter/info", handle_api_chapter_info, "What the site says of a chapter", false, ref_mark, NULL, false,
     {{200, JSON, "ChapterInfo", "the chapter"}, BAD, NO_SITE}},
    {"api_manga_cover", DZ_HTTP_GET, "/api/manga/cover", handle_api_manga_cover, "The cover of a manga", false, ref_base64, NULL, false,
     {{200, "*/*", "Bytes", "the image, its type by its first bytes"}, BAD, NO_SITE}},
    {"api_manga_chapters", DZ_HTTP_GET, "/api/manga/chapters", handle_api_manga_chapters, "All chapters of a manga, in the order of the site", false, ref_marks, NULL, false,
     {{200, JSON, "Chapters", "chapters by id"}, BAD, NO_SITE}},

    {"api_download_chapter", DZ_HTTP_POST, "/api/download/chapter", handle_api_download_chapter, "Queues one chapter", true, ref_add, NULL, false,
     {{202, JSON, "DownloadId", "id of the download"}, BAD, NO_SITE}},
    {"api_download_chapters", DZ_HTTP_POST, "/api/download/chapters", handle_api_download_chapters, "Queues several chapters, all or none", true, add_mark, "Refs", false,
     {{202, JSON, "DownloadIds", "ids in the order of the request, each chapter once"}, BAD, NO_SITE}},
    {"api_download_new", DZ_HTTP_POST, "/api/download/new", handle_api_download_new, "Queues the chapters of a manga that have no mark", true, ref, NULL, false,
     {{202, JSON, "DownloadIds", "ids in the order of the list"}, BAD, NO_SITE}},
    {"api_download_allnew", DZ_HTTP_POST, "/api/download/allnew", handle_api_download_allnew, "Queues the chapters without mark of all favourites", true, site, NULL, false,
     {{202, JSON, "DownloadIds", "ids"}, BAD, NO_SITE}},
    {"api_download_retry", DZ_HTTP_POST, "/api/download/retry", handle_api_download_retry, "Queues failed downloads again", true, ids_retry, "Texts", true,
     {{200, JSON, "Retried", "how many"}, BAD}},
    {"api_dl_state", DZ_HTTP_GET, "/api/dl_state/{id}", handle_api_dl_state, "State of one download", false, NULL, NULL, false,
     {{200, JSON, "State", "its state"}, NO_ID}},
    {"api_dl_states_agregate", DZ_HTTP_GET, "/api/dl_states/agregate", handle_api_dl_states, "States of downloads, those that are active first", false, ids_states, NULL, false,
     {{200, JSON, "States", "states by id; null where no download has the id"}, BAD}},
    {"api_dl_states_aggregate", DZ_HTTP_GET, "/api/dl_states/aggregate", handle_api_dl_states, "The same, spelt right", false, ids_states, NULL, false,
     {{200, JSON, "States", "states by id; null where no download has the id"}, BAD}},
    {"api_cancel_download", DZ_HTTP_POST, "/api/cancel/download/{id}", handle_api_cancel_download, "Cancels one download", true, NULL, NULL, false,
     {{200, JSON, "Flag", "whether it will end for this"}, NO_ID}},
    {"api_cancel_downloads", DZ_HTTP_POST, "/api/cancel/downloads", handle_api_cancel_downloads, "Cancels several downloads", true, ids_cancel, "Texts", true,
     {{200, JSON, "Flags", "by id, whether it will end for this"}, BAD}},
    {"api_delete_history", DZ_HTTP_DELETE, "/api/downloads/history", handle_api_delete_history, "Forgets downloads that have ended", true, NULL, NULL, false,
     {{200, JSON, "Deleted", "how many"}}},

    {"api_chapter_mark", DZ_HTTP_GET, "/api/chapter/mark", handle_api_chapter_mark, "The mark of a chapter", false, ref, NULL, false,
     {{200, JSON, "Mark", "its mark"}, BAD, NO_SITE}},
    {"api_put_chapter_mark", DZ_HTTP_PUT, "/api/chapter/mark/{mark}", handle_api_put_chapter_mark, "Marks a chapter", true, ref, NULL, false,
     {{201, NULL, NULL, "marked"}, BAD, NO_SITE}},
    {"api_put_chapters_mark", DZ_HTTP_PUT, "/api/chapters/mark/{mark}", handle_api_put_chapters_mark, "Marks several chapters, all or none", true, NULL, "Refs", false,
     {{201, NULL, NULL, "marked"}, {200, NULL, NULL, "there were none to mark"}, BAD, NO_SITE}},
    {"api_delete_chapter_mark", DZ_HTTP_DELETE, "/api/chapter/mark", handle_api_delete_chapter_mark, "Takes the mark of a chapter off", true, ref, NULL, false,
     {{200, NULL, NULL, "it has none now"}, BAD, NO_SITE}},
    {"api_delete_chapters_mark", DZ_HTTP_DELETE, "/api/chapters/mark", handle_api_delete_chapters_mark, "Takes the marks of several chapters off", true, NULL, "Refs", false,
     {{200, NULL, NULL, "they have none now"}, BAD, NO_SITE}},
    {"api_manga_marked", DZ_HTTP_GET, "/api/manga/marked", handle_api_manga_marked, "The marks of a manga's chapters", false, ref, NULL, false,
     {{200, JSON, "Marks", "marks by id of the chapter"}, BAD, NO_SITE}},
    {"api_manga_fav", DZ_HTTP_GET, "/api/manga/fav", handle_api_manga_fav, "Whether a manga is a favourite", false, ref, NULL, false,
     {{200, JSON, "Flag", "whether it is"}, BAD, NO_SITE}},
    {"api_put_manga_fav", DZ_HTTP_PUT, "/api/manga/fav", handle_api_put_manga_fav, "Makes a manga a favourite", true, ref, NULL, false,
     {{201, NULL, NULL, "it is one now"}, {200, NULL, NULL, "it was one before"}, BAD, NO_SITE}},
    {"api_delete_manga_fav", DZ_HTTP_DELETE, "/api/manga/fav", handle_api_delete_manga_fav, "Makes a manga no favourite", true, ref, NULL, false,
     {{200, NULL, NULL, "it is none now"}, BAD, NO_SITE}},
    {"api_manga_favs", DZ_HTTP_GET, "/api/manga/favs", handle_api_manga_favs, "Favourites by site", false, favs, NULL, false,
     {{200, JSON, "Favourites", "ids, or manga objects by id"}, BAD, NO_SITE}},

    {"api_events", DZ_HTTP_GET, "/api/events", handle_api_events, "States of downloads as they change: an event stream (server-sent events)", false, events, NULL, false,
     {{200, "text/event-stream", "Events", "snapshot (States) first, then change (States; null for what was forgotten)"}, BAD}},
    {"api_openapi", DZ_HTTP_GET, "/api/openapi.json", handle_api_openapi, "This description", false, NULL, NULL, false,
     {{200, JSON, "Object", "OpenAPI 3.1"}}},
};
/* clang-format on */
const size_t api_ops_n = DZ_LEN(api_ops);

struct dz_http_route *api_routes_new(const struct dz_http_route *others, size_t others_n,
                                     struct dz_arena *a, size_t *ret_n)
{
    struct dz_http_route *v = dz_arena_alloc(a, (others_n + api_ops_n) * sizeof(*v));
    memcpy(v, others, others_n * sizeof(*v));
    for (size_t i = 0; i < api_ops_n; i++) {
        const struct api_op *op = &api_ops[i];
        char *pattern = dz_arena_dup(a, dz_str_of(op->path));
        char *open = strchr(pattern, '{'), *close = strchr(pattern, '}');
        if (open) /* the name of what stands there is for people */
            memmove(open + 1, close, strlen(close) + 1);
        v[others_n + i] = (struct dz_http_route){op->id, op->methods, pattern, op->handler};
    }
    *ret_n = others_n + api_ops_n;
    return v;
}

const struct api_op *api_op_of(const struct dz_http_req *r)
{
    const struct dz_api *a = r->app;
    if (!r->route || r->route < a->ops_routes)
        return NULL;
    return &api_ops[r->route - a->ops_routes];
}
