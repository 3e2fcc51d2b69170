/*
 * lock: keeps imports and a repair apart.
 *
 * In: the data folder. Out: a descriptor that holds a flock on data_dir/run/import.lock; closing
 * it, also by dying, lets go. Imports share it, for they only add; a repair removes blobs that no
 * row names, which a running import may have put a moment ago, so it wants the lock alone. The end
 * of an upload's bytes has it alone for some milliseconds too, so who wants to share it waits a
 * second before it says that a repair runs; who wants it alone is told at once.
 */
#include <time.h>

#include "library/library_int.h"

#define SHARE_WAIT_MS 1000
#define SHARE_STEP_MS 2

enum dz_code library_lock(const char *data_dir, bool exclusive, int *ret_fd, struct dz_err *err)
{
    struct dz_buf path DZ_AUTO(dz_buf_done);
    dz_buf_init(&path, 64 * DZ_KIB);
    dz_buf_put(&path, dz_str_of(data_dir));
    dz_buf_put(&path, DZ_S("/run/import.lock"));
    DZ_TRY(dz_make_run_dir(data_dir, err));
    enum dz_code code = dz_lock_file(dz_buf_cstr(&path), exclusive, ret_fd, err);
    for (int waited = 0; code == DZ_CONFLICT && !exclusive && waited < SHARE_WAIT_MS;
         waited += SHARE_STEP_MS) {
        (void)nanosleep(&(struct timespec){.tv_nsec = SHARE_STEP_MS * 1000000}, NULL);
        code = dz_lock_file(dz_buf_cstr(&path), exclusive, ret_fd, err);
    }
    if (code == DZ_CONFLICT)
        return dz_fail(err, DZ_UNAVAILABLE, "%s runs on %s; try again when it has ended",
                       exclusive ? "an import" : "a repair", data_dir);
    return code;
}
