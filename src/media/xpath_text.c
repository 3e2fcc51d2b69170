/*
 * xpath_text: the functions of XPath 1.0, and what a value is as a text, a number or a truth.
 *
 * In: values. Out: values. Texts are slices of the tree where they stand there as they are, else
 * they lie in the run. All that reads a text is charged for its length. False: the run has stopped.
 */
#include "media/xpath.h"

#include <math.h>
#include <stdlib.h>

#define ID_OPERATIONS 20 /* looking for one: the table of a large page is nowhere near */

static bool pay(struct xpath_run *r, size_t bytes)
{
    return xpath_charge(r, 1 + bytes / XPATH_OPERATION_BYTES);
}

/* ---- texts of nodes -------------------------------------------------------------------------- */

/* A text put together from pieces; the first one is borrowed until there is a second. */
struct sum {
    char *own;
    size_t n, room;
    dz_str only;
};

static bool sum_add(struct xpath_run *r, struct sum *s, dz_str more)
{
    if (!pay(r, more.n))
        return false;
    if (s->n == 0) {
        s->only = more;
        s->n = more.n;
        return true;
    }
    if (more.n > s->room - s->n || !s->own) {
        void *p;
        size_t room = 2 * (s->n + more.n);
        if (!xpath_alloc(r, room, &p))
            return false;
        memcpy(p, s->own ? s->own : s->only.p, s->n);
        s->own = p;
        s->room = room;
    }
    if (more.n > 0)
        memcpy(s->own + s->n, more.p, more.n);
    s->n += more.n;
    return true;
}

static dz_str sum_text(const struct sum *s)
{
    return s->own ? (dz_str){s->own, s->n} : s->n > 0 ? s->only : (dz_str){"", 0};
}

bool xpath_node_text(struct xpath_run *r, const xmlNode *n, dz_str *ret)
{
    struct sum s = {0};
    bool is_attribute = n->type == XML_ATTRIBUTE_NODE;
    xmlNode *at = n->children;
    if (n->type == XML_TEXT_NODE || n->type == XML_CDATA_SECTION_NODE ||
        n->type == XML_COMMENT_NODE || n->type == XML_PI_NODE) {
        *ret = n->content ? dz_str_of((const char *)n->content) : (dz_str){"", 0};
        return pay(r, ret->n);
    }
    for (; at; at = is_attribute ? at->next : xpath_walk(n, at)) {
        bool is_text = at->type == XML_TEXT_NODE || at->type == XML_CDATA_SECTION_NODE;
        if (!xpath_charge(r, 1) ||
            (is_text && at->content && !sum_add(r, &s, dz_str_of((const char *)at->content))))
            return false;
    }
    *ret = sum_text(&s);
    return true;
}

/* ---- one kind of value as another ------------------------------------------------------------ */

/* No exponents, and no more digits than it takes to tell it from others. */
static bool number_text(struct xpath_run *r, double x, dz_str *ret)
{
    char text[400];
    int digits = 15;
    if (isnan(x) || isinf(x)) {
        *ret = isnan(x) ? DZ_S("NaN") : x > 0 ? DZ_S("Infinity") : DZ_S("-Infinity");
        return true;
    }
    snprintf(text, sizeof(text), "%.15g", x == 0 ? 0 : x);
    while (digits < 17 && strtod(text, NULL) != x)
        snprintf(text, sizeof(text), "%.*g", ++digits, x);
    if (strchr(text, 'e')) {
        int after = fabs(x) < 1 ? digits - (int)floor(log10(fabs(x))) : 0;
        snprintf(text, sizeof(text), "%.*f", after, x);
        size_t n = strlen(text);
        while (after > 0 && text[n - 1] == '0')
            n--;
        text[n] = 0;
    }
    void *p;
    size_t n = strlen(text);
    if (!xpath_alloc(r, n, &p))
        return false;
    memcpy(p, text, n);
    *ret = (dz_str){p, n};
    return true;
}

bool xpath_to_text(struct xpath_run *r, const struct xpath_value *v, dz_str *ret)
{
    switch (v->type) {
    case XPATH_SET:
        if (v->set.n > 0)
            return xpath_node_text(r, v->set.v[0], ret);
        *ret = (dz_str){"", 0};
        return true;
    case XPATH_BOOL:
        *ret = v->truth ? DZ_S("true") : DZ_S("false");
        return true;
    case XPATH_REAL:
        return number_text(r, v->number, ret);
    case XPATH_TEXT:
        break;
    }
    *ret = v->text;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t digits_at(dz_str s, size_t at)
{
    size_t n = 0;
    while (at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '9')
        n++;
    return n;
}

bool xpath_text_number(struct xpath_run *r, dz_str s, double *ret)
{
    if (!pay(r, s.n))
        return false;
    while (s.n > 0 && is_blank(s.p[0]))
        s = dz_str_sub(s, 1, s.n);
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s = dz_str_sub(s, 0, s.n - 1);
    size_t at = s.n > 0 && s.p[0] == '-', whole = digits_at(s, at), part = 0;
    at += whole;
    if (at < s.n && s.p[at] == '.') {
        part = digits_at(s, at + 1);
        at += 1 + part;
    }
    *ret = NAN;
    if (at != s.n || whole + part == 0)
        return true;
    void *p;
    if (!xpath_alloc(r, s.n + 1, &p))
        return false;
    memcpy(p, s.p, s.n);
    ((char *)p)[s.n] = 0;
    *ret = strtod(p, NULL);
    return true;
}

bool xpath_to_number(struct xpath_run *r, const struct xpath_value *v, double *ret)
{
    dz_str s;
    if (v->type == XPATH_REAL)
        *ret = v->number;
    else if (v->type == XPATH_BOOL)
        *ret = v->truth;
    else
        return xpath_to_text(r, v, &s) && xpath_text_number(r, s, ret);
    return true;
}

bool xpath_to_bool(const struct xpath_value *v)
{
    switch (v->type) {
    case XPATH_SET:
        return v->set.n > 0;
    case XPATH_BOOL:
        return v->truth;
    case XPATH_REAL:
        return v->number != 0 && !isnan(v->number);
    case XPATH_TEXT:
        break;
    }
    return v->text.n > 0;
}

/* ---- functions of texts ---------------------------------------------------------------------- */

static size_t rune_bytes(dz_str s, size_t at)
{
    size_t n = 1;
    while (at + n < s.n && ((unsigned char)s.p[at + n] & 0xC0) == 0x80)
        n++;
    return n;
}

static bool concat(struct xpath_run *r, const struct xpath_value *args, size_t n, dz_str *ret)
{
    struct sum s = {0};
    dz_str one;
    for (size_t i = 0; i < n; i++)
        if (!xpath_to_text(r, &args[i], &one) || !sum_add(r, &s, one))
            return false;
    *ret = sum_text(&s);
    return true;
}

/* Most texts are in that form already. */
static bool normalize(struct xpath_run *r, dz_str s, dz_str *ret)
{
    bool plain = s.n == 0 || (!is_blank(s.p[0]) && !is_blank(s.p[s.n - 1]));
    for (size_t i = 0; i < s.n && plain; i++)
        plain = !is_blank(s.p[i]) || (s.p[i] == ' ' && !is_blank(s.p[i - 1]));
    *ret = s;
    if (!pay(r, s.n))
        return false;
    void *p;
    if (plain || !xpath_alloc(r, s.n, &p))
        return plain;
    char *to = p;
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        if (!is_blank(s.p[i]))
            to[n++] = s.p[i];
        else if (n > 0 && to[n - 1] != ' ')
            to[n++] = ' ';
    n -= n > 0 && to[n - 1] == ' ';
    *ret = (dz_str){to, n};
    return true;
}

static double rounded(double x)
{
    double low = floor(x);
    return isnan(x) || isinf(x) ? x : copysign(x - low >= 0.5 ? low + 1 : low, x);
}

/* 4.2: characters from round(start) on, before round(start) + round(length). */
static bool substring(struct xpath_run *r, dz_str s, double start, double length, dz_str *ret)
{
    double from = rounded(start), to = from + rounded(length), place = 1;
    size_t begin = s.n, end = s.n;
    for (size_t at = 0; at < s.n; at += rune_bytes(s, at), place++) {
        if (begin == s.n && place >= from && place < to)
            begin = at;
        if (begin < s.n && !(place < to)) {
            end = at;
            break;
        }
    }
    *ret = dz_str_sub(s, begin, end);
    return pay(r, s.n);
}

/* What stands in the place of a rune; false: it stays. One without a counterpart becomes nothing,
 * and the first of several counts. */
static bool counterpart(dz_str rune, dz_str from, dz_str to, dz_str *ret)
{
    for (size_t at = 0, there = 0; at < from.n;) {
        size_t n = rune_bytes(from, at), there_n = there < to.n ? rune_bytes(to, there) : 0;
        if (dz_str_eq(rune, dz_str_sub(from, at, at + n))) {
            *ret = dz_str_sub(to, there, there + there_n);
            return true;
        }
        at += n;
        there += there_n;
    }
    return false;
}

static size_t beyond_ascii(dz_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += (unsigned char)s.p[i] >= 0x80;
    return n;
}

struct ascii_table { /* of what a text is translated by: most runes are ASCII */
    bool changes[128];
    dz_str to[128];
};

static void fill_table(struct ascii_table *t, dz_str from, dz_str to)
{
    memset(t->changes, 0, sizeof(t->changes));
    for (size_t at = 0, there = 0; at < from.n;) {
        unsigned char c = (unsigned char)from.p[at];
        size_t there_n = there < to.n ? rune_bytes(to, there) : 0;
        if (c < 0x80 && !t->changes[c]) {
            t->changes[c] = true;
            t->to[c] = dz_str_sub(to, there, there + there_n);
        }
        at += rune_bytes(from, at);
        there += there_n;
    }
}

static bool translate(struct xpath_run *r, dz_str s, dz_str from, dz_str to, dz_str *ret)
{
    struct ascii_table table;
    size_t widest = beyond_ascii(to) > 0 ? 4 : 1, n = 0;
    void *p;
    if (!pay(r, from.n + to.n + s.n) || !xpath_charge(r, beyond_ascii(s) * beyond_ascii(from)) ||
        !xpath_alloc(r, s.n * widest, &p))
        return false;
    fill_table(&table, from, to);
    char *out = p;
    for (size_t at = 0; at < s.n;) {
        dz_str is = dz_str_sub(s, at, at + rune_bytes(s, at)), becomes = is;
        unsigned char c = (unsigned char)is.p[0];
        if (c < 0x80 && table.changes[c])
            becomes = table.to[c];
        else if (c >= 0x80)
            (void)counterpart(is, from, to, &becomes);
        if (becomes.n > 0)
            memcpy(out + n, becomes.p, becomes.n);
        n += becomes.n;
        at += is.n;
    }
    *ret = (dz_str){out, n};
    return true;
}

static bool search(struct xpath_run *r, enum xpath_function fn, dz_str s, dz_str part,
                   struct xpath_value *ret)
{
    if (fn == XPATH_FN_STARTS_WITH) {
        ret->truth = dz_str_starts(s, part);
        return pay(r, part.n);
    }
    size_t at = dz_str_find(s, part);
    ret->truth = at != DZ_NPOS;
    if (fn == XPATH_FN_SUBSTRING_BEFORE)
        ret->text = at != DZ_NPOS ? dz_str_sub(s, 0, at) : (dz_str){"", 0};
    else if (fn == XPATH_FN_SUBSTRING_AFTER)
        ret->text = at != DZ_NPOS ? dz_str_sub(s, at + part.n, s.n) : (dz_str){"", 0};
    return pay(r, s.n + part.n);
}

/* ---- functions of nodes ---------------------------------------------------------------------- */

static dz_str or_nothing(const xmlChar *s)
{
    return s ? dz_str_of((const char *)s) : (dz_str){"", 0};
}

static bool name_of(struct xpath_run *r, enum xpath_function fn, const xmlNode *n, dz_str *ret)
{
    bool is_attribute = n && n->type == XML_ATTRIBUTE_NODE;
    *ret = (dz_str){"", 0};
    if (!n || (n->type != XML_ELEMENT_NODE && !is_attribute && n->type != XML_PI_NODE))
        return true;
    const xmlNs *ns = n->type == XML_PI_NODE ? NULL
                      : is_attribute         ? ((const xmlAttr *)n)->ns
                                             : n->ns;
    if (fn == XPATH_FN_NAMESPACE_URI) {
        *ret = ns ? or_nothing(ns->href) : *ret;
        return true;
    }
    *ret = or_nothing(n->name);
    if (fn == XPATH_FN_LOCAL_NAME || !ns || !ns->prefix || !ns->prefix[0])
        return pay(r, ret->n);
    struct sum s = {0};
    bool good =
        sum_add(r, &s, or_nothing(ns->prefix)) && sum_add(r, &s, DZ_S(":")) && sum_add(r, &s, *ret);
    *ret = sum_text(&s);
    return good;
}

/* The elements of a text's words. */
static bool ids(struct xpath_run *r, dz_str s, struct xpath_set *out)
{
    for (size_t at = 0; at < s.n;) {
        size_t n = 0;
        while (at + n < s.n && !is_blank(s.p[at + n]))
            n++;
        void *word;
        if (!pay(r, n) || !xpath_charge(r, ID_OPERATIONS) || !xpath_alloc(r, n + 1, &word))
            return false;
        memcpy(word, s.p + at, n);
        ((char *)word)[n] = 0;
        const xmlAttr *a = n > 0 ? xmlGetID(r->doc, word) : NULL;
        if (a && a->type == XML_ATTRIBUTE_NODE && a->parent && !xpath_set_add(r, out, a->parent))
            return false;
        at += n + 1;
    }
    return true;
}

static bool all_ids(struct xpath_run *r, const struct xpath_value *v, struct xpath_set *out)
{
    dz_str s;
    if (v->type != XPATH_SET)
        return xpath_to_text(r, v, &s) && ids(r, s, out) && xpath_set_sort(r, out);
    for (size_t i = 0; i < v->set.n; i++)
        if (!xpath_node_text(r, v->set.v[i], &s) || !ids(r, s, out))
            return false;
    return xpath_set_sort(r, out);
}

/* xml:lang of the node or what it is in, equal or with a "-" behind. */
static bool lang(struct xpath_run *r, const xmlNode *n, dz_str wanted, bool *ret)
{
    *ret = false;
    for (; n; n = n->parent) {
        for (const xmlAttr *a = n->type == XML_ELEMENT_NODE ? n->properties : NULL; a;
             a = a->next) {
            dz_str is;
            if (!xpath_charge(r, 1))
                return false;
            if (!a->ns || strcmp((const char *)a->name, "lang") != 0 || !a->ns->href ||
                strcmp((const char *)a->ns->href, (const char *)XML_XML_NAMESPACE) != 0)
                continue;
            if (!xpath_node_text(r, (const xmlNode *)a, &is))
                return false;
            *ret = dz_str_eq_nocase(dz_str_sub(is, 0, wanted.n), wanted) &&
                   (is.n == wanted.n || (is.n > wanted.n && is.p[wanted.n] == '-'));
            return true;
        }
        if (!xpath_charge(r, 1))
            return false;
    }
    return true;
}

static bool sum_of(struct xpath_run *r, const struct xpath_set *s, double *ret)
{
    *ret = 0;
    for (size_t i = 0; i < s->n; i++) {
        dz_str text;
        double x;
        if (!xpath_node_text(r, s->v[i], &text) || !xpath_text_number(r, text, &x))
            return false;
        *ret += x;
    }
    return true;
}

/* ---- the table ------------------------------------------------------------------------------- */

static bool call_texts(struct xpath_run *r, enum xpath_function fn, const struct xpath_value *args,
                       size_t n, struct xpath_value *ret)
{
    dz_str s[3] = {{0}};
    double x[3] = {0, 0, INFINITY};
    bool numbers = fn == XPATH_FN_SUBSTRING;
    if (fn == XPATH_FN_CONCAT)
        return concat(r, args, n, &ret->text);
    for (size_t i = 0; i < n; i++)
        if (!(numbers && i > 0 ? xpath_to_number(r, &args[i], &x[i])
                               : xpath_to_text(r, &args[i], &s[i])))
            return false;
    switch (fn) {
    case XPATH_FN_STRING:
        ret->text = s[0];
        return true;
    case XPATH_FN_STRING_LENGTH:
        for (size_t i = 0; i < s[0].n; i++)
            ret->number += ((unsigned char)s[0].p[i] & 0xC0) != 0x80;
        return pay(r, s[0].n);
    case XPATH_FN_NUMBER:
        return xpath_to_number(r, &args[0], &ret->number);
    case XPATH_FN_NORMALIZE_SPACE:
        return normalize(r, s[0], &ret->text);
    case XPATH_FN_SUBSTRING:
        return substring(r, s[0], x[1], x[2], &ret->text);
    case XPATH_FN_TRANSLATE:
        return translate(r, s[0], s[1], s[2], &ret->text);
    default:
        return search(r, fn, s[0], s[1], ret);
    }
}

/* Functions of one number; it is there already. */
static double call_number(enum xpath_function fn, double x)
{
    return fn == XPATH_FN_CEILING ? ceil(x) : fn == XPATH_FN_FLOOR ? floor(x) : rounded(x);
}

bool xpath_call(struct xpath_run *r, enum xpath_function fn, const struct xpath_at *at,
                const struct xpath_value *args, size_t n, struct xpath_value *ret)
{
    xmlNode *node = at->node;
    struct xpath_value here = {.type = XPATH_SET, .set = {.v = &node, .n = 1, .sorted = true}};
    dz_str text;
    if (n == 0 && fn != XPATH_FN_LAST && fn != XPATH_FN_POSITION && fn != XPATH_FN_TRUE &&
        fn != XPATH_FN_FALSE) {
        args = &here;
        n = 1;
    }
    switch (fn) {
    case XPATH_FN_LAST:
        ret->number = (double)at->last;
        return true;
    case XPATH_FN_POSITION:
        ret->number = (double)at->place;
        return true;
    case XPATH_FN_TRUE:
    case XPATH_FN_FALSE:
        ret->truth = fn == XPATH_FN_TRUE;
        return true;
    case XPATH_FN_COUNT:
        ret->number = (double)args[0].set.n;
        return true;
    case XPATH_FN_SUM:
        return sum_of(r, &args[0].set, &ret->number);
    case XPATH_FN_ID:
        return all_ids(r, &args[0], &ret->set);
    case XPATH_FN_LANG:
        return xpath_to_text(r, &args[0], &text) && lang(r, node, text, &ret->truth);
    case XPATH_FN_NAME:
    case XPATH_FN_LOCAL_NAME:
    case XPATH_FN_NAMESPACE_URI:
        return name_of(r, fn, args[0].set.n > 0 ? args[0].set.v[0] : NULL, &ret->text);
    case XPATH_FN_CEILING:
    case XPATH_FN_FLOOR:
    case XPATH_FN_ROUND:
        if (!xpath_to_number(r, &args[0], &ret->number))
            return false;
        ret->number = call_number(fn, ret->number);
        return true;
    default:
        return call_texts(r, fn, args, n, ret);
    }
}
