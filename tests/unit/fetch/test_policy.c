/* policy: hosts that may be asked, addresses that may not, rates in words, and what a record of a
 * host makes of answers. */
#include "test.h"

#include "fetch/fetch_int.h"

#include <arpa/inet.h>

static void knows_private_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        bool is_private;
    } rows[] = {
        {"127.0.0.1", true},
        {"127.255.255.255", true},
        {"128.0.0.1", false},
        {"10.0.0.1", true},
        {"11.0.0.1", false},
        {"172.15.255.255", false},
        {"172.16.0.0", true},
        {"172.31.255.255", true},
        {"172.32.0.0", false},
        {"192.168.1.1", true},
        {"192.169.0.1", false},
        {"169.254.169.254", true},
        {"100.64.0.1", true},
        {"100.128.0.1", false},
        {"0.0.0.0", true},
        {"224.0.0.1", true},
        {"255.255.255.255", true},
        {"223.255.255.255", false},
        {"8.8.8.8", false},
        {"::1", true},
        {"::", true},
        {"fe80::1", true},
        {"fc00::1", true},
        {"fd12::1", true},
        {"ff02::1", true},
        {"2001:db8::1", true},
        {"2606:4700::1", false},
        {"::ffff:127.0.0.1", true},
        {"::ffff:8.8.8.8", false},
        {"64:ff9b::10.0.0.1", true},
        {"64:ff9b::8.8.8.8", false},
        {"2002:7f00:1::", true},
        {"2002:808:808::", false},
        {"::127.0.0.1", true},
        {"not an address", true},
    };
    for (size_t i = 0; i < DZ_LEN(rows); i++)
        if (dz_fetch_is_private_text(rows[i].ip) != rows[i].is_private)
            fail_msg("%s", rows[i].ip);
    assert_true(dz_fetch_is_private(&(struct sockaddr){.sa_family = AF_UNIX}));
}

static void reads_rates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double rate;
    } rows[] = {{"2/second", 2}, {"30/minute", 0.5}, {"1/2s", 0.5},    {" 1 / 5 s ", 0.2},
                {"inf", 0},      {"10/S", 10},       {"3600/hour", 1}, {"86400/day", 1}};
    double rate;
    struct dz_err err;
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        assert_int_equal(dz_fetch_rate(dz_str_of(rows[i].text), &rate, &err), DZ_OK);
        assert_true(rate > rows[i].rate - 1e-9 && rate < rows[i].rate + 1e-9);
    }
    static const char *bad[] = {"",     "2",    "/s",     "2/",  "0/s",
                                "-1/s", "2/0s", "2/week", "x/s", "1.5/s"};
    for (size_t i = 0; i < DZ_LEN(bad); i++)
        if (dz_fetch_rate(dz_str_of(bad[i]), &rate, &err) != DZ_BAD_INPUT)
            fail_msg("%s", bad[i]);
}

static void refuses_bad_policies(void **state)
{
    (void)state;
    static const dz_str bad[] = {{"", 0},    {"http://a", 8}, {"a b", 3},
                                 {"a*b", 3}, {"*.", 2},       {"a@b", 3}};
    struct dz_fetch_policy *p = NULL;
    struct dz_err err;
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        struct dz_fetch_policy_spec s = {.hosts = &bad[i], .hosts_n = 1};
        assert_int_equal(dz_fetch_policy_new(&s, &p, &err), DZ_BAD_INPUT);
    }
    static const struct dz_fetch_header lines[] = {{{"X\r\nY", 4}, {"1", 1}},
                                                   {{"X", 1}, {"1\r\nY: 2", 7}},
                                                   {{"", 0}, {"1", 1}},
                                                   {{"X Y", 3}, {"1", 1}}};
    for (size_t i = 0; i < DZ_LEN(lines); i++) {
        struct dz_fetch_policy_spec s = {.headers = &lines[i], .headers_n = 1};
        assert_int_equal(dz_fetch_policy_new(&s, &p, &err), DZ_BAD_INPUT);
    }
    struct dz_fetch_policy_spec fast = {.rate = -1};
    assert_int_equal(dz_fetch_policy_new(&fast, &p, &err), DZ_BAD_INPUT);
    assert_null(p);
}

static bool opens(const struct dz_fetch_policy *p, const char *address)
{
    struct dz_url u;
    must(dz_url_parse(dz_str_of(address), &u, err));
    return dz_fetch_policy_opens(p, &u);
}

static void opens_overridden_hosts(void **state)
{
    (void)state;
    const dz_str hosts[] = {DZ_S("example.org"), DZ_S("*.example.net")};
    const dz_str open[] = {DZ_S("127.0.0.1:8000"), DZ_S("[::1]")};
    struct dz_fetch_policy_spec s = {
        .hosts = hosts, .hosts_n = 2, .open_hosts = open, .open_hosts_n = 2};
    DZ_AUTO(dz_fetch_policy_unref) struct dz_fetch_policy *p = NULL;
    assert_int_equal(dz_fetch_policy_new(&s, &p, NULL), DZ_OK);
    assert_true(opens(p, "http://127.0.0.1:8000/"));
    assert_false(opens(p, "http://127.0.0.1:8001/"));
    assert_false(opens(p, "http://127.0.0.1/"));
    assert_true(opens(p, "http://[::1]/"));
    assert_true(opens(p, "https://[::1]:443/"));
    assert_false(opens(p, "https://[::1]:80/"));
    assert_false(opens(p, "http://[::1]:1/"));
    assert_true(dz_fetch_policy_reaches(p, DZ_S("[::1]:443")));
    assert_true(dz_fetch_policy_reaches(p, DZ_S("127.0.0.1:8000")));
    assert_false(dz_fetch_policy_reaches(p, DZ_S("[::1]:8000")));
    assert_true(dz_fetch_policy_allows(p, DZ_S("Example.org")));
    assert_true(dz_fetch_policy_allows(p, DZ_S("i.example.net")));
    assert_false(dz_fetch_policy_allows(p, DZ_S("127.0.0.1")));
}

/* 1994-11-06 08:49:37 */
#define WALL_S 784111777

static void reads_retry_after(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        int64_t ms;
    } rows[] = {
        {"retry-after", "5", 5000},
        {"retry-after", "0", 0},
        {"retry-after", "Sun, 06 Nov 1994 08:49:47 GMT", 10000},
        {"retry-after", "Sun, 06 Nov 1994 08:49:00 GMT", 0},
        {"retry-after", "99999999", DZ_FETCH_PAUSE_MAX_MS},
        {"retry-after", "soon", -1},
        {"retry-after", "-5", -1},
        {"x-ratelimit-retry-after", "784111780", 3000},
        {"x-ratelimit-retry-after", "x", -1},
        {"x-other", "5", -1},
    };
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        struct dz_fetch_header h = {dz_str_of(rows[i].name), dz_str_of(rows[i].value)};
        if (dz_fetch_retry_after(&h, 1, WALL_S) != rows[i].ms)
            fail_msg("%s: %s", rows[i].name, rows[i].value);
    }
}

static void paces_and_pauses(void **state)
{
    (void)state;
    struct dz_fetch_policy_spec s = {.per_host = 2, .rate = 10};
    DZ_AUTO(dz_fetch_policy_unref) struct dz_fetch_policy *p = NULL;
    assert_int_equal(dz_fetch_policy_new(&s, &p, NULL), DZ_OK);
    struct dz_fetch_host h = {0};
    assert_int_equal(dz_fetch_host_wait(&h, p, 1000), 0);
    dz_fetch_host_left(&h, p, 1000);
    assert_int_equal(dz_fetch_host_wait(&h, p, 1000), 100);
    assert_int_equal(dz_fetch_host_wait(&h, p, 1100), 0);
    dz_fetch_host_left(&h, p, 1100);
    assert_int_equal(dz_fetch_host_wait(&h, p, 5000), -1); /* two are running */
    h.stats.running = 0;

    struct dz_fetch_res res = {.kind = DZ_FETCH_OK, .status = 429, .retry_after_ms = 7000};
    dz_fetch_host_heard(&h, &res, 2000, WALL_S, FETCH_STRIKE_MS);
    assert_int_equal(dz_fetch_host_wait(&h, p, 2000), 7000);
    res.retry_after_ms = -1;
    int64_t now_ms = 100000, least = 500;
    h.strikes = 0;
    for (int i = 0; i < 12; i++, least = least * 2 < 150000 ? least * 2 : 150000) {
        res.status = 503;
        dz_fetch_host_heard(&h, &res, now_ms, WALL_S, FETCH_STRIKE_MS);
        int64_t ms = dz_fetch_host_wait(&h, p, now_ms);
        assert_in_range(ms, least, 2 * least);
        now_ms += ms;
    }
    res.status = 200;
    dz_fetch_host_heard(&h, &res, now_ms, WALL_S, FETCH_STRIKE_MS);
    assert_int_equal(h.strikes, 0);
    res.status = 404; /* is no reason to leave a host alone */
    dz_fetch_host_heard(&h, &res, now_ms, WALL_S, FETCH_STRIKE_MS);
    assert_int_equal(dz_fetch_host_wait(&h, p, now_ms), 0);
    res = (struct dz_fetch_res){.kind = DZ_FETCH_CONNECT};
    dz_fetch_host_heard(&h, &res, now_ms, WALL_S, FETCH_STRIKE_MS);
    assert_in_range(dz_fetch_host_wait(&h, p, now_ms), 500, 1000);
    assert_int_equal(h.stats.by_status[5], 12);
    assert_int_equal(h.stats.errors, 15);
    dz_fetch_host_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_private_addresses), cmocka_unit_test(reads_rates),
        cmocka_unit_test(refuses_bad_policies),    cmocka_unit_test(opens_overridden_hosts),
        cmocka_unit_test(reads_retry_after),       cmocka_unit_test(paces_and_pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
