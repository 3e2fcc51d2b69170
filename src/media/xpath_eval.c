/*
 * xpath_eval: what an expression gives on a tree.
 *
 * In: the tree of an expression and a node. Out: a value, or "it costs too much". Every node that
 * is looked at is charged, texts by their length; joining sets is sorting (xpath_set.c). What a
 * predicate took of the memory is given back when it is judged. Functions return false when the run
 * has stopped.
 */
#include "media/xpath.h"

#include <math.h>

static bool eval(struct xpath_run *r, const struct xpath_expr *e, const struct xpath_at *at,
                 struct xpath_value *ret);
static bool holds_here(struct xpath_run *r, const struct xpath_expr *e, const struct xpath_at *at,
                       bool *ret);

/* ---- axes ------------------------------------------------------------------------------------ */

static xmlNode *last_below(xmlNode *n)
{
    while (xpath_has_children(n) && n->last)
        n = n->last;
    return n;
}

struct walk {
    enum xpath_axis axis;
    xmlNode *from, *above; /* above: of PRECEDING, the next ancestor that is passed over */
};

static xmlNode *first_on(struct walk *w)
{
    xmlNode *from = w->from;
    bool is_attribute = from->type == XML_ATTRIBUTE_NODE;
    w->above = from->parent;
    switch (w->axis) {
    case XPATH_SELF:
    case XPATH_ANCESTOR_OR_SELF:
    case XPATH_DESCENDANT_OR_SELF:
        return from;
    case XPATH_ANCESTOR:
    case XPATH_PARENT:
        return from->parent;
    case XPATH_ATTRIBUTE:
        return from->type == XML_ELEMENT_NODE ? (xmlNode *)from->properties : NULL;
    case XPATH_CHILD:
    case XPATH_DESCENDANT:
        return xpath_has_children(from) ? from->children : NULL;
    case XPATH_FOLLOWING_SIBLING:
        return is_attribute || !from->parent ? NULL : from->next;
    case XPATH_PRECEDING_SIBLING:
        return is_attribute || !from->parent ? NULL : from->prev;
    case XPATH_FOLLOWING:
        if (is_attribute)
            return xpath_walk((xmlNode *)from->doc, from->parent);
        while (from && !from->next)
            from = from->parent;
        return from ? from->next : NULL;
    case XPATH_PRECEDING:
        if (is_attribute) {
            from = from->parent;
            w->above = from->parent;
        }
        return from->prev ? last_below(from->prev) : from->parent;
    }
    return NULL;
}

static xmlNode *next_on(const struct walk *w, xmlNode *at)
{
    switch (w->axis) {
    case XPATH_SELF:
    case XPATH_PARENT:
        return NULL;
    case XPATH_ANCESTOR:
    case XPATH_ANCESTOR_OR_SELF:
        return at->parent;
    case XPATH_ATTRIBUTE:
    case XPATH_CHILD:
    case XPATH_FOLLOWING_SIBLING:
        return at->next;
    case XPATH_PRECEDING_SIBLING:
        return at->prev;
    case XPATH_DESCENDANT:
    case XPATH_DESCENDANT_OR_SELF:
        return w->from->type == XML_ATTRIBUTE_NODE ? NULL : xpath_walk(w->from, at);
    case XPATH_FOLLOWING:
        return xpath_walk((xmlNode *)w->from->doc, at);
    case XPATH_PRECEDING:
        return at->prev ? last_below(at->prev) : at->parent;
    }
    return NULL;
}

static bool has_name(const xmlNode *n, const struct xpath_step *s)
{
    const xmlNs *ns = n->type == XML_ATTRIBUTE_NODE ? ((const xmlAttr *)n)->ns : n->ns;
    if (s->name && strcmp((const char *)n->name, s->name) != 0)
        return false;
    if (!s->space)
        return !s->name || !ns || !ns->href || !ns->href[0];
    return ns && ns->href && strcmp((const char *)ns->href, s->space) == 0;
}

static bool fits(const xmlNode *n, const struct xpath_step *s)
{
    bool is_text = n->type == XML_TEXT_NODE || n->type == XML_CDATA_SECTION_NODE;
    switch (s->test) {
    case XPATH_TEST_NODE:
        return xpath_counts(n) || n->type == XML_ATTRIBUTE_NODE || xpath_has_children(n);
    case XPATH_TEST_TEXT:
        return is_text;
    case XPATH_TEST_COMMENT:
        return n->type == XML_COMMENT_NODE;
    case XPATH_TEST_INSTRUCTION:
        return n->type == XML_PI_NODE && (!s->name || strcmp((const char *)n->name, s->name) == 0);
    case XPATH_TEST_NAME:
        return n->type == (s->axis == XPATH_ATTRIBUTE ? XML_ATTRIBUTE_NODE : XML_ELEMENT_NODE) &&
               has_name(n, s);
    }
    return false;
}

/* ---- predicates ------------------------------------------------------------------------------ */

static bool judge(struct xpath_run *r, const struct xpath_predicate *p, const struct xpath_at *at,
                  bool *ret)
{
    struct xpath_mark m = xpath_mark(r);
    struct xpath_value v;
    bool good;
    if (p->e->type == XPATH_REAL) {
        good = eval(r, p->e, at, &v);
        *ret = good && v.number == (double)at->place;
    } else {
        good = holds_here(r, p->e, at, ret);
    }
    xpath_rewind(r, m);
    return good;
}

/* A whole set through the predicates, in the order that it has. */
static bool filter(struct xpath_run *r, const struct xpath_predicate *p, struct xpath_set *s)
{
    for (; p; p = p->next) {
        size_t n = 0, all = s->n;
        for (size_t i = 0; i < all; i++) {
            bool good;
            if (!judge(r, p, &(struct xpath_at){s->v[i], i + 1, all}, &good))
                return false;
            if (good)
                s->v[n++] = s->v[i];
        }
        s->n = n;
    }
    return true;
}

/* ---- steps ----------------------------------------------------------------------------------- */

#define PREDICATES_COUNTED 8u /* of a step that is walked once */

struct counted {
    const struct xpath_step *s;
    size_t places[PREDICATES_COUNTED]; /* how many came as far as each */
    bool full;                         /* no later one can pass any more */
};

/* One node of the axis through all predicates, each with its own count of places. */
static bool passes(struct xpath_run *r, struct counted *c, xmlNode *n, bool *ret)
{
    size_t i = 0;
    *ret = true;
    for (const struct xpath_predicate *p = c->s->predicates; p && *ret; p = p->next, i++) {
        size_t place = ++c->places[i];
        if (p->e->kind == XPATH_IS_NUMBER) {
            *ret = p->e->number == (double)place;
            c->full |= (double)place >= p->e->number;
        } else if (!judge(r, p, &(struct xpath_at){n, place, 0}, ret)) {
            return false;
        }
    }
    return true;
}

static bool is_counted(const struct xpath_step *s)
{
    unsigned n = 0;
    bool all_known = false;
    for (const struct xpath_predicate *p = s->predicates; p; p = p->next, n++)
        all_known |= p->says_last;
    return !all_known && n <= PREDICATES_COUNTED;
}

/* The next node on the axis that fits the test; *at is where it goes on from, NULL: the first. */
static bool next_fit(struct xpath_run *r, struct walk *w, const struct xpath_step *s, xmlNode **at,
                     xmlNode **ret)
{
    xmlNode *n = *at ? next_on(w, *at) : first_on(w);
    for (; n; n = next_on(w, n)) {
        if (!xpath_charge(r, 1))
            return false;
        if (w->axis == XPATH_PRECEDING && n == w->above) {
            w->above = n->parent;
            continue;
        }
        if (fits(n, s))
            break;
    }
    *at = *ret = n;
    return true;
}

/* From one node. `first`: one that fits is enough. */
static bool step_from(struct xpath_run *r, const struct xpath_step *s, xmlNode *from, bool first,
                      struct xpath_set *out)
{
    struct walk w = {.axis = s->axis, .from = from};
    struct counted c = {.s = s};
    struct xpath_set all = {0};
    bool counted = is_counted(s), pass;
    xmlNode *at = NULL, *n;
    do {
        if (!next_fit(r, &w, s, &at, &n))
            return false;
        if (!n)
            break;
        if (!counted) {
            if (!xpath_set_add(r, &all, n))
                return false;
            continue;
        }
        if (!passes(r, &c, n, &pass) || (pass && !xpath_set_add(r, out, n)))
            return false;
        if (pass && first)
            break;
    } while (!c.full);
    if (!counted && !filter(r, s->predicates, &all))
        return false;
    for (size_t i = 0; i < all.n; i++)
        if (!xpath_set_add(r, out, all.v[i]))
            return false;
    return true;
}

/* The steps of a path from a set. `any`: whether there is one is all that is asked. */
static bool walk_steps(struct xpath_run *r, const struct xpath_step *s, bool any,
                       struct xpath_set *set)
{
    for (; s; s = s->next) {
        struct xpath_set out = {.sorted = true};
        bool first = any && !s->next;
        for (size_t i = 0; i < set->n && !(first && out.n > 0); i++)
            if (!step_from(r, s, set->v[i], first, &out))
                return false;
        if (!xpath_set_sort(r, &out))
            return false;
        *set = out;
    }
    return true;
}

static bool path(struct xpath_run *r, const struct xpath_expr *e, const struct xpath_at *at,
                 bool any, struct xpath_set *ret)
{
    struct xpath_value v = {.set = {.sorted = true}};
    if (e->from) {
        if (!eval(r, e->from, at, &v) || !filter(r, e->predicates, &v.set))
            return false;
    } else if (!xpath_set_add(r, &v.set, e->absolute ? (xmlNode *)r->doc : at->node)) {
        return false;
    }
    *ret = v.set;
    return walk_steps(r, e->steps, any, ret);
}

static bool join(struct xpath_run *r, const struct xpath_expr *e, const struct xpath_at *at,
                 struct xpath_set *ret)
{
    struct xpath_set out = {.sorted = true};
    for (const struct xpath_expr *i = e->operands; i; i = i->next) {
        struct xpath_value v;
        if (!eval(r, i, at, &v))
            return false;
        for (size_t k = 0; k < v.set.n; k++)
            if (!xpath_set_add(r, &out, v.set.v[k]))
                return false;
    }
    *ret = out;
    return xpath_set_sort(r, ret);
}

/* ---- comparing ------------------------------------------------------------------------------- */

static bool compare_numbers(enum xpath_kind how, double x, double y)
{
    switch (how) {
    case XPATH_EQ:
        return x == y;
    case XPATH_NE:
        return x != y;
    case XPATH_LT:
        return x < y;
    case XPATH_LE:
        return x <= y;
    case XPATH_GT:
        return x > y;
    default:
        return x >= y;
    }
}

/* The same with the sides changed. */
static enum xpath_kind mirrored(enum xpath_kind how)
{
    return how == XPATH_LT   ? XPATH_GT
           : how == XPATH_LE ? XPATH_GE
           : how == XPATH_GT ? XPATH_LT
           : how == XPATH_GE ? XPATH_LE
                             : how;
}

/* Neither is a set. */
static bool compare_plain(struct xpath_run *r, enum xpath_kind how, const struct xpath_value *x,
                          const struct xpath_value *y, bool *ret)
{
    bool equality = how == XPATH_EQ || how == XPATH_NE;
    if (equality && (x->type == XPATH_BOOL || y->type == XPATH_BOOL)) {
        *ret = (xpath_to_bool(x) == xpath_to_bool(y)) == (how == XPATH_EQ);
        return true;
    }
    if (equality && x->type == XPATH_TEXT && y->type == XPATH_TEXT) {
        *ret = dz_str_eq(x->text, y->text) == (how == XPATH_EQ);
        return xpath_charge(r, x->text.n == y->text.n ? x->text.n / XPATH_OPERATION_BYTES : 0);
    }
    double a, b;
    if (!xpath_to_number(r, x, &a) || !xpath_to_number(r, y, &b))
        return false;
    *ret = compare_numbers(how, a, b);
    return true;
}

/* Some node of the set against what is none. */
static bool compare_set(struct xpath_run *r, enum xpath_kind how, const struct xpath_set *s,
                        const struct xpath_value *y, bool *ret)
{
    *ret = false;
    if (y->type == XPATH_BOOL)
        return compare_plain(r, how, &(struct xpath_value){.type = XPATH_BOOL, .truth = s->n > 0},
                             y, ret);
    for (size_t i = 0; i < s->n && !*ret; i++) {
        struct xpath_mark m = xpath_mark(r);
        struct xpath_value x = {.type = XPATH_TEXT};
        bool good = xpath_charge(r, 1) && xpath_node_text(r, s->v[i], &x.text) &&
                    compare_plain(r, how, &x, y, ret);
        xpath_rewind(r, m);
        if (!good)
            return false;
    }
    return true;
}

/* Some node of one against some node of the other: for an order the least or the greatest says
 * it; equal texts are looked for pair by pair, and paid for. */
static bool compare_sets(struct xpath_run *r, enum xpath_kind how, const struct xpath_set *x,
                         const struct xpath_set *y, bool *ret)
{
    bool equality = how == XPATH_EQ || how == XPATH_NE;
    bool greatest = how == XPATH_LT || how == XPATH_LE;
    struct xpath_value v = {.type = equality ? XPATH_TEXT : XPATH_REAL, .number = NAN};
    *ret = false;
    for (size_t i = 0; i < y->n && !*ret; i++) {
        struct xpath_mark m = xpath_mark(r);
        double n = NAN;
        bool good = xpath_node_text(r, y->v[i], &v.text) &&
                    (equality ? compare_set(r, how, x, &v, ret) : xpath_text_number(r, v.text, &n));
        xpath_rewind(r, m);
        if (!good)
            return false;
        if (isnan(v.number) || (greatest ? n > v.number : n < v.number))
            v.number = n;
    }
    return equality || compare_set(r, how, x, &v, ret);
}

static bool compare(struct xpath_run *r, const struct xpath_expr *e, const struct xpath_at *at,
                    bool *ret)
{
    struct xpath_value x, y;
    if (!eval(r, e->operands, at, &x) || !eval(r, e->operands->next, at, &y))
        return false;
    if (x.type == XPATH_SET && y.type == XPATH_SET)
        return compare_sets(r, e->kind, &x.set, &y.set, ret);
    if (x.type == XPATH_SET)
        return compare_set(r, e->kind, &x.set, &y, ret);
    if (y.type == XPATH_SET)
        return compare_set(r, mirrored(e->kind), &y.set, &x, ret);
    return compare_plain(r, e->kind, &x, &y, ret);
}

/* ---- expressions ----------------------------------------------------------------------------- */

/* As a truth, looked at no further than it takes; memory is the caller's to give back. */
static bool holds_here(struct xpath_run *r, const struct xpath_expr *e, const struct xpath_at *at,
                       bool *ret)
{
    struct xpath_value v;
    if (!xpath_charge(r, 1))
        return false;
    if (e->kind == XPATH_OR || e->kind == XPATH_AND) {
        bool stop = e->kind == XPATH_OR;
        *ret = !stop;
        for (const struct xpath_expr *i = e->operands; i && *ret != stop; i = i->next) {
            struct xpath_mark m = xpath_mark(r);
            bool good = holds_here(r, i, at, ret);
            xpath_rewind(r, m);
            if (!good)
                return false;
        }
        return true;
    }
    if (e->kind >= XPATH_EQ && e->kind <= XPATH_GE)
        return compare(r, e, at, ret);
    if (e->kind == XPATH_IS_PATH) {
        v.type = XPATH_SET;
        if (!path(r, e, at, true, &v.set))
            return false;
        *ret = v.set.n > 0;
        return true;
    }
    if (e->kind == XPATH_IS_CALL &&
        (e->function == XPATH_FN_NOT || e->function == XPATH_FN_BOOLEAN)) {
        if (!holds_here(r, e->operands, at, ret))
            return false;
        *ret = *ret == (e->function == XPATH_FN_BOOLEAN);
        return true;
    }
    if (!eval(r, e, at, &v))
        return false;
    *ret = xpath_to_bool(&v);
    return true;
}

static bool call(struct xpath_run *r, const struct xpath_expr *e, const struct xpath_at *at,
                 struct xpath_value *ret)
{
    struct xpath_value few[3], *args = few;
    size_t n = 0;
    for (const struct xpath_expr *i = e->operands; i; i = i->next)
        n++;
    if (n > DZ_LEN(few)) {
        void *more;
        if (!xpath_alloc(r, n * sizeof(*args), &more))
            return false;
        args = more;
    }
    n = 0;
    for (const struct xpath_expr *i = e->operands; i; i = i->next)
        if (!eval(r, i, at, &args[n++]))
            return false;
    return xpath_call(r, e->function, at, args, n, ret);
}

static bool calculate(struct xpath_run *r, const struct xpath_expr *e, const struct xpath_at *at,
                      double *ret)
{
    struct xpath_value v;
    double x, y = 0;
    if (!eval(r, e->operands, at, &v) || !xpath_to_number(r, &v, &x))
        return false;
    if (e->kind != XPATH_NEGATE &&
        (!eval(r, e->operands->next, at, &v) || !xpath_to_number(r, &v, &y)))
        return false;
    switch (e->kind) {
    case XPATH_NEGATE:
        *ret = -x;
        break;
    case XPATH_ADD:
        *ret = x + y;
        break;
    case XPATH_SUB:
        *ret = x - y;
        break;
    case XPATH_MUL:
        *ret = x * y;
        break;
    case XPATH_DIV:
        *ret = y == 0 ? (x == 0 || isnan(x)         ? NAN
                         : signbit(x) == signbit(y) ? INFINITY
                                                    : -INFINITY)
                      : x / y;
        break;
    default:
        *ret = y == 0 ? NAN : fmod(x, y);
        break;
    }
    return true;
}

static bool eval(struct xpath_run *r, const struct xpath_expr *e, const struct xpath_at *at,
                 struct xpath_value *ret)
{
    *ret = (struct xpath_value){.type = e->type, .set = {.sorted = true}};
    if (!xpath_charge(r, 1))
        return false;
    switch (e->kind) {
    case XPATH_IS_NUMBER:
        ret->number = e->number;
        return true;
    case XPATH_IS_TEXT:
        ret->text = e->text;
        return true;
    case XPATH_IS_SCOPE:
        return !r->scope || xpath_set_add(r, &ret->set, r->scope);
    case XPATH_IS_PATH:
        return path(r, e, at, false, &ret->set);
    case XPATH_UNION:
        return join(r, e, at, &ret->set);
    case XPATH_IS_CALL:
        if (e->function != XPATH_FN_NOT && e->function != XPATH_FN_BOOLEAN)
            return call(r, e, at, ret);
        return holds_here(r, e, at, &ret->truth);
    default:
        return e->type == XPATH_REAL ? calculate(r, e, at, &ret->number)
                                     : holds_here(r, e, at, &ret->truth);
    }
}

enum dz_code xpath_eval(struct xpath_run *r, const struct xpath_expr *e, xmlNode *node,
                        struct xpath_value *ret_v, struct dz_err *err)
{
    struct xpath_value v;
    if (!eval(r, e, &(struct xpath_at){node, 1, 1}, &v))
        return dz_fail(err, DZ_TOO_LARGE, "%s", r->stopped);
    *ret_v = v;
    return DZ_OK;
}
