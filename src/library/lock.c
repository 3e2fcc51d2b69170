/*
 * lock: keeps those who put blobs and those who remove them apart, and removes.
 *
 * In: the library. Out: the catalog's lock of blobs (dz_catalog_lock), which imports, crawls and
 * uploads share, for they only add. A repair removes blobs that no row names, which one of them may
 * have put a moment ago, so it wants the lock alone. The end of an upload's bytes has it alone for
 * some milliseconds too, so who wants to share it waits a second before it says that a repair runs;
 * who wants it alone is told at once.
 *
 * Removing does not rest on the lock alone, because the half of it that other machines see is lost
 * with a connection: each blob is looked up in a batch, which is the only one up to its end, and
 * its bytes go before that end. Who names blobs asks for his lock inside his batch. So whoever lost
 * it either names first and is seen here, or names later and finds that he has lost it. In between
 * stands a put of the same bytes by somebody new, after which the store says how young they are.
 */
#include <time.h>

#include "library/library_int.h"

#define SHARE_WAIT_MS 1000
#define SHARE_STEP_MS 2
#define ENDS_PER_BATCH 64u

enum dz_code library_lock(struct dz_catalog *c, bool exclusive, struct dz_catalog_lock **ret_lock,
                          struct dz_err *err)
{
    enum dz_code code = dz_catalog_lock(c, exclusive, ret_lock, err);
    for (int waited = 0; code == DZ_CONFLICT && !exclusive && waited < SHARE_WAIT_MS;
         waited += SHARE_STEP_MS) {
        (void)nanosleep(&(struct timespec){.tv_nsec = SHARE_STEP_MS * 1000000}, NULL);
        code = dz_catalog_lock(c, exclusive, ret_lock, err);
    }
    if (code == DZ_CONFLICT)
        return dz_fail(err, DZ_UNAVAILABLE, "%s of the library runs; try again when it has ended",
                       exclusive ? "an import or a crawl" : "a repair");
    return code;
}

/* Bytes that were put or put again just now are somebody's who has not named them yet. */
static enum dz_code is_young(struct dz_library *l, const struct dz_sha256 *sha, int64_t since_s,
                             bool *ret_young, struct dz_err *err)
{
    struct dz_blob_stat stat;
    *ret_young = false;
    if (since_s == INT64_MAX)
        return DZ_OK;
    enum dz_code code = dz_store_stat(l->store, sha, &stat, err);
    if (code == DZ_OK)
        *ret_young = stat.mtime_s >= since_s;
    return code == DZ_NOT_FOUND ? DZ_OK : code;
}

static enum dz_code end_one(struct dz_library *l, struct dz_batch *b, const struct dz_sha256 *sha,
                            int64_t since_s, uint64_t *young, struct dz_err *err)
{
    bool is = false;
    DZ_TRY(is_young(l, sha, since_s, &is, err));
    if (is) {
        ++*young;
        return DZ_OK;
    }
    struct dz_err why = {0};
    enum dz_code code = dz_batch_blob_drop(b, sha, &why);
    if (code == DZ_CONFLICT)
        return DZ_OK; /* somebody has named it meanwhile */
    if (code != DZ_OK && code != DZ_NOT_FOUND) {
        if (err)
            *err = why;
        return code;
    }
    return dz_store_del(l->store, sha, err);
}

enum dz_code library_end_blobs(struct dz_library *l, struct dz_catalog_lock *lock,
                               const struct dz_sha256 *v, size_t n, int64_t since_s,
                               uint64_t *ret_young, struct dz_err *err)
{
    uint64_t young = 0;
    for (size_t i = 0; i < n;) {
        DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
        DZ_TRY(dz_batch_begin(l->catalog, &b, err));
        DZ_TRY(dz_catalog_lock_check(lock, err));
        for (size_t stop = i + ENDS_PER_BATCH; i < n && i < stop; i++)
            DZ_TRY(end_one(l, b, &v[i], since_s, &young, err));
        DZ_TRY(dz_batch_commit(&b, NULL, err));
    }
    *ret_young = young;
    return DZ_OK;
}
