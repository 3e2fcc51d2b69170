/*
 * call_refs: which site an address belongs to, and what it means there.
 *
 * In: addresses, sites and ids as people and scripts give them. Out: a source and an id, or the
 * words of contracts/nagato.md 4.3 that say why there is none. Nothing here guesses: the source's
 * resolve decides. Crawler's loop; lists are worked off one after another, at the pace of the
 * sites.
 */
#include <stdlib.h>

#include "crawl/call_int.h"

#define BAD_BODY "Content of request is not well-formed JSON"

json_t *call_json(dz_str s)
{
    json_t *v = json_stringn(s.p ? s.p : "", s.n);
    return v ? v : json_null();
}

static bool is_offered(const struct dz_source_info *i)
{
    return i->enabled && (i->has[DZ_FN_RESOLVE] || i->has[DZ_FN_CHAPTERS]);
}

struct dz_source *call_offered(const struct call *c, dz_str site)
{
    struct dz_source *s = dz_sources_find(call_env(c)->sources, site);
    return s && is_offered(dz_source_info_of(s)) ? s : NULL;
}

struct dz_source *call_source_of(struct call *c, dz_str site)
{
    struct dz_source *s = call_offered(c, site);
    if (s)
        return s;
    call_refuse_words(c, DZ_SOURCE_NOT_FOUND, "No downloader found for site \"%.*s\"",
                      (int)(site.n < 500 ? site.n : 500), site.p ? site.p : "");
    return NULL;
}

dz_str call_site(const struct call *c)
{
    const json_t *refs = json_object_get(c->args, "refs");
    const json_t *ref = refs ? json_array_get(refs, 0) : c->args;
    dz_str url = dz_json_text_at(ref, "url");
    const struct dz_source *s = url.n > 0 ? dz_sources_match(call_env(c)->sources, url) : NULL;
    return s ? dz_source_info_of(s)->id : dz_json_text_at(ref, "site");
}

static bool is_id(dz_str id)
{
    return id.n > 0 && id.n <= DZ_SOURCE_ID_MAX;
}

/* ---- one ref --------------------------------------------------------------------------------- */

static void go_on(struct call *c, dz_str id)
{
    c->ref.id = dz_arena_str(c->arena, id);
    c->resolved(c);
}

static void on_series(struct call *c, const struct dz_source_result *r)
{
    if (r->fail)
        call_refuse(c, r->fail);
    else
        go_on(c, dz_json_text(r->value));
}

static void on_resolved(struct call *c, const struct dz_source_result *r)
{
    dz_str id = dz_json_text_at(r->value, "id"), kind = dz_json_text_at(r->value, "kind");
    bool chapter = dz_str_eq(kind, DZ_S("chapter"));
    const char *name = dz_source_info_of(c->ref.source)->name.p;
    if (r->fail)
        call_refuse(c, r->fail);
    else if (id.n == 0)
        call_refuse_words(c, DZ_SOURCE_BAD_URL, "The URL does not link to any %s of %.100s",
                          c->wants_chapter ? "chapter" : "series nor chapter", name);
    else if (c->wants_chapter && !chapter)
        call_refuse_words(c, DZ_SOURCE_BAD_URL, "The URL does not link to any chapter of %.100s",
                          name);
    else if (!c->wants_chapter && chapter)
        call_ask(c, c->ref.source, DZ_FN_SERIES_OF, json_pack("[o]", call_json(id)), on_series);
    else
        go_on(c, id);
}

static void resolve_url(struct call *c, dz_str url)
{
    struct dz_source *s = dz_sources_match(call_env(c)->sources, url);
    char shown[DZ_URL_SHOWN_MAX];
    if (!s || !is_offered(dz_source_info_of(s))) {
        call_refuse_words(c, DZ_SOURCE_NOT_FOUND, "No downloader found for URL \"%s\"",
                          dz_url_show(url, shown));
        return;
    }
    c->ref =
        (struct call_ref){.source = s, .site = dz_arena_str(c->arena, dz_source_info_of(s)->id)};
    call_ask(c, s, DZ_FN_RESOLVE,
             json_pack("[o,s]", call_json(url), c->wants_chapter ? "chapter" : "series"),
             on_resolved);
}

void call_resolve(struct call *c, const json_t *ref, bool chapter, void (*then)(struct call *c))
{
    dz_str url = dz_json_text_at(ref, "url"), site = dz_json_text_at(ref, "site"),
           id = dz_json_text_at(ref, "id");
    c->wants_chapter = chapter;
    c->resolved = then;
    if (url.n > 0) {
        resolve_url(c, url);
        return;
    }
    struct dz_source *s = call_source_of(c, site);
    if (!s)
        return;
    if (!is_id(id)) {
        call_refuse_words(c, DZ_SOURCE_BAD_URL, "An id is a text of 1 to %u bytes",
                          DZ_SOURCE_ID_MAX);
        return;
    }
    c->ref = (struct call_ref){.source = s, .site = dz_arena_str(c->arena, site)};
    go_on(c, id);
}

static json_t *ref_json(const struct call *c)
{
    return json_pack("{s:o,s:o}", "site", call_json(c->ref.site), "id", call_json(c->ref.id));
}

/* ---- the calls ------------------------------------------------------------------------------- */

static json_t *texts(const dz_str *v, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, call_json(v[i]));
    return list;
}

static json_t *source_json(const struct dz_source_info *i)
{
    json_t *functions = json_array();
    for (unsigned f = 0; f < DZ_FN_COUNT; f++)
        if (i->has[f])
            json_array_append_new(functions, json_string(dz_source_fn_name(f)));
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "id", call_json(i->id), "name",
                     call_json(i->name), "site", call_json(i->id), "match",
                     texts(i->match, i->match_n), "langs", texts(i->langs, i->langs_n), "functions",
                     functions);
}

/* Longest first: the order in which addresses are looked up. */
static int by_length(const void *x, const void *y)
{
    const struct dz_source_info *a = *(const struct dz_source_info *const *)x;
    const struct dz_source_info *b = *(const struct dz_source_info *const *)y;
    if (a->id.n != b->id.n)
        return a->id.n > b->id.n ? -1 : 1;
    return dz_str_cmp(a->id, b->id);
}

static void begin_sources(struct call *c)
{
    const struct dz_sources *all = call_env(c)->sources;
    size_t n = 0;
    const struct dz_source_info **v =
        dz_arena_alloc(c->arena, (dz_sources_count(all) + 1) * sizeof(struct dz_source_info *));
    for (size_t i = 0; i < dz_sources_count(all); i++)
        if (is_offered(dz_source_info_of(dz_sources_at(all, i))))
            v[n++] = dz_source_info_of(dz_sources_at(all, i));
    qsort(v, n, sizeof(struct dz_source_info *), by_length);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, source_json(v[i]));
    call_answer(c, list);
}

static void begin_site(struct call *c)
{
    const struct dz_source *s =
        dz_sources_match(call_env(c)->sources, dz_json_text_at(c->args, "url"));
    bool known = s && is_offered(dz_source_info_of(s));
    call_answer(
        c, json_pack("{s:o}", "site", known ? call_json(dz_source_info_of(s)->id) : json_null()));
}

static void answer_ref(struct call *c)
{
    call_answer(c, ref_json(c));
}

static void begin_series_id(struct call *c)
{
    call_resolve(c, c->args, false, answer_ref);
}

static void begin_chapter_id(struct call *c)
{
    call_resolve(c, c->args, true, answer_ref);
}

static void begin_look(struct call *c)
{
    dz_crawler_poke(c->calls->crawler);
    call_answer(c, NULL);
}

/* ---- lists ----------------------------------------------------------------------------------- */

struct list {
    size_t at;
    json_t *seen; /* "site id" → true; of c->made */
    json_t *out;
};

static struct list *list_new(struct call *c)
{
    struct list *l = dz_arena_alloc(c->arena, sizeof(*l));
    *l = (struct list){.seen = json_object(), .out = json_array()};
    c->made = json_pack("[o,o]", l->seen, l->out);
    c->state = l;
    return l;
}

static void put_ref(struct call *c)
{
    struct list *l = c->state;
    dz_str key =
        dz_arena_printf(c->arena, "%.*s %.*s", DZ_STR_FMT(c->ref.site), DZ_STR_FMT(c->ref.id));
    if (json_object_get(l->seen, key.p))
        return;
    json_object_set_new(l->seen, key.p, json_true());
    json_array_append_new(l->out, ref_json(c));
}

static void next_url(struct call *c);

static void on_url(struct call *c)
{
    put_ref(c);
    next_url(c);
}

static void next_url(struct call *c)
{
    struct list *l = c->state;
    const json_t *urls = json_object_get(c->args, "urls");
    if (l->at >= json_array_size(urls)) {
        call_answer(c, json_incref(l->out));
        return;
    }
    const json_t *url = json_array_get(urls, l->at++);
    c->wants_chapter = true;
    c->resolved = on_url;
    resolve_url(c, dz_json_text(url));
}

static bool are_texts(const json_t *list, size_t max_bytes)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        size_t n = json_string_length(json_array_get(list, i));
        if (n == 0 || n > max_bytes)
            return false;
    }
    return json_is_array(list) && json_array_size(list) <= CALL_LIST_MAX;
}

/* Whether `refs` may go through its arguments without looking. */
static bool refs_are_good(const json_t *sites, const json_t *urls)
{
    const char *site;
    json_t *ids;
    size_t n = 0;
    json_object_foreach((json_t *)(uintptr_t)sites, site, ids)
    {
        n += json_array_size(ids);
        if (!are_texts(ids, DZ_SOURCE_ID_MAX) || n > CALL_LIST_MAX)
            return false;
    }
    return (!sites || json_is_null(sites) || json_is_object(sites)) &&
           (!urls || json_is_null(urls) || are_texts(urls, DZ_FETCH_URL_MAX));
}

static void begin_refs(struct call *c)
{
    const json_t *sites = json_object_get(c->args, "sites"),
                 *urls = json_object_get(c->args, "urls");
    if (!refs_are_good(sites, urls)) {
        call_refuse_words(c, DZ_SOURCE_BAD_URL, BAD_BODY);
        return;
    }
    (void)list_new(c);
    const char *site;
    json_t *ids;
    json_object_foreach((json_t *)(uintptr_t)sites, site, ids)
    {
        if (!call_source_of(c, dz_str_of(site)))
            return;
        c->ref.site = dz_str_of(site);
        for (size_t i = 0; i < json_array_size(ids); i++) {
            c->ref.id = dz_json_text(json_array_get(ids, i));
            put_ref(c);
        }
    }
    next_url(c);
}

static void next_series_of(struct call *c);

static void on_series_of(struct call *c, const struct dz_source_result *r)
{
    struct list *l = c->state;
    if (r->fail) {
        call_refuse(c, r->fail);
        return;
    }
    json_array_append(l->out, r->value);
    next_series_of(c);
}

static void ask_series_of(struct call *c)
{
    call_ask(c, c->ref.source, DZ_FN_SERIES_OF, json_pack("[o]", call_json(c->ref.id)),
             on_series_of);
}

static void next_series_of(struct call *c)
{
    struct list *l = c->state;
    const json_t *refs = json_object_get(c->args, "refs");
    if (l->at < json_array_size(refs))
        call_resolve(c, json_array_get(refs, l->at++), true, ask_series_of);
    else
        call_answer(c, json_incref(l->out));
}

static void begin_series_of(struct call *c)
{
    if (json_array_size(json_object_get(c->args, "refs")) > CALL_LIST_MAX) {
        call_refuse_words(c, DZ_SOURCE_BAD_URL, "more than %u chapters", CALL_LIST_MAX);
        return;
    }
    (void)list_new(c);
    next_series_of(c);
}

const struct call_kind call_kinds_refs[] = {
    {"sources", true, begin_sources},
    {"site", true, begin_site},
    {"look", true, begin_look},
    {"series_id", false, begin_series_id},
    {"chapter_id", false, begin_chapter_id},
    {"series_of", false, begin_series_of},
    {"refs", false, begin_refs},
    {0},
};
