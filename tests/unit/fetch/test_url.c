/* url: the examples of RFC 3986 5.4, what pages hold beside them, and what makes two addresses
 * equal. */
#include "test.h"

#include "fetch/fetch.h"

static void parses(void **state)
{
    (void)state;
    struct dz_url u;
    struct dz_err err;
    assert_int_equal(dz_url_parse(DZ_S("https://me:pw@Example.org:8443/a/b?c=d?#e#f"), &u, &err),
                     DZ_OK);
    assert_true(dz_str_eq(u.scheme, DZ_S("https")));
    assert_true(dz_str_eq(u.userinfo, DZ_S("me:pw")));
    assert_true(dz_str_eq(u.host, DZ_S("Example.org")));
    assert_true(dz_str_eq(u.port, DZ_S("8443")));
    assert_true(dz_str_eq(u.path, DZ_S("/a/b")));
    assert_true(dz_str_eq(u.query, DZ_S("c=d?")));
    assert_true(dz_str_eq(u.fragment, DZ_S("e#f")));
    assert_int_equal(dz_url_parse(DZ_S("http://[::1]:80"), &u, &err), DZ_OK);
    assert_true(dz_str_eq(u.host, DZ_S("[::1]")));
    assert_true(dz_str_eq(u.port, DZ_S("80")));
    assert_int_equal(u.path.n, 0);
    assert_null(u.query.p);
    static const struct {
        const char *url, *words;
    } bad[] = {
        {"", "http://"},
        {"example.org", "http://"},
        {"/path", "http://"},
        {"ftp://example.org/", "scheme"},
        {"file:///etc/passwd", "scheme"},
        {"http://", "no host"},
        {"http:///x", "no host"},
        {"http:x", "no host"},
        {"http://a:b/", "port"},
        {"http://a:65536/", "port"},
        {"http://a b/", "character"},
        {"http://a/b c", "blank"},
        {"http://a/\r\nX: y", "blank"},
        {"http://a<b/", "host"},
    };
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        if (dz_url_parse(dz_str_of(bad[i].url), &u, &err) != DZ_BAD_INPUT ||
            !strstr(err.text, bad[i].words))
            fail_msg("%s: %s", bad[i].url, err.text);
    }
}

static void joins(void **state)
{
    (void)state;
    static const struct {
        const char *reference, *whole;
    } rows[] = {
        /* 5.4.1, with http for g:h's sake left as it is */
        {"g:h", "g:h"},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g/"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q#s"},
        {"g#s", "http://a/b/c/g#s"},
        {"g?y#s", "http://a/b/c/g?y#s"},
        {";x", "http://a/b/c/;x"},
        {"g;x", "http://a/b/c/g;x"},
        {"g;x?y#s", "http://a/b/c/g;x?y#s"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../", "http://a/"},
        {"../../g", "http://a/g"},
        /* 5.4.2 */
        {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"g..", "http://a/b/c/g.."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"},
        {"g#s/../x", "http://a/b/c/g#s/../x"},
        /* of real pages */
        {"  g\n", "http://a/b/c/g"},
        {"two words.jpg", "http://a/b/c/two%20words.jpg"},
        {"\xC3\xA9?\xC3\xA9", "http://a/b/c/%C3%A9?%C3%A9"},
        {"%C3%A9", "http://a/b/c/%C3%A9"},
        {"https://h:8/x/../y", "https://h:8/y"},
        {"//h", "http://h/"},
    };
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        dz_str s;
        struct dz_err err;
        if (dz_url_join(DZ_S("http://a/b/c/d;p?q"), dz_str_of(rows[i].reference), a, &s, &err) !=
            DZ_OK)
            fail_msg("%s: %s", rows[i].reference, err.text);
        if (!dz_str_eq(s, dz_str_of(rows[i].whole)))
            fail_msg("%s: %.*s", rows[i].reference, DZ_STR_FMT(s));
    }
    dz_str s;
    assert_int_equal(dz_url_join(DZ_S("http://a"), DZ_S("x"), a, &s, NULL), DZ_OK);
    assert_true(dz_str_eq(s, DZ_S("http://a/x")));
    DZ_AUTO(dz_freep) char *long_text = dz_alloc(DZ_FETCH_URL_MAX + 1);
    memset(long_text, ' ' + 1, DZ_FETCH_URL_MAX + 1);
    assert_int_equal(
        dz_url_join(DZ_S("http://a"), (dz_str){long_text, DZ_FETCH_URL_MAX + 1}, a, &s, NULL),
        DZ_TOO_LARGE);
    assert_int_equal(
        dz_url_join(DZ_S("http://a"), (dz_str){long_text, DZ_FETCH_URL_MAX - 1}, a, &s, NULL),
        DZ_TOO_LARGE);
    assert_int_equal(dz_url_join(DZ_S("a"), DZ_S("x"), a, &s, NULL), DZ_BAD_INPUT);
}

static void compares(void **state)
{
    (void)state;
    static const struct {
        const char *url, *normal;
    } rows[] = {
        {"HTTP://Example.ORG", "http://example.org/"},
        {"http://example.org:80/", "http://example.org/"},
        {"https://example.org:443/", "https://example.org/"},
        {"https://example.org:80/", "https://example.org:80/"},
        {"http://example.org:/", "http://example.org/"},
        {"http://me@example.org/#top", "http://example.org/"},
        {"http://a/%7ez/%2f/%c3%a9", "http://a/~z/%2F/%C3%A9"},
        {"http://a/b/../c/./d", "http://a/c/d"},
        {"http://a/%2e%2e/b", "http://a/b"},
        {"http://a/?x=%41&y=%26", "http://a/?x=A&y=%26"},
        {"http://a/?", "http://a/?"},
        {"http://a/%zz%4", "http://a/%zz%4"},
    };
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        dz_str s, again;
        assert_int_equal(dz_url_normal(dz_str_of(rows[i].url), a, &s, NULL), DZ_OK);
        if (!dz_str_eq(s, dz_str_of(rows[i].normal)))
            fail_msg("%s: %.*s", rows[i].url, DZ_STR_FMT(s));
        assert_int_equal(dz_url_normal(s, a, &again, NULL), DZ_OK);
        assert_true(dz_str_eq(s, again));
    }
}

static void matches_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *host, *pattern;
        bool match;
    } rows[] = {
        {"example.org", "example.org", true},
        {"EXAMPLE.org", "example.ORG", true},
        {"example.org.", "example.org", true},
        {"www.example.org", "example.org", false},
        {"www.example.org", "*.example.org", true},
        {"a.b.example.org", "*.example.org", true},
        {"example.org", "*.example.org", false},
        {"evilexample.org", "*.example.org", false},
        {".example.org", "*.example.org", false},
        {"example.org.evil", "*.example.org", false},
        {"", "", true},
    };
    for (size_t i = 0; i < DZ_LEN(rows); i++)
        if (dz_url_host_matches(dz_str_of(rows[i].host), dz_str_of(rows[i].pattern)) !=
            rows[i].match)
            fail_msg("%s against %s", rows[i].host, rows[i].pattern);
}

static void shows_no_secrets(void **state)
{
    (void)state;
    static const struct {
        const char *url, *shown;
    } rows[] = {
        {"https://example.org/a/b?id=7&page=2", "https://example.org/a/b?id=7&page=2"},
        {"https://me:pw@example.org:8/a#frag", "https://example.org:8/a"},
        {"https://me:p@w@example.org/a", "https://example.org/a"},
        {"http://a/?token=x&b=1&API_Key=y;z=", "http://a/?token=...&b=1&API_Key=...;z="},
        {"http://a/?q=123456789012345678901&r=12345678901234567890",
         "http://a/?q=...&r=12345678901234567890"},
        {"http://a/?123456789012345678901", "http://a/?..."},
        {"http://a?plain&X-Amz-Signature=1", "http://a?plain&X-Amz-Signature=..."},
        {"http://a/?a==b=c&=&&", "http://a/?a==b=c&=&&"},
        {"//u@h/p", "//h/p"},
        {"u:p@h", "h"},
        {"", ""},
        {"http://a/\x01\xFF \n", "http://a/????"},
        {"http://a/b@c?d@e=1", "http://a/b@c?d@e=1"},
    };
    char text[DZ_URL_SHOWN_MAX];
    for (size_t i = 0; i < DZ_LEN(rows); i++)
        assert_string_equal(dz_url_show(dz_str_of(rows[i].url), text), rows[i].shown);
    char large[5000];
    memset(large, 'x', sizeof(large));
    memcpy(large, "http://", 7);
    assert_int_equal(strlen(dz_url_show((dz_str){large, sizeof(large)}, text)),
                     DZ_URL_SHOWN_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_no_secrets),
        cmocka_unit_test(parses),
        cmocka_unit_test(joins),
        cmocka_unit_test(compares),
        cmocka_unit_test(matches_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
