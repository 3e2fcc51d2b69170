/*
 * graphql_library: series, chapters, pages, jobs and sources as types of the schema.
 *
 * In: the view that the request holds, and for jobs the catalog. Out: Relay connections (edges,
 * node, cursor, pageInfo, totalCount). A cursor is an id behind a letter, so it stays right while
 * the list moves. No type contains itself, so a request writes one connection of a kind at a time:
 * each has one place in struct graph_library and nothing is allocated for a row.
 */
#include "api/graphql_int.h"

#define FIRST_MAX 1000
#define JOBS_MAX 10000u
#define SEARCH_MAX 200u

static struct graph_library *lib_of(const struct dz_gql_call *call)
{
    return &((struct graph_ctx *)call->context)->library;
}

static const struct dz_view *view_in(const struct dz_gql_call *call)
{
    return ((const struct graph_ctx *)call->context)->view;
}

/* A text that is made for a row: one at a time is being written. */
static void give_printed(struct dz_gql_out *ret, char *text, size_t room, const char *fmt, ...)
    DZ_PRINTF(4, 5);
static void give_printed(struct dz_gql_out *ret, char *text, size_t room, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, room, fmt, args);
    va_end(args);
    dz_assert(n >= 0 && (size_t)n < room);
    dz_gql_str(ret, (dz_str){text, (size_t)n});
}

static void give_text(struct dz_gql_out *ret, dz_str s)
{
    if (s.n > 0)
        dz_gql_str(ret, s);
    else
        dz_gql_null(ret);
}

static void give_time(struct graph_library *lib, struct dz_gql_out *ret, int64_t s)
{
    if (s <= 0) {
        dz_gql_null(ret);
        return;
    }
    dz_time_iso(s, lib->text);
    dz_gql_str(ret, dz_str_of(lib->text));
}

static void give_number(struct graph_library *lib, struct dz_gql_out *ret, int64_t n)
{
    give_printed(ret, lib->text, sizeof(lib->text), "%lld", (long long)n);
}

/* ---- connections ------------------------------------------------------------------------------
 */

enum kind { SERIES, CHAPTERS, PAGES, JOBS, SOURCES, KINDS };
static const char cursor_letters[KINDS] = {'s', 'c', 'p', 'j', 'o'};

static struct graph_range *range_of(struct graph_library *lib, enum kind k)
{
    return &lib->ranges[k];
}

/* The data of fields of connections and edges. */
static const enum kind kind_data[KINDS] = {SERIES, CHAPTERS, PAGES, JOBS, SOURCES};

static enum kind kind_of(const struct dz_gql_call *call)
{
    return *(const enum kind *)call->data;
}

static int64_t id_at(const struct graph_library *lib, enum kind k, size_t i)
{
    switch (k) {
    case SERIES:
        return lib->found[i]->series.id;
    case CHAPTERS:
        return lib->snap->chapters[i].id;
    case PAGES:
        return lib->chapter->pages[i].number;
    case JOBS:
        return lib->job_list[i].id;
    default:
        return (int64_t)i;
    }
}

static void give_cursor(struct graph_library *lib, enum kind k, size_t i, struct dz_gql_out *ret)
{
    char letter[2] = {cursor_letters[k], '\0'};
    if (k == SOURCES)
        give_printed(ret, lib->text, sizeof(lib->text), "%s%.*s", letter,
                     DZ_STR_FMT(dz_str_sub(lib->source_list[i].name, 0, 100)));
    else
        give_printed(ret, lib->text, sizeof(lib->text), "%s%lld", letter,
                     (long long)id_at(lib, k, i));
}

/* The entry of a list of n that a cursor names; n: none. */
static size_t place_of(const struct graph_library *lib, enum kind k, size_t n, dz_str cursor)
{
    uint64_t id = 0;
    size_t i = 0;
    if (cursor.n < 2 || cursor.p[0] != cursor_letters[k])
        return n;
    cursor = dz_str_sub(cursor, 1, cursor.n);
    if (k == SOURCES)
        while (i < n && !dz_str_eq(dz_str_sub(lib->source_list[i].name, 0, 100), cursor))
            i++;
    else if (dz_str_u64(cursor, INT64_MAX, &id, NULL) == DZ_OK)
        while (i < n && id_at(lib, k, i) != (int64_t)id)
            i++;
    else
        i = n;
    return i;
}

/* first and after of a list of n → its range. */
static enum dz_code cut(const struct dz_gql_call *call, enum kind k, size_t n, struct dz_err *err)
{
    struct graph_library *lib = lib_of(call);
    struct graph_range *r = range_of(lib, k);
    const struct dz_gql_value *first = dz_gql_arg(call, "first"),
                              *after = dz_gql_arg(call, "after");
    *r = (struct graph_range){.n = n};
    if (dz_gql_given(after)) {
        size_t i = place_of(lib, k, n, after->text);
        if (i == n)
            return dz_fail(err, DZ_BAD_INPUT, "'after' is no cursor of this list.");
        r->from = i + 1;
    }
    int64_t count = dz_gql_given(first) ? first->i : 20;
    if (count < 0 || count > FIRST_MAX)
        return dz_fail(err, DZ_BAD_INPUT, "'first' must be from 0 to %d.", FIRST_MAX);
    r->to = n - r->from < (size_t)count ? n : r->from + (size_t)count;
    return DZ_OK;
}

static enum dz_code give_connection(const struct dz_gql_call *call, enum kind k, size_t n,
                                    struct dz_gql_out *ret, struct dz_err *err)
{
    DZ_TRY(cut(call, k, n, err));
    dz_gql_object(ret, NULL, NULL);
    return DZ_OK;
}

static enum dz_code next_edge(struct dz_gql_rows *rows, struct dz_gql_out *ret, struct dz_err *err)
{
    struct graph_range *r = rows->state;
    (void)err;
    if (rows->at == r->to) {
        dz_gql_end(ret);
        return DZ_OK;
    }
    r->at = rows->at++;
    dz_gql_object(ret, r, NULL);
    return DZ_OK;
}

static enum dz_code resolve_edges(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                  struct dz_err *err)
{
    struct graph_range *r = range_of(lib_of(call), kind_of(call));
    (void)err;
    dz_gql_rows(ret, (struct dz_gql_rows){.next = next_edge, .state = r, .at = r->from});
    return DZ_OK;
}

static enum dz_code resolve_total(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                  struct dz_err *err)
{
    (void)err;
    dz_gql_int(ret, (int64_t)range_of(lib_of(call), kind_of(call))->n);
    return DZ_OK;
}

static enum dz_code resolve_page_info(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                      struct dz_err *err)
{
    (void)err;
    dz_gql_object(ret, call->data, NULL);
    return DZ_OK;
}

static enum dz_code resolve_cursor(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                   struct dz_err *err)
{
    struct graph_library *lib = lib_of(call);
    enum kind k = kind_of(call);
    (void)err;
    give_cursor(lib, k, range_of(lib, k)->at, ret);
    return DZ_OK;
}

static void *node_at(struct graph_library *lib, enum kind k, size_t i)
{
    switch (k) {
    case SERIES:
        lib->snap = lib->found[i];
        return NULL;
    case CHAPTERS:
        lib->chapter = &lib->snap->chapters[i];
        return NULL;
    case PAGES:
        lib->page =
            (struct graph_page){lib->snap->series.id, lib->chapter->id, &lib->chapter->pages[i]};
        return &lib->page;
    case JOBS:
        return (void *)&lib->job_list[i];
    default:
        return &lib->source_list[i];
    }
}

static enum dz_code resolve_node(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                 struct dz_err *err)
{
    struct graph_library *lib = lib_of(call);
    enum kind k = kind_of(call);
    (void)err;
    dz_gql_object(ret, node_at(lib, k, range_of(lib, k)->at), NULL);
    return DZ_OK;
}

/* The object of PageInfo is the kind. */
enum info { HAS_NEXT, HAS_PREVIOUS, START, END };
static const enum info info_data[] = {HAS_NEXT, HAS_PREVIOUS, START, END};

static enum dz_code resolve_info(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                 struct dz_err *err)
{
    struct graph_library *lib = lib_of(call);
    enum kind k = *(const enum kind *)call->object;
    const struct graph_range *r = range_of(lib, k);
    enum info what = *(const enum info *)call->data;
    (void)err;
    if (what == HAS_NEXT)
        dz_gql_bool(ret, r->to < r->n);
    else if (what == HAS_PREVIOUS)
        dz_gql_bool(ret, r->from > 0);
    else if (r->from == r->to)
        dz_gql_null(ret);
    else
        give_cursor(lib, k, what == START ? r->from : r->to - 1, ret);
    return DZ_OK;
}

static void add_page_args(struct dz_gql_field *f)
{
    dz_gql_add_arg(f, "first", "Int", "20", "So many at most; up to 1,000.");
    dz_gql_add_arg(f, "after", "String", NULL, "A cursor: the list goes on behind it.");
}

static void add_connection(struct dz_gql_builder *b, enum kind k, const char *connection,
                           const char *edge, const char *edges, const char *node)
{
    void *data = (void *)&kind_data[k];
    struct dz_gql_type *e = dz_gql_add_object(b, edge, "An entry of a list.");
    dz_gql_add_field(e, "node", node, resolve_node, data, "The entry itself.");
    dz_gql_add_field(e, "cursor", "String!", resolve_cursor, data, "Its place, for `after`.");
    struct dz_gql_type *c = dz_gql_add_object(b, connection, "A part of a list.");
    dz_gql_add_field(c, "edges", edges, resolve_edges, data, "The entries of this part.");
    dz_gql_add_field(c, "pageInfo", "PageInfo!", resolve_page_info, data,
                     "What lies around this part.");
    dz_gql_add_field(c, "totalCount", "Int!", resolve_total, data, "Entries of the whole list.");
}

static void add_page_info(struct dz_gql_builder *b)
{
    struct dz_gql_type *t = dz_gql_add_object(b, "PageInfo", "What lies around a part of a list.");
    dz_gql_add_field(t, "hasNextPage", "Boolean!", resolve_info, (void *)&info_data[HAS_NEXT],
                     "Whether more comes behind it.");
    dz_gql_add_field(t, "hasPreviousPage", "Boolean!", resolve_info,
                     (void *)&info_data[HAS_PREVIOUS], "Whether something comes before it.");
    dz_gql_add_field(t, "startCursor", "String", resolve_info, (void *)&info_data[START],
                     "Cursor of the first entry; null when there is none.");
    dz_gql_add_field(t, "endCursor", "String", resolve_info, (void *)&info_data[END],
                     "Cursor of the last entry, for `after`; null when there is none.");
}

/* ---- series -----------------------------------------------------------------------------------
 */

enum series_field {
    S_ID,
    S_TITLE,
    S_DESCRIPTION,
    S_AUTHORS,
    S_LANGUAGE,
    S_STATUS,
    S_URL,
    S_PATH,
    S_RTL,
    S_SOURCE,
    S_SOURCE_ID,
    S_CREATED,
    S_UPDATED,
    S_CHAPTERS,
    S_PAGES,
    S_FIELDS
};

static enum dz_code resolve_series_field(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                         struct dz_err *err);

/* clang-format off */
static const struct field {
    const char *name, *type, *says;
} series_fields[S_FIELDS] = {
    [S_ID] = {"id", "ID!", "Id in this library."},
    [S_TITLE] = {"title", "String!", "Title."},
    [S_DESCRIPTION] = {"description", "String", "What it is about."},
    [S_AUTHORS] = {"authors", "String", "Who made it, with commas between."},
    [S_LANGUAGE] = {"language", "String", "Language tag, such as \"en\"."},
    [S_STATUS] = {"status", "String", "Whether it goes on, in the words of its source."},
    [S_URL] = {"url", "String", "Address at the site it came from."},
    [S_PATH] = {"path", "String!", "Path of its page here, for people."},
    [S_RTL] = {"rightToLeft", "Boolean!", "Whether it is read from right to left."},
    [S_SOURCE] = {"source", "String!", "Where it came from: the id of a source, or \"local\" for imports."},
    [S_SOURCE_ID] = {"sourceId", "String!", "Its id there."},
    [S_CREATED] = {"createdAt", "String", "When it was added; ISO 8601, UTC."},
    [S_UPDATED] = {"updatedAt", "String", "When it changed last; ISO 8601, UTC."},
    [S_CHAPTERS] = {"chapterCount", "Int!", "How many chapters it has."},
    [S_PAGES] = {"pageCount", "Int!", "How many pages all chapters have."},
};
/* clang-format on */

/* One data for each field of an object type: its place in the table of fields. */
static const int places[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                               16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

static void add_fields(struct dz_gql_type *t, const struct field *v, size_t n,
                       dz_gql_resolve_fn resolve)
{
    dz_assert(n <= DZ_LEN(places));
    for (size_t i = 0; i < n; i++)
        dz_gql_add_field(t, v[i].name, v[i].type, resolve, (void *)&places[i], v[i].says);
}

static enum dz_code resolve_series_field(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                         struct dz_err *err)
{
    struct graph_library *lib = lib_of(call);
    const struct dz_snapshot *s = lib->snap;
    (void)err;
    switch ((enum series_field) * (const int *)call->data) {
    case S_ID:
        give_number(lib, ret, s->series.id);
        break;
    case S_TITLE:
        dz_gql_str(ret, s->series.title);
        break;
    case S_DESCRIPTION:
        give_text(ret, s->series.description);
        break;
    case S_AUTHORS:
        give_text(ret, s->series.authors);
        break;
    case S_LANGUAGE:
        give_text(ret, s->series.lang);
        break;
    case S_STATUS:
        give_text(ret, s->series.status);
        break;
    case S_URL:
        give_text(ret, s->series.url);
        break;
    case S_PATH:
        give_printed(ret, lib->text, sizeof(lib->text), "/series/%lld", (long long)s->series.id);
        break;
    case S_RTL:
        dz_gql_bool(ret, s->series.right_to_left);
        break;
    case S_SOURCE:
        dz_gql_str(ret, s->series.source);
        break;
    case S_SOURCE_ID:
        dz_gql_str(ret, s->series.source_id);
        break;
    case S_CREATED:
        give_time(lib, ret, s->series.created_s);
        break;
    case S_UPDATED:
        give_time(lib, ret, s->series.updated_s);
        break;
    case S_CHAPTERS:
        dz_gql_int(ret, (int64_t)s->chapters_n);
        break;
    case S_PAGES:
        dz_gql_int(ret, (int64_t)s->pages_n);
        break;
    case S_FIELDS:
        break;
    }
    return DZ_OK;
}

static enum dz_code resolve_cover(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                  struct dz_err *err)
{
    struct graph_library *lib = lib_of(call);
    (void)err;
    if (!lib->snap->cover)
        return DZ_OK;
    lib->cover = (struct graph_page){lib->snap->series.id, 0, lib->snap->cover};
    dz_gql_object(ret, &lib->cover, NULL);
    return DZ_OK;
}

static enum dz_code resolve_chapters(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                     struct dz_err *err)
{
    return give_connection(call, CHAPTERS, lib_of(call)->snap->chapters_n, ret, err);
}

/* ---- chapters and pages -----------------------------------------------------------------------
 */

enum chapter_field {
    C_ID,
    C_KEY,
    C_NUMBER,
    C_VOLUME,
    C_TITLE,
    C_COUNT,
    C_CREATED,
    C_UPDATED,
    C_PATH,
    C_CBZ,
    C_FIELDS
};

/* clang-format off */
static const struct field chapter_fields[C_FIELDS] = {
    [C_ID] = {"id", "ID!", "Id in this library."},
    [C_KEY] = {"key", "String!", "What it is called in addresses; one of a kind in its series."},
    [C_NUMBER] = {"number", "String", "Its number as text: \"10.5\"."},
    [C_VOLUME] = {"volume", "String", "The volume it is in."},
    [C_TITLE] = {"title", "String", "Its title."},
    [C_COUNT] = {"pageCount", "Int!", "How many pages it has; not all of them need be here yet."},
    [C_CREATED] = {"createdAt", "String", "When it was added; ISO 8601, UTC."},
    [C_UPDATED] = {"updatedAt", "String", "When it changed last; ISO 8601, UTC."},
    [C_PATH] = {"path", "String!", "Path of its page here, for people."},
    [C_CBZ] = {"cbzPath", "String!", "Path of the chapter as one CBZ file."},
};

enum page_field { P_NUMBER, P_URL, P_WIDTH, P_HEIGHT, P_BYTES, P_TYPE, P_SHA, P_FIELDS };
static const struct field page_fields[P_FIELDS] = {
    [P_NUMBER] = {"number", "Int!", "Place in its chapter, from 1; 0 for a cover that is no page."},
    [P_URL] = {"url", "String!", "Path of the image; its bytes never change."},
    [P_WIDTH] = {"width", "Int", "In pixels; null when it is not known."},
    [P_HEIGHT] = {"height", "Int", "In pixels; null when it is not known."},
    [P_BYTES] = {"bytes", "Float!", "Size of the file."},
    [P_TYPE] = {"mediaType", "String!", "Such as \"image/jpeg\"."},
    [P_SHA] = {"sha256", "String!", "Digest of the file, 64 hexadecimal digits."},
};
/* clang-format on */

static enum dz_code resolve_chapter_field(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                          struct dz_err *err)
{
    struct graph_library *lib = lib_of(call);
    const struct dz_snap_chapter *c = lib->chapter;
    long long series = (long long)lib->snap->series.id;
    (void)err;
    switch ((enum chapter_field) * (const int *)call->data) {
    case C_ID:
        give_number(lib, ret, c->id);
        break;
    case C_KEY:
        dz_gql_str(ret, c->key);
        break;
    case C_NUMBER:
        give_text(ret, c->number);
        break;
    case C_VOLUME:
        give_text(ret, c->volume);
        break;
    case C_TITLE:
        give_text(ret, c->title);
        break;
    case C_COUNT:
        dz_gql_int(ret, c->page_count);
        break;
    case C_CREATED:
        give_time(lib, ret, c->created_s);
        break;
    case C_UPDATED:
        give_time(lib, ret, c->updated_s);
        break;
    case C_PATH:
        give_printed(ret, lib->text, sizeof(lib->text), "/read/%lld/%lld", series,
                     (long long)c->id);
        break;
    case C_CBZ:
        give_printed(ret, lib->text, sizeof(lib->text), "/series/%lld/chapter/%lld.cbz", series,
                     (long long)c->id);
        break;
    case C_FIELDS:
        break;
    }
    return DZ_OK;
}

static enum dz_code resolve_pages(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                  struct dz_err *err)
{
    return give_connection(call, PAGES, lib_of(call)->chapter->pages_n, ret, err);
}

static void give_size(struct dz_gql_out *ret, uint16_t n)
{
    if (n > 0)
        dz_gql_int(ret, n);
    else
        dz_gql_null(ret);
}

static void give_page_url(struct graph_library *lib, const struct graph_page *of,
                          struct dz_gql_out *ret)
{
    struct dz_buf url DZ_AUTO(dz_buf_done);
    dz_buf_init(&url, sizeof(lib->text));
    html_page_url(&url, of->series_id, of->chapter_id, of->page);
    give_printed(ret, lib->text, sizeof(lib->text), "%s", dz_buf_cstr(&url));
}

static enum dz_code resolve_page_field(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                       struct dz_err *err)
{
    struct graph_library *lib = lib_of(call);
    const struct graph_page *of = call->object;
    const struct dz_snap_page *p = of->page;
    (void)err;
    switch ((enum page_field) * (const int *)call->data) {
    case P_NUMBER:
        dz_gql_int(ret, p->number);
        break;
    case P_URL:
        give_page_url(lib, of, ret);
        break;
    case P_WIDTH:
        give_size(ret, p->width);
        break;
    case P_HEIGHT:
        give_size(ret, p->height);
        break;
    case P_BYTES:
        dz_gql_int(ret, p->bytes);
        break;
    case P_TYPE:
        dz_gql_str(ret, dz_str_of(p->mime));
        break;
    case P_SHA:
        dz_hex(p->sha.b, sizeof(p->sha.b), lib->text);
        dz_gql_str(ret, (dz_str){lib->text, 2 * sizeof(p->sha.b)});
        break;
    case P_FIELDS:
        break;
    }
    return DZ_OK;
}

static void add_library_types(struct dz_gql_builder *b)
{
    struct dz_gql_type *s = dz_gql_add_object(b, "Series", "A series of the library.");
    add_fields(s, series_fields, S_FIELDS, resolve_series_field);
    dz_gql_add_field(s, "cover", "Page", resolve_cover, NULL, "An image that stands for it.");
    add_page_args(dz_gql_add_field(s, "chapters", "ChapterConnection!", resolve_chapters, NULL,
                                   "Its chapters, newest first."));
    struct dz_gql_type *c = dz_gql_add_object(b, "Chapter", "A chapter of a series.");
    add_fields(c, chapter_fields, C_FIELDS, resolve_chapter_field);
    add_page_args(dz_gql_add_field(c, "pages", "PageConnection!", resolve_pages, NULL,
                                   "Its pages, in reading order."));
    struct dz_gql_type *p = dz_gql_add_object(b, "Page", "An image: a page or a cover.");
    add_fields(p, page_fields, P_FIELDS, resolve_page_field);
    add_connection(b, SERIES, "SeriesConnection", "SeriesEdge", "[SeriesEdge!]!", "Series!");
    add_connection(b, CHAPTERS, "ChapterConnection", "ChapterEdge", "[ChapterEdge!]!", "Chapter!");
    add_connection(b, PAGES, "PageConnection", "PageEdge", "[PageEdge!]!", "Page!");
}

/* ---- queries of the library -------------------------------------------------------------------
 */

/* Fields that look at every series. Aliases can ask for that some hundred times in one turn of a
 * loop, so what is much is left to a worker. */
static void prepare_scan(const struct dz_gql_call *call)
{
    struct graph_ctx *ctx = call->context;
    ctx->library.scans += ctx->view->series_n;
    if (ctx->library.scans > GRAPH_SCANS_MAX)
        ctx->wants_worker = true;
}

static enum dz_code resolve_series(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                   struct dz_err *err)
{
    uint64_t id = 0;
    (void)err;
    if (dz_str_u64(dz_gql_arg(call, "id")->text, INT64_MAX, &id, NULL) != DZ_OK)
        return DZ_OK;
    lib_of(call)->snap = dz_view_series(view_in(call), (int64_t)id);
    if (lib_of(call)->snap)
        dz_gql_object(ret, NULL, NULL);
    return DZ_OK;
}

static enum dz_code resolve_chapter(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                    struct dz_err *err)
{
    struct graph_library *lib = lib_of(call);
    const struct dz_view *v = view_in(call);
    uint64_t id = 0;
    (void)err;
    if (dz_str_u64(dz_gql_arg(call, "id")->text, INT64_MAX, &id, NULL) != DZ_OK)
        return DZ_OK;
    for (size_t i = 0; i < v->series_n; i++) {
        lib->chapter = dz_snapshot_chapter_by_id(v->series[i], (int64_t)id);
        if (!lib->chapter)
            continue;
        lib->snap = v->series[i];
        dz_gql_object(ret, NULL, NULL);
        break;
    }
    return DZ_OK;
}

static enum dz_code resolve_series_list(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                        struct dz_err *err)
{
    struct graph_library *lib = lib_of(call);
    const struct dz_view *v = view_in(call);
    const struct dz_gql_value *search = dz_gql_arg(call, "search"),
                              *source = dz_gql_arg(call, "source");
    dz_str words = dz_gql_given(search) ? dz_str_sub(search->text, 0, SEARCH_MAX) : DZ_S("");
    size_t n = 0;
    lib->found = dz_arena_alloc(call->arena, (v->series_n + 1) * sizeof(struct dz_snapshot *));
    for (size_t i = 0; i < v->series_n; i++) {
        const struct dz_snapshot *s = v->series[i];
        if (dz_gql_given(source) && !dz_str_eq(s->series.source, source->text))
            continue;
        if (title_contains(s, words))
            lib->found[n++] = s;
    }
    return give_connection(call, SERIES, n, ret, err);
}

/* ---- sources ----------------------------------------------------------------------------------
 */

enum source_field { O_NAME, O_ENABLED, O_SERIES, O_CHAPTERS, O_FIELDS };
static const struct field source_fields[O_FIELDS] = {
    [O_NAME] = {"name", "String!", "Its id, such as \"mangadex.org\"."},
    [O_ENABLED] = {"enabled", "Boolean!", "Whether the settings let it work."},
    [O_SERIES] = {"seriesCount", "Int!", "Series of the library that came from it."},
    [O_CHAPTERS] = {"chapterCount", "Int!", "Chapters of the library that came from it."},
};

static enum dz_code resolve_source_field(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                         struct dz_err *err)
{
    const struct graph_source *s = call->object;
    (void)err;
    switch ((enum source_field) * (const int *)call->data) {
    case O_NAME:
        dz_gql_str(ret, s->name);
        break;
    case O_ENABLED:
        dz_gql_bool(ret, s->enabled);
        break;
    case O_SERIES:
        dz_gql_int(ret, (int64_t)s->series);
        break;
    case O_CHAPTERS:
        dz_gql_int(ret, (int64_t)s->chapters);
        break;
    case O_FIELDS:
        break;
    }
    return DZ_OK;
}

static enum dz_code resolve_sources(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                    struct dz_err *err)
{
    struct graph_library *lib = lib_of(call);
    const struct dz_view *v = view_in(call);
    const struct dz_conf *conf = v->conf;
    lib->source_list =
        dz_arena_alloc(call->arena, (conf->sources.n + 1) * sizeof(*lib->source_list));
    for (size_t i = 0; i < conf->sources.n; i++) {
        struct graph_source *s = &lib->source_list[i];
        *s = (struct graph_source){.name = dz_str_of(conf->sources.v[i].id),
                                   .enabled = conf->sources.v[i].enabled};
        for (size_t k = 0; k < v->series_n; k++) {
            if (!dz_str_eq(v->series[k]->series.source, s->name))
                continue;
            s->series++;
            s->chapters += v->series[k]->chapters_n;
        }
    }
    return give_connection(call, SOURCES, conf->sources.n, ret, err);
}

/* ---- jobs -------------------------------------------------------------------------------------
 */

enum job_field {
    J_ID,
    J_KIND,
    J_SOURCE,
    J_TARGET,
    J_STATE,
    J_PHASE,
    J_ATTEMPTS,
    J_DONE,
    J_TOTAL,
    J_BYTES,
    J_CREATED,
    J_DUE,
    J_STARTED,
    J_ENDED,
    J_ERROR,
    J_FIELDS
};

/* clang-format off */
static const struct field job_fields[J_FIELDS] = {
    [J_ID] = {"id", "ID!", "Its number."},
    [J_KIND] = {"kind", "String!", "What is done: \"crawl\", \"download\" …"},
    [J_SOURCE] = {"source", "String", "The source that is asked."},
    [J_TARGET] = {"target", "String", "Id at the source; null: all of it."},
    [J_STATE] = {"state", "JobState!", "Where it stands."},
    [J_PHASE] = {"phase", "String", "What a running one is doing."},
    [J_ATTEMPTS] = {"attempts", "Int!", "How often it was begun."},
    [J_DONE] = {"done", "Float!", "Pages that are done."},
    [J_TOTAL] = {"total", "Float!", "Pages there are; 0 when that is not known."},
    [J_BYTES] = {"bytes", "Float!", "Bytes of what is done."},
    [J_CREATED] = {"createdAt", "String", "When it was queued; ISO 8601, UTC."},
    [J_DUE] = {"dueAt", "String", "When it may begin; ISO 8601, UTC."},
    [J_STARTED] = {"startedAt", "String", "When it was begun last; ISO 8601, UTC."},
    [J_ENDED] = {"endedAt", "String", "When it ended; ISO 8601, UTC."},
    [J_ERROR] = {"error", "String", "The kind of its last failure."},
};
/* clang-format on */

static enum dz_code resolve_job_field(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                      struct dz_err *err)
{
    struct graph_library *lib = lib_of(call);
    const struct dz_job_rec *j = call->object;
    (void)err;
    switch ((enum job_field) * (const int *)call->data) {
    case J_ID:
        give_number(lib, ret, j->id);
        break;
    case J_KIND:
        dz_gql_str(ret, j->kind);
        break;
    case J_SOURCE:
        give_text(ret, j->source);
        break;
    case J_TARGET:
        give_text(ret, j->target);
        break;
    case J_STATE:
        dz_gql_int(ret, j->state);
        break;
    case J_PHASE:
        give_text(ret, j->phase);
        break;
    case J_ATTEMPTS:
        dz_gql_int(ret, j->attempts);
        break;
    case J_DONE:
        dz_gql_float(ret, (double)j->done);
        break;
    case J_TOTAL:
        dz_gql_float(ret, (double)j->total);
        break;
    case J_BYTES:
        dz_gql_float(ret, (double)j->bytes);
        break;
    case J_CREATED:
        give_time(lib, ret, j->created_ms / 1000);
        break;
    case J_DUE:
        give_time(lib, ret, j->run_after_ms / 1000);
        break;
    case J_STARTED:
        give_time(lib, ret, j->started_ms / 1000);
        break;
    case J_ENDED:
        give_time(lib, ret, j->ended_ms / 1000);
        break;
    case J_ERROR:
        give_text(ret, j->fail_kind);
        break;
    case J_FIELDS:
        break;
    }
    return DZ_OK;
}

static void prepare_jobs(const struct dz_gql_call *call)
{
    ((struct graph_ctx *)call->context)->wants_worker = true;
}

/* Forty aliases of the field are one look at the catalog. */
static enum dz_code all_jobs(const struct dz_gql_call *call, struct graph_jobs *all,
                             struct dz_err *err)
{
    if (all->is_read)
        return DZ_OK;
    DZ_TRY(dz_catalog_jobs(((struct graph_ctx *)call->context)->catalog, JOBS_MAX, call->arena,
                           &all->v, &all->n, err));
    all->is_read = true;
    return DZ_OK;
}

static const struct graph_jobs *jobs_in(const struct dz_gql_call *call, int64_t state)
{
    struct graph_library *lib = lib_of(call);
    struct graph_jobs *some = &lib->jobs_in[state];
    if (some->is_read)
        return some;
    some->v = dz_arena_alloc(call->arena, (lib->jobs.n + 1) * sizeof(*some->v));
    for (size_t i = 0; i < lib->jobs.n; i++)
        if ((int64_t)lib->jobs.v[i].state == state)
            some->v[some->n++] = lib->jobs.v[i];
    some->is_read = true;
    return some;
}

static enum dz_code resolve_jobs(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                 struct dz_err *err)
{
    struct graph_ctx *ctx = call->context;
    const struct dz_gql_value *state = dz_gql_arg(call, "state");
    const struct graph_jobs *given = &ctx->library.jobs;
    dz_assert(ctx->may_block);
    DZ_TRY(all_jobs(call, &ctx->library.jobs, err));
    if (dz_gql_given(state))
        given = jobs_in(call, state->i);
    ctx->library.job_list = given->v;
    return give_connection(call, JOBS, given->n, ret, err);
}

static void add_work_types(struct dz_gql_builder *b)
{
    /* clang-format off */
    static const struct { const char *name, *says; } states[DZ_JOB_STATES] = {
        [DZ_JOB_QUEUED] = {"QUEUED", "It waits."},
        [DZ_JOB_RUNNING] = {"RUNNING", "It is under way."},
        [DZ_JOB_DONE] = {"DONE", "It has ended well."},
        [DZ_JOB_FAILED] = {"FAILED", "It has failed for good."},
        [DZ_JOB_CANCELLED] = {"CANCELLED", "It was called off."},
    };
    /* clang-format on */
    struct dz_gql_type *e = dz_gql_add_enum(b, "JobState", "Where a job stands.");
    for (int i = 0; i < DZ_JOB_STATES; i++)
        dz_gql_add_choice(e, states[i].name, i, states[i].says);
    struct dz_gql_type *j = dz_gql_add_object(b, "Job", "A piece of work of the crawler.");
    add_fields(j, job_fields, J_FIELDS, resolve_job_field);
    struct dz_gql_type *s =
        dz_gql_add_object(b, "Source", "A site that the library knows to read.");
    add_fields(s, source_fields, O_FIELDS, resolve_source_field);
    add_connection(b, JOBS, "JobConnection", "JobEdge", "[JobEdge!]!", "Job!");
    add_connection(b, SOURCES, "SourceConnection", "SourceEdge", "[SourceEdge!]!", "Source!");
}

void graph_add_library(struct dz_gql_builder *b, struct dz_gql_type *query)
{
    add_page_info(b);
    add_library_types(b);
    add_work_types(b);
    struct dz_gql_field *f = dz_gql_add_field(query, "series", "Series", resolve_series, NULL,
                                              "One series of the library.");
    dz_gql_add_arg(f, "id", "ID!", NULL, "Its id in this library.");
    f = dz_gql_add_field(query, "chapter", "Chapter", resolve_chapter, NULL,
                         "One chapter of the library.");
    dz_gql_field_prepare(f, prepare_scan);
    dz_gql_add_arg(f, "id", "ID!", NULL, "Its id in this library.");
    f = dz_gql_add_field(query, "seriesList", "SeriesConnection!", resolve_series_list, NULL,
                         "Series of the library, by title.");
    dz_gql_field_prepare(f, prepare_scan);
    add_page_args(f);
    dz_gql_add_arg(f, "search", "String", NULL, "Only those with this in their title.");
    dz_gql_add_arg(f, "source", "String", NULL, "Only those of this source.");
    f = dz_gql_add_field(query, "jobs", "JobConnection!", resolve_jobs, NULL,
                         "What the crawler does: running jobs, then those that wait, then those "
                         "that ended, the latest first; 10,000 at most.");
    dz_gql_field_prepare(f, prepare_jobs);
    add_page_args(f);
    dz_gql_add_arg(f, "state", "JobState", NULL, "Only jobs of this state.");
    f = dz_gql_add_field(query, "sources", "SourceConnection!", resolve_sources, NULL,
                         "Sites that the library knows to read.");
    dz_gql_field_prepare(f, prepare_scan);
    add_page_args(f);
}
