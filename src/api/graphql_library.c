/*
 * graphql_library: series, chapters and pages as types of the schema, and the queries for them.
 *
 * In: the view that the request holds. Out: values for fields, and connections. The series, the
 * chapter and the page that are being written have one place each in struct graph_library.
 */
#include "api/graphql_library_int.h"

#define SEARCH_MAX 200u

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

/* clang-format off */
static const struct graph_says series_fields[S_FIELDS] = {
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

static enum dz_code resolve_series_field(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                         struct dz_err *err)
{
    struct graph_library *lib = graph_lib(call);
    const struct dz_snapshot *s = lib->snap;
    (void)err;
    switch ((enum series_field) * (const int *)call->data) {
    case S_ID:
        graph_give_number(lib, ret, s->series.id);
        break;
    case S_TITLE:
        dz_gql_str(ret, s->series.title);
        break;
    case S_DESCRIPTION:
        graph_give_text(ret, s->series.description);
        break;
    case S_AUTHORS:
        graph_give_text(ret, s->series.authors);
        break;
    case S_LANGUAGE:
        graph_give_text(ret, s->series.lang);
        break;
    case S_STATUS:
        graph_give_text(ret, s->series.status);
        break;
    case S_URL:
        graph_give_text(ret, s->series.url);
        break;
    case S_PATH:
        graph_give_printed(ret, lib->text, sizeof(lib->text), "/series/%lld",
                           (long long)s->series.id);
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
        graph_give_time(lib, ret, s->series.created_s);
        break;
    case S_UPDATED:
        graph_give_time(lib, ret, s->series.updated_s);
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
    struct graph_library *lib = graph_lib(call);
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
    return graph_give_connection(call, GRAPH_CHAPTERS, graph_lib(call)->snap->chapters_n, ret, err);
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
static const struct graph_says chapter_fields[C_FIELDS] = {
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
static const struct graph_says page_fields[P_FIELDS] = {
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
    struct graph_library *lib = graph_lib(call);
    const struct dz_snap_chapter *c = lib->chapter;
    long long series = (long long)lib->snap->series.id;
    (void)err;
    switch ((enum chapter_field) * (const int *)call->data) {
    case C_ID:
        graph_give_number(lib, ret, c->id);
        break;
    case C_KEY:
        dz_gql_str(ret, c->key);
        break;
    case C_NUMBER:
        graph_give_text(ret, c->number);
        break;
    case C_VOLUME:
        graph_give_text(ret, c->volume);
        break;
    case C_TITLE:
        graph_give_text(ret, c->title);
        break;
    case C_COUNT:
        dz_gql_int(ret, c->page_count);
        break;
    case C_CREATED:
        graph_give_time(lib, ret, c->created_s);
        break;
    case C_UPDATED:
        graph_give_time(lib, ret, c->updated_s);
        break;
    case C_PATH:
        graph_give_printed(ret, lib->text, sizeof(lib->text), "/read/%lld/%lld", series,
                           (long long)c->id);
        break;
    case C_CBZ:
        graph_give_printed(ret, lib->text, sizeof(lib->text), "/series/%lld/chapter/%lld.cbz",
                           series, (long long)c->id);
        break;
    case C_FIELDS:
        break;
    }
    return DZ_OK;
}

static enum dz_code resolve_pages(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                  struct dz_err *err)
{
    return graph_give_connection(call, GRAPH_PAGES, graph_lib(call)->chapter->pages_n, ret, err);
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
    graph_give_printed(ret, lib->text, sizeof(lib->text), "%s", dz_buf_cstr(&url));
}

static enum dz_code resolve_page_field(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                       struct dz_err *err)
{
    struct graph_library *lib = graph_lib(call);
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
    graph_add_fields(s, series_fields, S_FIELDS, resolve_series_field);
    dz_gql_add_field(s, "cover", "Page", resolve_cover, NULL, "An image that stands for it.");
    graph_add_page_args(dz_gql_add_field(s, "chapters", "ChapterConnection!", resolve_chapters,
                                         NULL, "Its chapters, newest first."));
    struct dz_gql_type *c = dz_gql_add_object(b, "Chapter", "A chapter of a series.");
    graph_add_fields(c, chapter_fields, C_FIELDS, resolve_chapter_field);
    graph_add_page_args(dz_gql_add_field(c, "pages", "PageConnection!", resolve_pages, NULL,
                                         "Its pages, in reading order."));
    struct dz_gql_type *p = dz_gql_add_object(b, "Page", "An image: a page or a cover.");
    graph_add_fields(p, page_fields, P_FIELDS, resolve_page_field);
    graph_add_connection(b, GRAPH_SERIES, "SeriesConnection", "SeriesEdge", "[SeriesEdge!]!",
                         "Series!");
    graph_add_connection(b, GRAPH_CHAPTERS, "ChapterConnection", "ChapterEdge", "[ChapterEdge!]!",
                         "Chapter!");
    graph_add_connection(b, GRAPH_PAGES, "PageConnection", "PageEdge", "[PageEdge!]!", "Page!");
}

/* ---- queries of the library -------------------------------------------------------------------
 */

static enum dz_code resolve_series(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                   struct dz_err *err)
{
    uint64_t id = 0;
    (void)err;
    if (dz_str_u64(dz_gql_arg(call, "id")->text, INT64_MAX, &id, NULL) != DZ_OK)
        return DZ_OK;
    graph_lib(call)->snap = dz_view_series(graph_view(call), (int64_t)id);
    if (graph_lib(call)->snap)
        dz_gql_object(ret, NULL, NULL);
    return DZ_OK;
}

static enum dz_code resolve_chapter(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                    struct dz_err *err)
{
    struct graph_library *lib = graph_lib(call);
    const struct dz_view *v = graph_view(call);
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
    struct graph_library *lib = graph_lib(call);
    const struct dz_view *v = graph_view(call);
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
    return graph_give_connection(call, GRAPH_SERIES, n, ret, err);
}

void graph_add_library(struct dz_gql_builder *b, struct dz_gql_type *query)
{
    graph_add_page_info(b);
    add_library_types(b);
    struct dz_gql_field *f = dz_gql_add_field(query, "series", "Series", resolve_series, NULL,
                                              "One series of the library.");
    dz_gql_add_arg(f, "id", "ID!", NULL, "Its id in this library.");
    f = dz_gql_add_field(query, "chapter", "Chapter", resolve_chapter, NULL,
                         "One chapter of the library.");
    dz_gql_field_prepare(f, graph_prepare_scan);
    dz_gql_add_arg(f, "id", "ID!", NULL, "Its id in this library.");
    f = dz_gql_add_field(query, "seriesList", "SeriesConnection!", resolve_series_list, NULL,
                         "Series of the library, by title.");
    dz_gql_field_prepare(f, graph_prepare_scan);
    graph_add_page_args(f);
    dz_gql_add_arg(f, "search", "String", NULL, "Only those with this in their title.");
    dz_gql_add_arg(f, "source", "String", NULL, "Only those of this source.");
    graph_add_work(b, query);
}
