/*
 * test_certs: when the files of the certificates are read again, and what is said about it.
 *
 * A look at the files is one call of the timer's function, so nothing waits.
 */
#include <fcntl.h>
#include <unistd.h>

#include "cli/cli_int.h"
#include "test.h"

static char folder[] = "/tmp/dozo-certs-XXXXXX";
static char certificate[64], key[64], log_path[64];
static struct dz_loop *loop;
static struct dz_http_server *server;

static void put(const char *path, const char *text)
{
    struct dz_err err = {0};
    assert_int_equal(dz_file_write_atomic(path, dz_str_of(text), 0600, &err), DZ_OK);
}

static size_t complaints(void)
{
    struct dz_err err = {0};
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, DZ_MIB);
    assert_int_equal(dz_file_read(log_path, &text, &err), DZ_OK);
    size_t n = 0, at;
    dz_str rest = dz_buf_str(&text);
    while ((at = dz_str_find(rest, DZ_S("the old ones stay"))) != DZ_NPOS) {
        rest = dz_str_sub(rest, at + 1, rest.n);
        n++;
    }
    return n;
}

static void look(struct dz_certs *certs, int times)
{
    for (int i = 0; i < times; i++)
        certs->timer.fn(loop, &certs->timer);
}

/* One line for each change of the files, not one for each look. */
static void bad_files_are_said_once(void **state)
{
    (void)state;
    char *names[] = {certificate, NULL}, *keys[] = {key, NULL};
    struct dz_conf conf = {
        .tls = {.certificates = {.v = names, .n = 1}, .keys = {.v = keys, .n = 1}, .http2 = true}};
    struct dz_conf *in_effect = &conf;
    struct dz_certs certs = {.server = server, .conf = &in_effect};
    put(certificate, "no certificate\n");
    put(key, "no key\n");
    dz_certs_reload(&certs, &conf);
    dz_certs_watch(&certs, loop);
    assert_int_equal(complaints(), 1);
    look(&certs, 5);
    assert_int_equal(complaints(), 1);
    put(certificate, "no certificate either\n");
    look(&certs, 1); /* its key may still be on the way */
    assert_int_equal(complaints(), 1);
    put(key, "and no key\n");
    look(&certs, 1);
    assert_int_equal(complaints(), 1);
    look(&certs, 1); /* both stand still */
    assert_int_equal(complaints(), 2);
    look(&certs, 5);
    assert_int_equal(complaints(), 2);
    assert_int_equal(unlink(key), 0);
    look(&certs, 7);
    assert_int_equal(complaints(), 3);
    dz_timer_stop(loop, &certs.timer);
}

static int set_up(void **state)
{
    (void)state;
    struct dz_err err = {0};
    assert_non_null(mkdtemp(folder));
    snprintf(certificate, sizeof(certificate), "%s/a.crt", folder);
    snprintf(key, sizeof(key), "%s/a.key", folder);
    snprintf(log_path, sizeof(log_path), "%s/log", folder);
    dz_log_init(open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), DZ_INFO,
                DZ_LOG_LOGFMT);
    assert_int_equal(dz_loop_new(&loop, &err), DZ_OK);
    return dz_http_server_new(&(struct dz_http_options){0}, &server, &err) == DZ_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    dz_http_stop(&server);
    dz_loop_free(&loop);
    unlink(certificate);
    unlink(log_path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bad_files_are_said_once)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
