/*
 * xpath_set: what a run pays for, its memory, and sets of nodes.
 *
 * In: nodes of a tree that xpath_number has numbered. Out: sets in document order, each node once:
 * the numbers say at once which of two comes first. Memory is a stack of pieces; a mark gives back
 * all that was taken since. Functions return false when the run has stopped.
 */
#include "media/xpath.h"

#include <stdlib.h>

#define PIECE_BYTES ((size_t)64 * 1024)
#define SET_ROOM 16u
#define SORT_OPERATIONS 8 /* for each node of a set that is put into order */

/* ---- what it costs --------------------------------------------------------------------------- */

bool xpath_charge(struct xpath_run *r, uint64_t operations)
{
    if (operations <= r->left) {
        r->left -= operations;
        return true;
    }
    r->left = 0;
    r->stopped = "the selection takes too many steps on this document";
    return false;
}

struct xpath_piece {
    struct xpath_piece *before;
    size_t room, used;
    char bytes[] __attribute__((aligned(16)));
};

bool xpath_alloc(struct xpath_run *r, size_t n, void **ret_p)
{
    struct xpath_piece *p = r->piece;
    n = (n + 15) / 16 * 16;
    if (!p || n > p->room - p->used) {
        size_t room = n > PIECE_BYTES ? n : PIECE_BYTES;
        if (r->spare && n <= r->spare->room) {
            p = dz_take(&r->spare);
        } else if (room > XPATH_MEMORY_MAX - r->memory) {
            r->stopped = "the selection takes too much memory on this document";
            return false;
        } else {
            p = dz_alloc(sizeof(*p) + room);
            p->room = room;
            r->memory += room;
        }
        p->before = r->piece;
        p->used = 0;
        r->piece = p;
    }
    *ret_p = p->bytes + p->used;
    p->used += n;
    return true;
}

struct xpath_mark xpath_mark(const struct xpath_run *r)
{
    return (struct xpath_mark){r->piece, r->piece ? r->piece->used : 0};
}

/* One piece is kept: a predicate that ends just behind one would else make it for every node. */
void xpath_rewind(struct xpath_run *r, struct xpath_mark m)
{
    while (r->piece != m.piece) {
        struct xpath_piece *p = r->piece;
        r->piece = p->before;
        if (!r->spare && p->room == PIECE_BYTES) {
            r->spare = p;
            continue;
        }
        r->memory -= p->room;
        dz_freep(&p);
    }
    if (r->piece)
        r->piece->used = m.used;
}

void xpath_done(struct xpath_run *r)
{
    xpath_rewind(r, (struct xpath_mark){NULL, 0});
    dz_freep(&r->spare);
}

/* ---- order and sets -------------------------------------------------------------------------- */

bool xpath_has_children(const xmlNode *n)
{
    return n->type == XML_ELEMENT_NODE || n->type == XML_DOCUMENT_NODE ||
           n->type == XML_HTML_DOCUMENT_NODE;
}

bool xpath_counts(const xmlNode *n)
{
    return n->type == XML_ELEMENT_NODE || n->type == XML_TEXT_NODE ||
           n->type == XML_CDATA_SECTION_NODE || n->type == XML_COMMENT_NODE ||
           n->type == XML_PI_NODE;
}

xmlNode *xpath_walk(const xmlNode *top, xmlNode *at)
{
    if (xpath_has_children(at) && at->children)
        return at->children;
    while (at != top && !at->next)
        at = at->parent;
    return at == top ? NULL : at->next;
}

void xpath_number(xmlDoc *doc)
{
    uintptr_t n = 1;
    xmlNode *top = (xmlNode *)doc;
    for (xmlNode *at = top; at; at = xpath_walk(top, at)) {
        at->_private = (void *)n++;
        for (xmlAttr *a = at->type == XML_ELEMENT_NODE ? at->properties : NULL; a; a = a->next)
            a->_private = (void *)n++;
    }
}

static uintptr_t number_of(const xmlNode *n)
{
    return (uintptr_t)n->_private;
}

bool xpath_set_add(struct xpath_run *r, struct xpath_set *s, xmlNode *n)
{
    if (s->n == s->room) {
        size_t room = s->room ? s->room * 2 : SET_ROOM;
        void *v;
        if (!xpath_alloc(r, room * sizeof(xmlNode *), &v))
            return false;
        if (s->n > 0)
            memcpy(v, s->v, s->n * sizeof(xmlNode *));
        s->v = v;
        s->room = room;
    }
    s->sorted = s->n == 0 || (s->sorted && number_of(s->v[s->n - 1]) < number_of(n));
    s->v[s->n++] = n;
    return xpath_charge(r, 1);
}

static int by_number(const void *a, const void *b)
{
    uintptr_t x = number_of(*(xmlNode *const *)a), y = number_of(*(xmlNode *const *)b);
    return x < y ? -1 : x > y;
}

bool xpath_set_sort(struct xpath_run *r, struct xpath_set *s)
{
    if (s->sorted || s->n < 2) {
        s->sorted = true;
        return true;
    }
    if (!xpath_charge(r, (uint64_t)s->n * SORT_OPERATIONS))
        return false;
    qsort(s->v, s->n, sizeof(*s->v), by_number);
    size_t n = 1;
    for (size_t i = 1; i < s->n; i++)
        if (s->v[i] != s->v[n - 1])
            s->v[n++] = s->v[i];
    s->n = n;
    s->sorted = true;
    return true;
}
