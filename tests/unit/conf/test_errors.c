/*
 * test_errors: settings that are wrong, and the exact words that tell it.
 */
#include "parse.h"

#include <stdlib.h>

static void expect(const char *yaml, const char *want)
{
    DZ_AUTO(dz_freep) char *got = faults_of(dz_str_of(yaml), NULL);
    DZ_AUTO(dz_buf_done) struct dz_buf line;
    dz_buf_init(&line, 64 * DZ_KIB);
    dz_buf_putf(&line, "dozo.yaml%s\n", want);
    assert_string_equal(got, dz_buf_cstr(&line));
}

static void unknown_keys(void **state)
{
    (void)state;
    expect("http:\n  threads: 1\n  max_heder: 5\n",
           ":3: http.max_heder: unknown key; did you mean \"max_header\"?");
    expect("lisen: x", ":1: lisen: unknown key; did you mean \"listen\"?");
    expect("http.max_header: 5",
           ":1: http.max_header: unknown key; write it as a section: http: { max_header: … }");
    expect("max_header: 5", ":1: max_header: unknown key here; did you mean \"http.max_header\"?");
    expect("log: { colour: red }", ":1: log.colour: unknown key; log takes level, format");
    expect("uploads:\n  opengraph:\n    enable: on\n",
           ":3: uploads.opengraph.enable: unknown key; did you mean \"enabled\"?");
    expect("shelves:\n  - name: a\n    evry: 15s\n",
           ":3: shelves[0].evry: unknown key; did you mean \"every\"?");
    expect("sources: { viz.com: { baseurl: x } }",
           ":1: sources.viz.com.baseurl: unknown key; did you mean \"base_url\"?");
    expect("sources: { mangadx.org: { enabled: no } }",
           ":1: sources.mangadx.org: unknown source; did you mean \"mangadex.org\"?");
    expect("sources: { http_cach: { ttl: 1h } }",
           ":1: sources.http_cach: unknown key; did you mean \"http_cache\"?");
    expect("sources: { conect_timeout: 3 }",
           ":1: sources.conect_timeout: unknown key; did you mean \"connect_timeout\"?");
    expect("sources: { \"a b\": {} }", ":1: sources.a b: not the id of a source; expected at most "
                                       "63 letters, digits, _, - and dots");
    expect("http: { threads_file: x }",
           ":1: http.threads_file: unknown key; http takes threads, max_connections, "
           "header_timeout, body_timeout, idle_timeout, graceful_timeout, max_header, max_body, "
           "trusted_proxies, forwarded, "
           "allowed_hosts, cors_origins, force_https, access_log");
}

static void wrong_kinds(void **state)
{
    (void)state;
    expect("just words", ":1: expected settings such as \"data_dir: ./data\", found a single text "
                         "(is a colon missing?)");
    expect("- a\n", ":1: expected settings such as \"data_dir: ./data\", found a list");
    expect("http: 5", ":1: http: expected a section such as { threads: … }, found a single value");
    expect("http: [a]", ":1: http: expected a section such as { threads: … }, found a list");
    expect("http:\n  max_body:16KiB\n",
           ":1: http: expected a section such as { threads: … }, found a single value (is a blank "
           "missing behind a colon?)");
    expect("sources: { viz.com: off }",
           ":1: sources.viz.com: expected a section such as { enabled: … }, found a single value");
    expect("http: { threads: [1] }", ":1: http.threads: expected a whole number, found a list");
    expect("http: { threads: }",
           ":1: http.threads: has no value; remove the line for the default (0)");
    expect("log: { level: { a: b } }",
           ":1: log.level: expected one of debug, info, warn, error, found a section");
    expect("listen: { a: b }", ":1: listen: expected a list, each item host:port, [IPv6]:port, "
                               "unix:/path or systemd:NAME, found a section");
    expect("listen: []", ":1: listen: must not be empty; expected a list, each item host:port, "
                         "[IPv6]:port, unix:/path or systemd:NAME");
    expect("sources:\n  dir:\n    - a\n    - [b]\n",
           ":4: sources.dir[1]: expected a path, found a list");
    expect("shelves: { komi: {} }", ":1: shelves: expected a list of shelves, each beginning with "
                                    "\"- name: …\", found a section");
    expect("shelves: [komi]", ":1: shelves[0]: expected a shelf such as { name: komi, series: … }");
    expect("uploads: { opengraph: { properties: [a] } }",
           ":1: uploads.opengraph.properties: expected names with values, found a list");
    expect("sources: { my.site: { a: { b: c } } }",
           ":1: sources.my.site.a: expected a text, a number, true or false, or a list of texts of "
           "one line");
}

static void wrong_values(void **state)
{
    (void)state;
    expect("http: { max_header: 16KB }",
           ":1: http.max_header: \"16KB\" is not a size; expected 256 to 16MiB in bytes or with "
           "KiB, MiB or GiB, such as 16KiB");
    expect("http: { max_header: 1 }", ":1: http.max_header: \"1\" is too small; expected 256 to "
                                      "16MiB in bytes or with KiB, MiB or GiB, such as 16KiB");
    expect("http: { max_header: 1GiB }",
           ":1: http.max_header: \"1GiB\" is too large; expected 256 to 16MiB in bytes or with "
           "KiB, MiB or GiB, such as 16KiB");
    expect("http: { max_body: inf }", ":1: http.max_body: \"inf\" is not a size; expected 1 to "
                                      "1024TiB in bytes or with KiB, MiB or GiB, such as 64MiB");
    expect("http: { idle_timeout: 5 minutes }",
           ":1: http.idle_timeout: \"5 minutes\" is not a duration; expected 1ms to 24h with the "
           "unit ms, s, m, h or d, such as 75s");
    expect("http: { threads: -1 }",
           ":1: http.threads: \"-1\" is not a whole number; expected 0 to 256, such as 0");
    expect("http: { force_https: maybe }",
           ":1: http.force_https: \"maybe\" is neither true nor false");
    expect("uploads: { not_found_status: 4040 }",
           ":1: uploads.not_found_status: \"4040\" is too large; expected 200 to 599, such as 404");
    expect("cache: { max_entries: many }", ":1: cache.max_entries: \"many\" is not a whole number; "
                                           "expected 0 to 1000000000000 or inf, such as inf");
    expect(
        "catalog: { driver: sqllite }",
        ":1: catalog.driver: \"sqllite\" is not one of sqlite, postgres; did you mean \"sqlite\"?");
    expect("downloads: { method: cbr }", ":1: downloads.method: \"cbr\" is not one of files, zip, "
                                         "cbz, cbz+comicinfo; did you mean \"cbz\"?");
    expect("http: { allowed_hosts: [\"a:80\"] }",
           ":1: http.allowed_hosts[0]: \"a:80\" has a port, which is not compared; expected a host "
           "name without port, *.suffix or *, such as \"*.example.org\"");
    expect("http: { trusted_proxies: [10.0.0.0/33] }",
           ":1: http.trusted_proxies[0]: \"10.0.0.0/33\" has no prefix length between 0 and 32 "
           "behind the slash; expected an IP address or a network, such as \"10.0.0.0/8\"");
    expect("http: { cors_origins: [\"https://a/b\"] }",
           ":1: http.cors_origins[0]: \"https://a/b\" has more than scheme, host and port; "
           "expected * or http(s)://host[:port], such as \"https://app.example.org\"");
    expect(
        "uploads: { endpoint: image }",
        ":1: uploads.endpoint: \"image\" does not begin and end with a slash; expected a path that "
        "begins and ends with a slash, of letters, digits and . _ - ~, such as \"/image/\"");
    expect("uploads: { endpoint_methods: [FETCH] }",
           ":1: uploads.endpoint_methods[0]: \"FETCH\" is not one of the methods; expected GET, "
           "HEAD, POST, PUT, PATCH or DELETE, such as \"GET\"");
    expect("data_dir: \"\"", ":1: data_dir: must not be empty; expected a path");
    expect(
        "store: { table: \"a;b\" }",
        ":1: store.table: \"a;b\" is not the name of a table; expected a table's name of letters, "
        "digits and _, with or without a schema in front, such as \"public.my_images\"");
}

static void listeners(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"8080", "is a port alone"},
        {"*:80", "names no address (for all of them write 0.0.0.0 or [::])"},
        {":80", "names no address (for all of them write 0.0.0.0 or [::])"},
        {"0.0.0.0", "has no port"},
        {"::1", "is an IPv6 address without brackets and port"},
        {"[::1]", "has no port"},
        {"[::1:80", "has no IPv6 address between its brackets"},
        {"http://a:1", "is a URL"},
        {"unix:foo", "has no full path behind \\\"unix:\\\""},
        {"a:65536", "has no port between 0 and 65535"},
        {"a:", "has no port between 0 and 65535"},
        {"256.1.1.1:80", "is neither a host name nor an IPv4 address"},
        {"a..b:1", "has a dot too many in the host name"},
        {"-a:1", "has a part that begins or ends with \\\"-\\\" in the host name"},
        {"https://a", "has no port"},
        {"https://a:1/", "has a slash at its end"},
        {"https://unix:x", "has no full path behind \\\"unix:\\\""},
        {"systemd:a b", "has no name of a socket behind \\\"systemd:\\\""},
        {"systemd:a:b", "has no name of a socket behind \\\"systemd:\\\""},
        {"a/b:1", "has a \\\"/\\\", which no host name has"},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        DZ_AUTO(dz_buf_done) struct dz_buf yaml, why, want;
        dz_buf_init(&yaml, DZ_KIB);
        dz_buf_init(&why, DZ_KIB);
        dz_buf_init(&want, DZ_KIB);
        dz_buf_putf(&yaml, "listen: [\"%s\"]", cases[i].text);
        for (const char *p = cases[i].why; *p; p++)
            if (*p != '\\')
                dz_buf_putc(&why, *p);
        dz_buf_putf(&want,
                    ":1: listen[0]: \"%s\" %s; expected host:port, [IPv6]:port, unix:/path or "
                    "systemd:NAME, such "
                    "as \"127.0.0.1:8080\"",
                    cases[i].text, dz_buf_cstr(&why));
        expect(dz_buf_cstr(&yaml), dz_buf_cstr(&want));
    }
    expect("listen: [\"a:80\", \"A:80\"]", ":1: listen[1]: \"A:80\" is listed twice");
}

static void grammars(void **state)
{
    (void)state;
#define LIMITS                                                                                     \
    "; expected COUNT/UNIT or COUNT per N UNIT (second, minute, hour, day, month, year), several " \
    "joined by , ; or |, such as \"1/second; 100 per 2 hours\""
    expect("rate_limit: { graphql: 5 per sec }",
           ":1: rate_limit.graphql: \"5 per sec\" at character 7 has none of the units second, "
           "minute, "
           "hour, day, month and year" LIMITS);
    expect("rate_limit: { graphql: fast }", ":1: rate_limit.graphql: \"fast\" at character 1 has "
                                            "no count from 1 to 1000000000" LIMITS);
    expect("rate_limit: { graphql: \"1/second;\" }",
           ":1: rate_limit.graphql: \"1/second;\" at character 10 has no count from 1 to "
           "1000000000" LIMITS);
    expect("rate_limit: { graphql: 5 second }",
           ":1: rate_limit.graphql: \"5 second\" at character 3 has neither "
           "\"/\" nor \"per\" behind the count" LIMITS);
    expect("rate_limit: { graphql: 5/0 second }",
           ":1: rate_limit.graphql: \"5/0 second\" at character 3 has a multiple that is not from "
           "1 to "
           "1000000000" LIMITS);
    expect("sources: { viz.com: { rate: \"1/second;2/day\" } }",
           ":1: sources.viz.com.rate: \"1/second;2/day\" has 2 limits, where one can be; "
           "expected COUNT/UNIT or COUNT per N UNIT (second, minute, hour, day, month, year), such "
           "as \"2/second\"");
#define FORMAT                                                                                     \
    "; expected a template of id, title, manga_id, manga, volume, chapter, lang and team, such "   \
    "as \"${manga} ${chapter:3} ${title|untitled}\""
    expect("downloads: { format: \"${mangga}\" }",
           ":1: downloads.format: \"${mangga}\" at character 3 has the unknown placeholder "
           "${mangga} (did you "
           "mean ${manga}?)" FORMAT);
    expect("downloads: { format: \"$whatever\" }",
           ":1: downloads.format: \"$whatever\" at character 2 has the unknown placeholder "
           "${whatever}" FORMAT);
    expect("downloads: { format: \"5 $\" }",
           ":1: downloads.format: \"5 $\" at character 3 has a \"$\" without a "
           "name (a dollar sign itself is \"$$\")" FORMAT);
    expect(
        "downloads: { format: \"${title\" }",
        ":1: downloads.format: \"${title\" at character 1 has a \"${\" without its \"}\"" FORMAT);
    expect("downloads: { format: \"${}\" }",
           ":1: downloads.format: \"${}\" at character 3 has no name behind \"${\"" FORMAT);
    expect("downloads: { format: \"${title:3}\" }",
           ":1: downloads.format: \"${title:3}\" at character 3 pads ${title}, which is no "
           "number" FORMAT);
    expect("downloads: { format: \"${chapter:0}\" }",
           ":1: downloads.format: \"${chapter:0}\" at character 3 has no width from 1 to 9 behind "
           "the \":\" of "
           "${chapter:…}" FORMAT);
    expect("downloads: { format: \"${chapter-x}\" }",
           ":1: downloads.format: \"${chapter-x}\" at character 3 has \"-x\" behind the name in "
           "${chapter…}" FORMAT);
#define LINK                                                                                       \
    "; expected a URL in which {source_url} and {chapter} may stand, such as "                     \
    "\"https://read.example.org/{chapter}\""
    expect("shelves: [{ name: a, links: { x: \"{page}\" } }]",
           ":1: shelves[0].links.x: \"{page}\" has the unknown placeholder {page}" LINK);
    expect("shelves: [{ name: a, links: { x: \"a}\" } }]",
           ":1: shelves[0].links.x: \"a}\" has a \"}\" without its partner" LINK);
}

static void shelves(void **state)
{
    (void)state;
    expect("shelves: [{ name: a, series: nosource }]",
           ":1: shelves[0].series: \"nosource\" is neither source/id nor a number; expected "
           "source/id or the id of a series, such as \"viz.com/komi-cant-communicate\"");
    expect("shelves: [{ series: a/b }]",
           ":1: shelves[0]: has no name; expected \"name: …\" with small letters, digits, _ and -, "
           "a letter or digit first, at most 63");
    expect("shelves: [{ name: Komi }]",
           ":1: shelves[0].name: \"Komi\" is not the name of a shelf; expected small letters, "
           "digits, _ and -, a letter or digit first, at most 63, such as \"komi\"");
    expect("shelves:\n  - name: a\n  - name: a\n",
           ":3: shelves[1].name: another shelf is named \"a\" already");
    expect("shelves:\n  - { name: a, api_hosts: [X.org] }\n  - name: b\n    cdn_hosts: [x.org]\n",
           ":4: shelves[1].cdn_hosts: the host \"x.org\" belongs to shelves[0] already");
    expect("shelves: [{ name: a, cdn_url: \"ftp://x\" }]",
           ":1: shelves[0].cdn_url: \"ftp://x\" has the scheme \"ftp\"; expected an http:// or "
           "https:// URL, such as \"https://cdn.example.org\"");
    expect("shelves: [{ name: a, cdn_url: \"https://x/?a\" }]",
           ":1: shelves[0].cdn_url: \"https://x/?a\" has a \"?\" or \"#\", behind which no path "
           "can be put; expected an http:// or https:// URL, such as \"https://cdn.example.org\"");
    expect("shelves: [{ name: a, api_hosts: [\"a.b:80\"] }]",
           ":1: shelves[0].api_hosts[0]: \"a.b:80\" has a port; expected a host name without "
           "scheme and port, such as \"api.example.org\"");
    expect("shelves: [{ name: a, api_hosts: [\"https://a.b\"] }]",
           ":1: shelves[0].api_hosts[0]: \"https://a.b\" is a URL; expected a host name without "
           "scheme and port, such as \"api.example.org\"");
    expect("shelves: [{ name: a, api_hosts: [bücher.example] }]",
           ":1: shelves[0].api_hosts[0]: \"bücher.example\" has letters beyond ASCII in the host "
           "name (write its xn-- form); expected a host name without scheme and port, such as "
           "\"api.example.org\"");
    /* A host may have two uses on one shelf. */
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *c = parse("shelves: [{ name: a, api_hosts: [x], cdn_hosts: [x] }]");
    assert_int_equal(c->shelves_n, 1);
}

static void rules_that_span_keys(void **state)
{
    (void)state;
    expect("store:\n  driver: postgres\n", ":2: store.uri: store.driver is postgres, which needs a "
                                           "uri such as postgres://user@host/db");
    expect("store:\n  uri: \"postgres://h/d\"\n",
           ":2: store.uri: store.driver is files, which keeps data_dir/blobs; remove the uri or "
           "name its driver");
    expect("catalog: { driver: postgres, uri: \"mysql://h\" }",
           ":1: catalog.uri: catalog.driver is postgres; expected a uri such as "
           "postgres://user@host/db");
    expect("cache: { driver: redis, uri: \"redis://h:x\" }",
           ":1: cache.uri: the value has no port between 1 and 65535; expected "
           "redis://[user:password@]host[:port][/db]");
    expect("store: { pool_min: 20 }",
           ":1: store.pool_min: 20 is above store.pool_max, which is 10");
    expect("data_dir: x\nlisten: [\"https://127.0.0.1:1\"]",
           ":2: listen: https://127.0.0.1:1 needs a certificate and its key; set "
           "tls.certificates and tls.keys");
    expect("tls:\n  certificates: [a, b]\n  keys: [c]\n",
           ":3: tls.keys: 1 keys for 2 certificates; expected one for each, in the same order");
    expect("tls:\n  certificates: [a]\n",
           ":2: tls.keys: 0 keys for 1 certificates; expected one for each, in the same order");
    expect("tls: { min_version: 1.1 }",
           ":1: tls.min_version: \"1.1\" is not one of 1.2, 1.3; did you mean \"1.2\"?");
}

static void secrets_stay_out_of_messages(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "auth: { token: \"hush\\nhush\" }",
        "auth: { admin_password_hash: hush }",
        "uploads: { secret_key: \" hush\" }",
        "store: { driver: postgres, uri: \"hush:hush@hush\" }",
        "cache: { driver: redis, uri: \"redis://a:hush@b:x\" }",
        "rate_limit: { storage: \"http://a:hush@b\" }",
        ("sources: { viz.com: { headers: { Authorization: \"hush\\n\" }, "
         "proxy: \"gopher://hush\" } }"),
    };
    for (size_t i = 0; i < DZ_LEN(texts); i++) {
        DZ_AUTO(dz_freep) char *got = faults_of(dz_str_of(texts[i]), NULL);
        assert_null(strstr(got, "hush"));
    }
}

static void not_yaml(void **state)
{
    (void)state;
    expect("http:\n\tthreads: 1\n", ":2: a tab in the indentation; YAML takes only spaces there");
    expect("a: b: c\n", ":1: a \": \" where none can be; a text that has one needs quotes, and "
                        "keys of one section the same indentation");
    expect("listen: [a, b\ndata_dir: x\n",
           ":2: not YAML: did not find expected ',' or ']' while parsing a flow sequence that "
           "began on line 1; is a comma, a bracket or a quote missing?");
    expect("data_dir: \"x\nlisten: y\n",
           ":3: not YAML: found unexpected end of stream while scanning a quoted scalar that began "
           "on line 1; is a closing quote missing?");
    expect("http:\n    threads: 1\n  max_body: 1\n",
           ":3: not YAML: did not find expected key while parsing a block mapping that began on "
           "line 1; does the indentation fit the lines above? (a text that begins with a bracket "
           "or a quote must be in quotes as a whole)");
    expect("a: @x\n", ":1: a text that begins with @, % or a backtick; put it in quotes");
    expect("a: &x 1\nb: *x\n", ":2: an alias (\"*x\"), which settings do not take; a text that "
                               "begins with \"*\" needs quotes");
    expect("http: { allowed_hosts: [*.example.org] }",
           ":1: not YAML: did not find expected alphabetic or numeric character while scanning an "
           "alias");
    expect("a: !!str x\n", ":1: a tag (\"!tag:yaml.org,2002:str\"), which settings do not take; a "
                           "text that begins with \"!\" needs quotes");
    expect("a: 1\n---\nb: 1\n", ":2: a second document (\"---\"); settings are one document");
    expect("log: { level: info }\nhttp: {}\nlog: {}\n",
           ":3: the key \"log\" appears twice; the first is on line 1");
    expect("? [a]\n: b\n", ":1: a list or a section where a key should stand; text with brackets "
                           "or braces needs quotes");
    expect("a: \"x\\0y\"\n", ":1: a text with a NUL character in it");
    expect("a: b\nc: d\x01\n", ":2: a control character (0x01), which YAML does not allow");
    expect("a: b\nc: \xFF\n", ":2: a byte that is not UTF-8; save the file as UTF-8");
    DZ_AUTO(dz_freep) char *got = faults_of(DZ_S("a: b\nc\0: d\n"), NULL);
    assert_string_equal(
        got,
        "dozo.yaml:2: a NUL byte; settings are plain UTF-8 text (was the file saved as UTF-16?)\n");
}

static void expect_repeated(const char *head, const char *piece, size_t times, const char *tail,
                            const char *want)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 8 * DZ_MIB);
    dz_buf_put(&b, dz_str_of(head));
    for (size_t i = 0; i < times; i++)
        dz_buf_put(&b, dz_str_of(piece));
    dz_buf_put(&b, dz_str_of(tail));
    assert_false(b.full);
    expect(dz_buf_cstr(&b), want);
}

static void limits(void **state)
{
    (void)state;
    expect_repeated("a: ", "[", 17, "", ":1: nested more than 16 deep");
    expect_repeated("a: ", "[", 100000, "", ":1: nested more than 16 deep");
    expect_repeated("a: [", "x, ", 10001, "x]", ":1: more than 10000 entries in one list");
    expect_repeated("a: [", "[x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x],", 6000, "x]",
                    ":1: more than 100000 values");
    expect_repeated("", "# 0123456789 0123456789\n", 50000, "",
                    ": larger than 1MiB, which settings may not be");
    expect_repeated("a: ", "0123456789", 6554, "", ":1: a text longer than 64KiB");
    expect_repeated("shelves:\n", "- {}\n", 1001, "", ":1: shelves: more than 1000 shelves");
}

static void all_faults_are_told(void **state)
{
    (void)state;
    expect("http:\n  threads: x\n  max_heder: 1\nlisten: y\n",
           ":2: http.threads: \"x\" is not a whole number; expected 0 to 256, such as 0\n"
           "dozo.yaml:3: http.max_heder: unknown key; did you mean \"max_header\"?\n"
           "dozo.yaml:4: listen: \"y\" has no port; expected host:port, [IPv6]:port, unix:/path or "
           "systemd:NAME, "
           "such as \"127.0.0.1:8080\"");
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_MIB);
    for (size_t i = 0; i < 900; i++)
        dz_buf_putf(&b, "unknown%zu: 1\n", i);
    DZ_AUTO(dz_freep) char *got = faults_of(dz_buf_str(&b), NULL);
    size_t lines = 0;
    for (const char *p = got; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 101);
    assert_non_null(strstr(got, "dozo.yaml: more than 100 faults; the rest is not told\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_keys),
        cmocka_unit_test(wrong_kinds),
        cmocka_unit_test(wrong_values),
        cmocka_unit_test(listeners),
        cmocka_unit_test(grammars),
        cmocka_unit_test(shelves),
        cmocka_unit_test(rules_that_span_keys),
        cmocka_unit_test(secrets_stay_out_of_messages),
        cmocka_unit_test(not_yaml),
        cmocka_unit_test(limits),
        cmocka_unit_test(all_faults_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
