/*
 * comicinfo_write: makes ComicInfo.xml, the description inside a comic archive (anansi-project,
 * version 2.0; with fields of the 2.1 draft when asked).
 *
 * In: texts from sites and catalogs, any bytes. Out: XML that is valid against the schema: its
 * elements are a sequence, so they leave in the schema's order, which is also the contract's
 * (contracts/nagato.md section 6), and a number that xs:int cannot hold is left out. A pure
 * function of its input, so equal chapters make equal files.
 */
#include "media/media_int.h"

/* What an age rating of the sites is called in the schema; as contracts/nagato.md section 6. */
static const struct {
    const char *rating, *name;
} age_ratings[] = {
    {"safe", "Everyone"},
    {"suggestive", "Everyone 10+"},
    {"erotica", "Mature 17+"},
    {"pornographic", "Adults Only 18+"},
};

/* XML 1.0, 2.2 Char. */
static bool is_xml(int32_t cp)
{
    return cp == '\t' || cp == '\n' || cp == '\r' || cp < 0 ||
           (cp >= 0x20 && cp != 0xFFFE && cp != 0xFFFF);
}

/* Bytes that are no UTF-8 become U+FFFD; a carriage return is escaped, as a reader would drop it.
 */
static void put_text(struct dz_buf *out, dz_str s)
{
    size_t from = 0, at = 0;
    while (at < s.n) {
        int32_t cp;
        size_t step = dz_utf8_step(dz_str_sub(s, at, s.n), &cp);
        if (!is_xml(cp) || cp == '\r') {
            dz_buf_put_html(out, dz_str_sub(s, from, at));
            if (cp == '\r')
                dz_buf_put(out, DZ_S("&#13;"));
            from = at + step;
        }
        at += step;
    }
    dz_buf_put_html(out, dz_str_sub(s, from, s.n));
}

static void element(struct dz_buf *out, const char *name, dz_str text)
{
    dz_str tag = dz_str_of(name);
    dz_buf_put(out, DZ_S("  <"));
    dz_buf_put(out, tag);
    if (text.n == 0) {
        dz_buf_put(out, DZ_S(" />\n"));
        return;
    }
    dz_buf_putc(out, '>');
    put_text(out, text);
    dz_buf_put(out, DZ_S("</"));
    dz_buf_put(out, tag);
    dz_buf_put(out, DZ_S(">\n"));
}

static void if_there(struct dz_buf *out, const char *name, dz_str text)
{
    if (text.n > 0)
        element(out, name, text);
}

static void if_number(struct dz_buf *out, const char *name, int64_t n)
{
    char digits[24];
    if (n < 0 || n > INT32_MAX)
        return;
    int len = snprintf(digits, sizeof digits, "%lld", (long long)n);
    element(out, name, (dz_str){digits, (size_t)len});
}

static void attribute(struct dz_buf *out, dz_str name, uint64_t n)
{
    dz_buf_putc(out, ' ');
    dz_buf_put(out, name);
    dz_buf_put(out, DZ_S("=\""));
    dz_buf_put_u64(out, n);
    dz_buf_putc(out, '"');
}

static void put_pages(struct dz_buf *out, const struct dz_comicinfo_out *c)
{
    if (c->pages_n == 0) {
        element(out, "Pages", DZ_S(""));
        return;
    }
    dz_buf_put(out, DZ_S("  <Pages>\n"));
    for (size_t i = 0; i < c->pages_n; i++) {
        const struct dz_comicinfo_page *p = &c->pages[i];
        dz_buf_put(out, DZ_S("    <Page"));
        attribute(out, DZ_S("Image"), i);
        attribute(out, DZ_S("ImageSize"), p->bytes);
        if (c->sizes && p->width > 0 && p->height > 0) {
            attribute(out, DZ_S("ImageWidth"), p->width);
            attribute(out, DZ_S("ImageHeight"), p->height);
        }
        dz_buf_put(out, i == 0 ? DZ_S(" Type=\"FrontCover\" />\n") : DZ_S(" />\n"));
    }
    dz_buf_put(out, DZ_S("  </Pages>\n"));
}

static dz_str age_rating(dz_str rating)
{
    for (size_t i = 0; i < DZ_LEN(age_ratings); i++)
        if (dz_str_eq(rating, dz_str_of(age_ratings[i].rating)))
            return dz_str_of(age_ratings[i].name);
    return (dz_str){0};
}

void dz_comicinfo_write(const struct dz_comicinfo_out *c, struct dz_buf *out)
{
    dz_buf_put(out, DZ_S("<?xml version='1.0' encoding='utf-8'?>\n<ComicInfo>\n"));
    element(out, "Title", c->title);
    if_there(out, "Series", c->series);
    if_there(out, "Number", c->number);
    if_number(out, "Volume", c->volume);
    if_there(out, "Summary", c->summary);
    if_there(out, "Notes", c->notes);
    if_number(out, "Year", c->year);
    if_number(out, "Month", c->month);
    if_number(out, "Day", c->day);
    if_there(out, "Writer", c->writer);
    if_there(out, "Penciller", c->penciller);
    if (c->is_21)
        if_there(out, "Translator", c->translator);
    if_there(out, "Genre", c->genre);
    if (c->is_21)
        if_there(out, "Tags", c->tags);
    if_there(out, "Web", c->web);
    if_number(out, "PageCount", (int64_t)c->pages_n);
    if_there(out, "LanguageISO", c->language);
    if_there(out, "Manga", c->manga);
    if_there(out, "AgeRating", age_rating(c->rating));
    put_pages(out, c);
    dz_buf_put(out, DZ_S("</ComicInfo>\n"));
}
