/* clock: dates against the C library, the three HTTP forms, bad dates, random bytes. */
#include <time.h>

static struct tm *libc_civil(const time_t *t, struct tm *tm)
{
    return gmtime_r(t, tm);
}

#include "test.h"

static void stands_still(void **state)
{
    (void)state;
    assert_true(dz_now_ms() > 1700000000000);
    dz_clock_set_for_test(0);
    assert_true(dz_now_ms() == 0);
    dz_clock_set_for_test(1234);
    assert_true(dz_now_ms() == 1234);
    dz_clock_set_for_test(-1);
    assert_true(dz_now_ms() > 1700000000000);
    int64_t before = dz_mono_ns();
    assert_true(dz_mono_ns() >= before);
}

static void one_second(int64_t epoch_s)
{
    time_t t = epoch_s;
    struct tm tm;
    assert_non_null(libc_civil(&t, &tm));
    char want[64], got[30], iso[21];
    strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%SZ", &tm);
    dz_time_iso(epoch_s, iso);
    if (tm.tm_year >= -900)
        assert_string_equal(iso, want);
    int64_t back;
    must(dz_time_iso_parse(dz_str_of(iso), &back, err));
    assert_true(back == epoch_s);
    if (epoch_s < 0)
        return;
    strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    dz_time_http(epoch_s, got);
    assert_string_equal(got, want);
    must(dz_time_http_parse(dz_str_of(got), 0, &back, err));
    assert_true(back == epoch_s);
}

static const int64_t last_s = 253402300799; /* 9999-12-31T23:59:59Z */

static void agrees_with_the_library(void **state)
{
    (void)state;
    for (int64_t s = -62167219200; s <= last_s; s += 86400 * 37 + 12347)
        one_second(s);
    /* Every day of four centuries' ends and starts. */
    static const int64_t edges[] = {-62167219200, -2208988800, 0,
                                    951782400,    4107542400,  last_s - 86400 * 400};
    for (size_t i = 0; i < DZ_LEN(edges); i++)
        for (int64_t d = 0; d < 400; d++)
            one_second(edges[i] + d * 86400 + 86399);
    one_second(last_s);
}

static void clips(void **state)
{
    (void)state;
    char http[30], iso[21];
    dz_time_http(-1, http);
    assert_string_equal(http, "Thu, 01 Jan 1970 00:00:00 GMT");
    dz_time_http(INT64_MAX, http);
    assert_string_equal(http, "Fri, 31 Dec 9999 23:59:59 GMT");
    dz_time_iso(INT64_MIN, iso);
    assert_string_equal(iso, "0000-01-01T00:00:00Z");
    dz_time_iso(INT64_MAX, iso);
    assert_string_equal(iso, "9999-12-31T23:59:59Z");
}

static const int64_t now_s = 1795252835; /* 2026-11-21 */

static int64_t parsed(const char *text)
{
    int64_t s = -1;
    must(dz_time_http_parse(dz_str_of(text), now_s, &s, err));
    return s;
}

static void reads_three_forms(void **state)
{
    (void)state;
    assert_true(parsed("Sun, 06 Nov 1994 08:49:37 GMT") == 784111777);
    assert_true(parsed("Sunday, 06-Nov-94 08:49:37 GMT") == 784111777);
    assert_true(parsed("Sun Nov  6 08:49:37 1994") == 784111777);
    assert_true(parsed("Wed Nov 16 08:49:37 1994") == 784975777);
    assert_true(parsed("Sat, 31 Dec 2016 23:59:60 GMT") == 1483228800);
    /* Two digits: 2076 is 50 years ahead and stands, 2077 is more and means 1977. */
    assert_true(parsed("Wednesday, 01-Jan-76 00:00:00 GMT") == 3345062400);
    assert_true(parsed("Saturday, 01-Jan-77 00:00:00 GMT") == 220924800);
    /* To the second: 2026-11-21T09:20:35Z and 50 years. */
    assert_true(parsed("Saturday, 21-Nov-76 09:20:35 GMT") == 3373176035);
    assert_true(parsed("Sunday, 21-Nov-76 09:20:36 GMT") == 217416036);
    assert_true(parsed("Friday, 31-Dec-76 00:00:00 GMT") == 220838400);
    assert_true(parsed("Saturday, 21-Nov-26 09:20:35 GMT") == now_s);
}

static void refuses_other_texts(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "0", "784111777", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ", " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
        "Son, 06 Nov 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT", "Tue, 29 Feb 1900 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT", "Sun Nov 06 08:49:37 94", "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT", "Sun, +6 Nov 1994 08:49:37 GMT", "2026-11-21T09:20:35Z",
        /* Not the weekday of that date, in each form. */
        "Mon, 06 Nov 1994 08:49:37 GMT", "Monday, 06-Nov-94 08:49:37 GMT",
        "Mon Nov  6 08:49:37 1994", "Sun, 31 Dec 2016 23:59:60 GMT",
        "Friday, 01-Jan-77 00:00:00 GMT", /* that of 2077, which it cannot be */
    };
    int64_t s = 77;
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        struct dz_err err = {0};
        if (dz_time_http_parse(dz_str_of(bad[i]), now_s, &s, &err) != DZ_BAD_INPUT)
            fail_msg("\"%s\" was taken for a date", bad[i]);
        assert_true(s == 77);
    }
    static const char *const bad_iso[] = {
        "",
        "2026-11-21",
        "2026-11-21T09:20:35",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-11-21T09:20:35z",
        "2026-11-21 09:20:35Z",
        "2026-11-21T09:20:35Zx",
    };
    for (size_t i = 0; i < DZ_LEN(bad_iso); i++)
        assert_int_equal(dz_time_iso_parse(dz_str_of(bad_iso[i]), &s, NULL), DZ_BAD_INPUT);
    assert_true(s == 77);
}

static void is_random(void **state)
{
    (void)state;
    unsigned char a[1000] = {0}, b[1000] = {0};
    dz_random(a, sizeof(a));
    dz_random(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    assert_true(dz_random_u64() != dz_random_u64());
    dz_random(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stands_still),
        cmocka_unit_test(agrees_with_the_library),
        cmocka_unit_test(clips),
        cmocka_unit_test(reads_three_forms),
        cmocka_unit_test(refuses_other_texts),
        cmocka_unit_test(is_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
