/*
 * test_h2_frames: what RFC 9113 says about frames, streams and messages, each by its clause, at
 * once and byte by byte; and floods.
 */
#include "h2_frames.h"

/* ---- clauses --------------------------------------------------------------------------------- */

/* One frame or two behind the start. */
struct raw {
    const char *clause;
    int type, flags;
    uint32_t id;
    const char *payload;
    size_t n;
    const char *want;
};
#define P(text) text, sizeof(text) - 1
#define OK_1 "H1 D1."

static const struct raw raws[] = {
    {"4.1 unknown types are ignored", 0x33, 0xFF, 7, P("abc"), ""},
    {"4.1 unknown flags are ignored", PING, 0xFE, 0, P("12345678"), ""},
    {"4.2 too long", PING, 0, 0, P("123456789"), "G6"},
    {"5.1 idle: DATA", DATA, END_STREAM, 1, P("x"), "G1"},
    {"5.1 idle: RST_STREAM", RST, 0, 1, P("\0\0\0\x08"), "G1"},
    {"5.1 idle: WINDOW_UPDATE", UPDATE, 0, 1, P("\0\0\0\x64"), "G1"},
    {"5.1 idle: CONTINUATION", CONTINUATION, END_HEADERS, 1, P(""), "G1"},
    {"5.1.1 even", HEADERS, ENDS, 2, P("\x82\x87\x84"), "G1"},
    {"5.1.1 zero", HEADERS, ENDS, 0, P("\x82\x87\x84"), "G1"},
    {"6.1 DATA on 0", DATA, 0, 0, P("x"), "G1"},
    {"6.3 PRIORITY on 0", PRIORITY, 0, 0, P("\0\0\0\0\0"), "G1"},
    {"6.3 PRIORITY for later is nothing", PRIORITY, 0, 9, P("\0\0\0\0\0"), ""},
    {"6.4 RST_STREAM on 0", RST, 0, 0, P("\0\0\0\x08"), "G1"},
    {"6.5 SETTINGS on a stream", SETTINGS, 0, 1, P(""), "G1"},
    {"6.5 SETTINGS not by six", SETTINGS, 0, 0, P("\0\x03\0"), "G6"},
    {"6.5 ACK with a payload", SETTINGS, ACK, 0, P("\0"), "G6"},
    {"6.5.2 ENABLE_PUSH is 0 or 1", SETTINGS, 0, 0, P("\0\x02\0\0\0\x02"), "G1"},
    {"6.5.2 window over 2^31-1", SETTINGS, 0, 0, P("\0\x04\x80\0\0\0"), "G3"},
    {"6.5.2 frame size too small", SETTINGS, 0, 0, P("\0\x05\0\0\x3F\xFF"), "G1"},
    {"6.5.2 frame size too big", SETTINGS, 0, 0, P("\0\x05\x01\0\0\0"), "G1"},
    {"6.5.2 unknown setting", SETTINGS, 0, 0, P("\0\xFF\0\0\0\x01"), ""},
    {"6.6, 8.4 PUSH_PROMISE from a client", PUSH, END_HEADERS, 1, P("\0\0\0\x02\x82\x87\x84"),
     "G1"},
    {"6.7 PING on a stream", PING, 0, 1, P("12345678"), "G1"},
    {"6.7 PING too short", PING, 0, 0, P("1234567"), "G6"},
    {"6.8 GOAWAY on a stream", GOAWAY, 0, 1, P("\0\0\0\0\0\0\0\0"), "G1"},
    {"6.9 increment 0", UPDATE, 0, 0, P("\0\0\0\0"), "G1"},
    {"6.9 length", UPDATE, 0, 0, P("\0\0\x01"), "G6"},
    {"6.9.1 connection window overflows", UPDATE, 0, 0, P("\x7F\xFF\xFF\xFF"), "G3"},
    {"6.10 CONTINUATION on 0", CONTINUATION, END_HEADERS, 0, P(""), "G1"},
    {"4.3 a broken header block", HEADERS, ENDS, 1, P("\x82\x87\x84\xFF\xFF\xFF\xFF\xFF\xFF"),
     "G9"},
    {"HPACK: index 0", HEADERS, ENDS, 1, P("\x80"), "G9"},
    {"HPACK: index of nothing", HEADERS, ENDS, 1, P("\xC6"), "G9"},
    {"HPACK: table larger than allowed", HEADERS, ENDS, 1, P("\x3F\xE2\x1F\x82\x87\x84"), "G9"},
    {"HPACK: size update in the middle", HEADERS, ENDS, 1, P("\x82\x87\x20\x84"), "G9"},
    {"6.2 padding longer than the frame", HEADERS, ENDS | PADDED, 1, P("\x09\x82\x87\x84"), "G1"},
};

static void frames(void **state)
{
    (void)state;
    for (size_t i = 0; i < DZ_LEN(raws); i++) {
        const struct raw *r = &raws[i];
        DZ_AUTO(dz_buf_done) struct dz_buf b;
        dz_buf_init(&b, 1 << 20);
        put_start(&b);
        put_frame(&b, r->type, r->flags, r->id, (dz_str){r->payload, r->n});
        /* A request behind it shows that the connection lives. */
        bool lives = r->want[0] == 0;
        if (lives)
            put_headers(&b, 11, ENDS, GET_HELLO);
        expect(r->clause, dz_buf_str(&b), lives ? "H11 D11." : r->want);
    }
    assert_none_wrong();
}

static void preface(void **state) /* 3.4 */
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 1 << 16);
    expect("3.4 no preface", DZ_S("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "G1");
    dz_buf_put(&b, DZ_S(PREFACE));
    put_frame(&b, PING, 0, 0, DZ_S("12345678"));
    expect("3.4 SETTINGS come first", dz_buf_str(&b), "G1");
    /* On a connection without TLS the preface is just another version. */
    assert_int_equal(status_of(ask(DZ_S(PREFACE))), 505);
    /* 6.5.3: ours are sent first, theirs are acknowledged. */
    struct dz_http_test_conn *t = open_h2();
    dz_buf_clear(&b);
    put_start(&b);
    dz_http_test_feed(t, dz_buf_str(&b), false);
    dz_str out = dz_http_test_output(t);
    struct frame f;
    assert_true(next_frame(&out, &f) && f.type == SETTINGS && !(f.flags & ACK));
    bool acked = false;
    while (next_frame(&out, &f))
        acked |= f.type == SETTINGS && (f.flags & ACK);
    assert_true(acked);
    dz_http_test_free(&t);
}

/* Requests that are malformed, 8.1.1, and those that are refused like those of HTTP/1.1. */
static void messages(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *clause, *fields, *want;
    } cases[] = {
        {"fine", GET_HELLO, OK_1},
        {"8.2 upper case", GET_HELLO "X-A\0b\0", "R1:1"},
        {"8.2.1 blank in a name", GET_HELLO "x a\0b\0", "R1:1"},
        {"8.2.1 line feed in a value", GET_HELLO "x-a\0b\nc\0", "R1:1"},
        {"8.2.1 blank before a value", GET_HELLO "x-a\0 b\0", "R1:1"},
        {"8.2.2 connection", GET_HELLO "connection\0close\0", "R1:1"},
        {"8.2.2 keep-alive", GET_HELLO "keep-alive\0" "1\0", "R1:1"},
        {"8.2.2 proxy-connection", GET_HELLO "proxy-connection\0close\0", "R1:1"},
        {"8.2.2 transfer-encoding", GET_HELLO "transfer-encoding\0chunked\0", "R1:1"},
        {"8.2.2 upgrade", GET_HELLO "upgrade\0x\0", "R1:1"},
        {"8.2.2 te", GET_HELLO "te\0gzip\0", "R1:1"},
        {"8.2.2 te: trailers", GET_HELLO "te\0trailers\0", OK_1},
        {"8.3 unknown pseudo-field", GET_HELLO ":x\0y\0", "R1:1"},
        {"8.3 pseudo-field of answers", GET_HELLO ":status\0" "200\0", "R1:1"},
        {"8.3 pseudo-field behind others", PSEUDO("GET", "/hello") "x\0y\0:authority\0a\0", "R1:1"},
        {"8.3.1 no method", ":scheme\0https\0:path\0/hello\0:authority\0a\0", "R1:1"},
        {"8.3.1 no scheme", ":method\0GET\0:path\0/hello\0:authority\0a\0", "R1:1"},
        {"8.3.1 no path", ":method\0GET\0:scheme\0https\0:authority\0a\0", "R1:1"},
        {"8.3.1 two methods", GET_HELLO ":method\0GET\0", "R1:1"},
        {"8.3.1 two schemes", GET_HELLO ":scheme\0https\0", "R1:1"},
        {"8.3.1 two paths", GET_HELLO ":path\0/hello\0", "R1:1"},
        {"8.3.1 empty path", PSEUDO("GET", "") ":authority\0a\0", "R1:1"},
        {"8.3.1 path without a slash", PSEUDO("GET", "hello") ":authority\0a\0", "R1:1"},
        {"8.3.1 star", PSEUDO("OPTIONS", "*") ":authority\0a\0", "H1."},
        {"8.3.1 star with GET", PSEUDO("GET", "*") ":authority\0a\0", "R1:1"},
        {"8.3.1 another scheme is a request that is refused", ":method\0GET\0:scheme\0ftp\0:path\0/hello\0:authority\0a\0", OK_1},
        {"8.5 CONNECT", ":method\0CONNECT\0:authority\0a:1\0", OK_1},
        {"8.3.1 host alone", PSEUDO("GET", "/hello") "host\0a\0", OK_1},
        {"8.3.1 host and authority", GET_HELLO "host\0A\0", OK_1},
        {"empty field block", "", "R1:1"},
    };
    /* clang-format on */
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        DZ_AUTO(dz_buf_done) struct dz_buf b;
        dz_buf_init(&b, 1 << 16);
        put_start(&b);
        put_headers(&b, 1, ENDS, cases[i].fields);
        expect(cases[i].clause, dz_buf_str(&b), cases[i].want);
    }
    assert_none_wrong();
}

/* Sequences of frames on streams. */
static void states(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 1 << 20);
    START;
    put_headers(&b, 1, ENDS, PSEUDO("GET", "/late/x") ":authority\0a\0");
    SEND(DATA, END_STREAM, 1, DZ_S("x"));
    expect("5.1 half-closed: DATA", dz_buf_str(&b), "G5");
    START;
    put_headers(&b, 1, ENDS, PSEUDO("GET", "/late/x") ":authority\0a\0");
    put_headers(&b, 1, ENDS, GET_HELLO);
    expect("5.1 half-closed: HEADERS", dz_buf_str(&b), "G5");
    START;
    put_headers(&b, 1, END_HEADERS, POST_ECHO);
    SEND(RST, 0, 1, DZ_S("\0\0\0\x08"));
    SEND(DATA, END_STREAM, 1, DZ_S("x"));
    expect("5.1 closed by RST_STREAM: DATA", dz_buf_str(&b), "G5");
    START;
    put_headers(&b, 1, END_HEADERS, POST_ECHO);
    SEND(RST, 0, 1, DZ_S("\0\0\0\x08"));
    SEND(RST, 0, 1, DZ_S("\0\0\0\x08"));
    SEND(UPDATE, 0, 1, DZ_S("\0\0\0\x08"));
    put_headers(&b, 3, ENDS, GET_HELLO);
    expect("5.1 closed: RST_STREAM and WINDOW_UPDATE are ignored", dz_buf_str(&b), "H3 D3.");
    START;
    put_headers(&b, 5, ENDS, GET_HELLO);
    put_headers(&b, 3, ENDS, GET_HELLO);
    const char *want[] = {"G1", "H5 D5. G1"}; /* as it is read at once or not */
    for (size_t step = b.n; step > 0; step = step > 1 ? 1 : 0) {
        struct dz_http_test_conn *t = open_h2();
        for (size_t at = 0; at < b.n && !dz_http_test_closed(t); at += step)
            dz_http_test_feed(t, dz_str_sub(dz_buf_str(&b), at, at + step), false);
        assert_string_equal(told(dz_http_test_output(t)), want[step == 1]);
        dz_http_test_free(&t);
    }
    assert_none_wrong();
}

static void blocks(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 1 << 20);
    START;
    put_headers(&b, 1, END_STREAM, GET_HELLO);
    SEND(PING, 0, 0, DZ_S("12345678"));
    expect("6.2 a header block is not interrupted", dz_buf_str(&b), "G1");
    START;
    put_headers(&b, 1, END_STREAM, GET_HELLO);
    SEND(CONTINUATION, END_HEADERS, 3, DZ_S(""));
    expect("6.10 CONTINUATION of another stream", dz_buf_str(&b), "G1");
    START;
    put_headers(&b, 1, END_STREAM, GET_HELLO);
    SEND(CONTINUATION, 0, 1, DZ_S(""));
    SEND(CONTINUATION, END_HEADERS, 1, DZ_S("\0\x01x\x01y"));
    expect("6.10 CONTINUATION", dz_buf_str(&b), OK_1);
    START;
    put_headers(&b, 1, END_STREAM, GET_HELLO);
    for (int i = 0; i < 20; i++)
        SEND(CONTINUATION, 0, 1, DZ_S("\0\x01x\x01y"));
    expect("CONTINUATION flood", dz_buf_str(&b), "G11");
    assert_none_wrong();
}

static void contents(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 1 << 20);
    START;
    put_headers(&b, 1, END_HEADERS,
                POST_ECHO "content-length\0"
                          "3\0");
    SEND(DATA, END_STREAM, 1, DZ_S("ab"));
    expect("8.1.1 less than content-length", dz_buf_str(&b), "R1:1");
    START;
    put_headers(&b, 1, END_HEADERS,
                POST_ECHO "content-length\0"
                          "3\0");
    SEND(DATA, 0, 1, DZ_S("abcd"));
    expect("8.1.1 more than content-length", dz_buf_str(&b), "R1:1");
    START;
    put_headers(&b, 1, END_HEADERS,
                POST_ECHO "content-length\0"
                          "3\0");
    SEND(DATA, PADDED, 1,
         DZ_S("\x02"
              "abc\0\0"));
    put_headers(&b, 1, ENDS, "x-trailer\0y\0");
    expect("8.1 trailers, 6.1 padding", dz_buf_str(&b), OK_1);
    START;
    put_headers(&b, 1, END_HEADERS, POST_ECHO);
    put_headers(&b, 1, END_HEADERS, "x-trailer\0y\0");
    expect("8.1 trailers end the stream", dz_buf_str(&b), "R1:1");
    START;
    put_headers(&b, 1, END_HEADERS, POST_ECHO);
    put_headers(&b, 1, ENDS, ":path\0/\0");
    expect("8.1 no pseudo-fields in trailers", dz_buf_str(&b), "R1:1");
    START;
    put_headers(&b, 1, END_HEADERS, POST_ECHO);
    SEND(UPDATE, 0, 1, DZ_S("\0\0\0\0"));
    expect("6.9 increment 0 of a stream; 5.4.1 allows more", dz_buf_str(&b), "G1");
    START;
    put_headers(&b, 1, END_HEADERS, POST_ECHO);
    SEND(UPDATE, 0, 1, DZ_S("\x7F\xFF\xFF\xFF"));
    expect("6.9.1 stream window overflows", dz_buf_str(&b), "R1:3");
    START;
    put_headers(&b, 1, END_HEADERS, POST_ECHO);
    SEND(PRIORITY, 0, 1, DZ_S("\0\0\0\0"));
    expect("6.3 PRIORITY length", dz_buf_str(&b), "G6");
    START;
    put_headers(&b, 1, END_HEADERS, POST_ECHO);
    SEND(RST, 0, 1, DZ_S("\0\0\0"));
    expect("6.4 RST_STREAM length", dz_buf_str(&b), "G6");
    START;
    put_headers(&b, 1, END_HEADERS, POST_ECHO);
    SEND(RST, 0, 1, DZ_S("\0\0\xFF\xFF"));
    SEND(GOAWAY, 0, 0, DZ_S("\0\0\0\0\0\0\xFF\xFF"));
    expect("7 unknown error codes", dz_buf_str(&b), "");
    START;
    put_headers(&b, 1, END_HEADERS, PSEUDO("POST", "/hello") ":authority\0a\0");
    expect("8.1 refused unread: the answer, then NO_ERROR", dz_buf_str(&b), "H1 D1. R1:0");
    assert_none_wrong();
}

/* ---- floods ---------------------------------------------------------------------------------- */

static void floods(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        int type, flags;
        uint32_t id;
        const char *payload;
        size_t n;
    } cases[] = {
        {"PING", PING, 0, 0, P("12345678")},
        {"PING answers", PING, ACK, 0, P("12345678")},
        {"SETTINGS", SETTINGS, 0, 0, P("")},
        {"PRIORITY", PRIORITY, 0, 3, P("\0\0\0\0\0")},
        {"WINDOW_UPDATE", UPDATE, 0, 0, P("\0\0\0\x01")},
        {"empty DATA", DATA, 0, 1, P("")},
        {"empty padded DATA", DATA, PADDED, 1, P("\x01\0")},
        {"unknown", 0x44, 0, 0, P("")},
        {"GOAWAY", GOAWAY, 0, 0, P("\0\0\0\0\0\0\0\0")},
        {"RST_STREAM", RST, 0, 1, P("\0\0\0\x08")},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        DZ_AUTO(dz_buf_done) struct dz_buf b;
        dz_buf_init(&b, 1 << 20);
        put_start(&b);
        put_headers(&b, 1, END_HEADERS, POST_ECHO);
        for (int k = 0; k < 3000; k++)
            put_frame(&b, cases[i].type, cases[i].flags, cases[i].id,
                      (dz_str){cases[i].payload, cases[i].n});
        struct dz_http_test_conn *t = open_h2();
        dz_http_test_feed(t, dz_buf_str(&b), false);
        const char *got = told(dz_http_test_output(t));
        if (!strstr(got, "G11") || !dz_http_test_closed(t))
            fail_msg("%s: %s", cases[i].what, got);
        dz_http_test_free(&t);
    }
}

/* What one stream of a flood is, and why it ends at once. */
static void put_victim(struct dz_buf *b, int kind, uint32_t id)
{
    switch (kind) {
    case 0: /* CVE-2023-44487 */
        put_headers(b, id, END_HEADERS, POST_ECHO);
        put_frame(b, RST, 0, id, DZ_S("\0\0\0\x08"));
        break;
    case 1: /* CVE-2025-8671: we have to reset */
        put_headers(b, id, END_HEADERS, POST_ECHO);
        put_frame(b, UPDATE, 0, id, DZ_S("\x7F\xFF\xFF\xFF"));
        break;
    case 2: /* CVE-2019-9514 */
        put_headers(b, id, ENDS, GET_HELLO "X\0y\0");
        break;
    case 3: /* the same by content */
        put_headers(b, id, END_HEADERS,
                    POST_ECHO "content-length\0"
                              "1\0");
        put_frame(b, DATA, END_STREAM, id, (dz_str){0});
        break;
    default: { /* CVE-2019-9516: fields without name and value */
        DZ_AUTO(dz_buf_done) struct dz_buf block;
        dz_buf_init(&block, 1000);
        put_fields(&block, GET_HELLO);
        dz_buf_put(&block, DZ_S("\0\0\0"));
        put_frame(b, HEADERS, ENDS, id, dz_buf_str(&block));
    }
    }
}

static void reset_floods(void **state) /* streams that end before they are answered */
{
    (void)state;
    for (int kind = 0; kind < 5; kind++) {
        DZ_AUTO(dz_buf_done) struct dz_buf b;
        dz_buf_init(&b, 1 << 20);
        dz_buf_put(&b, DZ_S(PREFACE)); /* without ACK: streams beyond the limit are refused alone */
        put_frame(&b, SETTINGS, 0, 0, (dz_str){0});
        for (uint32_t id = 1; id < 4001; id += 2)
            put_victim(&b, kind, id);
        struct dz_http_test_conn *t = open_h2();
        dz_http_test_feed(t, dz_buf_str(&b), false);
        dz_str out = dz_http_test_output(t);
        if (!dz_http_test_closed(t) || strcmp(told(dz_str_sub(out, out.n - 17, out.n)), "G11") != 0)
            fail_msg("kind %d: %s", kind, told(out));
        dz_http_test_free(&t);
    }
}

int main(void)
{
#define RIGGED(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        RIGGED(frames), RIGGED(preface),  RIGGED(messages), RIGGED(states),
        RIGGED(blocks), RIGGED(contents), RIGGED(floods),   RIGGED(reset_floods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
