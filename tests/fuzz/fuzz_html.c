/*
 * fuzz_html: a selector or XPath expression in the first line, a page or document behind it.
 *
 * A selector that translates is a valid XPath, whatever it holds; what is found can be walked and
 * read. A first byte of '/' makes it XPath, of '!' the rest XML.
 */
#include "media/media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct dz_doc *d, const struct dz_nodes *nodes, struct dz_arena *a)
{
    struct dz_buf out;
    dz_buf_init(&out, DZ_MIB);
    for (size_t i = 0; i < nodes->n && i < 50; i++) {
        const struct dz_node *n = nodes->v[i];
        dz_str value;
        dz_assert(dz_node_name(n).n > 0);
        (void)dz_node_attr(n, DZ_S("id"), a, &value);
        dz_node_text(n, i % 2 == 0, &out);
        dz_node_html(d, n, &out);
        const struct dz_node *next = dz_node_next(n);
        dz_assert(!next || dz_node_prev(next) == n);
        const struct dz_node *child = dz_node_child(n);
        dz_assert(!child || dz_node_parent(child) == n);
    }
    dz_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dz_str all = {(const char *)data, size};
    size_t line = dz_str_chr(all, '\n');
    dz_str expression = dz_str_sub(all, 0, line);
    dz_str text = line == DZ_NPOS ? DZ_S("<p>") : dz_str_sub(all, line + 1, size);
    bool xml = dz_str_starts(expression, DZ_S("!"));
    expression = dz_str_sub(expression, xml, expression.n);
    struct dz_doc *d = NULL;
    struct dz_err err = {0};
    enum dz_code code = xml ? dz_doc_xml(text, DZ_DOC_TREE_MAX, &d, &err)
                            : dz_doc_html(text, (dz_str){0}, DZ_DOC_TREE_MAX, &d, &err);
    if (code != DZ_OK) {
        dz_assert(err.text[0] != '\0');
        return 0;
    }
    struct dz_arena *a = dz_arena_new(16 * DZ_MIB);
    struct dz_nodes nodes = {0};
    dz_str found;
    code = dz_str_starts(expression, DZ_S("/"))
               ? dz_doc_xpath(d, NULL, expression, a, &nodes, &found, &err)
               : dz_doc_select(d, NULL, expression, a, &nodes, &err);
    dz_assert(code == DZ_OK || code == DZ_BAD_INPUT || code == DZ_TOO_LARGE);
    if (code == DZ_OK)
        walk(d, &nodes, a);
    dz_arena_free(&a);
    dz_doc_free(&d);
    return 0;
}
