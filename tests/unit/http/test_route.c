/*
 * test_route: which row of a table takes a path, and what is allowed where none does.
 */
#include "test.h"

#include "http/http_int.h"

static const struct dz_http_route table[] = {
    {"ping", DZ_HTTP_GET, "/api/ping", NULL},
    {"mark", DZ_HTTP_GET | DZ_HTTP_DELETE, "/api/mark", NULL},
    {"put", DZ_HTTP_PUT, "/api/mark/{}", NULL},
    {"closed", 0, "/api/{*}", NULL},
    {"files", DZ_HTTP_GET, "/files/{*}", NULL},
    {"any", DZ_HTTP_GET, "/{}/{*}", NULL},
};

static void check(enum dz_http_method method, const char *raw, const char *name, unsigned allowed)
{
    struct dz_http_routes *t = dz_http_routes_new(table, DZ_LEN(table));
    struct dz_http_path path;
    dz_str capture[DZ_HTTP_CAPTURES_MAX] = {{0}};
    unsigned got = 0;
    dz_http_path_split(dz_str_of(raw), false, NULL, &path);
    const struct dz_http_route *r = dz_http_routes_find(t, method, &path, capture, &got);
    if (name) {
        assert_non_null(r);
        assert_string_equal(r->name, name);
    } else {
        assert_null(r);
        assert_int_equal(got, allowed);
        assert_null(capture[0].p);
    }
    dz_http_routes_free(&t);
}

static void the_most_literal_row_takes_it(void **state)
{
    (void)state;
    check(DZ_HTTP_GET, "/api/ping", "ping", 0);
    check(DZ_HTTP_HEAD, "/api/ping", "ping", 0);
    check(DZ_HTTP_PUT, "/api/mark/IGNORED", "put", 0);
    check(DZ_HTTP_GET, "/files/a/b", "files", 0);
    check(DZ_HTTP_GET, "/other/b", "any", 0);
    check(DZ_HTTP_POST, "/other/b", NULL, DZ_HTTP_GET | DZ_HTTP_HEAD);
}

static void nothing_else_is_below_a_row_without_methods(void **state)
{
    (void)state;
    check(DZ_HTTP_GET, "/api/nothing", NULL, 0);
    check(DZ_HTTP_POST, "/api/nothing/more", NULL, 0);
    check(DZ_HTTP_GET, "/api/ping/", NULL, 0);
    check(DZ_HTTP_POST, "/api/ping", NULL, DZ_HTTP_GET | DZ_HTTP_HEAD);
    check(DZ_HTTP_GET, "/api/mark/IGNORED", NULL, DZ_HTTP_PUT);
    check(DZ_HTTP_PUT, "/api/mark", NULL, DZ_HTTP_GET | DZ_HTTP_HEAD | DZ_HTTP_DELETE);
    /* As OPTIONS looks. */
    check((enum dz_http_method)0, "/api/mark", NULL, DZ_HTTP_GET | DZ_HTTP_HEAD | DZ_HTTP_DELETE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_literal_row_takes_it),
        cmocka_unit_test(nothing_else_is_below_a_row_without_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
