/*
 * marks: marks of chapters and favourite series (contracts/nagato.md 4).
 *
 * All of it lies in the catalog; a source is asked only for what nobody knows yet: the series of a
 * chapter that gets its first mark, what an address means, and the series' objects of
 * /api/manga/favs?includeInfo=true. A request changes all of its chapters or none.
 */
#include "api/nagato_int.h"

/* ---- what others need as well ---------------------------------------------------------------- */

const char *mark_name(char mark)
{
    return mark == DZ_MARK_DOWNLOADED ? "DOWNLOADED" : mark == DZ_MARK_IGNORED ? "IGNORED" : NULL;
}

/* Of the refs of one site, which are those at `at`. */
static enum dz_code marks_of_site(struct ask *a, const struct ask_ref *refs, const size_t *at,
                                  size_t n, char *ret_marks, struct dz_err *err)
{
    dz_str *ids = dz_arena_alloc(a->arena, n * sizeof(*ids));
    struct dz_mark_rec *found = NULL;
    size_t found_n = 0, k = 0;
    for (size_t i = 0; i < n; i++)
        ids[i] = refs[at[i]].id;
    DZ_TRY(
        dz_catalog_marks_of(a->catalog, refs[at[0]].site, ids, n, a->arena, &found, &found_n, err));
    for (size_t i = 0; i < n && k < found_n; i++)
        if (dz_str_eq(found[k].chapter, ids[i]))
            ret_marks[at[i]] = found[k++].mark;
    return DZ_OK;
}

enum dz_code marks_of_refs(struct ask *a, const struct ask_ref *refs, size_t n, char *ret_marks,
                           struct dz_err *err)
{
    size_t *at = dz_arena_alloc(a->arena, (n + 1) * sizeof(*at));
    bool *seen = dz_arena_alloc(a->arena, n + 1);
    memset(seen, 0, n + 1);
    memset(ret_marks, 0, n);
    for (size_t i = 0; i < n; i++) {
        size_t same = 0;
        for (size_t k = i; k < n && !seen[i]; k++)
            if (!seen[k] && dz_str_eq(refs[k].site, refs[i].site))
                at[same++] = k;
        for (size_t k = 0; k < same; k++)
            seen[at[k]] = true;
        if (same > 0)
            DZ_TRY(marks_of_site(a, refs, at, same, ret_marks, err));
    }
    return DZ_OK;
}

enum dz_code is_favourite(struct ask *a, struct ask_ref ref, bool *ret_is, struct dz_err *err)
{
    struct dz_favourite_rec *v = NULL;
    size_t n = 0;
    DZ_TRY(dz_catalog_favourites(a->catalog, ref.site, a->arena, &v, &n, err));
    *ret_is = false;
    for (size_t i = 0; i < n; i++)
        *ret_is |= dz_str_eq(v[i].series, ref.id);
    return DZ_OK;
}

static void put_mark(struct dz_json *j, char mark)
{
    const char *name = mark_name(mark);
    if (name)
        dz_json_str(j, dz_str_of(name));
    else
        dz_json_null(j);
}

static void reply_done(struct ask *a)
{
    ask_reply_empty(a, 200);
}

/* ---- reading marks --------------------------------------------------------------------------- */

static enum dz_code write_mark(struct ask *a, struct dz_err *err)
{
    char mark = 0;
    struct dz_json j;
    DZ_TRY(marks_of_refs(a, a->refs, 1, &mark, err));
    ask_json(a, &j);
    put_mark(&j, mark);
    return DZ_OK;
}

static void selected_mark(struct ask *a)
{
    ask_work(a, write_mark, ask_reply_written);
}

void handle_api_chapter_mark(struct dz_http_req *r)
{
    struct ask *a = ask_new(r);
    if (a)
        ask_ref_local(a, "chapter_id", true, selected_mark);
}

static enum dz_code write_marked(struct ask *a, struct dz_err *err)
{
    struct dz_mark_rec *v = NULL;
    size_t n = 0;
    struct dz_json j;
    DZ_TRY(dz_catalog_marks_of_series(a->catalog, a->refs[0].site, a->refs[0].id, a->arena, &v, &n,
                                      err));
    ask_json(a, &j);
    dz_json_object(&j);
    for (size_t i = 0; i < n; i++) {
        dz_json_key(&j, v[i].chapter);
        put_mark(&j, v[i].mark);
    }
    dz_json_end(&j);
    return DZ_OK;
}

static void selected_marked(struct ask *a)
{
    ask_work(a, write_marked, ask_reply_written);
}

void handle_api_manga_marked(struct dz_http_req *r)
{
    struct ask *a = ask_new(r);
    if (a)
        ask_ref_local(a, "series_id", true, selected_marked);
}

/* ---- setting marks --------------------------------------------------------------------------- */

struct marking {
    char mark;
    struct dz_mark_rec *recs; /* one a ref */
    size_t *fresh;            /* those without a mark so far: their series is asked for */
    size_t fresh_n;
};

/* NULL: answered. */
static struct ask *begin_marking(struct dz_http_req *r)
{
    struct ask *a = ask_new(r);
    if (!a)
        return NULL;
    struct marking *m = a->own = dz_arena_alloc(a->arena, sizeof(*m));
    *m = (struct marking){0};
    if (dz_str_eq(r->capture[0], DZ_S("DOWNLOADED")))
        m->mark = DZ_MARK_DOWNLOADED;
    else if (dz_str_eq(r->capture[0], DZ_S("IGNORED")))
        m->mark = DZ_MARK_IGNORED;
    if (m->mark)
        return a;
    ask_reply_words(a, 400, "Invalid mark: ", r->capture[0], "");
    return NULL;
}

static enum dz_code store_marks(struct ask *a, struct dz_err *err)
{
    struct marking *m = a->own;
    enum dz_code code = dz_catalog_marks_put(a->catalog, m->recs, a->refs_n, err);
    /* Somebody took the mark of one away since it was looked at. */
    return code == DZ_NOT_FOUND ? dz_fail(err, DZ_UNAVAILABLE, "marks changed meanwhile") : code;
}

/* Stores at once when there is nobody to be asked. */
static enum dz_code look_at_marks(struct ask *a, struct dz_err *err)
{
    struct marking *m = a->own;
    char *marks = dz_arena_alloc(a->arena, a->refs_n);
    DZ_TRY(marks_of_refs(a, a->refs, a->refs_n, marks, err));
    m->recs = dz_arena_alloc(a->arena, a->refs_n * sizeof(*m->recs));
    m->fresh = dz_arena_alloc(a->arena, a->refs_n * sizeof(*m->fresh));
    for (size_t i = 0; i < a->refs_n; i++) {
        m->recs[i] = (struct dz_mark_rec){
            .source = a->refs[i].site, .chapter = a->refs[i].id, .mark = m->mark};
        if (!marks[i])
            m->fresh[m->fresh_n++] = i;
    }
    return m->fresh_n > 0 ? DZ_OK : store_marks(a, err);
}

static void reply_created(struct ask *a)
{
    ask_reply_empty(a, 201);
}

static void got_series_of(struct ask *a)
{
    struct marking *m = a->own;
    bool good = json_array_size(a->value) == m->fresh_n;
    for (size_t i = 0; i < m->fresh_n && good; i++) {
        dz_str series = dz_json_text(json_array_get(a->value, i));
        m->recs[m->fresh[i]].series = series;
        good = series.n > 0;
    }
    if (good)
        ask_work(a, store_marks, reply_created);
    else
        ask_reply_nonsense(a);
}

static void marks_looked_at(struct ask *a)
{
    struct marking *m = a->own;
    if (m->fresh_n == 0) {
        reply_created(a);
        return;
    }
    json_t *refs = json_array();
    for (size_t i = 0; i < m->fresh_n; i++)
        json_array_append_new(refs, json_ref(&a->refs[m->fresh[i]]));
    ask_more_time(a, m->fresh_n);
    ask_call(a, "series_of", json_pack("{so}", "refs", refs), got_series_of);
}

static void selected_to_mark(struct ask *a)
{
    if (a->refs_n == 0)
        ask_reply_empty(a, 200);
    else
        ask_work(a, look_at_marks, marks_looked_at);
}

void handle_api_put_chapter_mark(struct dz_http_req *r)
{
    struct ask *a = begin_marking(r);
    if (a)
        ask_ref_local(a, "chapter_id", true, selected_to_mark);
}

void handle_api_put_chapters_mark(struct dz_http_req *r)
{
    struct ask *a = begin_marking(r);
    if (a)
        ask_refs(a, true, selected_to_mark);
}

/* ---- taking marks away ----------------------------------------------------------------------- */

static enum dz_code remove_marks(struct ask *a, struct dz_err *err)
{
    struct dz_mark_rec *v = dz_arena_alloc(a->arena, (a->refs_n + 1) * sizeof(*v));
    for (size_t i = 0; i < a->refs_n; i++)
        v[i] = (struct dz_mark_rec){.source = a->refs[i].site, .chapter = a->refs[i].id};
    return a->refs_n > 0 ? dz_catalog_marks_del(a->catalog, v, a->refs_n, err) : DZ_OK;
}

static void selected_to_unmark(struct ask *a)
{
    ask_work(a, remove_marks, reply_done);
}

void handle_api_delete_chapter_mark(struct dz_http_req *r)
{
    struct ask *a = ask_new(r);
    if (a)
        ask_ref_local(a, "chapter_id", true, selected_to_unmark);
}

void handle_api_delete_chapters_mark(struct dz_http_req *r)
{
    struct ask *a = ask_new(r);
    if (a)
        ask_refs(a, true, selected_to_unmark);
}

/* ---- one favourite --------------------------------------------------------------------------- */

static enum dz_code write_favourite(struct ask *a, struct dz_err *err)
{
    bool is = false;
    struct dz_json j;
    DZ_TRY(is_favourite(a, a->refs[0], &is, err));
    ask_json(a, &j);
    dz_json_bool(&j, is);
    return DZ_OK;
}

static void selected_favourite(struct ask *a)
{
    ask_work(a, write_favourite, ask_reply_written);
}

void handle_api_manga_fav(struct dz_http_req *r)
{
    struct ask *a = ask_new(r);
    if (a)
        ask_ref_local(a, "series_id", true, selected_favourite);
}

static enum dz_code add_favourite(struct ask *a, struct dz_err *err)
{
    bool *is_new = a->own = dz_arena_alloc(a->arena, sizeof(*is_new));
    return dz_catalog_favourite_put(a->catalog, a->refs[0].site, a->refs[0].id, dz_now_ms(), is_new,
                                    err);
}

static void reply_added(struct ask *a)
{
    const bool *is_new = a->own;
    ask_reply_empty(a, *is_new ? 201 : 200);
}

static void selected_new_favourite(struct ask *a)
{
    ask_work(a, add_favourite, reply_added);
}

/* Strict: a favourite of a site that nobody knows would stay for ever. */
void handle_api_put_manga_fav(struct dz_http_req *r)
{
    struct ask *a = ask_new(r);
    if (a)
        ask_ref_local(a, "series_id", false, selected_new_favourite);
}

static enum dz_code remove_favourite(struct ask *a, struct dz_err *err)
{
    bool was;
    return dz_catalog_favourite_del(a->catalog, a->refs[0].site, a->refs[0].id, &was, err);
}

static void selected_old_favourite(struct ask *a)
{
    ask_work(a, remove_favourite, reply_done);
}

void handle_api_delete_manga_fav(struct dz_http_req *r)
{
    struct ask *a = ask_new(r);
    if (a)
        ask_ref_local(a, "series_id", true, selected_old_favourite);
}

/* ---- all favourites -------------------------------------------------------------------------- */

struct favourites {
    struct dz_favourite_rec *v;
    size_t n;
    struct ask_call *calls; /* with includeInfo: of those whose site has a source, in order */
    size_t calls_n;
    bool *asked; /* one each */
};

static enum dz_code read_favourites(struct ask *a, struct dz_err *err)
{
    struct favourites *f = a->own;
    dz_str site = a->sites_n > 0 ? a->sites[0] : (dz_str){NULL, 0};
    return dz_catalog_favourites(a->catalog, site, a->arena, &f->v, &f->n, err);
}

/* Those of one site, from i on; returns the first of the next. One that its site has no more is
 * left out where infos are wanted: clients of the original know only mangas there. */
static size_t put_site(struct dz_json *j, const struct favourites *f, size_t i, size_t *call)
{
    dz_str site = f->v[i].source;
    bool asked = f->asked && f->asked[i];
    dz_json_key(j, site);
    if (asked)
        dz_json_object(j);
    else
        dz_json_array(j);
    for (; i < f->n && dz_str_eq(f->v[i].source, site); i++) {
        const json_t *said = asked ? f->calls[(*call)++].value : NULL;
        if (!asked) {
            dz_json_str(j, f->v[i].series);
        } else if (said) {
            dz_json_key(j, f->v[i].series);
            put_json(j, json_object_get(said, "info"));
        }
    }
    dz_json_end(j);
    return i;
}

static enum dz_code write_favourites(struct ask *a, struct dz_err *err)
{
    const struct favourites *f = a->own;
    struct dz_json j;
    size_t call = 0;
    (void)err;
    ask_json(a, &j);
    dz_json_object(&j);
    if (f->n == 0 && a->sites_n > 0) {
        dz_json_key(&j, a->sites[0]);
        dz_json_array(&j);
        dz_json_end(&j);
    }
    for (size_t i = 0; i < f->n;)
        i = put_site(&j, f, i, &call);
    dz_json_end(&j);
    return DZ_OK;
}

static void write_all(struct ask *a)
{
    ask_work(a, write_favourites, ask_reply_written);
}

static void ask_about_all(struct ask *a)
{
    struct favourites *f = a->own;
    f->calls = dz_arena_alloc(a->arena, (f->n + 1) * sizeof(*f->calls));
    f->asked = dz_arena_alloc(a->arena, f->n + 1);
    for (size_t i = 0; i < f->n; i++) {
        struct ask_ref ref = {f->v[i].source, f->v[i].series};
        f->asked[i] = i > 0 && dz_str_eq(f->v[i - 1].source, ref.site) ? f->asked[i - 1]
                                                                       : site_is_known(a, ref.site);
        if (f->asked[i])
            f->calls[f->calls_n++] =
                (struct ask_call){.name = "series", .args = json_ref(&ref), .may_be_gone = true};
    }
    ask_more_time(a, f->calls_n);
    ask_calls(a, f->calls, f->calls_n, write_all);
}

static void favourites_read(struct ask *a)
{
    if (ask_flag(a, DZ_S("includeInfo")))
        ask_sources(a, ask_about_all);
    else
        write_all(a);
}

static void selected_favourites(struct ask *a)
{
    struct favourites *f = a->own = dz_arena_alloc(a->arena, sizeof(*f));
    *f = (struct favourites){0};
    ask_work(a, read_favourites, favourites_read);
}

void handle_api_manga_favs(struct dz_http_req *r)
{
    struct ask *a = ask_new(r);
    if (a)
        ask_site(a, true, selected_favourites);
}
