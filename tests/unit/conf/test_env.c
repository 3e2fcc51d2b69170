/*
 * test_env: variables over the file, those of the replaced services, and their faults.
 */
#include "parse.h"

#include <stdlib.h>

static void expect(char *const *env, const char *want)
{
    DZ_AUTO(dz_freep) char *got = faults_of(DZ_S(""), env);
    assert_string_equal(got, want);
}

#define ENV(...) ((char *const[]){__VA_ARGS__, NULL})

static void every_type(void **state)
{
    (void)state;
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *c = parse_env(
        "http: { max_header: 1KiB, threads: 2 }\n"
        "shelves: [{ name: of-file }]\n"
        "sources: { my.site: { Deep-Option: a } }\n",
        ENV("DOZO_HTTP_MAX_HEADER=32KiB", "DOZO_LISTEN=127.0.0.1:1, [::1]:2",
            "DOZO_HTTP_TRUSTED_PROXIES=", "DOZO_UPLOADS_SECRET_KEY=s3cret",
            "DOZO_UPLOADS_OPENGRAPH_ENABLED=true", "DOZO_UPLOADS_OPENGRAPH_PROPERTIES={title: hi}",
            "DOZO_SHELVES=[{name: komi, api_hosts: [a.b]}]", "DOZO_CATALOG_DRIVER=sqlite",
            "DOZO_HTTP_IDLE_TIMEOUT= 5m ", "DOZO_SOURCES_VIZ_COM_BASE_URL=http://127.0.0.1:9/",
            "DOZO_SOURCES_LIVE_48_CN_ENABLED=off", "DOZO_SOURCES_LIVE_48_CN_RATE=3/second",
            "DOZO_SOURCES_VIZ_COM_HOSTS=a.b, c.d", "DOZO_SOURCES_VIZ_COM_HEADERS={Referer: x}",
            "DOZO_SOURCES_MY_SITE_DEEP_OPTION=b", "DOZO_SOURCES_MY_SITE_NEW_ONE=c",
            "DOZO_SOURCES_DIR=/a,/b", "DOZO_REQUIRE=postgres", "DOZO_BIN=/x", "DOZONOT=x",
            "NOEQUALS", "DOZO_HTTP_MAX_HEADER=nonsense"));
    assert_int_equal(c->http.max_header_bytes, 32 * DZ_KIB);
    assert_int_equal(c->http.threads, 2);
    assert_int_equal(c->listen.n, 2);
    assert_string_equal(c->listen.v[1], "[::1]:2");
    assert_int_equal(c->http.trusted_proxies.n, 0);
    assert_string_equal(c->uploads.secret_key, "s3cret");
    assert_true(c->uploads.opengraph.enabled);
    assert_int_equal(c->uploads.opengraph.properties.n, 1);
    assert_int_equal(c->shelves_n, 1);
    assert_string_equal(c->shelves[0].name, "komi");
    assert_int_equal(c->http.idle_timeout_ms, 300000);
    assert_string_equal(option_of(c, "viz.com", "base_url"), "http://127.0.0.1:9");
    assert_string_equal(option_of(c, "viz.com", "hosts"), "a.b\nc.d");
    assert_string_equal(option_of(c, "viz.com", "headers"), "Referer: x");
    assert_string_equal(option_of(c, "live.48.cn", "rate"), "3/second");
    assert_false(c->sources.v[3].enabled);
    assert_string_equal(option_of(c, "my.site", "Deep-Option"), "b");
    assert_string_equal(option_of(c, "my.site", "new_one"), "c");
    assert_int_equal(c->sources.dir.n, 2);
}

static void replaced_services(void **state)
{
    (void)state;
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *c =
        parse_env("rate_limit: { graphql: 5/day }\n",
                  ENV("RATELIMIT_STORAGE_URL=redis://localhost:6379/15", "RATELIMIT=2 per minute",
                      "NAGATO_DOWNLOAD_DIR=/d", "NAGATO_DOWNLOAD_FORMAT=$id",
                      "NAGATO_DOWNLOAD_METHOD=zip", "NAGATO_CACHE_SIZE=-3", "NAGATO_API_HOST=::1",
                      "NAGATO_API_PORT=99", "DOZO_RATE_LIMIT_GRAPHQL=7/hour"));
    assert_string_equal(c->rate_limit.storage, "redis://localhost:6379/15");
    assert_string_equal(c->rate_limit.graphql, "7/hour");
    assert_string_equal(c->downloads.destination, "/d");
    assert_string_equal(c->downloads.format, "$id");
    assert_string_equal(c->downloads.method, "zip");
    assert_int_equal(c->sources.http_cache_max_entries, 0);
    assert_int_equal(c->listen.n, 1);
    assert_string_equal(c->listen.v[0], "[::1]:99");

    DZ_AUTO(dz_conf_unref)
    struct dz_conf *host = parse_env("", ENV("NAGATO_API_HOST=0.0.0.0", "RATELIMIT_STORAGE_URL="));
    assert_string_equal(host->listen.v[0], "0.0.0.0:8090");
    assert_string_equal(host->rate_limit.storage, "");
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *port = parse_env("listen: [\"[::1]:5\"]", ENV("NAGATO_API_PORT=0"));
    assert_string_equal(port->listen.v[0], "127.0.0.1:0");
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *dozo = parse_env("", ENV("DOZO_LISTEN=127.0.0.1:7", "NAGATO_API_PORT=9"));
    assert_string_equal(dozo->listen.v[0], "127.0.0.1:7");
}

static void faults(void **state)
{
    (void)state;
    expect(ENV("DOZO_HTTP_MAX_HEDER=1"),
           "DOZO_HTTP_MAX_HEDER: unknown variable; did you mean DOZO_HTTP_MAX_HEADER?\n");
    expect(ENV("DOZO_AUTH_TOKEN_FIEL=1"),
           "DOZO_AUTH_TOKEN_FIEL: unknown variable; did you mean DOZO_AUTH_TOKEN_FILE?\n");
    expect(
        ENV("DOZO_SOURCES_VIZ_COM_RATES=1/second"),
        "DOZO_SOURCES_VIZ_COM_RATES: unknown variable; did you mean DOZO_SOURCES_VIZ_COM_RATE?\n");
    expect(ENV("DOZO_SECRET_KEY=1"),
           "DOZO_SECRET_KEY: unknown variable; did you mean DOZO_UPLOADS_SECRET_KEY?\n");
    expect(
        ENV("DOZO_HTTP_SOMETHING_ELSE=1"),
        "DOZO_HTTP_SOMETHING_ELSE: unknown variable; DOZO_ stands before the names of settings, as "
        "in DOZO_HTTP_MAX_HEADER\n");
    expect(ENV("DOZO_HTTP_THREADS=many"), "DOZO_HTTP_THREADS: http.threads: \"many\" is not a "
                                          "whole number; expected 0 to 256, such as 0\n");
    expect(ENV("DOZO_HTTP_THREADS="), "DOZO_HTTP_THREADS: http.threads: \"\" is not a whole "
                                      "number; expected 0 to 256, such as 0\n");
    expect(ENV("DOZO_LISTEN=a:1,b"),
           "DOZO_LISTEN: listen[1]: \"b\" has no port; expected host:port, [IPv6]:port, unix:/path "
           "or systemd:NAME, such as \"127.0.0.1:8080\"\n");
    expect(ENV("DOZO_SHELVES=[{name: a"),
           "DOZO_SHELVES: shelves: not YAML: did not find expected ',' or '}' while parsing a flow "
           "mapping that began on line 1; is a comma, a bracket or a quote missing?\n");
    expect(ENV("DOZO_SHELVES=[{nam: a}]"),
           "DOZO_SHELVES: shelves[0].nam: unknown key; did you mean \"name\"?\n"
           "DOZO_SHELVES: shelves[0]: has no name; expected \"name: …\" with small letters, "
           "digits, _ and -, a letter or digit first, at most 63\n");
    expect(ENV("DOZO_STORE_DRIVER=postgres"),
           "DOZO_STORE_DRIVER: store.uri: store.driver is postgres, which needs a uri such as "
           "postgres://user@host/db\n");
    expect(ENV("NAGATO_DOWNLOAD_METHOD=file"),
           "NAGATO_DOWNLOAD_METHOD: downloads.method: \"file\" is not one of files, zip, cbz, "
           "cbz+comicinfo; did you mean \"files\"?\n");
    expect(ENV("NAGATO_API_PORT=http"),
           "NAGATO_API_PORT: listen: \"http\" is not a port from 0 to 65535\n");
    expect(ENV("RATELIMIT_STORAGE_URL=memcached://h"),
           "RATELIMIT_STORAGE_URL: rate_limit.storage: the value does not begin with redis:// or "
           "redis+unix://; expected memory://, redis://[user:password@]host[:port][/db] or "
           "redis+unix:///path, such as "
           "\"redis://localhost:6379/15\"\n");
    expect(ENV("DOZO_DATA_DIR=\xFF"), "DOZO_DATA_DIR: is not UTF-8\n");
    expect(ENV("DOZO_HTTP_\xFF=1"),
           "DOZO_HTTP_?: unknown variable; DOZO_ stands before the names of "
           "settings, as in DOZO_HTTP_MAX_HEADER\n");
    expect(ENV("DOZO_AUTH_TOKEN=a", "DOZO_AUTH_TOKEN_FILE=/b"),
           "DOZO_AUTH_TOKEN_FILE: auth.token_file: DOZO_AUTH_TOKEN is set too; use only one of the "
           "two\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type),
        cmocka_unit_test(replaced_services),
        cmocka_unit_test(faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
