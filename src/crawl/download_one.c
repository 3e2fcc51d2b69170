/*
 * download_one: a download for somebody who has no queue: a command.
 *
 * In: what a source said of a chapter and its series. Out: the same result that a job would have
 * made, in the same place, so that each goes on with what the other has left. Loop thread; the
 * caller frees it after its end.
 */
#include <stdlib.h>

#include "crawl/call_int.h"
#include "crawl/download_int.h"

#define ARENA_MAX (4 * DZ_MIB)

struct dz_download {
    struct dz_download_spec s;
    struct crawl_env env;
    struct dz_source *source;
    struct dz_arena *arena; /* of the row */
    struct crawl_download *download;
};

static void on_progress(void *arg, const struct crawl_download_progress *p)
{
    struct dz_download *d = arg;
    d->s.progress(d->s.arg, &(struct dz_download_state){
                                .done = p->done,
                                .total = p->listed ? p->listed : p->total,
                                .bytes = p->bytes,
                                .saving = p->phase.n > 0,
                            });
}

static void on_note(void *arg, const char *text)
{
    struct dz_download *d = arg;
    d->s.note(d->s.arg, text);
}

static void on_ended(void *arg, const struct dz_source_fail *fail)
{
    struct dz_download *d = arg;
    d->s.ended(d->s.arg, fail, crawl_download_path(d->download),
               crawl_download_was_there(d->download));
}

static void on_log(void *arg, enum dz_level level, dz_str text)
{
    struct dz_download *d = arg;
    d->s.log(d->s.arg, level, text);
}

static enum dz_code make_row(struct dz_download *d, struct dz_job_rec *ret_row, struct dz_err *err)
{
    dz_str site = dz_source_info_of(d->source)->id;
    json_t *chapter = call_chapter_info(d->s.chapter, site),
           *series = call_series_info(d->s.series);
    enum dz_code code = crawl_download_row(d->s.conf, site, chapter, series, d->s.method, false,
                                           d->arena, ret_row, err);
    json_decref(chapter);
    json_decref(series);
    return code;
}

enum dz_code dz_download_new(const struct dz_download_spec *s, struct dz_download **ret_d,
                             struct dz_err *err)
{
    struct dz_download *d = dz_new(struct dz_download);
    struct dz_job_rec row;
    d->s = *s;
    d->s.conf = dz_conf_ref(s->conf);
    d->source = dz_source_ref(s->source);
    d->arena = dz_arena_new(ARENA_MAX);
    d->env =
        (struct crawl_env){.loop = s->loop, .conf = d->s.conf, .pool = s->pool, .fetch = s->fetch};
    enum dz_code code = make_row(d, &row, err);
    if (code != DZ_OK) {
        dz_download_free(&d);
        return code;
    }
    d->download = crawl_download_new(&(struct crawl_download_spec){
        .env = &d->env,
        .run_env = {.log = s->log ? on_log : NULL, .arg = d},
        .source = d->source,
        .source_id = row.source,
        .args = row.args,
        .destination = s->destination ? s->destination : s->conf->downloads.destination,
        .since_ms = s->again ? INT64_MAX : 0,
        .progress = on_progress,
        .note = on_note,
        .ended = on_ended,
        .arg = d,
    });
    *ret_d = d;
    return DZ_OK;
}

void dz_download_stop(struct dz_download *d)
{
    crawl_download_stop(d->download, false);
}

uint64_t dz_download_requests(const struct dz_download *d)
{
    return crawl_download_requests(d->download);
}

void dz_download_free(struct dz_download **dd)
{
    struct dz_download *d = dz_take(dd);
    if (!d)
        return;
    crawl_download_free(&d->download);
    dz_source_unref(&d->source);
    dz_arena_free(&d->arena);
    dz_conf_unref(&d->s.conf);
    free(d);
}
