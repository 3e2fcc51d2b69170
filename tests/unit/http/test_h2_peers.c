/*
 * test_h2_peers: HTTP/2 peers that make us work or wait for nothing: almost no progress, dribbled
 * windows, floods that cost little to send, answers that nobody takes. Each is cut by a limit or a
 * time-out, and another connection on the same loop does not notice.
 */
#include "h2_frames.h"

#include "http/h2_int.h"

#define BODY_MS 40
#define A_SHORT_TIME                                                                               \
    {                                                                                              \
        .header_timeout_ms = 40, .body_timeout_ms = BODY_MS, .idle_timeout_ms = 60                 \
    }

static const struct dz_http_options quick = A_SHORT_TIME;

static struct dz_http_lane *lane(void)
{
    return rig.server->test_lanes;
}

static struct dz_http_h2 *newest(void)
{
    return lane()->conns->h2;
}

/* Another client is served while t is held up. */
static void assert_others_served(void)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 1 << 16);
    put_start(&b);
    put_headers(&b, 1, ENDS, GET_HELLO);
    struct dz_http_test_conn *other = open_h2();
    dz_http_test_feed(other, dz_buf_str(&b), false);
    assert_string_equal(told(dz_http_test_output(other)), "H1 D1.");
    dz_http_test_free(&other);
}

/* Sends `again` each few milliseconds until the server has closed. */
static const char *nag(dz_str first, dz_str again)
{
    static struct dz_http_test_conn *t;
    dz_http_test_free(&t);
    t = open_h2();
    dz_http_test_push(t, first, false);
    while (!dz_http_test_closed(t)) {
        dz_loop_turn(rig.loop, 10); /* far below HTTP_MIN_RATE */
        if (!dz_http_test_closed(t))
            dz_http_test_push(t, again, false);
        if (!dz_http_test_closed(t))
            assert_others_served();
    }
    const char *got = told(dz_http_test_output(t));
    dz_http_test_free(&t);
    assert_null(lane()->conns);
    assert_int_equal(lane()->bodies_bytes, 0);
    return got;
}

static uint32_t goaway_code(struct dz_http_test_conn *t)
{
    dz_str out = dz_http_test_output(t);
    uint32_t code = UINT32_MAX;
    struct frame f;
    while (next_frame(&out, &f))
        code = f.type == GOAWAY ? number(f.payload, 4) : UINT32_MAX;
    return code;
}

#define PEER                                                                                       \
    DZ_AUTO(dz_buf_done) struct dz_buf b;                                                          \
    DZ_AUTO(dz_buf_done) struct dz_buf again;                                                      \
    dz_buf_init(&b, 1 << 20);                                                                      \
    dz_buf_init(&again, 1 << 16)
#define AGAIN(...) put_frame(&again, __VA_ARGS__)
#define NEXT_PEER (START, dz_buf_clear(&again))

/* What is no progress does not put the end off. */
static void almost_no_progress(void **state)
{
    (void)state;
    rig_open(&quick);
    PEER;
    NEXT_PEER;
    AGAIN(PING, 0, 0, DZ_S("12345678"));
    assert_string_equal(nag(dz_buf_str(&b), dz_buf_str(&again)), "G0"); /* idle */
    NEXT_PEER;
    AGAIN(UPDATE, 0, 0, DZ_S("\0\0\0\x01"));
    assert_string_equal(nag(dz_buf_str(&b), dz_buf_str(&again)), "G0");
    NEXT_PEER;
    AGAIN(PRIORITY, 0, 7, DZ_S("\0\0\0\0\x01"));
    assert_string_equal(nag(dz_buf_str(&b), dz_buf_str(&again)), "G0");
    NEXT_PEER; /* 6.10: a block that goes on and on */
    put_headers(&b, 1, END_STREAM, GET_HELLO);
    const char *got = nag(dz_buf_str(&b), DZ_S("\0\0\x05\x09\0\0\0\0\x01\0\x01x\x01y"));
    assert_true(strcmp(got, "G1") == 0 || strcmp(got, "G11") == 0); /* time, or too many */
    NEXT_PEER;                                                      /* 6.5.3 */
    dz_buf_clear(&b);
    dz_buf_put(&b, DZ_S(PREFACE));
    put_frame(&b, SETTINGS, 0, 0, (dz_str){0});
    AGAIN(PING, 0, 0, DZ_S("12345678"));
    assert_string_equal(nag(dz_buf_str(&b), dz_buf_str(&again)), "G4");
    NEXT_PEER; /* a body with PING, empty and padded DATA in place of content: 408 */
    put_headers(&b, 1, END_HEADERS, POST_ECHO);
    put_frame(&b, DATA, 0, 1, DZ_S("x"));
    AGAIN(PING, 0, 0, DZ_S("12345678"));
    put_frame(&b, DATA, PADDED, 1, DZ_S("\x02\0\0"));
    got = nag(dz_buf_str(&b), dz_buf_str(&again));
    assert_true(strncmp(got, "H1 D1. R1:0", 11) == 0);
    rig_close();
}

/* 6.9, CVE-2019-9511: windows that open by a byte. */
static void dribbled_windows(void **state)
{
    (void)state;
    rig_open(&quick);
    PEER;
    NEXT_PEER; /* of the stream */
    put_frame(&b, SETTINGS, 0, 0, DZ_S("\0\x04\0\0\0\0"));
    put_headers(&b, 1, ENDS, PSEUDO("GET", "/file") ":authority\0a\0");
    AGAIN(UPDATE, 0, 1, DZ_S("\0\0\0\x01"));
    assert_non_null(strstr(nag(dz_buf_str(&b), dz_buf_str(&again)), " R1:8"));
    NEXT_PEER; /* of the connection, with streams that have all they want: the wire is cut */
    put_frame(&b, SETTINGS, 0, 0, DZ_S("\0\x04\x7F\xFF\xFF\xFF"));
    for (uint32_t id = 1; id < 20; id += 2)
        put_headers(&b, id, ENDS, PSEUDO("GET", "/file") ":authority\0a\0");
    AGAIN(UPDATE, 0, 0, DZ_S("\0\0\0\x01"));
    assert_null(strchr(nag(dz_buf_str(&b), dz_buf_str(&again)), 'G'));
    NEXT_PEER; /* streams that wait with no window */
    put_frame(&b, SETTINGS, 0, 0, DZ_S("\0\x04\0\0\0\0"));
    for (uint32_t id = 1; id < 2 * H2_STREAMS_MAX; id += 2)
        put_headers(&b, id, ENDS, GET_HELLO);
    AGAIN(PING, 0, 0, DZ_S("12345678"));
    const char *got = nag(dz_buf_str(&b), dz_buf_str(&again));
    assert_non_null(strstr(got, "R255:8"));
    assert_non_null(strstr(got, "R1:8"));
    rig_close();
    /* The same quickly: a frame of ours for each of theirs is a flood. */
    rig_open(NULL);
    NEXT_PEER;
    put_frame(&b, SETTINGS, 0, 0, DZ_S("\0\x04\0\0\0\0"));
    put_headers(&b, 1, ENDS, PSEUDO("GET", "/file") ":authority\0a\0");
    struct dz_http_test_conn *t = open_h2();
    dz_http_test_push(t, dz_buf_str(&b), false);
    AGAIN(UPDATE, 0, 1, DZ_S("\0\0\0\x01"));
    unsigned n = 0;
    for (; n < 5000 && !dz_http_test_closed(t); n++)
        dz_http_test_push(t, dz_buf_str(&again), false);
    assert_true(n > 1000 && n < 2100);
    assert_int_equal(goaway_code(t), 11);
    dz_http_test_free(&t);
    rig_close();
}

/* 6.9: a small window is no fault of a client that reads what it gets. */
static void small_windows_of_a_quick_reader(void **state)
{
    (void)state;
    static const char opened[] = "\0\0\0\x40";
    rig_open(NULL);
    PEER;
    NEXT_PEER;
    put_frame(&b, SETTINGS, 0, 0, (dz_str){"\0\x04\0\0\0\x40", 6}); /* 64 bytes */
    put_headers(&b, 1, ENDS, PSEUDO("GET", "/file") ":authority\0a\0");
    struct dz_http_test_conn *t = open_h2();
    dz_http_test_push(t, dz_buf_str(&b), false);
    AGAIN(UPDATE, 0, 0, (dz_str){opened, 4});
    AGAIN(UPDATE, 0, 1, (dz_str){opened, 4});
    for (unsigned n = 0; n < 3000; n++)
        dz_http_test_push(t, dz_buf_str(&again), false);
    assert_false(dz_http_test_closed(t));
    assert_int_equal(goaway_code(t), UINT32_MAX);
    dz_http_test_free(&t);
    rig_close();
}

/* CVE-2019-9517: windows wide open, and nobody reads. */
static void answers_that_nobody_takes(void **state)
{
    (void)state;
    rig_open(&quick);
    PEER;
    NEXT_PEER;
    put_frame(&b, SETTINGS, 0, 0, DZ_S("\0\x04\x7F\xFF\xFF\xFF"));
    put_frame(&b, UPDATE, 0, 0, DZ_S("\x7F\0\0\0"));
    for (uint32_t id = 1; id < 2 * H2_STREAMS_MAX; id += 2)
        put_headers(&b, id, ENDS, PSEUDO("GET", "/file") ":authority\0a\0");
    struct dz_http_test_conn *t = open_h2();
    dz_http_test_write_limit(t, 0);
    dz_http_test_push(t, dz_buf_str(&b), false);
    assert_true(newest()->rest.n - newest()->rest_at <= H2_OUT_BYTES);
    /* Acknowledgements pile up only so far: then nothing more is read. */
    AGAIN(PING, 0, 0, DZ_S("12345678"));
    for (int i = 0; i < 250; i++)
        dz_http_test_push(t, dz_buf_str(&again), false);
    assert_true(newest()->rest.cap <= 2 * H2_OUT_BYTES);
    while (!dz_http_test_closed(t)) {
        assert_others_served();
        dz_loop_turn(rig.loop, 5);
    }
    dz_http_test_free(&t);
    assert_null(lane()->conns);
    rig_close();
}

/* Idling is counted from the last request, not from the first pause. */
static void requests_keep_a_connection(void **state)
{
    (void)state;
    rig_open(&(struct dz_http_options){.idle_timeout_ms = 60000});
    PEER;
    NEXT_PEER;
    struct dz_http_test_conn *t = open_h2();
    dz_http_test_push(t, dz_buf_str(&b), false);
    struct dz_http_h2 *h = newest();
    int64_t first_ms = h->idle_due_ms, from_ms = dz_loop_now_ms(rig.loop);
    assert_true(first_ms > 0);
    while (dz_loop_now_ms(rig.loop) < from_ms + 3)
        dz_loop_turn(rig.loop, 1);
    AGAIN(PING, 0, 0, DZ_S("12345678"));
    dz_http_test_push(t, dz_buf_str(&again), false);
    assert_int_equal(h->idle_due_ms, first_ms);
    dz_buf_clear(&again);
    put_headers(&again, 1, ENDS, GET_HELLO);
    dz_http_test_push(t, dz_buf_str(&again), false);
    assert_true(h->idle_due_ms > first_ms);
    dz_http_test_free(&t);
    rig_close();
}

/* CVE-2019-9513, -9515, -9518 and CVE-2020-11080 in the forms that single frames do not show. */
static void costly_frames(void **state)
{
    (void)state;
    rig_open(NULL);
    PEER;
    NEXT_PEER; /* many settings in one frame */
    for (int i = 0; i < 1000; i++)
        dz_buf_put(&again, DZ_S("\0\x04\0\0\0\x10"));
    put_frame(&b, SETTINGS, 0, 0, dz_buf_str(&again));
    expect("6.5 a thousand settings at once", dz_buf_str(&b), "G11");
    NEXT_PEER;
    for (int i = 0; i < 3000; i++)
        put_frame(&b, 0x10, 0, 0, DZ_S("\0\0\0\x01u=1"));
    expect("RFC 9218 7.1 PRIORITY_UPDATE flood", dz_buf_str(&b), "G11");
    NEXT_PEER;
    put_headers(&b, 1, END_STREAM, GET_HELLO);
    for (int i = 0; i < 20; i++)
        put_frame(&b, CONTINUATION, 0, 1, (dz_str){0});
    expect("6.10 empty CONTINUATION frames", dz_buf_str(&b), "G11");
    NEXT_PEER;
    for (uint32_t id = 1; id < 4001; id += 2)
        put_frame(&b, HEADERS, ENDS, id, (dz_str){0});
    struct dz_http_test_conn *t = open_h2();
    dz_http_test_feed(t, dz_buf_str(&b), false);
    uint32_t code = goaway_code(t);
    assert_true(code == 1 || code == 11);
    assert_true(dz_http_test_closed(t));
    dz_http_test_free(&t);
    assert_none_wrong();
    rig_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(almost_no_progress),
        cmocka_unit_test(dribbled_windows),
        cmocka_unit_test(small_windows_of_a_quick_reader),
        cmocka_unit_test(answers_that_nobody_takes),
        cmocka_unit_test(requests_keep_a_connection),
        cmocka_unit_test(costly_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
