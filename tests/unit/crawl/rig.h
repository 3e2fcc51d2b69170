/*
 * rig: crawlers over a real catalog and store in a scratch folder, a site on loopback that gives
 * pictures, and sources whose answers need no network.
 *
 * The sources (rig.c), by id: "still" has series without chapters; "comic" has chapter "1" with
 * RIG_PAGES pages; "bad" fails by the name of its series ("gone", "unavailable", "later"); "waits"
 * asks the site for something that never comes; "own" downloads chapters its own way ("twice" and
 * "fails" do not work); "hoards" sets texts in its store, without end for
 * "much". A page from the fourth on waits until rig.open.
 */
#pragma once

#include "test.h"

#include "crawl/runner_int.h"

#include <pthread.h>
#include <stdatomic.h>

#define RIG_PAGES 6
#define RIG_EVENTS_MAX 4096

struct rig_event {
    int kind;
    int64_t job, at_ms;
    char target[32], chapter[32], fail_kind[32], text[128];
    uint64_t done, total;
};

struct rig_crawler {
    struct dz_crawler *c;
    struct dz_catalog *catalog;
    bool stopped;
    int idle;
    bool idle_failed;
    /* Called from the event, may be NULL. */
    void (*hook)(struct rig_crawler *k, const struct dz_crawl_event *e);
};

extern struct rig {
    char dir[64];
    struct dz_loop *loop;
    struct dz_pool *pool;
    struct dz_store *store;
    struct dz_catalog *catalog; /* of the test itself */
    struct dz_conf *conf;
    struct rig_event events[RIG_EVENTS_MAX]; /* of all crawlers */
    size_t events_n;
    int listener;
    unsigned port;
    pthread_t thread;
    _Atomic bool open;
    _Atomic int page_requests[RIG_PAGES + 1]; /* by number, from 1 */
} rig;

/* Scratch folder; then site and sources in it. */
void rig_folder(void);
void rig_site(void);
void rig_prepare(void); /* both */
/* more: lines of YAML behind those of the rig. */
struct dz_conf *rig_conf(const char *more);
void rig_open(const char *more);
void rig_close(void); /* all but the folder */
int rig_remove(void);
int rig_setup(void **state);    /* folder, site, open */
int rig_teardown(void **state); /* closes, removes the folder */

/* o: those of the caller; the rig lays in what it knows. The crawler has a catalog handle of its
 * own, as another process would. */
void rig_start(struct rig_crawler *k, struct dz_crawler_options o);
void rig_stop(struct rig_crawler *k); /* until stopped, then freed */
void rig_on_stopped(void *crawler);   /* sets stopped */
int64_t rig_ask(const char *source, const char *target);
struct dz_job_rec rig_job(int64_t id, struct dz_arena *a); /* id 0: not there */
enum dz_job_state rig_state(int64_t id);
void rig_turn(void); /* one turn of the loop */
void rig_until_state(int64_t id, enum dz_job_state s);
size_t rig_count(int kind, int64_t job);                       /* events; job 0: of all */
const struct rig_event *rig_last(int kind);                    /* NULL: none */
void rig_until_event(int kind, size_t n);                      /* of that kind, all jobs */
size_t rig_pages_kept(const char *source, const char *target); /* in the catalog; 0: no chapter */
bool rig_lock_is_free(void);                                   /* a repair could begin */
