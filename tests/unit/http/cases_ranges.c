/*
 * cases_ranges: RFC 9110 14, ranges. A request never costs more than the whole: many ranges, or
 * ranges over each other, are answered with the whole, as 14.2 allows; near ones are joined.
 */
#include "conform.h"

#define HELLO "GET /hello HTTP/1.1\r\nHost: a\r\n"
#define FILE_ "GET /file HTTP/1.1\r\nHost: a\r\n"
#define ONE "GET /one HTTP/1.1\r\nHost: a\r\n"
#define EMPTY "GET /empty HTTP/1.1\r\nHost: a\r\n"
#define PLAIN "GET /plain HTTP/1.1\r\nHost: a\r\n"
/* clang-format off */
#define PARTIAL(says, n, range, body) CASE_B("9110 14.1.2", says, HELLO "Range: bytes=" n "\r\n\r\n", "206", "Content-Range: bytes " range "/11\nETag: \"h1\"\nContent-Type: text/plain\nCache-Control: max-age=5", body)
#define WHOLE(says, field) CASE_B("9110 14.2", says, HELLO "Range: " field "\r\n\r\n", "200", "-Content-Range\nContent-Length: 11\nAccept-Ranges: bytes", "hello world")
#define NEVER(says, n) CASE_L("9110 15.5.17", says, HELLO "Range: bytes=" n "\r\n\r\n", "416", "Content-Range: bytes */11\n-ETag")

static const struct http_case single[] = {
    PARTIAL("from and to", "0-4", "0-4", "hello"),
    PARTIAL("from", "6-", "6-10", "world"),
    PARTIAL("the last ones", "-5", "6-10", "world"),
    PARTIAL("the last one", "-1", "10-10", "d"),
    PARTIAL("more last ones than there are: all", "-99", "0-10", "hello world"),
    PARTIAL("as many last ones as there are", "-11", "0-10", "hello world"),
    PARTIAL("beyond the end: to the end", "0-99", "0-10", "hello world"),
    PARTIAL("all", "0-", "0-10", "hello world"),
    PARTIAL("the first one", "0-0", "0-0", "h"),
    PARTIAL("the last byte by number", "10-10", "10-10", "d"),
    PARTIAL("from the last byte to beyond", "10-11", "10-10", "d"),
    PARTIAL("zeros in front", "00000000000000000000000-00000000000000000000004", "0-4", "hello"),
    PARTIAL("to 2^64 + 4 does not wrap", "0-18446744073709551620", "0-10", "hello world"),
    PARTIAL("to 2^64 - 1 does not wrap", "1-18446744073709551615", "1-10", "ello world"),
    PARTIAL("to 2^63", "1-9223372036854775808", "1-10", "ello world"),
    PARTIAL("to a hundred digits", "1-9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999", "1-10", "ello world"),
    PARTIAL("2^64 + 5 last ones do not wrap", "-18446744073709551621", "0-10", "hello world"),
    PARTIAL("blanks around", " 0-4 ", "0-4", "hello"),
    PARTIAL("empty elements", ",,0-4,", "0-4", "hello"),
    PARTIAL("one that can be had, one that cannot", "99-,0-0", "0-0", "h"),
    PARTIAL("near ones are joined", "0-1,4-5", "0-5", "hello "),
    PARTIAL("touching ones are joined", "0-1,2-3", "0-3", "hell"),
    PARTIAL("two over each other are joined", "0-2,1-4", "0-4", "hello"),
    PARTIAL("descending near ones are joined", "4-5,0-1", "0-5", "hello "),
    CASE_B("9110 14.1", "units know no case", HELLO "Range: BYTES=0-4\r\n\r\n", "206", NULL, "hello"),
    CASE_L("9110 15.3.7", "206 of a file", FILE_ "Range: bytes=99990-\r\n\r\n", "206", "Content-Range: bytes 99990-99999/100000\nContent-Length: 10"),
    CASE_L("9110 15.3.7", "206 of one byte", ONE "Range: bytes=0-0\r\n\r\n", "206", "Content-Range: bytes 0-0/1\nContent-Length: 1"),
    CASE_L("9110 15.3.7", "the last five of one byte", ONE "Range: bytes=-5\r\n\r\n", "206", "Content-Range: bytes 0-0/1"),
    CASE_L("9110 15.5.17", "the second byte of one", ONE "Range: bytes=1-\r\n\r\n", "416", "Content-Range: bytes */1"),
    CASE_L("9110 15.5.17", "the first byte of none", EMPTY "Range: bytes=0-\r\n\r\n", "416", "Content-Range: bytes */0"),
    CASE_L("9110 15.5.17", "the first byte of none, by number", EMPTY "Range: bytes=0-0\r\n\r\n", "416", "Content-Range: bytes */0"),
    CASE_L("9110 14.1.2", "the last five of none: can be had, and are nothing, so the whole", EMPTY "Range: bytes=-5\r\n\r\n", "200", "Content-Length: 0\n-Content-Range"),
    CASE_L("9110 15.5.17", "no last ones of none", EMPTY "Range: bytes=-0\r\n\r\n", "416", "Content-Range: bytes */0"),
    NEVER("from the end", "11-"),
    NEVER("no last ones", "-0"),
    NEVER("no last ones, written long", "-000"),
    NEVER("beyond", "20-30"),
    NEVER("2^64 does not wrap", "18446744073709551616-"),
    NEVER("2^64 + 1 to 2^64 + 2", "18446744073709551617-18446744073709551618"),
    NEVER("a hundred digits", "9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999-"),
    NEVER("several beyond", "20-30,40-50,-0"),
    WHOLE("last before first: invalid, ignored", "bytes=4-2"),
    WHOLE("one invalid among valid ones: all ignored", "bytes=0-1,4-2"),
    WHOLE("letters", "bytes=a-b"),
    WHOLE("no dash", "bytes=1"),
    WHOLE("two dashes", "bytes=1-2-3"),
    WHOLE("a dash alone", "bytes=-"),
    WHOLE("minus", "bytes=--1"),
    WHOLE("plus", "bytes=+1-2"),
    WHOLE("hexadecimal", "bytes=0x0-0x1"),
    WHOLE("blanks inside", "bytes=0 - 1"),
    WHOLE("a semicolon for a comma", "bytes=0-1;3-4"),
    WHOLE("nothing", "bytes="),
    WHOLE("commas only", "bytes=,,"),
    WHOLE("no unit", "0-1"),
    WHOLE("no =", "bytes 0-1"),
    WHOLE("a blank before =", "bytes =0-1"),
    WHOLE("a colon", "bytes:0-1"),
    WHOLE("another unit", "lines=0-1"),
    WHOLE("none", "none=0-1"),
    WHOLE("an unknown unit with any text", "x-unit=from here to there"),
    WHOLE("the field empty", ""),
    WHOLE("two lines", "bytes=0-0\r\nRange: bytes=1-1"),
    CASE("9110 14.2", "with HEAD it means nothing", "HEAD /hello HTTP/1.1\r\nHost: a\r\nRange: bytes=0-4\r\n\r\n", "200h"),
    CASE("9110 14.2", "with HEAD, beyond the end", "HEAD /hello HTTP/1.1\r\nHost: a\r\nRange: bytes=99-\r\n\r\n", "200h"),
    CASE("9110 14.2", "with POST it means nothing", ECHO "Range: bytes=0-0\r\nContent-Length: 2\r\n\r\nab", "200"),
    CASE_L("9110 14.3", "where no ranges are offered", PLAIN "Range: bytes=0-1\r\n\r\n", "200", "-Content-Range\n-Accept-Ranges"),
    CASE_L("9110 14.3", "a packed answer offers none", "GET /text HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nRange: bytes=0-1\r\n\r\n", "200", "-Content-Range\n-Accept-Ranges\nContent-Encoding: gzip"),
    CASE("9110 14.2", "a 404 stays one", "GET /nothing HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n", "404"),
    CASE("9110 14.2", "in HTTP/1.0", "GET /hello HTTP/1.0\r\nRange: bytes=0-4\r\n\r\n", "206 !"),
    CASE("9110 14.2", "a pipeline of parts", FILE_ "Range: bytes=0-9\r\n\r\n" FILE_ "Range: bytes=50000-\r\n\r\n" FILE_ "Range: bytes=100000-\r\n\r\n" FILE_ "\r\n", "206 206 416 200"),
};

static const struct http_case several[] = {
    CASE_L("9110 14.6", "two parts, each with its range and type; none on the outside", FILE_ "Range: bytes=0-0,99999-\r\n\r\n", "206", "-Content-Range\nETag: \"h1\"\nAccept-Ranges: bytes"),
    CASE("9110 15.3.7.2", "in the order asked for", FILE_ "Range: bytes=9000-9001,0-1\r\n\r\n", "206"),
    CASE("9110 15.3.7.2", "sixteen parts", FILE_ "Range: bytes=0-0,1000-1000,2000-2000,3000-3000,4000-4000,5000-5000,6000-6000,7000-7000,8000-8000,9000-9000,10000-10000,11000-11000,12000-12000,13000-13000,14000-14000,15000-15000\r\n\r\n", "206"),
    CASE_L("9110 14.2", "seventeen: the whole", FILE_ "Range: bytes=0-0,1000-1000,2000-2000,3000-3000,4000-4000,5000-5000,6000-6000,7000-7000,8000-8000,9000-9000,10000-10000,11000-11000,12000-12000,13000-13000,14000-14000,15000-15000,16000-16000\r\n\r\n", "200", "-Content-Range\nContent-Length: 100000"),
    CASE_N("9110 17.15", "a thousand: the whole", FILE_ "Range: bytes=0-0", ",1-1", 1000, "\r\n\r\n", "200"),
    CASE_L("9110 17.15", "over each other many times: the whole", FILE_ "Range: bytes=0-,0-,0-,0-\r\n\r\n", "200", "Content-Length: 100000"),
    CASE_L("9110 15.3.7.2", "two that become one are sent as one", FILE_ "Range: bytes=0-999,1000-1999\r\n\r\n", "206", "Content-Range: bytes 0-1999/100000\nContent-Length: 2000"),
    CASE_L("9110 15.3.7.2", "only one that can be had is sent as one", FILE_ "Range: bytes=0-9,100000-,200000-\r\n\r\n", "206", "Content-Range: bytes 0-9/100000"),
    CASE_L("9110 15.3.7.2", "the end by number and as the last ones", FILE_ "Range: bytes=99000-,-1000\r\n\r\n", "206", "Content-Range: bytes 99000-99999/100000"),
    CASE_L("9110 14.2", "huge numbers among several", FILE_ "Range: bytes=0-1,18446744073709551616-18446744073709551617\r\n\r\n", "206", "Content-Range: bytes 0-1/100000"),
    CASE("9110 14.6", "what follows the parts is in step", FILE_ "Range: bytes=0-0,500-500\r\n\r\n" GET "\r\n", "206 200"),
    CASE("9110 14.6", "parts and the end", FILE_ "Connection: close\r\nRange: bytes=0-0,500-500\r\n\r\n", "206 !"),
    CASE("9110 14.6", "with a true If-Range", FILE_ "If-Range: \"h1\"\r\nRange: bytes=0-0,500-500\r\n\r\n", "206"),
    CASE("9110 14.6", "with a false If-Range", FILE_ "If-Range: \"x\"\r\nRange: bytes=0-0,500-500\r\n\r\n", "200"),
};
/* clang-format on */

const struct http_group groups_ranges[] = {
    GROUP("9110 14.1, 14.2 one range", single),
    GROUP("9110 14.6 several ranges", several),
};
const size_t groups_ranges_n = DZ_LEN(groups_ranges);
