/*
 * upload_int: what uploads.c (taking in), upload_show.c (showing, deleting) and imoog.c (many at
 * once) share.
 */
#pragma once

#include "library/library_int.h"

#define UPLOADS_UNUSED_MAX 10000u /* more are left to a repair */

struct library_uploads {
    pthread_mutex_t lock;
    struct dz_upload *first, **last; /* wait to be kept */
    bool busy;                       /* somebody keeps a group */
    atomic_uint open_n;              /* those that the store has begun to get */
    void (*gone)(void *arg, dz_str id);
    void *gone_arg;
    uint64_t seen; /* of the deletions; keeper only */
    struct dz_arena *scratch;
    struct dz_sha256 *unused; /* bytes that a deletion may have left without a use */
    size_t unused_n;
};

/* As dz_upload_keep() in two steps, so that many of one thread share their syncs: each is added,
 * and all that wait are kept. */
void library_upload_add(struct dz_upload **take_u, const struct dz_upload_wish *wish);
void library_uploads_keep(struct dz_library *l);
