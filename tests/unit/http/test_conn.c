/*
 * test_conn: the connection machine without a socket: answers in order, short writes, late replies,
 * bodies, time-outs.
 */
#include "rig.h"

#include "http/http_int.h"

#define HELLO "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"

static struct dz_http_test_conn *open_conn(void)
{
    return dz_http_test_open(rig.server, rig.loop);
}

/* Turns the loop until fn's condition holds. */
static void turn_until_closed(struct dz_http_test_conn *t)
{
    while (!dz_http_test_closed(t))
        dz_loop_turn(rig.loop, 5);
}

/* The statuses of all answers in out, which have bodies as their Content-Length says; as text "200
 * 404". */
static const char *statuses(dz_str out, struct dz_buf *text)
{
    dz_buf_clear(text);
    while (out.n > 0) {
        uint64_t length = 0;
        int status = status_of(out);
        dz_str length_text = header_of(out, "Content-Length");
        if (length_text.p)
            must(dz_str_u64(length_text, UINT64_MAX, &length, err));
        dz_buf_putf(text, "%s%d", text->n ? " " : "", status);
        dz_str body = body_of(out);
        assert_true(body.n >= length);
        out = dz_str_sub(body, (size_t)length, body.n);
    }
    return dz_buf_cstr(text);
}

static void pipelining(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, 1 << 16);
    const char *requests = HELLO
        "GET /late/one HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
        "GET /file HTTP/1.1\r\nHost: a\r\n\r\n"
        "POST /late/two HTTP/1.1\r\nHost: a\r\nX-Tag: t\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n0\r\n\r\n" HELLO "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        "GET /never-reached HTTP/1.1\r\nHost: a\r\n\r\n";
    size_t n = strlen(requests);
    for (size_t step = 1; step <= n; step = step < 80 ? step + 1 : step * 2) {
        struct dz_http_test_conn *t = open_conn();
        for (size_t at = 0; at < n && !dz_http_test_closed(t); at += step)
            dz_http_test_feed(t, dz_str_sub((dz_str){requests, n}, at, at + step), false);
        dz_str out = dz_http_test_output(t);
        assert_string_equal(statuses(out, &text), "200 200 404 200 200 200 200 200");
        assert_true(dz_http_test_closed(t));
        assert_true(dz_str_find(out, DZ_S("/late/one")) != DZ_NPOS);
        assert_true(dz_str_find(out, DZ_S("/late/twoabct")) != DZ_NPOS);
        dz_http_test_free(&t);
    }
}

/* More answers than the batch holds, with large ones between. */
static void long_pipeline(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf requests, text;
    dz_buf_init(&requests, 1 << 20);
    dz_buf_init(&text, 1 << 20);
    for (int i = 0; i < 1000; i++)
        dz_buf_put(&requests,
                   i % 100 == 99 ? DZ_S("GET /file HTTP/1.1\r\nHost: a\r\n\r\n") : DZ_S(HELLO));
    struct dz_http_test_conn *t = open_conn();
    dz_http_test_feed(t, dz_buf_str(&requests), false);
    const char *all = statuses(dz_http_test_output(t), &text);
    assert_int_equal(strlen(all), 4 * 1000 - 1);
    for (size_t i = 0; i < 1000; i++)
        assert_memory_equal(all + 4 * i, "200", 3);
    dz_http_test_free(&t);
}

/* Every answer is the same however little the wire takes at a time. */
static void short_writes(void **state)
{
    (void)state;
    static const char *const requests[] = {
        HELLO,
        HELLO HELLO,
        "GET /text HTTP/1.1\r\nHost: a\r\n\r\n" HELLO,
        "GET /file HTTP/1.1\r\nHost: a\r\nRange: bytes=5-1000\r\n\r\n" HELLO,
        "GET /late/x HTTP/1.1\r\nHost: a\r\n\r\n" HELLO,
        "GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /bad\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    };
    for (size_t i = 0; i < DZ_LEN(requests); i++) {
        DZ_AUTO(dz_buf_done) struct dz_buf want;
        dz_buf_init(&want, 1 << 20);
        for (size_t limit = 1000000; limit > 0; limit = limit == 1000000 ? 400 : limit - 1) {
            struct dz_http_test_conn *t = open_conn();
            dz_http_test_write_limit(t, limit);
            dz_http_test_feed(t, dz_str_of(requests[i]), false);
            if (i == 7)
                dz_http_test_feed(t, DZ_S("abc" HELLO), false);
            if (limit == 1000000)
                dz_buf_put(&want, dz_http_test_output(t));
            assert_true(want.n > 20 && dz_str_eq(dz_http_test_output(t), dz_buf_str(&want)));
            dz_http_test_free(&t);
        }
    }
    /* The whole file in pieces of a size that divides nothing. */
    struct dz_http_test_conn *t = open_conn();
    dz_http_test_write_limit(t, 997);
    dz_http_test_feed(t, DZ_S("GET /file HTTP/1.1\r\nHost: a\r\n\r\n"), false);
    dz_str body = body_of(dz_http_test_output(t));
    assert_int_equal(body.n, RIG_FILE_BYTES);
    for (uint64_t at = 0; at < RIG_FILE_BYTES; at += 101)
        assert_int_equal(body.p[at], rig_file_byte(at));
    dz_http_test_free(&t);
}

/* What waits to be written keeps its bytes although the owner lets go of them. */
static void kept_bytes(void **state)
{
    (void)state;
    struct dz_http_test_conn *t = open_conn();
    dz_http_test_write_limit(t, 0);
    dz_http_test_feed(
        t, DZ_S("GET /file HTTP/1.1\r\nHost: a\r\nRange: bytes=0-9,9990-9999\r\n\r\n"), false);
    dz_body_unref(&rig.file_head);
    dz_file_unref(&rig.file);
    assert_int_equal(dz_http_test_output(t).n, 0);
    dz_http_test_write_limit(t, 7);
    dz_http_test_feed(t, (dz_str){0}, false);
    dz_str out = dz_http_test_output(t);
    assert_int_equal(status_of(out), 206);
    uint64_t length;
    must(dz_str_u64(header_of(out, "Content-Length"), UINT64_MAX, &length, err));
    assert_int_equal(body_of(out).n, length);
    dz_http_test_free(&t);
}

static void uploads(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf plain, chunked;
    dz_buf_init(&plain, 1 << 20);
    dz_buf_init(&chunked, 1 << 20);
    const size_t n = 70000;
    dz_buf_put(&plain, DZ_S("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n"));
    dz_buf_put(&chunked,
               DZ_S("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for (size_t at = 0, chunk = 1; at < n; at += chunk, chunk += 13) {
        if (chunk > n - at)
            chunk = n - at;
        dz_buf_putf(&chunked, "%zX;x=y\r\n", chunk);
        for (size_t i = at; i < at + chunk; i++) {
            dz_buf_putc(&plain, rig_file_byte(i));
            dz_buf_putc(&chunked, rig_file_byte(i));
        }
        dz_buf_put(&chunked, DZ_S("\r\n"));
    }
    dz_buf_put(&chunked, DZ_S("0\r\nTrailer: x\r\n\r\n"));
    const struct dz_buf *forms[] = {&plain, &chunked};
    for (size_t f = 0; f < 2; f++) {
        for (size_t step = 7; step <= 100000; step *= 7) {
            struct dz_http_test_conn *t = open_conn();
            for (size_t at = 0; at < forms[f]->n; at += step)
                dz_http_test_feed(t, dz_str_sub(dz_buf_str(forms[f]), at, at + step), false);
            dz_str body = body_of(dz_http_test_output(t));
            assert_int_equal(body.n, n);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(body.p[i], rig_file_byte(i));
            dz_http_test_free(&t);
        }
    }
}

static void continue_100(void **state)
{
    (void)state;
    struct dz_http_test_conn *t = open_conn();
    dz_http_test_feed(
        t,
        DZ_S("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n"),
        false);
    assert_text(dz_http_test_output(t), "HTTP/1.1 100 Continue\r\n\r\n");
    dz_http_test_feed(t, DZ_S("abc"), false);
    dz_str out = dz_http_test_output(t);
    out = dz_str_sub(out, 25, out.n);
    assert_int_equal(status_of(out), 200);
    assert_text(body_of(out), "abc");
    dz_http_test_free(&t);
    /* A client that does not wait is not told; one that would be refused is not asked for its body.
     * */
    assert_int_equal(status_of(ask(DZ_S("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: "
                                        "100-continue\r\nContent-Length: 3\r\n\r\nabc"))),
                     200);
    assert_int_equal(status_of(ask(DZ_S("POST /hello HTTP/1.1\r\nHost: a\r\nExpect: "
                                        "100-continue\r\nContent-Length: 3\r\n\r\n"))),
                     405);
    assert_int_equal(status_of(ask(DZ_S("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: "
                                        "100-continue\r\nContent-Length: 99999999999\r\n\r\n"))),
                     413);
}

static void half_closed(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, 1 << 16);
    static const struct {
        const char *request, *statuses;
    } cases[] = {
        {HELLO "GET /late/x HTTP/1.1\r\nHost: a\r\n\r\n" HELLO, "200 200 200"},
        {HELLO "GET /hel", "200 400"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab", "400"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\n", "200"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc", "400"},
        {"", ""},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        struct dz_http_test_conn *t = open_conn();
        dz_http_test_feed(t, dz_str_of(cases[i].request), true);
        assert_string_equal(statuses(dz_http_test_output(t), &text), cases[i].statuses);
        assert_true(dz_http_test_closed(t));
        dz_http_test_free(&t);
    }
}

/* A client that leaves while its answer is being made: the handler's late reply falls on nothing
 * and harms nobody. */
static void gone_before_reply(void **state)
{
    (void)state;
    struct dz_http_test_conn *t = open_conn();
    dz_http_test_write_limit(t,
                             0); /* the wait of feed ends with the reply, which cannot be written */
    dz_http_test_feed(t, DZ_S("GET /late/x HTTP/1.1\r\nHost: a\r\n\r\n" HELLO), false);
    dz_http_test_free(&t);
    assert_int_equal(status_of(ask(DZ_S(HELLO))), 200);
}

static struct dz_http_req *parked[3];
static size_t parked_n;

static void park(struct dz_http_req *r)
{
    if (dz_str_eq(r->path, DZ_S("/wake"))) {
        for (size_t i = 0; i < parked_n; i++)
            dz_http_reply_text(parked[i], 200, DZ_S("text/plain"), (dz_str){0}, parked[i]->path);
        parked_n = 0;
        dz_http_reply_text(r, 200, DZ_S("text/plain"), (dz_str){0}, DZ_S("woken"));
        return;
    }
    assert_false(dz_http_is_gone(r));
    dz_http_defer(r);
    parked[parked_n++] = r;
}

/* One handler replies to requests of other connections; those go on with what they have read
 * already. */
static void replies_from_another_handler(void **state)
{
    (void)state;
    rig_open(&(struct dz_http_options){.fallback = park});
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, 1 << 16);
    struct dz_http_test_conn *t[3];
    static const char *const requests[] = {
        ("GET /a HTTP/1.1\r\nHost: a\r\n\r\n" HELLO HELLO),
        "GET /b HTTP/1.1\r\nHost: a\r\n\r\nGET /hel",
        ("GET /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" HELLO)};
    static const char *const want[] = {"200 200 200", "200", "200"};
    for (size_t i = 0; i < 3; i++) {
        t[i] = open_conn();
        dz_http_test_push(t[i], dz_str_of(requests[i]), false);
        assert_int_equal(dz_http_test_output(t[i]).n, 0);
    }
    assert_text(body_of(ask(DZ_S("GET /wake HTTP/1.1\r\nHost: a\r\n\r\n"))), "woken");
    for (size_t i = 0; i < 3; i++) {
        dz_http_test_feed(t[i], (dz_str){0}, false);
        assert_string_equal(statuses(dz_http_test_output(t[i]), &text), want[i]);
    }
    assert_true(dz_http_test_closed(t[2]));
    for (size_t i = 0; i < 3; i++)
        dz_http_test_free(&t[i]);
    /* The same for clients that have gone meanwhile. */
    for (size_t i = 0; i < 3; i++) {
        t[i] = open_conn();
        dz_http_test_push(t[i], dz_str_of(requests[i]), false);
        dz_http_test_free(&t[i]);
        assert_true(dz_http_is_gone(parked[i]));
    }
    assert_int_equal(status_of(ask(DZ_S("GET /wake HTTP/1.1\r\nHost: a\r\n\r\n"))), 200);
    rig_close();
}

static const struct dz_http_options quick = {
    .header_timeout_ms = 30, .body_timeout_ms = 30, .idle_timeout_ms = 40, .max_body_bytes = 1000};

static void timeouts(void **state)
{
    (void)state;
    rig_open(&quick);
    static const struct {
        const char *request;
        int status; /* of the last answer; 0: it just closes */
        size_t limit;
    } cases[] = {
        {"", 0, 0},
        {"GET /hel", 408, 1},
        {"GET /hello HTTP/1.1\r\nHost: a\r\n", 408, 1},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", 408, 1},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", 408, 1},
        {HELLO, 200, 1},
        {"GET /file HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        struct dz_http_test_conn *t = open_conn();
        if (cases[i].limit == 0)
            dz_http_test_write_limit(t, 0);
        dz_http_test_feed(t, dz_str_of(cases[i].request), false);
        turn_until_closed(t);
        if (cases[i].status)
            assert_int_equal(status_of(dz_http_test_output(t)), cases[i].status);
        else
            assert_int_equal(dz_http_test_output(t).n, 0);
        dz_http_test_free(&t);
    }
    rig_close();
}

/* Bytes that trickle keep a head no longer than its time allows, nor a body below the least rate.
 * */
static void trickle(void **state)
{
    (void)state;
    rig_open(&quick);
    static const char *const starts[] = {
        "GET /", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n"};
    for (size_t i = 0; i < 2; i++) {
        struct dz_http_test_conn *t = open_conn();
        dz_http_test_feed(t, dz_str_of(starts[i]), false);
        while (!dz_http_test_closed(t)) {
            dz_loop_turn(rig.loop, 10);
            if (!dz_http_test_closed(t))
                dz_http_test_feed(t, DZ_S("x"), false);
        }
        assert_int_equal(status_of(dz_http_test_output(t)), 408);
        dz_http_test_free(&t);
    }
    rig_close();
}

static void limits_change(void **state)
{
    (void)state;
    rig_open(&quick);
    const dz_str request = DZ_S("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
    assert_int_equal(status_of(ask(request)), 413);
    dz_http_update(rig.server, &(struct dz_http_options){.max_body_bytes = 2000});
    assert_int_equal(ask(request).n, 0);
    dz_http_update(rig.server, &(struct dz_http_options){.max_header_bytes = 30});
    assert_int_equal(status_of(ask(request)), 431);
    rig_close();
}

/* Many large bodies that never end together may not take all the memory. */
static void bodies_have_a_sum(void **state)
{
    (void)state;
    rig_open(&(struct dz_http_options){.max_body_bytes = 64 * DZ_MIB});
    struct dz_http_test_conn *t[5];
    char *bytes = dz_zalloc(DZ_MIB);
    for (size_t i = 0; i < 5; i++) {
        t[i] = open_conn();
        dz_http_test_push(
            t[i], DZ_S("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 67108864\r\n\r\n"),
            false);
        for (int k = 0; k < 63; k++)
            dz_http_test_push(t[i], (dz_str){bytes, DZ_MIB}, false);
        assert_int_equal(dz_http_test_closed(t[i]), i == 4);
    }
    assert_int_equal(status_of(dz_http_test_output(t[4])), 503);
    assert_int_equal(status_of(ask(DZ_S(HELLO))), 200);
    for (size_t i = 0; i < 5; i++)
        dz_http_test_free(&t[i]);
    assert_int_equal(
        ask(DZ_S("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 67108864\r\n\r\nx")).n, 0);
    free(bytes);
    rig_close();
}

static unsigned accesses;
static void on_access(void *app, const struct dz_http_req *r, int status, uint64_t bytes,
                      int64_t ns)
{
    (void)r;
    assert_ptr_equal(app, &accesses);
    assert_true(ns >= 0);
    accesses = accesses * 1000 + (unsigned)status + (unsigned)bytes;
}

static void access_log(void **state)
{
    (void)state;
    rig_open(&(struct dz_http_options){.access = on_access, .app = &accesses});
    accesses = 0;
    ask(DZ_S(HELLO));
    assert_int_equal(accesses, 211);
    ask(DZ_S("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_int_equal(accesses, 211200);
    ask(DZ_S("nonsense\r\n\r\n"));
    assert_true(accesses > 211200400);
    rig_close();
}

int main(void)
{
#define RIGGED(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        RIGGED(pipelining),
        RIGGED(long_pipeline),
        RIGGED(short_writes),
        RIGGED(kept_bytes),
        RIGGED(uploads),
        RIGGED(continue_100),
        RIGGED(half_closed),
        RIGGED(gone_before_reply),
        cmocka_unit_test(replies_from_another_handler),
        cmocka_unit_test(timeouts),
        cmocka_unit_test(trickle),
        cmocka_unit_test(limits_change),
        cmocka_unit_test(bodies_have_a_sum),
        cmocka_unit_test(access_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
