/*
 * test_files: settings files on disk and the values of *_file keys; serve's own rule; the
 * comparison of two settings.
 */
#include "parse.h"

#include <stdlib.h>
#include <unistd.h>

struct place {
    char dir[64];
    char home[4096];
};

static int enter(void **state)
{
    struct place *p = dz_new(struct place);
    snprintf(p->dir, sizeof p->dir, "/tmp/dozo-conf-XXXXXX");
    if (!getcwd(p->home, sizeof p->home) || !mkdtemp(p->dir) || chdir(p->dir) != 0)
        return -1;
    *state = p;
    return 0;
}

static int leave(void **state)
{
    struct place *p = *state;
    static const char *const names[] = {"dozo.yaml", "token", "big",           "empty",
                                        "crlf",      "nul",   "sub/dozo.yaml", "sub/token"};
    for (size_t i = 0; i < DZ_LEN(names); i++)
        (void)unlink(names[i]);
    (void)rmdir("sub");
    int bad = chdir(p->home) != 0 || rmdir(p->dir) != 0;
    free(p);
    return bad ? -1 : 0;
}

static void put(const char *path, dz_str text)
{
    must(dz_file_write_atomic(path, text, 0600, err));
}

static void the_default_file(void **state)
{
    struct place *p = *state;
    DZ_AUTO(dz_conf_unref) struct dz_conf *none = NULL;
    must(dz_conf_load(NULL, NULL, &none, NULL, err));
    assert_null(none->file);
    put("dozo.yaml", DZ_S("data_dir: ./x//\nhttp: { threads: 4 }\n"));
    DZ_AUTO(dz_conf_unref) struct dz_conf *c = NULL;
    must(dz_conf_load(NULL, NULL, &c, NULL, err));
    assert_string_equal(c->file, "dozo.yaml");
    assert_int_equal(c->http.threads, 4);
    assert_true(dz_str_ends(dz_str_of(c->data_dir), DZ_S("/x")));
    assert_non_null(strstr(c->data_dir, p->dir + 5));
}

static void missing_and_large_files(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf report, big;
    dz_buf_init(&report, DZ_KIB);
    dz_buf_init(&big, 2 * DZ_MIB);
    struct dz_conf *c = NULL;
    struct dz_err err;
    assert_int_equal(dz_conf_load("nowhere.yaml", NULL, &c, &report, &err), DZ_NOT_FOUND);
    assert_non_null(strstr(err.text, "nowhere.yaml"));
    assert_non_null(strstr(dz_buf_cstr(&report), "nowhere.yaml"));
    while (big.n <= DZ_MIB)
        dz_buf_put(&big, DZ_S("# 0123456789\n"));
    put("big", dz_buf_str(&big));
    assert_int_equal(dz_conf_load("big", NULL, &c, NULL, &err), DZ_TOO_LARGE);
    assert_string_equal(err.text, "big: larger than 1MiB, which settings may not be");
    assert_int_not_equal(dz_conf_load("/", NULL, &c, NULL, &err), DZ_OK);
    assert_null(c);
}

static void file_keys(void **state)
{
    (void)state;
    must(dz_mkdirs("sub", 0700, err));
    put("token", DZ_S("of the folder\n"));
    put("sub/token", DZ_S("of the file\n"));
    put("crlf", DZ_S("$2b$12$abcdefghijklmnopqrstuv\r\n"));
    put("sub/dozo.yaml", DZ_S("auth: { token_file: token, admin_password_hash_file: ../crlf }\n"));
    DZ_AUTO(dz_conf_unref) struct dz_conf *c = NULL;
    must(dz_conf_load("sub/dozo.yaml", NULL, &c, NULL, err));
    assert_string_equal(c->auth.token, "of the file");
    assert_string_equal(c->auth.admin_password_hash, "$2b$12$abcdefghijklmnopqrstuv");
    char *const env[] = {"DOZO_AUTH_TOKEN_FILE=token", NULL};
    DZ_AUTO(dz_conf_unref) struct dz_conf *e = NULL;
    must(dz_conf_load("sub/dozo.yaml", env, &e, NULL, err));
    assert_string_equal(e->auth.token, "of the folder");
    put("token", DZ_S("postgres://u:p@h/db"));
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *u = parse("store: { driver: postgres, uri_file: token }");
    assert_string_equal(u->store.uri, "postgres://u:p@h/db");
}

static void expect(const char *yaml, const char *want)
{
    DZ_AUTO(dz_freep) char *got = faults_of(dz_str_of(yaml), NULL);
    assert_string_equal(got, want);
}

static void wrong_file_keys(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf big;
    dz_buf_init(&big, DZ_MIB);
    while (big.n <= 64 * DZ_KIB)
        dz_buf_putc(&big, 'x');
    put("big", dz_buf_str(&big));
    put("empty", DZ_S("\n"));
    put("nul", DZ_S("a\0b"));
    put("token", DZ_S("two\nlines\n"));
    expect("auth: { token_file: big }",
           "dozo.yaml:1: auth.token_file: \"big\" is larger than 64KiB\n");
    expect("auth: { token_file: empty }", "dozo.yaml:1: auth.token_file: \"empty\" is empty\n");
    expect("auth: { token_file: nul }",
           "dozo.yaml:1: auth.token_file: \"nul\" is not a UTF-8 text\n");
    expect("auth: { token_file: \"\" }", "dozo.yaml:1: auth.token_file: must not be empty; "
                                         "expected the path of a file with the value\n");
    expect("auth: { token_file: [a] }",
           "dozo.yaml:1: auth.token_file: expected the path of a file with the value\n");
    expect("auth: { token_file: token }",
           "dozo.yaml:1: auth.token_file: the value has a line break, tab or other control "
           "character in it; "
           "expected a text on one line without blanks at its ends\n");
    expect(
        "auth:\n  token: a\n  token_file: b\n",
        "dozo.yaml:3: auth.token_file: token is already set on line 2; use only one of the two\n");
    DZ_AUTO(dz_freep) char *got = faults_of(DZ_S("auth: { token_file: missing }"), NULL);
    assert_non_null(strstr(got, "dozo.yaml:1: auth.token_file: "));
    assert_non_null(strstr(got, "missing"));
}

static void serving(void **state)
{
    (void)state;
    static const char *const local[] = {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1",
                                        "localhost:1", "unix:/run/x", "[::ffff:127.0.0.1]:1"};
    static const char *const open[] = {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.org:1",
                                       "[::ffff:10.0.0.1]:1"};
    for (size_t i = 0; i < DZ_LEN(local) + DZ_LEN(open); i++) {
        bool is_local = i < DZ_LEN(local);
        char yaml[128];
        snprintf(yaml, sizeof yaml, "listen: [\"unix:/a\", \"%s\"]\n",
                 is_local ? local[i] : open[i - DZ_LEN(local)]);
        DZ_AUTO(dz_conf_unref) struct dz_conf *c = parse(yaml);
        struct dz_err err = {0};
        assert_int_equal(dz_conf_check_serve(c, &err), is_local ? DZ_OK : DZ_BAD_INPUT);
        assert_true(is_local ||
                    (strstr(err.text, "auth.token") && strstr(err.text, "auth.allow_anonymous")));
    }
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *token = parse("listen: [\"0.0.0.0:1\"]\nauth: { token: x }");
    must(dz_conf_check_serve(token, err));
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *anybody = parse("listen: [\"0.0.0.0:1\"]\nauth: { allow_anonymous: on }");
    must(dz_conf_check_serve(anybody, err));
}

static void differences(void **state)
{
    (void)state;
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *a =
        parse("shelves: [{ name: a, links: { x: y } }]\nsources: { my.site: { a: b }, old: {} }");
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *b = parse("shelves: [{ name: a, links: { x: z } }]\nlog: { level: warn "
                              "}\nhttp: { idle_timeout: 2m }\n"
                              "sources: { my.site: { a: c }, viz.com: { enabled: no }, new: {} }");
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *d = parse("listen: [\"127.0.0.1:1\"]\nhttp: { threads: 7, idle_timeout: 2m }\n"
                              "store: { driver: postgres, uri: \"postgres://h/d\" }");
    DZ_AUTO(dz_conf_unref) struct dz_conf *none = parse("");
    DZ_AUTO(dz_buf_done) struct dz_buf changed, restart;
    dz_buf_init(&changed, DZ_KIB);
    dz_buf_init(&restart, DZ_KIB);
    assert_false(dz_conf_diff(a, b, &changed, &restart));
    assert_string_equal(dz_buf_cstr(&changed), "log.level\nhttp.idle_timeout\nshelves\nsources.viz."
                                               "com\nsources.my.site\nsources.old\nsources.new\n");
    assert_string_equal(dz_buf_cstr(&restart), "");
    dz_buf_clear(&changed);
    assert_true(dz_conf_diff(none, d, &changed, &restart));
    assert_string_equal(dz_buf_cstr(&changed),
                        "listen\nhttp.threads\nhttp.idle_timeout\nstore.driver\nstore.uri\n");
    assert_string_equal(dz_buf_cstr(&restart), "listen\nhttp.threads\nstore.driver\nstore.uri\n");
    assert_false(dz_conf_diff(d, d, NULL, NULL));
}

static void references(void **state)
{
    (void)state;
    struct dz_conf *c = parse("data_dir: /x"), *d = dz_conf_ref(c);
    dz_conf_unref(&c);
    assert_null(c);
    assert_string_equal(d->data_dir, "/x");
    dz_conf_unref(&d);
    dz_conf_unref(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_default_file, enter, leave),
        cmocka_unit_test_setup_teardown(missing_and_large_files, enter, leave),
        cmocka_unit_test_setup_teardown(file_keys, enter, leave),
        cmocka_unit_test_setup_teardown(wrong_file_keys, enter, leave),
        cmocka_unit_test(serving),
        cmocka_unit_test(differences),
        cmocka_unit_test(references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
