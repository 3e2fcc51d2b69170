/*
 * runner_int: the crawler as its files share it: crawler.c opens and stops it, runner.c takes,
 * renews and ends jobs, schedule.c says when the next ones are due, report.c tells the world how it
 * went. Loop thread; what blocks is a dz_work whose fields the loop leaves alone while it is out.
 */
#pragma once

#include "crawl/crawl_int.h"

/* What comes again and again. */
struct crawl_regular {
    struct crawl_regular *next;
    const char *kind;      /* of the job: CRAWL_JOB, CRAWL_FOLLOW */
    dz_str source, target; /* lie in key */
    int64_t every_ms;
    unsigned failures; /* in a row */
    bool kept;         /* schedule.c: it is still a favourite */
    char key[];
};
/* In the order in which they came, which is that of their first jobs. */
struct crawl_regulars {
    struct crawl_regular *first, **last;
    struct dz_map by_key;
};

struct crawl_running {
    struct crawl_job job;
    struct crawl_running *next;
    bool lost, cancelled, ending;
    bool moved; /* how far it is has not been written yet */
    struct dz_work renew, end_work, import_work;
    atomic_bool import_stop;
    bool renewing;
    struct dz_job_progress renew_progress; /* what the renewing worker writes down */
    enum dz_code renew_code;               /* beside an import, which has code and err */
    struct dz_err renew_err;
    enum dz_code code;
    struct dz_err err;
    struct dz_job_rec end;
    struct dz_source_fail fail; /* kind OK: it worked */
    uint64_t chapters;
    int64_t began_ms;
};

struct dz_crawler {
    struct dz_crawler_options o;
    struct crawl_env env;
    struct crawl_memory *memory;
    struct crawl_calls *calls; /* call_serve.c; NULL: nobody asks */
    unsigned call_works;       /* of calls, on the pool, also of those that have ended */
    char owner[160];
    int owner_fd;     /* its lock */
    int64_t lease_ms; /* as it was at the start: workers read it */
    bool told_lock;

    struct crawl_running *running;
    unsigned running_n, pings;
    bool only_taken, failed;

    struct dz_timer look, renew, progress, stop_poll;
    struct dz_work take_work;
    dz_str take_kinds[3];
    size_t take_kinds_n;
    bool take_all;               /* none has to wait for its own limit */
    bool taking, take_alone;     /* alone: no job runs */
    enum dz_code lock_code;      /* of the last look */
    struct dz_arena *take_arena; /* goes to the job that was taken */
    struct crawl_memory_news take_news;
    struct dz_job_rec taken;
    enum dz_code take_code;
    struct dz_err take_err;
    int64_t next_due_ms;
    struct dz_log_gate complained, complained_lease, complained_pace;

    bool shared;          /* the catalog: crawlers on other machines may be at work on it */
    struct ask *asks;     /* pace.c */
    unsigned asks_out;    /* of these, on the pool */
    struct dz_timer poke; /* after news: its leases are renewed, which tells of cancelled jobs */

    struct dz_timer ensure; /* what is regular has a row, whoever took the last one */
    struct crawl_regulars regular;
    struct dz_work add_work; /* schedule.c: one list of jobs at a time */
    bool adding;
    enum dz_code add_code;
    struct dz_err add_err;
    struct crawl_ask_item {
        struct crawl_ask_item *next;
        const char *kind;
        char *source, *target;
        int64_t run_after_ms;
        bool keeps; /* a row that is there keeps its time */
        enum dz_code code;
        struct dz_err err;
    } * asked, **asked_last, *adding_list; /* in the order in which they came */
    bool favourites_due;                   /* with the next list they are read as well */
    struct dz_arena *favourites_arena;
    struct dz_favourite_rec *favourites;
    size_t favourites_n;
    json_t *follow_told; /* sources of favourites that are not there */

    bool stopping, stopped;
    void (*on_stopped)(void *arg);
    void *on_stopped_arg;
};

/* Of a job that is a download: done, total, bytes or phase are other ones; its end. */
void crawl_download_moved(struct crawl_job *j);
void crawl_job_ended(struct crawl_job *j, const struct dz_source_fail *fail);

#define CRAWL_JOB "crawl"
/* follow.c: jobs of this kind look for new chapters of a favourite; c->calls is there. */
#define CRAWL_FOLLOW "follow"
void crawl_follow_begin(struct crawl_job *j);
void crawl_follow_stop(struct crawl_job *j); /* its end comes later */

/* runner.c */
void crawl_look_soon(struct dz_crawler *c, int64_t after_ms);
void crawl_leases_begin(struct dz_crawler *c); /* from now on they are renewed by themselves */
void crawl_leases_renew(struct dz_crawler *c); /* now; tells of jobs that were cancelled as well */
void crawl_jobs_stop(struct dz_crawler *c);    /* their ends come later */

/* owner.c */
DZ_MUST enum dz_code crawl_owner_new(const char *data_dir, char *ret_name, size_t size, int *ret_fd,
                                     struct dz_err *err);
void crawl_owner_end(const char *data_dir, const char *name, int *fd); /* idempotent */
/* Jobs whose owners are gone are queued again. */
DZ_MUST enum dz_code crawl_owner_take_back(struct dz_catalog *c, const char *data_dir,
                                           struct dz_err *err);
dz_str crawl_owner_host(dz_str owner);

/* pace.c: a fetcher's ask_slot, arg is the crawler */
void crawl_pace_ask(void *arg, dz_str source, dz_str host, int64_t gap_ms);
void crawl_pace_free(struct dz_crawler *c); /* none is on the pool */

/* schedule.c */
/* From env.conf: what is regular and has no row is due now. */
void crawl_schedule_read(struct dz_crawler *c);
void crawl_schedule_ensure(struct dz_crawler *c); /* from time to time, by itself from now on */
void crawl_schedule_free(struct dz_crawler *c);
/* When a job that worked and brought nothing new comes again; -1: it is not one of ours. */
int64_t crawl_schedule_again_ms(struct dz_crawler *c, const struct crawl_running *r);
void crawl_schedule_ended(struct dz_crawler *c, const struct crawl_running *r);
bool crawl_schedule_has(const struct dz_crawler *c, const struct dz_job_rec *j); /* is regular */

/* Name of the health records; each process that crawls has one of its own. */
#define CRAWL_HEALTH "health"
/* report.c: the health record and the ping of settings */
void crawl_report(struct dz_crawler *c, struct crawl_running *r);
