/*
 * call_download: chapters into the queue of downloads.
 *
 * In: chapters, or series whose chapters have no mark yet. Out: a job for each, all in one
 * transaction, or none: everything that a site has to say is asked first, and nothing is locked
 * while it is. A follow-up (call_inside) is the same for one series, but leaves what it has queued
 * before and what waits in the queue already. Crawler's loop; the catalog is asked on the pool,
 * with texts that lie in the call's arena.
 */
#include <stdlib.h>

#include "crawl/call_int.h"
#include "crawl/download_int.h"

static const struct dz_log_ctx ctx = {.room = "crawl", .what = "calls"};

#define ARENA_SPARE (128 * DZ_MIB) /* one row never needs more */
#define ROWS_MAX 100000u

struct plan {
    /* What is asked for: refs of chapters, or of series. */
    const json_t *refs; /* of c->args or c->made */
    size_t at;
    bool add_mark;
    json_t *series; /* "site id" → info, of c->made */
    /* Of the series at hand; of c->made. */
    json_t *chapters; /* infos; in the end those without a mark */
    json_t *chapter;  /* the one that waits for its series' info */

    struct dz_catalog *catalog;
    struct dz_mark_rec *marks;
    size_t marks_n;
    dz_str *queued; /* of follow-ups: chapters that wait in the queue */
    size_t queued_n;
    dz_str *ids;
    size_t ids_n;
    struct dz_favourite_rec *favourites;
    size_t favourites_n;

    struct dz_job_rec *rows;
    size_t rows_n, rows_cap;
};

static struct plan *plan_new(struct call *c)
{
    struct plan *p = dz_arena_alloc(c->arena, sizeof(*p));
    *p = (struct plan){.catalog = call_env(c)->catalog};
    c->made = json_pack("{s:{}}", "series");
    p->series = json_object_get(c->made, "series");
    c->state = p;
    return p;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void run_add(struct dz_work *w)
{
    struct call *c = dz_container(w, struct call, work);
    struct plan *p = c->state;
    int64_t *ids = dz_arena_alloc(c->arena, (p->rows_n + 1) * sizeof(*ids));
    c->work_code =
        dz_catalog_jobs_add(p->catalog, p->rows, p->rows_n, dz_now_ms(), ids, &c->work_err);
}

static void on_added(struct call *c)
{
    const struct plan *p = c->state;
    struct dz_crawler *crawler = c->calls->crawler;
    if (c->work_code != DZ_OK) {
        call_refuse_err(c, &c->work_err);
        return;
    }
    json_t *ids = json_array();
    for (size_t i = 0; i < p->rows_n; i++)
        json_array_append_new(ids, call_json(p->rows[i].target));
    if (c->inside && p->rows_n > 0)
        call_follow_note(c, p->rows, p->rows_n);
    if (p->rows_n > 0 && crawler->o.jobs)
        crawler->o.jobs(crawler->o.arg);
    dz_crawler_poke(crawler);
    call_answer(c, json_pack("{s:o}", "ids", ids));
}

static void add_rows(struct call *c)
{
    struct plan *p = c->state;
    if (p->rows_n == 0)
        call_answer(c, json_pack("{s:[]}", "ids"));
    else
        call_work(c, run_add, on_added);
}

/* false: the call has been refused. */
static bool put_row(struct call *c, const json_t *chapter, const json_t *series)
{
    struct plan *p = c->state;
    struct dz_err err;
    struct dz_job_rec row;
    if (dz_arena_used(c->arena) > CALL_ARENA_MAX - ARENA_SPARE || p->rows_n >= ROWS_MAX) {
        call_refuse_words(c, DZ_SOURCE_LIMIT, "too many downloads at once: ask for fewer");
        return false;
    }
    if (crawl_download_row(call_env(c)->conf, c->ref.site, chapter, series, NULL, p->add_mark,
                           c->arena, &row, &err) != DZ_OK) {
        call_refuse_err(c, &err);
        return false;
    }
    if (p->rows_n == p->rows_cap) {
        size_t cap = p->rows_cap ? p->rows_cap * 2 : 64;
        struct dz_job_rec *grown = dz_arena_alloc(c->arena, cap * sizeof(*grown));
        if (p->rows_n > 0)
            memcpy(grown, p->rows, p->rows_n * sizeof(*grown));
        p->rows = grown;
        p->rows_cap = cap;
    }
    p->rows[p->rows_n++] = row;
    return true;
}

/* ---- infos of series, each asked once -------------------------------------------------------- */

static const char *series_key(struct call *c, dz_str series)
{
    return dz_arena_printf(c->arena, "%.*s %.*s", DZ_STR_FMT(c->ref.site), DZ_STR_FMT(series)).p;
}

static json_t *known_series(struct call *c, dz_str series)
{
    const struct plan *p = c->state;
    return json_object_get(p->series, series_key(c, series));
}

static json_t *keep_series(struct call *c, dz_str asked, const json_t *series)
{
    const struct plan *p = c->state;
    json_t *info = call_series_info(series);
    json_object_set_new(p->series, series_key(c, asked), info);
    return info;
}

/* ---- download -------------------------------------------------------------------------------- */

static void next_chapter(struct call *c);

static void on_chapters_series(struct call *c, const struct dz_source_result *r)
{
    const struct plan *p = c->state;
    if (r->fail)
        call_refuse(c, r->fail);
    else if (put_row(c, p->chapter, keep_series(c, dz_json_text_at(p->chapter, "manga"), r->value)))
        next_chapter(c);
}

static void on_chapter(struct call *c, const struct dz_source_result *r)
{
    struct plan *p = c->state;
    if (r->fail) {
        call_refuse(c, r->fail);
        return;
    }
    p->chapter = call_chapter_info(r->value, c->ref.site);
    json_object_set_new(c->made, "chapter", p->chapter);
    dz_str series = dz_json_text_at(p->chapter, "manga");
    if (series.n == 0) {
        call_refuse_words(c, DZ_SOURCE_PARSE, "The series of chapter \"%.*s\" is not known",
                          DZ_STR_FMT(c->ref.id));
        return;
    }
    const json_t *known = known_series(c, series);
    if (!known)
        call_ask(c, c->ref.source, DZ_FN_SERIES, json_pack("[o]", call_json(series)),
                 on_chapters_series);
    else if (put_row(c, p->chapter, known))
        next_chapter(c);
}

static void ask_chapter(struct call *c)
{
    call_ask(c, c->ref.source, DZ_FN_CHAPTER, json_pack("[o]", call_json(c->ref.id)), on_chapter);
}

static void next_chapter(struct call *c)
{
    struct plan *p = c->state;
    if (p->at < json_array_size(p->refs))
        call_resolve(c, json_array_get(p->refs, p->at++), true, ask_chapter);
    else
        add_rows(c);
}

static void begin_download(struct call *c)
{
    struct plan *p = plan_new(c);
    p->refs = json_object_get(c->args, "refs");
    p->add_mark = json_is_true(json_object_get(c->args, "add_mark"));
    if (!json_is_array(p->refs) || json_array_size(p->refs) > CALL_LIST_MAX)
        call_refuse_words(c, DZ_SOURCE_BAD_URL, "downloads are a list of at most %u chapters",
                          CALL_LIST_MAX);
    else
        next_chapter(c);
}

/* ---- download_new ---------------------------------------------------------------------------- */

static void next_series(struct call *c);

static void put_chapters(struct call *c, const json_t *series)
{
    const struct plan *p = c->state;
    size_t i;
    json_t *chapter;
    json_array_foreach(p->chapters, i, chapter) if (!put_row(c, chapter, series)) return;
    next_series(c);
}

/* A favourite that its site has no more costs only itself; else the call is refused. */
static void pass_over(struct call *c, const struct dz_source_fail *fail)
{
    const struct plan *p = c->state;
    bool lost = fail->kind == DZ_SOURCE_NOT_FOUND || fail->kind == DZ_SOURCE_GONE;
    if (!p->favourites || !lost) {
        call_refuse(c, fail);
        return;
    }
    dz_log(&ctx, DZ_WARN, "%.*s: the favourite %.*s is passed over: %s", DZ_STR_FMT(c->ref.site),
           DZ_STR_FMT(c->ref.id), fail->message[0] ? fail->message : fail->text);
    next_series(c);
}

static void on_series(struct call *c, const struct dz_source_result *r)
{
    if (r->fail)
        pass_over(c, r->fail);
    else
        put_chapters(c, keep_series(c, c->ref.id, r->value));
}

/* On the worker: there may be many, and each says at length what it is for. */
static enum dz_code read_queued(struct call *c, struct plan *p, struct dz_err *err)
{
    struct dz_job_rec *v;
    size_t n;
    DZ_TRY(dz_catalog_jobs_of(p->catalog, DZ_S(DZ_JOB_DOWNLOAD), 0, c->arena, &v, &n, err));
    p->queued = dz_arena_alloc(c->arena, (n + 1) * sizeof(*p->queued));
    p->queued_n = 0;
    for (size_t i = 0; i < n; i++)
        if (dz_str_eq(v[i].source, c->ref.site))
            p->queued[p->queued_n++] = call_follow_chapter(&v[i], c->arena);
    return DZ_OK;
}

static void run_marks(struct dz_work *w)
{
    struct call *c = dz_container(w, struct call, work);
    struct plan *p = c->state;
    c->work_code = dz_catalog_marks_of(p->catalog, c->ref.site, p->ids, p->ids_n, c->arena,
                                       &p->marks, &p->marks_n, &c->work_err);
    if (c->work_code == DZ_OK && c->inside)
        c->work_code = read_queued(c, p, &c->work_err);
}

/* The chapters that are left, in the order of the list. */
static void drop_known(struct call *c)
{
    struct plan *p = c->state;
    json_t *noted = c->inside ? call_follow_noted(c) : NULL, *left = json_array(), *one;
    struct dz_map known;
    size_t i;
    dz_map_init(&known);
    for (i = 0; i < p->marks_n; i++)
        (void)dz_map_set(&known, p->marks[i].chapter, p);
    for (i = 0; i < p->queued_n; i++)
        (void)dz_map_set(&known, p->queued[i], p);
    json_array_foreach(noted, i, one)
    {
        if (json_is_string(one))
            (void)dz_map_set(&known, dz_json_text(one), p);
    }
    json_array_foreach(p->chapters, i, one)
    {
        if (!dz_map_get(&known, dz_json_text_at(one, "id")))
            json_array_append(left, one);
    }
    dz_map_done(&known);
    json_decref(noted);
    json_object_set_new(c->made, "chapters", left);
    p->chapters = left;
}

static void on_marks(struct call *c)
{
    const struct plan *p = c->state;
    if (c->work_code != DZ_OK) {
        call_refuse_err(c, &c->work_err);
        return;
    }
    drop_known(c);
    const json_t *series = known_series(c, c->ref.id);
    if (json_array_size(p->chapters) == 0)
        next_series(c);
    else if (series)
        put_chapters(c, series);
    else
        call_ask(c, c->ref.source, DZ_FN_SERIES, json_pack("[o]", call_json(c->ref.id)), on_series);
}

static void on_chapters(struct call *c, const struct dz_source_result *r)
{
    struct plan *p = c->state;
    if (r->fail) {
        pass_over(c, r->fail);
        return;
    }
    p->ids_n = json_array_size(r->value);
    p->ids = dz_arena_alloc(c->arena, (p->ids_n + 1) * sizeof(*p->ids));
    p->chapters = json_array();
    json_object_set_new(c->made, "chapters", p->chapters);
    size_t i;
    json_t *chapter;
    json_array_foreach(r->value, i, chapter)
    {
        json_t *info = call_chapter_info(chapter, c->ref.site);
        json_object_set_new(info, "manga", call_json(c->ref.id));
        json_array_append_new(p->chapters, info);
        p->ids[i] = dz_arena_str(c->arena, dz_json_text_at(info, "id"));
    }
    call_work(c, run_marks, on_marks);
}

static void ask_chapters(struct call *c)
{
    call_ask(c, c->ref.source, DZ_FN_CHAPTERS, json_pack("[o,[]]", call_json(c->ref.id)),
             on_chapters);
}

static void next_series(struct call *c)
{
    struct plan *p = c->state;
    if (p->at < json_array_size(p->refs))
        call_resolve(c, json_array_get(p->refs, p->at++), false, ask_chapters);
    else
        add_rows(c);
}

static void run_favourites(struct dz_work *w)
{
    struct call *c = dz_container(w, struct call, work);
    struct plan *p = c->state;
    c->work_code = dz_catalog_favourites(p->catalog, c->ref.site, c->arena, &p->favourites,
                                         &p->favourites_n, &c->work_err);
}

static void on_favourites(struct call *c)
{
    struct plan *p = c->state;
    if (c->work_code != DZ_OK) {
        call_refuse_err(c, &c->work_err);
        return;
    }
    json_t *refs = json_array();
    json_object_set_new(c->made, "refs", refs);
    p->refs = refs;
    dz_str told = {NULL, 0};
    for (size_t i = 0; i < p->favourites_n; i++) {
        dz_str site = p->favourites[i].source;
        if (call_offered(c, site)) {
            json_array_append_new(refs, json_pack("{s:o,s:o}", "site", call_json(site), "id",
                                                  call_json(p->favourites[i].series)));
        } else if (!dz_str_eq(site, told)) {
            told = site;
            dz_log(&ctx, DZ_WARN, "favourites of %.*s are passed over: there is no such source",
                   DZ_STR_FMT(site));
        }
    }
    next_series(c);
}

static void begin_download_new(struct call *c)
{
    struct plan *p = plan_new(c);
    p->add_mark = true;
    if (!json_is_true(json_object_get(c->args, "all"))) {
        json_t *refs = json_pack("[O]", c->args);
        json_object_set_new(c->made, "refs", refs);
        p->refs = refs;
        next_series(c);
        return;
    }
    dz_str site = dz_json_text_at(c->args, "site");
    if (site.n > 0 && !call_source_of(c, site))
        return;
    c->ref.site = site;
    call_work(c, run_favourites, on_favourites);
}

const struct call_kind call_kinds_download[] = {
    {"download", false, begin_download},
    {"download_new", false, begin_download_new},
    {0},
};
