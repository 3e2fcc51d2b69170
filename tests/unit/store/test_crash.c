/*
 * test_crash: a store whose writer is killed, or whose disk refuses, at every single step.
 *
 * The test runs itself again as a worker that puts a few blobs, with DZ_FAULT set to the Nth write,
 * sync or rename, for N from 1 until the worker gets through. After each: only whole blobs can be
 * found, what was acknowledged is there, a refused put left no temporary behind, a killed one
 * leaves what a sweep removes, and a second run completes the work.
 */
#include "place.h"

#include <signal.h>
#include <sys/wait.h>

enum { BLOBS = 3, MANY = 20, PIECE = 3000 }; /* MANY: enough for the batch's second way to sync */

#ifdef DZ_FAULTS

static void page(int i, char *dst)
{
    for (int at = 0; at < 2 * PIECE; at++)
        dst[at] = (char)(at * 31 + i);
}

struct halves {
    char bytes[2 * PIECE];
    int given;
};

static enum dz_code halves_read(void *arg, dz_str *ret_piece, struct dz_err *err)
{
    (void)err;
    struct halves *h = arg;
    *ret_piece = h->given == 2 ? (dz_str){NULL, 0} : (dz_str){h->bytes + h->given * PIECE, PIECE};
    h->given += h->given < 2;
    return DZ_OK;
}

static int blobs_of(const char *how)
{
    return strcmp(how, "many") == 0 ? MANY : BLOBS;
}

/* ---- the worker: writes one byte to stdout for each blob it was promised --------------------- */

static enum dz_code work_single(struct dz_store *s, struct dz_err *err)
{
    for (int i = 0; i < BLOBS; i++) {
        struct halves h = {.given = 0};
        page(i, h.bytes);
        DZ_TRY(i % 2 ? dz_store_put_bytes(s, (dz_str){h.bytes, sizeof(h.bytes)}, NULL, err)
                     : dz_store_put(s, halves_read, &h, NULL, err));
        if (write(1, "!", 1) != 1)
            return DZ_IO;
    }
    return DZ_OK;
}

static enum dz_code work_batch(struct dz_store *s, int blobs, struct dz_err *err)
{
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
    DZ_TRY(dz_store_batch_begin(s, &b, err));
    for (int i = 0; i < blobs; i++) {
        struct halves h = {.given = 0};
        page(i, h.bytes);
        DZ_TRY(dz_store_batch_put(b, halves_read, &h, NULL, err));
    }
    DZ_TRY(dz_store_batch_commit(b, err));
    return write(1, "!!!!!!!!!!!!!!!!!!!!", (size_t)blobs) == blobs ? DZ_OK : DZ_IO;
}

/* The one blob into another folder: "aside" in the same file system, "far" in another. */
static const char *aside_folder(const char *how, const char *dir)
{
    static char folder[100];
    if (strcmp(how, "aside") == 0)
        (void)snprintf(folder, sizeof(folder), "%s/damaged", dir);
    else
        (void)snprintf(folder, sizeof(folder), "/dev/shm/%s", strrchr(dir, '/') + 1);
    return folder;
}

static int work_aside(const char *how, const char *dir)
{
    DZ_AUTO(dz_store_close) struct dz_store *s = NULL;
    struct dz_sha256 sha = dz_sha256_of(DZ_S("set aside"));
    struct dz_err err = {0};
    enum dz_code code = dz_store_open("files", dir, "", &s, &err);
    if (code == DZ_OK)
        code = dz_store_set_aside(s, &sha, aside_folder(how, dir), &err);
    return code == DZ_OK ? 0 : code == DZ_IO ? 1 : 2;
}

static int work(const char *how, const char *dir)
{
    if (strcmp(how, "aside") == 0 || strcmp(how, "far") == 0)
        return work_aside(how, dir);

    DZ_AUTO(dz_store_close) struct dz_store *s = NULL;
    struct dz_err err = {0};
    enum dz_code code = dz_store_open("files", dir, "", &s, &err);
    if (code == DZ_OK)
        code =
            strcmp(how, "single") == 0 ? work_single(s, &err) : work_batch(s, blobs_of(how), &err);
    if (code == DZ_OK)
        return 0;
    return code == DZ_IO && strstr(err.text, dir) ? 1 : 2;
}

/* ---- the test -------------------------------------------------------------------------------- */

/* Returns the wait status. */
static int run_worker(const struct place *p, const char *how, const char *fault, size_t *ret_acked)
{
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(pipe_fds[1], 1);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        if (fault)
            setenv("DZ_FAULT", fault, 1);
        else
            unsetenv("DZ_FAULT");
        execl("/proc/self/exe", "test_crash", how, p->dir, (char *)NULL);
        _exit(3);
    }
    close(pipe_fds[1]);
    char acks[16];
    *ret_acked = 0;
    for (ssize_t n; (n = read(pipe_fds[0], acks, sizeof(acks))) > 0;)
        *ret_acked += (size_t)n;
    close(pipe_fds[0]);
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void check_store(struct place *p, const char *how, size_t acked)
{
    must(dz_store_open("files", p->dir, "", &p->s, err));
    must(dz_store_list(p->s, place_verify_one, p, err));
    for (int i = 0; i < blobs_of(how); i++) {
        char bytes[2 * PIECE];
        page(i, bytes);
        struct dz_sha256 sha = dz_sha256_of((dz_str){bytes, sizeof(bytes)});
        enum dz_code code = dz_store_verify(p->s, &sha, NULL);
        assert_true(code == DZ_OK || (code == DZ_NOT_FOUND && (size_t)i >= acked));
    }
}

/* Whether the Nth step exists: false when the worker got through untouched. */
static bool strike(const char *how, const char *op, int nth, bool kills)
{
    struct place p = {.s = NULL};
    place_make(&p);
    char fault[40];
    (void)snprintf(fault, sizeof(fault), "%s:%d%s", op, nth, kills ? ":kill" : "");
    size_t acked = 0;
    int status = run_worker(&p, how, fault, &acked);
    bool through = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!through && kills)
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    if (!through && !kills)
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);

    check_store(&p, how, acked);
    if (!kills)
        assert_int_equal(place_count(&p, "blobs/.tmp"), 0);
    must(dz_store_sweep(p.s, 0, NULL, err));
    assert_int_equal(place_count(&p, "blobs/.tmp"), 0);
    dz_store_close(&p.s);

    assert_int_equal(run_worker(&p, how, NULL, &acked), 0);
    assert_int_equal(acked, blobs_of(how));
    check_store(&p, how, acked);
    dz_store_close(&p.s);
    place_remove(&p);
    return !through;
}

static void strike_all(const char *how, const char *op, int at_least)
{
    for (int kills = 0; kills <= 1; kills++) {
        int nth = 1;
        while (strike(how, op, nth, kills))
            nth++;
        assert_true(nth > at_least);
    }
}

static void test_write(void **state)
{
    (void)state;
    strike_all("single", "write", 5);
    strike_all("batch", "write", 6);
}

static void test_fsync(void **state)
{
    (void)state;
    strike_all("single", "fsync", 3 + 2 * BLOBS);
    strike_all("batch", "fsync", 3 + BLOBS + 1);
    strike_all("many", "fsync", 3 + 2);
}

static void test_rename(void **state)
{
    (void)state;
    strike_all("single", "rename", BLOBS);
    strike_all("batch", "rename", BLOBS);
}

/* Whether the Nth step exists. After it the bytes are whole at one of the two places. */
static bool strike_aside(const char *how, const char *op, int nth, bool kills)
{
    struct place p = {.s = NULL};
    struct dz_blob_stat stat;
    char fault[40];
    size_t acked = 0;
    place_make(&p);
    must(dz_store_open("files", p.dir, "", &p.s, err));
    must(dz_store_put_bytes(p.s, DZ_S("set aside"), &stat, err));
    (void)snprintf(fault, sizeof(fault), "%s:%d%s", op, nth, kills ? ":kill" : "");
    int status = run_worker(&p, how, fault, &acked);
    bool through = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!through && kills)
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    if (!through && !kills)
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);

    struct place aside = {.s = NULL};
    char name[2 * sizeof(stat.sha.b) + 1] = {0};
    dz_hex(stat.sha.b, sizeof(stat.sha.b), name);
    (void)snprintf(aside.dir, sizeof(aside.dir), "%s", aside_folder(how, p.dir));
    struct dz_buf bytes DZ_AUTO(dz_buf_done);
    dz_buf_init(&bytes, 1000);
    bool is_aside = dz_file_read(place_path(&aside, name), &bytes, NULL) == DZ_OK;
    if (is_aside)
        assert_true(dz_str_eq(dz_buf_str(&bytes), DZ_S("set aside")));
    else
        must(dz_store_verify(p.s, &stat.sha, err));
    if (through)
        assert_int_equal(dz_store_stat(p.s, &stat.sha, &stat, NULL), DZ_NOT_FOUND);
    dz_store_close(&p.s);
    place_remove(&aside);
    place_remove(&p);
    return !through;
}

static void strike_aside_all(const char *how, const char *op, int at_least)
{
    for (int kills = 0; kills <= 1; kills++) {
        int nth = 1;
        while (strike_aside(how, op, nth, kills))
            nth++;
        assert_true(nth > at_least);
    }
}

static void test_set_aside(void **state)
{
    (void)state;
    strike_aside_all("aside", "rename", 1);
    strike_aside_all("aside", "fsync", 2);
    if (access("/dev/shm", W_OK) != 0)
        skip();
    strike_aside_all("far", "read", 1);
    strike_aside_all("far", "write", 1);
    strike_aside_all("far", "fsync", 2);
    strike_aside_all("far", "rename", 2);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return work(argv[1], argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_fsync),
        cmocka_unit_test(test_rename),
        cmocka_unit_test(test_set_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) > 0;
}

#else

int main(void)
{
    (void)fprintf(stderr, "skipped: built without -Dfaults=true\n");
    return 77;
}

#endif
