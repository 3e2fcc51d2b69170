/*
 * The progress line as a function of state and width, and what the three ways of showing it write.
 */
#include "test.h"

#include "cli/cli_int.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static const char *line(struct dz_progress_state s, size_t columns, bool colour)
{
    static struct dz_buf out;
    dz_buf_done(&out);
    dz_buf_init(&out, 64 * DZ_KIB);
    dz_progress_line(&s, columns, colour, &out);
    return dz_buf_cstr(&out);
}

static void full_line(void **state)
{
    (void)state;
    struct dz_progress_state s = {.done = 42 * DZ_MIB,
                                  .total = 100 * DZ_MIB,
                                  .rate = 2 * DZ_MIB,
                                  .is_bytes = true,
                                  .name = "Chapter 7/004.png"};
    assert_string_equal(
        line(s, 100, false),
        " 42% [=======>         ] 42.0 MiB/100.0 MiB  2.0 MiB/s  0:29 left  Chapter 7/004.png");
    s.name = NULL;
    s.rate = 0;
    assert_string_equal(line(s, 60, false), " 42% [====>      ] 42.0 MiB/100.0 MiB");
}

static void counts_and_times(void **state)
{
    (void)state;
    struct dz_progress_state s = {.done = 768, .total = 1680, .rate = 1};
    assert_string_equal(line(s, 40, false), " 45% 768/1680  1/s  15:12 left");
    s.total = 768 + 3723;
    assert_string_equal(line(s, 40, false), " 17% 768/4491  1/s  1:02:03 left");
    s.total = 1000000000; /* years: not worth saying */
    assert_string_equal(line(s, 40, false), "  0% [>         ] 768/1000000000  1/s");
    s.total = 0;
    assert_string_equal(line(s, 40, false), "768  1/s");
    s.total = s.done = 5;
    assert_string_equal(line(s, 60, false), "100% [==============] 5/5  1/s");
    s.done = 9; /* a folder that grew meanwhile */
    assert_string_equal(line(s, 60, false), "100% [==============] 9/5  1/s");
    s = (struct dz_progress_state){.done = UINT64_MAX / 2, .total = UINT64_MAX, .is_bytes = true};
    assert_non_null(strstr(line(s, 80, false), " 49% ["));
}

static void colour_only_where_wished(void **state)
{
    (void)state;
    struct dz_progress_state s = {.done = 1, .total = 2};
    assert_null(strchr(line(s, 80, false), '\x1b'));
    const char *coloured = line(s, 80, true);
    assert_non_null(strstr(coloured, "[\x1b[36m=="));
    assert_non_null(strstr(coloured, " \x1b[0m] 1/2"));
}

/* At any width, whatever the name, one column stays free and no byte can move the cursor. */
static void never_wider_than_the_terminal(void **state)
{
    (void)state;
    static const char *const names[] = {
        NULL,
        "",
        "a",
        "とても長い名前のページファイルですから切られます001.png",
        "\x1b[2J\r\n\x9b",
        "ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab",
    };
    for (size_t columns = 0; columns < 240; columns++) {
        for (size_t i = 0; i < DZ_LEN(names); i++) {
            struct dz_progress_state s = {.done = 123456789 * (i + 1),
                                          .total = i % 2 ? 1234567890123 : 0,
                                          .rate = i * 1000000,
                                          .is_bytes = true,
                                          .name = names[i]};
            dz_str text = dz_str_of(line(s, columns, false));
            struct dz_buf plain DZ_AUTO(dz_buf_done);
            dz_buf_init(&plain, 64 * DZ_KIB);
            size_t taken = dz_text_put(&plain, text, SIZE_MAX);
            assert_true(taken <= (columns > 0 ? columns - 1 : 0));
            assert_true(dz_str_eq(dz_buf_str(&plain), text)); /* nothing was left to escape */
        }
    }
}

/* ---- showing --------------------------------------------------------------------------------- */

static void read_all(int fd, struct dz_buf *b)
{
    char piece[4096];
    ssize_t n;
    while ((n = read(fd, piece, sizeof(piece))) > 0)
        dz_buf_put(b, (dz_str){piece, (size_t)n});
}

/* Runs fn with stderr on a new descriptor and gives what it wrote. */
static void with_stderr(int write_fd, int read_fd, void (*fn)(void), struct dz_buf *ret_text)
{
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    assert_true(kept >= 0);
    assert_true(dup2(write_fd, STDERR_FILENO) >= 0);
    fn();
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    dz_buf_clear(ret_text);
    read_all(read_fd, ret_text);
}

static bool off;

static void three_chapters(void)
{
    struct dz_progress p;
    dz_progress_begin(&p, true, off);
    for (uint64_t i = 0; i < 1000; i++) {
        dz_progress_set(&p, i, 1000, "page");
        dz_progress_step(&p, "in/Chapter\n1");
    }
    dz_progress_clear(&p);
    dz_progress_clear(&p);
}

static void plain_lines_without_a_terminal(void **state)
{
    (void)state;
    struct dz_buf text DZ_AUTO(dz_buf_done);
    dz_buf_init(&text, DZ_MIB);
    int fds[2];
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    setenv("TERM", "xterm", 1);
    off = false;
    with_stderr(fds[1], fds[0], three_chapters, &text);
    assert_null(strchr(dz_buf_cstr(&text), '\x1b'));
    assert_null(strchr(dz_buf_cstr(&text), '\r'));
    assert_true(dz_str_starts(dz_buf_str(&text), DZ_S("done: in/Chapter\\x0a1\n")));
    off = true;
    with_stderr(fds[1], fds[0], three_chapters, &text);
    assert_int_equal(text.n, 0);
    close(fds[0]);
    close(fds[1]);
}

/* A terminal of the kernel's own; 77 where there is none. */
static int open_terminal(int *ret_user_fd)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || grantpt(fd) != 0 || unlockpt(fd) != 0)
        exit(77);
    *ret_user_fd = open(ptsname(fd), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*ret_user_fd < 0)
        exit(77);
    return fd;
}

static void a_bar_on_a_terminal(void **state)
{
    (void)state;
    struct dz_buf text DZ_AUTO(dz_buf_done);
    dz_buf_init(&text, DZ_MIB);
    int user_fd;
    int fd = open_terminal(&user_fd);
    setenv("TERM", "xterm", 1);
    setenv("NO_COLOR", "1", 1);
    off = false;
    with_stderr(user_fd, fd, three_chapters, &text);
    const char *t = dz_buf_cstr(&text);
    assert_true(dz_str_starts(dz_buf_str(&text), DZ_S("\r  0% [>")));
    assert_true(dz_str_ends(dz_buf_str(&text), DZ_S("\r\x1b[K"))); /* cleared, once */
    assert_false(dz_str_ends(dz_buf_str(&text), DZ_S("\r\x1b[K\r\x1b[K")));
    assert_null(strchr(t, '\n'));
    assert_null(strstr(t, "\x1b[36m"));
    unsetenv("NO_COLOR");
    with_stderr(user_fd, fd, three_chapters, &text);
    assert_non_null(strstr(dz_buf_cstr(&text), "\x1b[36m"));
    setenv("TERM", "dumb", 1);
    with_stderr(user_fd, fd, three_chapters, &text);
    assert_null(strchr(dz_buf_cstr(&text), '\x1b'));
    assert_non_null(strstr(dz_buf_cstr(&text), "in/Chapter"));
    close(user_fd);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_line),
        cmocka_unit_test(counts_and_times),
        cmocka_unit_test(colour_only_where_wished),
        cmocka_unit_test(never_wider_than_the_terminal),
        cmocka_unit_test(plain_lines_without_a_terminal),
        cmocka_unit_test(a_bar_on_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
