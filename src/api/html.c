/*
 * html: pieces of the reader's pages. Texts from outside pass dz_buf_put_html and nothing else;
 * addresses are made of numbers that are ours. Pages carry no inline script or style, so the
 * content security policy can forbid both.
 */
#include "api/api_int.h"

#define WORDS_MAX 600u

#define PUT(b, literal) dz_buf_put(b, DZ_S(literal))

const struct static_file *static_find(dz_str name)
{
    for (size_t i = 0; i < static_files_n; i++)
        if (dz_str_eq(dz_str_of(static_files[i].name), name))
            return &static_files[i];
    return NULL;
}

void html_static_url(struct dz_buf *b, dz_str name)
{
    const struct static_file *f = static_find(name);
    dz_assert(f);
    dz_buf_put(b, DZ_S("/static/"));
    dz_buf_put(b, name);
    dz_buf_put(b, DZ_S("?v="));
    dz_buf_put(b, dz_str_of(f->version));
}

static void put_link(struct dz_buf *b, const char *rel, dz_str href)
{
    if (href.n == 0)
        return;
    dz_buf_put(b, DZ_S("<link rel=\""));
    dz_buf_put(b, dz_str_of(rel));
    dz_buf_put(b, DZ_S("\" href=\""));
    dz_buf_put_html(b, href);
    dz_buf_put(b, DZ_S("\">\n"));
}

void html_open(struct dz_buf *b, const struct page_head *h)
{
    dz_buf_put(b, DZ_S("<!doctype html>\n<html lang=\""));
    dz_buf_put_html(b, h->lang.n > 0 ? h->lang : DZ_S("en"));
    dz_buf_put(b, h->right_to_left ? DZ_S("\" data-rtl=\"1\">\n") : DZ_S("\">\n"));
    dz_buf_put(b, DZ_S("<meta charset=\"utf-8\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                       "<meta name=\"theme-color\" content=\"#faf8f5\" "
                       "media=\"(prefers-color-scheme: light)\">\n"
                       "<meta name=\"theme-color\" content=\"#141312\" "
                       "media=\"(prefers-color-scheme: dark)\">\n"
                       "<title>"));
    dz_buf_put_html(b, h->title);
    dz_buf_put(b, DZ_S("</title>\n<link rel=\"stylesheet\" href=\""));
    html_static_url(b, DZ_S("style.css"));
    dz_buf_put(b, DZ_S("\">\n<link rel=\"icon\" type=\"image/svg+xml\" href=\""));
    html_static_url(b, DZ_S("icon.svg"));
    dz_buf_put(b, DZ_S("\">\n"));
    put_link(b, "prev", h->prev);
    put_link(b, "next", h->next);
    put_link(b, "prefetch", h->prefetch);
    if (h->refresh_s > 0) {
        dz_buf_put(b, DZ_S("<meta http-equiv=\"refresh\" content=\""));
        dz_buf_put_u64(b, h->refresh_s);
        dz_buf_put(b, DZ_S("\">\n<body>\n"));
        return;
    }
    if (h->script.n > 0)
        dz_buf_put(b, DZ_S("<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>\n"));
    dz_buf_put(b, DZ_S("<script defer src=\""));
    html_static_url(b, h->script.n > 0 ? h->script : DZ_S("keys.js"));
    dz_buf_put(b, DZ_S("\"></script>\n<body>\n"));
}

void html_top(struct dz_buf *b, dz_str search)
{
    dz_buf_put(b,
               DZ_S("<a class=\"skip\" href=\"#main\">Skip to content</a>\n<header class=\"top\">\n"
                    "<a class=\"brand\" href=\"/\"><img src=\""));
    html_static_url(b, DZ_S("icon.svg"));
    dz_buf_put(
        b,
        DZ_S(
            "\" width=\"28\" height=\"28\" alt=\"\">dozo</a>\n"
            "<form class=\"search\" action=\"/\" role=\"search\"><input type=\"search\" name=\"q\" "
            "placeholder=\"Find a series\" aria-label=\"Find a series\" maxlength=\"200\" "
            "value=\""));
    dz_buf_put_html(b, search);
    dz_buf_put(b, DZ_S("\"><button>Find</button></form>\n</header>\n"));
}

void html_close(struct dz_buf *b, bool footer)
{
    if (footer)
        dz_buf_put(b, DZ_S("<footer class=\"soft\">served by dozo " DZ_VERSION "</footer>\n"));
    dz_buf_put(b, DZ_S("</body>\n</html>\n"));
}

void html_number(struct dz_buf *b, uint64_t n, const char *one, const char *many)
{
    dz_buf_put_u64(b, n);
    dz_buf_putc(b, ' ');
    dz_buf_put(b, dz_str_of(n == 1 ? one : many));
}

static bool ends_url(char c)
{
    return (unsigned char)c <= ' ' || c == '"' || c == '\'' || c == '<' || c == '>' || c == ')';
}

void html_words(struct dz_buf *b, dz_str s)
{
    bool cut = s.n > WORDS_MAX;
    s = dz_str_sub(s, 0, WORDS_MAX);
    while (s.n > 0) {
        size_t at = dz_str_find(s, DZ_S("://"));
        if (at == DZ_NPOS)
            break;
        dz_buf_put_html(b, dz_str_sub(s, 0, at + 3));
        s = dz_str_sub(s, at + 3, s.n);
        size_t n = 0;
        while (n < s.n && !ends_url(s.p[n]))
            n++;
        dz_str url = dz_str_sub(s, 0, n), authority = dz_str_sub(url, 0, dz_str_chr(url, '/'));
        s = dz_str_sub(s, n, s.n);
        size_t user = dz_str_rchr(authority, '@');
        if (user != DZ_NPOS)
            url = dz_str_after(url, user);
        size_t query = dz_str_chr(url, '?');
        dz_buf_put_html(b, dz_str_sub(url, 0, query));
        if (query != DZ_NPOS)
            PUT(b, "?…");
    }
    dz_buf_put_html(b, s);
    if (cut)
        PUT(b, "…");
}

void html_time(struct dz_buf *b, int64_t at_ms, int64_t now_ms, const char *before,
               const char *after)
{
    char iso[21];
    if (at_ms <= 0)
        return;
    dz_time_iso(at_ms / 1000, iso);
    PUT(b, "<time datetime=\"");
    dz_buf_put(b, dz_str_of(iso));
    PUT(b, "\" title=\"");
    dz_buf_put(b, dz_str_of(iso));
    PUT(b, "\">");
    dz_buf_put(b, dz_str_of(before));
    dz_buf_put_span(b, at_ms > now_ms ? at_ms - now_ms + 999 : now_ms - at_ms);
    dz_buf_put(b, dz_str_of(after));
    PUT(b, "</time>");
}

void html_button(struct dz_buf *b, const char *rel, dz_str href, dz_str words)
{
    if (href.n == 0) {
        dz_buf_put(b, DZ_S("<span class=\"button\" aria-disabled=\"true\">"));
        dz_buf_put(b, words);
        dz_buf_put(b, DZ_S("</span>"));
        return;
    }
    dz_buf_put(b, DZ_S("<a class=\"button\" rel=\""));
    dz_buf_put(b, dz_str_of(rel));
    dz_buf_put(b, DZ_S("\" accesskey=\""));
    dz_buf_putc(b, rel[0]);
    dz_buf_put(b, DZ_S("\" href=\""));
    dz_buf_put_html(b, href);
    dz_buf_put(b, DZ_S("\">"));
    dz_buf_put(b, words);
    dz_buf_put(b, DZ_S("</a>"));
}

uint64_t html_pages_for(uint64_t entries, uint64_t per_page)
{
    return entries == 0 ? 1 : (entries + per_page - 1) / per_page;
}

uint64_t html_page_of(struct dz_http_req *r, uint64_t pages)
{
    dz_str text;
    uint64_t n = 1;
    if (dz_http_query(r, DZ_S("page"), &text) && dz_str_u64(text, UINT64_MAX, &n, NULL) != DZ_OK)
        n = 1;
    return n == 0 ? 1 : n > pages ? pages : n;
}

void html_pager(struct dz_buf *b, dz_str base, uint64_t page, uint64_t pages)
{
    if (pages < 2)
        return;
    struct dz_buf prev, next;
    dz_buf_init(&prev, 2 * DZ_KIB);
    dz_buf_init(&next, 2 * DZ_KIB);
    if (page > 1) {
        dz_buf_put(&prev, base);
        dz_buf_put(&prev, DZ_S("page="));
        dz_buf_put_u64(&prev, page - 1);
    }
    if (page < pages) {
        dz_buf_put(&next, base);
        dz_buf_put(&next, DZ_S("page="));
        dz_buf_put_u64(&next, page + 1);
    }
    dz_buf_put(b, DZ_S("<nav class=\"pager\" aria-label=\"Pages of the list\">"));
    html_button(b, "prev", dz_buf_str(&prev), DZ_S("← Back"));
    dz_buf_put(b, DZ_S("<span class=\"soft\">"));
    dz_buf_put_u64(b, page);
    dz_buf_put(b, DZ_S(" / "));
    dz_buf_put_u64(b, pages);
    dz_buf_put(b, DZ_S("</span>"));
    html_button(b, "next", dz_buf_str(&next), DZ_S("More →"));
    dz_buf_put(b, DZ_S("</nav>\n"));
    dz_buf_done(&prev);
    dz_buf_done(&next);
}

void html_page_url(struct dz_buf *b, int64_t series_id, int64_t chapter_id,
                   const struct dz_snap_page *p)
{
    char version[12];
    dz_hex(p->sha.b, 6, version);
    dz_buf_put(b, DZ_S("/page/"));
    dz_buf_put_u64(b, (uint64_t)series_id);
    dz_buf_putc(b, '/');
    dz_buf_put_u64(b, (uint64_t)chapter_id);
    dz_buf_putc(b, '/');
    dz_buf_put_u64(b, p->number);
    dz_buf_put(b, DZ_S("?v="));
    dz_buf_put(b, (dz_str){version, sizeof version});
}

static void send_page(struct dz_http_req *r, int status, bool live, struct dz_buf *b)
{
#define POLICY(more)                                                                               \
    {                                                                                              \
        {"Content-Security-Policy", 23},                                                           \
            DZ_S("default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; " more  \
                 "form-action 'self'; base-uri 'none'; frame-ancestors 'self'")                    \
    }
#define OTHERS                                                                                     \
    {{"X-Content-Type-Options", 22}, DZ_S("nosniff")},                                             \
    {                                                                                              \
        {"Referrer-Policy", 15}, DZ_S("same-origin")                                               \
    }
    static const struct dz_http_header_line lines[] = {POLICY(""), OTHERS};
    static const struct dz_http_header_line live_lines[] = {POLICY("connect-src 'self'; "), OTHERS};
    if (b->full) {
        struct dz_err err;
        answer_error(r,
                     dz_fail(&err, DZ_TOO_LARGE, "the page is over its limit of %zu bytes", b->max),
                     &err);
        return;
    }
    /* Weak: the compressed page says the same. A page is a function of view, address and program.
     */
    const struct dz_api *a = r->app;
    char etag[64];
    int n = snprintf(etag, sizeof etag, "W/\"%llx-%llx\"", (unsigned long long)a->started_ms,
                     (unsigned long long)view_of(r)->serial);
    bool kept = status == 200 && !live;
    struct dz_http_meta m = {.status = status,
                             .etag = {etag, kept ? (size_t)n : 0},
                             .content_type = DZ_S("text/html; charset=utf-8"),
                             .cache_control = kept ? CACHE_REVALIDATE : NO_STORE,
                             .vary_encoding = true,
                             .last_modified_s = -1,
                             .extra = live ? live_lines : lines,
                             .extra_n = DZ_LEN(lines)};
    dz_http_reply_buf(r, &m, b);
}

void html_reply(struct dz_http_req *r, int status, struct dz_buf *b)
{
    send_page(r, status, false, b);
}

void html_reply_live(struct dz_http_req *r, struct dz_buf *b)
{
    send_page(r, 200, true, b);
}

void reader_error_page(struct dz_buf *out, int status, dz_str words)
{
    struct page_head h = {.title = words};
    html_open(out, &h);
    html_top(out, DZ_S(""));
    dz_buf_put(out, DZ_S("<main id=\"main\" class=\"empty\"><h1>"));
    dz_buf_put_u64(out, (uint64_t)status);
    dz_buf_put(out, DZ_S("</h1><p>"));
    dz_buf_put_html(out, words);
    dz_buf_put(out, DZ_S("</p><p><a class=\"button\" href=\"/\">All series</a></p></main>\n"));
    html_close(out, true);
}
