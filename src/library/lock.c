/*
 * lock: keeps imports and a repair apart.
 *
 * In: the data folder. Out: a descriptor that holds a flock on data_dir/run/import.lock; closing
 * it, also by dying, lets go. Imports share it, for they only add; a repair removes blobs that no
 * row names, which a running import may have put a moment ago, so it wants the lock alone. Nobody
 * waits: people should be told at once.
 */
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "library/library_int.h"

#include <errno.h>

enum dz_code library_lock(const char *data_dir, bool exclusive, int *ret_fd, struct dz_err *err)
{
    struct dz_buf path DZ_AUTO(dz_buf_done);
    dz_buf_init(&path, 8 * DZ_KIB);
    dz_buf_put(&path, dz_str_of(data_dir));
    dz_buf_put(&path, DZ_S("/run"));
    DZ_TRY(dz_mkdirs(dz_buf_cstr(&path), 0755, err));
    dz_buf_put(&path, DZ_S("/import.lock"));
    const char *name = dz_buf_cstr(&path);

    DZ_AUTO(dz_closep) int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return dz_fail_errno(err, DZ_IO, errno, "open %s", name);
    if (flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return dz_fail(err, DZ_UNAVAILABLE, "%s runs on %s; try again when it has ended",
                           exclusive ? "an import" : "a repair", data_dir);
        return dz_fail_errno(err, DZ_IO, errno, "lock %s", name);
    }
    *ret_fd = fd;
    fd = -1;
    return DZ_OK;
}
