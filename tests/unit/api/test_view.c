/*
 * test_view: when a loop answers from a new view: with the next request, before the loop was told
 * of it, so that what a client has seen in one answer is in the next one, whichever loop gives it.
 */
#include "rig.h"

#include <sched.h>

static atomic_uint published;

static void publish(void *arg, struct dz_view *take_view)
{
    (void)arg;
    dz_api_publish(it.api, take_view);
    atomic_fetch_add(&published, 1);
}

static bool has_chapter(const char *url)
{
    struct dz_http_test_conn *c = rig_ask(url, "");
    dz_str said = dz_http_test_output(c); /* pages of RAM only come at once, so HTML is asked for */
    assert_true(dz_str_starts(said, DZ_S("HTTP/1.1 ")));
    bool there = dz_str_starts(said, DZ_S("HTTP/1.1 200 "));
    rig_assert_status(&c, there ? 200 : 404, (dz_str){0});
    return there;
}

/* The loop takes no turn between the publishing and the question, so no message has reached it. */
static void next_request(void **state)
{
    (void)state;
    rig_begin(16);
    struct dz_library_options o = {.conf = it.lab.conf, .publish = publish};
    must(dz_library_start(it.lab.lib, &o, err));
    long long series, chapter;
    assert_int_equal(sscanf(it.url[0], "/page/%lld/%lld/", &series, &chapter), 2);
    for (int n = 2; n < 6; n++) {
        char name[32], url[64];
        snprintf(name, sizeof(name), "S/c%d/1.png", n);
        snprintf(url, sizeof(url), "/read/%lld/%lld", series, chapter + n - 1);
        assert_false(has_chapter(url));
        lab_png(&it.lab, name, 10 + (unsigned)n);
        unsigned before = atomic_load(&published);
        lab_import(&it.lab, "S", "S");
        dz_library_poke(it.lab.lib);
        while (atomic_load(&published) == before)
            sched_yield();
        assert_true(has_chapter(url));
    }
    rig_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(next_request)};
    return cmocka_run_group_tests_name("view", tests, NULL, NULL);
}
