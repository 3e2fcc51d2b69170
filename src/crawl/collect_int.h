/*
 * collect_int: the crawl of a source's collections: collect.c is the job, collect_rows.c puts
 * records into the catalog and asks it, collect_archive.c keeps bytes on disk.
 *
 * Everything on the loop's thread, but for the run functions of works. A work counts in `works`
 * from its submission to its end; the job ends when the source's run has and no work is out.
 */
#pragma once

#include "crawl/crawl_int.h"

#define COLLECT_BATCH_MAX 1000u /* records of one transaction */

/* One collection of the source. */
struct collect_rows {
    struct crawl_collect *c;
    struct dz_collection *coll;
    struct dz_source_ask *waiting[COLLECT_BATCH_MAX]; /* in the order in which they came */
    size_t waiting_n;
    bool writing;
};

struct crawl_collect {
    struct crawl_job *j;
    void (*ended)(struct crawl_job *j, const struct dz_source_fail *fail);
    struct collect_rows *v;
    size_t n;
    struct dz_source_env env; /* of run */
    struct dz_source_run *run;
    json_t *args;
    struct dz_work ensure;
    enum dz_code ensure_code;
    struct dz_err ensure_err;
    struct dz_timer soon;
    unsigned works;
    bool stopping, over; /* over: the run has ended, or there will be none */
    struct dz_source_fail fail;
    uint64_t fresh, same, clashes, troubles; /* fresh: records that are new */
    bool untold;                             /* some of them */
    struct dz_source_fail trouble;           /* the first */
};

/* Counts a work that goes to the pool; false: it was not taken, and err says why. */
bool collect_submit(struct crawl_collect *c, struct dz_work *w, struct dz_err *err);
void collect_came_back(struct crawl_collect *c); /* as the last thing of its done */

/* collect_rows.c, collect_archive.c: answers come later, or at once with what is wrong. */
void collect_emit(struct crawl_collect *c, struct dz_source_ask *take_ask);
void collect_seen(struct crawl_collect *c, struct dz_source_ask *take_ask);
void collect_archive(struct crawl_collect *c, struct dz_source_ask *take_ask);
