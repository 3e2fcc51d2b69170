/*
 * route: from a path to a row of the route table.
 *
 * Compiled once, read by all threads without a lock. Rows are filed under their first literal
 * segment; rows that start with a capture stand in a list of their own. Each list is kept with the
 * most literal pattern first, so the first row that fits path and method is the answer. Matching is
 * segment by segment on decoded bytes, but only real slashes cut segments, so "%2F" stays inside
 * its segment.
 */
#include "http/http_int.h"

enum { LITERAL, ONE, REST };

struct segment {
    int kind;
    dz_str text; /* of LITERAL */
};

struct row {
    const struct dz_http_route *route;
    unsigned methods;
    size_t n;
    struct segment segment[HTTP_SEGMENTS_MAX];
};

struct shelf { /* rows of one first segment, most literal first */
    dz_str first;
    size_t n;
    struct row **rows;
};

struct dz_http_routes {
    struct shelf *shelves; /* [0]: rows whose first segment is a capture */
    size_t shelves_n;
    struct row *rows;
    size_t rows_n;
    unsigned methods;
};

static unsigned with_implied(unsigned methods)
{
    if (methods & DZ_HTTP_GET)
        methods |= DZ_HTTP_HEAD;
    return methods;
}

static void compile(struct row *row, const struct dz_http_route *route)
{
    dz_str rest = dz_str_of(route->pattern);
    dz_assert(rest.n > 0 && rest.p[0] == '/');
    row->route = route;
    row->methods = with_implied(route->methods);
    unsigned captures = 0;
    do {
        rest = dz_str_sub(rest, 1, rest.n);
        dz_str text = dz_str_sub(rest, 0, dz_str_chr(rest, '/'));
        rest = dz_str_sub(rest, text.n, rest.n);
        dz_assert(row->n < HTTP_SEGMENTS_MAX);
        struct segment *s = &row->segment[row->n++];
        s->text = text;
        s->kind = dz_str_eq(text, DZ_S("{}")) ? ONE : dz_str_eq(text, DZ_S("{*}")) ? REST : LITERAL;
        captures += s->kind != LITERAL;
        dz_assert(s->kind != REST || rest.n == 0);
        dz_assert(s->kind != LITERAL || dz_str_chr(text, '{') == DZ_NPOS);
    } while (rest.n > 0);
    dz_assert(captures <= DZ_HTTP_CAPTURES_MAX);
}

/* < 0: a is the more literal one. */
static int by_literalness(const void *a, const void *b)
{
    const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;
    for (size_t i = 0; i < x->n && i < y->n; i++)
        if (x->segment[i].kind != y->segment[i].kind)
            return x->segment[i].kind - y->segment[i].kind;
    if (x->n != y->n)
        return x->n > y->n ? -1 : 1;
    return x->route < y->route ? -1 : 1;
}

/* There are few: looking at each is quicker than hashing. */
static struct shelf *shelf_of(const struct dz_http_routes *t, dz_str first)
{
    for (size_t i = 1; i < t->shelves_n; i++) {
        struct shelf *s = &t->shelves[i];
        if (s->first.n == first.n &&
            (first.n == 0 || (s->first.p[0] == first.p[0] && dz_str_eq(s->first, first))))
            return s;
    }
    return NULL;
}

static struct shelf *shelf_for(struct dz_http_routes *t, const struct row *row)
{
    if (row->segment[0].kind != LITERAL)
        return &t->shelves[0];
    struct shelf *s = shelf_of(t, row->segment[0].text);
    if (!s) {
        s = &t->shelves[t->shelves_n++];
        s->first = row->segment[0].text;
    }
    return s;
}

struct dz_http_routes *dz_http_routes_new(const struct dz_http_route *routes, size_t n)
{
    struct dz_http_routes *t = dz_new(struct dz_http_routes);
    t->rows = dz_zalloc((n + 1) * sizeof(*t->rows));
    t->shelves = dz_zalloc((n + 1) * sizeof(*t->shelves));
    t->shelves_n = 1;
    t->rows_n = n;
    for (size_t i = 0; i < n; i++) {
        compile(&t->rows[i], &routes[i]);
        t->methods |= t->rows[i].methods;
        struct shelf *s = shelf_for(t, &t->rows[i]);
        s->rows = dz_realloc(s->rows, (s->n + 1) * sizeof(struct row *));
        s->rows[s->n++] = &t->rows[i];
    }
    for (size_t i = 0; i < t->shelves_n; i++)
        if (t->shelves[i].n > 1)
            qsort(t->shelves[i].rows, t->shelves[i].n, sizeof(struct row *), by_literalness);
    return t;
}

void dz_http_routes_free(struct dz_http_routes **t)
{
    struct dz_http_routes *gone = dz_take(t);
    if (!gone)
        return;
    for (size_t i = 0; i < gone->shelves_n; i++)
        dz_freep(&gone->shelves[i].rows);
    dz_freep(&gone->shelves);
    dz_freep(&gone->rows);
    dz_freep(&gone);
}

unsigned dz_http_routes_methods(const struct dz_http_routes *t)
{
    return t->methods;
}

void dz_http_path_split(dz_str raw, bool escaped, char *dst, struct dz_http_path *ret_path)
{
    size_t n = 0, at = 1; /* behind the first slash */
    uint32_t length = 1;
    if (escaped)
        dst[0] = '/';
    for (;;) {
        dz_str segment = dz_str_sub(raw, at, raw.n);
        const char *slash = segment.n ? memchr(segment.p, '/', segment.n) : NULL;
        if (slash)
            segment.n = (size_t)(slash - segment.p);
        length += (uint32_t)(escaped ? dz_http_percent_decode(segment, dst + length) : segment.n);
        if (n < HTTP_SEGMENTS_MAX)
            ret_path->end[n] = length;
        n++;
        if (!slash)
            break;
        if (escaped)
            dst[length] = '/';
        length++;
        at += segment.n + 1;
    }
    ret_path->segments_n = n <= HTTP_SEGMENTS_MAX ? n : HTTP_SEGMENTS_MAX + 1;
    ret_path->text = (dz_str){escaped ? dst : raw.p, length};
}

static dz_str segment_of(const struct dz_http_path *path, size_t i)
{
    return dz_str_sub(path->text, i ? path->end[i - 1] + 1 : 1, path->end[i]);
}

/* `from`: segments before it are known to fit, and are literal. */
static bool fits(const struct row *row, size_t from, const struct dz_http_path *path,
                 dz_str capture[DZ_HTTP_CAPTURES_MAX])
{
    bool rest = row->segment[row->n - 1].kind == REST;
    if (rest ? path->segments_n < row->n : path->segments_n != row->n)
        return false;
    unsigned captured = 0;
    for (size_t i = from; i < row->n; i++) {
        const struct segment *s = &row->segment[i];
        dz_str text = segment_of(path, i);
        if (s->kind == LITERAL) {
            if (!dz_str_eq(text, s->text))
                return false;
            continue;
        }
        if (s->kind == REST)
            text.n = (size_t)(path->text.p + path->text.n - text.p);
        if (text.n == 0)
            return false;
        capture[captured++] = text;
    }
    return true;
}

static const struct dz_http_route *find_in(const struct shelf *s, size_t from,
                                           enum dz_http_method method,
                                           const struct dz_http_path *path,
                                           dz_str capture[DZ_HTTP_CAPTURES_MAX], unsigned *allowed,
                                           bool *closed)
{
    for (size_t i = 0; i < s->n && !*closed; i++) {
        if (!fits(s->rows[i], from, path, capture))
            continue;
        if (s->rows[i]->methods & method)
            return s->rows[i]->route;
        *allowed |= s->rows[i]->methods;
        *closed = s->rows[i]->methods == 0;
    }
    return NULL;
}

const struct dz_http_route *dz_http_routes_find(const struct dz_http_routes *t,
                                                enum dz_http_method method,
                                                const struct dz_http_path *path,
                                                dz_str capture[DZ_HTTP_CAPTURES_MAX],
                                                unsigned *ret_allowed)
{
    *ret_allowed = 0;
    bool closed = false;
    const struct shelf *s = shelf_of(t, segment_of(path, 0));
    const struct dz_http_route *found =
        s ? find_in(s, 1, method, path, capture, ret_allowed, &closed) : NULL;
    if (!found)
        found = find_in(&t->shelves[0], 0, method, path, capture, ret_allowed, &closed);
    if (!found)
        memset(capture, 0, DZ_HTTP_CAPTURES_MAX * sizeof(*capture));
    return found;
}

void dz_http_put_methods(struct dz_buf *b, unsigned methods)
{
    static const struct {
        enum dz_http_method method;
        dz_str name;
    } rows[] = {
        {DZ_HTTP_DELETE, DZ_S("DELETE")}, {DZ_HTTP_GET, DZ_S("GET")},
        {DZ_HTTP_HEAD, DZ_S("HEAD")},     {DZ_HTTP_OPTIONS, DZ_S("OPTIONS")},
        {DZ_HTTP_PATCH, DZ_S("PATCH")},   {DZ_HTTP_POST, DZ_S("POST")},
        {DZ_HTTP_PUT, DZ_S("PUT")},
    };
    methods = with_implied(methods) | DZ_HTTP_OPTIONS;
    bool first = true;
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        if (!(methods & rows[i].method))
            continue;
        if (!first)
            dz_buf_put(b, DZ_S(", "));
        dz_buf_put(b, rows[i].name);
        first = false;
    }
}
