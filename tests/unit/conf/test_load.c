/*
 * test_load: values that are right: defaults, the example file, every type of value, dump and load
 * again, docs.
 */
#include "parse.h"

#include <stdlib.h>
#include <unistd.h>

#include "conf/conf_int.h"

static void defaults(void **state)
{
    (void)state;
    DZ_AUTO(dz_conf_unref) struct dz_conf *c = parse("");
    assert_int_equal(c->listen.n, 1);
    assert_string_equal(c->listen.v[0], "127.0.0.1:8080");
    char here[4096];
    assert_non_null(getcwd(here, sizeof here));
    dz_str data = dz_str_of(c->data_dir);
    assert_true(dz_str_starts(data, dz_str_of(here)) && dz_str_ends(data, DZ_S("/data")));
    assert_int_equal(c->log.level, DZ_INFO);
    assert_int_equal(c->log.format, DZ_LOG_AUTO);
    assert_int_equal(c->http.threads, 0);
    assert_int_equal(c->http.max_connections, 20000);
    assert_int_equal(c->http.header_timeout_ms, 10000);
    assert_int_equal(c->http.idle_timeout_ms, 75000);
    assert_int_equal(c->http.max_header_bytes, 16 * DZ_KIB);
    assert_int_equal(c->http.max_body_bytes, 64 * DZ_MIB);
    assert_int_equal(c->http.trusted_proxies.n, 2);
    assert_string_equal(c->http.trusted_proxies.v[1], "::1");
    assert_string_equal(c->http.access_log, "off");
    assert_int_equal(c->catalog.driver, DZ_DRIVER_SQLITE);
    assert_int_equal(c->store.driver, DZ_DRIVER_FILES);
    assert_string_equal(c->store.table, "my_images");
    assert_int_equal(c->cache.driver, DZ_DRIVER_MEMORY);
    assert_int_equal(c->cache.max_bytes, 256 * DZ_MIB);
    assert_true(c->cache.max_entries == DZ_CONF_UNLIMITED);
    assert_int_equal(c->cache.ttl_ms, 86400000);
    assert_string_equal(c->auth.token, "");
    assert_false(c->auth.allow_anonymous);
    assert_string_equal(c->rate_limit.graphql, "1/second");
    assert_int_equal(c->shelves_n, 0);
    assert_true(c->uploads.enabled);
    assert_int_equal(c->uploads.delete_methods.n, 3);
    assert_string_equal(c->uploads.delete_methods.v[0], "DELETE");
    assert_int_equal(c->uploads.opengraph.properties.n, 4);
    assert_string_equal(c->uploads.opengraph.properties.v[3].name, "site_name");
    assert_string_equal(c->uploads.opengraph.properties.v[3].text, "dozo");
    assert_string_equal(c->downloads.format, "${manga} -.- C${chapter} ${title}");
    assert_string_equal(c->downloads.method, "cbz");
    assert_true(c->downloads.separate);
    assert_int_equal(c->downloads.concurrent, 1);
    assert_int_equal(c->downloads.history, 10000);
    assert_false(c->downloads.follow || c->downloads.comicinfo_21 || c->downloads.comicinfo_sizes);
    assert_int_equal(c->crawl.job_lease_ms, 60000);
    assert_int_equal(c->sources.connect_timeout_ms, 3050);
    assert_int_equal(c->sources.http_cache_max_entries, 50);
    assert_int_equal(c->sources.n, 5);
    assert_string_equal(c->sources.v[0].id, "mangadex.org");
    assert_true(c->sources.v[0].enabled);
    assert_string_equal(option_of(c, "live.48.cn", "every"), "5m");
    assert_string_equal(option_of(c, "local", "paths"), "");
    assert_null(option_of(c, "viz.com", "rate"));
}

static void example_is_the_defaults(void **state)
{
    (void)state;
    DZ_AUTO(dz_conf_unref) struct dz_conf *file = NULL;
    must(dz_conf_load(SOURCE_ROOT "/examples/dozo.yaml", NULL, &file, NULL, err));
    assert_string_equal(file->file, SOURCE_ROOT "/examples/dozo.yaml");
    DZ_AUTO(dz_conf_unref) struct dz_conf *none = parse("");
    DZ_AUTO(dz_freep) char *a = dump_of(file), *b = dump_of(none);
    assert_string_equal(a, b);
}

/* Every key of the table stands in the example, so that it stays the reference. */
static void example_has_every_key(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, DZ_MIB);
    must(dz_file_read(SOURCE_ROOT "/examples/dozo.yaml", &text, err));
    for (size_t i = 0; i < conf_rows_n; i++) {
        dz_str key = conf_row_key(&conf_rows[i]);
        if (dz_str_find(dz_buf_str(&text), key) == DZ_NPOS)
            fail_msg("examples/dozo.yaml lacks %s", conf_rows[i].name);
    }
}

static const char full[] =
    "listen: [\"[::]:0\", \"unix:/run/dozo.sock\", \"LocalHost:80\"]\n"
    "data_dir: /srv/dozo/\n"
    "log: { level: DEBUG, format: json }\n"
    "http:\n"
    "  threads: 3\n"
    "  header_timeout: 1500ms\n"
    "  body_timeout: 2.5\n"
    "  idle_timeout: 1h\n"
    "  graceful_timeout: 1ms\n"
    "  max_header: 65536\n"
    "  max_body: 1.5GiB\n"
    "  trusted_proxies: []\n"
    "  allowed_hosts: \"*.Example.org\"\n"
    "  cors_origins: [\"https://app.example.org:8443\", \"*\"]\n"
    "  force_https: Yes\n"
    "  access_log: on\n"
    "catalog: { driver: postgres, uri: \"postgres://u@h/db\" }\n"
    "store: { driver: mongodb, uri: \"mongodb://h1,h2/\", table: a.b, pool_min: 0 }\n"
    "cache: { driver: redis, uri: \"redis://h:6379/2\", max_bytes: inf, max_entries: 7, ttl: 2d }\n"
    "rate_limit: { storage: \"memory://\", graphql: \"10/minute; 1 per 2 Seconds|5 per hour\",\n"
    "  strategy: Moving, timeout: 3s, routes: { /api/: 5/second, \"/series/{}\": 9 per 2 days, /: "
    "1/year } }\n"
    "shelves:\n"
    "  - name: komi\n"
    "    series: viz.com/komi-cant-communicate\n"
    "    api_hosts: [API.komi.zip]\n"
    "    cdn_hosts: [cdn.komi.zip]\n"
    "    image_hosts: i.komi.zip\n"
    "    cdn_url: https://cdn.komi.zip/\n"
    "    links: { viz: \"{source_url}\", komizip: \"https://read.komi.zip/{chapter}\" }\n"
    "    every: 15s\n"
    "  - { name: b }\n"
    "uploads:\n"
    "  endpoint_methods: [get, head]\n"
    "  delete_methods: []\n"
    "  cache_control: \"\"\n"
    "  fallback_ext: JPG\n"
    "  opengraph: { enabled: on, properties: { \"og:x\": \"a \\\"b\\\" \\u2028 \\\\ \\n\\x07é漢\" "
    "} }\n"
    "downloads: { format: \"$$ $manga ${chapter:3|none}-${title|no {title}\", method: "
    "CBZ+comicinfo,\n"
    "  destination: /d, separate: no, page_delay: 1, concurrent: 3, history: 0, follow: yes,\n"
    "  comicinfo_sizes: yes, comicinfo_21: yes }\n"
    "sources:\n"
    "  dir: []\n"
    "  viz.com: { enabled: no, every: 90, wiki_url: \"http://127.0.0.1:1/wiki/\", concurrency: 4,\n"
    "    hosts: [\"*.example.org\", \"127.0.0.1:99\"], headers: { Referer: \"a: b, c\", X-Y: \"\" "
    "} }\n"
    "  my_site.example: { depth: 3, deep: yes, tags: [a, \"b c\"], rate: 2 per second, empty: \"\" "
    "}\n"
    "  live.48.cn:\n";

static void every_type(void **state)
{
    (void)state;
    DZ_AUTO(dz_conf_unref) struct dz_conf *c = parse(full);
    assert_string_equal(c->listen.v[2], "localhost:80");
    assert_string_equal(c->data_dir, "/srv/dozo");
    assert_int_equal(c->log.level, DZ_DEBUG);
    assert_int_equal(c->http.header_timeout_ms, 1500);
    assert_int_equal(c->http.body_timeout_ms, 2500);
    assert_int_equal(c->http.idle_timeout_ms, 3600000);
    assert_int_equal(c->http.graceful_timeout_ms, 1);
    assert_int_equal(c->http.max_header_bytes, 65536);
    assert_int_equal(c->http.max_body_bytes, 3 * DZ_GIB / 2);
    assert_int_equal(c->http.trusted_proxies.n, 0);
    assert_int_equal(c->http.allowed_hosts.n, 1);
    assert_string_equal(c->http.allowed_hosts.v[0], "*.example.org");
    assert_true(c->http.force_https);
    assert_string_equal(c->http.access_log, "on");
    assert_int_equal(c->store.driver, DZ_DRIVER_MONGODB);
    assert_true(c->cache.max_bytes == DZ_CONF_UNLIMITED);
    assert_int_equal(c->cache.max_entries, 7);
    assert_int_equal(c->cache.ttl_ms, 2 * 86400000);
    assert_int_equal(c->shelves_n, 2);
    assert_string_equal(c->shelves[0].api_hosts.v[0], "api.komi.zip");
    assert_string_equal(c->shelves[0].image_hosts.v[0], "i.komi.zip");
    assert_string_equal(c->shelves[0].cdn_url, "https://cdn.komi.zip");
    assert_string_equal(c->shelves[0].links.v[1].name, "komizip");
    assert_int_equal(c->shelves[0].every_ms, 15000);
    assert_string_equal(c->shelves[1].series, "");
    assert_int_equal(c->shelves[1].every_ms, 0);
    assert_string_equal(c->uploads.endpoint_methods.v[1], "HEAD");
    assert_string_equal(c->uploads.cache_control, "");
    assert_string_equal(c->uploads.fallback_ext, "jpg");
    assert_int_equal(c->uploads.opengraph.properties.n, 1);
    assert_string_equal(c->downloads.method, "cbz+comicinfo");
    assert_string_equal(c->downloads.destination, "/d");
    assert_false(c->downloads.separate);
    assert_int_equal(c->downloads.page_delay_ms, 1000);
    assert_int_equal(c->downloads.concurrent, 3);
    assert_int_equal(c->downloads.history, 0);
    assert_true(c->downloads.follow && c->downloads.comicinfo_21 && c->downloads.comicinfo_sizes);
    assert_false(c->sources.v[2].enabled);
    assert_string_equal(option_of(c, "viz.com", "every"), "90s");
    assert_string_equal(option_of(c, "viz.com", "wiki_url"), "http://127.0.0.1:1/wiki");
    assert_string_equal(option_of(c, "viz.com", "hosts"), "*.example.org\n127.0.0.1:99");
    assert_string_equal(option_of(c, "viz.com", "headers"), "Referer: a: b, c\nX-Y: ");
    assert_string_equal(option_of(c, "my_site.example", "depth"), "3");
    assert_string_equal(option_of(c, "my_site.example", "deep"), "yes");
    assert_string_equal(option_of(c, "my_site.example", "tags"), "a\nb c");
    assert_string_equal(option_of(c, "my_site.example", "rate"), "2 per second");
    assert_string_equal(option_of(c, "my_site.example", "empty"), "");
}

static void dump_loads_back(void **state)
{
    (void)state;
    DZ_AUTO(dz_conf_unref) struct dz_conf *a = parse(full);
    DZ_AUTO(dz_freep) char *first = dump_of(a);
    DZ_AUTO(dz_conf_unref) struct dz_conf *b = parse(first);
    DZ_AUTO(dz_freep) char *second = dump_of(b);
    assert_string_equal(first, second);
    DZ_AUTO(dz_buf_done) struct dz_buf changed;
    dz_buf_init(&changed, DZ_KIB);
    assert_false(dz_conf_diff(a, b, &changed, NULL));
    assert_string_equal(dz_buf_cstr(&changed), "");
}

static void json_dump_loads_back(void **state)
{
    (void)state;
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *a =
        parse("http: { threads: 3, max_header: 65536 }\n"
              "shelves: [{ name: a, links: { x: \"http://é/{chapter}\" } }, { name: b }]\n"
              "sources: { viz.com: { enabled: no, concurrency: 4, hosts: [a, b], headers: { A: b } "
              "} }\n");
    DZ_AUTO(dz_buf_done) struct dz_buf json;
    dz_buf_init(&json, DZ_MIB);
    dz_conf_dump_json(a, &json);
    assert_non_null(strstr(dz_buf_cstr(&json), "\"max_header\": \"64KiB\""));
    assert_non_null(strstr(dz_buf_cstr(&json), "\"threads\": 3"));
    assert_non_null(strstr(dz_buf_cstr(&json), "\"concurrency\": 4"));
    assert_non_null(strstr(dz_buf_cstr(&json), "\"enabled\": false"));
    DZ_AUTO(dz_conf_unref) struct dz_conf *b = parse(dz_buf_cstr(&json)); /* JSON is YAML */
    DZ_AUTO(dz_freep) char *one = dump_of(a), *two = dump_of(b);
    assert_string_equal(one, two);
}

static void secrets_are_not_dumped(void **state)
{
    (void)state;
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *c = parse(
        "auth: { token: hush1, admin_password_hash: \"$y$j9T$hush2$hush2\" }\n"
        "uploads: { secret_key: hush3 }\n"
        "store: { driver: postgres, uri: \"postgres://user:hush4@host/db?password=hush5&a=b\" }\n"
        "cache: { driver: redis, uri: \"redis://:hush6@host:6379/1\" }\n"
        "rate_limit: { storage: \"redis://u:hush7@host\" }\n"
        "sources:\n"
        "  viz.com: { proxy: \"http://u:hush8@host:1\", headers: { Cookie: hush9, Referer: seen } "
        "}\n"
        "  my.site: { api_key: hush10, depth: 3 }\n");
    DZ_AUTO(dz_freep) char *yaml = dump_of(c);
    DZ_AUTO(dz_buf_done) struct dz_buf json;
    dz_buf_init(&json, DZ_MIB);
    dz_conf_dump_json(c, &json);
    assert_null(strstr(yaml, "hush"));
    assert_null(strstr(dz_buf_cstr(&json), "hush"));
    assert_non_null(strstr(yaml, "token: \"***\"\n"));
    assert_non_null(strstr(yaml, "uri: \"postgres://user:***@host/db?password=***&a=b\"\n"));
    assert_non_null(strstr(yaml, "uri: \"redis://:***@host:6379/1\"\n"));
    assert_non_null(strstr(yaml, "Referer: \"seen\"\n"));
    assert_string_equal(c->auth.token, "hush1");
}

static void a_password_with_a_slash_is_not_dumped(void **state)
{
    (void)state;
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *c =
        parse("store: { driver: postgres, uri: \"postgres://user:a/?hush@host:5432/db?x=y\" }\n"
              "cache: { driver: redis, uri: \"redis://host:6379/1\" }\n"
              "sources: { viz.com: { proxy: \"http://host:1/a@b\" } }\n");
    DZ_AUTO(dz_freep) char *yaml = dump_of(c);
    assert_null(strstr(yaml, "hush"));
    assert_non_null(strstr(yaml, "uri: \"postgres://user:***@host:5432/db?x=y\"\n"));
    assert_non_null(strstr(yaml, "uri: \"redis://host:6379/1\"\n"));
}

static void docs_tell_every_row(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf docs, row;
    dz_buf_init(&docs, DZ_MIB);
    dz_buf_init(&row, DZ_KIB);
    dz_conf_docs(&docs);
    for (size_t i = 0; i < conf_rows_n; i++) {
        const struct conf_row *r = &conf_rows[i];
        dz_str key = r->where == CONF_TOP ? dz_str_of(r->name) : conf_row_key(r);
        dz_buf_clear(&row);
        dz_buf_putf(&row, "\n| `%.*s` ", DZ_STR_FMT(key));
        if (!strstr(dz_buf_cstr(&docs), dz_buf_cstr(&row)))
            fail_msg("docs lack %s", r->name);
        assert_true(strlen(r->help) > 0);
    }
    assert_non_null(strstr(dz_buf_cstr(&docs), "`DOZO_HTTP_MAX_HEADER`"));
    assert_non_null(strstr(dz_buf_cstr(&docs), "`RATELIMIT_STORAGE_URL`"));
    assert_non_null(strstr(dz_buf_cstr(&docs), "`DOZO_SOURCES_ID_RATE`"));
}

static void empty_files(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",    "\n",   "# nothing\n", "---\n",      "\xEF\xBB\xBF",
        "~\n", "{}\n", "http:\n",     "shelves:\n", "auth: { token: }\n"};
    DZ_AUTO(dz_conf_unref) struct dz_conf *none = parse("");
    DZ_AUTO(dz_freep) char *want = dump_of(none);
    for (size_t i = 0; i < DZ_LEN(texts); i++) {
        DZ_AUTO(dz_conf_unref) struct dz_conf *c = parse(texts[i]);
        DZ_AUTO(dz_freep) char *got = dump_of(c);
        assert_string_equal(got, want);
    }
}

static void numbers_as_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
        const char *back;
    } durations[] = {
        {"500ms", 500, "500ms"},  {"15s", 15000, "15s"},    {"5m", 300000, "5m"},
        {"24h", 86400000, "24h"}, {"3.05s", 3050, "3.05s"}, {"3.05", 3050, "3.05s"},
        {"1d", 86400000, "24h"},  {"0", 0, "0s"},           {"90s", 90000, "90s"},
        {"0.0004s", 0, "0s"},     {"0.0005s", 1, "1ms"},    {"10 s", 10000, "10s"},
        {"1.5h", 5400000, "90m"},
    };
    static const char *const wrong[] = {"",      "s",   "-1s",  "1x",
                                        "1.s",   ".5s", "1e3",  "1m30s",
                                        "1,5",   "inf", "0x10", "9999999999999999999s",
                                        "1 . 5s"};
    for (size_t i = 0; i < DZ_LEN(durations); i++) {
        int64_t ms = -1;
        assert_true(conf_parse_duration(dz_str_of(durations[i].text), &ms));
        assert_int_equal(ms, durations[i].ms);
        DZ_AUTO(dz_buf_done) struct dz_buf b;
        dz_buf_init(&b, 64);
        conf_put_duration(&b, ms);
        assert_string_equal(dz_buf_cstr(&b), durations[i].back);
    }
    int64_t ms;
    uint64_t bytes;
    for (size_t i = 0; i < DZ_LEN(wrong); i++) {
        assert_false(conf_parse_duration(dz_str_of(wrong[i]), &ms));
        assert_false(conf_parse_size(dz_str_of(wrong[i]), &bytes));
    }
    static const char *const sizes[] = {"0", "1", "1023", "1KiB", "1025", "64MiB", "3GiB", "2TiB"};
    for (size_t i = 0; i < DZ_LEN(sizes); i++) {
        assert_true(conf_parse_size(dz_str_of(sizes[i]), &bytes));
        DZ_AUTO(dz_buf_done) struct dz_buf b;
        dz_buf_init(&b, 64);
        conf_put_size(&b, bytes);
        assert_string_equal(dz_buf_cstr(&b), sizes[i]);
    }
    assert_false(conf_parse_size(DZ_S("16KB"), &bytes));
    assert_false(conf_parse_size(DZ_S("18446744073709551615"), &bytes)); /* that is "inf" */
}

static void shelf_names(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "7", "komi", "a-b_c-", "0-0"};
    static const char *const bad[] = {"", "-a", "_a", "Komi", "a b", "a.b", "a/b", "ä"};
    for (size_t i = 0; i < DZ_LEN(good); i++)
        assert_true(dz_conf_is_shelf_name(dz_str_of(good[i])));
    for (size_t i = 0; i < DZ_LEN(bad); i++)
        assert_false(dz_conf_is_shelf_name(dz_str_of(bad[i])));
    char longest[64];
    memset(longest, 'a', sizeof(longest));
    assert_true(dz_conf_is_shelf_name((dz_str){longest, 63}));
    assert_false(dz_conf_is_shelf_name((dz_str){longest, 64}));
    assert_false(dz_conf_is_shelf_name((dz_str){"a\0b", 3}));
}

static void names_of_drivers(void **state)
{
    (void)state;
    assert_string_equal(dz_conf_driver_name(DZ_DRIVER_SQLITE), "sqlite");
    assert_string_equal(dz_conf_driver_name(DZ_DRIVER_POSTGRES), "postgres");
    assert_string_equal(dz_conf_driver_name(DZ_DRIVER_FILES), "files");
    assert_string_equal(dz_conf_driver_name(DZ_DRIVER_MONGODB), "mongodb");
    assert_string_equal(dz_conf_driver_name(DZ_DRIVER_MEMORY), "memory");
    assert_string_equal(dz_conf_driver_name(DZ_DRIVER_REDIS), "redis");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(example_is_the_defaults),
        cmocka_unit_test(example_has_every_key),
        cmocka_unit_test(every_type),
        cmocka_unit_test(dump_loads_back),
        cmocka_unit_test(json_dump_loads_back),
        cmocka_unit_test(secrets_are_not_dumped),
        cmocka_unit_test(a_password_with_a_slash_is_not_dumped),
        cmocka_unit_test(docs_tell_every_row),
        cmocka_unit_test(empty_files),
        cmocka_unit_test(numbers_as_text),
        cmocka_unit_test(shelf_names),
        cmocka_unit_test(names_of_drivers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
