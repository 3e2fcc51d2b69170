/*
 * lock: keeps imports and a repair apart.
 *
 * In: the data folder. Out: a descriptor that holds a flock on data_dir/run/import.lock; closing
 * it, also by dying, lets go. Imports share it, for they only add; a repair removes blobs that no
 * row names, which a running import may have put a moment ago, so it wants the lock alone. Nobody
 * waits: people should be told at once.
 */
#include "library/library_int.h"

enum dz_code library_lock(const char *data_dir, bool exclusive, int *ret_fd, struct dz_err *err)
{
    struct dz_buf path DZ_AUTO(dz_buf_done);
    dz_buf_init(&path, 64 * DZ_KIB);
    dz_buf_put(&path, dz_str_of(data_dir));
    dz_buf_put(&path, DZ_S("/run/import.lock"));
    DZ_TRY(dz_make_run_dir(data_dir, err));
    enum dz_code code = dz_lock_file(dz_buf_cstr(&path), exclusive, ret_fd, err);
    if (code == DZ_CONFLICT)
        return dz_fail(err, DZ_UNAVAILABLE, "%s runs on %s; try again when it has ended",
                       exclusive ? "an import" : "a repair", data_dir);
    return code;
}
