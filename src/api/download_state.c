/*
 * download_state: the state of a download as the library API tells it (contracts/nagato.md 4.1, 5).
 *
 * In: a row of the catalog's jobs of the kind "download". Out: one JSON object. What was asked for
 * stands in the row's arguments, a JSON text that does not change as long as the row lives; who
 * reads a row often reads them once. Pure; any thread. The odd thing: only the members that are
 * wanted are looked at, since a list has thousands of rows with long descriptions in them.
 */
#include "api/ops.h"

#include <jansson.h>

/* Behind the text whose quote stands at `at`. */
static size_t text_end(dz_str s, size_t at)
{
    for (at++; at < s.n && s.p[at] != '"'; at++)
        at += s.p[at] == '\\';
    return at + 1;
}

/* Behind the value that begins at `at`: at the comma or bracket that follows it. */
static size_t value_end(dz_str s, size_t at)
{
    unsigned depth = 0;
    while (at < s.n) {
        char c = s.p[at];
        bool closes = c == '}' || c == ']';
        if (depth == 0 && (closes || c == ','))
            break;
        depth += c == '{' || c == '[';
        depth -= closes;
        at = c == '"' ? text_end(s, at) : at + 1;
    }
    return at;
}

static size_t blanks_end(dz_str s, size_t at)
{
    while (at < s.n && (s.p[at] == ' ' || s.p[at] == '\n' || s.p[at] == ',' || s.p[at] == ':'))
        at++;
    return at;
}

/* The next member of an object, name and value as they are written; false: there is none. */
static bool next_member(dz_str s, size_t *at, dz_str *ret_name, dz_str *ret_value)
{
    size_t name = blanks_end(s, *at);
    if (name >= s.n || s.p[name] != '"')
        return false;
    size_t end = text_end(s, name), value = blanks_end(s, end);
    *at = value_end(s, value);
    *ret_name = dz_str_sub(s, name, end);
    *ret_value = dz_str_sub(s, value, *at);
    return ret_value->n > 0;
}

/* Not parsed whole: what a site said of chapter and series stands there too, and lists are long. */
void download_facts_read(dz_str args, struct dz_arena *a, struct download_facts *ret_args)
{
    size_t at = 1;
    dz_str name, value;
    bool file = false, pages = false;
    *ret_args = (struct download_facts){.pages = -1};
    while (!(file && pages) && next_member(args, &at, &name, &value)) {
        bool is_file = dz_str_eq(name, DZ_S("\"file\"")),
             is_pages = dz_str_eq(name, DZ_S("\"pages\""));
        file |= is_file;
        pages |= is_pages;
        json_t *v =
            is_file || is_pages ? json_loadb(value.p, value.n, JSON_DECODE_ANY, NULL) : NULL;
        if (is_file && json_is_string(v))
            ret_args->file = dz_arena_str(a, dz_json_text(v));
        if (is_pages && json_is_integer(v) && json_integer_value(v) >= 0)
            ret_args->pages = json_integer_value(v);
        json_decref(v);
    }
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
