/* log: the three formats, levels, escapes, one write a line, the ring in a panic. */
#include "test.h"

#include "dies.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

static int ends[2];
static char got[256 * 1024];

/* What has been written since the last call. */
static const char *take_lines(void)
{
    size_t n = 0;
    for (;;) {
        ssize_t more = read(ends[0], got + n, sizeof(got) - 1 - n);
        if (more <= 0)
            break;
        n += (size_t)more;
    }
    got[n] = '\0';
    return got;
}

static int enter(void **state)
{
    (void)state;
    dz_clock_set_for_test(1795252835123);
    return pipe2(ends, O_NONBLOCK | O_CLOEXEC);
}

static int leave(void **state)
{
    (void)state;
    dz_clock_set_for_test(-1);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static const struct dz_log_ctx request = {.room = "http", .what = "request", .id = 12};

static void writes_text(void **state)
{
    (void)state;
    dz_log_init(ends[1], DZ_INFO, DZ_LOG_TEXT);
    dz_log(&request, DZ_WARN, "words %d", 1);
    assert_string_equal(take_lines(), "09:20:35 warn  http: words 1 (request 12)\n");
    dz_log(NULL, DZ_ERROR, "alone");
    assert_string_equal(take_lines(), "09:20:35 error alone\n");
    struct dz_log_ctx start = {.room = "main", .what = "start"};
    dz_log(&start, DZ_INFO, "up");
    assert_string_equal(take_lines(), "09:20:35 info  main: up (start)\n");
}

static void writes_logfmt(void **state)
{
    (void)state;
    dz_log_init(ends[1], DZ_INFO, DZ_LOG_AUTO); /* a pipe is no terminal */
    dz_log(&request, DZ_WARN, "say \"hi\" \\ now");
    assert_string_equal(take_lines(), "ts=2026-11-21T09:20:35.123Z level=warn room=http "
                                      "what=request id=12 msg=\"say \\\"hi\\\" \\\\ now\"\n");
    struct dz_err err = {0};
    dz_fail_errno(&err, DZ_NOT_FOUND, ENOENT, "open x");
    dz_log_err(NULL, DZ_ERROR, &err, "cannot start");
    assert_string_equal(take_lines(), "ts=2026-11-21T09:20:35.123Z level=error code=not_found "
                                      "msg=\"cannot start: open x: No such file or directory\"\n");
}

static void writes_json(void **state)
{
    (void)state;
    dz_log_init(ends[1], DZ_INFO, DZ_LOG_JSON);
    dz_log(&request, DZ_INFO, "a \"b\"\n\xff");
    assert_string_equal(take_lines(),
                        "{\"ts\":\"2026-11-21T09:20:35.123Z\",\"level\":\"info\",\"room\":\"http\","
                        "\"what\":\"request\",\"id\":12,\"msg\":\"a \\\"b\\\"\\n\xef\xbf\xbd\"}\n");
}

static void cannot_be_forged(void **state)
{
    (void)state;
    dz_log_init(ends[1], DZ_INFO, DZ_LOG_TEXT);
    dz_log(NULL, DZ_INFO, "a\r\n\tb \x1b[2J \x7f \xc2\x9b \xff \xe3\x81\x82");
    assert_string_equal(take_lines(), "09:20:35 info  a\\r\\n\\tb \\x1b[2J \\x7f \\xc2\\x9b \\xff "
                                      "\xe3\x81\x82\n");
}

static void has_levels(void **state)
{
    (void)state;
    dz_log_init(ends[1], DZ_WARN, DZ_LOG_TEXT);
    dz_log(&request, DZ_INFO, "no");
    dz_log(&request, DZ_DEBUG, "no");
    assert_string_equal(take_lines(), "");
    assert_true(dz_log_debug_room("http", true));
    assert_false(dz_log_debug_room("kitchen", true));
    struct dz_log_ctx store = {.room = "store"};
    dz_log(&store, DZ_DEBUG, "no");
    dz_log(NULL, DZ_DEBUG, "no");
    assert_string_equal(take_lines(), "");
    dz_log(&request, DZ_DEBUG, "yes");
    assert_string_equal(take_lines(), "09:20:35 debug http: yes (request 12)\n");
    assert_true(dz_log_debug_room("http", false));
    dz_log(&request, DZ_DEBUG, "no");
    assert_string_equal(take_lines(), "");
    dz_log_set_level(DZ_DEBUG);
    dz_log(&store, DZ_DEBUG, "yes");
    assert_string_equal(take_lines(), "09:20:35 debug store: yes\n");
}

static void cuts_long_words(void **state)
{
    (void)state;
    dz_log_init(ends[1], DZ_INFO, DZ_LOG_TEXT);
    for (int lead = 0; lead < 4; lead++) {
        struct dz_buf b DZ_AUTO(dz_buf_done);
        dz_buf_init(&b, 10000);
        for (int i = 0; i < lead; i++)
            dz_buf_putc(&b, '.');
        while (b.n < 5000)
            dz_buf_put(&b, DZ_S("\xf0\x9f\x98\x80"));
        dz_log(NULL, DZ_INFO, "%s", dz_buf_cstr(&b));
        dz_str line = dz_str_of(take_lines());
        assert_true(dz_str_ends(line, DZ_S("\xf0\x9f\x98\x80\xe2\x80\xa6\n")));
        assert_true(line.n > 2000 && line.n < 2200 && dz_str_is_utf8(line));
    }
    /* The worst words: each byte is escaped to as many as it can be. */
    char controls[2047];
    memset(controls, 1, sizeof(controls));
    enum dz_log_format formats[] = {DZ_LOG_TEXT, DZ_LOG_LOGFMT, DZ_LOG_JSON};
    for (size_t i = 0; i < DZ_LEN(formats); i++) {
        dz_log_init(ends[1], DZ_INFO, formats[i]);
        dz_log(&request, DZ_INFO, "%.*s", (int)sizeof(controls), controls);
        dz_str line = dz_str_of(take_lines());
        assert_true(line.n > sizeof(controls) * 4 && dz_str_ends(line, DZ_S("\n")));
        assert_int_equal(dz_str_chr(line, '\n'), line.n - 1);
    }
}

static void keeps_errno(void **state)
{
    (void)state;
    dz_log_init(-1, DZ_INFO, DZ_LOG_TEXT);
    errno = ENOENT;
    dz_log(NULL, DZ_INFO, "nowhere to go");
    assert_int_equal(errno, ENOENT);
}

static void *log_much(void *p)
{
    for (int i = 0; i < 200; i++)
        dz_log(p, DZ_INFO, "0123456789");
    return NULL;
}

static void does_not_mix_lines(void **state)
{
    (void)state;
    dz_log_init(ends[1], DZ_INFO, DZ_LOG_TEXT);
    pthread_t threads[4];
    for (size_t i = 0; i < DZ_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_much, NULL), 0);
    for (size_t i = 0; i < DZ_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    struct dz_cursor c;
    dz_cursor_init(&c, dz_str_of(take_lines()));
    size_t lines = 0;
    while (!dz_cursor_end(&c)) {
        assert_true(dz_str_eq(dz_cursor_until(&c, '\n'), DZ_S("09:20:35 info  0123456789")));
        dz_cursor_next(&c);
        lines++;
    }
    assert_int_equal(lines, 800);
}

static void panic_after_events(void)
{
    dz_log_init(2, DZ_ERROR, DZ_LOG_TEXT);
    for (int i = 0; i < 300; i++)
        dz_log(&request, DZ_DEBUG, "event %d\n.", i);
    dz_panic("x.c", 7, "bad %s", "thing");
}

static void panics_with_the_last_events(void **state)
{
    (void)state;
    static char said[128 * 1024];
    int status = run_child(panic_after_events, said, sizeof(said));
    assert_int_not_equal(status, 0);
    assert_ptr_equal(strstr(said, "dozo: panic at x.c:7: bad thing\n"), said);
    assert_null(strstr(said, "event 43 "));
    const char *first = strstr(said, "  2026-11-21T09:20:35.123Z debug http 12: event 44 .\n");
    const char *last = strstr(said, "event 299 .\n");
    assert_true(first && last && first < last);
}

static void *pass_often(void *p)
{
    static struct dz_log_gate shared;
    for (int i = 0; i < 1000; i++)
        if (dz_log_gate_pass(&shared, 3600 * 1000))
            atomic_fetch_add((atomic_int *)p, 1);
    return NULL;
}

static void has_gates(void **state)
{
    (void)state;
    struct dz_log_gate gate = {0};
    assert_true(dz_log_gate_pass(&gate, 3600 * 1000));
    assert_false(dz_log_gate_pass(&gate, 3600 * 1000));
    struct dz_log_gate open = {0};
    assert_true(dz_log_gate_pass(&open, 0));
    assert_true(dz_log_gate_pass(&open, 0));
    atomic_int passed = 0;
    pthread_t threads[4];
    for (size_t i = 0; i < DZ_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, pass_often, &passed), 0);
    for (size_t i = 0; i < DZ_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(passed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_text), cmocka_unit_test(writes_logfmt),
        cmocka_unit_test(writes_json), cmocka_unit_test(cannot_be_forged),
        cmocka_unit_test(has_levels),  cmocka_unit_test(cuts_long_words),
        cmocka_unit_test(keeps_errno), cmocka_unit_test(does_not_mix_lines),
        cmocka_unit_test(has_gates),   cmocka_unit_test(panics_with_the_last_events),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
