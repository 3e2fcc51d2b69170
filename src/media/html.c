/*
 * html: documents and their elements, over libxml2.
 *
 * In: hostile HTML or XML. Out: a tree that answers CSS selectors and XPath. Thin on purpose, so
 * that another parser can take its place: nobody outside sees a libxml2 type. A document has one
 * owner thread; nothing here is global but the library's own tables, which it sets up once. No
 * network, no DTD, no external entity; expressions are run by xpath_eval.c, which counts what they
 * cost.
 */
#include <libxml/HTMLparser.h>
#include <libxml/HTMLtree.h>
#include <libxml/parser.h>

#include "media/xpath.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define META_LOOK 2048 /* where a <meta charset> must stand */
#define PARSED_MAX                                                                                 \
    (128 * DZ_MIB) /* an expression as a tree, which is a few hundred bytes a token */
/* Of the parser's table for the attributes of one tag, which it compares each with each: 176
 * attributes in HTML, 88 in XML. */
#define ATTRIBUTE_SLOTS_MAX 512
#define PARSE_NS_MAX 1000000000 /* of this thread's time; a page of 8 MiB takes half of it */

struct dz_doc {
    xmlDocPtr xml;
    bool html;
    size_t bytes; /* that the tree takes */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- what a tree takes ----------------------------------------------------------------------- */

/* What the library holds of what this thread has asked for. A piece may be freed by another thread:
 * only the growth while a document is read says something. */
static _Thread_local size_t held_bytes;

static void *count_alloc(size_t n)
{
    void *p = malloc(n);
    held_bytes += p ? malloc_usable_size(p) : 0;
    return p;
}

static void *count_realloc(void *p, size_t n)
{
    size_t was = p ? malloc_usable_size(p) : 0;
    void *q = realloc(p, n);
    if (q)
        held_bytes += malloc_usable_size(q) - was;
    return q;
}

static void count_free(void *p)
{
    held_bytes -= p ? malloc_usable_size(p) : 0;
    free(p);
}

static char *count_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = count_alloc(n);
    return p ? memcpy(p, s, n) : NULL;
}

/* Before any thread: the library reads them without a lock. What it allocated earlier is the C
 * library's as well. */
__attribute__((constructor)) static void count_memory(void)
{
    (void)xmlMemSetup(count_free, count_alloc, count_realloc, count_strdup);
}

static int64_t own_time_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static xmlNodePtr node_of(const struct dz_node *n)
{
    return (xmlNodePtr)(uintptr_t)n;
}

static struct dz_node *of_node(xmlNodePtr n)
{
    return (struct dz_node *)n;
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* A charset that the text names itself near its start; n = 0: it does not. */
static dz_str meta_charset(dz_str text)
{
    dz_str head = dz_str_sub(text, 0, META_LOOK);
    for (size_t at = 0; at + 8 < head.n; at++) {
        dz_str rest = dz_str_sub(head, at, head.n);
        if (!dz_str_eq_nocase(dz_str_sub(rest, 0, 8), DZ_S("charset=")))
            continue;
        rest = dz_str_sub(rest, 8, rest.n);
        if (rest.n > 0 && (rest.p[0] == '"' || rest.p[0] == '\''))
            rest = dz_str_sub(rest, 1, rest.n);
        size_t n = 0;
        while (n < rest.n && n < 40 && rest.p[n] > ' ' && !strchr("\"'/>;", rest.p[n]))
            n++;
        return dz_str_sub(rest, 0, n);
    }
    return (dz_str){0};
}

static enum dz_code encoding_of(dz_str text, dz_str charset, char name[64], struct dz_err *err)
{
    if (dz_str_starts(text, DZ_S("\xEF\xBB\xBF")))
        charset = DZ_S("UTF-8");
    else if (dz_str_starts(text, DZ_S("\xFF\xFE")) || dz_str_starts(text, DZ_S("\xFE\xFF")))
        charset = DZ_S("UTF-16");
    else if (charset.n == 0)
        charset = meta_charset(text);
    if (charset.n == 0)
        charset = dz_str_is_utf8(text) ? DZ_S("UTF-8") : DZ_S("windows-1252");
    /* The Encoding standard reads these names so. */
    if (dz_str_eq_nocase(charset, DZ_S("iso-8859-1")) ||
        dz_str_eq_nocase(charset, DZ_S("latin1")) || dz_str_eq_nocase(charset, DZ_S("us-ascii")))
        charset = DZ_S("windows-1252");
    if (dz_str_eq_nocase(charset, DZ_S("x-sjis")))
        charset = DZ_S("shift_jis");
    int n = snprintf(name, 64, "%.*s", (int)(charset.n < 60 ? charset.n : 60), charset.p);
    xmlCharEncodingHandlerPtr handler = n > 0 ? xmlFindCharEncodingHandler(name) : NULL;
    if (!handler)
        return dz_fail(err, DZ_PARSE, "the charset \"%s\" is not known here", name);
    (void)xmlCharEncCloseFunc(handler);
    return DZ_OK;
}

/* For the few places where the library speaks past the structured way. */
static void quiet_words(void *ctx, const char *words, ...)
{
    (void)ctx;
    (void)words;
}

static enum dz_code sized(dz_str text, const char *what, struct dz_err *err)
{
    (void)pthread_once(&once, xmlInitParser);
    xmlSetGenericErrorFunc(NULL, quiet_words); /* this thread's */
    if (text.n > DZ_DOC_BYTES_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "the %s has %zu bytes, at most %zu", what, text.n,
                       DZ_DOC_BYTES_MAX);
    if (dz_str_trim(text).n == 0)
        return dz_fail(err, DZ_PARSE, "the %s is empty", what);
    return DZ_OK;
}

static struct dz_doc *doc_of(xmlDocPtr xml, bool html, size_t bytes)
{
    struct dz_doc *d = dz_new(struct dz_doc);
    d->xml = xml;
    d->html = html;
    d->bytes = bytes;
    xpath_number(xml);
    return d;
}

/* The text in pieces of 4,000 bytes, as the parser asks for them, also in the middle of a tag: the
 * one place where it can be stopped. What it takes is measured and not guessed: what a byte of a
 * page may become is the library's affair, and so is what it does in quadratic time. */
struct feed {
    dz_str rest;
    xmlParserCtxtPtr parser;
    size_t held_before, bytes_max;
    int64_t began_ns;
    enum { FED, MANY_ATTRIBUTES, LARGE_TREE, LONG_TIME } stopped;
};

static void feed_begin(struct feed *f, dz_str text, size_t bytes_max)
{
    *f = (struct feed){.rest = text, .held_before = held_bytes, .bytes_max = bytes_max};
    f->began_ns = own_time_ns();
}

static size_t feed_held(const struct feed *f)
{
    return held_bytes - f->held_before;
}

static void feed_judge(struct feed *f)
{
    if (f->stopped)
        return;
    if (f->parser->maxatts > ATTRIBUTE_SLOTS_MAX)
        f->stopped = MANY_ATTRIBUTES;
    else if (feed_held(f) > f->bytes_max)
        f->stopped = LARGE_TREE;
    else if (own_time_ns() - f->began_ns > PARSE_NS_MAX)
        f->stopped = LONG_TIME;
}

static int feed_read(void *arg, char *to, int n)
{
    struct feed *f = arg;
    feed_judge(f);
    if (f->stopped)
        return 0;
    dz_str piece = dz_str_sub(f->rest, 0, (size_t)n);
    memcpy(to, piece.p, piece.n);
    f->rest = dz_str_sub(f->rest, piece.n, f->rest.n);
    return (int)piece.n;
}

static int feed_close(void *arg)
{
    (void)arg;
    return 0;
}

static enum dz_code feed_error(const struct feed *f, struct dz_err *err)
{
    switch (f->stopped) {
    case FED:
        return DZ_OK;
    case MANY_ATTRIBUTES:
        return dz_fail(err, DZ_TOO_LARGE, "a tag has too many attributes");
    case LARGE_TREE:
        return dz_fail(err, DZ_FULL, "as a tree it takes more than %zu KiB", f->bytes_max / 1024);
    case LONG_TIME:
        break;
    }
    return dz_fail(err, DZ_TOO_LARGE, "it takes too long to be read");
}

/* The parser is gone. What was read, if it may be kept. */
static enum dz_code keep(struct feed *f, xmlDocPtr xml, bool html, struct dz_doc **ret_d,
                         struct dz_err *err)
{
    size_t bytes = feed_held(f);
    if (!f->stopped && bytes > f->bytes_max) /* by what came last */
        f->stopped = LARGE_TREE;
    enum dz_code code = feed_error(f, err);
    if (code == DZ_OK && xml)
        *ret_d = doc_of(xml, html, bytes);
    else
        xmlFreeDoc(xml);
    return code;
}

enum dz_code dz_doc_html(dz_str text, dz_str charset, size_t bytes_max, struct dz_doc **ret_d,
                         struct dz_err *err)
{
    char encoding[64];
    DZ_TRY(sized(text, "page", err));
    DZ_TRY(encoding_of(text, charset, encoding, err));
    struct feed f;
    feed_begin(&f, text, bytes_max);
    f.parser = htmlNewParserCtxt();
    xmlDocPtr xml = NULL;
    if (f.parser)
        xml = htmlCtxtReadIO(f.parser, feed_read, feed_close, &f, NULL, encoding,
                             HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                 HTML_PARSE_NONET | HTML_PARSE_NODEFDTD);
    htmlFreeParserCtxt(f.parser);
    DZ_TRY(keep(&f, xml, true, ret_d, err));
    return xml ? DZ_OK : dz_fail(err, DZ_PARSE, "the page cannot be read as HTML");
}

static void refuse_doctype(void *ctx, const xmlChar *name, const xmlChar *external,
                           const xmlChar *system)
{
    (void)name;
    (void)external;
    (void)system;
    xmlParserCtxtPtr p = ctx;
    *(bool *)p->_private = true;
    xmlStopParser(p);
}

enum dz_code dz_doc_xml(dz_str text, size_t bytes_max, struct dz_doc **ret_d, struct dz_err *err)
{
    DZ_TRY(sized(text, "document", err));
    struct feed f;
    feed_begin(&f, text, bytes_max);
    xmlParserCtxtPtr p = f.parser = xmlNewParserCtxt();
    if (!p)
        return dz_fail(err, DZ_FULL, "no memory for a parser");
    bool doctype = false;
    p->_private = &doctype;
    p->sax->internalSubset = refuse_doctype;
    p->sax->serror = NULL;
    xmlDocPtr xml = xmlCtxtReadIO(p, feed_read, feed_close, &f, NULL, NULL,
                                  XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NONET |
                                      XML_PARSE_NOCDATA);
    enum dz_code code = feed_error(&f, err);
    if (code == DZ_OK && doctype)
        code = dz_fail(err, DZ_PARSE, "line %d: a DOCTYPE is not read here",
                       p->input ? p->input->line : 1);
    else if (code == DZ_OK && !xml)
        code = dz_fail(err, DZ_PARSE, "line %d: %.150s", p->lastError.line,
                       p->lastError.message ? p->lastError.message : "not XML");
    xmlFreeParserCtxt(p);
    if (code == DZ_OK)
        return keep(&f, xml, false, ret_d, err);
    xmlFreeDoc(xml);
    return code;
}

size_t dz_doc_bytes(const struct dz_doc *d)
{
    return d->bytes;
}

void dz_doc_free(struct dz_doc **d)
{
    struct dz_doc *gone = dz_take(d);
    if (!gone)
        return;
    xmlFreeDoc(gone->xml);
    dz_freep(&gone);
}

struct dz_node *dz_doc_root(struct dz_doc *d)
{
    return of_node(xmlDocGetRootElement(d->xml));
}

/* ---- selecting ------------------------------------------------------------------------------- */

/* The value lives in the run, which the caller ends in any case. */
static enum dz_code evaluate(struct dz_doc *d, struct dz_node *from, dz_str xpath, bool css,
                             struct xpath_run *run, struct xpath_value *ret_v, struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(PARSED_MAX);
    struct xpath_expr *e;
    *run = (struct xpath_run){.doc = d->xml, .left = XPATH_OPERATIONS_MAX};
    run->scope = from ? node_of(from) : xmlDocGetRootElement(d->xml);
    DZ_TRY(xpath_parse(xpath, d->xml, css, a, &e, err));
    return xpath_eval(run, e, from ? node_of(from) : (xmlNodePtr)d->xml, ret_v, err);
}

static enum dz_code take_elements(const struct xpath_set *set, struct dz_arena *a,
                                  struct dz_nodes *ret_nodes, struct dz_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < set->n; i++)
        n += set->v[i]->type == XML_ELEMENT_NODE;
    if (n > DZ_SELECT_NODES_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "the selection has %zu elements, at most %u", n,
                       DZ_SELECT_NODES_MAX);
    struct dz_nodes nodes = {0};
    if (n > 0)
        nodes.v = dz_arena_alloc(a, n * sizeof(*nodes.v));
    for (size_t i = 0; i < set->n; i++)
        if (set->v[i]->type == XML_ELEMENT_NODE)
            nodes.v[nodes.n++] = of_node(set->v[i]);
    *ret_nodes = nodes;
    return DZ_OK;
}

enum dz_code dz_doc_select(struct dz_doc *d, struct dz_node *from, dz_str css, struct dz_arena *a,
                           struct dz_nodes *ret_nodes, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf xpath;
    DZ_AUTO(xpath_done) struct xpath_run run = {0};
    struct xpath_value v = {0};
    dz_buf_init(&xpath, 512 * DZ_KIB);
    DZ_TRY(dz_css_to_xpath(css, d->html, &xpath, err));
    enum dz_code code = evaluate(d, from, dz_buf_str(&xpath), true, &run, &v, err);
    if (code == DZ_BAD_INPUT)
        return dz_fail(err, DZ_INTERNAL, "selector \"%.80s\" became a wrong XPath",
                       dz_arena_dup(a, css));
    return code == DZ_OK ? take_elements(&v.set, a, ret_nodes, err) : code;
}

/* A copy, of a size that the arena may refuse: concat() makes texts of any. */
static enum dz_code keep_text(dz_str s, struct dz_arena *a, dz_str *ret, struct dz_err *err)
{
    void *copy;
    DZ_TRY(dz_arena_try(a, s.n + 1, &copy, err));
    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    ((char *)copy)[s.n] = 0;
    *ret = (dz_str){copy, s.n};
    return DZ_OK;
}

enum dz_code dz_doc_xpath(struct dz_doc *d, struct dz_node *from, dz_str xpath, struct dz_arena *a,
                          struct dz_nodes *ret_nodes, dz_str *ret_text, struct dz_err *err)
{
    DZ_AUTO(xpath_done) struct xpath_run run = {0};
    struct xpath_value v = {0};
    struct dz_nodes nodes = {0};
    dz_str text = {0};
    if (xpath.n > DZ_SELECTOR_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "the XPath expression has %zu bytes, at most %u", xpath.n,
                       DZ_SELECTOR_MAX);
    DZ_TRY(evaluate(d, from, xpath, false, &run, &v, err));
    if (v.type == XPATH_SET)
        DZ_TRY(take_elements(&v.set, a, &nodes, err));
    if (v.type != XPATH_SET || (v.set.n > 0 && nodes.n == 0)) {
        if (!xpath_to_text(&run, &v, &text))
            return dz_fail(err, DZ_TOO_LARGE, "%s", run.stopped);
        DZ_TRY(keep_text(text, a, &text, err));
    }
    *ret_nodes = nodes;
    *ret_text = text;
    return DZ_OK;
}

/* ---- elements -------------------------------------------------------------------------------- */

dz_str dz_node_name(const struct dz_node *n)
{
    return dz_str_of((const char *)node_of(n)->name);
}

bool dz_node_attr(const struct dz_node *n, dz_str name, struct dz_arena *a, dz_str *ret_value)
{
    for (const xmlAttr *at = node_of(n)->properties; at; at = at->next) {
        dz_str local = dz_str_of((const char *)at->name);
        size_t colon = at->ns && at->ns->prefix ? dz_str_chr(name, ':') : DZ_NPOS;
        dz_str wanted = colon == DZ_NPOS ? name : dz_str_sub(name, colon + 1, name.n);
        if (!dz_str_eq(local, wanted))
            continue;
        xmlChar *s = xmlNodeListGetString(node_of(n)->doc, at->children, 1);
        *ret_value = s ? dz_arena_str(a, dz_str_of((const char *)s)) : (dz_str){"", 0};
        xmlFree(s);
        return true;
    }
    return false;
}

static bool is_text(const xmlNode *n)
{
    return n->type == XML_TEXT_NODE || n->type == XML_CDATA_SECTION_NODE;
}

void dz_node_text(const struct dz_node *n, bool own, struct dz_buf *out)
{
    const xmlNode *top = node_of(n), *at = top->children;
    while (at) {
        if (is_text(at))
            dz_buf_put(out, dz_str_of((const char *)at->content));
        if (!own && at->type == XML_ELEMENT_NODE && at->children) {
            at = at->children;
            continue;
        }
        while (at != top && !at->next)
            at = at->parent;
        at = at == top ? NULL : at->next;
    }
}

void dz_node_html(const struct dz_doc *d, const struct dz_node *n, struct dz_buf *out)
{
    xmlBufferPtr b = xmlBufferCreate();
    if (!b)
        return;
    if (d->html)
        (void)htmlNodeDump(b, d->xml, node_of(n));
    else
        (void)xmlNodeDump(b, d->xml, node_of(n), 0, 0);
    dz_buf_put(out, (dz_str){(const char *)xmlBufferContent(b), (size_t)xmlBufferLength(b)});
    xmlBufferFree(b);
}

struct dz_node *dz_node_parent(const struct dz_node *n)
{
    xmlNodePtr parent = node_of(n)->parent;
    return parent && parent->type == XML_ELEMENT_NODE ? of_node(parent) : NULL;
}

struct dz_node *dz_node_next(const struct dz_node *n)
{
    return of_node(xmlNextElementSibling(node_of(n)));
}

struct dz_node *dz_node_prev(const struct dz_node *n)
{
    return of_node(xmlPreviousElementSibling(node_of(n)));
}

struct dz_node *dz_node_child(const struct dz_node *n)
{
    return of_node(xmlFirstElementChild(node_of(n)));
}
