/*
 * graphql_work: jobs and sources as types of the schema.
 *
 * In: the catalog for jobs, on a worker, read once for a request; settings and the view for
 * sources. Out: connections of them. What is found lies in the arena of the execution.
 */
#include "api/graphql_library_int.h"

#define JOBS_MAX 10000u

/* ---- sources ----------------------------------------------------------------------------------
 */

enum source_field { O_NAME, O_ENABLED, O_SERIES, O_CHAPTERS, O_FIELDS };
static const struct graph_says source_fields[O_FIELDS] = {
    [O_NAME] = {"name", "String!", "Its id, such as \"mangadex.org\"."},
    [O_ENABLED] = {"enabled", "Boolean!", "Whether the settings let it work."},
    [O_SERIES] = {"seriesCount", "Int!", "Series of the library that came from it."},
    [O_CHAPTERS] = {"chapterCount", "Int!", "Chapters of the library that came from it."},
};

static enum dz_code resolve_source_field(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                         struct dz_err *err)
{
    const struct graph_source *s = call->object;
    (void)err;
    switch ((enum source_field) * (const int *)call->data) {
    case O_NAME:
        dz_gql_str(ret, s->name);
        break;
    case O_ENABLED:
        dz_gql_bool(ret, s->enabled);
        break;
    case O_SERIES:
        dz_gql_int(ret, (int64_t)s->series);
        break;
    case O_CHAPTERS:
        dz_gql_int(ret, (int64_t)s->chapters);
        break;
    case O_FIELDS:
        break;
    }
    return DZ_OK;
}

static enum dz_code resolve_sources(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                    struct dz_err *err)
{
    struct graph_library *lib = graph_lib(call);
    const struct dz_view *v = graph_view(call);
    const struct dz_conf *conf = v->conf;
    lib->source_list =
        dz_arena_alloc(call->arena, (conf->sources.n + 1) * sizeof(*lib->source_list));
    for (size_t i = 0; i < conf->sources.n; i++) {
        struct graph_source *s = &lib->source_list[i];
        *s = (struct graph_source){.name = dz_str_of(conf->sources.v[i].id),
                                   .enabled = conf->sources.v[i].enabled};
        for (size_t k = 0; k < v->series_n; k++) {
            if (!dz_str_eq(v->series[k]->series.source, s->name))
                continue;
            s->series++;
            s->chapters += v->series[k]->chapters_n;
        }
    }
    return graph_give_connection(call, GRAPH_SOURCES, conf->sources.n, ret, err);
}

/* ---- jobs -------------------------------------------------------------------------------------
 */

enum job_field {
    J_ID,
    J_KIND,
    J_SOURCE,
    J_TARGET,
    J_STATE,
    J_PHASE,
    J_ATTEMPTS,
    J_DONE,
    J_TOTAL,
    J_BYTES,
    J_CREATED,
    J_DUE,
    J_STARTED,
    J_ENDED,
    J_ERROR,
    J_FIELDS
};

/* clang-format off */
static const struct graph_says job_fields[J_FIELDS] = {
    [J_ID] = {"id", "ID!", "Its number."},
    [J_KIND] = {"kind", "String!", "What is done: \"crawl\", \"download\" …"},
    [J_SOURCE] = {"source", "String", "The source that is asked."},
    [J_TARGET] = {"target", "String", "Id at the source; null: all of it."},
    [J_STATE] = {"state", "JobState!", "Where it stands."},
    [J_PHASE] = {"phase", "String", "What a running one is doing."},
    [J_ATTEMPTS] = {"attempts", "Int!", "How often it was begun."},
    [J_DONE] = {"done", "Float!", "Pages that are done."},
    [J_TOTAL] = {"total", "Float!", "Pages there are; 0 when that is not known."},
    [J_BYTES] = {"bytes", "Float!", "Bytes of what is done."},
    [J_CREATED] = {"createdAt", "String", "When it was queued; ISO 8601, UTC."},
    [J_DUE] = {"dueAt", "String", "When it may begin; ISO 8601, UTC."},
    [J_STARTED] = {"startedAt", "String", "When it was begun last; ISO 8601, UTC."},
    [J_ENDED] = {"endedAt", "String", "When it ended; ISO 8601, UTC."},
    [J_ERROR] = {"error", "String", "The kind of its last failure."},
};
/* clang-format on */

static enum dz_code resolve_job_field(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                      struct dz_err *err)
{
    struct graph_library *lib = graph_lib(call);
    const struct dz_job_rec *j = call->object;
    (void)err;
    switch ((enum job_field) * (const int *)call->data) {
    case J_ID:
        graph_give_number(lib, ret, j->id);
        break;
    case J_KIND:
        dz_gql_str(ret, j->kind);
        break;
    case J_SOURCE:
        graph_give_text(ret, j->source);
        break;
    case J_TARGET:
        graph_give_text(ret, j->target);
        break;
    case J_STATE:
        dz_gql_int(ret, j->state);
        break;
    case J_PHASE:
        graph_give_text(ret, j->phase);
        break;
    case J_ATTEMPTS:
        dz_gql_int(ret, j->attempts);
        break;
    case J_DONE:
        dz_gql_float(ret, (double)j->done);
        break;
    case J_TOTAL:
        dz_gql_float(ret, (double)j->total);
        break;
    case J_BYTES:
        dz_gql_float(ret, (double)j->bytes);
        break;
    case J_CREATED:
        graph_give_time(lib, ret, j->created_ms / 1000);
        break;
    case J_DUE:
        graph_give_time(lib, ret, j->run_after_ms / 1000);
        break;
    case J_STARTED:
        graph_give_time(lib, ret, j->started_ms / 1000);
        break;
    case J_ENDED:
        graph_give_time(lib, ret, j->ended_ms / 1000);
        break;
    case J_ERROR:
        graph_give_text(ret, j->fail_kind);
        break;
    case J_FIELDS:
        break;
    }
    return DZ_OK;
}

static void prepare_jobs(const struct dz_gql_call *call)
{
    ((struct graph_ctx *)call->context)->wants_worker = true;
}

/* Forty aliases of the field are one look at the catalog. */
static enum dz_code all_jobs(const struct dz_gql_call *call, struct graph_jobs *all,
                             struct dz_err *err)
{
    if (all->is_read)
        return DZ_OK;
    DZ_TRY(dz_catalog_jobs(((struct graph_ctx *)call->context)->catalog, JOBS_MAX, call->arena,
                           &all->v, &all->n, err));
    all->is_read = true;
    return DZ_OK;
}

static const struct graph_jobs *jobs_in(const struct dz_gql_call *call, int64_t state)
{
    struct graph_library *lib = graph_lib(call);
    struct graph_jobs *some = &lib->jobs_in[state];
    if (some->is_read)
        return some;
    some->v = dz_arena_alloc(call->arena, (lib->jobs.n + 1) * sizeof(*some->v));
    for (size_t i = 0; i < lib->jobs.n; i++)
        if ((int64_t)lib->jobs.v[i].state == state)
            some->v[some->n++] = lib->jobs.v[i];
    some->is_read = true;
    return some;
}

static enum dz_code resolve_jobs(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                 struct dz_err *err)
{
    struct graph_ctx *ctx = call->context;
    const struct dz_gql_value *state = dz_gql_arg(call, "state");
    const struct graph_jobs *given = &ctx->library.jobs;
    dz_assert(ctx->may_block);
    DZ_TRY(all_jobs(call, &ctx->library.jobs, err));
    if (dz_gql_given(state))
        given = jobs_in(call, state->i);
    ctx->library.job_list = given->v;
    return graph_give_connection(call, GRAPH_JOBS, given->n, ret, err);
}

static void add_work_types(struct dz_gql_builder *b)
{
    /* clang-format off */
    static const struct { const char *name, *says; } states[DZ_JOB_STATES] = {
        [DZ_JOB_QUEUED] = {"QUEUED", "It waits."},
        [DZ_JOB_RUNNING] = {"RUNNING", "It is under way."},
        [DZ_JOB_DONE] = {"DONE", "It has ended well."},
        [DZ_JOB_FAILED] = {"FAILED", "It has failed for good."},
        [DZ_JOB_CANCELLED] = {"CANCELLED", "It was called off."},
    };
    /* clang-format on */
    struct dz_gql_type *e = dz_gql_add_enum(b, "JobState", "Where a job stands.");
    for (int i = 0; i < DZ_JOB_STATES; i++)
        dz_gql_add_choice(e, states[i].name, i, states[i].says);
    struct dz_gql_type *j = dz_gql_add_object(b, "Job", "A piece of work of the crawler.");
    graph_add_fields(j, job_fields, J_FIELDS, resolve_job_field);
    struct dz_gql_type *s =
        dz_gql_add_object(b, "Source", "A site that the library knows to read.");
    graph_add_fields(s, source_fields, O_FIELDS, resolve_source_field);
    graph_add_connection(b, GRAPH_JOBS, "JobConnection", "JobEdge", "[JobEdge!]!", "Job!");
    graph_add_connection(b, GRAPH_SOURCES, "SourceConnection", "SourceEdge", "[SourceEdge!]!",
                         "Source!");
}

void graph_add_work(struct dz_gql_builder *b, struct dz_gql_type *query)
{
    add_work_types(b);
    struct dz_gql_field *f =
        dz_gql_add_field(query, "jobs", "JobConnection!", resolve_jobs, NULL,
                         "What the crawler does: running jobs, then those that wait, then those "
                         "that ended, the latest first; 10,000 at most.");
    dz_gql_field_prepare(f, prepare_jobs);
    graph_add_page_args(f);
    dz_gql_add_arg(f, "state", "JobState", NULL, "Only jobs of this state.");
    f = dz_gql_add_field(query, "sources", "SourceConnection!", resolve_sources, NULL,
                         "Sites that the library knows to read.");
    dz_gql_field_prepare(f, graph_prepare_scan);
    graph_add_page_args(f);
}
