/* file: whole files in and out, limits, folders. */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/dozo-test-file-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static int enter(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    return rmdir(folder);
}

static size_t names_in_folder(void)
{
    DIR *d = opendir(folder);
    assert_non_null(d);
    size_t count = 0;
    while (readdir(d))
        count++;
    closedir(d);
    return count - 2;
}

static void writes_and_reads(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 300000);
    struct dz_buf want DZ_AUTO(dz_buf_done);
    dz_buf_init(&want, 300000);
    while (want.n < 299990)
        dz_buf_put_u64(&want, want.n);
    must(dz_file_write_atomic(in_folder("a"), DZ_S("first"), 0600, err));
    must(dz_file_write_atomic(in_folder("a"), dz_buf_str(&want), 0600, err));
    assert_int_equal(names_in_folder(), 1);
    must(dz_file_read(in_folder("a"), &b, err));
    assert_true(dz_str_eq(dz_buf_str(&b), dz_buf_str(&want)));
    struct stat st;
    assert_int_equal(stat(in_folder("a"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    unlink(in_folder("a"));
}

static void appends_to_the_buffer(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 5);
    must(dz_file_write_atomic(in_folder("a"), DZ_S("abc"), 0600, err));
    dz_buf_put(&b, DZ_S("x:"));
    must(dz_file_read(in_folder("a"), &b, err));
    assert_string_equal(dz_buf_cstr(&b), "x:abc");
    struct dz_err err = {0};
    assert_int_equal(dz_file_read(in_folder("a"), &b, &err), DZ_TOO_LARGE);
    assert_string_equal(dz_buf_cstr(&b), "x:abc");
    unlink(in_folder("a"));
    must(dz_file_write_atomic(in_folder("e"), DZ_S(""), 0600, err));
    must(dz_file_read(in_folder("e"), &b, err));
    assert_string_equal(dz_buf_cstr(&b), "x:abc");
    unlink(in_folder("e"));
}

static void tells_what_is_wrong(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 10);
    struct dz_err err = {0};
    assert_int_equal(dz_file_read(in_folder("none"), &b, &err), DZ_NOT_FOUND);
    assert_int_equal(err.native, ENOENT);
    assert_non_null(strstr(err.text, "none"));
    assert_int_equal(dz_file_read(folder, &b, &err), DZ_IO);
    assert_int_equal(dz_file_write_atomic(in_folder("none/x"), DZ_S(""), 0600, &err), DZ_NOT_FOUND);
    assert_int_equal(dz_fsync_dir(in_folder("none"), &err), DZ_NOT_FOUND);
    /* Files without a size of their own are bounded too. */
    assert_int_equal(dz_file_read("/dev/zero", &b, &err), DZ_TOO_LARGE);
    assert_int_equal(b.n, 0);
    assert_int_equal(dz_write_all(-1, DZ_S("x"), &err), DZ_IO);
    DZ_AUTO(dz_closep) int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (full >= 0)
        assert_int_equal(dz_write_all(full, DZ_S("x"), &err), DZ_FULL);
}

static void leaves_no_temporary_file(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_folder("d"), 0700), 0);
    struct dz_err err = {0};
    assert_int_equal(dz_file_write_atomic(in_folder("d"), DZ_S("x"), 0600, &err), DZ_IO);
    assert_int_equal(err.native, EISDIR);
    assert_int_equal(names_in_folder(), 1);
    rmdir(in_folder("d"));
}

static void makes_folders(void **state)
{
    (void)state;
    must(dz_mkdirs(in_folder("x//y/z/"), 0700, err));
    must(dz_mkdirs(in_folder("x/y/z"), 0700, err));
    must(dz_mkdirs("/", 0700, err));
    must(dz_mkdirs(".", 0700, err));
    must(dz_file_write_atomic(in_folder("x/f"), DZ_S(""), 0600, err));
    struct dz_err err = {0};
    assert_int_equal(dz_mkdirs(in_folder("x/f"), 0700, &err), DZ_IO);
    assert_int_equal(dz_mkdirs(in_folder("x/f/g"), 0700, &err), DZ_IO);
    assert_int_equal(dz_mkdirs("", 0700, &err), DZ_BAD_INPUT);
    unlink(in_folder("x/f"));
    rmdir(in_folder("x/y/z"));
    rmdir(in_folder("x/y"));
    rmdir(in_folder("x"));
}

static void writes_to_the_working_folder(void **state)
{
    (void)state;
    DZ_AUTO(dz_closep) int back = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(back >= 0);
    assert_int_equal(chdir(folder), 0);
    must(dz_file_write_atomic("plain", DZ_S("x"), 0600, err));
    assert_int_equal(access("plain", R_OK), 0);
    unlink("plain");
    assert_int_equal(fchdir(back), 0);
}

static void locks_a_file(void **state)
{
    (void)state;
    char path[256];
    (void)snprintf(path, sizeof(path), "%s", in_folder("lock"));
    int one = -1, two = -1, three = -1;
    struct dz_err err = {0};
    must(dz_lock_file(path, false, &one, err));
    must(dz_lock_file(path, false, &two, err));
    assert_int_equal(dz_lock_file(path, true, &three, &err), DZ_CONFLICT);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(three, -1);
    dz_closep(&one);
    dz_closep(&two);
    must(dz_lock_file(path, true, &three, err));
    assert_int_equal(dz_lock_file(path, false, &one, &err), DZ_CONFLICT);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(fcntl(three, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    dz_closep(&three);

    assert_int_equal(rename(path, in_folder("there")), 0);
    assert_int_equal(symlink("there", path), 0);
    assert_int_equal(dz_lock_file(path, true, &one, &err), DZ_IO); /* links are not followed */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(in_folder("there")), 0);
    assert_int_equal(dz_lock_file(in_folder("no/lock"), true, &one, &err), DZ_NOT_FOUND);
}

static void makes_the_run_folder(void **state)
{
    (void)state;
    struct stat st;
    mode_t before = umask(0);
    for (int i = 0; i < 2; i++)
        must(dz_make_run_dir(in_folder("above/data"), err));
    umask(before);
    assert_int_equal(stat(in_folder("above/data"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(stat(in_folder("above/data/run"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(rmdir(in_folder("above/data/run")), 0);
    assert_int_equal(rmdir(in_folder("above/data")), 0);
    assert_int_equal(rmdir(in_folder("above")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_and_reads),    cmocka_unit_test(appends_to_the_buffer),
        cmocka_unit_test(tells_what_is_wrong), cmocka_unit_test(leaves_no_temporary_file),
        cmocka_unit_test(locks_a_file),        cmocka_unit_test(makes_the_run_folder),
        cmocka_unit_test(makes_folders),       cmocka_unit_test(writes_to_the_working_folder),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
