/*
 * Commands on a library of their own: how an import tells a server that runs, and that a check
 * wants a library.
 *
 * The "server" is a socket that nobody reads; how many connections wait in it is how often it was
 * told.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "test.h"

#include "cli/cli_int.h"

#define CHAPTERS 20

static char folder[64];

static const char *path_of(const char *name)
{
    static char paths[4][200];
    static unsigned turn;
    char *path = paths[turn++ % DZ_LEN(paths)];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, dz_str bytes)
{
    must(dz_file_write_atomic(path_of(name), bytes, 0644, err));
}

static int enter(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/dozo-cli-XXXXXX");
    assert_non_null(mkdtemp(folder));
    struct dz_buf yaml DZ_AUTO(dz_buf_done);
    dz_buf_init(&yaml, 1000);
    dz_buf_putf(&yaml, "data_dir: %s/data\n", folder);
    write_file("dozo.yaml", dz_buf_str(&yaml));
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static int leave(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Runs a command; what it says on stderr is appended to `said`. */
static int run(const struct dz_command *cmd, struct dz_buf *said, const char *a, const char *b)
{
    char *argv[] = {(char *)cmd->name, (char *)"--config", dz_strdup(path_of("dozo.yaml")),
                    (char *)a,         (char *)b,          NULL};
    int argc = 3;
    while (argv[argc])
        argc++;
    int before = dup(2);
    int file = open(path_of("said"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(before >= 0 && file >= 0);
    assert_int_equal(dup2(file, 2), 2);
    int status = cmd->run(argc, argv);
    assert_int_equal(dup2(before, 2), 2);
    close(before);
    close(file);
    free(argv[2]);
    must(dz_file_read(path_of("said"), said, err));
    return status;
}

/* ---- an import ------------------------------------------------------------------------------- */

static void write_chapters(void)
{
    char gif[] = "GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;";
    for (int i = 1; i <= CHAPTERS; i++) {
        char name[40];
        (void)snprintf(name, sizeof(name), "Series/Chapter %d", i);
        must(dz_mkdirs(path_of(name), 0755, err));
        gif[13] = (char)i; /* a colour */
        (void)snprintf(name, sizeof(name), "Series/Chapter %d/1.gif", i);
        write_file(name, (dz_str){gif, sizeof(gif) - 1});
    }
}

static int listen_as_front(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    must(dz_make_run_dir(path_of("data"), err));
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s",
                   path_of("data/run/front.sock"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

static unsigned times_told(int front)
{
    unsigned n = 0;
    for (int fd; (fd = accept(front, NULL, NULL)) >= 0; n++)
        close(fd);
    return n;
}

static void import_tells_after_chapters(void **state)
{
    (void)state;
    struct dz_buf said DZ_AUTO(dz_buf_done);
    dz_buf_init(&said, DZ_MIB);
    write_chapters();
    int front = listen_as_front();
    int64_t begin_ns = dz_mono_ns();
    const char *series = dz_strdup(path_of("Series"));
    assert_int_equal(run(&dz_cmd_import, &said, series, "--quiet"), 0);
    unsigned n = times_told(front);
    int64_t spent_ms = (dz_mono_ns() - begin_ns) / 1000000;
    assert_true(n >= 2);                  /* the first chapter, and the end */
    assert_true(n <= 2 + spent_ms / 200); /* not each of a quick row */

    assert_int_equal(run(&dz_cmd_import, &said, series, "--quiet"), 0);
    assert_int_equal(times_told(front), 1); /* no new chapter: only at the end */
    assert_string_equal(dz_buf_cstr(&said), "");
    free((char *)series);
    close(front);
}

/* ---- a check --------------------------------------------------------------------------------- */

static void check_wants_a_library(void **state)
{
    (void)state;
    struct dz_buf said DZ_AUTO(dz_buf_done);
    dz_buf_init(&said, DZ_MIB);
    struct stat st;
    for (int i = 0; i < 2; i++) {
        dz_buf_clear(&said);
        assert_int_equal(run(&dz_cmd_check, &said, "--json", i ? "--repair" : NULL), 1);
        assert_non_null(strstr(dz_buf_cstr(&said), "no library in "));
        assert_non_null(strstr(dz_buf_cstr(&said), path_of("data")));
        assert_int_equal(stat(path_of("data"), &st), -1); /* none was made */
    }
    /* A folder without a database is no library either. */
    assert_int_equal(mkdir(path_of("data"), 0755), 0);
    assert_int_equal(run(&dz_cmd_check, &said, "--json", NULL), 1);
    assert_int_equal(rmdir(path_of("data")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(import_tells_after_chapters, enter, leave),
        cmocka_unit_test_setup_teardown(check_wants_a_library, enter, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
