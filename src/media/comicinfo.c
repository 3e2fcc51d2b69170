/*
 * comicinfo: reads ComicInfo.xml, the description that comic archives carry (anansi-project,
 * versions 1.0 to 2.1).
 *
 * In: the file's bytes in any encoding libxml2 knows. Out: the fields that dozo uses, texts in the
 * caller's arena. libxml2 is driven through SAX calls only: no tree, no network, no DTD (a DOCTYPE
 * ends the parse before its contents are read), so no entity can grow. Readers of many programs
 * wrote these files: unknown elements are passed over, a number that is none is absent, the first
 * of two equal elements counts. Any thread.
 */
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <libxml/xmlerror.h>

#include "media/media_int.h"

#include <pthread.h>

#define XML_BYTES_MAX (1 * DZ_MIB)
#define TEXT_BYTES_MAX (4 * DZ_MIB) /* what 1 MiB of another encoding can become in UTF-8 */

/* clang-format off */
static const struct field {
    const char *name;
    bool is_number;
    size_t at; /* in struct dz_comicinfo */
} fields[] = {
    {"Title", false, offsetof(struct dz_comicinfo, title)},
    {"Series", false, offsetof(struct dz_comicinfo, series)},
    {"Number", false, offsetof(struct dz_comicinfo, number)},
    {"Summary", false, offsetof(struct dz_comicinfo, summary)},
    {"Writer", false, offsetof(struct dz_comicinfo, writer)},
    {"Penciller", false, offsetof(struct dz_comicinfo, penciller)},
    {"Translator", false, offsetof(struct dz_comicinfo, translator)},
    {"Genre", false, offsetof(struct dz_comicinfo, genre)},
    {"Tags", false, offsetof(struct dz_comicinfo, tags)},
    {"Web", false, offsetof(struct dz_comicinfo, web)},
    {"LanguageISO", false, offsetof(struct dz_comicinfo, language)},
    {"AgeRating", false, offsetof(struct dz_comicinfo, age_rating)},
    {"Manga", false, offsetof(struct dz_comicinfo, manga)},
    {"Volume", true, offsetof(struct dz_comicinfo, volume)},
    {"Count", true, offsetof(struct dz_comicinfo, count)},
    {"Year", true, offsetof(struct dz_comicinfo, year)},
    {"Month", true, offsetof(struct dz_comicinfo, month)},
    {"Day", true, offsetof(struct dz_comicinfo, day)},
    {"PageCount", true, offsetof(struct dz_comicinfo, page_count)},
};
/* clang-format on */

struct parse {
    xmlParserCtxtPtr xml;
    struct dz_arena *arena;
    struct dz_comicinfo info;
    const struct field *field; /* the one whose text is being collected */
    struct dz_buf text;
    unsigned depth;
    struct dz_err err; /* the first thing that went wrong */
};

static DZ_PRINTF(3, 4) void stop(struct parse *p, enum dz_code code, const char *fmt, ...)
{
    if (p->err.code != DZ_OK)
        return;
    char text[sizeof(p->err.text)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    dz_fail(&p->err, code, "ComicInfo.xml line %d: %s", xmlSAX2GetLineNumber(p->xml), text);
    xmlStopParser(p->xml);
}

static void on_doctype(void *ctx, const xmlChar *name, const xmlChar *external,
                       const xmlChar *system)
{
    (void)name;
    (void)external;
    (void)system;
    stop(ctx, DZ_PARSE, "a DOCTYPE is not allowed");
}

static void on_start(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                     int ns_count, const xmlChar **ns, int attr_count, int default_count,
                     const xmlChar **attrs)
{
    (void)prefix, (void)uri, (void)ns_count, (void)ns;
    (void)attr_count, (void)default_count, (void)attrs;
    struct parse *p = ctx;
    dz_str text = dz_str_of((const char *)name);
    p->depth++;
    if (p->depth == 1 && !dz_str_eq_nocase(text, DZ_S("ComicInfo"))) {
        dz_str shown = media_short(text);
        stop(p, DZ_PARSE, "the root is <%.*s>, not <ComicInfo>", DZ_STR_FMT(shown));
    }
    if (p->depth != 2)
        return;
    for (size_t i = 0; i < DZ_LEN(fields); i++) {
        if (dz_str_eq_nocase(text, dz_str_of(fields[i].name))) {
            p->field = &fields[i];
            dz_buf_clear(&p->text);
        }
    }
}

static void on_text(void *ctx, const xmlChar *bytes, int n)
{
    struct parse *p = ctx;
    if (p->field == NULL)
        return;
    dz_buf_put(&p->text, (dz_str){(const char *)bytes, (size_t)n});
    if (p->text.full)
        stop(p, DZ_TOO_LARGE, "%s is over %llu bytes", p->field->name,
             (unsigned long long)TEXT_BYTES_MAX);
}

static void keep_text(struct parse *p, dz_str *slot, dz_str text)
{
    void *copy;
    if (slot->n != 0 || text.n == 0)
        return;
    if (dz_arena_try(p->arena, text.n, &copy, NULL) != DZ_OK) {
        stop(p, DZ_TOO_LARGE, "%s is too long to keep", p->field->name);
        return;
    }
    memcpy(copy, text.p, text.n);
    *slot = (dz_str){copy, text.n};
}

static void on_end(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    (void)name, (void)prefix, (void)uri;
    struct parse *p = ctx;
    if (p->depth-- != 2 || p->field == NULL)
        return;
    char *slot = (char *)&p->info + p->field->at;
    dz_str text = dz_str_trim(dz_buf_str(&p->text));
    uint64_t number;
    if (!p->field->is_number)
        keep_text(p, (dz_str *)(void *)slot, text);
    else if (*(int64_t *)(void *)slot < 0 && dz_str_u64(text, INT32_MAX, &number, NULL) == DZ_OK)
        *(int64_t *)(void *)slot = (int64_t)number;
    p->field = NULL;
}

/* Only what makes the file unreadable; a namespace prefix that nobody declared, say, does not. */
static void on_error(void *ctx, xmlErrorPtr e)
{
    if (e->level != XML_ERR_FATAL)
        return;
    dz_str text = dz_str_trim(dz_str_of(e->message ? e->message : "not well-formed"));
    size_t line_end = dz_str_chr(text, '\n');
    text = media_short(line_end == DZ_NPOS ? text : dz_str_sub(text, 0, line_end));
    struct parse *p = ctx;
    if (p->err.code == DZ_OK)
        dz_fail(&p->err, DZ_PARSE, "ComicInfo.xml line %d: %.*s",
                e->line > 0 ? e->line : xmlSAX2GetLineNumber(p->xml), DZ_STR_FMT(text));
}

static const struct _xmlSAXHandler handler = {
    .initialized = XML_SAX2_MAGIC,
    .internalSubset = on_doctype,
    .startElementNs = on_start,
    .endElementNs = on_end,
    .characters = on_text,
    .ignorableWhitespace = on_text,
    .cdataBlock = on_text,
    .serror = on_error,
};

static void init_libxml(void)
{
    xmlInitParser();
}

static void run(struct parse *p, dz_str xml)
{
    p->xml = xmlCreateMemoryParserCtxt(xml.p, (int)xml.n);
    if (p->xml == NULL) {
        dz_fail(&p->err, DZ_PARSE, "ComicInfo.xml cannot be read");
        return;
    }
    *p->xml->sax = handler;
    p->xml->userData = p;
    xmlCtxtUseOptions(p->xml, XML_PARSE_NONET | XML_PARSE_NOWARNING);
    /* Bytes that cannot be decoded are not reported to the parser's handler but to this thread's,
     * which prints them by default. */
    xmlStructuredErrorFunc thread_handler = xmlStructuredError;
    void *thread_ctx = xmlStructuredErrorContext;
    xmlSetStructuredErrorFunc(p, on_error);
    xmlParseDocument(p->xml);
    xmlSetStructuredErrorFunc(thread_ctx, thread_handler);
    if (!p->xml->wellFormed && p->err.code == DZ_OK)
        dz_fail(&p->err, DZ_PARSE, "ComicInfo.xml is not well-formed XML");
    if (p->xml->myDoc != NULL)
        xmlFreeDoc(p->xml->myDoc);
    p->xml->myDoc = NULL;
    xmlFreeParserCtxt(p->xml);
}

enum dz_code dz_comicinfo_parse(dz_str xml, struct dz_arena *a, struct dz_comicinfo *ret_info,
                                struct dz_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_libxml);

    if (xml.n > XML_BYTES_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "ComicInfo.xml has %zu bytes; at most %llu are read",
                       xml.n, (unsigned long long)XML_BYTES_MAX);
    while (xml.n > 0 && strchr(" \t\r\n", xml.p[0]) != NULL && xml.p[0] != '\0')
        xml = dz_str_sub(xml, 1, xml.n); /* blanks before the declaration, written by hand */
    if (xml.n == 0)
        return dz_fail(err, DZ_PARSE, "ComicInfo.xml is empty");

    struct parse p = {.arena = a};
    p.info = (struct dz_comicinfo){
        .volume = -1, .count = -1, .year = -1, .month = -1, .day = -1, .page_count = -1};
    dz_buf_init(&p.text, TEXT_BYTES_MAX);
    run(&p, xml);
    dz_buf_done(&p.text);
    if (p.err.code != DZ_OK) {
        if (err != NULL)
            *err = p.err;
        return p.err.code;
    }
    *ret_info = p.info;
    return DZ_OK;
}
