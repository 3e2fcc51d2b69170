/*
 * doc: what the tests of documents share: the page of tests/data/media, and elements by their ids.
 */
#pragma once

#include "fixture.h"

static inline struct dz_doc *page(void)
{
    struct dz_buf file = fixture("shelf.html");
    struct dz_doc *d = NULL;
    must(dz_doc_html(dz_buf_str(&file), (dz_str){0}, DZ_DOC_TREE_MAX, &d, err));
    dz_buf_done(&file);
    return d;
}

/* The ids of what a selector finds, in their order, "?" for none. */
static inline void select_ids(struct dz_doc *d, struct dz_node *from, const char *css,
                              struct dz_buf *ids)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_nodes nodes;
    struct dz_err err;
    dz_buf_clear(ids);
    if (dz_doc_select(d, from, dz_str_of(css), a, &nodes, &err) != DZ_OK)
        fail_msg("%s: %s", css, err.text);
    for (size_t i = 0; i < nodes.n; i++) {
        dz_str id = DZ_S("?");
        (void)dz_node_attr(nodes.v[i], DZ_S("id"), a, &id);
        dz_buf_put(ids, i ? DZ_S(" ") : (dz_str){0});
        dz_buf_put(ids, id);
    }
}

/* `n` times the text, in a buffer of 16 MiB that is cleared. */
static inline void repeat(struct dz_buf *b, const char *text, size_t n)
{
    dz_buf_clear(b);
    while (n-- > 0)
        dz_buf_put(b, dz_str_of(text));
    assert_false(b->full);
}
