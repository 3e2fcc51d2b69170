/*
 * password: a password in, its hash out, for auth.admin_password_hash.
 *
 * In: the password, typed twice on a terminal without echo, or one line from a pipe. Out: a bcrypt
 * text of crypt(3) on stdout. Memory that held the password is wiped. The odd thing: a signal while
 * the echo is off must not leave the terminal so; the handlers only set a flag, the read ends, the
 * terminal is put right, and the command fails.
 */
#include <crypt.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli_int.h"

#define BCRYPT_BYTES_MAX                                                                           \
    72 /* bcrypt looks at no more; a longer one would be cut without a word                        \
        */
#define BCRYPT_COST 12

static const struct dz_option options[] = {{NULL, NULL, NULL, 0}};

struct secret {
    char p[BCRYPT_BYTES_MAX + 3]; /* one too many, a CR, a NUL */
    size_t n;
};

static void wipe(struct secret *s)
{
    explicit_bzero(s, sizeof(*s));
}

/* ---- reading --------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
    interrupted = signal;
}

/* One line without its end. What is over the limit is read and dropped, so that it does not land in
 * the shell. */
static enum dz_code read_line(struct secret *ret_secret, struct dz_err *err)
{
    size_t n = 0;
    bool too_long = false;
    for (;;) {
        char c;
        ssize_t got = read(STDIN_FILENO, &c, 1);
        if (got < 0 && errno == EINTR && !interrupted)
            continue;
        if (interrupted)
            return dz_fail(err, DZ_CANCELLED, "interrupted");
        if (got < 0)
            return dz_fail_errno(err, DZ_IO, errno, "cannot read the password");
        if (got == 0 || c == '\n')
            break;
        if (n < sizeof(ret_secret->p) - 1)
            ret_secret->p[n++] = c;
        else
            too_long = true;
    }
    if (n > 0 && !too_long && ret_secret->p[n - 1] == '\r')
        n--;
    ret_secret->p[n] = '\0';
    ret_secret->n = n;
    if (n == 0)
        return dz_fail(err, DZ_BAD_INPUT, "the password is empty");
    if (too_long || n > BCRYPT_BYTES_MAX)
        return dz_fail(err, DZ_BAD_INPUT,
                       "the password is longer than %d bytes, and bcrypt would not see the rest",
                       BCRYPT_BYTES_MAX);
    if (memchr(ret_secret->p, 0, n))
        return dz_fail(err, DZ_BAD_INPUT,
                       "the password holds a NUL byte, and crypt(3) would not see the rest");
    return DZ_OK;
}

static enum dz_code ask(const char *prompt, struct secret *ret_secret, struct dz_err *err)
{
    fputs(prompt, stderr);
    fflush(stderr);
    enum dz_code code = read_line(ret_secret, err);
    fputc('\n', stderr);
    return code;
}

static enum dz_code ask_twice(struct secret *ret_secret, struct dz_err *err)
{
    DZ_TRY(ask("Password: ", ret_secret, err));
    struct secret again = {0};
    enum dz_code code = ask("The same again: ", &again, err);
    if (code == DZ_OK &&
        !dz_equal_const_time((dz_str){again.p, again.n}, (dz_str){ret_secret->p, ret_secret->n}))
        code = dz_fail(err, DZ_BAD_INPUT, "the two passwords differ");
    wipe(&again);
    return code;
}

static enum dz_code ask_without_echo(struct secret *ret_secret, struct dz_err *err)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
    struct sigaction before[DZ_LEN(signals)], action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    struct termios shown;
    if (tcgetattr(STDIN_FILENO, &shown) != 0)
        return dz_fail_errno(err, DZ_IO, errno, "cannot read the terminal's mode");
    for (size_t i = 0; i < DZ_LEN(signals); i++)
        sigaction(signals[i], &action, &before[i]);
    struct termios hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    enum dz_code code;
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) != 0)
        code = dz_fail_errno(err, DZ_IO, errno, "cannot turn the terminal's echo off");
    else
        code = ask_twice(ret_secret, err);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    for (size_t i = 0; i < DZ_LEN(signals); i++)
        sigaction(signals[i], &before[i], NULL);
    return code;
}

/* ---- hashing --------------------------------------------------------------------------------- */

static enum dz_code hash(const struct secret *s, struct dz_buf *out, struct dz_err *err)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    if (!crypt_gensalt_rn("$2b$", BCRYPT_COST, NULL, 0, setting, sizeof(setting)))
        return dz_fail_errno(err, DZ_UNSUPPORTED, errno,
                             "this system's libcrypt makes no bcrypt salt");
    struct crypt_data *data = dz_new(struct crypt_data);
    const char *text = crypt_rn(s->p, setting, data, sizeof(*data));
    enum dz_code code = DZ_OK;
    if (text)
        dz_buf_put(out, dz_str_of(text));
    else
        code = dz_fail_errno(err, DZ_UNSUPPORTED, errno,
                             "this system's libcrypt makes no bcrypt hash");
    explicit_bzero(data, sizeof(*data));
    dz_freep(&data);
    return code;
}

static int run_password(int argc, char **argv)
{
    struct dz_args a DZ_AUTO(dz_args_done) = {0};
    int status;
    if (!dz_args_begin(&dz_cmd_password, argc, argv, &a, &status))
        return status;
    if (a.operands_n > 0)
        return dz_usage_error(&dz_cmd_password, "the password is read from the terminal or a pipe, "
                                                "never from arguments, which others can see");
    struct secret s = {0};
    struct dz_err err = {0};
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, CRYPT_OUTPUT_SIZE + 1);
    enum dz_code code = isatty(STDIN_FILENO) ? ask_without_echo(&s, &err) : read_line(&s, &err);
    if (code == DZ_OK)
        code = hash(&s, &out, &err);
    wipe(&s);
    if (code != DZ_OK) {
        dz_say(&dz_cmd_password, "%s", err.text);
        return DZ_EXIT_FAILED;
    }
    dz_buf_putc(&out, '\n');
    dz_print(&out);
    return DZ_EXIT_OK;
}

const struct dz_command dz_cmd_password = {
    .name = "password",
    .summary = "read a password, print its hash for the settings",
    .usage = "password",
    .help = "Reads a password twice from the terminal, or one line from a pipe, and prints\n"
            "its bcrypt hash for auth.admin_password_hash. Nothing is stored. At most 72\n"
            "bytes, not empty.\n"
            "\n"
            "Exit status: 0 done, 1 no password that can be used, 2 wrong use.",
    .options = options,
    .run = run_password,
};
