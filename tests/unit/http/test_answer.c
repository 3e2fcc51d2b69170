/*
 * test_answer: what comes back: whole answers byte by byte, conditions, ranges, negotiation,
 * methods.
 */
#include "unpack.h"

#define GET "GET /hello HTTP/1.1\r\nHost: a\r\n"
#define HEAD_200 "HTTP/1.1 200 OK\r\nDate: " RIG_DATE "\r\n"
#define ENTITY "Accept-Ranges: bytes\r\nX-Entity: of the content\r\n"
#define COMMON                                                                                     \
    "ETag: \"h1\"\r\nLast-Modified: " RIG_MODIFIED                                                 \
    "\r\nCache-Control: max-age=5\r\nX-Extra: kept\r\n"

static dz_str ask_with(const char *start, const char *fields)
{
    static char request[8192];
    int n = snprintf(request, sizeof(request), "%s%s\r\n", start, fields);
    assert_true(n > 0 && (size_t)n < sizeof(request));
    return ask((dz_str){request, (size_t)n});
}

static void whole_answers(void **state)
{
    (void)state;
    const char *head =
        HEAD_200 "Content-Length: 11\r\nContent-Type: text/plain\r\n" ENTITY COMMON "\r\n";
    char want[1024];
    snprintf(want, sizeof(want), "%shello world", head);
    assert_text(ask_with(GET, ""), want);
    assert_text(ask_with("HEAD /hello HTTP/1.1\r\nHost: a\r\n", ""), head);
    assert_text(ask_with("GET /empty HTTP/1.1\r\nHost: a\r\n", ""),
                HEAD_200 "Content-Length: 0\r\nContent-Type: text/plain\r\n" ENTITY COMMON "\r\n");
    assert_text(ask_with("GET /plain HTTP/1.1\r\nHost: a\r\n", ""),
                HEAD_200 "Content-Length: 5\r\n\r\nplain");
    assert_text(ask_with("GET /no-content HTTP/1.1\r\nHost: a\r\n", ""),
                "HTTP/1.1 204 No Content\r\nDate: " RIG_DATE "\r\n\r\n");
    assert_text(
        ask_with("GET /redirect HTTP/1.1\r\nHost: a\r\n", ""),
        "HTTP/1.1 307 Temporary Redirect\r\nDate: " RIG_DATE
        "\r\nLocation: /hello  X-Evil: 1\r\nContent-Length: 0\r\nCache-Control: no-cache\r\n\r\n");
    assert_text(ask_with("GET /nowhere HTTP/1.1\r\nHost: a\r\n", ""),
                "HTTP/1.1 404 Not Found\r\nDate: " RIG_DATE
                "\r\nContent-Length: 14\r\nContent-Type: text/plain; "
                "charset=utf-8\r\nCache-Control: no-store\r\n\r\n"
                "404 Not Found\n");
}

static void whole_file(void **state)
{
    (void)state;
    dz_str body = body_of(ask_with("GET /file HTTP/1.1\r\nHost: a\r\n", ""));
    assert_int_equal(body.n, RIG_FILE_BYTES);
    for (uint64_t i = 0; i < RIG_FILE_BYTES; i++)
        assert_int_equal(body.p[i], rig_file_byte(i));
}

/* RFC 9110 13: the rows follow the order of 13.2.2. */
static void conditions(void **state)
{
    (void)state;
    static const struct {
        const char *clause, *fields;
        int status;
    } cases[] = {
        {"13.1.1 match", "If-Match: \"h1\"\r\n", 200},
        {"13.1.1 in a list", "If-Match: \"x\", \"h1\"\r\n", 200},
        {"13.1.1 in a second line", "If-Match: \"x\"\r\nIf-Match: \"h1\"\r\n", 200},
        {"13.1.1 any", "If-Match: *\r\n", 200},
        {"13.1.1 no match", "If-Match: \"x\"\r\n", 412},
        {"13.1.1 weak never matches", "If-Match: W/\"h1\"\r\n", 412},
        {"13.1.1 not a tag", "If-Match: h1\r\n", 412},
        {"13.1.4 not changed since", "If-Unmodified-Since: " RIG_MODIFIED "\r\n", 200},
        {"13.1.4 changed since", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 412},
        {"13.1.4 bad date", "If-Unmodified-Since: yesterday\r\n", 200},
        {"13.2.2 If-Match hides If-Unmodified-Since",
         "If-Match: \"h1\"\r\nIf-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200},
        {"13.1.2 match", "If-None-Match: \"h1\"\r\n", 304},
        {"13.1.2 weak comparison", "If-None-Match: W/\"h1\"\r\n", 304},
        {"13.1.2 in a list", "If-None-Match: \"a,b\",W/\"x\" , \"h1\"\r\n", 304},
        {"13.1.2 any", "If-None-Match: *\r\n", 304},
        {"13.1.2 no match", "If-None-Match: \"x\", \"h\"\r\n", 200},
        {"13.1.2 in a second line", "If-None-Match: \"x\"\r\nIf-None-Match: \"h1\"\r\n", 304},
        {"13.1.2 not a tag", "If-None-Match: h1\r\n", 200},
        {"13.1.2 unclosed", "If-None-Match: \"h1\r\n", 200},
        {"13.1.3 not changed since", "If-Modified-Since: " RIG_MODIFIED "\r\n", 304},
        {"13.1.3 RFC 850 date", "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n", 304},
        {"13.1.3 asctime date", "If-Modified-Since: Sun Nov  6 08:49:37 1994\r\n", 304},
        {"13.1.3 changed since", "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200},
        {"13.1.3 bad date", "If-Modified-Since: 0\r\n", 200},
        {"13.2.2 If-None-Match hides If-Modified-Since",
         "If-None-Match: \"x\"\r\nIf-Modified-Since: " RIG_MODIFIED "\r\n", 200},
        {"13.2.2 If-Match before If-None-Match", "If-None-Match: \"h1\"\r\nIf-Match: \"x\"\r\n",
         412},
        {"13.2.2 both hold", "If-None-Match: \"h1\"\r\nIf-Match: \"h1\"\r\n", 304},
        {"13.2.2 condition before Range", "If-None-Match: \"h1\"\r\nRange: bytes=0-1\r\n", 304},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        int status = status_of(ask_with(GET, cases[i].fields));
        if (status != cases[i].status)
            fail_msg("%s: %d", cases[i].clause, status);
        assert_int_equal(
            status_of(ask_with("HEAD /hello HTTP/1.1\r\nHost: a\r\n", cases[i].fields)),
            cases[i].status);
    }
    assert_text(ask_with(GET, "If-None-Match: \"h1\"\r\n"),
                "HTTP/1.1 304 Not Modified\r\nDate: " RIG_DATE "\r\n" COMMON "\r\n");
    /* No validators: nothing to compare with. */
    assert_int_equal(
        status_of(ask_with("GET /plain HTTP/1.1\r\nHost: a\r\n", "If-Match: \"h1\"\r\n")), 412);
    assert_int_equal(
        status_of(ask_with("GET /plain HTTP/1.1\r\nHost: a\r\n", "If-None-Match: \"h1\"\r\n")),
        200);
    assert_int_equal(status_of(ask_with("GET /plain HTTP/1.1\r\nHost: a\r\n",
                                        "If-Modified-Since: " RIG_MODIFIED "\r\n")),
                     200);
}

/* RFC 9110 14, single parts: status, Content-Range and body. */
static void one_range(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        int status;
        const char *range, *body;
    } cases[] = {
        {"Range: bytes=0-4\r\n", 206, "bytes 0-4/11", "hello"},
        {"Range: bytes=6-\r\n", 206, "bytes 6-10/11", "world"},
        {"Range: bytes=-5\r\n", 206, "bytes 6-10/11", "world"},
        {"Range: bytes=-99\r\n", 206, "bytes 0-10/11", "hello world"},
        {"Range: bytes=0-99\r\n", 206, "bytes 0-10/11", "hello world"},
        {"Range: bytes=10-10\r\n", 206, "bytes 10-10/11", "d"},
        {"Range: BYTES=0-0\r\n", 206, "bytes 0-0/11", "h"},
        {"Range: bytes= 0-0 , \r\n", 206, "bytes 0-0/11", "h"},
        {"Range: bytes=0-1,1-2\r\n", 206, "bytes 0-2/11", "hel"},
        {"Range: bytes=4-5,0-1\r\n", 206, "bytes 0-5/11",
         "hello "}, /* too near to be worth two parts */
        {"Range: bytes=99-,0-0\r\n", 206, "bytes 0-0/11", "h"},
        {"Range: bytes=0-99999999999999999999999\r\n", 206, "bytes 0-10/11", "hello world"},
        {"Range: bytes=11-\r\n", 416, "bytes */11", NULL},
        {"Range: bytes=-0\r\n", 416, "bytes */11", NULL},
        {"Range: bytes=99999999999999999999999-\r\n", 416, "bytes */11", NULL},
        {"Range: bytes=20-30,40-50\r\n", 416, "bytes */11", NULL},
        {"Range: bytes=4-2\r\n", 200, NULL, "hello world"},
        {"Range: bytes=a-b\r\n", 200, NULL, "hello world"},
        {"Range: bytes=1\r\n", 200, NULL, "hello world"},
        {"Range: bytes=1-2-3\r\n", 200, NULL, "hello world"},
        {"Range: bytes=--1\r\n", 200, NULL, "hello world"},
        {"Range: bytes=+1-2\r\n", 200, NULL, "hello world"},
        {"Range: bytes=\r\n", 200, NULL, "hello world"},
        {"Range: bytes 0-1\r\n", 200, NULL, "hello world"},
        {"Range: lines=0-1\r\n", 200, NULL, "hello world"},
        {"Range: bytes=0-0\r\nRange: bytes=1-1\r\n", 200, NULL, "hello world"},
        {"Range: bytes=0-,0-,0-,0-\r\n", 200, NULL, "hello world"},
        {"Range: bytes=0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0\r\n",
         200, NULL, "hello world"},
        {"Range: bytes=0-4\r\nIf-Range: \"h1\"\r\n", 206, "bytes 0-4/11", "hello"},
        {"Range: bytes=0-4\r\nIf-Range: W/\"h1\"\r\n", 200, NULL, "hello world"},
        {"Range: bytes=0-4\r\nIf-Range: \"x\"\r\n", 200, NULL, "hello world"},
        {"Range: bytes=0-4\r\nIf-Range: " RIG_MODIFIED "\r\n", 206, "bytes 0-4/11", "hello"},
        {"Range: bytes=0-4\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT\r\n", 200, NULL,
         "hello world"},
        {"Range: bytes=0-4\r\nIf-Range: x\r\n", 200, NULL, "hello world"},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        dz_str answer = ask_with(GET, cases[i].fields);
        if (status_of(answer) != cases[i].status)
            fail_msg("%s: %d", cases[i].fields, status_of(answer));
        assert_header(answer, "Content-Range", cases[i].range);
        if (cases[i].body)
            assert_text(body_of(answer), cases[i].body);
        /* 14.2: only GET */
        assert_int_equal(
            status_of(ask_with("HEAD /hello HTTP/1.1\r\nHost: a\r\n", cases[i].fields)), 200);
        assert_int_equal(status_of(ask_with("GET /plain HTTP/1.1\r\nHost: a\r\n", cases[i].fields)),
                         200);
    }
    assert_text(ask_with(GET, "Range: bytes=0-4\r\n"),
                "HTTP/1.1 206 Partial Content\r\nDate: " RIG_DATE
                "\r\nContent-Range: bytes 0-4/11\r\nContent-Length: 5\r\nContent-Type: "
                "text/plain\r\n" ENTITY COMMON "\r\nhello");
    assert_int_equal(
        status_of(ask_with("GET /empty HTTP/1.1\r\nHost: a\r\n", "Range: bytes=0-\r\n")), 416);
}

static void put_part(struct dz_buf *b, dz_str boundary, uint64_t at, uint64_t n)
{
    dz_buf_put(b, DZ_S("\r\n--"));
    dz_buf_put(b, boundary);
    dz_buf_putf(b, "\r\nContent-Type: text/plain\r\nContent-Range: bytes %llu-%llu/%d\r\n\r\n",
                (unsigned long long)at, (unsigned long long)(at + n - 1), RIG_FILE_BYTES);
    for (uint64_t i = at; i < at + n; i++)
        dz_buf_putc(b, rig_file_byte(i));
}

/* 14.6: the body byte by byte, from the file. */
static void many_ranges(void **state)
{
    (void)state;
    dz_str answer = ask_with("GET /file HTTP/1.1\r\nHost: a\r\n",
                             "Range: bytes=70000-79999,10-19,-1,200-299,250-310\r\n");
    assert_int_equal(status_of(answer), 206);
    dz_str type = header_of(answer, "Content-Type");
    assert_true(dz_str_starts(type, DZ_S("multipart/byteranges; boundary=")));
    dz_str boundary = dz_str_sub(type, strlen("multipart/byteranges; boundary="), type.n);
    DZ_AUTO(dz_buf_done) struct dz_buf want;
    dz_buf_init(&want, 1 << 20);
    /* Two of them overlap, so all are sorted and joined. */
    put_part(&want, boundary, 10, 10);
    put_part(&want, boundary, 200, 111);
    put_part(&want, boundary, 70000, 10000);
    put_part(&want, boundary, RIG_FILE_BYTES - 1, 1);
    dz_buf_put(&want, DZ_S("\r\n--"));
    dz_buf_put(&want, boundary);
    dz_buf_put(&want, DZ_S("--\r\n"));
    assert_true(dz_str_eq(body_of(answer), dz_buf_str(&want)));
    uint64_t length;
    must(dz_str_u64(header_of(answer, "Content-Length"), UINT64_MAX, &length, err));
    assert_int_equal(length, want.n);
    assert_header(answer, "ETag", "\"h1\"");
    assert_header(answer, "Content-Range", NULL);

    /* Without overlaps the client's order is kept; sixteen are served, seventeen are not. */
    answer = ask_with("GET /file HTTP/1.1\r\nHost: a\r\n", "Range: bytes=500-500, 100-100\r\n");
    assert_true(dz_str_find(answer, DZ_S("500-500/")) < dz_str_find(answer, DZ_S("100-100/")));
    const char *sixteen =
        "Range: bytes=0-0,200-200,400-400,600-600,800-800,1000-1000,1200-1200,1400-1400,1600-1600,"
        "1800-1800,2000-2000,2200-2200,2400-2400,2600-2600,2800-2800,3000-3000";
    char fields[512];
    snprintf(fields, sizeof(fields), "%s\r\n", sixteen);
    assert_int_equal(status_of(ask_with("GET /file HTTP/1.1\r\nHost: a\r\n", fields)), 206);
    snprintf(fields, sizeof(fields), "%s,3200-3200\r\n", sixteen);
    assert_int_equal(status_of(ask_with("GET /file HTTP/1.1\r\nHost: a\r\n", fields)), 200);
}

/* RFC 9110 12.5.3 */
/* RFC 9110 12.5.3; the number in front is the rule of its list, "12.4.2" is the weight. */
static void encodings(void **state)
{
    (void)state;
    static const struct {
        const char *clause, *fields, *encoding, *etag;
    } cases[] = {
        {"1 no field: any, so the plainest", "", NULL, "\"t1\""},
        {"2 identity unless excluded", "Accept-Encoding: deflate\r\n", NULL, "\"t1\""},
        {"2 excluded, but nothing else fits (12.1: may be disregarded)",
         "Accept-Encoding: identity;q=0\r\n", NULL, "\"t1\""},
        {"2 excluded by *", "Accept-Encoding: *;q=0\r\n", NULL, "\"t1\""},
        {"2 excluded, another fits", "Accept-Encoding: identity;q=0, gzip;q=0.001\r\n", "gzip",
         "\"t1-gz\""},
        {"2 excluded by *, another fits", "Accept-Encoding: *;q=0, gzip;q=0.1\r\n", "gzip",
         "\"t1-gz\""},
        {"3 listed", "Accept-Encoding: gzip\r\n", "gzip", "\"t1-gz\""},
        {"3 listed", "Accept-Encoding: br\r\n", "br", "\"t1-br\""},
        {"3 listed", "Accept-Encoding: zstd\r\n", "zstd", "\"t1-zs\""},
        {"3 not acceptable with q=0", "Accept-Encoding: br;q=0, gzip;q=0\r\n", NULL, "\"t1\""},
        {"3 not acceptable with q=0.000", "Accept-Encoding: gzip;q=0.000\r\n", NULL, "\"t1\""},
        {"8.4.1.3 x-gzip is gzip", "Accept-Encoding: x-gzip\r\n", "gzip", "\"t1-gz\""},
        {"8.4.1 codings are case-insensitive", "Accept-Encoding: GZIP;Q=0.5\r\n", "gzip",
         "\"t1-gz\""},
        {"a tie is ours: zstd", "Accept-Encoding: gzip, deflate, br, zstd\r\n", "zstd",
         "\"t1-zs\""},
        {"a tie is ours: br", "Accept-Encoding: gzip, br\r\n", "br", "\"t1-br\""},
        {"5.3 over two lines", "Accept-Encoding: gzip\r\nAccept-Encoding: br\r\n", "br",
         "\"t1-br\""},
        {"highest weight", "Accept-Encoding: br;q=0.5, gzip;q=0.501\r\n", "gzip", "\"t1-gz\""},
        {"highest weight", "Accept-Encoding: zstd;q=0.8, br;q=0.9, gzip\r\n", "gzip", "\"t1-gz\""},
        {"* is what is not listed", "Accept-Encoding: *\r\n", "zstd", "\"t1-zs\""},
        {"* is what is not listed", "Accept-Encoding: *, zstd;q=0, br;q=0\r\n", "gzip",
         "\"t1-gz\""},
        {"* is what is not listed", "Accept-Encoding: gzip, *;q=0\r\n", "gzip", "\"t1-gz\""},
        {"identity liked best", "Accept-Encoding: gzip;q=0.2, identity\r\n", NULL, "\"t1\""},
        {"identity liked as well", "Accept-Encoding: gzip;q=1.000, identity\r\n", "gzip",
         "\"t1-gz\""},
        {"empty: no encoding", "Accept-Encoding:\r\n", NULL, "\"t1\""},
        {"empty elements", "Accept-Encoding: , ,gzip,\r\n", "gzip", "\"t1-gz\""},
        {"blanks around", "Accept-Encoding: gzip ; q=0.5\r\n", "gzip", "\"t1-gz\""},
        {"12.4.2 over 1", "Accept-Encoding: gzip;q=1.5\r\n", NULL, "\"t1\""},
        {"12.4.2 no digits", "Accept-Encoding: gzip;q=\r\n", NULL, "\"t1\""},
        {"12.4.2 a sign", "Accept-Encoding: gzip;q=-1\r\n", NULL, "\"t1\""},
        {"12.4.2 a word", "Accept-Encoding: gzip;q=0x1, br;q=0.1\r\n", "br", "\"t1-br\""},
        {"12.4.2 a point alone", "Accept-Encoding: gzip;q=.5\r\n", NULL, "\"t1\""},
        {"12.4.2 one and a point", "Accept-Encoding: gzip;q=1.\r\n", "gzip", "\"t1-gz\""},
        {"12.4.2 more digits than three", "Accept-Encoding: gzip;q=0.50001\r\n", "gzip",
         "\"t1-gz\""},
        {"no list: a blank in a name", "Accept-Encoding: gzip br\r\n", NULL, "\"t1\""},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        dz_str answer = ask_with("GET /text HTTP/1.1\r\nHost: a\r\n", cases[i].fields);
        dz_str got = header_of(answer, "Content-Encoding");
        if (!dz_str_eq(got, dz_str_of(cases[i].encoding)))
            fail_msg("%s: %s: %.*s", cases[i].clause, cases[i].fields, DZ_STR_FMT(got));
        assert_header(answer, "ETag", cases[i].etag);
        assert_header(answer, "Vary", "Accept-Encoding");
        uint64_t length;
        must(dz_str_u64(header_of(answer, "Content-Length"), UINT64_MAX, &length, err));
        dz_str body = body_of(answer);
        assert_int_equal(body.n, length);
        DZ_AUTO(dz_buf_done) struct dz_buf plain;
        dz_buf_init(&plain, 8192);
        unpack(got, body, &plain);
        assert_int_equal(plain.n, 4200);
        assert_true(dz_str_ends(dz_buf_str(&plain), DZ_S("no play ")));
    }
}

/* 8.8.3.3 and 13: each encoding has a tag of its own, and the conditions are about the one that
 * this request would get. */
static void encodings_and_conditions(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        int status;
        const char *etag;
    } cases[] = {
        {"Accept-Encoding: gzip\r\nIf-None-Match: \"t1-gz\"\r\n", 304, "\"t1-gz\""},
        {"Accept-Encoding: br\r\nIf-None-Match: \"t1-br\"\r\n", 304, "\"t1-br\""},
        {"Accept-Encoding: zstd\r\nIf-None-Match: \"t1-zs\"\r\n", 304, "\"t1-zs\""},
        {"Accept-Encoding: zstd\r\nIf-None-Match: W/\"t1-zs\"\r\n", 304, "\"t1-zs\""},
        {"If-None-Match: \"t1\"\r\n", 304, "\"t1\""},
        {"If-None-Match: *\r\n", 304, "\"t1\""},
        {"Accept-Encoding: br\r\nIf-None-Match: *\r\n", 304, "\"t1-br\""},
        {"Accept-Encoding: br\r\nIf-None-Match: \"t1-gz\", \"t1-br\"\r\n", 304, "\"t1-br\""},
        {"Accept-Encoding: br\r\nIf-None-Match: \"t1-gz\"\r\n", 200, "\"t1-br\""},
        {"Accept-Encoding: gzip\r\nIf-None-Match: \"t1\"\r\n", 200, "\"t1-gz\""},
        {"If-None-Match: \"t1-gz\"\r\n", 200, "\"t1\""},
        {"Accept-Encoding: gzip\r\nIf-Match: \"t1-gz\"\r\n", 200, "\"t1-gz\""},
        {"Accept-Encoding: gzip\r\nIf-Match: \"t1\"\r\n", 412, NULL},
        /* 14.2: what is made for one request offers no ranges, so Range is ignored. */
        {"Accept-Encoding: gzip\r\nRange: bytes=0-9\r\n", 200, "\"t1-gz\""},
        {"Range: bytes=0-9\r\n", 200, "\"t1\""},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        dz_str answer = ask_with("GET /text HTTP/1.1\r\nHost: a\r\n", cases[i].fields);
        if (status_of(answer) != cases[i].status)
            fail_msg("%s: %d", cases[i].fields, status_of(answer));
        assert_header(answer, "ETag", cases[i].etag);
        assert_header(answer, "Vary", cases[i].etag ? "Accept-Encoding" : NULL);
        assert_header(answer, "Content-Range", NULL);
    }
    /* Prepared content is sent as it is, whole or in part. */
    dz_str part = ask_with(GET, "Accept-Encoding: gzip, br, zstd\r\nRange: bytes=0-4\r\n");
    assert_int_equal(status_of(part), 206);
    assert_header(part, "Content-Encoding", NULL);
    assert_text(body_of(part), "hello");
    /* The tag that counts is that of the encoding. */
    const char *gzip = "Accept-Encoding: gzip\r\nIf-None-Match: \"t1-gz\"\r\n";
    dz_str answer = ask_with("GET /text HTTP/1.1\r\nHost: a\r\n", gzip);
    assert_text(
        answer,
        "HTTP/1.1 304 Not Modified\r\nDate: " RIG_DATE
        "\r\nETag: \"t1-gz\"\r\nCache-Control: max-age=60\r\nVary: Accept-Encoding\r\n\r\n");
    assert_int_equal(
        status_of(ask_with("GET /text HTTP/1.1\r\nHost: a\r\n", "If-None-Match: \"t1-gz\"\r\n")),
        200);
    /* HEAD says what GET would. */
    answer = ask_with("HEAD /text HTTP/1.1\r\nHost: a\r\n", "Accept-Encoding: gzip\r\n");
    assert_header(answer, "Content-Encoding", "gzip");
    assert_int_equal(body_of(answer).n, 0);
}

static void methods(void **state)
{
    (void)state;
    dz_str answer = ask_with("OPTIONS /hello HTTP/1.1\r\nHost: a\r\n", "");
    assert_text(answer, HEAD_200 "Allow: GET, HEAD, OPTIONS\r\nContent-Length: 0\r\n\r\n");
    answer = ask_with("PATCH /late/x HTTP/1.1\r\nHost: a\r\n", "");
    assert_int_equal(status_of(answer), 405);
    assert_header(answer, "Allow", "GET, HEAD, OPTIONS, POST");
    answer = ask_with("OPTIONS * HTTP/1.1\r\nHost: a\r\n", "");
    assert_header(answer, "Allow", "DELETE, GET, HEAD, OPTIONS, POST, PUT");
    assert_header(answer, "Content-Length", "0");
    assert_int_equal(status_of(ask_with("OPTIONS /nowhere HTTP/1.1\r\nHost: a\r\n", "")), 404);
    answer = ask_with("GET /twice HTTP/1.1\r\nHost: a\r\n", "");
    assert_text(body_of(answer), "once");
    answer = ask_with("GET /defer-now HTTP/1.1\r\nHost: a\r\n", "");
    assert_text(body_of(answer), "at once");
}

static void routes(void **state)
{
    (void)state;
    static const struct {
        const char *start, *route;
        int status;
    } cases[] = {
        {"GET /show HTTP/1.1\r\nHost: a\r\n", "show", 200},
        {"GET /show/ HTTP/1.1\r\nHost: a\r\n", NULL, 404},
        {"GET /show/x HTTP/1.1\r\nHost: a\r\n", "show-one", 200},
        {"GET /show/x/y HTTP/1.1\r\nHost: a\r\n", "show-two", 200},
        {"GET /show/me/y HTTP/1.1\r\nHost: a\r\n", "show-literal", 200},
        {"GET /show/m%65/y HTTP/1.1\r\nHost: a\r\n", "show-literal", 200},
        {"DELETE /show/me/y HTTP/1.1\r\nHost: a\r\n", "show-two", 200},
        {"GET /show/x%2Fy HTTP/1.1\r\nHost: a\r\n", "show-one", 200},
        {"GET /show//y HTTP/1.1\r\nHost: a\r\n", NULL, 404},
        {"GET /show/x/y/z HTTP/1.1\r\nHost: a\r\n", NULL, 404},
        {"GET /rest/ HTTP/1.1\r\nHost: a\r\n", NULL, 404},
        {"GET /rest HTTP/1.1\r\nHost: a\r\n", NULL, 404},
        {"GET /rest/a/b//c HTTP/1.1\r\nHost: a\r\n", "show-rest", 200},
        {"GET /rest/fixed HTTP/1.1\r\nHost: a\r\n", "show-rest", 200},
        {"PUT /rest/fixed HTTP/1.1\r\nHost: a\r\n", "show-put", 200},
        {"PUT /rest/other HTTP/1.1\r\nHost: a\r\n", NULL, 405},
        {"GET /rest/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18 HTTP/1.1\r\nHost: a\r\n",
         "show-rest", 200},
        {"GET / HTTP/1.1\r\nHost: a\r\n", NULL, 404},
        {"GET //hello HTTP/1.1\r\nHost: a\r\n", NULL, 404},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        dz_str answer = ask_with(cases[i].start, "");
        if (status_of(answer) != cases[i].status)
            fail_msg("%s: %d", cases[i].start, status_of(answer));
        if (!cases[i].route)
            continue;
        char want[64];
        snprintf(want, sizeof(want), "route=%s\n", cases[i].route);
        if (!dz_str_starts(body_of(answer), dz_str_of(want)))
            fail_msg("%s: %.*s", cases[i].start, DZ_STR_FMT(body_of(answer)));
    }
    dz_str body = body_of(ask_with("GET /rest/a%2Fb/c%20d/ HTTP/1.1\r\nHost: a\r\n", ""));
    assert_true(dz_str_find(body, DZ_S("capture=a/b/c d/\n")) != DZ_NPOS);
    body = body_of(ask_with("GET /show/me/%2e%2E HTTP/1.1\r\nHost: a\r\n", ""));
    assert_true(dz_str_find(body, DZ_S("capture=..\n")) != DZ_NPOS);
}

/* ---- lists of the settings ------------------------------------------------------------------- */

static void cors(void **state)
{
    (void)state;
    static const char *const any[] = {"*", NULL}, *const listed[] = {"https://read.example",
                                                                     "https://x.example", NULL};
    rig_open(
        &(struct dz_http_options){.cors_origins = any, .cors_expose = DZ_S("X-Extra, X-Other")});
    dz_str answer = ask_with(GET, "Origin: https://read.example\r\n");
    assert_header(answer, "Access-Control-Allow-Origin", "*");
    assert_header(answer, "Access-Control-Expose-Headers", "X-Extra, X-Other");
    assert_header(answer, "Vary", NULL);
    assert_header(ask_with(GET, ""), "Access-Control-Allow-Origin", NULL);
    assert_header(ask_with(GET, "Origin: https://a.example\r\nIf-None-Match: *\r\n"),
                  "Access-Control-Allow-Origin", "*");
    assert_header(ask_with("GET /nowhere HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n", ""),
                  "Access-Control-Allow-Origin", "*");
    answer = ask_with("OPTIONS /echo HTTP/1.1\r\nHost: a\r\n",
                      "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n"
                      "Access-Control-Request-Headers: content-type, Authorization\r\n");
    assert_text(
        answer, HEAD_200
        "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: OPTIONS, POST, PUT\r\n"
        "Access-Control-Allow-Headers: Content-Type, Authorization\r\n"
        "Access-Control-Max-Age: 600\r\nAllow: OPTIONS, POST, PUT\r\nContent-Length: 0\r\n\r\n");
    rig_close();
    rig_open(&(struct dz_http_options){.cors_origins = listed});
    answer = ask_with(GET, "Origin: https://read.example\r\n");
    assert_header(answer, "Access-Control-Allow-Origin", "https://read.example");
    assert_header(answer, "Vary", "Origin");
    answer = ask_with(GET, "Origin: https://evil.example\r\n");
    assert_header(answer, "Access-Control-Allow-Origin", NULL);
    assert_header(answer, "Vary", "Origin");
    assert_header(ask_with(GET, ""), "Vary", "Origin");
    answer = ask_with("OPTIONS /echo HTTP/1.1\r\nHost: a\r\n",
                      "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n");
    assert_header(answer, "Access-Control-Allow-Methods", NULL);
    rig_close();
}

static void error_texts(int status, const char *why, struct dz_buf *out, dz_str *ret_type)
{
    if (status == 405)
        dz_buf_put(out, DZ_S("{\"e\":405}"));
    if (status == 400)
        dz_buf_put(out, dz_str_of(why));
    if (out->n > 0)
        *ret_type = DZ_S("application/json");
}

static void fallback(struct dz_http_req *r)
{
    dz_http_reply_text(r, 404, DZ_S("text/html"), DZ_S("max-age=9"), r->path);
}

static void own_errors(void **state)
{
    (void)state;
    rig_open(&(struct dz_http_options){.error_body = error_texts, .fallback = fallback});
    assert_text(
        ask_with("PUT /hello HTTP/1.1\r\nHost: a\r\n", ""),
        "HTTP/1.1 405 Method Not Allowed\r\nDate: " RIG_DATE
        "\r\nAllow: GET, HEAD, OPTIONS\r\nContent-Length: 9\r\nContent-Type: application/json\r\n"
        "Cache-Control: no-store\r\n\r\n{\"e\":405}");
    assert_text(ask_with("GET /no%20where HTTP/1.1\r\nHost: a\r\n", ""),
                "HTTP/1.1 404 Not Found\r\nDate: " RIG_DATE
                "\r\nContent-Length: 9\r\nContent-Type: text/html\r\nCache-Control: "
                "max-age=9\r\n\r\n/no where");
    dz_str bad = ask_with("GET / HTTP/1.1\r\nHost : a\r\n", "");
    assert_int_equal(status_of(bad), 400);
    assert_true(dz_str_find(bad, DZ_S("colon")) != DZ_NPOS);
    assert_int_equal(status_of(ask_with("FROB /nowhere HTTP/1.1\r\nHost: a\r\n", "")), 501);
    rig_close();
}

static bool only_a(struct dz_http_req *r)
{
    if (dz_str_eq(r->host, DZ_S("a")))
        return false;
    dz_http_reply_text(r, 400, DZ_S("text/plain"), DZ_S("no-store"), DZ_S("not here"));
    return true;
}

/* It sees every request that could be parsed, also those that no route takes. */
static void gate(void **state)
{
    (void)state;
    rig_open(&(struct dz_http_options){.gate = only_a});
    assert_int_equal(status_of(ask_with("GET /hello HTTP/1.1\r\nHost: a\r\n", "")), 200);
    assert_text(body_of(ask_with("GET /hello HTTP/1.1\r\nHost: b\r\n", "")), "not here");
    assert_int_equal(status_of(ask_with("GET /nowhere HTTP/1.1\r\nHost: b\r\n", "")), 400);
    assert_int_equal(status_of(ask_with("PUT /hello HTTP/1.1\r\nHost: b\r\n", "")), 400);
    rig_close();
}

static void wants_html(struct dz_http_req *r)
{
    dz_http_reply_text(r, 200, (dz_str){0}, (dz_str){0},
                       dz_http_wants_html(r) ? DZ_S("html") : DZ_S("json"));
}

static void browsers(void **state)
{
    (void)state;
    rig_open(&(struct dz_http_options){.fallback = wants_html});
    static const struct {
        const char *fields, *want;
    } cases[] = {
        {"", "json"},
        {"Accept: */*\r\n", "json"},
        {"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n", "html"},
        {"Accept: application/json\r\n", "json"},
        {"Accept: text/*\r\n", "html"},
        {"Accept: text/html;q=0.5, application/json\r\n", "json"},
        {"Accept: text/html;q=0\r\n", "json"},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++)
        assert_text(body_of(ask_with("GET /x HTTP/1.1\r\nHost: a\r\n", cases[i].fields)),
                    cases[i].want);
    rig_close();
}

static void counters(void **state)
{
    (void)state;
    ask_with(GET, "");
    ask_with(GET, "If-None-Match: *\r\n");
    ask_with("GET /nowhere HTTP/1.1\r\nHost: a\r\n", "");
    ask_with("GET /hello HTTP/9.9\r\nHost: a\r\n", "");
    struct dz_arena *a = dz_arena_new(1 << 20);
    struct dz_http_stats stats;
    dz_http_stats(rig.server, a, &stats);
    assert_int_equal(stats.routes_n, DZ_LEN(rig_routes) + 1);
    assert_string_equal(stats.routes[0].route, "hello");
    assert_int_equal(stats.routes[0].by_status[2], 1);
    assert_int_equal(stats.routes[0].by_status[3], 1);
    assert_int_equal(stats.routes[0].count, 2);
    assert_string_equal(stats.routes[stats.routes_n - 1].route, "none");
    assert_int_equal(stats.routes[stats.routes_n - 1].by_status[4], 1);
    assert_int_equal(stats.routes[stats.routes_n - 1].by_status[5], 1);
    assert_int_equal(stats.parse_errors, 1);
    assert_int_equal(stats.connections_open, 0);
    assert_true(stats.bytes_in > 100 && stats.bytes_out > 500);
    dz_arena_free(&a);
}

int main(void)
{
#define RIGGED(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        RIGGED(whole_answers),
        RIGGED(whole_file),
        RIGGED(conditions),
        RIGGED(one_range),
        RIGGED(many_ranges),
        RIGGED(encodings),
        RIGGED(encodings_and_conditions),
        RIGGED(methods),
        RIGGED(routes),
        RIGGED(counters),
        cmocka_unit_test(cors),
        cmocka_unit_test(own_errors),
        cmocka_unit_test(browsers),
        cmocka_unit_test(gate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
