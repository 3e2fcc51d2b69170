/*
 * test_parse: the request grammar, clause by clause. Each row is sent whole, byte by byte and in
 * every two pieces: the answer and what becomes of the connection must be the same.
 */
#include "rig.h"

#include "http/http_int.h"

#define OK "GET /hello HTTP/1.1\r\nHost: a\r\n"
#define POST "POST /echo HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

struct row {
    const char *clause;
    dz_str request;
    int status; /* 0: no answer, it waits for more */
    bool closes;
};

/* clang-format off */
static const struct row rows[] = {
    {"9112 2.1 whole", DZ_S(OK "\r\n"), 200, false},
    {"9112 2.1 incomplete", DZ_S(OK), 0, false},
    {"9112 2.2 one empty line first", DZ_S("\r\n" OK "\r\n"), 200, false},
    {"9112 2.2 two empty lines first", DZ_S("\r\n\r\n" OK "\r\n"), 400, true},
    {"9112 2.2 bare LF in request line", DZ_S("GET /hello HTTP/1.1\nHost: a\r\n\r\n"), 400, true},
    {"9112 2.2 bare LF in a field", DZ_S("GET /hello HTTP/1.1\r\nHost: a\n\r\n"), 400, true},
    {"9112 2.2 bare LF at the end", DZ_S(OK "\n"), 400, true},
    {"9112 2.2 bare CR in request line", DZ_S("GET /hello\r HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 2.2 bare CR in a value", DZ_S(OK "X: a\rb\r\n\r\n"), 400, true},
    {"9112 2.2 blank before the first field", DZ_S("GET /hello HTTP/1.1\r\n Host: a\r\n\r\n"), 400, true},
    {"9112 2.2 CR CR LF", DZ_S("GET /hello HTTP/1.1\r\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 2.3 HTTP/1.0", DZ_S("GET /hello HTTP/1.0\r\n\r\n"), 200, true},
    {"9112 2.3 HTTP/1.0 with Host", DZ_S("GET /hello HTTP/1.0\r\nHost: a\r\n\r\n"), 200, true},
    {"9112 2.3 a later minor version", DZ_S("GET /hello HTTP/1.7\r\nHost: a\r\n\r\n"), 200, false},
    {"9112 2.3 major version 2", DZ_S("GET /hello HTTP/2.0\r\nHost: a\r\n\r\n"), 505, true},
    {"9113 3.4 preface", DZ_S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505, true},
    {"9112 2.3 major version 0", DZ_S("GET /hello HTTP/0.9\r\n\r\n"), 505, true},
    {"9112 2.3 lower case", DZ_S("GET /hello http/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 2.3 two digits", DZ_S("GET /hello HTTP/1.10\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 2.3 no minor", DZ_S("GET /hello HTTP/1\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 3 HTTP/0.9", DZ_S("GET /hello\r\n"), 400, true},
    {"9112 3 two blanks", DZ_S("GET  /hello HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 3 two blanks before the version", DZ_S("GET /hello  HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 3 TAB between", DZ_S("GET\t/hello HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 3 blank at the end", DZ_S("GET /hello HTTP/1.1 \r\nHost: a\r\n\r\n"), 400, true},
    {"9112 3 blank at the start", DZ_S(" GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 3 a TLS hello", DZ_S("\x16\x03\x01\x02\x00\x01"), 400, true},
    {"9112 3.1 method is no token", DZ_S("G(T /hello HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 3.1 unknown method", DZ_S("FROB /hello HTTP/1.1\r\nHost: a\r\n\r\n"), 501, false},
    {"9112 3.1 methods know case", DZ_S("get /hello HTTP/1.1\r\nHost: a\r\n\r\n"), 501, false},
    {"9112 3.1 unknown method that a route takes", DZ_S("FROB /any HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false},
    {"9112 3.2 control in the target", DZ_S("GET /he\x01llo HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 3.2 NUL in the target", DZ_S("GET /he\0llo HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 3.2 raw byte over 127", DZ_S("GET /h\xC3\xA4 HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 3.2 fragment", DZ_S("GET /hello#x HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 3.2 no Host", DZ_S("GET /hello HTTP/1.1\r\n\r\n"), 400, true},
    {"9112 3.2 two Hosts", DZ_S(OK "Host: a\r\n\r\n"), 400, true},
    {"9112 3.2 empty Host", DZ_S("GET /hello HTTP/1.1\r\nHost:\r\n\r\n"), 400, true},
    {"9112 3.2 Host with a path", DZ_S("GET /hello HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400, true},
    {"9112 3.2 Host with a user", DZ_S("GET /hello HTTP/1.1\r\nHost: u@a\r\n\r\n"), 400, true},
    {"9112 3.2 Host with a blank", DZ_S("GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n"), 400, true},
    {"9112 3.2 Host as a list", DZ_S("GET /hello HTTP/1.1\r\nHost: a\tb\r\n\r\n"), 400, true},
    {"9112 3.2 Host with a port", DZ_S("GET /hello HTTP/1.1\r\nHost: a:8080\r\n\r\n"), 200, false},
    {"9112 3.2 Host with an empty port", DZ_S("GET /hello HTTP/1.1\r\nHost: a:\r\n\r\n"), 200, false},
    {"9112 3.2 Host with a port too big", DZ_S("GET /hello HTTP/1.1\r\nHost: a:65536\r\n\r\n"), 400, true},
    {"9112 3.2 Host with no number for a port", DZ_S("GET /hello HTTP/1.1\r\nHost: a:x\r\n\r\n"), 400, true},
    {"9112 3.2 Host IPv6", DZ_S("GET /hello HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), 200, false},
    {"9112 3.2 Host IPv6 unclosed", DZ_S("GET /hello HTTP/1.1\r\nHost: [::1\r\n\r\n"), 400, true},
    {"9112 3.2 Host IPv6 and letters", DZ_S("GET /hello HTTP/1.1\r\nHost: [::1]x\r\n\r\n"), 400, true},
    {"9112 3.2 Host with a bad escape", DZ_S("GET /hello HTTP/1.1\r\nHost: a%2\r\n\r\n"), 400, true},
    {"9112 3.2 Host in HTTP/1.0 is checked too", DZ_S("GET /hello HTTP/1.0\r\nHost: a/b\r\n\r\n"), 400, true},
    {"9112 3.2.1 no slash", DZ_S("GET hello HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 3.2.2 absolute-form", DZ_S("GET http://b/hello HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false},
    {"9112 3.2.2 absolute-form, scheme without case", DZ_S("GET HTTP://b:80/hello HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false},
    {"9112 3.2.2 absolute-form without Host", DZ_S("GET http://b/hello HTTP/1.1\r\n\r\n"), 400, true},
    {"9112 3.2.2 absolute-form with a user", DZ_S("GET http://u:p@b/hello HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 3.2.2 absolute-form without authority", DZ_S("GET http:///hello HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 3.2.2 another scheme", DZ_S("GET ftp://b/hello HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"9112 3.2.3 CONNECT", DZ_S("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"), 501, true},
    {"9112 3.2.4 OPTIONS *", DZ_S("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false},
    {"9112 3.2.4 GET *", DZ_S("GET * HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"3986 2.1 escape cut short", DZ_S("GET /hello%4 HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"3986 2.1 escape of no hex", DZ_S("GET /hell%zz HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"3986 2.1 escaped NUL", DZ_S("GET /hello%00 HTTP/1.1\r\nHost: a\r\n\r\n"), 400, true},
    {"3986 2.1 escaped letter", DZ_S("GET /%68ello HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false},
    {"3986 2.1 decoded once only", DZ_S("GET /%2568ello HTTP/1.1\r\nHost: a\r\n\r\n"), 404, false},
    {"9112 5 no colon", DZ_S(OK "X\r\n\r\n"), 400, true},
    {"9112 5 empty name", DZ_S(OK ": x\r\n\r\n"), 400, true},
    {"9112 5 name is no token", DZ_S(OK "X(: x\r\n\r\n"), 400, true},
    {"9112 5 NUL in a name", DZ_S(OK "X\0: x\r\n\r\n"), 400, true},
    {"9112 5.1 blank before the colon", DZ_S(OK "X : x\r\n\r\n"), 400, true},
    {"9112 5.1 TAB before the colon", DZ_S("GET /hello HTTP/1.1\r\nHost\t: a\r\n\r\n"), 400, true},
    {"9112 5.1 no blank after the colon", DZ_S("GET /hello HTTP/1.1\r\nHost:a\r\n\r\n"), 200, false},
    {"9112 5.1 blanks around a value", DZ_S("GET /hello HTTP/1.1\r\nHost: \t a \t \r\n\r\n"), 200, false},
    {"9112 5.2 folded line", DZ_S(OK "X: a\r\n b\r\n\r\n"), 400, true},
    {"9112 5.2 folded with TAB", DZ_S(OK "X: a\r\n\tb\r\n\r\n"), 400, true},
    {"9110 5.5 NUL in a value", DZ_S(OK "X: a\0b\r\n\r\n"), 400, true},
    {"9110 5.5 control in a value", DZ_S(OK "X: a\x0B" "b\r\n\r\n"), 400, true},
    {"9110 5.5 DEL in a value", DZ_S(OK "X: abcdefghijkl\x7Fmnop\r\n\r\n"), 400, true},
    {"9110 5.5 TAB in a value", DZ_S(OK "X: abcdefghijkl\tmnop\r\n\r\n"), 200, false},
    {"9110 5.5 obs-text in a value", DZ_S(OK "X: abc\xFF\x80\xC3\xA4\r\n\r\n"), 200, false},
    {"9110 5.5 empty value", DZ_S(OK "X:\r\nY: \r\n\r\n"), 200, false},
    {"9112 6.1 TE and CL", DZ_S(POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400, true},
    {"9112 6.1 TE in HTTP/1.0", DZ_S("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400, true},
    {"9112 6.1 not chunked at last", DZ_S(POST "Transfer-Encoding: gzip\r\n\r\n"), 400, true},
    {"9112 6.1 chunked twice", DZ_S(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), 400, true},
    {"9112 6.1 chunked not last", DZ_S(POST "Transfer-Encoding: chunked, gzip\r\n\r\n"), 400, true},
    {"9112 6.1 another coding before chunked", DZ_S(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501, true},
    {"9112 6.1 nearly chunked", DZ_S(POST "Transfer-Encoding: xchunked\r\n\r\n"), 400, true},
    {"9112 6.1 quoted", DZ_S(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), 400, true},
    {"9112 6.1 with a parameter", DZ_S(POST "Transfer-Encoding: chunked;x=1\r\n\r\n"), 400, true},
    {"9112 6.1 empty", DZ_S(POST "Transfer-Encoding:\r\n\r\n"), 400, true},
    {"9112 6.1 two lines", DZ_S(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, true},
    {"9112 6.1 case does not matter", DZ_S(POST "transfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n"), 200, false},
    {"9112 6.2 length", DZ_S(POST "Content-Length: 3\r\n\r\nabc"), 200, false},
    {"9112 6.2 length with zeros", DZ_S(POST "Content-Length: 003\r\n\r\nabc"), 200, false},
    {"9112 6.2 length 0", DZ_S(POST "Content-Length: 0\r\n\r\n"), 200, false},
    {"9112 6.2 short body waits", DZ_S(POST "Content-Length: 3\r\n\r\nab"), 0, false},
    {"9112 6.3 two lengths", DZ_S(POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"), 400, true},
    {"9112 6.3 two equal lengths", DZ_S(POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), 400, true},
    {"9112 6.3 list of lengths", DZ_S(POST "Content-Length: 3, 3\r\n\r\nabc"), 400, true},
    {"9112 6.3 plus sign", DZ_S(POST "Content-Length: +3\r\n\r\nabc"), 400, true},
    {"9112 6.3 minus sign", DZ_S(POST "Content-Length: -3\r\n\r\nabc"), 400, true},
    {"9112 6.3 hexadecimal", DZ_S(POST "Content-Length: 0x3\r\n\r\nabc"), 400, true},
    {"9112 6.3 blank inside", DZ_S(POST "Content-Length: 1 2\r\n\r\nabc"), 400, true},
    {"9112 6.3 empty", DZ_S(POST "Content-Length:\r\n\r\nabc"), 400, true},
    {"9112 6.3 overflow", DZ_S(POST "Content-Length: 18446744073709551619\r\n\r\nabc"), 400, true},
    {"9110 15.5.14 over the limit", DZ_S(POST "Content-Length: 999999999999\r\n\r\n"), 413, true},
    {"9110 15.5.14 body of a GET over its limit", DZ_S(OK "Content-Length: 65537\r\n\r\n"), 413, true},
    {"9110 9.3.1 body of a GET", DZ_S(OK "Content-Length: 3\r\n\r\nabc"), 200, false},
    {"9112 7.1 chunks", DZ_S(CHUNKED "3\r\nabc\r\n0\r\n\r\n"), 200, false},
    {"9112 7.1 size of many digits", DZ_S(CHUNKED "003\r\nabc\r\n00\r\n\r\n"), 200, false},
    {"9112 7.1 no size", DZ_S(CHUNKED "\r\nabc\r\n0\r\n\r\n"), 400, true},
    {"9112 7.1 sign", DZ_S(CHUNKED "+3\r\nabc\r\n0\r\n\r\n"), 400, true},
    {"9112 7.1 0x", DZ_S(CHUNKED "0x3\r\nabc\r\n0\r\n\r\n"), 400, true},
    {"9112 7.1 overflow", DZ_S(CHUNKED "10000000000000003\r\nabc\r\n0\r\n\r\n"), 400, true},
    {"9112 7.1 over the limit", DZ_S(CHUNKED "fffffffffff\r\nabc"), 413, true},
    {"9112 7.1 data longer than its size", DZ_S(CHUNKED "3\r\nabcd\r\n0\r\n\r\n"), 400, true},
    {"9112 7.1 data shorter than its size", DZ_S(CHUNKED "4\r\nabc\r\n0\r\n\r\n"), 400, true},
    {"9112 7.1 bare LF after the size", DZ_S(CHUNKED "3\nabc\r\n0\r\n\r\n"), 400, true},
    {"9112 7.1 bare LF after the data", DZ_S(CHUNKED "3\r\nabc\n0\r\n\r\n"), 400, true},
    {"9112 7.1 bare CR after the size", DZ_S(CHUNKED "3\rabc\r\n0\r\n\r\n"), 400, true},
    {"9112 7.1 blank after the size", DZ_S(CHUNKED "3 \r\nabc\r\n0\r\n\r\n"), 400, true},
    {"9112 7.1.1 extension", DZ_S(CHUNKED "3;a=b;c=\"d\"\r\nabc\r\n0;x\r\n\r\n"), 200, false},
    {"9112 7.1.1 extension after bad blanks", DZ_S(CHUNKED "3 \t;a\r\nabc\r\n0\r\n\r\n"), 200, false},
    {"9112 7.1.1 LF in an extension", DZ_S(CHUNKED "3;a\nb\r\nabc\r\n0\r\n\r\n"), 400, true},
    {"9112 7.1.1 NUL in an extension", DZ_S(CHUNKED "3;a\0b\r\nabc\r\n0\r\n\r\n"), 400, true},
    {"9112 7.1.2 trailer", DZ_S(CHUNKED "3\r\nabc\r\n0\r\nX: y\r\nContent-Length: 9\r\n\r\n"), 200, false},
    {"9112 7.1.2 trailer without a colon", DZ_S(CHUNKED "0\r\nX\r\n\r\n"), 400, true},
    {"9112 7.1.2 trailer with an empty name", DZ_S(CHUNKED "0\r\n: x\r\n\r\n"), 400, true},
    {"9112 7.1.2 trailer with a blank name", DZ_S(CHUNKED "0\r\n X: x\r\n\r\n"), 400, true},
    {"9112 7.1.2 bare LF at the end", DZ_S(CHUNKED "0\r\n\n"), 400, true},
    {"9112 9.3 close", DZ_S(OK "Connection: close\r\n\r\n"), 200, true},
    {"9112 9.3 close in a list, any case", DZ_S(OK "Connection: x, CLOSE\r\n\r\n"), 200, true},
    {"9112 9.3 close in a second line", DZ_S(OK "Connection: keep-alive\r\nConnection: close\r\n\r\n"), 200, true},
    {"9112 9.3 keep-alive in HTTP/1.0", DZ_S("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), 200, false},
    {"9110 10.1.1 another expectation", DZ_S(OK "Expect: tea\r\n\r\n"), 417, true},
    {"9110 10.1.1 none in HTTP/1.0", DZ_S("GET /hello HTTP/1.0\r\nExpect: tea\r\n\r\n"), 200, true},
    {"9110 9.3.2 HEAD", DZ_S("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n"), 200, false},
    {"9110 15.5.6 wrong method", DZ_S("DELETE /hello HTTP/1.1\r\nHost: a\r\n\r\n"), 405, false},
    {"9110 15.5.6 wrong method with a body", DZ_S("POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"), 405, true},
    {"9110 15.6.1 a handler without an answer", DZ_S("GET /never HTTP/1.1\r\nHost: a\r\n\r\n"), 500, false},
};
/* clang-format on */

struct outcome {
    struct dz_buf out;
    bool closed;
};

static void send_pieces(dz_str request, size_t first, size_t step, struct outcome *ret)
{
    struct dz_http_test_conn *t = dz_http_test_open(rig.server, rig.loop);
    size_t at = 0;
    while (at < request.n) {
        size_t n = at == 0 ? first : step;
        dz_http_test_feed(t, dz_str_sub(request, at, at + n), false);
        at += n;
    }
    dz_buf_init(&ret->out, 1 << 20);
    dz_buf_put(&ret->out, dz_http_test_output(t));
    ret->closed = dz_http_test_closed(t);
    dz_http_test_free(&t);
}

static void check_same(const struct row *row, const struct outcome *a, size_t first, size_t step)
{
    struct outcome b;
    send_pieces(row->request, first, step, &b);
    if (!dz_str_eq(dz_buf_str(&a->out), dz_buf_str(&b.out)) || a->closed != b.closed)
        fail_msg("%s: split at %zu, then %zu each: \"%.*s\", closed %d; whole: \"%.*s\", closed %d",
                 row->clause, first, step, DZ_STR_FMT(b.out), b.closed, DZ_STR_FMT(a->out),
                 a->closed);
    dz_buf_done(&b.out);
}

static void grammar_by_clause(void **state)
{
    (void)state;
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        const struct row *row = &rows[i];
        struct outcome whole;
        send_pieces(row->request, row->request.n, 1, &whole);
        int status = whole.out.n ? status_of(dz_buf_str(&whole.out)) : 0;
        if (status != row->status || whole.closed != row->closes)
            fail_msg("%s: got %d, closed %d: %.*s", row->clause, status, whole.closed,
                     DZ_STR_FMT(whole.out));
        if (status) {
            assert_header(dz_buf_str(&whole.out), "Date", RIG_DATE);
            assert_header(dz_buf_str(&whole.out), "Connection",
                          row->closes                                         ? "close"
                          : dz_str_find(row->request, DZ_S("1.0")) != DZ_NPOS ? "keep-alive"
                                                                              : NULL);
        }
        check_same(row, &whole, 1, 1);
        for (size_t at = 1; at < row->request.n; at++)
            check_same(row, &whole, at, row->request.n);
        dz_buf_done(&whole.out);
    }
}

static void long_head(struct dz_buf *b, const char *start, size_t n, const char *end)
{
    dz_buf_init(b, 1 << 20);
    dz_buf_put(b, dz_str_of(start));
    while (b->n < n)
        dz_buf_putc(b, 'a');
    dz_buf_put(b, dz_str_of(end));
}

/* Limits give the same answer however the bytes arrive. */
static void limits_of_the_head(void **state)
{
    (void)state;
    static const struct {
        const char *start, *end;
        size_t n;
        int status;
    } cases[] = {
        {"GET /", " HTTP/1.1\r\nHost: a\r\n\r\n", 20000, 414},
        {"GET /", " HTTP/1.1\r\nHost: a\r\n\r\n", 9000, 404},
        {"GET /hello HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n", 20000, 431},
        {"GET /hello HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n", 16379, 200},
        {"GET /hello HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n", 16380, 200},
        {"GET /hello HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n", 16381, 431},
        {"GET /hello HTTP/1.1\r\nHost: a\r\nX", "\r\n\r\n", 20000, 431},
        {"a", "", 20000, 414},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        struct dz_buf b;
        long_head(&b, cases[i].start, cases[i].n, cases[i].end);
        struct row row = {cases[i].start, dz_buf_str(&b), cases[i].status, cases[i].status >= 405};
        struct outcome whole;
        send_pieces(row.request, b.n, 1, &whole);
        assert_int_equal(status_of(dz_buf_str(&whole.out)), row.status);
        assert_int_equal(whole.closed, row.closes);
        check_same(&row, &whole, 1, 1);
        check_same(&row, &whole, 16383, b.n);
        check_same(&row, &whole, 16384, b.n);
        check_same(&row, &whole, 16385, b.n);
        check_same(&row, &whole, 1000, 1000);
        dz_buf_done(&whole.out);
        dz_buf_done(&b);
    }
}

static void too_many_fields(void **state)
{
    (void)state;
    for (int n = 99; n <= 100; n++) {
        struct dz_buf b;
        dz_buf_init(&b, 1 << 20);
        dz_buf_put(&b, DZ_S(OK));
        for (int i = 0; i < n; i++)
            dz_buf_put(&b, DZ_S("X: y\r\n"));
        dz_buf_put(&b, DZ_S("\r\n"));
        assert_int_equal(status_of(ask(dz_buf_str(&b))), n == 99 ? 200 : 431);
        dz_buf_done(&b);
    }
}

static void chunk_limits(void **state)
{
    (void)state;
    struct dz_buf b;
    long_head(&b, CHUNKED "3;", 5000, "\r\nabc\r\n0\r\n\r\n");
    assert_int_equal(status_of(ask(dz_buf_str(&b))), 400);
    dz_buf_done(&b);
    long_head(&b, CHUNKED "0\r\nX: ", 20000, "\r\n\r\n");
    assert_int_equal(status_of(ask(dz_buf_str(&b))), 431);
    dz_buf_done(&b);
}

/* What a handler sees of odd but valid targets. */
static void targets(void **state)
{
    (void)state;
    dz_str body = body_of(ask(DZ_S(
        "GET http://b.example:81/show/%41%2Fb%20c?q=1+2%2B%zz&r HTTP/1.1\r\nHost: a\r\n\r\n")));
    assert_text(
        body,
        "route=show-one\nmethod=GET\npath=/show/A/b c\nquery=q=1+2%2B%zz&r\nhost=b.example:81\n"
        "ip=192.0.2.1\nhttps=no\ncapture=A/b c\nq=1 2+%zz\n");
    body = body_of(ask(DZ_S("GET /show?q HTTP/1.1\r\nHost: a\r\n\r\n")));
    assert_text(
        body, "route=show\nmethod=GET\npath=/show\nquery=q\nhost=a\nip=192.0.2.1\nhttps=no\nq=\n");
    assert_int_equal(status_of(ask(DZ_S("GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n"))), 404);
    assert_int_equal(status_of(ask(DZ_S("GET /../hello HTTP/1.1\r\nHost: a\r\n\r\n"))), 404);
    assert_int_equal(status_of(ask(DZ_S("GET /rest%2Fx HTTP/1.1\r\nHost: a\r\n\r\n"))), 404);
}

/* A head with fields that were read before means what it means when nothing was read before. */
static const char *const request_lines[] = {
    "GET /a HTTP/1.1\r\n",       "HEAD /b?q=1 HTTP/1.1\r\n", "GET /%41 HTTP/1.1\r\n",
    "POST /a HTTP/1.1\r\n",      "GET /a HTTP/1.0\r\n",      "GET http://c/a HTTP/1.1\r\n",
    "GET http://c HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n",   "\r\nGET /a HTTP/1.1\r\n",
    "FROB /a HTTP/1.1\r\n",      "GET /a\\b HTTP/1.1\r\n",   "GET /a HTTP/1.1\n",
};
static const char *const field_sections[] = {
    "Host: a\r\n\r\n",
    "Host: b\r\n\r\n",
    "Host:\r\n\r\n",
    "Hest: a\r\n\r\n",
    "Host: a\r\nX:\r\n\r\n",
    "Host: a\r\nHost: a\r\n\r\n",
    "Host: a\r\nConnection: close\r\n\r\n",
    "Host: a\r\nConnection: x\r\nConnection: close\r\n\r\n",
    "Host: a\r\nContent-Length: 5\r\n\r\n12345",
    "Host: a\r\nContent-Length: 5\r\n\r\n54321",
    "Host: a\r\nContent-Length: 6\r\n\r\n12345",
    "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "Host: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    "Host: a\r\nIf-None-Match: \"x\"\r\nRange: bytes=0-1\r\n\r\n",
    "Host: a\r\nIf-None-Match: \"y\"\r\nRange: bytes=0-1\r\n\r\n",
    "Host: a\r\n\r\nGET /a HTTP/1.1\r\n",
};

static void assert_like(struct dz_http_memo *memos, dz_str in, size_t head_max)
{
    static struct dz_http_request plain, like;
    enum dz_http_parsed got = dz_http_parse_head(in, head_max, &plain.head, plain.fields);
    assert_int_equal(dz_http_parse_head_like(memos, in, head_max, &like.head, like.fields), got);
    const struct dz_http_head *a = &plain.head, *b = &like.head;
    if (got == HTTP_BAD) {
        assert_int_equal(a->status, b->status);
        assert_ptr_equal(a->why, b->why);
    }
    if (got != HTTP_WHOLE)
        return;
    assert_int_equal(a->method, b->method);
    assert_int_equal(a->version_minor, b->version_minor);
    assert_int_equal(a->chunked, b->chunked);
    assert_int_equal(a->has_length, b->has_length);
    assert_int_equal(a->keep_alive, b->keep_alive);
    assert_int_equal(a->expect_continue, b->expect_continue);
    assert_int_equal(a->escaped, b->escaped);
    assert_int_equal(a->length, b->length);
    assert_int_equal(a->known, b->known);
    assert_int_equal(a->repeated, b->repeated);
    assert_memory_equal(a->first, b->first, sizeof(a->first));
    assert_int_equal(a->n, b->n);
    const dz_str of_a[] = {a->method_text, a->target, a->host, a->raw_path, a->query};
    const dz_str of_b[] = {b->method_text, b->target, b->host, b->raw_path, b->query};
    for (size_t i = 0; i < DZ_LEN(of_a); i++) {
        assert_int_equal(of_a[i].n, of_b[i].n);
        assert_true(of_a[i].n == 0 || of_a[i].p == of_b[i].p);
    }
    assert_int_equal(a->fields_n, b->fields_n);
    assert_memory_equal(plain.fields, like.fields, a->fields_n * sizeof(plain.fields[0]));
}

static void fields_read_before(void **state)
{
    (void)state;
    struct dz_http_memo *memos = dz_zalloc(HTTP_MEMOS * sizeof(*memos));
    const size_t lines = DZ_LEN(request_lines), n = lines * DZ_LEN(field_sections);
    char *head = dz_alloc(256);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            const size_t at[] = {i, k};
            for (size_t j = 0; j < 2; j++) {
                int len = snprintf(head, 256, "%s%s", request_lines[at[j] % lines],
                                   field_sections[at[j] / lines]);
                assert_like(memos, (dz_str){head, (size_t)len}, 4096);
            }
        }
    }
    /* Cut short, and over the limit, at every place. */
    int len = snprintf(head, 256, "%s%s", request_lines[0], field_sections[13]);
    for (size_t i = 1; i <= (size_t)len; i++) {
        char *part = dz_alloc(i); /* of its own: a look behind the end is seen */
        memcpy(part, head, i);
        assert_like(memos, (dz_str){head, (size_t)len}, 4096);
        assert_like(memos, (dz_str){part, i}, 4096);
        assert_like(memos, (dz_str){head, (size_t)len}, i);
        dz_freep(&part);
    }
    /* Too long, and too many, to be kept. */
    struct dz_buf b;
    long_head(&b, OK "X: ", 1100, "\r\n\r\n");
    for (int i = 0; i < 2; i++)
        assert_like(memos, dz_buf_str(&b), 4096);
    dz_buf_clear(&b);
    dz_buf_put(&b, DZ_S(OK));
    for (int i = 0; i < HTTP_MEMO_FIELDS; i++)
        dz_buf_put(&b, DZ_S("X: y\r\n"));
    dz_buf_put(&b, DZ_S("\r\n"));
    for (int i = 0; i < 2; i++)
        assert_like(memos, dz_buf_str(&b), 4096);
    dz_buf_done(&b);
    dz_freep(&head);
    dz_freep(&memos);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(grammar_by_clause, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(limits_of_the_head, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(too_many_fields, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(chunk_limits, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(targets, rig_setup, rig_teardown),
        cmocka_unit_test(fields_read_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
