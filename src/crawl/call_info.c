/*
 * call_info: what sources say of series and chapters, in the shape of the library API.
 *
 * In: a ref. Out: the objects of contracts/nagato.md 4.1, in its order of members, a cover as
 * base64, search results. What the contract has no place for (a volume that is no whole number, a
 * chapter without a number) is null there, and said in the log. Crawler's loop.
 */
#include <openssl/evp.h>
#include <stdlib.h>

#include "crawl/call_int.h"

static const struct dz_log_ctx ctx = {.room = "crawl", .what = "calls"};

#define SEARCH_TEXT_MAX 1000u

static void copy(json_t *to, const json_t *from, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        json_t *v = json_object_get(from, names[i]);
        json_object_set(to, names[i], v ? v : json_null());
    }
}

json_t *call_series_info(const json_t *series)
{
    static const char *const names[] = {"id",      "site",    "title",  "alt_titles", "description",
                                        "authors", "artists", "genres", "tags",       "lang",
                                        "links",   "date",    "rating", "status"};
    json_t *o = json_object();
    copy(o, series, names, DZ_LEN(names));
    return o;
}

static json_t *number(const json_t *chapter, const char *name, bool whole, dz_str site)
{
    json_t *v = json_object_get(chapter, name);
    if (json_is_integer(v) || (json_is_real(v) && !whole))
        return json_incref(v);
    dz_str id = dz_json_text_at(chapter, "id");
    if (v && !json_is_null(v))
        dz_log(&ctx, DZ_INFO, "%.*s: chapter %.*s has a %s that is no %snumber", DZ_STR_FMT(site),
               DZ_STR_FMT(id), name, whole ? "whole " : "");
    return json_null();
}

json_t *call_chapter_info(const json_t *chapter, dz_str site)
{
    static const char *const names[] = {"title", "lang", "pages", "team", "date", "id"};
    json_t *o = json_pack("{s:o,s:o}", "volume", number(chapter, "volume", true, site), "chapter",
                          number(chapter, "chapter", false, site));
    copy(o, chapter, names, DZ_LEN(names));
    json_t *series = json_object_get(chapter, "series");
    json_object_set(o, "manga", series ? series : json_null());
    return o;
}

static json_t *id_args(const struct call *c)
{
    return json_pack("[o]", call_json(c->ref.id));
}

static void answer_with(struct call *c, const char *name, json_t *take_value)
{
    call_answer(c, json_pack("{s:o,s:o,s:o}", "site", call_json(c->ref.site), "id",
                             call_json(c->ref.id), name, take_value));
}

/* ---- series, chapter, chapters --------------------------------------------------------------- */

static void on_series(struct call *c, const struct dz_source_result *r)
{
    if (r->fail)
        call_refuse(c, r->fail);
    else
        answer_with(c, "info", call_series_info(r->value));
}

static void ask_series(struct call *c)
{
    call_ask(c, c->ref.source, DZ_FN_SERIES, id_args(c), on_series);
}

static void begin_series(struct call *c)
{
    call_resolve(c, c->args, false, ask_series);
}

static void on_chapter(struct call *c, const struct dz_source_result *r)
{
    if (r->fail)
        call_refuse(c, r->fail);
    else
        answer_with(c, "info", call_chapter_info(r->value, c->ref.site));
}

static void ask_chapter(struct call *c)
{
    call_ask(c, c->ref.source, DZ_FN_CHAPTER, id_args(c), on_chapter);
}

static void begin_chapter(struct call *c)
{
    call_resolve(c, c->args, true, ask_chapter);
}

static void on_chapters(struct call *c, const struct dz_source_result *r)
{
    if (r->fail) {
        call_refuse(c, r->fail);
        return;
    }
    json_t *list = json_array();
    size_t i;
    json_t *chapter;
    json_array_foreach(r->value, i, chapter)
    {
        json_t *info = call_chapter_info(chapter, c->ref.site);
        if (json_is_null(json_object_get(info, "manga")))
            json_object_set_new(info, "manga", call_json(c->ref.id));
        json_array_append_new(list, info);
    }
    answer_with(c, "chapters", list);
}

static void ask_chapters(struct call *c)
{
    call_ask(c, c->ref.source, DZ_FN_CHAPTERS, json_pack("[o,[]]", call_json(c->ref.id)),
             on_chapters);
}

static void begin_chapters(struct call *c)
{
    call_resolve(c, c->args, false, ask_chapters);
}

/* ---- cover ----------------------------------------------------------------------------------- */

static void no_cover(struct call *c)
{
    call_refuse_words(c, DZ_SOURCE_NOT_FOUND, "No cover found for \"%.*s\" of \"%.*s\"",
                      DZ_STR_FMT(c->ref.id), DZ_STR_FMT(c->ref.site));
}

static void answer_cover(struct call *c, dz_str bytes)
{
    if (bytes.n == 0 || bytes.n > CRAWL_PAGE_BYTES_MAX) {
        no_cover(c);
        return;
    }
    size_t n = (bytes.n + 2) / 3 * 4;
    char *text = dz_alloc(n + 1);
    (void)EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes.p, (int)bytes.n);
    json_t *v = json_pack("{s:o,s:o,s:s,s:o}", "site", call_json(c->ref.site), "id",
                          call_json(c->ref.id), "mime", dz_media_mime(dz_media_sniff(bytes)),
                          "base64", call_json((dz_str){text, n}));
    free(text);
    call_answer(c, v);
}

static void on_picture(struct call *c, struct dz_fetch_res *res)
{
    struct dz_source_fail fail = {.kind = dz_source_kind_of_fetch(res), .retry_after_ms = -1};
    if (fail.kind == DZ_SOURCE_OK) {
        answer_cover(c, (dz_str){res->body->p, res->body->n});
        return;
    }
    if (res->kind == DZ_FETCH_OK)
        dz_source_words_of_status(res->status, res->url, 0, fail.message);
    else
        snprintf(fail.message, sizeof(fail.message), "%s", res->err.text);
    call_refuse_words(c, fail.kind, "%s", fail.message);
}

static void fetch_cover(struct call *c, const json_t *cover)
{
    dz_str url = dz_json_text_at(cover, "url");
    if (url.n == 0)
        no_cover(c);
    else
        call_fetch(c, c->ref.source, url, json_object_get(cover, "headers"), on_picture);
}

static void on_cover(struct call *c, const struct dz_source_result *r)
{
    if (r->fail)
        call_refuse(c, r->fail);
    else if (r->body)
        answer_cover(c, (dz_str){r->body->p, r->body->n});
    else
        fetch_cover(c, r->value);
}

/* Of sources without a function for it. */
static void on_series_cover(struct call *c, const struct dz_source_result *r)
{
    if (r->fail) {
        call_refuse(c, r->fail);
        return;
    }
    json_t *cover = json_object_get(r->value, "cover");
    c->made = json_pack("{s:O}", "url", cover ? cover : json_null());
    fetch_cover(c, c->made);
}

static void ask_cover(struct call *c)
{
    bool own = dz_source_info_of(c->ref.source)->has[DZ_FN_COVER];
    call_ask(c, c->ref.source, own ? DZ_FN_COVER : DZ_FN_SERIES, id_args(c),
             own ? on_cover : on_series_cover);
}

static void begin_cover(struct call *c)
{
    call_resolve(c, c->args, false, ask_cover);
}

/* ---- search ---------------------------------------------------------------------------------- */

static void on_found(struct call *c, const struct dz_source_result *r)
{
    if (r->fail) {
        call_refuse(c, r->fail);
        return;
    }
    json_t *list = json_array();
    size_t i;
    json_t *series;
    json_array_foreach(r->value, i, series) json_array_append_new(list, call_series_info(series));
    call_answer(c, list);
}

static void begin_search(struct call *c)
{
    dz_str text = dz_json_text_at(c->args, "text");
    const json_t *page = json_object_get(c->args, "page");
    struct dz_source *s = call_source_of(c, dz_json_text_at(c->args, "site"));
    if (!s)
        return;
    if (text.n > SEARCH_TEXT_MAX || (page && json_integer_value(page) < 1)) {
        call_refuse_words(c, DZ_SOURCE_BAD_URL,
                          "A search has a text of at most %u bytes and pages from 1",
                          SEARCH_TEXT_MAX);
        return;
    }
    call_ask(c, s, DZ_FN_SEARCH,
             json_pack("[o,I]", call_json(text), page ? json_integer_value(page) : 1), on_found);
}

const struct call_kind call_kinds_info[] = {
    {"series", false, begin_series},     {"chapter", false, begin_chapter},
    {"chapters", false, begin_chapters}, {"cover", false, begin_cover},
    {"search", false, begin_search},     {0},
};
