/*
 * feed: what is known of all downloads, and what has changed, as event streams tell it
 * (server-sent events, WHATWG HTML 9.2).
 *
 * A worker puts rows of the catalog in; readers on any loop take whole events out: first a snapshot
 * of all states, then one event for each update that changed something. The last events are kept,
 * so that who comes back with the id of the last one it saw misses nothing. An id is EPOCH-NUMBER;
 * the epoch is another one after each start. Events are counted bodies, shared by all readers.
 */
#pragma once

#include "catalog/catalog.h"

#define FEED_EVENTS_MAX 1024u                     /* kept */
#define FEED_BYTES_MAX ((size_t)8 * 1024 * 1024)  /* of these; the newest stays in any case */
#define FEED_EVENT_MAX ((size_t)64 * 1024 * 1024) /* one event: a snapshot of 300,000 downloads */

struct feed;
struct feed *feed_new(uint64_t epoch);
void feed_free(struct feed **f); /* no reader is left */

/* All downloads as they are now, in the order in which a snapshot tells them. True: readers have
 * something to take. One thread at a time, beside readers. */
bool feed_update(struct feed *f, const struct dz_job_rec *v, size_t n);

struct feed_reader {
    uint64_t seq;      /* of the last event it took */
    uint64_t since;    /* updates before this one are too old for its snapshot */
    bool snapshot;     /* it needs one */
    const dz_str *ids; /* only these; NULL: all */
    size_t ids_n;
};
/* last_id: of the last event that the client has seen, n = 0: none. ids are borrowed. */
void feed_reader_init(struct feed *f, struct feed_reader *r, dz_str last_id, const dz_str *ids,
                      size_t ids_n);
void feed_reader_done(struct feed *f, struct feed_reader *r);
/* The next event, or NULL when there is none yet; the caller unrefs. *ret_lost: never again, since
 * an event was longer than FEED_EVENT_MAX. */
struct dz_body *feed_next(struct feed *f, struct feed_reader *r, bool *ret_lost);
