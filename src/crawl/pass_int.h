/*
 * pass_int: one pass over one series, as its stages share it.
 *
 * pass.c walks through the stages and fetches chapters; extras.c has what hangs on a series beside
 * its chapters (release text, titles, volumes, covers); apply.c writes changes. One thing is under
 * way at a time (`busy`), every end goes through crawl_pass_next, which comes back from the loop;
 * so that nothing runs inside somebody else's call and stopping is the same everywhere.
 */
#pragma once

#include "crawl/crawl_int.h"

enum pass_stage {
    STAGE_LOAD,
    STAGE_SERIES,
    STAGE_CHAPTERS,
    STAGE_CHAPTER, /* the next new chapter, until there is none */
    STAGE_STATUS,
    STAGE_TITLES,
    STAGE_VOLUMES,
    STAGE_COVERS,
    STAGE_COVER, /* the next cover, until there is none */
    STAGE_END
};

enum pass_busy { BUSY_NOT, BUSY_CALL, BUSY_PAGES, BUSY_FETCH, BUSY_WORK };

/* What a pass has to know of a chapter that is kept. */
struct pass_known {
    dz_str source_id, key, volume;
    double sort;
    bool title_null, volume_null, volume_cover, has_pages, wanted_again, asked_title;
};

/* A change of a kept chapter; n = 0 texts leave what is there. What a person has edited stays: a
 * title is taken only where there is none, a volume only where there is none or still the one that
 * the site named before. */
struct pass_change {
    dz_str key, title, volume, volume_was;
    bool volume_cover;
};

struct pass_cover {
    dz_str volume, url;
    const json_t *headers;
    struct dz_asset_rec asset; /* name n = 0: not fetched */
};

struct crawl_pass {
    struct crawl_job *j;
    void (*ended)(struct crawl_job *j, const struct dz_source_fail *fail);
    struct dz_arena *arena; /* texts of this pass */
    dz_str source_id, target;
    enum pass_stage stage;
    enum pass_busy busy;
    bool stopping;
    struct dz_timer soon;
    struct dz_source_fail fail; /* the first failure that counts */

    struct dz_source_env env; /* of run */
    struct dz_source_run *run;
    bool run_over; /* its budget is used up: the next call gets a new one */
    void (*called)(struct crawl_pass *p, const struct dz_source_result *res);
    json_t *args;

    struct dz_work work;
    void (*worked)(struct crawl_pass *p);
    enum dz_code work_code;
    struct dz_err work_err;

    /* the series */
    int64_t series_id; /* 0: not there yet */
    dz_str new_release;
    bool right_to_left;
    struct pass_known *known;
    size_t known_n, known_cap;
    struct dz_map by_id, by_key; /* source_id, key → index + 1 */
    dz_str *assets;
    size_t assets_n, assets_cap;
    struct dz_series_rec series; /* what a step writes */

    /* chapters */
    json_t *list; /* of DZ_FN_CHAPTERS */
    struct pass_new {
        json_t *rec;
        dz_str id, key, label;
        double sort;
        unsigned failures; /* in a row */
        bool again;        /* the catalog has it without its pages */
    } * fresh;
    size_t fresh_n, fresh_at;
    struct crawl_pages *pages;
    struct crawl_keeper *keeper;   /* of pages */
    struct dz_page_rec *page_recs; /* of chapter */
    struct dz_chapter_rec chapter;

    /* changes on their way to the catalog */
    struct pass_change *changes;
    size_t changes_n, changes_cap;
    uint64_t changed_n;

    /* titles: after a question about several failed, one at a time */
    unsigned titles_asked;
    bool title_alone;
    dz_str volumes_said; /* JSON of key → volume, as the site has it now */

    /* covers */
    bool covers_asked, cover_missing;
    json_t *cover_lists[2]; /* results that `covers` points into */
    struct pass_cover *covers;
    size_t covers_n, covers_cap, cover_at;
    size_t covers_unput; /* in the store, not yet in the catalog */
    struct dz_fetch_call *fetch;
    struct dz_body *body;
};

/* From the loop, at once: the next step of p->stage, or the end. */
void crawl_pass_next(struct crawl_pass *p, enum pass_stage stage);
/* Calls the source; args is taken. A source without the function: `called` is not called, and the
 * answer is false. */
bool crawl_pass_call(struct crawl_pass *p, enum dz_source_fn fn, json_t *take_args,
                     void (*called)(struct crawl_pass *p, const struct dz_source_result *res));
void crawl_pass_work(struct crawl_pass *p, void (*run)(struct dz_work *w),
                     void (*worked)(struct crawl_pass *p));
/* Tells that a stage failed; `counts`: the job has failed then, unless something failed before. */
void crawl_pass_trouble(struct crawl_pass *p, const struct dz_source_fail *fail, bool counts);
/* The same for an error of ours. */
void crawl_pass_error(struct crawl_pass *p, const struct dz_err *err, bool counts);
dz_str crawl_pass_text(struct crawl_pass *p, const json_t *v); /* text or number; n = 0: null */
struct pass_known *crawl_pass_known(struct crawl_pass *p, dz_str key); /* NULL: not kept */
bool crawl_pass_has_asset(const struct crawl_pass *p, dz_str name);
void crawl_pass_add_asset(struct crawl_pass *p, dz_str name);
void crawl_pass_change(struct crawl_pass *p, const struct pass_change *c);

/* apply.c: steps on a worker */
void crawl_run_load(struct dz_work *w);    /* known, assets, series_id */
void crawl_run_series(struct dz_work *w);  /* p->series → series_id */
void crawl_run_chapter(struct dz_work *w); /* p->chapter with its pages, parts forgotten */
void crawl_run_changes(struct dz_work *w); /* changes and fetched covers, all in one batch */
void crawl_run_cover(struct dz_work *w);   /* p->body into the store, as covers[cover_at].asset */

/* extras.c: a stage each */
void crawl_stage_status(struct crawl_pass *p);
void crawl_stage_titles(struct crawl_pass *p);
void crawl_stage_volumes(struct crawl_pass *p);
void crawl_stage_covers(struct crawl_pass *p);
void crawl_stage_cover(struct crawl_pass *p);

/* due.c: when something is asked again. Loop thread, over crawl_memory. */
/* true: never asked, or the time has come. */
bool crawl_due(struct crawl_pass *p, const char *what, dz_str of, int64_t now_ms);
unsigned crawl_due_failures(struct crawl_pass *p, const char *what, dz_str of); /* in a row */
/* The first wait after a failure: a few passes, at most a minute. */
int64_t crawl_due_first_ms(const struct crawl_pass *p);
/* After a success the next time is `every_ms` away; after a failure first_ms · 2^n, at most
 * every_ms.
 */
void crawl_due_after(struct crawl_pass *p, const char *what, dz_str of, bool worked,
                     int64_t first_ms, int64_t every_ms, int64_t now_ms);
