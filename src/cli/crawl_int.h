/*
 * crawl_int: what `dozo crawl` and `dozo download` are made of: crawl.c runs the pass, crawl_what.c
 * finds out what is meant, download.c writes chapters to disk, ask.c is for both.
 */
#pragma once

#include "cli/cli_int.h"
#include "crawl/crawl.h"

/* ---- ask.c: questions to a source ------------------------------------------------------------ */

/* As the settings say, without a cache on disk. */
DZ_MUST enum dz_code dz_cli_fetch_new(struct dz_loop *l, const struct dz_conf *conf,
                                      struct dz_fetch **ret_f, struct dz_err *err);

struct dz_asker {
    struct dz_source_env env; /* of run: the struct stays where it is */
    struct dz_source_run *run;
    bool asking;
    json_t *value;
    struct dz_source_fail fail; /* of the last question, when the source said no */
    uint64_t requests;
};
DZ_MUST enum dz_code dz_asker_open(struct dz_asker *k, struct dz_loop *l, struct dz_fetch *fetch,
                                   struct dz_source *s, struct dz_err *err);
/* Also ends a question that waits, which is how a stop gets through. Idempotent. */
void dz_asker_close(struct dz_asker *k);
/* Runs the loop until the answer is there; the caller decrefs it. err has the words also when it
 * was the source that failed (k->fail). take_args NULL: what was to be asked is no UTF-8. */
DZ_MUST enum dz_code dz_asker_ask(struct dz_asker *k, enum dz_source_fn fn, json_t *take_args,
                                  json_t **ret_value, struct dz_err *err);
/* With one text as the argument. */
DZ_MUST enum dz_code dz_asker_ask_text(struct dz_asker *k, enum dz_source_fn fn, dz_str text,
                                       json_t **ret_value, struct dz_err *err);

/* SIGINT and SIGTERM call `stop` from the loop; a second one ends the process at once. */
struct dz_stopper {
    atomic_bool asked;
    struct dz_progress *progress;
    void (*stop)(void *arg);
    void *arg;
};
/* Before any thread is started. */
DZ_MUST enum dz_code dz_stopper_watch(struct dz_stopper *s, struct dz_loop *l, struct dz_err *err);

/* ---- crawl_what.c ---------------------------------------------------------------------------- */

/* "SOURCE", "SOURCE/ID" or an address into ret_source and ret_target, which are empty. For an
 * address its source is asked, on a loop of its own. The exit status; what is wrong was said. */
int dz_crawl_what(const struct dz_conf *conf, const struct dz_sources *sources, const char *what,
                  struct dz_buf *ret_source, struct dz_buf *ret_target);
