/*
 * owner: the names under which crawlers hold leases, and whether whoever has a name still lives.
 *
 * In: the data folder. Out: "HOST:PID:NONCE" and a lock on data_dir/run/crawler-NONCE.lock that is
 * held for as long as the process lives. The kernel lets go of it when the process ends in any way,
 * so a lease whose lock is free belongs to nobody; that holds in every pid namespace that shares
 * the folder, where a pid says nothing. All users of a catalog that is a file share the folder, so
 * that a lock that is not there was let go in order; of a catalog that is shared it may lie on
 * another machine, and says nothing. Any thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "crawl/runner_int.h"

#define ORPHANS_MAX 1000u
#define PATH_BYTES_MAX (64 * DZ_KIB) /* dz_make_run_dir refuses long ones */

static dz_str nonce_of(dz_str owner)
{
    return dz_str_after(owner, dz_str_rchr(owner, ':'));
}

static bool is_nonce(dz_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("0123456789abcdef", s.p[i]) || s.p[i] == '\0')
            return false;
    return s.n == 16;
}

static void put_path(struct dz_buf *b, const char *data_dir, dz_str owner)
{
    dz_buf_init(b, PATH_BYTES_MAX);
    dz_buf_putf(b, "%s/run/crawler-%.*s.lock", data_dir, DZ_STR_FMT(nonce_of(owner)));
}

enum dz_code crawl_owner_new(const char *data_dir, char *ret_name, size_t size, int *ret_fd,
                             struct dz_err *err)
{
    char host[64] = "";
    (void)gethostname(host, sizeof(host) - 1);
    snprintf(ret_name, size, "%s:%d:%016llx", host, (int)getpid(),
             (unsigned long long)dz_random_u64());
    DZ_AUTO(dz_buf_done) struct dz_buf path;
    put_path(&path, data_dir, dz_str_of(ret_name));
    return dz_lock_file(dz_buf_cstr(&path), true, ret_fd, err);
}

void crawl_owner_end(const char *data_dir, const char *name, int *fd)
{
    if (*fd < 0)
        return;
    DZ_AUTO(dz_buf_done) struct dz_buf path;
    put_path(&path, data_dir, dz_str_of(name));
    (void)unlink(dz_buf_cstr(&path));
    dz_closep(fd);
}

dz_str crawl_owner_host(dz_str owner)
{
    dz_str s = dz_str_sub(owner, 0, dz_str_rchr(owner, ':'));
    return dz_str_sub(s, 0, dz_str_rchr(s, ':'));
}

bool dz_crawl_owner_is_gone(struct dz_catalog *c, const char *data_dir, dz_str owner)
{
    if (!is_nonce(nonce_of(owner)))
        return false;
    DZ_AUTO(dz_buf_done) struct dz_buf path;
    put_path(&path, data_dir, owner);
    int fd = open(dz_buf_cstr(&path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT && !dz_catalog_can_wait(c); /* a lease was left behind */
    bool gone = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (gone)
        (void)unlink(dz_buf_cstr(&path));
    dz_closep(&fd);
    return gone;
}

enum dz_code crawl_owner_take_back(struct dz_catalog *c, const char *data_dir, struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(64 * DZ_MIB);
    struct dz_job_rec *v;
    size_t n;
    DZ_TRY(dz_catalog_jobs(c, ORPHANS_MAX, a, &v, &n, err));
    for (size_t i = 0; i < n; i++) {
        int64_t now_ms = dz_now_ms();
        struct dz_job_rec back = v[i];
        back.state = DZ_JOB_QUEUED;
        back.run_after_ms = now_ms;
        back.fail_kind = DZ_S("unavailable");
        back.fail_text = DZ_S("the process that ran it has died");
        if (v[i].state != DZ_JOB_RUNNING || !dz_crawl_owner_is_gone(c, data_dir, v[i].owner))
            continue;
        enum dz_code code = dz_catalog_job_end(c, v[i].id, v[i].owner, &back, now_ms, err);
        if (code != DZ_OK && code != DZ_CONFLICT)
            return code;
    }
    return DZ_OK;
}
