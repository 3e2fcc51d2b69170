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
#define VOLUMES_FIRST_MS (5 * 60 * 1000)
#define VOLUMES_AGAIN_MS (6 * 3600 * 1000)
#define COVERS_MAX 10000u

/* ---- the next release
 * ---------------------------------------------------------------------------- */

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
        .id = p->series_id, .source = p->source_id, .source_id = p->target, .new_release = text};
    crawl_pass_work(p, crawl_run_series, on_status_put);
}

void crawl_stage_status(struct crawl_pass *p)
{
    if (!crawl_pass_call(p, DZ_FN_STATUS, json_pack("[s%]", p->target.p, p->target.n), on_status))
        crawl_pass_next(p, STAGE_TITLES);
}

/* ---- titles
 * ---------------------------------------------------------------------------------------- */

static dz_str chapter_name(struct crawl_pass *p, dz_str key)
{
    return dz_arena_printf(p->arena, "%.*s/%.*s", DZ_STR_FMT(p->target), DZ_STR_FMT(key));
}

static void on_titles_put(struct crawl_pass *p)
{
    if (p->work_code != DZ_OK)
        crawl_pass_error(p, &p->work_err, false);
    else
        crawl_changed(p->j);
    crawl_pass_next(p, STAGE_VOLUMES);
}

static void on_titles(struct crawl_pass *p, const struct dz_source_result *res)
{
    if (res->fail)
        crawl_pass_trouble(p, res->fail, false);
    for (size_t i = 0; i < p->known_n; i++) {
        struct pass_known *k = &p->known[i];
        if (!k->asked_title)
            continue;
        k->asked_title = false;
        json_t *title = res->fail ? NULL : json_object_getn(res->value, k->key.p, k->key.n);
        dz_str text = crawl_pass_text(p, title);
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
        crawl_pass_next(p, STAGE_VOLUMES);
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
    for (size_t i = 0; i < n && json_array_size(wanted) < TITLES_A_PASS; i++) {
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
    (void)crawl_pass_call(p, DZ_FN_TITLES, json_pack("[s%, o]", p->target.p, p->target.n, wanted),
                          on_titles);
}

/* ---- volumes
 * --------------------------------------------------------------------------------------- */

static void want_cover(struct crawl_pass *p, const json_t *rec, const char *member)
{
    dz_str volume = crawl_pass_text(p, json_object_get(rec, "volume"));
    dz_str url = crawl_pass_text(p, json_object_get(rec, member));
    if (volume.n == 0 || volume.n > 64 || dz_str_chr(volume, '/') != DZ_NPOS || url.n == 0)
        return;
    if (crawl_pass_has_asset(p, dz_arena_printf(p->arena, "vol%.*s.jpg", DZ_STR_FMT(volume))))
        return;
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

static void place(struct crawl_pass *p, dz_str volume, bool has_cover, const json_t *chapters)
{
    size_t i;
    json_t *v;
    json_array_foreach(chapters, i, v)
    {
        struct pass_known *k = crawl_pass_known(p, crawl_pass_text(p, v));
        if (!k || !k->has_pages)
            continue;
        bool other = k->volume_null || !dz_str_eq(k->volume, volume);
        bool cover = has_cover && !k->volume_cover;
        if (!other && !cover)
            continue;
        k->volume = volume;
        k->volume_null = false;
        k->volume_cover |= has_cover;
        crawl_pass_change(
            p, &(struct pass_change){.key = k->key, .volume = volume, .volume_cover = cover});
    }
}

static void on_volumes_put(struct crawl_pass *p)
{
    if (p->work_code != DZ_OK)
        crawl_pass_error(p, &p->work_err, false);
    else
        crawl_changed(p->j);
    crawl_pass_next(p, STAGE_COVERS);
}

static void on_volumes(struct crawl_pass *p, const struct dz_source_result *res)
{
    crawl_due_after(p, "volumes", p->target, !res->fail, VOLUMES_FIRST_MS, VOLUMES_AGAIN_MS,
                    dz_now_ms());
    if (res->fail) {
        crawl_pass_trouble(p, res->fail, false);
        crawl_pass_next(p, STAGE_COVERS);
        return;
    }
    p->cover_lists[0] = json_incref(res->value);
    size_t i;
    json_t *v;
    json_array_foreach(res->value, i, v)
    {
        dz_str volume = crawl_pass_text(p, json_object_get(v, "volume"));
        if (volume.n == 0)
            continue;
        dz_str name = dz_arena_printf(p->arena, "vol%.*s.jpg", DZ_STR_FMT(volume));
        place(p, volume, crawl_pass_has_asset(p, name), json_object_get(v, "chapters"));
        want_cover(p, v, "cover");
    }
    if (p->changes_n)
        crawl_pass_work(p, crawl_run_changes, on_volumes_put);
    else
        crawl_pass_next(p, STAGE_COVERS);
}

void crawl_stage_volumes(struct crawl_pass *p)
{
    bool due = p->j->full || p->fresh_at > 0 || crawl_due(p, "volumes", p->target, dz_now_ms());
    if (!due ||
        !crawl_pass_call(p, DZ_FN_VOLUMES, json_pack("[s%]", p->target.p, p->target.n), on_volumes))
        crawl_pass_next(p, STAGE_COVERS);
}

/* ---- covers
 * ---------------------------------------------------------------------------------------- */

static void on_covers(struct crawl_pass *p, const struct dz_source_result *res)
{
    crawl_due_after(p, "covers", p->target, !res->fail, VOLUMES_FIRST_MS, VOLUMES_AGAIN_MS,
                    dz_now_ms());
    if (res->fail) {
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
    if (p->work_code != DZ_OK)
        crawl_pass_error(p, &p->work_err, false);
    else
        crawl_changed(p->j);
    crawl_pass_next(p, STAGE_END);
}

/* Chapters of the volumes whose covers are here now, and all of it into the catalog. */
static void put_covers(struct crawl_pass *p)
{
    bool any = false;
    for (size_t i = 0; i < p->covers_n; i++) {
        const struct pass_cover *c = &p->covers[i];
        if (c->asset.name.n == 0)
            continue;
        any = true;
        crawl_pass_add_asset(p, c->asset.name);
        for (size_t k = 0; k < p->known_n; k++)
            if (p->known[k].has_pages && dz_str_eq(p->known[k].volume, c->volume))
                crawl_pass_change(
                    p, &(struct pass_change){.key = p->known[k].key, .volume_cover = true});
    }
    if (any)
        crawl_pass_work(p, crawl_run_changes, on_covers_put);
    else
        crawl_pass_next(p, STAGE_END);
}

static void on_cover_stored(struct crawl_pass *p)
{
    dz_body_unref(&p->body);
    if (p->work_code != DZ_OK)
        crawl_pass_error(p, &p->work_err, false);
    p->cover_at++;
    crawl_pass_next(p, STAGE_COVER);
}

static void on_cover(void *arg, struct dz_fetch_res *res)
{
    struct crawl_pass *p = arg;
    p->busy = BUSY_NOT;
    p->fetch = NULL;
    p->j->requests += res->requests;
    if (!p->stopping && res->kind == DZ_FETCH_OK && res->status == 200) {
        p->body = dz_body_ref(res->body);
        crawl_pass_work(p, crawl_run_cover, on_cover_stored);
        return;
    }
    if (!p->stopping) {
        struct dz_source_fail fail = {.kind = DZ_SOURCE_UNAVAILABLE, .retry_after_ms = -1};
        dz_str volume = p->covers[p->cover_at].volume;
        if (res->kind == DZ_FETCH_OK)
            snprintf(fail.text, sizeof(fail.text), "cover of volume %.*s: the site answered %d",
                     DZ_STR_FMT(volume), res->status);
        else
            snprintf(fail.text, sizeof(fail.text), "cover of volume %.*s: %s", DZ_STR_FMT(volume),
                     res->err.text);
        crawl_pass_trouble(p, &fail, false);
        /* The list is asked again soon, for the covers that did not come. */
        crawl_due_after(p, "covers", p->target, false, VOLUMES_FIRST_MS, VOLUMES_AGAIN_MS,
                        dz_now_ms());
    }
    p->cover_at++;
    crawl_pass_next(p, STAGE_COVER);
}

void crawl_stage_cover(struct crawl_pass *p)
{
    if (p->cover_at == p->covers_n) {
        put_covers(p);
        return;
    }
    const struct pass_cover *c = &p->covers[p->cover_at];
    struct dz_fetch_header fields[64];
    size_t n = 0;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)c->headers, name, value)
    {
        if (n < DZ_LEN(fields))
            fields[n++] = (struct dz_fetch_header){
                dz_str_of(name), {json_string_value(value), json_string_length(value)}};
    }
    struct dz_fetch_req req = {
        .policy = dz_source_policy(p->j->source),
        .url = c->url,
        .headers = fields,
        .headers_n = n,
        .cache = DZ_FETCH_NO_STORE,
        .body_max = CRAWL_PAGE_BYTES_MAX,
        .done = on_cover,
        .arg = p,
    };
    p->busy = BUSY_FETCH;
    dz_fetch_start(p->j->env->fetch, &req, &p->fetch);
}
