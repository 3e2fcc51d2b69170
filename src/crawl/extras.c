/*
 * extras: what hangs on a series beside its chapters: the text about the next release, titles,
 * volumes and their covers.
 *
 * In: a pass whose chapters are in the catalog. Out: changes of kept chapters, collected and then
 * written by one batch a stage. None of this makes a job fail: a wiki that is away must not look
 * like a crawl that is broken. Each is asked when it is due, never on every pass, and what was not
 * found is asked again after growing times. Loop thread. Odd: covers may come from two functions;
 * the first one that names a volume wins.
 */
#include <stdlib.h>

#include "crawl/pass_int.h"

#define TITLES_A_PASS 5u
#define TITLE_FIRST_MS (15 * 60 * 1000)
#define TITLE_AGAIN_MS (24 * 3600 * 1000)
#define VOLUMES_AGAIN_MS (6 * 3600 * 1000)
#define COVERS_MAX 10000u
#define COVERS_A_BATCH 8u /* what an end in the middle would have to ask for again */

/* ---- the next release ------------------------------------------------------------------------ */

static void on_status_put(struct crawl_pass *p)
{
    if (p->work_code != DZ_OK)
        crawl_pass_error(p, &p->work_err, false);
    else
        crawl_changed(p->j);
    crawl_pass_next(p, STAGE_TITLES);
}

static void on_status(struct crawl_pass *p, const struct dz_source_result *res)
{
    if (res->fail) {
        crawl_pass_trouble(p, res->fail, false);
        crawl_pass_next(p, STAGE_TITLES);
        return;
    }
    dz_str text = crawl_pass_text(p, json_object_get(res->value, "next_release"));
    if (text.n == 0)
        text = DZ_S("unknown"); /* contracts/komizip.md 2.6 */
    if (dz_str_eq(text, p->new_release)) {
        crawl_pass_next(p, STAGE_TITLES);
        return;
    }
    p->series = (struct dz_series_rec){
        .id = p->series_id,
        .source = p->source_id,
        .source_id = p->target,
        .new_release = text,
        .right_to_left = p->right_to_left,
    };
    crawl_pass_work(p, crawl_run_series, on_status_put);
}

void crawl_stage_status(struct crawl_pass *p)
{
    if (!crawl_pass_call(p, DZ_FN_STATUS, json_pack("[s%]", p->target.p, p->target.n), on_status))
        crawl_pass_next(p, STAGE_TITLES);
}

/* ---- titles ---------------------------------------------------------------------------------- */

static dz_str chapter_name(struct crawl_pass *p, dz_str key)
{
    return dz_arena_printf(p->arena, "%.*s/%.*s", DZ_STR_FMT(p->target), DZ_STR_FMT(key));
}

static void titles_next(struct crawl_pass *p)
{
    bool more = p->title_alone && p->titles_asked < TITLES_A_PASS;
    crawl_pass_next(p, more ? STAGE_TITLES : STAGE_VOLUMES);
}

static void on_titles_put(struct crawl_pass *p)
{
    if (p->work_code != DZ_OK)
        crawl_pass_error(p, &p->work_err, false);
    else
        crawl_changed(p->j);
    titles_next(p);
}

/* One page that is broken must not hide the others: after a question about several each is asked
 * alone, until one fails. */
static void titles_failed(struct crawl_pass *p, const struct dz_source_fail *fail, unsigned asked_n)
{
    bool alone = asked_n > 1 && fail->kind != DZ_SOURCE_LIMIT;
    for (size_t i = 0; i < p->known_n; i++) {
        struct pass_known *k = &p->known[i];
        if (k->asked_title && !alone)
            crawl_due_after(p, "title", chapter_name(p, k->key), false, crawl_due_first_ms(p),
                            TITLE_AGAIN_MS, dz_now_ms());
        k->asked_title = false;
    }
    if (alone) {
        p->title_alone = true;
        p->titles_asked = 0;
        crawl_pass_next(p, STAGE_TITLES);
        return;
    }
    crawl_pass_trouble(p, fail, false);
    crawl_pass_next(p, STAGE_VOLUMES);
}

static void on_titles(struct crawl_pass *p, const struct dz_source_result *res)
{
    if (res->fail) {
        titles_failed(p, res->fail, p->title_alone ? 1 : p->titles_asked);
        return;
    }
    for (size_t i = 0; i < p->known_n; i++) {
        struct pass_known *k = &p->known[i];
        if (!k->asked_title)
            continue;
        k->asked_title = false;
        dz_str text = crawl_pass_text(p, json_object_getn(res->value, k->key.p, k->key.n));
        crawl_due_after(p, "title", chapter_name(p, k->key), text.n > 0,
                        text.n > 0 ? 0 : TITLE_FIRST_MS, TITLE_AGAIN_MS, dz_now_ms());
        if (text.n == 0)
            continue;
        k->title_null = false;
        crawl_pass_change(p, &(struct pass_change){.key = k->key, .title = text});
    }
    if (p->changes_n)
        crawl_pass_work(p, crawl_run_changes, on_titles_put);
    else
        titles_next(p);
}

static int newest_first(const void *a, const void *b)
{
    const struct pass_known *x = *(struct pass_known *const *)a;
    const struct pass_known *y = *(struct pass_known *const *)b;
    return x->sort > y->sort ? -1 : x->sort < y->sort;
}

void crawl_stage_titles(struct crawl_pass *p)
{
    if (!dz_source_info_of(p->j->source)->has[DZ_FN_TITLES]) {
        crawl_pass_next(p, STAGE_VOLUMES);
        return;
    }
    int64_t now_ms = dz_now_ms();
    struct pass_known **v = dz_alloc((p->known_n ? p->known_n : 1) * sizeof(struct pass_known *));
    size_t n = 0;
    for (size_t i = 0; i < p->known_n; i++)
        if (p->known[i].title_null && p->known[i].has_pages)
            v[n++] = &p->known[i];
    qsort(v, n, sizeof(*v), newest_first);
    json_t *wanted = json_array();
    size_t max = p->title_alone ? 1 : TITLES_A_PASS;
    for (size_t i = 0; i < n && json_array_size(wanted) < max; i++) {
        if (!crawl_due(p, "title", chapter_name(p, v[i]->key), now_ms))
            continue;
        v[i]->asked_title = true;
        json_array_append_new(wanted, json_stringn(v[i]->key.p, v[i]->key.n));
    }
    free(v);
    if (json_array_size(wanted) == 0) {
        json_decref(wanted);
        crawl_pass_next(p, STAGE_VOLUMES);
        return;
    }
    p->titles_asked = p->title_alone ? p->titles_asked + 1 : (unsigned)json_array_size(wanted);
    (void)crawl_pass_call(p, DZ_FN_TITLES, json_pack("[s%, o]", p->target.p, p->target.n, wanted),
                          on_titles);
}

/* ---- volumes --------------------------------------------------------------------------------- */

static void want_cover(struct crawl_pass *p, const json_t *rec, const char *member)
{
    dz_str volume = crawl_pass_text(p, json_object_get(rec, "volume"));
    dz_str url = crawl_pass_text(p, json_object_get(rec, member));
    if (volume.n == 0 || volume.n > 64 || dz_str_chr(volume, '/') != DZ_NPOS || url.n == 0)
        return;
    if (crawl_pass_has_asset(p, dz_arena_printf(p->arena, "vol%.*s.jpg", DZ_STR_FMT(volume))))
        return;
    if (!p->j->full && !crawl_due(p, "cover", chapter_name(p, volume), dz_now_ms())) {
        p->cover_missing = true;
        return;
    }
    for (size_t i = 0; i < p->covers_n; i++)
        if (dz_str_eq(p->covers[i].volume, volume))
            return;
    if (p->covers_n >= COVERS_MAX)
        return;
    if (p->covers_n == p->covers_cap) {
        p->covers_cap = p->covers_cap ? 2 * p->covers_cap : 64;
        p->covers = dz_realloc(p->covers, p->covers_cap * sizeof(*p->covers));
    }
    p->covers[p->covers_n++] = (struct pass_cover){
        .volume = volume, .url = url, .headers = json_object_get(rec, "headers")};
}

/* said_before, said: JSON objects of key → volume, as the site had it last time and has it now. */
static void place(struct crawl_pass *p, dz_str volume, const json_t *chapters,
                  const json_t *said_before, const json_t *said)
{
    dz_str name = dz_arena_printf(p->arena, "vol%.*s.jpg", DZ_STR_FMT(volume));
    bool has_cover = crawl_pass_has_asset(p, name);
    size_t i;
    json_t *v;
    json_array_foreach(chapters, i, v)
    {
        dz_str key = crawl_pass_text(p, v);
        struct pass_known *k = key.n ? crawl_pass_known(p, key) : NULL;
        if (!k || !k->has_pages ||
            !dz_str_eq(crawl_pass_text(p, json_object_getn(said, key.p, key.n)), volume))
            continue;
        dz_str was = crawl_pass_text(p, json_object_getn(said_before, key.p, key.n));
        bool takes = k->volume_null || dz_str_eq(k->volume, was);
        bool other = takes && !dz_str_eq(k->volume, volume);
        bool cover = has_cover && !k->volume_cover && (takes || dz_str_eq(k->volume, volume));
        if (!other && !cover)
            continue;
        if (other)
            k->volume = volume;
        k->volume_null = false;
        k->volume_cover |= cover;
        crawl_pass_change(
            p, &(struct pass_change){
                   .key = k->key, .volume = volume, .volume_was = was, .volume_cover = cover});
    }
}

static dz_str said_name(struct crawl_pass *p)
{
    return dz_arena_printf(p->arena, "volumes/%.*s", DZ_STR_FMT(p->target));
}

static json_t *read_said(struct crawl_pass *p)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_CRAWL_STATE_MAX);
    if (!crawl_memory_get(crawl_job_memory(p->j), p->source_id, said_name(p), &b))
        return NULL;
    return json_loadb(b.p, b.n, 0, NULL);
}

/* What several volumes claim belongs to the last of them. */
static json_t *collect_said(struct crawl_pass *p, const json_t *volumes)
{
    json_t *said = json_object();
    size_t i, n;
    json_t *v, *chapter;
    json_array_foreach(volumes, i, v)
    {
        dz_str volume = crawl_pass_text(p, json_object_get(v, "volume"));
        json_array_foreach(json_object_get(v, "chapters"), n, chapter)
        {
            dz_str key = crawl_pass_text(p, chapter);
            if (volume.n && key.n)
                json_object_setn_new(said, key.p, key.n, json_stringn(volume.p, volume.n));
        }
    }
    return said;
}

static void on_volumes_put(struct crawl_pass *p)
{
    if (p->work_code != DZ_OK) {
        crawl_pass_error(p, &p->work_err, false);
        crawl_due_after(p, "volumes", p->target, false, crawl_due_first_ms(p), VOLUMES_AGAIN_MS,
                        dz_now_ms());
    } else {
        crawl_memory_set(crawl_job_memory(p->j), p->source_id, said_name(p), p->volumes_said, 0);
        crawl_changed(p->j);
    }
    crawl_pass_next(p, STAGE_COVERS);
}

static void on_volumes(struct crawl_pass *p, const struct dz_source_result *res)
{
    crawl_due_after(p, "volumes", p->target, !res->fail, crawl_due_first_ms(p), VOLUMES_AGAIN_MS,
                    dz_now_ms());
    if (res->fail) {
        crawl_pass_trouble(p, res->fail, false);
        crawl_pass_next(p, STAGE_COVERS);
        return;
    }
    p->cover_lists[0] = json_incref(res->value);
    json_t *before = read_said(p), *said = collect_said(p, res->value);
    size_t i;
    json_t *v;
    json_array_foreach(res->value, i, v)
    {
        dz_str volume = crawl_pass_text(p, json_object_get(v, "volume"));
        if (volume.n)
            place(p, volume, json_object_get(v, "chapters"), before, said);
        want_cover(p, v, "cover");
    }
    char *text = json_dumps(said, JSON_COMPACT);
    p->volumes_said = dz_arena_str(p->arena, dz_str_of(text ? text : "{}"));
    free(text);
    json_decref(said);
    json_decref(before);
    p->work_code = DZ_OK;
    if (p->changes_n)
        crawl_pass_work(p, crawl_run_changes, on_volumes_put);
    else
        on_volumes_put(p);
}

void crawl_stage_volumes(struct crawl_pass *p)
{
    bool due = p->j->full || p->fresh_at > 0 || crawl_due(p, "volumes", p->target, dz_now_ms());
    if (!due ||
        !crawl_pass_call(p, DZ_FN_VOLUMES, json_pack("[s%]", p->target.p, p->target.n), on_volumes))
        crawl_pass_next(p, STAGE_COVERS);
}

/* ---- covers ---------------------------------------------------------------------------------- */

static void on_covers(struct crawl_pass *p, const struct dz_source_result *res)
{
    p->covers_asked = true;
    if (res->fail) {
        p->cover_missing = true;
        crawl_pass_trouble(p, res->fail, false);
    } else {
        p->cover_lists[1] = json_incref(res->value);
        size_t i;
        json_t *v;
        json_array_foreach(res->value, i, v) want_cover(p, v, "url");
    }
    crawl_pass_next(p, STAGE_COVER);
}

void crawl_stage_covers(struct crawl_pass *p)
{
    bool due = p->j->full || p->fresh_at > 0 || crawl_due(p, "covers", p->target, dz_now_ms());
    if (!due ||
        !crawl_pass_call(p, DZ_FN_COVERS, json_pack("[s%]", p->target.p, p->target.n), on_covers))
        crawl_pass_next(p, STAGE_COVER);
}

static void on_covers_put(struct crawl_pass *p)
{
    bool worked = p->work_code == DZ_OK;
    if (worked)
        crawl_changed(p->j);
    else
        crawl_pass_error(p, &p->work_err, false);
    p->cover_missing |= !worked;
    for (size_t i = 0; i < p->cover_at; i++) {
        struct dz_asset_rec *asset = &p->covers[i].asset;
        if (worked && asset->name.n > 0)
            crawl_pass_add_asset(p, asset->name);
        asset->name = (dz_str){NULL, 0};
    }
    p->covers_unput = 0;
    crawl_pass_next(p, STAGE_COVER);
}

/* The one at cover_at is here, or why not; then the next. */
static void cover_ended(struct crawl_pass *p, const struct dz_source_fail *fail)
{
    dz_str name = chapter_name(p, p->covers[p->cover_at].volume);
    crawl_due_after(p, "cover", name, !fail, fail ? crawl_due_first_ms(p) : 0, VOLUMES_AGAIN_MS,
                    dz_now_ms());
    if (fail) {
        p->cover_missing = true;
        crawl_pass_trouble(p, fail, false);
    }
    p->covers_unput += !fail;
    p->cover_at++;
    crawl_pass_next(p, STAGE_COVER);
}

static void on_cover_stored(struct crawl_pass *p)
{
    dz_body_unref(&p->body);
    struct dz_source_fail fail = {.kind = DZ_SOURCE_PARSE, .retry_after_ms = -1};
    snprintf(fail.text, sizeof(fail.text), "%s", p->work_err.text);
    cover_ended(p, p->work_code == DZ_OK ? NULL : &fail);
}

static void on_cover(void *arg, struct dz_fetch_res *res)
{
    struct crawl_pass *p = arg;
    p->busy = BUSY_NOT;
    p->fetch = NULL;
    p->j->requests += res->requests;
    if (p->stopping) {
        crawl_pass_next(p, STAGE_END);
        return;
    }
    if (res->kind == DZ_FETCH_OK && res->status == 200) {
        p->body = dz_body_ref(res->body);
        crawl_pass_work(p, crawl_run_cover, on_cover_stored);
        return;
    }
    struct dz_source_fail fail = {.kind = DZ_SOURCE_UNAVAILABLE, .retry_after_ms = -1};
    dz_str volume = p->covers[p->cover_at].volume;
    if (res->kind == DZ_FETCH_OK)
        snprintf(fail.text, sizeof(fail.text), "%.*s: cover of volume %.*s: the site answered %d",
                 DZ_STR_FMT(p->source_id), DZ_STR_FMT(volume), res->status);
    else
        snprintf(fail.text, sizeof(fail.text), "%.*s: cover of volume %.*s: %s",
                 DZ_STR_FMT(p->source_id), DZ_STR_FMT(volume), res->err.text);
    cover_ended(p, &fail);
}

void crawl_stage_cover(struct crawl_pass *p)
{
    bool over = p->cover_at == p->covers_n;
    if (p->covers_unput > 0 && (over || p->covers_unput >= COVERS_A_BATCH)) {
        /* The covers that came, and with them the marks of their chapters. */
        crawl_pass_work(p, crawl_run_changes, on_covers_put);
        return;
    }
    if (over) {
        /* Asked again soon for the covers that did not come. */
        if (p->covers_asked)
            crawl_due_after(p, "covers", p->target, !p->cover_missing, crawl_due_first_ms(p),
                            VOLUMES_AGAIN_MS, dz_now_ms());
        crawl_pass_next(p, STAGE_END);
        return;
    }
    const struct pass_cover *c = &p->covers[p->cover_at];
    p->busy = BUSY_FETCH;
    crawl_fetch_picture(p->j->env, p->j->source, c->url, c->headers, 0, on_cover, p, &p->fetch);
}
