/*
 * rig: a server over a library of one chapter, without sockets, and a store that waits, lies and
 * fails as told: dz_store_get() and dz_store_open_file() are wrapped by the linker (meson.build).
 */
#pragma once

#include "library/lab.h"

#include "api/api.h"
#include "http/http_int.h"

#define RIG_PAGES 3

struct rig_store {
    atomic_uint reads;   /* of bodies */
    atomic_bool closed;  /* they wait */
    enum dz_code broken; /* what they end in; DZ_OK: the bytes */
    bool short_by_one;   /* the bytes but for the last */
    bool no_files;       /* rig_begin_far */
};
extern struct rig_store store;

struct rig {
    struct lab lab;
    struct dz_cache *cache;
    struct dz_pool *pool;
    struct dz_api *api;
    struct dz_http_server *server;
    struct dz_loop *loop;
    char url[RIG_PAGES][64]; /* of the pages, which are lab_picture(0), (1) … */
    char cbz[64];            /* of the chapter as a file */
};
extern struct rig it;

/* One worker, and so many places in its queue. */
void rig_begin(unsigned queue_max);
void rig_begin_far(unsigned queue_max); /* the store has no files, as one that is a database */
void rig_end(void);
void rig_wait_for_reads(unsigned n);
/* Does not wait for the answer. */
struct dz_http_test_conn *rig_ask(const char *url, const char *fields);
/* The first bytes of it, when they are there. */
dz_str rig_answer(struct dz_http_test_conn *c);
/* Its status, and its body unless that is p = NULL; frees. */
void rig_assert_status(struct dz_http_test_conn **c, int status, dz_str body);
