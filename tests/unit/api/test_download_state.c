/*
 * test_download_state: what the arguments of a download's row say of its file, whatever they hold.
 */
#include "test.h"

#include "api/ops.h"

static void check(const char *args, const char *file, int64_t pages)
{
    struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct download_facts facts;
    /* A copy of its own, so that a byte read behind it is noticed. */
    char *copy = dz_alloc(strlen(args) + 1);
    memcpy(copy, args, strlen(args));
    char *exact = dz_realloc(copy, strlen(args) ? strlen(args) : 1);
    download_facts_read((dz_str){exact, strlen(args)}, a, &facts);
    if (!dz_str_eq(facts.file, dz_str_of(file)) || facts.pages != pages)
        fail_msg("%s: file %.*s, pages %lld", args, DZ_STR_FMT(facts.file), (long long)facts.pages);
    dz_freep(&exact);
    dz_arena_free(&a);
}

static void members_are_found_where_they_stand(void **state)
{
    (void)state;
    check("{\"file\":\"A\",\"pages\":3}", "A", 3);
    check("{ \"pages\": 3, \"file\": \"A\" }", "A", 3);
    check("{\"chapter\": \"c\", \"folder\": \"\", \"file\": \"A \\\"B\\\" \\u00e9\\\\\", "
          "\"pages\": 0}",
          "A \"B\" \xc3\xa9\\", 0);
    check("{\"info\": {\"file\": \"no\", \"pages\": 9, \"x\": [1, {\"file\": \"no\"}, \"}\"]}, "
          "\"file\": "
          "\"yes\", \"pages\": 2}",
          "yes", 2);
    check("{\"file\\u0000\": \"no\", \"x\": \"\\\"file\\\": 1, {\", \"file\": \"yes\"}", "yes", -1);
    check("{\"pages\": null, \"file\": \"A\"}", "A", -1);
}

static void whatever_else_says_nothing(void **state)
{
    (void)state;
    static const char *const none[] = {
        "",
        "{",
        "{}",
        "[]",
        "null",
        "{\"file\"",
        "{\"file\":",
        "{\"file\":}",
        "{\"file\": \"",
        "{\"file\": \"A\\",
        "{\"file",
        "{\"file\": 1, \"pages\": \"3\"}",
        "{\"file\": {\"a\": \"b\"}, \"pages\": -1}",
        "{{{{",
        "{\"a\": [[[[",
        "{\"pages\": 1.5}",
        "{,,,:::",
        "{\"file\": nope}",
        "{\"pages\": 99999999999999999999}",
    };
    for (size_t i = 0; i < DZ_LEN(none); i++)
        check(none[i], "", -1);
    check("{\"file\": \"A\", \"info\": {\"x\": ", "A", -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_found_where_they_stand),
        cmocka_unit_test(whatever_else_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
