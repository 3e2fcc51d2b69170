/*
 * test_keys: keys of uploads, the page around OpenGraph tags, and files of secrets that others may
 * read.
 */
#include "parse.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void a_list_of_keys(void **state)
{
    (void)state;
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *c =
        parse("uploads:\n"
              "  keys: |\n"
              "    # who runs the builds\n"
              "    ci upload 3f9c41d07be25a86\n"
              "\n"
              "    \tadmin.2\tupload,delete   sha256:"
              "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08  \r\n"
              "    old_one delete 12345678\n");
    assert_int_equal(c->uploads.keys_n, 3);
    const struct dz_conf_key *k = c->uploads.keys_v;
    assert_string_equal(k[0].name, "ci");
    assert_int_equal(k[0].scopes, DZ_UPLOADS_SEND);
    struct dz_sha256 sha = dz_sha256_of(DZ_S("3f9c41d07be25a86"));
    assert_memory_equal(k[0].sha.b, sha.b, sizeof(sha.b));
    assert_string_equal(k[1].name, "admin.2");
    assert_int_equal(k[1].name_n, 7);
    assert_int_equal(k[1].scopes, DZ_UPLOADS_SEND | DZ_UPLOADS_DELETE);
    sha = dz_sha256_of(DZ_S("test"));
    assert_memory_equal(k[1].sha.b, sha.b, sizeof(sha.b));
    assert_int_equal(k[2].scopes, DZ_UPLOADS_DELETE);
    DZ_AUTO(dz_freep) char *dump = dump_of(c);
    assert_non_null(strstr(dump, "keys: \"***\""));
    assert_null(strstr(dump, "3f9c"));
    DZ_AUTO(dz_conf_unref) struct dz_conf *none = parse("uploads: { keys: \"# nobody yet\" }");
    assert_int_equal(none->uploads.keys_n, 0);
}

static void wrong_keys(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"ci upload", "on line 1 not the three words"},
        {"#\nci upload secret-key more", "on line 2 not the three words"},
        {"c/i upload secret-key", "on line 1 a name that is not"},
        {"-ci upload secret-key", "on line 1 a name that is not"},
        {"ci uploads secret-key", "on line 1 what the key may do"},
        {"ci upload, secret-key\nx , secret-key2", "on line 2 what the key may do"},
        {"ci upload secret", "on line 1 a key of 6 bytes"},
        {"ci upload sha256:secret-key", "no 64 hex digits"},
        {"ci upload sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
         "on line 1 the digest of an empty key"},
        {"ci upload secret-key\nci delete secret-key2", "the name ci a second time on line 2"},
        {"a upload secret-key\nb delete secret-key", "on line 2 to b the key that a has"},
        {"a upload test-test\n"
         "b delete sha256:f53b2b3e1dfcd9dc7e9f9e0c0db1bd3e7eb9ae33b1b0b5a0eb9ad0c0aa000000\n"
         "b upload secret-key3",
         "the name b a second time on line 3"},
    };
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        DZ_AUTO(dz_buf_done) struct dz_buf yaml;
        dz_buf_init(&yaml, DZ_MIB);
        dz_buf_put(&yaml, DZ_S("uploads: { keys: "));
        dz_conf_put_quoted(&yaml, dz_str_of(rows[i].text));
        dz_buf_put(&yaml, DZ_S(" }\n"));
        DZ_AUTO(dz_freep) char *got = faults_of(dz_buf_str(&yaml), NULL);
        if (!strstr(got, rows[i].words))
            fail_msg("%s: %s", rows[i].text, got);
        assert_null(strstr(got, "secret-key"));
    }
}

static void too_many_keys(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf yaml;
    dz_buf_init(&yaml, DZ_MIB);
    dz_buf_put(&yaml, DZ_S("uploads:\n  keys: |\n"));
    for (unsigned i = 0; i <= DZ_CONF_KEYS_MAX; i++)
        dz_buf_putf(&yaml, "    k%u upload key-number-%u\n", i, i);
    DZ_AUTO(dz_freep) char *got = faults_of(dz_buf_str(&yaml), NULL);
    assert_non_null(strstr(got, "has more than 1000 keys"));
}

static void the_example_of_everybody(void **state)
{
    (void)state;
    DZ_AUTO(dz_freep)
    char *got = faults_of(DZ_S("uploads: { secret_key: SET_A_CUSTOM_KEY }"), NULL);
    assert_non_null(strstr(got, "uploads.secret_key: is the example of imoog"));
}

static void a_page_for_opengraph(void **state)
{
    (void)state;
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *c =
        parse("uploads: { opengraph: { base_html: \"<head>{opengraph}</head>\" } }");
    assert_string_equal(c->uploads.opengraph.base_html, "<head>{opengraph}</head>");
    DZ_AUTO(dz_freep)
    char *none = faults_of(DZ_S("uploads: { opengraph: { base_html: \"<head></head>\" } }"), NULL);
    assert_non_null(strstr(none, "has {opengraph} 0 times"));
    DZ_AUTO(dz_freep)
    char *two =
        faults_of(DZ_S("uploads: { opengraph: { base_html: \"{opengraph}{opengraph}\" } }"), NULL);
    assert_non_null(strstr(two, "has {opengraph} 2 times"));
}

static void files_that_others_read(void **state)
{
    (void)state;
    char dir[] = "/tmp/dozo-keys-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char path[64], yaml[256];
    snprintf(path, sizeof(path), "%s/keys", dir);
    snprintf(yaml, sizeof(yaml), "uploads: { keys_file: \"%s\" }\n", path);
    must(dz_file_write_atomic(path, DZ_S("ci upload 3f9c41d07be25a86\n"), 0600, err));
    DZ_AUTO(dz_conf_unref) struct dz_conf *c = parse(yaml);
    assert_int_equal(c->uploads.keys_n, 1);
    assert_int_equal(c->exposed.n, 0);
    assert_int_equal(chmod(path, 0644), 0);
    DZ_AUTO(dz_conf_unref) struct dz_conf *open = parse(yaml);
    assert_int_equal(open->exposed.n, 1);
    assert_true(dz_str_starts(dz_str_of(open->exposed.v[0]), DZ_S("uploads.keys_file: /tmp/")));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_of_keys),       cmocka_unit_test(wrong_keys),
        cmocka_unit_test(too_many_keys),        cmocka_unit_test(the_example_of_everybody),
        cmocka_unit_test(a_page_for_opengraph), cmocka_unit_test(files_that_others_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
