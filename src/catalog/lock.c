/*
 * lock: who puts blobs, and who removes those that no row names.
 *
 * In: a catalog. Out: a lock that those who put share, from their first put to the row that names
 * it, and that those who remove hold alone. It is a flock on data_dir/run/import.lock, for all
 * processes that share the folder, and beside it one of the database, for all machines that share
 * that. Closing lets go, also by dying. Never waits for another holder. A lock belongs to its
 * holder; dz_catalog_lock_check and dz_catalog_lock_again may be called by any of his threads.
 *
 * Odd: the database's half ends with its connection. So whoever is about to remove, or to name,
 * asks first, best inside the batch: batches stand in line, so what was true there stays true for
 * it.
 */
#include "catalog/catalog_int.h"

#include <pthread.h>

struct dz_catalog_lock {
    struct dz_catalog *c;
    bool exclusive;
    int fd;
    pthread_mutex_t mutex; /* of what follows */
    void *there;           /* the database's half; NULL: it has none, or it is lost */
};

static enum dz_code lock_here(struct dz_catalog *c, bool exclusive, int *ret_fd, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf path;
    dz_buf_init(&path, 64 * DZ_KIB); /* dz_make_run_dir refuses long ones */
    dz_buf_put(&path, dz_str_of(c->data_dir));
    dz_buf_put(&path, DZ_S("/run/import.lock"));
    DZ_TRY(dz_make_run_dir(c->data_dir, err));
    return dz_lock_file(dz_buf_cstr(&path), exclusive, ret_fd, err);
}

static enum dz_code lock_there(struct dz_catalog_lock *l, struct dz_err *err)
{
    return l->c->driver->lock(l->c->self, l->exclusive, &l->there, err);
}

enum dz_code dz_catalog_lock(struct dz_catalog *c, bool exclusive, struct dz_catalog_lock **ret_l,
                             struct dz_err *err)
{
    int fd = -1;
    DZ_TRY(lock_here(c, exclusive, &fd, err));
    struct dz_catalog_lock *l = dz_new(struct dz_catalog_lock);
    l->c = c;
    l->exclusive = exclusive;
    l->fd = fd;
    pthread_mutex_init(&l->mutex, NULL);
    enum dz_code code = lock_there(l, err);
    if (code == DZ_OK)
        *ret_l = l;
    else
        dz_catalog_unlock(&l);
    return code;
}

static enum dz_code check(struct dz_catalog_lock *l, struct dz_err *err)
{
    struct dz_err why = {.text = "it was let go"};
    if (!dz_catalog_is_shared(l->c))
        return DZ_OK;
    if (l->there && l->c->driver->lock_check(l->there, &why) == DZ_OK)
        return DZ_OK;
    if (l->there)
        l->c->driver->unlock(l->there);
    l->there = NULL;
    return dz_fail(err, DZ_UNAVAILABLE, "the lock that keeps writers and repairs apart is lost: %s",
                   why.text);
}

enum dz_code dz_catalog_lock_check(struct dz_catalog_lock *l, struct dz_err *err)
{
    pthread_mutex_lock(&l->mutex);
    enum dz_code code = check(l, err);
    pthread_mutex_unlock(&l->mutex);
    return code;
}

enum dz_code dz_catalog_lock_again(struct dz_catalog_lock *l, struct dz_err *err)
{
    pthread_mutex_lock(&l->mutex);
    enum dz_code code = check(l, NULL);
    if (code != DZ_OK)
        code = lock_there(l, err);
    pthread_mutex_unlock(&l->mutex);
    return code;
}

void dz_catalog_unlock(struct dz_catalog_lock **pl)
{
    struct dz_catalog_lock *l = dz_take(pl);
    if (!l)
        return;
    if (l->there)
        l->c->driver->unlock(l->there);
    dz_closep(&l->fd);
    pthread_mutex_destroy(&l->mutex);
    dz_freep(&l);
}

bool dz_catalog_is_shared(const struct dz_catalog *c)
{
    return c->driver->is_shared(c->self);
}
