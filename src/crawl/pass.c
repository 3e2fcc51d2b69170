/*
 * pass: one visit to one series at its site, from the listing to the last cover.
 *
 * In: a job with its source and the id of a series there. Out: new chapters, each committed whole
 * as soon as its last page is stored; the texts and covers around them; one `ended`. A stage that
 * fails is told and the next one still runs; the job counts as failed when the listing or a chapter
 * did. Loop thread, but for what apply.c does. Odd: ids and keys of kept chapters are held for the
 * whole pass, so that the catalog is read once however many chapters come.
 */
#include "crawl/keep_int.h"
#include "crawl/pass_int.h"

#include <stdlib.h>

#define SERIES_AGAIN_MS (24 * 3600 * 1000)
#define CHAPTER_AGAIN_MS (24 * 3600 * 1000)
/* A first pass over thousands of chapters must not use up one run's budgets, and a loop without end
 * must not have more than one run's. */
#define RUN_CHAPTERS 100u

/* ---- small things ---------------------------------------------------------------------------- */

dz_str crawl_pass_text(struct crawl_pass *p, const json_t *v)
{
    return dz_json_scalar_text(p->arena, v);
}

struct pass_known *crawl_pass_known(struct crawl_pass *p, dz_str key)
{
    uintptr_t at = (uintptr_t)dz_map_get(&p->by_key, key);
    return at ? &p->known[at - 1] : NULL;
}

bool crawl_pass_has_asset(const struct crawl_pass *p, dz_str name)
{
    for (size_t i = 0; i < p->assets_n; i++)
        if (dz_str_eq(p->assets[i], name))
            return true;
    return false;
}

void crawl_pass_add_asset(struct crawl_pass *p, dz_str name)
{
    if (p->assets_n == p->assets_cap) {
        p->assets_cap = p->assets_cap ? 2 * p->assets_cap : 64;
        p->assets = dz_realloc(p->assets, p->assets_cap * sizeof(*p->assets));
    }
    p->assets[p->assets_n++] = name;
}

void crawl_pass_change(struct crawl_pass *p, const struct pass_change *c)
{
    if (p->changes_n == p->changes_cap) {
        p->changes_cap = p->changes_cap ? 2 * p->changes_cap : 64;
        p->changes = dz_realloc(p->changes, p->changes_cap * sizeof(*p->changes));
    }
    p->changes[p->changes_n++] = *c;
}

void crawl_pass_trouble(struct crawl_pass *p, const struct dz_source_fail *fail, bool counts)
{
    if (fail->kind == DZ_SOURCE_CANCELLED && p->stopping)
        return;
    crawl_tell(p->j, &(struct dz_crawl_event){
                         .kind = DZ_CRAWL_TROUBLE,
                         .text = dz_str_of(fail->text),
                         .fail_kind = dz_str_of(dz_source_kind_of(fail->kind)->name),
                     });
    if (counts && p->fail.kind == DZ_SOURCE_OK)
        p->fail = *fail;
}

void crawl_pass_error(struct crawl_pass *p, const struct dz_err *err, bool counts)
{
    struct dz_source_fail fail = {.kind = crawl_kind_of_code(err->code), .retry_after_ms = -1};
    snprintf(fail.text, sizeof(fail.text), "%s", err->text);
    crawl_pass_trouble(p, &fail, counts);
}

/* ---- one thing at a time --------------------------------------------------------------------- */

static void step(struct crawl_pass *p);

static void on_soon(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    step(dz_container(t, struct crawl_pass, soon));
}

void crawl_pass_next(struct crawl_pass *p, enum pass_stage stage)
{
    p->stage = stage;
    dz_timer_set(p->j->env->loop, &p->soon, 0, on_soon);
}

bool dz_crawl_is_site(const struct dz_source_fail *fail)
{
    return fail->kind == DZ_SOURCE_UNAVAILABLE || fail->kind == DZ_SOURCE_RATE_LIMITED ||
           fail->kind == DZ_SOURCE_CHALLENGE || fail->kind == DZ_SOURCE_AUTH ||
           fail->kind == DZ_SOURCE_LIMIT;
}

static enum dz_code new_run(struct crawl_pass *p, struct dz_err *err)
{
    dz_source_run_free(&p->run);
    p->run_over = false;
    return dz_source_run_new(p->j->source, &p->env, NULL, &p->run, err);
}

static void on_called(void *arg, const struct dz_source_result *res)
{
    struct crawl_pass *p = arg;
    p->busy = BUSY_NOT;
    p->j->requests += res->requests;
    json_decref(p->args);
    p->args = NULL;
    p->run_over |= res->fail && res->fail->kind == DZ_SOURCE_LIMIT;
    if (p->stopping)
        crawl_pass_next(p, STAGE_END);
    else
        p->called(p, res);
}

bool crawl_pass_call(struct crawl_pass *p, enum dz_source_fn fn, json_t *take_args,
                     void (*called)(struct crawl_pass *p, const struct dz_source_result *res))
{
    if (!dz_source_info_of(p->j->source)->has[fn]) {
        json_decref(take_args);
        return false;
    }
    p->args = take_args;
    p->called = called;
    p->busy = BUSY_CALL;
    struct dz_source_result res = {0};
    struct dz_source_fail fail = {.kind = DZ_SOURCE_PARSE, .retry_after_ms = -1};
    struct dz_err err;
    enum dz_code code = p->run_over ? new_run(p, &err) : DZ_OK;
    if (code == DZ_OK)
        code = dz_source_run_call(p->run, fn, p->args, on_called, p, &err);
    if (code != DZ_OK) {
        snprintf(fail.text, sizeof(fail.text), "%s", err.text);
        res.fail = &fail;
        on_called(p, &res);
    }
    return true;
}

static void on_worked(struct dz_work *w)
{
    struct crawl_pass *p = dz_container(w, struct crawl_pass, work);
    p->busy = BUSY_NOT;
    /* What was written is known also when the pass stops. */
    p->worked(p);
}

void crawl_pass_work(struct crawl_pass *p, void (*run)(struct dz_work *w),
                     void (*worked)(struct crawl_pass *p))
{
    p->busy = BUSY_WORK;
    p->worked = worked;
    p->work_code = DZ_OK;
    p->work = (struct dz_work){.run = run, .home = p->j->env->loop, .done = on_worked};
    struct dz_err err; /* work_code and work_err are the worker's from here on */
    if (dz_pool_submit(p->j->env->pool, &p->work, &err) == DZ_OK)
        return;
    p->busy = BUSY_NOT;
    crawl_pass_error(p, &err, true);
    crawl_pass_next(p, STAGE_END);
}

/* ---- the series ------------------------------------------------------------------------------ */

static void on_loaded(struct crawl_pass *p)
{
    if (p->work_code != DZ_OK) {
        crawl_pass_error(p, &p->work_err, true);
        crawl_pass_next(p, STAGE_END);
        return;
    }
    for (size_t i = 0; i < p->known_n; i++) {
        dz_map_set(&p->by_id, p->known[i].source_id, (void *)(uintptr_t)(i + 1));
        dz_map_set(&p->by_key, p->known[i].key, (void *)(uintptr_t)(i + 1));
    }
    crawl_pass_next(p, STAGE_SERIES);
}

static void on_series_put(struct crawl_pass *p)
{
    if (p->work_code == DZ_OK) {
        crawl_pass_next(p, STAGE_CHAPTERS);
        return;
    }
    crawl_pass_error(p, &p->work_err, true);
    crawl_pass_next(p, p->series_id ? STAGE_CHAPTERS : STAGE_END);
}

/* "A, B" of [{"name": "A"}, {"name": "B"}], authors and artists together, each once. */
static dz_str names(struct crawl_pass *p, const json_t *series)
{
    static const char *const members[] = {"authors", "artists"};
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_TEXT_MAX);
    for (size_t m = 0; m < DZ_LEN(members); m++) {
        size_t i;
        json_t *v;
        json_array_foreach(json_object_get(series, members[m]), i, v)
        {
            dz_str name = crawl_pass_text(p, json_object_get(v, "name"));
            if (name.n == 0 || dz_str_find(dz_buf_str(&b), name) != DZ_NPOS)
                continue;
            if (b.n)
                dz_buf_put(&b, DZ_S(", "));
            dz_buf_put(&b, name);
        }
    }
    return dz_arena_str(p->arena, dz_buf_str(&b));
}

static void on_series(struct crawl_pass *p, const struct dz_source_result *res)
{
    int64_t now_ms = dz_now_ms();
    crawl_due_after(p, "series", p->target, !res->fail, crawl_due_first_ms(p), SERIES_AGAIN_MS,
                    now_ms);
    if (res->fail) {
        crawl_pass_trouble(p, res->fail, p->series_id == 0);
        crawl_pass_next(p, p->series_id ? STAGE_CHAPTERS : STAGE_END);
        return;
    }
    const json_t *v = res->value;
    p->series = (struct dz_series_rec){
        .id = p->series_id,
        .source = p->source_id,
        .source_id = p->target,
        .title = crawl_pass_text(p, json_object_get(v, "title")),
        .description = crawl_pass_text(p, json_object_get(v, "description")),
        .authors = names(p, v),
        .lang = crawl_pass_text(p, json_object_get(v, "lang")),
        .status = crawl_pass_text(p, json_object_get(v, "status")),
        .url = crawl_pass_text(p, json_object_get(v, "url")),
        .right_to_left = p->right_to_left,
    };
    crawl_pass_work(p, crawl_run_series, on_series_put);
}

static void stage_series(struct crawl_pass *p)
{
    bool due = p->series_id == 0 || p->j->full || crawl_due(p, "series", p->target, dz_now_ms());
    if (due &&
        crawl_pass_call(p, DZ_FN_SERIES, json_pack("[s%]", p->target.p, p->target.n), on_series))
        return;
    if (p->series_id != 0) {
        crawl_pass_next(p, STAGE_CHAPTERS);
        return;
    }
    p->series =
        (struct dz_series_rec){.source = p->source_id, .source_id = p->target, .title = p->target};
    crawl_pass_work(p, crawl_run_series, on_series_put);
}

/* ---- the listing ----------------------------------------------------------------------------- */

/* What a listing says now and we do not have yet. */
static void learn(struct crawl_pass *p, const struct pass_known *k, const json_t *rec)
{
    struct pass_change c = {.key = k->key};
    if (k->title_null)
        c.title = crawl_pass_text(p, json_object_get(rec, "title"));
    if (k->volume_null)
        c.volume = crawl_pass_text(p, json_object_get(rec, "volume"));
    if (c.title.n || c.volume.n)
        crawl_pass_change(p, &c);
}

/* A key that URLs can hold: the number, else the id; blanks and '/' never, nor '-' and "vol", by
 * which a shelf's paths tell files from chapters. */
static dz_str key_of(struct crawl_pass *p, dz_str id, const json_t *rec)
{
    dz_str key = crawl_pass_text(p, json_object_get(rec, "chapter"));
    if (key.n == 0)
        key = id;
    char *s = dz_arena_dup(p->arena, key);
    bool dots = true; /* "." and ".." are steps in an address, no names */
    for (size_t i = 0; i < key.n; i++)
        dots &= s[i] == '.';
    for (size_t i = 0; i < key.n; i++) {
        bool ends_vol = i >= 2 && s[i - 2] == 'v' && s[i - 1] == 'o' && s[i] == 'l';
        if ((unsigned char)s[i] <= ' ' || strchr("/\\?#-", s[i]) || ends_vol || dots)
            s[i] = '_';
    }
    return (dz_str){s, key.n};
}

/* The key with the volume before it, for a site that counts anew in each volume. */
static dz_str other_key(struct crawl_pass *p, dz_str key, const json_t *rec)
{
    dz_str volume = crawl_pass_text(p, json_object_get(rec, "volume"));
    const struct pass_known *k = crawl_pass_known(p, key);
    if (volume.n == 0 || !k || k->volume_null || dz_str_eq(k->volume, volume))
        return (dz_str){NULL, 0};
    dz_str other = dz_arena_printf(p->arena, "v%.*sc%.*s", DZ_STR_FMT(volume), DZ_STR_FMT(key));
    return crawl_pass_known(p, other) ? (dz_str){NULL, 0} : other;
}

static double sort_of(const json_t *rec, dz_str key)
{
    const json_t *number = json_object_get(rec, "chapter");
    if (json_is_number(number))
        return json_number_value(number);
    /* "10.5" and also "v2c10": the first number in it. */
    size_t at = 0;
    while (at < key.n && (key.p[at] < '0' || key.p[at] > '9'))
        at++;
    /* Plain decimals only: strtod reads "0x1p9999" and "1e999" as well, which are no numbers. */
    char text[32];
    size_t n = 0;
    while (at + n < key.n && n < sizeof(text) - 1 && strchr("0123456789.", key.p[at + n])) {
        text[n] = key.p[at + n];
        n++;
    }
    text[n] = 0;
    return strtod(text, NULL);
}

static void remember(struct crawl_pass *p, const struct pass_known *k)
{
    if (p->known_n == p->known_cap) {
        p->known_cap = p->known_cap ? 2 * p->known_cap : 64;
        p->known = dz_realloc(p->known, p->known_cap * sizeof(*p->known));
    }
    p->known[p->known_n++] = *k;
    dz_map_set(&p->by_id, k->source_id, (void *)(uintptr_t)p->known_n);
    dz_map_set(&p->by_key, k->key, (void *)(uintptr_t)p->known_n);
}

static void consider(struct crawl_pass *p, json_t *rec)
{
    dz_str id = crawl_pass_text(p, json_object_get(rec, "id"));
    uintptr_t at = (uintptr_t)dz_map_get(&p->by_id, id);
    dz_str key = key_of(p, id, rec);
    if (at && p->known[at - 1].wanted_again) {
        key = p->known[at - 1].key;
    } else if (at) {
        learn(p, &p->known[at - 1], rec);
        return;
    } else if (crawl_pass_known(p, key)) {
        key = other_key(p, key, rec);
        if (key.n == 0)
            return; /* the same chapter by somebody else; the first one stays */
    }
    /* Another attempt of the job is made for what the last one did not get, and so is one that a
     * person asked for. */
    bool asked = p->j->full || p->j->rec.attempts > 1 || p->j->rec.priority > 0;
    if (!asked && !crawl_due(p, "chapter", id, dz_now_ms()))
        return;
    p->fresh[p->fresh_n++] = (struct pass_new){
        .rec = rec,
        .id = id,
        .key = key,
        .sort = sort_of(rec, key),
        .failures = crawl_due_failures(p, "chapter", id),
        .again = at != 0,
        .label = dz_arena_printf(p->arena, "%.*s: chapter %.*s", DZ_STR_FMT(p->source_id),
                                 (int)(key.n < 64 ? key.n : 64), key.p),
    };
    if (!at)
        remember(p, &(struct pass_known){.source_id = id, .key = key, .volume_null = true});
}

/* One that fails again and again must not stand before the others. */
static int by_sort(const void *a, const void *b)
{
    const struct pass_new *x = a, *y = b;
    if (x->failures != y->failures)
        return x->failures < y->failures ? -1 : 1;
    if (x->sort != y->sort)
        return x->sort < y->sort ? -1 : 1;
    return dz_str_natural_cmp(x->key, y->key);
}

static void on_changes_put(struct crawl_pass *p)
{
    if (p->work_code != DZ_OK)
        crawl_pass_error(p, &p->work_err, true);
    crawl_pass_next(p, STAGE_CHAPTER);
}

static void on_chapters(struct crawl_pass *p, const struct dz_source_result *res)
{
    if (res->fail) {
        crawl_pass_trouble(p, res->fail, true);
        crawl_pass_next(p, dz_crawl_is_site(res->fail) ? STAGE_TITLES : STAGE_STATUS);
        return;
    }
    p->list = json_incref(res->value);
    size_t n = json_array_size(p->list);
    p->fresh = dz_zalloc((n ? n : 1) * sizeof(*p->fresh));
    for (size_t i = 0; i < n; i++)
        consider(p, json_array_get(p->list, i));
    /* Oldest first: whoever reads along gets the next chapter next. */
    qsort(p->fresh, p->fresh_n, sizeof(*p->fresh), by_sort);
    if (p->j->limit_pages > 0 && p->fresh_n > p->j->limit_pages)
        p->fresh_n = (size_t)p->j->limit_pages;
    if (p->changes_n > 0)
        crawl_pass_work(p, crawl_run_changes, on_changes_put);
    else
        crawl_pass_next(p, STAGE_CHAPTER);
}

static void stage_chapters(struct crawl_pass *p)
{
    json_t *known = json_array();
    for (size_t i = 0; i < p->known_n; i++)
        if (!p->known[i].wanted_again)
            json_array_append_new(known,
                                  json_stringn(p->known[i].source_id.p, p->known[i].source_id.n));
    if (!crawl_pass_call(p, DZ_FN_CHAPTERS, json_pack("[s%, o]", p->target.p, p->target.n, known),
                         on_chapters))
        crawl_pass_next(p, STAGE_STATUS);
}

/* ---- one chapter ----------------------------------------------------------------------------- */

static void chapter_failed(struct crawl_pass *p, const struct dz_source_fail *fail)
{
    struct pass_new *f = &p->fresh[p->fresh_at];
    if (!p->stopping)
        crawl_due_after(p, "chapter", f->id, false, crawl_due_first_ms(p), CHAPTER_AGAIN_MS,
                        dz_now_ms());
    crawl_pass_trouble(p, fail, true);
    p->fresh_at++;
    crawl_pass_next(p, dz_crawl_is_site(fail) ? STAGE_STATUS : STAGE_CHAPTER);
}

static void free_pages(struct crawl_pass *p)
{
    crawl_pages_free(&p->pages);
    crawl_keeper_free(&p->keeper);
    dz_freep(&p->page_recs);
}

static void on_chapter_put(struct crawl_pass *p)
{
    struct pass_new *f = &p->fresh[p->fresh_at];
    free_pages(p);
    if (p->work_code != DZ_OK) {
        /* What the catalog does not take is this chapter's fault; a full disk is everybody's. */
        struct dz_source_fail fail = {.kind = crawl_kind_of_code(p->work_code),
                                      .retry_after_ms = -1};
        snprintf(fail.text, sizeof(fail.text), "%.*s: not stored: %s", DZ_STR_FMT(f->label),
                 p->work_err.text);
        chapter_failed(p, &fail);
        return;
    }
    uintptr_t at = (uintptr_t)dz_map_get(&p->by_id, f->id);
    struct pass_known *k = &p->known[at - 1];
    k->title_null = p->chapter.title.p == NULL;
    k->volume = p->chapter.volume;
    k->volume_null = k->volume.n == 0;
    k->volume_cover = p->chapter.volume_cover;
    k->has_pages = true;
    k->sort = p->chapter.sort;
    crawl_due_after(p, "chapter", f->id, true, 0, 0, dz_now_ms());
    p->changed_n++;
    crawl_changed(p->j);
    crawl_tell(p->j, &(struct dz_crawl_event){.kind = DZ_CRAWL_CHAPTER_KEPT,
                                              .chapter = f->key,
                                              .done = p->chapter.pages_n,
                                              .total = p->chapter.pages_n});
    p->fresh_at++;
    crawl_pass_next(p, STAGE_CHAPTER);
}

/* Texts are those of p->pages. */
static struct dz_page_rec *records(const struct crawl_kept *pages, size_t n)
{
    struct dz_page_rec *v = dz_alloc(n * sizeof(*v));
    for (size_t i = 0; i < n; i++)
        v[i] = (struct dz_page_rec){
            .number = (uint32_t)i + 1,
            .mtime_s = pages[i].mtime_s,
            .blob = pages[i].blob,
            .name = dz_str_sub(crawl_url_file(pages[i].url), 0, 255),
        };
    return v;
}

static void on_pages(void *arg, const struct dz_source_fail *fail, const struct crawl_kept *pages,
                     size_t n)
{
    struct crawl_pass *p = arg;
    struct pass_new *f = &p->fresh[p->fresh_at];
    p->busy = BUSY_NOT;
    p->j->requests += crawl_pages_requests(p->pages);
    if (fail) {
        struct dz_source_fail copy = *fail;
        free_pages(p);
        chapter_failed(p, &copy);
        return;
    }
    p->page_recs = records(pages, n);
    const json_t *rec = f->rec;
    json_t *title = json_object_get(rec, "title");
    dz_str volume = crawl_pass_text(p, json_object_get(rec, "volume"));
    dz_str cover = dz_arena_printf(p->arena, "vol%.*s.jpg", DZ_STR_FMT(volume));
    p->chapter = (struct dz_chapter_rec){
        .source_id = f->id,
        .key = f->key,
        .sort = f->sort,
        .number = crawl_pass_text(p, json_object_get(rec, "chapter")),
        .volume = volume,
        .title = json_is_string(title) && json_string_length(title) ? crawl_pass_text(p, title)
                                                                    : (dz_str){NULL, 0},
        .volume_cover = volume.n > 0 && crawl_pass_has_asset(p, cover),
        .page_count = (uint32_t)n,
        .origin = crawl_pass_text(p, json_object_get(rec, "url")),
        .origin_stamp = DZ_S("crawl"),
        .pages = p->page_recs,
        .pages_n = n,
    };
    crawl_pass_work(p, crawl_run_chapter, on_chapter_put);
}

static void on_progress(void *arg, uint64_t done, uint64_t total, uint64_t bytes)
{
    struct crawl_pass *p = arg;
    p->j->done++;
    crawl_tell(p->j, &(struct dz_crawl_event){.kind = DZ_CRAWL_PAGE,
                                              .chapter = p->fresh[p->fresh_at].key,
                                              .done = done,
                                              .total = total,
                                              .bytes = bytes});
}

static void on_note(void *arg, const char *text)
{
    struct crawl_pass *p = arg;
    crawl_tell(p->j, &(struct dz_crawl_event){.kind = DZ_CRAWL_NOTE,
                                              .chapter = p->fresh[p->fresh_at].key,
                                              .text = dz_str_of(text)});
}

static void on_page_list(struct crawl_pass *p, const struct dz_source_result *res)
{
    struct pass_new *f = &p->fresh[p->fresh_at];
    if (res->fail) {
        chapter_failed(p, res->fail);
        return;
    }
    size_t n = json_array_size(res->value);
    p->j->total += n;
    crawl_tell(p->j,
               &(struct dz_crawl_event){.kind = DZ_CRAWL_CHAPTER, .chapter = f->key, .total = n});
    p->keeper = crawl_keep_store(p->j->env, p->source_id, f->id);
    struct crawl_pages_spec spec = {
        .env = p->j->env,
        .source = p->j->source,
        .keeper = p->keeper,
        .list = res->value,
        .label = f->label,
        .progress = on_progress,
        .note = on_note,
        .ended = on_pages,
        .arg = p,
    };
    p->busy = BUSY_PAGES;
    p->pages = crawl_pages_new(&spec);
}

static void stage_chapter(struct crawl_pass *p)
{
    if (p->fresh_at == p->fresh_n) {
        crawl_pass_next(p, STAGE_STATUS);
        return;
    }
    struct pass_new *f = &p->fresh[p->fresh_at];
    if (p->fresh_at > 0 && p->fresh_at % RUN_CHAPTERS == 0)
        p->run_over = true;
    if (!crawl_pass_call(p, DZ_FN_PAGES, json_pack("[s%]", f->id.p, f->id.n), on_page_list)) {
        struct dz_source_fail fail = {.kind = DZ_SOURCE_UNSUPPORTED, .retry_after_ms = -1};
        snprintf(fail.text, sizeof(fail.text), "%.*s: the source has no pages()",
                 DZ_STR_FMT(p->source_id));
        crawl_pass_trouble(p, &fail, true);
        crawl_pass_next(p, STAGE_STATUS);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void step(struct crawl_pass *p)
{
    if (p->busy != BUSY_NOT)
        return;
    if (p->stopping)
        p->stage = STAGE_END;
    switch (p->stage) {
    case STAGE_LOAD:
        crawl_pass_work(p, crawl_run_load, on_loaded);
        break;
    case STAGE_SERIES:
        stage_series(p);
        break;
    case STAGE_CHAPTERS:
        stage_chapters(p);
        break;
    case STAGE_CHAPTER:
        stage_chapter(p);
        break;
    case STAGE_STATUS:
        crawl_stage_status(p);
        break;
    case STAGE_TITLES:
        crawl_stage_titles(p);
        break;
    case STAGE_VOLUMES:
        crawl_stage_volumes(p);
        break;
    case STAGE_COVERS:
        crawl_stage_covers(p);
        break;
    case STAGE_COVER:
        crawl_stage_cover(p);
        break;
    case STAGE_END:
        p->ended(p->j, p->fail.kind == DZ_SOURCE_OK ? NULL : &p->fail);
        break;
    }
}

struct crawl_pass *crawl_pass_new(struct crawl_job *j,
                                  void (*ended)(struct crawl_job *j,
                                                const struct dz_source_fail *fail))
{
    struct crawl_pass *p = dz_new(struct crawl_pass);
    p->j = j;
    p->ended = ended;
    p->arena = dz_arena_new(512 * DZ_MIB);
    p->source_id = dz_source_info_of(j->source)->id;
    p->target = dz_arena_str(p->arena, j->rec.target);
    p->fail.retry_after_ms = -1;
    dz_map_init(&p->by_id);
    dz_map_init(&p->by_key);
    crawl_job_source_env(j, &p->env);
    struct dz_err err;
    if (new_run(p, &err) != DZ_OK) {
        crawl_pass_error(p, &err, true);
        crawl_pass_next(p, STAGE_END);
    } else {
        crawl_pass_next(p, STAGE_LOAD);
    }
    return p;
}

uint64_t crawl_pass_changed(const struct crawl_pass *p)
{
    return p->changed_n;
}

void crawl_pass_stop(struct crawl_pass *p)
{
    if (p->stopping)
        return;
    p->stopping = true;
    p->fail = (struct dz_source_fail){.kind = DZ_SOURCE_CANCELLED, .retry_after_ms = -1};
    snprintf(p->fail.text, sizeof(p->fail.text), "stopped");
    if (p->busy == BUSY_CALL)
        dz_source_run_free(&p->run); /* its end comes before this returns */
    else if (p->busy == BUSY_PAGES)
        crawl_pages_stop(p->pages);
    else if (p->busy == BUSY_FETCH)
        dz_fetch_cancel(p->fetch);
    if (p->busy == BUSY_NOT)
        crawl_pass_next(p, STAGE_END);
}

void crawl_pass_free(struct crawl_pass **pp)
{
    struct crawl_pass *p = dz_take(pp);
    if (!p)
        return;
    dz_assert(p->busy == BUSY_NOT);
    dz_timer_stop(p->j->env->loop, &p->soon);
    dz_source_run_free(&p->run);
    free_pages(p);
    json_decref(p->list);
    json_decref(p->cover_lists[0]);
    json_decref(p->cover_lists[1]);
    dz_body_unref(&p->body);
    dz_map_done(&p->by_id);
    dz_map_done(&p->by_key);
    free(p->known);
    free(p->assets);
    free(p->fresh);
    free(p->changes);
    free(p->covers);
    dz_arena_free(&p->arena);
    free(p);
}
