/*
 * library: opens catalog and store, keeps the current view, and runs the keeper and the encoder.
 *
 * The keeper is one thread. It sleeps until somebody pokes it (a thread of its own does when the
 * database tells news of other machines), at most POLL_MS, asks the catalog what changed since the
 * view it has, builds the next view and hands it to the subscriber. A catalog that cannot be read
 * leaves the view as it is, and dz_library_healthy() says why. The encoder is another thread: it
 * looks for long lists of the current view that have no encodings yet, and gives one up as soon as
 * no shelf of the current view shows it any more. dz_library_view() may be called from any thread;
 * before the keeper runs it builds the first view itself. Opening builds nothing: commands that
 * only write or check need no view, and `check` must come up on a catalog that cannot be shown.
 */
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include "library/library_int.h"

#include <errno.h>
#include <stdlib.h>

#define POLL_MS 1000
#define SILENT_MS 5000        /* a catalog that says nothing for so long cannot be read */
#define FAILED_AGAIN_MS 30000 /* how often a series that could not be read is tried again */
#define SCRATCH_BYTES_MAX DZ_GIB
#define TRIM_PAGES                                                                                 \
    20000 /* after so many pages were built, freed memory goes back to the system                  \
           */

static bool has_files(struct dz_store *store)
{
    static const struct dz_sha256 nobody;
    uint64_t bytes;
    DZ_AUTO(dz_closep) int fd = -1;
    return dz_store_open_file(store, &nobody, &fd, &bytes, NULL) != DZ_UNSUPPORTED;
}

static enum dz_code open_parts(struct dz_library *l, struct dz_err *err)
{
    struct dz_conf *c = l->conf;
    DZ_TRY(dz_mkdirs(c->data_dir, DZ_DATA_DIR_MODE, err));
    DZ_TRY(dz_catalog_open(dz_conf_driver_name(c->catalog.driver), c->data_dir, c->catalog.uri,
                           &l->catalog, err));
    DZ_TRY(dz_store_open_conf(c, &l->store, err));
    l->files = library_files_new(l->store, 0);
    if (!has_files(l->store))
        l->blobs = library_blobs_new(l->store, c->data_dir, c->cache.disk_bytes);
    l->uploads = library_uploads_new();
    return DZ_OK;
}

bool dz_library_exists(const struct dz_conf *conf)
{
    if (conf->catalog.driver != DZ_DRIVER_SQLITE)
        return true;
    struct dz_buf path DZ_AUTO(dz_buf_done);
    dz_buf_init(&path, 64 * DZ_KIB);
    dz_buf_put(&path, dz_str_of(conf->data_dir));
    dz_buf_put(&path, DZ_S("/dozo.db"));
    return access(dz_buf_cstr(&path), F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

enum dz_code dz_library_open(struct dz_conf *conf, struct dz_library **ret_l, struct dz_err *err)
{
    DZ_AUTO(dz_library_close) struct dz_library *l = dz_new(struct dz_library);
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &attr);
    pthread_cond_init(&l->news, &attr);
    pthread_cond_init(&l->bare, NULL);
    pthread_condattr_destroy(&attr);
    l->conf = dz_conf_ref(conf);
    l->scratch = dz_arena_new(SCRATCH_BYTES_MAX);
    DZ_TRY(open_parts(l, err));
    *ret_l = dz_take(&l);
    return DZ_OK;
}

void dz_library_close(struct dz_library **pl)
{
    struct dz_library *l = *pl;
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_signal(&l->wake);
    pthread_cond_signal(&l->bare);
    pthread_mutex_unlock(&l->lock);
    if (l->runs) {
        pthread_join(l->keeper, NULL);
        pthread_join(l->encoder, NULL);
    }
    if (l->listens)
        pthread_join(l->listener, NULL);
    dz_view_unref(&l->view);
    library_files_free(&l->files);
    library_blobs_free(&l->blobs);
    library_uploads_free(&l->uploads);
    dz_store_close(&l->store);
    dz_catalog_close(&l->catalog);
    dz_conf_unref(&l->conf);
    dz_arena_free(&l->scratch);
    free(l->failed);
    pthread_cond_destroy(&l->wake);
    pthread_cond_destroy(&l->news);
    pthread_cond_destroy(&l->bare);
    pthread_mutex_destroy(&l->lock);
    free(l);
    *pl = NULL;
}

/* ---- the keeper ------------------------------------------------------------------------------ */

static void set_trouble(struct dz_library *l, const char *text)
{
    pthread_mutex_lock(&l->lock);
    (void)snprintf(l->trouble, sizeof(l->trouble), "%s", text);
    pthread_mutex_unlock(&l->lock);
}

/* What the next view must not take over: what changed, and what could not be read last time. */
static enum dz_code ask_changes(struct dz_library *l, bool lay_anew, int64_t **ret_ids,
                                size_t *ret_n, uint64_t *ret_seq, struct dz_err *err)
{
    int64_t *ids = NULL;
    size_t n = 0;
    uint64_t seq = 0;
    atomic_store(&l->asked_ms, dz_mono_ns() / 1000000);
    enum dz_code code = dz_catalog_changes(l->catalog, l->seq, l->scratch, &ids, &n, &seq, err);
    atomic_store(&l->asked_ms, 0);
    DZ_TRY(code);
    bool is_due = dz_mono_ns() / 1000000 >= l->failed_again_ms;
    if (l->failed_n > 0 && (is_due || lay_anew || n > 0)) {
        int64_t *both = dz_arena_alloc(l->scratch, (n + l->failed_n + 1) * sizeof(*both));
        if (n > 0)
            memcpy(both, ids, n * sizeof(*ids));
        memcpy(both + n, l->failed, l->failed_n * sizeof(*both));
        ids = both;
        n += l->failed_n;
    }
    if (n > 0)
        qsort(ids, n, sizeof(*ids), library_id_cmp);
    *ret_ids = ids;
    *ret_n = n;
    *ret_seq = seq;
    return DZ_OK;
}

/* Looks once; *ret_view stays NULL when nothing changed. */
static enum dz_code look(struct dz_library *l, struct dz_view **ret_view, struct dz_err *err)
{
    pthread_mutex_lock(&l->lock);
    DZ_AUTO(dz_conf_unref) struct dz_conf *conf = dz_conf_ref(l->conf);
    DZ_AUTO(dz_view_unref) struct dz_view *old = l->view ? dz_view_ref(l->view) : NULL;
    bool lay_anew = l->lay_anew;
    l->lay_anew = false;
    pthread_mutex_unlock(&l->lock);

    dz_arena_reset(l->scratch);
    struct library_view_job job = {.catalog = l->catalog, .conf = conf, .old = old};
    int64_t *ids = NULL;
    size_t n = 0;
    uint64_t seq = 0;
    struct dz_view *view = NULL;
    enum dz_code code = ask_changes(l, lay_anew, &ids, &n, &seq, err);
    if (code == DZ_OK && old && n == 0 && !lay_anew && seq == l->seq)
        return DZ_OK;
    if (code == DZ_OK) {
        if (seq < l->seq) /* the database was put back to an older one */
            job.old = NULL;
        job.changed = ids;
        job.changed_n = n;
        code = library_view_build(&job, &view, err);
    }
    if (code != DZ_OK) {
        free(job.failed);
        pthread_mutex_lock(&l->lock);
        l->lay_anew |= lay_anew;
        pthread_mutex_unlock(&l->lock);
        return code;
    }
    free(l->failed);
    l->failed = job.failed;
    l->failed_n = job.failed_n;
    l->failed_again_ms = dz_mono_ns() / 1000000 + FAILED_AGAIN_MS;
    l->seq = seq;
    set_trouble(l, job.failed_n > 0 ? job.trouble.text : "");
    l->built += job.pages_built;
    *ret_view = view;
    return DZ_OK;
}

/* Makes view the current one; takes its reference. */
static void set_view(struct dz_library *l, struct dz_view *take_view)
{
    pthread_mutex_lock(&l->lock);
    struct dz_view *old = l->view;
    l->view = take_view;
    pthread_cond_signal(&l->bare);
    pthread_mutex_unlock(&l->lock);
    dz_view_unref(&old);
}

/* Not before readers have what was built. */
static void trim(struct dz_library *l)
{
    if (l->built < TRIM_PAGES)
        return;
    l->built = 0;
    malloc_trim(0);
}

static void tell_waiting(struct dz_library *l)
{
    pthread_mutex_lock(&l->lock);
    l->shown = l->seq;
    pthread_cond_broadcast(&l->news);
    pthread_mutex_unlock(&l->lock);
}

static void look_and_tell(struct dz_library *l)
{
    struct dz_view *view = NULL;
    struct dz_err err = {0};
    if (look(l, &view, &err) != DZ_OK) {
        set_trouble(l, err.text);
        return;
    }
    if (l->failed_n == 0)
        set_trouble(l, "");
    if (!view)
        return;
    set_view(l, dz_view_ref(view));
    if (l->publish)
        l->publish(l->publish_arg, view);
    else
        dz_view_unref(&view);
    tell_waiting(l);
    trim(l);
}

/* Waits for a poke or the next poll; false: stop. */
static bool wait_turn(struct dz_library *l)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += POLL_MS / 1000;
    pthread_mutex_lock(&l->lock);
    while (!l->stop && !l->poked)
        if (pthread_cond_timedwait(&l->wake, &l->lock, &until) == ETIMEDOUT)
            break;
    l->poked = false;
    bool go_on = !l->stop;
    pthread_mutex_unlock(&l->lock);
    return go_on;
}

static void *keep(void *arg)
{
    struct dz_library *l = arg;
    while (wait_turn(l)) {
        look_and_tell(l);
        library_uploads_look(l);
    }
    return NULL;
}

/* Other machines cannot poke: their news come from the database, where it has a way to tell. */
static void *listen_for_news(void *arg)
{
    struct dz_library *l = arg;
    bool stop = false;
    while (!stop) {
        bool changed = false;
        if (dz_catalog_wait(l->catalog, POLL_MS, &changed, NULL) != DZ_OK)
            (void)nanosleep(&(struct timespec){.tv_sec = POLL_MS / 1000}, NULL);
        pthread_mutex_lock(&l->lock);
        stop = l->stop;
        l->poked |= changed;
        if (changed)
            pthread_cond_signal(&l->wake);
        pthread_mutex_unlock(&l->lock);
    }
    return NULL;
}

static enum dz_code first_view(struct dz_library *l, struct dz_err *err)
{
    if (l->view)
        return DZ_OK;
    struct dz_view *view = NULL;
    DZ_TRY(look(l, &view, err));
    set_view(l, view);
    tell_waiting(l);
    trim(l);
    return DZ_OK;
}

/* ---- the encoder ----------------------------------------------------------------------------- */

/* A list of the current view without its encodings, NULL: none; the lock is held. */
static struct dz_snap_list *bare_list(const struct dz_library *l)
{
    for (size_t i = 0; i < l->view->shelves_n; i++) {
        const struct dz_snapshot *s = l->view->shelves[i].snap;
        if (s && s->list && !dz_snap_list_is_encoded(s->list))
            return s->list;
    }
    return NULL;
}

struct wanted {
    struct dz_library *l;
    const struct dz_snap_list *list;
};

static bool is_wanted(void *arg)
{
    const struct wanted *w = arg;
    bool found = false;
    pthread_mutex_lock(&w->l->lock);
    for (size_t i = 0; i < w->l->view->shelves_n && !w->l->stop; i++) {
        const struct dz_snapshot *s = w->l->view->shelves[i].snap;
        found = found || (s && s->list == w->list);
    }
    pthread_mutex_unlock(&w->l->lock);
    return found;
}

static void *encode(void *arg)
{
    struct dz_library *l = arg;
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        struct dz_snap_list *list = bare_list(l);
        if (!list) {
            pthread_cond_wait(&l->bare, &l->lock);
            continue;
        }
        dz_snap_list_ref(list);
        pthread_mutex_unlock(&l->lock);
        struct dz_err err = {0};
        struct wanted w = {l, list};
        enum dz_code code = dz_snap_list_encode(list, is_wanted, &w, &err);
        if (code != DZ_OK && code != DZ_CANCELLED && l->complain)
            l->complain(l->publish_arg, &err);
        dz_snap_list_unref(&list);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static enum dz_code start_threads(struct dz_library *l, struct dz_err *err)
{
    if (l->blobs)
        DZ_TRY(library_blobs_watch(l->blobs, err));
    /* Without it the keeper looks once a second, as it does in any case. */
    l->listens = dz_catalog_can_wait(l->catalog) &&
                 pthread_create(&l->listener, NULL, listen_for_news, l) == 0;
    int native = pthread_create(&l->keeper, NULL, keep, l);
    if (native != 0)
        return dz_fail_errno(err, DZ_UNAVAILABLE, native, "start a thread");
    native = pthread_create(&l->encoder, NULL, encode, l);
    if (native == 0)
        return DZ_OK;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->keeper, NULL);
    return dz_fail_errno(err, DZ_UNAVAILABLE, native, "start a thread");
}

enum dz_code dz_library_start(struct dz_library *l, const struct dz_library_options *o,
                              struct dz_err *err)
{
    dz_assert(!l->runs);
    if (o->conf && o->conf != l->conf)
        dz_library_set_conf(l, o->conf);
    l->publish = o->publish;
    l->complain = o->complain;
    l->publish_arg = o->arg;
    DZ_TRY(first_view(l, err));
    library_uploads_look(l);
    /* Signals are for the thread that asked for them. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    enum dz_code code = start_threads(l, err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    DZ_TRY(code);
    l->runs = true;
    return DZ_OK;
}

/* ---- asking ---------------------------------------------------------------------------------- */

struct dz_view *dz_library_view(struct dz_library *l)
{
    if (!l->runs) {
        struct dz_err err = {0};
        if (first_view(l, &err) != DZ_OK) {
            set_trouble(l, err.text);
            return NULL;
        }
    }
    pthread_mutex_lock(&l->lock);
    struct dz_view *v = dz_view_ref(l->view);
    pthread_mutex_unlock(&l->lock);
    return v;
}

void dz_library_poke(struct dz_library *l)
{
    pthread_mutex_lock(&l->lock);
    l->poked = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
}

bool dz_library_wait(struct dz_library *l, uint64_t seq, int64_t wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&l->lock);
    l->poked = true;
    pthread_cond_signal(&l->wake);
    while (l->shown < seq && l->runs && !l->stop)
        if (pthread_cond_timedwait(&l->news, &l->lock, &until) == ETIMEDOUT)
            break;
    bool shown = l->shown >= seq;
    pthread_mutex_unlock(&l->lock);
    return shown;
}

void dz_library_set_conf(struct dz_library *l, struct dz_conf *conf)
{
    pthread_mutex_lock(&l->lock);
    struct dz_conf *old = l->conf;
    l->conf = dz_conf_ref(conf);
    l->lay_anew = l->poked = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
    dz_conf_unref(&old);
}

struct dz_store *dz_library_store(struct dz_library *l)
{
    return l->store;
}

struct dz_catalog *dz_library_catalog(struct dz_library *l)
{
    return l->catalog;
}

bool dz_library_healthy(struct dz_library *l, char *ret_text)
{
    int64_t asked_ms = atomic_load(&l->asked_ms);
    bool silent = asked_ms != 0 && dz_mono_ns() / 1000000 - asked_ms > SILENT_MS;
    pthread_mutex_lock(&l->lock);
    bool healthy = l->trouble[0] == '\0' && !silent;
    memcpy(ret_text, l->trouble, sizeof(((struct dz_err *)NULL)->text));
    pthread_mutex_unlock(&l->lock);
    if (silent && ret_text[0] == '\0')
        memcpy(ret_text, "it does not answer", sizeof("it does not answer"));
    return healthy;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

void dz_library_share(struct dz_library *l, struct dz_cache *ram, struct dz_shared_cache *shared)
{
    dz_assert(!l->runs);
    l->shared = shared;
    if (l->blobs)
        library_blobs_share(l->blobs, ram, shared);
}

struct dz_shared_cache *dz_library_shared(struct dz_library *l)
{
    return l->shared;
}

enum dz_code dz_library_file(struct dz_library *l, const struct dz_sha256 *sha,
                             struct dz_file **ret_file, struct dz_err *err)
{
    if (!l->blobs)
        return library_files_get(l->files, sha, ret_file, err);
    struct dz_file *file = library_blobs_file(l->blobs, sha);
    if (!file)
        return dz_fail(err, DZ_UNSUPPORTED, "the store has no files");
    *ret_file = file;
    return DZ_OK;
}

struct dz_body *dz_library_at_hand(struct dz_library *l, const struct dz_sha256 *sha)
{
    return l->blobs ? library_blobs_body(l->blobs, sha) : NULL;
}

enum dz_code dz_library_fetch(struct dz_library *l, const struct dz_blob_ask *ask,
                              struct dz_body **ret_body, struct dz_file **ret_file,
                              struct dz_err *err)
{
    struct dz_body *body = NULL;
    struct dz_file *file = NULL;
    enum dz_code code;
    if (l->blobs)
        code = library_blobs_fetch(l->blobs, ask, &body, &file, err);
    else if (ask->bytes > DZ_LIBRARY_BODY_MAX)
        code = library_files_get(l->files, &ask->sha, &file, err);
    else
        code = dz_store_get(l->store, &ask->sha, DZ_STORE_BLOB_MAX, &body, err);
    DZ_TRY(code);
    uint64_t bytes = file ? file->bytes : body->n;
    if (bytes != ask->bytes) {
        dz_body_unref(&body);
        dz_file_unref(&file);
        return dz_fail(err, DZ_CORRUPT,
                       "a blob has %llu bytes, the catalog says %llu; run dozo check",
                       (unsigned long long)bytes, (unsigned long long)ask->bytes);
    }
    *ret_body = body;
    *ret_file = file;
    return DZ_OK;
}

bool dz_library_store_healthy(struct dz_library *l, char *ret_text)
{
    ret_text[0] = '\0';
    return !l->blobs || library_blobs_healthy(l->blobs, ret_text);
}

void dz_library_blob_stats(struct dz_library *l, struct dz_library_blob_stats *ret_stats)
{
    *ret_stats = (struct dz_library_blob_stats){0};
    if (l->blobs)
        library_blobs_stats(l->blobs, ret_stats);
}
