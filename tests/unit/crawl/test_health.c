/*
 * health: what several processes wrote of one source is told as one.
 */
#include "rig.h"

static const char *const by_back =
    "{\"last_ok_ms\":1000,\"last_error_ms\":5000,\"last_kind\":\"unavailable\",\"last_text\":\"x: "
    "down\",\"took_ms\":7,\"requests\":3,\"requests_total\":30,\"hosts\":[{\"host\":\"a.example\","
    "\"requests\":30}]}";
static const char *const by_command =
    "{\"last_ok_ms\":9000,\"last_error_ms\":null,\"took_ms\":8,\"requests\":1,\"requests_total\":4,"
    "\"hosts\":[{\"host\":\"b.example\",\"requests\":4}]}";

static void put(const char *source, const char *name, const char *json, int64_t now_ms)
{
    struct dz_crawl_state_rec v = {
        .source = dz_str_of(source), .name = dz_str_of(name), .value = dz_str_of(json)};
    must(dz_catalog_state_put(rig.catalog, &v, 1, now_ms, err));
}

static void test_several_tell_of_one(void **state)
{
    (void)state;
    put("x", "health/back@here", by_back, 6000);
    put("x", "health/command@here", by_command, 9500);
    put("y", "health", "not JSON", 1);
    put("z", "healthy", by_back, 1);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_crawl_health *v = NULL;
    size_t n = 0;
    must(dz_crawl_health_list(rig.catalog, 10000, a, &v, &n, err));
    assert_int_equal(n, 2);
    assert_true(dz_str_eq(v[0].source, DZ_S("x")));
    assert_int_equal(v[0].last_ok_ms, 9000);
    assert_int_equal(v[0].last_error_ms, 5000);
    assert_true(dz_str_eq(v[0].last_kind, DZ_S("unavailable")));
    assert_true(dz_str_eq(v[0].last_text, DZ_S("x: down")));
    assert_int_equal(v[0].requests, 1);
    assert_int_equal(v[0].requests_total, 34);
    assert_int_equal(v[0].took_ms, 8);
    assert_int_equal(v[0].hosts_n, 1);
    assert_true(dz_str_eq(v[0].hosts[0].host, DZ_S("b.example")));
    assert_true(dz_str_eq(v[1].source, DZ_S("y")));
    assert_int_equal(v[1].last_ok_ms, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_several_tell_of_one, rig_setup, rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
