/*
 * test_proxy: what a trusted proxy says about the client, clause by clause of RFC 7239, and what a
 * client cannot make it say.
 */
#include "http/http_int.h"
#include "rig.h"

#define V6 "2001:db9:cafe::17"

static const char *const trusted[] = {"192.0.2.0/24", "10.0.0.0/8", "::1", "2001:db8::/33", NULL};

static void open_rig(enum dz_http_forwarding how)
{
    rig_open(&(struct dz_http_options){.trusted_proxies = trusted, .forwarded = how});
}

static void assert_client(const char *clause, const char *fields, const char *ip, const char *https)
{
    char request[4096], want[128];
    int n = snprintf(request, sizeof(request), "GET /show HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    assert_true(n > 0 && (size_t)n < sizeof(request));
    dz_str body = body_of(ask((dz_str){request, (size_t)n}));
    snprintf(want, sizeof(want), "\nip=%s\nhttps=%s\n", ip, https);
    if (dz_str_find(body, dz_str_of(want)) == DZ_NPOS)
        fail_msg("%s: %swant%sgot\n%.*s", clause, fields, want, DZ_STR_FMT(body));
}

struct row {
    const char *clause, *fields, *ip, *https;
};
static void assert_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_client(rows[i].clause, rows[i].fields, rows[i].ip, rows[i].https);
}

static void x_forwarded(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"nothing", "", "192.0.2.1", "no"},
        {"one", "X-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7", "no"},
        {"the right-most that is not trusted", "X-Forwarded-For: 1.1.1.1, 198.51.100.7\r\n",
         "198.51.100.7", "no"},
        {"a chain", "X-Forwarded-For: 1.1.1.1, 198.51.100.7, 10.1.2.3\r\n", "198.51.100.7", "no"},
        {"two lines", "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 10.1.2.3\r\n", "1.1.1.1", "no"},
        {"all trusted", "X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n", "10.0.0.1", "no"},
        {"nonsense behind a proxy", "X-Forwarded-For: evil, 10.0.0.2\r\n", "10.0.0.2", "no"},
        {"nonsense", "X-Forwarded-For: evil\r\n", "192.0.2.1", "no"},
        {"a quote left open", "X-Forwarded-For: \"1.1.1.1, 198.51.100.7\r\n", "198.51.100.7", "no"},
        {"with ports", "X-Forwarded-For: [2001:db9::7]:4711, [::1]:80\r\n", "2001:db9::7", "no"},
        {"networks end inside a byte", "X-Forwarded-For: 2001:db8:8000::1, 2001:db8:7fff::1\r\n",
         "2001:db8:8000::1", "no"},
        {"with a port", "X-Forwarded-For: 198.51.100.7:1234\r\n", "198.51.100.7", "no"},
        {"IPv6 without brackets", "X-Forwarded-For: 2001:db9::7\r\n", "2001:db9::7", "no"},
        {"IPv6 in brackets", "X-Forwarded-For: [2001:db9::7]\r\n", "2001:db9::7", "no"},
        {"a word for a port", "X-Forwarded-For: 198.51.100.7:http\r\n", "192.0.2.1", "no"},
        {"no port behind the colon", "X-Forwarded-For: 198.51.100.7:\r\n", "192.0.2.1", "no"},
        {"a port of six digits", "X-Forwarded-For: 198.51.100.7:123456\r\n", "192.0.2.1", "no"},
        {"something behind the bracket", "X-Forwarded-For: [2001:db9::7]x\r\n", "192.0.2.1", "no"},
        {"IPv4 in brackets", "X-Forwarded-For: [198.51.100.7]\r\n", "192.0.2.1", "no"},
        {"brackets left open", "X-Forwarded-For: [2001:db9::7\r\n", "192.0.2.1", "no"},
        {"a zone", "X-Forwarded-For: fe80::1%eth0\r\n", "192.0.2.1", "no"},
        {"the word of RFC 7239 is none here", "X-Forwarded-For: unknown\r\n", "192.0.2.1", "no"},
        {"nor is its name of a hidden one", "X-Forwarded-For: _x, 10.0.0.2\r\n", "10.0.0.2", "no"},
        {"empty elements", "X-Forwarded-For: , ,198.51.100.7, ,\r\n", "198.51.100.7", "no"},
        {"only commas", "X-Forwarded-For: ,,,,\r\n", "192.0.2.1", "no"},
        {"an IPv4 proxy written as IPv6", "X-Forwarded-For: 198.51.100.7, ::ffff:10.0.0.1\r\n",
         "198.51.100.7", "no"},
        {"scheme", "X-Forwarded-Proto: https\r\n", "192.0.2.1", "yes"},
        {"the nearest one's scheme", "X-Forwarded-Proto: https, http\r\n", "192.0.2.1", "no"},
        {"the nearest one's line", "X-Forwarded-Proto: http\r\nX-Forwarded-Proto: HTTPS\r\n",
         "192.0.2.1", "yes"},
    };
    open_rig(DZ_HTTP_FORWARDED_ANY);
    assert_rows(rows, DZ_LEN(rows));
    rig_close();
}

static void forwarded(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"4 one pair", "Forwarded: for=198.51.100.7\r\n", "198.51.100.7", "no"},
        {"4 pairs in any order", "Forwarded: proto=https;for=198.51.100.7;by=10.0.0.1\r\n",
         "198.51.100.7", "yes"},
        {"4 names in any case", "Forwarded: FOR=198.51.100.7;Proto=HTTPS\r\n", "198.51.100.7",
         "yes"},
        {"4 empty pairs", "Forwarded: ;for=198.51.100.7;;proto=https;\r\n", "198.51.100.7", "yes"},
        {"4 unknown pairs", "Forwarded: secret=\"a;for=1.1.1.1, for=2.2.2.2\";for=198.51.100.7\r\n",
         "198.51.100.7", "no"},
        {"4 blanks around semicolons are forgiven", "Forwarded: for=198.51.100.7 ; proto=https\r\n",
         "198.51.100.7", "yes"},
        {"4 quoted", "Forwarded: for=\"198.51.100.7\";proto=\"https\"\r\n", "198.51.100.7", "yes"},
        {"4 quoted pairs", "Forwarded: for=\"\\[2001:db9:cafe::1\\7]\"\r\n", V6, "no"},
        {"4 a pair twice", "Forwarded: for=198.51.100.7;for=198.51.100.8\r\n", "192.0.2.1", "no"},
        {"4 an empty one twice", "Forwarded: for=\"\";for=198.51.100.8\r\n", "192.0.2.1", "no"},
        {"4 no value", "Forwarded: for=\r\n", "192.0.2.1", "no"},
        {"4 no equals sign", "Forwarded: for\r\n", "192.0.2.1", "no"},
        {"4 blank before the equals sign", "Forwarded: for =198.51.100.7\r\n", "192.0.2.1", "no"},
        {"4 blank behind it", "Forwarded: for= 198.51.100.7\r\n", "192.0.2.1", "no"},
        {"4 two values", "Forwarded: for=198.51.100.7 8\r\n", "192.0.2.1", "no"},
        {"4 a port needs quotes", "Forwarded: for=198.51.100.7:80\r\n", "192.0.2.1", "no"},
        {"4 brackets need quotes", "Forwarded: for=[" V6 "]\r\n", "192.0.2.1", "no"},
        {"4 an open quote", "Forwarded: for=\"198.51.100.7\r\n", "192.0.2.1", "no"},
        {"4 nothing of a broken element counts", "Forwarded: proto=https;for=\r\n", "192.0.2.1",
         "no"},
        {"5.1 by says nothing about the client", "Forwarded: by=198.51.100.7\r\n", "192.0.2.1",
         "no"},
        {"5.3 host is ignored", "Forwarded: host=evil.example;for=198.51.100.7\r\n", "198.51.100.7",
         "no"},
        {"5.4 without for", "Forwarded: proto=https\r\n", "192.0.2.1", "yes"},
        {"5.4 another scheme", "Forwarded: proto=wss\r\n", "192.0.2.1", "no"},
        {"6.1 IPv6", "Forwarded: for=\"[" V6 "]\"\r\n", V6, "no"},
        {"6.1 IPv6 with a port", "Forwarded: for=\"[" V6 "]:4711\"\r\n", V6, "no"},
        {"6.1 IPv6 needs brackets", "Forwarded: for=\"" V6 "\"\r\n", "192.0.2.1", "no"},
        {"6.1 IPv4 has none", "Forwarded: for=\"[198.51.100.7]\"\r\n", "192.0.2.1", "no"},
        {"6.1 IPv4 with a port", "Forwarded: for=\"198.51.100.7:80\"\r\n", "198.51.100.7", "no"},
        {"6.1 no address", "Forwarded: for=198.51.100.256\r\n", "192.0.2.1", "no"},
        {"6.1 a name is none", "Forwarded: for=evil.example\r\n", "192.0.2.1", "no"},
        {"6.2 unknown", "Forwarded: for=unknown;proto=https\r\n", "unknown", "yes"},
        {"6.2 unknown with a port", "Forwarded: for=\"unknown:80\"\r\n", "unknown", "no"},
        {"6.3 obfuscated", "Forwarded: for=_SEVKISEK\r\n", "_SEVKISEK", "no"},
        {"6.3 obfuscated port", "Forwarded: for=\"_a.b-c:_p4\"\r\n", "_a.b-c", "no"},
        {"6.3 an underscore alone", "Forwarded: for=_\r\n", "192.0.2.1", "no"},
        {"6.3 other letters", "Forwarded: for=_a!\r\n", "192.0.2.1", "no"},
        {"6 port of six digits", "Forwarded: for=\"198.51.100.7:123456\"\r\n", "192.0.2.1", "no"},
        {"6 empty port", "Forwarded: for=\"198.51.100.7:\"\r\n", "192.0.2.1", "no"},
        {"6 letters for a port", "Forwarded: for=\"198.51.100.7:x\"\r\n", "192.0.2.1", "no"},
        {"6 something behind the bracket", "Forwarded: for=\"[" V6 "]80\"\r\n", "192.0.2.1", "no"},
        {"6 no closing bracket", "Forwarded: for=\"[" V6 "\"\r\n", "192.0.2.1", "no"},
        {"7.1 a list", "Forwarded: for=1.1.1.1, for=198.51.100.7\r\n", "198.51.100.7", "no"},
        {"7.1 empty elements", "Forwarded: for=198.51.100.7, ,\r\n", "198.51.100.7", "no"},
        {"7.1 lines", "Forwarded: for=198.51.100.7\r\nForwarded: for=10.0.0.1\r\n", "198.51.100.7",
         "no"},
        {"7.1 lines and a list",
         "Forwarded: for=1.1.1.1, for=198.51.100.7\r\nX-A: b\r\nForwarded: for=10.0.0.1, "
         "for=\"[::1]:80\"\r\n",
         "198.51.100.7", "no"},
        {"all trusted", "Forwarded: for=10.0.0.1, for=10.0.0.2\r\n", "10.0.0.1", "no"},
        {"a trusted one names a hidden one", "Forwarded: for=1.1.1.1, for=_x, for=10.0.0.2\r\n",
         "_x", "no"},
        {"broken behind a proxy", "Forwarded: for=, for=10.0.0.2\r\n", "10.0.0.2", "no"},
        {"the nearest one's scheme",
         "Forwarded: for=198.51.100.7;proto=https, for=10.0.0.2;proto=http\r\n", "198.51.100.7",
         "no"},
        {"the nearest one says nothing of it",
         "Forwarded: for=198.51.100.7;proto=https, for=10.0.0.2\r\n", "198.51.100.7", "no"},
    };
    open_rig(DZ_HTTP_FORWARDED_ANY);
    assert_rows(rows, DZ_LEN(rows));
    rig_close();
}

/* Whatever stands in front of it: the proxy's own element is found. */
static void forged_starts(void **state)
{
    (void)state;
    static const char *const starts[] = {
        "for=1.1.1.1", "for=\"",         "for=\"1.1.1.1",        "\"",
        "\\",          "for=\"a\\",      "for=\"a\\\"",          "\"\\\\",
        "for=\"\\\"",  ",,;;==",         "for=1.1.1.1;proto=\"", "proto=https;host=\"x",
        ";",           "for=_a, for=\"",
    };
    open_rig(DZ_HTTP_FORWARDED_ANY);
    for (size_t i = 0; i < DZ_LEN(starts); i++) {
        char fields[256];
        snprintf(fields, sizeof(fields), "Forwarded: %s, for=\"[" V6 "]:80\";proto=http\r\n",
                 starts[i]);
        assert_client("one line", fields, V6, "no");
        snprintf(fields, sizeof(fields),
                 "Forwarded: %s\r\nForwarded: for=198.51.100.7;proto=https\r\n", starts[i]);
        assert_client("two lines", fields, "198.51.100.7", "yes");
    }
    rig_close();
}

/* A client cannot make the list longer than is looked at: the walk ends at HTTP_HOPS_MAX, and what
 * is found by then is said. */
static void long_lists(void **state)
{
    (void)state;
    static const struct {
        const char *name, *before;
    } kinds[] = {{"X-Forwarded-For: ", ""}, {"Forwarded: ", "for="}};
    static const unsigned counts[] = {HTTP_HOPS_MAX - 1, HTTP_HOPS_MAX, HTTP_HOPS_MAX + 1, 700};
    open_rig(DZ_HTTP_FORWARDED_ANY);
    for (size_t k = 0; k < DZ_LEN(kinds); k++)
        for (size_t h = 0; h < DZ_LEN(counts); h++)
            for (unsigned lines = 1; lines <= 4; lines += 3) {
                unsigned hops = counts[h];
                DZ_AUTO(dz_buf_done) struct dz_buf b;
                dz_buf_init(&b, DZ_MIB);
                dz_buf_putf(&b, "GET /show HTTP/1.1\r\nHost: a\r\n%s%s198.51.100.7", kinds[k].name,
                            kinds[k].before);
                for (unsigned i = hops; i-- > 0;) {
                    bool new_line = lines > 1 && i % (hops / lines) == 0;
                    dz_buf_putf(&b, "%s%s%s10.0.%u.%u", new_line ? "\r\n" : ", ",
                                new_line ? kinds[k].name : "", kinds[k].before, i / 250, i % 250);
                }
                dz_buf_put(&b, DZ_S("\r\n\r\n"));
                char want[64] = "\nip=198.51.100.7\n";
                if (hops >= HTTP_HOPS_MAX)
                    snprintf(want, sizeof(want), "\nip=10.0.0.%u\n", HTTP_HOPS_MAX - 1);
                dz_str body = body_of(ask(dz_buf_str(&b)));
                if (dz_str_find(body, dz_str_of(want)) == DZ_NPOS)
                    fail_msg("%s%u hops: %.*s", kinds[k].name, hops, DZ_STR_FMT(body));
            }
    rig_close();
}

/* Exactly one kind of field is read. */
static void both_kinds(void **state)
{
    (void)state;
#define X_FOR "X-Forwarded-For: 198.51.100.7\r\n"
#define X_PROTO "X-Forwarded-Proto: https\r\n"
#define RFC "Forwarded: for=203.0.113.9;proto=https\r\n"
    static const struct {
        enum dz_http_forwarding how;
        struct row row;
    } cases[] = {
        {DZ_HTTP_FORWARDED_ANY, {"any", RFC X_FOR, "198.51.100.7", "no"}},
        {DZ_HTTP_FORWARDED_ANY, {"any", X_PROTO RFC, "192.0.2.1", "yes"}},
        {DZ_HTTP_FORWARDED_ANY, {"any", RFC, "203.0.113.9", "yes"}},
        {DZ_HTTP_FORWARDED_ANY, {"any", RFC "X-Forwarded-For: evil\r\n", "192.0.2.1", "no"}},
        {DZ_HTTP_FORWARDED_X, {"x", RFC, "192.0.2.1", "no"}},
        {DZ_HTTP_FORWARDED_X, {"x", RFC X_FOR X_PROTO, "198.51.100.7", "yes"}},
        {DZ_HTTP_FORWARDED, {"forwarded", RFC X_FOR, "203.0.113.9", "yes"}},
        {DZ_HTTP_FORWARDED, {"forwarded", X_FOR X_PROTO, "192.0.2.1", "no"}},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        open_rig(cases[i].how);
        assert_rows(&cases[i].row, 1);
        rig_close();
    }
    rig_open(NULL); /* a peer that is not trusted says what it likes */
    assert_client("not trusted", X_FOR X_PROTO, "192.0.2.1", "no");
    assert_client("not trusted", RFC, "192.0.2.1", "no");
    rig_close();
}

static void bad_networks(void **state)
{
    (void)state;
    struct dz_err err = {0};
    struct dz_http_server *s = NULL;
    static const char *const bad[] = {"10.0.0.0/33", NULL}, *const worse[] = {"ten", NULL};
    assert_int_equal(
        dz_http_server_new(&(struct dz_http_options){.trusted_proxies = bad}, &s, &err),
        DZ_BAD_INPUT);
    assert_non_null(strstr(err.text, "10.0.0.0/33"));
    assert_int_equal(
        dz_http_server_new(&(struct dz_http_options){.trusted_proxies = worse}, &s, &err),
        DZ_BAD_INPUT);
    assert_null(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x_forwarded),   cmocka_unit_test(forwarded),
        cmocka_unit_test(forged_starts), cmocka_unit_test(both_kinds),
        cmocka_unit_test(long_lists),    cmocka_unit_test(bad_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
