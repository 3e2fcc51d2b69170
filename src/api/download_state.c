/*
 * download_state: the state of a download as the library API tells it (contracts/nagato.md 4.1, 5).
 *
 * In: a row of the catalog's jobs of the kind "download". Out: one JSON object. What was asked for
 * stands in the row's arguments, a JSON text that does not change as long as the row lives; who
 * reads a row often reads them once. Pure; any thread.
 */
#include "api/ops.h"

#include <jansson.h>

void download_facts_read(dz_str args, struct dz_arena *a, struct download_facts *ret_args)
{
    json_t *v = args.n > 0 ? json_loadb(args.p, args.n, 0, NULL) : NULL;
    const json_t *file = json_object_get(v, "file"), *pages = json_object_get(v, "pages");
    *ret_args = (struct download_facts){.pages = -1};
    if (json_is_string(file))
        ret_args->file =
            dz_arena_str(a, (dz_str){json_string_value(file), json_string_length(file)});
    if (json_is_integer(pages) && json_integer_value(pages) >= 0)
        ret_args->pages = json_integer_value(pages);
    json_decref(v);
}

const char *download_state_name(const struct dz_job_rec *j)
{
    switch (j->state) {
    case DZ_JOB_QUEUED:
        return "QUEUED";
    case DZ_JOB_RUNNING:
        return dz_str_eq(j->phase, DZ_S("saving")) ? "SAVING" : "PROCESSING";
    case DZ_JOB_DONE:
        return "COMPLETE";
    case DZ_JOB_FAILED:
        return "FAILED";
    case DZ_JOB_CANCELLED:
        return "CANCELLED";
    case DZ_JOB_STATES:
        break;
    }
    return "";
}

/* A part of 1, or the integer -1 while nobody knows of how many pages. */
static void put_completion(struct dz_json *j, const struct dz_job_rec *job, int64_t pages)
{
    uint64_t total = job->total > 0 ? job->total : pages > 0 ? (uint64_t)pages : 0;
    if (job->state == DZ_JOB_DONE)
        dz_json_real(j, 1.0);
    else if (total > 0)
        dz_json_real(j, job->done < total ? (double)job->done / (double)total : 1.0);
    else if (pages == 0)
        dz_json_real(j, 0.0);
    else
        dz_json_int(j, -1);
}

static void put_time(struct dz_json *j, const char *key, int64_t at_ms)
{
    dz_json_key(j, dz_str_of(key));
    dz_json_int(j, at_ms);
}

void download_state_put_with(struct dz_json *j, const struct dz_job_rec *job,
                             const struct download_facts *args)
{
    bool over = job->state != DZ_JOB_QUEUED && job->state != DZ_JOB_RUNNING;
    dz_json_object(j);
    dz_json_key(j, DZ_S("file"));
    dz_json_str(j, args->file);
    dz_json_key(j, DZ_S("status"));
    dz_json_str(j, dz_str_of(download_state_name(job)));
    dz_json_key(j, DZ_S("completion"));
    put_completion(j, job, args->pages);
    dz_json_key(j, DZ_S("size"));
    dz_json_int(j, job->bytes < INT64_MAX ? (int64_t)job->bytes : INT64_MAX);
    put_time(j, "created", job->created_ms);
    if (job->state != DZ_JOB_QUEUED && job->started_ms > 0)
        put_time(j, "begin", job->started_ms);
    if (over)
        put_time(j, "end", job->ended_ms);
    dz_json_end(j);
}

void download_state_put(struct dz_json *j, const struct dz_job_rec *job)
{
    struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct download_facts args;
    download_facts_read(job->args, a, &args);
    download_state_put_with(j, job, &args);
    dz_arena_free(&a);
}
