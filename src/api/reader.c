/*
 * reader: the pages that people read, without JavaScript: all series, one series, one chapter as a
 * strip, one page at a time.
 *
 * Every image carries its width and height, so nothing moves when it arrives; all but the first two
 * are loaded lazily. Order and neighbours come from the snapshot: index 0 is the newest chapter.
 */
#include "api/api_int.h"

#define HTML_MAX (4 * DZ_MIB)
#define SERIES_PER_PAGE 60u
#define CHAPTERS_PER_PAGE 200u
#define SEARCH_MAX 200u

#define PUT(b, literal) dz_buf_put(b, DZ_S(literal))

/* ---- small pieces ---------------------------------------------------------------------------- */

static void put_chapter_name(struct dz_buf *b, const struct dz_snap_chapter *c)
{
    if (c->number.n > 0) {
        PUT(b, "Chapter ");
        dz_buf_put_html(b, c->number);
    } else if (c->volume.n > 0) {
        PUT(b, "Volume ");
        dz_buf_put_html(b, c->volume);
    } else if (c->title.n == 0) {
        dz_buf_put_html(b, c->key);
    }
    if (c->title.n > 0) {
        if (c->number.n > 0 || c->volume.n > 0)
            PUT(b, " · ");
        dz_buf_put_html(b, c->title);
    }
}

static void put_read_url(struct dz_buf *b, const struct dz_snapshot *s,
                         const struct dz_snap_chapter *c, uint32_t page)
{
    PUT(b, "/read/");
    dz_buf_put_u64(b, (uint64_t)s->series.id);
    dz_buf_putc(b, '/');
    dz_buf_put_u64(b, (uint64_t)c->id);
    if (page > 0) {
        dz_buf_putc(b, '/');
        dz_buf_put_u64(b, page);
    }
}

static void put_series_url(struct dz_buf *b, const struct dz_snapshot *s)
{
    PUT(b, "/series/");
    dz_buf_put_u64(b, (uint64_t)s->series.id);
}

static void put_size(struct dz_buf *b, const struct dz_snap_page *p)
{
    if (p->width == 0 || p->height == 0)
        return;
    PUT(b, " width=\"");
    dz_buf_put_u64(b, p->width);
    PUT(b, "\" height=\"");
    dz_buf_put_u64(b, p->height);
    PUT(b, "\"");
}

static void put_cover(struct dz_buf *b, const struct dz_snapshot *s, bool lazy)
{
    if (!s->cover) {
        PUT(b, "<span class=\"cover\"></span>");
        return;
    }
    PUT(b, "<img class=\"cover\" alt=\"\"");
    if (lazy)
        PUT(b, " loading=\"lazy\"");
    put_size(b, s->cover);
    PUT(b, " src=\"");
    html_page_url(b, s->series.id, 0, s->cover);
    PUT(b, "\">");
}

static bool contains_nocase(dz_str text, dz_str what)
{
    for (size_t i = 0; i + what.n <= text.n; i++)
        if (dz_str_eq_nocase(dz_str_sub(text, i, i + what.n), what))
            return true;
    return false;
}

/* ---- / --------------------------------------------------------------------------------------- */

bool title_contains(const struct dz_snapshot *s, dz_str q)
{
    return q.n == 0 || contains_nocase(s->series.title, q);
}

static void put_nothing_yet(struct dz_buf *b)
{
    PUT(b, "<div class=\"empty\"><h1>Nothing here yet</h1><p>Import a folder of comics, and it "
           "appears on this page by itself:</p>"
           "<pre>dozo import ~/Comics</pre></div>");
}

static void put_card(struct dz_buf *b, const struct dz_snapshot *s, bool lazy)
{
    PUT(b, "<li><a href=\"");
    put_series_url(b, s);
    PUT(b, "\">");
    put_cover(b, s, lazy);
    PUT(b, "<span class=\"name\">");
    dz_buf_put_html(b, s->series.title);
    PUT(b, "</span><span class=\"soft\">");
    html_number(b, s->chapters_n, "chapter", "chapters");
    PUT(b, "</span></a></li>\n");
}

void handle_home(struct dz_http_req *r)
{
    if (answered_for_shelf_host(r))
        return;
    const struct dz_view *v = view_of(r);
    if (v->conf->graphql.home[0] != '\0') {
        dz_http_reply_redirect(r, 302, dz_str_of(v->conf->graphql.home), NO_STORE);
        return;
    }
    dz_str q = {0};
    if (dz_http_query(r, DZ_S("q"), &q))
        q = dz_str_trim(dz_str_sub(q, 0, SEARCH_MAX));
    uint64_t found = 0, at = 0;
    for (size_t i = 0; i < v->series_n; i++)
        found += title_contains(v->series[i], q);
    uint64_t pages = html_pages_for(found, SERIES_PER_PAGE), page = html_page_of(r, pages);
    uint64_t from = (page - 1) * SERIES_PER_PAGE;

    struct dz_buf b, cards, base;
    dz_buf_init(&b, HTML_MAX);
    dz_buf_init(&cards, HTML_MAX);
    dz_buf_init(&base, 2 * DZ_KIB);
    for (size_t i = 0; i < v->series_n; i++) {
        if (!title_contains(v->series[i], q))
            continue;
        if (at >= from && at < from + SERIES_PER_PAGE)
            put_card(&cards, v->series[i], at - from >= 12);
        at++;
    }
    struct page_head h = {.title = q.n > 0 ? q : DZ_S("dozo")};
    html_open(&b, &h);
    html_top(&b, q);
    PUT(&b, "<main id=\"main\">\n");
    if (v->series_n == 0) {
        put_nothing_yet(&b);
    } else {
        PUT(&b, "<h1>Series</h1>\n<p class=\"soft\">");
        html_number(&b, found, "series", "series");
        if (q.n > 0) {
            PUT(&b, " with “");
            dz_buf_put_html(&b, q);
            PUT(&b, "” in the title · <a href=\"/\">all</a>");
        }
        PUT(&b, "</p>\n<ul class=\"grid\">\n");
        dz_buf_put(&b, dz_buf_str(&cards));
        PUT(&b, "</ul>\n");
        PUT(&base, "/?");
        if (q.n > 0) {
            PUT(&base, "q=");
            dz_buf_put_url(&base, q);
            dz_buf_putc(&base, '&');
        }
        html_pager(&b, dz_buf_str(&base), page, pages);
    }
    PUT(&b, "</main>\n");
    html_close(&b, true);
    html_reply(r, 200, &b);
    dz_buf_done(&b);
    dz_buf_done(&cards);
    dz_buf_done(&base);
}

/* ---- /series/ID ------------------------------------------------------------------------------ */

static const struct dz_snapshot *series_of(struct dz_http_req *r, dz_str text)
{
    uint64_t id;
    if (dz_str_u64(text, INT64_MAX, &id, NULL) != DZ_OK)
        return NULL;
    return dz_view_series(view_of(r), (int64_t)id);
}

static void put_about(struct dz_buf *b, const struct dz_snapshot *s)
{
    PUT(b, "<div class=\"about\"><div>");
    put_cover(b, s, false);
    PUT(b, "</div><div>\n<h1>");
    dz_buf_put_html(b, s->series.title);
    PUT(b, "</h1>\n");
    if (s->series.authors.n > 0) {
        PUT(b, "<p class=\"soft\">");
        dz_buf_put_html(b, s->series.authors);
        PUT(b, "</p>\n");
    }
    if (s->series.description.n > 0) {
        PUT(b, "<p>");
        dz_buf_put_html(b, s->series.description);
        PUT(b, "</p>\n");
    }
    if (s->series.new_release.n > 0) {
        PUT(b, "<p class=\"soft\">Next chapter: ");
        dz_buf_put_html(b, s->series.new_release);
        PUT(b, "</p>\n");
    }
    if (s->chapters_n > 0) {
        PUT(b, "<p class=\"actions\"><a class=\"button main\" href=\"");
        put_read_url(b, s, &s->chapters[s->chapters_n - 1], 0);
        PUT(b, "\">Read from the start</a>");
        if (s->chapters_n > 1) {
            PUT(b, "<a class=\"button\" href=\"");
            put_read_url(b, s, &s->chapters[0], 0);
            PUT(b, "\">Newest chapter</a>");
        }
        PUT(b, "</p>\n");
    }
    PUT(b, "</div></div>\n");
}

static void put_chapter_row(struct dz_buf *b, const struct dz_snapshot *s,
                            const struct dz_snap_chapter *c)
{
    PUT(b, "<li><a href=\"");
    put_read_url(b, s, c, 0);
    PUT(b, "\"><span class=\"name\">");
    put_chapter_name(b, c);
    PUT(b, "</span>");
    if (c->volume.n > 0 && c->number.n > 0) {
        PUT(b, "<span class=\"soft\">Vol. ");
        dz_buf_put_html(b, c->volume);
        PUT(b, "</span>");
    }
    PUT(b, "<span class=\"soft\">");
    html_number(b, c->pages_n, "page", "pages");
    PUT(b, "</span>");
    if (c->created_s > 0) {
        char day[21];
        dz_time_iso(c->created_s, day);
        PUT(b, "<span class=\"soft\"><time>");
        dz_buf_put(b, (dz_str){day, 10});
        PUT(b, "</time></span>");
    }
    PUT(b, "</a>");
    if (c->pages_n > 0) {
        PUT(b, "<a class=\"get\" rel=\"nofollow\" download title=\"Download as CBZ\" "
               "aria-label=\"Download ");
        put_chapter_name(b, c);
        PUT(b, "\" href=\"");
        put_series_url(b, s);
        PUT(b, "/chapter/");
        dz_buf_put_u64(b, (uint64_t)c->id);
        PUT(b, ".cbz\">↓</a>");
    }
    PUT(b, "</li>\n");
}

void handle_series(struct dz_http_req *r)
{
    if (answered_for_shelf_host(r))
        return;
    const struct dz_snapshot *s = series_of(r, r->capture[0]);
    if (!s) {
        answer_not_found(r);
        return;
    }
    dz_str order;
    bool oldest_first = dz_http_query(r, DZ_S("order"), &order) && dz_str_eq(order, DZ_S("asc"));
    uint64_t pages = html_pages_for(s->chapters_n, CHAPTERS_PER_PAGE),
             page = html_page_of(r, pages);
    uint64_t from = (page - 1) * CHAPTERS_PER_PAGE;

    struct dz_buf b, base;
    dz_buf_init(&b, HTML_MAX);
    dz_buf_init(&base, 256);
    struct page_head h = {.title = s->series.title, .lang = DZ_S("en")};
    html_open(&b, &h);
    html_top(&b, DZ_S(""));
    PUT(&b, "<main id=\"main\">\n");
    put_about(&b, s);
    PUT(&b, "<div class=\"heading\"><h2>");
    html_number(&b, s->chapters_n, "chapter", "chapters");
    PUT(&b, "</h2><a class=\"soft\" href=\"");
    put_series_url(&b, s);
    dz_buf_put(&b, oldest_first ? DZ_S("\">newest first</a></div>\n")
                                : DZ_S("?order=asc\">oldest first</a></div>\n"));
    PUT(&b, "<ol class=\"chapters\">\n");
    for (uint64_t i = from; i < from + CHAPTERS_PER_PAGE && i < s->chapters_n; i++)
        put_chapter_row(&b, s, &s->chapters[oldest_first ? s->chapters_n - 1 - i : i]);
    PUT(&b, "</ol>\n");
    put_series_url(&base, s);
    dz_buf_put(&base, oldest_first ? DZ_S("?order=asc&") : DZ_S("?"));
    html_pager(&b, dz_buf_str(&base), page, pages);
    PUT(&b, "</main>\n");
    html_close(&b, true);
    html_reply(r, 200, &b);
    dz_buf_done(&b);
    dz_buf_done(&base);
}

void handle_shelf_home(struct dz_http_req *r)
{
    const struct dz_view_shelf *shelf = dz_view_shelf_of(view_of(r), r->capture[0]);
    if (!shelf || !shelf->snap || dz_view_host_of(view_of(r), r->host).kind != DZ_HOST_NONE) {
        answer_not_found(r);
        return;
    }
    struct dz_buf to;
    dz_buf_init(&to, 64);
    put_series_url(&to, shelf->snap);
    dz_http_reply_redirect(r, 302, dz_buf_str(&to), CACHE_REVALIDATE);
    dz_buf_done(&to);
}

/* ---- /read/… --------------------------------------------------------------------------------- */

/* One chapter with its neighbours in reading order; texts live in the request's arena. */
struct reading {
    const struct dz_snapshot *snap;
    const struct dz_snap_chapter *chapter, *earlier, *later;
};

static bool find_reading(struct dz_http_req *r, struct reading *ret_reading)
{
    const struct dz_snapshot *s = series_of(r, r->capture[0]);
    uint64_t id;
    if (!s || dz_str_u64(r->capture[1], INT64_MAX, &id, NULL) != DZ_OK)
        return false;
    const struct dz_snap_chapter *c = dz_snapshot_chapter_by_id(s, (int64_t)id);
    if (!c)
        return false;
    size_t at = (size_t)(c - s->chapters);
    *ret_reading =
        (struct reading){.snap = s,
                         .chapter = c,
                         .later = at > 0 ? &s->chapters[at - 1] : NULL,
                         .earlier = at + 1 < s->chapters_n ? &s->chapters[at + 1] : NULL};
    return true;
}

static dz_str url_in_arena(struct dz_http_req *r, const struct dz_snapshot *s,
                           const struct dz_snap_chapter *c, uint32_t page)
{
    if (!c)
        return (dz_str){0};
    struct dz_buf b;
    dz_buf_init(&b, 256);
    put_read_url(&b, s, c, page);
    dz_str out = dz_arena_str(dz_http_arena(r), dz_buf_str(&b));
    dz_buf_done(&b);
    return out;
}

static dz_str reading_title(struct dz_http_req *r, const struct reading *g)
{
    struct dz_buf b;
    dz_buf_init(&b, 4 * DZ_TEXT_MAX);
    if (g->chapter->number.n > 0) {
        PUT(&b, "Chapter ");
        dz_buf_put(&b, g->chapter->number);
    } else {
        dz_buf_put(&b, g->chapter->title.n > 0 ? g->chapter->title : g->chapter->key);
    }
    PUT(&b, " · ");
    dz_buf_put(&b, g->snap->series.title);
    dz_str out = dz_arena_str(dz_http_arena(r), dz_buf_str(&b));
    dz_buf_done(&b);
    return out;
}

static void put_where(struct dz_buf *b, const struct reading *g)
{
    PUT(b, "<span class=\"where\"><a href=\"");
    put_series_url(b, g->snap);
    PUT(b, "\"><b>");
    dz_buf_put_html(b, g->snap->series.title);
    PUT(b, "</b></a><span class=\"soft\">");
    put_chapter_name(b, g->chapter);
    PUT(b, "</span></span>");
}

static void put_img(struct dz_buf *b, const struct reading *g, const struct dz_snap_page *p,
                    bool lazy)
{
    PUT(b, "<img");
    dz_buf_put(b, lazy ? DZ_S(" loading=\"lazy\"") : DZ_S(" loading=\"eager\""));
    put_size(b, p);
    PUT(b, " alt=\"Page ");
    dz_buf_put_u64(b, p->number);
    PUT(b, "\" src=\"");
    html_page_url(b, g->snap->series.id, g->chapter->id, p);
    PUT(b, "\">");
}

/* /read/SERIES/CHAPTER: all pages below each other. */
void handle_read(struct dz_http_req *r)
{
    struct reading g;
    if (answered_for_shelf_host(r))
        return;
    if (!find_reading(r, &g)) {
        answer_not_found(r);
        return;
    }
    dz_str prev = url_in_arena(r, g.snap, g.earlier, 0), next = url_in_arena(r, g.snap, g.later, 0);
    struct dz_buf b;
    dz_buf_init(&b, HTML_MAX * 2);
    struct page_head h = {.title = reading_title(r, &g),
                          .prev = prev,
                          .next = next,
                          .right_to_left = g.snap->series.right_to_left};
    html_open(&b, &h);
    PUT(&b, "<nav class=\"bar\" aria-label=\"Chapters\">");
    html_button(&b, "prev", prev, DZ_S("← <span class=\"wide\">&nbsp;Previous</span>"));
    put_where(&b, &g);
    html_button(&b, "next", next, DZ_S("<span class=\"wide\">Next&nbsp;</span> →"));
    PUT(&b, "</nav>\n<main id=\"main\" class=\"strip\">\n");
    for (size_t i = 0; i < g.chapter->pages_n; i++) {
        put_img(&b, &g, &g.chapter->pages[i], i >= 2);
        dz_buf_putc(&b, '\n');
    }
    if (g.chapter->pages_n == 0)
        PUT(&b, "<p class=\"gap soft\">This chapter has no pages here.</p>");
    PUT(&b, "</main>\n<nav class=\"pager\" aria-label=\"Chapters\">");
    html_button(&b, "prev", prev, DZ_S("← Previous chapter"));
    html_button(&b, "next", next, DZ_S("Next chapter →"));
    PUT(&b, "</nav>\n<p class=\"pager\">");
    if (g.chapter->pages_n > 0) {
        PUT(&b, "<a class=\"soft\" href=\"");
        put_read_url(&b, g.snap, g.chapter, g.chapter->pages[0].number);
        PUT(&b, "\">Read page by page</a> · ");
    }
    PUT(&b, "<a class=\"soft\" href=\"");
    put_series_url(&b, g.snap);
    PUT(&b, "\">All chapters</a></p>\n");
    html_close(&b, true);
    html_reply(r, 200, &b);
    dz_buf_done(&b);
}

/* The page before and after, over the ends of the chapter into its neighbours. */
static void neighbours(struct dz_http_req *r, const struct reading *g, size_t at, dz_str *ret_prev,
                       dz_str *ret_next)
{
    const struct dz_snap_chapter *c = g->chapter;
    if (at > 0)
        *ret_prev = url_in_arena(r, g->snap, c, c->pages[at - 1].number);
    else if (g->earlier && g->earlier->pages_n > 0)
        *ret_prev =
            url_in_arena(r, g->snap, g->earlier, g->earlier->pages[g->earlier->pages_n - 1].number);
    else
        *ret_prev = url_in_arena(r, g->snap, g->earlier, 0);
    if (at + 1 < c->pages_n)
        *ret_next = url_in_arena(r, g->snap, c, c->pages[at + 1].number);
    else
        *ret_next = url_in_arena(r, g->snap, g->later,
                                 g->later && g->later->pages_n > 0 ? g->later->pages[0].number : 0);
}

static void put_jump(struct dz_buf *b, const struct reading *g, size_t at)
{
    PUT(b, "<details class=\"jump\"><summary class=\"soft\">All pages</summary><ol>");
    for (size_t i = 0; i < g->chapter->pages_n; i++) {
        PUT(b, "<li><a class=\"button\" ");
        if (i == at)
            PUT(b, "aria-current=\"page\" ");
        PUT(b, "href=\"");
        put_read_url(b, g->snap, g->chapter, g->chapter->pages[i].number);
        PUT(b, "\">");
        dz_buf_put_u64(b, g->chapter->pages[i].number);
        PUT(b, "</a></li>");
    }
    PUT(b, "<li><a class=\"button\" href=\"");
    put_read_url(b, g->snap, g->chapter, 0);
    PUT(b, "\">as a strip</a></li></ol></details>\n");
}

/* /read/SERIES/CHAPTER/N: one page that fits the window; the picture itself is the link to the
 * next. */
void handle_read_page(struct dz_http_req *r)
{
    struct reading g;
    uint64_t number;
    if (answered_for_shelf_host(r))
        return;
    const struct dz_snap_page *p = NULL;
    if (find_reading(r, &g) && dz_str_u64(r->capture[2], UINT32_MAX, &number, NULL) == DZ_OK)
        p = dz_snapshot_page(g.chapter, (uint32_t)number);
    if (!p) {
        answer_not_found(r);
        return;
    }
    size_t at = (size_t)(p - g.chapter->pages);
    dz_str prev = {0}, next = {0}, prefetch = {0};
    neighbours(r, &g, at, &prev, &next);
    struct dz_buf b, image;
    dz_buf_init(&b, HTML_MAX);
    dz_buf_init(&image, 256);
    if (at + 1 < g.chapter->pages_n) {
        html_page_url(&image, g.snap->series.id, g.chapter->id, &g.chapter->pages[at + 1]);
        prefetch = dz_buf_str(&image);
    }
    struct page_head h = {.title = reading_title(r, &g),
                          .prev = prev,
                          .next = next,
                          .prefetch = prefetch,
                          .right_to_left = g.snap->series.right_to_left};
    html_open(&b, &h);
    PUT(&b, "<nav class=\"bar\" aria-label=\"Pages\">");
    html_button(&b, "prev", prev, DZ_S("← <span class=\"wide\">&nbsp;Previous</span>"));
    PUT(&b, "<span class=\"where\"><a href=\"");
    put_series_url(&b, g.snap);
    PUT(&b, "\"><b>");
    dz_buf_put_html(&b, g.snap->series.title);
    PUT(&b, "</b></a><span class=\"soft\">");
    put_chapter_name(&b, g.chapter);
    PUT(&b, " · ");
    dz_buf_put_u64(&b, at + 1);
    PUT(&b, " / ");
    dz_buf_put_u64(&b, g.chapter->pages_n);
    PUT(&b, "</span></span>");
    html_button(&b, "next", next, DZ_S("<span class=\"wide\">Next&nbsp;</span> →"));
    /* A strip of a webtoon squeezed into a window could not be read: pages much taller than wide
     * keep their width. */
    bool tall = p->height > 3u * p->width;
    dz_buf_put(&b, tall ? DZ_S("</nav>\n<main id=\"main\" class=\"one tall\">")
                        : DZ_S("</nav>\n<main id=\"main\" class=\"one\">"));
    if (next.n > 0) {
        PUT(&b, "<a href=\"");
        dz_buf_put_html(&b, next);
        PUT(&b, "\">");
    }
    put_img(&b, &g, p, false);
    if (next.n > 0)
        PUT(&b, "</a>");
    PUT(&b, "</main>\n");
    put_jump(&b, &g, at);
    html_close(&b, false);
    html_reply(r, 200, &b);
    dz_buf_done(&b);
    dz_buf_done(&image);
}
