/*
 * follow: new chapters of favourites go into the queue of downloads by themselves.
 *
 * In: a job of kind "follow" that names a favourite. Out: what the call download_new would queue,
 * but for chapters that wait in the queue, and those that a follow-up has queued before: what a
 * person cancelled or what failed for good does not come again by itself. One favourite is one job,
 * so that one that fails holds up no other. Loop thread.
 */
#include "crawl/call_int.h"

static const struct dz_log_ctx ctx = {.room = "crawl", .what = "follow"};

#define FOLLOW_DEADLINE_MS (INT64_C(30) * 60 * 1000)
#define NOTED_MAX 4000u /* chapters of a series; the oldest are forgotten */

static dz_str state_name(struct call *c)
{
    return dz_arena_printf(c->arena, "follow/%.*s", DZ_STR_FMT(c->ref.id));
}

json_t *call_follow_noted(struct call *c)
{
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, DZ_CRAWL_STATE_MAX);
    json_t *list = NULL;
    if (crawl_memory_get(c->calls->crawler->memory, c->ref.site, state_name(c), &text))
        list = json_loadb(text.p, text.n, 0, NULL);
    if (json_is_array(list))
        return list;
    json_decref(list);
    return json_array();
}

dz_str call_follow_chapter(const struct dz_job_rec *row, struct dz_arena *a)
{
    json_t *args = json_loadb(row->args.p ? row->args.p : "", row->args.n, JSON_ALLOW_NUL, NULL);
    dz_str chapter = dz_arena_str(a, dz_json_text_at(args, "chapter"));
    json_decref(args);
    return chapter;
}

void call_follow_note(struct call *c, const struct dz_job_rec *rows, size_t n)
{
    json_t *noted = call_follow_noted(c);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(noted, call_json(call_follow_chapter(&rows[i], c->arena)));
    while (json_array_size(noted) > NOTED_MAX)
        json_array_remove(noted, 0);
    char *text = NULL;
    while ((text = json_dumps(noted, JSON_COMPACT)) && strlen(text) > DZ_CRAWL_STATE_MAX) {
        size_t half = json_array_size(noted) / 2 + 1;
        for (size_t i = 0; i < half; i++)
            json_array_remove(noted, 0);
        dz_freep(&text);
    }
    if (text)
        crawl_memory_set(c->calls->crawler->memory, c->ref.site, state_name(c), dz_str_of(text), 0);
    dz_freep(&text);
    json_decref(noted);
}

/* ---- the job --------------------------------------------------------------------------------- */

static void on_ended(void *arg, const struct call_outcome *o)
{
    struct crawl_job *j = arg;
    j->follow = NULL;
    j->requests = o->requests;
    j->done = j->total = json_array_size(json_object_get(o->value, "ids"));
    if (j->done > 0)
        dz_log(&ctx, DZ_INFO, "%.*s/%.*s: %llu new chapters put into the queue",
               DZ_STR_FMT(j->rec.source), DZ_STR_FMT(j->rec.target), (unsigned long long)j->done);
    crawl_job_ended(j, o->fail.kind != DZ_SOURCE_OK ? &o->fail : NULL);
}

void crawl_follow_begin(struct crawl_job *j)
{
    if (!crawl_schedule_has(j->crawler, &j->rec)) {
        /* No favourite any more, or following was switched off. */
        crawl_job_ended(j, NULL);
        return;
    }
    j->follow = call_inside(
        j->crawler->calls, "download_new",
        json_pack("{s:o,s:o}", "site", call_json(j->rec.source), "id", call_json(j->rec.target)),
        FOLLOW_DEADLINE_MS, on_ended, j);
}

void crawl_follow_stop(struct crawl_job *j)
{
    if (!j->follow->answered)
        call_refuse_words(j->follow, DZ_SOURCE_CANCELLED, "stopped");
}
