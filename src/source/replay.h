/*
 * replay: what the files of tests of sources share.
 *
 * replay.c reads recorded exchanges and answers requests with them, expect.c reads expect.json,
 * calls the functions and compares, record.c asks the site for what is not recorded yet. Files with
 * recorded exchanges are described in docs/sources.md.
 */
#pragma once

#include "source/source_int.h"

#define REPLAY_FILE_MAX ((size_t)64 * 1024 * 1024) /* of one file, and of a body in a file */
#define REPLAY_EXCHANGES_MAX 10000u

struct replay_exchange {
    const char *file; /* as messages name it */
    uint32_t line;
    bool apart;                          /* only for cases that name its file */
    bool optional;                       /* need not be used */
    dz_str method, shown_url, url;       /* url: in its normal form */
    const struct dz_fetch_header *wants; /* what must be sent so */
    size_t wants_n;
    dz_str sent_body; /* n = 0: anything */
    int status;       /* 0: no answer came, see broken */
    enum dz_fetch_kind broken;
    const struct dz_fetch_header *fields;
    size_t fields_n;
    dz_str body;
    uint64_t used;
    bool used_now; /* in this case */
};

struct replay;
/* The loop must outlive it. */
struct replay *replay_new(struct dz_loop *l);
/* Answers what still waits as cancelled. */
void replay_free(struct replay **r);
/* The exchanges of a file; `file` for messages, folder for bodies that lie in files. apart: only
 * for cases that name them. DZ_BAD_INPUT: "FILE:LINE: words". */
DZ_MUST enum dz_code replay_add(struct replay *r, const char *file, const char *folder, dz_str text,
                                bool apart, struct dz_err *err);
/* A new case: exchanges of those files (as `file` was given) come first, then the common ones. The
 * info says which hosts may be asked; it and the names must outlive the case. */
void replay_begin(struct replay *r, const struct dz_source_info *info, const char *const *files,
                  size_t files_n);
/* `send` of struct dz_source_env. */
void replay_send(struct replay *r, const struct dz_fetch_req *req);
/* Whether there is an answer to that. */
bool replay_has(struct replay *r, const struct dz_fetch_req *req);
/* The exchanges from the i-th on have answered. */
void replay_use_from(struct replay *r, size_t i);
/* What was asked in this case and is not recorded, one a line; n = 0: nothing. */
dz_str replay_missing(const struct replay *r);
/* Exchanges that no case used and that are not marked as optional, and all of them. */
size_t replay_count(const struct replay *r);
const struct replay_exchange *replay_at(const struct replay *r, size_t i);
/* Whether the requester would let such a request out: `hosts` of the source, and the hosts of its
 * options that end in _url. */
bool replay_allows(const struct dz_source_info *info, dz_str url);

#define RECORD_FILE "recorded.http"
struct recorder;
/* What it writes down is also added to the replay. The loop and the replay must outlive it. */
DZ_MUST enum dz_code record_new(struct replay *replay, struct dz_loop *l,
                                const struct dz_fetch_options *o, struct recorder **ret_r,
                                struct dz_err *err);
void record_free(struct recorder **r);
void record_send(struct recorder *r, const struct dz_fetch_req *req);
unsigned record_count(const struct recorder *r);
/* Behind what FOLDER/recorded.http holds; nothing when nothing was asked. */
DZ_MUST enum dz_code record_save(struct recorder *r, const char *folder, struct dz_err *err);

/* gather.c: what crawl and download hand over. */
struct gather;
/* rows: {"Collection": [record]} that are there; seen: {"Collection": [key]}; both may be NULL,
 * seen and the info must outlive it. */
struct gather *gather_new(const struct dz_source_info *info, const json_t *rows,
                          const json_t *seen);
void gather_free(struct gather **g);
void gather_clear(struct gather *g); /* rows stay */
/* As in struct dz_source_sink. */
void gather_ask(struct gather *g, struct dz_source_ask *take_ask);
void gather_archive(struct gather *g, dz_str name, dz_str bytes);
void gather_trouble(struct gather *g, enum dz_source_kind kind, dz_str text);
/* {"emitted": {Collection: [record]}, "archived": [{"bytes", "sha256", "name"}], "troubles":
 * [{"kind", "text"}]}; the caller decrefs. */
json_t *gather_of_crawl(const struct gather *g);
json_t *gather_of_download(const struct gather *g); /* "archived" of it */
json_t *gather_bytes(dz_str bytes);                 /* {"bytes": length, "sha256"} */
