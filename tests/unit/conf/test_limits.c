/*
 * The grammar of rate limits, the rules that rate_limit makes, and addresses of Redis servers.
 */
#include "test.h"

#include "parse.h"

static void good(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
        struct dz_limit first, last;
    } cases[] = {
        {"1/second", 1, {1, 1000, "1 per 1 second"}, {1, 1000, "1 per 1 second"}},
        {"1 per second", 1, {1, 1000, "1 per 1 second"}, {1, 1000, "1 per 1 second"}},
        {"100 per 2 hours", 1, {100, 7200000, "100 per 2 hour"}, {100, 7200000, "100 per 2 hour"}},
        {"7/3MINUTES", 1, {7, 180000, "7 per 3 minute"}, {7, 180000, "7 per 3 minute"}},
        {"1PeR2dAyS", 1, {1, 172800000, "1 per 2 day"}, {1, 172800000, "1 per 2 day"}},
        {"1persecond", 1, {1, 1000, "1 per 1 second"}, {1, 1000, "1 per 1 second"}},
        {"\t 1 \n/ 5\v second \f", 1, {1, 5000, "1 per 5 second"}, {1, 5000, "1 per 5 second"}},
        {"0007/0002 hour", 1, {7, 7200000, "7 per 2 hour"}, {7, 7200000, "7 per 2 hour"}},
        {"1/month", 1, {1, 2592000000, "1 per 1 month"}, {1, 2592000000, "1 per 1 month"}},
        {"1/100 years",
         1,
         {1, 3110400000000, "1 per 100 year"},
         {1, 3110400000000, "1 per 100 year"}},
        {"1000000000 per 1000000000 seconds",
         1,
         {1000000000, 1000000000000, "1000000000 per 1000000000 second"},
         {1000000000, 1000000000000, "1000000000 per 1000000000 second"}},
        {"1/second;2/minute,3 per hour|4/day",
         4,
         {1, 1000, "1 per 1 second"},
         {4, 86400000, "4 per 1 day"}},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        struct dz_limits l;
        struct dz_err err = {0};
        if (dz_limits_parse(dz_str_of(cases[i].text), &l, &err) != DZ_OK)
            fail_msg("%s: %s", cases[i].text, err.text);
        assert_int_equal(l.n, cases[i].n);
        const struct dz_limit *want[] = {&cases[i].first, &cases[i].last};
        const struct dz_limit *got[] = {&l.v[0], &l.v[l.n - 1]};
        for (int k = 0; k < 2; k++) {
            assert_int_equal(got[k]->count, want[k]->count);
            assert_int_equal(got[k]->per_ms, want[k]->per_ms);
            assert_string_equal(got[k]->text, want[k]->text);
        }
    }
}

static void bad(void **state)
{
    (void)state;
#define COUNT "has no count from 1 to 1000000000"
#define UNIT "has none of the units second, minute, hour, day, month and year"
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "at character 1 " COUNT},
        {"  ", "at character 3 " COUNT},
        {"0/second", "at character 1 " COUNT},
        {"-1/second", "at character 1 " COUNT},
        {"1000000001/second", "at character 1 " COUNT},
        {"99999999999999999999999999/second", "at character 1 " COUNT},
        {"1.5/second", "at character 2 has neither \"/\" nor \"per\" behind the count"},
        {"1", "at character 2 has neither \"/\" nor \"per\" behind the count"},
        {"1 pe second", "at character 3 has neither \"/\" nor \"per\" behind the count"},
        {"1/", "at character 3 " UNIT},
        {"1/week", "at character 3 " UNIT},
        {"1/-2 days", "at character 3 " UNIT},
        {"1/2", "at character 4 " UNIT},
        {"1//second", "at character 3 " UNIT},
        {"1/0 second", "at character 3 has a multiple that is not from 1 to 1000000000"},
        {"1/99999999999 second", "at character 3 has a multiple that is not from 1 to 1000000000"},
        {"1/101 years", "at character 7 has a window of more than 100 years"},
        {"1/1000000000 years", "at character 14 has a window of more than 100 years"},
        {"1/secondly", "at character 9 has something other than , ; or | behind the unit"},
        {"1/second 2/day", "at character 10 has something other than , ; or | behind the unit"},
        {"1/seconds\xC2\xA0", "at character 10 has something other than , ; or | behind the unit"},
        {"1/second;", "at character 10 " COUNT},
        {";1/second", "at character 1 " COUNT},
        {"1/second;;1/day", "at character 10 " COUNT},
        {"1/day,1/day,1/day,1/day,1/day,1/day,1/day,1/day,1/day",
         "at character 49 has a limit too many; 8 is the most"},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        struct dz_limits l = {.n = 99};
        struct dz_err err = {0};
        assert_int_equal(dz_limits_parse(dz_str_of(cases[i].text), &l, &err), DZ_BAD_INPUT);
        assert_string_equal(err.text, cases[i].why);
        assert_int_equal(l.n, 99);
    }
    struct dz_limits l;
    assert_int_equal(dz_limits_parse((dz_str){"1/second\0", 9}, &l, NULL), DZ_BAD_INPUT);
}

static void rules(void **state)
{
    (void)state;
    DZ_AUTO(dz_conf_unref)
    struct dz_conf *c =
        parse("rate_limit: { storage: \"memory://\", strategy: moving, graphql: 3/day, routes: {\n"
              "  /: 9/second, /api/: 1/second, /api/manga: 2/second, \"/series/{}\": 3/hour } }\n");
    static const char *const order[] = {"/series/{}", "/api/manga", "/api/", "/"};
    assert_int_equal(c->rate_limit.rules_n, DZ_LEN(order));
    for (size_t i = 0; i < DZ_LEN(order); i++) {
        const struct dz_limit_rule *r = &c->rate_limit.rules[i];
        assert_string_equal(r->name, order[i]);
        assert_int_equal(r->name_n, strlen(order[i]));
        assert_int_equal(r->is_pattern, i == 0);
        assert_int_equal(r->strategy, DZ_LIMIT_MOVING);
        assert_int_not_equal(r->id, c->rate_limit.graphql_rule->id);
    }
    assert_string_equal(c->rate_limit.rules[0].limits.v[0].text, "3 per 1 hour");
    assert_string_equal(c->rate_limit.graphql_rule->name, "graphql");
    assert_string_equal(c->rate_limit.graphql_rule->limits.v[0].text, "3 per 1 day");
    DZ_AUTO(dz_conf_unref) struct dz_conf *fixed = parse("rate_limit: { graphql: 3/day }");
    assert_int_equal(fixed->rate_limit.graphql_rule->strategy, DZ_LIMIT_FIXED);
    assert_int_not_equal(fixed->rate_limit.graphql_rule->id, c->rate_limit.graphql_rule->id);
}

static void wrong_rules(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *says;
    } cases[] = {
        {"rate_limit: { storage: \"memory://\", routes: { api: 1/second } }",
         "does not begin with a slash"},
        {"rate_limit: { storage: \"memory://\", routes: { \"/a?b\": 1/second } }",
         "has a blank, \"?\" or \"#\" in it"},
        {"rate_limit: { storage: \"memory://\", routes: { /api/: 1/sec } }",
         "\"1/sec\" at character 3 has none of the units"},
        {"rate_limit: { routes: { /api/: 1/second } }",
         "nothing is counted while rate_limit.storage is empty"},
        {"rate_limit: { strategy: movng }", "did you mean \"moving\"?"},
        {"rate_limit: { storage: \"rediss://h\" }", "TLS to Redis is not spoken"},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        DZ_AUTO(dz_freep) char *got = faults_of(dz_str_of(cases[i].yaml), NULL);
        if (!strstr(got, cases[i].says))
            fail_msg("%s\nsays: %s", cases[i].yaml, got);
    }
    DZ_AUTO(dz_buf_done) struct dz_buf many;
    dz_buf_init(&many, DZ_MIB);
    dz_buf_put(&many, DZ_S("rate_limit:\n  storage: memory://\n  routes:\n"));
    for (int i = 0; i <= DZ_LIMIT_RULES_MAX; i++)
        dz_buf_putf(&many, "    /r%d: 1/second\n", i);
    DZ_AUTO(dz_freep) char *got = faults_of(dz_buf_str(&many), NULL);
    assert_non_null(strstr(got, "rate_limit.routes: 65 routes; 64 is the most"));
}

static void redis_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *uri;
        struct dz_redis_address want;
    } cases[] = {
        {"redis://localhost", {.host = "localhost", .port = 6379}},
        {"redis://LocalHost:6380/15", {.host = "localhost", .port = 6380, .db = 15}},
        {"redis://h/", {.host = "h", .port = 6379}},
        {"redis://:pw@127.0.0.1:1", {.host = "127.0.0.1", .port = 1, .password = "pw"}},
        {"redis://u:p%40%3A%2fx@[::1]:7/0",
         {.host = "::1", .port = 7, .user = "u", .password = "p@:/x"}},
        {"redis://u:a:b@h", {.host = "h", .port = 6379, .user = "u", .password = "a:b"}},
        {"redis+unix:///run/redis.sock", {.path = "/run/redis.sock"}},
        {"redis+unix://:x@/a%20b?db=3", {.path = "/a b", .password = "x", .db = 3}},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        struct dz_redis_address a;
        struct dz_err err = {0};
        if (dz_redis_parse(dz_str_of(cases[i].uri), &a, &err) != DZ_OK)
            fail_msg("%s %s", cases[i].uri, err.text);
        assert_string_equal(a.host, cases[i].want.host);
        assert_string_equal(a.path, cases[i].want.path);
        assert_string_equal(a.user, cases[i].want.user);
        assert_string_equal(a.password, cases[i].want.password);
        assert_int_equal(a.port, cases[i].want.port);
        assert_int_equal(a.db, cases[i].want.db);
    }
    static const char *const wrong[] = {
        "",
        "redis:",
        "redis://",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:x",
        "redis://h/x",
        "redis://h/65536",
        "redis://h/1/2",
        "redis://h?db=1",
        "redis://*.h",
        "redis://a b",
        "redis://u@h",
        "redis://u:%zz@h",
        "redis://u:%00@h",
        "redis://u:p%4@h",
        "redis://[::1",
        "redis://::1",
        "http://h",
        "rediss://h",
        "redis+unix://h/x",
        "redis+unix://",
        "redis+unix:///",
        "redis+unix:///a?x=1",
        "redis+unix:///a?db=",
        "redis+unix:///a?db=1&b",
        "redis://h\n",
        "redis://@",
        "redis://:@",
    };
    for (size_t i = 0; i < DZ_LEN(wrong); i++) {
        struct dz_redis_address a;
        struct dz_err err = {0};
        if (dz_redis_parse(dz_str_of(wrong[i]), &a, &err) != DZ_BAD_INPUT)
            fail_msg("%s was taken", wrong[i]);
        assert_true(err.text[0] != '\0');
    }
    char hostile[2048];
    memset(hostile, 'a', sizeof(hostile));
    static const char *const fronts[] = {"redis://", "redis://:", "redis+unix:///", "redis://u:p@"};
    for (size_t i = 0; i < DZ_LEN(fronts); i++) {
        struct dz_redis_address a;
        memcpy(hostile, fronts[i], strlen(fronts[i]));
        assert_int_equal(dz_redis_parse((dz_str){hostile, sizeof(hostile)}, &a, NULL),
                         DZ_BAD_INPUT);
        memset(hostile, 'a', 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),
        cmocka_unit_test(bad),
        cmocka_unit_test(rules),
        cmocka_unit_test(wrong_rules),
        cmocka_unit_test(redis_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
