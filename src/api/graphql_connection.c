/*
 * graphql_connection: Relay connections (edges, node, cursor, pageInfo, totalCount) of all lists of
 * the library, and the small things that its types share.
 *
 * In: how long a list is, `first` and `after`. Out: the part of it that is asked for. A cursor is
 * an id behind a letter, so it stays right while the list moves. Resolvers: on the thread of the
 * step.
 */
#include "api/graphql_library_int.h"

#define FIRST_MAX 1000

void graph_give_printed(struct dz_gql_out *ret, char *text, size_t room, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, room, fmt, args);
    va_end(args);
    dz_assert(n >= 0 && (size_t)n < room);
    dz_gql_str(ret, (dz_str){text, (size_t)n});
}

void graph_give_text(struct dz_gql_out *ret, dz_str s)
{
    if (s.n > 0)
        dz_gql_str(ret, s);
    else
        dz_gql_null(ret);
}

void graph_give_time(struct graph_library *lib, struct dz_gql_out *ret, int64_t s)
{
    if (s <= 0) {
        dz_gql_null(ret);
        return;
    }
    dz_time_iso(s, lib->text);
    dz_gql_str(ret, dz_str_of(lib->text));
}

void graph_give_number(struct graph_library *lib, struct dz_gql_out *ret, int64_t n)
{
    graph_give_printed(ret, lib->text, sizeof(lib->text), "%lld", (long long)n);
}

/* ---- connections ------------------------------------------------------------------------------
 */

static const char cursor_letters[GRAPH_KINDS] = {'s', 'c', 'p', 'j', 'o'};

static struct graph_range *range_of(struct graph_library *lib, enum graph_kind k)
{
    return &lib->ranges[k];
}

/* The data of fields of connections and edges. */
static const enum graph_kind kind_data[GRAPH_KINDS] = {GRAPH_SERIES, GRAPH_CHAPTERS, GRAPH_PAGES,
                                                       GRAPH_JOBS, GRAPH_SOURCES};

static enum graph_kind kind_of(const struct dz_gql_call *call)
{
    return *(const enum graph_kind *)call->data;
}

static int64_t id_at(const struct graph_library *lib, enum graph_kind k, size_t i)
{
    switch (k) {
    case GRAPH_SERIES:
        return lib->found[i]->series.id;
    case GRAPH_CHAPTERS:
        return lib->snap->chapters[i].id;
    case GRAPH_PAGES:
        return lib->chapter->pages[i].number;
    case GRAPH_JOBS:
        return lib->job_list[i].id;
    default:
        return (int64_t)i;
    }
}

static void give_cursor(struct graph_library *lib, enum graph_kind k, size_t i,
                        struct dz_gql_out *ret)
{
    char letter[2] = {cursor_letters[k], '\0'};
    if (k == GRAPH_SOURCES)
        graph_give_printed(ret, lib->text, sizeof(lib->text), "%s%.*s", letter,
                           DZ_STR_FMT(dz_str_sub(lib->source_list[i].name, 0, 100)));
    else
        graph_give_printed(ret, lib->text, sizeof(lib->text), "%s%lld", letter,
                           (long long)id_at(lib, k, i));
}

/* The entry of a list of n that a cursor names; n: none. */
static size_t place_of(const struct graph_library *lib, enum graph_kind k, size_t n, dz_str cursor)
{
    uint64_t id = 0;
    size_t i = 0;
    if (cursor.n < 2 || cursor.p[0] != cursor_letters[k])
        return n;
    cursor = dz_str_sub(cursor, 1, cursor.n);
    if (k == GRAPH_SOURCES)
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
static enum dz_code cut(const struct dz_gql_call *call, enum graph_kind k, size_t n,
                        struct dz_err *err)
{
    struct graph_library *lib = graph_lib(call);
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

enum dz_code graph_give_connection(const struct dz_gql_call *call, enum graph_kind k, size_t n,
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
    struct graph_range *r = range_of(graph_lib(call), kind_of(call));
    (void)err;
    dz_gql_rows(ret, (struct dz_gql_rows){.next = next_edge, .state = r, .at = r->from});
    return DZ_OK;
}

static enum dz_code resolve_total(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                  struct dz_err *err)
{
    (void)err;
    dz_gql_int(ret, (int64_t)range_of(graph_lib(call), kind_of(call))->n);
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
    struct graph_library *lib = graph_lib(call);
    enum graph_kind k = kind_of(call);
    (void)err;
    give_cursor(lib, k, range_of(lib, k)->at, ret);
    return DZ_OK;
}

static void *node_at(struct graph_library *lib, enum graph_kind k, size_t i)
{
    switch (k) {
    case GRAPH_SERIES:
        lib->snap = lib->found[i];
        return NULL;
    case GRAPH_CHAPTERS:
        lib->chapter = &lib->snap->chapters[i];
        return NULL;
    case GRAPH_PAGES:
        lib->page =
            (struct graph_page){lib->snap->series.id, lib->chapter->id, &lib->chapter->pages[i]};
        return &lib->page;
    case GRAPH_JOBS:
        return (void *)&lib->job_list[i];
    default:
        return &lib->source_list[i];
    }
}

static enum dz_code resolve_node(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                 struct dz_err *err)
{
    struct graph_library *lib = graph_lib(call);
    enum graph_kind k = kind_of(call);
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
    struct graph_library *lib = graph_lib(call);
    enum graph_kind k = *(const enum graph_kind *)call->object;
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

void graph_add_page_args(struct dz_gql_field *f)
{
    dz_gql_add_arg(f, "first", "Int", "20", "So many at most; up to 1,000.");
    dz_gql_add_arg(f, "after", "String", NULL, "A cursor: the list goes on behind it.");
}

void graph_add_connection(struct dz_gql_builder *b, enum graph_kind k, const char *connection,
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

void graph_add_page_info(struct dz_gql_builder *b)
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

/* One data for each field of an object type: its place in the table of fields. */
static const int places[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                               16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

void graph_add_fields(struct dz_gql_type *t, const struct graph_says *v, size_t n,
                      dz_gql_resolve_fn resolve)
{
    dz_assert(n <= DZ_LEN(places));
    for (size_t i = 0; i < n; i++)
        dz_gql_add_field(t, v[i].name, v[i].type, resolve, (void *)&places[i], v[i].says);
}

/* Fields that look at every series. Aliases can ask for that some hundred times in one turn of a
 * loop, so what is much is left to a worker. */
void graph_prepare_scan(const struct dz_gql_call *call)
{
    struct graph_ctx *ctx = call->context;
    ctx->library.scans += ctx->view->series_n;
    if (ctx->library.scans > GRAPH_SCANS_MAX)
        ctx->wants_worker = true;
}
