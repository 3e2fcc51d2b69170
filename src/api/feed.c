/*
 * feed: see feed.h. The lock guards what readers see: texts of states, the kept events, the
 * snapshot. The worker that updates is the only writer, so it compares without the lock and takes
 * it for what has changed. Nothing is formatted under the lock but what a reader of a few downloads
 * wants.
 */
#include "api/feed.h"

#include "api/ops.h"

#include <pthread.h>
#include <stdlib.h>

#define EPOCH_DIGITS 16

struct known { /* a download */
    char *id;
    dz_str text;                /* its state, heap */
    struct download_facts args; /* the text on the heap */
    struct dz_job_rec seen;     /* numbers only: what the text was made from */
    bool saving;
    uint64_t update; /* the last one that had it */
};

struct part { /* of an event */
    char *id;
    uint32_t at, n; /* the value in its text */
};

struct event {
    uint64_t seq;
    struct dz_body *text;
    size_t parts_n;
    struct part part[]; /* by id: a queue may change whole, and a thousand readers look for some */
};

struct change {
    struct known *k; /* the download; with text.p NULL it is gone */
    dz_str text;
    bool is_new;
};

struct feed {
    uint64_t epoch;
    pthread_mutex_t lock;
    struct dz_map known;
    uint64_t seq, updates;
    struct event *ring[FEED_EVENTS_MAX]; /* event number s at s % FEED_EVENTS_MAX */
    uint64_t oldest;                     /* kept; > seq: none */
    size_t ring_bytes;
    struct dz_body *snapshot; /* of snapshot_seq */
    uint64_t snapshot_seq;
    size_t wanted; /* readers that wait for one */
    bool lost;
};

/* ---- life ------------------------------------------------------------------------------------ */

struct feed *feed_new(uint64_t epoch)
{
    struct feed *f = dz_new(struct feed);
    f->epoch = epoch;
    f->oldest = 1;
    pthread_mutex_init(&f->lock, NULL);
    dz_map_init(&f->known);
    return f;
}

static void known_free(struct known *k)
{
    free(k->id);
    free((char *)(uintptr_t)k->args.file.p);
    free((char *)(uintptr_t)k->text.p);
    free(k);
}

static void event_free(struct event *e)
{
    for (size_t i = 0; i < e->parts_n; i++)
        free(e->part[i].id);
    dz_body_unref(&e->text);
    free(e);
}

static void drop_oldest(struct feed *f)
{
    struct event **at = &f->ring[f->oldest++ % FEED_EVENTS_MAX];
    f->ring_bytes -= (*at)->text->n;
    event_free(*at);
    *at = NULL;
}

void feed_free(struct feed **fp)
{
    struct feed *f = dz_take(fp);
    void *k;
    if (!f)
        return;
    dz_assert(f->wanted == 0);
    while (f->oldest <= f->seq)
        drop_oldest(f);
    for (size_t at = 0; dz_map_next(&f->known, &at, NULL, &k);)
        known_free(k);
    dz_map_done(&f->known);
    dz_body_unref(&f->snapshot);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void begin_event(struct feed *f, struct dz_buf *b, struct dz_json *j, uint64_t seq,
                        const char *name)
{
    dz_buf_init(b, FEED_EVENT_MAX);
    dz_buf_putf(b, "id: %016llx-%llu\nevent: %s\ndata: ", (unsigned long long)f->epoch,
                (unsigned long long)seq, name);
    dz_json_init(j, b, DZ_JSON_PYTHON, true);
    dz_json_object(j);
}

/* text.p NULL: there is no such download. */
static void put_state(struct dz_json *j, dz_str id, dz_str text)
{
    dz_json_key(j, id);
    if (text.p)
        dz_json_raw(j, text);
    else
        dz_json_null(j);
}

/* Takes the buffer; NULL: it did not fit. */
static struct dz_body *end_event(struct dz_buf *b, struct dz_json *j)
{
    dz_json_end(j);
    dz_buf_put(b, DZ_S("\n\n"));
    struct dz_body *body = NULL;
    if (!b->full) {
        body = dz_body_new(b->n);
        memcpy(body->p, b->p, b->n);
    }
    dz_buf_done(b);
    return body;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct part *)a)->id, ((const struct part *)b)->id);
}

static int key_order(const void *key, const void *part)
{
    return dz_str_cmp(*(const dz_str *)key, dz_str_of(((const struct part *)part)->id));
}

static const struct part *part_of(const struct event *e, dz_str id)
{
    return bsearch(&id, e->part, e->parts_n, sizeof(e->part[0]), key_order);
}

static struct event *event_of(struct feed *f, uint64_t seq, const struct change *v, size_t n)
{
    struct event *e = dz_alloc(sizeof(*e) + n * sizeof(e->part[0]));
    struct dz_buf b;
    struct dz_json j;
    e->seq = seq;
    e->parts_n = n;
    begin_event(f, &b, &j, seq, "change");
    for (size_t i = 0; i < n; i++) {
        put_state(&j, dz_str_of(v[i].k->id), v[i].text);
        size_t length = v[i].text.p ? v[i].text.n : strlen("null");
        e->part[i] = (struct part){dz_str_dup(dz_str_of(v[i].k->id)), (uint32_t)(b.n - length),
                                   (uint32_t)length};
    }
    qsort(e->part, n, sizeof(e->part[0]), by_id);
    e->text = end_event(&b, &j);
    if (e->text)
        return e;
    e->text = dz_body_new(0);
    event_free(e);
    return NULL;
}

/* ---- updates --------------------------------------------------------------------------------- */

static bool is_saving(const struct dz_job_rec *j)
{
    return dz_str_eq(j->phase, DZ_S("saving"));
}

/* What a state is made of, but for what never changes. */
static bool is_as_before(const struct known *k, const struct dz_job_rec *j)
{
    const struct dz_job_rec *s = &k->seen;
    return k->text.p && s->id == j->id && s->state == j->state && k->saving == is_saving(j) &&
           s->done == j->done && s->total == j->total && s->bytes == j->bytes &&
           s->created_ms == j->created_ms && s->started_ms == j->started_ms &&
           s->ended_ms == j->ended_ms;
}

static dz_str state_text(const struct known *k, const struct dz_job_rec *job)
{
    struct dz_buf b;
    struct dz_json j;
    size_t n;
    dz_buf_init(&b, DZ_MIB);
    dz_json_init(&j, &b, DZ_JSON_PYTHON, true);
    download_state_put_with(&j, job, &k->args);
    char *p = dz_buf_take(&b, &n);
    return (dz_str){p, n};
}

static void read_args(struct known *k, dz_str args)
{
    struct dz_arena *a = dz_arena_new(DZ_MIB);
    free((char *)(uintptr_t)k->args.file.p);
    download_facts_read(args, a, &k->args);
    k->args.file.p = dz_str_dup(k->args.file);
    dz_arena_free(&a);
}

static struct known *known_new(const struct dz_job_rec *j)
{
    struct known *k = dz_new(struct known);
    k->id = dz_str_dup(j->target);
    return k;
}

/* Adds to v what is new or different about a row; of several with one id the first counts, which is
 * the one that is active. */
static void compare(struct feed *f, struct known *k, const struct dz_job_rec *j, struct change *v,
                    size_t *n)
{
    bool is_new = !k;
    if (!is_new && k->update == f->updates)
        return;
    if (!is_new)
        k->update = f->updates;
    if (!is_new && is_as_before(k, j))
        return;
    if (is_new)
        k = known_new(j);
    if (is_new || k->seen.id != j->id)
        read_args(k, j->args);
    k->update = f->updates;
    k->seen = (struct dz_job_rec){.id = j->id,
                                  .state = j->state,
                                  .done = j->done,
                                  .total = j->total,
                                  .bytes = j->bytes,
                                  .created_ms = j->created_ms,
                                  .started_ms = j->started_ms,
                                  .ended_ms = j->ended_ms};
    k->saving = is_saving(j);
    dz_str text = state_text(k, j);
    if (!is_new && dz_str_eq(text, k->text))
        free((char *)(uintptr_t)text.p);
    else
        v[(*n)++] = (struct change){k, text, is_new};
}

static void add_gone(struct feed *f, struct change *v, size_t *n)
{
    void *p;
    for (size_t at = 0; dz_map_next(&f->known, &at, NULL, &p);) {
        struct known *k = p;
        if (k->update != f->updates)
            v[(*n)++] = (struct change){k, {0}, false};
    }
}

static void apply(struct feed *f, const struct change *v, size_t n, struct event *e)
{
    for (size_t i = 0; i < n; i++) {
        struct known *k = v[i].k;
        if (v[i].is_new)
            (void)dz_map_set(&f->known, dz_str_of(k->id), k);
        free((char *)(uintptr_t)k->text.p);
        k->text = v[i].text;
        if (!k->text.p) {
            (void)dz_map_del(&f->known, dz_str_of(k->id));
            known_free(k);
        }
    }
    f->seq++;
    if (!e) { /* nobody can follow this: all begin anew, with a snapshot, if that fits */
        while (f->oldest < f->seq)
            drop_oldest(f);
        f->oldest = f->seq + 1;
        return;
    }
    while (f->oldest < f->seq &&
           (f->seq - f->oldest >= FEED_EVENTS_MAX || f->ring_bytes + e->text->n > FEED_BYTES_MAX))
        drop_oldest(f);
    f->ring[f->seq % FEED_EVENTS_MAX] = e;
    f->ring_bytes += e->text->n;
}

static struct dz_body *snapshot_of(struct feed *f, const struct dz_job_rec *v, size_t n)
{
    struct dz_buf b;
    struct dz_json j;
    begin_event(f, &b, &j, f->seq, "snapshot");
    for (size_t i = 0; i < n; i++) {
        const struct known *k = dz_map_get(&f->known, v[i].target);
        if (k && k->seen.id == v[i].id)
            put_state(&j, v[i].target, k->text);
    }
    return end_event(&b, &j);
}

bool feed_update(struct feed *f, const struct dz_job_rec *v, size_t n)
{
    struct change *changes = dz_alloc((n + f->known.count + 1) * sizeof(*changes));
    struct dz_map fresh; /* new in this very update */
    size_t changes_n = 0;
    dz_map_init(&fresh);
    pthread_mutex_lock(&f->lock);
    f->updates++;
    pthread_mutex_unlock(&f->lock);
    for (size_t i = 0; i < n; i++) {
        if (v[i].target.n == 0 || dz_map_get(&fresh, v[i].target))
            continue;
        size_t before = changes_n;
        compare(f, dz_map_get(&f->known, v[i].target), &v[i], changes, &changes_n);
        if (changes_n > before && changes[before].is_new)
            (void)dz_map_set(&fresh, v[i].target, changes[before].k);
    }
    dz_map_done(&fresh);
    add_gone(f, changes, &changes_n);
    struct event *e = changes_n > 0 ? event_of(f, f->seq + 1, changes, changes_n) : NULL;

    pthread_mutex_lock(&f->lock);
    if (changes_n > 0)
        apply(f, changes, changes_n, e);
    bool wanted = f->wanted > 0;
    bool stale = !f->snapshot || f->snapshot_seq != f->seq;
    pthread_mutex_unlock(&f->lock);
    free(changes);
    if (wanted && stale) {
        struct dz_body *fresh_one = snapshot_of(f, v, n);
        pthread_mutex_lock(&f->lock);
        dz_body_unref(&f->snapshot);
        f->lost = !fresh_one;
        f->snapshot = fresh_one;
        f->snapshot_seq = f->seq;
        pthread_mutex_unlock(&f->lock);
    }
    return changes_n > 0 || wanted;
}

/* ---- readers --------------------------------------------------------------------------------- */

static void want_snapshot(struct feed *f, struct feed_reader *r)
{
    r->snapshot = true;
    r->since = f->updates;
    f->wanted++;
}

/* True: the number of an event of this feed that the reader can go on from. */
static bool is_known_id(const struct feed *f, dz_str id, uint64_t *ret_seq)
{
    char epoch[EPOCH_DIGITS + 2];
    snprintf(epoch, sizeof(epoch), "%016llx-", (unsigned long long)f->epoch);
    return dz_str_starts(id, dz_str_of(epoch)) &&
           dz_str_u64(dz_str_sub(id, EPOCH_DIGITS + 1, id.n), f->seq, ret_seq, NULL) == DZ_OK;
}

void feed_reader_init(struct feed *f, struct feed_reader *r, dz_str last_id, const dz_str *ids,
                      size_t ids_n)
{
    *r = (struct feed_reader){.ids = ids, .ids_n = ids_n};
    pthread_mutex_lock(&f->lock);
    if (!is_known_id(f, last_id, &r->seq))
        want_snapshot(f, r);
    pthread_mutex_unlock(&f->lock);
}

void feed_reader_done(struct feed *f, struct feed_reader *r)
{
    pthread_mutex_lock(&f->lock);
    f->wanted -= r->snapshot;
    r->snapshot = false;
    pthread_mutex_unlock(&f->lock);
}

static struct dz_body *snapshot_of_some(struct feed *f, const struct feed_reader *r)
{
    struct dz_buf b;
    struct dz_json j;
    begin_event(f, &b, &j, f->seq, "snapshot");
    for (size_t i = 0; i < r->ids_n; i++) {
        const struct known *k = dz_map_get(&f->known, r->ids[i]);
        put_state(&j, r->ids[i], k ? k->text : (dz_str){0});
    }
    return end_event(&b, &j);
}

/* NULL: nothing of it is for this reader. */
static struct dz_body *some_of(struct feed *f, const struct event *e, const struct feed_reader *r)
{
    struct dz_buf b;
    struct dz_json j;
    bool any = false;
    begin_event(f, &b, &j, e->seq, "change");
    for (size_t i = 0; i < r->ids_n; i++) {
        const struct part *x = part_of(e, r->ids[i]);
        if (!x)
            continue;
        put_state(&j, r->ids[i], (dz_str){e->text->p + x->at, x->n});
        any = true;
    }
    if (any)
        return end_event(&b, &j);
    dz_buf_done(&b);
    return NULL;
}

static struct dz_body *take_snapshot(struct feed *f, struct feed_reader *r)
{
    if (f->updates <= r->since)
        return NULL;
    struct dz_body *body = NULL;
    if (r->ids)
        body = snapshot_of_some(f, r);
    else if (f->snapshot && f->snapshot_seq == f->seq)
        body = dz_body_ref(f->snapshot);
    if (body) {
        f->wanted--;
        r->snapshot = false;
        r->seq = f->seq;
    }
    return body;
}

struct dz_body *feed_next(struct feed *f, struct feed_reader *r, bool *ret_lost)
{
    struct dz_body *body = NULL;
    pthread_mutex_lock(&f->lock);
    if (!r->snapshot && r->seq + 1 < f->oldest) /* it has fallen behind */
        want_snapshot(f, r);
    if (r->snapshot)
        body = take_snapshot(f, r);
    while (!body && !r->snapshot && r->seq < f->seq) {
        const struct event *e = f->ring[++r->seq % FEED_EVENTS_MAX];
        body = r->ids ? some_of(f, e, r) : dz_body_ref(e->text);
    }
    *ret_lost = f->lost && r->snapshot && !r->ids;
    pthread_mutex_unlock(&f->lock);
    return body;
}
