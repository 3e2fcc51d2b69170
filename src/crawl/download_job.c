/*
 * download_job: a download that is a row of the queue.
 *
 * In: the row. Out: a download whose progress becomes the job's, events for whoever watches, and
 * the job's result. Loop thread.
 */
#include "crawl/download_int.h"
#include "crawl/runner_int.h"

static void on_progress(void *arg, const struct crawl_download_progress *p)
{
    struct crawl_job *j = arg;
    uint64_t more = p->bytes > j->bytes ? p->bytes - j->bytes : 0;
    j->done = p->done;
    j->total = p->total;
    j->bytes = p->bytes;
    j->phase = p->phase;
    crawl_download_moved(j);
    crawl_tell(j, &(struct dz_crawl_event){.kind = DZ_CRAWL_PAGE,
                                           .done = p->done,
                                           .total = p->listed ? p->listed : p->total,
                                           .bytes = more});
}

static void on_note(void *arg, const char *text)
{
    crawl_tell(arg, &(struct dz_crawl_event){.kind = DZ_CRAWL_NOTE, .text = dz_str_of(text)});
}

static void on_ended(void *arg, const struct dz_source_fail *fail)
{
    struct crawl_job *j = arg;
    j->requests = crawl_download_requests(j->download);
    crawl_job_ended(j, fail);
}

struct crawl_download *crawl_download_begin(struct crawl_job *j)
{
    const struct dz_job_rec *rec = &j->rec;
    struct crawl_download_spec spec = {
        .env = j->env,
        .source = j->source,
        .source_id = rec->source,
        .args = rec->args,
        .destination = j->env->conf->downloads.destination,
        /* One that was killed between its result and its end has nothing more to do. */
        .since_ms = rec->attempts > 1 ? rec->created_ms : INT64_MAX,
        .progress = on_progress,
        .note = on_note,
        .ended = on_ended,
        .arg = j,
    };
    crawl_job_source_env(j, &spec.run_env);
    j->done = rec->done;
    j->total = rec->total;
    j->bytes = rec->bytes;
    return crawl_download_new(&spec);
}

dz_str crawl_download_result(struct crawl_job *j)
{
    const char *path = crawl_download_path(j->download);
    if (!path)
        return (dz_str){NULL, 0};
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_MIB);
    struct dz_json w;
    dz_json_init(&w, &b, DZ_JSON_COMPACT, false);
    dz_json_object(&w);
    dz_json_key(&w, DZ_S("path"));
    dz_json_str(&w, dz_str_of(path));
    dz_json_end(&w);
    return dz_arena_str(j->arena, dz_buf_str(&b));
}
