/*
 * test_files: what only the files driver does: its layout, foreign files, damage, sweeping, full
 * disks, refusals.
 */
#include "place.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

static void put(struct place *p, dz_str bytes, struct dz_sha256 *ret_sha)
{
    struct dz_blob_stat stat;
    must(dz_store_put_bytes(p->s, bytes, &stat, err));
    *ret_sha = stat.sha;
}

static enum dz_code count_one(void *arg, const struct dz_blob_stat *b, struct dz_err *err)
{
    (void)b, (void)err;
    ++*(size_t *)arg;
    return DZ_OK;
}

static size_t count_blobs(struct place *p)
{
    size_t n = 0;
    must(dz_store_list(p->s, count_one, &n, err));
    return n;
}

static void test_layout(void **state)
{
    struct place *p = *state;
    struct dz_sha256 sha;
    put(p, DZ_S("abc"), &sha);
    struct stat st;
    /* FIPS 180-2, B.1 */
    const char *path =
        place_path(p, "blobs/ba/7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 3);
    assert_int_equal(place_count(p, "blobs/.tmp"), 0);
    assert_int_equal(place_count(p, "blobs"), 257);
}

/* Whoever imports, and under whatever umask: a blob is readable as its folder is. */
static void test_belongs_to_folder(void **state)
{
    struct place *p = *state;
    const bool root = geteuid() == 0;
    if (root) {
        assert_int_equal(chown(place_path(p, "blobs"), 65534, 65534), 0);
        dz_store_close(&p->s);
        must(dz_store_open("files", p->dir, "", &p->s, err));
    }
    struct stat folder, blob;
    assert_int_equal(stat(place_path(p, "blobs"), &folder), 0);
    struct dz_sha256 sha;
    const mode_t mask = umask(077);
    put(p, DZ_S("by another hand"), &sha);
    (void)umask(mask);
    assert_int_equal(stat(place_blob(p, &sha), &blob), 0);
    assert_int_equal(blob.st_mode & 0777, folder.st_mode & 0666);
    assert_int_equal(blob.st_uid, folder.st_uid);
    assert_int_equal(blob.st_gid, folder.st_gid);
}

static void test_not_written_again(void **state)
{
    struct place *p = *state;
    struct dz_sha256 sha;
    put(p, DZ_S("once"), &sha);
    const char *path = place_blob(p, &sha);
    struct stat before, after;
    place_age(path, 100000);
    assert_int_equal(stat(path, &before), 0);
    put(p, DZ_S("once"), &sha);
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino == after.st_ino);
    assert_true(after.st_mtime >= before.st_mtime + 99990);
}

static void test_foreign_files(void **state)
{
    struct place *p = *state;
    struct dz_sha256 sha;
    put(p, DZ_S("abc"), &sha);
    place_file(p, "blobs/README", "x");
    place_file(p, "blobs/ba/short", "x");
    place_file(p, "blobs/ba/.hidden", "x");
    place_file(p, "blobs/ba/7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD", "x");
    place_file(p, "blobs/ba/7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad0", "x");
    place_file(p, "blobs/ba/g816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "x");
    assert_int_equal(
        mkdir(place_path(p,
                         "blobs/ba/0016bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
              0755),
        0);
    const char *link =
        place_path(p, "blobs/ba/1116bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(symlink("/etc/passwd", link), 0);
    assert_int_equal(count_blobs(p), 1);

    /* A link in a blob's place is never followed. */
    struct dz_body *body = NULL;
    memset(sha.b, 0, sizeof(sha.b));
    must(dz_unhex(DZ_S("ba1116bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), sha.b,
                  32, err));
    assert_int_equal(dz_store_get(p->s, &sha, 1000000, &body, NULL), DZ_IO);
}

static void test_damage(void **state)
{
    struct place *p = *state;
    struct dz_sha256 sha;
    put(p, DZ_S("bytes that rot"), &sha);
    must(dz_store_verify(p->s, &sha, err));
    int fd = open(place_blob(p, &sha), O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "B", 1, 3), 1);
    struct dz_err why = {0};
    assert_int_equal(dz_store_verify(p->s, &sha, &why), DZ_CORRUPT);
    assert_non_null(strstr(why.text, "do not match"));
    assert_int_equal(dz_store_stats(p->s)->corrupt, 1);

    /* A lost end is seen by the next put of the same bytes and mended. */
    assert_int_equal(ftruncate(fd, 5), 0);
    close(fd);
    assert_int_equal(dz_store_verify(p->s, &sha, NULL), DZ_CORRUPT);
    put(p, DZ_S("bytes that rot"), &sha);
    must(dz_store_verify(p->s, &sha, err));
}

static void assert_text(const char *path, const char *text)
{
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 1000);
    must(dz_file_read(path, &b, err));
    assert_string_equal(dz_buf_cstr(&b), text);
}

/* Bytes go as they are, and what was set aside before stays. */
static void set_aside_into(struct place *p, const char *folder)
{
    struct dz_sha256 sha;
    char path[200];
    put(p, DZ_S("abc"), &sha);
    place_file(p, "blobs/ba/7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "axc");
    must(dz_store_set_aside(p->s, &sha, folder, err));
    assert_int_equal(count_blobs(p), 0);
    assert_int_equal(dz_store_set_aside(p->s, &sha, folder, NULL), DZ_NOT_FOUND);
    put(p, DZ_S("abc"), &sha);
    must(dz_store_set_aside(p->s, &sha, folder, err));
    assert_int_equal(count_blobs(p), 0);
    (void)snprintf(path, sizeof(path), "%s/%s", folder,
                   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_text(path, "axc");
    (void)snprintf(path + strlen(path), 3, ".1");
    assert_text(path, "abc");
}

static void test_set_aside(void **state)
{
    struct place *p = *state;
    set_aside_into(p, place_path(p, "some/damaged"));
    assert_int_equal(place_count(p, "some/damaged"), 2);
    struct place other = {.dir = "/dev/shm/dozo-store-XXXXXX"};
    if (!mkdtemp(other.dir))
        skip();
    set_aside_into(p, place_path(&other, "damaged"));
    assert_int_equal(place_count(&other, "damaged"), 2);
    place_remove(&other);
}

static pid_t dead_pid(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return pid;
}

static void temp_name(char *dst, size_t n, long long pid, unsigned long long start, int random)
{
    (void)snprintf(dst, n, "blobs/.tmp/%lld-%llu-%016x", pid, start, random);
}

/* Reads the start of this process out of the name of a temporary that a batch keeps. */
static unsigned long long own_start(struct place *p)
{
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
    must(dz_store_batch_begin(p->s, &b, err));
    must(dz_store_batch_put_bytes(b, DZ_S("temporary"), NULL, err));
    unsigned long long start = 0;
    DIR *dir = opendir(place_path(p, "blobs/.tmp"));
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        int pid;
        if (sscanf(e->d_name, "%d-%llu-", &pid, &start) == 2)
            assert_int_equal(pid, getpid());
    }
    closedir(dir);
    assert_true(start > 0);
    return start;
}

static void test_sweep(void **state)
{
    struct place *p = *state;
    unsigned long long start = own_start(p);
    assert_int_equal(place_count(p, "blobs/.tmp"), 0);
    pid_t dead = dead_pid();
    struct {
        long long pid;
        unsigned long long start;
        int64_t age_s;
        bool goes;
    } temps[] = {
        {dead, 12345, 4000, true},
        {dead, 12345, 3000, false},
        {dead, 0, 4000, true},
        {getpid(), start, 4000, false},
        {getpid(), start + 1, 4000, true}, /* an earlier process with our number */
        {getpid(), 0, 4000, false},
        {99999999999, 1, 4000, true},
        {dead, 12345, -4000, false}, /* from the future */
    };
    char name[80];
    for (size_t i = 0; i < DZ_LEN(temps); i++) {
        temp_name(name, sizeof(name), temps[i].pid, temps[i].start, (int)i);
        place_file(p, name, "half a page");
        place_age(place_path(p, name), temps[i].age_s);
    }
    place_file(p, "blobs/.tmp/notes-of-the-owner", "keep");
    place_age(place_path(p, "blobs/.tmp/notes-of-the-owner"), 4000);
    struct dz_sha256 sha;
    put(p, DZ_S("old and whole"), &sha);
    place_age(place_blob(p, &sha), 1000000);

    uint64_t removed = 0;
    must(dz_store_sweep(p->s, 3600, &removed, err));
    assert_int_equal(removed, 4);
    for (size_t i = 0; i < DZ_LEN(temps); i++) {
        temp_name(name, sizeof(name), temps[i].pid, temps[i].start, (int)i);
        assert_int_equal(access(place_path(p, name), F_OK) != 0, temps[i].goes);
    }
    assert_int_equal(access(place_path(p, "blobs/.tmp/notes-of-the-owner"), F_OK), 0);
    must(dz_store_verify(p->s, &sha, err));
}

static void test_batch_is_invisible_until_commit(void **state)
{
    struct place *p = *state;
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
    must(dz_store_batch_begin(p->s, &b, err));
    char text[16];
    for (int i = 0; i < 200; i++) { /* more than it holds open */
        int n = snprintf(text, sizeof(text), "%d", i);
        must(dz_store_batch_put_bytes(b, (dz_str){text, (size_t)n}, NULL, err));
    }
    must(dz_store_batch_put_bytes(b, DZ_S("7"), NULL, err));
    assert_int_equal(count_blobs(p), 0);
    assert_int_equal(place_count(p, "blobs/.tmp"), 200);
    dz_store_batch_free(&b);
    assert_int_equal(count_blobs(p), 0);
    assert_int_equal(place_count(p, "blobs/.tmp"), 0);

    must(dz_store_batch_begin(p->s, &b, err));
    must(dz_store_batch_put_bytes(b, DZ_S("7"), NULL, err));
    must(dz_store_batch_commit(b, err));
    dz_store_batch_free(&b);
    assert_int_equal(count_blobs(p), 1);
}

/* On a file system where syncfs is not trusted, more files than are held open at once. */
static void test_batch_elsewhere(void **state)
{
    (void)state;
    struct place p = {.dir = "/dev/shm/dozo-store-XXXXXX"};
    if (!mkdtemp(p.dir))
        skip();
    must(dz_store_open("files", p.dir, "", &p.s, err));
    DZ_AUTO(dz_store_batch_free) struct dz_store_batch *b = NULL;
    must(dz_store_batch_begin(p.s, &b, err));
    for (int round = 1; round <= 2; round++) {
        for (int i = 0; i < 150; i++) {
            char text[16];
            int n = snprintf(text, sizeof(text), "%d", i * round);
            must(dz_store_batch_put_bytes(b, (dz_str){text, (size_t)n}, NULL, err));
        }
        must(dz_store_batch_commit(b, err));
        assert_int_equal(count_blobs(&p), round == 1 ? 150 : 225);
    }
    dz_store_batch_free(&b);
    assert_int_equal(place_count(&p, "blobs/.tmp"), 0);
    must(dz_store_list(p.s, place_verify_one, &p, err));
    dz_store_close(&p.s);
    place_remove(&p);
}

static void test_processes_same_blobs(void **state)
{
    struct place *p = *state;
    pid_t pids[4];
    for (size_t i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] != 0)
            continue;
        struct dz_store *s = NULL;
        struct dz_store_batch *b = NULL;
        bool good = dz_store_open("files", p->dir, "", &s, NULL) == DZ_OK &&
                    dz_store_batch_begin(s, &b, NULL) == DZ_OK;
        for (int n = 0; n < 40 && good; n++) {
            char text[4000];
            memset(text, n, sizeof(text));
            dz_str bytes = {text, sizeof(text)};
            good = (i % 2 ? dz_store_put_bytes(s, bytes, NULL, NULL)
                          : dz_store_batch_put_bytes(b, bytes, NULL, NULL)) == DZ_OK;
            if (n % 8 == 7 && good)
                good = dz_store_batch_commit(b, NULL) == DZ_OK;
        }
        _exit(good ? 0 : 1);
    }
    for (size_t i = 0; i < 4; i++) {
        int status = -1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count_blobs(p), 40);
    must(dz_store_list(p->s, place_verify_one, p, err));
    assert_int_equal(place_count(p, "blobs/.tmp"), 0);
}

static void test_refusals(void **state)
{
    struct place *p = *state;
    struct dz_store *s = NULL;
    struct dz_err why = {0};
    assert_int_equal(dz_store_open("flies", p->dir, "", &s, &why), DZ_BAD_INPUT);
    assert_non_null(strstr(why.text, "\"flies\""));
    assert_non_null(strstr(why.text, "files, memory"));

    assert_int_equal(mkdir(place_path(p, "other"), 0755), 0);
    place_file(p, "other/blobs", "a file where the folder should be");
    assert_int_not_equal(dz_store_open("files", place_path(p, "other"), "", &s, &why), DZ_OK);
    assert_non_null(strstr(why.text, "/other/blobs"));

    assert_int_equal(mkdir(place_path(p, "locked"), 0500), 0);
    assert_int_equal(chmod(p->dir, 0755), 0);
    uid_t me = geteuid();
    if (me == 0)
        assert_int_equal(seteuid(65534), 0);
    assert_int_not_equal(dz_store_open("files", place_path(p, "locked"), "", &s, &why), DZ_OK);
    assert_int_equal(seteuid(me), 0);
    assert_non_null(strstr(why.text, "/locked/blobs"));
    assert_non_null(strstr(why.text, "Permission denied"));
    assert_null(s);
}

enum { FULL_OK, FULL_CANNOT_TEST, FULL_WRONG };

/* In a process of its own, with a file system of 512 KiB mounted for it alone. */
static int fill_disk(const char *dir)
{
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return FULL_CANNOT_TEST;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", dir, "tmpfs", 0, "size=512k") != 0)
        return FULL_CANNOT_TEST;
    struct place p;
    (void)snprintf(p.dir, sizeof(p.dir), "%s", dir);
    static char big[1000000];
    struct dz_err why = {0};
    struct dz_store_batch *b = NULL;
    if (dz_store_open("files", dir, "", &p.s, NULL) != DZ_OK)
        return FULL_WRONG;
    if (dz_store_put_bytes(p.s, (dz_str){big, sizeof(big)}, NULL, &why) != DZ_FULL ||
        !strstr(why.text, "No space left") || !strstr(why.text, "/blobs/.tmp/"))
        return FULL_WRONG;
    if (dz_store_batch_begin(p.s, &b, NULL) != DZ_OK ||
        dz_store_batch_put_bytes(b, (dz_str){big, sizeof(big)}, NULL, NULL) != DZ_FULL ||
        dz_store_batch_put_bytes(b, DZ_S("fits"), NULL, NULL) != DZ_OK ||
        place_count(&p, "blobs/.tmp") != 1 || dz_store_batch_commit(b, NULL) != DZ_OK)
        return FULL_WRONG;
    return place_count(&p, "blobs/.tmp") == 0 && count_blobs(&p) == 1 ? FULL_OK : FULL_WRONG;
}

static void test_disk_full(void **state)
{
    struct place *p = *state;
    assert_int_equal(mkdir(place_path(p, "small"), 0755), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(fill_disk(place_path(p, "small")));
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == FULL_CANNOT_TEST)
        skip();
    assert_int_equal(WEXITSTATUS(status), FULL_OK);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_layout),
        CASE(test_belongs_to_folder),
        CASE(test_not_written_again),
        CASE(test_foreign_files),
        CASE(test_damage),
        CASE(test_set_aside),
        CASE(test_sweep),
        CASE(test_batch_is_invisible_until_commit),
        cmocka_unit_test(test_batch_elsewhere),
        CASE(test_processes_same_blobs),
        CASE(test_refusals),
        CASE(test_disk_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) > 0;
}
