/*
 * statics: the reader's style sheet, script and icon, and GraphiQL, GET /static/NAME?v=VERSION.
 *
 * In: the files that tools/embed.py compiled in. Out: one prepared answer for each file, encoding
 * and caching rule, made when the server starts (some milliseconds for some kilobytes) and only
 * read afterwards, by all loops; those of large files, which were compressed when the program was
 * built, when they are first asked for. The api frees them. The version in the address makes a file
 * immutable; without it clients ask again. Files under 500 bytes have no encodings.
 */
#include "api/api_int.h"

#include <stdlib.h>

enum { REVALIDATED, IMMUTABLE, RULES };

struct ready {
    struct dz_snap_list *text; /* the file in all its encodings */
    /* Written once each. */
    _Atomic(struct dz_body *) answer[DZ_SNAP_ENCODINGS][RULES];
};

struct statics {
    struct ready *v; /* as static_files */
};

static struct dz_body *prepare(const struct static_file *f, dz_str bytes,
                               const struct ready_encoding *e, bool immutable)
{
    static const struct dz_http_header_line lines[] = {
        {{"X-Content-Type-Options", 22}, {"nosniff", 7}}};
    char etag[48];
    int n = snprintf(etag, sizeof etag, "\"%s%s\"", f->version, e->suffix);
    struct dz_http_meta m = {.content_type = dz_str_of(f->mime),
                             .etag = {etag, (size_t)n},
                             .content_encoding = dz_str_of(e->name),
                             .cache_control = immutable ? CACHE_FOREVER : CACHE_REVALIDATE,
                             .vary_encoding = true,
                             .last_modified_s = -1,
                             .extra = lines,
                             .extra_n = DZ_LEN(lines)};
    return dz_http_prepare(&m, bytes, bytes.n);
}

static enum dz_code make(const struct static_file *f, struct ready *r, struct dz_err *err)
{
    if (f->gzip.n > 0)
        return DZ_OK;
    struct dz_body *text = dz_body_new(f->bytes.n);
    memcpy(text->p, f->bytes.p, f->bytes.n);
    r->text = dz_snap_list_new(text, dz_str_of(f->version));
    DZ_TRY(dz_snap_list_encode(r->text, NULL, NULL, err));
    for (size_t i = 0; i < DZ_LEN(ready_encodings); i++) {
        const struct ready_encoding *e = &ready_encodings[i];
        const struct dz_body *body = dz_snap_list_body(r->text, e->at);
        for (int rule = 0; rule < RULES && body; rule++)
            r->answer[e->at][rule] = prepare(f, (dz_str){body->p, body->n}, e, rule == IMMUTABLE);
    }
    return DZ_OK;
}

/* The answer of a large file; of two loops that make it at once one throws its own away. */
static struct dz_body *large_answer(struct dz_http_req *r, const struct static_file *f,
                                    struct ready *ready, int rule)
{
    enum dz_http_encoding liked = dz_http_choose_encoding(r, DZ_HTTP_GZIP | DZ_HTTP_IDENTITY);
    const struct ready_encoding *e = ready_encodings;
    while (e->bit != liked)
        e++;
    _Atomic(struct dz_body *) *place = &ready->answer[e->at][rule];
    struct dz_body *there = atomic_load_explicit(place, memory_order_acquire);
    if (there)
        return there;
    struct dz_body *made =
        prepare(f, liked == DZ_HTTP_GZIP ? f->gzip : f->bytes, e, rule == IMMUTABLE);
    if (atomic_compare_exchange_strong(place, &there, made))
        return made;
    dz_body_unref(&made);
    return there;
}

enum dz_code statics_new(struct statics **ret_s, struct dz_err *err)
{
    DZ_AUTO(statics_free) struct statics *s = dz_new(struct statics);
    s->v = dz_zalloc(static_files_n * sizeof(*s->v));
    for (size_t i = 0; i < static_files_n; i++)
        DZ_TRY(make(&static_files[i], &s->v[i], err));
    *ret_s = dz_take(&s);
    return DZ_OK;
}

void statics_free(struct statics **ps)
{
    struct statics *s = dz_take(ps);
    if (!s)
        return;
    for (size_t i = 0; i < static_files_n; i++) {
        for (int e = 0; e < DZ_SNAP_ENCODINGS; e++)
            for (int rule = 0; rule < RULES; rule++) {
                struct dz_body *b = s->v[i].answer[e][rule];
                dz_body_unref(&b);
            }
        dz_snap_list_unref(&s->v[i].text);
    }
    free(s->v);
    free(s);
}

void handle_static(struct dz_http_req *r)
{
    if (answered_for_shelf_host(r))
        return;
    const struct static_file *f = static_find(r->capture[0]);
    if (!f) {
        answer_not_found(r);
        return;
    }
    dz_str v;
    bool named = dz_http_query(r, DZ_S("v"), &v) && dz_str_eq(v, dz_str_of(f->version));
    int rule = named ? IMMUTABLE : REVALIDATED;
    struct ready *ready = &((struct dz_api *)r->app)->statics->v[f - static_files];
    if (f->gzip.n > 0) {
        dz_http_reply_prepared(r, large_answer(r, f, ready, rule));
        return;
    }
    const struct ready_encoding *e = choose_ready(r, ready->text);
    dz_http_reply_prepared(r, ready->answer[e->at][rule]);
}
