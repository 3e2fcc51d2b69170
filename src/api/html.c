/*
 * html: pieces of the reader's pages. Texts from outside pass dz_buf_put_html and nothing else;
 * addresses are made of numbers that are ours. Pages carry no inline script or style, so the
 * content security policy can forbid both.
 */
#include "api/api_int.h"

const struct static_file *static_find(dz_str name)
{
    for (size_t i = 0; i < static_files_n; i++)
        if (dz_str_eq(dz_str_of(static_files[i].name), name))
            return &static_files[i];
    return NULL;
}

static void put_static_url(struct dz_buf *b, dz_str name)
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
    put_static_url(b, DZ_S("style.css"));
    dz_buf_put(b, DZ_S("\">\n<link rel=\"icon\" type=\"image/svg+xml\" href=\""));
    put_static_url(b, DZ_S("icon.svg"));
    dz_buf_put(b, DZ_S("\">\n"));
    put_link(b, "prev", h->prev);
    put_link(b, "next", h->next);
    put_link(b, "prefetch", h->prefetch);
    dz_buf_put(b, DZ_S("<script defer src=\""));
    put_static_url(b, DZ_S("keys.js"));
    dz_buf_put(b, DZ_S("\"></script>\n<body>\n"));
}

void html_top(struct dz_buf *b, dz_str search)
{
    dz_buf_put(b,
               DZ_S("<a class=\"skip\" href=\"#main\">Skip to content</a>\n<header class=\"top\">\n"
                    "<a class=\"brand\" href=\"/\"><img src=\""));
    put_static_url(b, DZ_S("icon.svg"));
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

void html_reply(struct dz_http_req *r, int status, struct dz_buf *b)
{
    static const struct dz_http_header_line lines[] = {
        {{"Content-Security-Policy", 23},
         DZ_S("default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
              "form-action 'self'; "
              "base-uri 'none'; frame-ancestors 'self'")},
        {{"X-Content-Type-Options", 22}, DZ_S("nosniff")},
        {{"Referrer-Policy", 15}, DZ_S("same-origin")},
    };
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
    struct dz_http_meta m = {.status = status,
                             .etag = {etag, status == 200 ? (size_t)n : 0},
                             .content_type = DZ_S("text/html; charset=utf-8"),
                             .cache_control = status == 200 ? CACHE_REVALIDATE : NO_STORE,
                             .vary_encoding = true,
                             .last_modified_s = -1,
                             .extra = lines,
                             .extra_n = DZ_LEN(lines)};
    dz_http_reply_buf(r, &m, b);
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
